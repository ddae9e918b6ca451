//! Where log lines go: stderr, or above the line being typed where that is the same terminal. What
//! they quote of others passes the filter.

use std::io::{self, Write};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::filter::push_filtered;
use super::speaker::Local;

/// The console that takes log lines, if one edits on the terminal that stderr is.
static CONSOLE: Mutex<Option<Sender<Local>>> = Mutex::new(None);

/// Sends log lines to a console, or with `None` back to stderr.
pub(super) fn divert(console: Option<Sender<Local>>) {
    *CONSOLE.lock() = console;
}

/// The target for a logger that writes a line at once, as `env_logger` does.
#[derive(Debug, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = String::with_capacity(text.len());
        for line in text.lines() {
            push_filtered(&mut lines, line);
            lines.push('\n');
        }
        let console = CONSOLE.lock().clone();
        // A full queue means a busy screen; better a line out of place than none, or a wait.
        let left = match console.map(|console| console.try_send(Local::Log(lines.clone()))) {
            Some(Ok(())) => return Ok(bytes.len()),
            _ => lines,
        };
        io::stderr().lock().write_all(left.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
