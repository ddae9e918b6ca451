//! What the input thread does with a line it has understood: tells the room, or its own console.

use std::cell::{RefCell, RefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};

use super::Pipe;
use super::bell::Bell;
use super::chunk::{split_text, split_whisper};
use super::command::{COMMANDS, Typed, parse};
use super::goodbye::{leave, why_of};
use super::people::Asked;
use super::screen::Screen;
use crate::history::query::Found;
use crate::room::Wanted;
use crate::room::event::{Command, Person, Said, Whom};

/// What the input thread tells the console.
#[derive(Debug)]
pub(super) enum Local {
    /// Show this.
    Note(String),
    /// Show that this went wrong.
    Trouble(String),
    /// A line of the log, for a terminal that is being edited on.
    Log(String),
    /// An answer to this will come.
    Asked(Query),
    /// This is to be looked for in the past.
    Recall(Wanted),
    /// What was asked for of the past.
    Recalled(Box<Wanted>, Found),
    /// `/quiet`.
    Quiet,
    /// `/bell`, with what it is set to or without.
    Bell(Option<Bell>),
    /// `/clear`.
    Clear,
    /// Show that this went wrong; the run has failed.
    Failed(String),
}

/// What was asked of the room, so what its answer is for.
#[derive(Debug)]
pub(super) enum Query {
    Names,
    Whois(String),
    People(Asked),
    Status,
    Whoami,
    Invite,
}

/// The room or the console is gone: the input thread ends.
#[derive(Debug)]
pub(super) struct Gone;

/// The ends of the channels that an input thread holds.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) commands: Sender<Command>,
    pub(super) local: Sender<Local>,
    /// What is piped in goes here, at the pace of the room and of who reads the answers; what is typed goes with the commands.
    pub(super) pipe: Option<Pipe>,
    pub(super) screen: Option<Arc<Screen>>,
    /// Whether what is typed goes to somebody alone.
    pub(super) private: Private,
    /// All that is piped in does.
    pub(super) to_one: bool,
}

/// How long a terminal waits until it is known whom the next line goes to. The answer takes a moment, unless the room does
/// not know yet who is here.
const ANSWER_MS_MAX: Duration = Duration::from_secs(1);

/// A prompt is seen no sooner. What was typed ahead of it may have been meant for somebody alone.
const SEEN_MS_MIN: Duration = Duration::from_millis(300);

/// Told where that was not long enough.
const UNSURE: &str = "it was not known yet whom this goes to: nothing was said";

/// Whether what is typed or piped in goes to somebody alone. A terminal asks the room, and until the prompt tells the answer
/// nothing is said. In a pipe nobody would notice that a private chat could not begin: there it is on from `/chat` to `/end`, and
/// the room refuses what has no reader. So nothing is said to all that was meant for one.
///
/// The answers do not come with the events: whoever prints those may wait for the next line.
#[derive(Debug)]
pub(super) struct Private {
    answers: Receiver<Option<Person>>,
    standing: RefCell<Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    on: bool,
    partner: Option<Person>,
    /// Answers that are to come.
    asked: usize,
    /// The prompt that is seen was made before the last one came.
    is_stale: bool,
    /// Until then nobody can have seen that a `/chat` failed.
    unseen_until: Option<Instant>,
}

impl Standing {
    fn answered(&mut self, partner: Option<Person>) {
        self.asked = self.asked.saturating_sub(1);
        (self.on, self.partner, self.is_stale) = (partner.is_some(), partner, true);
    }
}

impl Private {
    pub(super) fn new(answers: Receiver<Option<Person>>) -> Self {
        Self { answers, standing: RefCell::default() }
    }

    fn is_on(&self) -> bool {
        self.standing.borrow().on
    }

    fn set(&self, on: bool) {
        self.standing.borrow_mut().on = on;
    }

