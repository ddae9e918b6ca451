//! A child process: started, watched through /proc, and killed by its id when dropped.
//!
//! Nothing here sleeps to give a process time. What has no event to wait for (a port in
//! /proc/net/tcp, an exit) is looked at again until it is there or its deadline has passed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use parking_lot::Mutex;

use crate::failure::Failure;

/// How long a process may take to be ready, or to end. Far more than any needs.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(30);

/// How often /proc is looked at while something is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// How much of a process's last words an error message holds.
const COMPLAINT_BYTES_MAX: usize = 400;

/// The children that run, for `kill_all`.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Kills the children that still run; for a signal that ends the bench itself. The lock is kept, so
/// that no other one is started.
pub(crate) fn kill_all() {
    let running = RUNNING.lock();
    for id in running.iter() {
        let _ = kill(Pid::from_raw(*id), Signal::SIGKILL);
    }
    std::mem::forget(running);
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    let deadline = Instant::now() + READY_LIMIT;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(Failure::Late { what: what.to_owned(), limit: READY_LIMIT, complaint: String::new() });
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// What a process has used since it began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Time on a core, in user and system mode.
    pub(crate) cpu: Duration,
    /// The most memory that it ever held in RAM.
    pub(crate) peak_bytes: u64,
    /// What it holds there now.
    pub(crate) resident_bytes: u64,
    /// How many threads it has.
    pub(crate) threads: u64,
}

/// A child with its last words.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    stderr: File,
    /// Where it was told to listen, if it was.
    port: Option<u16>,
}

impl Process {
    /// Starts a program. Its stderr goes to a nameless file, to be quoted when it fails.
    pub(crate) fn spawn(name: &str, command: &mut Command, stdin: Stdio, stdout: Stdio) -> Result<Self, Failure> {
        let stderr = tempfile::tempfile().map_err(Failure::system("temporary file"))?;
        let theirs = stderr.try_clone().map_err(Failure::system("temporary file"))?;
        // A RUST_LOG of the caller's would cost one contender alone.
        command.env_remove("RUST_LOG");
        // Held while spawning, so that `kill_all` misses none.
        let mut running = RUNNING.lock();
        let child = command.stdin(stdin).stdout(stdout).stderr(theirs).spawn();
        let child = child.map_err(Failure::system(format!("start of {name}")))?;
        running.insert(child.id().cast_signed());
        Ok(Self { name: name.to_owned(), child, stderr, port: None })
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes the pipe to its stdin.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Takes the pipe from its stdout.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// CPU time and peak memory so far.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.child.id());
            fs::read_to_string(&path).map_err(Failure::system(path))
        };
        let ticks = cpu_ticks(&read("stat")?);
        let ticks_per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
        let status = read("status")?;
        let bytes = |key| status_number(&status, key) * 1024;
        Ok(Usage {
            cpu: Duration::from_millis(ticks * 1_000 / ticks_per_second.unwrap_or(100)),
            peak_bytes: bytes("VmHWM:"),
            resident_bytes: bytes("VmRSS:"),
            threads: status_number(&status, "Threads:"),
        })
    }

    /// Waits until it listens on a TCP port, and says which.
    pub(crate) fn listening_port(&mut self) -> Result<u16, Failure> {
        until(&format!("port of {}", self.name), || {
            self.check_running()?;
            Ok(self.own_port())
        })
        .map_err(|failure| self.add_complaint(failure))
    }

    /// The port that it was told to listen on.
    pub(crate) fn told_to_listen(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The port it was told, once somebody listens there; else that of the first listening socket among its
    /// descriptors.
    fn own_port(&self) -> Option<u16> {
        if let Some(port) = self.port {
            let listens = |socket: &TcpSocket| socket.state == TCP_LISTEN && socket.local_port == port;
            return tcp_sockets().iter().any(listens).then_some(port);
        }
        let folder = fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok()?;
        let targets = folder.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        let own: BTreeSet<String> = targets.filter_map(|target| target.to_str().map(str::to_owned)).collect();
        tcp_sockets()
            .into_iter()
            .find(|socket| socket.state == TCP_LISTEN && own.contains(&format!("socket:[{}]", socket.inode)))
            .map(|socket| socket.local_port)
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus, Failure> {
        let name = self.name.clone();
        until(&format!("end of {name}"), || self.child.try_wait().map_err(Failure::system(name.clone())))
            .map_err(|failure| self.add_complaint(failure))
    }

    /// An error if it has ended.
    pub(crate) fn check_running(&mut self) -> Result<(), Failure> {
        match self.child.try_wait().map_err(Failure::system(self.name.clone()))? {
            None => Ok(()),
            Some(status) => {
                Err(Failure::Ended { name: self.name.clone(), status: status.to_string(), complaint: self.complaint() })
            }
        }
    }

    /// Stops it as a debugger would; it keeps its sockets and reads nothing.
    pub(crate) fn freeze(&self) -> Result<(), Failure> {
        self.signal(Signal::SIGSTOP)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let id = Pid::from_raw(self.child.id().cast_signed());
        kill(id, signal).map_err(Failure::system(format!("signal to {}", self.name)))
    }

    /// Puts its last words into an error about a deadline.
    fn add_complaint(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Late { what, limit, .. } => Failure::Late { what, limit, complaint: self.complaint() },
            other => other,
        }
    }

    /// The last words on its stderr, ready to stand behind a sentence.
    pub(crate) fn complaint(&self) -> String {
        let mut text = Vec::new();
        let read = (&self.stderr).seek(SeekFrom::Start(0)).and_then(|_| (&self.stderr).read_to_end(&mut text));
        let tail = text.get(text.len().saturating_sub(COMPLAINT_BYTES_MAX)..).unwrap_or_default().trim_ascii();
        match read {
            Ok(_) if !tail.is_empty() => {
                let tail = String::from_utf8_lossy(tail).replace('\n', " | ");
                format!("; {}: {tail}", self.name)
            }
            _ => String::new(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Held, so that `kill_all` never kills an id that is somebody else's already.
        let mut running = RUNNING.lock();
        let _ = self.child.kill();
        let _ = self.child.wait();
        running.remove(&self.child.id().cast_signed());
    }
}

/// utime and stime of /proc/PID/stat, fields 14 and 15; the name before them may hold blanks.
fn cpu_ticks(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_ascii_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn status_number(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_ascii_whitespace().next()).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// ESTABLISHED in /proc/net/tcp.
const TCP_ESTABLISHED: &str = "01";

/// LISTEN in /proc/net/tcp.
const TCP_LISTEN: &str = "0A";

struct TcpSocket {
    local_port: u16,
    state: String,
    inode: String,
}

/// The TCP sockets over IPv4 of this network namespace.
fn tcp_sockets() -> Vec<TcpSocket> {
    let table = fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    table.lines().skip(1).filter_map(parse_tcp_line).collect()
}

fn parse_tcp_line(line: &str) -> Option<TcpSocket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, port) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?.to_owned();
    let inode = fields.nth(5)?.to_owned();
    Some(TcpSocket { local_port: u16::from_str_radix(port, 16).ok()?, state, inode })
}

/// How many connections a listening port has accepted and still holds.
pub(crate) fn connections(port: u16) -> usize {
    tcp_sockets().iter().filter(|socket| socket.local_port == port && socket.state == TCP_ESTABLISHED).count()
}
