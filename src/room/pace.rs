//! Confirmation and pacing: what of this node's own feed the members hold, and how much more of a
//! pipe is read.
//!
//! Some own posts are marked `ack`; every member answers with what it holds, and the answers steer
//! the window of unacknowledged bytes. Only sources wait: nobody who passes posts on is ever slowed
//! by this. An answer's signature is checked when it matters and not before, as the newest answer
//! of a member makes all earlier ones useless: when the window runs out, when the log has to know what it may drop, and
//! at the end. Until then a member that claims to have everything is let be: nobody waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::identity::Id;
use crate::limits::{
    MARK_AFTER_MS, MARK_AGAIN_MS, MARK_BYTES, MARK_BYTES_PER_MEMBER, MARKS_PER_WINDOW, MEMBER_STALLED_MS,
    WINDOW_BYTES_MAX, WINDOW_BYTES_MIN,
};
use crate::wire::record::{Ack, Domain, FeedId};

use super::event::Confirm;

/// What one member's node holds of our feed.
#[derive(Debug)]
struct Receipt {
    first: u64,
    last: u64,
    /// The newest answer whose signature is not checked yet.
    candidate: Option<Ack>,
    /// An answer in its name was not its own.
    impersonated: bool,
    /// It counts from when it reaches this number.
    target: u64,
    counts: bool,
    /// When it last claimed more.
    progress_at: u64,
    /// Our first number after it came.
    since: u64,
}

impl Receipt {
    /// What it holds by its word, checked or not.
    fn claimed(&self) -> u64 {
        self.candidate.as_ref().map_or(self.last, |candidate| candidate.last)
    }
}

/// The state of our own feed.
#[derive(Debug)]
pub(super) struct Pace {
    /// Whose feed it is.
    me: Id,
    /// (number, bytes of the feed up to and with it), from the first that somebody may lack.
    sizes: VecDeque<(u64, u64)>,
    total_bytes: u64,
    last: u64,
    /// The newest marked number, when it was posted, and the bytes up to it.
    marked: u64,
    marked_at: u64,
    marked_bytes: u64,
    /// Marks, and when they were posted, from the first that a counting member owes an answer to.
    marks: VecDeque<(u64, u64)>,
    unmarked_since: Option<u64>,
    asked_again: u32,
    receipts: BTreeMap<FeedId, Receipt>,
    /// The number up to which the members that count hold everything,
    counting: Option<u64>,
    /// and the same, or up to which the farthest one does where none counts.
    settled: u64,
    /// Everybody has answered this mark,
    answered: u64,
    /// or has come since.
    excused: u64,
    /// What all counting members have acknowledged so far.
    settled_bytes: u64,
    /// Answers have come since they were checked last.
    unchecked: bool,
    /// Up to this number somebody has held each post; whoever came later than a post need not have it.
    covered: u64,
    /// Up to this number all that counted had everything, when there was somebody.
    confirmed: u64,
}

/// What the room should post, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Mark,
}

impl Pace {
    pub(super) fn new(me: Id) -> Self {
        Self {
            me,
            sizes: VecDeque::new(),
            total_bytes: 0,
            last: 0,
            marked: 0,
            marked_at: 0,
            marked_bytes: 0,
            marks: VecDeque::new(),
            unmarked_since: None,
            asked_again: 0,
            receipts: BTreeMap::new(),
            counting: None,
            settled: 0,
            answered: 0,
            excused: 0,
            settled_bytes: 0,
            unchecked: false,
            covered: 0,
            confirmed: 0,
        }
    }

    /// Whether the next own post, of about so many bytes, should carry a mark.
    pub(super) fn should_mark(&self, bytes: usize, share: u64, now: u64) -> bool {
        if self.receipts.is_empty() {
            return false;
        }
        let unmarked = self.total_bytes - self.marked_bytes + bytes as u64;
        let members = self.receipts.len() as u64;
        // A window that is full without a mark would wait for the clock.
        let window = self.window(share);
        let most = (MARK_BYTES_PER_MEMBER * members).min(window);
        let interval = MARK_BYTES.max(most).max(window / MARKS_PER_WINDOW);
        unmarked >= interval || self.marked == 0 || now >= self.marked_at + MARK_AFTER_MS
    }

    /// Notes an own post; `content` is whether it is more than a repeated mark.
    pub(super) fn posted(&mut self, number: u64, bytes: usize, marked: bool, content: bool, now: u64) {
        self.total_bytes += bytes as u64;
        self.last = number;
        self.sizes.push_back((number, self.total_bytes));
        if marked {
            self.marked = number;
            self.marked_at = now;
            self.marked_bytes = self.total_bytes;
            self.marks.push_back((number, now));
            self.unmarked_since = None;
        } else if self.unmarked_since.is_none() {
            self.unmarked_since = Some(now);
        }
        if content {
            self.asked_again = 0;
        }
        self.trim();
    }

