//! A ticket or a room key that is taken is written again letter by letter; no damage to one is taken; and what is no
//! line is told from one that is meant to be.
//!
//! The input: what it is, and the text, or what is within a line whose letters fit together.

use hobnob::addr::PeerAddr;
use hobnob::secret::{RoomKey, RoomSecret};
use hobnob::ticket::{Host, Ticket};

use super::Bytes;

pub(crate) fn run(data: &[u8]) {
    let mut input = Bytes(data);
    match input.below(6) {
        0 => text(&String::from_utf8_lossy(input.0)),
        1 => addr(&String::from_utf8_lossy(input.0)),
        2 => {
            let word = input.pick(&["hobnob", "hobnobsecret", "hobnobkey"]);
            let version = input.pick(&["1", "2"]);
            let line = line_of(word, version, input.0);
            text(&line);
        }
        3 => key(input.0),
        _ => whole(&mut input),
    }
}

fn text(text: &str) {
    if let Ok(ticket) = text.parse::<Ticket>() {
        assert_eq!(*ticket.to_line(), text, "one ticket, one line");
        assert!(Ticket::is_meant(text));
        assert!(ticket.secret.is_none() || Ticket::is_secret_within(text), "a secret is seen");
        for addr in ticket.hosts.iter().flat_map(|host| &host.addresses) {
            self::addr(&addr.to_string());
        }
    }
    if Ticket::is_secret_within(text) {
        let text = text.to_ascii_lowercase();
        assert!(text.contains("hobnobsecret") || text.contains("hobnobkey"), "a secret is one of the two");
    }
    key(text.as_bytes());
}

fn addr(text: &str) {
    if let Ok(addr) = text.parse::<PeerAddr>() {
        assert_eq!(addr.to_string().parse().as_ref(), Ok(&addr), "{text:?} is {addr}");
    }
}

fn key(bytes: &[u8]) {
    let Ok(key) = RoomKey::parse(bytes) else { return };
    assert!(["RoomKey::Random", "RoomKey::Passphrase"].contains(&format!("{key:?}").as_str()), "a secret is not shown");
    // From a passphrase it takes long, on purpose.
    if let RoomKey::Random(secret) = key {
        let text = std::str::from_utf8(bytes).expect("a key is text");
        assert_eq!(*secret.to_line(), text.trim(), "one key, one line");
    }
}

/// A line that holds these bytes, as the protocol's page says.
fn line_of(word: &str, version: &str, bytes: &[u8]) -> String {
    let count = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    let check = blake3::hash(&[word.as_bytes(), version.as_bytes(), bytes].concat());
    let letters = data_encoding::BASE32_NOPAD.encode(&[&count, bytes, &check.as_bytes()[..4]].concat());
    format!("{word}{version}{}", letters.to_ascii_lowercase())
}

/// A ticket of any parts goes there and back, and with one letter changed it does not.
fn whole(input: &mut Bytes<'_>) {
    let secret = (input.byte() % 2 == 1).then(|| RoomSecret::from_bytes(&[input.byte(); 32]).expect("32 bytes"));
    let (at, change) = (input.below(256) * 16 + input.below(16), input.byte() % 31 + 1);
    let room = String::from_utf8_lossy(input.chunk()).into_owned();
    let mut hosts: Vec<Host> = Vec::new();
    while !input.is_empty() {
        let host = input.byte();
        let Ok(addr) = String::from_utf8_lossy(input.chunk()).parse::<PeerAddr>() else { continue };
        match hosts.last_mut().filter(|_| host.is_multiple_of(2)) {
            Some(last) => last.addresses.push(addr),
            None => hosts.push(Host { id: super::identity(host).id(), addresses: vec![addr] }),
        }
    }
    let is_room = hobnob::wire::record::check_room_name(&room).is_ok();
    let ticket = Ticket { hosts, room, secret };
    if !is_room {
        return;
    }
    let line = ticket.to_line();
    if ticket.check_hosts().is_err() {
        assert!(line.parse::<Ticket>().is_err(), "{line:?} names hosts that make no sense");
        return;
    }
    assert_eq!(line.parse::<Ticket>().as_ref(), Ok(&ticket));
    let mut damaged = line.as_bytes().to_vec();
    let place = at % damaged.len();
    damaged[place] ^= change;
    let damaged = String::from_utf8_lossy(&damaged);
    assert!(damaged.parse::<Ticket>().is_err(), "{damaged} is damaged at {place}");
}
