//! Promise: a closed room opens to who has its key or a ticket to it, and to nobody else; a ticket leads to the
//! host that it names, and to nobody else; and no secret comes to light on the way. Checked with real processes.

#![expect(clippy::indexing_slicing, clippy::string_slice, reason = "a missing field fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Node, PATIENCE, chatting, hobnob, piping};
use hobnob::identity::{Id, Identity};
use hobnob::secret::{RoomKey, RoomSecret};
use hobnob::ticket::{Host, Ticket};
use rexpect::reader::Options;
use rexpect::session::spawn_with_options;
use tempfile::TempDir;

const WORDS: &str = "correct horse battery staple";

/// A folder with a file that only we may read.
fn private_file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("secret");
    fs::write(&path, text).expect("a file in it");
    set_mode(&path, 0o600);
    let path = path.to_str().expect("its path is text").to_owned();
    (folder, path)
}

fn set_mode(path: impl Into<PathBuf>, mode: u32) {
    fs::set_permissions(path.into(), fs::Permissions::from_mode(mode)).expect("our own file");
}

/// A ticket to a running node.
fn ticket_to(node: &Node, room: &str, secret: Option<RoomSecret>) -> Ticket {
    let addresses = vec![node.addr().parse().expect("an address")];
    let host = Host { id: Id::from_hex(node.id().as_bytes()).expect("an id"), addresses };
    Ticket { hosts: vec![host], room: room.to_owned(), secret }
}

/// A ticket to a host that does not run.
fn ticket_of(seed: u8, secret: Option<RoomSecret>) -> Ticket {
    let addresses = vec!["127.0.0.1:1".parse().expect("an address")];
    let host = Host { id: Identity::from_seed(&[seed; 32]).id(), addresses };
    Ticket { hosts: vec![host], room: "tea".to_owned(), secret }
}

fn secret() -> RoomSecret {
    RoomSecret::from_bytes(&[7; 32]).expect("32 bytes")
}

