//! `/invite`: a ticket to this room, with this node as its host.
//!
//! The room knows where this node is reached, and the console what the room is closed with; here both
//! come together. Pure, but for the machine's own addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use thiserror::Error;

use crate::addr::PeerAddr;
use crate::limits::TICKET_ADDRESSES_MAX;
use crate::room::event::Status;
use crate::secret::RoomSecret;
use crate::ticket::{Host, Ticket};

/// Why there is nothing to invite with. Nothing is shown but this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InviteError {
    /// Nobody can dial this node.
    #[error("this node accepts no peers, so nobody can join through it: ask somebody who listens")]
    Closed,
    /// It does not know where it is.
    #[error("this node does not know where others reach it: \"hobnob ticket ADDR\" makes a ticket")]
    Nowhere,
}

/// The ticket, given how things are here.
pub fn ticket(status: &Status, secret: Option<&RoomSecret>, machine: &[IpAddr]) -> Result<Ticket, InviteError> {
    let bound = status.listening.ok_or(InviteError::Closed)?;
    let addresses = if bound.ip().is_unspecified() { reached(bound, &status.addresses, machine) } else { vec![bound] };
    if addresses.is_empty() {
        return Err(InviteError::Nowhere);
    }
    let peer_addr = |addr: &SocketAddr| PeerAddr { host: addr.ip().to_canonical().to_string(), port: addr.port() };
    let host = Host { id: status.me.id, addresses: addresses.iter().map(peer_addr).collect() };
    Ok(Ticket { hosts: vec![host], room: status.room.clone(), secret: secret.cloned() })
}

/// Where a node that listens at all addresses is reached: at those that its links have shown, and at
/// those of the machine. Its loopback is told only where there is nothing else.
fn reached(bound: SocketAddr, shown: &[SocketAddr], machine: &[IpAddr]) -> Vec<SocketAddr> {
    let ips = shown.iter().map(SocketAddr::ip).chain(machine.iter().copied()).map(|ip| ip.to_canonical());
    let mut told = BTreeSet::new();
    let mut ips: Vec<IpAddr> = ips.filter(|ip| accepts(bound, *ip) && told.insert(*ip)).collect();
    if ips.iter().any(|ip| !ip.is_loopback()) {
        ips.retain(|ip| !ip.is_loopback());
    }
    ips.into_iter().take(TICKET_ADDRESSES_MAX).map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Whether a socket bound so is reached at an address. One of the link alone means nothing elsewhere.
fn accepts(bound: SocketAddr, ip: IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !local && !ip.is_unspecified() && (bound.is_ipv6() || ip.is_ipv4())
}

/// The addresses of this machine's interfaces.
pub(super) fn machine_addresses() -> Vec<IpAddr> {
    let ip = |addr: SockaddrStorage| {
        let v4 = addr.as_sockaddr_in().map(|addr| IpAddr::V4(addr.ip()));
        v4.or_else(|| addr.as_sockaddr_in6().map(|addr| IpAddr::V6(addr.ip())))
    };
    let interfaces = getifaddrs().into_iter().flatten();
    interfaces.filter_map(|interface| interface.address.and_then(ip)).collect()
}
