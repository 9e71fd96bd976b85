//! What the oracle says of topologies whose answer is known.

use core::net::{IpAddr, SocketAddr};

use super::*;
use crate::candidate::CandidateKind::{Host, PeerReflexive, Relayed, ServerReflexive};
use crate::sim::{
    Filtering, FirewallConfig, GatewayConfig, Hairpinning, Mapping, NatConfig, RealmId,
};

const MAPPINGS: [Mapping; 3] =
    [Mapping::EndpointIndependent, Mapping::AddressDependent, Mapping::AddressAndPortDependent];
const FILTERS: [Filtering; 3] = [
    Filtering::EndpointIndependent,
    Filtering::AddressDependent,
    Filtering::AddressAndPortDependent,
];

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn server() -> SocketAddr {
    addr("198.51.100.1:3478")
}

fn network() -> Network {
    let mut network = Network::new([1; 32]);
    let host = network.add_host();
    network.add_address(host, server().ip()).unwrap();
    network
}

fn nat(external: &str, mapping: Mapping, filtering: Filtering) -> NatConfig {
    NatConfig::new([ip(external)]).with_mapping(mapping).with_filtering(filtering)
}

/// A host in a realm with one socket and a server-reflexive candidate.
fn party(network: &mut Network, realm: RealmId, socket: &str) -> Party {
    let host = network.add_host_in(realm).unwrap();
    network.add_address(host, addr(socket).ip()).unwrap();
    Party::new(host, [addr(socket)]).with_stun(server())
}

/// Two homes, whose hosts have the same private address.
fn homes(nats: [(Mapping, Filtering); 2]) -> (Network, [Party; 2]) {
    let mut network = network();
    let [one, other] =
        [("203.0.113.1", nats[0]), ("203.0.113.2", nats[1])].map(|(external, nat)| {
            let gateway = GatewayConfig::nat(self::nat(external, nat.0, nat.1));
            let home = network.add_realm(RealmId::INTERNET, gateway).unwrap();
            party(&mut network, home, "192.168.1.2:5000")
        });
    (network, [one, other])
}

fn outlook(network: &Network, [one, other]: [&Party; 2]) -> Outlook {
    let outlook = Outlook::new(network, [one, other]);
    let mirrored = Outlook::new(network, [other, one]);
    let exchanged = mirrored.prospects().map(|prospect| Prospect {
        local: prospect.remote,
        remote: prospect.local,
        ..prospect
    });
    assert_eq!(outlook.prospects().collect::<BTreeSet<_>>(), exchanged.collect());
    outlook
}

/// What is known of hole punching (RFC 5128 §3.3); nothing where
/// it takes more than one sentence.
fn known(one: (Mapping, Filtering), other: (Mapping, Filtering)) -> Option<bool> {
    let cone = |nat: (Mapping, Filtering)| nat.0 == Mapping::EndpointIndependent;
    let symmetric = |nat: (Mapping, Filtering)| nat.0 == Mapping::AddressAndPortDependent;
    let strict = |nat: (Mapping, Filtering)| nat.1 == Filtering::AddressAndPortDependent;
    match (one, other) {
        // Each knows where the other sends from.
        _ if cone(one) && cone(other) => Some(true),
        // Each would have to let in what it cannot know.
        _ if symmetric(one) && symmetric(other) => Some(false),
        _ if cone(one) && symmetric(other) => Some(!strict(one)),
        _ if cone(other) && symmetric(one) => Some(!strict(other)),
        _ => None,
    }
}

#[test]
fn hole_punching_works_where_it_is_known_to() {
    let kinds = || MAPPINGS.iter().flat_map(|m| FILTERS.iter().map(|f| (*m, *f)));
    let mut answers = Vec::new();
    for one in kinds() {
        for other in kinds() {
            let (network, [a, b]) = homes([one, other]);
            let outlook = outlook(&network, [&a, &b]);
            assert!(!outlook.is_relayed());
            if let Some(expected) = known(one, other) {
                assert_eq!(outlook.is_direct(), expected, "{one:?} {other:?}");
                answers.push(expected);
            }
        }
    }
    assert_eq!(answers.iter().filter(|direct| **direct).count(), 9 + 12);
    assert_eq!(answers.iter().filter(|direct| !**direct).count(), 9 + 6);
}

