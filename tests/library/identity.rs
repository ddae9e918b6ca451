//! Promise: an identity is made once, kept whole and secret, and never silently replaced. Checked on
//! files of a temporary folder, and with many who create the same one at once.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Barrier;

use hobnob::identity::{Id, Identity, IdentityError, key_path};
use hobnob::limits::KEY_FILE_BYTES_MAX;
use hobnob::private::shield_memory;
use nix::sys::resource::{Resource, getrlimit};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_is_made_once_with_its_folders_and_is_the_same_ever_after() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/alice.key");
    let made = Identity::load_or_create(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim_end().len(), 64);
    assert!(!text.contains(&made.id().to_string()), "the file holds the secret half");
    assert_eq!(Identity::load_or_create(&path).unwrap().id(), made.id());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(names.len(), 1, "no draft is left behind");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let id = Identity::load_or_create(&path).unwrap().id();
    for exposed in [0o604, 0o640, 0o666, 0o601] {
        set_mode(&path, exposed);
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(error, IdentityError::Exposed(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("chmod 600") && text.contains(&format!("{exposed:o}")), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
    set_mode(&path, 0o400);
    assert_eq!(Identity::load_or_create(&path).unwrap().id(), id, "stricter is fine");
}

#[test]
fn a_damaged_key_is_refused_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let long = "0".repeat(65);
    let key = "0".repeat(64);
    let two = format!("{key}\n{key}\n");
    let trailing = format!("{key}\nnot a word more");
    // The key alone, but for what lies past the bound.
    let padded = format!("{key}{}x", " ".repeat(KEY_FILE_BYTES_MAX - key.len()));
    for damaged in
        ["", "\n", "not hex", "0123", &long, &"g".repeat(64), &"00".repeat(200), &two, &trailing, &padded, "\0"]
    {
        fs::write(&path, damaged).unwrap();
        set_mode(&path, 0o600);
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(error, IdentityError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("restore it"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), damaged);
    }
}

#[test]
fn white_space_around_a_key_and_capital_digits_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    let id = Identity::load_or_create(&path).unwrap().id();
    let text = fs::read_to_string(&path).unwrap().to_uppercase();
    let padded = format!("{}{}", text, " ".repeat(KEY_FILE_BYTES_MAX - text.len()));
    for same in [text.trim_end().to_owned(), text.replace('\n', "\r\n"), padded] {
        fs::write(&path, same).unwrap();
        assert_eq!(Identity::load_or_create(&path).unwrap().id(), id);
    }
}

#[test]
fn folders_that_are_made_for_a_key_are_closed_to_others() {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    Identity::load_or_create(&folder.path().join("a/b/alice.key")).unwrap();
    assert_eq!((mode(&folder.path().join("a")), mode(&folder.path().join("a/b"))), (0o700, 0o700));
    assert_eq!(mode(folder.path()), 0o755, "one that was there is as it was");
}

#[test]
fn a_link_to_a_key_serves_as_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let (path, link) = (folder.path().join("alice.key"), folder.path().join("link.key"));
    let id = Identity::load_or_create(&path).unwrap().id();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(Identity::load_or_create(&link).unwrap().id(), id);
    set_mode(&path, 0o644);
    assert!(matches!(Identity::load_or_create(&link), Err(IdentityError::Exposed(_))));
}

/// A plain open of a FIFO waits until somebody writes into it.
#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for irregular in [path.as_path(), folder.path(), Path::new("/dev/null")] {
        let error = Identity::load_or_create(irregular).unwrap_err();
        assert!(matches!(&error, IdentityError::File(_)), "{error}");
        let text = error.to_string();
        assert!(text.contains("regular file") && text.contains(irregular.to_str().unwrap()), "{text}");
    }
}

