//! Whispers in whole networks: each is shown once, in its sender's order, and confirmed, whoever carries it, drops it,
//! changes it or plays it again, and whoever goes away and comes back meanwhile.

use std::collections::BTreeMap;

use hobnob::limits::WHISPER_HOPS_MAX;
use hobnob::room::event::{Command, Person, Said, Whom};
use hobnob::room::rng::Rng;
use hobnob::room::{Input, Reach};
use hobnob::wire::record::{Mode, Nick};

use super::world::World;
use super::{for_all_seeds, pick, plan};

/// What was whispered, by sender and reader.
type Said2 = BTreeMap<(usize, usize), Vec<String>>;

fn whom(world: &World, index: usize) -> Whom {
    let nick = Nick::new(&format!("n{index}")).expect("a nick");
    Whom::Known(Person { id: world.nodes[index].identity.id(), nick }, None)
}

fn whisper(world: &mut World, from: usize, to: usize, said: &mut Said2) {
    if world.nodes[from].room.is_none() {
        return;
    }
    let texts = said.entry((from, to)).or_default();
    let text = format!("{from} to {to}, {}", texts.len() + 1);
    let (whom, refused) = (whom(world, to), world.nodes[from].shown.refused);
    world.input(from, Input::Command(Command::Whisper(whom, Said { text: text.clone(), ..Said::default() })));
    // Who has just come may not know the other yet, and is told so.
    if world.nodes[from].shown.refused == refused {
        texts.push(text);
    }
}

/// A room in which all know all, linked as a random tree with some more links; some accept none.
fn room(world: &mut World, rng: &mut Rng, nodes: usize) {
    let free = rng.below(2) == 0;
    world.keeps_one_in = 1;
    for index in 0..nodes {
        let mut named: Vec<usize> = (0..=rng.below(2)).filter(|_| index > 0).map(|_| pick(rng, index.max(1))).collect();
        named.dedup();
        let reach = match rng.below(3) {
            0 if free && index > 0 => Reach::Undialable,
            _ if free => Reach::Dialable,
            _ => Reach::NamedOnly,
        };
        let mode = if free && rng.below(3) == 0 && index == 0 { Mode::Hub } else { Mode::Any };
        let mode = if index == 0 && mode == Mode::Any { Mode::Mesh } else { mode };
        world.add_node(super::Plan { mode, ..plan(reach, named) });
        world.run_until(world.now + rng.below(300));
    }
    world.run_until(world.now + 5_000);
}

/// All that was whispered between those who are here is shown there, and its sender knows.
fn check(world: &World, said: &Said2) {
    for ((from, to), texts) in said {
        let sender = world.nodes[*from].identity.id().to_string();
        let shown = world.nodes[*to].shown.whispers.get(&sender).cloned().unwrap_or_default();
        assert_eq!(&shown, texts, "from n{from} to n{to}");
        assert_eq!(world.nodes[*from].room.as_ref().expect("is here").whispers_waiting(), 0, "n{from} waits");
    }
}

