//! Quiet, want and news: which link brings a feed, and what is asked for when it stands still.
//!
//! Of a quiet feed the newest number is told. Where that shows that something is lacking, one link at
//! a time is asked for it, another one when that brings nothing. One mechanism serves the late
//! joiner, the reconnect, the healed cut and the link that was told to be quiet by mistake.

use std::collections::BTreeMap;

use crate::limits::{FEEDS_MAX, FEEDS_PER_PAGE_MAX, NUMBER_MAX, PULL_MS, STALE_MS, WITHHELD_MS};
use crate::wire::end::End;
use crate::wire::record::{Control, Entry, FeedId};

use super::links::{Incoming, Link, Outgoing};
use super::{LinkId, Output, Room};

/// What is lacking and what was asked for.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// Feeds of which a link has told a newer number than ours.
    lacking: BTreeMap<FeedId, Lack>,
    /// Feeds that were asked for and have not reached the number told then.
    under_way: BTreeMap<FeedId, Pull>,
}

#[derive(Debug)]
struct Lack {
    since: u64,
    /// How long it may stand still, once asked for, before another link is asked.
    patience_ms: u64,
    /// When it is looked at next.
    check_at: u64,
    /// How often it was asked for in vain.
    tries: u32,
    /// A link that came up has more: how old what was missed has to be.
    recovered_age: Option<u64>,
}

#[derive(Debug)]
struct Pull {
    link: LinkId,
    target: u64,
    since: u64,
    recovered_age: Option<u64>,
}

/// After so many looks at a feed of which nothing comes, those who told of it are not believed any more; a guess.
const PULL_TRIES_MAX: u32 = 16;

/// The longest pause between two of them.
const PULL_PAUSE_MS_MAX: u64 = 5_000;

impl Pulls {
    /// Whether what comes of a feed was said before.
    pub(super) fn is_under_way(&self, feed: &FeedId) -> bool {
        self.under_way.contains_key(feed)
    }

    /// How many feeds take memory here.
    pub(super) fn feeds_remembered(&self) -> usize {
        self.lacking.len().max(self.under_way.len())
    }

    /// Forgets a feed that is no more.
    pub(super) fn forget(&mut self, feed: &FeedId) {
        self.lacking.remove(feed);
        self.under_way.remove(feed);
    }

    /// How old what comes of a feed has to be to have been missed, and since when it is lacking; `None` where nothing was.
    pub(super) fn recovered_age(&self, feed: &FeedId) -> Option<(u64, u64)> {
        let pull = self.under_way.get(feed)?;
        let since = self.lacking.get(feed).map_or(pull.since, |lack| lack.since);
        Some((pull.recovered_age?, since))
    }

    /// Whether somebody has more of a feed, as far as is believed.
    pub(super) fn is_lacking(&self, feed: &FeedId) -> bool {
        self.lacking.contains_key(feed)
    }

    /// Whether something that was missed is on its way.
    pub(super) fn are_catching_up(&self) -> bool {
        self.lacking.values().any(|lack| lack.recovered_age.is_some())
    }

    /// Who brings posts has changed: all that is lacking is looked at anew.
    pub(super) fn look_again(&mut self) {
        for lack in self.lacking.values_mut() {
            lack.check_at = 0;
        }
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
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_ready()) else {
            return self.close(link, End::OutOfTurn, out);
        };
        if self.log.feed(&feed).is_none() {
            let is_awaited = self.pulls.lacking.contains_key(&feed);
            let is_allowed = number > 0 && (is_awaited || state.meter.allows_feed(self.now.mono));
            if !is_allowed || !self.takes(&feed, out) {
                return;
            }
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        state.note_known(feed, number);
        if let Some(incoming) = state.incoming.get_mut(&feed) {
            incoming.open = false;
        }
        if number > have && feed != self.me {
            self.lack(feed, STALE_MS);
            if self.is_hubless() || self.should_bring(link, &feed) {
                self.pull_if_stale(feed, out);
            }
        }
        self.hole_told(link, feed, number, out);
    }

