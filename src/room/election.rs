//! Who is the hub: the election, as one member sees it.
//!
//! No quorum: in a cut each side has its hub, and when the cut heals the greater claim stands. A claim is (epoch, rank,
//! hub), compared in that order; a beat repeats it with a rising number. Only a beat that is newer than all before
//! proves a hub alive: what others merely remember of a dead one would keep it alive for ever. Who misses the
//! hub asks others first, and waits the longer the more members come before it. A follower whose hub is alive does not move to
//! another one but on that hub's signed word.
//!
//! There is nothing of links, posts or the roster here.

use std::collections::BTreeMap;

use crate::identity::Id;
use crate::limits::{
    BEAT_MS, DISTRUSTED_MAX, DISTRUSTED_MS_MAX, DISTRUSTED_MS_MIN, EPOCH_JUMP_MAX, HANDOVERS, HUB_DOWN_JITTER_MS,
    HUB_DOWN_MS, NUMBER_MAX, PROBE_PAUSE_MS_MAX, STAGGER_JITTER_MS, STAGGER_MS, STAGGER_POSITIONS_MAX,
};
use crate::wire::record::{Beat, Claim, FeedId};

use super::bucket::Bucket;
use super::rng::Rng;

/// The hub that we know of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Its newest beat.
    pub(super) beat: Beat,
    /// When it was alive; by our clock, and below its zero for what is older than this run.
    at: i64,
    /// How long it may be silent.
    patience_ms: u64,
    /// Since when we follow it, or are it.
    pub(super) since: u64,
    /// Whom it has named in its place.
    handed_to: Option<FeedId>,
    /// The one before has named it.
    pub(super) was_named: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// What we know of is the hub, if there is anything.
    Following,
    /// The hub does not answer.
    Suspecting {
        /// When we claim to be the hub; `None` where we cannot be.
        claims_at: Option<u64>,
        probes_at: u64,
        pause_ms: u64,
    },
    /// We are the hub.
    Hub { beats_at: u64 },
}

/// A hub that was left.
#[derive(Debug, Clone, Copy)]
struct Distrust {
    /// Until then it is not followed,
    until: u64,
    /// and it was left so often.
    times: u32,
}

/// One member's view of the election.
#[derive(Debug)]
pub(super) struct Election {
    me: FeedId,
    state: State,
    known: Option<Known>,
    /// The highest epoch seen or made, and since when.
    epoch: u64,
    rose_at: u64,
    /// What we know was told by the first who told us anything, and nothing has confirmed it yet.
    on_trust: bool,
    /// While that one is silent: another one that is told of.
    other: Option<(Claim, u64)>,
    /// Hubs that kept back what they should have passed on.
    distrusted: BTreeMap<Id, Distrust>,
    handovers: Bucket,
}

/// What a beat means to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing new, or nothing to be believed.
    Nothing,
    /// The hub is alive.
    Alive,
    /// There is another hub.
    Moved,
    /// Who sent it knows less than we do.
    Outdated,
    /// Our hub should hear of a greater claim.
    Greater,
    /// A greater claim than our own: we are to hand over.
    Outranked,
    /// A greater claim than our own was made by somebody who is gone: we are to claim anew.
    Overtaken,
    /// The signature is not the hub's.
    Forged,
}

/// What time has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The hub has been silent for too long.
    Suspicion,
    /// Others are to be asked.
    Probe,
    /// It is our turn to claim.
    Claim,
    /// It is time for a beat.
    Beat,
}

/// Why a hub is suspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It is silent, which may be our fault.
    Silent,
    /// Its link broke and it cannot be dialled, or it said goodbye.
    Gone,
}

impl Suspicion {
    /// How long others have to contradict: two rounds of questions where it may be our fault.
    fn probe_ms(self) -> u64 {
        match self {
            Suspicion::Silent => 3 * STAGGER_MS,
            Suspicion::Gone => STAGGER_MS / 2,
        }
    }
}

fn signed(now: u64) -> i64 {
    i64::try_from(now).unwrap_or(i64::MAX)
}

impl Election {
    pub(super) fn new(me: FeedId) -> Self {
        Self {
            me,
            state: State::Following,
            known: None,
            epoch: 0,
            rose_at: 0,
            on_trust: false,
            other: None,
            distrusted: BTreeMap::new(),
            handovers: Bucket::default(),
        }
    }

    pub(super) fn is_hub(&self) -> bool {
        matches!(self.state, State::Hub { .. })
    }

    /// The hub, unless it is suspected or has not been heard of.
    pub(super) fn hub(&self) -> Option<FeedId> {
        match self.state {
            State::Suspecting { .. } => None,
            State::Following | State::Hub { .. } => self.last_hub(),
        }
    }

    /// The hub, suspected or not.
    pub(super) fn last_hub(&self) -> Option<FeedId> {
        self.known.map(|known| known.beat.claim().hub)
    }

    pub(super) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// The highest epoch seen or made.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The newest beat with its age, for others.
    pub(super) fn newest(&self, now: u64) -> Option<Beat> {
        let known = self.known?;
        let age = if self.is_hub() { 0 } else { known.silent_ms(now) };
        Some(Beat { age, ..known.beat })
    }

