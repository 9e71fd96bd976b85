//! The checklist set (RFC 8445 §6.1.3) and every operation on it. What moves a pair from one
//! state to another is one method each, named after its cause.

use core::cmp::Reverse;

use crate::config::Role;
use crate::id::{CandidateId, PairId, StreamId, Table};

use super::endpoint::Endpoint;
use super::foundations::{Foundations, PairFoundation, Rank};
use super::list::{Checklist, ChecklistState, Ranked};
use super::pair::{CandidatePair, Nomination, PairState, priority_in};
use super::pool::Prospect;

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

/// The checklists of all streams, in the order of the streams.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ChecklistSet {
    role: Role,
    limit: usize,
    /// The initial states have been set (RFC 8445 §6.1.2.6): pairs that come now are trickled.
    started: bool,
    pairs: Table<PairId, CandidatePair>,
    lists: Vec<Checklist>,
    foundations: Foundations,
}

impl ChecklistSet {
    pub(crate) fn new(role: Role, limit: usize) -> Self {
        Self {
            role,
            limit,
            started: false,
            pairs: Table::default(),
            lists: Vec::new(),
            foundations: Foundations::default(),
        }
    }

    /// Adds the checklist of a new stream. The limit is shared evenly (RFC 8445 §6.1.2.5), so the
    /// other lists may have to give up pairs.
    pub(crate) fn add_list(&mut self, stream: StreamId, components: u16) {
        self.lists.push(Checklist::new(stream, components));
        for list in 0..self.lists.len() {
            self.shrink(list);
        }
    }

    /// Adds a local candidate that has been conveyed to the peer, and forms its pairs if checks
    /// have started.
    pub(crate) fn add_local(
        &mut self,
        stream: StreamId,
        component: u16,
        endpoint: Endpoint,
        base: CandidateId,
    ) {
        let Some(list) = self.index(stream) else { return };
        // A check of the peer may have made pairs of this base before it was conveyed.
        let existing: Vec<(PairId, CandidateId)> = self
            .pairs
            .iter()
            .filter(|(_, pair)| pair.local == base)
            .map(|(id, pair)| (id, pair.remote))
            .collect();
        let Some(pool) = self.pool_mut(list, component) else { return };
        pool.add_local(endpoint, base);
        for &(_, remote) in &existing {
            pool.mark_formed(base, remote);
        }
        for (id, _) in existing {
            self.raise_local(id, endpoint.priority);
        }
        self.form_trickled(list);
    }

    /// RFC 8445 §6.1.2.4, RFC 8838 §10: of redundant pairs the one with the higher priority
    /// stands, unless the other has been checked.
    fn raise_local(&mut self, id: PairId, priority: u32) {
        let raises = |pair: &CandidatePair| {
            matches!(pair.state, PairState::Frozen | PairState::Waiting)
                && pair.local_priority < priority
        };
        if self.pairs.get(id).is_some_and(raises) {
            self.detach(id);
            if let Some(pair) = self.pairs.get_mut(id) {
                pair.local_priority = priority;
                pair.prioritise(self.role);
            }
            self.attach(id);
        }
    }

    /// Adds a remote candidate that was signalled, and forms its pairs.
    pub(crate) fn add_remote(&mut self, stream: StreamId, component: u16, endpoint: Endpoint) {
        let Some(list) = self.index(stream) else { return };
        if let Some(pool) = self.pool_mut(list, component) {
            pool.add_remote(endpoint);
            self.form_trickled(list);
        }
    }