    /// Members are those whose sessions are present; others no longer count, but for what they held.
    pub(super) fn set_members(&mut self, present: &[FeedId], confirm: Confirm, domain: &Domain, now: u64) {
        if present.is_empty() {
            self.confirmed_number(confirm, domain);
        }
        let mut gone = std::mem::take(&mut self.receipts);
        for member in present {
            let receipt = gone.remove(member).unwrap_or(Receipt {
                first: 0,
                last: 0,
                candidate: None,
                impersonated: false,
                target: self.marked,
                counts: false,
                progress_at: now,
                since: self.last + 1,
            });
            self.receipts.insert(*member, receipt);
        }
        for ack in gone.into_values().filter_map(|receipt| receipt.candidate) {
            let is_new = ack.last > self.covered && ack.first <= self.covered + 1;
            if is_new && ack.verify(domain).is_ok() {
                self.covered = ack.last;
            }
        }
        self.settle();
    }

    /// Up to which number everything of ours is confirmed: by all who are there, or who were before nobody was.
    pub(super) fn confirmed_number(&mut self, confirm: Confirm, domain: &Domain) -> u64 {
        self.check(domain);
        let held = |receipt: &Receipt| if receipt.first <= receipt.since.max(1) { receipt.last } else { 0 };
        let held = match confirm {
            Confirm::All => self.receipts.values().map(held).min(),
            Confirm::Members(count) => {
                let mut others: BTreeMap<Id, u64> = BTreeMap::new();
                for (member, receipt) in self.receipts.iter().filter(|(member, _)| member.author != self.me) {
                    let most = others.entry(member.author).or_default();
                    *most = held(receipt).max(*most);
                }
                let mut others: Vec<u64> = others.into_values().collect();
                others.sort_unstable_by(|one, other| other.cmp(one));
                count.checked_sub(1).and_then(|place| others.get(place)).copied()
            }
        };
        self.confirmed = self.confirmed.max(held.unwrap_or(0).min(self.covered));
        self.confirmed
    }

    /// Whether somebody has held each post of ours up to a number.
    pub(super) fn covers(&self, number: u64) -> bool {
        self.covered >= number
    }

    /// Whether those who have to confirm claim to have everything up to a number.
    pub(super) fn is_claimed(&self, number: u64, confirm: Confirm) -> bool {
        let claims = self.receipts.iter().filter(|(_, receipt)| receipt.claimed() >= number);
        match confirm {
            Confirm::All => self.has_members() && claims.count() == self.receipts.len(),
            Confirm::Members(count) => {
                let others: BTreeSet<Id> =
                    claims.map(|(member, _)| member.author).filter(|id| *id != self.me).collect();
                others.len() >= count
            }
        }
    }

    pub(super) fn has_members(&self) -> bool {
        !self.receipts.is_empty()
    }

    /// Takes in an answer; its signature may be checked later, unless one in this member's name was
    /// forged before.
    pub(super) fn answered(&mut self, ack: Ack, domain: &Domain, now: u64) {
        let last = self.last;
        let Some(receipt) = self.receipts.get_mut(&ack.member) else { return };
        if receipt.impersonated && ack.verify(domain).is_err() {
            return;
        }
        let newest = receipt.claimed();
        // A promise for posts that do not exist yet would shadow every true answer.
        if ack.last <= last && ack.last >= newest {
            if ack.last > newest {
                receipt.progress_at = now;
            }
            receipt.candidate = Some(ack);
            self.unchecked = true;
        }
    }

    /// Checks the newest answers.
    pub(super) fn check(&mut self, domain: &Domain) {
        if !std::mem::take(&mut self.unchecked) {
            return;
        }
        for receipt in self.receipts.values_mut() {
            let Some(ack) = receipt.candidate.take() else { continue };
            if ack.verify(domain).is_err() {
                receipt.impersonated = true;
                continue;
            }
            if ack.last < receipt.last {
                continue;
            }
            receipt.first = receipt.first.max(ack.first);
            receipt.last = receipt.last.max(ack.last);
            receipt.counts |= receipt.last >= receipt.target;
        }
        self.cover();
        self.settle();
    }

    /// What the members hold together, from the first post on without a hole.
    fn cover(&mut self) {
        let held = self.receipts.values().filter(|receipt| receipt.last > self.covered);
        let mut held: Vec<(u64, u64)> = held.map(|receipt| (receipt.first, receipt.last)).collect();
        held.sort_unstable();
        for (first, last) in held {
            if first <= self.covered + 1 {
                self.covered = self.covered.max(last);
            }
        }
    }

    /// The receipts have changed.
    fn settle(&mut self) {
        (self.answered, self.excused) = (0, 0);
        self.counting = self.receipts.values().filter(|receipt| receipt.counts).map(|receipt| receipt.last).min();
        let farthest = || self.receipts.values().map(|receipt| receipt.last).max();
        self.settled = self.counting.or_else(farthest).unwrap_or(0);
        self.settled_bytes = self.settled_bytes.max(self.bytes_up_to(self.settled));
        self.trim();
    }

