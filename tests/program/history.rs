//! Promise: what was said in a room outlives its members. Each post is kept once, in lines that a kill or a full disk
//! does not break; a run that comes back has its room again, is shown nothing twice, and a disk that is full, read-only
//! or somebody else's costs one warning and nobody the chat. Checked with runs that share a folder, on their files.
//!
//! Kills come at moments drawn from a seed; `HOBNOB_SLOW=1` makes two hundred of them. The small disk is a tmpfs in a
//! mount namespace of its own: where `unshare` cannot make one the test says so on stderr, and fails where `CI` is `true`.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::wire::{Heard, Wire};
use crate::support::{Node, PATIENCE, chatting, lines_of, said_by, undialable, with_history};
use hobnob::limits::HISTORY_SYNC_MS;
use hobnob::room::rng::Rng;
use hobnob::wire::frame::MESSAGE_END;
use hobnob::wire::record::{Body, Control, Domain, Draft, FeedId, Post};
use serde_json::Value;

/// Somebody who keeps a history below a folder, and a key there.
struct Keeper {
    folder: tempfile::TempDir,
    nick: &'static str,
}

impl Keeper {
    fn new(nick: &'static str) -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), nick }
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("state/hobnob/history")
    }

    /// A run that stays.
    fn run(&self, args: &[&str]) -> Node {
        let mut command = self.command();
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        let node = Node::start(self.nick, command, Stdio::piped());
        node.addr();
        node
    }

    fn command(&self) -> Command {
        let mut command = with_history(self.nick);
        command.arg("--identity").arg(self.folder.path().join("key"));
        for (variable, folder) in [("XDG_STATE_HOME", "state"), ("XDG_DATA_HOME", "data")] {
            command.env(variable, self.folder.path().join(folder));
        }
        command
    }

    /// The folders of rooms.
    fn rooms(&self) -> Vec<PathBuf> {
        entries(&self.base())
    }

    /// The one folder of the one room.
    fn room(&self) -> PathBuf {
        let rooms = self.rooms();
        assert_eq!(rooms.len(), 1, "{rooms:?}");
        rooms[0].clone()
    }

    /// The one file of posts in it.
    fn file(&self) -> PathBuf {
        let is_month = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl");
        let files: Vec<PathBuf> = entries(&self.room()).into_iter().filter(is_month).collect();
        assert_eq!(files.len(), 1, "a test that runs over the end of a month is run again: {files:?}");
        files[0].clone()
    }

    /// The one with the peers.
    fn peers(&self) -> PathBuf {
        self.room().join("peers")
    }

    /// Waits until it names an address.
    fn wait_for_peer(&self, addr: &str) {
        let is_there = || fs::read_to_string(self.peers()).is_ok_and(|text| text.contains(&format!("{addr:?}")));
        wait_for("the address of a peer", is_there);
    }

    /// A run that accepts peers where an earlier one did, and is told of nobody.
    fn run_again(&self, addr: &str) -> Node {
        let mut command = self.command();
        command.args(["--listen", addr]);
        let node = Node::start(self.nick, command, Stdio::piped());
        assert_eq!(node.addr(), addr);
        node
    }

    /// What it holds, as far as it is written.
    fn whole_lines(&self) -> Vec<u8> {
        let bytes = self.bytes();
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
        bytes[..end].to_vec()
    }

    /// What it holds.
    fn bytes(&self) -> Vec<u8> {
        fs::read(self.file()).expect("the history can be read")
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a folder can be listed").path()).collect()
}

/// All posts of whole lines; each is checked to be as its author signed it.
fn posts(bytes: &[u8]) -> Vec<Post> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "a torn line at the end");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line: &[u8]| {
        let post = Post::decode(&[line, MESSAGE_END].concat()).expect("each line is a post");
        post.verify(&Domain::of_room("lobby")).expect("as its author signed it");
        post
    };
    lines.map(read).collect()
}

/// The numbers of each feed, in the order of the file.
fn numbers(posts: &[Post]) -> BTreeMap<FeedId, Vec<u64>> {
    let mut numbers: BTreeMap<FeedId, Vec<u64>> = BTreeMap::new();
    for post in posts {
        numbers.entry(post.feed).or_default().push(post.number);
    }
    numbers
}

