//! Promise: what is piped in arrives at every member, byte for byte what a line can be, once and in order,
//! and the run ends when that is confirmed; nothing grows with the number of lines. Checked with real
//! processes and pipes.
//!
//! With `HOBNOB_SLOW=1` the long run is a million lines to ten receivers, all below 64 MiB of memory; as
//! that takes a release build, it is smaller otherwise.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::{Node, chatting, hobnob, lines_of, piping, said_by, undialable};
use nix::sys::signal::Signal;
use serde_json::Value;

/// What of a sender arrives at one receiver, for bytes in its pipe.
fn arrives(bytes: &[u8], lines: &[&str]) {
    let alice = chatting("alice", &[]);
    let mut pipe = piping("pipe", &[&alice.addr()]);
    pipe.write(bytes);
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    alice.wait_for_said("pipe", &lines);
    alice.wait_for_member("left", "pipe");
    let events = alice.finish();
    assert_eq!(said_by(&events, "pipe"), lines);
    let first = |name: &str| events.iter().position(|event| event["event"] == name);
    assert!(first("joined") < first("say") && first("say") < first("left"), "who comes is told first: {events:?}");
}

#[test]
fn a_last_line_without_a_newline_arrives() {
    arrives(b"first line\nlast line without newline", &["first line", "last line without newline"]);
}

#[test]
fn blank_lines_arrive() {
    arrives(b"one\n\n\nfour\n", &["one", "", "", "four"]);
}

#[test]
fn line_ends_of_other_systems_are_line_ends() {
    arrives(b"one\r\ntwo\r\nthree\rwhole\r\n", &["one", "two", "three\rwhole"]);
}

#[test]
fn bytes_that_no_text_has_are_replaced_and_the_rest_arrives() {
    arrives(
        b"nul \0 here\nhalf \xc3 a letter\n\xff\xfe\n",
        &["nul \u{fffd} here", "half \u{fffd} a letter", "\u{fffd}\u{fffd}"],
    );
}

#[test]
fn delimiters_and_commands_are_text() {
    arrives(
        b"<MSGENCD>\n<EXITENCD>\n/quit\n{\"type\":\"exit\"}<EXITENCD>\n//x\n/nick mallory\nend\n",
        &["<MSGENCD>", "<EXITENCD>", "/quit", "{\"type\":\"exit\"}<EXITENCD>", "//x", "/nick mallory", "end"],
    );
}

#[test]
fn a_line_longer_than_a_frame_arrives_in_one_piece() {
    let long = "a long line; ".repeat(20_000);
    arrives(format!("before\n{long}\nafter").as_bytes(), &["before", &long, "after"]);
}

