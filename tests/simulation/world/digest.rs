//! What happened in a run as one number: of two runs that did the same it is the same.

use hobnob::room::event::Event;
use hobnob::wire::Frame;

/// So much of a frame counts, and its length: what stands in front says what it is, and of a signed one the end is
/// its signature, which may be made in more than one way.
const FRAME_BYTES: usize = 160;

#[derive(Default)]
pub(crate) struct Digest(u64);

impl Digest {
    fn take(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }

    fn take_bytes(&mut self, bytes: &[u8]) {
        self.take(bytes.len() as u64);
        let (parts, rest) = bytes.as_chunks();
        for part in parts {
            self.take(u64::from_le_bytes(*part));
        }
        for byte in rest {
            self.take(u64::from(*byte));
        }
    }

    /// A node has read a frame.
    pub(super) fn note_read(&mut self, now: u64, node: usize, frame: &Frame) {
        self.take(now);
        self.take(node as u64);
        self.take(frame.len() as u64);
        self.take_bytes(frame.get(..FRAME_BYTES).unwrap_or(frame));
    }

    /// A user has seen something.
    pub(super) fn note_event(&mut self, node: usize, event: &Event) {
        self.take(node as u64);
        match event {
            Event::Said { post, backlog, .. } => {
                self.take_bytes(&post.feed.author.0);
                self.take(post.number << 1 | u64::from(*backlog));
            }
            event => self.take_bytes(format!("{event:?}").as_bytes()),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.0
    }
}
