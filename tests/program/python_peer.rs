//! Promise: `man/hobnob-protocol.7` is enough to write a peer. Checked with one in Python, `tests/peer`, which was
//! written from that page and has no code of ours: it chats with real hobnobs, encrypted and in the clear, and both
//! sides hear every line once and in order, what is whispered, too, acknowledge, find each other again and part with a
//! goodbye.
//!
//! It needs `python3` with its venv module and, the first time, `PyPI`. Where these are missing the tests say on stderr
//! that they were skipped; where `CI` is `true` they fail instead.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::support::{Node, chatting, count_of, hobnob, lines_of, piping, said_by, undialable};
use nix::sys::signal::Signal;
use serde_json::Value;

/// What one command of the set-up may take.
const SET_UP_SECS_MAX: &str = "180";

/// A room whose name is no plain word.
const ODD_ROOM: &str = "küche <3 \"eins\"";

/// The random key of the protocol page, and a passphrase that is no plain word.
const RANDOM_KEY: &str = "hobnobkey1aaqeaqkcincekrshjbeuus2mjvhe6ucrkjjvivkwk5mfsws3lrov4x4mqwswg";
const PASSPHRASE: &str = "drei \u{fc}ble K\u{f6}che mit Ei ";

/// The Python of a virtual environment that has what the peer needs, or why there is none.
static PYTHON: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| set_up().map_err(|error| error.to_string()));

/// Makes that environment, unless it is there with these very requirements. The lock keeps two test runs apart.
fn set_up() -> io::Result<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-peer");
    let (python, stamp) = (venv.join("bin/python"), venv.join("requirements.txt"));
    let requirements = peer_file("requirements.txt");
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR"))?;
    let lock = File::create(venv.with_extension("lock"))?;
    lock.lock()?;
    let works = Command::new(&python).arg("--version").output().is_ok_and(|output| output.status.success());
    if !works || fs::read(&stamp).ok() != Some(fs::read(&requirements)?) {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let pip = ["-m", "pip", "install", "--quiet", "--retries", "1", "--requirement"];
        run(Command::new(&python).args(pip).arg(&requirements))?;
        fs::copy(&requirements, &stamp)?;
    }
    Ok(python)
}

/// Runs a command of the set-up, for a bounded time.
fn run(command: &Command) -> io::Result<()> {
    let mut bounded = Command::new("timeout");
    bounded.arg(SET_UP_SECS_MAX).arg(command.get_program()).args(command.get_args());
    let output = bounded.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let told = [output.stdout, output.stderr].concat();
    Err(io::Error::other(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&told).trim())))
}

fn peer_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer").join(name)
}

/// Whether the peer can run here. A word where not.
fn can_run() -> bool {
    let Err(why) = &*PYTHON else { return true };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI runs the peer in Python, but: {why}");
    // Not by `eprintln!`, which is shown for failures only.
    let last = why.lines().next_back().unwrap_or_default();
    let _ = writeln!(io::stderr(), "SKIPPED: the peer in Python does not run here: {last}");
    false
}

/// The peer in Python, called pia. It is watched like a hobnob: it tells what happens in the same words.
fn pia(args: &[&str]) -> Node {
    let python = PYTHON.as_ref().expect("the test has asked whether it can run");
    let mut command = Command::new(python);
    command.arg("-B").arg(peer_file("peer.py")).args(["--nick", "pia"]).args(args);
    Node::start("pia", command, Stdio::piped())
}

/// A file with a room key, for its owner alone.
fn key_file(folder: &Path, key: &str) -> String {
    // hobnob looks for secrets in its arguments, so this one may not be its own file's name.
    let path = folder.join(format!("{}.key", key.len()));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path).expect("a new file");
    writeln!(file, "{key}").expect("a file takes a line");
    path.to_str().expect("a path in UTF-8").to_owned()
}

fn wait_for_event(node: &Node, name: &str) -> Value {
    node.wait_for(name, |event| event["event"] == name)
}

/// Two hobnobs and pia chat; each hears all of the others, and pia's goodbye.
fn all_hear_all(args: &[&str]) {
    let before = lines_of("before", 0..20);
    let after = lines_of("after", 0..20);
    let mut node = chatting("node", args);
    let addr = node.addr();
    let mut bob = undialable("bob", &[args, &[&addr]].concat());
    node.say_all(&before);
    bob.say_all(&before);
    node.wait_for_said("bob", &before);

    let mut pia = pia(&[args, &[&addr]].concat());
    wait_for_event(&pia, "ready");
    for nick in ["node", "bob"] {
        pia.wait_for_said(nick, &before);
    }
    pia.say_all(&["<MSGENCD> \"quoted\" \u{1f4a1}".to_owned(), String::new(), "third".to_owned()]);
    let said = said_by_pia(&["<MSGENCD> \"quoted\" \u{1f4a1}", "", "third"]);
    for one in [&node, &bob] {
        one.wait_for_said("pia", &said);
    }
    node.say_all(&after);
    bob.say_all(&after);
    for nick in ["node", "bob"] {
        pia.wait_for_said(nick, &[&*before, &after].concat());
    }

    pia.end_input();
    assert_eq!(pia.exit_code(), 0, "{}", pia.told());
    assert_eq!(wait_for_event(&pia, "delivered")["posts"], 1);
    for one in [bob, node] {
        one.wait_for_member("left", "pia");
        let events = one.finish();
        assert_eq!(said_by(&events, "pia"), said);
        assert_eq!([count_of(&events, "joined", "pia"), count_of(&events, "left", "pia")], [1, 1]);
        nobody_is_missed(&events);
    }
    nobody_is_missed(&pia.events());
}

