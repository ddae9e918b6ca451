//! A link as the room sees it: who is at its other end, and per feed what flows which way.
//!
//! The usual state of a feed on a link is open both ways and level, and takes no memory; only what
//! differs is stored. So a thousand links in a room of a thousand cost next to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use crate::identity::Id;
use crate::limits::{GAP_MS_MAX, LINK_STUCK_MS_MAX, OUTBOX_BYTES_MAX};
use crate::wire::end::End;
use crate::wire::record::{Channel, FeedId, Hello};

use super::event::{Peer, Person};
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

/// How far the greeting and the paging have come.
#[derive(Debug, Default)]
pub(super) struct Paging {
    /// What we had when the link came up, the part that is not sent yet.
    pub(super) unsent: BTreeMap<FeedId, u64>,
    /// What we had when the link came up.
    pub(super) mine: BTreeMap<FeedId, u64>,
    /// What the peer's pages say.
    pub(super) theirs: BTreeMap<FeedId, u64>,
    /// How many entries they had, whatever they named.
    pub(super) named: usize,
    pub(super) sent_done: bool,
    pub(super) got_done: bool,
    /// When a page last came or went.
    pub(super) progress_at: u64,
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
    pub(super) meter: Meter,
    /// Bytes handed to the writer and not written yet.
    pub(super) queued_bytes: usize,
    /// When the socket last took some of them, or they began to wait.
    pub(super) drained_at: u64,
    /// The outbox was full and is not half empty yet.
    pub(super) lagging: bool,
    /// The feed that was served last while lagging.
    pub(super) served: Option<FeedId>,
    pub(super) heard_at: u64,
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
            meter: Meter::default(),
            queued_bytes: 0,
            drained_at: now,
            lagging: false,
            served: None,
            heard_at: now,
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

    /// The key that the peer has proved to have. In the clear, where anybody can claim any, nobody pays for it.
    pub(super) fn proved(&self) -> Option<Id> {
        self.hello.as_ref().filter(|_| self.channel.is_some()).map(|hello| hello.id)
    }

    /// Whether the peer says that it is this identity.
    pub(super) fn is_linked_to(&self, id: &Id) -> bool {
        self.hello.as_ref().is_some_and(|hello| hello.id == *id)
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

    /// When it last did what is expected of it: said anything, and before it is ready, paged.
    pub(super) fn progress_at(&self) -> u64 {
        self.paging.as_ref().map_or(self.heard_at, |paging| paging.progress_at.min(self.heard_at))
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

    /// Hands bytes to the writer.
    pub(super) fn queue(&mut self, bytes: usize, now: u64) {
        if self.queued_bytes == 0 {
            self.drained_at = now;
        }
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
        self.pinged_at += late;
        self.drained_at += late;
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
