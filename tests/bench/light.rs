//! A link as light as can be, for the members of a crowd: its own side of the handshake, and no buffers of its own.
//!
//! A thousand links with buffers measure the memory of the machine that plays them. Here what has come is read to the
//! buffers of the thread, opened there and looked at there; a link keeps what has not ended yet, of a Noise message
//! and of a frame. Nothing is verified or parsed but what has to be answered: that posts are whole is tested elsewhere.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hobnob::wire::Frame;
use hobnob::wire::frame::{EXIT_END, MESSAGE_END};
use hobnob::wire::record::Channel;
use hobnob::wire::secure::{NOISE, PREAMBLE_NOISE};
use memchr::memchr;
use snow::params::NoiseParams;
use snow::{Builder, HandshakeState, StatelessTransportState};

use crate::crowd::Desk;
use crate::failure::Failure;
use crate::hobnob::ROOM;
use crate::link::{connect, wrong};

/// How long the node may take with its part of the handshake and the greeting.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

const LENGTH_BYTES: usize = 2;

/// `e, ee, s, es`, without a payload.
const SECOND_BYTES: usize = 96;

/// Frames in a message of this side; each has some 600 bytes at most.
const MESSAGE_FRAMES_MAX: usize = 8;

/// So much they and the message's tag take at most.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// What the links of a crowd share: the key of the room, and one key pair for their handshakes.
pub(crate) struct Keys {
    params: NoiseParams,
    psk: [u8; 32],
    private: Vec<u8>,
}

impl Keys {
    /// Fresh ones for the room of those who name none.
    pub(crate) fn new() -> Result<Self, Failure> {
        let params: NoiseParams = NOISE.parse().map_err(wrong)?;
        let private = Builder::new(params.clone()).generate_keypair().map_err(wrong)?.private;
        let mut psk = blake3::Hasher::new_derive_key("hobnob 1 link psk");
        psk.update(&[0]).update(ROOM.as_bytes());
        Ok(Self { params, psk: *psk.finalize().as_bytes(), private })
    }
}

/// One link.
pub(crate) struct Light {
    socket: TcpStream,
    transport: StatelessTransportState,
    channel: Channel,
    sealed_count: u64,
    opened_count: u64,
    /// The start of a Noise message.
    sealed_rest: Vec<u8>,
    /// The start of a frame.
    frame_rest: Vec<u8>,
}

