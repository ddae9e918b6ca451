//! Promise: at a terminal a person chats: what is typed is said, what arrives appears above the line being
//! typed, which stays whole; commands work, a mistake stays here; every way out says goodbye, exits with 0
//! and leaves the terminal as it was. Checked in a session through a pty, beside a member without one.
//!
//! The program runs under a shell that tells the terminal's settings before and after, and the exit code.
//! What a hostile member sends, by a peer made by hand, is looked for in the bytes that reach the terminal.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::io::Write;
use std::process::Command;

use crate::support::wire::Wire;
use crate::support::{NO_FOLDER, Node, PATIENCE, chatting};
use hobnob::console::filter::{MARKS_PER_CHARACTER_MAX, is_hidden};
use hobnob::wire::record::Draft;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rexpect::reader::Options;
use rexpect::session::{PtySession, spawn_with_options};

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
        let mut person = Self::start_with(nick, peer, "xterm", &["--color", "never"], true);
        person.sees(&format!("{nick}> "));
        person
    }

    /// The same on another kind of terminal, whose bytes are all seen where they are not `tidied`.
    fn start_with(nick: &str, peer: &str, term: &str, args: &[&str], tidied: bool) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", AROUND, "sh", env!("CARGO_BIN_EXE_hobnob")]);
        command.args(["--ephemeral", "--no-listen", "--nick", nick, peer]).args(args);
        command.env("TERM", term).env("LC_ALL", "C.UTF-8").env_remove("RUST_LOG");
        command.env("XDG_DATA_HOME", NO_FOLDER);
        let patience = u64::try_from(PATIENCE.as_millis()).ok();
        let options = Options::new().timeout_ms(patience).strip_ansi_escape_codes(tidied);
        let session = spawn_with_options(command, options).expect("a shell in a pty");
        let mut person = Self { session, before: String::new(), pid: Pid::from_raw(0) };
        person.before = person.value("before");
        let pid = person.value("pid").parse().expect("a process id is a number");
        person.pid = Pid::from_raw(pid);
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

