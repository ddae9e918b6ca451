//! What the room tells the person or script in front of it, and what it is told by them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Wanted;
use crate::identity::Id;
use crate::wire::end::End;
use crate::wire::record::{Nick, Post};
use crate::wire::seal::SealingKey;

/// A member as shown: who, and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The key.
    pub id: Id,
    /// The newest name.
    pub nick: Nick,
}

/// The other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who.
    pub person: Person,
    /// The address of its end of the connection.
    pub addr: SocketAddr,
}

/// Something to show.
#[derive(Debug, Clone)]
pub enum Event {
    /// Peers are accepted here.
    Listening {
        /// The address bound.
        addr: SocketAddr,
        /// Who we are.
        id: Id,
        /// The room.
        room: String,
    },
    /// A link came up.
    Linked(Peer),
    /// A link ended.
    Unlinked(Peer, End),
    /// A dial or handshake failed; told when its outcome changes, not at every try.
    Unreached {
        /// As the user named it, or an address.
        peer: String,
        /// What went wrong.
        why: String,
    },
    /// A member is here; once for those who were here first, too.
    Joined {
        /// Who.
        member: Person,
        /// Ends with its input: terminals do not announce it.
        passing: bool,
    },
    /// A member said goodbye.
    Left {
        /// Who.
        member: Person,
        /// See `Joined`.
        passing: bool,
        /// The word of goodbye, or nothing.
        why: String,
    },
    /// A member vanished.
    Lost {
        /// Who.
        member: Person,
        /// See `Joined`.
        passing: bool,
    },
    /// A member has another name.
    Renamed {
        /// Who, with the new name.
        member: Person,
        /// The name until now.
        old: Nick,
    },
    /// A member that was here before is away, or back. This node's user is told the same of himself.
    Away {
        /// Who.
        member: Person,
        /// Away, and why, or nothing; `None` is back.
        why: Option<String>,
    },
    /// From now on names look alike; told once for each pair, while both are here.
    Clash {
        /// Who came, or took the name.
        member: Person,
        /// Who was here: `LOOKALIKES_TOLD_MAX` of them.
        others: Vec<Person>,
        /// A run that ends with its input on one side: terminals do not announce it.
        passing: bool,
    },
    /// All who are here, the own identity included: told anew where notices were skipped.
    Present(Vec<Person>),
    /// Somebody said something; `post.text()` is what.
    Said {
        /// The post.
        post: Arc<Post>,
        /// Said by this identity, here or in another session.
        mine: bool,
        /// Said before this node came, or while it was cut off.
        backlog: bool,
    },
    /// Something private was said, by this node or to it.
    Whispered(Arc<Whisper>),
    /// A reader has shown whispers of ours.
    Heard {
        /// Who.
        to: Person,
        /// Which.
        ids: Vec<String>,
        /// When the first of them was said, in milliseconds since 1970.
        since: u64,
    },
    /// Whispers of ours wait for their reader; told once for all that do.
    Waiting {
        /// Whom for.
        to: Person,
        /// Which.
        ids: Vec<String>,
        /// What for.
        why: WaitsFor,
    },
    /// Whispers of ours will not be delivered.
    Unheard {
        /// To whom.
        to: Person,
        /// Which.
        ids: Vec<String>,
        /// Why not.
        why: NotHeard,
    },
    /// How whispers reach somebody now.
    Way {
        /// Whom.
        to: Person,
        /// Who carries them; nobody where there is a link.
        through: Option<Person>,
    },
    /// What is typed goes to somebody alone from now on, or to the room again.
    Chatting(Option<Person>),
    /// The answer to `Command::Ping`.
    Pinged {
        /// Who was asked.
        who: Person,
        /// The round trip in milliseconds, if there was an answer.
        took_ms: Option<u64>,
        /// Who carried it; nobody where there is a link.
        through: Option<Person>,
    },
    /// The answer to `Command::Trace`.
    Traced {
        /// Who was asked.
        who: Person,
        /// The nodes on the way, this one first, as they name themselves; empty if there was no answer.
        path: Vec<Person>,
        /// The round trip in milliseconds.
        took_ms: u64,
    },
    /// A catch-up is over.
    Recovered(Recovered),
    /// Another member is the hub, and there is a link to it.
    Hub {
        /// Who.
        hub: Person,
        /// It is this very node.
        myself: bool,
        /// Since when we follow it, in milliseconds since 1970.
        since: u64,
        /// The epoch of its claim.
        epoch: u64,
        /// How many links it has, by its own word.
        links: u64,
        /// Who was it before.
        former: Option<Person>,
        /// That one does not answer any more; it has not handed over.
        gone: bool,
    },
    /// Posts that nobody has any more.
    Gap {
        /// Whose.
        from: Person,
        /// How many.
        missed: u64,
    },
    /// Two posts of one author bear the same number: that author is not to be trusted.
    Forked(Person),
    /// All members that were present at the end of input hold all that was said.
    Delivered {
        /// How many posts.
        posts: u64,
        /// How many members.
        members: usize,
    },
    /// The run ends, and not all that was read is said and confirmed, or nobody was reached.
    Undelivered {
        /// How it ends: not `Done`.
        outcome: Outcome,
        /// Who lacks something, as far as is known.
        missing: Vec<Person>,
        /// How many posts were said.
        posts: u64,
        /// With `Confirm::Members`: how many have all, and how many should.
        short: Option<(usize, usize)>,
    },
    /// Notices that a slow reader of stdout did not take in time.
    Skipped {
        /// How many.
        notices: u64,
    },
    /// The answer to `Command::Names`.
    Names(Vec<Member>),
    /// The answer to `Command::Recall`: what the log has, oldest first.
    Recalled(Vec<Arc<Post>>),
    /// The answer to `Command::Status`.
    Status(Box<Status>),
    /// Nobody was named: peers that earlier runs had a link with are looked for.
    Looking {
        /// How many.
        peers: usize,
    },
    /// Something that the user should know.
    Warning(String),
    /// The answer to a command that could not be carried out.
    Refused(String),
}

