//! How long a said line takes to 10, 100 and 1,000 links of the node where it is said.
//!
//! A hundred lines a second, each with the time at which it was written to the node's stdin; the
//! receivers are sockets of this process, two threads for all of them, so that the clock is the
//! same one and receiving costs little. Encrypted and in the clear, and beside it a loop in a bare process that writes each line to
//! as many sockets. Promised: the median and the 99th percentile at most twice the bare loop's.
//!
//! The same for a hub of 1,000 members, where what counts is the time until a post is at all of them; each post is
//! there at each of them once, or the run fails.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::Scale;
use crate::bare::start_fan;
use crate::contender::Contender;
use crate::failure::Failure;
use crate::hobnob::{Hobnob, listening};
use crate::link::{BareTap, STAMP_DIGITS, Tap, WireTap};
use crate::process::{Process, READY_LIMIT, Usage};
use crate::stream::{LINE_BYTES, float};
use crate::table::{Table, mebibytes, median, thousands, verdict};

const LINKS: [usize; 3] = [10, 100, 1_000];

/// A hundred lines a second,
const LINE_EVERY: Duration = Duration::from_millis(10);

/// for four seconds, and for ten where there are many links.
fn lines_to(links: usize) -> u64 {
    if links < 1_000 { 400 } else { 1_000 }
}

/// Threads that receive.
const THREADS: usize = 2;

/// How long lines may still be under way after the last was written.
const TAIL_LIMIT: Duration = Duration::from_secs(10);

/// How often a receiving thread looks whether it shall end, and a probe is said again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Promised: at most so many times the bare loop's.
const RATIO_MAX: f64 = 2.0;

/// p50, p99 and p99.9, in microseconds.
type Percentiles = [f64; 3];

/// What one run has shown.
struct Sample {
    /// Of each line at each link,
    each: Percentiles,
    /// and of each line until it was at all links.
    to_all: Percentiles,
    /// What the node took.
    usage: Usage,
}

/// What is measured, with its name in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Ours(Hobnob),
    /// The node is the hub of all those links.
    Hub,
    Bare,
}

/// In the order of their runs and rows.
const WAYS: [Way; 3] = [Way::Ours(Hobnob::Encrypted), Way::Ours(Hobnob::Clear), Way::Bare];

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Ours(hobnob) => hobnob.name(),
            Way::Hub => "hobnob, hub",
            Way::Bare => "bare loop",
        }
    }

    fn run(self, links: usize) -> Result<Sample, Failure> {
        match self {
            Way::Ours(hobnob) => run_hobnob(hobnob, &[], links),
            Way::Hub => run_hobnob(Hobnob::Encrypted, &["--hub"], links),
            Way::Bare => run_bare(links),
        }
    }
}

/// The runs of one way with one number of links.
struct Series {
    way: Way,
    runs: Vec<Sample>,
    failure: Option<Failure>,
}

/// Runs everything; returns whether hobnob could be measured.
pub(crate) fn run(scale: Scale) -> bool {
    let mut table =
        Table::new(&["links", "", "p50 µs", "p99 µs", "p99.9 µs", "p50 to bare", "p99 to bare", "p99.9 to bare"]);
    let mut verdicts = Vec::new();
    let mut measured = true;
    for links in LINKS {
        let all = measure(scale, links, &WAYS);
        for failure in all.iter().filter_map(|series| series.failure.as_ref()) {
            println!("latency, {links} links, stopped: {failure}");
            measured = false;
        }
        rows(&mut table, links, &all, &mut verdicts);
    }
    table.print(&format!(
        "Latency: 100 lines a second for 4 s, to 1,000 links for 10 s, from the write to the node's stdin to the read at each link;\n\
         medians of {} interleaved runs.",
        scale.runs
    ));
    println!();
    for (holds, what) in verdicts {
        verdict(holds, &what);
    }
    measured
}

