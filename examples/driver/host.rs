//! The addresses of this machine.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// An address of this machine, and the interface that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) ip: IpAddr,
    /// The index of the interface; zero when it is not known.
    pub(crate) interface: u32,
}

impl Host {
    /// The scope to bind with: link-local addresses are the same on every link.
    pub(crate) const fn scope(self) -> u32 {
        if is_link_local(self.ip) { self.interface } else { 0 }
    }

    pub(crate) fn socket_addr(self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V4(_) => SocketAddr::new(self.ip, port),
            IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, self.scope())),
        }
    }
}

/// All unicast addresses of this machine, loopback ones among them.
pub(crate) fn all() -> io::Result<Vec<Host>> {
    let mut hosts = Vec::new();
    for interface in if_addrs::get_if_addrs()? {
        let host = Host { ip: interface.ip(), interface: interface.index.unwrap_or(0) };
        if is_unicast(host.ip) && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// Whether a socket on the address has one address: no wildcard, no group.
pub(crate) fn is_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !broadcast
}

pub(crate) const fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}
