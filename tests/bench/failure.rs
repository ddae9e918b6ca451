//! What can keep a contender from being measured. Each ends its run, and is printed.

use std::io;
use std::time::Duration;

use thiserror::Error;

/// Why there is no number.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The program is not on this machine: the contender is skipped.
    #[error("{0} is not installed")]
    Missing(&'static str),
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// Something that was waited for did not come.
    #[error("no {what} within {} s{complaint}", limit.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The last words of the process, if it had any.
        complaint: String,
    },
    /// A process ended that should run.
    #[error("{name} ended early ({status}){complaint}")]
    Ended {
        /// Which process.
        name: String,
        /// How.
        status: String,
        /// Its last words.
        complaint: String,
    },
    /// The processes are not linked as the table says.
    #[error("{name} has {found} connections, not {wanted}")]
    Topology {
        /// Which process.
        name: String,
        /// Connections counted.
        found: usize,
        /// Connections expected.
        wanted: usize,
    },
    /// A peer said what the protocol does not allow here.
    #[error("link: {0}")]
    Link(String),
    /// The option is not one of ours.
    #[error(
        "usage: cargo bench -- [throughput] [latency] [slow-reader] [joins] [handshakes] [memory] [history] [catch-up] [load] \
         [hour] [failover] [whispers]; {0:?} is none of them"
    )]
    Usage(String),
}

impl Failure {
    /// For `map_err`: names what was tried.
    pub(crate) fn system<E: Into<io::Error>>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Failure::System { what, error: error.into() }
    }
}
