//! Marks and acks: every marked post is answered, and answers find their way back to the author.
//!
//! An ack goes back along the link that brought the marked post first, hop by hop. Where that link is
//! gone it is dropped: the author asks again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{MARK_ANSWERS, MARK_BYTES, MARK_RECENT_MS, MARK_ROUTES_MAX, OUTBOX_BYTES_MAX, WINDOWS_BYTES_MAX};
use crate::wire::record::{Ack, FeedId};

use super::bucket::Bucket;
use super::log::Log;
use super::{LinkId, Output, Room};

/// Where marks came from, and which are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Marks {
    by_feed: BTreeMap<FeedId, Routes>,
    /// Marks whose answers wait for this node's own output.
    unanswered: BTreeMap<FeedId, (u64, LinkId)>,
    /// Marks that came too soon after others.
    put_off: BTreeMap<FeedId, (u64, LinkId)>,
    /// How many of an author's marks were answered.
    answers: BTreeMap<Id, Bucket>,
    /// How much of the bytes that all windows may have together the other sources take.
    taken_bytes: u64,
}

/// The links that brought a feed's last marked posts first.
#[derive(Debug, Default)]
struct Routes {
    links: VecDeque<(u64, LinkId)>,
    at: u64,
    /// What the feed had brought when a mark of it was answered last.
    answered_bytes: u64,
    /// What it had brought when the last two spans of `MARK_RECENT_MS` began, and when the latter did.
    brought: [u64; 2],
    span_began_at: u64,
}

impl Routes {
    /// What the feed may have under way: what it has brought lately. A source in haste takes as much as it is let.
    fn under_way_bytes(&mut self, bytes_ever: u64, now: u64) -> u64 {
        if now >= self.span_began_at + MARK_RECENT_MS {
            (self.brought, self.span_began_at) = ([self.brought[1], bytes_ever], now);
        }
        let lately = bytes_ever.saturating_sub(self.brought[0]);
        if lately < MARK_BYTES { lately } else { WINDOWS_BYTES_MAX }
    }
}

impl Marks {
    /// How many feeds take memory here.
    pub(super) fn feeds_remembered(&self) -> usize {
        self.by_feed.len().max(self.unanswered.len()).max(self.put_off.len())
    }

    pub(super) fn are_owed(&self) -> bool {
        !self.unanswered.is_empty()
    }

    /// Forgets a feed that is no more.
    pub(super) fn forget(&mut self, feed: &FeedId) {
        self.by_feed.remove(feed);
        self.unanswered.remove(feed);
        self.put_off.remove(feed);
    }

    /// Forgets an author of whom no feed is known.
    pub(super) fn forget_author(&mut self, author: &Id) {
        self.answers.remove(author);
    }

    /// What our window may have of the bytes that all have together.
    pub(super) fn share_bytes(&self) -> u64 {
        WINDOWS_BYTES_MAX - self.taken_bytes
    }

    /// Shares out those bytes among the sources, by what each has under way: who asks for less than an equal part gets that,
    /// and the others have equal parts of what is left.
    pub(super) fn share_out(&mut self, log: &Log, now: u64) {
        let recent = self.by_feed.iter_mut().filter(|(_, marks)| now < marks.at + MARK_RECENT_MS);
        let mut asked: Vec<u64> = recent
            .map(|(feed, marks)| marks.under_way_bytes(log.feed(feed).map_or(0, |feed| feed.bytes_ever), now))
            .collect();
        asked.sort_unstable();
        let (mut left, mut sources) = (WINDOWS_BYTES_MAX, asked.len() as u64 + 1);
        for bytes in asked {
            if bytes > left / sources {
                break;
            }
            (left, sources) = (left - bytes, sources - 1);
        }
        self.taken_bytes = WINDOWS_BYTES_MAX - left / sources;
    }
}

impl Room {
    /// Answers a marked post, back along the link that brought it first.
    pub(super) fn answer_mark(&mut self, feed: FeedId, number: u64, from: Option<LinkId>, out: &mut Vec<Output>) {
        let Some(link) = from else { return };
        let marks = self.marks.by_feed.entry(feed).or_default();
        marks.at = self.now.mono;
        marks.links.push_back((number, link));
        if marks.links.len() > MARK_ROUTES_MAX {
            marks.links.pop_front();
        }
        if self.is_behind() {
            self.marks.unanswered.insert(feed, (number, link));
        } else if self.may_answer(feed) {
            self.answer(feed, number, link, out);
        } else {
            self.marks.put_off.insert(feed, (number, link));
        }
    }

    /// Each mark makes every member sign an answer: who says little has few of them answered at a time.
    fn may_answer(&mut self, feed: FeedId) -> bool {
        let bytes = self.log.feed(&feed).map_or(0, |feed| feed.bytes_ever);
        let Some(marks) = self.marks.by_feed.get_mut(&feed) else { return true };
        let has_said_much = bytes >= marks.answered_bytes + MARK_BYTES;
        let bucket = self.marks.answers.entry(feed.author).or_default();
        let may = has_said_much || bucket.pour(1, MARK_ANSWERS, self.now.mono);
        if may {
            marks.answered_bytes = bytes;
        }
        may
    }

    /// Answers the newest of the marks that came too soon, when their time has come.
    pub(super) fn answer_put_off(&mut self, out: &mut Vec<Output>) {
        for (feed, (number, link)) in std::mem::take(&mut self.marks.put_off) {
            if self.may_answer(feed) {
                self.answer(feed, number, link, out);
            } else {
                self.marks.put_off.insert(feed, (number, link));
            }
        }
    }

    /// Gives the answers that waited for this node's own output.
    pub(super) fn answer_late(&mut self, out: &mut Vec<Output>) {
        if self.marks.are_owed() && !self.is_behind() {
            for (feed, (number, link)) in std::mem::take(&mut self.marks.unanswered) {
                self.answer(feed, number, link, out);
            }
        }
    }

    fn answer(&mut self, feed: FeedId, number: u64, link: LinkId, out: &mut Vec<Output>) {
        let first = self.log.feed(&feed).map_or(1, |feed| feed.whole_from);
        let ack = Ack::encode(feed, self.me, (first, number), &self.domain, &self.config.identity);
        self.send_ack(link, &ack, out);
    }

    /// An answer is for us, or goes on towards its author.
    pub(super) fn ack_arrived(&mut self, ack: Ack, out: &mut Vec<Output>) {
        if ack.feed == self.me {
            return self.pace.answered(ack, &self.domain, self.now.mono);
        }
        let Some(marks) = self.marks.by_feed.get(&ack.feed) else { return };
        // Where that link is gone the ack is dropped: the way of an older mark may lead back to here.
        let route = marks.links.iter().rev().find(|(number, _)| *number <= ack.last);
        if let Some(link) = route.map(|(_, link)| *link) {
            self.send_ack(link, &ack, out);
        }
    }

    /// An ack that finds no room is dropped: the author asks again.
    fn send_ack(&mut self, link: LinkId, ack: &Ack, out: &mut Vec<Output>) {
        if self.links.get(&link).is_some_and(|state| state.queued_bytes < 2 * OUTBOX_BYTES_MAX) {
            self.send_frame(link, Arc::clone(&ack.frame), out);
        }
    }
}
