//! What was said earlier: out of the log, which the room has given, and out of the history on disk, which is read by
//! a thread of its own, as it may take a moment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Sender;

use super::speaker::Local;
use crate::history::query::{self, Found};
use crate::limits::RECALLS_MAX;
use crate::room::Wanted;
use crate::wire::record::{Domain, Post};

/// Where the past is looked for.
#[derive(Debug)]
pub(super) struct Recall {
    /// The folder of the history and the room, where there is a history.
    history: Option<(PathBuf, String)>,
    answers: Sender<Local>,
    /// How many searches are under way.
    under_way: usize,
}

impl Recall {
    pub(super) fn new(history: Option<(PathBuf, String)>, answers: Sender<Local>) -> Self {
        Self { history, answers, under_way: 0 }
    }

    /// Answers with `Local::Recalled`, at once where nothing has to be read; or with the answer returned.
    pub(super) fn answer(&mut self, wanted: Wanted, logged: Vec<Arc<Post>>) -> Option<Local> {
        let Some((folder, room)) = self.history.clone() else {
            return Some(Local::Recalled(Box::new(wanted), Found { posts: logged, ..Found::default() }));
        };
        if self.under_way >= RECALLS_MAX {
            return Some(Local::Trouble(format!("{RECALLS_MAX} searches are under way: wait for one of them")));
        }
        let answers = self.answers.clone();
        let look = move || {
            let found = query::newest(&folder, &Domain::of_room(&room), &wanted, false).unwrap_or_else(|error| {
                log::warn!("the history cannot be read: {error}");
                Found::default()
            });
            let posts = merged(found.posts, logged, wanted.last);
            let _ = answers.send(Local::Recalled(Box::new(wanted), Found { posts, ..found }));
        };
        match thread::Builder::new().name("recall".to_owned()).spawn(look) {
            Ok(_) => {
                self.under_way += 1;
                None
            }
            Err(error) => Some(Local::Trouble(format!("the history cannot be searched: {error}"))),
        }
    }

    /// An answer has come.
    pub(super) fn answered(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

/// Those of both, each once, in the order of time; the last ones.
fn merged(kept: Vec<Arc<Post>>, logged: Vec<Arc<Post>>, last: Option<usize>) -> Vec<Arc<Post>> {
    let all: BTreeMap<_, _> =
        kept.into_iter().chain(logged).map(|post| ((post.at, post.feed, post.number), post)).collect();
    let surplus = all.len().saturating_sub(last.unwrap_or(usize::MAX));
    all.into_values().skip(surplus).collect()
}
