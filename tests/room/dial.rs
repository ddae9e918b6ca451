//! Whom a room dials, and how often.

use hobnob::room::Config;

use super::hand::{Author, Hand, config};

/// Links that stood counted as dials under way, so that nobody was dialled any more after eight.
#[test]
fn links_that_stand_do_not_stop_further_dials() {
    let named: Vec<String> = (0..12).map(|index| format!("peer{index}:1")).collect();
    let mut bob = Hand::new(Config { named, ..config(1) });
    let mut answered = 0;
    let mut links = Vec::new();
    for _ in 0..20 {
        bob.pass(50);
        while let Some((dial, _)) = bob.dials.get(answered).cloned() {
            let peer = Author::new(50 + answered as u8, "peer");
            let link = bob.connect(Some(dial), "10.0.0.2:4646");
            bob.greet(link, &peer, &[]);
            links.push(link);
            answered += 1;
        }
    }
    assert_eq!((answered, bob.closed.len()), (12, 0));
}
