//! What is told beside the chat: who comes and goes, and what goes wrong.

use std::net::SocketAddr;

use super::{Printer, Shown};

use crate::console::filter::{filter, filter_name, push_filtered};
use crate::console::naming::Naming;
use crate::contacts::Refused;
use crate::identity::Id;
use crate::known::Changed;
use crate::room::event::{Event, NotHeard, Outcome, Peer, Person, Recovered, WaitsFor, private_messages};
use crate::room::names::start_of;
use crate::wire::end::End;

/// Something to tell. Each may have several lines.
#[derive(Debug)]
pub(super) enum Notice {
    /// Good to know.
    Note(String),
    /// To be looked at.
    Trouble(String),
    /// Not to be overlooked.
    Alarm(String),
}

impl Notice {
    /// Writes it: on a terminal set off from the chat by dashes, on stderr signed by the program.
    pub(super) fn push(&self, out: &mut String, terminal: bool, color: bool) {
        let (text, shade, edge) = match self {
            Notice::Note(text) => (text, "\x1b[2m", "--"),
            Notice::Trouble(text) => (text, "\x1b[33m", "--"),
            Notice::Alarm(text) => (text, "\x1b[1;31m", "!!"),
        };
        let single = !text.contains('\n');
        for line in text.split('\n') {
            if color {
                out.push_str(shade);
            }
            let framed = terminal || matches!(self, Notice::Note(_));
            out.push_str(match self {
                _ if framed && single => edge,
                _ if framed => "  ",
                Notice::Alarm(_) => "hobnob: WARNING:",
                _ => "hobnob:",
            });
            out.push(' ');
            push_filtered(out, line);
            if framed && single {
                out.push(' ');
                out.push_str(edge);
            }
            if color {
                out.push_str("\x1b[0m");
            }
            out.push('\n');
        }
    }
}

/// Ends of links that are part of a healthy room.
fn is_ordinary(end: End) -> bool {
    matches!(end, End::Goodbye | End::Duplicate | End::Surplus | End::Myself | End::Renew)
}

impl Printer {
    /// What to tell about an event, if anything.
    pub(super) fn notice_of(&mut self, event: &Event) -> Option<Notice> {
        match event {
            Event::Linked(_) | Event::Unlinked(..) => self.link_notice(event),
            Event::Joined { .. } | Event::Left { .. } | Event::Lost { .. } | Event::Renamed { .. } => {
                (!self.style.quiet).then(|| member_notice(event, self.me, &self.naming)).flatten().map(Notice::Note)
            }
            Event::Away { member, why } => {
                let myself = member.id == self.me;
                (myself || !self.style.quiet).then(|| Notice::Note(self.away(member, why.as_deref())))
            }
            Event::Looking { peers } => (!self.style.quiet).then(|| Notice::Note(looking(*peers))),
            Event::Unreached { peer, why } => Some(Notice::Trouble(format!("{peer} cannot be reached: {why}"))),
            Event::Clash { member, others, passing: false } => self.clash_notice(member, others),
            Event::Gap { from, missed } => {
                let told = if *missed == 1 { "1 message".to_owned() } else { format!("{missed} messages") };
                let verb = if *missed == 1 { "is" } else { "are" };
                Some(Notice::Trouble(format!("{told} of {} {verb} lost", self.naming.name(from))))
            }
            Event::Hub { .. } => {
                (!self.style.quiet).then(|| hub_notice(event, self.me, &self.naming)).flatten().map(Notice::Note)
            }
            Event::Heard { .. }
            | Event::Waiting { .. }
            | Event::Unheard { .. }
            | Event::Way { .. }
            | Event::Chatting(_)
            | Event::Pinged { .. }
            | Event::Traced { .. } => self.private_notice(event),
            Event::Recovered(recovered) => Some(Notice::Note(self.recovered(recovered))),
            Event::Forked(person) => Some(Notice::Trouble(format!(
                "{} (key {}) signed two different messages under one number: do not trust that key",
                self.naming.name(person),
                person.id.short()
            ))),
            Event::Undelivered { .. } => undelivered(event).map(Notice::Trouble),
            Event::Skipped { notices } => Some(Notice::Trouble(skipped(*notices))),
            Event::Warning(text) | Event::Refused(text) => Some(Notice::Trouble(text.clone())),
            // The first line of the run tells it.
            Event::Listening { .. }
            | Event::Clash { .. }
            | Event::Present(_)
            | Event::Delivered { .. }
            | Event::Said { .. }
            | Event::Whispered(_)
            | Event::Names(_)
            | Event::Recalled(_)
            | Event::Status(_) => None,
        }
    }

