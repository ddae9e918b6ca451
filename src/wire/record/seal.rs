//! Signatures: what is signed is what is sent.
//!
//! A signed frame ends in `,"sig":"`, 128 digits and `"}`; the signature is Ed25519 over the BLAKE3
//! hash of a domain string and every byte before. The end has a fixed length, so nothing can be
//! added to a frame by those who pass it on.

use std::fmt;

use super::super::Frame;
use super::super::frame::MESSAGE_END;
use super::RecordError;
use crate::digits;
use crate::identity::{Id, Identity};
use crate::limits::FRAME_BYTES_MAX;

/// The room as signatures see it: a post is bound to its room's name, so that nobody can carry it
/// into another one.
#[derive(Clone)]
pub struct Domain {
    pub(super) post: blake3::Hasher,
    pub(super) ack: blake3::Hasher,
    pub(super) link: blake3::Hasher,
    pub(super) hub: blake3::Hasher,
    sealing: blake3::Hasher,
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Domain")
    }
}

impl Domain {
    /// The domain of a room.
    pub fn of_room(room: &str) -> Self {
        let start = |what: &str| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(format!("hobnob {what} 1 {room}\n").as_bytes());
            hasher
        };
        Self {
            post: start("post"),
            ack: start("ack"),
            link: start("link"),
            hub: start("hub"),
            sealing: start("sealing"),
        }
    }

    /// Before what an identity signs of its sealing key.
    pub(in crate::wire) fn sealing(&self) -> &blake3::Hasher {
        &self.sealing
    }
}

/// `,"sig":"`, 128 digits, `"}` and the delimiter: how every signed frame ends.
const SIG_START: &[u8] = br#","sig":""#;
const SIG_HEX_BYTES: usize = 128;
const SIG_TAIL_BYTES: usize = SIG_START.len() + SIG_HEX_BYTES + 2 + MESSAGE_END.len();

/// The signed bytes of a frame, and the signature.
pub(super) fn split_signature(frame: &[u8]) -> Option<(&[u8], [u8; 64])> {
    let (signed, tail) = frame.split_at_checked(frame.len().checked_sub(SIG_TAIL_BYTES)?)?;
    let digits = tail.strip_prefix(SIG_START)?.strip_suffix(MESSAGE_END)?.strip_suffix(br#""}"#)?;
    Some((signed, digits::read(digits)?))
}

/// Closes a record with its signature and delimiter.
pub(super) fn seal(mut out: Vec<u8>, domain: &blake3::Hasher, identity: &Identity) -> Frame {
    let hash = domain.clone().update(&out).finalize();
    out.extend_from_slice(SIG_START);
    let signature = identity.sign(hash.as_bytes());
    out.extend_from_slice(digits::write(&signature, &mut [0; SIG_HEX_BYTES]).as_bytes());
    out.extend_from_slice(br#""}"#);
    out.extend_from_slice(MESSAGE_END);
    out.into()
}

pub(super) fn check_seal(frame: &[u8], domain: &blake3::Hasher, author: &Id) -> Result<(), RecordError> {
    let (signed, signature) = split_signature(frame).ok_or(RecordError::Layout)?;
    let hash = domain.clone().update(signed).finalize();
    if author.verify(hash.as_bytes(), &signature) { Ok(()) } else { Err(RecordError::Signature) }
}

const _: () = assert!(SIG_TAIL_BYTES < FRAME_BYTES_MAX, "a signature fits a frame");
