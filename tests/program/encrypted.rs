//! Promise: nobody on the way learns what is said, by whom or where, or changes any of it; and what is damaged on
//! the way is made good. Checked with somebody on the way, who looks at what passes, flips bits and cuts
//! the connection at every place; then, on the two ends of one connection, with any frames and any reads.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::proxy::{Fault, Proxy, Tapped, Way};
use crate::support::wire::{connect, open_lobby};
use crate::support::{Node, PATIENCE, chatting, hobnob, piping, with_identity};
use hobnob::limits::NOISE_PAYLOAD_BYTES;
use hobnob::secret::RoomKey;
use hobnob::wire::secure::{Endpoint, HandshakeError, PREAMBLE_NOISE, Receiver, Scratch, Secured, Sender};
use nix::poll::{PollFd, PollFlags, poll};
use proptest::prelude::*;

/// Bytes of the handshake: the dialler's, with its first line, and those of the other side.
const DIALLER_BYTES: usize = 15 + 2 + 48 + 2 + 64;
const DIALLED_BYTES: usize = 2 + 96;

// ---- who listens ----------------------------------------------------------------------------

const WORDS: &str = "correct horse battery staple";
const ROOM: &str = "quiet-harbour";
const TEXT: &str = "the treasure lies under the third palm tree";

