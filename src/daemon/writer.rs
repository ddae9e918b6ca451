//! Writer threads, one a core: each owns its share of the links' sending halves for life.
//!
//! A writer takes all orders that wait, puts what belongs to one link together, and writes without
//! waiting; links whose sockets are full are polled. What it has written it reports to the router, which
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

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::limits::LINKS_CLOSING_MAX;
use crate::room::{Input, LinkId};
use crate::wire::Frame;
use crate::wire::end::End;
use crate::wire::secure;

use super::Shared;
use super::router::Message;

/// How long a link that is being closed may take for its last frames, and its peer to close too.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What a writer is told to do.
pub(super) enum Order {
    /// Take over a link.
    Open(LinkId, secure::Sender),
    /// Queue a frame for these links.
    Send(Vec<LinkId>, Frame),
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

struct Writer {
    orders: Receiver<Order>,
    polling: Arc<AtomicBool>,
    bell: UnixStream,
    links: BTreeMap<LinkId, secure::Sender>,
    /// Links with something new to write.
    fresh: BTreeSet<LinkId>,
    /// Links whose sockets were full.
    blocked: BTreeSet<LinkId>,
    /// Links whose keys have served long enough.
    worn: BTreeSet<LinkId>,
    closing: BTreeMap<LinkId, Closing>,
    finishing: Option<Sender<()>>,
    messages: Sender<Message>,
}

pub(super) fn start(index: usize, shared: &Shared) -> io::Result<Handle> {
    let (orders, receiver) = unbounded();
    let (bell, listener) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    listener.set_nonblocking(true)?;
    let polling = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        orders: receiver,
        polling: Arc::clone(&polling),
        bell: listener,
        links: BTreeMap::new(),
        fresh: BTreeSet::new(),
        blocked: BTreeSet::new(),
        worn: BTreeSet::new(),
        closing: BTreeMap::new(),
        finishing: None,
        messages: shared.messages.clone(),
    };
    super::spawn(format!("writer-{index}"), None, shared, move || writer.run())?;
    Ok(Handle { orders, polling, bell })
}

impl Writer {
    fn run(mut self) {
        while self.take_orders() {
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
            match self.orders.recv() {
                Ok(order) => self.take(order),
                Err(_) => return false,
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
                self.links.insert(link, sender);
            }
            Order::Send(links, frame) => {
                for link in links {
                    self.queue(link, Arc::clone(&frame));
                }
            }
            Order::Close(link, frame, end) => {
                self.queue(link, frame);
                let let_go = end != End::Goodbye;
                self.closing.insert(link, Closing { since: Instant::now(), let_go, half_closed: false, over: false });
            }
            Order::Finish(done) => self.finishing = Some(done),
        }
    }

    fn queue(&mut self, link: LinkId, frame: Frame) {
        if let Some(sender) = self.links.get_mut(&link) {
            sender.push(frame);
            if !self.blocked.contains(&link) {
                self.fresh.insert(link);
            }
        }
    }

    /// Writes what the sockets take, and reports it.
    fn write(&mut self) {
        let mut drained = Vec::new();
        for link in std::mem::take(&mut self.fresh) {
            let Some(sender) = self.links.get_mut(&link) else { continue };
            match sender.write() {
                Ok(bytes) => {
                    if !sender.is_empty() {
                        self.blocked.insert(link);
                    }
                    drained.push((link, bytes));
                    if sender.is_worn() && self.worn.insert(link) {
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
        self.worn.remove(&link);
        self.closing.remove(&link);
        if let Some(sender) = self.links.remove(&link) {
            let _ = sender.socket().shutdown(Shutdown::Both);
        }
    }

    fn close_finished(&mut self) {
        for (link, closing) in &mut self.closing {
            match self.links.get(link) {
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
            self.fresh.insert(link);
        } else if let Some(closing) = self.closing.get_mut(&link) {
            closing.over = true;
        }
    }

    /// Waits until a full socket takes more, a closed one is closed by its peer, or the bell rings.
    fn wait_for_sockets(&mut self) {
        self.polling.store(true, Ordering::SeqCst);
        // An order that came before the store rang no bell.
        if self.orders.is_empty() {
            let timeout = if self.closing.is_empty() { PollTimeout::NONE } else { PollTimeout::from(100_u8) };
            let blocked = self.blocked.iter().map(|link| (*link, PollFlags::POLLOUT));
            // Without any flag poll tells that both sides are closed, and nothing else.
            let half_closed = self.closing.iter().filter(|(_, closing)| closing.half_closed);
            let half_closed = half_closed.map(|(link, _)| (*link, PollFlags::empty()));
            let (mut watched, mut fds) = (Vec::new(), Vec::new());
            for (link, flags) in blocked.chain(half_closed) {
                if let Some(sender) = self.links.get(&link) {
                    watched.push(link);
                    fds.push(PollFd::new(sender.socket().as_fd(), flags));
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
