//! Realms: who reaches whom across gateways, and under which address.

use std::collections::BTreeSet;

use super::{addr, assert_accounted, at, millis};
use crate::sim::*;
use crate::time::Timestamp;
use core::net::IpAddr;
use core::time::Duration;

const BOB: &str = "192.0.2.2:6000";
const CAROL: &str = "192.0.2.3:6000";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn nat(external: &str) -> NatConfig {
    NatConfig::new([ip(external)])
}

/// A network with Bob and Carol in the internet.
struct Net {
    network: Network,
    bob: HostId,
    carol: HostId,
}

impl Net {
    fn new() -> Self {
        let mut network = Network::new([9; 32]);
        let (bob, carol) = (network.add_host(), network.add_host());
        network.add_address(bob, addr(BOB).ip()).unwrap();
        network.add_address(carol, addr(CAROL).ip()).unwrap();
        Self { network, bob, carol }
    }

    fn realm(&mut self, around: RealmId, gateway: GatewayConfig) -> RealmId {
        self.network.add_realm(around, gateway).unwrap()
    }

    fn host(&mut self, realm: RealmId, addresses: &[&str]) -> HostId {
        let host = self.network.add_host_in(realm).unwrap();
        for addr in addresses {
            self.network.add_address(host, ip(addr)).unwrap();
        }
        host
    }

    /// Sends, and says who got it, with its addresses there; or what became of it.
    fn send(
        &mut self,
        now: Timestamp,
        host: HostId,
        from: &str,
        to: &str,
    ) -> Result<(HostId, String, String), Fate> {
        let before = *self.network.stats();
        let fate = self.network.send_from(now, host, Datagram::udp(addr(from), addr(to), *b"x"));
        if fate != Fate::Underway {
            return Err(fate);
        }
        while let Some(due) = self.network.next_arrival() {
            if let Some(arrival) = self.network.receive(due) {
                let Datagram { from, to, .. } = arrival.datagram;
                return Ok((arrival.host, from.to_string(), to.to_string()));
            }
        }
        assert_accounted(&self.network);
        let after = self.network.stats();
        let reason = |reason: &DropReason| after.dropped_for(*reason) > before.dropped_for(*reason);
        Err(match DropReason::ALL.iter().copied().find(reason) {
            Some(reason) => Fate::Dropped(reason),
            None if after.lost > before.lost => Fate::Lost,
            None if after.blocked > before.blocked => Fate::Blocked,
            None => Fate::Unreachable(Unreachable::Destination),
        })
    }
}

fn got(host: HostId, from: &str, to: &str) -> Result<(HostId, String, String), Fate> {
    Ok((host, from.into(), to.into()))
}

const fn dropped(reason: DropReason) -> Result<(HostId, String, String), Fate> {
    Err(Fate::Dropped(reason))
}

const NOWHERE: Result<(HostId, String, String), Fate> =
    Err(Fate::Unreachable(Unreachable::Destination));

#[test]
fn a_home_reaches_out_through_its_nat_and_the_answer_comes_back() {
    let mut net = Net::new();
    let home = net.realm(RealmId::INTERNET, GatewayConfig::nat(nat("203.0.113.1")));
    let alice = net.host(home, &["192.168.1.2"]);
    let (inside, outside) = ("192.168.1.2:5000", "203.0.113.1:5000");

    assert_eq!(net.send(at(0), net.bob, BOB, outside), dropped(DropReason::NatNoMapping));
    assert_eq!(net.send(at(1), alice, inside, BOB), got(net.bob, outside, BOB));
    assert_eq!(net.send(at(2), net.bob, BOB, outside), got(alice, BOB, inside));
    assert_eq!(net.send(at(3), net.carol, CAROL, outside), dropped(DropReason::NatFiltered));
    // An inside address means nothing outside.
    assert_eq!(net.send(at(4), net.bob, BOB, inside), NOWHERE);
    assert_eq!(net.network.nat_mappings(home).count(), 1);
    assert_accounted(&net.network);
}

