//! Which links to keep: whom this node dials, and which links it gives up.
//!
//! The roster tells every node all members and their addresses. Up to `MESH_FULL_PEERS_MAX` dialable
//! peers all are linked. Above, each node links to its successor in the ring of ids, which keeps the
//! room in one piece, and to a few others drawn by a hash of both ids, which keeps it shallow and
//! changes little as members come and go. Peers that the user named are dialled for as long as
//! needed; members that vanished are dialled now and then, so that a healed cut merges again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::identity::Id;
use crate::limits::{
    DIAL_PAUSE_MS_MAX, DIAL_PAUSE_MS_MIN, DIAL_PAUSE_SMALL_ROOM_MS_MAX, DIALS_MAX, LINKS_PER_NETWORK_MAX,
    LOST_PEERS_MAX, MESH_FULL_PEERS_MAX, MESH_LINKS_RANDOM, MESH_LINKS_UNDIALABLE, SMALL_ROOM_MEMBERS,
};
use crate::wire::record::FeedId;

use super::Named;
use super::address::{Scope, dialled_network_of, may_dial, scope};
use super::rng::Rng;

/// The pause before a node is dialled again with which a link ended for broken rules; a guess.
const FALLEN_OUT_MS: u64 = 10_000;

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
}

/// How dialling something goes.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) next_at: u64,
    pub(super) failures: u32,
    pub(super) last_error: String,
    /// The session that answered there the last time.
    pub(super) node: Option<FeedId>,
    /// The dial under way.
    pub(super) dialling: Option<DialId>,
    /// It can never work: it is ourselves.
    hopeless: bool,
    /// It gave up the link because it has enough.
    shed: bool,
    /// It refused us for what we are.
    pub(super) refused: bool,
}

impl Attempt {
    fn new(now: u64) -> Self {
        Self {
            next_at: now,
            failures: 0,
            last_error: String::new(),
            node: None,
            dialling: None,
            hopeless: false,
            shed: false,
            refused: false,
        }
    }
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

#[derive(Debug)]
pub(super) struct Overlay {
    me: FeedId,
    reach: Reach,
    named: BTreeMap<String, Attempt>,
    /// Who has to answer there, where that is known.
    hosts: BTreeMap<String, Id>,
    members: BTreeMap<FeedId, Attempt>,
    /// Addresses that may be dialled, per session, from its newest join.
    book: BTreeMap<FeedId, Vec<SocketAddr>>,
    /// Every dial until its link ends.
    dials: BTreeMap<DialId, Target>,
    /// Those of them that nobody has answered yet.
    unanswered: BTreeSet<DialId>,
    next_dial: DialId,
    /// Whom this node links to, as of the last `plan`.
    desired: BTreeSet<FeedId>,
    /// Whom it dials: those, and some that vanished.
    wanted: BTreeSet<FeedId>,
    /// All present members that can be dialled, in the order of the ring.
    ring: Vec<FeedId>,
}

impl Overlay {
    pub(super) fn new(me: FeedId, reach: Reach, named: &[Named]) -> Self {
        Self {
            me,
            reach,
            named: named.iter().map(|peer| (peer.addr.clone(), Attempt::new(0))).collect(),
            hosts: named.iter().filter_map(|peer| Some((peer.addr.clone(), peer.key?))).collect(),
            members: BTreeMap::new(),
            book: BTreeMap::new(),
            dials: BTreeMap::new(),
            unanswered: BTreeSet::new(),
            next_dial: 1,
            desired: BTreeSet::new(),
            wanted: BTreeSet::new(),
            ring: Vec::new(),
        }
    }

    pub(super) fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether every named peer has refused us.
    pub(super) fn all_refused(&self) -> bool {
        !self.named.is_empty() && self.named.values().all(|attempt| attempt.refused)
    }

    /// Keeps the addresses of a join that may be dialled, given the link that brought it.
    pub(super) fn learn(&mut self, session: FeedId, addresses: &[SocketAddr], through: Option<IpAddr>) {
        let usable = |addr: &&SocketAddr| addr.port() != 0 && through.is_some_and(|via| may_dial(addr.ip(), via));
        self.book.insert(session, addresses.iter().filter(usable).copied().collect());
    }

    /// How many sessions take memory here.
    pub(super) fn sessions_remembered(&self) -> usize {
        self.book.len().max(self.members.len()).max(self.dials.len())
    }

    pub(super) fn forget(&mut self, session: &FeedId) {
        self.book.remove(session);
        self.members.remove(session);
    }

