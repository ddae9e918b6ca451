//! The person or script in front of the program: what they say goes to the room, what the room tells
//! is shown to them.
//!
//! Two threads. The main one prints: it alone writes to stdout and, while a line is being edited, to
//! the terminal. The thread `input` reads: a terminal line by line (`terminal`), or piped text as it
//! comes (`pipe`). Everything passes through channels that are bounded; a slow stdout holds up the
//! events behind it and nothing else. Text of others passes the `filter` before it is shown.

mod ask;
pub mod bell;
mod choose;
pub mod chunk;
pub mod command;
mod complete;
pub mod filter;
mod goodbye;
mod input;
pub mod invite;
pub mod json;
mod logging;
pub mod mention;
mod naming;
mod output;
mod people;
mod pipe;
pub mod print;
mod recall;
mod screen;
mod speaker;
mod teller;
mod terminal;
mod tty;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use jiff::Timestamp;

pub use ask::ask;
pub use choose::{Choice, choose};
pub use complete::complete;
pub use goodbye::{leave, leave_or_exit};
pub use input::Input;
pub use logging::{LogWriter, flush_log};
pub use naming::Naming;
pub use print::people::{json as contacts_json, list as contacts_list};
pub use print::rooms::{json as rooms_json, list as rooms_list};
pub use teller::Teller;
pub use terminal::rows_of;

use crate::args::ColorChoice;
use crate::contacts::Contacts;
use crate::history::query::Found;
use crate::identity::{Id, Identity, key_path};
use crate::known::{Known, today};
use crate::room::Wanted;
use crate::room::event::{Command, Event, Outcome, Person, Said, Status, Whisper};
use crate::room::names::start_of;
use crate::rooms::Memory;
use crate::secret::RoomSecret;
use crate::wire::record::Nick;
use input::Started;
use mention::Mention;
use output::Output;
use print::{Printer, Protection, Shown, Style};
use recall::Recall;
use screen::Screen;
use speaker::{Local, Query};

/// How the console behaves.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Clone)]
pub struct Options {
    /// Who we are, by the name at the start.
    pub me: Person,
    /// Write JSON lines.
    pub json: bool,
    /// When to use colours.
    pub color: ColorChoice,
    /// Do not tell who comes and goes.
    pub quiet: bool,
    /// Run commands in piped text.
    pub commands: bool,
    /// What is said instead of what is read.
    pub messages: Vec<String>,
    /// All that is piped in is for one reader.
    pub to_one: bool,
    /// The run is there for what is piped in, and ends with it.
    pub passing: bool,
    /// Our identity, where it is kept by nick, so that a new nick gets it, too.
    pub identity: Option<Identity>,
    /// Links are not encrypted, which is told.
    pub plaintext: bool,
    /// How the room is called, for people.
    pub room: String,
    /// Peers are accepted.
    pub listens: bool,
    /// What the room is closed with, for `/invite`.
    pub secret: Option<RoomSecret>,
    /// Where the history is kept, and of which room, if it is.
    pub history: Option<(PathBuf, String)>,
    /// What is read.
    pub input: Input,
}

/// The ends of the channels to the router.
#[derive(Debug)]
pub struct Channels {
    /// For what is piped in.
    pub pipe: Pipe,
    /// Commands and text that are typed on a terminal, and how a run is left.
    pub commands: Sender<Command>,
    /// What to show.
    pub events: Receiver<Event>,
    /// How the run has ended, once that channel is closed.
    pub outcome: Receiver<Outcome>,
    /// Whom what is typed goes to.
    pub partners: Receiver<Option<Person>>,
}

/// Where piped text and the commands in it go: each is a rendezvous, so that a send waits until the room takes it.
#[derive(Debug, Clone)]
pub struct Pipe {
    /// Text.
    pub says: Sender<Said>,
    /// Commands.
    pub orders: Sender<Command>,
    /// Text was read, and not all of it has gone there.
    pub in_hand: Arc<AtomicBool>,
}

/// Lines of this program's own (help, errors, log) that wait for the console's thread. Nothing typed ahead is printed
/// before the last line of it is being edited.
const LOCAL_LINES_MAX: usize = 1_024;

/// What is put together before it is written, where more events wait: a few says of the longest
/// kind, so that a write pays and a screen does not wait.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Told at the start where links are not encrypted.
const PLAINTEXT: &str = "links are not encrypted (--plaintext): whoever is on the way reads along";

/// Whom earlier runs have met, and whom the user keeps.
#[derive(Debug)]
pub struct Acquainted {
    /// Who had which name: a warning where it comes with another key.
    pub known: Known,
    /// Who is a contact, and who is ignored.
    pub contacts: Contacts,
    /// What is to be remembered of the room.
    pub memory: Memory,
}

