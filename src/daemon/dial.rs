//! Dial threads: one a dial, which the room bounds; each resolves, connects, makes the handshake and reports.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{DIAL_MS_MAX, HANDSHAKE_MS_MAX};
use crate::room::{DialFailure, DialId, Target};
use crate::wire::secure::{Endpoint, HandshakeError, Secured};

use super::Shared;
use super::router::Message;

pub(super) fn start(dial: DialId, target: Target, shared: &Shared) -> io::Result<()> {
    let (messages, endpoint) = (shared.messages.clone(), Arc::clone(&shared.endpoint));
    super::spawn(format!("dial-{dial}"), None, shared, move || {
        let outcome = connect(&target, &endpoint).map(Box::new);
        // The router is gone only when the program ends.
        let _ = messages.send(Message::Dialled(dial, outcome));
    })
}

fn connect(target: &Target, endpoint: &Endpoint) -> Result<(Secured, SocketAddr), DialFailure> {
    let addresses: Vec<SocketAddr> = match target {
        Target::Member { addr, .. } => vec![*addr],
        Target::Acquaintance(peer) => vec![peer.addr],
        Target::Named(name) => match name.to_socket_addrs() {
            Ok(addresses) => addresses.collect(),
            Err(error) => return Err(DialFailure::Unreached(format!("cannot resolve {name}: {error}"))),
        },
    };
    let mut last = DialFailure::Unreached("no address".to_owned());
    for addr in addresses {
        match greet(addr, endpoint) {
            Ok(secured) => return Ok((secured, addr)),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

fn greet(addr: SocketAddr, endpoint: &Endpoint) -> Result<Secured, DialFailure> {
    let socket = TcpStream::connect_timeout(&addr, Duration::from_millis(DIAL_MS_MAX))
        .map_err(|error| DialFailure::Unreached(describe(&error)))?;
    let deadline = Instant::now() + Duration::from_millis(HANDSHAKE_MS_MAX);
    endpoint.dial(&Arc::new(socket), deadline).map_err(|error| match error {
        HandshakeError::Refused(end) | HandshakeError::Rejected(end) => DialFailure::Refused(end),
        HandshakeError::Broken(_) | HandshakeError::Late => DialFailure::Unreached(error.to_string()),
    })
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
