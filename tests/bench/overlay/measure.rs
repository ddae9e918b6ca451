//! What is measured of the model, and the tables.

use crate::model::Model;
use crate::table::{Table, mean, percent, with_most};

/// How much is measured of a size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) nodes: usize,
    pub(crate) seeds: u64,
    pub(crate) cut_seeds: u64,
}

/// A room comes to rest within this, surplus links included.
const REST_MS: u64 = 60_000;

/// What is said is with all that it will reach by itself.
const FLOOD_MS: u64 = 1_000;

/// Posts that are averaged over.
pub(crate) const POSTS: usize = 20;

/// So many from one author, and the links that bring only copies are quiet.
pub(crate) const WARM_UP_POSTS: usize = 60;

/// How many in a hundred are killed.
pub(crate) const KILLED: [usize; 4] = [30, 50, 80, 90];

/// How long rooms are cut in halves.
const CUTS_MS: [u64; 3] = [20_000, 120_000, 600_000];

/// When each half has noticed its broken links, and told all of those who were at their other ends.
const FOLDED_AFTER_MS: u64 = hobnob::limits::LINK_SILENT_MS_MAX
    + hobnob::limits::LOST_AFTER_MS
    + hobnob::limits::LOST_JITTER_MS
    + hobnob::limits::LOST_GRACE_MS;

/// A room that is still two after this stays so.
const MERGED_WITHIN_MS: u64 = 180_000;

/// One row's numbers of all seeds.
#[derive(Debug, Default)]
pub(crate) struct Flood {
    pub(crate) delivered: Vec<f64>,
    pub(crate) copies: Vec<f64>,
    pub(crate) hops: Vec<f64>,
    pub(crate) last_ms: Vec<f64>,
}

/// A size's tables; whole rooms are asked for the same where they are few.
pub(crate) fn run(scales: &[Scale], rooms: fn(&mut Tables)) {
    let mut tables = Tables::new();
    for scale in scales {
        let began = std::time::Instant::now();
        let told = |what: &str| eprintln!("{:>4} s: {} nodes {what}", began.elapsed().as_secs(), scale.nodes);
        let rest: Vec<Model> = (0..scale.seeds).map(|seed| at_rest(scale.nodes, seed)).collect();
        told("at rest");
        stable(*scale, &rest, &mut tables);
        killed(*scale, &rest, &mut tables);
        told("killed");
        cut(*scale, &rest, &mut tables);
        told("cut");
        if scale.nodes == crate::rooms::NODES {
            rooms(&mut tables);
            told("as rooms");
        }
    }
    tables.print();
}

pub(crate) struct Tables {
    pub(crate) stable: Table,
    pub(crate) killed: Table,
    pub(crate) cut: Table,
}

impl Tables {
    fn new() -> Self {
        let stable = ["nodes", "", "links", "delivered", "copies", "hops", "last ms (max)", "published"];
        let killed =
            ["nodes", "killed", "at once, 1 s", "at once, 5 s", "5 s later, 1 s", "published at once", "5 s later"];
        let cut = ["nodes", "cut", "one piece after ms (max)", "said at the heal, with all after ms", "published"];
        Self { stable: Table::new(&stable), killed: Table::new(&killed), cut: Table::new(&cut) }
    }

    fn print(&self) {
        self.stable.print("At rest");
        self.killed.print("Processes killed at once");
        self.cut.print("Cut in halves, and healed");
    }
}

fn at_rest(nodes: usize, seed: u64) -> Model {
    let mut model = Model::new(nodes, seed);
    model.run_until(REST_MS);
    assert_eq!(model.largest_piece(), nodes, "the room is one piece");
    model
}

fn some(model: &mut Model) -> usize {
    let living = model.living();
    living[usize::try_from(model.rng.below(living.len() as u64)).expect("fits")]
}

// ---- at rest --------------------------------------------------------------------------------

fn stable(scale: Scale, rest: &[Model], tables: &mut Tables) {
    let (mut flood, mut tree) = (Flood::default(), Flood::default());
    let mut links = Vec::new();
    for model in rest {
        links.extend(model.living().into_iter().map(|node| model.links_of(node) as f64));
        let mut model = model.clone();
        for _ in 0..POSTS {
            let author = some(&mut model);
            say(&mut model, author, &mut flood);
        }
        let author = some(&mut model);
        for _ in 0..WARM_UP_POSTS {
            say(&mut model, author, &mut Flood::default());
        }
        for _ in 0..POSTS {
            say(&mut model, author, &mut tree);
        }
    }
    let most = links.iter().copied().fold(0.0, f64::max);
    let links = format!("{:.1} (max {most:.0})", mean(&links));
    let (flooded, warm) = match scale.nodes {
        1_000 => ("copies 5.0, hops 8.5, 154 ms", "copies 1.26, hops 8.1, 368 (963) ms"),
        10_000 => ("copies 5.0, hops 11.4, 195 (205) ms", "copies 1.42, hops 13.0, 487 (1047) ms"),
        _ => ("–", "–"),
    };
    tables.flood(&scale.nodes.to_string(), "flood", &links, &flood, flooded);
    tables.flood(&scale.nodes.to_string(), "once quiet", &links, &tree, warm);
}

