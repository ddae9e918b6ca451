//! The one gate that text from others passes on its way to a terminal, a log or plain stdout.
//!
//! What a terminal would obey, and what would lie about the order or the existence of characters, is
//! shown instead: control characters as pictures (`␛`), the rest as `<U+202E>`. Marks that pile up on
//! one character are cut. Printable text comes out as it went in, at the speed of a copy. JSON output
//! does not come through here: it has the exact text. Pure; any thread.

use std::fmt::Write as _;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

/// Marks kept on one character. Written languages need up to about five, flags and emoji fewer; more
/// is a tower over other lines. Beyond it the rest is dropped.
pub const MARKS_PER_CHARACTER_MAX: usize = 8;

/// What a tab becomes; real tab stops would depend on the prefix of the line.
const TAB: &str = "    ";

/// The text as it may be shown, on one line: a newline is shown as `␊`.
pub fn filter(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_filtered(&mut out, text);
    out
}

/// The same, appended to `out`.
pub fn push_filtered(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    for grapheme in text.graphemes(true) {
        push_grapheme(out, grapheme);
    }
}

/// Whether a text is printable ASCII, newlines apart: the fast path. No early exit within a block, so
/// that the compiler uses vectors.
pub fn is_plain_lines(text: &str) -> bool {
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) || *byte == b'\n';
    text.as_bytes().chunks(256).all(|block| block.iter().fold(true, |all, byte| all & plain(byte)))
}

fn is_plain(text: &str) -> bool {
    text.as_bytes().chunks(256).all(|block| block.iter().fold(true, |all, byte| all & (0x20..0x7f).contains(byte)))
}

fn push_grapheme(out: &mut String, grapheme: &str) {
    // Only a grapheme that comes out whole keeps its joiners: cut, it would fall into pieces.
    let crowded = grapheme.chars().filter(|letter| is_mark(*letter)).count() > MARKS_PER_CHARACTER_MAX;
    let whole = !crowded && !grapheme.chars().any(|letter| letter != JOINER && is_hidden(letter));
    let mut marks = 0;
    let mut rest = grapheme.chars();
    let mut first = true;
    while let Some(letter) = rest.next() {
        if letter == JOINER && whole && !first && rest.clone().any(|next| next != JOINER && !is_mark(next)) {
            out.push(letter);
        } else if is_hidden(letter) {
            push_shown(out, letter);
        } else if is_mark(letter) {
            marks += 1;
            if marks <= MARKS_PER_CHARACTER_MAX {
                out.push(letter);
            }
        } else {
            out.push(letter);
        }
        first = false;
    }
}

/// Between two emoji, or in Indic clusters, it makes one of them; elsewhere it is invisible.
const JOINER: char = '\u{200d}';

/// Takes no cell of its own, and is not one of those shown instead.
fn is_mark(letter: char) -> bool {
    !is_hidden(letter) && letter.width() == Some(0)
}

/// Must never reach a terminal as it is; the joiner only inside a cluster.
pub fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' // C0, DEL, C1
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' // invisible
        | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' // bidi, zero width
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' // fillers, byte order mark
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' // shorthand and music formatting
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}') // tags
}

fn push_shown(out: &mut String, letter: char) {
    let code = u32::from(letter);
    match code {
        0x09 => out.push_str(TAB),
        0x00..=0x1f => out.push(char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        0x7f => out.push('\u{2421}'),
        _ => {
            let _ = write!(out, "<U+{code:04X}>");
        }
    }
}
