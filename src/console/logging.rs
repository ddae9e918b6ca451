//! Where log lines go: stderr, or above the line being typed where that is the same terminal. What
//! they quote of others passes the filter. Any thread logs, and none waits for whoever reads stderr: one of its own does.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use super::filter::push_filtered;
use super::speaker::Local;
use crate::limits::LOG_LINE_BYTES_MAX;

/// The console that takes log lines, if one edits on the terminal that stderr is.
static CONSOLE: Mutex<Option<Sender<Local>>> = Mutex::new(None);

/// Lines that wait for stderr. Beyond, they are dropped, and their count is told.
const LINES_MAX: usize = 1_024;

/// How long the end of the program waits for stderr.
const FLUSH_MS_MAX: Duration = Duration::from_millis(200);

/// What the thread at stderr does.
enum Order {
    Write(String),
    Flush(Sender<()>),
}

/// That thread, from the first line on; `None` where it could not be had.
static WRITER: OnceLock<Option<Sender<Order>>> = OnceLock::new();

static DROPPED: AtomicUsize = AtomicUsize::new(0);

fn start() -> Option<Sender<Order>> {
    let (sender, orders) = bounded(LINES_MAX);
    thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&orders)).ok().map(|_| sender)
}

fn write_all(orders: &Receiver<Order>) {
    for order in orders {
        // Nobody can be told that stderr failed.
        match order {
            Order::Write(line) => drop(io::stderr().lock().write_all(line.as_bytes())),
            Order::Flush(done) => drop(done.send(())),
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ = writeln!(io::stderr().lock(), "{dropped} lines of the log are missing here: nobody read them");
        }
    }
}

/// Waits, not for long, until all that was logged is on stderr.
pub fn flush_log() {
    let Some(Some(writer)) = WRITER.get() else { return };
    let (done, flushed) = bounded(1);
    if writer.send_timeout(Order::Flush(done), FLUSH_MS_MAX).is_ok() {
        let _ = flushed.recv_timeout(FLUSH_MS_MAX);
    }
}

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
        if let Some(writer) = WRITER.get_or_init(start) {
            if writer.try_send(Order::Write(left)).is_err() {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            io::stderr().lock().write_all(left.as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
