//! Promise: the exit code tells the truth, and stderr says why in words. Checked for each code with real
//! processes, where needed beside a peer that the test plays itself.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::wire::Wire;
use crate::support::{Node, chatting, hobnob, piping, undialable};
use hobnob::wire::record::Draft;
use nix::sys::signal::Signal;

/// A run for people, whose complaints go to stderr, with a closed stdin or lines in it.
fn run(args: &[&str], input: Option<&str>) -> (i32, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(["--ephemeral", "--nick", "tester"]).args(args).env_remove("RUST_LOG");
    command.env("XDG_DATA_HOME", crate::support::NO_FOLDER);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut node = Node::start("tester", command, stdin);
    if let Some(input) = input {
        // One that does not start does not read.
        let _ = node.take_stdin().write_all(input.as_bytes());
    }
    (node.exit_code(), node.stderr())
}

/// An address at which nobody listens: it was free a moment ago.
fn free_addr() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket has an address").to_string()
}

#[test]
fn code_0_is_done_and_confirmed() {
    let alice = chatting("alice", &[]);
    let mut pipe = piping("pipe", &[&alice.addr()]);
    pipe.say("hello");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    let delivered = pipe.wait_for("delivered", |event| event["event"] == "delivered");
    assert_eq!((&delivered["posts"], &delivered["members"]), (&1.into(), &1.into()));
    alice.wait_for_said("pipe", &["hello".to_owned()]);
    alice.wait_for_member("left", "pipe");
}

#[test]
fn an_empty_pipe_is_done_as_soon_as_somebody_was_reached() {
    let alice = chatting("alice", &[]);
    let (code, stderr) = run(&[&alice.addr()], Some(""));
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn code_1_is_an_address_that_cannot_be_listened_at() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("a bound socket has an address").to_string();
    let (code, stderr) = run(&["--listen", &addr], None);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&addr) && stderr.contains("in use"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "one line for the user: {stderr}");
}

#[test]
fn code_2_is_wrong_usage() {
    for args in [&["--frobnicate"][..], &["host:0"], &["--listen", "nowhere"], &["--nick", "a b"], &["--wait", "soon"]]
    {
        let (code, stderr) = run(args, None);
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(!stderr.is_empty(), "{args:?} is explained");
    }
}

#[test]
fn code_2_is_a_pipe_with_nobody_to_say_it_to() {
    let (code, stderr) = run(&[], Some("hello\n"));
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("PEER"), "it says what is missing: {stderr}");
}

#[test]
fn code_2_is_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("open.key");
    std::fs::write(&key, "00".repeat(32)).expect("a file");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).expect("permissions");
    let mut command = crate::support::with_identity("tester");
    command.arg("--identity").arg(&key);
    let mut node = Node::start("tester", command, Stdio::null());
    assert_eq!(node.exit_code(), 2, "{}", node.told());
    assert!(node.stderr().contains("chmod 600"), "{}", node.stderr());
}

#[test]
fn code_3_is_nobody_there() {
    let addr = free_addr();
    let (code, stderr) = run(&["--wait", "1", &addr], Some("hello\n"));
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains(&addr) && stderr.contains("refused"), "{stderr}");
}

#[test]
fn code_3_is_a_name_that_cannot_be_resolved() {
    // No label of a name is that long, so no server is asked.
    let name = format!("{}.invalid:4646", "x".repeat(64));
    let (code, stderr) = run(&["--wait", "1", &name], Some("hello\n"));
    assert_eq!(code, 3, "{stderr}");
    assert!(stderr.contains("resolve") && stderr.contains(&name), "{stderr}");
}

#[test]
fn code_4_is_a_member_that_never_confirms_and_stderr_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound socket has an address").to_string();
    let (over, is_over) = mpsc::channel::<()>();
    let mute = thread::spawn(move || {
        let mut wire = Wire::accept(&listener, "mute");
        wire.greet_dialler();
        wire.send_post(1, &Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None });
        // It stays, and says nothing more.
        let _ = is_over.recv();
    });
    let (code, stderr) = run(&["--plaintext", "--linger", "1", &addr], Some("hello\n"));
    drop(over);
    mute.join().expect("the peer that the test plays does not fail");
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("not confirmed by mute"), "{stderr}");
}

#[test]
fn code_4_is_a_member_that_is_killed_before_it_confirms() {
    let relay = chatting("relay", &[]);
    let addr = relay.addr();
    let mut bob = undialable("bob", &[&addr]);
    relay.wait_for_all(&["bob"]);
    let mut command = hobnob("pipe");
    command.args(["--linger", "60", &addr]);
    let mut pipe = Node::start("pipe", command, Stdio::piped());
    pipe.wait_for_all(&["relay", "bob"]);
    bob.wait_for_all(&["pipe"]);
    bob.signal(Signal::SIGSTOP);
    pipe.say("hello");
    pipe.end_input();
    relay.wait_for_said("pipe", &["hello".to_owned()]);
    bob.kill();
    assert_eq!(pipe.exit_code(), 4, "{}", pipe.told());
    let error = pipe.wait_for("error", |event| event["event"] == "error");
    assert_eq!(error["missing"][0]["nick"], "bob", "{error}");
    assert_eq!(error["missing"].as_array().map(Vec::len), Some(1), "the relay has confirmed: {error}");
}

#[test]
fn code_5_is_being_refused_by_every_peer() {
    let alice = chatting("alice", &["--room", "here"]);
    let bob = chatting("bob", &["--room", "here"]);
    let (code, stderr) = run(&["--room", "there", &alice.addr(), &bob.addr()], Some("hello\n"));
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("is in another room, or its room has another secret"), "{stderr}");
    assert_eq!(alice.events().len(), 1, "nothing but `listening`: {}", alice.told());
}

