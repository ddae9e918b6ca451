//! Which links to keep: whom this node dials, and which links it gives up.
//!
//! The roster tells every node all members and their addresses. Up to `MESH_FULL_PEERS_MAX` dialable
//! peers all are linked. Above, each node links to the member that follows it in each of three rings, all members
//! in three random orders. One ring alone keeps the room in one piece; three make it as shallow as a random
//! graph in which all have the same number of links, and little changes as members come and go. Who does not answer
//! is passed over for a while, and the next one in the ring dialled at once. Peers that the user named are dialled for as long as
//! needed; members that vanished are dialled now and then, so that a healed cut merges again. So are peers that earlier runs
//! had a link with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{
    DIAL_PAUSE_MS_MAX, DIAL_PAUSE_MS_MIN, DIAL_PAUSE_SMALL_ROOM_MS_MAX, DIALS_MAX, HUB_SPARES, LOST_PEERS_MAX,
    MESH_FULL_PEERS_MAX, MESH_LINKS_UNDIALABLE, MESH_RINGS, SMALL_ROOM_MEMBERS,
};
use crate::wire::record::FeedId;

use super::places::{Places, pause};
use super::rng::Rng;
use super::{Acquaintance, Named};

mod acquainted;
mod attempt;
mod book;
mod choice;

pub(super) use book::Book;
pub(super) use choice::Networks;
pub use choice::{Candidate, Rings};

use acquainted::Acquainted;
use attempt::Attempt;

/// The pause before a node is dialled again with which a link ended for broken rules: half of what a pipe waits for its only
/// peer.
const FALLEN_OUT_MS: u64 = 5_000;

/// The same before one that has us banned; a guess.
const BANNED_MS: u64 = 10_000;

/// How long the larger id waits for the smaller one to dial, in a room where all link to all.
const HEAD_START_MS: u64 = 1_500;

/// Members that did not answer and are tried again beside the next one in a ring; a guess.
const DIAL_RETRIES_MAX: usize = 2;

/// A dial's number, given by the room.
pub type DialId = u64;

/// What a dial is aimed at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// `host:port` as the user named it.
    Named(String),
    /// An address that a member announced.
    Member {
        /// The member's session.
        session: FeedId,
        /// The address.
        addr: SocketAddr,
    },
    /// A peer that an earlier run had a link with.
    Acquaintance(Acquaintance),
}

impl Target {
    /// Where it is, and whom it is for; a name may mean any place.
    fn place(&self) -> Option<(SocketAddr, FeedId)> {
        match self {
            Target::Named(_) => None,
            Target::Member { session, addr } => Some((*addr, *session)),
            Target::Acquaintance(peer) => Some((peer.addr, peer.any_session())),
        }
    }

    /// Whether a node is the one that was looked for.
    fn is(&self, node: FeedId) -> bool {
        match self {
            Target::Named(_) => true,
            Target::Member { session, .. } => *session == node,
            Target::Acquaintance(peer) => peer.id == node.author,
        }
    }
}

/// What kind of links is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Those of equals.
    #[default]
    Mesh,
    /// One to the hub, as far as it is known, and some spare ones.
    Star(Option<FeedId>),
}

/// How a node takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It accepts peers and announces where.
    Dialable,
    /// It accepts no peers, and dials members beside those that were named.
    Undialable,
    /// It links only to the peers that were named, and announces nothing.
    NamedOnly,
}

/// One node's links to others, by plan: whom it dials and when, and which links it needs. It knows of links only what it
/// is told.
#[derive(Debug, Clone)]
pub struct Overlay {
    me: FeedId,
    reach: Reach,
    shape: Shape,
    named: BTreeMap<String, Attempt>,
    /// Who has to answer there, where that is known.
    hosts: BTreeMap<String, Id>,
    members: BTreeMap<FeedId, Attempt>,
    acquainted: Acquainted,
    /// Sessions of some of those, to which links are kept.
    anchors: BTreeSet<FeedId>,
    /// Sessions that are whispered with, and until when links to them are made and kept.
    sought: BTreeMap<FeedId, u64>,
    /// Every dial until its link ends.
    dials: BTreeMap<DialId, Target>,
    /// Those of them that nobody has answered yet.
    unanswered: BTreeSet<DialId>,
    next_dial: DialId,
    /// Whom this node links to, as of the last `plan`.
    desired: BTreeSet<FeedId>,
    /// Whom it dials, and where: those, and some that vanished.
    wanted: BTreeMap<FeedId, Arc<[SocketAddr]>>,
    /// The members, as of the last `plan`,
    rings: Rings,
    /// and how many of them are not us.
    peers: usize,
    /// How dialling the members' addresses goes, whoever has named them.
    places: Places,
    /// When the next of those is free again for whom the plan has passed over.
    free_again_at: Option<u64>,
    /// A member has not answered since.
    is_stale: bool,
}

