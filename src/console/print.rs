//! From events to lines for people.
//!
//! Chat goes one way, notices another, or both the same where a terminal shows them in order. All
//! text of others comes through the filter here. Owned by the console's thread.

pub(super) mod answer;
pub(super) mod notice;
pub(super) mod people;
pub(super) mod rooms;

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use memchr::memchr_iter;
use unicode_width::UnicodeWidthStr;

use super::bell::{Bell, Ring};
use super::filter::{is_plain_lines, push_filtered};
use super::mention::Mention;
use super::naming::Naming;
use crate::contacts::{Contacts, Refused};
use crate::history::query::Found;
use crate::identity::Id;
use crate::known::Changed;
use crate::room::Wanted;
use crate::room::event::{Event, Member, Person, Status, Whisper};
use crate::ticket::Ticket;
use crate::wire::record::{Body, FeedId, Nick, Post};

/// What keeps others out of a room, for `/status`.
#[derive(Debug, Clone, Copy)]
pub struct Protection {
    /// It has a secret.
    pub secret: bool,
    /// Links are encrypted.
    pub encrypted: bool,
}

/// What is to be written, in order.
#[derive(Debug, Default)]
pub struct Shown {
    /// For stdout.
    pub chat: String,
    /// For stderr; unused where both go to one terminal.
    pub notices: String,
    /// The terminal's bell rings with the chat, once.
    pub bell: bool,
}

/// How to print for people.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Chat and notices go to one terminal, in order, whole lines only.
    pub together: bool,
    /// Use colours in the chat.
    pub color: bool,
    /// Do not tell who comes and goes.
    pub quiet: bool,
}

/// Prints events for people.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    me: Id,
    mention: Mention,
    bell: Bell,
    naming: Naming,
    clock: Clock,
    /// Whose line goes on, and to whom: the last thing written was a part of it.
    open: Option<((FeedId, Option<Id>), usize)>,
    /// Links up: told when the first comes and the last goes.
    links: usize,
}

impl Printer {
    /// A printer for this identity. It keeps the names of those who are here.
    pub fn new(style: Style, me: &Person, naming: Naming) -> Self {
        naming.insert(me);
        let (mention, bell) = (Mention::of(me), Bell::default());
        Self { style, me: me.id, mention, bell, naming, clock: Clock::new(), open: None, links: 0 }
    }

    /// Prints what happened. The answers to commands are asked for by `names` and `status`.
    pub fn event(&mut self, event: &Event, shown: &mut Shown) {
        self.naming.before(event);
        self.mention.follow(event);
        if let Event::Said { post, mine, backlog } = event {
            let dated = *backlog && !self.clock.is_today(post.at);
            let mentioned = self.said(post, dated, shown);
            if !mine && !backlog {
                self.ring(if mentioned { Ring::Private } else { Ring::Said }, shown);
            }
        } else if let Event::Whispered(whisper) = event {
            self.whispered(whisper, shown);
        } else if let Some(notice) = self.notice_of(event) {
            self.put(&notice, shown);
        }
        self.naming.after(event);
    }

    /// Tells one or several lines of this program's own making; they are filtered all the same.
    pub fn tell(&mut self, text: &str, shown: &mut Shown) {
        self.put(&notice::Notice::Note(text.to_owned()), shown);
    }

    /// Tells what went wrong here.
    pub fn complain(&mut self, text: &str, shown: &mut Shown) {
        self.put(&notice::Notice::Trouble(text.to_owned()), shown);
    }

    /// Warns of a nick that came with another key.
    pub fn warn(&mut self, changed: &Changed, shown: &mut Shown) {
        self.put(&notice::Notice::Alarm(notice::changed(changed)), shown);
    }

    /// Warns of somebody who came under the name of a verified contact.
    pub fn refuse(&mut self, refused: &Refused, shown: &mut Shown) {
        self.put(&notice::Notice::Alarm(notice::refused(refused)), shown);
    }

    /// Tells who is kept.
    pub fn contacts(&mut self, contacts: &Contacts, members: &[Member], shown: &mut Shown) {
        self.tell(&people::contacts(contacts, members), shown);
    }

    /// Tells who is here, or more about some of them.
    pub fn names(&mut self, members: &[Member], whois: Option<&str>, contacts: &Contacts, shown: &mut Shown) {
        let text = match whois {
            None => answer::names(members, contacts),
            Some(who) => answer::whois(members, who, contacts, &mut self.clock),
        };
        self.tell(&text, shown);
    }

