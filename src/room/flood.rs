//! The flood: how posts come in, are appended, and go on.
//!
//! A post is appended only as the next of its feed, which shows it and sends it on over every other
//! link; a second copy stops. So each member has it exactly once in any topology. Links on which a
//! feed brings only copies are told `quiet`, and asked again (`want`) as soon as the feed
//! stands still while they tell of newer numbers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::limits::{
    CLOCK_AHEAD_MS_MAX, ENDING_KEPT_MS, FEEDS_MAX, FEEDS_PER_PAGE_MAX, MARK_RECENT_MS, MARK_ROUTES_MAX,
    OUTBOX_BYTES_MAX, POST_AGE_MS_MAX, POST_AHEAD_MS_MAX, PULL_MS, STALE_MS, SURPLUS_BYTES_MAX,
};
use crate::wire::end::End;
use crate::wire::record::{Ack, Body, Control, Entry, FeedId, Label, Post};

use super::event::{Event, Person};
use super::links::Outgoing;
use super::log::{Log, Worth};
use super::{LinkId, Output, Room};

/// What the flood remembers beside the log and the links.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// Feeds of which a link has told a newer number than ours, since when.
    lacking: BTreeMap<FeedId, u64>,
    /// Feeds that were asked for and have not reached the number told then.
    pulls: BTreeMap<FeedId, Pull>,
    /// Per feed, the links that brought its last marked posts first.
    marks: BTreeMap<FeedId, Marks>,
    /// Marks whose answers wait for this node's own output.
    unanswered: BTreeMap<FeedId, (u64, LinkId)>,
    sharers: u64,
    warned_of_feeds: bool,
}

#[derive(Debug)]
struct Pull {
    link: LinkId,
    target: u64,
    since: u64,
    patience_ms: u64,
}

#[derive(Debug, Default)]
struct Marks {
    routes: VecDeque<(u64, LinkId)>,
    at: u64,
}

impl Flood {
    pub(super) fn is_pulling(&self) -> bool {
        !self.pulls.is_empty()
    }

    pub(super) fn owes_answers(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Forgets a feed that is no more.
    pub(super) fn forget(&mut self, feed: &FeedId) {
        self.marks.remove(feed);
    }

    /// Other feeds with a recent mark: their windows share the log with ours.
    pub(super) fn sharers(&self) -> u64 {
        self.sharers
    }
}

impl Room {
    // ---- what comes in --------------------------------------------------------------------------

    pub(super) fn post_arrived(&mut self, link: LinkId, post: Arc<Post>, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if !state.is_ready() {
            return self.close(link, End::OutOfTurn, out);
        }
        let (feed, number) = (post.feed, post.number);
        let have = self.log.have(&feed);
        if number <= have {
            self.check_fork(link, &post, out);
            return self.copy_arrived(link, feed, number, post.frame.len(), out);
        }
        if let Some(incoming) = state.incoming.get_mut(&feed) {
            incoming.known = incoming.known.max(number);
            incoming.surplus = incoming.surplus.saturating_sub(post.frame.len() as u64);
            if number == have + 1 {
                incoming.ignored = false;
            }
        }
        if have == 0 && self.log.feed(&feed).is_none() && self.log.feed_count() >= FEEDS_MAX {
            self.warn_of_feeds();
        } else if number == have + 1 {
            self.append(&post, Some(link), out);
        } else {
            self.post_behind_gap(link, post, out);
        }
    }

    fn warn_of_feeds(&mut self) {
        if !std::mem::replace(&mut self.flood.warned_of_feeds, true) {
            let text = format!("more than {FEEDS_MAX} sessions known: posts of new ones are refused");
            self.local.notice(Event::Warning(text));
        }
    }

