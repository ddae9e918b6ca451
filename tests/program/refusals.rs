//! Promise: two who cannot have a link tell each other why, in words, at once, and nothing else; and what is no
//! refusal is not taken for one. Checked with real processes that refuse each other, and with sides of a handshake
//! that the test plays itself, byte by byte.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::wire::{Wire, connect, now};
use crate::support::{Node, PATIENCE, chatting, piping};
use hobnob::limits::{CLEAR_EXIT_BYTES_MAX, HANDSHAKE_MS_MAX, PREAMBLE_BYTES_MAX};
use hobnob::wire::end::End;
use hobnob::wire::record::{Control, Domain, Draft, Header, Nick, Post};
use hobnob::wire::secure::{PREAMBLE_NOISE, PREAMBLE_PLAIN};

/// A pipe that dials somebody who answers with these bytes: its exit code, and what it told.
fn pipe_to(answer: &'static [u8]) -> (i32, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound socket has an address").to_string();
    thread::spawn(move || {
        while let Ok((mut socket, _)) = listener.accept() {
            let _ = socket.read(&mut [0; 256]);
            let _ = socket.write_all(answer);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let _ = socket.read_to_end(&mut Vec::new());
        }
    });
    let mut pipe = piping("pipe", &["--wait", "2", &addr]);
    pipe.say("hello");
    pipe.end_input();
    (pipe.exit_code(), all_of(&pipe))
}

