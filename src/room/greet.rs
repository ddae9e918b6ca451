//! How a link begins and ends: hello, the pages of `have`, exit.
//!
//! The side that was dialled says hello first, so that the dialler can tell whether it holds a link to
//! that node already; only where it does not, it answers. Then both page through a snapshot of what
//! they have seen and end with `done`. From then on both sides know, without a further word,
//! which feeds are open and which are quiet, and posts flow.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use crate::identity::Id;
use crate::limits::{
    DIALS_CROSS_MS_MAX, FEEDS_MAX, FEEDS_PER_PAGE_MAX, LINK_FEEDS_MAX, LINKS_PER_IDENTITY_MAX, MESH_LINKS_MAX,
    SURPLUS_LINK_MS,
};
use crate::wire::end::End;
use crate::wire::record::{Control, Entry, FeedId, Hello, VERSION};

use super::door::{Verdict, clock_objection, clock_text};
use super::event::Event;
use super::links::{Incoming, Link, Outgoing, Paging};
use super::overlay::{Candidate, DialId, Reach, Target};
use super::roster::Roster;
use super::session::Session;
use super::{DialFailure, LinkId, Output, Room};

impl Room {
    /// Lets a stranger begin the handshake, or not.
    pub(super) fn knocked(&mut self, link: LinkId, remote: SocketAddr, out: &mut Vec<Output>) {
        match self.door.knock(link, remote.ip(), self.now.mono) {
            Verdict::Admit => {}
            Verdict::AdmitInPlaceOf(other) => self.close(other, End::Crowded, out),
            Verdict::Refuse(end) => return out.push(Output::Close { link, end }),
        }
        self.knocks.insert(link, self.now.mono);
        out.push(Output::Admit { link });
    }

    pub(super) fn connected(&mut self, link: LinkId, mut state: Link, out: &mut Vec<Output>) {
        // The time for the handshake includes that for the hello.
        if let Some(at) = self.knocks.remove(&link) {
            state.opened_at = at;
        }
        let dialled_us = state.dial.is_none();
        self.links.insert(link, state);
        if dialled_us {
            self.say_hello(link, out);
        }
    }

    fn say_hello(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let Some(state) = self.links.get(&link) else { return };
        let hello = Hello {
            version: VERSION,
            id: self.me.author,
            session: self.me.session,
            room: self.config.room.clone(),
            mode: self.hub.mode,
            nick: self.config.nick.clone(),
            seen: state.remote.ip(),
            listens: self.overlay.reach() == Reach::Dialable,
            time: self.now.wall,
            proof: state.channel.map(|channel| channel.prove(&self.domain, &self.config.identity)),
        };
        self.send(link, &Control::Hello(hello), out);
    }

    pub(super) fn hello_arrived(&mut self, link: LinkId, hello: Hello, out: &mut Vec<Output>) {
        let Some(state) = self.links.get(&link) else { return };
        let dial = state.dial;
        if state.is_up() {
            return self.close(link, End::OutOfTurn, out);
        }
        let objection = self.objection(&hello).or_else(|| self.wrong_host(dial, &hello));
        if let Some(end) = objection.or_else(|| self.reserve(dial, &hello)) {
            return self.refuse(link, dial, end, &hello, out);
        }
        if let Some(dial) = dial
            && let Some(target) = self.overlay.target(dial).cloned()
        {
            self.overlay.answered(dial, hello.feed(), self.now.mono, &mut self.rng);
            self.lose_former_session(&target, &hello, out);
        }
        let older = self.links.iter().find(|(_, other)| other.session() == Some(hello.feed()));
        if let Some((older, other)) = older.map(|(id, other)| (*id, other)) {
            // Our dials may have crossed: then the one of the smaller id stays.
            let crossed = other.dial.is_some() && self.now.mono < other.opened_at + DIALS_CROSS_MS_MAX;
            if dial.is_some() || (crossed && self.me < hello.feed()) {
                return self.close(link, End::Duplicate, out);
            }
            self.close(older, End::Duplicate, out);
        }
        self.learn_mode(hello.mode, out);
        if dial.is_some() {
            self.say_hello(link, out);
        } else if self.has_too_many(link, &hello) {
            return self.close(link, End::Full, out);
        }
        self.link_up(link, hello, out);
    }