    /// Asks for what a new link has more of; opens what it was found to have no more of meanwhile.
    pub(super) fn catch_up_over(&mut self, link: LinkId, theirs: &BTreeMap<FeedId, u64>, out: &mut Vec<Output>) {
        let recovered_age = self.recovered_age(link);
        for (feed, number) in theirs {
            let incoming = self.links.get(&link).and_then(|state| state.incoming.get(feed));
            let Some(Incoming { open, .. }) = incoming.filter(|_| *feed != self.me) else { continue };
            if *open {
                self.comes_unasked(link, *feed, *number, recovered_age, out);
                continue;
            }
            if *number <= self.log.have(feed) {
                if !self.pulls.under_way.contains_key(feed) {
                    self.want(link, *feed, false, out);
                }
                continue;
            }
            if !self.takes(feed, out) || !self.lack_recovered(*feed, recovered_age) {
                continue;
            }
            // What has no room now is asked for as the outbox drains.
            let is_full = self.links.get(&link).is_some_and(Link::outbox_is_full);
            if !is_full && !self.pulls.under_way.contains_key(feed) {
                self.pull(link, *feed, *number, out);
            }
        }
    }

    /// A feed that we have not named comes over a link on which we have asked for all. One for which there is no room is
    /// turned away when its first post is there.
    fn comes_unasked(&mut self, link: LinkId, feed: FeedId, number: u64, recovered_age: u64, out: &mut Vec<Output>) {
        if number > self.log.have(&feed) && self.takes(&feed, out) && self.lack_recovered(feed, recovered_age) {
            let pull = Pull { link, target: number, since: self.now.mono, recovered_age: Some(recovered_age) };
            self.pulls.under_way.entry(feed).or_insert(pull);
        }
    }

    /// A new link has more of a feed: what is of that age, or older, is recovered.
    fn lack_recovered(&mut self, feed: FeedId, age: u64) -> bool {
        let is_taken = self.lack(feed, PULL_MS);
        if let Some(lack) = self.pulls.lacking.get_mut(&feed).filter(|_| is_taken) {
            lack.recovered_age = Some(lack.recovered_age.unwrap_or(age).min(age));
        }
        is_taken
    }

    fn pull(&mut self, link: LinkId, feed: FeedId, target: u64, out: &mut Vec<Output>) {
        let recovered_age = self.pulls.lacking.get(&feed).and_then(|lack| lack.recovered_age);
        self.pulls.under_way.insert(feed, Pull { link, target, since: self.now.mono, recovered_age });
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
        self.send(link, &Control::Want { author: feed.author, session: feed.session, from, answer }, out);
    }

    /// Caught up: the links that were closed because they had more are opened behind it.
    fn open_closed_links(&mut self, feed: FeedId, out: &mut Vec<Output>) {
        let have = self.log.have(&feed);
        let closed = |state: &Link| {
            let incoming = state.incoming.get(&feed);
            state.is_ready()
                && !state.is_spare
                && incoming.is_some_and(|state| !state.open && !state.hushed && state.known <= have)
        };
        let links: Vec<LinkId> = self.links.iter().filter(|(_, state)| closed(state)).map(|(id, _)| *id).collect();
        for link in links {
            self.want(link, feed, false, out);
        }
    }

    /// Feeds that stand still while somebody tells of newer numbers are asked for, one link at a time.
    pub(super) fn pull_stale_feeds(&mut self, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let due = self.pulls.lacking.iter().filter(|(_, lack)| lack.check_at <= now);
        let due: Vec<FeedId> = due.map(|(feed, _)| *feed).collect();
        for feed in due {
            self.pull_if_stale(feed, out);
        }
    }

