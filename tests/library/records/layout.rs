//! Records go there and back, and only as they were made and signed.

use std::net::SocketAddr;

use hobnob::limits::{FEEDS_PER_PAGE_MAX, FRAME_BYTES_MAX, NUMBER_MAX};
use hobnob::room::Arrival;
use hobnob::room::intake::read_frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::Ending;
use hobnob::wire::record::{
    Ack, Body, Control, Domain, Draft, Entry, Hello, Label, Mode, Nick, Post, Record, RecordError, encoded_bytes,
    is_post,
};
use proptest::prelude::*;

use super::{alice, bob, body_of, control, encode, feed_of, lobby, post_of, post_with, say};

#[test]
fn every_kind_of_post_goes_there_and_back() {
    let addresses: Vec<SocketAddr> =
        ["192.0.2.1:9000", "[2001:db8::1]:4646", "127.0.0.1:1"].map(|addr| addr.parse().unwrap()).to_vec();
    let drafts = [
        Draft::Join { addresses: &addresses, passing: true, rank: None, sealing: None, away: None },
        Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None },
        Draft::Say { text: "hello", action: false, part: false },
        Draft::Say { text: "", action: true, part: true },
        Draft::Nick,
        Draft::Leave { why: "time for <MSGENCD>" },
        Draft::Lost { feed: feed_of(&bob()), last: NUMBER_MAX },
        Draft::Mark,
    ];
    for (index, draft) in drafts.iter().enumerate() {
        let made = encode(index as u64 + 1, draft);
        let read = Post::decode(&made.frame).unwrap();
        assert_eq!(read.body, made.body, "{draft:?}");
        assert_eq!((read.feed, read.number, read.at, read.ack), (made.feed, made.number, made.at, made.ack));
        assert_eq!((&read.nick, &read.frame, read.text()), (&made.nick, &made.frame, made.text()));
        read.verify(&lobby()).unwrap();
        assert!(is_post(&made.frame));
        let label = Label::read(&made.frame).unwrap();
        assert_eq!((label.feed, label.number), (made.feed, made.number));
    }
}

#[test]
fn every_control_record_goes_there_and_back() {
    let (author, session) = (bob().id(), NUMBER_MAX);
    let hello = Hello {
        version: 1,
        id: author,
        session,
        room: "the <lobby>".to_owned(),
        mode: Mode::Mesh,
        nick: Nick::new("bob").unwrap(),
        seen: "2001:db8::7".parse().unwrap(),
        listens: true,
        time: 1_790_000_000_000,
        proof: None,
    };
    let entries: Vec<Entry> = (0..FEEDS_PER_PAGE_MAX).map(|index| Entry(author, session, index as u64)).collect();
    let records = [
        Control::Hello(hello),
        Control::Have { feeds: entries.clone() },
        Control::Have { feeds: vec![] },
        Control::All {},
        Control::Done {},
        Control::Want { author, session, from: 1, answer: true },
        Control::Want { author, session, from: NUMBER_MAX, answer: false },
        Control::Quiet { author, session },
        Control::News { feeds: entries },
        Control::Gap { author, session, from: 1, to: 1 },
        Control::Ping { token: 0 },
        Control::Pong { token: NUMBER_MAX },
        Control::Exit { reason: "goodbye".to_owned(), text: "<EXITENCD>".to_owned() },
    ];
    for record in records {
        let frame = record.encode();
        assert!(frame.len() <= FRAME_BYTES_MAX, "{record:?}");
        if matches!(record, Control::Have { .. } | Control::News { .. }) {
            let json = serde_json::to_string(&record).unwrap();
            assert_eq!(frame.strip_suffix(b"<MSGENCD>"), Some(json.as_bytes()), "what the serializer would write");
        }
        let ending = if matches!(record, Control::Exit { .. }) { Ending::Exit } else { Ending::Message };
        let Record::Control(read) = Record::decode(&frame, ending).unwrap() else { panic!("an ack") };
        assert_eq!(read, record);
        let other = if ending == Ending::Exit { Ending::Message } else { Ending::Exit };
        assert!(Record::decode(&frame, other).is_err(), "{read:?} with the other delimiter");
    }
}

