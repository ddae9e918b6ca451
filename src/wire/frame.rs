//! Frames: a JSON object and one of two delimiters.
//!
//! The encoder writes `<` inside strings as `\u003c`, so the byte `<` stands only where a
//! delimiter begins and is found with memchr. `FrameBuffer` is filled from a socket and gives out
//! whole frames; a frame that breaks a rule is an error, and the link ends there.

use std::io::{self, Read};

use memchr::memchr;
use thiserror::Error;

use super::window::Window;
use crate::limits::FRAME_BYTES_MAX;

/// Ends every frame but a link's last.
pub const MESSAGE_END: &[u8; 9] = b"<MSGENCD>";

/// Ends the exit record, the last frame of a link.
pub const EXIT_END: &[u8; 10] = b"<EXITENCD>";

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
#[derive(Debug, Default)]
pub struct FrameBuffer {
    window: Window,
    /// Up to where in the window no `<` was found.
    searched: usize,
    exited: bool,
}

impl FrameBuffer {
    /// An empty one. It grows to `READ_BYTES_MAX` when a peer has that much to say.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a frame has begun and not ended.
    pub fn is_partial(&self) -> bool {
        !self.window.is_empty()
    }

    /// Gives back the memory that a burst has taken, where nothing waits in it.
    pub fn relax(&mut self) {
        self.window.relax();
    }

    /// Reads once. Zero is the end of the stream.
    pub fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        let count = source.read(self.window.space())?;
        self.window.add(count);
        Ok(count)
    }

    /// The next whole frame, delimiter included; `None` until more bytes have come.
    pub fn next_frame(&mut self) -> Result<Option<(&[u8], Ending)>, FrameError> {
        Ok(self.find()?.map(|(length, ending)| (self.window.take(length), ending)))
    }

    /// How long the next frame is.
    fn find(&mut self) -> Result<Option<(usize, Ending)>, FrameError> {
        let arrived = self.window.arrived();
        if self.exited && !arrived.is_empty() {
            return Err(FrameError::AfterExit);
        }
        // A stranger that speaks something else is told so at its first byte.
        if arrived.first().is_some_and(|first| *first != b'{') {
            return Err(FrameError::NoObject);
        }
        // What stands past the bound is not looked at, so that the answer is the same however the
        // bytes were cut up on their way.
        let arrived = arrived.get(..FRAME_BYTES_MAX).unwrap_or(arrived);
        let unsearched = arrived.get(self.searched..).unwrap_or_default();
        let Some(offset) = memchr(b'<', unsearched) else {
            self.searched = arrived.len();
            return self.within_bound();
        };
        self.searched += offset;
        let rest = unsearched.get(offset..).unwrap_or_default();
        let (length, ending) = if rest.starts_with(MESSAGE_END) {
            (MESSAGE_END.len(), Ending::Message)
        } else if rest.starts_with(EXIT_END) {
            (EXIT_END.len(), Ending::Exit)
        } else if MESSAGE_END.starts_with(rest) || EXIT_END.starts_with(rest) {
            return self.within_bound();
        } else {
            return Err(FrameError::StrayDelimiter);
        };
        let length = std::mem::take(&mut self.searched) + length;
        self.exited = ending == Ending::Exit;
        Ok(Some((length, ending)))
    }

    fn within_bound<T>(&self) -> Result<Option<T>, FrameError> {
        if self.window.arrived().len() >= FRAME_BYTES_MAX { Err(FrameError::TooLong) } else { Ok(None) }
    }
}
