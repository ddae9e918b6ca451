//! Every collection that grows with what others say has a bound in `limits`, and one past it something is decided. Where
//! each is tested, at the bound and one past it:
//!
//! | what | bound | past it | tested in |
//! | --- | --- | --- | --- |
//! | unfinished handshakes | `LINKS_GREETING_MAX` | the oldest of the busiest address goes | `door` |
//! | threads for them | `HANDSHAKES_MAX` | no more are accepted until one ends | `tests/program/hostile` |
//! | failed handshakes of an address | `HOST_HANDSHAKES` | it is refused until they have faded | `door` |
//! | addresses, keys at the door | `DOOR_GUESTS_MAX` | the half with fewer offences is forgotten | `door`, here |
//! | links | `LINKS_ACCEPTED_MAX` | refused before a thread is spent | `tests/program/hub.rs` |
//! | links of one identity | `LINKS_PER_IDENTITY_MAX` | the newest is refused | `door` |
//! | links being closed | `LINKS_CLOSING_MAX` | the one that has waited longest is cut off | `tests/program/hostile` |
//! | feeds on a link, both ways, asked, in gaps | `LINK_FEEDS_MAX` | the link is closed | `link` |
//! | feeds in a link's pages | `LINK_FEEDS_MAX`, `FEEDS_MAX` | the link is closed, the rest is not remembered | `shell` |
//! | feeds that a link begins | `LINK_NEW_FEEDS` | turned away | `feeds` |
//! | posts and records queued for a link | `OUTBOX_…_MAX` | it lags; it is closed | `flood` |
//! | feeds known; in `Seen`, roster, overlay, marks, watches | `FEEDS_MAX` | sessions that are over are forgotten | `feeds` |
//! | feeds of an author | `SESSIONS_PER_AUTHOR_MAX` | its own older ones are forgotten | `feeds` |
//! | sessions present, members, receipts | `MEMBERS_MAX` | refused, with a warning | `feeds` |
//! | feeds that lack something, are asked for, or awaited at first | `FEEDS_MAX` | not asked for | here |
//! | posts | `LOG_BYTES_MAX` | the oldest of the author with most goes | `log` |
//! | posts behind gaps | `WAITING_BYTES_MAX`, `…_TOTAL_MAX` | the highest go; the link is closed | here |
//! | claims of `lost` for a session | `LOST_CLAIMS_MAX` | the highest is dropped | here |
//! | sessions claimed before they are known | `EARLY_CLAIMS_MAX` | dropped | here |
//! | authors with clocks ahead | `UNTIMELY_MAX` | refused without a word | here |
//! | ends of signatures | `TAILS_MAX` | a fork of an older post is a copy | here |
//! | routes of marks | `MARK_ROUTES_MAX` | the ack is dropped | here |
//! | addresses of a join | `ADDRESSES_PER_NODE_MAX` | the link is closed | `tests/library/records` |
//! | own addresses that peers tell | `ADDRESSES_PER_NODE_MAX`, `ADDRESS_JOINS` | those most agree on; later | `reachable` |
//! | addresses that were dialled | `DIALLED_PLACES_MAX` | half is forgotten | `dial` |
//! | dials under way | `DIALS_MAX` | the others wait | here |
//! | lost members that are dialled | `LOST_PEERS_MAX` | the newest are | `dial` |
//! | notices that wait; of who comes and goes | `NOTICES_MAX`, `ROSTER_NOTICES_MAX` | the oldest go, which is told | `name` |
//! | whispers of a link, that wait, are early or not shown; streams | `LINK_WHISPERS`, `WHISPERS_…_MAX`, `WHISPER_STREAMS_…` | dropped, and sent again; refused | `whisper` |
//! | names known from earlier runs | `KNOWN_ENTRIES_MAX` | those seen on one day go | `tests/program/known.rs` |
//! | lookalikes told | `LOOKALIKES_TOLD_MAX` | not named | `name` |
//!
//! The others hold a part of these: what is dirty, shown, doubted, forked, held or watched are sessions that are known.

use hobnob::limits::{
    DIALS_MAX, DOOR_GUESTS_MAX, EARLY_CLAIMS_MAX, FEEDS_MAX, FEEDS_PER_PAGE_MAX, LOST_CLAIMS_MAX, LOST_GRACE_MS,
    MARK_ROUTES_MAX, POST_AHEAD_MS_MAX, TAILS_MAX, UNTIMELY_MAX, WAITING_BYTES_MAX, WAITING_BYTES_TOTAL_MAX,
};
use hobnob::room::event::Event;
use hobnob::room::intake::Seen;
use hobnob::room::{Arrival, Config, Input, Named};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Entry, Label};

