//! Whose turn it is, and what its outcome moves: scheduling, triggered checks, freezing,
//! conclusion (RFC 8445 §6.1.4.2, §7.2.5, §7.3.1.4, §8.1.2).

use crate::config::Role;
use crate::id::{PairId, StreamId};

use super::foundations::PairFoundation;
use super::list::ChecklistState;
use super::pair::{CandidatePair, Nomination, PairState};
use super::set::{ChecklistSet, is_active};
use super::setback::Setback;
use super::transitions::PairCause;

/// What a peer's check did to a pair (RFC 8445 §7.3.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Triggered {
    /// It has succeeded already: nothing to do.
    AlreadyValid,
    /// It was in progress: that check is to be cancelled, a new one is queued.
    CancelAndQueue,
    /// A check is queued.
    Queued,
    /// The pair is out of its checklist and stays there.
    Unlisted,
}

impl ChecklistSet {
    /// The pair to check next in a list (RFC 8445 §6.1.4.2, steps 1 to 3). It is In-Progress from
    /// now on, unless it is a valid one that is being nominated.
    pub(crate) fn next_check(&mut self, list: usize) -> Option<PairId> {
        if self.lists.get(list)?.state != ChecklistState::Running && !self.has_triggered(list) {
            return None;
        }
        if let Some(id) = self.lists.get_mut(list)?.triggered.pop_front() {
            // The nomination of a valid pair leaves it valid until it fails.
            if self.pairs.get(id).is_some_and(|pair| pair.state != PairState::Succeeded) {
                self.set_state(id, PairState::InProgress, PairCause::Triggered);
            }
            return Some(id);
        }
        if !self.started || self.lists.get(list)?.state != ChecklistState::Running {
            return None;
        }
        let id = self.first_in(list, PairState::Waiting).or_else(|| {
            self.unfreeze_idle_foundations(list);
            self.first_in(list, PairState::Waiting)
        })?;
        self.set_state(id, PairState::InProgress, PairCause::Ordinary);
        Some(id)
    }

    /// Whether a list has a check to make now: what [`next_check`](Self::next_check) would find.
    pub(crate) fn has_check(&self, list: usize) -> bool {
        if self.has_triggered(list) {
            return true;
        }
        let running =
            self.lists.get(list).is_some_and(|list| list.state == ChecklistState::Running);
        running
            && self.started
            && self.listed(list).any(|(_, pair)| match pair.state {
                PairState::Waiting => true,
                PairState::Frozen => {
                    self.foundations.get(pair.foundation).is_some_and(|column| column.active == 0)
                }
                PairState::InProgress | PairState::Succeeded | PairState::Failed => false,
            })
    }

    /// Unfreezes the best Frozen pair all of whose foundation mates have `stalled` In-Progress:
    /// one dead pair does not hold back the others of its foundation for a whole transaction.
    pub(crate) fn unfreeze_stalled(
        &mut self,
        list: usize,
        stalled: impl Fn(&CandidatePair) -> bool,
    ) -> Option<PairId> {
        let mut kept: Vec<PairFoundation> = self
            .pairs
            .iter()
            .filter(|(_, pair)| match pair.state {
                PairState::Waiting => pair.listed,
                PairState::InProgress => pair.listed && !stalled(pair),
                PairState::Frozen | PairState::Succeeded | PairState::Failed => false,
            })
            .map(|(_, pair)| pair.foundation)
            .collect();
        kept.sort_unstable();
        let id = self
            .listed(list)
            .find(|(_, pair)| {
                pair.state == PairState::Frozen && kept.binary_search(&pair.foundation).is_err()
            })
            .map(|(id, _)| id)?;
        self.set_state(id, PairState::Waiting, PairCause::FoundationStalled);
        Some(id)
    }

    /// A peer's check arrived on the pair (RFC 8445 §7.3.1.4).
    pub(crate) fn trigger(&mut self, id: PairId) -> Triggered {
        let Some(pair) = self.pairs.get(id) else { return Triggered::Unlisted };
        match pair.state {
            PairState::Succeeded => Triggered::AlreadyValid,
            _ if !pair.listed || pair.expired => Triggered::Unlisted,
            PairState::InProgress => {
                self.queue(id);
                Triggered::CancelAndQueue
            }
            PairState::Waiting | PairState::Frozen | PairState::Failed => {
                self.queue(id);
                Triggered::Queued
            }
        }
    }

    /// Puts a pair into the triggered-check queue, once, and into the Waiting state. A valid pair
    /// keeps its state until the check is sent: a nomination (RFC 8445 §8.1.1).
    pub(crate) fn queue(&mut self, id: PairId) {
        let queueable = |pair: &&CandidatePair| pair.listed || pair.valid.is_some();
        let Some(pair) = self.pairs.get(id).filter(queueable) else { return };
        let Some(list) = self.index(pair.stream) else { return };
        if pair.state != PairState::Succeeded {
            self.set_state(id, PairState::Waiting, PairCause::Queued);
        }
        if let Some(list) = self.lists.get_mut(list) {
            if !list.triggered.contains(&id) {
                list.triggered.push_back(id);
            }
            if list.state == ChecklistState::Failed {
                list.state = ChecklistState::Running;
            }
        }
    }

    /// A check of the pair succeeded while another was queued: that one is not needed, unless it
    /// nominates the pair.
    pub(crate) fn unqueue_plain(&mut self, id: PairId) {
        let nominates = self.role == Role::Controlling
            && self.pairs.get(id).is_some_and(|pair| pair.nomination == Nomination::Pending);
        if !nominates {
            self.unqueue(id);
        }
    }

