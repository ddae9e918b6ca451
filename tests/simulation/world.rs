//! A whole network of rooms in one thread: nodes, connections, delays and faults, all from a seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hobnob::identity::Identity;
use hobnob::room::event::{Command, Event, Outcome, Said};
use hobnob::room::intake::Seen;
use hobnob::room::rng::Rng;
use hobnob::room::{Arrival, Config, DialFailure, Input, LinkId, Named, Now, Output, Reach, Room, Target};
use hobnob::wire::Frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::{Ending, FrameBuffer};
use hobnob::wire::record::{Body, Control, Domain, FeedId, Label, Nick, Post, Record};

/// 2026 or so: the wall clock at the start of every run.
const WALL_START: u64 = 1_790_000_000_000;

/// One thing that happens at a time.
#[derive(Debug)]
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

/// A connection between two nodes; end 0 dialled.
struct Conn {
    nodes: [usize; 2],
    lives: [u64; 2],
    links: [LinkId; 2],
    /// Whether an end still holds it.
    held: [bool; 2],
    /// Whether bytes pass at all.
    dead: bool,
    latency_ms: u64,
    bytes_per_ms: u64,
    /// When the wire is free again, per direction; in thousandths of a millisecond.
    free_at: [u64; 2],
    last_arrival: [u64; 2],
    dial: u64,
}

/// What a node has shown to its user.
#[derive(Default)]
pub(crate) struct Shown {
    /// Says by feed, in the order shown.
    pub(crate) says: BTreeMap<FeedId, Vec<u64>>,
    pub(crate) missed: BTreeMap<String, u64>,
    pub(crate) members: BTreeSet<String>,
    pub(crate) joined: u64,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) undelivered: Vec<String>,
    pub(crate) backlog: usize,
    pub(crate) forked: u64,
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
    /// It does nothing until then, as a stopped process.
    paused_until: u64,
    /// Texts that wait for the window, as a pipe's do.
    pub(crate) pipe: Vec<String>,
    pub(crate) pipe_ends: bool,
}

