//! Which room a run is in, by which secret, and through whom: what the command line, files, the
//! environment and a prompt say about it, put together.
//!
//! An option wins over a variable. A room is named once: a ticket for one room and another room beside
//! it are refused, rather than one of them chosen. Runs on the main thread, before anything has begun.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::addr::PeerAddr;
use crate::args::{Args, HistoryArgs, Peer, Place};
use crate::console::Choice;
use crate::contacts::{self, Contact, contacts_path};
use crate::identity::Id;
use crate::limits::{PASSPHRASE_CHARS_STRONG, SECRET_FILE_BYTES_MAX};
use crate::private::{self, FileError};
use crate::room::Named;
use crate::room::names::{Names, start_of};
use crate::rooms::Memory;
use crate::secret::{RoomKey, RoomSecret};
use crate::ticket::Ticket;
use crate::token::TokenError;

mod error;
mod offer;
mod place;

pub use error::AccessError;
use place::{Given, Shelf};

pub use offer::{Offer, offer, write_to};

/// A room where nothing else is said.
const ROOM_DEFAULT: &str = "lobby";

/// The variable that holds a room key.
const ROOM_KEY_VARIABLE: &str = "HOBNOB_ROOM_KEY";

/// The variable that holds a ticket.
const TICKET_VARIABLE: &str = "HOBNOB_TICKET";

/// The way into a room.
#[derive(Debug)]
pub struct Access {
    /// The room's name.
    pub room: String,
    /// How it is called where another room of that name is remembered.
    pub label: String,
    /// What it is closed with, if it is.
    pub secret: Option<RoomSecret>,
    /// Whom to dial.
    pub named: Vec<Named>,
    /// What is to be remembered of it.
    pub memory: Memory,
}

/// How the one in front of the program is asked what is not on the command line.
#[derive(Debug)]
pub struct Asking<Ask, Choose> {
    /// Reads a ticket that is to stay unseen.
    pub ask: Ask,
    /// Has one of the remembered rooms chosen; `None` where nobody sits there.
    pub choose: Option<Choose>,
}

impl Access {
    /// The way into the room that is asked for; `None` where somebody did not want to choose one. A run that is
    /// `passing` is not remembered.
    pub fn of<A, C>(args: &Args, passing: bool, asking: Asking<A, C>) -> Result<Option<Self>, AccessError>
    where
        A: FnOnce() -> io::Result<Zeroizing<Vec<u8>>>,
        C: FnOnce(&[Choice]) -> io::Result<Option<usize>>,
    {
        let shelf = Shelf::default();
        let word = place::first_word(&args.peers, &shelf)?;
        let named_here = args.peers.iter().skip(usize::from(word.is_some())).chain(&args.hosts);
        let peers = place::hosts_of(named_here)?;
        let brought = ticket(args.ticket.as_deref(), &args.place, asking.ask)?;
        let tickets: Vec<&Ticket> = brought.iter().chain(peers.iter().filter_map(as_ticket)).collect();
        let given = given(brought.as_ref(), &args.place)?;
        let is_plain_secret = args.plaintext && !matches!(given, Given::Nothing);
        if is_plain_secret {
            return Err(AccessError::Plaintext);
        }
        let is_given = !matches!(given, Given::Nothing) || !tickets.is_empty();
        let is_named = args.place.room.is_some() || args.place.open || word.is_some() || is_given;
        let meant = match asking.choose {
            Some(choose) if !is_named && peers.is_empty() && !shelf.rooms()?.is_empty() => {
                match place::chosen(shelf.rooms()?, choose)? {
                    Some(meant) => meant,
                    None => return Ok(None),
                }
            }
            _ => place::meant(&args.place, word, &tickets, given, &shelf)?,
        };
        if args.plaintext && meant.secret.is_some() {
            return Err(AccessError::PlaintextKnown { room: meant.room });
        }
        if !is_named && !passing && meant.known.is_none() {
            place::warn_of_closed(&meant.room, &shelf);
        }
        let mut named = named(&peers, &tickets, &contacts(&peers)?)?;
        let label = shelf.label(&meant);
        let memory = if (is_given || meant.known.is_some()) && !passing && !args.ephemeral {
            place::memory(&meant, &named)
        } else {
            Memory::default()
        };
        if let Some(known) = meant.known.filter(|_| !args.no_mesh || named.is_empty()) {
            named.extend(place::hosts_known(known, &named));
        }
        Ok(Some(Self { room: meant.room, label, secret: meant.secret, named, memory }))
    }
}

