//! Promise: man/hobnob-protocol.7 says what the program does. Every example frame on it is what the
//! library writes and reads, the worked example adds up, and no record, field, kind of post, exit reason or
//! bound is left out.
//!
//! An example stands behind a comment, `.\" example: NAME`, broken into lines. Where it differs from
//! what the library writes, the failure prints what belongs there.

#![expect(clippy::panic, reason = "a wrong page fails the test")]

use std::fmt::Write as _;
use std::net::SocketAddr;

use curve25519_dalek::MontgomeryPoint;
use hobnob::identity::Identity;
use hobnob::limits;
use hobnob::secret::{RoomKey, RoomSecret};
use hobnob::ticket::{Host, Ticket};
use hobnob::wire::Frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::{EXIT_END, Ending, FrameBuffer, MESSAGE_END};
use hobnob::wire::record::{
    Ack, Beat, Body, Channel, Claim, Control, Domain, Draft, Entry, Envelope, FeedId, Handover, Header, Hello, Mode,
    Nick, Post, Record, Sealed, Trace, VERSION,
};
use hobnob::wire::seal::{Chance, Content, NOISE_WHISPER, Sealer, Text};
use hobnob::wire::secure::{NOISE, PREAMBLE_NOISE, PREAMBLE_PLAIN};
use serde_json::Value;

const PAGE: &str = include_str!("../../man/hobnob-protocol.7");

const ROOM: &str = "lobby";
const AT: u64 = 1_790_000_000_000;

/// What ada's ephemeral key in the example comes from.
const CHANCE: [u8; 32] = [7; 32];

/// How wide examples are on the page.
const COLUMNS: usize = 64;

fn ada() -> Identity {
    Identity::from_seed(&std::array::from_fn(|index| u8::try_from(index).expect("32 of them")))
}

fn bob() -> Identity {
    Identity::from_seed(&std::array::from_fn(|index| u8::try_from(index + 32).expect("32 of them")))
}

fn ada_feed() -> FeedId {
    FeedId { author: ada().id(), session: 7077 }
}

fn bob_feed() -> FeedId {
    FeedId { author: bob().id(), session: 8_021_543_210_987_654 }
}

fn post(number: u64, ack: bool, draft: &Draft<'_>) -> Post {
    let nick = Nick::new("ada").expect("a nick");
    let header = Header { feed: ada_feed(), number, at: AT + number, nick: &nick, ack };
    Post::encode(&header, draft, &Domain::of_room(ROOM), &ada())
}

fn worked() -> Post {
    post(2, true, &Draft::Say { text: "1 < 2, \"so\"", action: false, part: false })
}

fn posts() -> Vec<Post> {
    let addresses: [SocketAddr; 2] =
        ["192.0.2.7:4646".parse().expect("an address"), "[2001:db8::7]:4646".parse().expect("an address")];
    let sealing = Some(sealer(&ada()).key());
    vec![
        post(1, false, &Draft::Join { addresses: &addresses, passing: false, rank: None, sealing, away: None }),
        worked(),
        post(3, false, &Draft::Say { text: "waves", action: true, part: false }),
        post(4, false, &Draft::Nick),
        post(5, false, &Draft::Lost { feed: bob_feed(), last: 12 }),
        post(6, true, &Draft::Mark),
        post(7, false, &Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: Some("tea") }),
        post(8, false, &Draft::Leave { why: "gone home" }),
    ]
}

fn ack() -> Ack {
    Ack::encode(ada_feed(), bob_feed(), (1, 2), &Domain::of_room(ROOM), &bob())
}

/// The link of the example, as ada sees it, who has dialled.
fn link() -> Channel {
    let hash = std::array::from_fn(|index| u8::try_from(index + 64).expect("32 of them"));
    Channel { hash, dialler: true }
}

/// By bob.
fn claim() -> Claim {
    Claim { epoch: 3, rank: 128, hub: bob_feed() }
}

fn beat() -> Beat {
    Beat::sign(claim(), 12, 9, &Domain::of_room(ROOM), &bob())
}

fn sealer(identity: &Identity) -> Sealer {
    Sealer::new(identity, ROOM, &Domain::of_room(ROOM), Chance::from_seed(CHANCE))
}

/// What ada whispers to bob.
fn whispered() -> Content {
    let nick = Nick::new("ada").expect("a nick");
    let text = "for your eyes".to_owned();
    Content::Text(Text { stream: ada_feed().session, number: 1, at: AT + 9, nick, text, action: false, part: false })
}

fn sealed() -> Sealed {
    sealer(&ada()).seal(bob().id(), &sealer(&bob()).key(), &whispered()).expect("it fits")
}

