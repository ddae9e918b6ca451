//! A person at a terminal: an editable line below the chat.
//!
//! A line sent is taken off the screen: it comes back as part of the chat, in its place and with its
//! time, or as an error. The editor runs until the program ends, even after a goodbye was asked for,
//! so that what is printed meanwhile reaches the screen, and a second Ctrl+C is heard. Runs on the
//! thread `input`.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Behavior, Cmd, ColorMode, CompletionType, Config, Editor, GraphemeClusterMode, KeyEvent};
use unicode_segmentation::UnicodeSegmentation;

use super::Naming;
use super::complete::LineHelper;
use super::goodbye::{is_asked, leave, leave_or_exit};
use super::screen::{Screen, ScreenPrinter};
use super::speaker::{Gone, Local, Speaker};
use crate::room::event::Person;

/// Lines that the Up key reaches.
const HISTORY_LINES_MAX: usize = 1_000;

/// As rustyline counts them.
const TAB_CELLS: usize = 8;

/// How long after Esc a key belongs to it, as terminals send the arrow keys. Nothing is printed meanwhile.
const ESCAPE_MS_MAX: u16 = 100;

/// The editor of one line after the other.
pub(super) type LineEditor = Editor<LineHelper, FileHistory>;

/// Sets up the editor and its printing end. `None` where the terminal cannot do that (TERM=dumb).
pub(super) fn open(me: &Person, naming: Naming) -> Option<(LineEditor, ScreenPrinter, Arc<Screen>)> {
    let screen = Screen::new(me, naming);
    // The line being typed must not get into a file or pipe on stdout.
    let behavior = if io::stdout().is_terminal() { Behavior::Stdio } else { Behavior::PreferTerm };
    let config = Config::builder()
        .behavior(behavior)
        .auto_add_history(true)
        .max_history_size(HISTORY_LINES_MAX)
        .ok()?
        // rustyline calls the hooks of `LineHelper` only where colours are on; they add none.
        .color_mode(ColorMode::Forced)
        .tab_stop(u8::try_from(TAB_CELLS).ok()?)
        .completion_type(CompletionType::List)
        .keyseq_timeout(Some(ESCAPE_MS_MAX))
        .build();
    super::tty::save();
    let mut editor = LineEditor::with_config(config).ok()?;
    // Nothing is printed while rustyline waits for the keys that belong to these.
    for key in ['X', 'V', 'Q'] {
        editor.bind_sequence(KeyEvent::ctrl(key), Cmd::Noop);
    }
    editor.set_helper(Some(LineHelper::new(&screen)));
    let printer = editor.create_external_printer().ok()?;
    let printer = ScreenPrinter::new(Arc::clone(&screen), Box::new(printer));
    Some((editor, printer, screen))
}

/// Reads lines until the program ends.
pub(super) fn run(mut editor: LineEditor, screen: &Screen, speaker: &Speaker) {
    if converse(&mut editor, screen, speaker).is_err() {
        log::debug!("the room is gone, the line editor ends");
    }
    drop(editor);
    screen.closes();
}

fn converse(editor: &mut LineEditor, screen: &Screen, speaker: &Speaker) -> Result<(), Gone> {
    loop {
        let leaving = is_asked();
        let partner = speaker.private.shows();
        let prompt = if leaving { String::new() } else { screen.prompt(partner.as_ref()) };
        match editor.readline(&prompt) {
            Ok(line) => {
                erase(editor, screen, &prompt, &line);
                if !leaving {
                    // A pasted block often brings its last newline along.
                    speaker.line(line.trim_end_matches('\n'))?;
                }
            }
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                screen.accepts();
                speaker.tell(Local::Trouble("what was typed is not UTF-8: nothing was said".to_owned()))?;
            }
            Err(ReadlineError::Interrupted) => leave_or_exit(&speaker.commands),
            Err(ReadlineError::Eof) if !leaving => leave(&speaker.commands, String::new()),
            // The terminal is gone.
            Err(_) => {
                leave(&speaker.commands, String::new());
                return Ok(());
            }
        }
    }
}

/// Takes the line just accepted off the screen, unless something was printed below it: then it stays.
fn erase(editor: &mut LineEditor, screen: &Screen, prompt: &str, line: &str) {
    let Some((columns, rows)) = editor.dimensions() else { return };
    let taken = rows_of(&format!("{prompt}{line}"), usize::from(columns));
    let up = taken.min(usize::from(rows).saturating_sub(1));
    if screen.is_clean() {
        super::tty::write(format!("\x1b[{up}A\r\x1b[J").as_bytes());
    }
}

/// The terminal rows that a prompt and a line take, as rustyline lays them out.
pub fn rows_of(text: &str, columns: usize) -> usize {
    let mode = GraphemeClusterMode::from_env();
    let (mut row, mut column) = (0, 0);
    for grapheme in text.graphemes(true) {
        if grapheme == "\n" {
            (row, column) = (row + 1, 0);
            continue;
        }
        let cells = if grapheme == "\t" { TAB_CELLS - column % TAB_CELLS } else { usize::from(mode.width(grapheme)) };
        column += cells;
        if column > columns {
            (row, column) = (row + 1, cells);
        }
    }
    row + 1 + usize::from(column == columns)
}

/// Reads lines from a terminal that cannot be edited on.
pub(super) fn run_plain(speaker: &Speaker) {
    for line in io::stdin().lock().split(b'\n') {
        let Ok(line) = line else { break };
        // No prompt could say something else.
        speaker.private.shows();
        if speaker.line(&String::from_utf8_lossy(&line)).is_err() {
            return;
        }
    }
    leave(&speaker.commands, String::new());
}
