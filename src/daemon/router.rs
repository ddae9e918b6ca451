//! The router thread: it owns the room and the registry of links, and never blocks.
//!
//! Each step takes one input, lets the room handle it and carries out all that follows, before the next
//! input. Piped text is taken only while the room allows, which is what paces a source; events
//! go to the console as fast as it takes them, and wait in the room until then.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Select, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded};

use crate::limits::{GATHERED_LINKS_MIN, HISTORY_BATCH_BYTES_MAX, TICK_MS};
use crate::room::event::{Command, Event, Outcome};
use crate::room::{Acquaintance, Config, DialFailure, DialId, Input, LinkId, Note, Output, Room};
use crate::wire::Frame;
use crate::wire::end::End;
use crate::wire::record::{Channel, Control, Post};
use crate::wire::secure::{self, Secured};

use super::place::Place;
use super::writer::{Handle, Order};
use super::{Clock, Console, Keepsake, Kept, Secrets, Shared, dial, reader};

/// What the other threads tell the router.
#[derive(Debug)]
pub(super) enum Message {
    /// For the room.
    Room(Input),
    /// Somebody has connected.
    Accepted(TcpStream, SocketAddr, Place),
    /// The handshake of an accepted connection is over; its reader goes on.
    Greeted(LinkId, Greeted),
    /// A dial has ended.
    Dialled(DialId, Result<Box<(Secured, SocketAddr)>, DialFailure>),
    /// Bytes of frames that were written, per link.
    Drained(Vec<(LinkId, usize)>),
    /// A thread has failed.
    Panicked(String),
}

/// An accepted connection before the end of its handshake.
struct Knocking {
    socket: Arc<TcpStream>,
    remote: SocketAddr,
    /// Its thread takes it along.
    place: Option<Place>,
}

/// What the handshake of an accepted connection leaves to the router.
#[derive(Debug)]
pub(super) struct Greeted {
    pub(super) sender: secure::Sender,
    pub(super) channel: Option<Channel>,
}

/// One look in so many is at all that may have come, not at messages first. A guess: a flood costs the
/// user a few milliseconds, and a select is a small part of what eight messages cost.
const TURNS: u32 = 8;

/// How long the last frames may take.
const END_TIME: Duration = Duration::from_millis(450);

/// How long the last events may take where a goodbye was asked for.
const LEFT_TIME: Duration = Duration::from_secs(1);

/// How often the end looks up from what nobody takes.
const TAKEN_TIME: Duration = Duration::from_millis(20);

pub(super) fn start(
    config: Config,
    kept: Kept,
    writers: Vec<Handle>,
    shared: Shared,
    inbox: Receiver<Message>,
    console: Console,
) -> io::Result<()> {
    let alarm = shared.clone();
    super::spawn("router".to_owned(), None, &alarm, move || {
        let clock = Clock { start: Instant::now() };
        let mut out = Vec::new();
        let room = Room::resume(config, &kept.past, clock.now(), &mut out);
        let mut router = Router {
            room,
            clock,
            writers,
            shared,
            console,
            piping: true,
            unsent: None,
            keeper: kept.keeper,
            letters: kept.letters,
            unkept: Vec::new(),
            unkept_peers: None,
            kept: kept.kept.unwrap_or_else(crossbeam_channel::never),
            unkept_notes: (Vec::new(), None),
            knocking: BTreeMap::new(),
            next_link: 1,
            next_tick_at: 0,
            turn: 0,
            ended: None,
            is_left: false,
        };
        router.carry_out(out);
        router.run(&inbox);
    })
}

