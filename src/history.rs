//! The history: what this identity has seen of a room, on disk, across runs.
//!
//! A folder for each identity, room and secret, `ROOM-TAG`, closed to others, with a file for each month,
//! `YYYY-MM.jsonl`: a line for each post, as its author signed it, in the order in which this node appended them. Lines
//! are only ever added. Beside them, in `peers`, stands whom this node had links with, and in `whispers` what is
//! private and waits. One run writes at a time and holds a
//! lock on the folder; others read.
//!
//! The thread `history` writes what the router gives it, in batches, and syncs every second and at the end
//! (`keeper`). At the start the newest posts go into the room again (`load`): signatures are checked, a last line that
//! is not complete is cut off, a damaged one is skipped, and both are told. `query` reads for people; `peers` is whom the
//! next run looks for.

mod back;
mod keeper;
mod letters;
mod line;
mod load;
mod month;
mod peers;
pub mod query;
mod whole;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::identity::{Id, IdentityError};
use crate::room::{Acquaintance, Past};
use crate::secret::RoomSecret;
use crate::wire::record::Domain;

pub use keeper::{Keeper, Sync};

/// Before what the tag of a folder is the hash of.
const TAG_CONTEXT: &str = "hobnob 1 history folder";

/// Digits of the tag: enough to tell the rooms of one name apart, too few to say anything of the secret.
const TAG_DIGITS: usize = 12;

/// What the start of a run finds.
#[derive(Debug)]
pub struct Opened {
    /// What earlier runs have kept.
    pub past: Past,
    /// The peers that the last run had links with, the latest first.
    pub acquaintances: Vec<Acquaintance>,
    /// Who keeps what comes; nobody where another run does.
    pub keeper: Option<Keeper>,
}

/// Where histories are kept: `hobnob/history` under the XDG state folder.
pub fn state_folder() -> Result<PathBuf, IdentityError> {
    use etcetera::base_strategy::{BaseStrategy, Xdg};
    let base = Xdg::new().map_err(|_| IdentityError::Homeless)?;
    Ok(base.state_dir().unwrap_or_else(|| base.home_dir().join(".local/state")).join("hobnob/history"))
}

/// The folder of a room as an identity knows it. The same name with another secret is another room.
pub fn folder_of(base: &Path, room: &str, me: &Id, secret: Option<&RoomSecret>) -> PathBuf {
    let mut hasher = blake3::Hasher::new_derive_key(TAG_CONTEXT);
    hasher.update(&me.0).update(&[u8::from(secret.is_some())]);
    if let Some(secret) = secret {
        hasher.update(secret.bytes());
    }
    hasher.update(room.as_bytes());
    let tag: String = hasher.finalize().to_hex().chars().take(TAG_DIGITS).collect();
    let plain = |letter: char| if letter.is_alphanumeric() { letter } else { '_' };
    let name: String = room.chars().map(plain).collect();
    base.join(format!("{name}-{tag}"))
}

/// Opens a room's history: what it holds, and who goes on with it. What is wrong is told in the log; the chat goes
/// on without.
pub fn open(folder: &Path, room: &str, me: Id, wall: u64) -> Opened {
    let lock = lock(folder);
    if let Ok(Some(_)) = &lock {
        match month::newest(folder).and_then(|newest| newest.map_or(Ok(0), |(_, path)| month::cut_torn_line(&path))) {
            Ok(0) => {}
            Ok(bytes) => log::warn!(
                "history: the last line in {} was not complete, and was cut off ({bytes} bytes)",
                folder.display()
            ),
            // The keeper tries again, and tells.
            Err(error) => log::info!("history: {error}"),
        }
    }
    let mut past = load::load(folder, &Domain::of_room(room), me, wall).unwrap_or_else(|error| {
        log::warn!("the history in {} cannot be read: {error}", folder.display());
        Past::default()
    });
    // What waits is sent by the run that can tell when it does no longer.
    if !matches!(lock, Ok(None)) {
        past.letters = letters::load(folder);
    }
    let keeper = match lock {
        Ok(None) => {
            log::warn!("another run of this identity keeps the history of this room: this one does not");
            None
        }
        Ok(lock) => Keeper::start(folder.to_owned(), lock, File::sync_data),
        Err(_) => Keeper::start(folder.to_owned(), None, File::sync_data),
    };
    Opened { past, acquaintances: peers::load(folder), keeper }
}

/// Makes the folder and takes the right to write there, which is given back when the file is dropped; `None` where
/// another run has it.
fn lock(folder: &Path) -> io::Result<Option<File>> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let handle = File::open(folder)?;
    match handle.try_lock() {
        Ok(()) => Ok(Some(handle)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
