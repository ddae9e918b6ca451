//! The start of a node whose history fills its log: until it takes links, every post read and its signature checked.
//!
//! Beside it the same file read and parsed by `serde_json` and nothing else, on one core, and the same with each
//! signature checked, on all cores.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use hobnob::wire::frame::MESSAGE_END;
use hobnob::wire::record::{Domain, Post};
use tempfile::TempDir;

use crate::Scale;
use crate::author::Author;
use crate::catch_up::POSTS;
use crate::failure::Failure;
use crate::hobnob::{Hobnob, ROOM, listening};
use crate::link::wrong;
use crate::process::{Process, until};
use crate::stream::float;
use crate::table::{Table, median, ratio, spread, thousands};

/// Runs everything; returns whether it could be measured.
pub(crate) fn run(scale: Scale) -> bool {
    match measure(scale) {
        Ok((bytes, samples)) => {
            print(scale, bytes, &samples);
            true
        }
        Err(failure) => {
            println!("\nload: stopped: {failure}");
            false
        }
    }
}

/// Milliseconds: of a start, of parsing, of checking.
type Sample = [f64; 3];

fn measure(scale: Scale) -> Result<(u64, Vec<Sample>), Failure> {
    let home = tempfile::tempdir().map_err(Failure::system("temporary folder"))?;
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).map_err(Failure::system("temporary folder"))?;
    fill(&home)?;
    let file = history_file(home.path())?;
    let text = fs::read(&file).map_err(Failure::system("history"))?;
    let mut samples = Vec::new();
    for run in 1..=scale.runs {
        let took = |begin: Instant| begin.elapsed().as_secs_f64() * 1e3;
        let begin = Instant::now();
        drop(start(&home)?);
        let ready = took(begin);
        let begin = Instant::now();
        parse(&file)?;
        let parsed = took(begin);
        let begin = Instant::now();
        check(&file)?;
        let sample = [ready, parsed, took(begin)];
        eprintln!(
            "run {run}: ready after {:.0} ms, parsed after {:.0}, checked after {:.0}",
            sample[0], sample[1], sample[2]
        );
        samples.push(sample);
    }
    Ok((text.len() as u64, samples))
}

fn print(scale: Scale, bytes: u64, samples: &[Sample]) {
    let column =
        |index: usize| -> Vec<f64> { samples.iter().filter_map(|sample| sample.get(index)).copied().collect() };
    let ready = median(column(0));
    let mut table = Table::new(&["", "ms, median (min–max)", "posts/s", "time to ready"]);
    let names = ["hobnob, until it listens", "read and parsed, one core", "read, parsed and checked, all cores"];
    for (index, name) in names.into_iter().enumerate() {
        let own = median(column(index));
        let milliseconds = |value: f64| format!("{value:.0}");
        let rate = thousands(float(POSTS) / own * 1e3);
        table.row([name.to_owned(), spread(&column(index), milliseconds), rate, ratio(own, Some(ready))]);
    }
    table.print(&format!(
        "Load: a history of {} posts of a line each, which fill a log, in {:.1} MB; {} interleaved runs.",
        thousands(float(POSTS)),
        float(bytes) / 1e6,
        scale.runs
    ));
}

/// A node that keeps its history.
fn start(home: &TempDir) -> Result<(Process, u16), Failure> {
    let path = |name: &str| home.path().join(name);
    let mut command = Hobnob::Encrypted.command_kept("node", &path("key"), &path("history"));
    let mut node = listening("node", command.args(["--quiet", "--backlog", "0"]), Stdio::null())?;
    let port = node.listening_port()?;
    Ok((node, port))
}

/// Lets a node keep the posts.
fn fill(home: &TempDir) -> Result<(), Failure> {
    let mut author = Author::new()?;
    let (_node, port) = start(home)?;
    let mut wire = author.enter(port)?;
    let posts: Vec<_> = (1..=POSTS).map(|number| author.say(number)).collect();
    let bytes: usize = posts.iter().map(|frame| frame.len() - MESSAGE_END.len() + 1).sum();
    wire.send_all(posts)?;
    until("history of all posts", || {
        let length = history_file(home.path()).and_then(|file| fs::metadata(file).map_err(Failure::system("history")));
        Ok(length.ok().filter(|file| file.len() > bytes as u64).map(|_| ()))
    })
}

/// The file of the only month.
fn history_file(home: &Path) -> Result<PathBuf, Failure> {
    let system = || Failure::system("history");
    let mut folders = fs::read_dir(home.join("history")).map_err(system())?.flatten();
    let folder = folders.next().ok_or(Failure::Missing("a history"))?.path();
    let mut files = fs::read_dir(folder).map_err(system())?.flatten();
    Ok(files.next().ok_or(Failure::Missing("a month"))?.path())
}

fn parse(file: &Path) -> Result<(), Failure> {
    let text = fs::read(file).map_err(Failure::system("history"))?;
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        std::hint::black_box(serde_json::from_slice::<serde_json::Value>(line).map_err(wrong)?);
    }
    Ok(())
}

fn check(file: &Path) -> Result<(), Failure> {
    let text = fs::read(file).map_err(Failure::system("history"))?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let domain = Domain::of_room(ROOM);
    let check_share = |share: &[&[u8]]| {
        share.iter().try_for_each(|line| {
            let post = Post::decode(&[line, &MESSAGE_END[..]].concat()).map_err(wrong)?;
            post.verify(&domain).map_err(wrong)
        })
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let shares = lines.chunks(lines.len().div_ceil(cores).max(1));
        let threads: Vec<_> = shares.map(|share| scope.spawn(move || check_share(share))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(wrong("a thread panicked"))))
    })
}
