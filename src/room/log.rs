//! The log: the posts that this node keeps, by feed and in the order in which they were appended.
//!
//! It is bounded in bytes and in age. What goes first is the oldest post of the author who holds
//! most; a feed's newest post goes last and only with the whole feed, because without it nobody
//! could be told of the hole before it. Numbers never go: `have` stays when posts are evicted.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::CLOCK_AHEAD_MS_MAX;
use crate::wire::record::{FeedId, Post};

use super::{LinkId, Now};

/// Where a post stands in the order in which this node appended.
pub(super) type Position = u64;

/// One author's posts of one session, as far as they are kept.
#[derive(Debug)]
pub(super) struct Feed {
    /// The last number seen; evicted posts and final holes count.
    pub(super) have: u64,
    /// The first number from which nothing was missing when it was due.
    pub(super) whole_from: u64,
    /// When the feed last advanced, by the monotonic clock.
    pub(super) progress_at: u64,
    /// The link that brought its newest post; `None` for our own.
    pub(super) source: Option<LinkId>,
    /// All that it has brought.
    pub(super) bytes_ever: u64,
    /// When its newest post was written, or came if that was earlier; by the wall clock.
    newest_at: u64,
    /// Posts up to this time were shown before: the feed was forgotten since.
    forgotten_at: u64,
    posts: BTreeMap<u64, (Position, Arc<Post>)>,
}

impl Feed {
    /// The first kept post at or after a number.
    pub(super) fn next_post(&self, from: u64) -> Option<&Arc<Post>> {
        self.posts.range(from..).next().map(|(_, (_, post))| post)
    }

    /// The post of a number, if kept.
    pub(super) fn post(&self, number: u64) -> Option<&Arc<Post>> {
        self.posts.get(&number).map(|(_, post)| post)
    }

    /// The newest number kept; 0 for none. It is all that a peer can be promised: `have` counts refused posts, too.
    pub(super) fn newest(&self) -> u64 {
        self.posts.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// Whether nothing of it is kept: such a feed is neither paged nor told.
    pub(super) fn is_bare(&self) -> bool {
        self.posts.is_empty()
    }
}

#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    positions: BTreeSet<Position>,
}

/// An author's feeds.
#[derive(Debug, Default)]
struct Author {
    feeds: usize,
    /// The newest post of those that were forgotten.
    forgotten_at: u64,
}

/// All feeds.
#[derive(Debug, Default)]
pub(super) struct Log {
    feeds: BTreeMap<FeedId, Feed>,
    authors: BTreeMap<Id, Author>,
    /// The newest post of the authors that were forgotten.
    forgotten_at: u64,
    order: BTreeMap<Position, (FeedId, u64)>,
    shares: BTreeMap<Id, Share>,
    by_size: BTreeSet<(usize, Id)>,
    bytes: usize,
    /// Nothing could be evicted when so much was kept: not tried again below it.
    tried_at_bytes: usize,
    next_position: Position,
}

/// What stands in the way of evicting a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    /// Nothing.
    Ordinary,
    /// Goes when nothing ordinary is left.
    Precious,
    /// Goes only when the log holds twice its bound, which nobody reaches in good faith.
    Needed,
}

impl Log {
    pub(super) fn feed(&self, id: &FeedId) -> Option<&Feed> {
        self.feeds.get(id)
    }

    pub(super) fn feeds(&self) -> impl Iterator<Item = (&FeedId, &Feed)> {
        self.feeds.iter()
    }

    pub(super) fn feed_count(&self) -> usize {
        self.feeds.len()
    }

    /// The last number seen of a feed; 0 for an unknown one.
    pub(super) fn have(&self, id: &FeedId) -> u64 {
        self.feeds.get(id).map_or(0, |feed| feed.have)
    }

    /// The newest number kept of a feed; 0 for none.
    pub(super) fn newest(&self, id: &FeedId) -> u64 {
        self.feeds.get(id).map_or(0, Feed::newest)
    }

    /// The first kept post at or behind a position.
    pub(super) fn next_at(&self, position: Position) -> Option<(Position, &Arc<Post>)> {
        let (position, (id, number)) = self.order.range(position..).next()?;
        Some((*position, self.feeds.get(id)?.post(*number)?))
    }

