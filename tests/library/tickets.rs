//! Promise: a ticket is one line that survives being passed on, or is refused with what is wrong. Checked
//! against an encoder written here from the protocol page alone, on every truncation and every wrong letter
//! of a line, and on random bytes.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::net::IpAddr;

use data_encoding::BASE32_NOPAD;
use hobnob::addr::PeerAddr;
use hobnob::console::invite::{self, InviteError};
use hobnob::identity::{Id, Identity};
use hobnob::limits::{HOST_BYTES_MAX, ROOM_NAME_BYTES_MAX, TICKET_ADDRESSES_MAX, TOKEN_BYTES_MAX};
use hobnob::room::event::{Person, Status};
use hobnob::secret::{RoomKey, RoomKeyError, RoomSecret};
use hobnob::ticket::{Host, HostsError, Ticket};
use hobnob::token::TokenError;
use hobnob::wire::record::Nick;
use proptest::prelude::*;

fn addr(host: &str, port: u16) -> PeerAddr {
    PeerAddr { host: host.to_owned(), port }
}

fn host() -> Id {
    host_of(1)
}

fn host_of(seed: u8) -> Id {
    Identity::from_seed(&[seed; 32]).id()
}

fn open_ticket() -> Ticket {
    to_hosts([vec![addr("alice.example", 4646), addr("2001:db8::7", 9000)]])
}

/// To the room tea, through hosts with these addresses, the first of which is `host`.
fn to_hosts(addresses: impl IntoIterator<Item = Vec<PeerAddr>>) -> Ticket {
    let hosts = (1..).zip(addresses).map(|(seed, addresses)| Host { id: host_of(seed), addresses });
    Ticket { hosts: hosts.collect(), room: "tea".to_owned(), secret: None }
}

fn several_hosts() -> Ticket {
    to_hosts([vec![addr("alice.example", 4646)], vec![addr("2001:db8::7", 9000), addr("bob.example", 1)]])
}

fn secret_ticket() -> Ticket {
    Ticket { secret: RoomSecret::from_bytes(&[7; 32]), ..open_ticket() }
}

/// A line as the protocol page says it is made.
fn line_of(word: &str, bytes: &[u8]) -> String {
    line_of_version("1", word, bytes)
}

fn line_of_version(version: &str, word: &str, bytes: &[u8]) -> String {
    let check = blake3::hash(&[word.as_bytes(), version.as_bytes(), bytes].concat());
    let count = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let whole = [&count, bytes, check.as_bytes().get(..4).unwrap()].concat();
    format!("{word}{version}{}", BASE32_NOPAD.encode(&whole).to_lowercase())
}

