//! Promise: a run that ends with its input is done when all that was read is said and confirmed, and never before; while
//! its input is open nothing but refusals ends it, and no link that is cut costs it a line. Checked with real processes
//! whose peers are killed, stopped, gone for a while, or played by the test.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::wire::{Wire, now};
use crate::support::{Node, chatting, hobnob, lines_of, piping, status, undialable};
use hobnob::identity::Identity;
use hobnob::ticket::{Host, Ticket};
use hobnob::wire::record::{Domain, Draft, FeedId, Header, Nick, Post};
use nix::sys::signal::Signal;

/// An address at which nobody listens: it was free a moment ago.
fn free_addr() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address").to_string()
}

/// A node at an address of the test's choice.
fn chatting_at(nick: &str, addr: &str) -> Node {
    let mut command = hobnob(nick);
    command.args(["--listen", addr]);
    Node::start(nick, command, Stdio::piped())
}

/// A run with messages, and a stdin that nobody writes to or closes.
fn saying(args: &[&str]) -> Node {
    let mut command = hobnob("pipe");
    command.args(args);
    Node::start("pipe", command, Stdio::piped())
}

fn is_unlinked(event: &serde_json::Value) -> bool {
    event["event"] == "unlinked"
}

/// It was said nowhere, and the code was 0.
#[test]
fn a_line_that_comes_when_the_only_peer_is_gone_is_code_3_however_it_went() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let alice = chatting("alice", &[]);
        let mut pipe = piping("pipe", &["--wait", "1", &alice.addr()]);
        pipe.wait_for_all(&["alice"]);
        alice.signal(signal);
        pipe.wait_for("the end of the link", is_unlinked);
        pipe.say("backup failed");
        pipe.end_input();
        assert_eq!(pipe.exit_code(), 3, "{signal}: {}", pipe.told());
        assert!(pipe.stderr().contains("nothing was said: no peer was linked"), "{}", pipe.stderr());
    }
}

/// A ticket to a host of the test's choice, which is nobody's.
fn ticket_to(addr: &str) -> String {
    let host = Host { id: Identity::from_seed(&[5; 32]).id(), addresses: vec![addr.parse().expect("an address")] };
    Ticket { hosts: vec![host], room: "lobby".to_owned(), secret: None }.to_line().to_string()
}

/// Whatever way text comes, and whomever it is for.
#[test]
fn no_text_is_done_where_nobody_is_or_all_refuse() {
    let alice = chatting("alice", &["--room", "elsewhere"]);
    for (addr, code, why) in [(free_addr(), 3, "no peer was linked"), (alice.addr(), 5, "every peer refused")] {
        let ticket = ticket_to(&addr);
        let by_ticket = format!("{ticket}\nhello\n");
        for (args, input) in [
            (&[addr.as_str()][..], "hello\n"),
            (&[&addr], ""),
            (&["--to", "bob", &addr], "hello\n"),
            (&["--commands", &addr], "/msg bob hello\n"),
            (&["--commands", &addr], "/chat bob\nhello\n/quit\n"),
            (&["--commands", &addr], "/names\n/frobnicate\n"),
            (&["-m", "hello", &addr], ""),
            (&["-m", "hello", "--to", "bob", &addr], ""),
            (&["--confirm", "2", "-m", "hello", &addr], ""),
            (&["--ticket", "-"], &by_ticket),
        ] {
            let mut pipe = piping("pipe", &[&["--wait", "1"], args].concat());
            pipe.write(input.as_bytes());
            pipe.end_input();
            assert_eq!(pipe.exit_code(), code, "{args:?} {input:?}: {}", pipe.told());
            assert!(pipe.stderr().contains(why), "{args:?}: {}", pipe.stderr());
        }
    }
}

#[test]
fn a_line_that_a_peer_had_and_did_not_confirm_is_code_4() {
    let mut alice = chatting("alice", &[]);
    let mut pipe = piping("pipe", &["--wait", "1", &alice.addr()]);
    pipe.wait_for_all(&["alice"]);
    alice.signal(Signal::SIGSTOP);
    pipe.say("hello");
    // It is said when the node has taken what follows it.
    pipe.say(&"x".repeat(200_000));
    pipe.say(&"y".repeat(200_000));
    alice.kill();
    pipe.wait_for("the end of the link", is_unlinked);
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 4, "{}", pipe.told());
    assert!(pipe.stderr().contains("confirmed"), "{}", pipe.stderr());
}

