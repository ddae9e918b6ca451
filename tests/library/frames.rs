//! Promise: whatever anybody writes, frames come out of a link as they went in, however the bytes are
//! cut up on their way; and what is no frame is told from one at the bound, not past it.
//! Checked over any texts, with the delimiters themselves in every place of them, and over any
//! chunking of reads; then rule by rule.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Read;

use hobnob::identity::Identity;
use hobnob::limits::{FRAME_BYTES_MAX, READ_BYTES_MAX};
use hobnob::wire::frame::{EXIT_END, Ending, FrameBuffer, FrameError, MESSAGE_END};
use hobnob::wire::record::{Control, Domain, Draft, FeedId, Header, Nick, Post, Record};
use proptest::prelude::*;

/// A socket that gives at most so many bytes at a read, by turns.
struct Chunked<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl Read for Chunked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = self.sizes.next().unwrap_or(1).min(buffer.len());
        self.bytes.read(&mut buffer[..most])
    }
}

/// What a reader sees of a stream, and the error that ended it.
fn frames_of(bytes: &[u8], sizes: Vec<usize>) -> (Vec<(Vec<u8>, Ending)>, Option<FrameError>) {
    let mut source = Chunked { bytes, sizes: sizes.into_iter().cycle() };
    let mut buffer = FrameBuffer::new();
    let mut frames = Vec::new();
    while buffer.fill(&mut source).unwrap() > 0 {
        loop {
            match buffer.next_frame() {
                Ok(Some((frame, ending))) => frames.push((frame.to_vec(), ending)),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

fn say(text: &str) -> Post {
    let identity = Identity::from_seed(&[7; 32]);
    let nick = Nick::new("alice").unwrap();
    let feed = FeedId { author: identity.id(), session: 1 };
    let header = Header { feed, number: 1, at: 1, nick: &nick, ack: false };
    Post::encode(&header, &Draft::Say { text, action: false, part: false }, &Domain::of_room("lobby"), &identity)
}

fn exit(reason: &str, text: &str) -> Control {
    Control::Exit { reason: reason.to_owned(), text: text.to_owned() }
}

/// Any text, thick with delimiters, their beginnings and what JSON escapes.
fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<MSGENCD>".to_owned()),
        Just("<EXITENCD>".to_owned()),
        (0..9_usize).prop_map(|length| "<MSGENCD>"[..length].to_owned()),
        (0..10_usize).prop_map(|length| "<EXITENCD>"[..length].to_owned()),
        Just("\\u003c\"\\".to_owned()),
        any::<char>().prop_map(String::from),
        "[ -~]{0,20}",
    ];
    proptest::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(prop_oneof![Just(1_usize), 1..20_usize, 1..5_000_usize], 1..6)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(500))]
    #[test]
    fn any_texts_come_through_any_chunking(texts in proptest::collection::vec(nasty(), 1..8), sizes in sizes()) {
        let mut stream = Vec::new();
        for text in &texts {
            stream.extend_from_slice(&say(text).frame);
        }
        stream.extend_from_slice(&exit("goodbye", "<EXITENCD>").encode());
        let (frames, error) = frames_of(&stream, sizes);
        prop_assert_eq!(error, None);
        prop_assert_eq!(frames.len(), texts.len() + 1);
        for (text, (frame, ending)) in texts.iter().zip(&frames) {
            prop_assert_eq!(*ending, Ending::Message);
            prop_assert_eq!(&Post::decode(frame).unwrap().text(), text);
        }
        let (frame, ending) = frames.last().unwrap();
        prop_assert_eq!(*ending, Ending::Exit);
        let Record::Control(control) = Record::decode(frame, *ending).unwrap() else { unreachable!() };
        prop_assert_eq!(control, exit("goodbye", "<EXITENCD>"));
    }

    #[test]
    fn any_bytes_end_in_frames_or_an_error_alike_in_any_chunking(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'<'), Just(b'M')], 0..300),
        sizes in sizes(),
    ) {
        let bytes = [b"{}<MSGENCD>{".as_slice(), &bytes].concat();
        let whole = frames_of(&bytes, vec![READ_BYTES_MAX]);
        prop_assert_eq!(frames_of(&bytes, sizes), whole);
    }
}

#[test]
fn a_delimiter_in_a_text_is_not_one_wherever_it_stands() {
    for delimiter in ["<MSGENCD>", "<EXITENCD>"] {
        for position in 0..=12 {
            let mut text = "twelve bytes".to_owned();
            text.insert_str(position, delimiter);
            let post = say(&text);
            let inside = &post.frame[..post.frame.len() - MESSAGE_END.len()];
            assert!(!inside.contains(&b'<'), "{text}");
            let (frames, error) = frames_of(&post.frame, vec![1]);
            assert_eq!((frames.len(), error), (1, None), "{text}");
            assert_eq!(Post::decode(&frames[0].0).unwrap().text(), text);
        }
    }
}

#[test]
fn a_delimiter_may_be_cut_anywhere() {
    for end in [MESSAGE_END.as_slice(), EXIT_END.as_slice()] {
        let frame = [b"{}", end].concat();
        for cut in 1..frame.len() {
            let (frames, error) = frames_of(&frame, vec![cut, frame.len()]);
            assert_eq!((frames.len(), error), (1, None), "cut at {cut}");
            assert_eq!(frames[0].0, frame);
        }
    }
}

