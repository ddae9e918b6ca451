//! The roster: who is here, folded from the posts.
//!
//! A session is present from its first post until its leave, a `lost` that names its very last
//! number, or silence. A member is an identity with at least one session present. The fold of a
//! session depends on that session's posts and on the claims about it, not on the order in which
//! they arrive, so all nodes that hold the same posts agree.
//!
//! It also knows whose names look alike, this node's own among them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::identity::Id;
use crate::limits::{LOOKALIKES_TOLD_MAX, LOST_CLAIMS_MAX, SESSION_SILENT_MS_MAX};
use crate::wire::record::{Body, FeedId, Nick, Post};

use super::event::{Event, Person};
use super::names::Names;

/// What is known of a session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) nick: Nick,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) passing: bool,
    /// The time of its first post, by its author's clock.
    pub(super) since: u64,
    /// The number of its newest post that was folded.
    last: u64,
    /// The newest join's number; a session that joins anew is alive.
    pub(super) joined_at_number: u64,
    left: Option<String>,
    /// The last numbers that claims of `lost` name.
    lost_at: BTreeSet<u64>,
    /// When its newest post was written, or arrived if that was earlier; by the monotonic clock, and
    /// below its zero for what is older than this run.
    spoke_at: i64,
    silent: bool,
    /// As told to the user.
    shown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Present,
    Left,
    Lost,
}

impl Session {
    fn presence(&self) -> Presence {
        if self.left.is_some() {
            Presence::Left
        } else if self.silent || self.lost_at.contains(&self.last) {
            Presence::Lost
        } else {
            Presence::Present
        }
    }

    pub(super) fn is_present(&self) -> bool {
        self.last > 0 && self.presence() == Presence::Present
    }

    pub(super) fn has_left(&self) -> bool {
        self.left.is_some()
    }

    /// Whether the join of this number is what keeps the session on record.
    pub(super) fn needs_join(&self, number: u64) -> bool {
        self.joined_at_number == number && self.is_present()
    }
}

#[derive(Debug)]
struct Shown {
    person: Person,
    passing: bool,
    sessions: BTreeSet<FeedId>,
}

/// Who is here.
#[derive(Debug, Default)]
pub(super) struct Roster {
    sessions: BTreeMap<FeedId, Session>,
    /// Members as told to the user.
    shown: BTreeMap<Id, Shown>,
    /// Their names and our own.
    names: Names,
    /// This run ends with its input.
    passing: bool,
    /// Sessions whose presence may have changed since it was told.
    dirty: BTreeSet<FeedId>,
    /// Claims about sessions of which no post has come yet.
    early_claims: BTreeMap<FeedId, BTreeSet<u64>>,
}

/// Claims about unknown sessions that are kept; a guess, and more are dropped: `lost` is repeated.
const EARLY_CLAIMS_MAX: usize = 256;

impl Roster {
    pub(super) fn session(&self, id: &FeedId) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(super) fn is_present(&self, id: &FeedId) -> bool {
        self.sessions.get(id).is_some_and(Session::is_present)
    }

    pub(super) fn present(&self) -> impl Iterator<Item = (&FeedId, &Session)> {
        self.sessions.iter().filter(|(_, session)| session.is_present())
    }

    /// Every session that vanished and did not say goodbye, the one last heard of first.
    pub(super) fn lost(&self) -> Vec<FeedId> {
        let lost = self.sessions.iter().filter(|(_, session)| session.presence() == Presence::Lost);
        let mut lost: Vec<(i64, FeedId)> = lost.map(|(id, session)| (session.spoke_at, *id)).collect();
        lost.sort_unstable_by(|one, other| other.cmp(one));
        lost.into_iter().map(|(_, id)| id).collect()
    }

    /// Takes in a post; returns whether who is here, or somebody's name, may have changed.
    /// `written_at` is when it was written or seen, by the monotonic clock.
    pub(super) fn fold(&mut self, post: &Post, written_at: i64) -> bool {
        let early = self.early_claims.remove(&post.feed);
        let session = self.sessions.entry(post.feed).or_insert_with(|| Session {
            nick: post.nick.clone(),
            addresses: Vec::new(),
            passing: false,
            since: post.at,
            last: 0,
            joined_at_number: 0,
            left: None,
            lost_at: early.unwrap_or_default(),
            spoke_at: written_at,
            silent: false,
            shown: false,
        });
        let before = (session.is_present(), session.nick.clone());
        session.nick = post.nick.clone();
        session.last = post.number;
        session.spoke_at = written_at;
        session.silent = false;
        session.lost_at = session.lost_at.split_off(&post.number);
        match &post.body {
            Body::Join { addresses, passing } => {
                session.addresses.clone_from(addresses);
                session.passing = *passing;
                session.joined_at_number = post.number;
            }
            Body::Leave { why } => session.left = Some(why.clone()),
            Body::Say { .. } | Body::Nick | Body::Mark | Body::Unknown | Body::Lost { .. } => {}
        }
        let changed = before != (session.is_present(), session.nick.clone());
        if changed {
            self.dirty.insert(post.feed);
        }
        match &post.body {
            Body::Lost { feed, last } => self.claim_lost(*feed, *last) || changed,
            _ => changed,
        }
    }

