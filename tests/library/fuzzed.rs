//! Promise: no bytes at all break what the targets of `tests/fuzz` hold to be true, as far as a second or two finds out.
//! Checked with the inputs in `tests/fuzz/corpus` and some thousand others that a seed makes out of them. The fuzzer
//! itself, which looks where the inputs lead, is started by `tests/fuzz/run`.

#![expect(clippy::panic, clippy::indexing_slicing, reason = "a target fails by panicking")]

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hobnob::room::rng::Rng;

/// Inputs that are made out of the first ones,
const CHANGED: usize = 4_000;

/// and how long that may go on.
const TIME: Duration = Duration::from_millis(1_500);

const INPUT_BYTES_MAX: usize = 4_096;

/// Bytes that decide something in JSON, in frames or at an edge.
const TELLING: [u8; 16] = *b"{}[]\",:<\\0\x00\x01\x0f\x7f\x80\xff";

/// An input while it runs. Where it fails, it is shown.
struct Tried<'a>(&'a str, &'a [u8]);

impl Drop for Tried<'_> {
    #[expect(clippy::print_stderr, reason = "a failure is told by what has led to it")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{} fails on this input, in hexadecimal digits: {}", self.0, hex::encode(self.1));
        }
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("each target has its first inputs")
        .map(|entry| entry.expect("a folder of ours").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a file of ours")).collect()
}

/// Another input out of one or two.
fn changed(inputs: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut below = |bound: usize| usize::try_from(rng.below(bound.max(1) as u64)).expect("below a length");
    let mut input = inputs[below(inputs.len())].clone();
    for _ in 0..=below(4) {
        let place = below(input.len() + 1);
        match below(6) {
            0 => input.insert(place, TELLING[below(TELLING.len())]),
            1 => drop(input.drain(place..(place + below(16)).min(input.len()))),
            2 => {
                let other = &inputs[below(inputs.len())];
                input.truncate(place);
                input.extend_from_slice(&other[below(other.len() + 1)..]);
            }
            3 => {
                let end = (place + below(32)).min(input.len());
                let twice = input[place..end].to_vec();
                input.splice(place..place, twice);
            }
            change => {
                let byte = if change == 4 { TELLING[below(TELLING.len())] } else { below(256).to_le_bytes()[0] };
                if let Some(changed) = input.get_mut(place) {
                    *changed = byte;
                }
            }
        }
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn holds(name: &str) {
    let (_, target) = targets::TARGETS.into_iter().find(|(target, _)| *target == name).expect("a target's name");
    let inputs = corpus(name);
    assert!(inputs.len() > 5, "each target has its first inputs");
    let mut rng = Rng::new(7);
    let began = Instant::now();
    let others = (0..CHANGED).map_while(|_| (began.elapsed() < TIME).then(|| changed(&inputs, &mut rng)));
    for input in inputs.iter().cloned().chain(others) {
        let _shown = Tried(name, &input);
        target(&input);
    }
}

#[test]
fn frames_are_cut_alike_wherever_reads_end() {
    holds("frames");
}

#[test]
fn a_handshake_with_anybody_ends_and_what_follows_was_sealed() {
    holds("links");
}

#[test]
fn a_record_that_is_taken_has_one_meaning() {
    holds("records");
}

#[test]
fn strangers_do_nothing_to_those_who_are_honest() {
    holds("room");
}

#[test]
fn a_ticket_that_is_taken_is_written_alike() {
    holds("tickets");
}

#[test]
fn each_target_is_tested_here_and_has_its_inputs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let mut folders: Vec<String> = std::fs::read_dir(folder)
        .expect("the corpora")
        .map(|entry| entry.expect("a folder of ours").file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    assert_eq!(folders, targets::TARGETS.map(|(name, _)| name));
}
