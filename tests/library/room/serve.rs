//! Links are served by bytes, in turn: whoever brings much, or asks for much, has its share and no more.

use hobnob::limits::{FRAME_BYTES_MAX, OUTBOX_BYTES_MAX, SERVE_BYTES};
use hobnob::room::{Input, LinkId};
use hobnob::wire::record::{Control, Draft};

use super::hand::{Author, Hand, Sent, Two, anybody, config, says, two};

/// The bytes of posts that a link is sent until a post with that text is among them.
fn bytes_until(bob: &mut Hand, link: LinkId, text: &str) -> usize {
    let mut bytes = 0;
    for _ in 0..10_000 {
        let sent = bob.sent(link);
        assert!(!sent.is_empty(), "it is sent at last; {bytes} bytes were before it");
        let mut drained = 0;
        for sent in sent {
            if let Sent::Post(post) = sent {
                if post.text() == text {
                    return bytes;
                }
                drained += post.frame.len();
            }
        }
        bytes += drained;
        bob.input(Input::Drained { link, bytes: drained });
    }
    unreachable!("{bytes} bytes and no end");
}

/// A slow link was sent all that a flood of made-up members had brought, feed by feed, before it was the turn of what
/// somebody else had said.
#[test]
fn who_brings_a_thousand_feeds_holds_back_what_others_bring_by_a_few_posts() {
    let Two { mut bob, mut alice, a, c } = two();
    let slow = bob.level_link(&Author::new(4, "slow"));
    bob.stuck.insert(slow);
    for index in 0..200 {
        let mut ghost = anybody(index);
        bob.post(c, &ghost.join());
        bob.posts(c, &says(&mut ghost, 2, 50_000));
    }
    bob.post(a, &alice.say("a word"));
    let bytes = bytes_until(&mut bob, slow, "a word");
    assert!(bytes >= OUTBOX_BYTES_MAX, "what was queued before it is before it");
    let turns = 2 * (SERVE_BYTES + FRAME_BYTES_MAX);
    assert!(bytes <= OUTBOX_BYTES_MAX + FRAME_BYTES_MAX + turns, "{bytes} bytes of a flood before it");
}

/// Of two who both bring more than a slow link takes, each gets half of it.
#[test]
fn two_who_bring_much_share_a_slow_link_by_bytes() {
    let Two { mut bob, mut alice, a, c } = two();
    let slow = bob.level_link(&Author::new(4, "slow"));
    bob.stuck.insert(slow);
    // What fills the outbox.
    bob.posts(a, &says(&mut alice, 8, 60_000));
    let mut ghosts: Vec<Author> = (0..20).map(anybody).collect();
    for ghost in &mut ghosts {
        bob.post(c, &ghost.join());
        bob.posts(c, &says(ghost, 20, 4_000));
    }
    bob.posts(a, &says(&mut alice, 100, 4_000));
    let mut shares = [0, 0];
    while shares.iter().sum::<usize>() < 600_000 {
        let mut drained = 0;
        for sent in bob.sent(slow) {
            let Sent::Post(post) = sent else { continue };
            drained += post.frame.len();
            if post.frame.len() < 10_000 {
                shares[usize::from(post.feed != alice.feed)] += post.frame.len();
            }
        }
        assert!(drained > 0, "{shares:?}");
        bob.input(Input::Drained { link: slow, bytes: drained });
    }
    assert!(shares[0].abs_diff(shares[1]) <= OUTBOX_BYTES_MAX / 2 + 2 * SERVE_BYTES, "{shares:?}");
}