    fn away(&self, member: &Person, why: Option<&str>) -> String {
        let who = if member.id == self.me { "you are".to_owned() } else { format!("{} is", self.naming.name(member)) };
        match why {
            None => format!("{who} back"),
            Some("") => format!("{who} away"),
            Some(why) => format!("{who} away ({})", filter(why)),
        }
    }

    fn recovered(&self, recovered: &Recovered) -> String {
        let count = recovered.count;
        let (from, to) = (self.clock.minute(recovered.from), self.clock.minute(recovered.to));
        let when = if from == to { from } else { format!("{from} to {to}") };
        format!("{count} {} recovered, {when}", if count == 1 { "message" } else { "messages" })
    }

    /// What becomes of whispers.
    fn private_notice(&self, event: &Event) -> Option<Notice> {
        let name = |person: &Person| self.naming.name(person);
        let count = |ids: &[String]| private_messages(ids.len());
        Some(match event {
            Event::Heard { to, ids, since } => {
                let told = format!("delivered to {}", name(to));
                let is_late = !self.clock.is_today(*since);
                let when = if is_late { format!(", of {}", self.clock.minute(*since)) } else { String::new() };
                let many = if ids.len() > 1 { format!("{} ", count(ids)) } else { String::new() };
                return (!self.style.quiet).then(|| Notice::Note(format!("{many}{told}{when}")));
            }
            Event::Waiting { to, ids, why } => {
                let (who, what) = (name(to), count(ids));
                let verb = if ids.len() == 1 { "waits" } else { "wait" };
                Notice::Trouble(match why {
                    WaitsFor::Reader => format!("{who} is not here: {what} {verb} until you meet again, for a week"),
                    WaitsFor::Answer => format!(
                        "{who} does not answer: {what} {verb}, and {verb_again} sent again",
                        verb_again = if ids.len() == 1 { "is" } else { "are" }
                    ),
                    WaitsFor::Link => format!("no link: {what} to {who} {verb} until there is one"),
                })
            }
            Event::Unheard { to, ids, why } => {
                let told = format!(
                    "{} to {} {} not delivered",
                    count(ids),
                    name(to),
                    if ids.len() == 1 { "was" } else { "were" }
                );
                Notice::Trouble(match why {
                    NotHeard::Refused => format!("{told}: they take nothing private from you"),
                    NotHeard::TooOld => format!("{told} within a week, and given up"),
                    NotHeard::Ended => format!("{told}, and this run keeps none"),
                })
            }
            Event::Way { to, through: Some(carrier) } => {
                Notice::Note(format!("to {} through {}", name(to), name(carrier)))
            }
            Event::Way { to, through: None } => Notice::Note(format!("to {} directly now", name(to))),
            Event::Chatting(Some(with)) => Notice::Note(format!(
                "what you type goes to {} alone, until /end; /say TEXT says it to all",
                name(with)
            )),
            Event::Chatting(None) => Notice::Note("what you type goes to all again".to_owned()),
            Event::Pinged { who, took_ms: Some(took_ms), through } => {
                let way = through
                    .as_ref()
                    .map_or(", over a link".to_owned(), |carrier| format!(", through {}", name(carrier)));
                Notice::Note(format!("{} answers after {took_ms} ms{way}", name(who)))
            }
            Event::Pinged { who, took_ms: None, .. } => Notice::Trouble(format!("{} does not answer", name(who))),
            Event::Traced { who, path, .. } if path.is_empty() => {
                Notice::Trouble(format!("no way to {} answers", name(who)))
            }
            Event::Traced { path, took_ms, .. } => {
                let names: Vec<String> = path.iter().map(name).collect();
                let hops = path.len().saturating_sub(1);
                let links = if hops == 1 { "1 link".to_owned() } else { format!("{hops} links") };
                Notice::Note(format!("{}: {links}, {took_ms} ms there and back", names.join(" > ")))
            }
            _ => return None,
        })
    }

