//! Real hobnobs for the tests: spawned from the program as built, watched through their JSON events,
//! killed by id when dropped, pass or fail.
//!
//! Threads read stdout and stderr as they come; whoever waits is woken by them, so nothing here sleeps
//! to give a process time. What does not come within `PATIENCE` fails the test with what did come.

#![allow(dead_code, reason = "each test file uses its part of this")]
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

pub(crate) mod chat;
pub(crate) mod host;
pub(crate) mod proxy;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

/// How long anything may take. Far more than it needs, as CI machines are slow.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Where nothing can be read or kept.
pub(crate) const NO_FOLDER: &str = "/dev/null/none";

/// How much of what a process said a failure shows, from its end.
const SHOWN_BYTES_MAX: usize = 16_000;

/// A hobnob that keeps nothing and tells what happens as JSON.
pub(crate) fn hobnob(nick: &str) -> Command {
    let mut command = with_identity(nick);
    command.arg("--ephemeral");
    command
}

/// The same without `--ephemeral`: the caller says where the key is kept.
pub(crate) fn with_identity(nick: &str) -> Command {
    let mut command = with_history(nick);
    command.arg("--no-history");
    command
}

/// The same with a history: the caller says where that is kept, too.
pub(crate) fn with_history(nick: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
    command.args(["--json", "--nick", nick]);
    for variable in ["RUST_LOG", "HOBNOB_ROOM_KEY", "HOBNOB_TICKET"] {
        command.env_remove(variable);
    }
    // Whom the user of this machine knows is no test's business.
    command.env("XDG_DATA_HOME", NO_FOLDER).env("XDG_STATE_HOME", NO_FOLDER);
    command
}

/// A node that accepts peers and says what the test gives to `say`.
pub(crate) fn chatting(nick: &str, args: &[&str]) -> Node {
    let mut command = hobnob(nick);
    command.args(["--listen", "127.0.0.1:0"]).args(args);
    Node::start(nick, command, Stdio::piped())
}

/// The same, but nobody can dial it.
pub(crate) fn undialable(nick: &str, args: &[&str]) -> Node {
    let mut command = hobnob(nick);
    command.args(["--no-listen", "--stay"]).args(args);
    Node::start(nick, command, Stdio::piped())
}

/// A run that ends with its input.
pub(crate) fn piping(nick: &str, args: &[&str]) -> Node {
    let mut command = hobnob(nick);
    command.args(args);
    Node::start(nick, command, Stdio::piped())
}

/// `start` to `end - 1` as lines of a name.
pub(crate) fn lines_of(name: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{name} {number}")).collect()
}

/// Raises this process's bound on open files, and with it that of the nodes which it starts.
pub(crate) fn allow_open_files(count: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a process has limits");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(count.min(hard)), hard)
        .expect("the soft limit may rise to the hard one");
}

/// What a process has written so far.
#[derive(Default)]
struct Heard {
    events: Vec<Value>,
    /// What on stdout is no event.
    lines: Vec<String>,
    stderr: String,
    /// Streams that have not ended.
    open: usize,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    changed: Condvar,
}

/// A running hobnob.
pub(crate) struct Node {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    /// Starts it and listens to all it says.
    pub(crate) fn start(name: &str, command: Command, stdin: Stdio) -> Self {
        let (node, stdout) = Self::start_raw(name, command, stdin);
        node.read(stdout, |heard, line| match serde_json::from_str::<Value>(line) {
            Ok(event) if event["event"].is_string() => heard.events.push(event),
            _ => heard.lines.push(line.to_owned()),
        });
        node
    }

    /// Starts it and leaves its stdout to the caller.
    pub(crate) fn start_raw(name: &str, mut command: Command, stdin: Stdio) -> (Self, ChildStdout) {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program that was built starts");
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let node = Self { name: name.to_owned(), child, stdin, shared: Arc::default() };
        node.read(stderr, |heard, line| {
            let _ = writeln!(heard.stderr, "{line}");
        });
        (node, stdout)
    }