impl Light {
    /// Connects, and makes the handshake.
    pub(crate) fn dial(port: u16, keys: &Keys) -> Result<Self, Failure> {
        let mut socket = connect(port)?;
        socket.set_read_timeout(Some(HANDSHAKE_LIMIT)).map_err(Failure::system("socket"))?;
        let builder = Builder::new(keys.params.clone()).psk(0, &keys.psk).map_err(wrong)?;
        let builder = builder.prologue(PREAMBLE_NOISE).map_err(wrong)?;
        let mut state = builder.local_private_key(&keys.private).and_then(Builder::build_initiator).map_err(wrong)?;
        let mut first = PREAMBLE_NOISE.to_vec();
        first.extend_from_slice(&message(&mut state)?);
        socket.write_all(&first).map_err(Failure::system("link"))?;
        let mut second = [0; LENGTH_BYTES + SECOND_BYTES];
        socket.read_exact(&mut second).map_err(Failure::system("link"))?;
        let (_, second) = second.split_at(LENGTH_BYTES);
        state.read_message(second, &mut []).map_err(wrong)?;
        socket.write_all(&message(&mut state)?).map_err(Failure::system("link"))?;
        let channel = Channel { hash: state.get_handshake_hash().try_into().map_err(wrong)?, dialler: true };
        let transport = state.into_stateless_transport_mode().map_err(wrong)?;
        let (sealed_rest, frame_rest) = (Vec::new(), Vec::new());
        Ok(Self { socket, transport, channel, sealed_count: 0, opened_count: 0, sealed_rest, frame_rest })
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// What an identity is bound to.
    pub(crate) fn channel(&self) -> Channel {
        self.channel
    }

    /// From now on nothing waits for the node.
    pub(crate) fn stop_waiting(&self) -> Result<(), Failure> {
        self.socket.set_nonblocking(true).map_err(Failure::system("socket"))
    }

    /// Writes some frames, many in a message. What a peer says here always fits the socket.
    pub(crate) fn send(&mut self, frames: &[Frame]) -> Result<(), Failure> {
        for frames in frames.chunks(MESSAGE_FRAMES_MAX) {
            let mut message = [0; LENGTH_BYTES + MESSAGE_BYTES_MAX];
            let (prefix, sealed) = message.split_at_mut(LENGTH_BYTES);
            let length = self.transport.write_message(self.sealed_count, &frames.concat(), sealed).map_err(wrong)?;
            self.sealed_count += 1;
            prefix.copy_from_slice(&u16::try_from(length).map_err(wrong)?.to_be_bytes());
            let message = message.get(..LENGTH_BYTES + length).unwrap_or_default();
            self.socket.write_all(message).map_err(Failure::system("link"))?;
        }
        Ok(())
    }

    /// Reads once, and hands out the frames that have come; whether there may be more.
    pub(crate) fn read(&mut self, desk: &mut Desk, each: impl FnMut(&[u8])) -> Result<bool, Failure> {
        let Desk { arrived, opened } = desk;
        let begun = keep_at_start(arrived, &mut self.sealed_rest);
        let space = arrived.get_mut(begun..).unwrap_or_default();
        let room = space.len();
        let count = match self.socket.read(space) {
            Ok(0) => return Err(Failure::Link("closed without an exit record".to_owned())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(Failure::system("link")(error)),
        };
        let mut sealed = arrived.get(..begun + count).unwrap_or_default();
        let mut end = keep_at_start(opened, &mut self.frame_rest);
        while let Some((message, rest)) = split_message(sealed) {
            let space = opened.get_mut(end..).unwrap_or_default();
            end += self.transport.read_message(self.opened_count, message, space).map_err(wrong)?;
            self.opened_count += 1;
            sealed = rest;
        }
        self.sealed_rest.extend_from_slice(sealed);
        let rest = split_frames(opened.get(..end).unwrap_or_default(), each)?;
        self.frame_rest.extend_from_slice(rest);
        Ok(count == room)
    }
}

/// The next message of this side, behind its length.
fn message(state: &mut HandshakeState) -> Result<Vec<u8>, Failure> {
    let mut message = vec![0; 128];
    let count = state.write_message(&[], &mut message).map_err(wrong)?;
    message.truncate(count);
    let prefix = u16::try_from(count).map_err(wrong)?.to_be_bytes();
    message.splice(..0, prefix);
    Ok(message)
}

/// Takes what was left over to the start of a buffer; how much that is.
fn keep_at_start(buffer: &mut [u8], rest: &mut Vec<u8>) -> usize {
    let count = rest.len();
    if let Some(start) = buffer.get_mut(..count) {
        start.copy_from_slice(rest);
    }
    rest.clear();
    count
}

/// The first whole message, and what is behind it.
fn split_message(sealed: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = sealed.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*prefix)))
}

/// Hands out whole frames without their delimiters; what is left.
fn split_frames(mut bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<&[u8], Failure> {
    while let Some((frame, rest)) = memchr(b'<', bytes).and_then(|index| bytes.split_at_checked(index)) {
        let rest = match rest.strip_prefix(MESSAGE_END) {
            Some(rest) => rest,
            None if rest.starts_with(EXIT_END) => {
                return Err(Failure::Link(String::from_utf8_lossy(frame).into_owned()));
            }
            None => break,
        };
        each(frame);
        bytes = rest;
    }
    Ok(bytes)
}
