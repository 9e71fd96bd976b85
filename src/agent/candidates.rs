//! The candidates of an agent: what is known of each, and how they are found by address.

use core::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::address;
use crate::candidate::foundation::{LocalFoundations, RemoteFoundations};
use crate::candidate::network::Network;
use crate::candidate::priority::{self, HostAddress, TCP_SINGLE_PREFERENCE};
use crate::candidate::{
    Candidate, CandidateAddress, CandidateKind, CandidateTransport, Foundation, TcpType, Transport,
};
use crate::checklist::{Endpoint, Reach};
use crate::id::{CandidateId, LookupId, StreamId, Table};
use crate::mdns::MdnsName;
use crate::policy::{
    InterfaceKind, Obtained, Policies, Related, obtained_preference, related_to_tell,
};

use super::generation::Generation;
use super::io::CandidateView;
use super::settings::Settings;
use super::stats::Told;

/// A candidate of this agent.
#[derive(Clone, Debug, Hash)]
pub(super) struct Local {
    pub(super) stream: StreamId,
    pub(super) component: u16,
    pub(super) kind: CandidateKind,
    pub(super) transport: CandidateTransport,
    pub(super) addr: SocketAddr,
    /// The candidate whose address it sends from; itself for a host candidate.
    pub(super) base: Option<CandidateId>,
    pub(super) foundation: u16,
    pub(super) priority: u32,
    /// The local preference within its kind and component (RFC 8445 §5.1.2.1).
    pub(super) preference: u16,
    pub(super) cost: u16,
    pub(super) interface: u32,
    /// The number of the interface that the peer may be told.
    pub(super) network: u16,
    pub(super) temporary: bool,
    /// The caller wrote the IPv4 address as an IPv6 one.
    pub(super) mapped: bool,
    /// What it is for.
    pub(super) usage: Usage,
    /// The peer has been told, or never will be (peer-reflexive).
    pub(super) conveyed: bool,
    /// The peer has been told for the generation that a restart has staged.
    pub(super) conveyed_anew: bool,
    pub(super) interface_kind: Told<Option<InterfaceKind>>,
}

/// What a local candidate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Usage {
    /// Servers are asked from it, and what comes from a peer is ignored.
    Servers,
    /// It is the base of candidates that the peer is told, and is not told itself.
    Base,
    /// The peer is told.
    Candidate,
}

/// A name in a candidate of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Named {
    /// There was none.
    No,
    /// It stands for the address.
    Resolved,
    /// It is not known what it stands for.
    Unresolved(LookupId),
}

/// A candidate of the peer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Remote {
    pub(super) stream: StreamId,
    pub(super) component: u16,
    pub(super) kind: CandidateKind,
    pub(super) transport: CandidateTransport,
    pub(super) addr: SocketAddr,
    pub(super) foundation: u16,
    pub(super) priority: u32,
    /// What the peer has told of the network that it is on.
    pub(super) network: Network,
    pub(super) membership: Membership,
    /// It came by signalling, and not from a check alone.
    pub(super) signalled: bool,
    pub(super) named: Named,
    /// The address that the peer has told it to be related to (RFC 8839 §5.1).
    pub(super) related: Told<Option<Box<SocketAddr>>>,
}

impl Remote {
    pub(super) fn is_of(&self, generation: Generation) -> bool {
        self.membership == Membership::Of(generation)
    }
}

/// The generation that a candidate of the peer belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Membership {
    /// This one.
    Of(Generation),
    /// One whose parameters are not known yet, by its username fragment if that was named.
    Awaits(Option<Box<str>>),
}

/// All candidates of both sides.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Candidates {
    /// The current generation.
    pub(super) generation: Generation,
    pub(super) locals: Table<CandidateId, Local>,
    pub(super) remotes: Table<CandidateId, Remote>,
    pub(super) local_foundations: LocalFoundations,
    pub(super) remote_foundations: RemoteFoundations,
    /// What is known of some beyond that.
    extras: Option<Box<Extras>>,
    /// Peer-reflexive candidates get foundations of their own (RFC 8445 §7.3.1.3), counted down
    /// from the highest number.
    reflexive_foundations: u16,
    /// The newest number that an interface got.
    pub(super) newest_network: u16,
    /// The peer tells of its networks.
    pub(super) networks_told: bool,
}

