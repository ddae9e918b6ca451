//! From a frame to an arrival: what a reader does before the room hears of it.
//!
//! The check order is by cost: a number seen before is dropped unread, then the record is parsed, then
//! the signature is checked. `Seen` is the one thing that readers share with the router.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::limits::TAILS_MAX;
use crate::wire::end::End;
use crate::wire::frame::Ending;
use crate::wire::record::{self, Channel, Control, Domain, FeedId, Label, Post, Record, RecordError};

use super::Arrival;

#[derive(Debug, Default)]
struct SeenFeed {
    last: u64,
    tails: VecDeque<(u64, u64)>,
}

/// Per feed the last number appended: written by the router, read by readers.
#[derive(Debug, Default)]
pub struct Seen {
    feeds: HashMap<FeedId, SeenFeed>,
}

impl Seen {
    /// Notes that a number was appended; see `Output::Seen`.
    pub fn note(&mut self, feed: FeedId, number: u64, tail: u64) {
        if number == 0 {
            self.feeds.remove(&feed);
            return;
        }
        let seen = self.feeds.entry(feed).or_default();
        seen.last = number;
        if tail != 0 {
            seen.tails.push_back((number, tail));
            if seen.tails.len() > TAILS_MAX {
                seen.tails.pop_front();
            }
        }
    }

    /// Whether a post was seen before, the very same as far as can be told cheaply.
    pub fn is_copy(&self, label: &Label) -> bool {
        let Some(seen) = self.feeds.get(&label.feed) else { return false };
        let other_body = |(number, tail): &(u64, u64)| *number == label.number && *tail != label.tail;
        label.number <= seen.last && !seen.tails.iter().any(other_body)
    }
}

/// Reads a frame. `channel` is that of an encrypted link, on which a hello is proved. `is_copy` asks `Seen`. What
/// is wrong with it says why the link ends.
pub fn read_frame(
    frame: &[u8],
    ending: Ending,
    domain: &Domain,
    channel: Option<&Channel>,
    is_copy: impl FnOnce(&Label) -> bool,
) -> Result<Arrival, (End, RecordError)> {
    if record::is_post(frame) {
        let label = Label::read(frame).ok_or((End::BadRecord, RecordError::Layout))?;
        if is_copy(&label) {
            return Ok(Arrival::Copy { feed: label.feed, number: label.number, bytes: frame.len() });
        }
        let post = Post::decode(frame).map_err(|error| (End::BadRecord, error))?;
        post.verify(domain).map_err(|error| (End::BadSignature, error))?;
        return Ok(Arrival::Post(Arc::new(post)));
    }
    match Record::decode(frame, ending) {
        Ok(Record::Control(Control::Hello(hello))) if channel.is_some_and(|link| !link.is_proved(domain, &hello)) => {
            Err((End::BadIdentity, RecordError::Signature))
        }
        Ok(Record::Control(control)) => Ok(Arrival::Control(control)),
        Ok(Record::Ack(ack)) => Ok(Arrival::Ack(ack)),
        Err(error) => Err((End::BadRecord, error)),
    }
}
