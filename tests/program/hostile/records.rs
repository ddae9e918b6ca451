//! Records that are none, that say more than one thing, or that somebody else has not signed.

use std::io::Write;

use hobnob::limits::{FRAME_BYTES_MAX, NUMBER_MAX};
use hobnob::wire::record::{Control, Draft, Entry, FeedId, Header, Nick, Post};

use super::JOIN;
use crate::support::chat::{Chat, Cost};
use crate::support::wire::{Wire, lobby, now};

/// The stranger does something; it is told this reason, and the log has it.
fn is_let_go(does: impl FnOnce(&mut Wire), reason: &str) {
    let chat = Chat::start();
    let mut eve = chat.stranger();
    does(&mut eve);
    assert_eq!(eve.reason().as_deref(), Some(reason), "{}", chat.node.told());
    chat.node.wait_for_stderr(&format!("is closed: {reason}"));
    chat.finish();
}

/// Strangers send these frames, each one over a link of its own; each is told its reason, and the log has it.
fn frames_are_refused(frames: &[(Vec<u8>, &str)]) {
    let chat = Chat::start();
    for (index, (frame, reason)) in frames.iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        eve.greet();
        eve.write(frame);
        let told = eve.reason();
        let shown = String::from_utf8_lossy(&frame[..frame.len().min(400)]);
        assert_eq!(told.as_deref(), Some(*reason), "{shown}\n{}", chat.node.told());
    }
    for (_, reason) in frames {
        chat.node.wait_for_stderr(&format!("is closed: {reason}"));
    }
    chat.finish();
}

fn framed(json: &str) -> Vec<u8> {
    format!("{json}<MSGENCD>").into_bytes()
}

/// A post of `eve{index}`, the first of its feed.
fn post_of(index: usize, draft: &Draft<'_>) -> Post {
    let identity = Wire::identity_of(&format!("eve{index}"));
    let nick = Nick::new("eve").expect("a nick");
    let feed = FeedId { author: identity.id(), session: 77 };
    Post::encode(&Header { feed, number: 1, at: now(), nick: &nick, ack: false }, draft, &lobby(), &identity)
}

#[test]
fn what_is_not_encrypted_for_this_place_of_this_link_ends_it() {
    let chat = Chat::start();
    let raw: [&[u8]; 4] = [b"\x00\x00", b"\x00\x10................", b"\x00\x11.................", &vec![0xff; 70_000]];
    for (index, bytes) in raw.iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        eve.greet();
        let _ = { &*eve.socket }.write_all(bytes);
        assert_eq!(eve.reason().as_deref().unwrap_or("bad-cipher"), "bad-cipher", "{}", chat.node.told());
    }
    chat.node.wait_for_stderr("is closed: bad-cipher");
    chat.finish();
}

#[test]
fn a_frame_without_an_end_is_let_go_at_the_bound() {
    let endless = [&b"{\"type\":\""[..], &vec![b'x'; FRAME_BYTES_MAX - 9]].concat();
    is_let_go(
        |eve| {
            eve.greet();
            eve.write(&endless);
        },
        "bad-frame",
    );
}