fn run(seed: u64) {
    let mut rng = Rng::new(seed ^ 0x5ea1);
    let nodes = 3 + pick(&mut rng, 8);
    let mut world = World::new(rng.draw());
    room(&mut world, &mut rng, nodes);
    // Nobody whispers to the meddler, nor does it: only others' ways lead over it.
    if rng.below(2) == 0 && nodes > 4 {
        world.meddler = Some(pick(&mut rng, nodes));
    }
    let talkers: Vec<usize> = (0..nodes).filter(|index| Some(*index) != world.meddler).collect();
    let mut said = Said2::new();
    let mut away = Vec::new();
    for _ in 0..20 + rng.below(40) {
        let (from, to) = (talkers[pick(&mut rng, talkers.len())], talkers[pick(&mut rng, talkers.len())]);
        match rng.below(10) {
            // A crash comes when nothing is on its way to the disk: what is not kept yet is nobody's promise.
            0 if away.len() < 2 => {
                world.run_until(world.now + 3_000);
                if world.nodes[to].room.is_some() {
                    world.crash(to, rng.below(2) == 0);
                    away.push(to);
                }
            }
            1 => {
                for index in away.drain(..) {
                    world.start(index);
                }
            }
            2 => world.cut(rng.below(2) == 0),
            3 => world.reset(),
            _ if from != to => (0..=rng.below(5)).for_each(|_| whisper(&mut world, from, to, &mut said)),
            _ => {}
        }
        let pause = [0, 10, 200, 2_000][pick(&mut rng, 4)];
        world.run_until(world.now + pause);
    }
    for index in away {
        world.start(index);
    }
    // A meddler may be the only one between two others: then half of what they send comes to nothing.
    let most = if world.meddler.is_some() { 1_800_000 } else { 120_000 };
    let end = world.now + most;
    let waits = |world: &World| {
        world.nodes.iter().filter_map(|node| node.room.as_ref()).any(|room| room.whispers_waiting() > 0)
    };
    world.run_until(world.now + 10_000);
    while world.now < end && waits(&world) {
        world.run_until(world.now + 10_000);
    }
    check(&world, &said);
}

#[test]
fn any_whisper_is_shown_once_in_its_senders_order() {
    for_all_seeds(4, run);
}

/// A chain of so many, each linked to the one before.
fn chain(world: &mut World, nodes: usize) {
    world.keeps_one_in = 1;
    for index in 0..nodes {
        world.add_node(plan(Reach::NamedOnly, index.checked_sub(1).into_iter().collect()));
    }
    world.run_until(world.now + 5_000);
}

#[test]
fn a_whisper_over_a_known_way_touches_the_nodes_on_it_alone() {
    let mut world = World::new(1);
    chain(&mut world, 5);
    // A side branch of ten hangs on the middle.
    for _ in 0..10 {
        world.add_node(plan(Reach::NamedOnly, vec![2]));
    }
    world.run_until(world.now + 5_000);
    world.carried = 0;
    let mut said = Said2::new();
    for _ in 0..10 {
        whisper(&mut world, 0, 4, &mut said);
        world.run_until(world.now + 1_000);
    }
    check(&world, &said);
    assert_eq!(world.carried, 10 * 2 * 4, "four links there, and four back with the receipt");
}

#[test]
fn a_whisper_reaches_across_the_widest_room_and_no_further() {
    let reach = usize::from(WHISPER_HOPS_MAX);
    for (nodes, arrives) in [(reach + 1, true), (reach + 2, false)] {
        let mut world = World::new(2);
        chain(&mut world, nodes);
        world.run_until(world.now + 10_000);
        let mut said = Said2::new();
        whisper(&mut world, 0, nodes - 1, &mut said);
        world.run_until(world.now + 10_000);
        let sender = world.nodes[0].identity.id().to_string();
        assert_eq!(world.nodes[nodes - 1].shown.whispers.contains_key(&sender), arrives, "{nodes} in a chain");
    }
}

/// What a relay holds opens nothing, and what it makes up of it is not taken.
#[test]
fn a_relay_can_neither_read_nor_forge_what_it_carries() {
    let mut world = World::new(3);
    chain(&mut world, 3);
    world.meddler = Some(1);
    let mut said = Said2::new();
    for _ in 0..20 {
        whisper(&mut world, 0, 2, &mut said);
        whisper(&mut world, 2, 0, &mut said);
        world.run_until(world.now + 500);
    }
    world.run_until(world.now + 120_000);
    check(&world, &said);
    for frame in &world.meddled {
        let text = String::from_utf8_lossy(frame);
        assert!(!text.contains(" to "), "it reads {text}");
        let from = world.nodes[0].identity.id().to_string();
        assert!(!text.contains(&from) || text.contains(&format!(r#""to":"{from}""#)), "it reads who sent {text}");
    }
}