/// How a node takes part.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) reach: Reach,
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
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    happenings: HashMap<usize, Happening>,
    sequence: u64,
    next_link: LinkId,
    /// Nodes in different groups cannot reach each other.
    pub(crate) groups: Vec<u8>,
    /// Every post ever made, as its author sent it.
    pub(crate) posted: HashMap<(FeedId, u64), Frame>,
    verified: HashMap<blake3::Hash, bool>,
    /// One in so many posts is altered on its way; 0 for none.
    pub(crate) alter_one_in: u64,
    pub(crate) wide_latency: bool,
    /// The slowest links carry so many bytes a millisecond.
    pub(crate) bytes_per_ms_min: u64,
    pub(crate) copies: u64,
    pub(crate) posts_received: u64,
    pub(crate) altered: u64,
    pub(crate) dials: u64,
    pub(crate) closed: BTreeMap<&'static str, u64>,
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
            happenings: HashMap::new(),
            sequence: 0,
            next_link: 1,
            groups: Vec::new(),
            posted: HashMap::new(),
            verified: HashMap::new(),
            alter_one_in: 0,
            wide_latency: true,
            bytes_per_ms_min: 100,
            copies: 0,
            posts_received: 0,
            altered: 0,
            dials: 0,
            closed: BTreeMap::new(),
            trace: std::env::var_os("HOBNOB_TRACE").is_some(),
        }
    }

    fn clock(&self) -> Now {
        Now { mono: self.now, wall: WALL_START + self.now }
    }

    fn at(&mut self, time: u64, happening: Happening) {
        let key = usize::try_from(self.sequence).expect("fits");
        self.queue.push(Reverse((time, self.sequence, key)));
        self.happenings.insert(key, happening);
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
            identity: Identity::from_seed(&seed),
            session: 0,
            shown: Shown::default(),
            life: 0,
            born_at: 0,
            seen: Seen::default(),
            links: BTreeMap::new(),
            plan,
            paused_until: 0,
            pipe: Vec::new(),
            pipe_ends: false,
        });
        self.groups.push(0);
        self.start(index);
        index
    }

    /// Starts a node, for the first time or after a crash, with an empty log and a new session.
    pub(crate) fn start(&mut self, index: usize) {
        let session = (self.rng.draw() >> 12) + 1;
        let seed = self.rng.draw();
        let clock = self.clock();
        let node = &mut self.nodes[index];
        node.life += 1;
        node.session = session;
        node.born_at = clock.mono;
        node.seen = Seen::default();
        node.shown = Shown::default();
        let config = Config {
            identity: node.identity.clone(),
            session,
            nick: Nick::new(&format!("n{index}")).expect("a good nick"),
            room: "lobby".to_owned(),
            reach: node.plan.reach,
            listening: (node.plan.reach != Reach::Undialable).then(|| Self::addr(index)),
            named: node.plan.named.iter().map(|peer| Named::anybody(format!("n{peer}"))).collect(),
            passing: node.plan.passing,
            wait_ms: 10_000,
            linger_ms: 10_000,
            echo: true,
            backlog_lines: 50,
            log_bytes_max: node.plan.log_bytes_max,
            seed,
        };
        let mut out = Vec::new();
        node.room = Some(Room::new(config, clock, &mut out));
        self.carry_out(index, out);
        let phase = self.rng.below(50);
        self.at(self.now + phase, Happening::Tick(index));
    }

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

    /// Cuts one connection; with `half_open` one end does not notice.
    pub(crate) fn cut(&mut self, half_open: bool) {
        let alive: Vec<usize> =
            (0..self.conns.len()).filter(|c| !self.conns[*c].dead && self.conns[*c].held[0]).collect();
        if alive.is_empty() {
            return;
        }
        let conn = alive[usize::try_from(self.rng.below(alive.len() as u64)).expect("fits")];
        self.conns[conn].dead = true;
        let unaware = self.rng.below(2);
        for end in 0..2 {
            if !(half_open && end as u64 == unaware) {
                let delay = self.rng.below(50);
                self.at(self.now + delay, Happening::Broken { conn, end });
            }
        }
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

    pub(crate) fn heal(&mut self) {
        self.groups = vec![0; self.nodes.len()];
    }

    /// Stops a node for a while; what reaches it waits.
    pub(crate) fn pause(&mut self, index: usize, duration_ms: u64) {
        let until = self.now + duration_ms;
        self.nodes[index].paused_until = until.max(self.nodes[index].paused_until);
    }

    /// Lets the world run until a time.
    pub(crate) fn run_until(&mut self, time: u64) {
        while let Some(Reverse((at, _, _))) = self.queue.peek() {
            if *at > time {
                break;
            }
            let Some(Reverse((at, sequence, key))) = self.queue.pop() else { break };
            self.now = at;
            let happening = self.happenings.remove(&key).expect("each happens once");
            match self.wakes_at(&happening) {
                // In its place among what was sent before and after it.
                Some(time) if time > self.now => {
                    self.queue.push(Reverse((time, sequence, key)));
                    self.happenings.insert(key, happening);
                }
                _ => self.happen(happening),
            }
        }
        self.now = time;
    }

    /// When the node that something happens to goes on.
    fn wakes_at(&self, happening: &Happening) -> Option<u64> {
        let node = match happening {
            Happening::Tick(node) | Happening::DialFailed { node, .. } => *node,
            Happening::Deliver { conn, to: end, .. }
            | Happening::Drained { conn, end, .. }
            | Happening::Broken { conn, end } => self.conns[*conn].nodes[*end],
            Happening::Connected { .. } => return None,
        };
        Some(self.nodes[node].paused_until)
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

    fn broken(&mut self, conn: usize, end: usize, why: End) {
        if std::mem::replace(&mut self.conns[conn].held[end], false) {
            let (node, link) = (self.conns[conn].nodes[end], self.conns[conn].links[end]);
            self.nodes[node].links.remove(&link);
            self.input(node, Input::Broken { link, end: why });
        }
    }

    fn connected(&mut self, conn: usize) {
        let [from, to] = self.conns[conn].nodes;
        let alive = |world: &Self, end: usize| {
            let node = &world.nodes[world.conns[conn].nodes[end]];
            node.room.is_some() && node.life == world.conns[conn].lives[end]
        };
        if !alive(self, 0) {
            return;
        }
        if !alive(self, 1) || self.conns[conn].dead {
            let dial = self.conns[conn].dial;
            return self.input(from, Input::DialFailed { dial, failure: DialFailure::Unreached("reset".to_owned()) });
        }
        let [dialled, accepted] = self.conns[conn].links;
        self.conns[conn].held = [true, true];
        self.nodes[from].links.insert(dialled, (conn, 0));
        self.nodes[to].links.insert(accepted, (conn, 1));
        let dial = Some(self.conns[conn].dial);
        let (local, remote) = (Self::addr(from).ip(), Self::addr(to));
        self.input(from, Input::Connected { link: dialled, dial, remote, local, channel: None });
        let (local, remote) = (Self::addr(to).ip(), SocketAddr::new(Self::addr(from).ip(), 50_000));
        self.input(to, Input::Knocked { link: accepted, remote });
        if !self.nodes[to].links.contains_key(&accepted) {
            return;
        }
        self.input(to, Input::Connected { link: accepted, dial: None, remote, local, channel: None });
    }

    fn deliver(&mut self, conn: usize, to: usize, frame: &Frame) {
        let state = &self.conns[conn];
        if state.dead || !state.held[to] {
            return;
        }
        let (node, link) = (state.nodes[to], state.links[to]);
        let mut frame = Arc::clone(frame);
        if self.alter_one_in > 0 && hobnob::wire::record::is_post(&frame) && self.rng.below(self.alter_one_in) == 0 {
            frame = alter(&frame);
            self.altered += 1;
        }
        if self.trace {
            let text = String::from_utf8_lossy(&frame);
            let from = self.conns[conn].nodes[1 - to];
            eprintln!(
                "{:>8} n{node} reads from n{from} ({link}) {}",
                self.now,
                text.chars().take(160).collect::<String>()
            );
        }
        match self.read(node, &frame) {
            Ok(arrival) => {
                match &arrival {
                    Arrival::Post(_) => self.posts_received += 1,
                    Arrival::Copy { .. } => self.copies += 1,
                    _ => {}
                }
                self.input(node, Input::Arrived { link, run: vec![arrival] });
            }
            // Where links are encrypted, what was altered on its way does not decrypt; nobody is blamed for it.
            Err(_) => self.input(node, Input::Broken { link, end: End::BadCipher }),
        }
    }

    /// Does what a reader does, through the real frame buffer, with signatures checked once per frame.
    fn read(&mut self, node: usize, frame: &Frame) -> Result<Arrival, End> {
        let mut buffer = FrameBuffer::new();
        let mut source = &frame[..];
        let mut read = Ok(None);
        while buffer.fill(&mut source).is_ok_and(|count| count > 0) {
            read = buffer.next_frame().map(|found| found.map(|(bytes, ending)| (bytes.to_vec(), ending)));
            if !matches!(read, Ok(None)) {
                break;
            }
        }
        let Ok(Some((bytes, ending))) = read else { return Err(End::BadFrame) };
        if !hobnob::wire::record::is_post(&bytes) {
            return match Record::decode(&bytes, ending) {
                Ok(Record::Control(control)) => Ok(Arrival::Control(control)),
                Ok(Record::Ack(ack)) => Ok(Arrival::Ack(ack)),
                Err(_) => Err(End::BadRecord),
            };
        }
        assert_eq!(ending, Ending::Message);
        let label = Label::read(&bytes).ok_or(End::BadRecord)?;
        if self.nodes[node].seen.is_copy(&label) {
            return Ok(Arrival::Copy { feed: label.feed, number: label.number, bytes: bytes.len() });
        }
        let post = Post::decode(&bytes).map_err(|_| End::BadRecord)?;
        let domain = &self.domain;
        let good = *self.verified.entry(blake3::hash(&bytes)).or_insert_with(|| post.verify(domain).is_ok());
        if good { Ok(Arrival::Post(Arc::new(post))) } else { Err(End::BadSignature) }
    }

    pub(crate) fn input(&mut self, node: usize, input: Input) {
        let clock = self.clock();
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
        for output in out {
            match output {
                Output::Send { links, frame } => {
                    self.note_posted(node, &frame);
                    for link in links {
                        self.send(node, link, &frame);
                    }
                }
                // Handshakes take no time here.
                Output::Admit { .. } => {}
                Output::Close { link, end } => self.close(node, link, end),
                Output::Dial { dial, target } => self.dial(node, dial, &target),
                Output::Seen { feed, number, tail } => self.nodes[node].seen.note(feed, number, tail),
                Output::End(outcome) => {
                    self.show(node);
                    self.nodes[node].shown.outcome = Some(outcome);
                    self.nodes[node].room = None;
                    self.nodes[node].life += 1;
                }
            }
        }
        self.show(node);
    }

    /// Remembers what an author first sent: nothing else may ever be shown under that number.
    fn note_posted(&mut self, node: usize, frame: &Frame) {
        let Some(label) = Label::read(frame) else { return };
        if label.feed.author == self.nodes[node].identity.id() && label.feed.session == self.nodes[node].session {
            self.posted.entry((label.feed, label.number)).or_insert_with(|| Arc::clone(frame));
        }
    }

    fn send(&mut self, node: usize, link: LinkId, frame: &Frame) {
        let Some((conn, end)) = self.nodes[node].links.get(&link).copied() else { return };
        let state = &mut self.conns[conn];
        let cost = frame.len() as u64 * 1000 / state.bytes_per_ms;
        state.free_at[end] = state.free_at[end].max(self.now * 1000) + cost;
        let sent = state.free_at[end] / 1000;
        let arrival = (sent + state.latency_ms).max(state.last_arrival[end]);
        state.last_arrival[end] = arrival;
        self.at(sent, Happening::Drained { conn, end, bytes: frame.len() });
        self.at(arrival, Happening::Deliver { conn, to: 1 - end, frame: Arc::clone(frame) });
    }

    fn close(&mut self, node: usize, link: LinkId, end: End) {
        if self.trace {
            eprintln!("{:>8} n{node} closes link {link}: {end}", self.now);
        }
        *self.closed.entry(end.word()).or_default() += 1;
        let Some((conn, side)) = self.nodes[node].links.get(&link).copied() else { return };
        let exit = Control::Exit { reason: end.word().to_owned(), text: String::new() };
        self.send(node, link, &exit.encode());
        self.nodes[node].links.remove(&link);
        let state = &mut self.conns[conn];
        state.held[side] = false;
        let arrival = state.last_arrival[side];
        self.at(arrival + 1, Happening::Broken { conn, end: 1 - side });
    }

    fn dial(&mut self, node: usize, dial: u64, target: &Target) {
        let to = match target {
            Target::Named(name) => name.strip_prefix('n').and_then(|digits| digits.parse().ok()),
            Target::Member { addr, .. } => Self::node_at(*addr),
        };
        let latency_ms = 1 + self.rng.below(if self.wide_latency { 50 } else { 3 });
        let reachable = to.filter(|to| {
            *to < self.nodes.len()
                && self.groups[*to] == self.groups[node]
                && self.nodes[*to].room.is_some()
                && self.nodes[*to].plan.reach != Reach::Undialable
        });
        if self.trace {
            eprintln!("{:>8} n{node} dials {target:?}: {reachable:?}", self.now);
        }
        self.dials += 1;
        let life = self.nodes[node].life;
        let Some(to) = reachable else {
            return self.at(self.now + latency_ms, Happening::DialFailed { node, life, dial });
        };
        let conn = self.conns.len();
        let links = [self.next_link, self.next_link + 1];
        self.next_link += 2;
        let bytes_per_ms = if self.wide_latency { self.bytes_per_ms_min << self.rng.below(8) } else { 10_000 };
        self.conns.push(Conn {
            nodes: [node, to],
            lives: [life, self.nodes[to].life],
            links,
            held: [false, false],
            dead: false,
            latency_ms,
            bytes_per_ms,
            free_at: [0, 0],
            last_arrival: [0, 0],
            dial,
        });
        self.at(self.now + latency_ms, Happening::Connected { conn });
    }

    /// Whether a post of that number was ever sent and says something.
    pub(crate) fn is_say(&self, feed: FeedId, number: u64) -> bool {
        let frame = self.posted.get(&(feed, number));
        let post = frame.and_then(|frame| Post::decode(frame).ok());
        post.is_some_and(|post| matches!(post.body, Body::Say { .. }))
    }

    /// Takes what a room shows, and checks it: once, in order, and as its author said it.
    fn show(&mut self, node: usize) {
        while let Some(event) = self.nodes[node].room.as_mut().and_then(Room::next_event) {
            if self.trace && !matches!(event, Event::Linked(_) | Event::Unlinked(..)) {
                eprintln!("{:>8} n{node} sees {event:?}", self.now);
            }
            let shown = &mut self.nodes[node].shown;
            match event {
                Event::Said { post, backlog, .. } => {
                    let numbers = shown.says.entry(post.feed).or_default();
                    if let Some(last) = numbers.last() {
                        assert!(*last < post.number, "n{node} saw {:?} {} after {last}", post.feed, post.number);
                    }
                    numbers.push(post.number);
                    shown.backlog += usize::from(backlog);
                    if let Some(frame) = self.posted.get(&(post.feed, post.number)) {
                        assert_eq!(*frame, post.frame, "n{node} saw an altered post");
                    } else {
                        assert_eq!(post.feed.author, self.nodes[node].identity.id(), "n{node} saw a forged post");
                    }
                }
                Event::Joined { member, .. } => {
                    shown.joined += 1;
                    assert!(shown.members.insert(member.id.to_string()), "n{node} saw {} join twice", member.nick);
                }
                Event::Left { member, .. } | Event::Lost { member, .. } => {
                    assert!(shown.members.remove(&member.id.to_string()), "n{node} saw {} go unjoined", member.nick);
                }
                Event::Gap { from, missed } => *shown.missed.entry(from.id.to_string()).or_default() += missed,
                Event::Undelivered { missing } => {
                    shown.undelivered = missing.iter().map(|person| person.nick.to_string()).collect();
                }
                Event::Forked(_) => shown.forked += 1,
                _ => {}
            }
        }
    }
}

/// Changes one letter in the middle of a frame, as a dishonest relay might.
fn alter(frame: &Frame) -> Frame {
    let mut bytes = frame.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'a' { b'b' } else { b'a' };
    bytes.into()
}
