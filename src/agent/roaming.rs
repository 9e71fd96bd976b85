//! Addresses that come and go while a session lives: interfaces lost and found, sockets rebound,
//! candidates that arrive after nomination, and those that are freed (RFC 8445 §8.3).

use core::net::SocketAddr;
use core::time::Duration;

use smallvec::SmallVec;

use crate::address;
use crate::candidate::foundation::FoundationKey;
use crate::candidate::{CandidateKind, CandidateTransport, TcpType};
use crate::checklist::{ChecklistState, PairState};
use crate::id::{CandidateId, PairId, StreamId};
use crate::time::Timestamp;

use super::call_error::{AddLocalError, RemoveLocalError};
use super::candidates::{Local, Usage};
use super::io::DISCARD_PORT;
use super::local_address::check_host;
use super::output::Notice;
use super::{ConnectionState, IceAgent};

/// RFC 8445 §8.3.1: how long candidates that were not selected are still used.
const RELEASE_AFTER: Duration = Duration::from_secs(3);

impl IceAgent {
    /// The address of a local candidate is gone, as when its interface went down. Its pairs are
    /// forgotten; if one was selected, another valid pair takes its place, or else
    /// [`Event::RestartNeeded`](crate::Event::RestartNeeded) says that there is none.
    ///
    /// # Errors
    /// There is no such candidate, or it is one that the agent has learned of by itself.
    pub fn remove_local(
        &mut self,
        now: Timestamp,
        id: CandidateId,
    ) -> Result<(), RemoveLocalError> {
        self.advance(now);
        if self.is_closed() {
            return Err(RemoveLocalError::Closed);
        }
        self.own_candidate(id).ok_or(RemoveLocalError::UnknownCandidate)?;
        let affected = self.forget_local(id);
        self.ask_for_restart(&affected);
        self.run();
        Ok(())
    }

    /// These components have lost their selected pair. Those that have no other need a restart.
    pub(super) fn ask_for_restart(&mut self, affected: &[(StreamId, u16)]) {
        for &(stream, number) in affected {
            if self.component(stream, number).is_some_and(|component| !component.is_connected()) {
                self.notice(Notice::RestartNeeded);
            }
        }
    }

    /// The socket of a local candidate has moved to another address of this machine, as when a
    /// network was changed. The candidate is replaced by one with the new address, whose pairs are
    /// checked at once, that of the selected path first. The peer learns of it by the checks, or by
    /// signalling if it has not been told of the old one or gathering is continual. Data
    /// can be sent again as soon as one of them is answered, since consent is for an address (RFC
    /// 7675 §5.1).
    ///
    /// # Errors
    /// There is no such host candidate, or the address cannot be one; nothing has changed then.
    pub fn rebind_local(
        &mut self,
        now: Timestamp,
        id: CandidateId,
        addr: SocketAddr,
    ) -> Result<CandidateId, AddLocalError> {
        self.advance(now);
        if self.is_closed() {
            return Err(AddLocalError::Closed);
        }
        let old = self.own_candidate(id).filter(|local| local.kind == CandidateKind::Host);
        let old = old.ok_or(AddLocalError::UnknownCandidate)?.clone();
        let mapped = address::is_mapped(addr);
        let mut addr = address::normal(addr);
        if old.transport == CandidateTransport::Tcp(TcpType::Active) {
            addr.set_port(DISCARD_PORT);
        }
        check_host(addr, self.config.loopback)?;
        let active = old.transport == CandidateTransport::Tcp(TcpType::Active);
        let taken = if active {
            self.candidates.has_active(old.stream, old.component, addr)
        } else {
            self.candidates.local_at(old.transport.transport(), addr).is_some()
        };
        if taken {
            return Err(AddLocalError::Duplicate);
        }
        let interface = self.candidates.interface_of(id).to_owned();
        self.check_local_address(addr.ip(), old.transport.transport(), &interface)?;
        let key = FoundationKey::host(addr.ip(), old.transport.transport());
        let foundation = self.candidates.local_foundations.intern(key);
        let (stream, number) = (old.stream, old.component);
        let first = self.remotes_by_use(stream, number, id);
        let told = self.is_told_of(id);
        // What was replaced by a rule is to be judged anew, since rules go by the address.
        let rewritten = self
            .based_on(id)
            .any(|(other, local)| other != id && local.kind == CandidateKind::Host);
        let usage = if rewritten { Usage::Candidate } else { old.usage };
        let moved = Local { addr, mapped, foundation, usage, ..old };
        let new = self.candidates.locals.insert(moved).ok_or(AddLocalError::Limit)?;
        self.rebase_servers(id, new);
        self.forget_local(id);
        self.announce_host(new, &interface);
        if told {
            self.convey_moved(new);
            for remote in first {
                self.pair_late(new, remote);
            }
        }
        self.run();
        Ok(new)
    }

