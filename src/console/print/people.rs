//! The answers to `/contacts` and `/verify`, and what `hobnob contacts` writes. Names are filtered again where they
//! are printed.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use unicode_width::UnicodeWidthStr;

use crate::console::filter::{filter, filter_name};
use crate::console::naming::shown;
use crate::console::print::push_spaces;
use crate::contacts::{Contact, Contacts};
use crate::room::event::{Member, Person};
use crate::room::names::Names;

/// Who is kept, a line for each: those who are here first.
pub(super) fn contacts(contacts: &Contacts, members: &[Member]) -> String {
    let kept: Vec<Person> = contacts.people().iter().map(Contact::person).collect();
    let among: Names =
        kept.iter().chain(contacts.refused()).chain(members.iter().map(|member| &member.person)).collect();
    let zone = TimeZone::system();
    let (here, away): (Vec<&Contact>, Vec<&Contact>) =
        contacts.people().iter().partition(|contact| contacts.is_here(&contact.id));
    let count = contacts.people().iter().filter(|contact| contact.contact).count();
    let head = format!("{count} {}, {} here", if count == 1 { "contact" } else { "contacts" }, here.len());
    let mut lines = vec![head];
    for contact in here.into_iter().chain(away) {
        let called = members.iter().map(|member| &member.person).find(|person| person.id == contact.id);
        lines.push(about(contact, called, contacts.is_here(&contact.id), &among, &zone));
    }
    let refused: Vec<String> = contacts.refused().map(|person| shown(&among, person)).collect();
    if !refused.is_empty() {
        lines.push(format!("refused in this run: {}", refused.join(", ")));
    }
    lines.join("\n")
}

fn about(contact: &Contact, called: Option<&Person>, here: bool, among: &Names, zone: &TimeZone) -> String {
    let mut told = Vec::new();
    if here {
        told.push("here".to_owned());
    } else if let Some(last) = contact.last_seen {
        told.push(format!("last seen {}", minute(last, zone)));
    } else if contact.contact {
        told.push("not seen yet".to_owned());
    }
    told.extend(marks(contact).into_iter().map(ToOwned::to_owned));
    told.push(format!("key {}", contact.id.short()));
    if !contact.addresses.is_empty() {
        told.push(format!("at {}", addresses(contact)));
    }
    let mut name = shown(among, &contact.person());
    if let Some(now) = called.filter(|person| person.nick != contact.nick) {
        name = format!("{name}, now {}", shown(among, now));
    }
    format!("{name}: {}", told.join(", "))
}

fn marks(contact: &Contact) -> Vec<&'static str> {
    let marks = [(contact.verified, "verified"), (contact.ignored, "ignored")];
    marks.into_iter().filter_map(|(is_so, word)| is_so.then_some(word)).collect()
}

fn addresses(contact: &Contact) -> String {
    let addresses: Vec<String> = contact.addresses.iter().map(|addr| filter(&addr.to_string())).collect();
    addresses.join(" ")
}

pub(super) fn minute(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The number that two people compare.
pub(in crate::console) fn safety(name: &str, number: &str, verified: bool) -> String {
    let words: Vec<&str> = number.split(' ').collect();
    let (first, second) = words.split_at(words.len() / 2);
    let (first, second) = (first.join(" "), second.join(" "));
    let head = format!("the safety number of you and {name}{}", if verified { ", who is verified" } else { "" });
    let tail = if verified {
        format!("/verify {name} no takes that back")
    } else {
        format!("read it to each other, not through this chat; where both have the same, /verify {name} ok")
    };
    format!("{head}:\n  {first}\n  {second}\n{tail}")
}

/// Everybody in the file, a line for each: nick, start of the key, what it is to us, when it was seen last, addresses.
pub fn list(people: &[Contact]) -> String {
    let zone = TimeZone::system();
    columns(&people.iter().map(|contact| row(contact, &zone)).collect::<Vec<_>>())
}

/// Rows as lines, each column as wide as its widest cell.
pub(super) fn columns<const COUNT: usize>(rows: &[[String; COUNT]]) -> String {
    let mut widths = [0; COUNT];
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = cell.width().max(*widest);
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            push_spaces(&mut line, width + 2 - cell.width());
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn row(contact: &Contact, zone: &TimeZone) -> [String; 5] {
    let mut marks = marks(contact);
    if !contact.contact {
        marks.push("no-contact");
    }
    let marks = if marks.is_empty() { "-".to_owned() } else { marks.join(",") };
    let seen = contact.last_seen.map_or("-".to_owned(), |last| minute(last, zone).replace(' ', "T"));
    [filter_name(contact.nick.as_str()), contact.id.short(), marks, seen, addresses(contact)]
}

/// The same as JSON, one object a line.
pub fn json(people: &[Contact]) -> String {
    let mut out = String::new();
    for line in people.iter().filter_map(|contact| serde_json::to_string(contact).ok()) {
        out.push_str(&line);
        out.push('\n');
    }
    out
}
