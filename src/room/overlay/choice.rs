//! Which members a node links to, out of all of them: a pure choice, the same for the same members.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::limits::{LINKS_PER_NETWORK_MAX, MESH_RINGS};
use crate::room::address::{Scope, dialled_network_of, scope};
use crate::room::rng::mix;
use crate::wire::record::FeedId;

/// A member that can be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its session.
    pub session: FeedId,
    /// Where it may be dialled; one address at least.
    pub addresses: Arc<[SocketAddr]>,
}

/// All present members that can be dialled, and how they follow each other in each ring. Who chooses may be among
/// them. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub struct Rings(Arc<Orders>);

#[derive(Debug, Default)]
struct Orders {
    /// By session.
    members: Vec<Candidate>,
    /// Places, and who is there; in each ring another order, by a hash.
    rings: [Vec<(u64, usize)>; MESH_RINGS],
}

impl Rings {
    /// The rings of some members.
    pub fn new(mut members: Vec<Candidate>) -> Self {
        members.sort_unstable_by_key(|member| member.session);
        let order = |ring| {
            let places = members.iter().enumerate().map(|(index, member)| (place(member.session, ring), index));
            let mut places: Vec<(u64, usize)> = places.collect();
            places.sort_unstable();
            places
        };
        let rings = std::array::from_fn(order);
        Self(Arc::new(Orders { members, rings }))
    }

    /// All of them, by session.
    pub fn members(&self) -> &[Candidate] {
        &self.0.members
    }

    /// Whether a session is among them.
    pub(super) fn contains(&self, session: &FeedId) -> bool {
        self.find(session).is_some()
    }

    /// A session, if it is among them.
    pub(super) fn find(&self, session: &FeedId) -> Option<&Candidate> {
        let index = self.members().binary_search_by_key(session, |member| member.session).ok()?;
        self.members().get(index)
    }

    /// All others as they follow us in a ring.
    pub(super) fn following(&self, me: FeedId, ring: usize) -> impl Iterator<Item = &Candidate> {
        let ours = place(me, ring);
        let places = self.0.rings.get(ring).map_or(&[][..], Vec::as_slice);
        let (before, after) = places.split_at(places.partition_point(|(place, _)| *place <= ours));
        let others = after.iter().chain(before).filter_map(|(_, index)| self.members().get(*index));
        others.filter(move |other| other.session != me)
    }

    /// Whether a member would choose us, were nobody passed over: in each of so many rings the first whom it has not
    /// chosen, and who is not the hub.
    pub(super) fn would_choose(&self, member: FeedId, me: FeedId, rings: usize, hub: Option<FeedId>) -> bool {
        let mut chosen = Vec::with_capacity(rings);
        for ring in 0..rings {
            let theirs = place(member, ring);
            let first = self
                .following(member, ring)
                .map(|other| other.session)
                .find(|other| Some(*other) != hub && !chosen.contains(other));
            chosen.extend(first.into_iter().chain([me]).min_by_key(|other| place(*other, ring).wrapping_sub(theirs)));
        }
        chosen.contains(&me)
    }
}

/// Where a session is in a ring; the last place is followed by the first.
fn place(session: FeedId, ring: usize) -> u64 {
    let head = session.author.0.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    mix(mix(head ^ mix(session.session)).wrapping_add(ring as u64))
}

/// How many peers are dialled in each network. Those of our own, private or loopback, are not counted: there
/// all the others may well be.
#[derive(Debug, Default)]
pub(in crate::room) struct Networks(BTreeMap<IpAddr, usize>);

impl Networks {
    /// Whether one more peer fits its networks; it takes its place there.
    pub(in crate::room) fn admit(&mut self, addresses: &[SocketAddr]) -> bool {
        let is_global = |addr: &&SocketAddr| scope(addr.ip()) == Some(Scope::Global);
        let networks = addresses.iter().filter(is_global).map(|addr| dialled_network_of(addr.ip()));
        let networks: BTreeSet<IpAddr> = networks.collect();
        let has_room = |network: &IpAddr| self.0.get(network).is_none_or(|count| *count < LINKS_PER_NETWORK_MAX);
        if !networks.iter().all(has_room) {
            return false;
        }
        for network in networks {
            *self.0.entry(network).or_default() += 1;
        }
        true
    }
}
