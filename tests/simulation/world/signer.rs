//! Signatures that are cheap to make: a run makes more of them than anything else, one for each answer to a mark.
//!
//! They are as good as any, and checked like any other. What a real signer must never do, and this one does, is to use a
//! nonce twice, for different hashes: that gives the key away, here to nobody. So the costly part is done beforehand.

use std::sync::Arc;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::SigningKey;
use hobnob::identity::{Id, Identity};
use sha2::{Digest, Sha512};

/// Different ends of signatures tell copies from forks; so many nonces would do without the hash, too.
const NONCES: usize = 4;

/// The identity of a seed, as `Identity::from_seed` makes it, with another hand.
pub(super) fn identity(seed: &[u8; 32]) -> Identity {
    let key = SigningKey::from_bytes(seed);
    let (id, secret) = (Id(key.verifying_key().to_bytes()), key.to_scalar());
    let nonces: [(Scalar, [u8; 32]); NONCES] = std::array::from_fn(|index| {
        let nonce = wide(&[seed, &[u8::try_from(index).expect("few")]]);
        (nonce, EdwardsPoint::mul_base(&nonce).compress().0)
    });
    let sign = move |hash: &[u8; 32]| {
        let (nonce, commitment) = &nonces[usize::from(hash[0]) % NONCES];
        let proof = nonce + wide(&[commitment, &id.0, hash]) * secret;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(commitment);
        signature[32..].copy_from_slice(&proof.to_bytes());
        signature
    };
    Identity::signing_elsewhere(id, Arc::new(sign))
}

/// A scalar out of a hash of everything.
fn wide(parts: &[&[u8]]) -> Scalar {
    let mut hasher = Sha512::new();
    for part in parts {
        hasher.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hasher.finalize().into())
}
