//! What of whispers outlives a run: those that wait for their readers, sealed, and up to where those of others were shown.

use serde::{Deserialize, Serialize};

use crate::identity::Id;
use crate::wire::record::{Nick, Sealed};
use crate::wire::seal::SealingKey;

/// A whisper that waits for its reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The reader,
    pub to: Id,
    /// its name when it was last here,
    pub nick: Nick,
    /// and what it was sealed to.
    pub key: SealingKey,
    /// The session in which it was said,
    pub stream: u64,
    /// and its number among those to this reader.
    pub number: u64,
    /// When it was said, in milliseconds since 1970.
    pub at: u64,
    /// What only the reader can open.
    pub sealed: Sealed,
}

/// Up to where somebody's stream was shown here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// The sender,
    pub from: Id,
    /// its session,
    pub stream: u64,
    /// the last number that was shown,
    pub number: u64,
    /// and when that was said, by the sender's clock.
    pub at: u64,
}

/// A change of what there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Note {
    /// This one waits.
    Waits(Letter),
    /// Those of a stream to a reader up to this number wait no more.
    Over {
        /// The reader,
        to: Id,
        /// the stream,
        stream: u64,
        /// and the last number.
        number: u64,
    },
    /// Shown up to here.
    Heard(Heard),
}

/// All that an earlier run has left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Letters {
    /// Those that wait, in the order in which they were said.
    pub waiting: Vec<Letter>,
    /// Up to where others' were shown, once for each stream.
    pub heard: Vec<Heard>,
}
