//! A whole network of rooms in one thread: nodes, connections, delays and faults, all from a seed.

mod digest;
mod fault;
mod liar;
mod signer;
mod user;
mod wire;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hobnob::identity::{Id, Identity};
use hobnob::room::event::{Command, Confirm, Said};
use hobnob::room::intake::Seen;
use hobnob::room::rng::Rng;
use hobnob::room::{Acquaintance, Config, DialFailure, Input, LinkId, Named, Now, Output, Past, Reach, Room};
use hobnob::wire::Frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::FrameBuffer;
use hobnob::wire::record::{Beat, Domain, FeedId, Mode, Nick};
use hobnob::wire::seal::Chance;

use digest::Digest;
use liar::Liar;
use user::{Kept, Notebook, Shown};
use wire::{Conn, Known};

/// 2026 or so: the wall clock at the start of every run.
const WALL_START: u64 = 1_790_000_000_000;

/// What happens, and when; what was planned first comes first.
struct Planned {
    time: u64,
    sequence: u64,
    happening: Happening,
}

impl Planned {
    fn place(&self) -> (u64, u64) {
        (self.time, self.sequence)
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Eq for Planned {}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

/// One thing that happens at a time.
enum Happening {
    Tick(usize),
    /// Bytes reach one end of a connection.
    Deliver {
        conn: usize,
        to: usize,
        frame: Frame,
    },
    /// The socket of one end has taken so many bytes.
    Drained {
        conn: usize,
        end: usize,
        bytes: usize,
    },
    /// One end learns that the connection is over.
    Broken {
        conn: usize,
        end: usize,
    },
    Connected {
        conn: usize,
    },
    DialFailed {
        node: usize,
        life: u64,
        dial: u64,
    },
}

pub(crate) struct Node {
    pub(crate) room: Option<Room>,
    pub(crate) identity: Identity,
    pub(crate) session: u64,
    pub(crate) shown: Shown,
    /// Counts its lives: what is under way to a former one is void.
    pub(crate) life: u64,
    pub(crate) born_at: u64,
    seen: Seen,
    links: BTreeMap<LinkId, (usize, usize)>,
    pub(crate) plan: Plan,
    /// How the posts of this life begin.
    own_start: Vec<u8>,
    /// What its disk has of the room; `None` where it keeps nothing.
    pub(crate) kept: Option<Kept>,
    /// What it has of whispers,
    letters: Notebook,
    /// and whom it would look for at its next start.
    pub(crate) remembered: Vec<Acquaintance>,
    /// It does nothing until then, as a stopped process.
    paused_until: u64,
    /// Its user takes nothing until then, as a stalled terminal.
    unread_until: u64,
    /// How far its wall clock is off, in milliseconds.
    clock_off: i64,
    /// It lies.
    pub(crate) liar: Option<Liar>,
    /// Texts that wait for the window, as a pipe's do.
    pub(crate) pipe: Vec<String>,
    pub(crate) pipe_ends: bool,
}

impl Node {
    /// Its posts of this life.
    pub(crate) fn feed(&self) -> FeedId {
        FeedId { author: self.identity.id(), session: self.session }
    }
}

/// How a node takes part.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) reach: Reach,
    /// What it takes the room for.
    pub(crate) mode: Mode,
    pub(crate) rank: u8,
    pub(crate) named: Vec<usize>,
    pub(crate) passing: bool,
    pub(crate) log_bytes_max: usize,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) domain: Domain,
    conns: Vec<Conn>,
    queue: BinaryHeap<Reverse<Planned>>,
    sequence: u64,
    next_link: LinkId,
    /// Nodes in different groups cannot reach each other.
    pub(crate) groups: Vec<u8>,
    /// Every post ever made, as its author sent it.
    pub(crate) posted: HashMap<(FeedId, u64), Frame>,
    /// Every post that was read and found good, by where its bytes stand: they are the same on all links.
    known: HashMap<usize, Known>,
    buffer: FrameBuffer,
    /// One in so many posts is altered on its way; 0 for none.
    pub(crate) alter_one_in: u64,
    /// Every claim to be the hub, with its first beat.
    pub(crate) claims: BTreeMap<(FeedId, u64), Beat>,
    /// A node that drops, changes and repeats what is private.
    pub(crate) meddler: Option<usize>,
    /// What it has seen of that.
    pub(crate) meddled: Vec<Frame>,
    /// How many links each whisper has gone over.
    pub(crate) carried: u64,
    /// A node that passes on nothing of what somebody says.
    pub(crate) kept_back: Option<(usize, Id)>,
    /// So many of a hundred beats of a hub are lost on their way.
    pub(crate) beat_loss_percent: u64,
    /// One node in so many keeps what it sees.
    pub(crate) keeps_one_in: usize,
    /// Nodes that come back are named nobody, where they know somebody from before.
    pub(crate) unnamed_again: bool,
    pub(crate) wide_latency: bool,
    /// The slowest links carry so many bytes a millisecond.
    pub(crate) bytes_per_ms_min: u64,
    pub(crate) copies: u64,
    pub(crate) posts_received: u64,
    pub(crate) altered: u64,
    pub(crate) dials: u64,
    /// Why links between the honest were closed, and how often.
    pub(crate) closed: BTreeMap<&'static str, u64>,
    pub(crate) liars: BTreeSet<Id>,
    pub(crate) digest: Digest,
    pub(crate) trace: bool,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: 0,
            rng: Rng::new(seed),
            nodes: Vec::new(),
            domain: Domain::of_room("lobby"),
            conns: Vec::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
            next_link: 1,
            groups: Vec::new(),
            posted: HashMap::new(),
            known: HashMap::new(),
            buffer: FrameBuffer::new(),
            alter_one_in: 0,
            claims: BTreeMap::new(),
            meddler: None,
            meddled: Vec::new(),
            carried: 0,
            kept_back: None,
            beat_loss_percent: 0,
            keeps_one_in: 2,
            unnamed_again: false,
            wide_latency: true,
            bytes_per_ms_min: 100,
            copies: 0,
            posts_received: 0,
            altered: 0,
            dials: 0,
            closed: BTreeMap::new(),
            liars: BTreeSet::new(),
            digest: Digest::default(),
            trace: std::env::var_os("HOBNOB_TRACE").is_some(),
        }
    }

    /// The clocks of a node.
    fn clock(&self, node: usize) -> Now {
        let wall = (WALL_START + self.now).saturating_add_signed(self.nodes[node].clock_off);
        Now { mono: self.now, wall }
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.queue.push(Reverse(Planned { time, sequence: self.sequence, happening }));
        self.sequence += 1;
    }

    fn addr(node: usize) -> SocketAddr {
        let [_, _, high, low] = u32::try_from(node + 1).expect("few nodes").to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)), 4646)
    }

    fn node_at(addr: SocketAddr) -> Option<usize> {
        let IpAddr::V4(ip) = addr.ip() else { return None };
        let [10, 0, high, low] = ip.octets() else { return None };
        usize::from(u16::from_be_bytes([high, low])).checked_sub(1)
    }

    pub(crate) fn add_node(&mut self, plan: Plan) -> usize {
        let index = self.nodes.len();
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(index as u64 + 1).to_le_bytes());
        seed[8..16].copy_from_slice(&self.rng.draw().to_le_bytes());
        self.nodes.push(Node {
            room: None,
            identity: signer::identity(&seed),
            session: 0,
            shown: Shown::default(),
            life: 0,
            born_at: 0,
            seen: Seen::default(),
            links: BTreeMap::new(),
            plan,
            kept: (index % self.keeps_one_in == self.keeps_one_in - 1).then(Kept::default),
            letters: Notebook::default(),
            remembered: Vec::new(),
            own_start: Vec::new(),
            paused_until: 0,
            unread_until: 0,
            clock_off: 0,
            liar: None,
            pipe: Vec::new(),
            pipe_ends: false,
        });
        self.groups.push(0);
        self.start(index);
        index
    }

    /// Starts a node, for the first time or after a crash, with a new session, and with what its disk has.
    pub(crate) fn start(&mut self, index: usize) {
        let session = (self.rng.draw() >> 12) + 1;
        let seed = self.rng.draw();
        // The last posts were not synced.
        let unsynced = usize::try_from(self.rng.below(4)).expect("fits");
        let clock = self.clock(index);
        let node = &mut self.nodes[index];
        node.life += 1;
        node.session = session;
        node.born_at = clock.mono;
        node.seen = Seen::default();
        node.shown = std::mem::take(&mut node.shown).in_a_new_life();
        // Where a run before has had a link to whom it was named, the next one finds the room without.
        let is_known = |peer: &usize| node.remembered.iter().any(|known| known.addr == Self::addr(*peer));
        let named = if self.unnamed_again && node.plan.named.iter().any(is_known) { &[][..] } else { &node.plan.named };
        let config = Config {
            identity: node.identity.clone(),
            session,
            nick: Nick::new(&format!("n{index}")).expect("a good nick"),
            room: "lobby".to_owned(),
            mode: node.plan.mode,
            rank: node.plan.rank,
            reach: node.plan.reach,
            listening: (node.plan.reach != Reach::Undialable).then(|| Self::addr(index)),
            named: named.iter().map(|peer| Named::anybody(format!("n{peer}"))).collect(),
            remembered: node.remembered.clone(),
            passing: node.plan.passing,
            wait_ms: 10_000,
            linger_ms: 10_000,
            confirm: Confirm::All,
            echo: true,
            backlog_lines: 50,
            keep: node.kept.is_some(),
            log_bytes_max: node.plan.log_bytes_max,
            seed,
            chance: Chance::from_seed([u8::try_from(seed % 251).expect("small"); 32]),
            to: None,
        };
        let mut out = Vec::new();
        node.own_start =
            format!(r#"{{"type":"post","author":"{}","session":{session},"#, node.identity.id()).into_bytes();
        if let Some(kept) = &mut node.kept {
            kept.lose(unsynced);
        }
        let mut past = node.kept.as_ref().map_or_else(Past::default, |kept| kept.past(node.plan.log_bytes_max));
        if node.kept.is_some() {
            past.letters = node.letters.past();
        }
        node.room = Some(Room::resume(config, &past, clock, &mut out));
        self.carry_out(index, out);
        let phase = self.rng.below(50);
        self.at(self.now + phase, Happening::Tick(index));
    }

    /// Lets the world run until a time.
    pub(crate) fn run_until(&mut self, time: u64) {
        while self.queue.peek().is_some_and(|Reverse(next)| next.time <= time) {
            let Some(Reverse(next)) = self.queue.pop() else { break };
            self.now = next.time;
            match self.wakes_at(&next.happening) {
                // In its place among what was sent before and after it.
                time if time > self.now => self.queue.push(Reverse(Planned { time, ..next })),
                _ => self.happen(next.happening),
            }
        }
        self.now = time;
    }

    /// When the node that something happens to goes on.
    fn wakes_at(&self, happening: &Happening) -> u64 {
        let node = match happening {
            Happening::Tick(node) | Happening::DialFailed { node, .. } => *node,
            Happening::Deliver { conn, to: end, .. }
            | Happening::Drained { conn, end, .. }
            | Happening::Broken { conn, end } => self.conns[*conn].nodes[*end],
            Happening::Connected { conn } => self.conns[*conn].nodes[0],
        };
        self.nodes[node].paused_until
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick(node) => {
                if self.nodes[node].room.is_some() {
                    self.input(node, Input::Tick);
                    self.feed_pipe(node);
                    self.at(self.now + 50, Happening::Tick(node));
                }
            }
            Happening::Deliver { conn, to, frame } => self.deliver(conn, to, &frame),
            Happening::Drained { conn, end, bytes } => {
                if self.conns[conn].held[end] {
                    let (node, link) = (self.conns[conn].nodes[end], self.conns[conn].links[end]);
                    self.input(node, Input::Drained { link, bytes });
                }
            }
            Happening::Broken { conn, end } => self.broken(conn, end, End::Vanished),
            Happening::Connected { conn } => self.connected(conn),
            Happening::DialFailed { node, life, dial } => {
                if self.nodes[node].life == life {
                    self.input(node, Input::DialFailed { dial, failure: DialFailure::Unreached("refused".to_owned()) });
                }
            }
        }
    }

    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let clock = self.clock(node);
        let Some(room) = self.nodes[node].room.as_mut() else { return };
        let mut out = Vec::new();
        room.handle(clock, input, &mut out);
        self.carry_out(node, out);
    }

    pub(crate) fn say(&mut self, node: usize, text: &str) {
        let said = Said { text: text.to_owned(), ..Said::default() };
        self.input(node, Input::Command(Command::Say(said)));
    }

    fn feed_pipe(&mut self, node: usize) {
        while !self.nodes[node].pipe.is_empty() {
            let Some(room) = self.nodes[node].room.as_mut() else { return };
            if !room.may_say() {
                return;
            }
            let text = self.nodes[node].pipe.remove(0);
            self.input(node, Input::Say(Said { text, ..Said::default() }));
        }
        if std::mem::take(&mut self.nodes[node].pipe_ends) {
            self.input(node, Input::Command(Command::EndOfInput));
        }
    }

    fn carry_out(&mut self, node: usize, out: Vec<Output>) {
        let mut kept = Vec::new();
        for output in out {
            match output {
                Output::Send { links, frames } => {
                    for frame in frames {
                        self.note_posted(node, &frame);
                        for link in &links {
                            self.send(node, *link, &frame);
                        }
                    }
                }
                // Handshakes take no time here.
                Output::Admit { .. } | Output::Partner(_) => {}
                Output::Close { link, end } => self.close(node, link, end),
                Output::Dial { dial, target } => self.dial(node, dial, &target),
                Output::Seen { feed, number, tail } => self.nodes[node].seen.note(feed, number, tail),
                Output::Remember(peers) => self.nodes[node].remembered = peers,
                Output::Keep { notes, token } => {
                    self.nodes[node].letters.apply(notes);
                    kept.extend(token);
                }
                Output::End(outcome) => {
                    self.show(node);
                    self.nodes[node].shown.outcome = Some(outcome);
                    self.nodes[node].room = None;
                    self.nodes[node].life += 1;
                }
            }
        }
        for token in kept {
            self.input(node, Input::Kept { token });
        }
        self.show(node);
    }
}
