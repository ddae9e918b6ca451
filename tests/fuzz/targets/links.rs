//! Whatever the other side sends: a handshake ends, with a link or with a reason; behind one, only what was sealed comes
//! out, and a hello counts only with its sender's signature for this link.
//!
//! The input: which of these, and what the other side sends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use hobnob::room::Arrival;
use hobnob::room::intake::read_frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::Ending;
use hobnob::wire::record::{Channel, Control, Hello, Mode, Nick, VERSION};
use hobnob::wire::secure::{
    Endpoint, HandshakeError, LinkSecurity, PREAMBLE_NOISE, PREAMBLE_PLAIN, Psk, Scratch, Secured,
};
use socket2::SockRef;

use super::{Bytes, identity, lobby};

/// Nothing here waits for a clock: the other side is done when it has sent its bytes.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn run(data: &[u8]) {
    let mut input = Bytes(data);
    match input.below(6) {
        0 => greeted(false, true, input.0),
        1 => greeted(false, false, input.0),
        2 => greeted(true, true, input.0),
        3 => greeted(true, false, input.0),
        4 => streamed(&mut input),
        _ => said_hello(&mut input),
    }
}

/// Both ends of a connection. What is closed leaves nothing behind with the system, which has only so many ports.
fn connection() -> [TcpStream; 2] {
    static LISTENER: OnceLock<TcpListener> = OnceLock::new();
    let listener = LISTENER.get_or_init(|| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let near = TcpStream::connect(listener.local_addr().expect("a bound socket has an address"));
    let near = near.expect("the listener is there");
    let (far, _) = listener.accept().expect("somebody has connected");
    for socket in [&near, &far] {
        SockRef::from(socket).set_linger(Some(Duration::ZERO)).expect("an open socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    }
    [near, far]
}

fn endpoint(encrypts: bool) -> Endpoint {
    let security = if encrypts { LinkSecurity::Noise(Psk::derive("lobby", None)) } else { LinkSecurity::Plaintext };
    Endpoint::new(security).expect("random numbers")
}

/// A handshake with somebody who knows no key and sends these bytes.
fn greeted(dials: bool, encrypts: bool, bytes: &[u8]) {
    let [mut stranger, ours] = connection();
    // More than a socket holds is not needed to be refused.
    stranger.write_all(&bytes[..bytes.len().min(8_192)]).expect("a socket takes that much");
    stranger.shutdown(Shutdown::Write).expect("an open socket");
    let (ours, deadline) = (Arc::new(ours), Instant::now() + PATIENCE);
    let endpoint = endpoint(encrypts);
    let result = if dials { endpoint.dial(&ours, deadline) } else { endpoint.accept(&ours, deadline) };
    let preamble = if encrypts { PREAMBLE_NOISE } else { PREAMBLE_PLAIN };
    match &result {
        Ok(secured) => {
            assert!(!encrypts && secured.channel.is_none(), "who knows no key makes no link");
            assert!(dials || bytes.starts_with(preamble));
        }
        Err(HandshakeError::Refused(end)) => {
            assert!(dials && bytes.starts_with(b"{") && (*end == End::Vanished || bytes.len() > 20), "{end}");
        }
        Err(HandshakeError::Rejected(_) | HandshakeError::Broken(_)) => {}
        Err(HandshakeError::Late) => panic!("nothing was waited for"),
    }
    let rejected = if let Err(HandshakeError::Rejected(end)) = &result { Some(*end) } else { None };
    if !dials && bytes.starts_with(b"hobnob 2") && bytes[8..].starts_with(b"\n") {
        assert_eq!(rejected, Some(End::Version));
    }
    if let Ok(mut secured) = result {
        // What stands behind the first line is left for the reader.
        let mut rest = Vec::new();
        secured.receiver.read_to_end(&mut rest).expect("what was sent is there");
        let behind = if dials { bytes } else { &bytes[preamble.len()..] };
        assert_eq!(rest, behind[..behind.len().min(8_192 - if dials { 0 } else { preamble.len() })]);
        return;
    }
    drop((result, ours));
    let mut told = Vec::new();
    // A reset is an end, too.
    let _ = stranger.read_to_end(&mut told);
    let exit = told.strip_prefix(preamble).unwrap_or(&told);
    if let Some(end) = rejected.filter(|_| !dials && !exit.is_empty()) {
        assert_eq!(exit, &*Control::exit(end).encode(), "what is told is the reason");
    }
}

/// Both ends of a link that two honest sides have made.
fn link() -> [(Secured, Arc<TcpStream>); 2] {
    let [near, far] = connection().map(Arc::new);
    let deadline = Instant::now() + PATIENCE;
    let dialling = thread::spawn({
        let near = Arc::clone(&near);
        move || endpoint(true).dial(&near, deadline).expect("two honest sides make a link")
    });
    let accepted = endpoint(true).accept(&far, deadline).expect("two honest sides make a link");
    [(dialling.join().expect("the dialling side"), near), (accepted, far)]
}

/// Frames of any lengths, then bytes that nobody has sealed: the frames come out, and nothing else.
fn streamed(input: &mut Bytes<'_>) {
    let [(mut near, socket), (mut far, _)] = link();
    let mut sent = Vec::new();
    for _ in 0..input.below(4) {
        let frame = vec![input.byte(); 17 * usize::from(input.byte())];
        sent.extend_from_slice(&frame);
        near.sender.push(frame.into());
        while !near.sender.is_empty() {
            near.sender.write(&mut Scratch::default()).expect("the socket takes it");
        }
    }
    let size = 1 + 16 * usize::from(input.byte());
    let _ = (&*socket).write_all(&input.0[..input.0.len().min(4_096)]);
    socket.shutdown(Shutdown::Write).expect("an open socket");
    let (mut received, mut buffer) = (Vec::new(), vec![0; size]);
    let is_clean = loop {
        match far.receiver.read(&mut buffer) {
            Ok(0) => break true,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof), "{error}");
                break false;
            }
        }
    };
    // What was opened together with something wrong is lost with it.
    assert!(sent.starts_with(&received), "nothing comes out that was not sealed");
    assert!(!is_clean || received == sent);
    assert_eq!(is_clean, input.is_empty(), "what is not sealed is seen");
}