#[test]
fn code_5_in_the_clear_names_both_rooms() {
    let alice = chatting("alice", &["--room", "here", "--plaintext"]);
    let (code, stderr) = run(&["--room", "there", "--plaintext", &alice.addr()], Some("hello\n"));
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("\"here\"") && stderr.contains("\"there\""), "both rooms are named: {stderr}");
}

#[test]
fn code_5_is_plaintext_on_one_side_only() {
    let open = chatting("open", &["--plaintext"]);
    let closed = chatting("closed", &[]);
    for args in [[open.addr()].as_slice(), &["--plaintext".to_owned(), closed.addr()]] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, stderr) = run(&args, Some("hello\n"));
        assert_eq!(code, 5, "{stderr}");
        assert!(stderr.contains("only one of the two uses --plaintext"), "{stderr}");
    }
}

#[test]
fn a_room_that_one_peer_is_in_is_enough() {
    let alice = chatting("alice", &["--room", "here"]);
    let bob = chatting("bob", &["--room", "there"]);
    let (code, stderr) = run(&["--room", "there", &alice.addr(), &bob.addr()], Some("hello\n"));
    assert_eq!(code, 0, "{stderr}");
    bob.wait_for_said("tester", &["hello".to_owned()]);
}

#[test]
fn a_node_told_to_dial_itself_says_so_once_and_goes_on() {
    let addr = free_addr();
    let mut command = hobnob("alice");
    command.args(["--listen", &addr, &addr]);
    let alice = Node::start("alice", command, Stdio::piped());
    let is_self = |event: &serde_json::Value| {
        event["event"] == "warning" && event["text"].as_str().is_some_and(|text| text.contains("this very node"))
    };
    alice.wait_for("the warning", is_self);
    let mut bob = undialable("bob", &[&addr]);
    bob.wait_for_all(&["alice"]);
    bob.say("hello");
    alice.wait_for_said("bob", &["hello".to_owned()]);
    let warnings = alice.finish().into_iter().filter(is_self).count();
    assert_eq!(warnings, 1, "it is told once");
}

/// Whoever read for half a second nothing lacked the rest, and the code was 1.
#[test]
fn a_run_waits_at_its_end_for_whoever_reads_its_stdout() {
    let mut alice = chatting("alice", &[]);
    let _bob = chatting("bob", &[&alice.addr()]);
    alice.wait_for_all(&["bob"]);
    let said: Vec<String> = (0..300).map(|number| format!("{number} {}", "x".repeat(1_000))).collect();
    alice.say_all(&said);
    let mut command = hobnob("pipe");
    command.args(["--backlog", "300", &alice.addr()]);
    let (mut pipe, mut stdout) = Node::start_raw("pipe", command, Stdio::piped());
    pipe.say("hello");
    pipe.end_input();
    alice.wait_for_said("pipe", &["hello".to_owned()]);
    alice.wait_for_member("left", "pipe");
    thread::sleep(Duration::from_secs(1));
    let mut shown = String::new();
    stdout.read_to_string(&mut shown).expect("JSON lines");
    assert!(shown.len() > 300_000 && shown.contains(&format!("299 {}", "x".repeat(1_000))), "{} bytes", shown.len());
    assert_eq!(pipe.exit_code(), 0);
}

#[test]
fn a_signal_ends_a_run_whose_stdout_nobody_reads() {
    let mut alice = chatting("alice", &[]);
    let mut command = hobnob("stalled");
    command.args(["--no-listen", "--stay", &alice.addr()]);
    let (mut stalled, stdout) = Node::start_raw("stalled", command, Stdio::null());
    alice.wait_for_all(&["stalled"]);
    let said: Vec<String> = (0..300).map(|number| format!("{number} {}", "x".repeat(1_000))).collect();
    alice.say_all(&said);
    alice.wait_for_said("alice", &said);
    stalled.signal(Signal::SIGTERM);
    alice.wait_for_member("left", "stalled");
    assert_eq!(stalled.exit_code(), 130, "it was cut short");
    drop(stdout);
}

#[test]
fn text_is_said_though_nobody_reads_stdout_any_more() {
    let alice = chatting("alice", &[]);
    let mut command = hobnob("pipe");
    command.arg(alice.addr());
    let (mut pipe, stdout) = Node::start_raw("pipe", command, Stdio::piped());
    drop(stdout);
    alice.wait_for_all(&["pipe"]);
    pipe.say("one");
    alice.wait_for_said("pipe", &["one".to_owned()]);
    pipe.say("two");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0);
    alice.wait_for_said("pipe", &["one".to_owned(), "two".to_owned()]);
}

#[test]
fn a_run_under_nohup_outlives_its_terminal() {
    let mut alice = chatting("alice", &[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_hobnob")]);
    command.args(["--ephemeral", "--json", "--nick", "relay", "--no-listen", &alice.addr()]);
    command.env_remove("RUST_LOG").env("XDG_DATA_HOME", crate::support::NO_FOLDER);
    let mut relay = Node::start("relay", command, Stdio::null());
    alice.wait_for_all(&["relay"]);
    relay.signal(Signal::SIGHUP);
    alice.say("still there?");
    relay.wait_for_said("alice", &["still there?".to_owned()]);
    relay.signal(Signal::SIGTERM);
    assert_eq!(relay.exit_code(), 0);
}
