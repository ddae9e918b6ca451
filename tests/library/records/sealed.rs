//! Whispers: what carries them goes there and back within its bounds; what is sealed is opened by its reader alone, in
//! its room, unchanged, and proves its sender.

use hobnob::identity::Identity;
use hobnob::limits::{
    FRAME_BYTES_MAX, NICK_BYTES_MAX, NUMBER_MAX, SEALED_TEXT_BYTES_MAX, WHISPER_HOPS_MAX, WHISPER_PLAIN_BYTES_MAX,
    WHISPER_TEXT_BYTES_MAX,
};
use hobnob::room::intake::read_frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::Ending;
use hobnob::wire::record::{
    Body, Control, Domain, Draft, Envelope, Nick, Post, RecordError, Sealed, Trace, encoded_bytes,
};
use hobnob::wire::seal::{Chance, Content, NOISE_WHISPER, SealError, Sealer, SealingKey, Text};
use proptest::prelude::*;
use serde_json::Value;

use super::{alice, bob, body_of, control, encode, lobby};

fn sealer_in(room: &str, identity: &Identity) -> Sealer {
    Sealer::new(identity, room, &Domain::of_room(room), Chance::from_seed([9; 32]))
}

fn sealer(identity: &Identity) -> Sealer {
    sealer_in("lobby", identity)
}

fn text(said: &str) -> Content {
    let nick = Nick::new("alice").unwrap();
    Content::Text(Text { stream: 77, number: 1, at: 5, nick, text: said.to_owned(), action: false, part: false })
}

/// From alice to bob.
fn sealed(content: &Content) -> Result<Sealed, SealError> {
    sealer(&alice()).seal(bob().id(), &sealer(&bob()).key(), content)
}

fn envelope(hops: u8, flood: Option<u64>) -> Envelope {
    Envelope { to: bob().id(), session: 5, hops, flood, sealed: Sealed::of(b"?") }
}

fn trace(nodes: usize) -> Trace {
    Trace { token: 1, to: bob().id(), session: 5, path: vec![alice().id(); nodes], back: false }
}

/// The record as it is read again.
fn carried(record: &Control) -> Result<Control, RecordError> {
    let frame = record.encode();
    assert!(frame.len() <= FRAME_BYTES_MAX, "{} bytes", frame.len());
    control(std::str::from_utf8(frame.strip_suffix(b"<MSGENCD>").unwrap()).unwrap())
}

// ---- what carries it ----------------------------------------------------------------------------

#[test]
fn whispers_and_traces_go_there_and_back() {
    let longest = Sealed::of(&vec![0xff; SEALED_TEXT_BYTES_MAX / 4 * 3]);
    assert_eq!(longest.text_bytes(), SEALED_TEXT_BYTES_MAX);
    let records = [
        Control::Whisper(envelope(1, None)),
        Control::Whisper(envelope(WHISPER_HOPS_MAX, Some(NUMBER_MAX))),
        Control::Whisper(Envelope { session: NUMBER_MAX, sealed: longest, ..envelope(16, Some(NUMBER_MAX)) }),
        Control::Whisper(Envelope { sealed: Sealed::of(b""), ..envelope(3, Some(1)) }),
        Control::Trace(trace(1)),
        Control::Trace(Trace { back: true, token: NUMBER_MAX, ..trace(usize::from(WHISPER_HOPS_MAX) + 1) }),
    ];
    for record in records {
        assert_eq!(carried(&record).unwrap(), record);
    }
}

#[test]
fn a_whisper_holds_at_its_bounds_and_closes_the_link_past_them() {
    let refused = |envelope: Envelope, field: &str| {
        let frame = Control::Whisper(envelope).encode();
        let read = read_frame(&frame, Ending::Message, &lobby(), None, |_| false);
        assert!(matches!(&read, Err((End::BadRecord, RecordError::Bounds(name))) if *name == field), "{read:?}");
    };
    refused(envelope(0, None), "hops");
    refused(envelope(WHISPER_HOPS_MAX + 1, None), "hops");
    refused(envelope(u8::MAX, Some(1)), "hops");
    refused(envelope(1, Some(0)), "flood");
    refused(envelope(1, Some(NUMBER_MAX + 1)), "flood");
    refused(Envelope { session: 0, ..envelope(1, None) }, "session");
    refused(Envelope { session: NUMBER_MAX + 1, ..envelope(1, None) }, "session");
}

