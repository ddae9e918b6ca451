//! Records that speak of one link only.

use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

use super::super::Frame;
use super::super::end::End;
use super::super::frame::{EXIT_END, MESSAGE_END};
use super::json::write_json;
use super::{Beat, Envelope, FeedId, Handover, Nick, Proof, RecordError, Trace, check_number, check_room_name};
use crate::digits;
use crate::identity::Id;
use crate::limits::{FEEDS_PER_PAGE_MAX, NUMBER_MAX, WHY_BYTES_MAX};

/// A record that speaks of one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Control {
    /// The first record each way: who is there.
    Hello(Hello),
    /// A page of what the sender has seen: feeds and their last numbers.
    Have {
        /// (author, session, last number)
        feeds: Vec<Entry>,
    },
    /// Besides: send every feed that my pages do not name, from 1.
    All {},
    /// The pages of `have` end here.
    Done {},
    /// Open this feed from this number on.
    Want {
        /// Whose feed,
        author: Id,
        /// of which session,
        session: u64,
        /// from which number.
        from: u64,
        /// Say so (`news`) if there is nothing from there on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        answer: bool,
    },
    /// Send no more of this feed; tell its newest number.
    Quiet {
        /// Whose feed,
        author: Id,
        /// of which session.
        session: u64,
    },
    /// The newest numbers of quiet feeds.
    News {
        /// (author, session, newest number)
        feeds: Vec<Entry>,
    },
    /// The sender does not have these posts of a feed.
    Gap {
        /// Whose feed,
        author: Id,
        /// of which session,
        session: u64,
        /// the first number missing
        from: u64,
        /// and the last.
        to: u64,
    },
    /// What the room is; said when a node has learnt it after its hello.
    Mode {
        /// `Mesh` or `Hub`.
        mode: Mode,
    },
    /// The hub is there.
    Beat(Beat),
    /// The hub is somebody else.
    Handover(Handover),
    /// Who is the hub? Answered by the newest `Beat` that is known.
    Probe {},
    /// The sender has posts from this hub, over a link of its own; or from none.
    Follow {
        /// The hub's id, its session, and the epoch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hub: Option<Entry>,
    },
    /// Something private for somebody.
    Whisper(Envelope),
    /// Which way leads to somebody?
    Trace(Trace),
    /// Are you there?
    Ping {
        /// Comes back in the pong.
        token: u64,
    },
    /// Yes.
    Pong {
        /// From the ping.
        token: u64,
    },
    /// The last record of a link.
    Exit {
        /// Why: one of the words of `End`.
        reason: String,
        /// The same for people.
        #[serde(default)]
        text: String,
    },
    /// A kind of a later version. Skipped.
    #[serde(other)]
    Unknown,
}

/// What an entry of a page mostly takes: the digits of a key, and two numbers.
const ENTRY_BYTES: usize = 96;