/// One of each kind.
fn contents() -> Vec<Content> {
    let (stream, session) = (ada_feed().session, 9_090);
    vec![
        whispered(),
        Content::Heard { stream, number: 1 },
        Content::Refused { stream, number: 2 },
        Content::Begin { stream, number: 3, session },
        Content::Ping { token: 31, session },
        Content::Pong { token: 31 },
    ]
}

/// The word for what is inside. A new one does not compile until the page has it.
fn content_kind_of(content: &Content) -> &'static str {
    match content {
        Content::Text(_) => "text",
        Content::Heard { .. } => "heard",
        Content::Refused { .. } => "refused",
        Content::Begin { .. } => "begin",
        Content::Ping { .. } => "ping",
        Content::Pong { .. } => "pong",
        Content::Unknown => "unknown",
    }
}

fn controls() -> Vec<Control> {
    let FeedId { author, session } = ada_feed();
    let entry = |feed: FeedId, number| Entry(feed.author, feed.session, number);
    let hello = Hello {
        version: VERSION,
        id: author,
        session,
        room: ROOM.to_owned(),
        mode: Mode::Mesh,
        nick: Nick::new("ada").expect("a nick"),
        seen: [192, 0, 2, 9].into(),
        listens: true,
        time: AT,
        proof: Some(link().prove(&Domain::of_room(ROOM), &ada())),
    };
    vec![
        Control::Hello(hello),
        Control::Have { feeds: vec![entry(ada_feed(), 2), entry(bob_feed(), 12)] },
        Control::All {},
        Control::Done {},
        Control::Want { author, session, from: 1, answer: false },
        Control::Quiet { author, session },
        Control::News { feeds: vec![entry(ada_feed(), 7)] },
        Control::Gap { author, session, from: 3, to: 5 },
        Control::Ping { token: 31 },
        Control::Pong { token: 31 },
        Control::Mode { mode: Mode::Hub },
        Control::Beat(beat()),
        Control::Handover(Handover::sign(claim(), ada_feed(), &Domain::of_room(ROOM), &bob())),
        Control::Probe {},
        Control::Follow { hub: Some(entry(bob_feed(), 3)) },
        Control::Whisper(Envelope {
            to: bob().id(),
            session: bob_feed().session,
            hops: 16,
            flood: None,
            sealed: sealed(),
        }),
        Control::Trace(Trace {
            token: 31,
            to: bob().id(),
            session: bob_feed().session,
            path: vec![author],
            back: false,
        }),
        Control::Exit { reason: End::Goodbye.word().to_owned(), text: End::Goodbye.text().to_owned() },
    ]
}

/// The word for a record on the wire. A new one does not compile until the page has it.
fn type_of(control: &Control) -> &'static str {
    match control {
        Control::Hello(_) => "hello",
        Control::Have { .. } => "have",
        Control::All {} => "all",
        Control::Done {} => "done",
        Control::Want { .. } => "want",
        Control::Quiet { .. } => "quiet",
        Control::News { .. } => "news",
        Control::Gap { .. } => "gap",
        Control::Ping { .. } => "ping",
        Control::Pong { .. } => "pong",
        Control::Mode { .. } => "mode",
        Control::Beat(_) => "beat",
        Control::Handover(_) => "handover",
        Control::Probe {} => "probe",
        Control::Follow { .. } => "follow",
        Control::Whisper(_) => "whisper",
        Control::Trace(_) => "trace",
        Control::Exit { .. } => "exit",
        Control::Unknown => "unknown",
    }
}

/// The same for what a post can be.
fn kind_of(body: &Body) -> &'static str {
    match body {
        Body::Join { away: Some(_), .. } => "join-away",
        Body::Join { .. } => "join",
        Body::Say { action: true, .. } => "say-action",
        Body::Say { .. } => "say",
        Body::Nick => "nick",
        Body::Leave { .. } => "leave",
        Body::Lost { .. } => "lost",
        Body::Mark => "mark",
        Body::Unknown => "unknown",
    }
}

/// The same for why a link ends.
fn is_listed(end: End) -> bool {
    match end {
        End::Goodbye
        | End::Vanished
        | End::Silent
        | End::SlowReader
        | End::HandshakeTimeout
        | End::FrameTimeout
        | End::BadFrame
        | End::BadRecord
        | End::BadSignature
        | End::FutureNumber
        | End::OutOfTurn
        | End::Myself
        | End::Duplicate
        | End::Surplus
        | End::Full
        | End::Crowded
        | End::Version
        | End::Room
        | End::Mode
        | End::HostKey
        | End::Plaintext
        | End::Secret
        | End::BadCipher
        | End::BadIdentity
        | End::Renew
        | End::Flood
        | End::EmptyGap
        | End::Forked
        | End::Clock
        | End::Banned => ENDS.contains(&end),
    }
}

