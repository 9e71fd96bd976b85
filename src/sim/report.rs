//! What the network tells a sender of a datagram that did not get through: ICMP in its essence.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::datagram::Packet;
use super::host::HostId;
use crate::candidate::Transport;
use crate::time::Timestamp;

/// How much of a datagram's payload is quoted: what RFC 1812 §4.3.2.3 leaves of 576 bytes.
const QUOTED: usize = 548;

/// How many reports wait to be read. What comes when there are as many is lost.
const MAX_REPORTS: usize = 65_536;

/// Which reports a network makes. None unless set: many networks say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reporting {
    /// Of what has no way, and of ports on which nobody listens.
    pub unreachable: bool,
    /// Of what is larger than the MTU of a link.
    pub too_large: bool,
}

impl Reporting {
    /// Everything is reported.
    pub const ALL: Self = Self { unreachable: true, too_large: true };
}

/// What a report says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// Nobody has the destination address.
    HostUnreachable,
    /// Nobody listens at the destination port.
    PortUnreachable,
    /// A link on the way carries no packets larger than this.
    TooLarge {
        /// Its MTU.
        mtu: u16,
    },
}

/// A report about a datagram, for the host that sent it.
///
/// It comes after as much time again as the datagram was on its way, is not lost, and passes
/// every NAT: addresses are as the host wrote them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a report that nobody looks at helps nobody"]
pub struct Report {
    /// When it arrives.
    pub at: Timestamp,
    /// The host that sent the datagram.
    pub host: HostId,
    /// Its transport.
    pub transport: Transport,
    /// Where it came from.
    pub from: SocketAddr,
    /// Where it went.
    pub to: SocketAddr,
    /// What has happened to it.
    pub problem: Problem,
    /// The beginning of its payload.
    pub quoted: Vec<u8>,
}

/// The reports on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports {
    pub(super) reporting: Reporting,
    sequence: u64,
    queue: BTreeMap<(Timestamp, u64), Report>,
}

impl Reports {
    /// Reports of a datagram to whoever sent it, if that is wanted.
    pub(super) fn add(&mut self, now: Timestamp, packet: &Packet, problem: Problem) {
        let wanted = match problem {
            Problem::HostUnreachable | Problem::PortUnreachable => self.reporting.unreachable,
            Problem::TooLarge { .. } => self.reporting.too_large,
        };
        let Some(origin) = packet.origin.filter(|_| wanted && self.queue.len() < MAX_REPORTS)
        else {
            return;
        };
        let at = now + (now - origin.sent);
        let payload = &packet.datagram.payload;
        let report = Report {
            at,
            host: origin.host,
            transport: packet.datagram.transport,
            from: origin.from,
            to: origin.to,
            problem,
            quoted: payload.get(..QUOTED).unwrap_or(payload).to_vec(),
        };
        self.queue.insert((at, self.sequence), report);
        self.sequence = self.sequence.saturating_add(1);
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Report> {
        let due = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(due.remove())
    }
}
