//! Where a peer is said to be, as people write it and tickets carry it: a host and a port. Nothing is
//! looked up here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::HOST_BYTES_MAX;

/// The port of a peer that names none.
pub const PORT: u16 = 4646;

/// Where a peer is said to be: a host name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerAddr {
    /// A name, an IPv4 address or an IPv6 address without brackets.
    pub host: String,
    /// From 1 on.
    pub port: u16,
}

/// Why something is not where a peer could be. Ends the program with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddrError {
    /// Nothing before the port.
    #[error("no host: a peer is HOST:PORT, [IPv6]:PORT or HOST")]
    NoHost,
    /// Longer than any name.
    #[error("a host's name has {HOST_BYTES_MAX} bytes at most")]
    HostTooLong,
    /// White space or other characters that no host has.
    #[error("no host name has the character {0:?}")]
    HostCharacter(char),
    /// The port is no number from 1 to 65535.
    #[error("port {0:?} is not a number from 1 to 65535")]
    Port(String),
    /// Colons, but neither a port nor brackets.
    #[error("an IPv6 address goes in brackets: [{0}]:{PORT}")]
    Brackets(String),
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl PeerAddr {
    /// Whether the host has a name, rather than an address.
    pub fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

impl TryFrom<String> for PeerAddr {
    type Error = AddrError;

    fn try_from(text: String) -> Result<Self, AddrError> {
        text.parse()
    }
}

impl From<PeerAddr> for String {
    fn from(addr: PeerAddr) -> Self {
        addr.to_string()
    }
}

impl FromStr for PeerAddr {
    type Err = AddrError;

    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (host, port) = split_port(text)?;
        if host.is_empty() {
            return Err(AddrError::NoHost);
        }
        if host.len() > HOST_BYTES_MAX {
            return Err(AddrError::HostTooLong);
        }
        let strange = |letter: &char| letter.is_whitespace() || letter.is_control() || "/@[]<>?#".contains(*letter);
        if let Some(letter) = host.chars().find(strange) {
            return Err(AddrError::HostCharacter(letter));
        }
        let port = port.map_or(Ok(PORT), parse_port)?;
        Ok(Self { host: host.to_owned(), port })
    }
}

/// The host, without brackets, and the port as it stands there.
fn split_port(text: &str) -> Result<(&str, Option<&str>), AddrError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| AddrError::Brackets(rest.to_owned()))?;
        // A zone such as fe80::1%eth0 is left to the look-up.
        let address = host.split_once('%').map_or(host, |(address, _)| address);
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(AddrError::Brackets(host.to_owned()));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(AddrError::Port(rest.to_owned())),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() || text.matches(':').count() > 1 {
        return Err(AddrError::Brackets(text.to_owned()));
    }
    Ok(text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))))
}

fn parse_port(text: &str) -> Result<u16, AddrError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|port| digits && *port > 0);
    port.ok_or_else(|| AddrError::Port(text.to_owned()))
}
