//! The room: the pure core. What happened goes in, what to do comes out.
//!
//! `Room::handle` takes one input (a link came up, a run of records arrived, the user said something,
//! time passed) and pushes what is to be done (send to these links, close that one, dial).
//! `Room::next_event` gives what the user should see, as fast as it is taken. There is no
//! thread, socket, clock, lock or channel here, and chance only from a seed, so a whole network of
//! rooms runs in one thread and every failure replays.
//!
//! The rules of the flood are spread over the files by purpose: `door` (who may begin a handshake), `greet` (hello, paging, goodbye of a link), `flood` (append), `serve` (send on), `pull` (want, quiet, news), `hole` (posts behind a gap), `completion` (the first catch-up), `recovery` (what was missed),
//! `mark` (acks), `own` (what this node posts), `rename` (its nick), `unsaid` (what was read and has to wait), `ending` (how its run ends), `verdict` (its outcome), `election` and `hub` (who is the hub), `watch` and `unheard` (who vanished), `past` and `acquaintance` (what is kept). `log`, `roster`, `links`, `overlay`, `pace` and
//! `local` are the state that they work on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::identity::Id;
use crate::limits::{
    LINK_FEEDS_MAX, LINK_PING_AFTER_MS, LINK_PING_PHASES, LINK_SILENT_MS_MAX, MEMBERS_COUNTED_AT_ONCE, NEWS_MS,
    OUTBOX_BYTES_MAX, OUTBOX_CONTROL_BYTES_MAX, TICK_MS,
};
use crate::wire::Frame;
use crate::wire::end::End;
use crate::wire::record::{Control, Domain, FeedId};
use crate::wire::seal::Sealer;

mod acquaintance;
mod address;
mod away;
mod boundary;
mod bucket;
mod completion;
mod door;
mod election;
mod ending;
pub mod event;
mod feeds;
mod flood;
mod greet;
mod hole;
mod hub;
pub mod intake;
mod links;
mod local;
mod log;
mod mark;
mod meter;
pub mod names;
mod notices;
pub mod overlay;
mod own;
mod pace;
mod past;
mod places;
mod pull;
mod reachable;
mod recall;
mod recovery;
mod rename;
mod report;
pub mod rng;
mod roster;
mod serve;
mod session;
pub mod skeleton;
mod unheard;
mod unsaid;
pub mod verdict;
mod watch;
mod whisper;

pub use acquaintance::Acquaintance;
pub use report::View;

use event::Event;
use links::Link;
use overlay::{Book, Overlay};
use rng::Rng;

pub use boundary::{Arrival, Config, DialFailure, Input, Named, Now, Output};
pub use links::LinkId;
pub use overlay::{DialId, Reach, Shape, Target};
pub use past::Past;
pub use recall::Wanted;
pub use whisper::{Heard, Letter, Letters, Note};

