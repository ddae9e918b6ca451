//! Who is away, by their own word: a field of the join. A join of a session that is present is never evicted, so
//! whoever comes later learns of it, too.
//!
//! A member is away as long as all its sessions here are. What is told of a member, and what this node posts, has a rate:
//! whoever goes and comes all the time costs others little, and the last word is told in the end.

use crate::limits::AWAY_JOINS;

use super::bucket::Bucket;
use super::ending::Ending;
use super::event::{Event, Person};
use super::session::Session;
use super::{Output, Room};

/// Whether this node's user is away.
#[derive(Debug, Default)]
pub(super) struct Absence {
    /// Why, or nothing; `None` while here.
    pub(super) why: Option<String>,
    /// What the newest join says.
    posted: Option<String>,
    /// The joins that told of a change.
    joins: Bucket,
}

/// Why somebody with these sessions is away, by the word of the newest one; `None` where one of them is here.
pub(super) fn away_of<'a>(sessions: impl Iterator<Item = &'a Session>) -> Option<String> {
    let mut newest: Option<&Session> = None;
    for session in sessions {
        session.away.as_ref()?;
        if newest.is_none_or(|newest| session.since >= newest.since) {
            newest = Some(session);
        }
    }
    newest?.away.clone()
}

impl Room {
    /// The user goes away, gives another reason, or is back; it is told in any case.
    pub(super) fn be_away(&mut self, why: Option<String>, out: &mut Vec<Output>) {
        if !matches!(self.ending, Ending::Open) {
            return;
        }
        self.absence.why.clone_from(&why);
        let member = Person { id: self.me.author, nick: self.config.nick.clone() };
        self.local.notice(Event::Away { member, why });
        self.post_absence(out);
    }

    /// Joins anew where the newest join says otherwise; not as often as somebody may like.
    pub(super) fn post_absence(&mut self, out: &mut Vec<Output>) {
        let is_told = self.absence.posted == self.absence.why;
        if !is_told && self.absence.joins.pour(1, AWAY_JOINS, self.now.mono) {
            self.post_join(out);
        }
    }

    /// What a join says of it.
    pub(super) fn absence_to_post(&mut self) -> Option<String> {
        self.absence.posted.clone_from(&self.absence.why);
        self.absence.posted.clone()
    }
}