    /// The bytes of our feed up to a number; 0 for one long settled by all.
    fn bytes_up_to(&self, number: u64) -> u64 {
        let index = self.sizes.partition_point(|(last, _)| *last <= number);
        index.checked_sub(1).and_then(|index| self.sizes.get(index)).map_or(0, |(_, bytes)| *bytes)
    }

    /// Drops the sizes below the slowest member that counts.
    fn trim(&mut self) {
        let needed = if self.receipts.is_empty() { self.last } else { self.settled };
        while self.sizes.len() > 1 && self.sizes.front().is_some_and(|(number, _)| *number < needed) {
            self.sizes.pop_front();
        }
        while self.marks.len() > 1 && self.marks.front().is_some_and(|(number, _)| *number <= needed) {
            self.marks.pop_front();
        }
    }

    fn window(&self, share: u64) -> u64 {
        (WINDOW_BYTES_MIN + self.settled_bytes).min(WINDOW_BYTES_MAX).min(share)
    }

    /// Bytes that a counting member has not acknowledged.
    pub(super) fn unsettled_bytes(&self) -> u64 {
        if self.receipts.is_empty() {
            return 0;
        }
        self.total_bytes - self.bytes_up_to(self.settled)
    }

    /// Whether more of a pipe may be read. `share` is what its window may have at the most.
    pub(super) fn may_say(&mut self, share: u64, domain: &Domain) -> bool {
        if self.receipts.is_empty() {
            return false;
        }
        let unsettled = self.unsettled_bytes();
        if self.unchecked && unsettled >= self.window(share) / 2 {
            self.check(domain);
            return self.unsettled_bytes() < self.window(share);
        }
        unsettled < self.window(share)
    }

    /// Looks at the clock. `insist` while somebody waits for the answers.
    pub(super) fn pass_time(&mut self, insist: bool, share: u64, domain: &Domain, now: u64) -> Due {
        if self.receipts.is_empty() {
            return Due::Nothing;
        }
        // Where nobody waits for the window this is soon enough.
        if self.total_bytes - self.settled_bytes >= self.window(share) {
            self.check(domain);
        }
        self.drop_stalled(domain, now);
        if self.unmarked_since.is_some_and(|since| now >= since + MARK_AFTER_MS) {
            return Due::Mark;
        }
        let pause = if insist { MARK_AGAIN_MS } else { MARK_AGAIN_MS << self.asked_again.min(5) };
        // Who has come since the mark is asked by the next one. Where somebody waits for its answer, or the window fills, that
        // may never come; else each who joins a large room would have all its members ask everybody.
        let waits = insist || self.unsettled_bytes() >= self.window(share) / 2;
        let known = if waits { self.answered } else { self.answered.max(self.excused) };
        if self.marked <= known || now < self.marked_at + pause {
            return Due::Nothing;
        }
        let open = || self.receipts.values().filter(|receipt| receipt.claimed() < self.marked);
        if open().any(|receipt| waits || receipt.since <= self.marked) {
            self.asked_again += 1;
            return Due::Mark;
        }
        let is_answered = open().next().is_none();
        self.excused = self.marked;
        if is_answered {
            self.answered = self.marked;
        }
        Due::Nothing
    }

    /// A member without progress stops holding up the source.
    fn drop_stalled(&mut self, domain: &Domain, now: u64) {
        if self.stalled(now).is_empty() {
            return;
        }
        self.check(domain);
        let marked = self.marked;
        for member in self.stalled(now) {
            if let Some(receipt) = self.receipts.get_mut(&member) {
                receipt.counts = false;
                receipt.target = marked;
            }
        }
        self.settle();
    }

    fn stalled(&self, now: u64) -> Vec<FeedId> {
        if self.counting.is_none_or(|last| last >= self.marked) {
            return Vec::new();
        }
        let owed_since = |last: u64| {
            let index = self.marks.partition_point(|(number, _)| *number <= last);
            self.marks.get(index).map(|(_, at)| *at)
        };
        let stalled = |receipt: &Receipt| {
            receipt.counts
                && receipt.claimed() < self.marked
                && now > receipt.progress_at + MEMBER_STALLED_MS
                && owed_since(receipt.claimed()).is_some_and(|at| now > at + MEMBER_STALLED_MS)
        };
        self.receipts.iter().filter(|(_, receipt)| stalled(receipt)).map(|(member, _)| *member).collect()
    }

    /// Whether the newest own post is marked.
    pub(super) fn is_marked(&self) -> bool {
        self.marked == self.last
    }

    /// The number up to which the members that count hold everything.
    pub(super) fn settled_number(&self) -> u64 {
        self.settled
    }

    /// Whether a member holds everything up to a number from when it came.
    pub(super) fn holds(&self, member: &FeedId, last: u64) -> bool {
        self.receipts.get(member).is_some_and(|receipt| receipt.last >= last && receipt.first <= receipt.since.max(1))
    }

    /// How far a member has come, to tell progress from standstill.
    pub(super) fn progress(&self, member: &FeedId) -> u64 {
        self.receipts.get(member).map_or(0, |receipt| receipt.last)
    }
}
