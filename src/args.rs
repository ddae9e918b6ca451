//! The command line: one definition for `--help`, the man page and shell completions.
//!
//! It checks what can be checked without the network or a file, so that a mistake ends the program
//! with exit code 2 before anything has begun. What it does not do: read keys, open sockets.

mod manual;

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use thiserror::Error;

use crate::limits::NICK_BYTES_MAX;
use crate::wire::record::{self, Nick};

pub use manual::render as render_manual;

/// The port of a PEER that names none, and the first one tried for `--listen`.
pub const PORT: u16 = 4646;

/// The address listened on when none is given; any free port serves if this one is taken.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), PORT);

/// Lines of earlier talk that a person is shown on joining.
pub const BACKLOG_LINES: usize = 50;

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
  hobnob --json alice.example:9000 < /dev/null | jq -r 'select(.event == \"say\").text'
          listen, for a script

Exit codes:
  0  done, and confirmed where something was piped in
  1  a network or run-time failure
  2  wrong usage or configuration
  3  no peer was reached
  4  not confirmed by all; who lacks something is told on stderr
  5  refused by every peer";

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
    #[arg(help = "Peers to link to, as HOST:PORT, [IPv6]:PORT or HOST alone for port 4646")]
    #[arg(value_name = "PEER", value_hint = clap::ValueHint::Hostname)]
    pub peers: Vec<PeerAddr>,

    /// Accept peers at this address: PORT, ADDR or ADDR:PORT [default: 0.0.0.0:4646, any free port if
    /// that one is taken; a pipe without --stay does not listen].
    #[arg(short, long, value_name = "ADDR", value_parser = parse_listen)]
    pub listen: Option<SocketAddr>,

    /// Accept no peers.
    #[arg(long, conflicts_with = "listen")]
    pub no_listen: bool,

    /// Link only to the PEERs named and to those who dial this node; announce no address.
    #[arg(long)]
    pub no_mesh: bool,

    /// The name that others see [default: the login name].
    #[arg(short, long, value_name = "NAME", value_parser = parse_nick)]
    pub nick: Option<Nick>,

    /// The room to be in.
    #[arg(short, long, value_name = "NAME", default_value = "lobby", value_parser = parse_room)]
    pub room: String,

    /// Write what happens to stdout as JSON, one object a line.
    #[arg(long)]
    pub json: bool,

    /// Keep running after the end of stdin.
    #[arg(long)]
    pub stay: bool,

    /// How long to look for a first peer where the end of stdin would end the run.
    #[arg(long, value_name = "SECS", default_value_t = 10, value_parser = parse_seconds())]
    pub wait: u64,

    /// How long to wait at the end for others to confirm what was said.
    #[arg(long, value_name = "SECS", default_value_t = 10, value_parser = parse_seconds())]
    pub linger: u64,

    /// Keep the key that says who this is in FILE [default: one for each nick, in the data folder].
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub identity: Option<PathBuf>,

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

/// What else the program does.
#[derive(Debug, Subcommand)]
pub enum Task {
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

/// Where a peer is said to be: a host name or address, and a port. Not looked up yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerAddr {
    /// A name, an IPv4 address or an IPv6 address without brackets.
    pub host: String,
    /// From 1 on.
    pub port: u16,
}

/// What is wrong with an argument. Ends the program with exit code 2.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ArgError {
    /// Nothing before the port.
    #[error("no host: a peer is HOST:PORT, [IPv6]:PORT or HOST")]
    NoHost,
    /// White space or other characters that no host has.
    #[error("no host name has the character {0:?}")]
    HostCharacter(char),
    /// The port is no number from 1 to 65535.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// Colons, but neither a port nor brackets.
    #[error("an IPv6 address goes in brackets: [{0}]:{PORT}")]
    Brackets(String),
    /// Not an address to listen on.
    #[error("not an address to listen on: PORT, ADDR or ADDR:PORT, with a number for ADDR, such as 0.0.0.0:{PORT}")]
    Listen,
    /// Not a name.
    #[error("a nick has 1 to {NICK_BYTES_MAX} bytes, without white space, control characters, < and >")]
    Nick,
    /// Not a room.
    #[error("a room's name has 1 to {} bytes, without control characters", crate::limits::ROOM_NAME_BYTES_MAX)]
    Room,
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for PeerAddr {
    type Err = ArgError;

    fn from_str(text: &str) -> Result<Self, ArgError> {
        let (host, port) = split_port(text)?;
        if host.is_empty() {
            return Err(ArgError::NoHost);
        }
        let strange = |letter: &char| letter.is_whitespace() || letter.is_control() || "/@[]<>?#".contains(*letter);
        if let Some(letter) = host.chars().find(strange) {
            return Err(ArgError::HostCharacter(letter));
        }
        let port = port.map_or(Ok(PORT), parse_port)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// The host, without brackets, and the port as it stands there.
fn split_port(text: &str) -> Result<(&str, Option<&str>), ArgError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| ArgError::Brackets(rest.to_owned()))?;
        // A zone such as fe80::1%eth0 is left to the look-up.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(ArgError::Brackets(host.to_owned()));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(ArgError::Port(rest.to_owned())),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
        return Err(ArgError::Brackets(text.to_owned()));
    }
    Ok(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))))
}

fn parse_port(text: &str) -> Result<u16, ArgError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| ArgError::Port(text.to_owned()))
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

fn parse_nick(text: &str) -> Result<Nick, ArgError> {
    Nick::new(text).map_err(|_| ArgError::Nick)
}

fn parse_room(text: &str) -> Result<String, ArgError> {
    record::check_room_name(text).map(|()| text.to_owned()).map_err(|_| ArgError::Room)
}

/// A week at most, so that sums of times do not overflow.
fn parse_seconds() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(0..=7 * 24 * 3_600)
}

impl Args {
    /// The name given, or else the login name, made valid.
    pub fn nick(&self) -> Nick {
        self.nick.clone().unwrap_or_else(|| valid_nick(&login_name()))
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
