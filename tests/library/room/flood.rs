//! Posts in, posts out: what is appended, passed on, asked for and told, and what a slow link gets.

use hobnob::limits::{NEWS_MS, NUMBER_MAX, OUTBOX_BYTES_MAX, REPLAYED_MS_MIN, STALE_MS, SURPLUS_BYTES_MAX};
use hobnob::room::{Config, Input};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Draft};

use super::hand::{Author, Hand, Two, config, controls_of, numbers, posts_of, says, two};

#[test]
fn a_post_is_shown_once_and_passed_on_to_all_but_whom_it_came_from() {
    let Two { mut bob, mut alice, a, c } = two();
    let hi = alice.say("hi");
    bob.post(a, &hi);
    assert_eq!(bob.sent_posts(c), [(alice.feed, 2)]);
    assert_eq!(bob.sent_posts(a), []);
    for link in [a, c, c] {
        bob.post(link, &hi);
    }
    assert_eq!((bob.sent_posts(a), bob.sent_posts(c)), (vec![], vec![]), "a copy goes no further");
    assert_eq!(bob.texts(), ["hi"]);
}

#[test]
fn a_number_from_the_future_closes_the_link() {
    let Two { mut bob, alice, a, c } = two();
    bob.post(a, &alice.post_at(3, &Draft::Nick, false));
    assert_eq!(bob.is_closed(a), Some(End::FutureNumber));
    assert_eq!((bob.is_closed(c), bob.have(alice.feed)), (None, 1));
}

/// A stream under way was sent again from its start at every `want`: minutes of repeats.
#[test]
fn a_want_for_an_open_feed_does_not_rewind_it() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.posts(a, &says(&mut alice, 4, 10));
    assert_eq!(bob.sent_posts(c).len(), 4);
    for from in [1, 3, 5] {
        bob.control(c, alice.want(from));
        assert_eq!(bob.sent_posts(c), [], "from {from}");
    }
}

#[test]
fn a_want_goes_back_after_quiet() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.posts(a, &says(&mut alice, 4, 10));
    bob.sent(c);
    bob.control(c, alice.quiet());
    bob.control(c, alice.want(2));
    assert_eq!(numbers(&bob.sent_posts(c)), [2, 3, 4, 5]);
    bob.post(a, &alice.say("live"));
    assert_eq!(numbers(&bob.sent_posts(c)), [6], "and it is live again");
}

#[test]
fn of_a_quiet_feed_the_newest_number_is_told_and_nothing_sent() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.control(c, alice.quiet());
    bob.posts(a, &says(&mut alice, 3, 10));
    assert!(bob.sent(c).is_empty(), "not at once");
    bob.pass(NEWS_MS + 50);
    let sent = bob.sent(c);
    assert_eq!(controls_of(&sent), [Control::News { feeds: vec![alice.entry(4)] }]);
    bob.pass(2 * NEWS_MS);
    let later = bob.sent(c);
    assert_eq!(controls_of(&later), [], "and not twice");
    for sent in [sent, later] {
        assert!(!posts_of(&sent).iter().any(|(feed, _)| *feed == alice.feed));
    }
}

#[test]
fn a_post_that_a_peer_is_known_to_have_is_neither_sent_nor_told() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.control(c, Control::News { feeds: vec![alice.entry(3)] });
    bob.posts(a, &says(&mut alice, 3, 10));
    assert_eq!(numbers(&bob.sent_posts(c)), [4]);
}

/// Each link is first now and then, so "only second copies" never held, and quiet was never said.
#[test]
fn quiet_is_said_when_second_copies_outweigh_first_ones() {
    let Two { mut bob, mut alice, a, c } = two();
    let size = 3_000;
    let mut second_bytes = 0;
    for turn in 0.. {
        let post = alice.say(&"x".repeat(size));
        // Carol is first every fourth time.
        let order = if turn % 4 == 3 { [c, a] } else { [a, c] };
        for link in order {
            bob.post(link, &post);
        }
        second_bytes += post.frame.len() as u64;
        if controls_of(&bob.sent(c)).contains(&alice.quiet()) {
            break;
        }
        assert!(turn < 40, "never said");
    }
    assert!(second_bytes > SURPLUS_BYTES_MAX);
    assert!(!controls_of(&bob.sent(a)).contains(&alice.quiet()), "one link stays open");
}