/// The lines that a member said, as they are kept.
fn kept_lines(bytes: &[u8], nick: &str) -> Vec<String> {
    let said = posts(bytes).into_iter().filter(|post| post.nick.as_str() == nick);
    let said = said.filter(|post| matches!(post.body, Body::Say { .. }));
    said.flat_map(|post| post.text().lines().map(ToOwned::to_owned).collect::<Vec<_>>()).collect()
}

/// Waits until a file's bytes are as wanted.
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn backlog_of(events: &[Value]) -> Vec<&Value> {
    events.iter().filter(|event| event["event"] == "say" && event["backlog"] == true).collect()
}

#[test]
fn a_room_of_which_all_members_have_gone_still_has_its_history() {
    let (alice, bob) = (Keeper::new("alice"), Keeper::new("bob"));
    let (said, answered) = (lines_of("alice", 0..5), lines_of("bob", 0..5));
    {
        let mut one = alice.run(&[]);
        let mut other = bob.run(&[&one.addr()]);
        one.wait_for_all(&["bob"]);
        other.wait_for_all(&["alice"]);
        one.say_all(&said);
        other.wait_for_said("alice", &said);
        other.say_all(&answered);
        one.wait_for_said("bob", &answered);
        drop(other.finish());
        drop(one.finish());
    }
    let one = alice.run(&[]);
    let newcomer = undialable("carol", &[&one.addr()]);
    newcomer.wait_for_said("alice", &said);
    newcomer.wait_for_said("bob", &answered);
    let events = one.finish();
    assert!(backlog_of(&events).len() >= 2, "{events:?}");
    for event in events.iter().filter(|event| event["event"] == "say") {
        assert_eq!(event["backlog"], true, "nothing is shown as new: {event}");
    }
    assert_eq!((said_by(&events, "alice"), said_by(&events, "bob")), (said, answered));
    for (feed, numbers) in numbers(&posts(&alice.bytes())) {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{feed:?}: each post once: {numbers:?}");
    }
}

#[test]
fn a_room_of_which_all_were_killed_finds_itself_again_without_being_told_where() {
    let (alice, bob) = (Keeper::new("alice"), Keeper::new("bob"));
    let (said, answered) = (lines_of("alice", 0..5), lines_of("bob", 0..5));
    let [first, second] = {
        let mut one = alice.run(&[]);
        let mut other = bob.run(&[&one.addr()]);
        one.say_all(&said);
        other.wait_for_said("alice", &said);
        other.say_all(&answered);
        one.wait_for_said("bob", &answered);
        alice.wait_for_peer(&other.addr());
        bob.wait_for_peer(&one.addr());
        for (keeper, lines, author) in [(&alice, &answered, "bob"), (&bob, &said, "alice")] {
            wait_for("the lines on the disk", || kept_lines(&keeper.whole_lines(), author) == *lines);
        }
        let addresses = [one.addr(), other.addr()];
        one.kill();
        other.kill();
        addresses
    };
    assert_eq!(fs::metadata(alice.peers()).expect("it was made").permissions().mode() & 0o777, 0o600);
    // Somebody who is nowhere any more, and was the last one that there was a link with.
    let gone = format!("{{\"id\":\"{}\",\"addr\":\"127.0.0.1:1\"}}\n", "ab".repeat(32));
    for keeper in [&alice, &bob] {
        let known = fs::read_to_string(keeper.peers()).expect("a file of peers");
        fs::write(keeper.peers(), format!("{gone}{known}")).expect("the file is ours");
    }
    let mut one = alice.run_again(&first);
    let mut other = bob.run_again(&second);
    one.wait_for_all(&["bob"]);
    other.wait_for_all(&["alice"]);
    one.say("again");
    other.wait_for_said("alice", &[said.clone(), vec!["again".to_owned()]].concat());
    other.say("here, too");
    one.wait_for_said("bob", &[answered.clone(), vec!["here, too".to_owned()]].concat());
    for node in [one, other] {
        assert_eq!(node.stderr(), "", "nobody is warned of anything");
        let events = node.finish();
        assert_eq!((said_by(&events, "alice").len(), said_by(&events, "bob").len()), (6, 6));
    }
}