/// `tail -f log | hobnob` ended when its only peer was gone for ten seconds; here the patience is none at all.
#[test]
fn an_open_stdin_outlives_its_only_peer_and_costs_no_line() {
    let addr = free_addr();
    let mut alice = chatting_at("alice", &addr);
    let mut pipe = piping("pipe", &["--wait", "0", &addr]);
    pipe.say("one");
    alice.wait_for_said("pipe", &["one".to_owned()]);
    alice.kill();
    pipe.wait_for("the end of the link", is_unlinked);
    pipe.say("two");
    pipe.wait_for("a dial in vain", |event| {
        event["event"] == "warning" && event["text"].to_string().contains("reached")
    });
    pipe.say("three");
    let alice = chatting_at("alice", &addr);
    alice.wait_for("the last line", |event| event["event"] == "say" && event["text"].to_string().contains("three"));
    // Who was killed is somebody else, and was here a moment ago.
    pipe.wait_for_member("lost", "alice");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    alice.wait_for_said("pipe", &["one", "two", "three"].map(ToOwned::to_owned));
}

#[test]
fn an_open_stdin_whose_peers_all_refuse_is_code_5_after_its_patience() {
    let alice = chatting("alice", &["--room", "here"]);
    let mut pipe = piping("pipe", &["--room", "there", "--wait", "1", &alice.addr()]);
    pipe.say("hello");
    assert_eq!(pipe.exit_code(), 5, "{}", pipe.told());
    assert!(pipe.stderr().contains("every peer refused"), "{}", pipe.stderr());
}

/// What a run may hold beside an idle one of its kind: the window, what is read at once, and what the allocator keeps.
const READ_AHEAD_BYTES_MAX: u64 = 8 * 1024 * 1024;

#[test]
fn without_a_peer_100_mb_are_not_read_and_memory_stays_flat() {
    const OFFERED: usize = 100 * 1024 * 1024;
    let addr = free_addr();
    let mut pipe = piping("pipe", &[&addr]);
    pipe.wait_for("a dial in vain", |event| event["event"] == "warning");
    let resident = |pipe: &Node| status(pipe.process(), "VmRSS:").expect("it runs") * 1024;
    let before = resident(&pipe);
    let (mut stdin, taken) = (pipe.take_stdin(), Arc::new(AtomicUsize::new(0)));
    let its = Arc::clone(&taken);
    let feeder = thread::spawn(move || {
        let block = lines_of("line", 0..1_000).join("\n") + "\n";
        while its.load(Ordering::SeqCst) < OFFERED && stdin.write_all(block.as_bytes()).is_ok() {
            its.fetch_add(block.len(), Ordering::SeqCst);
        }
    });
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        let count = taken.load(Ordering::SeqCst);
        if count != last {
            (last, since) = (count, Instant::now());
        }
        thread::sleep(Duration::from_millis(20));
    }
    assert!(last < 1024 * 1024, "{last} bytes of {OFFERED} were taken");
    let held = resident(&pipe) - before;
    assert!(held < READ_AHEAD_BYTES_MAX, "{held} bytes are held");
    // Who comes then gets them from the first line on.
    let alice = chatting_at("alice", &addr);
    let first = alice.wait_for("the first line", |event| event["event"] == "say");
    assert!(first["text"].to_string().starts_with("\"line 0\\nline 1\\n"), "{}", first["text"].to_string().len());
    pipe.kill();
    feeder.join().expect("the feeder does not fail");
}

#[test]
fn a_signal_does_not_make_text_done_that_nobody_has() {
    let mut pipe = piping("pipe", &["--wait", "60", &free_addr()]);
    pipe.say("hello");
    pipe.wait_for("a dial in vain", |event| event["event"] == "warning");
    pipe.signal(Signal::SIGTERM);
    assert_eq!(pipe.exit_code(), 3, "{}", pipe.told());
    let alice = chatting("alice", &[]);
    let mut pipe = piping("pipe", &[&alice.addr()]);
    pipe.say("hello");
    alice.wait_for_said("pipe", &["hello".to_owned()]);
    pipe.signal(Signal::SIGTERM);
    assert_eq!(pipe.exit_code(), 0, "alice confirms it in a moment\n{}", pipe.told());
    // A line without an end was read, and is not said.
    let mut pipe = piping("half", &[&alice.addr()]);
    pipe.wait_for_all(&["alice"]);
    pipe.write(b"one\nhalf a line");
    alice.wait_for_said("half", &["one".to_owned()]);
    pipe.signal(Signal::SIGTERM);
    assert_eq!(pipe.exit_code(), 4, "{}", pipe.told());
}

