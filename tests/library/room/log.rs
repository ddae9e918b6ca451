//! What is kept, what goes first, and what is refused.

use std::time::{Duration, Instant};

use hobnob::limits::{NOTICES_MAX, POST_AGE_MS_MAX, POST_AHEAD_MS_MAX};
use hobnob::room::event::Event;
use hobnob::room::{Config, Input};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Draft};

use super::hand::{Author, Hand, Sent, Two, WALL_START, config, controls_of, numbers, posts_of, says, two};

/// A receiver was stuck below an evicted tail for ever.
#[test]
fn the_newest_post_of_a_feed_is_evicted_last() {
    let mut bob = Hand::new(Config { log_bytes_max: 30_000, ..config(1) });
    let (mut alice, mut carol, dave) = (Author::new(2, "alice"), Author::new(3, "carol"), Author::new(4, "dave"));
    let a = bob.level_link(&alice);
    bob.post(a, &carol.join());
    bob.posts(a, &says(&mut carol, 10, 1_000));
    bob.post(a, &alice.join());
    bob.posts(a, &says(&mut alice, 100, 1_000));
    assert!(bob.room.view().log_bytes <= 30_000);
    assert_eq!((bob.have(alice.feed), bob.have(carol.feed)), (101, 11), "both feeds are still paged");
    let d = bob.link(&dave, &[]);
    bob.sent(d);
    for author in [&alice, &carol] {
        bob.control(d, author.want(1));
        let sent = bob.sent(d);
        assert!(!sent.is_empty());
        let last = posts_of(&sent).last().copied();
        assert_eq!(last, Some((author.feed, author.next - 1)), "the newest is there to follow the gap notice");
        let mut next = 1;
        for sent in sent {
            match sent {
                Sent::Control(Control::Gap { from, to, .. }) => {
                    assert_eq!(from, next);
                    next = to + 1;
                }
                Sent::Post(post) => {
                    assert_eq!(post.number, next);
                    next += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn joins_of_present_sessions_are_not_evicted() {
    let mut bob = Hand::new(Config { log_bytes_max: 30_000, ..config(1) });
    let (mut alice, dave) = (Author::new(2, "alice"), Author::new(4, "dave"));
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    bob.posts(a, &says(&mut alice, 100, 1_000));
    let d = bob.link(&dave, &[]);
    bob.sent(d);
    bob.control(d, alice.want(1));
    assert_eq!(bob.sent_posts(d).first(), Some(&(alice.feed, 1)));
}

#[test]
fn a_post_past_the_age_bound_is_refused_and_counts_as_seen() {
    let Two { mut bob, mut alice, a, c } = two();
    alice.at = WALL_START - POST_AGE_MS_MAX - 1;
    bob.post(a, &alice.say("old"));
    alice.at = WALL_START;
    bob.post(a, &alice.say("new"));
    assert_eq!((bob.have(alice.feed), bob.texts()), (3, vec!["new".to_owned()]));
    let sent = bob.sent(c);
    assert_eq!(controls_of(&sent), [alice.gap(2, 2)]);
    assert_eq!(numbers(&posts_of(&sent)), [3]);
}

#[test]
fn a_post_a_day_ahead_is_kept_and_one_further_ahead_refused_with_a_warning() {
    let Two { mut bob, mut alice, a, .. } = two();
    alice.at = WALL_START + POST_AHEAD_MS_MAX;
    bob.post(a, &alice.say("a day"));
    alice.at += 1;
    bob.post(a, &alice.say("more"));
    assert_eq!(bob.texts(), ["a day"]);
    let warned = |event: &&Event| matches!(event, Event::Warning(text) if text.contains("alice"));
    assert_eq!(bob.events.iter().filter(warned).count(), 1);
    // And it has not carried our own clock along.
    bob.command_say("mine");
    let Some(Event::Said { post, .. }) = bob.events.last() else { panic!("{:?}", bob.events.last()) };
    assert!(post.at < WALL_START + 3 * 60_000);
}

#[test]
fn an_answer_never_sorts_before_its_question() {
    let Two { mut bob, mut alice, a, .. } = two();
    alice.at = WALL_START + 30_000;
    bob.post(a, &alice.say("question"));
    bob.command_say("answer");
    let Some(Event::Said { post, .. }) = bob.events.last() else { panic!("{:?}", bob.events.last()) };
    assert!(post.at > alice.at);
}

#[test]
fn a_fork_is_flagged_once() {
    let Two { mut bob, alice, a, c } = two();
    let dave = Author::new(4, "dave");
    let d = bob.level_link(&dave);
    let say = |text| alice.post_at(2, &Draft::Say { text, action: false, part: false }, false);
    bob.post(a, &say("yes"));
    for link in [a, c, d] {
        bob.sent(link);
    }
    bob.post(c, &say("no"));
    for link in [a, d] {
        let sent = bob.sent(link);
        assert!(matches!(sent.as_slice(), [Sent::Post(post)] if post.text() == "no"), "the proof goes on: {sent:?}");
    }
    bob.post(d, &say("perhaps"));
    assert!(bob.sent(a).is_empty(), "once");
    assert_eq!(bob.texts(), ["yes"]);
    let flagged = bob.events.iter().filter(|event| matches!(event, Event::Forked(_)));
    assert_eq!(flagged.count(), 1);
}

/// Each post that came looked past all newest posts of an author's former sessions for one to evict: two milliseconds.
#[test]
fn a_thousand_former_sessions_do_not_make_each_post_dear() {
    let (alone, crowded) = (time_of_posts_after(0), time_of_posts_after(1_000));
    assert!(crowded < 5 * alone, "{crowded:?} with former sessions, {alone:?} without");
}

fn time_of_posts_after(former_sessions: u64) -> Duration {
    let mut bob = Hand::new(Config { log_bytes_max: 1_000_000, ..config(1) });
    let mut alice = Author::new(2, "alice");
    let a = bob.level_link(&alice);
    for session in 1..=former_sessions {
        (alice.feed.session, alice.next) = (session, 1);
        bob.posts(a, &[alice.join(), alice.post(&Draft::Leave { why: "" })]);
    }
    bob.pass_alive(300_000, &[a]);
    (alice.feed.session, alice.next, alice.at) = (5_000, 1, bob.now.wall);
    let began = Instant::now();
    for _ in 0..20_000 {
        bob.post(a, &alice.say("x"));
    }
    assert!(bob.room.view().log_bytes <= 1_000_000);
    assert_eq!(bob.have(alice.feed), 20_000);
    began.elapsed()
}

/// A `lost` is kept for five minutes whatever the log holds, and an author may write as many as it likes.
#[test]
fn nobody_fills_the_log_past_twice_its_bound() {
    let mut bob = Hand::new(Config { log_bytes_max: 50_000, ..config(1) });
    let (mut alice, mut mallory) = (Author::new(2, "alice"), Author::new(3, "mallory"));
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    for last in 1..500 {
        bob.post(a, &mallory.post(&Draft::Lost { feed: alice.feed, last: last + 1 }));
        assert!(bob.room.view().log_bytes <= 100_000, "{last}");
    }
    assert_eq!(bob.have(mallory.feed), 499);
    assert!(bob.have(alice.feed) > 0, "an honest author is not evicted for that");
}

/// Readers remembered a feed that the room had forgotten: its posts were dropped as copies, and the one
/// behind them closed the link, again and again.
#[test]
fn a_feed_that_is_long_gone_is_forgotten_by_all_and_may_come_again() {
    let mut bob = Hand::new(config(1));
    let (mut alice, mut carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    bob.post(a, &alice.say("old"));
    let away = POST_AGE_MS_MAX + POST_AHEAD_MS_MAX;
    bob.now.mono += away;
    bob.now.wall += away;
    bob.pass(61_000);
    assert_eq!(bob.have(alice.feed), 0);
    (alice.next, alice.at, carol.at) = (1, bob.now.wall, bob.now.wall);
    let c = bob.link(&carol, &[alice.entry(2)]);
    bob.posts(c, &[alice.join(), alice.say("new")]);
    assert_eq!((bob.have(alice.feed), bob.is_closed(c)), (2, None));
}

/// A peer that came after the refused post took the next one for one from the future, and closed the link: a
/// stranger's wrong clock cut honest links.
#[test]
fn whoever_comes_after_a_refused_post_is_told_of_it() {
    let mut bob = Hand::new(config(1));
    let (mut alice, carol, dave) = (Author::new(2, "alice"), Author::new(3, "carol"), Author::new(4, "dave"));
    // Not over her own link, which would be closed for her clock.
    let a = bob.level_link(&Author::new(9, "relay"));
    alice.at = WALL_START - POST_AGE_MS_MAX - 1;
    bob.post(a, &alice.join());
    let c = bob.link(&carol, &[]);
    assert_eq!(bob.have(alice.feed), 0, "nothing of it is kept");
    bob.sent(c);
    alice.at = WALL_START;
    bob.post(a, &alice.say("two"));
    let sent = bob.sent(c);
    assert_eq!((controls_of(&sent), numbers(&posts_of(&sent))), (vec![alice.gap(1, 1)], vec![2]));
    alice.at = WALL_START + POST_AHEAD_MS_MAX + 60_000;
    bob.post(a, &alice.say("three"));
    let d = bob.link(&dave, &[]);
    bob.control(d, alice.want(1));
    bob.control(d, alice.want(3));
    bob.sent(d);
    alice.at = WALL_START;
    bob.post(a, &alice.say("four"));
    let sent = bob.sent(d);
    assert_eq!((controls_of(&sent), numbers(&posts_of(&sent))), (vec![alice.gap(3, 3)], vec![4]));
}

/// The same with a hole behind it.
#[test]
fn a_hole_behind_a_refused_post_is_told_from_the_beginning() {
    let mut bob = Hand::new(config(1));
    let (mut alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let a = bob.level_link(&alice);
    alice.at = WALL_START - POST_AGE_MS_MAX - 1;
    bob.post(a, &alice.join());
    let c = bob.link(&carol, &[]);
    alice.at = WALL_START;
    bob.control(a, alice.gap(2, 4));
    bob.post(a, &alice.post_at(5, &Draft::Nick, false));
    bob.sent(c);
    bob.control(c, Control::News { feeds: vec![alice.entry(0)] });
    bob.pass(2_000);
    let sent = bob.sent(c);
    assert!(controls_of(&sent).contains(&alice.gap(1, 4)), "{sent:?}");
    assert_eq!(numbers(&posts_of(&sent)), [5]);
}

/// A refused post was promised to every newcomer, who asked for it every second, for ever.
#[test]
fn a_refused_post_is_not_promised() {
    let Two { mut bob, mut alice, c, .. } = two();
    let relay = bob.level_link(&Author::new(9, "relay"));
    alice.at = WALL_START + POST_AHEAD_MS_MAX + 60_000;
    bob.post(relay, &alice.say("from the day after tomorrow"));
    bob.control(c, alice.quiet());
    let dave = Author::new(4, "dave");
    let d = bob.link(&dave, &[]);
    let promised = |control: &Control| match control {
        Control::Have { feeds } | Control::News { feeds } => feeds.contains(&alice.entry(2)),
        _ => false,
    };
    bob.control(c, Control::Want { author: alice.feed.author, session: alice.feed.session, from: 2, answer: true });
    bob.pass(1_000);
    assert!(controls_of(&bob.sent(c)).contains(&Control::News { feeds: vec![alice.entry(1)] }), "there is nothing");
    for link in [c, d] {
        assert!(!controls_of(&bob.sent(link)).iter().any(promised));
    }
    assert!(bob.is_closed(relay).is_none());
}

/// Behind a notice that was dropped for want of room, an evicted post was passed over without a word.
#[test]
fn whoever_reads_late_is_told_of_each_post_that_is_gone() {
    let mut bob = Hand::new(Config { log_bytes_max: 200_000, ..config(1) });
    let mut alice = Author::new(2, "alice");
    let a = bob.level_link(&alice);
    bob.post(a, &alice.join());
    bob.pass_alive(1_000, &[a]);
    bob.events.clear();
    bob.unread = true;
    for number in 0..NOTICES_MAX {
        bob.post(a, &alice.say(&"x".repeat(1_000)));
        for _ in 0..2 {
            let peer = Author::new(10, "peer");
            let link = bob.level_link(&peer);
            bob.input(Input::Broken { link, end: End::Goodbye });
        }
        if number % 100 == 0 {
            bob.pass_alive(1_000, &[a]);
        }
    }
    bob.unread = false;
    bob.input(Input::Shown);
    let (shown, missed) = (bob.texts().len(), bob.gaps().iter().sum::<u64>());
    assert!(shown > 0 && missed > 0, "{shown} {missed}");
    assert_eq!(shown as u64 + missed, NOTICES_MAX as u64, "all of it at once, or named");
}
