//! Hub mode: all members link to one of them, and when it goes, to another.
//!
//! `election` decides who that is; here it meets links, posts and the roster. Beside the link to the hub a member keeps
//! two spare links. While both of their ends follow the same hub, they carry no posts, but every two seconds the
//! newest numbers: so a hub that keeps something back is found out. As soon as a member has no hub, its spare links bring what
//! it lacks at once, feed by feed, so the chat goes on while the next hub is found. In a mesh nothing of this happens.

use std::cmp::Reverse;

use crate::limits::{
    HANDING_OVER_MS_MAX, HUB_DOWN_MS, HUB_SETTLES_MS, IDLE_BEATS, IDLE_MS, PROBED_LINKS_MAX, RANK_DEFAULT,
    SPARE_NEWS_MS, SURPLUS_LINK_MS,
};
use crate::wire::end::End;
use crate::wire::record::{Beat, Control, Entry, FeedId, Handover, Mode};

use super::election::{Due, Election, Meaning, Suspicion};
use super::event::{Event, HubStatus, Person};
use super::links::{Link, Outgoing};
use super::overlay::{Reach, Shape};
use super::session::Session;
use super::{LinkId, Output, Room};

/// What the room is, and who its hub.
#[derive(Debug)]
pub(super) struct Hub {
    /// What the room is, as far as we know.
    pub(super) mode: Mode,
    pub(super) election: Election,
    /// The hub from which we have posts, as we have told.
    follows: Option<FeedId>,
    /// The hub of which the user was told last.
    shown: Option<Person>,
    /// It was linked to us, and its link broke.
    broken: Option<FeedId>,
    /// The user was told that it is full.
    full: Option<FeedId>,
}

impl Hub {
    pub(super) fn new(mode: Mode, me: FeedId) -> Self {
        Self { mode, election: Election::new(me), follows: None, shown: None, broken: None, full: None }
    }

    pub(super) fn is_on(&self) -> bool {
        self.mode == Mode::Hub
    }
}

impl Room {
    /// What kind of links the overlay is to keep.
    pub(super) fn shape(&self) -> Shape {
        if self.hub.is_on() { Shape::Star(self.hub.election.last_hub()) } else { Shape::Mesh }
    }

