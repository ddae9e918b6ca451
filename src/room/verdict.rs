//! How a run ended: the one place that decides it, out of what has happened.
//!
//! Whatever ends a run (all is confirmed, the patience of `--wait` or `--linger` is over, every peer refuses, a signal)
//! collects these facts and asks here. The exit code follows from the answer, and so does the word on stderr.

use super::event::Outcome;

/// What has happened in a run that ends with its input, as far as the outcome depends on it.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// Something of what was read was not said, or is not confirmed: text, something private, a line of a script that
    /// could not be done.
    pub owes: bool,
    /// A peer was linked, and in the room, when the first of that was read or later; where nothing is owed, at any time.
    pub linked: bool,
    /// Every peer that was named has refused this node.
    pub refused: bool,
    /// The input was read to its end.
    pub read_all: bool,
}

impl Facts {
    /// How the run ended.
    pub fn outcome(self) -> Outcome {
        let Self { owes, linked, refused, read_all } = self;
        match () {
            // Somebody may have some of it.
            () if owes && linked => Outcome::Unconfirmed,
            () if owes && refused => Outcome::Refused,
            () if owes => Outcome::NoPeer,
            // An open input ends for no other reason but a signal.
            () if refused && !(linked && read_all) => Outcome::Refused,
            () if read_all && !linked => Outcome::NoPeer,
            () => Outcome::Done,
        }
    }
}