    /// Who looks like whom: good to know, and more than that where it is us.
    fn clash_notice(&self, member: &Person, others: &[Person]) -> Option<Notice> {
        let name = |person: &Person| self.naming.name(person);
        if let Some(me) = [member].into_iter().chain(others).find(|person| person.id == self.me) {
            let others = [member].into_iter().chain(others).filter(|person| person.id != self.me);
            let others: Vec<String> = others.map(name).collect();
            let told = format!("here you are {}, for others look like you: {}", name(me), others.join(", "));
            return Some(Notice::Trouble(told));
        }
        let others: Vec<String> = others.iter().map(name).collect();
        let told = format!("{} looks like {}: the start of the key tells them apart", name(member), others.join(", "));
        (!self.style.quiet).then_some(Notice::Note(told))
    }

    /// Is it connected? Told when the first link comes and when the last one goes; a mesh makes and
    /// drops others all the time.
    fn link_notice(&mut self, event: &Event) -> Option<Notice> {
        match event {
            Event::Linked(peer) => {
                self.links += 1;
                let told = self.links == 1 && !self.style.quiet;
                told.then(|| Notice::Note(format!("linked to {}", self.peer_name(peer))))
            }
            Event::Unlinked(peer, end) => {
                self.links = self.links.saturating_sub(1);
                if self.links == 0 {
                    Some(Notice::Trouble(format!("no link left: {} {}", self.peer_name(peer), told_end(*end))))
                } else if is_ordinary(*end) {
                    None
                } else {
                    log::info!("link to {} ended: {end}", self.peer_name(peer));
                    None
                }
            }
            _ => None,
        }
    }

    fn peer_name(&self, peer: &Peer) -> String {
        format!("{} at {}", self.naming.name(&peer.person), peer.addr)
    }
}

fn told_end(end: End) -> String {
    if end == End::Vanished { "is gone, the connection broke".to_owned() } else { format!("({})", end.text()) }
}

/// Who comes and goes; runs that end with their input do so untold.
fn member_notice(event: &Event, me: Id, naming: &Naming) -> Option<String> {
    let name = |person: &Person| naming.name(person);
    match event {
        Event::Joined { member, passing: false } => Some(format!("{} is here", name(member))),
        Event::Left { member, passing: false, why } if why.is_empty() => Some(format!("{} left", name(member))),
        Event::Left { member, passing: false, why } => Some(format!("{} left ({})", name(member), filter(why))),
        Event::Lost { member, passing: false } => Some(format!("{} is lost", name(member))),
        Event::Renamed { member, .. } if member.id == me => Some(format!("you are now called {}", name(member))),
        Event::Renamed { member, old } => {
            let old = name(&Person { id: member.id, nick: old.clone() });
            Some(format!("{old} is now called {}", name(member)))
        }
        _ => None,
    }
}

/// One word, for scripts.
pub(crate) fn waits_for(why: WaitsFor) -> &'static str {
    match why {
        WaitsFor::Reader => "away",
        WaitsFor::Answer => "no-answer",
        WaitsFor::Link => "no-link",
    }
}

/// One word, for scripts.
pub(crate) fn not_heard(why: NotHeard) -> &'static str {
    match why {
        NotHeard::Refused => "refused",
        NotHeard::TooOld => "too-old",
        NotHeard::Ended => "ended",
    }
}

