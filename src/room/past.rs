//! The past: what earlier runs have kept, taken up again; and how far this run's log is kept.
//!
//! What is kept goes out in the order of the log, from a cursor like that of any other local output: a disk that is
//! slow or full costs the log's bound and no more. Posts that were evicted before they were taken are counted, and told
//! once. What is taken up is in the log as if this run had seen it: it is not asked for again, not shown as new, and
//! passed on to whoever lacks it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{
    CLOCK_AHEAD_MS_MAX, HISTORY_LAG_BYTES_MAX, MEMBER_STALLED_MS, RESTORED_FEEDS_MAX, RESTORED_SESSIONS_PER_AUTHOR_MAX,
};
use crate::wire::record::{Body, FeedId, Post};

use super::event::Event;
use super::log::Position;
use super::roster::Moment;
use super::unheard::Unheard;
use super::{Letters, Output, Room};

/// What earlier runs have kept of the room. Signatures were checked.
#[derive(Debug, Default)]
pub struct Past {
    /// Posts, in the order in which they were kept.
    pub posts: Vec<Arc<Post>>,
    /// The newest post of each feed of which none is among those, newest first. Only its number and time count.
    pub ends: Vec<Arc<Post>>,
    /// Of some authors the newest post that is too old, or of the far future. What they have said until then was shown.
    pub former: Vec<Arc<Post>>,
    /// Whispers that wait, and up to where others' were shown.
    pub letters: Letters,
}

/// How far the log has gone to who keeps it.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    next: Position,
    /// The frames that have not been taken yet.
    lag_bytes: usize,
    /// When one was taken last, or began to wait for that.
    progress_at: u64,
    /// Posts that were gone before they were taken.
    missed: u64,
}

impl Keeping {
    /// A post was appended.
    pub(super) fn note(&mut self, post: &Post, now: u64) {
        if self.lag_bytes == 0 {
            self.progress_at = now;
        }
        self.lag_bytes += post.frame.len();
    }

    /// Whether who keeps is behind and still moving, so that it is worth waiting for.
    fn is_behind(&self, now: u64) -> bool {
        self.lag_bytes > HISTORY_LAG_BYTES_MAX && now < self.progress_at + MEMBER_STALLED_MS
    }
}

impl Room {
    /// The next post to keep, each once, in the order of the log. At the end of the log it is told how many were
    /// missed.
    pub fn next_kept(&mut self) -> Option<Arc<Post>> {
        if !self.config.keep {
            return None;
        }
        let keeping = &mut self.keeping;
        keeping.progress_at = self.now.mono;
        if let Some((position, post)) = self.log.next_at(keeping.next) {
            keeping.missed += position - keeping.next;
            keeping.next = position + 1;
            keeping.lag_bytes = keeping.lag_bytes.saturating_sub(post.frame.len());
            return Some(Arc::clone(post));
        }
        keeping.missed += self.log.next_position() - keeping.next;
        (keeping.next, keeping.lag_bytes) = (self.log.next_position(), 0);
        let missed = std::mem::take(&mut keeping.missed);
        if missed > 0 {
            let text =
                format!("{missed} messages are missing in the history: they were gone before the disk took them");
            self.local.notice(Event::Warning(text));
        }
        None
    }

    /// How many bytes wait to be kept.
    pub fn unkept_bytes(&self) -> usize {
        self.keeping.lag_bytes
    }

    /// Whether this node's own outputs are behind and worth waiting for: sources go no faster.
    pub(super) fn is_behind(&self) -> bool {
        self.local.is_behind(self.now.mono) || self.keeping.is_behind(self.now.mono)
    }

    /// Takes up what earlier runs have kept, and shows the end of it.
    pub(super) fn take_up(&mut self, past: &Past, out: &mut Vec<Output>) {
        let taken = taken_feeds(past);
        let mut forgotten: BTreeMap<Id, u64> = BTreeMap::new();
        for post in &past.posts {
            if taken.contains(&post.feed) {
                self.take_up_post(post);
            }
        }
        for end in &past.ends {
            if taken.contains(&end.feed) && end.number > self.log.have(&end.feed) {
                self.log.skip_to(end.feed, end.number, self.now);
            }
        }
        let untaken = past.posts.iter().chain(&past.ends).filter(|post| !taken.contains(&post.feed));
        for post in untaken.chain(&past.former) {
            let at = forgotten.entry(post.feed.author).or_default();
            *at = post.at.max(*at);
        }
        for (author, at) in forgotten {
            self.log.note_forgotten(author, at.min(self.now.wall + CLOCK_AHEAD_MS_MAX));
        }
        let restored: BTreeMap<FeedId, u64> = self.log.feeds().map(|(feed, kept)| (*feed, kept.have)).collect();
        out.extend(restored.iter().map(|(feed, number)| Output::Seen { feed: *feed, number: *number, tail: 0 }));
        self.completion.resume(restored);
        self.take_up_present();
        self.evict();
        self.keeping.next = self.log.next_position();
        self.take_up_letters(&past.letters);
        self.local.show_backlog(&self.log);
    }

    /// Whom the last run saw here may still be here. Where an address is everybody's, or a link came up with it, they are
    /// dialled like others.
    fn take_up_present(&mut self) {
        let others = || self.roster.present().filter(|(feed, _)| feed.author != self.me.author);
        for (feed, session) in others() {
            let is_known = |addr: &SocketAddr| self.acquaintances.contains(feed.author, *addr);
            self.book.recall(*feed, &session.addresses, is_known);
        }
        self.unheard = Unheard::of(others().map(|(feed, _)| *feed));
    }

    fn take_up_post(&mut self, post: &Arc<Post>) {
        let have = self.log.have(&post.feed);
        if post.number <= have {
            return;
        }
        // What is missing between was refused, or a hole that was told then.
        if post.number > have + 1 {
            self.log.skip_to(post.feed, post.number - 1, self.now);
        }
        self.clock = self.clock.max(post.at.min(self.now.wall + CLOCK_AHEAD_MS_MAX));
        self.log.append(Arc::clone(post), None, self.now);
        let now = self.now.mono_signed();
        let written_at = now.saturating_sub_unsigned(self.now.wall.saturating_sub(post.at));
        if self.roster.fold(post, Moment { written_at, live_behind_ms: None, live_lag_ms: None, now }) {
            self.roster_changed();
        }
        if matches!(post.body, Body::Say { .. }) {
            self.local.hold_back(post);
        }
    }
}

/// The feeds that are taken up: the newest ones, as many as leave room for new ones.
fn taken_feeds(past: &Past) -> BTreeSet<FeedId> {
    let mut taken = BTreeSet::new();
    let mut sessions: BTreeMap<Id, usize> = BTreeMap::new();
    for post in past.posts.iter().rev().chain(&past.ends) {
        if taken.len() >= RESTORED_FEEDS_MAX {
            break;
        }
        let count = sessions.entry(post.feed.author).or_default();
        if *count < RESTORED_SESSIONS_PER_AUTHOR_MAX && taken.insert(post.feed) {
            *count += 1;
        }
    }
    taken
}
