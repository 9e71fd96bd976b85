//! Whether the peer is told the related address of a candidate (RFC 8839 §5.1).

use core::net::SocketAddr;

use crate::candidate::CandidateKind;

use super::TransportPolicy;

/// What is known of the related address of a local candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Related {
    /// The kind of the candidate that is related to it.
    pub(crate) kind: CandidateKind,
    /// The base of a server-reflexive candidate, the mapped address of a relayed one.
    pub(crate) addr: SocketAddr,
    /// Whether the peer is told `addr` as a candidate of its own. It is not where only servers are
    /// asked from it (RFC 8828), where it is rewritten, and where a name stands for it (mDNS).
    pub(crate) told: bool,
}

/// The address to write: `None` makes the written form one that tells nothing, 0.0.0.0 or :: with
/// port 9 (RFC 8839 §5.1).
///
/// A related address is for diagnosis only. It must not tell what no candidate tells: the address
/// of the host behind a reflexive candidate, or the public one behind a relayed candidate, when
/// the policy keeps that kind of candidate from the peer.
pub(crate) fn related_to_tell(policy: TransportPolicy, related: Related) -> Option<SocketAddr> {
    let reveals = match related.kind {
        CandidateKind::Host => return None,
        CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => CandidateKind::Host,
        CandidateKind::Relayed => CandidateKind::ServerReflexive,
    };
    (related.told && policy.allows(reveals)).then_some(related.addr)
}