fn say(model: &mut Model, author: usize, flood: &mut Flood) {
    let (began, copies, others) = (model.now, model.copies, (model.living().len() - 1) as f64);
    let post = model.say(author);
    model.run_until(began + FLOOD_MS);
    let last = model.receipts(post).iter().flatten().max().copied();
    let (at, hops) = last.unwrap_or((began, 0));
    flood.delivered.push((model.reached(post) - 1) as f64 / others);
    flood.copies.push((model.copies - copies) as f64 / others);
    flood.hops.push(f64::from(hops));
    flood.last_ms.push((at - began) as f64);
}

impl Tables {
    pub(crate) fn flood(&mut self, nodes: &str, what: &str, links: &str, flood: &Flood, published: &str) {
        let hops = if flood.hops.is_empty() { "–".to_owned() } else { format!("{:.1}", mean(&flood.hops)) };
        self.stable.row([
            nodes.to_owned(),
            what.to_owned(),
            links.to_owned(),
            percent(mean(&flood.delivered)),
            format!("{:.2}", mean(&flood.copies)),
            hops,
            with_most(&flood.last_ms),
            published.to_owned(),
        ]);
    }
}

// ---- killed ---------------------------------------------------------------------------------

fn killed(scale: Scale, rest: &[Model], tables: &mut Tables) {
    for killed in KILLED {
        let (mut soon, mut later, mut after) = (Vec::new(), Vec::new(), Vec::new());
        for model in rest {
            let mut model = model.clone();
            model.kill(scale.nodes * killed / 100);
            let (began, living) = (model.now, model.living().len());
            let at_once: Vec<usize> = (0..POSTS).map(|_| said(&mut model)).collect();
            model.run_until(began + 1_000);
            soon.push(share(&model, &at_once, living));
            model.run_until(began + 5_000);
            later.push(share(&model, &at_once, living));
            let five_later: Vec<usize> = (0..POSTS).map(|_| said(&mut model)).collect();
            model.run_until(began + 6_000);
            after.push(share(&model, &five_later, living));
        }
        let (published, published_later) = match (scale.nodes, killed) {
            (1_000, 30) => ("99.99 %", "100 %"),
            (1_000, 50) => ("99.86 %", "100 %"),
            (1_000, 80) => ("35.6 %", "99.98 %"),
            (1_000, 90) => ("4.5 %", "99.7 %"),
            (10_000, 50) => ("99.92 %", "100 %"),
            (10_000, 80) => ("95.3 %", "100 %"),
            (10_000, 90) => ("0.2 %", "100 %"),
            _ => ("–", "–"),
        };
        tables.killed(&scale.nodes.to_string(), killed, [&soon, &later, &after], [published, published_later]);
    }
}

impl Tables {
    pub(crate) fn killed(&mut self, nodes: &str, killed: usize, shares: [&[f64]; 3], published: [&str; 2]) {
        let shares = shares.map(|shares| percent(mean(shares)));
        let cells = [nodes.to_owned(), format!("{killed} %")].into_iter().chain(shares);
        self.killed.row(cells.chain(published.map(str::to_owned)));
    }
}

fn said(model: &mut Model) -> usize {
    let author = some(model);
    model.say(author)
}

/// Which part of the living has the posts.
fn share(model: &Model, posts: &[usize], living: usize) -> f64 {
    let reached: Vec<f64> = posts.iter().map(|post| (model.reached(*post) - 1) as f64 / (living - 1) as f64).collect();
    mean(&reached)
}

// ---- cut ------------------------------------------------------------------------------------

fn cut(scale: Scale, rest: &[Model], tables: &mut Tables) {
    for cut_ms in CUTS_MS {
        let (mut merged, mut with_all) = (Vec::new(), Vec::new());
        for model in rest.iter().take(usize::try_from(scale.cut_seeds).expect("few")) {
            let mut model = model.clone();
            let began = model.now;
            model.cut();
            model.run_until(began + FOLDED_AFTER_MS);
            model.fold_lost(false);
            let silent = began + hobnob::limits::SESSION_SILENT_MS_MAX;
            if silent < began + cut_ms {
                model.run_dully_until(silent);
                model.fold_lost(true);
            }
            // Not always at the same moment of their pauses.
            let more = model.rng.below(1_000);
            model.run_dully_until(began + cut_ms + more);
            let healed = model.now;
            let post = said(&mut model);
            let took = model.heal(MERGED_WITHIN_MS).map_or(f64::INFINITY, |at| (at - healed) as f64);
            merged.push(took);
            while model.reached(post) < scale.nodes && model.now < healed + MERGED_WITHIN_MS {
                model.run_until(model.now + 10);
            }
            with_all.push((model.now - healed) as f64);
        }
        let published = match cut_ms {
            20_000 => "600 ms; with a list of the lost 100 to 200 ms",
            _ => "never; with a list of the lost 100 to 200 ms",
        };
        tables.cut.row([
            scale.nodes.to_string(),
            format!("{} s", cut_ms / 1_000),
            with_most(&merged),
            with_most(&with_all),
            published.to_owned(),
        ]);
    }
}
