//! What a catch-up brings: counted, and told once at its end.
//!
//! A catch-up begins when a link comes up whose peer has more than we have. At the first one of a run everything up to
//! what the peers told is from before; later on what is older than a moment, as in a mesh links come up all the time,
//! and what is on its way just then is no news of the past.

use crate::limits::RECOVERED_AGE_MS_MIN;
use crate::wire::record::{Body, Post};

use super::event::{Event, Recovered};
use super::links::Link;
use super::{LinkId, Room};

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    recovered: Option<Recovered>,
}

impl Recovery {
    pub(super) fn note(&mut self, post: &Post) {
        if !matches!(post.body, Body::Say { .. }) {
            return;
        }
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

    /// Whether a post that comes by a catch-up was said while this node was cut off.
    pub(super) fn is_recovered(&self, post: &Post) -> bool {
        self.pulls.recovered_age(&post.feed).is_some_and(|age_min| self.age_of(post) >= age_min)
    }

    /// Tells what a catch-up has brought, when it is over. Who passes by has missed nothing.
    pub(super) fn tell_recovered(&mut self) {
        if self.recovery.recovered.is_none() || self.completion.is_under_way() || self.pulls.are_catching_up() {
            return;
        }
        if let Some(recovered) = self.recovery.recovered.take()
            && !self.config.passing
        {
            self.local.notice(Event::Recovered(recovered));
        }
    }
}