#[test]
fn links_that_are_first_by_turns_both_stay_open() {
    let Two { mut bob, mut alice, a, c } = two();
    for turn in 0..40 {
        let post = alice.say(&"x".repeat(3_000));
        for link in if turn % 2 == 0 { [a, c] } else { [c, a] } {
            bob.post(link, &post);
        }
    }
    for link in [a, c] {
        assert!(!controls_of(&bob.sent(link)).contains(&alice.quiet()));
    }
}

/// Five links that told of newer numbers were all asked after 300 ms: five copies of everything.
#[test]
fn a_feed_that_stands_still_is_asked_for_over_one_link_at_a_time() {
    let Two { mut bob, alice, a, c } = two();
    for link in [a, c] {
        bob.control(link, Control::News { feeds: vec![alice.entry(5)] });
        bob.sent(link);
    }
    bob.pass(STALE_MS - 50);
    assert_eq!(bob.sent(a).len() + bob.sent(c).len(), 0, "not yet");
    bob.pass(100);
    let asked = |bob: &mut Hand| {
        let wants = |link, bob: &mut Hand| controls_of(&bob.sent(link)).contains(&alice.want(2));
        (wants(a, bob), wants(c, bob))
    };
    let first = asked(&mut bob);
    assert!(first.0 ^ first.1, "{first:?}");
    bob.pass(STALE_MS + 50);
    assert_eq!(asked(&mut bob), (first.1, first.0), "then the other one");
}

#[test]
fn a_feed_that_advances_is_not_asked_for() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.control(c, Control::News { feeds: vec![alice.entry(50)] });
    for _ in 0..10 {
        bob.pass(100);
        bob.post(a, &alice.say("x"));
    }
    assert!(!controls_of(&bob.sent(c)).iter().any(|control| matches!(control, Control::Want { .. })));
}

