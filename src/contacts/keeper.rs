//! The thread `contacts`, which keeps the file, so that no disk holds up the chat; and what it was given and
//! will be given, as the table's owner sees it.
//!
//! One lot of changes is under way at a time; what comes meanwhile waits for its answer. Changes that could
//! not be written go along with the next ones.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::{CONTACTS_MAX, CONTACTS_SAVE_MS_MAX};
use crate::lines::LinesError;

use super::file;
use super::{Change, Contact, Full, Told};

/// What has become of a lot of changes: what the file holds now.
#[derive(Debug)]
pub struct Kept(Result<(Vec<Contact>, Result<(), Full>), LinesError>);

/// Changes, and what to tell when they are kept.
#[derive(Debug, Default)]
struct Lot {
    changes: Vec<Change>,
    notes: Vec<String>,
}

/// The thread as its owner sees it.
#[derive(Debug)]
pub(super) struct Keeper {
    lots: Sender<Vec<Change>>,
    answers: Receiver<Kept>,
    under_way: Option<Lot>,
    waiting: Lot,
    /// Changes that could not be written; they hold for this run.
    unkept: Vec<Change>,
    /// A fault that nobody asked about was told.
    told: bool,
}

impl Keeper {
    pub(super) fn start(path: PathBuf) -> io::Result<Self> {
        let (lots, inbox) = bounded(1);
        let (outbox, answers) = bounded(1);
        thread::Builder::new().name("contacts".to_owned()).spawn(move || keep(&path, &inbox, &outbox))?;
        Ok(Self { lots, answers, under_way: None, waiting: Lot::default(), unkept: Vec::new(), told: false })
    }

    /// Where answers come from, each for `take`.
    pub(super) fn answers(&self) -> Receiver<Kept> {
        self.answers.clone()
    }

    /// Has changes kept.
    pub(super) fn put(&mut self, changes: Vec<Change>, note: Option<String>) {
        self.waiting.changes.extend(changes);
        self.waiting.notes.extend(note);
        self.hand_over();
    }

    /// What an answer means: what the file holds, and what to tell.
    pub(super) fn take(&mut self, Kept(result): Kept) -> (Option<Vec<Contact>>, Vec<Told>) {
        let Lot { changes, notes } = self.under_way.take().unwrap_or_default();
        let outcome = match result {
            Ok((people, Ok(()))) => (Some(people), notes.into_iter().map(Told::Note).collect()),
            Ok((people, Err(full))) => (Some(people), vec![Told::Trouble(full.to_string())]),
            Err(error) => {
                self.unkept.extend(changes);
                // The oldest of them go: whoever changes so many by hand has been told often.
                let surplus = self.unkept.len().saturating_sub(CONTACTS_MAX);
                self.unkept.drain(..surplus);
                if notes.is_empty() && !std::mem::replace(&mut self.told, true) {
                    log::warn!("{error}");
                }
                let in_vain = |note| Told::Trouble(format!("{note}, but in this run only: {error}"));
                (None, notes.into_iter().map(in_vain).collect())
            }
        };
        self.hand_over();
        outcome
    }

    /// What the file may not have yet.
    pub(super) fn outstanding(&self) -> impl Iterator<Item = &Change> {
        let under_way = self.under_way.iter().flat_map(|lot| &lot.changes);
        self.unkept.iter().chain(under_way).chain(&self.waiting.changes)
    }

    fn hand_over(&mut self) {
        if self.under_way.is_some() || self.waiting.changes.is_empty() {
            return;
        }
        let Lot { changes, notes } = std::mem::take(&mut self.waiting);
        let changes: Vec<Change> = std::mem::take(&mut self.unkept).into_iter().chain(changes).collect();
        // There is room, as nothing is under way. A thread that panicked has ended the program.
        if self.lots.try_send(changes.clone()).is_ok() {
            self.under_way = Some(Lot { changes, notes });
        }
    }

    /// The end: what waits is written, unless that takes too long. Gives what is left to tell.
    pub(super) fn close(mut self) -> Vec<Told> {
        let limit = Duration::from_millis(CONTACTS_SAVE_MS_MAX);
        let mut told = Vec::new();
        while self.under_way.is_some() {
            let Ok(answer) = self.answers.recv_timeout(limit) else {
                log::warn!("contacts: there was no time to write down what has changed");
                break;
            };
            told.extend(self.take(answer).1);
        }
        told
    }
}

/// Writes down what comes until nothing more will.
fn keep(path: &Path, inbox: &Receiver<Vec<Change>>, outbox: &Sender<Kept>) {
    for changes in inbox {
        if outbox.send(Kept(file::update(path, &changes))).is_err() {
            return;
        }
    }
}