/// The first so many bytes of a frame without an end.
fn endless(length: usize) -> Vec<u8> {
    [b"{".as_slice(), &vec![b'x'; length - 1]].concat()
}

/// A frame of exactly so many bytes.
fn frame_of(length: usize, end: &[u8]) -> Vec<u8> {
    [endless(length - end.len()).as_slice(), end].concat()
}

#[test]
fn a_frame_at_the_bound_passes_and_one_past_it_is_too_long() {
    for end in [MESSAGE_END.as_slice(), EXIT_END.as_slice()] {
        for sizes in [vec![READ_BYTES_MAX], vec![1_000], vec![4_096, 1]] {
            let (frames, error) = frames_of(&frame_of(FRAME_BYTES_MAX, end), sizes.clone());
            assert_eq!((frames.len(), error), (1, None));
            assert_eq!(frames[0].0.len(), FRAME_BYTES_MAX);
            let (frames, error) = frames_of(&frame_of(FRAME_BYTES_MAX + 1, end), sizes);
            assert_eq!((frames.len(), error), (0, Some(FrameError::TooLong)));
        }
    }
}

#[test]
fn a_frame_without_an_end_is_too_long_at_the_bound() {
    let (_, error) = frames_of(&endless(FRAME_BYTES_MAX - 1), vec![1_000]);
    assert_eq!(error, None, "it may still end");
    let (_, error) = frames_of(&endless(FRAME_BYTES_MAX), vec![1_000]);
    assert_eq!(error, Some(FrameError::TooLong));
}

#[test]
fn frames_at_the_bound_come_one_after_the_other() {
    let stream = frame_of(FRAME_BYTES_MAX, MESSAGE_END).repeat(9);
    for sizes in [vec![READ_BYTES_MAX], vec![65_537], vec![40_000, 1]] {
        let (frames, error) = frames_of(&stream, sizes);
        assert_eq!((frames.len(), error), (9, None));
    }
}

#[test]
fn a_stray_less_than_is_an_error() {
    for stray in ["<", "<M", "<MSGENCD", "<EXITENCD", "<E"] {
        let begun = format!("{{}}{stray}");
        let (frames, error) = frames_of(begun.as_bytes(), vec![1]);
        assert_eq!((frames.len(), error), (0, None), "{stray} may become a delimiter");
        let (frames, error) = frames_of(format!("{begun} and on").as_bytes(), vec![3]);
        assert_eq!((frames.len(), error), (0, Some(FrameError::StrayDelimiter)), "{stray}");
    }
    for stray in ["<<MSGENCD>", "<msgencd>", "<MSGENCD<MSGENCD>", "<MSGEXIT>", "\"a\":\"<\"}<MSGENCD>"] {
        let (frames, error) = frames_of(format!("{{{stray}").as_bytes(), vec![100]);
        assert_eq!((frames.len(), error), (0, Some(FrameError::StrayDelimiter)), "{stray}");
    }
}

/// A stray `<` far behind the bound was found or not, as the bytes happened to arrive.
#[test]
fn what_stands_past_the_bound_is_not_looked_at() {
    for (place, wrong) in
        [(FRAME_BYTES_MAX - 2, FrameError::StrayDelimiter), (FRAME_BYTES_MAX - 1, FrameError::TooLong)]
    {
        let stream = [endless(place).as_slice(), b"<?"].concat();
        for sizes in [vec![READ_BYTES_MAX], vec![1_000], vec![65_536, 1]] {
            assert_eq!(frames_of(&stream, sizes), (Vec::new(), Some(wrong)), "{place}");
        }
    }
}

#[test]
fn a_frame_that_does_not_begin_with_a_brace_ends_there() {
    for first in (0..=255).filter(|first| *first != b'{') {
        let (frames, error) = frames_of(&[b"{}<MSGENCD>".as_slice(), &[first]].concat(), vec![100]);
        assert_eq!((frames.len(), error), (1, Some(FrameError::NoObject)), "{first}");
    }
    for stranger in ["GET / HTTP/1.1\r\n", " {}<MSGENCD>", "\n{}<MSGENCD>", "<MSGENCD>", "[\"done\"]<MSGENCD>"] {
        assert_eq!(frames_of(stranger.as_bytes(), vec![1]), (Vec::new(), Some(FrameError::NoObject)), "{stranger}");
    }
}

#[test]
fn bytes_after_the_exit_record_are_an_error() {
    for sizes in [vec![100], vec![1]] {
        let (frames, error) = frames_of(b"{}<MSGENCD>{}<EXITENCD>{", sizes.clone());
        assert_eq!((frames.len(), error), (2, Some(FrameError::AfterExit)));
        let (frames, error) = frames_of(b"{}<EXITENCD>", sizes);
        assert_eq!((frames.len(), error), (1, None));
    }
}

#[test]
fn a_frame_that_began_is_partial_until_it_ends() {
    let mut buffer = FrameBuffer::new();
    assert!(!buffer.is_partial());
    buffer.fill(&mut b"{}<MSG".as_slice()).unwrap();
    assert_eq!(buffer.next_frame().unwrap(), None);
    assert!(buffer.is_partial());
    buffer.fill(&mut b"ENCD>".as_slice()).unwrap();
    assert!(buffer.next_frame().unwrap().is_some());
    assert!(!buffer.is_partial());
}