/// As `write_json` would write it, a few times as fast: who joins a room of a thousand is sent as many entries.
fn write_page(out: &mut Vec<u8>, kind: &str, feeds: &[Entry]) {
    out.reserve(feeds.len() * ENTRY_BYTES);
    out.extend_from_slice(format!(r#"{{"type":"{kind}","feeds":["#).as_bytes());
    for (index, Entry(author, session, number)) in feeds.iter().enumerate() {
        out.extend_from_slice(if index == 0 { br#"[""# } else { br#",[""# });
        out.extend_from_slice(digits::write(&author.0, &mut [0; 64]).as_bytes());
        out.extend_from_slice(br#"","#);
        write_json(out, session);
        out.push(b',');
        write_json(out, number);
        out.push(b']');
    }
    out.extend_from_slice(b"]}");
}

/// A feed and a number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry(pub Id, pub u64, pub u64);

impl Entry {
    /// The feed.
    pub fn feed(&self) -> FeedId {
        FeedId { author: self.0, session: self.1 }
    }
}

/// How the members of a room link to each other: its founder's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As equals.
    Mesh,
    /// To one of them, the hub.
    Hub,
    /// Whatever the room is: of somebody who has not learnt it yet.
    Any,
    /// One of a later version.
    #[serde(other)]
    Unknown,
}

impl Mode {
    /// Whether rooms of the two cannot be one.
    pub fn excludes(self, other: Mode) -> bool {
        self == Mode::Unknown
            || other == Mode::Unknown
            || matches!((self, other), (Mode::Mesh, Mode::Hub) | (Mode::Hub, Mode::Mesh))
    }
}

/// The first record on a link: who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's version.
    pub version: u64,
    /// Who.
    pub id: Id,
    /// Which run of that identity.
    pub session: u64,
    /// The room's name.
    pub room: String,
    /// What the room is, as far as the sender knows.
    pub mode: Mode,
    /// The sender's name.
    pub nick: Nick,
    /// As whom the sender sees the other side.
    pub seen: IpAddr,
    /// Whether the sender accepts peers: such links are shared out, others are kept.
    pub listens: bool,
    /// The sender's wall clock, in milliseconds since 1970.
    pub time: u64,
    /// On an encrypted link: the sender's signature over it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// A field that is left out or has its value: `null` is none.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl Hello {
    /// The sender's session.
    pub fn feed(&self) -> FeedId {
        FeedId { author: self.id, session: self.session }
    }
}

impl Control {
    /// The last record of a link that ends for this reason.
    pub fn exit(end: End) -> Self {
        Control::Exit { reason: end.word().to_owned(), text: end.text().to_owned() }
    }

    /// The frame of a record.
    pub fn encode(&self) -> Frame {
        let mut out = Vec::with_capacity(128);
        match self {
            Control::Have { feeds } => write_page(&mut out, "have", feeds),
            Control::News { feeds } => write_page(&mut out, "news", feeds),
            _ => write_json(&mut out, self),
        }
        let exit = matches!(self, Control::Exit { .. });
        out.extend_from_slice(if exit { EXIT_END.as_slice() } else { MESSAGE_END.as_slice() });
        out.into()
    }

    pub(super) fn check(self) -> Result<Self, RecordError> {
        match &self {
            Control::Hello(hello) => {
                check_number(hello.session, "session")?;
                if hello.version > NUMBER_MAX {
                    return Err(RecordError::Bounds("version"));
                }
                if hello.time > NUMBER_MAX {
                    return Err(RecordError::Bounds("time"));
                }
                check_room_name(&hello.room)?;
            }
            Control::Have { feeds } | Control::News { feeds } => {
                if feeds.len() > FEEDS_PER_PAGE_MAX {
                    return Err(RecordError::Bounds("feeds"));
                }
                for Entry(_, session, number) in feeds {
                    check_number(*session, "session")?;
                    if *number > NUMBER_MAX {
                        return Err(RecordError::Bounds("number"));
                    }
                }
            }
            Control::Want { session, from, .. } => {
                check_number(*session, "session")?;
                check_number(*from, "from")?;
            }
            Control::Quiet { session, .. } => {
                check_number(*session, "session")?;
            }
            Control::Gap { session, from, to, .. } => {
                check_number(*session, "session")?;
                check_number(*from, "from")?;
                check_number(*to, "to")?;
                if from > to {
                    return Err(RecordError::Bounds("gap"));
                }
            }
            Control::Beat(beat) => beat.check()?,
            Control::Handover(handover) => handover.check()?,
            Control::Whisper(envelope) => envelope.check()?,
            Control::Trace(trace) => trace.check()?,
            Control::Follow { hub: Some(Entry(_, session, epoch)) } => {
                check_number(*session, "session")?;
                check_number(*epoch, "epoch")?;
            }
            Control::Ping { token } | Control::Pong { token } if *token > NUMBER_MAX => {
                return Err(RecordError::Bounds("token"));
            }
            Control::Exit { reason, text } if reason.len() + text.len() > WHY_BYTES_MAX => {
                return Err(RecordError::Bounds("exit"));
            }
            _ => {}
        }
        Ok(self)
    }
}