const ENDS: [End; 30] = [
    End::Goodbye,
    End::Vanished,
    End::Silent,
    End::SlowReader,
    End::HandshakeTimeout,
    End::FrameTimeout,
    End::BadFrame,
    End::BadRecord,
    End::BadSignature,
    End::FutureNumber,
    End::OutOfTurn,
    End::Myself,
    End::Duplicate,
    End::Surplus,
    End::Full,
    End::Crowded,
    End::Version,
    End::Room,
    End::Mode,
    End::HostKey,
    End::Plaintext,
    End::Secret,
    End::BadCipher,
    End::BadIdentity,
    End::Renew,
    End::Flood,
    End::EmptyGap,
    End::Forked,
    End::Clock,
    End::Banned,
];

fn examples() -> Vec<(&'static str, Frame)> {
    let controls = controls().into_iter().map(|control| (type_of(&control), control.encode()));
    let posts = posts().into_iter().map(|post| (kind_of(&post.body), post.frame));
    controls.chain(posts).chain([("ack", ack().frame)]).collect()
}

// ---- the page --------------------------------------------------------------------------------

/// A line of the page as a reader sees it.
fn unescaped(line: &str) -> String {
    line.replace(r"\&", "").replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\e", "\\")
}

fn escaped(line: &str) -> String {
    let line = line.replace('\\', r"\e").replace('-', r"\-").replace('\'', r"\(aq");
    if line.starts_with('.') { format!(r"\&{line}") } else { line }
}

/// The lines between the comment with this name and the end of its block.
fn block(name: &str) -> Option<String> {
    let (_, behind) = PAGE.split_once(&format!(".\\\" example: {name}\n"))?;
    let (inside, _) = behind.split_once(".EE\n")?;
    Some(inside.lines().filter(|line| !line.starts_with('.')).map(unescaped).collect())
}

/// What belongs on the page for a text.
fn roff(name: &str, text: &str) -> String {
    let mut out = format!(".\\\" example: {name}\n.EX\n");
    let letters: Vec<char> = text.chars().collect();
    for line in letters.chunks(COLUMNS) {
        let _ = writeln!(out, "{}", escaped(&line.iter().collect::<String>()));
    }
    out + ".EE\n"
}

fn check_block(name: &str, text: &str, wrong: &mut String) {
    if block(name).as_deref() != Some(text) {
        wrong.push_str(&roff(name, text));
    }
}

fn text_of(frame: &[u8]) -> &str {
    std::str::from_utf8(frame).expect("frames are UTF-8")
}

fn bytes_of(name: &str) -> Vec<u8> {
    block(name).unwrap_or_else(|| panic!("the page has the block {name}")).into_bytes()
}

#[test]
fn every_example_is_what_the_library_writes() {
    let mut wrong = String::new();
    for (name, frame) in examples() {
        check_block(name, text_of(&frame), &mut wrong);
    }
    assert!(wrong.is_empty(), "these belong on the page:\n{wrong}");
}

#[test]
fn every_example_is_read_as_what_it_says() {
    let domain = Domain::of_room(ROOM);
    for control in controls() {
        let bytes = bytes_of(type_of(&control));
        let mut buffer = FrameBuffer::new();
        buffer.fill(&mut bytes.as_slice()).expect("reading from memory");
        let (frame, ending) = buffer.next_frame().expect("a frame").expect("a whole one");
        assert_eq!(ending == Ending::Exit, type_of(&control) == "exit");
        match Record::decode(frame, ending).expect("a record") {
            Record::Control(read) => assert_eq!(read, control),
            Record::Ack(_) => panic!("{control:?} is no ack"),
        }
    }
    for written in posts() {
        let read = Post::decode(&bytes_of(kind_of(&written.body))).expect("a post");
        read.verify(&domain).expect("a true signature");
        assert_eq!(
            (read.feed, read.number, read.at, read.body),
            (written.feed, written.number, written.at, written.body)
        );
        assert!(read.frame.len() <= limits::FRAME_BYTES_MAX);
    }
    match Record::decode(&bytes_of("ack"), Ending::Message).expect("a record") {
        Record::Ack(read) => {
            read.verify(&domain).expect("a true signature");
            assert_eq!((read.first, read.last), (1, 2));
        }
        Record::Control(control) => panic!("{control:?} is no ack"),
    }
}

