//! What a history costs: a stream to one receiver, with relay and receiver keeping it on disk, and without.
//!
//! Pairs of runs. Promised: with it at least three quarters of the rate without.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::Scale;
use crate::contender::{Contender, Shape};
use crate::failure::Failure;
use crate::hobnob::Hobnob;
use crate::stream::{Sample, Text, prepare};
use crate::table::{Table, median, spread, thousands, verdict};

/// What must be left of the rate.
const RATIO_MIN: f64 = 0.75;

/// Runs everything; returns whether it could be measured.
pub(crate) fn run(scale: Scale, text: &Text) -> bool {
    match pairs(scale, text) {
        Ok(pairs) => {
            print(scale, &pairs);
            true
        }
        Err(failure) => {
            println!("\nhistory: stopped: {failure}");
            false
        }
    }
}

fn without(scale: Scale, text: &Text) -> Result<Sample, Failure> {
    let mut net = Hobnob::Encrypted.start(Shape::Star(1))?;
    prepare(&mut net, scale.lines)?.measure(&mut net, text, 0)
}

fn with(scale: Scale, text: &Text) -> Result<Sample, Failure> {
    let home = tempfile::tempdir().map_err(Failure::system("temporary folder"))?;
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).map_err(Failure::system("temporary folder"))?;
    let mut net = Hobnob::Encrypted.start_kept(home.path())?;
    prepare(&mut net, scale.lines)?.measure(&mut net, text, 0)
}

fn pairs(scale: Scale, text: &Text) -> Result<Vec<(Sample, Sample)>, Failure> {
    let mut pairs = Vec::new();
    for run in 1..=scale.runs {
        // Every second pair the other way round, so that neither kind always comes first.
        let (off, on) = if run % 2 == 1 {
            let off = without(scale, text)?;
            (off, with(scale, text)?)
        } else {
            let on = with(scale, text)?;
            (without(scale, text)?, on)
        };
        eprintln!("pair {run}: off {} lines/s, on {} lines/s", thousands(off.rate), thousands(on.rate));
        pairs.push((off, on));
    }
    Ok(pairs)
}

fn print(scale: Scale, pairs: &[(Sample, Sample)]) {
    let off: Vec<f64> = pairs.iter().map(|(off, _)| off.rate).collect();
    let on: Vec<f64> = pairs.iter().map(|(_, on)| on.rate).collect();
    let ratios: Vec<f64> = pairs.iter().map(|(off, on)| on.rate / off.rate).collect();
    let lost: u64 = pairs.iter().map(|(off, on)| off.lost + on.lost + off.misplaced + on.misplaced).sum();
    let mut table = Table::new(&["history", "lines/s, median (min–max)", "CPU µs/line"]);
    let cpu = |samples: Vec<&Sample>| format!("{:.2}", median(samples.iter().map(|sample| sample.cpu_micros)));
    table.row(["off".to_owned(), spread(&off, thousands), cpu(pairs.iter().map(|(off, _)| off).collect())]);
    table.row(["on".to_owned(), spread(&on, thousands), cpu(pairs.iter().map(|(_, on)| on).collect())]);
    table.row(["ratio in a pair".to_owned(), spread(&ratios, |ratio| format!("{ratio:.2}"))]);
    table.print(&format!(
        "History: {} lines of 100 bytes to one receiver, {} interleaved pairs; relay and receiver keep it, or not.",
        scale.lines,
        pairs.len()
    ));
    println!();
    let ratio = median(ratios);
    verdict(ratio >= RATIO_MIN, &format!("{ratio:.2} of the rate without, at least 0.75"));
    verdict(lost == 0, &format!("{lost} lines lost or out of order"));
}
