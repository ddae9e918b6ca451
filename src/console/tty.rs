//! The terminal's settings, kept at the start and put back at the end, on whichever way out.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use parking_lot::Mutex;

/// The settings at the start; none before `save`, or where stdin is no terminal.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Switches off what rustyline switches on beside the settings: bracketed paste. Shows the cursor.
const PASTE_OFF: &[u8] = b"\x1b[?2004l\x1b[?25h";

/// Keeps the settings of the terminal on stdin.
pub(super) fn save() {
    if let Ok(settings) = tcgetattr(io::stdin().as_fd()) {
        *SAVED.lock() = Some(settings);
    }
}

/// Keeps the settings, and has the terminal show nothing of what is typed but the end of the line.
pub(super) fn conceal() -> io::Result<()> {
    save();
    let mut settings = tcgetattr(io::stdin().as_fd())?;
    settings.local_flags.remove(LocalFlags::ECHO);
    settings.local_flags.insert(LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
    // Not what forgets the waiting input: somebody may have pasted already.
    Ok(tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &settings)?)
}

/// Puts the settings back as they were before `conceal`.
pub(super) fn reveal() {
    if let Some(settings) = SAVED.lock().take() {
        let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSADRAIN, &settings);
    }
}

/// Puts the settings back. From any thread, any number of times; without `save` it does nothing.
pub(super) fn restore() {
    let saved = SAVED.lock();
    let Some(settings) = saved.as_ref() else { return };
    // At once: the terminal may take nothing.
    let _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, settings);
    write(PASTE_OFF);
}

/// Whether there is something to put back.
pub(super) fn is_saved() -> bool {
    SAVED.lock().is_some()
}

/// Writes to the terminal, also where stdout is something else. Past the lock of stdout, which a
/// stuck thread may hold.
pub(super) fn write(bytes: &[u8]) {
    if io::stdout().is_terminal() {
        let mut rest = bytes;
        while let Ok(count @ 1..) = nix::unistd::write(io::stdout().as_fd(), rest) {
            rest = rest.get(count..).unwrap_or_default();
        }
    } else if let Ok(mut tty) = std::fs::OpenOptions::new().write(true).open("/dev/tty") {
        let _ = tty.write_all(bytes);
    }
}
