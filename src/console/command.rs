//! What a typed line means: something to say, or a slash command. Pure; a mistake is told to whoever
//! typed it and nothing is sent.

use thiserror::Error;

use super::bell::Bell;
use crate::contacts::Deed;
use crate::limits::{NICK_BYTES_MAX, RECALLED_LAST, RECALLED_LAST_MAX, WHY_BYTES_MAX};
use crate::moment::{self, MomentError};
use crate::room::Wanted;
use crate::room::event::Whom;
use crate::wire::record::Nick;
use jiff::Zoned;

/// A typed line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Nothing.
    Blank,
    /// Say this.
    Say(String),
    /// Say this to all, in a private chat, too.
    Aloud(String),
    /// Do this: `/me`.
    Act(String),
    /// Say this to somebody alone: to whom, and what.
    Whisper(Whom, String),
    /// Have what is typed go to somebody alone, or to all again.
    Chat(Option<String>),
    /// How far is somebody?
    Ping(String),
    /// Which way leads to somebody?
    Trace(String),
    /// Leave, with a word of goodbye or none.
    Quit(String),
    /// Be called this.
    Nick(Nick),
    /// Be away, for a reason or none.
    Away(String),
    /// Be back.
    Back,
    /// Who is here?
    Names,
    /// Who is that? A nick, or the start of a key.
    Whois(String),
    /// Who am I?
    Whoami,
    /// How are things?
    Status,
    /// How do others join?
    Invite,
    /// What was said earlier, or what of it has these words?
    Recall(Wanted),
    /// Who are the contacts?
    Contacts,
    /// Do this with somebody: a nick, or the start of a key.
    People(Deed, String),
    /// Which number is to be compared with somebody?
    Compare(String),
    /// Tell who comes and goes, or no longer.
    Quiet,
    /// Set the terminal's bell, or tell what it is set to.
    Bell(Option<Bell>),
    /// Clear the screen.
    Clear,
    /// Which version is this?
    Version,
    /// Which commands are there?
    Help,
}

