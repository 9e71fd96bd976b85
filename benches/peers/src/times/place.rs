//! The network of a world, and who has which address in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use frazil::sim::{
    GatewayConfig, HostId, Link, Mapping, NatConfig, Network, PortAllocation, Probability, RealmId,
};

use super::{Topology, World};
use crate::message::host;
use crate::peer::{Path, Reflexive};

/// A network with two hosts.
pub(super) struct Place {
    pub network: Network,
    /// The controlling one first.
    pub sides: [Standing; 2],
}

/// What belongs to one of them.
pub(super) struct Standing {
    pub host: HostId,
    pub addresses: Vec<SocketAddr>,
    pub reflexive: Vec<Reflexive>,
    /// Its addresses that nobody has.
    pub dead: Vec<SocketAddr>,
    home: Option<RealmId>,
}

impl Place {
    pub(super) fn new(world: World, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut network = Network::new(bytes);
        let link = Link::delayed(Duration::from_millis(world.delay));
        network.set_default_link(link.with_loss(Probability::percent(world.loss)));
        let sides = [0, 1].map(|side| Standing::new(&mut network, world.topology, side));
        Self { network, sides }
    }

    /// Whose host this is.
    pub(super) fn side_of(&self, host: HostId) -> usize {
        usize::from(self.sides[1].host == host)
    }

    /// Whether the two paths are the two ends of one.
    pub(super) fn is_one(&self, paths: [Path; 2]) -> bool {
        let [one, other] = paths;
        self.is_seen_as(0, one.local, other.remote) && self.is_seen_as(1, other.local, one.remote)
    }

    /// Whether the other side may see the address of a host as this one.
    fn is_seen_as(&self, side: usize, inside: SocketAddr, outside: SocketAddr) -> bool {
        let Some(home) = self.sides[side].home else { return inside == outside };
        let mut mappings = self.network.nat_mappings(home);
        mappings.any(|mapping| (mapping.inside, mapping.external) == (inside, outside))
    }
}

impl Standing {
    fn new(network: &mut Network, topology: Topology, side: u8) -> Self {
        let (hosts, dead) = match topology {
            Topology::Hosts(hosts) => (hosts, 0),
            Topology::DeadAhead(dead) => (1, dead),
            _ => (1, 0),
        };
        let external = SocketAddr::new(Ipv4Addr::new(203, 0, 113, side + 1).into(), 5000);
        let home = nat(topology, side, external.ip()).map(|nat| {
            let home = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(nat));
            home.expect("the gateway is in order")
        });
        let own = network.add_host_in(home.unwrap_or(RealmId::INTERNET));
        let own = own.expect("the realm is of this network");
        let addresses: Vec<_> = (0..hosts).map(|index| host(side, index)).collect();
        for addr in &addresses {
            network.add_address(own, addr.ip()).expect("nobody else has the address");
        }
        let tells = topology == Topology::ConeToCone;
        let found = Reflexive { addr: external, base: addresses[0] };
        Self {
            host: own,
            reflexive: if tells { vec![found] } else { Vec::new() },
            dead: (0..dead).map(|index| host(side, hosts + index)).collect(),
            addresses,
            home,
        }
    }
}

/// The NAT before a side, if there is one. Ports are preserved where it maps independently of
/// endpoints, so the mapping is known before it is there.
fn nat(topology: Topology, side: u8, external: IpAddr) -> Option<NatConfig> {
    let cone = NatConfig::new([external]);
    match (topology, side) {
        (Topology::ConeToCone, _) | (Topology::ConeToPublic, 0) => Some(cone),
        (Topology::SymmetricToPublic, 0) => {
            let symmetric = cone.with_mapping(Mapping::AddressAndPortDependent);
            Some(symmetric.with_ports(PortAllocation::Random, 1_024, u16::MAX))
        }
        _ => None,
    }
}
