//! Networks that change while they are in use.

use core::net::IpAddr;

use super::*;

const SEEN: &str = "203.0.113.1:5000";
const INSIDE: &str = "192.168.1.2:5000";

fn nat(external: &str) -> NatConfig {
    NatConfig::new([external.parse::<IpAddr>().unwrap()])
}

/// Alice behind a NAT, Bob in the internet.
struct Home {
    network: Network,
    home: RealmId,
    alice: HostId,
    bob: HostId,
}

impl Home {
    fn new() -> Self {
        let mut network = Network::new([4; 32]);
        let home = GatewayConfig::nat(nat("203.0.113.1"));
        let home = network.add_realm(RealmId::INTERNET, home).unwrap();
        let (alice, bob) = (network.add_host_in(home).unwrap(), network.add_host());
        network.add_address(alice, ip(INSIDE)).unwrap();
        network.add_address(bob, ip(BOB)).unwrap();
        Self { network, home, alice, bob }
    }

    /// Alice sends; under which address Bob sees her.
    fn out(&mut self, now: u64) -> Option<SocketAddr> {
        let datagram = Datagram::udp(addr(INSIDE), addr(BOB), *b"x");
        self.network.send_from(at(now), self.alice, datagram);
        self.network.receive(at(now)).map(|arrival| arrival.datagram.from)
    }

    /// Bob sends; whether Alice gets it.
    fn back(&mut self, now: u64, to: &str) -> bool {
        self.network.send_from(at(now), self.bob, Datagram::udp(addr(BOB), addr(to), *b"x"));
        let arrival = self.network.receive(at(now));
        assert_accounted(&self.network);
        arrival.is_some_and(|arrival| arrival.host == self.alice)
    }
}

#[test]
fn a_nat_that_reboots_forgets_and_learns_again() {
    let mut net = Home::new();
    assert_eq!(net.out(0), Some(addr(SEEN)));
    assert!(net.back(1, SEEN));
    assert!(net.network.reboot_nat(net.home));
    assert!(!net.back(2, SEEN));
    assert_eq!(net.network.stats().dropped_for(DropReason::NatNoMapping), 1);
    assert_eq!(net.out(3), Some(addr(SEEN)));
    assert!(net.back(4, SEEN));
}

#[test]
fn a_nat_changes_its_address() {
    let mut net = Home::new();
    net.out(0).unwrap();
    let new = "203.0.113.9:5000";
    net.network.set_nat(net.home, nat("203.0.113.9")).unwrap();
    assert!(!net.back(1, SEEN));
    assert_eq!(net.network.stats().unreachable_destination, 1);
    assert_eq!(net.out(2), Some(addr(new)));
    assert!(net.back(3, new));
    // The old address is free.
    assert_eq!(net.network.add_address(net.bob, ip(SEEN)), Ok(()));
    assert_eq!(
        net.network.set_nat(net.home, nat("203.0.113.1")),
        Err(SetNatError::Taken(ip(SEEN)))
    );
    assert_eq!(net.network.set_nat(net.home, nat("2001:db8::1")), Err(SetNatError::Families));
    assert_eq!(
        net.network.set_nat(RealmId::INTERNET, nat("192.0.2.9")),
        Err(SetNatError::UnknownNat)
    );
    assert_eq!(
        net.network.set_nat(net.home, NatConfig::new([])),
        Err(SetNatError::Nat(NatConfigError::External))
    );
    assert!(net.back(4, new));
}

#[test]
fn a_nat_changes_its_behaviour() {
    let mut net = Home::new();
    net.out(0).unwrap();
    let open = nat("203.0.113.1").with_filtering(Filtering::EndpointIndependent);
    net.network.set_nat(net.home, open).unwrap();
    net.network.inject(at(1), Datagram::udp(addr("198.51.100.1:1"), addr(SEEN), *b"stranger"));
    assert_eq!(net.network.receive(at(1)).unwrap().host, net.alice);
    let config = net.network.gateway(net.home).unwrap().nat.as_ref().unwrap();
    assert_eq!(config.filtering, Filtering::EndpointIndependent);
}

#[test]
fn an_interface_goes_down_and_comes_back_with_its_addresses() {
    let mut net = Home::new();
    net.out(0).unwrap();
    let interface = net.network.interfaces(net.alice).next().unwrap();
    assert!(net.network.interface_down(interface));
    assert_eq!(net.out(1), None);
    assert_eq!(net.network.stats().unreachable_source, 1);
    assert!(!net.back(2, SEEN));
    assert_eq!(net.network.addresses(interface).collect::<Vec<_>>(), [ip(INSIDE)]);
    assert_eq!(net.network.interface_up(interface), Ok(()));
    assert!(net.back(3, SEEN));

    // Somebody has taken the address meanwhile.
    net.network.interface_down(interface);
    let thief = net.network.add_host_in(net.home).unwrap();
    net.network.add_address(thief, ip(INSIDE)).unwrap();
    assert_eq!(net.network.interface_up(interface), Err(AddAddressError::Taken));
    assert_eq!(net.out(4), None);
    assert!(net.network.remove_host_address(thief, ip(INSIDE)));
    assert_eq!(net.network.interface_up(interface), Ok(()));
    assert!(net.out(5).is_some());
}

