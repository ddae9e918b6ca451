//! What Tab offers, and how the editor draws its line. Called by rustyline on the thread `input`.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::command::COMMANDS;
use super::screen::Screen;

/// rustyline's hooks into this program.
pub(super) struct LineHelper {
    screen: Arc<Screen>,
    /// What Tab has put in last.
    offered: RefCell<Option<Offered>>,
}

/// One of several that a word may become.
struct Offered {
    start: usize,
    candidates: Vec<String>,
    index: usize,
    /// The line up to the cursor, with it.
    line: String,
}

impl LineHelper {
    pub(super) fn new(screen: &Arc<Screen>) -> Self {
        Self { screen: Arc::clone(screen), offered: RefCell::default() }
    }
}

/// Where the word before the cursor begins, and what could stand there: commands behind a slash at
/// the line's start, nicks anywhere.
pub fn complete<'a>(line: &str, cursor: usize, nicks: impl Iterator<Item = &'a str>) -> (usize, Vec<String>) {
    let (before, _) = line.split_at_checked(cursor).unwrap_or((line, ""));
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let start = before.len() - word.len();
    if let Some(typed) = word.strip_prefix('/').filter(|_| start == 0) {
        let commands = COMMANDS.iter().filter(|command| command.name.starts_with(typed));
        return (start, commands.map(|command| format!("/{} ", command.name)).collect());
    }
    let end = if start == 0 { ": " } else { " " };
    let lower = word.to_lowercase();
    let mut found: Vec<String> = nicks
        .filter(|nick| !word.is_empty() && nick.to_lowercase().starts_with(&lower))
        .map(|nick| format!("{nick}{end}"))
        .collect();
    found.sort_unstable();
    found.dedup();
    (start, found)
}

impl Completer for LineHelper {
    type Candidate = String;

    /// One at a time, the next one with the next Tab: rustyline prints nothing while it waits for a choice.
    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = line.get(..cursor).unwrap_or(line);
        let offered = self.offered.take().filter(|offered| offered.line == before);
        let (start, candidates, index) = if let Some(Offered { start, candidates, index, .. }) = offered {
            (start, candidates, index + 1)
        } else {
            let names = self.screen.naming.others(&self.screen.me);
            let (start, candidates) = complete(line, cursor, names.iter().map(String::as_str));
            (start, candidates, 0)
        };
        let index = index.checked_rem(candidates.len()).unwrap_or_default();
        let Some(candidate) = candidates.get(index).cloned() else { return Ok((start, Vec::new())) };
        if candidates.len() > 1 {
            let line = format!("{}{candidate}", line.get(..start).unwrap_or_default());
            *self.offered.borrow_mut() = Some(Offered { start, candidates, index, line });
        }
        Ok((start, vec![candidate]))
    }
}

impl Highlighter for LineHelper {
    /// What was pasted is drawn without what the terminal would obey. rustyline counts no cells for
    /// those either.
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        let obeyed = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        if line.contains(obeyed) { line.replace(obeyed, "").into() } else { line.into() }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        self.screen.draws(prompt);
        prompt.into()
    }

    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        line.contains(char::is_control)
    }
}

impl Validator for LineHelper {
    /// Any line is good. This is where rustyline tells that Enter was pressed.
    fn validate(&self, _: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        self.screen.accepts();
        Ok(ValidationResult::Valid(None))
    }
}

impl Hinter for LineHelper {
    type Hint = String;
}

impl Helper for LineHelper {}
