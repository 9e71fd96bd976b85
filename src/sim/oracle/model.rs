//! The network of the oracle: the same rules as those of the simulator, in which nothing ends and
//! nothing takes time. It reads configurations only. External ports are numbers that no socket of
//! a session has: the order in which they are drawn means nothing.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use super::Party;
use crate::candidate::{CandidateKind, Transport};
use crate::sim::firewall::{Action, Direction, Firewall, FirewallConfig};
use crate::sim::gateway::Gateway;
use crate::sim::host::HostId;
use crate::sim::link::Probability;
use crate::sim::nat::{Hairpinning, Nat};
use crate::sim::network::Network;
use crate::sim::realm::{Owner, RealmId};
use crate::sim::scope::{Filtering, Scope};
use crate::sim::walk::to_index;

/// The external ports of all NATs and relays together.
const PORTS: u16 = 1_000;

/// Which firewall a flow belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wall {
    Gateway(RealmId),
    Host(HostId),
}

/// A packet: where it comes from, where it goes.
type Ends = (SocketAddr, SocketAddr);

/// An address from which a side sends: of a socket, or of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Local {
    host: HostId,
    addr: SocketAddr,
    relay: bool,
}

/// A pair of the side with this number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    side: usize,
    local: Local,
    remote: SocketAddr,
    /// The same as the other side has it.
    at: Local,
    seen: SocketAddr,
}

impl Pair {
    pub(super) const fn mirrored(self) -> Self {
        let side = 1_usize.saturating_sub(self.side);
        Self { side, local: self.at, remote: self.seen, at: self.local, seen: self.remote }
    }
}

#[derive(Clone, Debug, Default)]
struct Side {
    locals: Vec<Local>,
    /// What it signals.
    candidates: BTreeMap<SocketAddr, CandidateKind>,
    /// What the other side has signalled.
    remotes: BTreeSet<SocketAddr>,
    /// Where checks have arrived, and from what address.
    learned: BTreeSet<(Local, SocketAddr)>,
}

impl Side {
    /// What its peer takes one of its addresses for, and so does it.
    fn kind_of(&self, addr: SocketAddr) -> CandidateKind {
        self.candidates.get(&addr).copied().unwrap_or(CandidateKind::PeerReflexive)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model<'n> {
    network: &'n Network,
    sides: [Side; 2],
    mappings: BTreeMap<(RealmId, SocketAddr, Scope), SocketAddr>,
    insides: BTreeMap<(RealmId, SocketAddr), SocketAddr>,
    filters: BTreeSet<(RealmId, SocketAddr, Scope)>,
    flows: BTreeSet<(Wall, SocketAddr, Scope)>,
    /// The peers that may send to a relayed address.
    permissions: BTreeSet<(SocketAddr, IpAddr)>,
    ports: u16,
}

impl<'n> Model<'n> {
    /// The state after both sides have asked their servers and signalled.
    pub(super) fn gather(network: &'n Network, parties: [&Party; 2]) -> Self {
        let mut model = Self {
            network,
            sides: Default::default(),
            mappings: BTreeMap::new(),
            insides: BTreeMap::new(),
            filters: BTreeSet::new(),
            flows: BTreeSet::new(),
            permissions: BTreeSet::new(),
            ports: 0,
        };
        let [one, other] = parties.map(|party| model.side_of(party));
        model.sides = [
            Side { remotes: other.candidates.keys().copied().collect(), ..one.clone() },
            Side { remotes: one.candidates.keys().copied().collect(), ..other },
        ];
        model
    }

    fn side_of(&mut self, party: &Party) -> Side {
        let mut side = Side::default();
        let host = party.host;
        for &addr in &party.sockets {
            side.locals.push(Local { host, addr, relay: false });
            side.candidates.insert(addr, CandidateKind::Host);
        }
        for &addr in &party.sockets {
            for &server in &party.stun {
                if let Some((_, seen)) = self.ask(host, addr, server) {
                    side.candidates.entry(seen).or_insert(CandidateKind::ServerReflexive);
                }
            }
            for &server in &party.turn {
                let allocated = self.ask(host, addr, server).and_then(|(host, _)| {
                    Some(Local { host, addr: self.external(server.ip())?, relay: true })
                });
                if let Some(local) = allocated {
                    side.locals.push(local);
                    side.candidates.insert(local.addr, CandidateKind::Relayed);
                }
            }
        }
        side
    }

    /// Where a server is that answers, and as whom it sees who asks.
    fn ask(
        &mut self,
        host: HostId,
        addr: SocketAddr,
        server: SocketAddr,
    ) -> Option<(HostId, SocketAddr)> {
        let (at, (seen, to)) = self.send(host, (addr, server))?;
        let (back, ends) = self.send(at, (to, seen))?;
        (to == server && back == host && ends == (server, addr)).then_some((at, seen))
    }

