//! The reading half of a link: Noise messages in, the bytes of frames out.

use std::io::{self, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use snow::StatelessTransportState;

use super::{LENGTH_BYTES, TAG_BYTES};
use crate::limits::LINK_RECORDS_MAX;
use crate::wire::window::Window;

/// How long a message may take until its reader looks at something else.
const MESSAGE_TIME: Duration = Duration::from_secs(1);

/// The reading half.
#[derive(Debug)]
pub struct Receiver {
    socket: Arc<TcpStream>,
    opener: Option<Opener>,
    /// Bytes that the socket has given.
    received: u64,
}

/// Opens Noise messages. The counter belongs to the thread that reads.
#[derive(Debug)]
struct Opener {
    transport: Arc<StatelessTransportState>,
    counter: u64,
    /// What has arrived and is not opened yet.
    cipher: Window,
    /// Opened bytes for which the caller had no room, and where they begin.
    opened: Vec<u8>,
    given: usize,
}

impl Receiver {
    pub(super) fn in_the_clear(socket: Arc<TcpStream>) -> Self {
        Self { socket, opener: None, received: 0 }
    }

    pub(super) fn encrypted(socket: Arc<TcpStream>, transport: Arc<StatelessTransportState>) -> Self {
        let opener = Opener { transport, counter: 0, cipher: Window::default(), opened: Vec::new(), given: 0 };
        Self { socket, opener: Some(opener), received: 0 }
    }

    pub(super) fn set_counter(&mut self, counter: u64) {
        if let Some(opener) = &mut self.opener {
            opener.counter = counter;
        }
    }

    /// How many bytes have come, as they are on the wire: those of a message that has not ended, too.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The socket, for its addresses, its time-out and its shutdown.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Gives back the memory that a burst has taken, where nothing waits in it.
    pub fn relax(&mut self) {
        if let Some(opener) = self.opener.as_mut().filter(|opener| opener.opened.is_empty()) {
            opener.cipher.relax();
            opener.opened = Vec::new();
        }
    }
}

impl Read for Receiver {
    /// Reads some bytes of frames. A message that cannot be opened is an error of the kind `InvalidData`; one that takes
    /// longer than a second to come is like a socket's time-out, and goes on with the next call.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut source = Counted { socket: &self.socket, count: &mut self.received };
        match &mut self.opener {
            None => source.read(buffer),
            Some(opener) => opener.read(&mut source, buffer),
        }
    }
}

/// A socket whose bytes are counted.
struct Counted<'a> {
    socket: &'a TcpStream,
    count: &'a mut u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(buffer)?;
        *self.count += count as u64;
        Ok(count)
    }
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Opener {
    fn read(&mut self, socket: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        let began = Instant::now();
        loop {
            let count = self.open_all(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if began.elapsed() > MESSAGE_TIME {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            match socket.read(self.cipher.space())? {
                // The end of the stream is only a clean one between messages.
                0 if !self.cipher.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => return Ok(0),
                count => self.cipher.add(count),
            }
        }
    }

    /// Opens what has arrived, as far as the buffer takes it.
    fn open_all(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.give(buffer);
        while filled < buffer.len() {
            let Some(length) = self.next_message()? else { break };
            let space = buffer.get_mut(filled..).unwrap_or_default();
            if space.len() >= length {
                filled += self.open(length, space)?;
            } else {
                let mut opened = std::mem::take(&mut self.opened);
                opened.resize(length, 0);
                let count = self.open(length, &mut opened)?;
                opened.truncate(count);
                (self.opened, self.given) = (opened, 0);
                filled += self.give(space);
            }
        }
        Ok(filled)
    }

    /// Hands out what was opened before.
    fn give(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.opened.get(self.given..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(from), Some(to)) = (rest.get(..count), buffer.get_mut(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        if self.given == self.opened.len() {
            self.opened.clear();
            self.given = 0;
        }
        count
    }

    /// How long the next whole message is, without its length.
    fn next_message(&self) -> io::Result<Option<usize>> {
        let Some((length, rest)) = self.cipher.arrived().split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        // An empty message would be work for nothing.
        if length <= TAG_BYTES {
            return Err(invalid());
        }
        Ok((length <= rest.len()).then_some(length))
    }

    fn open(&mut self, length: usize, space: &mut [u8]) -> io::Result<usize> {
        if self.counter >= LINK_RECORDS_MAX {
            return Err(invalid());
        }
        let message = self.cipher.take(LENGTH_BYTES + length).get(LENGTH_BYTES..).ok_or_else(invalid)?;
        let count = self.transport.read_message(self.counter, message, space).map_err(|_| invalid())?;
        self.counter += 1;
        Ok(count)
    }
}