#[test]
fn of_a_damaged_file_of_peers_the_good_lines_count_and_one_word_is_said() {
    let (alice, mut bob) = (Keeper::new("alice"), chatting("bob", &[]));
    let addr = bob.addr();
    let first = alice.run(&[&addr]);
    first.wait_for_all(&["bob"]);
    // Written at the end, if not before.
    drop(first.finish());
    let good = fs::read_to_string(alice.peers()).expect("a file of peers");
    assert!(good.contains(&addr), "{good}");
    let damaged = format!("not a line\n{{\"id\":\"12\",\"addr\":\"{addr}\"}}\n\n{good}{}", &good[..good.len() / 2]);
    fs::write(alice.peers(), damaged).expect("the file is ours");
    let again = alice.run(&[]);
    again.wait_for_all(&["bob"]);
    again.wait_for_stderr_times("3 damaged lines in", 1);
    assert_eq!(again.stderr().lines().count(), 1, "{}", again.stderr());
    drop(again.finish());
    // One that is no file at all.
    fs::remove_file(alice.peers()).expect("the file is ours");
    fs::create_dir(alice.peers()).expect("the folder is ours");
    let again = alice.run(&[&addr]);
    bob.say("hello");
    again.wait_for_said("bob", &["hello".to_owned()]);
    again.wait_for_stderr_times("the peers known from before cannot be read", 1);
    drop(again.finish());
}

#[test]
fn what_was_missed_comes_once_and_nothing_comes_twice() {
    let keeper = Keeper::new("alice");
    let mut bob = chatting("bob", &[]);
    let [before, away, after] = [0..3, 3..6, 6..9].map(|range| lines_of("bob", range));
    let alice = keeper.run(&[&bob.addr()]);
    bob.wait_for_all(&["alice"]);
    bob.say_all(&before);
    alice.wait_for_said("bob", &before);
    drop(alice.finish());
    bob.wait_for_member("left", "alice");
    // Without anybody who hears it a pipe is not read.
    let carol = undialable("carol", &[&bob.addr()]);
    bob.say_all(&away);
    carol.wait_until("the lines", |events| said_by(events, "bob").ends_with(&away).then_some(()));
    let alice = keeper.run(&[&bob.addr()]);
    let all = [before, away].concat();
    alice.wait_for_said("bob", &all);
    bob.say_all(&after);
    let all = [all, after].concat();
    alice.wait_for_said("bob", &all);
    let events = alice.finish();
    let new: Vec<&Value> = events.iter().filter(|event| event["event"] == "say" && event["backlog"] == false).collect();
    assert!(new.iter().all(|event| !event["text"].as_str().unwrap_or_default().contains("bob 5")), "{new:?}");
    let recovered: Vec<&Value> = events.iter().filter(|event| event["event"] == "recovered").collect();
    assert_eq!(recovered.len(), 1, "{recovered:?}");
    assert_eq!(recovered[0]["count"], 1, "bob's three lines were one message");
    assert_eq!(kept_lines(&keeper.bytes(), "bob"), all);
}

#[test]
fn a_history_belongs_to_its_owner_and_to_one_room_and_its_secret() {
    let keeper = Keeper::new("alice");
    drop(keeper.run(&[]).finish());
    let mode = |path: &Path| fs::metadata(path).expect("it was made").permissions().mode() & 0o777;
    assert_eq!((mode(&keeper.base()), mode(&keeper.room()), mode(&keeper.file())), (0o700, 0o700, 0o600));
    let name = keeper.room().file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.starts_with("lobby-"), "{name}");
    let key = keeper.folder.path().join("room.key");
    fs::write(&key, "drei \u{fc}ble Koeche ohne Ei").expect("a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let key = key.to_string_lossy();
    drop(keeper.run(&["--room-key-file", &key]).finish());
    drop(keeper.run(&["--room", "../etc"]).finish());
    let rooms = keeper.rooms();
    assert_eq!(rooms.len(), 3, "{rooms:?}");
    assert!(rooms.iter().all(|room| room.parent() == Some(&keeper.base())));
}

#[test]
fn a_run_without_history_leaves_none_and_a_folder_can_be_named() {
    let keeper = Keeper::new("alice");
    drop(keeper.run(&["--no-history"]).finish());
    assert!(keeper.rooms().is_empty());
    let named = keeper.folder.path().join("named");
    drop(keeper.run(&["--history", &named.to_string_lossy()]).finish());
    assert!(keeper.rooms().is_empty());
    assert_eq!(entries(&named).len(), 1);
}

