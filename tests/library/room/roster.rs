//! Who is here: joins, losses, leaves and silence.

use hobnob::limits::{JOIN_RENEW_MS, LOST_GRACE_MS, POST_AHEAD_MS_MAX, REPLAYED_MS_MIN, SESSION_SILENT_MS_MAX};
use hobnob::room::Input;
use hobnob::room::event::Event;
use hobnob::wire::end::End;
use hobnob::wire::record::{Body, Control, Draft, FeedId};

use super::hand::{Author, Hand, Sent, Two, WALL_START, config, two};

pub(crate) fn lost(feed: FeedId, last: u64) -> Draft<'static> {
    Draft::Lost { feed, last }
}

fn is_present(bob: &Hand, feed: FeedId) -> bool {
    bob.room.view().present.contains(&feed)
}

/// A member that a blip made lost, and that had nothing to say, was absent for up to 150 s.
#[test]
fn a_session_that_sees_itself_lost_joins_anew() {
    let Two { mut bob, a, .. } = two();
    let mut carol = Author::new(3, "carol");
    bob.sent(a);
    let last = bob.have(bob.me);
    bob.post(a, &carol.post(&lost(bob.me, last)));
    let joined = |sent: &Sent| matches!(sent, Sent::Post(post) if matches!(post.body, Body::Join { .. }) && post.number == last + 1);
    assert!(bob.sent(a).iter().any(joined));
    assert!(is_present(&bob, bob.me));
}

/// A live member was folded away, or a ghost stayed, where nodes held more or less.
#[test]
fn a_lost_counts_only_at_the_very_number_it_names() {
    let Two { mut bob, mut alice, a, .. } = two();
    let mut carol = Author::new(3, "carol");
    bob.post(a, &alice.say("two"));
    bob.post(a, &carol.post(&lost(alice.feed, 1)));
    assert!(is_present(&bob, alice.feed), "above it: void");
    bob.post(a, &carol.post(&lost(alice.feed, 3)));
    assert!(is_present(&bob, alice.feed), "below it: not yet");
    bob.post(a, &alice.say("three"));
    assert!(is_present(&bob, alice.feed), "she may say otherwise");
    bob.pass(LOST_GRACE_MS + 500);
    assert!(!is_present(&bob, alice.feed));
    bob.post(a, &alice.say("four"));
    assert!(is_present(&bob, alice.feed), "it goes on, so it lives");
}

#[test]
fn a_peer_that_stays_away_is_told_as_lost_with_its_last_number() {
    let Two { mut bob, alice, a, c } = two();
    bob.input(Input::Broken { link: a, end: End::Vanished });
    bob.sent(c);
    bob.pass_alive(1_000, &[c]);
    assert!(is_present(&bob, alice.feed), "it may come back");
    bob.pass_alive(4_500, &[c]);
    let told = |sent: &Sent| matches!(sent, Sent::Post(post) if post.body == Body::Lost { feed: alice.feed, last: 1 });
    assert_eq!(bob.sent(c).iter().filter(|sent| told(sent)).count(), 1);
    assert!(!is_present(&bob, alice.feed));
    assert!(
        bob.events.iter().any(|event| matches!(event, Event::Lost { member, .. } if member.id == alice.feed.author))
    );
}

#[test]
fn a_peer_that_comes_back_is_not_told_as_lost() {
    let Two { mut bob, alice, a, c } = two();
    bob.input(Input::Broken { link: a, end: End::Vanished });
    bob.pass(500);
    let again = bob.level_link(&alice);
    bob.pass_alive(10_000, &[again, c]);
    assert!(is_present(&bob, alice.feed));
    assert!(!bob.events.iter().any(|event| matches!(event, Event::Lost { .. })));
}

#[test]
fn a_member_with_two_sessions_is_joined_once_and_leaves_with_the_last() {
    let Two { mut bob, mut alice, a, .. } = two();
    let mut other = Author::new(2, "alice");
    other.feed.session += 1;
    bob.post(a, &other.join());
    let came = |event: &&Event| matches!(event, Event::Joined { member, .. } if member.id == alice.feed.author);
    assert_eq!(bob.events.iter().filter(came).count(), 1);
    bob.post(a, &other.post(&Draft::Leave { why: "" }));
    assert!(!bob.events.iter().any(|event| matches!(event, Event::Left { .. })));
    bob.post(a, &alice.post(&Draft::Leave { why: "bye" }));
    assert!(bob.events.iter().any(|event| matches!(event, Event::Left { why, .. } if why == "bye")));
}

