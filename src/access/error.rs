//! Why there is no way into a room: each says what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::addr::{AddrError, PeerAddr};
use crate::daemon::AnsweringError;
use crate::identity::IdentityError;
use crate::lines::LinesError;
use crate::private::FileError;
use crate::rooms::NameError;
use crate::secret::RoomKeyError;
use crate::ticket::HostsError;
use crate::token::TokenError;

use super::{ROOM_KEY_VARIABLE, TICKET_VARIABLE};

/// Why there is no way into a room. Each ends the start of the program (exit code 2).
#[derive(Debug, Error)]
pub enum AccessError {
    /// The file with the room key could not be read, or not be trusted, or not be written.
    #[error("room key file {0}")]
    KeyFile(FileError),
    /// There is none.
    #[error("room key file {path}: there is none; hobnob ticket --new-key {path} makes one with a random key")]
    NoKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// There is one, where a new one was to be made.
    #[error("room key file {path}: there is one, and it is not replaced; --room-key-file {path} uses it")]
    OldKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// A file or variable does not hold a room key.
    #[error("{origin} {error}")]
    RoomKey {
        /// Which.
        origin: String,
        /// What is wrong.
        error: RoomKeyError,
    },
    /// The file with the ticket could not be read, not be trusted, or not be written.
    #[error("ticket file {0}")]
    TicketFile(FileError),
    /// There is one, where a new one was to be made.
    #[error("ticket file {path}: there is one, and it is not replaced: remove it first, or name another file")]
    OldTicketFile {
        /// The file.
        path: PathBuf,
    },
    /// The hosts make no ticket.
    #[error("no ticket: {0}")]
    Hosts(HostsError),
    /// The key of the host who makes the ticket is not to be had.
    #[error(transparent)]
    Key(IdentityError),
    /// It is not known whose key a ticket would name. Exit code 1, as the network is at fault.
    #[error("--host {addr}: no key is known of it: {error}; start it, or give its key as --host {addr}=KEY")]
    Unanswered {
        /// Where.
        addr: PeerAddr,
        /// Why.
        error: AnsweringError,
    },
    /// The name of the file is a ticket.
    #[error("--ticket takes a file; a ticket without a secret stands by itself, as a PEER")]
    TicketAsFile,
    /// A file, variable or prompt does not hold a ticket.
    #[error("{origin} holds no usable ticket: {error}")]
    Ticket {
        /// Which.
        origin: String,
        /// What is wrong.
        error: TokenError,
    },
    /// A file, variable or prompt holds nothing.
    #[error("{origin} is empty, and should hold a ticket")]
    NoTicket {
        /// Which.
        origin: String,
    },
    /// The prompt failed.
    #[error("the ticket cannot be read: {0}")]
    Prompt(io::Error),
    /// Two ways into two rooms.
    #[error("{TICKET_VARIABLE} and {ROOM_KEY_VARIABLE} are both set: unset one of them")]
    BothVariables,
    /// A ticket for another room.
    #[error("a ticket for the room {ticket:?} does not open the room {room:?}")]
    OtherRoom {
        /// The ticket's.
        ticket: String,
        /// The one asked for otherwise.
        room: String,
    },
    /// A room is named by `-r` and by the first word.
    #[error("the room is named twice, by -r {room} and by {word}; -- {word} would be a host of that name")]
    RoomTwice {
        /// By the option.
        room: String,
        /// By the word.
        word: String,
    },
    /// The room is called like a command, and could not be named by a word.
    #[error("no room is called {room}, as hobnob {room} is a command: choose another name")]
    CommandRoom {
        /// The name.
        room: String,
    },
    /// The remembered rooms could not be read.
    #[error(transparent)]
    Rooms(LinesError),
    /// A name does not say which remembered room is meant.
    #[error("the room {name}: {error}; --open is the open room of that name")]
    RoomName {
        /// As it was named.
        name: String,
        /// Why.
        error: NameError,
    },
    /// A ticket without a secret, to a room of which another one of that name is remembered with a key.
    #[error(
        "the ticket holds no key, and a closed room called {room} is remembered with one: --open joins the open room \
        of that name, and hobnob rooms --forget {room} forgets the closed one"
    )]
    OpenOrClosed {
        /// The name.
        room: String,
    },
    /// A ticket with a secret, and `--open`.
    #[error("the ticket holds the key of a closed room: leave out --open")]
    NotOpen,
    /// A secret that is remembered, and nothing would be encrypted with it.
    #[error(
        "the room {room} is remembered with a key, which protects nothing with --plaintext: --open is the open room of \
        that name"
    )]
    PlaintextKnown {
        /// The room.
        room: String,
    },
    /// A word that is nearly a command.
    #[error(
        "{word} is no command and no remembered room; hobnob {command} is one; -- {word} would be a host of that name"
    )]
    Mistyped {
        /// As it was typed.
        word: String,
        /// What was likely meant.
        command: String,
    },
    /// A word that is no host.
    #[error("{word:?} is no peer: {error}")]
    Word {
        /// As it was typed.
        word: String,
        /// Why.
        error: AddrError,
    },
    /// The choice of a room failed.
    #[error("no room was chosen: {0}")]
    Choice(io::Error),
    /// The folder with the contacts is not to be found.
    #[error("contacts: {0}")]
    Homeless(IdentityError),
    /// The file with the contacts could not be read.
    #[error(transparent)]
    Contacts(LinesError),
    /// There is no such contact.
    #[error("no contact is called {who}, and no contact's key begins so; hobnob contacts lists them")]
    NoContact {
        /// As it was named.
        who: String,
    },
    /// There is more than one.
    #[error("@{who} may be any of {names}: say which, as in @NICK#KEY")]
    SeveralContacts {
        /// As it was named.
        who: String,
        /// Each with the start of its key.
        names: String,
    },
    /// Nobody knows where it is.
    #[error("the contact {who} has no address yet: name one, as HOST:PORT; it is kept when they meet")]
    NoAddress {
        /// As it was named.
        who: String,
    },
    /// Two tickets, or a ticket and a contact, contradict each other.
    #[error("different hosts are looked for at {addr}")]
    OtherHost {
        /// Where.
        addr: String,
    },
    /// A secret that nothing would be encrypted with.
    #[error("with --plaintext the room's secret would protect nothing: leave out the one or the other")]
    Plaintext,
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(#[from] getrandom::Error),
}
