//! Promise: a name finds the remembered room that it means: the closed one, by name or by tag, and says so where that
//! is not clear; the file keeps what several runs put there, and what people damage. Checked on the table and on
//! files, with no program.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use hobnob::identity::Identity;
use hobnob::limits::{ROOM_HOSTS_MAX, ROOM_TAG_DIGITS_MIN, ROOMS_MAX};
use hobnob::rooms::{ForgetError, KnownHost, NameError, Remembered, Rooms, forget, load, remember};
use hobnob::secret::RoomSecret;
use jiff::Timestamp;

fn secret(byte: u8) -> RoomSecret {
    RoomSecret::from_bytes(&[byte; 32]).unwrap()
}

/// A room that was used at that second.
fn known(room: &str, key: Option<u8>, second: i64) -> Remembered {
    Remembered {
        room: room.to_owned(),
        key: key.map(secret),
        hosts: Vec::new(),
        last_used: Timestamp::from_second(second).unwrap(),
        more: BTreeMap::new(),
    }
}

fn host(port: u16) -> KnownHost {
    KnownHost { addr: format!("host.example:{port}").parse().unwrap(), id: Some(Identity::from_seed(&[1; 32]).id()) }
}

#[test]
fn a_name_means_the_closed_room_and_else_the_open_one() {
    let rooms = Rooms::new(vec![known("tea", None, 9), known("tea", Some(1), 1), known("coffee", None, 1)]);
    assert_eq!(rooms.find("tea"), Ok(Some(&known("tea", Some(1), 1))));
    assert_eq!(rooms.find("coffee"), Ok(Some(&known("coffee", None, 1))));
    assert_eq!(rooms.find("milk"), Ok(None));
    assert_eq!(rooms.find("coffee#1a2b"), Ok(None), "an open room has no tag");
    assert_eq!(rooms.label("tea", Some(&secret(1))), "tea");
    assert_eq!(rooms.iter().map(|room| room.last_used.as_second()).collect::<Vec<_>>(), [9, 1, 1]);
}

#[test]
fn two_closed_rooms_of_one_name_are_told_apart_by_their_tags() {
    // As many as make some tags begin alike.
    let all: Vec<Remembered> = (0..=255).map(|byte| known("tea", Some(byte), 1)).collect();
    let rooms = Rooms::new(all.clone());
    let Err(NameError::Several { labels }) = rooms.find("tea") else { unreachable!("256 rooms have that name") };
    assert_eq!(labels.len(), 256);
    for room in &all {
        let label = rooms.label_of(room);
        assert!(labels.contains(&label), "{label}");
        assert_eq!(rooms.find(&label), Ok(Some(room)), "{label}");
        assert_eq!(rooms.find(&label.to_uppercase().replace("TEA", "tea")), Ok(Some(room)));
    }
    let two = Rooms::new(vec![known("tea", Some(1), 1), known("tea", Some(2), 2)]);
    let label = two.label_of(&known("tea", Some(2), 2));
    assert_eq!(label.len(), "tea#".len() + ROOM_TAG_DIGITS_MIN);
    // A room that is not remembered yet is called so, too.
    assert!(two.label("tea", Some(&secret(3))).starts_with("tea#"));
    assert_eq!(two.label("tea", None), "tea");
    assert!(matches!(two.find("tea#0000"), Err(NameError::NoTag { .. })), "no open room is founded by a wrong tag");
    assert_eq!(two.find("tea#000"), Ok(None), "that is a name");
    // A room may really be called so.
    let odd = Rooms::new(vec![known("tea", Some(2), 2), known(&label, None, 1)]);
    assert_eq!(odd.find(&label), Ok(Some(&known(&label, None, 1))));
}