#[test]
fn a_silent_session_renews_its_join() {
    let mut bob = Hand::new(config(1));
    let a = bob.level_link(&Author::new(2, "alice"));
    let last = bob.have(bob.me);
    bob.pass_alive(JOIN_RENEW_MS - 5_000, &[a]);
    assert_eq!(bob.have(bob.me), last);
    bob.pass_alive(10_000, &[a]);
    assert_eq!(bob.have(bob.me), last + 1);
    let joined = |sent: &Sent| matches!(sent, Sent::Post(post) if matches!(post.body, Body::Join { .. }));
    assert!(bob.sent(a).iter().any(joined));
}

#[test]
fn a_session_that_is_silent_for_too_long_is_folded_as_lost() {
    let Two { mut bob, alice, a, c } = two();
    bob.pass_alive(SESSION_SILENT_MS_MAX - 2_000, &[a, c]);
    assert!(is_present(&bob, alice.feed));
    bob.pass_alive(4_000, &[a, c]);
    assert!(!is_present(&bob, alice.feed));
    assert!(is_present(&bob, bob.me));
}

fn was_told_lost(bob: &Hand, feed: FeedId) -> bool {
    bob.events.iter().any(|event| matches!(event, Event::Lost { member, .. } if member.id == feed.author))
}

/// Whoever likes could make everybody else vanish for a moment, and a pipe end as unconfirmed.
#[test]
fn a_false_lost_of_a_live_member_is_seen_by_nobody() {
    let Two { mut bob, mut alice, a, c } = two();
    let mut carol = Author::new(3, "carol");
    bob.post(a, &alice.say("two"));
    for round in 0..5 {
        // Of where she is, and of where she will be.
        let last = bob.have(alice.feed);
        bob.post(c, &carol.post(&lost(alice.feed, last)));
        bob.post(c, &carol.post(&lost(alice.feed, last + 2)));
        bob.pass_alive(1_000, &[a, c]);
        bob.post(a, &alice.join());
        bob.pass_alive(10_000, &[a, c]);
        bob.post(a, &alice.say("here"));
        bob.pass_alive(1_000, &[a, c]);
        bob.post(a, &alice.join());
        assert!(is_present(&bob, alice.feed), "round {round}");
    }
    assert!(!was_told_lost(&bob, alice.feed));
}

/// A claim that says that it was made a minute ago, and lets itself be asked for, counted at once: its target had not
/// heard of it, and was told as lost.
#[test]
fn a_false_lost_that_says_it_is_old_leaves_the_time_to_answer() {
    let Two { mut bob, mut alice, a, c } = two();
    let mut carol = Author::new(3, "carol");
    bob.post(a, &alice.say("two"));
    bob.pass_alive(5_000, &[a, c]);
    carol.at = WALL_START + 1_000;
    bob.control(c, Control::News { feeds: vec![carol.entry(2)] });
    bob.pass_alive(500, &[a, c]);
    let asked =
        |sent: &Sent| matches!(sent, Sent::Control(Control::Want { author, .. }) if *author == carol.feed.author);
    assert!(bob.sent(c).iter().any(asked), "it counts as one that was asked for");
    bob.posts(c, &[carol.post(&lost(alice.feed, 2)), carol.join()]);
    bob.pass_alive(LOST_GRACE_MS - 500, &[a, c]);
    assert!(is_present(&bob, alice.feed));
    bob.post(a, &alice.join());
    bob.pass_alive(10_000, &[a, c]);
    assert!(is_present(&bob, alice.feed) && !was_told_lost(&bob, alice.feed));
}

