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
/// Where connections are opened from: some port that nobody has asked for by number (RFC 6335 §6).
const DYNAMIC: u16 = 49_152;

/// Which firewall a flow belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wall {
    Gateway(RealmId),
    Host(HostId),
}

/// Where a packet comes from, where it goes.
type Ends = (SocketAddr, SocketAddr);

/// A connection that the side with this number opens, from an active candidate to a passive one.
#[derive(Clone, Copy, Debug)]
struct Connection {
    opener: usize,
    from: SocketAddr,
    to: SocketAddr,
}

/// A pair as the first side sees it: what its own candidate is, and what that of its peer.
pub(super) type Kinds = (CandidateKind, CandidateKind);

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
    host: Option<HostId>,
    locals: Vec<Local>,
    /// What it signals, but for active candidates, to which nobody connects.
    candidates: BTreeMap<(Transport, SocketAddr), CandidateKind>,
    /// Where its connections come from.
    active: Vec<SocketAddr>,
    /// Where it accepts connections.
    passive: Vec<SocketAddr>,
    /// What the other side has signalled.
    remotes: BTreeSet<SocketAddr>,
    /// Where checks have arrived, and from what address.
    learned: BTreeSet<(Local, SocketAddr)>,
}

impl Side {
    /// What its peer takes one of its addresses for, and so does it.
    fn kind_of(&self, transport: Transport, addr: SocketAddr) -> CandidateKind {
        let signalled = self.candidates.get(&(transport, addr));
        signalled.copied().unwrap_or(CandidateKind::PeerReflexive)
    }

