//! Promise: who leaves is announced as left, at once and whichever way it was asked to go; who vanishes is
//! told as lost within ten seconds; the others go on, and who comes back or wakes up gets every line.
//! Checked with real processes that are sent signals.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::io::Write;
use std::process::Stdio;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::wire::Wire;
use crate::support::{Node, chatting, count_of, lines_of, piping, said_by, undialable, with_identity};
use hobnob::wire::record::Control;
use hobnob::wire::secure::LinkSecurity;
use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// How soon a killed member is told as lost.
const LOST_WITHIN: Duration = Duration::from_secs(10);

fn goodbye_by(signal: Signal) {
    let alice = chatting("alice", &[]);
    let mut bob = chatting("bob", &[&alice.addr()]);
    let carol = undialable("carol", &[&alice.addr()]);
    bob.wait_for_all(&["alice", "carol"]);
    carol.wait_for_all(&["alice", "bob"]);
    bob.say("goodbye");
    alice.wait_for_said("bob", &["goodbye".to_owned()]);
    let asked = Instant::now();
    bob.signal(signal);
    let code = bob.exit_code();
    assert!(asked.elapsed() < GOODBYE, "a goodbye took {:?}", asked.elapsed());
    assert_eq!(code, 0, "{}", bob.told());
    for node in [alice, carol] {
        node.wait_for_member("left", "bob");
        let events = node.finish();
        assert_eq!(count_of(&events, "left", "bob"), 1);
        assert_eq!(count_of(&events, "lost", "bob"), 0, "who leaves is not lost");
    }
}

#[test]
fn sigterm_is_a_goodbye() {
    goodbye_by(Signal::SIGTERM);
}

#[test]
fn sighup_is_a_goodbye() {
    goodbye_by(Signal::SIGHUP);
}

#[test]
fn sigint_is_a_goodbye() {
    goodbye_by(Signal::SIGINT);
}

#[test]
fn a_node_that_is_busy_with_what_others_pipe_through_it_still_leaves_when_asked() {
    let mut relay = chatting("relay", &[]);
    let addr = relay.addr();
    let bob = undialable("bob", &[&addr]);
    let mut sources = ["s0", "s1", "s2"].map(|nick| piping(nick, &[&addr]));
    for source in &mut sources {
        let mut stdin = source.take_stdin();
        let block = format!("{:0>99}\n", 0).repeat(600);
        // Until the source is killed.
        thread::spawn(move || while stdin.write_all(block.as_bytes()).is_ok() {});
    }
    for nick in ["s0", "s1", "s2"] {
        bob.wait_until("a thousand lines", |events| (said_by(events, nick).len() > 1_000).then_some(()));
    }
    let asked = Instant::now();
    relay.signal(Signal::SIGTERM);
    let code = relay.exit_code();
    assert!(asked.elapsed() < GOODBYE, "a goodbye took {:?}", asked.elapsed());
    assert_eq!(code, 0, "{}", relay.stderr());
    bob.wait_for_member("left", "relay");
}

#[test]
fn one_killed_in_a_mesh_is_lost_and_the_others_go_on() {
    let nicks = ["n0", "n1", "n2", "n3"];
    let first = chatting("n0", &[]);
    let addr = first.addr();
    let mut nodes = vec![first];
    nodes.extend(nicks.iter().skip(1).map(|nick| chatting(nick, &[&addr])));
    for node in &nodes {
        node.wait_for_all(&nicks);
    }
    // The one through which the others came.
    let mut killed = nodes.remove(0);
    killed.kill();
    let since = Instant::now();
    for node in &nodes {
        node.wait_for_member("lost", "n0");
    }
    assert!(since.elapsed() < LOST_WITHIN, "the loss was told after {:?}", since.elapsed());
    for node in &mut nodes {
        let name = node.name().to_owned();
        node.say_all(&lines_of(&name, 0..5));
    }
    for node in nodes {
        for nick in &nicks[1..] {
            node.wait_for_said(nick, &lines_of(nick, 0..5));
        }
        let events = node.finish();
        assert_eq!(count_of(&events, "lost", "n0"), 1, "a loss is told once");
        assert_eq!(count_of(&events, "left", "n0"), 0, "who vanishes has not left");
    }
}

/// Bob with a key in a file, at a port of his own.
fn bob_at(listen: &str, key: &std::path::Path, peer: &str) -> Node {
    let mut command = with_identity("bob");
    command.env("XDG_DATA_HOME", key.with_extension("data"));
    command.arg("--identity").arg(key).args(["--no-mesh", "--listen", listen, peer]);
    Node::start("bob", command, Stdio::piped())
}

#[test]
fn the_middle_of_a_chain_is_killed_and_comes_back_and_nothing_said_meanwhile_is_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("bob.key");
    let mut alice = chatting("alice", &["--no-mesh"]);
    let mut bob = bob_at("127.0.0.1:0", &key, &alice.addr());
    let port = bob.addr();
    let mut carol = chatting("carol", &["--no-mesh", &port]);
    alice.wait_for_all(&["bob", "carol"]);
    carol.wait_for_all(&["alice", "bob"]);
    alice.say_all(&lines_of("alice", 0..5));
    carol.wait_for_said("alice", &lines_of("alice", 0..5));

    bob.kill();
    let since = Instant::now();
    alice.wait_for_member("lost", "bob");
    carol.wait_for_member("lost", "bob");
    assert!(since.elapsed() < LOST_WITHIN, "the loss was told after {:?}", since.elapsed());
    alice.say_all(&lines_of("alice", 5..10));
    carol.say_all(&lines_of("carol", 0..5));
    alice.wait_for_said("alice", &lines_of("alice", 0..10));
    carol.wait_for_said("carol", &lines_of("carol", 0..5));

    let bob = bob_at(&port, &key, &alice.addr());
    carol.wait_for_said("alice", &lines_of("alice", 0..10));
    alice.wait_for_said("carol", &lines_of("carol", 0..5));
    bob.wait_for_said("alice", &lines_of("alice", 0..10));
    bob.wait_for_said("carol", &lines_of("carol", 0..5));
    for node in [alice, carol, bob] {
        let twice = |events: &[serde_json::Value]| count_of(events, "joined", "bob") == 2;
        if node.name() != "bob" {
            node.wait_until("bob back", |events| twice(events).then_some(()));
        }
        let events = node.finish();
        assert_eq!(said_by(&events, "alice"), lines_of("alice", 0..10), "at the end");
        assert_eq!(said_by(&events, "carol"), lines_of("carol", 0..5), "at the end");
    }
}

