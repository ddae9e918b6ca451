//! How a link begins and ends: hello, the pages of `have`, exit.
//!
//! The side that was dialled says hello first, so that the dialler can tell whether it holds a link to
//! that node already; only where it does not, it answers. Then both page through a snapshot of what
//! they have seen and end with `done`. From then on both sides know, without a further word,
//! which feeds are open and which are quiet, and posts flow.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::limits::{
    ADDRESSES_PER_NODE_MAX, DIALS_CROSS_MS_MAX, FEEDS_PER_PAGE_MAX, LINK_FEEDS_MAX, MESH_LINKS_MAX, SURPLUS_LINK_MS,
};
use crate::wire::end::End;
use crate::wire::record::{Control, Entry, FeedId, Hello, VERSION};

use super::door::{Verdict, clock_objection, clock_text};
use super::event::Event;
use super::links::{Incoming, Link, Outgoing, Paging};
use super::overlay::{DialId, Reach, Target};
use super::{DialFailure, LinkId, Output, Room};

/// Whether what was said before we came has been caught up with, as far as the first links told.
#[derive(Debug, Default)]
pub(super) struct Completion {
    /// Feeds that still lack something, with the number to reach. `None` before the first link.
    lacking: Option<BTreeMap<FeedId, u64>>,
    /// Up to which number a feed's posts are from before we came.
    backlog: BTreeMap<FeedId, u64>,
    complete: bool,
    began_at: u64,
    progress_at: u64,
}

/// A catch-up without any progress for this long is taken for over; its holes are told as such.
const COMPLETION_STALLED_MS: u64 = 5_000;

/// A newcomer is shown what is there after this long, however much is still to come; a peer may have
/// promised what does not exist.
const COMPLETION_MS_MAX: u64 = 60_000;

impl Completion {
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether what is said now has to wait for what was said before.
    pub(super) fn is_under_way(&self) -> bool {
        self.lacking.is_some() && !self.complete
    }

