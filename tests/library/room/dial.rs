//! Whom a room dials, and how often.

use std::collections::BTreeSet;

use hobnob::limits::{DIALLED_PLACES_MAX, STRANGER_PAUSE_MS_MIN};
use hobnob::room::event::Event;
use hobnob::room::{Config, DialFailure, Input, LinkId, Named, Reach, Target};
use hobnob::wire::end::End;
use hobnob::wire::record::{Body, Control, Draft};

use super::hand::{Author, Hand, Sent, anybody, config};
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
    bob.post(
        a,
        &alice.post(&Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None }),
    );
    bob.input(Input::Broken { link: a, end: End::Vanished });
    // She is back at once as a new session, and it is she who dials.
    let mut again = Author::new(2, "alice");
    again.feed.session += 1;
    let up = bob.level_link(&again);
    bob.post(
        up,
        &again.post(&Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None }),
    );
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
        bob.post(
            c,
            &peer.post(&Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None }),
        );
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
        bob.post(
            c,
            &eve.post(&Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None }),
        );
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
        bob.post(
            c,
            &author.post(&Draft::Join { addresses: &[addr], passing: false, rank: None, sealing: None, away: None }),
        );
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

/// How often bob claims that carol is lost, whom he never had a link to and dials in vain.
fn claims(alice_is_lost: bool) -> usize {
    let mut bob = Hand::new(dialable(1));
    let (alice, mut carol, dora) = (Author::new(2, "alice"), Author::new(3, "carol"), Author::new(4, "dora"));
    let links = [bob.level_link(&alice), bob.level_link(&dora)];
    for (link, mut author) in [(links[0], alice), (links[1], dora)] {
        bob.post(link, &author.join());
    }
    let addresses = ["10.0.0.3:4646".parse().unwrap()];
    let here = Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None };
    bob.post(links[1], &carol.post(&here));
    if alice_is_lost {
        bob.input(Input::Broken { link: links[0], end: End::Vanished });
    }
    let (mut failed, mut claims) = (0, 0);
    for _ in 0..60 {
        bob.pass_alive(1_000, &links);
        while let Some((dial, _)) = bob.dials.get(failed).cloned() {
            failed += 1;
            bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("no answer".to_owned()) });
        }
        let is_claim = |sent: &Sent| matches!(sent, Sent::Post(post) if matches!(post.body, Body::Lost { feed, .. } if feed == carol.feed));
        let told = bob.sent(links[1]).iter().filter(|sent| is_claim(sent)).count();
        claims += told;
        if told > 0 {
            // Others reach her.
            bob.post(links[1], &carol.post(&here));
        }
    }
    assert!(failed > 5, "she was dialled");
    let is_loss = |event: &&Event| matches!(event, Event::Lost { member, .. } if member.id == carol.feed.author);
    assert_eq!(bob.events.iter().filter(is_loss).count(), 0, "she has answered");
    claims
}

/// Of two sites that a cut parts, some had no link to the other one: nobody spoke for them, and they stayed as ghosts for
/// five minutes.
#[test]
fn where_somebody_was_lost_those_who_are_dialled_in_vain_are_doubted_once() {
    assert_eq!((claims(false), claims(true)), (0, 1));
}

/// Joins with one address, over a link of the same network.
fn join_at(bob: &mut Hand, link: LinkId, author: &mut Author, addr: &str) {
    author.at = bob.now.wall;
    let addresses = [addr.parse().unwrap()];
    bob.post(
        link,
        &author.post(&Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None }),
    );
}

/// A second, tick by tick; what is dialled is answered as the test likes.
fn second(bob: &mut Hand, alive: &[LinkId], mut answer: impl FnMut(&mut Hand, u64, Target)) {
    for _ in 0..20 {
        let before = bob.dials.len();
        bob.pass(50);
        for link in alive {
            bob.arrive(*link, vec![]);
        }
        let fresh = bob.dials[before..].to_vec();
        for (dial, target) in fresh {
            answer(bob, dial, target);
        }
    }
}

fn refuse(bob: &mut Hand, dial: u64, _: Target) {
    bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("refused".to_owned()) });
}

/// Of thousands of made-up members that all name one port, three nodes dialled that port two hundred times in ten
/// seconds: the pause belonged to the member, and there was always another one.
#[test]
fn an_address_that_thousands_name_is_dialled_as_seldom_as_one_that_a_few_do() {
    let somebody_else = |bob: &mut Hand, dial, _: Target| {
        let link = bob.connect(Some(dial), "10.0.0.77:22");
        bob.control(link, Control::Hello(Author::new(7, "another").hello()));
        bob.input(Input::Broken { link, end: End::Vanished });
    };
    let answers: [fn(&mut Hand, u64, Target); 2] = [refuse, somebody_else];
    for answer in answers {
        let mut bob = Hand::new(dialable(1));
        let c = bob.level_link(&Author::new(3, "carol"));
        for index in 0..3_000 {
            join_at(&mut bob, c, &mut anybody(index), "10.0.0.77:22");
        }
        for _ in 0..10 {
            second(&mut bob, &[c], answer);
        }
        assert!((1..=10).contains(&bob.dials.len()), "{} dials in ten seconds", bob.dials.len());
        let soon = bob.dials.len();
        for _ in 0..110 {
            second(&mut bob, &[c], answer);
        }
        assert!(bob.dials.len() <= soon + 20, "{} dials in two minutes", bob.dials.len());
    }
}

