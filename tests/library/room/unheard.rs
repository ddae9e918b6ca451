//! Members that are known from the disk alone: gone after a crash of the whole room, or alive and silent.

use std::sync::Arc;

use hobnob::limits::{LOST_AFTER_MS, LOST_GRACE_MS, LOST_JITTER_MS, UNHEARD_AFTER_MS};
use hobnob::room::event::Event;
use hobnob::room::{Acquaintance, Config, DialFailure, Input, LinkId, Past, Reach};
use hobnob::wire::record::{Body, Draft, FeedId, Post};

use super::hand::{Author, Hand, Sent, anybody, config};

/// How long a round of doubts takes, at most.
const ROUND_MS: u64 = LOST_AFTER_MS + LOST_JITTER_MS + 2 * LOST_GRACE_MS;

/// Bob is back with a disk on which these are present.
fn back(members: &mut [Author], config: Config) -> Hand {
    let posts: Vec<Arc<Post>> = members.iter_mut().map(Author::join).collect();
    Hand::resume(config, &Past { posts, ends: Vec::new(), ..Past::default() })
}

/// Whom bob claims to be lost, in order, as somebody hears it over a link.
fn claims(bob: &mut Hand, link: LinkId) -> Vec<FeedId> {
    let lost = |sent: Sent| match sent {
        Sent::Post(post) => match post.body {
            Body::Lost { feed, .. } => Some(feed),
            _ => None,
        },
        _ => None,
    };
    bob.sent(link).into_iter().filter_map(lost).collect()
}

fn crowd() -> Vec<Author> {
    (0..20).map(anybody).collect()
}

#[test]
fn after_a_crash_of_the_whole_room_one_is_doubted_first_and_then_ever_more() {
    let mut members = crowd();
    let mut bob = back(&mut members, config(1));
    let dave = Author::new(4, "dave");
    let d = bob.level_link(&dave);
    bob.pass_alive(UNHEARD_AFTER_MS, &[d]);
    assert_eq!(claims(&mut bob, d), []);
    let mut told = Vec::new();
    for round in [1, 4, 15] {
        bob.pass_alive(ROUND_MS, &[d]);
        let fresh = claims(&mut bob, d);
        assert_eq!(fresh.len(), round, "{fresh:?}");
        told.extend(fresh);
    }
    told.sort();
    let mut all: Vec<FeedId> = members.iter().map(|member| member.feed).collect();
    all.sort();
    assert_eq!(told, all);
    bob.pass_alive(ROUND_MS, &[d]);
    assert!(bob.room.view().present.iter().eq([&bob.me]), "{:?}", bob.room.view().present);
}

#[test]
fn one_that_answers_speaks_for_all() {
    let mut members = crowd();
    let mut bob = back(&mut members, config(1));
    let dave = Author::new(4, "dave");
    let d = bob.level_link(&dave);
    bob.pass_alive(UNHEARD_AFTER_MS + ROUND_MS / 2, &[d]);
    let asked = claims(&mut bob, d);
    assert_eq!(asked.len(), 1);
    let alive = members.iter_mut().find(|member| member.feed == asked[0]).unwrap();
    alive.at = bob.now.wall;
    let here = alive.join();
    bob.post(d, &here);
    bob.pass_alive(100_000, &[d]);
    assert_eq!(claims(&mut bob, d), []);
    assert_eq!(bob.room.view().present.len(), members.len() + 1);
    assert!(!bob.events.iter().any(|event| matches!(event, Event::Lost { .. })));
}

#[test]
fn a_link_to_one_of_them_and_what_one_says_speak_for_all() {
    for says in [false, true] {
        let mut members = crowd();
        let mut bob = back(&mut members, config(1));
        let dave = Author::new(4, "dave");
        let link = bob.level_link(if says { &dave } else { &members[3] });
        bob.pass_alive(2_000, &[link]);
        if says {
            members[5].at = bob.now.wall;
            let said = members[5].say("still here");
            bob.post(link, &said);
        }
        bob.pass_alive(100_000, &[link]);
        assert_eq!(claims(&mut bob, link), []);
    }
}

/// Who has stayed may never have had a link to the one who is gone.
#[test]
fn one_who_is_dialled_in_vain_is_doubted_whoever_speaks_for_the_others() {
    let mut alice = Author::new(2, "alice");
    let mut carol = Author::new(3, "carol");
    let addr = "10.0.0.3:4646".parse().unwrap();
    let posts = vec![
        alice.join(),
        carol.post(&Draft::Join { addresses: &[addr], passing: false, rank: None, sealing: None, away: None }),
    ];
    let claimed = |remembered: Vec<Acquaintance>, answers: bool| {
        let listening = Some("10.0.0.1:4646".parse().unwrap());
        let config = Config { reach: Reach::Dialable, listening, remembered, ..config(1) };
        let mut bob = Hand::resume(config, &Past { posts: posts.clone(), ends: Vec::new(), ..Past::default() });
        let mut carol = Author { next: 2, ..Author::new(3, "carol") };
        let a = bob.level_link(&Author::new(2, "alice"));
        let (mut failed, mut told) = (0, 0);
        for _ in 0..60 {
            bob.pass_alive(1_000, &[a]);
            while let Some((dial, _)) = bob.dials.get(failed).cloned() {
                failed += 1;
                bob.input(Input::DialFailed { dial, failure: DialFailure::Unreached("no answer".to_owned()) });
            }
            let fresh = claims(&mut bob, a).len();
            told += fresh;
            if fresh > 0 && answers {
                carol.at = bob.now.wall;
                let here = carol.post(&Draft::Join {
                    addresses: &[addr],
                    passing: false,
                    rank: None,
                    sealing: None,
                    away: None,
                });
                bob.post(a, &here);
            }
        }
        (failed > 0, told, bob.room.view().present.contains(&carol.feed))
    };
    let remembered = vec![Acquaintance { id: carol.feed.author, addr }];
    assert_eq!(claimed(remembered.clone(), false), (true, 1, false));
    assert_eq!(claimed(remembered, true), (true, 1, true), "doubted once");
    // Nobody knows over what link her private address came.
    assert_eq!(claimed(vec![], false), (false, 0, true));
}
