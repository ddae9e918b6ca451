//! Three members and the death of their hub: every order in which messages arrive, time passes, dials fail and a
//! second member dies, up to a number of steps; from there on all happens in turn. Each order is played from the
//! start, through the same `handle` as ever.
//!
//! Whatever the order: nobody claims an epoch twice, no epoch falls, and in the end all who live follow one of them.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use hobnob::identity::Id;
use hobnob::room::{Arrival, Config, DialFailure, Input, LinkId, Reach};
use hobnob::wire::Frame;
use hobnob::wire::end::End;
use hobnob::wire::record::{Beat, Control, Mode};

use super::hand::{Hand, Net, arrival, config};

/// Steps of which every order is tried.
const STEPS: usize = 7;

/// The orders of so many steps are some thousand; fewer would mean that something is not tried any more.
const ORDERS_MIN: usize = 2_000;

/// How far time goes in one step.
const STEP_MS: u64 = 100;

/// Steps in turn, until all is decided: past every timer of the election.
const STEPS_IN_TURN: usize = 60;

/// What is under way from one member to another.
enum Message {
    Frame(Frame),
    Broken,
}

/// What may happen next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Deliver(usize, usize),
    DialFails(usize),
    Time,
    Crash(usize),
}

/// The three of them.
struct Play {
    hands: Vec<Hand>,
    alive: [bool; 3],
    links: BTreeMap<(usize, usize), LinkId>,
    under_way: BTreeMap<(usize, usize), VecDeque<Message>>,
    dials_failed: [usize; 3],
    claims: BTreeMap<(Id, u64), Beat>,
    epochs: [u64; 3],
}

fn member(index: usize) -> Hand {
    let listening: SocketAddr = format!("10.0.0.{}:4646", index + 1).parse().unwrap();
    let mode = if index == 0 { Mode::Hub } else { Mode::Any };
    let seed = u8::try_from(index + 1).unwrap();
    Hand::new(Config { mode, reach: Reach::Dialable, listening: Some(listening), ..config(seed) })
}

impl Play {
    /// All follow the first, who dies.
    fn new() -> Self {
        let mut net = Net::new((0..3).map(member).collect());
        net.pass(500);
        let mut links = BTreeMap::new();
        for (one, other) in [(1, 0), (2, 0), (2, 1)] {
            let (here, there) = net.wire(one, other);
            links.extend([((one, other), here), ((other, one), there)]);
            net.pass(500);
        }
        net.pass(1_000);
        let hub = net.hands[0].me;
        assert!(net.hands.iter().all(|hand| hand.room.view().hub == Some(hub)), "all follow the first");
        let mut play = Self {
            dials_failed: [0, 1, 2].map(|index| net.hands[index].dials.len()),
            hands: net.hands,
            alive: [true; 3],
            links,
            under_way: BTreeMap::new(),
            claims: BTreeMap::new(),
            epochs: [0; 3],
        };
        play.crash(0);
        play
    }

    fn steps(&self) -> Vec<Step> {
        let waits = |(pair, queue): (&(usize, usize), &VecDeque<Message>)| {
            (self.alive[pair.1] && !queue.is_empty()).then_some(Step::Deliver(pair.0, pair.1))
        };
        let deliveries = self.under_way.iter().filter_map(waits);
        let living = || (0..3).filter(|index| self.alive[*index]);
        let dials = living().filter(|index| self.hands[*index].dials.len() > self.dials_failed[*index]);
        // The next one may die, too, as soon as it has claimed to be the hub.
        let is_hub = |index: &usize| self.claims.contains_key(&(self.hands[*index].me.author, self.epochs[*index]));
        let crashes = living().filter(|index| living().count() == 2 && is_hub(index));
        deliveries.chain(dials.map(Step::DialFails)).chain([Step::Time]).chain(crashes.map(Step::Crash)).collect()
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Deliver(from, to) => {
                let message = self.under_way.get_mut(&(from, to)).and_then(VecDeque::pop_front);
                let link = self.links[&(to, from)];
                match message {
                    Some(Message::Frame(frame)) => self.hands[to].arrive(link, vec![arrival(&frame)]),
                    Some(Message::Broken) => self.hands[to].input(Input::Broken { link, end: End::Vanished }),
                    None => {}
                }
            }
            Step::DialFails(index) => {
                let (dial, _) = self.hands[index].dials[self.dials_failed[index]].clone();
                self.dials_failed[index] += 1;
                let failure = DialFailure::Unreached("refused".to_owned());
                self.hands[index].input(Input::DialFailed { dial, failure });
            }
            Step::Time => {
                for index in (0..3).filter(|index| self.alive[*index]) {
                    self.hands[index].pass(STEP_MS);
                }
            }
            Step::Crash(index) => self.crash(index),
        }
        self.collect();
    }

    fn crash(&mut self, index: usize) {
        self.alive[index] = false;
        for other in (0..3).filter(|other| *other != index) {
            self.under_way.entry((index, other)).or_default().push_back(Message::Broken);
        }
    }

    /// Puts what was sent on its way, and looks at the claims in it.
    fn collect(&mut self) {
        for index in (0..3).filter(|index| self.alive[*index]) {
            let me = self.hands[index].me;
            for (link, frame) in self.hands[index].take_sent() {
                if frame.starts_with(br#"{"type":"beat""#)
                    && let Arrival::Control(Control::Beat(beat)) = arrival(&frame)
                    && beat.claim().hub == me
                    && beat.number == 1
                {
                    let first = self.claims.entry((beat.id, beat.epoch)).or_insert(beat);
                    assert_eq!(first.proof, beat.proof, "one epoch is claimed twice");
                }
                let to = self.links.iter().find(|((from, _), known)| *from == index && **known == link);
                if let Some(((_, to), _)) = to {
                    self.under_way.entry((index, *to)).or_default().push_back(Message::Frame(frame));
                }
            }
            let epoch = self.hands[index].room.view().epoch;
            assert!(epoch >= self.epochs[index], "an epoch falls");
            self.epochs[index] = epoch;
        }
    }

    /// All happens in turn, until nothing more is to be expected.
    fn finish(mut self) {
        for _ in 0..STEPS_IN_TURN {
            while let Some(step) = self.steps().into_iter().find(|step| !matches!(step, Step::Time | Step::Crash(_))) {
                self.take(step);
            }
            self.take(Step::Time);
        }
        let living: Vec<&Hand> = (0..3).filter(|index| self.alive[*index]).map(|index| &self.hands[index]).collect();
        if let [one, other] = living[..] {
            let (hub, same) = (one.room.view().hub, other.room.view().hub);
            assert_eq!(hub, same, "both follow the same");
            assert!(hub == Some(one.me) || hub == Some(other.me), "and that is one of them: {hub:?}");
        }
    }
}

#[test]
fn in_whatever_order_things_happen_one_hub_follows_the_other() {
    // The choice at each step, and out of how many.
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut orders = 0;
    loop {
        let mut play = Play::new();
        for depth in 0..STEPS {
            let steps = play.steps();
            if path.len() == depth {
                path.push((0, steps.len()));
            }
            let (choice, count) = path[depth];
            assert_eq!(count, steps.len(), "the same steps lead to the same place");
            play.take(steps[choice]);
        }
        play.finish();
        orders += 1;
        while path.last().is_some_and(|(choice, count)| choice + 1 == *count) {
            path.pop();
        }
        let Some((choice, _)) = path.last_mut() else { break };
        *choice += 1;
    }
    assert!(orders >= ORDERS_MIN, "only {orders} orders");
}
