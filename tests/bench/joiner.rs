//! A member of a hobnob room, as light as can be: it joins, and counts the joins that come.

use std::net::TcpStream;

use hobnob::identity::Identity;
use hobnob::wire::Frame;
use hobnob::wire::record::{Control, Domain, Draft, FeedId, Header, Nick, Post};
use hobnob::wire::secure::Endpoint;
use memchr::memmem::Finder;

use crate::crowd::Member;
use crate::failure::Failure;
use crate::hobnob::ROOM;
use crate::link::{SESSION, Wire, connect, wall_ms, wrong};

/// Who has read so much at once was catching up.
const CAUGHT_UP_BYTES: usize = 64 * 1024;

/// Who is going to join, with what can be made beforehand: its key and its post.
#[derive(Debug)]
pub(crate) struct Guest {
    identity: Identity,
    nick: String,
    join: Frame,
}

impl Guest {
    /// Somebody new.
    pub(crate) fn new(index: usize) -> Result<Self, Failure> {
        let identity = Identity::ephemeral().map_err(wrong)?;
        let text = format!("guest-{index}");
        let nick = Nick::new(&text).map_err(wrong)?;
        let feed = FeedId { author: identity.id(), session: SESSION };
        let header = Header { feed, number: 1, at: wall_ms(), nick: &nick, ack: false };
        let join = Post::encode(
            &header,
            &Draft::Join { addresses: &[], passing: false, rank: None },
            &Domain::of_room(ROOM),
            &identity,
        );
        Ok(Self { identity, nick: text, join: join.frame })
    }
}

/// Somebody who joins, or has joined.
pub(crate) struct Joiner {
    wire: Wire,
    /// Its own post, until it may be sent.
    join: Option<Frame>,
    /// Finds the first post of a feed, which is its join.
    first: Finder<'static>,
    joins: usize,
}

impl Joiner {
    /// Links to a node, up to its hello. It asks for all there is.
    pub(crate) fn enter(port: u16, guest: &Guest, endpoint: &Endpoint) -> Result<Self, Failure> {
        let mut wire = Wire::over(connect(port)?, endpoint)?;
        let hello = wire.await_hello(&guest.identity, &guest.nick)?;
        wire.send([hello.encode(), Control::All {}.encode(), Control::Done {}.encode()])?;
        wire.stop_waiting()?;
        Ok(Self { wire, join: Some(guest.join.clone()), first: Finder::new(br#","number":1,"at":"#), joins: 0 })
    }

    fn take(&mut self, control: Control) -> Result<(), Failure> {
        match control {
            Control::Done {} => self.wire.send(self.join.take()),
            other => self.wire.answer(other),
        }
    }
}

impl Member for Joiner {
    fn socket(&self) -> &TcpStream {
        self.wire.socket()
    }

    fn hear(&mut self) -> Result<usize, Failure> {
        let mut bytes = 0;
        loop {
            let count = self.wire.fill()?;
            if count == 0 {
                break;
            }
            bytes += count;
            loop {
                let Self { wire, first, joins, .. } = self;
                let take = |frame: &[u8]| *joins += usize::from(first.find(frame).is_some());
                let Some(control) = wire.skip_pages(take)? else { break };
                self.take(control)?;
            }
        }
        // A thousand who have caught up hold no large buffers.
        if bytes > CAUGHT_UP_BYTES {
            self.wire.relax();
        }
        Ok(self.joins)
    }
}