#[test]
fn a_second_run_of_the_same_identity_does_not_write_and_says_so_once() {
    let keeper = Keeper::new("alice");
    let first = keeper.run(&[]);
    wait_for("the first run's join", || {
        let files = keeper.rooms().first().map(|room| entries(room)).unwrap_or_default();
        files.first().is_some_and(|file| fs::metadata(file).is_ok_and(|about| about.len() > 0))
    });
    let mut second = keeper.run(&[&first.addr()]);
    second.say("from the second");
    first.wait_for_said("alice", &["from the second".to_owned()]);
    second.wait_for_stderr_times("another run", 1);
    assert!(!first.stderr().contains("history"), "{}", first.stderr());
    drop(second.finish());
    drop(first.finish());
    assert_eq!(kept_lines(&keeper.bytes(), "alice"), ["from the second"]);
    for (feed, numbers) in numbers(&posts(&keeper.bytes())) {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{feed:?} {numbers:?}");
    }
}

/// A history with some lines of alice's, and how they were said.
fn with_lines(count: usize) -> (Keeper, Vec<String>) {
    let keeper = Keeper::new("alice");
    let mut alice = keeper.run(&["--stay"]);
    let bob = undialable("bob", &[&alice.addr()]);
    alice.wait_for_all(&["bob"]);
    let lines = lines_of("alice", 0..count);
    for line in &lines {
        alice.say(line);
        bob.wait_until("the line", |events| said_by(events, "alice").contains(line).then_some(()));
    }
    drop(bob.finish());
    drop(alice.finish());
    (keeper, lines)
}

#[test]
fn a_torn_last_line_is_cut_off_with_a_word_and_costs_no_other() {
    let (keeper, lines) = with_lines(3);
    let whole = keeper.bytes();
    for torn in [&whole[..whole.len() / 3], b"{", &[0; 5_000], &whole[..whole.len() - 1]] {
        let torn = torn.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        fs::write(keeper.file(), [whole.as_slice(), torn].concat()).expect("the file is ours");
        let alice = keeper.run(&[]);
        alice.wait_for_said("alice", &lines);
        alice.wait_for_stderr_times("was not complete, and was cut off", 1);
        drop(alice.finish());
        assert!(keeper.bytes().starts_with(&whole), "no earlier line is lost");
        posts(&keeper.bytes());
    }
    let alice = keeper.run(&[]);
    alice.wait_for_said("alice", &lines);
    assert_eq!(alice.stderr(), "", "after that the start is clean");
}

#[test]
fn damaged_lines_are_counted_and_skipped() {
    let (keeper, lines) = with_lines(4);
    let text = String::from_utf8(keeper.bytes()).expect("JSON is text");
    let forged = text.replace("alice 1", "alice 7");
    assert_ne!(text, forged);
    let damaged = format!("not a line\n\n{}{forged}{{\"frame\":\"{{}}\"}}\n", "x".repeat(1_000_000) + "\n");
    fs::write(keeper.file(), damaged).expect("the file is ours");
    let alice = keeper.run(&[]);
    let left = [&lines[..1], &lines[2..]].concat();
    alice.wait_for_said("alice", &left);
    alice.wait_for_stderr("history: 5 damaged lines");
    drop(alice.finish());
    assert!(keeper.bytes().starts_with(b"not a line\n"), "they stay for their owner to look at");
}

