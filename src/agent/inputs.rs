//! What the caller knows and tells of this side: streams, addresses, timing; and what the peer needs to
//! know of it.

use core::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::address;
use crate::candidate::foundation::FoundationKey;
use crate::candidate::network::Network;
use crate::candidate::{CandidateKind, CandidateTransport, TcpType, Transport};
use crate::config::{ConfigError, NominationMode, Timing};
use crate::id::{CandidateId, Id as _, StreamId};
use crate::time::Timestamp;

use super::call_error::{AddLocalError, AddStreamError};
use super::candidates::{Local, Usage};
use super::counters::Refused;
use super::explain::Rejected;
use super::io::{DISCARD_PORT, Description, GatheringState, LocalAddress, Origin, Parameters};
use super::local_address::{check_host, check_transport, yields_to_temporary};
use super::output::Notice;
use super::pacing::DEFAULT_TA;
use super::renomination::RENOMINATION;
use super::stats::Told;
use super::{Component, IceAgent, Stream};

impl IceAgent {
    /// Adds a stream of so many components. Legal at any time before the end.
    ///
    /// # Errors
    /// The number is not within 1 to 256, or the limit is reached.
    pub fn add_stream(
        &mut self,
        now: Timestamp,
        components: u16,
    ) -> Result<StreamId, AddStreamError> {
        self.advance(now);
        if self.is_closed() {
            return Err(AddStreamError::Closed);
        }
        if components == 0 || components > 256 {
            return Err(AddStreamError::Components);
        }
        if self.streams.len() >= usize::from(self.config.limits.streams) {
            return Err(AddStreamError::Limit);
        }
        let id = self.push_stream(components);
        self.run();
        Ok(id)
    }

    pub(super) fn push_stream(&mut self, components: u16) -> StreamId {
        let id = StreamId::new(self.next_stream);
        self.next_stream = self.next_stream.saturating_add(1);
        let components_of = (1..=components).map(Component::new).collect();
        self.streams.push(Stream { id, declared: components, told: 0, components: components_of });
        self.lists.add_list(id, components);
        id
    }

    /// Adds an address of this machine on which the caller has a socket, as a host candidate
    /// (RFC 8445 §5.1.1.1); or from which it opens TCP connections, or where it accepts them (RFC
    /// 6544 §4.1). Without such candidates no connection to a peer is opened or accepted. Legal until gathering is complete or nomination has concluded for the
    /// component; at any time with [`AgentConfig::continual`](crate::AgentConfig::continual), or
    /// while a restart is staged.
    ///
    /// A temporary IPv6 address displaces permanent ones of its prefix that have not been
    /// conveyed yet: [`Event::LocalCandidateRemoved`](crate::Event::LocalCandidateRemoved).
    ///
    /// # Errors
    /// The address cannot be a candidate, or not now; nothing has changed then.
    pub fn add_local(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        component: u16,
        local: LocalAddress,
    ) -> Result<CandidateId, AddLocalError> {
        self.advance(now);
        let addr = local.addr;
        let added = self.take_local(stream, component, local);
        if let Err(error) = added {
            self.reject(addr.to_string(), Rejected::Local(error));
        }
        added
    }