#[test]
fn the_side_with_an_unknown_mapping_is_peer_reflexive() {
    let symmetric = (Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent);
    let cone = (Mapping::EndpointIndependent, Filtering::AddressDependent);
    let (network, [a, b]) = homes([symmetric, cone]);
    let outlook = outlook(&network, [&a, &b]);
    let kinds: Vec<_> = outlook.prospects().map(|p| (p.local, p.remote, p.immediate)).collect();
    assert_eq!(kinds, [(PeerReflexive, ServerReflexive, false)]);
}

#[test]
fn a_relay_reaches_what_nothing_else_does() {
    let symmetric = (Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent);
    let (network, [a, b]) = homes([symmetric; 2]);
    let a = a.with_turn(server());
    let outlook = outlook(&network, [&a, &b]);
    assert!(outlook.is_relayed() && !outlook.is_direct());
    assert!(outlook.allows(Relayed, PeerReflexive, true));
    assert!(!outlook.allows(Relayed, Host, false));
}

#[test]
fn a_relay_is_not_selected_where_the_first_direct_check_succeeds() {
    let open = (Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    let (network, [a, b]) = homes([open; 2]);
    let a = a.with_turn(server());
    let outlook = outlook(&network, [&a, &b]);
    assert!(outlook.is_relayed());
    assert!(outlook.allows(ServerReflexive, ServerReflexive, true));
    assert!(!outlook.allows(Relayed, ServerReflexive, true));
    assert!(outlook.allows(Relayed, ServerReflexive, false));
}

#[test]
fn hosts_of_one_home_need_nobody() {
    let mut network = network();
    let strict = nat("203.0.113.1", MAPPINGS[2], FILTERS[2]).with_hairpinning(Hairpinning::Off);
    let home = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(strict)).unwrap();
    let a = party(&mut network, home, "192.168.1.2:5000");
    let b = party(&mut network, home, "192.168.1.3:5000");
    let outlook = outlook(&network, [&a, &b]);
    assert_eq!(
        outlook.prospects().map(|p| (p.local, p.remote)).collect::<Vec<_>>(),
        [(Host, Host)]
    );
}

/// Two homes behind one carrier-grade NAT: the private addresses are the same, so all depends on
/// whether the carrier turns round.
#[test]
fn homes_of_one_carrier_depend_on_hairpinning() {
    for hairpinning in [Hairpinning::Off, Hairpinning::ExternalSource] {
        let mut network = network();
        let carrier = nat("203.0.113.1", MAPPINGS[0], FILTERS[2]).with_hairpinning(hairpinning);
        let carrier = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(carrier)).unwrap();
        let [a, b] = ["100.64.0.1", "100.64.0.2"].map(|external| {
            let home = GatewayConfig::nat(nat(external, MAPPINGS[0], FILTERS[2]));
            let home = network.add_realm(carrier, home).unwrap();
            party(&mut network, home, "192.168.1.2:5000")
        });
        let outlook = outlook(&network, [&a, &b]);
        assert_eq!(outlook.is_possible(), hairpinning != Hairpinning::Off);
    }
}

#[test]
fn a_firewall_without_udp_lets_nothing_through() {
    let mut network = network();
    let office = GatewayConfig::routed().with_firewall(FirewallConfig::stateful().without_udp());
    let office = network.add_realm(RealmId::INTERNET, office).unwrap();
    let a = party(&mut network, office, "192.0.2.1:5000").with_turn(server());
    let b = party(&mut network, RealmId::INTERNET, "192.0.2.2:6000");
    assert!(!outlook(&network, [&a, &b]).is_possible());
    network.set_firewall(office, Some(FirewallConfig::stateful()));
    let outlook = outlook(&network, [&a, &b]);
    assert!(outlook.is_direct() && outlook.is_relayed());
}

