//! Promise: a nick that comes back with another key is told loudly, once, whoever was asleep meanwhile; what
//! is remembered survives the run, other processes and damage, and costs nobody the chat. Checked on the
//! table and its file, and with runs that share a folder.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::{Node, chatting, with_identity};
use hobnob::identity::Id;
use hobnob::known::{Known, today};
use hobnob::limits::{KNOWN_ENTRIES_MAX, KNOWN_FILE_BYTES_MAX};
use hobnob::room::event::Person;
use hobnob::wire::record::Nick;
use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde_json::Value;

const MONDAY: Date = date(2026, 11, 16);
const TUESDAY: Date = date(2026, 11, 17);

fn person(key: u8, name: &str) -> Person {
    Person { id: Id([key; 32]), nick: Nick::new(name).unwrap() }
}

/// The file's lines.
fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(ToOwned::to_owned).collect()
}

/// Meets people in a room on a day, in a run of its own; who had another key before.
fn met(path: &Path, room: &str, day: Date, people: &[Person]) -> Vec<Option<Person>> {
    let mut known = Known::open(path.to_owned(), room, true);
    let changed = people.iter().map(|person| known.meet(person, day).map(|changed| changed.former)).collect();
    known.close();
    changed
}

#[test]
fn the_first_key_is_taken_down_and_each_further_one_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hobnob/known");
    let (alice, other, third) = (person(1, "alice"), person(2, "alice"), person(3, "alice"));
    assert_eq!(met(&path, "lobby", MONDAY, &[alice.clone(), alice.clone()]), [None, None]);
    assert_eq!(
        met(&path, "lobby", TUESDAY, &[alice.clone(), other.clone(), other.clone()]),
        [None, Some(alice.clone()), None]
    );
    assert_eq!(met(&path, "lobby", TUESDAY, &[other.clone(), alice]), [None, None], "both are known now");
    let wednesday = TUESDAY + 1.day();
    assert_eq!(met(&path, "lobby", wednesday, &[other.clone(), third]), [None, Some(other)], "the one seen last");
}

/// Each new name wrote the whole file anew: 79 times as many bytes as were said.
#[test]
fn new_names_by_the_hundred_write_the_file_once_and_none_is_missing_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    let mut known = Known::open(path.clone(), "lobby", true);
    known.meet(&person(0, "first"), MONDAY);
    while lines(&path).is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    let first = fs::metadata(&path).unwrap().ino();
    for key in 1..=200 {
        known.meet(&person(key, &format!("eve{key}")), MONDAY);
        thread::sleep(Duration::from_millis(2));
        assert_eq!(fs::metadata(&path).unwrap().ino(), first, "it is not replaced for name {key}");
    }
    known.close();
    assert_eq!(lines(&path).len(), 201);
}

#[test]
fn the_file_can_be_read_by_people_and_by_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hobnob/known");
    met(&path, "lobby", MONDAY, &[person(1, "alice")]);
    met(&path, "lobby", TUESDAY, &[person(1, "alice")]);
    let id = "01".repeat(32);
    let line = format!(r#"{{"room":"lobby","nick":"alice","id":"{id}","first":"2026-11-16","last":"2026-11-17"}}"#);
    assert_eq!(lines(&path), [line]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
}

#[test]
fn a_nick_that_only_looks_the_same_is_held_to_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    let alice = person(1, "alice");
    met(&path, "lobby", MONDAY, std::slice::from_ref(&alice));
    let people = [person(1, "ALICE"), person(2, "аlice"), person(3, "bob")];
    assert_eq!(met(&path, "lobby", TUESDAY, &people), [None, Some(person(1, "ALICE")), None]);
}

#[test]
fn what_a_nick_is_in_another_room_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    met(&path, "lobby", MONDAY, &[person(1, "alice")]);
    assert_eq!(met(&path, "garden", MONDAY, &[person(2, "alice")]), [None]);
    assert_eq!(met(&path, "lobby", MONDAY, &[person(2, "alice")]), [Some(person(1, "alice"))]);
    assert_eq!(lines(&path).len(), 3);
}