/// JSON may have newlines between its tokens, and nobody may touch what is signed.
#[test]
fn a_post_with_newlines_in_it_is_one_line_and_comes_back_as_it_was() {
    let keeper = Keeper::new("alice");
    let alice = keeper.run(&[]);
    let mut eve = Wire::dial_encrypted(&alice.addr(), "eve");
    eve.greet();
    eve.send_post(1, &Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None });
    let plain = eve.post(2, &Draft::Say { text: "odd", action: false, part: false });
    let text = String::from_utf8(plain.frame.to_vec()).expect("JSON is text");
    let (unsigned, _) = text.split_once(r#","sig":"#).expect("a post is signed");
    let unsigned = unsigned.replace(r#","body":"#, ",\n\t\"body\" :\n");
    let hash = blake3::hash([b"hobnob post 1 lobby\n", unsigned.as_bytes()].concat().as_slice());
    let signature = hex::encode(Wire::identity_of("eve").sign(hash.as_bytes()));
    let odd = format!(r#"{unsigned},"sig":"{signature}"}}"#);
    eve.write(&[odd.as_bytes(), MESSAGE_END].concat());
    alice.wait_for_said("eve", &["odd".to_owned()]);
    drop(alice.finish());
    for line in String::from_utf8(keeper.bytes()).expect("text").lines() {
        drop(serde_json::from_str::<Value>(line).expect("each line is JSON"));
    }
    let again = keeper.run(&[]);
    again.wait_for_said("eve", &["odd".to_owned()]);
    let mut dora = Wire::dial_encrypted(&again.addr(), "dora");
    dora.greet();
    dora.send(&Control::Want { author: plain.feed.author, session: plain.feed.session, from: 1, answer: false });
    while let Some(heard) = dora.next() {
        if matches!(heard, Heard::Post(post) if &*post.frame == [odd.as_bytes(), MESSAGE_END].concat().as_slice()) {
            return;
        }
    }
    unreachable!("it is passed on as it was signed");
}

/// Whoever runs these as root may write anywhere.
#[test]
fn a_folder_that_cannot_be_made_is_one_warning_and_the_chat_goes_on() {
    let keeper = Keeper::new("alice");
    let mut bob = chatting("bob", &[]);
    let alice = keeper.run(&["--history", "/dev/null/none", &bob.addr()]);
    bob.wait_for_all(&["alice"]);
    for round in 0..3 {
        bob.say(&format!("bob {round}"));
        alice.wait_for_said("bob", &lines_of("bob", 0..round + 1));
    }
    alice.wait_for_stderr_times("the history cannot be kept", 1);
    assert_eq!(alice.stderr().lines().count(), 1, "{}", alice.stderr());
    drop(bob.finish());
}

/// `hobnob history` of that keeper: exit code, stdout and stderr.
fn history_of(keeper: &Keeper, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.arg("history").arg("--identity").arg(keeper.folder.path().join("key")).args(args);
    command.env("XDG_STATE_HOME", keeper.folder.path().join("state")).env("TZ", "UTC");
    for variable in ["RUST_LOG", "HOBNOB_ROOM_KEY", "HOBNOB_TICKET"] {
        command.env_remove(variable);
    }
    let output = command.stdin(Stdio::null()).output().expect("the program was built");
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
    (output.status.code(), stdout, stderr)
}

#[test]
fn the_history_command_tells_what_was_kept() {
    let (keeper, lines) = with_lines(5);
    let (code, told, stderr) = history_of(&keeper, &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let texts: Vec<&str> = told.lines().filter_map(|line| line.split_once(" alice: ")).map(|(_, text)| text).collect();
    assert_eq!(texts, lines, "{told}");
    let (moment, _) = told.split_once(" alice").expect("a time");
    assert!(moment.parse::<jiff::civil::DateTime>().is_ok(), "{moment}");
    let (_, told, _) = history_of(&keeper, &["--last", "2", "--json"]);
    let says: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(said_by(&says, "alice"), lines[3..]);
    assert!(says.iter().all(|say| say["mine"] == true && say["backlog"] == true), "{says:?}");
    assert!(history_of(&keeper, &["3", "ALICE"]).1.ends_with("alice: alice 3\n"), "words, in whatever case");
    assert_eq!(history_of(&keeper, &["--since", "1h"]).1.lines().count(), 5);
    assert_eq!(history_of(&keeper, &["nothing"]), (Some(0), String::new(), String::new()));
    let (code, told, stderr) = history_of(&keeper, &["--room", "garden"]);
    assert_eq!((code, told.as_str()), (Some(2), ""));
    assert!(stderr.contains("no history of the room garden"), "{stderr}");
    assert_eq!(history_of(&keeper, &["--since", "noon"]).0, Some(2));
}

#[test]
fn a_line_that_stands_twice_is_shown_once() {
    let (keeper, lines) = with_lines(5);
    let whole = fs::read_to_string(keeper.file()).expect("text");
    // As from a copy of the file behind another one, once in order and once not.
    let backwards = whole.lines().rev().fold(String::new(), |lines, line| lines + line + "\n");
    fs::write(keeper.file(), format!("{whole}{whole}{backwards}")).expect("our own file");
    let (code, told, _) = history_of(&keeper, &[]);
    let texts: Vec<&str> = told.lines().filter_map(|line| line.split_once(" alice: ")).map(|(_, text)| text).collect();
    assert_eq!((code, texts), (Some(0), lines.iter().map(String::as_str).collect()), "{told}");
    let last = history_of(&keeper, &["--last", "5"]).1;
    assert!(lines.iter().all(|line| last.matches(line.as_str()).count() == 1), "{last}");
    fs::write(keeper.file(), &backwards).expect("our own file");
    assert_eq!(history_of(&keeper, &[]).1.lines().count(), 5, "nor is one left out that stands elsewhere");
}

#[test]
fn a_nick_that_never_ran_here_is_told_to_have_no_history() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(["history", "--nick", "zoe"]).env("XDG_DATA_HOME", folder.path()).env("XDG_STATE_HOME", folder.path());
    let output = command.stdin(Stdio::null()).output().expect("the program was built");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("zoe has never run here"), "{output:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(["--nick", "zoe", "--commands", "--listen", "127.0.0.1:0"]);
    command.env("XDG_DATA_HOME", folder.path()).env("XDG_STATE_HOME", folder.path()).env_remove("RUST_LOG");
    let mut zoe = Node::start("zoe", command, Stdio::piped());
    zoe.say("/history");
    zoe.wait_for_stderr("zoe has seen no messages in this room yet");
    drop(zoe.finish());
}

#[test]
fn commands_look_back_beyond_this_run_and_into_the_moment_before() {
    let (keeper, lines) = with_lines(4);
    let mut alice = keeper.run(&["--commands", "--backlog", "0"]);
    let bob = undialable("bob", &[&alice.addr()]);
    alice.wait_for_all(&["bob"]);
    alice.say("just now");
    alice.wait_for_said("alice", &["just now".to_owned()]);
    alice.say_all(&["/history 3".to_owned(), "/search alice 2".to_owned(), "/history 1h".to_owned()]);
    let mut answers: Vec<Vec<String>> = alice.wait_until("three answers", |events| {
        let answers = events.iter().filter(|event| event["event"] == "history");
        let texts = |event: &Value| -> Vec<String> {
            let messages = event["messages"].as_array().expect("a list").iter();
            messages.map(|message| message["text"].as_str().expect("a text").to_owned()).collect()
        };
        let answers: Vec<_> = answers.map(texts).collect();
        (answers.len() == 3).then_some(answers)
    });
    let all = [lines.as_slice(), &["just now".to_owned()]].concat();
    let mut wanted = vec![all[2..].to_vec(), vec!["alice 2".to_owned()], all.clone()];
    // Each is looked for by a thread of its own.
    answers.sort();
    wanted.sort();
    assert_eq!(answers, wanted);
    drop(bob);
}

/// Without a history there is still what is in memory.
#[test]
fn commands_look_back_where_nothing_is_kept() {
    let mut bob = chatting("bob", &["--commands"]);
    let mut alice = undialable("alice", &[&bob.addr()]);
    bob.wait_for_all(&["alice"]);
    alice.say("hello");
    bob.wait_for_said("alice", &["hello".to_owned()]);
    bob.say("/search HELLO");
    let answer = bob.wait_for("the answer", |event| event["event"] == "history");
    assert_eq!(answer["messages"][0]["text"], "hello");
    bob.say("/history noon");
    bob.wait_for("a complaint", |event| event["event"] == "error");
}

/// What runs in a mount namespace of its own: a disk of a mebibyte, nearly full, until a line comes through the pipe; at the
/// end what is on it is copied out.
const SMALL_DISK: &str = r#"
mount -t tmpfs -o size=1m none "$1" || exit 77
head -c 800000 /dev/zero > "$1/filler"
(read -r _ < "$1.free"; rm "$1/filler") &
shift_to=$1; shift
"$@"
code=$?
cp -r "$shift_to" "$shift_to.copy"
exit $code
"#;

/// Whether this machine lets us mount something where nobody else sees it. A word where not.
fn can_mount() -> bool {
    let probe = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "mount", "-t", "tmpfs", "-o", "size=1m", "none"]).arg(probe.path());
    let why = match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("unshare: {error}"),
    };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI fills a disk, but: {why}");
    // Not by `eprintln!`, which is shown for failures only.
    let _ = writeln!(io::stderr(), "SKIPPED: no small disk can be mounted here: {why}");
    false
}

