//! Where a room tells others that it is reached: its links' local addresses, and what peers see, as far as they agree.

use std::net::{IpAddr, SocketAddr};

use hobnob::limits::{ADDRESS_JOINS, ADDRESSES_PER_NODE_MAX};
use hobnob::room::{Config, Input, LinkId, Named, Reach};
use hobnob::wire::end::End;
use hobnob::wire::record::{Body, Control};

use super::hand::{Author, Hand, Sent, anybody, config};

fn everywhere() -> Config {
    Config { reach: Reach::Dialable, listening: Some("0.0.0.0:4646".parse().unwrap()), ..config(1) }
}

/// A peer from somewhere says as whom it sees us.
fn told(bob: &mut Hand, number: u64, remote: &str, seen: &str) -> LinkId {
    let mut hello = anybody(number).hello();
    hello.seen = seen.parse().unwrap();
    hello.time = bob.now.wall;
    let link = bob.connect(None, remote);
    bob.control(link, Control::Hello(hello));
    link
}

/// What the newest join says, as a newcomer is sent it.
fn announced(bob: &mut Hand) -> Vec<IpAddr> {
    let dave = Author { at: bob.now.wall, ..Author::new(99, "dave") };
    let d = bob.link(&dave, &[]);
    let (author, session) = (bob.me.author, bob.me.session);
    bob.control(d, Control::Want { author, session, from: 1, answer: false });
    let joins = bob.sent(d).into_iter().filter_map(|sent| match sent {
        Sent::Post(post) => match &post.body {
            Body::Join { addresses, .. } => Some(addresses.clone()),
            _ => None,
        },
        _ => None,
    });
    let newest = joins.last().unwrap();
    bob.input(Input::Broken { link: d, end: End::Vanished });
    newest.iter().map(SocketAddr::ip).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Whoever came first had four addresses believed for the whole run.
#[test]
fn what_networks_agree_on_drives_out_what_one_of_them_tells() {
    let mut bob = Hand::new(everywhere());
    for number in 0..6 {
        told(&mut bob, number, "203.0.113.9:5000", &format!("8.8.8.{number}"));
    }
    bob.pass(ADDRESS_JOINS.window_ms);
    assert_eq!(announced(&mut bob).len(), ADDRESSES_PER_NODE_MAX, "four at most");
    told(&mut bob, 10, "198.51.100.1:5000", "192.0.2.1");
    told(&mut bob, 11, "198.51.101.1:5000", "192.0.2.1");
    bob.pass(ADDRESS_JOINS.window_ms / 2);
    let addresses = announced(&mut bob);
    assert_eq!(addresses[..2], [ip("10.0.0.1"), ip("192.0.2.1")], "the local one, then what two networks tell");
    assert_eq!(addresses.len(), ADDRESSES_PER_NODE_MAX);
}

#[test]
fn whom_we_have_dialled_is_believed_before_who_came() {
    let mut bob = Hand::new(Config { named: vec![Named::anybody("peer:1")], ..everywhere() });
    bob.pass(50);
    let mut hello = Author::new(2, "alice").hello();
    hello.seen = ip("192.0.2.1");
    let link = bob.connect(Some(bob.dials[0].0), "198.51.100.1:4646");
    bob.control(link, Control::Hello(hello));
    for (number, network) in (0..5).zip(["203.0.113", "203.0.114", "203.0.115", "203.0.116", "203.0.117"]) {
        told(&mut bob, number, &format!("{network}.9:5000"), "8.8.8.8");
    }
    bob.pass(ADDRESS_JOINS.window_ms);
    assert_eq!(announced(&mut bob)[..3], [ip("10.0.0.1"), ip("192.0.2.1"), ip("8.8.8.8")]);
}

#[test]
fn what_nobody_live_tells_any_more_gives_way_and_stays_while_nothing_else_is_told() {
    let mut bob = Hand::new(everywhere());
    let liars: Vec<LinkId> =
        (0..4).map(|number| told(&mut bob, number, "203.0.113.9:5000", &format!("8.8.8.{number}"))).collect();
    bob.pass(1_000);
    for link in liars {
        bob.input(Input::Broken { link, end: End::Vanished });
    }
    bob.pass(ADDRESS_JOINS.window_ms);
    assert_eq!(announced(&mut bob).len(), ADDRESSES_PER_NODE_MAX, "nothing better is known");
    told(&mut bob, 10, "203.0.113.10:5000", "192.0.2.1");
    bob.pass(1_000);
    assert!(announced(&mut bob).contains(&ip("192.0.2.1")));
}

#[test]
fn who_sees_us_elsewhere_at_every_moment_makes_us_say_no_more_than_a_few_joins() {
    let mut bob = Hand::new(everywhere());
    let before = bob.have(bob.me);
    for number in 0..200 {
        let link = told(&mut bob, number, "203.0.113.9:5000", &format!("8.8.8.{number}"));
        bob.input(Input::Broken { link, end: End::Vanished });
        bob.pass(50);
    }
    let joins = bob.have(bob.me) - before;
    assert!((ADDRESS_JOINS.burst..=ADDRESS_JOINS.burst + 2).contains(&joins), "{joins} joins in ten seconds");
}
