//! Whom a room remembers for its next run, and how that one looks for them.

use std::net::SocketAddr;

use hobnob::limits::{
    ACQUAINTANCE_ADDRESSES_MAX, ACQUAINTANCE_DIALS_MAX, ACQUAINTANCES_MAX, ANCHOR_LINKS, DIAL_PAUSE_SMALL_ROOM_MS_MAX,
    LINKS_PER_NETWORK_MAX, MESH_RINGS,
};
use hobnob::room::event::Event;
use hobnob::room::{Acquaintance, Config, DialFailure, Input, LinkId, Named, Reach, Target};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Draft};

use super::hand::{Author, Hand, anybody, config};

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn known(author: &Author, at: &str) -> Acquaintance {
    Acquaintance { id: author.feed.author, addr: addr(at) }
}

/// A node that keeps what it is told to.
fn keeping(remembered: Vec<Acquaintance>) -> Config {
    let listening = Some(addr("10.0.0.1:4646"));
    Config { reach: Reach::Dialable, listening, keep: true, remembered, ..config(1) }
}

/// Joins at an address, over a link.
fn join_at(bob: &mut Hand, link: LinkId, author: &mut Author, at: &[&str]) {
    author.at = bob.now.wall;
    let addresses: Vec<SocketAddr> = at.iter().map(|at| addr(at)).collect();
    bob.post(
        link,
        &author.post(&Draft::Join { addresses: &addresses, passing: false, rank: None, sealing: None, away: None }),
    );
}

/// The addresses of acquaintances that were dialled, in order.
fn dialled(bob: &Hand) -> Vec<SocketAddr> {
    let at = |target: &Target| if let Target::Acquaintance(peer) = target { Some(peer.addr) } else { None };
    bob.dials.iter().filter_map(|(_, target)| at(target)).collect()
}

/// Lets time pass; whatever is dialled does not answer.
fn pass_refusing(bob: &mut Hand, ms: u64, alive: &[LinkId]) {
    for _ in 0..ms / 50 {
        let before = bob.dials.len();
        bob.pass(50);
        for link in alive {
            bob.arrive(*link, vec![]);
        }
        let fresh = bob.dials[before..].to_vec();
        for (dial, _) in fresh {
            bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("refused".to_owned()) });
        }
    }
}

/// A link by the dial of an acquaintance, answered by somebody.
fn answer(bob: &mut Hand, index: usize, peer: &Author) -> LinkId {
    let (dial, target) = bob.dials[index].clone();
    let Target::Acquaintance(sought) = target else { panic!("{target:?}") };
    let link = bob.connect(Some(dial), &sought.addr.to_string());
    bob.greet(link, peer, &[]);
    link
}

#[test]
fn a_peer_is_remembered_where_it_was_dialled_or_where_it_says_it_is_and_best_where_it_came_from() {
    let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..keeping(vec![]) });
    let (alice, mut carol, mut dave, mut eve) =
        (Author::new(2, "alice"), Author::new(3, "carol"), Author::new(4, "dave"), Author::new(5, "eve"));
    bob.pass(50);
    let a = bob.connect(Some(bob.dials[0].0), "10.0.0.9:4646");
    bob.pass(1_000);
    assert_eq!(bob.remembered.1, 0, "a connection is no link");
    bob.greet(a, &alice, &[]);
    bob.pass(1_000);
    let c = bob.level_link(&carol);
    join_at(&mut bob, c, &mut carol, &["10.0.0.7:4646", "10.0.0.2:4646"]);
    // Nobody can dial dave, and bob has no link to eve.
    let d = bob.level_link(&dave);
    join_at(&mut bob, d, &mut dave, &[]);
    join_at(&mut bob, d, &mut eve, &["10.0.0.5:4646"]);
    bob.pass_alive(1_000, &[a, c, d]);
    assert_eq!(bob.remembered.0, [known(&alice, "10.0.0.9:4646"), known(&carol, "10.0.0.2:4646")]);
    let times = bob.remembered.1;
    bob.pass_alive(5_000, &[a, c, d]);
    assert_eq!(bob.remembered.1, times, "nothing is told twice");
}

