//! Promise: all who hold the same room key derive the same secret for a room, and a room key that is damaged,
//! empty or easily guessed is not taken for another. Checked against values computed by another implementation
//! of Argon2.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use hobnob::limits::{PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN, PASSPHRASE_CHARS_STRONG};
use hobnob::secret::{RoomKey, RoomKeyError, RoomSecret};
use hobnob::token::TokenError;

const WORDS: &str = "correct horse battery staple";

fn secret(key: &str, room: &str) -> String {
    hex::encode(RoomKey::parse(key.as_bytes()).unwrap().secret(room).bytes())
}

#[test]
fn a_passphrase_gives_each_room_the_secret_that_the_protocol_page_says() {
    assert_eq!(secret(WORDS, "tea"), "97b481901755be68f89a4f1cd26906016dc455a34795f33f795dba9d0c1a8b24");
    assert_eq!(secret(WORDS, "lobby"), "53f1e2264da7492995fce823d9319ea14fa96d7ca559a7acf99632449b7e0cd1");
}

#[test]
fn a_random_key_is_the_secret_in_every_room() {
    let key = RoomSecret::from_bytes(&[7; 32]).unwrap();
    assert_eq!(&*key.to_line(), "hobnobkey1aaqaobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqobyha4dqob5f42un6");
    assert_eq!(secret(&key.to_line(), "tea"), "07".repeat(32));
    assert_eq!(secret(&key.to_line(), "lobby"), "07".repeat(32));
}

#[test]
fn random_keys_differ() {
    let keys: BTreeSet<String> = (0..50).map(|_| RoomSecret::random().unwrap().to_line().to_string()).collect();
    assert_eq!(keys.len(), 50);
}

#[test]
fn one_newline_at_the_end_does_not_count() {
    let key = |text: &str| RoomKey::parse(text.as_bytes()).unwrap();
    for same in ["\n", "\r\n"] {
        assert_eq!(key(&format!("{WORDS}{same}")), key(WORDS));
    }
    assert_ne!(key(&format!("{WORDS} ")), key(WORDS), "a blank at its end belongs to a passphrase");
    let random = RoomSecret::from_bytes(&[7; 32]).unwrap().to_line();
    assert_eq!(key(&format!(" {} \n", *random)), key(&random), "and not to a random key");
}

#[test]
fn what_is_no_room_key_is_refused() {
    let of = |bytes: &[u8]| RoomKey::parse(bytes).unwrap_err();
    for empty in ["", "\n", "\r\n", "   \n", "\t"] {
        assert_eq!(of(empty.as_bytes()), RoomKeyError::Empty, "{empty:?}");
    }
    for control in ["two lines\nof text", "a passphrase\n\n", "bell\u{7} in the middle", "tab\tin the middle"] {
        assert_eq!(of(control.as_bytes()), RoomKeyError::Control, "{control:?}");
    }
    assert_eq!(of(b"\xff\xfe not text at all"), RoomKeyError::Binary);
    assert_eq!(of(&[b'x'; PASSPHRASE_BYTES_MAX + 1]), RoomKeyError::Long);
    assert!(RoomKey::parse(&[b'x'; PASSPHRASE_BYTES_MAX]).is_ok());
    assert_eq!(of("x".repeat(PASSPHRASE_CHARS_MIN - 1).as_bytes()), RoomKeyError::Short);
    assert_eq!(of("ö".repeat(PASSPHRASE_CHARS_MIN - 1).as_bytes()), RoomKeyError::Short);
    assert!(RoomKey::parse("x".repeat(PASSPHRASE_CHARS_MIN).as_bytes()).is_ok());
    let ticket = format!("hobnobsecret1{}", "a".repeat(100));
    assert_eq!(of(ticket.as_bytes()), RoomKeyError::Ticket);
    assert_eq!(of(ticket.replacen("secret", "", 1).as_bytes()), RoomKeyError::Ticket);
}

#[test]
fn a_damaged_random_key_is_never_taken_for_a_passphrase() {
    let line = RoomSecret::from_bytes(&[7; 32]).unwrap().to_line();
    let of = |text: &str| RoomKey::parse(text.as_bytes()).unwrap_err();
    for end in "hobnobkey1".len()..line.len() {
        assert_eq!(of(line.get(..end).unwrap()), RoomKeyError::Key(TokenError::Incomplete), "{end}");
    }
    assert_eq!(of(&format!("{}a", *line)), RoomKeyError::Key(TokenError::Surplus));
    assert_eq!(of(&line.replacen('1', "2", 1)), RoomKeyError::Key(TokenError::Version('2')));
    assert_eq!(of(&line.to_uppercase()), RoomKeyError::Key(TokenError::Foreign));
    for place in "hobnobkey1".len() + 4..line.len() {
        let mut wrong = line.to_string();
        let letter = if wrong.get(place..=place) == Some("q") { "z" } else { "q" };
        wrong.replace_range(place..=place, letter);
        assert_eq!(of(&wrong), RoomKeyError::Key(TokenError::Mistyped), "{place}");
    }
}

#[test]
fn a_passphrase_that_may_be_guessed_is_weak() {
    let weak = |text: &str| RoomKey::parse(text.as_bytes()).unwrap().is_weak();
    assert!(weak(&"x".repeat(PASSPHRASE_CHARS_STRONG - 1)));
    assert!(!weak(&"x".repeat(PASSPHRASE_CHARS_STRONG)));
    assert!(!weak(&RoomSecret::random().unwrap().to_line()));
}

#[test]
fn a_key_does_not_show_in_debug_output() {
    let key = RoomKey::parse(WORDS.as_bytes()).unwrap();
    let shown = format!("{key:?} {:?}", RoomKey::Random(RoomSecret::from_bytes(&[7; 32]).unwrap()));
    assert!(!shown.contains("horse") && !shown.contains("7, 7"), "{shown}");
}
