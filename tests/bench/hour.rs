//! What a busy hour costs in memory: 360,000 posts, 100 for each second of it, through one node as fast as it takes them.
//!
//! The log is full after a ninth of them. Once, whatever `HOBNOB_BENCH_RUNS` says. Promised: from then on the memory stays
//! where it is, at the node and at a receiver.

use std::process::Stdio;

use crate::author::{Author, Lines};
use crate::failure::Failure;
use crate::hobnob::Hobnob;
use crate::process::Process;
use crate::table::{Table, mebibytes, verdict};

const POSTS: u64 = 360_000;

/// How often it is looked at.
const QUARTERS: u64 = 4;

/// So many posts are signed, sent and shown before the next ones are signed.
const CHUNK_POSTS: u64 = 5_000;

/// So much more than after the first quarter is still flat.
const GROWTH_MAX: f64 = 1.1;

/// Runs everything; returns whether it could be measured.
pub(crate) fn run() -> bool {
    match measure() {
        Ok(looks) => {
            print(&looks);
            true
        }
        Err(failure) => {
            println!("\nhour: stopped: {failure}");
            false
        }
    }
}

/// What node and receiver hold in RAM, in bytes.
type Look = [u64; 2];

fn measure() -> Result<Vec<Look>, Failure> {
    let mut author = Author::new()?;
    let (node, port) = Hobnob::Encrypted.start_node()?;
    let mut command = Hobnob::Encrypted.receiver("receiver", &format!("127.0.0.1:{port}"));
    let mut receiver = Process::spawn("receiver", &mut command, Stdio::null(), Stdio::piped())?;
    let lines = Lines::of(receiver.take_stdout().ok_or(Failure::Missing("the receiver's stdout"))?);
    let mut wire = author.enter(port)?;
    lines.await_linked(&mut author, &mut wire)?;
    let look = || Ok([node.usage()?.resident_bytes, receiver.usage()?.resident_bytes]);
    let mut looks = vec![look()?];
    for last in (CHUNK_POSTS..=POSTS).step_by(usize::try_from(CHUNK_POSTS).unwrap_or(usize::MAX)) {
        wire.send_all((last - CHUNK_POSTS + 1..=last).map(|number| author.say(number)).collect::<Vec<_>>())?;
        lines.await_number(last)?;
        wire.answer_all()?;
        if last.is_multiple_of(POSTS / QUARTERS) {
            looks.push(look()?);
            eprintln!("after {last} posts: {} MiB at the node", mebibytes(looks.last().map_or(0, |look| look[0])));
        }
    }
    Ok(looks)
}

fn print(looks: &[Look]) {
    let mut table = Table::new(&["MiB in RAM", "before", "after 1/4", "1/2", "3/4", "all"]);
    for (index, name) in ["node", "receiver"].into_iter().enumerate() {
        let cells = looks.iter().filter_map(|look| look.get(index)).map(|bytes| mebibytes(*bytes));
        table.row(std::iter::once(name.to_owned()).chain(cells));
    }
    table.print("Hour: 360 000 posts of a line each, 100 for each second of an hour, as fast as they are taken.");
    println!();
    let (Some(first), Some(last)) = (looks.get(1), looks.last()) else { return };
    for (index, name) in ["node", "receiver"].into_iter().enumerate() {
        let growth = |look: &Look| look.get(index).map_or(0.0, |bytes| crate::stream::float(*bytes));
        let growth = growth(last) / growth(first);
        verdict(
            growth <= GROWTH_MAX,
            &format!("{name}: {growth:.2} times the memory of the first quarter, at most 1.1"),
        );
    }
}
