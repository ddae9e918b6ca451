//! hobnob itself, driven by its command line as a user would, its links encrypted or in the clear.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use hobnob::wire::secure::{Endpoint, LinkSecurity, Psk};

use crate::contender::{CHAIN_RELAYS, Contender, Net, Shape};
use crate::failure::Failure;
use crate::process::{Process, connections};

/// The contender that the tables are about, by how its links are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hobnob {
    /// As everybody has it who was not told otherwise.
    Encrypted,
    /// With `--plaintext`.
    Clear,
}

impl Hobnob {
    /// One that keeps nothing on disk, with a nick.
    pub(crate) fn command(self, nick: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.args(["--ephemeral", "--nick", nick]);
        if self == Hobnob::Clear {
            command.arg("--plaintext");
        }
        command
    }

    /// One that keeps its key and the room's history.
    pub(crate) fn command_kept(self, nick: &str, key: &Path, history: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hobnob"));
        command.args(["--nick", nick, "--identity"]).arg(key).arg("--history").arg(history);
        if self == Hobnob::Clear {
            command.arg("--plaintext");
        }
        command
    }

    /// A listener that shows what is said from now on.
    pub(crate) fn receiver(self, nick: &str, peer: &str) -> Command {
        let mut command = self.command(nick);
        command.args(["--no-listen", "--backlog", "0", "--quiet", peer]);
        command
    }

    /// What the bench itself makes its links with.
    pub(crate) fn endpoint(self) -> Result<Endpoint, Failure> {
        let security = match self {
            Hobnob::Encrypted => LinkSecurity::Noise(Psk::derive(ROOM, None)),
            Hobnob::Clear => LinkSecurity::Plaintext,
        };
        Endpoint::new(security).map_err(Failure::system("endpoint"))
    }

    /// A node alone, and its port.
    pub(crate) fn start_node(self) -> Result<(Process, u16), Failure> {
        let mut node = listening("node", self.command("node").arg("--quiet"), Stdio::null())?;
        let port = node.listening_port()?;
        Ok((node, port))
    }
}

/// The room of those who name none.
pub(crate) const ROOM: &str = "lobby";

impl Contender for Hobnob {
    fn name(&self) -> &'static str {
        match self {
            Hobnob::Encrypted => "hobnob",
            Hobnob::Clear => "hobnob, clear",
        }
    }

    fn can(&self, _: Shape) -> bool {
        true
    }

    fn start(&self, shape: Shape) -> Result<Net, Failure> {
        match shape {
            Shape::Star(receivers) => self.start_star(receivers),
            Shape::Chain => self.start_chain(),
        }
    }
}

/// Starts one that listens at a port that was free a moment ago. Which one it chose by itself only root could
/// see, as it lets nobody look into it.
pub(crate) fn listening(name: &str, command: &mut Command, stdin: Stdio) -> Result<Process, Failure> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let addr = free.map_err(Failure::system("free port"))?;
    command.args(["--listen", &addr.to_string()]);
    Ok(Process::spawn(name, command, stdin, Stdio::null())?.told_to_listen(addr.port()))
}

impl Hobnob {
    fn start_star(self, receivers: usize) -> Result<Net, Failure> {
        let mut relay = listening("relay", self.command("relay").arg("--quiet"), Stdio::null())?;
        let addr = format!("127.0.0.1:{}", relay.listening_port()?);
        let receivers = (0..receivers).map(|index| {
            let name = format!("r{index}");
            Process::spawn(&name, &mut self.receiver(&name, &addr), Stdio::null(), Stdio::piped())
        });
        let receivers = receivers.collect::<Result<_, _>>()?;
        let sender = Process::spawn("sender", self.command("src").arg(&addr), Stdio::piped(), Stdio::null())?;
        Ok(Net { sender, relays: vec![relay], receivers, _scratch: None })
    }

    /// A sender, a relay and a receiver, of whom the latter two keep their histories below a folder.
    pub(crate) fn start_kept(self, home: &Path) -> Result<Net, Failure> {
        let kept = |nick: &str| self.command_kept(nick, &home.join(format!("{nick}.key")), &home.join(nick));
        let mut relay = listening("relay", kept("relay").arg("--quiet"), Stdio::null())?;
        let addr = format!("127.0.0.1:{}", relay.listening_port()?);
        let mut command = kept("r0");
        command.args(["--no-listen", "--backlog", "0", "--quiet", &addr]);
        let receivers = vec![Process::spawn("r0", &mut command, Stdio::null(), Stdio::piped())?];
        let sender = Process::spawn("sender", self.command("src").arg(&addr), Stdio::piped(), Stdio::null())?;
        Ok(Net { sender, relays: vec![relay], receivers, _scratch: None })
    }

    /// From the far end: each relay names the one behind it, and `--no-mesh` keeps them from linking
    /// to those of whom they learn.
    fn start_chain(self) -> Result<Net, Failure> {
        let mut relays = Vec::new();
        let mut addrs: Vec<String> = Vec::new();
        for index in 0..CHAIN_RELAYS {
            let name = format!("relay{index}");
            let mut command = self.command(&name);
            command.args(["--quiet", "--no-mesh"]).args(addrs.last());
            let mut relay = listening(&name, &mut command, Stdio::null())?;
            addrs.push(format!("127.0.0.1:{}", relay.listening_port()?));
            relays.push(relay);
        }
        let far = addrs.first().map_or("", String::as_str);
        let mut command = self.receiver("r0", far);
        let receivers = vec![Process::spawn("r0", command.arg("--no-mesh"), Stdio::null(), Stdio::piped())?];
        let mut command = self.command("src");
        command.arg("--no-mesh").args(addrs.last());
        let sender = Process::spawn("sender", &mut command, Stdio::piped(), Stdio::null())?;
        Ok(Net { sender, relays, receivers, _scratch: None })
    }
}

/// Checks that each relay of a chain was dialled by its neighbours alone.
pub(crate) fn check_chain(net: &mut Net) -> Result<(), Failure> {
    for (index, relay) in net.relays.iter_mut().enumerate() {
        // The far end is dialled by the receiver and by the relay before it.
        let wanted = if index == 0 { 2 } else { 1 };
        let found = connections(relay.listening_port()?);
        if found != wanted {
            return Err(Failure::Topology { name: relay.name().to_owned(), found, wanted });
        }
    }
    Ok(())
}
