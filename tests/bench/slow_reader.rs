//! One of ten receivers stops reading; the other nine must hardly notice.
//!
//! All links are encrypted. Pairs of runs, one with ten good receivers and one with nine and a process that is stopped by a
//! signal just before the stream begins. Promised: the nine get every line, at no less than three
//! quarters of the rate of the ten.

use crate::Scale;
use crate::contender::{Contender, Shape};
use crate::failure::Failure;
use crate::hobnob::Hobnob;
use crate::stream::{Sample, Text, prepare};
use crate::table::{Table, median, spread, thousands, verdict};

const RECEIVERS: usize = 10;

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
            println!("\nslow reader: stopped: {failure}");
            false
        }
    }
}

fn pairs(scale: Scale, text: &Text) -> Result<Vec<(Sample, Sample)>, Failure> {
    let mut pairs = Vec::new();
    for run in 1..=scale.runs {
        let one = |frozen| {
            let mut net = Hobnob::Encrypted.start(Shape::Star(RECEIVERS))?;
            prepare(&mut net, scale.lines)?.measure(&mut net, text, frozen)
        };
        // Every second pair the other way round, so that neither kind always comes first.
        let (good, slow) = if run % 2 == 1 {
            let good = one(0)?;
            (good, one(1)?)
        } else {
            let slow = one(1)?;
            (one(0)?, slow)
        };
        eprintln!("pair {run}: ten {} lines/s, nine {} lines/s", thousands(good.rate), thousands(slow.rate));
        pairs.push((good, slow));
    }
    Ok(pairs)
}

fn print(scale: Scale, pairs: &[(Sample, Sample)]) {
    let good: Vec<f64> = pairs.iter().map(|(good, _)| good.rate).collect();
    let slow: Vec<f64> = pairs.iter().map(|(_, slow)| slow.rate).collect();
    let ratios: Vec<f64> = pairs.iter().map(|(good, slow)| slow.rate / good.rate).collect();
    let lost: u64 = pairs.iter().map(|(good, slow)| good.lost + slow.lost + good.misplaced + slow.misplaced).sum();
    let mut table = Table::new(&["receivers", "lines/s, median (min–max)"]);
    table.row(["ten good".to_owned(), spread(&good, thousands)]);
    table.row(["nine, one stopped".to_owned(), spread(&slow, thousands)]);
    table.row(["ratio in a pair".to_owned(), spread(&ratios, |ratio| format!("{ratio:.2}"))]);
    table.print(&format!("Slow reader: {} lines of 100 bytes, {} interleaved pairs.", scale.lines, pairs.len()));
    println!();
    let ratio = median(ratios);
    verdict(ratio >= RATIO_MIN, &format!("the nine get {ratio:.2} of the rate, at least 0.75"));
    verdict(lost == 0, &format!("{lost} lines lost or out of order"));
}
