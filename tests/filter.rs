//! Promise: nothing that somebody else wrote reaches a terminal as a command, hides, or turns text
//! around; what is printable stays as it is. Checked over any text, and over texts made of the
//! characters that matter.

use hobnob::console::filter::{MARKS_PER_CHARACTER_MAX, filter, is_hidden};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

const JOINER: char = '\u{200d}';

/// Letters, marks, emoji and everything that the filter looks for, densely.
fn nasty() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        any::<char>(),
        proptest::char::range('\0', '\u{a0}'),
        proptest::char::range('\u{300}', '\u{310}'),
        proptest::char::range('\u{200b}', '\u{206f}'),
        proptest::char::range('\u{e0000}', '\u{e01ff}'),
        proptest::char::range('\u{900}', '\u{950}'),
        proptest::sample::select(vec![
            JOINER, '\u{fe0f}', '👩', '🚀', '🏽', 'क', '\u{94d}', 'e', '\u{feff}', '\u{ad}', '한', '\u{11a8}', '🇩',
            '\u{600}',
        ]),
    ];
    proptest::collection::vec(letter, 0..60).prop_map(String::from_iter)
}

/// A failure prints its input; nothing is written into the repository.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(1_000))]
    #[test]
    fn nothing_hidden_comes_through(text in nasty()) {
        let shown = filter(&text);
        prop_assert!(!shown.chars().any(|letter| letter != JOINER && is_hidden(letter)), "{shown:?}");
        prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
        for grapheme in shown.graphemes(true) {
            prop_assert!(!grapheme.starts_with(JOINER) && !grapheme.ends_with(JOINER), "{shown:?}");
        }
    }

    #[test]
    fn filtering_twice_is_filtering_once(text in nasty()) {
        let once = filter(&text);
        prop_assert_eq!(filter(&once), once);
    }

    #[test]
    fn printable_ascii_stays_as_it_is(text in "[ -~]{0,300}") {
        prop_assert_eq!(filter(&text), text);
    }
}

#[test]
fn writing_of_many_languages_and_emoji_stays_as_it_is() {
    for text in ["Grüße, Größe", "дом", "שלום", "สวัสดี", "हिन्दी", "日本語", "한국어", "👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽", "e\u{301}"]
    {
        assert_eq!(filter(text), text);
    }
}

#[test]
fn what_a_terminal_would_obey_is_shown_instead() {
    assert_eq!(filter("\u{1b}[2Jx\u{7f}\0\r\n"), "␛[2Jx␡␀␍␊");
    assert_eq!(filter("a\tb"), "a    b");
    assert_eq!(filter("ev\u{202e}gpj.exe"), "ev<U+202E>gpj.exe");
    assert_eq!(filter("\u{9b}31m"), "<U+009B>31m");
    assert_eq!(filter("a\u{200d}b\u{feff}"), "a<U+200D>b<U+FEFF>");
    assert_eq!(filter("\u{e0041}\u{2028}"), "<U+E0041><U+2028>");
}

#[test]
fn a_tower_of_marks_is_cut() {
    let allowed = format!("o{}", "\u{301}".repeat(MARKS_PER_CHARACTER_MAX));
    assert_eq!(filter(&allowed), allowed);
    assert_eq!(filter(&format!("{allowed}\u{301}\u{301}")), allowed);
}
