//! `ncat --broker`: copies what each client sends to all the others, and nothing more.

use std::process::Stdio;

use crate::contender::{Contender, Net, Shape, command, require};
use crate::failure::Failure;
use crate::process::Process;

/// ncat in broker mode.
#[derive(Debug)]
pub(crate) struct Ncat;

impl Contender for Ncat {
    fn name(&self) -> &'static str {
        "ncat"
    }

    fn can(&self, shape: Shape) -> bool {
        matches!(shape, Shape::Star(_))
    }

    fn start(&self, shape: Shape) -> Result<Net, Failure> {
        require("ncat")?;
        let Shape::Star(receivers) = shape else { return Err(Failure::Missing("a chain of ncat")) };
        let mut broker = command("ncat");
        broker.args(["--listen", "--broker", "127.0.0.1", "0"]);
        let mut broker = Process::spawn("broker", &mut broker, Stdio::null(), Stdio::null())?;
        let port = broker.listening_port()?.to_string();
        let client = |name: &str, way: &str, stdin, stdout| {
            Process::spawn(name, command("ncat").args([way, "127.0.0.1", &port]), stdin, stdout)
        };
        let receivers = (0..receivers)
            .map(|index| client(&format!("receiver {index}"), "--recv-only", Stdio::null(), Stdio::piped()));
        let receivers = receivers.collect::<Result<_, _>>()?;
        let sender = client("sender", "--send-only", Stdio::piped(), Stdio::null())?;
        Ok(Net { sender, relays: vec![broker], receivers, _scratch: None })
    }
}
