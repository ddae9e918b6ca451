//! The room keeps its promises in whole networks, under delays, cuts, crashes and restarts.
//!
//! Every run is drawn from a seed: who is there, how they are linked, what goes wrong and when. After it
//! all faults end and the room is left alone for a while; then every node must show the same.
//! While it runs, each node's user must see every post once, in its author's order, as its author
//! signed it, and every queue stays under its bound.
//!
//! `HOBNOB_SEEDS` says how many seeds a run tries (every tenth is a fresh one), or which part of a longer run, as in
//! `HOBNOB_SEEDS=20000..30000`; a suite whose runs take long tries a share of them. `HOBNOB_SEED=n` replays one, with
//! `HOBNOB_TRACE=1` telling what happens. With `HOBNOB_DIGESTS=1` the digest of each run
//! is told: a change that was to change nothing leaves them as they are.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a failing seed is told")]

mod comeback;
mod cut;
mod hub;
mod pipe;
mod whisper;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use hobnob::limits::{
    LOG_BYTES_MAX, MESH_LINKS_MAX, OUTBOX_BYTES_MAX, OUTBOX_CONTROL_BYTES_MAX, RANK_DEFAULT, WAITING_BYTES_TOTAL_MAX,
};
use hobnob::room::event::Outcome;
use hobnob::room::rng::Rng;
use hobnob::room::{Reach, View};
use hobnob::wire::record::{FeedId, Mode};

use world::{Node, Plan, World};

/// How soon after all faults have ended the room is one piece.
const ONE_PIECE_WITHIN_MS: u64 = 60_000;

/// The farthest way through a ring of 64 takes half of it.
const ARRIVES_WITHIN_MS: u64 = 4_000;

fn pick(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).expect("fits")
}

fn plan(reach: Reach, named: Vec<usize>) -> Plan {
    Plan { reach, mode: Mode::Mesh, rank: RANK_DEFAULT, named, passing: false, log_bytes_max: LOG_BYTES_MAX }
}

/// How the nodes of a run are linked.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Chain,
    Ring,
    Star,
    /// Everybody names everybody.
    Full,
    Random,
    /// Everybody joins through one of the others and learns the rest.
    Learned,
    /// The same, and some cannot be dialled.
    LearnedSome,
}

const SHAPES: [Shape; 7] =
    [Shape::Chain, Shape::Ring, Shape::Star, Shape::Full, Shape::Random, Shape::Learned, Shape::LearnedSome];

fn plans(shape: Shape, nodes: usize, rng: &mut Rng) -> Vec<Plan> {
    (0..nodes)
        .map(|index| match shape {
            Shape::Ring if index == nodes - 1 => plan(Reach::NamedOnly, vec![index - 1, 0]),
            Shape::Chain | Shape::Ring => plan(Reach::NamedOnly, index.checked_sub(1).into_iter().collect()),
            Shape::Star => plan(Reach::NamedOnly, if index == 0 { vec![] } else { vec![0] }),
            Shape::Full => plan(Reach::NamedOnly, (0..nodes).filter(|other| *other != index).collect()),
            Shape::Random => {
                let mut named: Vec<usize> = (0..2).filter(|_| index > 0).map(|_| pick(rng, index.max(1))).collect();
                named.dedup();
                plan(Reach::NamedOnly, named)
            }
            Shape::Learned => plan(Reach::Dialable, (index > 0).then(|| pick(rng, index)).into_iter().collect()),
            Shape::LearnedSome if index > 0 && rng.below(3) == 0 => plan(Reach::Undialable, vec![0]),
            Shape::LearnedSome => plan(Reach::Dialable, if index > 0 { vec![0] } else { vec![] }),
        })
        .collect()
}

/// A text of a random length, unique in its run.
fn text(world: &mut World, count: &mut u64) -> String {
    *count += 1;
    let length = [10, 40, 200, 3_000, 20_000][pick(&mut world.rng, 5)];
    format!("{count} {}", "x<y ".repeat(length / 4))
}