    pub(super) fn is_distrusted(&self, id: &Id, now: u64) -> bool {
        self.distrusted.get(id).is_some_and(|distrust| now < distrust.until)
    }

    /// Takes a beat; `prove` checks its signature, and is asked only where that matters.
    pub(super) fn hear(&mut self, beat: &Beat, prove: impl FnOnce() -> bool, now: u64, rng: &mut Rng) -> Meaning {
        let claim = beat.claim();
        if self.is_distrusted(&claim.hub.author, now) {
            return Meaning::Nothing;
        }
        let known = self.known.map(|known| known.beat.freshness());
        let is_newer = known.is_none_or(|known| known < beat.freshness());
        if !is_newer && !self.may_fall_back() {
            let is_lower = known.is_some_and(|(known, _)| claim < known);
            return if is_lower { Meaning::Outdated } else { Meaning::Nothing };
        }
        // Nobody but us makes new beats of ours.
        if claim.hub == self.me || !self.is_credible(claim.epoch, now) {
            return Meaning::Nothing;
        }
        if !prove() {
            return Meaning::Forged;
        }
        if !is_newer {
            return self.fall_back(beat, now, rng);
        }
        let known_claim = known.map(|(claim, _)| claim);
        let is_of_hub = known_claim.is_some_and(|known| known.hub == claim.hub);
        let is_fresh = beat.age < HUB_DOWN_MS;
        self.note_epoch(claim.epoch, now);
        match self.state {
            State::Hub { .. } if is_fresh => Meaning::Outranked,
            State::Hub { .. } => Meaning::Overtaken,
            State::Following if self.known.is_some() && !is_of_hub && !self.was_handed_to(claim.hub) => {
                Meaning::Greater
            }
            _ if !is_fresh => Meaning::Nothing,
            _ => {
                let is_first = known.is_none();
                self.on_trust = is_first || (self.on_trust && is_of_hub);
                self.follow(beat, known_claim == Some(claim), now, rng)
            }
        }
    }

    fn follow(&mut self, beat: &Beat, is_same: bool, now: u64, rng: &mut Rng) -> Meaning {
        let was_suspected = matches!(self.state, State::Suspecting { .. });
        let since = self.known.filter(|_| is_same).map_or(now, |known| known.since);
        let patience_ms = HUB_DOWN_MS + rng.below(HUB_DOWN_JITTER_MS);
        let at = signed(now).saturating_sub_unsigned(beat.age);
        let was_named =
            self.was_handed_to(beat.claim().hub) || self.known.is_some_and(|known| is_same && known.was_named);
        let beat = Beat { age: 0, ..*beat };
        self.known = Some(Known { beat, at, patience_ms, since, handed_to: None, was_named });
        self.state = State::Following;
        self.other = None;
        if is_same && !was_suspected { Meaning::Alive } else { Meaning::Moved }
    }

    /// What the first who told us anything has said is silent: it may never have been true.
    fn may_fall_back(&self) -> bool {
        self.on_trust && matches!(self.state, State::Suspecting { .. })
    }

    /// A lesser claim is alive, as two beats of it show, and the one that was told to us is not.
    fn fall_back(&mut self, beat: &Beat, now: u64, rng: &mut Rng) -> Meaning {
        let (claim, number) = beat.freshness();
        let is_alive = self.other.is_some_and(|(other, seen)| other == claim && seen < number);
        if !is_alive || beat.age >= HUB_DOWN_MS {
            let other = self.other.filter(|(other, _)| *other >= claim);
            self.other = Some(other.unwrap_or((claim, number)));
            return Meaning::Nothing;
        }
        (self.epoch, self.rose_at) = (claim.epoch, now);
        self.follow(beat, false, now, rng)
    }

    /// The hub itself was heard, if it has not beaten.
    pub(super) fn heard_at(&mut self, at: u64) {
        if let Some(known) = &mut self.known {
            known.at = known.at.max(signed(at));
        }
    }

    /// The hub is who it says: there is a link to it.
    pub(super) fn confirm(&mut self) {
        self.on_trust = false;
    }

    fn was_handed_to(&self, hub: FeedId) -> bool {
        self.known.is_some_and(|known| known.handed_to == Some(hub))
    }

    /// Whether an epoch can have been reached by now. The first one is believed.
    fn is_credible(&self, epoch: u64, now: u64) -> bool {
        let seconds = now.saturating_sub(self.rose_at) / 1_000;
        self.epoch == 0 || epoch <= self.epoch.saturating_add(EPOCH_JUMP_MAX).saturating_add(seconds)
    }

    fn note_epoch(&mut self, epoch: u64, now: u64) {
        if epoch > self.epoch {
            (self.epoch, self.rose_at) = (epoch, now);
        }
    }

