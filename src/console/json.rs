//! From events to JSON lines: one object a line, always with "event" and "at". Nothing is filtered:
//! JSON has the exact text, and its strings carry no raw control characters. Pure, but for the time of
//! what happens now.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::mention::Mention;
use super::print::{self, Protection, answer, notice, timestamp};
use crate::contacts::{Contact, Contacts, Refused};
use crate::history::query::Found;
use crate::identity::Id;
use crate::known::Changed;
use crate::room::event::{Event, HubStatus, LinkStatus, Member, Peer, Person, Recovered, Status, Whisper};
use crate::ticket::{Host, Ticket};
use crate::wire::record::{Body, FeedId, Post};

/// Writes an event, where it has a JSON form; of a message it says whether it has the nick that is looked for.
/// Answers are asked for by `push_names` and `push_status`.
pub fn push_event(event: &Event, mention: &Mention, out: &mut String) {
    if let Event::Said { post, mine, backlog } = event {
        let mentioned = mention.is_in(post);
        push_say(post, *mine, *backlog, mentioned, out);
    } else if let Event::Whispered(whisper) = event {
        push_at("whisper", timestamp(whisper.at), &whispered(whisper), out);
    } else if let Some((name, fields)) = fields_of(event) {
        push(name, &fields, out);
    }
}

/// Writes something that this end tells: `notice` or `error`.
pub fn push_told(name: &str, text: &str, out: &mut String) {
    push(name, &json!({ "text": text }), out);
}

/// Writes the warning of a nick that came with another key.
pub fn push_changed(changed: &Changed, out: &mut String) {
    let fields = json!({
        "text": notice::changed(changed),
        "member": person(&changed.member),
        "former": person(&changed.former),
    });
    push("warning", &fields, out);
}

/// Writes the warning of somebody who came under the name of a verified contact.
pub fn push_refused(refused: &Refused, out: &mut String) {
    let fields = json!({
        "text": notice::refused(refused),
        "member": person(&refused.member),
        "former": person(&refused.former),
        "refused": true,
    });
    push("warning", &fields, out);
}

/// Writes the answer to `/contacts`.
pub fn push_contacts(contacts: &Contacts, out: &mut String) {
    let people: Vec<Value> = contacts.people().iter().map(|contact| listed(contact, contacts)).collect();
    let refused: Vec<Value> = contacts.refused().map(person).collect();
    push("contacts", &json!({ "contacts": people, "refused": refused }), out);
}

/// Writes the answer to `/verify`.
pub fn push_safety(member: &Person, number: &str, verified: bool, out: &mut String) {
    push("safety", &json!({ "member": person(member), "number": number, "verified": verified }), out);
}

/// Writes the answer to `/names`, or to `/whois` where only some are asked for.
pub fn push_names(members: &[Member], whois: Option<&str>, contacts: &Contacts, out: &mut String) {
    let asked = whois.map_or_else(|| members.iter().collect(), |who| answer::find(members, who));
    let members: Vec<Value> = asked.into_iter().map(|one| member(one, contacts)).collect();
    push("names", &json!({ "members": members }), out);
}

/// Writes the answer to `/status`.
pub fn push_status(status: &Status, protection: Protection, out: &mut String) {
    let dialling: Vec<Value> = status.dialling.iter().map(|(addr, why)| json!({ "addr": addr, "why": why })).collect();
    let links: Vec<Value> = status.links.iter().map(link).collect();
    let fields = json!({
        "room": status.room,
        "me": person(&status.me),
        "session": status.session,
        "secret": protection.secret,
        "encrypted": protection.encrypted,
        "listening": status.listening,
        "hub": status.hub.as_ref().map(hub),
        "links": links,
        "dialling": dialling,
        "members": status.members,
        "posts": status.posts,
        "log_bytes": status.log_bytes,
        "unconfirmed_bytes": status.unconfirmed_bytes,
    });
    push("status", &fields, out);
}

/// Writes the answer to `/history` and `/search`.
pub fn push_recalled(found: &Found, me: Id, out: &mut String) {
    let messages: Vec<Value> = found.posts.iter().map(|post| message(post, me)).collect();
    push("history", &json!({ "messages": messages, "partial": found.partial }), out);
}

