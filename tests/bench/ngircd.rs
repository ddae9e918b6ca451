//! An ngircd with all its limits lifted, and clients of it that join one channel.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use tempfile::TempDir;

use crate::contender::{command, free_port, require};
use crate::crowd::Member;
use crate::failure::Failure;
use crate::link::connect;
use crate::process::Process;

/// Its name in tables.
pub(crate) const NAME: &str = "ngircd";

/// Where all meet.
const CHANNEL: &str = "#crowd";

/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

/// A server that runs.
pub(crate) struct Ngircd {
    /// The process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) port: u16,
    _scratch: TempDir,
}

/// No limits, no look-ups of names and users, no pings meanwhile.
fn config(port: u16, pid: u32) -> String {
    format!(
        "[Global]\nName = bench.example\nInfo = bench\nListen = 127.0.0.1\nPorts = {port}\nMotdPhrase = hello\n\
         ServerUID = {uid}\nServerGID = {gid}\n\
         [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\nPingTimeout = 600\n\
         PongTimeout = 600\n\
         [Options]\nDNS = no\nIdent = no\nPAM = no\nIncludeDir = /nonexistent-{pid}\n\
         [Channel]\nName = {CHANNEL}\n",
        uid = nix::unistd::getuid(),
        gid = nix::unistd::getgid(),
    )
}

/// Starts one.
pub(crate) fn start() -> Result<Ngircd, Failure> {
    require(NAME)?;
    let scratch = TempDir::new().map_err(Failure::system("temporary folder"))?;
    let path = scratch.path().join("ngircd.conf");
    let port = free_port()?;
    fs::write(&path, config(port, std::process::id())).map_err(Failure::system("server's configuration"))?;
    let mut command = command(NAME);
    command.arg("--nodaemon").arg("--config").arg(&path);
    let process = Process::spawn(NAME, &mut command, Stdio::null(), Stdio::null())?;
    let mut process = process.told_to_listen(port);
    process.listening_port()?;
    Ok(Ngircd { process, port, _scratch: scratch })
}

/// A client in the channel, as light as can be: it counts the names it is told.
pub(crate) struct Client {
    socket: TcpStream,
    bytes: Vec<u8>,
    end: usize,
    names: usize,
    is_in: bool,
}

impl Client {
    /// Connects and joins, until the server says that it is in.
    pub(crate) fn enter(port: u16, index: usize) -> Result<Self, Failure> {
        let mut socket = connect(port)?;
        let words = format!("NICK g{index}\r\nUSER g 0 * :guest\r\nJOIN {CHANNEL}\r\n");
        socket.write_all(words.as_bytes()).map_err(Failure::system("client"))?;
        let mut client = Self { socket, bytes: vec![0; 1024], end: 0, names: 0, is_in: false };
        while !client.is_in {
            client.fill()?;
            client.take_lines()?;
        }
        client.socket.set_nonblocking(true).map_err(Failure::system("socket"))?;
        Ok(client)
    }

    fn fill(&mut self) -> Result<bool, Failure> {
        if self.end == self.bytes.len() {
            self.bytes.resize((self.end * 4).min(READ_BYTES), 0);
        }
        let space = self.bytes.get_mut(self.end..).unwrap_or_default();
        match self.socket.read(space) {
            Ok(0) => Err(Failure::Link("ngircd has closed a connection".to_owned())),
            Ok(count) => {
                self.end += count;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(Failure::system("client")(error)),
        }
    }

    fn take_lines(&mut self) -> Result<(), Failure> {
        let mut begin = 0;
        while let Some(length) = memchr::memchr(b'\n', self.bytes.get(begin..self.end).unwrap_or_default()) {
            let line = self.bytes.get(begin..begin + length).unwrap_or_default();
            begin += length + 1;
            match line.split(|byte| *byte == b' ').nth(1).unwrap_or_default() {
                b"JOIN" => self.names += 1,
                b"353" => {
                    let names = memchr::memrchr(b':', line).and_then(|index| line.get(index + 1..)).unwrap_or_default();
                    self.names += names.trim_ascii().split(|byte| *byte == b' ').count();
                }
                // Its own name was among them, and has come with its own JOIN.
                b"366" => {
                    self.is_in = true;
                    self.names -= 1;
                }
                _ if line.starts_with(b"ERROR") => {
                    return Err(Failure::Link(String::from_utf8_lossy(line).into_owned()));
                }
                _ => {}
            }
        }
        self.bytes.copy_within(begin..self.end, 0);
        self.end -= begin;
        Ok(())
    }
}

impl Member for Client {
    fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn hear(&mut self) -> Result<usize, Failure> {
        while self.fill()? {
            self.take_lines()?;
        }
        Ok(self.names)
    }
}
