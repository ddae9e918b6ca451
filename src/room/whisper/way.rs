//! The way of a whisper: which link leads to its reader, and what a relay does.
//!
//! A link to the reader is the best way. Else what it whispers shows the way, and its posts do, as a bridge learns: back
//! over the link that brought the newest of them first. A relay sees addressee and size; it takes one off the hops, and drops what it has no way
//! for. What goes over all links is passed on once by each node, or again where it may go further, and straight to the reader by who is linked to it.

use std::collections::{BTreeMap, VecDeque};

use crate::identity::Id;
use crate::limits::{
    FLOODS_REMEMBERED_MAX, NUMBER_MAX, OUTBOX_BYTES_MAX, WHISPER_DIAL_MS, WHISPER_HOPS_MAX, WHISPER_LINK_MS,
};
use crate::room::event::{Event, Person};
use crate::room::links::Link;
use crate::room::{LinkId, Output, Room};
use crate::wire::record::{Control, Envelope, FeedId, Sealed};
use crate::wire::seal::{Content, SealingKey};

use super::hearing::Return;
use super::talk::Way;

/// The floods that were passed on.
#[derive(Debug, Default)]
pub(super) struct Floods {
    /// By a hash of all but the hops, so that nobody stops one by another under its number: the most hops that one came
    /// with.
    known: BTreeMap<FloodId, u8>,
    order: VecDeque<FloodId>,
}

type FloodId = [u8; 16];

impl Floods {
    /// Notes one. The most hops that it came with before; `None` for a new one.
    fn note(&mut self, envelope: &Envelope) -> Option<u8> {
        let Envelope { to, session, flood, sealed, .. } = envelope;
        let mut hasher = blake3::Hasher::new();
        for number in [*session, flood.unwrap_or(0)] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(&to.0).update(sealed.as_str().as_bytes());
        let id: FloodId = hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default();
        let before = self.known.get(&id).copied();
        self.known.insert(id, envelope.hops.max(before.unwrap_or(0)));
        if before.is_none() {
            self.order.push_back(id);
            if self.order.len() > FLOODS_REMEMBERED_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        before
    }
}

impl Room {
    /// The ready link to a session.
    pub(in crate::room) fn link_to(&self, session: &FeedId) -> Option<LinkId> {
        let linked = |(_, link): &(&LinkId, &Link)| link.is_ready() && link.session() == Some(*session);
        self.links.iter().find(linked).map(|(id, _)| *id)
    }

    /// The next link on the way to a session, other than the one over which something came.
    pub(super) fn next_hop(&self, session: &FeedId, from: Option<LinkId>) -> Option<LinkId> {
        let learned = || self.log.feed(session)?.source.filter(|link| self.links.get(link).is_some_and(Link::is_ready));
        self.link_to(session).or_else(learned).filter(|link| Some(*link) != from)
    }

    /// How something goes to a reader now.
    pub(super) fn way_to(&self, id: Id, target: FeedId) -> Way {
        let talk = self.whispers.talks.get(&id);
        if self.link_to(&target).is_some() {
            return Way::Direct;
        }
        if talk.is_some_and(|talk| self.now.mono < talk.floods_until) {
            return Way::Flood;
        }
        let learned =
            talk.and_then(|talk| talk.learned).filter(|link| self.links.get(link).is_some_and(Link::is_ready));
        learned.or_else(|| self.next_hop(&target, None)).map_or(Way::Flood, Way::Through)
    }

    /// Seals something and sends it, along a way or as `way_to` has it.
    pub(super) fn seal_and_send(
        &mut self,
        target: FeedId,
        key: &SealingKey,
        content: &Content,
        way: Option<Way>,
        out: &mut Vec<Output>,
    ) {
        // What does not fit was cut before; a key that is none has no reader.
        let Ok(sealed) = self.whispers.sealer.seal(target.author, key, content) else { return };
        let way = way.unwrap_or_else(|| self.way_to(target.author, target));
        self.send_sealed(target, sealed, way, out);
    }

    /// Answers what has come, over all links if it came so.
    pub(super) fn answer_whisper(&mut self, back: Return, key: &SealingKey, content: &Content, out: &mut Vec<Output>) {
        let came_over = Some(back.link).filter(|link| self.links.get(link).is_some_and(Link::is_ready));
        let way = match came_over.or_else(|| self.next_hop(&back.session, None)) {
            _ if self.link_to(&back.session).is_some() => Way::Direct,
            Some(link) if !back.flood => Way::Through(link),
            _ => Way::Flood,
        };
        self.seal_and_send(back.session, key, content, Some(way), out);
    }

    /// Sends what is sealed.
    pub(super) fn send_sealed(&mut self, target: FeedId, sealed: Sealed, way: Way, out: &mut Vec<Output>) {
        let (to, session, hops) = (target.author, target.session, WHISPER_HOPS_MAX);
        let link = match way {
            Way::Direct => self.link_to(&target),
            Way::Through(link) => Some(link),
            Way::Flood => None,
        };
        if let Some(link) = link {
            let envelope = Envelope { to, session, hops, flood: None, sealed };
            return self.carry(&[link], &envelope, out);
        }
        let number = self.rng.draw() % NUMBER_MAX + 1;
        let envelope = Envelope { to, session, hops, flood: Some(number), sealed };
        self.whispers.floods.note(&envelope);
        self.carry(&self.all_links(None), &envelope, out);
    }