/// Why a line is no command. Nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    /// There is no such command.
    #[error("no command /{0}; /help lists them, and //{0} says /{0}")]
    Unknown(String),
    /// There is none, but one that is spelled nearly so.
    #[error("no command /{0}; did you mean /{1}?")]
    Misspelled(String, &'static str),
    /// It needs an argument.
    #[error("usage: /{0}")]
    Incomplete(&'static str),
    /// It takes none.
    #[error("/{0} takes nothing behind it")]
    Surplus(&'static str),
    /// Not a number or a time.
    #[error("{0}")]
    Moment(#[from] MomentError),
    /// Not a name.
    #[error("a nick has 1 to {NICK_BYTES_MAX} bytes, without white space, control characters, < and >")]
    Nick,
}

/// A command as `/help` and Tab know it.
#[derive(Debug)]
pub struct Usage {
    /// The word behind the slash.
    pub name: &'static str,
    /// The word and its argument.
    pub form: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// All commands, in the order in which `/help` lists them.
pub const COMMANDS: [Usage; 30] = [
    Usage { name: "help", form: "help", help: "list the commands" },
    Usage { name: "quit", form: "quit [why]", help: "leave, with a word of goodbye" },
    Usage { name: "nick", form: "nick NAME", help: "be called something else" },
    Usage { name: "away", form: "away [why]", help: "tell others that you are away, or why" },
    Usage { name: "back", form: "back", help: "tell others that you are back" },
    Usage { name: "names", form: "names", help: "tell who is here" },
    Usage { name: "whois", form: "whois WHO", help: "tell more about a nick, the start of a key, or NICK#KEY" },
    Usage { name: "whoami", form: "whoami", help: "tell the own nick and key" },
    Usage { name: "msg", form: "msg WHO TEXT", help: "say something to somebody alone, who need not be here" },
    Usage { name: "reply", form: "reply TEXT", help: "say something to who whispered last" },
    Usage { name: "chat", form: "chat WHO", help: "have what you type go to somebody alone" },
    Usage { name: "end", form: "end", help: "end that: what you type goes to all again" },
    Usage { name: "ping", form: "ping WHO", help: "tell how long the way to somebody and back takes" },
    Usage { name: "trace", form: "trace WHO", help: "tell which nodes are on the way to somebody" },
    Usage { name: "me", form: "me TEXT", help: "do something, rather than say it" },
    Usage { name: "say", form: "say TEXT", help: "say something, also what begins with a slash; //x says /x" },
    Usage { name: "history", form: "history [N or TIME]", help: "show the last messages, or those since a time" },
    Usage { name: "search", form: "search WORDS", help: "show the last messages that have these words" },
    Usage { name: "contacts", form: "contacts", help: "tell the contacts, who of them is here, and who is ignored" },
    Usage { name: "add", form: "add WHO", help: "make a contact of somebody, to be found again as @NICK" },
    Usage { name: "remove", form: "remove WHO", help: "make none of a contact" },
    Usage {
        name: "verify",
        form: "verify WHO [ok or no]",
        help: "show the safety number to compare; ok: it is the same, and the key is held to",
    },
    Usage { name: "ignore", form: "ignore WHO", help: "show nothing of somebody, in later runs neither" },
    Usage { name: "unignore", form: "unignore WHO", help: "show it again, also where it was refused" },
    Usage { name: "status", form: "status", help: "tell the links and how things are" },
    Usage { name: "invite", form: "invite", help: "make a ticket, with which others join through this node" },
    Usage { name: "quiet", form: "quiet", help: "stop or go on telling who comes and goes" },
    Usage { name: "bell", form: "bell [off|pm|all]", help: "ring for nothing, for what is meant for you, or for all" },
    Usage { name: "clear", form: "clear", help: "clear the screen" },
    Usage { name: "version", form: "version", help: "tell the version of this program" },
];

/// Understands a line. Several lines are a pasted block, which is text even where it begins with a
/// slash, but for `/me` and `/say`.
pub fn parse(line: &str) -> Result<Typed, CommandError> {
    let Some(rest) = line.strip_prefix('/') else {
        return Ok(if line.trim().is_empty() { Typed::Blank } else { Typed::Say(line.to_owned()) });
    };
    if let Some(text) = rest.strip_prefix('/') {
        return Ok(Typed::Say(format!("/{text}")));
    }
    let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    if line.contains('\n') && !matches!(name, "me" | "say" | "msg" | "reply") {
        return Ok(Typed::Say(line.to_owned()));
    }
    let command = COMMANDS.iter().find(|command| command.name == name).ok_or_else(|| unknown(name))?;
    typed(command, argument)
}

fn typed(command: &Usage, argument: &str) -> Result<Typed, CommandError> {
    let word = argument.trim();
    let typed = match command.name {
        // What is said keeps its white space, but for the one behind the command.
        "say" => return needed(command, argument).map(Typed::Aloud),
        "me" => return needed(command, argument).map(Typed::Act),
        "msg" => return whispered(command, argument),
        "reply" => return needed(command, argument).map(|text| Typed::Whisper(Whom::Last, text)),
        "chat" => return needed(command, word).map(|who| Typed::Chat(Some(who))),
        "ping" => return needed(command, word).map(Typed::Ping),
        "trace" => return needed(command, word).map(Typed::Trace),
        "end" => Typed::Chat(None),
        "history" => return recalled(word),
        "search" => return needed(command, word).map(|words| Typed::Recall(search(&words))),
        "whois" => return needed(command, word).map(Typed::Whois),
        "bell" if word.is_empty() => return Ok(Typed::Bell(None)),
        "bell" => {
            let bell = Bell::from_word(word).ok_or(CommandError::Incomplete(command.form))?;
            return Ok(Typed::Bell(Some(bell)));
        }
        "add" => return needed(command, word).map(|who| Typed::People(Deed::Add, who)),
        "remove" => return needed(command, word).map(|who| Typed::People(Deed::Remove, who)),
        "ignore" => return needed(command, word).map(|who| Typed::People(Deed::Ignore, who)),
        "unignore" => return needed(command, word).map(|who| Typed::People(Deed::Unignore, who)),
        "verify" => return verify(command, word),
        "quit" => return Ok(Typed::Quit(truncated(word, WHY_BYTES_MAX).to_owned())),
        "away" => return Ok(Typed::Away(truncated(word, WHY_BYTES_MAX).to_owned())),
        "nick" => {
            let name = needed(command, word)?;
            return Nick::new(&name).map(Typed::Nick).map_err(|_| CommandError::Nick);
        }
        "back" => Typed::Back,
        "names" => Typed::Names,
        "contacts" => Typed::Contacts,
        "whoami" => Typed::Whoami,
        "status" => Typed::Status,
        "invite" => Typed::Invite,
        "quiet" => Typed::Quiet,
        "clear" => Typed::Clear,
        "version" => Typed::Version,
        _ => Typed::Help,
    };
    if word.is_empty() { Ok(typed) } else { Err(CommandError::Surplus(command.name)) }
}

/// A safety number, or what came of comparing it.
fn verify(command: &Usage, word: &str) -> Result<Typed, CommandError> {
    let words: Vec<&str> = word.split_whitespace().collect();
    match words.as_slice() {
        [who] => Ok(Typed::Compare((*who).to_owned())),
        [who, "ok"] => Ok(Typed::People(Deed::Verify, (*who).to_owned())),
        [who, "no"] => Ok(Typed::People(Deed::Doubt, (*who).to_owned())),
        _ => Err(CommandError::Incomplete(command.form)),
    }
}

/// How many messages, or since when. The one place here that looks at the clock.
fn recalled(word: &str) -> Result<Typed, CommandError> {
    if word.is_empty() {
        return Ok(Typed::Recall(Wanted { last: Some(RECALLED_LAST), ..Wanted::default() }));
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        let last = word.parse().unwrap_or(usize::MAX).min(RECALLED_LAST_MAX);
        return Ok(Typed::Recall(Wanted { last: Some(last), ..Wanted::default() }));
    }
    let since = moment::parse(word, &Zoned::now())?;
    Ok(Typed::Recall(Wanted { last: Some(RECALLED_LAST_MAX), since: Some(since), ..Wanted::default() }))
}

/// All of the words, in whatever order and case.
pub fn search(words: &str) -> Wanted {
    let words = words.split_whitespace().map(str::to_lowercase).collect();
    Wanted { last: Some(RECALLED_LAST), words, ..Wanted::default() }
}

fn needed(command: &Usage, argument: &str) -> Result<String, CommandError> {
    if argument.trim().is_empty() { Err(CommandError::Incomplete(command.form)) } else { Ok(argument.to_owned()) }
}

/// To whom, and what; the text keeps its white space.
fn whispered(command: &Usage, argument: &str) -> Result<Typed, CommandError> {
    let (who, text) = argument.trim_start().split_once(char::is_whitespace).unwrap_or((argument, ""));
    needed(command, text).map(|text| Typed::Whisper(Whom::Called(who.to_owned()), text))
}

fn truncated(text: &str, bytes_max: usize) -> &str {
    text.split_at(text.floor_char_boundary(bytes_max)).0
}

fn unknown(name: &str) -> CommandError {
    let short = truncated(name, 32);
    let nearest = COMMANDS.iter().map(|command| (distance(short, command.name), command.name)).min();
    match nearest {
        Some((distance, near)) if distance <= 2 && distance < short.len() => {
            CommandError::Misspelled(short.to_owned(), near)
        }
        _ => CommandError::Unknown(short.to_owned()),
    }
}

/// How many letters to insert, remove or change to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(to.chars()) {
            left = (diagonal + usize::from(letter != other)).min(above + 1).min(left + 1);
            next.push(left);
            diagonal = *above;
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
