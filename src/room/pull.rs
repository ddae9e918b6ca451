//! Quiet, want and news: which link brings a feed, and what is asked for when it stands still.
//!
//! Of a quiet feed the newest number is told. Where that shows that something is lacking, one link at
//! a time is asked for it, another one when that brings nothing. One mechanism serves the late
//! joiner, the reconnect, the healed cut and the link that was told to be quiet by mistake.

use std::collections::BTreeMap;

use crate::limits::{FEEDS_MAX, FEEDS_PER_PAGE_MAX, NUMBER_MAX, PULL_MS, STALE_MS};
use crate::wire::end::End;
use crate::wire::record::{Control, Entry, FeedId};

use super::links::{Link, Outgoing};
use super::{LinkId, Output, Room};

/// What is lacking and what was asked for.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// Feeds of which a link has told a newer number than ours, since when.
    lacking: BTreeMap<FeedId, u64>,
    /// Feeds that were asked for and have not reached the number told then.
    under_way: BTreeMap<FeedId, Pull>,
}

#[derive(Debug)]
struct Pull {
    link: LinkId,
    target: u64,
    since: u64,
    patience_ms: u64,
}

impl Pulls {
    /// Whether what comes of a feed was said before.
    pub(super) fn is_under_way(&self, feed: &FeedId) -> bool {
        self.under_way.contains_key(feed)
    }

    pub(super) fn are_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }
}

