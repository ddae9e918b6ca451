//! JSON as we write it: no `<` but in delimiters.

use std::io;

use serde::Serialize;

/// `serde_json`'s compact output with `<` inside strings written as `\u003c`.
struct NoDelimiter;

impl serde_json::ser::Formatter for NoDelimiter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment.as_bytes();
        while let Some(index) = memchr::memchr(b'<', rest) {
            let (before, after) = rest.split_at(index);
            writer.write_all(before)?;
            writer.write_all(br"\u003c")?;
            rest = after.get(1..).unwrap_or_default();
        }
        writer.write_all(rest)
    }
}

pub(in crate::wire) fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let mut serializer = serde_json::Serializer::with_formatter(out, NoDelimiter);
    value.serialize(&mut serializer).expect("records serialize into memory");
}

/// How many bytes a text takes inside a frame's JSON string, quotes not counted.
pub fn encoded_bytes(text: &str) -> usize {
    text.bytes().map(encoded_byte_bytes).sum()
}

/// How many bytes one byte of UTF-8 takes inside a frame's JSON string.
pub fn encoded_byte_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 | b'<' => 6,
        _ => 1,
    }
}