    /// A peer-reflexive candidate turned out to be a signalled one (RFC 8838 §11): it may be
    /// paired with the other local candidates from now on, and its own pairs keep their state
    /// under the signalled priority.
    pub(crate) fn adopt_remote(&mut self, stream: StreamId, component: u16, endpoint: Endpoint) {
        let Some(list) = self.index(stream) else { return };
        let affected: Vec<PairId> = self
            .pairs
            .iter()
            .filter(|(_, pair)| pair.remote == endpoint.id)
            .map(|(id, _)| id)
            .collect();
        if let Some(pool) = self.pool_mut(list, component) {
            pool.add_remote(endpoint);
        }
        for id in affected {
            self.detach(id);
            let Some(pair) = self.pairs.get_mut(id) else { continue };
            pair.remote_priority = endpoint.priority;
            pair.foundation.remote = endpoint.foundation;
            pair.prioritise(self.role);
            let local = pair.local;
            self.attach(id);
            if let Some(pool) = self.pool_mut(list, component) {
                pool.mark_formed(local, endpoint.id);
            }
        }
        self.form_trickled(list);
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
                self.set_state(id, PairState::Waiting);
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

    /// The pair to check next in a list (RFC 8445 §6.1.4.2, steps 1 to 3). It is In-Progress from
    /// now on, unless it is a valid one that is being nominated.
    pub(crate) fn next_check(&mut self, list: usize) -> Option<PairId> {
        if self.lists.get(list)?.state != ChecklistState::Running && !self.has_triggered(list) {
            return None;
        }
        if let Some(id) = self.lists.get_mut(list)?.triggered.pop_front() {
            // The nomination of a valid pair leaves it valid until it fails.
            if self.pairs.get(id).is_some_and(|pair| pair.state != PairState::Succeeded) {
                self.set_state(id, PairState::InProgress);
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
        self.set_state(id, PairState::InProgress);
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
        self.set_state(id, PairState::Waiting);
        Some(id)
    }

    /// Retires a pair for which `eligible` gives a rank, the highest rank first, in favour of the
    /// best pair that was not formed yet. Both, when there are two such pairs.
    pub(crate) fn retire(
        &mut self,
        list: usize,
        eligible: impl Fn(&CandidatePair) -> Option<u64>,
    ) -> Option<(PairId, CandidatePair)> {
        if !self.lists.get(list)?.has_prospects() {
            return None;
        }
        let (_, id) = self
            .listed(list)
            .filter(|(_, pair)| pair.state == PairState::InProgress)
            .filter_map(|(id, pair)| Some((Reverse(eligible(pair)?), id)))
            .min()?;
        let retired = self.discard(id)?;
        self.form(list);
        Some((id, retired))
    }

    /// The pair that a message on this path belongs to.
    pub(crate) fn find(&self, local: CandidateId, remote: CandidateId) -> Option<PairId> {
        self.pairs
            .iter()
            .find(|(_, pair)| pair.local == local && pair.remote == remote)
            .map(|(id, _)| id)
    }

    /// Inserts a pair that no rule formed: from a peer's check (RFC 8445 §7.3.1.4) or a check's
    /// mapped address (§7.2.5.3.2). At the limit it takes the place of the worst pair that has
    /// not succeeded; `None` when there is none.
    pub(crate) fn insert(
        &mut self,
        stream: StreamId,
        component: u16,
        local: Endpoint,
        remote: Endpoint,
    ) -> Option<PairId> {
        let list = self.index(stream)?;
        self.pool_mut(list, component)?;
        while self.lists.get(list)?.order.len() >= self.quota(list) {
            let worst = self
                .worst(list, |pair| pair.state == PairState::Failed)
                .or_else(|| {
                    self.worst(list, |pair| {
                        matches!(pair.state, PairState::Frozen | PairState::Waiting)
                    })
                })
                .or_else(|| self.worst(list, |pair| pair.state == PairState::InProgress))?;
            self.evict(list, worst);
        }
        self.pool_mut(list, component)?.mark_formed(local.id, remote.id);
        let priority = priority_in(self.role, local.priority, remote.priority);
        self.admit(list, component, local, remote, priority)
    }

    /// Inserts a pair that is never checked, out of its checklist. There may be as many of them as
    /// may be in the checklists.
    pub(crate) fn insert_aside(
        &mut self,
        stream: StreamId,
        component: u16,
        local: Endpoint,
        remote: Endpoint,
    ) -> Option<PairId> {
        if self.pairs.iter().filter(|(_, pair)| !pair.listed).count() >= self.limit {
            return None;
        }
        let priority = priority_in(self.role, local.priority, remote.priority);
        let mut pair = CandidatePair::new(stream, component, local, remote, priority);
        pair.listed = false;
        pair.state = PairState::Failed;
        self.pairs.insert(pair)
    }

    /// Takes a pair that is out of its checklist back into it, to be checked again.
    pub(crate) fn relist(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        if !pair.listed && !pair.expired && pair.state != PairState::Succeeded {
            pair.listed = true;
            self.attach(id);
        }
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
            self.set_state(id, PairState::Waiting);
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

    /// The components above `highest` are not used (RFC 8445 §6.1.2.2).
    pub(crate) fn drop_components(&mut self, stream: StreamId, highest: u16) {
        let Some(list) = self.index(stream) else { return };
        let dropped: Vec<PairId> = self
            .pairs
            .iter()
            .filter(|(_, pair)| pair.stream == stream && pair.component > highest)
            .map(|(id, _)| id)
            .collect();
        for id in dropped {
            self.discard(id);
        }
        if let Some(list) = self.lists.get_mut(list) {
            list.pools.retain(|pool| pool.component <= highest);
        }
        self.form_trickled(list);
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
        self.set_state(id, PairState::Succeeded);
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
            self.set_state(id, PairState::Waiting);
        }
    }

    /// A check of the pair failed (RFC 8445 §7.2.5.2): pairs of its foundation are left alone. At
    /// the limit it makes room for one that had none.
    pub(crate) fn fail(&mut self, id: PairId) {
        self.set_state(id, PairState::Failed);
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
            pool.closed = true;
        }
        let leaves =
            |id: PairId, pair: &CandidatePair| pair.component == component && !keep(id, pair);
        let Self { pairs, lists, foundations, .. } = self;
        let Some(list) = lists.get_mut(index) else { return };
        list.order.retain(|ranked| {
            let Some(pair) = pairs.get_mut(ranked.pair) else { return false };
            if !leaves(ranked.pair, pair) {
                return true;
            }
            foundations.leave(pair.foundation, is_active(pair.state));
            pair.listed = false;
            if pair.state != PairState::Succeeded {
                pair.state = PairState::Failed;
            }
            false
        });
        let listed = |id: PairId| pairs.get(id).is_some_and(|pair| pair.listed);
        list.triggered.retain(|&id| listed(id));
        pairs.retain(|_, pair| pair.listed || pair.valid.is_some() || pair.heard);
        // There may be room for pairs of other components now.
        self.form_trickled(index);
    }

    /// Removes a pair altogether.
    pub(crate) fn discard(&mut self, id: PairId) -> Option<CandidatePair> {
        self.unqueue(id);
        self.detach(id);
        self.pairs.remove(id)
    }

    /// Sets the state of a whole list.
    pub(crate) fn set_list_state(&mut self, list: usize, state: ChecklistState) {
        if let Some(list) = self.lists.get_mut(list) {
            list.state = state;
        }
    }

    /// Changes what rules do not depend on: nomination, validity, counts.
    pub(crate) fn annotate(&mut self, id: PairId) -> Option<&mut CandidatePair> {
        self.pairs.get_mut(id)
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
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
            .filter(|(_, pair)| pair.stream == stream && pair.component == component)
            .filter_map(|(id, pair)| Some((pair.valid?.priority, Reverse(id))))
            .max()
            .map(|(_, Reverse(id))| id)
    }

    pub(crate) fn index(&self, stream: StreamId) -> Option<usize> {
        self.lists.iter().position(|list| list.stream == stream)
    }

    /// How many pairs a list may hold: an even share of the limit, and never none.
    pub(crate) fn quota(&self, list: usize) -> usize {
        let lists = self.lists.len().max(1);
        let share = self.limit.checked_div(lists).unwrap_or(0);
        let rest = self.limit.checked_rem(lists).unwrap_or(0);
        share.saturating_add(usize::from(list < rest)).max(1)
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
                self.set_state(id, PairState::Waiting);
            }
        }
    }

