//! The connections of a world: bytes take their time, pass through the real frame buffer, and may never arrive.

use std::net::SocketAddr;
use std::sync::Arc;

use hobnob::limits::HANDSHAKE_MS_MAX;
use hobnob::room::{Arrival, DialFailure, Input, LinkId, Reach, Target};
use hobnob::wire::Frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::{Ending, FrameBuffer, MESSAGE_END};
use hobnob::wire::record::{Control, Label, Post, Record};

use super::liar::LIE_ONE_IN;
use super::{Happening, World};

/// How a beat's frame begins.
const BEAT_START: &[u8] = br#"{"type":"beat""#;

/// How the frame of something private begins.
const WHISPER_START: &[u8] = br#"{"type":"whisper""#;

/// A connection between two nodes; end 0 dialled.
pub(super) struct Conn {
    pub(super) nodes: [usize; 2],
    pub(super) lives: [u64; 2],
    pub(super) links: [LinkId; 2],
    /// Whether an end still holds it.
    pub(super) held: [bool; 2],
    /// Whether bytes pass at all,
    pub(super) dead: bool,
    /// and to each end.
    pub(super) deaf: [bool; 2],
    /// After so many more bytes to an end it is reset.
    pub(super) reset_after: [Option<usize>; 2],
    pub(super) latency_ms: u64,
    pub(super) bytes_per_ms: u64,
    /// When the wire is free again, per direction; in thousandths of a millisecond.
    pub(super) free_at: [u64; 2],
    pub(super) last_arrival: [u64; 2],
    pub(super) dial: u64,
}

/// A post that was read before.
pub(super) struct Known {
    label: Label,
    post: Arc<Post>,
}

