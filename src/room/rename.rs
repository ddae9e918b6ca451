//! This node's nick, and how often it changes: each change is a line on every member's screen, so it has a rate. Beyond
//! it a change waits, and when it may be posted only the last one is.

use crate::limits::RENAMES;
use crate::wire::record::{Draft, Nick};

use super::bucket::Bucket;
use super::event::{Event, Person};
use super::{Output, Room};

/// The changes of this node's nick.
#[derive(Debug, Default)]
pub(super) struct Renames {
    /// Those that were posted.
    posted: Bucket,
    /// The nick that the user wants and that is not posted yet.
    wanted: Option<Nick>,
}

impl Room {
    /// The user wants another nick.
    pub(super) fn want_nick(&mut self, nick: Nick, out: &mut Vec<Output>) {
        if nick == self.config.nick {
            self.renames.wanted = None;
            return;
        }
        if !self.is_speaking() {
            return;
        }
        let was_waiting = self.renames.wanted.replace(nick).is_some();
        self.take_wanted_nick(out);
        if let Some(nick) = self.renames.wanted.as_ref().filter(|_| !was_waiting) {
            let text = format!(
                "your nick has changed {} times in a minute: {nick}, or a later one, follows when it may",
                RENAMES.burst
            );
            self.local.notice(Event::Refused(text));
        }
    }

    /// Posts the nick that is wanted, if it may change again.
    pub(super) fn take_wanted_nick(&mut self, out: &mut Vec<Output>) {
        let is_due = self.renames.wanted.is_some() && self.is_speaking();
        if !is_due || !self.renames.posted.pour(1, RENAMES, self.now.mono) {
            return;
        }
        let Some(nick) = self.renames.wanted.take() else { return };
        let old = std::mem::replace(&mut self.config.nick, nick.clone());
        self.post(&Draft::Nick, out);
        let member = Person { id: self.me.author, nick };
        self.local.notice(Event::Renamed { member: member.clone(), old });
        if let Some(clash) = self.roster.name_me(member, self.config.passing) {
            self.local.notice(clash);
        }
    }
}