    /// RFC 8838 §10, §11: what comes after the start is paired at once; what came before it is
    /// paired in one go, best first, so that no pair is formed only to be displaced.
    fn form_trickled(&mut self, list: usize) {
        if self.started {
            self.form(list);
        }
    }

    /// Forms pairs, best first, as long as there is room or a worse pair to displace (RFC 8445
    /// §6.1.2.5, RFC 8838 §10 and §11).
    fn form(&mut self, list: usize) {
        let quota = self.quota(list);
        while let Some((pool, prospect)) = self.best_prospect(list) {
            if self.lists.get(list).is_some_and(|list| list.order.len() >= quota) {
                let Some(worst) = self.displaceable(list, prospect.priority) else { return };
                self.evict(list, worst);
            }
            let Some(pool) = self.lists.get_mut(list).and_then(|list| list.pools.get_mut(pool))
            else {
                return;
            };
            pool.take(&prospect);
            let component = pool.component;
            let Prospect { local, remote, priority, .. } = prospect;
            if self.admit(list, component, local, remote, priority).is_none() {
                return;
            }
        }
    }

    fn best_prospect(&mut self, list: usize) -> Option<(usize, Prospect)> {
        let role = self.role;
        let pools = &mut self.lists.get_mut(list)?.pools;
        let prospects = pools.iter_mut().enumerate();
        prospects
            .filter_map(|(index, pool)| Some((index, pool.best(role)?)))
            .max_by_key(|(index, prospect)| (prospect.priority, Reverse(*index)))
    }

