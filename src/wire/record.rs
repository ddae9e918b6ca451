//! Records: what frames mean.
//!
//! A `Post` is signed by its author and travels on as the bytes that arrived. Every other record
//! speaks of one link only, but for `ack`, which is signed too and finds its way back to an author.
//! Everything here checks what a peer sent; what fails closes the link.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use super::Frame;
use super::frame::{EXIT_END, Ending, MESSAGE_END};
use super::strict::{self, Strict};
use crate::identity::{Id, Identity};
use crate::limits::{
    ADDRESSES_PER_NODE_MAX, FEEDS_PER_PAGE_MAX, FRAME_BYTES_MAX, NICK_BYTES_MAX, NUMBER_MAX, ROOM_NAME_BYTES_MAX,
    WHY_BYTES_MAX,
};

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
    /// A post or ack that is not laid out as the protocol says.
    #[error("a signed record that is not laid out as one")]
    Layout,
    /// The signature is not the author's.
    #[error("the signature does not match")]
    Signature,
    /// An exit record with the wrong delimiter, or another record with that of exit.
    #[error("the delimiter does not fit the record")]
    Ending,
}

/// A name for people. Checked once, so whoever holds one need not: 1 to 64 bytes, no white space, no
/// control, format or bidi characters, no `<` or `>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nick(Arc<str>);

