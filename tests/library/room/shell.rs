//! What a hostile or broken peer may cost: its link, where it breaks a rule or asks more than anybody
//! needs, and nobody else anything.

use hobnob::limits::{
    FEEDS_MAX, FEEDS_PER_PAGE_MAX, GAP_MS_MAX, LINK_ASKS, LINK_CHATTER, LINK_FEEDS_MAX, LINK_LOSSES, LINK_STUCK_MS_MAX,
    NUMBER_MAX,
};
use hobnob::room::{Arrival, Input};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Draft, Entry};

use super::hand::{Author, Hand, Sent, Two, config, controls_of, two};

fn run(count: u64, control: impl Fn(u64) -> Control) -> Vec<Arrival> {
    (1..=count).map(|index| Arrival::Control(control(index))).collect()
}

#[test]
fn pings_and_unknown_records_by_the_thousand_close_the_link() {
    let kinds: [fn(u64) -> Control; 3] =
        [|token| Control::Ping { token }, |token| Control::Pong { token }, |_| Control::Unknown];
    for kind in kinds {
        let Two { mut bob, a, c, .. } = two();
        bob.arrive(c, run(LINK_CHATTER.burst, kind));
        assert_eq!(bob.is_closed(c), None, "at the bound");
        bob.arrive(c, run(1, kind));
        assert_eq!((bob.is_closed(c), bob.is_closed(a)), (Some(End::Flood), None));
    }
}

#[test]
fn a_ping_a_second_for_an_hour_is_no_flood() {
    let Two { mut bob, a, c, .. } = two();
    for token in 0..3_600 {
        bob.control(c, Control::Ping { token });
        bob.pass_alive(1_000, &[a, c]);
    }
    assert_eq!(bob.is_closed(c), None);
}

#[test]
fn requests_without_end_close_the_link() {
    let kinds: [fn(&Author, u64) -> Control; 3] =
        [|alice, _| alice.want(1), |alice, _| alice.quiet(), |alice, _| Control::News { feeds: vec![alice.entry(1)] }];
    for kind in kinds {
        let Two { mut bob, alice, a, c } = two();
        // The page in the greeting was one, too.
        bob.arrive(c, run(LINK_ASKS.burst - 1, |index| kind(&alice, index)));
        assert_eq!(bob.is_closed(c), None, "at the bound");
        bob.arrive(c, run(1, |index| kind(&alice, index)));
        assert_eq!((bob.is_closed(c), bob.is_closed(a)), (Some(End::Flood), None), "{:?}", kind(&alice, 1));
    }
}

#[test]
fn pages_without_end_close_the_link() {
    let mut bob = Hand::new(config(1));
    let alice = Author::new(2, "alice");
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.control(link, Control::Hello(alice.hello()));
    let page = || Control::Have { feeds: vec![alice.entry(1); FEEDS_PER_PAGE_MAX] };
    for _ in 0..LINK_FEEDS_MAX / FEEDS_PER_PAGE_MAX {
        bob.control(link, page());
    }
    assert_eq!(bob.is_closed(link), None, "as many feeds as there can be");
    bob.control(link, page());
    assert_eq!(bob.is_closed(link), Some(End::OutOfTurn));
}

/// The most that an honest peer asks: it pages all feeds there can be, one to a page, wants each, and is
/// brought each by others first, so that it quiets each.
#[test]
fn all_feeds_there_can_be_are_paged_wanted_and_quieted_by_an_honest_peer() {
    let mut bob = Hand::new(config(1));
    let alice = Author::new(2, "alice");
    let count = FEEDS_MAX as u64;
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.control(link, Control::Hello(alice.hello()));
    let entry = |index: u64| Entry(alice.feed.author, index, 1);
    bob.arrive(link, run(count, |index| Control::Have { feeds: vec![entry(index)] }));
    bob.control(link, Control::Done {});
    let want = |index| Control::Want { author: alice.feed.author, session: index, from: 2, answer: true };
    bob.arrive(link, run(count, want));
    bob.arrive(link, run(count, |index| Control::Quiet { author: alice.feed.author, session: index }));
    let news = |index: u64| Control::News { feeds: (0..512).map(|place| entry(index * 512 + place)).collect() };
    bob.arrive(link, run(count / 512 - 1, news));
    assert_eq!(bob.is_closed(link), None);
}

