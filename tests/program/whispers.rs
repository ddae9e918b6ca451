//! Promise: what is said to one reader is read by that one alone, once and in order, wherever it is: linked, behind
//! others, away or killed meanwhile; its sender knows what has become of it; and nothing that was meant for one is ever
//! said to all. Checked with real processes, and where hosts can be made with two sites that do not reach each other.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::process::{Command, Stdio};

use crate::support::host::{Host, Internet, can_make_hosts};
use crate::support::{Node, chatting, hobnob, lines_of, piping, undialable, with_history};
use hobnob::limits::{SAY_TEXT_BYTES_MAX, WHISPER_TEXT_BYTES_MAX};
use serde_json::Value;

/// Where nodes accept peers on hosts of their own.
const PORT: u16 = 4646;

/// The lines that somebody whispered to this node, in the order shown.
fn whispered_by(events: &[Value], nick: &str) -> Vec<String> {
    let mut text = String::new();
    let theirs =
        |event: &&Value| event["event"] == "whisper" && event["mine"] == false && event["from"]["nick"] == nick;
    for event in events.iter().filter(theirs) {
        text.push_str(event["text"].as_str().expect("a whisper has a text"));
        if event["part"] != true {
            text.push('\n');
        }
    }
    text.split_terminator('\n').map(ToOwned::to_owned).collect()
}

fn wait_for_whispers(node: &Node, nick: &str, lines: &[String]) {
    let seen = node.wait_until(&format!("{} whispers of {nick}", lines.len()), |events| {
        let seen = whispered_by(events, nick);
        (seen.len() >= lines.len() || !lines.starts_with(&seen)).then_some(seen)
    });
    let differ = seen.iter().zip(lines).position(|(one, other)| one != other);
    assert_eq!((seen.len(), differ), (lines.len(), None), "{} hears of {nick}, from where it differs", node.name());
}

/// Waits for a line among those that have come since.
fn wait_for_whisper(node: &Node, line: &str, seen: &mut usize) {
    node.wait_until(&format!("{line:?}"), |events| {
        let is_it = |event: &Value| {
            event["event"] == "whisper"
                && event["text"].as_str().is_some_and(|text| text.lines().any(|one| one == line))
        };
        let found = events[*seen..].iter().position(is_it);
        *seen += found.unwrap_or(events.len() - *seen);
        found
    });
}

/// Waits until so many whispers are confirmed.
fn wait_for_delivered(node: &Node, nick: &str, count: usize) {
    node.wait_until(&format!("{count} delivered to {nick}"), |events| {
        let theirs = events.iter().filter(|event| event["event"] == "delivered" && event["to"]["nick"] == nick);
        let delivered: usize = theirs.filter_map(|event| event["ids"].as_array()).map(Vec::len).sum();
        (delivered >= count).then_some(())
    });
}

/// Nobody but the two has seen anything of it.
fn check_unheard(node: Node) {
    let name = node.name().to_owned();
    let whispers = node.finish().into_iter().filter(|event| event["event"] == "whisper").count();
    assert_eq!(whispers, 0, "{name} is none of the two");
}

#[test]
fn a_whisper_is_shown_to_its_reader_alone_and_confirmed() {
    let mut alice = chatting("alice", &["--commands"]);
    let mut bob = chatting("bob", &["--commands", &alice.addr()]);
    let carol = chatting("carol", &["--commands", &alice.addr()]);
    for node in [&alice, &bob, &carol] {
        node.wait_for_all(&["alice", "bob", "carol"]);
    }
    alice.say("/msg bob  two  spaces");
    wait_for_whispers(&bob, "alice", &[" two  spaces".to_owned()]);
    wait_for_delivered(&alice, "bob", 1);
    bob.say("/reply and back");
    wait_for_whispers(&alice, "bob", &["and back".to_owned()]);
    let own = alice.wait_for("its own whisper", |event| event["event"] == "whisper" && event["mine"] == true);
    assert_eq!((&own["from"]["nick"], &own["to"]["nick"]), (&Value::from("alice"), &Value::from("bob")));
    let delivered = alice.wait_for("delivered", |event| event["event"] == "delivered");
    assert_eq!(delivered["id"], own["id"], "it says which");
    alice.say("to all");
    carol.wait_for_said("alice", &["to all".to_owned()]);
    check_unheard(carol);
}

