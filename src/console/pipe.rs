//! Piped text: read in large pieces, cut into says, passed on at the pace of the room.
//!
//! A say is handed over when the room takes it, so a full window stops the reading, and that stops
//! whoever writes into the pipe. Runs on the thread `input`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::atomic::Ordering;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::chunk::{Chunker, split_text};
use super::speaker::{Gone, Local, Speaker};
use crate::limits::SAY_TEXT_BYTES_MAX;
use crate::room::event::{Command, Said};

/// What is read at once: with one line in twenty bytes still one say, so that a full pipe does not
/// make a large and a tiny one by turns.
const READ_BYTES: usize = 60 * 1024;

/// Where stdin is opened again.
const STDIN: &str = "/proc/self/fd/0";

const _: () = assert!(READ_BYTES + READ_BYTES / 20 <= SAY_TEXT_BYTES_MAX + 32, "a read is one say");

/// Says what comes in until it ends, then tells the room so. A FIFO that is to be opened again has no end: whoever
/// writes to it next goes on.
pub(super) fn run(speaker: &Speaker, with_commands: bool, reopens: bool) {
    let mut feeder = Feeder { speaker, with_commands, goes_on: false, dropping: false };
    let mut outcome = feeder.feed_all(&mut io::stdin().lock());
    while outcome.is_ok() && reopens {
        outcome = match next_writer() {
            Ok(mut fifo) => feeder.feed_all(&mut fifo),
            Err(error) => {
                let _ = speaker.tell(Local::Failed(format!("stdin cannot be opened again: {error}")));
                break;
            }
        };
    }
    if outcome.is_ok() {
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

/// Whether stdin is a FIFO that has a name. One that a shell has made ends for good.
pub(super) fn is_fifo() -> bool {
    let is_fifo = fs::metadata(STDIN).is_ok_and(|about| about.file_type().is_fifo());
    is_fifo && fs::read_link(STDIN).is_ok_and(|path| path.is_absolute())
}

/// Opens the FIFO again, and waits until somebody writes to it. What is written between two readers stays in the FIFO, as
/// the first one, stdin, is never closed; and as no end was seen on the new one, the wait for a writer is no loop.
fn next_writer() -> io::Result<File> {
    let fifo = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(STDIN)?;
    while poll(&mut [PollFd::new(fifo.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE) == Err(Errno::EINTR) {}
    Ok(fifo)
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
