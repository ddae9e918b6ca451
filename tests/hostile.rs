//! Promise: a hostile peer costs its own link and nothing else. Checked with an attacker of our own on a live node,
//! on encrypted links, through which two honest members chat: row by row each attack is tried, the attacker's
//! link ends, the node's log names the reason, the chat goes on with nothing lost, doubled or forged, threads
//! and memory stay under bounds that come out of `limits`, and somebody honest can still join.
//! The rows in the clear, and those about single records, are in `strangers.rs`.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

mod support;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Instant;

use hobnob::identity::Identity;
use hobnob::limits::{
    DIALS_MAX, FEEDS_MAX, FEEDS_PER_PAGE_MAX, FRAME_BYTES_MAX, HANDSHAKE_MS_MAX, LOG_BYTES_MAX, NUMBER_MAX,
};
use hobnob::wire::end::End;
use hobnob::wire::record::{Channel, Control, Draft, Entry, FeedId, Header, Hello, Nick, Post, Proof};
use hobnob::wire::secure::{Endpoint, HandshakeError, LinkSecurity, PREAMBLE_NOISE, Psk, Secured};
use nix::poll::{PollFd, poll};
use serde_json::Value;
use support::chat::{Chat, Cost, LIVELY};
use support::proxy::{Fault, Proxy, Way};
use support::wire::{HANGS_UP, Heard, Wire, connect_from, lobby, now, open_lobby};
use support::{PATIENCE, count_of, piping, said_by, undialable};

/// Where a crowd comes from. Honest members have another address.
const CROWDED_ADDRESS: &str = "127.66.0.1";

/// Strangers at a time, where they come by the thousand.
const CROWD: usize = 2_000;

/// Lengths of the handshake on the wire: the first line and the messages behind their lengths.
const FIRST_BYTES: usize = 15 + 2 + 48;
const SECOND_BYTES: usize = 2 + 96;
const THIRD_BYTES: usize = 2 + 64;

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

// ---- before the handshake is over -----------------------------------------------------------

#[test]
fn half_open_connections_by_the_thousand_end_in_time_and_keep_nobody_out() {
    support::allow_open_files(CROWD as u64 + 500);
    let mut chat = Chat::start();
    let addr = chat.node.addr();
    let began = Instant::now();
    let mut crowd: Vec<TcpStream> = Vec::with_capacity(CROWD);
    for index in 0..CROWD {
        let mut socket = connect_from(CROWDED_ADDRESS, &addr);
        // Silent ones; half a line; the line and nothing else; half a message.
        let said = [&b""[..], &PREAMBLE_NOISE[..7], PREAMBLE_NOISE, b"hobnob 1 noise\n\x00\x30 half"];
        // One that is turned away already takes no more.
        let _ = socket.write_all(said[index % said.len()]);
        crowd.push(socket);
        if index == CROWD / 2 {
            chat.goes_on("in the middle");
        }
    }
    chat.goes_on("during");
    for socket in &mut crowd {
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
        let mut told = Vec::new();
        // A reset is an end, too.
        let timed_out =
            socket.read_to_end(&mut told).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "every one of them is closed\n{}", chat.node.told());
    }
    assert!(began.elapsed().as_millis() > u128::from(HANDSHAKE_MS_MAX), "some had their time");
    chat.node.wait_for_stderr("handshake-timeout");
    chat.node.wait_for_stderr("crowded");
    chat.finish_but(Cost::crowd(), |_| false);
}