fn said_by_pia(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

fn nobody_is_missed(events: &[Value]) {
    let trouble = events.iter().find(|event| event["event"] == "lost" || event["event"] == "gap");
    assert_eq!(trouble, None, "{events:?}");
}

#[test]
fn a_peer_in_python_chats_in_an_encrypted_room() {
    if can_run() {
        all_hear_all(&[]);
    }
}

#[test]
fn a_peer_in_python_chats_in_a_room_with_an_odd_name() {
    if can_run() {
        all_hear_all(&["--room", ODD_ROOM]);
    }
}

#[test]
fn a_peer_in_python_chats_in_the_clear() {
    if can_run() {
        all_hear_all(&["--plaintext"]);
    }
}

#[test]
fn a_peer_in_python_chats_in_rooms_with_a_secret() {
    if can_run() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for key in [RANDOM_KEY, PASSPHRASE] {
            all_hear_all(&["--room", ODD_ROOM, "--room-key-file", &key_file(folder.path(), key)]);
        }
    }
}

#[test]
fn a_pipe_is_confirmed_once_the_peer_in_python_acknowledges() {
    if !can_run() {
        return;
    }
    let node = chatting("node", &[]);
    let pia = pia(&[&node.addr()]);
    node.wait_for_member("joined", "pia");

    let mut heard = piping("heard", &[&node.addr()]);
    heard.say_all(&lines_of("heard", 0..100));
    heard.end_input();
    assert_eq!(heard.exit_code(), 0, "{}", heard.told());
    assert_eq!(wait_for_event(&heard, "delivered")["members"], 2, "the node and pia");
    pia.wait_for_said("heard", &lines_of("heard", 0..100));

    pia.signal(Signal::SIGSTOP);
    let mut unheard = piping("unheard", &["--linger", "1", &node.addr()]);
    unheard.say("anybody?");
    unheard.end_input();
    assert_eq!(unheard.exit_code(), 4, "{}", unheard.told());
    let missing = wait_for_event(&unheard, "error")["missing"].clone();
    assert_eq!([&missing[0]["nick"], &missing[1]], [&Value::from("pia"), &Value::Null], "{}", unheard.told());

    pia.signal(Signal::SIGCONT);
    pia.wait_for_said("unheard", &said_by_pia(&["anybody?"]));
}

/// What somebody was told in private by a nick, line by line.
fn whispered_by(events: &[Value], nick: &str) -> Vec<String> {
    let told = events.iter().filter(|event| event["event"] == "whisper" && event["from"]["nick"] == nick);
    told.flat_map(|event| event["text"].as_str().expect("a text").split('\n').map(str::to_owned)).collect()
}

#[test]
fn a_peer_in_python_is_whispered_to_and_whispers_back_through_a_node_that_hears_nothing() {
    if !can_run() {
        return;
    }
    let node = chatting("node", &[]);
    let addr = node.addr();
    let mut bob = undialable("bob", &["--commands", &addr]);
    let mut pia = pia(&["--to", "bob", &addr]);
    bob.wait_for_member("joined", "pia");

    bob.say("/msg pia for your eyes: <MSGENCD> \u{1f4a1}");
    let told = said_by_pia(&["for your eyes: <MSGENCD> \u{1f4a1}"]);
    pia.wait_for("the whisper", |event| event["event"] == "whisper" && event["text"] == told[0]);
    let delivered = wait_for_event(&bob, "delivered");
    assert_eq!(delivered["to"]["nick"], "pia");
    bob.say("/ping pia");
    assert!(wait_for_event(&bob, "pong")["ms"].is_u64(), "{}", bob.told());
    bob.say("/trace pia");
    let trace = wait_for_event(&bob, "trace");
    assert_eq!([&trace["hops"], &trace["path"][1]["nick"]], [&Value::from(2), &Value::from("node")], "{trace}");

    let lines = lines_of("pipe", 0..2_000);
    let mut pipe = piping("pipe", &["--to", "pia", &addr]);
    pipe.say_all(&lines);
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    assert_eq!(whispered_by(&pia.events(), "pipe"), lines, "all was shown before it was confirmed, once and in order");

    let long = "<\u{e9}\"x".repeat(10_000);
    let back = [lines_of("back", 0..500), vec![long]].concat();
    pia.say_all(&back);
    pia.end_input();
    assert_eq!(pia.exit_code(), 0, "{}", pia.told());
    assert_eq!(whispered_by(&pia.events(), "bob"), told);
    let heard = whispered_by(&bob.finish(), "pia").concat();
    assert_eq!(heard, back.concat(), "bob has shown it all");
    let overheard = node.finish().into_iter().find(|event| event["event"] == "whisper" || event["event"] == "say");
    assert_eq!(overheard, None);
}

