//! Promise: over bad lines nothing is lost, doubled or put out of order. Checked with real processes that are linked through a
//! small proxy: it resets connections at random bytes, lets one direction fall silent while both ends stay open, passes
//! everything on late, and reads slowly.
//!
//! The random places come from fixed seeds and from a fresh one; `HOBNOB_SEED=n` tries one alone.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]
#![expect(clippy::print_stderr, reason = "the seed of a failure is told")]

use std::time::{Duration, Instant, UNIX_EPOCH};

use crate::support::proxy::{Fault, Proxy, Way};
use crate::support::{Node, chatting, lines_of, piping, said_by, undialable};
use hobnob::room::rng::Rng;

/// Two who know only each other, over a proxy.
fn two_over(faults: &[Fault]) -> (Node, Node, Proxy) {
    let alice = chatting("alice", &["--no-mesh"]);
    let proxy = Proxy::start(&alice.addr(), faults);
    let bob = undialable("bob", &["--no-mesh", &proxy.addr()]);
    (alice, bob, proxy)
}

/// Each shows all lines of both, once and in order; then they part.
fn check_both(nodes: [Node; 2], lines: usize) {
    for node in &nodes {
        for nick in ["alice", "bob"] {
            node.wait_for_said(nick, &lines_of(nick, 0..lines));
        }
    }
    for node in nodes {
        let events = node.finish();
        for nick in ["alice", "bob"] {
            assert_eq!(said_by(&events, nick), lines_of(nick, 0..lines), "at the end");
        }
        let gaps = events.iter().filter(|event| event["event"] == "gap").count();
        assert_eq!(gaps, 0);
    }
}

fn resets(seed: u64) {
    /// Connections that are reset; those after them are sound.
    const RESETS: usize = 12;
    const LINES: usize = 1_000;
    const BLOCK: usize = 20;
    let mut rng = Rng::new(seed);
    let faults: Vec<Fault> = (0..RESETS)
        .map(|_| {
            let way = if rng.below(2) == 0 { Way::Up } else { Way::Down };
            // Some in the handshake, some in the paging, most in the chat.
            let bytes = [400, 2_000, 8_000][usize::try_from(rng.below(3)).expect("fits")];
            Fault::Cut(way, usize::try_from(rng.below(bytes)).expect("fits"))
        })
        .collect();
    eprintln!("HOBNOB_SEED={seed}: {faults:?}");
    let (mut alice, mut bob, proxy) = two_over(&faults);
    for start in (0..LINES).step_by(BLOCK) {
        alice.say_all(&lines_of("alice", start..start + BLOCK));
        bob.say_all(&lines_of("bob", start..start + BLOCK));
        // So that every connection has something to carry.
        alice.wait_for_said("bob", &lines_of("bob", 0..start + BLOCK));
    }
    assert!(proxy.tapped().len() > RESETS / 2, "connections were reset");
    check_both([alice, bob], LINES);
}

#[test]
fn a_link_that_is_reset_at_random_bytes_loses_no_line() {
    let fresh = UNIX_EPOCH.elapsed().map_or(1, |since| since.as_secs());
    let seed = std::env::var("HOBNOB_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in seed.map_or_else(|| vec![1, 2, fresh], |seed| vec![seed]) {
        resets(seed);
    }
}

/// One direction falls silent, in the middle of a frame, and no end is told.
fn half_open(way: Way) {
    let (mut alice, mut bob, proxy) = two_over(&[Fault::Stall(way, 3_000)]);
    for (node, nick) in [(&alice, "bob"), (&bob, "alice")] {
        node.wait_for_member("joined", nick);
    }
    alice.say_all(&lines_of("alice", 0..200));
    bob.say_all(&lines_of("bob", 0..200));
    check_both([alice, bob], 200);
    assert!(proxy.tapped().len() > 1, "the silent link was given up");
}

#[test]
fn a_link_that_is_half_open_is_noticed_and_loses_no_line() {
    std::thread::scope(|scope| {
        for way in [Way::Up, Way::Down] {
            scope.spawn(move || half_open(way));
        }
    });
}

#[test]
fn over_a_long_line_everything_arrives_and_a_pipe_is_confirmed() {
    const LATE: Duration = Duration::from_millis(300);
    let alice = chatting("alice", &["--no-mesh"]);
    let proxy = Proxy::start(&alice.addr(), &[Fault::Delay(300); 64]);
    let bob = undialable("bob", &["--no-mesh", &proxy.addr()]);
    bob.wait_for_member("joined", "alice");
    let mut pipe = piping("pipe", &["--linger", "30", &proxy.addr()]);
    let began = Instant::now();
    pipe.say_all(&lines_of("pipe", 0..5_000));
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    assert!(began.elapsed() > 2 * LATE, "a confirmation takes the way there and back");
    for node in [alice, bob] {
        assert_eq!(said_by(&node.finish(), "pipe"), lines_of("pipe", 0..5_000));
    }
}

#[test]
fn a_reader_of_64_kb_a_second_gets_everything_and_holds_up_nobody() {
    const RATE: usize = 64 * 1024;
    let lines: Vec<String> = (0..10_000).map(|number| format!("{number:0>99}")).collect();
    let alice = chatting("alice", &["--no-mesh"]);
    let proxy = Proxy::start(&alice.addr(), &[Fault::Pace(Way::Down, RATE); 8]);
    let slow = undialable("slow", &["--no-mesh", &proxy.addr()]);
    let fast = undialable("fast", &["--no-mesh", &alice.addr()]);
    slow.wait_for_all(&["alice", "fast"]);
    fast.wait_for_all(&["alice", "slow"]);
    let mut pipe = piping("pipe", &["--linger", "60", &alice.addr()]);
    pipe.say_all(&lines);
    pipe.end_input();
    fast.wait_for_said("pipe", &lines);
    let had = said_by(&slow.events(), "pipe").len();
    assert!(had < lines.len(), "the slow one is still at it");
    slow.wait_for_said("pipe", &lines);
    assert_eq!(pipe.exit_code(), 0, "{}", pipe.told());
    assert_eq!(proxy.tapped().len(), 1, "nobody gave up on it");
    for node in [alice, slow, fast] {
        let events = node.finish();
        assert!(said_by(&events, "pipe") == lines, "each line once");
        assert_eq!(events.iter().filter(|event| event["event"] == "gap").count(), 0);
    }
}