    /// Tells how things are, or only who we are.
    pub fn status(&mut self, status: &Status, protection: Protection, only_me: bool, shown: &mut Shown) {
        let text = if only_me {
            answer::whoami(status, &self.naming)
        } else {
            answer::status(status, protection, &self.naming, &mut self.clock)
        };
        self.tell(&text, shown);
    }

    /// Tells a ticket, on a line of its own.
    pub fn ticket(&mut self, ticket: &Ticket, shown: &mut Shown) {
        let about = if ticket.secret.is_some() {
            "a ticket; whoever has it can join, so pass it on in private:"
        } else {
            "a ticket, for whoever is to join:"
        };
        self.tell(&format!("{about}\n{}", *ticket.to_line()), shown);
    }

    /// Stops or goes on telling who comes and goes; says which.
    pub fn toggle_quiet(&mut self, shown: &mut Shown) {
        self.style.quiet = !self.style.quiet;
        let told = if self.style.quiet { "no longer telling who comes and goes" } else { "telling who comes and goes" };
        self.tell(told, shown);
    }

    /// Sets the bell, where that is asked for; says when it rings.
    pub fn set_bell(&mut self, bell: Option<Bell>) -> &'static str {
        self.bell = bell.unwrap_or(self.bell);
        self.bell.told()
    }

    /// Rings for what somebody else has said just now, where somebody sits at a terminal and wants that.
    pub fn ring(&self, ring: Ring, shown: &mut Shown) {
        shown.bell |= self.style.together && self.bell.rings_for(ring);
    }

    /// Ends a line that its author left open.
    pub fn close_line(&mut self, shown: &mut Shown) {
        if self.open.take().is_some() && !self.style.together {
            shown.chat.push('\n');
        }
    }

    /// Tells what was asked for of the past.
    pub fn recalled(&mut self, wanted: &Wanted, found: &Found, me: &Nick, shown: &mut Shown) {
        self.tell(&answer::recalled(wanted, found, me.as_str()), shown);
        for post in &found.posts {
            self.earlier(post, shown);
        }
        self.close_line(shown);
    }

    /// Prints a message of the past, with its day.
    pub fn earlier(&mut self, post: &Post, shown: &mut Shown) {
        self.said(post, true, shown);
    }

    /// Returns whether it speaks of us, as far as anybody sees or hears that.
    fn said(&mut self, post: &Post, dated: bool, shown: &mut Shown) -> bool {
        let Body::Say { action, part, .. } = post.body else { return false };
        let text = post.text();
        let Style { together, color, .. } = self.style;
        let mentioned = (together || color) && post.feed.author != self.me && self.mention.find(&text, 0).is_some();
        let name = self.naming.name(&Person::of(post));
        let line = Line { source: (post.feed, None), name, at: post.at, action, part, dated };
        self.line(&line, &text, mentioned && color, shown);
        mentioned
    }

    /// Something private: who said it to whom is told.
    fn whispered(&mut self, whisper: &Whisper, shown: &mut Shown) {
        let name = |person: &Person| if person.id == self.me { "you".to_owned() } else { self.naming.name(person) };
        // A nick has no spaces, so nobody is called that.
        let name = format!("{} to {}", name(&whisper.from), name(&whisper.to));
        let Whisper { at, action, part, .. } = *whisper;
        let dated = !self.clock.is_today(at);
        let feed = FeedId { author: whisper.from.id, session: 0 };
        let line = Line { source: (feed, Some(whisper.to.id)), name, at, action, part, dated };
        self.line(&line, &whisper.text, false, shown);
        if !whisper.mine && !whisper.backlog {
            self.ring(Ring::Private, shown);
        }
    }

    fn line(&mut self, line: &Line, text: &str, marked: bool, shown: &mut Shown) {
        let Line { source, part, .. } = *line;
        let goes_on = self.open.filter(|(open, _)| *open == source);
        let indent = if let Some((_, indent)) = goes_on {
            if self.style.together {
                push_spaces(&mut shown.chat, indent);
            }
            indent
        } else {
            self.close_line(shown);
            self.push_prefix(line, &mut shown.chat)
        };
        push_lines(&mut shown.chat, text, indent, Some(&self.mention).filter(|_| marked));
        self.open = part.then_some((source, indent));
        if self.style.together || !part {
            shown.chat.push('\n');
        }
    }

    /// Writes time and name; returns the cells that they take.
    fn push_prefix(&mut self, line: &Line, out: &mut String) -> usize {
        let Line { name, at, .. } = line;
        let (before, behind) = if line.action { ("* ", " ") } else { ("", ": ") };
        let date = if line.dated { self.clock.date(*at) } else { String::new() };
        let time = self.clock.time(*at);
        let cells = date.len() + time.len() + 1 + before.len() + name.width() + behind.len();
        let _ = if self.style.color {
            let color = color_of(&line.source.0.author);
            write!(out, "\x1b[2m{date}{time}\x1b[0m {before}\x1b[1;{color}m{name}\x1b[0m{behind}")
        } else {
            write!(out, "{date}{time} {before}{name}{behind}")
        };
        cells
    }

    fn put(&mut self, notice: &notice::Notice, shown: &mut Shown) {
        if self.style.together {
            self.open = None;
            notice.push(&mut shown.chat, true, self.style.color);
        } else {
            notice.push(&mut shown.notices, false, false);
        }
    }
}