#[test]
fn an_ack_goes_there_and_back_and_holds_in_its_room_only() {
    let (author, member) = (feed_of(&alice()), feed_of(&bob()));
    let made = Ack::encode(author, member, (3, NUMBER_MAX), &lobby(), &bob());
    let Record::Ack(read) = Record::decode(&made.frame, Ending::Message).unwrap() else { panic!("no ack") };
    assert_eq!((read.feed, read.member, read.first, read.last), (author, member, 3, NUMBER_MAX));
    read.verify(&lobby()).unwrap();
    assert!(matches!(read.verify(&Domain::of_room("other")), Err(RecordError::Signature)));
    let forged = Ack::encode(author, member, (3, 9), &lobby(), &alice());
    assert!(forged.verify(&lobby()).is_err(), "signed by somebody else");
}

#[test]
fn an_altered_ack_is_refused_at_every_byte() {
    let made = Ack::encode(feed_of(&alice()), feed_of(&bob()), (1, 2), &lobby(), &bob());
    for index in 0..made.frame.len() {
        let mut bytes = made.frame.to_vec();
        bytes[index] ^= 1;
        let read = Record::decode(&bytes, Ending::Message);
        assert!(!matches!(read, Ok(Record::Ack(ack)) if ack.verify(&lobby()).is_ok()), "byte {index}");
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(300))]
    #[test]
    fn a_say_is_exactly_what_was_said(
        text in prop_oneof![any::<String>(), "[\\x00-\\x7f]{0,200}", "[<>\\\\\"\u{2028}\u{feff}\u{10ffff}é]{0,50}"],
        action: bool,
        part: bool,
    ) {
        let made = encode(2, &Draft::Say { text: &text, action, part });
        let read = Post::decode(&made.frame).unwrap();
        prop_assert_eq!(read.text(), text.as_str());
        prop_assert_eq!(made.text(), text.as_str());
        prop_assert!(read.verify(&lobby()).is_ok());
        let Body::Say { text: range, action: read_action, part: read_part } = read.body else { unreachable!() };
        prop_assert_eq!((read_action, read_part), (action, part));
        prop_assert_eq!(range.len(), encoded_bytes(&text) + 2);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for ending in [Ending::Message, Ending::Exit] {
            let _ = read_frame(&bytes, ending, &lobby(), None, |_| false);
            let _ = Record::decode(&bytes, ending);
        }
        let _ = Post::decode(&bytes);
        let _ = Label::read(&bytes);
    }

    #[test]
    fn no_damage_to_a_frame_makes_a_reader_panic_or_believe_it(
        which in 0..4_usize,
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let entry = Entry(bob().id(), 5, 6);
        let frame = match which {
            0 => say("some <text> \u{1} é").frame,
            1 => Control::Have { feeds: vec![entry; 3] }.encode(),
            2 => Ack::encode(feed_of(&alice()), feed_of(&bob()), (1, 2), &lobby(), &bob()).frame,
            _ => encode(3, &Draft::Lost { feed: feed_of(&bob()), last: 4 }).frame,
        };
        let mut bytes = frame.to_vec();
        for (place, byte, edit) in edits {
            let index = place.index(bytes.len());
            match edit {
                0 => bytes[index] = byte,
                1 => bytes.insert(index, byte),
                _ => _ = bytes.remove(index),
            }
        }
        let altered = bytes != frame.to_vec();
        let read = read_frame(&bytes, Ending::Message, &lobby(), None, |_| false);
        prop_assert!(!altered || !matches!(read, Ok(Arrival::Post(_))));
    }

    #[test]
    fn no_json_makes_a_reader_panic(text in "[\\[\\]{}\":,0-9a-z\\\\ ]{0,80}") {
        let _ = control(&text);
        let _ = body_of("say", &text);
        let _ = body_of("join", &text);
        let _ = Post::decode(&post_with(&text));
    }
}

// ---- signatures ---------------------------------------------------------------------------------

