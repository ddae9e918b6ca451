//! Promise: a word is one mistake from another where one letter was changed, left out, put in or swapped with its
//! neighbour, and not where there are two mistakes or none. Checked on all edits of a word, and against edits written
//! here the simple way.

use std::collections::BTreeSet;

use hobnob::spelling::is_one_mistake;
use proptest::prelude::*;

/// All words that are one mistake away, over a small alphabet.
fn edits(word: &str) -> BTreeSet<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut made = BTreeSet::new();
    let mut add = |letters: Vec<char>| made.insert(letters.into_iter().collect::<String>());
    for place in 0..=letters.len() {
        let (before, after) = letters.split_at(place);
        for letter in ['a', 'b', 'c'] {
            add([before, &[letter], after].concat());
            if let [_, rest @ ..] = after {
                add([before, &[letter], rest].concat());
            }
        }
        if let [_, rest @ ..] = after {
            add([before, rest].concat());
        }
        if let [one, other, rest @ ..] = after {
            add([before, &[*other, *one], rest].concat());
        }
    }
    made.remove(word);
    made
}

#[test]
fn what_people_type_is_known_for_what_they_meant() {
    for typed in ["hstory", "hisstory", "histori", "hsitory", "istory"] {
        assert!(is_one_mistake(typed, "history"), "{typed}");
    }
    for typed in ["history", "hstry", "hsotry", "tea", "", "yrotsih"] {
        assert!(!is_one_mistake(typed, "history"), "{typed}");
    }
}

proptest! {
    #[test]
    fn each_edit_is_one_mistake_and_nothing_else_is(one in "[abc]{0,5}", other in "[abc]{0,6}") {
        prop_assert_eq!(is_one_mistake(&one, &other), edits(&one).contains(&other));
        prop_assert_eq!(is_one_mistake(&one, &other), is_one_mistake(&other, &one));
    }
}
