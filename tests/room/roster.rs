//! Who is here: joins, losses, leaves and silence.

use hobnob::limits::{JOIN_RENEW_MS, SESSION_SILENT_MS_MAX};
use hobnob::room::Input;
use hobnob::room::event::Event;
use hobnob::wire::end::End;
use hobnob::wire::record::{Body, Draft, FeedId};

use super::hand::{Author, Hand, Sent, Two, config, two};

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
    bob.pass_alive(2_500, &[c]);
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