    /// A copy of something seen: its link may be told to be quiet.
    pub(super) fn copy_arrived(
        &mut self,
        link: LinkId,
        feed: FeedId,
        number: u64,
        bytes: usize,
        out: &mut Vec<Output>,
    ) {
        let have = self.log.have(&feed);
        let Some(state) = self.links.get_mut(&link) else { return };
        state.note_known(feed, number);
        let Some(incoming) = state.incoming.get_mut(&feed).filter(|incoming| incoming.open) else { return };
        incoming.ignored = false;
        incoming.surplus += bytes as u64;
        // A link that has more than we do is on its way to bring it.
        if incoming.surplus <= SURPLUS_BYTES_MAX || incoming.known > have {
            return;
        }
        let other = |(id, state): (&LinkId, &super::Link)| *id != link && state.is_ready() && state.is_open_in(&feed);
        if !self.links.iter().any(other) {
            return;
        }
        if let Some(incoming) = self.links.get_mut(&link).and_then(|state| state.incoming.get_mut(&feed)) {
            incoming.open = false;
            incoming.hushed = true;
            incoming.surplus = 0;
        }
        self.send(link, &Control::Quiet { author: feed.author, session: feed.session }, out);
    }

    /// Two bodies under one number: the first stays, the pair is proof, and goes round once.
    fn check_fork(&mut self, link: LinkId, post: &Arc<Post>, out: &mut Vec<Output>) {
        let kept = self.log.feed(&post.feed).and_then(|feed| feed.post(post.number));
        if kept.is_none_or(|kept| kept.frame == post.frame) || !self.forked.insert(post.feed.author) {
            return;
        }
        self.local.notice(Event::Forked(Person::of(post)));
        let (feed, number) = (post.feed, post.number);
        let holds = |state: &super::Link| match state.outgoing.get(&feed) {
            None => true,
            Some(Outgoing::Open { cursor }) => *cursor > number,
            Some(Outgoing::Quiet { told }) => *told >= number && state.known(&feed) >= number,
        };
        let links: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(id, state)| **id != link && state.is_ready() && holds(state))
            .map(|(id, _)| *id)
            .collect();
        for link in links {
            self.send_frame(link, Arc::clone(&post.frame), out);
        }
    }

    // ---- append ---------------------------------------------------------------------------------

    /// Appends the next post of a feed, then those that waited for it.
    pub(super) fn append(&mut self, post: &Arc<Post>, from: Option<LinkId>, out: &mut Vec<Output>) {
        let feed = post.feed;
        self.append_one(post, from, out);
        while let Some((post, from)) = self.next_waiting(&feed) {
            self.append_one(&post, Some(from), out);
        }
        let have = self.log.have(&feed);
        self.note_completion(&feed, have);
        if self.flood.pulls.get(&feed).is_some_and(|pull| pull.target <= have) {
            self.flood.pulls.remove(&feed);
            self.open_closed_links(feed, out);
        }
        self.hole_advanced(feed, out);
    }

    fn append_one(&mut self, post: &Arc<Post>, from: Option<LinkId>, out: &mut Vec<Output>) {
        let (feed, number) = (post.feed, post.number);
        if self.is_untimely(post) {
            return self.skip(feed, number, out);
        }
        self.clock = self.clock.max(post.at.min(self.now.wall + CLOCK_AHEAD_MS_MAX));
        self.log.append(Arc::clone(post), self.now.mono);
        let tail = Label::read(&post.frame).map_or(0, |label| label.tail);
        out.push(Output::Seen { feed, number, tail });
        self.fold(post, from);
        if self.completion.covers(&feed, number) {
            self.local.hold_back(post);
        } else if feed != self.me || self.config.echo {
            self.local.show(post, self.completion.is_under_way(), self.now.mono);
        }
        if post.ack && feed != self.me {
            self.answer_mark(feed, number, from, out);
        }
        self.spread(post, from, out);
        self.evict();
        // Somebody took us for lost, now or at a number that we have just reached.
        if self.roster.session(&self.me).is_some_and(|me| !me.is_present() && !me.has_left()) {
            self.post_join(out);
        }
    }

    /// Whether a post is too old, or too far in the future, to be kept; its number counts as seen.
    fn is_untimely(&mut self, post: &Post) -> bool {
        let wall = self.now.wall;
        let is_ahead = post.at > wall.saturating_add(POST_AHEAD_MS_MAX);
        if is_ahead {
            let hours = (post.at - wall) / 3_600_000;
            let text = format!("the clock of {} is {hours} hours ahead: a post was refused", post.nick);
            self.local.notice(Event::Warning(text));
        }
        post.feed != self.me && (is_ahead || post.at < wall.saturating_sub(POST_AGE_MS_MAX))
    }