/// Who names the address of somebody else keeps him from nobody.
#[test]
fn who_was_found_at_an_address_is_looked_for_there_whoever_else_names_it() {
    let mut bob = Hand::new(dialable(1));
    let mut alice = Author::new(2, "alice");
    let c = bob.level_link(&Author::new(3, "carol"));
    join_at(&mut bob, c, &mut alice, "10.0.0.2:4646");
    bob.pass(2_000);
    let a = bob.connect(Some(bob.dials[0].0), "10.0.0.2:4646");
    bob.greet(a, &alice, &[alice.entry(1)]);
    for index in 0..6 {
        join_at(&mut bob, c, &mut anybody(index), "10.0.0.2:4646");
    }
    for _ in 0..30 {
        second(&mut bob, &[a, c], refuse);
    }
    assert_eq!(bob.dials.len(), 1, "she is there, and so nobody else is");
    let reached = |bob: &Hand, feed| {
        bob.dials[1..].iter().any(|(_, target)| matches!(target, Target::Member { session, .. } if *session == feed))
    };
    bob.input(Input::Broken { link: a, end: End::Vanished });
    second(&mut bob, &[c], refuse);
    assert!(reached(&bob, alice.feed), "looked for at once");
    for _ in 0..60 {
        second(&mut bob, &[c], refuse);
    }
    // She is back as another session, of which others tell.
    let mut again = Author::new(2, "alice");
    again.feed.session += 1;
    join_at(&mut bob, c, &mut again, "10.0.0.2:4646");
    for _ in 0..=STRANGER_PAUSE_MS_MIN / 1_000 {
        second(&mut bob, &[c], refuse);
    }
    assert!(reached(&bob, again.feed), "found after a moment, however long she was away");
}

#[test]
fn of_too_many_addresses_that_were_dialled_half_are_forgotten() {
    let mut bob = Hand::new(dialable(1));
    let c = bob.level_link(&Author::new(3, "carol"));
    let mut peers: Vec<Author> = (0..8).map(anybody).collect();
    let mut next = 0_u32;
    let mut addr = || {
        next += 1;
        format!("10.{}.{}.{}:4646", 1 + (next >> 16), next >> 8 & 255, next & 255)
    };
    for peer in &mut peers {
        join_at(&mut bob, c, peer, &addr());
    }
    let (mut answered, mut most) = (0, 0);
    while bob.room.view().feeds >= most {
        most = bob.room.view().feeds;
        bob.pass(50);
        bob.arrive(c, vec![]);
        if let Some((dial, Target::Member { session, .. })) = bob.dials.get(answered).cloned() {
            answered += 1;
            let peer = peers.iter_mut().find(|peer| peer.feed == session).unwrap();
            peer.at = bob.now.wall;
            let link = bob.connect(Some(dial), "10.0.0.2:4646");
            bob.control(link, Control::Hello(peer.hello()));
            bob.input(Input::Broken { link, end: End::Vanished });
            join_at(&mut bob, c, peer, &addr());
        }
    }
    assert_eq!((most, bob.room.view().feeds), (DIALLED_PLACES_MAX, DIALLED_PLACES_MAX / 2 + 1));
}

/// A name may stand for another place by now: it was not asked again once somebody had answered there, as long as there
/// were links to others.
#[test]
fn a_named_peer_that_is_gone_is_looked_for_by_its_name() {
    let mut bob = Hand::new(Config { named: vec![Named::anybody("seed:1")], ..dialable(1) });
    let mut links = Vec::new();
    for peer in 10..20 {
        let mut peer = Author::new(peer, "peer");
        let link = bob.level_link(&peer);
        let addr = format!("10.0.0.{}:4646", peer.feed.session % 200);
        join_at(&mut bob, link, &mut peer, &addr);
        links.push(link);
    }
    bob.pass_alive(1_000, &links);
    let (dial, target) = bob.dials.iter().find(|(_, target)| matches!(target, Target::Named(_))).cloned().unwrap();
    assert_eq!(target, Target::Named("seed:1".to_owned()));
    let mut seed = Author::new(2, "seed");
    let link = bob.connect(Some(dial), "10.0.0.99:4646");
    bob.greet(link, &seed, &[]);
    join_at(&mut bob, link, &mut seed, "10.0.0.99:4646");
    bob.dials.clear();
    bob.input(Input::Broken { link, end: End::Vanished });
    for _ in 0..60 {
        bob.pass_alive(1_000, &links);
        for (dial, target) in std::mem::take(&mut bob.dials) {
            if matches!(target, Target::Named(_)) {
                assert!(!bob.room.view().present.contains(&seed.feed), "while it is there it is found by its address");
                return;
            }
            bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("refused".to_owned()) });
        }
    }
    panic!("the name is not asked again: {:?}", bob.dials);
}
