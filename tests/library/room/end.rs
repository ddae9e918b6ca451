//! Joining late, leaving, and the end of a pipe: when it comes, and how the run ended then.

use hobnob::limits::{LEAVE_CONFIRM_MS, LEAVE_MS_MAX, WINDOW_BYTES_MIN};
use hobnob::room::event::{Command, Confirm, Event, Outcome, Said};
use hobnob::room::verdict::Facts;
use hobnob::room::{Arrival, Config, DialFailure, Input, LinkId, Named};
use hobnob::wire::end::End;
use hobnob::wire::record::{Body, Control, Draft};

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

/// A run that ends with its input, and has dialled the one peer it was named.
fn alone(confirm: Confirm) -> Hand {
    let mut bob = Hand::new(Config { passing: true, named: vec![Named::anybody("peer:1")], confirm, ..config(1) });
    bob.pass(50);
    bob
}

/// The peer answers, and is in the room.
fn reached(bob: &mut Hand, alice: &mut Author) -> LinkId {
    let dial = bob.dials.last().expect("it dials").0;
    let a = bob.connect(Some(dial), "10.0.0.2:4646");
    alice.at = bob.now.wall;
    let join = (alice.next == 1).then(|| alice.join());
    bob.greet(a, alice, &[alice.entry(1)]);
    if let Some(join) = join {
        bob.post(a, &join);
    }
    bob.control(a, Control::Want { author: bob.me.author, session: bob.me.session, from: 1, answer: false });
    a
}

fn pipe() -> (Hand, Author, LinkId) {
    let (mut bob, mut alice) = (alone(Confirm::All), Author::new(2, "alice"));
    let a = reached(&mut bob, &mut alice);
    (bob, alice, a)
}

fn read(bob: &mut Hand, text: &str) {
    bob.input(Input::Say(Said { text: text.to_owned(), ..Said::default() }));
}

fn ends(bob: &mut Hand) {
    bob.input(Input::Command(Command::EndOfInput));
}

fn breaks(bob: &mut Hand, link: LinkId) {
    bob.input(Input::Broken { link, end: End::Vanished });
}

/// Somebody says that it has all that was said.
fn confirms(bob: &mut Hand, link: LinkId, member: &Author) {
    let last = bob.have(bob.me);
    bob.arrive(link, vec![Arrival::Ack(member.ack(bob.me, 1, last))]);
}

/// With which outcomes the end of the run was told aloud.
fn told(bob: &Hand) -> Vec<Outcome> {
    let outcome = |event: &Event| if let Event::Undelivered { outcome, .. } = event { Some(*outcome) } else { None };
    bob.events.iter().filter_map(outcome).collect()
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
    let named = |event: &Event| matches!(event, Event::Undelivered { missing, .. } if missing.iter().any(|person| person.nick.as_str() == "alice"));
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
    bob.pass(60_000);
    assert_eq!(bob.outcome, None, "it waits for its input");
    ends(&mut bob);
    bob.pass(9_900);
    assert_eq!(bob.outcome, None);
    bob.pass(200);
    assert_eq!(bob.outcome, Some(Outcome::NoPeer));
    assert_eq!(told(&bob), [Outcome::NoPeer]);
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
    bob.pass(600_000);
    assert_eq!(bob.outcome, None, "more may be read");
    ends(&mut bob);
    bob.pass(9_900);
    assert_eq!(bob.outcome, None);
    bob.pass(200);
    assert_eq!(bob.outcome, Some(Outcome::Unconfirmed), "but not for ever");
}

/// `tail -f log | hobnob` ended ten seconds after its only peer was gone.
#[test]
fn an_open_input_outlives_a_relay_that_is_away() {
    for away_ms in [8_000, 60_000, 600_000] {
        let (mut bob, mut alice, a) = pipe();
        read(&mut bob, "before");
        bob.pass_alive(1_000, &[a]);
        breaks(&mut bob, a);
        read(&mut bob, "one");
        bob.pass(away_ms / 2);
        read(&mut bob, "two");
        bob.pass(away_ms / 2);
        assert_eq!(bob.outcome, None, "after {away_ms} ms");
        // The same process or another one.
        alice.feed.session += u64::from(away_ms > 60_000);
        alice.next = 1 + u64::from(away_ms <= 60_000);
        let again = reached(&mut bob, &mut alice);
        if away_ms <= 60_000 {
            bob.post(again, &alice.say("I am here"));
        }
        ends(&mut bob);
        bob.pass_alive(2_000, &[again]);
        let texts: Vec<String> = bob.sent(again).iter().filter_map(text_of).collect();
        for text in ["one", "two"] {
            assert_eq!(texts.iter().filter(|said| *said == text).count(), 1, "after {away_ms} ms: {texts:?}");
        }
        confirms(&mut bob, again, &alice);
        bob.pass(100);
        assert_eq!(bob.outcome, Some(Outcome::Done), "after {away_ms} ms");
    }
}

