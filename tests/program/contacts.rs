//! Promise: whom somebody keeps, trusts or ignores lasts, by key, over runs, names and other runs that write at the
//! same time; an ignored person is not shown, and nobody passes for a verified one. Checked on the table and its
//! file, and with runs that share a folder.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{NO_FOLDER, Node, chatting, undialable, with_identity};
use hobnob::console::contacts_list;
use hobnob::contacts::{Contact, Contacts, Deed, Told, load, safety_number};
use hobnob::identity::{Id, Identity};
use hobnob::limits::{CONTACT_ADDRESSES_MAX, CONTACTS_FILE_BYTES_MAX, CONTACTS_MAX, REFUSED_KEYS_MAX, SAFETY_GROUPS};
use hobnob::room::event::{Member, Person};
use hobnob::wire::record::Nick;
use jiff::Timestamp;
use serde_json::{Value, json};

fn person(key: u8, name: &str) -> Person {
    Person { id: Id([key; 32]), nick: Nick::new(name).unwrap() }
}

/// The person of a number, of whom there are many.
fn numbered(number: usize, name: &str) -> Person {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Person { id: Id(id), nick: Nick::new(name).unwrap() }
}

/// Somebody who is here, and where.
fn member(person: &Person, addresses: &[&str]) -> Member {
    Member {
        person: person.clone(),
        myself: false,
        sessions: 1,
        passing: false,
        addresses: addresses.iter().map(|addr| addr.parse().unwrap()).collect(),
        linked: true,
        through: None,
        sealing: None,
        away: None,
        since: 0,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

/// Does something with people, in a run of its own; what was told.
fn done(path: &Path, deeds: &[(Deed, Person)]) -> Vec<Told> {
    let mut contacts = Contacts::open(path.to_owned(), true);
    let mut told = Vec::new();
    for (deed, person) in deeds {
        told.extend(contacts.ask(*deed, person, format!("{deed:?} {}", person.nick)));
    }
    told.extend(contacts.close(at(0)));
    told
}

/// The one thing that was told, which is bad.
fn trouble(told: Vec<Told>) -> String {
    match <[Told; 1]>::try_from(told) {
        Ok([Told::Trouble(text)]) => text,
        other => unreachable!("one trouble, and not {other:?}"),
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(ToOwned::to_owned).collect()
}

fn nicks(path: &Path) -> Vec<String> {
    load(path).unwrap().into_iter().map(|contact| contact.nick.to_string()).collect()
}

fn addresses(contact: &Contact) -> Vec<String> {
    contact.addresses.iter().map(ToString::to_string).collect()
}

/// A folder, and the file in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hobnob/contacts");
    (folder, path)
}

/// A file with so much in it.
fn written(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_file_can_be_read_by_people_and_by_its_owner_only() {
    let (_folder, path) = place();
    let told = done(&path, &[(Deed::Add, person(1, "bob"))]);
    assert_eq!(told, [Told::Note("Add bob".into())], "told when it is done");
    let id = "01".repeat(32);
    let line = format!(
        r#"{{"id":"{id}","nick":"bob","addresses":[],"last_seen":null,"verified":false,"ignored":false,"contact":true}}"#
    );
    assert_eq!(lines(&path), [line]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
}

#[test]
fn a_line_by_hand_needs_a_key_and_a_nick_and_keeps_what_else_it_has() {
    let (_folder, path) = place();
    let id = "02".repeat(32);
    written(&path, format!(r#"{{"nick":"carol","id":"{id}","addresses":["carol.example:9000"],"met":"in a pub"}}"#));
    let mut contacts = Contacts::open(path.clone(), true);
    assert!(contacts.standing(&Id([2; 32])).contact);
    contacts.ask(Deed::Ignore, &person(2, "carol"), String::new());
    contacts.close(at(0));
    let [line] = lines(&path).try_into().unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["met"], &line["ignored"]), (&json!("in a pub"), &json!(true)));
    assert_eq!(line["addresses"], json!(["carol.example:9000"]));
}

#[test]
fn damaged_lines_stay_where_their_owner_finds_them() {
    let (_folder, path) = place();
    let damaged = ["{", "bob 0101", r#"{"id":"00","nick":"bob"}"#, "\u{fffd}"];
    written(&path, damaged.join("\n"));
    done(&path, &[(Deed::Add, person(1, "alice"))]);
    let lines = lines(&path);
    assert_eq!(lines.len(), 1 + damaged.len());
    assert!(damaged.iter().all(|line| lines.contains(&(*line).to_owned())), "{lines:?}");
    assert_eq!(nicks(&path), ["alice"]);
}

#[test]
fn who_is_neither_a_contact_nor_ignored_leaves_the_file() {
    let (_folder, path) = place();
    let bob = person(1, "bob");
    done(&path, &[(Deed::Verify, bob.clone()), (Deed::Ignore, bob.clone()), (Deed::Remove, bob.clone())]);
    let [kept] = load(&path).unwrap().try_into().unwrap();
    assert_eq!((kept.contact, kept.verified, kept.ignored), (false, false, true));
    done(&path, &[(Deed::Unignore, bob)]);
    assert_eq!(lines(&path), [""; 0]);
}

#[test]
fn what_another_run_has_changed_meanwhile_is_kept_and_taken_up() {
    let (_folder, path) = place();
    let mut one = Contacts::open(path.clone(), true);
    done(&path, &[(Deed::Ignore, person(2, "mallory"))]);
    assert_eq!(one.shut_out().len(), 0);
    one.ask(Deed::Add, &person(1, "bob"), String::new());
    let answer = one.answers().recv().unwrap();
    one.take(answer);
    assert_eq!(one.shut_out().into_iter().collect::<Vec<Id>>(), [Id([2; 32])]);
    one.close(at(0));
    assert_eq!(nicks(&path), ["mallory", "bob"]);
}

/// Two processes, not only two threads: this test starts itself as others that keep the same file.
#[test]
fn several_processes_that_change_it_at_once_lose_nothing() {
    let test = "contacts::several_processes_that_change_it_at_once_lose_nothing";
    if let Some(path) = std::env::var_os("HOBNOB_TEST_CONTACTS") {
        let first: usize = std::env::var("HOBNOB_TEST_FIRST").unwrap().parse().unwrap();
        for number in first..first + 20 {
            done(Path::new(&path), &[(Deed::Add, numbered(number, &format!("p{number}")))]);
        }
        return;
    }
    let (_folder, path) = place();
    let start = |first: usize| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test]).env("HOBNOB_TEST_CONTACTS", &path);
        command.env("HOBNOB_TEST_FIRST", first.to_string()).stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = [0, 100, 200, 300].map(start).into_iter().collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(lines(&path).len(), 80);
}

#[test]
fn as_many_as_there_may_be_are_kept_and_one_more_is_refused() {
    let (_folder, path) = place();
    let line = |number: usize| format!("{}\n", json!({ "id": numbered(number, "x").id, "nick": "crowd" }));
    written(&path, (1..CONTACTS_MAX).map(line).collect::<String>());
    assert_eq!(done(&path, &[(Deed::Ignore, person(1, "bob"))]), [Told::Note("Ignore bob".into())]);
    assert_eq!(lines(&path).len(), CONTACTS_MAX);
    let before = lines(&path);
    let told = trouble(done(&path, &[(Deed::Add, person(2, "carol"))]));
    assert!(told.contains(&CONTACTS_MAX.to_string()), "{told}");
    assert_eq!(lines(&path), before);
    assert_eq!(done(&path, &[(Deed::Add, person(1, "bob"))]), [Told::Note("Add bob".into())], "no new one");
}

#[test]
fn a_place_that_another_run_has_taken_is_refused_too() {
    let (_folder, path) = place();
    let line = |number: usize| format!("{}\n", json!({ "id": numbered(number, "x").id, "nick": "crowd" }));
    written(&path, (1..CONTACTS_MAX).map(line).collect::<String>());
    let mut late = Contacts::open(path.clone(), true);
    done(&path, &[(Deed::Add, person(1, "bob"))]);
    assert_eq!(late.ask(Deed::Add, &person(2, "carol"), String::new()), []);
    let answer = late.answers().recv().unwrap();
    assert!(matches!(late.take(answer).as_slice(), [Told::Trouble(_)]));
    assert!(!late.standing(&Id([2; 32])).contact);
    assert_eq!(lines(&path).len(), CONTACTS_MAX);
}

#[test]
fn a_file_that_is_too_long_or_none_is_left_alone() {
    let (folder, path) = place();
    let bytes = usize::try_from(CONTACTS_FILE_BYTES_MAX).unwrap();
    written(&path, vec![b'x'; bytes]);
    assert!(matches!(done(&path, &[(Deed::Add, person(1, "bob"))]).as_slice(), [Told::Trouble(_)]));
    assert_eq!(fs::metadata(&path).unwrap().len(), CONTACTS_FILE_BYTES_MAX);
    written(&path, vec![b'x'; bytes - 100]);
    let told = trouble(done(&path, &[(Deed::Add, person(1, "bob"))]));
    assert!(told.contains("this run only"), "{told}");
    assert_eq!(fs::metadata(&path).unwrap().len(), CONTACTS_FILE_BYTES_MAX - 100, "it is not made longer");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(done(&fifo, &[(Deed::Add, person(1, "bob"))]).as_slice(), [Told::Trouble(_)]), "nobody waits");
}

#[test]
fn what_cannot_be_kept_holds_for_this_run_and_is_tried_again() {
    let (folder, path) = place();
    // A file where the folder should be.
    let blocked = folder.path().join("hobnob");
    fs::write(&blocked, "").unwrap();
    let mut contacts = Contacts::open(path.clone(), true);
    contacts.ask(Deed::Ignore, &person(1, "bob"), "bob is ignored".into());
    let answer = contacts.answers().recv().unwrap();
    let told = trouble(contacts.take(answer));
    assert!(told.starts_with("bob is ignored, but in this run only: contacts cannot be kept in "), "{told}");
    assert!(contacts.standing(&Id([1; 32])).ignored);
    fs::remove_file(&blocked).unwrap();
    contacts.ask(Deed::Add, &person(2, "carol"), String::new());
    contacts.close(at(0));
    assert_eq!(nicks(&path), ["bob", "carol"]);
}

#[test]
fn who_keeps_nothing_reads_it_and_leaves_no_trace() {
    let (_folder, path) = place();
    done(&path, &[(Deed::Ignore, person(1, "bob"))]);
    let before = lines(&path);
    let mut contacts = Contacts::open(path.clone(), false);
    assert_eq!(contacts.shut_out().len(), 1);
    let told = contacts.ask(Deed::Add, &person(2, "carol"), "done".into());
    assert_eq!(told, [Told::Note("done, in this run only".into())]);
    assert!(contacts.standing(&Id([2; 32])).contact);
    contacts.close(at(0));
    assert_eq!(lines(&path), before);
}

#[test]
fn addresses_are_those_of_now_then_names_then_those_of_before() {
    let (_folder, path) = place();
    let bob = person(1, "bob");
    let old: Vec<String> = (1..CONTACT_ADDRESSES_MAX).map(|port| format!("127.0.0.1:{port}")).collect();
    let all = [old.as_slice(), &["bob.example:9".to_owned()]].concat();
    written(&path, json!({ "id": bob.id, "nick": "bob", "addresses": all }).to_string());
    let mut contacts = Contacts::open(path.clone(), true);
    contacts.observe(&[member(&bob, &["127.0.0.1:3", "[::1]:7"])], at(0));
    contacts.close(at(60));
    let [bob] = load(&path).unwrap().try_into().unwrap();
    let expected = ["127.0.0.1:3", "[::1]:7", "bob.example:9", "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:4"];
    assert_eq!(addresses(&bob)[..6], expected);
    assert_eq!(bob.addresses.len(), CONTACT_ADDRESSES_MAX);
    assert_eq!(bob.last_seen, Some(at(60)), "until the end of the run");
}

#[test]
fn who_went_was_seen_then_and_no_later() {
    let (_folder, path) = place();
    let bob = person(1, "bob");
    done(&path, &[(Deed::Add, bob.clone()), (Deed::Ignore, person(2, "mallory"))]);
    let mut contacts = Contacts::open(path.clone(), true);
    assert!(contacts.came(&bob.id));
    assert!(!contacts.came(&bob.id), "it is here already");
    assert!(!contacts.came(&Id([2; 32])), "no contact");
    contacts.went(&bob.id, at(5));
    contacts.close(at(60));
    assert_eq!(load(&path).unwrap()[0].last_seen, Some(at(5)));
    assert_eq!(load(&path).unwrap()[1].last_seen, None);
}

#[test]
fn a_contact_is_called_as_it_calls_itself_until_it_is_verified() {
    let (_folder, path) = place();
    done(&path, &[(Deed::Add, person(1, "bob"))]);
    let mut contacts = Contacts::open(path.clone(), true);
    contacts.observe(&[member(&person(1, "rob"), &[])], at(0));
    assert_eq!(contacts.people()[0].nick.as_str(), "rob");
    contacts.ask(Deed::Verify, &person(1, "rob"), String::new());
    contacts.observe(&[member(&person(1, "alice"), &[])], at(0));
    assert_eq!(contacts.people()[0].nick.as_str(), "rob");
    contacts.close(at(0));
    assert_eq!(nicks(&path), ["rob"]);
}

#[test]
fn only_the_verified_key_has_the_name_and_what_looks_like_it() {
    let mut contacts = Contacts::nobody();
    let (alice, bob) = (person(1, "alice"), person(2, "bob"));
    contacts.ask(Deed::Verify, &alice, String::new());
    contacts.ask(Deed::Add, &bob, String::new());
    for fine in [alice.clone(), person(1, "ALICE"), person(3, "bob"), person(4, "carol")] {
        assert_eq!(contacts.guard(&fine), None, "{fine:?}");
    }
    let mallory = person(6, "а1ice");
    let refused = contacts.guard(&mallory).unwrap();
    assert_eq!((&refused.member, &refused.former), (&mallory, &alice));
    assert_eq!(contacts.guard(&person(6, "alice")), None, "told once");
    assert!(contacts.standing(&mallory.id).refused && contacts.shut_out().contains(&mallory.id));
    assert!(contacts.guard(&person(2, "Alice")).is_some(), "a contact may not either");
    contacts.ask(Deed::Unignore, &mallory, String::new());
    assert_eq!(contacts.guard(&mallory), None);
    assert!(!contacts.shut_out().contains(&mallory.id));
}

#[test]
fn two_keys_of_one_person_may_both_be_verified() {
    let mut contacts = Contacts::nobody();
    contacts.ask(Deed::Verify, &person(1, "alice"), String::new());
    assert!(contacts.guard(&person(2, "alice")).is_some());
    contacts.ask(Deed::Verify, &person(2, "alice"), String::new());
    assert_eq!(contacts.shut_out().len(), 0);
    assert_eq!([1, 2].map(|key| contacts.guard(&person(key, "alice"))), [None, None]);
    contacts.ask(Deed::Doubt, &person(1, "alice"), String::new());
    assert!(contacts.guard(&person(1, "alice")).is_some(), "its name is the other's alone now");
}

#[test]
fn keys_by_the_thousand_under_a_verified_name_cost_a_bounded_table() {
    let mut contacts = Contacts::nobody();
    contacts.ask(Deed::Verify, &person(1, "alice"), String::new());
    for number in 0..=REFUSED_KEYS_MAX {
        assert!(contacts.guard(&numbered(number, "alice")).is_some());
    }
    assert_eq!(contacts.shut_out().len(), REFUSED_KEYS_MAX);
    let forgotten = (0..=REFUSED_KEYS_MAX).filter(|number| contacts.guard(&numbered(*number, "alice")).is_some());
    assert!(forgotten.count() >= 1, "and is refused again");
}

#[test]
fn both_see_one_safety_number_and_others_another_one() {
    let (alice, bob, eve) = (Id([1; 32]), Id([2; 32]), Id([3; 32]));
    let number = safety_number(&alice, &bob);
    assert_eq!(number, safety_number(&bob, &alice));
    assert_ne!(number, safety_number(&alice, &eve));
    assert_ne!(number, safety_number(&bob, &eve));
    let groups: Vec<&str> = number.split(' ').collect();
    assert_eq!(groups.len(), SAFETY_GROUPS);
    assert!(groups.iter().all(|group| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_digit())), "{number}");
    assert_eq!(number, SAFETY_OF_ONE_AND_TWO, "versions have to agree");
}

/// Of the keys 01… and 02…
const SAFETY_OF_ONE_AND_TWO: &str = "16432 26826 04166 31410 28365 81278 65117 58354";

#[test]
fn a_list_for_people_is_filtered() {
    let (_folder, path) = place();
    done(&path, &[(Deed::Add, person(1, "b\u{2800}b")), (Deed::Ignore, person(2, "mallory"))]);
    let listed = contacts_list(&load(&path).unwrap());
    assert!(!listed.contains('\u{2800}'), "{listed:?}");
    assert!(listed.lines().nth(1).unwrap().contains("mallory") && listed.contains("ignored"), "{listed}");
}

/// A run whose commands come through a pipe; keys and contacts are kept in a folder.
fn living_in(folder: &Path, nick: &str, args: &[&str]) -> Node {
    let mut command = with_identity(nick);
    command.env("XDG_DATA_HOME", folder).args(["--commands", "--listen", "127.0.0.1:0"]).args(args);
    Node::start(nick, command, Stdio::piped())
}

fn told(node: &Node, name: &str, text: &str) -> Value {
    node.wait_for(text, |event| event["event"] == name && event["text"].as_str().unwrap().contains(text))
}

/// The next answer to a command.
fn answer(node: &mut Node, command: &str, name: &str) -> Value {
    let count = |events: &[Value]| events.iter().filter(|event| event["event"] == name).count();
    let before = count(&node.events());
    node.say(command);
    node.wait_until(command, |events| events.iter().filter(|event| event["event"] == name).nth(before).cloned())
}

#[test]
fn a_contact_is_kept_with_where_it_is_and_when_it_was_here() {
    let folder = tempfile::tempdir().unwrap();
    let bob = chatting("bob", &[]);
    let mut alice = living_in(folder.path(), "alice", &[&bob.addr()]);
    alice.wait_for_member("joined", "bob");
    alice.say("/add bob");
    told(&alice, "notice", "bob is a contact now");
    let contacts = answer(&mut alice, "/contacts", "contacts");
    let listed = &contacts["contacts"][0];
    assert_eq!((&listed["id"], &listed["nick"]), (&json!(bob.id()), &json!("bob")));
    assert_eq!(
        (&listed["here"], &listed["verified"], &listed["ignored"]),
        (&json!(true), &json!(false), &json!(false))
    );
    let before = Timestamp::now();
    alice.finish();
    let [kept] = load(&folder.path().join("hobnob/contacts")).unwrap().try_into().unwrap();
    assert_eq!(addresses(&kept), [bob.addr()]);
    assert!(kept.last_seen.unwrap().as_second() >= before.as_second());

    let mut alice = living_in(folder.path(), "alice", &["--no-mesh"]);
    let contacts = answer(&mut alice, "/contacts", "contacts");
    assert_eq!(contacts["contacts"][0]["here"], false);
    alice.say("/remove bob");
    told(&alice, "notice", "bob is no contact any more");
    assert_eq!(answer(&mut alice, "/contacts", "contacts")["contacts"], json!([]));
}

#[test]
fn who_is_meant_has_to_be_clear() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (chatting("bob", &[]), chatting("Bob", &[]));
    let mut alice = living_in(folder.path(), "alice", &[&one.addr(), &two.addr()]);
    alice.wait_for_all(&["bob", "Bob"]);
    for (command, trouble) in [
        ("/add carol", "nobody here or among the contacts is called carol"),
        ("/add alice", "that is you"),
        ("/remove bob", "bob may be any of"),
        ("/ignore bob", "bob may be any of"),
    ] {
        alice.say(command);
        told(&alice, "error", trouble);
    }
    let text = told(&alice, "error", "bob may be any of")["text"].to_string();
    assert!([&one, &two].iter().all(|bob| text.contains(&bob.id()[..8])), "{text}");
    alice.say(&format!("/add bob#{}", &one.id()[..8]));
    told(&alice, "notice", "is a contact now");
    // Only one of them is a contact.
    alice.say("/remove bob");
    told(&alice, "notice", "is no contact any more");
    alice.say("/verify bob maybe");
    told(&alice, "error", "usage: /verify WHO");
}

