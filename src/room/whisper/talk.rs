//! What this node whispers to one reader: what waits, and what is under way.
//!
//! Whispers to a reader are numbered in a stream, one for each session of the sender. They are sent in order, a window of
//! them at a time, to one session of the reader, and sent again until a receipt comes: along one way first, then over all
//! links, with growing pauses. What earlier runs have left goes first, stream by stream. Pure state; `Room` sends.

use std::collections::VecDeque;

use crate::limits::{
    RECEIPT_MS_MAX, WHISPER_PAUSE_MS_MAX, WHISPERS_UNDER_WAY_BYTES_MAX, WHISPERS_UNDER_WAY_MAX, WHISPERS_WAITING_MAX,
};
use crate::room::LinkId;
use crate::room::event::Person;
use crate::wire::record::{FeedId, Sealed};
use crate::wire::seal::SealingKey;

use super::Letter;

/// One whisper that its reader has not confirmed.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) stream: u64,
    pub(super) number: u64,
    pub(super) at: u64,
    pub(super) sealed: Sealed,
    /// When it came to wait, by the monotonic clock.
    pub(super) since: u64,
    /// It is on the disk.
    pub(super) kept: bool,
    /// It was told that it waits.
    pub(super) told: bool,
}

/// Who carries what is whispered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A link to the reader.
    Direct,
    /// The peer at this link.
    Through(LinkId),
    /// All of them.
    Flood,
}

/// One reader.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) person: Person,
    pub(super) key: SealingKey,
    pub(super) queue: VecDeque<Item>,
    /// The last number of this run's stream.
    pub(super) last_number: u64,
    /// The session that whispers go to.
    pub(super) target: Option<FeedId>,
    /// How many of the queue were sent there.
    pub(super) under_way: usize,
    /// The reader knows where the first stream of the queue goes on.
    pub(super) begun: bool,
    /// How often nothing was heard in time.
    pub(super) tries: u32,
    pub(super) retry_at: u64,
    /// Until then it goes over all links.
    pub(super) floods_until: u64,
    /// The link over which something of the reader's came last.
    pub(super) learned: Option<LinkId>,
    /// How it went the last time,
    pub(super) way: Option<Way>,
    /// and who was told to carry it.
    pub(super) told_through: Option<Person>,
    /// Since when there is something under way without a direct link.
    pub(super) indirect_since: Option<u64>,
    /// A dial of the reader was in vain.
    pub(super) undialable: bool,
    /// When it was last used.
    pub(super) used_at: u64,
}

impl Talk {
    pub(super) fn new(person: Person, key: SealingKey, now: u64) -> Self {
        Self {
            person,
            key,
            queue: VecDeque::new(),
            last_number: 0,
            target: None,
            under_way: 0,
            begun: false,
            tries: 0,
            retry_at: 0,
            floods_until: 0,
            learned: None,
            way: None,
            told_through: None,
            indirect_since: None,
            undialable: false,
            used_at: now,
        }
    }

    /// Takes up what an earlier run has left.
    pub(super) fn take_up(&mut self, letter: &Letter, now: u64) {
        let Letter { stream, number, at, .. } = *letter;
        let sealed = letter.sealed.clone();
        self.queue.push_back(Item { stream, number, at, sealed, since: now, kept: true, told: false });
    }

    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= WHISPERS_WAITING_MAX
    }

    pub(super) fn bytes(&self) -> usize {
        self.queue.iter().map(|item| item.sealed.text_bytes()).sum()
    }

    /// Whispers go to another session from now on, or to none: what was under way is sent anew.
    pub(super) fn turn_to(&mut self, target: Option<FeedId>) {
        self.target = target;
        (self.under_way, self.begun, self.tries) = (0, false, 0);
    }

    /// What may be sent now: from which place on, and to which.
    pub(super) fn due(&self) -> std::ops::Range<usize> {
        let Some(stream) = self.queue.front().map(|item| item.stream) else { return 0..0 };
        let mut bytes = 0;
        let fits = |(index, item): &(usize, &Item)| {
            bytes += item.sealed.text_bytes();
            item.stream == stream
                && *index < WHISPERS_UNDER_WAY_MAX
                && (*index == 0 || bytes <= WHISPERS_UNDER_WAY_BYTES_MAX)
        };
        let end = self.queue.iter().enumerate().take_while(fits).count();
        self.under_way.min(end)..end
    }

    /// All of a stream up to a number is confirmed; what that was.
    pub(super) fn confirm(&mut self, stream: u64, number: u64) -> Vec<Item> {
        let mut confirmed = Vec::new();
        while let Some(item) = self.queue.pop_front_if(|item| item.stream == stream && item.number <= number) {
            confirmed.push(item);
        }
        self.under_way = self.under_way.saturating_sub(confirmed.len());
        if self.queue.front().is_some_and(|item| item.stream != stream) {
            (self.under_way, self.begun) = (0, false);
        }
        confirmed
    }

    /// Takes one out, wherever it stands in what was sent.
    pub(super) fn take(&mut self, stream: u64, number: u64) -> Option<Item> {
        let sent = self.queue.iter().take(self.under_way);
        let place = sent.into_iter().position(|item| (item.stream, item.number) == (stream, number))?;
        self.under_way -= 1;
        self.queue.remove(place)
    }

    /// Something was heard: the way is open.
    pub(super) fn progress(&mut self, now: u64) {
        self.tries = 0;
        self.used_at = now;
        self.retry_at = now + RECEIPT_MS_MAX;
    }

    /// Nothing was heard in time: when it is tried again.
    pub(super) fn fail(&mut self, now: u64) {
        self.tries = self.tries.saturating_add(1);
        self.retry_at = now + (RECEIPT_MS_MAX << self.tries.min(8)).min(WHISPER_PAUSE_MS_MAX);
    }
}
