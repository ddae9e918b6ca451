//! What goes to this node's own user: posts and notices, in order, as fast as they are taken.
//!
//! Posts are not copied into this queue, only their places in the log; so a stalled terminal costs
//! the log's bound and no more. A post that is evicted before it was taken is told as a gap. Before
//! the first catch-up is over, what was said earlier is held back, and only its end is shown.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{LOCAL_LAG_BYTES_MAX, MEMBER_STALLED_MS, WORDS_MAX};
use crate::wire::record::{Body, FeedId, Post};

use super::Wanted;
use super::event::{Event, Person, Whisper};
use super::log::Log;
use super::notices::{Notices, Ticket};

#[derive(Debug)]
enum Item {
    Post {
        feed: FeedId,
        number: u64,
        bytes: usize,
        shown: Shown,
    },
    /// What may be dropped for want of room.
    Notice(Ticket),
    /// What may not, and of which there is little.
    Word(Box<Event>),
    Question(Question),
}

/// What the user has asked. It is answered when the answer is taken: so no queue of answers grows with the room.
#[derive(Debug)]
pub(super) enum Question {
    Names,
    Status,
    Recall(Wanted),
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Event(Event),
    Question(Question),
}

/// A queue is looked through for what is void when it has doubled, and not for fewer than so many; a guess.
const COMPACTED_ITEMS_MIN: usize = 4_096;

/// What a say is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// Said just now.
    New,
    /// Said while this node was cut off: it is owed like a new one.
    Missed,
    /// Played again by somebody, from the past.
    Replayed,
    /// Said before this node came.
    Earlier,
}

impl Shown {
    /// Whether it would be missed. What was said before we came was never owed; what seems to be played again may be
    /// new, by a clock that is off.
    fn is_owed(self) -> bool {
        self != Shown::Earlier
    }
}

/// The queue.
#[derive(Debug)]
pub(super) struct Local {
    items: VecDeque<Item>,
    /// How many of them are neither posts nor notices, so never dropped.
    words: usize,
    /// The frames of the posts among them.
    lag_bytes: usize,
    /// When a post was taken last, or began to wait for that.
    progress_at: u64,
    notices: Notices,
    /// How many items were left when the queue was last looked through.
    compacted_items: usize,
    /// Posts that were evicted before they were taken.
    missed: BTreeMap<FeedId, u64>,
    /// Says from before this node came, oldest first by `at`.
    backlog: VecDeque<(u64, FeedId, u64)>,
    /// What was said since, until the backlog is shown.
    held_back: VecDeque<Item>,
    backlog_lines_max: usize,
}

impl Local {
    pub(super) fn new(backlog_lines_max: usize) -> Self {
        Self {
            items: VecDeque::new(),
            words: 0,
            lag_bytes: 0,
            progress_at: 0,
            notices: Notices::default(),
            compacted_items: 0,
            missed: BTreeMap::new(),
            backlog: VecDeque::new(),
            held_back: VecDeque::new(),
            backlog_lines_max,
        }
    }

    /// Shows a say; `later` after the backlog.
    pub(super) fn show(&mut self, post: &Post, shown: Shown, later: bool, now: u64) {
        if !matches!(post.body, Body::Say { .. }) {
            return;
        }
        if self.lag_bytes == 0 {
            self.progress_at = now;
        }
        let bytes = post.frame.len();
        self.lag_bytes += bytes;
        let queue = if later { &mut self.held_back } else { &mut self.items };
        queue.push_back(Item::Post { feed: post.feed, number: post.number, bytes, shown });
    }

    /// Whether the user's side is behind and still moving, so that it is worth waiting for.
    pub(super) fn is_behind(&self, now: u64) -> bool {
        self.lag_bytes > LOCAL_LAG_BYTES_MAX && now < self.progress_at + MEMBER_STALLED_MS
    }

    /// Keeps a say from before this node came, for `show_backlog`.
    pub(super) fn hold_back(&mut self, post: &Post) {
        if !matches!(post.body, Body::Say { .. }) || self.backlog_lines_max == 0 {
            return;
        }
        let place = (post.at, post.feed, post.number);
        let index = self.backlog.partition_point(|held| *held <= place);
        self.backlog.insert(index, place);
        if self.backlog.len() > self.backlog_lines_max {
            self.backlog.pop_front();
        }
    }

    /// Whether it keeps something of an author for that.
    pub(super) fn holds_back(&self, feed: &FeedId) -> bool {
        self.backlog.iter().any(|(_, held, _)| held == feed)
    }