/// One node's view of the room. See the module's page.
#[derive(Debug)]
pub struct Room {
    config: Config,
    domain: Domain,
    me: FeedId,
    now: Now,
    started: Now,
    rng: Rng,
    /// The hybrid logical clock: the highest time seen or given.
    clock: u64,
    log: log::Log,
    /// Who has connected and is in the handshake, since when.
    knocks: BTreeMap<LinkId, u64>,
    door: door::Door,
    links: BTreeMap<LinkId, Link>,
    roster: roster::Roster,
    roster_changed_at: Option<u64>,
    members_due: bool,
    members_counted_at: u64,
    overlay: Overlay,
    book: Book,
    hub: hub::Hub,
    whispers: whisper::Whispers,
    acquaintances: acquaintance::Acquaintances,
    plan_due: bool,
    pace: pace::Pace,
    local: local::Local,
    keeping: past::Keeping,
    recovery: recovery::Recovery,
    pulls: pull::Pulls,
    marks: mark::Marks,
    warned_of_feeds: bool,
    /// Until then there is no room for new feeds.
    feeds_full_until: u64,
    holes: BTreeMap<FeedId, hole::Hole>,
    watches: BTreeMap<FeedId, watch::Watch>,
    unheard: unheard::Unheard,
    /// The posts of `lost` that we may make.
    losses: bucket::Bucket,
    /// Sessions that were watched although no link to them was lost, and since when.
    doubted: BTreeMap<FeedId, u64>,
    /// When a member was last told as lost.
    lost_at: Option<u64>,
    /// Authors with two posts under one number.
    forked: BTreeSet<Id>,
    completion: completion::Completion,
    ending: ending::Ending,
    /// What was read and cannot be said yet.
    unsaid: unsaid::Unsaid,
    /// How many says were posted, and the number of the last one.
    said: u64,
    said_last: u64,
    /// And how often to somebody alone.
    whispered: u64,
    /// Sessions that have confirmed everything, and may go.
    held: BTreeSet<FeedId>,
    announced: reachable::Announced,
    absence: away::Absence,
    renames: rename::Renames,
    /// When somebody was last there to hear a passing run,
    accompanied_at: Option<u64>,
    /// and whether somebody was when the first of what is not confirmed was read, or later; `None` where all is.
    owed_to_somebody: Option<bool>,
    /// Authors whose clocks are so far ahead that their posts are refused.
    untimely: BTreeSet<Id>,
    next_half_second_at: u64,
    next_news_at: u64,
    next_minute_at: u64,
    ticked_at: u64,
}

impl Room {
    /// A room with nobody in it but us, who join at once.
    pub fn new(config: Config, now: Now, out: &mut Vec<Output>) -> Self {
        Self::resume(config, &Past::default(), now, out)
    }

    /// The same with what earlier runs have kept of it.
    pub fn resume(config: Config, past: &Past, now: Now, out: &mut Vec<Output>) -> Self {
        let me = FeedId { author: config.identity.id(), session: config.session };
        let domain = Domain::of_room(&config.room);
        let sealer = Sealer::new(&config.identity, &config.room, &domain, config.chance.clone());
        let mut room = Self {
            domain,
            me,
            now,
            started: now,
            rng: Rng::new(config.seed),
            clock: 0,
            log: log::Log::default(),
            knocks: BTreeMap::new(),
            door: door::Door::default(),
            links: BTreeMap::new(),
            roster: roster::Roster::default(),
            roster_changed_at: None,
            members_due: true,
            members_counted_at: now.mono,
            overlay: Overlay::new(me, config.reach, &config.named),
            book: Book::default(),
            hub: hub::Hub::new(config.mode, me),
            whispers: whisper::Whispers::new(sealer, config.to.clone()),
            acquaintances: acquaintance::Acquaintances::of(&config.remembered),
            plan_due: true,
            pace: pace::Pace::new(me.author),
            local: local::Local::new(config.backlog_lines),
            keeping: past::Keeping::default(),
            recovery: recovery::Recovery::default(),
            pulls: pull::Pulls::default(),
            marks: mark::Marks::default(),
            warned_of_feeds: false,
            feeds_full_until: 0,
            holes: BTreeMap::new(),
            watches: BTreeMap::new(),
            unheard: unheard::Unheard::default(),
            losses: bucket::Bucket::default(),
            doubted: BTreeMap::new(),
            lost_at: None,
            forked: BTreeSet::new(),
            completion: completion::Completion::default(),
            ending: ending::Ending::Open,
            unsaid: unsaid::Unsaid::default(),
            said: 0,
            said_last: 0,
            whispered: 0,
            held: BTreeSet::new(),
            announced: reachable::Announced::default(),
            absence: away::Absence::default(),
            renames: rename::Renames::default(),
            accompanied_at: None,
            owed_to_somebody: None,
            untimely: BTreeSet::new(),
            next_half_second_at: now.mono,
            next_news_at: now.mono,
            next_minute_at: now.mono + 60_000,
            ticked_at: now.mono,
            config,
        };
        if let Some(addr) = room.config.listening {
            let (id, name) = (me.author, room.config.room.clone());
            room.local.notice(Event::Listening { addr, id, room: name });
        }
        room.overlay.recall(room.acquaintances.iter(), now.mono);
        if room.config.named.is_empty() && room.config.reach != Reach::NamedOnly && room.acquaintances.people() > 0 {
            room.local.notice(Event::Looking { peers: room.acquaintances.people() });
        }
        let nick = room.config.nick.clone();
        room.roster.name_me(event::Person { id: me.author, nick }, room.config.passing);
        room.take_up(past, out);
        room.announced.addresses = room.own_addresses();
        room.post_join(out);
        room
    }