#[test]
fn json_that_nests_is_let_go_however_it_does() {
    let deep = FRAME_BYTES_MAX / 2 - 100;
    let shapes = [("[", "]"), ("{\"a\":", "}"), ("[0,[0],{\"b\":", "}]")];
    let mut frames =
        vec![(framed(&"[".repeat(deep)), "bad-frame"), (framed(&"{\"a\":".repeat(deep / 5)), "bad-record")];
    for (open, close) in shapes {
        let depth = (FRAME_BYTES_MAX - 100) / (open.len() + close.len());
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        frames.push((framed(&format!(r#"{{"type":"later","deep":{nested}}}"#)), "bad-record"));
        frames.push((framed(&nested), if open.starts_with('{') { "bad-record" } else { "bad-frame" }));
    }
    // Within a post, too, before its signature is looked at.
    let post = post_of(0, &Draft::Nick).frame;
    let post = String::from_utf8(post.to_vec()).expect("a post is text");
    let nested = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    frames.push((post.replace(r#""body":{}"#, &format!(r#""body":{{"deep":{nested}}}"#)).into_bytes(), "bad-record"));
    frames.push((post.replace(r#","kind""#, &format!(r#","deep":{nested},"kind""#)).into_bytes(), "bad-record"));
    frames_are_refused(&frames);
}

#[test]
fn a_repeated_key_is_let_go_wherever_it_stands() {
    let post = String::from_utf8(post_of(0, &Draft::Leave { why: "" }).frame.to_vec()).expect("a post is text");
    let twice = |from: &str, to: &str| {
        let changed = post.replacen(from, to, 1);
        assert_ne!(changed, post);
        changed.into_bytes()
    };
    let frames = [
        framed(r#"{"type":"ping","type":"ping","token":1}"#),
        framed(r#"{"type":"ping","token":1,"tok\u0065n":1}"#),
        framed(r#"{"type":"later","in":[{"a":1,"b":2,"a":1}]}"#),
        twice(r#","nick""#, r#","at":1,"nick""#),
        twice(r#","kind""#, r#","kind":"say","kind""#),
        twice(r#"{"why":"""#, r#"{"why":"","why":"""#),
        twice(r#","kind""#, r#","number":2,"number":3,"kind""#),
        twice(r#","kind""#, r#","later":{"a":1,"a":2},"kind""#),
    ];
    let long = "\u{85}".repeat(FRAME_BYTES_MAX / 6);
    let long = [
        framed(&format!(r#"{{"type":"later","{long}":1,"{long}":2}}"#)),
        framed(&format!(r#"{{"type":"ping","token":"{long}"}}"#)),
        framed(&format!(r#"{{"type":"hello","version":1,"id":"{long}"}}"#)),
        framed(&format!(r#"{{"type":"{long}","type":1}}"#)),
    ];
    let frames: Vec<_> = frames.into_iter().chain(long).map(|frame| (frame, "bad-record")).collect();
    frames_are_refused(&frames);
}

#[test]
fn nothing_can_be_added_to_what_is_signed() {
    let post = String::from_utf8(post_of(0, &Draft::Mark).frame.to_vec()).expect("a post is text");
    let changed = |from: &str, to: &str| {
        let changed = post.replacen(from, to, 1);
        assert_ne!(changed, post);
        changed.into_bytes()
    };
    let sig = post.find(r#","sig":""#).expect("a post is signed") + 8;
    let upper = format!("{}{}{}", &post[..sig], post[sig..sig + 128].to_uppercase(), &post[sig + 128..]);
    frames_are_refused(&[
        (changed(r#""}<MSGENCD>"#, r#"" }<MSGENCD>"#), "bad-record"),
        (changed(r#""}<MSGENCD>"#, "\"}\n<MSGENCD>"), "bad-record"),
        (changed(r#""}<MSGENCD>"#, r#"","x":1}<MSGENCD>"#), "bad-record"),
        (changed(r#""}<MSGENCD>"#, r#"0"}<MSGENCD>"#), "bad-record"),
        (changed(r#","sig""#, r#", "sig""#), "bad-record"),
        (changed(r#"{"type":"post","#, r#"{"type":"post", "#), "bad-record"),
        (changed(r#"{"type":"post","#, r#" {"type":"post","#), "bad-frame"),
        (changed(r#"{"type":"post","#, r#"{"x":1,"type":"post","#), "bad-record"),
        (upper.into_bytes(), "bad-record"),
        // What stands before the signature is signed.
        (changed(r#","sig""#, r#","x":1,"sig""#), "bad-signature"),
        (changed(r#","kind":"mark""#, r#","kind":"later""#), "bad-signature"),
        (changed(r#""nick":"eve""#, r#""nick":"bob""#), "bad-signature"),
        (changed(r#""number":1,"#, r#""number":2,"#), "bad-signature"),
    ]);
}

#[test]
fn numbers_past_the_edge_are_let_go() {
    let id = Wire::identity_of("mallory").id();
    let templates = [
        r#"{"type":"ping","token":N}"#.to_owned(),
        r#"{"type":"pong","token":N}"#.to_owned(),
        format!(r#"{{"type":"want","author":"{id}","session":N,"from":1}}"#),
        format!(r#"{{"type":"want","author":"{id}","session":1,"from":N}}"#),
        format!(r#"{{"type":"quiet","author":"{id}","session":N}}"#),
        format!(r#"{{"type":"news","feeds":[["{id}",N,1]]}}"#),
        format!(r#"{{"type":"news","feeds":[["{id}",1,N]]}}"#),
    ];
    let edges = [NUMBER_MAX + 1, i64::MAX as u64, 1 << 63, u64::MAX];
    let no_numbers = ["18446744073709551616", "-1", "1.5", "1e300", "\"1\"", "null"];
    let edges_and_worse = edges.map(|edge| edge.to_string()).into_iter().chain(no_numbers.map(str::to_owned));
    let mut frames: Vec<Vec<u8>> = edges_and_worse
        .flat_map(|edge| templates.iter().map(move |template| framed(&template.replace('N', &edge))))
        .collect();
    let identity = Wire::identity_of("mallory");
    let nick = Nick::new("eve").expect("a nick");
    let mut sign = |session: u64, number: u64, at: u64| {
        let header = Header { feed: FeedId { author: id, session }, number, at, nick: &nick, ack: false };
        frames.push(Post::encode(&header, &Draft::Nick, &lobby(), &identity).frame.to_vec());
    };
    for edge in edges {
        sign(edge, 1, now());
        sign(1, edge, now());
        sign(1, 1, edge);
    }
    sign(0, 1, now());
    sign(1, 0, now());
    let frames: Vec<(Vec<u8>, &str)> = frames.into_iter().map(|frame| (frame, "bad-record")).collect();
    frames_are_refused(&frames);
}

#[test]
fn numbers_at_the_edge_do_nothing_to_anybody() {
    let mut chat = Chat::start();
    let mut eve = chat.stranger();
    let theirs = eve.greet();
    let feeds: Vec<FeedId> = theirs.iter().map(Entry::feed).collect();
    assert_eq!(feeds.len(), 3, "the node, alice and bob: {theirs:?}");
    for FeedId { author, session } in feeds.into_iter().chain([eve.feed]) {
        let entry = Entry(author, session, NUMBER_MAX);
        eve.send(&Control::News { feeds: vec![entry] });
        eve.send(&Control::Want { author, session, from: NUMBER_MAX, answer: true });
        eve.send(&Control::Quiet { author, session });
        eve.send(&Control::Want { author, session, from: NUMBER_MAX, answer: false });
    }
    eve.send(&Control::Ping { token: NUMBER_MAX });
    eve.next_control(|control| *control == Control::Pong { token: NUMBER_MAX });
    chat.goes_on("during");
    // The last number that a feed can have comes long before its turn.
    eve.send_post(NUMBER_MAX, &Draft::Nick);
    eve.send(&Control::Ping { token: 1 });
    eve.next_control(|control| *control == Control::Pong { token: 1 });
    let mut honest_once = chat.stranger_called("eve2");
    honest_once.greet();
    honest_once.send_post(1, &JOIN);
    honest_once.send_post(NUMBER_MAX, &Draft::Nick);
    assert_eq!(honest_once.reason().as_deref(), Some("future-number"), "{}", chat.node.told());
    chat.node.wait_for_stderr("is closed: future-number");
    chat.finish_but(Cost::LITTLE, |event| event["member"]["nick"] == "eve2");
}

#[test]
fn a_post_in_the_name_of_another_is_let_go() {
    let mut chat = Chat::start();
    let alice = chat.alice_id();
    let mut eve = chat.stranger();
    let entry = *eve.greet().iter().find(|entry| entry.0 == alice).expect("the node has alice's feed");
    chat.goes_on("now");
    let nick = Nick::new("alice").expect("a nick");
    let header = Header { feed: entry.feed(), number: entry.2 + 2, at: now(), nick: &nick, ack: false };
    let draft = Draft::Say { text: "I owe eve money", action: false, part: false };
    // Signed by eve, as she has no other key.
    eve.write(&Post::encode(&header, &draft, &lobby(), &eve.identity).frame);
    assert_eq!(eve.reason().as_deref(), Some("bad-signature"), "{}", chat.node.told());
    chat.node.wait_for_stderr("is closed: bad-signature");
    // What alice says next has the number of the forged one.
    chat.finish();
}

#[test]
fn who_says_exit_and_goes_on_is_not_heard() {
    let chat = Chat::start();
    let exit = |reason: &str| Control::Exit { reason: reason.to_owned(), text: String::new() }.encode();
    let more = |eve: &Wire| {
        eve.post(1, &Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None }).frame
    };
    for (index, reason) in ["goodbye", "renew", "no word of ours", "version"].into_iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        eve.greet();
        let more = more(&eve).repeat(500);
        eve.write(&[&exit(reason)[..], &more].concat());
        // In writes of their own, until the node takes no more.
        for _ in 0..100 {
            eve.write(&more);
        }
        drop(eve.reason());
    }
    chat.node.wait_for_stderr("bytes after the exit record");
    assert!(
        !chat
            .node
            .events()
            .iter()
            .any(|event| event["member"]["nick"].as_str().is_some_and(|nick| nick.starts_with("eve")))
    );
    chat.finish();
}
