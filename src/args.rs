//! The command line: one definition for `--help`, the man page and shell completions.
//!
//! It checks what can be checked without the network or a file, so that a mistake ends the program
//! with exit code 2 before anything has begun. What it does not do: read keys, open sockets.

mod manual;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use thiserror::Error;

use crate::addr::{AddrError, PORT, PeerAddr};
use crate::identity::Id;
use crate::limits::{MEMBERS_MAX, NICK_BYTES_MAX, RANK_DEFAULT, TICKET_ADDRESSES_MAX};
use crate::moment::{self, MomentError};
use crate::room::event::Confirm;
use crate::ticket::Ticket;
use crate::token::TokenError;
use crate::wire::record::{self, Nick};

pub use manual::render as render_manual;

/// The address listened on when none is given; any free port serves if this one is taken.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);

/// Lines of earlier talk that a person is shown on joining.
pub const BACKLOG_LINES: usize = 50;

/// What is told to somebody who gave a secret away on the command line.
pub const SECRET_ADVICE: &str = "a secret stands on the command line, where other users see it and the shell's \
history keeps it: take it for known, make a new key, and use --ticket FILE, --ticket -, --room-key-file FILE, \
HOBNOB_TICKET or HOBNOB_ROOM_KEY";

const LONG_ABOUT: &str = "\
A group chat without a server, for people and for scripts.

Every hobnob links to some others and passes everybody's words on. On a terminal it is a chat with \
commands (/help lists them). Lines piped in are said, confirmed by all who are there, and the run ends. \
With stdin closed or /dev/null it only listens.";

const AFTER_HELP: &str = "\
Examples:
  hobnob -n alice -l 0.0.0.0:9000
          found a room on port 9000, or join it when others dial
  hobnob -n bob alice.example:9000
          join it through alice
  df -h | hobnob -n disk alice.example:9000
          say some lines, have them confirmed, and end
  hobnob ticket -n alice -r tea --new-key tea.key -o tea.ticket alice.example:9000
          make a key that closes a room, and a ticket to it
  hobnob --json alice.example:9000 < /dev/null | jq -r 'select(.event == \"say\").text'
          listen, for a script

Exit codes:
  0  done: all that was piped in was said and is confirmed
  1  a network or run-time failure
  2  wrong usage or configuration
  3  no peer was linked when the first line was read that is not confirmed, or later: it was not said
  4  a peer was linked, and not all is confirmed: by all, by those that --confirm asks for, or by WHO with --to
  5  every peer refused
Each but 0 has a word on stderr, which says who lacks something where that is known.";

