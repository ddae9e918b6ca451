//! Nodes of one room as events in time: each has the program's own `Overlay`, and what is around that is modelled.
//!
//! A link costs what the program's does: TCP's round trip, three messages of Noise, two hellos and the pages, eight
//! one-way delays until both ends are ready; what a node lacks then it wants, another round trip. Each pair has its delay
//! of 10 to 50 ms. A dial to the dead is refused after a round trip, one across a cut is
//! tried again by TCP after one and three seconds and comes to nothing after `DIAL_MS_MAX`; a killed process's links are reset, those across a cut fall silent. Bandwidth and
//! processors are without limit.

mod dial;
mod flood;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hobnob::identity::Id;
use hobnob::limits::{MESH_LINKS_MAX, SURPLUS_LINK_MS, TICK_MS};
use hobnob::room::Reach;
use hobnob::room::overlay::{Candidate, DialId, Overlay, Rings};
use hobnob::room::rng::{Rng, mix};
use hobnob::wire::record::FeedId;

/// How often a node looks for surplus links.
const SHED_MS: u64 = 500;

/// A node with nothing to do, or in the dull middle of a cut, looks this often at least. It does things later for that, never
/// sooner.
const IDLE_TICK_MS_MAX: u64 = 20 * TICK_MS;

/// After a dull time nodes look as often as the program does for so long, until no trace of it is left in their pauses.
const WAKEFUL_MS: u64 = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Tick {
        node: usize,
    },
    /// A connection is asked for again.
    Syn {
        node: usize,
        peer: usize,
        dial: DialId,
        again: usize,
    },
    DialFailed {
        node: usize,
        dial: DialId,
    },
    /// The hello of the dialled side reaches the dialler.
    Hello {
        link: usize,
    },
    /// The dialler's answer reaches the dialled side, whose pages go back.
    Answer {
        link: usize,
    },
    /// An end has all pages.
    Ready {
        link: usize,
        end: usize,
    },
    /// An end learns that the link is over.
    Broken {
        link: usize,
        end: usize,
        surplus: bool,
    },
    Post {
        link: usize,
        to: usize,
        post: usize,
        hops: u32,
    },
    /// An end is told to be quiet.
    Quiet {
        link: usize,
        end: usize,
        author: usize,
    },
}

/// End 0 has dialled.
#[derive(Debug, Clone)]
struct Link {
    nodes: [usize; 2],
    dial: DialId,
    delay_ms: u64,
    /// Whether anything passes.
    alive: bool,
    ready: [bool; 2],
    /// When an end took down what it has.
    snapshot_at: [u64; 2],
    /// Per author, the bytes of second copies that an end has got, less those of first ones.
    surplus: [BTreeMap<usize, u64>; 2],
    /// Authors of whom an end sends nothing any more.
    quiet: [BTreeSet<usize>; 2],
}

#[derive(Debug, Clone)]
struct Node {
    alive: bool,
    session: FeedId,
    overlay: Overlay,
    rng: Rng,
    /// By peer.
    links: BTreeMap<usize, usize>,
    plan_due: bool,
    tick_at: u64,
    idle_ms: u64,
    shed_at: u64,
    /// Who it believes to be there.
    view: usize,
    side: u8,
}

/// What each node has of a post: since when, over how many links.
pub(crate) type Receipts = Vec<Option<(u64, u32)>>;

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    tick_ms: u64,
    /// Mixed into the delays.
    seed: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    sequence: u64,
    nodes: Vec<Node>,
    links: Vec<Link>,
    /// Who is there, and who is lost, as some nodes believe.
    views: Vec<(Rings, Vec<Candidate>)>,
    by_addr: BTreeMap<SocketAddr, usize>,
    /// Author and receipts.
    posts: Vec<(usize, Receipts)>,
    /// Those to whom a cut has taken a link.
    severed: BTreeSet<usize>,
    pub(crate) copies: u64,
    pub(crate) dials: u64,
}

