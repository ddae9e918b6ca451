//! The writing half of a link: frames in, Noise messages out, as the socket takes them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::Arc;

use snow::StatelessTransportState;
use socket2::SockRef;

use super::{LENGTH_BYTES, TAG_BYTES};
use crate::limits::{
    LINK_RECORDS_MAX, LINK_RECORDS_RENEW, NOISE_PAYLOAD_BYTES, QUEUE_PLACES_KEPT, SEALED_BYTES_MAX, WRITE_BUFFERS_MAX,
};
use crate::wire::Frame;

/// Linux's `MSG_DONTWAIT`: this send does not wait, whatever the mode of the socket is. With
/// `O_NONBLOCK` on the socket the reader's half would not wait either.
const DONT_WAIT: i32 = 0x40;

/// Linux's `MSG_NOSIGNAL`: a closed peer is an error, not a signal.
const NO_SIGNAL: i32 = 0x4000;

/// The writing half, with the frames that wait for the socket.
#[derive(Debug)]
pub struct Sender {
    socket: Arc<TcpStream>,
    queue: VecDeque<Frame>,
    /// Bytes of the first frame that are written, or sealed, already.
    taken_of_first: usize,
    sealer: Option<Sealer>,
}

/// Seals Noise messages. The counter belongs to the thread that writes.
#[derive(Debug)]
struct Sealer {
    transport: Arc<StatelessTransportState>,
    counter: u64,
    /// Sealed bytes that the socket did not take.
    unsent: Vec<u8>,
    /// Bytes of the frames that end in them.
    frame_bytes: usize,
}

/// Where bytes are put together and sealed on their way out: one for all links of a thread, as none of it lasts.
#[derive(Debug, Default)]
pub struct Scratch {
    payload: Vec<u8>,
    sealed: Vec<u8>,
}

impl Sender {
    pub(super) fn in_the_clear(socket: Arc<TcpStream>) -> Self {
        Self { socket, queue: VecDeque::new(), taken_of_first: 0, sealer: None }
    }

    pub(super) fn encrypted(socket: Arc<TcpStream>, transport: Arc<StatelessTransportState>) -> Self {
        let sealer = Sealer { transport, counter: 0, unsent: Vec::new(), frame_bytes: 0 };
        Self { socket, queue: VecDeque::new(), taken_of_first: 0, sealer: Some(sealer) }
    }

    pub(super) fn set_counter(&mut self, counter: u64) {
        if let Some(sealer) = &mut self.sealer {
            sealer.counter = counter;
        }
    }

    /// Queues a frame.
    pub fn push(&mut self, frame: Frame) {
        self.queue.push_back(frame);
    }