/// What a run told, in full.
fn all_of(node: &Node) -> String {
    node.events().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn two_rooms_refuse_each_other_and_the_host_notes_it() {
    let host = chatting("host", &["-v", "--room", "here"]);
    let mut guest = piping("guest", &["--room", "there", &host.addr()]);
    guest.say("hello");
    guest.end_input();
    assert_eq!(guest.exit_code(), 5, "{}", guest.told());
    host.wait_for_stderr("is closed: secret");
    assert!(!host.told().contains("there") && !guest.told().contains("here\""), "neither learns the other's room");
    drop(host.finish());
}

#[test]
fn a_later_version_is_refused_by_its_first_line() {
    let host = chatting("host", &["-v"]);
    let mut later = connect(&host.addr());
    later.write_all(b"hobnob 2 noise\n").expect("the host has accepted");
    let mut told = String::new();
    later.read_to_string(&mut told).expect("an exit record in the clear");
    assert!(told.contains(r#""reason":"version""#) && told.ends_with("<EXITENCD>"), "{told}");
    host.wait_for_stderr("is closed: version");
    drop(host.finish());
    let (code, told) = pipe_to(br#"{"type":"exit","reason":"version","text":""}<EXITENCD>"#);
    assert_eq!(code, 5, "{told}");
    assert!(told.contains("speaks another version of the protocol"), "{told}");
}

#[test]
fn an_answer_that_makes_no_sense_is_no_refusal() {
    let endless = [&br#"{"type":"exit","reason":""#[..], &vec![b'x'; CLEAR_EXIT_BYTES_MAX]].concat().leak();
    let answers: [&[u8]; 7] = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x60",
        b"{",
        endless,
        br#"{"type":"ping","token":1}<EXITENCD>"#,
        // In the clear anybody on the way may say this: what only a member may say does not count.
        br#"{"type":"exit","reason":"goodbye","text":""}<EXITENCD>"#,
    ];
    for answer in answers {
        let (code, told) = pipe_to(answer);
        assert_eq!(code, 3, "{}: {told}", String::from_utf8_lossy(answer));
    }
}

// ---- the first line ----------------------------------------------------------------------------

/// What a host answers to these bytes, at once, and why it says that the link is closed.
fn answer_to(host: &Node, said: &[u8], reason: &str, times: usize) -> String {
    let asked = Instant::now();
    let mut socket = connect(&host.addr());
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
    socket.write_all(said).expect("the host has accepted");
    let mut told = Vec::new();
    let end = socket.read_to_end(&mut told);
    // A reset is an end, too.
    assert!(!end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "the host closes the connection");
    let shown = String::from_utf8_lossy(said);
    assert!(asked.elapsed() < Duration::from_millis(HANDSHAKE_MS_MAX), "{shown:?} is not waited for\n{}", host.told());
    host.wait_for_stderr_times(&format!("is closed: {reason}"), times);
    String::from_utf8(told).expect("an exit record, or nothing")
}

/// The line was waited for until it had the 15 bytes of ours, and what came behind it was taken for a part of it.
#[test]
fn another_version_is_refused_however_short_its_first_line_and_whatever_follows() {
    let host = chatting("host", &["-v"]);
    let lines: [&[u8]; 6] = [
        b"hobnob 2\n",
        b"hobnob 2\n\x00\x30",
        b"hobnob 2\nhobnob 1 noise\n",
        b"hobnob 0 noise\n",
        b"hobnob 9007199254740993 x\n{\"type\":\"hello\"",
        b"hobnob 2 twenty-two letters more\n",
    ];
    assert_eq!(lines[5].len(), PREAMBLE_BYTES_MAX + 1, "one past the bound");
    for (line, times) in lines[..5].iter().zip(1..) {
        let told = answer_to(&host, line, "version", times);
        assert!(told.contains(r#""reason":"version""#) && told.ends_with("<EXITENCD>"), "{told}");
    }
    assert_eq!(answer_to(&host, lines[5], "bad-frame", 1), "");
    drop(host.finish());
}

#[test]
fn a_first_line_that_is_none_gets_no_word() {
    let host = chatting("host", &["-v"]);
    let lines: [&[u8]; 8] = [
        b"hobnob \n",
        b"hobnob +2\n",
        b"hobnob 2x noise\n",
        b"hobnob two\n",
        b"hobnob 1\n",
        b"hobnob 1 nois\n",
        b"hobnob 99999999999999999999\n",
        b"\n",
    ];
    for (line, times) in lines.iter().zip(1..) {
        assert_eq!(answer_to(&host, line, "bad-frame", times), "", "{}", String::from_utf8_lossy(line));
    }
    drop(host.finish());
}

/// Whatever was wrong with it, the first message was answered with `secret`.
#[test]
fn a_first_message_of_another_length_is_no_frame_and_no_question_of_secrets() {
    let host = chatting("host", &["-v"]);
    for (length, times) in [0_u8, 1, 47, 49, 255].into_iter().zip(1..) {
        let said = [PREAMBLE_NOISE, &[0, length], &vec![9; length.into()]].concat();
        assert_eq!(answer_to(&host, &said, "bad-frame", times), "", "of {length} bytes");
    }
    let told = answer_to(&host, &[PREAMBLE_NOISE, &[0, 48], &[9; 48]].concat(), "secret", 1);
    assert!(told.contains(r#""reason":"secret""#), "{told}");
    drop(host.finish());
}

/// The answer is the one to strangers who know another key, so the line was taken for what it is, and no more of it.
#[test]
fn a_first_line_may_come_byte_by_byte() {
    let host = chatting("host", &["-v"]);
    let mut socket = connect(&host.addr());
    socket.set_nodelay(true).expect("a socket sends at once");
    for byte in [PREAMBLE_NOISE, &[0, 48], &[9; 48]].concat() {
        socket.write_all(&[byte]).expect("the host reads on");
    }
    let mut told = String::new();
    socket.read_to_string(&mut told).expect("an exit record in the clear");
    assert!(told.contains(r#""reason":"secret""#), "{told}");
    drop(host.finish());
}

// ---- who is banned -----------------------------------------------------------------------------

/// Strangers of this machine break the rules until all of it is banned.
fn ban_this_address(host: &Node) {
    let addr = host.addr();
    // Together: while one of them is linked the others are let in.
    let mut strangers = ["eve", "mallory", "trudy"].map(|nick| Wire::dial_encrypted(&addr, nick));
    for stranger in &mut strangers {
        stranger.greet();
    }
    for stranger in &mut strangers {
        let nick = Nick::new("eve").expect("a nick");
        let header = Header { feed: stranger.feed, number: 1, at: now(), nick: &nick, ack: false };
        let draft = Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None };
        let forged = Post::encode(&header, &draft, &Domain::of_room("elsewhere"), &stranger.identity);
        stranger.write(&forged.frame);
        assert_eq!(stranger.reason().as_deref(), Some("bad-signature"));
    }
    host.wait_for_stderr_times("is closed: bad-signature", strangers.len());
}

/// Who is turned away at the door was told nothing, and took it for a bad network.
#[test]
fn who_is_banned_is_told_so_before_the_handshake() {
    let host = chatting("host", &["-v"]);
    ban_this_address(&host);
    let mut pipe = piping("pipe", &[&host.addr()]);
    pipe.say("hello");
    pipe.end_input();
    assert_eq!(pipe.exit_code(), 5, "{}", pipe.told());
    assert!(all_of(&pipe).contains(End::Banned.text()), "{}", pipe.told());
    for (line, times) in [PREAMBLE_NOISE, PREAMBLE_PLAIN].into_iter().zip(2..) {
        let told = answer_to(&host, line, "banned", times);
        assert_eq!(told.as_bytes(), &*Control::exit(End::Banned).encode());
    }
    drop(host.finish());
}

#[test]
fn every_refusal_in_the_clear_says_its_reason() {
    for (end, code) in [
        (End::Version, 5),
        (End::Plaintext, 5),
        (End::Secret, 5),
        (End::Banned, 5),
        // These are over soon.
        (End::Full, 3),
        (End::Crowded, 3),
    ] {
        let answer: &'static [u8] = Control::exit(end).encode().to_vec().leak();
        let (told_code, told) = pipe_to(answer);
        assert_eq!(told_code, code, "{end}: {told}");
        assert!(told.contains(end.text()), "{end}: {told}");
    }
}