#[test]
fn those_who_are_linked_come_first_the_longest_standing_at_their_head() {
    let mut bob = Hand::new(keeping(vec![known(&Author::new(9, "former"), "10.0.0.99:4646")]));
    let mut links = Vec::new();
    for seed in 2..5 {
        let mut peer = Author::new(seed, "peer");
        let link = bob.level_link(&peer);
        join_at(&mut bob, link, &mut peer, &[&format!("10.0.0.{seed}:4646")]);
        links.push(link);
        pass_refusing(&mut bob, 1_000, &links);
    }
    bob.input(Input::Broken { link: links[0], end: End::Vanished });
    pass_refusing(&mut bob, 1_000, &links[1..]);
    let hosts: Vec<String> = bob.remembered.0.iter().map(|peer| peer.addr.ip().to_string()).collect();
    assert_eq!(hosts, ["10.0.0.3", "10.0.0.4", "10.0.0.2", "10.0.0.99"]);
}

#[test]
fn of_many_the_bound_is_remembered_and_few_of_one_identity_or_network() {
    let everywhere = |index: u64, network: u64| Acquaintance {
        id: anybody(index).feed.author,
        addr: addr(&format!("203.0.{network}.{}:4646", index % 250)),
    };
    let told = |remembered: Vec<Acquaintance>| {
        let mut bob = Hand::new(keeping(remembered));
        // Somebody comes, so that the list is told.
        let mut alice = Author::new(2, "alice");
        let a = bob.level_link(&alice);
        join_at(&mut bob, a, &mut alice, &["10.0.0.2:4646"]);
        pass_refusing(&mut bob, 1_000, &[a]);
        bob.remembered.0.len() - 1
    };
    assert_eq!(told((0..ACQUAINTANCES_MAX as u64 - 1).map(|index| everywhere(index, index)).collect()), 63);
    assert_eq!(told((0..ACQUAINTANCES_MAX as u64 + 9).map(|index| everywhere(index, index)).collect()), 63);
    assert_eq!(told((0..9).map(|index| everywhere(index, 7)).collect()), LINKS_PER_NETWORK_MAX);
    assert_eq!(told((0..9).map(|network| everywhere(1, network)).collect()), ACQUAINTANCE_ADDRESSES_MAX);
    let nowhere = ["0.0.0.0:4646", "224.0.0.1:4646", "10.0.0.3:0", "[ff02::1]:4646"];
    assert_eq!(told(nowhere.iter().map(|at| known(&Author::new(9, "former"), at)).collect()), 0);
}

#[test]
fn a_node_that_is_alone_looks_for_all_of_them_with_growing_pauses_and_nobody_hears_of_it() {
    let peers: Vec<Author> = (10..13).map(|seed| Author::new(seed, "former")).collect();
    let list = peers.iter().enumerate().map(|(index, peer)| known(peer, &format!("10.0.1.{index}:4646"))).collect();
    let mut bob = Hand::new(keeping(list));
    assert!(bob.events.iter().any(|event| matches!(event, Event::Looking { peers: 3 })));
    bob.pass(50);
    assert_eq!(dialled(&bob), ["10.0.1.0:4646", "10.0.1.1:4646", "10.0.1.2:4646"].map(addr), "the latest first");
    for (dial, _) in bob.dials.clone() {
        bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("refused".to_owned()) });
    }
    bob.events.clear();
    pass_refusing(&mut bob, 60_000, &[]);
    let before = bob.dials.len();
    pass_refusing(&mut bob, 10 * DIAL_PAUSE_SMALL_ROOM_MS_MAX, &[]);
    let later = bob.dials.len() - before;
    assert!((3 * 10..=3 * 20).contains(&later), "{later} dials, each once in the longest pause or its half");
    assert!(bob.events.is_empty(), "{:?}", bob.events);
}

#[test]
fn half_of_the_dials_are_left_to_members_while_hosts_that_are_gone_do_not_answer() {
    let list = (0..20).map(|index| known(&anybody(index), &format!("10.0.1.{index}:4646"))).collect();
    let mut bob = Hand::new(keeping(list));
    bob.pass(3_000);
    assert_eq!(dialled(&bob).len(), ACQUAINTANCE_DIALS_MAX);
    let first = bob.dials[0].0;
    bob.input(Input::DialFailed { dial: first, failure: DialFailure::Unreached("no answer".to_owned()) });
    bob.pass(3_000);
    assert_eq!(dialled(&bob)[ACQUAINTANCE_DIALS_MAX], addr("10.0.1.4:4646"), "the next one, not the first again");
}

