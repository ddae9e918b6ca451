//! Where a text speaks of us: the own nick, as a word, in whatever case. Pure.
//!
//! A word ends where no letter, digit, joiner or `_` goes on and no mark belongs to its last letter, so "bobby" is not
//! "bob". Whoever writes "bob" means the one of that nick, whatever looks like it.

use std::ops::Range;

use memchr::memchr2;
use unicode_segmentation::GraphemeCursor;

use crate::identity::Id;
use crate::room::event::{Event, Person};
use crate::wire::record::Post;

/// The nick that is looked for: the own one.
#[derive(Debug, Clone)]
pub struct Mention {
    me: Id,
    /// In letters without case.
    nick: Vec<char>,
    /// What it begins with, small and large, where that is ASCII.
    first: Option<[u8; 2]>,
    ends: [bool; 2],
}

impl Mention {
    /// Looks for the nick of this identity.
    pub fn of(me: &Person) -> Self {
        let nick = me.nick.as_str();
        let first = nick.bytes().next().filter(u8::is_ascii);
        Self {
            me: me.id,
            nick: nick.chars().flat_map(caseless).collect(),
            first: first.map(|byte| [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()]),
            ends: [nick.chars().next(), nick.chars().next_back()].map(|letter| letter.is_some_and(goes_on)),
        }
    }

    /// Keeps up with the own nick.
    pub fn follow(&mut self, event: &Event) {
        if let Event::Renamed { member, .. } = event
            && member.id == self.me
        {
            *self = Self::of(member);
        }
    }

    /// Whether somebody else speaks of us.
    pub fn is_in(&self, post: &Post) -> bool {
        post.feed.author != self.me && self.find(&post.text(), 0).is_some()
    }

    /// Where it stands first, from a place in the text on.
    pub fn find(&self, text: &str, mut from: usize) -> Option<Range<usize>> {
        loop {
            let start = self.candidate(text, from)?;
            if let Some(end) = self.end_at(text, start) {
                return Some(start..end);
            }
            from = start + text.get(start..)?.chars().next()?.len_utf8();
        }
    }

    /// The next place where it may begin.
    fn candidate(&self, text: &str, from: usize) -> Option<usize> {
        let rest = text.get(from..)?;
        let at = match self.first {
            Some([small, large]) => memchr2(small, large, rest.as_bytes())?,
            None => rest.char_indices().find(|(_, letter)| caseless(*letter).next() == self.nick.first().copied())?.0,
        };
        Some(from + at)
    }

    /// Where it ends, if it stands there as a word.
    fn end_at(&self, text: &str, start: usize) -> Option<usize> {
        let (before, behind) = text.split_at_checked(start)?;
        let [begins, ends] = self.ends;
        if begins && before.chars().next_back().is_some_and(goes_on) {
            return None;
        }
        let mut wanted = self.nick.iter();
        let mut end = start;
        for letter in behind.chars() {
            if wanted.as_slice().is_empty() {
                break;
            }
            if !caseless(letter).all(|letter| wanted.next() == Some(&letter)) {
                return None;
            }
            end += letter.len_utf8();
        }
        let next = text.get(end..)?.chars().next();
        let whole = wanted.as_slice().is_empty() && !(ends && next.is_some_and(goes_on));
        (whole && is_between(text, start) && is_between(text, end)).then_some(end)
    }
}

/// Whether it is a part of the word beside it. Joiners shape the letters on both sides, and two halves are a flag.
fn goes_on(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '\u{200c}' | '\u{200d}' | '\u{1f1e6}'..='\u{1f1ff}')
}

/// A letter without its case; some become two.
fn caseless(letter: char) -> impl Iterator<Item = char> {
    letter.to_uppercase().flat_map(char::to_lowercase)
}

/// Whether no character of the text has parts on both sides.
fn is_between(text: &str, index: usize) -> bool {
    GraphemeCursor::new(index, text.len(), true).is_boundary(text, 0).unwrap_or(false)
}