#[test]
fn an_ignored_person_is_not_shown_in_this_run_nor_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut mallory = chatting("mallory", &[]);
    let addr = mallory.addr();
    let mut alice = living_in(folder.path(), "alice", &[&addr]);
    mallory.say("before");
    alice.wait_for_said("mallory", &["before".to_owned()]);
    alice.say("/ignore mallory");
    told(&alice, "notice", "mallory is ignored");
    mallory.say("hidden");
    mallory.wait_for_said("mallory", &["before".to_owned(), "hidden".to_owned()]);
    let names = answer(&mut alice, "/names", "names");
    let marked = names["members"].as_array().unwrap().iter().find(|member| member["nick"] == "mallory").unwrap();
    assert_eq!(marked["ignored"], true);
    assert_eq!(answer(&mut alice, "/history", "history")["messages"], json!([]));
    assert_eq!(answer(&mut alice, "/search before", "history")["messages"], json!([]));
    alice.finish();

    let mut alice = living_in(folder.path(), "alice", &[&addr]);
    alice.wait_for_member("joined", "mallory");
    alice.wait_for("what it missed", |event| event["event"] == "recovered");
    alice.say("/unignore mallory");
    told(&alice, "notice", "mallory is shown again");
    mallory.say("shown");
    alice.wait_for_said("mallory", &["shown".to_owned()]);
    let history = answer(&mut alice, "/history", "history");
    assert_eq!(history["messages"].as_array().unwrap().len(), 3, "{history}");
}