    /// Takes a pair out of the triggered-check queue.
    pub(crate) fn unqueue(&mut self, id: PairId) {
        let list = self.pairs.get(id).and_then(|pair| self.index(pair.stream));
        if let Some(list) = list.and_then(|list| self.lists.get_mut(list)) {
            list.triggered.retain(|&other| other != id);
        }
    }

    /// A check of the pair succeeded: pairs of its foundation are unfrozen in all checklists
    /// (RFC 8445 §7.2.5.3.3).
    pub(crate) fn succeed(&mut self, id: PairId) {
        self.set_state(id, PairState::Succeeded, PairCause::Answered);
        let Some(foundation) = self.pairs.get(id).map(|pair| pair.foundation) else { return };
        let frozen: Vec<PairId> = self
            .pairs
            .iter()
            .filter(|(_, pair)| {
                pair.state == PairState::Frozen && pair.listed && pair.foundation == foundation
            })
            .map(|(id, _)| id)
            .collect();
        for id in frozen {
            self.set_state(id, PairState::Waiting, PairCause::FoundationSucceeded);
        }
    }

    /// A pair that has succeeded, but that nothing is valid by any more, may be checked anew.
    pub(crate) fn reopen(&mut self, id: PairId) {
        let proves = self
            .pairs
            .iter()
            .any(|(_, pair)| pair.valid.is_some_and(|valid| valid.generated_by == id));
        let succeeded =
            self.pairs.get(id).is_some_and(|pair| pair.state == PairState::Succeeded && !pair.past);
        if succeeded && !proves {
            self.set_state(id, PairState::Failed, PairCause::Doubted);
        }
    }

    /// What a check of the pair has proved is too long ago: it is checked again.
    pub(crate) fn doubt(&mut self, id: PairId) {
        if let Some(pair) = self.pairs.get_mut(id) {
            pair.valid = None;
        }
        if self.pairs.get(id).is_some_and(|pair| pair.listed && !pair.expired) {
            self.set_state(id, PairState::Waiting, PairCause::Doubted);
            self.queue(id);
        } else {
            self.set_state(id, PairState::Failed, PairCause::Doubted);
        }
    }

    /// A check of the pair failed (RFC 8445 §7.2.5.2): pairs of its foundation are left alone. At
    /// the limit it makes room for one that had none.
    pub(crate) fn fail(&mut self, id: PairId) {
        self.set_state(id, PairState::Failed, PairCause::CheckFailed);
        self.unqueue(id);
        if let Some(list) = self.pairs.get(id).and_then(|pair| self.index(pair.stream)) {
            self.form_trickled(list);
        }
    }

    /// Nomination has concluded for a component (RFC 8445 §8.1.2): its other pairs leave the list
    /// and the queue, and those that never carried anything are forgotten.
    pub(crate) fn conclude(
        &mut self,
        stream: StreamId,
        component: u16,
        keep: impl Fn(PairId, &CandidatePair) -> bool,
    ) {
        let Some(index) = self.index(stream) else { return };
        if let Some(pool) = self.pool_mut(index, component) {
            pool.close();
        }
        let leaves =
            |id: PairId, pair: &CandidatePair| pair.component == component && !keep(id, pair);
        let Self { pairs, lists, foundations, transitions, .. } = self;
        let Some(list) = lists.get_mut(index) else { return };
        list.order.retain(|ranked| {
            let Some(pair) = pairs.get_mut(ranked.pair) else { return false };
            if !leaves(ranked.pair, pair) {
                return true;
            }
            foundations.leave(pair.foundation, is_active(pair.state));
            pair.listed = false;
            if pair.state != PairState::Succeeded {
                let was = core::mem::replace(&mut pair.state, PairState::Failed);
                if was != PairState::Failed {
                    pair.attempts.setback = Setback::Overtaken;
                }
                transitions.moved(ranked.pair, was, PairState::Failed, PairCause::Concluded);
            }
            false
        });
        let stays = |id: PairId| {
            pairs.get(id).is_some_and(|pair| pair.listed || pair.component != component)
        };
        list.triggered.retain(|&id| stays(id));
        pairs.retain(|id, pair| {
            let stays = pair.listed || pair.valid.is_some() || pair.heard;
            if !stays {
                transitions.removed(id, pair.state, PairCause::Concluded);
            }
            stays
        });
        // There may be room for pairs of other components now.
        self.form_trickled(index);
    }

    fn has_triggered(&self, list: usize) -> bool {
        self.lists.get(list).is_some_and(|list| !list.triggered.is_empty())
    }

    fn first_in(&self, list: usize, state: PairState) -> Option<PairId> {
        self.listed(list).find(|(_, pair)| pair.state == state).map(|(id, _)| id)
    }

    /// RFC 8445 §6.1.4.2, step 2.
    fn unfreeze_idle_foundations(&mut self, list: usize) {
        let frozen: Vec<(PairId, PairFoundation)> = self
            .listed(list)
            .filter(|(_, pair)| pair.state == PairState::Frozen)
            .map(|(id, pair)| (id, pair.foundation))
            .collect();
        for (id, foundation) in frozen {
            if self.foundations.get(foundation).is_some_and(|column| column.active == 0) {
                self.set_state(id, PairState::Waiting, PairCause::FoundationIdle);
            }
        }
    }
}
