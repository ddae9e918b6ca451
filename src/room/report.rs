//! Answers to the user's questions: who is here, and how are things.

use std::collections::{BTreeMap, BTreeSet};

use crate::identity::Id;
use crate::wire::record::FeedId;

use super::Room;
use super::away::away_of;
use super::event::{Event, LinkStatus, Member, Person, Status};
use super::links::Link;
use super::session::Session;

/// What a room holds, for tests and the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The sessions present.
    pub present: BTreeSet<FeedId>,
    /// Per feed of which something is kept, the last number seen.
    pub have: BTreeMap<FeedId, u64>,
    /// Per link that is up, the peer's session and the bytes that wait for its socket.
    pub links: Vec<(FeedId, usize)>,
    /// In hub mode: the hub from which this node has posts,
    pub hub: Option<FeedId>,
    /// and the highest epoch that it has seen or made.
    pub epoch: u64,
    /// What the log takes.
    pub log_bytes: usize,
    /// What waits behind gaps.
    pub waiting_bytes: usize,
    /// Sessions known, present or not.
    pub sessions: usize,
    /// Feeds of which something is remembered, in the map that has the most of them.
    pub feeds: usize,
}

impl Room {
    /// What this room holds.
    pub fn view(&self) -> View {
        let kept = self.log.feeds().filter(|(_, feed)| !feed.is_bare());
        View {
            present: self.roster.present().map(|(feed, _)| *feed).collect(),
            have: kept.map(|(id, feed)| (*id, feed.have)).collect(),
            links: self.links.values().filter_map(|link| Some((link.session()?, link.queued_bytes))).collect(),
            hub: self.followed_hub(),
            epoch: self.hub_epoch(),
            log_bytes: self.log.bytes(),
            waiting_bytes: self.waiting_bytes(),
            sessions: self.roster.session_count(),
            feeds: self.feeds_remembered(),
        }
    }

    /// The sessions present, as far as this run has heard of them.
    fn present(&self) -> impl Iterator<Item = (&FeedId, &Session)> {
        self.roster.present().filter(|(feed, session)| self.is_here(feed, session))
    }

    fn is_here(&self, feed: &FeedId, session: &Session) -> bool {
        session.is_present() && !self.completion.is_hearsay(feed)
    }

    /// Who is here.
    pub(super) fn names(&self) -> Event {
        let linked: BTreeSet<FeedId> = self.links.values().filter_map(Link::session).collect();
        let mut members: BTreeMap<Id, Member> = BTreeMap::new();
        for (feed, session) in self.present() {
            let member = members.entry(feed.author).or_insert_with(|| Member {
                person: Person { id: feed.author, nick: session.nick.clone() },
                myself: feed.author == self.me.author,
                sessions: 0,
                passing: true,
                addresses: Vec::new(),
                linked: false,
                through: None,
                sealing: None,
                since: session.since,
                away: None,
            });
            member.sessions += 1;
            member.passing &= session.passing;
            member.addresses.extend(&session.addresses);
            member.linked |= linked.contains(feed);
            member.sealing = session.sealing.or(member.sealing);
            member.since = member.since.min(session.since);
        }
        for (id, member) in &mut members {
            let here = self.roster.sessions_of(*id).filter(|(feed, session)| self.is_here(feed, session));
            member.away = away_of(here.map(|(_, session)| session));
            if !member.linked && !member.myself {
                member.through = self.through(*id);
            }
        }
        let mut members: Vec<Member> = members.into_values().collect();
        members.sort_by(|one, other| (&one.person.nick, one.person.id).cmp(&(&other.person.nick, other.person.id)));
        Event::Names(members)
    }

    /// How things are.
    pub(super) fn status(&self) -> Event {
        let links = self.links.values().filter_map(|link| {
            Some(LinkStatus {
                peer: link.peer()?,
                dialled: link.dial.is_some(),
                since: link.opened_wall,
                queued_bytes: link.queued_bytes,
            })
        });
        let members: BTreeSet<Id> = self.present().map(|(feed, _)| feed.author).collect();
        let status = Status {
            room: self.config.room.clone(),
            me: Person { id: self.me.author, nick: self.config.nick.clone() },
            session: self.me.session,
            listening: self.config.listening,
            addresses: self.announced.addresses.clone(),
            hub: self.hub_status(),
            links: links.collect(),
            dialling: self.overlay.troubles(),
            members: members.len(),
            posts: self.log.post_count(),
            log_bytes: self.log.bytes(),
            unconfirmed_bytes: self.pace.unsettled_bytes(),
        };
        Event::Status(Box::new(status))
    }
}
