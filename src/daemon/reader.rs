//! Reader threads, one a link: bytes become runs of checked records for the router.
//!
//! That of an accepted connection begins with the handshake. A reader blocks on its socket and on the router's channel and on nothing else. It checks layout
//! and signatures, so that a burst is verified on as many cores as it has links, and drops copies
//! of what was seen before it parses them. The frame that breaks a rule ends its link.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::limits::{FRAME_MS_MAX, HANDSHAKE_MS_MAX, LINK_BYTES_PER_S_MIN, READER_STACK_BYTES};
use crate::room::intake::read_frame;
use crate::room::{Arrival, Input, LinkId};
use crate::wire::end::End;
use crate::wire::frame::FrameBuffer;
use crate::wire::record::Channel;
use crate::wire::secure::{Receiver, Secured};

use super::Shared;
use super::place::Place;
use super::router::{Greeted, Message};

/// How often a reader looks at the clock while nothing comes.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Counts a link for as long as it has a reader.
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Starts the reader of a link whose handshake is over.
pub(super) fn start(link: LinkId, receiver: Receiver, channel: Option<Channel>, shared: &Shared) -> io::Result<()> {
    let reader = Reader::new(link, receiver, channel, shared.clone());
    spawn(link, shared, move || reader.run())
}

/// Starts the reader of a connection that was accepted. Its place is free again behind the handshake.
pub(super) fn start_accepted(
    link: LinkId,
    socket: Arc<TcpStream>,
    remote: SocketAddr,
    place: Option<Place>,
    shared: &Shared,
) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_millis(HANDSHAKE_MS_MAX);
    let its = shared.clone();
    spawn(link, shared, move || match its.endpoint.accept(&socket, deadline) {
        Ok(Secured { receiver, sender, channel }) => {
            let greeted = Message::Greeted(link, Greeted { sender, channel });
            let is_taken = its.messages.send(greeted).is_ok();
            drop(place);
            if is_taken {
                Reader::new(link, receiver, channel, its).run();
            }
        }
        Err(error) => {
            log::info!("link {link}: {remote}: {}: {error}", error.end());
            let _ = its.messages.send(Message::Room(Input::Broken { link, end: error.end() }));
            drop(place);
        }
    })
}

fn spawn(link: LinkId, shared: &Shared, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    shared.links.fetch_add(1, Ordering::Relaxed);
    let count = Count(Arc::clone(&shared.links));
    super::spawn(format!("reader-{link}"), Some(READER_STACK_BYTES), shared, move || {
        let _count = count;
        body();
    })
}

/// A moment, and how many bytes had come.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    received: u64,
}

impl Mark {
    fn of(receiver: &Receiver) -> Self {
        Self { at: Instant::now(), received: receiver.received() }
    }

    /// Whether more time has passed than the bytes that have come since may take, and a grace.
    fn is_outrun(&self, receiver: &Receiver, grace_ms: u64) -> bool {
        let bytes = receiver.received() - self.received;
        self.at.elapsed() > Duration::from_millis(grace_ms + bytes * 1_000 / LINK_BYTES_PER_S_MIN)
    }
}

struct Reader {
    link: LinkId,
    receiver: Receiver,
    channel: Option<Channel>,
    buffer: FrameBuffer,
    /// Since when the frame at the end of the buffer has been incomplete, and what had come then.
    partial_since: Option<Mark>,
    /// When the room last heard of bytes, and of how many.
    told: Mark,
    shared: Shared,
}

impl Reader {
    fn new(link: LinkId, receiver: Receiver, channel: Option<Channel>, shared: Shared) -> Self {
        let told = Mark::of(&receiver);
        Self { link, receiver, channel, buffer: FrameBuffer::new(), partial_since: None, told, shared }
    }

    fn run(mut self) {
        let end = self.read_to_the_end();
        let _ = self.shared.messages.send(Message::Room(Input::Broken { link: self.link, end }));
    }

    /// Reads until the link ends; why it did.
    fn read_to_the_end(&mut self) -> End {
        if self.receiver.socket().set_read_timeout(Some(LOOK_UP)).is_err() {
            return End::Vanished;
        }
        loop {
            match self.buffer.fill(&mut self.receiver) {
                Ok(0) => return End::Vanished,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        if self.is_late() {
                            return End::FrameTimeout;
                        }
                        if self.is_slow() && !self.tell(Vec::new()) {
                            return End::Vanished;
                        }
                        self.buffer.relax();
                        self.receiver.relax();
                        continue;
                    }
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::InvalidData => {
                        log::info!("link {}: {}", self.link, End::BadCipher);
                        return End::BadCipher;
                    }
                    _ => return End::Vanished,
                },
            }
            let (run, end) = self.take_run();
            if self.is_late() {
                return End::FrameTimeout;
            }
            if !self.tell(run) {
                return End::Vanished;
            }
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// All whole records that have arrived, up to the first that breaks a rule.
    fn take_run(&mut self) -> (Vec<Arrival>, Option<End>) {
        let mut run = Vec::new();
        loop {
            let (frame, ending) = match self.buffer.next_frame() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    log::info!("link {}: {error}", self.link);
                    return (run, Some(End::BadFrame));
                }
            };
            let seen = &self.shared.seen;
            let (domain, channel) = (&self.shared.domain, self.channel.as_ref());
            match read_frame(frame, ending, domain, channel, |label| seen.read().is_copy(label)) {
                Ok(arrival) => run.push(arrival),
                Err((end, error)) => {
                    log::info!("link {}: {end}: {error}", self.link);
                    return (run, Some(end));
                }
            }
        }
        if !self.buffer.is_partial() {
            self.partial_since = None;
        } else if !run.is_empty() || self.partial_since.is_none() {
            self.partial_since = Some(Mark::of(&self.receiver));
        }
        (run, None)
    }

    /// Tells the room what has come; false when there is nobody to hear it.
    fn tell(&mut self, run: Vec<Arrival>) -> bool {
        self.told = Mark::of(&self.receiver);
        self.shared.messages.send(Message::Room(Input::Arrived { link: self.link, run })).is_ok()
    }

    fn is_late(&self) -> bool {
        self.partial_since.is_some_and(|since| since.is_outrun(&self.receiver, FRAME_MS_MAX))
    }

    /// Whether a message comes slowly, and not too slowly to be a sign of life.
    fn is_slow(&self) -> bool {
        !self.told.is_outrun(&self.receiver, 0)
    }
}
