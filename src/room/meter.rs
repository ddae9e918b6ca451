//! What a link may cost: a peer that asks more than anybody needs is let go (`flood`).
//!
//! The bounds lie beyond what an honest peer does in the largest room: to page through all feeds, to
//! want each of them, and to quiet each of them again. Posts are not counted here: they are served by bytes,
//! in turn, and a paste is no offence.

use crate::limits::{
    LINK_ASKS, LINK_CHATTER, LINK_ELECTION, LINK_ENTRIES_PER_ASK, LINK_FLOODS, LINK_LOSSES, LINK_NEW_FEEDS,
    LINK_TRACES, LINK_WHISPERS,
};
use crate::wire::record::Control;

use super::bucket::Bucket;

/// The buckets of one link.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    asks: Bucket,
    chatter: Bucket,
    election: Bucket,
    new_feeds: Bucket,
    losses: Bucket,
    whispers: Bucket,
    floods: Bucket,
    traces: Bucket,
}

impl Meter {
    /// Whether a record is still within what a link may ask.
    pub(super) fn allows(&mut self, control: &Control, now: u64) -> bool {
        match control {
            // Whispers and traces are dropped beyond their bounds: who passes on others' is not to blame.
            Control::Hello(_)
            | Control::All {}
            | Control::Done {}
            | Control::Whisper(_)
            | Control::Trace(_)
            | Control::Exit { .. } => true,
            Control::Have { feeds } | Control::News { feeds } => {
                self.asks.pour(1 + feeds.len() as u64 / LINK_ENTRIES_PER_ASK, LINK_ASKS, now)
            }
            Control::Want { .. } | Control::Quiet { .. } | Control::Gap { .. } => self.asks.pour(1, LINK_ASKS, now),
            Control::Mode { .. }
            | Control::Beat(_)
            | Control::Handover(_)
            | Control::Probe {}
            | Control::Follow { .. } => self.election.pour(1, LINK_ELECTION, now),
            Control::Ping { .. } | Control::Pong { .. } | Control::Unknown => self.chatter.pour(1, LINK_CHATTER, now),
        }
    }

    /// Whether so many feeds may be had by one `all`: each costs as much as a `want`.
    pub(super) fn allows_all(&mut self, feeds: usize, now: u64) -> bool {
        self.asks.pour(feeds as u64, LINK_ASKS, now)
    }

    /// A gap notice was followed by its post: it was none too many.
    pub(super) fn gap_was_good(&mut self) {
        self.asks.take_back(1, LINK_ASKS);
    }

    /// Whether the link may bring one more feed that nobody has asked for.
    pub(super) fn allows_feed(&mut self, now: u64) -> bool {
        self.new_feeds.pour(1, LINK_NEW_FEEDS, now)
    }

    /// Whether something private of so many bytes is carried for the peer, or over all links.
    pub(super) fn allows_whisper(&mut self, bytes: u64, is_flood: bool, now: u64) -> bool {
        let kib = bytes.div_ceil(1024);
        if is_flood { self.floods.pour(kib, LINK_FLOODS, now) } else { self.whispers.pour(kib, LINK_WHISPERS, now) }
    }

    /// Whether one more question for the way is passed on for the peer.
    pub(super) fn allows_trace(&mut self, now: u64) -> bool {
        self.traces.pour(1, LINK_TRACES, now)
    }

    /// Whether the peer may tell of one more lost session.
    pub(super) fn allows_loss(&mut self, now: u64) -> bool {
        self.losses.pour(1, LINK_LOSSES, now)
    }
}
