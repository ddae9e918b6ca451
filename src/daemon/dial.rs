//! Dial threads: one a dial, which the room bounds; each resolves, connects and reports.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::limits::DIAL_MS_MAX;
use crate::room::{DialId, Target};

use super::Shared;
use super::router::Message;

pub(super) fn start(dial: DialId, target: Target, shared: &Shared) -> io::Result<()> {
    let messages = shared.messages.clone();
    super::spawn(format!("dial-{dial}"), None, shared, move || {
        let outcome = connect(&target);
        // The router is gone only when the program ends.
        let _ = messages.send(Message::Dialled(dial, outcome));
    })
}

fn connect(target: &Target) -> Result<(TcpStream, SocketAddr), String> {
    let addresses: Vec<SocketAddr> = match target {
        Target::Member { addr, .. } => vec![*addr],
        Target::Named(name) => match name.to_socket_addrs() {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Err(format!("cannot resolve {name}: {error}")),
        },
    };
    let mut last = "no address".to_owned();
    for addr in addresses {
        match TcpStream::connect_timeout(&addr, Duration::from_millis(DIAL_MS_MAX)) {
            Ok(socket) => return Ok((socket, addr)),
            Err(error) => last = describe(&error),
        }
    }
    Err(last)
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there (connection refused)".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("no answer within {} seconds", DIAL_MS_MAX / 1000)
        }
        _ => error.to_string(),
    }
}
