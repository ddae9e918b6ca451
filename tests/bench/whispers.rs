//! How long it takes until an answer is there: to a line that is said to all, and to one that is whispered.
//!
//! Two ends with `--json --commands`: a line is written to the stdin of one, read at the stdout of the other one and
//! answered there at once; what counts is when the answer is read at the first. Said and whispered in turns, over a link
//! between the two, and through a relay between two who have none. A round begins when the receipts of the last one's
//! whispers are there, so that no line waits for those of another. Beside it the arithmetic of both: a post is signed and
//! checked, a whisper sealed and opened, and its receipt is as well, which stands between a question and its answer.
//! Promised, at the median: whispered at most six times as long as said.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Instant;

use hobnob::identity::Identity;
use hobnob::wire::record::{Domain, Nick};
use hobnob::wire::seal::{Chance, Content, Sealer, Text};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use crate::Scale;
use crate::failure::Failure;
use crate::hobnob::{Hobnob, ROOM, listening};
use crate::latency::percentile;
use crate::link::wrong;
use crate::process::{Process, READY_LIMIT, connections};
use crate::stream::float;
use crate::table::{Table, median, ratio, verdict};

/// Rounds of each manner in one run that count.
const ROUNDS: usize = 500;

/// Before them, so that both know each other's key and way.
const WARM_UP_ROUNDS: usize = 20;

/// What a person might say.
const TEXT_BYTES: usize = 60;

/// How often the arithmetic is done.
const SUMS: u64 = 500;

/// Promised: at most so many times a said line's, at the median.
const RATIO_MAX: f64 = 6.0;

/// p50 and p99, in microseconds.
type Percentiles = [f64; 2];

/// How the two are linked.
#[derive(Debug, Clone, Copy)]
enum Way {
    Link,
    Relay,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Way::Link => "over a link",
            Way::Relay => "through a relay",
        }
    }
}

/// Who hears a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Said,
    Whispered,
}

const MANNERS: [Manner; 2] = [Manner::Said, Manner::Whispered];

impl Manner {
    fn name(self) -> &'static str {
        match self {
            Manner::Said => "said",
            Manner::Whispered => "whispered",
        }
    }

    /// The name of its event.
    fn event(self) -> &'static str {
        match self {
            Manner::Said => "say",
            Manner::Whispered => "whisper",
        }
    }

    /// What is typed.
    fn typed(self, to: &str, text: &str) -> String {
        match self {
            Manner::Said => format!("{text}\n"),
            Manner::Whispered => format!("/msg {to} {text}\n"),
        }
    }
}

/// Runs everything; returns whether hobnob could be measured.
pub(crate) fn run(scale: Scale) -> bool {
    let mut table = Table::new(&["", "p50 µs", "p99 µs", "p50 to said", "p99 to said"]);
    let mut verdicts = Vec::new();
    let ways = [Way::Link, Way::Relay];
    let mut runs: [[Vec<Percentiles>; 2]; 2] = Default::default();
    for run in 1..=scale.runs {
        for (way, runs) in ways.iter().zip(&mut runs) {
            match measure(*way) {
                Ok(both) => {
                    for ((manner, runs), percentiles) in MANNERS.iter().zip(runs).zip(both) {
                        eprintln!("run {run}, {} {}: {percentiles:.0?} µs", manner.name(), way.name());
                        runs.push(percentiles);
                    }
                }
                Err(failure) => {
                    println!("whispers, {}, stopped: {failure}", way.name());
                    return false;
                }
            }
        }
    }
    for (way, runs) in ways.iter().zip(&runs) {
        let middle = runs.each_ref().map(|runs| {
            let part = |part: usize| median(runs.iter().filter_map(|run| run.get(part).copied()));
            [part(0), part(1)]
        });
        let [said, whispered] = middle;
        for (manner, own) in MANNERS.iter().zip(middle) {
            let cells = own.iter().map(|micros| format!("{micros:.0}"));
            let ratios = own.iter().zip(said).map(|(own, said)| ratio(*own, Some(said)));
            table.row([format!("{} {}", manner.name(), way.name())].into_iter().chain(cells).chain(ratios));
        }
        let times = whispered[0] / said[0];
        let text = format!("{}: whispered {times:.2} times as long as said, at most {RATIO_MAX:.0}", way.name());
        verdicts.push((times <= RATIO_MAX, text));
    }
    table.print(&format!(
        "Whispers: from a line written to one's stdin, which the other one answers, to the answer read at one's stdout;\n\
         {ROUNDS} rounds of each in turns, medians of {} interleaved runs.",
        scale.runs
    ));
    println!();
    match arithmetic() {
        Ok([said, whispered]) => {
            println!(
                "The arithmetic: a post signed and checked {said:.0} µs, a whisper sealed and opened {whispered:.0} µs."
            );
        }
        Err(failure) => println!("The arithmetic: {failure}"),
    }
    for (holds, what) in verdicts {
        verdict(holds, &what);
    }
    true
}

