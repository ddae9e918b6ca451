//! Rooms wired by hand: a room under test whose peers are played by the test, record by record, and
//! several rooms whose links deliver at once. No thread, no clock, no simulator: what happens is
//! what the test says, in that order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hobnob::identity::Identity;
use hobnob::limits::{LOG_BYTES_MAX, RANK_DEFAULT, TICK_MS};
use hobnob::room::event::{Command, Confirm, Event, Outcome, Person, Said};
use hobnob::room::intake::{Seen, read_frame};
use hobnob::room::{
    Acquaintance, Arrival, Config, DialId, Input, LinkId, Note, Now, Output, Past, Reach, Room, Target,
};
use hobnob::wire::Frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::{EXIT_END, Ending};
use hobnob::wire::record::{
    Ack, Channel, Control, Domain, Draft, Entry, FeedId, Header, Hello, Label, Mode, Nick, Post,
};
use hobnob::wire::seal::Chance;

/// 2026 or so: the wall clock at the start of every test.
pub(crate) const WALL_START: u64 = 1_790_000_000_000;

pub(crate) fn lobby() -> Domain {
    Domain::of_room("lobby")
}

/// Somebody whose posts the test writes.
pub(crate) struct Author {
    pub(crate) identity: Identity,
    pub(crate) nick: Nick,
    pub(crate) feed: FeedId,
    /// What it takes the room for.
    pub(crate) mode: Mode,
    pub(crate) next: u64,
    pub(crate) at: u64,
}

impl Author {
    pub(crate) fn new(seed: u8, nick: &str) -> Self {
        let identity = Identity::from_seed(&[seed; 32]);
        let feed = FeedId { author: identity.id(), session: 1_000 + u64::from(seed) };
        Self { identity, nick: Nick::new(nick).unwrap(), feed, mode: Mode::Mesh, next: 1, at: WALL_START }
    }

    /// The post of a number, whatever that means to the feed.
    pub(crate) fn post_at(&self, number: u64, draft: &Draft<'_>, ack: bool) -> Arc<Post> {
        let header = Header { feed: self.feed, number, at: self.at, nick: &self.nick, ack };
        Arc::new(Post::encode(&header, draft, &lobby(), &self.identity))
    }

    pub(crate) fn post(&mut self, draft: &Draft<'_>) -> Arc<Post> {
        self.next += 1;
        self.post_at(self.next - 1, draft, false)
    }

    pub(crate) fn join(&mut self) -> Arc<Post> {
        self.post(&Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None })
    }

    pub(crate) fn say(&mut self, text: &str) -> Arc<Post> {
        self.post(&Draft::Say { text, action: false, part: false })
    }

    pub(crate) fn marked(&mut self, text: &str) -> Arc<Post> {
        self.next += 1;
        self.post_at(self.next - 1, &Draft::Say { text, action: false, part: false }, true)
    }

    pub(crate) fn entry(&self, number: u64) -> Entry {
        Entry(self.feed.author, self.feed.session, number)
    }

    pub(crate) fn want(&self, from: u64) -> Control {
        Control::Want { author: self.feed.author, session: self.feed.session, from, answer: false }
    }

    pub(crate) fn quiet(&self) -> Control {
        Control::Quiet { author: self.feed.author, session: self.feed.session }
    }

    pub(crate) fn gap(&self, from: u64, to: u64) -> Control {
        Control::Gap { author: self.feed.author, session: self.feed.session, from, to }
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version: 1,
            id: self.feed.author,
            session: self.feed.session,
            room: "lobby".to_owned(),
            mode: self.mode,
            nick: self.nick.clone(),
            seen: "10.0.0.1".parse().unwrap(),
            listens: false,
            time: self.at,
            proof: None,
        }
    }

    pub(crate) fn ack(&self, feed: FeedId, first: u64, last: u64) -> Ack {
        Ack::encode(feed, self.feed, (first, last), &lobby(), &self.identity)
    }
}

/// Somebody of whom there are as many as one likes.
pub(crate) fn anybody(index: u64) -> Author {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&index.to_le_bytes());
    let identity = Identity::from_seed(&seed);
    let mut author = Author::new(9, &format!("anybody{index}"));
    author.feed.author = identity.id();
    author.identity = identity;
    author
}

/// Something that a room sent.
#[derive(Debug, Clone)]
pub(crate) enum Sent {
    Post(Arc<Post>),
    Control(Control),
    Ack(Ack),
}

