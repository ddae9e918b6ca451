//! The byte stream of a link: handshake, encryption, and the two halves that two threads own.
//!
//! The dialler begins with one clear line, the preamble, that says which version it speaks and whether
//! it encrypts. Then follows `Noise_XXpsk0_25519_AESGCM_SHA256`: the pre-shared key is derived from the
//! room's name and secret, so a stranger to either is refused at the first message, before any
//! Diffie-Hellman. What comes behind the handshake is a stream of Noise messages, each behind its length,
//! and the frames are bytes in that stream. With `--plaintext` they follow the preamble as they are.
//!
//! `Endpoint` makes handshakes; each ends in a `Receiver` for the reader's thread, a `Sender` for the
//! writer's, and the `Channel` that an identity is bound to. All bytes of a link pass through these.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use snow::params::NoiseParams;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::end::End;
use super::record::Channel;

mod handshake;
mod receiver;
mod sender;

pub use handshake::{PREAMBLE_NOISE, PREAMBLE_PLAIN, write_exit};
pub use receiver::Receiver;
pub use sender::{Scratch, Sender};

/// The Noise protocol of every encrypted link.
pub const NOISE: &str = "Noise_XXpsk0_25519_AESGCM_SHA256";

/// Bytes that authenticate a Noise message.
const TAG_BYTES: usize = 16;

/// Bytes of the length before a Noise message.
const LENGTH_BYTES: usize = 2;

/// The key that all who are in a room share, and nobody else. Forgotten with care.
#[derive(Clone)]
pub struct Psk(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Psk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Psk")
    }
}

impl Psk {
    /// The key of a room: BLAKE3 in its key derivation mode, context `hobnob 1 link psk`, over a byte that
    /// says whether there is a secret, the secret, and the room's name.
    pub fn derive(room: &str, secret: Option<&[u8; 32]>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("hobnob 1 link psk");
        match secret {
            None => hasher.update(&[0]),
            Some(secret) => hasher.update(&[1]).update(secret),
        };
        hasher.update(room.as_bytes());
        let psk = Self(Zeroizing::new(*hasher.finalize().as_bytes()));
        hasher.zeroize();
        psk
    }
}

/// How the links of a node are protected. Both ends of a link must agree.
#[derive(Debug, Clone)]
pub enum LinkSecurity {
    /// Not at all: whoever is on the way reads along.
    Plaintext,
    /// Encrypted, among those who know the key.
    Noise(Psk),
}

/// Why a handshake came to nothing.
#[derive(Debug, Error)]
pub enum HandshakeError {
    /// The peer does not want the link, and said so. Not proved: whoever is on the way can say it, too.
    #[error("{}", .0.text())]
    Refused(End),
    /// This side does not want it; the peer was told if it is the dialler.
    #[error("{}", .0.text())]
    Rejected(End),
    /// The connection broke or ended in the middle: worth another try.
    #[error("the connection broke in the middle of the handshake: {0}")]
    Broken(#[from] io::Error),
    /// It took too long.
    #[error("{}", End::HandshakeTimeout.text())]
    Late,
}

impl HandshakeError {
    /// The same as a reason for the end of a link.
    pub fn end(&self) -> End {
        match self {
            HandshakeError::Refused(end) | HandshakeError::Rejected(end) => *end,
            HandshakeError::Broken(_) => End::Vanished,
            HandshakeError::Late => End::HandshakeTimeout,
        }
    }
}

/// A link behind its handshake.
#[derive(Debug)]
pub struct Secured {
    /// For the reader's thread.
    pub receiver: Receiver,
    /// For the writer's.
    pub sender: Sender,
    /// What binds an identity to this link; `None` in the clear.
    pub channel: Option<Channel>,
}

impl Secured {
    /// A link over which so many messages have gone each way already; both ends must agree. For those who
    /// want to see it wear out.
    #[must_use]
    pub fn aged(mut self, messages: u64) -> Self {
        self.receiver.set_counter(messages);
        self.sender.set_counter(messages);
        self
    }
}

/// A node's side of all its handshakes. The Noise static key is fresh in every run.
#[derive(Debug)]
pub struct Endpoint {
    noise: Option<Noise>,
}

struct Noise {
    params: NoiseParams,
    psk: Psk,
    static_key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Noise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NOISE)
    }
}

impl Endpoint {
    /// Makes the key of this run. Fails where the system gives no random numbers.
    pub fn new(security: LinkSecurity) -> io::Result<Self> {
        let LinkSecurity::Noise(psk) = security else { return Ok(Self { noise: None }) };
        let params: NoiseParams = NOISE.parse().map_err(io::Error::other)?;
        let pair = snow::Builder::new(params.clone()).generate_keypair().map_err(io::Error::other)?;
        Ok(Self { noise: Some(Noise { params, psk, static_key: Zeroizing::new(pair.private) }) })
    }

    /// The handshake on a connection that this node made.
    pub fn dial(&self, socket: &Arc<TcpStream>, deadline: Instant) -> Result<Secured, HandshakeError> {
        handshake::dial(self.noise.as_ref(), socket, deadline)
    }

    /// The handshake on a connection that was accepted. A dialler that is refused is told why.
    pub fn accept(&self, socket: &Arc<TcpStream>, deadline: Instant) -> Result<Secured, HandshakeError> {
        handshake::accept(self.noise.as_ref(), socket, deadline)
    }
}
