//! From the disk into the room, at the start of a run: the newest posts, as many as a log holds, and beyond them which
//! number each feed had reached, so that nothing is fetched and shown again.
//!
//! Nothing from a disk is believed: each post that goes into the room was signed by its author for this room. That is
//! the costly part, and done by all cores.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::back::LinesBack;
use super::line;
use crate::identity::Id;
use crate::limits::{FEEDS_MAX, HISTORY_SCAN_BYTES_MAX, LOG_BYTES_MAX, POST_AGE_MS_MAX, POST_AHEAD_MS_MAX};
use crate::room::Past;
use crate::wire::record::{Domain, FeedId, Post};

/// What is checked at once: enough for all cores, little enough that not much is checked in vain.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// What a line turned out to be.
enum Checked {
    Post(Arc<Post>),
    /// Older than the room keeps, or from the far future.
    Untimely(Box<Post>),
    Damaged,
}

/// What was read so far, newest first.
struct Loading<'a> {
    lines: LinesBack,
    domain: &'a Domain,
    me: Id,
    wall: u64,
    /// What the time is at least: something that this identity has signed then is there, and a machine's clock may be
    /// behind when it starts.
    no_earlier: u64,
    posts: Vec<Arc<Post>>,
    kept_bytes: usize,
    ends: Vec<Arc<Post>>,
    /// The newest untimely post of each author: it was shown, too, if it is the clock that is wrong.
    untimely: BTreeMap<Id, Arc<Post>>,
    feeds: BTreeSet<FeedId>,
    scanned_bytes: usize,
    damaged: usize,
}

/// Reads what earlier runs have kept. Damaged lines are told in the log.
pub(super) fn load(folder: &Path, domain: &Domain, me: Id, wall: u64) -> io::Result<Past> {
    let mut loading = Loading {
        lines: LinesBack::of(folder)?,
        domain,
        me,
        wall,
        no_earlier: wall,
        posts: Vec::new(),
        kept_bytes: 0,
        ends: Vec::new(),
        untimely: BTreeMap::new(),
        feeds: BTreeSet::new(),
        scanned_bytes: 0,
        damaged: 0,
    };
    // A fault in the middle costs what is older than it, not what was read.
    if let Err(error) = loading.run() {
        log::warn!("the history in {} cannot be read to its start: {error}", folder.display());
    }
    if loading.damaged > 0 {
        log::warn!("history: {} damaged lines in {} are skipped", loading.damaged, folder.display());
    }
    loading.posts.reverse();
    let former = loading.untimely.into_values().collect();
    Ok(Past { posts: loading.posts, ends: loading.ends, former, ..Past::default() })
}

impl Loading<'_> {
    fn run(&mut self) -> io::Result<()> {
        while self.kept_bytes < LOG_BYTES_MAX {
            let chunk = self.next_chunk()?;
            if chunk.is_empty() {
                return Ok(());
            }
            self.no_earlier = self.no_earlier.max(self.own_time(&chunk));
            let checked = check(&chunk, self.domain, self.wall, self.no_earlier);
            // Before a chunk in which all is too old there is nothing newer.
            let has = |kind: fn(&Checked) -> bool| checked.iter().any(kind);
            let is_over = !has(|one| matches!(one, Checked::Post(_))) && has(|one| matches!(one, Checked::Untimely(_)));
            for checked in checked {
                self.take(checked);
            }
            if is_over {
                return Ok(());
            }
        }
        self.find_ends()
    }

    /// When this identity has signed the newest of its posts among some lines.
    fn own_time(&self, lines: &[Vec<u8>]) -> u64 {
        let is_own = |line: &&Vec<u8>| line::label(line).is_some_and(|label| label.feed.author == self.me);
        let newest = lines.iter().find(is_own).and_then(|line| line::read(line));
        newest.filter(|post| post.verify(self.domain).is_ok()).map_or(0, |post| post.at)
    }

    fn next_chunk(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut chunk = Vec::new();
        let mut bytes = 0;
        while bytes < CHUNK_BYTES
            && let Some(line) = self.next_line()?
        {
            bytes += line.len() + 1;
            chunk.push(line);
        }
        Ok(chunk)
    }

    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.scanned_bytes > HISTORY_SCAN_BYTES_MAX {
            return Ok(None);
        }
        let line = self.lines.next_line()?;
        self.scanned_bytes += line.as_ref().map_or(0, |line| line.len() + 1);
        Ok(line)
    }

    fn take(&mut self, checked: Checked) {
        match checked {
            Checked::Post(post) => {
                let is_new = self.feeds.insert(post.feed);
                self.kept_bytes += post.kept_bytes();
                if self.kept_bytes <= LOG_BYTES_MAX {
                    self.posts.push(post);
                } else if is_new {
                    self.ends.push(post);
                }
            }
            Checked::Untimely(post) => {
                let author = post.feed.author;
                let is_news = author != self.me && !self.untimely.contains_key(&author);
                if is_news && self.untimely.len() < FEEDS_MAX && post.verify(self.domain).is_ok() {
                    self.untimely.insert(author, Arc::new(*post));
                }
            }
            Checked::Damaged => self.damaged += 1,
        }
    }

    /// Looks for feeds of which nothing was found yet; of each, one post is read and checked.
    fn find_ends(&mut self) -> io::Result<()> {
        while let Some(line) = self.next_line()? {
            if line::label(&line).is_some_and(|label| self.feeds.contains(&label.feed)) {
                continue;
            }
            self.take(check_line(&line, self.domain, self.wall, self.no_earlier));
        }
        Ok(())
    }
}

/// Checks lines on all cores.
fn check(lines: &[Vec<u8>], domain: &Domain, wall: u64, no_earlier: u64) -> Vec<Checked> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = lines.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let check_share =
            |share: &[Vec<u8>]| share.iter().map(|line| check_line(line, domain, wall, no_earlier)).collect::<Vec<_>>();
        let threads: Vec<_> = lines.chunks(share).map(|share| scope.spawn(move || check_share(share))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Vec<Checked>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    })
}

fn check_line(line: &[u8], domain: &Domain, wall: u64, no_earlier: u64) -> Checked {
    let Some(post) = line::read(line) else { return Checked::Damaged };
    if post.at < wall.saturating_sub(POST_AGE_MS_MAX) || post.at > no_earlier.saturating_add(POST_AHEAD_MS_MAX) {
        return Checked::Untimely(Box::new(post));
    }
    if post.verify(domain).is_err() { Checked::Damaged } else { Checked::Post(Arc::new(post)) }
}