/// A room under test and all that it did.
pub(crate) struct Hand {
    pub(crate) room: Room,
    pub(crate) me: FeedId,
    pub(crate) now: Now,
    pub(crate) admitted: Vec<LinkId>,
    pub(crate) closed: Vec<(LinkId, End)>,
    pub(crate) dials: Vec<(DialId, Target)>,
    pub(crate) events: Vec<Event>,
    pub(crate) outcome: Option<Outcome>,
    /// What it last wanted to be remembered, and how often it wanted something.
    pub(crate) remembered: (Vec<Acquaintance>, usize),
    /// Whom what is typed goes to, as was told.
    pub(crate) partners: Vec<Option<Person>>,
    /// What it wanted to be kept of whispers.
    pub(crate) notes: Vec<Note>,
    /// Links whose sockets take nothing.
    pub(crate) stuck: BTreeSet<LinkId>,
    /// Leave events in the room, as a stalled terminal does.
    pub(crate) unread: bool,
    /// Takes what is to be shown, and does not come to show it.
    pub(crate) writes_nothing: bool,
    seen: Seen,
    sent: Vec<(LinkId, Frame)>,
    next_link: LinkId,
}

pub(crate) fn config(seed: u8) -> Config {
    Config {
        identity: Identity::from_seed(&[seed; 32]),
        session: 1_000 + u64::from(seed),
        nick: Nick::new(&format!("n{seed}")).unwrap(),
        room: "lobby".to_owned(),
        mode: Mode::Mesh,
        rank: RANK_DEFAULT,
        reach: Reach::NamedOnly,
        listening: None,
        named: Vec::new(),
        remembered: Vec::new(),
        passing: false,
        wait_ms: 10_000,
        linger_ms: 10_000,
        confirm: Confirm::All,
        echo: true,
        backlog_lines: 50,
        keep: false,
        log_bytes_max: LOG_BYTES_MAX,
        seed: u64::from(seed),
        chance: Chance::from_seed([seed; 32]),
        to: None,
    }
}

impl Hand {
    pub(crate) fn new(config: Config) -> Self {
        Self::resume(config, &Past::default())
    }

    /// A room that takes up what an earlier run has kept.
    pub(crate) fn resume(config: Config, past: &Past) -> Self {
        let now = Now { mono: 1_000, wall: WALL_START };
        let me = FeedId { author: config.identity.id(), session: config.session };
        let mut out = Vec::new();
        let room = Room::resume(config, past, now, &mut out);
        let mut hand = Self {
            room,
            me,
            now,
            admitted: Vec::new(),
            closed: Vec::new(),
            dials: Vec::new(),
            events: Vec::new(),
            outcome: None,
            remembered: (Vec::new(), 0),
            partners: Vec::new(),
            notes: Vec::new(),
            stuck: BTreeSet::new(),
            unread: false,
            writes_nothing: false,
            seen: Seen::default(),
            sent: Vec::new(),
            next_link: 1,
        };
        hand.take(out);
        hand
    }

    pub(crate) fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.room.handle(self.now, input, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<Output>) {
        let (mut drained, mut kept) = (Vec::new(), Vec::new());
        for output in out {
            match output {
                Output::Send { links, frames } => {
                    for link in links {
                        for frame in &frames {
                            if !self.stuck.contains(&link) {
                                drained.push((link, frame.len()));
                            }
                            self.sent.push((link, Arc::clone(frame)));
                        }
                    }
                }
                Output::Admit { link } => self.admitted.push(link),
                Output::Close { link, end } => self.closed.push((link, end)),
                Output::Dial { dial, target } => self.dials.push((dial, target)),
                Output::Seen { feed, number, tail } => self.seen.note(feed, number, tail),
                Output::Partner(partner) => self.partners.push(partner),
                Output::Remember(peers) => self.remembered = (peers, self.remembered.1 + 1),
                Output::Keep { notes, token } => {
                    self.notes.extend(notes);
                    kept.extend(token);
                }
                Output::End(outcome) => self.outcome = Some(outcome),
            }
        }
        for (link, bytes) in drained {
            self.input(Input::Drained { link, bytes });
        }
        for token in kept {
            self.input(Input::Kept { token });
        }
        let events = self.events.len();
        while !self.unread
            && let Some(event) = self.room.next_event()
        {
            self.events.push(event);
        }
        let whisper = |event: &Event| match event {
            Event::Whispered(whisper) => Some(Arc::clone(whisper)),
            _ => None,
        };
        let whispers: Vec<_> = self.events[events..].iter().filter_map(whisper).collect();
        if !whispers.is_empty() && !self.writes_nothing {
            self.input(Input::Command(Command::Shown(whispers)));
        } else if self.events.len() > events && self.room.owes_answers() && self.outcome.is_none() {
            self.input(Input::Shown);
        }
    }