use super::hand::{Author, Hand, Sent, Two, anybody, config, controls_of, says, two};
use super::roster::lost;

/// What was promised in the pages of several links added up: each filled the table of what is awaited by itself.
#[test]
fn feeds_that_many_links_promise_are_not_awaited_without_bound() {
    let mut bob = Hand::new(config(1));
    for peer in 0..3 {
        let alice = Author::new(2 + peer, "alice");
        let link = bob.connect(None, "10.0.0.2:5000");
        bob.control(link, Control::Hello(alice.hello()));
        let all: Vec<Entry> =
            (1..=FEEDS_MAX as u64).map(|session| Entry(alice.feed.author, session + 10_000, 9)).collect();
        for page in all.chunks(FEEDS_PER_PAGE_MAX) {
            bob.control(link, Control::Have { feeds: page.to_vec() });
        }
        bob.control(link, Control::Done {});
        assert_eq!(bob.is_closed(link), None);
        let asks = |control: &Control| matches!(control, Control::Want { .. } | Control::All {});
        let asked = controls_of(&bob.sent(link)).iter().any(asks);
        assert_eq!(asked, peer == 0, "at the bound, and nothing past it");
        // What the link itself remembers, and bob's own feed.
        let feeds = bob.room.view().feeds;
        assert!((FEEDS_MAX..=FEEDS_MAX + 1).contains(&feeds), "{feeds}");
    }
}

#[test]
fn of_posts_behind_a_gap_the_highest_are_dropped_and_asked_for_again() {
    let Two { mut bob, mut alice, a, c } = two();
    let missing = says(&mut alice, 2, 10);
    let posts = says(&mut alice, WAITING_BYTES_MAX / 10_000 + 20, 10_000);
    bob.control(c, alice.gap(2, 3));
    let mut kept = 0;
    for post in &posts {
        bob.post(c, post);
        let waiting = bob.room.view().waiting_bytes;
        assert!(waiting <= WAITING_BYTES_MAX, "{waiting}");
        kept = kept.max(waiting);
    }
    assert!(kept > WAITING_BYTES_MAX - 11_000, "at the bound: {kept}");
    assert_eq!(bob.is_closed(c), None);
    bob.sent(c);
    bob.posts(a, &missing);
    let have = bob.have(alice.feed);
    assert!(have < alice.next - 1 && bob.room.view().waiting_bytes == 0);
    assert!(
        controls_of(&bob.sent(c))
            .iter()
            .any(|control| matches!(control, Control::Want { from, .. } if *from == have + 1))
    );
    let rest = posts.iter().skip_while(|post| post.number <= have).cloned().collect::<Vec<_>>();
    bob.posts(c, &rest);
    assert_eq!((bob.have(alice.feed), bob.gaps()), (alice.next - 1, vec![]));
}

#[test]
fn gaps_in_ever_more_feeds_cost_their_link() {
    let Two { mut bob, a, c, .. } = two();
    let mut authors: Vec<Author> = (0..20).map(anybody).collect();
    for author in &mut authors {
        bob.post(a, &author.join());
    }
    for author in &mut authors {
        author.next = 3;
        bob.control(c, author.gap(2, 2));
        for post in says(author, 16, 60_000) {
            bob.post(c, &post);
        }
        let waiting = bob.room.view().waiting_bytes;
        assert!(waiting <= WAITING_BYTES_TOTAL_MAX + 61_000, "{waiting}");
    }
    assert_eq!((bob.is_closed(c), bob.is_closed(a)), (Some(End::FutureNumber), None));
}

#[test]
fn of_claims_of_lost_the_lowest_are_remembered() {
    let claims = LOST_CLAIMS_MAX as u64;
    for (reaches, is_lost) in [(1 + claims, true), (2 + claims, false)] {
        let Two { mut bob, mut alice, a, c } = two();
        let mut carol = Author::new(3, "carol");
        for last in (2..=2 + claims).rev() {
            bob.post(c, &carol.post(&lost(alice.feed, last)));
        }
        let posts = says(&mut alice, usize::try_from(reaches).unwrap() - 1, 10);
        bob.posts(a, &posts);
        bob.pass_alive(LOST_GRACE_MS + 1_000, &[a, c]);
        assert_eq!(!bob.room.view().present.contains(&alice.feed), is_lost, "at {reaches}");
    }
}

