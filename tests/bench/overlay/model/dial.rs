//! How links come and go in the model.

use std::collections::{BTreeMap, BTreeSet};

use hobnob::limits::DIAL_MS_MAX;
use hobnob::room::overlay::{DialId, Target};

use super::{Event, Link, Model};

/// After how long TCP asks again for a connection, where nothing comes back (RFC 6298).
const SYN_WAITS_MS: [u64; 2] = [1_000, 2_000];

impl Model {
    pub(super) fn dial(&mut self, node: usize, dial: DialId, target: &Target) {
        let Target::Member { addr, .. } = target else { return };
        self.dials += 1;
        self.connect(node, self.by_addr[addr], dial, 0);
    }

    pub(super) fn connect(&mut self, node: usize, peer: usize, dial: DialId, again: usize) {
        let delay_ms = self.delay_ms(node, peer);
        if !self.nodes[node].alive {
            return;
        }
        if self.nodes[peer].side != self.nodes[node].side {
            let waits = SYN_WAITS_MS.get(again);
            let left = DIAL_MS_MAX - SYN_WAITS_MS.iter().sum::<u64>();
            let event = match waits {
                Some(_) => Event::Syn { node, peer, dial, again: again + 1 },
                None => Event::DialFailed { node, dial },
            };
            return self.at(self.now + waits.copied().unwrap_or(left), event);
        }
        if !self.nodes[peer].alive {
            return self.at(self.now + 2 * delay_ms, Event::DialFailed { node, dial });
        }
        let link = self.links.len();
        self.links.push(Link {
            nodes: [node, peer],
            dial,
            delay_ms,
            alive: true,
            ready: [false; 2],
            snapshot_at: [0; 2],
            surplus: [BTreeMap::new(), BTreeMap::new()],
            quiet: [BTreeSet::new(), BTreeSet::new()],
        });
        self.at(self.now + 6 * delay_ms, Event::Hello { link });
    }

    pub(super) fn dial_failed(&mut self, node: usize, dial: DialId) {
        let now = self.now;
        let state = &mut self.nodes[node];
        if let Some(target) = state.overlay.finish(dial) {
            state.overlay.failed(&target, "refused", now, &mut state.rng);
            self.wake(node);
        }
    }

    /// The one who was dialled speaks first; a dialler that is linked to it by now hangs up.
    pub(super) fn hello(&mut self, link: usize) {
        let Link { nodes: [node, peer], dial, delay_ms, .. } = self.links[link];
        if !self.nodes[node].alive {
            return;
        }
        if !self.nodes[peer].alive || self.nodes[peer].side != self.nodes[node].side {
            self.links[link].alive = false;
            return self.dial_failed(node, dial);
        }
        let session = self.nodes[peer].session;
        let state = &mut self.nodes[node];
        state.overlay.answered(dial, session, self.now, &mut state.rng);
        if state.links.contains_key(&peer) {
            self.links[link].alive = false;
            state.overlay.finish(dial);
            return;
        }
        state.links.insert(peer, link);
        self.links[link].snapshot_at[0] = self.now;
        self.at(self.now + delay_ms, Event::Answer { link });
    }

    /// Of two dials that cross, the one of the smaller id stays.
    pub(super) fn answer(&mut self, link: usize) {
        let Link { nodes: [node, peer], delay_ms, alive, .. } = self.links[link];
        if !alive {
            return;
        }
        if !self.nodes[peer].alive {
            self.links[link].alive = false;
            return self.at(self.now + delay_ms, Event::Broken { link, end: 0, surplus: false });
        }
        if let Some(older) = self.nodes[peer].links.get(&node).copied() {
            let is_ours = self.links[older].nodes[0] == peer;
            if is_ours && self.nodes[peer].session < self.nodes[node].session {
                self.links[link].alive = false;
                return self.at(self.now + delay_ms, Event::Broken { link, end: 0, surplus: false });
            }
            self.links[older].alive = false;
            let dial = self.links[older].dial;
            if is_ours {
                self.nodes[peer].overlay.finish(dial);
            }
        }
        self.nodes[peer].links.insert(node, link);
        let session = self.nodes[node].session;
        self.nodes[peer].overlay.came_up(session);
        self.links[link].snapshot_at[1] = self.now;
        self.ready(link, 1);
        self.at(self.now + delay_ms, Event::Ready { link, end: 0 });
    }

    /// An end hears that a link is over, and dials anew by its own plan.
    pub(super) fn broken(&mut self, link: usize, end: usize, surplus: bool) {
        let Link { nodes, dial, .. } = self.links[link];
        let (node, peer) = (nodes[end], nodes[1 - end]);
        if !self.nodes[node].alive || self.nodes[node].links.get(&peer) != Some(&link) {
            return;
        }
        let session = self.nodes[peer].session;
        let state = &mut self.nodes[node];
        state.links.remove(&peer);
        if end == 0 {
            state.overlay.finish(dial);
        }
        if surplus {
            state.overlay.was_shed(session, self.now);
        } else {
            state.overlay.link_lost(session, self.now);
        }
        self.wake(node);
    }

    /// A node ends a link because it has enough of them.
    pub(super) fn hang_up(&mut self, node: usize, peer: usize, link: usize, surplus: bool) {
        let end = usize::from(self.links[link].nodes[1] == node);
        self.nodes[node].links.remove(&peer);
        if end == 0 {
            let dial = self.links[link].dial;
            self.nodes[node].overlay.finish(dial);
        }
        self.links[link].alive = false;
        self.at(self.now + self.links[link].delay_ms, Event::Broken { link, end: 1 - end, surplus });
    }
}
