//! Receivers that are sockets of the bench and no processes, so that there can be a thousand.
//!
//! A tap reads what has come and hands out the stamps in it: numbers of nanoseconds behind a `~`, of
//! which a said line has one. `WireTap` speaks hobnob's protocol over a `Wire`, encrypted or in the clear;
//! `BareTap` takes lines as they are.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use hobnob::identity::Identity;
use hobnob::wire::Frame;
use hobnob::wire::frame::FrameBuffer;
use hobnob::wire::record::{Channel, Control, Domain, Entry, Hello, Nick, Record, VERSION, is_post};
use hobnob::wire::secure::{Endpoint, Receiver, Scratch, Secured, Sender};
use memchr::memchr_iter;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::failure::Failure;
use crate::hobnob::ROOM;

/// Digits of a stamp.
pub(crate) const STAMP_DIGITS: usize = 19;

/// How long the node may take with its part of the handshake and the greeting.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// What is handed to the socket at once.
const WRITE_BYTES: usize = 64 * 1024;

/// A socket that lines arrive on.
pub(crate) trait Tap: Send + Sized + 'static {
    /// The socket, to be waited for.
    fn socket(&self) -> &TcpStream;

    /// Reads what there is, after the socket was reported readable.
    fn read(&mut self) -> Result<(), Failure>;

    /// Hands out the stamps in what was read.
    fn stamps(&mut self, each: impl FnMut(u64)) -> Result<(), Failure>;
}

/// Calls for every stamp in some text; what is cut off at the end is not one.
fn scan(text: &[u8], mut each: impl FnMut(u64)) {
    for index in memchr_iter(b'~', text) {
        if let Some(digits) = text.get(index + 1..=index + STAMP_DIGITS) {
            each(digits.iter().fold(0, |stamp, digit| stamp * 10 + u64::from(digit.wrapping_sub(b'0'))));
        }
    }
}

/// A connection to a port of this machine.
pub(crate) fn connect(port: u16) -> Result<TcpStream, Failure> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(Failure::system("connect"))?;
    socket.set_nodelay(true).map_err(Failure::system("socket"))?;
    Ok(socket)
}

/// Lines as they are.
#[derive(Debug)]
pub(crate) struct BareTap {
    socket: TcpStream,
    bytes: Vec<u8>,
    end: usize,
}

impl BareTap {
    /// Connects to a port of this machine.
    pub(crate) fn connect(port: u16) -> Result<Self, Failure> {
        Ok(Self { socket: connect(port)?, bytes: vec![0; 4096], end: 0 })
    }
}

impl Tap for BareTap {
    fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn read(&mut self) -> Result<(), Failure> {
        let space = self.bytes.get_mut(self.end..).unwrap_or_default();
        match self.socket.read(space).map_err(Failure::system("bare link"))? {
            0 => Err(Failure::Link("the bare loop closed it".to_owned())),
            count => {
                self.end += count;
                Ok(())
            }
        }
    }

    fn stamps(&mut self, each: impl FnMut(u64)) -> Result<(), Failure> {
        let bytes = self.bytes.get(..self.end).unwrap_or_default();
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |index| index + 1);
        scan(bytes.get(..whole).unwrap_or_default(), each);
        self.bytes.copy_within(whole..self.end, 0);
        self.end -= whole;
        Ok(())
    }
}

/// One link of a peer that the bench plays.
#[derive(Debug)]
pub(crate) struct Wire {
    receiver: Receiver,
    sender: Sender,
    channel: Option<Channel>,
    frames: FrameBuffer,
}

impl Wire {
    /// Makes the handshake on a connection.
    pub(crate) fn over(socket: TcpStream, endpoint: &Endpoint) -> Result<Self, Failure> {
        let socket = Arc::new(socket);
        let Secured { receiver, sender, channel } =
            endpoint.dial(&socket, Instant::now() + HANDSHAKE_LIMIT).map_err(wrong)?;
        socket.set_read_timeout(Some(HANDSHAKE_LIMIT)).map_err(Failure::system("socket"))?;
        Ok(Self { receiver, sender, channel, frames: FrameBuffer::new() })
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        self.receiver.socket()
    }

    /// From now on nothing waits for the node.
    pub(crate) fn stop_waiting(&self) -> Result<(), Failure> {
        self.socket().set_nonblocking(true).map_err(Failure::system("socket"))
    }

    /// Writes some frames. What a peer says here always fits the socket.
    pub(crate) fn send(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), Failure> {
        for frame in frames {
            self.sender.push(frame);
        }
        self.sender.write(&mut Scratch::default()).map_err(Failure::system("link"))?;
        if self.sender.is_empty() { Ok(()) } else { Err(Failure::Link("the node reads too slowly".to_owned())) }
    }

