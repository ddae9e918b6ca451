//! The answers to `/names`, `/whois`, `/whoami` and `/status`, for people. Names are filtered again
//! where they are printed.

use super::{Clock, Protection};
use crate::console::filter::filter;
use crate::console::naming::{Naming, shown};
use crate::contacts::Contacts;
use crate::history::query::Found;
use crate::identity::Id;
use crate::room::Wanted;
use crate::room::event::{HubStatus, Member, Status};
use crate::room::names::Names;

/// Who is here, on one line.
pub(super) fn names(members: &[Member], contacts: &Contacts) -> String {
    let among = names_of(members);
    let told = |member: &Member| {
        let mut about = Vec::new();
        if member.myself {
            about.push("you".to_owned());
        }
        if member.sessions > 1 {
            about.push(format!("{} sessions", member.sessions));
        }
        if member.passing {
            about.push("passing".to_owned());
        }
        about.extend(away(member));
        let standing = contacts.standing(&member.person.id);
        let shut_out = [(standing.ignored, "ignored"), (standing.refused, "refused")];
        about.extend(shut_out.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word.to_owned()));
        let name = shown(&among, &member.person);
        if about.is_empty() { name } else { format!("{name} ({})", about.join(", ")) }
    };
    let names: Vec<String> = members.iter().map(told).collect();
    format!("{} here: {}", members.len(), names.join(", "))
}

/// More about those who may be meant by `who`.
pub(super) fn whois(members: &[Member], who: &str, contacts: &Contacts, clock: &mut Clock) -> String {
    let among = names_of(members);
    let found = find(members, who);
    let mut lines: Vec<String> = match found.len() {
        0 => return format!("nobody here is called {who}, and nobody's key begins so"),
        1 => Vec::new(),
        count => vec![format!("{who} may be any of these {count}; with its tag, as in NICK#KEY, a name means one")],
    };
    lines.extend(found.into_iter().map(|member| about(member, &among, contacts, clock)));
    lines.join("\n")
}

/// The members who may be meant by a nick, the start of a key, or both with a # between.
pub(crate) fn find<'a>(members: &'a [Member], who: &str) -> Vec<&'a Member> {
    let among = names_of(members);
    let found: Vec<Id> = among.find(who).into_iter().map(|person| person.id).collect();
    members.iter().filter(|member| found.contains(&member.person.id)).collect()
}

/// That somebody is away, and why.
fn away(member: &Member) -> Option<String> {
    let why = member.away.as_ref()?;
    Some(if why.is_empty() { "away".to_owned() } else { format!("away: {}", filter(why)) })
}

fn names_of(members: &[Member]) -> Names {
    members.iter().map(|member| &member.person).collect()
}

fn about(member: &Member, among: &Names, contacts: &Contacts, clock: &mut Clock) -> String {
    let addresses: Vec<String> = member.addresses.iter().map(ToString::to_string).collect();
    let mut told = vec![format!("key {}", member.person.id), format!("here since {}", clock.time(member.since))];
    if member.myself {
        told.push("you".to_owned());
    } else {
        told.push(match &member.through {
            _ if member.linked => "linked to you".to_owned(),
            Some(carrier) => format!("reached through {}", shown(among, carrier)),
            None => "reached through others".to_owned(),
        });
    }
    told.extend(away(member));
    if !addresses.is_empty() {
        told.push(format!("at {}", addresses.join(" ")));
    }
    told.extend(contacts.standing(&member.person.id).words().map(ToOwned::to_owned));
    format!("{}: {}", shown(among, &member.person), told.join(", "))
}

/// What follows, of what was said earlier.
pub(super) fn recalled(wanted: &Wanted, found: &Found, me: &str) -> String {
    let messages = match found.posts.len() {
        // Each nick has a history of its own.
        0 if wanted.words.is_empty() && wanted.since.is_none() => format!("{me} has seen no messages in this room yet"),
        0 => "no earlier messages".to_owned(),
        1 => "1 earlier message".to_owned(),
        count => format!("{count} earlier messages"),
    };
    let mut told =
        vec![if wanted.words.is_empty() { messages } else { format!("{messages} with {}", wanted.words.join(" ")) }];
    if found.partial {
        told.push("what is far back was not searched, hobnob history does that".to_owned());
    }
    if found.damaged > 0 {
        told.push(format!("{} damaged lines were skipped", found.damaged));
    }
    told.join("; ")
}

/// Who we are.
pub(super) fn whoami(status: &Status, naming: &Naming) -> String {
    format!("{}, key {}", naming.name(&status.me), status.me.id)
}

/// Who is the hub.
fn hub_line(hub: &HubStatus, naming: &Naming, clock: &mut Clock) -> String {
    let name = match &hub.person {
        _ if hub.myself => "you".to_owned(),
        Some(person) => naming.name(person),
        None => "somebody who is not here yet".to_owned(),
    };
    let reached = if hub.reached { String::new() } else { ", not reached from here".to_owned() };
    let since = clock.time(hub.since);
    format!("hub: {name} since {since}, epoch {}, {} links{reached}", hub.epoch, hub.links)
}

/// How things are.
pub(super) fn status(status: &Status, protection: Protection, naming: &Naming, clock: &mut Clock) -> String {
    let door = if protection.secret { "closed with a secret" } else { "open" };
    let wires = if protection.encrypted { "encrypted" } else { "not encrypted" };
    let listening = status.listening.map_or("not listening".to_owned(), |addr| format!("listening on {addr}"));
    let mut lines = vec![
        format!("room {}, {} members; {}", status.room, status.members, whoami(status, naming)),
        format!("the room is {door}; links are {wires}"),
        format!("{listening}; {} messages kept, {} KiB", status.posts, status.log_bytes / 1024),
    ];
    lines.extend(status.hub.as_ref().map(|hub| hub_line(hub, naming, clock)));
    if status.unconfirmed_bytes > 0 {
        lines.push(format!("{} bytes not yet confirmed by all", status.unconfirmed_bytes));
    }
    for link in &status.links {
        let way = if link.dialled { "dialled" } else { "accepted" };
        let (name, addr) = (naming.name(&link.peer.person), link.peer.addr);
        let since = clock.time(link.since).to_owned();
        lines.push(format!("link to {name} at {addr}, {way} at {since}, {} bytes waiting", link.queued_bytes));
    }
    if status.links.is_empty() {
        lines.push("no links".to_owned());
    }
    for (addr, why) in &status.dialling {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        lines.push(format!("dialling {addr}{why}"));
    }
    lines.join("\n")
}
