//! Remembered rooms: which ones this user has joined by a ticket or a key, what closes each, and where its hosts
//! were, across runs.
//!
//! So nobody founds an open room by the name of a closed one: a name that is remembered with a key means the
//! closed room. Two closed rooms of one name are told apart by the start of a tag behind a `#`, which is made
//! from the secret and says nothing of it. The file belongs to whoever runs hobnob; it holds secrets, so it is read
//! only where nobody else can read it. Only a run that says a room's name looks there.

mod file;
mod memory;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::addr::PeerAddr;
use crate::identity::Id;
use crate::limits::ROOM_TAG_DIGITS_MIN;
use crate::secret::RoomSecret;

pub use file::{ForgetError, forget, load, remember, rooms_path};
pub use memory::Memory;

/// Before the secret and the room's name in what the tag is the hash of.
const TAG_CONTEXT: &str = "hobnob 1 room tag";

/// A room in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Its name.
    pub room: String,
    /// What it is closed with; `None` where it is open.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "key_line")]
    pub key: Option<RoomSecret>,
    /// Through whom it was joined, the latest first.
    #[serde(default)]
    pub hosts: Vec<KnownHost>,
    /// When a run was in it last.
    pub last_used: Timestamp,
    /// What its owner, or a later version, has written beside that.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// A peer through whom a room was joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownHost {
    /// Where.
    pub addr: PeerAddr,
    /// Who has to answer there; `None` is anybody of the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Id>,
}

/// A key as the line that people keep in a file, too.
mod key_line {
    use serde::{Deserialize, Deserializer, Serializer};
    use zeroize::Zeroizing;

    use crate::secret::{RoomKey, RoomSecret};

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(key: &Option<RoomSecret>, serializer: S) -> Result<S::Ok, S::Error> {
        match key {
            Some(secret) => serializer.serialize_str(secret.to_line().as_str()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RoomSecret>, D::Error> {
        let line = Zeroizing::new(String::deserialize(deserializer)?);
        match RoomKey::parse(line.as_bytes()) {
            Ok(RoomKey::Random(secret)) => Ok(Some(secret)),
            Ok(RoomKey::Passphrase(_)) => Err(serde::de::Error::custom("a passphrase is no room key here")),
            Err(error) => Err(serde::de::Error::custom(error)),
        }
    }
}

impl Remembered {
    /// Whether it is the same room, whatever else is known of it.
    pub fn is(&self, room: &str, key: Option<&RoomSecret>) -> bool {
        self.room == room && self.key.as_ref() == key
    }

    /// The tag of a closed room, 64 digits.
    fn tag(&self) -> Option<String> {
        let secret = self.key.as_ref()?;
        let mut hasher = blake3::Hasher::new_derive_key(TAG_CONTEXT);
        hasher.update(secret.bytes()).update(self.room.as_bytes());
        Some(hasher.finalize().to_hex().to_string())
    }
}

/// Why a name does not say which remembered room is meant. Ends the start of the program (exit code 2).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// More than one is.
    #[error("several closed rooms of that name are remembered: say which, as in -r {}", .labels.join(" or -r "))]
    Several {
        /// Each, as it can be named.
        labels: Vec<String>,
    },
    /// The name is there, and none of its rooms has such a tag.
    #[error("no remembered room is called {name}; these are: {}", .labels.join(", "))]
    NoTag {
        /// As it was named.
        name: String,
        /// Those of that name.
        labels: Vec<String>,
    },
}

/// All remembered rooms.
#[derive(Debug, Default)]
pub struct Rooms(Vec<Remembered>);

impl Rooms {
    /// These, the one that was used last first.
    pub fn new(mut rooms: Vec<Remembered>) -> Self {
        rooms.sort_by_key(|room| std::cmp::Reverse(room.last_used));
        Self(rooms)
    }

    /// Each, the one that was used last first.
    pub fn iter(&self) -> impl Iterator<Item = &Remembered> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The room that a name means: the closed one where there is one, by its name or by `NAME#TAG`.
    pub fn find(&self, name: &str) -> Result<Option<&Remembered>, NameError> {
        if let Some(found) = self.one_of(&self.closed(name))? {
            return Ok(Some(found));
        }
        if let Some(open) = self.0.iter().find(|other| other.is(name, None)) {
            return Ok(Some(open));
        }
        let Some((plain, tag)) = name.rsplit_once('#') else { return Ok(None) };
        let is_tag = tag.len() >= ROOM_TAG_DIGITS_MIN && tag.bytes().all(|digit| digit.is_ascii_hexdigit());
        let namesakes = self.closed(plain);
        if !is_tag || namesakes.is_empty() {
            return Ok(None);
        }
        let tag = tag.to_ascii_lowercase();
        let meant = namesakes.iter().filter(|other| other.tag().is_some_and(|whole| whole.starts_with(&tag)));
        let found = self.one_of(&meant.copied().collect::<Vec<_>>())?;
        let labels = || namesakes.iter().map(|other| self.tagged(other)).collect();
        found.map_or_else(|| Err(NameError::NoTag { name: name.to_owned(), labels: labels() }), |found| Ok(Some(found)))
    }

    fn closed(&self, name: &str) -> Vec<&Remembered> {
        self.0.iter().filter(|other| other.room == name && other.key.is_some()).collect()
    }

    fn one_of<'a>(&self, rooms: &[&'a Remembered]) -> Result<Option<&'a Remembered>, NameError> {
        match rooms {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            several => Err(NameError::Several { labels: several.iter().map(|room| self.tagged(room)).collect() }),
        }
    }

    /// How a remembered room is called.
    pub fn label_of(&self, known: &Remembered) -> String {
        self.label(&known.room, known.key.as_ref())
    }

    /// How a room is called: by its name, and with its tag where another closed one has that name.
    pub fn label(&self, room: &str, key: Option<&RoomSecret>) -> String {
        let mut namesakes = self.closed(room).into_iter();
        let is_alone = key.is_none() || !namesakes.any(|other| other.key.as_ref() != key);
        if is_alone {
            return room.to_owned();
        }
        let (hosts, more) = (Vec::new(), BTreeMap::new());
        self.tagged(&Remembered { room: room.to_owned(), key: key.cloned(), hosts, last_used: Timestamp::MIN, more })
    }

    /// The name and as much of the tag as tells it from its namesakes.
    fn tagged(&self, room: &Remembered) -> String {
        let Some(tag) = room.tag() else { return room.room.clone() };
        let others = self.closed(&room.room).into_iter().filter_map(Remembered::tag).filter(|other| *other != tag);
        let alike = |other: String| other.bytes().zip(tag.bytes()).take_while(|(a, b)| a == b).count();
        let digits = others.map(alike).max().map_or(0, |alike| alike + 1).max(ROOM_TAG_DIGITS_MIN);
        format!("{}#{}", room.room, tag.get(..digits).unwrap_or(&tag))
    }
}
