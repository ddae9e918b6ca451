//! The file of known peers: a line of JSON for each room, nick and key, which people may read and edit.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::identity::Id;
use crate::limits::{KNOWN_ENTRIES_MAX, KNOWN_FILE_BYTES_MAX};
use crate::lines::{LinesError, LinesFile};
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

/// All entries. Damaged lines are told in the log.
pub(super) fn load(path: &Path) -> Result<Vec<Entry>, LinesError> {
    file(path).load()
}

/// Puts entries into the file.
pub(super) fn save(path: &Path, new: &[Entry]) -> Result<(), LinesError> {
    file(path).update(|old| merged(old, new)).map(drop)
}

fn file(path: &Path) -> LinesFile {
    LinesFile { what: "known peers", path: path.to_owned(), bytes_max: KNOWN_FILE_BYTES_MAX, is_secret: false }
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