/// Strangers one after the other, the newest of them held, until it is dropped.
struct Flood {
    over: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Flood {
    fn start<T: Send + 'static>(connect: impl Fn() -> T + Send + 'static) -> Self {
        let (over, is_over) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut held = VecDeque::new();
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                held.push_back(connect());
                if held.len() > CROWD / 4 {
                    held.pop_front();
                }
            }
        });
        Self { over: Some(over), thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_stream_of_half_open_connections_does_not_keep_a_newcomer_out() {
    does_not_keep_a_newcomer_out(|addr| {
        let socket = connect_from(CROWDED_ADDRESS, addr);
        let _ = { &socket }.write_all(PREAMBLE_NOISE);
        socket
    });
}

#[test]
fn a_stream_of_handshakes_without_a_hello_does_not_keep_a_newcomer_out() {
    // Some are turned away in the middle.
    does_not_keep_a_newcomer_out(|addr| Wire::dial_over(connect_from(CROWDED_ADDRESS, addr), "eve", open_lobby()).ok());
}

fn does_not_keep_a_newcomer_out<T: Send + 'static>(connect: fn(&str) -> T) {
    support::allow_open_files(CROWD as u64 + 500);
    let mut chat = Chat::start();
    let addr = chat.node.addr();
    let flood = Flood::start(move || connect(&addr));
    chat.node.wait_for_stderr_often("is closed: crowded", CROWD / 4);
    let asked = Instant::now();
    let mut carol = chat.newcomer("carol");
    carol.wait_for_all(&["node", "alice", "bob"]);
    carol.say("hello");
    chat.bob.wait_for_said("carol", &["hello".to_owned()]);
    assert!(asked.elapsed() < LIVELY, "she is not kept out\n{}", chat.node.told());
    chat.goes_on("during");
    chat.node.wait_for_stderr_often("is closed: crowded", CROWD);
    chat.goes_on("still");
    drop(flood);
    drop(carol.finish());
    chat.finish_but(Cost::crowd(), |_| false);
}

/// Sends a byte a second until the connection is closed.
fn drip(socket: &TcpStream, bytes: &[u8], mut send: impl FnMut(u8)) {
    for byte in bytes.iter().cycle() {
        send(*byte);
        let mut fds = [PollFd::new(socket.as_fd(), HANGS_UP)];
        if poll(&mut fds, 1_000_u16).expect("a socket can be polled") > 0 {
            return;
        }
    }
}

#[test]
fn a_byte_a_second_is_as_late_as_silence() {
    let mut chat = Chat::start();
    let hello = b"{\"type\":\"hello\"".as_slice();
    let drip_raw = |mut socket: TcpStream, start: &[u8], rest: &[u8]| {
        socket.write_all(start).expect("the node has accepted");
        drip(&socket, rest, |byte| {
            let _ = { &socket }.write_all(&[byte]);
        });
    };
    let drip_messages = |mut eve: Wire| {
        let socket = Arc::clone(&eve.socket);
        drip(&socket, hello, |byte| eve.write(&[byte]));
    };
    let [mut in_a_frame, mut in_a_message] = ["eve1", "eve2"].map(|nick| chat.stranger_called(nick));
    in_a_frame.greet();
    in_a_message.greet();
    let in_a_message = in_a_message.socket.try_clone().expect("a socket can be shared");
    let (before_hello, silent, halfway) = (chat.stranger(), chat.connect(), chat.connect());
    thread::scope(|scope| {
        scope.spawn(|| drip_raw(silent, b"", PREAMBLE_NOISE));
        scope.spawn(|| drip_raw(halfway, PREAMBLE_NOISE, b"\x00\x30................"));
        scope.spawn(|| drip_messages(before_hello));
        scope.spawn(|| drip_messages(in_a_frame));
        scope.spawn(|| drip_raw(in_a_message, b"\xff\xff", b"."));
        chat.goes_on("during");
    });
    for (reason, times) in [("handshake-timeout", 3), ("frame-timeout", 1), ("silent", 1)] {
        chat.node.wait_for_stderr_times(&format!("is closed: {reason}"), times);
    }
    chat.finish_but(Cost { links: 5, kept_bytes: 0 }, |_| false);
}

/// Reads to the end of a connection.
fn rest_of(mut socket: &TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
    // A reset is an end, too.
    let late = socket.read_to_end(&mut rest).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!late, "the node closes the connection");
    rest
}

