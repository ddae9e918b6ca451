//! The roster: who is here, folded from the posts.
//!
//! A session is present from its first post until its leave, a `lost` that names its very last
//! number and is not answered in a moment, or silence. A member is an identity with at least one session present. The fold of a
//! session depends on that session's posts and on the claims about it, not on the order in which
//! they arrive, so all nodes that hold the same posts agree.
//!
//! It also knows whose names look alike, this node's own among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::Id;
use crate::limits::{AWAYS_TOLD, EARLY_CLAIMS_MAX, LOOKALIKES_TOLD_MAX, RENAMES_TOLD};
use crate::wire::record::{Body, FeedId, Nick, Post};

use super::away::away_of;
use super::bucket::Bucket;
use super::event::{Event, Person};
use super::names::Names;
use super::session::{Claims, Presence, Session, add_claim};

#[derive(Debug)]
struct Shown {
    person: Person,
    passing: bool,
    sessions: BTreeSet<FeedId>,
    /// Why it is away, as far as that was told or is no news, and the times that it was told.
    away: Option<String>,
    aways: Bucket,
    /// The times that it was told to have another nick,
    renames: Bucket,
    /// and the one that is still to be told.
    untold_nick: Option<Nick>,
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
    /// Those of whom it was told too often lately that they are away or back, or have another nick.
    put_off: BTreeSet<Id>,
    /// Claims about sessions of which no post has come yet.
    early_claims: BTreeMap<FeedId, Claims>,
    present: usize,
}

/// When a post was written, or seen if that was earlier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// By the monotonic clock, and below its zero for what is older than this run.
    pub(super) written_at: i64,
    /// It came as it was said; so far its author's clock is behind ours.
    pub(super) live_behind_ms: Option<u64>,
    /// And so long after its author's time it was here.
    pub(super) live_lag_ms: Option<i64>,
    /// Now.
    pub(super) now: i64,
}

impl Roster {
    pub(super) fn session(&self, id: &FeedId) -> Option<&Session> {
        self.sessions.get(id)
    }

    pub(super) fn is_present(&self, id: &FeedId) -> bool {
        self.sessions.get(id).is_some_and(Session::is_present)
    }

    /// How many sessions are present.
    pub(super) fn present_count(&self) -> usize {
        self.present
    }

    /// How many sessions are known.
    pub(super) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Whether the same author is here with a session that began after a time. One that is gone proves nothing: the
    /// author's clock may have been put back since.
    pub(super) fn is_succeeded(&self, feed: &FeedId, at: u64) -> bool {
        let mut others = self.sessions_of(feed.author).filter(|(other, _)| *other != feed);
        others.any(|(_, session)| session.since > at && session.is_present() && !session.is_claimed())
    }

