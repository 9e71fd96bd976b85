//! A candidate as pairing sees it, and which two of them may be a pair (RFC 8445 §6.1.2.2).

use core::net::IpAddr;

use crate::address::is_link_local;
use crate::candidate::{CandidateTransport, TcpType};
use crate::id::CandidateId;

/// What decides with whom a candidate can be paired: address family and transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reach {
    family: Family,
    transport: CandidateTransport,
    loopback: bool,
    relayed: bool,
    named: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Family {
    V4,
    V6,
    V6LinkLocal,
}

impl Reach {
    pub(crate) const fn new(ip: IpAddr, transport: CandidateTransport) -> Self {
        let family = match ip {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(ip) if is_link_local(&ip) => Family::V6LinkLocal,
            IpAddr::V6(_) => Family::V6,
        };
        let loopback = ip.is_loopback();
        Self { family, transport, loopback, relayed: false, named: false }
    }

    /// It is on a server.
    pub(crate) const fn relayed(mut self, relayed: bool) -> Self {
        self.relayed = relayed;
        self
    }

    /// Its address was told under a name.
    pub(crate) const fn named(mut self, named: bool) -> Self {
        self.named = named;
        self
    }

    /// RFC 8445 §6.1.2.2: the same address family, link-local only with link-local. RFC 6544
    /// §6.2: active with passive, simultaneous-open with its like. Passive with active is a pair as
    /// well, but one that cannot be checked from here: it is pruned, and comes to life when the peer
    /// connects.
    pub(crate) fn pairs_with(self, remote: Self) -> bool {
        self.mismatch(remote).is_none()
    }

    /// What keeps two candidates from being a pair, if anything does.
    pub(crate) fn mismatch(self, remote: Self) -> Option<Mismatch> {
        let transports = match (self.transport, remote.transport) {
            (CandidateTransport::Udp, CandidateTransport::Udp) => true,
            (CandidateTransport::Tcp(ours), CandidateTransport::Tcp(theirs)) => matches!(
                (ours, theirs),
                (TcpType::Active, TcpType::Passive)
                    | (TcpType::SimultaneousOpen, TcpType::SimultaneousOpen)
            ),
            _ => false,
        };
        // A relay would have to be told what the name hides
        // (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.3.2).
        let told = self.relayed && remote.named;
        // What has a loopback address is on this machine, and reached from there alone.
        let elsewhere = remote.loopback && !self.loopback;
        match (self.family, remote.family) {
            _ if !transports => Some(Mismatch::Transport),
            (Family::V4, Family::V6 | Family::V6LinkLocal)
            | (Family::V6 | Family::V6LinkLocal, Family::V4) => Some(Mismatch::Family),
            (ours, theirs) if ours != theirs => Some(Mismatch::LinkLocal),
            _ if told => Some(Mismatch::Hidden),
            _ if elsewhere => Some(Mismatch::Loopback),
            _ => None,
        }
    }
}

/// Why two candidates are no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// One is IPv4, the other IPv6.
    Family,
    /// One alone is an IPv6 link-local address.
    LinkLocal,
    /// A relay would have to be told an address that a name hides.
    Hidden,
    /// The remote one is a loopback address, the local one is not.
    Loopback,
    /// UDP and TCP, or two ends of TCP that would both wait or both call.
    Transport,
}

/// A candidate as far as pairing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) id: CandidateId,
    pub(crate) priority: u32,
    pub(crate) foundation: u16,
    pub(crate) reach: Reach,
}
