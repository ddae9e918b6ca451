//! Contacts: people kept by their keys, across runs and rooms; who is verified, and who is ignored.
//!
//! The table belongs to the console's thread, which asks it what to show; the file belongs to the thread
//! `contacts`. A change counts in this run at once, and is told as done when the file has it. Several runs may
//! keep the file: what the others have changed is known here with the next change of our own.
//!
//! An ignored person need not be a contact. A verified contact is held to its key: whoever else comes under
//! its name, or one that looks like it, is refused, and shut out like the ignored until the run ends.

mod file;
mod keeper;
mod safety;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crossbeam_channel::{Receiver, never};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::addr::PeerAddr;
use crate::identity::Id;
use crate::limits::{
    ADDRESSES_PER_NODE_MAX, CONTACT_ADDRESSES_MAX, CONTACT_SEEN_MS, CONTACTS_MAX, GUARDED_NAMES_MAX, REFUSED_KEYS_MAX,
};
use crate::room::event::{Member, Person};
use crate::room::skeleton::Skeleton;
use crate::wire::record::Nick;
use crate::wire::seal::SealingKey;
use keeper::Keeper;

pub use file::{contacts_path, load};
pub use keeper::Kept;
pub use safety::safety_number;

/// Somebody in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The key.
    pub id: Id,
    /// The newest name; of a verified contact the one that was verified.
    pub nick: Nick,
    /// Where it can be dialled, the likeliest first.
    #[serde(default)]
    pub addresses: Vec<PeerAddr>,
    /// What private messages to it are sealed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealing: Option<SealingKey>,
    /// When it was here last, as far as this machine's owner was.
    #[serde(default)]
    pub last_seen: Option<Timestamp>,
    /// Its safety number was compared.
    #[serde(default)]
    pub verified: bool,
    /// What it says is not shown.
    #[serde(default)]
    pub ignored: bool,
    /// It was added. Who is in the file without that is ignored only.
    #[serde(default = "yes")]
    pub contact: bool,
    /// What its owner, or a later version, has written beside that.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

fn yes() -> bool {
    true
}

/// What to do with somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Make a contact of it.
    Add,
    /// It is none any more.
    Remove,
    /// Its safety number is right; it becomes a contact, too.
    Verify,
    /// It is not verified any more.
    Doubt,
    /// Show nothing of it.
    Ignore,
    /// Show it again.
    Unignore,
}

/// A change to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Somebody asked for it.
    Asked(Deed, Person),
    /// A contact was seen, then and there.
    Seen(Person, Timestamp, Vec<PeerAddr>, Option<SealingKey>),
}

/// There is no place for another person. Nothing is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("there are {CONTACTS_MAX} people in the contacts, as many as there may be: /remove or /unignore some first")]
pub struct Full;

/// What to tell of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is done.
    Note(String),
    /// It is not, or not for long.
    Trouble(String),
}

/// Who came under the name of a verified contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Who came.
    pub member: Person,
    /// The contact.
    pub former: Person,
}

/// What somebody is to us.
#[expect(clippy::struct_excessive_bools, reason = "each holds whatever the others are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// A contact.
    pub contact: bool,
    /// A verified one.
    pub verified: bool,
    /// Ignored.
    pub ignored: bool,
    /// Came under the name of a verified contact, in this run.
    pub refused: bool,
}

impl Standing {
    /// In words.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let told = [
            (self.contact && !self.verified, "contact"),
            (self.verified, "verified"),
            (self.ignored, "ignored"),
            (self.refused, "refused"),
        ];
        told.into_iter().filter_map(|(is_so, word)| is_so.then_some(word))
    }
}