/// What the candidates of many sessions do not have.
#[derive(Clone, Debug, Default, Hash)]
struct Extras {
    /// The related addresses of relayed candidates (RFC 8839 §5.1).
    related: Vec<(CandidateId, SocketAddr)>,
    /// The names of interfaces, where policies may ask for them.
    interfaces: Vec<(CandidateId, Box<str>)>,
    /// The names under which addresses are told.
    names: Vec<(IpAddr, MdnsName)>,
}

impl Candidates {
    /// A foundation that no other candidate has.
    pub(super) fn unique_foundation(&mut self) -> u16 {
        self.reflexive_foundations = self.reflexive_foundations.wrapping_add(1);
        u16::MAX.wrapping_sub(self.reflexive_foundations)
    }

    /// Gives back spare capacity.
    pub(super) fn shrink(&mut self) {
        self.locals.shrink();
        self.remotes.shrink();
    }

    /// The candidate whose socket has this address.
    pub(super) fn local_at(&self, transport: Transport, addr: SocketAddr) -> Option<CandidateId> {
        self.locals
            .iter()
            .find(|(_, local)| {
                local.addr == addr
                    && local.base.is_none()
                    && local.transport.transport() == transport
            })
            .map(|(id, _)| id)
    }

    /// The candidate that accepts TCP connections at this address.
    pub(super) fn passive_at(&self, addr: SocketAddr) -> Option<CandidateId> {
        let transport = CandidateTransport::Tcp(TcpType::Passive);
        self.locals
            .iter()
            .find(|(_, local)| {
                local.addr == addr && local.base.is_none() && local.transport == transport
            })
            .map(|(id, _)| id)
    }

    /// Whether a component has a candidate that opens TCP connections from this address.
    pub(super) fn has_active(&self, stream: StreamId, component: u16, addr: SocketAddr) -> bool {
        self.locals.iter().any(|(_, local)| {
            local.stream == stream
                && local.component == component
                && local.addr == addr
                && local.transport == CandidateTransport::Tcp(TcpType::Active)
        })
    }

    /// RFC 8445 §5.1.3: whether a candidate with this address and base would be redundant.
    pub(super) fn is_taken(
        &self,
        transport: Transport,
        addr: SocketAddr,
        base: Option<CandidateId>,
    ) -> bool {
        // What the peer is not told, or under a name only, may be told as what a server sees
        // (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.1.2.2).
        let told = |local: &Local| local.usage == Usage::Candidate && self.name_of(local).is_none();
        self.locals.iter().any(|(id, local)| {
            local.addr == addr
                && local.transport.transport() == transport
                && (local.base == base || (base == Some(id) && told(local)))
        })
    }

    /// Notes the address that a relayed candidate is related to.
    pub(super) fn relate(&mut self, id: CandidateId, addr: SocketAddr) {
        self.extras.get_or_insert_default().related.push((id, addr));
    }

    /// The address that a relayed candidate is related to.
    pub(super) fn related(&self, id: CandidateId) -> Option<SocketAddr> {
        let related = &self.extras.as_ref()?.related;
        related.iter().find(|(other, _)| *other == id).map(|(_, addr)| *addr)
    }

    /// Forgets local candidates.
    pub(super) fn remove_locals(&mut self, ids: &[CandidateId]) {
        self.locals.retain(|id, _| !ids.contains(&id));
        let Some(extras) = &mut self.extras else { return };
        extras.related.retain(|(id, _)| !ids.contains(id));
        extras.interfaces.retain(|(id, _)| !ids.contains(id));
    }

    pub(super) fn name_interface(&mut self, id: CandidateId, name: &str) {
        self.extras.get_or_insert_default().interfaces.push((id, name.into()));
    }

    /// The name of the interface of a host candidate; empty if it is not known.
    pub(super) fn interface_of(&self, id: CandidateId) -> &str {
        let interfaces = self.extras.as_ref().map(|extras| &extras.interfaces);
        let found = interfaces.into_iter().flatten().find(|(other, _)| *other == id);
        found.map_or("", |(_, name)| name)
    }

    pub(super) fn name_address(&mut self, ip: IpAddr, name: MdnsName) {
        self.extras.get_or_insert_default().names.push((ip, name));
    }

    /// The name under which an address is told.
    pub(super) fn name_of_address(&self, ip: IpAddr) -> Option<&MdnsName> {
        let names = &self.extras.as_ref()?.names;
        names.iter().find(|(other, _)| *other == ip).map(|(_, name)| name)
    }