#[test]
fn what_cannot_be_whispered_is_told_and_said_to_nobody() {
    let mut alice = chatting("alice", &["--commands"]);
    let bob = chatting("bob", &[&alice.addr()]);
    let twin = chatting("bob", &[&alice.addr()]);
    alice.wait_until("both bobs", |events| {
        (events.iter().filter(|event| event["event"] == "joined").count() == 2).then_some(())
    });
    for (line, why) in [
        ("/msg bob which one?", "any of these"),
        ("/msg nobody hello", "nobody here is called nobody"),
        ("/msg alice hello", "that is you"),
        ("/reply hello", "nobody has whispered"),
        ("/msg bob", "usage: /msg WHO TEXT"),
    ] {
        alice.say(line);
        alice.wait_for(why, |event| {
            event["event"] == "error" && event["text"].as_str().is_some_and(|text| text.contains(why))
        });
    }
    // A private chat that could not begin does not make what was meant for it public.
    alice.say("/chat nobody\n/me is meant for one\n/end");
    alice.wait_for("the refusal", |event| {
        event["event"] == "error" && event["text"].as_str().is_some_and(|text| text.contains("nothing was said"))
    });
    alice.say("to all");
    for node in [bob, twin] {
        node.wait_for_said("alice", &["to all".to_owned()]);
        check_unheard(node);
    }
}

#[test]
fn a_private_chat_has_plain_lines_go_to_one_until_its_end() {
    let mut alice = chatting("alice", &["--commands"]);
    let bob = chatting("bob", &[&alice.addr()]);
    let carol = chatting("carol", &[&alice.addr()]);
    alice.wait_for_all(&["bob", "carol"]);
    alice.say("/chat bob");
    alice.wait_for("the chat", |event| event["event"] == "chat" && event["with"]["nick"] == "bob");
    alice.say("one\n/me whispers\ntwo\n/say aloud\nthree\n/end\n/me speaks\nto all");
    wait_for_whispers(&bob, "alice", &["one", "whispers", "two", "three"].map(str::to_owned));
    carol.wait_for_said("alice", &["aloud", "speaks", "to all"].map(str::to_owned));
    check_unheard(carol);
}

/// What had no room in one message was said to all, as text.
#[test]
fn a_command_too_long_to_be_done_is_not_said() {
    let alice = chatting("alice", &[]);
    let bob = chatting("bob", &[&alice.addr()]);
    bob.wait_for_all(&["alice"]);
    let mut pipe = piping("pipe", &["--commands", &alice.addr()]);
    pipe.say(&format!("before\n/msg bob {}\nafter\n//{}\nend", "secret <".repeat(20_000), "y".repeat(80_000)));
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 4, "{}", pipe.told());
    pipe.wait_for("a word", |event| {
        event["event"] == "error" && event["text"].as_str().unwrap_or_default().contains("/msg")
    });
    let expected = ["before".to_owned(), "after".to_owned(), format!("/{}", "y".repeat(80_000)), "end".to_owned()];
    alice.wait_for_said("pipe", &expected);
    check_unheard(bob);
    check_unheard(alice);
}

/// The thousandth overtook those before it, and some were refused.
#[test]
fn a_script_may_whisper_more_than_may_wait() {
    let alice = chatting("alice", &[]);
    let bob = chatting("bob", &[&alice.addr()]);
    bob.wait_for_all(&["alice"]);
    let mut pipe = piping("pipe", &["--commands", &alice.addr()]);
    let texts: Vec<String> = (0..1_200).map(|number| format!("number {number}")).collect();
    pipe.say(&texts.iter().map(|text| format!("/msg bob {text}")).collect::<Vec<_>>().join("\n"));
    pipe.end_input();
    wait_for_whispers(&bob, "pipe", &texts);
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
}

/// They were answered before anybody was found, or not at all.
#[test]
fn the_questions_of_a_script_are_answered() {
    let alice = chatting("alice", &[]);
    let bob = chatting("bob", &[&alice.addr()]);
    bob.wait_for_all(&["alice"]);
    let mut pipe = piping("pipe", &["--commands", &alice.addr()]);
    pipe.say("/names\n/ping bob\n/trace bob");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    let names = pipe.wait_for("the names", |event| event["event"] == "names");
    assert_eq!(names["members"].as_array().map(Vec::len), Some(3), "{names}");
    pipe.wait_for("the pong", |event| event["event"] == "pong" && event["ms"].is_u64());
    pipe.wait_for("the way", |event| event["event"] == "trace");
}

