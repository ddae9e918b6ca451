//! What goes into a room and what comes out: the whole of its touch with the world.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::identity::{Id, Identity};
use crate::wire::Frame;
use crate::wire::end::End;
use crate::wire::record::{Ack, Channel, Control, FeedId, Mode, Nick, Post};
use crate::wire::seal::Chance;

use super::event::{Command, Confirm, Outcome, Person, Said};
use super::{Acquaintance, DialId, LinkId, Note, Reach, Target};

/// A moment, by two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since some start; never goes back. All delays are measured by it.
    pub mono: u64,
    /// Milliseconds since 1970; may jump.
    pub wall: u64,
}

/// A peer that the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// `host:port`.
    pub addr: String,
    /// Who has to answer there, where a ticket says so.
    pub key: Option<Id>,
}

impl Named {
    /// Whoever answers there.
    pub fn anybody(addr: impl Into<String>) -> Self {
        Self { addr: addr.into(), key: None }
    }
}

impl Now {
    /// By the first clock, as a number from which can be counted back beyond its start.
    pub(super) fn mono_signed(self) -> i64 {
        i64::try_from(self.mono).unwrap_or(i64::MAX)
    }
}

/// What a room is made with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who we are.
    pub identity: Identity,
    /// Which run this is; random.
    pub session: u64,
    /// Our name.
    pub nick: Nick,
    /// The room's name.
    pub room: String,
    /// What the room is: the founder's word, or `Any` where it is to be learnt from others.
    pub mode: Mode,
    /// How much this node wants to be the hub; 0 is never.
    pub rank: u8,
    /// How this node takes part.
    pub reach: Reach,
    /// Where peers are accepted.
    pub listening: Option<SocketAddr>,
    /// The peers that the user named.
    pub named: Vec<Named>,
    /// Peers that earlier runs had a link with, the latest first.
    pub remembered: Vec<Acquaintance>,
    /// The run ends with its input.
    pub passing: bool,
    /// How long a passing run looks for a peer once its input has ended, in milliseconds.
    pub wait_ms: u64,
    /// How long a passing run waits then for confirmation without progress, in milliseconds.
    pub linger_ms: u64,
    /// Who has to confirm what a passing run says.
    pub confirm: Confirm,
    /// Show what this very run says, too.
    pub echo: bool,
    /// Lines shown of what was said before we came.
    pub backlog_lines: usize,
    /// The posts are kept by somebody who takes them from `Room::next_kept`, and so is `Output::Remember`.
    pub keep: bool,
    /// The bound of the log, in bytes.
    pub log_bytes_max: usize,
    /// Where chance comes from,
    pub seed: u64,
    /// and what nobody may guess.
    pub chance: Chance,
    /// What is said goes to this one alone, as somebody would type it.
    pub to: Option<String>,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Somebody has connected, of whom nothing is known. Answered by `Output::Admit` or `Output::Close`.
    Knocked {
        /// The connection's number, never used before.
        link: LinkId,
        /// The address of the other end.
        remote: SocketAddr,
    },
    /// The handshake of a connection is over.
    Connected {
        /// Its number: that of `Knocked`, or one never used before.
        link: LinkId,
        /// The dial that made it; `None` for an accepted one.
        dial: Option<DialId>,
        /// The address of the other end.
        remote: SocketAddr,
        /// Our address of the connection.
        local: IpAddr,
        /// What binds an identity to the link; `None` in the clear.
        channel: Option<Channel>,
    },
    /// A dial made no link.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Why.
        failure: DialFailure,
    },
    /// Bytes arrived: the whole records among them, in order; none is possible.
    Arrived {
        /// On which link.
        link: LinkId,
        /// What.
        run: Vec<Arrival>,
    },
    /// The reader has found the end of a link.
    Broken {
        /// Which.
        link: LinkId,
        /// Why.
        end: End,
    },
    /// A link's keys have been used so often that it should be made anew.
    Worn {
        /// Which link.
        link: LinkId,
    },
    /// Frames were written to a socket.
    Drained {
        /// On which link.
        link: LinkId,
        /// How many bytes.
        bytes: usize,
    },
    /// The user wants something.
    Command(Command),
    /// Piped text, taken while `may_say`.
    Say(Said),
    /// The user's side has taken events, and `owes_answers` held.
    Shown,
    /// What `Output::Keep` had is kept, or cannot be.
    Kept {
        /// Its token.
        token: u64,
    },
    /// Time passed.
    Tick,
}

/// Why a dial made no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DialFailure {
    /// Nobody was reached, or the connection broke: what happened, for people.
    Unreached(String),
    /// Somebody answered, and one of the two sides does not want the link.
    Refused(End),
}

/// One record of a run.
#[derive(Debug)]
pub enum Arrival {
    /// A post whose signature was checked.
    Post(Arc<Post>),
    /// A post whose number was seen before; dropped unread.
    Copy {
        /// Whose.
        feed: FeedId,
        /// Which.
        number: u64,
        /// How long.
        bytes: usize,
    },
    /// A record of this link.
    Control(Control),
    /// A member's word; not checked yet.
    Ack(Ack),
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Begin the handshake with somebody who knocked.
    Admit {
        /// Whom.
        link: LinkId,
    },
    /// Queue frames for these links.
    Send {
        /// To whom.
        links: Vec<LinkId>,
        /// What, in this order.
        frames: Vec<Frame>,
    },
    /// End a link: its exit record goes out after what is queued.
    Close {
        /// Which.
        link: LinkId,
        /// Why.
        end: End,
    },
    /// Make a connection.
    Dial {
        /// The number to answer with.
        dial: DialId,
        /// Where.
        target: Target,
    },
    /// A number was appended: copies of it may be dropped unread. Number 0: the feed is forgotten.
    Seen {
        /// Whose.
        feed: FeedId,
        /// Which.
        number: u64,
        /// The last bytes of its signature, to tell a copy from a fork; 0 for none.
        tail: u64,
    },
    /// What is typed goes to this person alone from now on, or to the room; answers each typed `Command::Chat`.
    Partner(Option<Person>),
    /// Keep these for the next run, in place of those before; the latest first.
    Remember(Vec<Acquaintance>),
    /// Keep what there is to know of whispers, in this order.
    Keep {
        /// What.
        notes: Vec<Note>,
        /// Answered by `Input::Kept`, if there is one.
        token: Option<u64>,
    },
    /// All is said and every link was told to close.
    End(Outcome),
}