    /// Whether a post belongs to what was said before we came.
    pub(super) fn covers(&self, feed: &FeedId, number: u64) -> bool {
        !self.complete && self.backlog.get(feed).is_some_and(|last| number <= *last)
    }
}

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
            mode: "mesh".to_owned(),
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
        if dial.is_some() {
            self.say_hello(link, out);
        }
        self.link_up(link, hello, out);
    }

    /// What stands against a link with somebody, if anything.
    fn objection(&self, hello: &Hello) -> Option<End> {
        if hello.version != VERSION {
            Some(End::Version)
        } else if hello.room != self.config.room {
            Some(End::Room)
        } else if hello.mode != "mesh" {
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
        let mine: BTreeMap<FeedId, u64> =
            self.log.feeds().filter(|(_, feed)| !feed.is_bare()).map(|(id, feed)| (*id, feed.newest())).collect();
        let Some(state) = self.links.get_mut(&link) else { return };
        let session = hello.feed();
        state.hello = Some(hello);
        self.door.came_up(link, state.remote.ip(), self.now.mono);
        let progress_at = self.now.mono;
        state.paging = Some(Box::new(Paging { unsent: mine.clone(), mine, progress_at, ..Paging::default() }));
        if let Some(peer) = state.peer() {
            self.local.notice(Event::Linked(peer));
        }
        self.watches.remove(&session);
        self.page_on(link, out);
        self.announce_addresses(out);
    }

    /// Sends pages while the outbox has room, then `done`.
    pub(super) fn page_on(&mut self, link: LinkId, out: &mut Vec<Output>) {
        loop {
            let Some(state) = self.links.get_mut(&link) else { return };
            if state.outbox_is_full() {
                return;
            }
            let Some(paging) = state.paging.as_mut().filter(|paging| !paging.sent_done) else { return };
            let rest = match paging.unsent.keys().nth(FEEDS_PER_PAGE_MAX).copied() {
                Some(next) => paging.unsent.split_off(&next),
                None => BTreeMap::new(),
            };
            let page = std::mem::replace(&mut paging.unsent, rest);
            paging.progress_at = self.now.mono;
            if page.is_empty() {
                paging.sent_done = true;
                self.send(link, &Control::Done {}, out);
                return self.ready_if_done(link, out);
            }
            let feeds = page.into_iter().map(|(feed, number)| Entry(feed.author, feed.session, number)).collect();
            self.send(link, &Control::Have { feeds }, out);
        }
    }

    pub(super) fn have_arrived(&mut self, link: LinkId, feeds: &[Entry], out: &mut Vec<Output>) {
        let paging = self.links.get_mut(&link).and_then(|link| link.paging.as_mut());
        let Some(paging) = paging.filter(|paging| !paging.got_done) else {
            return self.close(link, End::OutOfTurn, out);
        };
        paging.progress_at = self.now.mono;
        paging.named += feeds.len();
        if paging.named > LINK_FEEDS_MAX {
            return self.close(link, End::OutOfTurn, out);
        }
        for entry in feeds {
            if paging.theirs.len() < crate::limits::FEEDS_MAX {
                paging.theirs.insert(entry.feed(), entry.2);
            }
        }
    }

    pub(super) fn done_arrived(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let paging = self.links.get_mut(&link).and_then(|link| link.paging.as_mut());
        let Some(paging) = paging.filter(|paging| !paging.got_done) else {
            return self.close(link, End::OutOfTurn, out);
        };
        paging.got_done = true;
        self.ready_if_done(link, out);
    }

    fn ready_if_done(&mut self, link: LinkId, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let Some(paging) = state.paging.take_if(|paging| paging.sent_done && paging.got_done) else { return };
        let Paging { mine, theirs, .. } = *paging;
        state.ready_at = self.now.mono;
        self.expect(&theirs);
        self.open_feeds(link, &mine, &theirs);
        self.catch_up_over(link, &theirs, out);
        self.ask_new_link(link, out);
        self.serve(link, out);
        self.check_completion();
    }

    /// Until the first catch-up is over, each new link may add to what it takes.
    fn expect(&mut self, theirs: &BTreeMap<FeedId, u64>) {
        if self.completion.complete {
            return;
        }
        self.completion.progress_at = self.now.mono;
        if self.completion.lacking.is_none() {
            self.completion.began_at = self.now.mono;
        }
        let lacking = self.completion.lacking.get_or_insert_default();
        for (feed, number) in theirs {
            let have = self.log.have(feed);
            if *number > have && *feed != self.me {
                lacking.insert(*feed, *number);
                // What came live before is no backlog, and what follows it neither.
                if have == 0 {
                    self.completion.backlog.entry(*feed).or_insert(*number);
                }
            }
        }
    }

    /// Both sides compute the same: a direction is open iff its receiver lacked nothing.
    fn open_feeds(&mut self, link: LinkId, mine: &BTreeMap<FeedId, u64>, theirs: &BTreeMap<FeedId, u64>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        for (id, feed) in self.log.feeds() {
            let named = theirs.get(id).copied().unwrap_or(0);
            let outgoing = match mine.get(id) {
                Some(ours) if named < *ours => {
                    state.untold.insert(*id);
                    Outgoing::Quiet { told: *ours }
                }
                // A feed that has begun since both snapshots is open from its start. Of one of which
                // nothing is kept there is nothing to send.
                None if feed.is_bare() => continue,
                _ => Outgoing::Open { cursor: named + 1 },
            };
            if outgoing != (Outgoing::Open { cursor: feed.have + 1 }) {
                state.outgoing.insert(*id, outgoing);
            }
        }
        for (id, number) in theirs {
            if self.log.feed(id).is_none() {
                state.outgoing.insert(*id, Outgoing::Open { cursor: number + 1 });
            }
            if mine.get(id).copied().unwrap_or(0) < *number {
                state.incoming.insert(*id, Incoming { open: false, known: *number, ..Incoming::default() });
            }
        }
    }

    /// Notes progress of the first catch-up; at its end the roster and the backlog are shown.
    pub(super) fn note_completion(&mut self, feed: &FeedId, have: u64) {
        if self.completion.complete {
            return;
        }
        if let Some(lacking) = &mut self.completion.lacking
            && let Some(target) = lacking.get(feed)
        {
            self.completion.progress_at = self.now.mono;
            if *target <= have {
                lacking.remove(feed);
                self.check_completion();
            }
        }
    }

    pub(super) fn check_completion(&mut self) {
        let Some(lacking) = &self.completion.lacking else { return };
        let stalled = self.now.mono > self.completion.progress_at + COMPLETION_STALLED_MS;
        let late = self.now.mono > self.completion.began_at + COMPLETION_MS_MAX;
        if self.completion.complete || !(lacking.is_empty() || stalled || late) {
            return;
        }
        self.completion.complete = true;
        self.completion.backlog.clear();
        self.watch_former_sessions();
        self.show_roster();
        self.local.show_backlog(&self.log);
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

    /// The peer has said why it ends the link.
    pub(super) fn exit_arrived(&mut self, link: LinkId, end: End, out: &mut Vec<Output>) {
        if let Some(session) = self.links.get(&link).and_then(Link::session)
            && matches!(end, End::Surplus | End::Full)
        {
            self.overlay.was_shed(session, self.now.mono);
        }
        if end.is_refusal()
            && let Some(target) = self.links.get(&link).and_then(|state| self.overlay.target(state.dial?).cloned())
        {
            self.overlay.was_refused(&target);
            self.unreached(&target, end.text());
        }
        self.close(link, end, out);
    }

    fn link_gone(&mut self, link: LinkId, state: &Link, end: End) {
        self.door.gone(link, end, state.proved(), self.now.mono);
        self.forget_pulls(link);
        self.forget_answers(link);
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
        if let Some(peer) = state.peer() {
            self.local.notice(Event::Unlinked(peer, end));
        }
        if self.links.values().any(|other| other.session() == Some(session)) {
            return;
        }
        match end {
            End::Surplus | End::Full => {}
            End::Banned | End::Flood | End::Forked | End::Clock => self.overlay.fell_out(session, self.now.mono),
            _ => self.overlay.link_lost(session, self.now.mono),
        }
        if !matches!(end, End::Surplus | End::Full | End::Duplicate) {
            self.watch(session);
        }
    }

    pub(super) fn dial_failed(&mut self, dial: DialId, failure: &DialFailure) {
        let Some(target) = self.overlay.finish(dial) else { return };
        match failure {
            DialFailure::Unreached(why) => self.unreached(&target, why),
            DialFailure::Refused(end) => {
                if end.is_refusal() {
                    self.overlay.was_refused(&target);
                }
                self.unreached(&target, end.text());
            }
        }
    }

    /// A dial or greeting came to nothing; the user hears of it once per outcome, for peers that the
    /// user named.
    fn unreached(&mut self, target: &Target, why: &str) {
        let news = self.overlay.failed(target, why, self.now.mono, &mut self.rng);
        self.plan_due = true;
        if let (true, Target::Named(peer)) = (news, target) {
            self.local.notice(Event::Unreached { peer: peer.clone(), why: why.to_owned() });
        }
    }

    // ---- addresses and dials --------------------------------------------------------------------

    /// Where others reach us: our port with each link's local address and each address that a peer
    /// sees us as.
    pub(super) fn own_addresses(&self) -> Vec<SocketAddr> {
        let Some(bound) = self.config.listening.filter(|_| self.overlay.reach() == Reach::Dialable) else {
            return Vec::new();
        };
        if !bound.ip().is_unspecified() {
            return vec![bound];
        }
        let mut addresses: Vec<SocketAddr> = self.addresses.clone();
        let up = || self.links.values().filter(|link| link.is_up());
        let local = up().map(|link| link.local);
        let seen = up().filter_map(|link| link.hello.as_ref().map(|hello| hello.seen));
        for ip in local.chain(seen) {
            let addr = SocketAddr::new(ip.to_canonical(), bound.port());
            if !ip.is_unspecified() && !addresses.contains(&addr) && addresses.len() < ADDRESSES_PER_NODE_MAX {
                addresses.push(addr);
            }
        }
        addresses
    }

    /// Joins anew when a link has shown another address of ours.
    fn announce_addresses(&mut self, out: &mut Vec<Output>) {
        let addresses = self.own_addresses();
        if addresses != self.addresses {
            self.addresses = addresses;
            self.post_join(out);
        }
    }

    pub(super) fn start_dials(&mut self, out: &mut Vec<Output>) {
        if !matches!(self.ending, super::own::Ending::Open | super::own::Ending::Confirming(_)) {
            return;
        }
        if self.plan_due {
            self.plan_due = false;
            let present = self.roster.present().map(|(session, _)| *session);
            self.overlay.plan(present, self.roster.lost().into_iter(), self.now.mono);
        }
        let linked: BTreeSet<FeedId> = self.links.values().filter_map(Link::session).collect();
        for (dial, target) in self.overlay.due(&linked, self.now.mono, &mut self.rng) {
            out.push(Output::Dial { dial, target });
        }
    }

    /// Gives up links between dialable nodes that neither side needs: one at a time, the oldest first.
    pub(super) fn shed_surplus(&mut self, out: &mut Vec<Output>) {
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