#[test]
fn a_handshake_replayed_is_no_link() {
    let chat = Chat::start();
    let way = Proxy::start(&chat.node.addr(), &[]);
    let mut carol = undialable("carol", &[&way.addr()]);
    carol.wait_for_all(&["node", "alice", "bob"]);
    carol.say("hello");
    chat.bob.wait_for_said("carol", &["hello".to_owned()]);
    let said = way.tapped()[0].up.clone();
    assert!(said.len() > FIRST_BYTES + THIRD_BYTES + 200, "a handshake, a hello and more");
    for bytes in [&said[..FIRST_BYTES + THIRD_BYTES], &said] {
        let mut eve = chat.connect();
        eve.write_all(bytes).expect("the node has accepted");
        assert!(rest_of(&eve).len() <= SECOND_BYTES, "nothing but an answer to the first message");
    }
    chat.node.wait_for_stderr_times("is closed: bad-cipher", 2);
    drop(carol.finish());
    chat.finish();
}

#[test]
fn a_static_key_swapped_on_the_way_is_no_link() {
    let chat = Chat::start();
    // The encrypted static keys of the two sides: the first try breaks on one, the second on the other.
    let way = Proxy::start(
        &chat.node.addr(),
        &[Fault::Flip(Way::Down, 2 + 32 + 7), Fault::Flip(Way::Up, FIRST_BYTES + 2 + 7)],
    );
    let carol = undialable("carol", &["-v", &way.addr()]);
    let is_told = |event: &Value| event["text"].as_str().is_some_and(|text| text.contains("does not decrypt"));
    carol.wait_for("why the first try failed", is_told);
    carol.wait_for_all(&["node", "alice", "bob"]);
    chat.node.wait_for_stderr_times("is closed: bad-cipher", 1);
    assert_eq!(way.tapped().len(), 3, "two tries that failed, and one that did not");
    drop(carol.finish());
    chat.finish();
}

/// Passes on what one side says to the other, decrypted in between, until either side ends.
fn pass_on(between: [Secured; 2]) {
    let [near, far] = between;
    thread::scope(|scope| {
        for (mut from, mut to) in [(near.receiver, far.sender), (far.receiver, near.sender)] {
            scope.spawn(move || {
                let mut buffer = [0; 16 * 1024];
                while let Ok(count @ 1..) = from.read(&mut buffer) {
                    to.push(buffer[..count].into());
                    while to.write().is_ok() && !to.is_empty() {}
                }
                let _ = to.socket().shutdown(std::net::Shutdown::Both);
            });
        }
    });
}

#[test]
fn one_who_knows_the_room_and_sits_in_the_middle_is_found_out_by_both() {
    let chat = Chat::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (middle, node) = (listener.local_addr().expect("a bound socket has an address").to_string(), chat.node.addr());
    thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let (near, far) = (Arc::new(near), Arc::new(connect_from("127.0.0.77", &node)));
            let endpoint = || Endpoint::new(open_lobby()).expect("random numbers");
            let deadline = Instant::now() + PATIENCE;
            let Ok(near) = endpoint().accept(&near, deadline) else { return };
            let Ok(far) = endpoint().dial(&far, deadline) else { return };
            pass_on([near, far]);
        }
    });
    let mut carol = piping("carol", &["-v", "--wait", "2", &middle]);
    carol.say("for the room alone");
    carol.end_input();
    assert_eq!(carol.exit_code(), 3, "nobody was reached\n{}", carol.told());
    carol.wait_for_stderr("bad-identity");
    chat.node.wait_for_stderr("is closed: bad-identity");
    assert!(!chat.node.told().contains("carol"), "{}", chat.node.told());
    chat.finish();
}

