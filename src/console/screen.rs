//! The terminal as two threads share it: one edits a line, the other prints above it.
//!
//! rustyline's printer hands text to the editor while a line is being edited and writes it directly
//! otherwise. Between two lines the terminal is the editor's alone (it takes the line just sent off
//! the screen), so the printing thread waits for that short time. Without locks, as each side may be
//! blocked in rustyline while the other one needs to know: nothing that the editor's thread waits for may need a print.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustyline::ExternalPrinter;

use super::Naming;
use crate::identity::Id;
use crate::room::event::Person;
use crate::wire::record::Nick;

/// How often waits look again by themselves; what they wait for wakes them anyway.
const WAIT_MS: Duration = Duration::from_millis(20);

/// How long the end waits for the editor to write what it was handed.
const DRAIN_MS_MAX: Duration = Duration::from_millis(300);

/// Text that leaves the screen as it is, one row up and down again; the printer wants a newline.
const NOTHING: &str = "\r\x1b[A\n";

/// What both threads know.
#[derive(Debug)]
pub(super) struct Screen {
    /// A line is being edited: text may be handed over.
    editing: AtomicBool,
    /// The editor is gone: text goes straight to the terminal.
    closed: AtomicBool,
    /// The printing thread is inside `print`.
    printing: AtomicBool,
    /// A `print` ended while no line was edited, so the rows above the cursor may be its text.
    smudged: AtomicBool,
    /// How often the editor has drawn.
    drawn: AtomicU64,
    /// The line drawn last has a prompt.
    prompted: AtomicBool,
    /// Commands that were not done, as too many waited.
    skipped: AtomicUsize,
    /// Whom to wake when editing begins.
    printer: Thread,
    /// The names of those who are here, for completion, and who needs none.
    pub(super) naming: Naming,
    pub(super) me: Id,
    /// The own name, for the prompt.
    pub(super) nick: Mutex<Nick>,
}

impl Screen {
    /// Made by the thread that will print.
    pub(super) fn new(me: &Person, naming: Naming) -> Arc<Self> {
        Arc::new(Self {
            editing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            printing: AtomicBool::new(false),
            smudged: AtomicBool::new(false),
            drawn: AtomicU64::new(0),
            prompted: AtomicBool::new(false),
            skipped: AtomicUsize::new(0),
            printer: thread::current(),
            naming,
            me: me.id,
            nick: Mutex::new(me.nick.clone()),
        })
    }

    /// What stands before the line being typed, which may be for somebody alone.
    pub(super) fn prompt(&self, partner: Option<&Person>) -> String {
        match partner {
            Some(partner) => format!("{} to {}> ", self.nick.lock(), self.naming.name_now(partner)),
            None => format!("{}> ", self.nick.lock()),
        }
    }

    /// The editor draws its line. Only now text may be handed to it.
    pub(super) fn draws(&self, prompt: &str) {
        self.prompted.store(!prompt.is_empty(), Ordering::SeqCst);
        self.drawn.fetch_add(1, Ordering::SeqCst);
        if !self.editing.swap(true, Ordering::SeqCst) {
            self.printer.unpark();
        }
    }

    /// The line was accepted: from here on to the next drawing the terminal is the editor's.
    pub(super) fn accepts(&self) {
        self.editing.store(false, Ordering::SeqCst);
    }

    /// Whether the rows above the cursor are the line just accepted, for certain.
    pub(super) fn is_clean(&self) -> bool {
        !self.smudged.swap(false, Ordering::SeqCst) && !self.printing.load(Ordering::SeqCst)
    }

    /// A command is not done.
    pub(super) fn skips(&self) {
        self.skipped.fetch_add(1, Ordering::SeqCst);
    }

    /// How many were not done since this was called last.
    pub(super) fn skipped(&self) -> usize {
        self.skipped.swap(0, Ordering::SeqCst)
    }

    /// The editor is gone.
    pub(super) fn closes(&self) {
        self.editing.store(false, Ordering::SeqCst);
        self.closed.store(true, Ordering::SeqCst);
        self.printer.unpark();
    }
}

/// The printing end.
pub(super) struct ScreenPrinter {
    screen: Arc<Screen>,
    inner: Box<dyn ExternalPrinter + Send>,
}

impl fmt::Debug for ScreenPrinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScreenPrinter").field(&self.screen).finish()
    }
}

impl ScreenPrinter {
    pub(super) fn new(screen: Arc<Screen>, inner: Box<dyn ExternalPrinter + Send>) -> Self {
        Self { screen, inner }
    }

    /// Prints whole lines above the line being edited.
    pub(super) fn print(&mut self, text: &str) {
        debug_assert!(text.ends_with('\n'), "rustyline lets lines run together otherwise");
        let screen = &self.screen;
        while !screen.closed.load(Ordering::SeqCst) {
            screen.printing.store(true, Ordering::SeqCst);
            if screen.editing.load(Ordering::SeqCst) {
                break;
            }
            screen.printing.store(false, Ordering::SeqCst);
            thread::park_timeout(WAIT_MS);
        }
        let printed = if screen.closed.load(Ordering::SeqCst) {
            Err(())
        } else {
            self.inner.print(text.to_owned()).map_err(drop)
        };
        if !screen.editing.load(Ordering::SeqCst) {
            screen.smudged.store(true, Ordering::SeqCst);
        }
        screen.printing.store(false, Ordering::SeqCst);
        if printed.is_err() {
            // The editor is gone, so nobody else draws.
            super::tty::write(text.as_bytes());
        }
    }

    /// Waits, not for long, until all that was printed is on the screen, and puts the terminal back.
    pub(super) fn close(&mut self) {
        let end = Instant::now() + DRAIN_MS_MAX;
        while Instant::now() < end && !self.screen.editing.load(Ordering::SeqCst) && !self.is_closed() {
            thread::park_timeout(WAIT_MS);
        }
        if self.screen.editing.load(Ordering::SeqCst) {
            // The second one is taken up only after everything before the first is written.
            let taken = self.inner.print(NOTHING.to_owned()).and_then(|()| self.inner.print(NOTHING.to_owned()));
            let drawn = self.screen.drawn.load(Ordering::SeqCst);
            while taken.is_ok() && Instant::now() < end && self.screen.drawn.load(Ordering::SeqCst) == drawn {
                thread::park_timeout(Duration::from_millis(1));
            }
            // What was being typed stays, and the shell goes on below it.
            if self.screen.prompted.load(Ordering::SeqCst) {
                super::tty::write(b"\n");
            }
        }
        super::tty::restore();
    }

    fn is_closed(&self) -> bool {
        self.screen.closed.load(Ordering::SeqCst)
    }
}