/// The same for the members of a hub.
pub(crate) fn run_hub(scale: Scale) -> bool {
    let links = 1_000;
    let all = measure(scale, links, &[Way::Hub, Way::Bare]);
    let mut measured = true;
    for failure in all.iter().filter_map(|series| series.failure.as_ref()) {
        println!("hub, stopped: {failure}");
        measured = false;
    }
    let column = |series: &Series, part: fn(&Sample) -> f64| median(series.runs.iter().map(part));
    let parts: [fn(&Sample) -> f64; 2] = [|sample| sample.to_all[0], |sample| sample.to_all[1]];
    let bare = all.iter().find(|series| series.way == Way::Bare);
    let bare = parts.map(|part| bare.map_or(f64::NAN, |series| column(series, part)));
    let mut table = Table::new(&["", "p50 µs to all", "p99 µs to all", "p50 to bare", "p99 to bare", "MiB", "threads"]);
    let mut verdicts = Vec::new();
    for series in all.iter().filter(|series| !series.runs.is_empty()) {
        let own = parts.map(|part| column(series, part));
        let cells = [series.way.name().to_owned()].into_iter().chain(own.iter().map(|micros| format!("{micros:.0}")));
        let ratios = own.iter().zip(&bare).map(|(own, bare)| own / bare);
        let cells = cells.chain(ratios.clone().map(|ratio| format!("{ratio:.2}")));
        let peak = series.runs.iter().map(|sample| sample.usage.peak_bytes).max().unwrap_or_default();
        let threads = series.runs.iter().map(|sample| sample.usage.threads).max().unwrap_or_default();
        table.row(cells.chain([mebibytes(peak), thousands(float(threads))]));
        if series.way == Way::Hub {
            for (what, ratio) in ["p50", "p99"].iter().zip(ratios) {
                let text =
                    format!("to all {links} members of a hub: {what} {ratio:.2} times the bare loop's, at most 2");
                verdicts.push((ratio <= RATIO_MAX, text));
            }
        }
    }
    table.print(&format!(
        "A hub: {} lines, 100 a second, from the write to its stdin until they are at all of {links} links, each line at each of\n\
         them once; medians of {} interleaved runs.",
        lines_to(links),
        scale.runs
    ));
    println!();
    for (holds, what) in verdicts {
        verdict(holds, &what);
    }
    measured
}

/// A failure of one way leaves the others' numbers standing.
fn measure(scale: Scale, links: usize, ways: &[Way]) -> Vec<Series> {
    let series = |way: &Way| Series { way: *way, runs: Vec::new(), failure: None };
    let mut all: Vec<Series> = ways.iter().map(series).collect();
    for run in 1..=scale.runs {
        for series in all.iter_mut().filter(|series| series.failure.is_none()) {
            match series.way.run(links) {
                Ok(sample) => {
                    let Sample { each, to_all, .. } = &sample;
                    eprintln!("run {run}, {links} links, {}: {each:.0?} µs, to all {to_all:.0?} µs", series.way.name());
                    series.runs.push(sample);
                }
                Err(failure) => series.failure = Some(failure),
            }
        }
    }
    all
}

fn rows(table: &mut Table, links: usize, all: &[Series], verdicts: &mut Vec<(bool, String)>) {
    let middle =
        |runs: &[Sample]| [0, 1, 2].map(|part| median(runs.iter().filter_map(|run| run.each.get(part).copied())));
    let bare = all.iter().find(|series| series.way == Way::Bare).map_or([f64::NAN; 3], |series| middle(&series.runs));
    for Series { way, runs, .. } in all {
        let name = way.name();
        if runs.is_empty() {
            table.row([links.to_string(), name.to_owned(), "failed".to_owned()]);
            continue;
        }
        let own = middle(runs);
        let ratios: Vec<f64> = own.iter().zip(&bare).map(|(own, bare)| own / bare).collect();
        let cells = [links.to_string(), name.to_owned()].into_iter();
        let cells = cells.chain(own.iter().map(|micros| format!("{micros:.0}")));
        table.row(cells.chain(ratios.iter().map(|ratio| format!("{ratio:.2}"))));
        if *way != Way::Bare {
            for (what, ratio) in ["p50", "p99"].iter().zip(ratios) {
                let text = format!("{name}, {links} links: {what} {ratio:.2} times the bare loop's, at most 2");
                verdicts.push((ratio <= RATIO_MAX, text));
            }
        }
    }
}

