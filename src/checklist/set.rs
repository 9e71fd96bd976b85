//! The checklist set (RFC 8445 §6.1.3): its data, and the few places where the order, the columns
//! and the pairs change together. What moves a pair is one method each, named after its cause: those
//! that make and remove pairs are in `forming`, those that check them in `turns`.

use core::cmp::Reverse;
use core::hash::{Hash, Hasher};

use crate::config::Role;
use crate::id::{CandidateId, PairId, StreamId, Table};

use super::counts::PairCounts;
use super::foundations::{Foundations, PairFoundation, Rank};
use super::list::{Checklist, ChecklistState, Ranked};
use super::pair::{CandidatePair, PairState};
use super::setback::Setback;
use super::transitions::{PairCause, Transition, Transitions};

/// The checklists of all streams, in the order of the streams.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ChecklistSet {
    pub(super) role: Role,
    limit: u16,
    /// The initial states have been set (RFC 8445 §6.1.2.6): pairs that come now are trickled.
    pub(super) started: bool,
    pub(super) pairs: Table<PairId, CandidatePair>,
    pub(super) lists: Vec<Checklist>,
    pub(super) foundations: Foundations,
    /// What became of pairs and why, if that is wanted.
    pub(super) transitions: Transitions,
    revision: Revision,
}

/// Changes whenever there may be other pairs that data can arrive on. It decides nothing, so that
/// it has no part in a hash.
#[derive(Clone, Copy, Debug, Default)]
struct Revision(u32);

impl Hash for Revision {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl ChecklistSet {
    pub(crate) fn new(role: Role, limit: usize) -> Self {
        Self {
            role,
            limit: u16::try_from(limit).unwrap_or(u16::MAX),
            started: false,
            pairs: Table::default(),
            lists: Vec::new(),
            foundations: Foundations::default(),
            revision: Revision::default(),
            transitions: Transitions::default(),
        }
    }

    /// Forms the pairs of all candidates that are known so far, and sets the initial states (RFC
    /// 8445 §6.1.2.6): the topmost pair of each foundation is Waiting, the others stay Frozen.
    pub(crate) fn start(&mut self) {
        if self.started {
            return;
        }
        for list in 0..self.lists.len() {
            self.form(list);
        }
        self.started = true;
        let mut best: Vec<(PairFoundation, Rank, PairId)> = Vec::new();
        for (index, list) in self.lists.iter().enumerate() {
            for ranked in &list.order {
                if let Some(pair) = self.pairs.get(ranked.pair) {
                    if pair.state == PairState::Frozen {
                        best.push((pair.foundation, rank(index, pair), ranked.pair));
                    }
                }
            }
        }
        best.sort_unstable_by_key(|&(foundation, rank, _)| (foundation, rank));
        best.dedup_by_key(|(foundation, _, _)| *foundation);
        for (foundation, _, id) in best {
            if self.foundations.get(foundation).is_some_and(|column| column.active == 0) {
                self.set_state(id, PairState::Waiting, PairCause::Topmost);
            }
        }
    }

    /// Recomputes all priorities and orders for another role (RFC 8445 §7.3.1.1).
    pub(crate) fn set_role(&mut self, role: Role) {
        self.role = role;
        for (_, pair) in self.pairs.iter_mut() {
            pair.prioritise(role);
        }
        self.foundations.clear();
        for index in 0..self.lists.len() {
            let Some(list) = self.lists.get_mut(index) else { continue };
            for ranked in &mut list.order {
                let Some(pair) = self.pairs.get(ranked.pair) else { continue };
                ranked.priority = pair.priority;
                self.foundations.enter(pair.foundation, rank(index, pair));
                if let Some(column) = self.foundations.get_mut(pair.foundation) {
                    let active = usize::from(is_active(pair.state));
                    column.active = column.active.saturating_add(active);
                    column.succeeded |= pair.state == PairState::Succeeded;
                }
            }
            list.sort();
        }
    }

