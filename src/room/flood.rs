//! The flood: how posts come in and are appended.
//!
//! A post is appended only as the next of its feed, which shows it and sends it on over every other
//! link; a second copy stops. So each member has it exactly once in any topology. Links on which a
//! feed brings only copies are told `quiet`.

use std::sync::Arc;

use crate::limits::{
    CLOCK_AHEAD_MS_MAX, ENDING_KEPT_MS, POST_AGE_MS_MAX, POST_AHEAD_MS_MAX, REPLAYED_MS_MIN, SESSION_SILENT_MS_MAX,
    SURPLUS_BYTES_MAX, UNTIMELY_MAX,
};
use crate::wire::end::End;
use crate::wire::record::{Body, Control, FeedId, Label, Post};

use super::event::{Event, Person};
use super::links::{Link, Outgoing};
use super::local::Shown;
use super::log::{Log, Worth};
use super::roster::Moment;
use super::{LinkId, Output, Room};

impl Room {
    pub(super) fn post_arrived(&mut self, link: LinkId, post: Arc<Post>, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if !state.is_ready() {
            return self.close(link, End::OutOfTurn, out);
        }
        let (feed, number) = (post.feed, post.number);
        state.gap_followed(&feed, number);
        (state.brought_at, state.beats) = (self.now.mono, 0);
        let have = self.log.have(&feed);
        if number <= have {
            let own = state.is_linked_to(&feed.author);
            if self.is_fork(&post) {
                self.tell_fork(link, &post, out);
                if own {
                    return self.close(link, End::Forked, out);
                }
            }
            return self.copy_arrived(link, feed, number, post.frame.len(), out);
        }
        if matches!(post.body, Body::Lost { .. })
            && state.is_linked_to(&feed.author)
            && !self.pulls.is_under_way(&feed)
            && !state.meter.allows_loss(self.now.mono)
        {
            return self.close(link, End::Flood, out);
        }
        if self.turns_away(link, feed, number, out) {
            return;
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        if let Some(incoming) = state.incoming.get_mut(&feed) {
            incoming.known = incoming.known.max(number);
            incoming.surplus = incoming.surplus.saturating_sub(post.frame.len() as u64);
            if number == have + 1 {
                incoming.ignored = false;
            }
        }
        if number == have + 1 {
            self.append(&post, Some(link), out);
        } else {
            self.post_behind_gap(link, post, out);
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
        state.gap_followed(&feed, number);
        (state.brought_at, state.beats) = (self.now.mono, 0);
        state.note_known(feed, number);
        let Some(incoming) = state.incoming.get_mut(&feed).filter(|incoming| incoming.open) else { return };
        incoming.ignored = false;
        incoming.surplus += bytes as u64;
        // A link that has more than we do is on its way to bring it.
        if incoming.surplus <= SURPLUS_BYTES_MAX || incoming.known > have {
            return;
        }
        let other = |(id, state): (&LinkId, &Link)| *id != link && state.is_ready() && state.is_open_in(&feed);
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

    fn is_fork(&self, post: &Post) -> bool {
        let kept = self.log.feed(&post.feed).and_then(|feed| feed.post(post.number));
        kept.is_some_and(|kept| kept.frame != post.frame)
    }

    /// Two bodies under one number: the first stays, the pair is proof, and goes round once.
    fn tell_fork(&mut self, link: LinkId, post: &Arc<Post>, out: &mut Vec<Output>) {
        if !self.forked.insert(post.feed.author) {
            return;
        }
        self.local.notice(Event::Forked(Person::of(post)));
        let (feed, number) = (post.feed, post.number);
        let holds = |state: &Link| match state.outgoing.get(&feed) {
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
        self.pull_advanced(feed, have, out);
        self.hole_advanced(feed, out);
    }

    fn append_one(&mut self, post: &Arc<Post>, from: Option<LinkId>, out: &mut Vec<Output>) {
        let (feed, number) = (post.feed, post.number);
        if self.is_untimely(post) || self.log.was_forgotten(&feed, post.at) {
            self.skip(feed, number, out);
            return self.tell_clock(post, from, out);
        }
        self.clock = self.clock.max(post.at.min(self.now.wall + CLOCK_AHEAD_MS_MAX));
        self.log.append(Arc::clone(post), from, self.now);
        if self.config.keep {
            self.keeping.note(post, self.now.mono);
        }
        let tail = Label::read(&post.frame).map_or(0, |label| label.tail);
        out.push(Output::Seen { feed, number, tail });
        let now = self.now.mono;
        if from.is_some() && self.roster.session(&feed).is_some_and(|known| !known.is_present() && !known.has_left()) {
            self.recovery.returned(now);
        }
        let is_past = self.is_past(post, from);
        let is_recovered = from.is_some() && self.is_recovered(post);
        self.fold(post, is_past, from);
        // Who comes, or has another name, is told before what they say.
        if self.roster_changed_at.is_some() {
            self.show_roster();
        }
        if self.is_backlog(post) {
            self.local.hold_back(post);
            self.recovery.note(post, now);
        } else if feed != self.me || self.config.echo {
            let shown_as = match () {
                () if is_past => Shown::Replayed,
                () if is_recovered => Shown::Missed,
                () => Shown::New,
            };
            // What its author has said before is not shown behind it.
            if self.completion.is_complete() && self.local.holds_back(&feed) {
                self.local.show_backlog(&self.log);
            }
            self.local.show(post, shown_as, self.completion.is_under_way(), now);
            if is_recovered {
                self.recovery.note(post, now);
            }
        }
        if post.ack && feed != self.me {
            self.answer_mark(feed, number, from, out);
        }
        self.spread(post, from, out);
        self.evict();
        // Somebody took us for lost, now or at a number that we have just reached.
        if self.roster.session(&self.me).is_some_and(|me| (me.is_claimed() || !me.is_present()) && !me.has_left()) {
            self.post_join(out);
        }
    }

    /// Whether a post is too old, or too far in the future, to be kept; its number counts as seen.
    fn is_untimely(&mut self, post: &Post) -> bool {
        if post.feed == self.me {
            return false;
        }
        let wall = self.now.wall;
        let is_ahead = post.at > wall.saturating_add(POST_AHEAD_MS_MAX);
        if is_ahead && self.untimely.len() < UNTIMELY_MAX && self.untimely.insert(post.feed.author) {
            let hours = (post.at - wall) / 3_600_000;
            let text = format!("the clock of {} is {hours} hours ahead: what they say is refused", post.nick);
            self.local.notice(Event::Warning(text));
        }
        is_ahead || post.at < wall.saturating_sub(POST_AGE_MS_MAX)
    }

    /// A peer whose own posts are refused for their time is told so: its clock is off. What is merely old may have
    /// been said in time, by a clock that a hello lets pass; what it said in an earlier session, by a clock that was put right.
    fn tell_clock(&mut self, post: &Post, from: Option<LinkId>, out: &mut Vec<Output>) {
        let wall = self.now.wall;
        let said_in_time = wall.saturating_sub(POST_AGE_MS_MAX + 2 * POST_AHEAD_MS_MAX)..=wall;
        let Some(link) = from.filter(|_| !said_in_time.contains(&post.at)) else { return };
        if self.links.get(&link).is_some_and(|state| state.is_session(&post.feed)) {
            self.close(link, End::Clock, out);
        }
    }

    fn is_catching_up(&self, feed: &FeedId) -> bool {
        self.pulls.is_under_way(feed) || self.completion.is_under_way()
    }

    /// How long ago a post was said, as its time says; where others of its session came as they were said, the error
    /// of its author's clock is known.
    pub(super) fn age_of(&self, post: &Post) -> u64 {
        let error = self.roster.session(&post.feed).and_then(|session| session.behind_ms).unwrap_or(0);
        self.now.wall.saturating_sub(post.at).saturating_sub(error)
    }

    /// Whether a post that comes as if it were said now is from the past: somebody plays it again. What its own
    /// author brings is not, and a clock may be off by less than what tells.
    fn is_past(&self, post: &Post, from: Option<LinkId>) -> bool {
        let Some(link) = from.and_then(|link| self.links.get(&link)) else { return false };
        if self.is_catching_up(&post.feed) || link.is_linked_to(&post.feed.author) {
            return false;
        }
        let age = self.age_of(post);
        age > REPLAYED_MS_MIN || (age > SESSION_SILENT_MS_MAX && self.roster.is_succeeded(&post.feed, post.at))
    }

    fn fold(&mut self, post: &Post, is_past: bool, from: Option<LinkId>) {
        // What comes as it is said is new, whatever the author's clock says; so is what a link has told of since it came up.
        let is_missed = self.completion.is_under_way() || self.pulls.recovered_age(&post.feed).is_some();
        let is_live = !is_past && !is_missed;
        let age = if is_live { 0 } else { self.age_of(post) };
        let now = self.now.mono_signed();
        let moment = Moment {
            written_at: now.saturating_sub_unsigned(age),
            live_behind_ms: is_live.then(|| self.now.wall.saturating_sub(post.at)),
            live_lag_ms: is_live.then(|| self.lag_of(post)),
            now,
        };
        if let Body::Join { addresses, .. } = &post.body {
            let via = from.and_then(|link| self.links.get(&link)).map(|link| link.remote.ip());
            // A join that only says again what is known changes no plan.
            self.plan_due |= self.book.learn(post.feed, addresses, via);
            self.acquaintances.due = true;
        }
        if self.roster.fold(post, moment) {
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
        self.log.skip_to(feed, number, self.now);
        out.push(Output::Seen { feed, number, tail: 0 });
        if self.roster.skip_to(feed, number, self.now.mono_signed()) {
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

    pub(super) fn evict(&mut self) {
        let most = self.config.log_bytes_max;
        if self.log.bytes() > most {
            self.pace.check(&self.domain);
            let (log, worth) = self.log_and_worth();
            log.evict_to(most, worth);
        }
    }
}