/// Who is the hub, in one calm line.
fn hub_notice(event: &Event, me: Id, naming: &Naming) -> Option<String> {
    let Event::Hub { hub, myself, former, gone, .. } = event else { return None };
    let name = |person: &Person, myself| if myself { "you".to_owned() } else { naming.name(person) };
    let hub = name(hub, *myself);
    Some(match former.as_ref().map(|former| name(former, former.id == me)) {
        None => format!("hub: {hub}"),
        Some(former) if *gone => format!("hub: {former} is gone, {hub} took over, nothing lost"),
        Some(former) => format!("hub: {former} handed over to {hub}"),
    })
}

/// Whom a node looks for that was told nobody.
fn looking(peers: usize) -> String {
    format!("looking for {peers} {} known from before", if peers == 1 { "peer" } else { "peers" })
}

/// Why a run did not end well; one word for each exit code but 0.
pub(crate) fn undelivered(event: &Event) -> Option<String> {
    let Event::Undelivered { outcome, missing, posts, short } = event else { return None };
    let unsaid = if *posts == 0 { "nothing was said" } else { "what was read last was not said" };
    Some(match (outcome, short) {
        (Outcome::Refused, _) => format!("{unsaid}: every peer refused"),
        (Outcome::NoPeer, _) => format!("{unsaid}: no peer was linked"),
        (_, Some((have, of))) => format!("confirmed by {have} of the {of} that --confirm asks for"),
        _ if missing.is_empty() => "not all that was read is said and confirmed".to_owned(),
        _ => {
            let name = |person: &Person| format!("{} ({})", filter_name(person.nick.as_str()), person.id.short());
            format!("not confirmed by {}", missing.iter().map(name).collect::<Vec<_>>().join(", "))
        }
    })
}

/// Who look alike, for those who read no tags.
pub(crate) fn clash(members: &[&Person]) -> String {
    let names: Vec<String> =
        members.iter().map(|person| format!("{} ({})", filter_name(person.nick.as_str()), person.id.short())).collect();
    format!("these names look alike: {}", names.join(", "))
}

/// A nick with another key than before.
pub(crate) fn changed(Changed { member, former, last }: &Changed) -> String {
    let (now, before) = (start_of(&member.id, Some(&former.id)), start_of(&former.id, Some(&member.id)));
    let [name, old] = [member, former].map(|person| filter_name(person.nick.as_str()));
    let told = if member.nick == former.nick {
        format!("{name} has another key than before: it is {now}, and was {before} when last seen on {last}")
    } else {
        format!("{name} is not {old}: the key is {now}, and that of {old}, last seen on {last}, is {before}")
    };
    format!("{told}; unless you know why, take this for somebody else")
}

/// Somebody under the name of a verified contact.
pub(crate) fn refused(Refused { member, former }: &Refused) -> String {
    let (now, before) = (start_of(&member.id, Some(&former.id)), start_of(&former.id, Some(&member.id)));
    let [name, old] = [member, former].map(|person| filter_name(person.nick.as_str()));
    let told = if member.nick == former.nick {
        format!("{name} is not the {old} that you verified: the key is {now}, and not {before}")
    } else {
        format!("{name} looks like {old}, whom you verified, and has another key: {now}, and not {before}")
    };
    format!("{told}; it is refused, and nothing of it is shown; /unignore {name}#{now} shows it in this run")
}

/// What a slow reader missed.
pub(crate) fn skipped(notices: u64) -> String {
    format!("{notices} notices were skipped: this end reads too slowly")
}

impl Shown {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.chat.is_empty() && self.notices.is_empty()
    }
}

/// The first line of a run: who it is, in which room, and where it is reached.
pub(in crate::console) fn greeting(me: &Person, room: &str, closed: bool, listening: Option<SocketAddr>) -> String {
    let door = if closed { "closed" } else { "open" };
    let reached = listening.map_or("accepting no connections".to_owned(), |addr| format!("listening on {addr}"));
    format!("you are {} (your key: {}) in the {door} room {room}, {reached}", me.nick, me.id.short())
}
