//! Promise: in hub mode all link to one member, and whatever becomes of it, another one takes over and the chat goes on
//! without a line lost, doubled or out of order. Checked with real processes: hubs that are killed in the middle of a
//! stream, one after the other, that are stopped, or leave; pipes; joiners through whomever; rooms that were founded
//! otherwise.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

mod support;

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Node, chatting, lines_of, piping, said_by};

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

/// Waits until all agree on a hub that is not the one before; returns its nick.
fn wait_for_other_hub(nodes: &[&Node], before: &str) -> String {
    let next = nodes[0].wait_until(&format!("a hub after {before}"), |events| {
        let last = events.iter().rfind(|event| event["event"] == "hub")?;
        (last["nick"] != before).then(|| last["nick"].as_str().expect("a nick").to_owned())
    });
    for node in nodes {
        wait_for_hub(node, &next);
    }
    next
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
        assert_eq!((&told["gone"], &told["former"]["nick"]), (&false.into(), &"alice".into()));
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