    /// The pair that a message on this path belongs to.
    pub(crate) fn find(&self, local: CandidateId, remote: CandidateId) -> Option<PairId> {
        self.pairs
            .iter()
            .find(|(_, pair)| pair.local == local && pair.remote == remote)
            .map(|(id, _)| id)
    }

    /// Begins a new generation (RFC 8445 §9): empty checklists of these streams and numbers of
    /// components. The pairs to keep are in none of them.
    pub(crate) fn restart(
        &mut self,
        streams: impl Iterator<Item = (StreamId, u16)>,
        keep: impl Fn(PairId) -> bool,
    ) {
        self.started = false;
        self.foundations.clear();
        self.lists =
            streams.map(|(stream, components)| Checklist::new(stream, components)).collect();
        let Self { pairs, transitions, .. } = self;
        pairs.retain(|id, pair| {
            pair.listed = false;
            pair.past = true;
            if let Some(valid) = &mut pair.valid {
                valid.generated_by = id;
            }
            let kept = keep(id);
            if !kept {
                transitions.removed(id, pair.state, PairCause::Restart);
            }
            kept
        });
        self.revise();
    }

    /// Forgets the pairs of earlier generations.
    pub(crate) fn discard_past(&mut self) {
        let Self { pairs, transitions, .. } = self;
        pairs.retain(|id, pair| {
            if pair.past {
                transitions.removed(id, pair.state, PairCause::Restart);
            }
            !pair.past
        });
        self.revise();
    }

    /// Removes a pair altogether, as one of its candidates is gone.
    pub(crate) fn discard(&mut self, id: PairId) -> Option<CandidatePair> {
        self.remove(id, PairCause::CandidateGone)
    }

    pub(super) fn remove(&mut self, id: PairId, cause: PairCause) -> Option<CandidatePair> {
        self.unqueue(id);
        self.detach(id);
        self.revise();
        let pair = self.pairs.remove(id)?;
        self.transitions.removed(id, pair.state, cause);
        Some(pair)
    }

    /// From now on it is written down what becomes of pairs.
    pub(crate) fn keep_transitions(&mut self) {
        self.transitions.keep();
    }

    /// What has become of pairs since the last call, and how many changes there was no room for.
    pub(crate) fn take_transitions(&mut self) -> (Vec<Transition>, u64) {
        self.transitions.take()
    }

    /// Sets the state of a whole list.
    pub(crate) fn set_list_state(&mut self, list: usize, state: ChecklistState) {
        if let Some(list) = self.lists.get_mut(list) {
            list.state = state;
        }
    }

    /// Gives back spare capacity: what was needed for checking is not needed for data.
    pub(crate) fn shrink_to_fit(&mut self) {
        self.pairs.shrink();
        self.foundations.shrink();
        self.lists.shrink_to_fit();
        for list in &mut self.lists {
            list.order.shrink_to_fit();
            list.triggered.shrink_to_fit();
        }
    }

    /// Changes what rules do not depend on: nomination, validity, counts.
    pub(crate) fn annotate(&mut self, id: PairId) -> Option<&mut CandidatePair> {
        self.pairs.get_mut(id)
    }

    /// Counts something on a pair.
    pub(crate) fn count(&mut self, id: PairId, count: impl FnOnce(&mut PairCounts)) {
        if let Some(pair) = self.pairs.get_mut(id) {
            count(pair.counts.get_mut());
        }
    }

    /// Why the pair is about to fail.
    pub(crate) fn note_setback(&mut self, id: PairId, setback: Setback) {
        if let Some(pair) = self.pairs.get_mut(id) {
            pair.attempts.setback = setback;
        }
    }

    /// An authenticated message has arrived on the pair.
    pub(crate) fn hear(&mut self, id: PairId) {
        if self.pairs.get_mut(id).is_some_and(|pair| !core::mem::replace(&mut pair.heard, true)) {
            self.revise();
        }
    }

    /// The pairs that data can arrive on may have changed.
    pub(crate) fn revise(&mut self) {
        self.revision = Revision(self.revision.0.wrapping_add(1));
    }

