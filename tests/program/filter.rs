//! Promise: nothing that somebody else wrote reaches a terminal as a command, hides, or turns text
//! around; one line stays one line; what is printable stays as it is, and JSON has the exact text. Checked
//! over any text, over texts made of the characters that matter, over each of those one by one, and on the
//! lines that become of them.

#![expect(clippy::indexing_slicing, reason = "a missing field fails the test")]

use std::sync::Arc;

use crate::support::chatting;
use crate::support::wire::Wire;
use hobnob::console::filter::{MARKS_PER_CHARACTER_MAX, filter, filter_name, is_hidden};
use hobnob::console::mention::Mention;
use hobnob::console::print::{Printer, Shown, Style};
use hobnob::console::{Naming, json};
use hobnob::identity::Identity;
use hobnob::limits::LOG_LINE_BYTES_MAX;
use hobnob::room::event::{Event, Person};
use hobnob::wire::record::{Domain, Draft, FeedId, Header, Nick, Post};
use proptest::prelude::*;
use proptest::string::string_regex;
use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const JOINER: char = '\u{200d}';
const NON_JOINER: char = '\u{200c}';

/// The longest that one character becomes: `<U+10FFFF>`.
const CELLS_PER_CHARACTER_MAX: usize = 10;

/// Letters, marks, emoji and everything that the filter looks for, densely.
fn nasty_letter() -> impl Strategy<Value = char> {
    let range = proptest::char::range;
    prop_oneof![
        any::<char>(),
        range('\0', '\u{a0}'),
        range('\u{300}', '\u{310}'),
        range('\u{620}', '\u{650}'),
        range('\u{180b}', '\u{1820}'),
        range('\u{200b}', '\u{206f}'),
        range('\u{fe00}', '\u{fe0f}'),
        range('\u{e0000}', '\u{e01ff}'),
        range('\u{900}', '\u{950}'),
        proptest::sample::select(vec![
            JOINER, NON_JOINER, '\u{fe0f}', '\u{20e3}', '1', '👩', '🚀', '🏽', '🏳', 'क', '\u{94d}', 'e', '\u{feff}',
            '\u{ad}', '한', '\u{11a8}', '\u{1161}', '🇩', '\u{600}', 'ب', '\u{64e}', '\u{2800}',
        ]),
    ]
}

/// What terminals obey, in seven and in eight bits.
fn command() -> impl Strategy<Value = String> {
    let introducer = |letter: char| {
        let eight_bits = char::from_u32(u32::from(letter) + 0x40).expect("a control character");
        prop_oneof![Just(format!("\u{1b}{letter}")), Just(eight_bits.to_string())]
    };
    let end = || prop_oneof![Just("\u{7}"), Just("\u{1b}\\"), Just("\u{9c}"), Just("")];
    prop_oneof![
        (introducer('['), "[0-9;?>]{0,6}[@A-Za-z]").prop_map(|(begin, rest)| begin + &rest),
        // The title, a link, the clipboard, a colour.
        (introducer(']'), "(0;|8;;|52;c;|4;1;)[a-z=]{0,9}", end()).prop_map(|(begin, rest, end)| begin + &rest + end),
        (prop_oneof![introducer('P'), introducer('_'), introducer('^'), introducer('X')], "[a-z+$]{0,9}", end())
            .prop_map(|(begin, rest, end)| begin + &rest + end),
        "\u{1b}[c78=>#()*+ -/DEHMNOZ]",
    ]
}

fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![6 => nasty_letter().prop_map(String::from), 1 => command(), 1 => "[ -~]{0,9}"];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// Names as bad as the wire lets through.
fn nasty_name() -> impl Strategy<Value = Nick> {
    proptest::collection::vec(nasty_letter(), 1..20)
        .prop_map(|letters| letters.into_iter().filter(|letter| Nick::new(&letter.to_string()).is_ok()).collect())
        .prop_filter_map("a name", |name: String| Nick::new(&name).ok())
}

/// A failure prints its input; nothing is written into the repository.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

