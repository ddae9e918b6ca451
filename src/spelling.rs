//! Words that were meant otherwise: whether one is a single mistake of typing away from another.

/// Whether one letter was changed, left out or put in too much, or two neighbours were swapped, in either
/// direction. Not where the words are the same.
pub fn is_one_mistake(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (short, long) = if one.len() <= other.len() { (&one, &other) } else { (&other, &one) };
    let start = short.iter().zip(long).take_while(|(a, b)| a == b).count();
    let rest = |word: &[char], skipped: usize| word.get(start + skipped..).unwrap_or_default().to_vec();
    match long.len() - short.len() {
        0 if start == short.len() => false,
        0 => {
            let swapped = short.get(start) == long.get(start + 1) && short.get(start + 1) == long.get(start);
            rest(short, 1) == rest(long, 1) || (swapped && rest(short, 2) == rest(long, 2))
        }
        1 => rest(short, 0) == rest(long, 1),
        _ => false,
    }
}
