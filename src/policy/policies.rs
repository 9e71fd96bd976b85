//! All that restricts what is gathered and used, in one value.

use core::time::Duration;

use super::{
    AddressRewriteRules, LocalFilter, NetworkType, RemoteFilter, RewriteError, Selection,
    TransportPolicy,
};
use crate::candidate::CandidateKind;
use crate::uri::ServerTransport;

/// What is gathered, told and used. The default restricts nothing but what the RFCs exclude.
///
/// Agents share it: see [`AgentConfig::policies`](crate::AgentConfig::policies).
///
/// ```
/// use std::sync::Arc;
/// use frazil::{AgentConfig, Policies, Role, TransportPolicy};
///
/// let mut policies = Policies::default();
/// policies.transport = TransportPolicy::Relay;
/// let mut config = AgentConfig::new(Role::Controlling);
/// config.policies = Some(Arc::new(policies));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policies {
    /// Which of its addresses a side lets the peer use (W3C RTCIceTransportPolicy). Without host
    /// candidates sockets are still added: servers are asked from them.
    pub transport: TransportPolicy,
    /// The kinds of candidates that are gathered.
    pub kinds: Selection<CandidateKind>,
    /// The networks of candidates.
    pub networks: Selection<NetworkType>,
    /// How TURN servers may be reached.
    pub turn_transports: Selection<ServerTransport>,
    /// Which local addresses may be added.
    pub local: LocalFilter,
    /// Which addresses of the peer may be sent to, be they signalled, resolved or found.
    pub remote: RemoteFilter,
    /// Addresses that are told in place of others, or beside them.
    pub rewrite: AddressRewriteRules,
    /// Never tells the related address of a candidate (RFC 8839 §5.1). Where the policy keeps the
    /// address itself from the peer it is not told in any case.
    pub hide_related: bool,
    /// How long pairs wait to be nominated.
    pub acceptance: AcceptanceWaits,
}

impl Policies {
    pub(crate) fn check(&self) -> Result<(), RewriteError> {
        self.rewrite.check_gathered(self.transport, &self.kinds)
    }

    /// Whether candidates of this kind are gathered and told.
    pub(crate) fn allows(&self, kind: CandidateKind) -> bool {
        self.transport.allows(kind) && self.kinds.has(kind)
    }
}

/// How long after the first valid pair of its component a pair is nominated at the earliest, by
/// the kind of its candidates; of both ends the longer time counts. On top of
/// [`Timing::nomination_wait`](crate::Timing::nomination_wait), each up to a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AcceptanceWaits {
    /// With a host candidate.
    pub host: Duration,
    /// With a server-reflexive candidate.
    pub server_reflexive: Duration,
    /// With a peer-reflexive candidate.
    pub peer_reflexive: Duration,
    /// With a relayed candidate.
    pub relayed: Duration,
}

impl AcceptanceWaits {
    pub(crate) fn of(&self, kinds: [CandidateKind; 2]) -> Duration {
        let of = |kind| match kind {
            CandidateKind::Host => self.host,
            CandidateKind::ServerReflexive => self.server_reflexive,
            CandidateKind::PeerReflexive => self.peer_reflexive,
            CandidateKind::Relayed => self.relayed,
        };
        let [one, other] = kinds.map(of);
        one.max(other)
    }

    pub(crate) fn is_sound(&self) -> bool {
        let all = [self.host, self.server_reflexive, self.peer_reflexive, self.relayed];
        all.into_iter().all(|wait| wait <= Duration::from_secs(60))
    }
}
