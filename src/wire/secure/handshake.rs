//! From a connection to a link: the preamble, then the three messages of Noise XX.
//!
//! Every read here has the deadline of the whole handshake, so that a byte a second is as late as
//! silence. Before the pre-shared key is proved nothing is told but, in the clear, why there will be no
//! link.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use memchr::memchr;
use snow::{Builder, HandshakeState};

use super::{HandshakeError, LENGTH_BYTES, Noise, Receiver, Secured, Sender, TAG_BYTES};
use crate::limits::{CLEAR_EXIT_BYTES_MAX, PREAMBLE_BYTES_MAX};
use crate::wire::end::End;
use crate::wire::frame::{EXIT_END, Ending};
use crate::wire::record::{Channel, Control, Record, VERSION};

/// The dialler's first bytes on a link that is to be encrypted.
pub const PREAMBLE_NOISE: &[u8] = b"hobnob 1 noise\n";

/// The same on one in the clear.
pub const PREAMBLE_PLAIN: &[u8] = b"hobnob 1 plain\n";

/// How every preamble begins.
const NAME: &[u8] = b"hobnob ";

const KEY_BYTES: usize = 32;

/// The messages, without payloads: `psk, e`; `e, ee, s, es`; `s, se`.
const FIRST_BYTES: usize = KEY_BYTES + TAG_BYTES;
const SECOND_BYTES: usize = KEY_BYTES + KEY_BYTES + TAG_BYTES + TAG_BYTES;
const THIRD_BYTES: usize = KEY_BYTES + TAG_BYTES + TAG_BYTES;

/// What can be said in the clear about a link that will not be.
const REFUSALS: [End; 6] = [End::Version, End::Plaintext, End::Secret, End::Full, End::Crowded, End::Banned];

pub(super) fn dial(
    noise: Option<&Noise>,
    socket: &Arc<TcpStream>,
    deadline: Instant,
) -> Result<Secured, HandshakeError> {
    socket.set_nodelay(true)?;
    let Some(noise) = noise else {
        (&**socket).write_all(PREAMBLE_PLAIN)?;
        return Ok(in_the_clear(socket));
    };
    let mut state = noise.builder(PREAMBLE_NOISE)?.build_initiator().map_err(io::Error::other)?;
    let mut first = PREAMBLE_NOISE.to_vec();
    first.extend_from_slice(&message::<FIRST_BYTES>(&mut state)?);
    (&**socket).write_all(&first)?;
    let mut length = [0; LENGTH_BYTES];
    read_exact(socket, &mut length, deadline)?;
    if length.first() == Some(&b'{') {
        return Err(HandshakeError::Refused(clear_exit(socket, &length, deadline)?));
    }
    read_message::<SECOND_BYTES>(&mut state, length, socket, deadline)?.map_err(HandshakeError::Rejected)?;
    (&**socket).write_all(&message::<THIRD_BYTES>(&mut state)?)?;
    secured(state, socket, true)
}

pub(super) fn accept(
    noise: Option<&Noise>,
    socket: &Arc<TcpStream>,
    deadline: Instant,
) -> Result<Secured, HandshakeError> {
    socket.set_nodelay(true)?;
    let wanted = if noise.is_some() { PREAMBLE_NOISE } else { PREAMBLE_PLAIN };
    let preamble = read_preamble(socket, deadline)?;
    if let Some(end) = objection(&preamble, wanted) {
        return Err(turn_away(socket, end));
    }
    let Some(noise) = noise else { return Ok(in_the_clear(socket)) };
    let mut state = noise.builder(PREAMBLE_NOISE)?.build_responder().map_err(io::Error::other)?;
    let mut length = [0; LENGTH_BYTES];
    read_exact(socket, &mut length, deadline)?;
    if let Err(end) = read_message::<FIRST_BYTES>(&mut state, length, socket, deadline)? {
        // What does not open here was sealed with another key.
        return Err(turn_away(socket, if end == End::BadCipher { End::Secret } else { end }));
    }
    (&**socket).write_all(&message::<SECOND_BYTES>(&mut state)?)?;
    read_exact(socket, &mut length, deadline)?;
    read_message::<THIRD_BYTES>(&mut state, length, socket, deadline)?.map_err(HandshakeError::Rejected)?;
    secured(state, socket, false)
}

impl Noise {
    fn builder<'a>(&'a self, prologue: &'a [u8]) -> Result<Builder<'a>, HandshakeError> {
        let builder = Builder::new(self.params.clone())
            .psk(0, &self.psk.0)
            .and_then(|builder| builder.prologue(prologue))
            .and_then(|builder| builder.local_private_key(&self.static_key));
        Ok(builder.map_err(io::Error::other)?)
    }
}

fn in_the_clear(socket: &Arc<TcpStream>) -> Secured {
    Secured {
        receiver: Receiver::in_the_clear(Arc::clone(socket)),
        sender: Sender::in_the_clear(Arc::clone(socket)),
        channel: None,
    }
}

fn secured(state: HandshakeState, socket: &Arc<TcpStream>, dialler: bool) -> Result<Secured, HandshakeError> {
    let hash = state.get_handshake_hash().try_into().map_err(io::Error::other)?;
    let transport = Arc::new(state.into_stateless_transport_mode().map_err(io::Error::other)?);
    Ok(Secured {
        receiver: Receiver::encrypted(Arc::clone(socket), Arc::clone(&transport)),
        sender: Sender::encrypted(Arc::clone(socket), transport),
        channel: Some(Channel { hash, dialler }),
    })
}