    /// Forgets the names of addresses that no host candidate has any more, or all of them.
    pub(super) fn forget_names(&mut self, all: bool) -> Vec<MdnsName> {
        let mut gone = Vec::new();
        let Self { extras: Some(extras), locals, .. } = self else { return gone };
        extras.names.retain(|(ip, name)| {
            let of_it = |local: &Local| local.kind == CandidateKind::Host && local.addr.ip() == *ip;
            let in_use = !all && locals.iter().any(|(_, local)| of_it(local));
            if !in_use {
                gone.push(name.clone());
            }
            in_use
        });
        gone
    }

    /// Gives what a server has given its place among the candidates of its kind and component.
    pub(super) fn place_by_server(&mut self, id: CandidateId, obtained: Obtained) {
        let Some(new) = self.locals.get(id) else { return };
        let (stream, component, kind) = (new.stream, new.component, new.kind);
        let taken: SmallVec<[u16; 8]> = self
            .locals
            .iter()
            .filter(|(other, local)| {
                *other != id
                    && local.stream == stream
                    && local.component == component
                    && local.kind == kind
            })
            .map(|(_, local)| local.preference)
            .collect();
        if let Some(local) = self.locals.get_mut(id) {
            let type_preference = priority::type_preference(kind, local.transport);
            local.preference = obtained_preference(obtained, &taken);
            local.priority =
                priority::candidate_priority(type_preference, local.preference, component);
        }
    }

    /// Gives a reflexive or relayed candidate its place among those of its kind and component: that
    /// of its base, or the next below it that is free.
    pub(super) fn place_obtained(&mut self, id: CandidateId) {
        let Some(new) = self.locals.get(id) else { return };
        let (stream, component, kind) = (new.stream, new.component, new.kind);
        let transport = new.transport;
        let base = new.base.and_then(|base| self.locals.get(base));
        let mut preference = base.map_or(u16::MAX, |base| {
            priority::obtained_preference(kind, transport, base.preference)
        });
        let taken = |preference: u16| {
            self.locals.iter().any(|(other, local)| {
                other != id
                    && local.stream == stream
                    && local.component == component
                    && local.kind == kind
                    && local.preference == preference
            })
        };
        while preference > 0 && taken(preference) {
            preference = preference.saturating_sub(1);
        }
        if let Some(local) = self.locals.get_mut(id) {
            let type_preference = priority::type_preference(kind, local.transport);
            local.preference = preference;
            local.priority = priority::candidate_priority(type_preference, preference, component);
        }
    }

    /// The local candidate of a component that a peer sees at this address.
    pub(super) fn local_seen_at(
        &self,
        stream: StreamId,
        component: u16,
        transport: Transport,
        addr: SocketAddr,
        base: CandidateId,
    ) -> Option<CandidateId> {
        let seen = |id: CandidateId, local: &Local| {
            local.addr == addr
                && local.stream == stream
                && local.component == component
                && local.transport.transport() == transport
                && id != base
        };
        match self.locals.get(base) {
            Some(local) if local.addr == addr => Some(base),
            _ => self.locals.iter().find(|(id, local)| seen(*id, local)).map(|(id, _)| id),
        }
    }

    /// The candidate of the current generation that has this address.
    pub(super) fn remote_at(
        &self,
        stream: StreamId,
        component: u16,
        transport: Transport,
        addr: SocketAddr,
    ) -> Option<CandidateId> {
        let current = Membership::Of(self.generation);
        self.remote_in(&current, stream, component, transport, addr)
    }

    /// The candidate of a generation that has this address.
    pub(super) fn remote_in(
        &self,
        membership: &Membership,
        stream: StreamId,
        component: u16,
        transport: Transport,
        addr: SocketAddr,
    ) -> Option<CandidateId> {
        self.remotes
            .iter()
            .find(|(_, remote)| {
                remote.addr == addr
                    && remote.component == component
                    && remote.stream == stream
                    && remote.transport.transport() == transport
                    && remote.membership == *membership
            })
            .map(|(id, _)| id)
    }

    /// The candidate that packets leave from.
    pub(super) fn base_of(&self, id: CandidateId) -> CandidateId {
        self.locals.get(id).and_then(|local| local.base).unwrap_or(id)
    }

    /// RFC 8445 §7.1.1: the priority that a peer-reflexive candidate from this base would have.
    pub(super) fn reflexive_priority(local: &Local) -> u32 {
        priority::peer_reflexive_priority(local.preference, local.component, local.transport)
    }

