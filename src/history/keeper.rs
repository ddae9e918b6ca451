//! The thread `history`: writes what the router gives it, and syncs.
//!
//! A line is on the disk for certain a second after its post came, or when the run has ended. What cannot be written is
//! tried again, and meanwhile nothing more is taken: the room's log is the queue, and what falls out of it is counted
//! there. A line is whole in its file, or taken out of it again. After a sync that failed the system takes for written what
//! may be lost (fsyncgate), and a second one succeeds for nothing: so what is not synced stays in memory, and is written
//! once more in its place.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, at, bounded, never, select};
use jiff::Timestamp;

use super::letters::{Journal, newest};
use super::month::{self, Month};
use super::{line, lock, peers};
use crate::daemon::{Keepsake, Secrets};
use crate::limits::{
    HISTORY_BATCH_BYTES_MAX, HISTORY_BATCHES_MAX, HISTORY_CLOSE_MS_MAX, HISTORY_RETRY_MS, HISTORY_SYNC_MS,
    HISTORY_UNSYNCED_BYTES_MAX, PEERS_SAVE_MS,
};
use crate::room::event::private_messages;
use crate::room::{Acquaintance, Note};
use crate::wire::record::Post;

/// What goes into one write.
const WRITE_BYTES: usize = 256 * 1024;

const SYNC: Duration = Duration::from_millis(HISTORY_SYNC_MS);
const PEERS: Duration = Duration::from_millis(PEERS_SAVE_MS);
const RETRY: Duration = Duration::from_millis(HISTORY_RETRY_MS);

/// Has the disk take what was written to a file.
pub type Sync = fn(&File) -> io::Result<()>;

/// The thread as its owner sees it.
#[derive(Debug)]
pub struct Keeper {
    /// Takes what is to be kept. At the bound the sender has to wait, or come again.
    pub keepsakes: Sender<Keepsake>,
    /// Takes what there is to know of whispers, also while posts cannot be written: whoever has whispered waits for that.
    pub letters: Sender<Secrets>,
    /// Gives the tokens of what private things are kept, or cannot be.
    pub kept: Receiver<u64>,
    /// Dropped to say that the end has come, and nothing more is worth waiting for.
    going: Sender<()>,
    /// Disconnected when the thread has ended.
    done: Receiver<()>,
}

impl Keeper {
    /// Starts it. Without a lock it takes it before it writes. `sync` is `File::sync_data`, but for tests.
    pub fn start(folder: PathBuf, lock: Option<File>, sync: Sync) -> Option<Self> {
        let (keepsakes, inbox) = bounded(HISTORY_BATCHES_MAX);
        let (letters, secrets) = bounded(HISTORY_BATCHES_MAX);
        let (going, gone) = bounded(0);
        let (ends, done) = bounded(0);
        let (tell, kept) = bounded(1);
        let writer = Writer {
            folder: folder.clone(),
            lock,
            open: None,
            journal: Journal::new(folder),
            notes: Vec::new(),
            tokens: Vec::new(),
            tell,
            pending: VecDeque::new(),
            dirty_since: None,
            sync,
            peers: None,
            peers_due: Instant::now(),
            trouble: false,
        };
        let keep = move || {
            let _ends: Sender<()> = ends;
            writer.run(&inbox, &secrets, &gone);
        };
        let started = thread::Builder::new().name("history".to_owned()).spawn(keep);
        started.inspect_err(|error| log::warn!("the history cannot be kept: {error}")).ok()?;
        Some(Self { keepsakes, letters, kept, going, done })
    }

    /// The end: what was given is written and synced, unless that takes too long.
    pub fn close(self) {
        let Self { keepsakes, letters, going, done, .. } = self;
        drop((keepsakes, letters, going));
        if done.recv_timeout(Duration::from_millis(HISTORY_CLOSE_MS_MAX)) == Err(RecvTimeoutError::Timeout) {
            log::warn!("the disk is slow: the last messages may be missing in the history");
        }
    }
}

/// What the thread owns.
struct Writer {
    folder: PathBuf,
    lock: Option<File>,
    open: Option<Open>,
    journal: Journal,
    /// What is private and not written yet,
    notes: Vec<Note>,
    /// and who waits for it.
    tokens: Vec<u64>,
    tell: Sender<u64>,
    /// What is not written yet.
    pending: VecDeque<Arc<Post>>,
    /// Since when something waits to be synced.
    dirty_since: Option<Instant>,
    sync: Sync,
    /// Peers that are not written yet,
    peers: Option<Vec<Acquaintance>>,
    /// and from when on they may be.
    peers_due: Instant,
    /// The last try failed, which was told.
    trouble: bool,
}

/// The file that is written to.
struct Open {
    month: Month,
    file: File,
    /// The same, to write elsewhere than at its end.
    anywhere: File,
    /// Its length: whole lines.
    length: u64,
    /// There is more: a part of a line.
    is_torn: bool,
    /// The last of them, which are not synced,
    unsynced: Vec<u8>,
    /// and how many posts they are.
    unsynced_posts: usize,
    /// A sync has failed: nobody knows what has become of those.
    is_doubtful: bool,
}

