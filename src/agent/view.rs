//! What an agent tells of itself without changing anything.

use crate::checklist::{CandidatePair, Nomination, PairState};
use crate::config::Role;
use crate::id::{PairId, StreamId};

use super::candidates::{Membership, Remote, Usage};
use super::io::{CandidateView, Event, GatheringState};
use super::output::{Notice, Report};
use super::{ConnectionState, Counters, IceAgent};

/// A candidate pair as the agent sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PairView {
    /// Its id.
    pub id: PairId,
    /// Its stream.
    pub stream: StreamId,
    /// Its component.
    pub component: u16,
    /// The local candidate: once the pair is valid, the one that the peer sees.
    pub local: CandidateView,
    /// The remote candidate.
    pub remote: CandidateView,
    /// The foundation of the pair, as numbers for those of its candidates that mean nothing beyond
    /// this agent: pairs with equal ones are frozen and unfrozen together (RFC 8445 §6.1.2.6).
    pub foundation: (u16, u16),
    /// Its state.
    pub state: PairState,
    /// It is in the valid list.
    pub valid: bool,
    /// It has been nominated, in this generation or in the one before until this one has selected.
    pub nominated: bool,
    /// Its priority (RFC 8445 §6.1.2.3).
    pub priority: u64,
    /// Requests sent in the current attempt, retransmissions included.
    pub transmissions: u16,
}

impl IceAgent {
    /// The state of the connection.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.state
    }

    /// The role at present; it changes when a conflict is repaired.
    #[must_use]
    pub fn role(&self) -> Role {
        self.lists.role()
    }

    /// How far gathering is.
    #[must_use]
    pub fn gathering_state(&self) -> GatheringState {
        self.gathering
    }

    /// The streams, in the order in which they were added.
    pub fn streams(&self) -> impl Iterator<Item = StreamId> {
        self.streams.iter().map(|stream| stream.id)
    }

    /// The pair that nomination has settled on for a component; during a restart the one from
    /// before, as long as it may carry data.
    #[must_use]
    pub fn selected_pair(&self, stream: StreamId, component: u16) -> Option<PairView> {
        let component = self.component(stream, component)?;
        let previous = component.previous.filter(|&id| {
            self.lists.get(id).is_some_and(|pair| pair.nomination == Nomination::Nominated)
        });
        let id = component.selected.or(previous)?;
        self.view_pair(id, self.lists.get(id)?)
    }

    /// The local candidates, the peer-reflexive ones among them. Addresses that are used without
    /// being candidates are not.
    pub fn local_candidates(&self) -> impl Iterator<Item = CandidateView> {
        let told = self.candidates.locals.iter();
        told.filter(|(_, local)| local.usage == Usage::Candidate)
            .filter_map(|(id, _)| self.candidates.view_local(id))
    }

    /// The remote candidates, signalled or discovered, those of a generation to come among them.
    pub fn remote_candidates(&self) -> impl Iterator<Item = CandidateView> {
        self.candidates
            .remotes
            .iter()
            .filter(|(_, remote)| !self.is_past(remote))
            .filter_map(|(id, _)| self.candidates.view_remote(id))
    }

    /// The candidate pairs, those among them that have left their checklist but may carry data.
    pub fn pairs(&self) -> impl Iterator<Item = PairView> {
        self.lists.pairs().filter_map(|(id, pair)| self.view_pair(id, pair))
    }

    /// What was ignored and refused so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn view_pair(&self, id: PairId, pair: &CandidatePair) -> Option<PairView> {
        let local = pair.valid.map_or(pair.local, |valid| valid.local);
        let previous =
            || self.component(pair.stream, pair.component).and_then(|other| other.previous);
        let ended = pair.past && previous() != Some(id);
        Some(PairView {
            id,
            stream: pair.stream,
            component: pair.component,
            local: self.candidates.view_local(local)?,
            remote: self.candidates.view_remote(pair.remote)?,
            foundation: (pair.foundation.local, pair.foundation.remote),
            state: pair.state,
            valid: pair.valid.is_some(),
            nominated: pair.nomination == Nomination::Nominated && !ended,
            priority: pair.priority,
            transmissions: pair.attempts.transmissions,
        })
    }

    fn is_past(&self, remote: &Remote) -> bool {
        matches!(remote.membership, Membership::Of(generation) if generation != self.local.generation)
    }

    /// The event behind a notice; `None` when what it is about is gone.
    pub(super) fn event_of(&self, notice: &Notice) -> Option<Event> {
        Some(match *notice {
            Notice::LocalCandidate(id) => Event::LocalCandidate {
                id,
                stream: self.candidates.locals.get(id)?.stream,
                candidate: self.candidates.signalled_form(
                    id,
                    self.newest().credentials.ufrag(),
                    &self.config,
                )?,
            },
            Notice::LocalCandidateRemoved(id, stream) => {
                Event::LocalCandidateRemoved { id, stream }
            }
            Notice::GatheringState(state) => Event::GatheringState(state),
            Notice::ConnectionState(state) => Event::ConnectionState(state),
            Notice::SelectedPair { stream, component, pair, local } => {
                let remote = self.lists.get(pair)?.remote;
                Event::SelectedPair {
                    stream,
                    component,
                    pair,
                    local: self.candidates.view_local(local)?,
                    remote: self.candidates.view_remote(remote)?,
                }
            }
            Notice::ConsentLost { stream, component, pair } => {
                Event::ConsentLost { stream, component, pair }
            }
            Notice::RestartNeeded => Event::RestartNeeded,
            Notice::RemoteRestart => {
                Event::RemoteRestart { ufrag: self.remote.as_ref()?.ufrag().to_owned() }
            }
            Notice::Report(ref report) => event_of_report(report),
            Notice::Embedded(ref carried) => Event::Embedded {
                stream: carried.stream,
                component: carried.component,
                packet: carried.packet.clone(),
            },
            Notice::UfragTaken => Event::UfragTaken,
            Notice::RoleChanged(role) => Event::RoleChanged(role),
            Notice::RemoteCandidateDiscovered(id) => {
                let candidate = self.candidates.view_remote(id)?;
                Event::RemoteCandidateDiscovered { stream: candidate.stream, candidate }
            }
        })
    }
}

/// W3C RTCPeerConnectionIceErrorEvent: the code of a server that did not answer.
const UNREACHABLE: u16 = 701;

fn event_of_report(report: &Report) -> Event {
    match report {
        Report::ServerFailed { server, local, failure } => Event::CandidateError {
            server: *server,
            local: *local,
            code: failure.code().unwrap_or(UNREACHABLE),
            failure: failure.clone(),
        },
        Report::AllocationLost { server, relayed, failure } => {
            Event::AllocationLost { server: *server, relayed: *relayed, failure: failure.clone() }
        }
        Report::CredentialsExpiring { server, at } => {
            Event::CredentialsExpiring { server: *server, at: *at }
        }
        Report::OpenConnection { id, local, remote, security } => Event::OpenConnection {
            connection: *id,
            local: *local,
            remote: *remote,
            security: security.clone(),
        },
        Report::CloseConnection(connection) => Event::CloseConnection { connection: *connection },
        Report::OpenSocket { id, ip } => Event::OpenSocket { socket: *id, ip: *ip },
        Report::CloseSocket(socket) => Event::CloseSocket { socket: *socket },
        Report::PublishName { name, ip } => Event::PublishName { name: name.clone(), ip: *ip },
        Report::WithdrawName(name) => Event::WithdrawName { name: name.clone() },
        Report::ResolveName { lookup, name } => {
            Event::ResolveName { lookup: *lookup, name: name.clone().into() }
        }
    }
}
