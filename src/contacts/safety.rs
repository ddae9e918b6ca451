//! The safety number of two people: what both see if nobody sits between them.

use crate::identity::Id;
use crate::limits::{SAFETY_GROUP_DIGITS, SAFETY_GROUPS};

/// What is hashed is a pair of keys, and nothing else is hashed so.
const CONTEXT: &str = "hobnob 1 safety number";

/// Eight groups of five digits, the same whichever of the two asks. Somebody between them needs two keys of his own
/// with which the pairs have one number: some 2^66 tries, as for any two pairs that are free to choose.
pub fn safety_number(one: &Id, other: &Id) -> String {
    let (low, high) = if one.0 <= other.0 { (one, other) } else { (other, one) };
    let mut digest = blake3::Hasher::new_derive_key(CONTEXT).update(&low.0).update(&high.0).finalize_xof();
    let group = || {
        let mut bytes = [0; 8];
        digest.fill(&mut bytes);
        // Of 2^64 numbers each remainder has as many but for one in 10^14.
        let number = u64::from_be_bytes(bytes) % 10_u64.pow(SAFETY_GROUP_DIGITS);
        format!("{number:0width$}", width = SAFETY_GROUP_DIGITS as usize)
    };
    std::iter::repeat_with(group).take(SAFETY_GROUPS).collect::<Vec<String>>().join(" ")
}