#[test]
fn a_host_changes_its_address() {
    let mut net = Home::new();
    net.out(0).unwrap();
    let new: IpAddr = "192.168.1.7".parse().unwrap();
    assert_eq!(net.network.change_address(net.alice, ip(INSIDE), new), Ok(()));
    assert!(!net.back(1, SEEN));
    assert_eq!(net.out(2), None);
    assert_eq!(net.network.host_in(net.home, new), Some(net.alice));
    assert_eq!(
        net.network.change_address(net.alice, ip(INSIDE), new),
        Err(AddAddressError::UnknownAddress)
    );
}

#[test]
fn a_host_that_has_crashed_is_silent_until_it_is_restarted() {
    let mut net = Home::new();
    net.out(0).unwrap();
    assert!(net.network.crash(net.alice));
    assert_eq!(net.out(1), None);
    assert!(!net.back(2, SEEN));
    let second = net.network.add_interface(net.alice, net.home).unwrap();
    let spare: IpAddr = "192.168.1.8".parse().unwrap();
    assert_eq!(net.network.add_interface_address(second, spare), Ok(()));
    assert_eq!(net.network.host_in(net.home, spare), None);
    // Neither an interface nor an address brings a host back.
    let first = net.network.interfaces(net.alice).next().unwrap();
    assert_eq!(net.network.interface_up(first), Ok(()));
    assert!(!net.back(3, SEEN));

    let thief = net.network.add_host_in(net.home).unwrap();
    net.network.add_address(thief, spare).unwrap();
    assert_eq!(net.network.restart(net.alice), Err(AddAddressError::Taken));
    assert_eq!(net.network.host_in(net.home, ip(INSIDE)), None);
    net.network.remove_host_address(thief, spare);
    assert_eq!(net.network.restart(net.alice), Ok(()));
    assert!(net.back(4, SEEN));
    assert_eq!(net.network.host_in(net.home, spare), Some(net.alice));
}

#[test]
fn a_realm_is_cut_off_and_reconnected() {
    let mut net = Home::new();
    net.out(0).unwrap();
    assert!(net.network.cut_off(net.home));
    assert_eq!(net.out(1), None);
    assert!(!net.back(2, SEEN));
    assert_eq!(net.network.stats().dropped_for(DropReason::GatewayDown), 2);
    // Within, everything is as before.
    let dave = net.network.add_host_in(net.home).unwrap();
    net.network.add_address(dave, "192.168.1.3".parse().unwrap()).unwrap();
    let hello = Datagram::udp(addr("192.168.1.3:1"), addr(INSIDE), *b"hello");
    assert_eq!(net.network.send_from(at(3), dave, hello), Fate::Underway);
    assert!(net.network.receive(at(3)).is_some());
    assert!(net.network.reconnect(net.home));
    assert!(net.back(4, SEEN));
    assert!(!net.network.cut_off(RealmId::INTERNET));
}

#[test]
fn a_partition_separates_two_sets_of_addresses_until_it_is_healed() {
    let mut network = two_hosts(0, Link::default());
    let carol = network.add_host();
    network.add_address(carol, ip("192.0.2.3:0")).unwrap();
    let (left, right) = ([ip(ALICE), ip("192.0.2.3:0")], [ip(BOB)]);
    network.partition(RealmId::INTERNET, &left, &right);
    assert_eq!(network.send(at(0), to_bob(*b"no")), Fate::Blocked);
    let from_bob = Datagram::udp(addr(BOB), addr("192.0.2.3:1"), *b"no");
    assert_eq!(network.send(at(0), from_bob), Fate::Blocked);
    let beside = Datagram::udp(addr(ALICE), addr("192.0.2.3:1"), *b"yes");
    assert_eq!(network.send(at(0), beside), Fate::Underway);
    network.heal(RealmId::INTERNET, &left, &right);
    assert_eq!(network.send(at(0), to_bob(*b"yes")), Fate::Underway);
}

#[test]
fn lines_and_firewalls_change_at_any_time() {
    let mut net = Home::new();
    net.network.set_lines(net.home, Link::delayed(millis(5)), Link::default());
    assert_eq!(net.out(0), None);
    assert_eq!(net.network.next_arrival(), Some(at(5)));
    assert!(net.network.receive(at(5)).is_some());
    net.network.set_lines(net.home, Link::default(), Link::default());
    let closed = FirewallConfig::default().without_udp();
    assert!(net.network.set_firewall(net.home, Some(closed)));
    assert_eq!(net.out(6), None);
    assert!(net.network.set_firewall(net.home, None));
    assert_eq!(net.out(7), Some(addr(SEEN)));
}
