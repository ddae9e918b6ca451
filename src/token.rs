//! One line that people pass on: a word, a version and some bytes, as one run of small letters and digits.
//!
//! `WORD VERSION LETTERS`, without the spaces: the version is a digit, the letters are base32 (RFC 4648, without padding, in small
//! letters) of the count of the bytes (two, big-endian), the bytes, and four more to check them: the first of
//! BLAKE3 over the word, the version and the bytes. So a line that was cut short or mistyped is told from
//! one that was not, one double click marks all of it, and no shell, URL or chat changes it.

use data_encoding::BASE32_NOPAD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::TOKEN_BYTES_MAX;

/// What a ticket without a secret begins with.
pub(crate) const OPEN_WORD: &str = "hobnob";

/// What one with a secret begins with.
pub(crate) const SECRET_WORD: &str = "hobnobsecret";

/// Both.
pub(crate) const TICKET_WORDS: [&str; 2] = [OPEN_WORD, SECRET_WORD];

/// What a random room key begins with.
pub(crate) const KEY_WORD: &str = "hobnobkey";

/// The version that follows the word: of a room key, and of a ticket with one host.
pub(crate) const VERSION: char = '1';

/// The version of a ticket with several hosts.
pub(crate) const SEVERAL_VERSION: char = '2';

/// The bytes that count the others, and those that check them.
const COUNT_BYTES: usize = 2;
const CHECK_BYTES: usize = 4;

/// Letters that are five whole bytes, among them the count.
const HEAD_LETTERS: usize = 8;

/// Letters behind the version from which on a word is not a host's name that happens to look so.
const LETTERS_TELLING: usize = 16;

/// Why a line is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It begins with something else.
    #[error("begins otherwise")]
    Foreign,
    /// Made by a later hobnob.
    #[error("of version {0}, which this program does not know: a later hobnob made it")]
    Version(char),
    /// Far longer than any.
    #[error("longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Something that none has.
    #[error("has the character {0:?}, and only small letters and the digits 2 to 7 are used")]
    Letter(char),
    /// Its end is missing.
    #[error("incomplete: copy the whole line")]
    Incomplete,
    /// There is more behind its end.
    #[error("goes on behind its end: copy the line alone")]
    Surplus,
    /// Some of its letters are wrong.
    #[error("mistyped: the letters do not fit together")]
    Mistyped,
    /// Whole, but without meaning.
    #[error("made wrongly: what it holds makes no sense")]
    Senseless,
}

/// Makes a line.
pub(crate) fn encode(word: &str, version: char, bytes: &[u8]) -> Zeroizing<String> {
    let count = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let whole = Zeroizing::new([&count, bytes, &check(word, version, bytes)].concat());
    let mut letters = Zeroizing::new(vec![0; BASE32_NOPAD.encode_len(whole.len())]);
    BASE32_NOPAD.encode_mut(&whole, &mut letters);
    letters.make_ascii_lowercase();
    // Room for all of it from the start: a string that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(word.len() + 1 + letters.len()));
    line.push_str(word);
    line.push(version);
    line.extend(letters.iter().map(|letter| char::from(*letter)));
    line
}

/// The version and the bytes of a line that begins with this word, where the version is one of these.
pub(crate) fn decode(word: &str, versions: &[char], line: &str) -> Result<(char, Zeroizing<Vec<u8>>), TokenError> {
    if line.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let rest = line.strip_prefix(word).ok_or(TokenError::Foreign)?;
    let mut letters = rest.chars();
    let version = match letters.next() {
        Some(version) if versions.contains(&version) => version,
        Some(other) if other.is_ascii_digit() => return Err(TokenError::Version(other)),
        Some(_) => return Err(TokenError::Foreign),
        None => return Err(TokenError::Incomplete),
    };
    if let Some(letter) = letters.clone().find(|letter| !matches!(letter, 'a'..='z' | '2'..='7')) {
        return Err(TokenError::Letter(letter));
    }
    let mut letters = Zeroizing::new(letters.as_str().as_bytes().to_vec());
    letters.make_ascii_uppercase();
    let head = letters.get(..HEAD_LETTERS).ok_or(TokenError::Incomplete)?;
    let [high, low, ..] = **decode_letters(head)? else { return Err(TokenError::Incomplete) };
    let count = usize::from(u16::from_be_bytes([high, low]));
    match letters.len().cmp(&BASE32_NOPAD.encode_len(COUNT_BYTES + count + CHECK_BYTES)) {
        std::cmp::Ordering::Less => Err(TokenError::Incomplete),
        std::cmp::Ordering::Greater => Err(TokenError::Surplus),
        std::cmp::Ordering::Equal => {
            checked(word, version, &decode_letters(&letters)?, count).map(|bytes| (version, bytes))
        }
    }
}

fn decode_letters(letters: &[u8]) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let length = BASE32_NOPAD.decode_len(letters.len()).map_err(|_| TokenError::Incomplete)?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    BASE32_NOPAD.decode_mut(letters, &mut bytes).map_err(|_| TokenError::Mistyped)?;
    Ok(bytes)
}

/// What stands between the count and the check, if that fits.
fn checked(word: &str, version: char, whole: &[u8], count: usize) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let bytes = whole.get(COUNT_BYTES..COUNT_BYTES + count).ok_or(TokenError::Incomplete)?;
    let told = whole.get(COUNT_BYTES + count..).ok_or(TokenError::Incomplete)?;
    if told != check(word, version, bytes) {
        return Err(TokenError::Mistyped);
    }
    Ok(Zeroizing::new(bytes.to_vec()))
}

fn check(word: &str, version: char, bytes: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(word.as_bytes()).update(version.encode_utf8(&mut [0; 4]).as_bytes()).update(bytes);
    let [a, b, c, d, ..] = *hasher.finalize().as_bytes();
    [a, b, c, d]
}

/// Whether a text is meant to be a line with one of these words, whole or not. Capitals do not matter: who
/// gets a line wrong is told so, and not taken for somebody who means something else.
pub(crate) fn is_meant(words: &[&str], text: &str) -> bool {
    words.iter().any(|word| begins(word, text).is_some_and(|rest| rest == rest_of_letters(rest)))
}

/// Whether such a line stands anywhere in a text.
pub(crate) fn is_within(words: &[&str], text: &str) -> bool {
    let mut places = text.char_indices().map(|(place, _)| text.get(place..).unwrap_or_default());
    places.any(|rest| words.iter().any(|word| begins(word, rest).is_some()))
}

/// What follows the word and a version, where enough letters follow.
fn begins<'a>(word: &str, text: &'a str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    let rest = rest.strip_prefix(|digit: char| digit.is_ascii_digit()).filter(|_| head.eq_ignore_ascii_case(word))?;
    (rest_of_letters(rest).len() >= LETTERS_TELLING).then_some(rest)
}

/// The letters and digits at the start.
fn rest_of_letters(text: &str) -> &str {
    let end = text.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(text.len());
    text.split_at(end).0
}
