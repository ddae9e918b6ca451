//! How many feeds are known: one key, or a million, do not crowd out the others, and what was seen is not shown again.

use std::sync::Arc;

use hobnob::limits::{
    ENDING_KEPT_MS, FEEDS_FORGOTTEN_PART, FEEDS_MAX, LINK_NEW_FEEDS, MEMBERS_MAX, SESSION_SILENT_MS_MAX,
    SESSIONS_PER_AUTHOR_MAX,
};
use hobnob::room::event::Event;
use hobnob::room::{Arrival, LinkId};
use hobnob::wire::record::{Control, Draft, Entry, Post};

use super::hand::{Author, Hand, Two, anybody, config, controls_of, two};

const LEAVE: Draft<'static> = Draft::Leave { why: "" };

fn session(author: &Author, session: u64) -> Author {
    let mut other = anybody(0);
    (other.identity, other.feed.author) = (author.identity.clone(), author.feed.author);
    other.feed.session = session;
    other
}

/// The way of a catch-up: the feeds are told of in the greeting, so no link is slowed for them.
fn caught_up(bob: &mut Hand, posts: &[Arc<Post>]) -> LinkId {
    let peer = Author::new(3, "carol");
    let have: Vec<Entry> = posts.iter().map(|post| Entry(post.feed.author, post.feed.session, post.number)).collect();
    let link = bob.connect(None, "10.0.0.3:5000");
    bob.control(link, Control::Hello(peer.hello()));
    for page in have.chunks(512) {
        bob.control(link, Control::Have { feeds: page.to_vec() });
    }
    bob.control(link, Control::Done {});
    for _ in 0..40 {
        bob.pass(50);
    }
    for run in posts.chunks(100) {
        bob.arrive(link, run.iter().cloned().map(Arrival::Post).collect());
    }
    link
}

fn wants(bob: &mut Hand, link: LinkId) -> usize {
    controls_of(&bob.sent(link)).iter().filter(|control| matches!(control, Control::Want { .. })).count()
}

#[test]
fn all_sessions_of_a_large_room_are_caught_up_with_over_one_link() {
    let mut bob = Hand::new(config(1));
    let mut posts = Vec::new();
    for author in 0..FEEDS_MAX as u64 / 64 {
        let author = anybody(author);
        posts.extend((1..=64).map(|number| session(&author, number).post(&LEAVE)));
    }
    posts.truncate(FEEDS_MAX - 1);
    // With another link there is a choice, so the feeds are wanted one by one.
    bob.link(&Author::new(4, "dave"), &[]);
    let link = caught_up(&mut bob, &posts);
    assert_eq!((bob.is_closed(link), bob.room.view().sessions), (None, FEEDS_MAX));
    assert!(wants(&mut bob, link) >= FEEDS_MAX - 1);
}

/// A job that says a line every minute is a new session each time.
#[test]
fn of_an_author_with_too_many_sessions_the_oldest_are_forgotten() {
    let Two { mut bob, mut alice, a, .. } = two();
    let cron = anybody(1);
    let runs = SESSIONS_PER_AUTHOR_MAX as u64 + 200;
    for run in 1..=runs {
        let mut run = session(&cron, run);
        run.at = bob.now.wall;
        bob.posts(a, &[run.join(), run.say("done"), run.post(&LEAVE)]);
        bob.pass_alive(1_000, &[a]);
    }
    assert_eq!(bob.texts().len() as u64, runs, "each is heard");
    let view = bob.room.view();
    assert!(view.sessions <= SESSIONS_PER_AUTHOR_MAX + 3, "{}", view.sessions);
    assert!(view.have.contains_key(&session(&cron, runs).feed) && !view.have.contains_key(&session(&cron, 1).feed));
    alice.at = bob.now.wall;
    bob.post(a, &alice.say("still here"));
    assert_eq!(bob.texts().last().map(String::as_str), Some("still here"));
}