#[test]
fn messages_of_the_command_line_are_said_and_stdin_is_not_read() {
    let alice = chatting("alice", &[]);
    let mut pipe = saying(&["-m", "disk full", "--message=-m is text, /quit too", "-m", "two\nlines", &alice.addr()]);
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    assert!(pipe.stderr().is_empty(), "{}", pipe.stderr());
    alice.wait_for_said("pipe", &["disk full", "-m is text, /quit too", "two", "lines"].map(ToOwned::to_owned));
    let said = alice.events().into_iter().filter(|event| event["event"] == "say").count();
    assert_eq!(said, 3, "each is one message");
}

#[test]
fn options_that_contradict_each_other_are_code_2() {
    for args in [
        &["-m", "text", "--commands"][..],
        &["--confirm", "any", "--to", "bob"],
        &["--confirm", "0"],
        &["--confirm", "most"],
    ] {
        let mut pipe = piping("pipe", args);
        assert_eq!(pipe.exit_code(), 2, "{args:?}: {}", pipe.told());
        assert!(!pipe.stderr().is_empty(), "{args:?}");
    }
}

#[test]
fn so_many_confirm_as_are_asked_for() {
    let alice = chatting("alice", &[]);
    let addr = alice.addr();
    let bob = undialable("bob", &[&addr]);
    alice.wait_for_all(&["bob"]);
    let mut short = saying(&["-m", "one", "--confirm", "3", "--linger", "1", &addr]);
    assert_eq!(short.exit_code(), 4, "{}", short.told());
    assert!(short.stderr().contains("confirmed by 2 of the 3"), "{}", short.stderr());
    bob.signal(Signal::SIGSTOP);
    let mut any = saying(&["-m", "two", "--confirm", "any", "--linger", "60", &addr]);
    assert_eq!(any.exit_code(), 0, "{}", any.told());
    let mut nobody = saying(&["-m", "three", "--confirm", "any", "--wait", "1", &free_addr()]);
    assert_eq!(nobody.exit_code(), 3, "{}", nobody.told());
}

/// Sessions of people who are long gone: one post each.
fn bring_sessions(addr: &str, bringer: &str, sessions: std::ops::Range<u64>) {
    let mut wire = Wire::dial_encrypted(addr, bringer);
    wire.greet();
    let (domain, an_hour) = (Domain::of_room("lobby"), 3_600_000);
    let join = Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None };
    for index in sessions {
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&index.to_le_bytes());
        let identity = Identity::from_seed(&seed);
        let nick = Nick::new(&format!("former{index}")).expect("a nick");
        let feed = FeedId { author: identity.id(), session: 1 };
        let header = Header { feed, number: 1, at: now() - an_hour, nick: &nick, ack: false };
        wire.write(&Post::encode(&header, &join, &domain, &identity).frame);
    }
    // What it sends now comes behind all that.
    wire.send(&hobnob::wire::record::Control::Ping { token: 7 });
    wire.next_control(|control| matches!(control, hobnob::wire::record::Control::Pong { token: 7 }));
}

/// From about 3,200 sessions on half of the newcomers were cut as slow readers.
#[test]
fn pipes_into_a_room_of_thousands_of_sessions_are_not_cut() {
    let alice = chatting("alice", &[]);
    let addr = alice.addr();
    for (count, bringer) in [(4_000, "first"), (8_000, "second")] {
        bring_sessions(&addr, bringer, count - 4_000..count);
        let nicks: Vec<String> = (0..5).map(|index| format!("p{count}-{index}")).collect();
        let mut pipes: Vec<Node> = nicks.iter().map(|nick| piping(nick, &["--linger", "60", &addr])).collect();
        for (pipe, nick) in pipes.iter_mut().zip(&nicks) {
            pipe.say_all(&lines_of(nick, 0..100));
            pipe.end_input();
        }
        for (mut pipe, nick) in pipes.into_iter().zip(&nicks) {
            assert_eq!(pipe.exit_code(), 0, "{nick}\n{}", pipe.told());
            let cut =
                pipe.events().into_iter().filter(is_unlinked).filter(|event| event["reason"] != "goodbye").count();
            assert_eq!(cut, 0, "{}", pipe.told());
            alice.wait_for_said(nick, &lines_of(nick, 0..100));
        }
    }
}