    fn take_local(
        &mut self,
        stream: StreamId,
        component: u16,
        local: LocalAddress,
    ) -> Result<CandidateId, AddLocalError> {
        if self.is_closed() {
            return Err(AddLocalError::Closed);
        }
        if self.component(stream, component).is_none() {
            return Err(AddLocalError::UnknownComponent);
        }
        if self.gathering == GatheringState::Complete {
            return Err(AddLocalError::GatheringComplete);
        }
        let current = self.staged.is_none() && !self.config.continual;
        if current && self.is_concluded(stream, component) {
            return Err(AddLocalError::Concluded);
        }
        check_transport(&local)?;
        let mut addr = address::normal(local.addr);
        let active = local.transport == CandidateTransport::Tcp(TcpType::Active);
        if active {
            addr.set_port(DISCARD_PORT);
        }
        check_host(addr, self.config.loopback)?;
        if local.deprecated {
            return Err(AddLocalError::Deprecated);
        }
        let (kind, base) = self.origin_of(stream, component, &local)?;
        let transport = local.transport.transport();
        let taken = if active {
            self.candidates.has_active(stream, component, addr)
        } else {
            self.candidates.is_taken(transport, addr, base)
        };
        if taken {
            return Err(AddLocalError::Duplicate);
        }
        let usage = self.usage_of(addr, kind, &local)?;
        if self.config.lite
            && (active
                || kind != CandidateKind::Host
                || self.has_host(stream, component, transport, addr.ip()))
        {
            return Err(AddLocalError::LiteAddress);
        }
        if kind == CandidateKind::Host {
            self.apply_temporary_rule(stream, component, addr, &local)?;
        }
        if self.candidates.locals.len() >= usize::from(self.config.limits.local_candidates) {
            self.counters.refuse(Refused::LocalCandidate);
            return Err(AddLocalError::Limit);
        }
        let key = self.foundation_key(addr, &local);
        let foundation = self.candidates.local_foundations.intern(key);
        let network = self.candidates.network_of(local.interface);
        let candidate = Local {
            stream,
            component,
            kind,
            transport: local.transport,
            addr,
            base,
            foundation,
            priority: 0,
            preference: 0,
            cost: Network::new(network, local.cost).cost,
            interface: local.interface,
            network,
            temporary: local.temporary,
            mapped: address::is_mapped(local.addr),
            usage,
            conveyed: false,
            conveyed_anew: false,
            interface_kind: Told(local.interface_kind),
        };
        let id = self.candidates.locals.insert(candidate).ok_or(AddLocalError::Limit)?;
        match local.origin {
            Origin::Socket => {
                self.candidates.place_host(id);
                self.announce_host(id, &local.interface_name);
            }
            Origin::Reflexive { .. } => {
                self.candidates.place_obtained(id);
                self.announce(id);
            }
            Origin::Relayed { mapped, .. } => {
                self.candidates.place_obtained(id);
                self.candidates.relate(id, address::normal(mapped));
                self.announce(id);
            }
        }
        if kind == CandidateKind::Host && self.servers.is_some() {
            self.ask_servers();
            self.run();
        }
        if self.is_traced() {
            self.trace_changes();
        }
        Ok(id)
    }

    /// The kind of a candidate, and its base if that is another one.
    fn origin_of(
        &self,
        stream: StreamId,
        component: u16,
        local: &LocalAddress,
    ) -> Result<(CandidateKind, Option<CandidateId>), AddLocalError> {
        match local.origin {
            Origin::Socket => Ok((CandidateKind::Host, None)),
            Origin::Relayed { .. } => Ok((CandidateKind::Relayed, None)),
            Origin::Reflexive { base, .. } => {
                let transport = local.transport.transport();
                let id = self.candidates.local_at(transport, address::normal(base));
                let of_component = |id: &CandidateId| {
                    self.candidates
                        .locals
                        .get(*id)
                        .is_some_and(|base| base.stream == stream && base.component == component)
                };
                let id = id.filter(of_component).ok_or(AddLocalError::UnknownBase)?;
                Ok((CandidateKind::ServerReflexive, Some(id)))
            }
        }
    }

    fn foundation_key(&self, addr: SocketAddr, local: &LocalAddress) -> FoundationKey {
        let transport = local.transport.transport();
        match local.origin {
            Origin::Socket => FoundationKey::host(addr.ip(), transport),
            Origin::Reflexive { base, server } => {
                let base = address::normal(base).ip();
                FoundationKey::server_reflexive(base, server.to_canonical(), transport)
            }
            // How the caller reaches its server is not known here.
            Origin::Relayed { server, .. } => {
                FoundationKey::relayed(addr.ip(), server.to_canonical(), transport, transport)
            }
        }
    }

    fn has_host(&self, stream: StreamId, component: u16, transport: Transport, ip: IpAddr) -> bool {
        self.candidates.locals.iter().any(|(_, local)| {
            local.stream == stream
                && local.component == component
                && local.transport.transport() == transport
                && local.addr.ip() == ip
        })
    }

    /// RFC 8445 §5.1.1.1: with a temporary address, none of the host's permanent ones in the same
    /// prefix, and no link-local one, may become a candidate.
    fn apply_temporary_rule(
        &mut self,
        stream: StreamId,
        component: u16,
        addr: SocketAddr,
        local: &LocalAddress,
    ) -> Result<(), AddLocalError> {
        let neighbours = |other: &Local| {
            other.stream == stream
                && other.component == component
                && other.interface == local.interface
                && other.kind == CandidateKind::Host
        };
        if !local.temporary {
            let yields = self.candidates.locals.iter().any(|(_, other)| {
                neighbours(other)
                    && other.temporary
                    && yields_to_temporary(other.addr.ip(), addr.ip())
            });
            return if yields { Err(AddLocalError::TemporaryPreferred) } else { Ok(()) };
        }
        let displaced: SmallVec<[CandidateId; 4]> = self
            .candidates
            .locals
            .iter()
            .filter(|(_, other)| {
                neighbours(other)
                    && !other.temporary
                    && !other.conveyed
                    && yields_to_temporary(addr.ip(), other.addr.ip())
            })
            .map(|(id, _)| id)
            .collect();
        for id in displaced {
            self.forget_local(id);
            self.notice(Notice::LocalCandidateRemoved(id, stream));
        }
        Ok(())
    }