#[test]
fn a_late_joiner_asks_one_link_and_opens_the_others_behind_it() {
    let mut bob = Hand::new(config(1));
    let (mut alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let posts = [vec![alice.join()], says(&mut alice, 4, 10)].concat();
    let (a, c) = (bob.link(&alice, &[alice.entry(5)]), bob.link(&carol, &[alice.entry(5)]));
    assert!(controls_of(&bob.sent(a)).contains(&Control::All {}));
    assert!(!controls_of(&bob.sent(c)).iter().any(|control| matches!(control, Control::Want { .. })));
    bob.posts(a, &posts);
    assert!(controls_of(&bob.sent(c)).contains(&alice.want(6)), "caught up, so from its next number");
}

#[test]
fn a_catch_up_without_progress_goes_on_over_another_link() {
    let mut bob = Hand::new(config(1));
    let (alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let (a, c) = (bob.link(&alice, &[alice.entry(5)]), bob.link(&carol, &[alice.entry(5)]));
    assert!(controls_of(&bob.sent(a)).contains(&Control::All {}));
    bob.sent(c);
    bob.pass(900);
    assert!(!controls_of(&bob.sent(c)).contains(&alice.want(1)));
    bob.pass(200);
    assert!(controls_of(&bob.sent(c)).contains(&alice.want(1)));
}

#[test]
fn what_was_asked_of_a_link_that_broke_is_asked_of_another() {
    let mut bob = Hand::new(config(1));
    let (alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let (a, c) = (bob.link(&alice, &[alice.entry(5)]), bob.link(&carol, &[alice.entry(5)]));
    bob.sent(c);
    bob.input(Input::Broken { link: a, end: End::Vanished });
    bob.pass(STALE_MS + 50);
    assert!(controls_of(&bob.sent(c)).contains(&alice.want(1)));
}

#[test]
fn a_slow_link_lags_and_goes_on_where_it_stopped() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.stuck.insert(c);
    bob.posts(a, &says(&mut alice, 40, 20_000));
    let before = bob.sent(c);
    let bytes = 20_700 * before.len();
    assert!((OUTBOX_BYTES_MAX..OUTBOX_BYTES_MAX + 40_000).contains(&bytes), "{bytes}");
    assert_eq!(bob.is_closed(c), None);
    let queued = |bob: &Hand| bob.room.view().links.iter().map(|(_, queued)| *queued).max().unwrap();
    let waiting = queued(&bob);
    bob.stuck.remove(&c);
    bob.input(Input::Drained { link: c, bytes: waiting / 4 });
    assert!(bob.sent(c).is_empty(), "not before half of it is gone");
    bob.input(Input::Drained { link: c, bytes: waiting - waiting / 4 });
    let after = bob.sent(c);
    let all = [numbers(&posts_of(&before)), numbers(&posts_of(&after))].concat();
    assert_eq!(all, (2..=41).collect::<Vec<_>>());
}

#[test]
fn a_peer_that_asks_and_does_not_read_is_let_go() {
    let Two { mut bob, alice, a, c } = two();
    bob.stuck.insert(c);
    let Control::Want { author, .. } = alice.want(1) else { unreachable!() };
    for session in 1..8_000 {
        bob.control(c, Control::Want { author, session, from: 1, answer: true });
    }
    bob.pass(200);
    assert_eq!(bob.is_closed(c), Some(End::SlowReader));
    assert_eq!(bob.is_closed(a), None);
}

#[test]
fn a_slow_terminal_is_told_what_it_missed() {
    let mut bob = Hand::new(Config { log_bytes_max: 50_000, ..config(1) });
    let mut alice = Author::new(2, "alice");
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    bob.unread = true;
    bob.posts(a, &says(&mut alice, 100, 1_000));
    bob.unread = false;
    bob.pass(50);
    let (shown, missed) = (bob.texts().len() as u64, bob.gaps().iter().sum::<u64>());
    assert_eq!(shown + missed, 100);
    assert!(shown > 20 && missed > 20, "{shown} shown, {missed} missed");
}

/// What is said by a clock that is an hour behind looks like that, and its loss was no loss.
#[test]
fn what_seems_to_be_played_again_is_told_as_missed_like_the_rest() {
    let mut bob = Hand::new(Config { log_bytes_max: 50_000, ..config(1) });
    let a = bob.level_link(&Author::new(2, "alice"));
    let mut dave = Author::new(4, "dave");
    dave.at -= REPLAYED_MS_MIN + 1_000;
    bob.post(a, &dave.join());
    bob.unread = true;
    bob.posts(a, &says(&mut dave, 100, 1_000));
    bob.unread = false;
    bob.pass(50);
    let (shown, missed) = (bob.texts().len() as u64, bob.gaps().iter().sum::<u64>());
    assert_eq!(shown + missed, 100, "{shown} shown");
}

/// A feed with the largest number was asked for from the next one, which no record can hold: who was asked
/// took that for nonsense and closed the link.
#[test]
fn nothing_is_asked_for_past_the_largest_number() {
    let mut bob = Hand::new(config(1));
    let (eve, alice, carol) = (Author::new(2, "eve"), Author::new(3, "alice"), Author::new(4, "carol"));
    let e = bob.level_link(&eve);
    bob.control(e, eve.gap(1, NUMBER_MAX - 2));
    bob.post(e, &eve.post_at(NUMBER_MAX - 1, &Draft::Nick, false));
    let a = bob.link(&alice, &[eve.entry(NUMBER_MAX)]);
    let c = bob.link(&carol, &[eve.entry(NUMBER_MAX)]);
    assert!(controls_of(&bob.sent(a)).contains(&eve.want(NUMBER_MAX)));
    bob.sent(c);
    bob.post(a, &eve.post_at(NUMBER_MAX, &Draft::Nick, false));
    assert_eq!(bob.have(eve.feed), NUMBER_MAX);
    bob.pass(1_000);
    assert!(!controls_of(&bob.sent(c)).iter().any(|control| matches!(control, Control::Want { .. })));
}