fn text_of(sent: &Sent) -> Option<String> {
    let Sent::Post(post) = sent else { return None };
    matches!(post.body, Body::Say { .. }).then(|| post.text())
}

#[test]
fn no_line_is_lost_by_a_link_that_is_cut_whatever_for() {
    for end in [
        End::Goodbye,
        End::Vanished,
        End::Silent,
        End::SlowReader,
        End::FrameTimeout,
        End::BadFrame,
        End::BadRecord,
        End::BadSignature,
        End::OutOfTurn,
        End::Surplus,
        End::Full,
        End::Renew,
        End::Flood,
        End::EmptyGap,
        End::Forked,
        End::Clock,
    ] {
        let (mut bob, mut alice, a) = pipe();
        bob.pass_alive(1_000, &[a]);
        read(&mut bob, "one");
        bob.control(a, Control::exit(end));
        assert!(bob.is_closed(a).is_some(), "{end}");
        read(&mut bob, "two");
        ends(&mut bob);
        for _ in 0..90 {
            if bob.dials.len() == 1 {
                bob.pass(100);
            }
        }
        assert_eq!((bob.dials.len(), bob.outcome), (2, None), "{end}: it dials again in time");
        let again = reached(&mut bob, &mut alice);
        // It may have been told to be lost.
        bob.post(again, &alice.say("I am here"));
        bob.pass_alive(2_000, &[again]);
        let texts: Vec<String> = bob.sent(again).iter().filter_map(text_of).collect();
        assert_eq!(texts, ["one", "two"], "{end}");
        confirms(&mut bob, again, &alice);
        bob.pass(100);
        assert_eq!(bob.outcome, Some(Outcome::Done), "{end}");
    }
}

/// The line came when the last peer was gone: it was said nowhere, and the run ended with 0.
#[test]
fn a_line_that_is_read_when_nobody_is_left_is_not_done() {
    for has_said in [false, true] {
        let (mut bob, mut alice, a) = pipe();
        if has_said {
            read(&mut bob, "before");
            confirms(&mut bob, a, &alice);
        }
        bob.pass_alive(1_000, &[a]);
        bob.post(a, &alice.post(&Draft::Leave { why: "" }));
        breaks(&mut bob, a);
        bob.pass(2_000);
        read(&mut bob, "backup failed");
        ends(&mut bob);
        bob.pass(11_000);
        assert_eq!(bob.outcome, Some(Outcome::NoPeer), "the first line was confirmed: {has_said}");
        assert_eq!(told(&bob), [Outcome::NoPeer]);
    }
}

#[test]
fn a_run_whose_lines_were_all_confirmed_is_done_though_everybody_is_gone_at_its_end() {
    let (mut bob, mut alice, a) = pipe();
    read(&mut bob, "before");
    confirms(&mut bob, a, &alice);
    bob.pass_alive(1_000, &[a]);
    bob.post(a, &alice.post(&Draft::Leave { why: "" }));
    breaks(&mut bob, a);
    bob.pass(60_000);
    ends(&mut bob);
    bob.pass(11_000);
    assert_eq!((bob.outcome, told(&bob)), (Some(Outcome::Done), vec![]));
}

/// Of two one had it, and left last.
#[test]
fn a_member_that_was_lost_without_a_word_is_not_confirmed_by_another_one_that_leaves() {
    let (mut bob, mut alice, a) = pipe();
    let mut carol = Author::new(3, "carol");
    bob.post(a, &carol.join());
    read(&mut bob, "x");
    ends(&mut bob);
    bob.pass_alive(1_000, &[a]);
    confirms(&mut bob, a, &alice);
    assert_eq!(bob.outcome, None);
    bob.post(a, &carol.post(&Draft::Leave { why: "" }));
    bob.post(a, &alice.post(&Draft::Leave { why: "" }));
    breaks(&mut bob, a);
    bob.pass(15_000);
    assert_eq!(bob.outcome, Some(Outcome::Unconfirmed));
}

