//! Promise: people read one message a line, with time and name, whatever others put into it; scripts
//! read exact JSON with the fields that the manual names. Checked on the lines that events become.

#![expect(clippy::indexing_slicing, reason = "a wrong index fails the test")]

use std::sync::Arc;

use hobnob::console::json;
use hobnob::console::mention::Mention;
use hobnob::console::print::{Printer, Shown, Style};
use hobnob::console::{Naming, complete, rows_of};
use hobnob::contacts::Contacts;
use hobnob::identity::Identity;
use hobnob::room::event::{Event, Member, Outcome, Person, Recovered};
use hobnob::wire::record::{Domain, Draft, FeedId, Header, Nick, Post};
use serde_json::Value;

fn nick(name: &str) -> Nick {
    Nick::new(name).expect("a nick")
}

fn person(seed: u8, name: &str) -> Person {
    Person { id: Identity::from_seed(&[seed; 32]).id(), nick: nick(name) }
}

fn post(number: u64, draft: &Draft<'_>) -> Arc<Post> {
    let bob = Identity::from_seed(&[2; 32]);
    let feed = FeedId { author: bob.id(), session: 7 };
    let header = Header { feed, number, at: 1_700_000_000_123, nick: &nick("bob"), ack: false };
    Arc::new(Post::encode(&header, draft, &Domain::of_room("lobby"), &bob))
}

fn said(text: &str, action: bool, part: bool) -> Event {
    Event::Said { post: post(3, &Draft::Say { text, action, part }), mine: false, backlog: false }
}

fn printed(style: Style, events: &[Event]) -> Shown {
    let mut printer = Printer::new(style, &person(1, "alice"), Naming::default());
    let mut shown = Shown::default();
    for event in events {
        printer.event(event, &mut shown);
    }
    shown
}

const PIPE: Style = Style { together: false, color: false, quiet: false };
const TERMINAL: Style = Style { together: true, ..PIPE };

