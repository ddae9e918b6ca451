//! Which room is meant by what was named, and what closes it: a name that is remembered with a key means the closed
//! room, unless `--open` says otherwise.
//!
//! A room that nobody has named is the open lobby, whatever is remembered, so that a script does the same
//! everywhere. The file of remembered rooms is read where a name is to be looked up, and not before.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::args::{Args, Peer, Place};
use crate::console::Choice;
use crate::room::Named;
use crate::rooms::{self, KnownHost, Memory, Remembered, Rooms, rooms_path};
use crate::secret::{RoomKey, RoomSecret};
use crate::spelling::is_one_mistake;
use crate::ticket::Ticket;

use super::{AccessError, ROOM_DEFAULT};

/// The remembered rooms, read when they are needed first.
#[derive(Debug, Default)]
pub(super) struct Shelf(OnceCell<Rooms>);

impl Shelf {
    /// A user without a home remembers none.
    pub(super) fn rooms(&self) -> Result<&Rooms, AccessError> {
        if let Some(rooms) = self.0.get() {
            return Ok(rooms);
        }
        let rooms = match rooms_path() {
            Ok(path) => rooms::load(&path).map_err(AccessError::Rooms)?,
            Err(_) => Rooms::default(),
        };
        Ok(self.0.get_or_init(|| rooms))
    }

    /// How a room is called.
    pub(super) fn label(&self, meant: &Meant) -> String {
        let rooms = meant.secret.as_ref().and_then(|secret| Some((secret, self.rooms().ok()?)));
        rooms.map_or_else(|| meant.room.clone(), |(secret, rooms)| rooms.label(&meant.room, Some(secret)))
    }

    fn find(&self, name: &str) -> Result<Option<&Remembered>, AccessError> {
        self.rooms()?.find(name).map_err(|error| AccessError::RoomName { name: name.to_owned(), error })
    }
}

/// The room that is meant.
#[derive(Debug)]
pub(super) struct Meant {
    pub(super) room: String,
    pub(super) secret: Option<RoomSecret>,
    /// What is remembered of it.
    pub(super) known: Option<Remembered>,
}

/// What was given that closes the room.
#[derive(Debug)]
pub(super) enum Given {
    /// By a ticket.
    Secret(RoomSecret),
    /// By a file or a variable.
    Key(RoomKey),
    Nothing,
}

/// The room that is named, by a name and by tickets, or by nobody.
pub(super) fn meant(
    place: &Place,
    word: Option<&str>,
    tickets: &[&Ticket],
    given: Given,
    shelf: &Shelf,
) -> Result<Meant, AccessError> {
    let asked = place.room.as_deref().or(word);
    if let (Some(room), Some(word)) = (place.room.as_deref(), word) {
        return Err(AccessError::RoomTwice { room: room.to_owned(), word: word.to_owned() });
    }
    let secret = match given {
        Given::Secret(secret) => Some(secret),
        Given::Key(key) => Some(key.secret(&one_room(asked, tickets)?)),
        Given::Nothing => None,
    };
    if secret.is_some() || place.open {
        let room = one_room(asked, tickets)?;
        return Ok(Meant { room, secret, known: None });
    }
    let name = asked.or_else(|| tickets.first().map(|ticket| ticket.room.as_str()));
    let Some(name) = name else {
        return Ok(Meant { room: ROOM_DEFAULT.to_owned(), secret: None, known: None });
    };
    let Some(known) = shelf.find(name)? else {
        return Ok(Meant { room: one_room(asked, tickets)?, secret: None, known: None });
    };
    let room = one_room(asked.map(|_| known.room.as_str()), tickets)?;
    if known.key.is_some() && tickets.iter().any(|ticket| !is_through(known, ticket)) {
        return Err(AccessError::OpenOrClosed { room });
    }
    Ok(Meant { room, secret: known.key.clone(), known: Some(known.clone()) })
}

/// Whether a ticket without a secret leads to a host of a room that is remembered with its key.
fn is_through(known: &Remembered, ticket: &Ticket) -> bool {
    known.hosts.iter().any(|old| ticket.hosts.iter().any(|host| Some(host.id) == old.id))
}

