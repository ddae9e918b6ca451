//! Places for strangers: how many connections may be in their handshakes at once.
//!
//! The accept thread takes a place before it accepts, and blocks while there is none; whoever holds the
//! connection holds the place, and dropping it gives it back. A handshake has a deadline, and the room
//! ends the oldest when there are too many, so a place is free again soon.

use crossbeam_channel::{Receiver, Sender, bounded};

/// All places. One is taken by a message that waits in the channel.
#[derive(Debug)]
pub(super) struct Places {
    taken: Sender<()>,
    given_back: Receiver<()>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Receiver<()>);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        let (taken, given_back) = bounded(count);
        Self { taken, given_back }
    }

    /// Takes a place; waits for one.
    pub(super) fn take(&self) -> Place {
        // It cannot fail: this holds both ends.
        let _ = self.taken.send(());
        Place(self.given_back.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.0.try_recv();
    }
}