    /// Lets time pass, tick by tick.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now.mono + ms;
        while self.now.mono < end {
            let step = TICK_MS.min(end - self.now.mono);
            self.now = Now { mono: self.now.mono + step, wall: self.now.wall + step };
            self.input(Input::Tick);
        }
    }

    /// The same, with everybody at the other ends alive.
    pub(crate) fn pass_alive(&mut self, ms: u64, links: &[LinkId]) {
        for _ in 0..ms.div_ceil(1_000) {
            for link in links {
                self.arrive(*link, vec![]);
            }
            self.pass(1_000);
        }
    }

    pub(crate) fn arrive(&mut self, link: LinkId, run: Vec<Arrival>) {
        self.input(Input::Arrived { link, run });
    }

    pub(crate) fn control(&mut self, link: LinkId, control: Control) {
        self.arrive(link, vec![Arrival::Control(control)]);
    }

    /// A post arrives, through the same reading as from a socket.
    pub(crate) fn post(&mut self, link: LinkId, post: &Arc<Post>) {
        let arrival =
            read_frame(&post.frame, Ending::Message, &lobby(), None, |label| self.seen.is_copy(label)).unwrap();
        self.arrive(link, vec![arrival]);
    }

    pub(crate) fn posts(&mut self, link: LinkId, posts: &[Arc<Post>]) {
        for post in posts {
            self.post(link, post);
        }
    }

    /// Somebody comes to the door.
    pub(crate) fn knock(&mut self, remote: &str) -> LinkId {
        let link = self.next_link;
        self.next_link += 1;
        self.input(Input::Knocked { link, remote: remote.parse().unwrap() });
        link
    }

    /// The handshake of a connection is over.
    pub(crate) fn shaken(&mut self, link: LinkId, dial: Option<DialId>, remote: &str, channel: Option<Channel>) {
        let (remote, local): (SocketAddr, IpAddr) = (remote.parse().unwrap(), "10.0.0.1".parse().unwrap());
        self.input(Input::Connected { link, dial, remote, local, channel });
    }

    pub(crate) fn connect(&mut self, dial: Option<DialId>, remote: &str) -> LinkId {
        let link = if dial.is_none() {
            let link = self.knock(remote);
            assert!(self.admitted.contains(&link), "nobody is turned away by {:?}", self.closed);
            link
        } else {
            self.next_link += 1;
            self.next_link - 1
        };
        self.shaken(link, dial, remote, None);
        link
    }

    /// A peer dials in over an encrypted link, on which it proves who it is.
    pub(crate) fn proved(&mut self, peer: &Author, remote: &str) -> LinkId {
        let link = self.knock(remote);
        assert!(self.admitted.contains(&link), "{:?}", self.closed);
        self.shaken(link, None, remote, Some(Channel { hash: [7; 32], dialler: false }));
        self.control(link, Control::Hello(peer.hello()));
        link
    }

    /// A peer dials in and is ready; `have` is what its pages say.
    pub(crate) fn link(&mut self, peer: &Author, have: &[Entry]) -> LinkId {
        let link = self.connect(None, "10.0.0.2:5000");
        self.greet(link, peer, have);
        link
    }

    /// The peer of a connection says hello, pages and is done.
    pub(crate) fn greet(&mut self, link: LinkId, peer: &Author, have: &[Entry]) {
        self.control(link, Control::Hello(peer.hello()));
        self.control(link, Control::Have { feeds: have.to_vec() });
        self.control(link, Control::Done {});
        assert!(!self.closed.iter().any(|(closed, _)| *closed == link), "{:?}", self.closed);
    }

    /// A peer that is level with the room: it pages just what the room has.
    pub(crate) fn level_link(&mut self, peer: &Author) -> LinkId {
        let have: Vec<Entry> =
            self.room.view().have.iter().map(|(feed, number)| Entry(feed.author, feed.session, *number)).collect();
        let link = self.link(peer, &have);
        self.sent(link);
        link
    }

    /// What was sent over a link since the last call.
    pub(crate) fn sent(&mut self, link: LinkId) -> Vec<Sent> {
        let (taken, left) = std::mem::take(&mut self.sent).into_iter().partition(|(to, _)| *to == link);
        self.sent = left;
        let taken: Vec<(LinkId, Frame)> = taken;
        taken.into_iter().map(|(_, frame)| decode(&frame)).collect()
    }

    /// All that was sent since the last call, as it was.
    pub(crate) fn take_sent(&mut self) -> Vec<(LinkId, Frame)> {
        std::mem::take(&mut self.sent)
    }

    pub(crate) fn sent_posts(&mut self, link: LinkId) -> Vec<(FeedId, u64)> {
        posts_of(&self.sent(link))
    }

    pub(crate) fn is_closed(&self, link: LinkId) -> Option<End> {
        self.closed.iter().find(|(closed, _)| *closed == link).map(|(_, end)| *end)
    }

    pub(crate) fn have(&self, feed: FeedId) -> u64 {
        self.room.view().have.get(&feed).copied().unwrap_or(0)
    }

    pub(crate) fn command_say(&mut self, text: &str) {
        self.input(Input::Command(Command::Say(Said { text: text.to_owned(), ..Said::default() })));
    }

    /// The texts shown so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |event: &Event| if let Event::Said { post, .. } = event { Some(post.text()) } else { None };
        self.events.iter().filter_map(text).collect()
    }

    pub(crate) fn gaps(&self) -> Vec<u64> {
        let missed = |event: &Event| if let Event::Gap { missed, .. } = event { Some(*missed) } else { None };
        self.events.iter().filter_map(missed).collect()
    }
}

