//! The accept thread: takes connections in, and outlives every failure to.
//!
//! The caps on links and on handshakes are checked here, before a thread is spawned. When the system is out of
//! descriptors it says so, once, pauses and goes on.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::limits::{HANDSHAKES_MAX, LINKS_ACCEPTED_MAX};
use crate::wire::end::End;
use crate::wire::secure;

use super::Shared;
use super::place::Places;
use super::router::Message;

/// How long to pause when the system refuses to accept: long enough not to spin, short enough for a
/// person not to notice.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) fn start(listener: TcpListener, shared: Shared) -> io::Result<()> {
    let alarm = shared.clone();
    super::spawn("accept".to_owned(), None, &alarm, move || run(&listener, &shared))
}

fn run(listener: &TcpListener, shared: &Shared) {
    let places = Places::new(HANDSHAKES_MAX);
    let mut is_refused = false;
    loop {
        let place = places.take();
        match listener.accept() {
            Ok((socket, remote)) => {
                if std::mem::take(&mut is_refused) {
                    log::warn!("connections are accepted again");
                }
                if shared.links.load(Ordering::Relaxed) >= LINKS_ACCEPTED_MAX {
                    log::info!("{remote} is turned away: {LINKS_ACCEPTED_MAX} links are the most");
                    secure::write_exit(&socket, End::Full);
                    continue;
                }
                if shared.messages.send(Message::Accepted(socket, remote, place)).is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_refused, true) {
                    log::warn!("cannot accept: {error}");
                }
                thread::sleep(PAUSE);
            }
        }
    }
}