    /// Whether an identity that has proved itself holds all the links that it may make.
    fn has_too_many(&self, link: LinkId, hello: &Hello) -> bool {
        let is_proved = self.links.get(&link).is_some_and(|state| state.channel.is_some());
        let others = self.links.values().filter(|other| other.dial.is_none() && other.proved() == Some(hello.id));
        is_proved && others.count() >= LINKS_PER_IDENTITY_MAX
    }

    /// What stands against a link with somebody, if anything.
    fn objection(&self, hello: &Hello) -> Option<End> {
        if hello.version != VERSION {
            Some(End::Version)
        } else if hello.room != self.config.room {
            Some(End::Room)
        } else if self.hub.mode.excludes(hello.mode) {
            Some(End::Mode)
        } else if hello.feed() == self.me {
            Some(End::Myself)
        } else {
            None
        }
    }

    /// A ticket says who its host is, and somebody else answers there.
    fn wrong_host(&self, dial: Option<DialId>, hello: &Hello) -> Option<End> {
        let host = self.overlay.host(dial?)?;
        (hello.id != host).then_some(End::HostKey)
    }

    /// What stands against a link with this very peer, for now.
    fn reserve(&self, dial: Option<DialId>, hello: &Hello) -> Option<End> {
        let is_named = matches!(dial.and_then(|dial| self.overlay.target(dial)), Some(Target::Named(_)));
        let is_banned = !is_named && self.door.is_banned(&hello.id, self.now.mono);
        is_banned.then_some(End::Banned).or_else(|| clock_objection(hello, self.now.wall))
    }

    fn refuse(&mut self, link: LinkId, dial: Option<DialId>, end: End, hello: &Hello, out: &mut Vec<Output>) {
        if let Some(target) = dial.and_then(|dial| self.overlay.target(dial).cloned()) {
            if end == End::Myself {
                self.overlay.give_up(&target);
                if let Target::Named(peer) = target {
                    self.local.notice(Event::Unreached { peer, why: end.text().to_owned() });
                }
            } else {
                self.overlay.was_refused(&target);
                let why = match end {
                    End::Room => format!("is in the room {:?}, not in {:?}", hello.room, self.config.room),
                    End::Version => format!("speaks version {} of the protocol, not {VERSION}", hello.version),
                    End::Clock => clock_text(hello, self.now.wall),
                    End::HostKey => {
                        let host = dial.and_then(|dial| self.overlay.host(dial));
                        let host = host.map_or_else(String::new, |host| host.short());
                        format!("{}: its key is {}, not {host}", end.text(), hello.id.short())
                    }
                    _ => end.text().to_owned(),
                };
                self.unreached(&target, &why);
            }
        }
        self.close(link, end, out);
    }

    fn link_up(&mut self, link: LinkId, hello: Hello, out: &mut Vec<Output>) {
        let kept = self.log.feeds().filter(|(_, feed)| !feed.is_bare());
        let mine = kept.map(|(id, feed)| (*id, feed.newest())).collect();
        let Some(state) = self.links.get_mut(&link) else { return };
        let session = hello.feed();
        state.hello = Some(hello);
        self.door.came_up(link, state.remote.ip(), self.now.mono);
        let progress_at = self.now.mono;
        state.paging = Some(Box::new(Paging { mine, progress_at, ..Paging::default() }));
        if let Some(peer) = state.peer() {
            self.local.notice(Event::Linked(peer));
        }
        self.watches.remove(&session);
        self.overlay.came_up(session);
        self.acquaintances.due = true;
        self.page_on(link, out);
        self.look_at_addresses(out);
    }