#[test]
fn one_key_does_not_fill_the_table() {
    let Two { mut bob, mut alice, a, c } = two();
    let mallory = anybody(1);
    for number in 1..=SESSIONS_PER_AUTHOR_MAX as u64 + 50 {
        bob.post(c, &session(&mallory, number).join());
    }
    let view = bob.room.view();
    assert_eq!(view.have.keys().filter(|feed| feed.author == mallory.feed.author).count(), SESSIONS_PER_AUTHOR_MAX);
    assert_eq!(bob.is_closed(c), None);
    let mut dave = Author::new(4, "dave");
    bob.posts(c, &[dave.join(), dave.say("hello")]);
    bob.post(a, &alice.say("hello"));
    assert_eq!(bob.texts().len(), 2, "others are not concerned");
}

/// Posts of a feed that was refused closed the link as soon as one of them had a number above 1.
#[test]
fn a_feed_that_is_turned_away_is_quieted_and_does_not_end_its_link() {
    let Two { mut bob, a, c, .. } = two();
    let mallory = anybody(1);
    for number in 1..=SESSIONS_PER_AUTHOR_MAX as u64 {
        bob.post(c, &session(&mallory, number).join());
    }
    let mut beyond = session(&mallory, 5_000_000);
    bob.sent(c);
    bob.post(c, &beyond.join());
    assert_eq!(controls_of(&bob.sent(c)), [beyond.quiet()]);
    bob.posts(c, &[beyond.say("in flight"), beyond.say("too")]);
    bob.control(c, beyond.gap(4, 6));
    bob.post(c, &beyond.post_at(7, &Draft::Nick, false));
    assert_eq!((bob.is_closed(c), bob.have(beyond.feed)), (None, 0));
    assert!(bob.sent(c).is_empty(), "said once");
    // The others are silent long enough, and so over: there is room again.
    bob.pass_alive(SESSION_SILENT_MS_MAX + 10_000, &[a, c]);
    bob.control(c, Control::News { feeds: vec![beyond.entry(7)] });
    bob.pass(300);
    assert!(controls_of(&bob.sent(c)).contains(&beyond.want(1)), "it goes on, and is asked for");
    beyond.next = 1;
    beyond.at = bob.now.wall;
    bob.posts(c, &[beyond.join(), beyond.say("at last")]);
    assert_eq!((bob.is_closed(c), bob.texts()), (None, vec!["at last".to_owned()]));
}

#[test]
fn a_link_that_brings_feeds_by_the_thousand_is_slowed_and_the_others_are_not() {
    let Two { mut bob, mut alice, a, c } = two();
    let count = LINK_NEW_FEEDS.burst;
    for index in 1..=count + 500 {
        bob.post(c, &anybody(index).join());
    }
    let view = bob.room.view();
    assert_eq!((view.sessions as u64, bob.is_closed(c)), (count + 2, None));
    let mut dave = Author::new(4, "dave");
    bob.posts(a, &[dave.join(), dave.say("hello"), alice.say("hello")]);
    assert_eq!(bob.texts().len(), 2);
    // As time passes it may bring more.
    bob.pass_alive(LINK_NEW_FEEDS.window_ms / 10, &[a, c]);
    for index in 10_000..=10_000 + count / 20 {
        let mut late = anybody(index);
        late.at = bob.now.wall;
        bob.post(c, &late.join());
    }
    assert_eq!(bob.room.view().sessions as u64, count + 3 + count / 20 + 1);
}

#[test]
fn no_more_members_are_taken_in_than_there_may_be() {
    let mut bob = Hand::new(config(1));
    let posts: Vec<Arc<Post>> = (1..=MEMBERS_MAX as u64 + 20).map(|index| anybody(index).join()).collect();
    let link = caught_up(&mut bob, &posts);
    let view = bob.room.view();
    assert_eq!((view.present.len(), bob.is_closed(link)), (MEMBERS_MAX, None));
    let warned = bob.events.iter().filter(|event| matches!(event, Event::Warning(text) if text.contains("too many")));
    assert_eq!(warned.count(), 1);
}

/// A table full of sessions that are over; each has left a word.
fn full() -> (Hand, LinkId) {
    let mut bob = Hand::new(config(1));
    let mut posts = Vec::new();
    for index in 1..FEEDS_MAX as u64 {
        posts.push(anybody(index).post(&LEAVE));
    }
    let link = caught_up(&mut bob, &posts);
    assert_eq!(bob.room.view().sessions, FEEDS_MAX);
    (bob, link)
}