#[test]
fn a_full_disk_is_one_warning_and_what_came_meanwhile_is_kept_once_there_is_room() {
    if !can_mount() {
        return;
    }
    let keeper = Keeper::new("alice");
    let disk = keeper.folder.path().join("disk");
    let beside = |end: &str| PathBuf::from(format!("{}.{end}", disk.display()));
    fs::create_dir(&disk).expect("a folder");
    nix::unistd::mkfifo(&beside("free"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let mut bob = chatting("bob", &[]);
    let run = keeper.command();
    let mut command = Command::new("unshare");
    // Whoever kills the first process of a namespace kills all in it.
    command.args(["--mount", "--map-root-user", "--pid", "--fork", "--kill-child", "sh", "-c", SMALL_DISK, "sh"]);
    command.arg(&disk).arg(run.get_program()).args(run.get_args());
    command.args(["--no-listen", "--stay", "--commands", "--history"]).arg(&disk).arg(bob.addr());
    for (variable, value) in run.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    let mut alice = Node::start("alice", command, Stdio::piped());
    bob.wait_for_all(&["alice"]);
    let mut said = Vec::new();
    let mut chat = |count: usize| {
        // Each a message of its own.
        for _ in 0..count {
            said.push(format!("{} {}", said.len(), "x".repeat(40_000)));
            bob.say(&said[said.len() - 1]);
            alice.wait_until("the line", |events| (said_by(events, "bob").len() == said.len()).then_some(()));
        }
    };
    chat(10);
    alice.wait_for_stderr_times("the history cannot be kept", 1);
    chat(2);
    fs::write(beside("free"), "\n").expect("somebody reads it");
    alice.wait_for_stderr_times("the history is kept again", 1);
    assert_eq!(alice.stderr().matches("cannot be kept").count(), 1, "{}", alice.stderr());
    chat(30);
    alice.wait_for_stderr_times("the history cannot be kept", 2);
    chat(1);
    alice.say("/quit");
    assert_eq!(alice.exit_code(), 0);
    let stderr = alice.stderr();
    assert!(stderr.contains("messages are missing in the history"), "there is no room for all: {stderr}");
    let folder = entries(&beside("copy")).into_iter().find(|path| path.is_dir()).expect("the history");
    let month = entries(&folder).into_iter().find(|path| path.extension().is_some()).expect("a file of posts");
    let kept = fs::read(month).expect("the file");
    for (feed, numbers) in numbers(&posts(&kept)) {
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{feed:?}: none before the last: {numbers:?}");
    }
    let lines = kept_lines(&kept, "bob");
    assert!(lines.len() > 12 && said.starts_with(&lines), "{} lines are kept", lines.len());
}

/// How often a run is killed.
fn kills() -> usize {
    if std::env::var("HOBNOB_SLOW").as_deref() == Ok("1") { 200 } else { 25 }
}

#[test]
fn whenever_a_run_is_killed_no_line_is_broken_lost_or_kept_twice() {
    let keeper = Keeper::new("alice");
    let mut rng = Rng::new(4);
    let mut bob = chatting("bob", &["--backlog", "0"]);
    let addr = bob.addr();
    let mut stdin = bob.take_stdin();
    // He never stops: she is always in the middle of it, and what she missed while she was away comes at once.
    let talk = thread::spawn(move || {
        let mut number = 0_u64;
        while stdin.write_all(format!("line {number}\n").as_bytes()).is_ok() {
            number += 1;
            // His pace, and not a wait for something.
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut before = Vec::new();
    for kill in 0..kills() {
        let mut alice = keeper.run(&["--backlog", "0", &addr]);
        alice.wait_for("bob's lines", |event| event["event"] == "say" && event["from"]["nick"] == "bob");
        thread::sleep(Duration::from_millis(rng.below(2 * HISTORY_SYNC_MS / 10)));
        alice.kill();
        let stderr = alice.stderr();
        let quoted = stderr.lines().filter(|line| !line.contains("was not complete"));
        assert_eq!(quoted.count(), 0, "kill {kill}: {stderr}");
        let file = keeper.bytes();
        assert!(file.starts_with(&before), "kill {kill}: what was in the file stays as it was");
        let end = file.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
        posts(&file[before.len()..end]);
        before = file[..end].to_vec();
    }
    let alice = keeper.run(&["--backlog", "0", &addr]);
    alice.wait_for("bob's lines", |event| event["event"] == "say" && event["from"]["nick"] == "bob");
    drop(bob);
    drop(talk.join());
    drop(alice.finish());
    let kept = posts(&keeper.bytes());
    for (feed, numbers) in numbers(&kept) {
        let first = numbers[0];
        let count = numbers.len() as u64;
        assert!(numbers.iter().copied().eq(first..first + count), "{feed:?}: each once and in order: {numbers:?}");
    }
    let sessions = numbers(&kept).len();
    assert!(sessions > kills() / 2, "the runs were kept: {sessions}");
}