/// The next message of this side, behind its length.
fn message<const BYTES: usize>(state: &mut HandshakeState) -> Result<Vec<u8>, HandshakeError> {
    let mut bytes = [0; BYTES];
    let count = state.write_message(&[], &mut bytes).map_err(io::Error::other)?;
    debug_assert_eq!(count, BYTES, "handshake messages have no payload");
    let length = u16::try_from(BYTES).map_err(io::Error::other)?;
    Ok([length.to_be_bytes().as_slice(), &bytes].concat())
}

/// Takes in the other side's next message. The inner error is one of its making.
fn read_message<const BYTES: usize>(
    state: &mut HandshakeState,
    length: [u8; LENGTH_BYTES],
    socket: &TcpStream,
    deadline: Instant,
) -> Result<Result<(), End>, HandshakeError> {
    if usize::from(u16::from_be_bytes(length)) != BYTES {
        return Ok(Err(End::BadFrame));
    }
    let mut bytes = [0; BYTES];
    read_exact(socket, &mut bytes, deadline)?;
    Ok(state.read_message(&bytes, &mut []).map(|_| ()).map_err(|_| End::BadCipher))
}

/// The dialler's first line and nothing behind it: one of another version may be shorter than ours, with more right behind
/// it, so what has come is looked at before it is taken. What cannot become one ends it early, so that a browser or a port
/// scanner does not keep its place until the deadline.
fn read_preamble(socket: &TcpStream, deadline: Instant) -> Result<Vec<u8>, HandshakeError> {
    let mut line = Vec::with_capacity(PREAMBLE_BYTES_MAX);
    while !line.ends_with(b"\n") && line.len() < PREAMBLE_BYTES_MAX && NAME.iter().zip(&line).all(|(a, b)| a == b) {
        let mut bytes = [0; PREAMBLE_BYTES_MAX];
        let space = bytes.get_mut(line.len()..).unwrap_or_default();
        let count = read(socket, deadline, |socket| socket.peek(space))?;
        let start = space.get_mut(..count).unwrap_or_default();
        let taken = memchr(b'\n', start).map_or(count, |index| index + 1);
        let start = start.get_mut(..taken).unwrap_or_default();
        read_exact(socket, start, deadline)?;
        line.extend_from_slice(start);
    }
    Ok(line)
}

/// What stands against a dialler with this preamble, if anything.
fn objection(preamble: &[u8], wanted: &[u8]) -> Option<End> {
    if preamble == wanted {
        return None;
    }
    let Some(rest) = preamble.strip_prefix(NAME).and_then(|rest| rest.strip_suffix(b"\n")) else {
        return Some(End::BadFrame);
    };
    let mut words = rest.split(|byte| *byte == b' ');
    let digits = words.next().filter(|word| word.iter().all(u8::is_ascii_digit));
    let version = digits.and_then(|word| std::str::from_utf8(word).ok()?.parse::<u64>().ok());
    match version {
        Some(VERSION) if preamble == PREAMBLE_NOISE || preamble == PREAMBLE_PLAIN => Some(End::Plaintext),
        None | Some(VERSION) => Some(End::BadFrame),
        Some(_) => Some(End::Version),
    }
}

/// Tells the dialler why there will be no link.
fn turn_away(socket: &TcpStream, end: End) -> HandshakeError {
    write_exit(socket, end);
    HandshakeError::Rejected(end)
}

/// Says in the clear why there will be no link, if that can be said, as far as the socket takes it at once, and
/// closes it. What has come unread is taken first: a socket that is closed over it resets the connection, and
/// the word is lost.
pub fn write_exit(mut socket: &TcpStream, end: End) {
    if !REFUSALS.contains(&end) {
        let _ = socket.shutdown(Shutdown::Write);
        return;
    }
    let mut unread = [0; 256];
    let _ = socket.set_nonblocking(true);
    let _ = socket.read(&mut unread);
    let _ = socket.write_all(&Control::exit(end).encode());
    let _ = socket.shutdown(Shutdown::Write);
}

/// Reads an exit record that came in the place of a Noise message.
fn clear_exit(socket: &TcpStream, start: &[u8], deadline: Instant) -> Result<End, HandshakeError> {
    let mut frame = start.to_vec();
    while !frame.ends_with(EXIT_END) {
        if frame.len() >= CLEAR_EXIT_BYTES_MAX {
            return Err(HandshakeError::Rejected(End::BadFrame));
        }
        let mut byte = [0];
        read_exact(socket, &mut byte, deadline)?;
        frame.extend_from_slice(&byte);
    }
    match Record::decode(&frame, Ending::Exit) {
        Ok(Record::Control(Control::Exit { reason, .. })) => {
            let end = End::from_word(&reason);
            Ok(if REFUSALS.contains(&end) { end } else { End::Vanished })
        }
        _ => Err(HandshakeError::Rejected(End::BadFrame)),
    }
}

fn read_exact(socket: &TcpStream, buffer: &mut [u8], deadline: Instant) -> Result<(), HandshakeError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let space = buffer.get_mut(filled..).unwrap_or_default();
        filled += read(socket, deadline, |mut socket| socket.read(space))?;
    }
    Ok(())
}

/// Reads once, by whatever call; at least a byte.
fn read(
    socket: &TcpStream,
    deadline: Instant,
    mut call: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Result<usize, HandshakeError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(HandshakeError::Late);
        }
        socket.set_read_timeout(Some(left))?;
        match call(socket) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => return Ok(count),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                _ => return Err(error.into()),
            },
        }
    }
}
