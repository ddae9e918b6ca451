//! The one gate that text from others passes on its way to a terminal, a log or plain stdout.
//!
//! What a terminal would obey, and what would lie about the order or the existence of characters, is
//! shown instead: control characters as pictures (`␛`), the rest as `<U+202E>`. Marks that pile up on
//! one character are cut. Printable text comes out as it went in, at the speed of a copy. JSON output
//! does not come through here: it has the exact text. Pure; any thread.

use std::fmt::Write as _;

use unicode_normalization::char::canonical_combining_class;
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
    let mut graphemes = text.graphemes(true).peekable();
    while let Some(grapheme) = graphemes.next() {
        push_grapheme(out, grapheme, graphemes.peek().and_then(|next| next.chars().next()));
    }
}

/// A name as it may be shown. Beyond what holds for text, nothing in it looks like a space.
pub fn filter_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for part in name.split_inclusive(is_blank) {
        let whole = part.strip_suffix(is_blank);
        push_filtered(&mut out, whole.unwrap_or(part));
        if let Some(blank) = part.chars().next_back().filter(|_| whole.is_some()) {
            push_shown(&mut out, blank);
        }
    }
    out
}

/// Takes cells and no ink.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || letter == '\u{2800}'
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

/// `next` is what the grapheme behind begins with.
fn push_grapheme(out: &mut String, grapheme: &str, next: Option<char>) {
    let letters: Vec<char> = grapheme.chars().collect();
    // Only a grapheme that comes out whole keeps what joins or parts its letters: cut, it would fall into pieces.
    let crowded = letters.iter().filter(|letter| is_mark(**letter)).count() > MARKS_PER_CHARACTER_MAX;
    let fits = |index: usize| fits(&letters, index, next);
    let ordinary = |letter: char| !is_hidden(letter) && !is_selector(letter);
    let whole = !crowded && letters.iter().enumerate().all(|(index, letter)| ordinary(*letter) || fits(index));
    let mut based = false;
    let mut marks = 0;
    for (index, letter) in letters.iter().enumerate() {
        if is_mark(*letter) {
            // Without a letter to sit on it would sit on what was there before; this text has no say in that.
            let stray = is_selector(*letter) && !fits(index);
            if !based || stray {
                push_shown(out, *letter);
            } else if marks < MARKS_PER_CHARACTER_MAX {
                marks += 1;
                out.push(*letter);
            }
        } else if is_hidden(*letter) && !(whole && fits(index)) {
            push_shown(out, *letter);
        } else {
            out.push(*letter);
            based = true;
        }
    }
}

/// Whether one of the letters that are seen by what they do, and not by themselves, does something here.
fn fits(letters: &[char], index: usize, next: Option<char>) -> bool {
    let (before, behind) = letters.split_at_checked(index).unwrap_or_default();
    let Some((letter, behind)) = behind.split_first() else { return false };
    match *letter {
        JOINER => !before.is_empty() && behind.iter().any(|next| *next != JOINER && !is_mark(*next)),
        NON_JOINER => behind.is_empty() && next.is_some_and(|next| parts(before, next)),
        selector if is_selector(selector) => is_selectable(before, behind),
        _ => false,
    }
}

/// Between two emoji, or in Indic clusters, it makes one of them; elsewhere it is invisible.
const JOINER: char = '\u{200d}';

/// Keeps letters apart that would run into each other: Persian needs it within words, Indic scripts behind
/// a virama; elsewhere it is invisible.
const NON_JOINER: char = '\u{200c}';

fn parts(before: &[char], next: char) -> bool {
    // A mark without a letter to sit on is shown, and nothing runs into that.
    let Some(first) = before.first().filter(|first| !is_mark(**first)) else { return false };
    // The scripts of India have a block of 128 code points each, from U+0900 on.
    let same_block = *first >= '\u{900}' && u32::from(*first) / 128 == u32::from(next) / 128;
    let behind_virama = before.last().is_some_and(|last| canonical_combining_class(*last) == VIRAMA);
    (behind_virama && same_block && next.is_alphabetic()) || (is_cursive(*first) && is_cursive(next))
}

/// The combining class of the marks that take a letter's vowel away.
const VIRAMA: u8 = 9;

/// Letters whose shape depends on those beside them: Arabic, Syriac, N'Ko, Mandaic, Mongolian.
fn is_cursive(letter: char) -> bool {
    letter.is_alphabetic()
        && matches!(letter,
            '\u{600}'..='\u{77f}' | '\u{7c0}'..='\u{7ff}' | '\u{840}'..='\u{8ff}' | '\u{1800}'..='\u{18af}')
}

/// Chooses between two ways to draw the letter before it.
fn is_selector(letter: char) -> bool {
    matches!(letter, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// There is nothing to choose for ASCII letters, nor twice; digits become keys (`1️⃣`).
fn is_selectable(before: &[char], behind: &[char]) -> bool {
    before.last().is_some_and(|last| match last {
        '0'..='9' => behind.first() == Some(&'\u{20e3}'),
        last => !last.is_ascii_alphabetic() && !is_mark(*last) && !is_hidden(*last),
    })
}

/// Takes no cell of its own, and is not one of those shown instead.
fn is_mark(letter: char) -> bool {
    !is_hidden(letter) && letter.width() == Some(0)
}

/// Must never reach a terminal as it is; the joiner and its contrary only where they do something.
pub fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' // C0, DEL, C1
        | '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}' // invisible
        | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' // bidi, zero width
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' // fillers, byte order mark
        | '\u{13430}'..='\u{1343f}' // hieroglyph formatting
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