struct Router {
    room: Room,
    clock: Clock,
    writers: Vec<Handle>,
    shared: Shared,
    console: Console,
    /// Piped text may still come.
    piping: bool,
    /// An event that the console had no room for.
    unsent: Option<Event>,
    /// Who keeps things on disk.
    keeper: Option<Sender<Keepsake>>,
    letters: Option<Sender<Secrets>>,
    /// Posts that it had no room for.
    unkept: Vec<Arc<Post>>,
    /// Peers that it has not been given yet.
    unkept_peers: Option<Vec<Acquaintance>>,
    /// What it has kept of whispers,
    kept: Receiver<u64>,
    /// and what it has not been given yet.
    unkept_notes: (Vec<Note>, Option<u64>),
    /// Accepted connections in their handshakes.
    knocking: BTreeMap<LinkId, Knocking>,
    next_link: LinkId,
    next_tick_at: u64,
    turn: u32,
    ended: Option<Outcome>,
    /// A goodbye was asked for.
    is_left: bool,
}

/// What the router has woken up for.
enum Wake {
    Message(Message),
    Input(Input),
    Sent,
    Time,
    Gone,
}

impl Router {
    fn run(mut self, inbox: &Receiver<Message>) {
        while self.ended.is_none() {
            self.show();
            if self.room.owes_answers() {
                self.step(Input::Shown);
            }
            match self.wait(inbox) {
                Wake::Message(message) => self.take(message),
                Wake::Input(input) => self.step(input),
                Wake::Sent | Wake::Time => {}
                // The console is gone without a goodbye: it has panicked.
                Wake::Gone => return,
            }
            let now = self.clock.now();
            if now.mono >= self.next_tick_at {
                self.next_tick_at = now.mono + TICK_MS;
                self.step(Input::Tick);
                self.keep();
            } else if self.room.unkept_bytes() >= HISTORY_BATCH_BYTES_MAX {
                self.keep();
            }
        }
        self.finish(inbox);
    }

    fn wait(&mut self, inbox: &Receiver<Message>) -> Wake {
        // However much the links bring, the user is heard.
        if let Ok(command) = self.console.commands.try_recv() {
            return Wake::Input(Input::Command(command));
        }
        // Most of the time something is there, and a look is cheaper than a select; but the pipe has its
        // turn, too, when there always is.
        self.turn = self.turn.wrapping_add(1);
        if !self.turn.is_multiple_of(TURNS)
            && let Ok(message) = inbox.try_recv()
        {
            return Wake::Message(message);
        }
        let may_say = self.piping && self.room.may_say();
        let may_obey = self.piping && self.room.may_obey();
        let mut select = Select::new();
        let from_inbox = select.recv(inbox);
        let from_user = select.recv(&self.console.commands);
        let from_pipe = may_say.then(|| select.recv(&self.console.says));
        let from_script = may_obey.then(|| select.recv(&self.console.orders));
        let from_keeper = select.recv(&self.kept);
        let to_user = self.unsent.is_some().then(|| select.send(&self.console.events));
        let until_tick = self.next_tick_at.saturating_sub(self.clock.now().mono);
        let Ok(index) = select.ready_timeout(Duration::from_millis(until_tick)) else { return Wake::Time };
        match Some(index) {
            index if index == Some(from_inbox) => inbox.try_recv().map_or(Wake::Time, Wake::Message),
            index if index == Some(from_user) => match self.console.commands.try_recv() {
                Ok(command) => Wake::Input(Input::Command(command)),
                Err(TryRecvError::Disconnected) => Wake::Gone,
                Err(TryRecvError::Empty) => Wake::Time,
            },
            index if index == from_pipe => self.take_piped(self.console.says.try_recv().map(Input::Say)),
            index if index == from_script => self.take_piped(self.console.orders.try_recv().map(Input::Command)),
            index if index == Some(from_keeper) => self.take_kept(),
            // `show` sends what was `unsent`.
            index if index == to_user => Wake::Sent,
            _ => Wake::Time,
        }
    }

    fn take_kept(&mut self) -> Wake {
        match self.kept.try_recv() {
            Ok(token) => Wake::Input(Input::Kept { token }),
            Err(TryRecvError::Empty) => Wake::Time,
            Err(TryRecvError::Disconnected) => {
                self.kept = crossbeam_channel::never();
                Wake::Time
            }
        }
    }