    /// The peer knew the candidates of a socket that has moved: it needs no telling, unless gathering
    /// is continual.
    fn convey_moved(&mut self, base: CandidateId) {
        let told: SmallVec<[CandidateId; 4]> = self
            .based_on(base)
            .filter(|(_, local)| local.usage == Usage::Candidate)
            .map(|(id, _)| id)
            .collect();
        for &id in &told {
            if let Some(local) = self.candidates.locals.get_mut(id) {
                local.conveyed = true;
            }
            self.pair_local(id);
        }
        if !self.config.continual {
            self.output.notices.retain(
                |notice| !matches!(notice, Notice::LocalCandidate(id) if told.contains(id)),
            );
        }
    }

    /// Whether the peer knows a candidate, or one that sends from its socket.
    fn is_told_of(&self, base: CandidateId) -> bool {
        let told = |local: &Local| local.conveyed && local.kind != CandidateKind::PeerReflexive;
        self.based_on(base).any(|(_, local)| told(local))
    }

    /// A host candidate, and the candidates that send from its socket.
    fn based_on(&self, base: CandidateId) -> impl Iterator<Item = (CandidateId, &Local)> {
        let locals = self.candidates.locals.iter();
        locals.filter(move |(id, local)| *id == base || local.base == Some(base))
    }

    /// A candidate that the caller has added.
    fn own_candidate(&self, id: CandidateId) -> Option<&Local> {
        self.candidates.locals.get(id).filter(|local| local.kind != CandidateKind::PeerReflexive)
    }

    /// The remote candidates of a component, those first to which a local one has a valid pair.
    pub(super) fn remotes_by_use(
        &self,
        stream: StreamId,
        number: u16,
        local: CandidateId,
    ) -> SmallVec<[CandidateId; 4]> {
        let path = self.component(stream, number).and_then(|component| component.path.as_ref());
        let path = path.map(|path| path.pair);
        let mut remotes: SmallVec<[(bool, bool, CandidateId); 4]> = self
            .candidates
            .remotes
            .iter()
            .filter(|(_, remote)| {
                remote.stream == stream
                    && remote.component == number
                    && remote.is_of(self.local.generation)
            })
            .map(|(id, _)| {
                let pair = self.lists.find(local, id);
                let valid = pair
                    .and_then(|pair| self.lists.get(pair))
                    .is_some_and(|pair| pair.valid.is_some());
                (path.is_none() || pair != path, !valid, id)
            })
            .collect();
        remotes.sort_unstable();
        remotes.into_iter().map(|(_, _, id)| id).collect()
    }

    /// Forms a pair that no rule forms any more, since nomination has concluded, and queues its
    /// check. Before that it moves to the front of those that were formed.
    pub(super) fn pair_late(&mut self, local: CandidateId, remote: CandidateId) {
        let ours = self.candidates.local_endpoint(local);
        let theirs = self.candidates.remote_endpoint(remote);
        let suits =
            ours.zip(theirs).is_some_and(|(ours, theirs)| ours.reach.pairs_with(theirs.reach));
        let checks = self.remote.is_some() && !self.config.lite;
        if !suits || !checks {
            return;
        }
        let id = self.lists.find(local, remote).or_else(|| self.insert_pair(local, remote));
        if let Some(id) = id {
            let open = self.lists.get(id).is_some_and(|pair| {
                matches!(pair.state, PairState::Frozen | PairState::Waiting | PairState::Failed)
                    && !pair.expired
            });
            if open {
                self.lists.queue(id);
            }
        }
    }

    /// A candidate of the peer that came after nomination: its pairs are checked, as spare paths.
    pub(super) fn pair_late_remote(&mut self, remote: CandidateId) {
        let Some(candidate) = self.candidates.remotes.get(remote) else { return };
        let (stream, number) = (candidate.stream, candidate.component);
        if !self.is_concluded(stream, number) {
            return;
        }
        let locals: SmallVec<[CandidateId; 8]> = self
            .candidates
            .locals
            .iter()
            .filter(|(id, local)| {
                local.stream == stream
                    && local.component == number
                    && local.base.is_none()
                    && self.is_told_of(*id)
            })
            .map(|(id, _)| id)
            .collect();
        for local in locals {
            self.pair_late(local, remote);
        }
    }