impl Overlay {
    /// A node without links.
    pub fn new(me: FeedId, reach: Reach, named: &[Named]) -> Self {
        Self {
            me,
            reach,
            shape: Shape::default(),
            named: named.iter().map(|peer| (peer.addr.clone(), Attempt::new(0))).collect(),
            hosts: named.iter().filter_map(|peer| Some((peer.addr.clone(), peer.key?))).collect(),
            members: BTreeMap::new(),
            acquainted: Acquainted::default(),
            anchors: BTreeSet::new(),
            sought: BTreeMap::new(),
            dials: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            next_dial: 1,
            desired: BTreeSet::new(),
            wanted: BTreeMap::new(),
            rings: Rings::default(),
            peers: 0,
            places: Places::default(),
            free_again_at: None,
            is_stale: false,
        }
    }

    /// The members, as of the last plan.
    pub(super) fn rings(&self) -> Rings {
        self.rings.clone()
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    /// From the next plan on.
    pub(super) fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// The hub, if there is one and it is somebody else.
    fn hub(&self) -> Option<FeedId> {
        match self.shape {
            Shape::Star(hub) => hub.filter(|hub| *hub != self.me),
            Shape::Mesh => None,
        }
    }

    /// Who was looked for by a dial: for an address that the user named, who answered there before.
    pub(super) fn sought(&mut self, target: &Target) -> Option<FeedId> {
        match target {
            Target::Member { session, .. } => Some(*session),
            Target::Named(_) | Target::Acquaintance(_) => self.attempt_mut(target)?.node,
        }
    }

    /// Whether every named peer has refused us.
    pub(super) fn all_refused(&self) -> bool {
        !self.named.is_empty() && self.named.values().all(|attempt| attempt.refused)
    }

    /// How many sessions take memory here.
    pub(super) fn sessions_remembered(&self) -> usize {
        self.members.len().max(self.dials.len()).max(self.places.count())
    }

    pub(super) fn forget(&mut self, session: &FeedId) {
        self.members.remove(session);
    }

    /// Decides anew whom to link to. `rings` are the members, `lost` those that vanished, newest first.
    pub fn plan(&mut self, rings: Rings, lost: impl Iterator<Item = Candidate>, now: u64) {
        self.is_stale = false;
        self.sought.retain(|_, until| *until > now);
        self.rings = rings;
        self.peers = self.rings.members().len() - usize::from(self.rings.contains(&self.me));
        let (desired, free_again_at) = self.choose(now);
        self.free_again_at = free_again_at;
        self.desired = desired.keys().copied().collect();
        if self.reach == Reach::NamedOnly {
            return;
        }
        let mut networks = Networks::default();
        let lost = lost.filter(|candidate| networks.admit(&candidate.addresses)).take(LOST_PEERS_MAX);
        self.wanted = lost.map(|lost| (lost.session, lost.addresses)).chain(desired).collect();
        let is_small = self.is_small();
        let Self { wanted, members, rings, .. } = self;
        members.retain(|session, attempt| {
            wanted.contains_key(session)
                || attempt.dialling.is_some()
                || (attempt.has_failed() && rings.contains(session))
        });
        for session in wanted.keys().copied() {
            // Of two who learn of each other at once, and both dial, the smaller id dials first.
            let head_start = if self.me < session || !is_small { 0 } else { HEAD_START_MS };
            members.entry(session).or_insert_with(|| Attempt::new(now + head_start));
        }
    }

    /// Whom we link to, and when the first of those is free again who are passed over. At most a few of one network: who
    /// has many addresses in one place does not surround us.
    fn choose(&self, now: u64) -> (BTreeMap<FeedId, Arc<[SocketAddr]>>, Option<u64>) {
        let mut networks = Networks::default();
        let mut chosen = BTreeMap::new();
        let mut free_again_at = None;
        let rings = match self.reach {
            Reach::NamedOnly => 0,
            Reach::Undialable => MESH_LINKS_UNDIALABLE,
            Reach::Dialable if self.is_small() => {
                let others = self.rings.members().iter().filter(|other| other.session != self.me);
                let others = others.filter(|other| networks.admit(&other.addresses));
                return (others.map(|other| (other.session, Arc::clone(&other.addresses))).collect(), None);
            }
            Reach::Dialable if self.shape != Shape::Mesh => HUB_SPARES,
            Reach::Dialable => MESH_RINGS,
        };
        let hub = self.hub().filter(|_| rings > 0);
        if let Some(hub) = hub.and_then(|hub| self.rings.find(&hub)) {
            chosen.insert(hub.session, Arc::clone(&hub.addresses));
        }
        for ring in 0..rings {
            let mut retries = DIAL_RETRIES_MAX;
            for candidate in self.rings.following(self.me, ring).filter(|other| Some(other.session) != hub) {
                let Candidate { session, addresses } = candidate;
                let has_failed = self.members.get(session).is_some_and(Attempt::has_failed);
                if let Some(free_at) = self.passed_over_until(candidate, now) {
                    free_again_at = free_again_at.into_iter().chain([free_at]).min();
                    continue;
                }
                if chosen.contains_key(session) || (has_failed && retries == 0) || !networks.admit(addresses) {
                    continue;
                }
                chosen.insert(*session, Arc::clone(addresses));
                if !has_failed {
                    break;
                }
                // One that did not answer is tried beside the next one.
                retries -= 1;
            }
        }
        for candidate in
            self.sought.keys().filter(|_| self.reach != Reach::NamedOnly).filter_map(|it| self.rings.find(it))
        {
            chosen.entry(candidate.session).or_insert_with(|| Arc::clone(&candidate.addresses));
        }
        (chosen, free_again_at)
    }

    /// Who has answered where the user named a peer, and is gone, is looked for there anew: the name may stand for another
    /// place, or another node, by now.
    pub(super) fn forget_gone(&mut self, is_here: impl Fn(&FeedId) -> bool) {
        for attempt in self.named.values_mut() {
            attempt.node = attempt.node.filter(&is_here);
        }
    }

    /// Has a link to a session made, if that can be, and kept until then; whether that changes the plan.
    pub(super) fn seek(&mut self, session: FeedId, until: u64) -> bool {
        self.sought.insert(session, until).is_none()
    }

    /// Whether a session can be dialled, as far as is known: it says where, and did answer if it was tried.
    pub(super) fn can_dial(&self, session: &FeedId) -> bool {
        self.reach != Reach::NamedOnly
            && self.rings.contains(session)
            && !self.members.get(session).is_some_and(Attempt::has_failed)
    }

    /// Whether all link to all.
    fn is_small(&self) -> bool {
        self.shape == Shape::Mesh && self.peers <= MESH_FULL_PEERS_MAX
    }

    /// Until when a member is not dialled: it did not answer and its pause is not over, or others were looked for at all
    /// its addresses in vain. Others are linked in its place.
    fn passed_over_until(&self, candidate: &Candidate, now: u64) -> Option<u64> {
        let Candidate { session, addresses } = candidate;
        let longest = self.pause_ms_max();
        if let Some(until) = self.members.get(session).and_then(|attempt| attempt.pauses_until(now)) {
            return Some(until);
        }
        let is_kept_off = addresses.iter().all(|addr| self.places.keeps_off(*addr, *session, longest, now));
        let free_at = addresses.iter().map(|addr| self.places.free_at(*addr, *session, longest));
        free_at.min().filter(|_| is_kept_off)
    }

    /// Whether somebody has not answered since the last plan, or somebody whom it has passed over may be dialled now.
    pub fn is_plan_stale(&self, now: u64) -> bool {
        self.is_stale || self.free_again_at.is_some_and(|at| at <= now)
    }

    /// The longest pause between two dials.
    fn pause_ms_max(&self) -> u64 {
        if self.peers + 1 < SMALL_ROOM_MEMBERS { DIAL_PAUSE_SMALL_ROOM_MS_MAX } else { DIAL_PAUSE_MS_MAX }
    }

    fn pause_ms_max_for(&self, target: &Target) -> u64 {
        let is_acquaintance = matches!(target, Target::Acquaintance(_));
        self.acquainted.pause_ms_max().filter(|_| is_acquaintance).unwrap_or_else(|| self.pause_ms_max())
    }

    /// Whether we or the other side link to each other by plan.
    pub fn needs(&self, session: &FeedId) -> bool {
        let rings = if self.shape == Shape::Mesh { MESH_RINGS } else { HUB_SPARES };
        let is_ours =
            self.desired.contains(session) || self.anchors.contains(session) || self.sought.contains_key(session);
        is_ours
            || self.is_small()
            || self.shape == Shape::Star(Some(self.me))
            || self.rings.would_choose(*session, self.me, rings, self.hub())
    }

    /// The dials to start now. `linked` are the sessions to which there is a link.
    pub fn due(&mut self, linked: &BTreeSet<FeedId>, now: u64, rng: &mut Rng) -> Vec<(DialId, Target)> {
        let mut dials = Vec::new();
        let alone = linked.is_empty();
        let few = self.reach != Reach::Dialable || self.is_small();
        let named = self.named.iter().filter(|(_, attempt)| {
            let reached = attempt.node.is_some_and(|node| linked.contains(&node));
            let needed = alone || (!attempt.shed && (few || attempt.node.is_none()));
            attempt.is_due(now) && !reached && needed
        });
        // Many that are dead do not keep from the one that is there.
        let mut named: Vec<(u32, u64, String)> =
            named.map(|(name, attempt)| (attempt.failures, attempt.next_at, name.clone())).collect();
        named.sort_unstable();
        let longest = self.pause_ms_max();
        let members = self.members.iter().filter(|(session, attempt)| {
            attempt.is_due(now) && self.wanted.contains_key(session) && !linked.contains(session)
        });
        // Who is there comes before who was lost: across a cut each of those takes a dial's whole time. And who has waited
        // longest before others: many who name one address do not keep it from the one who is there.
        let place = |session, attempt: &Attempt| (!self.desired.contains(session), attempt.next_at, *session);
        let mut members: Vec<(bool, u64, FeedId)> = members.map(|(session, attempt)| place(session, attempt)).collect();
        members.sort_unstable();
        for (_, _, name) in named {
            self.dial(Target::Named(name), now, rng, &mut dials);
        }
        for (_, _, session) in members {
            if let Some(addr) = self.free_address(session, linked, longest, now) {
                self.dial(Target::Member { session, addr }, now, rng, &mut dials);
            }
        }
        dials
    }

    /// The address at which a session is looked for now; after each dial in vain it is the next one's turn.
    fn free_address(
        &self,
        session: FeedId,
        linked: &BTreeSet<FeedId>,
        longest_ms: u64,
        now: u64,
    ) -> Option<SocketAddr> {
        let addresses = self.wanted.get(&session)?;
        let failures = self.members.get(&session)?.failures;
        let turn = usize::try_from(failures).unwrap_or(0).checked_rem(addresses.len())?;
        let is_free = |addr: &&SocketAddr| {
            !self.places.is_taken(**addr, linked) && self.places.free_at(**addr, session, longest_ms) <= now
        };
        addresses.iter().cycle().skip(turn).take(addresses.len()).find(is_free).copied()
    }

    fn dial(&mut self, target: Target, now: u64, rng: &mut Rng, dials: &mut Vec<(DialId, Target)>) {
        if self.unanswered.len() >= DIALS_MAX {
            return;
        }
        let dial = self.next_dial;
        self.next_dial += 1;
        if let Some(attempt) = self.attempt_mut(&target) {
            attempt.dialling = Some(dial);
            attempt.next_at = now + DIAL_PAUSE_MS_MIN + rng.below(DIAL_PAUSE_MS_MIN);
        }
        if let Some((addr, session)) = target.place() {
            self.places.dialled(addr, session, now);
        }
        self.dials.insert(dial, target.clone());
        self.unanswered.insert(dial);
        dials.push((dial, target));
    }

    fn attempt_mut(&mut self, target: &Target) -> Option<&mut Attempt> {
        match target {
            Target::Named(name) => self.named.get_mut(name),
            Target::Member { session, .. } => self.members.get_mut(session),
            Target::Acquaintance(peer) => self.acquainted.attempt_mut(peer),
        }
    }

    pub(super) fn target(&self, dial: DialId) -> Option<&Target> {
        self.dials.get(&dial)
    }

    /// Who has to answer a dial, if only one may.
    pub(super) fn host(&self, dial: DialId) -> Option<Id> {
        match self.target(dial)? {
            Target::Named(name) => self.hosts.get(name).copied(),
            // Whoever else of the room answers there is welcome.
            Target::Member { .. } | Target::Acquaintance(_) => None,
        }
    }

    /// The dial is over, with a link or without; its target may be dialled again.
    pub fn finish(&mut self, dial: DialId) -> Option<Target> {
        let target = self.dials.remove(&dial)?;
        self.unanswered.remove(&dial);
        if let Some(attempt) = self.attempt_mut(&target) {
            attempt.dialling = None;
        }
        Some(target)
    }

    /// Somebody answered there. Where it is another session than the one looked for, that one was not
    /// found: the next try waits longer.
    pub fn answered(&mut self, dial: DialId, node: FeedId, now: u64, rng: &mut Rng) {
        self.unanswered.remove(&dial);
        let Some(target) = self.dials.get(&dial).cloned() else { return };
        if let Some((addr, _)) = target.place() {
            if !target.is(node) {
                self.places.failed(addr, Some(node), self.pause_ms_max_for(&target), now, rng);
                self.attempt_failed(&target, "another node answers there", now, rng);
                return;
            }
            self.places.found(addr, node);
        }
        if let Some(attempt) = self.attempt_mut(&target) {
            attempt.node = Some(node);
            attempt.failures = 0;
            attempt.refused = false;
            attempt.shed = false;
            attempt.last_error.clear();
        }
    }

    /// It did not work; the next try waits longer each time. Returns whether this is news.
    pub fn failed(&mut self, target: &Target, error: &str, now: u64, rng: &mut Rng) -> bool {
        if let Some((addr, _)) = target.place() {
            self.places.failed(addr, None, self.pause_ms_max_for(target), now, rng);
        }
        self.attempt_failed(target, error, now, rng)
    }

    fn attempt_failed(&mut self, target: &Target, error: &str, now: u64, rng: &mut Rng) -> bool {
        let longest = self.pause_ms_max_for(target);
        // Of those that are lost nobody expects an answer.
        self.is_stale |= matches!(target, Target::Member { session, .. } if self.rings.contains(session));
        let Some(attempt) = self.attempt_mut(target) else { return false };
        attempt.failures = attempt.failures.saturating_add(1);
        attempt.next_at = now + pause(attempt.failures, longest, rng);
        let news = attempt.last_error != error;
        error.clone_into(&mut attempt.last_error);
        news
    }

    /// There is a link to it, whoever has dialled.
    pub fn came_up(&mut self, session: FeedId) {
        for attempt in self.members.get_mut(&session).into_iter().chain(self.acquainted.attempts_of(session.author)) {
            attempt.failures = 0;
        }
    }

    /// It will never work: it is this very node.
    pub(super) fn give_up(&mut self, target: &Target) {
        if let Some(attempt) = self.attempt_mut(target) {
            attempt.hopeless = true;
        }
    }

    /// The other side has links enough; it is dialled again only in need.
    pub fn was_shed(&mut self, session: FeedId, now: u64) {
        let named = self.named.values_mut().filter(|attempt| attempt.node == Some(session));
        for attempt in named.chain(self.acquainted.attempts_of(session.author)) {
            attempt.shed = true;
        }
        if let Some(attempt) = self.members.get_mut(&session) {
            attempt.next_at = attempt.next_at.max(now) + DIAL_PAUSE_MS_MAX / 6;
        }
    }

    pub(super) fn was_refused(&mut self, target: &Target) {
        if let Some(attempt) = self.attempt_mut(target) {
            attempt.refused = true;
        }
    }

    /// A link was lost: its node is dialled again at once.
    pub fn link_lost(&mut self, session: FeedId, now: u64) {
        let named = self.named.values_mut().filter(|attempt| attempt.node == Some(session));
        let acquainted = self.acquainted.attempts_of(session.author);
        for attempt in named.chain(self.members.get_mut(&session)).chain(acquainted) {
            attempt.next_at = attempt.next_at.min(now + DIAL_PAUSE_MS_MIN / 5);
        }
    }

    /// A link was ended for broken rules, on either side: its node is left alone for a while.
    pub(super) fn fell_out(&mut self, session: FeedId, now: u64) {
        let named = self.named.values_mut().filter(|attempt| attempt.node == Some(session));
        let acquainted = self.acquainted.attempts_of(session.author);
        for attempt in named.chain(self.members.get_mut(&session)).chain(acquainted) {
            attempt.next_at = attempt.next_at.max(now + FALLEN_OUT_MS);
        }
    }

    /// It has us banned: it is left alone for a while.
    pub(super) fn stay_away(&mut self, target: &Target, now: u64) {
        if let Some(attempt) = self.attempt_mut(target) {
            attempt.next_at = attempt.next_at.max(now + BANNED_MS);
        }
    }

    /// What is being dialled in vain, for /status.
    pub(super) fn troubles(&self) -> Vec<(String, String)> {
        let failing = |(name, attempt): (&String, &Attempt)| {
            (!attempt.last_error.is_empty()).then(|| (name.clone(), attempt.last_error.clone()))
        };
        self.named.iter().filter_map(failing).collect()
    }
}
