//! Known peers: which keys a nick has had, remembered across runs, so that a name cannot be taken over
//! while its holder is away.
//!
//! Trust on first use: the first key of a nick is remembered without a word, each further one is told
//! loudly, once, and remembered beside it, as one person may well have several keys. Nicks are compared by
//! their looks (`room::skeleton`), within one room. The table belongs to the console's thread, which asks
//! before it shows; the file belongs to the thread `known`, so that no disk holds up the chat.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::Zoned;
use jiff::civil::Date;

use crate::identity::{Id, IdentityError, data_folder};
use crate::limits::{KNOWN_ENTRIES_MAX, KNOWN_SAVE_EVERY_MS, KNOWN_SAVE_MS_MAX};
use crate::room::event::Person;
use crate::room::skeleton::Skeleton;
use crate::wire::record::Nick;

pub use file::Entry;

/// A nick that came with a key it did not have before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Who came.
    pub member: Person,
    /// Who was seen last under that name, or under one that looks like it,
    pub former: Person,
    /// and when.
    pub last: Date,
}

/// The names and keys met in a room.
#[derive(Debug)]
pub struct Known {
    room: String,
    people: BTreeMap<(Nick, Id), Days>,
    /// Who has a form of a skeleton.
    forms: BTreeMap<String, BTreeSet<(Nick, Id)>>,
    /// What the file does not have yet.
    unsaved: Vec<Entry>,
    keeper: Option<Keeper>,
}

/// The first and the last day.
#[derive(Debug, Clone, Copy)]
struct Days {
    first: Date,
    last: Date,
}

/// The thread that keeps the file, as its owner sees it.
#[derive(Debug)]
struct Keeper {
    entries: Sender<Vec<Entry>>,
    /// Disconnected when the thread has ended.
    done: Receiver<()>,
}

/// The file of known peers: `hobnob/known` under the XDG data folder.
pub fn known_path() -> Result<PathBuf, IdentityError> {
    Ok(data_folder()?.join("known"))
}

impl Known {
    /// Nobody is known, and nobody will be remembered.
    pub fn nobody(room: &str) -> Self {
        Self {
            room: room.to_owned(),
            people: BTreeMap::new(),
            forms: BTreeMap::new(),
            unsaved: Vec::new(),
            keeper: None,
        }
    }

    /// What the file tells of a room; with `keep`, what is learned goes there. A file that cannot be read or
    /// kept, or is damaged, is told in the log: the chat goes on without.
    pub fn open(path: PathBuf, room: &str, keep: bool) -> Self {
        let mut known = Self::nobody(room);
        match file::load(&path) {
            Ok(entries) => {
                for entry in entries.into_iter().filter(|entry| entry.room == room) {
                    known.insert(entry.nick, entry.id, Days { first: entry.first, last: entry.last });
                }
            }
            Err(error) => {
                log::warn!("{error}");
                return known;
            }
        }
        if keep {
            known.keeper = Keeper::start(path).inspect_err(|error| log::warn!("known peers: {error}")).ok();
        }
        known
    }

    /// Meets somebody today. Where the nick is known and the key is not, that is told, once.
    pub fn meet(&mut self, member: &Person, today: Date) -> Option<Changed> {
        let key = (member.nick.clone(), member.id);
        if let Some(days) = self.people.get_mut(&key) {
            if days.last < today {
                days.last = today;
                let days = *days;
                self.save(key, days);
            }
            return None;
        }
        let former = self.former(member);
        let days = Days { first: today, last: today };
        self.insert(key.0.clone(), key.1, days);
        self.save(key, days);
        let (former, last) = former?;
        Some(Changed { member: member.clone(), former, last })
    }

    /// Who was seen last under a name that looks the same; nobody if this key was among them.
    fn former(&self, member: &Person) -> Option<(Person, Date)> {
        let skeleton = Skeleton::of(member.nick.as_str());
        let alike = || skeleton.forms().filter_map(|form| self.forms.get(form)).flatten();
        if alike().any(|(_, id)| *id == member.id) {
            return None;
        }
        let days = |key: &(Nick, Id)| self.people.get(key).map(|days| days.last);
        let (last, (nick, id)) = alike().filter_map(|key| Some((days(key)?, key))).max()?;
        Some((Person { id: *id, nick: nick.clone() }, last))
    }

