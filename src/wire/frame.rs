//! Frames: a JSON object and one of two delimiters.
//!
//! The encoder writes `<` inside strings as `\u003c`, so the byte `<` stands only where a
//! delimiter begins and is found with memchr. `FrameBuffer` is filled from a socket and gives out
//! whole frames; a frame that breaks a rule is an error, and the link ends there.

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr;
use thiserror::Error;

use crate::limits::{FRAME_BYTES_MAX, READ_BYTES_MAX};

/// Ends every frame but a link's last.
pub const MESSAGE_END: &[u8; 9] = b"<MSGENCD>";

/// Ends the exit record, the last frame of a link.
pub const EXIT_END: &[u8; 10] = b"<EXITENCD>";

/// What a link that is mostly silent holds.
const BUFFER_BYTES_MIN: usize = 4096;

/// Which delimiter closed a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// `<MSGENCD>`
    Message,
    /// `<EXITENCD>`: nothing follows.
    Exit,
}

/// What is wrong with the bytes of a frame. Each closes the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The first byte is not `{`.
    #[error("a frame that does not begin with '{{'")]
    NoObject,
    /// No delimiter within the bound.
    #[error("frame of more than {} bytes", FRAME_BYTES_MAX)]
    TooLong,
    /// A `<` that begins no delimiter.
    #[error("a '<' that begins no delimiter")]
    StrayDelimiter,
    /// More bytes after the exit record.
    #[error("bytes after the exit record")]
    AfterExit,
}

/// The bytes of a link that have arrived and are not consumed yet.
#[derive(Debug)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    /// Where the next frame begins.
    start: usize,
    /// Where the bytes that arrived end.
    end: usize,
    /// Up to where no `<` was found.
    searched: usize,
    exited: bool,
}

impl Default for FrameBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameBuffer {
    /// An empty one. It grows to `READ_BYTES_MAX` when a peer has that much to say.
    pub fn new() -> Self {
        Self { bytes: vec![0; BUFFER_BYTES_MIN], start: 0, end: 0, searched: 0, exited: false }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_partial(&self) -> bool {
        self.start < self.end
    }

    /// Gives back the memory that a burst has taken, where nothing waits in it.
    pub fn relax(&mut self) {
        if !self.is_partial() && self.bytes.len() > BUFFER_BYTES_MIN {
            let exited = self.exited;
            *self = Self { exited, ..Self::new() };
        }
    }

    /// Reads once. Zero is the end of the stream.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        let space = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = source.read(space)?;
        self.end += count;
        Ok(count)
    }

    /// Moves what is left to the front, and grows when the last read filled the buffer.
    fn make_room(&mut self) {
        let full = self.end == self.bytes.len();
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.searched -= self.start;
            self.start = 0;
        }
        if full && self.bytes.len() < READ_BYTES_MAX {
            let grown = (self.bytes.len() * 4).min(READ_BYTES_MAX);
            self.bytes.resize(grown, 0);
        }
    }

    /// The next whole frame, delimiter included; `None` until more bytes have come.
    pub fn next_frame(&mut self) -> Result<Option<(&[u8], Ending)>, FrameError> {
        match self.find()? {
            None => Ok(None),
            Some((range, ending)) => Ok(self.bytes.get(range).map(|frame| (frame, ending))),
        }
    }

    fn find(&mut self) -> Result<Option<(Range<usize>, Ending)>, FrameError> {
        if self.exited && self.is_partial() {
            return Err(FrameError::AfterExit);
        }
        // A stranger that speaks something else is told so at its first byte.
        if self.is_partial() && self.bytes.get(self.start) != Some(&b'{') {
            return Err(FrameError::NoObject);
        }
        // What stands past the bound is not looked at, so that the answer is the same however the
        // bytes were cut up on their way.
        let limit = self.end.min(self.start + FRAME_BYTES_MAX);
        let unsearched = self.bytes.get(self.searched..limit).unwrap_or_default();
        let Some(offset) = memchr(b'<', unsearched) else {
            self.searched = limit;
            return self.within_bound();
        };
        let begin = self.searched + offset;
        self.searched = begin;
        let rest = self.bytes.get(begin..limit).unwrap_or_default();
        let (length, ending) = if rest.starts_with(MESSAGE_END) {
            (MESSAGE_END.len(), Ending::Message)
        } else if rest.starts_with(EXIT_END) {
            (EXIT_END.len(), Ending::Exit)
        } else if MESSAGE_END.starts_with(rest) || EXIT_END.starts_with(rest) {
            return self.within_bound();
        } else {
            return Err(FrameError::StrayDelimiter);
        };
        let frame = self.start..begin + length;
        self.start = frame.end;
        self.searched = frame.end;
        self.exited = ending == Ending::Exit;
        Ok(Some((frame, ending)))
    }

    fn within_bound<T>(&self) -> Result<Option<T>, FrameError> {
        if self.end - self.start >= FRAME_BYTES_MAX { Err(FrameError::TooLong) } else { Ok(None) }
    }
}