/// A node that a command was prepared for, with a pipe as stdin.
fn start(nick: &str, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Node {
    let mut command = hobnob(nick);
    command.args(args);
    prepare(&mut command);
    Node::start(nick, command, Stdio::piped())
}

/// Says a line and ends: the exit code, and all it said.
fn says(mut node: Node, line: &str) -> (i32, String) {
    node.say(line);
    node.end_input();
    (node.exit_code(), node.told())
}

/// A run for people that is over at once: the exit code, and its stderr.
fn run(args: &[&str], prepare: impl FnOnce(&mut Command)) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    prepare(&mut command);
    let output = command.output().expect("the program was built");
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().expect("no signal ends it"), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn a_room_with_a_passphrase_opens_to_who_has_it_and_to_nobody_else() {
    let (_folder, file) = private_file(&format!("{WORDS}\n"));
    let alice = chatting("alice", &["--room-key-file", &file]);
    let bob = piping("bob", &["--room-key-file", &file, &alice.addr()]);
    let (code, told) = says(bob, "by file");
    assert_eq!(code, 0, "{told}");
    let carol = start("carol", &[&alice.addr()], |command| {
        command.env("HOBNOB_ROOM_KEY", WORDS);
    });
    let (code, told) = says(carol, "by variable");
    assert_eq!(code, 0, "{told}");
    for key in [None, Some("incorrect horse battery staple"), Some(&*secret().to_line())] {
        let eve = start("eve", &[&alice.addr()], |command| {
            command.envs(key.map(|key| ("HOBNOB_ROOM_KEY", key)));
        });
        let (code, told) = says(eve, "let me in");
        assert_eq!(code, 5, "{told}");
    }
    let events = alice.finish();
    let said: Vec<_> = events.iter().filter(|event| event["event"] == "say").map(|event| &event["text"]).collect();
    assert_eq!(said, ["by file", "by variable"]);
}

#[test]
fn the_same_key_opens_no_room_of_another_name() {
    let alice = start("alice", &["--listen", "127.0.0.1:0", "--room", "tea"], |command| {
        command.env("HOBNOB_ROOM_KEY", WORDS);
    });
    let bob = start("bob", &["--room", "coffee", &alice.addr()], |command| {
        command.env("HOBNOB_ROOM_KEY", WORDS);
    });
    let (code, told) = says(bob, "hello");
    assert_eq!(code, 5, "{told}");
}

/// The whole way, as the manual tells it.
#[test]
fn a_new_key_and_a_ticket_are_made_and_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    // A port that was free a moment ago; the ticket has to be made before the host runs.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr = free.expect("a free port").to_string();
    let (key, identity, file) = (at("tea.key"), at("alice.key"), at("tea.ticket"));
    let tool = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.arg("ticket").args(["--identity", &identity, "--room", "tea"]).args(args);
        command.output().expect("the program was built")
    };
    let first = tool(&["--new-key", &key, &addr]);
    assert_eq!((first.status.code(), first.stderr.as_slice()), (Some(0), b"".as_slice()));
    let line = String::from_utf8(first.stdout).expect("text");
    assert!(line.starts_with("hobnobsecret1") && line.ends_with('\n') && line.lines().count() == 1, "{line}");
    let mode = |path: &str| fs::metadata(path).expect("it was made").permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(&identity)), (0o600, 0o600));

    let again = tool(&["--new-key", &key, &addr]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(again.stdout.is_empty() && String::from_utf8_lossy(&again.stderr).contains("not replaced"));
    let same = tool(&["--room-key-file", &key, &addr]);
    assert_eq!(String::from_utf8(same.stdout).expect("text"), line);
    let only_key = tool(&["--new-key", &at("other.key")]);
    assert_eq!((only_key.status.code(), only_key.stdout.as_slice()), (Some(0), b"".as_slice()));

    let mut command = crate::support::with_identity("alice");
    command.args(["--identity", &identity, "--room", "tea", "--room-key-file", &key, "--listen", &addr]);
    let alice = Node::start("alice", command, Stdio::piped());
    assert_eq!(alice.addr(), addr);
    fs::write(&file, line).expect("the folder is ours");
    set_mode(&file, 0o600);
    let (code, told) = says(piping("bob", &["--ticket", &file]), "hello");
    assert_eq!(code, 0, "{told}");
    alice.wait_for_said("bob", &["hello".to_owned()]);
}

/// What the README tells to paste, with a port of this machine and without the folder of whoever tests.
#[test]
fn the_ticket_example_of_the_readme_works_as_it_stands() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let lines: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("    hobnob ") && line.contains("tea.")).collect();
    let [make, host, join] = <[&str; 3]>::try_from(lines).expect("three lines");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr = free.expect("a free port").to_string();
    let pasted = |line: &str, more: &str| {
        let line = line.trim().replace("alice.example:9000", &addr).replace("0.0.0.0:9000", &addr);
        let mut command = Command::new("sh");
        // The program takes the shell's place, so that the test ends it.
        command.args(["-c", &format!("umask 022; exec {}", line.replacen("hobnob", &format!("hobnob {more}"), 1))]);
        let program = PathBuf::from(env!("CARGO_BIN_EXE_hobnob"));
        let path = format!("{}:/usr/bin:/bin", program.parent().expect("a folder").display());
        command.current_dir(folder.path()).env_clear().env("PATH", path).env("HOME", folder.path());
        command
    };
    let first = pasted(make, "").output().expect("a shell");
    assert!(first.status.success() && first.stdout.is_empty() && first.stderr.is_empty(), "{first:?}");
    let file = folder.path().join("tea.ticket");
    assert_eq!(fs::metadata(&file).expect("it was made").permissions().mode() & 0o777, 0o600);
    let again = pasted(make, "").output().expect("a shell");
    assert!(
        again.status.code() == Some(2) && String::from_utf8_lossy(&again.stderr).contains("not replaced"),
        "{again:?}"
    );
    let alice = Node::start("alice", pasted(host, "--json"), Stdio::piped());
    assert_eq!(alice.addr(), addr);
    let (code, told) = says(Node::start("bob", pasted(join, "--json"), Stdio::piped()), "hello");
    assert_eq!(code, 0, "{told}");
    alice.wait_for_said("bob", &["hello".to_owned()]);
}