#[test]
fn a_lost_that_was_true_before_we_came_is_no_news() {
    let mut bob = Hand::new(config(1));
    let (mut alice, mut carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let c = bob.link(&carol, &[alice.entry(1), carol.entry(2)]);
    (alice.at, carol.at) = (alice.at - 60_000, carol.at - 30_000);
    bob.posts(c, &[alice.join(), carol.join(), carol.post(&lost(alice.feed, 1))]);
    bob.pass_alive(5_000, &[c]);
    assert!(is_present(&bob, carol.feed) && !is_present(&bob, alice.feed));
    assert!(
        !bob.events.iter().any(|event| matches!(event, Event::Joined { member, .. } if member.id == alice.feed.author))
    );
}

/// Yesterday's session, kept by somebody and played again: a ghost was present for minutes, and its words were new.
#[test]
fn an_old_session_that_is_played_again_is_no_member_and_says_nothing_new() {
    let Two { mut bob, a, c, .. } = two();
    let mut dave = Author::new(4, "dave");
    dave.at -= REPLAYED_MS_MIN + 1_000;
    bob.posts(c, &[dave.join(), dave.say("yesterday")]);
    bob.pass_alive(2_000, &[a, c]);
    assert!(!is_present(&bob, dave.feed));
    assert!(
        !bob.events.iter().any(|event| matches!(event, Event::Joined { member, .. } if member.nick.as_str() == "dave"))
    );
    let shown: Vec<bool> = bob
        .events
        .iter()
        .filter_map(|event| if let Event::Said { backlog, .. } = event { Some(*backlog) } else { None })
        .collect();
    assert_eq!(shown, [true], "as what was said before");
}

#[test]
fn a_session_older_than_another_one_of_its_author_is_played_again_after_minutes() {
    let Two { mut bob, a, c, .. } = two();
    let (mut now, mut before) = (Author::new(4, "dave"), Author::new(4, "dave"));
    before.feed.session += 1;
    bob.post(a, &now.join());
    before.at -= SESSION_SILENT_MS_MAX + 1_000;
    bob.post(c, &before.join());
    assert!(is_present(&bob, now.feed) && !is_present(&bob, before.feed));
}

/// One who was lost and came back with his clock put back by an hour was nobody to those without a link to him.
#[test]
fn a_member_who_comes_back_with_his_clock_put_back_is_a_member() {
    let Two { mut bob, a, c, .. } = two();
    let (mut before, mut now) = (Author::new(4, "dave"), Author::new(4, "dave"));
    now.feed.session += 1;
    bob.post(a, &before.join());
    bob.post(a, &Author::new(5, "eve").post(&lost(before.feed, 1)));
    now.at -= 3_600_000;
    bob.post(c, &now.join());
    bob.pass_alive(2_000, &[a, c]);
    assert!(is_present(&bob, now.feed) && !is_present(&bob, before.feed));
}

#[test]
fn a_member_whose_clock_is_an_hour_off_is_a_member_like_others() {
    for at in [WALL_START - 3_600_000, WALL_START + 3_600_000] {
        let Two { mut bob, a, c, .. } = two();
        let mut dave = Author::new(4, "dave");
        dave.at = at;
        bob.posts(c, &[dave.join(), dave.say("hello")]);
        bob.pass_alive(2_000, &[a, c]);
        assert!(is_present(&bob, dave.feed));
        assert!(matches!(bob.events.last(), Some(Event::Said { backlog: false, .. })), "{:?}", bob.events.last());
        // What he says while we catch up with him is judged by what is known of his clock.
        bob.control(a, Control::News { feeds: vec![dave.entry(3)] });
        bob.pass_alive(1_000, &[a, c]);
        bob.post(a, &dave.say("again"));
        bob.pass_alive(2_000, &[a, c]);
        assert!(is_present(&bob, dave.feed));
    }
}

#[test]
fn whose_clock_is_hours_off_is_a_member_for_those_to_whom_he_is_linked() {
    let mut bob = Hand::new(config(1));
    let mut dave = Author::new(4, "dave");
    let d = bob.level_link(&dave);
    dave.at -= POST_AHEAD_MS_MAX - 1_000;
    bob.posts(d, &[dave.join(), dave.say("hello")]);
    assert!(is_present(&bob, dave.feed));
    assert!(matches!(bob.events.last(), Some(Event::Said { backlog: false, .. })));
}

/// A `lost` that names a number to come took effect with that number, and nobody joined anew.
#[test]
fn a_session_that_a_lost_waits_for_joins_anew() {
    let Two { mut bob, a, .. } = two();
    let mut carol = Author::new(3, "carol");
    let last = bob.have(bob.me);
    bob.post(a, &carol.post(&lost(bob.me, last + 1)));
    bob.post(a, &carol.post(&lost(bob.me, last + 2)));
    assert_eq!(bob.have(bob.me), last, "it is no news yet");
    bob.command_say("still here");
    assert!(is_present(&bob, bob.me));
    assert_eq!(bob.have(bob.me), last + 3);
}