#[test]
fn a_trace_holds_at_its_bounds_and_closes_the_link_past_them() {
    let refused = |trace: Trace, field: &str| {
        let frame = Control::Trace(trace).encode();
        let read = read_frame(&frame, Ending::Message, &lobby(), None, |_| false);
        assert!(matches!(&read, Err((End::BadRecord, RecordError::Bounds(name))) if *name == field), "{read:?}");
    };
    let most = usize::from(WHISPER_HOPS_MAX) + 1;
    assert!(carried(&Control::Trace(trace(most))).is_ok());
    refused(trace(most + 1), "path");
    refused(trace(0), "path");
    refused(Trace { token: 0, ..trace(1) }, "token");
    refused(Trace { token: NUMBER_MAX + 1, ..trace(1) }, "token");
    refused(Trace { session: 0, ..trace(1) }, "session");
    refused(Trace { session: NUMBER_MAX + 1, ..trace(1) }, "session");
}

#[test]
fn sealed_text_is_base64_and_no_longer_than_its_bound() {
    let id = bob().id();
    let with =
        |sealed: &str| control(&format!(r#"{{"type":"whisper","to":"{id}","session":5,"hops":1,"sealed":{sealed}}}"#));
    let long = |letters: usize| format!(r#""{}""#, "A".repeat(letters));
    for good in [r#""""#, r#""ab+/09ZZ""#, r#""ab==""#, &long(SEALED_TEXT_BYTES_MAX)] {
        assert!(with(good).is_ok(), "{}", &good[..good.len().min(20)]);
    }
    let too_long = long(SEALED_TEXT_BYTES_MAX + 1);
    let others = [r#""ab-_""#, r#""ab c""#, r#""a\nbc""#, r#""é""#, r#""\u001b[2J""#, "1", "null", r#"["a"]"#];
    for wrong in others.into_iter().chain([too_long.as_str()]) {
        assert!(with(wrong).is_err(), "{}", &wrong[..wrong.len().min(20)]);
    }
    // These letters, but nothing written so: passed on, and opened by nobody.
    let Control::Whisper(envelope) = with(r#""=A=""#).unwrap() else { panic!("a whisper") };
    assert!(envelope.sealed.bytes().is_none());
    assert!(matches!(sealer(&bob()).open(&envelope.sealed), Err(SealError::Closed)));
}

#[test]
fn whispers_and_traces_with_wrong_types_or_missing_fields_are_refused() {
    let id = bob().id();
    let whisper = format!(r#"{{"type":"whisper","to":"{id}","session":5,"hops":1,"flood":2,"sealed":"ab=="}}"#);
    let trace = format!(r#"{{"type":"trace","token":1,"to":"{id}","session":5,"path":["{id}"],"back":true}}"#);
    assert!(control(&whisper).is_ok() && control(&trace).is_ok());
    let id = format!("\"{id}\"");
    for (json, from, to) in [
        (&whisper, id.as_str(), "\"bob\""),
        (&whisper, "\"session\":5", "\"session\":\"5\""),
        (&whisper, "\"session\":5,", ""),
        (&whisper, "\"hops\":1", "\"hops\":256"),
        (&whisper, "\"hops\":1", "\"hops\":-1"),
        (&whisper, "\"hops\":1", "\"hops\":1.0"),
        (&whisper, "\"hops\":1,", ""),
        (&whisper, "\"flood\":2", "\"flood\":true"),
        (&whisper, "\"flood\":2", "\"flood\":2,\"flood\":2"),
        (&whisper, ",\"sealed\":\"ab==\"", ""),
        (&trace, "\"token\":1", "\"token\":\"1\""),
        (&trace, "\"path\":[", "\"path\":[1,"),
        (&trace, "\"back\":true", "\"back\":1"),
        (&trace, "\"token\":1,", ""),
    ] {
        let wrong = json.replacen(from, to, 1);
        assert_ne!(&wrong, json, "{from}");
        assert!(control(&wrong).is_err(), "{wrong}");
    }
    let unpathed = trace.replace(&format!("\"path\":[{id}],"), "");
    assert!(unpathed != trace && control(&unpathed).is_err());
}

#[test]
fn a_join_with_a_sealing_key_goes_there_and_back_and_an_old_one_has_none() {
    let key = sealer(&alice()).key();
    let draft = Draft::Join { addresses: &[], passing: false, rank: None, sealing: Some(key), away: None };
    let made = encode(1, &draft);
    let read = Post::decode(&made.frame).unwrap();
    read.verify(&lobby()).unwrap();
    assert!(matches!(read.body, Body::Join { sealing: Some(read), .. } if read == key));
    let old = body_of("join", r#"{"addresses":["192.0.2.7:4646"],"passing":true}"#).unwrap();
    assert!(matches!(old, Body::Join { sealing: None, passing: true, .. }), "{old:?}");
    let digits = "0f".repeat(32);
    let join = |sealing: &str| body_of("join", &format!(r#"{{"addresses":[],"sealing":{sealing}}}"#));
    assert!(join(&format!("\"{digits}\"")).is_ok());
    for wrong in
        [format!("\"{}\"", digits.to_uppercase()), format!("\"{digits}0f\""), "\"\"".to_owned(), "1".to_owned()]
    {
        assert!(join(&wrong).is_err(), "{wrong}");
    }
}

// ---- what is inside -----------------------------------------------------------------------------

#[test]
fn every_content_is_opened_as_it_was_sealed() {
    let (stream, number, session) = (NUMBER_MAX, NUMBER_MAX, NUMBER_MAX);
    let nick = Nick::new("alice").unwrap();
    let said = "<MSGENCD> \"so\" \u{1b}[2J \u{1f4a1}\n".to_owned();
    let contents = [
        text(""),
        Content::Text(Text { stream, number, at: NUMBER_MAX, nick, text: said, action: true, part: true }),
        Content::Heard { stream, number: 0 },
        Content::Heard { stream, number: NUMBER_MAX - 1 },
        Content::Refused { stream, number },
        Content::Begin { stream, number, session },
        Content::Ping { token: NUMBER_MAX, session },
        Content::Pong { token: 1 },
    ];
    for content in contents {
        let opened = sealer(&bob()).open(&sealed(&content).unwrap()).unwrap();
        assert_eq!((opened.from, opened.key), (alice().id(), sealer(&alice()).key()));
        assert_eq!(opened.content, content);
    }
}

#[test]
fn what_is_sealed_is_opened_by_its_reader_in_its_room_alone() {
    let sealed = sealed(&text("for bob")).unwrap();
    assert!(sealer(&bob()).open(&sealed).is_ok());
    for other in [alice(), Identity::from_seed(&[3; 32])] {
        assert!(matches!(sealer(&other).open(&sealed), Err(SealError::Closed)), "another reader");
    }
    assert!(matches!(sealer_in("attic", &bob()).open(&sealed), Err(SealError::Closed)), "another room");
    // For bob's key, but addressed to alice: who announces another's key gets nothing opened there.
    let to_alice = sealer(&alice()).seal(alice().id(), &sealer(&bob()).key(), &text("?")).unwrap();
    assert!(matches!(sealer(&bob()).open(&to_alice), Err(SealError::Closed)), "another addressee");
}

#[test]
fn a_byte_changed_anywhere_in_what_is_sealed_keeps_it_closed() {
    let message = sealed(&text("unaltered")).unwrap().bytes().unwrap();
    let reader = sealer(&bob());
    for index in 0..message.len() {
        let mut bytes = message.clone();
        bytes[index] ^= 1;
        assert!(reader.open(&Sealed::of(&bytes)).is_err(), "byte {index}");
        assert!(reader.open(&Sealed::of(&message[..index])).is_err(), "cut to {index}");
    }
    assert!(reader.open(&Sealed::of(&[&*message, b"x"].concat())).is_err(), "one more");
    assert!(reader.open(&Sealed::of(&message)).is_ok());
}

#[test]
fn no_two_messages_are_alike() {
    let mut alice = sealer(&alice());
    let [one, other] = [(); 2].map(|()| alice.seal(bob().id(), &sealer(&bob()).key(), &text("again")).unwrap());
    assert_ne!(one, other);
}

#[test]
fn a_key_is_the_same_in_each_session_and_another_one_for_each_identity() {
    assert_eq!(sealer(&alice()).key(), sealer_in("attic", &alice()).key());
    assert_ne!(sealer(&alice()).key(), sealer(&bob()).key());
}

// ---- sealed by hand -----------------------------------------------------------------------------

/// The derivation that the protocol's page tells of.
fn secret_of(seed: u8) -> [u8; 32] {
    blake3::derive_key("hobnob 1 sealing key", &[seed; 32])
}

fn proof_of(identity: &Identity, key: &SealingKey, room: &str) -> String {
    let claim = [format!("hobnob sealing 1 {room}\n").as_bytes(), &key.0].concat();
    hex::encode(identity.sign(blake3::hash(&claim).as_bytes()))
}

/// Any payload, sealed for bob with alice's key.
fn sealed_by_hand(payload: &[u8]) -> Sealed {
    let (secret, reader) = (secret_of(1), sealer(&bob()).key());
    let prologue = format!("hobnob 1 whisper {} lobby", bob().id());
    let builder = snow::Builder::new(NOISE_WHISPER.parse().unwrap()).local_private_key(&secret).unwrap();
    let builder = builder.remote_public_key(&reader.0).unwrap().prologue(prologue.as_bytes()).unwrap();
    let mut message = vec![0; payload.len() + 96];
    let count = builder.build_initiator().unwrap().write_message(payload, &mut message).unwrap();
    Sealed::of(&message[..count])
}

fn payload(content: &str) -> String {
    let proof = proof_of(&alice(), &sealer(&alice()).key(), "lobby");
    format!(r#"{{"from":"{}","proof":"{proof}","content":{content}}}"#, alice().id())
}

/// What bob makes of a content that alice has sealed.
fn opened(content: &str) -> Result<Content, SealError> {
    sealer(&bob()).open(&sealed_by_hand(payload(content).as_bytes())).map(|opened| opened.content)
}

#[test]
fn a_proof_is_of_the_very_key_the_identity_and_the_room() {
    let key = sealer(&alice()).key();
    let with = |from: &Identity, proof: &str| {
        let payload = format!(r#"{{"from":"{}","proof":"{proof}","content":{{"kind":"pong","token":1}}}}"#, from.id());
        sealer(&bob()).open(&sealed_by_hand(payload.as_bytes()))
    };
    assert!(with(&alice(), &proof_of(&alice(), &key, "lobby")).is_ok());
    let eve = Identity::from_seed(&[3; 32]);
    for (from, proof) in [
        (&alice(), proof_of(&alice(), &sealer(&eve).key(), "lobby")),
        (&alice(), proof_of(&alice(), &key, "attic")),
        (&alice(), proof_of(&eve, &key, "lobby")),
        (&eve, proof_of(&alice(), &key, "lobby")),
        (&alice(), "00".repeat(64)),
    ] {
        assert!(matches!(with(from, &proof), Err(SealError::Unproved)), "{proof}");
    }
    assert!(with(&alice(), &"00".repeat(63)).is_err());
}

#[test]
fn a_repeated_key_inside_is_refused_at_every_level() {
    let content = r#"{"kind":"heard","stream":1,"number":2}"#;
    assert_eq!(opened(content).unwrap(), Content::Heard { stream: 1, number: 2 });
    for twice in [
        r#"{"kind":"heard","stream":1,"number":2,"number":3}"#,
        r#"{"kind":"heard","kind":"heard","stream":1,"number":2}"#,
        r#"{"kind":"heard","stream":1,"number":2,"new":{"a":1,"\u0061":1}}"#,
        r#"{"kind":"later","a":1,"a":1}"#,
        r#"{"kind":"pong","token":1},"content":{"kind":"pong","token":1}"#,
        r#"{"kind":"pong","token":1},"from":"x""#,
    ] {
        assert!(opened(twice).is_err(), "{twice}");
    }
}

#[test]
fn a_content_is_whole_and_of_its_types() {
    let text = r#"{"kind":"text","stream":1,"number":1,"at":0,"nick":"a","text":"x"}"#;
    assert!(matches!(opened(text), Ok(Content::Text(Text { action: false, part: false, .. }))));
    for (from, to) in [
        ("\"stream\":1,", ""),
        ("\"nick\":\"a\"", "\"nick\":\"a b\""),
        ("\"nick\":\"a\"", "\"nick\":\"\""),
        ("\"text\":\"x\"", "\"text\":1"),
        ("\"text\":\"x\"", "\"text\":\"\\ud800\""),
        ("\"text\":\"x\"", "\"text\":\"x\",\"part\":1"),
        ("\"at\":0", "\"at\":-1"),
        ("\"kind\":\"text\"", "\"kind\":5"),
    ] {
        let wrong = text.replacen(from, to, 1);
        assert_ne!(wrong, text);
        assert!(opened(&wrong).is_err(), "{wrong}");
    }
    for wrong in ["[]", "null", "{}", "\"text\"", r#"["pong",1]"#] {
        assert!(opened(wrong).is_err(), "{wrong}");
    }
    let Value::Object(whole) = serde_json::from_str(&payload(r#"{"kind":"pong","token":1}"#)).unwrap() else {
        panic!()
    };
    let listed = serde_json::to_vec(&["from", "proof", "content"].map(|name| &whole[name])).unwrap();
    assert!(sealer(&bob()).open(&sealed_by_hand(&listed)).is_err(), "an array of the values");
    for wrong in [&b""[..], b"{}", b"[]", b"\xff", b"{\"from\":"] {
        assert!(sealer(&bob()).open(&sealed_by_hand(wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn numbers_inside_are_within_their_bounds() {
    let (most, beyond) = (NUMBER_MAX.to_string(), (NUMBER_MAX + 1).to_string());
    let largest = u64::MAX.to_string();
    let less = (NUMBER_MAX - 1).to_string();
    let of = |form: &str, number: &str| opened(&form.replace('?', number)).is_ok();
    for form in [
        r#"{"kind":"text","stream":?,"number":1,"at":0,"nick":"a","text":"x"}"#,
        r#"{"kind":"text","stream":1,"number":?,"at":0,"nick":"a","text":"x"}"#,
        r#"{"kind":"heard","stream":?,"number":1}"#,
        r#"{"kind":"refused","stream":?,"number":1}"#,
        r#"{"kind":"refused","stream":1,"number":?}"#,
        r#"{"kind":"begin","stream":?,"number":1,"session":1}"#,
        r#"{"kind":"begin","stream":1,"number":?,"session":1}"#,
        r#"{"kind":"begin","stream":1,"number":1,"session":?}"#,
        r#"{"kind":"ping","token":?,"session":1}"#,
        r#"{"kind":"ping","token":1,"session":?}"#,
        r#"{"kind":"pong","token":?}"#,
    ] {
        for (number, is_good) in [("0", false), ("1", true), (&*most, true), (&*beyond, false), (&*largest, false)] {
            assert_eq!(of(form, number), is_good, "{form} with {number}");
        }
    }
    let heard = r#"{"kind":"heard","stream":1,"number":?}"#;
    for (number, is_good) in [("0", true), (&*less, true), (&*most, false), (&*beyond, false), (&*largest, false)] {
        assert_eq!(of(heard, number), is_good, "{heard} with {number}");
    }
    let at = r#"{"kind":"text","stream":1,"number":1,"at":?,"nick":"a","text":"x"}"#;
    for (number, is_good) in [("0", true), (&*most, true), (&*beyond, false), (&*largest, false)] {
        assert_eq!(of(at, number), is_good, "{at} with {number}");
    }
}

#[test]
fn what_a_later_version_adds_is_skipped() {
    for content in [
        r#"{"kind":"dance","steps":-1.5}"#,
        r#"{"kind":"","text":["a"]}"#,
        r#"{"kind":"unknown"}"#,
        r#"{"kind":"Text","stream":1}"#,
    ] {
        assert_eq!(opened(content).unwrap(), Content::Unknown, "{content}");
    }
    assert_eq!(opened(r#"{"token":3,"new":{"a":[1]},"kind":"pong"}"#).unwrap(), Content::Pong { token: 3 });
    assert_eq!(opened(r#"{"kind":"pong","token":3},"later":null"#).unwrap(), Content::Pong { token: 3 });
}

// ---- sizes --------------------------------------------------------------------------------------

#[test]
fn the_longest_whisper_with_all_around_it_is_sealed_and_fits_a_frame() {
    let nick = Nick::new(&"\"".repeat(NICK_BYTES_MAX)).unwrap();
    let said = "<".repeat(WHISPER_TEXT_BYTES_MAX / 6);
    let said = format!("{said}{}", "x".repeat(WHISPER_TEXT_BYTES_MAX - encoded_bytes(&said)));
    assert_eq!(encoded_bytes(&said), WHISPER_TEXT_BYTES_MAX);
    let (stream, number, at) = (NUMBER_MAX, NUMBER_MAX, NUMBER_MAX);
    let content = Content::Text(Text { stream, number, at, nick, text: said, action: true, part: true });
    let sealed = sealed(&content).unwrap();
    assert!(sealed.text_bytes() <= SEALED_TEXT_BYTES_MAX, "{}", sealed.text_bytes());
    assert_eq!(sealer(&bob()).open(&sealed).unwrap().content, content);
    let longest = Envelope { session: NUMBER_MAX, sealed, ..envelope(WHISPER_HOPS_MAX, Some(NUMBER_MAX)) };
    assert_eq!(carried(&Control::Whisper(longest.clone())).unwrap(), Control::Whisper(longest));
}

#[test]
fn a_payload_at_its_bound_is_sealed_and_one_past_it_is_not() {
    let around = payload(&serde_json::to_string(&text("")).unwrap()).len();
    let letters = WHISPER_PLAIN_BYTES_MAX - around;
    let sealed_so = |letters: usize| sealed(&text(&"x".repeat(letters)));
    assert_eq!(sealed_so(letters).unwrap().text_bytes(), SEALED_TEXT_BYTES_MAX);
    assert!(matches!(sealed_so(letters + 1), Err(SealError::TooLong)));
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(64))]
    #[test]
    fn a_whisper_is_exactly_what_was_said(
        said in prop_oneof![any::<String>(), "[<>\\\\\"\u{2028}\u{feff}\u{10ffff}é]{0,50}"],
        (stream, number, at) in (1..=NUMBER_MAX, 1..=NUMBER_MAX, 0..=NUMBER_MAX),
        (action, part) in any::<(bool, bool)>(),
    ) {
        let nick = Nick::new("alice").unwrap();
        let content = Content::Text(Text { stream, number, at, nick, text: said, action, part });
        let opened = sealer(&bob()).open(&sealed(&content).unwrap()).unwrap();
        prop_assert_eq!(opened.content, content);
    }

    #[test]
    fn no_payload_makes_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = sealer(&bob()).open(&sealed_by_hand(&bytes));
        let _ = sealer(&bob()).open(&Sealed::of(&bytes));
    }

    #[test]
    fn no_content_makes_a_reader_panic(text in "[\\[\\]{}\":,0-9a-z\\\\ ]{0,60}", number in any::<u64>()) {
        let _ = opened(&text);
        for kind in ["text", "heard", "refused", "begin", "ping", "pong"] {
            let _ = opened(&format!(
                r#"{{"kind":"{kind}","stream":{number},"number":{number},"session":{number},"token":{number},"at":{number},"nick":"a","text":"x"}}"#
            ));
        }
    }

    #[test]
    fn envelopes_within_their_bounds_go_there_and_back(
        hops in 1..=WHISPER_HOPS_MAX,
        flood in proptest::option::of(1..=NUMBER_MAX),
        session in 1..=NUMBER_MAX,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let record = Control::Whisper(Envelope { session, sealed: Sealed::of(&bytes), ..envelope(hops, flood) });
        prop_assert_eq!(carried(&record).unwrap(), record);
    }

    #[test]
    fn no_damage_to_a_whisper_makes_a_reader_open_it(
        place in any::<proptest::sample::Index>(),
        change in 1..=u8::MAX,
    ) {
        let mut message = sealed(&text("unaltered")).unwrap().bytes().unwrap();
        let index = place.index(message.len());
        message[index] ^= change;
        prop_assert!(sealer(&bob()).open(&Sealed::of(&message)).is_err());
    }
}
