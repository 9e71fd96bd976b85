//! One checklist: the pairs of one data stream, in order, and its triggered-check queue (RFC 8445
//! §6.1.2, §6.1.4.1).

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::id::{CandidateId, PairId, StreamId};

use super::pool::{Fate, Pool};

/// The state of a checklist (RFC 8445 §6.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ChecklistState {
    /// Neither of the others.
    Running,
    /// Every component has a nominated pair.
    Completed,
    /// No pair is left that could become valid for some component.
    Failed,
}

/// The pairs of one data stream.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Checklist {
    pub(crate) stream: StreamId,
    pub(crate) state: ChecklistState,
    /// The listed pairs with their priorities, best first.
    pub(super) order: Vec<Ranked>,
    /// FIFO (RFC 8445 §6.1.4.1).
    pub(super) triggered: VecDeque<PairId>,
    pub(super) pools: SmallVec<[Pool; 1]>,
}

/// A place in the order of a checklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ranked {
    pub(super) priority: u64,
    pub(super) component: u16,
    pub(super) pair: PairId,
}

impl Ranked {
    /// Highest priority first; among equals the lowest component, then the older pair (RFC 8445
    /// §6.1.4.2, step 3).
    const fn key(&self) -> (core::cmp::Reverse<u64>, u16, PairId) {
        (core::cmp::Reverse(self.priority), self.component, self.pair)
    }
}

impl Checklist {
    pub(super) fn new(stream: StreamId, components: u16) -> Self {
        Self {
            stream,
            state: ChecklistState::Running,
            order: Vec::new(),
            triggered: VecDeque::new(),
            pools: (1..=components).map(Pool::new).collect(),
        }
    }

    pub(super) fn insert(&mut self, ranked: Ranked) {
        let at = self.order.partition_point(|other| other.key() < ranked.key());
        self.order.insert(at, ranked);
    }

    pub(super) fn sort(&mut self) {
        self.order.sort_unstable_by_key(Ranked::key);
    }

    pub(super) fn pool_mut(&mut self, component: u16) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|pool| pool.component == component)
    }

    /// What has become of a pair that is not among those that there are.
    pub(crate) fn fate(&self, component: u16, base: CandidateId, remote: CandidateId) -> Fate {
        let pool = self.pools.iter().find(|pool| pool.component == component);
        pool.map_or(Fate::Unknown, |pool| pool.fate(base, remote))
    }

    /// Whether a pair is in the triggered-check queue.
    pub(crate) fn is_triggered(&self, pair: PairId) -> bool {
        self.triggered.contains(&pair)
    }

    /// Whether a pair could still be formed.
    pub(crate) fn has_prospects(&self) -> bool {
        self.pools.iter().any(Pool::has_prospect)
    }
}