fn is_mark(letter: char) -> bool {
    !is_hidden(letter) && letter.width() == Some(0)
}

fn is_selector(letter: char) -> bool {
    matches!(letter, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether what was let through hides nothing and does nothing.
fn check(shown: &str) -> Result<(), TestCaseError> {
    let hidden = |letter: char| is_hidden(letter) && !matches!(letter, JOINER | NON_JOINER);
    prop_assert!(!shown.chars().any(hidden), "{shown:?}");
    prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
    prop_assert!(!shown.chars().next().is_some_and(is_mark), "a mark on what is left of it: {shown:?}");
    for grapheme in shown.graphemes(true) {
        prop_assert!(!grapheme.starts_with(JOINER) && !grapheme.ends_with(JOINER), "{shown:?}");
        prop_assert!(grapheme.chars().filter(|letter| is_mark(*letter)).count() <= MARKS_PER_CHARACTER_MAX);
    }
    let letters: Vec<char> = shown.chars().collect();
    for [before, letter, behind] in letters.array_windows() {
        if *letter == NON_JOINER {
            let joins = |letter: &char| *letter > '\u{5ff}' && !matches!(*letter, JOINER | NON_JOINER);
            prop_assert!((joins(before) || is_mark(*before)) && joins(behind) && !is_mark(*behind), "{shown:?}");
        }
        if is_selector(*letter) {
            prop_assert!(!is_mark(*before) && !before.is_ascii_alphabetic(), "{shown:?}");
        }
    }
    prop_assert!(letters.last().is_none_or(|last| *last != NON_JOINER), "{shown:?}");
    Ok(())
}

proptest! {
    #![proptest_config(config(2_000))]
    #[test]
    fn nothing_hidden_and_no_command_comes_through(text in nasty()) {
        let shown = filter(&text);
        check(&shown)?;
        prop_assert!(shown.width() <= CELLS_PER_CHARACTER_MAX * text.chars().count(), "{shown:?}");
    }

    #[test]
    fn filtering_twice_is_filtering_once(text in nasty()) {
        let once = filter(&text);
        prop_assert_eq!(filter(&once), once);
    }

    #[test]
    fn names_pass_the_same_gate_and_take_no_blank(name in nasty_name()) {
        let shown = filter_name(name.as_str());
        check(&shown)?;
        prop_assert!(!shown.is_empty() && shown.width() > 0, "{shown:?}");
        prop_assert!(!shown.contains(|letter: char| letter.is_whitespace() || letter == '\u{2800}'), "{shown:?}");
        prop_assert_eq!(filter(&shown), shown, "it may pass again");
    }

    #[test]
    fn printable_ascii_stays_as_it_is(text in "[ -~]{0,300}") {
        prop_assert_eq!(filter(&text), text);
    }

    #[test]
    fn what_is_said_stays_below_its_own_name(name in nasty_name(), text in nasty(), parts in 1..4_u64) {
        for color in [false, true] {
            let shown = printed(color, &says(&name, &text, parts));
            let lines: Vec<&str> = shown.split('\n').collect();
            let begun = lines.iter().filter(|line| !line.is_empty() && !line.starts_with(' ')).count();
            prop_assert_eq!(begun, 1, "{:?}", shown);
            prop_assert!(lines.iter().all(|line| without_colors(line).is_some_and(|line| !line.contains(char::is_control))), "{shown:?}");
        }
    }

    #[test]
    fn a_marked_nick_changes_nothing_of_what_is_shown(name in nasty_name(), texts in proptest::collection::vec(nasty(), 2..5)) {
        let said = says(&name, &texts.join("me"), 1);
        let (marked, plain) = (printed(true, &said), printed(false, &said));
        prop_assert_eq!(without_colors(&marked), Some(plain));
    }

    #[test]
    fn a_goodbye_is_one_line(name in nasty_name(), why in nasty()) {
        let left = Event::Left { member: person(&name), passing: false, why };
        let shown = printed(false, &[left]);
        prop_assert_eq!(shown.matches(char::is_control).collect::<Vec<_>>(), vec!["\n"], "{:?}", shown);
        prop_assert!(shown.starts_with("-- ") && shown.ends_with(" --\n"), "{shown:?}");
    }

    #[test]
    fn json_has_the_exact_text_and_name_on_one_line(name in nasty_name(), text in nasty()) {
        let mut line = String::new();
        for event in says(&name, &text, 1) {
            json::push_event(&event, &Mention::of(&me()), &mut line);
        }
        prop_assert_eq!(line.bytes().filter(|byte| *byte < 0x20).collect::<Vec<_>>(), vec![b'\n']);
        let value: Value = serde_json::from_str(&line).expect("JSON");
        prop_assert_eq!(&value["text"], &text);
        prop_assert_eq!(&value["from"]["nick"], name.as_str());
    }
}

fn me() -> Person {
    Person { id: Identity::from_seed(&[1; 32]).id(), nick: Nick::new("me").expect("a nick") }
}

fn person(name: &Nick) -> Person {
    Person { id: Identity::from_seed(&[2; 32]).id(), nick: name.clone() }
}

/// A text said in so many parts, or once.
fn says(name: &Nick, text: &str, parts: u64) -> Vec<Event> {
    let author = Identity::from_seed(&[2; 32]);
    let feed = FeedId { author: author.id(), session: 7 };
    let say = |number: u64| {
        let header = Header { feed, number, at: 1_700_000_000_123, nick: name, ack: false };
        let draft = Draft::Say { text, action: false, part: number < parts };
        let post = Arc::new(Post::encode(&header, &draft, &Domain::of_room("lobby"), &author));
        Event::Said { post, mine: false, backlog: false }
    };
    (1..=parts).map(say).collect()
}

fn printed(color: bool, events: &[Event]) -> String {
    let style = Style { together: true, color, quiet: false };
    let mut printer = Printer::new(style, &me(), Naming::default());
    let mut shown = Shown::default();
    for event in events {
        printer.event(event, &mut shown);
    }
    shown.chat
}

/// A line without this program's own colours; `None` where there is another sequence.
fn without_colors(line: &str) -> Option<String> {
    let mut pieces = line.split('\u{1b}');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let (color, rest) = piece.strip_prefix('[')?.split_once('m')?;
        if !color.chars().all(|letter| letter.is_ascii_digit() || letter == ';') || color.len() > 4 {
            return None;
        }
        plain.push_str(rest);
    }
    Some(plain)
}

/// What Unicode says is a control, a format or an invisible character, each alone and between letters.
#[test]
fn every_control_format_and_invisible_character_is_shown() {
    // These are seen: signs around Arabic and other numbers.
    let seen = |letter: char| {
        matches!(
            letter,
            '\u{600}'
                ..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{110bd}' | '\u{110cd}'
        )
    };
    let class = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]";
    let parsed = regex_syntax::parse(class).expect("a class");
    let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = parsed.kind() else {
        unreachable!("a class")
    };
    let mut count = 0;
    for letter in class.iter().flat_map(|range| range.start()..=range.end()).filter(|letter| !seen(*letter)) {
        count += 1;
        for text in
            [letter.to_string(), format!("a{letter}b"), format!("a{letter}{letter}"), format!("{letter}\u{301}")]
        {
            let shown = filter(&text);
            assert!(!shown.contains(letter) && shown.width() > 0, "{letter:?} in {text:?}: {shown:?}");
        }
    }
    assert!(count > 4_000, "{count}");
}