    /// The pair that makes room for one of `priority`: a Failed one first, else the worst that is
    /// worse (RFC 8838 §10, step 6).
    fn displaceable(&self, list: usize, priority: u64) -> Option<PairId> {
        self.worst(list, |pair| pair.state == PairState::Failed).or_else(|| {
            let unchecked = |pair: &CandidatePair| {
                matches!(pair.state, PairState::Frozen | PairState::Waiting)
                    && pair.priority < priority
                    && pair.nomination == Nomination::None
                    && !pair.heard
            };
            self.worst(list, unchecked)
        })
    }

    fn worst(&self, list: usize, which: impl Fn(&CandidatePair) -> bool) -> Option<PairId> {
        let order = &self.lists.get(list)?.order;
        order
            .iter()
            .rev()
            .find(|ranked| self.pairs.get(ranked.pair).is_some_and(&which))
            .map(|ranked| ranked.pair)
    }

    /// Removes a pair to make room. One that was never checked may be formed again.
    fn evict(&mut self, list: usize, id: PairId) {
        let Some(pair) = self.discard(id) else { return };
        if matches!(pair.state, PairState::Frozen | PairState::Waiting) {
            if let Some(pool) = self.pool_mut(list, pair.component) {
                pool.mark_unformed(pair.local, pair.remote);
            }
        }
    }

    /// Makes a list keep to its share of the limit.
    fn shrink(&mut self, list: usize) {
        let quota = self.quota(list);
        while self.lists.get(list).is_some_and(|list| list.order.len() > quota) {
            let worst = self
                .worst(list, |pair| pair.state == PairState::Failed)
                .or_else(|| self.worst(list, |pair| pair.state != PairState::Succeeded));
            let Some(worst) = worst else { return };
            self.evict(list, worst);
        }
    }

    fn admit(
        &mut self,
        list: usize,
        component: u16,
        local: Endpoint,
        remote: Endpoint,
        priority: u64,
    ) -> Option<PairId> {
        let stream = self.lists.get(list)?.stream;
        let pair = CandidatePair::new(stream, component, local, remote, priority);
        let foundation = pair.foundation;
        let id = self.pairs.insert(pair)?;
        let topmost = self.attach(id);
        let succeeded = self.foundations.get(foundation).is_some_and(|column| column.succeeded);
        // RFC 8838 §12, rules 1 to 3.
        if self.started && (topmost || succeeded) {
            self.set_state(id, PairState::Waiting);
        }
        if let Some(list) = self.lists.get_mut(list) {
            if list.state == ChecklistState::Failed {
                list.state = ChecklistState::Running;
            }
        }
        Some(id)
    }

    /// Enters a pair into the order of its list and the column of its foundation. Whether it is
    /// the topmost of that column.
    fn attach(&mut self, id: PairId) -> bool {
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
    fn detach(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get(id).filter(|pair| pair.listed) else { return };
        let Some(index) = self.index(pair.stream) else { return };
        self.foundations.leave(pair.foundation, is_active(pair.state));
        if let Some(list) = self.lists.get_mut(index) {
            list.order.retain(|other| other.pair != id);
        }
    }

    fn set_state(&mut self, id: PairId, state: PairState) {
        let Some(pair) = self.pairs.get_mut(id) else { return };
        let was = core::mem::replace(&mut pair.state, state);
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

    fn pool_mut(&mut self, list: usize, component: u16) -> Option<&mut super::pool::Pool> {
        self.lists.get_mut(list)?.pool_mut(component)
    }
}

/// Whether a pair keeps others of its foundation frozen (RFC 8445 §6.1.4.2, step 2).
const fn is_active(state: PairState) -> bool {
    matches!(state, PairState::Waiting | PairState::InProgress)
}

const fn rank(list: usize, pair: &CandidatePair) -> Rank {
    Rank { list, component: pair.component, priority: Reverse(pair.priority) }
}
