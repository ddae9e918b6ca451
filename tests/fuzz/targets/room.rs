//! Two honest rooms, and strangers at one of them who do what the input says, with keys of their own: whatever they do, the
//! honest link stays, what the two say and whisper is shown once and in order, and what a room keeps is bounded. In hub
//! mode one of the two is the hub at first, and the strangers claim to be it: once they are gone, it is one of the two again.
//!
//! The input: what the room is, and what happens, step by step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use hobnob::identity::Id;
use hobnob::limits::{
    FRAME_BYTES_MAX, NUMBER_MAX, OUTBOX_BYTES_MAX, OUTBOX_CONTROL_BYTES_MAX, RANK_DEFAULT, TICK_MS,
    WAITING_BYTES_TOTAL_MAX,
};
use hobnob::room::event::{Command, Confirm, Event, Person, Said, Whom};
use hobnob::room::intake::{Seen, read_frame};
use hobnob::room::{Config, DialFailure, DialId, Input, LinkId, Now, Output, Reach, Room};
use hobnob::wire::Frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::{EXIT_END, Ending};
use hobnob::wire::record::{
    Ack, Beat, Channel, Claim, Control, Draft, Entry, Envelope, FeedId, Handover, Header, Hello, Mode, Nick, Post,
    Sealed, Trace, VERSION, is_post,
};
use hobnob::wire::seal::{Chance, Content, Sealer, Text};

use super::{Bytes, identity, lobby, sealed_post};

const WALL_START: u64 = 1_790_000_000_000;
const HOUR: u64 = 3_600_000;

/// The link between the honest two, on either side.
const HONEST: LinkId = 1;

/// A small log, so that it fills.
const LOG_BYTES: usize = 96 * 1024;

/// Steps of one run; more make it slow, and reach nothing new.
const STEPS_MAX: usize = 96;

/// When the strangers are gone, the two have one hub after this time at the latest: who was left for keeping posts back is
/// not followed for a minute, and the second time for two.
const HUB_BACK_MS: u64 = 250_000;

const BOB: usize = 0;
const ALICE: usize = 1;

pub(crate) fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let mut world = World::new(&mut input);
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.check();
    }
    world.finish();
}

/// An honest node.
struct Node {
    room: Room,
    feed: FeedId,
    channel: Channel,
    seen: Seen,
    /// What it has said, and what it has shown of the other.
    said: Vec<String>,
    heard: Vec<String>,
    /// The same of what is private.
    whispered: Vec<String>,
    confided: Vec<String>,
    /// What it has sent over the honest link.
    sent: VecDeque<Frame>,
}

/// A link of a stranger with bob.
struct Stranger {
    key: u8,
    session: u64,
    channel: Channel,
    /// Its socket takes nothing.
    is_stuck: bool,
}

struct World {
    now: Now,
    mode: Mode,
    nodes: Vec<Node>,
    strangers: BTreeMap<LinkId, Stranger>,
    /// Who has knocked at bob's door.
    knocking: BTreeSet<LinkId>,
    next_link: LinkId,
    dials: Vec<DialId>,
    /// Alice's, which reach nobody.
    lonely_dials: Vec<DialId>,
    /// Posts that may be played again, and what hubs sign.
    heard: Vec<Frame>,
    /// The next number of the strangers' feeds.
    next: BTreeMap<FeedId, u64>,
}

fn config(seed: u8, nick: &str, reach: Reach, mode: Mode) -> Config {
    let listening = (reach == Reach::Dialable).then(|| addr(&format!("10.0.0.{seed}:4646")));
    Config {
        identity: identity(seed),
        session: 1_000 + u64::from(seed),
        nick: Nick::new(nick).expect("a nick"),
        room: "lobby".to_owned(),
        mode,
        rank: RANK_DEFAULT,
        reach,
        listening,
        named: Vec::new(),
        remembered: Vec::new(),
        passing: false,
        wait_ms: 10_000,
        linger_ms: 10_000,
        confirm: Confirm::All,
        echo: true,
        backlog_lines: 50,
        keep: false,
        log_bytes_max: LOG_BYTES,
        seed: u64::from(seed),
        chance: Chance::from_seed([seed; 32]),
        to: None,
    }
}

fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

