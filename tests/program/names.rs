//! Promise: whom a name means is never left to the eye: names that look alike are shown with the start of
//! their keys while both are here, both are told, and nobody is thrown out. Checked on skeletons, on the
//! lines that are printed, and between real nodes.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::process::Stdio;

use crate::support::{Node, chatting, piping, undialable};
use hobnob::console::mention::Mention;
use hobnob::console::print::{Printer, Shown, Style};
use hobnob::console::{Naming, json};
use hobnob::identity::Id;
use hobnob::limits::KEY_TAG_DIGITS_MIN;
use hobnob::room::event::{Event, Person};
use hobnob::room::names::Names;
use hobnob::room::skeleton::Skeleton;
use hobnob::wire::record::Nick;
use proptest::prelude::*;
use serde_json::Value;

fn look_alike(one: &str, other: &str) -> bool {
    let (one, other) = (Skeleton::of(one), Skeleton::of(other));
    assert_eq!(one.meets(&other), other.meets(&one));
    one.meets(&other)
}

#[test]
fn names_that_the_eye_takes_for_one_another_have_a_skeleton_in_common() {
    let alike = [
        ("alice", "alice"),
        ("alice", "ALICE"),
        ("alice", "аlice"), // Cyrillic а
        ("alice", "αlice"), // Greek α
        ("alice", "a1ice"),
        ("alice", "aIice"),
        ("alice", "al|ce"),
        ("alice", "alicé"),
        ("alice", "alice\u{301}\u{302}"),
        ("alice", "ａｌｉｃｅ"),
        ("alice", "𝔞𝓵𝒊𝐜𝚎"),
        ("alice", "ⓐⓛⓘⓒⓔ"),
        ("alice", "ᴀʟɪᴄᴇ"),
        ("alice", "alice\u{fe0f}"),
        ("alice", "alice\u{2800}"),
        ("alice", "al\u{34f}ice\u{3164}"),
        ("bob", "B0B"),
        ("bob", "ВОВ"), // Cyrillic
        ("bob", "ΒΟΒ"), // Greek
        ("bob", "Ƅob"),
        ("marvin", "rnarvin"),
        ("marvin", "MARVIN"),
        ("walter", "vvalter"),
        ("øyvind", "oyvind"),
        ("straße", "STRASSE"),
        ("ΟΔΥΣΣΕΥΣ", "οδυσσευς"),
        ("Вова", "вова"),
        ("Иван", "иван"),
        ("ﬁona", "fiona"),
    ];
    for (one, other) in alike {
        assert!(look_alike(one, other), "{one} {other}: {:?} {:?}", Skeleton::of(one), Skeleton::of(other));
    }
}

#[test]
fn names_that_differ_to_the_eye_stay_apart() {
    let apart = [
        ("alice", "alicia"),
        ("alice", "alice_"),
        ("bob", "rob"),
        ("anna", "anne"),
        ("дом", "том"),
        ("हिन्दी", "हिन्द"),
        ("きた", "きだ"),
        ("日本", "日木"),
        ("👩‍🚀", "👨‍🚀"),
        ("web1", "web2"),
    ];
    for (one, other) in apart {
        assert!(!look_alike(one, other), "{one} {other}: {:?} {:?}", Skeleton::of(one), Skeleton::of(other));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]
    #[test]
    fn case_makes_no_difference(name in "\\PC{1,20}") {
        prop_assert!(look_alike(&name, &name.to_uppercase()), "{name}");
        prop_assert!(look_alike(&name, &name.to_lowercase()), "{name}");
    }

    /// Over keys that begin alike: who looks like another is tagged, no tag is the start of another's.
    #[test]
    fn tags_tell_apart(keys in proptest::collection::btree_set((0..3_u8, 0..3_u8, 0..3_u8), 1..12)) {
        let people: Vec<Person> = keys.iter().map(|(first, fifth, last)| {
            let mut id = [7; 32];
            (id[0], id[4], id[31]) = (*first, *fifth, *last);
            Person { id: Id(id), nick: nick("alice") }
        }).collect();
        let names: Names = people.iter().collect();
        let tags: Vec<Option<String>> = people.iter().map(|person| names.tag(person)).collect();
        if let [only] = tags.as_slice() {
            prop_assert_eq!(only, &None);
            return Ok(());
        }
        for (index, tag) in tags.iter().enumerate() {
            let tag = tag.as_ref().expect("a look-alike has a tag");
            prop_assert!(tag.len() >= KEY_TAG_DIGITS_MIN);
            let holders = people.iter().filter(|person| person.id.to_string().starts_with(tag.as_str()));
            prop_assert_eq!(holders.collect::<Vec<_>>(), vec![&people[index]]);
            let who = format!("alice#{tag}");
            prop_assert_eq!(names.find(&who), vec![&people[index]]);
        }
    }
}

