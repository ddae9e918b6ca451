//! Posts behind a gap: who is asked for what is missing, and when a hole is final.

use hobnob::limits::{HOLE_NOTHING_MS, HOLE_SILENT_MS, NEWS_MS};
use hobnob::room::Input;
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Draft};

use super::hand::{Author, Hand, Two, config, controls_of, numbers, posts_of, says, two};

/// A gap notice with no post behind it left a receiver stuck, or made holes out of nothing.
#[test]
fn a_gap_notice_counts_only_with_the_post_behind_it() {
    let Two { mut bob, alice, a, c } = two();
    bob.input(Input::Broken { link: c, end: End::Vanished });
    bob.control(a, alice.gap(2, 4));
    bob.pass_alive(10_000, &[a]);
    assert_eq!((bob.have(alice.feed), bob.gaps()), (1, vec![]));
    bob.post(a, &alice.post_at(5, &Draft::Nick, false));
    assert_eq!((bob.have(alice.feed), bob.gaps()), (5, vec![3]));
}

#[test]
fn another_post_than_the_one_behind_the_gap_closes_the_link() {
    for number in [4, 6] {
        let Two { mut bob, alice, a, .. } = two();
        bob.control(a, alice.gap(2, 4));
        bob.post(a, &alice.post_at(number, &Draft::Nick, false));
        assert_eq!(bob.is_closed(a), Some(End::FutureNumber), "{number}");
        assert!(bob.gaps().is_empty());
    }
}

/// Alice's link has lost 2 to 4; what the other link says decides.
fn hole() -> Two {
    let Two { mut bob, alice, a, c } = two();
    bob.sent(c);
    bob.control(a, alice.gap(2, 4));
    bob.post(a, &alice.post_at(5, &Draft::Nick, false));
    assert_eq!((bob.have(alice.feed), bob.gaps()), (1, vec![]), "a hole while others may have it");
    let asked = Control::Want { author: alice.feed.author, session: alice.feed.session, from: 2, answer: true };
    assert_eq!(controls_of(&bob.sent(c)), [alice.quiet(), asked]);
    Two { bob, alice, a, c }
}

/// A hole was final though a neighbour had the posts.
#[test]
fn a_hole_is_filled_by_who_has_the_posts() {
    let Two { mut bob, mut alice, c, .. } = hole();
    alice.next = 2;
    bob.posts(c, &says(&mut alice, 3, 10));
    assert_eq!((bob.have(alice.feed), bob.gaps()), (5, vec![]));
    assert_eq!(bob.texts().len(), 3);
}

#[test]
fn a_final_hole_is_told_once() {
    let Two { mut bob, alice, a, c } = hole();
    bob.control(c, alice.gap(2, 4));
    bob.post(c, &alice.post_at(5, &Draft::Nick, false));
    assert_eq!((bob.have(alice.feed), bob.gaps()), (5, vec![3]), "all have denied");
    for link in [a, c] {
        bob.post(link, &alice.post_at(3, &Draft::Nick, false));
        bob.control(link, alice.gap(2, 4));
    }
    bob.pass_alive(10_000, &[a, c]);
    assert_eq!((bob.have(alice.feed), bob.gaps()), (5, vec![3]));
}

#[test]
fn a_hole_is_final_a_second_after_the_others_had_nothing() {
    let Two { mut bob, alice, c, .. } = hole();
    bob.control(c, Control::News { feeds: vec![alice.entry(1)] });
    bob.pass(HOLE_NOTHING_MS - 50);
    assert!(bob.gaps().is_empty());
    bob.pass(100);
    assert_eq!((bob.have(alice.feed), bob.gaps()), (5, vec![3]));
}

#[test]
fn a_hole_is_final_some_seconds_after_nobody_answered() {
    let Two { mut bob, alice, a, c } = hole();
    bob.pass_alive(HOLE_SILENT_MS - 1_000, &[a, c]);
    bob.pass(900);
    assert!(bob.gaps().is_empty());
    bob.pass_alive(3_000, &[a, c]);
    assert_eq!((bob.have(alice.feed), bob.gaps()), (5, vec![3]));
}

/// A link that came up during the wait was not asked.
#[test]
fn a_link_that_comes_up_during_the_wait_is_asked_too() {
    let Two { mut bob, mut alice, .. } = hole();
    let dave = Author::new(4, "dave");
    let d = bob.link(&dave, &[alice.entry(5)]);
    let answer = |control: &Control| matches!(control, Control::Want { from: 2, answer: true, .. });
    assert!(controls_of(&bob.sent(d)).iter().any(answer));
    alice.next = 2;
    bob.posts(d, &says(&mut alice, 3, 10));
    assert_eq!((bob.have(alice.feed), bob.gaps()), (5, vec![]));
}

/// Two nodes waited on each other.
#[test]
fn who_has_nothing_says_so_once_nobody_else_can_bring_more() {
    let Two { mut bob, alice, a, c } = two();
    bob.control(c, Control::Want { author: alice.feed.author, session: alice.feed.session, from: 2, answer: true });
    bob.control(a, Control::News { feeds: vec![alice.entry(3)] });
    bob.pass(NEWS_MS);
    let news = Control::News { feeds: vec![alice.entry(1)] };
    assert!(!controls_of(&bob.sent(c)).contains(&news), "the other link may bring it");
    bob.input(Input::Broken { link: a, end: End::Vanished });
    bob.pass(2 * NEWS_MS);
    assert!(controls_of(&bob.sent(c)).contains(&news));
}

#[test]
fn a_hole_is_passed_on_as_a_gap_notice() {
    let mut bob = Hand::new(config(1));
    let (mut alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    bob.control(a, alice.gap(2, 4));
    bob.post(a, &alice.post_at(5, &Draft::Nick, false));
    let c = bob.link(&carol, &[]);
    bob.sent(c);
    bob.control(c, alice.want(1));
    let sent = bob.sent(c);
    assert_eq!(controls_of(&sent), [alice.gap(2, 4)]);
    assert_eq!(numbers(&posts_of(&sent)), [1, 5]);
}
