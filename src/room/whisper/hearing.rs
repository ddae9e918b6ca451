//! What others whisper to this node: up to where each stream has come, and what has come early.
//!
//! A whisper is queued for the user as the next of its stream. It counts as shown when the user's side says so, then
//! that is kept, then its sender gets a receipt. So what was confirmed was seen, and a copy that comes later, even after a
//! restart, is not seen again.

use std::collections::BTreeMap;

use crate::identity::Id;
use crate::limits::{
    WHISPER_COST_BYTES, WHISPER_REMEMBERED_MS, WHISPER_STREAMS_MAX, WHISPER_STREAMS_PER_SENDER_MAX,
    WHISPERS_EARLY_BYTES_MAX, WHISPERS_EARLY_MAX,
};
use crate::room::LinkId;
use crate::wire::record::FeedId;
use crate::wire::seal::{SealingKey, Text};

use super::Heard;

/// A sender's stream: of one of its sessions, to this node.
pub(super) type StreamId = (Id, u64);

/// Where an answer goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Return {
    /// The sender's key.
    pub(super) key: SealingKey,
    /// The sender's session.
    pub(super) session: FeedId,
    /// The link over which the question came.
    pub(super) link: LinkId,
    /// It came over all links, so the answer does.
    pub(super) flood: bool,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The number that comes next.
    pub(super) next: u64,
    /// The last that was shown,
    pub(super) shown: u64,
    /// that is being kept,
    pub(super) asked: u64,
    /// and that is.
    pub(super) kept: u64,
    /// When the newest of it was said.
    pub(super) at: u64,
    early: BTreeMap<u64, Text>,
    /// Where the next receipt goes; `None` before something has come in this run.
    pub(super) back: Option<Return>,
    /// The session that waits for it, where the sender has said so.
    pub(super) told_session: Option<u64>,
    /// A receipt is owed.
    pub(super) owed: bool,
}

impl Stream {
    fn from(number: u64) -> Self {
        Self { next: number + 1, shown: number, asked: number, kept: number, ..Self::default() }
    }
}

/// What one costs that waits.
fn cost_of(text: &str) -> usize {
    text.len() + WHISPER_COST_BYTES
}

fn early_cost(early: &BTreeMap<u64, Text>) -> usize {
    early.values().map(|text| cost_of(&text.text)).sum()
}

/// All streams.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    pub(super) streams: BTreeMap<StreamId, Stream>,
    /// Of those that were forgotten for want of room the newest time, by sender,
    forgotten: BTreeMap<Id, u64>,
    /// and for all.
    forgotten_of_all: u64,
    /// What the user's side has not shown yet, in bytes.
    pub(super) unshown_bytes: usize,
    /// What has come early, in bytes.
    early_bytes: usize,
    /// Something was shown and is not kept.
    pub(super) is_due: bool,
}

impl Hearing {
    /// Takes up what an earlier run remembers; the newest of too much.
    pub(super) fn take_up(&mut self, all: &[Heard]) {
        let mut newest_first: Vec<&Heard> = all.iter().collect();
        newest_first.sort_by_key(|heard| std::cmp::Reverse(heard.at));
        for heard in newest_first {
            if self.streams.len() < WHISPER_STREAMS_MAX {
                let stream = Stream { at: heard.at, ..Stream::from(heard.number) };
                self.streams.insert((heard.from, heard.stream), stream);
            } else {
                self.forgotten_of_all = heard.at.max(self.forgotten_of_all);
            }
        }
    }

    /// A sender's stream, known or new. Of too many those go whose last whisper is oldest, the sender's own first.
    pub(super) fn stream(&mut self, id: StreamId) -> &mut Stream {
        let (from, _) = id;
        if !self.streams.contains_key(&id) {
            let settled = |(_, stream): &(&StreamId, &Stream)| stream.shown + 1 == stream.next;
            let age = |(_, stream): &(&StreamId, &Stream)| stream.at;
            let of_sender = || self.streams.range((from, 0)..=(from, u64::MAX));
            if of_sender().count() >= WHISPER_STREAMS_PER_SENDER_MAX {
                if let Some(oldest) = of_sender().filter(settled).min_by_key(age).map(|(id, _)| *id) {
                    let at = self.forget_stream(oldest);
                    let forgotten = self.forgotten.entry(from).or_default();
                    *forgotten = at.max(*forgotten);
                }
            } else if self.streams.len() >= WHISPER_STREAMS_MAX
                && let Some(oldest) = self.streams.iter().filter(settled).min_by_key(age).map(|(id, _)| *id)
            {
                let at = self.forget_stream(oldest);
                self.forgotten_of_all = at.max(self.forgotten_of_all);
            }
        }
        self.streams.entry(id).or_insert_with(|| Stream::from(0))
    }