/// The node, and one ordinary member, because a node alone does not read its stdin.
fn run_hobnob(hobnob: Hobnob, args: &[&str], links: usize) -> Result<Sample, Failure> {
    let mut command = hobnob.command("src");
    command.args(["--quiet", "--stay"]).args(args);
    let mut node = listening("node", &mut command, Stdio::piped())?;
    let port = node.listening_port()?;
    let mut member = hobnob.receiver("member", &format!("127.0.0.1:{port}"));
    let _member = Process::spawn("member", &mut member, Stdio::null(), Stdio::null())?;
    let endpoint = hobnob.endpoint()?;
    stream(&mut node, links, |index| WireTap::connect(port, index, &endpoint))
}

fn run_bare(links: usize) -> Result<Sample, Failure> {
    let (mut fan, port) = start_fan(links)?;
    stream(&mut fan, links, |_| BareTap::connect(port))
}

/// Connects, waits until every link has shown a probe, then says the lines.
fn stream<T: Tap>(
    node: &mut Process,
    links: usize,
    connect: impl FnMut(usize) -> Result<T, Failure>,
) -> Result<Sample, Failure> {
    let stdin = node.take_stdin().ok_or(Failure::Missing("the node's stdin"))?;
    let taps: Vec<T> = (0..links).map(connect).collect::<Result<_, _>>()?;
    let mut collectors = Collectors::start(taps);
    let said = collectors.await_ready(stdin).and_then(|ready| say(ready, lines_to(links)));
    let usage = node.usage();
    // Even after a failure, the threads are ended before anything is reported.
    let latencies = collectors.finish(said.is_ok());
    let complaint = node.complaint();
    let _stdin = said?;
    let (latencies, usage) = (latencies?, usage?);
    let mut by_stamp: BTreeMap<u64, (usize, u64)> = BTreeMap::new();
    for Arrived { stamp, after } in &latencies {
        let (count, last) = by_stamp.entry(*stamp).or_default();
        (*count, *last) = (*count + 1, (*last).max(*after));
    }
    if by_stamp.len() as u64 != lines_to(links) || by_stamp.values().any(|(count, _)| *count != links) {
        let what = format!("{} lines at each link but {} of them in all", lines_to(links), latencies.len());
        return Err(Failure::Late { what, limit: TAIL_LIMIT, complaint });
    }
    let percentiles = |mut nanos: Vec<u64>| {
        nanos.sort_unstable();
        [500, 990, 999].map(|permille| percentile(&nanos, permille))
    };
    let each = percentiles(latencies.iter().map(|arrived| arrived.after).collect());
    let to_all = percentiles(by_stamp.values().map(|(_, last)| *last).collect());
    Ok(Sample { each, to_all, usage })
}

/// In microseconds; nearest rank.
pub(crate) fn percentile(sorted: &[u64], permille: usize) -> f64 {
    let rank = (sorted.len() * permille).div_ceil(1_000);
    float(sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)) / 1_000.0
}

/// The time since a moment that all threads share, in nanoseconds.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    fn nanos(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A line of a hundred bytes that carries a stamp.
fn stamped(stamp: u64) -> Vec<u8> {
    let mut line = format!("~{stamp:0STAMP_DIGITS$}").into_bytes();
    line.resize(LINE_BYTES - 1, b'.');
    line.push(b'\n');
    line
}

fn write(stdin: &mut ChildStdin, line: &[u8]) -> Result<(), Failure> {
    stdin.write_all(line).map_err(Failure::system("the node's stdin"))
}

/// Says the lines at their times. The pause between them is the load, not a wait for something.
fn say((mut stdin, clock): (ChildStdin, Clock), lines: u64) -> Result<ChildStdin, Failure> {
    let mut next = Instant::now();
    for _ in 0..lines {
        next += LINE_EVERY;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        write(&mut stdin, &stamped(clock.nanos()))?;
    }
    Ok(stdin)
}

/// A line at one link.
struct Arrived {
    /// When it was written,
    stamp: u64,
    /// and how much later it was there, in nanoseconds.
    after: u64,
}

