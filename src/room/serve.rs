//! What goes out: every link is sent what it lacks of its open feeds.
//!
//! Sending is advancing a cursor. A link that is level gets a new post at once; one whose outbox is
//! full lags, and goes on from its cursors as its socket drains: a few posts of what each other link has brought, in turn,
//! and of that feed by feed. What the log no longer holds is jumped over with a gap notice.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limits::{OUTBOX_BYTES_MAX, SERVE_BYTES};
use crate::wire::Frame;
use crate::wire::record::{Control, FeedId, Post};

use super::links::Outgoing;
use super::log::Feed;
use super::{LinkId, Output, Room};

/// The feeds that are to be served, by the links that have brought them.
type Turns = VecDeque<(Option<LinkId>, VecDeque<FeedId>)>;

impl Room {
    /// Sends a post that was just appended over every link on which its feed is open and level.
    pub(super) fn spread(&mut self, post: &Arc<Post>, from: Option<LinkId>, out: &mut Vec<Output>) {
        let (feed, number, now) = (post.feed, post.number, self.now.mono);
        let gap = self.gap_before(feed, number);
        let mut links = Vec::new();
        let mut behind = Vec::new();
        for (id, link) in &mut self.links {
            if !link.is_ready() {
                continue;
            }
            match link.outgoing.get(&feed) {
                None if link.is_spare => {
                    link.outgoing.insert(feed, Outgoing::Quiet { told: number - 1 });
                    link.untold.insert(feed);
                }
                None if from == Some(*id) || link.known(&feed) >= number => {}
                None if link.lagging || link.outbox_is_full() => {
                    link.lagging = true;
                    link.outgoing.insert(feed, Outgoing::Open { cursor: number });
                }
                None => {
                    link.queue(post.frame.len() + gap.as_ref().map_or(0, |gap| gap.len()), now);
                    links.push(*id);
                }
                Some(Outgoing::Open { cursor }) if *cursor > number + 1 => {}
                Some(Outgoing::Open { .. }) => behind.push(*id),
                Some(Outgoing::Quiet { .. }) => {
                    link.untold.insert(feed);
                }
            }
        }
        if !links.is_empty() {
            let frames = gap.into_iter().chain([Arc::clone(&post.frame)]).collect();
            out.push(Output::Send { links, frames });
        }
        for link in behind {
            if from == Some(link)
                && let Some(state) = self.links.get_mut(&link)
            {
                state.note_known(feed, number);
            }
            self.advance(link, feed, out);
        }
    }

    /// The notice that belongs before a post whose predecessor is not kept: that one was refused, or the whole
    /// feed is evicted. A peer that has linked since, or asked since, does not have it either, and what
    /// each of them has is not remembered. To one that has it all the notice says nothing.
    fn gap_before(&self, feed: FeedId, number: u64) -> Option<Frame> {
        let to = number.checked_sub(1).filter(|to| *to > 0 && !self.keeps(feed, *to))?;
        Some(gap(feed, self.log.feed(&feed), to, to))
    }

    fn keeps(&self, feed: FeedId, number: u64) -> bool {
        self.log.feed(&feed).is_some_and(|kept| kept.post(number).is_some())
    }

    /// Sends what a link lacks of an open feed, as far as its outbox takes it.
    pub(super) fn advance(&mut self, link: LinkId, feed: FeedId, out: &mut Vec<Output>) {
        let mut frames = Vec::new();
        self.take_steps(link, feed, usize::MAX, &mut frames);
        self.hand_over(link, frames, out);
    }