    /// Sends pages while the outbox has room, then `done`.
    pub(super) fn page_on(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let is_only = !self.links.iter().any(|(id, state)| *id != link && state.is_up());
        loop {
            let Some(state) = self.links.get_mut(&link) else { return };
            if state.outbox_is_full() {
                return;
            }
            let Some(paging) = state.paging.as_mut().filter(|paging| !paging.sent.done) else { return };
            let page = paging.mine.iter().skip(paging.paged).take(FEEDS_PER_PAGE_MAX);
            let feeds: Vec<Entry> = page.map(|(feed, number)| Entry(feed.author, feed.session, *number)).collect();
            paging.paged += feeds.len();
            paging.progress_at = self.now.mono;
            if feeds.is_empty() {
                paging.sent.done = true;
                // There is no choice of links over which to have the rest.
                paging.sent.all = is_only;
                if is_only {
                    self.send(link, &Control::All {}, out);
                }
                self.send(link, &Control::Done {}, out);
                return self.ready_if_done(link, out);
            }
            self.send(link, &Control::Have { feeds }, out);
        }
    }

    pub(super) fn have_arrived(&mut self, link: LinkId, feeds: &[Entry], out: &mut Vec<Output>) {
        let paging = self.links.get_mut(&link).and_then(|link| link.paging.as_mut());
        let Some(paging) = paging.filter(|paging| !paging.got.done) else {
            return self.close(link, End::OutOfTurn, out);
        };
        paging.progress_at = self.now.mono;
        paging.named += feeds.len();
        if paging.named > LINK_FEEDS_MAX {
            return self.close(link, End::OutOfTurn, out);
        }
        for entry in feeds {
            if paging.theirs.len() < FEEDS_MAX {
                paging.theirs.insert(entry.feed(), entry.2);
            }
        }
    }

    pub(super) fn all_arrived(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let paging = self.links.get_mut(&link).and_then(|link| link.paging.as_mut());
        match paging.filter(|paging| !paging.got.done && !paging.got.all) {
            Some(paging) => paging.got.all = true,
            None => self.close(link, End::OutOfTurn, out),
        }
    }

    pub(super) fn done_arrived(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let paging = self.links.get_mut(&link).and_then(|link| link.paging.as_mut());
        let Some(paging) = paging.filter(|paging| !paging.got.done) else {
            return self.close(link, End::OutOfTurn, out);
        };
        paging.got.done = true;
        self.ready_if_done(link, out);
    }

    fn ready_if_done(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(paging) = state.paging.take_if(|paging| paging.sent.done && paging.got.done) else { return };
        state.ready_at = self.now.mono;
        self.expect(&paging.theirs);
        if !self.open_feeds(link, &paging, out) {
            return self.close(link, End::Flood, out);
        }
        self.catch_up_over(link, &paging.theirs, out);
        self.ask_new_link(link, out);
        self.serve(link, out);
        self.introduce_hub(link, out);
        self.whispers_retried();
        self.check_completion();
    }