#[test]
fn one_with_another_secret_or_room_is_told_so_and_nothing_else() {
    let chat = Chat::start();
    for key in [Psk::derive("lobby", Some(&[1; 32])), Psk::derive("elsewhere", None)] {
        let refused = Wire::dial_over(chat.connect(), "eve", LinkSecurity::Noise(key));
        assert!(matches!(refused, Err(HandshakeError::Refused(End::Secret))), "{:?}", refused.err());
    }
    // Who knows no key at all learns as much.
    let mut eve = chat.connect();
    eve.write_all(&[PREAMBLE_NOISE, &[0, 48], &[9; 48]].concat()).expect("the node has accepted");
    let told = String::from_utf8(rest_of(&eve)).expect("an exit record in the clear");
    assert!(told.contains(r#""reason":"secret""#) && told.ends_with("<EXITENCD>"), "{told}");
    chat.node.wait_for_stderr_times("is closed: secret", 3);
    chat.finish();
}

#[test]
fn a_hello_that_was_not_signed_for_this_link_by_its_sender_is_a_forgery() {
    let chat = Chat::start();
    let heard = |eve: &mut Wire| {
        let Control::Hello(hello) = eve.next_control(|control| matches!(control, Control::Hello(_))) else {
            unreachable!("it was a hello")
        };
        hello
    };
    let channel = |eve: &Wire| eve.channel.expect("the link is encrypted");
    let (mut other, alice) = (chat.stranger_called("eve0"), chat.alice_id());
    heard(&mut other);
    let forgeries: [fn(&Wire, &Wire, Hello) -> Hello; 7] = [
        |eve, _, _| Hello { proof: None, ..eve.hello() },
        |eve, _, _| Hello { proof: Some(Proof([0; 64])), ..eve.hello() },
        // Signed by her, for another link.
        |eve, other, _| Hello { proof: other.channel.map(|link| link.prove(&lobby(), &eve.identity)), ..eve.hello() },
        // For the other end of this one.
        |eve, _, _| {
            let flipped = eve.channel.map(|link| Channel { dialler: false, ..link });
            Hello { proof: flipped.map(|link| link.prove(&lobby(), &eve.identity)), ..eve.hello() }
        },
        // For another room's.
        |eve, _, _| {
            let elsewhere = hobnob::wire::record::Domain::of_room("elsewhere");
            Hello { proof: eve.channel.map(|link| link.prove(&elsewhere, &eve.identity)), ..eve.hello() }
        },
        // Somebody else's name under her signature.
        |eve, other, _| Hello { id: other.identity.id(), ..eve.hello() },
        // What the node has just said itself.
        |_, _, node| node,
    ];
    for forge in forgeries {
        let mut eve = chat.stranger();
        let theirs = heard(&mut eve);
        assert!(channel(&eve).is_proved(&lobby(), &theirs), "the node's own proof is right");
        let forged = forge(&eve, &other, theirs);
        eve.send(&Control::Hello(forged));
        assert_eq!(eve.reason().as_deref(), Some("bad-identity"), "{}", chat.node.told());
    }
    // And in the name of a member who is here.
    let mut eve = chat.stranger();
    heard(&mut eve);
    eve.send(&Control::Hello(Hello { id: alice, ..eve.hello() }));
    assert_eq!(eve.reason().as_deref(), Some("bad-identity"), "{}", chat.node.told());
    chat.node.wait_for_stderr_times("is closed: bad-identity", 8);
    drop(other);
    chat.finish();
}

// ---- what is no record ------------------------------------------------------------------------

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
    let more = |eve: &Wire| eve.post(1, &Draft::Join { addresses: &[], passing: false }).frame;
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

// ---- floods ------------------------------------------------------------------------------------

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
        let draft = Draft::Join { addresses: &addresses, passing: true };
        let posts: Vec<u8> = (0..8).flat_map(|index| ghost_post(8 * turn + index, &draft).frame.to_vec()).collect();
        eve.write(&posts);
    });
    let mut line = 0;
    while began.elapsed().as_secs() < 5 {
        line += 1;
        chat.goes_on(&format!("line {line}"));
    }
    // The node, alice and bob.
    let most = 3 * DIALS_MAX * usize::try_from(began.elapsed().as_secs() + 1).expect("a test is short");
    let knocks = knocks.load(Ordering::Relaxed);
    assert!((1..=most).contains(&knocks), "{knocks} knocks, over {most}: some, as nobody can know, and no more");
    drop(eve);
    chat.finish_but(Cost { links: 4, kept_bytes: LOG_BYTES_MAX + FEEDS_BYTES_MAX }, is_about_ghosts);
}

// ---- signed lies -------------------------------------------------------------------------------

fn say(text: &str) -> Draft<'_> {
    Draft::Say { text, action: false, part: false }
}

