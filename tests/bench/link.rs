//! A receiver that is a socket of the bench and no process, so that there can be a thousand.
//!
//! It reads what has come and hands out the stamps in it: numbers of nanoseconds behind a `~`, of
//! which a said line has one. `WireTap` speaks hobnob's protocol; `BareTap` takes lines as they are.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use hobnob::identity::Identity;
use hobnob::wire::frame::FrameBuffer;
use hobnob::wire::record::{Control, Entry, Hello, Nick, Record, VERSION, is_post};
use hobnob::wire::secure::PREAMBLE_PLAIN;
use memchr::{memchr, memchr_iter};

use crate::failure::Failure;

/// Digits of a stamp.
pub(crate) const STAMP_DIGITS: usize = 19;

/// How long the node may take with its part of the handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A socket that lines arrive on.
pub(crate) trait Tap: Send + Sized + 'static {
    /// Connects to a port of this machine.
    fn connect(port: u16, index: usize) -> Result<Self, Failure>;

    /// The socket, to be waited for.
    fn socket(&self) -> &TcpStream;

    /// Reads once, after the socket was reported readable.
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

fn connect(port: u16) -> Result<TcpStream, Failure> {
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

impl Tap for BareTap {
    fn connect(port: u16, _: usize) -> Result<Self, Failure> {
        Ok(Self { socket: connect(port)?, bytes: vec![0; 4096], end: 0 })
    }

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

/// A peer that listens, answers pings, and says nothing.
#[derive(Debug)]
pub(crate) struct WireTap {
    socket: TcpStream,
    frames: FrameBuffer,
}

impl Tap for WireTap {
    /// The acceptor says hello first. Its pages of `have` are answered with themselves: who
    /// lacks nothing is sent every feed from its next post on.
    fn connect(port: u16, index: usize) -> Result<Self, Failure> {
        let socket = connect(port)?;
        socket.set_read_timeout(Some(HANDSHAKE_LIMIT)).map_err(Failure::system("socket"))?;
        let mut tap = Self { socket, frames: FrameBuffer::new() };
        tap.socket.write_all(PREAMBLE_PLAIN).map_err(Failure::system("link"))?;
        let Control::Hello(theirs) = tap.await_control()? else {
            return Err(Failure::Link("the first record is no hello".to_owned()));
        };
        tap.send(&Control::Hello(own_hello(theirs, index)?))?;
        loop {
            match tap.await_control()? {
                Control::Have { feeds } => tap.send(&Control::Have { feeds })?,
                Control::Done {} => break,
                other => tap.answer(other)?,
            }
        }
        tap.send(&Control::Done {})?;
        Ok(tap)
    }

    fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn read(&mut self) -> Result<(), Failure> {
        match self.frames.fill(&mut self.socket).map_err(Failure::system("link"))? {
            0 => Err(Failure::Link("closed without an exit record".to_owned())),
            _ => Ok(()),
        }
    }

    /// Stamps are taken from a post's bytes without parsing it: on so few cores a receiver that
    /// verifies would be measured rather than the sender. That posts are whole is tested elsewhere.
    fn stamps(&mut self, mut each: impl FnMut(u64)) -> Result<(), Failure> {
        while let Some((frame, ending)) = self.frames.next_frame().map_err(wrong)? {
            if is_post(frame) {
                if memchr(b'~', frame).is_some() {
                    scan(frame, &mut each);
                }
                continue;
            }
            if let Record::Control(control) = Record::decode(frame, ending).map_err(wrong)? {
                self.answer(control)?;
            }
        }
        Ok(())
    }
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::Link(error.to_string())
}

/// Who this link is: somebody new, in the room and mode of the other side.
fn own_hello(theirs: Hello, index: usize) -> Result<Hello, Failure> {
    let id = Identity::ephemeral().map_err(wrong)?.id();
    let nick = Nick::new(&format!("link-{index}")).map_err(wrong)?;
    let seen = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Ok(Hello { version: VERSION, id, session: 1, nick, seen, listens: false, ..theirs })
}

impl WireTap {
    fn send(&mut self, control: &Control) -> Result<(), Failure> {
        self.socket.write_all(&control.encode()).map_err(Failure::system("link"))
    }

    /// The next record that is no post.
    fn await_control(&mut self) -> Result<Control, Failure> {
        loop {
            while let Some((frame, ending)) = self.frames.next_frame().map_err(wrong)? {
                if is_post(frame) {
                    continue;
                }
                if let Record::Control(control) = Record::decode(frame, ending).map_err(wrong)? {
                    return Ok(control);
                }
            }
            self.read()?;
        }
    }

    fn answer(&mut self, control: Control) -> Result<(), Failure> {
        match control {
            Control::Ping { token } => self.send(&Control::Pong { token }),
            // A feed that moved on between the two sides' `have`: it is opened from there.
            Control::News { feeds } => feeds.iter().try_for_each(|&Entry(author, session, number)| {
                self.send(&Control::Want { author, session, from: number, answer: false })
            }),
            Control::Exit { reason, text } => Err(Failure::Link(format!("exit: {reason} {text}"))),
            _ => Ok(()),
        }
    }
}
