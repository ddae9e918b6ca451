//! Promise: at a terminal a person chats: what is typed is said, what arrives appears above the line being
//! typed, which stays whole; commands work, a mistake stays here; every way out says goodbye, exits with 0
//! and leaves the terminal as it was. Checked in a session through a pty, beside a member without one.
//!
//! The program runs under a shell that tells the terminal's settings before and after, and the exit code.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

mod support;

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};
use support::{NO_FOLDER, Node, PATIENCE, chatting};

/// What the shell does around the program.
const AROUND: &str = r#"
stty rows 24 cols 80
echo "before=$(stty -g)."
sh -c 'echo "pid=$$."; exec "$@"' sh "$@"
echo "code=$?."
echo "after=$(stty -g)."
"#;

/// A person at a terminal.
struct Person {
    session: PtySession,
    before: String,
    pid: Pid,
}

impl Person {
    /// Joins a room and waits for the prompt.
    fn start(nick: &str, peer: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", AROUND, "sh", env!("CARGO_BIN_EXE_hobnob")]);
        command.args(["--ephemeral", "--no-listen", "--color", "never", "--nick", nick, peer]);
        command.env("TERM", "xterm").env("LC_ALL", "C.UTF-8").env_remove("RUST_LOG");
        command.env("XDG_DATA_HOME", NO_FOLDER);
        let patience = u64::try_from(PATIENCE.as_millis()).ok();
        let options = Options::new().timeout_ms(patience).strip_ansi_escape_codes(true);
        let session = spawn_with_options(command, options).expect("a shell in a pty");
        let mut person = Self { session, before: String::new(), pid: Pid::from_raw(0) };
        person.before = person.value("before");
        let pid = person.value("pid").parse().expect("a process id is a number");
        person.pid = Pid::from_raw(pid);
        person.sees(&format!("{nick}> "));
        person
    }

    /// A line `name=value.` of the shell's.
    fn value(&mut self, name: &str) -> String {
        self.sees(&format!("{name}="));
        self.session.exp_string(".").expect("the shell tells it")
    }

    /// Waits for text on the screen, behind what was waited for before; what came before it.
    fn sees(&mut self, text: &str) -> String {
        // rexpect takes each byte for a character.
        let bytes: String = text.bytes().map(char::from).collect();
        self.session.exp_string(&bytes).unwrap_or_else(|error| unreachable!("no {text:?} on the terminal: {error}"))
    }

    /// Types keys.
    fn types(&mut self, keys: &str) {
        self.session.send(keys).and_then(|_| self.session.flush()).expect("the terminal takes keys");
    }

    /// Types a line and Enter.
    fn enters(&mut self, line: &str) {
        self.types(&format!("{line}\r"));
    }

    /// The program has ended with 0, and the terminal is as it was.
    fn back_in_the_shell(mut self) {
        assert_eq!(self.value("code"), "0");
        let after = self.value("after");
        assert_eq!(after, self.before, "the settings of the terminal");
    }
}

/// Alice without a terminal, and bob at one.
fn alice_and_bob() -> (Node, Person) {
    let alice = chatting("alice", &[]);
    let mut bob = Person::start("bob", &alice.addr());
    bob.sees("alice is here");
    alice.wait_for_all(&["bob"]);
    (alice, bob)
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn what_is_typed_is_said_and_what_is_said_appears() {
    let (mut alice, mut bob) = alice_and_bob();
    bob.enters("hello from a terminal");
    alice.wait_for_said("bob", &lines(&["hello from a terminal"]));
    bob.sees("bob: hello from a terminal");
    alice.say("hello yourself");
    bob.sees("alice: hello yourself");
    bob.sees("bob> ");
}

#[test]
fn the_line_being_typed_stays_whole_when_others_speak() {
    let (mut alice, mut bob) = alice_and_bob();
    bob.types("half a ");
    bob.sees("half a ");
    for number in 0..5 {
        alice.say(&format!("interruption {number}"));
        bob.sees(&format!("alice: interruption {number}"));
        // Drawn again below it.
        bob.sees("bob> half a ");
    }
    bob.enters("line");
    alice.wait_for_said("bob", &lines(&["half a line"]));
    bob.sees("bob: half a line");
}

#[test]
fn commands_answer_and_a_mistake_stays_here() {
    let (alice, mut bob) = alice_and_bob();
    bob.enters("/names");
    bob.sees("2 here: alice, bob (you)");
    bob.enters("/me waves");
    bob.sees("* bob waves");
    bob.enters("//x is a slash");
    bob.sees("bob: /x is a slash");
    bob.enters("/frobnicate");
    bob.sees("no command /frobnicate");
    bob.enters("/nick robert");
    bob.sees("you are now called robert");
    bob.sees("robert> ");
    bob.enters("that is me");
    bob.sees("robert: that is me");
    alice.wait_for_said("bob", &lines(&["waves", "/x is a slash"]));
    alice.wait_for_said("robert", &lines(&["that is me"]));
    let renamed = alice.wait_for("the new name", |event| event["event"] == "renamed");
    assert_eq!((&renamed["old"], &renamed["member"]["nick"]), (&"bob".into(), &"robert".into()));
    bob.enters("/quit see you");
    bob.back_in_the_shell();
    assert_eq!(alice.wait_for_member("left", "robert")["why"], "see you");
}

#[test]
fn a_pasted_block_is_said_in_one_piece() {
    let (alice, mut bob) = alice_and_bob();
    // As terminals mark what is pasted.
    bob.types("\u{1b}[200~one\ntwo\n/quit\u{1b}[201~");
    bob.enters("");
    alice.wait_for_said("bob", &lines(&["one", "two", "/quit"]));
    let says = alice.finish().iter().filter(|event| event["event"] == "say").count();
    assert_eq!(says, 1, "one say for the block");
}

#[test]
fn control_d_on_an_empty_line_is_a_goodbye() {
    let (alice, mut bob) = alice_and_bob();
    bob.types("\u{4}");
    bob.back_in_the_shell();
    alice.wait_for_member("left", "bob");
}

#[test]
fn control_c_is_a_goodbye_also_in_the_middle_of_a_line() {
    let (alice, mut bob) = alice_and_bob();
    bob.types("not sent");
    bob.sees("not sent");
    bob.types("\u{3}");
    bob.back_in_the_shell();
    alice.wait_for_member("left", "bob");
    let said = alice.finish().iter().filter(|event| event["event"] == "say").count();
    assert_eq!(said, 0, "an unfinished line is not said");
}

#[test]
fn a_signal_is_a_goodbye_and_the_terminal_is_put_back() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (alice, mut bob) = alice_and_bob();
        bob.types("not sent");
        bob.sees("not sent");
        kill(bob.pid, signal).expect("a running process takes signals");
        bob.back_in_the_shell();
        alice.wait_for_member("left", "bob");
    }
}

#[test]
fn a_hangup_is_a_goodbye() {
    let (alice, bob) = alice_and_bob();
    kill(bob.pid, Signal::SIGHUP).expect("a running process takes signals");
    bob.back_in_the_shell();
    alice.wait_for_member("left", "bob");
}

#[test]
fn what_others_send_does_not_command_the_terminal() {
    let (mut alice, mut bob) = alice_and_bob();
    alice.say("\u{1b}[2Jgone?\u{7}\u{202e}");
    bob.sees("alice: ␛[2Jgone?␇<U+202E>");
    bob.sees("bob> ");
}