/// Two chat through somebody who listens: what went over the way, and what must not be found there.
fn overheard(security: &[&str], key: Option<&str>) -> (Tapped, Vec<Vec<u8>>) {
    let start = |nick: &str, args: &[&str]| {
        let mut command = hobnob(nick);
        command.args(["-vv", "--room", ROOM]).args(security).args(args);
        command.envs(key.map(|key| ("HOBNOB_ROOM_KEY", key)));
        Node::start(nick, command, Stdio::piped())
    };
    let mut host = start("marguerite", &["--listen", "127.0.0.1:0"]);
    let way = Proxy::start(&host.addr(), &[]);
    let mut guest = start("ferdinand", &["--no-listen", "--stay", &way.addr()]);
    host.wait_for_all(&["ferdinand"]);
    guest.wait_for_all(&["marguerite"]);
    host.say(TEXT);
    guest.wait_for_said("marguerite", &[TEXT.to_owned()]);
    guest.say(TEXT);
    host.wait_for_said("ferdinand", &[TEXT.to_owned()]);
    let joined = host.wait_for_member("joined", "ferdinand");
    let ids = [host.id(), joined["member"]["id"].as_str().expect("a member has an id").to_owned()];
    let stderr = [host.stderr(), guest.stderr()].concat();
    assert!(!stderr.contains(WORDS), "{stderr}");
    drop((guest.finish(), host.finish()));
    let words = [TEXT, "treasure", "marguerite", "ferdinand", ROOM, "lobby", "hello", "MSGENCD", "EXITENCD", "goodbye"];
    let mut secrets: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    for id in ids {
        secrets.push(hex::decode(&id).expect("an id is digits"));
        secrets.push(id.into_bytes());
    }
    (way.tapped()[0].clone(), secrets)
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

#[test]
fn who_listens_on_the_way_learns_nothing_that_was_said_or_by_whom_or_where() {
    let (heard, mut secrets) = overheard(&[], Some(WORDS));
    let key = RoomKey::parse(WORDS.as_bytes()).expect("a passphrase");
    secrets.push(WORDS.as_bytes().to_vec());
    secrets.push(key.secret(ROOM).bytes().to_vec());
    assert!(heard.up.len() > DIALLER_BYTES + 1_000 && heard.down.len() > DIALLED_BYTES + 1_000, "all of it went here");
    for bytes in [&heard.up, &heard.down] {
        for secret in &secrets {
            assert!(!holds(bytes, secret), "{:?} on the wire", String::from_utf8_lossy(secret));
        }
    }
    assert!(heard.up.starts_with(PREAMBLE_NOISE), "the one thing in the clear");
}

#[test]
fn in_the_clear_the_same_listener_learns_all_of_it() {
    let (heard, secrets) = overheard(&["--plaintext"], None);
    for secret in ["treasure", "marguerite", "ferdinand", ROOM, "hello", "MSGENCD", "goodbye"] {
        assert!(holds(&heard.up, secret.as_bytes()) || holds(&heard.down, secret.as_bytes()), "{secret}");
    }
    let found = secrets.iter().filter(|secret| holds(&heard.up, secret) || holds(&heard.down, secret)).count();
    assert!(found >= secrets.len() - 4, "all but the room that it is not, and the raw bytes of ids: {found}");
}

#[test]
fn two_links_of_the_same_two_have_no_bytes_in_common() {
    let host = chatting("host", &[]);
    let way = Proxy::start(&host.addr(), &[]);
    // A pipe links to whom it was told to, and does not find a way around.
    let mut guest = piping("guest", &[&way.addr()]);
    guest.wait_for_all(&["host"]);
    way.cut();
    host.wait_for("the end of the first link", |event| event["event"] == "unlinked");
    guest.say("hello");
    host.wait_for_said("guest", &["hello".to_owned()]);
    let tapped = way.tapped();
    let [first, second] = [&tapped[0].up, &tapped[1].up].map(|bytes| &bytes[PREAMBLE_NOISE.len()..]);
    // Keys that repeat would show as blocks that do.
    let blocks: std::collections::HashSet<&[u8]> = first.windows(8).collect();
    assert!(!second.windows(8).any(|block| blocks.contains(block)));
}

#[test]
fn a_room_key_never_touches_the_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = with_identity("alice");
    command.args(["--listen", "127.0.0.1:0", "-vv"]).env("HOBNOB_ROOM_KEY", WORDS).env("HOME", folder.path());
    for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        command.env(variable, folder.path().join(variable));
    }
    let mut alice = Node::start("alice", command, Stdio::piped());
    let addr = alice.addr();
    let mut command = hobnob("bob");
    command.arg(&addr).env("HOBNOB_ROOM_KEY", WORDS);
    let mut bob = Node::start("bob", command, Stdio::piped());
    alice.say("hello");
    bob.wait_for_said("alice", &["hello".to_owned()]);
    bob.end_input();
    assert_eq!(bob.exit_code(), 0, "{}", bob.told());
    let secret = RoomKey::parse(WORDS.as_bytes()).expect("a passphrase").secret("lobby");
    let stderr = alice.stderr();
    drop(alice.finish());
    let mut files = Vec::new();
    collect(folder.path(), &mut files);
    assert!(!files.is_empty(), "at least the identity is kept");
    for bytes in files.iter().map(Vec::as_slice).chain([stderr.as_bytes()]) {
        let hex = hex::encode(secret.bytes());
        for secret in [WORDS.as_bytes(), secret.bytes(), hex.as_bytes()] {
            assert!(!holds(bytes, secret), "{}", String::from_utf8_lossy(bytes));
        }
    }
}

/// What the files in a folder hold.
fn collect(folder: &Path, files: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), files);
        } else {
            files.push(std::fs::read(entry.path()).expect("a file of ours"));
        }
    }
}

// ---- who does damage ------------------------------------------------------------------------

/// Says a line at a time until a way has done all its damage; each line arrives, once.
fn lines_survive(faults: &[Fault]) -> (Node, Node, Proxy) {
    let host = chatting("host", &["-v"]);
    let way = Proxy::start(&host.addr(), faults);
    // A pipe links to whom it was told to, and does not find a way around.
    let mut guest = piping("guest", &["-v", &way.addr()]);
    let mut said = Vec::new();
    while way.tapped().len() <= faults.len() {
        assert!(said.len() < 100, "the damage is done early\n{}", guest.told());
        said.push(format!("line {} {}", said.len(), "of some length ".repeat(20)));
        guest.say(said.last().expect("a line"));
        host.wait_for_said("guest", &said);
    }
    guest.end_input();
    assert_eq!(guest.exit_code(), 0, "all is confirmed over the last link\n{}", guest.told());
    host.wait_for_said("guest", &said);
    assert!(!host.events().iter().any(|event| event["event"] == "gap"), "{}", host.told());
    (host, guest, way)
}

