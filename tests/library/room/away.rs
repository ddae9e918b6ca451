//! Who is away: a field of the join that everybody learns of, and of which nobody is told too often.

use hobnob::limits::{AWAY_JOINS, AWAYS_TOLD, JOIN_RENEW_MS};
use hobnob::room::Input;
use hobnob::room::event::{Command, Event};
use hobnob::wire::record::{Body, Draft, Post};
use std::sync::Arc;

use super::hand::{Author, Hand, Sent, Two, config, two};

fn join(author: &mut Author, away: Option<&str>) -> Arc<Post> {
    author.post(&Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away })
}

/// What was told of who is away, since the last look.
fn told(hand: &mut Hand) -> Vec<(String, Option<String>)> {
    let told = hand.events.drain(..).filter_map(|event| match event {
        Event::Away { member, why } => Some((member.nick.to_string(), why)),
        _ => None,
    });
    told.collect()
}

fn away(nick: &str, why: &str) -> (String, Option<String>) {
    (nick.to_owned(), Some(why.to_owned()))
}

fn back(nick: &str) -> (String, Option<String>) {
    (nick.to_owned(), None)
}

/// What /names says of somebody.
fn listed(hand: &mut Hand, author: &Author) -> Option<String> {
    hand.input(Input::Command(Command::Names));
    let Some(Event::Names(members)) = hand.events.pop() else { unreachable!("no answer") };
    members.into_iter().find(|member| member.person.id == author.feed.author).expect("here").away
}

fn go_away(hand: &mut Hand, why: &str) {
    hand.input(Input::Command(Command::Away(Some(why.to_owned()))));
}

/// What the joins say that a peer was sent.
fn joins(sent: &[Sent]) -> Vec<Option<String>> {
    let joins = sent.iter().filter_map(|sent| match sent {
        Sent::Post(post) => match &post.body {
            Body::Join { away, .. } => Some(away.clone()),
            _ => None,
        },
        _ => None,
    });
    joins.collect()
}

#[test]
fn a_member_that_goes_away_and_comes_back_is_told_of_once_a_change() {
    let Two { mut bob, mut alice, a, .. } = two();
    for (why, expected) in [
        (Some("lunch"), vec![away("alice", "lunch")]),
        (Some("lunch"), vec![]),
        (Some("nap"), vec![away("alice", "nap")]),
        (None, vec![back("alice")]),
        (None, vec![]),
        (Some(""), vec![away("alice", "")]),
    ] {
        bob.post(a, &join(&mut alice, why));
        assert_eq!(told(&mut bob), expected, "{why:?}");
        assert_eq!(listed(&mut bob, &alice).as_deref(), why);
    }
    bob.post(a, &alice.say("still away"));
    assert_eq!(
        (told(&mut bob), listed(&mut bob, &alice).as_deref()),
        (vec![], Some("")),
        "saying something ends nothing"
    );
}

