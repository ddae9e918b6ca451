//! Names that look alike: told once, to a bound, whoever came first.

use hobnob::identity::Id;
use hobnob::limits::{LOOKALIKES_TOLD_MAX, NOTICES_MAX, RENAMES, RENAMES_TOLD, ROSTER_NOTICES_MAX};
use hobnob::room::Input;
use hobnob::room::event::{Command, Event};
use hobnob::wire::end::End;
use hobnob::wire::record::{Draft, Nick};

use super::hand::{Author, Hand, Two, anybody, two};

/// Every clash told: who came, whom they look like, and whether that is for terminals.
fn clashes(hand: &Hand) -> Vec<(Id, Vec<Id>, bool)> {
    let clash = |event: &Event| match event {
        Event::Clash { member, others, passing } => {
            Some((member.id, others.iter().map(|other| other.id).collect(), *passing))
        }
        _ => None,
    };
    hand.events.iter().filter_map(clash).collect()
}

fn nick(name: &str) -> Nick {
    Nick::new(name).unwrap()
}

#[test]
fn a_clash_is_told_when_it_begins_and_again_when_it_begins_again() {
    let Two { mut bob, alice, a, .. } = two();
    let mut other = Author::new(4, "Alice");
    bob.post(a, &other.join());
    bob.post(a, &other.say("hello"));
    bob.post(a, &other.join());
    let clash = (other.feed.author, vec![alice.feed.author], false);
    assert_eq!(clashes(&bob), std::slice::from_ref(&clash), "a renewed join is no news");
    other.nick = nick("ALICE");
    bob.post(a, &other.post(&Draft::Nick));
    assert_eq!(clashes(&bob), std::slice::from_ref(&clash), "nor is another name that looks the same");
    other.nick = nick("carla");
    bob.post(a, &other.post(&Draft::Nick));
    other.nick = nick("alice");
    bob.post(a, &other.post(&Draft::Nick));
    assert_eq!(clashes(&bob), [clash.clone(), clash]);
}

#[test]
fn who_left_clashes_with_nobody() {
    let Two { mut bob, mut alice, a, .. } = two();
    bob.post(a, &alice.post(&Draft::Leave { why: "" }));
    bob.post(a, &Author::new(4, "alice").join());
    assert_eq!(clashes(&bob), []);
}

#[test]
fn our_own_name_clashes_too_whoever_takes_it() {
    let Two { mut bob, mut alice, a, .. } = two();
    bob.input(Input::Command(Command::Nick(nick("al1ce"))));
    assert_eq!(clashes(&bob), [(bob.me.author, vec![alice.feed.author], false)]);
    bob.input(Input::Command(Command::Nick(nick("bob"))));
    alice.nick = nick("BOB");
    bob.post(a, &alice.post(&Draft::Nick));
    assert_eq!(clashes(&bob)[1..], [(alice.feed.author, vec![bob.me.author], false)]);
}

#[test]
fn a_run_that_ends_with_its_input_clashes_without_noise() {
    let Two { mut bob, a, .. } = two();
    let mut pipe = Author::new(4, "alice");
    bob.post(a, &pipe.post(&Draft::Join { addresses: &[], passing: true, rank: None, sealing: None, away: None }));
    assert!(matches!(clashes(&bob)[..], [(_, _, true)]), "{:?}", clashes(&bob));
}

#[test]
fn a_crowd_of_one_name_is_told_to_a_bound() {
    let Two { mut bob, a, .. } = two();
    for seed in 0..2 * u8::try_from(LOOKALIKES_TOLD_MAX).unwrap() {
        bob.post(a, &Author::new(20 + seed, "root").join());
    }
    let told: Vec<usize> = clashes(&bob).iter().map(|(_, others, _)| others.len()).collect();
    let last = 2 * LOOKALIKES_TOLD_MAX - 1;
    assert_eq!(told, (1..=last).map(|before| before.min(LOOKALIKES_TOLD_MAX)).collect::<Vec<_>>());
}

