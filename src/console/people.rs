//! The console and the contacts: what is asked about people, who is found to be somebody else, and of whom
//! nothing is shown.

use jiff::Timestamp;

use super::naming::shown;
use super::speaker::{Local, Query};
use super::{Console, json, print};
use crate::contacts::{Deed, Kept, Told, safety_number};
use crate::identity::Id;
use crate::room::event::{Command, Event, Member, Person};
use crate::room::names::Names;

/// What is asked about people. It is answered when it is known who is here.
#[derive(Debug)]
pub(super) enum Asked {
    /// Who are the contacts?
    Contacts,
    /// To do something with somebody.
    Deed(Deed, String),
    /// The safety number.
    Compare(String),
    /// Nothing: a contact came, and where it is goes into the file.
    Whereabouts,
}

/// Who may be meant by a name.
struct Candidates<'a> {
    me: &'a Person,
    /// As they are called here or, where they are not here, in the file.
    among: Names,
    /// Who is in the file by another name.
    kept: Names,
}

impl Console {
    /// Takes a new set of those of whom nothing is shown. Called at the start, and whenever the set may have
    /// changed.
    pub(super) fn shut_out_changed(&mut self) {
        self.shut_out = self.contacts.shut_out();
        self.unacquainted = true;
        self.acquaint();
    }

    /// Has the room know whom the user knows. Where it has no time for that now, it is tried again.
    pub(super) fn acquaint(&mut self) {
        if !self.unacquainted {
            return;
        }
        let contacts = self.contacts.people().iter().filter(|contact| contact.contact);
        let contacts = contacts.map(|contact| (contact.person(), contact.sealing)).collect();
        let command = Command::Acquaint { shut_out: self.shut_out.clone(), contacts };
        self.unacquainted = self.commands.try_send(command).is_err();
    }

    /// Whether an event is of somebody who is shut out. A script is told who is here all the same.
    pub(super) fn is_hidden(&self, event: &Event) -> bool {
        if self.shut_out.is_empty() {
            return false;
        }
        let out = |id: &Id| self.shut_out.contains(id);
        match event {
            Event::Said { post, .. } => out(&post.feed.author),
            Event::Whispered(whisper) => out(&whisper.from.id),
            _ if self.json => false,
            Event::Joined { member, .. }
            | Event::Left { member, .. }
            | Event::Lost { member, .. }
            | Event::Renamed { member, .. } => out(&member.id),
            Event::Gap { from, .. } => out(&from.id),
            Event::Clash { member, others, .. } => {
                out(&member.id) || others.iter().filter(|other| other.id != self.me.id).all(|other| out(&other.id))
            }
            _ => false,
        }
    }

    /// Looks at who comes, goes or speaks before it is shown.
    pub(super) fn guard(&mut self, event: &Event) {
        let now = Timestamp::now;
        let mut is_news = false;
        match event {
            Event::Said { post, mine: false, .. } => self.refuse(&Person::of(post)),
            Event::Whispered(whisper) => self.refuse(&whisper.from),
            Event::Joined { member, .. } => {
                self.refuse(member);
                is_news = self.contacts.came(&member.id);
            }
            Event::Renamed { member, .. } => self.refuse(member),
            Event::Linked(peer) => is_news = self.contacts.standing(&peer.person.id).contact,
            Event::Present(people) => {
                for person in people {
                    self.refuse(person);
                }
                is_news = self.contacts.all_here(people.iter().map(|person| person.id), now());
            }
            Event::Left { member, .. } | Event::Lost { member, .. } => self.contacts.went(&member.id, now()),
            _ => {}
        }
        if is_news && !self.asked_whereabouts {
            // Before the question goes out: its answer finds the query.
            self.asked_names.push_back(Query::People(Asked::Whereabouts));
            self.asked_whereabouts = self.commands.try_send(Command::Names).is_ok();
            if !self.asked_whereabouts {
                self.asked_names.pop_back();
            }
        }
    }

    pub(super) fn refuse(&mut self, person: &Person) {
        if person.id == self.me.id {
            return;
        }
        let Some(refused) = self.contacts.guard(person) else { return };
        self.shut_out_changed();
        if self.json {
            json::push_refused(&refused, &mut self.shown.chat);
        } else {
            self.printer.refuse(&refused, &mut self.shown);
        }
    }

    /// Answers what was asked about people.
    pub(super) fn people(&mut self, asked: Asked, members: &[Member]) {
        match asked {
            // What was seen of contacts has just been taken up.
            Asked::Whereabouts => (self.asked_whereabouts, self.unacquainted) = (false, true),
            Asked::Contacts if self.json => json::push_contacts(&self.contacts, &mut self.shown.chat),
            Asked::Contacts => self.printer.contacts(&self.contacts, members, &mut self.shown),
            Asked::Compare(who) => match self.candidates(members).one(&who, |_| true) {
                Ok((person, name)) => self.compare(&person, &name),
                Err(trouble) => self.local(Local::Trouble(trouble)),
            },
            Asked::Deed(deed, who) => match self.chosen(deed, &who, members) {
                Ok((person, name)) => self.deed(deed, &person, &name, members),
                Err(trouble) => self.local(Local::Trouble(trouble)),
            },
        }
    }

