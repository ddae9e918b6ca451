//! Rooms in hub mode: whatever happens to hubs, there is one in the end, all follow it, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};

use hobnob::limits::{DISTRUSTED_MS_MIN, LINKS_GREETING_MAX, LOG_BYTES_MAX, RANK_DEFAULT};
use hobnob::room::rng::Rng;
use hobnob::room::{Reach, Room};
use hobnob::wire::record::{Beat, Claim, Control, FeedId, Mode};

use super::world::{Plan, World};
use super::{check_bounds, check_equal, check_nobody_accused, fault, for_all_seeds, honest, pick, settle, text};

/// Everybody joins through one who is there; the first founds the room.
fn plans(nodes: usize, rng: &mut Rng) -> Vec<Plan> {
    let ranks = rng.below(4) == 0;
    let some_undialable = rng.below(3) == 0;
    let mut dialable = Vec::new();
    (0..nodes)
        .map(|index| {
            let is_undialable = some_undialable && index > 1 && rng.below(4) == 0;
            let named = (index > 0).then(|| dialable[pick(rng, dialable.len())]).into_iter().collect();
            dialable.extend((!is_undialable).then_some(index));
            Plan {
                reach: if is_undialable { Reach::Undialable } else { Reach::Dialable },
                mode: if index == 0 { Mode::Hub } else { Mode::Any },
                rank: if ranks { u8::try_from(rng.below(256)).expect("fits") } else { RANK_DEFAULT },
                named,
                passing: false,
                log_bytes_max: LOG_BYTES_MAX,
            }
        })
        .collect()
}

/// The hub of the room, once all who live agree on one.
fn hub(world: &World) -> Result<FeedId, String> {
    let mut hubs = BTreeSet::new();
    for (index, node) in honest(world) {
        let Some(room) = &node.room else { continue };
        let hub = room.view().hub;
        let Some(hub) = hub else { return Err(format!("n{index} has no hub")) };
        hubs.insert(hub);
    }
    match hubs.into_iter().collect::<Vec<_>>().as_slice() {
        [hub] => {
            let is_there = world.nodes.iter().any(|node| node.room.is_some() && node.feed() == *hub);
            if is_there { Ok(*hub) } else { Err("the hub is gone".to_owned()) }
        }
        hubs => Err(format!("{} hubs", hubs.len())),
    }
}

/// Who has left a hub, as one whose link was broken may seem to keep posts back, comes back to it after some minutes.
fn check_one_hub(world: &mut World) {
    let until = world.now + DISTRUSTED_MS_MIN * 8;
    while hub(world).is_err() && world.now < until {
        world.run_until(world.now + 5_000);
    }
    let hub = hub(world);
    assert!(hub.is_ok(), "{hub:?}");
}

/// At no node the epoch ever falls, once it has had a hub of it.
fn check_epochs(world: &World, epochs: &mut BTreeMap<FeedId, u64>) {
    for node in &world.nodes {
        let Some(view) = node.room.as_ref().map(Room::view).filter(|view| view.hub.is_some()) else { continue };
        let highest = epochs.entry(node.feed()).or_default();
        assert!(view.epoch >= *highest, "from {highest} to {}", view.epoch);
        *highest = view.epoch;
    }
}

/// Runs one seed to its end and checks what must hold then.
fn run(seed: u64) {
    let mut rng = Rng::new(seed);
    let nodes = match rng.below(100) {
        0 if rng.below(5) == 0 => 100 + pick(&mut rng, 101),
        1..6 => 24,
        _ => 3 + pick(&mut rng, 14),
    };
    let mut world = World::new(rng.draw());
    world.beat_loss_percent = [0, 0, 10, 30][pick(&mut rng, 4)];
    if world.trace {
        eprintln!("seed {seed}: {nodes} nodes, {} % of the beats lost", world.beat_loss_percent);
    }
    for plan in plans(nodes, &mut rng) {
        world.add_node(plan);
        let pause = rng.below(300);
        world.run_until(world.now + pause);
    }
    world.run_until(world.now + 5_000);
    let mut epochs = BTreeMap::new();
    let mut count = 0;
    for _ in 0..10 + rng.below(30) {
        let pause = rng.below(600);
        world.run_until(world.now + pause);
        for _ in 0..=rng.below(4) {
            let node = pick(&mut rng, nodes);
            let text = text(&mut world, &mut count);
            world.say(node, &text);
        }
        match rng.below(12) {
            // The hub itself, more often than its number says.
            0 => {
                let hub = hub(&world).ok();
                if let Some(hub) = world.nodes.iter().position(|node| Some(node.feed()) == hub) {
                    match rng.below(3) {
                        0 => world.pause(hub, 1_000 + rng.below(20_000)),
                        quick => world.crash(hub, quick == 1),
                    }
                }
            }
            1..7 => fault(&mut world, &mut rng),
            _ => {}
        }
        check_bounds(&world);
        check_epochs(&world, &mut epochs);
    }
    world.beat_loss_percent = 0;
    let held = settle(&mut world);
    check_one_hub(&mut world);
    if nodes > LINKS_GREETING_MAX {
        // All dial the new hub at once.
        world.closed.remove("crowded");
    }
    check_nobody_accused(&world);
    check_equal(&world, &held);
}

