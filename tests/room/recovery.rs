//! What was missed is shown, marked as that, and told once when the catch-up is over.

use hobnob::limits::RECOVERED_AGE_MS_MIN;
use hobnob::room::Config;
use hobnob::room::event::{Event, Recovered};

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
