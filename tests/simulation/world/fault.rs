//! What goes wrong in a world.

use hobnob::wire::record::Control;

use super::wire::Conn;
use super::{Happening, World};

impl World {
    /// Ends a node without a word; its peers notice at once, or only by its silence.
    pub(crate) fn crash(&mut self, index: usize, silently: bool) {
        self.nodes[index].room = None;
        self.nodes[index].life += 1;
        let links = std::mem::take(&mut self.nodes[index].links);
        for (conn, end) in links.into_values() {
            self.conns[conn].held[end] = false;
            self.conns[conn].dead = true;
            if !silently {
                let delay = self.conns[conn].latency_ms;
                self.at(self.now + delay, Happening::Broken { conn, end: 1 - end });
            }
        }
    }

    /// A connection that both ends hold, if there is one.
    fn any_conn(&mut self) -> Option<usize> {
        let is_sound = |conn: &Conn| !conn.dead && conn.held[0] && conn.held[1];
        let sound: Vec<usize> = (0..self.conns.len()).filter(|index| is_sound(&self.conns[*index])).collect();
        let drawn = self.rng.below(sound.len().max(1) as u64);
        sound.get(usize::try_from(drawn).expect("fits")).copied()
    }

    /// Cuts one connection; with `half_open` one end does not notice.
    pub(crate) fn cut(&mut self, half_open: bool) {
        let Some(conn) = self.any_conn() else { return };
        let unaware = self.rng.below(2);
        self.break_off(conn, |end| !(half_open && end as u64 == unaware));
    }

    /// A connection is over; the ends for which that holds notice soon, the others by its silence.
    pub(super) fn break_off(&mut self, conn: usize, notices: impl Fn(usize) -> bool) {
        self.conns[conn].dead = true;
        for end in (0..2).filter(|end| notices(*end)) {
            let delay = self.rng.below(50);
            self.at(self.now + delay, Happening::Broken { conn, end });
        }
    }

    /// Resets one connection at some byte that is still to come.
    pub(crate) fn reset(&mut self) {
        let Some(conn) = self.any_conn() else { return };
        let end = usize::try_from(self.rng.below(2)).expect("fits");
        let bytes = usize::try_from(self.rng.below(8_000)).expect("fits");
        self.conns[conn].reset_after[end] = Some(bytes);
    }

    /// What one end of a connection says does not arrive any more, and nobody is told.
    pub(crate) fn deafen(&mut self) {
        let Some(conn) = self.any_conn() else { return };
        let end = usize::try_from(self.rng.below(2)).expect("fits");
        self.conns[conn].deaf[end] = true;
    }

    /// Divides the nodes; connections between groups die silently.
    pub(crate) fn partition(&mut self, groups: Vec<u8>) {
        self.groups = groups;
        for conn in &mut self.conns {
            let [one, other] = conn.nodes;
            if self.groups[one] != self.groups[other] {
                conn.dead = true;
            }
        }
    }

    /// The same, but what the lower groups say to the higher ones still arrives. New connections take both ways.
    pub(crate) fn partition_one_way(&mut self, groups: Vec<u8>) {
        self.groups = groups;
        for conn in &mut self.conns {
            for end in 0..2 {
                let (to, from) = (conn.nodes[end], conn.nodes[1 - end]);
                conn.deaf[end] |= self.groups[from] > self.groups[to];
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.groups = vec![0; self.nodes.len()];
    }

    /// A clock jumps, and is off by so much from now on.
    pub(crate) fn jump_clock(&mut self, index: usize, off_ms: i64) {
        self.nodes[index].clock_off = off_ms;
    }

    /// A user takes nothing for a while.
    pub(crate) fn leave_unread(&mut self, index: usize, duration_ms: u64) {
        self.nodes[index].unread_until = self.now + duration_ms;
    }

    /// Whether the nodes of these numbers are one piece.
    pub(crate) fn is_connected(&self, nodes: &[usize]) -> bool {
        let mut reached: Vec<usize> = nodes.iter().copied().take(1).collect();
        let mut next = 0;
        while let Some(node) = reached.get(next).copied() {
            for (conn, end) in self.nodes[node].links.values() {
                let (conn, other) = (&self.conns[*conn], self.conns[*conn].nodes[1 - end]);
                let is_sound = !conn.dead && conn.held[0] && conn.held[1] && !conn.deaf[0] && !conn.deaf[1];
                if is_sound && nodes.contains(&other) && !reached.contains(&other) {
                    reached.push(other);
                }
            }
            next += 1;
        }
        reached.len() == nodes.len()
    }

    /// A node says something of its own to all whom it is linked to.
    pub(crate) fn tell_all(&mut self, index: usize, control: &Control) {
        let links: Vec<_> = self.nodes[index].links.keys().copied().collect();
        for link in links {
            self.transmit(index, link, &control.encode());
        }
    }

    /// Stops a node for a while; what reaches it waits.
    pub(crate) fn pause(&mut self, index: usize, duration_ms: u64) {
        let until = self.now + duration_ms;
        self.nodes[index].paused_until = until.max(self.nodes[index].paused_until);
    }
}
