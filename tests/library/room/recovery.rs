//! What was missed is shown, marked as that, and told once when the catch-up is over.

use std::sync::Arc;

use hobnob::limits::{CLOCK_AHEAD_MS_MAX, RECOVERED_AGE_MS_MIN};
use hobnob::room::event::{Event, Recovered};
use hobnob::room::{Config, LinkId};
use hobnob::wire::record::Post;

use super::hand::{Author, Hand, Net, Two, WALL_START, config, two};

/// What was recovered, as told.
fn recovered(hand: &Hand) -> Vec<Recovered> {
    let told = |event: &Event| if let Event::Recovered(told) = event { Some(*told) } else { None };
    hand.events.iter().filter_map(told).collect()
}

/// The says, and whether each was shown as one of the past.
fn says(hand: &Hand) -> Vec<(String, bool)> {
    let say = |event: &Event| match event {
        Event::Said { post, backlog, .. } => Some((post.text(), *backlog)),
        _ => None,
    };
    hand.events.iter().filter_map(say).collect()
}

#[test]
fn a_late_joiner_is_shown_the_last_lines_and_told_of_all() {
    let mut alice = Author::new(2, "alice");
    let joined = alice.join();
    let mut posts = vec![joined];
    for second in 0..5 {
        alice.at = WALL_START - 60_000 + second * 1_000;
        posts.push(alice.say(&format!("say {second}")));
    }
    let mut bob = Hand::new(Config { backlog_lines: 2, ..config(1) });
    let a = bob.link(&alice, &[alice.entry(6)]);
    bob.posts(a, &posts);
    assert_eq!(says(&bob), [("say 3".to_owned(), true), ("say 4".to_owned(), true)]);
    let told = Recovered { count: 5, from: WALL_START - 60_000, to: WALL_START - 56_000 };
    assert_eq!(recovered(&bob), [told]);
    assert!(matches!(bob.events.last(), Some(Event::Recovered(_))), "behind the lines: {:?}", bob.events);
    bob.post(a, &alice.say("new"));
    bob.pass_alive(2_000, &[a]);
    assert_eq!(recovered(&bob).len(), 1);
}

#[test]
fn what_was_said_while_a_link_was_cut_is_told_once_when_it_heals() {
    let mut net = Net::new((1..=3).map(|seed| Hand::new(config(seed))).collect());
    let (link, _) = net.wire(1, 0);
    net.wire(2, 0);
    net.pass(1_000);
    net.hands[0].command_say("before");
    net.settle();
    net.cut(1, link);
    for number in 0..7 {
        net.hands[usize::from(number % 2 == 0) * 2].command_say(&format!("{number}"));
        net.settle();
        net.pass(300);
    }
    net.wire(1, 0);
    net.pass(1_000);
    net.hands[0].command_say("after");
    net.settle();
    net.pass(1_000);
    let cut = &net.hands[1];
    let counts: Vec<u64> = recovered(cut).iter().map(|told| told.count).collect();
    assert_eq!(counts, [7], "{:?}", cut.events);
    let (missed, new): (Vec<_>, Vec<_>) = says(cut).into_iter().partition(|(_, backlog)| *backlog);
    assert_eq!((missed.len(), new.len()), (7, 2), "each once");
    assert!(recovered(&net.hands[0]).is_empty() && recovered(&net.hands[2]).is_empty(), "they have missed nothing");
}

/// In a mesh links come up all the time, in the middle of what is being said.
#[test]
fn what_is_on_its_way_when_a_second_link_comes_up_was_not_missed() {
    let Two { mut bob, mut alice, .. } = two();
    let dave = Author::new(4, "dave");
    bob.pass(100);
    bob.events.clear();
    alice.at = bob.now.wall - RECOVERED_AGE_MS_MIN / 2;
    let fresh = alice.say("fresh");
    let d = bob.link(&dave, &[alice.entry(2)]);
    bob.post(d, &fresh);
    assert_eq!((says(&bob), recovered(&bob)), (vec![("fresh".to_owned(), false)], Vec::new()));
    alice.at = bob.now.wall - RECOVERED_AGE_MS_MIN;
    let missed = alice.say("missed");
    let erin = Author::new(5, "erin");
    let e = bob.link(&erin, &[alice.entry(3)]);
    bob.post(e, &missed);
    assert_eq!(says(&bob).last(), Some(&("missed".to_owned(), true)));
    assert_eq!(recovered(&bob).len(), 1);
}

#[test]
fn who_passes_by_has_missed_nothing() {
    let mut alice = Author::new(2, "alice");
    let posts = [alice.join(), alice.say("one")];
    let mut bob = Hand::new(Config { passing: true, backlog_lines: 0, ..config(1) });
    let a = bob.link(&alice, &[alice.entry(2)]);
    bob.posts(a, &posts);
    bob.pass_alive(2_000, &[a]);
    assert!(recovered(&bob).is_empty());
}