#[test]
fn without_a_peer_no_more_than_a_window_is_read_and_all_of_it_is_said_in_order() {
    let (mut bob, mut alice) = (alone(Confirm::All), Author::new(2, "alice"));
    let mut taken = 0;
    while bob.room.may_say() {
        read(&mut bob, &format!("{taken:>1000}"));
        taken += 1;
        assert!(taken * 1_000 <= WINDOW_BYTES_MIN + 1_000, "without a bound");
    }
    assert!(taken * 1_000 >= WINDOW_BYTES_MIN, "{taken}");
    bob.pass(600_000);
    assert!(!bob.room.may_say());
    let a = reached(&mut bob, &mut alice);
    bob.pass_alive(1_000, &[a]);
    confirms(&mut bob, a, &alice);
    bob.pass_alive(1_000, &[a]);
    let texts: Vec<String> = bob.sent(a).iter().filter_map(text_of).collect();
    let expected: Vec<String> = (0..taken).map(|number| format!("{number:>1000}")).collect();
    assert!(texts == expected, "{} of {taken}", texts.len());
    assert!(bob.room.may_say(), "and it is read on");
}

#[test]
fn a_relay_that_was_killed_and_runs_again_confirms_as_another_session() {
    let (mut bob, mut alice, a) = pipe();
    read(&mut bob, "x");
    ends(&mut bob);
    bob.pass_alive(1_000, &[a]);
    breaks(&mut bob, a);
    bob.pass(3_000);
    (alice.feed.session, alice.next) = (9_999, 1);
    let again = reached(&mut bob, &mut alice);
    confirms(&mut bob, again, &alice);
    bob.pass_alive(9_000, &[again]);
    assert_eq!(bob.outcome, Some(Outcome::Done), "{:?}", told(&bob));
}

#[test]
fn peers_that_all_refuse_end_an_open_input_after_its_patience_and_a_closed_one_at_once() {
    for is_open in [true, false] {
        let mut bob = alone(Confirm::All);
        read(&mut bob, "x");
        let dial = bob.dials[0].0;
        bob.input(Input::DialFailed { dial, failure: DialFailure::Refused(End::Room) });
        if is_open {
            bob.pass(9_800);
            assert_eq!(bob.outcome, None);
            bob.pass(200);
        } else {
            ends(&mut bob);
            bob.pass(100);
        }
        assert_eq!(bob.outcome, Some(Outcome::Refused), "open: {is_open}");
        assert_eq!(told(&bob), [Outcome::Refused]);
    }
}

#[test]
fn any_member_is_enough_where_that_is_asked_for_and_nobody_is_not() {
    let (mut bob, mut alice) = (alone(Confirm::Members(1)), Author::new(2, "alice"));
    let a = reached(&mut bob, &mut alice);
    bob.post(a, &Author::new(3, "carol").join());
    read(&mut bob, "x");
    ends(&mut bob);
    bob.pass_alive(1_000, &[a]);
    assert_eq!(bob.outcome, None);
    confirms(&mut bob, a, &alice);
    bob.pass(100);
    assert_eq!(bob.outcome, Some(Outcome::Done), "carol is not waited for");
    let mut bob = alone(Confirm::Members(1));
    read(&mut bob, "x");
    ends(&mut bob);
    bob.pass(11_000);
    assert_eq!(bob.outcome, Some(Outcome::NoPeer));
}