    /// What the room is, for somebody who has not decided that.
    pub(super) fn learn_mode(&mut self, mode: Mode, out: &mut Vec<Output>) {
        if self.hub.mode != Mode::Any || !matches!(mode, Mode::Mesh | Mode::Hub) {
            return;
        }
        self.hub.mode = mode;
        self.plan_due = true;
        let up: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_up()).map(|(id, _)| *id).collect();
        for link in up {
            self.send(link, &Control::Mode { mode }, out);
            self.introduce_hub(link, out);
        }
    }

    pub(super) fn mode_arrived(&mut self, link: LinkId, mode: Mode, out: &mut Vec<Output>) {
        if self.hub.mode.excludes(mode) {
            return self.close(link, End::Mode, out);
        }
        self.learn_mode(mode, out);
    }

    /// Tells a new link who the hub is, and whether we have it.
    pub(super) fn introduce_hub(&mut self, link: LinkId, out: &mut Vec<Output>) {
        if !self.hub.is_on() || !self.links.get(&link).is_some_and(Link::is_ready) {
            return;
        }
        if let Some(beat) = self.hub.election.newest(self.now.mono) {
            self.send(link, &Control::Beat(beat), out);
        }
        let hub = self.hub.follows.map(|hub| self.follow_entry(hub));
        self.send(link, &Control::Follow { hub }, out);
    }

    fn follow_entry(&self, hub: FeedId) -> Entry {
        Entry(hub.author, hub.session, self.hub.election.epoch().max(1))
    }

    // ---- records ------------------------------------------------------------------------------------

    pub(super) fn beat_arrived(&mut self, link: LinkId, beat: &Beat, out: &mut Vec<Output>) {
        if !self.hub.is_on() {
            return;
        }
        if let Some(state) = self.links.get_mut(&link).filter(|state| state.session() == Some(beat.claim().hub)) {
            state.beats += 1;
        }
        let (domain, now) = (&self.domain, self.now.mono);
        match self.hub.election.hear(beat, || beat.is_proved(domain), now, &mut self.rng) {
            Meaning::Nothing | Meaning::Alive => {}
            Meaning::Forged => self.close(link, End::BadSignature, out),
            Meaning::Moved => self.hub_moved(Some(link), out),
            Meaning::Outdated => self.tell_newest(link, out),
            Meaning::Greater => {
                let hub = self.hub.election.hub().and_then(|hub| self.link_to(&hub));
                if let Some(hub) = hub.filter(|hub| *hub != link) {
                    self.send(hub, &Control::Beat(*beat), out);
                }
            }
            Meaning::Overtaken => {
                if self.hub.election.may_hand_over(now) {
                    self.claim_hub(out);
                }
            }
            Meaning::Outranked => {
                if self.hub.election.may_hand_over(now) {
                    self.resign(beat.claim().hub, Some(beat), out);
                }
            }
        }
    }

    fn tell_newest(&mut self, link: LinkId, out: &mut Vec<Output>) {
        if let Some(beat) = self.hub.election.newest(self.now.mono) {
            self.send(link, &Control::Beat(beat), out);
        }
    }

    /// A hub that cannot be dialled as far as we know, as where we know it from the disk alone: who tells of it says over
    /// which network it can.
    fn place_hub(&mut self, link: LinkId) {
        let hub = self.hub.election.hub().filter(|hub| self.book.candidate(*hub).is_none());
        let via = self.links.get(&link).map(|link| link.remote.ip());
        if let Some((hub, session)) = hub.and_then(|hub| Some((hub, self.roster.session(&hub)?))) {
            self.book.learn(hub, &session.addresses, via);
        }
    }

    /// There is another hub: all others hear of it, and it is linked to.
    fn hub_moved(&mut self, from: Option<LinkId>, out: &mut Vec<Output>) {
        self.plan_due = true;
        if let Some(link) = from {
            self.place_hub(link);
        }
        let Some(beat) = self.hub.election.newest(self.now.mono) else { return };
        let ready = self.links.iter().filter(|(id, link)| link.is_ready() && Some(**id) != from);
        let links: Vec<LinkId> = ready.map(|(id, _)| *id).collect();
        self.send_all(&links, &Control::Beat(beat), out);
    }

    pub(super) fn handover_arrived(&mut self, handover: &Handover, out: &mut Vec<Output>) {
        let is_ours = self.hub.election.last_hub() == Some(handover.claim().hub);
        if !self.hub.is_on() || !is_ours || !handover.is_proved(&self.domain) {
            return;
        }
        let (claim, to) = (handover.claim(), handover.successor());
        if self.hub.election.handed_over(claim, to, self.now.mono) && self.may_be_hub() {
            self.claim_hub(out);
        }
    }

    pub(super) fn probe_arrived(&mut self, link: LinkId, out: &mut Vec<Output>) {
        if self.hub.is_on() && self.links.get(&link).is_some_and(Link::is_ready) {
            self.tell_newest(link, out);
        }
    }

    pub(super) fn follow_arrived(&mut self, link: LinkId, hub: Option<Entry>, out: &mut Vec<Output>) {
        if let Some(state) = self.links.get_mut(&link).filter(|state| state.is_up()) {
            state.follows = hub.map(|hub| hub.feed());
            self.review_spares(out);
        }
    }

    // ---- the election ---------------------------------------------------------------------------------

    /// Takes the election as far as time allows.
    pub(super) fn elect(&mut self, out: &mut Vec<Output>) {
        if !self.hub.is_on() || self.is_ending() {
            return;
        }
        self.look_for_first_hub();
        self.suspect_if_gone();
        let is_founding = self.config.mode == Mode::Hub && self.hub.election.epoch() == 0;
        let is_alone = !is_founding && !self.links.values().any(Link::is_ready);
        match self.hub.election.due(is_alone, self.now.mono) {
            Some(Due::Suspicion) => match self.hub_heard_at() {
                Some(at) => self.hub.election.heard_at(at),
                None => self.suspect_hub(Suspicion::Silent),
            },
            Some(Due::Probe) => self.probe(out),
            Some(Due::Claim) if self.may_be_hub() => self.claim_hub(out),
            Some(Due::Beat) => self.beat(out),
            Some(Due::Claim) | None => {}
        }
    }

    /// When the hub itself was heard last, if that is not long ago. A beat may be late behind much else; what comes over a link of
    /// its own, on which it says that it is the hub, is as good a sign of life.
    fn hub_heard_at(&self) -> Option<u64> {
        let hub = self.hub.election.hub()?;
        let link = self.links.get(&self.link_to(&hub)?)?;
        (link.follows == Some(hub) && self.now.mono < link.heard_at + HUB_DOWN_MS).then_some(link.heard_at)
    }

    /// Nobody has told of a hub: who founds the room is it, and where all have come anew it is elected.
    fn look_for_first_hub(&mut self) {
        let election = &self.hub.election;
        if election.known().is_some() || election.is_suspecting() {
            return;
        }
        if self.config.mode == Mode::Hub && self.config.named.is_empty() && self.links.is_empty() {
            return self.suspect_hub(Suspicion::Gone);
        }
        let now = self.now.mono;
        let is_told = |link: &Link| link.is_ready() && now >= link.ready_at + HUB_DOWN_MS;
        let is_waiting = self.config.mode == Mode::Hub && now >= self.started.mono + 2 * HUB_DOWN_MS;
        if is_waiting || self.links.values().any(is_told) {
            self.suspect_hub(Suspicion::Silent);
        }
    }

    /// Who said goodbye is the hub no more. Who is told to be lost may be found again: it is missed when it is silent.
    fn suspect_if_gone(&mut self) {
        let Some(hub) = self.hub.election.hub().filter(|hub| *hub != self.me) else { return };
        let has_left = self.roster.session(&hub).is_some_and(Session::has_left);
        if has_left && self.link_to(&hub).is_none() {
            self.suspect_hub(Suspicion::Gone);
        }
    }

    /// A dial came to nothing: if it was for the hub, whose link broke, that is gone.
    pub(super) fn hub_unreached(&mut self, session: FeedId) {
        let is_hub = self.hub.election.hub() == Some(session) && self.hub.broken == Some(session);
        if self.hub.is_on() && is_hub && self.link_to(&session).is_none() {
            self.suspect_hub(Suspicion::Gone);
        }
    }

    /// A link is over; without one to the hub there is none for now.
    pub(super) fn hub_link_gone(&mut self, session: FeedId) {
        if self.hub.is_on() && self.hub.election.hub() == Some(session) {
            self.hub.broken = Some(session);
            self.plan_due = true;
        }
    }

    fn suspect_hub(&mut self, why: Suspicion) {
        let position = self.position();
        self.hub.election.suspect(why, position, self.now.mono, &mut self.rng);
    }

    /// How many members come before us in the choice of a hub; `None` if we cannot be it.
    fn position(&self) -> Option<u64> {
        if !self.may_be_hub() {
            return None;
        }
        let former = self.hub.election.last_hub();
        let order = |feed: &FeedId, rank: u8, since: u64| (Reverse(rank), since, *feed);
        let ours = order(&self.me, self.config.rank, self.roster.session(&self.me).map_or(0, |me| me.since));
        let before = self.roster.present().filter(|(feed, session)| {
            let rank = session.rank.unwrap_or(RANK_DEFAULT);
            let may_be = rank > 0 && !session.addresses.is_empty() && !session.passing && !session.is_claimed();
            may_be
                && **feed != self.me
                && former != Some(**feed)
                && !self.hub.election.is_distrusted(&feed.author, self.now.mono)
                && order(feed, rank, session.since) < ours
        });
        u64::try_from(before.count()).ok()
    }

    fn may_be_hub(&self) -> bool {
        self.config.rank > 0 && self.overlay.reach() == Reach::Dialable && !self.announced.addresses.is_empty()
    }

    fn probe(&mut self, out: &mut Vec<Output>) {
        // The hub itself among them: its beats may have been late.
        let hub = self.hub.election.last_hub().and_then(|hub| self.link_to(&hub));
        let ready = self.links.iter().filter(|(id, link)| link.is_ready() && Some(**id) != hub);
        let mut links: Vec<LinkId> = ready.map(|(id, _)| *id).collect();
        while links.len() > PROBED_LINKS_MAX {
            let index = usize::try_from(self.rng.below(links.len() as u64)).unwrap_or(0);
            links.swap_remove(index);
        }
        links.extend(hub);
        self.send_all(&links, &Control::Probe {}, out);
    }

    fn claim_hub(&mut self, out: &mut Vec<Output>) {
        let claim = self.hub.election.next_claim(self.config.rank);
        let beat = Beat::sign(claim, 1, self.follower_count(), &self.domain, &self.config.identity);
        self.hub.election.beaten(beat, self.now.mono);
        self.hub_moved(None, out);
    }

    fn beat(&mut self, out: &mut Vec<Output>) {
        let Some(known) = self.hub.election.known() else { return };
        let (claim, number) = (known.beat.claim(), self.hub.election.next_number());
        let beat = Beat::sign(claim, number, self.follower_count(), &self.domain, &self.config.identity);
        self.hub.election.beaten(beat, self.now.mono);
        let links: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_ready()).map(|(id, _)| *id).collect();
        self.send_all(&links, &Control::Beat(beat), out);
    }

    fn follower_count(&self) -> u64 {
        self.links.values().filter(|link| link.is_ready()).count() as u64
    }

    /// Names the hub that comes after us.
    fn resign(&mut self, to: FeedId, beat: Option<&Beat>, out: &mut Vec<Output>) {
        let Some(claim) = self.hub.election.known().map(|known| known.beat.claim()) else { return };
        let handover = Handover::sign(claim, to, &self.domain, &self.config.identity);
        let links: Vec<LinkId> = self.links.iter().filter(|(_, link)| link.is_ready()).map(|(id, _)| *id).collect();
        self.send_all(&links, &Control::Handover(handover), out);
        self.hub.election.hand_over(to, self.now.mono);
        if let Some(beat) = beat {
            // It was proved when it outranked us.
            self.hub.election.hear(beat, || true, self.now.mono, &mut self.rng);
            self.hub_moved(None, out);
        }
    }

    /// A hub that leaves names its successor first, so that nobody waits. Returns until when the goodbye has to wait.
    pub(super) fn hand_over_to_leave(&mut self, out: &mut Vec<Output>) -> Option<u64> {
        if !self.hub.is_on() || !self.hub.election.is_hub() {
            return None;
        }
        let ready = self.links.values().filter(|link| link.is_ready()).filter_map(Link::session);
        let heirs = ready.filter_map(|feed| {
            let session = self.roster.session(&feed)?;
            let rank = session.rank.unwrap_or(RANK_DEFAULT);
            let may_be = rank > 0 && !session.addresses.is_empty() && !session.passing && session.is_present();
            may_be.then_some((Reverse(rank), session.since, feed))
        });
        let (.., heir) = heirs.min()?;
        self.resign(heir, None, out);
        Some(self.now.mono + HANDING_OVER_MS_MAX)
    }

    /// Whether nobody has posts from us alone any more.
    pub(super) fn has_no_followers(&self) -> bool {
        !self.links.values().any(|link| link.is_ready() && link.follows == Some(self.me))
    }

    // ---- who brings posts -------------------------------------------------------------------------------

    /// The hub from which we have posts: over a link of our own.
    fn followed(&self) -> Option<FeedId> {
        let hub = self.hub.election.hub()?;
        (hub == self.me || self.link_to(&hub).is_some()).then_some(hub)
    }

    pub(super) fn followed_hub(&self) -> Option<FeedId> {
        self.hub.follows
    }

    pub(super) fn hub_epoch(&self) -> u64 {
        self.hub.election.epoch()
    }

    /// Whether posts have to find their way without a hub.
    pub(super) fn is_hubless(&self) -> bool {
        self.hub.is_on() && self.hub.follows.is_none()
    }

    /// Whether a link brings posts, the hub's or at the hub a follower's, and yet of a feed only tells: it was a spare one, or
    /// another one was faster.
    pub(super) fn should_bring(&self, link: LinkId, feed: &FeedId) -> bool {
        let Some((hub, link)) = self.hub.follows.zip(self.links.get(&link)) else { return false };
        let is_of_star = if hub == self.me { link.follows == Some(hub) } else { link.session() == Some(hub) };
        is_of_star && !link.is_open_in(feed)
    }

    /// After each input: tells all links when we have another hub, or none.
    pub(super) fn review_hub(&mut self, out: &mut Vec<Output>) {
        if !self.hub.is_on() {
            return;
        }
        let followed = self.followed();
        if followed == self.hub.follows {
            if followed.is_none() {
                self.tell_news(out);
            }
            return;
        }
        self.hub.follows = followed;
        if followed.is_some() {
            self.hub.election.confirm();
            self.hub.broken = None;
        }
        let ready = self.links.iter().filter(|(_, link)| link.is_ready());
        let links: Vec<LinkId> = ready.map(|(id, _)| *id).collect();
        let hub = followed.map(|hub| self.follow_entry(hub));
        self.send_all(&links, &Control::Follow { hub }, out);
        self.review_spares(out);
        self.pulls.look_again();
        if let Some(hub) = followed {
            self.show_hub(hub);
        }
    }

    fn show_hub(&mut self, hub: FeedId) {
        let of_link = || self.links.values().filter(|link| link.session() == Some(hub)).find_map(Link::peer);
        let person = self.roster.person(&hub).or_else(|| of_link().map(|peer| peer.person));
        let person = person.unwrap_or_else(|| Person { id: hub.author, nick: self.config.nick.clone() });
        if self.hub.shown.as_ref().is_some_and(|shown| shown.id == person.id) {
            return;
        }
        let former = self.hub.shown.replace(person.clone());
        let gone = former.is_some() && self.hub.election.known().is_some_and(|known| !known.was_named);
        if let Some(HubStatus { myself, since, epoch, links, .. }) = self.hub_status() {
            self.local.notice(Event::Hub { hub: person, myself, since, epoch, links, former, gone });
        }
    }

    /// Which links are spare: both ends have the same hub, and neither is it.
    fn review_spares(&mut self, out: &mut Vec<Output>) {
        let followed = self.hub.follows.filter(|hub| *hub != self.me && self.hub.is_on());
        let is_spare = |link: &Link| {
            link.is_ready() && followed.is_some() && link.follows == followed && link.session() != followed
        };
        let changed = self.links.iter().filter(|(_, link)| is_spare(link) != link.is_spare).map(|(id, _)| *id);
        for link in changed.collect::<Vec<_>>() {
            self.set_spare(link);
        }
        if followed.is_none() {
            self.tell_news(out);
        }
    }

    /// A link becomes a spare one, or is one no more. What it was to bring comes from the hub; afterwards it is told
    /// what is new, and asked where something is lacking.
    fn set_spare(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.is_spare = !link.is_spare;
        link.news_at = 0;
        if !link.is_spare {
            return;
        }
        for (feed, kept) in self.log.feeds() {
            let told = match link.outgoing.get(feed) {
                None => kept.have,
                Some(Outgoing::Open { cursor }) => cursor.saturating_sub(1).min(kept.have),
                Some(Outgoing::Quiet { told }) => *told,
            };
            link.outgoing.insert(*feed, Outgoing::Quiet { told });
            if kept.have > told {
                link.untold.insert(*feed);
            }
            let incoming = link.incoming.entry(*feed).or_default();
            (incoming.open, incoming.hushed, incoming.surplus) = (false, true, 0);
        }
        self.forget_pulls(id);
    }

    /// Whether a link is told the news now.
    pub(super) fn may_tell(&mut self, link: LinkId) -> bool {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(&link) else { return false };
        let is_due = !link.is_spare || now >= link.news_at;
        if is_due && link.is_spare {
            link.news_at = now + SPARE_NEWS_MS;
        }
        is_due
    }

    /// A post had to be fetched from a spare link. If the hub was there and had nothing else to bring, it has kept it back,
    /// and is left.
    pub(super) fn fetched_from_spare(&mut self, feed: FeedId, link: LinkId) {
        let now = self.now.mono;
        let Some(hub) = self.hub.follows.filter(|hub| *hub != self.me) else { return };
        let is_author = self.links.get(&link).is_some_and(|link| link.is_linked_to(&feed.author));
        let is_settled = self.hub.election.known().is_some_and(|known| now > known.since + HUB_SETTLES_MS);
        let to_hub = self.link_to(&hub).and_then(|link| self.links.get(&link));
        let is_idle = to_hub.is_some_and(|link| link.beats >= IDLE_BEATS && now >= link.brought_at + IDLE_MS);
        if is_author || !is_settled || !is_idle {
            return;
        }
        if let Some(hub) = self.roster.person(&hub) {
            let text = format!("the hub {} kept messages back: another one is looked for", hub.nick);
            self.local.notice(Event::Warning(text));
        }
        self.hub.election.distrust(hub.author, now);
        self.suspect_hub(Suspicion::Silent);
    }

    /// Gives up links that neither side needs, once we have had the hub for a while: who was the hub before serves on
    /// until then. A link to somebody who cannot be dialled is given up by that side.
    pub(super) fn shed_beside_hub(&mut self, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let is_settled = self.hub.election.known().is_some_and(|known| now > known.since + SURPLUS_LINK_MS);
        if self.hub.follows.is_none_or(|hub| hub == self.me) || !is_settled || self.overlay.reach() == Reach::NamedOnly
        {
            return;
        }
        let we_listen = self.overlay.reach() == Reach::Dialable;
        let surplus = self.links.iter().filter(|(_, link)| {
            let is_ours_to_end = link.is_spare && (link.is_shared_out(we_listen) || link.dial.is_some());
            let is_needed = link.session().is_none_or(|session| self.overlay.needs(&session));
            is_ours_to_end && !is_needed && now > link.opened_at + SURPLUS_LINK_MS
        });
        for link in surplus.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.close(link, End::Surplus, out);
        }
    }

    /// The hub has all the links that it can keep; the user is told so once.
    pub(super) fn hub_is_full(&mut self, session: FeedId) {
        if self.hub.is_on() && self.hub.election.hub() == Some(session) && self.hub.full != Some(session) {
            self.hub.full = Some(session);
            let text = "the hub has all the links it can keep: others pass on what is said here".to_owned();
            self.local.notice(Event::Warning(text));
        }
    }

    /// For /status.
    pub(super) fn hub_status(&self) -> Option<HubStatus> {
        let known = self.hub.election.known().filter(|_| self.hub.is_on())?;
        let hub = known.beat.claim().hub;
        let ago = self.now.mono.saturating_sub(known.since);
        Some(HubStatus {
            person: self.roster.person(&hub),
            myself: hub == self.me,
            reached: self.hub.follows == Some(hub),
            since: self.now.wall.saturating_sub(ago),
            epoch: known.beat.epoch,
            links: known.beat.links,
        })
    }
}