#[test]
fn what_is_remembered_comes_back_and_only_its_owner_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hobnob/rooms");
    assert!(load(&path).unwrap().is_empty());
    let mut tea = known("tea", Some(1), 5);
    tea.hosts = vec![host(1), host(2)];
    remember(&path, &tea).unwrap();
    remember(&path, &known("coffee", None, 6)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(load(&path).unwrap().iter().cloned().collect::<Vec<_>>(), [known("coffee", None, 6), tea.clone()]);
    // Newer hosts stand first, and the older ones stay.
    remember(&path, &Remembered { hosts: vec![host(3), host(2)], ..known("tea", Some(1), 7) }).unwrap();
    let ports = |path| -> Vec<u16> {
        load(path).unwrap().find("tea").unwrap().unwrap().hosts.iter().map(|host| host.addr.port).collect()
    };
    assert_eq!(ports(&path), [3, 2, 1]);
    let many = (10..).take(ROOM_HOSTS_MAX).map(host).collect();
    remember(&path, &Remembered { hosts: many, ..known("tea", Some(1), 8) }).unwrap();
    assert_eq!((ports(&path).len(), ports(&path).first()), (ROOM_HOSTS_MAX, Some(&10)));
}

#[test]
fn one_room_too_many_drives_out_the_one_that_was_used_longest_ago() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rooms");
    let line = |number: usize| {
        let room = known(&format!("room {number}"), Some(1), 1_000 - i64::try_from(number).unwrap());
        serde_json::to_string(&room).unwrap() + "\n"
    };
    fs::write(&path, (0..ROOMS_MAX).map(line).collect::<String>()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    remember(&path, &known("room 0", Some(1), 2_000)).unwrap();
    let names = |path| load(path).unwrap().iter().map(|room| room.room.clone()).collect::<Vec<_>>();
    assert_eq!(names(&path).len(), ROOMS_MAX);
    remember(&path, &known("new", None, 3_000)).unwrap();
    let names = names(&path);
    assert_eq!((names.len(), names.first().unwrap().as_str()), (ROOMS_MAX, "new"));
    assert_eq!(names.last().unwrap(), &format!("room {}", ROOMS_MAX - 2));
}

#[test]
fn a_file_that_others_can_read_is_refused_and_a_damaged_line_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rooms");
    remember(&path, &known("tea", Some(1), 1)).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let cut = whole.replace("hobnobkey1a", "hobnobkey1b");
    fs::write(&path, format!("{cut}{whole}")).unwrap();
    assert_eq!(load(&path).unwrap().iter().count(), 1);
    remember(&path, &known("coffee", None, 2)).unwrap();
    assert!(fs::read_to_string(&path).unwrap().contains(cut.trim()), "it stays as it was");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let told = load(&path).unwrap_err().to_string();
    assert!(told.contains("chmod 600") && told.contains("640"), "{told}");
    assert!(remember(&path, &known("milk", None, 3)).is_err(), "nor is anything put there");
}

#[test]
fn a_room_is_forgotten_by_its_name_or_by_its_tag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rooms");
    for room in [known("tea", Some(1), 1), known("tea", Some(2), 2), known("coffee", None, 3)] {
        remember(&path, &room).unwrap();
    }
    assert!(matches!(forget(&path, "milk"), Err(ForgetError::Unknown(name)) if name == "milk"));
    assert!(matches!(forget(&path, "tea"), Err(ForgetError::Name(NameError::Several { .. }))));
    assert_eq!(load(&path).unwrap().iter().count(), 3);
    let label = load(&path).unwrap().label("tea", Some(&secret(1)));
    forget(&path, &label).unwrap();
    assert_eq!(load(&path).unwrap().find("tea"), Ok(Some(&known("tea", Some(2), 2))));
    forget(&path, "tea").unwrap();
    forget(&path, "coffee").unwrap();
    assert!(load(&path).unwrap().is_empty());
}

#[test]
fn what_many_put_there_at_once_is_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rooms");
    let threads: Vec<_> = (0..16)
        .map(|number| {
            let path = path.clone();
            thread::spawn(move || remember(&path, &known(&format!("room {number}"), Some(number), 1)).unwrap())
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(load(&path).unwrap().iter().count(), 16);
}

#[test]
fn a_key_does_not_show_in_debug_output() {
    let shown = format!("{:?}", known("tea", Some(7), 1));
    assert!(shown.contains("RoomSecret") && !shown.contains("7, 7") && !shown.contains("hobnobkey"), "{shown}");
}
