//! The program: arguments, log, run, exit code.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use crossbeam_channel::{bounded, unbounded};
use hobnob::access::{self, Access, AccessError, Asking, Offer};
use hobnob::args::{
    Args, BACKLOG_LINES, ContactsArgs, HistoryArgs, LISTEN_DEFAULT, RoomsArgs, SECRET_ADVICE, Task, TicketArgs, Who,
    hold_secret, render_manual,
};
use hobnob::console::{self, Acquainted, Channels, Input, LogWriter, Options, Pipe};
use hobnob::contacts::{self, Contact, Contacts, contacts_path};
use hobnob::daemon::{self, Console, Kept, Listen, StartError};
use hobnob::history::{self, Opened, query};
use hobnob::identity::{Id, Identity, IdentityError, key_path};
use hobnob::known::{Known, known_path};
use hobnob::limits::{COMMANDS_MAX, CONSOLE_QUEUE_EVENTS_MAX, LOG_BYTES_MAX, NUMBER_MAX};
use hobnob::lines::LinesError;
use hobnob::private::shield_memory;
use hobnob::room::event::{Outcome, Person};
use hobnob::room::{Config, Past, Reach, Wanted};
use hobnob::rooms::{self, ForgetError, Rooms, rooms_path};
use hobnob::secret::RoomSecret;
use hobnob::wire::record::{Domain, Mode, Nick, Post};
use hobnob::wire::seal::Chance;
use hobnob::wire::secure::{LinkSecurity, Psk};
use nix::sys::signal::{SigSet, Signal};
use thiserror::Error;

fn main() -> ExitCode {
    keep_hangup_ignored();
    let shielded = shield_memory();
    if hold_secret(std::env::args_os()) {
        let _ = writeln!(io::stderr(), "hobnob: {SECRET_ADVICE}");
        return ExitCode::from(EXIT_CONFIGURATION);
    }
    let args = Args::parse();
    start_log(args.verbose);
    if let Err(error) = shielded {
        log::warn!("a core dump of this program would hold its keys, and cannot be forbidden: {error}");
    }
    let code = match &args.task {
        Some(Task::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::definition(), "hobnob", &mut script);
            written(io::stdout().write_all(&script))
        }
        Some(Task::Man) => written(render_manual(&mut io::stdout())),
        Some(Task::History(options)) => print_history(options).unwrap_or_else(|error| failed(&error)),
        Some(Task::Contacts(options)) => print_contacts(options).unwrap_or_else(|error| failed(&error)),
        Some(Task::Rooms(options)) => print_rooms(options).unwrap_or_else(|error| failed(&error)),
        Some(Task::Ticket(options)) => write_ticket(options).unwrap_or_else(|error| failed(&error)),
        None => run(&args).map_or_else(|error| failed(&error), |outcome| ExitCode::from(exit_code(outcome))),
    };
    console::flush_log();
    code
}

fn failed(error: &RunError) -> ExitCode {
    console::flush_log();
    let _ = writeln!(io::stderr(), "hobnob: {error}");
    ExitCode::from(error.exit_code())
}

/// What clap exits with on wrong usage, too.
const EXIT_CONFIGURATION: u8 = 2;

/// The man page lists them.
fn exit_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Done => 0,
        Outcome::Failed => 1,
        Outcome::NoPeer => 3,
        Outcome::Unconfirmed => 4,
        Outcome::Refused => 5,
    }
}

