//! What the configured [`Policies`](crate::Policies) make of addresses: which become candidates,
//! which are only used to ask servers, and under which addresses and names the peer is told.

use core::net::{IpAddr, SocketAddr};

use crate::candidate::{CandidateKind, Transport};
use crate::config::MdnsMode;
use crate::gather::Server;
use crate::id::{CandidateId, PairId};
use crate::mdns::MdnsName;
use crate::policy::{AddressUse, Filtered, Gathered, NetworkType, Policies, request_of};
use crate::turn::Families;
use rand_chacha::rand_core::Rng as _;

use super::IceAgent;
use super::call_error::AddLocalError;
use super::candidates::{Local, Usage};
use super::counters::Refused;
use super::io::LocalAddress;
use super::output::{Notice, Report};

impl IceAgent {
    pub(super) fn policies(&self) -> Option<&Policies> {
        self.config.policies.as_deref()
    }

    /// Whether candidates of this kind are gathered.
    pub(super) fn gathers(&self, kind: CandidateKind) -> bool {
        self.policies().is_none_or(|policies| policies.allows(kind))
    }

    /// What an address of the caller's is used for, if for anything.
    pub(super) fn usage_of(
        &self,
        addr: SocketAddr,
        kind: CandidateKind,
        local: &LocalAddress,
    ) -> Result<Usage, AddLocalError> {
        let Some(policies) = self.policies() else {
            return usage(local.usage, true, true).ok_or(AddLocalError::Policy);
        };
        self.check_local_address(addr.ip(), local.transport.transport(), &local.interface_name)?;
        if kind != CandidateKind::Host {
            return policies.allows(kind).then_some(Usage::Candidate).ok_or(AddLocalError::Policy);
        }
        let reflexive = policies.allows(CandidateKind::ServerReflexive);
        let relayed = policies.allows(CandidateKind::Relayed);
        let host = policies.allows(CandidateKind::Host);
        let used = usage(local.usage, host, reflexive);
        used.filter(|used| relayed || *used > Usage::Servers).ok_or(AddLocalError::Policy)
    }

    /// Whether an address of this machine may be used at all.
    pub(super) fn check_local_address(
        &self,
        ip: IpAddr,
        transport: Transport,
        interface: &str,
    ) -> Result<(), AddLocalError> {
        let Some(policies) = self.policies() else { return Ok(()) };
        policies.local.check(ip, interface)?;
        let network = policies.networks.has(NetworkType::of(transport, ip));
        if network { Ok(()) } else { Err(AddLocalError::Policy) }
    }

    /// A host candidate is there: rewritten addresses and names go with it, and it is announced if
    /// the peer is to know it.
    pub(super) fn announce_host(&mut self, id: CandidateId, interface: &str) {
        if self.config.policies.is_some() && !interface.is_empty() {
            self.candidates.name_interface(id, interface);
        }
        let told = self.candidates.locals.get(id).is_some_and(|local| {
            local.usage == Usage::Candidate && local.kind == CandidateKind::Host
        });
        if told {
            self.rewrite(id, id, CandidateKind::Host);
            self.publish(id);
        }
        let base = self.candidates.locals.get(id).is_some_and(|local| local.usage >= Usage::Base);
        if base && self.gathers(CandidateKind::ServerReflexive) {
            self.rewrite(id, id, CandidateKind::ServerReflexive);
        }
        self.announce(id);
    }

    /// Lets the peer be told of a candidate, if it is to be.
    pub(super) fn announce(&mut self, id: CandidateId) {
        let told =
            self.candidates.locals.get(id).is_some_and(|local| local.usage == Usage::Candidate);
        if told && self.trickles() {
            self.notice(Notice::LocalCandidate(id));
        }
    }

    /// Applies the rules of address rewriting to a candidate: `original` is the one with the address
    /// that was found, `host` the host candidate by which the rules go.
    pub(super) fn rewrite(
        &mut self,
        original: CandidateId,
        host: CandidateId,
        kind: CandidateKind,
    ) {
        let Some(policies) = self.config.policies.clone() else { return };
        if !policies.rewrite.has(kind) {
            return;
        }
        let (Some(local), Some(of)) =
            (self.candidates.locals.get(host), self.candidates.locals.get(original))
        else {
            return;
        };
        let interface = self.candidates.interface_of(host);
        let transport = local.transport.transport();
        let rewritten = policies.rewrite.apply(kind, local.addr.ip(), interface, transport);
        let copy = of.clone();
        if !rewritten.original && copy.kind == kind {
            if let Some(local) = self.candidates.locals.get_mut(original) {
                local.usage = Usage::Base;
            }
        }
        for ip in rewritten.external {
            let addr = SocketAddr::new(ip, copy.addr.port());
            let taken = self.candidates.is_taken(Transport::Udp, addr, Some(original));
            if taken {
                continue;
            }
            if self.candidates.locals.len() >= usize::from(self.config.limits.local_candidates) {
                self.counters.refuse(Refused::LocalCandidate);
                return;
            }
            let external = Local {
                kind,
                addr,
                base: Some(original),
                usage: Usage::Candidate,
                conveyed: false,
                conveyed_anew: false,
                ..copy.clone()
            };
            if let Some(id) = self.candidates.locals.insert(external) {
                self.candidates.place_obtained(id);
                self.announce(id);
            }
        }
    }