#[test]
fn a_byte_changed_anywhere_in_a_post_is_refused() {
    let made = say("unaltered");
    for index in 0..made.frame.len() {
        for flip in [1, 0x20] {
            let mut bytes = made.frame.to_vec();
            bytes[index] ^= flip;
            let read = read_frame(&bytes, Ending::Message, &lobby(), None, |_| false);
            assert!(!matches!(read, Ok(Arrival::Post(_))), "byte {index}");
        }
    }
}

#[test]
fn a_post_signed_for_another_room_is_refused() {
    let post = say("hello");
    assert!(matches!(post.verify(&Domain::of_room("lobby2")), Err(RecordError::Signature)));
    let read = read_frame(&post.frame, Ending::Message, &Domain::of_room("other"), None, |_| false);
    assert!(matches!(read, Err((End::BadSignature, _))));
}

#[test]
fn nothing_may_stand_around_or_after_a_signature() {
    let text = String::from_utf8(say("hello").frame.to_vec()).unwrap();
    for (from, to) in [
        ("\"}<MSGENCD>", "\" }<MSGENCD>"),
        ("\"}<MSGENCD>", "\"} <MSGENCD>"),
        ("\"}<MSGENCD>", "\",\"x\":1}<MSGENCD>"),
        ("\"}<MSGENCD>", "0\"}<MSGENCD>"),
        (",\"sig\":", ", \"sig\":"),
        (",\"sig\":", ",\"sig\" :"),
        ("{\"type\"", " {\"type\""),
        ("{\"type\"", "{ \"type\""),
        ("\"number\":1,", "\"number\":01,"),
        ("\"number\":1,", "\"number\":1.0,"),
        ("\"number\":1,", "\"number\":1e0,"),
        ("\"number\":1,", "\"number\":+1,"),
        ("\"number\":1,", "\"number\":\"1\","),
        ("\"session\":77,\"number\":1,", "\"number\":1,\"session\":77,"),
    ] {
        let padded = text.replace(from, to);
        assert_ne!(padded, text, "{from}");
        assert!(Post::decode(padded.as_bytes()).is_err(), "{to}");
        let read = read_frame(padded.as_bytes(), Ending::Message, &lobby(), None, |_| false);
        assert!(matches!(read, Err((End::BadRecord, _))), "{to}");
    }
}

#[test]
fn upper_case_digits_are_refused() {
    let text = String::from_utf8(say("hello").frame.to_vec()).unwrap();
    let author = alice().id().to_string();
    assert!(Post::decode(text.replace(&author, &author.to_uppercase()).as_bytes()).is_err());
    let sig = &text[text.len() - 139..text.len() - 11];
    assert!(Post::decode(text.replace(sig, &sig.to_uppercase()).as_bytes()).is_err());
    let want = format!(r#"{{"type":"quiet","author":"{author}","session":1}}"#);
    assert!(control(&want).is_ok());
    assert!(control(&want.replace(&author, &author.to_uppercase())).is_err());
}

#[test]
fn a_post_without_its_label_in_front_closes_the_link() {
    let author = alice().id();
    for frame in [
        r#"{"type":"post"}<MSGENCD>"#.to_owned(),
        format!(r#"{{"type":"post","session":1,"author":"{author}","number":1}}<MSGENCD>"#),
    ] {
        assert!(is_post(frame.as_bytes()));
        let read = read_frame(frame.as_bytes(), Ending::Message, &lobby(), None, |_| false);
        assert!(matches!(read, Err((End::BadRecord, RecordError::Layout))));
    }
    // Nor does one come in by the back door, with its type written otherwise.
    for frame in [r#"{"a":1,"type":"post"}"#, r#"{"type":"po\u0073t"}"#, r#"{"a":1,"type":"ack"}"#] {
        assert!(matches!(control(frame), Err(RecordError::Layout)), "{frame}");
    }
}

#[test]
fn a_copy_is_known_before_its_record_is_read() {
    let frame = post_of("say", "this is no JSON");
    let read = read_frame(&frame, Ending::Message, &lobby(), None, |label| label.number == 1);
    assert!(matches!(read, Ok(Arrival::Copy { number: 1, bytes, .. }) if bytes == frame.len()));
}