impl Room {
    pub(super) fn quiet_arrived(&mut self, link: LinkId, feed: FeedId, out: &mut Vec<Output>) {
        let have = self.log.have(&feed);
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_ready()) else {
            return self.close(link, End::OutOfTurn, out);
        };
        let told = match state.outgoing.get(&feed) {
            None => have,
            Some(Outgoing::Open { cursor }) => cursor.saturating_sub(1).min(have),
            Some(Outgoing::Quiet { .. }) => return,
        };
        state.outgoing.insert(feed, Outgoing::Quiet { told });
        state.asked.remove(&feed);
        if have > told.max(state.known(&feed)) {
            state.untold.insert(feed);
            self.tell_link(link, out);
        }
    }

    pub(super) fn want_arrived(&mut self, link: LinkId, feed: FeedId, from: u64, answer: bool, out: &mut Vec<Output>) {
        let have = self.log.have(&feed);
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_ready()) else {
            return self.close(link, End::OutOfTurn, out);
        };
        let open_at = match state.outgoing.get(&feed) {
            None => Some(have + 1),
            Some(Outgoing::Open { cursor }) => Some(*cursor),
            Some(Outgoing::Quiet { .. }) => None,
        };
        if answer && from > self.log.newest(&feed) {
            state.asked.insert(feed, from);
        }
        if open_at.is_some_and(|cursor| cursor >= from) {
            return;
        }
        state.untold.remove(&feed);
        if let Some(incoming) = state.incoming.get_mut(&feed) {
            incoming.known = from - 1;
        }
        state.outgoing.insert(feed, Outgoing::Open { cursor: from });
        self.advance(link, feed, out);
    }

    /// A peer tells the newest number of a feed that it holds quiet towards us.
    pub(super) fn told(&mut self, link: LinkId, feed: FeedId, number: u64, out: &mut Vec<Output>) {
        let have = self.log.have(&feed);
        let now = self.now.mono;
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_ready()) else {
            return self.close(link, End::OutOfTurn, out);
        };
        if self.log.feed(&feed).is_none() && (self.log.feed_count() >= FEEDS_MAX || number == 0) {
            return;
        }
        state.note_known(feed, number);
        if let Some(incoming) = state.incoming.get_mut(&feed) {
            incoming.open = false;
        }
        if number > have && feed != self.me {
            self.pulls.lacking.entry(feed).or_insert(now);
        }
        self.hole_told(link, feed, number, out);
    }

    /// Asks for what a new link has more of; opens what it was found to have no more of meanwhile.
    pub(super) fn catch_up_over(&mut self, link: LinkId, theirs: &BTreeMap<FeedId, u64>, out: &mut Vec<Output>) {
        for (feed, number) in theirs {
            let closed = self.links.get(&link).is_some_and(|state| !state.is_open_in(feed));
            if !closed || *feed == self.me {
                continue;
            }
            if *number <= self.log.have(feed) {
                if !self.pulls.under_way.contains_key(feed) {
                    self.want(link, *feed, false, out);
                }
                continue;
            }
            if self.log.feed(feed).is_none() && self.log.feed_count() >= FEEDS_MAX {
                self.warn_of_feeds();
                continue;
            }
            self.pulls.lacking.entry(*feed).or_insert(self.now.mono);
            if !self.pulls.under_way.contains_key(feed) {
                self.pull(link, *feed, *number, PULL_MS, out);
            }
        }
    }

    fn pull(&mut self, link: LinkId, feed: FeedId, target: u64, patience_ms: u64, out: &mut Vec<Output>) {
        self.pulls.under_way.insert(feed, Pull { link, target, since: self.now.mono, patience_ms });
        self.want(link, feed, false, out);
    }

    /// Opens a feed on a link from our next number on.
    pub(super) fn want(&mut self, link: LinkId, feed: FeedId, answer: bool, out: &mut Vec<Output>) {
        let from = self.log.have(&feed) + 1;
        // Of a feed with the largest number there is no more, and no record that could ask for it.
        if from > NUMBER_MAX {
            return;
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        let incoming = state.incoming.entry(feed).or_default();
        incoming.open = true;
        incoming.hushed = false;
        incoming.surplus = 0;
        incoming.gap = None;
        self.send(link, &Control::Want { author: feed.author, session: feed.session, from, answer }, out);
    }

    /// Caught up: the links that were closed because they had more are opened behind it.
    fn open_closed_links(&mut self, feed: FeedId, out: &mut Vec<Output>) {
        let have = self.log.have(&feed);
        let closed = |state: &Link| {
            let incoming = state.incoming.get(&feed);
            state.is_ready() && incoming.is_some_and(|state| !state.open && !state.hushed && state.known <= have)
        };
        let links: Vec<LinkId> = self.links.iter().filter(|(_, state)| closed(state)).map(|(id, _)| *id).collect();
        for link in links {
            self.want(link, feed, false, out);
        }
    }

    /// Feeds that stand still while somebody tells of newer numbers are asked for, one link at a time.
    pub(super) fn pull_stale_feeds(&mut self, out: &mut Vec<Output>) {
        let feeds: Vec<(FeedId, u64)> = self.pulls.lacking.iter().map(|(feed, since)| (*feed, *since)).collect();
        for (feed, since) in feeds {
            let have = self.log.have(&feed);
            let telling = |state: &Link| state.is_ready() && state.known(&feed) > have;
            if !self.links.values().any(telling) {
                self.pulls.lacking.remove(&feed);
                self.pulls.under_way.remove(&feed);
                continue;
            }
            let pull = self.pulls.under_way.get(&feed);
            let patience_ms = pull.map_or(STALE_MS, |pull| pull.patience_ms);
            let progress_at = self.log.feed(&feed).map_or(0, |feed| feed.progress_at);
            let waited_from = pull.map_or(since, |pull| pull.since).max(progress_at);
            if self.now.mono < waited_from + patience_ms {
                continue;
            }
            let last = pull.map(|pull| pull.link);
            // Another link than the last one, where there is another.
            let closed = self.links.iter().filter(|(_, state)| telling(state) && !state.is_open_in(&feed));
            let next = closed.min_by_key(|(id, _)| last == Some(**id));
            if let Some((link, target)) = next.map(|(id, state)| (*id, state.known(&feed))) {
                self.pull(link, feed, target, patience_ms, out);
            }
        }
    }

    /// Tells every link the newest numbers of its quiet feeds.
    pub(super) fn tell_news(&mut self, out: &mut Vec<Output>) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| !link.untold.is_empty()).map(|(id, _)| *id).collect();
        for link in links {
            self.tell_link(link, out);
        }
    }

    fn tell_link(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.outbox_is_full() {
            return;
        }
        let mut entries = Vec::new();
        for feed in std::mem::take(&mut state.untold) {
            let known = state.known(&feed);
            let Some(Outgoing::Quiet { told }) = state.outgoing.get_mut(&feed) else { continue };
            let newest = self.log.newest(&feed);
            if newest > known.max(*told) {
                *told = newest;
                entries.push(Entry(feed.author, feed.session, newest));
            }
        }
        for page in entries.chunks(FEEDS_PER_PAGE_MAX) {
            self.send(link, &Control::News { feeds: page.to_vec() }, out);
        }
    }

    /// Tells those who asked that there is nothing, once nobody else of ours can bring more. The feed
    /// is quiet there from then on.
    pub(super) fn answer_asked(&mut self, out: &mut Vec<Output>) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| !link.asked.is_empty()).map(|(id, _)| *id).collect();
        for link in links {
            let Some(state) = self.links.get_mut(&link) else { continue };
            for (feed, from) in std::mem::take(&mut state.asked) {
                let (have, newest) = (self.log.have(&feed), self.log.newest(&feed));
                let more = |(id, other): (&LinkId, &Link)| *id != link && other.known(&feed) > have;
                let may_come = self.holes.contains_key(&feed) || self.links.iter().any(more);
                match self.links.get_mut(&link) {
                    Some(state) if newest < from && may_come => _ = state.asked.insert(feed, from),
                    Some(_) if newest < from => self.deny(link, feed, newest, out),
                    _ => {}
                }
            }
        }
    }

    fn deny(&mut self, link: LinkId, feed: FeedId, newest: u64, out: &mut Vec<Output>) {
        if let Some(state) = self.links.get_mut(&link) {
            state.outgoing.insert(feed, Outgoing::Quiet { told: newest });
        }
        let feeds = vec![Entry(feed.author, feed.session, newest)];
        self.send(link, &Control::News { feeds }, out);
    }

    /// A feed has advanced; if that is what was asked for, the pull is over.
    pub(super) fn pull_advanced(&mut self, feed: FeedId, have: u64, out: &mut Vec<Output>) {
        if self.pulls.under_way.get(&feed).is_some_and(|pull| pull.target <= have) {
            self.pulls.under_way.remove(&feed);
            self.open_closed_links(feed, out);
        }
    }

    /// What was asked of a link that is gone is asked of others.
    pub(super) fn forget_pulls(&mut self, link: LinkId) {
        self.pulls.under_way.retain(|_, pull| pull.link != link);
    }
}
