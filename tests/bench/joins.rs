//! How fast a room fills: a thousand join, and each hears of all.
//!
//! Who joins hobnob makes an encrypted link, is told who is there, posts its join, and gets every
//! other one's: signed, a million of them for a thousand members. Beside it a thousand who join a channel of an
//! ngircd in the clear; each gets the list of names and a line for each who comes later. The clock
//! runs from the first connection until the last member has heard of the last. Promised: at least three times
//! ngircd's rate.

use crate::Scale;
use crate::crowd::gather;
use crate::failure::Failure;
use crate::hobnob::Hobnob;
use crate::joiner::{Guest, Joiner, Party};
use crate::ngircd::{self, Client};
use crate::process::Process;
use crate::stream::float;
use crate::table::{Table, median, ratio, spread, thousands, verdict};

/// Who join.
pub(crate) const MEMBERS: usize = 1_000;

/// At least so many times ngircd's rate.
const NGIRCD_RATIO_MIN: f64 = 3.0;

/// What one run gave.
struct Sample {
    /// Joins a second.
    rate: f64,
    /// CPU time of the server for each, in milliseconds.
    cpu_ms: f64,
}

/// The runs of one server.
struct Series {
    name: &'static str,
    run: fn() -> Result<Sample, Failure>,
    samples: Vec<Sample>,
    failure: Option<Failure>,
}

impl Series {
    fn new(name: &'static str, run: fn() -> Result<Sample, Failure>) -> Self {
        Self { name, run, samples: Vec::new(), failure: None }
    }

    fn rates(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.rate).collect()
    }
}

/// Runs everything; returns whether hobnob could be measured.
pub(crate) fn run(scale: Scale) -> bool {
    let mut all = [Series::new("hobnob", run_hobnob), Series::new(ngircd::NAME, run_ngircd)];
    for run in 1..=scale.runs {
        for series in all.iter_mut().filter(|series| series.failure.is_none()) {
            match (series.run)() {
                Ok(sample) => {
                    eprintln!("run {run}, {}: {} joins/s", series.name, thousands(sample.rate));
                    series.samples.push(sample);
                }
                Err(failure) => {
                    eprintln!("run {run}, {}: {failure}", series.name);
                    series.failure = Some(failure);
                }
            }
        }
    }
    print(&all, scale);
    all.first().is_some_and(|ours| ours.failure.is_none())
}

fn print(all: &[Series], scale: Scale) {
    let rate = |series: &Series| (!series.samples.is_empty()).then(|| median(series.rates()));
    let base = all.iter().find(|series| series.name == ngircd::NAME).and_then(rate);
    let mut table = Table::new(&["server", "joins/s, median (min–max)", "to ngircd", "CPU ms/join"]);
    for series in all {
        let Some(own) = rate(series) else {
            let failure = series.failure.as_ref().map_or_else(String::new, ToString::to_string);
            table.row([series.name.to_owned(), failure]);
            continue;
        };
        table.row([
            series.name.to_owned(),
            spread(&series.rates(), thousands),
            ratio(own, base),
            format!("{:.2}", median(series.samples.iter().map(|sample| sample.cpu_ms))),
        ]);
    }
    table.print(&format!(
        "Joins: {MEMBERS} members into one room until each has heard of all, {} interleaved runs. CPU: user and\n\
         system time of the server.",
        scale.runs
    ));
    println!();
    if let (Some(own), Some(base)) = (all.first().and_then(rate), base) {
        let ratio = own / base;
        verdict(ratio >= NGIRCD_RATIO_MIN, &format!("{ratio:.2} times ngircd's joins a second, at least 3"));
    }
}

fn sample(process: &Process, took: std::time::Duration) -> Result<Sample, Failure> {
    let members = float(MEMBERS as u64);
    let cpu = process.usage()?.cpu;
    Ok(Sample { rate: members / took.as_secs_f64(), cpu_ms: cpu.as_secs_f64() * 1e3 / members })
}

fn run_hobnob() -> Result<Sample, Failure> {
    let (node, port) = Hobnob::Encrypted.start_node()?;
    let crowd = join(port, MEMBERS)?;
    sample(&node, crowd.took)
}

/// So many join a node, itself a member. Each hears of it and of all others.
pub(crate) fn join(port: u16, members: usize) -> Result<crate::crowd::Crowd, Failure> {
    let party = Party::new()?;
    let guests = (0..members).map(Guest::new).collect::<Result<Vec<_>, _>>()?;
    gather(members, members, move |index, desk| {
        let guest = guests.get(index).ok_or_else(|| Failure::Link("nobody of that number".to_owned()))?;
        Joiner::enter(port, guest, &party, desk)
    })
}

fn run_ngircd() -> Result<Sample, Failure> {
    let server = ngircd::start()?;
    let port = server.port;
    let crowd = gather(MEMBERS, MEMBERS, move |index, desk| Client::enter(port, index, desk))?;
    sample(&server.process, crowd.took)
}