    /// Decides anew whom to link to. `present` are the present sessions in order, `lost` those that
    /// vanished, newest first.
    pub(super) fn plan(&mut self, present: impl Iterator<Item = FeedId>, lost: impl Iterator<Item = FeedId>, now: u64) {
        let dialable = |session: &FeedId| self.book.get(session).is_some_and(|addresses| !addresses.is_empty());
        self.ring = present.filter(|session| *session != self.me && dialable(session)).collect();
        let mut networks = Networks::default();
        let lost = lost.filter(dialable).filter(|session| self.has_room(session, &mut networks));
        let lost: Vec<FeedId> = lost.take(LOST_PEERS_MAX).collect();
        self.desired = self.choose();
        if self.reach == Reach::NamedOnly {
            return;
        }
        let wanted: BTreeSet<FeedId> = self.desired.iter().copied().chain(lost).collect();
        self.members.retain(|session, attempt| wanted.contains(session) || attempt.dialling.is_some());
        for session in wanted.iter().copied() {
            // Of two who learn of each other at once, the smaller id dials first.
            let head_start = if self.me < session { 0 } else { 1_500 };
            self.members.entry(session).or_insert_with(|| Attempt::new(now + head_start));
        }
        self.wanted = wanted;
    }

    /// Whom we link to. At most a few of one network: who has many addresses in one place does not surround us. The
    /// successor comes first, so that the ring is closed all the same.
    fn choose(&self) -> BTreeSet<FeedId> {
        let mut networks = Networks::default();
        let mut desired = BTreeSet::new();
        let count = match self.reach {
            Reach::NamedOnly => return desired,
            Reach::Undialable => MESH_LINKS_UNDIALABLE,
            Reach::Dialable => {
                let successor = self.successor().filter(|session| self.has_room(session, &mut networks));
                desired.extend(successor);
                MESH_LINKS_RANDOM
            }
        };
        let is_small = self.reach == Reach::Dialable && self.ring.len() <= MESH_FULL_PEERS_MAX;
        let ranked = if is_small { self.ring.clone() } else { self.ranked(self.me.author) };
        let successor = desired.first().copied();
        let fits = |session: &FeedId| Some(*session) == successor || self.has_room(session, &mut networks);
        desired.extend(ranked.into_iter().filter(fits).take(if is_small { MESH_FULL_PEERS_MAX } else { count }));
        desired
    }

    /// Whether one more peer fits its networks; it takes its place there.
    fn has_room(&self, session: &FeedId, networks: &mut Networks) -> bool {
        networks.admit(self.book.get(session).map_or(&[], Vec::as_slice))
    }

