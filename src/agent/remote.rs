//! What the peer tells: its parameters, its candidates, and that there are no more (RFC 8445 §6.1,
//! RFC 8838 §9 to §14).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use crate::address;
use crate::candidate::network::Network;
use crate::candidate::{Candidate, CandidateAddress, CandidateTransport, TcpType};
use crate::config::MdnsMode;
use crate::id::{CandidateId, LookupId, StreamId};
use crate::mdns::MdnsName;
use crate::time::Timestamp;

use super::IceAgent;
use super::call_error::{AddRemoteError, SetRemoteError};
use super::candidates::{Membership, Named, Remote};
use super::counters::Refused;
use super::explain::Rejected;
use super::generation::RemoteSide;
use super::io::Parameters;
use super::local_address::check_remote;
use super::output::Report;
use super::pacing::DEFAULT_TA;
use super::restart::Signalled;
use super::stats::Told;

impl IceAgent {
    /// Takes the peer's parameters; checks start with them. The same parameters again change
    /// nothing.
    ///
    /// Other credentials are a restart (RFC 8445 §9): they commit the one that was staged with
    /// [`prepare_restart`](Self::prepare_restart), or else are one by the peer, which
    /// [`Event::RemoteRestart`](crate::Event::RemoteRestart) tells. That one is to be answered with
    /// [`local_parameters`](Self::local_parameters), which are new, and gathering anew.
    ///
    /// # Errors
    /// The parameters cannot be used; those from before stay in force.
    pub fn set_remote(
        &mut self,
        now: Timestamp,
        parameters: Parameters,
    ) -> Result<(), SetRemoteError> {
        self.advance(now);
        if self.is_closed() {
            return Err(SetRemoteError::Closed);
        }
        let pacing = parameters.pacing.unwrap_or(DEFAULT_TA);
        if pacing > Duration::from_secs(10) {
            return Err(SetRemoteError::Pacing);
        }
        match self.judge(&parameters)? {
            Signalled::Same => {}
            Signalled::First => {
                self.remote = Some(RemoteSide::new(parameters));
                self.begin_checks();
            }
            Signalled::Restart => self.restart(parameters),
        }
        Ok(())
    }

    /// The parameters of both sides are there: checks of this generation begin.
    pub(super) fn begin_checks(&mut self) {
        let Some(remote) = &self.remote else { return };
        let pacing = remote.parameters.pacing.unwrap_or(DEFAULT_TA);
        self.pacer.set_ta(self.config.timing.ta.max(pacing));
        self.pacer.begin_checks();
        let ufrag = remote.ufrag().to_owned();
        if self.is_traced() {
            self.trace_generation();
        }
        self.adopt_early_candidates(&ufrag);
        self.patience = Some(self.now + self.config.timing.transaction_timeout());
        self.settle_implementations();
        if !self.config.lite {
            self.lists.start();
        }
        self.process_early_checks();
        self.run();
    }

    /// Adds a candidate of the peer. Legal at any time until the end of candidates; one that is
    /// known already changes nothing, or turns a peer-reflexive one into what was signalled
    /// (RFC 8838 §11).
    ///
    /// An extension `ufrag` names the generation that the candidate belongs to: without it that is
    /// the current one. One of a generation to come is kept until its parameters are there.
    ///
    /// # Errors
    /// The candidate cannot be used; nothing has changed then.
    pub fn add_remote_candidate(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        candidate: &Candidate,
    ) -> Result<CandidateId, AddRemoteError> {
        self.advance(now);
        let added = self.take_remote(stream, candidate);
        if let Err(error) = added {
            self.reject(written(candidate), Rejected::Remote(error));
        }
        added
    }