/// A terminal that stood still would print the names of a moment ago.
#[test]
fn who_is_here_is_told_anew_after_notices_were_skipped() {
    let Two { mut bob, mut alice, a, c } = two();
    bob.unread = true;
    // Each comes, and takes as many other names as are told at once.
    let told_of_each = 1 + RENAMES_TOLD.burst;
    for index in 0..=ROSTER_NOTICES_MAX as u64 / told_of_each {
        let mut member = anybody(index);
        // A link brings so many feeds at most.
        let link = if index.is_multiple_of(2) { a } else { c };
        bob.post(link, &member.join());
        for number in 1..told_of_each {
            member.nick = nick(&format!("name-{index}-{number}"));
            bob.post(link, &member.post(&Draft::Nick));
        }
    }
    alice.nick = nick("alicia");
    bob.post(a, &alice.post(&Draft::Nick));
    bob.unread = false;
    bob.events.clear();
    bob.pass(100);
    assert!(matches!(bob.events[0], Event::Skipped { .. }));
    let Event::Present(people) = &bob.events[1] else { unreachable!("{:?}", bob.events[1]) };
    let newest = people.iter().find(|person| person.id == alice.feed.author).unwrap();
    assert_eq!(newest.nick, alice.nick);
    assert!(people.iter().any(|person| person.id == bob.me.author));
}

/// Over the bound of all notices the oldest went: a newcomer to a large room was told of a thousand members, and an answer
/// that waited was gone.
#[test]
fn no_noise_drives_out_who_comes_nor_an_answer() {
    let Two { mut bob, a, c, .. } = two();
    bob.unread = true;
    bob.events.clear();
    bob.input(Input::Command(Command::Names));
    let members = 3 * NOTICES_MAX as u64;
    for index in 0..members {
        bob.post(a, &anybody(index).join());
    }
    for number in 0..NOTICES_MAX + 10 {
        let link = bob.level_link(&anybody(number as u64));
        bob.input(Input::Broken { link, end: End::Surplus });
    }
    bob.unread = false;
    bob.arrive(c, vec![]);
    let count = |is_meant: fn(&Event) -> bool| bob.events.iter().filter(|event| is_meant(event)).count() as u64;
    assert_eq!(count(|event| matches!(event, Event::Joined { .. })), members, "each once");
    assert_eq!(count(|event| matches!(event, Event::Names(_))), 1);
    assert_eq!(count(|event| matches!(event, Event::Linked(_) | Event::Unlinked(..))), NOTICES_MAX as u64);
    let skipped: u64 =
        bob.events.iter().map(|event| if let Event::Skipped { notices } = event { *notices } else { 0 }).sum();
    assert_eq!(skipped, NOTICES_MAX as u64 + 20);
    assert_eq!(count(|event| matches!(event, Event::Present(_))), 0, "no name is missing");
}

/// The nicks under which somebody was shown.
fn renamed(hand: &Hand, id: Id) -> Vec<Nick> {
    let nick = |event: &Event| match event {
        Event::Renamed { member, .. } if member.id == id => Some(member.nick.clone()),
        _ => None,
    };
    hand.events.iter().filter_map(nick).collect()
}

/// Two hundred changes a second held up each line by half a second, and each went to the disk.
#[test]
fn a_member_who_changes_nicks_all_the_time_is_renamed_four_times_a_minute() {
    let Two { mut bob, mut alice, a, c } = two();
    let burst = usize::try_from(RENAMES_TOLD.burst).unwrap();
    for turn in 0..2_000 {
        alice.nick = nick(&format!("alice{turn}"));
        bob.post(a, &alice.post(&Draft::Nick));
    }
    assert_eq!(renamed(&bob, alice.feed.author).len(), burst, "2000 changes in a moment");
    bob.pass_alive(2 * RENAMES_TOLD.window_ms / RENAMES_TOLD.burst, &[a, c]);
    let shown = renamed(&bob, alice.feed.author);
    assert_eq!((shown.len(), shown.last()), (burst + 1, Some(&alice.nick)), "the last one counts");
}

#[test]
fn our_own_nick_is_posted_four_times_a_minute_and_the_last_one_counts() {
    let Two { mut bob, a, c, .. } = two();
    let before = bob.have(bob.me);
    for turn in 0..RENAMES.burst {
        bob.input(Input::Command(Command::Nick(nick(&format!("bob{turn}")))));
    }
    assert_eq!(bob.have(bob.me), before + RENAMES.burst, "at the bound");
    for name in ["robert", "rob"] {
        bob.input(Input::Command(Command::Nick(nick(name))));
    }
    let refusals = |bob: &Hand| bob.events.iter().filter(|event| matches!(event, Event::Refused(_))).count();
    assert_eq!((bob.have(bob.me), refusals(&bob)), (before + RENAMES.burst, 1), "one past it, which is told once");
    bob.pass_alive(2 * RENAMES.window_ms / RENAMES.burst, &[a, c]);
    let renamed = renamed(&bob, bob.me.author);
    assert_eq!((renamed.len() as u64, renamed.last()), (RENAMES.burst + 1, Some(&nick("rob"))));
}