#[test]
fn peers_that_were_named_come_first_and_those_who_are_here_are_not_looked_for() {
    let (mut alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let list = vec![known(&alice, "10.0.0.2:4646"), known(&carol, "10.0.0.3:4646")];
    let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..keeping(list) });
    assert!(!bob.events.iter().any(|event| matches!(event, Event::Looking { .. })));
    bob.pass(500);
    assert!(matches!(bob.dials.as_slice(), [(_, Target::Named(_))]), "{:?}", bob.dials);
    let dora = Author::new(4, "dora");
    let link = bob.connect(Some(bob.dials[0].0), "10.0.0.4:4646");
    bob.greet(link, &dora, &[]);
    // Alice is here, behind dora; nobody has heard of carol.
    join_at(&mut bob, link, &mut alice, &[]);
    pass_refusing(&mut bob, 30_000, &[link]);
    assert!(dialled(&bob).len() > 2 && dialled(&bob).iter().all(|at| *at == addr("10.0.0.3:4646")), "{:?}", bob.dials);
}

#[test]
fn a_node_that_links_to_named_peers_only_neither_looks_for_others_nor_remembers_any() {
    let mut alice = Author::new(2, "alice");
    let list = vec![known(&Author::new(3, "carol"), "10.0.0.3:4646")];
    let mut bob = Hand::new(Config { reach: Reach::NamedOnly, ..keeping(list) });
    let a = bob.level_link(&alice);
    join_at(&mut bob, a, &mut alice, &["10.0.0.2:4646"]);
    bob.pass_alive(5_000, &[a]);
    assert_eq!((bob.dials.len(), bob.remembered.1), (0, 0));
    assert!(!bob.events.iter().any(|event| matches!(event, Event::Looking { .. })));
}

/// Of the room they both are: it is only not the one who was looked for.
#[test]
fn somebody_else_at_a_remembered_address_is_kept_as_a_peer_and_remembered_instead() {
    let (former, alice) = (Author::new(9, "former"), Author::new(2, "alice"));
    let mut bob = Hand::new(keeping(vec![known(&former, "10.0.0.2:4646")]));
    bob.pass(50);
    let a = answer(&mut bob, 0, &alice);
    pass_refusing(&mut bob, 30_000, &[a]);
    assert_eq!((bob.is_closed(a), bob.dials.len()), (None, 1), "{:?}", bob.dials);
    assert_eq!(bob.remembered.0, [known(&alice, "10.0.0.2:4646")]);
    assert!(!bob.events.iter().any(|event| matches!(event, Event::Unreached { .. } | Event::Warning(_))));
}

#[test]
fn two_links_of_a_large_room_go_to_peers_of_earlier_runs_as_long_as_these_keep_them() {
    let mut crowd: Vec<Author> = (0..40).map(anybody).collect();
    let mut former: Vec<Author> = (100..105).map(anybody).collect();
    let list = (0..5).map(|index| known(&former[index], &format!("10.0.2.{index}:4646"))).collect();
    let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..keeping(list) });
    bob.pass(50);
    let carol = Author::new(3, "carol");
    let c = bob.connect(Some(bob.dials[0].0), "10.0.0.3:4646");
    bob.greet(c, &carol, &[]);
    for (index, peer) in crowd.iter_mut().chain(&mut former).enumerate() {
        join_at(&mut bob, c, peer, &[&format!("10.0.3.{index}:4646")]);
    }
    pass_refusing(&mut bob, 2_500, &[c]);
    let others = bob.dials.iter().filter(|(_, target)| matches!(target, Target::Member { .. })).count();
    assert!(others >= MESH_RINGS && dialled(&bob).is_empty(), "the rings are as ever");
    let before = bob.dials.len();
    bob.pass(1_500);
    let is_former = |index: &usize| matches!(bob.dials[*index].1, Target::Acquaintance(_));
    let fresh: Vec<usize> = (before..bob.dials.len()).filter(is_former).collect();
    let links: Vec<LinkId> = fresh.iter().zip(&former).map(|(index, peer)| answer(&mut bob, *index, peer)).collect();
    let anchors = dialled(&bob);
    assert_eq!(anchors, ["10.0.2.0:4646", "10.0.2.1:4646"].map(addr));
    assert_eq!(anchors.len(), ANCHOR_LINKS);
    pass_refusing(&mut bob, 60_000, &[c, links[0], links[1]]);
    assert_eq!(dialled(&bob).len(), ANCHOR_LINKS, "there are two");
    // One of them has links enough: another one is looked for, and it is left alone.
    bob.control(links[0], Control::Exit { reason: End::Surplus.word().to_owned(), text: String::new() });
    pass_refusing(&mut bob, 60_000, &[c, links[1]]);
    let after = dialled(&bob)[ANCHOR_LINKS..].to_vec();
    assert!(!after.is_empty() && !after.contains(&anchors[0]), "{after:?}");
}
