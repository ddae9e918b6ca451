//! The byte stream of a link: the seam at which links are encrypted.
//!
//! `split` makes the two halves of a connection: a `Receiver` for the reader's thread and a
//! `Sender` for the writer's. All bytes of a link pass through these two types and no others.
//! With `--plaintext`, so far the only kind, they are the bytes of the frames as they are.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read};
use std::net::TcpStream;
use std::sync::Arc;

use socket2::SockRef;

use crate::limits::WRITE_BUFFERS_MAX;

use super::Frame;

/// Linux's `MSG_DONTWAIT`: this send does not wait, whatever the mode of the socket is. With
/// `O_NONBLOCK` on the socket the reader's half would not wait either.
const DONT_WAIT: i32 = 0x40;

/// Linux's `MSG_NOSIGNAL`: a closed peer is an error, not a signal.
const NO_SIGNAL: i32 = 0x4000;

/// Makes the two halves of a link.
pub fn split(socket: TcpStream) -> (Receiver, Sender) {
    let socket = Arc::new(socket);
    let sender = Sender { socket: Arc::clone(&socket), queue: VecDeque::new(), sent_of_first: 0 };
    (Receiver { socket }, sender)
}

/// The reading half.
#[derive(Debug)]
pub struct Receiver {
    socket: Arc<TcpStream>,
}

impl Receiver {
    /// The socket, for its addresses, its time-out and its shutdown.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.socket).read(buffer)
    }
}

/// The writing half, with the frames that wait for the socket.
#[derive(Debug)]
pub struct Sender {
    socket: Arc<TcpStream>,
    queue: VecDeque<Frame>,
    /// Bytes of the first frame that are written already.
    sent_of_first: usize,
}

impl Sender {
    /// Queues a frame.
    pub fn push(&mut self, frame: Frame) {
        self.queue.push_back(frame);
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The socket, to poll and to shut down.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Writes as much as the socket takes without waiting; returns the bytes of the frames that
    /// are written to their end. An error ends the link.
    pub fn write(&mut self) -> io::Result<usize> {
        let mut done = 0;
        while !self.queue.is_empty() {
            let mut buffers = Vec::with_capacity(self.queue.len().min(WRITE_BUFFERS_MAX));
            let mut offered = 0;
            for (index, frame) in self.queue.iter().take(WRITE_BUFFERS_MAX).enumerate() {
                let skip = if index == 0 { self.sent_of_first } else { 0 };
                let rest = frame.get(skip..).unwrap_or_default();
                offered += rest.len();
                buffers.push(IoSlice::new(rest));
            }
            let socket = SockRef::from(&*self.socket);
            let written = match socket.send_vectored_with_flags(&buffers, DONT_WAIT | NO_SIGNAL) {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            done += self.consume(written);
            if written < offered {
                break;
            }
        }
        Ok(done)
    }

    fn consume(&mut self, written: usize) -> usize {
        let mut done = 0;
        self.sent_of_first += written;
        while let Some(first) = self.queue.front() {
            if self.sent_of_first < first.len() {
                break;
            }
            self.sent_of_first -= first.len();
            done += first.len();
            self.queue.pop_front();
        }
        done
    }
}
