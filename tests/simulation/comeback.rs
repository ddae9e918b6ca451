//! A room of which everybody crashed finds itself again: by the peers that each knew, and without being told of any.

use super::world::World;
use super::{check_equal, check_nobody_accused, for_all_seeds, pick, plan, settle};
use hobnob::room::Reach;
use hobnob::room::rng::Rng;

/// Everybody crashes at once, and comes back when it likes, within half a minute.
fn crash_and_come_back(seed: u64) {
    let mut rng = Rng::new(seed);
    let nodes = if rng.below(10) == 0 { 40 } else { 2 + pick(&mut rng, 12) };
    let mut world = World::new(rng.draw());
    (world.all_keep, world.unnamed_again) = (true, true);
    for index in 0..nodes {
        let undialable = index > 1 && rng.below(4) == 0;
        let named = if index > 0 { vec![0] } else { vec![] };
        world.add_node(plan(if undialable { Reach::Undialable } else { Reach::Dialable }, named));
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 15_000);
    for node in 0..nodes {
        world.say(node, &format!("before {node}"));
    }
    world.run_until(world.now + 2_000);
    for node in 0..nodes {
        world.crash(node, rng.below(2) == 0);
    }
    let mut order: Vec<usize> = (0..nodes).collect();
    order.sort_by_cached_key(|_| rng.draw());
    for node in order {
        let pause = rng.below(60_000 / nodes as u64);
        world.run_until(world.now + pause);
        world.start(node);
        world.say(node, &format!("after {node}"));
    }
    settle(&mut world);
    check_nobody_accused(&world);
    check_equal(&world);
}

#[test]
fn a_room_of_which_all_crashed_finds_itself_again_untold() {
    for_all_seeds(2, crash_and_come_back);
}
