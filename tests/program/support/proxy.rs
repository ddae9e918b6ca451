//! Somebody on the way: passes connections on, keeps what it sees, and does the damage that it is told to do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::SockRef;

/// What is kept of each direction of a connection, from its start.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the dialler.
    Up,
    /// To the dialler.
    Down,
}

/// Damage to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// None.
    None,
    /// One bit of the byte at this place is flipped.
    Flip(Way, usize),
    /// So many bytes are passed on; then both ends are cut off.
    Cut(Way, usize),
    /// So many bytes are passed on; then nothing is any more, and nobody is told.
    Stall(Way, usize),
    /// All is passed on, and arrives so many milliseconds late.
    Delay(u64),
    /// No more than so many bytes a second are passed on.
    Pace(Way, usize),
}

/// What went over a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tapped {
    pub(crate) up: Vec<u8>,
    pub(crate) down: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    tapped: Mutex<Vec<Tapped>>,
    sockets: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

pub(crate) struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Passes connections on to `target`. The faults are for one connection each, in order; later ones have none.
    pub(crate) fn start(target: &str, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::<Shared>::default();
        let (target, faults, its) = (target.to_owned(), faults.to_vec(), Arc::clone(&shared));
        thread::spawn(move || {
            for index in 0.. {
                let Ok((near, _)) = listener.accept() else { return };
                if its.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(far) = TcpStream::connect(&target) else { continue };
                its.tapped.lock().push(Tapped::default());
                pass(&its, index, &near, &far, faults.get(index).copied().unwrap_or(Fault::None));
            }
        });
        Self { addr, shared }
    }

    pub(crate) fn addr(&self) -> String {
        self.addr.to_string()
    }

    /// What went over each connection so far.
    pub(crate) fn tapped(&self) -> Vec<Tapped> {
        self.shared.tapped.lock().clone()
    }

    /// Cuts all connections off, as a cable would.
    pub(crate) fn cut(&self) {
        for socket in self.shared.sockets.lock().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.addr);
        self.cut();
    }
}

fn pass(shared: &Arc<Shared>, index: usize, near: &TcpStream, far: &TcpStream, fault: Fault) {
    let copy = |socket: &TcpStream| socket.try_clone().expect("a socket can be shared");
    for socket in [near, far] {
        let _ = socket.set_nodelay(true);
        shared.sockets.lock().push(copy(socket));
    }
    for (way, from, to) in [(Way::Up, near, far), (Way::Down, far, near)] {
        let (shared, from, to) = (Arc::clone(shared), copy(from), copy(to));
        thread::spawn(move || match fault {
            Fault::Delay(ms) => pass_late(Duration::from_millis(ms), &from, &to),
            _ => pass_one_way(&shared, index, way, fault, (&from, &to)),
        });
    }
}

/// Passes everything on, each read a while after it came.
fn pass_late(late: Duration, mut from: &TcpStream, mut to: &TcpStream) {
    // Enough for a second of what a link takes here; beyond, the sender waits.
    let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(4_096);
    thread::scope(|scope| {
        scope.spawn(move || {
            for (due, bytes) in receiver {
                // The delay is the fault, and not a wait for something.
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if to.write_all(&bytes).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + late, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
        drop(sender);
    });
}

fn pass_one_way(shared: &Shared, index: usize, way: Way, fault: Fault, (mut from, mut to): (&TcpStream, &TcpStream)) {
    let mut passed = 0;
    let mut buffer = [0; 16 * 1024];
    if matches!(fault, Fault::Pace(which, _) if which == way) {
        // What the system keeps for a slow reader would be passed on in one piece.
        let _ = SockRef::from(from).set_recv_buffer_size(buffer.len());
        let _ = SockRef::from(to).set_send_buffer_size(buffer.len());
    }
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut bytes = &mut buffer[..count];
        let mut is_cut = false;
        match fault {
            Fault::Flip(which, at) if which == way && (passed..passed + count).contains(&at) => {
                bytes[at - passed] ^= 0x10;
            }
            Fault::Cut(which, at) if which == way && passed + count > at => {
                bytes = &mut bytes[..at - passed];
                is_cut = true;
            }
            Fault::Stall(which, at) if which == way => bytes = &mut bytes[..at.saturating_sub(passed).min(count)],
            // The pace is the fault, and not a wait for something.
            Fault::Pace(which, rate) if which == way => {
                thread::sleep(Duration::from_micros(1_000_000 * count as u64 / rate as u64));
            }
            _ => {}
        }
        if let Some(tapped) = shared.tapped.lock().get_mut(index) {
            let kept = if way == Way::Up { &mut tapped.up } else { &mut tapped.down };
            let room = KEPT_BYTES_MAX.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
        }
        passed += bytes.len();
        if to.write_all(bytes).is_err() || is_cut {
            let _ = from.shutdown(Shutdown::Both);
            break;
        }
    }
    // What has come before the end is still passed on the other way.
    let _ = to.shutdown(if matches!(fault, Fault::Cut(..)) { Shutdown::Both } else { Shutdown::Write });
}
