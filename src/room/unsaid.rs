//! What was read and cannot be said yet: text while nobody is there to hear it, commands that name somebody before it is
//! known who is here, and all that stands behind those.
//!
//! It is bounded by the window, so a pipe without a peer is read up to that and then blocks. It is said in its order,
//! when somebody is there, so whoever comes back after an hour is told all of it.

use std::collections::VecDeque;

use crate::limits::{WHISPERS_WAITING_MAX, WINDOW_BYTES_MIN};

use super::ending::Ending;
use super::event::{Command, Said, Whom};
use super::links::Link;
use super::{Output, Room};

/// Something that was read.
#[derive(Debug)]
enum Read {
    /// Text of a pipe.
    Text(Said),
    /// A command, or what is typed.
    Command(Command),
}

impl Read {
    fn bytes(&self) -> usize {
        match self {
            Read::Text(said) | Read::Command(Command::Say(said) | Command::Whisper(_, said)) => said.text.len(),
            Read::Command(_) => 0,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Unsaid {
    queue: VecDeque<Read>,
    bytes: usize,
}

impl Unsaid {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn push(&mut self, read: Read) {
        self.bytes += read.bytes();
        self.queue.push_back(read);
    }

    fn pop(&mut self) -> Option<Read> {
        let read = self.queue.pop_front()?;
        self.bytes -= read.bytes();
        Some(read)
    }

    fn has_room(&self) -> bool {
        (self.bytes as u64) < WINDOW_BYTES_MIN && self.queue.len() < WHISPERS_WAITING_MAX / 2
    }

    /// How many private messages are among it.
    pub(super) fn whispers(&self) -> usize {
        self.queue.iter().filter(|read| matches!(read, Read::Command(Command::Whisper(..)))).count()
    }
}

impl Room {
    /// Whether piped text may be taken now.
    pub fn may_say(&mut self) -> bool {
        // What is said is shown here, too: this node's own reader counts like any other.
        matches!(self.ending, Ending::Open)
            && !self.is_behind()
            && self.may_obey()
            && (self.waits_for_somebody() || (self.unsaid.is_empty() && self.can_say()))
    }

    /// Whether a command in piped text may be taken now: its answer is not dropped, however slow its reader is, and what it
    /// has said to one waits for that one.
    pub fn may_obey(&self) -> bool {
        let is_next = self.unsaid.is_empty() || (self.waits_for_somebody() && self.unsaid.has_room());
        is_next && !self.local.is_full() && !self.is_talk_long()
    }

    /// Text of a pipe was read.
    pub(super) fn text_read(&mut self, said: Said, out: &mut Vec<Output>) {
        if !matches!(self.ending, Ending::Open) {
            return;
        }
        self.note_owed();
        self.unsaid.push(Read::Text(said));
        self.say_on(out);
    }

    /// The user, or a script, wants something.
    pub(super) fn command(&mut self, command: Command, out: &mut Vec<Output>) {
        let is_own = matches!(
            command,
            Command::EndOfInput
                | Command::Quit { .. }
                | Command::Leave { .. }
                | Command::Undone
                | Command::Shown(_)
                | Command::Acquaint { .. }
        );
        let waits = !self.unsaid.is_empty() || self.has_to_wait(&command);
        if matches!(command, Command::Whisper(..) | Command::Undone) {
            self.note_owed();
        }
        if is_own || !waits || self.unsaid.queue.len() >= WHISPERS_WAITING_MAX {
            return self.obey(command, out);
        }
        self.unsaid.push(Read::Command(command));
    }

    /// Says, and does, what was read, as far as that can be now.
    pub(super) fn say_on(&mut self, out: &mut Vec<Output>) {
        while self.is_speaking() && self.is_next_ready() {
            match self.unsaid.pop() {
                Some(Read::Text(said)) => self.say(&said, out),
                Some(Read::Command(command)) => self.obey(command, out),
                None => return,
            }
            self.said_on();
        }
    }

    fn is_next_ready(&mut self) -> bool {
        match self.unsaid.queue.front() {
            None => false,
            Some(Read::Text(said)) if said.private => !self.is_talk_long(),
            Some(Read::Text(_)) => self.can_say(),
            Some(Read::Command(command)) => !self.has_to_wait(command) && !self.is_talk_long(),
        }
    }

    /// Whether somebody is there to hear a word. A link alone is nobody: its peer may never join.
    pub(super) fn is_accompanied(&self) -> bool {
        self.pace.has_members() && self.links.values().any(Link::is_ready)
    }

    /// Whether what is piped in is said, or waits. A run that stays says it where somebody was a moment ago, as people do who
    /// type: whoever is back soon asks for it.
    fn has_audience(&self) -> bool {
        self.is_accompanied() || (self.pace.has_members() && !self.config.passing)
    }

    /// Whether text of a pipe may be said now, to all or to the one that all of it is for.
    fn can_say(&mut self) -> bool {
        if self.whispers.is_pipe() {
            return self.may_whisper();
        }
        self.has_audience() && self.pace.may_say(self.marks.share_bytes(), &self.domain)
    }

    /// Whether what was read, or is read next, cannot be said because nobody is there yet, or nobody known.
    fn waits_for_somebody(&self) -> bool {
        match self.unsaid.queue.front() {
            Some(Read::Command(command)) => self.has_to_wait(command),
            Some(Read::Text(said)) if said.private => false,
            _ if self.whispers.is_pipe() => !self.is_pipe_found(),
            _ => !self.has_audience(),
        }
    }

    /// Whether a command names somebody, or asks who is here, and that is not known yet.
    fn has_to_wait(&self, command: &Command) -> bool {
        match command {
            Command::Whisper(Whom::Called(_), _)
            | Command::Ping(Whom::Called(_))
            | Command::Trace(Whom::Called(_))
            | Command::Chat { whom: Some(Whom::Called(_)), .. } => self.is_finding_out(),
            // Who asks in a script means the room, not the moment before it is found; not for ever.
            Command::Names | Command::Status => {
                self.config.passing && self.is_finding_out() && self.now.mono < self.started.mono + self.config.wait_ms
            }
            _ => false,
        }
    }

    /// Whether it is not known yet who is here. A run that ends with its input looks for somebody until that has ended and
    /// its patience is over.
    fn is_finding_out(&self) -> bool {
        if self.config.passing {
            return !self.completion.is_complete() && !self.has_waited();
        }
        self.completion.is_under_way() && self.now.mono < self.started.mono + self.config.wait_ms
    }
}
