//! How a run ends.
//!
//! At the end of a pipe the run confirms that every member holds what was said, then says goodbye; at the
//! end of everything each link gets its exit record once its outbox is empty.

use std::collections::BTreeSet;

use crate::identity::Id;
use crate::limits::{LEAVE_CONFIRM_MS, LEAVE_MS_MAX, WHY_BYTES_MAX};
use crate::wire::end::End;
use crate::wire::record::{Draft, FeedId};

use super::event::{Confirm, Event, Outcome, Person};
use super::links::{Link, Outgoing};
use super::verdict::Facts;
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
    /// The word of goodbye.
    why: String,
    /// When the input ended.
    ended_at: u64,
    /// When it is over whatever was confirmed: a goodbye was asked for.
    deadline: Option<u64>,
    /// The number of our last post, once all that was read is said.
    last: Option<u64>,
    /// The sessions that were present then; `None` until the roster is complete.
    required: Option<BTreeSet<FeedId>>,
    /// The sum of what they hold, and when it last grew, or something was said.
    progress: u64,
    progress_at: u64,
}

impl Room {
    // ---- the end of the input -----------------------------------------------------------------------

    /// A node that stays has nothing to end.
    pub(super) fn end_of_input(&mut self, why: &str) {
        if self.config.passing && matches!(self.ending, Ending::Open) {
            self.ending = Ending::Confirming(Confirmation {
                why: why.to_owned(),
                ended_at: self.now.mono,
                deadline: None,
                last: None,
                required: None,
                progress: 0,
                progress_at: self.now.mono,
            });
        }
    }

    /// A signal, or whoever types `/quit`: what is said already may still be confirmed, in a moment.
    pub(super) fn leave_at_once(&mut self, why: &str, out: &mut Vec<Output>) {
        if !self.config.passing {
            return self.leave(why, Outcome::Done, out);
        }
        let read_all = !matches!(self.ending, Ending::Open);
        let owes = self.owes();
        if !owes || !self.is_accompanied() {
            return self.conclude_as(owes, read_all, Vec::new(), why, out);
        }
        self.end_of_input(why);
        if let Ending::Confirming(confirmation) = &mut self.ending {
            confirmation.deadline.get_or_insert(self.now.mono + LEAVE_CONFIRM_MS);
        }
    }

    /// Whether text and commands are still taken out of what was read.
    pub(super) fn is_speaking(&self) -> bool {
        matches!(self.ending, Ending::Open | Ending::Confirming(_))
    }

    /// Something that was read was said, or done.
    pub(super) fn said_on(&mut self) {
        if let Ending::Confirming(confirmation) = &mut self.ending {
            confirmation.progress_at = self.now.mono;
        }
    }

    /// Whether the input has ended, and the patience for a peer is over.
    pub(super) fn has_waited(&self) -> bool {
        let Ending::Confirming(confirmation) = &self.ending else { return false };
        self.now.mono >= confirmation.ended_at + self.config.wait_ms
    }

    /// Whether something that was read is not said, or not confirmed.
    fn owes(&mut self) -> bool {
        if !self.unsaid.is_empty() || self.owes_whispers() {
            return true;
        }
        let confirmed = self.pace.confirmed_number(self.config.confirm, &self.domain);
        if self.said_last <= confirmed {
            // Of those that were there at the end of the input each has to have it.
            return !self.missing().is_empty();
        }
        self.said > 0
    }

    /// Something was read that is to be confirmed.
    pub(super) fn note_owed(&mut self) {
        let is_accompanied = self.is_accompanied();
        self.owed_to_somebody.get_or_insert(is_accompanied);
    }

    /// All was confirmed, as far as is known without looking at signatures: what is read next is the first that is not.
    pub(super) fn note_confirmed(&mut self) {
        if self.owed_to_somebody.is_some()
            && self.unsaid.is_empty()
            && !self.owes_whispers()
            && self.pace.is_claimed(self.said_last, self.config.confirm)
        {
            self.owed_to_somebody = None;
        }
    }

    /// The run is over; what has happened decides how.
    pub(super) fn conclude(&mut self, owes: bool, missing: Vec<Person>, out: &mut Vec<Output>) {
        let (why, read_all) = match &mut self.ending {
            Ending::Confirming(confirmation) => {
                (std::mem::take(&mut confirmation.why), confirmation.deadline.is_none())
            }
            _ => (String::new(), false),
        };
        self.conclude_as(owes, read_all, missing, &why, out);
    }

