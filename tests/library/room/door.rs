//! Who is let in: unfinished handshakes, addresses and keys that broke the rules, and clocks that are off.

use hobnob::limits::{
    DOOR_GUESTS_MAX, GREETING_MS_MIN, HOST_HANDSHAKES, LINKS_GREETING_MAX, LINKS_PER_IDENTITY_MAX, OFFENCE_POINTS,
    POST_AHEAD_MS_MAX,
};
use hobnob::room::event::Event;
use hobnob::room::{Config, DialFailure, DialId, Input, LinkId, Named};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Draft};

use super::hand::{Author, Hand, Two, WALL_START, config, two};

fn knocks(bob: &mut Hand, count: usize, remote: &str) -> Vec<LinkId> {
    (0..count).map(|_| bob.knock(remote)).collect()
}

fn is_admitted(bob: &Hand, link: LinkId) -> bool {
    bob.admitted.contains(&link)
}

#[test]
fn of_too_many_unfinished_handshakes_the_oldest_of_the_busiest_address_goes() {
    let mut bob = Hand::new(config(1));
    let first = bob.knock("198.51.100.1:1");
    let others = knocks(&mut bob, LINKS_GREETING_MAX - 1, "203.0.113.9:1");
    assert!(bob.closed.is_empty(), "at the bound");
    let newcomer = bob.knock("198.51.100.1:2");
    assert_eq!(bob.closed, [(others[0], End::Crowded)], "not the oldest of all");
    assert!(is_admitted(&bob, newcomer) && is_admitted(&bob, first));
}

/// One address among many of a hostile network is not told from the others by its own count.
#[test]
fn the_busiest_network_pays_before_a_single_address_elsewhere() {
    let mut bob = Hand::new(config(1));
    let honest = knocks(&mut bob, 2, "198.51.100.1:1");
    let hostile: Vec<LinkId> =
        (1..LINKS_GREETING_MAX).map(|host| bob.knock(&format!("203.0.113.{host}:1"))).take(62).collect();
    bob.knock("198.51.100.1:2");
    assert_eq!(bob.closed, [(hostile[0], End::Crowded)]);
    assert!(honest.iter().all(|link| is_admitted(&bob, *link)));
    let mut bob = Hand::new(config(1));
    let hostile: Vec<LinkId> =
        (0..LINKS_GREETING_MAX).map(|host| bob.knock(&format!("[2001:db8:0:{host:x}::1]:1"))).collect();
    bob.knock("[2001:db9::1]:1");
    assert_eq!(bob.closed, [(hostile[0], End::Crowded)]);
}

/// All but the last 64 of many who came at once were thrown out just before their handshakes were over.
#[test]
fn who_comes_from_the_same_address_waits_until_a_handshake_has_had_its_time() {
    let mut bob = Hand::new(config(1));
    let links = knocks(&mut bob, LINKS_GREETING_MAX, "10.0.0.2:1");
    let refused = bob.knock("10.0.0.2:1");
    assert_eq!(bob.closed, [(refused, End::Crowded)]);
    bob.pass(GREETING_MS_MIN);
    let newcomer = bob.knock("10.0.0.2:1");
    assert_eq!(bob.closed[1..], [(links[0], End::Crowded)]);
    assert!(is_admitted(&bob, newcomer));
}

#[test]
fn handshakes_that_come_to_nothing_shut_an_address_out_until_they_have_faded() {
    let mut bob = Hand::new(config(1));
    for _ in 0..HOST_HANDSHAKES.burst {
        let link = bob.knock("203.0.113.9:1");
        assert!(is_admitted(&bob, link));
        bob.input(Input::Broken { link, end: End::Vanished });
    }
    let beyond = bob.knock("203.0.113.9:1");
    assert_eq!((bob.is_closed(beyond), is_admitted(&bob, beyond)), (Some(End::Crowded), false));
    let elsewhere = bob.knock("203.0.113.10:1");
    assert!(is_admitted(&bob, elsewhere), "another address has its own count");
    bob.pass(HOST_HANDSHAKES.window_ms / HOST_HANDSHAKES.burst + 50);
    let later = bob.knock("203.0.113.9:1");
    assert!(is_admitted(&bob, later));
}

#[test]
fn a_thousand_who_join_from_one_address_are_welcome() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    for session in 1..=1_000 {
        alice.feed.session = session;
        let link = bob.connect(None, "10.0.0.2:5000");
        bob.control(link, Control::Hello(alice.hello()));
    }
    assert!(bob.closed.is_empty(), "{:?}", bob.closed);
}

