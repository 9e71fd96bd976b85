//! ICE restart (RFC 8445 §9): staged by this side or begun by the peer, with the old path in use
//! until the new one is selected.
//!
//! ```text
//!              prepare_restart            set_remote, new credentials
//!   current ───────────────────▶ staged ────────────────────────────▶ current of the next
//!      ▲                           │                                   generation
//!      └───────────────────────────┘                                        ▲
//!              rollback_restart                                             │
//!      └────────────────────────────────────────────────────────────────────┘
//!              set_remote, new credentials: a restart by the peer
//! ```
//!
//! What a restart ends is flushed but for the roles (RFC 8445 §9). Of each component the pair that
//! carries its data stays, under the credentials that it was found with (RFC 7675 §5.1), until the
//! new generation has selected one.

use smallvec::SmallVec;

use crate::candidate::CandidateKind;
use crate::id::{CandidateId, PairId};
use crate::time::Timestamp;

use super::IceAgent;
use super::call_error::{RestartError, SetRemoteError};
use super::candidates::{Membership, Usage};
use super::generation::{LocalSide, Past, RemoteSide, Staged};
use super::io::{GatheringState, Parameters};
use super::output::Notice;
use super::transactions::Purpose;

/// What the peer's parameters are to those from before.
pub(super) enum Signalled {
    First,
    Same,
    Restart,
}

impl IceAgent {
    /// Stages a restart (RFC 8445 §9) and returns the parameters to signal. The session goes on as
    /// it is until [`set_remote`](Self::set_remote) has the peer's answer, new credentials of its
    /// own; [`rollback_restart`](Self::rollback_restart) takes it back. While it is staged, further
    /// calls return the same parameters.
    ///
    /// Gathering begins anew: all local candidates are put out again for the new generation, more
    /// may be added, and [`gather`](Self::gather) completes it.
    ///
    /// # Errors
    /// There is nothing to restart.
    pub fn prepare_restart(&mut self, now: Timestamp) -> Result<Parameters, RestartError> {
        self.advance(now);
        if self.is_closed() {
            return Err(RestartError::Closed);
        }
        if self.remote.is_none() {
            return Err(RestartError::NotStarted);
        }
        if self.staged.is_none() {
            let local = self.next_local_side();
            let gathering = core::mem::replace(&mut self.gathering, GatheringState::New);
            self.staged = Some(Box::new(Staged { local, gathering }));
            self.announce_locals(|_| true);
        }
        Ok(self.local_parameters())
    }

    /// Takes a staged restart back, as when the peer has refused the offer (RFC 9429 §4.1.10.2).
    /// Whether one was staged.
    pub fn rollback_restart(&mut self, now: Timestamp) -> bool {
        self.advance(now);
        let Some(staged) = self.staged.take() else { return false };
        self.gathering = staged.gathering;
        self.early.forget(staged.local.generation);
        for (_, local) in self.candidates.locals.iter_mut() {
            local.conveyed_anew = false;
        }
        let gathering = self.gathering != GatheringState::Complete;
        self.announce_locals(|conveyed| gathering && !conveyed);
        self.run();
        true
    }

    /// What these parameters are, if they may be taken.
    pub(super) fn judge(&self, parameters: &Parameters) -> Result<Signalled, SetRemoteError> {
        let Some(remote) = &self.remote else { return Ok(Signalled::First) };
        let (ours, theirs) = (&remote.parameters.credentials, &parameters.credentials);
        if ours == theirs {
            // RFC 8445 §9: a change between lite and full takes a restart.
            return if remote.parameters.lite == parameters.lite {
                Ok(Signalled::Same)
            } else {
                Err(SetRemoteError::Lite)
            };
        }
        if ours.ufrag() == theirs.ufrag() || ours.pwd() == theirs.pwd() {
            return Err(SetRemoteError::PartialRestart);
        }
        if self.past.iter().any(|past| past.remote.parameters.credentials == *theirs) {
            return Err(SetRemoteError::PastGeneration);
        }
        Ok(Signalled::Restart)
    }

    /// The peer has begun a restart, or answered ours.
    pub(super) fn restart(&mut self, parameters: Parameters) {
        let staged = self.staged.take();
        let by_peer = staged.is_none();
        let local = staged.map_or_else(|| self.next_local_side(), |staged| staged.local);
        let kept = self.keep_paths();
        let local = core::mem::replace(&mut self.local, local);
        if let Some(remote) = self.remote.replace(RemoteSide::new(parameters)) {
            self.past.push(Past { local, remote });
        }
        self.forget = Timestamp::MAX;
        self.release = Timestamp::MAX;
        self.role_changes = 0;
        self.observed.restart();
        self.restart_embedding();
        self.checks.retain(|check| check.purpose == Purpose::Consent && kept.contains(&check.pair));
        self.restart_streams(&kept);
        self.flush_candidates(&kept);
        self.prune_past();
        self.remote_complete = false;
        if by_peer {
            self.gathering = GatheringState::New;
            self.notice(Notice::RemoteRestart);
            self.announce_locals(|_| true);
        }
        let conveyed: SmallVec<[CandidateId; 8]> = self
            .candidates
            .locals
            .iter_mut()
            .filter(|(_, local)| local.kind != CandidateKind::PeerReflexive)
            .filter_map(|(id, local)| {
                local.conveyed = core::mem::take(&mut local.conveyed_anew);
                local.conveyed.then_some(id)
            })
            .collect();
        for id in conveyed {
            if let Some(local) = self.candidates.locals.get(id) {
                self.note_told(local.stream, local.component);
            }
            self.pair_local(id);
        }
        self.begin_checks();
    }