const JOIN: Draft<'static> = Draft::Join { addresses: &[], passing: false };

#[test]
fn two_posts_under_one_number_are_proof_against_their_author() {
    let mut chat = Chat::start();
    let mut eve = chat.stranger();
    eve.greet();
    eve.send_post(1, &JOIN);
    eve.send_post(2, &say("I said yes"));
    chat.bob.wait_for_said("eve", &["I said yes".to_owned()]);
    eve.send_post(2, &say("I said no"));
    assert_eq!(eve.reason().as_deref(), Some("forked"), "{}", chat.node.told());
    chat.node.wait_for_stderr("is closed: forked");
    let is_told = |event: &Value| event["text"].as_str().is_some_and(|text| text.contains("two different messages"));
    for one in [&chat.node, &chat.alice, &chat.bob] {
        one.wait_for("the proof", is_told);
        one.wait_for_member("lost", "eve");
        assert_eq!(said_by(&one.events(), "eve"), ["I said yes"], "the first one stays");
    }
    chat.goes_on("during");
    chat.finish_but(Cost::LITTLE, |event| {
        is_told(event) || event["from"]["nick"] == "eve" || event["member"]["nick"] == "eve"
    });
}

#[test]
fn a_gap_notice_for_somebodys_whole_future_takes_nothing_from_it() {
    let mut chat = Chat::start();
    let alice = chat.alice_id();
    let gaps: [fn(u64) -> (u64, u64); 3] =
        [|have| (have + 1, NUMBER_MAX), |have| (have + 1, NUMBER_MAX - 1), |have| (1, have + 1_000_000)];
    let mut held = Vec::new();
    for (index, gap) in gaps.into_iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        let entry = *eve.greet().iter().find(|entry| entry.0 == alice).expect("the node has alice's feed");
        let (from, to) = gap(entry.2);
        eve.send(&Control::Gap { author: alice, session: entry.1, from, to });
        chat.goes_on(&format!("during {index}"));
        held.push(eve);
    }
    assert_eq!(held[0].reason().as_deref(), Some("empty-gap"), "nobody can have said all that");
    chat.node.wait_for_stderr("is closed: empty-gap");
    chat.finish();
}

#[test]
fn a_false_lost_of_a_live_member_is_not_seen() {
    let mut chat = Chat::start();
    let alice = chat.alice_id();
    let mut eve = chat.stranger();
    let mut entry = *eve.greet().iter().find(|entry| entry.0 == alice).expect("the node has alice's feed");
    eve.send(&Control::Want { author: alice, session: entry.1, from: entry.2 + 1, answer: false });
    eve.send_post(1, &JOIN);
    chat.bob.wait_for_member("joined", "eve");
    for turn in 0..200 {
        eve.send_post(turn + 2, &Draft::Lost { feed: entry.feed(), last: entry.2 + turn });
    }
    chat.goes_on("during");
    // And one at the very number that she has, again and again.
    let mut number = 202;
    for token in 0..20 {
        eve.send(&Control::Ping { token });
        loop {
            match eve.next().expect("no rule is broken") {
                Heard::Post(post) if post.feed == entry.feed() => entry.2 = post.number,
                Heard::Control(Control::Pong { token: answered }) if answered == token => break,
                _ => {}
            }
        }
        eve.send_post(number, &Draft::Lost { feed: entry.feed(), last: entry.2 });
        number += 1;
        // She joins anew, at once.
        while !matches!(eve.next().expect("no rule is broken"), Heard::Post(post) if post.feed == entry.feed()) {}
        entry.2 += 1;
    }
    chat.goes_on("still");
    let shown = chat.bob.events();
    assert_eq!(count_of(&shown, "joined", "alice"), 1, "she has been here all the time\n{}", chat.bob.told());
    eve.send_post(number, &Draft::Leave { why: "" });
    for one in [&chat.node, &chat.alice, &chat.bob] {
        one.wait_for_member("left", "eve");
    }
    drop(eve);
    chat.finish();
}

