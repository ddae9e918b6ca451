//! Joining late, leaving, and the end of a pipe.

use hobnob::limits::LEAVE_MS_MAX;
use hobnob::room::event::{Command, Event, Outcome, Said};
use hobnob::room::{Arrival, Config, Input, LinkId, Named};
use hobnob::wire::end::End;
use hobnob::wire::record::Body;

use super::hand::{Author, Hand, Sent, Two, config, two};

#[test]
fn what_was_said_before_is_shown_as_backlog_and_what_is_said_since_behind_it() {
    let mut bob = Hand::new(config(1));
    let mut alice = Author::new(2, "alice");
    let before = [vec![alice.join()], vec![alice.say("one"), alice.say("two")]].concat();
    let a = bob.link(&alice, &[alice.entry(3)]);
    bob.posts(a, &before);
    bob.post(a, &alice.say("three"));
    bob.pass(600);
    let shown: Vec<(String, bool)> = bob
        .events
        .iter()
        .filter_map(
            |event| if let Event::Said { post, backlog, .. } = event { Some((post.text(), *backlog)) } else { None },
        )
        .collect();
    assert_eq!(shown, [("one".to_owned(), true), ("two".to_owned(), true), ("three".to_owned(), false)]);
}

#[test]
fn a_leaver_goes_only_when_its_links_are_empty() {
    let Two { mut bob, a, c, .. } = two();
    bob.stuck.insert(a);
    bob.sent(a);
    bob.input(Input::Command(Command::Leave { why: "bye".to_owned() }));
    let sent = bob.sent(a);
    let left = |sent: &Sent| matches!(sent, Sent::Post(post) if post.body == Body::Leave { why: "bye".to_owned() });
    assert!(sent.iter().any(left));
    assert_eq!(bob.outcome, None, "the socket has not taken it");
    let queued = bob.room.view().links.iter().map(|(_, queued)| *queued).max().unwrap();
    bob.input(Input::Drained { link: a, bytes: queued });
    assert_eq!(bob.outcome, Some(Outcome::Done));
    assert_eq!(bob.closed, [(a, End::Goodbye), (c, End::Goodbye)]);
}

#[test]
fn a_leaver_does_not_wait_for_ever() {
    let Two { mut bob, a, .. } = two();
    bob.stuck.insert(a);
    bob.input(Input::Command(Command::Leave { why: String::new() }));
    bob.pass(LEAVE_MS_MAX - 100);
    assert_eq!(bob.outcome, None);
    bob.pass(200);
    assert_eq!(bob.outcome, Some(Outcome::Done));
}

fn pipe() -> (Hand, Author, LinkId) {
    let mut bob = Hand::new(Config { passing: true, named: vec![Named::anybody("peer:1")], ..config(1) });
    bob.pass(50);
    let mut alice = Author::new(2, "alice");
    let a = bob.connect(Some(bob.dials[0].0), "10.0.0.2:4646");
    let join = alice.join();
    bob.greet(a, &alice, &[alice.entry(1)]);
    bob.post(a, &join);
    (bob, alice, a)
}

#[test]
fn a_pipe_is_confirmed_when_all_who_are_there_hold_all() {
    let (mut bob, alice, a) = pipe();
    bob.input(Input::Say(Said { text: "x".to_owned(), ..Said::default() }));
    bob.input(Input::Command(Command::EndOfInput));
    bob.pass_alive(2_000, &[a]);
    assert_eq!(bob.outcome, None, "not before she says so");
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last))]);
    bob.pass(50);
    assert_eq!(bob.outcome, Some(Outcome::Done));
    assert!(bob.events.iter().any(|event| matches!(event, Event::Delivered { posts: 1, members: 1 })));
}

#[test]
fn a_pipe_names_who_has_not_confirmed() {
    let (mut bob, _, a) = pipe();
    bob.input(Input::Say(Said { text: "x".to_owned(), ..Said::default() }));
    bob.input(Input::Command(Command::EndOfInput));
    bob.pass_alive(9_000, &[a]);
    assert_eq!(bob.outcome, None);
    bob.pass_alive(2_000, &[a]);
    assert_eq!(bob.outcome, Some(Outcome::Unconfirmed));
    let named = |event: &Event| matches!(event, Event::Undelivered { missing } if missing.iter().any(|person| person.nick.as_str() == "alice"));
    assert!(bob.events.iter().any(named));
}

#[test]
fn a_confirmation_over_a_hole_is_none() {
    let (mut bob, alice, a) = pipe();
    for _ in 0..3 {
        bob.input(Input::Say(Said { text: "x".to_owned(), ..Said::default() }));
    }
    bob.input(Input::Command(Command::EndOfInput));
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, last, last))]);
    bob.pass_alive(15_000, &[a]);
    assert_eq!(bob.outcome, Some(Outcome::Unconfirmed));
}

#[test]
fn a_pipe_that_finds_nobody_ends() {
    let mut bob = Hand::new(Config { passing: true, named: vec![Named::anybody("peer:1")], ..config(1) });
    bob.pass(9_900);
    assert_eq!(bob.outcome, None);
    bob.pass(200);
    assert_eq!(bob.outcome, Some(Outcome::NoPeer));
}

/// The patience for a first link was counted from when the last one came up: a run of a minute ended
/// at the first blip, unconfirmed.
#[test]
fn a_long_pipe_outlives_a_link_that_breaks() {
    let (mut bob, alice, a) = pipe();
    bob.input(Input::Say(Said { text: "x".to_owned(), ..Said::default() }));
    bob.pass_alive(60_000, &[a]);
    bob.input(Input::Broken { link: a, end: End::Vanished });
    bob.pass(1_000);
    assert_eq!(bob.outcome, None);
    assert_eq!(bob.dials.len(), 2, "it dials again");
    let again = bob.connect(Some(bob.dials[1].0), "10.0.0.2:4646");
    bob.greet(again, &alice, &[alice.entry(1)]);
    bob.pass_alive(5_000, &[again]);
    assert_eq!(bob.outcome, None);
    bob.input(Input::Broken { link: again, end: End::Vanished });
    bob.pass(9_900);
    assert_eq!(bob.outcome, None);
    bob.pass(200);
    assert_eq!(bob.outcome, Some(Outcome::Unconfirmed), "but not for ever");
}

/// Progress of any feed put off the end of the catch-up: in a busy room nothing was ever shown to who
/// came while some posts could not be had.
#[test]
fn a_feed_that_nobody_can_bring_does_not_hold_up_what_is_said() {
    let mut bob = Hand::new(config(1));
    let (mut alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let a = bob.link(&alice, &[carol.entry(5)]);
    bob.post(a, &alice.join());
    for _ in 0..20 {
        bob.post(a, &alice.say("hello"));
        bob.pass(500);
    }
    assert!(!bob.texts().is_empty());
}