#[test]
fn damaged_lines_stay_where_their_owner_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    let damaged =
        ["{", "alice 0101", r#"{"room":"lobby","nick":"a b","id":"00","first":"yesterday","last":""}"#, "\u{fffd}"];
    fs::write(&path, damaged.join("\n")).unwrap();
    met(&path, "lobby", MONDAY, &[person(1, "alice")]);
    let lines = lines(&path);
    assert_eq!(lines.len(), 1 + damaged.len());
    assert!(damaged.iter().all(|line| lines.contains(&(*line).to_owned())), "{lines:?}");
    assert_eq!(met(&path, "lobby", MONDAY, &[person(2, "alice")]), [Some(person(1, "alice"))]);
}

#[test]
fn a_file_that_is_too_long_or_none_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    let bytes = usize::try_from(KNOWN_FILE_BYTES_MAX).unwrap();
    fs::write(&path, vec![b'x'; bytes]).unwrap();
    assert_eq!(met(&path, "lobby", MONDAY, &[person(1, "alice")]), [None]);
    assert_eq!(fs::metadata(&path).unwrap().len(), KNOWN_FILE_BYTES_MAX);
    fs::write(&path, vec![b'\n'; bytes - 1]).unwrap();
    met(&path, "lobby", MONDAY, &[person(1, "alice")]);
    assert_eq!(lines(&path).len(), 1, "one byte less is read");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(met(&fifo, "lobby", MONDAY, &[person(1, "alice")]), [None], "nobody waits for it");
}

#[test]
fn what_cannot_be_kept_is_still_known_in_this_run() {
    let mut known = Known::open("/dev/null/none/known".into(), "lobby", true);
    assert_eq!(known.meet(&person(1, "alice"), MONDAY), None);
    assert!(known.meet(&person(2, "alice"), MONDAY).is_some());
    known.close();
}

#[test]
fn who_keeps_nothing_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    met(&path, "lobby", MONDAY, &[person(1, "alice")]);
    let before = lines(&path);
    let mut known = Known::open(path.clone(), "lobby", false);
    assert!(known.meet(&person(2, "alice"), MONDAY).is_some());
    known.close();
    assert_eq!(lines(&path), before);
}

#[test]
fn a_flood_of_names_drives_out_no_old_acquaintance() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    met(&path, "lobby", MONDAY, &[person(1, "alice")]);
    met(&path, "lobby", TUESDAY, &[person(1, "alice")]);
    let crowd = |count: usize| -> Vec<Person> {
        let numbered = |number: usize| {
            let mut id = [9; 32];
            id[..8].copy_from_slice(&number.to_be_bytes());
            Person { id: Id(id), nick: Nick::new(&format!("crowd-{number}")).unwrap() }
        };
        (0..count).map(numbered).collect()
    };
    met(&path, "lobby", TUESDAY, &crowd(KNOWN_ENTRIES_MAX - 1));
    assert_eq!(lines(&path).len(), KNOWN_ENTRIES_MAX, "as many as there may be");
    met(&path, "garden", TUESDAY + 1.day(), &[person(8, "zoe")]);
    assert_eq!(lines(&path).len(), KNOWN_ENTRIES_MAX);
    assert!(lines(&path).iter().any(|line| line.contains("zoe")), "the newest of those seen on one day stay");
    let again = [person(2, "alice"), person(7, "zoe")];
    assert_eq!(met(&path, "lobby", TUESDAY, &again), [Some(person(1, "alice")), None]);
}