#[test]
fn two_homes_have_the_same_addresses_inside() {
    let mut net = Net::new();
    let homes = ["203.0.113.1", "203.0.113.2"].map(|external| {
        let lan = Subnet::new(ip("192.168.1.0"), 24);
        let gateway = GatewayConfig::nat(nat(external)).with_on_link(lan);
        let home = net.realm(RealmId::INTERNET, gateway);
        [net.host(home, &["192.168.1.2"]), net.host(home, &["192.168.1.3"])]
    });
    let (two, three) = ("192.168.1.2:5000", "192.168.1.3:6000");
    for [one, other] in homes {
        assert_eq!(net.send(at(0), one, two, three), got(other, two, three));
        // Nobody's, and yet not a matter for the gateway.
        assert_eq!(net.send(at(0), one, two, "192.168.1.4:1"), NOWHERE);
    }
    assert_eq!(net.send(at(0), homes[0][0], two, BOB), got(net.bob, "203.0.113.1:5000", BOB));
    assert_eq!(net.send(at(0), homes[1][0], two, BOB), got(net.bob, "203.0.113.2:5000", BOB));
}

/// RFC 4787 §6, RFC 5128 §2: each level turns round what is sent to itself.
#[test]
fn homes_behind_a_carrier_grade_nat_reach_each_other_through_its_hairpin() {
    let mut net = Net::new();
    let carrier = GatewayConfig::nat(nat("203.0.113.1"));
    let carrier = net.realm(RealmId::INTERNET, carrier);
    let [alice, dave] = ["100.64.0.1", "100.64.0.2"].map(|external| {
        let home = net.realm(carrier, GatewayConfig::nat(nat(external)));
        net.host(home, &["192.168.1.2"])
    });
    let inside = "192.168.1.2:5000";
    // The ports collide at the carrier only.
    assert_eq!(net.send(at(0), alice, inside, BOB), got(net.bob, "203.0.113.1:5000", BOB));
    assert_eq!(net.send(at(0), dave, inside, BOB), got(net.bob, "203.0.113.1:1024", BOB));
    // Both punch; the first meets a filter.
    let (to_alice, to_dave) = ("203.0.113.1:5000", "203.0.113.1:1024");
    let closed = dropped(DropReason::NatFiltered);
    assert_eq!(net.send(at(1), alice, inside, to_dave), closed);
    assert_eq!(net.send(at(2), dave, inside, to_alice), got(alice, to_dave, inside));
    assert_eq!(net.send(at(3), alice, inside, to_dave), got(dave, to_alice, inside));
    // By the addresses that they have at the carrier they need no hairpin, but a punch.
    assert_eq!(net.send(at(4), alice, inside, "100.64.0.2:5000"), closed);
    assert_eq!(
        net.send(at(5), dave, inside, "100.64.0.1:5000"),
        got(alice, "100.64.0.2:5000", inside)
    );
    assert_accounted(&net.network);
}

#[test]
fn hairpinning_shows_the_sender_inside_or_outside_or_not_at_all() {
    for (hairpinning, seen) in [
        (Hairpinning::ExternalSource, Some("203.0.113.1:5000")),
        (Hairpinning::InternalSource, Some("192.168.1.2:5000")),
        (Hairpinning::Off, None),
    ] {
        let mut net = Net::new();
        let config = nat("203.0.113.1")
            .with_filtering(Filtering::EndpointIndependent)
            .with_hairpinning(hairpinning);
        let home = net.realm(RealmId::INTERNET, GatewayConfig::nat(config));
        let (alice, dave) = (net.host(home, &["192.168.1.2"]), net.host(home, &["192.168.1.3"]));
        net.send(at(0), dave, "192.168.1.3:6000", BOB).unwrap();
        let result = net.send(at(1), alice, "192.168.1.2:5000", "203.0.113.1:6000");
        let expected = match seen {
            Some(seen) => got(dave, seen, "192.168.1.3:6000"),
            None => dropped(DropReason::NatHairpin),
        };
        assert_eq!(result, expected, "{hairpinning:?}");
    }
}

#[test]
fn a_host_on_two_networks_sends_out_of_the_interface_that_has_the_address() {
    let mut net = Net::new();
    let wifi = net.realm(RealmId::INTERNET, GatewayConfig::nat(nat("203.0.113.1")));
    let mobile = net.realm(RealmId::INTERNET, GatewayConfig::nat(nat("203.0.113.2")));
    let alice = net.host(wifi, &["192.168.1.2"]);
    let cell = net.network.add_interface(alice, mobile).unwrap();
    net.network.add_interface_address(cell, ip("10.0.0.2")).unwrap();

    let wifi_seen = net.send(at(0), alice, "192.168.1.2:5000", BOB);
    assert_eq!(wifi_seen, got(net.bob, "203.0.113.1:5000", BOB));
    let mobile_seen = net.send(at(0), alice, "10.0.0.2:5000", BOB);
    assert_eq!(mobile_seen, got(net.bob, "203.0.113.2:5000", BOB));
    assert_eq!(net.network.realm_of(alice, ip("10.0.0.2")), Some(mobile));
    let twice = net.network.add_interface_address(cell, ip("192.168.1.2"));
    assert_eq!(twice, Err(AddAddressError::OtherInterface));
}