impl Model {
    /// So many nodes that know of each other and have no links yet.
    pub(crate) fn new(count: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let candidates: Vec<Candidate> = (0..count).map(|index| candidate(index, &mut rng)).collect();
        let by_addr = candidates.iter().enumerate().map(|(index, one)| (one.addresses[0], index)).collect();
        let nodes = candidates.iter().map(|one| Node {
            alive: true,
            session: one.session,
            overlay: Overlay::new(one.session, Reach::Dialable, &[]),
            rng: Rng::new(rng.draw()),
            links: BTreeMap::new(),
            plan_due: true,
            tick_at: u64::MAX,
            idle_ms: TICK_MS,
            shed_at: 0,
            view: 0,
            side: 0,
        });
        let nodes = nodes.collect();
        let mut model = Self {
            now: 0,
            rng,
            tick_ms: TICK_MS,
            seed,
            queue: BinaryHeap::new(),
            sequence: 0,
            nodes,
            links: Vec::new(),
            views: Vec::new(),
            by_addr,
            posts: Vec::new(),
            severed: BTreeSet::new(),
            copies: 0,
            dials: 0,
        };
        model.views.push((Rings::new(candidates), Vec::new()));
        for node in 0..count {
            // They do not all look at the same moment.
            let phase = model.rng.below(TICK_MS);
            model.nodes[node].tick_at = phase;
            model.at(phase, Event::Tick { node });
        }
        model
    }

    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((time, self.sequence, event)));
    }

    /// Lets time pass.
    pub(crate) fn run_until(&mut self, time: u64) {
        while let Some(Reverse((at, _, _))) = self.queue.peek()
            && *at <= time
        {
            self.step();
        }
        self.now = time;
    }

    /// The same for a time in which nothing happens but dials in vain, with fewer looks; not for the last of it.
    pub(crate) fn run_dully_until(&mut self, time: u64) {
        self.tick_ms = IDLE_TICK_MS_MAX;
        self.run_until(self.now.max(time.saturating_sub(WAKEFUL_MS)));
        self.tick_ms = TICK_MS;
        self.run_until(time);
    }

    /// Does what comes next.
    fn step(&mut self) {
        let Some(Reverse((at, _, event))) = self.queue.pop() else { return };
        self.now = at;
        match event {
            Event::Tick { node } => self.tick(node),
            Event::Syn { node, peer, dial, again } => self.connect(node, peer, dial, again),
            Event::DialFailed { node, dial } => self.dial_failed(node, dial),
            Event::Hello { link } => self.hello(link),
            Event::Answer { link } => self.answer(link),
            Event::Ready { link, end } => self.ready(link, end),
            Event::Broken { link, end, surplus } => self.broken(link, end, surplus),
            Event::Post { link, to, post, hops } => self.post_arrived(link, to, post, hops),
            Event::Quiet { link, end, author } => {
                self.links[link].quiet[end].insert(author);
            }
        }
    }

    /// The delay of a pair, one way.
    fn delay_ms(&self, one: usize, other: usize) -> u64 {
        let pair = (one.min(other) as u64) << 32 | one.max(other) as u64;
        10 + mix(pair ^ mix(self.seed)) % 41
    }

    fn tick(&mut self, index: usize) {
        let now = self.now;
        let node = &mut self.nodes[index];
        if node.tick_at != now || !node.alive {
            return;
        }
        let was_due = node.plan_due || node.overlay.is_plan_stale(now);
        if was_due {
            node.plan_due = false;
            let (rings, lost) = &self.views[node.view];
            node.overlay.plan(rings.clone(), lost.iter().cloned(), now);
        }
        let linked = self.nodes[index].links.keys().map(|peer| self.nodes[*peer].session).collect();
        let node = &mut self.nodes[index];
        let dials = node.overlay.due(&linked, now, &mut node.rng);
        node.idle_ms =
            if was_due || !dials.is_empty() { self.tick_ms } else { (node.idle_ms * 2).min(IDLE_TICK_MS_MAX) };
        // A multiple of the tick, so that it keeps its phase.
        let pause = node.idle_ms / TICK_MS * TICK_MS;
        node.tick_at = now + pause;
        self.at(now + pause, Event::Tick { node: index });
        for (dial, target) in dials {
            self.dial(index, dial, &target);
        }
        if now >= self.nodes[index].shed_at {
            self.nodes[index].shed_at = now + SHED_MS;
            self.shed(index);
        }
    }

    /// Something has happened to a node: it looks at its next tick.
    fn wake(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let soon = self.now + (node.tick_at - self.now) % self.tick_ms;
        node.idle_ms = self.tick_ms;
        if node.alive && soon < node.tick_at {
            node.tick_at = soon;
            self.at(soon, Event::Tick { node: index });
        }
    }

    fn shed(&mut self, index: usize) {
        let node = &self.nodes[index];
        if node.links.len() <= MESH_LINKS_MAX {
            return;
        }
        let is_old = |link: &Link| link.ready == [true; 2] && self.now > link.snapshot_at[0] + SURPLUS_LINK_MS;
        let mut old = node.links.iter().filter(|(_, link)| is_old(&self.links[**link]));
        if let Some((peer, link)) = old.find(|(peer, _)| !node.overlay.needs(&self.nodes[**peer].session)) {
            let (peer, link) = (*peer, *link);
            self.hang_up(index, peer, link, true);
        }
    }

    // ---- what is done to them -----------------------------------------------------------------

    /// Kills so many processes at once; their links are reset.
    pub(crate) fn kill(&mut self, count: usize) {
        for index in self.shuffled().into_iter().take(count) {
            self.nodes[index].alive = false;
            for link in std::mem::take(&mut self.nodes[index].links).into_values() {
                self.links[link].alive = false;
                let end = usize::from(self.links[link].nodes[0] == index);
                self.at(self.now + self.links[link].delay_ms, Event::Broken { link, end, surplus: false });
            }
        }
    }

    /// Divides the nodes into two halves.
    pub(crate) fn cut(&mut self) {
        for index in self.shuffled().into_iter().skip(self.nodes.len() / 2) {
            self.nodes[index].side = 1;
        }
        for link in 0..self.links.len() {
            let [one, other] = self.links[link].nodes;
            if !self.links[link].alive || self.nodes[one].side == self.nodes[other].side {
                continue;
            }
            self.links[link].alive = false;
            self.severed.extend([one, other]);
            for end in 0..2 {
                let noticed = self.now + hobnob::limits::LINK_SILENT_MS_MAX + self.rng.below(TICK_MS);
                self.at(noticed, Event::Broken { link, end, surplus: false });
            }
        }
    }

    /// Each side takes those of the other one for lost to whom it had links, or all.
    pub(crate) fn fold_lost(&mut self, all: bool) {
        let rings = self.views[0].0.clone();
        let whole = rings.members();
        let order = self.shuffled();
        for side in 0..2 {
            let is_lost = |index: &usize| self.nodes[*index].side != side && (all || self.severed.contains(index));
            let lost: BTreeSet<FeedId> =
                order.iter().filter(|index| is_lost(index)).map(|index| self.nodes[*index].session).collect();
            let by_session = |index: &usize| whole.binary_search_by_key(&self.nodes[*index].session, |one| one.session);
            let lost_in_order = order.iter().filter(|index| is_lost(index)).filter_map(|index| by_session(index).ok());
            let lost_in_order = lost_in_order.map(|place| whole[place].clone()).collect();
            let there = whole.iter().filter(|one| !lost.contains(&one.session)).cloned().collect();
            self.views.push((Rings::new(there), lost_in_order));
            let view = self.views.len() - 1;
            for index in 0..self.nodes.len() {
                if self.nodes[index].side == side {
                    (self.nodes[index].view, self.nodes[index].plan_due) = (view, true);
                    self.wake(index);
                }
            }
        }
    }

    /// The halves reach each other again; returns when all have been one piece since.
    pub(crate) fn heal(&mut self, within_ms: u64) -> Option<u64> {
        let sides: Vec<u8> = self.nodes.iter().map(|node| node.side).collect();
        for node in &mut self.nodes {
            node.side = 0;
        }
        let until = self.now + within_ms;
        let mut crossing = 0;
        while let Some(Reverse((at, _, event))) = self.queue.peek().copied()
            && at <= until
        {
            self.step();
            let Event::Ready { link, .. } = event else { continue };
            let [one, other] = self.links[link].nodes;
            let is_new = sides[one] != sides[other] && self.links[link].ready == [true; 2];
            crossing += usize::from(is_new);
            if is_new && self.largest_piece() == self.nodes.len() {
                return Some(self.now);
            }
        }
        assert!(crossing == 0, "linked across the former cut, and not one piece");
        None
    }

    /// All nodes, in any order.
    fn shuffled(&mut self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        order.sort_by_cached_key(|_| self.rng.draw());
        order
    }

    // ---- what is seen of them -----------------------------------------------------------------

    /// The living nodes.
    pub(crate) fn living(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].alive).collect()
    }

    /// Links that a node has.
    pub(crate) fn links_of(&self, index: usize) -> usize {
        self.nodes[index].links.len()
    }

    /// How many of the living are in the largest part that is in one piece.
    pub(crate) fn largest_piece(&self) -> usize {
        let mut found = vec![false; self.nodes.len()];
        let mut largest = 0;
        for start in self.living() {
            if std::mem::replace(&mut found[start], true) {
                continue;
            }
            let mut piece = vec![start];
            let mut next = 0;
            while let Some(index) = piece.get(next).copied() {
                next += 1;
                for (peer, link) in &self.nodes[index].links {
                    let link = &self.links[*link];
                    if link.alive && link.ready == [true; 2] && !std::mem::replace(&mut found[*peer], true) {
                        piece.push(*peer);
                    }
                }
            }
            largest = largest.max(piece.len());
        }
        largest
    }
}

/// A member with an address of its own, in a private network, where all may be.
fn candidate(index: usize, rng: &mut Rng) -> Candidate {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&rng.draw().to_be_bytes());
    id[24..].copy_from_slice(&(index as u64).to_be_bytes());
    let [_, one, two, three] = u32::try_from(index).expect("few nodes").to_be_bytes();
    let addr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, one, two, three)), 4646);
    Candidate { session: FeedId { author: Id(id), session: 1 }, addresses: Arc::new([addr]) }
}
