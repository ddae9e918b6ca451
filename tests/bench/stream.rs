//! One measurement: numbered lines into the sender's stdin, counted as they leave the receivers.
//!
//! A line holds one `~` and its number behind it, and no contender writes a `~` of its own, so the
//! lines are found, and their order checked, in whatever a contender prints around them. Number 0
//! is a probe: it is said again and again until every receiver has shown it, so that the
//! clock starts when all are connected and every process is warm.

use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use memchr::memchr;

use crate::contender::Net;
use crate::failure::Failure;
use crate::process::{Process, READY_LIMIT, Usage};

/// The length of a line, its `\n` included.
pub(crate) const LINE_BYTES: usize = 100;

/// Digits of a line's number.
const NUMBER_DIGITS: usize = 9;

/// What is read from a receiver's pipe at once; what a pipe holds.
const READ_BYTES: usize = 64 * 1024;

/// How long a run may take.
const RUN_LIMIT: Duration = Duration::from_mins(2);

/// Without a new line for so long, what has not come is lost.
const STALL_LIMIT: Duration = Duration::from_secs(10);

/// How often a probe is said until all have shown one.
const PROBE_AGAIN: Duration = Duration::from_millis(100);

const FILLER: &[u8] = b" the quick brown fox jumps over the lazy dog and sphinx of black quartz judge my vow in peace";

fn write_line(number: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(b'~');
    out.extend_from_slice(format!("{number:0NUMBER_DIGITS$}").as_bytes());
    out.extend(FILLER.iter().copied().cycle().take(LINE_BYTES - 2 - NUMBER_DIGITS));
    out.push(b'\n');
    debug_assert_eq!(out.len(), start + LINE_BYTES);
}

/// The lines of a run, made beforehand; shared by all runs.
#[derive(Debug, Clone)]
pub(crate) struct Text(Arc<Vec<u8>>);

impl Text {
    /// Lines 1, 2, 3 …
    pub(crate) fn new(lines: u64) -> Self {
        let mut bytes = Vec::new();
        for number in 1..=lines {
            write_line(number, &mut bytes);
        }
        Self(Arc::new(bytes))
    }
}

/// What one run gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    /// Lines a second, up to the last line at the last receiver.
    pub(crate) rate: f64,
    /// Lines that a receiver did not show, over all receivers.
    pub(crate) lost: u64,
    /// Lines shown twice or not after their predecessor, over all receivers.
    pub(crate) misplaced: u64,
    /// CPU time of all processes for each line shown, in microseconds.
    pub(crate) cpu_micros: f64,
    /// Peak memory of sender, largest relay, largest receiver.
    pub(crate) peak_bytes: [u64; 3],
}

/// What a receiver's drain has to tell.
#[derive(Debug)]
enum News {
    /// The first probe came.
    Ready,
    /// The last line came.
    Complete(Instant),
    /// The receiver closed its stdout.
    Ended,
}

/// What a drain has counted so far, for whoever waits.
#[derive(Debug, Default)]
struct Count {
    lines: AtomicU64,
    misplaced: AtomicU64,
}

/// Reads a receiver's stdout to its end.
struct Drain {
    expected: u64,
    count: Arc<Count>,
    news: Sender<News>,
    ready: bool,
    last: u64,
    lines: u64,
    misplaced: u64,
}

impl Drain {
    fn start(stdout: ChildStdout, expected: u64, news: Sender<News>) -> Arc<Count> {
        let count = Arc::new(Count::default());
        let theirs = Arc::clone(&count);
        let drain = Drain { expected, count: theirs, news, ready: false, last: 0, lines: 0, misplaced: 0 };
        // Ends when the receiver is killed, at the latest.
        thread::spawn(move || drain.run(stdout));
        count
    }

    fn run(mut self, mut stdout: ChildStdout) {
        let mut buffer = vec![0; READ_BYTES];
        let mut kept = 0;
        while let Ok(count) = stdout.read(buffer.get_mut(kept..).unwrap_or_default()) {
            if count == 0 {
                break;
            }
            let end = kept + count;
            let rest = self.scan(buffer.get(..end).unwrap_or_default());
            kept = rest;
            buffer.copy_within(end - rest..end, 0);
            self.publish();
        }
        let _ = self.news.send(News::Ended);
    }

