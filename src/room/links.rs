//! A link as the room sees it: who is at its other end, and per feed what flows which way.
//!
//! The usual state of a feed on a link is open both ways and level, and takes no memory; only what
//! differs is stored. So a thousand links in a room of a thousand cost next to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{GAP_MS_MAX, LINK_STUCK_MS_MAX, OUTBOX_BYTES_MAX, SERVE_BYTES};
use crate::wire::Frame;
use crate::wire::end::End;
use crate::wire::record::{Channel, FeedId, Hello};

use super::event::{Peer, Person};
use super::log::Feed;
use super::meter::Meter;

/// A connection's number, given by the daemon, never used twice in a run.
pub type LinkId = u64;

/// A feed on its way to the peer, where it is not open and level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// Sent in order; this number is next. At one past our newest it is level.
    Open { cursor: u64 },
    /// Only told of; the peer knows of this number.
    Quiet { told: u64 },
}

/// A feed on its way from the peer, where it is not simply open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Incoming {
    /// Whether the peer sends it, as far as we know.
    pub(super) open: bool,
    /// We said `quiet`.
    pub(super) hushed: bool,
    /// The highest number that the peer is known to have.
    pub(super) known: u64,
    /// Bytes of second copies, less those of first ones.
    pub(super) surplus: u64,
    /// A gap notice that no post has followed yet.
    pub(super) gap: Option<(u64, u64)>,
    /// The next number of a stream behind a gap.
    pub(super) stream: Option<u64>,
    /// Posts that came too early were dropped; the rest of them is too, until the feed is asked for
    /// again and answered.
    pub(super) ignored: bool,
}

impl Default for Incoming {
    fn default() -> Self {
        Self { open: true, hushed: false, known: 0, surplus: 0, gap: None, stream: None, ignored: false }
    }
}

/// What one side has said in the paging, besides its pages.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) all: bool,
    pub(super) done: bool,
}

/// How far the greeting and the paging have come.
#[derive(Debug, Default)]
pub(super) struct Paging {
    /// What we had when the link came up, in the order of the feeds.
    pub(super) mine: Vec<(FeedId, u64)>,
    /// How much of it is sent.
    pub(super) paged: usize,
    /// What the peer's pages say.
    pub(super) theirs: BTreeMap<FeedId, u64>,
    /// How many entries they had, whatever they named.
    pub(super) named: usize,
    pub(super) sent: Said,
    pub(super) got: Said,
    /// When a page last came or went.
    pub(super) progress_at: u64,
}

impl Paging {
    /// The number that our pages have for a feed; 0 for one that they do not name.
    pub(super) fn mine(&self, feed: &FeedId) -> u64 {
        let found = self.mine.binary_search_by_key(feed, |(feed, _)| *feed).ok();
        found.and_then(|index| self.mine.get(index)).map_or(0, |(_, number)| *number)
    }
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) remote: SocketAddr,
    pub(super) local: IpAddr,
    /// The dial that made it; `None` for an accepted one.
    pub(super) dial: Option<super::overlay::DialId>,
    pub(super) channel: Option<Channel>,
    pub(super) opened_at: u64,
    /// When posts began to flow.
    pub(super) ready_at: u64,
    pub(super) opened_wall: u64,
    /// Who is there; `None` until the greeting is over.
    pub(super) hello: Option<Hello>,
    /// `None` once both sides have paged: then posts flow.
    pub(super) paging: Option<Box<Paging>>,
    pub(super) outgoing: BTreeMap<FeedId, Outgoing>,
    pub(super) incoming: BTreeMap<FeedId, Incoming>,
    /// Quiet feeds of which there may be something new to tell.
    pub(super) untold: BTreeSet<FeedId>,
    /// Feeds for which the peer wants to be told if there is nothing.
    pub(super) asked: BTreeMap<FeedId, u64>,
    /// Gap notices that no post has followed yet, since when.
    pub(super) gaps: BTreeMap<FeedId, u64>,
    /// In hub mode: the hub from which the peer has posts, as it says,
    pub(super) follows: Option<FeedId>,
    /// whether we have posts from the same, so that this link carries none,
    pub(super) is_spare: bool,
    /// when it is told the newest numbers next,
    pub(super) news_at: u64,
    /// when it last brought a post,
    pub(super) brought_at: u64,
    /// and how often it has beaten since.
    pub(super) beats: u64,
    pub(super) meter: Meter,
    /// Bytes handed to the writer and not written yet.
    pub(super) queued_bytes: usize,
    /// When the socket last took some of them, or they began to wait.
    pub(super) drained_at: u64,
    /// The outbox was full and is not half empty yet.
    pub(super) lagging: bool,
    /// While lagging: of each source the feed that was served last,
    pub(super) served: BTreeMap<Option<LinkId>, FeedId>,
    /// and whose turn it was.
    pub(super) served_source: Option<LinkId>,
    pub(super) heard_at: u64,
    /// When bytes were last handed to the writer.
    said_at: u64,
    pub(super) pinged_at: u64,
}