/// A script that whispers: what it writes before it is known who is here is in order behind that, and the exit code tells
/// whether all was read.
#[test]
fn a_script_may_whisper_from_its_first_line_on() {
    let alice = chatting("alice", &[]);
    let bob = chatting("bob", &[&alice.addr()]);
    bob.wait_for_all(&["alice"]);
    for (input, code, private, public) in [
        ("/msg bob one", 0, vec!["one"], vec![]),
        ("/chat bob\ntwo\n/me three\nfour\n/end\nfive", 0, vec!["two", "three", "four"], vec!["five"]),
        ("/msg nobody six", 4, vec![], vec![]),
        ("/chat nobody\nseven\n/end\neight", 4, vec![], vec!["eight"]),
        ("/chat bob\nnine\n/chat nobody\nten\n/end\neleven", 4, vec!["nine"], vec!["eleven"]),
    ] {
        let name = format!("pipe{}", input.len());
        let mut pipe = piping(&name, &["--commands", &alice.addr()]);
        pipe.say(input);
        pipe.end_input();
        assert_eq!(pipe.exit_code(), code, "{input:?}: {}", pipe.told());
        let lines = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
        wait_for_whispers(&bob, &name, &lines(private));
        alice.wait_for_member("left", &name);
        alice.wait_for_said(&name, &lines(public));
    }
    check_unheard(alice);
}

/// Who has left is written to by runs that stay, and by none that ends with its input and keeps nothing.
#[test]
fn a_script_that_whispers_to_who_has_left_fails() {
    let alice = chatting("alice", &[]);
    let erin = chatting("erin", &[&alice.addr()]);
    alice.wait_for_all(&["erin"]);
    erin.finish();
    alice.wait_for_member("left", "erin");
    let mut pipe = piping("pipe", &["--commands", "--linger", "1", &alice.addr()]);
    pipe.say("/msg erin gone");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 4, "{}", pipe.told());
}

#[test]
fn a_text_that_is_too_long_for_one_whisper_arrives_in_one_piece() {
    let alice = chatting("alice", &[]);
    let bob = chatting("bob", &[&alice.addr()]);
    bob.wait_for_all(&["alice"]);
    let long = "ä\"<".repeat(3 * SAY_TEXT_BYTES_MAX.max(WHISPER_TEXT_BYTES_MAX) / 4);
    let lines = [long, "short".to_owned()];
    let mut pipe = piping("pipe", &["--to", "bob", &alice.addr()]);
    pipe.say_all(&lines);
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    wait_for_whispers(&bob, "pipe", &lines);
    check_unheard(alice);
}

#[test]
fn a_pipe_to_one_reader_is_done_when_that_one_has_shown_all() {
    let alice = chatting("alice", &[]);
    let bob = chatting("bob", &[&alice.addr()]);
    bob.wait_for_all(&["alice"]);
    let lines = lines_of("pipe", 0..5_000);
    let mut pipe = piping("pipe", &["--to", "bob", &alice.addr()]);
    pipe.say_all(&lines);
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    wait_for_whispers(&bob, "pipe", &lines);
    check_unheard(alice);
}

#[test]
fn a_pipe_to_somebody_who_is_not_here_fails_and_says_so() {
    let alice = chatting("alice", &[]);
    let mut pipe = piping("pipe", &["--wait", "1", "--to", "bob", &alice.addr()]);
    pipe.say("for bob");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 4, "{}", pipe.told());
    pipe.wait_for("why", |event| {
        event["event"] == "error" && event["text"].as_str().is_some_and(|text| text.contains("called bob"))
    });
    check_unheard(alice);
}

/// One that stays waits for them, and says so.
#[test]
fn a_pipe_that_stays_waits_for_who_is_not_here_and_says_so() {
    let alice = chatting("alice", &[]);
    let mut pipe = piping("pipe", &["--wait", "1", "--stay", "--no-listen", "--to", "bob", &alice.addr()]);
    pipe.say("for bob");
    pipe.wait_for("that it waits", |event| {
        event["event"] == "warning" && event["text"].as_str().is_some_and(|text| text.contains("piped in waits"))
    });
    let bob = chatting("bob", &[&alice.addr()]);
    wait_for_whispers(&bob, "pipe", &["for bob".to_owned()]);
    check_unheard(alice);
}

