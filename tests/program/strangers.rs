//! Promise: a hostile or broken peer costs its link and nothing else. Checked with strangers that the
//! test plays, on a node through which two honest members chat: each stranger is told a stable reason in
//! an exit record where it still reads, its connection is closed, the node's log names the reason, and
//! the chat goes on with nothing lost and nothing forged.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::io::{Read, Write};
use std::time::Instant;

use crate::support::chat::{Chat, Cost};
use crate::support::undialable;
use crate::support::wire::{Wire, connect};
use hobnob::identity::Identity;
use hobnob::limits::{FRAME_BYTES_MAX, HANDSHAKE_MS_MAX, JSON_DEPTH_MAX};
use hobnob::wire::record::{Control, Domain, Draft, FeedId, Header, Nick, Post};

/// The stranger does something; it is told this reason, and the log has these words.
fn is_let_go(does: impl FnOnce(&mut Wire), reason: &str, logged: &[&str]) {
    let chat = Chat::in_the_clear();
    let mut eve = chat.stranger();
    does(&mut eve);
    assert_eq!(eve.reason().as_deref(), Some(reason), "{}", chat.node.told());
    chat.node.wait_for_stderr(reason);
    for words in logged {
        chat.node.wait_for_stderr(words);
    }
    chat.finish();
}

/// A stranger that is linked already sends JSON that is no record.
fn record_is_refused(json: &str, logged: &str) {
    let linked = |eve: &mut Wire| {
        eve.greet();
        eve.send_json(json);
    };
    is_let_go(linked, "bad-record", &[logged]);
    // Before hello nothing is trusted either.
    is_let_go(
        |eve| {
            eve.hear_hello();
            eve.send_json(json);
        },
        "bad-record",
        &[logged],
    );
}

#[test]
fn a_web_browser_is_let_go_at_its_first_line() {
    let chat = Chat::in_the_clear();
    let mut browser = connect(&chat.node.addr());
    browser.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the node has accepted");
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = browser.read_to_end(&mut answer);
    assert_eq!(answer, b"", "who does not speak hobnob learns nothing");
    chat.node.wait_for_stderr("bad-frame");
    chat.finish();
}

#[test]
fn a_silent_stranger_is_let_go_after_the_time_for_a_handshake() {
    let chat = Chat::in_the_clear();
    let asked = Instant::now();
    let mut silent = connect(&chat.node.addr());
    let _ = silent.read_to_end(&mut Vec::new());
    assert!(asked.elapsed().as_millis() >= u128::from(HANDSHAKE_MS_MAX), "not before its time");
    chat.node.wait_for_stderr("handshake-timeout");
    chat.finish();
}

#[test]
fn what_begins_with_no_brace_is_let_go_at_its_first_byte() {
    let asks = |eve: &mut Wire| eve.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is_let_go(asks, "bad-frame", &["a frame that does not begin with '{'"]);
}

#[test]
fn a_stranger_who_says_no_hello_is_let_go_after_the_same_time() {
    let asked = Instant::now();
    is_let_go(|_| {}, "handshake-timeout", &[]);
    assert!(asked.elapsed().as_millis() >= u128::from(HANDSHAKE_MS_MAX), "not before its time");
}

#[test]
fn a_stranger_who_says_hello_byte_by_byte_for_ever_is_let_go_in_time() {
    let drips = |eve: &mut Wire| {
        let socket = std::sync::Arc::clone(&eve.socket);
        std::thread::spawn(move || {
            // Until the node closes the connection.
            while std::io::Write::write_all(&mut &*socket, b"{").is_ok() {
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        });
    };
    // Bytes may be on their way when the node closes: then the system drops its exit record.
    let chat = Chat::in_the_clear();
    let mut eve = chat.stranger();
    drips(&mut eve);
    let reason = eve.reason();
    assert!(reason.as_deref().is_none_or(|word| word == "handshake-timeout"), "{reason:?}");
    chat.node.wait_for_stderr("handshake-timeout");
    chat.finish();
}

#[test]
fn random_bytes_are_no_frame() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(4_096)
    .collect();
    assert_ne!(bytes.first(), Some(&b'{'), "this seed begins no frame");
    is_let_go(|eve| eve.write(&bytes), "bad-frame", &["a frame that does not begin with '{'"]);
}