/// Shows events and passes on what is typed or piped in, until the run ends. Called once, on the main thread.
pub fn run(options: &Options, acquainted: Acquainted, channels: Channels) -> Outcome {
    let Channels { pipe, commands, events, outcome, partners } = channels;
    let (local_sender, local) = bounded(LOCAL_LINES_MAX);
    // A thread that waits for both channels need not care when the input ends.
    let kept = pipe.clone();
    let naming = Naming::default();
    let started = input::start(options, &naming, pipe, commands.clone(), local_sender.clone(), partners);
    logging::divert(started.output.notices_on_screen.then(|| local_sender.clone()));
    let recall = Recall::new(options.history.clone(), local_sender.clone());
    let mut console = Console::new(options, acquainted, naming, started, commands, recall);
    console.shut_out_changed();
    if !options.listens && !options.passing {
        console.greet(None);
    }
    if options.plaintext {
        console.event(&Event::Warning(PLAINTEXT.to_owned()));
    }
    let outcome = console.run(&events, &outcome, &local);
    logging::divert(None);
    drop((local_sender, kept));
    outcome
}

/// How stdout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stdout {
    Open,
    /// Whoever read it has gone.
    Closed,
    /// It cannot be written, and the run fails.
    Broken,
}

/// What the main thread owns.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug)]
struct Console {
    me: Person,
    json: bool,
    quiet: bool,
    identity: Option<Identity>,
    known: Known,
    contacts: Contacts,
    memory: Memory,
    /// How the room is called.
    room: String,
    /// Of whom nothing is shown.
    shut_out: BTreeSet<Id>,
    /// The room does not know that yet.
    unacquainted: bool,
    /// Who is here was asked for the sake of the contacts.
    asked_whereabouts: bool,
    naming: Naming,
    mention: Mention,
    secret: Option<RoomSecret>,
    protection: Protection,
    printer: Printer,
    output: Output,
    screen: Option<Arc<Screen>>,
    commands: Sender<Command>,
    shown: Shown,
    /// Which whispers are in what is written next.
    whispers: Vec<Arc<Whisper>>,
    /// What the answers to come are for.
    asked_names: VecDeque<Query>,
    asked_status: VecDeque<Query>,
    asked_recall: VecDeque<Wanted>,
    recall: Recall,
    stdout: Stdout,
    /// Text is piped in, and all of it is to be said, whether stdout is read or not.
    passing: bool,
    /// The input could not be read to its end.
    failed: bool,
}

impl Console {
    fn new(
        options: &Options,
        Acquainted { known, contacts, memory }: Acquainted,
        naming: Naming,
        started: Started,
        commands: Sender<Command>,
        recall: Recall,
    ) -> Self {
        let style = Style {
            together: input::is_conversation(options.input) && !options.json,
            color: input::uses_color(options.color),
            quiet: options.quiet,
        };
        Self {
            me: options.me.clone(),
            json: options.json,
            quiet: options.quiet,
            identity: options.identity.clone(),
            known,
            contacts,
            memory,
            room: options.room.clone(),
            shut_out: BTreeSet::new(),
            unacquainted: false,
            asked_whereabouts: false,
            naming: naming.clone(),
            mention: Mention::of(&options.me),
            secret: options.secret.clone(),
            protection: Protection { secret: options.secret.is_some(), encrypted: !options.plaintext },
            printer: Printer::new(style, &options.me, naming),
            output: started.output,
            screen: started.screen,
            commands,
            shown: Shown::default(),
            whispers: Vec::new(),
            asked_names: VecDeque::new(),
            asked_status: VecDeque::new(),
            asked_recall: VecDeque::new(),
            recall,
            stdout: Stdout::Open,
            passing: options.passing,
            failed: false,
        }
    }

    fn run(mut self, events: &Receiver<Event>, outcome: &Receiver<Outcome>, local: &Receiver<Local>) -> Outcome {
        let kept = self.contacts.answers();
        let mut is_over = false;
        self.write();
        while !is_over {
            select! {
                recv(events) -> event => match event {
                    Ok(event) => self.events(event, events, local),
                    Err(_) => is_over = true,
                },
                recv(local) -> told => {
                    if let Ok(told) = told {
                        self.local(told);
                    }
                }
                recv(kept) -> answer => {
                    if let Ok(answer) = answer {
                        self.contacts_kept(answer);
                    }
                }
            }
            self.acquaint();
            if local.is_empty() {
                self.own_up();
            }
            self.write();
        }
        for told in local.try_iter() {
            self.local(told);
        }
        self.own_up();
        self.close_contacts();
        self.printer.close_line(&mut self.shown);
        self.write();
        self.output.close();
        self.known.close();
        self.memory.close();
        // A router that is gone without a word has failed.
        let outcome = outcome.try_recv().ok().filter(|_| self.stdout != Stdout::Broken).unwrap_or(Outcome::Failed);
        if self.failed && outcome == Outcome::Done { Outcome::Failed } else { outcome }
    }

