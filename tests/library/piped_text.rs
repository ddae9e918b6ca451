//! Promise: the lines piped in are the lines said, for any bytes and any reads, and no say is longer
//! than the wire allows. Checked against the plainest possible reading of the same bytes.

#![expect(clippy::indexing_slicing, reason = "a wrong index fails the test")]

use hobnob::console::chunk::{Chunker, split_text};
use hobnob::limits::SAY_TEXT_BYTES_MAX;
use hobnob::room::event::Said;
use hobnob::wire::record::encoded_bytes;
use proptest::prelude::*;

fn said(reads: &[&[u8]]) -> Vec<Said> {
    let mut chunker = Chunker::default();
    let mut says: Vec<Said> = reads.iter().flat_map(|read| chunker.feed(read)).collect();
    says.extend(chunker.finish());
    says
}

/// What the other side reads: says are lines, but for those that continue one.
fn joined(says: &[Said]) -> String {
    says.iter().map(|said| if said.part { said.text.clone() } else { format!("{}\n", said.text) }).collect()
}

/// The same from all bytes at once.
fn expected(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\0', "\u{fffd}");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn texts(says: &[Said]) -> Vec<&str> {
    says.iter().map(|said| said.text.as_str()).collect()
}

/// Bytes with many newlines, carriage returns, NULs, quotes and broken characters.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        proptest::sample::select(vec![
            &b"\n"[..],
            b"\r\n",
            b"\r",
            b"\0",
            b"\"",
            b"<",
            b"word ",
            "ö".as_bytes(),
            "🚀".as_bytes()
        ])
        .prop_map(<[u8]>::to_vec),
        (any::<u8>(), 0_usize..90_000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    proptest::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// A failure prints its input; nothing is written into the repository.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(128))]
    #[test]
    fn the_lines_said_are_the_lines_piped_in(bytes in bytes(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([0, bytes.len()]).collect();
        ends.sort_unstable();
        let reads: Vec<&[u8]> = ends.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let says = said(&reads);
        prop_assert!(joined(&says) == expected(&bytes), "{} bytes in reads ending at {ends:?}", bytes.len());
        for said in &says {
            prop_assert!(encoded_bytes(&said.text) <= SAY_TEXT_BYTES_MAX);
        }
    }

    #[test]
    fn reads_of_single_bytes_say_the_same_lines(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let reads: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(joined(&said(&reads)), expected(&bytes));
    }
}

#[test]
fn what_one_read_delivers_is_one_say() {
    assert_eq!(texts(&said(&[b"one\ntwo\n", b"three\n"])), ["one\ntwo", "three"]);
    assert_eq!(texts(&said(&[b"one\n\ntwo\n\n"])), ["one\n\ntwo\n"]);
    assert_eq!(texts(&said(&[b"\n"])), [""]);
}

#[test]
fn an_unfinished_line_waits_for_its_end() {
    assert_eq!(texts(&said(&[b"one\ntw", b"o", b"\nthree"])), ["one", "two", "three"]);
    assert_eq!(texts(&said(&[b"caf\xc3", b"\xa9\n"])), ["café"]);
    assert_eq!(texts(&said(&[b"one\r", b"\ntwo\r\n"])), ["one\ntwo"]);
}

#[test]
fn nul_and_invalid_utf8_are_replaced() {
    assert_eq!(texts(&said(&[b"a\0b\xffc\n"])), ["a\u{fffd}b\u{fffd}c"]);
}

#[test]
fn a_line_at_the_bound_is_one_say_and_one_byte_more_makes_two_parts() {
    let line = "x".repeat(SAY_TEXT_BYTES_MAX);
    let says = said(&[format!("{line}\n").as_bytes()]);
    assert_eq!((says.len(), says[0].part), (1, false));
    let says = said(&[format!("{line}y\n").as_bytes()]);
    assert_eq!(
        says.iter().map(|said| (said.text.len(), said.part)).collect::<Vec<_>>(),
        [(line.len(), true), (1, false)]
    );
}

#[test]
fn too_many_lines_for_one_say_are_cut_between_lines() {
    let line = "y".repeat(40_000);
    let says = said(&[format!("{line}\n{line}\nend\n").as_bytes()]);
    assert_eq!(
        says.iter().map(|said| (said.text.len(), said.part)).collect::<Vec<_>>(),
        [(40_000, false), (40_004, false)]
    );
}

#[test]
fn a_line_without_end_goes_out_in_parts_as_it_comes() {
    let mut chunker = Chunker::default();
    let block = vec![b'z'; 60_000];
    let mut parts = Vec::new();
    for _ in 0..10 {
        parts.extend(chunker.feed(&block));
    }
    assert!(parts.len() >= 8, "{} parts", parts.len());
    assert!(parts.iter().all(|said| said.part));
    assert_eq!(parts.iter().chain(&chunker.finish()).map(|said| said.text.len()).sum::<usize>(), 600_000);
}

#[test]
fn a_pasted_text_keeps_its_lines_and_has_no_parts() {
    assert_eq!(texts(&split_text("one\n two\n\nthree")), ["one\n two\n\nthree"]);
}
