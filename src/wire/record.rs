//! Records: what frames mean.
//!
//! A `Post` is signed by its author and travels on as the bytes that arrived. Every other record
//! speaks of one link only, but for `Ack`, which is signed too and finds its way back to an author.
//! Everything here checks what a peer sent; what fails closes the link.

use serde_json::Value;
use thiserror::Error;

use super::frame::{EXIT_END, Ending, MESSAGE_END};
use super::strict;
use crate::identity::Id;
use crate::limits::{NUMBER_MAX, ROOM_NAME_BYTES_MAX};

mod ack;
mod body;
mod control;
mod hub;
mod json;
mod nick;
mod post;
mod proof;
mod seal;
mod whisper;

pub use ack::Ack;
pub use body::Body;
pub use control::{Control, Entry, Hello, Mode};
pub use hub::{Beat, Claim, Handover};
pub use json::{encoded_byte_bytes, encoded_bytes};
pub use nick::Nick;
pub use post::{Draft, Header, Label, Post, is_post};
pub use proof::{Channel, Proof};
pub use seal::Domain;
pub use whisper::{Envelope, Sealed, Trace};

pub(super) use json::write_json;

/// The version of the protocol that this program speaks.
pub const VERSION: u64 = 1;

/// One author's posts of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeedId {
    /// Who writes it.
    pub author: Id,
    /// Which of the author's runs; random.
    pub session: u64,
}

/// What is wrong with a record. Each closes the link.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    NotText,
    /// Not JSON, nested too deep, a repeated key, a missing field or one of a wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A value outside what the field may hold.
    #[error("{0} out of bounds")]
    Bounds(&'static str),
    /// No object, or a post or ack that is not laid out as the protocol says.
    #[error("not laid out as a record")]
    Layout,
    /// The signature is not the author's.
    #[error("the signature does not match")]
    Signature,
    /// An exit record with the wrong delimiter, or another record with that of exit.
    #[error("the delimiter does not fit the record")]
    Ending,
}

/// Checks a room's name: 1 to 64 bytes without control characters.
pub fn check_room_name(name: &str) -> Result<(), RecordError> {
    if name.is_empty() || name.len() > ROOM_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(RecordError::Bounds("room name"));
    }
    Ok(())
}

fn check_number(number: u64, name: &'static str) -> Result<u64, RecordError> {
    if (1..=NUMBER_MAX).contains(&number) { Ok(number) } else { Err(RecordError::Bounds(name)) }
}

/// What a frame that is no post holds.
#[derive(Debug, Clone)]
pub enum Record {
    /// For this link.
    Control(Control),
    /// For an author.
    Ack(Ack),
}

impl Record {
    /// Reads a frame that is no post. The signature of an ack is left to its author.
    pub fn decode(frame: &[u8], ending: Ending) -> Result<Self, RecordError> {
        let delimiter = if ending == Ending::Exit { EXIT_END.as_slice() } else { MESSAGE_END.as_slice() };
        let text = frame.strip_suffix(delimiter).ok_or(RecordError::Ending)?;
        let text = std::str::from_utf8(text).map_err(|_| RecordError::NotText)?;
        let value = strict::parse(text, 0)?;
        // A record could be read from an array, too.
        if !value.is_object() {
            return Err(RecordError::Layout);
        }
        match value.get("type").and_then(Value::as_str) {
            Some("ack") if ending == Ending::Message => return Ok(Record::Ack(Ack::decode(frame, value)?)),
            // A real one begins with its label and does not come here.
            Some("ack" | "post") => return Err(RecordError::Layout),
            _ => {}
        }
        let control: Control = serde_json::from_value(value)?;
        if matches!(control, Control::Exit { .. }) != (ending == Ending::Exit) {
            return Err(RecordError::Ending);
        }
        Ok(Record::Control(control.check()?))
    }
}