fn nick(name: &str) -> Nick {
    Nick::new(name).expect("a nick")
}

/// Somebody whose key begins with a byte.
fn person(first: u8, name: &str) -> Person {
    let mut id = [0xee; 32];
    id[0] = first;
    Person { id: Id(id), nick: nick(name) }
}

#[test]
fn a_name_means_all_who_look_like_it_and_a_tag_one_of_them() {
    let people = [person(0x11, "alice"), person(0x22, "аlice"), person(0x33, "bob"), person(0x44, "beef")];
    let names: Names = people.iter().collect();
    let find = |who: &str| names.find(who).into_iter().map(|person| person.id.0[0]).collect::<Vec<u8>>();
    assert_eq!(find("alice"), [0x11, 0x22]);
    assert_eq!(find("Alice"), [0x11, 0x22]);
    assert_eq!(find("alice#22ee"), [0x22], "as it is shown, also where it cannot be typed");
    assert_eq!(find("#22ee"), [0x22]);
    assert_eq!(find("22EE"), [0x22]);
    assert_eq!(find("bob"), [0x33]);
    assert_eq!(find("bob#44ee"), Vec::<u8>::new());
    assert_eq!(find("b0b"), Vec::<u8>::new(), "nobody is called that; who looks like it is not meant");
    assert_eq!(find("22e"), Vec::<u8>::new(), "too short for a key");
    assert_eq!(find("beef"), [0x44]);
    assert_eq!(find(""), Vec::<u8>::new());
}

#[test]
fn a_name_that_ends_like_a_tag_has_a_true_one_behind() {
    let naming = Naming::default();
    let (alice, mallory) = (person(0x11, "alice"), person(0x99, "alice#11eeeeee"));
    naming.insert(&alice);
    naming.insert(&mallory);
    assert_eq!(naming.name(&alice), "alice");
    assert_eq!(naming.name(&mallory), "alice#11eeeeee#99eeeeee");
    assert_eq!(naming.name(&person(0x99, "alice＃11")), "alice＃11#99eeeeee");
}

const TERMINAL: Style = Style { together: true, color: false, quiet: false };

/// What a terminal shows of events, with this node called bob.
fn printed(style: Style, events: &[Event]) -> String {
    let mut printer = Printer::new(style, &person(0xbb, "bob"), Naming::default());
    let mut shown = Shown::default();
    for event in events {
        printer.event(event, &mut shown);
    }
    shown.chat
}

fn joined(member: &Person) -> Event {
    Event::Joined { member: member.clone(), passing: false }
}

fn clash(member: &Person, others: &[&Person], passing: bool) -> Event {
    Event::Clash { member: member.clone(), others: others.iter().map(|other| (*other).clone()).collect(), passing }
}

