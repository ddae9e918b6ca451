//! What two readers could see differently is refused: in JSON, numbers, names and sizes. What is later is skipped.

use hobnob::identity::Id;
use hobnob::limits::{
    ADDRESSES_PER_NODE_MAX, FEEDS_PER_PAGE_MAX, FRAME_BYTES_MAX, JSON_DEPTH_MAX, NICK_BYTES_MAX, NUMBER_MAX,
    POST_FIELDS_MAX, ROOM_NAME_BYTES_MAX, SAY_TEXT_BYTES_MAX, WHY_BYTES_MAX,
};
use hobnob::room::Arrival;
use hobnob::room::intake::read_frame;
use hobnob::wire::end::End;
use hobnob::wire::frame::Ending;
use hobnob::wire::record::{
    Body, Control, Draft, Entry, FeedId, Header, Nick, Post, Record, RecordError, check_room_name, encoded_bytes,
};

use super::{alice, bob, body_of, control, encode, lobby, post_of, post_with};

// ---- what JSON leaves open ----------------------------------------------------------------------

#[test]
fn a_repeated_key_is_refused_at_every_level() {
    let at = r#""at":5,"nick":"a","kind":"say""#;
    let twice = [
        format!(r#"{at},"at":5,"body":{{"text":"x"}}"#),
        format!(r#"{at},"author":"x","body":{{"text":"x"}}"#),
        format!(r#"{at},"number":1,"body":{{"text":"x"}}"#),
        format!(r#"{at},"sig":"x","body":{{"text":"x"}}"#),
        format!(r#"{at},"new":1,"n\u0065w":2,"body":{{"text":"x"}}"#),
        format!(r#"{at},"body":{{"text":"x","text":"y"}}"#),
        format!(r#"{at},"body":{{"text":"x","\u0074ext":"y"}}"#),
        format!(r#"{at},"body":{{"text":"x","part":true,"part":false}}"#),
        format!(r#"{at},"body":{{"text":"x","new":{{"a":[{{"b":1,"b":1}}]}}}}"#),
        format!(r#"{at},"body":{{"text":"x"}},"new":{{"a":1,"a":1}}"#),
    ];
    for rest in &twice {
        assert!(matches!(Post::decode(&post_with(rest)), Err(RecordError::Json(_))), "{rest}");
    }
    for (kind, body) in [("leave", r#"{"why":"a","why":"b"}"#), ("new-kind", r#"{"a":{"b":0,"b":0}}"#)] {
        assert!(body_of(kind, body).is_err(), "{body}");
    }
    for json in [
        r#"{"type":"done","type":"done"}"#,
        r#"{"type":"ping","token":1,"token":1}"#,
        r#"{"type":"future","a":{"b":1,"b":2}}"#,
    ] {
        assert!(control(json).is_err(), "{json}");
    }
}

fn nested(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn json_of_the_deepest_level_passes_and_one_deeper_is_refused() {
    // The frame's object is the first level, a body the second.
    for (levels, good) in [(JSON_DEPTH_MAX - 1, true), (JSON_DEPTH_MAX, false), (5_000, false)] {
        let json = format!(r#"{{"type":"future","a":{}}}"#, nested(levels));
        assert_eq!(control(&json).is_ok(), good, "{levels}");
        let rest = format!(r#""at":5,"nick":"a","kind":"nick","body":{{}},"new":{}"#, nested(levels));
        assert_eq!(Post::decode(&post_with(&rest)).is_ok(), good, "{levels}");
        let inner = nested(levels - 1);
        assert_eq!(body_of("future", &format!(r#"{{"a":{inner}}}"#)).is_ok(), good, "{levels}");
        assert_eq!(body_of("say", &format!(r#"{{"text":"x","a":{inner}}}"#)).is_ok(), good, "{levels}");
    }
}

#[test]
fn a_lone_surrogate_is_refused() {
    for text in [r#""\ud800""#, r#""\udc00""#, r#""a\ud83d b""#, r#""\ud83d\ud83d""#, r#""\ude00\ud83d""#] {
        assert!(body_of("say", &format!(r#"{{"text":{text}}}"#)).is_err(), "{text}");
        assert!(body_of("leave", &format!(r#"{{"why":{text}}}"#)).is_err(), "{text}");
        assert!(body_of("say", &format!(r#"{{"text":"x","new":{text}}}"#)).is_err(), "{text}");
        assert!(control(&format!(r#"{{"type":"future","a":{text}}}"#)).is_err(), "{text}");
    }
    let whole = Post::decode(&post_of("say", r#"{"text":"\ud83d\ude00 \u00e9"}"#)).unwrap();
    assert_eq!(whole.text(), "😀 é");
}

#[test]
fn a_text_is_a_string_and_nothing_else() {
    for text in ["1", "null", "true", "[]", "{}", "[\"x\"]", r#"{"a":"\u0041"}"#] {
        assert!(body_of("say", &format!(r#"{{"text":{text}}}"#)).is_err(), "{text}");
    }
    for body in ["[]", "null", "\"x\"", "1", "{}", r#"{"action":true}"#] {
        assert!(body_of("say", body).is_err(), "{body}");
    }
    for text in ["\"\n\"", "\"\\x\"", "\"\\u12\"", "\"a", "\"\u{0}\""] {
        assert!(body_of("say", &format!(r#"{{"text":{text}}}"#)).is_err(), "{text:?}");
    }
}

#[test]
fn wrong_types_and_missing_fields_are_refused() {
    for rest in [
        r#""nick":"a","kind":"mark","body":{}"#,
        r#""at":5,"kind":"mark","body":{}"#,
        r#""at":5,"nick":"a","body":{}"#,
        r#""at":5,"nick":"a","kind":"mark""#,
        r#""at":"5","nick":"a","kind":"mark","body":{}"#,
        r#""at":5,"nick":5,"kind":"mark","body":{}"#,
        r#""at":5,"nick":"a","kind":["mark"],"body":{}"#,
        r#""at":5,"nick":"a","kind":"\u006dark","body":{}"#,
        r#""at":5,"nick":"a","kind":"mark","body":{},"later":1e400"#,
        r#""at":5,"nick":"a","kind":"mark","body":[]"#,
        r#""at":5,"nick":"a","kind":"mark","body":null"#,
        r#""at":5,"nick":"a","ack":1,"kind":"mark","body":{}"#,
        r#""at":5,"nick":"","kind":"mark","body":{}"#,
    ] {
        assert!(Post::decode(&post_with(rest)).is_err(), "{rest}");
    }
    let id = bob().id();
    for (kind, body) in [
        ("join", "{}".to_owned()),
        ("join", r#"{"addresses":["nowhere"]}"#.to_owned()),
        ("join", r#"{"addresses":{}}"#.to_owned()),
        ("join", r#"{"addresses":[],"passing":"yes"}"#.to_owned()),
        ("join", r#"{"addresses":[],"away":true}"#.to_owned()),
        ("say", r#"{"text":"x","part":1}"#.to_owned()),
        ("leave", r#"{"why":1}"#.to_owned()),
        ("lost", format!(r#"{{"author":"{id}","session":1}}"#)),
        ("lost", format!(r#"{{"author":"{id}","session":0,"last":1}}"#)),
        ("lost", r#"{"author":"x","session":1,"last":1}"#.to_owned()),
    ] {
        assert!(body_of(kind, &body).is_err(), "{kind} {body}");
    }
    for json in [
        "[]",
        "null",
        "1",
        r#""x""#,
        "{}",
        "",
        r#"["done"]"#,
        r#"["ping",5]"#,
        r#"{"type":5}"#,
        r#"{"type":7,"token":5}"#,
        r#"{"type":null}"#,
        r#"{"type":"have"}"#,
        r#"{"type":"have","feeds":{}}"#,
        r#"{"type":"have","feeds":[[1,2,3]]}"#,
        r#"{"type":"ping"}"#,
        r#"{"type":"ping","token":"1"}"#,
        r#"{"type":"done"} x"#,
        r#"{"type":"hello"}"#,
    ] {
        assert!(control(json).is_err(), "{json}");
    }
}

#[test]
fn a_proof_is_there_or_left_out() {
    let hello = |proof: &str| {
        let id = bob().id();
        control(&format!(
            r#"{{"type":"hello","version":1,"id":"{id}","session":1,"room":"lobby","mode":"mesh","nick":"bob","seen":"::1","listens":true,"time":1{proof}}}"#
        ))
    };
    let proof = "0f".repeat(64);
    assert!(hello("").is_ok());
    assert!(hello(&format!(r#","proof":"{proof}""#)).is_ok());
    for wrong in
        ["null".to_owned(), "\"\"".to_owned(), format!("\"{}\"", proof.to_uppercase()), format!("\"{proof}0f\"")]
    {
        assert!(hello(&format!(r#","proof":{wrong}"#)).is_err(), "{wrong}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_refused() {
    assert!(matches!(Record::decode(b"{\"\xff\":1}<MSGENCD>", Ending::Message), Err(RecordError::NotText)));
    let mut frame = post_of("say", r#"{"text":"AB"}"#);
    let place = frame.iter().position(|byte| *byte == b'A').unwrap();
    frame[place] = 0xff;
    assert!(matches!(Post::decode(&frame), Err(RecordError::NotText)));
}

// ---- numbers ------------------------------------------------------------------------------------

/// Numbers as JSON may write them, and whether they are ours; 0 is good for some fields only.
const NUMBERS: [(&str, bool); 13] = [
    ("1", true),
    ("9007199254740991", true),
    ("9007199254740992", false),
    ("18446744073709551615", false),
    ("18446744073709551616", false),
    ("99999999999999999999999", false),
    ("-1", false),
    ("-0", false),
    ("1.0", false),
    ("1.5", false),
    ("1e3", false),
    ("1e400", false),
    ("NaN", false),
];

#[test]
fn numbers_are_whole_and_up_to_2_to_the_53_less_one() {
    let id = bob().id();
    let zero_is_bad = [("0", false)];
    for (number, good) in NUMBERS.iter().chain(&zero_is_bad) {
        let checks = [
            format!(r#"{{"type":"want","author":"{id}","session":1,"from":{number}}}"#),
            format!(r#"{{"type":"want","author":"{id}","session":{number},"from":1}}"#),
            format!(r#"{{"type":"quiet","author":"{id}","session":{number}}}"#),
            format!(r#"{{"type":"news","feeds":[["{id}",{number},1]]}}"#),
            format!(r#"{{"type":"gap","author":"{id}","session":1,"from":1,"to":{number}}}"#),
        ];
        for json in checks {
            assert_eq!(control(&json).is_ok(), *good, "{json}");
        }
        let lost = format!(r#"{{"author":"{id}","session":1,"last":{number}}}"#);
        assert_eq!(body_of("lost", &lost).is_ok(), *good, "{lost}");
        let sig = "0".repeat(128);
        let post = format!(
            r#"{{"type":"post","author":"{id}","session":1,"number":{number},"at":1,"nick":"a","kind":"mark","body":{{}},"sig":"{sig}"}}<MSGENCD>"#
        );
        assert_eq!(Post::decode(post.as_bytes()).is_ok(), *good, "{post}");
        let ack = format!(
            r#"{{"type":"ack","author":"{id}","session":1,"member":"{id}","member_session":1,"first":1,"last":{number},"sig":"{sig}"}}<MSGENCD>"#
        );
        assert_eq!(Record::decode(ack.as_bytes(), Ending::Message).is_ok(), *good, "{ack}");
    }
    let zero_is_good = [("0", true)];
    for (number, good) in NUMBERS.iter().chain(&zero_is_good) {
        let news = format!(r#"{{"type":"news","feeds":[["{id}",1,{number}]]}}"#);
        assert_eq!(control(&news).is_ok(), *good, "{news}");
        let at = format!(r#""at":{number},"nick":"a","kind":"mark","body":{{}}"#);
        assert_eq!(Post::decode(&post_with(&at)).is_ok(), *good, "{at}");
    }
}

#[test]
fn a_gap_does_not_end_before_it_begins() {
    let id = bob().id();
    let gap = |from: u64, to: u64| {
        control(&format!(r#"{{"type":"gap","author":"{id}","session":1,"from":{from},"to":{to}}}"#))
    };
    assert!(gap(5, 5).is_ok());
    assert!(matches!(gap(6, 5), Err(RecordError::Bounds("gap"))));
}

// ---- names and other bounds ---------------------------------------------------------------------

#[test]
fn nicks_hold_what_can_be_seen_and_nothing_else() {
    for good in ["a", "Zoë", "日本", "👩‍🚀".trim_matches('\u{200d}').split('\u{200d}').next().unwrap(), "a.b-c_d|e"]
    {
        assert_eq!(Nick::new(good).unwrap().as_str(), good);
    }
    let bad = [
        "",
        " ",
        "a b",
        "a\tb",
        "a\nb",
        "\0",
        "a\u{7f}",
        "a\u{9b}31m",
        "a\u{a0}b",
        "<a",
        "a>",
        "a\u{200b}",
        "\u{202e}a",
        "a\u{2066}",
        "\u{feff}",
        "a\u{ad}",
        "\u{e0041}",
        "\u{3000}",
        "a\u{200d}b",
        "\u{1b}[31m",
    ];
    for nick in bad {
        assert!(Nick::new(nick).is_err(), "{nick:?}");
        let json = serde_json::to_string(nick).unwrap().replace('<', "\\u003c");
        let rest = format!(r#""at":5,"nick":{json},"kind":"mark","body":{{}}"#);
        assert!(Post::decode(&post_with(&rest)).is_err(), "{nick:?}");
    }
    assert!(Nick::new(&"x".repeat(NICK_BYTES_MAX)).is_ok());
    assert!(Nick::new(&"x".repeat(NICK_BYTES_MAX + 1)).is_err());
    assert!(Nick::new(&"é".repeat(NICK_BYTES_MAX / 2)).is_ok());
    assert!(Nick::new(&"é".repeat(NICK_BYTES_MAX / 2 + 1)).is_err());
}

#[test]
fn room_names_have_a_bound_and_no_controls() {
    assert!(check_room_name("a room with <spaces>").is_ok());
    assert!(check_room_name(&"x".repeat(ROOM_NAME_BYTES_MAX)).is_ok());
    for bad in ["", "a\nb", "\u{9b}", &"x".repeat(ROOM_NAME_BYTES_MAX + 1)] {
        assert!(check_room_name(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn bounds_of_records_hold_at_the_bound_and_not_past_it() {
    let why = |length: usize| body_of("leave", &format!(r#"{{"why":"{}"}}"#, "x".repeat(length)));
    assert!(why(WHY_BYTES_MAX).is_ok());
    assert!(matches!(why(WHY_BYTES_MAX + 1), Err(RecordError::Bounds("why"))));
    let away = |length: usize| body_of("join", &format!(r#"{{"addresses":[],"away":"{}"}}"#, "x".repeat(length)));
    assert!(away(WHY_BYTES_MAX).is_ok());
    assert!(matches!(away(WHY_BYTES_MAX + 1), Err(RecordError::Bounds("away"))));
    let text = |length: usize| body_of("say", &format!(r#"{{"text":"{}"}}"#, "x".repeat(length)));
    assert!(text(SAY_TEXT_BYTES_MAX).is_ok());
    assert!(matches!(text(SAY_TEXT_BYTES_MAX + 1), Err(RecordError::Bounds("text"))));
    let fields = |count: usize| {
        let more: Vec<String> = (0..count - 9).map(|field| format!(r#""{field}":0"#)).collect();
        Post::decode(&post_of("mark", &format!("{{}},{}", more.join(","))))
    };
    assert!(fields(POST_FIELDS_MAX).is_ok());
    assert!(fields(POST_FIELDS_MAX + 1).is_err());
    let join = |count: usize| {
        let addresses = vec![r#""192.0.2.1:1""#; count].join(",");
        body_of("join", &format!(r#"{{"addresses":[{addresses}]}}"#))
    };
    assert!(join(ADDRESSES_PER_NODE_MAX).is_ok());
    assert!(matches!(join(ADDRESSES_PER_NODE_MAX + 1), Err(RecordError::Bounds("addresses"))));
    let page = |count: usize| {
        let feeds = vec![Entry(bob().id(), 1, 1); count];
        Record::decode(&Control::Have { feeds }.encode(), Ending::Message)
    };
    assert!(page(FEEDS_PER_PAGE_MAX).is_ok());
    assert!(matches!(page(FEEDS_PER_PAGE_MAX + 1), Err(RecordError::Bounds("feeds"))));
    let exit = |length: usize| {
        let record = Control::Exit { reason: "x".to_owned(), text: "x".repeat(length - 1) };
        Record::decode(&record.encode(), Ending::Exit)
    };
    assert!(exit(WHY_BYTES_MAX).is_ok());
    assert!(exit(WHY_BYTES_MAX + 1).is_err());
}

#[test]
fn the_longest_say_with_the_largest_header_fits_a_frame() {
    let identity = alice();
    let nick = Nick::new(&"\"".repeat(NICK_BYTES_MAX)).unwrap();
    let feed = FeedId { author: identity.id(), session: NUMBER_MAX };
    let header = Header { feed, number: NUMBER_MAX, at: NUMBER_MAX, nick: &nick, ack: true };
    let text = "<".repeat(SAY_TEXT_BYTES_MAX / 6);
    assert_eq!(encoded_bytes(&text), SAY_TEXT_BYTES_MAX);
    let post = Post::encode(&header, &Draft::Say { text: &text, action: true, part: true }, &lobby(), &identity);
    assert!(post.frame.len() <= FRAME_BYTES_MAX, "{}", post.frame.len());
    assert_eq!(Post::decode(&post.frame).unwrap().text(), text);
}

// ---- later versions -----------------------------------------------------------------------------

#[test]
fn unknown_fields_are_skipped() {
    let rest = r#""new":{"a":[1,-2.5,null,"\u003c"]},"at":5,"nick":"a","later":true,"kind":"say","body":{"new":1e300,"text":"hi","b":[]}"#;
    assert_eq!(Post::decode(&post_with(rest)).unwrap().text(), "hi");
    assert_eq!(body_of("leave", r#"{"why":"x","new":1}"#).unwrap(), Body::Leave { why: "x".to_owned() });
    assert_eq!(control(r#"{"type":"ping","token":1,"new":[{}]}"#).unwrap(), Control::Ping { token: 1 });
    assert_eq!(control(r#"{"new":0,"type":"done"}"#).unwrap(), Control::Done {});
}

#[test]
fn unknown_kinds_and_records_are_known_as_such() {
    assert_eq!(body_of("poll", r#"{"text":["a"]}"#).unwrap(), Body::Unknown);
    assert_eq!(body_of("", "{}").unwrap(), Body::Unknown);
    assert_eq!(control(r#"{"type":"dance","steps":-1.5}"#).unwrap(), Control::Unknown);
    assert_eq!(control(r#"{"type":""}"#).unwrap(), Control::Unknown);
    // `Unknown` is no word on the wire, and a type is written in one way.
    assert_eq!(control(r#"{"type":"unknown"}"#).unwrap(), Control::Unknown);
    assert_eq!(control(r#"{"type":"Done"}"#).unwrap(), Control::Unknown);
    assert_eq!(End::from_word("a later word"), End::Vanished);
}

#[test]
fn a_post_of_a_later_kind_is_verified_all_the_same() {
    // Signed by hand, as a later version would.
    let made = String::from_utf8(encode(1, &Draft::Mark).frame.to_vec()).unwrap();
    let unsigned = made.split_once(",\"sig\"").unwrap().0.replace("\"mark\"", "\"poll\"");
    let hash = blake3::hash([b"hobnob post 1 lobby\n", unsigned.as_bytes()].concat().as_slice());
    let sig = hex::encode(alice().sign(hash.as_bytes()));
    let frame = format!("{unsigned},\"sig\":\"{sig}\"}}<MSGENCD>");
    let read = read_frame(frame.as_bytes(), Ending::Message, &lobby(), None, |_| false);
    assert!(matches!(read, Ok(Arrival::Post(post)) if post.body == Body::Unknown));
}

#[test]
fn words_of_ends_are_stable_and_distinct() {
    for end in [End::Goodbye, End::Vanished, End::FutureNumber, End::SlowReader, End::Duplicate, End::Room, End::Full] {
        assert_eq!(End::from_word(end.word()), end);
        assert!(!end.text().is_empty());
        let (reason, text) = (end.word().to_owned(), end.text().to_owned());
        assert_eq!(Control::exit(end), Control::Exit { reason, text });
    }
    assert!(Id([0; 32]).to_string().chars().all(|digit| digit == '0'));
}
