//! The threads around the room: they own the sockets, the clocks and the chance.
//!
//! ```text
//!  accept, dial ---> router <--- reader, one a link
//!                      |  ^
//!                      v  | bytes written
//!                    writer, one a core
//! ```
//!
//! `start` makes them in this order: writers, router, accept; dials and readers come and go. They
//! stop in the other direction: the room says goodbye, the writers are emptied, the router tells the
//! console, and the process ends. The router never blocks: it hands frames to the writers through
//! queues that the room's own accounts bound, and events to the console and posts to the history when they take them. Readers
//! and writers may block on the router's bounded channel; no cycle of waits exists.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::RwLock;
use socket2::{Socket, Type};
use thiserror::Error;

use crate::limits::{LISTEN_BACKLOG, ROUTER_QUEUE_RUNS_MAX, WRITERS_MAX};
use crate::room::event::{Command, Event, Outcome, Person, Said};
use crate::room::intake::Seen;
use crate::room::{self, Acquaintance, Note, Now, Past};
use crate::wire::record::{Domain, Post};
use crate::wire::secure::{Endpoint, LinkSecurity};

mod accept;
mod answering;
mod dial;
mod place;
mod reader;
mod router;
mod writer;

pub use answering::{AnsweringError, key_answering_at};
use router::Message;

/// Where to accept peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    No,
    /// Here, or at any free port if this one is taken.
    Preferably(SocketAddr),
    /// Here and nowhere else.
    At(SocketAddr),
}

/// Why a node could not start. Each ends the program (exit code 1).
#[derive(Debug, Error)]
pub enum StartError {
    /// The address to listen at could not be had.
    #[error("cannot listen at {addr}: {error}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system gave no thread or no random numbers.
    #[error("cannot start: {0}")]
    System(io::Error),
}

/// The ends of the channels that the console holds the other ends of.
#[derive(Debug)]
pub struct Console {
    /// Piped text; taken only while it may be said.
    pub says: Receiver<Said>,
    /// Commands in piped text; taken only while their answers find room.
    pub orders: Receiver<Command>,
    /// Piped text was read, and not all of it was taken.
    pub in_hand: Arc<AtomicBool>,
    /// What else the user wants.
    pub commands: Receiver<Command>,
    /// What the user sees.
    pub events: Sender<Event>,
    /// How the run has ended; `events` is closed behind it.
    pub outcome: Sender<Outcome>,
    /// Whom what is typed goes to: one answer to each typed `Command::Chat`.
    pub partners: Sender<Option<Person>>,
}

/// What earlier runs have kept, and who keeps what comes.
#[derive(Debug, Default)]
pub struct Kept {
    /// What is in the room from the start.
    pub past: Past,
    /// Takes what comes, in order; `None` where nobody does.
    pub keeper: Option<Sender<Keepsake>>,
    /// Takes what there is to know of whispers, whatever becomes of the rest.
    pub letters: Option<Sender<Secrets>>,
    /// Gives the tokens of whispers that are kept.
    pub kept: Option<Receiver<u64>>,
}

/// What a run leaves to the next one.
#[derive(Debug)]
pub enum Keepsake {
    /// Posts of the room, each once and in order.
    Posts(Vec<Arc<Post>>),
    /// The peers to look for, in place of those before.
    Peers(Vec<Acquaintance>),
}

/// What there is to know of whispers.
#[derive(Debug)]
pub struct Secrets {
    /// It, in order.
    pub notes: Vec<Note>,
    /// Given back when it is kept, or cannot be.
    pub token: Option<u64>,
}

/// The time since the start of the program, and the time of day.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Instant,
}

impl Clock {
    fn now(self) -> Now {
        let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let wall = SystemTime::UNIX_EPOCH.elapsed().map_or(0, millis);
        Now { mono: millis(self.start.elapsed()), wall }
    }
}

/// What all threads share.
#[derive(Debug, Clone)]
struct Shared {
    seen: Arc<RwLock<Seen>>,
    /// Links that have a thread.
    links: Arc<AtomicUsize>,
    domain: Arc<Domain>,
    endpoint: Arc<Endpoint>,
    messages: Sender<Message>,
}

/// Has the system allow as many descriptors as it may: each link is one, and shells allow 1,024 where nobody asks for more.
fn allow_descriptors() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        log::info!("no more descriptors can be had: {error}");
    }
}

/// Starts a node. It runs until the room ends; then it tells how, and closes the channel of events.
pub fn start(
    mut config: room::Config,
    listen: Listen,
    security: LinkSecurity,
    kept: Kept,
    console: Console,
) -> Result<(), StartError> {
    let endpoint = Arc::new(Endpoint::new(security).map_err(StartError::System)?);
    let listener = bind(listen)?;
    config.keep = kept.keeper.is_some();
    config.listening = match &listener {
        Some(listener) => Some(listener.local_addr().map_err(StartError::System)?),
        None => None,
    };
    let (messages, inbox) = bounded(ROUTER_QUEUE_RUNS_MAX);
    let shared = Shared {
        seen: Arc::default(),
        links: Arc::default(),
        domain: Arc::new(Domain::of_room(&config.room)),
        endpoint,
        messages,
    };
    allow_descriptors();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let writers = (0..cores.min(WRITERS_MAX))
        .map(|index| writer::start(index, &shared))
        .collect::<io::Result<Vec<_>>>()
        .map_err(StartError::System)?;
    router::start(config, kept, writers, shared.clone(), inbox, console).map_err(StartError::System)?;
    if let Some(listener) = listener {
        accept::start(listener, shared).map_err(StartError::System)?;
    }
    Ok(())
}

fn bind(listen: Listen) -> Result<Option<TcpListener>, StartError> {
    let bind = |addr| listen_at(addr).map_err(|error| StartError::Bind { addr, error });
    match listen {
        Listen::No => Ok(None),
        Listen::At(addr) => bind(addr).map(Some),
        Listen::Preferably(addr) => bind(addr).or_else(|_| bind(SocketAddr::new(addr.ip(), 0))).map(Some),
    }
}

/// As `TcpListener::bind` does it, but for the backlog.
fn listen_at(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(socket2::Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// Starts a thread whose panic ends the program with a word: a daemon is never left half dead.
fn spawn(
    name: String,
    stack_bytes: Option<usize>,
    shared: &Shared,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let mut builder = thread::Builder::new().name(name.clone());
    if let Some(bytes) = stack_bytes {
        builder = builder.stack_size(bytes);
    }
    let alarm = Alarm { name, messages: shared.messages.clone() };
    builder.spawn(move || {
        let _alarm = alarm;
        body();
    })?;
    Ok(())
}

struct Alarm {
    name: String,
    messages: Sender<Message>,
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            // The router may be gone already; then the console has noticed.
            let _ = self.messages.send(Message::Panicked(std::mem::take(&mut self.name)));
        }
    }
}
