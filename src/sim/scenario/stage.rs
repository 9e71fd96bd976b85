//! A scenario's world, and what its transitions do to it.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeSet;

use super::{MAX_DELAY, MAX_LOSS, MAX_SITES, Scenario, Side, Site, Tcp, Transition, Who};
use crate::agent::io::LocalAddress;
use crate::agent::{IceAgent, PairView};
use crate::candidate::Transport;
use crate::config::{AgentConfig, Role, Signalling};
use crate::id::{CandidateId, PairId};
use crate::sim::error::WorldError;
use crate::sim::firewall::FirewallConfig;
use crate::sim::gateway::GatewayConfig;
use crate::sim::host::{HostId, InterfaceId};
use crate::sim::link::{Link, Probability};
use crate::sim::log::LogDetail;
use crate::sim::nat::{Hairpinning, NatConfig, PortAllocation};
use crate::sim::node::AgentIndex;
use crate::sim::realm::RealmId;
use crate::sim::report::Reporting;
use crate::sim::server::Obtain;
use crate::sim::server::ServerIndex;
use crate::sim::turn_server::{TurnServer, TurnServerConfig};
use crate::sim::world::World;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 3478);
const PORT: u16 = 5_000;
/// What each interface of a side costs more than the one before it.
const COST: u16 = 10;

/// A scenario on its world.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) agents: [AgentIndex; 2],
    server: Option<ServerIndex>,
    realms: Vec<RealmId>,
    /// Whether nothing passes between the sides.
    parted: bool,
    moves: u8,
    delay: u16,
    loss: u8,
}

