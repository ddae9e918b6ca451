//! `cargo bench --bench overlay`: whom nodes link to, in rooms of 100, 1,000 and 10,000.
//!
//! `cargo bench --bench overlay -- 1000` takes that size alone. The nodes of `model` have the program's own `Overlay`,
//! with its pauses, its places and its choice; links, delays, floods and who believes whom to be there are modelled, as
//! its page says. A hundred nodes run as whole rooms, too (`rooms`), in the world of the simulation tests.
//! Everything is drawn from seeds. Beside the numbers stand published ones.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tables and progress are what it is for")]
#![expect(clippy::indexing_slicing, reason = "a model fails by panicking")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod measure;
mod model;
mod rooms;
mod table;
#[path = "../../simulation"]
#[expect(dead_code, reason = "the simulation tests use the rest")]
mod simulation {
    pub(crate) mod world;
}

use std::process::ExitCode;

use measure::Scale;

/// The sizes, and how many seeds are tried of each: where chance counts for more, more.
const SCALES: [Scale; 3] = [
    Scale { nodes: 100, seeds: 20, cut_seeds: 10 },
    Scale { nodes: 1_000, seeds: 5, cut_seeds: 3 },
    Scale { nodes: 10_000, seeds: 5, cut_seeds: 1 },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Only `cargo bench` passes this; `cargo test` builds and starts benches too.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("run by cargo bench");
        return ExitCode::SUCCESS;
    }
    let named: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| *argument != "--bench").collect();
    let is_size = |name: &&str| SCALES.iter().any(|scale| scale.nodes.to_string() == **name);
    if let Some(unknown) = named.iter().find(|name| !is_size(name)) {
        // `cargo bench -- latency` passes its word to all benchmarks.
        println!("{unknown}: no size of the overlay; there are 100, 1000 and 10000");
        return ExitCode::SUCCESS;
    }
    let chosen = |scale: &&Scale| named.is_empty() || named.contains(&scale.nodes.to_string().as_str());
    let scales: Vec<Scale> = SCALES.iter().filter(chosen).copied().collect();
    measure::run(&scales, rooms::run);
    ExitCode::SUCCESS
}
