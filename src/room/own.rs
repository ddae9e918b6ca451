//! What this node posts itself.
//!
//! An author numbers, signs and appends its post; from there it travels like any other.

use std::sync::Arc;

use crate::limits::{JOIN_RENEW_MS, POST_AHEAD_MS_MAX, RANK_DEFAULT};
use crate::wire::record::{Draft, Header, Post};

use super::event::{Command, Event, Said, Whom};
use super::local::Question;
use super::pace::Due;
use super::{Output, Room};

impl Room {
    /// Posts a draft of ours.
    pub(super) fn post(&mut self, draft: &Draft<'_>, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let about_bytes = if let Draft::Say { text, .. } = draft { text.len() } else { 0 };
        let repeated = matches!(draft, Draft::Mark);
        let ack = repeated || self.pace.should_mark(about_bytes, self.marks.share_bytes(), now);
        self.clock = self.now.wall.max(self.clock + 1);
        self.tell_put_back();
        let nick = self.config.nick.clone();
        let header = Header { feed: self.me, number: self.log.have(&self.me) + 1, at: self.clock, nick: &nick, ack };
        let post = Post::encode(&header, draft, &self.domain, &self.config.identity);
        self.pace.posted(post.number, post.frame.len(), ack, !repeated, now);
        self.append(&Arc::new(post), None, out);
    }

    /// What we say comes after what we said before, so a clock that was put back by more than others bear leaves us unheard,
    /// until a new run.
    fn tell_put_back(&mut self) {
        let ahead = self.clock.saturating_sub(self.now.wall);
        if ahead > POST_AHEAD_MS_MAX && self.untimely.insert(self.me.author) {
            let hours = ahead / 3_600_000;
            let text = format!(
                "the clock was put back by {hours} hours: nobody hears what is said here, until hobnob is started again"
            );
            self.local.notice(Event::Warning(text));
        }
    }

    /// Joins, or joins anew.
    pub(super) fn post_join(&mut self, out: &mut Vec<Output>) {
        let addresses = self.announced.addresses.clone();
        let rank = Some(self.config.rank).filter(|rank| *rank != RANK_DEFAULT);
        let sealing = Some(self.whispers.sealing_key());
        let (away, passing) = (self.absence_to_post(), self.config.passing);
        let away = away.as_deref();
        self.post(&Draft::Join { addresses: &addresses, passing, rank, sealing, away }, out);
    }

    pub(super) fn say(&mut self, said: &Said, out: &mut Vec<Output>) {
        if !self.is_speaking() {
            return;
        }
        if said.private {
            self.whisper(&Whom::Partner, said, out);
        } else if self.whispers.is_pipe() {
            self.say_to_reader(said, out);
        } else {
            self.said += 1;
            self.post(&Draft::Say { text: &said.text, action: said.action, part: said.part }, out);
            self.said_last = self.log.have(&self.me);
        }
    }

    pub(super) fn obey(&mut self, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Say(said) => self.say(&said, out),
            Command::Nick(nick) => self.want_nick(nick, out),
            Command::Whisper(whom, said) => {
                if self.is_speaking() {
                    self.whisper(&whom, &said, out);
                }
            }
            Command::Chat { whom, typed } => self.chat(whom.as_ref(), typed, out),
            Command::Shown(whispers) => whispers.iter().for_each(|whisper| self.whisper_shown(whisper)),
            Command::Ping(whom) => self.ping(&whom, out),
            Command::Trace(whom) => self.trace(&whom, out),
            Command::Acquaint { shut_out, contacts } => self.whispers.acquaint(shut_out, contacts),
            Command::Away(why) => self.be_away(why, out),
            Command::Names => self.local.ask(Question::Names),
            Command::Status => self.local.ask(Question::Status),
            Command::Recall(wanted) => self.local.ask(Question::Recall(wanted)),
            Command::Undone => self.whispers.fail(),
            Command::EndOfInput => self.end_of_input(""),
            Command::Quit { why } if self.config.passing => self.end_of_input(&why),
            Command::Quit { why } | Command::Leave { why } => self.leave_at_once(&why, out),
        }
    }

    /// What is due by the clock: a mark, a renewed join.
    pub(super) fn post_due(&mut self, out: &mut Vec<Output>) {
        if self.is_ending() {
            return;
        }
        let insist = self.config.passing;
        if self.pace.pass_time(insist, self.marks.share_bytes(), &self.domain, self.now.mono) == Due::Mark {
            self.post(&Draft::Mark, out);
        }
        let silent_since = self.log.feed(&self.me).map_or(0, |feed| feed.progress_at);
        if self.now.mono >= silent_since + JOIN_RENEW_MS {
            self.post_join(out);
        }
    }
}
