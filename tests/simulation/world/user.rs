//! What the users of a world see, held against what was said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hobnob::room::event::{Command, Event, Outcome};
use hobnob::room::{Input, Letter, Letters, Note, Past, Room};
use hobnob::wire::Frame;
use hobnob::wire::record::{Body, FeedId, Label, Post};

use super::{Node, World};

/// What a node has shown to its user.
#[derive(Default)]
pub(crate) struct Shown {
    /// Says by feed, in the order shown.
    pub(crate) says: BTreeMap<FeedId, Vec<u64>>,
    pub(crate) missed: BTreeMap<String, u64>,
    pub(crate) members: BTreeSet<String>,
    pub(crate) joined: u64,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) undelivered: Vec<String>,
    /// Messages that it was told to have missed, and was not shown: only the last ones are.
    pub(crate) left_out: u64,
    /// The first that it was shown had been said before.
    pub(crate) came_late: bool,
    /// Says of the past since it was told last how many there were.
    earlier: u64,
    pub(crate) forked: u64,
    /// What was whispered to it, by sender: ids and texts in the order shown.
    pub(crate) whispers: BTreeMap<String, Vec<String>>,
    /// How many commands it was told it cannot carry out.
    pub(crate) refused: u64,
    whisper_ids: BTreeSet<String>,
    /// Its own whispers that were confirmed.
    pub(crate) heard: BTreeSet<String>,
}

impl Shown {
    /// What is private is shown once in all lives.
    pub(super) fn in_a_new_life(self) -> Self {
        let Self { whispers, whisper_ids, heard, .. } = self;
        Self { whispers, whisper_ids, heard, ..Self::default() }
    }
}

/// What a disk has of whispers.
#[derive(Default)]
pub(super) struct Notebook(Vec<Note>);

impl Notebook {
    pub(super) fn apply(&mut self, notes: Vec<Note>) {
        self.0.extend(notes);
    }

    /// What is left of it, as a file gives it.
    pub(super) fn past(&self) -> Letters {
        let mut letters = Letters::default();
        for note in &self.0 {
            match note {
                Note::Waits(letter) => letters.waiting.push(letter.clone()),
                Note::Over { to, stream, number } => {
                    let is_over =
                        |letter: &Letter| (letter.to, letter.stream) == (*to, *stream) && letter.number <= *number;
                    letters.waiting.retain(|letter| !is_over(letter));
                }
                Note::Heard(heard) => {
                    letters.heard.retain(|known| (known.from, known.stream) != (heard.from, heard.stream));
                    letters.heard.push(*heard);
                }
            }
        }
        letters
    }
}

/// What a disk has.
#[derive(Default)]
pub(crate) struct Kept {
    pub(super) posts: Vec<Arc<Post>>,
    /// The last number of each feed.
    last: BTreeMap<FeedId, u64>,
}

impl Kept {
    /// The last posts are gone.
    pub(super) fn lose(&mut self, count: usize) {
        self.posts.truncate(self.posts.len().saturating_sub(count));
        self.last = self.posts.iter().map(|post| (post.feed, post.number)).collect();
    }

    /// What is loaded of it into a log of so many bytes: the newest posts, and of feeds of which none is among them the
    /// newest one.
    pub(super) fn past(&self, bytes_max: usize) -> Past {
        let (mut past, mut feeds, mut bytes) = (Past::default(), BTreeSet::new(), 0);
        for post in self.posts.iter().rev() {
            let is_new = feeds.insert(post.feed);
            bytes += post.kept_bytes();
            if bytes <= bytes_max {
                past.posts.push(Arc::clone(post));
            } else if is_new {
                past.ends.push(Arc::clone(post));
            }
        }
        past.posts.reverse();
        past
    }

    /// Whether a post is there.
    pub(crate) fn has(&self, feed: &FeedId, number: u64) -> bool {
        self.posts.iter().any(|post| post.feed == *feed && post.number == number)
    }
}

impl World {
    /// Remembers what an author first sent: nothing else may ever be shown under that number.
    pub(super) fn note_posted(&mut self, node: usize, frame: &Frame) {
        if frame.starts_with(&self.nodes[node].own_start)
            && let Some(label) = Label::read(frame)
        {
            self.posted.entry((label.feed, label.number)).or_insert_with(|| Arc::clone(frame));
        }
    }