    /// Shows the last lines of what was held back, whole says.
    pub(super) fn show_backlog(&mut self, log: &Log) {
        let mut lines = 0;
        let mut first = self.backlog.len();
        for (index, (_, feed, number)) in self.backlog.iter().enumerate().rev() {
            let post = log.feed(feed).and_then(|feed| feed.post(*number));
            lines += post.map_or(0, |post| post.text().lines().count().max(1));
            if lines > self.backlog_lines_max && first < self.backlog.len() {
                break;
            }
            first = index;
        }
        for (_, feed, number) in self.backlog.drain(..).skip(first) {
            self.items.push_back(Item::Post { feed, number, bytes: 0, shown: Shown::Earlier });
        }
        self.items.append(&mut self.held_back);
    }

    /// Shows something private; it is never dropped, and whoever brings it bounds it.
    pub(super) fn whisper(&mut self, whisper: Arc<Whisper>) {
        self.push_word(Item::Word(Box::new(Event::Whispered(whisper))));
    }

    /// Tells of something. Answers are never dropped.
    pub(super) fn notice(&mut self, event: Event) {
        let item = match event {
            Event::Delivered { .. }
            | Event::Undelivered { .. }
            | Event::Refused(_)
            | Event::Unheard { .. }
            | Event::Chatting(_) => return self.push_word(Item::Word(Box::new(event))),
            event => Item::Notice(self.notices.push(event)),
        };
        self.items.push_back(item);
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.push_word(Item::Question(question));
    }

    fn push_word(&mut self, item: Item) {
        self.words += 1;
        self.items.push_back(item);
    }

    /// Whether so much waits that is never dropped that nothing is done that would bring more.
    pub(super) fn is_full(&self) -> bool {
        self.words >= WORDS_MAX
    }

    /// The next thing to show. `me` is this identity; `name` finds an author's name.
    pub(super) fn next(
        &mut self,
        log: &Log,
        me: Id,
        name: impl Fn(&FeedId) -> Option<Person>,
        now: u64,
    ) -> Option<Next> {
        self.drop_void(log);
        if let Some((feed, missed)) = self.missed.pop_first() {
            // Whoever it was may be forgotten; that something is missing is told all the same.
            let from = name(&feed).unwrap_or_else(|| Person::nameless(feed.author));
            return Some(Next::Event(Event::Gap { from, missed }));
        }
        if let Some(skipped) = self.notices.skipped() {
            return Some(Next::Event(skipped));
        }
        let event = match self.items.pop_front()? {
            Item::Post { feed, number, bytes, shown } => {
                self.lag_bytes -= bytes;
                self.progress_at = now;
                let post = log.feed(&feed)?.post(number)?;
                Event::Said { post: Arc::clone(post), mine: feed.author == me, backlog: shown != Shown::New }
            }
            Item::Notice(ticket) => self.notices.take(ticket)?,
            Item::Word(event) => {
                self.words -= 1;
                *event
            }
            Item::Question(question) => {
                self.words -= 1;
                return Some(Next::Question(question));
            }
        };
        Some(Next::Event(event))
    }

    /// Whether it is time, once, to tell anew who is here.
    pub(super) fn takes_names(&mut self) -> bool {
        self.notices.takes_names()
    }

    /// Takes off the front what is void: posts that were evicted, which are counted, and notices that were dropped.
    fn drop_void(&mut self, log: &Log) {
        while let Some(item) = self.items.front() {
            match item {
                Item::Post { bytes, .. } if note_missed(&mut self.missed, item, log) => self.lag_bytes -= bytes,
                Item::Notice(ticket) if !self.notices.has(*ticket) => {}
                _ => break,
            }
            self.items.pop_front();
        }
    }

    /// Keeps the queue as short as the log, when nobody takes from it for long.
    pub(super) fn compact(&mut self, log: &Log) {
        let count = self.items.len() + self.held_back.len();
        if count > 2 * self.compacted_items.max(COMPACTED_ITEMS_MIN) {
            let (missed, notices) = (&mut self.missed, &self.notices);
            self.items.retain(|item| match item {
                Item::Notice(ticket) => notices.has(*ticket),
                item => !note_missed(missed, item, log),
            });
            self.held_back.retain(|item| !note_missed(missed, item, log));
            self.compacted_items = self.items.len() + self.held_back.len();
            let bytes = |item: &Item| if let Item::Post { bytes, .. } = item { *bytes } else { 0 };
            self.lag_bytes = self.items.iter().chain(&self.held_back).map(bytes).sum();
        }
    }
}

/// Whether a post in the queue was evicted; then it is counted, if it was owed.
fn note_missed(missed: &mut BTreeMap<FeedId, u64>, item: &Item, log: &Log) -> bool {
    let Item::Post { feed, number, shown, .. } = item else { return false };
    if log.feed(feed).is_some_and(|kept| kept.post(*number).is_some()) {
        return false;
    }
    if shown.is_owed() {
        *missed.entry(*feed).or_default() += 1;
    }
    true
}
