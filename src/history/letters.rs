//! The file `whispers` of a history: those that wait for their readers, sealed, and up to where those of others were shown.
//!
//! A line of JSON for each change, added at its end; the file is replaced by what is left of it when it has grown to four
//! times that. There is no text in it that its owner's key opens. A torn last line is cut off, a damaged one skipped.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::whole;
use crate::identity::Id;
use crate::limits::{LETTERS_FILE_BYTES_MAX, LETTERS_FILE_BYTES_MIN, WHISPER_REMEMBERED_MS};
use crate::room::{Heard, Letter, Letters, Note};

/// The file's name.
const NAME: &str = "whispers";

/// What there is, by what tells one from another: sender or reader, and stream; of a letter its number, too.
#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<(Id, u64, u64), Letter>,
    heard: BTreeMap<(Id, u64), Heard>,
}

impl State {
    fn apply(&mut self, note: Note) {
        match note {
            Note::Waits(letter) => {
                self.waiting.insert((letter.to, letter.stream, letter.number), letter);
            }
            Note::Over { to, stream, number } => {
                self.waiting.retain(|place, _| *place < (to, stream, 0) || *place > (to, stream, number));
            }
            Note::Heard(heard) => {
                let known = self.heard.entry((heard.from, heard.stream)).or_insert(heard);
                if heard.number >= known.number {
                    *known = heard;
                }
            }
        }
    }

    /// What is remembered for long enough goes.
    fn forget(&mut self, wall: u64) {
        let oldest = wall.saturating_sub(WHISPER_REMEMBERED_MS);
        self.heard.retain(|_, heard| heard.at >= oldest);
    }

    fn lines(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let waiting = self.waiting.values().cloned().map(Note::Waits);
        for note in waiting.chain(self.heard.values().copied().map(Note::Heard)) {
            push(&note, &mut bytes)?;
        }
        Ok(bytes)
    }
}

fn push(note: &Note, bytes: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *bytes, note)?;
    bytes.push(b'\n');
    Ok(())
}

/// What some notes come to: no more than there is of whispers and streams.
pub(super) fn newest(notes: Vec<Note>) -> Vec<Note> {
    let mut over: BTreeMap<(Id, u64), Note> = BTreeMap::new();
    let mut state = State::default();
    for note in notes {
        if let Note::Over { to, stream, .. } = &note {
            over.insert((*to, *stream), note.clone());
        }
        state.apply(note);
    }
    let State { waiting, heard } = state;
    let waiting = waiting.into_values().map(Note::Waits);
    over.into_values().chain(waiting).chain(heard.into_values().map(Note::Heard)).collect()
}

/// Reads what the last run has left; what is wrong with it is told in the log.
pub(super) fn load(folder: &Path) -> Letters {
    let State { waiting, heard } = read(folder).unwrap_or_else(|error| {
        log::warn!("the private messages that wait cannot be read: {error}");
        State::default()
    });
    let mut waiting: Vec<Letter> = waiting.into_values().collect();
    waiting.sort_by_key(|letter| (letter.to, letter.at, letter.stream, letter.number));
    Letters { waiting, heard: heard.into_values().collect() }
}

fn read(folder: &Path) -> io::Result<State> {
    let path = folder.join(NAME);
    let mut state = State::default();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let bytes = whole::read(&path, LETTERS_FILE_BYTES_MAX).map_err(named)?;
    let mut damaged = 0;
    // Behind the last newline nothing stands, or a line that was not written to its end.
    let whole =
        bytes.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| bytes.get(..end).unwrap_or_default());
    for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(note) => state.apply(note),
            Err(_) => damaged += 1,
        }
    }
    if damaged > 0 {
        log::warn!("history: {damaged} damaged lines in {} are skipped", path.display());
    }
    Ok(state)
}

/// The file as it is written. The caller holds the lock of the folder.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    state: State,
    file: Option<File>,
    bytes: u64,
    /// How long it was when it was last written anew.
    bytes_then: u64,
}

impl Journal {
    /// What is there is read when something is to be written.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, state: State::default(), file: None, bytes: 0, bytes_then: 0 }
    }

    /// Writes changes, and has the disk take them.
    pub(super) fn keep(&mut self, notes: &[Note], wall: u64) -> io::Result<()> {
        if self.file.is_none() {
            // What cannot be read is not replaced, either.
            self.state = read(&self.folder)?;
        }
        let mut bytes = Vec::new();
        for note in notes {
            push(note, &mut bytes)?;
            self.state.apply(note.clone());
        }
        let is_long = self.bytes > LETTERS_FILE_BYTES_MIN.max(4 * self.bytes_then);
        let Some(file) = self.file.as_mut().filter(|_| !is_long) else {
            return self.replace(wall);
        };
        // Half a line would take the next one with it: after a fault all is written anew.
        let written = file.write_all(&bytes).and_then(|()| file.sync_data());
        self.bytes += bytes.len() as u64;
        if written.is_err() {
            self.file = None;
        }
        written
    }

    /// Writes all that is left in place of what there was.
    fn replace(&mut self, wall: u64) -> io::Result<()> {
        self.file = None;
        self.state.forget(wall);
        let bytes = self.state.lines()?;
        let file = whole::replace(&self.folder, NAME, &bytes)?;
        File::open(&self.folder)?.sync_all()?;
        (self.bytes, self.bytes_then) = (bytes.len() as u64, bytes.len() as u64);
        self.file = Some(file);
        Ok(())
    }
}