    /// Numbers that will never come count as seen; returns whether that changed who is here.
    pub(super) fn skip_to(&mut self, feed: FeedId, number: u64) -> bool {
        let Some(session) = self.sessions.get_mut(&feed) else { return false };
        let before = session.is_present();
        session.last = number;
        session.is_present() != before && self.dirty.insert(feed)
    }

    fn claim_lost(&mut self, feed: FeedId, last: u64) -> bool {
        if let Some(session) = self.sessions.get_mut(&feed) {
            if last >= session.last {
                add_claim(&mut session.lost_at, last);
                return last == session.last && self.dirty.insert(feed);
            }
        } else if self.early_claims.len() < EARLY_CLAIMS_MAX {
            add_claim(self.early_claims.entry(feed).or_default(), last);
        }
        false
    }

    /// Folds sessions as lost that have been silent for too long; returns whether there were any.
    pub(super) fn pass_time(&mut self, now: u64) -> bool {
        let limit = i64::try_from(now).unwrap_or(i64::MAX) - i64::try_from(SESSION_SILENT_MS_MAX).unwrap_or(i64::MAX);
        let mut any = false;
        for (id, session) in &mut self.sessions {
            if session.is_present() && session.spoke_at < limit {
                session.silent = true;
                self.dirty.insert(*id);
                any = true;
            }
        }
        any
    }

    pub(super) fn forget(&mut self, feed: &FeedId) {
        if self.sessions.get(feed).is_some_and(|session| !session.shown) {
            self.sessions.remove(feed);
        }
    }

    /// What changed for the user since the last call. `me` is present without being told.
    pub(super) fn changes(&mut self, me: Id) -> Vec<Event> {
        let mut events = Vec::new();
        for feed in std::mem::take(&mut self.dirty) {
            let Some(session) = self.sessions.get_mut(&feed) else { continue };
            let present = session.is_present();
            let was_shown = std::mem::replace(&mut session.shown, present);
            if feed.author == me {
                continue;
            }
            let person = Person { id: feed.author, nick: session.nick.clone() };
            match (was_shown, present) {
                (false, true) => self.show(feed, person, &mut events),
                (true, true) => self.rename(person, &mut events),
                (true, false) => events.extend(self.hide(feed)),
                (false, false) => {}
            }
        }
        events
    }

    fn show(&mut self, feed: FeedId, person: Person, events: &mut Vec<Event>) {
        let passing = self.sessions.get(&feed).is_some_and(|session| session.passing);
        if let Some(shown) = self.shown.get_mut(&feed.author) {
            shown.sessions.insert(feed);
            return self.rename(person, events);
        }
        let sessions = BTreeSet::from([feed]);
        self.shown.insert(feed.author, Shown { person: person.clone(), passing, sessions });
        events.push(Event::Joined { member: person.clone(), passing });
        events.extend(self.name(person));
    }

    fn rename(&mut self, person: Person, events: &mut Vec<Event>) {
        let Some(shown) = self.shown.get_mut(&person.id) else { return };
        if shown.person.nick == person.nick {
            return;
        }
        let old = std::mem::replace(&mut shown.person, person.clone()).nick;
        events.push(Event::Renamed { member: person.clone(), old });
        events.extend(self.name(person));
    }

    /// This node itself; it is not told as a member.
    pub(super) fn name_me(&mut self, me: Person, passing: bool) -> Option<Event> {
        self.passing = passing;
        self.name(me)
    }

    /// Takes a name down, and tells of those that now look alike and did not before.
    fn name(&mut self, member: Person) -> Option<Event> {
        let others = self.names.newly_alike(&member, LOOKALIKES_TOLD_MAX);
        let passing = self.is_passing(&member.id) || others.iter().all(|other| self.is_passing(&other.id));
        (!others.is_empty()).then_some(Event::Clash { member, others, passing })
    }

    /// Who is not among the members shown is this node.
    fn is_passing(&self, id: &Id) -> bool {
        self.shown.get(id).map_or(self.passing, |shown| shown.passing)
    }

    /// Those of whom the user was told, and this node.
    pub(super) fn people(&self) -> Vec<Person> {
        self.names.people().cloned().collect()
    }

    fn hide(&mut self, feed: FeedId) -> Option<Event> {
        let session = self.sessions.get(&feed)?;
        let shown = self.shown.get_mut(&feed.author)?;
        shown.sessions.remove(&feed);
        if !shown.sessions.is_empty() {
            return None;
        }
        let Shown { person: member, passing, .. } = self.shown.remove(&feed.author)?;
        self.names.remove(&member.id);
        Some(match &session.left {
            Some(why) => Event::Left { member, passing, why: why.clone() },
            None => Event::Lost { member, passing },
        })
    }

    /// The name of somebody, as far as it is known.
    pub(super) fn person(&self, feed: &FeedId) -> Option<Person> {
        let session = self.sessions.get(feed)?;
        Some(Person { id: feed.author, nick: session.nick.clone() })
    }
}

/// Adds a claim and keeps the lowest: a number that is not reached for long is no use.
fn add_claim(claims: &mut BTreeSet<u64>, last: u64) {
    claims.insert(last);
    if claims.len() > LOST_CLAIMS_MAX {
        claims.pop_last();
    }
}
