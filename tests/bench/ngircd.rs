//! An ngircd with all its limits lifted, and clients of it that join one channel.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use tempfile::TempDir;

use crate::contender::{command, free_port, require};
use crate::crowd::{Desk, Member};
use crate::failure::Failure;
use crate::link::connect;
use crate::process::Process;

/// Its name in tables.
pub(crate) const NAME: &str = "ngircd";

/// Where all meet.
const CHANNEL: &str = "#crowd";

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
    /// The start of a line.
    rest: Vec<u8>,
    names: usize,
    is_in: bool,
}

impl Client {
    /// Connects and joins, until the server says that it is in.
    pub(crate) fn enter(port: u16, index: usize, desk: &mut Desk) -> Result<Self, Failure> {
        let mut socket = connect(port)?;
        let words = format!("NICK g{index}\r\nUSER g 0 * :guest\r\nJOIN {CHANNEL}\r\n");
        socket.write_all(words.as_bytes()).map_err(Failure::system("client"))?;
        let mut client = Self { socket, rest: Vec::new(), names: 0, is_in: false };
        while !client.is_in {
            client.read(desk)?;
        }
        client.socket.set_nonblocking(true).map_err(Failure::system("socket"))?;
        Ok(client)
    }

    /// Reads once, and looks at the lines that have come; whether there may be more.
    fn read(&mut self, desk: &mut Desk) -> Result<bool, Failure> {
        let begun = self.rest.len();
        if let Some(start) = desk.arrived.get_mut(..begun) {
            start.copy_from_slice(&self.rest);
        }
        let space = desk.arrived.get_mut(begun..).unwrap_or_default();
        let room = space.len();
        let count = match self.socket.read(space) {
            Ok(0) => return Err(Failure::Link("ngircd has closed a connection".to_owned())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(Failure::system("client")(error)),
        };
        let mut bytes = desk.arrived.get(..begun + count).unwrap_or_default();
        while let Some((line, rest)) = memchr::memchr(b'\n', bytes).and_then(|index| bytes.split_at_checked(index + 1))
        {
            self.take_line(line)?;
            bytes = rest;
        }
        self.rest.clear();
        self.rest.extend_from_slice(bytes);
        Ok(count == room)
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Failure> {
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
        Ok(())
    }
}

impl Member for Client {
    fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn hear(&mut self, desk: &mut Desk) -> Result<usize, Failure> {
        while self.read(desk)? {}
        Ok(self.names)
    }
}