/// Writes the answer to `/invite`.
pub fn push_ticket(ticket: &Ticket, out: &mut String) {
    let host = |host: &Host| {
        let addresses: Vec<String> = host.addresses.iter().map(ToString::to_string).collect();
        json!({ "id": host.id, "addresses": addresses })
    };
    let fields = json!({
        "ticket": *ticket.to_line(),
        "room": ticket.room,
        "hosts": ticket.hosts.iter().map(host).collect::<Vec<_>>(),
        "secret": ticket.secret.is_some(),
    });
    push("ticket", &fields, out);
}

fn fields_of(event: &Event) -> Option<(&'static str, Value)> {
    Some(match event {
        Event::Listening { addr, id, room } => ("listening", json!({ "addr": addr, "id": id, "room": room })),
        Event::Linked(other) => ("linked", json!({ "peer": peer(other) })),
        Event::Unlinked(other, end) => ("unlinked", json!({ "peer": peer(other), "reason": end.word() })),
        Event::Unreached { peer, why } => ("warning", json!({ "text": format!("{peer} cannot be reached: {why}") })),
        Event::Joined { member, passing } => ("joined", json!({ "member": person(member), "passing": passing })),
        Event::Left { member, passing, why } => {
            ("left", json!({ "member": person(member), "passing": passing, "why": why }))
        }
        Event::Lost { member, passing } => ("lost", json!({ "member": person(member), "passing": passing })),
        Event::Renamed { member, old } => ("renamed", json!({ "member": person(member), "old": old })),
        Event::Away { member, why: Some(why) } => ("away", json!({ "member": person(member), "why": why })),
        Event::Away { member, why: None } => ("back", json!({ "member": person(member) })),
        Event::Hub { hub, myself, since, epoch, links, former, gone } => (
            "hub",
            json!({
                "id": hub.id,
                "nick": hub.nick,
                "myself": myself,
                "since": time(timestamp(*since)),
                "epoch": epoch,
                "links": links,
                "former": former.as_ref().map(person),
                "gone": gone,
            }),
        ),
        Event::Gap { from, missed } => ("gap", json!({ "from": person(from), "missed": missed })),
        Event::Heard { to, ids, .. } => ("delivered", json!({ "id": ids.last(), "ids": ids, "to": person(to) })),
        Event::Waiting { to, ids, why } => {
            ("waiting", json!({ "ids": ids, "to": person(to), "why": notice::waits_for(*why) }))
        }
        Event::Unheard { to, ids, why } => {
            ("undelivered", json!({ "ids": ids, "to": person(to), "why": notice::not_heard(*why) }))
        }
        Event::Way { to, through } => ("way", json!({ "to": person(to), "through": through.as_ref().map(person) })),
        Event::Chatting(with) => ("chat", json!({ "with": with.as_ref().map(person) })),
        Event::Pinged { who, took_ms, through } => {
            ("pong", json!({ "from": person(who), "ms": took_ms, "through": through.as_ref().map(person) }))
        }
        Event::Traced { who, path, took_ms } => {
            let path: Vec<Value> = path.iter().map(person).collect();
            let hops = path.len().checked_sub(1);
            ("trace", json!({ "to": person(who), "path": path, "hops": hops, "ms": took_ms }))
        }
        Event::Recovered(Recovered { count, from, to }) => {
            let [from, to] = [from, to].map(|at| time(timestamp(*at)));
            ("recovered", json!({ "count": count, "from": from, "to": to }))
        }
        Event::Forked(author) => {
            let text = format!("the key {} signed two different messages under one number", author.id);
            ("warning", json!({ "text": text, "from": person(author) }))
        }
        Event::Clash { member, others, .. } => {
            let members: Vec<&Person> = [member].into_iter().chain(others).collect();
            let people: Vec<Value> = members.iter().map(|member| person(member)).collect();
            ("warning", json!({ "text": notice::clash(&members), "members": people }))
        }
        Event::Delivered { posts, members } => ("delivered", json!({ "posts": posts, "members": members })),
        Event::Undelivered { missing, .. } => {
            let people: Vec<Value> = missing.iter().map(person).collect();
            ("error", json!({ "text": notice::undelivered(event), "missing": people }))
        }
        Event::Skipped { notices } => ("warning", json!({ "text": notice::skipped(*notices) })),
        Event::Warning(text) => ("warning", json!({ "text": text })),
        Event::Refused(text) => ("error", json!({ "text": text })),
        Event::Said { .. }
        | Event::Whispered(_)
        | Event::Looking { .. }
        | Event::Present(_)
        | Event::Names(_)
        | Event::Recalled(_)
        | Event::Status(_) => return None,
    })
}