fn offends(bob: &mut Hand, peer: &Author, remote: &str) {
    let link = bob.proved(peer, remote);
    assert_eq!(bob.is_closed(link), None);
    bob.input(Input::Broken { link, end: End::BadSignature });
}

#[test]
fn who_sends_wrong_signatures_is_banned_by_key_and_address_until_it_has_faded() {
    let mut bob = Hand::new(config(1));
    let (eve, carol) = (Author::new(5, "eve"), Author::new(3, "carol"));
    for _ in 0..2 {
        offends(&mut bob, &eve, "203.0.113.9:1");
    }
    let again = bob.knock("203.0.113.9:1");
    assert_eq!(bob.is_closed(again), Some(End::Banned), "the address");
    let elsewhere = bob.proved(&eve, "198.51.100.1:1");
    assert_eq!(bob.is_closed(elsewhere), Some(End::Banned), "the key");
    let other = bob.proved(&carol, "198.51.100.1:1");
    assert_eq!(bob.is_closed(other), None, "nobody else");
    let fades_ms = OFFENCE_POINTS.window_ms / OFFENCE_POINTS.burst;
    bob.pass(fades_ms);
    let eve = Author { at: bob.now.wall, ..eve };
    let back = bob.proved(&eve, "203.0.113.9:1");
    assert_eq!(bob.is_closed(back), None);
}

#[test]
fn an_address_with_a_member_on_it_is_not_banned_for_its_neighbours() {
    let mut bob = Hand::new(config(1));
    let (eve, carol, dave) = (Author::new(5, "eve"), Author::new(3, "carol"), Author::new(4, "dave"));
    bob.proved(&carol, "203.0.113.9:1");
    for _ in 0..3 {
        if !bob.closed.iter().any(|(_, end)| *end == End::Banned) {
            let link = bob.proved(&eve, "203.0.113.9:2");
            bob.input(Input::Broken { link, end: End::BadSignature });
        }
    }
    assert_eq!(bob.closed.last().map(|(_, end)| *end), Some(End::Banned), "eve's key is");
    let link = bob.proved(&dave, "203.0.113.9:3");
    assert_eq!(bob.is_closed(link), None);
}

/// In the clear anybody can say that he is alice: she must not pay for it.
#[test]
fn a_key_that_was_only_claimed_is_not_banned() {
    let mut bob = Hand::new(config(1));
    let alice = Author::new(2, "alice");
    for host in 1..5 {
        let link = bob.connect(None, &format!("203.0.113.{host}:1"));
        bob.control(link, Control::Hello(alice.hello()));
        bob.input(Input::Broken { link, end: End::BadSignature });
    }
    let link = bob.proved(&alice, "198.51.100.1:1");
    assert_eq!(bob.is_closed(link), None);
}

#[test]
fn a_peer_that_the_user_named_is_not_refused_for_what_it_did() {
    let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..config(1) });
    let alice = Author::new(2, "alice");
    for _ in 0..2 {
        offends(&mut bob, &alice, "203.0.113.9:1");
    }
    bob.pass(50);
    let link = bob.connect(Some(bob.dials[0].0), "203.0.113.9:4646");
    bob.greet(link, &alice, &[]);
}

/// How a ban is told to who has dialled.
type Telling<'a> = &'a dyn Fn(&mut Hand, DialId);

/// Who is banned and dials on and on would be a flood of its own.
#[test]
fn who_is_told_that_it_is_banned_waits_before_it_dials_again() {
    let banned = Control::exit(End::Banned);
    let told: [Telling<'_>; 3] = [
        &|bob, dial| bob.input(Input::DialFailed { dial, failure: DialFailure::Refused(End::Banned) }),
        &|bob, dial| {
            let link = bob.connect(Some(dial), "10.0.0.2:4646");
            bob.control(link, banned.clone());
        },
        &|bob, dial| {
            let link = bob.connect(Some(dial), "10.0.0.2:4646");
            bob.control(link, Control::Hello(Author::new(2, "alice").hello()));
            bob.control(link, banned.clone());
        },
    ];
    for (way, tell) in told.iter().enumerate() {
        let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..config(1) });
        bob.pass(50);
        let dial = bob.dials[0].0;
        tell(&mut bob, dial);
        bob.pass(9_000);
        assert_eq!(bob.dials.len(), 1, "way {way}");
        bob.pass(2_000);
        assert_eq!(bob.dials.len(), 2, "way {way}: a ban fades");
    }
}

