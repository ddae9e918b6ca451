//! What earlier runs have kept is taken up, and what this one appends is given to whoever keeps it.

use std::sync::Arc;

use hobnob::limits::{
    HISTORY_LAG_BYTES_MAX, LOST_AFTER_MS, LOST_JITTER_MS, MEMBER_STALLED_MS, RESTORED_SESSIONS_PER_AUTHOR_MAX,
    SESSION_SILENT_MS_MAX,
};
use hobnob::room::event::{Command, Event};
use hobnob::room::{Config, Input, Past};
use hobnob::wire::record::{Body, Control, FeedId, Post};

use super::hand::{Author, Hand, Sent, WALL_START, config, controls_of, posts_of, says};

fn past(posts: &[Arc<Post>]) -> Past {
    Past { posts: posts.to_vec(), ends: Vec::new(), ..Past::default() }
}

/// What was shown as said earlier.
fn backlog(hand: &Hand) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Said { post, backlog: true, .. } => Some(post.text()),
        _ => None,
    };
    hand.events.iter().filter_map(text).collect()
}

/// All that waits to be kept.
fn kept(hand: &mut Hand) -> Vec<(FeedId, u64)> {
    std::iter::from_fn(|| hand.room.next_kept()).map(|post| (post.feed, post.number)).collect()
}