#[test]
fn a_frame_without_an_end_is_let_go_at_the_bound() {
    let endless = [&b"{\"type\":\""[..], &vec![b'x'; FRAME_BYTES_MAX - 9]].concat();
    is_let_go(|eve| eve.write(&endless), "bad-frame", &["frame of more than 65536 bytes"]);
}

#[test]
fn a_frame_of_exactly_the_bound_is_read() {
    let chat = Chat::in_the_clear();
    let mut eve = chat.stranger();
    eve.greet();
    let (start, end) = (br#"{"type":"later","pad":""#, br#""}<MSGENCD>"#);
    let pad = vec![b'x'; FRAME_BYTES_MAX - start.len() - end.len()];
    eve.write(&[&start[..], &pad, end].concat());
    eve.send(&Control::Ping { token: 5 });
    eve.next_control(|control| *control == Control::Pong { token: 5 });
    eve.send(&Control::Exit { reason: "goodbye".to_owned(), text: String::new() });
    assert_eq!(eve.reason().as_deref(), Some("goodbye"));
    chat.finish();
}

#[test]
fn a_stray_delimiter_byte_is_no_frame() {
    let stray = |eve: &mut Wire| {
        eve.greet();
        eve.write(br#"{"type":"ping","token":1,"why":"a<b"}<MSGENCD>"#);
    };
    is_let_go(stray, "bad-frame", &["a '<' that begins no delimiter"]);
}

#[test]
fn bytes_that_are_not_utf8_are_no_record() {
    let broken = |eve: &mut Wire| {
        eve.greet();
        eve.write(b"{\"type\":\"ping\",\"token\":1,\"why\":\"\xff\"}<MSGENCD>");
    };
    is_let_go(broken, "bad-record", &["not UTF-8"]);
}

#[test]
fn json_that_nests_too_deep_is_no_record() {
    let nested =
        |depth: usize| format!(r#"{{"type":"later","deep":{}1{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
    record_is_refused(&nested(JSON_DEPTH_MAX + 1), "bad-record");
    // At the bound it is skipped like any record of a later version.
    let chat = Chat::in_the_clear();
    let mut eve = chat.stranger();
    eve.greet();
    eve.send_json(&nested(JSON_DEPTH_MAX));
    eve.send(&Control::Ping { token: 6 });
    eve.next_control(|control| *control == Control::Pong { token: 6 });
    chat.finish();
}

#[test]
fn a_repeated_key_is_no_record() {
    record_is_refused(r#"{"type":"ping","token":1,"token":2}"#, "token");
}

#[test]
fn a_wrong_type_is_no_record() {
    record_is_refused(r#"{"type":"ping","token":"one"}"#, "invalid type");
}

#[test]
fn what_is_not_json_is_no_record() {
    record_is_refused("{hello}", "bad-record");
}

#[test]
fn a_post_in_the_name_of_another_is_let_go_and_not_shown() {
    let chat = Chat::in_the_clear();
    let mut eve = chat.stranger();
    let theirs = eve.greet();
    let alice = chat.node.wait_for_member("joined", "alice")["member"]["id"].clone();
    let alice = alice.as_str().expect("a member has an id").to_owned();
    let entry = theirs.iter().find(|entry| entry.0.to_string() == alice).expect("the node has alice's feed");
    // Signed by eve, as she has no other key.
    let nick = Nick::new("alice").expect("a nick");
    let at = 1_700_000_000_000;
    let header = Header { feed: entry.feed(), number: entry.2 + 1, at, nick: &nick, ack: false };
    let draft = Draft::Say { text: "I owe eve money", action: false, part: false };
    let forged = Post::encode(&header, &draft, &Domain::of_room("lobby"), &eve.identity);
    eve.write(&forged.frame);
    assert_eq!(eve.reason().as_deref(), Some("bad-signature"), "{}", chat.node.told());
    chat.node.wait_for_stderr("bad-signature");
    // What alice says next has the number of the forged one.
    chat.finish();
}

#[test]
fn a_post_of_another_room_is_let_go() {
    let carried = |eve: &mut Wire| {
        eve.greet();
        let identity = Identity::from_seed(&[9; 32]);
        let nick = Nick::new("mallory").expect("a nick");
        let feed = FeedId { author: identity.id(), session: 1 };
        let header = Header { feed, number: 1, at: 1_700_000_000_000, nick: &nick, ack: false };
        let draft = Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None };
        let post = Post::encode(&header, &draft, &Domain::of_room("elsewhere"), &identity);
        eve.write(&post.frame);
    };
    is_let_go(carried, "bad-signature", &[]);
}

#[test]
fn a_number_from_the_future_is_let_go() {
    let skips = |eve: &mut Wire| {
        eve.greet();
        eve.send_post(1, &Draft::Join { addresses: &[], passing: true, rank: None, sealing: None, away: None });
        eve.send_post(3, &Draft::Say { text: "from the future", action: false, part: false });
    };
    let chat = Chat::in_the_clear();
    let mut eve = chat.stranger();
    skips(&mut eve);
    assert_eq!(eve.reason().as_deref(), Some("future-number"), "{}", chat.node.told());
    chat.node.wait_for_stderr("future-number");
    // Eve was a member, by her join, and vanished.
    for one in [&chat.node, &chat.alice, &chat.bob] {
        one.wait_for_member("lost", "eve");
    }
    chat.finish_but(Cost::LITTLE, |event| event["member"]["nick"] == "eve");
}

#[test]
fn a_second_hello_is_out_of_turn() {
    let repeats = |eve: &mut Wire| {
        eve.greet();
        eve.say_hello();
    };
    is_let_go(repeats, "out-of-turn", &[]);
}

#[test]
fn records_before_hello_are_out_of_turn() {
    let hurries = |eve: &mut Wire| {
        eve.hear_hello();
        eve.send(&Control::Ping { token: 1 });
    };
    is_let_go(hurries, "out-of-turn", &[]);
}

#[test]
fn a_post_before_hello_is_out_of_turn() {
    let hurries = |eve: &mut Wire| {
        eve.hear_hello();
        eve.send_post(1, &Draft::Join { addresses: &[], passing: true, rank: None, sealing: None, away: None });
    };
    is_let_go(hurries, "out-of-turn", &[]);
}

#[test]
fn bytes_after_the_exit_record_change_nothing() {
    let chat = Chat::in_the_clear();
    let mut eve = chat.stranger();
    eve.greet();
    let exit = Control::Exit { reason: "goodbye".to_owned(), text: String::new() };
    let ping = Control::Ping { token: 1 };
    eve.write(&[&exit.encode()[..], &ping.encode()[..]].concat());
    assert_eq!(eve.reason().as_deref(), Some("goodbye"), "{}", chat.node.told());
    chat.node.wait_for_stderr("bytes after the exit record");
    chat.finish();
}

#[test]
fn an_exit_record_with_the_wrong_delimiter_is_no_record() {
    record_is_refused(r#"{"type":"exit","reason":"goodbye","text":""}"#, "the delimiter does not fit the record");
}

#[test]
fn another_version_of_the_protocol_is_refused_by_name() {
    let newer = |eve: &mut Wire| {
        eve.hear_hello();
        let mut hello = eve.hello();
        hello.version = 2;
        eve.send(&Control::Hello(hello));
    };
    is_let_go(newer, "version", &[]);
}

#[test]
fn a_flood_of_silent_strangers_does_not_keep_an_honest_one_out() {
    let chat = Chat::in_the_clear();
    let strangers: Vec<Wire> = (0..100).map(|_| chat.stranger()).collect();
    let mut carol = undialable("carol", &["--plaintext", &chat.node.addr()]);
    carol.wait_for_all(&["node", "alice", "bob"]);
    carol.say("hello");
    chat.bob.wait_for_said("carol", &["hello".to_owned()]);
    chat.node.wait_for_stderr("crowded");
    drop(strangers);
    drop(carol.finish());
    chat.finish_but(Cost::crowd(), |_| false);
}
