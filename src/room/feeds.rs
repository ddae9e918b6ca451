//! Which feeds are known: a share for each author, a bound for all, and who goes to make room.
//!
//! Keys and sessions cost nothing, so anybody can make up any number of them. A full table forgets sessions that
//! are over, those first of which nothing is kept, then the longest silent; never one that is present. How long ago
//! a forgotten one spoke stays known, so that what was shown is not shown again when somebody brings it back.
//! A feed for which there is no room, or of which a link brings too many at once, is turned away: the peer is told
//! `quiet` and what it had sent already is ignored. Nobody is blamed, as it may merely pass on what it was told, and the
//! feed is asked for when it goes on.

use std::collections::BTreeSet;

use crate::identity::Id;
use crate::limits::{
    ENDING_KEPT_MS, FEEDS_FORGOTTEN_PART, FEEDS_FULL_MS, FEEDS_MAX, MEMBERS_MAX, SESSIONS_PER_AUTHOR_MAX,
};
use crate::wire::record::{Control, FeedId};

use super::event::Event;
use super::links::Link;
use super::{LinkId, Output, Room};

impl Room {
    /// Whether posts of a feed are taken in: it is known, or there is room for one more.
    pub(super) fn takes(&mut self, feed: &FeedId, out: &mut Vec<Output>) -> bool {
        if self.log.feed(feed).is_some() {
            return true;
        }
        if self.now.mono < self.feeds_full_until {
            return false;
        }
        let within_share =
            self.log.feeds_of(&feed.author) < SESSIONS_PER_AUTHOR_MAX || self.forget_some(Some(feed.author), out);
        if !within_share {
            return false;
        }
        let has_room = self.roster.present_count() < MEMBERS_MAX
            && (self.log.feed_count() < FEEDS_MAX || self.forget_some(None, out));
        if !has_room {
            self.feeds_full_until = self.now.mono + FEEDS_FULL_MS;
            self.warn_of_feeds();
        }
        has_room
    }

    fn warn_of_feeds(&mut self) {
        if !std::mem::replace(&mut self.warned_of_feeds, true) {
            let text = "too many sessions are known: posts of new ones are refused until some of these are over";
            self.local.notice(Event::Warning(text.to_owned()));
        }
    }

    /// Whether a link brings a feed that is not for us, now; it is told so.
    pub(super) fn turns_away(&mut self, link: LinkId, feed: FeedId, number: u64, out: &mut Vec<Output>) -> bool {
        if self.log.feed(&feed).is_some() {
            return false;
        }
        let now = self.now.mono;
        let Some(state) = self.links.get_mut(&link) else { return true };
        let incoming = state.incoming.get(&feed);
        // What it had sent before it heard us.
        if incoming.is_some_and(|incoming| incoming.ignored && incoming.hushed) {
            state.note_known(feed, number);
            return true;
        }
        // Without a word on what was before, the peer takes us to know it: we did, and have forgotten it.
        let is_begun =
            number > 1 && incoming.is_none_or(|incoming| incoming.gap.is_none() && incoming.stream.is_none());
        let is_asked = self.pulls.is_under_way(&feed);
        let is_welcome = (is_asked || state.meter.allows_feed(now)) && self.takes(&feed, out);
        if is_welcome && !is_begun {
            return false;
        }
        self.turn_away(link, feed, number, out);
        if is_welcome {
            self.lack(feed, crate::limits::STALE_MS);
        }
        true
    }

    fn turn_away(&mut self, link: LinkId, feed: FeedId, number: u64, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.note_known(feed, number);
        if let Some(incoming) = state.incoming.get_mut(&feed) {
            (incoming.open, incoming.hushed, incoming.ignored) = (false, true, true);
        }
        self.send(link, &Control::Quiet { author: feed.author, session: feed.session }, out);
    }

    /// Forgets a part of the sessions that are over, of one author or of all; returns whether there were any.
    fn forget_some(&mut self, author: Option<Id>, out: &mut Vec<Output>) -> bool {
        let linked: BTreeSet<FeedId> = self.links.values().filter_map(Link::session).collect();
        let mut over: Vec<(bool, u64, FeedId)> = self
            .log
            .feeds_within(author)
            .filter(|(feed, _)| !linked.contains(feed) && self.has_ended(feed))
            .map(|(feed, kept)| (!kept.is_bare(), kept.progress_at, *feed))
            .collect();
        over.sort_unstable();
        let count = self.log.feeds_within(author).count().div_ceil(FEEDS_FORGOTTEN_PART);
        over.truncate(count);
        for (_, _, feed) in &over {
            self.forget(*feed, out);
        }
        !over.is_empty()
    }

    /// Whether a session is over, and who was away has had the time to learn of it.
    fn has_ended(&self, feed: &FeedId) -> bool {
        let is_here = self.roster.session(feed).is_some_and(|session| session.is_present() || session.shown);
        let progress_at = self.log.feed(feed).map_or(0, |kept| kept.progress_at);
        *feed != self.me
            && !is_here
            && self.now.mono >= progress_at + ENDING_KEPT_MS
            && !self.holes.contains_key(feed)
            && !self.pulls.is_under_way(feed)
    }

    /// The size of the largest map that others can fill with feeds.
    pub(super) fn feeds_remembered(&self) -> usize {
        let links = self.links.values().map(Link::feeds_remembered).max().unwrap_or(0);
        let ours = [
            self.log.feed_count(),
            self.marks.feeds_remembered(),
            self.pulls.feeds_remembered(),
            self.completion.feeds_remembered(),
            self.overlay.sessions_remembered(),
            self.book.count(),
            self.holes.len(),
            self.watches.len(),
            links,
        ];
        ours.into_iter().max().unwrap_or(0)
    }

    /// Forgets a feed wherever it is remembered.
    pub(super) fn forget(&mut self, feed: FeedId, out: &mut Vec<Output>) {
        self.log.forget(&feed);
        self.roster.forget(&feed);
        self.overlay.forget(&feed);
        self.book.forget(&feed);
        self.marks.forget(&feed);
        self.pulls.forget(&feed);
        self.watches.remove(&feed);
        self.doubted.remove(&feed);
        if self.log.feeds_of(&feed.author) == 0 {
            self.forked.remove(&feed.author);
            self.untimely.remove(&feed.author);
            self.marks.forget_author(&feed.author);
        }
        out.push(Output::Seen { feed, number: 0, tail: 0 });
        for link in self.links.values_mut() {
            link.forget(&feed);
        }
    }
}