#[test]
fn a_bit_flipped_on_the_way_ends_the_link_and_costs_no_line() {
    // In a hello, in pages, in what is said; once in the length of a message.
    let up = [DIALLER_BYTES + 1, DIALLER_BYTES + 20, DIALLER_BYTES + 700, DIALLER_BYTES + 1_500];
    let down = [DIALLED_BYTES + 20, DIALLED_BYTES + 500, DIALLED_BYTES + 700];
    let flips = up.map(|at| Fault::Flip(Way::Up, at)).into_iter().chain(down.map(|at| Fault::Flip(Way::Down, at)));
    let (host, guest, _way) = lines_survive(&flips.collect::<Vec<_>>());
    for (node, times) in [(&host, up.len()), (&guest, down.len())] {
        node.wait_for_stderr_often("is closed: bad-cipher\n", times);
    }
    drop(host.finish());
}

#[test]
fn a_link_cut_anywhere_costs_no_line() {
    // By turns in the handshake and behind it: what fails again and again is tried ever more slowly.
    let cuts = [
        Fault::Cut(Way::Up, 40),
        Fault::Cut(Way::Up, DIALLER_BYTES + 1_500),
        Fault::Cut(Way::Down, 50),
        Fault::Cut(Way::Down, DIALLED_BYTES + 900),
        Fault::Cut(Way::Up, 100),
        Fault::Cut(Way::Up, DIALLER_BYTES + 1),
        Fault::Cut(Way::Up, DIALLER_BYTES + 700),
        Fault::Cut(Way::Down, 0),
        Fault::Cut(Way::Down, DIALLED_BYTES + 700),
        Fault::Cut(Way::Down, DIALLED_BYTES + 1),
    ];
    let (host, _guest, _way) = lines_survive(&cuts);
    drop(host.finish());
}

/// A pipe that says a line through somebody on the way: its exit code, and what it told.
fn pipe_through(way: &Proxy) -> (i32, String) {
    let mut pipe = piping("pipe", &["--wait", "2", &way.addr()]);
    pipe.say("hello");
    pipe.end_input();
    (pipe.exit_code(), pipe.told())
}

#[test]
fn who_is_cut_off_in_the_handshake_was_not_refused() {
    let host = chatting("host", &[]);
    for cut in [Fault::Cut(Way::Up, 20), Fault::Cut(Way::Up, 100), Fault::Cut(Way::Down, 0), Fault::Cut(Way::Down, 60)]
    {
        let (code, told) = pipe_through(&Proxy::start(&host.addr(), &[cut; 50]));
        assert_eq!(code, 3, "{cut:?}: nobody was reached\n{told}");
        let (code, told) = pipe_through(&Proxy::start(&host.addr(), &[cut]));
        assert_eq!(code, 0, "{cut:?}: the second try has worked\n{told}");
    }
}

/// Both sides of a handshake through somebody on the way.
fn handshake(faults: &[Fault]) -> [Result<Secured, HandshakeError>; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound socket has an address");
    let way = Proxy::start(&addr.to_string(), faults);
    let endpoint = || Endpoint::new(open_lobby()).expect("random numbers");
    let deadline = Instant::now() + PATIENCE;
    let accepting = thread::spawn(move || {
        let socket = Arc::new(listener.accept().expect("somebody connects").0);
        endpoint().accept(&socket, deadline)
    });
    let dialled = endpoint().dial(&Arc::new(connect(&way.addr())), deadline);
    [dialled, accepting.join().expect("the accepting side does not fail")]
}

#[test]
fn a_handshake_that_is_cut_anywhere_is_broken_and_nothing_else() {
    for at in 0..DIALLER_BYTES {
        let [dialled, accepted] = handshake(&[Fault::Cut(Way::Up, at)]);
        // The dialler has the last word, and does not know whether it came.
        assert!(matches!(dialled, Ok(_) | Err(HandshakeError::Broken(_))), "at {at}: {dialled:?}");
        assert!(matches!(accepted, Err(HandshakeError::Broken(_))), "at {at}: {accepted:?}");
    }
    for at in 0..DIALLED_BYTES {
        for side in handshake(&[Fault::Cut(Way::Down, at)]) {
            assert!(matches!(side, Err(HandshakeError::Broken(_))), "at {at}: {side:?}");
        }
    }
}