#[test]
fn a_lookalike_is_tagged_from_its_first_line_to_its_last_and_no_longer() {
    let (alice, other) = (person(0x11, "alice"), person(0x22, "Alice"));
    let left = Event::Left { member: other.clone(), passing: false, why: String::new() };
    let renamed = Event::Renamed { member: person(0x11, "carol"), old: nick("alice") };
    let events = [joined(&alice), joined(&other), clash(&other, &[&alice], false), left, renamed];
    let expected = [
        "-- alice is here --",
        "-- Alice#22eeeeee is here --",
        "-- Alice#22eeeeee looks like alice#11eeeeee: the start of the key tells them apart --",
        "-- Alice#22eeeeee left --",
        "-- alice is now called carol --",
    ];
    assert_eq!(printed(TERMINAL, &events).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn who_takes_a_name_is_told_by_the_old_and_the_new_one() {
    let (alice, carol) = (person(0x11, "alice"), person(0x22, "carol"));
    let renamed = Event::Renamed { member: person(0x22, "a1ice"), old: nick("carol") };
    let told = printed(TERMINAL, &[joined(&alice), joined(&carol), renamed]);
    assert!(told.ends_with("-- carol is now called a1ice#22eeeeee --\n"), "{told}");
}

#[test]
fn that_somebody_looks_like_us_is_told_also_where_it_is_quiet() {
    let quiet = Style { quiet: true, ..TERMINAL };
    let (bob, b0b) = (person(0xbb, "bob"), person(0x22, "b0b"));
    let told = printed(quiet, &[joined(&b0b), clash(&b0b, &[&bob], false)]);
    assert_eq!(told, "-- here you are bob#bbeeeeee, for others look like you: b0b#22eeeeee --\n");
    let (alice, other) = (person(0x11, "alice"), person(0x33, "alice"));
    assert_eq!(printed(quiet, &[joined(&alice), joined(&other), clash(&other, &[&alice], false)]), "");
}

#[test]
fn a_run_that_ends_with_its_input_is_tagged_and_not_told() {
    let (alice, pipe) = (person(0x11, "alice"), person(0x22, "alice"));
    let coming = Event::Joined { member: pipe.clone(), passing: true };
    let gap = Event::Gap { from: alice.clone(), missed: 1 };
    let told = printed(TERMINAL, &[joined(&alice), coming, clash(&pipe, &[&alice], true), gap]);
    assert_eq!(told, "-- alice is here --\n-- 1 message of alice#11eeeeee is lost --\n");
}

#[test]
fn names_are_known_again_after_notices_were_skipped() {
    let (alice, other) = (person(0x11, "alice"), person(0x22, "alice"));
    let present = Event::Present(vec![alice.clone(), other, person(0xbb, "bob")]);
    let told = printed(TERMINAL, &[Event::Skipped { notices: 9 }, present, Event::Gap { from: alice, missed: 1 }]);
    assert!(told.contains("alice#11eeeeee"), "{told}");
}

#[test]
fn json_has_the_members_of_a_clash_and_no_tags() {
    let (alice, other) = (person(0x11, "alice"), person(0x22, "Alice"));
    let mut line = String::new();
    json::push_event(&clash(&other, &[&alice], false), &Mention::of(&alice), &mut line);
    let event: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(event["event"], "warning");
    let told = |person: &Person| serde_json::json!({ "id": person.id, "nick": person.nick });
    assert_eq!(event["members"], serde_json::json!([told(&other), told(&alice)]));
    assert_eq!(event["text"], "these names look alike: Alice (22eeeeee), alice (11eeeeee)");
}

/// The clash that a node told of, as ids.
fn clash_of(node: &Node, ids: &[String]) -> Value {
    node.wait_for("a clash", |event| {
        let members = event["members"].as_array().filter(|_| event["event"] == "warning");
        members.is_some_and(|members| {
            members.len() == ids.len() && ids.iter().all(|id| members.iter().any(|member| member["id"] == **id))
        })
    })
}

#[test]
fn two_with_one_name_both_stay_and_everybody_is_told_once() {
    let host = chatting("host", &[]);
    let one = chatting("alice", &[&host.addr()]);
    host.wait_for_member("joined", "alice");
    let mut two = chatting("Alice", &[&host.addr()]);
    let ids = [one.id(), two.id()];
    for node in [&host, &one, &two] {
        clash_of(node, &ids);
    }
    two.say("still here");
    for node in [&host, &one] {
        node.wait_for_said("Alice", &["still here".to_owned()]);
    }
    for node in [host, one, two] {
        let name = node.name().to_owned();
        let told = node.finish().iter().filter(|event| event["members"].is_array()).count();
        assert_eq!(told, 1, "{name}");
    }
}

#[test]
fn two_halves_with_the_same_name_meet_and_nobody_is_thrown_out() {
    let left = chatting("left", &[]);
    let right = chatting("right", &[]);
    let one = undialable("alice", &[&left.addr()]);
    let mut two = undialable("alice", &[&right.addr()]);
    left.wait_for_member("joined", "alice");
    right.wait_for_member("joined", "alice");
    let bridge = chatting("bridge", &[&left.addr(), &right.addr()]);
    for node in [&left, &right, &one, &two, &bridge] {
        node.wait_for("the clash", |event| event["members"].is_array());
    }
    two.say("hello from the right");
    one.wait_for_said("alice", &["hello from the right".to_owned()]);
}

#[test]
fn whois_in_json_takes_a_tag() {
    let one = chatting("alice", &["--commands"]);
    let mut two = chatting("alice", &["--commands", &one.addr()]);
    clash_of(&two, &[one.id(), two.id()]);
    two.say("/whois alice");
    two.wait_for("both", |event| event["event"] == "names" && event["members"].as_array().map(Vec::len) == Some(2));
    two.say(&format!("/whois alice#{}", &one.id()[..KEY_TAG_DIGITS_MIN]));
    let answer = |event: &Value| event["event"] == "names" && event["members"].as_array().map(Vec::len) == Some(1);
    assert_eq!(two.wait_for("one", answer)["members"][0]["id"], one.id());
}

#[test]
fn a_pipe_with_a_taken_name_says_nothing_about_it() {
    let alice = chatting("alice", &[]);
    let mut pipe = piping("alice", &[&alice.addr()]);
    pipe.say("from a pipe");
    pipe.end_input();
    alice.wait_for_said("alice", &["from a pipe".to_owned()]);
    assert_eq!(pipe.exit_code(), 0);
    assert_eq!(pipe.stderr(), "");
}

/// A run with the keys and acquaintances of a folder, whose commands come through a pipe.
fn living_in(folder: &std::path::Path, nick: &str, args: &[&str]) -> Node {
    let mut command = crate::support::with_identity(nick);
    command.env("XDG_DATA_HOME", folder).args(["--commands", "--listen", "127.0.0.1:0"]).args(args);
    Node::start(nick, command, Stdio::piped())
}

#[test]
fn a_new_name_has_the_old_key_in_later_runs_unless_it_had_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let carol = living_in(folder.path(), "carol", &[]);
    let hers = carol.id();
    carol.finish();
    let mut alice = living_in(folder.path(), "alice", &[]);
    let mine = alice.id();
    alice.say("/nick ally\n/nick carol");
    let warned = alice.wait_for("a word", |event| event["event"] == "warning");
    let text = warned["text"].as_str().expect("a text");
    assert!(text.contains(&hers[..8]) && text.contains(&mine[..8]), "{text}");
    alice.finish();
    for (nick, id) in [("alice", &mine), ("ally", &mine), ("carol", &hers)] {
        let node = living_in(folder.path(), nick, &[]);
        assert_eq!(node.id(), *id, "{nick}");
        node.finish();
    }
}

#[test]
fn a_run_that_keeps_its_key_elsewhere_binds_it_to_no_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("some.key");
    for args in [["--ephemeral", "--quiet"], ["--identity", key.to_str().expect("text")]] {
        let mut node = living_in(folder.path(), "alice", &args);
        node.say("/nick ally");
        node.wait_for("the new name", |event| event["event"] == "renamed");
        node.finish();
        assert!(!folder.path().join("hobnob/keys").exists());
    }
}
