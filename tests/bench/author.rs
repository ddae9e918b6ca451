//! A member that only speaks: signed posts, one for each line, as fast as a node takes them.
//!
//! A pipe's lines travel together, many in one post; here each is a post of its own, as people's are, with its own
//! signature to check. `Lines` reads what comes out at a receiver.

use std::io::Read;
use std::process::ChildStdout;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, unbounded};
use hobnob::identity::Identity;
use hobnob::wire::Frame;
use hobnob::wire::record::{Control, Domain, Draft, FeedId, Header, Nick, Post};
use memchr::memchr;

use crate::failure::Failure;
use crate::hobnob::{Hobnob, ROOM};
use crate::link::{SESSION, Wire, connect, wall_ms, wrong};
use crate::process::READY_LIMIT;

/// Digits of a line's number, behind a `~`.
const DIGITS: usize = 9;

/// How often line 0 is said until it comes out.
const PROBE_AGAIN: Duration = Duration::from_millis(100);

/// How long a line may take to come out.
const LINE_LIMIT: Duration = Duration::from_mins(2);

/// Who speaks.
#[derive(Debug)]
pub(crate) struct Author {
    identity: Identity,
    nick: Nick,
    domain: Domain,
    next: u64,
}

impl Author {
    /// Somebody new, who has said nothing.
    pub(crate) fn new() -> Result<Self, Failure> {
        let identity = Identity::ephemeral().map_err(wrong)?;
        Ok(Self { identity, nick: Nick::new("author").map_err(wrong)?, domain: Domain::of_room(ROOM), next: 1 })
    }

    fn post(&mut self, draft: &Draft<'_>) -> Frame {
        let feed = FeedId { author: self.identity.id(), session: SESSION };
        let header = Header { feed, number: self.next, at: wall_ms(), nick: &self.nick, ack: false };
        self.next += 1;
        Post::encode(&header, draft, &self.domain, &self.identity).frame
    }

    /// A say whose text holds a number.
    pub(crate) fn say(&mut self, number: u64) -> Frame {
        let text = format!("~{number:0DIGITS$} what people say in a room");
        self.post(&Draft::Say { text: &text, action: false, part: false })
    }

    /// Links to a node and joins.
    pub(crate) fn enter(&mut self, port: u16) -> Result<Wire, Failure> {
        let mut wire = Wire::over(connect(port)?, &Hobnob::Encrypted.endpoint()?)?;
        let hello = wire.await_hello(&self.identity, self.nick.as_str())?;
        wire.send([hello.encode(), Control::All {}.encode(), Control::Done {}.encode()])?;
        loop {
            match wire.await_control()? {
                Control::Done {} => break,
                other => wire.answer(&other)?,
            }
        }
        wire.send([self.post(&Draft::Join { addresses: &[], passing: false, rank: None, sealing: None, away: None })])?;
        Ok(wire)
    }
}

/// The numbered lines that come out at a receiver.
#[derive(Debug)]
pub(crate) struct Lines(Receiver<(u64, Instant)>);

impl Lines {
    /// Reads a stdout to its end.
    pub(crate) fn of(mut stdout: ChildStdout) -> Self {
        let (tx, rx) = unbounded();
        thread::spawn(move || {
            let mut bytes = vec![0; 64 * 1024];
            let mut kept = 0;
            while let Ok(count @ 1..) = stdout.read(bytes.get_mut(kept..).unwrap_or_default()) {
                let end = kept + count;
                let (last, rest) = scan(bytes.get(..end).unwrap_or_default());
                if let Some(last) = last
                    && tx.send((last, Instant::now())).is_err()
                {
                    return;
                }
                bytes.copy_within(end - rest..end, 0);
                kept = rest;
            }
        });
        Self(rx)
    }

    /// Lets the author say line 0 again and again until it has come: from then on all is linked.
    pub(crate) fn await_linked(&self, author: &mut Author, wire: &mut Wire) -> Result<(), Failure> {
        let deadline = Instant::now() + READY_LIMIT;
        while self.0.recv_timeout(PROBE_AGAIN).is_err() {
            if Instant::now() > deadline {
                let what = "probe at the receiver".to_owned();
                return Err(Failure::Late { what, limit: READY_LIMIT, complaint: String::new() });
            }
            wire.send_all([author.say(0)])?;
        }
        Ok(())
    }

    /// When the line of a number has come.
    pub(crate) fn await_number(&self, number: u64) -> Result<Instant, Failure> {
        let deadline = Instant::now() + LINE_LIMIT;
        loop {
            match self.0.recv_deadline(deadline) {
                Ok((last, at)) if last >= number => return Ok(at),
                Ok(_) => {}
                Err(_) => {
                    let what = format!("line {number} at the receiver");
                    return Err(Failure::Late { what, limit: LINE_LIMIT, complaint: String::new() });
                }
            }
        }
    }
}

/// The last number in some bytes, and the length of what may be the start of one at their end.
fn scan(bytes: &[u8]) -> (Option<u64>, usize) {
    let (mut rest, mut last) = (bytes, None);
    while let Some(index) = memchr(b'~', rest) {
        let Some(digits) = rest.get(index + 1..=index + DIGITS) else { return (last, rest.len() - index) };
        last = Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit.wrapping_sub(b'0'))));
        rest = rest.get(index + 1 + DIGITS..).unwrap_or_default();
    }
    (last, 0)
}