    /// Both sides compute the same: a direction is open iff its receiver lacked nothing, or has asked for all
    /// that it does not name. False if that is more than it may ask for.
    fn open_feeds(&mut self, link: LinkId, paging: &Paging, out: &mut Vec<Output>) -> bool {
        let now = self.now.mono;
        let Some(state) = self.links.get_mut(&link) else { return true };
        let (mut asked, mut frames) = (0, Vec::new());
        let mut mine = paging.mine.iter().peekable();
        for (id, feed) in self.log.feeds() {
            while mine.next_if(|(ours, _)| ours < id).is_some() {}
            let ours = mine.next_if(|(ours, _)| ours == id).map(|(_, number)| *number);
            let named = paging.theirs.get(id).copied();
            let outgoing = match ours {
                Some(_) if named.is_none() && paging.got.all => {
                    asked += 1;
                    Outgoing::Open { cursor: state.queue_from_start(feed, &mut frames, now) }
                }
                Some(ours) if named < Some(ours) => {
                    state.untold.insert(*id);
                    Outgoing::Quiet { told: ours }
                }
                // A feed that has begun since both snapshots is open from its start. Of one of which
                // nothing is kept there is nothing to send.
                None if feed.is_bare() => continue,
                _ => Outgoing::Open { cursor: named.unwrap_or(0) + 1 },
            };
            if outgoing != (Outgoing::Open { cursor: feed.have + 1 }) {
                state.outgoing.insert(*id, outgoing);
            }
        }
        for (id, number) in &paging.theirs {
            if self.log.feed(id).is_none() {
                state.outgoing.insert(*id, Outgoing::Open { cursor: number + 1 });
            }
            let ours = paging.mine(id);
            if ours < *number {
                let open = ours == 0 && paging.sent.all;
                state.incoming.insert(*id, Incoming { open, known: *number, ..Incoming::default() });
            }
        }
        let is_allowed = state.meter.allows_all(asked, now);
        self.hand_over(link, frames, out);
        is_allowed
    }

    // ---- the end of a link --------------------------------------------------------------------

    /// Ends a link from our side.
    pub(super) fn close(&mut self, link: LinkId, end: End, out: &mut Vec<Output>) {
        if self.knocks.remove(&link).is_some() {
            self.door.gone(link, end, None, self.now.mono);
            out.push(Output::Close { link, end });
        } else if let Some(state) = self.links.remove(&link) {
            out.push(Output::Close { link, end });
            self.link_gone(link, &state, end);
        }
    }

    /// Who was dialled, as far as that is known before a hello.
    fn sought_over(&mut self, link: LinkId) -> Option<FeedId> {
        let target = self.overlay.target(self.links.get(&link)?.dial?)?.clone();
        self.overlay.sought(&target)
    }

    /// The peer has said why it ends the link.
    pub(super) fn exit_arrived(&mut self, link: LinkId, end: End, out: &mut Vec<Output>) {
        let session = self.links.get(&link).and_then(Link::session);
        if let Some(session) = session.filter(|_| matches!(end, End::Surplus | End::Full)) {
            self.overlay.was_shed(session, self.now.mono);
        }
        if end == End::Full
            && let Some(session) = session.or_else(|| self.sought_over(link))
        {
            self.hub_is_full(session);
        }
        if end.is_refusal()
            && let Some(target) = self.links.get(&link).and_then(|state| self.overlay.target(state.dial?).cloned())
        {
            self.refused_by(&target, end);
        }
        self.close(link, end, out);
    }

    /// The other side does not want the link. After a ban it is left alone for a while.
    fn refused_by(&mut self, target: &Target, end: End) {
        self.overlay.was_refused(target);
        self.unreached(target, end.text());
        if end == End::Banned {
            self.overlay.stay_away(target, self.now.mono);
        }
    }

    fn link_gone(&mut self, link: LinkId, state: &Link, end: End) {
        self.door.gone(link, end, state.proved(), self.now.mono);
        self.forget_pulls(link);
        self.forget_answers(link);
        self.whispers_lost(link);
        let target = state.dial.and_then(|dial| self.overlay.finish(dial));
        let Some(session) = state.session() else {
            if let Some(target) = target
                && !matches!(end, End::Duplicate | End::Myself)
                && !end.is_refusal()
            {
                self.unreached(&target, end.text());
            }
            return;
        };
        self.acquaintances.due = true;
        if let Some(peer) = state.peer() {
            self.local.notice(Event::Unlinked(peer, end));
        }
        if self.links.values().any(|other| other.session() == Some(session)) {
            return;
        }
        self.hub_link_gone(session);
        match end {
            End::Surplus => {}
            End::Full | End::Banned | End::Flood | End::Forked | End::Clock => {
                self.overlay.fell_out(session, self.now.mono);
            }
            _ => self.overlay.link_lost(session, self.now.mono),
        }
        if !matches!(end, End::Surplus | End::Full | End::Duplicate) {
            self.watch(session);
        }
    }