    /// Whether all is written.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.sealer.as_ref().is_none_or(|sealer| sealer.unsent.is_empty())
    }

    /// Whether so many messages were sealed that the link should be renewed.
    pub fn is_worn(&self) -> bool {
        self.sealer.as_ref().is_some_and(|sealer| sealer.counter >= LINK_RECORDS_RENEW)
    }

    /// The socket, to poll and to shut down.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Writes as much as the socket takes without waiting; returns the bytes of the frames that
    /// are written to their end. An error ends the link.
    pub fn write(&mut self, scratch: &mut Scratch) -> io::Result<usize> {
        let done = if self.sealer.is_some() { self.write_sealed(scratch) } else { self.write_clear() };
        if self.queue.is_empty() && self.queue.capacity() > QUEUE_PLACES_KEPT {
            self.queue = VecDeque::new();
        }
        done
    }

    fn write_clear(&mut self) -> io::Result<usize> {
        let mut done = 0;
        while !self.queue.is_empty() {
            let mut buffers = Vec::with_capacity(self.queue.len().min(WRITE_BUFFERS_MAX));
            let mut offered = 0;
            for (index, frame) in self.queue.iter().take(WRITE_BUFFERS_MAX).enumerate() {
                let skip = if index == 0 { self.taken_of_first } else { 0 };
                let rest = frame.get(skip..).unwrap_or_default();
                offered += rest.len();
                buffers.push(IoSlice::new(rest));
            }
            let Some(written) = send(&self.socket, &buffers)? else { break };
            done += self.consume(written);
            if written < offered {
                break;
            }
        }
        Ok(done)
    }

    fn write_sealed(&mut self, scratch: &mut Scratch) -> io::Result<usize> {
        let mut done = 0;
        while let Some(sealer) = &mut self.sealer {
            let from_before = !sealer.unsent.is_empty();
            if !from_before && !self.seal(scratch)? {
                break;
            }
            let Some(sealer) = &mut self.sealer else { break };
            let offered = if from_before { &sealer.unsent } else { &scratch.sealed };
            let written = send(&self.socket, &[IoSlice::new(offered)])?.unwrap_or(0);
            if written < offered.len() {
                sealer.keep(written, from_before, &scratch.sealed);
                break;
            }
            // A thousand idle links hold no buffers.
            sealer.unsent = Vec::new();
            done += std::mem::take(&mut sealer.frame_bytes);
        }
        Ok(done)
    }

    /// Seals what waits, up to a bound, in place of what was sealed before. False if nothing waits.
    fn seal(&mut self, scratch: &mut Scratch) -> io::Result<bool> {
        let Scratch { payload, sealed } = scratch;
        sealed.clear();
        while sealed.len() < SEALED_BYTES_MAX && !self.queue.is_empty() {
            payload.clear();
            let mut frame_bytes = 0;
            while payload.len() < NOISE_PAYLOAD_BYTES {
                let room = NOISE_PAYLOAD_BYTES - payload.len();
                let Some(first) = self.queue.front() else { break };
                let rest = first.get(self.taken_of_first..).unwrap_or_default();
                let taken = rest.get(..room).unwrap_or(rest);
                payload.extend_from_slice(taken);
                frame_bytes += self.consume(taken.len());
            }
            let Some(sealer) = self.sealer.as_mut().filter(|_| !payload.is_empty()) else { break };
            sealer.frame_bytes += frame_bytes;
            sealer.seal(payload, sealed)?;
        }
        Ok(!sealed.is_empty())
    }

    /// Bytes at the front of the queue are done with; returns the bytes of the frames that ended.
    fn consume(&mut self, bytes: usize) -> usize {
        let mut done = 0;
        self.taken_of_first += bytes;
        while let Some(first) = self.queue.front() {
            if self.taken_of_first < first.len() {
                break;
            }
            self.taken_of_first -= first.len();
            done += first.len();
            self.queue.pop_front();
        }
        done
    }
}

impl Sealer {
    /// Appends one message. The counter is never used twice; past the bound the link ends.
    fn seal(&mut self, payload: &[u8], sealed: &mut Vec<u8>) -> io::Result<()> {
        if self.counter >= LINK_RECORDS_MAX {
            return Err(io::Error::other("too many messages under one key"));
        }
        let length = payload.len() + TAG_BYTES;
        let prefix = u16::try_from(length).map_err(io::Error::other)?;
        sealed.extend_from_slice(&prefix.to_be_bytes());
        let start = sealed.len();
        sealed.resize(start + length, 0);
        let space = sealed.get_mut(start..).unwrap_or_default();
        self.transport.write_message(self.counter, payload, space).map_err(io::Error::other)?;
        self.counter += 1;
        Ok(())
    }

    /// Keeps what the socket did not take of what was offered: the kept bytes themselves, or fresh ones.
    fn keep(&mut self, written: usize, from_before: bool, fresh: &[u8]) {
        if from_before {
            self.unsent.drain(..written);
        } else {
            self.unsent.extend_from_slice(fresh.get(written..).unwrap_or_default());
        }
    }
}

/// How many bytes the socket takes now; `None` where it takes none.
fn send(socket: &TcpStream, buffers: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
    loop {
        match SockRef::from(socket).send_vectored_with_flags(buffers, DONT_WAIT | NO_SIGNAL) {
            Ok(written) => return Ok(Some(written)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

const _: () = assert!(NOISE_PAYLOAD_BYTES + TAG_BYTES + LENGTH_BYTES <= SEALED_BYTES_MAX + LENGTH_BYTES);