impl Nick {
    /// Checks a name. The ranges are written out, so that every version and every language
    /// agrees on them.
    pub fn new(name: &str) -> Result<Self, RecordError> {
        let allowed = |letter: char| {
            !matches!(letter,
                '\0'..=' ' | '<' | '>' | '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
                | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' | '\u{3000}'
                | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
        };
        if name.is_empty() || name.len() > NICK_BYTES_MAX || !name.chars().all(allowed) {
            return Err(RecordError::Bounds("nick"));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Nick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for Nick {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Nick {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// The room as signatures see it: a post is bound to its room's name, so that nobody can carry it
/// into another one.
#[derive(Clone)]
pub struct Domain {
    post: blake3::Hasher,
    ack: blake3::Hasher,
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Domain")
    }
}

impl Domain {
    /// The domain of a room.
    pub fn of_room(room: &str) -> Self {
        let start = |what: &str| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(format!("hobnob {what} 1 {room}\n").as_bytes());
            hasher
        };
        Self { post: start("post"), ack: start("ack") }
    }
}

/// Checks a room's name: 1 to 64 bytes without control characters.
pub fn check_room_name(name: &str) -> Result<(), RecordError> {
    if name.is_empty() || name.len() > ROOM_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(RecordError::Bounds("room name"));
    }
    Ok(())
}

// ---- posts --------------------------------------------------------------------------------

/// How a post's frame begins; the author's 64 digits follow.
const POST_START: &[u8] = br#"{"type":"post","author":""#;

/// How an ack's frame begins.
const ACK_START: &[u8] = br#"{"type":"ack","#;

/// `,"sig":"`, 128 digits, `"}` and the delimiter: how every signed frame ends.
const SIG_START: &[u8] = br#","sig":""#;
const SIG_HEX_BYTES: usize = 128;
const SIG_TAIL_BYTES: usize = SIG_START.len() + SIG_HEX_BYTES + 2 + MESSAGE_END.len();

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

/// What a post says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// A session begins, or renews itself.
    Join {
        /// Where the node accepts peers, as others reach it.
        addresses: Vec<SocketAddr>,
        /// The run ends with its input.
        passing: bool,
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

/// What an author puts into a post; `encode` makes the signed frame of it.
#[derive(Debug, Clone)]
pub enum Draft<'a> {
    /// See `Body::Join`.
    Join {
        /// Where the node accepts peers.
        addresses: &'a [SocketAddr],
        /// The run ends with its input.
        passing: bool,
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
            Draft::Join { addresses, passing } => {
                write_json(out, &serde_json::json!({ "addresses": addresses, "passing": passing }));
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

/// The signed bytes of a frame, and the signature.
fn split_signature(frame: &[u8]) -> Option<(&[u8], [u8; 64])> {
    let (signed, tail) = frame.split_at_checked(frame.len().checked_sub(SIG_TAIL_BYTES)?)?;
    let digits = tail.strip_prefix(SIG_START)?.strip_suffix(MESSAGE_END)?.strip_suffix(br#""}"#)?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut signature = [0; 64];
    hex::decode_to_slice(digits, &mut signature).ok()?;
    Some((signed, signature))
}

/// Closes a record with its signature and delimiter.
fn seal(mut out: Vec<u8>, domain: &blake3::Hasher, identity: &Identity) -> Frame {
    let hash = domain.clone().update(&out).finalize();
    out.extend_from_slice(SIG_START);
    out.extend_from_slice(hex::encode(identity.sign(hash.as_bytes())).as_bytes());
    out.extend_from_slice(br#""}"#);
    out.extend_from_slice(MESSAGE_END);
    out.into()
}

fn check_seal(frame: &[u8], domain: &blake3::Hasher, author: &Id) -> Result<(), RecordError> {
    let (signed, signature) = split_signature(frame).ok_or(RecordError::Layout)?;
    let hash = domain.clone().update(signed).finalize();
    if author.verify(hash.as_bytes(), &signature) { Ok(()) } else { Err(RecordError::Signature) }
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
            Draft::Join { addresses, passing } => Body::Join { addresses: addresses.to_vec(), passing: *passing },
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
        let body = decode_body(fields.kind, fields.body.get(), offset)?;
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

/// A post's fields as they stand in JSON, with unknown ones skipped and none taken twice.
struct PostFields<'a> {
    at: u64,
    nick: Nick,
    ack: bool,
    kind: &'a str,
    body: &'a RawValue,
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
        let mut keys: Vec<String> = Vec::with_capacity(10);
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(repeated(&key));
            }
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
            if keys.len() == POST_FIELDS_MAX {
                return Err(serde::de::Error::custom("too many fields"));
            }
            keys.push(key);
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

/// Fields of a post or of a say's body. Ours have ten; later versions may add some.
const POST_FIELDS_MAX: usize = 64;

fn repeated<E: serde::de::Error>(key: &str) -> E {
    E::custom(format_args!("the key {key:?} twice"))
}

fn decode_body(kind: &str, json: &str, offset: usize) -> Result<Body, RecordError> {
    if kind == "say" {
        return decode_say(json, offset);
    }
    let value = strict::parse(json, 1)?;
    if !value.is_object() {
        return Err(RecordError::Bounds("body"));
    }
    match kind {
        "join" => {
            let JoinBody { addresses, passing } = serde_json::from_value(value)?;
            if addresses.len() > ADDRESSES_PER_NODE_MAX {
                return Err(RecordError::Bounds("addresses"));
            }
            Ok(Body::Join { addresses, passing })
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
    let start = offset + (text.as_ptr().addr() - json.as_ptr().addr());
    Ok(Body::Say { text: start..start + text.len(), action: body.action, part: body.part })
}

#[derive(Deserialize)]
struct JoinBody {
    addresses: Vec<SocketAddr>,
    #[serde(default)]
    passing: bool,
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
        let mut keys: Vec<String> = Vec::with_capacity(4);
        while let Some(key) = entries.next_key::<String>()? {
            if keys.contains(&key) {
                return Err(repeated(&key));
            }
            match key.as_str() {
                "text" => text = Some(entries.next_value()?),
                "action" => action = Some(entries.next_value()?),
                "part" => part = Some(entries.next_value()?),
                _ => {
                    entries.next_value_seed(Strict::below(2))?;
                }
            }
            if keys.len() == POST_FIELDS_MAX {
                return Err(serde::de::Error::custom("too many fields"));
            }
            keys.push(key);
        }
        Ok(SayBody {
            text: text.ok_or_else(|| serde::de::Error::missing_field("text"))?,
            action: action.unwrap_or(false),
            part: part.unwrap_or(false),
        })
    }
}

// ---- acks ---------------------------------------------------------------------------------

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

    fn decode(frame: &[u8], value: Value) -> Result<Self, RecordError> {
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

// ---- what is said on a link only ------------------------------------------------------------

/// A record that speaks of one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Control {
    /// The first record each way: who is there.
    Hello(Hello),
    /// A page of what the sender has seen: feeds and their last numbers.
    Have {
        /// (author, session, last number)
        feeds: Vec<Entry>,
    },
    /// The pages of `have` end here.
    Done {},
    /// Open this feed from this number on.
    Want {
        /// Whose feed,
        author: Id,
        /// of which session,
        session: u64,
        /// from which number.
        from: u64,
        /// Say so (`news`) if there is nothing from there on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        answer: bool,
    },
    /// Send no more of this feed; tell its newest number.
    Quiet {
        /// Whose feed,
        author: Id,
        /// of which session.
        session: u64,
    },
    /// The newest numbers of quiet feeds.
    News {
        /// (author, session, newest number)
        feeds: Vec<Entry>,
    },
    /// The sender does not have these posts of a feed.
    Gap {
        /// Whose feed,
        author: Id,
        /// of which session,
        session: u64,
        /// the first number missing
        from: u64,
        /// and the last.
        to: u64,
    },
    /// Are you there?
    Ping {
        /// Comes back in the pong.
        token: u64,
    },
    /// Yes.
    Pong {
        /// From the ping.
        token: u64,
    },
    /// The last record of a link.
    Exit {
        /// Why: one of the words of `End`.
        reason: String,
        /// The same for people.
        #[serde(default)]
        text: String,
    },
    /// A kind of a later version. Skipped.
    #[serde(other)]
    Unknown,
}

/// A feed and a number of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry(pub Id, pub u64, pub u64);

impl Entry {
    /// The feed.
    pub fn feed(&self) -> FeedId {
        FeedId { author: self.0, session: self.1 }
    }
}

/// The first record on a link: who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol's version.
    pub version: u64,
    /// Who.
    pub id: Id,
    /// Which run of that identity.
    pub session: u64,
    /// The room's name.
    pub room: String,
    /// `mesh`, and later `hub`.
    pub mode: String,
    /// The sender's name.
    pub nick: Nick,
    /// As whom the sender sees the other side.
    pub seen: IpAddr,
    /// Whether the sender accepts peers: such links are shared out, others are kept.
    pub listens: bool,
}

impl Hello {
    /// The sender's session.
    pub fn feed(&self) -> FeedId {
        FeedId { author: self.id, session: self.session }
    }
}

fn check_number(number: u64, name: &'static str) -> Result<u64, RecordError> {
    if (1..=NUMBER_MAX).contains(&number) { Ok(number) } else { Err(RecordError::Bounds(name)) }
}

impl Control {
    /// The frame of a record.
    pub fn encode(&self) -> Frame {
        let mut out = Vec::with_capacity(128);
        write_json(&mut out, self);
        let exit = matches!(self, Control::Exit { .. });
        out.extend_from_slice(if exit { EXIT_END.as_slice() } else { MESSAGE_END.as_slice() });
        out.into()
    }

    fn check(self) -> Result<Self, RecordError> {
        match &self {
            Control::Hello(hello) => {
                check_number(hello.session, "session")?;
                if hello.version > NUMBER_MAX {
                    return Err(RecordError::Bounds("version"));
                }
                check_room_name(&hello.room)?;
            }
            Control::Have { feeds } | Control::News { feeds } => {
                if feeds.len() > FEEDS_PER_PAGE_MAX {
                    return Err(RecordError::Bounds("feeds"));
                }
                for Entry(_, session, number) in feeds {
                    check_number(*session, "session")?;
                    if *number > NUMBER_MAX {
                        return Err(RecordError::Bounds("number"));
                    }
                }
            }
            Control::Want { session, from, .. } => {
                check_number(*session, "session")?;
                check_number(*from, "from")?;
            }
            Control::Quiet { session, .. } => {
                check_number(*session, "session")?;
            }
            Control::Gap { session, from, to, .. } => {
                check_number(*session, "session")?;
                check_number(*from, "from")?;
                check_number(*to, "to")?;
                if from > to {
                    return Err(RecordError::Bounds("gap"));
                }
            }
            Control::Exit { reason, text } if reason.len() + text.len() > WHY_BYTES_MAX => {
                return Err(RecordError::Bounds("exit"));
            }
            _ => {}
        }
        Ok(self)
    }
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

// ---- JSON without '<' -----------------------------------------------------------------------

/// `serde_json`'s compact output with `<` inside strings written as `\u003c`.
struct NoDelimiter;

impl serde_json::ser::Formatter for NoDelimiter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment.as_bytes();
        while let Some(index) = memchr::memchr(b'<', rest) {
            let (before, after) = rest.split_at(index);
            writer.write_all(before)?;
            writer.write_all(br"\u003c")?;
            rest = after.get(1..).unwrap_or_default();
        }
        writer.write_all(rest)
    }
}

fn write_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let mut serializer = serde_json::Serializer::with_formatter(out, NoDelimiter);
    value.serialize(&mut serializer).expect("records serialize into memory");
}

/// How many bytes a text takes inside a frame's JSON string, quotes not counted.
pub fn encoded_bytes(text: &str) -> usize {
    text.bytes().map(encoded_byte_bytes).sum()
}

/// How many bytes one byte of UTF-8 takes inside a frame's JSON string.
pub fn encoded_byte_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 | b'<' => 6,
        _ => 1,
    }
}

const _: () = assert!(SIG_TAIL_BYTES < FRAME_BYTES_MAX, "a signature fits a frame");