    /// Gives a new host candidate its place among those of its component. Where no families or
    /// costs have to be interleaved that is the last one, and nothing else moves.
    pub(super) fn place_host(&mut self, id: CandidateId) {
        let Some(new) = self.locals.get(id) else { return };
        let (stream, component, transport) = (new.stream, new.component, new.transport);
        if let CandidateTransport::Tcp(direction) = transport {
            self.place_tcp(id, stream, component, direction);
            return;
        }
        let (ipv6, cost) = (new.addr.is_ipv6(), new.cost);
        let neighbours = self.locals.iter().filter(|&(other, local)| {
            other != id
                && local.stream == stream
                && local.component == component
                && local.kind == CandidateKind::Host
                && local.transport == transport
        });
        let mut interleaved = false;
        let mut lowest: Option<u16> = None;
        for (_, local) in neighbours {
            interleaved |= local.addr.is_ipv6() != ipv6 || local.cost > cost;
            lowest = Some(lowest.map_or(local.preference, |other| other.min(local.preference)));
        }
        if interleaved {
            self.rank_hosts(stream, component);
            return;
        }
        let preference = lowest.map_or(u16::MAX, |lowest| lowest.saturating_sub(1));
        let type_preference = priority::type_preference(CandidateKind::Host, transport);
        if let Some(local) = self.locals.get_mut(id) {
            local.preference = preference;
            local.priority = priority::candidate_priority(type_preference, preference, component);
        }
    }

    /// RFC 6544 §4.2: a new TCP candidate comes after those of its direction and component.
    fn place_tcp(&mut self, id: CandidateId, stream: StreamId, component: u16, direction: TcpType) {
        let transport = CandidateTransport::Tcp(direction);
        let neighbours = self.locals.iter().filter(|&(other, local)| {
            other != id
                && local.stream == stream
                && local.component == component
                && local.kind == CandidateKind::Host
                && local.transport == transport
        });
        let lowest = neighbours.map(|(_, local)| local.preference & TCP_SINGLE_PREFERENCE).min();
        let other = lowest.map_or(TCP_SINGLE_PREFERENCE, |lowest| lowest.saturating_sub(1));
        let kind = CandidateKind::Host;
        let preference = priority::tcp_local_preference(kind, direction, other);
        if let Some(local) = self.locals.get_mut(id) {
            let type_preference = priority::type_preference(kind, transport);
            local.preference = preference;
            local.priority = priority::candidate_priority(type_preference, preference, component);
        }
    }

    /// RFC 8421 §4: ranks the host candidates of a component that nobody has seen yet, behind
    /// those that were conveyed.
    fn rank_hosts(&mut self, stream: StreamId, component: u16) {
        let of_component = |local: &Local| {
            local.stream == stream
                && local.component == component
                && local.kind == CandidateKind::Host
                && local.transport == CandidateTransport::Udp
        };
        let taken = self
            .locals
            .iter()
            .filter(|(_, local)| of_component(local) && local.conveyed)
            .map(|(_, local)| local.preference)
            .min();
        let next = taken.map_or(u16::MAX, |lowest| lowest.saturating_sub(1));
        let hosts: Vec<HostAddress> = self
            .locals
            .iter()
            .filter(|(_, local)| of_component(local) && !local.conveyed)
            .map(|(_, local)| HostAddress { ipv6: local.addr.is_ipv6(), cost: local.cost })
            .collect();
        let mut preferences = priority::local_preferences(&hosts, next).into_iter();
        for (_, local) in self.locals.iter_mut() {
            if of_component(local) && !local.conveyed {
                if let Some(preference) = preferences.next() {
                    local.preference = preference;
                    local.priority = priority::candidate_priority(
                        priority::type_preference(local.kind, local.transport),
                        preference,
                        component,
                    );
                }
            }
        }
    }

    /// A local candidate as the pairing rules see it.
    pub(super) fn local_endpoint(&self, id: CandidateId) -> Option<Endpoint> {
        let local = self.locals.get(id)?;
        let relayed = local.kind == CandidateKind::Relayed;
        // What is sent leaves from the base, whatever the peer sees of it.
        let base = local.base.filter(|_| !relayed).and_then(|base| self.locals.get(base));
        let ip = base.map_or(local.addr, |base| base.addr).ip();
        Some(Endpoint {
            id,
            priority: local.priority,
            foundation: local.foundation,
            reach: Reach::new(ip, local.transport).relayed(relayed),
        })
    }