#[test]
fn claims_about_sessions_that_nobody_knows_are_remembered_up_to_a_bound() {
    let Two { mut bob, a, c, .. } = two();
    let mut carol = Author::new(3, "carol");
    let mut authors: Vec<Author> = (0..=EARLY_CLAIMS_MAX as u64).map(anybody).collect();
    for author in &authors {
        bob.post(c, &carol.post(&lost(author.feed, 1)));
    }
    for author in &mut authors {
        bob.post(a, &author.join());
    }
    bob.pass_alive(LOST_GRACE_MS + 1_000, &[a, c]);
    let present = bob.room.view().present;
    let here: Vec<usize> = (0..authors.len()).filter(|index| present.contains(&authors[*index].feed)).collect();
    assert_eq!(here, [EARLY_CLAIMS_MAX], "only the last claim was dropped");
}

#[test]
fn authors_with_clocks_ahead_are_told_of_up_to_a_bound() {
    let Two { mut bob, a, .. } = two();
    for index in 0..=UNTIMELY_MAX as u64 {
        let mut author = anybody(index);
        author.at += 2 * POST_AHEAD_MS_MAX;
        bob.post(a, &author.join());
    }
    let told = |event: &&Event| matches!(event, Event::Warning(text) if text.contains("hours ahead"));
    assert_eq!(bob.events.iter().filter(told).count(), UNTIMELY_MAX);
    assert_eq!((bob.room.view().present.len(), bob.is_closed(a)), (2, None), "all are refused");
}

#[test]
fn a_fork_is_told_from_a_copy_among_the_newest_posts() {
    let mut alice = Author::new(2, "alice");
    let mut seen = Seen::default();
    for post in says(&mut alice, TAILS_MAX + 1, 10) {
        seen.note(post.feed, post.number, Label::read(&post.frame).unwrap().tail);
    }
    let mut other = Author::new(2, "alice");
    let forks = says(&mut other, TAILS_MAX + 1, 11);
    let is_copy = |number: usize| seen.is_copy(&Label::read(&forks[number - 1].frame).unwrap());
    assert!(!is_copy(2), "at the bound");
    assert!(is_copy(1), "one past it");
}

#[test]
fn the_way_back_of_an_ack_is_known_for_the_newest_marks() {
    for (marks, is_passed_on) in [(MARK_ROUTES_MAX, true), (MARK_ROUTES_MAX + 1, false)] {
        let Two { mut bob, mut alice, a, c } = two();
        for _ in 0..marks {
            bob.post(a, &alice.marked("hello"));
        }
        bob.sent(a);
        let carol = Author::new(3, "carol");
        bob.arrive(c, vec![Arrival::Ack(carol.ack(alice.feed, 1, 2))]);
        let passed = bob.sent(a).iter().any(|sent| matches!(sent, Sent::Ack(ack) if ack.member == carol.feed));
        assert_eq!(passed, is_passed_on, "after {marks} marks");
    }
}

#[test]
fn more_dials_than_may_be_under_way_wait_for_their_turn() {
    let named = (0..DIALS_MAX + 3).map(|index| Named::anybody(format!("peer{index}:1"))).collect();
    let mut bob = Hand::new(Config { named, ..config(1) });
    bob.pass(1_000);
    assert_eq!(bob.dials.len(), DIALS_MAX);
    let failure = hobnob::room::DialFailure::Unreached("refused".to_owned());
    bob.input(Input::DialFailed { dial: bob.dials[0].0, failure });
    bob.pass(100);
    assert_eq!(bob.dials.len(), DIALS_MAX + 1);
}

#[test]
fn of_too_many_keys_that_broke_the_rules_the_least_guilty_are_forgotten() {
    let mut bob = Hand::new(config(1));
    let eve = Author::new(5, "eve");
    let offends = |bob: &mut Hand, peer: &Author, host: usize, end| {
        let link = bob.proved(peer, &format!("10.{}.{}.1:1", host / 256, host % 256));
        bob.input(Input::Broken { link, end });
    };
    offends(&mut bob, &eve, 1, End::BadSignature);
    offends(&mut bob, &eve, 2, End::BadSignature);
    for index in 0..=DOOR_GUESTS_MAX {
        offends(&mut bob, &anybody(index as u64), 3 + index, End::BadFrame);
    }
    let again = bob.proved(&eve, "10.200.0.1:1");
    assert_eq!(bob.is_closed(again), Some(End::Banned));
}