    /// Starts a thread that notes each line of a stream.
    fn read(&self, stream: impl Read + Send + 'static, note: impl Fn(&mut Heard, &str) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        shared.heard.lock().open += 1;
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line);
                note(&mut shared.heard.lock(), text.strip_suffix('\n').unwrap_or(&text));
                shared.changed.notify_all();
                line.clear();
            }
            shared.heard.lock().open -= 1;
            shared.changed.notify_all();
        });
    }

    /// Waits until what was heard gives an answer.
    fn wait<T>(&self, what: &str, mut look: impl FnMut(&Heard) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = self.shared.heard.lock();
        loop {
            if let Some(answer) = look(&heard) {
                return answer;
            }
            let ended = heard.open == 0;
            if ended || self.shared.changed.wait_until(&mut heard, deadline).timed_out() {
                let why = if ended { "it ended" } else { "time is up" };
                panic!("{}: waited for {what}, but {why}\n{}", self.name, told(&heard));
            }
        }
    }

    /// Waits until all its events so far give an answer.
    pub(crate) fn wait_until<T>(&self, what: &str, mut look: impl FnMut(&[Value]) -> Option<T>) -> T {
        self.wait(what, |heard| look(&heard.events))
    }

    /// Waits for an event, which may have come already.
    pub(crate) fn wait_for(&self, what: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        self.wait_until(what, |events| events.iter().find(|event| is_it(event)).cloned())
    }

    /// Waits for `joined`, `left` or `lost` of a member.
    pub(crate) fn wait_for_member(&self, event: &str, nick: &str) -> Value {
        self.wait_for(&format!("{event} {nick}"), |told| told["event"] == event && told["member"]["nick"] == nick)
    }

    /// Waits until all of these are members.
    pub(crate) fn wait_for_all(&self, nicks: &[&str]) {
        for nick in nicks.iter().filter(|nick| **nick != self.name) {
            self.wait_for_member("joined", nick);
        }
    }

    /// Waits until it is linked to exactly these, each once.
    pub(crate) fn wait_for_links(&self, nicks: &[&str]) {
        let wanted: BTreeMap<String, i32> = nicks.iter().map(|nick| ((*nick).to_owned(), 1)).collect();
        self.wait_until(&format!("one link to each of {nicks:?}"), |events| (links(events) == wanted).then_some(()));
    }

    /// Waits for text on stderr.
    pub(crate) fn wait_for_stderr(&self, text: &str) {
        self.wait(&format!("{text:?} on stderr"), |heard| heard.stderr.contains(text).then_some(()));
    }

    /// Waits until text is on stderr so many times, and fails where it is there more often.
    pub(crate) fn wait_for_stderr_times(&self, text: &str, times: usize) {
        assert_eq!(self.wait_for_stderr_often(text, times), times, "{text:?}\n{}", self.told());
    }

    /// Waits until text is on stderr so many times or more; returns how many.
    pub(crate) fn wait_for_stderr_often(&self, text: &str, times: usize) -> usize {
        let what = format!("{text:?} on stderr, {times} times");
        let count = |heard: &Heard| Some(heard.stderr.matches(text).count()).filter(|count| *count >= times);
        self.wait(&what, count)
    }

    /// Waits for a line on stdout that is no event.
    pub(crate) fn wait_for_line(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        self.wait(what, |heard| heard.lines.iter().find(|line| is_it(line)).cloned())
    }

    /// Waits until the member has said these lines, and fails where it said others, or said them in
    /// another order or twice.
    pub(crate) fn wait_for_said(&self, nick: &str, lines: &[String]) {
        let what = format!("{} lines of {nick}", lines.len());
        let said = self.wait_until(&what, |events| {
            let said = said_by(events, nick);
            (said.len() >= lines.len() || !lines.starts_with(&said)).then_some(said)
        });
        assert!(said == lines, "{} heard of {nick}\n{said:?}\nand not\n{lines:?}", self.name);
    }

    /// What the test calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where it accepts peers.
    pub(crate) fn addr(&self) -> String {
        let listening = self.wait_for("listening", |event| event["event"] == "listening");
        listening["addr"].as_str().expect("listening has an addr").to_owned()
    }

    /// Its key.
    pub(crate) fn id(&self) -> String {
        let listening = self.wait_for("listening", |event| event["event"] == "listening");
        listening["id"].as_str().expect("listening has an id").to_owned()
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.shared.heard.lock().events.clone()
    }

    /// All of stderr so far.
    pub(crate) fn stderr(&self) -> String {
        self.shared.heard.lock().stderr.clone()
    }

    /// Writes a line into its stdin.
    pub(crate) fn say(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Writes lines into its stdin.
    pub(crate) fn say_all(&mut self, lines: &[String]) {
        self.write(format!("{}\n", lines.join("\n")).as_bytes());
    }

    /// Writes bytes into its stdin.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("stdin is a pipe that is open");
        if let Err(error) = stdin.write_all(bytes) {
            panic!("{} does not take its input: {error}\n{}", self.name, told(&self.shared.heard.lock()));
        }
    }

    /// Ends its stdin.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Its stdin, to write from another thread.
    pub(crate) fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is a pipe that is open")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id is an i32");
        kill(Pid::from_raw(id), signal).expect("a child that was not waited for takes signals");
    }

    /// Kills it without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    /// Waits for its end: the exit code.
    pub(crate) fn exit_code(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        let mut heard = self.shared.heard.lock();
        while heard.open > 0 {
            let late = self.shared.changed.wait_until(&mut heard, deadline).timed_out();
            assert!(!late, "{} does not end\n{}", self.name, told(&heard));
        }
        drop(heard);
        let status = self.child.wait().expect("a child can be waited for");
        status.code().unwrap_or_else(|| panic!("{} was ended by a signal: {status}", self.name))
    }

    /// Asks it to leave, and gives all its events.
    pub(crate) fn finish(mut self) -> Vec<Value> {
        self.signal(Signal::SIGTERM);
        let code = self.exit_code();
        assert_eq!(code, 0, "{} was asked to leave\n{}", self.name, self.told());
        self.events()
    }

    /// All it said, for the message of a failure.
    pub(crate) fn told(&self) -> String {
        told(&self.shared.heard.lock())
    }

    /// Its process id.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has held so far.
    pub(crate) fn peak_bytes(&self) -> u64 {
        status(self.child.id(), "VmHWM:").expect("a running process has a peak") * 1024
    }

    /// How many threads it has.
    pub(crate) fn threads(&self) -> u64 {
        status(self.child.id(), "Threads:").expect("a running process has threads")
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }
}

