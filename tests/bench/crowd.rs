//! A crowd: many members of one room, played by a few threads of the bench.
//!
//! Each of them enters (connects, and does what it takes to be let in) and then hears of the others. A crowd is
//! complete when each has heard of all. Those who enter wait for their turn at a few doors, as a server lets only
//! so many wait in its backlog; what comes after the entrance two threads read for all.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use parking_lot::Mutex;

use crate::failure::Failure;

/// How many enter at a time.
const DOORS: usize = 8;

/// Threads that hear for all.
const EARS: usize = 2;

/// How long a crowd may take until it is complete.
const GATHER_LIMIT: Duration = Duration::from_mins(1);

/// How often an ear looks whether it shall end.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Bytes that are read at once.
const DESK_BYTES: usize = 128 * 1024;

/// Where a thread reads what has come for whichever member.
pub(crate) struct Desk {
    /// As it has come,
    pub(crate) arrived: Vec<u8>,
    /// and what was in it, with room for what was left over from before.
    pub(crate) opened: Vec<u8>,
}

impl Desk {
    fn new() -> Self {
        Self { arrived: vec![0; DESK_BYTES], opened: vec![0; 2 * DESK_BYTES] }
    }
}

/// One who has entered.
pub(crate) trait Member: Send + 'static {
    /// The socket, to be waited for. It does not block.
    fn socket(&self) -> &TcpStream;

    /// Reads all that has come, and answers what has to be answered. How many have been heard of. A read that does not
    /// fill the desk was the last.
    fn hear(&mut self, desk: &mut Desk) -> Result<usize, Failure>;
}

/// What the threads share.
struct Hall<M> {
    places: Vec<Mutex<Option<Place<M>>>>,
    ears: Vec<Epoll>,
    /// How many each has to hear of.
    all: usize,
    /// Each tells once when it has heard of all; a failure is told, too.
    news: Sender<Result<Instant, Failure>>,
    is_over: AtomicBool,
}

struct Place<M> {
    member: M,
    is_complete: bool,
}

/// A complete crowd; it answers what it is asked until it is dropped.
pub(crate) struct Crowd {
    /// How long it took from the first who came until each had heard of all.
    pub(crate) took: Duration,
    threads: Vec<JoinHandle<()>>,
    end: Box<dyn Fn()>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        (self.end)();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Lets so many enter, and waits until each has heard of `all`.
pub(crate) fn gather<M: Member>(
    count: usize,
    all: usize,
    enter: impl Fn(usize, &mut Desk) -> Result<M, Failure> + Send + Sync + 'static,
) -> Result<Crowd, Failure> {
    let (news, told) = unbounded();
    let ears = (0..EARS).map(|_| Epoll::new(EpollCreateFlags::empty())).collect::<Result<_, _>>();
    let ears = ears.map_err(Failure::system("epoll"))?;
    let places = (0..count).map(|_| Mutex::new(None)).collect();
    let hall = Arc::new(Hall { places, ears, all, news, is_over: AtomicBool::new(false) });
    let (next, enter) = (Arc::new(AtomicUsize::new(0)), Arc::new(enter));
    let begin = Instant::now();
    let its = Arc::clone(&hall);
    let mut crowd = Crowd {
        took: Duration::ZERO,
        threads: Vec::new(),
        end: Box::new(move || its.is_over.store(true, Ordering::Relaxed)),
    };
    for ear in 0..EARS {
        let hall = Arc::clone(&hall);
        crowd.threads.push(thread::spawn(move || hall.tell(hall.listen(ear))));
    }
    for _ in 0..DOORS {
        let (hall, next, enter) = (Arc::clone(&hall), Arc::clone(&next), Arc::clone(&enter));
        crowd.threads.push(thread::spawn(move || hall.tell(hall.let_in(&next, &*enter))));
    }
    crowd.took = await_all(&told, count)?.duration_since(begin);
    Ok(crowd)
}

fn await_all(told: &Receiver<Result<Instant, Failure>>, count: usize) -> Result<Instant, Failure> {
    let deadline = Instant::now() + GATHER_LIMIT;
    let mut last = Instant::now();
    for complete in 0..count {
        last = told.recv_deadline(deadline).unwrap_or_else(|_| {
            let what = format!("complete crowd: {complete} of {count} have heard of all");
            Err(Failure::Late { what, limit: GATHER_LIMIT, complaint: String::new() })
        })?;
    }
    Ok(last)
}

impl<M: Member> Hall<M> {
    fn tell(&self, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            let _ = self.news.send(Err(failure));
        }
    }

    /// A door: one after the other enters.
    fn let_in(
        &self,
        next: &AtomicUsize,
        enter: &impl Fn(usize, &mut Desk) -> Result<M, Failure>,
    ) -> Result<(), Failure> {
        let mut desk = Desk::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(place) = self.places.get(index) else { return Ok(()) };
            if self.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let member = enter(index, &mut desk)?;
            let mut place = place.lock();
            let place = place.insert(Place { member, is_complete: false });
            if let Some(ear) = self.ears.get(index % EARS) {
                let event = EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, index as u64);
                ear.add(place.member.socket(), event).map_err(Failure::system("epoll"))?;
            }
            // The last one may have been told of all while it entered.
            self.hear(place, &mut desk)?;
        }
    }

    /// An ear: hears what comes for its share of the members.
    fn listen(&self, ear: usize) -> Result<(), Failure> {
        let Some(epoll) = self.ears.get(ear) else { return Ok(()) };
        let timeout = EpollTimeout::try_from(LOOK_AGAIN).unwrap_or(EpollTimeout::ZERO);
        let mut desk = Desk::new();
        let mut events = vec![EpollEvent::empty(); 256];
        while !self.is_over.load(Ordering::Relaxed) {
            let count = match epoll.wait(&mut events, timeout) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(Failure::system("epoll")(error)),
            };
            for event in events.iter().take(count) {
                let place = usize::try_from(event.data()).ok().and_then(|index| self.places.get(index));
                let Some(mut place) = place.map(Mutex::lock) else { continue };
                if let Some(place) = &mut *place {
                    self.hear(place, &mut desk)?;
                }
            }
        }
        Ok(())
    }

    fn hear(&self, place: &mut Place<M>, desk: &mut Desk) -> Result<(), Failure> {
        if place.member.hear(desk)? >= self.all && !std::mem::replace(&mut place.is_complete, true) {
            let _ = self.news.send(Ok(Instant::now()));
        }
        Ok(())
    }
}