#[test]
fn the_peer_in_python_is_told_who_did_not_acknowledge() {
    if !can_run() {
        return;
    }
    let node = chatting("node", &[]);
    let bob = undialable("bob", &[&node.addr()]);
    node.wait_for_member("joined", "bob");
    let mut pia = pia(&["--linger", "1", &node.addr()]);
    pia.wait_for_all(&["node", "bob"]);
    bob.signal(Signal::SIGSTOP);
    pia.say("bob?");
    pia.end_input();
    assert_eq!(pia.exit_code(), 4, "{}", pia.told());
    let bobs_id = pia.wait_for_member("joined", "bob")["member"]["id"].clone();
    assert_eq!(wait_for_event(&pia, "unconfirmed")["id"], bobs_id);
    bob.signal(Signal::SIGCONT);
    bob.wait_for_said("pia", &said_by_pia(&["bob?"]));
}

#[test]
fn long_texts_pass_both_ways_in_parts() {
    if !can_run() {
        return;
    }
    // Each needs more bytes encoded than a frame has, and all together more than a window.
    let lines: Vec<String> = (0..12).map(|number| format!("{number} {}", "<\u{e9}\"x".repeat(10_000))).collect();
    let node = chatting("node", &[]);
    let mut pia = pia(&[&node.addr()]);
    let mut pipe = piping("pipe", &[&node.addr()]);
    pipe.say_all(&lines);
    pipe.end_input();
    pia.wait_for_said("pipe", &lines);
    pia.say_all(&lines);
    pia.end_input();
    assert_eq!([pipe.exit_code(), pia.exit_code()], [0, 0], "{}\n{}", pipe.told(), pia.told());
    node.wait_for_said("pia", &lines);
}

#[test]
fn a_peer_in_python_whose_node_dies_tells_so_to_the_next_one_and_repeats_nothing() {
    if !can_run() {
        return;
    }
    let mut first = chatting("first", &[]);
    let addr = first.addr();
    let mut pia = pia(&[&addr]);
    pia.say("one");
    first.wait_for_said("pia", &said_by_pia(&["one"]));
    first.kill();

    let mut command = hobnob("second");
    command.args(["--listen", &addr]);
    let mut second = Node::start("second", command, Stdio::piped());
    second.say("here again");
    pia.wait_for_said("second", &said_by_pia(&["here again"]));
    pia.say("two");
    second.wait_for_said("pia", &said_by_pia(&["one", "two"]));
    // She was the only one to be linked to it, so nobody else can say so.
    pia.wait_for_member("lost", "first");
    second.wait_for_member("joined", "pia");
    pia.end_input();
    assert_eq!(pia.exit_code(), 0, "{}", pia.told());
    second.wait_for_member("left", "pia");
    assert_eq!(said_by(&second.finish(), "pia"), said_by_pia(&["one", "two"]));
}

/// A node with the first arguments refuses pia with the second, for this reason, and nobody hears of her.
fn is_refused(args: &[&str], pia_args: &[&str], reason: &str) {
    let node = chatting("node", args);
    let addr = node.addr();
    let mut pia = pia(&[pia_args, &[&addr]].concat());
    pia.say("let me in");
    pia.end_input();
    assert_eq!(pia.exit_code(), 5, "{}", pia.told());
    assert_eq!(wait_for_event(&pia, "unlinked")["reason"], reason, "{}", pia.told());
    assert!(!node.finish().iter().any(|event| event["event"] == "joined" || event["event"] == "say"));
}

#[test]
fn a_peer_in_python_is_refused_by_another_room() {
    if can_run() {
        is_refused(&["--room", "attic"], &["--room", "cellar"], "secret");
    }
}

#[test]
fn a_peer_in_python_is_refused_with_another_secret_or_none() {
    if can_run() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [key, other] = [RANDOM_KEY, PASSPHRASE].map(|key| key_file(folder.path(), key));
        is_refused(&["--room-key-file", &key], &["--room-key-file", &other], "secret");
        is_refused(&["--room-key-file", &key], &[], "secret");
        is_refused(&[], &["--room-key-file", &key], "secret");
    }
}

#[test]
fn a_peer_in_python_is_refused_by_another_room_in_the_clear() {
    if can_run() {
        is_refused(&["--plaintext", "--room", "attic"], &["--plaintext", "--room", "cellar"], "room");
    }
}

#[test]
fn a_peer_in_python_that_encrypts_is_refused_where_nobody_does_and_the_other_way_round() {
    if can_run() {
        is_refused(&["--plaintext"], &[], "plaintext");
        is_refused(&[], &["--plaintext"], "plaintext");
    }
}
