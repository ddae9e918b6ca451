//! Promise: whoever is spoken to notices, and nobody else is disturbed; whoever is away says so, and why, and it is
//! shown like anything that others wrote. A nick counts as a word, in whatever case;
//! where it stands in what others say it is marked, scripts are told, and the bell rings as it was set: at a terminal,
//! once for what is written together, and never for the past or for oneself. Checked on the lines that events become.

#![expect(clippy::indexing_slicing, reason = "a wrong index fails the test")]

use std::sync::Arc;

use hobnob::console::bell::{Bell, Ring};
use hobnob::console::json;
use hobnob::console::mention::Mention;
use hobnob::console::print::{Printer, Shown, Style};
use hobnob::console::{Naming, rows_of};
use hobnob::contacts::Contacts;
use hobnob::identity::Identity;
use hobnob::room::event::{Event, Member, Person};
use hobnob::wire::record::{Domain, Draft, FeedId, Header, Nick, Post};
use serde_json::Value;

fn person(seed: u8, name: &str) -> Person {
    Person { id: Identity::from_seed(&[seed; 32]).id(), nick: Nick::new(name).expect("a nick") }
}

fn said_by(seed: u8, text: &str, backlog: bool) -> Event {
    let author = Identity::from_seed(&[seed; 32]);
    let feed = FeedId { author: author.id(), session: 7 };
    let nick = Nick::new("alice").expect("a nick");
    let header = Header { feed, number: 3, at: 1_700_000_000_123, nick: &nick, ack: false };
    let draft = Draft::Say { text, action: false, part: false };
    let post = Arc::new(Post::encode(&header, &draft, &Domain::of_room("lobby"), &author));
    Event::Said { post, mine: seed == 1, backlog }
}

fn said(text: &str) -> Event {
    said_by(2, text, false)
}

const TERMINAL: Style = Style { together: true, color: false, quiet: false };
const COLORED: Style = Style { color: true, ..TERMINAL };

fn printer(style: Style, nick: &str) -> Printer {
    Printer::new(style, &person(1, nick), Naming::default())
}

fn printed(style: Style, nick: &str, events: &[Event]) -> Shown {
    let (mut printer, mut shown) = (printer(style, nick), Shown::default());
    for event in events {
        printer.event(event, &mut shown);
    }
    shown
}

/// What stands behind the author's name.
fn text_of(shown: &Shown) -> &str {
    shown.chat.trim_end_matches('\n').rsplit_once(": ").map_or("", |(_, text)| text)
}

fn is_meant(nick: &str, text: &str) -> bool {
    Mention::of(&person(1, nick)).find(text, 0).is_some()
}

#[test]
fn a_nick_is_meant_where_it_stands_as_a_word() {
    for text in ["bob", "Bob: hi", "hi,BOB!", "it is bob's", "@bob", "bob#1a2b3c4d", "a bobby, and bob", "bobbob (bob)"]
    {
        assert!(is_meant("bob", text), "{text}");
    }
    for text in ["", "bo", "bobby", "kebob", "bob2", "2bob", "bob_", "bobö", "böb", "bob\u{301}", "bo\u{200d}b"] {
        assert!(!is_meant("bob", text), "{text}");
    }
}

#[test]
fn a_nick_of_any_letters_is_found_in_any_case() {
    for (nick, text) in [
        ("Zoë", "hi ZOË"),
        ("ΣΑΣ", "σας?"),
        ("straße", "die STRASSE"),
        ("мир", "Мир!"),
        ("[x]", "a[X]b"),
        ("日本", "日本、"),
        ("🦊", "x🦊y"),
        ("a-b", "so A-B?"),
    ] {
        assert!(is_meant(nick, text), "{nick} in {text}");
    }
    assert!(!is_meant("日本", "日本語"));
    assert!(!is_meant("👩", "👩\u{200d}🚀"), "half a character is nobody");
    assert!(!is_meant("🇩", "🇩🇪"), "half a flag is nobody");
}

