//! Promise: in hub mode all link to one member, and whatever becomes of it, another one takes over and the chat goes on
//! without a line lost, doubled or out of order. Checked with real processes: hubs that are killed in the middle of a
//! stream, one after the other, that are stopped, or leave; pipes; joiners through whomever; rooms that were founded
//! otherwise.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::wire::{Wire, connect_from};
use crate::support::{Node, allow_open_files, chatting, lines_of, piping, said_by, undialable};
use crossbeam_channel::{RecvTimeoutError, Sender, unbounded};
use hobnob::limits::LINKS_ACCEPTED_MAX;
use hobnob::wire::record::{Control, Hello, Mode};
use hobnob::wire::secure::LinkSecurity;
use nix::sys::signal::Signal;
use serde_json::Value;

/// How many hubs are killed in a row.
const KILLED: usize = 7;

/// A founder and others who join through whoever came before them.
fn room(nicks: &[&str]) -> Vec<Node> {
    let mut nodes: Vec<Node> = vec![chatting(nicks[0], &["--hub"])];
    for nick in &nicks[1..] {
        let through = nodes[nodes.len() / 2].addr();
        nodes.push(chatting(nick, &[&through]));
    }
    for node in &nodes {
        node.wait_for_all(nicks);
        wait_for_hub(node, nicks[0]);
    }
    nodes
}

/// The nick of the hub of which a node told last.
fn hub_of(node: &Node) -> Option<String> {
    node.events()
        .iter()
        .rfind(|event| event["event"] == "hub")
        .map(|event| event["nick"].as_str().expect("a nick").to_owned())
}

/// Waits until that is the hub, and it is the last one that was told.
fn wait_for_hub(node: &Node, nick: &str) {
    node.wait_until(&format!("the hub {nick}"), |events| {
        let last = events.iter().rfind(|event| event["event"] == "hub");
        last.filter(|event| event["nick"] == nick).map(|_| ())
    });
}

/// Waits until all agree on a hub that is not the one before; returns its nick. Two may claim it at once: then that of the
/// greater claim is.
fn wait_for_other_hub(nodes: &[&Node], before: &str) -> String {
    let next = |node: &&Node| {
        node.wait_until(&format!("a hub after {before}"), |events| {
            let last = events.iter().rfind(|event| event["event"] == "hub").filter(|last| last["nick"] != before)?;
            let [id, nick] = ["id", "nick"].map(|field| last[field].as_str().expect("a text").to_owned());
            Some((last["epoch"].as_u64().expect("an epoch"), id, nick))
        })
    };
    let (_, _, hub) = nodes.iter().map(next).max().expect("some are left");
    for node in nodes {
        wait_for_hub(node, &hub);
    }
    hub
}

#[test]
fn hubs_are_killed_in_a_row_in_the_middle_of_a_stream_and_every_line_comes_once() {
    let nicks = ["h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"];
    let mut nodes = room(&nicks);
    let mut source = chatting("source", &["--rank", "0", &nodes[4].addr()]);
    source.wait_for_all(&nicks);
    wait_for_hub(&source, "h0");
    let mut stdin = source.take_stdin();
    let (stop, stopped) = crossbeam_channel::bounded::<()>(0);
    let speaker = thread::spawn(move || {
        use std::io::Write;
        let mut count = 0;
        // 500 a second, and not for ever.
        while count < 60_000 && stopped.recv_timeout(Duration::from_millis(2)).is_err() {
            writeln!(stdin, "source {count}").expect("it reads");
            count += 1;
        }
        (stdin, count)
    });
    let mut hub = "h0".to_owned();
    for round in 0..KILLED {
        // Lines come through this hub.
        let last = nodes.last().expect("two are left");
        let before = said_by(&last.events(), "source").len();
        last.wait_until("lines through the hub", |events| {
            (said_by(events, "source").len() > before + 100).then_some(())
        });
        let index = nodes.iter().position(|node| node.name() == hub).expect("the hub is one of them");
        nodes.remove(index).kill();
        let others: Vec<&Node> = nodes.iter().chain([&source]).collect();
        hub = wait_for_other_hub(&others, &hub);
        assert_ne!(hub, "source", "who has rank 0 is never the hub (round {round})");
    }
    drop(stop);
    let (_stdin, count) = speaker.join().expect("it speaks to its end");
    let lines = lines_of("source", 0..count);
    for node in &nodes {
        node.wait_for_said("source", &lines);
        assert!(!node.events().iter().any(|event| event["event"] == "gap"), "nothing is missing");
    }
}