impl Open {
    fn new(month: Month, file: File, anywhere: File, length: u64) -> Self {
        let (unsynced, unsynced_posts) = (Vec::new(), 0);
        Self { month, file, anywhere, length, is_torn: false, unsynced, unsynced_posts, is_doubtful: false }
    }

    /// Whether nothing more is written before a sync.
    fn is_full(&self) -> bool {
        self.is_doubtful || self.unsynced.len() >= HISTORY_UNSYNCED_BYTES_MAX
    }

    /// Lines were written.
    fn grew(&mut self, lines: &[u8], posts: usize) {
        self.unsynced.extend_from_slice(lines);
        self.unsynced_posts += posts;
        self.length += lines.len() as u64;
    }

    /// Cuts off a part of a line.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        Ok(())
    }

    fn sync(&mut self, sync: Sync) -> io::Result<()> {
        self.mend()?;
        if self.is_doubtful {
            let start = self.length.saturating_sub(self.unsynced.len() as u64);
            self.anywhere.write_all_at(&self.unsynced, start)?;
        }
        self.is_doubtful = true;
        sync(&self.file)?;
        self.is_doubtful = false;
        self.unsynced_posts = 0;
        self.unsynced.clear();
        // A flood is over some time.
        self.unsynced.shrink_to(HISTORY_BATCH_BYTES_MAX);
        Ok(())
    }
}

/// Why something could not be kept.
enum Fault {
    Io(io::Error),
    /// Another run has taken the folder meanwhile.
    Taken,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

impl Writer {
    fn run(mut self, inbox: &Receiver<Keepsake>, secrets: &Receiver<Secrets>, gone: &Receiver<()>) {
        let nothing = never();
        let mut is_kept = true;
        loop {
            // What cannot be written now is tried again after a while; while there are posts among it no more are taken.
            let due = if is_kept { self.next_due() } else { Instant::now() + RETRY };
            select! {
                recv(if self.pending.is_empty() { inbox } else { &nothing }) -> keepsake => match keepsake {
                    Ok(keepsake) => self.take(keepsake),
                    Err(_) => break,
                },
                recv(secrets) -> secret => match secret {
                    Ok(secret) => self.take_secrets(secret),
                    Err(_) => break,
                },
                recv(gone) -> _ => break,
                recv(at(due)) -> _ => {}
            }
            is_kept = self.keep();
        }
        self.finish(inbox, secrets);
    }

    fn take(&mut self, keepsake: Keepsake) {
        match keepsake {
            Keepsake::Posts(posts) => self.pending.extend(posts),
            Keepsake::Peers(peers) => self.peers = Some(peers),
        }
    }

    fn take_secrets(&mut self, Secrets { notes, token }: Secrets) {
        self.notes.extend(notes);
        self.tokens.extend(token);
    }

    /// When there is something to do although nothing comes.
    fn next_due(&self) -> Instant {
        let sync = self.dirty_since.map(|since| since + SYNC);
        let peers = self.peers.as_ref().map(|_| self.peers_due);
        sync.into_iter().chain(peers).min().unwrap_or_else(|| Instant::now() + RETRY)
    }

    /// Writes what waits, and syncs where it is time; what goes wrong is told once, and once that it is over.
    fn keep(&mut self) -> bool {
        match self.try_keep() {
            Ok(()) => {
                if std::mem::take(&mut self.trouble) {
                    log::warn!("the history is kept again in {}", self.folder.display());
                }
                true
            }
            Err(fault) => {
                self.tell(&fault);
                false
            }
        }
    }

    fn tell(&mut self, fault: &Fault) {
        let folder = self.folder.display();
        if std::mem::replace(&mut self.trouble, true) {
            return;
        }
        match fault {
            Fault::Io(error) => log::warn!("the history cannot be kept in {folder}: {error}; the chat goes on"),
            Fault::Taken => log::warn!("the history cannot be kept in {folder}: another run keeps it"),
        }
    }

    /// Writes what is private. Whoever waits for that hears of it even where it cannot be: it was shown, and a receipt
    /// that never comes would have it sent for ever.
    fn keep_notes(&mut self) -> Result<(), Fault> {
        if self.notes.is_empty() {
            return Ok(());
        }
        let wall = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        let kept = self.take_lock().and_then(|()| Ok(self.journal.keep(&self.notes, wall)?));
        match kept {
            Ok(()) => self.notes.clear(),
            // It may last, and each says more than those before it.
            Err(_) => self.notes = newest(std::mem::take(&mut self.notes)),
        }
        for token in self.tokens.drain(..) {
            // Only one is under way at a time.
            let _ = self.tell.try_send(token);
        }
        kept
    }