    /// Both sides send checks from everywhere to everywhere, so many times.
    pub(super) fn exchange(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for (from, to) in [(0, 1), (1, 0)] {
                for (local, remote) in self.paths(from) {
                    let arrived = self.check(from, local, remote);
                    if let Some(peer) = self.sides.get_mut(to) {
                        peer.learned.extend(arrived);
                    }
                }
            }
        }
    }

    /// The pairs of the first side that are valid now, and what their candidates are to it.
    pub(super) fn valid_pairs(&mut self) -> Vec<(Pair, CandidateKind, CandidateKind)> {
        let mut valid = Vec::new();
        for (local, remote) in self.paths(0) {
            let Some((at, seen)) = self.check(0, local, remote) else { continue };
            let pair = Pair { side: 0, local, remote, at, seen };
            if self.is_valid(pair) {
                let [one, other] = &self.sides;
                valid.push((pair, one.kind_of(seen), other.kind_of(remote)));
            }
        }
        valid
    }

    /// Whether a check of this pair arrives, and its answer comes back as it must.
    pub(super) fn is_valid(&mut self, pair: Pair) -> bool {
        let Pair { side, local, remote, .. } = pair;
        let peer = 1_usize.saturating_sub(side);
        self.check(side, local, remote).is_some_and(|(at, seen)| {
            let answer = self.check(peer, at, seen);
            answer == Some((local, remote))
        })
    }

    fn paths(&self, side: usize) -> Vec<(Local, SocketAddr)> {
        let Some(side) = self.sides.get(side) else { return Vec::new() };
        let remotes = side.remotes.iter();
        let signalled =
            remotes.flat_map(|remote| side.locals.iter().map(|local| (*local, *remote)));
        let paths: BTreeSet<(Local, SocketAddr)> =
            signalled.chain(side.learned.iter().copied()).collect();
        paths.into_iter().collect()
    }

    /// Where something that a side sends arrives at the other one, and from where.
    fn check(
        &mut self,
        side: usize,
        local: Local,
        remote: SocketAddr,
    ) -> Option<(Local, SocketAddr)> {
        if local.relay {
            self.permissions.insert((local.addr, remote.ip()));
        }
        let (host, (from, to)) = self.send(local.host, (local.addr, remote))?;
        let peer = self.sides.get(1_usize.saturating_sub(side))?;
        let at = peer.locals.iter().find(|at| at.host == host && at.addr == to)?;
        let permitted = !at.relay || self.permissions.contains(&(at.addr, from.ip()));
        permitted.then_some((*at, from))
    }

    /// Where a packet of a host arrives, and what has become of its addresses.
    fn send(&mut self, host: HostId, (from, to): Ends) -> Option<(HostId, Ends)> {
        let realm = self.network.realm_of(host, from.ip())?;
        let alike = from.is_ipv4() == to.is_ipv4();
        if !alike || !self.network.is_reachable(host, from.ip()) {
            return None;
        }
        let firewall = self.network.hosts.get(to_index(host.0))?.firewall.as_ref();
        self.leave(Wall::Host(host), firewall.map(Firewall::config), from, to)?;
        self.ascend(realm, (from, to))
    }

    fn ascend(&mut self, mut realm: RealmId, mut ends: Ends) -> Option<(HostId, Ends)> {
        loop {
            let here = self.network.realms.get(to_index(realm.0))?;
            let (from, to) = ends;
            let Some(gateway) = here.gateway.as_ref().filter(|_| !here.keeps(to.ip())) else {
                return self.cross(realm, ends);
            };
            if let Some(nat) = gateway.nat.as_ref().filter(|nat| nat.turns_round(to)) {
                let ends = self.turn_round(realm, nat, ends)?;
                return self.cross(realm, ends);
            }
            self.leave(Wall::Gateway(realm), gateway.config.firewall.as_ref(), from, to)?;
            if !gateway.up || gateway.config.uplink.loss == Probability::ALWAYS {
                return None;
            }
            ends = self.translate(realm, gateway, ends)?;
            realm = gateway.parent;
        }
    }

    /// What a packet is outside of a gateway.
    fn translate(&mut self, realm: RealmId, gateway: &Gateway, (from, to): Ends) -> Option<Ends> {
        if let Some(nat) = gateway.nat.as_ref().filter(|nat| nat.translates(from, to)) {
            let to = nat.config().outside(to);
            return Some((self.map(realm, nat, from, to)?, to));
        }
        let around = self.network.realms.get(to_index(gateway.parent.0))?;
        let routed = around.addresses.get(&from.ip()) == Some(&Owner::Gateway(realm));
        routed.then_some((from, to))
    }