    /// Where its peer sends checks of UDP.
    fn signalled(&self) -> BTreeSet<SocketAddr> {
        let udp = |(transport, _): &&(Transport, SocketAddr)| *transport == Transport::Udp;
        self.candidates.keys().filter(udp).map(|(_, addr)| *addr).collect()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model<'n> {
    network: &'n Network,
    sides: [Side; 2],
    mappings: BTreeMap<(RealmId, Transport, SocketAddr, Scope), SocketAddr>,
    insides: BTreeMap<(RealmId, Transport, SocketAddr), SocketAddr>,
    filters: BTreeSet<(RealmId, Transport, SocketAddr, Scope)>,
    flows: BTreeSet<(Wall, Transport, SocketAddr, Scope)>,
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
            Side { remotes: other.signalled(), ..one.clone() },
            Side { remotes: one.signalled(), ..other },
        ];
        model
    }

    fn side_of(&mut self, party: &Party) -> Side {
        let host = party.host;
        let mut side = Side { host: Some(host), ..Side::default() };
        for &addr in &party.sockets {
            side.locals.push(Local { host, addr, relay: false });
            side.candidates.insert((Transport::Udp, addr), CandidateKind::Host);
        }
        for &addr in &party.passive {
            side.passive.push(addr);
            side.candidates.insert((Transport::Tcp, addr), CandidateKind::Host);
        }
        side.active.extend(party.active.iter().map(|ip| SocketAddr::new(*ip, DYNAMIC)));
        for &addr in &party.sockets {
            for &server in &party.stun {
                if let Some((_, seen)) = self.ask(host, Transport::Udp, addr, server) {
                    let known = side.candidates.entry((Transport::Udp, seen));
                    known.or_insert(CandidateKind::ServerReflexive);
                }
            }
            for &server in &party.turn {
                self.allocate(&mut side, Transport::Udp, addr, server);
            }
        }
        let sockets = party.sockets.iter().map(SocketAddr::ip);
        let bases: BTreeSet<IpAddr> = sockets.chain(party.active.iter().copied()).collect();
        for ip in bases {
            for &server in &party.turn_over_tcp {
                self.allocate(&mut side, Transport::Tcp, SocketAddr::new(ip, DYNAMIC), server);
            }
        }
        side
    }

    /// An allocation on a server that is asked like this. What it relays is UDP.
    fn allocate(
        &mut self,
        side: &mut Side,
        transport: Transport,
        addr: SocketAddr,
        server: SocketAddr,
    ) {
        let asked = side.host.and_then(|host| self.ask(host, transport, addr, server));
        let allocated = asked.and_then(|(host, _)| {
            Some(Local { host, addr: self.external(server.ip())?, relay: true })
        });
        if let Some(local) = allocated {
            side.locals.push(local);
            side.candidates.insert((Transport::Udp, local.addr), CandidateKind::Relayed);
        }
    }

    /// Where a server is that answers, and as whom it sees who asks.
    fn ask(
        &mut self,
        host: HostId,
        transport: Transport,
        addr: SocketAddr,
        server: SocketAddr,
    ) -> Option<(HostId, SocketAddr)> {
        let (at, (seen, to)) = self.send(host, transport, (addr, server))?;
        let (back, ends) = self.send(at, transport, (to, seen))?;
        (to == server && back == host && ends == (server, addr)).then_some((at, seen))
    }

    /// Both sides open connections from everywhere to everywhere, so many times.
    pub(super) fn connect(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for connection in self.connections() {
                self.opens(connection);
            }
        }
    }

    /// What the ends of those connections that there are now are to the first side.
    pub(super) fn open_connections(&mut self) -> Vec<Kinds> {
        let mut open = Vec::new();
        for connection in self.connections() {
            let Connection { opener, to, .. } = connection;
            let Some(seen) = self.opens(connection) else { continue };
            let acceptor = 1_usize.saturating_sub(opener);
            let [Some(ours), Some(theirs)] = [opener, acceptor].map(|side| self.sides.get(side))
            else {
                continue;
            };
            let opened = ours.kind_of(Transport::Tcp, seen);
            let accepted = theirs.kind_of(Transport::Tcp, to);
            let kinds = if opener == 0 { (opened, accepted) } else { (accepted, opened) };
            open.push(kinds);
        }
        open
    }

    /// The connections that either side opens.
    fn connections(&self) -> Vec<Connection> {
        let [one, other] = &self.sides;
        let mut all = Vec::new();
        for (opener, [ours, theirs]) in [[one, other], [other, one]].into_iter().enumerate() {
            for &from in &ours.active {
                all.extend(theirs.passive.iter().map(|&to| Connection { opener, from, to }));
            }
        }
        all
    }

    /// The address that the accepting side sees a connection come from, if its first segment arrives
    /// there and the answer to that comes back.
    fn opens(&mut self, connection: Connection) -> Option<SocketAddr> {
        let Connection { opener, from, to } = connection;
        let acceptor = 1_usize.saturating_sub(opener);
        let host = self.sides.get(opener)?.host?;
        let (at, (seen, reached)) = self.send(host, Transport::Tcp, (from, to))?;
        let peer = self.sides.get(acceptor)?;
        let listens = peer.host == Some(at) && peer.passive.contains(&reached);
        let answer = if listens { self.send(at, Transport::Tcp, (reached, seen)) } else { None };
        (answer == Some((host, (to, from)))).then_some(seen)
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
    pub(super) fn valid_pairs(&mut self) -> Vec<(Pair, Kinds)> {
        let mut valid = Vec::new();
        for (local, remote) in self.paths(0) {
            let Some((at, seen)) = self.check(0, local, remote) else { continue };
            let pair = Pair { side: 0, local, remote, at, seen };
            if self.is_valid(pair) {
                let [one, other] = &self.sides;
                let udp = Transport::Udp;
                valid.push((pair, (one.kind_of(udp, seen), other.kind_of(udp, remote))));
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
        let (host, (from, to)) = self.send(local.host, Transport::Udp, (local.addr, remote))?;
        let peer = self.sides.get(1_usize.saturating_sub(side))?;
        let at = peer.locals.iter().find(|at| at.host == host && at.addr == to)?;
        let permitted = !at.relay || self.permissions.contains(&(at.addr, from.ip()));
        permitted.then_some((*at, from))
    }

    /// Where a packet of a host arrives, and what has become of its addresses.
    fn send(
        &mut self,
        host: HostId,
        transport: Transport,
        (from, to): Ends,
    ) -> Option<(HostId, Ends)> {
        let realm = self.network.realm_of(host, from.ip())?;
        let alike = from.is_ipv4() == to.is_ipv4();
        if !alike || !self.network.is_reachable(host, from.ip()) {
            return None;
        }
        let firewall = self.network.hosts.get(to_index(host.0))?.firewall.as_ref();
        self.leave(Wall::Host(host), firewall.map(Firewall::config), transport, (from, to))?;
        self.ascend(realm, transport, (from, to))
    }

    fn ascend(
        &mut self,
        mut realm: RealmId,
        transport: Transport,
        mut ends: Ends,
    ) -> Option<(HostId, Ends)> {
        loop {
            let here = self.network.realms.get(to_index(realm.0))?;
            let (_, to) = ends;
            let Some(gateway) = here.gateway.as_ref().filter(|_| !here.keeps(to.ip())) else {
                return self.cross(realm, transport, ends);
            };
            if let Some(nat) = gateway.nat.as_ref().filter(|nat| nat.turns_round(to)) {
                let ends = self.turn_round(realm, transport, nat, ends)?;
                return self.cross(realm, transport, ends);
            }
            let firewall = gateway.config.firewall.as_ref();
            self.leave(Wall::Gateway(realm), firewall, transport, ends)?;
            if !gateway.up || gateway.config.uplink.loss == Probability::ALWAYS {
                return None;
            }
            ends = self.translate(realm, transport, gateway, ends)?;
            realm = gateway.parent;
        }
    }

    /// What a packet is outside of a gateway.
    fn translate(
        &mut self,
        realm: RealmId,
        transport: Transport,
        gateway: &Gateway,
        (from, to): Ends,
    ) -> Option<Ends> {
        if let Some(nat) = gateway.nat.as_ref().filter(|nat| nat.translates(from, to)) {
            let to = nat.config().outside(to);
            return Some((self.map(realm, transport, nat, (from, to))?, to));
        }
        let around = self.network.realms.get(to_index(gateway.parent.0))?;
        let routed = around.addresses.get(&from.ip()) == Some(&Owner::Gateway(realm));
        routed.then_some((from, to))
    }

    fn turn_round(
        &mut self,
        realm: RealmId,
        transport: Transport,
        nat: &Nat,
        (from, to): Ends,
    ) -> Option<Ends> {
        let to = nat.config().outside(to);
        let hairpinning = nat.config().hairpinning;
        if hairpinning == Hairpinning::Off {
            return None;
        }
        let mapped = self.map(realm, transport, nat, (from, to))?;
        let inside = self.admit(realm, transport, nat, (mapped, to))?;
        let internal = hairpinning == Hairpinning::InternalSource;
        let seen = if internal { from } else { nat.config().inside(mapped, inside.ip()) };
        (seen.is_ipv4() == inside.is_ipv4()).then_some((seen, inside))
    }

    fn cross(
        &mut self,
        realm: RealmId,
        transport: Transport,
        ends: Ends,
    ) -> Option<(HostId, Ends)> {
        let here = self.network.realms.get(to_index(realm.0))?;
        let (from, to) = (ends.0.ip(), ends.1.ip());
        let open =
            here.rules.permit(from, to) && here.links.get(from, to).loss != Probability::ALWAYS;
        if open { self.descend(realm, transport, ends) } else { None }
    }

    fn descend(
        &mut self,
        mut realm: RealmId,
        transport: Transport,
        mut ends: Ends,
    ) -> Option<(HostId, Ends)> {
        loop {
            let (from, to) = ends;
            let here = self.network.realms.get(to_index(realm.0))?;
            let inner = match here.addresses.get(&to.ip())? {
                Owner::Host(host) => {
                    let firewall = self.network.hosts.get(to_index(host.0))?.firewall.as_ref();
                    let config = firewall.map(Firewall::config);
                    let passes = self.enters(Wall::Host(*host), config, transport, (to, from));
                    return passes.then_some((*host, ends));
                }
                Owner::Gateway(inner) => *inner,
            };
            let gateway = self.network.realms.get(to_index(inner.0))?.gateway.as_ref()?;
            if !gateway.up || gateway.config.downlink.loss == Probability::ALWAYS {
                return None;
            }
            if let Some(nat) = gateway.nat.as_ref().filter(|nat| nat.has(to.ip())) {
                let inside = self.admit(inner, transport, nat, (from, to))?;
                let seen = nat.config().inside(from, inside.ip());
                ends = (seen.is_ipv4() == inside.is_ipv4()).then_some((seen, inside))?;
            }
            let config = gateway.config.firewall.as_ref();
            if !self.enters(Wall::Gateway(inner), config, transport, (ends.1, ends.0)) {
                return None;
            }
            realm = inner;
        }
    }

    /// The mapping of an inside endpoint towards a remote one. Opens the filter.
    fn map(
        &mut self,
        realm: RealmId,
        transport: Transport,
        nat: &Nat,
        (from, to): Ends,
    ) -> Option<SocketAddr> {
        let config = nat.config();
        if let Some(own) = config.one_to_one.get(&from.ip()) {
            if own.is_ipv4() == to.is_ipv4() {
                return Some(SocketAddr::new(*own, from.port()));
            }
        }
        let key = (realm, transport, from, config.mapping.scope(to));
        let external = match self.mappings.get(&key) {
            Some(external) => *external,
            None => {
                let own = config.external.iter().map(IpAddr::to_canonical);
                let own = own.clone().find(|own| own.is_ipv4() == to.is_ipv4())?;
                let external = self.external(own)?;
                self.mappings.insert(key, external);
                self.insides.insert((realm, transport, external), from);
                external
            }
        };
        self.filters.insert((realm, transport, external, config.filtering.scope(to)));
        Some(external)
    }

    /// The inside endpoint of an external one, if the remote endpoint may send to it.
    fn admit(
        &self,
        realm: RealmId,
        transport: Transport,
        nat: &Nat,
        (from, to): Ends,
    ) -> Option<SocketAddr> {
        let config = nat.config();
        let own = config.one_to_one.iter().find(|(_, external)| **external == to.ip());
        if let Some((inside, _)) = own {
            return Some(SocketAddr::new(*inside, to.port()));
        }
        let inside = *self.insides.get(&(realm, transport, to))?;
        let open = config.filtering == Filtering::EndpointIndependent
            || self.filters.contains(&(realm, transport, to, config.filtering.scope(from)));
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
        transport: Transport,
        (inside, remote): Ends,
    ) -> Option<()> {
        let Some(config) = config else { return Some(()) };
        let rule = config.rule_for(Direction::Outbound, transport, remote);
        if rule == Some(Action::Drop) {
            return None;
        }
        self.flows.insert((wall, transport, inside, config.filtering.scope(remote)));
        Some(())
    }

    fn enters(
        &self,
        wall: Wall,
        config: Option<&FirewallConfig>,
        transport: Transport,
        (inside, remote): Ends,
    ) -> bool {
        let Some(config) = config else { return true };
        match config.rule_for(Direction::Inbound, transport, remote) {
            Some(action) => action == Action::Allow,
            None if config.unsolicited == Action::Allow => true,
            None => {
                let scope = config.filtering.scope(remote);
                self.flows.contains(&(wall, transport, inside, scope))
            }
        }
    }
}