    /// All posts, the one appended last first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Arc<Post>> {
        self.order.values().rev().filter_map(|(id, number)| self.feeds.get(id)?.post(*number))
    }

    /// Where the next post will stand.
    pub(super) fn next_position(&self) -> Position {
        self.next_position
    }

    pub(super) fn post_count(&self) -> usize {
        self.order.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many feeds of an author are known.
    pub(super) fn feeds_of(&self, author: &Id) -> usize {
        self.authors.get(author).map_or(0, |author| author.feeds)
    }

    /// The feeds of one author, or all.
    pub(super) fn feeds_within(&self, author: Option<Id>) -> impl Iterator<Item = (&FeedId, &Feed)> {
        let bound = |session| author.map(|author| FeedId { author, session });
        let first = bound(0).map_or(Bound::Unbounded, Bound::Included);
        let last = bound(u64::MAX).map_or(Bound::Unbounded, Bound::Included);
        self.feeds.range((first, last))
    }

    /// Whether a post of that time belongs to what was seen and forgotten.
    pub(super) fn was_forgotten(&self, id: &FeedId, at: u64) -> bool {
        at <= self.feeds.get(id).map_or_else(|| self.forgotten_at_of(&id.author), |feed| feed.forgotten_at)
    }

    fn forgotten_at_of(&self, author: &Id) -> u64 {
        self.authors.get(author).map_or(0, |author| author.forgotten_at).max(self.forgotten_at)
    }

    fn feed_mut(&mut self, id: FeedId, now: u64) -> &mut Feed {
        let forgotten_at = self.forgotten_at_of(&id.author);
        let authors = &mut self.authors;
        self.feeds.entry(id).or_insert_with(|| {
            authors.entry(id.author).or_default().feeds += 1;
            Feed {
                have: 0,
                whole_from: 1,
                progress_at: now,
                source: None,
                bytes_ever: 0,
                newest_at: 0,
                forgotten_at,
                posts: BTreeMap::new(),
            }
        })
    }

    /// Appends the next post of its feed.
    pub(super) fn append(&mut self, post: Arc<Post>, source: Option<LinkId>, now: Now) {
        let position = self.next_position;
        self.next_position += 1;
        let (id, number, cost) = (post.feed, post.number, post.kept_bytes());
        let feed = self.feed_mut(id, now.mono);
        assert_eq!(number, feed.have + 1, "a feed is appended to in order");
        feed.have = number;
        feed.progress_at = now.mono;
        feed.source = source;
        feed.bytes_ever += post.frame.len() as u64;
        feed.newest_at = feed.newest_at.max(post.at.min(now.wall + CLOCK_AHEAD_MS_MAX));
        feed.posts.insert(number, (position, post));
        self.order.insert(position, (id, number));
        self.resize_share(id.author, |share| {
            share.bytes += cost;
            share.positions.insert(position);
        });
        self.bytes += cost;
    }

    /// Counts numbers as seen that will never be kept: a final hole, or a post that was refused.
    pub(super) fn skip_to(&mut self, id: FeedId, number: u64, now: Now) {
        let feed = self.feed_mut(id, now.mono);
        assert!(number > feed.have, "have never falls");
        feed.have = number;
        feed.whole_from = number + 1;
        feed.progress_at = now.mono;
    }

    /// Counts what an author's unknown feeds have said up to a time as seen.
    pub(super) fn note_forgotten(&mut self, author: Id, at: u64) {
        let known = self.authors.get_mut(&author).map_or(&mut self.forgotten_at, |author| &mut author.forgotten_at);
        *known = at.max(*known);
    }

    fn resize_share(&mut self, author: Id, change: impl FnOnce(&mut Share)) {
        let share = self.shares.entry(author).or_default();
        self.by_size.remove(&(share.bytes, author));
        change(share);
        if share.positions.is_empty() {
            self.shares.remove(&author);
        } else {
            self.by_size.insert((share.bytes, author));
        }
    }

    fn remove(&mut self, position: Position) {
        let Some((id, number)) = self.order.remove(&position) else { return };
        let Some(feed) = self.feeds.get_mut(&id) else { return };
        let Some((_, post)) = feed.posts.remove(&number) else { return };
        let cost = post.kept_bytes();
        self.bytes -= cost;
        self.resize_share(id.author, |share| {
            share.bytes -= cost;
            share.positions.remove(&position);
        });
    }

    /// Evicts until the log fits, and a little further: so not every post that comes makes one go. `worth` says what
    /// else stands in a post's way.
    pub(super) fn evict_to(&mut self, bytes_max: usize, worth: impl Fn(&Post) -> Worth) {
        if self.bytes <= self.tried_at_bytes.min(2 * bytes_max) {
            return;
        }
        let passes = [(Worth::Ordinary, bytes_max), (Worth::Precious, bytes_max), (Worth::Needed, 2 * bytes_max)];
        for (limit, bytes_max) in passes {
            if self.bytes > bytes_max {
                self.evict_pass(bytes_max - bytes_max / 64, limit, &worth);
            }
        }
        self.tried_at_bytes = if self.bytes > bytes_max { self.bytes + bytes_max / 64 } else { 0 };
    }

    /// Takes the oldest evictable post of the author who holds most and has one, again and again. What was found not to
    /// be evictable is not looked at again.
    fn evict_pass(&mut self, bytes_max: usize, limit: Worth, worth: &impl Fn(&Post) -> Worth) {
        let mut looked_at: BTreeMap<Id, Position> = BTreeMap::new();
        let mut sizes = self.by_size.clone();
        while self.bytes > bytes_max
            && let Some((_, author)) = sizes.pop_last()
        {
            let from = looked_at.get(&author).copied().unwrap_or(0);
            let Some(share) = self.shares.get(&author) else { continue };
            let next = share.positions.range(from..).copied().find(|position| self.may_go(*position, limit, worth));
            let Some(position) = next else { continue };
            looked_at.insert(author, position + 1);
            self.remove(position);
            if let Some(share) = self.shares.get(&author) {
                sizes.insert((share.bytes, author));
            }
        }
    }

    fn may_go(&self, position: Position, limit: Worth, worth: &impl Fn(&Post) -> Worth) -> bool {
        let Some((id, number)) = self.order.get(&position) else { return false };
        let Some(feed) = self.feeds.get(id) else { return false };
        let Some(post) = feed.post(*number) else { return false };
        let newest = *number == feed.have;
        let worth = worth(post);
        // A newest post is the last of its feed to go, and then it goes as precious.
        if newest && (feed.posts.len() > 1 || limit < Worth::Precious) {
            return false;
        }
        worth <= limit
    }

    /// Evicts the posts that were appended or written before a time, newest ones with their feeds.
    pub(super) fn evict_older(&mut self, at: u64, worth: impl Fn(&Post) -> Worth) {
        let old = |log: &Self, position: &Position| {
            let (id, number) = log.order.get(position)?;
            let post = log.feeds.get(id)?.post(*number)?;
            (post.at < at && worth(post) < Worth::Needed).then_some(())
        };
        let positions: Vec<Position> = self.order.keys().copied().filter(|key| old(self, key).is_some()).collect();
        for position in positions {
            let is_last = self.order.get(&position).is_some_and(|(id, number)| {
                self.feeds.get(id).is_some_and(|feed| feed.have == *number && feed.posts.len() > 1)
            });
            if !is_last {
                self.remove(position);
            }
        }
    }

    /// Forgets a feed and all that is kept of it, but for how new it was.
    pub(super) fn forget(&mut self, id: &FeedId) {
        let Some(feed) = self.feeds.get(id) else { return };
        let newest_at = feed.newest_at;
        let positions: Vec<Position> = feed.posts.values().map(|(position, _)| *position).collect();
        for position in positions {
            self.remove(position);
        }
        self.feeds.remove(id);
        let Some(author) = self.authors.get_mut(&id.author) else { return };
        author.feeds -= 1;
        author.forgotten_at = author.forgotten_at.max(newest_at);
        if author.feeds == 0 {
            self.forgotten_at = self.forgotten_at.max(author.forgotten_at);
            self.authors.remove(&id.author);
        }
    }
}