/// RFC 6092: hosts with global addresses behind a firewall.
#[test]
fn ipv6_is_routed_beside_the_nat_of_ipv4_and_a_firewall_lets_in_what_was_asked_for() {
    let mut net = Net::new();
    net.network.add_address(net.bob, ip("2001:db8::2")).unwrap();
    let router = GatewayConfig::nat(nat("203.0.113.1")).with_firewall(FirewallConfig::stateful());
    let home = net.realm(RealmId::INTERNET, router);
    let alice = net.host(home, &["192.168.1.2", "2001:db8:1::2", "fd00::2", "fe80::2"]);
    let dave = net.host(home, &["2001:db8:1::3", "fe80::3"]);
    let (bob6, alice6) = ("[2001:db8::2]:6000", "[2001:db8:1::2]:5000");

    assert_eq!(net.send(at(0), net.bob, bob6, alice6), dropped(DropReason::FirewallInbound));
    assert_eq!(net.send(at(1), alice, alice6, bob6), got(net.bob, alice6, bob6));
    assert_eq!(net.send(at(2), net.bob, bob6, alice6), got(alice, bob6, alice6));
    // The flow has ended two minutes after its last packet.
    assert_eq!(net.send(at(120_001), net.bob, bob6, alice6), got(alice, bob6, alice6));
    assert_eq!(net.send(at(240_001), net.bob, bob6, alice6), dropped(DropReason::FirewallInbound));
    // A neighbour is not outside.
    assert_eq!(
        net.send(at(240_002), dave, "[2001:db8:1::3]:1", alice6),
        got(alice, "[2001:db8:1::3]:1", alice6)
    );
    // Unique local addresses have no way out, link-local ones not even to the gateway.
    let unique_local = net.send(at(240_002), alice, "[fd00::2]:1", bob6);
    assert_eq!(unique_local, dropped(DropReason::SourceNotRouted));
    assert_eq!(
        net.send(at(240_002), dave, "[fe80::3]:1", "[fe80::2]:2"),
        got(alice, "[fe80::3]:1", "[fe80::2]:2")
    );
    assert_eq!(net.send(at(240_002), dave, "[fe80::3]:1", "[fe80::9]:2"), NOWHERE);
}

/// RFC 6146
#[test]
fn an_ipv6_only_network_reaches_ipv4_through_nat64() {
    let mut net = Net::new();
    let gateway = nat("203.0.113.1").with_nat64(Nat64Prefix::WELL_KNOWN);
    let mobile = net.realm(RealmId::INTERNET, GatewayConfig::nat(gateway));
    let alice = net.host(mobile, &["2001:db8:1::2"]);
    net.network.add_address(net.carol, ip("2001:db8::3")).unwrap();
    let inside = "[2001:db8:1::2]:5000";
    let bob = "[64:ff9b::c000:202]:6000";

    assert_eq!(net.send(at(0), alice, inside, bob), got(net.bob, "203.0.113.1:5000", BOB));
    assert_eq!(net.send(at(1), net.bob, BOB, "203.0.113.1:5000"), got(alice, bob, inside));
    let carol = "[2001:db8::3]:6000";
    assert_eq!(net.send(at(2), alice, inside, carol), got(net.carol, inside, carol));
    assert_eq!(net.send(at(2), alice, inside, BOB), Err(Fate::Unreachable(Unreachable::Family)));
}

#[test]
fn a_firewall_without_udp_lets_tcp_out_to_its_ports_only() {
    let firewall = FirewallConfig::stateful().without_udp().tcp_only_to([443]);
    let mut net = Net::new();
    let office = net
        .realm(RealmId::INTERNET, GatewayConfig::nat(nat("203.0.113.1")).with_firewall(firewall));
    let alice = net.host(office, &["192.168.1.2"]);
    assert_eq!(net.send(at(0), alice, "192.168.1.2:1", BOB), dropped(DropReason::FirewallOutbound));
    for (port, fate) in [(443, Fate::Underway), (80, Fate::Dropped(DropReason::FirewallOutbound))] {
        let mut segment = Datagram::udp(addr("192.168.1.2:1"), addr(BOB), *b"x");
        segment.transport = crate::candidate::Transport::Tcp;
        segment.to.set_port(port);
        assert_eq!(net.network.send_from(at(0), alice, segment), fate);
    }
}