    fn fold(&mut self, post: &Post, from: Option<LinkId>) {
        let age = self.now.wall.saturating_sub(post.at);
        let written_at = i64::try_from(self.now.mono).unwrap_or(i64::MAX) - i64::try_from(age).unwrap_or(i64::MAX);
        if let Body::Join { addresses, .. } = &post.body {
            let via = from.and_then(|link| self.links.get(&link)).map(|link| link.remote.ip());
            self.overlay.learn(post.feed, addresses, via);
            self.plan_due = true;
        }
        if self.roster.fold(post, written_at) {
            self.roster_changed();
        }
    }

    /// Counts numbers as seen that are not kept. Links that were level are no longer: they are owed a
    /// gap notice.
    pub(super) fn skip(&mut self, feed: FeedId, number: u64, out: &mut Vec<Output>) {
        let cursor = self.log.have(&feed) + 1;
        for link in self.links.values_mut().filter(|link| link.is_ready()) {
            link.outgoing.entry(feed).or_insert(Outgoing::Open { cursor });
        }
        self.log.skip_to(feed, number, self.now.mono);
        out.push(Output::Seen { feed, number, tail: 0 });
        if self.roster.skip_to(feed, number) {
            self.roster_changed();
        }
    }

    pub(super) fn log_and_worth(&mut self) -> (&mut Log, impl Fn(&Post) -> Worth) {
        let (roster, me, wall) = (&self.roster, self.me, self.now.wall);
        let unsettled = self.pace.settled_number();
        let worth = move |post: &Post| match post.body {
            Body::Join { .. } if roster.session(&post.feed).is_some_and(|session| session.needs_join(post.number)) => {
                Worth::Needed
            }
            Body::Leave { .. } | Body::Lost { .. } if wall < post.at + ENDING_KEPT_MS => Worth::Needed,
            _ if post.feed == me && post.number > unsettled => Worth::Precious,
            _ => Worth::Ordinary,
        };
        (&mut self.log, worth)
    }

    fn evict(&mut self) {
        let most = self.config.log_bytes_max;
        if self.log.bytes() > most {
            let (log, worth) = self.log_and_worth();
            log.evict_to(most, worth);
        }
    }

    // ---- what goes out --------------------------------------------------------------------------

    /// Sends a post that was just appended over every link on which its feed is open and level.
    fn spread(&mut self, post: &Arc<Post>, from: Option<LinkId>, out: &mut Vec<Output>) {
        let (feed, number) = (post.feed, post.number);
        let mut links = Vec::new();
        let mut behind = Vec::new();
        for (id, link) in &mut self.links {
            if !link.is_ready() {
                continue;
            }
            match link.outgoing.get(&feed) {
                None if from == Some(*id) || link.known(&feed) >= number => {}
                None if link.lagging || link.outbox_is_full() => {
                    link.lagging = true;
                    link.outgoing.insert(feed, Outgoing::Open { cursor: number });
                }
                None => {
                    link.queued_bytes += post.frame.len();
                    links.push(*id);
                }
                Some(Outgoing::Open { cursor }) if *cursor > number + 1 => {}
                Some(Outgoing::Open { .. }) => behind.push(*id),
                Some(Outgoing::Quiet { .. }) => {
                    link.untold.insert(feed);
                }
            }
        }
        if !links.is_empty() {
            out.push(Output::Send { links, frame: Arc::clone(&post.frame) });
        }
        for link in behind {
            if from == Some(link)
                && let Some(state) = self.links.get_mut(&link)
            {
                state.note_known(feed, number);
            }
            self.advance(link, feed, out);
        }
    }

    /// Sends what a link lacks of an open feed, as far as its outbox takes it.
    fn advance(&mut self, link: LinkId, feed: FeedId, out: &mut Vec<Output>) {
        while let Some((next, frames)) = self.next_step(link, feed) {
            for frame in frames {
                self.send_frame(link, frame, out);
            }
            let have = self.log.have(&feed);
            let Some(state) = self.links.get_mut(&link) else { return };
            if next == have + 1 {
                state.outgoing.remove(&feed);
                return;
            }
            state.outgoing.insert(feed, Outgoing::Open { cursor: next });
            if next > have {
                return;
            }
            if state.outbox_is_full() {
                state.lagging = true;
            }
        }
    }

