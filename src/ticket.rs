//! Tickets: one line that holds all one needs to join a room.
//!
//! Where its host is, which key the host has, the room and, where that has one, its secret. A
//! ticket begins with `hobnob1`, one with a secret with `hobnobsecret1`, so that people see what they
//! have in hand; only the former may stand on a command line. Reading one is strict: what
//! `from_str` takes is what `to_line` writes, letter by letter.

use std::str::FromStr;

use zeroize::Zeroizing;

use crate::addr::PeerAddr;
use crate::identity::Id;
use crate::limits::{ROOM_NAME_BYTES_MAX, TICKET_ADDRESSES_MAX, TOKEN_BYTES_MAX};
use crate::secret::RoomSecret;
use crate::token::{self, KEY_WORD, OPEN_WORD, SECRET_WORD, TICKET_WORDS, TokenError};
use crate::wire::record;

/// All one needs to join a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Where its host is: 1 to `TICKET_ADDRESSES_MAX`.
    pub addresses: Vec<PeerAddr>,
    /// The room's name.
    pub room: String,
    /// Its secret, if it has one and the ticket gives it away.
    pub secret: Option<RoomSecret>,
    /// Who has to answer there.
    pub host: Id,
}

impl Ticket {
    /// The line. Wiped when it goes, as it may hold the secret.
    pub fn to_line(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES_MAX));
        bytes.extend(self.host.0);
        if let Some(secret) = &self.secret {
            bytes.extend(secret.bytes());
        }
        push_text(&mut bytes, &self.room);
        for addr in &self.addresses {
            bytes.extend(addr.port.to_be_bytes());
            push_text(&mut bytes, &addr.host);
        }
        token::encode(if self.secret.is_some() { SECRET_WORD } else { OPEN_WORD }, &bytes)
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
    // A room's name and a host's are bounded far below 255.
    bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.extend(text.as_bytes());
}

impl FromStr for Ticket {
    type Err = TokenError;

    fn from_str(line: &str) -> Result<Self, TokenError> {
        let is_secret = line.starts_with(SECRET_WORD);
        let bytes = token::decode(if is_secret { SECRET_WORD } else { OPEN_WORD }, line)?;
        let mut rest = Fields(&bytes);
        read(&mut rest, is_secret).ok_or(TokenError::Senseless)
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

    fn text(&mut self) -> Option<&'a str> {
        let [count] = *self.take(1)? else { return None };
        std::str::from_utf8(self.take(usize::from(count))?).ok()
    }
}

fn read(rest: &mut Fields<'_>, is_secret: bool) -> Option<Ticket> {
    let host = Id(rest.take(32)?.try_into().ok()?);
    let secret = if is_secret { Some(RoomSecret::from_bytes(rest.take(32)?)?) } else { None };
    let room = rest.text()?;
    record::check_room_name(room).ok()?;
    let mut addresses = Vec::new();
    while !rest.0.is_empty() {
        let port = u16::from_be_bytes(rest.take(2)?.try_into().ok()?);
        let addr = PeerAddr { host: rest.text()?.to_owned(), port };
        // As it would have been typed.
        if addresses.len() == TICKET_ADDRESSES_MAX || addr.to_string().parse() != Ok(addr.clone()) {
            return None;
        }
        addresses.push(addr);
    }
    (!addresses.is_empty()).then(|| Ticket { addresses, room: room.to_owned(), secret, host })
}

const _: () = assert!(
    ("hobnobsecret1".len()
        + (2 + 32 + 32 + 1 + ROOM_NAME_BYTES_MAX + TICKET_ADDRESSES_MAX * (3 + 253) + 4) * 8 / 5
        + 1)
        <= TOKEN_BYTES_MAX,
    "the longest ticket fits"
);
