//! Who a node is: an Ed25519 key pair, its public half as the id, and the file that keeps it.
//!
//! An identity belongs to a nick, so three terminals with three nicks on one machine are three
//! people. Key files hold the 32 byte seed as 64 hexadecimal digits and a newline, and are
//! [private]. The secret half never leaves this module, and is wiped from memory when the last
//! copy of the identity goes.

use std::cmp::Ordering;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use crate::digits;
use crate::limits::KEY_FILE_BYTES_MAX;
use crate::private::{self, Fault, FileError};

/// A public key: who somebody is. Shown as 64 hexadecimal digits, abbreviated to 8 for people.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(pub [u8; 32]);

/// Of two keys the first bytes nearly always differ, and most maps of a room are sorted by keys.
impl Ord for Id {
    fn cmp(&self, other: &Self) -> Ordering {
        self.head().cmp(&other.head()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Id {
    fn head(&self) -> u64 {
        self.0.first_chunk().map_or(0, |head| u64::from_be_bytes(*head))
    }

    /// Reads 64 lower-case hexadecimal digits. `None` for anything else.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        digits::read(text).map(Self)
    }

    /// The first eight digits, enough for a person to tell two people apart.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }

    /// Checks a signature by this key over a hash, strictly (RFC 8032 with the small-order and
    /// malleability checks of `verify_strict`).
    pub fn verify(&self, hash: &[u8; 32], signature: &[u8; 64]) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .is_ok_and(|key| key.verify_strict(hash, &Signature::from_bytes(signature)).is_ok())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(digits::write(&self.0, &mut [0; 64]))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(digits::write(&self.0, &mut [0; 64]))
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        digits::deserialize(deserializer, "an id").map(Self)
    }
}

/// Makes a signature over a hash.
pub type Sign = dyn Fn(&[u8; 32]) -> [u8; 64] + Send + Sync;

/// What signs.
#[derive(Clone)]
enum Key {
    /// In one place of the heap, however often an identity is moved or cloned.
    Here(Arc<SigningKey>),
    Elsewhere(Arc<Sign>),
}

/// A key pair. `Debug` shows the public half only.
#[derive(Clone)]
pub struct Identity {
    key: Key,
    id: Id,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.id).finish()
    }
}

/// Why an identity could not be had. Each ends the start of the program (exit code 2).
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("key file {0}; --identity FILE keeps the key elsewhere, and --ephemeral keeps none")]
    File(FileError),
    /// The file is not as private as a key has to be.
    #[error("key file {0}, or remove it to become somebody new")]
    Exposed(FileError),
    /// The file does not hold a key.
    #[error(
        "key file {path} is damaged: it does not hold 64 hexadecimal digits; restore it, or remove it to become somebody new"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// There is no home folder to keep a key in.
    #[error("no home folder to keep the key in: set HOME, or use --identity FILE or --ephemeral")]
    Homeless,
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
}

impl Identity {
    /// The identity of a given seed; for tests and the simulator.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let id = Id(key.verifying_key().to_bytes());
        Self { key: Key::Here(Arc::new(key)), id }
    }

    /// One whose secret half somebody else holds and signs with; for the simulator. It can be kept in no file.
    pub fn signing_elsewhere(id: Id, sign: Arc<Sign>) -> Self {
        Self { key: Key::Elsewhere(sign), id }
    }

    /// A new identity that is kept nowhere.
    pub fn ephemeral() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(IdentityError::Random)?;
        Ok(Self::from_seed(&seed))
    }

    /// The public half.
    pub fn id(&self) -> Id {
        self.id
    }

    /// A secret of this identity's for one purpose: BLAKE3's key derivation from its secret half. One whose secret half
    /// is elsewhere has none, and gets one that anybody can compute.
    pub fn derive(&self, context: &str) -> Zeroizing<[u8; 32]> {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        match &self.key {
            Key::Here(key) => hasher.update(key.as_bytes()),
            Key::Elsewhere(_) => hasher.update(&self.id.0),
        };
        let derived = Zeroizing::new(*hasher.finalize().as_bytes());
        hasher.zeroize();
        derived
    }

    /// Signs a hash.
    pub fn sign(&self, hash: &[u8; 32]) -> [u8; 64] {
        match &self.key {
            Key::Here(key) => key.sign(hash).to_bytes(),
            Key::Elsewhere(sign) => sign(hash),
        }
    }

    /// The identity kept in a file; where there is none, a new one is made and kept there.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        match Self::load(path) {
            Err(IdentityError::File(error)) if error.is_missing() => {
                let made = Self::ephemeral()?;
                match made.save(path) {
                    // Another process made one at the same moment: that one counts.
                    Err(FileError { fault: Fault::Io(error), .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load(path)
                    }
                    Err(error) => Err(IdentityError::File(error)),
                    Ok(()) => Ok(made),
                }
            }
            other => other,
        }
    }

    /// Keeps this identity in another file, too; where there is a key already, that stays. Whose it is now.
    pub fn keep_also(&self, path: &Path) -> Result<Id, IdentityError> {
        match self.save(path) {
            Err(FileError { fault: Fault::Io(error), .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(Self::load(path)?.id)
            }
            Err(error) => Err(IdentityError::File(error)),
            Ok(()) => Ok(self.id),
        }
    }

    /// The identity that a file keeps, which has to be there.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let damaged = || IdentityError::Damaged { path: path.to_owned() };
        let text = private::read(path, KEY_FILE_BYTES_MAX).map_err(|error| match error.fault {
            Fault::TooLong { .. } => damaged(),
            Fault::Exposed { .. } | Fault::Foreign { .. } => IdentityError::Exposed(error),
            Fault::Io(_) | Fault::Irregular => IdentityError::File(error),
        })?;
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim_ascii(), &mut *seed).map_err(|_| damaged())?;
        Ok(Self::from_seed(&seed))
    }

    fn save(&self, path: &Path) -> Result<(), FileError> {
        let Key::Here(key) = &self.key else {
            let fault = Fault::Io(io::ErrorKind::Unsupported.into());
            return Err(FileError { path: path.to_owned(), fault });
        };
        let mut text = Zeroizing::new([b'\n'; 65]);
        let (digits, _) = text.split_at_mut(64);
        // 32 bytes fill 64 digits.
        let _ = hex::encode_to_slice(key.as_bytes(), digits);
        private::create(path, text.as_slice())
    }
}

/// Where the key for a nick is kept: `hobnob/keys/NICK.key` under the XDG data folder. Characters
/// that mean something in a path are written as their code.
pub fn key_path(nick: &str) -> Result<PathBuf, IdentityError> {
    use std::fmt::Write;

    let mut name = String::new();
    for letter in nick.chars() {
        if letter.is_alphanumeric() || "_-+".contains(letter) {
            name.push(letter);
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "%{:x}", u32::from(letter));
        }
    }
    Ok(data_folder()?.join("keys").join(format!("{name}.key")))
}

/// Where this program keeps what lasts: `hobnob` under the XDG data folder.
pub fn data_folder() -> Result<PathBuf, IdentityError> {
    use etcetera::base_strategy::{BaseStrategy, Xdg};
    let base = Xdg::new().map_err(|_| IdentityError::Homeless)?;
    Ok(base.data_dir().join("hobnob"))
}