#[test]
fn a_whisper_goes_through_those_who_reach_both_and_they_are_named() {
    let relay = chatting("relay", &["--no-mesh"]);
    let mut alice = undialable("alice", &["--commands", "--no-mesh", &relay.addr()]);
    let mut bob = undialable("bob", &["--commands", "--no-mesh", &relay.addr()]);
    alice.wait_for_all(&["relay", "bob"]);
    bob.wait_for_all(&["relay", "alice"]);
    alice.say("/msg bob across");
    wait_for_whispers(&bob, "alice", &["across".to_owned()]);
    wait_for_delivered(&alice, "bob", 1);
    let way = alice.wait_for("who carries it", |event| event["event"] == "way");
    assert_eq!((&way["to"]["nick"], &way["through"]["nick"]), (&Value::from("bob"), &Value::from("relay")));
    bob.say("/ping alice\n/trace alice");
    let pong = bob.wait_for("an answer", |event| event["event"] == "pong");
    assert_eq!((&pong["from"]["nick"], &pong["through"]["nick"]), (&Value::from("alice"), &Value::from("relay")));
    assert!(pong["ms"].is_u64(), "{pong}");
    let trace = bob.wait_for("the way", |event| event["event"] == "trace");
    let path: Vec<&str> =
        trace["path"].as_array().expect("a path").iter().filter_map(|at| at["nick"].as_str()).collect();
    assert_eq!((path.as_slice(), &trace["hops"]), (["bob", "relay", "alice"].as_slice(), &Value::from(2)));
    check_unheard(relay);
}

/// Somebody whose key and history last over runs.
fn lasting(nick: &str, folder: &std::path::Path, args: &[&str]) -> Node {
    let mut command = kept_in(nick, folder);
    command.args(["--listen", "127.0.0.1:0", "--commands"]).args(args);
    Node::start(nick, command, Stdio::piped())
}

/// A run that goes on where the last one of that folder has ended.
fn kept_in(nick: &str, folder: &std::path::Path) -> Command {
    let mut command = with_history(nick);
    command.env("XDG_DATA_HOME", folder.join("data")).env("XDG_STATE_HOME", folder.join("state"));
    command
}

#[test]
fn a_whisper_waits_for_its_reader_over_the_senders_own_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut alice = lasting("alice", folder.path(), &[]);
    let mut bob = lasting("bob", folder.path(), &[&alice.addr()]);
    bob.wait_for_all(&["alice"]);
    alice.wait_for_all(&["bob"]);
    bob.say("/quit");
    assert_eq!(bob.exit_code(), 0);
    alice.wait_for_member("left", "bob");
    alice.say("/msg bob the first\n/msg bob the second");
    alice.wait_for("that it waits", |event| event["event"] == "waiting" && event["to"]["nick"] == "bob");
    alice.say("/quit");
    assert_eq!(alice.exit_code(), 0, "{}", alice.told());
    let histories = std::fs::read_dir(folder.path().join("state/hobnob/history")).expect("histories are kept");
    let files = histories.map(|entry| entry.expect("a folder").path().join("whispers"));
    let read = |path: &std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let path = files.into_iter().find(|path| read(path).contains("waits")).expect("what waits is kept");
    let letters = read(&path);
    assert!(!letters.contains("first") && !letters.contains("second"), "what waits is sealed: {letters}");
    // The power went in the middle of a line, and somebody has made a mess of another one.
    let torn = letters.lines().next().and_then(|line| line.get(..40)).expect("a line");
    std::fs::write(&path, format!("a mess\n{letters}{torn}")).expect("the file is ours");
    let mut alice = lasting("alice", folder.path(), &[]);
    let bob = lasting("bob", folder.path(), &[&alice.addr()]);
    wait_for_whispers(&bob, "alice", &["the first".to_owned(), "the second".to_owned()]);
    wait_for_delivered(&alice, "bob", 2);
    alice.say("/msg bob three");
    wait_for_whispers(&bob, "alice", &["the first".to_owned(), "the second".to_owned(), "three".to_owned()]);
}

/// Whoever reads its stdout is gone, as `head` is after its last line.
#[test]
fn a_whisper_that_nobody_could_read_is_not_confirmed_and_comes_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut alice = chatting("alice", &["--commands"]);
    let addr = alice.addr();
    let run = || {
        let mut command = kept_in("bob", folder.path());
        command.args(["--no-listen", "--stay", &addr]);
        command
    };
    let (mut bob, stdout) = Node::start_raw("bob", run(), Stdio::piped());
    alice.wait_for_all(&["bob"]);
    drop(stdout);
    alice.say("/msg bob unseen");
    assert_eq!(bob.exit_code(), 0);
    alice.wait_for_member("left", "bob");
    let delivered = alice.events().iter().filter(|event| event["event"] == "delivered").count();
    assert_eq!(delivered, 0, "nobody has seen it");
    let bob = Node::start("bob", run(), Stdio::piped());
    wait_for_whispers(&bob, "alice", &["unseen".to_owned()]);
    wait_for_delivered(&alice, "bob", 1);
}