    /// Counts the lines; returns the length of a number at the end that is not whole yet.
    fn scan(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some(index) = memchr(b'~', rest) {
            let Some(digits) = rest.get(index + 1..=index + NUMBER_DIGITS) else { return rest.len() - index };
            self.take(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0'))));
            rest = rest.get(index + 1 + NUMBER_DIGITS..).unwrap_or_default();
        }
        0
    }

    fn take(&mut self, number: u64) {
        if number == 0 {
            if !self.ready {
                self.ready = true;
                let _ = self.news.send(News::Ready);
            }
            return;
        }
        if number <= self.last {
            self.misplaced += 1;
            return;
        }
        self.last = number;
        self.lines += 1;
        if number == self.expected {
            // What is missing now comes out of order or never. Counted before it is told.
            self.publish();
            let _ = self.news.send(News::Complete(Instant::now()));
        }
    }

    fn publish(&self) {
        self.count.lines.store(self.lines, Ordering::Relaxed);
        self.count.misplaced.store(self.misplaced, Ordering::Relaxed);
    }
}

/// The receivers' drains and what they tell.
struct Drains {
    counts: Vec<Arc<Count>>,
    news: Receiver<News>,
}

impl Drains {
    fn start(net: &mut Net, expected: u64) -> Self {
        let (tx, news) = unbounded();
        let stdouts = net.receivers.iter_mut().filter_map(Process::take_stdout);
        let counts = stdouts.map(|stdout| Drain::start(stdout, expected, tx.clone())).collect();
        Self { counts, news }
    }

    /// Lines shown so far by all but the first so many receivers.
    fn lines(&self, skip: usize) -> u64 {
        self.counts.iter().skip(skip).map(|count| count.lines.load(Ordering::Relaxed)).sum()
    }

    fn misplaced(&self) -> u64 {
        self.counts.iter().map(|count| count.misplaced.load(Ordering::Relaxed)).sum()
    }

