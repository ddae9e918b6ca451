//! What a history holds, for people: the newest messages of a kind, or all of them in order, each once.
//!
//! Signatures are checked here, too: what is shown under a name was said by it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::back::LinesBack;
use super::{line, month};
use crate::limits::{HISTORY_LINE_BYTES_MAX, HISTORY_SCAN_BYTES_MAX};
use crate::room::Wanted;
use crate::wire::record::{Domain, FeedId, Post};

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The messages, in the order in which they were kept.
    pub posts: Vec<Arc<Post>>,
    /// Lines that are none.
    pub damaged: usize,
    /// The history goes further back than it was read.
    pub partial: bool,
}

/// The newest messages that are wanted. Unless `thorough`, the search ends where it would take long.
pub fn newest(folder: &Path, domain: &Domain, wanted: &Wanted, thorough: bool) -> io::Result<Found> {
    let (mut found, mut given) = (Found::default(), Given::default());
    let count = wanted.last.unwrap_or(usize::MAX);
    let mut lines = LinesBack::of(folder)?;
    let mut bytes = 0;
    while found.posts.len() < count
        && let Some(line) = lines.next_line()?
    {
        bytes += line.len() + 1;
        if !thorough && bytes > HISTORY_SCAN_BYTES_MAX {
            found.partial = true;
            break;
        }
        match read(&line, domain, wanted) {
            Ok(Some(post)) if given.is_new(&post) => found.posts.push(Arc::new(post)),
            Ok(_) => {}
            Err(Damaged) => found.damaged += 1,
        }
    }
    found.posts.reverse();
    Ok(found)
}

/// Gives all messages that are wanted, in the order in which they were kept; returns how many lines are damaged.
pub fn each(
    folder: &Path,
    domain: &Domain,
    wanted: &Wanted,
    mut take: impl FnMut(Post) -> io::Result<()>,
) -> io::Result<usize> {
    let (mut damaged, mut given) = (0, Given::default());
    for (_, path) in month::all(folder)? {
        let mut file = BufReader::new(File::open(path)?);
        let mut line = Vec::new();
        while next_line(&mut file, &mut line)? {
            match read(&line, domain, wanted) {
                Ok(Some(post)) if given.is_new(&post) => take(post)?,
                Ok(_) => {}
                Err(Damaged) => damaged += 1,
            }
        }
    }
    Ok(damaged)
}

/// The posts that were given, as runs of numbers: where a file was put together by hand, a line may stand twice.
#[derive(Default)]
struct Given(BTreeMap<FeedId, BTreeMap<u64, u64>>);

impl Given {
    /// Whether this is the first time; from now on it is not.
    fn is_new(&mut self, post: &Post) -> bool {
        let runs = self.0.entry(post.feed).or_default();
        let number = post.number;
        let before = runs.range(..=number).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| number <= last) {
            return false;
        }
        let first = before.filter(|(_, last)| last + 1 == number).map_or(number, |(first, _)| first);
        let last = runs.remove(&(number + 1)).unwrap_or(number);
        runs.insert(first, last);
        true
    }
}

struct Damaged;

/// The post of a line, if it is wanted.
fn read(line: &[u8], domain: &Domain, wanted: &Wanted) -> Result<Option<Post>, Damaged> {
    let post = line::read(line).ok_or(Damaged)?;
    if !wanted.takes(&post) {
        return Ok(None);
    }
    post.verify(domain).map_err(|_| Damaged)?;
    Ok(Some(post))
}

/// Reads a whole line without its newline; of one that is too long only its beginning. What stands behind the last
/// newline is none yet.
fn next_line(file: &mut BufReader<File>, line: &mut Vec<u8>) -> io::Result<bool> {
    let limit = HISTORY_LINE_BYTES_MAX as u64 + 1;
    line.clear();
    file.by_ref().take(limit).read_until(b'\n', line)?;
    if line.last() != Some(&b'\n') && line.len() > HISTORY_LINE_BYTES_MAX && file.skip_until(b'\n')? == 0 {
        return Ok(false);
    }
    let is_whole = line.last() == Some(&b'\n') || line.len() > HISTORY_LINE_BYTES_MAX;
    line.pop_if(|byte| *byte == b'\n');
    Ok(is_whole)
}
