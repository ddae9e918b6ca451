//! The secret of a room: 32 bytes without which nobody gets a link into it.
//!
//! A room key, as people keep it in a file or a variable, is either a random key, which is the secret
//! itself, or a passphrase, from which it is computed with Argon2id, slowly, and differently for each room. A
//! random key begins with `hobnobkey1`; what does not begin with `hobnobkey` and a digit is a passphrase. Nothing here prints a secret, and
//! what holds one is wiped when it goes.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::{
    PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN, PASSPHRASE_CHARS_STRONG, PASSPHRASE_LANES, PASSPHRASE_MEMORY_KIB,
    PASSPHRASE_PASSES,
};
use crate::token::{self, KEY_WORD, TICKET_WORDS, TokenError};

/// Before the room's name in what the salt is the BLAKE3 hash of.
const SALT_DOMAIN: &[u8] = b"hobnob 1 passphrase\n";

/// What proves that somebody belongs into a room.
#[derive(Clone, PartialEq, Eq)]
pub struct RoomSecret(Zeroizing<[u8; 32]>);

impl fmt::Debug for RoomSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoomSecret")
    }
}

impl RoomSecret {
    /// A new one, from the system's random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut secret = Self(Zeroizing::new([0; 32]));
        getrandom::fill(&mut *secret.0)?;
        Ok(secret)
    }

    /// The one with these bytes; `None` where they are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self(Zeroizing::new([0; 32]));
        if bytes.len() != secret.0.len() {
            return None;
        }
        secret.0.copy_from_slice(bytes);
        Some(secret)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The line that stands for it in a file.
    pub fn to_line(&self) -> Zeroizing<String> {
        token::encode(KEY_WORD, token::VERSION, self.bytes())
    }
}

/// A room key as it was given.
#[derive(Clone, PartialEq, Eq)]
pub enum RoomKey {
    /// The secret itself.
    Random(RoomSecret),
    /// Words that it is computed from.
    Passphrase(Zeroizing<String>),
}

impl fmt::Debug for RoomKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RoomKey::Random(_) => "RoomKey::Random",
            RoomKey::Passphrase(_) => "RoomKey::Passphrase",
        })
    }
}

/// Why something is no room key. Ends the start of the program (exit code 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RoomKeyError {
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// A random key that was cut short or changed.
    #[error("is no random key: {0}")]
    Key(TokenError),
    /// A ticket.
    #[error("is a ticket, not a key: give it by --ticket FILE")]
    Ticket,
    /// Bytes that are no text.
    #[error("is not text")]
    Binary,
    /// Several lines, or characters that nobody types.
    #[error("has more than one line, or control characters")]
    Control,
    /// So short that it is soon guessed.
    #[error("is a passphrase of fewer than {PASSPHRASE_CHARS_MIN} characters, which is soon guessed")]
    Short,
    /// Longer than anybody types.
    #[error("is a passphrase of more than {PASSPHRASE_BYTES_MAX} bytes")]
    Long,
}

impl RoomKey {
    /// Understands what a file or a variable holds. One newline at its end does not count.
    pub fn parse(bytes: &[u8]) -> Result<Self, RoomKeyError> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| RoomKeyError::Binary)?;
        if text.trim().is_empty() {
            return Err(RoomKeyError::Empty);
        }
        if token::is_meant(&TICKET_WORDS, text.trim()) {
            return Err(RoomKeyError::Ticket);
        }
        if is_random(text.trim()) {
            let (_, bytes) = token::decode(KEY_WORD, &[token::VERSION], text.trim()).map_err(RoomKeyError::Key)?;
            let secret = RoomSecret::from_bytes(&bytes).ok_or(RoomKeyError::Key(TokenError::Senseless))?;
            return Ok(RoomKey::Random(secret));
        }
        if text.contains(char::is_control) {
            return Err(RoomKeyError::Control);
        }
        if text.len() > PASSPHRASE_BYTES_MAX {
            return Err(RoomKeyError::Long);
        }
        if text.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(RoomKeyError::Short);
        }
        Ok(RoomKey::Passphrase(Zeroizing::new(text.to_owned())))
    }

    /// Whether it may be guessed by somebody who has time.
    pub fn is_weak(&self) -> bool {
        matches!(self, RoomKey::Passphrase(words) if words.chars().count() < PASSPHRASE_CHARS_STRONG)
    }

    /// The secret that it gives a room. Of a passphrase that takes a moment, on purpose.
    pub fn secret(&self, room: &str) -> RoomSecret {
        match self {
            RoomKey::Random(secret) => secret.clone(),
            RoomKey::Passphrase(words) => stretched(words, room),
        }
    }
}

/// Whether a key is meant, whole or not: no damaged one becomes a passphrase.
fn is_random(text: &str) -> bool {
    let version = text.split_at_checked(KEY_WORD.len()).filter(|(word, _)| word.eq_ignore_ascii_case(KEY_WORD));
    version.is_some_and(|(_, rest)| rest.starts_with(|digit: char| digit.is_ascii_digit()))
}

fn stretched(words: &str, room: &str) -> RoomSecret {
    let params = Params::new(PASSPHRASE_MEMORY_KIB, PASSPHRASE_PASSES, PASSPHRASE_LANES, Some(32));
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.expect("costs that Argon2 allows"));
    let salt = blake3::Hasher::new().update(SALT_DOMAIN).update(room.as_bytes()).finalize();
    let mut secret = RoomSecret(Zeroizing::new([0; 32]));
    let done = argon.hash_password_into(words.as_bytes(), salt.as_bytes(), &mut *secret.0);
    done.expect("a passphrase, a salt and a secret have lengths that Argon2 allows");
    secret
}