/// A hello with parts that are right or not.
fn said_hello(input: &mut Bytes<'_>) {
    // Another link than the one on which the proof is asked for.
    let hash = |seed: u8| [seed; 32];
    let here = Channel { hash: hash(1), dialler: input.below(2) == 0 };
    let there = Channel { hash: hash(input.pick(&[1, 1, 1, 2])), dialler: here.dialler ^ (input.below(4) != 0) };
    let (signs, says) = (identity(2 + input.byte() % 2), identity(2 + input.byte() % 2));
    let room = input.pick(&["lobby", "lobby", "elsewhere"]);
    let mut proof = there.prove(&hobnob::wire::record::Domain::of_room(room), &signs);
    let (place, change) = (input.below(64), input.byte());
    proof.0[place] ^= change;
    let is_left_out = input.byte() % 8 == 7;
    let hello = Hello {
        version: VERSION,
        id: says.id(),
        session: 1 + u64::from(input.byte()),
        room: "lobby".to_owned(),
        mode: Mode::Mesh,
        nick: Nick::new("eve").expect("a nick"),
        seen: "10.0.0.1".parse().expect("an address"),
        listens: input.below(2) == 0,
        time: u64::from(input.byte()),
        proof: Some(proof).filter(|_| !is_left_out),
    };
    let is_right = there.hash == here.hash
        && there.dialler != here.dialler
        && signs.id() == says.id()
        && room == "lobby"
        && change == 0
        && !is_left_out;
    let frame = Control::Hello(hello.clone()).encode();
    match read_frame(&frame, Ending::Message, &lobby(), Some(&here), |_| false) {
        Ok(Arrival::Control(Control::Hello(heard))) => assert!(is_right && heard == hello),
        Err((end, _)) => assert!(!is_right && end == End::BadIdentity),
        other => panic!("a hello is read as {other:?}"),
    }
}