    /// Members drawn by a hash of both ids: each pair of nodes ranks each other alike at all times,
    /// whoever else is there.
    fn ranked(&self, of: Id) -> Vec<FeedId> {
        let mut ranked: Vec<(u64, FeedId)> = self
            .ring
            .iter()
            .filter(|session| !self.is_failing(session))
            .filter(|session| session.author != of)
            .map(|session| (draw(of, session.author), *session))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, session)| session).collect()
    }

    /// The next member after us in the ring of ids that does not fail to answer.
    fn successor(&self) -> Option<FeedId> {
        let mut after = self.ring.iter().filter(|session| **session > self.me);
        let around = self.ring.iter();
        after.by_ref().chain(around).find(|session| !self.is_failing(session)).copied()
    }

    fn is_failing(&self, session: &FeedId) -> bool {
        self.members.get(session).is_some_and(|attempt| attempt.failures > 1)
    }

    /// Whether we or the other side link to each other by plan.
    pub(super) fn needs(&self, session: &FeedId) -> bool {
        if self.desired.contains(session) || self.ring.len() <= MESH_FULL_PEERS_MAX {
            return true;
        }
        // From the other's point of view: are we its successor, or one of its draw?
        let between = |from: &FeedId, to: &FeedId| {
            self.ring.iter().any(
                |other| {
                    if from < to { from < other && other < to } else { from < other || other < to }
                },
            )
        };
        if !between(session, &self.me) {
            return true;
        }
        let ours = draw(session.author, self.me.author);
        let nearer = self.ring.iter().filter(|other| *other != session && draw(session.author, other.author) < ours);
        nearer.count() < MESH_LINKS_RANDOM
    }

    /// The dials to start now. `linked` are the sessions to which there is a link.
    pub(super) fn due(&mut self, linked: &BTreeSet<FeedId>, now: u64, rng: &mut Rng) -> Vec<(DialId, Target)> {
        let mut dials = Vec::new();
        let alone = linked.is_empty();
        let few = self.reach != Reach::Dialable || self.ring.len() <= MESH_FULL_PEERS_MAX;
        let named = self.named.iter().filter(|(_, attempt)| {
            let reached = attempt.node.is_some_and(|node| linked.contains(&node));
            let needed = alone || (!attempt.shed && (few || attempt.node.is_none()));
            !attempt.hopeless && !reached && needed && attempt.dialling.is_none() && attempt.next_at <= now
        });
        let named: Vec<Target> = named.map(|(name, _)| Target::Named(name.clone())).collect();
        let members = self.members.iter().filter(|(session, attempt)| {
            let free = attempt.dialling.is_none() && attempt.next_at <= now && !attempt.hopeless;
            free && self.wanted.contains(session) && !linked.contains(session)
        });
        let members = members.filter_map(|(session, attempt)| {
            let addresses = self.book.get(session)?;
            let turn = usize::try_from(attempt.failures).unwrap_or(0).checked_rem(addresses.len())?;
            Some(Target::Member { session: *session, addr: *addresses.get(turn)? })
        });
        let targets: Vec<Target> = named.into_iter().chain(members).collect();
        for target in targets {
            if self.unanswered.len() >= DIALS_MAX {
                break;
            }
            let dial = self.next_dial;
            self.next_dial += 1;
            if let Some(attempt) = self.attempt_mut(&target) {
                attempt.dialling = Some(dial);
                attempt.next_at = now + DIAL_PAUSE_MS_MIN + rng.below(DIAL_PAUSE_MS_MIN);
            }
            self.dials.insert(dial, target.clone());
            self.unanswered.insert(dial);
            dials.push((dial, target));
        }
        dials
    }

    fn attempt_mut(&mut self, target: &Target) -> Option<&mut Attempt> {
        match target {
            Target::Named(name) => self.named.get_mut(name),
            Target::Member { session, .. } => self.members.get_mut(session),
        }
    }

    pub(super) fn target(&self, dial: DialId) -> Option<&Target> {
        self.dials.get(&dial)
    }

    /// Who has to answer a dial, if only one may.
    pub(super) fn host(&self, dial: DialId) -> Option<Id> {
        match self.target(dial)? {
            Target::Named(name) => self.hosts.get(name).copied(),
            Target::Member { .. } => None,
        }
    }

    /// The dial is over, with a link or without; its target may be dialled again.
    pub(super) fn finish(&mut self, dial: DialId) -> Option<Target> {
        let target = self.dials.remove(&dial)?;
        self.unanswered.remove(&dial);
        if let Some(attempt) = self.attempt_mut(&target) {
            attempt.dialling = None;
        }
        Some(target)
    }

    /// Somebody answered there. Where it is another session than the one looked for, that one was not
    /// found: the next try waits longer.
    pub(super) fn answered(&mut self, dial: DialId, node: FeedId, now: u64, rng: &mut Rng) {
        self.unanswered.remove(&dial);
        let Some(target) = self.dials.get(&dial).cloned() else { return };
        if matches!(target, Target::Member { session, .. } if session != node) {
            self.failed(&target, "another node answers there", now, rng);
        } else if let Some(attempt) = self.attempt_mut(&target) {
            attempt.node = Some(node);
            attempt.failures = 0;
            attempt.refused = false;
            attempt.shed = false;
            attempt.last_error.clear();
        }
    }

    /// It did not work; the next try waits longer each time. Returns whether this is news.
    pub(super) fn failed(&mut self, target: &Target, error: &str, now: u64, rng: &mut Rng) -> bool {
        let longest =
            if self.ring.len() + 1 < SMALL_ROOM_MEMBERS { DIAL_PAUSE_SMALL_ROOM_MS_MAX } else { DIAL_PAUSE_MS_MAX };
        let Some(attempt) = self.attempt_mut(target) else { return false };
        attempt.failures = attempt.failures.saturating_add(1);
        let pause = (DIAL_PAUSE_MS_MIN << attempt.failures.min(16)).min(longest);
        attempt.next_at = now + pause / 2 + rng.below(pause / 2 + 1);
        let news = attempt.last_error != error;
        error.clone_into(&mut attempt.last_error);
        news
    }

    /// It will never work: it is this very node.
    pub(super) fn give_up(&mut self, target: &Target) {
        if let Some(attempt) = self.attempt_mut(target) {
            attempt.hopeless = true;
        }
    }

    /// The other side has links enough; it is dialled again only in need.
    pub(super) fn was_shed(&mut self, session: FeedId, now: u64) {
        for attempt in self.named.values_mut().filter(|attempt| attempt.node == Some(session)) {
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
    pub(super) fn link_lost(&mut self, session: FeedId, now: u64) {
        let named = self.named.values_mut().filter(|attempt| attempt.node == Some(session));
        for attempt in named.chain(self.members.get_mut(&session)) {
            attempt.next_at = attempt.next_at.min(now + DIAL_PAUSE_MS_MIN / 5);
        }
    }

    /// A link was ended for broken rules, on either side: its node is left alone for a while.
    pub(super) fn fell_out(&mut self, session: FeedId, now: u64) {
        let named = self.named.values_mut().filter(|attempt| attempt.node == Some(session));
        for attempt in named.chain(self.members.get_mut(&session)) {
            attempt.next_at = attempt.next_at.max(now + FALLEN_OUT_MS);
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

/// How many peers are dialled in each network. Those of our own, private or loopback, are not counted: there
/// all the others may well be.
#[derive(Debug, Default)]
struct Networks(BTreeMap<IpAddr, usize>);

impl Networks {
    fn admit(&mut self, addresses: &[SocketAddr]) -> bool {
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

/// The weight of a pair: the smallest are linked.
fn draw(of: Id, other: Id) -> u64 {
    let head = |id: &Id| id.0.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    super::rng::mix(head(&of).rotate_left(17) ^ super::rng::mix(head(&other)))
}
