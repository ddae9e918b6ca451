//! Piped text: read in large pieces, cut into says, passed on at the pace of the room.
//!
//! A say is handed over when the room takes it, so a full window stops the reading, and that stops
//! whoever writes into the pipe. Runs on the thread `input`.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::chunk::{Chunker, split_text};
use super::speaker::{Gone, Local, Speaker};
use crate::limits::SAY_TEXT_BYTES_MAX;
use crate::room::event::{Command, Said};

/// What is read at once: with one line in twenty bytes still one say, so that a full pipe does not
/// make a large and a tiny one by turns.
const READ_BYTES: usize = 60 * 1024;

const _: () = assert!(READ_BYTES + READ_BYTES / 20 <= SAY_TEXT_BYTES_MAX + 32, "a read is one say");

/// Says what comes in until it ends, then tells the room so.
pub(super) fn run(speaker: &Speaker, with_commands: bool) {
    let mut source = io::stdin().lock();
    let mut feeder = Feeder { speaker, with_commands, goes_on: false, dropping: false };
    if feeder.feed_all(&mut source).is_ok() {
        let _ = speaker.commands.send(Command::EndOfInput);
    }
}

/// Says these, each as one message, then tells the room that there are no more.
pub(super) fn say(speaker: &Speaker, messages: &[String]) {
    let mut says = messages.iter().flat_map(|message| split_text(message));
    if says.try_for_each(|said| speaker.say_plain(said)).is_ok() {
        let _ = speaker.commands.send(Command::EndOfInput);
    }
}

struct Feeder<'a> {
    speaker: &'a Speaker,
    with_commands: bool,
    /// The last say was a part, so the next one does not begin a line.
    goes_on: bool,
    /// The line that goes on is a command too long to be done.
    dropping: bool,
}

impl Feeder<'_> {
    fn feed_all(&mut self, source: &mut (impl Read + AsFd)) -> Result<(), Gone> {
        let mut chunker = Chunker::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let count = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Whoever shares our stdin may have set it so.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(source.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
                    continue;
                }
                Err(error) => {
                    self.speaker.tell(Local::Failed(format!("stdin cannot be read: {error}")))?;
                    break;
                }
            };
            self.is_in_hand(true);
            self.pass_on(chunker.feed(buffer.get(..count).unwrap_or_default()))?;
            self.is_in_hand(!chunker.is_empty());
        }
        self.pass_on(chunker.finish())?;
        self.is_in_hand(false);
        Ok(())
    }

    /// A run that is ended by a signal is not done while something that was read waits here.
    fn is_in_hand(&self, waits: bool) {
        if let Some(pipe) = &self.speaker.pipe {
            pipe.in_hand.store(waits, Ordering::SeqCst);
        }
    }

    fn pass_on(&mut self, says: Vec<Said>) -> Result<(), Gone> {
        says.into_iter().try_for_each(|said| {
            let begun = std::mem::replace(&mut self.goes_on, said.part);
            if self.with_commands { self.obey(&said, begun) } else { self.speaker.say_plain(said) }
        })
    }

    /// Says the lines of a say up to a command, does that, and goes on behind it. `begun`: the first
    /// line began in the say before.
    fn obey(&mut self, said: &Said, begun: bool) -> Result<(), Gone> {
        let count = said.text.split('\n').count();
        let mut waiting: Vec<&str> = Vec::new();
        for (index, line) in said.text.split('\n').enumerate() {
            let (begins, ends) = (!(begun && index == 0), !(said.part && index + 1 == count));
            if !begins && self.dropping {
                self.dropping = !ends;
            } else if begins && !ends && line.starts_with('/') {
                // `//x` says `/x`. Anything else is not to be said: it may be private.
                if let Some(text) = line.strip_prefix('/').filter(|text| text.starts_with('/')) {
                    waiting.push(text);
                } else {
                    self.dropping = true;
                    let start: String =
                        line.split(char::is_whitespace).next().unwrap_or_default().chars().take(16).collect();
                    self.speaker.tell(Local::Trouble(format!(
                        "{start}: a command of more than {} KiB as encoded is not done",
                        SAY_TEXT_BYTES_MAX / 1024
                    )))?;
                    self.speaker.undone()?;
                }
            } else if begins && ends && line.starts_with('/') {
                self.say_lines(&mut waiting, false)?;
                self.speaker.line(line)?;
            } else {
                waiting.push(line);
            }
        }
        self.say_lines(&mut waiting, said.part && !self.dropping)
    }

    fn say_lines(&self, lines: &mut Vec<&str>, part: bool) -> Result<(), Gone> {
        if lines.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(lines).join("\n");
        self.speaker.say_plain(Said { text, part, ..Said::default() })
    }
}