/// A prompt that was made by now is seen.
fn seen() {
    std::thread::sleep(std::time::Duration::from_millis(400));
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
fn the_bell_rings_for_whom_a_message_is_meant() {
    let (mut alice, mut bob) = alice_and_bob();
    alice.say("hello all");
    assert!(!bob.sees("alice: hello all").contains('\u{7}'));
    alice.say("hello Bob");
    bob.sees("\u{7}");
    bob.sees("alice: hello Bob");
    bob.enters("/bell off");
    bob.sees("the bell is off");
    alice.say("bob, are you there?");
    assert!(!bob.sees("alice: bob, are you there?").contains('\u{7}'));
    bob.enters("/bell all");
    bob.sees("the bell rings for each message");
    bob.enters("so do I, bob");
    assert!(!bob.sees("bob: so do I, bob").contains('\u{7}'), "nobody rings for himself");
    alice.say("to all");
    bob.sees("\u{7}");
    bob.sees("alice: to all");
    bob.enters("/nick rob");
    bob.sees("you are now called rob");
    bob.enters("/bell pm");
    bob.sees("the bell rings for private messages");
    alice.say("bob was your name");
    assert!(!bob.sees("alice: bob was your name").contains('\u{7}'));
    alice.say("rob is");
    bob.sees("\u{7}");
}

#[test]
fn who_is_away_says_so_to_those_here_and_to_those_who_come() {
    let (alice, mut bob) = alice_and_bob();
    bob.enters("/away lunch");
    bob.sees("you are away (lunch)");
    assert_eq!(alice.wait_for_member("away", "bob")["why"], "lunch");
    let mut carol = Person::start("carol", &alice.addr());
    carol.sees("bob is here");
    carol.enters("/names");
    carol.sees("3 here: alice, bob (away: lunch), carol (you)");
    bob.enters("/back");
    bob.sees("you are back");
    alice.wait_for_member("back", "bob");
    carol.sees("bob is back");
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

/// What was typed behind an Enter before the line editor read again was gone, and a command with it.
#[test]
fn what_is_typed_ahead_is_done_in_order() {
    let (alice, mut bob) = alice_and_bob();
    let carol = chatting("carol", &[&alice.addr()]);
    bob.sees("carol is here");
    bob.types("one\rtwo\r/chat carol\rfor carol\r/end\rthree\r");
    alice.wait_for_said("bob", &lines(&["one", "two", "three"]));
    carol.wait_for("the private line", |event| event["event"] == "whisper" && event["text"] == "for carol");
    for line in ["four", "five", "six"] {
        bob.enters(line);
    }
    alice.wait_for_said("bob", &lines(&["one", "two", "three", "four", "five", "six"]));
}

/// The answer to `/chat` came with what is printed, and the one who prints waited for the next line: it was refused.
#[test]
fn who_types_ahead_is_not_held_up_by_what_is_printed() {
    let (mut alice, mut bob) = alice_and_bob();
    let mut said = Vec::new();
    for round in 0..20 {
        for number in 0..10 {
            alice.say(&format!("interruption {number}"));
        }
        let line = format!("line {round}");
        bob.types(&format!("/chat alice\rfor alice {round}\r/end\r{line}\r"));
        said.push(line);
    }
    alice.wait_for_said("bob", &said);
    let events = alice.finish();
    let whispers = events.iter().filter(|event| event["event"] == "whisper" && event["mine"] == false);
    let expected: Vec<String> = (0..20).map(|round| format!("for alice {round}")).collect();
    assert_eq!(whispers.map(|event| event["text"].as_str().unwrap_or_default()).collect::<Vec<_>>(), expected);
}

/// The prompt was drawn before the answer to `/chat` or `/end` was there, and kept a name that was given up.
#[test]
fn the_prompt_says_whom_the_next_line_goes_to() {
    let alice = chatting("alice", &[]);
    let mut rob = chatting("rob", &["--commands", &alice.addr()]);
    let mut fay = Person::start("fay", &alice.addr());
    fay.sees("rob is here");
    // From the line entered on there is this prompt and no other.
    let prompts = |fay: &mut Person, line: &str, prompt: &str, other: &str| {
        fay.enters(line);
        fay.sees(line);
        let seen = fay.sees(prompt);
        let after = seen.rsplit(line).next().unwrap_or_default();
        assert!(!after.contains(other), "{line}: {after:?}");
    };
    prompts(&mut fay, "/chat rob", "fay to rob> ", "fay> ");
    fay.enters("one");
    hears(&rob, "one");
    fay.sees("delivered to rob");
    prompts(&mut fay, "/chat zork", "fay to rob> ", "fay> ");
    seen();
    fay.enters("two");
    hears(&rob, "two");
    fay.sees("delivered to rob");
    rob.say("/nick bob");
    fay.sees("rob is now called bob");
    fay.enters("three");
    hears(&rob, "three");
    fay.sees("delivered to bob");
    fay.sees("fay to bob> ");
    prompts(&mut fay, "/end", "fay> ", "fay to ");
    fay.enters("to all");
    alice.wait_for_said("fay", &lines(&["to all"]));
    fay.sees("fay: to all");
    prompts(&mut fay, "/chat zork", "fay> ", "fay to ");
    seen();
    fay.enters("to all again");
    alice.wait_for_said("fay", &lines(&["to all", "to all again"]));
    fay.sees("fay: to all again");
    fay.enters("/quit");
    fay.back_in_the_shell();
}

fn hears(node: &Node, line: &str) {
    node.wait_for(line, |event| event["event"] == "whisper" && event["text"] == line);
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

/// With more answers than may wait for the screen the one who typed and the one who printed waited for each other, for good.
#[test]
fn a_flood_of_commands_is_done_and_what_is_left_out_is_told() {
    const COMMANDS: usize = 3_000;
    let (alice, mut bob) = alice_and_bob();
    bob.types(&format!("{}that was it\r/quit\r", "/version\r".repeat(COMMANDS)));
    alice.wait_for_said("bob", &lines(&["that was it"]));
    let seen = bob.sees("code=0.");
    let left_out = seen.split("too much was typed at once: ").skip(1).filter_map(|told| told.split(' ').next());
    let left_out: usize = left_out.map(|count| count.parse::<usize>().expect("a count")).sum();
    let version = concat!("-- hobnob ", env!("CARGO_PKG_VERSION"));
    assert_eq!(seen.matches(version).count() + left_out, COMMANDS, "{left_out} left out");
}

/// rustyline waited for what belongs to it, printed nothing meanwhile, and the node stood still.
#[test]
fn a_key_that_more_may_follow_holds_up_nothing() {
    let (mut alice, mut bob) = alice_and_bob();
    let carol = chatting("aline", &[&alice.addr()]);
    bob.sees("aline is here");
    for keys in ["\u{1b}", "\u{18}", "\u{16}", "\u{11}", "al\t"] {
        bob.types(keys);
        for number in 0..12 {
            alice.say(&format!("line {number}"));
            bob.sees(&format!("alice: line {number}"));
        }
    }
    bob.sees("bob> alice: ");
    bob.types("\t");
    bob.sees("aline: ");
    bob.enters("chosen");
    carol.wait_for_said("bob", &lines(&["aline: chosen"]));
}

#[test]
fn what_is_typed_and_is_no_text_ends_nothing() {
    let (alice, mut bob) = alice_and_bob();
    for bytes in [&b"caf\xe9\r"[..], b"\xff"] {
        let mut terminal = bob.session.process().get_file_handle().expect("the terminal is a file");
        terminal.write_all(bytes).expect("the terminal takes bytes");
        bob.sees("is not UTF-8");
    }
    bob.sees("bob> ");
    bob.enters("\u{15}still here");
    alice.wait_for_said("bob", &lines(&["still here"]));
}

/// It was said to all.
#[test]
fn what_was_typed_ahead_for_one_is_not_said_where_the_chat_fails() {
    let (alice, mut bob) = alice_and_bob();
    bob.types("/chat alcie\rfor alice alone\r");
    bob.sees("nothing was said");
    seen();
    bob.enters("for all");
    alice.wait_for_said("bob", &lines(&["for all"]));
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

/// What a member may send to be obeyed, to hide, to turn around, or to stand where it does not belong.
const ATTACKS: [&str; 16] = [
    "\u{1b}[2J\u{1b}[1;1H\u{1b}[41m",
    "\u{1b}]0;title\u{7}\u{1b}]2;title\u{1b}\\",
    "\u{1b}]52;c;c3RvbGVu\u{7}",
    "\u{1b}]8;;http://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}P+q544e\u{1b}\\\u{1b}_x\u{1b}\\\u{1b}^x\u{1b}\\\u{1b}Xx\u{1b}\\",
    "\u{1b}c\u{1b}[?1049h\u{1b}[6n\u{1b}Z\u{5}",
    "\u{9b}2J\u{9d}0;title\u{9c}\u{90}x\u{9c}\u{85}",
    "back\u{8}\u{8}\u{8}\u{8}\u{7f}\rover\u{b}\u{c}\u{e}\u{f}\u{7}",
    "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}\u{200e}\u{200f}\u{61c}",
    "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{ad}\u{180e}\u{115f}\u{3164}\u{ffa0}",
    "\u{e0001}\u{e0041}\u{e007f}",
    "a\u{fe0f}\u{e0100}\u{e01ef}",
    "\u{2028}\u{2029}\u{0}",
    "\r\n12:00:00 alice: not me",
    "\n\u{1b}[1A12:00:00 alice: not me either",
    "tower: o\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
];

/// As odd as the wire lets them be.
const NAMES: [&str; 4] = ["x\u{3164}\u{34f}", "\u{301}\u{301}y", "z\u{fe0f}\u{2800}", "аlice"];

/// Members with such names join and say all that through a host; when it has passed everything on, one of
/// them says goodbye in the same way.
fn attack(host: &Node) -> Vec<Wire> {
    let mut attackers: Vec<Wire> = NAMES.iter().map(|name| Wire::dial_encrypted(&host.addr(), name)).collect();
    for (index, attacker) in attackers.iter_mut().enumerate() {
        attacker.greet();
        attacker.send_post(1, &Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None });
        for (number, text) in (2..).zip(ATTACKS) {
            attacker.send_post(number, &Draft::Say { text, action: index % 2 == 1, part: number % 3 == 0 });
        }
    }
    host.wait_until("all that is said", |events| {
        let said = events.iter().filter(|event| event["event"] == "say").count();
        (said == NAMES.len() * ATTACKS.len()).then_some(())
    });
    let last = attackers.first_mut().expect("an attacker");
    last.send_post(ATTACKS.len() as u64 + 2, &Draft::Leave { why: ATTACKS.concat().as_str() });
    attackers
}

/// The characters of what rexpect read, which takes each byte for one.
fn text_of(read: &str) -> String {
    let bytes: Vec<u8> = read.chars().map(|byte| u8::try_from(u32::from(byte)).expect("a byte")).collect();
    String::from_utf8(bytes).expect("a terminal gets whole characters")
}

/// The final letters and the contents of the control sequences in a text. Fails where there is another kind of
/// escape.
fn sequences(text: &str) -> Vec<String> {
    let sequence = |piece: &str| {
        let body = piece.strip_prefix('[').unwrap_or_else(|| unreachable!("no sequence of ours: {piece:?}"));
        let end = body.find(|letter: char| letter.is_ascii_alphabetic()).expect("a final letter");
        body[..=end].to_owned()
    };
    text.split('\u{1b}').skip(1).map(sequence).collect()
}

/// Whether a text that reached the terminal has anything of what only an attacker sent.
fn assert_harmless(text: &str) {
    let plain = |letter: char| matches!(letter, '\n' | '\r' | '\u{1b}') || !(letter.is_control() || is_hidden(letter));
    let strange: Vec<char> = text.chars().filter(|letter| !plain(*letter)).collect();
    assert!(strange.is_empty(), "{strange:?} in {text:?}");
    let tower = "\u{301}".repeat(MARKS_PER_CHARACTER_MAX + 1);
    assert!(!text.contains(&tower) && !text.contains("a\u{fe0f}"), "{text:?}");
    let fakes: Vec<&str> = text.split('\n').filter(|line| line.starts_with("12:00:00 alice")).collect();
    assert!(fakes.is_empty(), "{fakes:?}");
}

#[test]
fn a_terminal_without_an_editor_gets_no_escape_at_all() {
    let host = chatting("alice", &[]);
    let mut bob = Person::start_with("bob", &host.addr(), "dumb", &[], false);
    bob.sees("alice");
    let attackers = attack(&host);
    let seen = text_of(&bob.sees(" left ("));
    assert_harmless(&seen);
    assert!(!seen.contains('\u{1b}') && seen.contains("␛[2J") && seen.contains("<U+202E>"), "{seen:?}");
    let goodbye = text_of(&bob.sees(") --"));
    assert!(!goodbye.contains(char::is_control), "{goodbye:?}");
    assert!(seen.contains("аlice#") && seen.contains("x<U+3164>"), "{seen:?}");
    drop(attackers);
}

#[test]
fn a_terminal_with_colours_gets_none_but_ours() {
    let host = chatting("alice", &[]);
    let mut bob = Person::start_with("bob", &host.addr(), "dumb", &["--color", "always"], false);
    bob.sees("alice");
    let attackers = attack(&host);
    let seen = text_of(&bob.sees(" left ("));
    assert_harmless(&seen);
    let ours = |sequence: &str| match sequence.strip_suffix('m') {
        Some(color) => matches!(color, "0" | "2" | "33") || matches!(color.as_bytes(), [b'1', b';', b'3', b'1'..=b'6']),
        None => false,
    };
    let sequences = sequences(&seen);
    assert!(sequences.len() > ATTACKS.len() && sequences.iter().all(|sequence| ours(sequence)), "{sequences:?}");
    drop(attackers);
}

#[test]
fn a_line_being_edited_takes_no_orders_from_others() {
    let host = chatting("alice", &[]);
    let mut bob = Person::start_with("bob", &host.addr(), "xterm", &["--color", "never"], false);
    bob.sees("bob> ");
    bob.types("half a line");
    let attackers = attack(&host);
    let seen = text_of(&bob.sees(" left ("));
    assert_harmless(&seen);
    assert!(seen.contains("␛[2J"), "{seen:?}");
    // The editor goes about in its own line, and erases it; it neither colours nor moves the screen.
    let editing = |sequence: &str| match sequence.chars().last() {
        Some('A'..='D' | 'G') => sequence.len() <= 3,
        Some('J' | 'K') => sequence.len() == 1,
        Some('h' | 'l') => matches!(sequence, "?2004h" | "?2004l" | "?2026h" | "?2026l" | "?25h" | "?25l"),
        _ => false,
    };
    let sequences = sequences(&seen);
    assert!(sequences.iter().all(|sequence| editing(sequence)), "{sequences:?}");
    // Nor do names that are completed and asked for.
    bob.types("\u{15}z\t");
    bob.sees("z<U+FE0F><U+2800>");
    bob.types("\u{15}");
    bob.enters("/names");
    let names = text_of(&bob.sees(" here: "));
    let list = text_of(&bob.sees("z<U+FE0F><U+2800>"));
    assert_harmless(&format!("{names}{list}"));
    drop(attackers);
}
