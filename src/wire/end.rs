//! Why a link ended: a closed list, each with one stable word for logs, exit records and tests.

use std::fmt;

/// Why a link ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The peer left the room.
    Goodbye,
    /// The connection broke or was closed without an exit record: the peer vanished.
    Vanished,
    /// Nothing came for too long.
    Silent,
    /// The peer asks, and does not read the answers.
    SlowReader,
    /// No hello in time.
    HandshakeTimeout,
    /// A frame began and did not end in time.
    FrameTimeout,
    /// Bytes that are no frame.
    BadFrame,
    /// A frame that is no record.
    BadRecord,
    /// A post that its author did not sign.
    BadSignature,
    /// A post whose predecessors did not come.
    FutureNumber,
    /// A record at a time at which it has no meaning.
    OutOfTurn,
    /// The peer is this very node.
    Myself,
    /// There is a link to this node already.
    Duplicate,
    /// Neither side needs the link.
    Surplus,
    /// Too many links.
    Full,
    /// Too many links that have not said hello.
    Crowded,
    /// Another version of the protocol.
    Version,
    /// Another room.
    Room,
    /// A room of another mode.
    Mode,
    /// Not the host whom a ticket names.
    HostKey,
    /// One side speaks in the clear, the other does not.
    Plaintext,
    /// Another room, or another secret.
    Secret,
    /// A message that cannot be decrypted.
    BadCipher,
    /// A hello whose sender did not sign it for this link.
    BadIdentity,
    /// The keys of the link have served long enough.
    Renew,
    /// The peer asks more than anybody needs.
    Flood,
    /// A gap notice with no post behind it.
    EmptyGap,
    /// The peer has signed two posts under one number.
    Forked,
    /// The clocks of the two are too far apart.
    Clock,
    /// The address or the key has broken the rules too often, and is refused for a while.
    Banned,
}

const WORDS: [(End, &str, &str); 30] = [
    (End::Goodbye, "goodbye", "left the room"),
    (End::Vanished, "vanished", "the connection broke"),
    (End::Silent, "silent", "nothing heard for 8 seconds"),
    (End::SlowReader, "slow-reader", "asks and does not read"),
    (End::HandshakeTimeout, "handshake-timeout", "no hello within 5 seconds"),
    (End::FrameTimeout, "frame-timeout", "a frame that did not end within 10 seconds"),
    (End::BadFrame, "bad-frame", "does not speak hobnob"),
    (End::BadRecord, "bad-record", "sent a record that makes no sense"),
    (End::BadSignature, "bad-signature", "sent a post with a wrong signature"),
    (End::FutureNumber, "future-number", "sent a post whose predecessors are missing"),
    (End::OutOfTurn, "out-of-turn", "sent a record out of turn"),
    (End::Myself, "self", "that is this very node"),
    (End::Duplicate, "duplicate", "linked already"),
    (End::Surplus, "surplus", "neither side needs the link"),
    (End::Full, "full", "has all the links it can keep"),
    (End::Crowded, "crowded", "too many unfinished handshakes"),
    (End::Version, "version", "speaks another version of the protocol"),
    (End::Room, "room", "is in another room"),
    (End::Mode, "mode", "the room is of another mode"),
    (End::HostKey, "host-key", "is not the host whom the ticket names"),
    (End::Plaintext, "plaintext", "only one of the two uses --plaintext"),
    (End::Secret, "secret", "is in another room, or its room has another secret"),
    (End::BadCipher, "bad-cipher", "sent a message that does not decrypt"),
    (End::BadIdentity, "bad-identity", "did not prove who it is"),
    (End::Renew, "renew", "the link is made anew"),
    (End::Flood, "flood", "asks more than anybody needs"),
    (End::EmptyGap, "empty-gap", "told of missing posts and sent none behind them"),
    (End::Forked, "forked", "signed two posts under one number"),
    (End::Clock, "clock", "its clock and ours are more than a day apart"),
    (End::Banned, "banned", "takes no links from this address or key for a while: rules were broken"),
];

impl End {
    fn row(self) -> (&'static str, &'static str) {
        WORDS.iter().find(|(end, _, _)| *end == self).map_or(("", ""), |(_, word, text)| (word, text))
    }

    /// The stable word.
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// The same for people, with the peer as its subject.
    pub fn text(self) -> &'static str {
        self.row().1
    }

    /// The reason that a peer gave in its exit record. An unknown word counts as a goodbye of the
    /// link alone, so as a broken connection.
    pub fn from_word(word: &str) -> Self {
        WORDS.iter().find(|(_, known, _)| *known == word).map_or(End::Vanished, |(end, _, _)| *end)
    }

    /// Whether dialling again does not help soon: the two do not belong together, or one of them is banned.
    pub fn is_refusal(self) -> bool {
        matches!(
            self,
            End::Version
                | End::Room
                | End::Mode
                | End::HostKey
                | End::Plaintext
                | End::Secret
                | End::Clock
                | End::Banned
        )
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
