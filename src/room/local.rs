//! What goes to this node's own user: posts and notices, in order, as fast as they are taken.
//!
//! Posts are not copied into this queue, only their places in the log; so a stalled terminal costs
//! the log's bound and no more. A post that is evicted before it was taken is told as a gap. Before
//! the first catch-up is over, what was said earlier is held back, and only its end is shown.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{LOCAL_LAG_BYTES_MAX, MEMBER_STALLED_MS, NOTICES_MAX};
use crate::wire::record::{Body, FeedId, Post};

use super::event::{Event, Person};
use super::log::Log;

#[derive(Debug)]
enum Item {
    Post { feed: FeedId, number: u64, bytes: usize, backlog: bool },
    Notice(Box<Event>),
}

/// The queue.
#[derive(Debug)]
pub(super) struct Local {
    items: VecDeque<Item>,
    /// The frames of the posts among them.
    lag_bytes: usize,
    /// When a post was taken last, or began to wait for that.
    progress_at: u64,
    notices: usize,
    skipped: u64,
    /// That some were skipped was told; among them may be who came and went.
    nameless: bool,
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
            lag_bytes: 0,
            progress_at: 0,
            notices: 0,
            skipped: 0,
            nameless: false,
            missed: BTreeMap::new(),
            backlog: VecDeque::new(),
            held_back: VecDeque::new(),
            backlog_lines_max,
        }
    }

    /// Shows a say; `backlog` as one of the past, `later` after the backlog.
    pub(super) fn show(&mut self, post: &Post, backlog: bool, later: bool, now: u64) {
        if !matches!(post.body, Body::Say { .. }) {
            return;
        }
        if self.lag_bytes == 0 {
            self.progress_at = now;
        }
        let bytes = post.frame.len();
        self.lag_bytes += bytes;
        let queue = if later { &mut self.held_back } else { &mut self.items };
        queue.push_back(Item::Post { feed: post.feed, number: post.number, bytes, backlog });
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
            self.items.push_back(Item::Post { feed, number, bytes: 0, backlog: true });
        }
        self.items.append(&mut self.held_back);
    }

    pub(super) fn notice(&mut self, event: Event) {
        self.items.push_back(Item::Notice(Box::new(event)));
        self.notices += 1;
        if self.notices > NOTICES_MAX {
            self.drop_notice();
        }
    }

    fn drop_notice(&mut self) {
        if let Some(index) = self.items.iter().position(|item| matches!(item, Item::Notice(_))) {
            self.items.remove(index);
            self.notices -= 1;
            self.skipped += 1;
        }
    }

    /// The next thing to show. `me` is this identity; `name` finds an author's name.
    pub(super) fn next(
        &mut self,
        log: &Log,
        me: Id,
        name: impl Fn(&FeedId) -> Option<Person>,
        now: u64,
    ) -> Option<Event> {
        self.tell_missed(log, name);
        if self.skipped > 0 {
            self.nameless = true;
            return Some(Event::Skipped { notices: std::mem::take(&mut self.skipped) });
        }
        match self.items.pop_front()? {
            Item::Post { feed, number, bytes, backlog } => {
                self.lag_bytes -= bytes;
                self.progress_at = now;
                let post = log.feed(&feed)?.post(number)?;
                Some(Event::Said { post: Arc::clone(post), mine: feed.author == me, backlog })
            }
            Item::Notice(event) => {
                self.notices -= 1;
                Some(*event)
            }
        }
    }

    /// Whether it is time, once, to tell anew who is here.
    pub(super) fn takes_names(&mut self) -> bool {
        std::mem::take(&mut self.nameless)
    }

    /// Puts a notice in the place of posts at the front that were evicted.
    fn tell_missed(&mut self, log: &Log, name: impl Fn(&FeedId) -> Option<Person>) {
        while let Some(item @ Item::Post { bytes, .. }) = self.items.front() {
            if !note_missed(&mut self.missed, item, log) {
                break;
            }
            self.lag_bytes -= bytes;
            self.items.pop_front();
        }
        for (feed, missed) in std::mem::take(&mut self.missed) {
            if let Some(from) = name(&feed) {
                self.items.push_front(Item::Notice(Box::new(Event::Gap { from, missed })));
                self.notices += 1;
            }
        }
    }

    /// Keeps the queue as short as the log, when nobody takes from it for long.
    pub(super) fn compact(&mut self, log: &Log) {
        if self.items.len() + self.held_back.len() > 2 * log.post_count() + 2 * NOTICES_MAX {
            let missed = &mut self.missed;
            self.items.retain(|item| !note_missed(missed, item, log));
            self.held_back.retain(|item| !note_missed(missed, item, log));
            let bytes = |item: &Item| if let Item::Post { bytes, .. } = item { *bytes } else { 0 };
            self.lag_bytes = self.items.iter().chain(&self.held_back).map(bytes).sum();
        }
    }
}

/// Whether a post in the queue was evicted; then it is counted, unless it is backlog, which was
/// never owed.
fn note_missed(missed: &mut BTreeMap<FeedId, u64>, item: &Item, log: &Log) -> bool {
    let Item::Post { feed, number, backlog, .. } = item else { return false };
    if log.feed(feed).is_some_and(|kept| kept.post(*number).is_some()) {
        return false;
    }
    if !*backlog {
        *missed.entry(*feed).or_default() += 1;
    }
    true
}
