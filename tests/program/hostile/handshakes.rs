//! Attacks before the handshake and the greeting are over.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Instant;

use hobnob::limits::HANDSHAKE_MS_MAX;
use hobnob::wire::end::End;
use hobnob::wire::record::{Channel, Control, Hello, Proof};
use hobnob::wire::secure::{Endpoint, HandshakeError, LinkSecurity, PREAMBLE_NOISE, Psk, Scratch, Secured};
use nix::poll::{PollFd, poll};
use serde_json::Value;

use crate::support::chat::{Chat, Cost, LIVELY};
use crate::support::proxy::{Fault, Proxy, Way};
use crate::support::wire::{HANGS_UP, Wire, connect_from, lobby, open_lobby};
use crate::support::{self, PATIENCE, piping, undialable};

/// Where a crowd comes from. Honest members have another address.
const CROWDED_ADDRESS: &str = "127.66.0.1";

/// Strangers at a time, where they come by the thousand.
const CROWD: usize = 2_000;

/// Lengths of the handshake on the wire: the first line and the messages behind their lengths.
const FIRST_BYTES: usize = 15 + 2 + 48;
const SECOND_BYTES: usize = 2 + 96;
const THIRD_BYTES: usize = 2 + 64;

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
                    while to.write(&mut Scratch::default()).is_ok() && !to.is_empty() {}
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