#[test]
fn one_who_is_killed_and_restarted_at_once_goes_on_as_the_same_member() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("bob.key");
    let mut alice = chatting("alice", &[]);
    let mut bob = bob_at("127.0.0.1:0", &key, &alice.addr());
    let id = bob.id();
    alice.wait_for_member("joined", "bob");
    bob.wait_for_member("joined", "alice");
    bob.say("before");
    alice.wait_for_said("bob", &["before".to_owned()]);
    bob.kill();
    let mut bob = bob_at("127.0.0.1:0", &key, &alice.addr());
    assert_eq!(bob.id(), id, "the key was kept");
    bob.wait_for_member("joined", "alice");
    bob.say("after");
    alice.wait_for_said("bob", &["before".to_owned(), "after".to_owned()]);
    alice.say("welcome");
    bob.wait_for_said("alice", &["welcome".to_owned()]);
}

#[test]
fn one_who_is_stopped_for_five_seconds_gets_every_line_afterwards() {
    let lines: Vec<String> = (0..40_000).map(|number| format!("{number:0>99}")).collect();
    let relay = chatting("relay", &[]);
    let addr = relay.addr();
    let sleeper = undialable("sleeper", &[&addr]);
    let awake = undialable("awake", &[&addr]);
    let mut source = piping("source", &["--linger", "60", &addr]);
    for node in [&relay, &sleeper, &awake] {
        node.wait_for_all(&["source"]);
    }
    source.wait_for_all(&["relay", "sleeper", "awake"]);
    sleeper.signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    source.say_all(&lines);
    source.end_input();
    awake.wait_for_said("source", &lines);
    // Five seconds of standstill are what is tested, not what is waited for.
    thread::sleep(Duration::from_secs(5).saturating_sub(stopped.elapsed()));
    sleeper.signal(Signal::SIGCONT);
    sleeper.wait_for_said("source", &lines);
    assert_eq!(source.exit_code(), 0, "the sleeper confirms, too\n{}", source.told());
    for node in [relay, sleeper, awake] {
        assert!(said_by(&node.finish(), "source") == lines, "nothing came twice");
    }
}

/// A peer that has said hello, wants everything and reads nothing any more, with as little room in its socket as the system
/// allows.
fn deaf_peer(addr: &str) -> Wire {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a smaller buffer");
    let addr: std::net::SocketAddr = addr.parse().expect("an address");
    socket.connect(&addr.into()).expect("the node accepts connections");
    let mut wire =
        Wire::dial_over(socket.into(), "deaf", LinkSecurity::Plaintext).expect("nothing is awaited in the clear");
    for entry in wire.greet() {
        wire.send(&Control::Want { author: entry.0, session: entry.1, from: 1, answer: false });
    }
    wire
}

/// `timeout` signals the process and then its group.
#[test]
fn a_doubled_signal_is_one_goodbye() {
    let mut alice = chatting("alice", &[]);
    let bob = undialable("bob", &[&alice.addr()]);
    alice.wait_for_all(&["bob"]);
    alice.signal(Signal::SIGTERM);
    alice.signal(Signal::SIGTERM);
    assert_eq!(alice.exit_code(), 0, "{}", alice.told());
    bob.wait_for_member("left", "alice");
}

#[test]
fn a_second_interrupt_ends_a_goodbye_that_hangs() {
    let mut alice = chatting("alice", &["--plaintext"]);
    let bob = undialable("bob", &["--plaintext", &alice.addr()]);
    alice.wait_for_all(&["bob"]);
    let deaf = deaf_peer(&alice.addr());
    alice.wait_for("the link to the deaf peer", |event| event["event"] == "linked" && event["peer"]["nick"] == "deaf");
    // A peer that is silent, too, would be let go after a while.
    let socket = std::sync::Arc::clone(&deaf.socket);
    let (until, is_over) = mpsc::channel::<()>();
    thread::spawn(move || {
        while is_over.recv_timeout(Duration::from_millis(500)) == Err(RecvTimeoutError::Timeout) {
            let _ = (&*socket).write_all(&Control::Pong { token: 0 }.encode());
        }
    });
    // More than its socket and the sending one hold.
    let lines: Vec<String> = (0..120_000).map(|number| format!("{number:0>99}")).collect();
    alice.say_all(&lines);
    bob.wait_for_said("alice", &lines);
    let first = Instant::now();
    alice.signal(Signal::SIGINT);
    bob.wait_for_member("left", "alice");
    let hung = first.elapsed();
    // Signals that come together are one; nobody presses a key twice within this time.
    thread::sleep(Duration::from_millis(200).saturating_sub(hung));
    let asked = Instant::now();
    alice.signal(Signal::SIGINT);
    let code = alice.exit_code();
    drop(until);
    assert_eq!(code, 130, "the first interrupt, {hung:?} before, has not ended it\n{}", alice.told());
    assert!(asked.elapsed() < Duration::from_secs(1), "the second took {:?}", asked.elapsed());
}