    /// A number that is another one after every such change.
    pub(crate) fn revision(&self) -> u32 {
        self.revision.0
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn limit(&self) -> usize {
        usize::from(self.limit)
    }

    pub(crate) fn get(&self, id: PairId) -> Option<&CandidatePair> {
        self.pairs.get(id)
    }

    /// All pairs in the order of their ids, those that left their checklists among them.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (PairId, &CandidatePair)> {
        self.pairs.iter()
    }

    pub(crate) fn lists(&self) -> &[Checklist] {
        &self.lists
    }

    /// The listed pairs of a list, best first.
    pub(crate) fn listed(&self, list: usize) -> impl Iterator<Item = (PairId, &CandidatePair)> {
        self.lists
            .get(list)
            .into_iter()
            .flat_map(|list| &list.order)
            .filter_map(|ranked| Some((ranked.pair, self.pairs.get(ranked.pair)?)))
    }

    /// The best entry of the valid list for a component.
    pub(crate) fn best_valid(&self, stream: StreamId, component: u16) -> Option<PairId> {
        self.pairs
            .iter()
            .filter(|(_, pair)| pair.stream == stream && pair.component == component && !pair.past)
            .filter_map(|(id, pair)| Some((pair.valid?.priority, Reverse(id))))
            .max()
            .map(|(_, Reverse(id))| id)
    }

    pub(crate) fn index(&self, stream: StreamId) -> Option<usize> {
        self.lists.iter().position(|list| list.stream == stream)
    }

    /// Enters a pair into the order of its list and the column of its foundation. Whether it is
    /// the topmost of that column.
    pub(super) fn attach(&mut self, id: PairId) -> bool {
        let Some(pair) = self.pairs.get(id).filter(|pair| pair.listed) else { return false };
        let Some(index) = self.index(pair.stream) else { return false };
        let topmost = self.foundations.enter(pair.foundation, rank(index, pair));
        if let Some(column) = self.foundations.get_mut(pair.foundation) {
            column.active = column.active.saturating_add(usize::from(is_active(pair.state)));
            column.succeeded |= pair.state == PairState::Succeeded;
        }
        let ranked = Ranked { priority: pair.priority, component: pair.component, pair: id };
        if let Some(list) = self.lists.get_mut(index) {
            list.insert(ranked);
        }
        topmost
    }

    /// The opposite of [`attach`](Self::attach); its place in the triggered queue is kept.
    pub(super) fn detach(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get(id).filter(|pair| pair.listed) else { return };
        let Some(index) = self.index(pair.stream) else { return };
        self.foundations.leave(pair.foundation, is_active(pair.state));
        if let Some(list) = self.lists.get_mut(index) {
            list.order.retain(|other| other.pair != id);
        }
    }

    pub(super) fn set_state(&mut self, id: PairId, state: PairState, cause: PairCause) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        let was = core::mem::replace(&mut pair.state, state);
        self.transitions.moved(id, was, state, cause);
        if !pair.listed {
            return;
        }
        if let Some(column) = self.foundations.get_mut(pair.foundation) {
            column.active = column
                .active
                .saturating_sub(usize::from(is_active(was)))
                .saturating_add(usize::from(is_active(state)));
            column.succeeded |= state == PairState::Succeeded;
        }
    }

    pub(super) fn pool_mut(
        &mut self,
        list: usize,
        component: u16,
    ) -> Option<&mut super::pool::Pool> {
        self.lists.get_mut(list)?.pool_mut(component)
    }
}

/// Whether a pair keeps others of its foundation frozen (RFC 8445 §6.1.4.2, step 2).
pub(crate) const fn is_active(state: PairState) -> bool {
    matches!(state, PairState::Waiting | PairState::InProgress)
}

const fn rank(list: usize, pair: &CandidatePair) -> Rank {
    Rank { list, component: pair.component, priority: Reverse(pair.priority) }
}
