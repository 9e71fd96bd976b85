//! Which pairs there are: forming, pruning, limiting (RFC 8445 §6.1.2.2 to §6.1.2.5, RFC 8838 §10
//! to §12), and those that checks bring in (RFC 8445 §7.2.5.3.2, §7.3.1.4).

use core::cmp::Reverse;

use crate::id::{CandidateId, PairId, StreamId};

use super::endpoint::Endpoint;
use super::list::{Checklist, ChecklistState};
use super::pair::{CandidatePair, Nomination, PairState, priority_in};
use super::pool::Prospect;
use super::set::ChecklistSet;
use super::transitions::PairCause;

impl ChecklistSet {
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

    /// Local candidates and pairs are gone: valid pairs that were found valid in their name are so in
    /// their own from now on.
    pub(crate) fn forget_proofs(&mut self, locals: &[CandidateId], pairs: &[PairId]) {
        for (id, pair) in self.pairs.iter_mut() {
            let base = pair.local;
            let Some(valid) = &mut pair.valid else { continue };
            if locals.contains(&valid.local) {
                valid.local = base;
            }
            if pairs.contains(&valid.generated_by) {
                valid.generated_by = id;
            }
        }
    }

    /// A local candidate is gone: no more pairs of it are formed. Those that exist are the caller's
    /// to discard.
    pub(crate) fn remove_local(&mut self, base: CandidateId) {
        for pool in self.lists.iter_mut().flat_map(|list| &mut list.pools) {
            pool.remove_local(base);
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

    /// Retires a pair for which `eligible` gives a rank, the highest rank first, in favour of the
    /// best pair that was not formed yet. The retired pair as it was.
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
        let retired = self.remove(id, PairCause::Retired)?;
        self.form(list);
        Some((id, retired))
    }

    /// Inserts a pair that no rule formed: from a peer's check (RFC 8445 §7.3.1.4) or a check's
    /// mapped address (§7.2.5.3.2). At the limit it takes the place of the worst pair that has
    /// not succeeded and that nobody has nominated; `None` when there is none.
    pub(crate) fn insert(
        &mut self,
        stream: StreamId,
        component: u16,
        local: Endpoint,
        remote: Endpoint,
    ) -> Option<PairId> {
        let list = self.index(stream)?;
        self.pool_mut(list, component)?;
        self.make_room(list)?;
        self.pool_mut(list, component)?.mark_formed(local.id, remote.id);
        let priority = priority_in(self.role, local.priority, remote.priority);
        self.admit(list, component, local, remote, priority, PairCause::Message)
    }

    /// Removes the least promising pairs until there is room for one more. `None` when those that
    /// are left have succeeded.
    fn make_room(&mut self, list: usize) -> Option<()> {
        while self.lists.get(list)?.order.len() >= self.quota(list) {
            let worst = self
                .worst(list, |pair| pair.state == PairState::Failed)
                .or_else(|| {
                    self.worst(list, |pair| {
                        matches!(pair.state, PairState::Frozen | PairState::Waiting)
                    })
                })
                .or_else(|| {
                    self.worst(list, |pair| {
                        pair.state == PairState::InProgress && pair.nomination == Nomination::None
                    })
                })?;
            self.evict(list, worst);
        }
        Some(())
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
        if self.pairs.iter().filter(|(_, pair)| !pair.listed).count() >= self.limit() {
            return None;
        }
        let priority = priority_in(self.role, local.priority, remote.priority);
        let mut pair = CandidatePair::new(stream, component, local, remote, priority);
        pair.listed = false;
        pair.state = PairState::Failed;
        self.insert_pair(pair, PairCause::Message)
    }

    fn insert_pair(&mut self, pair: CandidatePair, cause: PairCause) -> Option<PairId> {
        let id = self.pairs.insert(pair)?;
        if let Some(pair) = self.pairs.get(id) {
            self.transitions.formed(id, pair, cause);
        }
        Some(id)
    }

    /// Takes a pair that is out of its checklist back into it, to be checked again.
    pub(crate) fn relist(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get(id) else { return };
        if pair.listed || pair.expired || pair.state == PairState::Succeeded {
            return;
        }
        let room = self.index(pair.stream).and_then(|list| self.make_room(list));
        if let (Some(()), Some(pair)) = (room, self.pairs.get_mut(id)) {
            pair.listed = true;
            self.attach(id);
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
            self.remove(id, PairCause::ComponentDropped);
        }
        if let Some(list) = self.lists.get_mut(list) {
            list.pools.retain(|pool| pool.component <= highest);
        }
        self.form_trickled(list);
    }

    /// How many pairs a list may hold: an even share of the limit, and never none.
    pub(crate) fn quota(&self, list: usize) -> usize {
        let lists = self.lists.len().max(1);
        let share = self.limit().checked_div(lists).unwrap_or(0);
        let rest = self.limit().checked_rem(lists).unwrap_or(0);
        share.saturating_add(usize::from(list < rest)).max(1)
    }

    /// RFC 8838 §10, §11: what comes after the start is paired at once; what came before it is
    /// paired in one go, best first, so that no pair is formed only to be displaced.
    pub(super) fn form_trickled(&mut self, list: usize) {
        if self.started {
            self.form(list);
        }
    }

    /// Forms pairs, best first, as long as there is room or a worse pair to displace (RFC 8445
    /// §6.1.2.5, RFC 8838 §10 and §11).
    pub(super) fn form(&mut self, list: usize) {
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
            let cause = PairCause::Candidates;
            if self.admit(list, component, local, remote, priority, cause).is_none() {
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
        let Some(pair) = self.remove(id, PairCause::Displaced) else { return };
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
        cause: PairCause,
    ) -> Option<PairId> {
        let stream = self.lists.get(list)?.stream;
        let pair = CandidatePair::new(stream, component, local, remote, priority);
        let foundation = pair.foundation;
        let id = self.insert_pair(pair, cause)?;
        let topmost = self.attach(id);
        let succeeded = self.foundations.get(foundation).is_some_and(|column| column.succeeded);
        // RFC 8838 §12, rules 1 to 3.
        if self.started && (topmost || succeeded) {
            self.set_state(id, PairState::Waiting, PairCause::Topmost);
        }
        if let Some(list) = self.lists.get_mut(list) {
            if list.state == ChecklistState::Failed {
                list.state = ChecklistState::Running;
            }
        }
        Some(id)
    }
}