impl Link {
    pub(super) fn new(
        remote: SocketAddr,
        local: IpAddr,
        dial: Option<super::overlay::DialId>,
        channel: Option<Channel>,
        now: super::Now,
    ) -> Self {
        let super::Now { mono: now, wall } = now;
        Self {
            remote,
            local,
            dial,
            channel,
            opened_at: now,
            ready_at: now,
            opened_wall: wall,
            hello: None,
            paging: Some(Box::default()),
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            untold: BTreeSet::new(),
            asked: BTreeMap::new(),
            gaps: BTreeMap::new(),
            follows: None,
            is_spare: false,
            news_at: 0,
            brought_at: now,
            beats: 0,
            meter: Meter::default(),
            queued_bytes: 0,
            drained_at: now,
            lagging: false,
            served: BTreeMap::new(),
            served_source: None,
            heard_at: now,
            said_at: now,
            pinged_at: now,
        }
    }

    /// Whether posts flow.
    pub(super) fn is_ready(&self) -> bool {
        self.hello.is_some() && self.paging.is_none()
    }

    pub(super) fn is_up(&self) -> bool {
        self.hello.is_some()
    }

    pub(super) fn session(&self) -> Option<FeedId> {
        self.hello.as_ref().map(Hello::feed)
    }

    /// Who is there.
    pub(super) fn id(&self) -> Option<Id> {
        self.hello.as_ref().map(|hello| hello.id)
    }

    /// The key that the peer has proved to have. In the clear, where anybody can claim any, nobody pays for it.
    pub(super) fn proved(&self) -> Option<Id> {
        self.hello.as_ref().filter(|_| self.channel.is_some()).map(|hello| hello.id)
    }