#[test]
fn the_worked_example_adds_up() {
    let frame = bytes_of("say");
    let text = text_of(&frame);
    let (signed, tail) = text.split_once(",\"sig\":\"").expect("a signature");
    let domain = format!("hobnob post 1 {ROOM}\n");
    let hash = blake3::hash(&[domain.as_bytes(), signed.as_bytes()].concat());
    let signature = hex::encode(ada().sign(hash.as_bytes()));
    let mut wrong = String::new();
    check_block(
        "worked-seed",
        &hex::encode(std::array::from_fn::<u8, 32, _>(|i| u8::try_from(i).expect("small"))),
        &mut wrong,
    );
    check_block("worked-id", &ada().id().to_string(), &mut wrong);
    check_block("worked-domain", &hex::encode(&domain), &mut wrong);
    check_block("worked-signed", signed, &mut wrong);
    check_block("worked-hash", hash.to_hex().as_str(), &mut wrong);
    check_block("worked-signature", &signature, &mut wrong);
    assert!(wrong.is_empty(), "these belong on the page:\n{wrong}");
    assert_eq!(tail, format!("{signature}\"}}<MSGENCD>"));
    for count in [signed.len(), frame.len()] {
        assert!(PAGE.contains(&format!("{count} bytes")), "the page counts {count} bytes");
    }
    assert_eq!(worked().text(), "1 < 2, \"so\"");
}

#[test]
fn the_worked_proof_adds_up() {
    let signed = [format!("hobnob link 1 {ROOM}\n").as_bytes(), b"dialler", &link().hash].concat();
    let hash = blake3::hash(&signed);
    let mut wrong = String::new();
    check_block("worked-link-hash", &hex::encode(link().hash), &mut wrong);
    check_block("worked-link-signed", &hex::encode(&signed), &mut wrong);
    check_block("worked-link-digest", hash.to_hex().as_str(), &mut wrong);
    check_block("worked-proof", &hex::encode(ada().sign(hash.as_bytes())), &mut wrong);
    assert!(wrong.is_empty(), "these belong on the page:\n{wrong}");
    let Some(Control::Hello(hello)) = controls().into_iter().next() else { panic!("the first example is hello") };
    let theirs = Channel { dialler: false, ..link() };
    assert!(theirs.is_proved(&Domain::of_room(ROOM), &hello), "the other end believes it");
    assert!(!link().is_proved(&Domain::of_room(ROOM), &hello), "sent back to its sender it proves nothing");
}

#[test]
fn the_worked_keys_add_up() {
    let derived = |secret: Option<[u8; 32]>| {
        let mut input = vec![u8::from(secret.is_some())];
        input.extend(secret.iter().flatten());
        input.extend(ROOM.as_bytes());
        hex::encode(blake3::derive_key("hobnob 1 link psk", &input))
    };
    let mut wrong = String::new();
    check_block("worked-psk-open", &derived(None), &mut wrong);
    check_block("worked-psk-secret", &derived(Some(link().hash)), &mut wrong);
    assert!(wrong.is_empty(), "these belong on the page:\n{wrong}");
    assert!(PAGE.contains(NOISE), "the page names the Noise protocol");
    for preamble in [PREAMBLE_NOISE, PREAMBLE_PLAIN] {
        assert!(PAGE.contains(text_of(preamble).trim_end()), "the page has the first line");
    }
}

#[test]
fn the_worked_secrets_and_tickets_add_up() {
    let mut wrong = String::new();
    let salt = blake3::hash(format!("hobnob 1 passphrase\n{ROOM}").as_bytes());
    let passphrase = RoomKey::parse(b"correct horse battery staple").expect("a passphrase");
    let secret = RoomSecret::from_bytes(&link().hash);
    let addresses = ["ada.example:4646", "[2001:db8::7]:9000"].map(|addr| addr.parse().expect("an address")).into();
    let ada = Host { id: ada().id(), addresses };
    let bob = Host { id: bob().id(), addresses: vec!["bob.example:4646".parse().expect("an address")] };
    let open = Ticket { hosts: vec![ada.clone()], room: ROOM.to_owned(), secret: None };
    let several = Ticket { hosts: vec![ada, bob], ..open.clone() };
    check_block("worked-salt", salt.to_hex().as_str(), &mut wrong);
    check_block("worked-secret", &hex::encode(passphrase.secret(ROOM).bytes()), &mut wrong);
    check_block("worked-room-key", &secret.as_ref().expect("32 bytes").to_line(), &mut wrong);
    check_block("worked-ticket", &open.to_line(), &mut wrong);
    check_block("worked-ticket-secret", &Ticket { secret, ..open }.to_line(), &mut wrong);
    check_block("worked-ticket-several", &several.to_line(), &mut wrong);
    assert!(wrong.is_empty(), "these belong on the page:\n{wrong}");
}

