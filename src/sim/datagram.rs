//! Datagrams, what is known of those on their way, and what became of them.

use core::net::SocketAddr;

use super::host::HostId;
use super::realm::RealmId;
use super::stats::{DropReason, Unreachable};
use super::tcp::Segment;
use crate::address::normal;
use crate::candidate::Transport;
use crate::time::Timestamp;

/// The headers of IPv4, IPv6, UDP and TCP without options.
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Datagram {
    /// The transport.
    pub transport: Transport,
    /// Where it comes from.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// Its DSCP.
    pub dscp: u8,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Datagram {
    /// A UDP datagram of the default DSCP.
    #[must_use]
    pub fn udp(from: SocketAddr, to: SocketAddr, payload: impl Into<Vec<u8>>) -> Self {
        Self { transport: Transport::Udp, from, to, dscp: 0, payload: payload.into() }
    }

    /// The size of the IP packet that carries it: what an MTU and a bandwidth are about.
    #[must_use]
    pub fn packet_len(&self) -> usize {
        let ip = if self.to.ip().to_canonical().is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
        let transport = match self.transport {
            Transport::Udp => UDP_HEADER,
            Transport::Tcp => TCP_HEADER,
        };
        self.payload.len().saturating_add(ip).saturating_add(transport)
    }
}

/// On the wire an address has one form only, whatever sort of socket it was sent from; a scope id
/// (RFC 4007) means something to its own host only.
pub(super) fn on_wire(addr: SocketAddr) -> SocketAddr {
    let mut addr = normal(addr);
    if let SocketAddr::V6(v6) = &mut addr {
        v6.set_scope_id(0);
    }
    addr
}

/// A datagram on its way. Ordered by time of arrival, those of one instant as they were sent.
///
/// A datagram that crosses the line of a gateway (see [`GatewayConfig`](super::GatewayConfig))
/// stops at its end and goes on from there under a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatagramId {
    pub(super) arrival: Timestamp,
    pub(super) sequence: u64,
}

impl DatagramId {
    /// When it arrives.
    #[must_use]
    pub const fn arrival(self) -> Timestamp {
        self.arrival
    }
}

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an arrival that nobody looks at is a lost packet"]
pub struct Arrival {
    /// When it was due.
    pub at: Timestamp,
    /// The host that has its destination address.
    pub host: HostId,
    /// The datagram, as the host sees it.
    pub datagram: Datagram,
    /// Who sent it, and when.
    pub(super) origin: Option<Origin>,
}

/// What became of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on its way.
    Underway,
    /// Chance has lost it; no sender can know.
    Lost,
    /// A rule has stopped it.
    Blocked,
    /// There is no way.
    Unreachable(Unreachable),
    /// A gateway, a firewall or a line has dropped it.
    Dropped(DropReason),
}

/// A datagram as its sender sent it: whatever is reported of it, is reported to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) host: HostId,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) sent: Timestamp,
}

/// What the queue holds.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) datagram: Datagram,
    /// Nobody's, if a test has injected it.
    pub(super) origin: Option<Origin>,
    /// What makes it a segment of a TCP connection.
    pub(super) segment: Option<Segment>,
}

/// Where a datagram is when it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has crossed the realm in which source and destination meet.
    Crossed(RealmId),
    /// It has come up the line of a gateway, and looks for its way in this realm.
    Up(RealmId),
    /// It has come down the line of the gateway of this realm.
    Down(RealmId),
}