pub(crate) fn posts_of(sent: &[Sent]) -> Vec<(FeedId, u64)> {
    let post = |sent: &Sent| if let Sent::Post(post) = sent { Some((post.feed, post.number)) } else { None };
    sent.iter().filter_map(post).collect()
}

pub(crate) fn controls_of(sent: &[Sent]) -> Vec<Control> {
    let control = |sent: &Sent| if let Sent::Control(control) = sent { Some(control.clone()) } else { None };
    sent.iter().filter_map(control).collect()
}

/// What a frame is to whom it reaches.
pub(crate) fn arrival(frame: &Frame) -> Arrival {
    match decode(frame) {
        Sent::Post(post) => Arrival::Post(post),
        Sent::Control(control) => Arrival::Control(control),
        Sent::Ack(ack) => Arrival::Ack(ack),
    }
}

fn decode(frame: &Frame) -> Sent {
    let ending = if frame.ends_with(EXIT_END) { Ending::Exit } else { Ending::Message };
    match read_frame(frame, ending, &lobby(), None, |_: &Label| false).unwrap() {
        Arrival::Post(post) => Sent::Post(post),
        Arrival::Control(control) => Sent::Control(control),
        Arrival::Ack(ack) => Sent::Ack(ack),
        Arrival::Copy { .. } => unreachable!("nothing counts as seen here"),
    }
}

/// Several rooms, whose links deliver at once and in order.
pub(crate) struct Net {
    pub(crate) hands: Vec<Hand>,
    wires: BTreeMap<(usize, LinkId), (usize, LinkId)>,
}

impl Net {
    pub(crate) fn new(hands: Vec<Hand>) -> Self {
        Self { hands, wires: BTreeMap::new() }
    }

    /// Connects two rooms; the first one has dialled, without a plan.
    pub(crate) fn wire(&mut self, one: usize, other: usize) -> (LinkId, LinkId) {
        let dialled = self.hands[one].connect(Some(1_000_000), "10.0.0.9:4646");
        let accepted = self.hands[other].connect(None, "10.0.0.8:5000");
        self.wires.insert((one, dialled), (other, accepted));
        self.wires.insert((other, accepted), (one, dialled));
        self.settle();
        (dialled, accepted)
    }

    /// Breaks a wire; both ends notice.
    pub(crate) fn cut(&mut self, one: usize, link: LinkId) {
        let (other, far) = self.wires.remove(&(one, link)).unwrap();
        self.wires.remove(&(other, far));
        self.hands[one].input(Input::Broken { link, end: End::Vanished });
        self.hands[other].input(Input::Broken { link: far, end: End::Vanished });
        self.settle();
    }

    /// Delivers until all is still.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut under_way: VecDeque<(usize, LinkId, Frame)> = VecDeque::new();
            for (index, hand) in self.hands.iter_mut().enumerate() {
                under_way.extend(std::mem::take(&mut hand.sent).into_iter().map(|(link, frame)| (index, link, frame)));
            }
            if under_way.is_empty() {
                return;
            }
            for (from, link, frame) in under_way {
                let Some((to, link)) = self.wires.get(&(from, link)).copied() else { continue };
                self.hands[to].arrive(link, vec![arrival(&frame)]);
            }
        }
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(TICK_MS) {
            for hand in &mut self.hands {
                hand.pass(TICK_MS);
            }
            self.settle();
        }
    }
}

/// A room with two peers, of which one has joined with a feed of its own.
pub(crate) struct Two {
    pub(crate) bob: Hand,
    pub(crate) alice: Author,
    pub(crate) a: LinkId,
    pub(crate) c: LinkId,
}

/// Bob's room is under test; Alice writes and has link `a`, Carol has link `c`.
pub(crate) fn two() -> Two {
    let mut bob = Hand::new(config(1));
    let (mut alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let (a, c) = (bob.level_link(&alice), bob.level_link(&carol));
    bob.post(a, &alice.join());
    bob.sent(c);
    Two { bob, alice, a, c }
}

pub(crate) fn says(author: &mut Author, count: usize, bytes: usize) -> Vec<Arc<Post>> {
    (0..count).map(|_| author.say(&"x".repeat(bytes))).collect()
}

pub(crate) fn numbers(posts: &[(FeedId, u64)]) -> Vec<u64> {
    posts.iter().map(|(_, number)| *number).collect()
}