#[test]
fn the_worked_whisper_adds_up() {
    let derived = |seed: [u8; 32]| blake3::derive_key("hobnob 1 sealing key", &seed);
    let [ada_secret, bob_secret] = [0, 32].map(|first| derived(std::array::from_fn(|index| first + byte(index))));
    let [ada_key, bob_key] = [ada(), bob()].map(|identity| sealer(&identity).key());
    // The first key that is drawn.
    let drawn = [CHANCE.as_slice(), &1_u64.to_le_bytes()].concat();
    let ephemeral = blake3::derive_key("hobnob 1 whisper chance", &drawn);
    let claim = blake3::hash(&[format!("hobnob sealing 1 {ROOM}\n").as_bytes(), &ada_key.0].concat());
    let proof = ada().sign(claim.as_bytes());
    let (id, content) = (ada().id(), serde_json::to_string(&whispered()).expect("JSON"));
    let payload = format!(r#"{{"from":"{id}","proof":"{}","content":{content}}}"#, hex::encode(proof));
    let prologue = format!("hobnob 1 whisper {} {ROOM}", bob().id());
    let mut wrong = String::new();
    check_block("worked-sealing-ada-secret", &hex::encode(ada_secret), &mut wrong);
    check_block("worked-sealing-ada", &hex::encode(ada_key.0), &mut wrong);
    check_block("worked-sealing-bob-secret", &hex::encode(bob_secret), &mut wrong);
    check_block("worked-sealing-bob", &hex::encode(bob_key.0), &mut wrong);
    check_block("worked-sealing-proof", &hex::encode(proof), &mut wrong);
    check_block("worked-whisper-prologue", &prologue, &mut wrong);
    check_block("worked-whisper-payload", &payload, &mut wrong);
    check_block("worked-whisper-ephemeral", &hex::encode(ephemeral), &mut wrong);
    assert!(wrong.is_empty(), "these belong on the page:\n{wrong}");
    let Ok(Record::Control(Control::Whisper(envelope))) = Record::decode(&bytes_of("whisper"), Ending::Message) else {
        panic!("the page has a whisper")
    };
    let opened = opened_by_hand(&envelope.sealed, &bob_secret, prologue.as_bytes());
    assert_eq!(opened, (payload.into_bytes(), ada_key.0), "opened by what the page says alone");
    let theirs = sealer(&bob()).open(&envelope.sealed).expect("it is for bob");
    assert_eq!((theirs.from, theirs.key, theirs.content), (id, ada_key, whispered()));
    for (secret, key) in [(ada_secret, ada_key), (bob_secret, bob_key)] {
        assert_eq!(public_of(&secret), key.0);
    }
    let message = envelope.sealed.bytes().expect("base64");
    assert_eq!(message.get(..32), Some(public_of(&ephemeral).as_slice()), "a message begins with its ephemeral key");
    assert!(PAGE.contains(NOISE_WHISPER), "the page names the Noise protocol");
}

fn byte(index: usize) -> u8 {
    u8::try_from(index).expect("32 of them")
}

fn public_of(secret: &[u8; 32]) -> [u8; 32] {
    MontgomeryPoint::mul_base_clamped(*secret).to_bytes()
}

/// The payload, and the static key that it came with.
fn opened_by_hand(sealed: &Sealed, secret: &[u8; 32], prologue: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let builder = snow::Builder::new(NOISE_WHISPER.parse().expect("a Noise protocol"));
    let state = builder.local_private_key(secret).and_then(|builder| builder.prologue(prologue));
    let mut state = state.and_then(snow::Builder::build_responder).expect("a key and a prologue");
    let message = sealed.bytes().expect("base64");
    let mut payload = vec![0; message.len()];
    let count = state.read_message(&message, &mut payload).expect("sealed for this key");
    payload.truncate(count);
    (payload, state.get_remote_static().expect("X brings one").try_into().expect("32 bytes"))
}

#[test]
fn every_content_of_a_whisper_and_its_fields_are_on_the_page() {
    let (_, behind) = PAGE.split_once("\n.SH WHISPERS\n").expect("a section on whispers");
    let (section, _) = behind.split_once("\n.SH ").expect("it is not the last one");
    let mut wrong = String::new();
    for content in contents() {
        let kind = content_kind_of(&content);
        let text = serde_json::to_string(&content).expect("JSON");
        check_block(&format!("content-{kind}"), &text, &mut wrong);
        let fields: Value = serde_json::from_str(&text).expect("JSON");
        let fields = fields.as_object().expect("an object");
        let names: Vec<&str> = fields.keys().map(String::as_str).filter(|name| *name != "kind").collect();
        let (_, head) = section.split_once(&format!("\n.BR {kind} \" (")).expect("an entry for each kind");
        let (listed, _) = head.split_once(')').expect("its fields");
        let mut listed: Vec<&str> = listed.split(", ").filter(|name| !["action", "part"].contains(name)).collect();
        listed.sort_unstable();
        assert_eq!(listed, names, "{kind}");
        for name in names {
            assert!(section.contains(&format!("\n.B {name}\n")), "{kind} has a field {name}");
        }
        // What is inside is read as what it says.
        let sealed = sealer(&ada()).seal(bob().id(), &sealer(&bob()).key(), &content).expect("it fits");
        assert_eq!(sealer(&bob()).open(&sealed).expect("it is for bob").content, content);
    }
    assert!(wrong.is_empty(), "these belong on the page:\n{wrong}");
    for field in ["from", "proof", "content"] {
        assert!(section.contains(&format!("\n.B {field}\n")), "a payload has a field {field}");
    }
}

#[test]
fn every_record_kind_and_field_is_on_the_page() {
    let headings: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix(".SS ")).collect();
    for (name, frame) in examples() {
        let word = name.trim_end_matches("-action").trim_end_matches("-away");
        assert!(headings.contains(&word), "a section on {word}");
        let text = text_of(&frame);
        let end = if text.ends_with(text_of(EXIT_END)) { EXIT_END.len() } else { MESSAGE_END.len() };
        let value: Value = serde_json::from_str(&text[..text.len() - end]).expect("JSON");
        for fields in [Some(&value), value.get("body")].into_iter().flatten() {
            for field in fields.as_object().expect("an object").keys() {
                assert!(PAGE.contains(&format!("\n.B {field}\n")), "{word} has a field {field}");
            }
        }
    }
    for field in ["answer", "part", "rank", "flood", "back"] {
        assert!(PAGE.contains(&format!("\n.B {field}\n")), "a field that may be left out: {field}");
    }
}