    fn candidates(&self, members: &[Member]) -> Candidates<'_> {
        let kept: Vec<Person> = self.contacts.people().iter().map(crate::contacts::Contact::person).collect();
        let away = kept.iter().chain(self.contacts.refused());
        let among = away.chain(members.iter().map(|member| &member.person)).collect();
        Candidates { me: &self.me, among, kept: kept.iter().collect() }
    }

    /// Whom a deed is for: one of those for whom it changes something or, where it is for nobody who may be meant,
    /// why it is not.
    fn chosen(&self, deed: Deed, who: &str, members: &[Member]) -> Result<(Person, String), String> {
        let candidates = self.candidates(members);
        let changes = |id: &Id| {
            let standing = self.contacts.standing(id);
            match deed {
                Deed::Add => !standing.contact,
                Deed::Remove => standing.contact,
                Deed::Verify => !standing.verified || standing.refused,
                Deed::Doubt => standing.verified,
                Deed::Ignore => !standing.ignored,
                Deed::Unignore => standing.ignored || standing.refused,
            }
        };
        // What gives something to a key needs the one key; what takes it away has it to take it from.
        let takes = matches!(deed, Deed::Remove | Deed::Doubt | Deed::Unignore);
        if takes && candidates.find(who).iter().any(|person| changes(&person.id)) {
            return candidates.one(who, changes);
        }
        let (person, name) = candidates.one(who, |_| true)?;
        if changes(&person.id) {
            return Ok((person, name));
        }
        Err(match deed {
            Deed::Add => format!("{name} is a contact already"),
            Deed::Remove => format!("{name} is no contact"),
            Deed::Verify => format!("{name} is verified already"),
            Deed::Doubt => format!("{name} is not verified"),
            Deed::Ignore => format!("{name} is ignored already"),
            Deed::Unignore => format!("{name} is not ignored"),
        })
    }

    fn deed(&mut self, deed: Deed, person: &Person, name: &str, members: &[Member]) {
        let note = match deed {
            Deed::Add => format!("{name} is a contact now"),
            Deed::Remove => format!("{name} is no contact any more"),
            Deed::Verify => format!("{name} is verified: whoever has that name and another key is refused from now on"),
            Deed::Doubt => format!("{name} is not verified any more"),
            Deed::Ignore => format!("{name} is ignored; /unignore {name} shows it again"),
            Deed::Unignore => format!("{name} is shown again"),
        };
        let told = self.contacts.ask(deed, person, note);
        // A new contact's addresses go into the file, too.
        self.contacts.observe(members, Timestamp::now());
        self.tell_all(told);
        self.shut_out_changed();
    }

    fn compare(&mut self, person: &Person, name: &str) {
        let number = safety_number(&self.me.id, &person.id);
        let verified = self.contacts.standing(&person.id).verified;
        if self.json {
            json::push_safety(person, &number, verified, &mut self.shown.chat);
        } else {
            self.printer.tell(&print::people::safety(name, &number, verified), &mut self.shown);
        }
    }

    /// Takes up that a change was kept, or was not.
    pub(super) fn contacts_kept(&mut self, answer: Kept) {
        let told = self.contacts.take(answer);
        self.tell_all(told);
        self.shut_out_changed();
    }

    /// The end: who is here was seen now.
    pub(super) fn close_contacts(&mut self) {
        let contacts = std::mem::replace(&mut self.contacts, crate::contacts::Contacts::nobody());
        let told = contacts.close(Timestamp::now());
        self.tell_all(told);
    }

    fn tell_all(&mut self, told: Vec<Told>) {
        for told in told {
            self.local(match told {
                Told::Note(text) => Local::Note(text),
                Told::Trouble(text) => Local::Trouble(text),
            });
        }
    }
}

impl Candidates<'_> {
    fn find(&self, who: &str) -> Vec<&Person> {
        let mut found = self.among.find(who);
        for person in self.kept.find(who) {
            if !found.iter().any(|other| other.id == person.id) {
                found.extend(self.among.people().find(|other| other.id == person.id));
            }
        }
        found.retain(|person| person.id != self.me.id);
        found
    }

    /// The one of them that is meant, and its name with what tells it apart; or why there is not one.
    fn one(&self, who: &str, is_meant: impl Fn(&Id) -> bool) -> Result<(Person, String), String> {
        let found = self.find(who);
        let meant: Vec<&Person> = found.into_iter().filter(|person| is_meant(&person.id)).collect();
        match meant.as_slice() {
            [person] => Ok(((*person).clone(), shown(&self.among, person))),
            [] if self.among.find(who).iter().any(|person| person.id == self.me.id) => Err("that is you".to_owned()),
            [] => Err(format!("nobody here or among the contacts is called {who}, and nobody's key begins so")),
            several => {
                let names: Vec<String> = several.iter().map(|person| shown(&self.among, person)).collect();
                Err(format!("{who} may be any of {}: say which, with the tag", names.join(", ")))
            }
        }
    }
}
