//! A peer made by hand: one TCP connection on which a test says what it likes, in the clear or encrypted.
//!
//! The side that was dialled says hello first; the dialler answers with its own; both page through
//! what they have and end with `done`.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hobnob::identity::Identity;
use hobnob::wire::frame::FrameBuffer;
use hobnob::wire::record::{
    self, Ack, Channel, Control, Draft, Entry, FeedId, Header, Hello, Mode, Nick, Post, Record, VERSION,
};
use hobnob::wire::secure::{Endpoint, HandshakeError, LinkSecurity, Psk, Receiver, Scratch, Secured, Sender};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// Linux's `POLLRDHUP`: the other side has closed its direction, whatever of it was not read yet.
pub(crate) const HANGS_UP: PollFlags = PollFlags::from_bits_retain(0x2000);

/// One record that came.
#[derive(Debug)]
pub(crate) enum Heard {
    Post(Box<Post>),
    Ack(Ack),
    Control(Control),
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is past 1970").as_millis();
    u64::try_from(now).expect("it is before the year 500,000,000")
}

/// A connection on which nothing was said yet.
pub(crate) fn connect(addr: &str) -> TcpStream {
    TcpStream::connect(addr).expect("the node accepts connections")
}

/// The same from another address of this machine: all of 127.0.0.0/8 is.
pub(crate) fn connect_from(from: &str, addr: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::new(from.parse().expect("an address"), 0);
    socket.bind(&from.into()).expect("an address of this machine");
    let addr: SocketAddr = addr.parse().expect("an address");
    socket.connect(&addr.into()).expect("the node accepts connections");
    socket.into()
}

/// What the node's hello is checked against, and what a peer's proofs are made with.
pub(crate) fn lobby() -> record::Domain {
    record::Domain::of_room("lobby")
}

/// What encrypts the links of all who know the name of the room and nothing else.
pub(crate) fn open_lobby() -> LinkSecurity {
    LinkSecurity::Noise(Psk::derive("lobby", None))
}

/// One link of a peer that the test plays.
pub(crate) struct Wire {
    pub(crate) socket: Arc<TcpStream>,
    receiver: Receiver,
    sender: Sender,
    pub(crate) channel: Option<Channel>,
    buffer: FrameBuffer,
    pub(crate) identity: Identity,
    pub(crate) feed: FeedId,
    nick: Nick,
    room: String,
}

impl Wire {
    /// Connects in the clear; says no more than that yet.
    pub(crate) fn dial(addr: &str, nick: &str) -> Self {
        Self::dial_over(connect(addr), nick, LinkSecurity::Plaintext).expect("nothing is awaited in the clear")
    }

    /// Connects and encrypts as those do who know the name of the room and nothing else.
    pub(crate) fn dial_encrypted(addr: &str, nick: &str) -> Self {
        Self::dial_over(connect(addr), nick, open_lobby()).expect("the node makes the handshake")
    }

    /// Takes a connection in, in the clear; says nothing yet.
    pub(crate) fn accept(listener: &TcpListener, nick: &str) -> Self {
        let socket = Arc::new(listener.accept().expect("a test's listener accepts").0);
        let endpoint = Endpoint::new(LinkSecurity::Plaintext).expect("plain text needs nothing");
        let secured = endpoint.accept(&socket, Instant::now() + PATIENCE).expect("the node speaks in the clear");
        Self::over(socket, secured, nick)
    }

    /// Makes the handshake on a connection.
    pub(crate) fn dial_over(socket: TcpStream, nick: &str, security: LinkSecurity) -> Result<Self, HandshakeError> {
        let socket = Arc::new(socket);
        let endpoint = Endpoint::new(security).expect("the system has random numbers");
        let secured = endpoint.dial(&socket, Instant::now() + PATIENCE)?;
        Ok(Self::over(socket, secured, nick))
    }

