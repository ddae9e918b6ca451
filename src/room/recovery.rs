//! What a catch-up brings: counted, and told once at its end.
//!
//! A catch-up begins when a link comes up whose peer has more than we have. At the first one of a run everything up to
//! what the peers told is from before; later on what is older than a moment, as in a mesh links come up all the time,
//! and what is on its way just then is no news of the past.

use std::collections::BTreeMap;

use crate::limits::RECOVERED_AGE_MS_MIN;
use crate::wire::record::{Body, FeedId, Post};

use super::event::{Event, Recovered};
use super::links::Link;
use super::{LinkId, Room};

/// A catch-up that brings nothing for so long is told as far as it has come: a peer may have promised what does not
/// exist, and a link may stand still.
const PAUSE_MS: u64 = 5_000;

/// Who was lost and is heard again brings what was said meanwhile within this.
const RETURN_MS: u64 = 10_000;

/// A pause after which all of that has come; guesses all three.
const RETURNED_MS: u64 = 1_000;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    recovered: Option<Recovered>,
    /// When the last of it came.
    progress_at: u64,
    /// Sessions that were lost, and since when they are heard again.
    returned: BTreeMap<FeedId, u64>,
}

impl Recovery {
    /// Somebody is heard again: across a cut that has healed elsewhere, where this node's own links have stood.
    pub(super) fn returned(&mut self, session: FeedId, now: u64) {
        self.returned.retain(|_, since| now < *since + RETURN_MS);
        self.returned.entry(session).or_insert(now);
    }

    fn has_returned(&self, session: &FeedId, now: u64) -> bool {
        self.returned.get(session).is_some_and(|since| now < since + RETURN_MS)
    }

    pub(super) fn note(&mut self, post: &Post, now: u64) {
        if !matches!(post.body, Body::Say { .. }) {
            return;
        }
        self.progress_at = now;
        let told = self.recovered.get_or_insert(Recovered { count: 0, from: post.at, to: post.at });
        told.count += 1;
        told.from = told.from.min(post.at);
        told.to = told.to.max(post.at);
    }
}

impl Room {
    /// How old has to be what a link brings, that has just become ready, to have been missed. A node that was alone has
    /// missed all.
    pub(super) fn recovered_age(&self, link: LinkId) -> u64 {
        let others = self.links.iter().filter(|(id, _)| **id != link).map(|(_, state)| state);
        if others.into_iter().any(Link::is_ready) { RECOVERED_AGE_MS_MIN } else { 0 }
    }

    /// Whether a post was said while this node was cut off from its author.
    pub(super) fn is_recovered(&self, post: &Post) -> bool {
        let returned = || self.recovery.has_returned(&post.feed, self.now.mono).then_some(RECOVERED_AGE_MS_MIN);
        let age_min = self.pulls.recovered_age(&post.feed).or_else(returned);
        age_min.is_some_and(|age_min| self.age_of(post) >= age_min)
    }

    /// Tells what a catch-up has brought, when it is over. Who passes by has missed nothing.
    pub(super) fn tell_recovered(&mut self) {
        if self.recovery.recovered.is_none() || self.completion.is_under_way() {
            return;
        }
        let is_expected = self.pulls.are_catching_up() || self.completion.has_backlog();
        let pause_ms = match () {
            () if is_expected => PAUSE_MS,
            () if self.recovery.returned.is_empty() => 0,
            () => RETURNED_MS,
        };
        if self.now.mono < self.recovery.progress_at + pause_ms {
            return;
        }
        // Of what was said before we came, and came late, the end is shown.
        self.local.show_backlog(&self.log);
        self.recovery.returned.clear();
        if let Some(recovered) = self.recovery.recovered.take()
            && !self.config.passing
        {
            self.local.notice(Event::Recovered(recovered));
        }
    }
}