/// What was refused when it was said was shown to who looked for it in the past.
#[test]
fn the_past_does_not_show_an_impostor_by_a_contacts_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.args(["--json", "--nick", "bob", "--commands", "--stay", "--backlog", "0", "--listen", "127.0.0.1:0"]);
        command.arg("--history").arg(folder.path().join("kept"));
        command.env("XDG_DATA_HOME", folder.path()).env_remove("RUST_LOG");
        Node::start("bob", command, Stdio::piped())
    };
    let bob = run();
    let addr = bob.addr();
    let mut impostor = chatting("alice", &[&addr]);
    impostor.say("send your password to me");
    bob.wait_for_said("alice", &["send your password to me".to_owned()]);
    bob.finish();
    impostor.finish();
    written(
        &folder.path().join("hobnob/contacts"),
        json!({ "id": Identity::from_seed(&[9; 32]).id(), "nick": "alice", "verified": true }).to_string(),
    );
    let mut bob = run();
    for command in ["/history", "/search password"] {
        assert_eq!(answer(&mut bob, command, "history")["messages"], json!([]), "{command}");
    }
    assert!(bob.events().iter().any(|event| event["refused"] == true), "{:?}", bob.events());
}

#[test]
fn people_see_nothing_of_an_ignored_person_coming_and_going() {
    let folder = tempfile::tempdir().unwrap();
    let host = chatting("host", &[]);
    let mallory = undialable("mallory", &[&host.addr()]);
    let id = host.wait_for_member("joined", "mallory")["member"]["id"].clone();
    written(
        &folder.path().join("hobnob/contacts"),
        json!({ "id": id, "nick": "mallory", "ignored": true, "contact": false }).to_string(),
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(["--nick", "alice", "--no-history", "--commands", "--stay", "--no-listen", &host.addr()]);
    command.env("XDG_DATA_HOME", folder.path()).env_remove("RUST_LOG");
    let mut alice = Node::start("alice", command, Stdio::piped());
    alice.wait_for_stderr("host is here");
    mallory.finish();
    host.wait_for_member("left", "mallory");
    let bob = undialable("bob", &[&host.addr()]);
    alice.wait_for_stderr("bob is here");
    bob.finish();
    alice.wait_for_stderr("bob left");
    alice.say("/contacts");
    alice.wait_for_stderr("mallory: ignored, key ");
    let stderr = alice.stderr();
    assert!(!stderr.contains("mallory is here") && !stderr.contains("mallory left"), "{stderr}");
}

#[test]
fn both_ends_are_shown_one_number_and_who_has_another_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut host = chatting("host", &["--commands"]);
    let addr = host.addr();
    let mut alice = living_in(folder.path(), "alice", &[&addr]);
    alice.wait_for_member("joined", "host");
    host.wait_for_member("joined", "alice");
    let safety = answer(&mut alice, "/verify host", "safety");
    assert_eq!(safety["number"], answer(&mut host, "/verify alice", "safety")["number"]);
    assert_eq!((&safety["member"]["id"], &safety["verified"]), (&json!(host.id()), &json!(false)));
    alice.say("/verify host ok");
    told(&alice, "notice", "host is verified");
    assert_eq!(answer(&mut alice, "/verify host", "safety")["verified"], true);

    let mut mallory = undialable("h0st", &[&addr]);
    let alarm = alice.wait_for("the alarm", |event| event["refused"] == true);
    assert_eq!((&alarm["event"], &alarm["member"]["nick"]), (&json!("warning"), &json!("h0st")));
    assert_eq!(alarm["former"]["id"], json!(host.id()));
    mallory.say("I am host");
    mallory.wait_for_said("h0st", &["I am host".to_owned()]);
    let id = alarm["member"]["id"].as_str().unwrap();
    let contacts = answer(&mut alice, "/contacts", "contacts");
    assert_eq!(contacts["refused"], json!([{ "id": id, "nick": "h0st" }]));
    alice.wait_until("that it is not the one", |events| {
        events.iter().any(|event| event["event"] == "joined" && event["member"]["id"] == id).then_some(())
    });
    host.wait_for_said("h0st", &["I am host".to_owned()]);
    host.say("that was not me");
    alice.wait_for_said("host", &["that was not me".to_owned()]);
    alice.say(&format!("/unignore {}", &id[..8]));
    told(&alice, "notice", "is shown again");
    mallory.say("just a joke");
    let said = alice.wait_until("the joke", |events| {
        let said = crate::support::said_by(events, "h0st");
        said.last().is_some_and(|line| line == "just a joke").then_some(said)
    });
    assert_eq!(said, ["just a joke"]);
    alice.say("/verify host no");
    told(&alice, "notice", "is not verified any more");
    assert_eq!(alice.finish().iter().filter(|event| event["refused"] == true).count(), 1, "told once");
}