#[test]
fn a_full_table_forgets_sessions_that_are_over_and_no_others() {
    let (mut bob, link) = full();
    let mut dave = Author::new(4, "dave");
    bob.post(link, &dave.join());
    assert_eq!(bob.have(dave.feed), 0, "who was away has yet to learn of their end");
    bob.pass_alive(ENDING_KEPT_MS, &[link]);
    let mut erin = Author::new(5, "erin");
    (dave.at, erin.at, dave.next) = (bob.now.wall, bob.now.wall, 1);
    bob.posts(link, &[erin.join(), erin.say("hello")]);
    assert_eq!(bob.texts(), ["hello"]);
    let view = bob.room.view();
    assert_eq!(view.sessions, FEEDS_MAX - FEEDS_MAX.div_ceil(FEEDS_FORGOTTEN_PART) + 1);
    assert!(view.present.contains(&bob.me) && view.feeds <= 2 * FEEDS_MAX);
    // He was turned away, and is heard when he goes on.
    bob.control(link, Control::News { feeds: vec![dave.entry(2)] });
    bob.pass(300);
    bob.posts(link, &[dave.join(), dave.say("me too")]);
    assert_eq!(bob.texts(), ["hello", "me too"]);
}

/// What was forgotten is brought back by somebody who has kept it.
#[test]
fn a_forgotten_session_is_not_shown_again() {
    let Two { mut bob, a, c, .. } = two();
    let cron = anybody(1);
    let runs = SESSIONS_PER_AUTHOR_MAX as u64 + 1;
    let mut kept = Vec::new();
    for run in 1..=runs {
        let mut run = session(&cron, run);
        run.at = bob.now.wall;
        let posts = [run.join(), run.say("done"), run.post(&LEAVE)];
        bob.posts(a, &posts);
        kept.push(posts);
        bob.pass_alive(1_000, &[a, c]);
    }
    assert!(!bob.room.view().have.contains_key(&kept[0][0].feed), "the first is forgotten");
    let shown = bob.texts().len();
    assert_eq!(shown as u64, runs);
    // Live over a link, and as a catch-up.
    bob.posts(c, &kept[0]);
    let dave = Author { at: bob.now.wall, ..Author::new(4, "dave") };
    let d = bob.link(&dave, &[Entry(cron.feed.author, kept[1][0].feed.session, 3)]);
    bob.posts(d, &kept[1]);
    bob.pass_alive(3_000, &[a, c, d]);
    assert_eq!((bob.texts().len(), bob.is_closed(c), bob.is_closed(d)), (shown, None, None));
    assert!(!bob.room.view().present.contains(&kept[0][0].feed));
}

/// Neighbours take us to be level with a session that we have forgotten, and send its next post alone.
#[test]
fn a_forgotten_session_that_goes_on_is_asked_for_and_ends_no_link() {
    let Two { mut bob, a, c, .. } = two();
    let cron = anybody(1);
    let mut first = session(&cron, 1);
    bob.posts(a, &[first.join(), first.say("one")]);
    bob.post(a, &session(&cron, 2).join());
    bob.pass_alive(SESSION_SILENT_MS_MAX + 10_000, &[a, c]);
    for run in 3..=SESSIONS_PER_AUTHOR_MAX as u64 + 1 {
        let mut run = session(&cron, run);
        run.at = bob.now.wall;
        bob.post(a, &run.join());
    }
    assert!(!bob.room.view().have.contains_key(&first.feed));
    bob.sent(a);
    first.at = bob.now.wall;
    let three = first.say("three");
    bob.post(a, &three);
    bob.pass(300);
    assert_eq!(bob.is_closed(a), None);
    let sent = controls_of(&bob.sent(a));
    assert!(sent.contains(&first.quiet()) && sent.contains(&first.want(1)), "{sent:?}");
    let mut again = session(&cron, 1);
    bob.posts(a, &[again.join(), again.say("one"), three]);
    assert_eq!((bob.texts(), bob.have(first.feed)), (vec!["one".to_owned(), "three".to_owned()], 3));
}

#[test]
fn a_run_of_posts_is_as_good_as_one_by_one() {
    let Two { mut bob, c, .. } = two();
    let run: Vec<Arrival> = (1..=3_000).map(|index| Arrival::Post(anybody(index).join())).collect();
    bob.arrive(c, run);
    assert_eq!(bob.room.view().sessions, 3_002);
}