    /// Completes gathering: the addresses that were added are all there are, which
    /// [`Event::GatheringState`](crate::Event::GatheringState) tells the peer as
    /// end-of-candidates. Without it an agent never reports failure, as more could come (RFC 8838
    /// §8). Repeated calls do nothing.
    pub fn gather(&mut self, now: Timestamp) {
        self.advance(now);
        if self.is_closed() || self.gathering != GatheringState::New {
            return;
        }
        self.set_gathering(GatheringState::Gathering);
        self.begin_asking();
        self.run();
    }

    pub(super) fn set_gathering(&mut self, state: GatheringState) {
        self.gathering = state;
        self.notice(Notice::GatheringState(state));
    }

    /// What the peer needs to know of this side before checks can start; while a restart is staged,
    /// that of the new generation.
    #[must_use]
    pub fn local_parameters(&self) -> Parameters {
        let ta = self.config.timing.ta;
        let mut parameters = Parameters::new(self.newest().credentials.clone());
        parameters.lite = self.config.lite;
        // RFC 8839 §5.5: a lite agent proposes no pacing, since it sends no checks.
        parameters.pacing = (ta != DEFAULT_TA && !self.config.lite).then_some(ta);
        // RFC 8445 §10: a peer that is told so does not expect aggressive nomination.
        if self.config.nomination != NominationMode::Aggressive {
            parameters.options.push("ice2".to_owned());
        }
        if self.config.nomination.renominates() {
            parameters.options.push(RENOMINATION.to_owned());
        }
        if self.trickles() {
            parameters.options.push("trickle".to_owned());
        }
        parameters
    }

    /// Takes the description of this side, for complete signalling or a further offer: all
    /// candidates that are known, which count as conveyed from now on; of a component whose pair is
    /// nominated that pair's local candidate alone (RFC 8839 §4.4.1.2.2).
    pub fn take_description(&mut self, now: Timestamp) -> Description {
        self.advance(now);
        let ids: Vec<CandidateId> = self
            .candidates
            .locals
            .iter()
            .filter(|&(id, local)| match self.nominated_local(local.stream, local.component) {
                Some(nominated) => nominated == id,
                None => {
                    local.kind != CandidateKind::PeerReflexive && local.usage == Usage::Candidate
                }
            })
            .map(|(id, _)| id)
            .collect();
        let ufrag = self.newest().credentials.ufrag();
        let candidates = ids
            .iter()
            .filter_map(|&id| {
                let stream = self.candidates.locals.get(id)?.stream;
                Some((stream, self.candidates.signalled_form(id, ufrag, &self.config)?))
            })
            .collect();
        let description = Description {
            parameters: self.local_parameters(),
            candidates,
            end_of_candidates: self.gathering == GatheringState::Complete,
        };
        for id in ids {
            self.convey(id);
        }
        self.output.notices.retain(|notice| !matches!(notice, Notice::LocalCandidate(_)));
        self.run();
        description
    }

    /// The local candidate of the nominated pair of a component, unless a restart is staged that
    /// begins anew with all of them, or it is an address that the peer is not told.
    fn nominated_local(&self, stream: StreamId, component: u16) -> Option<CandidateId> {
        let selected = self.component(stream, component)?.selected;
        let pair = self.lists.get(selected.filter(|_| self.staged.is_none())?)?;
        let id = pair.valid.map_or(pair.local, |valid| valid.local);
        let local = self.candidates.locals.get(id)?;
        let told = local.kind != CandidateKind::Host || local.usage == Usage::Candidate;
        told.then_some(id)
    }

    /// Changes intervals and timeouts from now on, such as to [`Timing::power_saving`] and back.
    /// Deadlines are computed anew; transactions under way keep theirs.
    ///
    /// # Errors
    /// A value is out of its bounds; nothing has changed then.
    pub fn set_timing(&mut self, now: Timestamp, timing: Timing) -> Result<(), ConfigError> {
        self.advance(now);
        timing.validate()?;
        self.config.timing = timing.into();
        let theirs = self.remote.as_ref().map(|remote| remote.parameters.pacing);
        let theirs = theirs.map(|pacing| pacing.unwrap_or(DEFAULT_TA));
        self.pacer.set_ta(self.config.timing.ta.max(theirs.unwrap_or_default()));
        self.restart_upkeep();
        self.run();
        Ok(())
    }
}
