//! Acks, and the window of a source.

use hobnob::limits::{
    MARK_ANSWERS, MEMBER_STALLED_MS, POST_AHEAD_MS_MAX, WINDOW_BYTES_MIN, WINDOWS_BYTES_MAX, WORDS_MAX,
};
use hobnob::room::event::{Command, Event, Said, Whom};
use hobnob::room::{Arrival, Input};
use hobnob::wire::end::End;
use hobnob::wire::record::FeedId;

use super::hand::{Author, Hand, Sent, Two, anybody, two};

fn acks(sent: &[Sent]) -> Vec<(FeedId, u64, u64)> {
    let ack = |sent: &Sent| if let Sent::Ack(ack) = sent { Some((ack.feed, ack.first, ack.last)) } else { None };
    sent.iter().filter_map(ack).collect()
}

/// "Confirmed" was said with 88,000 posts lost: acks were cumulative over holes.
#[test]
fn acks_name_where_they_begin() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.input(Input::Broken { link: c, end: End::Vanished });
    bob.post(a, &alice.marked("x"));
    assert_eq!(acks(&bob.sent(a)), [(alice.feed, 1, 2)]);
    bob.control(a, alice.gap(3, 6));
    alice.next = 7;
    bob.post(a, &alice.say("x"));
    bob.post(a, &alice.marked("x"));
    assert_eq!(acks(&bob.sent(a)), [(alice.feed, 7, 8)]);
}

#[test]
fn an_ack_goes_back_along_the_link_that_brought_the_mark_first() {
    let Two { mut bob, mut alice, a, c } = two();
    let dave = Author::new(4, "dave");
    let d = bob.level_link(&dave);
    let mark = alice.marked("x");
    bob.post(c, &mark);
    bob.post(a, &mark);
    for link in [a, c, d] {
        bob.sent(link);
    }
    bob.arrive(d, vec![Arrival::Ack(dave.ack(alice.feed, 1, 2))]);
    assert_eq!(acks(&bob.sent(c)).len(), 1);
    assert_eq!(acks(&bob.sent(a)).len() + acks(&bob.sent(d)).len(), 0);
}

fn fill_window(bob: &mut Hand) -> usize {
    for count in 0..10_000 {
        if !bob.room.may_say() {
            return count;
        }
        bob.input(Input::Say(Said { text: "x".repeat(1_000), ..Said::default() }));
    }
    panic!("stdin ran free");
}

#[test]
fn a_source_stops_at_its_window_and_goes_on_with_the_acks() {
    let Two { mut bob, alice, a, .. } = two();
    let count = fill_window(&mut bob);
    assert!((count * 1_000..count * 1_500).contains(&(WINDOW_BYTES_MIN as usize)), "{count}");
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last))]);
    assert!(fill_window(&mut bob) > count, "the window has grown");
}

/// All members stopped counting, and nothing held the source.
#[test]
fn where_no_member_counts_the_farthest_one_holds_the_source() {
    let Two { mut bob, a, c, .. } = two();
    fill_window(&mut bob);
    bob.pass_alive(10_000, &[a, c]);
    assert!(!bob.room.may_say());
}

#[test]
fn an_ack_for_posts_that_do_not_exist_counts_for_nothing() {
    let Two { mut bob, alice, a, .. } = two();
    fill_window(&mut bob);
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last + 1))]);
    assert!(!bob.room.may_say());
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last))]);
    assert!(bob.room.may_say(), "and does not shadow a true one");
}

#[test]
fn a_forged_ack_counts_for_nothing() {
    let Two { mut bob, alice, a, .. } = two();
    fill_window(&mut bob);
    let mut mallory = Author::new(9, "mallory");
    mallory.feed = alice.feed;
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(mallory.ack(bob.me, 1, last))]);
    assert!(!bob.room.may_say());
}