/// The command line.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[expect(clippy::doc_markdown, reason = "these lines are --help, which has no backticks")]
#[derive(Debug, Parser)]
#[command(
    name = "hobnob",
    version,
    about = "A group chat without a server, for people and for scripts",
    long_about = LONG_ABOUT,
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Args {
    /// Something else than chatting.
    #[command(subcommand)]
    pub task: Option<Task>,

    /// Peers to link to.
    #[arg(help = "Peers to link to, as HOST:PORT, [IPv6]:PORT, HOST alone for port 4646, @NICK for a contact, or a \
                ticket without a secret; the first may also be the name of a remembered room")]
    #[arg(value_name = "PEER", value_hint = clap::ValueHint::Hostname, value_parser = parse_peer)]
    pub peers: Vec<Peer>,

    /// Peers, whatever their names are.
    #[arg(help = "Peers, whatever their names are: none of these words is a command or a room")]
    #[arg(value_name = "HOST", last = true, value_hint = clap::ValueHint::Hostname, value_parser = parse_peer)]
    pub hosts: Vec<Peer>,

    /// Accept peers at this address: PORT, ADDR or ADDR:PORT [default: 0.0.0.0:4646, any free port if
    /// that one is taken; a pipe without --stay does not listen].
    #[arg(short, long, value_name = "ADDR", value_parser = parse_listen)]
    pub listen: Option<SocketAddr>,

    /// Accept no peers.
    #[arg(long, conflicts_with = "listen")]
    pub no_listen: bool,

    /// Found the room in hub mode: all link to one member, and when it goes, to another one who takes over. Who joins
    /// follows what the room is.
    #[arg(long, conflicts_with = "no_mesh")]
    pub hub: bool,

    /// How much this node wants to be the hub, from 0, never, to 255.
    #[arg(long, value_name = "N", default_value_t = RANK_DEFAULT)]
    pub rank: u8,

    /// Link only to the PEERs named and to those who dial this node; announce no address.
    #[arg(long)]
    pub no_mesh: bool,

    /// Who to be.
    #[command(flatten)]
    pub who: Who,

    /// Which room.
    #[command(flatten)]
    pub place: Place,

    /// Join by the ticket in FILE, or by one that is typed or piped in where FILE is "-"; or by the one in
    /// HOBNOB_TICKET.
    #[arg(long, value_name = "FILE", conflicts_with = "room_key_file", value_hint = clap::ValueHint::FilePath)]
    pub ticket: Option<PathBuf>,

    /// Say what is piped in to WHO alone: a nick, the start of a key, or NICK#KEY. Done when WHO has seen all of it.
    #[arg(long, value_name = "WHO")]
    pub to: Option<String>,

    /// Say TEXT instead of what is piped in, and end when it is confirmed; nothing is read from stdin. Each one is a message.
    #[arg(short, long = "message", value_name = "TEXT", conflicts_with = "commands", allow_hyphen_values = true)]
    pub messages: Vec<String>,

    /// Write what happens to stdout as JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Keep running after the end of stdin.
    #[arg(long)]
    pub stay: bool,

    /// How long to look for a peer once stdin has ended. While it is open the run looks for one for ever, unless every peer
    /// refuses.
    #[arg(long, value_name = "SECS", default_value_t = 10, value_parser = parse_seconds())]
    pub wait: u64,

    /// How long to wait at the end for others to confirm what was said; counted anew whenever one of them has more of it.
    #[arg(long, value_name = "SECS", default_value_t = 10, value_parser = parse_seconds())]
    pub linger: u64,

    /// Who has to confirm what was said: all who are there at the end of stdin, any other member, or N others.
    #[arg(long, value_name = "all|any|N", default_value = "all", hide_default_value = true, value_parser = parse_confirm)]
    #[arg(conflicts_with = "to")]
    pub confirm: Confirm,

    /// Be somebody new for this run only; nothing is kept.
    #[arg(long, conflicts_with = "identity")]
    pub ephemeral: bool,

    /// Do not encrypt links: for a trusted wire, for teaching, for tests. The other ends must do the same.
    #[arg(long)]
    pub plaintext: bool,

    /// Run lines of piped text that begin with "/" as commands; "//x" says "/x".
    #[arg(long)]
    pub commands: bool,

    /// How many lines said earlier to show on joining, in whole messages [default: 50; none in a run
    /// that ends with its input].
    #[arg(long, value_name = "N")]
    pub backlog: Option<usize>,

    /// Keep the history of the room below DIR [default: hobnob/history in the state folder; a run that ends
    /// with its input, or is --ephemeral, keeps none].
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub history: Option<PathBuf>,

    /// Keep no history of the room on disk, nor by which peers to find it, and read none.
    #[arg(long, conflicts_with = "history")]
    pub no_history: bool,

    /// When to use colours; NO_COLOR and TERM=dumb are honoured by auto.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,

    /// Do not tell who comes and goes.
    #[arg(short, long)]
    pub quiet: bool,

    /// Log more to stderr, twice for debugging; RUST_LOG wins.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Who to be.
#[derive(Debug, clap::Args)]
pub struct Who {
    /// The name that others see [default: the login name].
    #[arg(short, long, value_name = "NAME", value_parser = parse_nick)]
    pub nick: Option<Nick>,

    /// Keep the key that says who this is in FILE [default: one for each nick, in the data folder].
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub identity: Option<PathBuf>,
}

/// Which room, and what it is closed with.
#[expect(clippy::doc_markdown, reason = "these lines are --help, which has no backticks")]
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The room to be in [default: that of the ticket, or lobby].
    #[arg(short, long, value_name = "NAME", value_parser = parse_room)]
    pub room: Option<String>,

    /// Be in the open room of that name, also where a closed one is remembered.
    #[arg(long, conflicts_with = "room_key_file")]
    pub open: bool,

    /// Close the room to all who do not know the key in FILE, a passphrase or a random one; or the one in
    /// HOBNOB_ROOM_KEY.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub room_key_file: Option<PathBuf>,
}

/// The command line of `hobnob ticket`.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("through").args(["addresses", "hosts"]).multiple(true)))]
pub struct TicketArgs {
    /// Where others reach the one who is named by --nick or --identity.
    #[arg(help = "Where others reach this host, as HOST:PORT, [IPv6]:PORT or HOST alone for port 4646")]
    #[arg(value_name = "ADDR", num_args = 0..=TICKET_ADDRESSES_MAX)]
    #[arg(required_unless_present_any = ["new_key", "hosts"], value_hint = clap::ValueHint::Hostname)]
    pub addresses: Vec<PeerAddr>,