#[test]
fn a_ticket_names_other_hosts_by_key_by_asking_and_by_contact() {
    let (alice, bob) = (chatting("alice", &["--room", "tea"]), chatting("bob", &["--room", "tea"]));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tool = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.args(["ticket", "--nick", "zoe", "--room", "tea"]).args(args).env("XDG_DATA_HOME", folder.path());
        let output = command.output().expect("the program was built");
        let [out, told] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text"));
        (output.status.code(), out.trim().parse::<Ticket>().ok(), told)
    };
    let contact = serde_json::json!({ "id": bob.id(), "nick": "bob", "addresses": ["far.example:1", bob.addr()] });
    fs::create_dir(folder.path().join("hobnob")).expect("a folder");
    fs::write(folder.path().join("hobnob/contacts"), contact.to_string()).expect("the contacts");
    let hosts = |ticket: &Ticket| {
        let host = |host: &Host| (host.id.to_string(), host.addresses.iter().map(ToString::to_string).collect());
        ticket.hosts.iter().map(host).collect::<Vec<(String, Vec<String>)>>()
    };
    let by_key = format!("{}={}", alice.addr(), alice.id());
    let bob_there = (bob.id(), vec!["far.example:1".to_owned(), bob.addr()]);
    for first in [alice.addr(), by_key] {
        let (code, ticket, told) = tool(&["--host", &first, "--host", "@bob"]);
        assert_eq!((code, told.as_str()), (Some(0), ""));
        assert_eq!(hosts(&ticket.expect("a ticket")), [(alice.id(), vec![alice.addr()]), bob_there.clone()]);
    }
    assert!(!folder.path().join("hobnob/keys").exists(), "zoe is no host, and needs no key");
    // The own addresses are all there, and the others have what is left.
    let own: Vec<String> = (1..=7).map(|port| format!("zoe.example:{port}")).collect();
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let (_, ticket, told) = tool(&[&own[..], &["--host", "@bob"]].concat());
    let hosts = hosts(&ticket.expect(&told));
    assert_eq!((hosts[0].1.len(), &hosts[1].1), (7, &vec!["far.example:1".to_owned()]));
    let there = alice.addr();
    let too_many = [&own[..], &["--host", "@bob", "--host", &there]].concat();
    let alone = format!("zoe.example:1={}", &alice.id()[1..]);
    let wrong: [(&[&str], i32, &str); 6] = [
        (&too_many, 2, "up to 8 addresses"),
        (&["--host", &alone], 2, "64 hexadecimal digits"),
        (&["--host", "@nobody"], 2, "no contact is called nobody"),
        (&["--host", "@bob", "--room", "coffee", "--host", &there], 1, "is in another room"),
        (&["--host", "127.0.0.1:1"], 1, "--host 127.0.0.1:1=KEY"),
        (&["--output", "x", "--new-key", "y"], 2, "--host"),
    ];
    for (args, code, word) in wrong {
        // A room may be named once.
        let args: Vec<&str> =
            if args.contains(&"--room") { args.to_vec() } else { [args, &["--room", "tea"]].concat() };
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.arg("ticket").args(&args).current_dir(folder.path()).env("XDG_DATA_HOME", folder.path());
        let output = command.output().expect("the program was built");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && told.contains(word), "{args:?}: {output:?}");
        assert!(!folder.path().join("y").exists(), "nothing was made");
    }
    // Nobody has noticed.
    let events = alice.finish();
    assert!(!events.iter().any(|event| event["event"] == "linked" || event["event"] == "warning"), "{events:?}");
}