impl Stage {
    /// Builds the world. What cannot be is left out.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let mut seed = [0; 32];
        if let Some(first) = seed.first_chunk_mut() {
            *first = scenario.seed.to_le_bytes();
        }
        let mut world = World::new(seed);
        world.network_mut().set_reporting(Reporting::ALL);
        let server = world.add_server(TurnServerConfig::new(SERVER)).ok();
        let realms = sites(&mut world, &scenario.sites);
        let mut stage = Self {
            world,
            agents: [AgentIndex(0), AgentIndex(1)],
            server,
            realms,
            parted: false,
            moves: 0,
            delay: scenario.delay,
            loss: scenario.loss,
        };
        stage.set_link();
        for (who, side) in [Who::First, Who::Second].into_iter().zip(&scenario.sides) {
            stage.add_side(who, side);
        }
        stage
    }

    fn add_side(&mut self, who: Who, side: &Side) {
        let natural = match who {
            Who::First => Role::Controlling,
            Who::Second => Role::Controlled,
        };
        let mut config = AgentConfig::new(side.role.unwrap_or(natural));
        config.nomination = side.nomination;
        if side.complete {
            config.signalling = Signalling::Complete;
        }
        let realms: Vec<RealmId> = side.places().map(|place| self.realm_of(place)).collect();
        let Some(first) = realms.first() else { return };
        let Ok(host) = self.world.network_mut().add_host_in(*first) else { return };
        for realm in realms.iter().skip(1) {
            // There is such a host and such a realm.
            let _ = self.world.network_mut().add_interface(host, *realm);
        }
        let Ok(agent) = self.world.add_agent_on(host, config) else { return };
        if let Some(slot) = self.agents.get_mut(who.index()) {
            *slot = agent;
        }
        for (number, realm) in realms.into_iter().enumerate() {
            for ipv6 in [false, true] {
                if side.families.has(ipv6) {
                    self.add_address(agent, host, (number, realm), ipv6, side.tcp);
                }
            }
        }
        let wanted = [
            (side.reflexive, Obtain::Reflexive),
            (side.relayed, Obtain::Relayed),
            (side.relayed_over_tcp, Obtain::RelayedOverTcp),
        ];
        for (_, what) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
            if let Some(server) = self.server {
                let _ = self.world.obtain(agent, server, what);
            }
        }
        let delay = Duration::from_millis(side.signalling.min(super::MAX_SIGNALLING).into());
        let _ = self.world.set_signalling_delay(agent, delay);
    }

    /// The realm of a site.
    fn realm_of(&self, site: Option<usize>) -> RealmId {
        let site = site.and_then(|site| site.checked_rem(self.realms.len()));
        let realm = site.and_then(|site| self.realms.get(site).copied());
        realm.unwrap_or(RealmId::INTERNET)
    }

    /// Gives an interface of a host, in a realm, the first address that is free there, opens a socket
    /// on it, and tells the agent of that, and of TCP if that is wanted.
    fn add_address(
        &mut self,
        agent: AgentIndex,
        host: HostId,
        (number, realm): (usize, RealmId),
        ipv6: bool,
        tcp: Tcp,
    ) {
        let network = self.world.network();
        let Some(interface) = network.interfaces(host).nth(number) else { return };
        let free = |addr: &IpAddr| {
            network.host_in(realm, *addr).is_none() && network.realm_of(host, *addr).is_none()
        };
        let lowest = if realm == RealmId::INTERNET { 1 } else { 2 };
        let addr = (lowest..=u8::MAX).map(|last| inside(realm, last, ipv6)).find(free);
        let Some(addr) = addr else { return };
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let stream = self.world.agent(agent).and_then(|agent| agent.streams().next());
        let added = self.world.network_mut().add_interface_address(interface, addr);
        let (Some(stream), Ok(())) = (stream, added) else { return };
        let socket = SocketAddr::new(addr, PORT);
        let locals = [
            (true, LocalAddress::udp(socket)),
            (tcp.opens(), LocalAddress::tcp_active(addr)),
            (tcp.accepts(), LocalAddress::tcp_passive(socket)),
        ];
        for (_, mut local) in locals.into_iter().filter(|(wanted, _)| *wanted) {
            local.interface = number.into();
            local.cost = number.saturating_mul(COST);
            let _ = self.world.add_local(agent, stream, 1, local);
        }
    }

    /// The addresses under which a side is known anywhere: its own, and those of the gateways
    /// before it.
    fn addresses(&self, who: Who) -> BTreeSet<IpAddr> {
        let network = self.world.network();
        let mut all = BTreeSet::new();
        for interface in self.interfaces(who) {
            for addr in network.addresses(interface) {
                all.insert(addr);
                let host = self.host(who);
                let mut here = host.and_then(|host| network.realm_of(host, addr));
                while let Some(realm) = here {
                    let nat = network.gateway(realm).and_then(|gateway| gateway.nat.as_ref());
                    all.extend(nat.into_iter().flat_map(NatConfig::addresses));
                    here = network.around(realm);
                }
            }
        }
        all
    }

    /// Lets both sides gather. No packet is lost until they start.
    pub(super) fn gather(&mut self, detail: LogDetail) -> Result<(), WorldError> {
        self.world.set_log_detail(detail);
        let loss = core::mem::take(&mut self.loss);
        self.set_link();
        self.loss = loss;
        for agent in self.agents {
            self.world.call(agent, IceAgent::gather)?;
        }
        Ok(())
    }

    pub(super) fn start(&mut self) -> Result<(), WorldError> {
        self.set_link();
        let [one, other] = self.agents;
        self.world.connect(one, other)?;
        self.world.start(one)?;
        self.world.start(other)
    }

    /// Lets something happen. What makes no sense now does nothing.
    pub(super) fn apply(&mut self, transition: Transition) -> Result<(), WorldError> {
        match transition {
            Transition::Loss(percent) => {
                self.loss = percent;
                self.set_link();
            }
            Transition::Delay(millis) => {
                self.delay = millis;
                self.set_link();
            }
            Transition::RebootNat(site) => {
                let site = site.checked_rem(self.realms.len());
                if let Some(realm) = site.and_then(|site| self.realms.get(site)) {
                    self.world.network_mut().reboot_nat(*realm);
                }
            }
            Transition::Down(who) => {
                for interface in self.interfaces(who) {
                    self.world.network_mut().interface_down(interface);
                }
            }
            Transition::Up(who) => {
                for interface in self.interfaces(who) {
                    // Nobody else gets an address of it.
                    let _ = self.world.network_mut().interface_up(interface);
                }
            }
            Transition::InterfaceDown(who, number) => {
                if let Some(interface) = nth(&self.interfaces(who), number) {
                    self.world.network_mut().interface_down(interface);
                }
            }
            Transition::InterfaceUp(who, number) => {
                if let Some(interface) = nth(&self.interfaces(who), number) {
                    let _ = self.world.network_mut().interface_up(interface);
                }
            }
            Transition::Renominate(who, number) => self.renominate(who, number)?,
            Transition::Move(who) => self.move_side(who),
            Transition::Partition => self.part(true),
            Transition::Heal => self.part(false),
            Transition::Restart(who) => {
                if let Some(agent) = self.agents.get(who.index()) {
                    // One that has not begun has nothing to restart.
                    let _ = self.world.restart(*agent)?;
                }
            }
            Transition::CrashServer => {
                if let Some(server) = self.server {
                    self.world.call_server(server, TurnServer::crash);
                }
            }
            Transition::StopServer => {
                if let Some(server) = self.server {
                    self.world.stop_server(server);
                }
            }
            Transition::StartServer => {
                if let Some(server) = self.server {
                    self.world.start_server(server);
                }
            }
        }
        Ok(())
    }

    /// Whether an address is one of a server.
    pub(super) fn is_server(&self, addr: SocketAddr) -> bool {
        addr == SERVER
    }

    pub(super) const fn loses_more_than(&self, percent: u8) -> bool {
        self.loss > percent
    }

    pub(super) const fn is_lossless(&self) -> bool {
        self.loss == 0
    }

    fn host(&self, who: Who) -> Option<HostId> {
        self.world.host(*self.agents.get(who.index())?)
    }

    fn interfaces(&self, who: Who) -> Vec<InterfaceId> {
        let host = self.host(who);
        host.into_iter().flat_map(|host| self.world.network().interfaces(host)).collect()
    }

    fn renominate(&mut self, who: Who, number: usize) -> Result<(), WorldError> {
        let Some(agent) = self.agents.get(who.index()).copied() else { return Ok(()) };
        self.world.call(agent, |agent, now| {
            let selected = |pair: &PairView| {
                let selected = agent.selected_pair(pair.stream, pair.component);
                selected.is_some_and(|selected| selected.id == pair.id)
            };
            let others = agent.pairs().filter(|pair| pair.valid && !selected(pair));
            let others: Vec<PairId> = others.map(|pair| pair.id).collect();
            if let Some(pair) = nth(&others, number) {
                // It may not be its to nominate.
                let _ = agent.renominate(now, pair);
            }
        })
    }

    /// Gives a side an address that nobody has had, in place of that of its oldest socket. What
    /// accepted or opened connections there does so at the new one.
    fn move_side(&mut self, who: Who) {
        let (Some(agent), Some(host)) = (self.agents.get(who.index()).copied(), self.host(who))
        else {
            return;
        };
        let locals = self.world.agent(agent).into_iter().flat_map(IceAgent::local_candidates);
        let oldest = locals.map(|local| (local.addr, local.base)).find(|(addr, base)| addr == base);
        let Some(old) = oldest.map(|(addr, _)| addr.ip()) else { return };
        let network = self.world.network();
        let Some(realm) = network.realm_of(host, old) else { return };
        let holds = |interface: &InterfaceId| network.addresses(*interface).any(|addr| addr == old);
        let Some(interface) = network.interfaces(host).find(holds) else { return };
        self.moves = self.moves.saturating_add(1);
        let new = inside(realm, self.moves.saturating_add(10), old.is_ipv6());
        if self.world.network_mut().add_interface_address(interface, new).is_err() {
            return;
        }
        let locals = self.world.agent(agent).into_iter().flat_map(IceAgent::local_candidates);
        let of_tcp = locals.filter(|local| {
            local.transport == Transport::Tcp && local.addr == local.base && local.addr.ip() == old
        });
        let of_tcp: Vec<CandidateId> = of_tcp.map(|local| local.id).collect();
        if self.world.rebind(agent, SocketAddr::new(new, PORT)).is_err() {
            self.world.network_mut().remove_host_address(host, new);
            return;
        }
        for id in of_tcp {
            // It has moved to the address that the socket has now.
            let _ = self.world.rebind_local(agent, id, SocketAddr::new(new, PORT));
        }
        self.world.network_mut().remove_host_address(host, old);
        if self.parted {
            self.part(true);
        }
    }

    /// Lets nothing pass between the sides, in whichever realm they meet, or everything again.
    fn part(&mut self, begins: bool) {
        self.parted = begins;
        let [one, other] = [Who::First, Who::Second]
            .map(|who| self.addresses(who).into_iter().collect::<Vec<IpAddr>>());
        let realms: Vec<RealmId> =
            core::iter::once(RealmId::INTERNET).chain(self.realms.iter().copied()).collect();
        let network = self.world.network_mut();
        for realm in realms {
            match begins {
                true => network.partition(realm, &one, &other),
                false => network.heal(realm, &one, &other),
            }
        }
    }

    fn set_link(&mut self) {
        let delay = Duration::from_millis(self.delay.min(MAX_DELAY).into());
        let loss = Probability::percent(self.loss.min(MAX_LOSS).into());
        self.world.network_mut().set_default_link(Link::delayed(delay).with_loss(loss));
    }
}

