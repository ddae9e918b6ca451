//! `hobnob ticket`: which room it opens, and through which hosts.
//!
//! The own addresses stand first, all of them; then each `--host`, in its order. A contact brings its addresses
//! in turn with the other contacts, as many as a ticket has room for.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use crate::addr::PeerAddr;
use crate::args::{HostArg, TicketArgs};
use crate::contacts::Contact;
use crate::daemon::key_answering_at;
use crate::identity::{Id, IdentityError};
use crate::limits::TICKET_ADDRESSES_MAX;
use crate::private;
use crate::secret::RoomSecret;
use crate::ticket::{Host, Ticket};

use super::place::{self, Given, Meant, Shelf};
use super::{AccessError, all_contacts, contact, given, keep_key};

/// A ticket to be passed on.
#[derive(Debug)]
pub struct Offer {
    /// It; `None` where only a key was made.
    pub ticket: Option<Ticket>,
    /// Hosts of which the key was not given, and which key answers there.
    pub asked: Vec<(PeerAddr, Id)>,
}

/// Makes the key and the ticket that are asked for. `me` is called where own addresses are named.
pub fn offer(args: &TicketArgs, me: impl FnOnce() -> Result<Id, IdentityError>) -> Result<Offer, AccessError> {
    if let Some(path) = args.output.as_deref().filter(|path| fs::symlink_metadata(path).is_ok()) {
        return Err(AccessError::OldTicketFile { path: path.to_owned() });
    }
    let given = match &args.new_key {
        Some(_) => Given::Secret(RoomSecret::random()?),
        None => given(None, &args.place)?,
    };
    let Meant { room, secret, .. } = place::meant(&args.place, None, &[], given, &Shelf::default())?;
    let Hosts { named: hosts, asked } = hosts(args, &room, secret.as_ref(), me)?;
    let ticket = (!hosts.is_empty()).then(|| Ticket { hosts, room, secret: secret.clone() });
    ticket.as_ref().map_or(Ok(()), Ticket::check_hosts).map_err(AccessError::Hosts)?;
    if let (Some(path), Some(secret)) = (&args.new_key, &secret) {
        keep_key(path, secret)?;
    }
    Ok(Offer { ticket, asked })
}

/// The hosts that are named.
fn hosts(
    args: &TicketArgs,
    room: &str,
    secret: Option<&RoomSecret>,
    me: impl FnOnce() -> Result<Id, IdentityError>,
) -> Result<Hosts, AccessError> {
    let mut hosts = Hosts::default();
    if !args.addresses.is_empty() {
        let me = me().map_err(AccessError::Key)?;
        args.addresses.iter().for_each(|addr| hosts.add(me, addr));
    }
    let mut contacts = Vec::new();
    for host in &args.hosts {
        match host {
            HostArg::At(addr, Some(key)) => hosts.add(*key, addr),
            HostArg::At(addr, None) => {
                let key = key_answering_at(addr, room, secret)
                    .map_err(|error| AccessError::Unanswered { addr: addr.clone(), error })?;
                hosts.asked.push((addr.clone(), key));
                hosts.add(key, addr);
            }
            HostArg::Contact(who) => {
                let contact = contact(who, &all_contacts()?)?;
                hosts.begin(contact.id);
                contacts.push(contact);
            }
        }
    }
    hosts.add_contacts(&contacts);
    Ok(hosts)
}

/// Writes a ticket to a file that only its owner may read, and that was not there before.
pub fn write_to(path: &Path, ticket: &Ticket) -> Result<(), AccessError> {
    let line = Zeroizing::new([ticket.to_line().as_bytes(), b"\n"].concat());
    private::create(path, &line).map_err(|error| {
        let taken = error.is_taken();
        if taken { AccessError::OldTicketFile { path: path.to_owned() } } else { AccessError::TicketFile(error) }
    })
}

/// The hosts so far, each key once.
#[derive(Debug, Default)]
struct Hosts {
    named: Vec<Host>,
    /// See `Offer`.
    asked: Vec<(PeerAddr, Id)>,
}

impl Hosts {
    /// Keeps the place of a host whose addresses come later.
    fn begin(&mut self, id: Id) {
        if !self.named.iter().any(|host| host.id == id) {
            self.named.push(Host { id, addresses: Vec::new() });
        }
    }

    fn add(&mut self, id: Id, addr: &PeerAddr) {
        match self.named.iter_mut().find(|host| host.id == id) {
            Some(host) if host.addresses.contains(addr) => {}
            Some(host) => host.addresses.push(addr.clone()),
            None => self.named.push(Host { id, addresses: vec![addr.clone()] }),
        }
    }

    /// The first address of each, then the second of each, while there is room.
    fn add_contacts(&mut self, contacts: &[Contact]) {
        let depth = contacts.iter().map(|contact| contact.addresses.len()).max().unwrap_or_default();
        for place in 0..depth {
            for contact in contacts {
                let Some(addr) = contact.addresses.get(place).filter(|addr| !addr.host.contains('%')) else { continue };
                let is_named = self.named.iter().any(|host| host.addresses.contains(addr));
                let is_first = self.named.iter().any(|host| host.id == contact.id && host.addresses.is_empty());
                if !is_named && (is_first || self.count() < TICKET_ADDRESSES_MAX) {
                    self.add(contact.id, addr);
                }
            }
        }
    }

    fn count(&self) -> usize {
        self.named.iter().map(|host| host.addresses.len()).sum()
    }
}