#[test]
fn a_ticket_comes_by_variable_by_pipe_and_open_as_a_peer() {
    let (_folder, file) = private_file(&secret().to_line());
    let alice = chatting("alice", &["--room", "tea", "--room-key-file", &file]);
    let line = ticket_to(&alice, "tea", Some(secret())).to_line();
    let by_variable = start("bob", &[], |command| {
        command.env("HOBNOB_TICKET", &*line);
    });
    let (code, told) = says(by_variable, "by variable");
    assert_eq!(code, 0, "{told}");
    let (code, told) = says(piping("bob", &["--ticket", "-"]), &format!("{}\nby pipe\nand more", *line));
    assert_eq!(code, 0, "{told}");
    let open = ticket_to(&alice, "tea", None).to_line();
    let (code, told) = says(piping("bob", &["--room-key-file", &file, &open]), "as a peer");
    assert_eq!(code, 0, "{told}");
    alice.wait_for_said("bob", &["by variable", "by pipe", "and more", "as a peer"].map(ToOwned::to_owned));
    let (code, told) = says(piping("eve", &[&open]), "without the secret");
    assert_eq!(code, 5, "{told}");
}

#[test]
fn another_host_at_the_address_of_a_ticket_is_refused() {
    let alice = chatting("alice", &[]);
    let other = Identity::from_seed(&[1; 32]).id();
    let mut ticket = ticket_to(&alice, "lobby", None);
    ticket.hosts[0].id = other;
    let mut bob = piping("bob", &[&ticket.to_line()]);
    bob.say("for somebody else's eyes");
    bob.end_input();
    assert_eq!(bob.exit_code(), 5, "{}", bob.told());
    let warning = bob.wait_for("a warning", |event| event["event"] == "warning");
    let text = warning["text"].as_str().expect("a text");
    assert!(text.contains(&other.short()) && text.contains(&alice.id()[..8]), "{text}");
    let events = alice.finish();
    assert!(!events.iter().any(|event| event["event"] == "joined" || event["event"] == "say"), "{events:?}");
}

#[test]
fn one_right_address_of_a_ticket_is_enough() {
    let (alice, eve) = (chatting("alice", &[]), chatting("eve", &[]));
    let mut ticket = ticket_to(&alice, "lobby", None);
    ticket.hosts[0].addresses.insert(0, eve.addr().parse().expect("an address"));
    let (code, told) = says(piping("bob", &[&ticket.to_line()]), "hello");
    assert_eq!(code, 0, "{told}");
    alice.wait_for_said("bob", &["hello".to_owned()]);
}

#[test]
fn a_dialler_tries_all_hosts_of_a_ticket_and_takes_each_by_its_own_key() {
    let (alice, eve) = (chatting("alice", &[]), chatting("eve", &[]));
    // Nobody listens at the first, and another than the second answers.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let host = |seed, addr: String| Host {
        id: Identity::from_seed(&[seed; 32]).id(),
        addresses: vec![addr.parse().expect("an address")],
    };
    let dead = [host(1, free.expect("a free port").to_string()), host(2, eve.addr())];
    let mut ticket = ticket_to(&alice, "lobby", None);
    let alone = Ticket { hosts: dead.to_vec(), ..ticket.clone() };
    ticket.hosts.splice(0..0, dead);
    let (code, told) = says(piping("bob", &[&ticket.to_line()]), "hello");
    assert_eq!(code, 0, "{told}");
    alice.wait_for_said("bob", &["hello".to_owned()]);
    let (code, told) = says(piping("carol", &["--wait", "1", &alone.to_line()]), "hello");
    assert_ne!(code, 0, "{told}");
    let events = eve.finish();
    assert!(!events.iter().any(|event| event["event"] == "joined" || event["event"] == "say"), "{events:?}");
}

