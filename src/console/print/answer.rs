//! The answers to `/names`, `/whois`, `/whoami` and `/status`, for people. Names are filtered again
//! where they are printed.

use super::{Clock, display_name};
use crate::room::event::{Member, Person, Status};

/// Who is here, on one line.
pub(super) fn names(members: &[Member]) -> String {
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
        let name = display_name(&member.person);
        if about.is_empty() { name } else { format!("{name} ({})", about.join(", ")) }
    };
    let names: Vec<String> = members.iter().map(told).collect();
    format!("{} here: {}", members.len(), names.join(", "))
}

/// More about those who are called `who`, or whose key begins so.
pub(super) fn whois(members: &[Member], who: &str, clock: &mut Clock) -> String {
    let found: Vec<String> =
        members.iter().filter(|member| matches(member, who)).map(|member| about(member, clock)).collect();
    if found.is_empty() { format!("nobody here is called {who}, and nobody's key begins so") } else { found.join("\n") }
}

/// Whether a member is meant: by nick, or by at least four digits of the key.
pub(crate) fn matches(member: &Member, who: &str) -> bool {
    let Person { id, nick } = &member.person;
    nick.as_str() == who || (who.len() >= 4 && id.to_string().starts_with(&who.to_ascii_lowercase()))
}

fn about(member: &Member, clock: &mut Clock) -> String {
    let addresses: Vec<String> = member.addresses.iter().map(ToString::to_string).collect();
    let mut told = vec![format!("key {}", member.person.id), format!("here since {}", clock.time(member.since))];
    if member.myself {
        told.push("you".to_owned());
    } else {
        told.push(if member.linked { "linked to you" } else { "reached through others" }.to_owned());
    }
    if !addresses.is_empty() {
        told.push(format!("at {}", addresses.join(" ")));
    }
    format!("{}: {}", display_name(&member.person), told.join(", "))
}

/// Who we are.
pub(super) fn whoami(status: &Status) -> String {
    format!("{}, key {}", display_name(&status.me), status.me.id)
}

/// How things are.
pub(super) fn status(status: &Status, clock: &mut Clock) -> String {
    let listening = status.listening.map_or("not listening".to_owned(), |addr| format!("listening on {addr}"));
    let mut lines = vec![
        format!("room {}, {} members; {}", status.room, status.members, whoami(status)),
        format!("{listening}; {} messages kept, {} KiB", status.posts, status.log_bytes / 1024),
    ];
    if status.unconfirmed_bytes > 0 {
        lines.push(format!("{} bytes not yet confirmed by all", status.unconfirmed_bytes));
    }
    for link in &status.links {
        let way = if link.dialled { "dialled" } else { "accepted" };
        let (name, addr) = (display_name(&link.peer.person), link.peer.addr);
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