    /// How it stands, with the answers that are there.
    fn standing(&self) -> RefMut<'_, Standing> {
        let mut standing = self.standing.borrow_mut();
        self.answers.try_iter().for_each(|partner| standing.answered(partner));
        standing
    }

    /// A prompt is about to be made: with whom a private chat goes on.
    pub(super) fn shows(&self) -> Option<Person> {
        let mut standing = self.standing();
        standing.is_stale = false;
        standing.partner.clone()
    }

    fn is_sure(&self) -> bool {
        let standing = self.standing();
        standing.asked == 0 && !standing.is_stale && standing.unseen_until.is_none_or(|until| Instant::now() >= until)
    }

    /// Asks, and waits for the answers, not for long. `begins` a chat; where the partner stays the same, it may have failed.
    fn ask(&self, begins: bool, ask: impl FnOnce() -> Result<(), Gone>) -> Result<(), Gone> {
        let mut standing = self.standing.borrow_mut();
        let before = standing.partner.as_ref().map(|person| person.id);
        standing.asked += 1;
        ask()?;
        let end = Instant::now() + ANSWER_MS_MAX;
        while standing.asked > 0 {
            match self.answers.recv_deadline(end) {
                Ok(partner) => standing.answered(partner),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return Err(Gone),
            }
        }
        let is_same = standing.partner.as_ref().map(|person| person.id) == before;
        standing.unseen_until = (begins && is_same).then(|| Instant::now() + SEEN_MS_MIN);
        Ok(())
    }
}

impl Speaker {
    /// Does what a typed line says.
    pub(super) fn line(&self, line: &str) -> Result<(), Gone> {
        match parse(line) {
            Ok(typed) => self.obey(typed),
            Err(error) => {
                self.tell(Local::Trouble(error.to_string()))?;
                self.undone()
            }
        }
    }

    /// A line of a script cannot be done, which was told: it counts as one that was not said.
    pub(super) fn undone(&self) -> Result<(), Gone> {
        if self.pipe.is_some() { self.command(Command::Undone) } else { Ok(()) }
    }

    fn obey(&self, typed: Typed) -> Result<(), Gone> {
        match typed {
            Typed::Blank => Ok(()),
            Typed::Say(_) | Typed::Act(_) if !self.private.is_sure() => self.tell(Local::Trouble(UNSURE.to_owned())),
            Typed::Say(text) if self.private.is_on() => self.confide_all(&text, false),
            Typed::Act(text) if self.private.is_on() => self.confide_all(text.trim_start(), true),
            Typed::Say(text) | Typed::Aloud(text) => self.say_all(&text, false),
            Typed::Act(text) => self.say_all(text.trim_start(), true),
            Typed::Whisper(whom, text) => self.whisper_all(&whom, &text, false),
            Typed::Chat(who) => self.chat(who.map(Whom::Called)),
            Typed::Ping(who) => self.command(Command::Ping(Whom::Called(who))),
            Typed::Trace(who) => self.command(Command::Trace(Whom::Called(who))),
            Typed::Quit(why) if self.pipe.is_some() => {
                // Behind what was said before it; what follows is not said.
                let _ = self.commands.send(Command::Quit { why: why_of(why) });
                Err(Gone)
            }
            Typed::Quit(why) => {
                leave(&self.commands, why);
                Ok(())
            }
            Typed::Nick(nick) => {
                if let Some(screen) = &self.screen {
                    *screen.nick.lock() = nick.clone();
                }
                self.command(Command::Nick(nick))
            }
            Typed::Away(why) => self.command(Command::Away(Some(why))),
            Typed::Back => self.command(Command::Away(None)),
            Typed::Names => self.ask(Query::Names, Command::Names),
            Typed::Whois(who) => self.ask(Query::Whois(who), Command::Names),
            Typed::Whoami => self.ask(Query::Whoami, Command::Status),
            Typed::Status => self.ask(Query::Status, Command::Status),
            // The console knows who is to be left out.
            Typed::Recall(wanted) => self.tell(Local::Recall(wanted)),
            Typed::Contacts => self.ask(Query::People(Asked::Contacts), Command::Names),
            Typed::People(deed, who) => self.ask(Query::People(Asked::Deed(deed, who)), Command::Names),
            Typed::Compare(who) => self.ask(Query::People(Asked::Compare(who)), Command::Names),
            Typed::Invite => self.ask(Query::Invite, Command::Status),
            Typed::Quiet => self.tell(Local::Quiet),
            Typed::Bell(bell) => self.tell(Local::Bell(bell)),
            Typed::Clear => self.tell(Local::Clear),
            Typed::Version => self.tell(Local::Note(concat!("hobnob ", env!("CARGO_PKG_VERSION")).to_owned())),
            Typed::Help => self.tell(Local::Note(help())),
        }
    }