    /// Whether the peer says that it is this identity.
    pub(super) fn is_linked_to(&self, id: &Id) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.id == *id)
    }

    /// Whether the other end is this very session.
    pub(super) fn is_session(&self, feed: &FeedId) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.feed() == *feed)
    }

    pub(super) fn peer(&self) -> Option<Peer> {
        let hello = self.hello.as_ref()?;
        Some(Peer { person: Person { id: hello.id, nick: hello.nick.clone() }, addr: self.remote })
    }

    /// Whether both ends can be dialled, so that the link counts among those that are shared out.
    pub(super) fn is_shared_out(&self, we_listen: bool) -> bool {
        we_listen && self.hello.as_ref().is_some_and(|hello| hello.listens)
    }

    pub(super) fn is_open_in(&self, feed: &FeedId) -> bool {
        self.incoming.get(feed).is_none_or(|incoming| incoming.open)
    }

    pub(super) fn known(&self, feed: &FeedId) -> u64 {
        self.incoming.get(feed).map_or(0, |incoming| incoming.known)
    }

    pub(super) fn note_known(&mut self, feed: FeedId, number: u64) {
        let incoming = self.incoming.entry(feed).or_default();
        incoming.known = incoming.known.max(number);
    }

    /// When it last did what is expected of it: said anything, and once we have paged, paged.
    pub(super) fn progress_at(&self) -> u64 {
        let paging = self.paging.as_ref().filter(|paging| paging.sent.done);
        paging.map_or(self.heard_at, |paging| paging.progress_at.min(self.heard_at))
    }

    /// A part of a record has come, if not the whole.
    pub(super) fn part_arrived(&mut self, now: u64) {
        if let Some(paging) = &mut self.paging {
            paging.progress_at = now;
        }
    }

    /// Since when one of the two sides has nothing to hear from the other. A peer that we hear all the time may hear nothing
    /// of us, and what we ask it behind much else it answers late.
    pub(super) fn quiet_since(&self, now: u64) -> u64 {
        let said_at = if self.queued_bytes > 0 { now } else { self.said_at };
        self.heard_at.min(said_at).max(self.pinged_at)
    }

    /// How many feeds take memory here; of those that exist nowhere a peer can name any number.
    pub(super) fn feeds_remembered(&self) -> usize {
        self.incoming.len().max(self.outgoing.len()).max(self.asked.len())
    }

    /// Forgets a feed that is no more.
    pub(super) fn forget(&mut self, feed: &FeedId) {
        self.incoming.remove(feed);
        self.outgoing.remove(feed);
        self.untold.remove(feed);
        self.gaps.remove(feed);
    }

    /// Hands the first posts of a feed to the writer, as far as the outbox takes them, none is missing, and no other feed
    /// has to wait for long. The next number.
    pub(super) fn queue_from_start(&mut self, feed: &Feed, frames: &mut Vec<Frame>, now: u64) -> u64 {
        let (mut next, mut sent) = (1, 0);
        while sent < SERVE_BYTES
            && let Some(post) = feed.post(next).filter(|_| !self.outbox_is_full())
        {
            self.queue(post.frame.len(), now);
            sent += post.frame.len();
            frames.push(Arc::clone(&post.frame));
            next += 1;
        }
        next
    }

    /// Hands bytes to the writer.
    pub(super) fn queue(&mut self, bytes: usize, now: u64) {
        if self.queued_bytes == 0 {
            self.drained_at = now;
        }
        self.said_at = now;
        self.queued_bytes += bytes;
    }

    /// A post has come; if it is the one that a gap notice announced, the notice was a true one.
    pub(super) fn gap_followed(&mut self, feed: &FeedId, number: u64) {
        let announced = self.incoming.get(feed).and_then(|incoming| incoming.gap);
        if announced.is_some_and(|(_, to)| to + 1 == number) && self.gaps.remove(feed).is_some() {
            self.meter.gap_was_good();
        }
    }

    /// Why the link cannot go on, if so: the peer takes nothing, or has announced what does not come.
    pub(super) fn standstill(&self, now: u64) -> Option<End> {
        if self.queued_bytes > 0 && now >= self.drained_at + LINK_STUCK_MS_MAX {
            return Some(End::SlowReader);
        }
        self.gaps.values().any(|since| now >= since + GAP_MS_MAX).then_some(End::EmptyGap)
    }

    /// Our own timers ran late: nobody is accused for that time.
    pub(super) fn forgive(&mut self, late: u64) {
        self.heard_at += late;
        self.said_at += late;
        self.pinged_at += late;
        self.drained_at += late;
        (self.brought_at, self.beats) = (self.brought_at + late, 0);
        if let Some(paging) = &mut self.paging {
            paging.progress_at += late;
        }
        for since in self.gaps.values_mut() {
            *since += late;
        }
    }

    pub(super) fn outbox_is_full(&self) -> bool {
        self.queued_bytes >= OUTBOX_BYTES_MAX
    }
}