    fn turn_round(&mut self, realm: RealmId, nat: &Nat, (from, to): Ends) -> Option<Ends> {
        let to = nat.config().outside(to);
        let hairpinning = nat.config().hairpinning;
        if hairpinning == Hairpinning::Off {
            return None;
        }
        let mapped = self.map(realm, nat, from, to)?;
        let inside = self.admit(realm, nat, mapped, to)?;
        let internal = hairpinning == Hairpinning::InternalSource;
        let seen = if internal { from } else { nat.config().inside(mapped, inside.ip()) };
        (seen.is_ipv4() == inside.is_ipv4()).then_some((seen, inside))
    }

    fn cross(&mut self, realm: RealmId, ends: Ends) -> Option<(HostId, Ends)> {
        let here = self.network.realms.get(to_index(realm.0))?;
        let (from, to) = (ends.0.ip(), ends.1.ip());
        let open =
            here.rules.permit(from, to) && here.links.get(from, to).loss != Probability::ALWAYS;
        if open { self.descend(realm, ends) } else { None }
    }

    fn descend(&mut self, mut realm: RealmId, mut ends: Ends) -> Option<(HostId, Ends)> {
        loop {
            let (from, to) = ends;
            let here = self.network.realms.get(to_index(realm.0))?;
            let inner = match here.addresses.get(&to.ip())? {
                Owner::Host(host) => {
                    let firewall = self.network.hosts.get(to_index(host.0))?.firewall.as_ref();
                    let config = firewall.map(Firewall::config);
                    let passes = self.enters(Wall::Host(*host), config, to, from);
                    return passes.then_some((*host, ends));
                }
                Owner::Gateway(inner) => *inner,
            };
            let gateway = self.network.realms.get(to_index(inner.0))?.gateway.as_ref()?;
            if !gateway.up || gateway.config.downlink.loss == Probability::ALWAYS {
                return None;
            }
            if let Some(nat) = gateway.nat.as_ref().filter(|nat| nat.has(to.ip())) {
                let inside = self.admit(inner, nat, from, to)?;
                let seen = nat.config().inside(from, inside.ip());
                ends = (seen.is_ipv4() == inside.is_ipv4()).then_some((seen, inside))?;
            }
            let config = gateway.config.firewall.as_ref();
            if !self.enters(Wall::Gateway(inner), config, ends.1, ends.0) {
                return None;
            }
            realm = inner;
        }
    }

    /// The mapping of an inside endpoint towards a remote one. Opens the filter.
    fn map(
        &mut self,
        realm: RealmId,
        nat: &Nat,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        let config = nat.config();
        if let Some(own) = config.one_to_one.get(&from.ip()) {
            if own.is_ipv4() == to.is_ipv4() {
                return Some(SocketAddr::new(*own, from.port()));
            }
        }
        let key = (realm, from, config.mapping.scope(to));
        let external = match self.mappings.get(&key) {
            Some(external) => *external,
            None => {
                let own = config.external.iter().map(IpAddr::to_canonical);
                let own = own.clone().find(|own| own.is_ipv4() == to.is_ipv4())?;
                let external = self.external(own)?;
                self.mappings.insert(key, external);
                self.insides.insert((realm, external), from);
                external
            }
        };
        self.filters.insert((realm, external, config.filtering.scope(to)));
        Some(external)
    }

    /// The inside endpoint of an external one, if the remote endpoint may send to it.
    fn admit(
        &self,
        realm: RealmId,
        nat: &Nat,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<SocketAddr> {
        let config = nat.config();
        let own = config.one_to_one.iter().find(|(_, external)| **external == to.ip());
        if let Some((inside, _)) = own {
            return Some(SocketAddr::new(*inside, to.port()));
        }
        let inside = *self.insides.get(&(realm, to))?;
        let open = config.filtering == Filtering::EndpointIndependent
            || self.filters.contains(&(realm, to, config.filtering.scope(from)));
        open.then_some(inside)
    }

    fn external(&mut self, addr: IpAddr) -> Option<SocketAddr> {
        self.ports = self.ports.saturating_add(1);
        (self.ports <= PORTS).then_some(SocketAddr::new(addr, self.ports))
    }

    /// Something leaves through a firewall, if it may, and opens a flow.
    fn leave(
        &mut self,
        wall: Wall,
        config: Option<&FirewallConfig>,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> Option<()> {
        let Some(config) = config else { return Some(()) };
        let rule = config.rule_for(Direction::Outbound, Transport::Udp, remote);
        if rule == Some(Action::Drop) {
            return None;
        }
        self.flows.insert((wall, inside, config.filtering.scope(remote)));
        Some(())
    }

    fn enters(
        &self,
        wall: Wall,
        config: Option<&FirewallConfig>,
        inside: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        let Some(config) = config else { return true };
        match config.rule_for(Direction::Inbound, Transport::Udp, remote) {
            Some(action) => action == Action::Allow,
            None if config.unsolicited == Action::Allow => true,
            None => self.flows.contains(&(wall, inside, config.filtering.scope(remote))),
        }
    }
}