    /// Whether a text may be of a stream that was forgotten, and played again.
    pub(super) fn was_forgotten(&self, id: StreamId, at: u64) -> bool {
        let of_sender = self.forgotten.get(&id.0).copied().unwrap_or(0);
        !self.streams.contains_key(&id) && at <= of_sender.max(self.forgotten_of_all)
    }

    /// Whether a number was queued for the user, or void.
    pub(super) fn was_shown(&self, id: StreamId, number: u64) -> bool {
        self.streams.get(&id).is_some_and(|stream| number < stream.next)
    }

    /// Keeps one that has come before its turn, if there is room: of one sender and of all there are bounds.
    pub(super) fn hold_early(&mut self, id: StreamId, text: Text) {
        let (from, _) = id;
        let early = self.streams.range((from, 0)..=(from, u64::MAX)).map(|(_, stream)| stream.early.len());
        let has_room = early.sum::<usize>() < WHISPERS_EARLY_MAX;
        let cost = cost_of(&text.text);
        if !has_room || self.early_bytes + cost > WHISPERS_EARLY_BYTES_MAX {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            let former = stream.early.insert(text.number, text);
            self.early_bytes = self.early_bytes + cost - former.map_or(0, |former| cost_of(&former.text));
        }
    }

    /// One whose turn it is, if it is there.
    pub(super) fn take_early(&mut self, id: StreamId) -> Option<Text> {
        let stream = self.streams.get_mut(&id)?;
        let text = stream.early.remove(&stream.next)?;
        self.early_bytes -= cost_of(&text.text);
        Some(text)
    }

    /// What comes before a number never comes, and what of it was early is not wanted.
    pub(super) fn begin(&mut self, id: StreamId, number: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let kept = stream.early.split_off(&number);
        let dropped = std::mem::replace(&mut stream.early, kept);
        stream.next = number;
        self.early_bytes -= early_cost(&dropped);
    }

    /// Forgets a stream; when its newest was said.
    fn forget_stream(&mut self, id: StreamId) -> u64 {
        let Some(stream) = self.streams.remove(&id) else { return 0 };
        self.early_bytes -= early_cost(&stream.early);
        stream.at
    }

    /// One is for the user's side to show.
    pub(super) fn queued(&mut self, text: &str) {
        self.unshown_bytes += cost_of(text);
    }

    /// The user's side has shown one.
    pub(super) fn shown(&mut self, id: StreamId, number: u64, text: &str) {
        self.unshown_bytes = self.unshown_bytes.saturating_sub(cost_of(text));
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.shown = stream.shown.max(number);
            stream.owed = true;
            self.is_due = true;
        }
    }

    /// What comes before the next number never comes; what of it waits to be shown is.
    pub(super) fn skip(&mut self, id: StreamId, number: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.shown < number {
            (stream.shown, stream.asked, stream.kept) = (number, number, number);
        }
    }

    /// Forgets what nobody can play again any more.
    pub(super) fn clean_up(&mut self, wall: u64) {
        let oldest = wall.saturating_sub(WHISPER_REMEMBERED_MS);
        let early_bytes = &mut self.early_bytes;
        self.streams.retain(|_, stream| {
            let stays = stream.at >= oldest || stream.shown + 1 != stream.next;
            if !stays {
                *early_bytes -= early_cost(&stream.early);
            }
            stays
        });
        self.forgotten.retain(|_, at| *at >= oldest);
        while self.forgotten.len() > WHISPER_STREAMS_MAX / WHISPER_STREAMS_PER_SENDER_MAX {
            let Some((_, at)) = self.forgotten.pop_first() else { break };
            self.forgotten_of_all = at.max(self.forgotten_of_all);
        }
    }
}