/// What stands before a text, and where it belongs.
#[derive(Debug)]
struct Line {
    /// Who said it, and to whom if that is one.
    source: (FeedId, Option<Id>),
    /// How that is told.
    name: String,
    at: u64,
    action: bool,
    /// The next one goes on with its last line.
    part: bool,
    /// Its day is told.
    dated: bool,
}

/// One of six colours that are readable on dark and light ground, the same for a key everywhere.
fn color_of(id: &Id) -> u8 {
    let [first, ..] = id.0;
    31 + first % 6
}

/// Writes lines, the second and further ones indented, with the nick marked where that is asked for.
fn push_lines(out: &mut String, text: &str, indent: usize, mark: Option<&Mention>) {
    let plain = is_plain_lines(text);
    out.reserve(text.len());
    let mut start = 0;
    for end in memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
        let line = text.get(start..end).unwrap_or_default();
        if start > 0 {
            out.push('\n');
            if !line.is_empty() {
                push_spaces(out, indent);
            }
        }
        if let Some(mention) = mark {
            push_marked(out, line, mention);
        } else if plain {
            out.push_str(line);
        } else {
            push_filtered(out, line);
        }
        start = end + 1;
    }
}

/// Writes a line in which the nick is bold and reverse. It is cut between whole characters, and each piece is filtered.
fn push_marked(out: &mut String, line: &str, mention: &Mention) {
    let mut from = 0;
    while let Some(nick) = mention.find(line, from) {
        push_filtered(out, line.get(from..nick.start).unwrap_or_default());
        out.push_str("\x1b[1;7m");
        push_filtered(out, line.get(nick.clone()).unwrap_or_default());
        out.push_str("\x1b[0m");
        from = nick.end;
    }
    push_filtered(out, line.get(from..).unwrap_or_default());
}

fn push_spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// Local wall-clock time. Keeps the last second's, as says come by the thousand in one.
#[derive(Debug)]
struct Clock {
    zone: TimeZone,
    second: u64,
    text: String,
}

impl Clock {
    fn new() -> Self {
        Self { zone: TimeZone::system(), second: u64::MAX, text: String::new() }
    }

    /// HH:MM:SS of milliseconds since 1970.
    fn time(&mut self, at: u64) -> &str {
        if self.second != at / 1_000 {
            self.second = at / 1_000;
            self.text = timestamp(at).to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
        }
        &self.text
    }

    fn is_today(&self, at: u64) -> bool {
        let [then, now] = [timestamp(at), Timestamp::now()].map(|at| at.to_zoned(self.zone.clone()).date());
        then == now
    }

    /// YYYY-MM-DD and a space.
    fn date(&self, at: u64) -> String {
        timestamp(at).to_zoned(self.zone.clone()).strftime("%Y-%m-%d ").to_string()
    }

    /// HH:MM, with the day where that is not today.
    fn minute(&self, at: u64) -> String {
        let form = if self.is_today(at) { "%H:%M" } else { "%Y-%m-%d %H:%M" };
        timestamp(at).to_zoned(self.zone.clone()).strftime(form).to_string()
    }
}

/// Milliseconds since 1970 as a time; what no calendar has becomes the last one that it has.
pub(super) fn timestamp(at: u64) -> Timestamp {
    i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX)
}
