//! What stdin is, what follows from that, and the start of the thread that reads it.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use nix::sys::stat::{SFlag, fstat, major, minor};

use super::goodbye::leave;
use super::output::Output;
use super::screen::Screen;
use super::speaker::{Local, Private, Speaker};
use super::{Naming, Options, Pipe, pipe, spawn_input, terminal};
use crate::args::ColorChoice;
use crate::room::event::{Command, Person};

/// What stdin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// A terminal: chat.
    Terminal,
    /// A pipe, FIFO, socket or file, or what stands on the command line: text, whose end is confirmed.
    Text,
    /// Closed or /dev/null: nothing to say.
    Nothing,
}

/// The device numbers of /dev/null on Linux.
const NULL_DEVICE: (u64, u64) = (1, 3);

impl Input {
    /// Looks at stdin. Rust opens /dev/null where it was closed.
    pub fn of_stdin() -> Self {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            return Self::Terminal;
        }
        let Ok(status) = fstat(stdin.as_fd()) else { return Self::Nothing };
        let device = SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
        let null = device && (major(status.st_rdev), minor(status.st_rdev)) == NULL_DEVICE;
        if null { Self::Nothing } else { Self::Text }
    }
}

/// Somebody sits at a terminal that shows the chat, too.
pub(super) fn is_conversation(input: Input) -> bool {
    input == Input::Terminal && io::stdout().is_terminal()
}

/// Whether the chat is coloured.
pub(super) fn uses_color(choice: ColorChoice) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => io::stdout().is_terminal() && !set("NO_COLOR") && !is_dumb(),
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// What the start gives to the console.
pub(super) struct Started {
    pub(super) output: Output,
    pub(super) screen: Option<Arc<Screen>>,
}

/// Starts reading. Called by the thread that will print.
pub(super) fn start(
    options: &Options,
    naming: &Naming,
    pipe: Pipe,
    commands: Sender<Command>,
    local: Sender<Local>,
    partners: Receiver<Option<Person>>,
) -> Started {
    let (private, to_one) = (Private::new(partners), options.to_one);
    let speaker = |pipe, screen| Speaker { commands, local, pipe, screen, private, to_one };
    let with_commands = options.commands;
    match options.input {
        Input::Nothing => {}
        Input::Text => {
            let (speaker, messages) = (speaker(Some(pipe), None), options.messages.clone());
            let reopens = !options.passing && pipe::is_fifo();
            let read = move |speaker: &Speaker| match messages.as_slice() {
                [] => pipe::run(speaker, with_commands, reopens),
                messages => pipe::say(speaker, messages),
            };
            spawn_input(move || guarded(&speaker, || read(&speaker)));
        }
        Input::Terminal => {
            if let Some((editor, printer, screen)) = terminal::open(&options.me, naming.clone()) {
                let speaker = speaker(None, Some(Arc::clone(&screen)));
                let editing = Arc::clone(&screen);
                spawn_input(move || guarded(&speaker, || terminal::run(editor, &editing, &speaker)));
                return Started { output: Output::around(printer), screen: Some(screen) };
            }
            let speaker = speaker(None, None);
            spawn_input(move || guarded(&speaker, || terminal::run_plain(&speaker)));
        }
    }
    Started { output: Output::plain(), screen: None }
}

/// A reader that panics ends the program, not only itself.
fn guarded(speaker: &Speaker, read: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(read)).is_err() {
        if let Some(screen) = &speaker.screen {
            screen.closes();
        }
        // Nothing waits for the editor any more.
        let _ = speaker.local.send(Local::Failed("the input thread failed; see above".to_owned()));
        leave(&speaker.commands, String::new());
    }
}