#[test]
fn what_is_cut_or_blocked_is_no_way() {
    let open = (Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    let (mut network, [a, b]) = homes([open; 2]);
    network.partition(RealmId::INTERNET, &[ip("203.0.113.1")], &[ip("203.0.113.2")]);
    assert!(!outlook(&network, [&a, &b]).is_possible());
    let a = a.with_turn(server());
    assert!(outlook(&network, [&a, &b]).is_relayed());
    network.heal(RealmId::INTERNET, &[ip("203.0.113.1")], &[ip("203.0.113.2")]);
    let interface = network.interfaces(b.host).next().unwrap();
    network.interface_down(interface);
    assert!(!outlook(&network, [&a, &b]).is_possible());
}

/// What can become valid over TCP.
fn over_tcp(outlook: &Outlook) -> Vec<(CandidateKind, CandidateKind)> {
    let tcp = outlook.prospects().filter(|prospect| prospect.transport == Transport::Tcp);
    tcp.map(|prospect| (prospect.local, prospect.remote)).collect()
}

/// The same party, which opens and accepts connections at its socket's address.
fn with_tcp(party: Party) -> Party {
    let addr = party.sockets[0];
    party.with_active(addr.ip()).with_passive(addr)
}

/// RFC 6544 §6.2: active with passive, and nothing else.
#[test]
fn a_connection_takes_a_side_that_opens_and_one_that_accepts() {
    let mut network = network();
    let a = party(&mut network, RealmId::INTERNET, "192.0.2.1:5000");
    let b = party(&mut network, RealmId::INTERNET, "192.0.2.2:6000");
    let active = [a.clone().with_active(ip("192.0.2.1")), b.clone().with_active(ip("192.0.2.2"))];
    let passive = [a.clone().with_passive(a.sockets[0]), b.clone().with_passive(b.sockets[0])];
    let tcp = |one: &Party, other: &Party| over_tcp(&outlook(&network, [one, other]));
    assert_eq!(tcp(&active[0], &active[1]), []);
    assert_eq!(tcp(&passive[0], &passive[1]), []);
    assert_eq!(tcp(&active[0], &passive[1]), [(PeerReflexive, Host)]);
    assert_eq!(tcp(&passive[0], &active[1]), [(Host, PeerReflexive)]);
    let both = [(Host, PeerReflexive), (PeerReflexive, Host)];
    assert_eq!(tcp(&with_tcp(a.clone()), &with_tcp(b.clone())), both);
    // Addresses of two families are no pair.
    let six = b.clone().with_passive(addr("[2001:db8::2]:6000"));
    assert_eq!(tcp(&active[0], &six), []);
}

/// Whoever opens needs no mapping that others know; whoever accepts has none.
#[test]
fn over_tcp_a_nat_lets_everybody_out_and_nobody_in() {
    for mapping in MAPPINGS {
        for filtering in FILTERS {
            let (mut network, [a, b]) = homes([(mapping, filtering); 2]);
            let [a, b] = [a, b].map(with_tcp);
            let c = with_tcp(party(&mut network, RealmId::INTERNET, "192.0.2.9:5000"));
            assert_eq!(over_tcp(&outlook(&network, [&a, &b])), []);
            let opened = over_tcp(&outlook(&network, [&a, &c]));
            assert_eq!(opened, [(PeerReflexive, Host)], "{mapping:?} {filtering:?}");
        }
    }
}

/// A host that has an address of its own on the outside accepts connections there, if it has told it.
#[test]
fn over_tcp_one_to_one_translation_lets_in() {
    let mut network = network();
    let nat =
        NatConfig::new([ip("203.0.113.1")]).with_one_to_one(ip("192.168.1.2"), ip("203.0.113.9"));
    let home = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(nat)).unwrap();
    let a = party(&mut network, home, "192.168.1.2:5000");
    let b = with_tcp(party(&mut network, RealmId::INTERNET, "192.0.2.2:6000"));
    assert_eq!(over_tcp(&outlook(&network, [&with_tcp(a.clone()), &b])).len(), 1);
    let told = a.with_passive(addr("192.168.1.2:5000")).with_passive(addr("203.0.113.9:5000"));
    assert_eq!(over_tcp(&outlook(&network, [&told, &b])), [(Host, PeerReflexive)]);
}

#[test]
fn a_firewall_without_udp_lets_connections_out() {
    let mut network = network();
    let office = GatewayConfig::routed().with_firewall(FirewallConfig::stateful().without_udp());
    let office = network.add_realm(RealmId::INTERNET, office).unwrap();
    let a = with_tcp(party(&mut network, office, "192.0.2.1:5000"));
    let b = with_tcp(party(&mut network, RealmId::INTERNET, "192.0.2.2:6000"));
    let outlook = outlook(&network, [&a, &b]);
    let all: Vec<_> = outlook.prospects().map(|p| (p.transport, p.local, p.remote)).collect();
    assert_eq!(all, [(Transport::Tcp, PeerReflexive, Host)]);
    assert!(outlook.allows(PeerReflexive, Host, true));
    assert!(outlook.allows_over(Transport::Tcp, PeerReflexive, Host, true));
    assert!(!outlook.allows_over(Transport::Udp, PeerReflexive, Host, true));
    assert!(outlook.is_direct());
}

