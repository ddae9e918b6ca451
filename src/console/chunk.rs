//! From bytes to says: where piped text is cut.
//!
//! What one read delivers becomes one say: its complete lines joined by newlines. An unfinished last
//! line waits for its end. What is too long for one say is cut between lines, and a line that is too
//! long by itself within it, marked `part`. So the lines that come out are the lines that went in, for
//! any reads. Pure; owned by whoever reads.

use memchr::{memchr2, memrchr};

use crate::limits::{SAY_TEXT_BYTES_MAX, WHISPER_TEXT_BYTES_MAX};
use crate::room::event::Said;
use crate::wire::record::encoded_byte_bytes;

/// Cuts a stream of bytes into says.
#[derive(Debug, Default)]
pub struct Chunker {
    /// The unfinished line. Below `SAY_TEXT_BYTES_MAX` and what one read brings.
    held: Vec<u8>,
}

impl Chunker {
    /// Takes what one read delivered; gives the lines that are complete now.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut says = Vec::new();
        let Some((complete, rest)) = memrchr(b'\n', bytes).and_then(|end| bytes.split_at_checked(end)) else {
            self.held.extend_from_slice(bytes);
            self.spill(&mut says);
            return says;
        };
        if self.held.is_empty() {
            cut(text_of(complete, true), &mut says);
        } else {
            self.held.extend_from_slice(complete);
            cut(text_of(&self.held, true), &mut says);
            self.held.clear();
        }
        self.held.extend_from_slice(rest.get(1..).unwrap_or_default());
        self.spill(&mut says);
        says
    }

    /// Whether no line has begun and not ended.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The end of the stream: what is held is a line.
    pub fn finish(&mut self) -> Vec<Said> {
        let mut says = Vec::new();
        if !self.held.is_empty() {
            cut(text_of(&self.held, false), &mut says);
            self.held.clear();
        }
        says
    }

    /// A line that outgrows a say while it comes goes out in parts. Its tail stays: the end of a
    /// character or of the line may follow.
    fn spill(&mut self, says: &mut Vec<Said>) {
        if self.held.len() <= SAY_TEXT_BYTES_MAX {
            return;
        }
        let (whole, tail) = self.held.split_at(self.held.len() - unfinished_bytes(&self.held));
        let text = text_of(whole, false);
        let mut rest = text.as_str();
        while is_longer(rest, SAY_TEXT_BYTES_MAX) {
            let (part, behind) = rest.split_at(fitting_bytes(rest, SAY_TEXT_BYTES_MAX));
            says.push(Said { text: part.to_owned(), part: true, ..Said::default() });
            rest = behind;
        }
        self.held = [rest.as_bytes(), tail].concat();
    }
}

/// Cuts a text that came in one piece, as from a terminal.
pub fn split_text(text: &str) -> Vec<Said> {
    let mut says = Vec::new();
    cut(text_of(text.as_bytes(), false), &mut says);
    says
}

/// Cuts a say again where it is too long for a whisper.
pub fn split_whisper(said: Said) -> Vec<Said> {
    let Said { text, action, part, private } = said;
    let mut whispers = Vec::new();
    cut_to(text, WHISPER_TEXT_BYTES_MAX, &mut whispers);
    let last = whispers.len().saturating_sub(1);
    for (index, whisper) in whispers.iter_mut().enumerate() {
        (whisper.action, whisper.private) = (action, private);
        whisper.part |= part && index == last;
    }
    whispers
}

/// Bytes at the end that may belong to what comes next: a carriage return, or the first bytes of a
/// character.
fn unfinished_bytes(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    let start = bytes.iter().rev().take(3).position(|byte| *byte >= 0xc0).map_or(0, |index| index + 1);
    let lead = bytes.len().checked_sub(start).and_then(|index| bytes.get(index));
    let wanted = match lead {
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xff) => 4,
        _ => 0,
    };
    if start < wanted { start } else { 0 }
}

/// Text without NUL, invalid UTF-8 and the CR of CRLF; `ended` says that a newline follows.
fn text_of(bytes: &[u8], ended: bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    if memchr2(0, b'\r', bytes).is_none() {
        return text.into_owned();
    }
    let text = text.replace("\r\n", "\n").replace('\0', "\u{fffd}");
    match text.strip_suffix('\r') {
        Some(trimmed) if ended => trimmed.to_owned(),
        _ => text,
    }
}

/// Cuts lines into as few says as hold them.
fn cut(text: String, says: &mut Vec<Said>) {
    cut_to(text, SAY_TEXT_BYTES_MAX, says);
}

fn cut_to(text: String, bytes_max: usize, says: &mut Vec<Said>) {
    if !is_longer(&text, bytes_max) {
        says.push(Said { text, ..Said::default() });
        return;
    }
    let mut rest = text.as_str();
    while is_longer(rest, bytes_max) {
        let fitting = fitting_bytes(rest, bytes_max);
        // A newline just behind what fits is a cut, too.
        let window = rest.as_bytes().get(..=fitting).unwrap_or(rest.as_bytes());
        let newline = memrchr(b'\n', window);
        let (said, behind) = rest.split_at(newline.unwrap_or(fitting));
        says.push(Said { text: said.to_owned(), part: newline.is_none(), ..Said::default() });
        rest = if newline.is_some() { behind.get(1..).unwrap_or_default() } else { behind };
    }
    says.push(Said { text: rest.to_owned(), ..Said::default() });
}

/// The longest start of a text that fits, at a character's end.
fn fitting_bytes(text: &str, bytes_max: usize) -> usize {
    let mut encoded = 0;
    let fits = text.bytes().position(|byte| {
        encoded += encoded_byte_bytes(byte);
        encoded > bytes_max
    });
    text.floor_char_boundary(fits.unwrap_or(text.len()))
}

fn is_longer(text: &str, bytes_max: usize) -> bool {
    text.len() > bytes_max || encoded_bytes(text) > bytes_max
}

/// What `record::encoded_bytes` counts, with vectors: blocks are short enough for a byte to hold what
/// is added, no branch stands between.
fn encoded_bytes(text: &str) -> usize {
    const BLOCK_BYTES: usize = 32;
    let added = |byte: &u8| {
        let control = u8::from(*byte < 0x20);
        let short = u8::from(matches!(byte, b'\n' | b'\r' | b'\t' | 0x08 | 0x0c));
        5 * control - 4 * short + 5 * u8::from(*byte == b'<') + u8::from(matches!(byte, b'"' | b'\\'))
    };
    let blocks = text.as_bytes().chunks(BLOCK_BYTES);
    text.len() + blocks.map(|block| usize::from(block.iter().map(added).sum::<u8>())).sum::<usize>()
}

const _: () = assert!(SAY_TEXT_BYTES_MAX >= 8, "a say holds any character, however encoded");
