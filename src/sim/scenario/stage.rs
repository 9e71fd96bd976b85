//! A scenario's world, and what its transitions do to it.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use super::{MAX_DELAY, MAX_LOSS, MAX_SITES, Scenario, Side, Site, Transition, Who};
use crate::agent::IceAgent;
use crate::config::{AgentConfig, Role, Signalling};
use crate::sim::error::WorldError;
use crate::sim::firewall::FirewallConfig;
use crate::sim::gateway::GatewayConfig;
use crate::sim::host::InterfaceId;
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
/// The addresses of a realm that hosts come to have.
const HOSTS: u8 = 60;

/// A scenario on its world.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) agents: [AgentIndex; 2],
    server: Option<ServerIndex>,
    realms: Vec<RealmId>,
    /// Where each side is in the internet, and where it is.
    outer: [IpAddr; 2],
    places: [RealmId; 2],
    interfaces: [Option<InterfaceId>; 2],
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
            outer: [Ipv4Addr::UNSPECIFIED.into(); 2],
            places: [RealmId::INTERNET; 2],
            interfaces: [None; 2],
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
        let site = side.site.and_then(|site| site.checked_rem(self.realms.len()));
        let realm = site.and_then(|site| self.realms.get(site).copied());
        let realm = realm.unwrap_or(RealmId::INTERNET);
        let Ok(host) = self.world.network_mut().add_host_in(realm) else { return };
        let natural = match who {
            Who::First => Role::Controlling,
            Who::Second => Role::Controlled,
        };
        let mut config = AgentConfig::new(side.role.unwrap_or(natural));
        if side.complete {
            config.signalling = Signalling::Complete;
        }
        let Ok(agent) = self.world.add_agent_on(host, config) else { return };
        let alone = self.places.first() != Some(&realm) || who == Who::First;
        let last = if realm == RealmId::INTERNET {
            if who == Who::First { 1 } else { 2 }
        } else {
            if alone { 2 } else { 3 }
        };
        let addr = inside(realm, last);
        let outer = self.outermost(realm).unwrap_or(addr);
        let interface = self.world.network().interfaces(host).next();
        for (slot, value) in self.outer.iter_mut().zip([outer; 2]).skip(who.index()).take(1) {
            *slot = value;
        }
        if let Some(slot) = self.places.get_mut(who.index()) {
            *slot = realm;
        }
        if let Some(slot) = self.interfaces.get_mut(who.index()) {
            *slot = interface;
        }
        if let Some(slot) = self.agents.get_mut(who.index()) {
            *slot = agent;
        }
        // The addresses are all different by their making.
        let _ = self.world.add_socket(agent, SocketAddr::new(addr, PORT));
        let wanted = [(side.reflexive, Obtain::Reflexive), (side.relayed, Obtain::Relayed)];
        for (_, what) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
            if let Some(server) = self.server {
                let _ = self.world.obtain(agent, server, what);
            }
        }
        let delay = Duration::from_millis(side.signalling.min(super::MAX_SIGNALLING).into());
        let _ = self.world.set_signalling_delay(agent, delay);
    }

    /// The address in the internet behind which a realm is.
    fn outermost(&self, realm: RealmId) -> Option<IpAddr> {
        let network = self.world.network();
        let mut outer = realm;
        while let Some(around) = network.around(outer).filter(|around| *around != RealmId::INTERNET)
        {
            outer = around;
        }
        network.gateway(outer)?.nat.as_ref()?.addresses().next()
    }

    /// Lets both sides gather. No packet is lost until they start.
    pub(super) fn gather(&mut self) -> Result<(), WorldError> {
        let loss = core::mem::take(&mut self.loss);
        self.set_link();
        self.loss = loss;
        for agent in self.agents {
            self.world.call(agent, IceAgent::gather)?;
        }
        Ok(())
    }

    pub(super) fn start(&mut self, detail: LogDetail) -> Result<(), WorldError> {
        self.set_link();
        self.world.set_log_detail(detail);
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
                if let Some(interface) = self.interface(who) {
                    self.world.network_mut().interface_down(interface);
                }
            }
            Transition::Up(who) => {
                if let Some(interface) = self.interface(who) {
                    // Nobody else gets an address of it.
                    let _ = self.world.network_mut().interface_up(interface);
                }
            }
            Transition::Move(who) => self.move_side(who),
            Transition::Partition => self.partition(true),
            Transition::Heal => self.partition(false),
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
                if let Some(host) = self.server.and_then(|server| self.world.server_host(server)) {
                    self.world.network_mut().crash(host);
                }
            }
            Transition::StartServer => {
                if let Some(host) = self.server.and_then(|server| self.world.server_host(server)) {
                    // Nobody else gets an address of it.
                    let _ = self.world.network_mut().restart(host);
                }
            }
        }
        Ok(())
    }

    pub(super) const fn is_lossless(&self) -> bool {
        self.loss == 0
    }

    fn interface(&self, who: Who) -> Option<InterfaceId> {
        self.interfaces.get(who.index()).copied().flatten()
    }

    /// Gives a side an address that nobody has had.
    fn move_side(&mut self, who: Who) {
        let (Some(agent), Some(realm)) =
            (self.agents.get(who.index()).copied(), self.places.get(who.index()).copied())
        else {
            return;
        };
        self.moves = self.moves.saturating_add(1);
        let new = inside(realm, self.moves.saturating_add(10));
        let Some(host) = self.world.host(agent) else { return };
        let old: Vec<IpAddr> = self
            .interface(who)
            .into_iter()
            .flat_map(|i| self.world.network().addresses(i))
            .collect();
        if self.world.rebind(agent, SocketAddr::new(new, PORT)).is_err() {
            return;
        }
        for old in old {
            self.world.network_mut().remove_host_address(host, old);
        }
        if realm == RealmId::INTERNET {
            if let Some(outer) = self.outer.get_mut(who.index()) {
                *outer = new;
            }
        }
    }

    fn partition(&mut self, begins: bool) {
        let [one, other] = self.outer;
        let [home, foreign] = self.places;
        let network = self.world.network_mut();
        if one != other {
            match begins {
                true => network.partition(RealmId::INTERNET, &[one], &[other]),
                false => network.heal(RealmId::INTERNET, &[one], &[other]),
            }
        } else if home == foreign {
            let all: Vec<IpAddr> = (1..=HOSTS).map(|last| inside(home, last)).collect();
            match begins {
                true => network.partition(home, &all, &all),
                false => network.heal(home, &all, &all),
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
        if !site.udp {
            gateway = gateway.with_firewall(FirewallConfig::stateful().without_udp());
        }
        let around = within.unwrap_or(RealmId::INTERNET);
        if let Ok(realm) = world.network_mut().add_realm(around, gateway) {
            realms.push(realm);
        }
    }
    realms
}

/// The addresses of hosts in a realm. Sites use the same: that is what they are for.
fn inside(realm: RealmId, last: u8) -> IpAddr {
    if realm == RealmId::INTERNET {
        Ipv4Addr::new(192, 0, 2, last).into()
    } else {
        Ipv4Addr::new(192, 168, 1, last).into()
    }
}