/// This identity's other sessions are no others.
#[test]
fn so_many_others_are_waited_for_until_the_patience_is_over() {
    for comes in [true, false] {
        let (mut bob, mut alice) = (alone(Confirm::Members(2)), Author::new(2, "alice"));
        let a = reached(&mut bob, &mut alice);
        let mut again = Author::new(1, "n1");
        again.feed.session += 1;
        bob.post(a, &again.join());
        read(&mut bob, "x");
        ends(&mut bob);
        for member in [&alice, &again] {
            confirms(&mut bob, a, member);
        }
        bob.pass_alive(8_000, &[a]);
        assert_eq!(bob.outcome, None, "there is one other");
        if comes {
            let mut carol = Author::new(3, "carol");
            bob.post(a, &carol.join());
            confirms(&mut bob, a, &carol);
        }
        bob.pass_alive(4_000, &[a]);
        assert_eq!(bob.outcome, Some(if comes { Outcome::Done } else { Outcome::Unconfirmed }));
        let short = |event: &Event| matches!(event, Event::Undelivered { short: Some((1, 2)), .. });
        assert_eq!(bob.events.iter().any(short), !comes);
    }
}

/// SIGTERM to a pipe gave 0 whatever was confirmed.
#[test]
fn a_goodbye_that_was_asked_for_waits_a_moment_for_what_was_said() {
    for confirmed in [true, false] {
        let (mut bob, alice, a) = pipe();
        read(&mut bob, "x");
        bob.input(Input::Command(Command::Leave { why: String::new() }));
        bob.pass(LEAVE_CONFIRM_MS - 100);
        assert_eq!(bob.outcome, None);
        if confirmed {
            confirms(&mut bob, a, &alice);
        }
        bob.pass(LEAVE_MS_MAX);
        assert_eq!(bob.outcome, Some(if confirmed { Outcome::Done } else { Outcome::Unconfirmed }));
    }
    let mut bob = alone(Confirm::All);
    read(&mut bob, "x");
    bob.input(Input::Command(Command::Leave { why: String::new() }));
    assert_eq!(bob.outcome, Some(Outcome::NoPeer), "nobody is waited for");
    let (mut bob, ..) = pipe();
    bob.input(Input::Command(Command::Leave { why: String::new() }));
    bob.pass(LEAVE_MS_MAX);
    assert_eq!(bob.outcome, Some(Outcome::Done), "nothing was read");
}

#[test]
fn a_line_of_a_script_that_cannot_be_done_was_not_said() {
    let (mut bob, alice, a) = pipe();
    read(&mut bob, "x");
    bob.input(Input::Command(Command::Undone));
    ends(&mut bob);
    bob.pass_alive(1_000, &[a]);
    confirms(&mut bob, a, &alice);
    bob.pass(100);
    assert_eq!(bob.outcome, Some(Outcome::Unconfirmed));
}

#[test]
fn a_scripts_goodbye_is_said_behind_what_it_has_said() {
    let (mut bob, alice, a) = pipe();
    read(&mut bob, "x");
    bob.input(Input::Command(Command::Quit { why: "that is all".to_owned() }));
    bob.pass_alive(1_000, &[a]);
    assert_eq!(bob.outcome, None, "it is confirmed first");
    confirms(&mut bob, a, &alice);
    bob.pass(100);
    assert_eq!(bob.outcome, Some(Outcome::Done));
    let leaves =
        |sent: &Sent| matches!(sent, Sent::Post(post) if post.body == Body::Leave { why: "that is all".to_owned() });
    assert!(bob.sent(a).iter().any(leaves));
}

/// The one function that decides: every combination of what it looks at.
#[test]
fn the_outcome_follows_from_four_facts() {
    use Outcome::{Done, NoPeer, Refused, Unconfirmed};
    for (owes, linked, refused, read_all, outcome) in [
        // All that was read is said and confirmed, or nothing was read:
        (false, true, false, true, Done),
        (false, true, true, true, Done),
        (false, false, false, true, NoPeer),
        (false, false, true, true, Refused),
        // the same, where the input is still open: a signal, or every peer refuses.
        (false, true, false, false, Done),
        (false, false, false, false, Done),
        (false, true, true, false, Refused),
        (false, false, true, false, Refused),
        // Something is not confirmed, and a peer was linked since it was read:
        (true, true, false, true, Unconfirmed),
        (true, true, false, false, Unconfirmed),
        (true, true, true, true, Unconfirmed),
        (true, true, true, false, Unconfirmed),
        // nobody was.
        (true, false, false, true, NoPeer),
        (true, false, false, false, NoPeer),
        (true, false, true, true, Refused),
        (true, false, true, false, Refused),
    ] {
        let facts = Facts { owes, linked, refused, read_all };
        assert_eq!(facts.outcome(), outcome, "{facts:?}");
    }
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
