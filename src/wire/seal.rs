//! Whispers: what is sealed for one reader, whoever carries it.
//!
//! A whisper is one message of `Noise_X_25519_AESGCM_SHA256`: sealed with a new key to the addressee's sealing key, and
//! proved by the sender's. An identity has one sealing key, derived from its secret half, so it is the same in each
//! session and after each restart, and needs no file. It stands in the identity's joins, which are signed; inside the
//! message the sender's id stands with its signature over the sealing key. There is no ratchet: who gets hold of an
//! addressee's key reads what was ever sealed for it.
//!
//! Pure: the ephemeral keys come from a seed that its owner has from the system.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{BoxedCryptoResolver, CryptoResolver, DefaultResolver, FallbackResolver, RingResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use thiserror::Error;
use zeroize::Zeroizing;

use super::record::{Domain, FeedId, Nick, Proof, Sealed, write_json};
use super::strict;
use crate::digits;
use crate::identity::{Id, Identity};
use crate::limits::{NUMBER_MAX, WHISPER_PLAIN_BYTES_MAX};

/// The Noise protocol of whispers.
pub const NOISE_WHISPER: &str = "Noise_X_25519_AESGCM_SHA256";

/// What a sealing key is derived by from an identity's secret half (BLAKE3's key derivation mode).
const SEALING_CONTEXT: &str = "hobnob 1 sealing key";

/// Whisper's ephemeral keys, from a seed.
const CHANCE_CONTEXT: &str = "hobnob 1 whisper chance";

const KEY_BYTES: usize = 32;

/// What Noise adds: an ephemeral key, the sender's key sealed, and two tags.
const NOISE_BYTES: usize = KEY_BYTES + KEY_BYTES + 16 + 16;

/// The public half of an identity's sealing key (X25519).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SealingKey(pub [u8; KEY_BYTES]);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(digits::write(&self.0, &mut [0; 64]))
    }
}

impl Serialize for SealingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(digits::write(&self.0, &mut [0; 64]))
    }
}

impl<'de> Deserialize<'de> for SealingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        digits::deserialize(deserializer, "a sealing key").map(Self)
    }
}

/// Where ephemeral keys come from: 32 bytes of the system's, and a count. Never used for two things.
#[derive(Clone)]
pub struct Chance {
    seed: Zeroizing<[u8; 32]>,
    drawn: u64,
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

impl Chance {
    /// From so many bytes of which nobody knows any.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed), drawn: 0 }
    }

    fn draw(&mut self) -> Zeroizing<[u8; 32]> {
        self.drawn += 1;
        let mut hasher = blake3::Hasher::new_derive_key(CHANCE_CONTEXT);
        hasher.update(&*self.seed).update(&self.drawn.to_le_bytes());
        Zeroizing::new(*hasher.finalize().as_bytes())
    }
}

/// snow's ciphers, with our chance.
struct Primitives(Zeroizing<[u8; 32]>);

struct Drawn(Zeroizing<[u8; 32]>);

impl Random for Drawn {
    /// Asked for one key.
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        if out.len() != self.0.len() {
            return Err(snow::Error::Rng);
        }
        out.copy_from_slice(&*self.0);
        Ok(())
    }
}

fn resolver() -> FallbackResolver {
    FallbackResolver::new(Box::new(RingResolver), Box::new(DefaultResolver))
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Drawn(self.0.clone())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        resolver().resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        resolver().resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        resolver().resolve_cipher(choice)
    }
}

/// What stands inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Content {
    /// Somebody says something to one reader.
    Text(Text),
    /// The reader has shown all of a stream up to this number.
    Heard {
        /// The sender's stream to this reader.
        stream: u64,
        /// The last number shown; 0 for none.
        number: u64,
    },
    /// The reader does not take this one, nor any other.
    Refused {
        /// The stream.
        stream: u64,
        /// Which.
        number: u64,
    },
    /// What of a stream comes before this number does not come any more.
    Begin {
        /// The stream.
        stream: u64,
        /// The next number.
        number: u64,
        /// The sender's session in which it waits for an answer.
        session: u64,
    },
    /// Are you there?
    Ping {
        /// Comes back.
        token: u64,
        /// The sender's session.
        session: u64,
    },
    /// Yes.
    Pong {
        /// From the ping.
        token: u64,
    },
    /// A kind of a later version. Skipped.
    #[serde(other)]
    Unknown,
}

/// What somebody says to one reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Text {
    /// The sender's session in which it was said.
    pub stream: u64,
    /// Its place among those to this reader, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970 by the sender's clock.
    pub at: u64,
    /// The sender's name then.
    pub nick: Nick,
    /// The text.
    pub text: String,
    /// `/me`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub action: bool,
    /// The next one continues this one's last line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
}

/// A content and who proved to have sealed it.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The sender.
    pub from: Id,
    /// What answers are sealed to.
    pub key: SealingKey,
    /// What it says.
    pub content: Content,
}