#[test]
fn every_reason_is_on_the_page() {
    for end in ENDS {
        assert!(is_listed(end));
        assert!(PAGE.contains(&format!("\n.TP\n.B {}\n", end.word().replace('-', r"\-"))), "the reason {end}");
    }
}

#[test]
fn every_bound_is_on_the_page_with_its_number() {
    let of = |count: usize| u64::try_from(count).expect("small");
    let rows = [
        ("frame, delimiter included", of(limits::FRAME_BYTES_MAX), "bytes"),
        ("levels of JSON", of(limits::JSON_DEPTH_MAX), ""),
        ("fields of a post", of(limits::POST_FIELDS_MAX), ""),
        ("an integer", limits::NUMBER_MAX, ""),
        ("text of a say, as encoded", of(limits::SAY_TEXT_BYTES_MAX), "bytes"),
        ("nick", of(limits::NICK_BYTES_MAX), "bytes"),
        ("name of a room", of(limits::ROOM_NAME_BYTES_MAX), "bytes"),
        ("why of a leave, away of a join", of(limits::WHY_BYTES_MAX), "bytes"),
        ("reason and text of an exit", of(limits::WHY_BYTES_MAX), "bytes"),
        ("addresses of a join", of(limits::ADDRESSES_PER_NODE_MAX), ""),
        ("addresses of a ticket", of(limits::TICKET_ADDRESSES_MAX), ""),
        ("host of an address in a ticket", of(limits::HOST_BYTES_MAX), "bytes"),
        ("entries of a have or news", of(limits::FEEDS_PER_PAGE_MAX), ""),
        ("feeds", of(limits::FEEDS_MAX), ""),
        ("feeds of an author", of(limits::SESSIONS_PER_AUTHOR_MAX), ""),
        ("sessions present", of(limits::MEMBERS_MAX), ""),
        ("new feeds on a link", limits::LINK_NEW_FEEDS.burst, ""),
        ("which are forgiven within", limits::LINK_NEW_FEEDS.window_ms, "ms"),
        ("feeds named on a link", of(limits::LINK_FEEDS_MAX), ""),
        ("first line of a dialler", of(limits::PREAMBLE_BYTES_MAX), "bytes"),
        ("exit record in the clear", of(limits::CLEAR_EXIT_BYTES_MAX), "bytes"),
        ("messages under one key", limits::LINK_RECORDS_MAX, ""),
        ("messages before renew", limits::LINK_RECORDS_RENEW, ""),
        ("time for a hello", limits::HANDSHAKE_MS_MAX, "ms"),
        ("time for a frame", limits::FRAME_MS_MAX, "ms"),
        ("beside its bytes, at a second", limits::LINK_BYTES_PER_S_MIN, "bytes"),
        ("silence before a ping", limits::LINK_PING_AFTER_MS, "ms"),
        ("silence before the link ends", limits::LINK_SILENT_MS_MAX, "ms"),
        ("dials that cross", limits::DIALS_CROSS_MS_MAX, "ms"),
        ("links without a hello", of(limits::LINKS_GREETING_MAX), ""),
        ("a handshake left alone for", limits::GREETING_MS_MIN, "ms"),
        ("handshakes of an address that fail", limits::HOST_HANDSHAKES.burst, ""),
        ("which fade within", limits::HOST_HANDSHAKES.window_ms, "ms"),
        ("points of an address or a key", limits::OFFENCE_POINTS.burst, ""),
        ("which fade within", limits::OFFENCE_POINTS.window_ms, "ms"),
        ("points for a ban", limits::BAN_POINTS, ""),
        ("requests on a link", limits::LINK_ASKS.burst, ""),
        ("of which are forgiven within", limits::LINK_ASKS.window_ms, "ms"),
        ("entries that count as a request", limits::LINK_ENTRIES_PER_ASK, ""),
        ("pings, pongs and unknown records", limits::LINK_CHATTER.burst, ""),
        ("losses told of by a peer", limits::LINK_LOSSES.burst, ""),
        ("a gap notice alone", limits::GAP_MS_MAX, "ms"),
        ("bytes that a socket does not take", limits::LINK_STUCK_MS_MAX, "ms"),
        ("links", of(limits::LINKS_ACCEPTED_MAX), ""),
        ("links of an identity", of(limits::LINKS_PER_IDENTITY_MAX), ""),
        ("posts queued for a link", of(limits::OUTBOX_BYTES_MAX), "bytes"),
        ("records queued beyond them", of(limits::OUTBOX_CONTROL_BYTES_MAX), "bytes"),
        ("posts of a source, in turn", of(limits::SERVE_BYTES), "bytes"),
        ("between two news", limits::NEWS_MS, "ms"),
        ("surplus before quiet", limits::SURPLUS_BYTES_MAX, "bytes"),
        ("standstill before a want", limits::STALE_MS, "ms"),
        ("catch\\-up without progress", limits::PULL_MS, "ms"),
        ("posts waiting behind a gap, per feed", of(limits::WAITING_BYTES_MAX), "bytes"),
        ("posts waiting behind gaps", of(limits::WAITING_BYTES_TOTAL_MAX), "bytes"),
        ("hole, where some had nothing", limits::HOLE_NOTHING_MS, "ms"),
        ("hole, where some said nothing", limits::HOLE_SILENT_MS, "ms"),
        ("and up to, by chance", limits::HOLE_JITTER_MS, "ms"),
        ("the log", of(limits::LOG_BYTES_MAX), "bytes"),
        ("age of a post", limits::POST_AGE_MS_MAX, "ms"),
        ("a post ahead of the clock", limits::POST_AHEAD_MS_MAX, "ms"),
        ("a clock pushed ahead", limits::CLOCK_AHEAD_MS_MAX, "ms"),
        ("leave and lost kept for", limits::ENDING_KEPT_MS, "ms"),
        ("unmarked bytes", limits::MARK_BYTES, "bytes"),
        ("unmarked bytes, per member", limits::MARK_BYTES_PER_MEMBER, "bytes"),
        ("unmarked for", limits::MARK_AFTER_MS, "ms"),
        ("unanswered for", limits::MARK_AGAIN_MS, "ms"),
        ("routes of marks, per feed", of(limits::MARK_ROUTES_MAX), ""),
        ("marks of an author that are answered", limits::MARK_ANSWERS.burst, ""),
        ("in", limits::MARK_ANSWERS.window_ms, "ms"),
        ("a member without progress", limits::MEMBER_STALLED_MS, "ms"),
        ("window at first", limits::WINDOW_BYTES_MIN, "bytes"),
        ("window at most", limits::WINDOW_BYTES_MAX, "bytes"),
        ("join renewed after", limits::JOIN_RENEW_MS, "ms"),
        ("session silent", limits::SESSION_SILENT_MS_MAX, "ms"),
        ("lost posted after", limits::LOST_AFTER_MS, "ms"),
        ("and up to, by chance", limits::LOST_JITTER_MS, "ms"),
        ("lost posted again after", limits::LOST_AGAIN_MS, "ms"),
        ("lost counts after", limits::LOST_GRACE_MS, "ms"),
        ("an old post played again", limits::REPLAYED_MS_MIN, "ms"),
        ("a goodbye", limits::LEAVE_MS_MAX, "ms"),
    ];
    check_bounds(&rows);
}