#[test]
fn a_handshake_with_a_bit_flipped_anywhere_makes_no_link() {
    for at in 0..DIALLER_BYTES {
        let [_, accepted] = handshake(&[Fault::Flip(Way::Up, at)]);
        assert!(accepted.is_err(), "at {at}");
    }
    for at in 0..DIALLED_BYTES {
        let [dialled, accepted] = handshake(&[Fault::Flip(Way::Down, at)]);
        assert!(dialled.is_err() && accepted.is_err(), "at {at}");
    }
}

// ---- the stream --------------------------------------------------------------------------------

/// A link within this process, both ends of it.
fn link() -> [Secured; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound socket has an address").to_string();
    let endpoint = |security| Endpoint::new(security).expect("random numbers");
    let deadline = Instant::now() + PATIENCE;
    let dialling =
        thread::spawn(move || endpoint(open_lobby()).dial(&Arc::new(connect(&addr)), deadline).expect("a handshake"));
    let socket = Arc::new(listener.accept().expect("somebody connects").0);
    let accepted = endpoint(open_lobby()).accept(&socket, deadline).expect("a handshake");
    [dialling.join().expect("the dialling side"), accepted]
}

/// Writes all that is queued, as the socket takes it; the bytes of frames that were written to their end.
fn write_all(sender: &mut Sender) -> usize {
    let mut written = sender.write(&mut Scratch::default()).expect("the socket takes it");
    while !sender.is_empty() {
        let mut fds = [PollFd::new(sender.socket().as_fd(), PollFlags::POLLOUT)];
        assert_eq!(poll(&mut fds, 60_000_u16).expect("a socket can be polled"), 1, "the other end reads");
        written += sender.write(&mut Scratch::default()).expect("the socket takes it");
    }
    written
}