    fn try_keep(&mut self) -> Result<(), Fault> {
        self.look_for_files();
        let secrets = self.keep_notes();
        while !self.pending.is_empty() {
            if self.open.as_ref().is_some_and(Open::is_full) {
                self.sync()?;
            }
            self.ready()?;
            self.write_some()?;
        }
        if self.dirty_since.is_some_and(|since| since.elapsed() >= SYNC) {
            self.sync()?;
        }
        if Instant::now() >= self.peers_due {
            self.save_peers()?;
        }
        secrets
    }

    /// Whoever deletes a history while it is kept has a new one begun, and not what comes thrown away with it.
    fn look_for_files(&mut self) {
        let is_gone = |file: &File| file.metadata().is_ok_and(|about| about.nlink() == 0);
        let files = self.lock.iter().chain(self.open.as_ref().map(|open| &open.file));
        if files.into_iter().any(is_gone) {
            log::warn!("the history in {} was deleted: a new one is begun", self.folder.display());
            (self.open, self.lock, self.dirty_since) = (None, None, None);
            self.journal = Journal::new(self.folder.clone());
        }
    }

    fn save_peers(&mut self) -> Result<(), Fault> {
        if self.peers.is_some() {
            self.take_lock()?;
        }
        if let Some(peers) = &self.peers {
            peers::save(&self.folder, peers)?;
            self.peers = None;
            self.peers_due = Instant::now() + PEERS;
        }
        Ok(())
    }

    fn take_lock(&mut self) -> Result<(), Fault> {
        if self.lock.is_none() {
            self.lock = Some(lock(&self.folder)?.ok_or(Fault::Taken)?);
        }
        Ok(())
    }

    /// Opens the file of this month, or of a later one if there is any: a clock that was wrong does not have files
    /// out of order.
    fn ready(&mut self) -> Result<(), Fault> {
        self.take_lock()?;
        let month = Month::of(Timestamp::now());
        if let Some(open) = self.open.as_mut().filter(|open| open.month >= month) {
            return Ok(open.mend()?);
        }
        self.sync()?;
        let newest = month::newest(&self.folder)?.map(|(newest, _)| newest);
        let month = newest.map_or(month.clone(), |newest| newest.max(month));
        let path = month.path(&self.folder);
        let file = fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let anywhere = fs::OpenOptions::new().write(true).open(&path)?;
        // What a write that failed may have left.
        month::cut_torn_line(&path)?;
        let length = file.metadata()?.len();
        if length == 0
            && let Some(folder) = &self.lock
        {
            folder.sync_all()?;
        }
        self.open = Some(Open::new(month, file, anywhere, length));
        Ok(())
    }

    /// Writes some of what waits: whole lines, or none.
    fn write_some(&mut self) -> Result<(), Fault> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut bytes = Vec::with_capacity(WRITE_BYTES + WRITE_BYTES / 4);
        let mut ends = Vec::new();
        for post in &self.pending {
            line::push(&post.frame, &mut bytes);
            ends.push(bytes.len());
            if bytes.len() >= WRITE_BYTES {
                break;
            }
        }
        let (written, result) = write_counted(&mut open.file, &bytes);
        let whole = ends.iter().take_while(|end| **end <= written).count();
        let whole_bytes = whole.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        self.pending.drain(..whole);
        open.grew(bytes.get(..whole_bytes).unwrap_or_default(), whole);
        if whole > 0 {
            self.dirty_since.get_or_insert_with(Instant::now);
        }
        open.is_torn = written > whole_bytes;
        let mended = open.mend();
        Ok(result.and(mended)?)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.dirty_since.is_some()
            && let Some(open) = &mut self.open
        {
            open.sync(self.sync)?;
            self.dirty_since = None;
        }
        Ok(())
    }

    /// What has come until the end is tried once; what is left out is counted.
    fn finish(mut self, inbox: &Receiver<Keepsake>, secrets: &Receiver<Secrets>) {
        inbox.try_iter().for_each(|keepsake| self.take(keepsake));
        secrets.try_iter().for_each(|secret| self.take_secrets(secret));
        let tried = [self.try_keep(), self.sync().map_err(Fault::from), self.save_peers()];
        if let Some(fault) = tried.into_iter().find_map(Result::err) {
            self.tell(&fault);
        }
        let doubtful = self.open.as_ref().filter(|open| open.is_doubtful).map_or(0, |open| open.unsynced_posts);
        let last = doubtful + self.pending.len();
        if doubtful > 0 {
            log::warn!("the last {last} messages may be missing in the history");
        } else if last > 0 {
            log::warn!("the last {last} messages are missing in the history");
        }
        let unsent = newest(self.notes).iter().filter(|note| matches!(note, Note::Waits(_))).count();
        if unsent > 0 {
            let verb = if unsent == 1 { "waits" } else { "wait" };
            log::warn!("{} that {verb} could not be kept, and will not be sent", private_messages(unsent));
        }
    }
}

/// Writes as much as can be written; how much that was.
fn write_counted(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