/// The people of the file, and what this run knows of them.
pub struct Contacts {
    people: Vec<Contact>,
    /// Which of them are here.
    here: BTreeSet<Id>,
    /// Which of those the file knows to have been here.
    noted: BTreeSet<Id>,
    /// The names of the verified.
    verified: Vec<(Person, Skeleton)>,
    /// Names that were looked at, so that a message costs no second look.
    guarded: BTreeMap<Id, Nick>,
    refused: BTreeMap<Id, Refused>,
    /// No longer refused, by word of the user.
    pardoned: BTreeSet<Id>,
    keeper: Option<Keeper>,
}

impl fmt::Debug for Contacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contacts").field("people", &self.people.len()).finish_non_exhaustive()
    }
}

impl Contacts {
    /// Nobody, and nobody will be remembered.
    pub fn nobody() -> Self {
        Self {
            people: Vec::new(),
            here: BTreeSet::new(),
            noted: BTreeSet::new(),
            verified: Vec::new(),
            guarded: BTreeMap::new(),
            refused: BTreeMap::new(),
            pardoned: BTreeSet::new(),
            keeper: None,
        }
    }

    /// Those of a file; with `keep`, changes go there. A file that cannot be read or kept, or is damaged, is
    /// told in the log: the chat goes on without.
    pub fn open(path: PathBuf, keep: bool) -> Self {
        let mut contacts = Self::nobody();
        match load(&path) {
            Ok(people) => contacts.replace(people),
            Err(error) => log::warn!("{error}"),
        }
        if keep {
            contacts.keeper = Keeper::start(path).inspect_err(|error| log::warn!("contacts: {error}")).ok();
        }
        contacts
    }

    /// All, in the order of the file.
    pub fn people(&self) -> &[Contact] {
        &self.people
    }

    /// Who is refused in this run.
    pub fn refused(&self) -> impl Iterator<Item = &Person> {
        self.refused.values().map(|refused| &refused.member)
    }

    /// What somebody is to us.
    pub fn standing(&self, id: &Id) -> Standing {
        let refused = self.refused.contains_key(id);
        self.get(id).map_or(Standing { refused, ..Standing::default() }, |contact| Standing {
            contact: contact.contact,
            verified: contact.verified,
            ignored: contact.ignored,
            refused,
        })
    }

    /// Whether a contact is here.
    pub fn is_here(&self, id: &Id) -> bool {
        self.here.contains(id)
    }

    /// All of whom nothing is shown: the ignored and the refused.
    pub fn shut_out(&self) -> BTreeSet<Id> {
        let ignored = self.people.iter().filter(|contact| contact.ignored).map(|contact| contact.id);
        ignored.chain(self.refused.keys().copied()).collect()
    }

    /// Does what was asked for, and has it kept; `note` is told when it is. What is to be told at once is
    /// returned.
    pub fn ask(&mut self, deed: Deed, person: &Person, note: String) -> Vec<Told> {
        let change = Change::Asked(deed, person.clone());
        let is_kept = self.get(&person.id).is_some();
        if let Err(full) = apply(&mut self.people, &change) {
            return vec![Told::Trouble(full.to_string())];
        }
        if matches!(deed, Deed::Unignore | Deed::Verify) && self.refused.remove(&person.id).is_some() {
            self.pardoned.insert(person.id);
        }
        self.renew();
        if deed == Deed::Unignore && !is_kept {
            // It was refused, which no file has.
            return vec![Told::Note(note)];
        }
        let Some(keeper) = &mut self.keeper else {
            return vec![Told::Note(format!("{note}, in this run only"))];
        };
        keeper.put(vec![change], Some(note));
        Vec::new()
    }

    /// Where `Kept` comes from, each for `take`.
    pub fn answers(&self) -> Receiver<Kept> {
        self.keeper.as_ref().map_or_else(never, Keeper::answers)
    }

    /// Takes up what the file holds after a change; gives what to tell.
    pub fn take(&mut self, answer: Kept) -> Vec<Told> {
        let Some(keeper) = &mut self.keeper else { return Vec::new() };
        let (people, told) = keeper.take(answer);
        if let Some(people) = people {
            self.replace(people);
        }
        told
    }

