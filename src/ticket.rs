//! Tickets: one line that holds all one needs to join a room.
//!
//! The hosts through which to join, each with its key and its addresses, the room and, where that has one, its
//! secret. A ticket begins with `hobnob`, one with a secret with `hobnobsecret`, so that people see what they
//! have in hand; only the former may stand on a command line. The digit behind it is 1 for one host, and 2
//! for several. Reading one is strict: what `from_str` takes is what `to_line` writes, letter by letter.

use std::collections::BTreeSet;
use std::str::FromStr;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::addr::PeerAddr;
use crate::identity::Id;
use crate::limits::{HOST_BYTES_MAX, ROOM_NAME_BYTES_MAX, TICKET_ADDRESSES_MAX, TOKEN_BYTES_MAX};
use crate::secret::RoomSecret;
use crate::token::{self, KEY_WORD, OPEN_WORD, SECRET_WORD, SEVERAL_VERSION, TICKET_WORDS, TokenError, VERSION};
use crate::wire::record;

/// All one needs to join a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Through whom: one or more, each key once, with `TICKET_ADDRESSES_MAX` addresses in all, each once.
    pub hosts: Vec<Host>,
    /// The room's name.
    pub room: String,
    /// Its secret, if it has one and the ticket gives it away.
    pub secret: Option<RoomSecret>,
}

/// A member through whom others join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The key that has to answer at each of its addresses.
    pub id: Id,
    /// Where it is reached: one or more.
    pub addresses: Vec<PeerAddr>,
}

/// Why hosts do not make a ticket. It is not made (exit code 2), and a line that holds them is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HostsError {
    /// No host at all, or one without an address.
    #[error("a ticket names one host or more, and one address or more of each")]
    Nowhere,
    /// More addresses than a ticket holds.
    #[error("a ticket holds up to {TICKET_ADDRESSES_MAX} addresses, of all its hosts together")]
    TooMany,
    /// The same key under two hosts.
    #[error("the key {} stands for two hosts: name all its addresses together", .0.short())]
    KeyTwice(Id),
    /// The same address twice.
    #[error("{0} stands there twice")]
    AddressTwice(PeerAddr),
    /// An address that means something on one computer only.
    #[error("{0} has a zone, which means nothing on another computer: name an address without one")]
    Zone(PeerAddr),
}

impl Ticket {
    /// What is wrong with its hosts, if anything.
    pub fn check_hosts(&self) -> Result<(), HostsError> {
        let (mut ids, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for host in &self.hosts {
            if !ids.insert(host.id) {
                return Err(HostsError::KeyTwice(host.id));
            }
            if host.addresses.is_empty() {
                return Err(HostsError::Nowhere);
            }
            for addr in &host.addresses {
                if addr.host.contains('%') {
                    return Err(HostsError::Zone(addr.clone()));
                }
                if !addresses.insert(addr) {
                    return Err(HostsError::AddressTwice(addr.clone()));
                }
            }
        }
        match addresses.len() {
            0 => Err(HostsError::Nowhere),
            1..=TICKET_ADDRESSES_MAX => Ok(()),
            _ => Err(HostsError::TooMany),
        }
    }

    /// The line. Wiped when it goes, as it may hold the secret.
    pub fn to_line(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES_MAX));
        let several = self.hosts.len() > 1;
        if let (false, Some(host)) = (several, self.hosts.first()) {
            bytes.extend(host.id.0);
        }
        if let Some(secret) = &self.secret {
            bytes.extend(secret.bytes());
        }
        push_text(&mut bytes, &self.room);
        for host in &self.hosts {
            if several {
                bytes.extend(host.id.0);
                push_count(&mut bytes, host.addresses.len());
            }
            for addr in &host.addresses {
                bytes.extend(addr.port.to_be_bytes());
                push_text(&mut bytes, &addr.host);
            }
        }
        let word = if self.secret.is_some() { SECRET_WORD } else { OPEN_WORD };
        token::encode(word, if several { SEVERAL_VERSION } else { VERSION }, &bytes)
    }

    /// Whether a text is meant to be a ticket, with a secret or without; it may be damaged.
    pub fn is_meant(text: &str) -> bool {
        token::is_meant(&TICKET_WORDS, text)
    }

    /// Whether a text holds a line with a secret, a ticket or a key, whole or damaged.
    pub fn is_secret_within(text: &str) -> bool {
        token::is_within(&[SECRET_WORD, KEY_WORD], text)
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_count(bytes, text.len());
    bytes.extend(text.as_bytes());
}

/// A room's name, a host's and the addresses of a host are bounded to fit.
fn push_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.push(u8::try_from(count).unwrap_or(u8::MAX));
}

impl FromStr for Ticket {
    type Err = TokenError;

    fn from_str(line: &str) -> Result<Self, TokenError> {
        let is_secret = line.starts_with(SECRET_WORD);
        let word = if is_secret { SECRET_WORD } else { OPEN_WORD };
        let (version, bytes) = token::decode(word, &[VERSION, SEVERAL_VERSION], line)?;
        let ticket = read(&mut Fields(&bytes), version == SEVERAL_VERSION, is_secret);
        ticket.filter(|ticket| ticket.check_hosts().is_ok()).ok_or(TokenError::Senseless)
    }
}

/// What is still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn count(&mut self) -> Option<usize> {
        let [count] = *self.take(1)? else { return None };
        Some(usize::from(count))
    }

    fn text(&mut self) -> Option<&'a str> {
        let count = self.count()?;
        std::str::from_utf8(self.take(count)?).ok()
    }

    fn id(&mut self) -> Option<Id> {
        Some(Id(self.take(32)?.try_into().ok()?))
    }

    fn addr(&mut self) -> Option<PeerAddr> {
        let port = u16::from_be_bytes(self.take(2)?.try_into().ok()?);
        let addr = PeerAddr { host: self.text()?.to_owned(), port };
        // As it would have been typed.
        (addr.to_string().parse() == Ok(addr.clone())).then_some(addr)
    }
}

/// A loop over addresses ends with the bytes, of which a line has `TOKEN_BYTES_MAX` at most.
fn read(rest: &mut Fields<'_>, several: bool, is_secret: bool) -> Option<Ticket> {
    let only = if several { None } else { Some(rest.id()?) };
    let secret = if is_secret { Some(RoomSecret::from_bytes(rest.take(32)?)?) } else { None };
    let room = rest.text()?.to_owned();
    record::check_room_name(&room).ok()?;
    let mut hosts = Vec::new();
    while !rest.0.is_empty() {
        let id = only.map_or_else(|| rest.id(), Some)?;
        let mut addresses = Vec::new();
        let count = if several { rest.count()? } else { usize::MAX };
        while addresses.len() < count && (several || !rest.0.is_empty()) {
            addresses.push(rest.addr()?);
        }
        hosts.push(Host { id, addresses });
    }
    // One host has one form.
    (several == (hosts.len() > 1)).then_some(Ticket { hosts, room, secret })
}

const _: () = assert!(
    "hobnobsecret2".len()
        + (2 + 32 + 1 + ROOM_NAME_BYTES_MAX + TICKET_ADDRESSES_MAX * (32 + 1 + 2 + 1 + HOST_BYTES_MAX) + 4) * 8 / 5
        < TOKEN_BYTES_MAX,
    "the longest ticket fits"
);
