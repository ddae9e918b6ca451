//! What a post says, and how it is read from JSON that nobody vouches for.
//!
//! The text of a say can fill a frame, so it is checked in place and not copied; it stays in the
//! frame until it is shown. No key may be there twice, at any depth.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::seal::SealingKey;
use super::super::strict::{self, Strict};
use super::control::present;
use super::{FeedId, Nick, RecordError, check_number};
use crate::identity::Id;
use crate::limits::{ADDRESSES_PER_NODE_MAX, POST_FIELDS_MAX, SAY_TEXT_BYTES_MAX, WHY_BYTES_MAX};

/// What a post says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A session begins, or renews itself.
    Join {
        /// Where the node accepts peers, as others reach it.
        addresses: Vec<SocketAddr>,
        /// The run ends with its input.
        passing: bool,
        /// How much it wants to be the hub, where that was said; 0 is never.
        rank: Option<u8>,
        /// What whispers to it are sealed to; one of an earlier version cannot be whispered to.
        sealing: Option<SealingKey>,
        /// Whoever sits there is away, and why, where that was said.
        away: Option<String>,
    },
    /// Somebody says something. The text stays in the frame until it is shown.
    Say {
        /// Where in the frame the JSON string stands.
        text: Range<usize>,
        /// `/me`: the author does it rather than says it.
        action: bool,
        /// The next say continues this one's last line.
        part: bool,
    },
    /// The author's name is another one from here on; it stands in the post's nick.
    Nick,
    /// The session ends.
    Leave {
        /// A word of goodbye.
        why: String,
    },
    /// The author's node found that somebody vanished.
    Lost {
        /// Who.
        feed: FeedId,
        /// That session's last number known to the author.
        last: u64,
    },
    /// Nothing but a request for `ack`s.
    Mark,
    /// A kind of a later version: kept and passed on, not shown.
    Unknown,
}

pub(super) fn decode(kind: &str, json: &str, offset: usize) -> Result<Body, RecordError> {
    if kind == "say" {
        return decode_say(json, offset);
    }
    let value = strict::parse(json, 1)?;
    if !value.is_object() {
        return Err(RecordError::Bounds("body"));
    }
    match kind {
        "join" => {
            let JoinBody { addresses, passing, rank, sealing, away } = serde_json::from_value(value)?;
            if addresses.len() > ADDRESSES_PER_NODE_MAX {
                return Err(RecordError::Bounds("addresses"));
            }
            if away.as_ref().is_some_and(|why: &String| why.len() > WHY_BYTES_MAX) {
                return Err(RecordError::Bounds("away"));
            }
            Ok(Body::Join { addresses, passing, rank, sealing, away })
        }
        "nick" => Ok(Body::Nick),
        "mark" => Ok(Body::Mark),
        "leave" => {
            let LeaveBody { why } = serde_json::from_value(value)?;
            if why.len() > WHY_BYTES_MAX {
                return Err(RecordError::Bounds("why"));
            }
            Ok(Body::Leave { why })
        }
        "lost" => {
            let LostBody { author, session, last } = serde_json::from_value(value)?;
            let feed = FeedId { author, session: check_number(session, "session")? };
            Ok(Body::Lost { feed, last: check_number(last, "last")? })
        }
        _ => Ok(Body::Unknown),
    }
}

/// A say's text can fill a frame, so it is checked in place and not copied.
fn decode_say(json: &str, offset: usize) -> Result<Body, RecordError> {
    let body: SayBody<'_> = serde_json::from_str(json)?;
    let text = body.text.get();
    // A string without `\u` cannot name half a surrogate pair, the one thing that skipping over
    // a string does not check.
    if !text.starts_with('"') || memchr::memmem::find(text.as_bytes(), br"\u").is_some() {
        serde_json::from_str::<String>(text)?;
    }
    if text.len() > SAY_TEXT_BYTES_MAX + 2 {
        return Err(RecordError::Bounds("text"));
    }
    let start = offset + (text.as_ptr().addr() - json.as_ptr().addr());
    Ok(Body::Say { text: start..start + text.len(), action: body.action, part: body.part })
}

