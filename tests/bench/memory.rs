//! What a link costs in memory: a thousand members, each with an encrypted link to one node.
//!
//! Measured at the node that accepted them, by what the system says that it holds in RAM, before the first
//! has come and when all know of all and the node is quiet. It is all there: the thread, the keys, the buffers, and
//! what the room remembers of a member. Promised: at most 40 KiB.

use std::thread;
use std::time::{Duration, Instant};

use crate::Scale;
use crate::failure::Failure;
use crate::hobnob::Hobnob;
use crate::joins::{MEMBERS, join};
use crate::process::Process;
use crate::stream::float;
use crate::table::{Table, median, spread, verdict};

/// At most so much for each link.
const LINK_KIB_MAX: f64 = 40.0;

/// A node is quiet when its memory has not fallen for so long; it gives buffers back after a second or two.
const QUIET: Duration = Duration::from_secs(3);

/// It is so by then.
const QUIET_LIMIT: Duration = Duration::from_secs(20);

/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// KiB for each link.
struct Sample {
    quiet: f64,
    peak: f64,
}

/// Runs everything; returns whether it could be measured.
pub(crate) fn run(scale: Scale) -> bool {
    let mut samples = Vec::new();
    for run in 1..=scale.runs {
        match measure() {
            Ok(sample) => {
                eprintln!("run {run}: {:.1} KiB a link, {:.1} at the peak", sample.quiet, sample.peak);
                samples.push(sample);
            }
            Err(failure) => {
                println!("\nmemory: stopped: {failure}");
                return false;
            }
        }
    }
    print(scale, &samples);
    true
}

fn print(scale: Scale, samples: &[Sample]) {
    let quiet: Vec<f64> = samples.iter().map(|sample| sample.quiet).collect();
    let peak: Vec<f64> = samples.iter().map(|sample| sample.peak).collect();
    let kib = |value: f64| format!("{value:.1}");
    let mut table = Table::new(&["", "KiB a link, median (min–max)"]);
    table.row(["quiet".to_owned(), spread(&quiet, kib)]);
    table.row(["at the peak, while they join".to_owned(), spread(&peak, kib)]);
    table.print(&format!("Memory: {MEMBERS} encrypted links of as many members to one node, {} runs.", scale.runs));
    println!();
    let quiet = median(quiet);
    verdict(quiet <= LINK_KIB_MAX, &format!("{quiet:.1} KiB a link, at most 40"));
}

fn measure() -> Result<Sample, Failure> {
    let (node, port) = Hobnob::Encrypted.start_node()?;
    let before = node.usage()?.resident_bytes;
    let _crowd = join(port, MEMBERS)?;
    let quiet = await_quiet(&node)?;
    let a_link = |bytes: u64| float(bytes.saturating_sub(before)) / 1024.0 / float(MEMBERS as u64);
    Ok(Sample { quiet: a_link(quiet), peak: a_link(node.usage()?.peak_bytes) })
}

/// What the node holds when it has given back what it can.
fn await_quiet(node: &Process) -> Result<u64, Failure> {
    let deadline = Instant::now() + QUIET_LIMIT;
    let (mut least, mut fell_at) = (u64::MAX, Instant::now());
    while fell_at.elapsed() < QUIET && Instant::now() < deadline {
        let resident = node.usage()?.resident_bytes;
        if resident < least {
            (least, fell_at) = (resident, Instant::now());
        }
        thread::sleep(LOOK_AGAIN);
    }
    node.usage().map(|usage| usage.resident_bytes)
}
