//! What is measured against what: the shapes, and the processes of one measurement.

use std::net::TcpListener;
use std::process::Command;

use tempfile::TempDir;

use crate::failure::Failure;
use crate::process::Process;

/// How the processes stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A sender and so many receivers around one relay.
    Star(usize),
    /// A sender, three relays and a receiver in a row.
    Chain,
}

/// Relays of a chain of five.
pub(crate) const CHAIN_RELAYS: usize = 3;

impl Shape {
    /// Its name in the table.
    pub(crate) fn label(self) -> String {
        match self {
            Shape::Star(1) => "1 receiver".to_owned(),
            Shape::Star(receivers) => format!("{receivers} receivers"),
            Shape::Chain => "chain of 5".to_owned(),
        }
    }
}

/// The running processes of one measurement. The sender's stdin and the receivers' stdouts are
/// pipes to us.
#[derive(Debug)]
pub(crate) struct Net {
    /// What is written to its stdin is to come out of every receiver.
    pub(crate) sender: Process,
    /// What passes it on: one of a star, three of a chain.
    pub(crate) relays: Vec<Process>,
    /// Where lines come out.
    pub(crate) receivers: Vec<Process>,
    /// Files that the relay reads.
    pub(crate) _scratch: Option<TempDir>,
}

/// A program that carries lines from one process to others.
pub(crate) trait Contender {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Whether it can do this shape at all.
    fn can(&self, shape: Shape) -> bool;

    /// Divides the number of lines of a run; rates are per second, so slow ones may do fewer.
    fn lines_divisor(&self) -> u64 {
        1
    }

    /// Starts its processes. They need not be connected yet: a probe line tells that they are.
    fn start(&self, shape: Shape) -> Result<Net, Failure>;
}

/// Whether a program is there.
pub(crate) fn require(program: &'static str) -> Result<(), Failure> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin".into(), "/usr/local/sbin".into()];
    let found = std::env::split_paths(&paths).chain(sbin).any(|folder| folder.join(program).is_file());
    if found { Ok(()) } else { Err(Failure::Missing(program)) }
}

/// A command that is also found where daemons are kept.
pub(crate) fn command(program: &str) -> Command {
    let daemon = format!("/usr/sbin/{program}");
    Command::new(if std::path::Path::new(&daemon).is_file() { &daemon } else { program })
}

/// A port that was free a moment ago, for programs that cannot choose one themselves.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Failure::system("free port"))?;
    Ok(listener.local_addr().map_err(Failure::system("free port"))?.port())
}
