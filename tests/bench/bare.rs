//! The limit: the same bytes through bare loopback sockets, in as many processes.
//!
//! The processes are this very program, called with `--role`. They copy and do nothing else.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use crate::contender::{CHAIN_RELAYS, Contender, Net, Shape};
use crate::failure::Failure;
use crate::process::{Process, connections, until};

/// Copying processes.
#[derive(Debug)]
pub(crate) struct Bare;

/// What is copied at once; what a pipe holds.
const COPY_BYTES: usize = 64 * 1024;

/// The option that turns this program into one of the copying processes.
pub(crate) const ROLE_OPTION: &str = "--role";

/// This program, in a role.
fn role(arguments: &[&str]) -> Result<Command, Failure> {
    let own = std::env::current_exe().map_err(Failure::system("own path"))?;
    let mut command = Command::new(own);
    command.arg(ROLE_OPTION).args(arguments);
    Ok(command)
}

impl Contender for Bare {
    fn name(&self) -> &'static str {
        "bare sockets"
    }

    fn can(&self, _: Shape) -> bool {
        true
    }

    fn start(&self, shape: Shape) -> Result<Net, Failure> {
        let receivers = if let Shape::Star(receivers) = shape { receivers } else { 1 };
        let mut far =
            Process::spawn("relay 0", &mut role(&["relay", &receivers.to_string()])?, Stdio::null(), Stdio::null())?;
        let port = far.listening_port()?;
        let mut addr = format!("127.0.0.1:{port}");
        let readers = (0..receivers).map(|index| {
            let mut reader = role(&["read", &addr])?;
            Process::spawn(&format!("reader {index}"), &mut reader, Stdio::null(), Stdio::piped())
        });
        let readers = readers.collect::<Result<_, _>>()?;
        // The relay takes the connection that comes after the readers' for the sender.
        until("connections of the readers", || Ok((connections(port) == receivers).then_some(())))?;
        let mut relays = vec![far];
        for index in 1..if shape == Shape::Chain { CHAIN_RELAYS } else { 1 } {
            let mut relay = role(&["pass", &addr])?;
            let mut relay = Process::spawn(&format!("relay {index}"), &mut relay, Stdio::null(), Stdio::null())?;
            addr = format!("127.0.0.1:{}", relay.listening_port()?);
            relays.push(relay);
        }
        let sender = Process::spawn("sender", &mut role(&["send", &addr])?, Stdio::piped(), Stdio::null())?;
        Ok(Net { sender, relays, receivers: readers, _scratch: None })
    }
}

/// A process that writes each line of its stdin to as many sockets, with its port.
pub(crate) fn start_fan(receivers: usize) -> Result<(Process, u16), Failure> {
    let mut fan = role(&["fan", &receivers.to_string()])?;
    let mut fan = Process::spawn("bare loop", &mut fan, Stdio::piped(), Stdio::null())?;
    let port = fan.listening_port()?;
    Ok((fan, port))
}

/// What a process in a role does until its input ends.
pub(crate) fn play(arguments: &[String]) -> io::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["read", addr] => copy(TcpStream::connect(addr)?, &mut [unbuffered(&io::stdout())?]),
        ["send", addr] => copy(unbuffered(&io::stdin())?, &mut [TcpStream::connect(addr)?]),
        ["relay", receivers] => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let mut sockets = accept(&listener, count(receivers)?)?;
            let (source, _) = listener.accept()?;
            copy(source, &mut sockets)
        }
        ["pass", addr] => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let next = TcpStream::connect(addr)?;
            let (source, _) = listener.accept()?;
            copy(source, &mut [next])
        }
        ["fan", receivers] => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let mut sockets = accept(&listener, count(receivers)?)?;
            copy(unbuffered(&io::stdin())?, &mut sockets)
        }
        _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
}

/// A standard stream without the buffer that std puts before it.
fn unbuffered(stream: &impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

fn count(text: &str) -> io::Result<usize> {
    text.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

fn accept(listener: &TcpListener, receivers: usize) -> io::Result<Vec<TcpStream>> {
    let mut sockets = Vec::with_capacity(receivers);
    while sockets.len() < receivers {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn copy(mut source: impl Read, sinks: &mut [impl Write]) -> io::Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        for sink in &mut *sinks {
            sink.write_all(buffer.get(..count).unwrap_or_default())?;
        }
    }
}
