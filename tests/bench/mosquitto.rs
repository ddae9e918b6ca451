//! A mosquitto broker with its own clients, at the quality of service that costs least.

use std::fs;
use std::process::Stdio;

use tempfile::TempDir;

use crate::contender::{Contender, Net, Shape, command, free_port, require};
use crate::failure::Failure;
use crate::process::Process;

/// `mosquitto_pub -l` and as many `mosquitto_sub`.
#[derive(Debug)]
pub(crate) struct Mosquitto;

/// Another process may take the free port before the broker does.
const PORT_TRIES_MAX: usize = 5;

const TOPIC: [&str; 4] = ["-h", "127.0.0.1", "-t", "t"];

impl Contender for Mosquitto {
    fn name(&self) -> &'static str {
        "mosquitto"
    }

    fn can(&self, shape: Shape) -> bool {
        matches!(shape, Shape::Star(_))
    }

    fn lines_divisor(&self) -> u64 {
        10
    }

    fn start(&self, shape: Shape) -> Result<Net, Failure> {
        for program in ["mosquitto", "mosquitto_pub", "mosquitto_sub"] {
            require(program)?;
        }
        let Shape::Star(receivers) = shape else { return Err(Failure::Missing("a chain of brokers")) };
        let (broker, port, scratch) = start_broker()?;
        let port = port.to_string();
        let client = |program: &str| {
            let mut client = command(program);
            client.args(TOPIC).args(["-p", &port, "-q", "0"]);
            client
        };
        let receivers = (0..receivers).map(|index| {
            let mut subscriber = client("mosquitto_sub");
            Process::spawn(&format!("subscriber {index}"), &mut subscriber, Stdio::null(), Stdio::piped())
        });
        let receivers = receivers.collect::<Result<_, _>>()?;
        let sender = Process::spawn("publisher", client("mosquitto_pub").arg("-l"), Stdio::piped(), Stdio::null())?;
        Ok(Net { sender, relays: vec![broker], receivers, _scratch: Some(scratch) })
    }
}

/// No limit on queues, so that it drops nothing for their sake, and nothing on disk.
fn start_broker() -> Result<(Process, u16, TempDir), Failure> {
    let scratch = TempDir::new().map_err(Failure::system("temporary folder"))?;
    let path = scratch.path().join("mosquitto.conf");
    let mut last = Failure::Missing("a free port");
    for _ in 0..PORT_TRIES_MAX {
        let port = free_port()?;
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
             max_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n"
        );
        fs::write(&path, config).map_err(Failure::system("broker's configuration"))?;
        let mut command = command("mosquitto");
        let mut broker = Process::spawn("broker", command.arg("-c").arg(&path), Stdio::null(), Stdio::null())?;
        match broker.listening_port() {
            Ok(_) => return Ok((broker, port, scratch)),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}