    /// The cursor after the next step of an open feed, and the frames that it takes.
    fn next_step(&self, link: LinkId, feed: FeedId) -> Option<(u64, Vec<crate::wire::Frame>)> {
        let state = self.links.get(&link)?;
        if state.lagging {
            return None;
        }
        let Some(Outgoing::Open { cursor }) = state.outgoing.get(&feed) else { return None };
        let kept = self.log.feed(&feed)?;
        let cursor = (*cursor).max(state.known(&feed) + 1);
        if cursor > kept.have {
            return Some((cursor, Vec::new()));
        }
        let Some(post) = kept.next_post(cursor) else { return Some((kept.have + 1, Vec::new())) };
        let mut frames = Vec::with_capacity(2);
        if post.number > cursor {
            let gap = Control::Gap { author: feed.author, session: feed.session, from: cursor, to: post.number - 1 };
            frames.push(gap.encode());
        }
        frames.push(Arc::clone(&post.frame));
        Some((post.number + 1, frames))
    }

    /// Goes on with all feeds that a link lacks, each in turn, from where it stopped.
    pub(super) fn serve(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let Some(state) = self.links.get(&link).filter(|state| state.is_ready()) else { return };
        let open = |(feed, outgoing): (&FeedId, &Outgoing)| matches!(outgoing, Outgoing::Open { .. }).then_some(*feed);
        let mut feeds: VecDeque<FeedId> = state.outgoing.iter().filter_map(open).collect();
        if let Some(served) = state.served {
            let first = feeds.partition_point(|feed| *feed <= served);
            feeds.rotate_left(first);
        }
        for feed in feeds {
            self.advance(link, feed, out);
            let Some(state) = self.links.get_mut(&link) else { return };
            if state.lagging {
                state.served = Some(feed);
                return;
            }
        }
    }

    pub(super) fn drained(&mut self, link: LinkId, bytes: usize, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.queued_bytes = state.queued_bytes.saturating_sub(bytes);
        if state.is_up() && state.paging.is_some() {
            self.page_on(link, out);
        } else if state.lagging && state.queued_bytes <= OUTBOX_BYTES_MAX / 2 {
            state.lagging = false;
            self.serve(link, out);
        }
    }

