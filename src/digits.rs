//! Lower-case hexadecimal digits: how keys, signatures and proofs are written.
//!
//! One reader and one writer for all of them, by table: a page names hundreds of keys, and every post has a key and a
//! signature. Capitals are refused, so that one thing is written in one way only.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// Stands for a byte that is no digit: it has bits that no digit has.
const NONE: u8 = 0x80;

#[expect(clippy::indexing_slicing, reason = "the compiler computes it")]
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let (mut index, mut value) = (0, 0);
    while index < DIGITS.len() {
        values[DIGITS[index] as usize] = value;
        (index, value) = (index + 1, value + 1);
    }
    values
};

/// The two digits of each byte.
#[expect(clippy::indexing_slicing, reason = "the compiler computes it")]
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Reads so many bytes from twice as many digits. `None` for anything else.
pub(crate) fn read<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != BYTES || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; BYTES];
    let mut seen = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (value(*high), value(*low));
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen & NONE == 0).then_some(bytes)
}

#[expect(clippy::indexing_slicing, reason = "a byte is less than 256")]
fn value(digit: u8) -> u8 {
    VALUES[usize::from(digit)]
}

/// Writes bytes as twice as many digits, into a space of that length.
#[expect(clippy::indexing_slicing, reason = "a byte is less than 256")]
pub(crate) fn write<'a>(bytes: &[u8], space: &'a mut [u8]) -> &'a str {
    let (pairs, _) = space.as_chunks_mut::<2>();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = PAIRS[usize::from(*byte)];
    }
    std::str::from_utf8(space).unwrap_or_default()
}

/// Reads so many bytes from a JSON string of digits.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, const BYTES: usize>(
    deserializer: D,
    what: &'static str,
) -> Result<[u8; BYTES], D::Error> {
    deserializer.deserialize_str(Text::<BYTES>(what))
}

struct Text<const BYTES: usize>(&'static str);

impl<const BYTES: usize> Visitor<'_> for Text<BYTES> {
    type Value = [u8; BYTES];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} lower-case hexadecimal digits", self.0, 2 * BYTES)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        let wrong = || E::custom(format_args!("{} is {} lower-case hexadecimal digits", self.0, 2 * BYTES));
        read(text.as_bytes()).ok_or_else(wrong)
    }
}