    fn say_all(&self, text: &str, action: bool) -> Result<(), Gone> {
        split_text(text).into_iter().try_for_each(|said| self.say(Said { action, ..said }))
    }

    /// Says something in a private chat.
    fn confide_all(&self, text: &str, action: bool) -> Result<(), Gone> {
        if self.pipe.is_none() {
            return self.whisper_all(&Whom::Partner, text, action);
        }
        split_text(text).into_iter().try_for_each(|said| self.say_plain(Said { action, ..said }))
    }

    fn chat(&self, whom: Option<Whom>) -> Result<(), Gone> {
        let typed = self.pipe.is_none();
        if typed {
            return self.private.ask(whom.is_some(), || self.command(Command::Chat { whom, typed }));
        }
        self.private.set(whom.is_some());
        self.command(Command::Chat { whom, typed })
    }

    fn whisper_all(&self, whom: &Whom, text: &str, action: bool) -> Result<(), Gone> {
        let said = split_text(text).into_iter().flat_map(|said| split_whisper(Said { action, ..said }));
        said.into_iter().try_for_each(|said| self.command(Command::Whisper(whom.clone(), said)))
    }

    /// Says piped text to all or, in a private chat, to one.
    pub(super) fn say_plain(&self, said: Said) -> Result<(), Gone> {
        self.say(Said { private: self.private.is_on(), ..said })
    }

    /// Says something. In piped text this returns once the room has taken it.
    fn say(&self, said: Said) -> Result<(), Gone> {
        match &self.pipe {
            Some(pipe) if self.to_one || said.private => {
                split_whisper(said).into_iter().try_for_each(|said| pipe.says.send(said).map_err(|_| Gone))
            }
            Some(pipe) => pipe.says.send(said).map_err(|_| Gone),
            None => self.command(Command::Say(said)),
        }
    }

    fn ask(&self, query: Query, command: Command) -> Result<(), Gone> {
        if self.try_tell(Local::Asked(query))? { self.command(command) } else { Ok(()) }
    }

    pub(super) fn command(&self, command: Command) -> Result<(), Gone> {
        self.pipe.as_ref().map_or(&self.commands, |pipe| &pipe.orders).send(command).map_err(|_| Gone)
    }

    pub(super) fn tell(&self, local: Local) -> Result<(), Gone> {
        self.try_tell(local).map(drop)
    }

    /// Tells the console, unless that has too much to do: whoever prints above a line may wait for one to be edited, so
    /// nothing is waited for here; what is left out is counted.
    fn try_tell(&self, local: Local) -> Result<bool, Gone> {
        let Some(screen) = &self.screen else { return self.local.send(local).map(|()| true).map_err(|_| Gone) };
        match self.local.try_send(local) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => {
                screen.skips();
                Ok(false)
            }
            Err(TrySendError::Disconnected(_)) => Err(Gone),
        }
    }
}

fn help() -> String {
    let width = COMMANDS.iter().map(|command| command.form.len()).max().unwrap_or_default();
    let lines: Vec<String> =
        COMMANDS.iter().map(|command| format!("/{:width$}  {}", command.form, command.help)).collect();
    lines.join("\n")
}
