//! Peers that earlier runs had a link with, and how dialling them goes.
//!
//! Who is alone dials them all, the latest first. Otherwise those are looked for who are not here, as members that
//! vanished are: so a room that restarted in two pieces becomes one. In a room too large for all to link to all, two links
//! are kept to peers out of this list, whatever the others tell: who makes up members by the hundred does not surround a
//! node that has been here before. Nobody hears of dials in vain.

use std::collections::BTreeSet;

use super::attempt::Attempt;
use super::{DialId, Overlay, Reach, Target};
use crate::identity::Id;
use crate::limits::{ACQUAINTANCE_DIALS_MAX, ANCHOR_LINKS, DIAL_PAUSE_MS_MAX, SMALL_ROOM_MEMBERS};
use crate::room::Acquaintance;
use crate::room::rng::Rng;
use crate::wire::record::FeedId;

/// How long the peers that the user named are given before those of earlier runs are dialled; a guess.
const NAMED_FIRST_MS: u64 = 3_000;

/// The latest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Acquainted(Vec<(Acquaintance, Attempt)>);

impl Acquainted {
    pub(super) fn attempt_mut(&mut self, peer: &Acquaintance) -> Option<&mut Attempt> {
        self.0.iter_mut().find(|(known, _)| known == peer).map(|(_, attempt)| attempt)
    }

    /// The attempts at any address of an identity.
    pub(super) fn attempts_of(&mut self, id: Id) -> impl Iterator<Item = &mut Attempt> {
        self.0.iter_mut().filter(move |(known, _)| known.id == id).map(|(_, attempt)| attempt)
    }

    /// The longest pause between two dials of one of many; `None` where there are only a few.
    pub(super) fn pause_ms_max(&self) -> Option<u64> {
        (self.0.len() + 1 >= SMALL_ROOM_MEMBERS).then_some(DIAL_PAUSE_MS_MAX)
    }
}

impl Overlay {
    /// Takes up the peers of earlier runs. They wait for those whom the user named.
    pub fn recall(&mut self, peers: impl Iterator<Item = Acquaintance>, now: u64) {
        if self.reach != Reach::NamedOnly {
            let head_start = if self.named.is_empty() { 0 } else { NAMED_FIRST_MS };
            self.acquainted = Acquainted(peers.map(|peer| (peer, Attempt::new(now + head_start))).collect());
        }
    }

    /// Those of them that are to be dialled now. `is_here` says who is in the room.
    pub fn due_acquaintances(
        &mut self,
        linked: &BTreeSet<FeedId>,
        is_here: impl Fn(&Id) -> bool,
        now: u64,
        rng: &mut Rng,
    ) -> Vec<(DialId, Target)> {
        let mut dials = Vec::new();
        if self.acquainted.0.is_empty() {
            return dials;
        }
        self.choose_anchors(linked);
        let waits = |attempt: &Attempt| attempt.dialling.is_some_and(|dial| self.unanswered.contains(&dial));
        let under_way = self.acquainted.0.iter().filter(|(_, attempt)| waits(attempt)).count();
        let mut places = ACQUAINTANCE_DIALS_MAX.saturating_sub(under_way);
        let mut anchors = self.anchors_lacking(linked);
        let alone = linked.is_empty();
        // Who has waited longest comes first; of equals, the latest.
        let due = self.acquainted.0.iter().filter(|(peer, attempt)| {
            attempt.is_due(now) && session_of(linked, peer.id).is_none() && !self.is_sought_as_member(peer)
        });
        let mut due: Vec<(Acquaintance, u64, bool)> =
            due.map(|(peer, attempt)| (*peer, attempt.next_at, attempt.shed)).collect();
        due.sort_by_key(|(_, next_at, _)| *next_at);
        for (peer, _, shed) in due {
            let is_missing = alone || !is_here(&peer.id);
            let as_anchor = !is_missing && !shed && anchors > 0;
            if places == 0 || !(is_missing || as_anchor) || !self.may_dial(&peer, linked, now) {
                continue;
            }
            places -= 1;
            anchors -= usize::from(as_anchor);
            self.dial(Target::Acquaintance(peer), now, rng, &mut dials);
        }
        dials
    }

    /// Keeps two links to peers of earlier runs, the latest ones.
    fn choose_anchors(&mut self, linked: &BTreeSet<FeedId>) {
        self.anchors.clear();
        if self.is_small() || self.reach != Reach::Dialable {
            return;
        }
        for session in self.acquainted.0.iter().filter_map(|(peer, _)| session_of(linked, peer.id)) {
            if self.anchors.len() < ANCHOR_LINKS {
                self.anchors.insert(session);
            }
        }
    }

    /// How many more of those links are wanted than there are or are being made.
    fn anchors_lacking(&self, linked: &BTreeSet<FeedId>) -> usize {
        if self.is_small() || self.reach != Reach::Dialable {
            return 0;
        }
        let is_coming = |(peer, attempt): &&(Acquaintance, Attempt)| {
            attempt.dialling.is_some() && session_of(linked, peer.id).is_none()
        };
        ANCHOR_LINKS.saturating_sub(self.anchors.len() + self.acquainted.0.iter().filter(is_coming).count())
    }

    /// Whether the plan dials this very address for a session of that identity.
    fn is_sought_as_member(&self, peer: &Acquaintance) -> bool {
        let mut sessions = self.wanted.range(sessions_of(peer.id));
        sessions.any(|(_, addresses)| addresses.contains(&peer.addr))
    }

    fn may_dial(&self, peer: &Acquaintance, linked: &BTreeSet<FeedId>, now: u64) -> bool {
        let longest = self.acquainted.pause_ms_max().unwrap_or_else(|| self.pause_ms_max());
        !self.places.is_taken(peer.addr, linked) && self.places.free_at(peer.addr, peer.any_session(), longest) <= now
    }
}

/// All sessions that an identity can have.
fn sessions_of(id: Id) -> std::ops::RangeInclusive<FeedId> {
    FeedId { author: id, session: 0 }..=FeedId { author: id, session: u64::MAX }
}

/// The one of them that is linked.
fn session_of(linked: &BTreeSet<FeedId>, id: Id) -> Option<FeedId> {
    linked.range(sessions_of(id)).next().copied()
}