/// What a member claims lets it be, but not for longer than the window lasts.
#[test]
fn a_forged_ack_does_not_let_a_member_that_stands_still_hold_up_a_source() {
    let Two { mut bob, alice, a, c } = two();
    let mut carol = Author::new(3, "carol");
    bob.post(c, &carol.join());
    let first = bob.have(bob.me);
    for (link, member) in [(a, &alice), (c, &carol)] {
        bob.arrive(link, vec![Arrival::Ack(member.ack(bob.me, 1, first))]);
    }
    fill_window(&mut bob);
    let last = bob.have(bob.me);
    let mut mallory = Author::new(9, "mallory");
    mallory.feed = alice.feed;
    bob.arrive(a, vec![Arrival::Ack(mallory.ack(bob.me, 1, last))]);
    bob.arrive(c, vec![Arrival::Ack(carol.ack(bob.me, 1, last))]);
    assert!(!bob.room.may_say(), "alice counts");
    bob.pass_alive(MEMBER_STALLED_MS + 500, &[a, c]);
    assert!(bob.room.may_say(), "until she has stood still");
}

#[test]
fn unmarked_bytes_get_a_mark_and_an_unanswered_mark_another_one() {
    let Two { mut bob, a, .. } = two();
    bob.pass(1_000);
    bob.sent(a);
    bob.command_say("one");
    bob.command_say("two");
    bob.pass(300);
    let marks = |bob: &mut Hand| {
        let sent = bob.sent(a);
        sent.iter().filter(|sent| matches!(sent, Sent::Post(post) if post.ack)).count()
    };
    assert!((1..=2).contains(&marks(&mut bob)));
    bob.pass(1_500);
    assert_eq!(marks(&mut bob), 0);
    bob.pass(700);
    assert_eq!(marks(&mut bob), 1, "nobody has answered");
}

/// A marked word from one made everybody sign an answer, as often as one liked.
#[test]
fn who_marks_every_word_is_answered_no_more_often_than_needed() {
    let Two { mut bob, mut alice, a, c } = two();
    let posts: Vec<_> = (0..100).map(|_| alice.marked("x")).collect();
    bob.posts(a, &posts);
    assert_eq!(acks(&bob.sent(a)).len() as u64, MARK_ANSWERS.burst);
    bob.pass_alive(2_000, &[a, c]);
    let later = acks(&bob.sent(a));
    assert_eq!(later, [(alice.feed, 1, 101)], "the newest is answered, once");
    // Another author has a count of its own.
    let mut carol = Author::new(3, "carol");
    bob.post(c, &carol.marked("x"));
    assert_eq!(acks(&bob.sent(c)).len(), 1);
}

#[test]
fn a_source_in_haste_has_each_of_its_marks_answered() {
    let Two { mut bob, mut alice, a, .. } = two();
    for _ in 0..200 {
        bob.posts(a, &[alice.say(&"x".repeat(40_000)), alice.marked(&"x".repeat(30_000))]);
    }
    assert_eq!(acks(&bob.sent(a)).len(), 200);
}

/// The way of an older mark may lead back to who sent the ack: then it would go to and fro for ever.
#[test]
fn an_ack_whose_way_is_gone_is_dropped() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.post(c, &alice.marked("through carol"));
    bob.post(a, &alice.marked("directly"));
    bob.input(Input::Broken { link: a, end: End::Vanished });
    bob.sent(c);
    bob.arrive(c, vec![Arrival::Ack(Author::new(3, "carol").ack(alice.feed, 1, 3))]);
    assert_eq!(acks(&bob.sent(c)), []);
}

/// Each who joined a room of some hundred had all its members mark anew, and everybody answer: it was never still.
#[test]
fn who_comes_after_a_mark_is_asked_by_the_next_one() {
    let Two { mut bob, alice, a, c } = two();
    bob.command_say("marked");
    bob.pass_alive(1_000, &[a, c]);
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last))]);
    bob.pass_alive(5_000, &[a, c]);
    let mut dave = Author::new(4, "dave");
    let d = bob.level_link(&dave);
    bob.post(d, &dave.join());
    let said = bob.have(bob.me);
    bob.pass_alive(60_000, &[a, c, d]);
    assert_eq!(bob.have(bob.me), said, "nobody is asked for what nobody waits for");
    bob.command_say("the next");
    bob.pass_alive(1_000, &[a, c, d]);
    let next = bob.have(bob.me);
    bob.arrive(d, vec![Arrival::Ack(dave.ack(bob.me, 1, next))]);
    bob.pass_alive(4_000, &[a, c, d]);
    assert!(bob.have(bob.me) > next, "alice owes an answer to that one");
}