    /// Says probes until every receiver has shown one.
    fn await_ready(&self, net: &mut Net, stdin: &mut ChildStdin) -> Result<(), Failure> {
        let mut probe = Vec::new();
        write_line(0, &mut probe);
        let deadline = Instant::now() + READY_LIMIT;
        let mut ready = 0;
        while ready < self.counts.len() {
            stdin.write_all(&probe).map_err(|error| Failure::Ended {
                name: net.sender.name().to_owned(),
                status: error.to_string(),
                complaint: net.sender.complaint(),
            })?;
            let again = Instant::now() + PROBE_AGAIN;
            while ready < self.counts.len() {
                match self.news.recv_deadline(again) {
                    Ok(News::Ready) => ready += 1,
                    Ok(News::Complete(_)) => {}
                    Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => return Err(death(net)),
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            if Instant::now() > deadline {
                let what = format!("probe at {} of {} receivers", self.counts.len() - ready, self.counts.len());
                return Err(Failure::Late { what, limit: READY_LIMIT, complaint: complaints(net) });
            }
        }
        Ok(())
    }

    /// Waits until so many receivers have the last line; returns when. Where lines are lost it is
    /// when the last one came that did.
    fn await_complete(&self, net: &mut Net, wanted: usize) -> Result<Instant, Failure> {
        let begin = Instant::now();
        let (mut complete, mut last) = (0, begin);
        let (mut lines, mut moved) = (0, begin);
        while complete < wanted {
            match self.news.recv_timeout(PROBE_AGAIN) {
                Ok(News::Complete(at)) => {
                    complete += 1;
                    last = last.max(at);
                }
                Ok(News::Ready) => {}
                Ok(News::Ended) | Err(RecvTimeoutError::Disconnected) => return Err(death(net)),
                Err(RecvTimeoutError::Timeout) => {
                    if self.lines(0) > lines {
                        lines = self.lines(0);
                        moved = Instant::now();
                    }
                    if moved.elapsed() > STALL_LIMIT {
                        return Ok(moved);
                    }
                }
            }
            if begin.elapsed() > RUN_LIMIT {
                let what = format!("last line at {} of {wanted} receivers", wanted - complete);
                return Err(Failure::Late { what, limit: RUN_LIMIT, complaint: complaints(net) });
            }
        }
        Ok(last)
    }
}

fn processes(net: &Net) -> impl Iterator<Item = &Process> {
    std::iter::once(&net.sender).chain(&net.relays).chain(&net.receivers)
}

fn complaints(net: &Net) -> String {
    processes(net).map(Process::complaint).collect()
}

/// A receiver's stdout has ended: says which process went first.
fn death(net: &mut Net) -> Failure {
    let mut early = std::iter::once(&mut net.sender).chain(&mut net.relays).chain(&mut net.receivers);
    let found = early.find_map(|process| process.check_running().err());
    found.unwrap_or_else(|| Failure::Ended {
        name: "a receiver's stdout".to_owned(),
        status: "closed".to_owned(),
        complaint: complaints(net),
    })
}

/// A net whose processes are all connected.
pub(crate) struct Prepared {
    drains: Drains,
    stdin: ChildStdin,
    lines: u64,
}

/// Makes the receivers ready for so many lines.
pub(crate) fn prepare(net: &mut Net, lines: u64) -> Result<Prepared, Failure> {
    let drains = Drains::start(net, lines);
    let mut stdin = net.sender.take_stdin().ok_or(Failure::Missing("the sender's stdin"))?;
    drains.await_ready(net, &mut stdin)?;
    Ok(Prepared { drains, stdin, lines })
}

impl Prepared {
    /// Sends the lines through, and measures. `frozen` receivers, the first ones, are stopped
    /// before the stream begins, and not counted.
    pub(crate) fn measure(self, net: &mut Net, text: &Text, frozen: usize) -> Result<Sample, Failure> {
        let Prepared { drains, stdin, lines } = self;
        for receiver in net.receivers.iter().take(frozen) {
            receiver.freeze()?;
        }
        let counted = net.receivers.len() - frozen;
        let wanted = lines * counted as u64;
        let before = usages(net)?;
        let start = Instant::now();
        let feeder = feed(stdin, text, lines);
        let end = drains.await_complete(net, counted)?;
        let after = usages(net)?;
        if frozen == 0 {
            finish(net, feeder)?;
        }
        let delivered = drains.lines(frozen);
        let cpu: Duration = after.iter().zip(&before).map(|(after, before)| after.cpu.saturating_sub(before.cpu)).sum();
        Ok(Sample {
            rate: float(delivered) / float(counted as u64) / (end - start).as_secs_f64(),
            lost: wanted.saturating_sub(delivered),
            misplaced: drains.misplaced(),
            cpu_micros: cpu.as_secs_f64() * 1e6 / float(delivered.max(1)),
            peak_bytes: peaks(net, &after),
        })
    }
}

fn usages(net: &Net) -> Result<Vec<Usage>, Failure> {
    processes(net).map(Process::usage).collect()
}

/// Sender, largest relay, largest receiver.
fn peaks(net: &Net, usages: &[Usage]) -> [u64; 3] {
    let peak = |skip: usize, take: usize| {
        usages.iter().skip(skip).take(take).map(|usage| usage.peak_bytes).max().unwrap_or_default()
    };
    let relays = net.relays.len();
    [peak(0, 1), peak(1, relays), peak(1 + relays, net.receivers.len())]
}

/// Writes the lines; gives back the pipe, so that its end is told later.
fn feed(mut stdin: ChildStdin, text: &Text, lines: u64) -> thread::JoinHandle<ChildStdin> {
    let text = text.clone();
    let bytes = usize::try_from(lines).unwrap_or(usize::MAX).saturating_mul(LINE_BYTES);
    thread::spawn(move || {
        // An error here is a sender that died; the drains notice.
        let _ = stdin.write_all(text.0.get(..bytes).unwrap_or(&text.0));
        stdin
    })
}

/// Tells the sender that its input ends. It has to end by itself, satisfied; so this is not for a
/// net with a frozen receiver, for whom it may wait.
fn finish(net: &mut Net, feeder: thread::JoinHandle<ChildStdin>) -> Result<(), Failure> {
    if !feeder.is_finished() {
        // Lines were lost and the sender takes no more. It is killed when the net is dropped, and
        // that ends the feeder.
        return Ok(());
    }
    drop(feeder.join());
    let status = net.sender.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::Ended {
        name: net.sender.name().to_owned(),
        status: status.to_string(),
        complaint: net.sender.complaint(),
    })
}

/// A count as a float; ours are far below where that is inexact.
#[expect(clippy::cast_precision_loss, reason = "counts of lines and bytes are below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
