//! Who comes late: as many posts as a log holds are fetched from one node, checked and shown.
//!
//! Beside it the same posts as they are said, through that node to a receiver that was there, and the same bytes from one
//! socket to another. All posts are single lines with a signature each, the costliest there are. The clock of the one who
//! comes late runs from the start of its process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use hobnob::wire::Frame;

use crate::Scale;
use crate::author::{Author, Lines};
use crate::failure::Failure;
use crate::hobnob::Hobnob;
use crate::process::Process;
use crate::stream::float;
use crate::table::{Table, median, ratio, spread, thousands};

/// What fits a log of 32 MiB, with what it costs to keep them.
pub(crate) const POSTS: u64 = 40_000;

/// Posts a second.
struct Sample {
    late: f64,
    live: f64,
    copy: f64,
}

/// Runs everything; returns whether it could be measured.
pub(crate) fn run(scale: Scale) -> bool {
    let mut samples = Vec::new();
    let mut bytes = 0;
    for run in 1..=scale.runs {
        match measure() {
            Ok((sample, length)) => {
                let [late, live] = [sample.late, sample.live].map(thousands);
                eprintln!("run {run}: {late} posts/s to one who comes late, {live} live");
                samples.push(sample);
                bytes = length;
            }
            Err(failure) => {
                println!("\ncatch-up: stopped: {failure}");
                return false;
            }
        }
    }
    let rates_of = |pick: fn(&Sample) -> f64| samples.iter().map(pick).collect::<Vec<f64>>();
    let rows = [
        ("to one who comes late", rates_of(|one| one.late)),
        ("live", rates_of(|one| one.live)),
        ("plain copy", rates_of(|one| one.copy)),
    ];
    let live = median(rates_of(|one| one.live));
    let mut table = Table::new(&["", "posts/s, median (min–max)", "MB/s", "to live"]);
    for (name, rates) in rows {
        let own = median(rates.iter().copied());
        let megabytes = own * float(bytes) / float(POSTS) / 1e6;
        table.row([name.to_owned(), spread(&rates, thousands), format!("{megabytes:.1}"), ratio(own, Some(live))]);
    }
    table.print(&format!(
        "Catch-up: {} posts of a line each, {:.1} MB, from one node to one that has none of them, {} interleaved runs.",
        thousands(float(POSTS)),
        float(bytes) / 1e6,
        scale.runs
    ));
    true
}

fn measure() -> Result<(Sample, u64), Failure> {
    let mut author = Author::new()?;
    let (node, port) = Hobnob::Encrypted.start_node()?;
    let addr = format!("127.0.0.1:{port}");
    let (receiver, lines) = receive("there", &addr, 0)?;
    let mut wire = author.enter(port)?;
    lines.await_linked(&mut author, &mut wire)?;
    let posts: Vec<Frame> = (1..=POSTS).map(|number| author.say(number)).collect();
    let rate = |begin: Instant, end: Instant| float(POSTS) / end.duration_since(begin).as_secs_f64();
    let begin = Instant::now();
    wire.send_all(posts.iter().cloned())?;
    let live = rate(begin, lines.await_number(POSTS)?);
    drop((receiver, lines));
    let begin = Instant::now();
    let (late_one, lines) = receive("late", &addr, POSTS + 1)?;
    let late = rate(begin, lines.await_number(POSTS)?);
    drop((late_one, node));
    let bytes = posts.concat();
    let begin = Instant::now();
    copy(&bytes)?;
    Ok((Sample { late, live, copy: rate(begin, Instant::now()) }, bytes.len() as u64))
}

/// A process that shows what is said, and so many lines of what was said before.
fn receive(nick: &str, addr: &str, backlog: u64) -> Result<(Process, Lines), Failure> {
    let mut command = Hobnob::Encrypted.command(nick);
    command.args(["--no-listen", "--quiet", "--backlog", &backlog.to_string(), addr]);
    let mut process = Process::spawn(nick, &mut command, Stdio::null(), Stdio::piped())?;
    let stdout = process.take_stdout().ok_or(Failure::Missing("a receiver's stdout"))?;
    Ok((process, Lines::of(stdout)))
}

/// The same bytes through a socket.
fn copy(bytes: &[u8]) -> Result<(), Failure> {
    let system = || Failure::system("plain copy");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(system())?;
    let addr = listener.local_addr().map_err(system())?;
    thread::scope(|scope| {
        let sending = scope.spawn(move || TcpStream::connect(addr)?.write_all(bytes));
        let (mut socket, _) = listener.accept().map_err(system())?;
        let (mut buffer, mut left) = (vec![0; 64 * 1024], bytes.len());
        while left > 0 {
            match socket.read(&mut buffer).map_err(system())? {
                0 => break,
                count => left -= count,
            }
        }
        sending.join().map_or_else(|_| Ok(Ok(())), Ok)?.map_err(system())
    })
}
