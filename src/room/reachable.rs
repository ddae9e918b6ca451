//! Where others reach this node: what it announces in its joins.
//!
//! That is its port with the local address of each link, and with the addresses as which peers say that they see it.
//! What a peer says is believed as far as others agree: a network has one voice for each address, those that
//! we have dialled come first, and what nobody live tells any more gives way. So a liar is one among several, and
//! what he tells is dialled in vain until he has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::limits::{ADDRESS_JOINS, ADDRESSES_PER_NODE_MAX};

use super::address::network_of;
use super::bucket::Bucket;
use super::links::Link;
use super::overlay::Reach;
use super::{Output, Room};

/// What the newest join says.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// Our addresses.
    pub(super) addresses: Vec<SocketAddr>,
    /// There are others, and no join may tell of them yet.
    pub(super) due: bool,
    /// The joins that told of other addresses.
    joins: Bucket,
}

/// The networks whose peers tell of one address.
#[derive(Debug, Default)]
struct Voices {
    dialled: BTreeSet<IpAddr>,
    all: BTreeSet<IpAddr>,
}

impl Room {
    /// The addresses to announce.
    pub(super) fn own_addresses(&self) -> Vec<SocketAddr> {
        let Some(bound) = self.config.listening.filter(|_| self.overlay.reach() == Reach::Dialable) else {
            return Vec::new();
        };
        if !bound.ip().is_unspecified() {
            return vec![bound];
        }
        let up = || self.links.values().filter(|link| link.is_up());
        // Of equals, what is announced stays.
        let announced: Vec<IpAddr> = self.announced.addresses.iter().map(SocketAddr::ip).collect();
        let mut local = distinct(up().map(|link| link.local.to_canonical()));
        local.sort_by_key(|ip| !announced.contains(ip));
        // One place is for what only others can see.
        let surplus = local.split_off(local.len().min(ADDRESSES_PER_NODE_MAX - 1));
        let seen = ranked(up(), &announced);
        let all = local.into_iter().chain(seen).chain(surplus).chain(announced);
        let mut addresses = distinct(all.filter(|ip| !ip.is_unspecified()));
        addresses.truncate(ADDRESSES_PER_NODE_MAX);
        addresses.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
    }

    /// Joins anew when there is another address of ours; not as often as somebody may like.
    pub(super) fn look_at_addresses(&mut self, out: &mut Vec<Output>) {
        self.announced.due = false;
        let addresses = self.own_addresses();
        let as_set = |addresses: &[SocketAddr]| addresses.iter().copied().collect::<BTreeSet<_>>();
        if as_set(&addresses) == as_set(&self.announced.addresses) {
            return;
        }
        if self.announced.joins.pour(1, ADDRESS_JOINS, self.now.mono) {
            self.announced.addresses = addresses;
            self.post_join(out);
        } else {
            self.announced.due = true;
        }
    }
}

/// What peers see us as, what most networks agree on first.
fn ranked<'a>(links: impl Iterator<Item = &'a Link>, announced: &[IpAddr]) -> Vec<IpAddr> {
    let mut voices: BTreeMap<IpAddr, Voices> = BTreeMap::new();
    for link in links {
        let Some(hello) = &link.hello else { continue };
        let voices = voices.entry(hello.seen.to_canonical()).or_default();
        let network = network_of(link.remote.ip());
        voices.all.insert(network);
        if link.dial.is_some() {
            voices.dialled.insert(network);
        }
    }
    let weight = |ip, voices: &Voices| (voices.dialled.len(), voices.all.len(), announced.contains(ip));
    let mut ranked: Vec<_> = voices.iter().map(|(ip, voices)| (weight(ip, voices), *ip)).collect();
    ranked.sort_unstable_by(|one, other| other.cmp(one));
    ranked.into_iter().map(|(_, ip)| ip).collect()
}

/// Each once, where it stands first.
fn distinct(all: impl IntoIterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut known = BTreeSet::new();
    all.into_iter().filter(|ip| known.insert(*ip)).collect()
}
