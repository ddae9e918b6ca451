//! Whom a name means: the members with their nicks, those that look alike, and the key tag that tells
//! them apart.
//!
//! Who had a nick first is not the same for all nodes, so all who share a look are tagged, as long as
//! two of them are here. A tag is the start of the key, longer where keys begin alike: whoever makes
//! keys by the million gets one that begins like another. Pure; the room keeps one to tell when names
//! clash, the console keeps one of what it has told, to print by.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::identity::Id;
use crate::limits::{KEY_START_DIGITS_MIN, KEY_TAG_DIGITS_APART, KEY_TAG_DIGITS_MIN};

use super::event::Person;
use super::skeleton::Skeleton;

static NOBODY: BTreeSet<Id> = BTreeSet::new();

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

    /// Somebody who is here.
    pub fn get(&self, id: &Id) -> Option<&Person> {
        self.people.get(id).map(|(person, _)| person)
    }

    /// Those who are here.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values().map(|(person, _)| person)
    }

    /// Takes a name down as `insert` does; those here who look alike now and did not before, up to so many. A crowd
    /// of one name is not looked through.
    pub fn newly_alike(&mut self, person: &Person, most: usize) -> Vec<Person> {
        let before = self.people.get(&person.id).map(|(_, skeleton)| skeleton.clone());
        self.insert(person);
        let Some((_, now)) = self.people.get(&person.id) else { return Vec::new() };
        let was_so = |form: &&str| before.as_ref().is_some_and(|before| before.forms().any(|known| known == *form));
        let knew = |theirs: &Skeleton| before.as_ref().is_some_and(|before| before.meets(theirs));
        let mut forms = now.forms().filter(|form| !was_so(form)).map(|form| self.forms.get(form).unwrap_or(&NOBODY));
        let (one, other) = (forms.next().unwrap_or(&NOBODY), forms.next().unwrap_or(&NOBODY));
        let others = one.union(other).filter(|id| **id != person.id).filter_map(|id| self.people.get(id));
        others.filter(|(_, theirs)| !knew(theirs)).take(most).map(|(other, _)| other.clone()).collect()
    }

    /// What tells a person, here or not, from those here who look alike: the start of the key. `None` where
    /// the name alone will do.
    pub fn tag(&self, person: &Person) -> Option<String> {
        let skeleton = self.skeleton(person);
        let beside = self.beside(&person.id, &skeleton);
        (beside.is_some() || skeleton.is_elusive()).then(|| start_of(&person.id, beside))
    }

    /// Whether somebody else here has a name that looks like this person's.
    pub fn is_shared(&self, person: &Person) -> bool {
        self.beside(&person.id, &self.skeleton(person)).is_some()
    }

    /// Of those who look alike, one whose key begins most like this one.
    fn beside(&self, id: &Id, skeleton: &Skeleton) -> Option<&Id> {
        // Of sorted keys, those beside one have most in common with it.
        let beside = skeleton.forms().filter_map(|form| self.forms.get(form)).flat_map(|ids| {
            let below = ids.range((Bound::Unbounded, Bound::Excluded(id))).next_back();
            let above = ids.range((Bound::Excluded(id), Bound::Unbounded)).next();
            below.into_iter().chain(above)
        });
        beside.max_by_key(|other| shared_digits(id, other))
    }

    fn skeleton(&self, person: &Person) -> Cow<'_, Skeleton> {
        let known = self.people.get(&person.id).filter(|(known, _)| known.nick == person.nick);
        known.map_or_else(|| Cow::Owned(Skeleton::of(person.nick.as_str())), |(_, skeleton)| Cow::Borrowed(skeleton))
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

/// The start of a key, long enough to tell it from another one.
pub fn start_of(id: &Id, other: Option<&Id>) -> String {
    let shared = other.map_or(0, |other| shared_digits(id, other) + KEY_TAG_DIGITS_APART);
    let mut start = id.to_string();
    start.truncate(shared.max(KEY_TAG_DIGITS_MIN));
    start
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
