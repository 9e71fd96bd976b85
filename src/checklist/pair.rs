//! One candidate pair and its states (RFC 8445 §6.1.2.6).

use core::time::Duration;

use crate::candidate::priority::pair_priority;
use crate::config::Role;
use crate::id::{CandidateId, PairId, StreamId};
use crate::stun::TransactionId;
use crate::time::Timestamp;

use super::counts::Counts;
use super::endpoint::Endpoint;
use super::foundations::PairFoundation;
use super::setback::Setback;

/// The state of a candidate pair (RFC 8445 §6.1.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PairState {
    /// Not checked yet, and kept back until a pair of the same foundation is decided.
    Frozen,
    /// Not checked yet; its turn comes by priority.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check succeeded.
    Succeeded,
    /// A check failed, or ended without an answer.
    Failed,
}

/// How far the nomination of a pair is (RFC 8445 §8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Nomination {
    /// Nobody has asked for it.
    None,
    /// Controlling: the next check carries USE-CANDIDATE. Controlled: the peer's check carried
    /// it, and takes effect when the pair is valid (RFC 8445 §7.3.1.5).
    Pending,
    /// Done.
    Nominated,
}

/// An entry of the valid list (RFC 8445 §7.2.5.3.2), kept at the pair whose base and remote
/// candidate it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ValidPair {
    /// The local candidate whose address the peer saw.
    pub(crate) local: CandidateId,
    /// The pair whose check produced the entry: a nomination repeats that check.
    pub(crate) generated_by: PairId,
    /// The priority of that candidate.
    pub(crate) local_priority: u32,
    /// The priority of the valid pair, by the current roles.
    pub(crate) priority: u64,
}

/// What has been sent on a pair. The rules only count; whoever keeps time fills in the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct Attempts {
    /// When the first check of the current attempt was sent.
    pub(crate) first: Timestamp,
    /// When the newest check was sent, retransmissions not counted.
    pub(crate) last: Timestamp,
    /// Requests sent, retransmissions included.
    pub(crate) transmissions: u16,
    /// Checks beyond the first that were sent to hedge against loss.
    pub(crate) hedges: u8,
    /// What has ended the attempt.
    pub(crate) setback: Setback,
    /// When a check of it was answered last.
    pub(crate) answered: Timestamp,
    /// The round trip of the newest check that was answered at once.
    pub(crate) rtt: Option<Duration>,
}

/// A local candidate, a remote one, and how the check between them is getting on.
#[derive(Clone, Debug, Hash)]
pub(crate) struct CandidatePair {
    pub(crate) stream: StreamId,
    pub(crate) component: u16,
    /// Host or relayed, never reflexive: checks leave from a base (RFC 8445 §6.1.2.4).
    pub(crate) local: CandidateId,
    pub(crate) remote: CandidateId,
    pub(crate) foundation: PairFoundation,
    pub(crate) local_priority: u32,
    pub(crate) remote_priority: u32,
    /// By the current roles (RFC 8445 §6.1.2.3).
    pub(crate) priority: u64,
    pub(crate) state: PairState,
    pub(crate) nomination: Nomination,
    /// Still in its checklist. A pair that left it is kept for the data that it carries.
    pub(crate) listed: bool,
    /// An authenticated message has arrived on it.
    pub(crate) heard: bool,
    /// The newest request of the peer on it: a repetition of that one triggers nothing.
    pub(crate) last_request: Option<TransactionId>,
    /// Consent expired on it: it is dead for its generation (RFC 7675 §5.1).
    pub(crate) expired: bool,
    /// It is of a generation that a restart has ended, and only carries data.
    pub(crate) past: bool,
    pub(crate) valid: Option<ValidPair>,
    pub(crate) attempts: Attempts,
    pub(crate) counts: Counts,
}

impl CandidatePair {
    /// A pair in its checklist that nothing is known of yet.
    pub(super) fn new(
        stream: StreamId,
        component: u16,
        local: Endpoint,
        remote: Endpoint,
        priority: u64,
    ) -> Self {
        Self {
            stream,
            component,
            local: local.id,
            remote: remote.id,
            foundation: PairFoundation { local: local.foundation, remote: remote.foundation },
            local_priority: local.priority,
            remote_priority: remote.priority,
            priority,
            state: PairState::Frozen,
            nomination: Nomination::None,
            listed: true,
            heard: false,
            last_request: None,
            expired: false,
            past: false,
            valid: None,
            attempts: Attempts::default(),
            counts: Counts::default(),
        }
    }

    /// RFC 8445 §6.1.2.3.
    pub(crate) fn prioritise(&mut self, role: Role) {
        self.priority = priority_in(role, self.local_priority, self.remote_priority);
        if let Some(valid) = &mut self.valid {
            valid.priority = priority_in(role, valid.local_priority, self.remote_priority);
        }
    }

    /// What it counts for among the pairs that were nominated: the priority of the valid pair, which
    /// is of the candidates that both sides see. Of a pair that is not valid yet it is the most that
    /// this can become.
    pub(crate) fn standing(&self) -> u64 {
        self.valid.map_or(self.priority, |valid| valid.priority)
    }
}

/// The priority of a pair as seen by the side in `role` (RFC 8445 §6.1.2.3).
pub(crate) fn priority_in(role: Role, local: u32, remote: u32) -> u64 {
    match role {
        Role::Controlling => pair_priority(local, remote),
        Role::Controlled => pair_priority(remote, local),
    }
}