#[test]
fn of_too_many_addresses_the_least_guilty_are_forgotten() {
    let mut bob = Hand::new(config(1));
    let eve = Author::new(5, "eve");
    for _ in 0..2 {
        offends(&mut bob, &eve, "203.0.113.9:1");
    }
    for index in 0..2 * DOOR_GUESTS_MAX {
        let link = bob.knock(&format!("10.{}.{}.1:1", index / 256, index % 256));
        bob.input(Input::Broken { link, end: End::Vanished });
    }
    let again = bob.knock("203.0.113.9:1");
    assert_eq!(bob.is_closed(again), Some(End::Banned));
}

/// Four thousand links of one key took all the places that there are.
#[test]
fn an_identity_has_only_so_many_links() {
    let mut bob = Hand::new(config(1));
    let mut eve = Author::new(5, "eve");
    let mut links = Vec::new();
    for session in 1..=LINKS_PER_IDENTITY_MAX as u64 {
        eve.feed.session = session;
        links.push(bob.proved(&eve, "203.0.113.9:1"));
    }
    assert!(bob.closed.is_empty(), "at the bound");
    eve.feed.session += 1;
    let beyond = bob.proved(&eve, "198.51.100.1:1");
    assert_eq!(bob.closed, [(beyond, End::Full)]);
    let carol = bob.proved(&Author::new(3, "carol"), "203.0.113.9:1");
    assert_eq!(bob.is_closed(carol), None, "nobody else");
    bob.input(Input::Broken { link: links[0], end: End::Vanished });
    let again = bob.proved(&eve, "203.0.113.9:1");
    assert_eq!(bob.is_closed(again), None);
}

#[test]
fn a_clock_a_day_off_is_refused_and_told_by_how_much() {
    for (time, is_refused) in [
        (WALL_START + POST_AHEAD_MS_MAX + 50, false),
        (WALL_START - POST_AHEAD_MS_MAX + 50, false),
        (WALL_START + POST_AHEAD_MS_MAX + 51, true),
        (WALL_START - POST_AHEAD_MS_MAX + 49, true),
        (0, true),
    ] {
        let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..config(1) });
        bob.pass(50);
        let alice = Author { at: time, ..Author::new(2, "alice") };
        let link = bob.connect(Some(bob.dials[0].0), "10.0.0.2:4646");
        bob.control(link, Control::Hello(alice.hello()));
        assert_eq!(bob.is_closed(link), is_refused.then_some(End::Clock), "{time}");
        let told = |event: &&Event| matches!(event, Event::Unreached { why, .. } if why.contains("hours"));
        assert_eq!(bob.events.iter().filter(told).count(), usize::from(is_refused));
    }
}

/// DESIGN: the author is told that its clock is off.
#[test]
fn a_peer_whose_own_posts_are_years_off_is_told_so() {
    let year = 365 * 24 * 3_600_000;
    for at in [WALL_START + 10 * year, 0] {
        let Two { mut bob, mut alice, c, .. } = two();
        let mut carol = Author::new(3, "carol");
        (alice.at, carol.at) = (at, at);
        bob.post(c, &alice.say("somebody else's post"));
        assert_eq!((bob.is_closed(c), bob.have(alice.feed)), (None, 2), "who passes it on is not to blame");
        bob.post(
            c,
            &carol.post(&Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None }),
        );
        assert_eq!(bob.is_closed(c), Some(End::Clock));
        assert_eq!(bob.texts(), Vec::<String>::new());
    }
}

/// Whoever had posts of an earlier run in its log, said by a clock that was ahead, lost each link for them.
#[test]
fn a_peer_whose_clock_was_off_in_an_earlier_run_is_heard() {
    let Two { mut bob, c, .. } = two();
    let mut before = Author { at: WALL_START + 2 * POST_AHEAD_MS_MAX, ..Author::new(3, "carol") };
    before.feed.session -= 1;
    let mut carol = Author::new(3, "carol");
    bob.post(c, &before.join());
    bob.post(c, &carol.join());
    bob.post(c, &carol.say("now"));
    assert_eq!((bob.is_closed(c), bob.texts()), (None, vec!["now".to_owned()]));
}
