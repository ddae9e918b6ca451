//! A pipe whose lines are for one reader alone: found by a name when it is known who is here, then paced by its receipts.

use crate::limits::WHISPERS_WAITING_MAX;
use crate::room::event::{Command, Event, Outcome, Person, Said, Whom};
use crate::room::{Output, Room};

use super::Pipe;
use super::talk::Talk;

impl Room {
    /// Finds the reader of all that is piped in, or gives up.
    pub(super) fn find_pipe_reader(&mut self, out: &mut Vec<Output>) {
        let Pipe::Sought(who) = &self.whispers.pipe else { return };
        let who = who.clone();
        let has_waited = self.now.mono >= self.started.mono + self.config.wait_ms;
        let is_told = self.completion.is_complete() || has_waited;
        match self.meant(&Whom::Called(who)) {
            Ok((person, Some(_))) if self.reader(person.id, None).is_some() || !self.config.passing => {
                self.whispers.pipe = Pipe::Found(person.id);
            }
            Ok((person, _)) if has_waited && self.config.passing => {
                let is_here = self.reader(person.id, None).is_some();
                let why = if is_here { "takes nothing private" } else { "is not here" };
                self.give_up_pipe(&format!("{} {why}", person.nick), out);
            }
            Err(why) if has_waited && self.config.passing && is_told => self.give_up_pipe(&why, out),
            Err(why) if has_waited && !std::mem::replace(&mut self.whispers.is_pipe_told, true) => {
                self.local.notice(Event::Warning(format!("{why}; what is piped in waits for them")));
            }
            _ => {}
        }
    }

    pub(super) fn give_up_pipe(&mut self, why: &str, out: &mut Vec<Output>) {
        self.whispers.pipe = Pipe::Room;
        self.local.notice(Event::Refused(why.to_owned()));
        self.leave("", Outcome::Unconfirmed, out);
    }

    /// Whether more of a pipe to one reader may be taken.
    pub(in crate::room) fn may_whisper(&self) -> bool {
        let Pipe::Found(id) = self.whispers.pipe else { return false };
        !self.whispers.talks.get(&id).is_some_and(is_long)
    }

    /// Keeps a command that names somebody until it is known who is here, and those behind it; gives back what is done now.
    pub(in crate::room) fn hold_command(&mut self, command: Command) -> Option<Command> {
        let (whom, is_end) = match &command {
            Command::Whisper(whom, _) | Command::Ping(whom) | Command::Trace(whom) => (Some(whom), false),
            Command::Chat { whom, .. } => (whom.as_ref(), false),
            Command::EndOfInput => (None, true),
            // Who asks in a script means the room, not the moment before it is found.
            Command::Names | Command::Status if self.config.passing && self.is_finding_out() => {
                self.whispers.held.push_back(command);
                return None;
            }
            _ => return Some(command),
        };
        let names = matches!(whom, Some(Whom::Called(_)));
        let is_early = !self.whispers.held.is_empty() || (names && self.is_finding_out());
        let held = &mut self.whispers.held;
        if !is_early || (!is_end && held.len() >= WHISPERS_WAITING_MAX) {
            return Some(command);
        }
        held.push_back(command);
        None
    }

    /// Whether it is not known yet who is here.
    fn is_finding_out(&self) -> bool {
        let is_over = if self.config.passing { self.completion.is_complete() } else { !self.completion.is_under_way() };
        !is_over && self.now.mono < self.started.mono + self.config.wait_ms
    }

    /// Does what was held.
    pub(in crate::room) fn obey_held(&mut self, out: &mut Vec<Output>) {
        if !self.whispers.held.is_empty() && !self.is_finding_out() {
            for command in std::mem::take(&mut self.whispers.held) {
                self.obey(command, out);
            }
        }
    }

    /// Whether commands are held: piped text stands behind them.
    pub(in crate::room) fn holds_commands(&self) -> bool {
        !self.whispers.held.is_empty()
    }

    /// Whether another command of a script may be taken: those before it are not held, and readers have confirmed most of theirs.
    pub(in crate::room) fn may_go_further(&self) -> bool {
        let is_behind = self.whispers.talks.values().any(|talk| talk.target.is_some() && is_long(talk));
        self.whispers.held.len() < WHISPERS_WAITING_MAX / 2 && !is_behind
    }

    /// Whether something that was said to somebody alone is not confirmed, or was refused.
    pub(in crate::room) fn owes_whispers(&self) -> bool {
        self.whispers.has_failed || self.holds_commands() || self.whispers.waiting() > 0
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
