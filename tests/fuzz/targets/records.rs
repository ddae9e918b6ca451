//! What a reader makes of a frame has one meaning, is within its bounds and goes there and back; signed or not.
//!
//! The input: how the frame is made, and what is in it.

use hobnob::limits::{JSON_DEPTH_MAX, NUMBER_MAX};
use hobnob::room::Arrival;
use hobnob::room::intake::read_frame;
use hobnob::wire::frame::{EXIT_END, Ending, MESSAGE_END};
use hobnob::wire::record::{Ack, Body, Control, Draft, Header, Nick, Post};
use serde_json::Value;

use super::{Bytes, identity, lobby, seal, sealed_post};

pub(crate) fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let (frame, ending) = match input.below(4) {
        0 => ([input.0, MESSAGE_END].concat(), Ending::Message),
        1 => ([input.0, EXIT_END].concat(), Ending::Exit),
        2 => (sealed_post(&identity(2), (1, 1), input.0), Ending::Message),
        _ => (seal("ack", &identity(2), input.0), Ending::Message),
    };
    let Ok(arrival) = read_frame(&frame, ending, &lobby(), None, |_| false) else { return };
    let json = &frame[..frame.len() - if ending == Ending::Exit { EXIT_END.len() } else { MESSAGE_END.len() }];
    has_one_meaning(std::str::from_utf8(json).expect("a record is UTF-8"));
    match arrival {
        Arrival::Control(control) => check_control(&control, ending),
        Arrival::Ack(ack) => check_ack(&ack, &frame),
        Arrival::Post(post) => check_post(&post, &frame),
        Arrival::Copy { .. } => panic!("nothing was seen before"),
    }
}

/// No key twice and not too deep, found by other means than the reader's.
fn has_one_meaning(json: &str) {
    let value: Value = serde_json::from_str(json).expect("a record is JSON");
    assert!(value.is_object());
    let (mut depth, mut keys, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b':' => keys += 1,
            _ => {}
        }
        assert!(depth <= JSON_DEPTH_MAX, "deeper than allowed: {json}");
    }
    // Of two equal keys a map holds one.
    assert_eq!(keys, keys_of(&value), "a key twice: {json}");
}

fn keys_of(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.len() + fields.values().map(keys_of).sum::<usize>(),
        Value::Array(values) => values.iter().map(keys_of).sum(),
        _ => 0,
    }
}

fn check_control(control: &Control, ending: Ending) {
    assert_eq!(matches!(control, Control::Exit { .. }), ending == Ending::Exit);
    if *control == Control::Unknown {
        return;
    }
    match read_frame(&control.encode(), ending, &lobby(), None, |_| false) {
        Ok(Arrival::Control(again)) => assert_eq!(again, *control),
        other => panic!("{control:?} comes back as {other:?}"),
    }
}

fn check_ack(ack: &Ack, frame: &[u8]) {
    assert_eq!(&*ack.frame, frame);
    for number in [ack.feed.session, ack.member.session, ack.first, ack.last] {
        assert!((1..=NUMBER_MAX).contains(&number));
    }
    if ack.verify(&lobby()).is_ok() {
        assert_eq!(ack.member.author, identity(2).id(), "whoever signed it");
    }
}

fn check_post(post: &Post, frame: &[u8]) {
    assert_eq!(&*post.frame, frame);
    assert_eq!(post.feed.author, identity(2).id(), "only who has signed it");
    assert!((1..=NUMBER_MAX).contains(&post.feed.session) && (1..=NUMBER_MAX).contains(&post.number));
    assert!(post.at <= NUMBER_MAX);
    Nick::new(post.nick.as_str()).expect("a nick that could have been typed");
    let text = post.text();
    let draft = match &post.body {
        Body::Join { addresses, passing, rank, sealing, away } => {
            Draft::Join { addresses, passing: *passing, rank: *rank, sealing: *sealing, away: away.as_deref() }
        }
        Body::Say { action, part, .. } => Draft::Say { text: &text, action: *action, part: *part },
        Body::Nick => Draft::Nick,
        Body::Leave { why } => Draft::Leave { why },
        Body::Lost { feed, last } => Draft::Lost { feed: *feed, last: *last },
        Body::Mark => Draft::Mark,
        Body::Unknown => return,
    };
    let header = Header { feed: post.feed, number: post.number, at: post.at, nick: &post.nick, ack: post.ack };
    let again = Post::encode(&header, &draft, &lobby(), &identity(2));
    let again = Post::decode(&again.frame).expect("what was read can be written, and read again");
    assert_eq!(
        (again.feed, again.number, again.at, &again.nick, again.ack),
        (post.feed, post.number, post.at, &post.nick, post.ack)
    );
    assert_eq!(again.text(), text);
}