#[test]
fn every_bound_of_hub_mode_is_on_the_page_with_its_number() {
    let of = |count: usize| u64::try_from(count).expect("small");
    check_bounds(&[
        ("a beat every", limits::BEAT_MS, "ms"),
        ("a hub silent", limits::HUB_DOWN_MS, "ms"),
        ("and up to, by chance", limits::HUB_DOWN_JITTER_MS, "ms"),
        ("members before one, each", limits::STAGGER_MS, "ms"),
        ("of whom count", limits::STAGGER_POSITIONS_MAX, ""),
        ("and up to, by chance", limits::STAGGER_JITTER_MS, "ms"),
        ("links that are probed", of(limits::PROBED_LINKS_MAX), ""),
        ("epochs above the highest", limits::EPOCH_JUMP_MAX, ""),
        ("handovers at once", limits::HANDOVERS.burst, ""),
        ("of which are forgiven within", limits::HANDOVERS.window_ms, "ms"),
        ("spare links", of(limits::HUB_SPARES), ""),
        ("between two news, on a spare link", limits::SPARE_NEWS_MS, "ms"),
        ("told of and not brought", limits::WITHHELD_MS, "ms"),
        ("a new hub left alone for", limits::HUB_SETTLES_MS, "ms"),
        ("a hub without posts", limits::IDLE_MS, "ms"),
        ("but so many beats", limits::IDLE_BEATS, ""),
        ("a hub that was left", limits::DISTRUSTED_MS_MIN, "ms"),
        ("and up to", limits::DISTRUSTED_MS_MAX, "ms"),
        ("records about the hub, on a link", limits::LINK_ELECTION.burst, ""),
    ]);
}

