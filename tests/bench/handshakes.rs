//! Handshakes a second: how fast a node gives strangers an encrypted link.
//!
//! A handshake counts when the node's hello has come, encrypted. Both ends are on this machine, the node and the
//! bench; beside it the same arithmetic with nothing around it: both sides' messages of the same Noise handshake, in
//! memory, on all cores. Promised nothing; what is left of the limit is what sockets and threads cost.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hobnob::wire::secure::{Endpoint, NOISE};
use socket2::{Domain, Socket, Type};

use crate::Scale;
use crate::failure::Failure;
use crate::hobnob::Hobnob;
use crate::link::{Wire, wrong};
use crate::stream::float;
use crate::table::{Table, median, ratio, spread, thousands};

/// How long each is done again and again.
const SPAN: Duration = Duration::from_secs(3);

/// Who knock at a time.
const KNOCKERS: u64 = 8;

/// Runs everything; returns whether hobnob could be measured.
pub(crate) fn run(scale: Scale) -> bool {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for run in 1..=scale.runs {
        match run_hobnob().and_then(|own| Ok((own, run_bare()?))) {
            Ok((own, limit)) => {
                eprintln!("run {run}: hobnob {}, bare {} handshakes/s", thousands(own), thousands(limit));
                ours.push(own);
                bare.push(limit);
            }
            Err(failure) => {
                println!("\nhandshakes: stopped: {failure}");
                return false;
            }
        }
    }
    let limit = median(bare.iter().copied());
    let mut table = Table::new(&["", "handshakes/s, median (min–max)", "to bare"]);
    for (name, rates) in [("hobnob", &ours), ("bare loop", &bare)] {
        let own = median(rates.iter().copied());
        table.row([name.to_owned(), spread(rates, thousands), ratio(own, Some(limit))]);
    }
    table.print(&format!(
        "Handshakes: encrypted links to one node, up to its hello, {} interleaved runs of {} s; the bare loop does\n\
         both sides' part in memory, on all cores.",
        scale.runs,
        SPAN.as_secs()
    ));
    true
}

/// Does something on so many threads for the span; how often a second.
fn rate(threads: u64, once: impl Fn(u64) -> Result<(), Failure> + Sync) -> Result<f64, Failure> {
    let count = AtomicU64::new(0);
    let begin = Instant::now();
    let work = || {
        while begin.elapsed() < SPAN {
            once(count.fetch_add(1, Ordering::Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut outcomes = threads.into_iter().map(thread::ScopedJoinHandle::join);
        outcomes.try_for_each(|outcome| outcome.unwrap_or_else(|_| Err(wrong("a thread panicked"))))
    })?;
    Ok(float(count.into_inner()) / begin.elapsed().as_secs_f64())
}

fn run_hobnob() -> Result<f64, Failure> {
    let (_node, port) = Hobnob::Encrypted.start_node()?;
    let endpoint = Hobnob::Encrypted.endpoint()?;
    rate(KNOCKERS, |index| knock(port, index, &endpoint))
}

/// A node is wary of an address whose handshakes come to nothing, as these do: each has an address of its own.
fn knock(port: u16, index: u64, endpoint: &Endpoint) -> Result<(), Failure> {
    let [.., high, middle, low] = (index + 2).to_be_bytes();
    let own = SocketAddr::from((Ipv4Addr::new(127, high, middle, low), 0));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(Failure::system("socket"))?;
    socket.bind(&own.into()).map_err(Failure::system("address of its own"))?;
    let node = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    socket.connect(&node.into()).map_err(Failure::system("connect"))?;
    let mut wire = Wire::over(TcpStream::from(socket), endpoint)?;
    wire.await_control().map(|_| ())
}

fn run_bare() -> Result<f64, Failure> {
    let keys = [own_key()?, own_key()?];
    // As many threads, so that on a busy machine both get the same share of it.
    rate(KNOCKERS, |_| shake_hands(&keys).map_err(wrong))
}

fn own_key() -> Result<Vec<u8>, Failure> {
    let params = NOISE.parse().map_err(wrong)?;
    Ok(snow::Builder::new(params).generate_keypair().map_err(wrong)?.private)
}

/// Both sides of a handshake like a link's.
fn shake_hands([dialler, acceptor]: &[Vec<u8>; 2]) -> Result<(), snow::Error> {
    let psk = [7; 32];
    let builder = |key| snow::Builder::new(NOISE.parse()?).psk(0, &psk)?.local_private_key(key);
    let mut dialler = builder(dialler)?.build_initiator()?;
    let mut acceptor = builder(acceptor)?.build_responder()?;
    let mut message = [0; 256];
    let mut pass = |from: &mut snow::HandshakeState, to: &mut snow::HandshakeState| {
        let count = from.write_message(&[], &mut message)?;
        to.read_message(message.get(..count).unwrap_or_default(), &mut []).map(|_| ())
    };
    pass(&mut dialler, &mut acceptor)?;
    pass(&mut acceptor, &mut dialler)?;
    pass(&mut dialler, &mut acceptor)?;
    dialler.into_stateless_transport_mode()?;
    acceptor.into_stateless_transport_mode()?;
    Ok(())
}