#[test]
fn invite_makes_a_ticket_that_opens_the_room() {
    let (_folder, file) = private_file(WORDS);
    let args = ["--commands", "--room", "tea", "--room-key-file", &file];
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let mut alice = start("alice", &[&args[..], &["--listen", listen]].concat(), |_| {});
        alice.say("/invite");
        let event = alice.wait_for("a ticket", |event| event["event"] == "ticket");
        let line = event["ticket"].as_str().expect("a line");
        let ticket: Ticket = line.parse().expect("a ticket");
        let key = RoomKey::parse(WORDS.as_bytes()).expect("a passphrase");
        assert_eq!((ticket.room.as_str(), ticket.secret.as_ref()), ("tea", Some(&key.secret("tea"))));
        assert_eq!(ticket.hosts[0].id.to_string(), alice.id());
        assert_eq!(
            (&event["secret"], &event["hosts"][0]["id"], &event["room"]),
            (&true.into(), &alice.id().into(), &"tea".into())
        );
        let port = alice.addr().rsplit_once(':').expect("a port").1.to_owned();
        assert!(ticket.hosts[0].addresses.iter().all(|addr| addr.port.to_string() == port && addr.host != "0.0.0.0"));
        let bob = start("bob", &[], |command| {
            command.env("HOBNOB_TICKET", line);
        });
        let (code, told) = says(bob, "hello");
        assert_eq!(code, 0, "{told}");
    }
}

#[test]
fn status_tells_whether_a_room_is_closed_and_its_links_are_encrypted() {
    let (_folder, file) = private_file(WORDS);
    let cases: [(&[&str], _); 3] =
        [(&[], (false, true)), (&["--plaintext"], (false, false)), (&["--room-key-file", &file], (true, true))];
    for (args, (secret, encrypted)) in cases {
        let mut alice = chatting("alice", &[args, &["--commands"]].concat());
        alice.say("/status");
        let status = alice.wait_for("the status", |event| event["event"] == "status");
        assert_eq!((&status["secret"], &status["encrypted"]), (&secret.into(), &encrypted.into()), "{args:?}");
    }
}

#[test]
fn who_cannot_be_dialled_invites_nobody() {
    let mut alice = start("alice", &["--commands", "--no-listen", "--stay"], |_| {});
    alice.say("/invite");
    let error = alice.wait_for("an error", |event| event["event"] == "error");
    assert!(error["text"].as_str().expect("a text").contains("accepts no peers"), "{error}");
}

#[test]
fn a_secret_among_the_arguments_is_refused_and_not_repeated() {
    let ticket = ticket_of(1, Some(secret()));
    let (line, key) = (ticket.to_line(), secret().to_line());
    let (assigned, shouted) = (format!("--ticket={}", *line), line.to_uppercase());
    let forms: [&[&str]; 8] = [
        &[&line],
        &["--ticket", &line],
        &[&assigned],
        &["--room-key-file", &key],
        &["ticket", &line],
        &["ticket", "--new-key", &key, "a:1"],
        &[&line[..40]],
        &["--nick", "bob", &shouted],
    ];
    for args in forms {
        let (code, stderr) = run(args, |_| {});
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("--ticket FILE") && stderr.contains("take it for known"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        for secret in [line.as_str(), key.as_str(), &shouted] {
            assert!(!stderr.contains(&secret[14..30]), "{stderr}");
        }
    }
}

/// A run that goes wrong before it begins, and a word of what it says.
struct Wrong<'a> {
    args: Vec<&'a str>,
    variables: Vec<(&'a str, &'a str)>,
    word: &'a str,
}

