//! The proof in a hello: an identity's signature over the very link on which it is said.
//!
//! Noise proves that both ends hold the same keys of this one connection; the signature over its hash proves
//! whose they are. A hello that is carried to another link, or to the other side of this one, does not
//! match there.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Domain, Hello};
use crate::digits;
use crate::identity::Identity;

/// What is unlike on every encrypted link, and alike at its two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    /// Noise's handshake hash.
    pub hash: [u8; 32],
    /// Whether this end has dialled.
    pub dialler: bool,
}

/// An Ed25519 signature; in JSON 128 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof(pub [u8; 64]);

impl Serialize for Proof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(digits::write(&self.0, &mut [0; 128]))
    }
}

impl<'de> Deserialize<'de> for Proof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        digits::deserialize(deserializer, "a proof").map(Self)
    }
}

impl Channel {
    /// Proves that this end is that identity.
    pub fn prove(&self, domain: &Domain, identity: &Identity) -> Proof {
        Proof(identity.sign(self.signed(domain, self.dialler).as_bytes()))
    }

    /// Whether the other end is who its hello says.
    pub fn is_proved(&self, domain: &Domain, hello: &Hello) -> bool {
        let hash = self.signed(domain, !self.dialler);
        hello.proof.is_some_and(|proof| hello.id.verify(hash.as_bytes(), &proof.0))
    }

    fn signed(&self, domain: &Domain, dialler: bool) -> blake3::Hash {
        let role: &[u8] = if dialler { b"dialler" } else { b"dialled" };
        domain.link.clone().update(role).update(&self.hash).finalize()
    }
}
