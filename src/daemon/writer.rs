//! Writer threads, one a core: each owns its share of the links' sending halves for life.
//!
//! A writer takes all orders that wait, puts what belongs to one link together, and writes without
//! waiting; links whose sockets are full are polled. When one frame after the other goes to many links, as when a
//! crowd joins, they are gathered for a moment, so that a link gets them in one write. What it has written it reports to the router, which
//! is how the room knows what a link can take. The queue of orders has no bound of its own: the
//! room's account of each link bounds what can be in it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::limits::{GATHER_MS, GATHER_PAUSE_MS, GATHERED_FRAMES_MIN, LINKS_CLOSING_MAX};
use crate::room::{Input, LinkId};
use crate::wire::Frame;
use crate::wire::end::End;
use crate::wire::secure::{self, Scratch};

use super::Shared;
use super::router::Message;

/// How long a link that is being closed may take for its last frames, and its peer to close too.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// How often a link that is being closed is looked at.
const CLOSING_LOOK: Duration = Duration::from_millis(100);

/// How long frames to many links are gathered.
const GATHER_TIME: Duration = Duration::from_millis(GATHER_MS);

/// After so long without another one they are no longer.
const GATHER_PAUSE: Duration = Duration::from_millis(GATHER_PAUSE_MS);

/// What a writer is told to do.
pub(super) enum Order {
    /// Take over a link.
    Open(LinkId, secure::Sender),
    /// Queue frames for these links.
    Send {
        links: Vec<LinkId>,
        frames: Vec<Frame>,
        /// They go to many links, those of the other writers counted.
        is_wide: bool,
    },
    /// Send a last frame, then close.
    Close(LinkId, Frame, End),
    /// Answer when every link that is being closed is closed.
    Finish(Sender<()>),
}

/// The router's end of a writer.
#[derive(Debug)]
pub(super) struct Handle {
    orders: Sender<Order>,
    /// The writer is in poll and does not look at its orders.
    polling: Arc<AtomicBool>,
    bell: UnixStream,
}

impl Handle {
    /// Gives an order; never blocks.
    pub(super) fn order(&self, order: Order) {
        // A writer ends only by panicking, which ends the program.
        let _ = self.orders.send(order);
        if self.polling.swap(false, Ordering::SeqCst) {
            let _ = (&self.bell).write(&[0]);
        }
    }
}

/// A link on its way out. Its socket is closed for writing once all is written, and altogether when the
/// peer has closed its side: a socket with unread bytes that is simply closed resets the connection,
/// and what the peer has not read by then is lost.
struct Closing {
    since: Instant,
    /// It is let go, and nobody waits for it when there are many.
    let_go: bool,
    half_closed: bool,
    /// The peer has closed, too.
    over: bool,
}

/// What is to be done about a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing.
    Idle,
    /// It has something to write, and there will be more in a moment.
    Gathering,
    /// It has something to write.
    Fresh,
    /// Its socket was full.
    Blocked,
}

struct Outlet {
    sender: secure::Sender,
    turn: Turn,
    /// Its keys have served long enough, and the room was told.
    is_worn: bool,
}

/// How fast frames come that go to many links.
struct Burst {
    since: Instant,
    frames: u32,
    goes_on: bool,
}

impl Burst {
    /// Whether what comes now is gathered.
    fn gathers(&mut self, now: Instant) -> bool {
        let elapsed = now.duration_since(self.since);
        if elapsed >= GATHER_TIME {
            let were_many = self.frames >= GATHERED_FRAMES_MIN && elapsed < 2 * GATHER_TIME;
            *self = Self { since: now, frames: 0, goes_on: were_many };
        }
        self.frames += 1;
        self.goes_on || self.frames >= GATHERED_FRAMES_MIN
    }
}

struct Writer {
    orders: Receiver<Order>,
    polling: Arc<AtomicBool>,
    bell: UnixStream,
    links: BTreeMap<LinkId, Outlet>,
    /// Links with something new to write.
    fresh: Vec<LinkId>,
    /// Links with something to write when it is time; some of them may be fresh meanwhile.
    gathering: Vec<LinkId>,
    /// Since when they gather,
    gathering_since: Instant,
    /// and when it is time.
    gathered_at: Instant,
    burst: Burst,
    /// Links whose sockets were full.
    blocked: BTreeSet<LinkId>,
    closing: BTreeMap<LinkId, Closing>,
    finishing: Option<Sender<()>>,
    scratch: Scratch,
    messages: Sender<Message>,
}

