//! Promise: what a disk was given and did not take for certain is given to it once more. After a sync that failed the
//! system may have thrown away what it had been given, and say that all is well from then on; no line is lost by that, none is
//! kept twice, and what waits in memory is bounded. Checked with a keeper whose syncs fail, on its file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hobnob::daemon::{Keepsake, Secrets};
use hobnob::history::{Keeper, Sync};
use hobnob::identity::Identity;
use hobnob::limits::{FRAME_BYTES_MAX, HISTORY_UNSYNCED_BYTES_MAX, LETTERS_FILE_BYTES_MAX};
use hobnob::room::{Heard, Note};
use hobnob::wire::frame::MESSAGE_END;
use hobnob::wire::record::{Domain, Draft, FeedId, Header, Nick, Post};

/// Far more than anything takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// What goes into one write of the keeper, at most: a line over a quarter of a mebibyte.
const WRITE_BYTES_MAX: u64 = 256 * 1024 + 2 * FRAME_BYTES_MAX as u64;

/// Posts of one feed, by their numbers.
fn posts(numbers: std::ops::RangeInclusive<u64>, bytes: usize) -> Vec<Arc<Post>> {
    let identity = Identity::from_seed(&[1; 32]);
    let feed = FeedId { author: identity.id(), session: 1 };
    let nick = Nick::new("alice").expect("a nick");
    let text = "x".repeat(bytes);
    let say = Draft::Say { text: &text, action: false, part: false };
    let post = |number| {
        let header = Header { feed, number, at: 1_790_000_000_000 + number, nick: &nick, ack: false };
        Arc::new(Post::encode(&header, &say, &Domain::of_room("lobby"), &identity))
    };
    numbers.map(post).collect()
}

fn keeper(folder: &Path, sync: Sync) -> Keeper {
    Keeper::start(folder.to_owned(), None, sync).expect("a thread")
}

fn file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let months: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    assert_eq!(months.len(), 1, "a test that runs over the end of a month is run again: {months:?}");
    months.first().expect("there is one").clone()
}

/// The numbers of the posts in the file, each checked to be as it was signed.
fn kept(folder: &Path) -> Vec<u64> {
    let bytes = fs::read(file(folder)).expect("it can be read");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let number = |line: &[u8]| {
        let post = Post::decode(&[line, MESSAGE_END].concat()).expect("each line is a post");
        post.verify(&Domain::of_room("lobby")).expect("as its author signed it");
        post.number
    };
    lines.map(number).collect()
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_a_failed_sync_has_lost_is_written_again_in_its_place_and_once() {
    static SYNCS: AtomicUsize = AtomicUsize::new(0);
    static SAFE: AtomicU64 = AtomicU64::new(0);
    /// The second one fails, and what was written since the first is gone.
    fn sync(file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        if SYNCS.fetch_add(1, Ordering::SeqCst) == 1 {
            let safe = SAFE.load(Ordering::SeqCst);
            // The keeper's handle writes at the end only.
            let path = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))?;
            let gone = vec![0; usize::try_from(length - safe).expect("little")];
            fs::OpenOptions::new().write(true).open(path)?.write_all_at(&gone, safe)?;
            return Err(io::Error::other("the disk has lost something"));
        }
        SAFE.store(length, Ordering::SeqCst);
        file.sync_data()
    }
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = keeper(folder.path(), sync);
    keeper.keepsakes.send(Keepsake::Posts(posts(1..=10, 100))).expect("it listens");
    wait_for("the first sync", || SYNCS.load(Ordering::SeqCst) == 1);
    keeper.keepsakes.send(Keepsake::Posts(posts(11..=20, 100))).expect("it listens");
    wait_for("the second sync", || SYNCS.load(Ordering::SeqCst) == 2);
    keeper.keepsakes.send(Keepsake::Posts(posts(21..=30, 100))).expect("it listens");
    keeper.close();
    assert!(kept(folder.path()).into_iter().eq(1..=30), "{:?}", kept(folder.path()));
    assert!(SYNCS.load(Ordering::SeqCst) >= 3);
}

#[test]
fn nothing_more_is_written_while_syncs_fail() {
    static SYNCS: AtomicUsize = AtomicUsize::new(0);
    fn sync(_: &File) -> io::Result<()> {
        SYNCS.fetch_add(1, Ordering::SeqCst);
        Err(io::Error::other("the disk takes nothing"))
    }
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = keeper(folder.path(), sync);
    keeper.keepsakes.send(Keepsake::Posts(posts(1..=10, 100))).expect("it listens");
    wait_for("the first sync", || SYNCS.load(Ordering::SeqCst) == 1);
    keeper.keepsakes.send(Keepsake::Posts(posts(11..=20, 100))).expect("it listens");
    keeper.close();
    assert!(kept(folder.path()).into_iter().eq(1..=10), "{:?}", kept(folder.path()));
}