#[test]
fn commands_are_run_where_that_is_asked_for() {
    let alice = chatting("alice", &[]);
    let mut pipe = piping("pipe", &["--commands", &alice.addr()]);
    pipe.wait_for_all(&["alice"]);
    pipe.write(b"one\n/me waves\n/nick piper\n//quit is a command\n/frobnicate\n/quit that is all\nnot said\n");
    assert_eq!(pipe.exit_code(), 4, "a line was no command\n{}", pipe.told());
    alice.wait_for_said("pipe", &lines(&["one", "waves"]));
    alice.wait_for_said("piper", &lines(&["/quit is a command"]));
    alice.wait_for("the new name", |event| event["event"] == "renamed" && event["old"] == "pipe");
    let left = alice.wait_for_member("left", "piper");
    assert_eq!(left["why"], "that is all");
    let act = alice.wait_for("the act", |event| event["text"] == "waves");
    assert_eq!(act["action"], true);
    pipe.wait_for("the complaint", |event| {
        event["event"] == "error" && event["text"].as_str().is_some_and(|text| text.contains("frobnicate"))
    });
    let said = alice.finish();
    assert!(!said.iter().any(|event| event["text"] == "not said"));
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn without_input_a_node_listens_until_it_is_asked_to_leave() {
    let mut alice = chatting("alice", &[]);
    let mut command = hobnob("bob");
    command.args(["--no-listen", &alice.addr()]);
    let bob = Node::start("bob", command, Stdio::null());
    alice.wait_for_all(&["bob"]);
    alice.say("are you there?");
    bob.wait_for_said("alice", &["are you there?".to_owned()]);
    alice.say("and still?");
    bob.wait_for_said("alice", &lines(&["are you there?", "and still?"]));
    bob.finish();
}

/// A hobnob that prints for people.
fn for_people(nick: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(["--ephemeral", "--nick", nick]).args(args).env_remove("RUST_LOG");
    command.env("XDG_DATA_HOME", crate::support::NO_FOLDER);
    command
}

#[test]
fn a_node_between_two_pipes_says_what_comes_in_and_prints_what_others_say() {
    let mut alice = chatting("alice", &[]);
    let mut between = Node::start("between", for_people("between", &["--stay", &alice.addr()]), Stdio::piped());
    alice.wait_for_all(&["between"]);
    between.say("from the left");
    between.end_input();
    alice.wait_for_said("between", &["from the left".to_owned()]);
    alice.say("to the right");
    let line = between.wait_for_line("the line of alice", |line| line.contains("to the right"));
    let (time, rest) = line.split_once(' ').unwrap_or_default();
    assert_eq!(rest, "alice: to the right");
    assert!(time.len() == 8 && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':'), "{line:?}");
    between.finish();
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_run_quietly() {
    let mut alice = chatting("alice", &[]);
    let (mut bob, stdout) = Node::start_raw("bob", for_people("bob", &["--no-listen", &alice.addr()]), Stdio::null());
    alice.wait_for_all(&["bob"]);
    alice.say("first");
    let mut line = String::new();
    // As `head -1` does, but for its buffer.
    BufReader::with_capacity(1, stdout).read_line(&mut line).expect("a line");
    assert!(line.ends_with("alice: first\n"), "{line:?}");
    alice.say("second");
    assert_eq!(bob.exit_code(), 0, "{}", bob.told());
    assert!(!bob.stderr().contains("hobnob:") && !bob.stderr().contains("roken"), "{}", bob.stderr());
    alice.wait_for_member("left", "bob");
}

#[test]
fn twelve_pipes_at_once_through_one_node_are_all_confirmed() {
    const LINES: usize = 500;
    let hub = chatting("hub", &[]);
    let addr = hub.addr();
    let bob = undialable("bob", &[&addr]);
    hub.wait_for_all(&["bob"]);
    let nicks: Vec<String> = (0..12).map(|number| format!("p{number}")).collect();
    let mut pipes: Vec<Node> = nicks.iter().map(|nick| piping(nick, &["--linger", "30", &addr])).collect();
    for (pipe, nick) in pipes.iter_mut().zip(&nicks) {
        pipe.say_all(&lines_of(nick, 0..LINES));
        pipe.end_input();
    }
    for (mut pipe, nick) in pipes.into_iter().zip(&nicks) {
        assert_eq!(pipe.exit_code(), 0, "{nick}\n{}", pipe.told());
        let delivered = pipe.wait_for("delivered", |event| event["event"] == "delivered");
        assert!(delivered["members"].as_u64() >= Some(2), "the hub and bob at least: {delivered}");
    }
    for node in [hub, bob] {
        for nick in &nicks {
            node.wait_for_said(nick, &lines_of(nick, 0..LINES));
        }
        let events = node.finish();
        for nick in &nicks {
            assert_eq!(said_by(&events, nick), lines_of(nick, 0..LINES), "at the end");
        }
    }
}

// ---- the long run -------------------------------------------------------------------------

/// What each process may hold in memory.
const PEAK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long the long run may go without a line arriving.
const STANDSTILL: Duration = Duration::from_mins(1);

fn numbered(number: usize) -> String {
    format!("{number:0>99}")
}

/// Reads the events of a receiver and checks that the lines come in order; tells how far it is.
fn check_lines(stdout: ChildStdout, count: usize, progress: &mpsc::Sender<Result<usize, String>>) {
    let mut next = 0;
    for line in BufReader::with_capacity(1 << 17, stdout).lines() {
        let event: Value = match line
            .map_err(|error| error.to_string())
            .and_then(|line| serde_json::from_str(&line).map_err(|error| error.to_string()))
        {
            Ok(event) => event,
            Err(error) => return drop(progress.send(Err(error))),
        };
        if event["event"] == "gap" || event["event"] == "error" {
            return drop(progress.send(Err(event.to_string())));
        }
        if event["event"] != "say" {
            continue;
        }
        for line in event["text"].as_str().unwrap_or_default().split('\n') {
            if line != numbered(next) {
                return drop(progress.send(Err(format!("{line:?} where line {next} of {count} is due"))));
            }
            next += 1;
        }
        let _ = progress.send(Ok(next));
    }
    // Its own end is told, too: lines that came twice would have been noticed.
    let _ = progress.send(Ok(next));
}

#[test]
fn a_long_pipe_arrives_whole_at_every_receiver_and_costs_no_more_memory_than_a_short_one() {
    let slow = std::env::var_os("HOBNOB_SLOW").is_some();
    let (count, receivers) = if slow { (1_000_000, 10) } else { (50_000, 3) };
    if !slow {
        let _ = writeln!(std::io::stderr(), "skipped: a million lines to ten receivers (HOBNOB_SLOW=1 runs it)");
    }
    let mut command = hobnob("relay");
    command.args(["--listen", "127.0.0.1:0"]);
    // The relay's own output is nobody's business here.
    let (relay, addr) = relay(command);
    let mut nodes = Vec::new();
    let mut ends = Vec::new();
    for number in 0..receivers {
        let mut command = hobnob(&format!("r{number}"));
        command.args(["--no-listen", &addr]);
        let (node, stdout) = Node::start_raw(&format!("r{number}"), command, Stdio::null());
        let (progress, end) = mpsc::channel();
        thread::spawn(move || check_lines(stdout, count, &progress));
        nodes.push(node);
        ends.push(end);
    }
    let mut sender = piping("sender", &["--linger", "60", &addr]);
    let nicks: Vec<String> = (0..receivers).map(|number| format!("r{number}")).collect();
    sender.wait_for_all(&nicks.iter().map(String::as_str).collect::<Vec<_>>());
    let mut stdin = sender.take_stdin();
    let feeder = thread::spawn(move || {
        let mut block = String::new();
        for number in 0..count {
            block.push_str(&numbered(number));
            block.push('\n');
            if block.len() > 64 * 1024 || number + 1 == count {
                stdin.write_all(block.as_bytes()).expect("the sender takes its input");
                block.clear();
            }
        }
        stdin
    });
    for (node, end) in nodes.iter().zip(&ends) {
        loop {
            let arrived = end.recv_timeout(STANDSTILL).expect("lines keep arriving");
            let arrived = arrived.unwrap_or_else(|error| unreachable!("{}: {error}", node.name()));
            if arrived >= count {
                break;
            }
        }
    }
    // All are still there to be looked at, as the sender's input has not ended.
    let stdin = feeder.join().expect("the feeder does not fail");
    for node in nodes.iter().chain([&sender, &relay]) {
        let peak = node.peak_bytes();
        let _ = writeln!(std::io::stderr(), "{} held {} MiB at most", node.name(), peak >> 20);
        assert!(peak < PEAK_BYTES_MAX, "{} held {peak} bytes", node.name());
    }
    drop(stdin);
    assert_eq!(sender.exit_code(), 0, "{}", sender.told());
    for (mut node, end) in nodes.into_iter().zip(ends) {
        node.signal(Signal::SIGTERM);
        assert_eq!(node.exit_code(), 0, "{}", node.told());
        assert_eq!(end.iter().last(), Some(Ok(count)), "{} saw no more and no fewer", node.name());
    }
}

/// A relay whose events are read and forgotten, and its address.
fn relay(command: Command) -> (Node, String) {
    let (relay, stdout) = Node::start_raw("relay", command, Stdio::null());
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a relay tells where it listens");
    let listening: Value = serde_json::from_str(&line).expect("an event");
    thread::spawn(move || {
        let mut rest = vec![0; 1 << 16];
        while stdout.read(&mut rest).is_ok_and(|count| count > 0) {}
    });
    (relay, listening["addr"].as_str().expect("listening has an addr").to_owned())
}

#[test]
fn a_fifo_is_opened_again_at_its_end_in_a_run_that_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let bob = chatting("bob", &[]);
    let mut command = hobnob("alice");
    command.args(["--no-listen", "--stay", &bob.addr()]);
    // Both ends, so that this does not wait; the run gets one that only reads.
    let both = std::fs::File::options().read(true).write(true).open(&fifo).expect("our own FIFO");
    let stdin = std::fs::File::open(&fifo).expect("there is a writer");
    drop(both);
    let alice = Node::start("alice", command, stdin.into());
    let mut said = Vec::new();
    for text in ["one\n", "two, without a newline", "three\nfour\n", "five"] {
        std::fs::write(&fifo, text).expect("there is a reader");
        said.extend(text.lines().map(ToOwned::to_owned));
        bob.wait_for_said("alice", &said);
    }
    // All at once, whoever of them comes between two readers.
    let writers: Vec<_> = (0..20)
        .map(|number| {
            let fifo = fifo.clone();
            std::thread::spawn(move || std::fs::write(fifo, format!("writer {number}\n")).expect("there is a reader"))
        })
        .collect();
    for writer in writers {
        writer.join().expect("a writer that ends");
    }
    bob.wait_until("all of them", |events| (said_by(events, "alice").len() == said.len() + 20).then_some(()));
    drop(alice.finish());
}
