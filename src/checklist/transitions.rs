//! A log of what becomes of pairs, with the cause of each change, for whoever wants to know. The rules
//! only write to it: nothing that they do depends on it.

use core::hash::{Hash, Hasher};

use crate::id::{CandidateId, PairId, StreamId};

use super::pair::{CandidatePair, PairState};

/// How many changes wait to be taken at most. A drained log never has more than one input makes.
const LIMIT: usize = 4096;

/// Why a pair was formed, moved to another state or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PairCause {
    /// Formed from a local and a remote candidate (RFC 8445 §6.1.2.2).
    Candidates,
    /// Formed since a check came in on it, or an answer showed it (RFC 8445 §7.2.5.3.2, §7.3.1.4).
    Message,
    /// The topmost pair of its foundation, or not held back by any other (RFC 8445 §6.1.2.6, RFC 8838
    /// §12).
    Topmost,
    /// Nothing of its foundation is under way (RFC 8445 §6.1.4.2).
    FoundationIdle,
    /// What is under way in its foundation is not answered.
    FoundationStalled,
    /// A pair of its foundation has succeeded (RFC 8445 §7.2.5.3.3).
    FoundationSucceeded,
    /// Its check was queued: the peer has checked it, or it is wanted for another reason (RFC 8445
    /// §7.3.1.4).
    Queued,
    /// Its turn as the best waiting pair (RFC 8445 §6.1.4.2).
    Ordinary,
    /// Its turn in the triggered-check queue (RFC 8445 §6.1.4.1).
    Triggered,
    /// A check of it was answered with success, or the peer's check proves it to a lite agent.
    Answered,
    /// Its check failed, was not answered, or consent for it was lost.
    CheckFailed,
    /// What its check has proved does not count any more.
    Doubted,
    /// Nomination has concluded for its component without it (RFC 8445 §8.1.2).
    Concluded,
    /// It was not answered, and made room for a pair that had none.
    Retired,
    /// It made room for a better pair (RFC 8445 §6.1.2.5).
    Displaced,
    /// One of its candidates is gone.
    CandidateGone,
    /// The peer does not have its component (RFC 8445 §6.1.2.2).
    ComponentDropped,
    /// A restart has ended its generation (RFC 8445 §9).
    Restart,
}

/// One change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    pub(crate) pair: PairId,
    pub(crate) change: Change,
    pub(crate) cause: PairCause,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Formed(Formed),
    State { from: PairState, to: PairState },
    Removed(PairState),
}

/// A pair as it was formed; it may be gone when the log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Formed {
    pub(crate) stream: StreamId,
    pub(crate) component: u16,
    pub(crate) local: CandidateId,
    pub(crate) remote: CandidateId,
    pub(crate) foundation: (u16, u16),
    pub(crate) priority: u64,
    pub(crate) state: PairState,
}

/// The log, if one is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Transitions(Option<Box<Kept>>);

#[derive(Clone, Debug, Default)]
struct Kept {
    transitions: Vec<Transition>,
    lost: u64,
}

/// It decides nothing: sets that differ in it alone are the same.
impl Hash for Transitions {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Transitions {
    pub(super) fn keep(&mut self) {
        self.0.get_or_insert_default();
    }

    pub(super) fn formed(&mut self, id: PairId, pair: &CandidatePair, cause: PairCause) {
        if self.0.is_some() {
            let formed = Formed {
                stream: pair.stream,
                component: pair.component,
                local: pair.local,
                remote: pair.remote,
                foundation: (pair.foundation.local, pair.foundation.remote),
                priority: pair.priority,
                state: pair.state,
            };
            self.push(id, Change::Formed(formed), cause);
        }
    }

    pub(super) fn moved(&mut self, id: PairId, from: PairState, to: PairState, cause: PairCause) {
        if self.0.is_some() && from != to {
            self.push(id, Change::State { from, to }, cause);
        }
    }

    pub(super) fn removed(&mut self, id: PairId, state: PairState, cause: PairCause) {
        if self.0.is_some() {
            self.push(id, Change::Removed(state), cause);
        }
    }

    /// What has been kept since the last call, and how many changes had no room.
    pub(super) fn take(&mut self) -> (Vec<Transition>, u64) {
        let Some(kept) = &mut self.0 else { return (Vec::new(), 0) };
        (core::mem::take(&mut kept.transitions), core::mem::take(&mut kept.lost))
    }

    #[cold]
    fn push(&mut self, pair: PairId, change: Change, cause: PairCause) {
        let Some(kept) = &mut self.0 else { return };
        if kept.transitions.len() < LIMIT {
            kept.transitions.push(Transition { pair, change, cause });
        } else {
            kept.lost = kept.lost.saturating_add(1);
        }
    }
}