#[test]
fn a_flood_is_synced_before_more_of_it_waits_than_the_bound() {
    static SAFE: AtomicU64 = AtomicU64::new(0);
    static MOST: AtomicU64 = AtomicU64::new(0);
    fn sync(file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        let fresh = length - SAFE.swap(length, Ordering::SeqCst);
        MOST.fetch_max(fresh, Ordering::SeqCst);
        Ok(())
    }
    let folder = tempfile::tempdir().expect("a folder");
    let keeper = keeper(folder.path(), sync);
    let count = 3 * HISTORY_UNSYNCED_BYTES_MAX as u64 / 50_000;
    let starts = (1..=count).step_by(20);
    // All at once: nothing is synced for its age.
    let batches: Vec<Vec<Arc<Post>>> = starts.map(|first| posts(first..=(first + 19).min(count), 50_000)).collect();
    for batch in batches {
        keeper.keepsakes.send_timeout(Keepsake::Posts(batch), PATIENCE).expect("it listens");
    }
    keeper.close();
    assert!(kept(folder.path()).into_iter().eq(1..=count));
    let most = MOST.load(Ordering::SeqCst);
    assert!(most <= HISTORY_UNSYNCED_BYTES_MAX as u64 + WRITE_BYTES_MAX, "{most} bytes waited");
}

/// What is known of a whisper that was shown.
fn shown(number: u64, token: u64) -> Secrets {
    let from = Identity::from_seed(&[2; 32]).id();
    let at = u64::try_from(jiff::Timestamp::now().as_millisecond()).expect("it is after 1970");
    Secrets { notes: vec![Note::Heard(Heard { from, stream: 1, number, at })], token: Some(token) }
}

/// A whisper's sender waits for that: it was shown, and without a receipt it would be sent for ever.
#[test]
fn what_is_private_is_answered_although_nothing_can_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a file");
    fs::write(&file, "no folder").expect("a file");
    let keeper = keeper(&file.join("history"), File::sync_data);
    keeper.keepsakes.send(Keepsake::Posts(posts(1..=3, 100))).expect("it listens");
    for token in 1..=5 {
        keeper.letters.send(shown(token, token)).expect("it listens");
        assert_eq!(keeper.kept.recv_timeout(PATIENCE), Ok(token));
    }
    keeper.close();
}

#[test]
fn a_history_that_is_deleted_meanwhile_is_begun_anew() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("history");
    let keeper = keeper(&folder, File::sync_data);
    keeper.keepsakes.send(Keepsake::Posts(posts(1..=3, 100))).expect("it listens");
    keeper.letters.send(shown(1, 1)).expect("it listens");
    assert_eq!(keeper.kept.recv_timeout(PATIENCE), Ok(1));
    wait_for("the first posts", || folder.is_dir() && fs::read_dir(&folder).expect("a folder").count() > 1);
    fs::remove_dir_all(&folder).expect("it can be deleted");
    keeper.keepsakes.send(Keepsake::Posts(posts(4..=6, 100))).expect("it listens");
    keeper.letters.send(shown(2, 2)).expect("it listens");
    assert_eq!(keeper.kept.recv_timeout(PATIENCE), Ok(2));
    keeper.close();
    assert_eq!(kept(&folder), [4, 5, 6]);
    let letters = fs::read_to_string(folder.join("whispers")).expect("it is kept");
    assert!(letters.contains("\"number\":2"), "{letters}");
}

/// It may have what waits for months, and somebody's hand or another program has made it what it is.
#[test]
fn a_file_of_letters_that_cannot_be_read_is_left_alone_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let letters = folder.path().join("whispers");
    let file = File::create(&letters).expect("a file");
    file.set_len(LETTERS_FILE_BYTES_MAX + 1).expect("a sparse file");
    let keeper = keeper(folder.path(), File::sync_data);
    keeper.letters.send(shown(1, 1)).expect("it listens");
    assert_eq!(keeper.kept.recv_timeout(PATIENCE), Ok(1));
    keeper.keepsakes.send(Keepsake::Posts(posts(1..=3, 100))).expect("it listens");
    keeper.close();
    assert_eq!(kept(folder.path()), [1, 2, 3]);
    assert_eq!(file.metadata().expect("it is there").len(), LETTERS_FILE_BYTES_MAX + 1);
    assert_eq!(fs::metadata(&letters).expect("it is there").len(), LETTERS_FILE_BYTES_MAX + 1);
}
