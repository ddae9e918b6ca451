//! Whispers on their way: what relays see of a private message, and nothing else.
//!
//! An envelope names its addressee and what is sealed for it. It is not signed: whoever carries it can drop or damage it,
//! and what is inside proves itself. A trace asks where a way leads; each node on it adds its name.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

use super::control::present;
use super::{FeedId, RecordError, check_number};
use crate::identity::Id;
use crate::limits::{SEALED_TEXT_BYTES_MAX, WHISPER_HOPS_MAX};

/// Sealed bytes as they stand in a record: base64 with padding (RFC 4648, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed(Arc<str>);

impl Serialize for Sealed {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Sealed {
    /// Writes bytes down.
    pub fn of(bytes: &[u8]) -> Self {
        Self(data_encoding::BASE64.encode(bytes).into())
    }

    /// The bytes; `None` where the text is no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        data_encoding::BASE64.decode(self.0.as_bytes()).ok()
    }

    /// How long the text is.
    pub fn text_bytes(&self) -> usize {
        self.0.len()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Sealed {
    /// Only letters of base64: relays pass on no text of somebody's choice.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        if text.len() > SEALED_TEXT_BYTES_MAX || !text.bytes().all(is_letter) {
            return Err(serde::de::Error::custom("not base64, or too long"));
        }
        Ok(Self(text.into()))
    }
}

/// Something private on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Whom it is for,
    pub to: Id,
    /// and in which session.
    pub session: u64,
    /// Over how many links it may still go. Each relay takes one off.
    pub hops: u8,
    /// It goes over all links, not along one way; each node passes on each such number once.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub flood: Option<u64>,
    /// What only the addressee reads.
    pub sealed: Sealed,
}

impl Envelope {
    /// Whom it is for.
    pub fn addressee(&self) -> FeedId {
        FeedId { author: self.to, session: self.session }
    }

    pub(super) fn check(&self) -> Result<(), RecordError> {
        check_number(self.session, "session")?;
        check_hops(self.hops)?;
        self.flood.map_or(Ok(0), |flood| check_number(flood, "flood")).map(|_| ())
    }
}

/// Which way leads to somebody? It goes there as an envelope would, and comes back over the nodes that it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The asker's number for it.
    pub token: u64,
    /// To whom,
    pub to: Id,
    /// in which session.
    pub session: u64,
    /// The asker, and each node that has passed it on; at the end the addressee.
    pub path: Vec<Id>,
    /// It is on its way back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub back: bool,
}

impl Trace {
    /// Where it leads.
    pub fn addressee(&self) -> FeedId {
        FeedId { author: self.to, session: self.session }
    }

    pub(super) fn check(&self) -> Result<(), RecordError> {
        check_number(self.token, "token")?;
        check_number(self.session, "session")?;
        // The asker stands before the first link.
        if self.path.is_empty() || self.path.len() > usize::from(WHISPER_HOPS_MAX) + 1 {
            return Err(RecordError::Bounds("path"));
        }
        Ok(())
    }
}

fn check_hops(hops: u8) -> Result<(), RecordError> {
    if (1..=WHISPER_HOPS_MAX).contains(&hops) { Ok(()) } else { Err(RecordError::Bounds("hops")) }
}