    fn take_remote(
        &mut self,
        stream: StreamId,
        candidate: &Candidate,
    ) -> Result<CandidateId, AddRemoteError> {
        if self.is_closed() {
            return Err(AddRemoteError::Closed);
        }
        let membership = self.membership(candidate.extension("ufrag"))?;
        self.check_remote_candidate(stream, candidate, &membership)?;
        if let Some(name) = self.name_in(candidate)? {
            let id = self.add_named_remote(stream, candidate, &name, membership)?;
            self.run();
            return Ok(id);
        }
        let addr = self.usable_remote(candidate)?;
        let transport = candidate.transport.transport();
        let component = candidate.component;
        let known = self.candidates.remote_in(&membership, stream, component, transport, addr);
        let id = match known {
            Some(id) => {
                self.merge_remote(id, candidate);
                id
            }
            None => self.insert_remote(stream, candidate, addr, membership, Named::No)?,
        };
        self.run();
        Ok(id)
    }

    /// The generation of a candidate that names this username fragment, or none.
    fn membership(&self, ufrag: Option<&str>) -> Result<Membership, AddRemoteError> {
        let Some(remote) = &self.remote else {
            return Ok(Membership::Awaits(ufrag.map(Into::into)));
        };
        let Some(ufrag) = ufrag.filter(|&ufrag| ufrag != remote.ufrag()) else {
            return Ok(Membership::Of(self.local.generation));
        };
        if self.past.iter().any(|past| past.remote.ufrag() == ufrag) {
            return Err(AddRemoteError::PastGeneration);
        }
        Ok(Membership::Awaits(Some(ufrag.into())))
    }

    /// The name that stands for the address of a candidate.
    fn name_in(&self, candidate: &Candidate) -> Result<Option<MdnsName>, AddRemoteError> {
        let CandidateAddress::Name { host, .. } = &candidate.address else { return Ok(None) };
        if self.config.mdns == MdnsMode::Off {
            return Err(AddRemoteError::Name);
        }
        host.parse().map(Some).map_err(|_| AddRemoteError::Name)
    }

    /// Whether a candidate can be taken, whatever its address is.
    fn check_remote_candidate(
        &self,
        stream: StreamId,
        candidate: &Candidate,
        membership: &Membership,
    ) -> Result<(), AddRemoteError> {
        if self.component(stream, candidate.component).is_none() {
            return Err(AddRemoteError::UnknownComponent);
        }
        let ended = match membership {
            Membership::Of(_) => self.remote_complete,
            Membership::Awaits(ufrag) => ufrag.is_some() && self.early_end == *ufrag,
        };
        if ended {
            return Err(AddRemoteError::AfterEnd);
        }
        if candidate.transport == CandidateTransport::Tcp(TcpType::SimultaneousOpen) {
            return Err(AddRemoteError::SimultaneousOpen);
        }
        Ok(())
    }

    /// The address of a candidate that can be checked.
    fn usable_remote(&self, candidate: &Candidate) -> Result<SocketAddr, AddRemoteError> {
        let CandidateAddress::Socket(addr) = candidate.address else {
            return Err(AddRemoteError::Name);
        };
        let addr = address::normal(addr);
        check_remote(addr, self.config.loopback)?;
        self.check_peer_address(addr.ip())?;
        Ok(addr)
    }

    fn insert_remote(
        &mut self,
        stream: StreamId,
        candidate: &Candidate,
        addr: SocketAddr,
        membership: Membership,
        named: Named,
    ) -> Result<CandidateId, AddRemoteError> {
        let remotes = &self.candidates.remotes;
        let signalled = remotes.iter().filter(|(_, remote)| remote.signalled).count();
        if signalled >= usize::from(self.config.limits.remote_candidates) {
            self.counters.refuse(Refused::RemoteCandidate);
            return Err(AddRemoteError::Limit);
        }
        let foundation = self.candidates.remote_foundations.intern(&candidate.foundation);
        let current = matches!(membership, Membership::Of(_));
        let remote = Remote {
            stream,
            component: candidate.component,
            kind: candidate.kind,
            transport: candidate.transport,
            addr,
            foundation,
            priority: candidate.priority,
            network: Network::default(),
            membership,
            signalled: true,
            named,
            related: related_in(candidate),
        };
        let id = self.candidates.remotes.insert(remote).ok_or(AddRemoteError::Limit)?;
        self.candidates.note_network(id, candidate.network());
        if current {
            self.pair_remote(id);
        }
        Ok(id)
    }

