//! How people are called on a terminal: the name as the filter lets it through and, where another one here
//! looks like it, the start of the key behind it. Shared by who prints and by who completes.

use std::sync::Arc;

use parking_lot::Mutex;

use super::filter::filter_name;
use crate::identity::Id;
use crate::room::event::{Event, Person};
use crate::room::names::Names;

/// The names of those who were told to be here.
#[derive(Debug, Clone, Default)]
pub struct Naming(Arc<Mutex<Names>>);

impl Naming {
    /// The name by which a person is shown, here or not.
    pub fn name(&self, person: &Person) -> String {
        shown(&self.0.lock(), person)
    }

    /// The name by which a person is shown who may have another one by now.
    pub fn name_now(&self, person: &Person) -> String {
        let names = self.0.lock();
        shown(&names, names.get(&person.id).unwrap_or(person))
    }

    /// The names of all who are here, but for one.
    pub fn others(&self, me: &Id) -> Vec<String> {
        let names = self.0.lock();
        names.people().filter(|person| person.id != *me).map(|person| shown(&names, person)).collect()
    }

    /// What has to be known before an event is told: who comes is told by a name that nobody else has.
    pub fn before(&self, event: &Event) {
        match event {
            Event::Joined { member, .. } | Event::Renamed { member, .. } => self.0.lock().insert(member),
            Event::Present(people) => *self.0.lock() = people.iter().collect(),
            _ => {}
        }
    }

    /// What changes behind an event: who goes is told by the name that was seen so far.
    pub fn after(&self, event: &Event) {
        if let Event::Left { member, .. } | Event::Lost { member, .. } = event {
            self.0.lock().remove(&member.id);
        }
    }

    /// Whether somebody else here has a name that looks like this person's.
    pub fn is_shared(&self, person: &Person) -> bool {
        self.0.lock().is_shared(person)
    }

    /// This node's own name.
    pub fn insert(&self, me: &Person) {
        self.0.lock().insert(me);
    }
}

/// The name of one among others.
pub(super) fn shown(names: &Names, person: &Person) -> String {
    let mut name = filter_name(person.nick.as_str());
    if let Some(tag) = names.tag(person) {
        name.push('#');
        name.push_str(&tag);
    }
    name
}