    fn pull_if_stale(&mut self, feed: FeedId, out: &mut Vec<Output>) {
        let (have, now) = (self.log.have(&feed), self.now.mono);
        let patience_ms = self.patience_ms(&feed, have);
        let telling = |state: &Link| state.is_ready() && state.known(&feed) > have;
        let pull = self.pulls.under_way.get(&feed);
        let Some(lack) = self.pulls.lacking.get_mut(&feed) else { return };
        if lack.tries > PULL_TRIES_MAX || !self.links.values().any(telling) {
            return self.give_up_pull(feed);
        }
        let progress_at = self.log.feed(&feed).map_or(0, |feed| feed.progress_at);
        let (since, patience_ms) = pull.map_or((lack.since, patience_ms), |pull| (pull.since, lack.patience_ms));
        let stale_at = since.max(progress_at) + patience_ms;
        if now < stale_at {
            lack.check_at = stale_at;
            return;
        }
        let last = pull.map(|pull| pull.link);
        // Another link than the last one, where there is another. One that reads nothing keeps nobody waiting for the rest.
        let mut closed = self.links.iter().filter(|(_, state)| telling(state) && !state.is_open_in(&feed));
        let free = closed.clone().filter(|(_, state)| !state.outbox_is_full());
        let next = free.min_by_key(|(id, _)| last == Some(**id));
        if next.is_none() && closed.next().is_some() {
            return;
        }
        lack.tries += 1;
        lack.check_at = now + (lack.patience_ms << lack.tries.min(5)).min(PULL_PAUSE_MS_MAX);
        if let Some((link, target, is_spare)) = next.map(|(id, state)| (*id, state.known(&feed), state.is_spare)) {
            lack.check_at = now + lack.patience_ms;
            self.pull(link, feed, target, out);
            if is_spare {
                self.fetched_from_spare(feed, link);
            }
        }
    }

    /// How long a feed of which somebody tells may stand still before it is asked for. What only spare links tell of comes from
    /// the hub; without a hub, or where a new one only tells of it, nobody else brings it.
    fn patience_ms(&self, feed: &FeedId, have: u64) -> u64 {
        let mut telling = self.links.iter().filter(|(_, link)| link.is_ready() && link.known(feed) > have);
        if self.is_hubless() || telling.clone().any(|(id, _)| self.should_bring(*id, feed)) {
            return 0;
        }
        if telling.all(|(_, link)| link.is_spare) { WITHHELD_MS } else { STALE_MS }
    }

    /// Nobody tells of anything newer any more, or nothing ever came: what a peer said is not believed for ever.
    fn give_up_pull(&mut self, feed: FeedId) {
        let have = self.log.have(&feed);
        self.pulls.lacking.remove(&feed);
        self.pulls.under_way.remove(&feed);
        for incoming in self.links.values_mut().filter_map(|state| state.incoming.get_mut(&feed)) {
            incoming.known = incoming.known.min(have);
        }
    }

    /// Notes that a link has more of a feed, if there is room for one more that is lacking.
    pub(super) fn lack(&mut self, feed: FeedId, patience_ms: u64) -> bool {
        let now = self.now.mono;
        let lacking = &mut self.pulls.lacking;
        let has_room = lacking.len() < FEEDS_MAX || lacking.contains_key(&feed);
        if has_room {
            let fresh = Lack { since: now, patience_ms, check_at: now, tries: 0, recovered_age: None };
            let lack = lacking.entry(feed).or_insert(fresh);
            lack.check_at = now;
        }
        has_room
    }

    /// Tells every link the newest numbers of its quiet feeds.
    pub(super) fn tell_news(&mut self, out: &mut Vec<Output>) {
        let links: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| !link.untold.is_empty()).map(|(id, _)| *id).collect();
        for link in links {
            if self.may_tell(link) {
                self.tell_link(link, out);
            }
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
        if let Some(lack) = self.pulls.lacking.get_mut(&feed) {
            lack.tries = 0;
        }
        if self.pulls.under_way.get(&feed).is_some_and(|pull| pull.target <= have) {
            self.pulls.under_way.remove(&feed);
            if let Some(lack) = self.pulls.lacking.get_mut(&feed) {
                lack.recovered_age = None;
            }
            self.open_closed_links(feed, out);
        }
    }

    /// What was asked of a link that is gone is asked of others.
    pub(super) fn forget_pulls(&mut self, link: LinkId) {
        let Pulls { lacking, under_way } = &mut self.pulls;
        under_way.retain(|feed, pull| {
            let stays = pull.link != link;
            if let Some(lack) = lacking.get_mut(feed).filter(|_| !stays) {
                lack.check_at = 0;
            }
            stays
        });
    }
}