#[test]
fn what_makes_no_sense_together_is_code_2_and_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("our own folder");
        set_mode(&path, mode);
        path.to_str().expect("text").to_owned()
    };
    let ticket = ticket_of(1, Some(secret()));
    let open = Ticket { secret: None, ..ticket.clone() };
    let elsewhere = Ticket { room: "coffee".to_owned(), ..open.clone() }.to_line();
    let other_host = ticket_of(2, None).to_line();
    let (line, open) = (ticket.to_line(), open.to_line());
    let (words, weak) = (file("words", WORDS, 0o600), file("weak", "short", 0o600));
    let (exposed, empty) = (file("exposed", WORDS, 0o644), file("empty", "\n", 0o600));
    let (secret_file, cut) = (file("ticket", &line, 0o644), file("cut", &line[..99], 0o600));
    let missing = folder.path().join("missing").to_str().expect("text").to_owned();
    let inside = folder.path().to_str().expect("text").to_owned();
    let cases = [
        Wrong { args: vec!["--room-key-file", &missing], variables: vec![], word: "hobnob ticket --new-key" },
        Wrong { args: vec!["--room-key-file", &exposed], variables: vec![], word: "chmod 600" },
        Wrong { args: vec!["--room-key-file", &inside], variables: vec![], word: "regular file" },
        Wrong { args: vec!["--room-key-file", &empty], variables: vec![], word: "is empty" },
        Wrong { args: vec!["--room-key-file", &weak], variables: vec![], word: "soon guessed" },
        Wrong { args: vec!["--room-key-file", &cut], variables: vec![], word: "--ticket FILE" },
        Wrong { args: vec!["--room-key-file", &words, "--plaintext"], variables: vec![], word: "protect nothing" },
        Wrong { args: vec!["--room-key-file", &words, "--ticket", &cut], variables: vec![], word: "cannot be used" },
        Wrong { args: vec![], variables: vec![("HOBNOB_ROOM_KEY", "")], word: "HOBNOB_ROOM_KEY is empty" },
        Wrong { args: vec![], variables: vec![("HOBNOB_TICKET", " \n")], word: "HOBNOB_TICKET is empty" },
        Wrong {
            args: vec![],
            variables: vec![("HOBNOB_TICKET", &line), ("HOBNOB_ROOM_KEY", WORDS)],
            word: "unset one of them",
        },
        Wrong { args: vec!["--plaintext"], variables: vec![("HOBNOB_TICKET", &line)], word: "protect nothing" },
        Wrong { args: vec!["--room", "coffee"], variables: vec![("HOBNOB_TICKET", &line)], word: "\"coffee\"" },
        Wrong { args: vec![&open, &elsewhere], variables: vec![], word: "\"coffee\"" },
        Wrong { args: vec![&open, &other_host], variables: vec![], word: "different hosts" },
        Wrong { args: vec!["--ticket", &missing], variables: vec![], word: "No such file" },
        Wrong { args: vec!["--ticket", &secret_file], variables: vec![], word: "chmod 600" },
        Wrong { args: vec!["--ticket", &cut], variables: vec![], word: "copy the whole line" },
        Wrong { args: vec!["--ticket", &open], variables: vec![], word: "as a PEER" },
        Wrong { args: vec!["--ticket", "-"], variables: vec![], word: "is empty" },
        Wrong { args: vec![&open[..60]], variables: vec![], word: "copy the whole line" },
        Wrong { args: vec!["ticket"], variables: vec![], word: "ADDR" },
    ];
    for Wrong { args, variables, word } in cases {
        let (code, stderr) = run(&args, |command| {
            command.envs(variables.iter().copied());
        });
        assert_eq!(code, 2, "{args:?}: {stderr}");
        assert!(stderr.contains(word), "{args:?}: {word:?} in {stderr}");
        assert!(!stderr.contains(&line[14..50]) && !stderr.contains(WORDS), "{args:?}: {stderr}");
    }
}

#[test]
fn a_ticket_file_without_a_secret_may_be_open_to_others() {
    let alice = chatting("alice", &["--room", "tea"]);
    let (_folder, file) = private_file(&format!("  {}\r\n", *ticket_to(&alice, "tea", None).to_line()));
    set_mode(&file, 0o644);
    let (code, told) = says(piping("bob", &["--ticket", &file]), "hello");
    assert_eq!(code, 0, "{told}");
}

#[test]
fn a_short_passphrase_is_taken_with_a_warning() {
    let alice = start("alice", &["--listen", "127.0.0.1:0"], |command| {
        command.env("HOBNOB_ROOM_KEY", "eight ch");
    });
    alice.addr();
    alice.wait_for_stderr("may be guessed");
}

