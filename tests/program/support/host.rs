//! Several hosts on this machine: network namespaces of the test's own, wired by virtual cables.
//!
//! A site is a switch with hosts on it; all sites hang on one cable each. Nothing of it has a name outside of the test:
//! each namespace lives as long as a process that holds it, and that one ends when its stdin does, so even a
//! test that is killed leaves nothing behind.

use std::io::{self, BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

/// Whether this machine lets a test make hosts. A word where not; in CI that is a failure.
pub(crate) fn can_make_hosts() -> bool {
    let Err(why) = Namespace::new().and_then(|space| space.try_ip("link add probe type bridge")) else { return true };
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI makes network namespaces, but: {why}");
    // Not by `eprintln!`, which is shown for failures only.
    let _ = writeln!(io::stderr(), "SKIPPED: no hosts can be made here (root and iproute2 are needed): {why}");
    false
}

/// A network of its own, and the process that holds it.
struct Namespace {
    holder: Child,
}

impl Namespace {
    fn new() -> io::Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut ready = String::new();
        let stdout = holder.stdout.take();
        let space = Self { holder };
        stdout.map(BufReader::new).map_or(Ok(0), |mut stdout| stdout.read_line(&mut ready))?;
        if ready.is_empty() { Err(io::Error::other("unshare --net is refused")) } else { Ok(space) }
    }

    fn process(&self) -> u32 {
        self.holder.id()
    }

    /// The same command, run inside.
    fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net=/proc/{}/ns/net", self.process())).arg("--");
        inside.arg(command.get_program()).args(command.get_args());
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(variable, value),
                None => inside.env_remove(variable),
            };
        }
        inside
    }

    fn try_ip(&self, words: &str) -> io::Result<()> {
        let mut command = Command::new("ip");
        let output = self.inside(command.args(words.split(' '))).output()?;
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(io::Error::other(format!("ip {words}: {told}"))) }
    }

    fn ip(&self, words: &str) {
        self.try_ip(words).expect("the network is changed");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A machine at a site.
pub(crate) struct Host {
    space: Namespace,
    addr: String,
}

impl Host {
    /// Its address.
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }

    /// The same command, run on this host.
    pub(crate) fn run(&self, command: &Command) -> Command {
        self.space.inside(command)
    }

    /// Nothing leaves this host for that site any more; what comes from there still arrives.
    pub(crate) fn block(&self, site: usize) {
        self.space.ip(&format!("route add blackhole 10.77.{site}.0/24"));
    }

    /// What leaves for that site gets there again.
    pub(crate) fn unblock(&self, site: usize) {
        self.space.ip(&format!("route del blackhole 10.77.{site}.0/24"));
    }
}

/// Sites with cables between them.
pub(crate) struct Internet {
    backbone: Namespace,
    switches: Vec<Namespace>,
    hosts: Vec<usize>,
}

impl Internet {
    pub(crate) fn new(sites: usize) -> Self {
        let switch = || {
            let space = Namespace::new().expect("a namespace can be made, as one was before");
            space.ip("link add switch type bridge");
            space.ip("link set switch up");
            space
        };
        let (backbone, switches): (_, Vec<Namespace>) = (switch(), (0..sites).map(|_| switch()).collect());
        for (site, space) in switches.iter().enumerate() {
            backbone.ip(&format!("link add site{site} type veth peer name cable netns {}", space.process()));
            backbone.ip(&format!("link set site{site} master switch up"));
            space.ip("link set cable master switch up");
        }
        Self { backbone, switches, hosts: vec![0; sites] }
    }

    /// One more host at a site.
    pub(crate) fn host(&mut self, site: usize) -> Host {
        let (switch, count) = (&self.switches[site], &mut self.hosts[site]);
        *count += 1;
        let (space, addr) = (Namespace::new().expect("a namespace can be made"), format!("10.77.{site}.{count}"));
        switch.ip(&format!("link add port{count} type veth peer name net netns {}", space.process()));
        switch.ip(&format!("link set port{count} master switch up"));
        space.ip(&format!("addr add {addr}/16 dev net"));
        space.ip("link set net up");
        space.ip("link set lo up");
        Host { space, addr }
    }

    /// Pulls a site's cable.
    pub(crate) fn cut(&self, site: usize) {
        self.backbone.ip(&format!("link set site{site} down"));
    }

    /// Plugs it in again.
    pub(crate) fn heal(&self, site: usize) {
        self.backbone.ip(&format!("link set site{site} up"));
    }
}
