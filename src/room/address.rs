//! What an address says of who is behind it: how far it reaches, and whom it belongs with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Global,
    Private,
    Loopback,
}

/// `None` for what is no address of one node.
pub(super) fn scope(ip: IpAddr) -> Option<Scope> {
    let (loopback, private, nowhere) = match ip.to_canonical() {
        IpAddr::V4(ip) => (
            ip.is_loopback(),
            ip.is_private() || ip.is_link_local(),
            ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast(),
        ),
        IpAddr::V6(ip) => (
            ip.is_loopback(),
            ip.is_unique_local() || ip.is_unicast_link_local(),
            ip.is_unspecified() || ip.is_multicast(),
        ),
    };
    match (loopback, private, nowhere) {
        (_, _, true) => None,
        (true, _, _) => Some(Scope::Loopback),
        (_, true, _) => Some(Scope::Private),
        _ => Some(Scope::Global),
    }
}

/// Loopback and private addresses are dialled only when they were learned over a link of the same
/// scope or a nearer one: nobody can make this node knock at doors of its own network.
pub(super) fn may_dial(addr: IpAddr, via: IpAddr) -> bool {
    scope(addr).is_some_and(|target| target == Scope::Global || scope(via) >= Some(target))
}

/// What counts as one address: an IPv4 address, or the IPv6 /64 that one customer has at least.
pub(super) fn host_of(ip: IpAddr) -> IpAddr {
    masked(ip, 32, 64)
}

/// The network around an address, all of which one attacker may well have.
pub(super) fn network_of(ip: IpAddr) -> IpAddr {
    masked(ip, 24, 48)
}

/// The network in which no more than a few peers are dialled.
pub(super) fn dialled_network_of(ip: IpAddr) -> IpAddr {
    masked(ip, 24, 64)
}

/// An address but for its last bits.
fn masked(ip: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - v4_bits)))),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - v6_bits)))),
    }
}