    /// Our hub names another one: a sign of life, the first time. Returns whether that is us.
    pub(super) fn handed_over(&mut self, claim: Claim, to: FeedId, now: u64) -> bool {
        if self.is_hub() || self.is_distrusted(&claim.hub.author, now) {
            return false;
        }
        let is_new = |known: &&mut Known| known.beat.claim() == claim && known.handed_to != Some(to);
        let Some(known) = self.known.as_mut().filter(is_new) else { return false };
        known.handed_to = Some(to);
        known.at = signed(now);
        self.state = State::Following;
        to == self.me
    }

    /// The hub does not answer. `position` is how many members come before us, `None` if we cannot be the hub.
    pub(super) fn suspect(&mut self, why: Suspicion, position: Option<u64>, now: u64, rng: &mut Rng) {
        if self.is_hub() {
            return;
        }
        let claims_at = position.map(|position| {
            now + why.probe_ms() + STAGGER_MS * position.min(STAGGER_POSITIONS_MAX) + rng.below(STAGGER_JITTER_MS)
        });
        let claims_at = match self.state {
            // What is certain now was only feared before.
            State::Suspecting { claims_at: before, .. } => claims_at.into_iter().chain(before).min(),
            State::Following | State::Hub { .. } => claims_at,
        };
        self.state = State::Suspecting { claims_at, probes_at: now, pause_ms: STAGGER_MS };
        self.other = None;
    }

    pub(super) fn is_suspecting(&self) -> bool {
        matches!(self.state, State::Suspecting { .. })
    }

    /// What is to be done now, if anything. `is_alone` is who has no link: it needs no hub.
    pub(super) fn due(&mut self, is_alone: bool, now: u64) -> Option<Due> {
        match &mut self.state {
            State::Following => {
                let known = self.known?;
                (known.silent_ms(now) >= known.patience_ms).then_some(Due::Suspicion)
            }
            State::Suspecting { claims_at: Some(at), .. } if *at <= now && !is_alone => Some(Due::Claim),
            State::Suspecting { probes_at, pause_ms, .. } if *probes_at <= now => {
                *probes_at = now + *pause_ms;
                *pause_ms = (*pause_ms * 2).min(PROBE_PAUSE_MS_MAX);
                Some(Due::Probe)
            }
            State::Hub { beats_at } if *beats_at <= now => Some(Due::Beat),
            State::Suspecting { .. } | State::Hub { .. } => None,
        }
    }

    /// The claim that we make now.
    pub(super) fn next_claim(&self, rank: u8) -> Claim {
        Claim { epoch: (self.epoch + 1).min(NUMBER_MAX), rank, hub: self.me }
    }

    /// The number of our next beat.
    pub(super) fn next_number(&self) -> u64 {
        let known = self.known.filter(|_| self.is_hub());
        known.map_or(1, |known| known.beat.number + 1)
    }

    /// We have made a beat: of a new claim the first one.
    pub(super) fn beaten(&mut self, beat: Beat, now: u64) {
        let is_first = beat.number == 1;
        let since = self.known.filter(|_| !is_first).map_or(now, |known| known.since);
        self.note_epoch(beat.epoch, now);
        self.on_trust = false;
        let was_named = self.was_handed_to(self.me) || self.known.is_some_and(|known| !is_first && known.was_named);
        let (at, patience_ms) = (signed(now), HUB_DOWN_MS);
        self.known = Some(Known { beat, at, patience_ms, since, handed_to: None, was_named });
        self.state = State::Hub { beats_at: now + BEAT_MS };
    }

    /// Whether we may hand over to a greater claim now: nobody makes a room hop.
    pub(super) fn may_hand_over(&mut self, now: u64) -> bool {
        self.handovers.pour(1, HANDOVERS, now)
    }

    /// We are the hub no more: another one is, or will be.
    pub(super) fn hand_over(&mut self, to: FeedId, now: u64) {
        if let Some(known) = &mut self.known {
            (known.handed_to, known.at) = (Some(to), signed(now));
        }
        self.state = State::Following;
    }

    /// The hub keeps back what it should pass on: it is left, each time for twice as long.
    pub(super) fn distrust(&mut self, id: Id, now: u64) {
        if self.is_distrusted(&id, now) {
            return;
        }
        if self.distrusted.len() >= DISTRUSTED_MAX
            && let Some(oldest) = self.distrusted.iter().min_by_key(|(_, distrust)| distrust.until).map(|(id, _)| *id)
        {
            self.distrusted.remove(&oldest);
        }
        let times = self.distrusted.get(&id).map_or(0, |distrust| distrust.times);
        let pause = (DISTRUSTED_MS_MIN << times.min(16)).min(DISTRUSTED_MS_MAX);
        self.distrusted.insert(id, Distrust { until: now + pause, times: times + 1 });
    }

    /// Our own timers ran late: the hub is not accused of that.
    pub(super) fn forgive(&mut self, late: u64) {
        if let Some(known) = &mut self.known {
            known.at = known.at.saturating_add_unsigned(late);
        }
        if let State::Suspecting { claims_at: Some(at), .. } = &mut self.state {
            *at += late;
        }
    }
}

impl Known {
    /// How long it has not been heard of.
    fn silent_ms(&self, now: u64) -> u64 {
        u64::try_from(signed(now).saturating_sub(self.at)).unwrap_or(0)
    }
}