    /// Writes many frames, and waits for the node where it has to.
    pub(crate) fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>) -> Result<(), Failure> {
        let mut scratch = Scratch::default();
        let mut waiting = 0;
        for frame in frames {
            waiting += frame.len();
            self.sender.push(frame);
            if waiting >= WRITE_BYTES {
                waiting = 0;
                self.write_out(&mut scratch)?;
            }
        }
        self.write_out(&mut scratch)
    }

    fn write_out(&mut self, scratch: &mut Scratch) -> Result<(), Failure> {
        let deadline = Instant::now() + HANDSHAKE_LIMIT;
        loop {
            self.sender.write(scratch).map_err(Failure::system("link"))?;
            if self.sender.is_empty() {
                return Ok(());
            }
            let timeout = PollTimeout::try_from(deadline.saturating_duration_since(Instant::now()));
            let mut sockets = [PollFd::new(self.sender.socket().as_fd(), PollFlags::POLLOUT)];
            if poll(&mut sockets, timeout.unwrap_or(PollTimeout::ZERO)).map_err(wrong)? == 0 {
                return Err(Failure::Link("the node reads too slowly".to_owned()));
            }
        }
    }

    /// Answers what has come meanwhile.
    pub(crate) fn answer_all(&mut self) -> Result<(), Failure> {
        self.stop_waiting()?;
        while self.fill()? > 0 {
            while let Some(control) = self.posts(|_| ())? {
                self.answer(&control)?;
            }
        }
        Ok(())
    }

    /// Reads once; how many bytes, 0 if there is nothing.
    pub(crate) fn fill(&mut self) -> Result<usize, Failure> {
        match self.frames.fill(&mut self.receiver) {
            Ok(0) => Err(Failure::Link("closed without an exit record".to_owned())),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(Failure::system("link")(error)),
        }
    }

    /// Hands out the posts that were read. They are neither parsed nor verified: on so few cores a receiver that
    /// does would be measured rather than the node. That posts are whole is tested elsewhere.
    pub(crate) fn posts(&mut self, mut each: impl FnMut(&[u8])) -> Result<Option<Control>, Failure> {
        while let Some((frame, ending)) = self.frames.next_frame().map_err(wrong)? {
            if is_post(frame) {
                each(frame);
            } else if let Record::Control(control) = Record::decode(frame, ending).map_err(wrong)? {
                return Ok(Some(control));
            }
        }
        Ok(None)
    }

    /// Waits for the next record that is no post.
    pub(crate) fn await_control(&mut self) -> Result<Control, Failure> {
        loop {
            if let Some(control) = self.posts(|_| ())? {
                return Ok(control);
            }
            self.fill()?;
        }
    }

    /// Waits for the node's hello, and makes the answer of somebody.
    pub(crate) fn await_hello(&mut self, identity: &Identity, nick: &str) -> Result<Control, Failure> {
        let Control::Hello(theirs) = self.await_control()? else {
            return Err(Failure::Link("the first record is no hello".to_owned()));
        };
        let proof = self.channel.map(|channel| channel.prove(&Domain::of_room(ROOM), identity));
        let (id, nick) = (identity.id(), Nick::new(nick).map_err(wrong)?);
        let (seen, time) = (IpAddr::V4(Ipv4Addr::LOCALHOST), wall_ms());
        Ok(Control::Hello(Hello {
            version: VERSION,
            id,
            session: SESSION,
            nick,
            seen,
            listens: false,
            time,
            proof,
            ..theirs
        }))
    }

    /// Answers what has to be answered.
    pub(crate) fn answer(&mut self, control: &Control) -> Result<(), Failure> {
        match control {
            Control::Exit { reason, text } => Err(Failure::Link(format!("exit: {reason} {text}"))),
            _ => self.send(reply(control)),
        }
    }
}

/// What a peer that says nothing by itself answers to a record.
pub(crate) fn reply(control: &Control) -> Vec<Frame> {
    match control {
        Control::Ping { token } => vec![Control::Pong { token: *token }.encode()],
        // A feed that moved on between the two sides' `have`: it is opened from there.
        Control::News { feeds } => feeds
            .iter()
            .map(|&Entry(author, session, number)| {
                Control::Want { author, session, from: number, answer: false }.encode()
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The session of every peer that the bench plays; their ids are unlike.
pub(crate) const SESSION: u64 = 1;

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0))
}

/// For `map_err`: a peer, or the bench as one, did what the protocol does not allow.
pub(crate) fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::Link(error.to_string())
}

/// A peer that listens, answers pings, and says nothing.
#[derive(Debug)]
pub(crate) struct WireTap(Wire);

impl WireTap {
    /// Links to a node. The acceptor says hello first. Its pages of `have` are answered with themselves: who
    /// lacks nothing is sent every feed from its next post on.
    pub(crate) fn connect(port: u16, index: usize, endpoint: &Endpoint) -> Result<Self, Failure> {
        let mut wire = Wire::over(connect(port)?, endpoint)?;
        let identity = Identity::ephemeral().map_err(wrong)?;
        let hello = wire.await_hello(&identity, &format!("link-{index}"))?;
        wire.send([hello.encode()])?;
        loop {
            match wire.await_control()? {
                Control::Have { feeds } => wire.send([Control::Have { feeds }.encode()])?,
                Control::Done {} => break,
                other => wire.answer(&other)?,
            }
        }
        wire.send([Control::Done {}.encode()])?;
        wire.stop_waiting()?;
        Ok(Self(wire))
    }
}

impl Tap for WireTap {
    fn socket(&self) -> &TcpStream {
        self.0.socket()
    }

    fn read(&mut self) -> Result<(), Failure> {
        self.0.fill().map(|_| ())
    }

    fn stamps(&mut self, mut each: impl FnMut(u64)) -> Result<(), Failure> {
        while let Some(control) = self.0.posts(|frame| scan(frame, &mut each))? {
            self.0.answer(&control)?;
        }
        Ok(())
    }
}