    /// Tells what was typed and not done.
    fn own_up(&mut self) {
        let skipped = self.screen.as_ref().map_or(0, |screen| screen.skipped());
        if skipped > 0 {
            self.local(Local::Trouble(format!("too much was typed at once: {skipped} commands were not done")));
        }
    }

    /// Takes an event and those that wait behind it.
    fn events(&mut self, first: Event, events: &Receiver<Event>, local: &Receiver<Local>) {
        let mut next = Some(first);
        while let Some(event) = next {
            // A question is told before it is asked, so it is known before its answer.
            for told in local.try_iter() {
                self.local(told);
            }
            self.event(&event);
            let full = self.shown.chat.len() + self.shown.notices.len() >= BATCH_BYTES_MAX;
            next = if full { None } else { events.try_recv().ok() };
        }
    }

    fn event(&mut self, event: &Event) {
        self.remember(event);
        self.guard(event);
        if let Event::Said { post, mine: false, .. } = event {
            self.meet(&Person::of(post));
        }
        if let Event::Whispered(whisper) = event {
            self.meet(&whisper.from);
            self.whispers.push(Arc::clone(whisper));
        }
        self.show(event);
        match event {
            Event::Listening { addr, .. } => self.greet(Some(*addr)),
            Event::Linked(_) => self.memory.joined(),
            Event::Renamed { member, .. } if member.id == self.me.id => self.bind_key(&member.nick),
            Event::Joined { member, .. } | Event::Renamed { member, .. } => self.meet(member),
            Event::Present(people) => people.iter().for_each(|person| self.meet(person)),
            _ => {}
        }
    }

    /// A name that we have taken is ours in later runs, too, unless it was somebody's on this machine.
    fn bind_key(&mut self, nick: &Nick) {
        let Some(identity) = &self.identity else { return };
        let trouble = match key_path(nick.as_str()).and_then(|path| identity.keep_also(&path)) {
            Ok(id) if id == self.me.id => return,
            Ok(id) => {
                let (other, mine) = (start_of(&id, Some(&self.me.id)), start_of(&self.me.id, Some(&id)));
                format!(
                    "{nick} has a key of its own here ({other}): this run keeps yours ({mine}); a run begun with --nick {nick} has the other"
                )
            }
            Err(error) => format!("this run goes on as {nick}, later ones may have another key: {error}"),
        };
        self.event(&Event::Warning(trouble));
    }