fn text(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn parse(line: &str) -> Result<Ticket, TokenError> {
    line.parse()
}

#[test]
fn a_ticket_comes_back_from_its_line() {
    for ticket in [open_ticket(), secret_ticket(), several_hosts()] {
        assert_eq!(parse(&ticket.to_line()), Ok(ticket));
    }
}

#[test]
fn a_line_is_made_as_the_protocol_page_says() {
    let rest = [text("tea"), vec![0x12, 0x26], text("alice.example"), vec![0x23, 0x28], text("2001:db8::7")].concat();
    let open = [host().0.as_slice(), &rest].concat();
    assert_eq!(*open_ticket().to_line(), line_of("hobnob", &open));
    let secret = [host().0.as_slice(), &[7; 32], &rest].concat();
    assert_eq!(*secret_ticket().to_line(), line_of("hobnobsecret", &secret));
}

#[test]
fn a_line_with_several_hosts_is_made_as_the_protocol_page_says() {
    let alice = [host().0.to_vec(), vec![1], vec![0x12, 0x26], text("alice.example")].concat();
    let far = [vec![0x23, 0x28], text("2001:db8::7")].concat();
    let bob = [host_of(2).0.to_vec(), vec![2], far, vec![0, 1], text("bob.example")].concat();
    let open = [text("tea"), alice, bob].concat();
    assert_eq!(*several_hosts().to_line(), line_of_version("2", "hobnob", &open));
    let secret = Ticket { secret: RoomSecret::from_bytes(&[7; 32]), ..several_hosts() };
    assert_eq!(*secret.to_line(), line_of_version("2", "hobnobsecret", &[vec![7; 32], open].concat()));
    assert!(Ticket::is_secret_within(&secret.to_line()) && Ticket::is_meant(&several_hosts().to_line()));
}

#[test]
fn a_line_is_one_word_of_small_letters_and_digits() {
    for ticket in [open_ticket(), secret_ticket()] {
        let line = ticket.to_line();
        assert!(line.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{line:?}");
    }
}

#[test]
fn a_ticket_with_a_secret_looks_otherwise() {
    let (open, secret) = (open_ticket().to_line(), secret_ticket().to_line());
    assert!(open.starts_with("hobnob1") && secret.starts_with("hobnobsecret1"));
    for line in [open.to_string(), open.to_uppercase(), format!("--ticket={}", *open), "hobnobsecret1.txt".into()] {
        assert!(!Ticket::is_secret_within(&line), "{line}");
    }
    let cut = secret.get(..40).unwrap();
    for line in [cut.into(), secret.to_uppercase(), format!("--ticket={}", *secret), format!("x:{cut}")] {
        assert!(Ticket::is_secret_within(&line), "{line}");
    }
    assert!(Ticket::is_secret_within(&RoomSecret::from_bytes(&[7; 32]).unwrap().to_line()));
}

#[test]
fn a_host_is_not_taken_for_a_ticket() {
    for host in ["hobnob", "hobnob1", "hobnob1.example:9000", "hobnob12", "hobnob1abcdefghijklmnopqrstuvw:1", "h"] {
        assert!(!Ticket::is_meant(host), "{host}");
    }
    let line = open_ticket().to_line();
    for ticket in [line.as_str(), line.get(..40).unwrap(), &line.replacen('1', "2", 1), &line.to_uppercase()] {
        assert!(Ticket::is_meant(ticket), "{ticket}");
    }
}

#[test]
fn a_line_that_was_cut_short_or_goes_on_is_refused_as_such() {
    for ticket in [open_ticket(), secret_ticket(), several_hosts()] {
        let line = ticket.to_line();
        let word = line.find(|letter: char| letter.is_ascii_digit()).unwrap();
        for end in word + 1..line.len() {
            assert_eq!(parse(line.get(..end).unwrap()), Err(TokenError::Incomplete), "{end}");
        }
        assert_eq!(parse(&format!("{}a", *line)), Err(TokenError::Surplus));
    }
}

#[test]
fn a_line_with_a_wrong_letter_is_refused() {
    let line = secret_ticket().to_line();
    let start = line.find('1').unwrap() + 1;
    for place in start..line.len() {
        for letter in ["a", "m", "7"] {
            let mut wrong = line.to_string();
            wrong.replace_range(place..=place, letter);
            if wrong != *line {
                let refused = parse(&wrong).unwrap_err();
                let by_count = matches!(refused, TokenError::Incomplete | TokenError::Surplus);
                assert!(refused == TokenError::Mistyped || (by_count && place < start + 4), "{place}: {refused}");
            }
        }
        for letter in ['0', '1', '8', ' ', '-', '\n', 'A', 'ä'] {
            let mut wrong = line.to_string();
            wrong.replace_range(place..=place, &letter.to_string());
            assert_eq!(parse(&wrong), Err(TokenError::Letter(letter)));
        }
    }
}

#[test]
fn another_version_and_another_word_are_told_apart() {
    for line in [open_ticket().to_line(), secret_ticket().to_line()] {
        assert_eq!(parse(&line.replacen('1', "3", 1)), Err(TokenError::Version('3')));
        assert_eq!(parse(&line.replacen('1', "2", 1)), Err(TokenError::Mistyped), "the version is checked, too");
    }
    let key = RoomSecret::from_bytes(&[7; 32]).unwrap().to_line().replacen('1', "2", 1);
    assert_eq!(
        RoomKey::parse(key.as_bytes()),
        Err(RoomKeyError::Key(TokenError::Version('2'))),
        "tickets alone have it"
    );
    // The word is checked, too: a secret cannot be passed off as something else.
    let line = secret_ticket().to_line();
    assert_eq!(parse(&line.replacen("hobnobsecret", "hobnob", 1)), Err(TokenError::Mistyped));
    for foreign in ["", "hobno", "alice.example:4646", "HOBNOB1aaaa", "hobnobx1aaaa", " hobnob1aaaa"] {
        assert_eq!(parse(foreign), Err(TokenError::Foreign), "{foreign:?}");
    }
    let key = RoomSecret::from_bytes(&[7; 32]).unwrap().to_line();
    assert_eq!(parse(&key), Err(TokenError::Foreign));
}

#[test]
fn a_ticket_holds_as_much_as_its_bounds_say_and_no_more() {
    let far = |number: usize| addr(&"h".repeat(HOST_BYTES_MAX), 65_535 - u16::try_from(number).unwrap());
    let longest = Ticket {
        room: "r".repeat(ROOM_NAME_BYTES_MAX),
        secret: RoomSecret::from_bytes(&[7; 32]),
        ..to_hosts((0..TICKET_ADDRESSES_MAX).map(|number| vec![far(number)]))
    };
    let line = longest.to_line();
    assert_eq!(line.len(), 3_877, "limits.rs counts it");
    assert_eq!(parse(&line), Ok(longest));
    let near = |count: usize| (1..=count).map(|port| addr("h", u16::try_from(port).unwrap())).collect::<Vec<_>>();
    let alone = |count| to_hosts([near(count)]);
    let each = |count| to_hosts(near(count).into_iter().map(|addr| vec![addr]));
    for ticket in [alone(TICKET_ADDRESSES_MAX), each(TICKET_ADDRESSES_MAX)] {
        assert_eq!(ticket.check_hosts(), Ok(()));
        assert_eq!(parse(&ticket.to_line()), Ok(ticket));
    }
    for ticket in [alone(TICKET_ADDRESSES_MAX + 1), each(TICKET_ADDRESSES_MAX + 1)] {
        assert_eq!(ticket.check_hosts(), Err(HostsError::TooMany));
        assert_eq!(parse(&ticket.to_line()), Err(TokenError::Senseless));
    }
    assert_eq!(parse(&"h".repeat(TOKEN_BYTES_MAX + 1)), Err(TokenError::TooLong));
}

#[test]
fn hosts_that_make_no_sense_make_no_ticket_and_are_taken_from_none() {
    let (here, there) = (addr("a", 1), addr("b", 2));
    let zoned = addr("fe80::1%eth0", 1);
    let same_key = Host { id: host(), addresses: vec![there.clone()] };
    let twice = Ticket { hosts: [to_hosts([vec![here.clone()]]).hosts, vec![same_key]].concat(), ..open_ticket() };
    let cases = [
        (to_hosts([vec![]]), HostsError::Nowhere),
        (to_hosts([vec![here.clone()], vec![]]), HostsError::Nowhere),
        (twice, HostsError::KeyTwice(host())),
        (to_hosts([vec![here.clone(), here.clone()]]), HostsError::AddressTwice(here.clone())),
        (to_hosts([vec![here.clone()], vec![there, here.clone()]]), HostsError::AddressTwice(here.clone())),
        (to_hosts([vec![zoned.clone()]]), HostsError::Zone(zoned)),
    ];
    for (ticket, wrong) in cases {
        assert_eq!(ticket.check_hosts(), Err(wrong.clone()));
        assert_eq!(parse(&ticket.to_line()), Err(TokenError::Senseless), "{wrong}");
    }
    assert_eq!(to_hosts([]).check_hosts(), Err(HostsError::Nowhere));
    // One host has one form.
    let one = [text("tea"), host().0.to_vec(), vec![1, 0, 1], text("a")].concat();
    assert_eq!(parse(&line_of_version("2", "hobnob", &one)), Err(TokenError::Senseless));
}

#[test]
fn a_line_that_is_whole_and_makes_no_sense_is_refused() {
    let alice = [vec![0x12, 0x26], text("alice")].concat();
    let cases: [(&str, Vec<u8>); 10] = [
        ("nothing", vec![]),
        ("no room", host().0.to_vec()),
        ("an empty room", [text(""), alice.clone()].concat()),
        ("a long room", [text(&"r".repeat(ROOM_NAME_BYTES_MAX + 1)), alice.clone()].concat()),
        ("a room of no text", [vec![2, 0xc3, 0x28], alice.clone()].concat()),
        ("no address", text("tea")),
        ("half an address", [text("tea"), vec![0x12]].concat()),
        ("port 0", [text("tea"), vec![0, 0], text("alice")].concat()),
        ("no host", [text("tea"), vec![0, 1], text("")].concat()),
        ("a host with a port", [text("tea"), vec![0, 1], text("alice:1")].concat()),
    ];
    for (what, rest) in cases {
        let bytes = if what == "nothing" { rest } else { [host().0.as_slice(), &rest].concat() };
        assert_eq!(parse(&line_of("hobnob", &bytes)), Err(TokenError::Senseless), "{what}");
    }
}

#[test]
fn what_is_wrong_is_said_without_the_ticket() {
    let line = secret_ticket().to_line();
    let mut mistyped = line.to_string();
    mistyped.replace_range(60..61, if mistyped.get(60..61) == Some("a") { "b" } else { "a" });
    for wrong in [&mistyped, line.get(..80).unwrap(), &line.replacen('1', "2", 1), &line.to_uppercase()] {
        let told = parse(wrong).unwrap_err().to_string();
        assert!(told.len() < 120 && !told.contains(line.get(20..30).unwrap()), "{told}");
    }
}

#[test]
fn a_secret_does_not_show_in_debug_output() {
    let shown = format!("{:?}", secret_ticket());
    assert!(!shown.contains("7, 7") && !shown.contains("0707") && shown.contains("RoomSecret"), "{shown}");
}

/// How things are at a node that listens there, with what its links have shown.
fn status(listening: Option<&str>, shown: &[&str]) -> Status {
    Status {
        room: "tea".to_owned(),
        me: Person { id: host(), nick: Nick::new("alice").unwrap() },
        session: 1,
        hub: None,
        listening: listening.map(|addr| addr.parse().unwrap()),
        addresses: shown.iter().map(|addr| addr.parse().unwrap()).collect(),
        links: Vec::new(),
        dialling: Vec::new(),
        members: 1,
        posts: 1,
        log_bytes: 0,
        unconfirmed_bytes: 0,
    }
}

#[test]
fn an_invitation_names_where_others_reach_this_node() {
    let machine: Vec<IpAddr> =
        ["127.0.0.1", "10.0.0.5", "fe80::1", "2001:db8::5", "::1", "169.254.3.4"].map(|ip| ip.parse().unwrap()).into();
    let reached = |listening, shown: &[&str], machine: &[IpAddr]| {
        let ticket = invite::ticket(&status(Some(listening), shown), None, machine)?;
        Ok(ticket.hosts[0].addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(reached("192.0.2.1:9", &["10.0.0.5:9"], &machine), Ok("192.0.2.1:9".to_owned()), "it is bound there");
    assert_eq!(reached("0.0.0.0:9", &[], &machine), Ok("10.0.0.5:9".to_owned()));
    let shown = ["127.0.0.1:9", "192.0.2.1:9", "10.0.0.5:9"];
    assert_eq!(reached("0.0.0.0:9", &shown, &machine), Ok("192.0.2.1:9 10.0.0.5:9".to_owned()), "each once");
    assert_eq!(reached("[::]:9", &[], &machine), Ok("10.0.0.5:9 [2001:db8::5]:9".to_owned()));
    assert_eq!(reached("0.0.0.0:9", &[], &machine[..1]), Ok("127.0.0.1:9".to_owned()), "there is nothing else");
    assert_eq!(reached("0.0.0.0:9", &[], &[]), Err(InviteError::Nowhere));
    let many: Vec<IpAddr> = (1..=20).map(|last| IpAddr::from([10, 0, 0, last])).collect();
    let ticket = invite::ticket(&status(Some("0.0.0.0:9"), &[]), None, &many).unwrap();
    assert_eq!(ticket.hosts[0].addresses.len(), TICKET_ADDRESSES_MAX);
    assert_eq!(invite::ticket(&status(None, &[]), None, &machine), Err(InviteError::Closed));
}

proptest! {
    #[test]
    fn any_ticket_comes_back(
        addresses in prop::collection::btree_set(("[a-z0-9.-]{1,40}", 1_u16..), 1..=TICKET_ADDRESSES_MAX),
        room in "[^\\p{Cc}]{1,16}",
        secret in any::<Option<[u8; 32]>>(),
        count in 1..=TICKET_ADDRESSES_MAX,
    ) {
        let addresses: Vec<PeerAddr> = addresses.iter().map(|(host, port)| addr(host, *port)).collect();
        let hosts = addresses.chunks(addresses.len().div_ceil(count)).map(<[PeerAddr]>::to_vec);
        let secret = secret.and_then(|bytes| RoomSecret::from_bytes(&bytes));
        let ticket = Ticket { room, secret, ..to_hosts(hosts) };
        prop_assert_eq!(parse(&ticket.to_line()), Ok(ticket));
    }

    #[test]
    fn what_is_taken_is_what_is_written(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        secret in any::<bool>(),
        version in "[12]",
    ) {
        let line = line_of_version(&version, if secret { "hobnobsecret" } else { "hobnob" }, &bytes);
        if let Ok(ticket) = parse(&line) {
            prop_assert_eq!(&*ticket.to_line(), &line);
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "(hobnob|hobnobsecret)?[12]?\\PC{0,200}") {
        if let Ok(ticket) = parse(&text) {
            prop_assert_eq!(&*ticket.to_line(), &text);
        }
        let _ = (Ticket::is_meant(&text), Ticket::is_secret_within(&text));
    }
}