/// A reader that has seen enough is no failure.
fn written(result: io::Result<()>) -> ExitCode {
    match result.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "hobnob: stdout cannot be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Warnings, or more with -v; `RUST_LOG` wins. The line editor logs every key, so it is asked for by name.
fn start_log(verbose: u8) {
    let filter = match verbose {
        0 => "warn",
        1 => "info,rustyline=warn",
        _ => "debug,rustyline=warn",
    };
    let environment = env_logger::Env::default().default_filter_or(filter);
    env_logger::Builder::from_env(environment)
        .target(env_logger::Target::Pipe(Box::new(LogWriter)))
        .write_style(env_logger::WriteStyle::Never)
        .init();
}

/// Why a run did not begin.
#[derive(Debug, Error)]
enum RunError {
    /// There is no way into the room.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// There is no key to be somebody with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The node could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A pipe that neither dials nor accepts anybody.
    #[error("nobody to say it to: name a PEER, or --listen for some")]
    Nobody,
    /// `--to` without anything to say.
    #[error("--to is for piped text; on a terminal, /chat WHO does that")]
    NotPiped,
    /// There is no such key.
    #[error("{nick} has never run here: there is no key in {}; -n NICK names another one", path.display())]
    NeverHere {
        /// Whose history was asked for.
        nick: Nick,
        /// Where the key would be.
        path: PathBuf,
    },
    /// Nothing was kept of that room by that identity.
    #[error("no history of the room {room} is kept for {nick}: there is no {folder}")]
    NoHistory {
        /// The room.
        room: String,
        /// Whose.
        nick: Nick,
        /// Where it would be.
        folder: PathBuf,
    },
    /// A history could not be read.
    #[error("the history cannot be read: {0}")]
    History(io::Error),
    /// The contacts could not be read.
    #[error(transparent)]
    Contacts(#[from] LinesError),
    /// A room could not be forgotten.
    #[error(transparent)]
    Forget(#[from] ForgetError),
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(#[from] getrandom::Error),
    /// Signals could not be caught.
    #[error("cannot catch signals: {0}")]
    Signals(#[from] ctrlc::Error),
}

impl RunError {
    fn exit_code(&self) -> u8 {
        match self {
            RunError::Access(AccessError::Unanswered { .. })
            | RunError::History(_)
            | RunError::Forget(ForgetError::File(_))
            | RunError::Contacts(_)
            | RunError::Start(_)
            | RunError::Random(_)
            | RunError::Signals(_) => exit_code(Outcome::Failed),
            RunError::Access(_)
            | RunError::Identity(_)
            | RunError::Nobody
            | RunError::NotPiped
            | RunError::Forget(_)
            | RunError::NeverHere { .. }
            | RunError::NoHistory { .. } => EXIT_CONFIGURATION,
        }
    }
}

fn kept_identity(who: &Who) -> Result<Identity, IdentityError> {
    match &who.identity {
        Some(path) => Identity::load_or_create(path),
        None => Identity::load_or_create(&key_path(who.nick().as_str())?),
    }
}

/// `hobnob ticket`.
fn write_ticket(args: &TicketArgs) -> Result<ExitCode, RunError> {
    let Offer { ticket, asked } = access::offer(args, || Ok(kept_identity(&args.who)?.id()))?;
    let Some(ticket) = ticket else { return Ok(ExitCode::SUCCESS) };
    if io::stderr().is_terminal() {
        for (addr, key) in &asked {
            let _ = writeln!(io::stderr(), "hobnob: {} answers at {addr}", key.short());
        }
    }
    if let Some(path) = &args.output {
        access::write_to(path, &ticket)?;
        return Ok(ExitCode::SUCCESS);
    }
    if ticket.secret.is_some() && io::stdout().is_terminal() {
        let _ = writeln!(io::stderr(), "hobnob: whoever has this line can join: pass it on in private");
    }
    let line = ticket.to_line();
    Ok(written(io::stdout().write_all(line.as_bytes()).and_then(|()| io::stdout().write_all(b"\n"))))
}

/// `hobnob history`.
fn print_history(args: &HistoryArgs) -> Result<ExitCode, RunError> {
    let (room, secret) = access::for_history(args, || console::ask("ticket"))?;
    let path = args.who.identity.clone().map_or_else(|| key_path(args.who.nick().as_str()), Ok)?;
    let nick = args.who.nick();
    let me = match Identity::load(&path) {
        Err(IdentityError::File(error)) if error.is_missing() => return Err(RunError::NeverHere { nick, path }),
        loaded => Person { id: loaded?.id(), nick },
    };
    let base = args.history.clone().map_or_else(history::state_folder, Ok)?;
    let folder = history::folder_of(&base, &room, &me.id, secret.as_ref());
    if !folder.is_dir() {
        return Err(RunError::NoHistory { room, nick: me.nick, folder });
    }
    let words = args.words.iter().map(|word| word.to_lowercase()).collect();
    let wanted = Wanted { last: args.last, since: args.since, words, ..Wanted::default() };
    let domain = Domain::of_room(&room);
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let people = contacts_path().ok().and_then(|path| contacts::load(&path).ok()).unwrap_or_default();
    let people = people.iter().filter(|person| person.contact).map(Contact::person);
    let mut teller = console::Teller::new(&me, people, args.json);
    let mut is_refused = false;
    let mut tell = |post: &Post| stdout.write_all(teller.tell(post)).inspect_err(|_| is_refused = true);
    let told = if wanted.last.is_some() {
        query::newest(&folder, &domain, &wanted, true)
            .and_then(|found| found.posts.iter().try_for_each(|post| tell(post)).map(|()| found.damaged))
    } else {
        query::each(&folder, &domain, &wanted, |post| tell(&post))
    };
    match told {
        Err(error) if is_refused => return Ok(written(Err(error))),
        Err(error) => return Err(RunError::History(error)),
        Ok(0) => {}
        Ok(damaged) => log::warn!("history: {damaged} damaged lines in {} are skipped", folder.display()),
    }
    Ok(written(stdout.write_all(teller.finish()).and_then(|()| stdout.flush())))
}

/// `hobnob contacts`.
fn print_contacts(args: &ContactsArgs) -> Result<ExitCode, RunError> {
    let people = contacts::load(&contacts_path()?)?;
    let text = if args.json { console::contacts_json(&people) } else { console::contacts_list(&people) };
    Ok(written(io::stdout().write_all(text.as_bytes())))
}

/// `hobnob rooms`.
fn print_rooms(args: &RoomsArgs) -> Result<ExitCode, RunError> {
    let path = rooms_path()?;
    if let Some(name) = &args.forget {
        rooms::forget(&path, name)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rooms: Rooms = rooms::load(&path)?;
    let text = if args.json { console::rooms_json(&rooms) } else { console::rooms_list(&rooms) };
    Ok(written(io::stdout().write_all(text.as_bytes())))
}

/// Who is known from earlier runs. A run of somebody who will never be seen again leaves no trace there.
fn known_peers(args: &Args, room: &str) -> Known {
    match known_path() {
        Ok(path) => Known::open(path, room, !args.ephemeral),
        Err(error) => {
            if !args.ephemeral {
                log::warn!("known peers cannot be kept: {error}");
            }
            Known::nobody(room)
        }
    }
}

/// Whom the user keeps. A run of somebody who will never be seen again changes nothing there.
fn contacts(args: &Args) -> Contacts {
    match contacts_path() {
        Ok(path) => Contacts::open(path, !args.ephemeral),
        Err(error) => {
            if !args.ephemeral {
                log::warn!("contacts cannot be kept: {error}");
            }
            Contacts::nobody()
        }
    }
}

/// What is kept of the room, and who goes on with it. A run that passes by, or is somebody else's next time, keeps a
/// history only where it is told to.
fn history(args: &Args, access: &Access, me: &Id, passing: bool) -> Option<(PathBuf, Opened)> {
    let fleeting = passing || args.ephemeral;
    if args.no_history || (fleeting && args.history.is_none()) {
        return None;
    }
    let base = match args.history.clone().map_or_else(history::state_folder, Ok) {
        Ok(base) => base,
        Err(error) => {
            log::warn!("the history cannot be kept: {error}");
            return None;
        }
    };
    let folder = history::folder_of(&base, &access.room, me, access.secret.as_ref());
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    let opened = history::open(&folder, &access.room, *me, now);
    Some((folder, opened))
}

/// What no two runs share, and nobody guesses.
fn fresh_chance() -> Result<Chance, getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(Chance::from_seed(seed))
}

/// Under nohup the end of a terminal is none of ours. Called before there is another thread.
fn keep_hangup_ignored() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    if ignored >> (Signal::SIGHUP as u32 - 1) & 1 == 1 {
        // The handler that follows would take it; all threads inherit this.
        let _ = SigSet::from(Signal::SIGHUP).thread_block();
    }
}

/// The channels between the router and the console, as each holds them.
fn channels() -> (Console, Channels) {
    let (command, commands) = bounded(COMMANDS_MAX);
    let (say, says) = bounded(0);
    let (order, orders) = bounded(0);
    let (event, events) = bounded(CONSOLE_QUEUE_EVENTS_MAX);
    let (ended, outcome) = bounded(1);
    // The one who types takes all answers before each line.
    let (partner, partners) = unbounded();
    let in_hand = Arc::new(AtomicBool::new(false));
    let pipe = Pipe { says: say, orders: order, in_hand: Arc::clone(&in_hand) };
    (
        Console { says, orders, in_hand, commands, events: event, outcome: ended, partners: partner },
        Channels { pipe, commands: command, events, outcome, partners },
    )
}

fn run(args: &Args) -> Result<Outcome, RunError> {
    let input = if args.messages.is_empty() { Input::of_stdin() } else { Input::Text };
    let passing = input == Input::Text && !args.stay && args.listen.is_none();
    let (daemon_ends, console_ends) = channels();
    let for_signals = console_ends.commands.clone();
    ctrlc::set_handler(move || console::leave_or_exit(&for_signals))?;
    let sits_there = input == Input::Terminal && io::stderr().is_terminal();
    let asking = Asking { ask: || console::ask("ticket"), choose: sits_there.then_some(console::choose) };
    let Some(access) = Access::of(args, passing, asking)? else { return Ok(Outcome::Done) };
    if args.to.is_some() && input != Input::Text {
        return Err(RunError::NotPiped);
    }
    if passing && access.named.is_empty() {
        return Err(RunError::Nobody);
    }
    let nick = args.who.nick();
    let identity = if args.ephemeral { Identity::ephemeral()? } else { kept_identity(&args.who)? };
    let kept = history(args, &access, &identity.id(), passing);
    let Access { room, label, secret, named, memory } = access;
    let (folder, past, remembered, keeper) = match kept {
        Some((folder, Opened { past, acquaintances, keeper })) => {
            (Some((folder, room.clone())), past, acquaintances, keeper)
        }
        None => (None, Past::default(), Vec::new(), None),
    };
    let security = if args.plaintext {
        LinkSecurity::Plaintext
    } else {
        LinkSecurity::Noise(Psk::derive(&room, secret.as_ref().map(RoomSecret::bytes)))
    };
    let acquainted = Acquainted { known: known_peers(args, &room), contacts: contacts(args), memory };
    let listen = match args.listen {
        _ if args.no_listen || passing => Listen::No,
        Some(addr) => Listen::At(addr),
        None => Listen::Preferably(LISTEN_DEFAULT),
    };
    let options = Options {
        me: Person { id: identity.id(), nick: nick.clone() },
        json: args.json,
        color: args.color,
        quiet: args.quiet,
        commands: args.commands,
        messages: args.messages.clone(),
        to_one: args.to.is_some(),
        passing,
        identity: (!args.ephemeral && args.who.identity.is_none()).then(|| identity.clone()),
        plaintext: args.plaintext,
        room: label,
        listens: listen != Listen::No,
        secret,
        history: folder,
        input,
    };
    let config = Config {
        identity,
        session: getrandom::u64()? % NUMBER_MAX + 1,
        nick,
        room,
        mode: match () {
            () if args.hub => Mode::Hub,
            // Nobody is there to learn it from.
            () if named.is_empty() && remembered.is_empty() => Mode::Mesh,
            () => Mode::Any,
        },
        rank: args.rank,
        reach: match () {
            () if args.no_mesh || passing => Reach::NamedOnly,
            () if args.no_listen => Reach::Undialable,
            () => Reach::Dialable,
        },
        listening: None,
        named,
        remembered,
        passing,
        wait_ms: args.wait * 1_000,
        linger_ms: args.linger * 1_000,
        confirm: args.confirm,
        // A script knows what it has said.
        echo: args.json || input == Input::Terminal,
        backlog_lines: args.backlog.unwrap_or(if passing { 0 } else { BACKLOG_LINES }),
        keep: false,
        log_bytes_max: LOG_BYTES_MAX,
        seed: getrandom::u64()?,
        chance: fresh_chance()?,
        to: args.to.clone(),
    };
    let kept = Kept {
        past,
        keeper: keeper.as_ref().map(|keeper| keeper.keepsakes.clone()),
        letters: keeper.as_ref().map(|keeper| keeper.letters.clone()),
        kept: keeper.as_ref().map(|keeper| keeper.kept.clone()),
    };
    daemon::start(config, listen, security, kept, daemon_ends)?;
    let outcome = console::run(&options, acquainted, console_ends);
    if let Some(keeper) = keeper {
        keeper.close();
    }
    Ok(outcome)
}