/// Something private.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whisper {
    /// What tells it from others: sender, reader, stream and number.
    pub id: String,
    /// Who said it,
    pub from: Person,
    /// to whom,
    pub to: Person,
    /// when, in milliseconds since 1970 by the sender's clock.
    pub at: u64,
    /// The text.
    pub text: String,
    /// `/me`.
    pub action: bool,
    /// The next one continues this one's last line.
    pub part: bool,
    /// Said by this node.
    pub mine: bool,
    /// Said before this node came.
    pub backlog: bool,
}

/// What a whisper waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitsFor {
    /// Its reader to come.
    Reader,
    /// Its reader's answer: it is here, as far as is known.
    Answer,
    /// Any link.
    Link,
}

/// Why a whisper is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotHeard {
    /// Its reader takes none of ours.
    Refused,
    /// It has waited for a week.
    TooOld,
    /// The run ends and keeps nothing.
    Ended,
}

/// Whom a command means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// By a nick, the start of a key, or both.
    Called(String),
    /// By key: somebody who need not be here, with what whispers are sealed to where that is known.
    Known(Person, Option<SealingKey>),
    /// Who whispered last.
    Last,
    /// With whom a private chat was begun.
    Partner,
}

/// What a catch-up has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// How many messages.
    pub count: u64,
    /// When the oldest was said, in milliseconds since 1970.
    pub from: u64,
    /// When the newest was said.
    pub to: u64,
}

/// A member in a list.
#[derive(Debug, Clone)]
pub struct Member {
    /// Who.
    pub person: Person,
    /// This very identity.
    pub myself: bool,
    /// How many sessions.
    pub sessions: usize,
    /// All of them end with their input.
    pub passing: bool,
    /// Where it accepts peers, as it says.
    pub addresses: Vec<SocketAddr>,
    /// Whether there is a link to it.
    pub linked: bool,
    /// Where there is none, who brings what it says.
    pub through: Option<Person>,
    /// What whispers to it are sealed to.
    pub sealing: Option<SealingKey>,
    /// Its first post of the oldest session, in milliseconds since 1970.
    pub since: u64,
    /// It is away, and why, or nothing.
    pub away: Option<String>,
}

/// How things are.
#[derive(Debug, Clone)]
pub struct Status {
    /// The room.
    pub room: String,
    /// Who we are.
    pub me: Person,
    /// Which session.
    pub session: u64,
    /// Where peers are accepted.
    pub listening: Option<SocketAddr>,
    /// Where others reach this node, as far as it knows and tells them.
    pub addresses: Vec<SocketAddr>,
    /// In hub mode: the hub, as far as it is known.
    pub hub: Option<HubStatus>,
    /// The links.
    pub links: Vec<LinkStatus>,
    /// Addresses that are being dialled, with the last failure.
    pub dialling: Vec<(String, String)>,
    /// Members present, this one included.
    pub members: usize,
    /// Posts in the log.
    pub posts: usize,
    /// What they take.
    pub log_bytes: usize,
    /// Own bytes that not all members have confirmed.
    pub unconfirmed_bytes: u64,
}