#[test]
fn every_bound_of_whispers_is_on_the_page_with_its_number() {
    let of = |count: usize| u64::try_from(count).expect("small");
    check_bounds(&[
        ("links of a whisper", limits::WHISPER_HOPS_MAX.into(), ""),
        ("sealed letters of a whisper", of(limits::SEALED_TEXT_BYTES_MAX), "bytes"),
        ("a payload", of(limits::WHISPER_PLAIN_BYTES_MAX), "bytes"),
        ("text of a whisper, as encoded", of(limits::WHISPER_TEXT_BYTES_MAX), "bytes"),
        ("whispers under way to a reader", of(limits::WHISPERS_UNDER_WAY_MAX), ""),
        ("of so many sealed letters", of(limits::WHISPERS_UNDER_WAY_BYTES_MAX), "bytes"),
        ("of which are sent again", of(limits::WHISPERS_AGAIN_MAX), ""),
        ("a receipt", limits::RECEIPT_MS_MAX, "ms"),
        ("between two tries, and up to", limits::WHISPER_PAUSE_MS_MAX, "ms"),
        ("over all links for", limits::WHISPER_FLOODS_MS, "ms"),
        ("whispers waiting for a reader", of(limits::WHISPERS_WAITING_MAX), ""),
        ("for all readers", of(limits::WHISPERS_WAITING_BYTES_MAX), "bytes"),
        ("a whisper waits for", limits::WHISPER_AGE_MS_MAX, "ms"),
        ("a stream is remembered for", limits::WHISPER_REMEMBERED_MS, "ms"),
        ("streams of a sender", of(limits::WHISPER_STREAMS_PER_SENDER_MAX), ""),
        ("of all senders", of(limits::WHISPER_STREAMS_MAX), ""),
        ("whispers before their turn, of a sender", of(limits::WHISPERS_EARLY_MAX), ""),
        ("whispers not shown yet", of(limits::WHISPERS_UNSHOWN_BYTES_MAX), "bytes"),
        ("numbers of floods", of(limits::FLOODS_REMEMBERED_MAX), ""),
        ("KiB of whispers on a link", limits::LINK_WHISPERS.burst, ""),
        ("which are forgiven within", limits::LINK_WHISPERS.window_ms, "ms"),
        ("KiB of whispers over all links", limits::LINK_FLOODS.burst, ""),
        ("which are forgiven within", limits::LINK_FLOODS.window_ms, "ms"),
        ("traces on a link", limits::LINK_TRACES.burst, ""),
        ("which are forgiven within", limits::LINK_TRACES.window_ms, "ms"),
        ("a ping or trace without an answer", limits::PROBE_MS_MAX, "ms"),
    ]);
}

/// What is bounded, by how much, of what.
fn check_bounds(rows: &[(&str, u64, &str)]) {
    let missing: Vec<String> = rows
        .iter()
        .map(|(what, number, unit)| format!("{what}\t{number}{}{unit}", if unit.is_empty() { "" } else { " " }))
        .filter(|row| !PAGE.contains(&format!("\n{row}\n")))
        .collect();
    assert!(missing.is_empty(), "rows missing from the table of bounds:\n{}", missing.join("\n"));
}