    /// Takes a candidate whose address is a name of multicast DNS, and lets it be resolved.
    fn add_named_remote(
        &mut self,
        stream: StreamId,
        candidate: &Candidate,
        name: &MdnsName,
        membership: Membership,
    ) -> Result<CandidateId, AddRemoteError> {
        let CandidateAddress::Name { port, .. } = candidate.address else {
            return Err(AddRemoteError::Name);
        };
        if port == 0 {
            return Err(AddRemoteError::Port);
        }
        // The port alone tells two candidates of one name apart. The lookup tells names apart.
        let lookup = super::servers::take_lookup(&mut self.next_lookup);
        let addr = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let named = Named::Unresolved(lookup);
        let id = self.insert_remote(stream, candidate, addr, membership, named)?;
        self.report(Report::ResolveName { lookup, name: name.as_str().into() });
        Ok(id)
    }

    /// What the name of a candidate stands for. Whether it was asked. A name with more addresses
    /// than one stands for nothing (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.2.2).
    pub(super) fn remote_resolved(&mut self, lookup: LookupId, ips: &[IpAddr]) -> bool {
        let asked = |remote: &Remote| remote.named == Named::Unresolved(lookup);
        let found = self.candidates.remotes.iter().find(|(_, remote)| asked(remote));
        let found = found.map(|(id, remote)| (id, remote.clone()));
        let Some((id, Remote { stream, component, addr, transport, membership, .. })) = found
        else {
            return false;
        };
        let (port, transport) = (addr.port(), transport.transport());
        let one = match ips {
            [ip] => Some(address::normal(SocketAddr::new(*ip, port))),
            _ => None,
        };
        let usable = one.filter(|addr| {
            check_remote(*addr, self.config.loopback).is_ok()
                && self.check_peer_address(addr.ip()).is_ok()
        });
        let Some(addr) = usable else {
            self.candidates.remotes.remove(id);
            self.reject(format!("a name, port {port}"), Rejected::Remote(AddRemoteError::Name));
            return true;
        };
        // It may have been met already, by a check that was faster than the answer.
        match self.candidates.remote_in(&membership, stream, component, transport, addr) {
            Some(known) => {
                if let Some(named) = self.candidates.remotes.remove(id) {
                    self.merge_named(known, &named);
                }
            }
            None => {
                if let Some(remote) = self.candidates.remotes.get_mut(id) {
                    remote.addr = addr;
                    remote.named = Named::Resolved;
                }
                if matches!(membership, Membership::Of(_)) {
                    self.pair_remote(id);
                }
            }
        }
        true
    }

    fn pair_remote(&mut self, id: CandidateId) {
        let Some(remote) = self.candidates.remotes.get(id) else { return };
        let (stream, component) = (remote.stream, remote.component);
        let Some(endpoint) = self.candidates.remote_endpoint(id) else { return };
        self.lists.add_remote(stream, component, endpoint);
        self.permit_remote(id);
        self.pair_late_remote(id);
    }

    /// What came before the parameters belongs to them, unless it names another generation: that is
    /// dropped (RFC 8838 §9).
    fn adopt_early_candidates(&mut self, ufrag: &str) {
        let generation = self.local.generation;
        let mut adopted: Vec<CandidateId> = Vec::new();
        self.candidates.remotes.retain(|id, remote| {
            let Membership::Awaits(named) = &remote.membership else { return true };
            let awaited = named.as_deref().is_none_or(|named| named == ufrag);
            if awaited {
                remote.membership = Membership::Of(generation);
                adopted.push(id);
            }
            awaited
        });
        for id in adopted {
            self.pair_remote(id);
        }
        let early_end = self.early_end.take();
        self.remote_complete |= early_end.is_some_and(|generation| &*generation == ufrag);
        if self.remote_complete {
            self.drop_missing_components();
        }
    }