/// Reads to the end with buffers of these sizes in turn; now and then it rests.
fn read_all(receiver: &mut Receiver, sizes: &[usize]) -> Vec<u8> {
    let mut all = Vec::new();
    for (turn, size) in sizes.iter().cycle().enumerate() {
        let mut buffer = vec![0; *size];
        match receiver.read(&mut buffer).expect("what was sealed is opened") {
            0 => break,
            count => all.extend_from_slice(&buffer[..count]),
        }
        if turn % 64 == 63 {
            thread::sleep(Duration::from_micros(200));
            receiver.relax();
        }
    }
    all
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// Frames of every size up to the largest, those at the edges of a message among them.
fn frame_bytes() -> impl Strategy<Value = usize> {
    let edges = NOISE_PAYLOAD_BYTES - 2..NOISE_PAYLOAD_BYTES + 3;
    prop_oneof![2 => 0..300_usize, 1 => 300..65_537_usize, 1 => edges, 1 => Just(65_536)]
}

proptest! {
    #![proptest_config(config(60))]
    #[test]
    fn any_frames_arrive_byte_for_byte_whatever_the_reads(
        frames in proptest::collection::vec(frame_bytes(), 0..40),
        at_once in proptest::collection::vec(1..8_usize, 1..6),
        sizes in proptest::collection::vec(prop_oneof![1..40_usize, 40..70_000_usize], 1..6),
        downwards in any::<bool>(),
    ) {
        let [dialled, accepted] = link();
        let (near, far) = if downwards { (accepted, dialled) } else { (dialled, accepted) };
        let (mut sender, mut receiver) = (near.sender, far.receiver);
        let total: usize = frames.iter().sum();
        let sent: Vec<u8> = (0..total).map(|place| u8::try_from(place * 31 % 251).expect("below 251")).collect();
        let writing = thread::spawn({
            let sent = sent.clone();
            move || {
                let (mut start, mut written, mut turns) = (0, 0, at_once.iter().cycle());
                let mut frames = frames.iter();
                while frames.len() > 0 {
                    for bytes in frames.by_ref().take(*turns.next().expect("there is one")) {
                        sender.push(sent[start..start + bytes].into());
                        start += bytes;
                    }
                    written += write_all(&mut sender);
                }
                sender.socket().shutdown(std::net::Shutdown::Write).expect("an open socket");
                written
            }
        });
        let received = read_all(&mut receiver, &sizes);
        prop_assert_eq!(writing.join().expect("the writing side"), total, "every frame is accounted for");
        prop_assert!(received == sent, "{} bytes of {} arrive", received.len(), total);
    }
}

/// The Noise messages of some frames, as they are on the wire, and a receiver behind a socket that the test writes.
fn messages(frames: &[&[u8]]) -> (Vec<Vec<u8>>, TcpStream, Receiver) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("a bound socket has an address");
    // The test stands between the two ends: near - middle, middle - far.
    let near = thread::spawn(move || {
        let endpoint = Endpoint::new(open_lobby()).expect("random numbers");
        endpoint.dial(&Arc::new(connect(&addr.to_string())), Instant::now() + PATIENCE).expect("a handshake")
    });
    let mut middle = listener.accept().expect("somebody connects").0;
    let mut onward = TcpStream::connect(addr).expect("somebody listens");
    let far = listener.accept().expect("the test connects").0;
    let far = thread::spawn(move || {
        let endpoint = Endpoint::new(open_lobby()).expect("random numbers");
        endpoint.accept(&Arc::new(far), Instant::now() + PATIENCE).expect("a handshake")
    });
    let carry = |from: &mut TcpStream, to: &mut TcpStream, bytes: usize| {
        let mut carried = vec![0; bytes];
        from.read_exact(&mut carried).expect("a message of the handshake");
        to.write_all(&carried).expect("the other side reads");
    };
    carry(&mut middle, &mut onward, 15 + 2 + 48);
    carry(&mut onward, &mut middle, DIALLED_BYTES);
    carry(&mut middle, &mut onward, 2 + 64);
    let mut sender = near.join().expect("the dialling side").sender;
    let messages = frames.iter().map(|frame| {
        sender.push((*frame).into());
        assert_eq!(write_all(&mut sender), frame.len());
        let mut message = vec![0; 2 + frame.len() + 16];
        middle.read_exact(&mut message).expect("one message a write");
        message
    });
    (messages.collect(), onward, far.join().expect("the accepting side").receiver)
}

/// What a receiver gives out of changed messages before the error that it must end with.
fn opened(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<u8> {
    let (mut messages, mut onward, mut receiver) = messages(&[b"one ", b"two ", b"three ", b"four "]);
    change(&mut messages);
    onward.write_all(&messages.concat()).expect("the socket takes it");
    onward.shutdown(std::net::Shutdown::Write).expect("an open socket");
    let (mut all, mut buffer) = (Vec::new(), [0; 7]);
    loop {
        match receiver.read(&mut buffer) {
            Ok(0) => break all.extend_from_slice(b"end"),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof), "{error}");
                break;
            }
        }
    }
    all
}

#[test]
fn messages_come_in_order_once_and_unchanged_or_the_stream_ends_before_them() {
    let text = |change: fn(&mut Vec<Vec<u8>>)| String::from_utf8(opened(change)).expect("what was sent was text");
    assert_eq!(text(|_| {}), "one two three four end");
    // What was opened together with a message that is none is lost with it.
    let is_start = |opened: &str| {
        ["", "one ", "one two "].iter().any(|start| opened.starts_with(start)) && "one two ".starts_with(opened)
    };
    let changes: [fn(&mut Vec<Vec<u8>>); 7] = [
        |messages| messages.swap(2, 3),
        |messages| drop(messages.remove(2)),
        |messages| messages.insert(2, messages[1].clone()),
        |messages| messages.insert(2, messages[0].clone()),
        |messages| messages[2][5] ^= 1,
        |messages| messages[2].truncate(10),
        |messages| messages[2][1] += 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let opened = text(change);
        assert!(is_start(&opened), "change {index}: {opened:?}");
    }
}