fn check_bounds(world: &World) {
    for (index, node) in world.nodes.iter().enumerate() {
        let Some(room) = &node.room else { continue };
        let view = room.view();
        assert!(view.log_bytes <= node.plan.log_bytes_max + 200_000, "n{index}: log of {}", view.log_bytes);
        assert!(view.waiting_bytes <= WAITING_BYTES_TOTAL_MAX + 70_000, "n{index}: {} waiting", view.waiting_bytes);
        for (_, queued) in &view.links {
            assert!(*queued <= OUTBOX_BYTES_MAX + OUTBOX_CONTROL_BYTES_MAX, "n{index}: {queued} queued");
        }
    }
}

/// Runs one seed to its end and checks what must hold then; returns the digest of what happened.
fn run(seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let shape = SHAPES[pick(&mut rng, SHAPES.len())];
    let nodes = match rng.below(100) {
        0..2 => 64,
        2..10 => 24,
        _ => 3 + pick(&mut rng, 14),
    };
    let mut world = World::new(rng.draw());
    if world.trace {
        eprintln!("seed {seed}: {nodes} nodes, {shape:?}");
    }
    world.unnamed_again = rng.below(2) == 0;
    for plan in plans(shape, nodes, &mut rng) {
        world.add_node(plan);
        let pause = rng.below(300);
        world.run_until(world.now + pause);
    }
    world.run_until(world.now + 3_000);
    if rng.below(4) == 0 {
        world.alter_one_in = 200;
    }
    // One through whom nobody else has to go.
    if matches!(shape, Shape::Full | Shape::Learned | Shape::LearnedSome) && rng.below(3) == 0 {
        world.make_liar(nodes - 1);
    }
    let mut count = 0;
    let faults = rng.below(4) > 0;
    for _ in 0..20 + rng.below(40) {
        let pause = rng.below(600);
        world.run_until(world.now + pause);
        for _ in 0..=rng.below(4) {
            let node = pick(&mut rng, nodes);
            let text = text(&mut world, &mut count);
            world.say(node, &text);
        }
        if faults {
            fault(&mut world, &mut rng);
        }
        check_bounds(&world);
    }
    let held = settle(&mut world);
    check_nobody_accused(&world);
    check_equal(&world, &held);
    world.digest.number()
}

/// Ends all faults and lets the room come to rest; returns what somebody held shortly before, so everybody by now. Something
/// is always under way in a large room: joins are renewed.
fn settle(world: &mut World) -> BTreeMap<FeedId, u64> {
    world.alter_one_in = 0;
    world.heal();
    for node in 0..world.nodes.len() {
        if world.nodes[node].room.is_none() {
            world.start(node);
        }
    }
    world.run_until(world.now + ONE_PIECE_WITHIN_MS);
    let honest: Vec<usize> = honest(world).map(|(index, _)| index).collect();
    assert!(world.is_connected(&honest), "the room is not one piece a minute after the heal");
    for _ in 0..200 {
        world.run_until(world.now + 2_000);
        if is_settled(world) {
            break;
        }
    }
    let mut held = BTreeMap::new();
    for (_, node) in self::honest(world) {
        let have = node.room.as_ref().map(|room| room.view().have).unwrap_or_default();
        for (feed, number) in have.into_iter().filter(|(feed, _)| !world.liars.contains(&feed.author)) {
            let most = held.entry(feed).or_insert(number);
            *most = number.max(*most);
        }
    }
    // It stays so.
    world.run_until(world.now + ARRIVES_WITHIN_MS);
    check_bounds(world);
    held
}

fn is_settled(world: &World) -> bool {
    let views: Vec<View> = honest(world).filter_map(|(_, node)| Some(node.room.as_ref()?.view())).collect();
    let same = |pair: &[View]| {
        let [one, other] = pair else { return false };
        let have = |view: &View, feed| view.have.get(feed).copied();
        let present = present(world, one);
        present == self::present(world, other) && present.iter().all(|feed| have(one, feed) == have(other, feed))
    };
    let mut living = honest(world).filter(|(_, node)| node.room.is_some());
    let shown = living.all(|(_, node)| shown(world, node) + 1 == views.len());
    shown && views.windows(2).all(same) && views.iter().all(|view| present(world, view).len() == views.len())
}

/// Those who keep the rules. What the others say of themselves is not held against anybody.
fn honest(world: &World) -> impl Iterator<Item = (usize, &Node)> {
    world.nodes.iter().enumerate().filter(|(_, node)| node.liar.is_none())
}

