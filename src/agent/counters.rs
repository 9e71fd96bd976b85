//! The one place that counts what was refused, by reason (invariant 4).

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
    /// A pair that a check asked for, when `limits.pairs` were alive and none could give way.
    Pair,
    /// An answer beyond `limits.replies`.
    Reply,
    /// An answer to an unauthenticated request for which there was no token.
    UnauthenticatedReply,
    /// An answer that would have been larger than the unauthenticated request.
    LargeReply,
    /// An old event that made way for a newer one at `limits.events`.
    Event,
}

const IGNORED: usize = 11;
const REFUSED: usize = 9;

/// How often what was ignored or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    ignored: [u64; IGNORED],
    refused: [u64; REFUSED],
}

impl Counters {
    /// Datagrams ignored for this reason.
    #[must_use]
    pub fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored.get(ignored_index(reason)).copied().unwrap_or(0)
    }

    /// Things refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused.get(refused_index(reason)).copied().unwrap_or(0)
    }

    pub(super) fn ignore(&mut self, reason: Ignored) {
        if let Some(count) = self.ignored.get_mut(ignored_index(reason)) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn refuse(&mut self, reason: Refused) {
        if let Some(count) = self.refused.get_mut(refused_index(reason)) {
            *count = count.saturating_add(1);
        }
    }
}

const fn ignored_index(reason: Ignored) -> usize {
    match reason {
        Ignored::UnknownLocal => 0,
        Ignored::UnknownRemote => 1,
        Ignored::MalformedStun => 2,
        Ignored::BadFingerprint => 3,
        Ignored::UnexpectedMessage => 4,
        Ignored::MissingCredentials => 5,
        Ignored::UnknownUser => 6,
        Ignored::BadIntegrity => 7,
        Ignored::UnknownTransaction => 8,
        Ignored::LimitReached => 9,
        Ignored::Closed => 10,
    }
}

const fn refused_index(reason: Refused) -> usize {
    match reason {
        Refused::LocalCandidate => 0,
        Refused::RemoteCandidate => 1,
        Refused::PeerReflexiveCandidate => 2,
        Refused::EarlyCheck => 3,
        Refused::Pair => 4,
        Refused::Reply => 5,
        Refused::UnauthenticatedReply => 6,
        Refused::LargeReply => 7,
        Refused::Event => 8,
    }
}
