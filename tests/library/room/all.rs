//! `all`: a node with one link has everything over it, without asking feed by feed.

use hobnob::limits::{LINK_ASKS, OUTBOX_BYTES_MAX, PULL_MS};
use hobnob::room::{Input, LinkId};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Entry};

use super::hand::{Author, Hand, Two, config, controls_of, numbers, posts_of, says, two};

/// A peer dials in, pages, and asks for all it does not name.
fn link_with_all(bob: &mut Hand, peer: &Author, have: &[Entry]) -> LinkId {
    let link = bob.connect(None, "10.0.0.4:5000");
    bob.control(link, Control::Hello(peer.hello()));
    bob.control(link, Control::Have { feeds: have.to_vec() });
    bob.control(link, Control::All {});
    bob.control(link, Control::Done {});
    link
}

#[test]
fn the_only_link_is_asked_for_all_and_another_one_is_not() {
    let mut bob = Hand::new(config(1));
    let (alice, carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let (a, c) = (bob.link(&alice, &[]), bob.link(&carol, &[]));
    let said = |link, bob: &mut Hand| controls_of(&bob.sent(link)).contains(&Control::All {});
    assert_eq!((said(a, &mut bob), said(c, &mut bob)), (true, false));
    bob.input(Input::Broken { link: a, end: End::Vanished });
    bob.input(Input::Broken { link: c, end: End::Vanished });
    let a = bob.link(&alice, &[]);
    assert!(said(a, &mut bob), "it is the only one again");
}

#[test]
fn what_comes_unasked_is_taken_from_its_start_and_no_feed_is_wanted() {
    let mut bob = Hand::new(config(1));
    let (alice, mut carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let a = bob.link(&alice, &[carol.entry(3)]);
    let posts = [vec![carol.join()], says(&mut carol, 2, 10)].concat();
    bob.posts(a, &posts);
    bob.pass_alive(2 * PULL_MS, &[a]);
    assert_eq!((bob.have(carol.feed), bob.is_closed(a)), (3, None));
    assert!(!controls_of(&bob.sent(a)).iter().any(|control| matches!(control, Control::Want { .. })));
}

#[test]
fn who_asks_for_all_gets_each_feed_that_it_does_not_name_from_its_start() {
    let Two { mut bob, mut alice, a, .. } = two();
    let (dave, mut carol) = (Author::new(5, "dave"), Author::new(3, "carol"));
    bob.posts(a, &[vec![carol.join()], says(&mut carol, 3, 10)].concat());
    bob.posts(a, &says(&mut alice, 2, 10));
    let link = link_with_all(&mut bob, &dave, &[alice.entry(1)]);
    let sent = posts_of(&bob.sent(link));
    let of = |feed| numbers(&sent.iter().copied().filter(|(other, _)| *other == feed).collect::<Vec<_>>());
    assert_eq!((of(carol.feed), of(bob.me)), (vec![1, 2, 3, 4], vec![1]));
    assert_eq!(of(alice.feed), [0; 0], "it is named, so it may come over another link");
    bob.post(a, &carol.say("later"));
    assert_eq!(numbers(&bob.sent_posts(link)), [5], "and goes on");
}

#[test]
fn all_comes_as_fast_as_the_link_takes_it() {
    let Two { mut bob, a, .. } = two();
    let (dave, mut carol) = (Author::new(5, "dave"), Author::new(3, "carol"));
    bob.posts(a, &[vec![carol.join()], says(&mut carol, 40, 20_000)].concat());
    let link = bob.connect(None, "10.0.0.4:5000");
    bob.stuck.insert(link);
    bob.control(link, Control::Hello(dave.hello()));
    bob.control(link, Control::All {});
    bob.control(link, Control::Done {});
    let first = bob.sent_posts(link).len();
    assert!((5..OUTBOX_BYTES_MAX / 20_000 + 5).contains(&first), "{first}");
    let queued = bob.room.view().links.iter().map(|(_, queued)| *queued).max().unwrap();
    bob.stuck.remove(&link);
    bob.input(Input::Drained { link, bytes: queued });
    let rest = numbers(&bob.sent_posts(link));
    assert_eq!((rest.last(), bob.is_closed(link)), (Some(&41), None));
}

#[test]
fn all_is_said_once_and_before_done() {
    let Two { mut bob, .. } = two();
    let dave = Author::new(5, "dave");
    for before in [vec![Control::All {}], vec![Control::Done {}]] {
        let link = bob.connect(None, "10.0.0.4:5000");
        bob.control(link, Control::Hello(dave.hello()));
        for control in before {
            bob.control(link, control);
        }
        assert_eq!(bob.is_closed(link), None);
        bob.control(link, Control::All {});
        assert_eq!(bob.is_closed(link), Some(End::OutOfTurn));
    }
}

/// It costs as much as the wants in whose place it stands.
#[test]
fn all_counts_among_what_a_link_may_ask() {
    let Two { mut bob, alice, .. } = two();
    let dave = Author::new(5, "dave");
    let feeds = bob.room.view().have.len() as u64;
    let link = bob.connect(None, "10.0.0.4:5000");
    for control in [Control::Hello(dave.hello()), Control::All {}, Control::Done {}] {
        bob.control(link, control);
    }
    for _ in 0..LINK_ASKS.burst - feeds {
        bob.control(link, alice.want(1));
    }
    assert_eq!(bob.is_closed(link), None);
    bob.control(link, alice.want(1));
    assert_eq!(bob.is_closed(link), Some(End::Flood));
}