    /// Gives the address of a host candidate a name, under which it is told
    /// (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.1.1): one for each address.
    fn publish(&mut self, id: CandidateId) {
        let Some(ip) = self.candidates.locals.get(id).map(|local| local.addr.ip()) else { return };
        let named = self.candidates.name_of_address(ip).is_some();
        if self.config.mdns != MdnsMode::QueryAndGather || named || ip.is_loopback() {
            return;
        }
        let mut random = [0; 16];
        self.rng.fill_bytes(&mut random);
        let name = MdnsName::from_random(random);
        self.candidates.name_address(ip, name.clone());
        self.report(Report::PublishName { name, ip });
    }

    /// Takes back the names of addresses that no host candidate has any more.
    pub(super) fn withdraw_names(&mut self) {
        let closed = self.is_closed();
        for name in self.candidates.forget_names(closed) {
            self.report(Report::WithdrawName(name));
        }
    }

    /// Whether an address of the peer may be sent to.
    pub(super) fn check_peer_address(&self, ip: IpAddr) -> Result<(), Filtered> {
        self.policies().map_or(Ok(()), |policies| policies.remote.check(ip))
    }

    /// Whether nothing may be sent on a pair that was formed.
    pub(super) fn is_forbidden(&self, pair: PairId) -> bool {
        let pair = self.lists.get(pair);
        pair.is_some_and(|pair| self.is_forbidden_between(pair.local, pair.remote))
    }

    /// Whether nothing may be sent from one candidate to another.
    pub(super) fn is_forbidden_between(&self, local: CandidateId, remote: CandidateId) -> bool {
        let Some(policies) = self.policies() else { return false };
        let ends = || {
            let local = self.candidates.locals.get(local)?.addr.ip();
            Some((local, self.candidates.remotes.get(remote)?.addr.ip()))
        };
        ends().is_some_and(|(local, remote)| policies.remote.check_from(local, remote).is_err())
    }

    /// Whether what comes from a peer to this address is ignored.
    pub(super) fn is_for_servers_alone(&self, id: CandidateId) -> bool {
        self.candidates.locals.get(id).is_some_and(|local| local.usage == Usage::Servers)
    }

    /// What a server is asked for: the mapping, and relayed addresses of these families.
    pub(super) fn asked_of(&self, server: &Server) -> (bool, Option<Families>) {
        let uri = server.uri();
        let own = server.families();
        let Some(policies) = self.policies() else {
            return (true, server.is_turn().then_some(own));
        };
        let request = request_of(
            uri.protocol(),
            uri.transport(),
            Gathered {
                policy: policies.transport,
                kinds: &policies.kinds,
                networks: &policies.networks,
                turn_transports: &policies.turn_transports,
            },
        );
        // Where rules replace what servers see, nothing comes of asking.
        let reflexive =
            request.reflexive && !policies.rewrite.replaces(CandidateKind::ServerReflexive);
        let wants = |family: bool, own: bool| family && own;
        let ipv4 = wants(request.relayed_ipv4, own != Families::V6);
        let ipv6 = wants(request.relayed_ipv6, own != Families::V4);
        let families = match (ipv4, ipv6) {
            (true, true) => Some(Families::Both),
            (true, false) => Some(Families::V4),
            (false, true) => Some(Families::V6),
            (false, false) => None,
        };
        (reflexive, families)
    }
}

/// What an address is for, by what the caller says of it and by what is gathered.
const fn usage(allowed: AddressUse, host: bool, reflexive: bool) -> Option<Usage> {
    match allowed {
        AddressUse::None => None,
        AddressUse::Streams => Some(Usage::Servers),
        AddressUse::Host if host => Some(Usage::Candidate),
        AddressUse::Host | AddressUse::Servers if reflexive => Some(Usage::Base),
        AddressUse::Host | AddressUse::Servers => Some(Usage::Servers),
    }
}