/// Everybody of these says a line and hears those of the others.
fn all_say_and_hear(nodes: &mut [Node]) {
    for node in &mut *nodes {
        let line = format!("{} is here", node.name());
        node.say(&line);
    }
    for (node, other) in nodes.iter().flat_map(|node| nodes.iter().map(move |other| (node, other))) {
        if node.name() != other.name() {
            node.wait_for_said(other.name(), &[format!("{} is here", other.name())]);
        }
    }
}

/// Those of one room whom all others have to do without are killed at once.
fn die_together(mut nodes: Vec<Node>, count: usize) {
    let mut survivors = nodes.split_off(count);
    for node in &nodes {
        node.signal(Signal::SIGKILL);
    }
    wait_for_other_hub(&survivors.iter().collect::<Vec<_>>(), "h0");
    all_say_and_hear(&mut survivors);
}

#[test]
fn the_hub_and_the_eldest_die_together() {
    die_together(room(&["h0", "h1", "h2", "h3", "h4"]), 2);
}

#[test]
fn all_but_two_die_at_once() {
    die_together(room(&["h0", "h1", "h2", "h3", "h4", "h5", "h6"]), 5);
}

#[test]
fn who_cannot_be_dialled_is_not_the_hub_while_another_can() {
    let alice = chatting("alice", &["--hub"]);
    let bob = undialable("bob", &["--rank", "255", &alice.addr()]);
    bob.wait_for_all(&["alice"]);
    let carol = chatting("carol", &["--rank", "1", &alice.addr()]);
    for node in [&bob, &carol] {
        node.wait_for_all(&["alice", "bob", "carol"]);
        wait_for_hub(node, "alice");
    }
    let mut alice = alice;
    alice.kill();
    let mut rest = [bob, carol];
    assert_eq!(wait_for_other_hub(&rest.iter().collect::<Vec<_>>(), "alice"), "carol");
    all_say_and_hear(&mut rest);
}

/// A pipe whose hub is killed in the middle of what it says; its input ends at once, or when the hub is told to be lost. What
/// the pipe says at its end, and its exit code.
fn pipe_over_a_fail_over(is_lost: bool) -> (Value, i32) {
    let mut nodes = room(&["alice", "bob", "carol", "dave"]);
    let mut pipe = piping("pipe", &[&nodes[2].addr(), &nodes[3].addr()]);
    pipe.wait_for_all(&["alice", "bob", "carol", "dave"]);
    let lines = lines_of("pipe", 0..20_000);
    let (first, rest) = lines.split_at(5_000);
    pipe.say_all(first);
    nodes[1].wait_until("the first lines", |events| (said_by(events, "pipe").len() > 100).then_some(()));
    nodes.remove(0).kill();
    if is_lost {
        pipe.wait_for_member("lost", "alice");
    }
    pipe.say_all(rest);
    pipe.end_input();
    let code = pipe.exit_code();
    for node in &nodes {
        node.wait_for_said("pipe", &lines);
    }
    let last = pipe.events().into_iter().rfind(|event| event["event"] == "delivered" || event["event"] == "error");
    (last.expect("a pipe tells how it ended"), code)
}

#[test]
fn a_pipe_whose_hub_is_killed_on_the_way_is_confirmed_by_those_who_live() {
    let (told, code) = pipe_over_a_fail_over(true);
    assert_eq!((&told["event"], &told["members"], code), (&"delivered".into(), &3.into(), 0), "{told}");
}

#[test]
fn a_pipe_that_ends_before_the_killed_hub_is_missed_says_that_this_one_has_not_confirmed() {
    let (told, code) = pipe_over_a_fail_over(false);
    let missing: Vec<&Value> = told["missing"].as_array().into_iter().flatten().map(|member| &member["nick"]).collect();
    assert_eq!((missing, code), (vec![&"alice".into()], 4), "{told}");
}