/// Two processes, not only two threads: this test starts itself as others that keep the same file.
#[test]
fn several_processes_that_learn_at_once_lose_nothing() {
    let test = "known::several_processes_that_learn_at_once_lose_nothing";
    if let Some(path) = std::env::var_os("HOBNOB_TEST_KNOWN") {
        let key: u8 = std::env::var("HOBNOB_TEST_KEY").unwrap().parse().unwrap();
        for round in 0..20 {
            met(Path::new(&path), "lobby", MONDAY, &[person(key, &format!("p{key}-{round}"))]);
        }
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known");
    let start = |key: u8| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env("HOBNOB_TEST_KNOWN", &path).env("HOBNOB_TEST_KEY", key.to_string());
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (1..5).map(start).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(lines(&path).len(), 80);
}

/// Somebody who keeps a key and, in `folder`, whom they know.
fn keeping(folder: &Path, nick: &str, key: &str, args: &[&str]) -> Command {
    let mut command = with_identity(nick);
    command.env("XDG_DATA_HOME", folder).arg("--identity").arg(folder.join(key)).args(args);
    command
}

fn alarms(node: Node) -> Vec<Value> {
    node.finish().into_iter().filter(|event| event["event"] == "warning" && event["former"].is_object()).collect()
}

#[test]
fn who_comes_as_somebody_known_is_told_in_the_next_run_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let host = chatting("host", &[]);
    let addr = host.addr();
    let bob = || Node::start("bob", keeping(folder.path(), "bob", "bob.key", &["--no-listen", &addr]), Stdio::null());
    let alice = |key: &str| {
        let args = ["--no-listen", "--stay", addr.as_str()];
        let mut alice = Node::start("alice", keeping(folder.path(), "alice", key, &args), Stdio::piped());
        alice.say("it is me");
        alice
    };

    let true_alice = alice("alice.key");
    let first = bob();
    first.wait_for_said("alice", &["it is me".to_owned()]);
    assert_eq!(alarms(first), Vec::<Value>::new());
    let true_id = host.wait_for_member("joined", "alice")["member"]["id"].clone();
    true_alice.finish();
    host.wait_for_member("left", "alice");

    let mallory = alice("mallory.key");
    let second = bob();
    let alarm = second.wait_for("the alarm", |event| event["former"].is_object());
    assert_eq!((&alarm["former"]["id"], &alarm["member"]["nick"]), (&true_id, &"alice".into()));
    assert_ne!(alarm["member"]["id"], true_id);
    assert_eq!(alarms(second).len(), 1);

    let third = bob();
    third.wait_for_member("joined", "alice");
    assert_eq!(alarms(third), Vec::<Value>::new(), "it has been told");
    mallory.finish();
}

#[test]
fn people_read_it_also_where_it_is_quiet() {
    let folder = tempfile::tempdir().unwrap();
    let alice = chatting("alice", &[]);
    let known = format!(
        r#"{{"room":"lobby","nick":"Alice","id":"{}","first":"2026-11-16","last":"2026-11-17"}}"#,
        "ab".repeat(32)
    );
    fs::create_dir(folder.path().join("hobnob")).unwrap();
    fs::write(folder.path().join("hobnob/known"), known + "\nnot a line\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(["--ephemeral", "--quiet", "--no-listen", "--nick", "bob", &alice.addr()]);
    command.env("XDG_DATA_HOME", folder.path()).env_remove("RUST_LOG");
    let bob = Node::start("bob", command, Stdio::null());
    let now = &alice.id()[..8];
    bob.wait_for_stderr(&format!(
        "hobnob: WARNING: alice is not Alice: the key is {now}, and that of Alice, last seen on 2026-11-17, is abababab"
    ));
    assert_eq!(bob.stderr().matches("1 damaged").count(), 1, "{}", bob.stderr());
}

#[test]
fn while_two_have_a_name_neither_is_taken_for_the_one_known() {
    let folder = tempfile::tempdir().unwrap();
    let host = chatting("host", &[]);
    let addr = host.addr();
    let args = ["--no-listen", addr.as_str()];
    let bob = Node::start("bob", keeping(folder.path(), "bob", "bob.key", &args), Stdio::null());
    let alice = chatting("alice", &[&addr]);
    bob.wait_for_member("joined", "alice");
    let mut mallory = chatting("alice", &[&addr]);
    mallory.say("one of two");
    bob.wait_for_said("alice", &["one of two".to_owned()]);
    assert!(!bob.events().iter().any(|event| event["former"].is_object()), "{}", bob.told());
    let known = alice.id();
    alice.finish();
    bob.wait_for_member("left", "alice");
    mallory.say("the only one");
    let alarm = bob.wait_for("the alarm", |event| event["former"].is_object());
    assert_eq!((&alarm["former"]["id"], &alarm["member"]["id"]), (&known.into(), &mallory.id().into()));
    bob.finish();
    let file = lines(&folder.path().join("hobnob/known"));
    let today = today().to_string();
    assert!(file.len() == 3 && file.iter().all(|line| line.matches(&today).count() == 2), "{file:?}");
}
