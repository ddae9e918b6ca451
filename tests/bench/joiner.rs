//! A member of a hobnob room, as light as can be: it joins, and counts the joins that come.

use std::net::{IpAddr, Ipv4Addr, TcpStream};

use hobnob::identity::Identity;
use hobnob::wire::Frame;
use hobnob::wire::frame::{Ending, MESSAGE_END};
use hobnob::wire::record::{Control, Domain, Draft, FeedId, Header, Hello, Mode, Nick, Post, Record, VERSION, is_post};
use memchr::memmem::Finder;

use crate::crowd::{Desk, Member};
use crate::failure::Failure;
use crate::hobnob::ROOM;
use crate::light::{Keys, Light};
use crate::link::{SESSION, reply, wall_ms, wrong};

/// Within so many bytes a post says which number it has.
const POST_HEAD_BYTES: usize = 192;

/// What all who join share: the keys of their links, and what is made once.
pub(crate) struct Party {
    keys: Keys,
    domain: Domain,
    /// Finds the first post of a feed, which is its join.
    first: Finder<'static>,
}

impl Party {
    /// Of those who join the room of those who name none.
    pub(crate) fn new() -> Result<Self, Failure> {
        let first = Finder::new(br#","number":1,"at":"#);
        Ok(Self { keys: Keys::new()?, domain: Domain::of_room(ROOM), first })
    }
}

/// Who is going to join, with what can be made beforehand: its key and its post.
#[derive(Debug)]
pub(crate) struct Guest {
    identity: Identity,
    nick: Nick,
    join: Frame,
}

impl Guest {
    /// Somebody new.
    pub(crate) fn new(index: usize) -> Result<Self, Failure> {
        let identity = Identity::ephemeral().map_err(wrong)?;
        let nick = Nick::new(&format!("guest-{index}")).map_err(wrong)?;
        let feed = FeedId { author: identity.id(), session: SESSION };
        let header = Header { feed, number: 1, at: wall_ms(), nick: &nick, ack: false };
        let draft = Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None };
        let join = Post::encode(&header, &draft, &Domain::of_room(ROOM), &identity);
        Ok(Self { identity, nick, join: join.frame })
    }
}

/// Somebody who joins, or has joined.
pub(crate) struct Joiner {
    link: Light,
    /// Its own post, until it may be sent.
    join: Option<Frame>,
    joins: usize,
    first: Finder<'static>,
}

impl Joiner {
    /// Links to a node, up to its hello. It asks for all there is.
    pub(crate) fn enter(port: u16, guest: &Guest, party: &Party, desk: &mut Desk) -> Result<Self, Failure> {
        let mut link = Light::dial(port, &party.keys)?;
        let mut is_greeted = false;
        while !is_greeted {
            link.read(desk, |frame| is_greeted |= frame.starts_with(br#"{"type":"hello","#))?;
        }
        let hello = Hello {
            version: VERSION,
            id: guest.identity.id(),
            session: SESSION,
            room: ROOM.to_owned(),
            mode: Mode::Mesh,
            nick: guest.nick.clone(),
            seen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            listens: false,
            time: wall_ms(),
            proof: Some(link.channel().prove(&party.domain, &guest.identity)),
        };
        link.stop_waiting()?;
        link.send(&[Control::Hello(hello).encode(), Control::All {}.encode(), Control::Done {}.encode()])?;
        Ok(Self { link, join: Some(guest.join.clone()), joins: 0, first: party.first.clone() })
    }

    fn take(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let whole = [frame, MESSAGE_END].concat();
        let replies = match Record::decode(&whole, Ending::Message).map_err(wrong)? {
            Record::Control(Control::Done {}) => self.join.take().into_iter().collect(),
            Record::Control(control) => reply(&control),
            Record::Ack(_) => Vec::new(),
        };
        if replies.is_empty() { Ok(()) } else { self.link.send(&replies) }
    }
}

impl Member for Joiner {
    fn socket(&self) -> &TcpStream {
        self.link.socket()
    }

    fn hear(&mut self, desk: &mut Desk) -> Result<usize, Failure> {
        loop {
            let mut controls = Vec::new();
            let Self { link, first, joins, .. } = self;
            let is_more = link.read(desk, |frame| {
                if is_post(frame) {
                    let head = frame.get(..POST_HEAD_BYTES).unwrap_or(frame);
                    *joins += usize::from(first.find(head).is_some());
                } else if !frame.starts_with(br#"{"type":"have","#) {
                    controls.push(frame.to_vec());
                }
            })?;
            for frame in controls {
                self.take(&frame)?;
            }
            if !is_more {
                return Ok(self.joins);
            }
        }
    }
}
