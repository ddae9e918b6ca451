//! `cargo bench`: hobnob beside what else carries lines from one process to others.
//!
//! `cargo bench` runs everything, `cargo bench -- joins latency` those parts; they are `throughput`, `latency`,
//! `slow-reader`, `joins`, `handshakes`, `memory`, `history`, `catch-up`, `load`, `hour`, `hub`, `failover` and `whispers`.
//! `HOBNOB_BENCH_LINES` and `HOBNOB_BENCH_RUNS` scale it. What is compared runs in turns within one
//! run of the program, A B C D A B C D, so that a busy moment of the machine hits all; the tables
//! show medians. A contender that is not installed is skipped with a word. A promise that does
//! not hold is printed as MISSED; the exit code only tells whether hobnob could be measured.
//!
//! Reading order: `contender` (what is compared), `hobnob`, `mosquitto`, `ncat`, `bare`; `stream` (one
//! measurement of throughput), `throughput`, `slow_reader`; `link` and `latency`; `crowd`, `light`, `joiner` and `ngircd` (who
//! joins what), `joins`, `memory`; `handshakes`; `history`; `author` (who speaks in single posts), `catch_up`, `load`, `hour`;
//! `failover`; `whispers`; `process`, `table`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tables and progress are what it is for")]

mod author;
mod bare;
mod catch_up;
mod contender;
mod crowd;
mod failover;
mod failure;
mod handshakes;
mod history;
mod hobnob;
#[path = "../program/support/host.rs"]
#[allow(dead_code, clippy::indexing_slicing, reason = "the tests use all of it")]
mod host;
mod hour;
mod joiner;
mod joins;
mod latency;
mod light;
mod link;
mod load;
mod memory;
mod mosquitto;
mod ncat;
mod ngircd;
mod process;
mod slow_reader;
mod stream;
mod table;
mod throughput;
mod whispers;

use std::process::ExitCode;

use failure::Failure;
use stream::Text;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// Lines of one run of the faster contenders.
    lines: u64,
    /// Runs of each; the median of them counts.
    runs: u64,
}

impl Scale {
    fn from_environment() -> Self {
        let number = |name: &str, default| {
            std::env::var(name).ok().and_then(|text| text.parse().ok()).filter(|&number| number > 0).unwrap_or(default)
        };
        // A line's number has nine digits, and a contender may do a tenth of the lines.
        let lines = number("HOBNOB_BENCH_LINES", 1_000_000).clamp(10, 999_999_999);
        Self { lines, runs: number("HOBNOB_BENCH_RUNS", 5) }
    }
}

/// The part with a stopped reader streams so many times the lines of the others.
const SLOW_READER_LINES_FACTOR: u64 = 4;

/// The parts, as named on the command line.
const PARTS: [&str; 13] = [
    "throughput",
    "latency",
    "slow-reader",
    "joins",
    "handshakes",
    "memory",
    "history",
    "catch-up",
    "load",
    "hour",
    "hub",
    "failover",
    "whispers",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((bare::ROLE_OPTION, role)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return if bare::play(role).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // Only `cargo bench` passes this; `cargo test` builds and starts benches too.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("run by cargo bench");
        return ExitCode::SUCCESS;
    }
    let named: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| *argument != "--bench").collect();
    match run(&named) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(2)
        }
    }
}

/// Runs the parts named, all if none is; returns whether hobnob could be measured in each.
fn run(named: &[&str]) -> Result<bool, Failure> {
    if let Some(unknown) = named.iter().find(|name| !PARTS.contains(name)) {
        return Err(Failure::Usage((*unknown).to_owned()));
    }
    let handler = || {
        process::kill_all();
        std::process::exit(130);
    };
    ctrlc::set_handler(handler).map_err(|error| Failure::Link(error.to_string()))?;
    let chosen = |part| named.is_empty() || named.contains(&part);
    let scale = Scale::from_environment();
    let is_streamed = chosen("throughput") || chosen("history");
    let text = Text::new(if is_streamed { scale.lines } else { 0 });
    let mut measured = true;
    if chosen("throughput") {
        measured &= throughput::run(scale, &text);
    }
    if chosen("history") {
        measured &= history::run(scale, &text);
    }
    if chosen("failover") {
        measured &= failover::run();
    }
    if chosen("latency") {
        measured &= latency::run(scale);
    }
    if chosen("hub") {
        measured &= latency::run_hub(scale);
    }
    if chosen("whispers") {
        measured &= whispers::run(scale);
    }
    if chosen("slow-reader") {
        // The source waits two seconds for the one that stopped, once: what counts is the rate of a
        // stream that lasts.
        drop(text);
        let scale = Scale { lines: scale.lines * SLOW_READER_LINES_FACTOR, ..scale };
        measured &= slow_reader::run(scale, &Text::new(scale.lines));
    }
    if chosen("joins") {
        measured &= joins::run(scale);
    }
    if chosen("handshakes") {
        measured &= handshakes::run(scale);
    }
    if chosen("memory") {
        measured &= memory::run(scale);
    }
    if chosen("catch-up") {
        measured &= catch_up::run(scale);
    }
    if chosen("load") {
        measured &= load::run(scale);
    }
    if chosen("hour") {
        measured &= hour::run();
    }
    Ok(measured)
}