    /// A local candidate that was conveyed after nomination.
    pub(super) fn pair_late_local(&mut self, local: CandidateId) {
        let base = self.candidates.base_of(local);
        let Some(candidate) = self.candidates.locals.get(base) else { return };
        let (stream, number) = (candidate.stream, candidate.component);
        // A reflexive candidate is checked from its base, whose pairs are there already if that has
        // been told itself.
        let paired = base != local && candidate.conveyed;
        if self.is_concluded(stream, number) && !paired {
            for remote in self.remotes_by_use(stream, number, base) {
                self.pair_late(base, remote);
            }
        }
    }

    /// Whether nomination has concluded for a component (RFC 8445 §8.1.2).
    pub(super) fn is_concluded(&self, stream: StreamId, number: u16) -> bool {
        self.component(stream, number).is_some_and(|component| component.selected.is_some())
    }

    /// Forgets a local candidate, what the peer saw of it, and all pairs of them. The components
    /// that have lost their selected pair.
    pub(super) fn forget_local(&mut self, id: CandidateId) -> SmallVec<[(StreamId, u16); 2]> {
        let gone = |other: CandidateId, local: &Local| other == id || local.base == Some(id);
        let ids: SmallVec<[CandidateId; 2]> = self
            .candidates
            .locals
            .iter()
            .filter(|(other, local)| gone(*other, local))
            .map(|(id, _)| id)
            .collect();
        self.output.notices.retain(
            |notice| !matches!(notice, Notice::LocalCandidate(other) if ids.contains(other)),
        );
        let pairs: SmallVec<[PairId; 8]> = self
            .lists
            .pairs()
            .filter(|(_, pair)| ids.contains(&pair.local))
            .map(|(id, _)| id)
            .collect();
        let mut affected = SmallVec::new();
        for &pair in &pairs {
            affected.extend(self.forget_pair(pair));
        }
        self.lists.forget_proofs(&ids, &pairs);
        self.lists.remove_local(id);
        self.forget_relayed(id);
        self.candidates.remove_locals(&ids);
        self.withdraw_names();
        self.forget_base(id);
        affected
    }

    /// Forgets a pair; its component if that had selected it.
    fn forget_pair(&mut self, id: PairId) -> Option<(StreamId, u16)> {
        self.checks.discard(id);
        let pair = self.lists.discard(id)?;
        let (stream, number) = (pair.stream, pair.component);
        self.leave_pair(id, stream, number).then_some((stream, number))
    }

    /// A pair of a component is valid no longer. Whether it was the selected one.
    pub(super) fn leave_pair(&mut self, id: PairId, stream: StreamId, number: u16) -> bool {
        let spare = self.lists.best_valid(stream, number).is_some();
        let Some(component) = self.component_mut(stream, number) else { return false };
        component.upkeep.retain(|upkeep| upkeep.pair != id);
        if component.nominating == Some(id) {
            component.nominating = None;
        }
        if !spare {
            component.valid_since = None;
        }
        if component.previous == Some(id) {
            component.previous = None;
        }
        let selected = component.selected == Some(id);
        if selected {
            component.selected = None;
            component.changes.note(true);
            if let Some(list) = self.lists.index(stream) {
                self.lists.set_list_state(list, ChecklistState::Running);
            }
        }
        self.refresh_path(stream, number);
        selected
    }

    /// The session is Completed: what it does not use may be freed soon (RFC 8445 §8.3.1), or at
    /// once by a lite agent (§8.3.2).
    pub(super) fn schedule_release(&mut self) {
        if self.config.release_candidates && self.state != ConnectionState::Completed {
            let wait = if self.config.lite { Duration::ZERO } else { RELEASE_AFTER };
            self.release = self.now + wait;
        }
    }

    /// Frees the candidates that no pair in use or kept as a spare has.
    pub(super) fn release_candidates(&mut self) {
        if self.release > self.now {
            return;
        }
        self.release = Timestamp::MAX;
        let kept: SmallVec<[CandidateId; 4]> = self
            .streams
            .iter()
            .flat_map(|stream| &stream.components)
            .flat_map(|component| &component.upkeep)
            .filter_map(|upkeep| Some(self.lists.get(upkeep.pair)?.local))
            .flat_map(|local| {
                // What a server relays goes through the socket from which it was asked.
                let base = self.servers.as_ref().and_then(|servers| servers.base_of(local));
                [Some(local), base]
            })
            .flatten()
            .collect();
        let freed: SmallVec<[(CandidateId, StreamId); 4]> = self
            .candidates
            .locals
            .iter()
            .filter(|(id, local)| local.kind != CandidateKind::PeerReflexive && !kept.contains(id))
            .filter(|(_, local)| local.base.is_none())
            .map(|(id, local)| (id, local.stream))
            .collect();
        for (id, stream) in freed {
            self.forget_local(id);
            self.notice(Notice::LocalCandidateRemoved(id, stream));
        }
    }
}
