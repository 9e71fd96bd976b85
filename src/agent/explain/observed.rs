//! What is written down while a session goes on, since nothing else would know it later: what was
//! heard at all, losses and rejections. Nothing that the agent does depends on it.

use core::hash::{Hash, Hasher};
use core::num::NonZeroU16;

use crate::agent::{AddLocalError, AddRemoteError, IceAgent};
use crate::checklist::{CandidatePair, Nomination, Setback};
use crate::config::Role;
use crate::id::PairId;
use crate::time::Timestamp;

/// Losses and rejections that are remembered, the newest.
const REMEMBERED: usize = 16;
/// The longest address of a rejected candidate, in characters.
const LONGEST: usize = 255;

/// What an agent has observed in this generation.
#[derive(Clone, Debug, Default)]
pub(in crate::agent) struct Observed {
    /// An authenticated check of the peer has come.
    pub(super) requests: bool,
    /// An authenticated answer to a check of ours has.
    pub(super) answers: bool,
    /// An answer to a check of ours that was not authentic has, and the error code of the newest.
    pub(super) forged_answers: bool,
    pub(super) forged_code: Option<NonZeroU16>,
    /// A check with a username fragment or a password that is not ours has.
    pub(super) foreign_requests: bool,
    pub(super) history: Option<Box<History>>,
}

/// What does not happen in every session.
#[derive(Clone, Debug, Default)]
pub(in crate::agent) struct History {
    pub(super) losses: Vec<Loss>,
    pub(super) rejected: Vec<RejectedCandidate>,
}

/// A path that was lost.
#[derive(Clone, Copy, Debug)]
pub(in crate::agent) struct Loss {
    pub(super) pair: PairId,
    pub(super) at: Timestamp,
    /// When the peer's last authenticated message came on it.
    pub(super) heard: Timestamp,
    pub(super) revoked: bool,
}

/// A candidate that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RejectedCandidate {
    /// When it was offered.
    pub at: Timestamp,
    /// Its address.
    pub address: Box<str>,
    /// Whose it is, and why it was not taken.
    pub why: Rejected,
}

/// Why a candidate was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// An address of this machine.
    Local(AddLocalError),
    /// A candidate of the peer.
    Remote(AddRemoteError),
}

/// Why a component's data takes the pair that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// This side has nominated it: the best that was valid when no better one could be expected.
    #[default]
    Nominated,
    /// The peer has nominated it.
    ByPeer,
    /// The path before it gave no sign of life any more.
    Failover,
    /// It costs less than the one before: it is not relayed, or its network is cheaper. Or its networks
    /// cost less than those of a pair of a higher priority, if
    /// [`AgentConfig::weigh_networks`](crate::AgentConfig::weigh_networks) lets that count.
    Cost,
    /// Its round trip is shorter than that of the one before.
    RoundTrip,
}

/// A [`Choice`] that decides nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::agent) struct Chosen(pub(in crate::agent) Choice);

impl Hash for Chosen {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Observed {
    pub(in crate::agent) const fn request(&mut self) {
        self.requests = true;
    }

    pub(in crate::agent) const fn answer(&mut self) {
        self.answers = true;
    }

    pub(in crate::agent) fn forged_answer(&mut self, code: Option<u16>) {
        self.forged_answers = true;
        self.forged_code = code.and_then(NonZeroU16::new).or(self.forged_code);
    }

    pub(in crate::agent) const fn foreign_request(&mut self) {
        self.foreign_requests = true;
    }

    /// A new generation begins. What was rejected before stays of interest.
    pub(in crate::agent) fn restart(&mut self) {
        let history = self.history.take().filter(|history| !history.rejected.is_empty());
        *self = Self { history, ..Self::default() };
        if let Some(history) = &mut self.history {
            history.losses = Vec::new();
        }
    }

    pub(super) fn losses(&self) -> &[Loss] {
        self.history.as_ref().map(|history| history.losses.as_slice()).unwrap_or_default()
    }

    pub(super) fn rejected(&self) -> &[RejectedCandidate] {
        self.history.as_ref().map(|history| history.rejected.as_slice()).unwrap_or_default()
    }
}

impl IceAgent {
    /// A candidate was not taken.
    #[cold]
    pub(in crate::agent) fn reject(&mut self, mut address: String, why: Rejected) {
        if self.is_closed() {
            return;
        }
        if let Some((end, _)) = address.char_indices().nth(LONGEST) {
            address.truncate(end);
        }
        let rejected = RejectedCandidate { at: self.now, address: address.into(), why };
        remember(&mut self.observed.history.get_or_insert_default().rejected, rejected);
    }

    /// Consent for a pair is lost.
    pub(in crate::agent) fn note_loss(&mut self, pair: PairId, setback: Setback) {
        let at = self.now;
        let past = self.lists.get(pair).is_none_or(|pair| pair.past);
        let upkeep = self.kept().find(|(_, upkeep, _)| upkeep.pair == pair);
        let heard = upkeep.map_or(at, |(_, upkeep, _)| upkeep.sign);
        if !past {
            let revoked = setback == Setback::ConsentRevoked;
            let loss = Loss { pair, at, heard, revoked };
            remember(&mut self.observed.history.get_or_insert_default().losses, loss);
        }
    }

    /// Whether a pair was taken although another valid one has a higher priority, since that costs
    /// more.
    fn is_cheaper_than_best(&self, id: PairId) -> bool {
        let passed_over = |pair: &CandidatePair| {
            let best = self.lists.best_valid(pair.stream, pair.component)?;
            Some(self.network_cost(self.lists.get(best)?) > self.network_cost(pair))
        };
        self.lists.get(id).and_then(passed_over).unwrap_or(false)
    }

    /// Why a component leaves the pair `before`, or none, for another one.
    pub(in crate::agent) fn choice(&self, before: Option<PairId>, id: PairId) -> Choice {
        let Some(before) = before else {
            return match self.role() {
                Role::Controlling if self.is_cheaper_than_best(id) => Choice::Cost,
                Role::Controlling => Choice::Nominated,
                Role::Controlled => Choice::ByPeer,
            };
        };
        let nominated =
            |id| self.lists.get(id).is_some_and(|pair| pair.nomination == Nomination::Nominated);
        if !self.is_receiving(before) {
            Choice::Failover
        } else if self.role() == Role::Controlled || !nominated(id) {
            Choice::ByPeer
        } else if self.burden(id) < self.burden(before) {
            Choice::Cost
        } else if self.is_shorter(before, id) {
            Choice::RoundTrip
        } else {
            Choice::Nominated
        }
    }
}

/// Adds to what is remembered; the oldest makes room.
fn remember<T>(ring: &mut Vec<T>, new: T) {
    if ring.len() >= REMEMBERED {
        ring.remove(0);
    }
    ring.push(new);
}