/// The one room of all that name one.
fn one_room(asked: Option<&str>, tickets: &[&Ticket]) -> Result<String, AccessError> {
    let mut rooms = asked.into_iter().chain(tickets.iter().map(|ticket| ticket.room.as_str()));
    let first = rooms.next().unwrap_or(ROOM_DEFAULT).to_owned();
    if Args::is_command(&first) {
        return Err(AccessError::CommandRoom { room: first });
    }
    match rooms.find(|room| *room != first) {
        Some(other) => Err(AccessError::OtherRoom { ticket: other.to_owned(), room: first }),
        None => Ok(first),
    }
}

/// The remembered room that the first word of the command line names, if it names one; all else are peers.
pub(super) fn first_word<'a>(peers: &'a [Peer], shelf: &Shelf) -> Result<Option<&'a str>, AccessError> {
    let Some(Peer::Word(word)) = peers.first() else { return Ok(None) };
    if shelf.find(word)?.is_some() {
        return Ok(Some(word));
    }
    match Args::commands().into_iter().find(|command| is_one_mistake(word, command)) {
        Some(command) => Err(AccessError::Mistyped { word: word.clone(), command }),
        None => Ok(None),
    }
}

/// Peers, with what could have been something else taken for a host's name.
pub(super) fn hosts_of<'a>(peers: impl Iterator<Item = &'a Peer>) -> Result<Vec<Peer>, AccessError> {
    let host = |peer: &Peer| match peer {
        Peer::Word(word) => match word.parse() {
            Ok(addr) => Ok(Peer::At(addr)),
            Err(error) => Err(AccessError::Word { word: word.clone(), error }),
        },
        other => Ok(other.clone()),
    };
    peers.map(host).collect()
}

/// One of the remembered rooms, or the open lobby: as somebody chooses. `None` where nobody does.
pub(super) fn chosen(
    rooms: &Rooms,
    choose: impl FnOnce(&[Choice]) -> io::Result<Option<usize>>,
) -> Result<Option<Meant>, AccessError> {
    let zone = TimeZone::system();
    let about = |known: &Remembered| {
        let door = if known.key.is_some() { "closed" } else { "open" };
        format!("{door}, last used {}", known.last_used.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M"))
    };
    let choice = |known: &Remembered| Choice { name: rooms.label_of(known), about: about(known) };
    let mut choices: Vec<Choice> = rooms.iter().map(choice).collect();
    if !rooms.iter().any(|known| known.is(ROOM_DEFAULT, None)) {
        choices.push(Choice { name: ROOM_DEFAULT.to_owned(), about: "open".to_owned() });
    }
    let Some(index) = choose(&choices).map_err(AccessError::Choice)? else { return Ok(None) };
    Ok(Some(match rooms.iter().nth(index) {
        Some(known) => Meant { room: known.room.clone(), secret: known.key.clone(), known: Some(known.clone()) },
        None => Meant { room: ROOM_DEFAULT.to_owned(), secret: None, known: None },
    }))
}

/// Says so where a closed room of this name is remembered, and this run is in the open one without being told to.
pub(super) fn warn_of_closed(room: &str, shelf: &Shelf) {
    let is_closed = |rooms: &Rooms| rooms.iter().any(|known| known.room == room && known.key.is_some());
    if shelf.rooms().is_ok_and(is_closed) {
        log::warn!("this is the open room {room}; the closed room of that name that is remembered is -r {room}");
    }
}

/// What is to be remembered of a room, written at once where nobody has to let this run in.
pub(super) fn memory(meant: &Meant, named: &[Named]) -> Memory {
    let Ok(path) = rooms_path() else { return Memory::default() };
    let host = |named: &Named| Some(KnownHost { addr: named.addr.parse().ok()?, id: named.key });
    let room = Remembered {
        room: meant.room.clone(),
        key: meant.secret.clone(),
        hosts: named.iter().filter_map(host).collect(),
        last_used: Timestamp::now(),
        more: BTreeMap::new(),
    };
    let mut memory = Memory::of(path, room);
    if meant.known.is_some() || named.is_empty() {
        memory.joined();
    }
    memory
}

/// The hosts of a remembered room that are not named anyway.
pub(super) fn hosts_known(known: Remembered, named: &[Named]) -> Vec<Named> {
    let hosts = known.hosts.into_iter().map(|host| Named { addr: host.addr.to_string(), key: host.id });
    hosts.filter(|host| !named.iter().any(|other| other.addr == host.addr)).collect()
}
