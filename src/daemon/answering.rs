//! Which key answers at an address: asked once, before a ticket names it. No thread, and no node of our own.
//!
//! The side that was dialled says hello first, and proves its key on an encrypted link. That is all this waits
//! for: it says no hello itself, so the other side shows nobody a link.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::addr::PeerAddr;
use crate::identity::Id;
use crate::limits::{DIAL_MS_MAX, HANDSHAKE_MS_MAX};
use crate::room::Arrival;
use crate::room::intake::read_frame;
use crate::secret::RoomSecret;
use crate::wire::end::End;
use crate::wire::frame::FrameBuffer;
use crate::wire::record::{Control, Domain, VERSION};
use crate::wire::secure::{Endpoint, HandshakeError, LinkSecurity, Psk, Secured};

/// Why it is not known which key answers somewhere. No ticket is made (exit code 1).
#[derive(Debug, Error)]
pub enum AnsweringError {
    /// There is no connection.
    #[error("{0}")]
    Unreached(io::Error),
    /// There is one, and nobody of this room at its other end.
    #[error("{}", .0.text())]
    Refused(End),
    /// Nothing has come in time.
    #[error("no answer within {} seconds", HANDSHAKE_MS_MAX / 1_000)]
    Late,
}

/// The key of whoever answers at an address, as a member of a room that is closed with this secret. It may take
/// `DIAL_MS_MAX` for each address that a name stands for, and `HANDSHAKE_MS_MAX`.
pub fn key_answering_at(addr: &PeerAddr, room: &str, secret: Option<&RoomSecret>) -> Result<Id, AnsweringError> {
    let security = LinkSecurity::Noise(Psk::derive(room, secret.map(RoomSecret::bytes)));
    let endpoint = Endpoint::new(security).map_err(AnsweringError::Unreached)?;
    let socket = Arc::new(connect(addr).map_err(AnsweringError::Unreached)?);
    let deadline = Instant::now() + Duration::from_millis(HANDSHAKE_MS_MAX);
    let mut secured = endpoint.dial(&socket, deadline).map_err(|error| match error {
        HandshakeError::Refused(end) | HandshakeError::Rejected(end) => AnsweringError::Refused(end),
        HandshakeError::Broken(error) => AnsweringError::Unreached(error),
        HandshakeError::Late => AnsweringError::Late,
    })?;
    hello(&mut secured, &socket, &Domain::of_room(room), deadline)
}

fn connect(addr: &PeerAddr) -> io::Result<TcpStream> {
    let mut last = io::Error::other("no address");
    for addr in addr.to_string().to_socket_addrs()? {
        match TcpStream::connect_timeout(&addr, Duration::from_millis(DIAL_MS_MAX)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads the first record, which is the hello of a member.
fn hello(secured: &mut Secured, socket: &TcpStream, domain: &Domain, deadline: Instant) -> Result<Id, AnsweringError> {
    let mut buffer = FrameBuffer::new();
    loop {
        let frame = buffer.next_frame().map_err(|_| AnsweringError::Refused(End::BadFrame))?;
        if let Some((frame, ending)) = frame {
            let arrival = read_frame(frame, ending, domain, secured.channel.as_ref(), |_| false);
            return match arrival.map_err(|(end, _)| AnsweringError::Refused(end))? {
                Arrival::Control(Control::Hello(hello)) if hello.version == VERSION => Ok(hello.id),
                Arrival::Control(Control::Hello(_)) => Err(AnsweringError::Refused(End::Version)),
                Arrival::Control(Control::Exit { reason, .. }) => Err(AnsweringError::Refused(End::from_word(&reason))),
                _ => Err(AnsweringError::Refused(End::OutOfTurn)),
            };
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(AnsweringError::Late);
        }
        socket.set_read_timeout(Some(left)).map_err(AnsweringError::Unreached)?;
        match buffer.fill(&mut secured.receiver) {
            Ok(0) => return Err(AnsweringError::Refused(End::Vanished)),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {}
                _ => return Err(AnsweringError::Unreached(error)),
            },
            Ok(_) => {}
        }
    }
}
