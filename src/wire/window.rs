//! What has arrived of a stream and is not consumed yet: a window that slides and grows.
//!
//! It begins with `READ_BYTES_MIN`, as a link that is mostly silent needs no more, and grows when a read has filled it:
//! as bytes come, and not as a peer announces them. The bound is `READ_BYTES_MAX`.

use crate::limits::{READ_BYTES_MAX, READ_BYTES_MIN};

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Window {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    /// What has arrived.
    pub(super) fn arrived(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Whether all that has arrived is consumed.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Where to read to; never empty unless the window is full and at its bound.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let was_filled = self.end == self.bytes.len();
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if was_filled && self.bytes.len() < READ_BYTES_MAX {
            let grown = (self.bytes.len() * 4).clamp(READ_BYTES_MIN, READ_BYTES_MAX);
            self.bytes.resize(grown, 0);
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were read to the space.
    pub(super) fn add(&mut self, count: usize) {
        self.end += count;
    }

    /// Consumes so many bytes, and hands them out.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.start;
        self.start += count;
        self.bytes.get(start..self.start).unwrap_or_default()
    }

    /// Gives back the memory that a burst has taken, where nothing waits in it.
    pub(super) fn relax(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}
