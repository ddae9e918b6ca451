//! The file of known peers: a line of JSON for each room, nick and key, which people may read and edit.
//!
//! Replaced as a whole: what is there is read again, what is new is put in, and the result is renamed into
//! its place, all under a lock on the folder; so several processes may keep it. A line that is
//! damaged stays as it is, for its owner to look at.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::identity::Id;
use crate::limits::{KNOWN_ENTRIES_MAX, KNOWN_FILE_BYTES_MAX};
use crate::wire::record::Nick;

/// A line of the file: in this room this nick had this key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The room.
    pub room: String,
    /// The nick.
    pub nick: Nick,
    /// The key.
    pub id: Id,
    /// The first day on which they were seen together.
    pub first: Date,
    /// The last one.
    pub last: Date,
}

/// What is wrong with the file. The run goes on; nothing is remembered that day.
#[derive(Debug, Error)]
pub enum KnownError {
    /// It could not be read or written.
    #[error("known peers cannot be kept in {path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It is no file, or longer than such a file gets. It is left alone.
    #[error("known peers cannot be kept in {path}: not a file of less than {KNOWN_FILE_BYTES_MAX} bytes; remove it")]
    Strange {
        /// The file.
        path: PathBuf,
    },
}

/// What the file holds.
#[derive(Debug, Default)]
struct Contents {
    entries: Vec<Entry>,
    /// Lines that are none, and the number of the first.
    damaged: Vec<String>,
    first_damaged: usize,
}

/// All entries. Damaged lines are told in the log.
pub(super) fn load(path: &Path) -> Result<Vec<Entry>, KnownError> {
    let Contents { entries, damaged, first_damaged } = read(path)?;
    if !damaged.is_empty() {
        let (count, path) = (damaged.len(), path.display());
        log::warn!("known peers: {count} damaged in {path}, the first is line {first_damaged}; correct or delete it");
    }
    Ok(entries)
}

/// Puts entries into the file.
pub(super) fn save(path: &Path, new: &[Entry]) -> Result<(), KnownError> {
    let io_error = |error| KnownError::Io { path: path.to_owned(), error };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error)?;
    let lock = fs::File::open(folder).map_err(io_error)?;
    // Given back when `lock` is dropped.
    lock.lock().map_err(io_error)?;
    let contents = read(path)?;
    let entries = merged(contents.entries, new);
    write(path, folder, &entries, &contents.damaged).map_err(io_error)
}

fn read(path: &Path) -> Result<Contents, KnownError> {
    let strange = || KnownError::Strange { path: path.to_owned() };
    // A FIFO would keep a plain open waiting.
    let file = match fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Contents::default());
        }
        opened => opened.map_err(|error| KnownError::Io { path: path.to_owned(), error })?,
    };
    if !file.metadata().is_ok_and(|about| about.is_file() && about.len() < KNOWN_FILE_BYTES_MAX) {
        return Err(strange());
    }
    let mut bytes = Vec::new();
    let taken = file.take(KNOWN_FILE_BYTES_MAX).read_to_end(&mut bytes);
    taken.map_err(|error| KnownError::Io { path: path.to_owned(), error })?;
    let mut contents = Contents::default();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        if let Ok(entry) = serde_json::from_slice(line) {
            contents.entries.push(entry);
        } else {
            if contents.damaged.is_empty() {
                contents.first_damaged = index + 1;
            }
            contents.damaged.push(String::from_utf8_lossy(line).into_owned());
        }
    }
    Ok(contents)
}

/// Old and new ones, each once, with the earliest and the latest day; sorted. Over the bound those worth
/// least are left out.
fn merged(old: Vec<Entry>, new: &[Entry]) -> Vec<Entry> {
    let mut all: BTreeMap<(String, Nick, Id), (Date, Date)> = BTreeMap::new();
    for Entry { room, nick, id, first, last } in old.into_iter().chain(new.iter().cloned()) {
        let days = all.entry((room, nick, id)).or_insert((first, last));
        *days = (days.0.min(first), days.1.max(last));
    }
    let mut entries: Vec<Entry> =
        all.into_iter().map(|((room, nick, id), (first, last))| Entry { room, nick, id, first, last }).collect();
    if entries.len() > KNOWN_ENTRIES_MAX {
        entries.sort_by_key(|entry| std::cmp::Reverse(worth(entry.first, entry.last)));
        entries.truncate(KNOWN_ENTRIES_MAX);
        entries.sort_by(|one, other| (&one.room, &one.nick, one.id).cmp(&(&other.room, &other.nick, other.id)));
    }
    entries
}

/// What has been seen on different days is worth more than what came once: whoever floods a room with
/// names drives out no old acquaintance.
pub(super) fn worth(first: Date, last: Date) -> (i32, Date) {
    (last.since(first).map_or(0, |span| span.get_days()), last)
}

fn write(path: &Path, folder: &Path, entries: &[Entry], damaged: &[String]) -> io::Result<()> {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    for line in damaged {
        text.push_str(line);
        text.push('\n');
    }
    let draft = folder.join(".known");
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}