    fn insert(&mut self, nick: Nick, id: Id, days: Days) {
        if self.people.len() >= KNOWN_ENTRIES_MAX {
            let least = self.people.iter().min_by_key(|(_, days)| file::worth(days.first, days.last));
            let Some(key) = least.map(|(key, _)| key.clone()) else { return };
            self.remove(&key);
        }
        for form in Skeleton::of(nick.as_str()).forms() {
            self.forms.entry(form.to_owned()).or_default().insert((nick.clone(), id));
        }
        self.people.insert((nick, id), days);
    }

    fn remove(&mut self, key: &(Nick, Id)) {
        self.people.remove(key);
        for form in Skeleton::of(key.0.as_str()).forms() {
            let Some(keys) = self.forms.get_mut(form) else { continue };
            keys.remove(key);
            if keys.is_empty() {
                self.forms.remove(form);
            }
        }
    }

    /// Hands over what is new. A thread that is still writing takes it next time, with what came since.
    fn save(&mut self, (nick, id): (Nick, Id), Days { first, last }: Days) {
        let Some(keeper) = &self.keeper else { return };
        self.unsaved.push(Entry { room: self.room.clone(), nick, id, first, last });
        let full = self.unsaved.len() > KNOWN_ENTRIES_MAX;
        if full {
            self.unsaved.remove(0);
        }
        if let Err(error) = keeper.entries.try_send(std::mem::take(&mut self.unsaved)) {
            self.unsaved = error.into_inner();
        }
    }

    /// The end: what is unsaved is written, unless that takes too long.
    pub fn close(self) {
        let Some(Keeper { entries, done }) = self.keeper else { return };
        let limit = Duration::from_millis(KNOWN_SAVE_MS_MAX);
        if !self.unsaved.is_empty() && entries.send_timeout(self.unsaved, limit).is_err() {
            log::warn!("known peers: there was no time to write down who is new");
        }
        drop(entries);
        let _ = done.recv_timeout(limit);
    }
}

/// The day on this machine's calendar.
pub fn today() -> Date {
    Zoned::now().date()
}

impl Keeper {
    fn start(path: PathBuf) -> std::io::Result<Self> {
        let (entries, inbox) = bounded(1);
        let (ends, done) = bounded(0);
        let keep = move || {
            let _ends: Sender<()> = ends;
            keep(&path, &inbox);
        };
        thread::Builder::new().name("known".to_owned()).spawn(keep)?;
        Ok(Self { entries, done })
    }
}

/// Writes down what comes until nothing more will, at once after a pause and else every `KNOWN_SAVE_EVERY_MS`; a fault is
/// told once.
fn keep(path: &std::path::Path, inbox: &Receiver<Vec<Entry>>) {
    let mut told = false;
    // What could not be written is tried again with what comes next.
    let mut unwritten: Vec<Entry> = Vec::new();
    let mut next_at = Instant::now();
    while let Ok(entries) = inbox.recv() {
        gather(&mut unwritten, entries);
        while let Ok(entries) = inbox.recv_deadline(next_at) {
            gather(&mut unwritten, entries);
        }
        next_at = Instant::now() + Duration::from_millis(KNOWN_SAVE_EVERY_MS);
        match file::save(path, &unwritten) {
            Ok(()) => unwritten.clear(),
            Err(error) if !std::mem::replace(&mut told, true) => log::warn!("{error}"),
            Err(_) => {}
        }
    }
}

/// Adds what has come to what is to be written.
fn gather(unwritten: &mut Vec<Entry>, entries: Vec<Entry>) {
    unwritten.extend(entries);
    let surplus = unwritten.len().saturating_sub(KNOWN_ENTRIES_MAX);
    unwritten.drain(..surplus);
}