    /// Takes the file's people for ours, and does again what the file may not have.
    fn replace(&mut self, people: Vec<Contact>) {
        self.people = people;
        for change in self.keeper.iter().flat_map(Keeper::outstanding) {
            let _ = apply(&mut self.people, change);
        }
        self.renew();
    }

    /// Follows a change of the people.
    fn renew(&mut self) {
        let verified = self.people.iter().filter(|contact| contact.verified);
        self.verified = verified.map(|contact| (contact.person(), Skeleton::of(contact.nick.as_str()))).collect();
        self.guarded.clear();
        let contacts: BTreeSet<Id> =
            self.people.iter().filter(|contact| contact.contact).map(|contact| contact.id).collect();
        self.here.retain(|id| contacts.contains(id));
        self.noted.retain(|id| contacts.contains(id));
    }

    fn get(&self, id: &Id) -> Option<&Contact> {
        self.people.iter().find(|contact| contact.id == *id)
    }

    /// Somebody is here. Whether it is a contact that was not, so that it is worth asking where it is.
    pub fn came(&mut self, id: &Id) -> bool {
        self.standing(id).contact && self.here.insert(*id)
    }

    /// All who are here. Whether one of them is a contact that was not.
    pub fn all_here(&mut self, ids: impl Iterator<Item = Id>, now: Timestamp) -> bool {
        let ids: BTreeSet<Id> = ids.collect();
        for id in self.here.difference(&ids).copied().collect::<Vec<Id>>() {
            self.went(&id, now);
        }
        ids.iter().filter(|id| self.came(id)).count() > 0
    }

    /// Somebody went.
    pub fn went(&mut self, id: &Id, now: Timestamp) {
        if !self.here.remove(id) {
            return;
        }
        self.noted.remove(id);
        let seen = self.get(id).map(|contact| Change::Seen(contact.person(), now, Vec::new(), None));
        self.keep(seen.into_iter().collect());
    }

    /// Brings names, addresses and times up to date. What is new is kept.
    pub fn observe(&mut self, members: &[Member], now: Timestamp) {
        let mut news = Vec::new();
        for member in members.iter().filter(|member| !member.myself) {
            let id = member.person.id;
            let Some(contact) = self.people.iter().find(|contact| contact.id == id && contact.contact) else {
                continue;
            };
            self.here.insert(id);
            let addresses = member.addresses.iter().take(ADDRESSES_PER_NODE_MAX).copied().map(PeerAddr::from);
            let seen = Change::Seen(member.person.clone(), now, addresses.collect(), member.sealing);
            let mut after = vec![contact.clone()];
            let _ = apply(&mut after, &seen);
            let looks = |contact: &Contact| (contact.nick.clone(), contact.addresses.clone(), contact.sealing);
            let is_news = after.iter().any(|after| looks(after) != looks(contact));
            if self.noted.insert(id) || is_news || contact.is_older(now) {
                news.push(seen);
            }
        }
        self.keep(news);
    }

    fn keep(&mut self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        for change in &changes {
            let _ = apply(&mut self.people, change);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.put(changes, None);
        }
    }

    /// Whether somebody comes under the name of a verified contact, and is not that one. Told once for a key;
    /// from then on it is shut out.
    pub fn guard(&mut self, person: &Person) -> Option<Refused> {
        if self.verified.is_empty() || self.guarded.get(&person.id) == Some(&person.nick) {
            return None;
        }
        if self.guarded.len() >= GUARDED_NAMES_MAX {
            self.guarded.clear();
        }
        self.guarded.insert(person.id, person.nick.clone());
        if self.refused.contains_key(&person.id) || self.pardoned.contains(&person.id) {
            return None;
        }
        let looks = Skeleton::of(person.nick.as_str());
        let alike = || self.verified.iter().filter(|(_, theirs)| theirs.meets(&looks)).map(|(contact, _)| contact);
        if alike().any(|contact| contact.id == person.id) {
            return None;
        }
        let refused = Refused { member: person.clone(), former: alike().next()?.clone() };
        if self.refused.len() >= REFUSED_KEYS_MAX {
            self.refused.pop_first();
            self.guarded.clear();
        }
        self.refused.insert(person.id, refused.clone());
        Some(refused)
    }