/// The hub.
#[derive(Debug, Clone)]
pub struct HubStatus {
    /// Who, as far as that is known.
    pub person: Option<Person>,
    /// It is this very node.
    pub myself: bool,
    /// There is a link to it, or it is this node.
    pub reached: bool,
    /// Since when we follow it, in milliseconds since 1970.
    pub since: u64,
    /// The epoch of its claim.
    pub epoch: u64,
    /// How many links it has, by its own word.
    pub links: u64,
}

/// A link in a list.
#[derive(Debug, Clone)]
pub struct LinkStatus {
    /// The other end.
    pub peer: Peer,
    /// We dialled it.
    pub dialled: bool,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Bytes that wait for its socket.
    pub queued_bytes: usize,
}

/// Who has to have all that was said, for a run that ends with its input to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confirm {
    /// All who are there at the end of the input.
    #[default]
    All,
    /// So many others; at least 1.
    Members(usize),
}

/// How a run ended; `room::verdict` decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All that was read is said and confirmed; or the run was there for something else.
    Done,
    /// No peer was linked when the first unconfirmed line was read, or later.
    NoPeer,
    /// One was, and not all is confirmed.
    Unconfirmed,
    /// Every peer refused.
    Refused,
    /// A thread failed.
    Failed,
}

/// What the user, or the end of input, wants.
#[derive(Debug, Clone)]
pub enum Command {
    /// Say this.
    Say(Said),
    /// Be called this from now on.
    Nick(Nick),
    /// Say this to somebody alone.
    Whisper(Whom, Said),
    /// These were shown to the user: their senders hear that.
    Shown(Vec<Arc<Whisper>>),
    /// Have what is said to `Whom::Partner` go to them, or to nobody.
    Chat {
        /// With whom; with `None` it ends.
        whom: Option<Whom>,
        /// It was typed, and somebody sees whether it works: where it does not, all stays as it was. A script goes on, and
        /// what it says is refused until it has ended that chat or begun another.
        typed: bool,
    },
    /// How long is the way to somebody and back?
    Ping(Whom),
    /// Which way leads to somebody?
    Trace(Whom),
    /// Whom the user knows; in place of what was said of that before.
    Acquaint {
        /// Nothing private is taken from these.
        shut_out: BTreeSet<Id>,
        /// These are meant by their names though they are not here; with what whispers to them are sealed to.
        contacts: Vec<(Person, Option<SealingKey>)>,
    },
    /// Be away, for a reason or none; or back.
    Away(Option<String>),
    /// Who is here? Answered by `Event::Names`.
    Names,
    /// What was said earlier? Answered by `Event::Recalled`.
    Recall(Wanted),
    /// How are things? Answered by `Event::Status`.
    Status,
    /// A line of a script is no command, or cannot be done. That was told; the run counts it as not said.
    Undone,
    /// The input has ended: confirm all, then leave.
    EndOfInput,
    /// A script wants no more: as the end of its input, with a word of goodbye.
    Quit {
        /// The word, or nothing.
        why: String,
    },
    /// Say goodbye and end.
    Leave {
        /// A word of goodbye, or nothing.
        why: String,
    },
}

/// A text to say. It fits `SAY_TEXT_BYTES_MAX` encoded.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// The text; may have several lines.
    pub text: String,
    /// `/me`.
    pub action: bool,
    /// The next one continues this one's last line.
    pub part: bool,
    /// It is for the partner of the private chat, and nobody else.
    pub private: bool,
}

impl Person {
    /// Somebody of whom no name is known: told by the key.
    pub(super) fn nameless(id: Id) -> Self {
        let nick = Nick::new(&id.short()).unwrap_or_else(|_| unreachable!("digits are a nick"));
        Self { id, nick }
    }

    /// The author of a post.
    pub fn of(post: &Post) -> Self {
        Self { id: post.feed.author, nick: post.nick.clone() }
    }
}

/// So many private messages, in words.
pub fn private_messages(count: usize) -> String {
    if count == 1 { "1 private message".to_owned() } else { format!("{count} private messages") }
}
