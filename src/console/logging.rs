//! Where log lines go: stderr, or above the line being typed where that is the same terminal. What
//! they quote of others passes the filter.

use std::io::{self, Write};

use crossbeam_channel::Sender;
use parking_lot::Mutex;

use super::filter::push_filtered;
use super::speaker::Local;
use crate::limits::LOG_LINE_BYTES_MAX;

/// The console that takes log lines, if one edits on the terminal that stderr is.
static CONSOLE: Mutex<Option<Sender<Local>>> = Mutex::new(None);

/// Sends log lines to a console, or with `None` back to stderr.
pub(super) fn divert(console: Option<Sender<Local>>) {
    *CONSOLE.lock() = console;
}

/// The target for a logger that writes a record at once, as `env_logger` does.
#[derive(Debug, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // A record is one line of bounded length, whatever it quotes: nobody else writes into the log.
        let record = text.trim_end_matches('\n');
        let (record, rest) = record.split_at(record.floor_char_boundary(LOG_LINE_BYTES_MAX));
        let mut line = String::with_capacity(record.len());
        push_filtered(&mut line, record);
        line.push_str(if rest.is_empty() { "\n" } else { "…\n" });
        let console = CONSOLE.lock().clone();
        // A full queue means a busy screen; better a line out of place than none, or a wait.
        let left = match console.map(|console| console.try_send(Local::Log(line.clone()))) {
            Some(Ok(())) => return Ok(bytes.len()),
            _ => line,
        };
        io::stderr().lock().write_all(left.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
