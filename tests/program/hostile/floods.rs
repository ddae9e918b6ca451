//! Too much of something: of feeds, of records, of addresses.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use hobnob::identity::Identity;
use hobnob::limits::{FEEDS_MAX, FEEDS_PER_PAGE_MAX, FRAME_BYTES_MAX, LOG_BYTES_MAX};
use hobnob::wire::record::{Draft, FeedId, Header, Nick, Post};
use serde_json::Value;

use crate::support::chat::{Chat, Cost};
use crate::support::wire::{Wire, lobby, now};

fn framed(json: &str) -> Vec<u8> {
    format!("{json}<MSGENCD>").into_bytes()
}

/// Sends until the node has closed the connection altogether, or so often.
fn until_closed(eve: &mut Wire, most: usize, mut send: impl FnMut(&mut Wire, usize)) {
    for turn in 0..most {
        send(eve, turn);
        if !eve.is_open() {
            return;
        }
    }
}

/// A page of feeds that nobody has, each page of others.
fn made_up_page(kind: &str, turn: usize) -> Vec<u8> {
    let entries: Vec<String> =
        (0..FEEDS_PER_PAGE_MAX).map(|entry| format!(r#"["{:064x}",1,1]"#, turn * FEEDS_PER_PAGE_MAX + entry)).collect();
    framed(&format!(r#"{{"type":"{kind}","feeds":[{}]}}"#, entries.join(",")))
}

/// What feeds without posts may take: a page's entries, and what is remembered of each on its link.
const FEEDS_BYTES_MAX: usize = FEEDS_MAX * 1024;

/// A million of something, in pages.
const MILLION_PAGES: usize = 1_000_000 / FEEDS_PER_PAGE_MAX;

#[test]
fn a_million_feeds_that_do_not_exist_take_no_room() {
    let mut chat = Chat::start();
    // Before posts flow they cost the link.
    let mut eve = chat.stranger_called("eve0");
    eve.hear_hello();
    eve.say_hello();
    until_closed(&mut eve, MILLION_PAGES, |eve, turn| eve.write(&made_up_page("have", turn)));
    assert_eq!(eve.reason().as_deref().unwrap_or("out-of-turn"), "out-of-turn", "{}", chat.node.told());
    chat.node.wait_for_stderr_times("is closed: out-of-turn", 1);
    chat.goes_on("during");
    // Then they may be there, and nobody here has room for them: what is told of is looked for, and forgotten.
    let mut eve = chat.stranger_called("eve1");
    eve.greet();
    until_closed(&mut eve, MILLION_PAGES, |eve, turn| eve.write(&made_up_page("news", turn)));
    chat.goes_on("still");
    drop(eve);
    chat.finish_but(Cost { links: 4, kept_bytes: FEEDS_BYTES_MAX }, |_| false);
}

#[test]
fn unknown_records_by_the_thousand_cost_the_link() {
    let chat = Chat::start();
    let kinds = ["later".to_owned(), "ping\",\"token\":1,\"x\":\"".to_owned(), "x".repeat(FRAME_BYTES_MAX - 100)];
    for (index, kind) in kinds.iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        eve.greet();
        let frame = framed(&format!(r#"{{"type":"{kind}"}}"#));
        until_closed(&mut eve, 5_000, |eve, _| eve.write(&frame));
        assert_eq!(eve.reason().as_deref().unwrap_or("flood"), "flood", "{}", chat.node.told());
    }
    chat.node.wait_for_stderr_times("is closed: flood", kinds.len());
    chat.finish();
}

/// Somebody who does not exist, with a key all the same.
fn ghost(number: usize) -> Identity {
    let mut seed = [13; 32];
    for (place, byte) in seed.iter_mut().zip(number.to_le_bytes()) {
        *place = byte;
    }
    Identity::from_seed(&seed)
}

/// A ghost's first post.
fn ghost_post(number: usize, draft: &Draft<'_>) -> Post {
    let (identity, nick) = (ghost(number), Nick::new("eve").expect("a nick"));
    let feed = FeedId { author: identity.id(), session: 1 };
    Post::encode(&Header { feed, number: 1, at: now(), nick: &nick, ack: false }, draft, &lobby(), &identity)
}

#[test]
fn feeds_by_the_ten_thousand_with_posts_in_them_keep_nobody_out() {
    let mut chat = Chat::start();
    let mut eve = chat.stranger();
    eve.greet();
    until_closed(&mut eve, 2 * FEEDS_MAX / 8, |eve, turn| {
        let posts: Vec<u8> =
            (0..8).flat_map(|index| ghost_post(8 * turn + index, &Draft::Nick).frame.to_vec()).collect();
        eve.write(&posts);
    });
    chat.goes_on("during");
    drop(eve);
    chat.finish_but(Cost { links: 4, kept_bytes: LOG_BYTES_MAX + FEEDS_BYTES_MAX }, is_about_ghosts);
}

/// What members are told of a crowd that has one name.
fn is_about_ghosts(event: &Value) -> bool {
    let told = event["text"].as_str().unwrap_or_default();
    ["look alike", "notices"].iter().any(|word| told.contains(word))
}

#[test]
fn addresses_by_the_thousand_do_not_make_members_knock_there_without_end() {
    let mut chat = Chat::start();
    let victim = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = victim.local_addr().expect("a bound socket has an address").port();
    let knocks = Arc::new(AtomicUsize::new(0));
    thread::spawn({
        let knocks = Arc::clone(&knocks);
        move || {
            while victim.accept().is_ok() {
                knocks.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let addresses =
        [format!("127.0.0.1:{port}"), "127.0.0.1:22".to_owned(), "192.168.0.1:80".to_owned(), "8.8.8.8:53".to_owned()];
    let addresses = addresses.map(|addr| addr.parse().expect("an address"));
    let mut eve = chat.stranger();
    eve.greet();
    let began = Instant::now();
    until_closed(&mut eve, 1_000, |eve, turn| {
        let draft = Draft::Join { addresses: &addresses, passing: true, rank: None, sealing: None, away: None };
        let posts: Vec<u8> = (0..8).flat_map(|index| ghost_post(8 * turn + index, &draft).frame.to_vec()).collect();
        eve.write(&posts);
    });
    let mut line = 0;
    while began.elapsed().as_secs() < 5 {
        line += 1;
        chat.goes_on(&format!("line {line}"));
    }
    // The node, alice and bob, whose pauses between dials grow from a quarter of a second.
    let most = 3 * usize::try_from(began.elapsed().as_secs() + 2).expect("a test is short");
    let knocks = knocks.load(Ordering::Relaxed);
    assert!((1..=most).contains(&knocks), "{knocks} knocks, over {most}: some, as nobody can know, and no more");
    drop(eve);
    chat.finish_but(Cost { links: 4, kept_bytes: LOG_BYTES_MAX + FEEDS_BYTES_MAX }, is_about_ghosts);
}
