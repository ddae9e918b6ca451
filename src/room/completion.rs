//! The first catch-up of a run: who is here and what was said before is shown when it is over, or has taken too long.

use std::collections::BTreeMap;

use crate::limits::FEEDS_MAX;
use crate::wire::record::{FeedId, Post};

use super::Room;

/// Whether what was said before we came has been caught up with, as far as the first links told.
#[derive(Debug, Default)]
pub(super) struct Completion {
    /// Feeds that still lack something, with the number to reach. `None` before the first link.
    lacking: Option<BTreeMap<FeedId, u64>>,
    /// Up to which number a feed's posts are from before we came.
    backlog: BTreeMap<FeedId, u64>,
    /// What was taken up from earlier runs.
    restored: BTreeMap<FeedId, u64>,
    /// Who is here is shown. What is from before may still come, where it has taken too long.
    complete: bool,
    began_at: u64,
    progress_at: u64,
}

/// A catch-up without any progress for this long is taken for over; its holes are told as such.
const COMPLETION_STALLED_MS: u64 = 5_000;

/// A newcomer is shown what is there after this long, however much is still to come; a peer may have
/// promised what does not exist.
const COMPLETION_MS_MAX: u64 = 60_000;

/// What was said before it came is kept without being shown for so long, however slow the link is; a guess.
const BACKLOG_MS_MAX: u64 = 600_000;

impl Completion {
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The last numbers of what was taken up from earlier runs.
    pub(super) fn resume(&mut self, restored: BTreeMap<FeedId, u64>) {
        self.restored = restored;
    }

    /// Whether who is here cannot be told before links have said what is new.
    pub(super) fn is_awaited(&self) -> bool {
        !self.complete && (self.lacking.is_some() || !self.restored.is_empty())
    }

    /// Whether all that is known of a session was kept by an earlier run, and no link has confirmed it yet.
    pub(super) fn is_hearsay(&self, feed: &FeedId) -> bool {
        !self.complete && self.restored.contains_key(feed)
    }

    /// Whether what is said now has to wait for what was said before.
    pub(super) fn is_under_way(&self) -> bool {
        self.lacking.is_some() && !self.complete
    }

    /// How many feeds take memory here.
    pub(super) fn feeds_remembered(&self) -> usize {
        self.lacking.as_ref().map_or(0, BTreeMap::len).max(self.backlog.len())
    }

    /// Whether a post belongs to what was said before we came.
    pub(super) fn covers(&self, feed: &FeedId, number: u64) -> bool {
        self.backlog.get(feed).is_some_and(|last| number <= *last)
    }

    /// Whether something from before may still come although who is here was shown.
    pub(super) fn has_backlog(&self) -> bool {
        self.complete && !self.backlog.is_empty()
    }

    /// Whether what comes before a number is not ours to miss: all of it was said before we came, and no earlier run of
    /// ours has heard that author.
    pub(super) fn is_before_us(&self, feed: &FeedId, number: u64) -> bool {
        self.covers(feed, number) && !self.restored.contains_key(feed)
    }
}

impl Room {
    /// Until the first catch-up is over, each new link may add to what it takes.
    pub(super) fn expect(&mut self, theirs: &BTreeMap<FeedId, u64>) {
        if self.completion.complete {
            return;
        }
        self.completion.progress_at = self.now.mono;
        if self.completion.lacking.is_none() {
            self.completion.began_at = self.now.mono;
        }
        let lacking = self.completion.lacking.get_or_insert_default();
        for (feed, number) in theirs {
            let have = self.log.have(feed);
            let has_room = lacking.len() < FEEDS_MAX || lacking.contains_key(feed);
            if *number > have && *feed != self.me && has_room {
                lacking.insert(*feed, *number);
                // What came live before is no backlog, and what follows it neither.
                let restored = self.completion.restored.get(feed).copied().unwrap_or(0);
                if have == restored && self.completion.backlog.len() < FEEDS_MAX {
                    self.completion.backlog.entry(*feed).or_insert(*number);
                }
            }
        }
    }

    /// Notes progress of the first catch-up; at its end the roster and the backlog are shown.
    pub(super) fn note_completion(&mut self, feed: &FeedId, have: u64) {
        if self.completion.complete {
            return;
        }
        if let Some(lacking) = &mut self.completion.lacking
            && let Some(target) = lacking.get(feed)
        {
            self.completion.progress_at = self.now.mono;
            if *target <= have {
                lacking.remove(feed);
                self.check_completion();
            }
        }
    }

    pub(super) fn check_completion(&mut self) {
        if self.completion.complete {
            return self.end_backlog();
        }
        let Some(lacking) = &self.completion.lacking else { return };
        let stalled = self.now.mono > self.completion.progress_at + COMPLETION_STALLED_MS;
        let late = self.now.mono > self.completion.began_at + COMPLETION_MS_MAX;
        if !(lacking.is_empty() || stalled || late) {
            return;
        }
        self.completion.complete = true;
        if lacking.is_empty() {
            self.completion.backlog.clear();
            self.completion.restored.clear();
        }
        self.watch_former_sessions();
        self.show_roster();
        self.local.show_backlog(&self.log);
    }

    /// What was said before we came may come after its time: until it is there, or nobody has it any more.
    fn end_backlog(&mut self) {
        let (log, pulls) = (&self.log, &self.pulls);
        let is_late = self.now.mono > self.completion.began_at + BACKLOG_MS_MAX;
        let is_awaited = |feed: &FeedId, last: u64| !is_late && log.have(feed) < last && pulls.is_lacking(feed);
        self.completion.backlog.retain(|feed, last| is_awaited(feed, *last));
        if self.completion.backlog.is_empty() {
            self.completion.restored.clear();
        }
    }

    /// Whether a post was said before we came. Once who is here is shown, its time has to say so, too: a peer that told of
    /// more than there is hides nothing that is said now.
    pub(super) fn is_backlog(&self, post: &Post) -> bool {
        self.completion.covers(&post.feed, post.number)
            && (!self.completion.complete || self.age_of(post) > self.now.mono - self.completion.began_at)
    }
}
