//! Lines a second from one piping process to one and ten receiving ones, and along a chain of five.
//!
//! Promised: at least five times mosquitto, at least a quarter of `ncat --broker`, no line lost,
//! memory that does not grow with the lines, and that encryption costs a quarter of the rate at most.

use crate::Scale;
use crate::bare::Bare;
use crate::contender::{Contender, Shape};
use crate::failure::Failure;
use crate::hobnob::{Hobnob, check_chain};
use crate::mosquitto::Mosquitto;
use crate::ncat::Ncat;
use crate::stream::{Sample, Text, prepare};
use crate::table::{Table, mebibytes, median, ratio, spread, thousands, verdict};

const SHAPES: [Shape; 3] = [Shape::Star(1), Shape::Star(10), Shape::Chain];

/// At least so many times mosquitto's rate,
const MOSQUITTO_RATIO_MIN: f64 = 5.0;

/// so much of ncat's,
const NCAT_RATIO_MIN: f64 = 0.25;

/// encrypted so much of the same in the clear,
const CLEAR_RATIO_MIN: f64 = 0.75;

/// and less than this in each process, however many lines.
const PEAK_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The two that have to hold it.
const OURS: [Hobnob; 2] = [Hobnob::Encrypted, Hobnob::Clear];

/// The samples of one contender in one shape.
struct Series {
    contender: &'static str,
    shape: Shape,
    samples: Vec<Sample>,
    failure: Option<Failure>,
}

impl Series {
    fn rates(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.rate).collect()
    }

    fn peak(&self, part: usize) -> u64 {
        self.samples.iter().filter_map(|sample| sample.peak_bytes.get(part)).copied().max().unwrap_or(0)
    }

    fn lost(&self) -> u64 {
        self.samples.iter().map(|sample| sample.lost).sum()
    }

    fn misplaced(&self) -> u64 {
        self.samples.iter().map(|sample| sample.misplaced).sum()
    }
}

/// Runs everything; returns whether hobnob could be measured.
pub(crate) fn run(scale: Scale, text: &Text) -> bool {
    let contenders: [&dyn Contender; 5] = [&Hobnob::Encrypted, &Hobnob::Clear, &Mosquitto, &Ncat, &Bare];
    let mut all = Vec::new();
    for shape in SHAPES {
        let mut series: Vec<Series> = contenders
            .iter()
            .filter(|contender| contender.can(shape))
            .map(|contender| Series { contender: contender.name(), shape, samples: Vec::new(), failure: None })
            .collect();
        for run in 1..=scale.runs {
            for series in series.iter_mut().filter(|series| series.failure.is_none()) {
                let contender = contenders.iter().find(|contender| contender.name() == series.contender);
                let Some(contender) = contender else { continue };
                match one(*contender, shape, scale, text) {
                    Ok(sample) => {
                        let rate = thousands(sample.rate);
                        eprintln!("run {run}, {}, {}: {rate} lines/s", shape.label(), series.contender);
                        series.samples.push(sample);
                    }
                    Err(failure) => {
                        eprintln!("run {run}, {}, {}: {failure}", shape.label(), series.contender);
                        series.failure = Some(failure);
                    }
                }
            }
        }
        all.extend(series);
    }
    print(&all, scale);
    judge(&all)
}

fn one(contender: &dyn Contender, shape: Shape, scale: Scale, text: &Text) -> Result<Sample, Failure> {
    let mut net = contender.start(shape)?;
    let prepared = prepare(&mut net, scale.lines / contender.lines_divisor())?;
    if shape == Shape::Chain && OURS.iter().any(|ours| ours.name() == contender.name()) {
        check_chain(&mut net)?;
    }
    prepared.measure(&mut net, text, 0)
}

/// The median rate of a contender in a shape, if it was measured.
fn rate(all: &[Series], contender: &str, shape: Shape) -> Option<f64> {
    let series = all.iter().find(|series| series.contender == contender && series.shape == shape)?;
    (!series.samples.is_empty()).then(|| median(series.rates()))
}

fn print(all: &[Series], scale: Scale) {
    let mut table = Table::new(&[
        "contender",
        "shape",
        "lines/s, median (min–max)",
        "to clear",
        "to mosquitto",
        "to ncat",
        "to bare",
        "lost",
        "CPU µs/line",
        "MiB sender",
        "relay",
        "receiver",
    ]);
    for series in all {
        if let (Some(failure), true) = (&series.failure, series.samples.is_empty()) {
            table.row([series.contender.to_owned(), series.shape.label(), failure_cell(failure).to_owned()]);
            continue;
        }
        let rates = series.rates();
        let to = |base: &str| ratio(median(rates.clone()), rate(all, base, series.shape));
        let misplaced = series.misplaced();
        let order = if misplaced > 0 { format!(", {misplaced} out of order") } else { String::new() };
        table.row([
            series.contender.to_owned(),
            series.shape.label(),
            spread(&rates, thousands),
            to(Hobnob::Clear.name()),
            to(Mosquitto.name()),
            to(Ncat.name()),
            to(Bare.name()),
            format!("{}{order}", series.lost()),
            format!("{:.2}", median(series.samples.iter().map(|sample| sample.cpu_micros))),
            mebibytes(series.peak(0)),
            mebibytes(series.peak(1)),
            mebibytes(series.peak(2)),
        ]);
    }
    table.print(&format!(
        "Throughput: {} lines of 100 bytes (mosquitto: a tenth of them), {} interleaved runs. CPU: user and system\n\
         time of all processes for each line delivered. Memory: the peak, of the largest process where there are several.",
        thousands(crate::stream::float(scale.lines)),
        scale.runs
    ));
    for series in all {
        if let Some(failure) = &series.failure {
            println!("{}, {}, stopped: {failure}", series.contender, series.shape.label());
        }
    }
}

fn failure_cell(failure: &Failure) -> &'static str {
    if matches!(failure, Failure::Missing(_)) { "skipped, not installed" } else { "failed" }
}

fn judge(all: &[Series]) -> bool {
    println!();
    let ours: Vec<&Series> =
        all.iter().filter(|series| OURS.iter().any(|ours| ours.name() == series.contender)).collect();
    for series in ours.iter().filter(|series| !series.samples.is_empty()) {
        let rate_of = |contender: &str| rate(all, contender, series.shape);
        let own = median(series.rates());
        let label = format!("{}, {}", series.contender, series.shape.label());
        if let Some(base) = rate_of(Hobnob::Clear.name()).filter(|_| series.contender == Hobnob::Encrypted.name()) {
            let ratio = own / base;
            verdict(ratio >= CLEAR_RATIO_MIN, &format!("{label}: {ratio:.2} of the same in the clear, at least 0.75"));
        }
        if let Some(base) = rate_of(Mosquitto.name()) {
            let ratio = own / base;
            verdict(ratio >= MOSQUITTO_RATIO_MIN, &format!("{label}: {ratio:.2} times mosquitto, at least 5"));
        }
        if let Some(base) = rate_of(Ncat.name()) {
            let ratio = own / base;
            verdict(ratio >= NCAT_RATIO_MIN, &format!("{label}: {ratio:.2} of ncat --broker, at least 0.25"));
        }
        let (lost, misplaced) = (series.lost(), series.misplaced());
        verdict(lost + misplaced == 0, &format!("{label}: {lost} lines lost, {misplaced} out of order"));
        let peak = (0..3).map(|part| series.peak(part)).max().unwrap_or(0);
        verdict(peak < PEAK_BYTES_MAX, &format!("{label}: {} MiB at most, under 64", mebibytes(peak)));
    }
    ours.iter().all(|series| series.failure.is_none())
}