    /// A remote candidate as the pairing rules see it; `None` while it has a name alone.
    pub(super) fn remote_endpoint(&self, id: CandidateId) -> Option<Endpoint> {
        let resolved = |remote: &&Remote| !matches!(remote.named, Named::Unresolved(_));
        let remote = self.remotes.get(id).filter(resolved)?;
        Some(Endpoint {
            id,
            priority: remote.priority,
            foundation: remote.foundation,
            reach: Reach::new(remote.addr.ip(), remote.transport).named(remote.named != Named::No),
        })
    }

    /// The addresses of a path in the form in which the caller gave the local one.
    pub(super) fn path(
        &self,
        local: CandidateId,
        remote: SocketAddr,
    ) -> Option<(Transport, SocketAddr, SocketAddr)> {
        let local = self.locals.get(local)?;
        let transport = local.transport.transport();
        Some(if local.mapped {
            (transport, address::to_mapped(local.addr), address::to_mapped(remote))
        } else {
            (transport, local.addr, remote)
        })
    }

    /// What to signal of a local candidate.
    pub(super) fn signalled_form(
        &self,
        id: CandidateId,
        ufrag: &str,
        config: &Settings,
    ) -> Option<Candidate> {
        let local = self.locals.get(id)?;
        let name = self.name_of(local);
        let mut extensions = vec![("ufrag".to_owned(), ufrag.to_owned())];
        if config.tell_networks {
            local.network().tell(&mut extensions);
        }
        Some(Candidate {
            foundation: Foundation::numbered(local.foundation),
            component: local.component,
            transport: local.transport,
            priority: local.priority,
            address: match name {
                Some(name) => CandidateAddress::Name {
                    host: name.as_str().to_owned(),
                    port: local.addr.port(),
                },
                None => CandidateAddress::Socket(local.addr),
            },
            kind: local.kind,
            related: self.related_of(id, local, config.policies.as_deref()),
            extensions,
        })
    }

    /// The name under which a host candidate is told.
    fn name_of(&self, local: &Local) -> Option<&MdnsName> {
        if local.kind != CandidateKind::Host {
            return None;
        }
        self.name_of_address(local.addr.ip())
    }

    /// RFC 8839 §5.1, as far as it is to be told; for a candidate that is hidden an address that
    /// says nothing.
    pub(super) fn related_of(
        &self,
        id: CandidateId,
        local: &Local,
        policies: Option<&Policies>,
    ) -> Option<SocketAddr> {
        let base = self.locals.get(self.base_of(id))?;
        let addr = match local.kind {
            CandidateKind::Host => return None,
            CandidateKind::Relayed => self.related(self.base_of(id))?,
            CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => base.addr,
        };
        let told = match local.kind {
            CandidateKind::Relayed => true,
            _ => base.usage == Usage::Candidate && self.name_of(base).is_none(),
        };
        // The mapped address of a relayed candidate is the host's own where there is no NAT.
        let own = self.name_of_address(addr.ip()).is_some();
        let hidden = policies.is_some_and(|policies| policies.hide_related);
        let policy = policies.map(|policies| policies.transport).unwrap_or_default();
        let related = Related { kind: local.kind, addr, told: told && !own && !hidden };
        related_to_tell(policy, related)
    }

    pub(super) fn view_local(&self, id: CandidateId) -> Option<CandidateView> {
        let local = self.locals.get(id)?;
        Some(CandidateView {
            id,
            stream: local.stream,
            component: local.component,
            kind: local.kind,
            transport: local.transport.transport(),
            tcp_type: local.transport.tcp_type(),
            addr: local.addr,
            base: self.locals.get(self.base_of(id))?.addr,
            priority: local.priority,
            hidden: false,
            network_id: local.network,
            network_cost: local.cost,
        })
    }

    pub(super) fn view_remote(&self, id: CandidateId) -> Option<CandidateView> {
        let remote = self.remotes.get(id)?;
        Some(CandidateView {
            id,
            stream: remote.stream,
            component: remote.component,
            kind: remote.kind,
            transport: remote.transport.transport(),
            tcp_type: remote.transport.tcp_type(),
            addr: remote.addr,
            base: remote.addr,
            priority: remote.priority,
            hidden: remote.named != Named::No || !remote.signalled,
            network_id: remote.network.id,
            network_cost: remote.network.cost,
        })
    }
}
