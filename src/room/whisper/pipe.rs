//! A pipe whose lines are for one reader alone: found by a name when it is known who is here, then paced by its receipts.

use crate::limits::WHISPERS_WAITING_MAX;
use crate::room::event::{Event, Person, Said, Whom};
use crate::room::{Output, Room};

use super::Pipe;
use super::talk::Talk;

impl Room {
    /// Finds the reader of all that is piped in, or gives up.
    pub(super) fn find_pipe_reader(&mut self, out: &mut Vec<Output>) {
        let Pipe::Sought(who) = &self.whispers.pipe else { return };
        let who = who.clone();
        // An open input waits for its reader as it does for a peer.
        let gives_up = self.has_waited() && self.is_accompanied();
        let is_late = self.now.mono >= self.started.mono + self.config.wait_ms;
        let why = match self.meant(&Whom::Called(who)) {
            Ok((person, Some(_))) if self.reader(person.id, None).is_some() || !self.config.passing => {
                self.whispers.pipe = Pipe::Found(person.id);
                return;
            }
            Ok((person, _)) if self.reader(person.id, None).is_some() => {
                format!("{} takes nothing private", person.nick)
            }
            Ok((person, _)) => format!("{} is not here", person.nick),
            Err(why) => why,
        };
        if gives_up {
            self.local.notice(Event::Refused(why));
            self.conclude(true, Vec::new(), out);
        } else if is_late && !std::mem::replace(&mut self.whispers.is_pipe_told, true) {
            self.local.notice(Event::Warning(format!("{why}; what is piped in waits for them")));
        }
    }

    /// Whether a pipe to one reader has found it.
    pub(in crate::room) fn is_pipe_found(&self) -> bool {
        matches!(self.whispers.pipe, Pipe::Found(_))
    }

    /// Whether more of a pipe to one reader may be taken.
    pub(in crate::room) fn may_whisper(&self) -> bool {
        let Pipe::Found(id) = self.whispers.pipe else { return false };
        !self.whispers.talks.get(&id).is_some_and(is_long)
    }

    /// Whether so much waits for somebody who is here that a script is not read on.
    pub(in crate::room) fn is_talk_long(&self) -> bool {
        self.whispers.talks.values().any(|talk| talk.target.is_some() && is_long(talk))
    }

    /// Whether something that was said to somebody alone is not confirmed, or was refused.
    pub(in crate::room) fn owes_whispers(&self) -> bool {
        self.whispers.has_failed || self.whispers.waiting() > 0
    }

    /// Says what was piped in to its reader.
    pub(in crate::room) fn say_to_reader(&mut self, said: &Said, out: &mut Vec<Output>) {
        let Pipe::Found(id) = self.whispers.pipe else { return };
        // Found among those of whom there is a post, which may be forgotten since.
        let person = self.talked_with(id).unwrap_or_else(|| Person::nameless(id));
        self.whisper(&Whom::Known(person, None), said, out);
    }

    /// How a pipe to one reader stands: who that is, and how many are not confirmed. `None` while it is sought.
    pub(in crate::room) fn pipe_reader(&self) -> Option<(Person, usize)> {
        let Pipe::Found(id) = self.whispers.pipe else { return None };
        Some((self.talked_with(id)?, self.whispers.talks.get(&id).map_or(0, |talk| talk.queue.len())))
    }
}

/// Whether so much waits for a reader that a pipe is not read on.
fn is_long(talk: &Talk) -> bool {
    talk.queue.len() >= WHISPERS_WAITING_MAX / 4
}