/// What closes the room: the secret of a ticket, or a room key.
fn given(brought: Option<&Ticket>, place: &Place) -> Result<Given, AccessError> {
    match brought {
        Some(Ticket { secret: Some(_), .. }) if place.open => Err(AccessError::NotOpen),
        Some(Ticket { secret: Some(secret), .. }) => Ok(Given::Secret(secret.clone())),
        Some(_) => Ok(Given::Nothing),
        None => Ok(room_key(place)?.map_or(Given::Nothing, Given::Key)),
    }
}

/// The room whose history is asked for, and its secret.
pub fn for_history(
    args: &HistoryArgs,
    ask: impl FnOnce() -> io::Result<Zeroizing<Vec<u8>>>,
) -> Result<(String, Option<RoomSecret>), AccessError> {
    let brought = ticket(args.ticket.as_deref(), &args.place, ask)?;
    let tickets: Vec<&Ticket> = brought.iter().collect();
    let given = given(brought.as_ref(), &args.place)?;
    let meant = place::meant(&args.place, None, &tickets, given, &Shelf::default())?;
    Ok((meant.room, meant.secret))
}

/// Keeps a new room key in a file that was not there before.
fn keep_key(path: &Path, secret: &RoomSecret) -> Result<(), AccessError> {
    let line = Zeroizing::new([secret.to_line().as_bytes(), b"\n"].concat());
    private::create(path, &line).map_err(|error| {
        if error.is_taken() { AccessError::OldKeyFile { path: path.to_owned() } } else { AccessError::KeyFile(error) }
    })
}

/// The room key of the file named, or else of the variable.
fn room_key(place: &Place) -> Result<Option<RoomKey>, AccessError> {
    let (origin, bytes) = if let Some(path) = &place.room_key_file {
        let bytes = private::read(path, SECRET_FILE_BYTES_MAX).map_err(|error| {
            if error.is_missing() { AccessError::NoKeyFile { path: path.clone() } } else { AccessError::KeyFile(error) }
        })?;
        (format!("the room key file {}", path.display()), bytes)
    } else if let Some(value) = variable(ROOM_KEY_VARIABLE).filter(|_| !place.open) {
        (ROOM_KEY_VARIABLE.to_owned(), value)
    } else {
        return Ok(None);
    };
    match RoomKey::parse(&bytes) {
        Ok(key) => {
            if key.is_weak() {
                log::warn!(
                    "{origin} is a passphrase of fewer than {PASSPHRASE_CHARS_STRONG} characters, which may be guessed"
                );
            }
            Ok(Some(key))
        }
        Err(error) => Err(AccessError::RoomKey { origin, error }),
    }
}

/// The ticket of the file, prompt or variable.
fn ticket(
    file: Option<&Path>,
    place: &Place,
    ask: impl FnOnce() -> io::Result<Zeroizing<Vec<u8>>>,
) -> Result<Option<Ticket>, AccessError> {
    if let Some(path) = file {
        if path == Path::new("-") {
            let line = ask().map_err(AccessError::Prompt)?;
            return parse_ticket("the first line of stdin".to_owned(), &line).map(Some);
        }
        return ticket_file(path).map(Some);
    }
    if place.room_key_file.is_some() {
        return Ok(None);
    }
    let Some(value) = variable(TICKET_VARIABLE) else { return Ok(None) };
    if variable(ROOM_KEY_VARIABLE).is_some() {
        return Err(AccessError::BothVariables);
    }
    parse_ticket(TICKET_VARIABLE.to_owned(), &value).map(Some)
}

fn ticket_file(path: &Path) -> Result<Ticket, AccessError> {
    let contents = private::read_any(path, SECRET_FILE_BYTES_MAX).map_err(|error| {
        let mistaken = error.is_missing() && path.to_str().is_some_and(Ticket::is_meant);
        if mistaken { AccessError::TicketAsFile } else { AccessError::TicketFile(error) }
    })?;
    let ticket = parse_ticket(format!("the ticket file {}", path.display()), &contents.bytes)?;
    match contents.exposed {
        Some(fault) if ticket.secret.is_some() => {
            Err(AccessError::TicketFile(FileError { path: path.to_owned(), fault }))
        }
        _ => Ok(ticket),
    }
}