#[test]
fn a_key_of_another_user_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    Identity::load_or_create(&path).unwrap();
    // Only root may give a file away; others cannot come into this case with a key that they can read.
    if std::os::unix::fs::chown(&path, Some(54_321), None).is_ok() {
        let error = Identity::load_or_create(&path).unwrap_err();
        assert!(matches!(error, IdentityError::Exposed(_)), "{error}");
        assert!(error.to_string().contains("uid 54321"), "{error}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Identity::load_or_create(&file.join("alice.key")).unwrap_err();
    assert!(matches!(error, IdentityError::File(_)), "{error}");
    assert!(error.to_string().contains("alice.key"), "{error}");
    assert!(error.to_string().contains("--ephemeral"), "it says what can be done: {error}");
}

#[test]
fn all_who_create_a_key_at_once_get_the_same_one() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = folder.path().join(format!("{round}.key"));
        let start = Barrier::new(8);
        let ids: BTreeSet<Id> = std::thread::scope(|scope| {
            let create = || {
                start.wait();
                Identity::load_or_create(&path).unwrap().id()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(ids.len(), 1, "round {round}");
    }
}

/// Two processes, not only two threads: this test starts itself with a file to create.
#[test]
fn two_processes_that_create_a_key_at_once_get_the_same_one() {
    if let Some(path) = std::env::var_os("HOBNOB_TEST_KEY") {
        let id = Identity::load_or_create(Path::new(&path)).unwrap().id();
        fs::write(std::env::var_os("HOBNOB_TEST_ID").unwrap(), id.to_string()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "identity::two_processes_that_create_a_key_at_once_get_the_same_one";
    let children: Vec<_> = (0..4)
        .map(|child| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", name])
                .env("HOBNOB_TEST_KEY", folder.path().join("alice.key"))
                .env("HOBNOB_TEST_ID", folder.path().join(format!("{child}.id")))
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let ids = (0..4).map(|child| fs::read_to_string(folder.path().join(format!("{child}.id"))).unwrap());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn the_path_of_a_key_stays_in_its_folder_and_differs_by_nick() {
    let folder = key_path("x").unwrap().parent().unwrap().to_owned();
    assert!(folder.ends_with("hobnob/keys"));
    let nicks = ["alice", "..", ".", "../x", "a/b", "a%2fb", "a\\b", "Zoë", "a.b", "~", "%2e", "👩‍🚀", "a_b-c+d"];
    let mut paths = BTreeSet::new();
    for nick in nicks {
        let path = key_path(nick).unwrap();
        assert_eq!(path.parent(), Some(folder.as_path()), "{nick}");
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { panic!("{nick}") };
        assert!(name.strip_suffix(".key").is_some_and(|stem| !stem.is_empty()), "{nick}");
        assert!(paths.insert(path), "{nick}");
    }
}

#[test]
fn an_id_is_64_lower_case_digits() {
    let id = Identity::from_seed(&[1; 32]).id();
    let text = id.to_string();
    assert_eq!(Id::from_hex(text.as_bytes()), Some(id));
    assert_eq!(id.short(), text.chars().take(8).collect::<String>());
    assert_eq!(Id::from_hex(text.to_uppercase().as_bytes()), None);
    assert_eq!(Id::from_hex(&text.as_bytes()[1..]), None);
    assert_eq!(Id::from_hex(format!("{text}00").as_bytes()), None);
    assert_eq!(Id::from_hex(b""), None);
}

#[test]
fn a_signature_is_by_its_key_over_its_hash_and_nothing_else() {
    let (alice, bob) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
    let signature = alice.sign(&[3; 32]);
    assert!(alice.id().verify(&[3; 32], &signature));
    assert!(!alice.id().verify(&[4; 32], &signature));
    assert!(!bob.id().verify(&[3; 32], &signature));
    let mut other = signature;
    other[63] ^= 1;
    assert!(!alice.id().verify(&[3; 32], &other));
    // The neutral point as a key would sign everything.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut forged = [0; 64];
    forged[0] = 1;
    assert!(!Id(neutral).verify(&[3; 32], &forged));
}

#[test]
fn a_shielded_process_leaves_no_core_dump_and_lets_nobody_look_in() {
    shield_memory().unwrap();
    assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
    assert!(!nix::sys::prctl::get_dumpable().unwrap());
}

#[test]
fn a_secret_does_not_show_in_debug_output() {
    let identity = Identity::from_seed(&[9; 32]);
    let text = format!("{identity:?}");
    assert!(text.contains(&identity.id().short()) && !text.contains("0909") && !text.contains("[9"), "{text}");
}

#[test]
fn a_key_is_kept_for_another_nick_unless_that_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let [alice, bob, carol] = ["alice.key", "bob.key", "carol.key"].map(|name| folder.path().join(name));
    let mine = Identity::load_or_create(&alice).unwrap();
    let hers = Identity::load_or_create(&carol).unwrap().id();
    assert_eq!(mine.keep_also(&bob).unwrap(), mine.id());
    assert_eq!(mine.keep_also(&bob).unwrap(), mine.id(), "again is as once");
    assert_eq!(mode(&bob), 0o600);
    assert_eq!(Identity::load_or_create(&bob).unwrap().id(), mine.id());
    assert_eq!(mine.keep_also(&carol).unwrap(), hers);
    assert_eq!(Identity::load_or_create(&carol).unwrap().id(), hers);
    fs::write(&bob, "damaged").unwrap();
    assert!(matches!(mine.keep_also(&bob).unwrap_err(), IdentityError::Damaged { .. }));
}