    fn over(socket: Arc<TcpStream>, secured: Secured, nick: &str) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket takes a time-out");
        let Secured { receiver, sender, channel } = secured;
        let identity = Self::identity_of(nick);
        let feed = FeedId { author: identity.id(), session: 77 };
        let nick = Nick::new(nick).expect("a test's nick is valid");
        let (buffer, room) = (FrameBuffer::new(), "lobby".to_owned());
        Self { socket, receiver, sender, channel, buffer, identity, feed, nick, room }
    }

    /// Who somebody is that the test plays: the name decides.
    pub(crate) fn identity_of(nick: &str) -> Identity {
        let mut seed = [7; 32];
        for (place, byte) in seed.iter_mut().zip(nick.bytes()) {
            *place = byte;
        }
        Identity::from_seed(&seed)
    }

    /// Its hello.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            version: VERSION,
            id: self.feed.author,
            session: self.feed.session,
            room: self.room.clone(),
            mode: Mode::Mesh,
            nick: self.nick.clone(),
            seen: self.socket.peer_addr().expect("a connected socket has a peer").ip(),
            listens: false,
            time: now(),
            proof: self.channel.map(|channel| channel.prove(&record::Domain::of_room(&self.room), &self.identity)),
        }
    }

    /// Writes bytes. A peer that has closed already is no failure here: what it said is looked at later.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if self.channel.is_none() {
            let _ = (&*self.socket).write_all(bytes);
            return;
        }
        self.sender.push(bytes.into());
        while self.sender.write(&mut Scratch::default()).is_ok() && !self.sender.is_empty() && self.is_open() {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT | HANGS_UP)];
            let ready = poll(&mut fds, PollTimeout::from(60_000_u16)).expect("a socket can be polled");
            assert_ne!(ready, 0, "the node neither reads nor closes the connection");
        }
    }

    /// Whether the other side may still say something new.
    pub(crate) fn is_open(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), HANGS_UP)];
        poll(&mut fds, PollTimeout::ZERO).expect("a socket can be polled") == 0
    }

    /// Says its hello.
    pub(crate) fn say_hello(&mut self) {
        self.send(&Control::Hello(self.hello()));
    }

    /// Goes by another nick from now on.
    pub(crate) fn rename(&mut self, nick: Nick) {
        self.nick = nick;
    }

    /// Sends a record.
    pub(crate) fn send(&mut self, control: &Control) {
        self.write(&control.encode());
    }

    /// Sends a line of JSON as a frame.
    pub(crate) fn send_json(&mut self, json: &str) {
        self.write(format!("{json}<MSGENCD>").as_bytes());
    }

    /// A post of its own, signed.
    pub(crate) fn post(&self, number: u64, draft: &Draft<'_>) -> Post {
        let header = Header { feed: self.feed, number, at: now(), nick: &self.nick, ack: false };
        Post::encode(&header, draft, &record::Domain::of_room(&self.room), &self.identity)
    }

    /// Sends a post of its own.
    pub(crate) fn send_post(&mut self, number: u64, draft: &Draft<'_>) {
        let post = self.post(number, draft);
        self.write(&post.frame);
    }

    /// The next record; `None` at the end of the connection, however it ended.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((frame, ending)) = self.buffer.next_frame().expect("a node sends frames") {
                if record::is_post(frame) {
                    return Some(Heard::Post(Box::new(Post::decode(frame).expect("a node sends posts"))));
                }
                return Some(match Record::decode(frame, ending).expect("a node sends records") {
                    Record::Control(control) => Heard::Control(control),
                    Record::Ack(ack) => Heard::Ack(ack),
                });
            }
            match self.buffer.fill(&mut self.receiver) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
                    assert!(!late, "the node neither speaks nor closes the connection");
                    return None;
                }
            }
        }
    }

    /// Reads until a record is the one.
    pub(crate) fn next_control(&mut self, mut is_it: impl FnMut(&Control) -> bool) -> Control {
        loop {
            let heard = self.next().expect("the node does not close the link");
            if let Heard::Control(control) = heard
                && is_it(&control)
            {
                return control;
            }
        }
    }

    /// Reads the other side's hello.
    pub(crate) fn hear_hello(&mut self) {
        self.next_control(|control| matches!(control, Control::Hello(_)));
    }

    /// After the two hellos: has nothing, and waits for the other side's pages.
    pub(crate) fn page(&mut self) -> Vec<Entry> {
        self.send(&Control::Done {});
        let mut theirs = Vec::new();
        self.next_control(|control| {
            if let Control::Have { feeds } = control {
                theirs.extend(feeds.iter().copied());
            }
            matches!(control, Control::Done {})
        });
        theirs
    }

    /// Begins a link as the dialler.
    pub(crate) fn greet(&mut self) -> Vec<Entry> {
        self.hear_hello();
        self.say_hello();
        self.page()
    }

    /// Begins a link as the side that was dialled.
    pub(crate) fn greet_dialler(&mut self) -> Vec<Entry> {
        self.say_hello();
        self.hear_hello();
        self.page()
    }

    /// Reads to the end of the connection: the reason of the exit record, if one came.
    pub(crate) fn reason(&mut self) -> Option<String> {
        let mut reason = None;
        while let Some(heard) = self.next() {
            if let Heard::Control(Control::Exit { reason: word, .. }) = heard {
                reason = Some(word);
            }
        }
        reason
    }
}
