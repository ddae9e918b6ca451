//! Whom a room dials, and how often.

use std::collections::BTreeSet;

use hobnob::room::event::Event;
use hobnob::room::{Config, DialFailure, Input, Named, Reach, Target};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Draft};

use super::hand::{Author, Hand, config};
use super::roster::lost;

fn dialable(seed: u8) -> Config {
    Config { reach: Reach::Dialable, listening: Some("10.0.0.1:4646".parse().unwrap()), ..config(seed) }
}

/// Links that stood counted as dials under way, so that nobody was dialled any more after eight.
#[test]
fn links_that_stand_do_not_stop_further_dials() {
    let named = (0..12).map(|index| Named::anybody(format!("peer{index}:1"))).collect();
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

/// The address of a vanished session, answered by the next one of that node, was dialled three times a
/// second for as long as the former session was remembered.
#[test]
fn an_address_that_another_session_answers_is_not_dialled_again_and_again() {
    let mut bob = Hand::new(dialable(1));
    let mut alice = Author::new(2, "alice");
    let addresses = ["10.0.0.2:4646".parse().unwrap()];
    let a = bob.level_link(&alice);
    bob.post(a, &alice.post(&Draft::Join { addresses: &addresses, passing: false }));
    bob.input(Input::Broken { link: a, end: End::Vanished });
    // She is back at once as a new session, and it is she who dials.
    let mut again = Author::new(2, "alice");
    again.feed.session += 1;
    let up = bob.level_link(&again);
    bob.post(up, &again.post(&Draft::Join { addresses: &addresses, passing: false }));
    let mut answered = 0;
    for _ in 0..1_200 {
        bob.pass(50);
        bob.arrive(up, vec![]);
        while let Some((dial, _)) = bob.dials.get(answered).cloned() {
            answered += 1;
            let link = bob.connect(Some(dial), "10.0.0.2:4646");
            bob.control(link, Control::Hello(again.hello()));
            assert_eq!(bob.is_closed(link), Some(End::Duplicate));
        }
    }
    assert_eq!(bob.is_closed(up), None);
    assert!(answered < 20, "{answered} dials in a minute");
}

/// How many of those who announce addresses are dialled, where none of them answers.
fn dialled(addresses: impl Fn(u8) -> Vec<String>) -> usize {
    let mut bob = Hand::new(dialable(1));
    let mut carol = Author::new(3, "carol");
    let c = bob.connect(None, "127.0.0.1:5000");
    bob.greet(c, &carol, &[]);
    bob.post(c, &carol.join());
    for seed in 10..16 {
        let mut peer = Author::new(seed, "peer");
        let addresses: Vec<_> = addresses(seed).iter().map(|addr| addr.parse().unwrap()).collect();
        bob.post(c, &peer.post(&Draft::Join { addresses: &addresses, passing: false }));
    }
    bob.pass_alive(5_000, &[c]);
    let targets = bob.dials.iter().map(|(_, target)| target.clone());
    targets
        .filter_map(|target| if let Target::Member { session, .. } = target { Some(session) } else { None })
        .collect::<BTreeSet<_>>()
        .len()
}

/// One address in a network is as good as another for who has all of them.
#[test]
fn no_more_than_two_members_of_a_public_network_are_dialled() {
    assert_eq!(dialled(|seed| vec![format!("203.0.113.{seed}:4646")]), 2);
    assert_eq!(dialled(|seed| vec![format!("[2001:db8::{seed}]:4646")]), 2);
    assert_eq!(dialled(|seed| vec![format!("198.51.{seed}.1:4646"), format!("203.0.113.{seed}:4646")]), 2);
    assert_eq!(dialled(|seed| vec![format!("203.0.{seed}.1:4646")]), 6);
    assert_eq!(dialled(|seed| vec![format!("[2001:db8:0:{seed}::1]:4646")]), 6);
}

#[test]
fn neighbours_at_home_are_all_dialled() {
    assert_eq!(dialled(|seed| vec![format!("192.168.1.{seed}:4646")]), 6);
    assert_eq!(dialled(|seed| vec![format!("127.0.0.1:{}", 5_000 + u16::from(seed))]), 6);
}

/// "127.0.0.1:22 among them."
#[test]
fn an_address_of_our_own_network_that_a_stranger_from_elsewhere_names_is_not_dialled() {
    let mut bob = Hand::new(dialable(1));
    let mut eve = Author::new(5, "eve");
    let c = bob.connect(None, "203.0.113.9:5000");
    bob.greet(c, &eve, &[]);
    for port in [22, 80, 4_646] {
        let addresses = [
            format!("127.0.0.1:{port}"),
            format!("192.168.1.1:{port}"),
            format!("[::1]:{port}"),
            format!("10.0.0.3:{port}"),
        ];
        let addresses: Vec<_> = addresses.iter().map(|addr| addr.parse().unwrap()).collect();
        bob.post(c, &eve.post(&Draft::Join { addresses: &addresses, passing: false }));
        bob.pass_alive(5_000, &[c]);
    }
    assert!(bob.dials.is_empty(), "{:?}", bob.dials);
}

/// Of many lost sessions those with the smallest ids were looked for, not the newest: after enough
/// restarts a healed cut would not have merged.
#[test]
fn of_the_lost_the_newest_are_looked_for() {
    let mut bob = Hand::new(dialable(1));
    let mut carol = Author::new(3, "carol");
    let c = bob.level_link(&carol);
    bob.post(c, &carol.join());
    let mut lost_authors: Vec<Author> = (10..90).map(|seed| Author::new(seed, "gone")).collect();
    lost_authors.sort_by_key(|author| author.feed);
    for (index, author) in lost_authors.iter_mut().enumerate() {
        bob.pass_alive(1_000, &[c]);
        author.at = bob.now.wall;
        carol.at = bob.now.wall;
        let addr = format!("10.0.1.{index}:4646").parse().unwrap();
        bob.post(c, &author.post(&Draft::Join { addresses: &[addr], passing: false }));
        bob.post(c, &carol.post(&lost(author.feed, 1)));
    }
    let refuse_all = |bob: &mut Hand, ticks: usize| {
        for _ in 0..ticks {
            let before = bob.dials.len();
            bob.pass(50);
            let fresh: Vec<u64> = bob.dials[before..].iter().map(|(dial, _)| *dial).collect();
            for dial in fresh {
                bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("refused".to_owned()) });
            }
            bob.arrive(c, vec![]);
        }
    };
    for (dial, _) in bob.dials.clone() {
        bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("refused".to_owned()) });
    }
    refuse_all(&mut bob, 100);
    let since = bob.dials.len();
    refuse_all(&mut bob, 1_200);
    let dialled = |author: &Author| {
        let is_of =
            |(_, target): &(u64, Target)| matches!(target, Target::Member { session, .. } if *session == author.feed);
        bob.dials[since..].iter().any(is_of)
    };
    assert!(dialled(&lost_authors[79]), "the newest");
    assert!(!dialled(&lost_authors[0]), "the oldest");
}

#[test]
fn a_worn_link_is_closed_and_dialled_again_and_nobody_is_taken_for_lost() {
    let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..config(1) });
    bob.pass(50);
    let (dial, _) = bob.dials[0].clone();
    let mut alice = Author::new(2, "alice");
    let worn = bob.connect(Some(dial), "10.0.0.2:4646");
    bob.greet(worn, &alice, &[]);
    bob.post(worn, &alice.join());
    bob.input(Input::Worn { link: worn });
    assert_eq!(bob.is_closed(worn), Some(End::Renew));
    bob.pass(200);
    let (again, target) = bob.dials[1].clone();
    assert_eq!(target, Target::Named("peer:1".to_owned()));
    let fresh = bob.connect(Some(again), "10.0.0.2:4646");
    bob.greet(fresh, &alice, &[alice.entry(1)]);
    bob.pass_alive(10_000, &[fresh]);
    assert_eq!(bob.is_closed(fresh), None);
    assert!(!bob.events.iter().any(|event| matches!(event, Event::Lost { .. })), "{:?}", bob.events);
}