    /// Name another host, too, through whom others join: where it is reached, and its key, which is asked for there
    /// if it is not given; or a contact, with its addresses. May be repeated; a ticket has 8 addresses in all.
    #[arg(long = "host", value_name = "ADDR[=KEY]|@NICK", value_parser = parse_host)]
    pub hosts: Vec<HostArg>,

    /// Write the ticket to FILE, which only its owner may read, and which must not be there yet.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    #[arg(requires = "through")]
    pub output: Option<PathBuf>,

    /// Whose key the ticket names.
    #[command(flatten)]
    pub who: Who,

    /// Which room it opens.
    #[command(flatten)]
    pub place: Place,

    /// Make a random key for a room and keep it in FILE, which must not be there yet.
    #[arg(long, value_name = "FILE", conflicts_with = "room_key_file", value_hint = clap::ValueHint::FilePath)]
    pub new_key: Option<PathBuf>,
}

/// The command line of `hobnob history`.
#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// Only messages in which each of these words stands.
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,

    /// Whose history.
    #[command(flatten)]
    pub who: Who,

    /// Of which room.
    #[command(flatten)]
    pub place: Place,

    /// Of the room that the ticket in FILE opens.
    #[arg(long, value_name = "FILE", conflicts_with = "room_key_file", value_hint = clap::ValueHint::FilePath)]
    pub ticket: Option<PathBuf>,

    /// Where it was kept, if that was said.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub history: Option<PathBuf>,

    /// Only the last N messages.
    #[arg(long, value_name = "N")]
    pub last: Option<usize>,

    /// Only what was said since TIME: 14:30, 2026-11-20, 2026-11-20T14:30, or so long ago as 2h30m.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub since: Option<u64>,

    /// Write JSON, one object a line, as a run with --json does.
    #[arg(long)]
    pub json: bool,
}

/// The command line of `hobnob contacts`.
#[derive(Debug, clap::Args)]
pub struct ContactsArgs {
    /// Write JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// The command line of `hobnob rooms`.
#[derive(Debug, clap::Args)]
pub struct RoomsArgs {
    /// Forget the room NAME, or NAME#TAG where two closed ones have that name.
    #[arg(long, value_name = "NAME")]
    pub forget: Option<String>,

    /// Write JSON, one object a line.
    #[arg(long, conflicts_with = "forget")]
    pub json: bool,
}

/// A peer as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Whoever answers there.
    At(PeerAddr),
    /// A ticket without a secret.
    Ticket(Ticket),
    /// A contact: a nick, or the start of a key.
    Contact(String),
    /// A host without a port or a dot in its name, or a room.
    Word(String),
}

/// Another host of a ticket, as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostArg {
    /// Where it is reached, and its key where that was given.
    At(PeerAddr, Option<Id>),
    /// A contact: a nick, or the start of a key.
    Contact(String),
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Write a ticket to stdout: one line with which others join.
    Ticket(TicketArgs),
    /// Write what was said in a room, as it was kept here, to stdout.
    History(HistoryArgs),
    /// Write the contacts, and who is ignored, to stdout.
    Contacts(ContactsArgs),
    /// Write the rooms that are remembered to stdout, or forget one.
    Rooms(RoomsArgs),
    /// Write completions for a shell to stdout.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Write the man page to stdout.
    #[command(hide = true)]
    Man,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless told otherwise by the environment.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What is wrong with an argument. Ends the program with exit code 2.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ArgError {
    /// Not an address to listen on.
    #[error("not an address to listen on: PORT, ADDR or ADDR:PORT, with a number for ADDR, such as 0.0.0.0:{PORT}")]
    Listen,
    /// Not a ticket, though it looks like one.
    #[error("not a usable ticket: {0}")]
    Ticket(TokenError),
    /// Not a peer.
    #[error(transparent)]
    Peer(#[from] AddrError),
    /// An @ and nobody behind it.
    #[error("@ stands before a contact's nick, or the start of its key")]
    Contact,
    /// Not a key.
    #[error("a key is 64 hexadecimal digits, as /whoami shows them")]
    Key,
    /// A ticket with a secret.
    #[error("{SECRET_ADVICE}")]
    Secret,
    /// Not a name.
    #[error("a nick has 1 to {NICK_BYTES_MAX} bytes, without white space, control characters, < and >")]
    Nick,
    /// A room that no word could name.
    #[error("hobnob {0} is a command, so no room is called so: choose another name")]
    CommandRoom(String),
    /// Not who has to confirm.
    #[error("all, any, or a number of members from 1 to {MEMBERS_MAX}")]
    Confirm,
    /// Not a room.
    #[error("a room's name has 1 to {} bytes, without control characters", crate::limits::ROOM_NAME_BYTES_MAX)]
    Room,
}

/// Port 0 is any free one.
fn parse_listen(text: &str) -> Result<SocketAddr, ArgError> {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(addr);
    }
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok(SocketAddr::new(LISTEN_DEFAULT.ip(), port));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map(|ip| SocketAddr::new(ip, PORT)).map_err(|_| ArgError::Listen)
}