#[test]
fn on_a_disk_that_takes_nothing_it_is_told_and_holds_for_this_run() {
    let mut mallory = chatting("mallory", &[]);
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("alice.key");
    let args = ["--identity", key.to_str().unwrap(), &mallory.addr()];
    let mut alice = living_in(Path::new(NO_FOLDER), "alice", &args);
    alice.wait_for_member("joined", "mallory");
    alice.say("/ignore mallory");
    told(&alice, "error", "mallory is ignored; /unignore mallory shows it again, but in this run only");
    mallory.say("hidden");
    mallory.wait_for_said("mallory", &["hidden".to_owned()]);
    mallory.say("and gone");
    mallory.finish();
    alice.wait_for_member("left", "mallory");
    assert_eq!(crate::support::said_by(&alice.finish(), "mallory"), [""; 0]);
}

#[test]
fn a_contact_is_dialled_by_its_name_and_nobody_else_is_talked_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let bob = chatting("bob", &[]);
    let file = |contacts: &[Value]| {
        let lines: Vec<String> = contacts.iter().map(ToString::to_string).collect();
        written(&folder.path().join("hobnob/contacts"), lines.join("\n"));
    };
    file(&[json!({ "id": bob.id(), "nick": "bob", "addresses": [bob.addr()] })]);
    for who in ["@bob".to_owned(), format!("@{}", &bob.id()[..6])] {
        let alice = living_in(folder.path(), "alice", &[&who]);
        alice.wait_for_links(&["bob"]);
        alice.finish();
    }
    file(&[json!({ "id": "07".repeat(32), "nick": "bob", "addresses": [bob.addr()] })]);
    let alice = living_in(folder.path(), "alice", &["@bob"]);
    alice.wait_for("a word of the other one there", |event| {
        event["event"] == "warning" && event["text"].as_str().unwrap().contains("host")
    });
    assert!(!alice.finish().iter().any(|event| event["event"] == "linked"));
}

