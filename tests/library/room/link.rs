//! How a link begins and ends, and what is not allowed on it.

use hobnob::limits::{DIALS_CROSS_MS_MAX, FEEDS_PER_PAGE_MAX, LINK_FEEDS_MAX, LINK_NEW_FEEDS, LINK_SILENT_MS_MAX};
use hobnob::room::event::{Command, Event, Outcome};
use hobnob::room::{Arrival, Config, Input, Named, Target};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Entry, Mode};

use super::hand::{Author, Hand, Two, config, controls_of, two};

#[test]
fn a_record_before_hello_closes_the_link() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    for record in [Control::Done {}, Control::Ping { token: 1 }, alice.want(1), Control::Unknown] {
        let link = bob.connect(None, "10.0.0.2:5000");
        bob.control(link, record);
        assert_eq!(bob.is_closed(link), Some(End::OutOfTurn));
    }
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.post(link, &alice.join());
    assert_eq!((bob.is_closed(link), bob.have(alice.feed)), (Some(End::OutOfTurn), 0));
}

#[test]
fn what_comes_before_done_or_twice_closes_the_link() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let early: [Arrival; 4] = [
        Arrival::Post(alice.join()),
        Arrival::Control(alice.want(1)),
        Arrival::Control(Control::News { feeds: vec![alice.entry(1)] }),
        Arrival::Control(Control::Hello(alice.hello())),
    ];
    for arrival in early {
        let link = bob.connect(None, "10.0.0.2:5000");
        bob.control(link, Control::Hello(alice.hello()));
        bob.arrive(link, vec![arrival]);
        assert_eq!(bob.is_closed(link), Some(End::OutOfTurn));
    }
    let link = bob.level_link(&alice);
    bob.control(link, Control::Done {});
    assert_eq!(bob.is_closed(link), Some(End::OutOfTurn));
}

#[test]
fn a_node_that_meets_itself_drops_the_link() {
    let mut bob = Hand::new(config(1));
    let mut myself = Author::new(1, "n1");
    myself.feed = bob.me;
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.control(link, Control::Hello(myself.hello()));
    assert_eq!(bob.is_closed(link), Some(End::Myself));
}

#[test]
fn another_room_mode_or_version_is_refused() {
    let mut bob = Hand::new(config(1));
    let alice = Author::new(2, "alice");
    let (mut room, mut mode, mut version) = (alice.hello(), alice.hello(), alice.hello());
    room.room = "kitchen".to_owned();
    mode.mode = Mode::Hub;
    version.version = 2;
    for (hello, end) in [(room, End::Room), (mode, End::Mode), (version, End::Version)] {
        let link = bob.connect(None, "10.0.0.2:5000");
        bob.control(link, Control::Hello(hello));
        assert_eq!(bob.is_closed(link), Some(end));
    }
}

/// A room that names a peer, with the dial under way.
fn dialling(seed: u8) -> Hand {
    let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..config(seed) });
    bob.pass(50);
    assert_eq!(bob.dials.len(), 1);
    bob
}

/// A passing room whose ticket names a host at two addresses, with both dials under way.
fn with_ticket(host: &Author) -> Hand {
    let at = |addr: &str| Named { addr: addr.to_owned(), key: Some(host.feed.author) };
    let named = vec![at("inside:1"), at("outside:1")];
    let mut bob = Hand::new(Config { named, passing: true, ..config(1) });
    bob.pass(50);
    assert_eq!(bob.dials.len(), 2);
    bob
}

#[test]
fn a_host_with_another_key_than_the_ticket_says_is_refused() {
    let (alice, eve) = (Author::new(2, "alice"), Author::new(3, "alice"));
    let mut bob = with_ticket(&alice);
    for dial in [0, 1] {
        let link = bob.connect(Some(bob.dials[dial].0), "10.0.0.2:4646");
        bob.control(link, Control::Hello(eve.hello()));
        assert_eq!(bob.is_closed(link), Some(End::HostKey));
        assert!(controls_of(&bob.sent(link)).is_empty(), "she is told nothing");
        let keys = [eve.feed.author.short(), alice.feed.author.short()];
        let Target::Named(addr) = bob.dials[dial].1.clone() else { panic!("nobody else is known") };
        let told = |event: &Event| matches!(event, Event::Unreached { peer, why } if *peer == addr && keys.iter().all(|key| why.contains(key)));
        assert_eq!(bob.events.iter().filter(|event| told(event)).count(), 1, "{:?}", bob.events);
    }
    bob.input(Input::Command(Command::EndOfInput));
    bob.pass(2_000);
    assert_eq!(bob.outcome, Some(Outcome::Refused));
}