#[test]
fn writing_of_many_languages_and_emoji_stays_as_it_is() {
    let texts = [
        "Grüße, Größe",
        "дом",
        "שלום",
        "שָׁלוֹם",
        "สวัสดี",
        "हिन्दी",
        "日本語",
        "한국어",
        "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽",
        "❤️ 1️⃣ #️⃣ 👁️‍🗨️ ☝🏽",
        "e\u{301}",
        "می\u{200c}خواهم", // Persian: I want
        "نامه\u{200c}ها",
        "क्\u{200c}ष", // Hindi, without the ligature
        "葛\u{e0100}",
    ];
    for text in texts {
        assert_eq!(filter(text), text);
    }
}

#[test]
fn what_a_terminal_would_obey_is_shown_instead() {
    assert_eq!(filter("\u{1b}[2Jx\u{7f}\0\r\n"), "␛[2Jx␡␀␍␊");
    assert_eq!(filter("a\tb"), "a    b");
    assert_eq!(filter("ev\u{202e}gpj.exe"), "ev<U+202E>gpj.exe");
    assert_eq!(filter("\u{9b}31m"), "<U+009B>31m");
    assert_eq!(filter("\u{1b}]52;c;aGk=\u{7}"), "␛]52;c;aGk=␇");
    assert_eq!(filter("a\u{200d}b\u{feff}"), "a<U+200D>b<U+FEFF>");
    assert_eq!(filter("\u{e0041}\u{2028}"), "<U+E0041><U+2028>");
}