#[test]
fn a_room_in_hub_mode_ends_with_one_hub_after_any_faults() {
    for_all_seeds(1, run);
}

/// All is well: the hub is never changed, whatever part of its beats is lost.
#[test]
fn a_hub_that_is_there_is_not_replaced() {
    for_all_seeds(10, |seed| {
        let mut rng = Rng::new(seed);
        let nodes = 3 + pick(&mut rng, 30);
        let mut world = World::new(rng.draw());
        world.beat_loss_percent = rng.below(30);
        for plan in plans(nodes, &mut rng) {
            world.add_node(Plan { rank: RANK_DEFAULT, ..plan });
            world.run_until(world.now + 100);
        }
        world.run_until(world.now + 10_000);
        // Three beats in a row may be lost: then somebody looks for the hub for a moment.
        let end = world.now + 5_000;
        while hub(&world).is_err() && world.now < end {
            world.run_until(world.now + 100);
        }
        let first = hub(&world).expect("a hub");
        assert_eq!(first, world.nodes[0].feed(), "the founder is the hub");
        world.run_until(world.now + 60_000);
        let epochs: BTreeSet<u64> =
            world.nodes.iter().filter_map(|node| Some(node.room.as_ref()?.view().epoch)).collect();
        assert_eq!(epochs, BTreeSet::from([1]), "nobody else has claimed");
    });
}

/// A large room in hub mode has a link each to the hub, and few others.
#[test]
fn a_member_keeps_few_links_beside_that_to_the_hub() {
    let mut world = World::new(1);
    for plan in plans(40, &mut Rng::new(1)) {
        world.add_node(Plan { reach: Reach::Dialable, rank: RANK_DEFAULT, ..plan });
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 60_000);
    let hub = hub(&world).expect("a hub");
    for node in &world.nodes {
        let links = node.room.as_ref().map_or(0, |room| room.view().links.len());
        assert!(if node.feed() == hub { links == 39 } else { (2..=8).contains(&links) }, "{links} links");
    }
    let before = world.posts_received;
    world.say(39, "hello");
    world.run_until(world.now + 1_000);
    assert_eq!(world.posts_received - before, 39, "the hub passes on each post once to each");
}

/// A room at rest, of which the founder is the hub.
fn at_rest(seed: u64, nodes: usize) -> World {
    let mut world = World::new(seed);
    for plan in plans(nodes, &mut Rng::new(seed)) {
        world.add_node(Plan { reach: Reach::Dialable, rank: RANK_DEFAULT, ..plan });
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 20_000);
    assert_eq!(hub(&world), Ok(world.nodes[0].feed()));
    world
}

/// How many says of a node another one has shown.
fn heard(world: &World, index: usize, author: usize) -> usize {
    world.nodes[index].shown.says.get(&world.nodes[author].feed()).map_or(0, Vec::len)
}

/// In a room in which not everybody has a spare link to whom it keeps back.
#[test]
fn a_hub_that_keeps_back_what_one_member_says_is_left_and_nothing_is_lost() {
    for_all_seeds(20, |seed| {
        let mut world = at_rest(seed, 8 + usize::try_from(seed % 5).expect("small"));
        world.kept_back = Some((0, world.nodes[3].identity.id()));
        for line in 0..3 {
            world.say(3, &format!("can you hear me? {line}"));
            world.run_until(world.now + 1_000);
        }
        world.run_until(world.now + 30_000);
        for index in 0..world.nodes.len() {
            assert_eq!(heard(&world, index, 3), 3, "n{index}");
        }
        let hub = hub(&world).expect("one hub");
        assert_ne!(hub, world.nodes[0].feed(), "it is left by all");
    });
}

/// Somebody claims to be the hub every second, and is none.
#[test]
fn who_claims_wildly_neither_freezes_the_room_nor_makes_it_hop() {
    for_all_seeds(20, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = at_rest(seed, 6);
        let is_absurd = rng.below(2) == 0;
        let liar = world.nodes[5].feed();
        world.liars.insert(liar.author);
        let (mut moves, mut last) = (0, hub(&world).ok());
        for second in 0..180 {
            let highest = world.nodes.iter().filter_map(|node| Some(node.room.as_ref()?.view().epoch)).max();
            let epoch = if is_absurd { (1 << 53) - 1 } else { highest.unwrap_or(0) + 1 };
            let claim = Claim { epoch, rank: 255, hub: liar };
            let beat = Beat::sign(claim, 1, 9, &world.domain, &world.nodes[5].identity);
            world.tell_all(5, &Control::Beat(beat));
            world.say(1, &format!("line {second}"));
            world.run_until(world.now + 1_000);
            let now = world.nodes[2].room.as_ref().and_then(|room| room.view().hub);
            moves += usize::from(now.is_some() && now != last);
            last = now.or(last);
        }
        world.run_until(world.now + 10_000);
        // Three handovers at once and one a minute; each to nobody, so that an honest one follows.
        assert!(moves <= if is_absurd { 0 } else { 12 }, "{moves} hubs in three minutes");
        for index in [0, 2, 3, 4] {
            assert_eq!(heard(&world, index, 1), 180, "n{index} has missed something");
        }
    });
}
