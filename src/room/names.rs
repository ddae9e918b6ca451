//! Whom a name means: the members with their nicks, those that look alike, and the key tag that tells
//! them apart.
//!
//! Who had a nick first is not the same for all nodes, so all who share a look are tagged, as long as
//! two of them are here. A tag is the start of the key, longer where keys begin alike: whoever makes
//! keys by the million gets one that begins like another. Pure; the room keeps one to tell when names
//! clash, the console keeps one of what it has told, to print by.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::identity::Id;
use crate::limits::{KEY_START_DIGITS_MIN, KEY_TAG_DIGITS_APART, KEY_TAG_DIGITS_MIN};

use super::event::Person;
use super::skeleton::Skeleton;

/// The names of those who are here.
#[derive(Debug, Default)]
pub struct Names {
    people: BTreeMap<Id, (Person, Skeleton)>,
    /// Who has a form of a skeleton.
    forms: BTreeMap<String, BTreeSet<Id>>,
}

impl Names {
    /// Somebody is here, or has another name.
    pub fn insert(&mut self, person: &Person) {
        if self.people.get(&person.id).is_some_and(|(known, _)| known.nick == person.nick) {
            return;
        }
        self.remove(&person.id);
        let skeleton = Skeleton::of(person.nick.as_str());
        for form in skeleton.forms() {
            self.forms.entry(form.to_owned()).or_default().insert(person.id);
        }
        self.people.insert(person.id, (person.clone(), skeleton));
    }

    /// Somebody has gone.
    pub fn remove(&mut self, id: &Id) {
        let Some((_, skeleton)) = self.people.remove(id) else { return };
        for form in skeleton.forms() {
            let Some(ids) = self.forms.get_mut(form) else { continue };
            ids.remove(id);
            if ids.is_empty() {
                self.forms.remove(form);
            }
        }
    }

    /// Those who are here.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values().map(|(person, _)| person)
    }

    /// The others here whose names look like this person's.
    pub fn lookalikes(&self, person: &Person) -> impl Iterator<Item = &Person> {
        let mut ids = BTreeSet::new();
        for form in self.skeleton(person).forms() {
            ids.extend(self.forms.get(form).into_iter().flatten());
        }
        ids.remove(&person.id);
        ids.into_iter().filter_map(|id| self.people.get(&id).map(|(person, _)| person))
    }

    /// The others here whose names look like that of somebody here as it is now.
    pub fn lookalikes_now(&self, id: &Id) -> impl Iterator<Item = &Person> {
        self.people.get(id).into_iter().flat_map(|(person, _)| self.lookalikes(person))
    }

    /// What tells a person, here or not, from those here who look alike: the start of the key. `None` where
    /// the name alone will do.
    pub fn tag(&self, person: &Person) -> Option<String> {
        let known = self.people.get(&person.id).filter(|(known, _)| known.nick == person.nick);
        match known {
            Some((_, skeleton)) => self.tag_of(&person.id, skeleton),
            None => self.tag_of(&person.id, &Skeleton::of(person.nick.as_str())),
        }
    }

    fn tag_of(&self, id: &Id, skeleton: &Skeleton) -> Option<String> {
        // Of sorted keys, those beside this one have most in common with it.
        let beside = skeleton.forms().filter_map(|form| self.forms.get(form)).flat_map(|ids| {
            let below = ids.range((Bound::Unbounded, Bound::Excluded(id))).next_back();
            let above = ids.range((Bound::Excluded(id), Bound::Unbounded)).next();
            below.into_iter().chain(above)
        });
        let shared = beside.map(|other| shared_digits(id, other)).max();
        if shared.is_none() && !skeleton.is_elusive() {
            return None;
        }
        let mut tag = id.to_string();
        tag.truncate(KEY_TAG_DIGITS_MIN.max(shared.map_or(0, |shared| shared + KEY_TAG_DIGITS_APART)));
        Some(tag)
    }

    fn skeleton(&self, person: &Person) -> Skeleton {
        let known = self.people.get(&person.id).filter(|(known, _)| known.nick == person.nick);
        known.map_or_else(|| Skeleton::of(person.nick.as_str()), |(_, skeleton)| skeleton.clone())
    }

    /// Who is meant by `NICK`, `NICK#KEY`, `#KEY` or `KEY`, where a key is given by its start. More than one
    /// where that is not clear: a nick that is here means all who look like it, too. Of those who only
    /// look like it none is meant.
    pub fn find(&self, who: &str) -> Vec<&Person> {
        if let Some((nick, key)) = who.rsplit_once('#').filter(|(_, key)| is_key_start(key)) {
            let skeleton = Skeleton::of(nick);
            let is_meant = |theirs: &Skeleton| nick.is_empty() || theirs.meets(&skeleton);
            return self.all(|person, theirs| begins(&person.id, key) && is_meant(theirs));
        }
        let lower = who.to_lowercase();
        let called = |person: &Person| person.nick.as_str().to_lowercase() == lower;
        let is_called = self.people().any(called).then(|| Skeleton::of(who));
        self.all(|person, theirs| {
            is_called.as_ref().is_some_and(|skeleton| theirs.meets(skeleton))
                || (is_key_start(who) && begins(&person.id, who))
        })
    }

    fn all(&self, is_meant: impl Fn(&Person, &Skeleton) -> bool) -> Vec<&Person> {
        self.people.values().filter(|(person, theirs)| is_meant(person, theirs)).map(|(person, _)| person).collect()
    }
}

fn is_key_start(text: &str) -> bool {
    text.len() >= KEY_START_DIGITS_MIN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn begins(id: &Id, start: &str) -> bool {
    id.to_string().starts_with(&start.to_ascii_lowercase())
}

/// How many hexadecimal digits two keys have in common at their starts.
fn shared_digits(one: &Id, other: &Id) -> usize {
    let (one, other) = (one.to_string(), other.to_string());
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

impl<'a> FromIterator<&'a Person> for Names {
    fn from_iter<T: IntoIterator<Item = &'a Person>>(people: T) -> Self {
        let mut names = Self::default();
        people.into_iter().for_each(|person| names.insert(person));
        names
    }
}