#[test]
fn what_does_nothing_where_it_stands_is_shown() {
    assert_eq!(filter("a\u{200c}b"), "a<U+200C>b");
    assert_eq!(filter("ب\u{200c}"), "ب<U+200C>");
    assert_eq!(filter("ب\u{200c}\u{200c}ب"), "ب<U+200C><U+200C>ب");
    assert_eq!(filter("ب\u{200c}1"), "ب<U+200C>1");
    assert_eq!(filter("0\u{94d}\u{200c}a"), "0\u{94d}<U+200C>a");
    // Behind a mark without a letter it came out once, and was shown where the text passed again.
    assert_eq!(filter("\u{64b}\u{200c}ؠ"), "<U+064B><U+200C>ؠ");
    assert_eq!(filter("pay\u{fe0f}pal"), "pay<U+FE0F>pal");
    assert_eq!(filter("1\u{fe0f}"), "1<U+FE0F>");
    assert_eq!(filter("❤\u{fe0f}\u{fe0f}\u{e0101}"), "❤\u{fe0f}<U+FE0F><U+E0101>");
    assert_eq!(filter("\u{301}x"), "<U+0301>x");
    assert_eq!(filter_name("a\u{2800}b\u{a0}"), "a<U+2800>b<U+00A0>");
}

#[test]
fn a_tower_of_marks_is_cut() {
    let allowed = format!("o{}", "\u{301}".repeat(MARKS_PER_CHARACTER_MAX));
    assert_eq!(filter(&allowed), allowed);
    assert_eq!(filter(&format!("{allowed}\u{301}\u{301}")), allowed);
}

proptest! {
    #![proptest_config(config(200))]
    /// Marks of all scripts.
    #[test]
    fn towers_of_any_marks_are_cut(marks in string_regex(r"[\p{Mn}\p{Me}]{9,200}").expect("a pattern")) {
        let shown = filter(&format!("o{marks}"));
        check(&shown)?;
        prop_assert!(shown.starts_with('o'));
    }
}

#[test]
fn what_the_log_quotes_is_one_line_and_not_a_long_one() {
    let node = chatting("node", &["--plaintext", "-v"]);
    let mut eve = Wire::dial(&node.addr(), "eve");
    eve.greet();
    let long = format!("\\u001b[2J\u{202e}\\n[now WARN] forged {}", "x".repeat(4 * LOG_LINE_BYTES_MAX));
    eve.send_json(&format!(r#"{{"type":"ping","token":"{long}"}}"#));
    assert!(eve.reason().is_some());
    node.wait_for_stderr("forged");
    let stderr = node.stderr();
    for line in stderr.lines() {
        assert!(line.starts_with("[20") && line.len() <= 2 * LOG_LINE_BYTES_MAX, "{line:?}");
        assert!(!line.contains(|letter: char| letter.is_control() || is_hidden(letter)), "{line:?}");
    }
    assert!(stderr.contains("forged x") && stderr.contains("x…\n"), "{stderr}");
}
