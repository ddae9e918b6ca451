//! Reader threads, one a link: bytes become runs of checked records for the router.
//!
//! A reader blocks on its socket and on the router's channel and on nothing else. It checks layout
//! and signatures, so that a burst is verified on as many cores as it has links, and drops copies
//! of what was seen before it parses them. The frame that breaks a rule ends its link.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::limits::{FRAME_MS_MAX, READER_STACK_BYTES};
use crate::room::intake::read_frame;
use crate::room::{Arrival, Input, LinkId};
use crate::wire::end::End;
use crate::wire::frame::FrameBuffer;
use crate::wire::secure::Receiver;

use super::Shared;
use super::router::Message;

/// How often a reader looks at the clock while nothing comes.
const LOOK_UP: Duration = Duration::from_secs(1);

/// Counts a link for as long as it has a reader.
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn start(link: LinkId, receiver: Receiver, shared: &Shared) -> io::Result<()> {
    receiver.socket().set_read_timeout(Some(LOOK_UP))?;
    shared.links.fetch_add(1, Ordering::Relaxed);
    let count = Count(Arc::clone(&shared.links));
    let reader = Reader { link, receiver, buffer: FrameBuffer::new(), partial_since: None, shared: shared.clone() };
    super::spawn(format!("reader-{link}"), Some(READER_STACK_BYTES), shared, move || {
        let _count = count;
        reader.run();
    })
}

struct Reader {
    link: LinkId,
    receiver: Receiver,
    buffer: FrameBuffer,
    /// Since when the frame at the end of the buffer has been incomplete.
    partial_since: Option<Instant>,
    shared: Shared,
}

impl Reader {
    fn run(mut self) {
        let end = loop {
            match self.buffer.fill(&mut self.receiver) {
                Ok(0) => break End::Vanished,
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        if self.is_late() {
                            break End::FrameTimeout;
                        }
                        continue;
                    }
                    io::ErrorKind::Interrupted => continue,
                    _ => break End::Vanished,
                },
            }
            let (run, end) = self.take_run();
            if self.is_late() {
                break End::FrameTimeout;
            }
            let arrived = Input::Arrived { link: self.link, run };
            if self.shared.messages.send(Message::Room(arrived)).is_err() {
                return;
            }
            if let Some(end) = end {
                break end;
            }
        };
        let _ = self.shared.messages.send(Message::Room(Input::Broken { link: self.link, end }));
    }

    /// All whole records that have arrived, up to the first that breaks a rule.
    fn take_run(&mut self) -> (Vec<Arrival>, Option<End>) {
        let mut run = Vec::new();
        loop {
            let (frame, ending) = match self.buffer.next_frame() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    log::warn!("link {}: {error}", self.link);
                    return (run, Some(End::BadFrame));
                }
            };
            let seen = &self.shared.seen;
            match read_frame(frame, ending, &self.shared.domain, |label| seen.read().is_copy(label)) {
                Ok(arrival) => run.push(arrival),
                Err((end, error)) => {
                    log::warn!("link {}: {end}: {error}", self.link);
                    return (run, Some(end));
                }
            }
        }
        if !self.buffer.is_partial() {
            self.partial_since = None;
        } else if !run.is_empty() || self.partial_since.is_none() {
            self.partial_since = Some(Instant::now());
        }
        (run, None)
    }

    fn is_late(&self) -> bool {
        self.partial_since.is_some_and(|since| since.elapsed() > Duration::from_millis(FRAME_MS_MAX))
    }
}
