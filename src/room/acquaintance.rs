//! Acquaintances: peers that this identity had a link with in the room, and where; kept from run to run.
//!
//! Only what a link came up with is in the list, after a handshake and a hello: at the address that we dialled, or the one
//! that a peer who dialled us has announced. Those linked come first, the longest standing at their head, so that a crowd
//! that comes all at once drives out nobody who has been here for long; then those that were linked until lately.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::identity::Id;
use crate::limits::{ACQUAINTANCE_ADDRESSES_MAX, ACQUAINTANCES_MAX};
use crate::wire::record::FeedId;

use super::address::scope;
use super::links::Link;
use super::overlay::{Networks, Reach};
use super::{Output, Room};

/// A peer that there was a link with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Acquaintance {
    /// Who.
    pub id: Id,
    /// Where.
    pub addr: SocketAddr,
}

impl Acquaintance {
    /// Stands for whichever session answers there; a session of that number would be nobody's business but its own.
    pub(super) fn any_session(&self) -> FeedId {
        FeedId { author: self.id, session: 0 }
    }

    /// Whether it can be dialled at all.
    fn is_somewhere(&self) -> bool {
        self.addr.port() != 0 && scope(self.addr.ip()).is_some()
    }
}

/// All of them, the latest first.
#[derive(Debug, Default)]
pub(super) struct Acquaintances {
    list: Vec<Acquaintance>,
    /// Links came or went, or addresses were told.
    pub(super) due: bool,
}

impl Acquaintances {
    /// Those of earlier runs.
    pub(super) fn of(remembered: &[Acquaintance]) -> Self {
        Self { list: bounded(remembered.iter().copied()), due: false }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Acquaintance> {
        self.list.iter().copied()
    }

    /// How many people they are.
    pub(super) fn people(&self) -> usize {
        self.list.iter().map(|peer| peer.id).collect::<BTreeSet<Id>>().len()
    }

    /// Whether an identity is known at an address.
    pub(super) fn contains(&self, id: Id, addr: SocketAddr) -> bool {
        self.list.contains(&Acquaintance { id, addr })
    }
}

impl Room {
    /// Notes whom there is a link with, for the next run.
    pub(super) fn note_acquaintances(&mut self, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.acquaintances.due) || !self.config.keep || self.overlay.reach() == Reach::NamedOnly
        {
            return;
        }
        let mut up: Vec<&Link> = self.links.values().filter(|link| link.is_up()).collect();
        up.sort_by_key(|link| link.opened_at);
        // Who has answered at an address is there, whoever else has announced it.
        let answered: BTreeMap<SocketAddr, Id> =
            up.iter().filter(|link| link.dial.is_some()).filter_map(|link| Some((link.remote, link.id()?))).collect();
        let linked = up.iter().filter_map(|link| Some(Acquaintance { id: link.id()?, addr: self.address_of(link)? }));
        let all = linked.chain(self.acquaintances.iter());
        let list = bounded(all.filter(|peer| answered.get(&peer.addr).is_none_or(|id| *id == peer.id)));
        if list != self.acquaintances.list {
            self.acquaintances.list.clone_from(&list);
            out.push(Output::Remember(list));
        }
    }

    /// Where the peer of a link may be dialled: where it was, or where it says; best where it came from.
    fn address_of(&self, link: &Link) -> Option<SocketAddr> {
        if link.dial.is_some() {
            return Some(link.remote);
        }
        let told = self.book.candidate(link.session()?)?.addresses;
        let came_from = link.remote.ip().to_canonical();
        told.iter().find(|addr| addr.ip().to_canonical() == came_from).or(told.first()).copied()
    }
}

/// As many as are kept: each once, a few of one identity, and a few in one network of the Internet.
fn bounded(all: impl Iterator<Item = Acquaintance>) -> Vec<Acquaintance> {
    let mut networks = Networks::default();
    let mut places: BTreeMap<Id, usize> = BTreeMap::new();
    let mut known = BTreeSet::new();
    let mut list = Vec::new();
    for peer in all.filter(Acquaintance::is_somewhere) {
        let count = places.entry(peer.id).or_default();
        if list.len() < ACQUAINTANCES_MAX
            && *count < ACQUAINTANCE_ADDRESSES_MAX
            && !known.contains(&peer)
            && networks.admit(&[peer.addr])
        {
            *count += 1;
            known.insert(peer);
            list.push(peer);
        }
    }
    list
}