    fn take_piped(&mut self, taken: Result<Input, TryRecvError>) -> Wake {
        taken.map_or_else(
            |error| {
                self.piping = error != TryRecvError::Disconnected;
                Wake::Time
            },
            Wake::Input,
        )
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Room(input) => self.step(input),
            Message::Accepted(socket, remote, place) => self.knocked(socket, remote, place),
            Message::Greeted(link, greeted) => self.greeted(link, greeted),
            Message::Dialled(dial, Ok(dialled)) => self.dialled(dial, dialled.0, dialled.1),
            Message::Dialled(dial, Err(failure)) => self.step(Input::DialFailed { dial, failure }),
            Message::Drained(links) => {
                for (link, bytes) in links {
                    self.step(Input::Drained { link, bytes });
                }
            }
            Message::Panicked(thread) => {
                log::error!("the thread {thread} has failed; this is a fault of the program");
                self.ended = Some(Outcome::Failed);
            }
        }
    }

    fn step(&mut self, input: Input) {
        let is_left = matches!(input, Input::Command(Command::Leave { .. }));
        let mut out = Vec::new();
        if is_left && self.console.in_hand.load(Ordering::SeqCst) {
            // What was read and not taken is not said any more.
            self.room.handle(self.clock.now(), Input::Command(Command::Undone), &mut out);
        }
        self.is_left |= is_left;
        self.room.handle(self.clock.now(), input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Vec<Output>) {
        let mut failed = Vec::new();
        for output in out {
            match output {
                Output::Send { links, frames } => self.send(links, frames),
                Output::Admit { link } => failed.extend(self.admit(link)),
                Output::Close { link, end } => self.close(link, end),
                Output::Dial { dial, target } => {
                    log::debug!("dial {dial}: {target:?}");
                    if let Err(error) = dial::start(dial, target, &self.shared) {
                        let failure = DialFailure::Unreached(error.to_string());
                        failed.push(Input::DialFailed { dial, failure });
                    }
                }
                Output::Seen { feed, number, tail } => self.shared.seen.write().note(feed, number, tail),
                // Nobody types any more where nobody takes it.
                Output::Partner(partner) => drop(self.console.partners.send(partner)),
                Output::Remember(peers) => self.unkept_peers = Some(peers),
                Output::Keep { notes, token } => {
                    self.unkept_notes.0.extend(notes);
                    self.unkept_notes.1 = token.or(self.unkept_notes.1);
                    self.keep_notes();
                }
                Output::End(outcome) => self.ended = Some(outcome),
            }
        }
        // What follows from these comes behind what followed from this.
        for input in failed {
            self.step(input);
        }
    }

    /// Each link belongs to one writer for life.
    fn writer(&self, link: LinkId, order: Order) {
        let index = usize::try_from(link).unwrap_or(0).checked_rem(self.writers.len()).unwrap_or(0);
        if let Some(writer) = self.writers.get(index) {
            writer.order(order);
        }
    }

    fn send(&self, links: Vec<LinkId>, frames: Vec<Frame>) {
        let is_wide = links.len() >= GATHERED_LINKS_MIN;
        if let [link] = links.as_slice() {
            return self.writer(*link, Order::Send { links, frames, is_wide });
        }
        let count = self.writers.len();
        let mut shares = vec![Vec::with_capacity(links.len() / count + 1); count];
        for link in links {
            let index = usize::try_from(link).unwrap_or(0).checked_rem(count).unwrap_or(0);
            if let Some(share) = shares.get_mut(index) {
                share.push(link);
            }
        }
        for (writer, links) in self.writers.iter().zip(shares) {
            if !links.is_empty() {
                writer.order(Order::Send { links, frames: frames.clone(), is_wide });
            }
        }
    }

    /// Ends a link, or a handshake.
    fn close(&mut self, link: LinkId, end: End) {
        log::info!("link {link} is closed: {end}");
        if let Some(Knocking { socket, remote, .. }) = self.knocking.remove(&link) {
            log::info!("{remote}: {}", end.text());
            secure::write_exit(&socket, end);
            // Its reader is in the handshake.
            let _ = socket.shutdown(Shutdown::Both);
        } else {
            self.writer(link, Order::Close(link, Control::exit(end).encode(), end));
        }
    }

    fn new_link(&mut self, way: &str, remote: SocketAddr) -> LinkId {
        let link = self.next_link;
        self.next_link += 1;
        log::debug!("link {link}: {way} {remote}");
        link
    }

    /// Somebody has connected; the room says whether a thread is spent on it.
    fn knocked(&mut self, socket: TcpStream, remote: SocketAddr, place: Place) {
        let link = self.new_link("accepted", remote);
        self.knocking.insert(link, Knocking { socket: Arc::new(socket), remote, place: Some(place) });
        self.step(Input::Knocked { link, remote });
    }

    /// Spends a thread on the handshake with somebody; what follows where there is none.
    fn admit(&mut self, link: LinkId) -> Option<Input> {
        let Knocking { socket, remote, place } = self.knocking.get_mut(&link)?;
        let started = reader::start_accepted(link, Arc::clone(socket), *remote, place.take(), &self.shared);
        started.err().map(|error| {
            log::warn!("{remote}: {error}");
            Input::Broken { link, end: End::Vanished }
        })
    }

    fn greeted(&mut self, link: LinkId, greeted: Greeted) {
        // The room may have closed it meanwhile.
        let Some(Knocking { socket, remote, .. }) = self.knocking.remove(&link) else { return };
        let Greeted { sender, channel } = greeted;
        match socket.local_addr() {
            Ok(local) => {
                self.writer(link, Order::Open(link, sender));
                self.step(Input::Connected { link, dial: None, remote, local: local.ip(), channel });
            }
            Err(error) => {
                log::warn!("{remote}: {error}");
                self.step(Input::Broken { link, end: End::Vanished });
            }
        }
    }

    /// Gives a dialled link its number, its writer and its reader, then tells the room.
    fn dialled(&mut self, dial: DialId, secured: Secured, remote: SocketAddr) {
        let link = self.new_link("dialled", remote);
        let Secured { receiver, sender, channel } = secured;
        let made = sender.socket().local_addr().and_then(|local| {
            // Without a reader nobody would ever close what the writer holds.
            reader::start(link, receiver, channel, &self.shared)?;
            Ok(local.ip())
        });
        match made {
            Ok(local) => {
                self.writer(link, Order::Open(link, sender));
                self.step(Input::Connected { link, dial: Some(dial), remote, local, channel });
            }
            Err(error) => {
                self.step(Input::DialFailed { dial, failure: DialFailure::Unreached(error.to_string()) });
            }
        }
    }

    /// Hands events to the console as far as it takes them.
    fn show(&mut self) {
        loop {
            let Some(event) = self.unsent.take().or_else(|| self.room.next_event()) else { return };
            match self.console.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.unsent = Some(event);
                    return;
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }

    /// Hands what is known of whispers to whoever keeps it, if that is taken.
    fn keep_notes(&mut self) {
        let (notes, token) = std::mem::take(&mut self.unkept_notes);
        let Some(letters) = self.letters.as_ref().filter(|_| !notes.is_empty()) else { return };
        if let Err(TrySendError::Full(Secrets { notes, token })) = letters.try_send(Secrets { notes, token }) {
            self.unkept_notes = (notes, token);
        }
    }

    /// Hands posts and peers to whoever keeps them, as far as they are taken.
    fn keep(&mut self) {
        self.keep_notes();
        let Some(keeper) = &self.keeper else { return };
        if let Some(peers) = self.unkept_peers.take()
            && let Err(TrySendError::Full(Keepsake::Peers(peers))) = keeper.try_send(Keepsake::Peers(peers))
        {
            self.unkept_peers = Some(peers);
        }
        loop {
            if self.unkept.is_empty() {
                self.unkept = next_batch(&mut self.room);
            }
            if self.unkept.is_empty() {
                return;
            }
            match keeper.try_send(Keepsake::Posts(std::mem::take(&mut self.unkept))) {
                Ok(()) => {}
                Err(TrySendError::Full(keepsake)) => {
                    if let Keepsake::Posts(posts) = keepsake {
                        self.unkept = posts;
                    }
                    return;
                }
                Err(TrySendError::Disconnected(_)) => {
                    self.keeper = None;
                    return;
                }
            }
        }
    }

    /// The end: all that is left goes to whoever keeps it.
    fn keep_rest(&mut self) {
        let (notes, token) = std::mem::take(&mut self.unkept_notes);
        if let Some(letters) = self.letters.take().filter(|_| !notes.is_empty())
            && letters.send_timeout(Secrets { notes, token }, END_TIME).is_err()
        {
            log::warn!("the disk is slow or full: private messages that wait may be lost");
        }
        let Some(keeper) = self.keeper.take() else { return };
        let mut left = 0;
        loop {
            let batch = std::mem::take(&mut self.unkept);
            let batch = if batch.is_empty() { next_batch(&mut self.room) } else { batch };
            if batch.is_empty() {
                break;
            }
            let count = batch.len();
            if left > 0 || keeper.send_timeout(Keepsake::Posts(batch), END_TIME).is_err() {
                left += count;
            }
        }
        if let Some(peers) = self.unkept_peers.take().filter(|_| left == 0) {
            // Those that it has are nearly the same.
            let _ = keeper.send_timeout(Keepsake::Peers(peers), END_TIME);
        }
        if left > 0 {
            log::warn!("the disk is slow or full: the last {left} messages are missing in the history");
        }
    }

    /// The end: the writers empty their links, then the console hears the last events.
    fn finish(mut self, inbox: &Receiver<Message>) {
        self.keep_rest();
        let (done, finished) = bounded(self.writers.len());
        for writer in &self.writers {
            writer.order(Order::Finish(done.clone()));
        }
        let began = Instant::now();
        let mut running = self.writers.len();
        while running > 0 && began.elapsed() < END_TIME {
            // Writers report what they wrote, and must not wait for somebody to hear it.
            while inbox.try_recv().is_ok() {}
            if finished.recv_timeout(Duration::from_millis(2)).is_ok() {
                running -= 1;
            }
        }
        self.show_rest();
        let _ = self.console.outcome.send(self.ended.unwrap_or(Outcome::Failed));
    }

    /// Waits for whoever reads what is shown, as a pipe does; not for long where a goodbye was asked for.
    fn show_rest(&mut self) {
        let rest = std::iter::from_fn(|| self.unsent.take().or_else(|| self.room.next_event()));
        // Nobody keeps any more what is shown of others' whispers: they come again, and are shown then.
        let is_void = |event: &Event| matches!(event, Event::Whispered(whisper) if !whisper.mine);
        let rest: Vec<Event> = rest.filter(|event| !is_void(event)).collect();
        let mut until = self.is_left.then(|| Instant::now() + LEFT_TIME);
        let mut left = rest.iter().filter(|event| matches!(event, Event::Said { .. })).count();
        for event in rest {
            let is_said = matches!(event, Event::Said { .. });
            if !self.show_last(event, &mut until) {
                if left > 0 {
                    log::warn!("nobody reads the output: the last {left} messages are missing there");
                }
                return;
            }
            left -= usize::from(is_said);
        }
    }

    fn show_last(&mut self, mut event: Event, until: &mut Option<Instant>) -> bool {
        loop {
            event = match self.console.events.send_timeout(event, TAKEN_TIME) {
                Ok(()) => return true,
                Err(SendTimeoutError::Timeout(event)) => event,
                Err(SendTimeoutError::Disconnected(_)) => return false,
            };
            // Whoever has more to say does not wait for this.
            let is_left = self.console.commands.try_iter().any(|command| matches!(command, Command::Leave { .. }));
            if is_left && until.is_none() {
                *until = Some(Instant::now() + LEFT_TIME);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return false;
            }
        }
    }
}

/// What is given to be kept at once.
fn next_batch(room: &mut Room) -> Vec<Arc<Post>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while bytes < HISTORY_BATCH_BYTES_MAX
        && let Some(post) = room.next_kept()
    {
        bytes += post.frame.len();
        batch.push(post);
    }
    batch
}
