//! Posts: the signed records that belong to the room.
//!
//! A post's frame begins with its label (author, session, number), always laid out the same, so that
//! a copy is known before anything is parsed.

use std::net::SocketAddr;
use std::ops::Range;

use serde::Serialize;

use super::super::Frame;
use super::super::frame::MESSAGE_END;
use super::super::seal::SealingKey;
use super::body::{self, Body, PostFields};
use super::json::write_json;
use super::seal::{Domain, check_seal, seal, split_signature};
use super::{FeedId, Nick, RecordError};
use crate::identity::{Id, Identity};
use crate::limits::NUMBER_MAX;

/// How a post's frame begins; the author's 64 digits follow.
const POST_START: &[u8] = br#"{"type":"post","author":""#;

/// A signed record that belongs to the room.
#[derive(Debug, Clone)]
pub struct Post {
    /// Whose it is.
    pub feed: FeedId,
    /// Its place in the feed, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970 by the author's hybrid logical clock.
    pub at: u64,
    /// The author's name then.
    pub nick: Nick,
    /// Whether the author asks every member for an `ack`.
    pub ack: bool,
    /// What it says.
    pub body: Body,
    /// The bytes as sent, delimiter included.
    pub frame: Frame,
}

/// What an author puts into a post; `encode` makes the signed frame of it.
#[derive(Debug, Clone)]
pub enum Draft<'a> {
    /// See `Body::Join`.
    Join {
        /// Where the node accepts peers.
        addresses: &'a [SocketAddr],
        /// The run ends with its input.
        passing: bool,
        /// How much it wants to be the hub, where that was said.
        rank: Option<u8>,
        /// What whispers to it are sealed to.
        sealing: Option<SealingKey>,
        /// Whoever sits there is away, and why.
        away: Option<&'a str>,
    },
    /// See `Body::Say`.
    Say {
        /// The text.
        text: &'a str,
        /// `/me`.
        action: bool,
        /// The next say continues the line.
        part: bool,
    },
    /// See `Body::Nick`.
    Nick,
    /// See `Body::Leave`.
    Leave {
        /// A word of goodbye.
        why: &'a str,
    },
    /// See `Body::Lost`.
    Lost {
        /// Who.
        feed: FeedId,
        /// The last number known.
        last: u64,
    },
    /// See `Body::Mark`.
    Mark,
}

impl Draft<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Draft::Join { .. } => "join",
            Draft::Say { .. } => "say",
            Draft::Nick => "nick",
            Draft::Leave { .. } => "leave",
            Draft::Lost { .. } => "lost",
            Draft::Mark => "mark",
        }
    }

    /// Writes the body; returns where the text of a say stands in it.
    fn write_body(&self, out: &mut Vec<u8>) -> Range<usize> {
        let mut text_range = 0..0;
        match self {
            Draft::Join { addresses, passing, rank, sealing, away } => {
                write_json(
                    out,
                    &JoinBody { addresses, away: *away, passing: *passing, rank: *rank, sealing: *sealing },
                );
            }
            Draft::Say { text, action, part } => {
                out.extend_from_slice(br#"{"text":"#);
                text_range.start = out.len();
                write_json(out, text);
                text_range.end = out.len();
                for (name, set) in [("action", *action), ("part", *part)] {
                    if set {
                        out.extend_from_slice(format!(r#","{name}":true"#).as_bytes());
                    }
                }
                out.push(b'}');
            }
            Draft::Nick | Draft::Mark => out.extend_from_slice(b"{}"),
            Draft::Leave { why } => write_json(out, &serde_json::json!({ "why": why })),
            Draft::Lost { feed, last } => {
                let body = serde_json::json!({ "author": feed.author, "session": feed.session, "last": last });
                write_json(out, &body);
            }
        }
        text_range
    }
}

/// The body of a join as it is written, in the order of its keys.
#[derive(Serialize)]
struct JoinBody<'a> {
    addresses: &'a [SocketAddr],
    #[serde(skip_serializing_if = "Option::is_none")]
    away: Option<&'a str>,
    passing: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealing: Option<SealingKey>,
}

/// The parts of a post that every kind has.
#[derive(Debug, Clone)]
pub struct Header<'a> {
    /// Whose it is.
    pub feed: FeedId,
    /// Its place in the feed.
    pub number: u64,
    /// When.
    pub at: u64,
    /// The author's name.
    pub nick: &'a Nick,
    /// Whether members are asked for an `ack`.
    pub ack: bool,
}

/// The start of a post's frame, read without parsing the rest: enough to drop a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Whose post it is.
    pub feed: FeedId,
    /// Which.
    pub number: u64,
    /// The last eight bytes of the signature: two bodies under one number differ here.
    pub tail: u64,
}