/// The honest sessions that a node sees present.
fn present(world: &World, view: &View) -> BTreeSet<FeedId> {
    view.present.iter().copied().filter(|feed| !world.liars.contains(&feed.author)).collect()
}

/// How many honest members a node shows to its user.
fn shown(world: &World, node: &Node) -> usize {
    let is_liar = |id: &&String| world.liars.iter().any(|liar| liar.to_string() == **id);
    node.shown.members.iter().filter(|id| !is_liar(id)).count()
}

fn fault(world: &mut World, rng: &mut Rng) {
    let nodes = world.nodes.len();
    let sides = |rng: &mut Rng| (0..nodes).map(|_| u8::try_from(rng.below(2)).expect("fits")).collect();
    match rng.below(36) {
        0..3 => world.cut(false),
        3..5 => world.cut(true),
        5..8 => world.reset(),
        8 => world.deafen(),
        9 => world.crash(pick(rng, nodes), false),
        10 => world.crash(pick(rng, nodes), true),
        11..14 => {
            if let Some(node) = (0..nodes).find(|node| world.nodes[*node].room.is_none()) {
                world.start(node);
            }
        }
        14 => {
            let groups = sides(rng);
            world.partition(groups);
        }
        15 => {
            let groups = sides(rng);
            world.partition_one_way(groups);
        }
        16..20 => world.heal(),
        20 => world.pause(pick(rng, nodes), 1_000 + rng.below(30_000)),
        21 => world.leave_unread(pick(rng, nodes), 1_000 + rng.below(30_000)),
        22 => world.jump_clock(pick(rng, nodes), [3_600_000, 0, -3_600_000][pick(rng, 3)]),
        _ => {}
    }
}

/// The honest never reach a limit that is there for others.
fn check_nobody_accused(world: &World) {
    for word in
        ["banned", "flood", "forked", "clock", "empty-gap", "crowded", "slow-reader", "bad-record", "out-of-turn"]
    {
        assert_eq!(world.closed.get(word), None, "{word}");
    }
}

/// All live nodes hold and show the same.
fn check_equal(world: &World, held: &BTreeMap<FeedId, u64>) {
    let living: Vec<(usize, &Node)> = honest(world).filter(|(_, node)| node.room.is_some()).collect();
    let views: Vec<(usize, View)> =
        living.iter().filter_map(|(index, node)| Some((*index, node.room.as_ref()?.view()))).collect();
    let (first, reference) = views.first().expect("somebody lives");
    for (index, view) in &views {
        let lacking = held.iter().find(|(feed, number)| view.have.get(feed) < Some(*number));
        assert_eq!(lacking, None, "n{index} lacks what others hold");
        assert_eq!(present(world, view), present(world, reference), "n{index} and n{first} see different members");
    }
    assert_eq!(present(world, reference).len(), living.len(), "ghosts, or members unseen");
    let liars: Vec<String> = world.liars.iter().map(ToString::to_string).collect();
    for (_, node) in &living {
        assert_eq!(shown(world, node), living.len() - 1, "shown members");
        let missed = node.shown.missed.iter().find(|(author, _)| !liars.contains(author));
        assert_eq!(missed, None, "holes without an eviction");
    }
    // Who was there all the time has shown everything that anybody holds.
    let veterans = || living.iter().map(|(_, node)| node).filter(|node| node.life == 1);
    let honest_says = |node: &Node| -> Vec<(FeedId, Vec<u64>)> {
        let says = node.shown.says.iter().filter(|(feed, _)| !world.liars.contains(&feed.author));
        says.map(|(feed, numbers)| (*feed, numbers.clone())).collect()
    };
    let mut said: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for (feed, numbers) in veterans().flat_map(|node| honest_says(node)) {
        let known = said.entry(feed).or_default();
        if known.len() < numbers.len() {
            *known = numbers;
        }
    }
    for node in veterans().filter(|node| node.shown.left_out == 0) {
        let shown: BTreeMap<FeedId, Vec<u64>> = honest_says(node).into_iter().collect();
        assert_eq!(shown, said, "a veteran misses something");
    }
}