#[test]
fn a_nick_in_what_others_say_is_marked() {
    let shown = printed(COLORED, "bob", &[said("Bob and bobby, bob")]);
    assert_eq!(text_of(&shown), "\u{1b}[1;7mBob\u{1b}[0m and bobby, \u{1b}[1;7mbob\u{1b}[0m");
    let shown = printed(COLORED, "bob", &[said("one\nbob\n\ntwo bob")]);
    assert_eq!(shown.chat.matches("\u{1b}[1;7mbob\u{1b}[0m").count(), 2);
    assert_eq!(text_of(&printed(TERMINAL, "bob", &[said("hi bob")])), "hi bob", "without colours it stays as it is");
    assert_eq!(text_of(&printed(COLORED, "bob", &[said_by(1, "hi bob", false)])), "hi bob", "nobody means himself");
}

/// Takes the colours out.
fn bare(text: &str) -> String {
    let mut pieces = text.split('\u{1b}');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn a_mark_changes_nothing_of_what_is_shown() {
    let hostile = [
        "\u{1b}[2Jbob\u{1b}[31mbob\r\u{7}bob\u{9b}0m",
        "\u{202e}bob\u{202c} \u{301}bob \u{200c}bob\u{200c} bob\u{fe0f}",
        "日本bob 日本 bob日本\tbob\u{1b}",
        "می\u{200c}خواهم bob 👩\u{200d}🚀bob👩\u{200d}🚀",
        "bob\nbob \u{1b}\n\n  bob",
    ];
    for text in hostile {
        let [marked, plain] = [COLORED, TERMINAL].map(|style| printed(style, "bob", &[said(text)]).chat);
        assert!(marked.contains("\u{1b}[1;7mbob\u{1b}[0m"), "{marked:?}");
        assert_eq!(bare(&marked), plain, "{text:?}");
        assert_eq!(rows_of(&bare(&marked), 20), rows_of(&plain, 20));
        let obeyed = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\u{1b}');
        assert!(!marked.contains(obeyed), "{marked:?}");
    }
}

#[test]
fn a_new_nick_is_looked_for_and_the_old_one_no_longer() {
    let renamed = Event::Renamed { member: person(1, "rob"), old: Nick::new("bob").expect("a nick") };
    let other = Event::Renamed { member: person(3, "carol"), old: Nick::new("carla").expect("a nick") };
    let shown = printed(COLORED, "bob", &[renamed, other, said("bob or carol or Rob")]);
    assert_eq!(text_of(&shown), "bob or carol or \u{1b}[1;7mRob\u{1b}[0m");
}

fn rings(style: Style, bell: Bell, event: &Event) -> bool {
    let (mut printer, mut shown) = (printer(style, "bob"), Shown::default());
    printer.set_bell(Some(bell));
    printer.event(event, &mut shown);
    shown.bell
}

#[test]
fn the_bell_rings_as_it_is_set() {
    let (all, meant) = (said("hello"), said("hello bob"));
    for (bell, expected) in [(Bell::Off, (false, false)), (Bell::Pm, (false, true)), (Bell::All, (true, true))] {
        assert_eq!((rings(TERMINAL, bell, &all), rings(TERMINAL, bell, &meant)), expected, "{bell:?}");
        let mut shown = Shown::default();
        let mut printer = printer(TERMINAL, "bob");
        printer.set_bell(Some(bell));
        printer.ring(Ring::Private, &mut shown);
        assert_eq!(shown.bell, expected.1, "for a private message, {bell:?}");
    }
    assert!(printed(TERMINAL, "bob", &[meant]).bell, "before it is set");
}

#[test]
fn the_bell_is_silent_for_the_past_for_oneself_and_where_nobody_sits() {
    for event in [said_by(2, "hello bob", true), said_by(1, "hello bob", false)] {
        assert!(!rings(TERMINAL, Bell::All, &event), "{event:?}");
    }
    let joined = Event::Joined { member: person(3, "carol"), passing: false };
    assert!(!rings(TERMINAL, Bell::All, &joined));
    assert!(!rings(Style { together: false, ..COLORED }, Bell::All, &said("hello bob")), "a pipe has no bell");
    assert!(!printed(TERMINAL, "bob", &[said("\u{7}hello")]).bell, "nor does a text ring it");
}

fn as_json(event: &Event) -> Value {
    let mut line = String::new();
    json::push_event(event, &Mention::of(&person(1, "bob")), &mut line);
    serde_json::from_str(&line).expect("JSON")
}

#[test]
fn scripts_are_told_of_a_mention_and_only_then() {
    assert_eq!(as_json(&said("hello \"Bob\""))["mention"], true);
    assert_eq!(as_json(&said_by(2, "hello bob", true))["mention"], true, "also of one in the past");
    for event in [said("hello bobby"), said_by(1, "hello bob", false)] {
        assert_eq!(as_json(&event).get("mention"), None, "{event:?}");
    }
}

fn away(seed: u8, name: &str, why: Option<&str>) -> Event {
    Event::Away { member: person(seed, name), why: why.map(str::to_owned) }
}

#[test]
fn who_goes_away_and_comes_back_is_told_in_a_line() {
    let told = |style: Style, event| printed(style, "bob", &[event]).chat;
    assert_eq!(told(TERMINAL, away(2, "alice", Some("lunch"))), "-- alice is away (lunch) --\n");
    assert_eq!(told(TERMINAL, away(2, "alice", Some(""))), "-- alice is away --\n");
    assert_eq!(told(TERMINAL, away(2, "alice", None)), "-- alice is back --\n");
    let quiet = Style { quiet: true, ..TERMINAL };
    assert_eq!(told(quiet, away(2, "alice", Some("lunch"))), "", "not where nobody wants to know");
    assert_eq!(told(quiet, away(1, "bob", Some("lunch"))), "-- you are away (lunch) --\n", "but for oneself");
    assert_eq!(told(quiet, away(1, "bob", None)), "-- you are back --\n");
}

#[test]
fn scripts_are_told_who_is_away_and_why() {
    let value = as_json(&away(2, "alice", Some("lunch")));
    assert_eq!((&value["event"], &value["why"]), (&"away".into(), &"lunch".into()));
    assert_eq!(value["member"], serde_json::json!({ "id": person(2, "alice").id, "nick": "alice" }));
    let value = as_json(&away(2, "alice", None));
    assert_eq!((&value["event"], &value["member"]["nick"]), (&"back".into(), &"alice".into()));
}

#[test]
fn a_list_of_those_here_says_who_is_away() {
    let member = |seed, name, away: Option<&str>| Member {
        person: person(seed, name),
        myself: seed == 1,
        sessions: 1,
        passing: false,
        addresses: Vec::new(),
        linked: true,
        through: None,
        sealing: None,
        since: 0,
        away: away.map(str::to_owned),
    };
    let members = [member(2, "alice", Some("lunch")), member(1, "bob", None), member(3, "carol", Some(""))];
    let asked = |whois| {
        let mut shown = Shown::default();
        printer(TERMINAL, "bob").names(&members, whois, &Contacts::nobody(), &mut shown);
        shown.chat
    };
    assert_eq!(asked(None), "-- 3 here: alice (away: lunch), bob (you), carol (away) --\n");
    assert!(asked(Some("alice")).ends_with(", linked to you, away: lunch --\n"), "{}", asked(Some("alice")));
    let mut line = String::new();
    json::push_names(&members, None, &Contacts::nobody(), &mut line);
    let value: Value = serde_json::from_str(&line).expect("JSON");
    let told: Vec<&Value> = (0..3).map(|index| &value["members"][index]["away"]).collect();
    assert_eq!(told, [&Value::from("lunch"), &Value::Null, &Value::from("")]);
}

/// A reason with a newline would begin a line that looks like one of ours.
#[test]
fn a_reason_to_be_away_commands_no_terminal_and_makes_no_line() {
    let why = "x\n-- carol left --\u{1b}[2J\u{202e}";
    let told = printed(COLORED, "bob", &[away(2, "alice", Some(why))]).chat;
    assert!(told.contains("alice is away (x␊-- carol left --␛[2J<U+202E>)") && told.lines().count() == 1, "{told:?}");
    let member = Member {
        person: person(2, "alice"),
        myself: false,
        sessions: 1,
        passing: false,
        addresses: Vec::new(),
        linked: true,
        through: None,
        sealing: None,
        since: 0,
        away: Some(why.to_owned()),
    };
    for whois in [None, Some("alice")] {
        let mut shown = Shown::default();
        printer(COLORED, "bob").names(std::slice::from_ref(&member), whois, &Contacts::nobody(), &mut shown);
        assert!(shown.chat.contains("away: x␊-- carol left --␛[2J<U+202E>"), "{:?}", shown.chat);
        assert_eq!(shown.chat.lines().count(), 1);
    }
}
