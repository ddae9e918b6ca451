//! Notices that wait for the user's side, in two kinds with a bound each; over it the oldest of that kind go.
//!
//! Who comes and goes has places of its own, so that a newcomer to a large room is told of each member, and no noise of
//! links and warnings drives that out. The queue in `local` holds where each stands among the posts.

use std::collections::BTreeMap;

use crate::limits::{NOTICES_MAX, ROSTER_NOTICES_MAX};

use super::event::Event;

/// Which bound a notice comes under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who comes, goes, or has another name.
    Roster,
    /// All else.
    Other,
}

/// A notice's place in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    kind: Kind,
    number: u64,
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Notices {
    roster: BTreeMap<u64, Box<Event>>,
    others: BTreeMap<u64, Box<Event>>,
    next_number: u64,
    /// How many were dropped since that was told,
    skipped: u64,
    /// and whether somebody who came or went was among them.
    nameless: bool,
}

impl Kind {
    fn of(event: &Event) -> Self {
        match event {
            Event::Joined { .. } | Event::Left { .. } | Event::Lost { .. } | Event::Renamed { .. } => Kind::Roster,
            _ => Kind::Other,
        }
    }
}

impl Notices {
    pub(super) fn push(&mut self, event: Event) -> Ticket {
        let (kind, number) = (Kind::of(&event), self.next_number);
        self.next_number += 1;
        let (waiting, most) = match kind {
            Kind::Roster => (&mut self.roster, ROSTER_NOTICES_MAX),
            Kind::Other => (&mut self.others, NOTICES_MAX),
        };
        waiting.insert(number, Box::new(event));
        if waiting.len() > most {
            waiting.pop_first();
            self.skipped += 1;
            self.nameless |= kind == Kind::Roster;
        }
        Ticket { kind, number }
    }

    /// The notice, unless it was dropped.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Event> {
        let waiting = match ticket.kind {
            Kind::Roster => &mut self.roster,
            Kind::Other => &mut self.others,
        };
        waiting.remove(&ticket.number).map(|event| *event)
    }

    pub(super) fn has(&self, ticket: Ticket) -> bool {
        match ticket.kind {
            Kind::Roster => self.roster.contains_key(&ticket.number),
            Kind::Other => self.others.contains_key(&ticket.number),
        }
    }

    /// That notices were dropped, once.
    pub(super) fn skipped(&mut self) -> Option<Event> {
        let notices = std::mem::take(&mut self.skipped);
        (notices > 0).then_some(Event::Skipped { notices })
    }

    /// Whether it is time, once, to tell anew who is here.
    pub(super) fn takes_names(&mut self) -> bool {
        self.skipped == 0 && std::mem::take(&mut self.nameless)
    }
}
