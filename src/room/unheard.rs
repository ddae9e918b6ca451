//! Sessions that are known from the disk alone: an earlier run saw them present, and this one has had no sign of life.
//!
//! Where only this node was away, most of them are alive and merely silent, and those who stayed watch over them. Where
//! the whole room crashed nobody does, and they would be shown for minutes. So a node that is back asks: it claims that
//! one of them is lost. A session that lives says so, and that proves somebody has stayed; otherwise more of them are
//! doubted, four times as many each round. Those who are dialled in vain are doubted in any case. All nodes that are
//! back ask after the same ones first, and of several who would claim it one does (see `watch`).

use std::collections::BTreeSet;

use crate::limits::{LOST_AFTER_MS, LOST_GRACE_MS, LOST_JITTER_MS, UNHEARD_AFTER_MS};
use crate::wire::record::FeedId;

use super::Room;
use super::links::Link;
use super::session::Session;

/// How long one round takes: until the claims are made, and answered.
const ROUND_MS: u64 = LOST_AFTER_MS + LOST_JITTER_MS + 2 * LOST_GRACE_MS;

/// How many more are doubted in each round.
const ROUND_GROWTH: usize = 4;

/// Those of whom nothing was heard, and how far they are doubted.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    sessions: BTreeSet<FeedId>,
    /// One of them was alive: somebody has stayed in the room.
    vouched: bool,
    /// When more are doubted; `None` before the room was seen.
    next_at: Option<u64>,
    /// How many are doubted then.
    share: usize,
}

impl Unheard {
    /// Those that earlier runs saw present.
    pub(super) fn of(sessions: impl Iterator<Item = FeedId>) -> Self {
        Self { sessions: sessions.collect(), vouched: false, next_at: None, share: 1 }
    }

    /// Whether this very session may be long gone, for all that is known.
    pub(super) fn contains(&self, session: &FeedId) -> bool {
        self.sessions.contains(session)
    }

    /// Whether a session is among the doubtful, and nobody who has stayed speaks for them.
    pub(super) fn is_doubtful(&self, session: &FeedId) -> bool {
        !self.vouched && self.contains(session)
    }
}

impl Room {
    /// Doubts some of those of whom nothing was heard, where nobody else will.
    pub(super) fn doubt_unheard(&mut self) {
        if self.unheard.sessions.is_empty() {
            return;
        }
        self.listen_for_unheard();
        if self.unheard.vouched || !self.completion.is_complete() {
            return;
        }
        let now = self.now.mono;
        if now < *self.unheard.next_at.get_or_insert(now + UNHEARD_AFTER_MS) {
            return;
        }
        let fresh = self.unheard.sessions.iter().filter(|session| !self.doubted.contains_key(session));
        let fresh: Vec<FeedId> = fresh.take(self.unheard.share).copied().collect();
        for session in fresh {
            self.doubt(session);
        }
        self.unheard.next_at = Some(now + ROUND_MS);
        self.unheard.share *= ROUND_GROWTH;
    }

    /// Who is linked, or says something now, is alive; who is not present any more is of no interest.
    fn listen_for_unheard(&mut self) {
        let linked: BTreeSet<FeedId> = self.links.values().filter_map(Link::session).collect();
        let (roster, vouched) = (&self.roster, &mut self.unheard.vouched);
        self.unheard.sessions.retain(|session| {
            let known = roster.session(session).filter(|known| known.is_present());
            let is_heard = known.is_some_and(Session::is_heard) || linked.contains(session);
            *vouched |= is_heard;
            known.is_some() && !is_heard
        });
    }
}
