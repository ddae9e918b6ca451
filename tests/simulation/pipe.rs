//! A pipe whose only relay is away for a while, cut off or killed, loses no line by it, however long that takes; and it is
//! done when all who have stayed have every line.

use super::world::World;
use super::{Plan, check_nobody_accused, for_all_seeds, plan};
use hobnob::room::Reach;
use hobnob::room::event::Outcome;
use hobnob::room::rng::Rng;

/// How long the relay may be away.
const AWAY_MS: [u64; 4] = [300, 8_000, 60_000, 600_000];

/// How soon after it is back all who are there know of each other, and who was killed is known to be gone.
const WHOLE_WITHIN_MS: u64 = 30_000;

/// How soon after its end a pipe is confirmed.
const CONFIRMED_WITHIN_MS: u64 = 20_000;

/// The relay goes and comes back some times, while a pipe through it is read on.
fn come_and_go(seed: u64) {
    let mut rng = Rng::new(seed);
    let mut world = World::new(rng.draw());
    let others = 1 + rng.below(4);
    for index in 0..=others {
        world.add_node(plan(Reach::Dialable, if index > 0 { vec![0] } else { vec![] }));
    }
    let pipe = world.add_node(Plan { passing: true, ..plan(Reach::NamedOnly, vec![0]) });
    // It may begin before anybody is there.
    let (mut lines, start) = (0, rng.below(6_000));
    world.run_until(start);
    for _ in 0..=rng.below(3) {
        let away_ms = AWAY_MS[usize::try_from(rng.below(4)).expect("fits")];
        let (is_killed, silently) = (rng.below(2) == 0, rng.below(2) == 0);
        read(&mut world, pipe, &mut lines, &mut rng);
        let pause = rng.below(200);
        world.run_until(world.now + pause);
        if is_killed {
            world.crash(0, silently);
        } else {
            let mut groups = vec![0; pipe + 1];
            groups[pipe] = 1;
            world.partition(groups);
        }
        for _ in 0..5 {
            read(&mut world, pipe, &mut lines, &mut rng);
            world.run_until(world.now + away_ms / 5);
        }
        if is_killed {
            world.start(0);
        } else {
            world.heal();
        }
        let pause = rng.below(15_000);
        world.run_until(world.now + pause);
        assert_eq!(world.nodes[pipe].shown.outcome, None, "its input is open (seed {seed})");
    }
    read(&mut world, pipe, &mut lines, &mut rng);
    world.run_until(world.now + WHOLE_WITHIN_MS);
    let (feed, until) = (world.nodes[pipe].feed(), world.now + CONFIRMED_WITHIN_MS);
    world.nodes[pipe].pipe_ends = true;
    while world.nodes[pipe].shown.outcome.is_none() && world.now < until {
        world.run_until(world.now + 100);
    }
    let lacking = world.nodes[pipe].shown.undelivered.clone();
    assert_eq!(world.nodes[pipe].shown.outcome, Some(Outcome::Done), "{lacking:?} (seed {seed})");
    for node in 1..pipe {
        let shown = &world.nodes[node].shown;
        let says = shown.says.get(&feed).map_or(0, Vec::len);
        assert_eq!((says, shown.missed.len()), (lines, 0), "n{node} (seed {seed})");
    }
    check_nobody_accused(&world);
}

/// Some more lines are there to be read.
fn read(world: &mut World, pipe: usize, lines: &mut usize, rng: &mut Rng) {
    for _ in 0..rng.below(6) {
        let bytes = usize::try_from(rng.below(20_000)).expect("fits");
        world.nodes[pipe].pipe.push(format!("{lines} {}", "x".repeat(bytes)));
        *lines += 1;
    }
}

#[test]
fn a_relay_that_is_away_costs_a_pipe_no_line() {
    for_all_seeds(4, come_and_go);
}