/// Something private; `at` says when, as in a say.
fn whispered(whisper: &Whisper) -> Value {
    let mut fields = json!({
        "id": whisper.id,
        "from": person(&whisper.from),
        "to": person(&whisper.to),
        "text": whisper.text,
        "mine": whisper.mine,
        "backlog": whisper.backlog,
    });
    for (name, set) in [("action", whisper.action), ("part", whisper.part)] {
        if let (true, Some(fields)) = (set, fields.as_object_mut()) {
            fields.insert(name.to_owned(), true.into());
        }
    }
    fields
}

fn person(person: &Person) -> Value {
    json!({ "id": person.id, "nick": person.nick })
}

fn peer(peer: &Peer) -> Value {
    json!({ "id": peer.person.id, "nick": peer.person.nick, "addr": peer.addr })
}

fn listed(contact: &Contact, contacts: &Contacts) -> Value {
    json!({
        "id": contact.id,
        "nick": contact.nick,
        "addresses": contact.addresses,
        "last_seen": contact.last_seen,
        "here": contacts.is_here(&contact.id),
        "verified": contact.verified,
        "ignored": contact.ignored,
        "contact": contact.contact,
    })
}

fn member(member: &Member, contacts: &Contacts) -> Value {
    let standing = contacts.standing(&member.person.id);
    json!({
        "id": member.person.id,
        "nick": member.person.nick,
        "myself": member.myself,
        "sessions": member.sessions,
        "passing": member.passing,
        "addresses": member.addresses,
        "linked": member.linked,
        "through": member.through.as_ref().map(person),
        "since": time(timestamp(member.since)),
        "away": member.away,
        "contact": standing.contact,
        "verified": standing.verified,
        "ignored": standing.ignored,
        "refused": standing.refused,
    })
}

fn message(post: &Post, me: Id) -> Value {
    let FeedId { author, session } = post.feed;
    let Body::Say { action, part, .. } = post.body else { return Value::Null };
    json!({
        "id": format!("{author}/{session}/{}", post.number),
        "at": time(timestamp(post.at)),
        "from": person(&Person::of(post)),
        "text": post.text(),
        "mine": author == me,
        "action": action,
        "part": part,
    })
}

fn hub(hub: &HubStatus) -> Value {
    json!({
        "hub": hub.person.as_ref().map(person),
        "myself": hub.myself,
        "reached": hub.reached,
        "since": time(timestamp(hub.since)),
        "epoch": hub.epoch,
        "links": hub.links,
    })
}

fn link(link: &LinkStatus) -> Value {
    json!({
        "peer": peer(&link.peer),
        "dialled": link.dialled,
        "since": time(timestamp(link.since)),
        "queued_bytes": link.queued_bytes,
    })
}

/// RFC 3339 in UTC, with milliseconds.
fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Writes `{"event":…,"at":…` and the fields of an object.
fn push(name: &str, fields: &Value, out: &mut String) {
    push_at(name, Timestamp::now(), fields, out);
}

fn push_at(name: &str, at: Timestamp, fields: &Value, out: &mut String) {
    let fields = fields.to_string();
    let fields = fields.strip_prefix('{').filter(|rest| *rest != "}").map_or("}".to_owned(), |rest| format!(",{rest}"));
    let _ = writeln!(out, r#"{{"event":"{name}","at":"{at:.3}"{fields}"#);
}

/// A say, by hand: its text stands in the frame as JSON already.
pub(super) fn push_say(post: &Post, mine: bool, backlog: bool, mentioned: bool, out: &mut String) {
    let Body::Say { text, action, part } = &post.body else { return };
    let text = post.frame.get(text.clone()).and_then(|json| std::str::from_utf8(json).ok()).unwrap_or(r#""""#);
    let author = post.feed.author;
    out.reserve(text.len() + 384);
    let _ = write!(
        out,
        r#"{{"event":"say","at":"{:.3}","id":"{author}/{}/{}","from":{{"id":"{author}","nick":{}}},"text":{text},"mine":{mine},"backlog":{backlog}"#,
        print::timestamp(post.at),
        post.feed.session,
        post.number,
        string(post.nick.as_str()),
    );
    for (name, set) in [("action", *action), ("part", *part), ("mention", mentioned)] {
        if set {
            let _ = write!(out, r#","{name}":true"#);
        }
    }
    out.push_str("}\n");
}

fn string(text: impl Serialize) -> String {
    serde_json::to_string(&text).unwrap_or_default()
}