/// A run that does not begin.
fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(args).env("XDG_DATA_HOME", folder).env("XDG_STATE_HOME", NO_FOLDER).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_contact_that_is_not_there_is_a_matter_of_usage() {
    let folder = tempfile::tempdir().unwrap();
    let line = |key: &str, nick: &str, addresses: &[&str], contact: bool| {
        json!({ "id": key.repeat(32), "nick": nick, "addresses": addresses, "contact": contact }).to_string()
    };
    let lines = [
        line("01", "bob", &["127.0.0.1:1"], true),
        line("02", "Bob", &["127.0.0.1:1"], true),
        line("03", "carol", &[], true),
        line("04", "mallory", &["127.0.0.1:1"], false),
    ];
    written(&folder.path().join("hobnob/contacts"), lines.join("\n"));
    for (who, trouble) in [
        ("@dora", "no contact is called dora"),
        ("@mallory", "no contact is called mallory"),
        ("@bob", "@bob may be any of bob#01010101, Bob#02020202"),
        ("@carol", "the contact carol has no address"),
        ("@", "a contact's nick"),
    ] {
        let output = run(folder.path(), &["--ephemeral", "--no-history", who]);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{who}: {stderr}");
        assert!(stderr.contains(trouble), "{who}: {stderr}");
    }
}

#[test]
fn the_contacts_are_listed_for_people_and_for_scripts() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["contacts"][..], &["contacts", "--json"]] {
        let output = run(folder.path(), args);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b""[..]));
    }
    let path = folder.path().join("hobnob/contacts");
    let (bob, mallory) = (person(1, "bob"), person(2, "mallory"));
    done(&path, &[(Deed::Verify, bob.clone()), (Deed::Ignore, mallory)]);
    let mut contacts = Contacts::open(path.clone(), true);
    contacts.observe(&[member(&bob, &["127.0.0.1:9000"])], at(0));
    contacts.close(at(0));
    let output = run(folder.path(), &["contacts"]);
    let listed = String::from_utf8(output.stdout).unwrap();
    let words: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((words[0][..3].to_vec(), words[0][4]), (vec!["bob", "01010101", "verified"], "127.0.0.1:9000"));
    assert_eq!(words[1], ["mallory", "02020202", "ignored,no-contact", "-"]);
    let output = run(folder.path(), &["contacts", "--json"]);
    let told: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(told.len(), 2);
    assert_eq!((&told[0]["nick"], &told[0]["verified"]), (&json!("bob"), &json!(true)));
    assert_eq!(told[1]["ignored"], true);
}