    /// Takes one input and does all that follows from it.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        self.now = now;
        match input {
            Input::Knocked { link, remote } => self.knocked(link, remote, out),
            Input::Connected { link, dial, remote, local, channel } => {
                self.connected(link, Link::new(remote, local, dial, channel, now), out);
            }
            Input::DialFailed { dial, failure } => self.dial_failed(dial, &failure),
            Input::Arrived { link, run } => self.arrived(link, run, out),
            Input::Broken { link, end } => {
                self.close(link, end, out);
            }
            Input::Worn { link } => self.close(link, End::Renew, out),
            Input::Drained { link, bytes } => self.drained(link, bytes, out),
            Input::Command(command) => self.command(command, out),
            Input::Say(said) => self.text_read(said, out),
            Input::Shown => {}
            Input::Kept { token } => self.whispers_kept(token),
            Input::Tick => self.tick(out),
        }
        self.settle(out);
    }

    /// The next thing to show to the user.
    pub fn next_event(&mut self) -> Option<Event> {
        if self.local.takes_names() {
            return Some(Event::Present(self.roster.people()));
        }
        let roster = &self.roster;
        let next = self.local.next(&self.log, self.me.author, |feed| roster.person(feed), self.now.mono)?;
        Some(match next {
            local::Next::Event(event) => event,
            local::Next::Question(local::Question::Names) => self.names(),
            local::Next::Question(local::Question::Status) => self.status(),
            local::Next::Question(local::Question::Recall(wanted)) => self.recall(&wanted),
        })
    }

    /// Whether acks wait for the user's side to take events.
    pub fn owes_answers(&self) -> bool {
        self.marks.are_owed() || self.whispers.owe_answers()
    }

    fn arrived(&mut self, link: LinkId, run: Vec<Arrival>, out: &mut Vec<Output>) {
        let now = self.now.mono;
        if let Some(state) = self.links.get_mut(&link).filter(|_| run.is_empty()) {
            state.part_arrived(now);
        }
        for arrival in run {
            // A record may have ended the link; the rest of the run is void.
            let Some(state) = self.links.get_mut(&link) else { return };
            state.heard_at = now;
            let greeting = matches!(arrival, Arrival::Control(Control::Hello(_) | Control::Exit { .. }));
            if !greeting && !state.is_up() {
                return self.close(link, End::OutOfTurn, out);
            }
            match arrival {
                Arrival::Post(post) => self.post_arrived(link, post, out),
                Arrival::Copy { feed, number, bytes } => self.copy_arrived(link, feed, number, bytes, out),
                Arrival::Ack(ack) => self.ack_arrived(ack, out),
                Arrival::Control(control) => self.control_arrived(link, control, out),
            }
        }
        let Some(state) = self.links.get_mut(&link) else { return };
        state.heard_at = now;
        if state.feeds_remembered() > LINK_FEEDS_MAX {
            self.close(link, End::OutOfTurn, out);
        }
    }

    fn control_arrived(&mut self, link: LinkId, control: Control, out: &mut Vec<Output>) {
        let now = self.now.mono;
        if !self.links.get_mut(&link).is_some_and(|state| state.meter.allows(&control, now)) {
            return self.close(link, End::Flood, out);
        }
        match control {
            Control::Hello(hello) => self.hello_arrived(link, hello, out),
            Control::Have { feeds } => self.have_arrived(link, &feeds, out),
            Control::All {} => self.all_arrived(link, out),
            Control::Done {} => self.done_arrived(link, out),
            Control::Want { author, session, from, answer } => {
                self.want_arrived(link, FeedId { author, session }, from, answer, out);
            }
            Control::Quiet { author, session } => self.quiet_arrived(link, FeedId { author, session }, out),
            Control::News { feeds } => {
                for entry in feeds {
                    self.told(link, entry.feed(), entry.2, out);
                }
            }
            Control::Gap { author, session, from, to } => {
                self.gap_arrived(link, FeedId { author, session }, from, to, out);
            }
            Control::Ping { token } => self.send(link, &Control::Pong { token }, out),
            Control::Exit { reason, .. } => self.exit_arrived(link, End::from_word(&reason), out),
            Control::Mode { mode } => self.mode_arrived(link, mode, out),
            Control::Beat(beat) => self.beat_arrived(link, &beat, out),
            Control::Handover(handover) => self.handover_arrived(&handover, out),
            Control::Probe {} => self.probe_arrived(link, out),
            Control::Follow { hub } => self.follow_arrived(link, hub, out),
            Control::Whisper(envelope) => self.whisper_arrived(link, envelope, out),
            Control::Trace(trace) => self.trace_arrived(link, trace, out),
            Control::Pong { .. } | Control::Unknown => {}
        }
    }

    /// Queues a record for one link; a peer that asks and does not read is let go.
    fn send(&mut self, link: LinkId, control: &Control, out: &mut Vec<Output>) {
        self.send_frame(link, control.encode(), out);
    }

    /// Queues a record for some links.
    fn send_all(&mut self, links: &[LinkId], control: &Control, out: &mut Vec<Output>) {
        let frame = control.encode();
        for link in links {
            self.send_frame(*link, Arc::clone(&frame), out);
        }
    }

    fn send_frame(&mut self, link: LinkId, frame: Frame, out: &mut Vec<Output>) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.queue(frame.len(), self.now.mono);
        self.hand_over(link, vec![frame], out);
    }

    /// Hands frames that were queued for a link to its writer.
    fn hand_over(&mut self, link: LinkId, frames: Vec<Frame>, out: &mut Vec<Output>) {
        let Some(state) = self.links.get(&link).filter(|_| !frames.is_empty()) else { return };
        let too_slow = state.queued_bytes > OUTBOX_BYTES_MAX + OUTBOX_CONTROL_BYTES_MAX;
        out.push(Output::Send { links: vec![link], frames });
        if too_slow {
            self.close(link, End::SlowReader, out);
        }
    }

    fn tick(&mut self, out: &mut Vec<Output>) {
        let now = self.now.mono;
        self.forgive_own_delay(now);
        self.pull_stale_feeds(out);
        self.settle_holes(out);
        if now >= self.next_news_at {
            self.next_news_at = now + NEWS_MS;
            self.marks.share_out(&self.log, now);
            self.tell_news(out);
            self.answer_asked(out);
        }
        self.answer_put_off(out);
        self.check_links(out);
        self.post_due(out);
        self.watch_vanished(out);
        self.whispers_due(out);
        self.elect(out);
        self.start_dials(out);
        self.note_confirmed();
        if now >= self.next_half_second_at {
            self.next_half_second_at = now + 500;
            if self.roster.pass_time(self.now.mono_signed()) {
                self.roster_changed();
            }
            self.check_completion();
            self.shed_surplus(out);
            if self.announced.due {
                self.look_at_addresses(out);
            }
            self.post_absence(out);
            self.take_wanted_nick(out);
            self.note_acquaintances(out);
            self.doubt_unheard();
        }
        if now >= self.next_minute_at {
            self.next_minute_at = now + 60_000;
            self.clean_up(out);
        }
        self.ticked_at = now;
    }

    /// A node whose own timers ran late (it was stopped, or starved) accuses nobody of silence.
    fn forgive_own_delay(&mut self, now: u64) {
        let late = now.saturating_sub(self.ticked_at + 2 * TICK_MS);
        if late > 500 {
            for link in self.links.values_mut() {
                link.forgive(late);
            }
            self.hub.election.forgive(late);
        }
    }

    /// Pings what is silent, closes what stays so.
    fn check_links(&mut self, out: &mut Vec<Output>) {
        let now = self.now.mono;
        let mut pings = Vec::new();
        let mut ends = Vec::new();
        for (id, link) in &mut self.links {
            if !link.is_up() {
                if now >= link.opened_at + crate::limits::HANDSHAKE_MS_MAX {
                    ends.push((*id, End::HandshakeTimeout));
                }
            } else if now >= link.progress_at() + LINK_SILENT_MS_MAX {
                ends.push((*id, End::Silent));
            } else if let Some(end) = link.standstill(now) {
                ends.push((*id, end));
            } else if now >= link.quiet_since(now) + ping_after(*id) {
                link.pinged_at = now;
                pings.push(*id);
            }
        }
        for link in pings {
            self.send(link, &Control::Ping { token: now }, out);
        }
        for (link, end) in ends {
            self.close(link, end, out);
        }
    }

    /// What follows from every input: the roster as shown, the members that count, the end.
    fn settle(&mut self, out: &mut Vec<Output>) {
        let is_small = self.roster.present_count() <= MEMBERS_COUNTED_AT_ONCE;
        if self.members_due && (is_small || self.now.mono >= self.members_counted_at + TICK_MS) {
            self.count_members();
        }
        if self.roster_changed_at.is_some() {
            self.show_roster();
        }
        self.answer_late(out);
        self.answer_whispers(out);
        self.review_hub(out);
        self.tell_recovered();
        self.say_on(out);
        self.end_step(out);
        self.local.compact(&self.log);
    }

    /// While feeds are being caught up the roster is in motion; who came and went in the past is not
    /// told.
    fn show_roster(&mut self) {
        let due = self.roster_changed_at.is_some_and(|since| self.now.mono >= since + 2_000);
        if self.completion.is_awaited() || (self.pulls.are_under_way() && !due) {
            return;
        }
        self.roster_changed_at = None;
        for event in self.roster.changes(self.me.author, self.now.mono) {
            if matches!(event, Event::Lost { .. }) {
                self.lost_at = Some(self.now.mono);
            }
            self.local.notice(event);
        }
    }

    fn roster_changed(&mut self) {
        self.roster_changed_at.get_or_insert(self.now.mono);
        self.plan_due = true;
        self.members_due = true;
    }

    /// Who is here decides who has to confirm. Once an input: a run may bring hundreds of joins.
    fn count_members(&mut self) {
        (self.members_due, self.members_counted_at) = (false, self.now.mono);
        let me = self.me;
        let present = self.roster.present().map(|(feed, _)| *feed).filter(|feed| *feed != me);
        let present: Vec<FeedId> = present.collect();
        self.pace.set_members(&present, self.config.confirm, &self.domain, self.now.mono);
        self.watch_former_sessions();
    }

    /// Once a minute: what is too old goes, and feeds of which nothing is left are forgotten when
    /// nothing of them could be accepted any more.
    fn clean_up(&mut self, out: &mut Vec<Output>) {
        let oldest = self.now.wall.saturating_sub(crate::limits::POST_AGE_MS_MAX);
        let (log, worth) = self.log_and_worth();
        log.evict_older(oldest, worth);
        self.clean_up_whispers(out);
        let now = self.now.mono;
        let forgotten_after = crate::limits::POST_AGE_MS_MAX + crate::limits::POST_AHEAD_MS_MAX;
        let dead = |feed: &log::Feed| feed.is_bare() && now > feed.progress_at + forgotten_after;
        let forgotten: Vec<FeedId> = self.log.feeds().filter(|(_, feed)| dead(feed)).map(|(id, _)| *id).collect();
        for feed in forgotten {
            self.forget(feed, out);
        }
    }
}

/// When a silent link is pinged: a little later for some than for others, so that a thousand links that
/// came up together do not answer together for ever.
fn ping_after(link: LinkId) -> u64 {
    LINK_PING_AFTER_MS + link % LINK_PING_PHASES * TICK_MS
}