/// Starts two who are linked so, and has them talk.
fn measure(way: Way) -> Result<[Percentiles; 2], Failure> {
    let (mut relay, mut alice, mut bob) = match way {
        Way::Link => {
            let mut alice = End::start("alice", &["--listen", "127.0.0.1:0"])?;
            let is_it = |event: &Value| word(event, "/event") == Some("listening");
            let addr =
                alice.wait_for("address", |event| word(event, "/addr").filter(|_| is_it(event)).map(str::to_owned))?;
            (None, alice, End::start("bob", &["--no-listen", &addr])?)
        }
        Way::Relay => {
            let mut command = Hobnob::Encrypted.command("relay");
            let mut relay = listening("relay", command.args(["--quiet", "--no-mesh"]), Stdio::null())?;
            let addr = format!("127.0.0.1:{}", relay.listening_port()?);
            let start = |nick| End::start(nick, &["--no-mesh", "--no-listen", &addr]);
            (Some(relay), start("alice")?, start("bob")?)
        }
    };
    alice.wait_for_member("bob")?;
    bob.wait_for_member("alice")?;
    if let Some(relay) = &mut relay {
        let found = connections(relay.listening_port()?);
        if found != 2 {
            return Err(Failure::Topology { name: relay.name().to_owned(), found, wanted: 2 });
        }
    }
    let mut took = [Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)];
    for round in 0..WARM_UP_ROUNDS + ROUNDS {
        for (manner, took) in MANNERS.iter().zip(&mut took) {
            let nanos = ask_and_answer(*manner, round, &mut alice, &mut bob)?;
            if round >= WARM_UP_ROUNDS {
                took.push(nanos);
            }
        }
    }
    Ok(took.map(|mut took| {
        took.sort_unstable();
        [500, 990].map(|permille| percentile(&took, permille))
    }))
}