/// White space around a ticket is of no meaning.
fn parse_ticket(origin: String, bytes: &[u8]) -> Result<Ticket, AccessError> {
    let line = bytes.trim_ascii();
    if line.is_empty() {
        return Err(AccessError::NoTicket { origin });
    }
    let parsed = std::str::from_utf8(line).map_err(|_| TokenError::Foreign).and_then(str::parse);
    parsed.map_err(|error| AccessError::Ticket { origin, error })
}

fn variable(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    env::var_os(name).map(|value| Zeroizing::new(value.into_vec()))
}

fn as_ticket(peer: &Peer) -> Option<&Ticket> {
    match peer {
        Peer::Ticket(ticket) => Some(ticket),
        Peer::At(_) | Peer::Contact(_) | Peer::Word(_) => None,
    }
}

/// The contacts among the peers. The file is read where one is named.
fn contacts(peers: &[Peer]) -> Result<Vec<Contact>, AccessError> {
    let mut meant = Vec::new();
    let mut people = None;
    for peer in peers {
        let Peer::Contact(who) = peer else { continue };
        let people = match &mut people {
            Some(people) => people,
            None => people.insert(all_contacts()?),
        };
        meant.push(contact(who, people)?);
    }
    Ok(meant)
}

fn all_contacts() -> Result<Vec<Contact>, AccessError> {
    let path = contacts_path().map_err(AccessError::Homeless)?;
    let mut people = contacts::load(&path).map_err(AccessError::Contacts)?;
    people.retain(|contact| contact.contact);
    Ok(people)
}

fn contact(who: &str, people: &[Contact]) -> Result<Contact, AccessError> {
    let persons: Vec<_> = people.iter().map(Contact::person).collect();
    let names: Names = persons.iter().collect();
    let found = names.find(who);
    let contact = match found.as_slice() {
        [person] => people.iter().find(|contact| contact.id == person.id),
        [] => None,
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|person| {
                    let other = several.iter().map(|other| &other.id).find(|id| **id != person.id);
                    format!("{}#{}", person.nick, start_of(&person.id, other))
                })
                .collect();
            return Err(AccessError::SeveralContacts { who: who.to_owned(), names: names.join(", ") });
        }
    };
    let contact = contact.ok_or_else(|| AccessError::NoContact { who: who.to_owned() })?;
    if contact.addresses.is_empty() {
        return Err(AccessError::NoAddress { who: who.to_owned() });
    }
    Ok(contact.clone())
}

/// All peers, each once, with the host that a ticket names or the contact is.
fn named(peers: &[Peer], tickets: &[&Ticket], contacts: &[Contact]) -> Result<Vec<Named>, AccessError> {
    let mut hosts: BTreeMap<String, Option<Id>> = BTreeMap::new();
    for peer in peers {
        if let Peer::At(addr) = peer {
            hosts.insert(addr.to_string(), None);
        }
    }
    let hosts_named = tickets.iter().flat_map(|ticket| &ticket.hosts);
    let of_tickets = hosts_named.flat_map(|host| host.addresses.iter().map(|addr| (addr, host.id)));
    for (addr, host) in of_tickets {
        hold(&mut hosts, addr, host)?;
    }
    for contact in contacts {
        // One of them was at an address where another one is now: it is looked for at its others.
        let mut held = contact.addresses.iter().map(|addr| hold(&mut hosts, addr, contact.id)).collect::<Vec<_>>();
        if held.iter().all(Result::is_err) {
            held.pop().unwrap_or(Ok(()))?;
        }
    }
    Ok(hosts.into_iter().map(|(addr, key)| Named { addr, key }).collect())
}

/// Has one host answer at an address, unless it is another one already.
fn hold(hosts: &mut BTreeMap<String, Option<Id>>, addr: &PeerAddr, host: Id) -> Result<(), AccessError> {
    let addr = addr.to_string();
    let held = hosts.entry(addr.clone()).or_default();
    if held.is_some_and(|held| held != host) {
        return Err(AccessError::OtherHost { addr });
    }
    *held = Some(host);
    Ok(())
}