fn seeds() -> Vec<u64> {
    if let Ok(seed) = std::env::var("HOBNOB_SEED") {
        return vec![seed.parse().expect("HOBNOB_SEED is a number")];
    }
    let wanted = std::env::var("HOBNOB_SEEDS").unwrap_or_else(|_| "100".to_owned());
    let (from, to) = wanted.split_once("..").unwrap_or(("0", &wanted));
    let number = |text: &str| text.parse::<u64>().expect("HOBNOB_SEEDS is a number, or two with .. between them");
    let fresh = std::time::UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs()) * 1_000;
    let seed = |index| if index % 10 == 9 { fresh + index } else { index };
    (number(from)..number(to)).map(seed).collect()
}

/// Runs a share of the seeds on all cores; names the seed of a failure, and where a long run has come.
fn for_all_seeds(share: usize, run: fn(u64)) {
    let mut seeds = seeds();
    seeds.truncate(seeds.len().div_ceil(share));
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(seed) = seeds.get(place) else { break };
                    if place > 0 && place.is_multiple_of(1_000) {
                        eprintln!("{name}: {place} of {} seeds", seeds.len());
                    }
                    if std::panic::catch_unwind(|| run(*seed)).is_err() {
                        eprintln!("^ failed: HOBNOB_SEED={seed} replays it");
                        failed.lock().expect("not poisoned").push(*seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("not poisoned");
    assert!(failed.is_empty(), "{} of {} seeds failed: {failed:?}", failed.len(), seeds.len());
}

#[test]
fn any_network_ends_equal_after_any_faults() {
    for_all_seeds(1, |seed| {
        let digest = run(seed);
        if std::env::var_os("HOBNOB_DIGESTS").is_some() {
            eprintln!("seed {seed}: {digest:016x}");
        }
    });
}

/// Without that a failure could not be replayed from its seed.
#[test]
fn a_seed_replays_to_the_last_frame() {
    for seed in 0..3 {
        assert_eq!(run(seed), run(seed), "seed {seed}");
    }
}

#[test]
fn a_pipe_is_confirmed_by_all_who_are_there() {
    for_all_seeds(4, |seed| {
        let mut world = World::new(seed);
        for index in 0..5 {
            world.add_node(plan(Reach::Dialable, if index > 0 { vec![0] } else { vec![] }));
        }
        world.run_until(4_000);
        let pipe = Plan { passing: true, ..plan(Reach::NamedOnly, vec![2]) };
        let pipe = world.add_node(pipe);
        let lines = 1 + world.rng.below(200);
        world.nodes[pipe].pipe = (0..lines).map(|line| format!("{line} {}", "y".repeat(3_000))).collect();
        world.nodes[pipe].pipe_ends = true;
        for _ in 0..600 {
            world.run_until(world.now + 100);
            if world.nodes[pipe].shown.outcome.is_some() {
                break;
            }
        }
        assert_eq!(world.nodes[pipe].shown.outcome, Some(Outcome::Done));
        world.run_until(world.now + 2_000);
        for node in world.nodes.iter().take(5) {
            let said: usize = node.shown.says.values().map(Vec::len).sum();
            assert_eq!(said as u64, lines);
            assert_eq!(node.shown.members.len(), 4, "the pipe has left");
        }
    });
}

/// With logs that hold next to nothing and links that are slow, posts go missing; but never without a
/// word, and what is shown is shown once and in order. Who is killed comes back with what its disk has, of which its log
/// holds the end.
#[test]
fn no_post_is_lost_without_a_word() {
    for_all_seeds(4, |seed| {
        let mut rng = Rng::new(seed);
        let shape = SHAPES[pick(&mut rng, SHAPES.len())];
        let nodes = 3 + pick(&mut rng, 8);
        let mut world = World::new(rng.draw());
        world.bytes_per_ms_min = 4 << rng.below(5);
        for mut plan in plans(shape, nodes, &mut rng) {
            plan.log_bytes_max = 20_000 << rng.below(5);
            world.add_node(plan);
        }
        world.run_until(4_000);
        let mut count = 0;
        for _ in 0..15 + rng.below(25) {
            let pause = rng.below(1_000);
            world.run_until(world.now + pause);
            let node = pick(&mut rng, nodes);
            for _ in 0..=rng.below(8) {
                let text = text(&mut world, &mut count);
                world.say(node, &text);
            }
            fault(&mut world, &mut rng);
            if rng.below(8) == 0 {
                let node = pick(&mut rng, nodes);
                world.crash(node, rng.below(2) == 0);
                let pause = rng.below(4_000);
                world.run_until(world.now + pause);
                world.start(node);
            }
            check_bounds(&world);
        }
        let held = settle(&mut world);
        check_nobody_accused(&world);
        check_nothing_silent(&world, &held);
    });
}

fn check_nothing_silent(world: &World, held: &BTreeMap<FeedId, u64>) {
    let views: Vec<View> = world.nodes.iter().filter_map(|node| Some(node.room.as_ref()?.view())).collect();
    for (index, node) in world.nodes.iter().enumerate() {
        let Some(room) = &node.room else { continue };
        let view = room.view();
        // Of a session that is over, everything may be evicted: then nobody tells of it any more.
        let present = |feed: &FeedId| views.iter().all(|view| view.present.contains(feed));
        for (feed, have) in view.have.into_iter().filter(|(feed, _)| present(feed)) {
            assert!(Some(&have) >= held.get(&feed), "n{index} has not caught up with {feed:?}");
            let shown = node.shown.says.get(&feed).map_or(&[][..], Vec::as_slice);
            if let Some(kept) = &node.kept {
                let unkept = shown.iter().find(|number| !kept.has(&feed, **number));
                assert_eq!(unkept, None, "n{index} has shown {feed:?} and not kept it");
            }
            // Who has come back is shown the end of what was said meanwhile.
            if node.life > 1 {
                continue;
            }
            let missing = (1..=have).filter(|number| world.is_say(feed, *number) && !shown.contains(number)).count();
            let told = node.shown.missed.get(&feed.author.to_string()).copied().unwrap_or(0);
            assert!(
                missing as u64 <= told || node.shown.came_late,
                "n{index}: {missing} of {feed:?} missing, {told} told"
            );
        }
    }
}

/// Everybody joined through the same member, who does not keep them all; and once each has the links of
/// its plan, nobody dials any more. (Peers of an earlier plan were dialled and shed for ever.)
#[test]
fn a_large_room_stays_in_one_piece_on_few_links() {
    let mut world = World::new(1);
    for index in 0..40 {
        world.add_node(plan(Reach::Dialable, if index > 0 { vec![0] } else { vec![] }));
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 60_000);
    let dials = world.dials;
    world.run_until(world.now + 60_000);
    assert_eq!(world.dials, dials, "the overlay is at rest");
    let views: Vec<View> = world.nodes.iter().filter_map(|node| Some(node.room.as_ref()?.view())).collect();
    let links: Vec<usize> = views.iter().map(|view| view.links.len()).collect();
    // A few are drawn by more than the average.
    assert!(links.iter().all(|links| (1..2 * MESH_LINKS_MAX).contains(links)), "{links:?}");
    assert!(links.iter().sum::<usize>() <= links.len() * MESH_LINKS_MAX, "{links:?}");
    world.say(39, "hello");
    world.run_until(world.now + 2_000);
    for node in &world.nodes {
        assert_eq!(node.shown.says.values().map(Vec::len).sum::<usize>(), 1);
    }
}

/// In a full mesh of 8 each post comes over nearly every link at first, and over one a node once the others were told to
/// be quiet.
#[test]
fn in_a_full_mesh_a_post_comes_to_each_node_about_once() {
    let mut world = World::new(1);
    let nodes = 8;
    for index in 0..nodes {
        world.add_node(plan(Reach::Dialable, if index > 0 { vec![0] } else { vec![] }));
    }
    world.run_until(10_000);
    let mut copies_of = |posts: u32| {
        let before = (world.posts_received, world.copies);
        for _ in 0..posts {
            world.say(0, &"x".repeat(500));
            world.run_until(world.now + 100);
        }
        world.run_until(world.now + 2_000);
        let others = f64::from(posts) * 7.0;
        let first = world.posts_received - before.0;
        let all = first + world.copies - before.1;
        assert_eq!(first, u64::from(posts) * 7, "each node has each post first once");
        f64::from(u32::try_from(all).expect("few")) / others
    };
    let (at_first, settling, later) = (copies_of(10), copies_of(100), copies_of(100));
    eprintln!("copies of a post a node: {at_first:.2} at first, {settling:.2} while it settles, {later:.2} later");
    assert!(at_first > 2.0, "the mesh floods: {at_first}");
    assert!(later < 1.1, "towards one a node: {later}");
}
