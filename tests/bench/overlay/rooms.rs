//! The same of whole rooms: every record encoded, signed, read and checked.

use hobnob::limits::{LOG_BYTES_MAX, RANK_DEFAULT};
use hobnob::room::Reach;
use hobnob::room::rng::Rng;
use hobnob::wire::record::{FeedId, Mode};

use crate::measure::{Flood, KILLED, POSTS, Tables, WARM_UP_POSTS};
use crate::simulation::world::{Node, Plan, World};
use crate::table::mean;

/// So many rooms fit a minute.
pub(crate) const NODES: usize = 100;

const SEED: u64 = 1;
const NAME: &str = "100 rooms";

/// A room that everybody joined through somebody else, at rest.
fn room() -> World {
    let mut world = World::new(SEED);
    for index in 0..NODES {
        let through = world.rng.below(index.max(1) as u64);
        let named = if index > 0 { vec![usize::try_from(through).expect("fits")] } else { Vec::new() };
        world.add_node(Plan {
            reach: Reach::Dialable,
            mode: Mode::Mesh,
            rank: RANK_DEFAULT,
            named,
            passing: false,
            log_bytes_max: LOG_BYTES_MAX,
        });
        world.run_until(world.now + 100);
    }
    world.run_until(world.now + 60_000);
    world
}

/// Adds the rows of whole rooms.
pub(crate) fn run(tables: &mut Tables) {
    let mut world = room();
    let views = world.nodes.iter().filter_map(|node| node.room.as_ref()).map(hobnob::room::Room::view);
    let links: Vec<f64> = views.map(|view| view.links.len() as f64).collect();
    let most = links.iter().copied().fold(0.0, f64::max);
    let links = format!("{:.1} (max {most:.0})", mean(&links));
    let (mut flood, mut tree) = (Flood::default(), Flood::default());
    let mut rng = Rng::new(SEED);
    for _ in 0..POSTS {
        let author = some(&mut rng, &world);
        measure(&mut world, author, &mut flood);
    }
    let author = some(&mut rng, &world);
    for _ in 0..WARM_UP_POSTS {
        say(&mut world, author);
        world.run_until(world.now + 100);
    }
    for _ in 0..POSTS {
        measure(&mut world, author, &mut tree);
    }
    tables.flood(NAME, "flood", &links, &flood, "–");
    tables.flood(NAME, "once quiet", &links, &tree, "–");
    for killed in KILLED {
        let mut world = room();
        let mut order: Vec<usize> = (0..NODES).collect();
        order.sort_by_cached_key(|_| world.rng.draw());
        for node in order.into_iter().take(NODES * killed / 100) {
            world.crash(node, false);
        }
        let began = world.now;
        let at_once: Vec<Said> = (0..POSTS).map(|_| say_somewhere(&mut world, &mut rng)).collect();
        world.run_until(began + 1_000);
        let soon = share(&world, &at_once);
        world.run_until(began + 5_000);
        let later = share(&world, &at_once);
        let five_later: Vec<Said> = (0..POSTS).map(|_| say_somewhere(&mut world, &mut rng)).collect();
        world.run_until(began + 6_000);
        tables.killed(NAME, killed, [&[soon], &[later], &[share(&world, &five_later)]], ["–", "–"]);
    }
}

/// Something said: its feed, and how many its author had said with it.
struct Said {
    feed: FeedId,
    count: usize,
}

fn some(rng: &mut Rng, world: &World) -> usize {
    let living: Vec<usize> = (0..NODES).filter(|node| world.nodes[*node].room.is_some()).collect();
    living[usize::try_from(rng.below(living.len() as u64)).expect("fits")]
}

fn say_somewhere(world: &mut World, rng: &mut Rng) -> Said {
    let node = some(rng, world);
    say(world, node)
}

/// A line that is as long as those of the model.
fn say(world: &mut World, node: usize) -> Said {
    world.say(node, &"x".repeat(250));
    let feed = world.nodes[node].feed();
    Said { feed, count: count_shown(&world.nodes[node], feed) }
}

fn count_shown(node: &Node, feed: FeedId) -> usize {
    node.shown.says.get(&feed).map_or(0, Vec::len)
}

/// How many were shown it, its author among them.
fn reached(world: &World, said: &Said) -> usize {
    let has = |node: &&Node| node.room.is_some() && count_shown(node, said.feed) >= said.count;
    world.nodes.iter().filter(has).count()
}

fn share(world: &World, posts: &[Said]) -> f64 {
    let living = world.nodes.iter().filter(|node| node.room.is_some()).count();
    let shares: Vec<f64> = posts.iter().map(|said| (reached(world, said) - 1) as f64 / (living - 1) as f64).collect();
    mean(&shares)
}

fn measure(world: &mut World, author: usize, flood: &mut Flood) {
    let (began, copies) = (world.now, world.copies + world.posts_received);
    let said = say(world, author);
    let mut last = began;
    for now in (began..began + 1_000).step_by(5) {
        world.run_until(now);
        if reached(world, &said) < NODES {
            last = now + 5;
        }
    }
    flood.delivered.push((reached(world, &said) - 1) as f64 / (NODES - 1) as f64);
    flood.copies.push((world.copies + world.posts_received - copies) as f64 / (NODES - 1) as f64);
    flood.last_ms.push((last - began) as f64);
}