/// The chat without its times, which depend on the zone.
fn chat(style: Style, events: &[Event]) -> String {
    let shown = printed(style, events).chat;
    shown.lines().map(|line| if line.contains(':') { &line[9..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_message_is_a_line_with_time_and_name() {
    assert_eq!(chat(PIPE, &[said("hello", false, false)]), "bob: hello");
    assert_eq!(chat(PIPE, &[said("waves", true, false)]), "* bob waves");
    let line = printed(PIPE, &[said("hello", false, false)]).chat;
    assert_eq!((line.len(), &line[2..3], &line[5..6], line.ends_with('\n')), (20, ":", ":", true));
}

#[test]
fn what_was_said_on_another_day_has_its_date() {
    let Event::Said { post, mine, .. } = said("hello", false, false) else { unreachable!() };
    let line = printed(PIPE, &[Event::Said { post, mine, backlog: true }]).chat;
    assert!(line.starts_with("2023-11-1") && line.ends_with(": hello\n"), "{line}");
}

#[test]
fn a_catch_up_is_told_in_a_line() {
    let told = |count, minutes: u64| {
        let to = 1_700_000_000_000;
        printed(TERMINAL, &[Event::Recovered(Recovered { count, from: to - minutes * 60_000, to })]).chat
    };
    assert!(told(7, 7).starts_with("-- 7 messages recovered, 2023-11-1"), "{}", told(7, 7));
    assert_eq!((told(7, 7).matches(':').count(), told(1, 0).matches(':').count()), (2, 1));
    assert!(told(1, 0).starts_with("-- 1 message recovered, "));
}

#[test]
fn further_lines_are_indented_to_the_text() {
    assert_eq!(
        chat(PIPE, &[said("one\ntwo\n\nthree", false, false)]),
        "bob: one\n              two\n\n              three"
    );
    assert_eq!(chat(PIPE, &[said("eins\nzwölf", false, false)]), "bob: eins\n              zwölf");
}

#[test]
fn what_others_say_cannot_touch_the_terminal() {
    assert_eq!(chat(PIPE, &[said("\u{1b}[2Jx\ry", false, false)]), "bob: ␛[2Jx␍y");
    let left = Event::Left { member: person(2, "bob"), passing: false, why: "\u{1b}]0;x\u{7}\nfake".into() };
    assert_eq!(printed(TERMINAL, &[left]).chat, "-- bob left (␛]0;x␇␊fake) --\n");
}

#[test]
fn parts_are_one_line_where_nothing_comes_between() {
    let parts = [said("long ", false, true), said("line", false, false), said("next", false, false)];
    assert_eq!(chat(PIPE, &parts), "bob: long line\nbob: next");
    assert_eq!(chat(TERMINAL, &parts), "bob: long \n              line\nbob: next");
}

#[test]
fn notices_stay_out_of_stdout_unless_it_is_the_same_terminal() {
    let joined = Event::Joined { member: person(3, "carol"), passing: false };
    let shown = printed(PIPE, std::slice::from_ref(&joined));
    assert_eq!((shown.chat.as_str(), shown.notices.as_str()), ("", "-- carol is here --\n"));
    assert_eq!(printed(TERMINAL, &[joined]).chat, "-- carol is here --\n");
}

#[test]
fn another_hub_is_one_calm_line() {
    let hub = |former: Option<&str>, gone, myself| Event::Hub {
        hub: person(3, "carol"),
        myself,
        since: 1_700_000_000_000,
        epoch: 2,
        links: 9,
        former: former.map(|nick| person(4, nick)),
        gone,
    };
    for (event, line) in [
        (hub(None, false, false), "-- hub: carol --\n"),
        (hub(Some("dave"), true, false), "-- hub: dave is gone, carol took over, nothing lost --\n"),
        (hub(Some("dave"), true, true), "-- hub: dave is gone, you took over, nothing lost --\n"),
        (hub(Some("dave"), false, false), "-- hub: dave handed over to carol --\n"),
    ] {
        assert_eq!(printed(PIPE, std::slice::from_ref(&event)).notices, line);
    }
    let Event::Hub { hub: carol, since, epoch, links, .. } = hub(None, false, false) else { return };
    let former = Some(person(1, "alice"));
    let ours = Event::Hub { hub: carol, myself: false, since, epoch, links, former, gone: false };
    assert_eq!(printed(PIPE, &[ours]).notices, "-- hub: you handed over to carol --\n");
    let value = as_json(&hub(Some("dave"), true, false));
    assert_eq!(
        (&value["since"], &value["epoch"], &value["links"]),
        (&"2023-11-14T22:13:20.000Z".into(), &2.into(), &9.into())
    );
}

#[test]
fn runs_that_end_with_their_input_come_and_go_untold() {
    let events = [
        Event::Joined { member: person(3, "disk"), passing: true },
        Event::Left { member: person(3, "disk"), passing: true, why: String::new() },
    ];
    assert!(printed(TERMINAL, &events).is_empty());
}

#[test]
fn each_exit_code_but_0_has_a_word() {
    let told = |outcome, missing, posts, short| {
        printed(PIPE, &[Event::Undelivered { outcome, missing, posts, short }]).notices
    };
    let carol = person(3, "carol");
    let named = format!("hobnob: not confirmed by carol ({})\n", carol.id.short());
    assert_eq!(told(Outcome::Unconfirmed, vec![carol], 1, None), named);
    let unsaid = "hobnob: not all that was read is said and confirmed\n";
    assert_eq!(told(Outcome::Unconfirmed, vec![], 1, None), unsaid);
    let short = "hobnob: confirmed by 1 of the 3 that --confirm asks for\n";
    assert_eq!(told(Outcome::Unconfirmed, vec![], 1, Some((1, 3))), short);
    assert_eq!(told(Outcome::NoPeer, vec![], 0, None), "hobnob: nothing was said: no peer was linked\n");
    assert_eq!(told(Outcome::NoPeer, vec![], 9, None), "hobnob: what was read last was not said: no peer was linked\n");
    assert_eq!(told(Outcome::Refused, vec![], 0, None), "hobnob: nothing was said: every peer refused\n");
}

fn undelivered(member: Person) -> Event {
    Event::Undelivered { outcome: Outcome::Unconfirmed, missing: vec![member], posts: 1, short: None }
}

fn as_json(event: &Event) -> Value {
    let mut line = String::new();
    json::push_event(event, &Mention::of(&person(1, "alice")), &mut line);
    assert!(line.ends_with('\n') && line.lines().count() == 1, "{line:?}");
    serde_json::from_str(&line).expect("JSON")
}

#[test]
fn a_say_in_json_has_the_exact_text() {
    let text = "a\u{1b}[2J <b> \"q\" \\ \n\u{202e}ö🚀\u{2028}";
    let value = as_json(&said(text, true, false));
    let bob = person(2, "bob").id.to_string();
    assert_eq!(value["event"], "say");
    assert_eq!(value["at"], "2023-11-14T22:13:20.123Z");
    assert_eq!(value["id"], format!("{bob}/7/3"));
    assert_eq!(value["from"], serde_json::json!({ "id": bob, "nick": "bob" }));
    assert_eq!(value["text"], text);
    assert_eq!((&value["mine"], &value["backlog"]), (&Value::Bool(false), &Value::Bool(false)));
    assert_eq!((&value["action"], value.get("part")), (&Value::Bool(true), None));
}

#[test]
fn every_event_in_json_has_its_name_and_a_time() {
    let carol = person(3, "carol");
    let events = [
        ("joined", Event::Joined { member: carol.clone(), passing: true }),
        ("left", Event::Left { member: carol.clone(), passing: false, why: "bye".into() }),
        ("lost", Event::Lost { member: carol.clone(), passing: false }),
        ("renamed", Event::Renamed { member: carol.clone(), old: nick("carla") }),
        ("gap", Event::Gap { from: carol.clone(), missed: 3 }),
        ("delivered", Event::Delivered { posts: 2, members: 1 }),
        ("error", undelivered(carol.clone())),
        ("error", Event::Refused("no".into())),
        ("warning", Event::Unreached { peer: "host:1".into(), why: "refused".into() }),
        ("warning", Event::Skipped { notices: 9 }),
        ("warning", Event::Forked(carol.clone())),
    ];
    for (name, event) in &events {
        let value = as_json(event);
        assert_eq!(value["event"], *name);
        assert!(value["at"].as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')), "{value}");
    }
    assert_eq!(as_json(&events[0].1)["member"], serde_json::json!({ "id": carol.id, "nick": "carol" }));
    assert_eq!(as_json(&events[6].1)["missing"][0]["nick"], "carol");
}

#[test]
fn whois_finds_by_nick_and_by_the_start_of_a_key() {
    let member = |seed, name| Member {
        person: person(seed, name),
        myself: false,
        sessions: 1,
        passing: false,
        addresses: Vec::new(),
        linked: true,
        through: None,
        sealing: None,
        since: 0,
        away: None,
    };
    let members = [member(2, "bob"), member(3, "carol")];
    let key = members[1].person.id.to_string();
    for who in ["carol", "CAROL", &key[..6], &format!("carol#{}", &key[..4]), &format!("#{key}")] {
        let mut shown = Shown::default();
        let mut printer = Printer::new(PIPE, &person(1, "alice"), Naming::default());
        printer.names(&members, Some(who), &Contacts::nobody(), &mut shown);
        assert!(shown.notices.contains(&key) && !shown.notices.contains("bob"), "{}", shown.notices);
    }
}

#[test]
fn tab_completes_commands_then_nicks() {
    let nicks = || ["bob", "Bonnie", "carol"].into_iter();
    assert_eq!(complete("/na", 3, nicks()), (0, vec!["/names ".to_owned()]));
    assert_eq!(complete("bo", 2, nicks()), (0, vec!["Bonnie: ".to_owned(), "bob: ".to_owned()]));
    assert_eq!(complete("ask ca", 6, nicks()), (4, vec!["carol ".to_owned()]));
    assert_eq!(complete("x /na", 5, nicks()), (2, Vec::<String>::new()));
    assert_eq!(complete("", 0, nicks()), (0, Vec::<String>::new()));
}

#[test]
fn rows_are_counted_in_terminal_cells() {
    assert_eq!(rows_of("", 10), 1);
    assert_eq!(rows_of("123456789", 10), 1);
    assert_eq!(rows_of("1234567890", 10), 2);
    assert_eq!(rows_of("12345678日本", 10), 2);
    assert_eq!(rows_of("one\ntwo\n", 10), 3);
}