#[test]
fn gap_notices_with_their_posts_behind_them_are_no_flood() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.input(Input::Broken { link: c, end: End::Vanished });
    for _ in 0..100 {
        for _ in 0..200 {
            let from = alice.next;
            alice.next += 1;
            bob.control(a, alice.gap(from, from));
            bob.post(a, &alice.post(&Draft::Nick));
        }
    }
    assert_eq!((bob.is_closed(a), bob.have(alice.feed)), (None, alice.next - 1));
}

#[test]
fn a_gap_notice_with_nothing_behind_it_closes_the_link() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.control(c, alice.gap(2, 4));
    bob.pass_alive(GAP_MS_MAX - 2_000, &[a, c]);
    // Saying it again does not help.
    bob.control(c, alice.gap(2, 4));
    bob.post(a, &alice.say("goes on"));
    assert_eq!(bob.is_closed(c), None);
    bob.pass_alive(3_000, &[a, c]);
    assert_eq!((bob.is_closed(c), bob.is_closed(a)), (Some(End::EmptyGap), None));
    assert_eq!((bob.texts(), bob.gaps()), (vec!["goes on".to_owned()], vec![]));
}

#[test]
fn a_gap_notice_whose_post_came_over_another_link_meanwhile_is_a_true_one() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.control(c, alice.gap(2, 2));
    let posts = [alice.say("two"), alice.say("three")];
    bob.posts(a, &posts);
    bob.post(c, &posts[1]);
    bob.pass_alive(GAP_MS_MAX + 2_000, &[a, c]);
    assert_eq!(bob.is_closed(c), None);
}

#[test]
fn a_gap_notice_for_somebodys_whole_future_closes_the_link_at_once() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.control(c, alice.gap(2, NUMBER_MAX));
    assert_eq!(bob.is_closed(c), Some(End::EmptyGap));
    bob.post(a, &alice.say("goes on"));
    assert_eq!((bob.texts(), bob.gaps()), (vec!["goes on".to_owned()], vec![]));
}

/// A `want` that crossed with a gap notice made its post one from the future.
#[test]
fn a_want_between_a_gap_notice_and_its_post_changes_nothing() {
    let Two { mut bob, alice, a, c } = two();
    bob.input(Input::Broken { link: c, end: End::Vanished });
    bob.control(a, Control::News { feeds: vec![alice.entry(9)] });
    bob.control(a, alice.gap(2, 4));
    bob.sent(a);
    bob.pass(200);
    assert!(controls_of(&bob.sent(a)).contains(&alice.want(2)));
    bob.post(a, &alice.post_at(5, &Draft::Nick, false));
    assert_eq!((bob.is_closed(a), bob.have(alice.feed)), (None, 5));
}

#[test]
fn a_peer_that_reads_nothing_is_let_go_and_one_that_reads_slowly_is_not() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.stuck.insert(c);
    bob.post(a, &alice.say(&"x".repeat(1_000)));
    for _ in 0..10 {
        bob.pass_alive(LINK_STUCK_MS_MAX - 2_000, &[a, c]);
        assert_eq!(bob.is_closed(c), None, "a byte now and then is enough");
        bob.input(Input::Drained { link: c, bytes: 1 });
    }
    bob.pass_alive(LINK_STUCK_MS_MAX + 1_000, &[a, c]);
    assert_eq!((bob.is_closed(c), bob.is_closed(a)), (Some(End::SlowReader), None));
}

#[test]
fn a_peer_that_signs_two_posts_under_one_number_is_let_go_and_its_messenger_is_not() {
    let Two { mut bob, alice, a, c } = two();
    let say = |text| alice.post_at(2, &Draft::Say { text, action: false, part: false }, false);
    bob.post(c, &say("yes"));
    bob.sent(a);
    bob.post(c, &say("no"));
    assert_eq!(bob.is_closed(c), None, "carol only passes it on");
    assert!(matches!(bob.sent(a).as_slice(), [Sent::Post(post)] if post.text() == "no"));
    bob.post(a, &say("perhaps"));
    assert_eq!(bob.is_closed(a), Some(End::Forked));
    assert_eq!(bob.texts(), ["yes"]);
}

#[test]
fn a_peer_that_tells_of_more_losses_than_there_can_be_is_let_go() {
    let Two { mut bob, alice, c, .. } = two();
    let mut carol = Author::new(3, "carol");
    for _ in 0..LINK_LOSSES.burst {
        bob.post(c, &carol.post(&Draft::Lost { feed: alice.feed, last: 9 }));
    }
    assert_eq!(bob.is_closed(c), None, "a relay may lose all its links at once");
    bob.post(c, &carol.post(&Draft::Lost { feed: alice.feed, last: 9 }));
    assert_eq!(bob.is_closed(c), Some(End::Flood));
}