#[test]
fn who_takes_another_name_while_there_is_no_hub_has_it_everywhere_once() {
    let alice = chatting("alice", &["--hub"]);
    let [mut bob, carol, dave] = ["bob", "carol", "dave"].map(|nick| chatting(nick, &["--commands", &alice.addr()]));
    for node in [&bob, &carol, &dave] {
        node.wait_for_all(&["alice", "bob", "carol", "dave"]);
        wait_for_hub(node, "alice");
    }
    let mut alice = alice;
    alice.kill();
    for line in ["as bob", "/nick rob", "as rob"] {
        bob.say(line);
    }
    for node in [&carol, &dave] {
        node.wait_for_said("rob", &["as rob".to_owned()]);
        node.wait_for_said("bob", &["as bob".to_owned()]);
    }
    wait_for_other_hub(&[&bob, &carol, &dave], "alice");
    // Of two with one name each is shown with the start of the key, by the new hub as by others.
    let mut twin = chatting("carol", &[&dave.addr()]);
    twin.wait_for_all(&["rob", "dave"]);
    twin.say("another carol");
    for node in [&bob, &dave] {
        let said = node.wait_for("her line", |event| event["event"] == "say" && event["text"] == "another carol");
        assert_eq!(said["from"]["id"], twin.id());
        assert_eq!(
            node.events().iter().filter(|event| event["event"] == "renamed" && event["old"] == "bob").count(),
            1
        );
    }
}

/// Asks for the status until it says that of the hub.
fn hub_in_status(node: &mut Node, is_it: impl Fn(&Value) -> bool) -> Value {
    // The hub's next beat says it, half a second later at most.
    for count in 0..10_000 {
        node.say("/status");
        let hub = node.wait_until("the status", |events| {
            let status = events.iter().filter(|event| event["event"] == "status").nth(count);
            status.map(|status| status["hub"].clone())
        });
        if is_it(&hub) {
            return hub;
        }
    }
    unreachable!("the status does not come to that\n{}", node.told());
}

#[test]
fn status_tells_of_the_hub_and_how_many_links_it_has() {
    let mut alice = chatting("alice", &["--hub", "--commands"]);
    let mut bob = chatting("bob", &["--commands", &alice.addr()]);
    let carol = chatting("carol", &[&bob.addr()]);
    carol.wait_for_links(&["alice", "bob"]);
    wait_for_hub(&bob, "alice");
    let told = bob.wait_for("the hub", |event| event["event"] == "hub");
    assert_eq!((&told["epoch"], &told["former"], &told["myself"]), (&1.into(), &Value::Null, &false.into()));
    assert!(told["since"].is_string() && told["links"].is_number(), "{told}");
    for (node, myself) in [(&mut alice, true), (&mut bob, false)] {
        let hub = hub_in_status(node, |hub| hub["links"] == 2);
        assert_eq!(
            (&hub["hub"]["nick"], &hub["myself"], &hub["reached"]),
            (&"alice".into(), &myself.into(), &true.into())
        );
        assert_eq!(hub["epoch"], 1);
        assert!(hub["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{hub}");
    }
}

#[test]
fn a_hub_that_is_stopped_is_replaced_and_follows_when_it_goes_on() {
    let mut nodes = room(&["alice", "bob", "carol", "dave"]);
    nodes[0].signal(Signal::SIGSTOP);
    let others: Vec<&Node> = nodes[1..].iter().collect();
    let hub = wait_for_other_hub(&others, "alice");
    nodes[3].say("without alice");
    nodes[1].wait_for_said("dave", &["without alice".to_owned()]);
    nodes[0].signal(Signal::SIGCONT);
    wait_for_hub(&nodes[0], &hub);
    nodes[0].say("back");
    for node in &nodes[1..] {
        node.wait_for_said("alice", &["back".to_owned()]);
        assert_eq!(hub_of(node), Some(hub.clone()), "it stays");
    }
    nodes[0].wait_for_said("dave", &["without alice".to_owned()]);
}

#[test]
fn a_hub_that_leaves_hands_over_first() {
    let mut nodes = room(&["alice", "bob", "carol"]);
    nodes[0].signal(Signal::SIGINT);
    assert_eq!(nodes[0].exit_code(), 0);
    let others: Vec<&Node> = nodes[1..].iter().collect();
    wait_for_other_hub(&others, "alice");
    for node in &others {
        node.wait_for_member("left", "alice");
        let told = node.events().into_iter().rfind(|event| event["event"] == "hub").expect("a hub");
        let known = (&told["gone"], &told["former"]["nick"]);
        assert_eq!(known, (&false.into(), &"alice".into()), "{}", node.told());
        assert!(!node.events().iter().any(|event| event["event"] == "lost"), "nobody vanished");
    }
    nodes[1].say("on we go");
    nodes[2].wait_for_said("bob", &["on we go".to_owned()]);
}

#[test]
fn a_pipe_is_confirmed_by_all_although_it_came_through_a_member() {
    let nodes = room(&["alice", "bob", "carol"]);
    let mut pipe = piping("pipe", &[&nodes[2].addr()]);
    let lines = lines_of("pipe", 0..500);
    pipe.say_all(&lines);
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    for node in &nodes {
        node.wait_for_said("pipe", &lines);
    }
}

#[test]
fn a_room_that_was_founded_otherwise_is_refused() {
    let mesh = chatting("alice", &[]);
    let hub = chatting("bob", &["--hub", &mesh.addr()]);
    hub.wait_for("a word", |event| {
        event["event"] == "warning"
            && event["text"].as_str().is_some_and(|text| text.contains("the room is of another mode"))
    });
    let pipe = piping("pipe", &["--hub", &mesh.addr()]);
    let mut pipe = pipe;
    pipe.say("hello");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 5, "{}", pipe.told());
}

