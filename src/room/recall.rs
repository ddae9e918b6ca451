//! What was said earlier, as somebody asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::RECALLED_BYTES_MAX;
use crate::wire::record::{Body, Post};

use super::Room;
use super::event::Event;

/// Which messages are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The newest ones, at most so many.
    pub last: Option<usize>,
    /// Said then or later, in milliseconds since 1970.
    pub since: Option<u64>,
    /// Each of these stands in the text or is the nick, in small letters.
    pub words: Vec<String>,
    /// Not said by any of these.
    pub without: BTreeSet<Id>,
}

impl Wanted {
    /// Whether a post is one of them, if there are not too many.
    pub fn takes(&self, post: &Post) -> bool {
        if !matches!(post.body, Body::Say { .. }) || self.since.is_some_and(|since| post.at < since) {
            return false;
        }
        if self.without.contains(&post.feed.author) {
            return false;
        }
        if self.words.is_empty() {
            return true;
        }
        let (text, nick) = (post.text().to_lowercase(), post.nick.as_str().to_lowercase());
        self.words.iter().all(|word| text.contains(word.as_str()) || nick == *word)
    }
}

impl Room {
    /// Gives those of the log, oldest first.
    pub(super) fn recall(&self, wanted: &Wanted) -> Event {
        let mut bytes = 0;
        let fits = |post: &&Arc<Post>| {
            bytes += post.frame.len();
            bytes <= RECALLED_BYTES_MAX
        };
        let found = self.log.newest_first().filter(|post| wanted.takes(post)).take_while(fits);
        let mut found: Vec<Arc<Post>> = found.take(wanted.last.unwrap_or(usize::MAX)).map(Arc::clone).collect();
        found.reverse();
        Event::Recalled(found)
    }
}