fn warnings(hand: &Hand) -> Vec<&str> {
    let texts = hand.events.iter().filter_map(|event| match event {
        Event::Warning(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn what_was_kept_is_not_asked_for_again_and_passed_on_to_who_lacks_it() {
    let (mut alice, dave) = (Author::new(2, "alice"), Author::new(4, "dave"));
    let posts = [alice.join(), alice.say("one"), alice.say("two")];
    let mut bob = Hand::resume(config(1), &past(&posts));
    assert_eq!(bob.have(alice.feed), 3);
    let a = bob.link(&alice, &[alice.entry(3)]);
    assert!(!controls_of(&bob.sent(a)).contains(&alice.want(1)), "it is there already");
    let d = bob.link(&dave, &[]);
    bob.sent(d);
    bob.control(d, alice.want(1));
    assert_eq!(bob.sent_posts(d), [(alice.feed, 1), (alice.feed, 2), (alice.feed, 3)]);
}

#[test]
fn the_last_lines_are_shown_once_as_what_was_said_earlier() {
    let mut alice = Author::new(2, "alice");
    let mut posts = vec![alice.join()];
    posts.extend(["one", "two", "three"].map(|text| alice.say(text)));
    let mut bob = Hand::resume(Config { backlog_lines: 2, ..config(1) }, &past(&posts));
    assert_eq!(backlog(&bob), ["two", "three"]);
    let a = bob.link(&alice, &[alice.entry(4)]);
    bob.pass_alive(3_000, &[a]);
    bob.post(a, &alice.say("four"));
    assert_eq!(bob.texts(), ["two", "three", "four"]);
    assert_eq!(backlog(&bob).len(), 2, "what is said now is new");
}

#[test]
fn what_was_said_while_this_node_was_away_is_shown_as_that() {
    let mut alice = Author::new(2, "alice");
    let posts = [alice.join(), alice.say("one")];
    let mut bob = Hand::resume(config(1), &past(&posts));
    let missed = [alice.say("two"), alice.say("three")];
    let a = bob.link(&alice, &[alice.entry(4)]);
    bob.posts(a, &missed);
    bob.post(a, &alice.say("four"));
    assert_eq!(backlog(&bob), ["one", "two", "three"]);
    assert_eq!(bob.texts(), ["one", "two", "three", "four"]);
}

#[test]
fn a_hole_in_what_was_kept_is_passed_on_as_one() {
    let (mut alice, dave) = (Author::new(2, "alice"), Author::new(4, "dave"));
    let posts = [alice.join(), alice.say("one"), alice.say("two"), alice.say("three")];
    let mut bob = Hand::resume(config(1), &past(&[posts[0].clone(), posts[3].clone(), posts[2].clone()]));
    assert_eq!((bob.have(alice.feed), backlog(&bob)), (4, vec!["three".to_owned()]));
    assert!(bob.gaps().is_empty(), "it was told when it came");
    let d = bob.link(&dave, &[]);
    bob.sent(d);
    bob.control(d, alice.want(1));
    let sent = bob.sent(d);
    assert_eq!(controls_of(&sent), [alice.gap(2, 3)]);
    assert_eq!(posts_of(&sent), [(alice.feed, 1), (alice.feed, 4)]);
}

#[test]
fn an_end_counts_as_seen_and_what_follows_it_is_new() {
    let (mut alice, dave) = (Author::new(2, "alice"), Author::new(4, "dave"));
    let posts = says(&mut alice, 5, 10);
    let mut bob = Hand::resume(config(1), &Past { posts: Vec::new(), ends: vec![posts[4].clone()], ..Past::default() });
    let d = bob.link(&dave, &[alice.entry(5)]);
    assert!(!controls_of(&bob.sent(d)).contains(&alice.want(1)));
    bob.pass_alive(3_000, &[d]);
    bob.post(d, &alice.say("new"));
    assert_eq!(bob.texts(), ["new"]);
}

#[test]
fn of_an_author_with_ever_new_sessions_the_newest_are_taken_up_and_the_others_count_as_seen() {
    let authors: Vec<Author> = (1..=RESTORED_SESSIONS_PER_AUTHOR_MAX as u64 + 1)
        .map(|session| {
            let mut author = Author::new(2, "cron");
            author.feed.session = session;
            author.at = WALL_START - 1_000_000 + session;
            author
        })
        .collect();
    let posts: Vec<Arc<Post>> = authors.into_iter().map(|mut author| author.say("tick")).collect();
    let mut bob = Hand::resume(config(1), &past(&posts));
    let old = FeedId { session: 1, ..posts[0].feed };
    assert_eq!((bob.have(old), bob.have(FeedId { session: 2, ..old })), (0, 1));
    let dave = Author::new(4, "dave");
    let d = bob.level_link(&dave);
    bob.events.clear();
    bob.post(d, &posts[0]);
    assert!(bob.texts().is_empty(), "it was shown by an earlier run");
}

#[test]
fn an_earlier_session_of_ours_is_told_as_lost_and_nobody_is_shown_before_a_link_is_up() {
    let (mut alice, mut old) = (Author::new(2, "alice"), Author::new(1, "n1"));
    old.feed.session = 7;
    let (first, joined) = (old.join(), alice.join());
    let mut bob = Hand::resume(config(1), &past(&[first.clone(), joined.clone()]));
    bob.pass(3_000);
    assert!(bob.events.iter().all(|event| !matches!(event, Event::Joined { .. })), "{:?}", bob.events);
    bob.input(Input::Command(Command::Names));
    assert!(matches!(bob.events.last(), Some(Event::Names(members)) if members.len() == 1 && members[0].sessions == 1));
    let a = bob.level_link(&alice);
    bob.pass_alive(LOST_AFTER_MS + LOST_JITTER_MS + 1_000, &[a]);
    let claim = Body::Lost { feed: old.feed, last: 1 };
    assert!(bob.sent(a).iter().any(|sent| matches!(sent, Sent::Post(post) if post.body == claim)));
    let joined = bob.events.iter().filter(|event| matches!(event, Event::Joined { .. }));
    assert_eq!(joined.count(), 1, "alice is");
}

#[test]
fn a_session_that_was_kept_long_ago_is_nobody_who_is_here() {
    let mut alice = Author::new(2, "alice");
    alice.at = WALL_START - SESSION_SILENT_MS_MAX - 1;
    let bob = Hand::resume(config(1), &past(&[alice.join()]));
    assert!(!bob.room.view().present.contains(&alice.feed));
}

#[test]
fn each_post_is_given_to_be_kept_once_and_in_order_and_not_what_was_kept_before() {
    let mut alice = Author::new(2, "alice");
    let posts = [alice.join(), alice.say("one")];
    let mut bob = Hand::resume(Config { keep: true, ..config(1) }, &past(&posts));
    assert_eq!(kept(&mut bob), [(bob.me, 1)]);
    let a = bob.level_link(&alice);
    bob.post(a, &alice.say("two"));
    bob.command_say("mine");
    let mine = bob.have(bob.me);
    let new = kept(&mut bob);
    assert_eq!(new.first(), Some(&(alice.feed, 3)));
    assert_eq!(new.last(), Some(&(bob.me, mine)));
    assert_eq!(kept(&mut bob), []);
    assert_eq!(bob.room.unkept_bytes(), 0);
}

#[test]
fn what_is_evicted_before_it_is_kept_is_counted_and_told_once() {
    let mut alice = Author::new(2, "alice");
    let mut bob = Hand::new(Config { keep: true, log_bytes_max: 30_000, ..config(1) });
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    kept(&mut bob);
    bob.posts(a, &says(&mut alice, 100, 1_000));
    let new: Vec<u64> = kept(&mut bob).into_iter().filter(|(feed, _)| *feed == alice.feed).map(|post| post.1).collect();
    assert!(new.is_sorted() && new.last() == Some(&101), "{new:?}");
    bob.pass_alive(1_000, &[a]);
    let missing = format!("{} messages are missing", 100 - new.len());
    assert!(matches!(warnings(&bob).as_slice(), [told] if told.starts_with(&missing)), "{:?}", warnings(&bob));
    bob.post(a, &alice.say("more"));
    kept(&mut bob);
    bob.pass_alive(1_000, &[a]);
    assert_eq!(warnings(&bob).len(), 1);
}

/// Has somebody say more than may wait to be kept, and ask for an answer; whether it was given.
fn is_answered(bob: &mut Hand, alice: &mut Author, link: u64) -> bool {
    let posts = says(alice, HISTORY_LAG_BYTES_MAX / 60_000 + 1, 60_000);
    bob.posts(link, &posts);
    bob.sent(link);
    let marked = alice.marked("?");
    bob.post(link, &marked);
    bob.sent(link).iter().any(|sent| matches!(sent, Sent::Ack(ack) if ack.last == marked.number))
}

#[test]
fn acks_wait_for_a_slow_disk_but_not_for_one_that_stands_still() {
    let mut alice = Author::new(2, "alice");
    let mut bob = Hand::new(Config { keep: true, ..config(1) });
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    kept(&mut bob);
    assert!(!is_answered(&mut bob, &mut alice, a));
    kept(&mut bob);
    bob.input(Input::Shown);
    assert!(bob.sent(a).iter().any(|sent| matches!(sent, Sent::Ack(_))), "the disk has taken it");
    assert!(!is_answered(&mut bob, &mut alice, a));
    bob.pass_alive(MEMBER_STALLED_MS, &[a]);
    assert!(bob.sent(a).iter().any(|sent| matches!(sent, Sent::Ack(_))), "nothing moves: nobody waits");
    assert!(is_answered(&mut bob, &mut alice, a));
}

/// Of an author whom an earlier run has heard, what went missing meanwhile is named; of others it was never ours.
#[test]
fn what_was_evicted_while_this_node_was_away_is_named() {
    let (mut alice, mut carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let posts = [alice.join(), alice.say("one")];
    let mut bob = Hand::resume(config(1), &past(&posts));
    for author in [&mut alice, &mut carol] {
        author.next = 100;
    }
    let (last, other) = (alice.say("last"), carol.say("other"));
    let gap = |author: &Author, from| {
        let FeedId { author, session } = author.feed;
        Control::Gap { author, session, from, to: 99 }
    };
    let a = bob.link(&alice, &[alice.entry(100), carol.entry(100)]);
    bob.control(a, gap(&alice, 3));
    bob.post(a, &last);
    bob.control(a, gap(&carol, 1));
    bob.post(a, &other);
    bob.pass_alive(3_000, &[a]);
    assert_eq!(bob.texts(), ["one", "last", "other"]);
    assert_eq!(bob.gaps(), [97]);
}

/// The clock was wrong when this run began, and what an earlier one has kept seemed too old to be taken up.
#[test]
fn what_seemed_too_old_is_not_shown_again_when_the_clock_is_put_right() {
    let mut alice = Author::new(2, "alice");
    let posts = [alice.join(), alice.say("one"), alice.say("two")];
    let former = vec![Arc::clone(&posts[2])];
    let mut bob = Hand::resume(config(1), &Past { former, ..Past::default() });
    let a = bob.link(&alice, &[alice.entry(3)]);
    bob.posts(a, &posts);
    assert!(bob.texts().is_empty());
    alice.at += 1_000;
    bob.post(a, &alice.say("three"));
    assert_eq!((bob.texts(), bob.gaps()), (vec!["three".to_owned()], vec![]));
}