    // ---- quiet, want, news ------------------------------------------------------------------------

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
        if answer && from > have {
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
            self.flood.lacking.entry(feed).or_insert(now);
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
                if !self.flood.pulls.contains_key(feed) {
                    self.want(link, *feed, false, out);
                }
                continue;
            }
            if self.log.feed(feed).is_none() && self.log.feed_count() >= FEEDS_MAX {
                self.warn_of_feeds();
                continue;
            }
            self.flood.lacking.entry(*feed).or_insert(self.now.mono);
            if !self.flood.pulls.contains_key(feed) {
                self.pull(link, *feed, *number, PULL_MS, out);
            }
        }
    }

    fn pull(&mut self, link: LinkId, feed: FeedId, target: u64, patience_ms: u64, out: &mut Vec<Output>) {
        self.flood.pulls.insert(feed, Pull { link, target, since: self.now.mono, patience_ms });
        self.want(link, feed, false, out);
    }

    /// Opens a feed on a link from our next number on.
    pub(super) fn want(&mut self, link: LinkId, feed: FeedId, answer: bool, out: &mut Vec<Output>) {
        let from = self.log.have(&feed) + 1;
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
        let closed = |state: &super::Link| {
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
        let feeds: Vec<(FeedId, u64)> = self.flood.lacking.iter().map(|(feed, since)| (*feed, *since)).collect();
        for (feed, since) in feeds {
            let have = self.log.have(&feed);
            let telling = |state: &super::Link| state.is_ready() && state.known(&feed) > have;
            if !self.links.values().any(telling) {
                self.flood.lacking.remove(&feed);
                self.flood.pulls.remove(&feed);
                continue;
            }
            let pull = self.flood.pulls.get(&feed);
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
        let now = self.now.mono;
        self.flood.sharers = self.flood.marks.values().filter(|marks| now < marks.at + MARK_RECENT_MS).count() as u64;
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
            let have = self.log.feed(&feed).filter(|feed| !feed.is_bare()).map_or(0, |feed| feed.have);
            if have > known.max(*told) {
                *told = have;
                entries.push(Entry(feed.author, feed.session, have));
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
                let have = self.log.have(&feed);
                let more = |(id, other): (&LinkId, &super::Link)| *id != link && other.known(&feed) > have;
                let may_come = self.holes.contains_key(&feed) || self.links.iter().any(more);
                match self.links.get_mut(&link) {
                    Some(state) if have < from && may_come => _ = state.asked.insert(feed, from),
                    Some(_) if have < from => self.deny(link, feed, have, out),
                    _ => {}
                }
            }
        }
    }

    fn deny(&mut self, link: LinkId, feed: FeedId, have: u64, out: &mut Vec<Output>) {
        if let Some(state) = self.links.get_mut(&link) {
            state.outgoing.insert(feed, Outgoing::Quiet { told: have });
        }
        let feeds = vec![Entry(feed.author, feed.session, have)];
        self.send(link, &Control::News { feeds }, out);
    }

    // ---- marks and acks -----------------------------------------------------------------------------

    /// Answers a marked post, back along the link that brought it first.
    fn answer_mark(&mut self, feed: FeedId, number: u64, from: Option<LinkId>, out: &mut Vec<Output>) {
        let Some(link) = from else { return };
        let marks = self.flood.marks.entry(feed).or_default();
        marks.at = self.now.mono;
        marks.routes.push_back((number, link));
        if marks.routes.len() > MARK_ROUTES_MAX {
            marks.routes.pop_front();
        }
        if self.local.is_behind(self.now.mono) {
            self.flood.unanswered.insert(feed, (number, link));
        } else {
            self.answer(feed, number, link, out);
        }
    }

    /// Gives the answers that waited for this node's own output.
    pub(super) fn answer_late(&mut self, out: &mut Vec<Output>) {
        if self.flood.owes_answers() && !self.local.is_behind(self.now.mono) {
            for (feed, (number, link)) in std::mem::take(&mut self.flood.unanswered) {
                self.answer(feed, number, link, out);
            }
        }
    }

    fn answer(&mut self, feed: FeedId, number: u64, link: LinkId, out: &mut Vec<Output>) {
        let first = self.log.feed(&feed).map_or(1, |feed| feed.whole_from);
        let ack = Ack::encode(feed, self.me, (first, number), &self.domain, &self.config.identity);
        self.send_ack(link, &ack, out);
    }

    /// An answer is for us, or goes on towards its author.
    pub(super) fn ack_arrived(&mut self, ack: Ack, out: &mut Vec<Output>) {
        if ack.feed == self.me {
            return self.pace.answered(ack);
        }
        let Some(marks) = self.flood.marks.get(&ack.feed) else { return };
        // Where that link is gone the ack is dropped: the way of an older mark may lead back to here.
        let route = marks.routes.iter().rev().find(|(number, _)| *number <= ack.last);
        if let Some(link) = route.map(|(_, link)| *link) {
            self.send_ack(link, &ack, out);
        }
    }

    /// An ack that finds no room is dropped: the author asks again.
    fn send_ack(&mut self, link: LinkId, ack: &Ack, out: &mut Vec<Output>) {
        if self.links.get(&link).is_some_and(|state| state.queued_bytes < 2 * OUTBOX_BYTES_MAX) {
            self.send_frame(link, Arc::clone(&ack.frame), out);
        }
    }

    // ---- links come and go ------------------------------------------------------------------------------

    /// A link is gone: what was asked of it is asked of others.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        let orphaned: Vec<FeedId> =
            self.flood.pulls.iter().filter(|(_, pull)| pull.link == link).map(|(feed, _)| *feed).collect();
        for feed in orphaned {
            self.flood.pulls.remove(&feed);
        }
        self.forget_answers(link);
    }
}
