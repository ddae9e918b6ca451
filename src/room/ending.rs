//! How a run ends.
//!
//! At the end of a pipe the run confirms that every member holds what was said, then says goodbye; at the
//! end of everything each link gets its exit record once its outbox is empty.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::{LEAVE_MS_MAX, WHY_BYTES_MAX};
use crate::wire::end::End;
use crate::wire::record::{Draft, FeedId};

use super::event::{Event, Outcome, Person};
use super::links::{Link, Outgoing};
use super::{LinkId, Output, Room};

/// How long after a link is ready its peer may take to ask for what it lacks, before we leave.
const ASKING_MS: u64 = 1_000;

/// How far the end of the run has come.
#[derive(Debug)]
pub(super) enum Ending {
    /// It has not begun.
    Open,
    /// The input is over, and the members confirm.
    Confirming(Confirmation),
    /// We were the hub, and members move to the next one.
    HandingOver { deadline: u64, why: String, outcome: Outcome },
    /// Goodbye is said; the links are being emptied.
    Leaving { deadline: u64, outcome: Outcome },
    /// All is done.
    Over,
}

/// Who has to confirm what.
#[derive(Debug)]
pub(super) struct Confirmation {
    /// The number of our last post.
    last: u64,
    /// The sessions that were present when the input ended; `None` until the roster is complete.
    required: Option<BTreeSet<FeedId>>,
    /// The sum of what they hold, and when it last grew.
    progress: u64,
    progress_at: u64,
}

impl Room {
    // ---- the end of the input -----------------------------------------------------------------------

    pub(super) fn end_of_input(&mut self, out: &mut Vec<Output>) {
        // A node that stays has nothing to end.
        if self.config.passing && matches!(self.ending, Ending::Open) {
            // Receipts are all that a pipe to one reader waits for.
            if !self.pace.is_marked() && !self.whispers.is_pipe() {
                self.post(&Draft::Mark, out);
            }
            let (last, progress_at) = (self.log.have(&self.me), self.now.mono);
            self.ending = Ending::Confirming(Confirmation { last, required: None, progress: 0, progress_at });
        }
    }

