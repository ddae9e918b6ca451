//! Where text goes: stdout, stderr, or above the line being typed. Owned by the console's thread.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::print::Shown;
use super::screen::ScreenPrinter;

/// Where the two kinds of text go.
#[derive(Debug)]
pub(super) struct Output {
    /// A terminal with a line being edited.
    pub(super) screen: Option<ScreenPrinter>,
    /// Chat goes there, too; else it goes to stdout.
    pub(super) chat_on_screen: bool,
    /// stderr is a terminal, the same one: notices go there, too.
    pub(super) notices_on_screen: bool,
}

/// Empties the screen and goes to its top. The printer's newline follows.
const CLEAR: &str = "\x1b[2J\x1b[H\n";

/// Before the text, so that whoever looks up finds it drawn.
const BELL: &str = "\x07";

impl Output {
    /// Around a terminal on which a line is edited.
    pub(super) fn around(screen: ScreenPrinter) -> Self {
        Self {
            screen: Some(screen),
            chat_on_screen: io::stdout().is_terminal(),
            notices_on_screen: io::stderr().is_terminal(),
        }
    }

    /// stdout and stderr as they are.
    pub(super) fn plain() -> Self {
        Self { screen: None, chat_on_screen: false, notices_on_screen: false }
    }

    /// Puts the emptying of the screen in its place among what is shown.
    pub(super) fn clear(&self, shown: &mut Shown) {
        if self.screen.is_some() && self.chat_on_screen {
            shown.chat.push_str(CLEAR);
        }
    }

    /// Writes a line of the log.
    pub(super) fn log(&mut self, line: &str) {
        self.write_notices(line);
    }

    /// Writes all and forgets it. Fails where stdout fails; nobody can be told that stderr failed.
    pub(super) fn write(&mut self, shown: &mut Shown) -> io::Result<()> {
        if !shown.notices.is_empty() {
            self.write_notices(&shown.notices);
            shown.notices.clear();
        }
        if shown.chat.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut shown.bell) {
            shown.chat.insert_str(0, BELL);
        }
        let written = match &mut self.screen {
            Some(screen) if self.chat_on_screen => {
                screen.print(&shown.chat);
                Ok(())
            }
            _ => write_stdout(shown.chat.as_bytes()),
        };
        shown.chat.clear();
        written
    }

    fn write_notices(&mut self, notices: &str) {
        match &mut self.screen {
            Some(screen) if self.notices_on_screen => screen.print(notices),
            _ => {
                let _ = io::stderr().lock().write_all(notices.as_bytes());
            }
        }
    }

    /// The end: what was handed over is written, the terminal is put back.
    pub(super) fn close(&mut self) {
        if let Some(screen) = &mut self.screen {
            screen.close();
        }
    }
}

fn write_stdout(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let mut rest = bytes;
    loop {
        let written = if rest.is_empty() { stdout.flush().map(|()| 0) } else { stdout.write(rest) };
        match written {
            Ok(_) if rest.is_empty() => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Whoever shares our stdout may have set it so.
                let _ = poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
