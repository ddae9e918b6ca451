//! Promise: a closed room that was joined once is found again by its name, with its key and its hosts, and never becomes an
//! open one by accident; what is remembered is private, and forgotten on request; the first word of the command
//! line means a command, a room or a host, and a mistyped command is none of these. Checked with real processes.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{NO_FOLDER, Node, PATIENCE, chatting, with_identity};
use clap::Parser;
use hobnob::access::{Access, Asking};
use hobnob::args::Args;
use hobnob::console::Choice;
use hobnob::identity::Id;
use hobnob::secret::RoomSecret;
use hobnob::ticket::{Host, Ticket};
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use serde_json::Value;
use tempfile::TempDir;

/// A home that remembers, and files that only we may read.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The file of remembered rooms.
    fn rooms(&self) -> PathBuf {
        self.path().join("hobnob/rooms")
    }

    fn private_file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        fs::write(&path, text).expect("our own folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
        path.to_str().expect("text").to_owned()
    }

    fn key(&self, byte: u8) -> String {
        self.private_file(&format!("{byte}.key"), &secret(byte).to_line())
    }

    /// A node with a pipe as stdin.
    fn start(&self, nick: &str, args: &[&str]) -> Node {
        let mut command = with_identity(nick);
        command.args(args).env("XDG_DATA_HOME", self.path());
        Node::start(nick, command, Stdio::piped())
    }

    /// One that stays, and nobody can dial it.
    fn listening(&self, nick: &str, args: &[&str]) -> Node {
        self.start(nick, &[&["--no-listen", "--stay", "--commands"], args].concat())
    }

    /// One that was there for a moment.
    fn visit(&self, args: &[&str]) -> (String, bool) {
        let mut bob = self.listening("bob", args);
        let place = place(&mut bob);
        bob.finish();
        place
    }

    /// A run that is over at once.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.args(args).env("XDG_DATA_HOME", self.path()).env("XDG_STATE_HOME", NO_FOLDER).env_remove("RUST_LOG");
        for variable in ["HOBNOB_ROOM_KEY", "HOBNOB_TICKET"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).output().expect("the program was built")
    }

    /// What `hobnob rooms --json` writes.
    fn remembered(&self) -> Vec<Value> {
        let output = self.run(&["rooms", "--json"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(!text.contains("hobnobkey"), "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

fn secret(byte: u8) -> RoomSecret {
    RoomSecret::from_bytes(&[byte; 32]).expect("32 bytes")
}

fn ticket_to(node: &Node, room: &str, secret: Option<RoomSecret>) -> Ticket {
    let addresses = vec![node.addr().parse().expect("an address")];
    let host = Host { id: Id::from_hex(node.id().as_bytes()).expect("an id"), addresses };
    Ticket { hosts: vec![host], room: room.to_owned(), secret }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether a node is in a closed room, and which.
fn place(node: &mut Node) -> (String, bool) {
    node.say("/status");
    let status = node.wait_for("the status", |event| event["event"] == "status");
    (status["room"].as_str().expect("a room").to_owned(), status["secret"] == true)
}

/// A home that was in the closed room tea, which alice hosts.
fn who_was_in_tea() -> (Home, Node) {
    let home = Home::new();
    let alice = chatting("alice", &["--room", "tea", "--room-key-file", &home.key(1)]);
    let ticket = home.private_file("ticket", &ticket_to(&alice, "tea", Some(secret(1))).to_line());
    let bob = home.listening("bob", &["--ticket", &ticket]);
    bob.wait_for_member("joined", "alice");
    bob.finish();
    fs::remove_file(ticket).expect("it was there");
    (home, alice)
}

#[test]
fn a_closed_room_that_was_joined_by_ticket_is_found_again_by_its_name() {
    let (home, alice) = who_was_in_tea();
    assert_eq!(fs::metadata(home.rooms()).expect("it was made").permissions().mode() & 0o777, 0o600);
    let remembered = home.remembered();
    let hosts = serde_json::json!([{ "addr": alice.addr(), "id": alice.id() }]);
    assert_eq!(remembered.len(), 1);
    assert_eq!((&remembered[0]["room"], &remembered[0]["closed"]), (&"tea".into(), &true.into()));
    assert_eq!(remembered[0]["hosts"], hosts);
    let ways: [&[&str]; 3] = [&["-r", "tea"], &["tea"], &["tea", "--ephemeral"]];
    for (number, args) in ways.into_iter().enumerate() {
        let mut bob = home.listening("bob", args);
        assert_eq!(place(&mut bob), ("tea".to_owned(), true), "{args:?}");
        bob.wait_for_links(&["alice"]);
        bob.say(&number.to_string());
        alice.wait_for_said("bob", &(0..=number).map(|number| number.to_string()).collect::<Vec<_>>());
        bob.finish();
    }
    let mut pipe = home.start("carol", &["tea"]);
    pipe.say("by a pipe");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    alice.wait_for_said("carol", &["by a pipe".to_owned()]);
    // Tickets and history are of that room, too.
    let ticket = home.run(&["ticket", "-n", "bob", "-r", "tea", "bob.example"]);
    assert!(ticket.stdout.starts_with(b"hobnobsecret1"), "{ticket:?}");
}

#[test]
fn an_open_room_of_that_name_is_had_on_request_only() {
    let (home, alice) = who_was_in_tea();
    assert_eq!(home.visit(&["--open", "-r", "tea"]), ("tea".to_owned(), false));
    // A ticket that holds no key could mean either.
    let open = ticket_to(&chatting("eve", &["--room", "tea"]), "tea", None).to_line();
    let output = home.run(&["--no-listen", &open]);
    assert!(output.status.code() == Some(2) && told(&output).contains("--open"), "{output:?}");
    // Through a host of the closed room it means that one.
    let mut bob = home.listening("bob", &[&ticket_to(&alice, "tea", None).to_line()]);
    assert_eq!(place(&mut bob), ("tea".to_owned(), true));
    bob.wait_for_links(&["alice"]);
    bob.finish();
    let output = home.run(&["-r", "tea", "--plaintext"]);
    assert!(output.status.code() == Some(2) && told(&output).contains("--plaintext"), "{output:?}");
}

#[test]
fn a_founder_has_its_room_remembered_at_once() {
    let home = Home::new();
    let mut alice = home.start("alice", &["-r", "tea", "--room-key-file", &home.key(1), "--listen", "127.0.0.1:0"]);
    alice.addr();
    // It is written by a thread.
    let deadline = std::time::Instant::now() + PATIENCE;
    while home.remembered().is_empty() {
        assert!(std::time::Instant::now() < deadline, "{}", alice.told());
    }
    alice.kill();
    assert_eq!(home.visit(&["-r", "tea"]), ("tea".to_owned(), true));
}

#[test]
fn a_mistyped_key_a_passing_run_and_an_ephemeral_one_leave_nothing() {
    let home = Home::new();
    let alice = chatting("alice", &["--room", "tea", "--room-key-file", &home.key(1)]);
    let eve = home.listening("eve", &["-r", "tea", "--room-key-file", &home.key(2), &alice.addr()]);
    eve.wait_for("a refusal", |event| event["event"] == "warning" || event["event"] == "unreached");
    eve.finish();
    let mut pipe = home.start("bob", &["-r", "tea", "--room-key-file", &home.key(1), &alice.addr()]);
    pipe.say("hello");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    let args = ["-r", "tea", "--ephemeral", "--room-key-file", &home.key(1), &alice.addr()];
    let nobody = home.listening("nobody", &args);
    nobody.wait_for_links(&["alice"]);
    nobody.finish();
    assert!(!home.rooms().exists());
    // Nor does one that gives no key.
    assert_eq!(home.visit(&["-r", "coffee"]), ("coffee".to_owned(), false));
    assert!(!home.rooms().exists());
}

#[test]
fn two_closed_rooms_of_one_name_are_told_apart() {
    let (home, alice) = who_was_in_tea();
    assert_eq!(home.visit(&["-r", "tea", "--room-key-file", &home.key(2)]), ("tea".to_owned(), true));
    let names: Vec<String> =
        home.remembered().iter().map(|room| room["name"].as_str().expect("a name").to_owned()).collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("tea#")), "{names:?}");
    for args in [&["-r", "tea"][..], &["tea"], &["rooms", "--forget", "tea"], &["history", "-r", "tea"]] {
        let output = home.run(args);
        let told = told(&output);
        assert!(
            output.status.code() == Some(2) && names.iter().all(|name| told.contains(name)),
            "{args:?}: {output:?}"
        );
    }
    let output = home.run(&["-r", "tea#0000"]);
    assert!(output.status.code() == Some(2) && told(&output).contains(&names[0]), "{output:?}");
    // The last one used stands first.
    let mut bob = home.listening("bob", &[&names[1]]);
    bob.wait_for_links(&["alice"]);
    assert_eq!(place(&mut bob), ("tea".to_owned(), true));
    bob.finish();
    drop(alice);
    assert!(home.run(&["rooms", "--forget", &names[0]]).status.success());
    let left = home.remembered();
    assert_eq!((left.len(), &left[0]["name"]), (1, &"tea".into()), "it needs no tag any more");
    assert_eq!(left[0]["hosts"].as_array().map(Vec::len), Some(1), "the right one is left");
    let list = home.run(&["rooms"]);
    assert!(list.stdout.starts_with(b"tea  closed  20"), "{list:?}");
    assert!(home.run(&["rooms", "--forget", "tea"]).status.success());
    let output = home.run(&["rooms", "--forget", "tea"]);
    assert!(output.status.code() == Some(2) && told(&output).contains("no room called tea"), "{output:?}");
}

#[test]
fn what_several_runs_remember_at_once_is_all_kept() {
    let home = Home::new();
    let key = home.key(1);
    let nodes: Vec<Node> = (0..6)
        .map(|number| home.listening("bob", &["-r", &format!("room {number}"), "--room-key-file", &key]))
        .collect();
    for mut node in nodes {
        place(&mut node);
        node.finish();
    }
    assert_eq!(home.remembered().len(), 6);
}

#[test]
fn a_file_that_cannot_be_used_is_told_and_what_is_damaged_stays() {
    let (home, _alice) = who_was_in_tea();
    let whole = fs::read_to_string(home.rooms()).expect("text");
    fs::write(home.rooms(), format!("no JSON\n{whole}")).expect("our own file");
    let output = home.run(&["rooms"]);
    assert!(output.status.success() && told(&output).contains("1 damaged"), "{output:?}");
    assert!(output.stdout.starts_with(b"tea"), "{output:?}");
    fs::set_permissions(home.rooms(), fs::Permissions::from_mode(0o644)).expect("our own file");
    for args in [&["-r", "tea"][..], &["tea"], &["rooms"]] {
        let output = home.run(args);
        assert!(output.status.code() != Some(0) && told(&output).contains("chmod 600"), "{args:?}: {output:?}");
    }
    fs::remove_file(home.rooms()).and_then(|()| fs::create_dir(home.rooms())).expect("our own folder");
    let output = home.run(&["-r", "tea"]);
    assert!(output.status.code() == Some(2) && told(&output).contains("hobnob/rooms"), "{output:?}");
    // Who names a key needs the file for nothing but to write to it.
    let mut bob = home.listening("bob", &["-r", "tea", "--room-key-file", &home.key(1)]);
    assert_eq!(place(&mut bob), ("tea".to_owned(), true));
    bob.wait_for_stderr("rooms cannot be kept in");
    bob.finish();
}

#[test]
fn the_first_line_says_who_is_where() {
    let home = Home::new();
    let key = home.key(1);
    let listen = ["--listen", "127.0.0.1:0"];
    let cases: [(&[&str], &str, &str); 4] = [
        (&listen, "in the open room lobby, ", "listening on 127.0.0.1:"),
        (&["--no-listen"], "in the open room lobby, ", "accepting no connections"),
        (&["-r", "tea", "--room-key-file", &key, "--no-listen"], "in the closed room tea, ", "accepting no"),
        (&["tea", "--no-listen"], "in the closed room tea, ", "accepting no"),
    ];
    for (args, room, reached) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.args(["--no-history", "--nick", "alice"]).args(args).env("XDG_DATA_HOME", home.path());
        let node = Node::start("alice", command, Stdio::null());
        node.wait_for_stderr("you are alice (your key: ");
        node.wait_for_stderr(room);
        node.wait_for_stderr(reached);
        node.finish();
    }
}

#[test]
fn a_mistyped_command_is_told_and_not_dialled() {
    let home = Home::new();
    for (word, command) in [("hstory", "history"), ("tikcet", "ticket"), ("contact", "contacts"), ("roomz", "rooms")] {
        let output = home.run(&[word]);
        let told = told(&output);
        assert!(output.status.code() == Some(2) && told.contains(&format!("hobnob {command}")), "{output:?}");
        assert!(told.contains(&format!("-- {word}")) && output.stdout.is_empty(), "{output:?}");
    }
    // With a mark of a host, or behind another word, it is a host.
    for args in [&["--wait", "0", "127.0.0.1:1", "hstory:1"][..], &["--wait", "0", "hstory.invalid"]] {
        let mut node = home.start("bob", args);
        node.end_input();
        node.exit_code();
        assert!(!node.told().contains("command"), "{}", node.told());
    }
    for args in [&["-r", "history"][..], &["ticket", "-r", "rooms", "a:1"], &["two words"]] {
        assert_eq!(home.run(args).status.code(), Some(2), "{args:?}");
    }
    let named = ticket_to(&chatting("alice", &[]), "ticket", None).to_line();
    let output = home.run(&[&named]);
    assert!(output.status.code() == Some(2) && told(&output).contains("another name"), "{output:?}");
}

/// Whom the command line dials.
fn dialled(args: &[&str]) -> Vec<String> {
    let args = Args::try_parse_from([&["hobnob"], args].concat()).expect("a command line");
    let asking = Asking { ask: || Ok(Vec::new().into()), choose: None::<fn(&[Choice]) -> std::io::Result<_>> };
    let access = Access::of(&args, true, asking).expect("a way into the room").expect("nobody is asked");
    access.named.into_iter().map(|named| named.addr).collect()
}

#[test]
fn what_stands_behind_two_dashes_is_a_host() {
    assert_eq!(dialled(&["--", "hstory", "ticket"]), ["hstory:4646", "ticket:4646"]);
    assert_eq!(dialled(&["a:1", "hstory", "--", "rooms"]), ["a:1", "hstory:4646", "rooms:4646"]);
}

/// A terminal with a run on it.
fn terminal(home: &Home, args: &[&str]) -> PtySession {
    let mut command = Command::new("sh");
    command.args(["-c", r#"stty cols 200; "$@"; echo "code=$?.""#, "sh", env!("CARGO_BIN_EXE_hobnob")]);
    command.args(["--no-history", "--no-listen", "--nick", "bob", "--color", "never"]).args(args);
    command.env("TERM", "xterm").env_remove("RUST_LOG").env("XDG_DATA_HOME", home.path());
    let options = Options::new().timeout_ms(u64::try_from(PATIENCE.as_millis()).ok()).strip_ansi_escape_codes(true);
    spawn_with_options(command, options).expect("a shell in a pty")
}

/// Sees a text, and gives what came before it.
fn sees(session: &mut PtySession, text: &str) -> String {
    session.exp_string(text).unwrap_or_else(|error| unreachable!("{text:?}: {error}"))
}

#[test]
fn without_a_word_a_terminal_is_asked_which_room_and_enter_takes_the_last_one() {
    let (home, _alice) = who_was_in_tea();
    home.visit(&["-r", "coffee", "--room-key-file", &home.key(2)]);
    let cases = [
        ("", "closed room coffee"),
        ("2", "closed room tea"),
        ("tea", "closed room tea"),
        ("milk\r3", "open room lobby"),
    ];
    // The last one used comes first.
    for (answer, room) in cases {
        let mut session = terminal(&home, &[]);
        let list = sees(&mut session, "which room? [");
        assert!(list.contains("closed, last used 20") && list.contains("lobby"), "{list}");
        sees(&mut session, "] ");
        session.send(&format!("{answer}\r")).and_then(|_| session.flush()).expect("a terminal takes keys");
        sees(&mut session, room);
        sees(&mut session, "bob> ");
        session.send_control('d').expect("a terminal takes keys");
        sees(&mut session, "code=0.");
        // What was chosen was used: back to the order of before.
        home.visit(&["-r", "coffee"]);
    }
    let mut session = terminal(&home, &[]);
    sees(&mut session, "which room? [coffee] ");
    session.send_control('d').expect("a terminal takes keys");
    sees(&mut session, "code=0.");
    // A word answers it, and so does a pipe.
    let mut session = terminal(&home, &["tea"]);
    assert!(!sees(&mut session, "bob> ").contains("which room?"));
    let mut pipe = home.listening("bob", &[]);
    assert_eq!(place(&mut pipe), ("lobby".to_owned(), false));
    pipe.finish();
}

#[test]
fn without_a_remembered_room_nobody_is_asked() {
    let mut session = terminal(&Home::new(), &[]);
    let before = sees(&mut session, "in the open room lobby");
    assert!(!before.contains("which room?"), "{before}");
    session.send_control('d').expect("a terminal takes keys");
    sees(&mut session, "code=0.");
}

#[test]
fn an_unnamed_room_is_the_open_lobby_and_says_so_beside_a_closed_one() {
    let home = Home::new();
    assert_eq!(home.visit(&["--room-key-file", &home.key(1)]), ("lobby".to_owned(), true));
    let mut bob = home.listening("bob", &["127.0.0.1:1"]);
    assert_eq!(place(&mut bob), ("lobby".to_owned(), false));
    bob.wait_for_stderr("-r lobby");
    bob.finish();
    assert_eq!(home.visit(&["-r", "lobby"]), ("lobby".to_owned(), true));
}