    /// Whether goodbye is said, or about to be.
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.ending, Ending::HandingOver { .. } | Ending::Leaving { .. } | Ending::Over)
    }

    /// Takes the end of the run one step further, where it is due.
    pub(super) fn end_step(&mut self, out: &mut Vec<Output>) {
        match &self.ending {
            Ending::Open => {
                self.give_up_waiting(out);
            }
            Ending::Confirming(_) => {
                if !self.give_up_waiting(out) {
                    self.confirm_step(out);
                }
            }
            Ending::HandingOver { deadline, why, outcome } => {
                if self.now.mono >= *deadline || self.has_no_followers() {
                    let (why, outcome) = (why.clone(), *outcome);
                    self.say_goodbye(&why, outcome, out);
                }
            }
            Ending::Leaving { deadline, outcome } => {
                let (late, outcome) = (self.now.mono >= *deadline, *outcome);
                let is_settled = self.links.values().all(|link| self.is_emptied(link)) && !self.owes_receipts();
                if late || is_settled {
                    self.finish(outcome, out);
                }
            }
            Ending::Over => {}
        }
    }

    /// A passing run does not wait for somebody to talk to for ever. A link alone is nobody: its peer
    /// may never join.
    fn give_up_waiting(&mut self, out: &mut Vec<Output>) -> bool {
        if !self.config.passing {
            return false;
        }
        if self.pace.has_members() && self.links.values().any(Link::is_ready) {
            self.accompanied_at = Some(self.now.mono);
            return false;
        }
        let since = self.accompanied_at.unwrap_or(self.started.mono);
        let refused = self.accompanied_at.is_none() && self.overlay.all_refused();
        if self.now.mono < since + self.config.wait_ms && !refused {
            return false;
        }
        let outcome = match self.accompanied_at {
            None if refused => Outcome::Refused,
            None => Outcome::NoPeer,
            Some(_) if self.said + self.whispered == 0 => Outcome::Done,
            Some(_) => {
                self.local.notice(Event::Undelivered { missing: Vec::new() });
                Outcome::Unconfirmed
            }
        };
        self.leave("", outcome, out);
        true
    }

    fn confirm_step(&mut self, out: &mut Vec<Output>) {
        // Each is answered or given up in time.
        if self.is_probing() {
            return;
        }
        if self.whispers.is_pipe() {
            return self.confirm_whispers(out);
        }
        self.pace.check(&self.domain);
        let (me, now) = (self.me, self.now.mono);
        let Ending::Confirming(confirmation) = &mut self.ending else { return };
        let expired = now >= confirmation.progress_at + self.config.linger_ms;
        if confirmation.required.is_none() && self.completion.is_complete() {
            let present = self.roster.present().map(|(session, _)| *session).filter(|session| *session != me);
            confirmation.required = Some(present.collect());
            confirmation.progress_at = now;
        }
        let Some(required) = &mut confirmation.required else {
            if expired {
                self.undelivered(BTreeMap::new(), out);
            }
            return;
        };
        // Nobody was there at the end of the input: whoever comes in time may confirm.
        if required.is_empty() {
            required.extend(self.roster.present().map(|(session, _)| *session).filter(|session| *session != me));
        }
        let last = confirmation.last;
        let progress: u64 = required.iter().map(|member| self.pace.progress(member).min(last)).sum();
        let progress = progress + self.whispered.saturating_sub(self.whispers.waiting() as u64);
        if progress > confirmation.progress {
            confirmation.progress = progress;
            confirmation.progress_at = now;
        }
        // Who passes by and says goodbye was no reader.
        let passed = |member: &FeedId| self.roster.session(member).is_some_and(|s| s.passing && s.has_left());
        self.held.extend(required.iter().filter(|member| self.pace.holds(member, last)));
        let held = |member: &FeedId| self.held.contains(member);
        let missing: Vec<FeedId> = required.iter().filter(|member| !held(member) && !passed(member)).copied().collect();
        let confirmed: BTreeSet<_> =
            required.iter().filter(|member| held(member)).map(|member| member.author).collect();
        if (missing.is_empty() && !confirmed.is_empty()) || (self.said == 0 && !required.is_empty()) {
            let members = confirmed.len();
            return self.confirm_private(members, expired, out);
        }
        let hopeless = !missing.is_empty() && missing.iter().all(|member| !self.roster.is_present(member));
        if hopeless || expired {
            let missing = missing.iter().filter_map(|member| Some((*member, self.roster.person(member)?)));
            let missing = missing.collect();
            self.undelivered(missing, out);
        }
    }

    /// What was said to all is confirmed; what was said to some alone has to be, too.
    fn confirm_private(&mut self, members: usize, expired: bool, out: &mut Vec<Output>) {
        let missing = self.whispers.readers_awaited();
        if !missing.is_empty() && !expired {
            return;
        }
        if !missing.is_empty() || self.whispers.has_failed() {
            if !missing.is_empty() {
                self.local.notice(Event::Undelivered { missing });
            }
            return self.leave("", Outcome::Unconfirmed, out);
        }
        // Of each that was whispered it was told that it was heard.
        if self.said > 0 || self.whispered == 0 {
            self.local.notice(Event::Delivered { posts: self.said, members });
        }
        self.leave("", Outcome::Done, out);
    }

    /// All that was piped in is for one reader, who confirms it.
    fn confirm_whispers(&mut self, out: &mut Vec<Output>) {
        let (now, linger_ms, said) = (self.now.mono, self.config.linger_ms, self.whispered);
        let reader = self.pipe_reader();
        let Ending::Confirming(confirmation) = &mut self.ending else { return };
        // Until it is found nothing can be said to it, and somebody gives up looking.
        let Some((reader, waiting)) = reader else { return };
        let progress = said.saturating_sub(waiting as u64);
        if progress > confirmation.progress {
            (confirmation.progress, confirmation.progress_at) = (progress, now);
        }
        let is_over = waiting == 0 || now >= confirmation.progress_at + linger_ms;
        if waiting == 0 && !self.whispers.has_failed() {
            self.local.notice(Event::Delivered { posts: said, members: 1 });
            self.leave("", Outcome::Done, out);
        } else if is_over {
            self.local.notice(Event::Undelivered { missing: vec![reader] });
            self.leave("", Outcome::Unconfirmed, out);
        }
    }

    fn undelivered(&mut self, missing: BTreeMap<FeedId, Person>, out: &mut Vec<Output>) {
        let mut people: Vec<Person> = missing.into_values().collect();
        people.dedup();
        self.local.notice(Event::Undelivered { missing: people });
        self.leave("", Outcome::Unconfirmed, out);
    }

    // ---- goodbye --------------------------------------------------------------------------------------

    pub(super) fn leave(&mut self, why: &str, outcome: Outcome, out: &mut Vec<Output>) {
        if self.is_ending() {
            return;
        }
        match self.hand_over_to_leave(out) {
            Some(deadline) => self.ending = Ending::HandingOver { deadline, why: why.to_owned(), outcome },
            None => self.say_goodbye(why, outcome, out),
        }
    }

    fn say_goodbye(&mut self, why: &str, outcome: Outcome, out: &mut Vec<Output>) {
        self.ending = Ending::Leaving { deadline: self.now.mono + LEAVE_MS_MAX, outcome };
        self.note_acquaintances(out);
        self.end_whispers();
        let mut end = why.len().min(WHY_BYTES_MAX);
        while !why.is_char_boundary(end) {
            end -= 1;
        }
        self.post(&Draft::Leave { why: why.get(..end).unwrap_or_default() }, out);
    }

    /// Whether a link has got all it is owed and its socket has taken it.
    fn is_emptied(&self, link: &Link) -> bool {
        if !link.is_ready() {
            return !link.is_up();
        }
        // A new peer has hardly had the time to ask for what it lacks.
        let is_new = self.now.mono < link.ready_at + ASKING_MS;
        // Without a hub every link asks for what it is told of.
        let is_hubless = self.is_hubless();
        let is_owed = |(feed, outgoing): (&FeedId, &Outgoing)| match outgoing {
            Outgoing::Open { cursor } => *cursor <= self.log.newest(feed),
            Outgoing::Quiet { .. } => (is_new || is_hubless) && link.known(feed) < self.log.newest(feed),
        };
        link.queued_bytes == 0 && !link.outgoing.iter().any(is_owed)
    }

    fn finish(&mut self, outcome: Outcome, out: &mut Vec<Output>) {
        self.ending = Ending::Over;
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.links.remove(&link);
            out.push(Output::Close { link, end: End::Goodbye });
        }
        out.push(Output::End(outcome));
    }
}
