//! Messages of the past as lines for stdout, for `hobnob history`. Pure.

use std::collections::BTreeSet;

use super::json;
use super::naming::Naming;
use super::print::{Printer, Shown, Style};
use crate::identity::Id;
use crate::room::event::Person;
use crate::wire::record::{Nick, Post};

/// Writes one message after the other.
#[derive(Debug)]
pub struct Teller {
    me: Id,
    json: bool,
    naming: Naming,
    met: BTreeSet<(Id, Nick)>,
    printer: Printer,
    shown: Shown,
}

impl Teller {
    /// For this identity; as JSON lines, or for people. `contacts` have their names to themselves: whoever has used one
    /// with another key is shown with a tag.
    pub fn new(me: &Person, contacts: impl IntoIterator<Item = Person>, json: bool) -> Self {
        let naming = Naming::default();
        let mut met = BTreeSet::new();
        for contact in contacts {
            naming.insert(&contact);
            met.insert((contact.id, contact.nick));
        }
        let printer = Printer::new(Style { together: false, color: false, quiet: true }, me, naming.clone());
        Self { me: me.id, json, naming, met, printer, shown: Shown::default() }
    }

    /// The line of a message, with its newline unless its author goes on.
    pub fn tell(&mut self, post: &Post) -> &[u8] {
        self.shown.chat.clear();
        if self.json {
            json::push_say(post, post.feed.author == self.me, true, false, &mut self.shown.chat);
        } else {
            let author = Person::of(post);
            // From its second author on a name is shown with a tag.
            if self.met.insert((author.id, author.nick.clone())) {
                self.naming.insert(&author);
            }
            self.printer.earlier(post, &mut self.shown);
        }
        self.shown.chat.as_bytes()
    }

    /// What is left to be written at the end.
    pub fn finish(&mut self) -> &[u8] {
        self.shown.chat.clear();
        self.printer.close_line(&mut self.shown);
        self.shown.chat.as_bytes()
    }
}