#[test]
fn who_was_away_before_we_came_is_listed_and_not_told() {
    let (mut alice, mut carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let mut bob = Hand::new(config(1));
    let c = bob.link(&carol, &[alice.entry(2), carol.entry(1)]);
    alice.at -= 60_000;
    bob.posts(c, &[carol.join(), join(&mut alice, None), join(&mut alice, Some("lunch"))]);
    bob.pass_alive(5_000, &[c]);
    assert_eq!(told(&mut bob), []);
    assert_eq!(listed(&mut bob, &alice).as_deref(), Some("lunch"));
    alice.at = bob.now.wall;
    bob.post(c, &join(&mut alice, None));
    bob.pass_alive(1_000, &[c]);
    assert_eq!(told(&mut bob), [back("alice")]);
}

#[test]
fn a_member_is_away_when_all_its_sessions_are() {
    let Two { mut bob, mut alice, a, .. } = two();
    let mut other = Author::new(2, "alice");
    other.feed.session += 1;
    other.at += 1_000;
    bob.post(a, &other.join());
    bob.post(a, &join(&mut alice, Some("at home")));
    assert_eq!((told(&mut bob), listed(&mut bob, &alice)), (vec![], None), "one is here");
    bob.post(a, &join(&mut other, Some("at work")));
    assert_eq!(told(&mut bob), [away("alice", "at work")], "the newest one's word");
    bob.post(a, &other.post(&Draft::Leave { why: "" }));
    assert_eq!(told(&mut bob), [away("alice", "at home")]);
    let mut third = Author::new(2, "alice");
    third.feed.session += 2;
    bob.post(a, &third.join());
    assert_eq!(told(&mut bob), [back("alice")]);
}

#[test]
fn of_runs_that_end_with_their_input_it_is_not_told() {
    let Two { mut bob, a, .. } = two();
    let mut disk = Author::new(4, "disk");
    for away in [None, Some("full"), None] {
        bob.post(a, &disk.post(&Draft::Join { addresses: &[], passing: true, rank: None, sealing: None, away }));
    }
    assert_eq!(told(&mut bob), []);
}

#[test]
fn of_one_who_toggles_all_the_time_little_is_told_and_the_truth_in_the_end() {
    let Two { mut bob, mut alice, a, c } = two();
    let mut count = 0;
    for round in 0..100 {
        bob.post(a, &join(&mut alice, (round % 2 == 0).then_some("x")));
        bob.pass(10);
        count += told(&mut bob).len();
    }
    bob.post(a, &join(&mut alice, Some("for good")));
    count += told(&mut bob).len();
    assert_eq!(count as u64, AWAYS_TOLD.burst);
    bob.pass_alive(AWAYS_TOLD.window_ms / AWAYS_TOLD.burst, &[a, c]);
    assert_eq!(told(&mut bob), [away("alice", "for good")]);
    bob.pass_alive(60_000, &[a, c]);
    assert_eq!(told(&mut bob), []);
}

#[test]
fn away_is_said_by_a_join_and_by_those_that_renew_it() {
    let mut bob = Hand::new(config(1));
    let a = bob.level_link(&Author::new(2, "alice"));
    bob.sent(a);
    go_away(&mut bob, "lunch");
    assert_eq!(joins(&bob.sent(a)), [Some("lunch".to_owned())]);
    assert_eq!(told(&mut bob), [away("n1", "lunch")]);
    go_away(&mut bob, "lunch");
    assert_eq!((joins(&bob.sent(a)), told(&mut bob)), (vec![], vec![away("n1", "lunch")]), "nothing new for others");
    bob.pass_alive(JOIN_RENEW_MS + 2_000, &[a]);
    assert_eq!(joins(&bob.sent(a)), [Some("lunch".to_owned())]);
    bob.input(Input::Command(Command::Away(None)));
    assert_eq!((joins(&bob.sent(a)), told(&mut bob)), (vec![None], vec![back("n1")]));
    bob.pass_alive(JOIN_RENEW_MS + 2_000, &[a]);
    assert_eq!(joins(&bob.sent(a)), [None]);
}

#[test]
fn a_user_who_toggles_all_the_time_costs_others_few_joins() {
    let mut bob = Hand::new(config(1));
    let a = bob.level_link(&Author::new(2, "alice"));
    bob.sent(a);
    for round in 0..100 {
        go_away(&mut bob, &format!("reason {round}"));
    }
    assert_eq!(joins(&bob.sent(a)).len() as u64, AWAY_JOINS.burst);
    bob.pass_alive(AWAY_JOINS.window_ms / AWAY_JOINS.burst + 1_000, &[a]);
    assert_eq!(joins(&bob.sent(a)), [Some("reason 99".to_owned())], "what holds is told in the end");
    bob.pass_alive(60_000, &[a]);
    assert_eq!(joins(&bob.sent(a)), []);
}
