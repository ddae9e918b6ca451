//! Leaving: asked once it is a goodbye, asked again it is an end.
//!
//! Ctrl+C at the line editor, `/quit`, a closed stdout and the signal handler all come here, so that
//! a second request ends the program at once, whichever way either came.

use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::limits::WHY_BYTES_MAX;
use crate::room::event::Command;

use super::{ask, flush_log, tty};

/// The exit code after a second request: what a shell reports for SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// How long a first request waits for room in the router's queue. The router never blocks, so this
/// is for a program that is stuck; a second request still ends it.
const ASK_MS_MAX: Duration = Duration::from_millis(500);

/// Whether the room was asked to say goodbye.
pub(super) fn is_asked() -> bool {
    ASKED_AT.get().is_some()
}

/// Asks the room to say goodbye. More than once is as once.
pub fn leave(commands: &Sender<Command>, why: String) {
    if ASKED_AT.set(Instant::now()).is_ok() {
        pass_on(commands, why);
    }
}

/// When somebody asked first. One per process, as signals are. `timeout` and others signal a process and then its group, and a terminal that is closed ends what is
/// read and sends SIGHUP: what follows at once is the same request.
static ASKED_AT: OnceLock<Instant> = OnceLock::new();

/// Two requests within this time are one: shorter than anybody presses a key twice.
const SAME_REQUEST: Duration = Duration::from_millis(100);

/// How long after a signal the run has ended for certain: a goodbye takes two seconds and a slow disk as long again. Whoever
/// does not read its stdout does not hold it up longer.
const END_MS_MAX: Duration = Duration::from_secs(4);

/// How long a terminal is waited for that takes nothing.
const RESTORE_MS_MAX: Duration = Duration::from_millis(200);

/// What Ctrl+C and signals do: ask for a goodbye or, the second time, restore the terminal and end the
/// program at once.
pub fn leave_or_exit(commands: &Sender<Command>) {
    if ask::is_open() {
        // There is nobody yet to say goodbye to.
        exit();
    }
    if ASKED_AT.set(Instant::now()).is_err() {
        if ASKED_AT.get().is_some_and(|at| at.elapsed() < SAME_REQUEST) {
            return;
        }
        exit();
    }
    // stdout may be stuck for good, and the thread that writes to it.
    let guard = thread::Builder::new().name("end".to_owned()).spawn(|| {
        thread::sleep(END_MS_MAX);
        exit();
    });
    if let Err(error) = guard {
        log::warn!("a second signal may be needed: {error}");
    }
    pass_on(commands, String::new());
}

fn exit() -> ! {
    let (done, restored) = bounded(1);
    let restore = move || {
        tty::restore();
        if tty::is_saved() {
            // The shell goes on below what was being typed.
            tty::write(b"\n");
        }
        flush_log();
        let _ = done.send(());
    };
    if thread::Builder::new().name("restore".to_owned()).spawn(restore).is_ok() {
        let _ = restored.recv_timeout(RESTORE_MS_MAX);
    }
    std::process::exit(EXIT_INTERRUPTED);
}

/// A word of goodbye, as long as one may be.
pub(super) fn why_of(mut why: String) -> String {
    why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
    why
}

fn pass_on(commands: &Sender<Command>, why: String) {
    if commands.send_timeout(Command::Leave { why: why_of(why) }, ASK_MS_MAX).is_err() {
        log::warn!("the goodbye could not be passed on");
    }
}