/// The realms of sites.
fn sites(world: &mut World, sites: &[Site]) -> Vec<RealmId> {
    let mut realms: Vec<RealmId> = Vec::new();
    for (number, site) in sites.iter().take(MAX_SITES).enumerate() {
        let last = u8::try_from(number).unwrap_or(u8::MAX).saturating_add(1);
        let within = site.within.and_then(|within| realms.get(within).copied());
        let external = match within {
            Some(_) => Ipv4Addr::new(192, 168, 1, 200_u8.saturating_add(last)),
            None => Ipv4Addr::new(203, 0, 113, last),
        };
        let hairpinning = match site.hairpinning {
            true => Hairpinning::ExternalSource,
            false => Hairpinning::Off,
        };
        let nat = NatConfig::new([external.into()])
            .with_mapping(site.mapping)
            .with_filtering(site.filtering)
            .with_ports(PortAllocation::Random, 1_024, u16::MAX)
            .with_hairpinning(hairpinning);
        let mut gateway = GatewayConfig::nat(nat);
        let firewall = FirewallConfig::stateful();
        if site.servers_only {
            let firewall = firewall.without_udp().tcp_only_to([SERVER.port()]);
            gateway = gateway.with_firewall(firewall);
        } else if !site.udp {
            gateway = gateway.with_firewall(firewall.without_udp());
        } else if site.guarded {
            gateway = gateway.with_firewall(firewall);
        }
        let around = within.unwrap_or(RealmId::INTERNET);
        if let Ok(realm) = world.network_mut().add_realm(around, gateway) {
            realms.push(realm);
        }
    }
    realms
}

/// The addresses of hosts in a realm. Those of IPv4 are the same in all sites: that is what they are
/// for.
fn inside(realm: RealmId, last: u8, ipv6: bool) -> IpAddr {
    if ipv6 {
        let site = u16::try_from(realm.0).unwrap_or(u16::MAX);
        Ipv6Addr::new(0x2001, 0xdb8, site, 0, 0, 0, 0, last.into()).into()
    } else if realm == RealmId::INTERNET {
        Ipv4Addr::new(192, 0, 2, last).into()
    } else {
        Ipv4Addr::new(192, 168, 1, last).into()
    }
}

/// Of a number that is too high, the remainder counts.
fn nth<T: Copy>(all: &[T], number: usize) -> Option<T> {
    all.get(number.checked_rem(all.len())?).copied()
}