#[test]
fn a_host_has_a_firewall_of_its_own() {
    let mut net = Net::new();
    net.network.set_host_firewall(net.bob, Some(FirewallConfig::stateful()));
    let closed = dropped(DropReason::FirewallInbound);
    assert_eq!(net.send(at(0), net.carol, CAROL, BOB), closed);
    assert_eq!(net.send(at(0), net.bob, BOB, CAROL), got(net.carol, BOB, CAROL));
    assert_eq!(net.send(at(0), net.carol, CAROL, BOB), got(net.bob, CAROL, BOB));
    net.network.set_host_firewall(net.bob, None);
    assert_eq!(net.send(at(0), net.carol, "192.0.2.3:9", BOB), got(net.bob, "192.0.2.3:9", BOB));
}

#[test]
fn the_lines_of_a_gateway_take_their_time_in_each_direction() {
    let mut net = Net::new();
    net.network.set_default_link(Link::delayed(millis(10)));
    let lines = (Link::delayed(millis(3)), Link::delayed(millis(4)));
    let router = GatewayConfig::nat(nat("203.0.113.1")).with_lines(lines.0, lines.1);
    let home = net.realm(RealmId::INTERNET, router);
    let alice = net.host(home, &["192.168.1.2"]);
    let there = Datagram::udp(addr("192.168.1.2:5000"), addr(BOB), *b"there");
    let back = Datagram::udp(addr(BOB), addr("203.0.113.1:5000"), *b"back");

    net.network.send_from(at(0), alice, there.clone());
    assert_eq!(net.network.receive(at(12)), None);
    assert_eq!(net.network.receive(at(13)).unwrap().at, at(13));
    net.network.send_from(at(20), net.bob, back.clone());
    // However late the caller is, everything has happened at its own time.
    net.network.send_from(at(20), alice, there);
    let times: Vec<_> =
        core::iter::from_fn(|| net.network.receive(at(900))).map(|arrival| arrival.at).collect();
    assert_eq!(times, [at(33), at(34)]);
    assert_accounted(&net.network);
}

#[test]
fn realms_hosts_and_addresses_that_cannot_be_are_refused() {
    let mut net = Net::new();
    let taken = net.network.add_realm(RealmId::INTERNET, GatewayConfig::nat(nat("192.0.2.2")));
    assert_eq!(taken, Err(AddRealmError::Taken(ip("192.0.2.2"))));
    let empty = net.network.add_realm(RealmId::INTERNET, GatewayConfig::nat(NatConfig::new([])));
    assert_eq!(empty, Err(AddRealmError::Nat(NatConfigError::External)));
    let mut realm = RealmId::INTERNET;
    for _ in 0..8 {
        realm = net.realm(realm, GatewayConfig::routed());
    }
    let deeper = net.network.add_realm(realm, GatewayConfig::routed());
    assert_eq!(deeper, Err(AddRealmError::TooDeep));

    let home = net.realm(RealmId::INTERNET, GatewayConfig::nat(nat("203.0.113.1")));
    let mut other = Network::new([0; 32]);
    assert_eq!(other.add_host_in(home), Err(AddInterfaceError::UnknownRealm));
    assert_eq!(other.add_realm(home, GatewayConfig::routed()), Err(AddRealmError::UnknownRealm));
    // A routed address is somebody's in the internet as well.
    let (alice, far) = (net.host(home, &[]), net.host(realm, &["198.51.100.9"]));
    assert_eq!(net.network.add_address(net.bob, ip("198.51.100.9")), Err(AddAddressError::Taken));
    assert_eq!(net.network.add_address(net.bob, ip("203.0.113.1")), Err(AddAddressError::Taken));
    assert_eq!(net.network.add_address(alice, ip("2001:db8::9")), Ok(()));
    assert_eq!(net.network.add_address(net.bob, ip("2001:db8::9")), Err(AddAddressError::Taken));
    // Eight routers deep, and still a host of the internet.
    let far_endpoint = "198.51.100.9:1";
    assert_eq!(net.send(at(0), net.bob, BOB, far_endpoint), got(far, BOB, far_endpoint));
    assert!(net.network.remove_host_address(far, ip("198.51.100.9")));
    assert_eq!(net.network.add_address(net.bob, ip("198.51.100.9")), Ok(()));
}

