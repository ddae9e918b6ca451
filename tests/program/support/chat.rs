//! A live node, and two honest members who chat through it while somebody else misbehaves.
//!
//! What the node costs meanwhile is watched from outside, through /proc: threads and memory are held to bounds
//! that come out of `limits`.

use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hobnob::identity::Id;
use hobnob::limits::{
    DIALS_MAX, HANDSHAKES_MAX, LINKS_CLOSING_MAX, LINKS_GREETING_MAX, LOG_LINE_BYTES_MAX, OUTBOX_BYTES_MAX,
    OUTBOX_CONTROL_BYTES_MAX, READ_BYTES_MAX, READER_STACK_BYTES, ROUTER_QUEUE_RUNS_MAX, SEALED_BYTES_MAX, WRITERS_MAX,
};
use hobnob::wire::secure::LinkSecurity;
use serde_json::Value;

use super::wire::{Wire, connect_from, open_lobby};
use super::{Node, chatting, said_by, status, undialable};

/// A line takes no longer than this, whatever else goes on: a person waits for it.
pub(crate) const LIVELY: Duration = Duration::from_secs(10);

/// How often the node's threads are counted.
const LOOK_UP: Duration = Duration::from_millis(10);

/// A line of the log. What a peer sent is quoted in part, and what cannot be shown takes up to four times its room.
const LOGGED_BYTES_MAX: usize = 4 * LOG_LINE_BYTES_MAX;

/// What a link may hold at the most: its reader's stack and buffers, a message that is opened, and what waits
/// for its socket.
const LINK_BYTES_MAX: u64 = (READER_STACK_BYTES
    + 2 * READ_BYTES_MAX
    + u16::MAX as usize
    + OUTBOX_BYTES_MAX
    + OUTBOX_CONTROL_BYTES_MAX
    + SEALED_BYTES_MAX) as u64;

/// Runs on their way to the router. Records take more room than their text, at the worst four times as much.
const QUEUE_BYTES_MAX: u64 = 4 * (ROUTER_QUEUE_RUNS_MAX * READ_BYTES_MAX) as u64;

/// What the allocator keeps for itself in a program of some dozen threads.
const SLACK_BYTES: u64 = 16 * 1024 * 1024;

/// What the node may cost over what it costs in peace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// Links of strangers at a time.
    pub(crate) links: usize,
    /// Bytes of what strangers say that are kept.
    pub(crate) kept_bytes: usize,
}

impl Cost {
    /// A stranger or three, and nothing kept.
    pub(crate) const LITTLE: Cost = Cost { links: 4, kept_bytes: 0 };

    /// As many strangers as may be at the door, and on their way back from it.
    pub(crate) fn crowd() -> Self {
        let writers = thread::available_parallelism().map_or(1, usize::from).min(WRITERS_MAX);
        Self { links: HANDSHAKES_MAX + LINKS_GREETING_MAX + LINKS_CLOSING_MAX * writers, kept_bytes: 0 }
    }
}

/// A node, and two who chat through it.
pub(crate) struct Chat {
    pub(crate) node: Node,
    pub(crate) alice: Node,
    pub(crate) bob: Node,
    args: &'static [&'static str],
    said: Vec<String>,
    /// What the node cost before any stranger came.
    base_threads: u64,
    base_bytes: u64,
    meter: Meter,
    /// How many have come from addresses of their own.
    strangers: AtomicUsize,
}

