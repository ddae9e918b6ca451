//! The door: who may begin a handshake, and who is refused for a while.
//!
//! A handshake costs a thread and some arithmetic, so few are unfinished at a time, and an address whose
//! handshakes come to nothing is let in less often. One that comes up costs nothing: a thousand who join from
//! one address are welcome. What a peer does against the rules gives points to its address and, where it has
//! proved one, to its key; they fade. With too many of them new links are refused (`banned`). From an address at which
//! somebody is linked all the same, keys alone are refused: neighbours behind one address do not pay for each other.
//!
//! Only who comes in is judged here. Whom the user named is dialled, and never refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::identity::Id;
use crate::limits::{
    BAN_POINTS, DOOR_GUESTS_MAX, GREETING_MS_MIN, HOST_HANDSHAKES, LINKS_GREETING_MAX, OFFENCE_POINTS,
    POINTS_PER_HANDSHAKE, POST_AHEAD_MS_MAX,
};
use crate::wire::end::End;
use crate::wire::record::Hello;

use super::LinkId;
use super::address::{host_of, network_of};
use super::bucket::Bucket;

/// What becomes of somebody who knocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The handshake may begin.
    Admit,
    /// It may, and this one is given up for it.
    AdmitInPlaceOf(LinkId),
    /// It may not.
    Refuse(End),
}

/// What is remembered of an address.
#[derive(Debug, Default)]
struct Host {
    /// Handshakes that came to nothing.
    handshakes: Bucket,
    /// Points for what its links did.
    offences: Bucket,
}

/// A handshake that is not over.
#[derive(Debug)]
struct Guest {
    host: IpAddr,
    since: u64,
}

/// Who is at the door, and who has misbehaved.
#[derive(Debug, Default)]
pub(super) struct Door {
    /// The oldest first: numbers of links rise.
    unfinished: BTreeMap<LinkId, Guest>,
    /// The addresses of links that are up.
    linked: BTreeMap<LinkId, IpAddr>,
    hosts: BTreeMap<IpAddr, Host>,
    identities: BTreeMap<Id, Bucket>,
}

impl Door {
    pub(super) fn knock(&mut self, link: LinkId, remote: IpAddr, now: u64) -> Verdict {
        let host = host_of(remote);
        if self.is_refused(host, now) {
            return Verdict::Refuse(End::Banned);
        }
        let verdict = if self.unfinished.len() < LINKS_GREETING_MAX {
            Verdict::Admit
        } else {
            match self.least_welcome() {
                // Many who come from one address at once get the time that a handshake takes.
                Some((_, guest)) if guest.host == host && now < guest.since + GREETING_MS_MIN => {
                    return Verdict::Refuse(End::Crowded);
                }
                Some((link, _)) => Verdict::AdmitInPlaceOf(link),
                None => Verdict::Admit,
            }
        };
        if !self.host(host, now).handshakes.pour(1, HOST_HANDSHAKES, now) {
            return Verdict::Refuse(End::Crowded);
        }
        self.unfinished.insert(link, Guest { host, since: now });
        verdict
    }

    /// The oldest handshake of the busiest address in the busiest network.
    fn least_welcome(&self) -> Option<(LinkId, &Guest)> {
        let mut hosts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        let mut networks: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for guest in self.unfinished.values() {
            *hosts.entry(guest.host).or_default() += 1;
            *networks.entry(network_of(guest.host)).or_default() += 1;
        }
        let weight = |guest: &Guest| (networks.get(&network_of(guest.host)), hosts.get(&guest.host));
        // Of equals the last one is the maximum, so backwards: the oldest.
        self.unfinished.iter().rev().max_by_key(|(_, guest)| weight(guest)).map(|(link, guest)| (*link, guest))
    }

    /// The greeting of a link is over.
    pub(super) fn came_up(&mut self, link: LinkId, remote: IpAddr, now: u64) {
        if let Some(guest) = self.unfinished.remove(&link) {
            self.host(guest.host, now).handshakes.take_back(1, HOST_HANDSHAKES);
        }
        self.linked.insert(link, host_of(remote));
    }