    pub(super) fn dial_failed(&mut self, dial: DialId, failure: &DialFailure) {
        let Some(target) = self.overlay.finish(dial) else { return };
        match failure {
            DialFailure::Unreached(why) => {
                self.unreached(&target, why);
                if let Some(session) = self.overlay.sought(&target) {
                    self.hub_unreached(session);
                }
                if let Target::Member { session, .. } = target {
                    self.reader_unreached(session);
                    self.doubt_unreached(session);
                }
            }
            DialFailure::Refused(end) if end.is_refusal() => self.refused_by(&target, *end),
            DialFailure::Refused(end) => {
                self.unreached(&target, end.text());
                if let (End::Full, Some(session)) = (end, self.overlay.sought(&target)) {
                    self.hub_is_full(session);
                }
            }
        }
    }

    /// A dial or greeting came to nothing; the user hears of it once per outcome, for peers that the
    /// user named.
    fn unreached(&mut self, target: &Target, why: &str) {
        let news = self.overlay.failed(target, why, self.now.mono, &mut self.rng);
        if let (true, Target::Named(peer)) = (news, target) {
            self.local.notice(Event::Unreached { peer: peer.clone(), why: why.to_owned() });
        }
    }

    // ---- dials --------------------------------------------------------------------

    pub(super) fn start_dials(&mut self, out: &mut Vec<Output>) {
        if self.is_ending() {
            return;
        }
        if self.plan_due || self.overlay.is_plan_stale(self.now.mono) {
            // Who is here has changed, or who answers.
            let rings = if std::mem::take(&mut self.plan_due) {
                let present = self.roster.present().map(|(session, _)| *session);
                self.book.rings(present.filter(|session| *session != self.me))
            } else {
                self.overlay.rings()
            };
            self.overlay.forget_gone(|session| self.roster.is_present(session));
            let lost = self.roster.lost().into_iter().filter_map(|session| self.book.candidate(session));
            self.overlay.set_shape(self.shape());
            self.overlay.plan(rings, lost.filter(|lost| !is_back(&self.roster, lost)), self.now.mono);
        }
        let linked: BTreeSet<FeedId> = self.links.values().filter_map(Link::session).collect();
        let now = self.now.mono;
        let mut dials = self.overlay.due(&linked, now, &mut self.rng);
        let counts = |(feed, known): (&FeedId, &Session)| known.is_present() && !self.unheard.is_doubtful(feed);
        let is_here = |id: &Id| self.roster.sessions_of(*id).any(counts);
        dials.extend(self.overlay.due_acquaintances(&linked, is_here, now, &mut self.rng));
        out.extend(dials.into_iter().map(|(dial, target)| Output::Dial { dial, target }));
    }

    /// Gives up links between dialable nodes that neither side needs: one at a time, the oldest first.
    pub(super) fn shed_surplus(&mut self, out: &mut Vec<Output>) {
        if self.hub.is_on() {
            return self.shed_beside_hub(out);
        }
        let shared = self.links.iter().filter(|(_, link)| link.is_ready() && link.is_shared_out(true));
        if self.overlay.reach() != Reach::Dialable || shared.clone().count() <= MESH_LINKS_MAX {
            return;
        }
        let surplus = shared
            .filter(|(_, link)| self.now.mono > link.opened_at + SURPLUS_LINK_MS)
            .find(|(_, link)| link.session().is_some_and(|session| !self.overlay.needs(&session)));
        if let Some(link) = surplus.map(|(id, _)| *id) {
            self.close(link, End::Surplus, out);
        }
    }
}

/// Whether who vanished is here as another session, where the former one was.
fn is_back(roster: &Roster, lost: &Candidate) -> bool {
    let is_there = |known: &Session| lost.addresses.iter().all(|addr| known.addresses.contains(addr));
    roster.sessions_of(lost.session.author).any(|(_, known)| known.is_present() && is_there(known))
}
