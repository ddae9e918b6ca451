//! Which of the remembered rooms, asked of a person before the chat begins. On the main thread.

use std::io::{self, Write};

use super::ask::ask_aloud;
use super::filter::filter;

/// Something to choose.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What it may be called.
    pub name: String,
    /// What is said of it.
    pub about: String,
}

/// Asks until one of them is chosen, by its number, its name or, the first, by Enter alone; which. `None` at the
/// end of input.
pub fn choose(choices: &[Choice]) -> io::Result<Option<usize>> {
    let names: Vec<_> = choices.iter().map(|choice| filter(&choice.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let mut stderr = io::stderr();
    for (number, (choice, name)) in (1..).zip(choices.iter().zip(&names)) {
        writeln!(stderr, "{number:>3}  {name:width$}  {}", choice.about)?;
    }
    let first = names.first().map_or("", |name| name);
    loop {
        let Some(line) = ask_aloud(&format!("which room? [{first}] "))? else { return Ok(None) };
        let line = String::from_utf8_lossy(&line);
        let answer = line.trim();
        if answer.is_empty() {
            return Ok(Some(0));
        }
        let numbered = answer.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let by_name = choices.iter().position(|choice| choice.name == answer);
        if let Some(chosen) = by_name.or(numbered).filter(|chosen| *chosen < choices.len()) {
            return Ok(Some(chosen));
        }
        writeln!(stderr, "{} is none of these; to go to another room, start with -r NAME", filter(answer))?;
    }
}