#[test]
fn a_clone_of_a_network_of_nats_goes_the_same_way() {
    let mut net = Net::new();
    let config = nat("203.0.113.1").with_ports(PortAllocation::Random, 1_024, 65_535);
    let lines = Link::delayed(millis(3)).with_jitter(millis(20)).with_loss(Probability::percent(9));
    let home = GatewayConfig::nat(config.with_mapping(Mapping::AddressAndPortDependent));
    let home = net.realm(RealmId::INTERNET, home.with_lines(lines, lines));
    let alice = net.host(home, &["192.168.1.2"]);
    let run = |mut network: Network| {
        for number in 0..200u16 {
            let to = format!("192.0.2.2:{}", 1_000 + number);
            let datagram = Datagram::udp(addr("192.168.1.2:5000"), addr(&to), *b"x");
            network.send_from(at(number.into()), alice, datagram);
        }
        core::iter::from_fn(move || network.receive(at(9_999)))
            .map(|arrival| (arrival.at, arrival.datagram.from, arrival.datagram.to))
            .collect::<Vec<_>>()
    };
    let (one, other) = (run(net.network.clone()), run(net.network));
    assert_eq!(one, other);
    let sources: BTreeSet<_> = one.iter().map(|(_, from, _)| from).collect();
    assert_eq!(sources.len(), one.len());
    assert!(one.len() > 100 && one.len() < 200);
}

#[test]
fn a_mapping_ends_with_its_time_and_is_shown_until_then() {
    let mut net = Net::new();
    let config = nat("203.0.113.1").with_lifetime(Duration::from_secs(30), Refresh::Outbound);
    let home = net.realm(RealmId::INTERNET, GatewayConfig::nat(config));
    let alice = net.host(home, &["192.168.1.2"]);
    net.send(at(0), alice, "192.168.1.2:5000", BOB).unwrap();
    let mapping = net.network.nat_mappings(home).next().unwrap();
    assert_eq!(
        (mapping.inside, mapping.external),
        (addr("192.168.1.2:5000"), addr("203.0.113.1:5000"))
    );
    assert_eq!((mapping.remotes, mapping.deadline), (Scope::Any, at(30_000)));
    assert_eq!(
        net.send(at(30_000), net.bob, BOB, "203.0.113.1:5000"),
        dropped(DropReason::NatNoMapping)
    );
    assert_eq!(net.network.nat_mappings(home).count(), 0);
}

#[test]
fn a_server_with_an_address_of_its_own_is_reached_from_outside_and_by_its_neighbours() {
    let mut net = Net::new();
    let config = nat("203.0.113.1").with_one_to_one(ip("192.168.1.9"), ip("203.0.113.9"));
    let home = net.realm(RealmId::INTERNET, GatewayConfig::nat(config));
    let (alice, server) = (net.host(home, &["192.168.1.2"]), net.host(home, &["192.168.1.9"]));
    let (inside, outside) = ("192.168.1.9:80", "203.0.113.9:80");
    assert_eq!(net.send(at(0), net.bob, BOB, outside), got(server, BOB, inside));
    assert_eq!(net.send(at(0), server, inside, BOB), got(net.bob, outside, BOB));
    let neighbour = net.send(at(0), alice, "192.168.1.2:5000", outside);
    assert_eq!(neighbour, got(server, "203.0.113.1:5000", inside));
    assert_eq!(
        net.send(at(0), server, inside, "203.0.113.1:5000"),
        got(alice, outside, "192.168.1.2:5000")
    );
}

#[test]
fn a_scope_id_does_not_leave_its_host() {
    let mut net = Net::new();
    net.network.add_address(net.bob, ip("fe80::2")).unwrap();
    net.network.add_address(net.carol, ip("fe80::3")).unwrap();
    net.network.set_host_firewall(net.carol, Some(FirewallConfig::stateful()));
    let there = net.send(at(0), net.carol, "[fe80::3%7]:1", "[fe80::2%7]:2");
    assert_eq!(there, got(net.bob, "[fe80::3]:1", "[fe80::2]:2"));
    let back = net.send(at(0), net.bob, "[fe80::2%4]:2", "[fe80::3%4]:1");
    assert_eq!(back, got(net.carol, "[fe80::2]:2", "[fe80::3]:1"));
}