#[test]
fn a_running_node_shows_no_secret_and_leaves_no_core_dump() {
    let (_folder, file) = private_file(WORDS);
    let identity = file.replace("secret", "identity.key");
    let mut command = crate::support::with_identity("alice");
    command.args(["-vv", "--identity", &identity, "--room-key-file", &file, "--listen", "127.0.0.1:0"]);
    let alice = Node::start("alice", command, Stdio::piped());
    let key = RoomKey::parse(WORDS.as_bytes()).expect("a passphrase").secret("lobby");
    let ticket = ticket_to(&alice, "lobby", Some(key.clone())).to_line();
    let bob = start("bob", &["-vv"], |command| {
        command.env("HOBNOB_TICKET", &*ticket);
    });
    let (code, told) = says(bob, "hello");
    assert_eq!(code, 0, "{told}");
    let proc = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", alice.process())).expect("a running process");
    let limit = proc("limits").lines().find(|line| line.starts_with("Max core file size")).map(ToOwned::to_owned);
    let limit = limit.expect("every process has this limit");
    assert_eq!(limit.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{limit}");
    let seed = fs::read_to_string(&identity).expect("her key was made");
    let shown = format!("{}{}{told}", proc("cmdline"), alice.told());
    for secret in [WORDS, &hex::encode(key.bytes()), &ticket, &key.to_line(), seed.trim(), "hobnobsecret", "hobnobkey"]
    {
        assert!(!shown.contains(secret), "{secret} is shown in {shown}");
    }
}

#[test]
fn a_ticket_typed_at_a_prompt_does_not_show() {
    let alice = chatting("alice", &["--room", "tea"]);
    let line = ticket_to(&alice, "tea", None).to_line();
    let mut command = Command::new("sh");
    let around = r#"stty echo rows 24 cols 200; "$@"; echo "code=$? $(stty -a | grep -o -- '-\?echo\b')." "#;
    command.args(["-c", around, "sh", env!("CARGO_BIN_EXE_hobnob"), "--ephemeral", "--no-listen", "--nick", "bob"]);
    command.args(["--color", "never", "--ticket", "-"]).env("TERM", "xterm").env_remove("RUST_LOG");
    command.env("XDG_DATA_HOME", crate::support::NO_FOLDER);
    let options = Options::new().timeout_ms(u64::try_from(PATIENCE.as_millis()).ok()).strip_ansi_escape_codes(true);
    let mut session = spawn_with_options(command, options).expect("a shell in a pty");
    session.exp_string("ticket (not shown): ").expect("a prompt");
    session.send_line(&line).expect("a terminal takes keys");
    let before = session.exp_string("bob> ").expect("a chat");
    assert!(!before.contains("hobnob1"), "{before}");
    session.send("hello\r").and_then(|_| session.flush()).expect("a terminal takes keys");
    alice.wait_for_said("bob", &["hello".to_owned()]);
    session.send_control('d').expect("a terminal takes keys");
    session.exp_string("code=0 echo.").expect("the terminal as it was");
}

#[test]
fn a_ticket_with_a_secret_comes_to_a_terminal_with_a_word() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.arg("ticket").arg("--identity").arg(folder.path().join("key"));
    command.arg("--new-key").arg(folder.path().join("tea.key")).arg("alice.example");
    let options = Options::new().timeout_ms(u64::try_from(PATIENCE.as_millis()).ok());
    let mut session = spawn_with_options(command, options).expect("a program in a pty");
    session.exp_string("pass it on in private").expect("a word");
    session.exp_string("hobnobsecret1").expect("a ticket");
    session.exp_eof().expect("an end");
}

#[test]
fn an_interrupted_prompt_leaves_the_terminal_as_it_was() {
    let mut command = Command::new("sh");
    let around = r#"stty echo; trap : INT; "$@"; echo "code=$? $(stty -a | grep -o -- '-\?echo\b')." "#;
    command.args(["-c", around, "sh", env!("CARGO_BIN_EXE_hobnob"), "--ephemeral", "--ticket", "-"]);
    let options = Options::new().timeout_ms(u64::try_from(PATIENCE.as_millis()).ok());
    let mut session = spawn_with_options(command, options).expect("a shell in a pty");
    session.exp_string("ticket (not shown): ").expect("a prompt");
    session.send_control('c').expect("a terminal takes keys");
    session.exp_string("code=130 echo.").expect("the terminal as it was");
}
