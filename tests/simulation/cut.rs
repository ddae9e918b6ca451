//! Two sites that a cut parts find each other again without a hand, however long it lasts and however large the room is.
//!
//! Each side goes on, and sees those of the other one go; within a minute after the heal all are one room again, and
//! everybody has what was said on both sides. `HOBNOB_NODES=n` tries a room of that size alone, and `HOBNOB_CUT_S=n` a cut of
//! so many seconds alone.

use hobnob::limits::LINKS_GREETING_MAX;
use hobnob::room::{Reach, View};

use super::world::World;
use super::{check_equal, check_nobody_accused, is_settled, plan, settle};

/// How soon the room is whole again.
const HEALED_WITHIN_MS: u64 = 60_000;

/// How soon each side knows that the other one is gone.
const FOLDED_WITHIN_MS: u64 = 60_000;

/// How soon after the last one came all know all.
const JOINED_WITHIN_MS: u64 = 60_000;

/// A room that everybody joined through somebody else.
fn room_of(nodes: usize, seed: u64) -> World {
    let mut world = World::new(seed);
    for index in 0..nodes {
        let through = world.rng.below(index.max(1) as u64);
        let named = if index > 0 { vec![usize::try_from(through).expect("fits")] } else { vec![] };
        world.add_node(plan(Reach::Dialable, named));
        world.run_until(world.now + 100);
    }
    let until = world.now + JOINED_WITHIN_MS;
    // The links that were made come to rest.
    world.run_until(world.now + 15_000);
    while !is_settled(&world) {
        assert!(world.now < until, "not all have joined {nodes} nodes (seed {seed})");
        world.run_until(world.now + 1_000);
    }
    world
}

/// Cuts a room in two, lets both sides talk, and heals it; returns the milliseconds that it took to be one again.
fn cut(nodes: usize, seed: u64, cut_ms: u64) -> u64 {
    let mut world = room_of(nodes, seed);
    // Sides of any size, with one at each at least.
    let border = 1 + world.rng.below(nodes as u64 - 1);
    let mut order: Vec<usize> = (0..nodes).collect();
    order.sort_by_cached_key(|_| world.rng.draw());
    let mut groups = vec![0; nodes];
    for node in &order[..usize::try_from(border).expect("fits")] {
        groups[*node] = 1;
    }
    world.partition(groups.clone());
    let (until, step) = (world.now + cut_ms, cut_ms / 10);
    while world.now < until {
        for node in [order[0], order[nodes - 1]] {
            world.say(node, "still here");
        }
        world.run_until(world.now + step);
    }
    if cut_ms >= FOLDED_WITHIN_MS {
        for (index, node) in world.nodes.iter().enumerate() {
            let side = (0..nodes).filter(|other| groups[*other] == groups[index]);
            assert_eq!(node.shown.members.len(), side.count() - 1, "n{index} sees ghosts of the other side");
        }
    }
    world.heal();
    let healed_at = world.now;
    while !is_whole(&world) {
        assert!(world.now < healed_at + HEALED_WITHIN_MS, "{nodes} nodes are not one room again (seed {seed})");
        world.run_until(world.now + 100);
    }
    let took = world.now - healed_at;
    let held = settle(&mut world);
    if nodes > LINKS_GREETING_MAX {
        // All who are cut off dial those who are left, at once.
        world.closed.remove("crowded");
    }
    check_nobody_accused(&world);
    check_equal(&world, &held);
    took
}

/// Whether all see all.
fn is_whole(world: &World) -> bool {
    let views = world.nodes.iter().filter_map(|node| node.room.as_ref().map(hobnob::room::Room::view));
    views.map(|view: View| view.present.len()).all(|present| present == world.nodes.len())
}

#[test]
fn two_sites_find_each_other_again_after_any_cut() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let rooms = number("HOBNOB_NODES")
        .map_or_else(|| vec![(2, 6), (3, 4), (8, 4), (16, 2), (40, 1)], |nodes| vec![(nodes as usize, 1)]);
    let cuts_ms = number("HOBNOB_CUT_S")
        .map_or_else(|| vec![20_000, 120_000, 600_000], |seconds| vec![u64::from(seconds) * 1_000]);
    for (nodes, seeds) in rooms {
        for seed in 0..seeds {
            for &cut_ms in &cuts_ms {
                let took = cut(nodes, seed, cut_ms);
                eprintln!("{nodes} nodes, cut for {} s: one room again after {took} ms (seed {seed})", cut_ms / 1_000);
            }
        }
    }
}
