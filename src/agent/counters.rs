//! The one place that counts what was refused, by reason (invariant 4).

use core::fmt;

use super::io::Ignored;

/// What a bound of [`Limits`](crate::Limits) or a rule turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// A local candidate beyond `limits.local_candidates`.
    LocalCandidate,
    /// A signalled candidate beyond `limits.remote_candidates`.
    RemoteCandidate,
    /// A peer-reflexive candidate beyond `limits.peer_reflexive_candidates`.
    PeerReflexiveCandidate,
    /// A check before the remote parameters, beyond `limits.early_checks`.
    EarlyCheck,
    /// A check under way that made room for a newer one at `limits.transactions`.
    Transaction,
    /// A pair that a check asked for, when `limits.pairs` were alive and none could give way.
    Pair,
    /// An answer beyond `limits.replies`.
    Reply,
    /// An answer to an unauthenticated request for which there was no token.
    UnauthenticatedReply,
    /// An answer that would have been larger than the unauthenticated request.
    LargeReply,
    /// A message of the agent that was too large for its path.
    LargeTransmit,
    /// A message that could not be relayed: the server has no allocation or permission for it now.
    Unrelayed,
    /// A check from an address that `policies.remote` does not let be sent to.
    RemoteAddress,
    /// What a server could be asked beyond `limits.server_tasks`.
    ServerTask,
    /// A connection beyond `limits.connections`, or accepted beyond `limits.unproven_connections`.
    Connection,
    /// An accepted connection that was closed since it brought no authenticated message within
    /// `timing.first_message` or `limits.unproven_bytes`.
    UnprovenConnection,
    /// An old event that made way for a newer one at `limits.events`.
    Event,
    /// A packet that was to ride in checks beyond `limits.embedded_packets`, or one that arrived in
    /// a check beyond that, `limits.embedded_arrivals` or `limits.embedded_size`.
    EmbeddedPacket,
}

/// All reasons to ignore a datagram, in the order of their counts.
const IGNORED: [Ignored; 15] = [
    Ignored::UnknownLocal,
    Ignored::UnknownRemote,
    Ignored::MalformedStun,
    Ignored::BadFingerprint,
    Ignored::UnexpectedMessage,
    Ignored::MissingCredentials,
    Ignored::UnknownUser,
    Ignored::BadIntegrity,
    Ignored::UnknownTransaction,
    Ignored::BidDown,
    Ignored::Contradictory,
    Ignored::Policy,
    Ignored::UnknownConnection,
    Ignored::LimitReached,
    Ignored::Closed,
];

/// All refusals, in the order of their counts.
const REFUSED: [Refused; 17] = [
    Refused::LocalCandidate,
    Refused::RemoteCandidate,
    Refused::PeerReflexiveCandidate,
    Refused::EarlyCheck,
    Refused::Transaction,
    Refused::Pair,
    Refused::Reply,
    Refused::UnauthenticatedReply,
    Refused::LargeReply,
    Refused::LargeTransmit,
    Refused::Unrelayed,
    Refused::RemoteAddress,
    Refused::ServerTask,
    Refused::Connection,
    Refused::UnprovenConnection,
    Refused::Event,
    Refused::EmbeddedPacket,
];

/// How often what was ignored or refused. A count that reaches 2^32 - 1 stays there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Counters {
    ignored: [u32; IGNORED.len()],
    refused: [u32; REFUSED.len()],
}

impl Counters {
    /// Datagrams ignored for this reason.
    #[must_use]
    pub fn ignored(&self, reason: Ignored) -> u64 {
        self.all_ignored().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count)
    }

    /// Things refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Refused) -> u64 {
        self.all_refused().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count)
    }

    /// Every reason to ignore a datagram, with its count.
    pub fn all_ignored(&self) -> impl Iterator<Item = (Ignored, u64)> {
        IGNORED.into_iter().zip(self.ignored.map(u64::from))
    }

    /// Every reason to refuse something, with its count.
    pub fn all_refused(&self) -> impl Iterator<Item = (Refused, u64)> {
        REFUSED.into_iter().zip(self.refused.map(u64::from))
    }

    pub(super) fn ignore(&mut self, reason: Ignored) {
        count(&IGNORED, &mut self.ignored, reason);
    }

    pub(super) fn refuse(&mut self, reason: Refused) {
        count(&REFUSED, &mut self.refused, reason);
    }
}

fn count<R: Copy + PartialEq>(reasons: &[R], counts: &mut [u32], reason: R) {
    for (_, count) in reasons.iter().zip(counts).filter(|(other, _)| **other == reason) {
        *count = count.saturating_add(1);
    }
}

impl fmt::Debug for Counters {
    /// The counts that are not zero, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ignored = self.all_ignored().map(|(reason, count)| (format!("{reason:?}"), count));
        let refused = self.all_refused().map(|(reason, count)| (format!("{reason:?}"), count));
        f.debug_map().entries(ignored.chain(refused).filter(|(_, count)| *count > 0)).finish()
    }
}