/// Behind a cut, with links that have stood, what the other side says comes as if it were said now.
#[test]
fn what_was_said_across_a_cut_that_heals_elsewhere_was_missed_here_too() {
    let mut net = Net::new((1..=4).map(|seed| Hand::new(config(seed))).collect());
    net.wire(1, 0);
    let (across, _) = net.wire(2, 1);
    net.wire(3, 2);
    net.pass(1_000);
    for hand in &mut net.hands {
        hand.command_say("before");
    }
    net.settle();
    net.cut(2, across);
    for second in 0..20 {
        for hand in &mut net.hands {
            hand.command_say(&format!("{second}"));
        }
        net.pass(1_000);
    }
    net.wire(2, 1);
    net.pass(3_000);
    for hand in &mut net.hands {
        hand.command_say("after");
    }
    net.settle();
    net.pass(12_000);
    for (index, hand) in net.hands.iter().enumerate() {
        let (missed, new): (Vec<_>, Vec<_>) = says(hand).into_iter().partition(|(_, backlog)| *backlog);
        assert_eq!(missed.len() + new.len(), 4 + 80 + 4, "n{index}");
        // What is hardly older than a slow link makes it may pass for new.
        assert!((32..=40).contains(&missed.len()), "n{index}: {}", missed.len());
        let counts: Vec<u64> = recovered(hand).iter().map(|told| told.count).collect();
        assert_eq!(counts, [missed.len() as u64], "n{index}");
    }
}

/// A peer that tells of posts which do not exist was waited for as long as their author spoke.
#[test]
fn a_promise_that_is_not_kept_does_not_keep_what_was_recovered_from_being_told() {
    let Two { mut bob, mut alice, a, .. } = two();
    let (dave, mut mallory) = (Author::new(4, "dave"), Author::new(5, "mallory"));
    let m = bob.level_link(&mallory);
    bob.post(m, &mallory.join());
    bob.pass(100);
    let missed = {
        alice.at = bob.now.wall - 20_000;
        alice.say("missed")
    };
    let mut lie = alice.entry(2);
    lie.2 = 1_000_000_000;
    let d = bob.link(&dave, &[lie]);
    bob.post(a, &missed);
    for _ in 0..40 {
        bob.pass_alive(1_000, &[a, m, d]);
        alice.at = bob.now.wall;
        bob.post(a, &alice.say("live"));
    }
    assert_eq!(recovered(&bob).iter().map(|told| told.count).sum::<u64>(), 1, "{:?}", bob.events);
}

/// Bob shows five lines of the past, and is told of two hundred that alice has said; they have not come yet.
fn late_joiner() -> (Hand, Author, LinkId, Vec<Arc<Post>>) {
    let mut alice = Author::new(2, "alice");
    alice.at = WALL_START - 600_000;
    let mut posts = vec![alice.join()];
    posts.extend((0..200).map(|say| alice.say(&format!("say {say}"))));
    let mut bob = Hand::new(Config { backlog_lines: 5, ..config(1) });
    let a = bob.link(&alice, &[alice.entry(201)]);
    (bob, alice, a, posts)
}

/// Over a slow link the first catch-up takes longer than who is here can wait to be shown.
#[test]
fn a_late_joiner_on_a_slow_link_is_shown_the_last_lines_only() {
    let (mut bob, mut alice, a, posts) = late_joiner();
    for post in &posts {
        bob.post(a, post);
        bob.pass_alive(1_000, &[a]);
    }
    bob.pass_alive(8_000, &[a]);
    let shown = says(&bob);
    assert!(shown.len() <= 10 && shown.iter().all(|(_, backlog)| *backlog), "{shown:?}");
    assert_eq!(shown.last(), Some(&("say 199".to_owned(), true)));
    assert_eq!(recovered(&bob).iter().map(|told| told.count).sum::<u64>(), 200);
    alice.at = bob.now.wall;
    bob.post(a, &alice.say("new"));
    assert_eq!(says(&bob).last(), Some(&("new".to_owned(), false)));
}

/// And over one that stands still for a while.
#[test]
fn a_late_joiner_whose_link_stands_still_is_shown_the_last_lines_only() {
    let (mut bob, _, a, posts) = late_joiner();
    bob.posts(a, &posts[..100]);
    bob.pass_alive(8_000, &[a]);
    bob.posts(a, &posts[100..]);
    bob.pass_alive(1_000, &[a]);
    let texts: Vec<String> = says(&bob).into_iter().map(|(text, _)| text).collect();
    let expected = |range: std::ops::Range<u32>| range.map(|say| format!("say {say}")).collect::<Vec<_>>();
    assert_eq!(texts, [expected(94..99), expected(195..200)].concat());
    assert_eq!(recovered(&bob).iter().map(|told| told.count).sum::<u64>(), 200);
}

/// More than there is was told of a feed: what its author says now is new, however long that is believed.
#[test]
fn a_promise_to_a_newcomer_hides_nothing_that_is_said_now() {
    let (mut alice, dave) = (Author::new(2, "alice"), Author::new(4, "dave"));
    let join = alice.join();
    let mut lie = alice.entry(2);
    lie.2 = 1_000_000_000;
    let mut bob = Hand::new(config(1));
    let d = bob.link(&dave, &[lie]);
    let a = bob.link(&alice, &[alice.entry(1)]);
    bob.post(a, &join);
    for second in 0..400 {
        alice.at = bob.now.wall;
        bob.post(a, &alice.say(&format!("{second}")));
        bob.pass_alive(1_000, &[a, d]);
    }
    // Until who is here is shown, the last lines only.
    assert!(says(&bob).len() >= 400 - 62 + 50, "{:?}", says(&bob));
    // Whose clock is off may be told of as late for as long as that may be.
    let is_new = |(text, _): &&(String, bool)| text.parse::<u64>().unwrap() > CLOCK_AHEAD_MS_MAX / 1_000;
    assert!(says(&bob).iter().filter(is_new).all(|(_, backlog)| !backlog));
}
