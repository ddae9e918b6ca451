//! What `hobnob rooms` writes. No secret is among it.

use jiff::tz::TimeZone;
use serde_json::json;

use super::people::{columns, minute};
use crate::console::filter::filter;
use crate::rooms::{KnownHost, Remembered, Rooms};

/// All remembered rooms, a line for each: name, open or closed, when it was used last, its hosts.
pub fn list(rooms: &Rooms) -> String {
    let zone = TimeZone::system();
    let row = |known: &Remembered| {
        let door = if known.key.is_some() { "closed" } else { "open" };
        let used = minute(known.last_used, &zone).replace(' ', "T");
        let hosts: Vec<String> = known.hosts.iter().map(|host| filter(&host.addr.to_string())).collect();
        [filter(&rooms.label_of(known)), door.to_owned(), used, hosts.join(" ")]
    };
    columns(&rooms.iter().map(row).collect::<Vec<_>>())
}

/// The same as JSON, one object a line.
pub fn json(rooms: &Rooms) -> String {
    let host = |host: &KnownHost| json!({ "addr": host.addr, "id": host.id });
    let line = |known: &Remembered| {
        let hosts: Vec<_> = known.hosts.iter().map(host).collect();
        let room = json!({
            "room": known.room,
            "name": rooms.label_of(known),
            "closed": known.key.is_some(),
            "last_used": known.last_used,
            "hosts": hosts,
        });
        format!("{room}\n")
    };
    rooms.iter().map(line).collect()
}
