//! What a server is asked for, as far as its URI and the configuration decide it.

use crate::candidate::CandidateKind;
use crate::uri::{ServerProtocol, ServerTransport};

use super::{NetworkType, Selection, TransportPolicy};

/// What is gathered, as it is configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gathered<'a> {
    pub(crate) policy: TransportPolicy,
    pub(crate) kinds: &'a Selection<CandidateKind>,
    /// The networks of candidates; how a TURN server is reached is another matter.
    pub(crate) networks: &'a Selection<NetworkType>,
    /// How TURN servers may be reached.
    pub(crate) turn_transports: &'a Selection<ServerTransport>,
}

/// What one server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The address that it sees.
    pub(crate) reflexive: bool,
    /// A relayed IPv4 address.
    pub(crate) relayed_ipv4: bool,
    /// A relayed IPv6 address.
    pub(crate) relayed_ipv6: bool,
}

/// RFC 8445 §5.1.1.2: what a server can give that is gathered.
///
/// A mapping belongs to one socket, so that only a server that is asked over UDP, from the socket of
/// a host candidate, sees an address to which a peer can send. Relayed candidates are UDP ones (RFC
/// 8656), however the server is reached.
pub(crate) fn request_of(
    protocol: ServerProtocol,
    transport: ServerTransport,
    gathered: Gathered<'_>,
) -> Request {
    let has = |kind| gathered.policy.allows(kind) && gathered.kinds.has(kind);
    let ipv4 = gathered.networks.has(NetworkType::Udp4);
    let ipv6 = gathered.networks.has(NetworkType::Udp6);
    let relayed = protocol == ServerProtocol::Turn
        && has(CandidateKind::Relayed)
        && gathered.turn_transports.has(transport);
    Request {
        reflexive: transport == ServerTransport::Udp
            && has(CandidateKind::ServerReflexive)
            && (ipv4 || ipv6),
        relayed_ipv4: relayed && ipv4,
        relayed_ipv6: relayed && ipv6,
    }
}