    fn conclude_as(&mut self, owes: bool, read_all: bool, missing: Vec<Person>, why: &str, out: &mut Vec<Output>) {
        let linked = self.owed_to_somebody.filter(|_| owes).unwrap_or(self.accompanied_at.is_some());
        let refused = !self.is_accompanied() && self.overlay.all_refused();
        let outcome = Facts { owes, linked, refused, read_all }.outcome();
        if outcome != Outcome::Done {
            let short = match self.config.confirm {
                Confirm::Members(count) if owes && self.said > 0 => Some((self.confirmed_by().len(), count)),
                _ => None,
            };
            self.local.notice(Event::Undelivered { outcome, missing, posts: self.said, short });
        }
        self.leave(why, outcome, out);
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

    /// A passing run looks for somebody to talk to for as long as its input is open, unless every peer refuses; behind that
    /// for as long as its patience lasts.
    fn give_up_waiting(&mut self, out: &mut Vec<Output>) -> bool {
        if !self.config.passing {
            return false;
        }
        if self.is_accompanied() {
            self.accompanied_at = Some(self.now.mono);
            self.owed_to_somebody = self.owed_to_somebody.map(|_| true);
            return false;
        }
        let is_refused = self.overlay.all_refused();
        let ended_at = match &self.ending {
            Ending::Confirming(confirmation) => Some(confirmation.ended_at),
            _ if is_refused => None,
            _ => return false,
        };
        let since = self.accompanied_at.max(ended_at).unwrap_or(self.started.mono);
        let is_hopeless = is_refused && ended_at.is_some() && self.accompanied_at.is_none();
        if self.now.mono < since + self.config.wait_ms && !is_hopeless {
            return false;
        }
        let owes = self.owes();
        self.conclude(owes, Vec::new(), out);
        true
    }

    fn confirm_step(&mut self, out: &mut Vec<Output>) {
        let (now, linger_ms, accompanied_at) = (self.now.mono, self.config.linger_ms, self.accompanied_at);
        let Ending::Confirming(confirmation) = &mut self.ending else { return };
        if accompanied_at.is_none_or(|at| at < confirmation.ended_at) {
            // The patience for a confirmation begins when somebody is there to give it.
            confirmation.progress_at = now;
        }
        let is_overdue = confirmation.deadline.is_some_and(|deadline| now >= deadline);
        let is_late = is_overdue || now >= confirmation.progress_at + linger_ms;
        // Probes are answered or given up in time.
        if (self.is_probing() && !is_overdue) || !(self.unsaid.is_empty() || is_late) {
            return;
        }
        if self.whispers.is_pipe() {
            return self.confirm_whispers(is_late, out);
        }
        self.mark_the_end(out);
        self.note_progress();
        if self.is_confirmed() {
            return self.confirm_private(is_late, out);
        }
        let missing = self.missing();
        // Without a link those who are gone may be back with it.
        let is_hopeless = self.is_accompanied()
            && !missing.is_empty()
            && missing.iter().all(|member| !self.roster.is_present(member));
        if is_hopeless || is_late {
            let mut people: Vec<Person> = missing.iter().filter_map(|member| self.roster.person(member)).collect();
            people.dedup();
            self.conclude(true, people, out);
        }
    }

    /// Once all that was read is said: everybody is asked for an answer.
    fn mark_the_end(&mut self, out: &mut Vec<Output>) {
        let Ending::Confirming(Confirmation { last: None, .. }) = &self.ending else { return };
        if !self.unsaid.is_empty() {
            return;
        }
        if !self.pace.is_marked() {
            self.post(&Draft::Mark, out);
        }
        let number = self.log.have(&self.me);
        if let Ending::Confirming(confirmation) = &mut self.ending {
            confirmation.last = Some(number);
        }
    }

    /// Who has everything now, and who has to.
    fn note_progress(&mut self) {
        self.pace.check(&self.domain);
        let (me, now) = (self.me, self.now.mono);
        let Ending::Confirming(confirmation) = &mut self.ending else { return };
        let Some(last) = confirmation.last else { return };
        if confirmation.required.is_none() && self.completion.is_complete() {
            confirmation.required = Some(BTreeSet::new());
            confirmation.progress_at = now;
        }
        let Some(required) = &mut confirmation.required else { return };
        let present = || self.roster.present().map(|(session, _)| *session).filter(|session| *session != me);
        // Where nobody was there at the end of the input, whoever comes in time may confirm.
        if required.is_empty() {
            required.extend(present());
        }
        self.held.extend(required.iter().copied().chain(present()).filter(|member| self.pace.holds(member, last)));
        let progress: u64 = required.iter().map(|member| self.pace.progress(member).min(last)).sum();
        let progress = progress + self.whispered.saturating_sub(self.whispers.waiting() as u64);
        if progress > confirmation.progress {
            (confirmation.progress, confirmation.progress_at) = (progress, now);
        }
    }

    /// The sessions that have to have everything.
    fn required(&self) -> Option<&BTreeSet<FeedId>> {
        let Ending::Confirming(confirmation) = &self.ending else { return None };
        confirmation.required.as_ref().filter(|required| !required.is_empty())
    }

    /// Those of them that lack something. Who passed by and said goodbye was no reader; who was killed and is back as another
    /// session is the same node.
    fn missing(&self) -> Vec<FeedId> {
        let has_passed = |member: &FeedId| self.roster.session(member).is_some_and(|s| s.passing && s.has_left());
        let is_back = |member: &FeedId| {
            !self.roster.is_present(member) && self.held.iter().any(|held| held.author == member.author)
        };
        let required = self.required().filter(|_| self.config.confirm == Confirm::All && self.said > 0);
        let lacks = |member: &&FeedId| !self.held.contains(member) && !has_passed(member) && !is_back(member);
        required.into_iter().flatten().filter(lacks).copied().collect()
    }

    /// Who has everything, this identity's other sessions apart.
    fn confirmed_by(&self) -> BTreeSet<Id> {
        self.held.iter().map(|member| member.author).filter(|author| *author != self.me.author).collect()
    }

    /// Whether what was said to all is confirmed as it has to be.
    fn is_confirmed(&self) -> bool {
        if self.required().is_none() || !self.unsaid.is_empty() {
            return false;
        }
        let is_enough = match self.config.confirm {
            Confirm::All => self.missing().is_empty() && !self.held.is_empty(),
            Confirm::Members(count) => self.confirmed_by().len() >= count,
        };
        self.said == 0 || (is_enough && self.pace.covers(self.said_last))
    }

    /// What was said to all is confirmed; what was said to some alone has to be, too.
    fn confirm_private(&mut self, is_late: bool, out: &mut Vec<Output>) {
        let missing = self.whispers.readers_awaited();
        if !missing.is_empty() && !is_late {
            return;
        }
        let owes = self.owes_whispers();
        // Of each that was whispered it was told that it was heard.
        if !owes && (self.said > 0 || self.whispered == 0) {
            let held: BTreeSet<Id> = self.held.iter().map(|member| member.author).collect();
            self.local.notice(Event::Delivered { posts: self.said, members: held.len() });
        }
        self.conclude(owes, missing, out);
    }

    /// All that was piped in is for one reader, who confirms it.
    fn confirm_whispers(&mut self, is_late: bool, out: &mut Vec<Output>) {
        let (now, said) = (self.now.mono, self.whispered);
        let reader = self.pipe_reader();
        let Ending::Confirming(confirmation) = &mut self.ending else { return };
        // Until it is found nothing can be said to it, and somebody gives up looking.
        let Some((reader, waiting)) = reader else {
            if confirmation.deadline.is_some() && is_late {
                self.conclude(true, Vec::new(), out);
            }
            return;
        };
        let progress = said.saturating_sub(waiting as u64);
        if progress > confirmation.progress {
            (confirmation.progress, confirmation.progress_at) = (progress, now);
            return;
        }
        let owes = self.owes();
        if !owes {
            self.local.notice(Event::Delivered { posts: said, members: 1 });
            self.conclude(false, Vec::new(), out);
        } else if waiting == 0 || is_late {
            self.conclude(true, vec![reader], out);
        }
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
        let is_asked = matches!(&self.ending, Ending::Confirming(Confirmation { deadline: Some(_), .. }));
        let waited_ms = if is_asked { LEAVE_CONFIRM_MS } else { 0 };
        self.ending = Ending::Leaving { deadline: self.now.mono + LEAVE_MS_MAX - waited_ms, outcome };
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