    /// All that are known of an identity.
    pub(super) fn sessions_of(&self, author: Id) -> impl Iterator<Item = (&FeedId, &Session)> {
        self.sessions.range(FeedId { author, session: 0 }..=FeedId { author, session: u64::MAX })
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

    /// Whether somebody is lost who has spoken since.
    pub(super) fn was_lost_since(&self, since: i64) -> bool {
        self.sessions.values().any(|session| session.spoke_at >= since && session.presence() == Presence::Lost)
    }

    /// Takes in a post; returns whether who is here, or somebody's name, may have changed.
    pub(super) fn fold(&mut self, post: &Post, moment: Moment) -> bool {
        let early = self.early_claims.remove(&post.feed);
        let session = self.sessions.entry(post.feed).or_insert_with(|| Session::new(post, early.unwrap_or_default()));
        let (nick, away) = (session.nick.clone(), session.away.clone());
        session.fold(post, moment.written_at);
        let told_anew = session.nick != nick || session.away != away;
        session.behind_ms = session.behind_ms.into_iter().chain(moment.live_behind_ms).min();
        session.lag_ms = session.lag_ms.into_iter().chain(moment.live_lag_ms).min();
        let mut changed = self.settle(post.feed, moment.now);
        if told_anew {
            changed |= self.dirty.insert(post.feed);
        }
        if let Body::Lost { feed, last } = &post.body {
            changed |= self.claim_lost(*feed, *last, moment);
        }
        changed
    }

    /// Looks at one session anew; returns whether its presence has changed.
    fn settle(&mut self, feed: FeedId, now: i64) -> bool {
        let Some(session) = self.sessions.get_mut(&feed) else { return false };
        let before = session.is_present();
        session.settle(now);
        let after = session.is_present();
        if before != after {
            self.dirty.insert(feed);
            self.present = self.present + usize::from(after) - usize::from(before);
        }
        before != after
    }

    /// Numbers that will never come count as seen; returns whether that changed who is here.
    pub(super) fn skip_to(&mut self, feed: FeedId, number: u64, now: i64) -> bool {
        let Some(session) = self.sessions.get_mut(&feed) else { return false };
        session.reach(number);
        self.settle(feed, now)
    }

    fn claim_lost(&mut self, feed: FeedId, last: u64, moment: Moment) -> bool {
        if let Some(session) = self.sessions.get_mut(&feed) {
            if last < session.last {
                return false;
            }
            add_claim(&mut session.claims, last, moment.written_at);
            return self.settle(feed, moment.now);
        }
        if self.early_claims.len() < EARLY_CLAIMS_MAX {
            add_claim(self.early_claims.entry(feed).or_default(), last, moment.written_at);
        }
        false
    }

    /// Folds sessions as lost that have been silent for too long, or do not answer a claim; returns whether there
    /// were any, or something is still to be told.
    pub(super) fn pass_time(&mut self, now: i64) -> bool {
        let before = self.present;
        for (feed, session) in self.sessions.iter_mut().filter(|(_, session)| session.is_present()) {
            session.settle(now);
            if !session.is_present() {
                self.dirty.insert(*feed);
                self.present -= 1;
            }
        }
        self.present < before || !self.put_off.is_empty()
    }

    pub(super) fn forget(&mut self, feed: &FeedId) {
        if self.sessions.get(feed).is_some_and(|session| !session.shown)
            && self.sessions.remove(feed).is_some_and(|session| session.is_present())
        {
            self.present -= 1;
        }
    }

    /// What changed for the user since the last call. `me` is present without being told.
    pub(super) fn changes(&mut self, me: Id, now: u64) -> Vec<Event> {
        let mut events = Vec::new();
        let mut heard = std::mem::take(&mut self.put_off);
        for feed in std::mem::take(&mut self.dirty) {
            let Some(session) = self.sessions.get_mut(&feed) else { continue };
            let present = session.is_present();
            let was_shown = std::mem::replace(&mut session.shown, present);
            if feed.author == me {
                continue;
            }
            let person = Person { id: feed.author, nick: session.nick.clone() };
            match (was_shown, present) {
                (false, true) => self.show(feed, person, now, &mut events),
                (true, true) => self.rename(person, now, &mut events),
                (true, false) => events.extend(self.hide(feed)),
                (false, false) => {}
            }
            heard.insert(feed.author);
        }
        for member in heard {
            if let Some(nick) = self.shown.get_mut(&member).and_then(|shown| shown.untold_nick.take()) {
                self.rename(Person { id: member, nick }, now, &mut events);
            }
            events.extend(self.tell_away(member, now));
        }
        events
    }

    /// Whether a member that was here before is away, where that has changed. What was so before this run is no news.
    fn tell_away(&mut self, id: Id, now: u64) -> Option<Event> {
        let shown = self.shown.get_mut(&id)?;
        let sessions = || shown.sessions.iter().filter_map(|feed| self.sessions.get(feed));
        let away = away_of(sessions());
        if away == shown.away {
            return None;
        }
        let is_old = sessions().all(|session| session.away_at < 0);
        if is_old || shown.passing {
            shown.away = away;
            return None;
        }
        if !shown.aways.pour(1, AWAYS_TOLD, now) {
            self.put_off.insert(id);
            return None;
        }
        shown.away.clone_from(&away);
        Some(Event::Away { member: shown.person.clone(), why: away })
    }

    fn show(&mut self, feed: FeedId, person: Person, now: u64, events: &mut Vec<Event>) {
        let passing = self.sessions.get(&feed).is_some_and(|session| session.passing);
        if let Some(shown) = self.shown.get_mut(&feed.author) {
            shown.sessions.insert(feed);
            return self.rename(person, now, events);
        }
        let sessions = BTreeSet::from([feed]);
        let away = self.sessions.get(&feed).and_then(|session| session.away.clone());
        let (aways, renames, untold_nick) = (Bucket::default(), Bucket::default(), None);
        let shown = Shown { person: person.clone(), passing, sessions, away, aways, renames, untold_nick };
        self.shown.insert(feed.author, shown);
        events.push(Event::Joined { member: person.clone(), passing });
        events.extend(self.name(person));
    }

    /// A member has another nick. Beyond what a reader bears it waits, and the last one is told.
    fn rename(&mut self, person: Person, now: u64, events: &mut Vec<Event>) {
        let Some(shown) = self.shown.get_mut(&person.id) else { return };
        shown.untold_nick = None;
        if shown.person.nick == person.nick {
            return;
        }
        if !shown.renames.pour(1, RENAMES_TOLD, now) {
            shown.untold_nick = Some(person.nick);
            self.put_off.insert(person.id);
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

    /// Who is meant by a name, of those of whom the user was told and this node.
    pub(super) fn find(&self, who: &str) -> Vec<&Person> {
        self.names.find(who)
    }

    /// All of whom there was a session, each by its newest name.
    pub(super) fn known_people(&self) -> Vec<Person> {
        let mut newest: BTreeMap<Id, (u64, Person)> = BTreeMap::new();
        for (feed, session) in &self.sessions {
            let known = newest.get(&feed.author).is_some_and(|(since, _)| *since > session.since);
            if !known {
                let person = Person { id: feed.author, nick: session.nick.clone() };
                newest.insert(feed.author, (session.since, person));
            }
        }
        newest.into_values().map(|(_, person)| person).collect()
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