impl World {
    fn new(input: &mut Bytes<'_>) -> Self {
        let now = Now { mono: 1_000, wall: WALL_START };
        let first = input.byte();
        let reach = if first.is_multiple_of(2) { Reach::NamedOnly } else { Reach::Undialable };
        let (mode, of_bob, of_alice) = match first / 64 {
            0 => (Mode::Mesh, (reach, Mode::Mesh), (Reach::NamedOnly, Mode::Mesh)),
            // Bob is the hub, or alice, or either of them.
            1 => (Mode::Hub, (Reach::Dialable, Mode::Hub), (Reach::NamedOnly, Mode::Any)),
            2 => (Mode::Hub, (reach, Mode::Any), (Reach::Dialable, Mode::Hub)),
            _ => (Mode::Hub, (Reach::Dialable, Mode::Any), (Reach::Dialable, Mode::Hub)),
        };
        let node = |seed: u8, nick: &str, (reach, mode): (Reach, Mode)| {
            let config = config(seed, nick, reach, mode);
            let feed = FeedId { author: config.identity.id(), session: config.session };
            let mut out = Vec::new();
            let room = Room::new(config, now, &mut out);
            let mut seen = Seen::default();
            for output in out {
                if let Output::Seen { feed, number, tail } = output {
                    seen.note(feed, number, tail);
                }
            }
            let channel = Channel { hash: [1; 32], dialler: seed == 2 };
            Node {
                room,
                feed,
                channel,
                seen,
                said: Vec::new(),
                heard: Vec::new(),
                whispered: Vec::new(),
                confided: Vec::new(),
                sent: VecDeque::new(),
            }
        };
        let nodes = vec![node(1, "bob", of_bob), node(2, "alice", of_alice)];
        let mut world = Self {
            now,
            mode,
            nodes,
            strangers: BTreeMap::new(),
            knocking: BTreeSet::new(),
            next_link: HONEST + 1,
            dials: Vec::new(),
            lonely_dials: Vec::new(),
            heard: Vec::new(),
            next: BTreeMap::new(),
        };
        if mode == Mode::Hub {
            // Who founds the room is the hub, before anybody comes.
            world.pass(6);
        }
        world.input(BOB, Input::Knocked { link: HONEST, remote: addr("10.0.0.2:5000") });
        for (node, dial) in [(BOB, None), (ALICE, Some(1_000_000))] {
            let (remote, local) = (addr("10.0.0.2:5000"), addr("10.0.0.1:1").ip());
            let channel = Some(world.nodes[node].channel);
            world.input(node, Input::Connected { link: HONEST, dial, remote, local, channel });
        }
        world.settle();
        world.pass(2);
        world
    }

    // ---- the honest two -------------------------------------------------------------------------