/// One round, in nanoseconds.
fn ask_and_answer(manner: Manner, round: usize, alice: &mut End, bob: &mut End) -> Result<u64, Failure> {
    let [question, answer] =
        ["question", "answer"].map(|what| format!("{what:.<width$}{round:09}", width = TEXT_BYTES - 9));
    let began = Instant::now();
    alice.say(manner, "bob", &question)?;
    bob.wait_for_text(manner, &question)?;
    bob.say(manner, "alice", &answer)?;
    alice.wait_for_text(manner, &answer)?;
    let took = began.elapsed();
    for end in [alice, bob] {
        end.wait_for_receipts()?;
    }
    Ok(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
}

/// One of the two who talk.
struct End {
    process: Process,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// What was read and is no whole line yet, or was not asked for.
    unread: Vec<u8>,
    /// Whispers of its own, and how many of them are confirmed.
    whispered: usize,
    confirmed: usize,
}

impl End {
    fn start(nick: &str, args: &[&str]) -> Result<Self, Failure> {
        let mut command = Hobnob::Encrypted.command(nick);
        command.args(["--json", "--commands", "--stay"]).args(args);
        let mut process = Process::spawn(nick, &mut command, Stdio::piped(), Stdio::piped())?;
        let stdin = process.take_stdin().ok_or(Failure::Missing("stdin"))?;
        let stdout = process.take_stdout().ok_or(Failure::Missing("stdout"))?;
        Ok(Self { process, stdin, stdout, unread: Vec::new(), whispered: 0, confirmed: 0 })
    }

    fn say(&mut self, manner: Manner, to: &str, text: &str) -> Result<(), Failure> {
        self.whispered += usize::from(manner == Manner::Whispered);
        self.stdin.write_all(manner.typed(to, text).as_bytes()).map_err(Failure::system("stdin"))
    }

    fn wait_for_member(&mut self, nick: &str) -> Result<(), Failure> {
        let is_it =
            |event: &Value| word(event, "/event") == Some("joined") && word(event, "/member/nick") == Some(nick);
        self.wait_for(nick, |event| is_it(event).then_some(()))
    }

    /// Its own lines come back as well.
    fn wait_for_text(&mut self, manner: Manner, text: &str) -> Result<(), Failure> {
        let is_it = |event: &Value| {
            word(event, "/event") == Some(manner.event())
                && word(event, "/text") == Some(text)
                && event.get("mine") == Some(&Value::Bool(false))
        };
        self.wait_for(manner.event(), |event| is_it(event).then_some(()))
    }

    fn wait_for_receipts(&mut self) -> Result<(), Failure> {
        while self.confirmed < self.whispered {
            self.wait_for("receipt", |event| (word(event, "/event") == Some("delivered")).then_some(()))?;
        }
        Ok(())
    }

    /// Reads until there is what is looked for.
    fn wait_for<T>(&mut self, what: &str, mut find: impl FnMut(&Value) -> Option<T>) -> Result<T, Failure> {
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let event = self.next_event(what, deadline)?;
            if word(&event, "/event") == Some("delivered") {
                self.confirmed += event.get("ids").and_then(Value::as_array).map_or(0, Vec::len);
            }
            if let Some(found) = find(&event) {
                return Ok(found);
            }
        }
    }

    fn next_event(&mut self, what: &str, deadline: Instant) -> Result<Value, Failure> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return serde_json::from_slice(&line).map_err(wrong);
            }
            self.read(what, deadline)?;
        }
    }

    fn read(&mut self, what: &str, deadline: Instant) -> Result<(), Failure> {
        let mut stdout = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN)];
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut stdout, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => {
                let what = format!("{what} at {}", self.process.name());
                return Err(Failure::Late { what, limit: READY_LIMIT, complaint: self.process.complaint() });
            }
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(()),
            Err(error) => return Err(Failure::system("poll")(error)),
        }
        let mut bytes = [0; 4096];
        let count = self.stdout.read(&mut bytes).map_err(Failure::system("stdout"))?;
        if count == 0 {
            self.process.wait()?;
            self.process.check_running()?;
        }
        self.unread.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(())
    }
}

/// A string somewhere in an event.
fn word<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer)?.as_str()
}

/// How long what a line needs of it takes, said and whispered, in microseconds: the one is signed once and checked once by
/// each, the other sealed and opened.
fn arithmetic() -> Result<[f64; 2], Failure> {
    let [alice, bob] = [Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32])];
    let domain = Domain::of_room(ROOM);
    let of = |identity: &Identity, seed| Sealer::new(identity, ROOM, &domain, Chance::from_seed([seed; 32]));
    let (mut from, to) = (of(&alice, 3), of(&bob, 4));
    let nick = Nick::new("alice").map_err(wrong)?;
    let text = Text { stream: 1, number: 1, at: 1, nick, text: ".".repeat(TEXT_BYTES), action: false, part: false };
    let content = Content::Text(text);
    let said = micros_each(|index| {
        let hash = *blake3::hash(&index.to_le_bytes()).as_bytes();
        let signature = alice.sign(&hash);
        if alice.id().verify(&hash, &signature) { Ok(()) } else { Err(wrong("a signature that does not hold")) }
    })?;
    let whispered = micros_each(|_| {
        let sealed = from.seal(bob.id(), &to.key(), &content).map_err(wrong)?;
        to.open(&sealed).map(|_| ()).map_err(wrong)
    })?;
    Ok([said, whispered])
}

fn micros_each(mut sum: impl FnMut(u64) -> Result<(), Failure>) -> Result<f64, Failure> {
    let began = Instant::now();
    (0..SUMS).try_for_each(&mut sum)?;
    Ok(began.elapsed().as_secs_f64() * 1_000_000.0 / float(SUMS))
}