    /// The end: who is here was seen now. What is not written yet is, unless that takes too long. Gives what is
    /// left to tell.
    pub fn close(mut self, now: Timestamp) -> Vec<Told> {
        let here = self.people.iter().filter(|contact| self.here.contains(&contact.id));
        let seen = here.map(|contact| Change::Seen(contact.person(), now, Vec::new(), None)).collect();
        self.keep(seen);
        self.keeper.map(Keeper::close).unwrap_or_default()
    }
}

impl Contact {
    /// Who it is, by its name in the file.
    pub fn person(&self) -> Person {
        Person { id: self.id, nick: self.nick.clone() }
    }

    /// Whether it was seen last some time ago, as far as the file tells.
    fn is_older(&self, now: Timestamp) -> bool {
        let some_time = SignedDuration::from_millis(CONTACT_SEEN_MS);
        self.last_seen.is_none_or(|last| now.duration_since(last) > some_time)
    }

    fn saw(&mut self, person: &Person, at: Timestamp, addresses: &[PeerAddr]) {
        // Only whoever verifies it says what a verified contact is called.
        if !self.verified {
            self.nick = person.nick.clone();
        }
        let second = Timestamp::from_second(at.as_second()).unwrap_or(at);
        self.last_seen = self.last_seen.max(Some(second));
        if addresses.is_empty() {
            return;
        }
        // What people wrote by hand is a name, mostly, and outlives the addresses it had.
        let (names, numbers): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.addresses).into_iter().partition(PeerAddr::is_name);
        for addr in addresses.iter().cloned().chain(names).chain(numbers) {
            if !self.addresses.contains(&addr) && self.addresses.len() < CONTACT_ADDRESSES_MAX {
                self.addresses.push(addr);
            }
        }
    }
}

/// Makes a change.
fn apply(people: &mut Vec<Contact>, change: &Change) -> Result<(), Full> {
    let (Change::Asked(_, person) | Change::Seen(person, ..)) = change;
    let adds = matches!(change, Change::Asked(Deed::Add | Deed::Verify | Deed::Ignore, _));
    if adds && !people.iter().any(|contact| contact.id == person.id) {
        if people.len() >= CONTACTS_MAX {
            return Err(Full);
        }
        people.push(Contact {
            id: person.id,
            nick: person.nick.clone(),
            addresses: Vec::new(),
            sealing: None,
            last_seen: None,
            verified: false,
            ignored: false,
            contact: false,
            more: BTreeMap::new(),
        });
    }
    let Some(contact) = people.iter_mut().find(|contact| contact.id == person.id) else { return Ok(()) };
    match change {
        Change::Asked(Deed::Add, _) => contact.contact = true,
        Change::Asked(Deed::Remove, _) => (contact.contact, contact.verified) = (false, false),
        Change::Asked(Deed::Verify, _) => {
            (contact.contact, contact.verified) = (true, true);
            contact.nick = person.nick.clone();
        }
        Change::Asked(Deed::Doubt, _) => contact.verified = false,
        Change::Asked(Deed::Ignore, _) => contact.ignored = true,
        Change::Asked(Deed::Unignore, _) => contact.ignored = false,
        Change::Seen(_, at, addresses, sealing) if contact.contact => {
            contact.sealing = sealing.or(contact.sealing);
            contact.saw(person, *at, addresses);
        }
        Change::Seen(..) => {}
    }
    if !contact.contact && !contact.ignored {
        people.retain(|contact| contact.id != person.id);
    }
    Ok(())
}