#[test]
fn a_clock_ten_years_off_is_told_and_refused() {
    const TEN_YEARS: u64 = 10 * 365 * 24 * 3_600_000;
    let mut chat = Chat::start();
    let times: [fn() -> u64; 5] = [|| now() + TEN_YEARS, || now() - TEN_YEARS, || 0, || NUMBER_MAX, || 1];
    // In a hello.
    for (index, time) in times.into_iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{index}"));
        eve.hear_hello();
        eve.send(&Control::Hello(Hello { time: time(), ..eve.hello() }));
        assert_eq!(eve.reason().as_deref(), Some("clock"), "{}", chat.node.told());
    }
    chat.node.wait_for_stderr_times("is closed: clock", times.len());
    // In posts of one who says hello with the right time.
    for (index, time) in times.into_iter().enumerate() {
        let mut eve = chat.stranger_called(&format!("eve{}", index + 10));
        eve.greet();
        let nick = Nick::new("eve").expect("a nick");
        for (number, draft) in [(1, JOIN), (2, say("the future is now"))] {
            let header = Header { feed: eve.feed, number, at: time(), nick: &nick, ack: true };
            let post = Post::encode(&header, &draft, &lobby(), &eve.identity);
            eve.write(&post.frame);
        }
        assert_eq!(eve.reason().as_deref(), Some("clock"), "{}", chat.node.told());
    }
    chat.node.wait_for_stderr_times("is closed: clock", 2 * times.len());
    chat.goes_on("during");
    let is_told = |event: &Value| event["text"].as_str().is_some_and(|text| text.starts_with("the clock of eve"));
    chat.finish_but(Cost::LITTLE, is_told);
}

const HOUR: u64 = 3_600_000;

/// The posts of somebody's session that is over, as somebody else may have kept them.
fn session_of(name: &str, session: u64, began: u64, drafts: &[Draft<'_>]) -> Vec<Vec<u8>> {
    let (identity, nick) = (Wire::identity_of(name), Nick::new(name).expect("a nick"));
    let feed = FeedId { author: identity.id(), session };
    let posts = drafts.iter().zip(1..).map(|(draft, number)| {
        let header = Header { feed, number, at: began + number, nick: &nick, ack: false };
        Post::encode(&header, draft, &lobby(), &identity).frame.to_vec()
    });
    posts.collect()
}

#[test]
fn yesterdays_session_played_again_brings_back_nobody_and_says_nothing_new() {
    let mut chat = Chat::start();
    // Eve's session of yesterday, without its end; and of an hour ago that of one who is here again.
    let mut mallory = chat.stranger_called("eve-too");
    mallory.greet();
    mallory.send_post(1, &JOIN);
    for one in [&chat.alice, &chat.bob] {
        one.wait_for_member("joined", "eve-too");
    }
    let mut eve = chat.stranger();
    eve.greet();
    let old = session_of("eve-gone", 5, now() - 24 * HOUR, &[JOIN, say("I promise"), say("you a pony")]);
    let older = session_of("eve-too", 5, now() - HOUR, &[JOIN, say("I promise"), say("you a pony")]);
    for post in old.iter().chain(&older) {
        eve.write(post);
    }
    eve.send(&Control::Ping { token: 1 });
    eve.next_control(|control| *control == Control::Pong { token: 1 });
    chat.goes_on("during");
    for one in [&chat.node, &chat.alice, &chat.bob] {
        let events = one.events();
        assert_eq!(count_of(&events, "joined", "eve-gone"), 0, "{}", one.told());
        assert_eq!(count_of(&events, "joined", "eve-too"), 1, "{}", one.told());
        let fresh =
            |event: &&Value| event["event"] == "say" && event["backlog"] == false && event["text"] == "I promise";
        assert_eq!(events.iter().filter(fresh).count(), 0, "{}", one.told());
    }
    mallory.send_post(2, &Draft::Leave { why: "" });
    chat.bob.wait_for_member("left", "eve-too");
    drop((eve, mallory));
    chat.finish_but(Cost::LITTLE, |event| event["backlog"] == true);
}

// ---- who stands still ------------------------------------------------------------------------------