/// The receiving threads.
struct Collectors {
    threads: Vec<JoinHandle<Result<Vec<Arrived>, Failure>>>,
    ready: Receiver<()>,
    stop: Arc<AtomicBool>,
    clock: Clock,
}

impl Collectors {
    fn start<T: Tap>(mut taps: Vec<T>) -> Self {
        let (tx, ready) = unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let clock = Clock(Instant::now());
        let mut threads = Vec::new();
        let lines = usize::try_from(lines_to(taps.len())).unwrap_or(usize::MAX);
        for left in (1..=THREADS).rev() {
            let share = taps.split_off(taps.len() - taps.len() / left);
            let collector = Collector { taps: share, lines, clock, ready: tx.clone(), stop: Arc::clone(&stop) };
            threads.push(thread::spawn(|| collector.run()));
        }
        Self { threads, ready, stop, clock }
    }

    /// Says probes until every thread has seen one on all its links.
    fn await_ready(&mut self, mut stdin: ChildStdin) -> Result<(ChildStdin, Clock), Failure> {
        let deadline = Instant::now() + READY_LIMIT;
        let mut waiting = self.threads.len();
        while waiting > 0 {
            write(&mut stdin, &stamped(0))?;
            let again = Instant::now() + LOOK_AGAIN;
            while waiting > 0 && self.ready.recv_deadline(again).is_ok() {
                waiting -= 1;
            }
            if Instant::now() > deadline || self.threads.iter().any(JoinHandle::is_finished) {
                let what = "probe at every link".to_owned();
                return Err(Failure::Late { what, limit: READY_LIMIT, complaint: String::new() });
            }
        }
        Ok((stdin, self.clock))
    }

    /// Waits for the threads, which end when they have all, after the last line's deadline, or at
    /// once if nothing is said any more.
    fn finish(self, said: bool) -> Result<Vec<Arrived>, Failure> {
        let deadline = Instant::now() + TAIL_LIMIT;
        while said && Instant::now() < deadline && !self.threads.iter().all(JoinHandle::is_finished) {
            thread::sleep(LOOK_AGAIN);
        }
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in self.threads {
            let latencies = thread.join().map_err(|_| Failure::Link("a receiving thread panicked".to_owned()))?;
            all.extend(latencies?);
        }
        Ok(all)
    }
}

/// One receiving thread and its links.
struct Collector<T> {
    taps: Vec<T>,
    /// How many lines each of them is to show.
    lines: usize,
    clock: Clock,
    ready: Sender<()>,
    stop: Arc<AtomicBool>,
}

impl<T: Tap> Collector<T> {
    fn run(mut self) -> Result<Vec<Arrived>, Failure> {
        let epoll = Epoll::new(EpollCreateFlags::empty()).map_err(Failure::system("epoll"))?;
        for (index, tap) in self.taps.iter().enumerate() {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, index as u64);
            epoll.add(tap.socket(), event).map_err(Failure::system("epoll"))?;
        }
        let wanted = self.lines * self.taps.len();
        let mut latencies = Vec::with_capacity(wanted);
        let mut probed = vec![false; self.taps.len()];
        let mut unprobed = probed.len();
        let mut events = vec![EpollEvent::empty(); 256];
        let timeout = EpollTimeout::try_from(LOOK_AGAIN).unwrap_or(EpollTimeout::ZERO);
        while latencies.len() < wanted && !self.stop.load(Ordering::Relaxed) {
            let count = match epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(Failure::system("epoll")(error)),
            };
            for event in events.iter().take(count) {
                let index = usize::try_from(event.data()).unwrap_or(usize::MAX);
                let (Some(tap), Some(probed)) = (self.taps.get_mut(index), probed.get_mut(index)) else { continue };
                tap.read()?;
                let now = self.clock.nanos();
                tap.stamps(|stamp| match stamp {
                    0 if *probed => {}
                    0 => {
                        *probed = true;
                        unprobed -= 1;
                        if unprobed == 0 {
                            let _ = self.ready.send(());
                        }
                    }
                    stamp => latencies.push(Arrived { stamp, after: now.saturating_sub(stamp) }),
                })?;
            }
        }
        Ok(latencies)
    }
}
