//! The reading half of a link: Noise messages in, the bytes of frames out.

use std::io::{self, Read};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Arc;

use snow::StatelessTransportState;

use super::{LENGTH_BYTES, TAG_BYTES};
use crate::limits::{CIPHER_BUFFER_BYTES_MIN, LINK_RECORDS_MAX, READ_BYTES_MAX};

/// The reading half.
#[derive(Debug)]
pub struct Receiver {
    socket: Arc<TcpStream>,
    opener: Option<Opener>,
}

/// Opens Noise messages. The counter belongs to the thread that reads.
#[derive(Debug)]
struct Opener {
    transport: Arc<StatelessTransportState>,
    counter: u64,
    /// What has arrived and is not opened yet.
    cipher: Vec<u8>,
    start: usize,
    end: usize,
    /// Opened bytes for which the caller had no room, and where they begin.
    opened: Vec<u8>,
    given: usize,
}

impl Receiver {
    pub(super) fn in_the_clear(socket: Arc<TcpStream>) -> Self {
        Self { socket, opener: None }
    }

    pub(super) fn encrypted(socket: Arc<TcpStream>, transport: Arc<StatelessTransportState>) -> Self {
        let opener =
            Opener { transport, counter: 0, cipher: Vec::new(), start: 0, end: 0, opened: Vec::new(), given: 0 };
        Self { socket, opener: Some(opener) }
    }

    pub(super) fn set_counter(&mut self, counter: u64) {
        if let Some(opener) = &mut self.opener {
            opener.counter = counter;
        }
    }

    /// The socket, for its addresses, its time-out and its shutdown.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Gives back the memory that a burst has taken, where nothing waits in it.
    pub fn relax(&mut self) {
        if let Some(opener) = &mut self.opener
            && opener.start == opener.end
            && opener.opened.is_empty()
        {
            (opener.cipher, opener.opened) = (Vec::new(), Vec::new());
            (opener.start, opener.end) = (0, 0);
        }
    }
}

impl Read for Receiver {
    /// Reads some bytes of frames. A message that cannot be opened is an error of the kind `InvalidData`.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.opener {
            None => (&*self.socket).read(buffer),
            Some(opener) => opener.read(&self.socket, buffer),
        }
    }
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl Opener {
    fn read(&mut self, mut socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.open_all(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.make_room();
            let space = self.cipher.get_mut(self.end..).unwrap_or_default();
            match socket.read(space)? {
                // The end of the stream is only a clean one between messages.
                0 if self.start < self.end => return Err(io::ErrorKind::UnexpectedEof.into()),
                0 => return Ok(0),
                count => self.end += count,
            }
        }
    }

    /// Opens what has arrived, as far as the buffer takes it.
    fn open_all(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.give(buffer);
        while filled < buffer.len() {
            let Some(range) = self.next_message()? else { break };
            let space = buffer.get_mut(filled..).unwrap_or_default();
            if space.len() >= range.len() {
                filled += self.open(range, space)?;
            } else {
                let mut opened = std::mem::take(&mut self.opened);
                opened.resize(range.len(), 0);
                let count = self.open(range, &mut opened)?;
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

    /// Where the next whole message lies, without its length.
    fn next_message(&self) -> io::Result<Option<Range<usize>>> {
        let arrived = self.cipher.get(self.start..self.end).unwrap_or_default();
        let Some(length) = arrived.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(*length));
        // An empty message would be work for nothing.
        if length <= TAG_BYTES {
            return Err(invalid());
        }
        let begin = self.start + LENGTH_BYTES;
        Ok((begin + length <= self.end).then_some(begin..begin + length))
    }

    fn open(&mut self, range: Range<usize>, space: &mut [u8]) -> io::Result<usize> {
        if self.counter >= LINK_RECORDS_MAX {
            return Err(invalid());
        }
        let message = self.cipher.get(range.clone()).ok_or_else(invalid)?;
        let count = self.transport.read_message(self.counter, message, space).map_err(|_| invalid())?;
        self.counter += 1;
        self.start = range.end;
        Ok(count)
    }

    /// Moves what is left to the front; grows when the buffer is full, as bytes have come and not as a length
    /// announces them.
    fn make_room(&mut self) {
        let full = self.end == self.cipher.len();
        if self.start > 0 {
            self.cipher.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if full && self.cipher.len() < READ_BYTES_MAX {
            let grown = (self.cipher.len() * 4).clamp(CIPHER_BUFFER_BYTES_MIN, READ_BYTES_MAX);
            self.cipher.resize(grown, 0);
        }
    }
}