#[test]
fn a_reader_that_is_killed_again_and_again_is_shown_each_whisper_once() {
    const ROUNDS: usize = 5;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut alice = lasting("alice", folder.path(), &["--to", "bob"]);
    let addr = alice.addr();
    let mut shown = Vec::new();
    for round in 0..ROUNDS {
        let mut bob = lasting("bob", folder.path(), &[&addr]);
        bob.wait_for_all(&["alice"]);
        let lines = lines_of("alice", round * 10..round * 10 + 10);
        alice.say_all(&lines);
        wait_for_delivered(&alice, "bob", round + 1);
        // What was confirmed was shown; what was not will be.
        bob.kill();
        shown.extend(whispered_by(&bob.events(), "alice"));
    }
    let bob = lasting("bob", folder.path(), &[&addr]);
    bob.wait_for_all(&["alice"]);
    alice.say("the last");
    bob.wait_until("the last", |events| {
        whispered_by(events, "alice").iter().any(|line| line == "the last").then_some(())
    });
    shown.extend(whispered_by(&bob.events(), "alice"));
    let mut meant = lines_of("alice", 0..ROUNDS * 10);
    meant.push("the last".to_owned());
    assert_eq!(shown, meant);
}

/// A node on a host, which joins through those on others.
fn on_host(host: &Host, nick: &str, args: &[&str], through: &[&Host]) -> Node {
    let mut command = hobnob(nick);
    command.args(["--listen", &format!("{}:{PORT}", host.addr())]).args(args);
    command.args(through.iter().map(|peer| format!("{}:{PORT}", peer.addr())));
    Node::start(nick, host.run(&command), Stdio::piped())
}

#[test]
fn where_two_sites_do_not_reach_each_other_one_carrier_takes_over_from_another() {
    const LINES: usize = 1_000;
    if !can_make_hosts() {
        return;
    }
    let mut internet = Internet::new(3);
    let (here, there) = (internet.host(0), internet.host(1));
    let [one, other] = [0; 2].map(|_| internet.host(2));
    here.block(1);
    there.block(0);
    let carol = on_host(&one, "carol", &[], &[]);
    carol.addr();
    let dave = on_host(&other, "dave", &[], &[&one]);
    dave.wait_for_all(&["carol"]);
    let mut alice = on_host(&here, "alice", &["--to", "bob"], &[&one]);
    let mut bob = on_host(&there, "bob", &["--to", "alice"], &[&one]);
    for node in [&alice, &bob] {
        node.wait_for_all(&["alice", "bob", "carol", "dave"]);
        node.wait_for_links(&["carol", "dave"]);
    }
    let (mut carol, mut dave) = (Some(carol), Some(dave));
    // As people talk: a line, and an answer to it.
    let talk = |alice: &mut Node, bob: &mut Node, numbers: std::ops::Range<usize>| {
        let (mut at_bob, mut at_alice) = (0, 0);
        for number in numbers {
            let [asked, answered] = ["alice", "bob"].map(|name| format!("{name} {number}"));
            alice.say(&asked);
            wait_for_whisper(bob, &asked, &mut at_bob);
            bob.say(&answered);
            wait_for_whisper(alice, &answered, &mut at_alice);
        }
    };
    talk(&mut alice, &mut bob, 0..LINES / 2);
    let way = alice.wait_for("who carries it", |event| event["event"] == "way" && event["through"].is_object());
    let carrier = if way["through"]["nick"] == "carol" { carol.take() } else { dave.take() };
    // In the middle of a flow of them.
    let burst = LINES / 2..LINES * 6 / 10;
    for number in burst.clone() {
        alice.say(&format!("alice {number}"));
        bob.say(&format!("bob {number}"));
    }
    carrier.expect("one of the two carries it").kill();
    talk(&mut alice, &mut bob, burst.end..LINES);
    wait_for_whispers(&bob, "alice", &lines_of("alice", 0..LINES));
    wait_for_whispers(&alice, "bob", &lines_of("bob", 0..LINES));
    let last = carol.or(dave).expect("one of the two is left");
    let first = way["through"]["nick"].clone();
    alice.wait_for("who carries it now", |event| {
        event["event"] == "way" && event["through"].is_object() && event["through"]["nick"] != first
    });
    check_unheard(last);
}
