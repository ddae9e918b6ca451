//! What a nick looks like: two nicks whose skeletons meet are taken for one another by the eye.
//!
//! After UTS 39, section 4, whose table of confusable characters knows the look-alikes of all scripts
//! (Cyrillic `а`, full-width and mathematical letters, `rn` for `m`). Beyond it case, accents and what
//! takes no ink make no difference here, nor do `i`, `l` and `1`, or `w` and `vv`, that some fonts draw
//! alike. It is meant to find too much rather than too little: what follows is a tag behind a name.
//! Pure. Nothing of it goes over a link, so nodes may differ in their tables.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_security::skeleton;

/// What a nick looks like, in two ways: a Greek `ΒΟΒ` is drawn as `BOB`, and spelt as `βοβ`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skeleton {
    drawn: String,
    spelt: String,
}

impl Skeleton {
    /// The skeleton of a nick.
    pub fn of(nick: &str) -> Self {
        Self { drawn: look(nick), spelt: look(&folded(nick)) }
    }

    /// Whether two nicks look alike.
    pub fn meets(&self, other: &Self) -> bool {
        self.forms().any(|form| other.forms().any(|theirs| form == theirs))
    }

    /// One form or two; nicks that have one in common look alike.
    pub fn forms(&self) -> impl Iterator<Item = &str> {
        let spelt = Some(self.spelt.as_str()).filter(|spelt| *spelt != self.drawn);
        std::iter::once(self.drawn.as_str()).chain(spelt)
    }

    /// Whether the nick cannot stand alone: nothing of it is seen, or it may end like a key tag.
    pub fn is_elusive(&self) -> bool {
        self.drawn.is_empty() || self.drawn.contains('#')
    }
}

/// Strokes, then case, twice: `M` is `m` only without its case, and `m` then is `rn`.
fn look(nick: &str) -> String {
    let text = folded(&strokes(&folded(&strokes(nick))));
    let mut out = String::with_capacity(text.len());
    for letter in text.chars().filter(|letter| !letter.is_whitespace()) {
        match letter {
            'i' => out.push('l'),
            'w' => out.push_str("vv"),
            _ => out.push(letter),
        }
    }
    out
}

fn strokes(text: &str) -> String {
    let plain: String = skeleton(text).collect();
    plain.nfkd().filter(|letter| !is_accent(*letter)).map(enlarged).collect()
}

/// Full case folding but for a few letters, by way of the upper case: `ς` and `σ` are one, so are `ß` and `ss`.
fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// A mark above, below or across a letter. Those of the classes 6 to 9 make another letter of it, as
/// in Hindi and Japanese.
fn is_accent(letter: char) -> bool {
    !matches!(canonical_combining_class(letter), 0 | 6..=9)
}

/// Small capitals, which are letters of their own; the table also makes them of Cyrillic ones.
fn enlarged(letter: char) -> char {
    match letter {
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴄ' => 'c',
        'ᴅ' => 'd',
        'ᴇ' => 'e',
        'ꜰ' => 'f',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ɪ' => 'i',
        'ᴊ' => 'j',
        'ᴋ' => 'k',
        'ʟ' => 'l',
        'ᴍ' | 'ʍ' => 'm',
        'ɴ' => 'n',
        'ᴏ' => 'o',
        'ᴘ' => 'p',
        'ʀ' => 'r',
        'ꜱ' => 's',
        'ᴛ' => 't',
        'ᴜ' => 'u',
        'ᴠ' => 'v',
        'ᴡ' => 'w',
        'ʏ' => 'y',
        'ᴢ' => 'z',
        _ => letter,
    }
}