/// Whether a frame claims to be a post. One that does and has no `Label` closes the link.
pub fn is_post(frame: &[u8]) -> bool {
    frame.starts_with(br#"{"type":"post""#)
}

impl Label {
    /// Reads the fixed start of a post's frame. `None` where it is not laid out so.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (author, rest) = frame.strip_prefix(POST_START)?.split_at_checked(64)?;
        let (session, rest) = read_number(rest.strip_prefix(br#"","session":"#)?)?;
        let (number, rest) = read_number(rest.strip_prefix(br#","number":"#)?)?;
        if rest.first() != Some(&b',') {
            return None;
        }
        let (_, tail) = split_signature(frame)?;
        let tail = tail.last_chunk()?;
        Some(Self { feed: FeedId { author: Id::from_hex(author)?, session }, number, tail: u64::from_le_bytes(*tail) })
    }
}

/// A decimal number from 1 to `NUMBER_MAX` as JSON writes it, and what follows it.
fn read_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at_checked(digits)?;
    if digits == 0 || digits > 16 || number.first() == Some(&b'0') {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    (number <= NUMBER_MAX).then_some((number, rest))
}

impl Post {
    /// Numbers, signs and frames a draft. The frame may be too long for the wire only where the text
    /// was longer than `SAY_TEXT_BYTES_MAX` encoded.
    pub fn encode(header: &Header<'_>, draft: &Draft<'_>, domain: &Domain, identity: &Identity) -> Self {
        let text_bytes = if let Draft::Say { text, .. } = draft { text.len() } else { 0 };
        let mut out = Vec::with_capacity(text_bytes + text_bytes / 16 + 640);
        out.extend_from_slice(POST_START);
        let FeedId { author, session } = header.feed;
        out.extend_from_slice(
            format!(r#"{author}","session":{session},"number":{},"at":{},"nick":"#, header.number, header.at)
                .as_bytes(),
        );
        write_json(&mut out, header.nick.as_str());
        if header.ack {
            out.extend_from_slice(br#","ack":true"#);
        }
        out.extend_from_slice(format!(r#","kind":"{}","body":"#, draft.kind()).as_bytes());
        let text = draft.write_body(&mut out);
        let body = match draft {
            Draft::Join { addresses, passing, rank, sealing, away } => Body::Join {
                addresses: addresses.to_vec(),
                passing: *passing,
                rank: *rank,
                sealing: *sealing,
                away: away.map(str::to_owned),
            },
            Draft::Say { action, part, .. } => Body::Say { text, action: *action, part: *part },
            Draft::Nick => Body::Nick,
            Draft::Leave { why } => Body::Leave { why: (*why).to_owned() },
            Draft::Lost { feed, last } => Body::Lost { feed: *feed, last: *last },
            Draft::Mark => Body::Mark,
        };
        let frame = seal(out, &domain.post, identity);
        Self {
            feed: header.feed,
            number: header.number,
            at: header.at,
            nick: header.nick.clone(),
            ack: header.ack,
            body,
            frame,
        }
    }

    /// Reads a post's frame without checking the signature.
    pub fn decode(frame: &[u8]) -> Result<Self, RecordError> {
        let label = Label::read(frame).ok_or(RecordError::Layout)?;
        let text = frame.strip_suffix(MESSAGE_END).ok_or(RecordError::Ending)?;
        let text = std::str::from_utf8(text).map_err(|_| RecordError::NotText)?;
        let fields: PostFields<'_> = serde_json::from_str(text)?;
        if fields.at > NUMBER_MAX {
            return Err(RecordError::Bounds("at"));
        }
        let offset = fields.body.get().as_ptr().addr() - frame.as_ptr().addr();
        let body = body::decode(fields.kind, fields.body.get(), offset)?;
        let Label { feed, number, .. } = label;
        Ok(Self { feed, number, at: fields.at, nick: fields.nick, ack: fields.ack, body, frame: frame.into() })
    }

    /// Checks that the author signed these bytes for this room.
    pub fn verify(&self, domain: &Domain) -> Result<(), RecordError> {
        check_seal(&self.frame, &domain.post, &self.feed.author)
    }

    /// The text of a say; of anything else nothing.
    pub fn text(&self) -> String {
        let Body::Say { text, .. } = &self.body else { return String::new() };
        let json = self.frame.get(text.clone()).unwrap_or_default();
        // `decode` has parsed the very same bytes as a string.
        serde_json::from_slice(json).unwrap_or_default()
    }

    /// What it costs to keep.
    pub fn kept_bytes(&self) -> usize {
        self.frame.len() + crate::limits::POST_OVERHEAD_BYTES
    }
}
