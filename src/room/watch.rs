//! Peers that vanished: looked for, and told of as lost when they stay away.
//!
//! Whoever had the link watches, and in a cut whoever dials them in vain. After a moment, random so that one neighbour speaks for all, it posts
//! `lost` with the last number that it knows, unless the session is linked again, goes on posting
//! over other ways, or is no longer present anyway. A `lost` that named too low a number is repeated; a
//! session that was judged wrongly joins anew, which ends the watch.

use crate::limits::{LOSSES, LOST_AFTER_MS, LOST_AGAIN_MS, LOST_JITTER_MS};
use crate::wire::record::{Draft, FeedId, Hello};

use super::links::Link;
use super::overlay::Target;
use super::{Output, Room};

/// A session that a link was lost to.
#[derive(Debug)]
pub(super) struct Watch {
    check_at: u64,
    ends_at: u64,
    /// What we had of it at the last look; a feed that goes on is alive.
    have: u64,
    joined_at_number: u64,
}

/// How long a vanished session is watched: past the time at which everybody folds it as lost.
const WATCH_MS: u64 = crate::limits::SESSION_SILENT_MS_MAX;

impl Room {
    /// Starts to watch a session that has vanished.
    pub(super) fn watch(&mut self, session: FeedId) {
        let Some(known) = self.roster.session(&session).filter(|known| !known.has_left()) else { return };
        let joined_at_number = known.joined_at_number;
        let check_at = self.now.mono + LOST_AFTER_MS + self.rng.below(LOST_JITTER_MS);
        let (ends_at, have) = (self.now.mono + WATCH_MS, self.log.have(&session));
        self.watches.insert(session, Watch { check_at, ends_at, have, joined_at_number });
    }

    /// Older sessions of our own identity that still show as present have most likely crashed. One
    /// that runs elsewhere will say so, and is not doubted again.
    pub(super) fn watch_former_sessions(&mut self) {
        if !self.completion.is_complete() {
            return;
        }
        let me = self.me;
        let former = |session: &FeedId| session.author == me.author && *session != me;
        let sessions: Vec<FeedId> = self.roster.present().map(|(session, _)| *session).filter(former).collect();
        for session in sessions {
            if !self.doubted.contains_key(&session) {
                self.doubt(session);
            }
        }
    }

    /// A member does not answer. Where somebody was lost lately, those to whom nobody here had a link may be gone, too: a
    /// cut has two sides. One that others still reach says so, and is not doubted again before the next loss. So is one
    /// who is known from the disk alone.
    pub(super) fn doubt_unreached(&mut self, session: FeedId) {
        if self.unheard.contains(&session) && self.completion.is_complete() && !self.doubted.contains_key(&session) {
            return self.doubt(session);
        }
        let Some(lost_at) = self.lost_at.filter(|at| self.now.mono < at + WATCH_MS) else { return };
        let is_new = self.doubted.get(&session).is_none_or(|doubted_at| *doubted_at < lost_at);
        if is_new && self.roster.is_present(&session) && !self.watches.contains_key(&session) {
            self.doubt(session);
        }
    }

    pub(super) fn doubt(&mut self, session: FeedId) {
        self.doubted.insert(session, self.now.mono);
        self.watch(session);
    }

    pub(super) fn watch_vanished(&mut self, out: &mut Vec<Output>) {
        if self.is_ending() {
            return;
        }
        let now = self.now.mono;
        let due: Vec<FeedId> =
            self.watches.iter().filter(|(_, watch)| watch.check_at <= now).map(|(feed, _)| *feed).collect();
        for session in due {
            if self.is_over(&session) {
                self.watches.remove(&session);
                continue;
            }
            let have = self.log.have(&session);
            let again = now + LOST_AGAIN_MS + self.rng.below(LOST_JITTER_MS);
            let Some(watch) = self.watches.get_mut(&session) else { continue };
            let known = self.roster.session(&session);
            // Somebody else may have said so a moment ago.
            let is_lost = watch.have == have && known.is_some_and(|known| known.is_present() && !known.is_claimed());
            // Peers may come and vanish as fast as they like; others hear of it at our own pace.
            if is_lost && !self.losses.pour(1, LOSSES, now) {
                return;
            }
            watch.check_at = again;
            watch.have = have;
            if is_lost {
                self.post(&Draft::Lost { feed: session, last: have }, out);
            }
        }
    }

    fn is_over(&self, session: &FeedId) -> bool {
        let Some(watch) = self.watches.get(session) else { return true };
        let linked = self.links.values().filter_map(Link::session).any(|linked| linked == *session);
        let alive = self
            .roster
            .session(session)
            .is_none_or(|known| known.has_left() || known.joined_at_number > watch.joined_at_number);
        linked || alive || self.now.mono >= watch.ends_at
    }

    /// Where a vanished session was, another one of the same identity answers: the former is lost.
    pub(super) fn lose_former_session(&mut self, target: &Target, hello: &Hello, out: &mut Vec<Output>) {
        let Target::Member { session, .. } = target else { return };
        let is_former = session.author == hello.id && session.session != hello.session;
        if is_former && self.watches.contains_key(session) && self.roster.is_present(session) {
            let last = self.log.have(session);
            self.post(&Draft::Lost { feed: *session, last }, out);
        }
    }
}
