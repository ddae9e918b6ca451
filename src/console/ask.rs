//! A line that is to stay unseen, asked for before the chat begins: from a terminal without echo, or the
//! first line of what is piped in. What follows that line is left for the chat.
//!
//! On the main thread. The terminal is put back on every way out, a signal's among them.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;
use zeroize::Zeroizing;

use super::tty;
use crate::limits::SECRET_FILE_BYTES_MAX;

/// Whether a line is being asked for. One per process, as signals are.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Whether a signal finds nobody to say goodbye to.
pub(super) fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst)
}

/// Reads a line from stdin, without its newline; on a terminal it says what for, and shows nothing of it. A
/// line that is longer than any secret comes cut.
pub fn ask(what: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    OPEN.store(true, Ordering::SeqCst);
    let concealed = io::stdin().is_terminal().then(tty::conceal);
    if concealed.is_some() {
        // Nobody can be told that stderr failed.
        let _ = write!(io::stderr(), "{what} (not shown): ");
    }
    let line = concealed.unwrap_or(Ok(())).and_then(|()| read_line());
    tty::reveal();
    OPEN.store(false, Ordering::SeqCst);
    line.map(Option::unwrap_or_default)
}

/// Reads a line from stdin that is no secret; `None` at the end of input.
pub(super) fn ask_aloud(prompt: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    OPEN.store(true, Ordering::SeqCst);
    let _ = write!(io::stderr(), "{prompt}");
    let line = read_line();
    OPEN.store(false, Ordering::SeqCst);
    line
}

/// Byte by byte, past the buffer of std's stdin: that would keep a copy, and what follows belongs to others.
fn read_line() -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let stdin = io::stdin();
    let mut line = Zeroizing::new(Vec::with_capacity(SECRET_FILE_BYTES_MAX));
    let mut byte = [0];
    while line.len() < SECRET_FILE_BYTES_MAX {
        match read(stdin.as_fd(), &mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(_) if byte == *b"\n" => break,
            Ok(_) => line.extend(byte),
            Err(Errno::EINTR) => {}
            // Whoever shares our stdin may have set it so.
            Err(Errno::EAGAIN) => {
                poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(line))
}
