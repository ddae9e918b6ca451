//! What a catch-up brings: counted, and told once at its end.
//!
//! A catch-up begins when a link comes up whose peer has more than we have. At the first one of a run everything up to
//! what the peers told is from before; later on what is older than a moment, as in a mesh links come up all the time,
//! and what is on its way just then is no news of the past.

use crate::limits::{CLOCK_AHEAD_MS_MAX, RECOVERED_AGE_MS_MIN, SESSION_SILENT_MS_MAX};
use crate::wire::record::{Body, Post};

use super::event::{Event, Recovered};
use super::links::Link;
use super::{LinkId, Room};

/// A catch-up that brings nothing for so long is told as far as it has come: a peer may have promised what does not
/// exist, and a link may stand still.
const PAUSE_MS: u64 = 5_000;

/// After somebody who was lost is heard again, what others said behind the same cut comes within this.
const RETURN_MS: u64 = 10_000;

/// What comes as if it were said now and is so much older was behind a cut that has healed elsewhere, if somebody was lost
/// lately. Links are slower than that where much is said.
const LATE_MS: i64 = 3_000;

/// A pause after which all of that has come; guesses, all four.
const LATE_PAUSE_MS: u64 = 1_000;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    recovered: Option<Recovered>,
    /// When the last of it came.
    progress_at: u64,
    /// It came as if it were said now.
    is_late: bool,
    /// When somebody who was lost was heard again.
    returned_at: Option<u64>,
}

impl Recovery {
    /// Somebody who was lost is heard again.
    pub(super) fn returned(&mut self, now: u64) {
        self.returned_at = Some(now);
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
    pub(super) fn is_recovered(&mut self, post: &Post) -> bool {
        let Some((age_min, since)) = self.pulls.recovered_age(&post.feed) else {
            let is_late = self.is_late(post);
            self.recovery.is_late |= is_late;
            return is_late;
        };
        let age = self.age_of(post);
        // What is said long after the catch-up has begun is none of it, whatever number was promised.
        let under_way_ms = self.now.mono - since;
        age >= age_min && (under_way_ms < CLOCK_AHEAD_MS_MAX || age >= under_way_ms)
    }

    /// Whether a post that comes as if it were said now was behind a cut, where this node's own links have stood.
    fn is_late(&self, post: &Post) -> bool {
        let heard = self.roster.session(&post.feed).and_then(|session| session.lag_ms);
        let now = self.now.mono;
        let is_healing = || self.recovery.returned_at.is_some_and(|at| now < at + RETURN_MS);
        let silent_since = self.now.mono_signed().saturating_sub_unsigned(SESSION_SILENT_MS_MAX);
        heard.is_some_and(|heard| self.lag_of(post) - heard >= LATE_MS)
            && (is_healing() || self.roster.was_lost_since(silent_since))
    }

    /// How long after its time a post is here, by a clock that nobody sets; its author's may be ahead.
    pub(super) fn lag_of(&self, post: &Post) -> i64 {
        let steady = self.started.wall + (self.now.mono - self.started.mono);
        i64::try_from(steady).unwrap_or(i64::MAX).saturating_sub_unsigned(post.at)
    }

    /// Tells what a catch-up has brought, when it is over. Who passes by has missed nothing.
    pub(super) fn tell_recovered(&mut self) {
        if self.recovery.recovered.is_none() || self.completion.is_under_way() {
            return;
        }
        let is_expected = self.pulls.are_catching_up() || self.completion.has_backlog();
        let pause_ms = match () {
            () if is_expected => PAUSE_MS,
            () if self.recovery.is_late => LATE_PAUSE_MS,
            () => 0,
        };
        if self.now.mono < self.recovery.progress_at + pause_ms {
            return;
        }
        // Of what was said before we came, and came late, the end is shown.
        self.local.show_backlog(&self.log);
        self.recovery.is_late = false;
        if let Some(recovered) = self.recovery.recovered.take()
            && !self.config.passing
        {
            self.local.notice(Event::Recovered(recovered));
        }
    }
}
