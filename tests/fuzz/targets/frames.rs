//! A stream of bytes is cut into the same frames wherever its reads end, and each of them is one.
//!
//! The input: half a KiB of padding so many times, where it goes, the sizes of the reads, and the stream.

use std::io::{self, Read};

use hobnob::limits::FRAME_BYTES_MAX;
use hobnob::wire::frame::{EXIT_END, Ending, FrameBuffer, MESSAGE_END};

use super::Bytes;

pub(crate) fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let (padding, place) = (512 * input.below(140), input.below(256));
    let sizes: Vec<usize> = input.take(4).iter().map(|size| 1 + usize::from(*size)).collect();
    let mut stream = input.0.to_vec();
    let place = place.min(stream.len());
    stream.splice(place..place, std::iter::repeat_n(b'x', padding));
    let whole = cut(&stream, &[usize::MAX]);
    assert_eq!(cut(&stream, &sizes), whole, "frames do not depend on reads");
    let (frames, trouble) = whole;
    let mut rest = stream.as_slice();
    for (index, (frame, ending)) in frames.iter().enumerate() {
        rest = rest.strip_prefix(frame.as_slice()).expect("nothing is skipped or changed");
        let delimiter = if *ending == Ending::Exit { EXIT_END.as_slice() } else { MESSAGE_END };
        let json = frame.strip_suffix(delimiter).expect("a frame has its delimiter");
        assert!(json.starts_with(b"{") && !json.contains(&b'<') && frame.len() <= FRAME_BYTES_MAX);
        assert!(*ending == Ending::Message || index + 1 == frames.len(), "nothing follows an exit record");
    }
    if trouble.is_empty() {
        let is_frame = |delimiter| memchr_of(rest, delimiter).is_some_and(|at| at + delimiter.len() <= FRAME_BYTES_MAX);
        assert!(!is_frame(MESSAGE_END) && !is_frame(EXIT_END), "no frame is left");
        assert!(rest.len() < FRAME_BYTES_MAX, "what is no frame yet is bounded");
    }
}

fn memchr_of(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// Gives so many bytes at a time.
struct Cut<'a, S> {
    rest: &'a [u8],
    sizes: S,
}

impl<S: Iterator<Item = usize>> Read for Cut<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.sizes.next().unwrap_or(1).min(buffer.len());
        self.rest.take(most as u64).read(buffer).inspect(|count| self.rest = &self.rest[*count..])
    }
}

/// The frames of a stream, and what was wrong with it.
fn cut(stream: &[u8], sizes: &[usize]) -> (Vec<(Vec<u8>, Ending)>, String) {
    let (mut buffer, mut frames) = (FrameBuffer::new(), Vec::new());
    let mut source = Cut { rest: stream, sizes: sizes.iter().copied().cycle() };
    while buffer.fill(&mut source).expect("a slice is read without fail") > 0 {
        loop {
            match buffer.next_frame() {
                Ok(Some((frame, ending))) => frames.push((frame.to_vec(), ending)),
                Ok(None) => break,
                Err(error) => return (frames, error.to_string()),
            }
        }
        buffer.relax();
    }
    (frames, String::new())
}