#[derive(Deserialize)]
struct JoinBody {
    addresses: Vec<SocketAddr>,
    #[serde(default)]
    passing: bool,
    #[serde(default, deserialize_with = "present")]
    rank: Option<u8>,
    #[serde(default, deserialize_with = "present")]
    sealing: Option<SealingKey>,
    #[serde(default, deserialize_with = "present")]
    away: Option<String>,
}

#[derive(Deserialize)]
struct LeaveBody {
    #[serde(default)]
    why: String,
}

#[derive(Deserialize)]
struct LostBody {
    author: Id,
    session: u64,
    last: u64,
}

/// A post's fields as they stand in JSON, with unknown ones skipped and none taken twice.
pub(super) struct PostFields<'a> {
    pub(super) at: u64,
    pub(super) nick: Nick,
    pub(super) ack: bool,
    pub(super) kind: &'a str,
    pub(super) body: &'a RawValue,
}

impl<'de: 'a, 'a> Deserialize<'de> for PostFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PostVisitor)
    }
}

struct PostVisitor;

impl<'de> Visitor<'de> for PostVisitor {
    type Value = PostFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a post")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut at, mut nick, mut ack, mut kind, mut body) = (None, None, None, None, None);
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key::<String>()? {
            keys.note(&key)?;
            match key.as_str() {
                "at" => at = Some(entries.next_value()?),
                "nick" => nick = Some(entries.next_value()?),
                "ack" => ack = Some(entries.next_value()?),
                "kind" => kind = Some(entries.next_value()?),
                "body" => body = Some(entries.next_value()?),
                // The label has read these three, and the signature covers its own place.
                "type" | "author" | "session" | "number" | "sig" => {
                    entries.next_value::<IgnoredAny>()?;
                }
                _ => {
                    entries.next_value_seed(Strict::below(1))?;
                }
            }
        }
        let missing = |name| move || serde::de::Error::missing_field(name);
        Ok(PostFields {
            at: at.ok_or_else(missing("at"))?,
            nick: nick.ok_or_else(missing("nick"))?,
            ack: ack.unwrap_or(false),
            kind: kind.ok_or_else(missing("kind"))?,
            body: body.ok_or_else(missing("body"))?,
        })
    }
}

/// The keys of an object so far: none may come twice, and there cannot be many.
#[derive(Default)]
struct Keys(Vec<String>);

impl Keys {
    fn note<E: serde::de::Error>(&mut self, key: &str) -> Result<(), E> {
        if self.0.iter().any(|known| known == key) {
            return Err(E::custom(format_args!("the key {key:?} twice")));
        }
        if self.0.len() == POST_FIELDS_MAX {
            return Err(E::custom("too many fields"));
        }
        self.0.push(key.to_owned());
        Ok(())
    }
}

struct SayBody<'a> {
    text: &'a RawValue,
    action: bool,
    part: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for SayBody<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SayVisitor)
    }
}

struct SayVisitor;

impl<'de> Visitor<'de> for SayVisitor {
    type Value = SayBody<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of a say")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut text, mut action, mut part) = (None, None, None);
        let mut keys = Keys::default();
        while let Some(key) = entries.next_key::<String>()? {
            keys.note(&key)?;
            match key.as_str() {
                "text" => text = Some(entries.next_value()?),
                "action" => action = Some(entries.next_value()?),
                "part" => part = Some(entries.next_value()?),
                _ => {
                    entries.next_value_seed(Strict::below(2))?;
                }
            }
        }
        Ok(SayBody {
            text: text.ok_or_else(|| serde::de::Error::missing_field("text"))?,
            action: action.unwrap_or(false),
            part: part.unwrap_or(false),
        })
    }
}
