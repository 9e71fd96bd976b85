//! The connectivity checks that are under way (RFC 8445 §7.2): who may still answer what.

use crate::config::Role;
use crate::id::{CandidateId, PairId};
use crate::stun::{Due, Schedule, TransactionId};
use crate::time::Timestamp;

/// What a check is to its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// It decides the pair's state.
    Decide,
    /// It only adds a chance to be answered.
    Hedge,
    /// It repeats the check of a valid pair with USE-CANDIDATE.
    Nominate,
    /// It only adds a chance for that to be answered.
    NominateAgain,
    /// It asks for consent on a pair in use (RFC 7675 §5.1).
    Consent,
}

impl Purpose {
    /// An answer to it nominates the pair.
    pub(super) const fn nominates(self) -> bool {
        matches!(self, Self::Nominate | Self::NominateAgain)
    }

    /// It is sent once: others of the pair are repeated.
    pub(super) const fn is_hedge(self) -> bool {
        matches!(self, Self::Hedge | Self::NominateAgain)
    }
}

/// One Binding request that may still be answered.
#[derive(Clone, Debug, Hash)]
pub(super) struct Check {
    pub(super) id: TransactionId,
    pub(super) pair: PairId,
    /// The two ends; the pair itself may be gone when the answer comes.
    pub(super) local: CandidateId,
    pub(super) remote: CandidateId,
    pub(super) purpose: Purpose,
    /// It carries USE-CANDIDATE.
    pub(super) use_candidate: bool,
    /// The value of NOMINATION that it carries.
    pub(super) nomination: Option<u32>,
    /// The role that the request claims.
    pub(super) role: Role,
    /// The tie breaker that it carries, so that a repetition has the same bytes.
    pub(super) tie_breaker: u64,
    /// Not repeated any more, and its silence is no failure (RFC 8445 §7.3.1.4).
    pub(super) cancelled: bool,
    /// When nobody can answer any more.
    pub(super) ends: Timestamp,
    pub(super) schedule: Schedule,
}

impl Check {
    /// It nominates the pair, and an answer to it is still waited for.
    pub(super) fn is_open_nomination_of(&self, pair: PairId) -> bool {
        self.pair == pair && self.purpose.nominates() && !self.cancelled
    }

    /// What an answer to it proves.
    pub(super) fn proof(&self) -> Proof {
        match (self.purpose, self.use_candidate) {
            (Purpose::Nominate | Purpose::NominateAgain, _) => Proof::Nominated,
            (_, true) => Proof::NominatedByTheWay,
            (_, false) => Proof::Valid,
        }
    }
}

/// What an answered check says of its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It is valid.
    Valid,
    /// It was nominated by a check that nominates as all do (RFC 5245 §8.1.1.2).
    NominatedByTheWay,
    /// It was nominated.
    Nominated,
}

/// The checks under way, in the order in which they were started.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Checks {
    checks: Vec<Check>,
}

impl Checks {
    /// Adds a check. At the limit the oldest makes room, one that was given up if there is any;
    /// whether that was so.
    pub(super) fn push(&mut self, check: Check, limit: usize) -> bool {
        let full = self.checks.len() >= limit.max(1);
        if full {
            let oldest = self.checks.iter().position(|check| check.cancelled).unwrap_or(0);
            self.checks.remove(oldest);
        }
        // A session at rest has one or two of them: no more room than that.
        if self.checks.len() < 4 {
            self.checks.reserve_exact(1);
        }
        self.checks.push(check);
        full
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter()
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }

    pub(super) fn get_mut(&mut self, id: TransactionId) -> Option<&mut Check> {
        self.checks.iter_mut().find(|check| check.id == id)
    }

    pub(super) fn take(&mut self, id: TransactionId) -> Option<Check> {
        let at = self.checks.iter().position(|check| check.id == id)?;
        Some(self.checks.remove(at))
    }

    /// Stops to repeat the checks of a pair; late answers still count (RFC 8445 §7.3.1.4).
    pub(super) fn cancel(&mut self, pair: PairId) {
        for check in self.checks.iter_mut().filter(|check| check.pair == pair) {
            check.cancelled = true;
        }
    }

    /// Forgets all checks but those for which `which` holds.
    pub(super) fn retain(&mut self, which: impl Fn(&Check) -> bool) {
        self.checks.retain(which);
    }

    /// Forgets the checks of a pair: no answer to them counts any more (RFC 7675 §5.1).
    pub(super) fn discard(&mut self, pair: PairId) {
        self.checks.retain(|check| check.pair != pair);
    }

    /// Forgets the checks that nominate a pair: an answer to one of them was enough.
    pub(super) fn discard_nominations(&mut self, pair: PairId) {
        self.checks.retain(|check| check.pair != pair || !check.purpose.nominates());
    }

    /// Cancels the checks for which `which` holds.
    pub(super) fn cancel_where(&mut self, which: impl Fn(&Check) -> bool) {
        for check in self.checks.iter_mut().filter(|check| which(check)) {
            check.cancelled = true;
        }
    }

    /// Takes out one check that nobody can answer any more.
    pub(super) fn expired(&mut self, now: Timestamp) -> Option<Check> {
        let at = self.checks.iter().position(|check| {
            check.ends <= now && (check.cancelled || check.schedule.due(now) == Due::Expired)
        })?;
        Some(self.checks.remove(at))
    }

    /// The check that is due to be repeated for the longest time.
    pub(super) fn to_repeat(&self, now: Timestamp) -> Option<TransactionId> {
        self.checks
            .iter()
            .filter(|check| !check.cancelled && check.schedule.due(now) == Due::Retransmit)
            .min_by_key(|check| check.schedule.next())
            .map(|check| check.id)
    }

    /// When the next check is due to be repeated, and when the next one ends.
    pub(super) fn deadlines(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let mut repeat: Option<Timestamp> = None;
        let mut end: Option<Timestamp> = None;
        let earlier = |slot: &mut Option<Timestamp>, at: Timestamp| {
            *slot = Some(slot.map_or(at, |other| other.min(at)));
        };
        for check in &self.checks {
            if check.cancelled {
                earlier(&mut end, check.ends);
            } else if check.schedule.is_last() {
                earlier(&mut end, check.schedule.next().max(check.ends));
            } else {
                earlier(&mut repeat, check.schedule.next());
            }
        }
        (repeat, end)
    }

    /// The last transmission of a check gives its end another look: a repetition that was sent
    /// late is given the whole final wait.
    pub(super) fn repeated(&mut self, id: TransactionId, now: Timestamp) {
        if let Some(check) = self.get_mut(id) {
            check.schedule.transmitted(now);
            if check.schedule.is_last() {
                check.ends = check.ends.max(check.schedule.next());
            }
        }
    }

    /// Gives back spare capacity.
    pub(super) fn shrink(&mut self) {
        self.checks.shrink_to_fit();
    }

    pub(super) fn clear(&mut self) {
        self.checks.clear();
    }
}