/// Links to the hub that say no more than that they are there.
struct Crowd {
    links: Option<Sender<Wire>>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    fn fill(hub: &Node, count: usize) -> Self {
        let (links, wires) = unbounded();
        // A link on which nothing is said for some seconds is given up.
        let thread = thread::spawn(move || {
            let mut all: Vec<Wire> = Vec::new();
            let mut next = Instant::now();
            loop {
                match wires.recv_deadline(next) {
                    Ok(wire) => all.push(wire),
                    Err(RecvTimeoutError::Timeout) => {
                        for wire in &mut all {
                            wire.send(&Control::Pong { token: 0 });
                        }
                        next = Instant::now() + Duration::from_secs(2);
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        let addr = hub.addr();
        for index in 0..count {
            let socket = connect_from(&format!("127.1.{}.{}", index / 250, index % 250 + 1), &addr);
            let mut wire =
                Wire::dial_over(socket, "crowd", LinkSecurity::Plaintext).expect("nothing is awaited in the clear");
            wire.feed.session = index as u64 + 1;
            wire.send(&Control::Hello(Hello { mode: Mode::Any, ..wire.hello() }));
            wire.page();
            links.send(wire).expect("the thread waits for more");
        }
        Self { links: Some(links), thread: Some(thread) }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.links.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn who_finds_the_hub_full_is_told_so_and_chats_through_another() {
    allow_open_files(2 * LINKS_ACCEPTED_MAX as u64 + 256);
    let alice = chatting("alice", &["--hub", "--plaintext"]);
    let mut bob = chatting("bob", &["--plaintext", &alice.addr()]);
    bob.wait_for_all(&["alice"]);
    let _crowd = Crowd::fill(&alice, LINKS_ACCEPTED_MAX - 1);
    let mut carol = undialable("carol", &["--plaintext", &bob.addr()]);
    let is_told = |event: &Value| {
        let text = event["text"].as_str().unwrap_or_default();
        event["event"] == "warning" && text.contains("the hub has all the links it can keep")
    };
    carol.wait_for("a word", is_told);
    carol.say("through bob");
    bob.say("all the same");
    alice.wait_for_said("carol", &["through bob".to_owned()]);
    carol.wait_for_said("bob", &["all the same".to_owned()]);
    let dave = piping("dave", &["--plaintext", &alice.addr()]);
    dave.wait_for("a word", |event| {
        event["event"] == "warning"
            && event["text"].as_str().is_some_and(|text| text.contains("has all the links it can keep"))
    });
    assert_eq!(carol.events().iter().filter(|event| is_told(event)).count(), 1, "once");
}