/// A number out of a process's status; `None` once it has ended.
pub(crate) fn status(process: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The end of what a process said.
fn told(heard: &Heard) -> String {
    let events: Vec<String> = heard.events.iter().map(shortened).collect();
    let (events, lines) = (events.join("\n"), heard.lines.join("\n"));
    let [events, lines, stderr] = [&events, &lines, &heard.stderr].map(|text| {
        let start = text.len().saturating_sub(SHOWN_BYTES_MAX);
        text.get(text.ceil_char_boundary(start)..).unwrap_or_default()
    });
    format!("--- stderr\n{stderr}\n--- events so far\n{events}\n--- other lines\n{lines}\n---")
}

/// An event without most of a long text.
fn shortened(event: &Value) -> String {
    let mut event = event.clone();
    if let Some(Value::String(text)) = event.get_mut("text") {
        text.truncate(text.floor_char_boundary(80));
    }
    event.to_string()
}

/// The lines that a member said, in the order in which they were shown.
pub(crate) fn said_by(events: &[Value], nick: &str) -> Vec<String> {
    let mut text = String::new();
    for event in events.iter().filter(|event| event["event"] == "say" && event["from"]["nick"] == nick) {
        text.push_str(event["text"].as_str().expect("a say has a text"));
        if event["part"] != true {
            text.push('\n');
        }
    }
    // A line of which not all parts have come is none yet.
    let whole = text.rfind('\n').and_then(|end| text.get(..=end)).unwrap_or_default();
    whole.split_terminator('\n').map(ToOwned::to_owned).collect()
}

/// How many links there are to whom.
fn links(events: &[Value]) -> BTreeMap<String, i32> {
    let mut links = BTreeMap::new();
    for event in events {
        let change = match event["event"].as_str() {
            Some("linked") => 1,
            Some("unlinked") => -1,
            _ => continue,
        };
        *links.entry(event["peer"]["nick"].as_str().unwrap_or_default().to_owned()).or_default() += change;
    }
    links.retain(|_, count| *count != 0);
    links
}

/// How often an event of that name was told about a member.
pub(crate) fn count_of(events: &[Value], event: &str, nick: &str) -> usize {
    events.iter().filter(|told| told["event"] == event && told["member"]["nick"] == nick).count()
}