/// Why something sealed is not opened, or not sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// It was sealed for somebody else, or in another room, or somebody has changed it.
    #[error("not sealed for this reader, or damaged on the way")]
    Closed,
    /// The sender does not show that the key is its own.
    #[error("the sender is not proved")]
    Unproved,
    /// What is inside is no content.
    #[error("not a content: {0}")]
    Content(#[from] serde_json::Error),
    /// A value outside what the field may hold.
    #[error("{0} out of bounds")]
    Bounds(&'static str),
    /// More than fits a frame. Text is cut before.
    #[error("longer than fits a frame")]
    TooLong,
    /// The cipher did not work.
    #[error("cannot seal: {0}")]
    Cipher(#[from] snow::Error),
}

/// Who stands inside, before what is said.
#[derive(Serialize, Deserialize)]
struct Inside {
    from: Id,
    proof: Proof,
    content: Content,
}

/// Seals and opens for one identity in one room.
pub struct Sealer {
    me: Id,
    key: SealingKey,
    secret: Zeroizing<[u8; KEY_BYTES]>,
    proof: Proof,
    room: String,
    sealing: blake3::Hasher,
    params: NoiseParams,
    chance: Chance,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealer").field(&self.me).finish()
    }
}

impl Sealer {
    /// One for this identity.
    #[expect(clippy::missing_panics_doc, reason = "the protocol's name and its curve are known to snow")]
    pub fn new(identity: &Identity, room: &str, domain: &Domain, chance: Chance) -> Self {
        let secret = identity.derive(SEALING_CONTEXT);
        let mut curve = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("snow is built with this curve");
        curve.set(&*secret);
        let key = SealingKey(curve.pubkey().try_into().expect("its keys have 32 bytes"));
        let sealing = domain.sealing().clone();
        let proof = Proof(identity.sign(claim(&sealing, &key).as_bytes()));
        let params = NOISE_WHISPER.parse().expect("a protocol that snow knows");
        Self { me: identity.id(), key, secret, proof, room: room.to_owned(), sealing, params, chance }
    }

    /// What others seal to.
    pub fn key(&self) -> SealingKey {
        self.key
    }

    /// Seals a content for somebody.
    pub fn seal(&mut self, to: Id, key: &SealingKey, content: &Content) -> Result<Sealed, SealError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(512));
        write_json(&mut plain, &Inside { from: self.me, proof: self.proof, content: content.clone() });
        if plain.len() > WHISPER_PLAIN_BYTES_MAX {
            return Err(SealError::TooLong);
        }
        let prologue = self.prologue(&to);
        let drawn = self.chance.draw();
        let mut state = self
            .builder(drawn)
            .local_private_key(&*self.secret)?
            .remote_public_key(&key.0)?
            .prologue(&prologue)?
            .build_initiator()?;
        let mut message = vec![0; plain.len() + NOISE_BYTES];
        let count = state.write_message(&plain, &mut message)?;
        message.truncate(count);
        Ok(Sealed::of(&message))
    }

    /// Opens what was sealed for us.
    pub fn open(&self, sealed: &Sealed) -> Result<Opened, SealError> {
        self.open_knowing(sealed, |_, _| false)
    }

    /// The same where it may be known already that a key is somebody's, as from a join.
    pub fn open_knowing(
        &self,
        sealed: &Sealed,
        is_known: impl FnOnce(&Id, &SealingKey) -> bool,
    ) -> Result<Opened, SealError> {
        let message = sealed.bytes().ok_or(SealError::Closed)?;
        let prologue = self.prologue(&self.me);
        // Nothing is drawn by a reader.
        let mut state = self
            .builder(Zeroizing::new([0; 32]))
            .local_private_key(&*self.secret)?
            .prologue(&prologue)?
            .build_responder()?;
        let mut plain = Zeroizing::new(vec![0; message.len()]);
        let count = state.read_message(&message, &mut plain).map_err(|_| SealError::Closed)?;
        let key = state.get_remote_static().and_then(|key| key.try_into().ok()).map(SealingKey);
        let key = key.ok_or(SealError::Unproved)?;
        let text = plain.get(..count).and_then(|plain| std::str::from_utf8(plain).ok()).ok_or(SealError::Closed)?;
        let value = strict::parse(text, 0)?;
        // An array of the same values is something else to other readers.
        if !value.is_object() || !value.get("content").is_some_and(serde_json::Value::is_object) {
            return Err(SealError::Bounds("content"));
        }
        let Inside { from, proof, content } = serde_json::from_value(value)?;
        if !is_known(&from, &key) && !from.verify(claim(&self.sealing, &key).as_bytes(), &proof.0) {
            return Err(SealError::Unproved);
        }
        content.check()?;
        Ok(Opened { from, key, content })
    }

    fn builder<'a>(&self, drawn: Zeroizing<[u8; 32]>) -> snow::Builder<'a> {
        let primitives: BoxedCryptoResolver = Box::new(Primitives(drawn));
        snow::Builder::with_resolver(self.params.clone(), primitives)
    }

    /// What binds a whisper to its room and its reader.
    fn prologue(&self, to: &Id) -> Vec<u8> {
        format!("hobnob 1 whisper {to} {}", self.room).into_bytes()
    }
}

/// What an identity signs of its sealing key.
fn claim(sealing: &blake3::Hasher, key: &SealingKey) -> blake3::Hash {
    sealing.clone().update(&key.0).finalize()
}

impl Content {
    fn check(&self) -> Result<(), SealError> {
        let is_number = |number: u64| (1..=NUMBER_MAX).contains(&number);
        let (stream, number) = match self {
            Content::Text(text) if text.at > NUMBER_MAX => return Err(SealError::Bounds("at")),
            Content::Begin { session, .. } if !is_number(*session) => return Err(SealError::Bounds("session")),
            Content::Text(text) => (text.stream, text.number),
            Content::Refused { stream, number } | Content::Begin { stream, number, .. } => (*stream, *number),
            // Of none is 0.
            Content::Heard { stream, number } => (*stream, number.saturating_add(1)),
            Content::Ping { token, session } => (*token, *session),
            Content::Pong { token } => (*token, 1),
            Content::Unknown => (1, 1),
        };
        if is_number(stream) && is_number(number) { Ok(()) } else { Err(SealError::Bounds("number")) }
    }

    /// Where a text stands: its stream's session, as a feed of its sender.
    pub fn stream_of(from: Id, stream: u64) -> FeedId {
        FeedId { author: from, session: stream }
    }
}