pub(super) fn start(index: usize, shared: &Shared) -> io::Result<Handle> {
    let (orders, receiver) = unbounded();
    let (bell, listener) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    listener.set_nonblocking(true)?;
    let polling = Arc::new(AtomicBool::new(false));
    let now = Instant::now();
    let writer = Writer {
        orders: receiver,
        polling: Arc::clone(&polling),
        bell: listener,
        links: BTreeMap::new(),
        fresh: Vec::new(),
        gathering: Vec::new(),
        gathering_since: now,
        gathered_at: now,
        burst: Burst { since: now, frames: 0, goes_on: false },
        blocked: BTreeSet::new(),
        closing: BTreeMap::new(),
        finishing: None,
        scratch: Scratch::default(),
        messages: shared.messages.clone(),
    };
    super::spawn(format!("writer-{index}"), None, shared, move || writer.run())?;
    Ok(Handle { orders, polling, bell })
}

impl Writer {
    fn run(mut self) {
        while self.take_orders() {
            self.end_gathering();
            self.write();
            self.close_finished();
            if !self.blocked.is_empty() || !self.closing.is_empty() {
                self.wait_for_sockets();
            }
        }
    }

    /// Takes all orders that wait; blocks for one when there is nothing else to do. False at the end.
    fn take_orders(&mut self) -> bool {
        if self.blocked.is_empty() && self.fresh.is_empty() && self.closing.is_empty() {
            let order = if self.gathering.is_empty() {
                self.orders.recv().map_err(RecvTimeoutError::from)
            } else {
                self.orders.recv_deadline(self.gathered_at)
            };
            match order {
                Ok(order) => self.take(order),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        loop {
            match self.orders.try_recv() {
                Ok(order) => self.take(order),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Open(link, sender) => {
                self.links.insert(link, Outlet { sender, turn: Turn::Idle, is_worn: false });
            }
            Order::Send { links, frames, is_wide } => {
                let gathers = is_wide && self.gathers();
                if let [link] = links.as_slice() {
                    return self.queue(*link, frames, gathers);
                }
                for link in links {
                    self.queue(link, frames.iter().cloned(), gathers);
                }
            }
            Order::Close(link, frame, end) => {
                self.queue(link, [frame], false);
                let let_go = end != End::Goodbye;
                self.closing.insert(link, Closing { since: Instant::now(), let_go, half_closed: false, over: false });
            }
            Order::Finish(done) => self.finishing = Some(done),
        }
    }

    fn gathers(&mut self) -> bool {
        let now = Instant::now();
        if self.gathering.is_empty() {
            self.gathering_since = now;
        }
        self.gathered_at = (now + GATHER_PAUSE).min(self.gathering_since + GATHER_TIME);
        self.burst.gathers(now)
    }

    fn queue(&mut self, link: LinkId, frames: impl IntoIterator<Item = Frame>, gathers: bool) {
        let Some(outlet) = self.links.get_mut(&link) else { return };
        for frame in frames {
            outlet.sender.push(frame);
        }
        match outlet.turn {
            Turn::Idle if gathers => {
                outlet.turn = Turn::Gathering;
                self.gathering.push(link);
            }
            Turn::Idle | Turn::Gathering if !gathers => {
                outlet.turn = Turn::Fresh;
                self.fresh.push(link);
            }
            Turn::Idle | Turn::Gathering | Turn::Fresh | Turn::Blocked => {}
        }
    }

    /// When it is time, what was gathered is written.
    fn end_gathering(&mut self) {
        if self.gathering.is_empty() || Instant::now() < self.gathered_at {
            return;
        }
        for link in std::mem::take(&mut self.gathering) {
            if let Some(outlet) = self.links.get_mut(&link).filter(|outlet| outlet.turn == Turn::Gathering) {
                outlet.turn = Turn::Fresh;
                self.fresh.push(link);
            }
        }
    }

    /// Writes what the sockets take, and reports it.
    fn write(&mut self) {
        let mut drained = Vec::with_capacity(self.fresh.len());
        for link in std::mem::take(&mut self.fresh) {
            let Some(outlet) = self.links.get_mut(&link) else { continue };
            match outlet.sender.write(&mut self.scratch) {
                Ok(bytes) => {
                    outlet.turn = if outlet.sender.is_empty() { Turn::Idle } else { Turn::Blocked };
                    if outlet.turn == Turn::Blocked {
                        self.blocked.insert(link);
                    }
                    drained.push((link, bytes));
                    if outlet.sender.is_worn() && !std::mem::replace(&mut outlet.is_worn, true) {
                        let _ = self.messages.send(Message::Room(Input::Worn { link }));
                    }
                }
                Err(_) => self.drop_link(link),
            }
        }
        if !drained.is_empty() {
            // The router is gone only when the program ends.
            let _ = self.messages.send(Message::Drained(drained));
        }
    }

    /// Forgets a link; its reader notices the end of the socket.
    fn drop_link(&mut self, link: LinkId) {
        self.blocked.remove(&link);
        self.closing.remove(&link);
        if let Some(Outlet { sender, .. }) = self.links.remove(&link) {
            let _ = sender.socket().shutdown(Shutdown::Both);
        }
    }

    fn close_finished(&mut self) {
        for (link, closing) in &mut self.closing {
            match self.links.get(link).map(|outlet| &outlet.sender) {
                Some(sender) if sender.is_empty() && !closing.half_closed => {
                    closing.half_closed = true;
                    closing.over = sender.socket().shutdown(Shutdown::Write).is_err();
                }
                Some(_) => {}
                None => closing.over = true,
            }
        }
        let is_closed = |closing: &Closing| closing.over || closing.since.elapsed() > CLOSE_TIME;
        let (closed, open): (Vec<_>, Vec<_>) = self.closing.iter().partition(|(_, closing)| is_closed(closing));
        let mut let_go: Vec<_> = open.into_iter().filter(|(_, closing)| closing.let_go).collect();
        let_go.sort_unstable_by_key(|(_, closing)| closing.since);
        let too_many = let_go.len().saturating_sub(LINKS_CLOSING_MAX);
        let closed: Vec<LinkId> =
            closed.into_iter().chain(let_go.into_iter().take(too_many)).map(|(link, _)| *link).collect();
        for link in closed {
            self.drop_link(link);
        }
        if self.closing.is_empty()
            && let Some(done) = self.finishing.take()
        {
            let _ = done.send(());
        }
    }

    /// Something has happened to a socket that was waited for.
    fn stir(&mut self, link: LinkId) {
        if self.blocked.remove(&link) {
            if let Some(outlet) = self.links.get_mut(&link) {
                outlet.turn = Turn::Fresh;
                self.fresh.push(link);
            }
        } else if let Some(closing) = self.closing.get_mut(&link) {
            closing.over = true;
        }
    }

    /// How long sockets are waited for at most.
    fn patience(&self) -> PollTimeout {
        let closing = (!self.closing.is_empty()).then_some(CLOSING_LOOK);
        // Poll counts in milliseconds; one too many is none too few.
        let left = self.gathered_at.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        let gathering = (!self.gathering.is_empty()).then_some(left);
        let least = closing.into_iter().chain(gathering).min();
        least.and_then(|least| PollTimeout::try_from(least).ok()).unwrap_or(PollTimeout::NONE)
    }

    /// Waits until a full socket takes more, a closed one is closed by its peer, or the bell rings.
    fn wait_for_sockets(&mut self) {
        self.polling.store(true, Ordering::SeqCst);
        // An order that came before the store rang no bell.
        if self.orders.is_empty() {
            let timeout = self.patience();
            let blocked = self.blocked.iter().map(|link| (*link, PollFlags::POLLOUT));
            // Without any flag poll tells that both sides are closed, and nothing else.
            let half_closed = self.closing.iter().filter(|(_, closing)| closing.half_closed);
            let half_closed = half_closed.map(|(link, _)| (*link, PollFlags::empty()));
            let (mut watched, mut fds) = (Vec::new(), Vec::new());
            for (link, flags) in blocked.chain(half_closed) {
                if let Some(outlet) = self.links.get(&link) {
                    watched.push(link);
                    fds.push(PollFd::new(outlet.sender.socket().as_fd(), flags));
                }
            }
            fds.push(PollFd::new(self.bell.as_fd(), PollFlags::POLLIN));
            if poll(&mut fds, timeout).is_ok() {
                let ready = watched.iter().zip(&fds).filter(|(_, fd)| fd.any() == Some(true));
                let ready: Vec<LinkId> = ready.map(|(link, _)| *link).collect();
                for link in ready {
                    self.stir(link);
                }
            }
        }
        self.polling.store(false, Ordering::SeqCst);
        let mut rings = [0; 64];
        let _ = (&self.bell).read(&mut rings);
    }
}