    fn input(&mut self, node: usize, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.nodes[node].room.handle(self.now, input, &mut out);
            for output in out {
                inputs.extend(self.output(node, output));
            }
            self.show(node);
        }
    }

    fn output(&mut self, node: usize, output: Output) -> Vec<Input> {
        match output {
            Output::Send { links, frames } => {
                let all = frames.iter().flat_map(|frame| links.iter().map(move |link| (*link, frame)));
                return all.filter_map(|(link, frame)| self.send(node, link, frame)).collect();
            }
            Output::Close { link, end } => {
                assert!(link != HONEST, "the honest link is closed: {end}");
                let is_known = self.knocking.remove(&link) | self.strangers.remove(&link).is_some();
                assert!(is_known, "link {link} is closed twice");
            }
            Output::Dial { dial, .. } if node == BOB => self.dials.push(dial),
            Output::Dial { dial, .. } => {
                assert_eq!(self.mode, Mode::Hub, "alice was told to dial nobody");
                self.lonely_dials.push(dial);
            }
            Output::Seen { feed, number, tail } => self.nodes[node].seen.note(feed, number, tail),
            Output::Admit { .. } | Output::Partner(_) | Output::Remember(_) | Output::Keep { .. } => {}
            Output::End(_) => panic!("nobody has asked for the end"),
        }
        Vec::new()
    }

    fn send(&mut self, node: usize, link: LinkId, frame: &Frame) -> Option<Input> {
        let drained = Some(Input::Drained { link, bytes: frame.len() });
        if link == HONEST {
            self.nodes[node].sent.push_back(Arc::clone(frame));
            return drained;
        }
        let stranger = self.strangers.get(&link).expect("only links that are there are sent to");
        let is_signed =
            is_post(frame) || frame.starts_with(br#"{"type":"beat""#) || frame.starts_with(br#"{"type":"handover""#);
        if is_signed && self.heard.len() < 64 {
            self.heard.push(Arc::clone(frame));
        }
        drained.filter(|_| !stranger.is_stuck)
    }

    fn show(&mut self, node: usize) {
        let other = self.nodes[1 - node].feed;
        let mut whispers = Vec::new();
        while let Some(event) = self.nodes[node].room.next_event() {
            if let Event::Whispered(whisper) = &event {
                whispers.push(Arc::clone(whisper));
            }
            match event {
                Event::Said { post, .. } if post.feed == other => self.nodes[node].heard.push(post.text()),
                Event::Whispered(whisper) if !whisper.mine && whisper.from.id == other.author => {
                    self.nodes[node].confided.push(whisper.text.clone());
                }
                Event::Unheard { to, .. } => assert!(to.id != other.author, "an honest one takes what is whispered"),
                Event::Lost { member, .. } | Event::Left { member, .. } => {
                    assert!(member.id != other.author, "who is here is not gone");
                }
                Event::Gap { from, .. } => assert!(from.id != other.author, "nothing of an honest one is missing"),
                Event::Forked(person) => assert!(person.id != other.author, "an honest one has not lied"),
                _ => {}
            }
        }
        if !whispers.is_empty() {
            self.input(node, Input::Command(Command::Shown(whispers)));
        }
    }

    /// Carries what is under way over the honest link.
    fn settle(&mut self) {
        while let Some(from) = (0..2).find(|node| !self.nodes[*node].sent.is_empty()) {
            let frame = self.nodes[from].sent.pop_front().expect("there is one");
            self.arrive(1 - from, HONEST, &frame);
        }
    }

    /// A frame arrives as a reader hands it on.
    fn arrive(&mut self, node: usize, link: LinkId, frame: &[u8]) {
        let own = &self.nodes[node];
        let channel = self.strangers.get(&link).filter(|_| link != HONEST).map_or(own.channel, |other| other.channel);
        let ending = if frame.ends_with(EXIT_END) { Ending::Exit } else { Ending::Message };
        match read_frame(frame, ending, &lobby(), Some(&channel), |label| own.seen.is_copy(label)) {
            Ok(arrival) => self.input(node, Input::Arrived { link, run: vec![arrival] }),
            Err((end, error)) => {
                assert!(link != HONEST, "what the honest say is understood: {end}: {error}");
                self.input(node, Input::Broken { link, end });
            }
        }
    }

    fn pass(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now = Now { mono: self.now.mono + TICK_MS, wall: self.now.wall + TICK_MS };
            for dial in std::mem::take(&mut self.lonely_dials) {
                let failure = DialFailure::Unreached("nobody".to_owned());
                self.input(ALICE, Input::DialFailed { dial, failure });
            }
            for node in [BOB, ALICE] {
                self.input(node, Input::Tick);
                if self.nodes[node].room.owes_answers() {
                    self.input(node, Input::Shown);
                }
            }
            self.settle();
        }
    }

    fn say(&mut self, node: usize, bytes: usize) {
        let text = format!("{} {}", self.nodes[node].said.len(), "x".repeat(bytes));
        self.nodes[node].said.push(text.clone());
        self.input(node, Input::Command(Command::Say(Said { text, ..Said::default() })));
    }

    fn whisper(&mut self, node: usize, bytes: usize) {
        let text = format!("{} {}", self.nodes[node].whispered.len(), "x".repeat(bytes));
        self.nodes[node].whispered.push(text.clone());
        let reader = Person { id: self.nodes[1 - node].feed.author, nick: Nick::new("reader").expect("a nick") };
        let said = Said { text, ..Said::default() };
        self.input(node, Input::Command(Command::Whisper(Whom::Known(reader, None), said)));
    }

    // ---- the strangers --------------------------------------------------------------------------

    fn step(&mut self, input: &mut Bytes<'_>) {
        match input.below(17) {
            0 | 1 => self.come(input),
            2 => {
                let ticks = 1 + input.below(64);
                self.pass(ticks);
            }
            3 => self.say(input.below(2), input.pick(&[0, 10, 1_000, 20_000])),
            4 => self.stand_at_the_door(input),
            5 => self.answer_a_dial(input),
            6 => self.go(input),
            7 => self.play_again(input),
            8 => self.raw(input),
            9 => self.acknowledge(input),
            10 => self.sealed(input),
            11..=13 => self.post(input),
            14 | 15 => self.control(input),
            _ => self.private(input),
        }
        self.settle();
    }

    fn link(&self, input: &mut Bytes<'_>) -> Option<LinkId> {
        let links: Vec<LinkId> = self.strangers.keys().copied().collect();
        (!links.is_empty()).then(|| input.pick(&links))
    }

    fn knock(&mut self, remote: SocketAddr) -> Option<LinkId> {
        let link = self.next_link;
        self.next_link += 1;
        self.knocking.insert(link);
        self.input(BOB, Input::Knocked { link, remote });
        self.knocking.contains(&link).then_some(link)
    }

    fn stand_at_the_door(&mut self, input: &mut Bytes<'_>) {
        for _ in 0..input.below(24) {
            self.knock(addr(input.pick(&["203.0.113.9:1", "[2001:db8::1]:1", "10.0.0.2:1", "127.0.0.1:1"])));
        }
    }

    /// Somebody connects, and says hello, or does not.
    fn come(&mut self, input: &mut Bytes<'_>) {
        let remote = addr(input.pick(&["203.0.113.9:1", "10.0.0.2:1", "198.51.100.7:1"]));
        if self.strangers.len() < 6
            && let Some(link) = self.knock(remote)
        {
            self.knocking.remove(&link);
            self.connected(link, None, remote, input);
        }
    }

    fn connected(&mut self, link: LinkId, dial: Option<DialId>, remote: SocketAddr, input: &mut Bytes<'_>) {
        let channel = Channel { hash: [9; 32], dialler: dial.is_some() };
        let (key, session) = (10 + input.byte() % 3, 1 + u64::from(input.byte() % 2));
        self.strangers.insert(link, Stranger { key, session, channel, is_stuck: input.byte() % 8 == 7 });
        self.input(
            BOB,
            Input::Connected { link, dial, remote, local: addr("10.0.0.1:1").ip(), channel: Some(channel) },
        );
        let how = input.byte();
        if how % 16 < 14 {
            self.say_hello(link, how);
        }
        if how % 16 < 12 {
            let mine = self.nodes[BOB].room.view().have;
            let feeds = mine.into_iter().map(|(feed, number)| Entry(feed.author, feed.session, number));
            let feeds = if how.is_multiple_of(2) { feeds.collect() } else { Vec::new() };
            self.hear(link, &Control::Have { feeds }.encode());
            self.hear(link, &Control::Done {}.encode());
        }
    }

    fn say_hello(&mut self, link: LinkId, how: u8) {
        let Some(stranger) = self.strangers.get(&link) else { return };
        let far = Channel { dialler: !stranger.channel.dialler, ..stranger.channel };
        let identity = identity(stranger.key);
        let hello = Hello {
            version: VERSION,
            id: identity.id(),
            session: stranger.session,
            room: "lobby".to_owned(),
            mode: match (how, self.mode) {
                (255, Mode::Mesh) => Mode::Hub,
                (255, _) => Mode::Mesh,
                (253, Mode::Hub) => Mode::Any,
                (_, mode) => mode,
            },
            nick: Nick::new(if how % 32 == 31 { "alice" } else { "eve" }).expect("a nick"),
            seen: addr("10.0.0.1:1").ip(),
            listens: how & 64 != 0,
            time: if how == 254 { 0 } else { self.now.wall },
            proof: Some(far.prove(&lobby(), &identity)),
        };
        self.hear(link, &Control::Hello(hello).encode());
    }

    /// A stranger's frame reaches bob, where its link still is.
    fn hear(&mut self, link: LinkId, frame: &[u8]) {
        if self.strangers.contains_key(&link) {
            self.arrive(BOB, link, frame);
        }
    }

    fn answer_a_dial(&mut self, input: &mut Bytes<'_>) {
        let Some(dial) = self.dials.pop() else { return };
        match input.below(4) {
            0 => self.input(BOB, Input::DialFailed { dial, failure: DialFailure::Unreached("gone".to_owned()) }),
            1 => self.input(BOB, Input::DialFailed { dial, failure: DialFailure::Refused(End::Banned) }),
            _ => {
                let link = self.next_link;
                self.next_link += 1;
                self.connected(link, Some(dial), addr("203.0.113.9:4646"), input);
            }
        }
    }

    fn go(&mut self, input: &mut Bytes<'_>) {
        let ends = [End::Vanished, End::BadFrame, End::BadSignature, End::BadCipher, End::FrameTimeout, End::Goodbye];
        let Some(link) = self.link(input) else { return };
        let end = input.pick(&ends);
        match input.below(3) {
            0 => self.hear(link, &Control::exit(end).encode()),
            1 => self.input(BOB, Input::Worn { link }),
            _ => self.input(BOB, Input::Broken { link, end }),
        }
    }

    fn play_again(&mut self, input: &mut Bytes<'_>) {
        let (Some(link), false) = (self.link(input), self.heard.is_empty()) else { return };
        let first = input.below(self.heard.len());
        for index in 0..=input.below(8) {
            let Some(frame) = self.heard.get(first + index).cloned() else { return };
            self.hear(link, &frame);
        }
    }

    fn raw(&mut self, input: &mut Bytes<'_>) {
        let Some(link) = self.link(input) else { return };
        let frame = [input.chunk(), b"<MSGENCD>"].concat();
        self.hear(link, &frame);
    }

    /// Whose feed: of those here, of strangers, of nobody.
    fn feed(&self, input: &mut Bytes<'_>) -> FeedId {
        match input.below(5) {
            0 => self.nodes[BOB].feed,
            1 => self.nodes[ALICE].feed,
            2 => FeedId { author: self.nodes[ALICE].feed.author, session: 1 + u64::from(input.byte()) },
            3 => FeedId { author: identity(100 + input.byte() % 100).id(), session: 1 },
            _ => FeedId { author: identity(10 + input.byte() % 3).id(), session: 1 + u64::from(input.byte() % 3) },
        }
    }

    /// A number around what bob has of a feed, or at the edge.
    fn number(&self, feed: &FeedId, input: &mut Bytes<'_>) -> u64 {
        let have = self.nodes[BOB].room.view().have.get(feed).copied().unwrap_or(0);
        let near = u64::from(input.byte());
        let number = match near % 16 {
            0..6 => have + 1,
            6 => have,
            7 => have + 2,
            8 => have.saturating_sub(near / 16),
            9 => have + near / 16,
            10 => have + 1_000_000,
            11 => NUMBER_MAX,
            12 => NUMBER_MAX - 1,
            _ => near / 16,
        };
        number.clamp(1, NUMBER_MAX)
    }

    fn entries(&self, input: &mut Bytes<'_>) -> Vec<Entry> {
        let count = input.below(5);
        let entry = |_| {
            let feed = self.feed(input);
            Entry(feed.author, feed.session, self.number(&feed, input))
        };
        (0..count).map(entry).collect()
    }

    /// What hubs say, and what is said of them: the signatures are right, or those of somebody else.
    fn claim(&mut self, input: &mut Bytes<'_>) {
        let Some(link) = self.link(input) else { return };
        let epoch = self.nodes[input.below(2)].room.view().epoch;
        let near = u64::from(input.byte());
        let epoch = match near % 8 {
            0..3 => epoch + 1,
            3 => epoch,
            4 => epoch + near / 8,
            5 => epoch.saturating_sub(near / 8),
            6 => epoch + 63 + near / 8,
            _ => NUMBER_MAX,
        };
        let key = identity(10 + input.byte() % 3);
        let session = 1 + u64::from(input.byte() % 3);
        let hub = match input.below(8) {
            0 => self.feed(input),
            _ => FeedId { author: key.id(), session },
        };
        let claim = Claim { epoch: epoch.clamp(1, NUMBER_MAX), rank: input.pick(&[1, RANK_DEFAULT, 255]), hub };
        let control = match input.below(8) {
            0 => Control::Probe {},
            1 => Control::Handover(Handover::sign(claim, self.feed(input), &lobby(), &key)),
            2 => Control::Mode { mode: input.pick(&[Mode::Hub, Mode::Hub, Mode::Hub, Mode::Mesh]) },
            3 => Control::Follow { hub: (epoch > 0).then_some(Entry(hub.author, hub.session, claim.epoch)) },
            _ => {
                let beat = Beat::sign(claim, self.number(&hub, input), near, &lobby(), &key);
                Control::Beat(Beat { age: input.pick(&[0, 0, 0, 100, 1_400, 1_600, NUMBER_MAX]), ..beat })
            }
        };
        self.hear(link, &control.encode());
    }

    fn control(&mut self, input: &mut Bytes<'_>) {
        if self.mode == Mode::Hub && input.byte().is_multiple_of(2) {
            return self.claim(input);
        }
        let Some(link) = self.link(input) else { return };
        let feed = self.feed(input);
        let FeedId { author, session } = feed;
        let (from, to) = (self.number(&feed, input), self.number(&feed, input));
        let control = match input.below(10) {
            0 | 1 => Control::Want { author, session, from, answer: from.is_multiple_of(2) },
            2 => Control::Quiet { author, session },
            3 | 4 => Control::Gap { author, session, from: from.min(to), to: from.max(to) },
            5 => Control::News { feeds: self.entries(input) },
            6 => Control::Have { feeds: self.entries(input) },
            7 => Control::Done {},
            8 => Control::Ping { token: to },
            _ => Control::Pong { token: to },
        };
        for _ in 0..input.pick(&[1, 1, 1, 40]) {
            self.hear(link, &control.encode());
        }
    }

    /// What the honest two whisper; and whispers and traces of strangers, to anybody, sealed for bob by themselves or not
    /// at all.
    fn private(&mut self, input: &mut Bytes<'_>) {
        let kind = input.below(4);
        if kind == 0 {
            return self.whisper(input.below(2), input.pick(&[0, 10, 1_000, 20_000]));
        }
        let Some(link) = self.link(input) else { return };
        let FeedId { author: to, session } = self.feed(input);
        let control = if kind == 1 {
            let path = (0..=input.below(17)).map(|_| self.feed(input).author).collect();
            Control::Trace(Trace { token: 1 + u64::from(input.byte()), to, session, path, back: input.byte() % 2 == 1 })
        } else {
            let sealed = if kind == 2 { Sealed::of(input.chunk()) } else { self.sealed_for(to, input) };
            let hops = 1 + input.byte() % 16;
            let flood = Some(u64::from(input.byte())).filter(|number| *number > 0);
            Control::Whisper(Envelope { to, session, hops, flood, sealed })
        };
        for _ in 0..input.pick(&[1, 1, 1, 40]) {
            self.hear(link, &control.encode());
        }
    }

    /// Any content, in a stranger's name.
    fn sealed_for(&self, to: Id, input: &mut Bytes<'_>) -> Sealed {
        let sealer = |key: u8| Sealer::new(&identity(key), "lobby", &lobby(), Chance::from_seed([key; 32]));
        let feed = self.nodes[input.below(2)].feed;
        let stream = input.pick(&[1, 2, 3, 1_001, 1_002, NUMBER_MAX]);
        let number = input.pick(&[1, 1, 2, 3, 4, 200, 0, NUMBER_MAX - 1, NUMBER_MAX, u64::MAX]);
        let (session, token) = (feed.session, u64::from(input.byte()));
        let content = match input.below(7) {
            0 => Content::Heard { stream, number },
            1 => Content::Refused { stream, number },
            2 => Content::Begin { stream, number, session },
            3 => Content::Ping { token, session },
            4 => Content::Pong { token },
            _ => {
                let at = input.pick(&[self.now.wall, self.now.wall + 30 * HOUR, self.now.wall - 200 * HOUR, 0]);
                let (nick, text) = (Nick::new("eve").expect("a nick"), "y".repeat(input.pick(&[1, 30, 40_000])));
                Content::Text(Text { stream, number, at, nick, text, action: false, part: input.byte() % 4 == 3 })
            }
        };
        let reader = sealer(if to == self.nodes[BOB].feed.author { 1 } else { 2 }).key();
        sealer(10 + input.byte() % 3).seal(to, &reader, &content).expect("it fits")
    }

    fn post(&mut self, input: &mut Bytes<'_>) {
        let Some(link) = self.link(input) else { return };
        let key = identity(10 + input.byte() % 3);
        let feed = FeedId { author: key.id(), session: 1 + u64::from(input.byte() % 3) };
        let next = self.next.get(&feed).copied().unwrap_or(1);
        let number = if input.byte() % 4 < 3 { next } else { self.number(&feed, input) };
        let wall = self.now.wall;
        let at = input.pick(&[wall, wall, wall, wall + HOUR, wall - 3 * HOUR, wall + 30 * HOUR, wall - 200 * HOUR, 0]);
        let nick = Nick::new(input.pick(&["eve", "alice", "al\u{131}ce", "bob"])).expect("a nick");
        let addresses =
            [addr("10.0.0.2:5000"), addr("203.0.113.9:4646"), addr("[2001:db8::1]:1"), addr("127.0.0.1:22")];
        let text = "y".repeat(input.pick(&[1, 30, 4_000, 60_000]));
        let draft = match input.below(8) {
            0 => Draft::Join {
                addresses: &addresses[..input.below(5)],
                passing: input.byte() % 2 == 1,
                rank: None,
                sealing: None,
                away: None,
            },
            1 => Draft::Nick,
            2 => Draft::Leave { why: "" },
            3 => {
                let feed = self.feed(input);
                Draft::Lost { feed, last: self.number(&feed, input) }
            }
            4 => Draft::Mark,
            _ => Draft::Say { text: &text, action: false, part: input.byte() % 4 == 3 },
        };
        let header = Header { feed, number, at, nick: &nick, ack: input.byte() % 4 == 3 };
        let post = Post::encode(&header, &draft, &lobby(), &key);
        if number == next {
            self.next.insert(feed, number + 1);
        }
        if self.heard.len() < 64 {
            self.heard.push(Arc::clone(&post.frame));
        }
        self.hear(link, &post.frame);
    }

    /// A post with any fields, signed all the same.
    fn sealed(&mut self, input: &mut Bytes<'_>) {
        let Some(link) = self.link(input) else { return };
        let (key, session) = (identity(10 + input.byte() % 3), 1 + u64::from(input.byte() % 3));
        let feed = FeedId { author: key.id(), session };
        let number = self.number(&feed, input);
        let fields = format!(r#""at":{},"nick":"eve","#, self.now.wall);
        self.hear(link, &sealed_post(&key, (session, number), &[fields.as_bytes(), input.chunk()].concat()));
    }

    fn acknowledge(&mut self, input: &mut Bytes<'_>) {
        let Some(link) = self.link(input) else { return };
        let key = identity(10 + input.byte() % 3);
        let member = FeedId { author: key.id(), session: 1 + u64::from(input.byte() % 3) };
        let feed = self.feed(input);
        let held = (self.number(&feed, input), self.number(&feed, input));
        self.hear(link, &Ack::encode(feed, member, held, &lobby(), &key).frame);
    }

    // ---- what holds -------------------------------------------------------------------------------

    fn check(&self) {
        for node in &self.nodes {
            let view = node.room.view();
            assert!(view.log_bytes <= LOG_BYTES + 2 * FRAME_BYTES_MAX, "{} bytes in the log", view.log_bytes);
            assert!(view.waiting_bytes <= WAITING_BYTES_TOTAL_MAX);
            let most = OUTBOX_BYTES_MAX + OUTBOX_CONTROL_BYTES_MAX + FRAME_BYTES_MAX;
            assert!(view.links.iter().all(|(_, queued)| *queued <= most), "{:?}", view.links);
            assert!(view.present.contains(&self.nodes[BOB].feed) && view.present.contains(&self.nodes[ALICE].feed));
        }
    }

    fn finish(mut self) {
        self.pass(60);
        self.check();
        if self.mode == Mode::Hub {
            self.check_hub();
        }
        for node in [BOB, ALICE] {
            assert!(self.nodes[node].heard == self.nodes[1 - node].said, "all is shown, once and in order");
            assert!(self.nodes[node].confided == self.nodes[1 - node].whispered, "so is what is private");
            assert_eq!(self.nodes[node].room.whispers_waiting(), 0, "and confirmed");
        }
    }

    /// Once the strangers are gone, nobody believes in a hub of theirs.
    fn check_hub(&mut self) {
        for link in self.strangers.keys().copied().collect::<Vec<_>>() {
            self.hear(link, &Control::exit(End::Goodbye).encode());
            if self.strangers.contains_key(&link) {
                self.input(BOB, Input::Broken { link, end: End::Vanished });
            }
        }
        let until = self.now.mono + HUB_BACK_MS;
        while self.now.mono < until {
            for dial in std::mem::take(&mut self.dials) {
                let failure = DialFailure::Unreached("gone".to_owned());
                self.input(BOB, Input::DialFailed { dial, failure });
            }
            self.pass(1);
        }
        self.check();
        let hubs = [BOB, ALICE].map(|node| self.nodes[node].room.view().hub);
        assert!(hubs[0].is_some() && hubs[0] == hubs[1], "one hub: {hubs:?}");
    }
}