    /// RFC 8838 §11: a signalled candidate with the address of one that is known. A
    /// peer-reflexive one takes its kind, priority and foundation; its pairs keep their state. A
    /// signalled one stands.
    fn merge_remote(&mut self, id: CandidateId, candidate: &Candidate) {
        let Some(remote) = self.candidates.remotes.get_mut(id) else { return };
        if remote.signalled {
            return;
        }
        remote.signalled = true;
        remote.related = related_in(candidate);
        remote.kind = candidate.kind;
        remote.priority = candidate.priority;
        remote.foundation = self.candidates.remote_foundations.intern(&candidate.foundation);
        let (stream, component) = (remote.stream, remote.component);
        let told = candidate.network();
        if told.is_told() {
            self.candidates.note_network(id, told);
        }
        if let Some(endpoint) = self.candidates.remote_endpoint(id) {
            self.lists.adopt_remote(stream, component, endpoint);
        }
    }

    /// A candidate that was met turns out to be one that was told under a name.
    fn merge_named(&mut self, id: CandidateId, told: &Remote) {
        let Some(remote) = self.candidates.remotes.get_mut(id) else { return };
        remote.named = Named::Resolved;
        if remote.signalled {
            return;
        }
        remote.signalled = true;
        remote.related = told.related.clone();
        remote.kind = told.kind;
        remote.priority = told.priority;
        remote.foundation = told.foundation;
        if told.network.is_told() {
            remote.network = told.network;
        }
        let (stream, component) = (remote.stream, remote.component);
        if let Some(endpoint) = self.candidates.remote_endpoint(id) {
            self.lists.adopt_remote(stream, component, endpoint);
        }
    }

    /// The peer has no more candidates (RFC 8838 §14). `generation` is the username fragment that
    /// it named; that of one to come is kept until its parameters are there, that of one before is
    /// ignored. `None` means the generation of the parameters that were set last, or the first one
    /// if there are none yet: right wherever signalling keeps its lines in order.
    pub fn end_of_remote_candidates(&mut self, now: Timestamp, generation: Option<&str>) {
        self.advance(now);
        let current = self.remote.as_ref().map(RemoteSide::ufrag);
        let past = |ufrag| self.past.iter().any(|past| past.remote.ufrag() == ufrag);
        if self.is_closed() || generation.is_some_and(past) {
            return;
        }
        if let Some(generation) = generation.filter(|_| generation != current) {
            self.early_end = Some(generation.into());
            return;
        }
        if self.remote_complete {
            return;
        }
        self.remote_complete = true;
        self.drop_missing_components();
        self.run();
    }

    /// RFC 8445 §6.1.2.2: a stream has the components that both sides have. When the peer has
    /// named all its candidates, those that it has none for are dropped, which is no failure.
    fn drop_missing_components(&mut self) {
        for stream in &mut self.streams {
            let remotes = self.candidates.remotes.iter();
            let Some(highest) = remotes
                .filter(|(_, remote)| {
                    remote.stream == stream.id && remote.is_of(self.local.generation)
                })
                .map(|(_, remote)| remote.component)
                .max()
            else {
                continue;
            };
            stream.reduce(highest, &mut self.lists);
        }
    }
}

/// The address of a candidate, for people.
fn written(candidate: &Candidate) -> String {
    match &candidate.address {
        CandidateAddress::Socket(addr) => addr.to_string(),
        other => format!("{other:?}"),
    }
}

/// What a candidate says that it is related to, for statistics.
fn related_in(candidate: &Candidate) -> Told<Option<Box<SocketAddr>>> {
    Told(candidate.related.map(address::normal).map(Box::new))
}