/// A peer that wants everything again and again, and reads none of it.
#[test]
fn who_asks_for_everything_holds_nobody_up() {
    let Two { mut bob, mut alice, a, c } = two();
    let greedy = bob.level_link(&Author::new(4, "greedy"));
    bob.posts(a, &says(&mut alice, 100, 50_000));
    bob.stuck.insert(greedy);
    for _ in 0..50 {
        bob.control(greedy, alice.quiet());
        bob.control(greedy, alice.want(1));
    }
    bob.sent(c);
    bob.post(a, &alice.say("a word"));
    let sent = bob.sent(c);
    assert!(matches!(sent.as_slice(), [Sent::Post(post)] if post.text() == "a word"), "at once, and nothing else");
    assert_eq!(bob.is_closed(greedy), None);
    let queued = bob.room.view().links.iter().map(|(_, queued)| *queued).max().unwrap();
    assert!(queued <= OUTBOX_BYTES_MAX + FRAME_BYTES_MAX, "{queued}");
}

/// In turn means in order, too: nothing is left out, and nothing said twice.
#[test]
fn what_is_served_in_turn_is_whole() {
    let mut bob = Hand::new(config(1));
    let (mut alice, mut carol) = (Author::new(2, "alice"), Author::new(3, "carol"));
    let (a, c) = (bob.level_link(&alice), bob.level_link(&carol));
    let slow = bob.level_link(&Author::new(4, "slow"));
    bob.stuck.insert(slow);
    for _ in 0..40 {
        bob.post(a, &alice.say(&"x".repeat(9_000)));
        bob.post(c, &carol.post(&Draft::Say { text: &"y".repeat(20_000), action: false, part: false }));
    }
    let mut got = [0, 0];
    loop {
        let sent = bob.sent(slow);
        let mut drained = 0;
        for sent in &sent {
            let Sent::Post(post) = sent else { continue };
            let place = usize::from(post.feed == carol.feed);
            if post.feed != bob.me {
                got[place] += 1;
                assert_eq!(post.number, got[place], "in order, without holes");
            }
            drained += post.frame.len();
        }
        if sent.is_empty() {
            break;
        }
        bob.input(Input::Drained { link: slow, bytes: drained });
    }
    assert_eq!(got, [40, 40]);
}

/// A peer that has nothing, and asks for all there is.
fn newcomer(bob: &mut Hand, index: u64) -> LinkId {
    let peer = anybody(1_000_000 + index);
    let link = bob.connect(None, "10.0.0.2:5000");
    bob.stuck.insert(link);
    bob.control(link, Control::Hello(peer.hello()));
    bob.control(link, Control::All {});
    bob.control(link, Control::Done {});
    link
}

/// What a newcomer is sent, by a socket that takes it in pieces: how many posts.
fn posts_taken(bob: &mut Hand, link: LinkId) -> usize {
    let mut posts = 0;
    loop {
        let sent = bob.take_sent().into_iter().filter(|(to, _)| *to == link).map(|(_, frame)| frame.len());
        let (count, bytes) = sent.fold((0, 0), |(count, bytes), frame| (count + 1, bytes + frame));
        if count == 0 || bob.is_closed(link).is_some() {
            return posts;
        }
        posts += count;
        bob.input(Input::Drained { link, bytes });
    }
}

/// A feed of one post was finished before anybody looked whether the outbox was full: from 3,200 of them on newcomers were
/// sent all at once, and cut as slow readers.
#[test]
fn thousands_of_sessions_of_one_post_each_reach_every_newcomer() {
    let mut bob = Hand::new(config(1));
    let bringers = [Author::new(2, "alice"), Author::new(3, "carol")];
    let bringers = bringers.map(|bringer| bob.level_link(&bringer));
    for index in 0..8_000 {
        let bringer = bringers[usize::from(index % 2 == 0)];
        bob.post(bringer, &anybody(index).join());
        if index == 3_999 || index == 7_999 {
            let count = bob.room.view().have.len();
            for index in 0..5 {
                let link = newcomer(&mut bob, index);
                let posts = posts_taken(&mut bob, link);
                assert_eq!(bob.is_closed(link), None, "with {count} sessions, after {posts} posts");
                assert!(posts >= count, "{posts} of {count}");
            }
        }
    }
}