fn parse_peer(text: &str) -> Result<Peer, ArgError> {
    if let Some(who) = text.strip_prefix('@') {
        return if who.is_empty() { Err(ArgError::Contact) } else { Ok(Peer::Contact(who.to_owned())) };
    }
    if !Ticket::is_meant(text) {
        let is_host = text.is_empty() || text.contains(['.', ':', '[']);
        return if is_host { Ok(Peer::At(text.parse()?)) } else { Ok(Peer::Word(text.to_owned())) };
    }
    let ticket: Ticket = text.parse().map_err(ArgError::Ticket)?;
    if ticket.secret.is_some() { Err(ArgError::Secret) } else { Ok(Peer::Ticket(ticket)) }
}

fn parse_host(text: &str) -> Result<HostArg, ArgError> {
    if let Some(who) = text.strip_prefix('@') {
        return if who.is_empty() { Err(ArgError::Contact) } else { Ok(HostArg::Contact(who.to_owned())) };
    }
    let (addr, key) = text.rsplit_once('=').map_or((text, None), |(addr, key)| (addr, Some(key)));
    let key = key.map(|key| Id::from_hex(key.as_bytes()).ok_or(ArgError::Key)).transpose()?;
    Ok(HostArg::At(addr.parse()?, key))
}

fn parse_nick(text: &str) -> Result<Nick, ArgError> {
    Nick::new(text).map_err(|_| ArgError::Nick)
}

fn parse_room(text: &str) -> Result<String, ArgError> {
    record::check_room_name(text).map_err(|_| ArgError::Room)?;
    if Args::is_command(text) { Err(ArgError::CommandRoom(text.to_owned())) } else { Ok(text.to_owned()) }
}

fn parse_confirm(text: &str) -> Result<Confirm, ArgError> {
    match text {
        "all" => Ok(Confirm::All),
        "any" => Ok(Confirm::Members(1)),
        _ => match text.parse() {
            Ok(count @ 1..=MEMBERS_MAX) => Ok(Confirm::Members(count)),
            _ => Err(ArgError::Confirm),
        },
    }
}

fn parse_moment(text: &str) -> Result<u64, MomentError> {
    moment::parse(text, &jiff::Zoned::now())
}

/// A week at most, so that sums of times do not overflow.
fn parse_seconds() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(0..=7 * 24 * 3_600)
}

impl Who {
    /// The name given, or else the login name, made valid.
    pub fn nick(&self) -> Nick {
        self.nick.clone().unwrap_or_else(|| valid_nick(&login_name()))
    }
}

/// Whether a ticket with a secret, or a room key, stands among the arguments. Looked for before anything else
/// reads them, as it must not be repeated in an error.
pub fn hold_secret(arguments: impl IntoIterator<Item = OsString>) -> bool {
    arguments.into_iter().any(|argument| Ticket::is_secret_within(&argument.to_string_lossy()))
}

impl Args {
    /// The names of the subcommands that people know.
    pub fn commands() -> Vec<String> {
        Self::command()
            .get_subcommands()
            .filter(|task| !task.is_hide_set())
            .map(|task| task.get_name().to_owned())
            .collect()
    }

    /// Whether a word is a subcommand.
    pub fn is_command(word: &str) -> bool {
        Self::command().find_subcommand(word).is_some()
    }

    /// The definition, for completions and the man page.
    pub fn definition() -> clap::Command {
        Self::command()
    }
}

/// LOGNAME, USER, or what the system's user database says.
fn login_name() -> String {
    let from_env = ["LOGNAME", "USER"].iter().filter_map(|name| std::env::var(name).ok()).find(|name| !name.is_empty());
    let from_system = || nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    from_env.or_else(from_system).unwrap_or_default()
}

/// The nearest valid nick: what is not allowed is left out, what is too long cut.
#[expect(clippy::missing_panics_doc, reason = "what is kept was checked letter by letter")]
pub fn valid_nick(name: &str) -> Nick {
    let mut kept = String::new();
    for letter in name.chars().filter(|letter| Nick::new(letter.encode_utf8(&mut [0; 4])).is_ok()) {
        if kept.len() + letter.len_utf8() > NICK_BYTES_MAX {
            break;
        }
        kept.push(letter);
    }
    if kept.is_empty() {
        kept.push_str("somebody");
    }
    Nick::new(&kept).expect("letters that are nicks each make one together")
}
