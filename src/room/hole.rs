//! Posts that wait behind a gap, and when the gap is final.
//!
//! A peer that no longer has some posts of a feed sends a gap notice, and then the next one that it
//! has. That notice counts when the verified post has followed. While posts wait, every other
//! link is asked for the first missing number; the hole is final when nobody has it. A final hole
//! is told to the user, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::limits::{
    HOLE_JITTER_MS, HOLE_NOTHING_MS, HOLE_SILENT_MS, NUMBER_MAX, WAITING_BYTES_MAX, WAITING_BYTES_TOTAL_MAX,
};
use crate::wire::end::End;
use crate::wire::record::{Control, FeedId, Post};

use super::event::{Event, Person};
use super::{LinkId, Output, Room};

/// Posts of one feed behind missing ones.
#[derive(Debug)]
pub(super) struct Hole {
    waiting: BTreeMap<u64, (Arc<Post>, LinkId)>,
    bytes: usize,
    /// Links that brought a post behind a gap notice: they do not have what is missing.
    denied: BTreeSet<LinkId>,
    /// Links that said that they have nothing there.
    nothing: BTreeSet<LinkId>,
    answered_at: u64,
    /// When the last answers are no longer waited for, unless the feed advances.
    patience_until: u64,
}

impl Room {
    pub(super) fn gap_arrived(&mut self, link: LinkId, feed: FeedId, from: u64, to: u64, out: &mut Vec<Output>) {
        let have = self.log.have(&feed);
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_ready()) else {
            return self.close(link, End::OutOfTurn, out);
        };
        let stream = state.incoming.get(&feed).and_then(|incoming| incoming.stream);
        if from > have + 1 && stream != Some(from) {
            // The peer takes us to know a feed that we have forgotten.
            if self.turns_away(link, feed, from, out) {
                return;
            }
            let Some(state) = self.links.get(&link) else { return };
            let ignored = state.incoming.get(&feed).is_some_and(|incoming| incoming.ignored);
            if !ignored {
                self.close(link, End::FutureNumber, out);
            }
            return;
        }
        if to == NUMBER_MAX {
            return self.close(link, End::EmptyGap, out);
        }
        if to > have && feed != self.me {
            state.incoming.entry(feed).or_default().gap = Some((from, to));
            state.gaps.entry(feed).or_insert(self.now.mono);
        }
    }

    /// A post beyond the next one: it waits if a gap notice came before it on its link.
    pub(super) fn post_behind_gap(&mut self, link: LinkId, post: Arc<Post>, out: &mut Vec<Output>) {
        let (feed, number) = (post.feed, post.number);
        let Some(incoming) = self.links.get_mut(&link).and_then(|state| state.incoming.get_mut(&feed)) else {
            return self.close(link, End::FutureNumber, out);
        };
        if incoming.ignored {
            return;
        }
        let behind_gap = incoming.gap.is_some_and(|(_, to)| to + 1 == number);
        if !behind_gap && incoming.stream != Some(number) {
            return self.close(link, End::FutureNumber, out);
        }
        incoming.gap = None;
        incoming.stream = Some(number + 1);
        // Gaps in ever more feeds: a new link can begin again when these are settled.
        if !self.holes.contains_key(&feed) && self.waiting_bytes() >= WAITING_BYTES_TOTAL_MAX {
            return self.close(link, End::FutureNumber, out);
        }
        if !self.keep_waiting(link, post)
            && let Some(incoming) = self.links.get_mut(&link).and_then(|state| state.incoming.get_mut(&feed))
        {
            incoming.ignored = true;
        }
        if behind_gap {
            self.denied(link, feed, out);
        }
    }

    /// Keeps a post for later. Over the bound the highest go, maybe this one; returns whether it was
    /// kept.
    fn keep_waiting(&mut self, link: LinkId, post: Arc<Post>) -> bool {
        let (feed, number) = (post.feed, post.number);
        let now = self.now.mono;
        let jitter = self.rng.below(HOLE_JITTER_MS);
        let total = self.waiting_bytes();
        let hole = self.holes.entry(feed).or_insert_with(|| Hole {
            waiting: BTreeMap::new(),
            bytes: 0,
            denied: BTreeSet::new(),
            nothing: BTreeSet::new(),
            answered_at: now,
            patience_until: now + HOLE_SILENT_MS + jitter,
        });
        let size = post.kept_bytes();
        if let std::collections::btree_map::Entry::Vacant(place) = hole.waiting.entry(number) {
            place.insert((post, link));
            hole.bytes += size;
        }
        let most = WAITING_BYTES_MAX.min(WAITING_BYTES_TOTAL_MAX.saturating_sub(total - hole.bytes.min(total)));
        let mut kept = true;
        while hole.bytes > most && hole.waiting.len() > 1 {
            let Some((dropped, (post, _))) = hole.waiting.pop_last() else { break };
            hole.bytes -= post.kept_bytes();
            kept &= dropped != number;
        }
        kept
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.holes.values().map(|hole| hole.bytes).sum()
    }

    /// A link does not have what is missing; the first time, all others are asked.
    fn denied(&mut self, link: LinkId, feed: FeedId, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let Some(hole) = self.holes.get_mut(&feed) else { return };
        let is_new = hole.denied.is_empty();
        hole.denied.insert(link);
        hole.nothing.remove(&link);
        hole.answered_at = now;
        if is_new {
            let others: Vec<LinkId> =
                self.links.iter().filter(|(id, state)| **id != link && state.is_ready()).map(|(id, _)| *id).collect();
            for other in others {
                self.ask(other, feed, out);
            }
        }
        self.settle_hole(feed, out);
    }

    /// Asks a link for the first missing number. An open feed must be closed first to go back.
    fn ask(&mut self, link: LinkId, feed: FeedId, out: &mut Vec<Output>) {
        if self.links.get(&link).is_some_and(|state| state.is_open_in(&feed)) {
            self.send(link, &Control::Quiet { author: feed.author, session: feed.session }, out);
        }
        self.want(link, feed, true, out);
    }

    /// A link that has come up may have what is missing.
    pub(super) fn ask_new_link(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let feeds: Vec<FeedId> = self.holes.keys().copied().collect();
        for feed in feeds {
            self.ask(link, feed, out);
        }
    }

    /// A link told its newest number: it has nothing there, or something new.
    pub(super) fn hole_told(&mut self, link: LinkId, feed: FeedId, number: u64, out: &mut Vec<Output>) {
        let (have, now) = (self.log.have(&feed), self.now.mono);
        let Some(hole) = self.holes.get_mut(&feed) else { return };
        if number > have {
            if !hole.denied.contains(&link) {
                self.ask(link, feed, out);
            }
            return;
        }
        if hole.nothing.insert(link) {
            hole.answered_at = now;
        }
        self.settle_hole(feed, out);
    }

    pub(super) fn settle_holes(&mut self, out: &mut Vec<Output>) {
        let feeds: Vec<FeedId> = self.holes.keys().copied().collect();
        for feed in feeds {
            self.settle_hole(feed, out);
        }
    }

    /// Makes a hole final when nobody can be expected to fill it.
    fn settle_hole(&mut self, feed: FeedId, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let Some(hole) = self.holes.get(&feed) else { return };
        let ready = || self.links.iter().filter(|(_, state)| state.is_ready()).map(|(id, _)| id);
        // Without a link nobody has denied anything: one may come back in a moment.
        let all_denied = ready().next().is_some() && ready().all(|id| hole.denied.contains(id));
        let all_answered =
            ready().next().is_some() && ready().all(|id| hole.denied.contains(id) || hole.nothing.contains(id));
        let progress_at = self.log.feed(&feed).map_or(0, |feed| feed.progress_at);
        let impatient = now >= hole.patience_until.max(progress_at + HOLE_SILENT_MS);
        let is_final = all_denied || (all_answered && now >= hole.answered_at + HOLE_NOTHING_MS) || impatient;
        let Some(lowest) = hole.waiting.keys().next().copied().filter(|_| is_final) else { return };
        let have = self.log.have(&feed);
        if lowest > have + 1 {
            let first = hole.waiting.values().next().map(|(post, _)| Person::of(post));
            if let Some(from) = first {
                self.tell_gap(&feed, from, lowest - 1);
            }
            self.skip(feed, lowest - 1, out);
        }
        if let Some((post, from)) = self.next_waiting(&feed) {
            self.append(&post, Some(from), out);
        }
    }

    /// Tells of a hole, unless all of it was said before we came: then it is not ours to miss.
    fn tell_gap(&mut self, feed: &FeedId, from: Person, to: u64) {
        let have = self.log.have(feed);
        if !self.completion.is_before_us(feed, to) {
            self.local.notice(Event::Gap { from, missed: to - have });
        }
    }

    /// The waiting post that is next in its feed, if it is there.
    pub(super) fn next_waiting(&mut self, feed: &FeedId) -> Option<(Arc<Post>, LinkId)> {
        let have = self.log.have(feed);
        let hole = self.holes.get_mut(feed)?;
        while let Some(entry) = hole.waiting.first_entry() {
            if *entry.key() > have + 1 {
                return None;
            }
            let (post, link) = entry.remove();
            hole.bytes -= post.kept_bytes();
            if post.number == have + 1 {
                return Some((post, link));
            }
        }
        None
    }

    /// A feed with a hole has advanced: the hole is closed, or begins anew further on.
    pub(super) fn hole_advanced(&mut self, feed: FeedId, out: &mut Vec<Output>) {
        let Some(hole) = self.holes.get_mut(&feed) else { return };
        if hole.waiting.is_empty() {
            self.holes.remove(&feed);
            return self.ask_for_dropped(feed, out);
        }
        // Those who brought what still waits have denied what is before it, too.
        hole.denied = hole.waiting.values().map(|(_, link)| *link).collect();
        hole.nothing.clear();
    }

    /// What was dropped for want of room is asked for again.
    fn ask_for_dropped(&mut self, feed: FeedId, out: &mut Vec<Output>) {
        let ignored = |state: &super::Link| state.incoming.get(&feed).is_some_and(|incoming| incoming.ignored);
        let links: Vec<LinkId> = self.links.iter().filter(|(_, state)| ignored(state)).map(|(id, _)| *id).collect();
        for link in links {
            self.ask(link, feed, out);
        }
    }

    pub(super) fn forget_answers(&mut self, link: LinkId) {
        for hole in self.holes.values_mut() {
            hole.denied.remove(&link);
            hole.nothing.remove(&link);
        }
    }
}