/// A flow is one of its transport: what was sent over UDP lets no connection in, and a firewall of
/// the host is one more.
#[test]
fn where_nothing_comes_in_unasked_no_connection_does() {
    for rules in [FirewallConfig::stateful(), FirewallConfig::stateful().without_udp()] {
        let mut network = network();
        let a = with_tcp(party(&mut network, RealmId::INTERNET, "192.0.2.1:5000"));
        let b = with_tcp(party(&mut network, RealmId::INTERNET, "192.0.2.2:6000"));
        network.set_host_firewall(a.host, Some(rules.clone()));
        let one = over_tcp(&outlook(&network, [&a, &b]));
        assert_eq!(one, [(PeerReflexive, Host)]);
        network.set_host_firewall(b.host, Some(rules));
        assert_eq!(over_tcp(&outlook(&network, [&a, &b])), []);
    }
}

#[test]
fn a_firewall_lets_connections_out_to_its_ports() {
    let mut network = network();
    let rules = FirewallConfig::stateful().without_udp().tcp_only_to([443]);
    let office = GatewayConfig::routed().with_firewall(rules);
    let office = network.add_realm(RealmId::INTERNET, office).unwrap();
    let a = with_tcp(party(&mut network, office, "192.0.2.1:5000"));
    let b = party(&mut network, RealmId::INTERNET, "192.0.2.2:6000");
    let accepts = |port| b.clone().with_passive(SocketAddr::new(ip("192.0.2.2"), port));
    assert!(!outlook(&network, [&a, &accepts(6_000)]).is_possible());
    assert!(outlook(&network, [&a, &accepts(443)]).is_direct());
    // Neither does it let out what would be sent back to a port of no meaning.
    let opens = b.clone().with_active(ip("192.0.2.2"));
    assert!(!outlook(&network, [&a, &opens]).is_possible());
    // A server is reached as any other.
    let [web, turn] = ["198.51.100.1:443", "198.51.100.1:3478"].map(addr);
    assert!(!outlook(&network, [&a.clone().with_turn_over_tcp(turn), &b]).is_possible());
    let relayed = outlook(&network, [&a.with_turn_over_tcp(web), &b]);
    assert!(relayed.is_relayed() && !relayed.is_direct());
}

/// Both behind NATs, and one without UDP: a server that is reached over TCP relays UDP.
#[test]
fn a_relay_is_reached_over_tcp_where_udp_is_blocked() {
    let symmetric = (Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent);
    let (mut network, [a, b]) = homes([symmetric; 2]);
    let home = network.realm_of(a.host, ip("192.168.1.2")).unwrap();
    network.set_firewall(home, Some(FirewallConfig::stateful().without_udp()));
    let [a, b] = [a, b].map(with_tcp);
    assert!(!outlook(&network, [&a.clone().with_turn(server()), &b]).is_possible());
    let relayed = outlook(&network, [&a.clone().with_turn_over_tcp(server()), &b]);
    let kinds: Vec<_> = relayed.prospects().map(|p| (p.transport, p.local, p.remote)).collect();
    assert_eq!(kinds, [(Transport::Udp, Relayed, PeerReflexive)]);
    // An active candidate is an address from which servers are asked as well.
    let active = Party::new(a.host, []).with_active(a.active[0]).with_turn_over_tcp(server());
    assert!(outlook(&network, [&active, &b]).is_relayed());
    let rules = FirewallConfig::stateful().without_udp().tcp_only_to([]);
    network.set_firewall(home, Some(rules));
    assert!(!outlook(&network, [&a.with_turn_over_tcp(server()), &b]).is_possible());
}

/// Whoever accepts cannot check before somebody has connected, and a relay may come first.
#[test]
fn a_relay_may_be_selected_beside_a_connection() {
    let mut network = network();
    let office = GatewayConfig::routed().with_firewall(FirewallConfig::stateful().without_udp());
    let office = network.add_realm(RealmId::INTERNET, office).unwrap();
    let a = with_tcp(party(&mut network, office, "192.0.2.1:5000")).with_turn_over_tcp(server());
    let b = with_tcp(party(&mut network, RealmId::INTERNET, "192.0.2.2:6000"));
    let outlook = outlook(&network, [&a, &b]);
    assert!(outlook.is_relayed() && outlook.is_direct());
    assert!(outlook.allows(Relayed, Host, true) && outlook.allows(PeerReflexive, Host, true));
}