    fn next_local_side(&mut self) -> LocalSide {
        self.newest_generation = self.newest_generation.next();
        let prefix = self.config.ufrag_prefix;
        LocalSide::generate(self.newest_generation, prefix, &mut self.rng)
    }

    /// Puts local candidates out for the generation that is being signalled, instead of what waits
    /// to be polled; those for which `which` holds, of whether they were conveyed in the current
    /// generation.
    fn announce_locals(&mut self, which: impl Fn(bool) -> bool) {
        self.output.notices.retain(|notice| !matches!(notice, Notice::LocalCandidate(_)));
        if !self.trickles() {
            return;
        }
        let ids: SmallVec<[CandidateId; 8]> = self
            .candidates
            .locals
            .iter()
            .filter(|(_, local)| {
                local.kind != CandidateKind::PeerReflexive && local.usage == Usage::Candidate
            })
            .filter(|(_, local)| which(local.conveyed))
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.notice(Notice::LocalCandidate(id));
        }
    }

    /// The pairs that carry data stay; all else that is known of the components is flushed.
    fn keep_paths(&mut self) -> SmallVec<[PairId; 2]> {
        let mut kept = SmallVec::new();
        for component in self.streams.iter_mut().flat_map(|stream| &mut stream.components) {
            let path = component.path.as_ref().map(|path| path.pair);
            component.previous = path;
            component.selected = None;
            component.nominating = None;
            component.values = None;
            component.contest = None;
            component.valid_since = None;
            component.upkeep.retain(|upkeep| Some(upkeep.pair) == path);
            kept.extend(path);
        }
        kept
    }

    /// Empties the checklists. Components that the peer did not have are offered to it again.
    fn restart_streams(&mut self, kept: &[PairId]) {
        for stream in &mut self.streams {
            stream.told = 0;
            for number in 1..=stream.declared {
                if stream.components.iter().all(|component| component.number != number) {
                    stream.components.push(super::Component::new(number));
                }
            }
            stream.components.sort_unstable_by_key(|component| component.number);
        }
        let streams = self.streams.iter().map(|stream| (stream.id, stream.declared));
        self.lists.restart(streams, |pair| kept.contains(&pair));
    }

    /// Of the candidates only those of kept pairs stay, what waits for the new generation, and this
    /// side's own, which are put out again.
    fn flush_candidates(&mut self, kept: &[PairId]) {
        let lists = &self.lists;
        let used = |id: CandidateId| {
            kept.iter()
                .filter_map(|pair| lists.get(*pair))
                .any(|pair| pair.remote == id || pair.valid.is_some_and(|valid| valid.local == id))
        };
        self.candidates
            .remotes
            .retain(|id, remote| matches!(remote.membership, Membership::Awaits(_)) || used(id));
        self.candidates
            .locals
            .retain(|id, local| local.kind != CandidateKind::PeerReflexive || used(id));
        self.candidates.generation = self.local.generation;
        self.candidates.remote_foundations = Default::default();
    }

    /// Of the past generations those stay whose path is in use, and the newest.
    fn prune_past(&mut self) {
        let newest = self.past.last().map(|past| past.local.generation);
        let candidates = &self.candidates;
        self.past.retain(|past| {
            let generation = past.local.generation;
            Some(generation) == newest
                || candidates.remotes.iter().any(|(_, remote)| remote.is_of(generation))
        });
    }

    /// The new generation has settled: the old one stays for packets that are still on their way,
    /// for as long as the peer's consent to it may last.
    pub(super) fn settle_generation(&mut self) {
        if !self.past.is_empty() && self.forget == Timestamp::MAX {
            self.forget = self.now + self.config.timing.consent_timeout;
        }
    }

    /// Forgets the past generations when their time is over.
    pub(super) fn forget_past(&mut self) {
        if self.forget > self.now {
            return;
        }
        self.forget = Timestamp::MAX;
        self.past = Vec::new();
        self.lists.discard_past();
        let current = self.local.generation;
        self.candidates.remotes.retain(|_, remote| {
            remote.is_of(current) || matches!(remote.membership, Membership::Awaits(_))
        });
    }
}