    fn all_links(&self, but: Option<LinkId>) -> Vec<LinkId> {
        self.links.iter().filter(|(id, link)| link.is_ready() && Some(**id) != but).map(|(id, _)| *id).collect()
    }

    /// Hands an envelope to some links; one whose outbox is full does without: its sender hears nothing, and tries again.
    fn carry(&mut self, links: &[LinkId], envelope: &Envelope, out: &mut Vec<Output>) {
        let takes =
            |link: &&LinkId| self.links.get(link).is_some_and(|state| state.queued_bytes < 2 * OUTBOX_BYTES_MAX);
        let links: Vec<LinkId> = links.iter().filter(takes).copied().collect();
        if !links.is_empty() {
            self.send_all(&links, &Control::Whisper(envelope.clone()), out);
        }
    }

    /// An envelope has come: it is for us, or goes on.
    pub(in crate::room) fn whisper_arrived(&mut self, link: LinkId, envelope: Envelope, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let Some(state) = self.links.get_mut(&link).filter(|state| state.is_ready()) else { return };
        let bytes = envelope.sealed.text_bytes() as u64;
        if !state.meter.allows_whisper(bytes, envelope.flood.is_some(), now) {
            return;
        }
        let addressee = envelope.addressee();
        let before = envelope.flood.and_then(|_| self.whispers.floods.note(&envelope));
        // A copy that may go further than those before it is passed on, too.
        if before.is_some_and(|hops| hops >= envelope.hops || addressee == self.me) {
            return;
        }
        if addressee == self.me {
            let is_known = |id: &Id, key: &SealingKey| {
                self.roster.sessions_of(*id).any(|(_, session)| session.sealing.as_ref() == Some(key))
            };
            let Ok(opened) = self.whispers.sealer.open_knowing(&envelope.sealed, is_known) else { return };
            let from = opened.from;
            if from == self.me.author {
                return;
            }
            let session = match &opened.content {
                Content::Text(text) => text.stream,
                Content::Begin { session, .. } | Content::Ping { session, .. } => *session,
                _ => 0,
            };
            let session = FeedId { author: from, session };
            let back = Return { key: opened.key, session, link, flood: envelope.flood.is_some() };
            return self.opened(opened, back, out);
        }
        let Some(hops) = envelope.hops.checked_sub(1).filter(|hops| *hops > 0) else { return };
        let onward = self.next_hop(&addressee, Some(link));
        let links = match onward {
            Some(onward) if envelope.flood.is_none() || self.link_to(&addressee) == Some(onward) => vec![onward],
            _ if envelope.flood.is_some() => self.all_links(Some(link)),
            _ => return,
        };
        self.carry(&links, &Envelope { hops, ..envelope }, out);
    }

    // ---- a better way, and who is told of it ----------------------------------------------------

    /// Has a direct link made to a reader who can be dialled, and kept while it is used.
    pub(super) fn seek_reader(&mut self, id: Id, target: FeedId) {
        let now = self.now.mono;
        self.keep_link_to(id, target);
        let is_linked = self.link_to(&target).is_some();
        let can_dial = self.overlay.can_dial(&target);
        let Some(talk) = self.whispers.talks.get_mut(&id) else { return };
        if is_linked {
            (talk.indirect_since, talk.undialable) = (None, false);
        } else {
            talk.indirect_since.get_or_insert(now);
            talk.undialable |= !can_dial;
        }
    }

    /// A link to somebody whom one whispers with is made where that can be, and not given up as surplus.
    pub(super) fn keep_link_to(&mut self, id: Id, session: FeedId) {
        if session.author == id {
            self.plan_due |= self.overlay.seek(session, self.now.mono + WHISPER_LINK_MS);
        }
    }

    /// A dial of a reader was in vain.
    pub(in crate::room) fn reader_unreached(&mut self, session: FeedId) {
        if let Some(talk) = self.whispers.talks.get_mut(&session.author).filter(|talk| talk.target == Some(session)) {
            talk.undialable = true;
        }
    }

    /// Tells who carries what is whispered, once: when a direct link cannot be had, or comes to be.
    pub(super) fn name_way(&mut self, id: Id) {
        let now = self.now.mono;
        let Some(talk) = self.whispers.talks.get(&id) else { return };
        let through = match talk.way {
            Some(Way::Direct) => None,
            Some(Way::Through(link)) => {
                let has_waited = talk.indirect_since.is_some_and(|since| now >= since + WHISPER_DIAL_MS);
                if !talk.undialable && !has_waited {
                    return;
                }
                let Some(carrier) = self.links.get(&link).and_then(Link::peer) else { return };
                Some(carrier.person)
            }
            // Nobody in particular.
            Some(Way::Flood) | None => return,
        };
        let to = talk.person.clone();
        let carrier = |through: &Option<Person>| through.as_ref().map(|person| person.id);
        let is_news = carrier(&talk.told_through) != carrier(&through);
        if let Some(talk) = self.whispers.talks.get_mut(&id).filter(|_| is_news) {
            talk.told_through.clone_from(&through);
            self.local.notice(Event::Way { to, through });
        }
    }
}