/// Nobody heard what was said, and nobody was told.
#[test]
fn a_clock_that_is_put_back_by_days_is_told_once() {
    let Two { mut bob, .. } = two();
    bob.input(Input::Say(Said { text: "before".to_owned(), ..Said::default() }));
    bob.now.wall -= 2 * POST_AHEAD_MS_MAX;
    for _ in 0..3 {
        bob.input(Input::Say(Said { text: "after".to_owned(), ..Said::default() }));
    }
    let told = |event: &&Event| matches!(event, Event::Warning(text) if text.contains("put back by 47 hours") || text.contains("put back by 48 hours"));
    assert_eq!(bob.events.iter().filter(told).count(), 1);
}

/// Answers are never dropped, so they grew without end where a script's output was not read.
#[test]
fn piped_commands_and_text_wait_for_the_reader_of_their_answers() {
    let Two { mut bob, .. } = two();
    bob.unread = true;
    assert!(bob.room.may_say());
    let mut taken = 0;
    while bob.room.may_obey() {
        let nobody = Whom::Called("nobody".to_owned());
        let command = if taken % 2 == 0 { Command::Status } else { Command::Whisper(nobody, Said::default()) };
        bob.input(Input::Command(command));
        taken += 1;
        assert!(taken <= WORDS_MAX, "without a bound");
    }
    assert_eq!(taken, WORDS_MAX);
    assert!(!bob.room.may_say());
    let told = |bob: &mut Hand| std::iter::from_fn(|| bob.room.next_event()).take(2).count();
    assert_eq!(told(&mut bob), 2);
    assert!(bob.room.may_obey() && bob.room.may_say());
}

/// How long a pipe of so many bytes takes where alice answers every mark within 20 ms, by the clock of the test.
fn pipe_ms(bob: &mut Hand, (alice, a): (&Author, u64), mut bytes: usize) -> u64 {
    let start = bob.now.mono;
    while bytes > 0 && bob.now.mono < start + 120_000 {
        while bytes > 0 && bob.room.may_say() {
            bytes = bytes.saturating_sub(1_000);
            bob.input(Input::Say(Said { text: "x".repeat(1_000), ..Said::default() }));
        }
        bob.pass(20);
        let sent = bob.sent(a);
        let mark = |sent: &Sent| if let Sent::Post(post) = sent { post.ack.then_some(post.number) } else { None };
        if let Some(last) = sent.iter().filter_map(mark).max() {
            bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last))]);
        }
    }
    bob.now.mono - start
}

/// Each mark took an equal part of the window, whatever its author had said: a pipe of 9 MB took 40 s.
#[test]
fn sessions_that_only_mark_take_nothing_of_a_pipes_window() {
    let Two { mut bob, alice, a, c } = two();
    let mut crowd: Vec<Author> = (0..1_000).map(anybody).collect();
    for member in &mut crowd {
        bob.post(c, &member.join());
        bob.post(c, &member.marked("x"));
    }
    bob.pass(1_000);
    bob.sent(a);
    let ms = pipe_ms(&mut bob, (&alice, a), 9_000_000);
    assert!(ms < 1_000, "{ms} ms");
}

#[test]
fn sources_in_haste_share_half_of_a_log_in_equal_parts() {
    let Two { mut bob, alice, a, c } = two();
    // The window has grown to its most.
    pipe_ms(&mut bob, (&alice, a), 9_000_000);
    bob.pass_alive(2_000, &[a, c]);
    let mut others: Vec<Author> = (0..11).map(anybody).collect();
    for other in &mut others {
        let posts = [other.join(), other.say(&"x".repeat(40_000)), other.marked(&"x".repeat(40_000))];
        bob.posts(c, &posts);
    }
    bob.pass(600);
    let share = usize::try_from(WINDOWS_BYTES_MAX).unwrap() / 12;
    let count = fill_window(&mut bob) * 1_000;
    assert!((share / 2..=share).contains(&count), "{count} of {share}");
    // A while after they have ended it is all there again.
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last))]);
    bob.pass_alive(6_000, &[a, c]);
    let last = bob.have(bob.me);
    bob.arrive(a, vec![Arrival::Ack(alice.ack(bob.me, 1, last))]);
    assert!(fill_window(&mut bob) * 1_000 > 2 * share);
}
