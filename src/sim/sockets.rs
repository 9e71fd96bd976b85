//! The sockets of agents: who gets a datagram that has arrived at a host.

use core::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::collections::BTreeMap;

use super::host::HostId;
use super::node::AgentIndex;
use crate::address::{is_link_local, is_mapped, to_mapped};

/// An open socket: whose it is, and its address as its owner wrote it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Socket {
    pub(super) agent: AgentIndex,
    pub(super) addr: SocketAddr,
}

impl Socket {
    /// The address of a sender as the owner sees it: in the form of the socket, and on its link.
    pub(super) fn sees(self, sender: SocketAddr) -> SocketAddr {
        match (self.addr, sender) {
            (SocketAddr::V6(_), SocketAddr::V4(_)) if is_mapped(self.addr) => to_mapped(sender),
            (SocketAddr::V6(socket), SocketAddr::V6(sender)) if is_link_local(sender.ip()) => {
                SocketAddrV6::new(*sender.ip(), sender.port(), 0, socket.scope_id()).into()
            }
            _ => sender,
        }
    }
}

/// Neither the form of an IPv4 address nor a scope id tells one socket of a host from another.
type Key = (HostId, IpAddr, u16);

#[derive(Clone, Debug, Default)]
pub(super) struct Sockets(BTreeMap<Key, Socket>);

impl Sockets {
    pub(super) fn open(&mut self, host: HostId, addr: SocketAddr, agent: AgentIndex) {
        self.0.insert(key(host, addr), Socket { agent, addr });
    }

    pub(super) fn close(&mut self, host: HostId, addr: SocketAddr) -> bool {
        self.0.remove(&key(host, addr)).is_some()
    }

    pub(super) fn is_open(&self, host: HostId, addr: SocketAddr) -> bool {
        self.0.contains_key(&key(host, addr))
    }

    pub(super) fn at(&self, host: HostId, addr: SocketAddr) -> Option<Socket> {
        self.0.get(&key(host, addr)).copied()
    }
}

const fn key(host: HostId, addr: SocketAddr) -> Key {
    (host, addr.ip().to_canonical(), addr.port())
}