impl Chat {
    /// On encrypted links.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn in_the_clear() -> Self {
        Self::start_with(&["--plaintext"])
    }

    fn start_with(args: &'static [&'static str]) -> Self {
        let node = chatting("node", &[args, &["-v"]].concat());
        let addr = node.addr();
        let [alice, bob] = ["alice", "bob"].map(|nick| undialable(nick, &[args, &[&addr]].concat()));
        for one in [&node, &alice, &bob] {
            one.wait_for_all(&["node", "alice", "bob"]);
        }
        let (base_threads, meter) = (node.threads(), Meter::start(node.process_id()));
        let mut chat = Self {
            args,
            said: Vec::new(),
            base_threads,
            base_bytes: 0,
            meter,
            strangers: AtomicUsize::new(0),
            node,
            alice,
            bob,
        };
        chat.goes_on("before");
        chat.base_bytes = chat.node.peak_bytes();
        chat
    }

    /// An address of this machine that nobody has come from yet.
    pub(crate) fn elsewhere(&self) -> String {
        let number = self.strangers.fetch_add(1, Ordering::Relaxed);
        format!("127.1.{}.{}", number / 250, number % 250 + 1)
    }

    /// A connection from elsewhere on which nothing was said yet.
    pub(crate) fn connect(&self) -> TcpStream {
        connect_from(&self.elsewhere(), &self.node.addr())
    }

    /// Somebody from elsewhere who is linked and has said nothing yet.
    pub(crate) fn stranger(&self) -> Wire {
        self.stranger_called("eve")
    }

    /// The same; another name makes another identity.
    pub(crate) fn stranger_called(&self, nick: &str) -> Wire {
        let security = if self.args.is_empty() { open_lobby() } else { LinkSecurity::Plaintext };
        Wire::dial_over(self.connect(), nick, security).expect("the node makes the handshake")
    }

    /// Who alice is.
    pub(crate) fn alice_id(&self) -> Id {
        let joined = self.node.wait_for_member("joined", "alice");
        let id = joined["member"]["id"].as_str().expect("a member has an id");
        Id::from_hex(id.as_bytes()).expect("an id is 64 digits")
    }

    /// Another honest member.
    pub(crate) fn newcomer(&self, nick: &str) -> Node {
        undialable(nick, &[self.args, &[&self.node.addr()]].concat())
    }

    /// Alice and bob say something, and all others see it, soon.
    pub(crate) fn goes_on(&mut self, line: &str) {
        let asked = Instant::now();
        self.said.push(line.to_owned());
        self.alice.say(line);
        for one in [&self.node, &self.bob] {
            one.wait_for_said("alice", &self.said);
        }
        self.bob.say(line);
        for one in [&self.node, &self.alice] {
            one.wait_for_said("bob", &self.said);
        }
        let took = asked.elapsed();
        assert!(took < LIVELY, "the chat stood still for {took:?}\n{}", self.node.told());
    }

    /// The chat has not noticed the stranger, and whoever is honest may still come. All events of the node.
    pub(crate) fn finish(self) -> Vec<Value> {
        self.finish_but(Cost::LITTLE, |_| false)
    }

    /// The same after something that costs more, or of which members are told in events like these.
    pub(crate) fn finish_but(mut self, cost: Cost, is_expected: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.goes_on("after");
        let mut dora = self.newcomer("dora");
        dora.say("hello");
        for one in [&self.node, &self.alice, &self.bob] {
            one.wait_for_said("dora", &["hello".to_owned()]);
        }
        self.goes_on("welcome");
        dora.wait_until("the answer", |events| {
            said_by(events, "bob").iter().any(|line| line == "welcome").then_some(())
        });
        self.check_cost(cost);
        drop(dora.finish());
        for one in [self.alice, self.bob] {
            let events = one.finish();
            for nick in ["alice", "bob"] {
                assert_eq!(said_by(&events, nick), self.said);
            }
            let is_trouble = |event: &&Value| is_trouble(event) && !is_expected(event);
            assert_eq!(events.iter().filter(is_trouble).count(), 0, "nobody notices: {events:?}");
        }
        let events = self.node.finish();
        for nick in ["alice", "bob"] {
            assert_eq!(said_by(&events, nick), self.said);
        }
        events
    }

    fn check_cost(&self, cost: Cost) {
        let links = cost.links as u64;
        // Dials may be under way, and readers of links that have ended may wait to tell the router.
        let threads_max = self.base_threads + links + (DIALS_MAX + ROUTER_QUEUE_RUNS_MAX) as u64;
        let threads = self.meter.peak();
        assert!(threads <= threads_max, "{threads} threads, over {threads_max}\n{}", self.node.told());
        let bytes_max =
            self.base_bytes + links * LINK_BYTES_MAX + QUEUE_BYTES_MAX + cost.kept_bytes as u64 + SLACK_BYTES;
        let stderr = self.node.stderr();
        let longest = stderr.lines().map(str::len).max().unwrap_or_default();
        assert!(longest <= LOGGED_BYTES_MAX, "nobody writes the log but the node: {longest} bytes in a line");
        let bytes = self.node.peak_bytes();
        assert!(bytes <= bytes_max, "{bytes} bytes of memory, over {bytes_max}\n{}", self.node.told());
    }
}

/// Whether an honest member is told of trouble, or hears a stranger.
fn is_trouble(event: &Value) -> bool {
    let told = event["text"].as_str().unwrap_or_default();
    let is_bad = ["lost", "gap", "warning", "error"].iter().any(|bad| event["event"] == *bad);
    let is_unlinked = event["event"] == "unlinked" && event["reason"] != "goodbye";
    let is_heard =
        event["event"] == "say" && event["from"]["nick"].as_str().is_some_and(|nick| nick.starts_with("eve"));
    (is_bad && !told.contains("--plaintext")) || is_unlinked || is_heard
}

/// Counts a process's threads until it is dropped.
struct Meter {
    peak: Arc<AtomicU64>,
    over: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    fn start(process: u32) -> Self {
        let peak = Arc::<AtomicU64>::default();
        let (over, is_over) = channel();
        let its = Arc::clone(&peak);
        let thread = thread::spawn(move || Self::run(process, &its, &is_over));
        Self { peak, over: Some(over), thread: Some(thread) }
    }

    fn run(process: u32, peak: &AtomicU64, is_over: &Receiver<()>) {
        while let Some(threads) = status(process, "Threads:") {
            peak.fetch_max(threads, Ordering::Relaxed);
            if is_over.recv_timeout(LOOK_UP) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        drop(self.over.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