    /// Takes an open feed as many steps further as the outbox takes, until so many bytes are sent; returns how many were.
    fn take_steps(&mut self, link: LinkId, feed: FeedId, bytes_max: usize, frames: &mut Vec<Frame>) -> usize {
        let (Some(state), Some(kept)) = (self.links.get_mut(&link), self.log.feed(&feed)) else { return 0 };
        let mut sent = 0;
        while sent < bytes_max && !state.lagging {
            let Some(Outgoing::Open { cursor }) = state.outgoing.get(&feed) else { break };
            let cursor = (*cursor).max(state.known(&feed) + 1);
            let mut next = cursor.max(kept.have + 1);
            if let Some(post) = kept.next_post(cursor) {
                next = post.number + 1;
                let gap = (post.number > cursor).then(|| gap(feed, Some(kept), cursor, post.number - 1));
                for frame in gap.into_iter().chain([Arc::clone(&post.frame)]) {
                    sent += frame.len();
                    state.queue(frame.len(), self.now.mono);
                    frames.push(frame);
                }
            }
            // Before anything else: of feeds of one post each is finished by its first step.
            state.lagging |= state.outbox_is_full();
            if next == kept.have + 1 {
                state.outgoing.remove(&feed);
                break;
            }
            state.outgoing.insert(feed, Outgoing::Open { cursor: next });
            if next > kept.have {
                break;
            }
        }
        sent
    }

    /// Goes on with all feeds that a link lacks, from where it stopped: the sources in turn, and the feeds of each.
    pub(super) fn serve(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.outbox_is_full() {
            state.lagging = true;
            return;
        }
        let mut turns = self.turns(link);
        let mut frames = Vec::new();
        self.take_turns(link, &mut turns, &mut frames);
        self.hand_over(link, frames, out);
    }

    fn take_turns(&mut self, link: LinkId, turns: &mut Turns, frames: &mut Vec<Frame>) {
        while let Some((source, mut feeds)) = turns.pop_front() {
            let mut sent = 0;
            while sent < SERVE_BYTES
                && let Some(feed) = feeds.pop_front()
            {
                sent += self.take_steps(link, feed, SERVE_BYTES - sent, frames);
                let Some(state) = self.links.get_mut(&link) else { return };
                if state.lagging {
                    state.served.insert(source, feed);
                    state.served_source = source;
                    return;
                }
                if matches!(state.outgoing.get(&feed), Some(Outgoing::Open { cursor }) if *cursor <= self.log.have(&feed))
                {
                    feeds.push_back(feed);
                }
            }
            if !feeds.is_empty() {
                turns.push_back((source, feeds));
            }
        }
        if let Some(state) = self.links.get_mut(&link) {
            state.served.clear();
        }
    }

    /// The open feeds of a link by the links that have brought them, in the order in which they are served.
    fn turns(&self, link: LinkId) -> Turns {
        let Some(state) = self.links.get(&link).filter(|state| state.is_ready()) else { return VecDeque::new() };
        let open = state.outgoing.iter().filter(|(_, outgoing)| matches!(outgoing, Outgoing::Open { .. }));
        let mut open: Vec<(Option<LinkId>, FeedId)> =
            open.map(|(feed, _)| (self.log.feed(feed).and_then(|kept| kept.source), *feed)).collect();
        open.sort_unstable();
        let mut turns = Turns::new();
        for one_source in open.chunk_by(|(source, _), (next, _)| source == next) {
            let Some((source, _)) = one_source.first() else { continue };
            let mut feeds: VecDeque<FeedId> = one_source.iter().map(|(_, feed)| *feed).collect();
            let served = state.served.get(source);
            feeds.rotate_left(served.map_or(0, |served| feeds.partition_point(|feed| feed <= served)));
            turns.push_back((*source, feeds));
        }
        if !state.served.is_empty() {
            let first = turns.partition_point(|(source, _)| *source <= state.served_source);
            turns.rotate_left(first);
        }
        turns
    }

    pub(super) fn drained(&mut self, link: LinkId, bytes: usize, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.queued_bytes = state.queued_bytes.saturating_sub(bytes);
        state.drained_at = self.now.mono;
        if state.is_up() && state.paging.is_some() {
            self.page_on(link, out);
        } else if state.lagging && state.queued_bytes <= OUTBOX_BYTES_MAX / 2 {
            state.lagging = false;
            self.serve(link, out);
        }
    }
}

/// A gap notice. Where what is before it is not kept either, nobody knows how much of that the peer has: then the notice
/// begins at the beginning, so that it fits any peer.
fn gap(feed: FeedId, kept: Option<&Feed>, from: u64, to: u64) -> Frame {
    let is_kept = |number| kept.is_some_and(|kept| kept.post(number).is_some());
    let from = if is_kept(from.saturating_sub(1)) { from } else { 1 };
    Control::Gap { author: feed.author, session: feed.session, from, to }.encode()
}