#[test]
fn one_address_of_a_ticket_that_answers_rightly_is_enough() {
    let (alice, eve) = (Author::new(2, "alice"), Author::new(3, "alice"));
    let mut bob = with_ticket(&alice);
    let wrong = bob.connect(Some(bob.dials[0].0), "10.0.0.2:4646");
    bob.control(wrong, Control::Hello(eve.hello()));
    let right = bob.connect(Some(bob.dials[1].0), "10.0.0.3:4646");
    bob.greet(right, &alice, &[]);
    bob.pass(2_000);
    assert_eq!((bob.is_closed(right), bob.outcome), (None, None));
}

#[test]
fn who_dials_us_need_not_be_the_host_of_the_ticket() {
    let (alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let mut bob = with_ticket(&alice);
    let link = bob.link(&carol, &[]);
    assert_eq!(bob.is_closed(link), None);
}

#[test]
fn of_two_dials_that_cross_the_one_of_the_smaller_id_stays() {
    for seed in [1, 2, 3, 4] {
        let mut bob = dialling(seed);
        let alice = Author::new(9, "alice");
        let dialled = bob.connect(Some(bob.dials[0].0), "10.0.0.2:4646");
        bob.greet(dialled, &alice, &[]);
        let accepted = bob.connect(None, "10.0.0.2:5000");
        bob.control(accepted, Control::Hello(alice.hello()));
        let gone = if bob.me < alice.feed { accepted } else { dialled };
        assert_eq!(bob.closed, [(gone, End::Duplicate)]);
    }
}

/// A redial waited up to 8.3 s: the older, half-open link won.
#[test]
fn a_hello_replaces_an_older_link() {
    let mut bob = Hand::new(config(1));
    let alice = Author::new(2, "alice");
    let first = bob.link(&alice, &[]);
    let second = bob.link(&alice, &[]);
    assert_eq!(bob.closed, [(first, End::Duplicate)]);
    let mut bob = dialling(1);
    let dialled = bob.connect(Some(bob.dials[0].0), "10.0.0.2:4646");
    bob.greet(dialled, &alice, &[]);
    bob.pass_alive(DIALS_CROSS_MS_MAX, &[dialled]);
    bob.control(dialled, Control::Ping { token: 1 });
    let accepted = bob.connect(None, "10.0.0.2:5000");
    bob.control(accepted, Control::Hello(alice.hello()));
    assert_eq!(bob.closed, [(dialled, End::Duplicate)], "whoever is smaller");
    assert!(second > first);
}

#[test]
fn no_hello_is_said_on_a_dial_to_who_is_linked_already() {
    let mut bob = dialling(1);
    let alice = Author::new(2, "alice");
    let accepted = bob.level_link(&alice);
    let dialled = bob.connect(Some(bob.dials[0].0), "10.0.0.2:4646");
    assert!(bob.sent(dialled).is_empty(), "who dials waits for the other's hello");
    bob.control(dialled, Control::Hello(alice.hello()));
    assert!(bob.sent(dialled).is_empty());
    assert_eq!((bob.is_closed(dialled), bob.is_closed(accepted)), (Some(End::Duplicate), None));
}

#[test]
fn a_silent_link_is_pinged_then_closed() {
    let Two { mut bob, a, .. } = two();
    bob.sent(a);
    bob.pass(3_100);
    let sent = controls_of(&bob.sent(a));
    assert!(sent.iter().any(|control| matches!(control, Control::Ping { .. })), "{sent:?}");
    bob.pass(LINK_SILENT_MS_MAX - 3_200);
    assert_eq!(bob.is_closed(a), None);
    bob.pass(200);
    assert_eq!(bob.is_closed(a), Some(End::Silent));
}

#[test]
fn a_node_whose_own_timers_ran_late_accuses_nobody() {
    let Two { mut bob, a, c, .. } = two();
    bob.now.mono += 60_000;
    bob.now.wall += 60_000;
    bob.pass(1_000);
    assert_eq!((bob.is_closed(a), bob.is_closed(c)), (None, None));
}

#[test]
fn a_connection_that_says_no_hello_is_closed() {
    let mut bob = Hand::new(config(1));
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.pass(4_900);
    assert_eq!(bob.is_closed(link), None);
    bob.pass(200);
    assert_eq!(bob.is_closed(link), Some(End::HandshakeTimeout));
}

/// News of feeds that nobody has ever seen filled the memory: each was remembered, and asked for.
#[test]
fn feeds_that_exist_nowhere_are_not_remembered_without_bound() {
    let pages = LINK_FEEDS_MAX / FEEDS_PER_PAGE_MAX + 2;
    let page = |alice: &Author, page: usize| -> Vec<Entry> {
        let session = |index: usize| (page * FEEDS_PER_PAGE_MAX + index + 1) as u64;
        (0..FEEDS_PER_PAGE_MAX).map(|index| Entry(alice.feed.author, session(index), 9)).collect()
    };
    let kinds: [fn(Entry) -> Control; 3] = [
        |entry| Control::Want { author: entry.0, session: entry.1, from: 2, answer: true },
        |entry| Control::Quiet { author: entry.0, session: entry.1 },
        |entry| Control::Gap { author: entry.0, session: entry.1, from: 1, to: 2 },
    ];
    for kind in kinds {
        let Two { mut bob, alice, a, c } = two();
        for number in 0..pages {
            bob.arrive(c, page(&alice, number).into_iter().map(|entry| Arrival::Control(kind(entry))).collect());
        }
        assert_eq!((bob.is_closed(c), bob.is_closed(a)), (Some(End::OutOfTurn), None), "{:?}", kind(alice.entry(1)));
    }
}

/// Feeds that exist nowhere were asked for for ever, each on every tick.
#[test]
fn feeds_that_are_only_told_of_are_not_remembered_without_bound_nor_believed_for_ever() {
    let Two { mut bob, alice, a, c } = two();
    let session = |page: usize, index: usize| (page * FEEDS_PER_PAGE_MAX + index + 1) as u64;
    for page in 0..LINK_FEEDS_MAX / FEEDS_PER_PAGE_MAX + 2 {
        let feeds = (0..FEEDS_PER_PAGE_MAX).map(|index| Entry(alice.feed.author, session(page, index), 9)).collect();
        bob.control(c, Control::News { feeds });
    }
    let asked = |bob: &mut Hand| {
        let sent = controls_of(&bob.sent(c));
        sent.iter().filter(|control| matches!(control, Control::Want { .. })).count() as u64
    };
    bob.pass_alive(2_000, &[a, c]);
    assert!(bob.room.view().feeds as u64 <= LINK_NEW_FEEDS.burst + 2);
    // And that of alice, who is known.
    assert_eq!(asked(&mut bob), LINK_NEW_FEEDS.burst + 1, "each once");
    bob.pass_alive(90_000, &[a, c]);
    assert_eq!(asked(&mut bob), 0);
    bob.pass_alive(1_000, &[a, c]);
    assert_eq!(bob.is_closed(c), None, "it may merely pass on what it was told");
}

/// A link was up, and so a dial and a pipe were content with it, though its peer never paged to the end.
#[test]
fn a_peer_that_stops_paging_is_given_up() {
    let mut bob = Hand::new(config(1));
    let alice = Author::new(2, "alice");
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.control(link, Control::Hello(alice.hello()));
    let pings = |bob: &mut Hand, seconds: u64| {
        for token in 0..seconds {
            bob.control(link, Control::Ping { token });
            bob.pass(1_000);
        }
    };
    for _ in 0..4 {
        pings(&mut bob, 5);
        assert_eq!(bob.is_closed(link), None, "a page that comes is progress");
        bob.control(link, Control::Have { feeds: vec![alice.entry(1)] });
    }
    pings(&mut bob, 7);
    assert_eq!(bob.is_closed(link), None);
    pings(&mut bob, 2);
    assert_eq!(bob.is_closed(link), Some(End::Silent));
}

/// A page has up to 50,000 bytes: more than a slow link brings in the time for silence.
#[test]
fn a_page_that_comes_slowly_is_progress() {
    let mut bob = Hand::new(config(1));
    let alice = Author::new(2, "alice");
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.control(link, Control::Hello(alice.hello()));
    bob.pass_alive(90_000, &[link]);
    bob.control(link, Control::Have { feeds: vec![alice.entry(1)] });
    bob.control(link, Control::Done {});
    assert_eq!(bob.is_closed(link), None);
}

/// On a slow link our pings waited behind the posts, and so did their answers; the other side heard us and said nothing.
/// The link was closed as silent with posts on their way.
#[test]
fn who_hears_all_the_time_and_says_nothing_pings() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.pass_alive(2_000, &[a, c]);
    bob.sent(c);
    for _ in 0..40 {
        bob.arrive(a, vec![]);
        bob.arrive(c, vec![]);
        bob.pass(250);
    }
    let pings = |bob: &mut Hand| {
        controls_of(&bob.sent(c)).iter().filter(|control| matches!(control, Control::Ping { .. })).count()
    };
    assert!((3..=5).contains(&pings(&mut bob)), "in ten seconds");
    // Who has much to say is heard by that.
    for _ in 0..40 {
        bob.arrive(a, vec![]);
        bob.arrive(c, vec![]);
        bob.post(a, &alice.say("x"));
        bob.pass(250);
    }
    assert_eq!(pings(&mut bob), 0);
}