impl World {
    pub(super) fn connected(&mut self, conn: usize) {
        let [from, to] = self.conns[conn].nodes;
        let alive = |world: &Self, end: usize| {
            let node = &world.nodes[world.conns[conn].nodes[end]];
            node.room.is_some() && node.life == world.conns[conn].lives[end]
        };
        if !alive(self, 0) {
            return;
        }
        if self.nodes[to].paused_until > self.now {
            // The system accepts for it, and nobody makes the handshake.
            let (life, dial) = (self.conns[conn].lives[0], self.conns[conn].dial);
            return self.at(self.now + HANDSHAKE_MS_MAX, Happening::DialFailed { node: from, life, dial });
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

    pub(super) fn broken(&mut self, conn: usize, end: usize, why: End) {
        if std::mem::replace(&mut self.conns[conn].held[end], false) {
            let (node, link) = (self.conns[conn].nodes[end], self.conns[conn].links[end]);
            self.nodes[node].links.remove(&link);
            self.input(node, Input::Broken { link, end: why });
        }
    }

    pub(super) fn deliver(&mut self, conn: usize, to: usize, frame: &Frame) {
        let state = &self.conns[conn];
        if state.dead || state.deaf[to] || !state.held[to] {
            return;
        }
        let (node, link) = (state.nodes[to], state.links[to]);
        if let Some(left) = state.reset_after[to] {
            let Some(left) = left.checked_sub(frame.len()) else {
                let read = self.read(node, &frame[..left].into());
                assert!(matches!(read, Err(End::BadFrame)), "a part of a frame is none");
                return self.break_off(conn, |_| true);
            };
            self.conns[conn].reset_after[to] = Some(left);
        }
        if frame.starts_with(BEAT_START) && self.beat_loss_percent > 0 && self.rng.below(100) < self.beat_loss_percent {
            return;
        }
        let from = self.conns[conn].nodes[1 - to];
        if self.kept_back.is_some_and(|(by, author)| {
            by == from && Label::read(frame).is_some_and(|label| label.feed.author == author)
        }) {
            return;
        }
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
        self.digest.note_read(self.now, node, &frame);
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

    /// Does what a reader does, through the real frame buffer, with every post parsed and its signature checked once.
    fn read(&mut self, node: usize, frame: &Frame) -> Result<Arrival, End> {
        let ending = self.pass_through_buffer(frame).ok_or(End::BadFrame)?;
        if !hobnob::wire::record::is_post(frame) {
            return match Record::decode(frame, ending) {
                Ok(Record::Control(control)) => Ok(Arrival::Control(control)),
                Ok(Record::Ack(ack)) => Ok(Arrival::Ack(ack)),
                Err(_) => Err(End::BadRecord),
            };
        }
        assert_eq!(ending, Ending::Message);
        let place = frame.as_ptr().addr();
        let known = self.known.get(&place);
        let label = known.map(|known| known.label).or_else(|| Label::read(frame)).ok_or(End::BadRecord)?;
        if self.nodes[node].seen.is_copy(&label) {
            return Ok(Arrival::Copy { feed: label.feed, number: label.number, bytes: frame.len() });
        }
        if let Some(known) = known {
            return Ok(Arrival::Post(Arc::clone(&known.post)));
        }
        let mut post = Post::decode(frame).map_err(|_| End::BadRecord)?;
        post.verify(&self.domain).map_err(|_| End::BadSignature)?;
        // It goes on as these very bytes, and keeps their place.
        post.frame = Arc::clone(frame);
        let post = Arc::new(post);
        self.known.insert(place, Known { label, post: Arc::clone(&post) });
        Ok(Arrival::Post(post))
    }

    /// How the frame ends that the frame buffer finds in some bytes, if it finds one.
    fn pass_through_buffer(&mut self, bytes: &Frame) -> Option<Ending> {
        let mut source = &bytes[..];
        let mut found = Ok(None);
        while matches!(found, Ok(None)) && self.buffer.fill(&mut source).is_ok_and(|count| count > 0) {
            found = self.buffer.next_frame();
            if let Ok(Some((frame, ending))) = found {
                assert!(*frame == **bytes, "frames come out as they went in");
                if ending == Ending::Exit {
                    self.buffer = FrameBuffer::new();
                }
                return Some(ending);
            }
        }
        self.buffer = FrameBuffer::new();
        None
    }

    pub(super) fn send(&mut self, node: usize, link: LinkId, frame: &Frame) {
        if self.nodes[node].liar.is_none() || self.rng.below(LIE_ONE_IN) > 0 || self.lie(node, link, frame) {
            self.transmit(node, link, frame);
        }
    }

    /// Nobody claims an epoch twice.
    fn note_claim(&mut self, node: usize, frame: &Frame) {
        let text = frame.strip_suffix(MESSAGE_END.as_slice()).expect("a record");
        let Ok(Control::Beat(beat)) = serde_json::from_slice(text) else { return };
        let is_own = beat.claim().hub == self.nodes[node].feed() && !self.liars.contains(&beat.id);
        if is_own && beat.number == 1 {
            let claim = (beat.claim().hub, beat.epoch);
            let first = self.claims.entry(claim).or_insert(beat);
            assert_eq!(first.proof, beat.proof, "one epoch is claimed twice");
        }
    }

    pub(super) fn transmit(&mut self, node: usize, link: LinkId, frame: &Frame) {
        if frame.starts_with(WHISPER_START) {
            self.carried += 1;
            if self.meddler == Some(node) {
                return self.meddle(node, link, frame);
            }
        }
        self.put_on_wire(node, link, frame);
    }

    /// Drops, changes, repeats or passes on what is private, and plays an old one again.
    fn meddle(&mut self, node: usize, link: LinkId, frame: &Frame) {
        self.meddled.push(Arc::clone(frame));
        match self.rng.below(4) {
            0 => {}
            1 => self.put_on_wire(node, link, &alter_sealed(frame)),
            2 => {
                self.put_on_wire(node, link, frame);
                self.put_on_wire(node, link, frame);
            }
            _ => self.put_on_wire(node, link, frame),
        }
        let drawn = usize::try_from(self.rng.below(self.meddled.len() as u64)).expect("fits");
        let old = Arc::clone(&self.meddled[drawn]);
        self.put_on_wire(node, link, &old);
    }

    fn put_on_wire(&mut self, node: usize, link: LinkId, frame: &Frame) {
        if frame.starts_with(BEAT_START) {
            self.note_claim(node, frame);
        }
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

    pub(super) fn close(&mut self, node: usize, link: LinkId, end: End) {
        if self.trace {
            eprintln!("{:>8} n{node} closes link {link}: {end}", self.now);
        }
        let Some((conn, side)) = self.nodes[node].links.get(&link).copied() else { return };
        if self.conns[conn].nodes.iter().all(|node| self.nodes[*node].liar.is_none()) {
            *self.closed.entry(end.word()).or_default() += 1;
        }
        let exit = Control::Exit { reason: end.word().to_owned(), text: String::new() };
        self.send(node, link, &exit.encode());
        self.nodes[node].links.remove(&link);
        let state = &mut self.conns[conn];
        state.held[side] = false;
        let arrival = state.last_arrival[side];
        self.at(arrival + 1, Happening::Broken { conn, end: 1 - side });
    }

    pub(super) fn dial(&mut self, node: usize, dial: u64, target: &Target) {
        let to = match target {
            Target::Named(name) => name.strip_prefix('n').and_then(|digits| digits.parse().ok()),
            Target::Member { addr, .. } => Self::node_at(*addr),
            Target::Acquaintance(peer) => Self::node_at(peer.addr),
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
            deaf: [false; 2],
            reset_after: [None; 2],
            latency_ms,
            bytes_per_ms,
            free_at: [0, 0],
            last_arrival: [0, 0],
            dial,
        });
        self.at(self.now + latency_ms, Happening::Connected { conn });
    }
}

/// Changes one letter of what is sealed.
fn alter_sealed(frame: &Frame) -> Frame {
    let mut bytes = frame.to_vec();
    // The record ends in a quote, a brace and the delimiter; before them may stand up to two signs that fill it up.
    let place = bytes.len() - MESSAGE_END.len() - 8;
    bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
    bytes.into()
}

/// Changes one letter in the middle of a frame, as a dishonest relay might.
fn alter(frame: &Frame) -> Frame {
    let mut bytes = frame.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] = if bytes[middle] == b'a' { b'b' } else { b'a' };
    bytes.into()
}
