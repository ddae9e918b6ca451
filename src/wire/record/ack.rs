//! A member's word that it holds what an author said.

use serde::Deserialize;
use serde_json::Value;

use super::super::Frame;
use super::seal::{Domain, check_seal, seal, split_signature};
use super::{FeedId, RecordError, check_number};
use crate::identity::{Id, Identity};

/// How an ack's frame begins.
const ACK_START: &[u8] = br#"{"type":"ack","#;

/// A member's word that it holds a feed's posts.
#[derive(Debug, Clone)]
pub struct Ack {
    /// The feed that is acknowledged.
    pub feed: FeedId,
    /// The session that holds it.
    pub member: FeedId,
    /// The first number from which nothing is missing.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// The bytes as sent.
    pub frame: Frame,
}

#[derive(Deserialize)]
struct AckFields {
    author: Id,
    session: u64,
    member: Id,
    member_session: u64,
    first: u64,
    last: u64,
}

impl Ack {
    /// Signs and frames an ack.
    pub fn encode(feed: FeedId, member: FeedId, held: (u64, u64), domain: &Domain, identity: &Identity) -> Self {
        let (first, last) = held;
        let mut out = ACK_START.to_vec();
        out.extend_from_slice(
            format!(
                r#""author":"{}","session":{},"member":"{}","member_session":{},"first":{first},"last":{last}"#,
                feed.author, feed.session, member.author, member.session
            )
            .as_bytes(),
        );
        let frame = seal(out, &domain.ack, identity);
        Self { feed, member, first, last, frame }
    }

    pub(super) fn decode(frame: &[u8], value: Value) -> Result<Self, RecordError> {
        if !frame.starts_with(ACK_START) || split_signature(frame).is_none() {
            return Err(RecordError::Layout);
        }
        let fields: AckFields = serde_json::from_value(value)?;
        Ok(Self {
            feed: FeedId { author: fields.author, session: check_number(fields.session, "session")? },
            member: FeedId { author: fields.member, session: check_number(fields.member_session, "session")? },
            first: check_number(fields.first, "first")?,
            last: check_number(fields.last, "last")?,
            frame: frame.into(),
        })
    }

    /// Checks that the member signed these bytes for this room.
    pub fn verify(&self, domain: &Domain) -> Result<(), RecordError> {
        check_seal(&self.frame, &domain.ack, &self.member.author)
    }
}
