//! The addresses that were dialled: how it went there, and when one may be dialled again, whoever names it.
//!
//! Anybody can make up sessions by the thousand and have each name the same address. So the pause grows with the
//! address: for the session that was looked for there last it doubles with each dial in vain, and for another
//! one with each that was looked for in vain before it. Who was found there is looked for again at once, and its next
//! session, after a restart, after the first pause. A table of bounded size; what is forgotten may be dialled sooner.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::limits::{DIAL_PAUSE_MS_MIN, DIALLED_PLACES_MAX, STRANGER_PAUSE_MS_MIN};
use crate::wire::record::FeedId;

use super::door::forget_the_lesser;
use super::rng::Rng;

/// How dialling one address goes.
#[derive(Debug, Clone)]
struct Place {
    /// Who was looked for there last.
    sought: FeedId,
    /// Who answered there last.
    found: Option<FeedId>,
    /// When it was dialled last.
    at: u64,
    /// When the one sought may be looked for again.
    next_at: u64,
    /// Dials in vain since one was not.
    failures: u32,
    /// Sessions that were looked for in vain, each behind another one.
    strangers: u32,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(BTreeMap<SocketAddr, Place>);

impl Places {
    /// When a session may be looked for at an address. `longest_ms` is the longest pause.
    pub(super) fn free_at(&self, addr: SocketAddr, session: FeedId, longest_ms: u64) -> u64 {
        let Some(place) = self.0.get(&addr) else { return 0 };
        let shift = match place.found {
            _ if place.sought == session => return place.next_at,
            Some(found) if found == session => return place.at + DIAL_PAUSE_MS_MIN,
            Some(found) if found.author == session.author => 0,
            _ => place.strangers.min(16),
        };
        place.at + (STRANGER_PAUSE_MS_MIN << shift).min(longest_ms)
    }

    /// Whether one of those linked was found at an address: then nobody else is there.
    pub(super) fn is_taken(&self, addr: SocketAddr, linked: &BTreeSet<FeedId>) -> bool {
        self.0.get(&addr).and_then(|place| place.found).is_some_and(|found| linked.contains(&found))
    }

    /// Whether an address is kept from a session for those that others have looked for there.
    pub(super) fn keeps_off(&self, addr: SocketAddr, session: FeedId, longest_ms: u64, now: u64) -> bool {
        self.0.get(&addr).is_some_and(|place| place.sought != session) && self.free_at(addr, session, longest_ms) > now
    }

    /// A dial begins.
    pub(super) fn dialled(&mut self, addr: SocketAddr, session: FeedId, now: u64) {
        if self.0.len() >= DIALLED_PLACES_MAX && !self.0.contains_key(&addr) {
            forget_the_lesser(&mut self.0, |place| place.at.max(place.next_at));
        }
        let fresh = Place { sought: session, found: None, at: now, next_at: now, failures: 0, strangers: 0 };
        let place = self.0.entry(addr).or_insert(fresh);
        if place.sought != session {
            place.sought = session;
            place.strangers = place.strangers.saturating_add(1);
        }
        place.at = now;
        place.next_at = place.next_at.max(now + DIAL_PAUSE_MS_MIN);
    }

    /// The one looked for was not found there; somebody else may have answered.
    pub(super) fn failed(
        &mut self,
        addr: SocketAddr,
        answered: Option<FeedId>,
        longest_ms: u64,
        now: u64,
        rng: &mut Rng,
    ) {
        let Some(place) = self.0.get_mut(&addr) else { return };
        place.found = answered.or(place.found);
        place.failures = place.failures.saturating_add(1);
        place.next_at = now + pause(place.failures, longest_ms, rng);
    }

    /// The one looked for was found.
    pub(super) fn found(&mut self, addr: SocketAddr, session: FeedId) {
        if let Some(place) = self.0.get_mut(&addr) {
            (place.found, place.failures, place.strangers) = (Some(session), 0, 0);
        }
    }

    /// How many take memory.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// The pause after so many dials in vain: it doubles, with some chance in it.
pub(super) fn pause(failures: u32, longest_ms: u64, rng: &mut Rng) -> u64 {
    let pause = (DIAL_PAUSE_MS_MIN << failures.min(16)).min(longest_ms);
    pause / 2 + rng.below(pause / 2 + 1)
}
