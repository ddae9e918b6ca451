//! A room of which everybody crashed finds itself again: by the peers that each knew, and without being told of any. Whoever
//! does not come back is soon known to be gone, by those who saw them last.

use super::world::World;
use super::{check_equal, check_nobody_accused, for_all_seeds, pick, plan, settle};
use hobnob::room::Reach;
use hobnob::room::rng::Rng;

/// How soon after the last one has come back those who have not are told as lost: eight seconds until they are doubted, some rounds of
/// six, and what the links take.
const GONE_WITHIN_MS: u64 = 60_000;

/// Everybody crashes at once, and comes back when it likes, within half a minute.
fn crash_and_come_back(seed: u64) {
    let mut rng = Rng::new(seed);
    let nodes = if rng.below(10) == 0 { 40 } else { 2 + pick(&mut rng, 12) };
    let mut world = World::new(rng.draw());
    (world.keeps_one_in, world.unnamed_again) = (1, true);
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
    let held = settle(&mut world);
    check_nobody_accused(&world);
    check_equal(&world, &held);
}

/// Some of those who crashed do not come back.
fn crash_and_stay_away(seed: u64) {
    let mut rng = Rng::new(seed);
    let nodes = 3 + pick(&mut rng, 20);
    let mut world = World::new(rng.draw());
    world.keeps_one_in = 1;
    for index in 0..nodes {
        let undialable = index > 1 && rng.below(2) == 0;
        let reach = if undialable { Reach::Undialable } else { Reach::Dialable };
        world.add_node(plan(reach, (index > 0).then_some(0).into_iter().collect()));
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 15_000);
    for node in 0..nodes {
        world.crash(node, true);
    }
    let mut back: Vec<usize> = (1..nodes).filter(|_| rng.below(3) > 0).collect();
    back.push(0);
    for node in &back {
        world.start(*node);
        world.run_until(world.now + 100);
    }
    let until = world.now + GONE_WITHIN_MS;
    let all_know = |world: &World| back.iter().all(|node| world.nodes[*node].shown.members.len() == back.len() - 1);
    while back.len() > 1 && !all_know(&world) {
        assert!(world.now < until, "somebody who is gone is still shown (seed {seed})");
        world.run_until(world.now + 500);
    }
}

#[test]
fn who_does_not_come_back_after_a_crash_of_all_is_soon_gone() {
    for_all_seeds(8, crash_and_stay_away);
}

/// In a room where others have stayed, a node that comes back does not doubt each of them.
#[test]
fn who_comes_back_to_a_living_room_accuses_nobody() {
    let mut world = World::new(7);
    world.keeps_one_in = 1;
    for index in 0..40 {
        world.add_node(plan(Reach::Dialable, (index > 0).then_some(0).into_iter().collect()));
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 15_000);
    world.crash(39, false);
    world.run_until(world.now + 10_000);
    let numbers = |world: &World| -> u64 {
        world.nodes[..39].iter().map(|node| node.room.as_ref().map_or(0, |room| room.view().have[&node.feed()])).sum()
    };
    let before = numbers(&world);
    world.start(39);
    world.run_until(world.now + 60_000);
    let after = numbers(&world);
    assert!(after <= before + 40, "a renewed join each at most, in a minute: {}", after - before);
    assert!(world.nodes.iter().all(|node| node.shown.members.len() == 39));
    assert_eq!(world.nodes[0].shown.joined, 40, "39 others, and one of them again");
}

#[test]
fn a_room_of_which_all_crashed_finds_itself_again_untold() {
    for_all_seeds(8, crash_and_come_back);
}

/// Links to peers known from before are more than a node needs; where others give them up there is an end to it. And nobody
/// is looked for at an address where he is back as another session: that was a link made and given up, again and again.
#[test]
fn a_large_room_that_is_back_comes_to_rest() {
    let mut world = World::new(3);
    (world.keeps_one_in, world.unnamed_again) = (1, true);
    for index in 0..40 {
        world.add_node(plan(Reach::Dialable, (index > 0).then_some(0).into_iter().collect()));
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 30_000);
    for node in 0..40 {
        world.crash(node, true);
    }
    for node in 0..40 {
        world.start(node);
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 60_000);
    let dials = world.dials;
    world.run_until(world.now + 180_000);
    assert_eq!(world.dials, dials, "whoever was found is looked for no more");
    let honest: Vec<usize> = (0..40).collect();
    assert!(world.is_connected(&honest));
}
