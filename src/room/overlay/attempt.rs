//! How dialling something goes.

use super::DialId;
use crate::wire::record::FeedId;

#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) next_at: u64,
    pub(super) failures: u32,
    pub(super) last_error: String,
    /// The session that answered there the last time.
    pub(super) node: Option<FeedId>,
    /// The dial under way.
    pub(super) dialling: Option<DialId>,
    /// It can never work: it is ourselves.
    pub(super) hopeless: bool,
    /// It gave up the link because it has enough.
    pub(super) shed: bool,
    /// It refused us for what we are.
    pub(super) refused: bool,
}

impl Attempt {
    pub(super) fn new(now: u64) -> Self {
        Self {
            next_at: now,
            failures: 0,
            last_error: String::new(),
            node: None,
            dialling: None,
            hopeless: false,
            shed: false,
            refused: false,
        }
    }

    /// Whether it did not answer the last time.
    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// When it is tried again, if it did not answer and its pause is not over.
    pub(super) fn pauses_until(&self, now: u64) -> Option<u64> {
        (self.has_failed() && self.dialling.is_none() && self.next_at > now).then_some(self.next_at)
    }

    /// Whether it may be dialled now.
    pub(super) fn is_due(&self, now: u64) -> bool {
        !self.hopeless && self.dialling.is_none() && self.next_at <= now
    }
}