    /// A link has ended. `identity` is the key that its peer has proved.
    pub(super) fn gone(&mut self, link: LinkId, end: End, identity: Option<Id>, now: u64) {
        let unfinished = self.unfinished.remove(&link).map(|guest| guest.host);
        if let Some(host) = unfinished
            && matches!(end, End::Duplicate | End::Myself)
        {
            self.host(host, now).handshakes.take_back(1, HOST_HANDSHAKES);
        }
        let linked = self.linked.remove(&link);
        let points = points_for(end);
        if points == 0 {
            return;
        }
        if let Some(host) = linked.or(unfinished) {
            let host = self.host(host, now);
            host.offences.fill(points, OFFENCE_POINTS, now);
            host.handshakes.fill(points / POINTS_PER_HANDSHAKE, HOST_HANDSHAKES, now);
        }
        if let Some(id) = identity {
            if self.identities.len() >= DOOR_GUESTS_MAX && !self.identities.contains_key(&id) {
                forget_the_lesser(&mut self.identities, |bucket| bucket.level(OFFENCE_POINTS, now));
            }
            self.identities.entry(id).or_default().fill(points, OFFENCE_POINTS, now);
        }
    }

    /// Whether a key has broken the rules too often.
    pub(super) fn is_banned(&self, identity: &Id, now: u64) -> bool {
        self.identities.get(identity).is_some_and(|bucket| bucket.level(OFFENCE_POINTS, now) >= BAN_POINTS)
    }

    fn is_refused(&self, host: IpAddr, now: u64) -> bool {
        let offences = self.hosts.get(&host).map_or(0, |host| host.offences.level(OFFENCE_POINTS, now));
        offences >= BAN_POINTS && !self.linked.values().any(|linked| *linked == host)
    }

    fn host(&mut self, host: IpAddr, now: u64) -> &mut Host {
        if self.hosts.len() >= DOOR_GUESTS_MAX && !self.hosts.contains_key(&host) {
            forget_the_lesser(&mut self.hosts, |host| {
                (host.offences.level(OFFENCE_POINTS, now), host.handshakes.level(HOST_HANDSHAKES, now))
            });
        }
        self.hosts.entry(host).or_default()
    }
}

/// Makes room in a full table: the half that weighs less goes, so that this is seldom needed.
pub(super) fn forget_the_lesser<Key: Ord + Copy, Value, Weight: Ord>(
    table: &mut BTreeMap<Key, Value>,
    weight: impl Fn(&Value) -> Weight,
) {
    let mut ranked: Vec<(Weight, Key)> = table.iter().map(|(key, value)| (weight(value), *key)).collect();
    ranked.sort_unstable();
    for (_, key) in ranked.iter().take(ranked.len() / 2) {
        table.remove(key);
    }
}

/// What stands against a link with somebody whose clock shows that time.
pub(super) fn clock_objection(hello: &Hello, wall: u64) -> Option<End> {
    (clock_error_ms(hello, wall) > POST_AHEAD_MS_MAX).then_some(End::Clock)
}

/// The same for people.
pub(super) fn clock_text(hello: &Hello, wall: u64) -> String {
    let hours = clock_error_ms(hello, wall) / 3_600_000;
    let direction = if hello.time > wall { "ahead of" } else { "behind" };
    format!("its clock is {hours} hours {direction} ours; one of the two must be set right")
}

fn clock_error_ms(hello: &Hello, wall: u64) -> u64 {
    hello.time.abs_diff(wall)
}

/// What a link's end tells of the peer. Nothing that a bad network, an old version or somebody else on the way can
/// bring about counts.
fn points_for(end: End) -> u64 {
    match end {
        End::BadSignature | End::BadIdentity | End::Forked | End::Flood => 50,
        End::EmptyGap => 25,
        End::BadFrame | End::BadRecord | End::FutureNumber | End::OutOfTurn => 10,
        _ => 0,
    }
}