    /// Takes what a room gives to be kept, and checks it: each post once, and in its author's order.
    fn keep(&mut self, node: usize) {
        let Node { room: Some(room), kept: Some(kept), .. } = &mut self.nodes[node] else { return };
        let mut frames = Vec::new();
        while let Some(post) = room.next_kept() {
            let last = kept.last.insert(post.feed, post.number).unwrap_or(0);
            assert!(last < post.number, "n{node} keeps {:?} {} after {last}", post.feed, post.number);
            frames.push(Arc::clone(&post.frame));
            kept.posts.push(post);
        }
        // It may be passed on by a later life only.
        for frame in frames {
            self.note_posted(node, &frame);
        }
    }

    /// Whether a post of that number was ever sent and says something.
    pub(crate) fn is_say(&self, feed: FeedId, number: u64) -> bool {
        let frame = self.posted.get(&(feed, number));
        let post = frame.and_then(|frame| Post::decode(frame).ok());
        post.is_some_and(|post| matches!(post.body, Body::Say { .. }))
    }

    /// Takes what a room shows, and checks it: once, in order, and as its author said it.
    pub(super) fn show(&mut self, node: usize) {
        self.keep(node);
        if self.now < self.nodes[node].unread_until {
            return;
        }
        let mut is_taken = false;
        let mut whispers = Vec::new();
        while let Some(event) = self.nodes[node].room.as_mut().and_then(Room::next_event) {
            if self.trace && !matches!(event, Event::Linked(_) | Event::Unlinked(..)) {
                eprintln!("{:>8} n{node} sees {event:?}", self.now);
            }
            is_taken = true;
            self.digest.note_event(node, &event);
            let shown = &mut self.nodes[node].shown;
            match event {
                Event::Said { post, backlog, .. } => {
                    shown.came_late |= backlog && shown.says.is_empty();
                    let numbers = shown.says.entry(post.feed).or_default();
                    if let Some(last) = numbers.last() {
                        assert!(*last < post.number, "n{node} saw {:?} {} after {last}", post.feed, post.number);
                    }
                    numbers.push(post.number);
                    shown.earlier += u64::from(backlog);
                    if self.liars.contains(&post.feed.author) {
                        // It may say what it likes, in its own name.
                    } else if let Some(frame) = self.posted.get(&(post.feed, post.number)) {
                        assert_eq!(*frame, post.frame, "n{node} saw an altered post");
                    } else {
                        assert_eq!(post.feed.author, self.nodes[node].identity.id(), "n{node} saw a forged post");
                    }
                }
                Event::Recovered(told) => {
                    shown.left_out += told.count.saturating_sub(std::mem::take(&mut shown.earlier));
                }
                Event::Joined { member, .. } => {
                    shown.joined += 1;
                    assert!(shown.members.insert(member.id.to_string()), "n{node} saw {} join twice", member.nick);
                }
                Event::Left { member, .. } | Event::Lost { member, .. } => {
                    assert!(shown.members.remove(&member.id.to_string()), "n{node} saw {} go unjoined", member.nick);
                }
                Event::Gap { from, missed } => *shown.missed.entry(from.id.to_string()).or_default() += missed,
                Event::Undelivered { missing, .. } => {
                    shown.undelivered = missing.iter().map(|person| person.nick.to_string()).collect();
                }
                Event::Whispered(whisper) if !whisper.mine => {
                    whispers.push(Arc::clone(&whisper));
                    assert!(shown.whisper_ids.insert(whisper.id.clone()), "n{node} saw {} twice", whisper.id);
                    shown.whispers.entry(whisper.from.id.to_string()).or_default().push(whisper.text.clone());
                }
                Event::Refused(_) => shown.refused += 1,
                Event::Heard { ids, .. } => shown.heard.extend(ids),
                Event::Forked(_) => shown.forked += 1,
                _ => {}
            }
        }
        if !whispers.is_empty() {
            self.input(node, Input::Command(Command::Shown(whispers)));
        }
        if is_taken && self.nodes[node].room.as_ref().is_some_and(Room::owes_answers) {
            self.input(node, Input::Shown);
        }
    }
}