    /// Whoever has a name to himself is held to the key that it had before. Where two have it, both are
    /// tagged, and neither is taken for the one known.
    fn meet(&mut self, person: &Person) {
        if person.id == self.me.id || self.shut_out.contains(&person.id) || self.naming.is_shared(person) {
            return;
        }
        match self.known.meet(person, today()) {
            Some(changed) if self.json => json::push_changed(&changed, &mut self.shown.chat),
            Some(changed) => self.printer.warn(&changed, &mut self.shown),
            None => {}
        }
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Names(members) => {
                self.contacts.observe(members, Timestamp::now());
                let whois = match self.asked_names.pop_front() {
                    Some(Query::People(asked)) => return self.people(asked, members),
                    Some(Query::Whois(who)) => Some(who),
                    _ => None,
                };
                if self.json {
                    json::push_names(members, whois.as_deref(), &self.contacts, &mut self.shown.chat);
                } else {
                    self.printer.names(members, whois.as_deref(), &self.contacts, &mut self.shown);
                }
            }
            Event::Status(status) => match self.asked_status.pop_front() {
                Some(Query::Invite) => self.invite(status),
                _ if self.json => json::push_status(status, self.protection, &mut self.shown.chat),
                query => {
                    let only_me = matches!(query, Some(Query::Whoami));
                    self.printer.status(status, self.protection, only_me, &mut self.shown);
                }
            },
            Event::Recalled(posts) => {
                let wanted = self.asked_recall.pop_front().unwrap_or_default();
                if let Some(answer) = self.recall.answer(wanted, posts.clone()) {
                    self.local(answer);
                }
            }
            // Leaving ends the links, which is no news.
            Event::Unlinked(..) if !self.json && goodbye::is_asked() => {}
            event if self.is_hidden(event) => {
                self.naming.before(event);
                self.naming.after(event);
            }
            event if self.json => {
                self.naming.before(event);
                self.mention.follow(event);
                json::push_event(event, &self.mention, &mut self.shown.chat);
                if matches!(event, Event::Undelivered { .. }) {
                    // Why a run ends as it does stands on stderr, whatever stdout is for.
                    self.printer.event(event, &mut self.shown);
                }
                self.naming.after(event);
            }
            event => self.printer.event(event, &mut self.shown),
        }
    }

    /// Looks for what was said earlier, but by those who are shut out.
    fn recall(&mut self, wanted: Wanted) {
        let wanted = Wanted { without: self.shut_out.clone(), ..wanted };
        self.asked_recall.push_back(wanted.clone());
        // The router never blocks, and where it has ended there is no answer.
        let _ = self.commands.send(Command::Recall(wanted));
    }

    fn recalled(&mut self, wanted: &Wanted, mut found: Found) {
        // Who had a contact's name with another key is told, and not shown, as when it was said.
        found.posts.iter().for_each(|post| self.refuse(&Person::of(post)));
        found.posts.retain(|post| !self.shut_out.contains(&post.feed.author));
        if self.json {
            json::push_recalled(&found, self.me.id, &mut self.shown.chat);
        } else {
            self.printer.recalled(wanted, &found, &self.me.nick, &mut self.shown);
        }
    }

    fn invite(&mut self, status: &Status) {
        match invite::ticket(status, self.secret.as_ref(), &invite::machine_addresses()) {
            Ok(ticket) if self.json => json::push_ticket(&ticket, &mut self.shown.chat),
            Ok(ticket) => self.printer.ticket(&ticket, &mut self.shown),
            Err(error) => self.local(Local::Trouble(error.to_string())),
        }
    }

    /// Keeps what the prompt needs.
    /// The first line: who this is, in which room, and where it is reached.
    fn greet(&mut self, listening: Option<SocketAddr>) {
        if !self.json && !self.quiet {
            let line = print::notice::greeting(&self.me, &self.room, self.protection.secret, listening);
            self.printer.tell(&line, &mut self.shown);
        }
    }

    fn remember(&mut self, event: &Event) {
        let Some(screen) = &self.screen else { return };
        match event {
            Event::Renamed { member, .. } if member.id == self.me.id => {
                self.me = member.clone();
                *screen.nick.lock() = member.nick.clone();
            }
            // Perhaps it was the new nick that the prompt shows already.
            Event::Refused(_) => *screen.nick.lock() = self.me.nick.clone(),
            _ => {}
        }
    }

    fn local(&mut self, told: Local) {
        match told {
            Local::Note(text) if self.json => json::push_told("notice", &text, &mut self.shown.chat),
            Local::Note(text) => self.printer.tell(&text, &mut self.shown),
            Local::Trouble(text) if self.json => json::push_told("error", &text, &mut self.shown.chat),
            Local::Trouble(text) => self.printer.complain(&text, &mut self.shown),
            Local::Log(line) => self.output.log(&line),
            Local::Asked(query @ (Query::Names | Query::Whois(_) | Query::People(_))) => {
                self.asked_names.push_back(query);
            }
            Local::Recall(wanted) => self.recall(wanted),
            Local::Asked(query) => self.asked_status.push_back(query),
            Local::Recalled(wanted, found) => {
                self.recall.answered();
                self.recalled(&wanted, found);
            }
            Local::Quiet if self.json => {}
            Local::Quiet => self.printer.toggle_quiet(&mut self.shown),
            Local::Bell(bell) => {
                let told = self.printer.set_bell(bell).to_owned();
                self.local(Local::Note(told));
            }
            Local::Clear => self.output.clear(&mut self.shown),
            Local::Failed(text) => {
                self.failed = true;
                self.local(Local::Trouble(text));
            }
        }
    }

    /// Writes what has come together. A closed stdout ends the run quietly, any other fault aloud.
    fn write(&mut self) {
        let whispers = std::mem::take(&mut self.whispers);
        if self.stdout != Stdout::Open {
            self.shown.chat.clear();
        }
        let Err(error) = self.output.write(&mut self.shown) else {
            // Their senders hear of it now, and not where stdout takes nothing.
            if self.stdout == Stdout::Open && !whispers.is_empty() {
                let _ = self.commands.send(Command::Shown(whispers));
            }
            return;
        };
        if self.stdout != Stdout::Open {
            return;
        }
        if error.kind() == io::ErrorKind::BrokenPipe {
            self.stdout = Stdout::Closed;
            if self.passing {
                return;
            }
        } else {
            self.stdout = Stdout::Broken;
            log::error!("stdout cannot be written: {error}");
        }
        leave(&self.commands, String::new());
    }
}

/// Spawns the thread that reads.
fn spawn_input(task: impl FnOnce() + Send + 'static) {
    thread::Builder::new()
        .name("input".to_owned())
        .spawn(task)
        .expect("a process at its start can have a second thread");
}
