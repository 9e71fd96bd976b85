//! The NAT by itself: mappings, filters, ports and lifetimes.

use core::time::Duration;
use std::collections::BTreeSet;

use proptest::prelude::*;
use rand_chacha::rand_core::SeedableRng;

use super::super::scope::Mapping;
use super::*;

const EXTERNAL: &str = "203.0.113.1";
const ALICE: &str = "192.168.1.2:5000";
/// Two ports of one remote host, and another host.
const PEERS: [&str; 3] = ["192.0.2.2:1000", "192.0.2.2:2000", "192.0.2.3:1000"];

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

fn config() -> NatConfig {
    NatConfig::new([EXTERNAL.parse().unwrap()])
}

fn nat(config: NatConfig) -> Nat {
    config.validate().unwrap();
    Nat::new(config, ChaCha8Rng::from_seed([7; 32]))
}

const fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Where the remote side sees the inside.
fn sends(nat: &mut Nat, now: Timestamp, from: &str, to: &str) -> Result<SocketAddr, DropReason> {
    nat.outbound(now, Transport::Udp, (addr(from), addr(to))).map(|(from, _)| from)
}

/// Where a datagram from the remote side gets to.
fn gets(
    nat: &mut Nat,
    now: Timestamp,
    from: &str,
    to: SocketAddr,
) -> Result<SocketAddr, DropReason> {
    nat.inbound(now, Transport::Udp, (addr(from), to)).map(|(_, to)| to)
}

/// RFC 4787 §4.1 and §5, all nine kinds.
#[test]
fn a_mapping_is_shared_and_a_filter_is_open_as_far_as_their_kinds_say() {
    for mapping in MAPPINGS {
        for filtering in FILTERS {
            let mut nat = nat(config().with_mapping(mapping).with_filtering(filtering));
            let seen = PEERS.map(|peer| sends(&mut nat, at(0), ALICE, peer).unwrap());
            let (same_host, other_host) = match mapping {
                Mapping::EndpointIndependent => (true, true),
                Mapping::AddressDependent => (true, false),
                Mapping::AddressAndPortDependent => (false, false),
            };
            assert_eq!(seen[0] == seen[1], same_host, "{mapping:?}");
            assert_eq!(seen[0] == seen[2], other_host, "{mapping:?}");

            nat.reboot();
            let seen = sends(&mut nat, at(1), ALICE, PEERS[0]).unwrap();
            let (port, host) = match filtering {
                Filtering::EndpointIndependent => (true, true),
                Filtering::AddressDependent => (true, false),
                Filtering::AddressAndPortDependent => (false, false),
            };
            let expected = |open| if open { Ok(addr(ALICE)) } else { Err(DropReason::NatFiltered) };
            assert_eq!(gets(&mut nat, at(1), PEERS[0], seen), Ok(addr(ALICE)));
            assert_eq!(gets(&mut nat, at(1), PEERS[1], seen), expected(port), "{filtering:?}");
            assert_eq!(gets(&mut nat, at(1), PEERS[2], seen), expected(host), "{filtering:?}");
        }
    }
}

#[test]
fn where_there_is_no_mapping_nothing_gets_in() {
    let mut nat = nat(config().with_filtering(Filtering::EndpointIndependent));
    let external = addr("203.0.113.1:5000");
    assert_eq!(gets(&mut nat, at(0), PEERS[0], external), Err(DropReason::NatNoMapping));
    sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap();
    assert_eq!(gets(&mut nat, at(0), PEERS[0], external), Ok(addr(ALICE)));
    // UDP and TCP are spaces of their own.
    let tcp = nat.inbound(at(0), Transport::Tcp, (addr(PEERS[0]), external));
    assert_eq!(tcp, Err(DropReason::NatNoMapping));
}

/// RFC 4787 §4.2
#[test]
fn ports_are_preserved_until_they_collide_counted_or_drawn() {
    let others = ["192.168.1.3:5000", "192.168.1.4:5000", "192.168.1.5:80"];
    let run = |ports| {
        let mut nat = nat(config().with_ports(ports, 2_000, 9_999));
        let inside = [ALICE, others[0], others[1], others[2]];
        inside.map(|inside| sends(&mut nat, at(0), inside, PEERS[0]).unwrap().port())
    };
    // The second and the third collide with the first; port 80 is not in the range.
    assert_eq!(run(PortAllocation::Preserving), [5_000, 2_000, 2_001, 2_002]);
    assert_eq!(run(PortAllocation::Sequential), [2_000, 2_001, 2_002, 2_003]);
    let random = run(PortAllocation::Random);
    assert!(random.iter().all(|port| (2_000..=9_999).contains(port)));
    assert!(!random.is_sorted(), "{random:?}");
}

#[test]
fn ports_are_used_up_and_come_back_with_the_end_of_their_mappings() {
    let ports = [PortAllocation::Preserving, PortAllocation::Sequential, PortAllocation::Random];
    for ports in ports {
        let lifetime = Duration::from_secs(60);
        let mut nat = nat(config()
            .with_ports(ports, 5_000, 5_009)
            .with_lifetime(lifetime, Refresh::Outbound));
        let inside: Vec<String> = (0..11).map(|port| format!("192.168.1.2:{port}")).collect();
        let mut taken = BTreeSet::new();
        for inside in &inside[..10] {
            assert!(taken.insert(sends(&mut nat, at(0), inside, PEERS[0]).unwrap()));
        }
        assert_eq!(sends(&mut nat, at(1), &inside[10], PEERS[0]), Err(DropReason::NatNoPort));
        // The first of them is kept alive, the others end.
        let kept = sends(&mut nat, at(30), &inside[0], PEERS[0]).unwrap();
        let fresh = sends(&mut nat, at(60), &inside[10], PEERS[0]).unwrap();
        assert_ne!(fresh, kept);
        assert_eq!(nat.mappings(at(60)).count(), 2);
    }
}

/// RFC 4787 §4.1, REQ-2
#[test]
fn paired_pooling_keeps_a_host_at_one_address_and_arbitrary_pooling_does_not() {
    let run = |pooling| {
        let external = ["203.0.113.1", "203.0.113.2"].map(|addr| addr.parse().unwrap());
        let mut nat = nat(NatConfig::new(external).with_pooling(pooling));
        let inside = ["192.168.1.2:1", "192.168.1.2:2", "192.168.1.2:3", "192.168.1.3:1"];
        inside.map(|inside| sends(&mut nat, at(0), inside, PEERS[0]).unwrap().ip())
    };
    let [one, two, three, neighbour] = run(Pooling::Paired);
    assert!(one == two && two == three && one != neighbour);
    let [one, two, three, _] = run(Pooling::Arbitrary);
    assert!(one != two && two != three);
}

/// RFC 4787 §4.3
#[test]
fn a_mapping_ends_when_nothing_of_the_right_direction_has_refreshed_it() {
    let lifetime = Duration::from_secs(60);
    for refresh in [Refresh::Outbound, Refresh::Inbound, Refresh::Both] {
        for (outbound, lives) in
            [(true, refresh != Refresh::Inbound), (false, refresh != Refresh::Outbound)]
        {
            let mut nat = nat(config().with_lifetime(lifetime, refresh));
            let seen = sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap();
            if outbound {
                sends(&mut nat, at(59), ALICE, PEERS[0]).unwrap();
            } else {
                gets(&mut nat, at(59), PEERS[0], seen).unwrap();
            }
            let late = gets(&mut nat, at(118), PEERS[0], seen);
            assert_eq!(late.is_ok(), lives, "{refresh:?} {outbound}");
        }
    }
    let mut nat = nat(config().with_lifetime(lifetime, Refresh::Outbound));
    let seen = sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap();
    let last = Timestamp::from_nanos(at(60).as_nanos() - 1);
    assert_eq!(gets(&mut nat, last, PEERS[0], seen), Ok(addr(ALICE)));
    assert_eq!(gets(&mut nat, at(60), PEERS[0], seen), Err(DropReason::NatNoMapping));
}

#[test]
fn each_remote_endpoint_keeps_its_own_way_through_the_filter_open() {
    let mut nat = nat(config().with_lifetime(Duration::from_secs(60), Refresh::Outbound));
    let seen = sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap();
    assert_eq!(sends(&mut nat, at(50), ALICE, PEERS[1]), Ok(seen));
    assert_eq!(gets(&mut nat, at(70), PEERS[0], seen), Err(DropReason::NatFiltered));
    assert_eq!(gets(&mut nat, at(70), PEERS[1], seen), Ok(addr(ALICE)));
}

#[test]
fn a_full_table_refuses_what_is_new_and_keeps_what_there_is() {
    let mut nat = nat(config().with_max_mappings(2));
    let seen = sends(&mut nat, at(0), "192.168.1.2:1", PEERS[0]).unwrap();
    sends(&mut nat, at(0), "192.168.1.2:2", PEERS[0]).unwrap();
    let full = Err(DropReason::NatTableFull);
    assert_eq!(sends(&mut nat, at(0), "192.168.1.2:3", PEERS[0]), full);
    // The filters are as bounded as the mappings.
    assert_eq!(sends(&mut nat, at(0), "192.168.1.2:1", PEERS[1]), full);
    assert_eq!(sends(&mut nat, at(0), "192.168.1.2:1", PEERS[0]), Ok(seen));
}

#[test]
fn one_to_one_keeps_ports_and_filters_nothing() {
    let (inside, external) = ("192.168.1.9".parse().unwrap(), "203.0.113.9".parse().unwrap());
    let mut nat = nat(config().with_one_to_one(inside, external));
    let server = addr("203.0.113.9:80");
    assert_eq!(gets(&mut nat, at(0), PEERS[2], server), Ok(addr("192.168.1.9:80")));
    assert_eq!(sends(&mut nat, at(0), "192.168.1.9:80", PEERS[0]), Ok(server));
    assert_eq!(sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap().ip().to_string(), EXTERNAL);
    assert_eq!(nat.mappings(at(0)).count(), 1);
}

/// RFC 6146, RFC 6052
#[test]
fn nat64_translates_what_goes_to_its_prefix_and_nothing_else() {
    let mut nat = nat(config().with_nat64(Nat64Prefix::WELL_KNOWN));
    let (host, peer) = (addr("[2001:db8::2]:5000"), addr("[64:ff9b::c000:202]:1000"));
    let (seen, to) = nat.outbound(at(0), Transport::Udp, (host, peer)).unwrap();
    assert_eq!((seen, to), (addr("203.0.113.1:5000"), addr(PEERS[0])));
    let back = nat.inbound(at(0), Transport::Udp, (to, seen));
    assert_eq!(back, Ok((peer, host)));
    assert!(nat.translates(host, peer));
    assert!(!nat.translates(host, addr("[2001:db8:1::1]:1")));
    assert!(nat.turns_round(addr("[64:ff9b::cb00:7101]:1")));
}

#[test]
fn a_new_behaviour_leaves_mappings_alone_and_new_addresses_do_not() {
    let mut nat = nat(config());
    let seen = sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap();
    nat.reconfigure(config().with_mapping(Mapping::AddressAndPortDependent));
    assert_eq!(gets(&mut nat, at(1), PEERS[0], seen), Ok(addr(ALICE)));
    assert_ne!(sends(&mut nat, at(1), ALICE, PEERS[0]), Ok(seen));
    nat.reconfigure(NatConfig::new(["203.0.113.2".parse().unwrap()]));
    assert_eq!(gets(&mut nat, at(1), PEERS[0], seen), Err(DropReason::NatNoMapping));
}

#[test]
fn a_configuration_that_makes_no_sense_is_refused() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    for (config, error) in [
        (NatConfig::new([]), NatConfigError::External),
        (NatConfig::new([ip(EXTERNAL), ip(EXTERNAL)]), NatConfigError::External),
        (config().with_ports(PortAllocation::Random, 0, 9), NatConfigError::PortRange),
        (config().with_ports(PortAllocation::Random, 9, 8), NatConfigError::PortRange),
        (config().with_lifetime(Duration::ZERO, Refresh::Both), NatConfigError::Lifetime),
        (config().with_one_to_one(ip("10.0.0.1"), ip("2001:db8::1")), NatConfigError::OneToOne),
        (
            NatConfig::new([ip("2001:db8::1")]).with_nat64(Nat64Prefix::WELL_KNOWN),
            NatConfigError::Nat64,
        ),
    ] {
        assert_eq!(config.validate(), Err(error));
    }
}

#[test]
fn no_way_through_a_filter_outlives_its_mapping() {
    let lifetime = Duration::from_secs(60);
    let mut nat = nat(config().with_lifetime(lifetime, Refresh::Inbound));
    let seen = sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap();
    sends(&mut nat, at(50), ALICE, PEERS[1]).unwrap();
    // A neighbour gets the port, and not the acquaintances.
    assert_eq!(sends(&mut nat, at(60), "192.168.1.3:5000", PEERS[0]), Ok(seen));
    assert_eq!(gets(&mut nat, at(61), PEERS[1], seen), Err(DropReason::NatFiltered));
}

#[test]
fn a_shorter_lifetime_takes_nothing_away_that_was_given() {
    let with = |seconds| config().with_lifetime(Duration::from_secs(seconds), Refresh::Outbound);
    let mut nat = nat(with(60));
    let seen = sends(&mut nat, at(0), ALICE, PEERS[0]).unwrap();
    nat.reconfigure(with(10));
    sends(&mut nat, at(5), ALICE, PEERS[0]).unwrap();
    assert_eq!(nat.mappings(at(5)).next().unwrap().deadline, at(60));
    assert_eq!(gets(&mut nat, at(59), PEERS[0], seen), Ok(addr(ALICE)));
    assert_eq!(gets(&mut nat, at(60), PEERS[0], seen), Err(DropReason::NatNoMapping));
}

#[test]
fn ports_that_were_given_back_are_one_range_again() {
    let mut ports = Ports::new((10, 19));
    // Every third, so that each comes between taken and free ones.
    let order = || (0..10u16).map(|step| 10 + step * 3 % 10);
    assert!(order().all(|port| ports.take(port)));
    assert!(!ports.take(15));
    assert_eq!(ports.take_next(15), None);
    order().for_each(|port| ports.give_back(port));
    assert_eq!(ports.ranges().collect::<Vec<_>>(), [(10, 19)]);
    assert_eq!(ports.take_next(65_535), Some(10));
}

#[derive(Clone, Debug)]
enum Op {
    Out { host: u8, port: u16, peer: usize },
    In { peer: usize, port: u16 },
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..4u8, 0..6u16, 0..3usize).prop_map(|(host, port, peer)| Op::Out { host, port, peer }),
        (0..3usize, 5_000..5_012u16).prop_map(|(peer, port)| Op::In { peer, port }),
        (0..40u64).prop_map(Op::Wait),
    ]
}

proptest! {
    /// At any time, no two mappings share an external endpoint; what gets in has been asked for
    /// within the lifetime, as far as the filter's kind says; and no port is taken for ever.
    #[test]
    fn mappings_are_injective_and_filters_hold(
        mapping in prop::sample::select(&MAPPINGS[..]),
        filtering in prop::sample::select(&FILTERS[..]),
        ports in prop::sample::select(&[
            PortAllocation::Preserving,
            PortAllocation::Sequential,
            PortAllocation::Random,
        ][..]),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let lifetime = Duration::from_secs(30);
        let mut nat = nat(config()
            .with_mapping(mapping)
            .with_filtering(filtering)
            .with_ports(ports, 5_000, 5_011)
            .with_lifetime(lifetime, Refresh::Outbound));
        let mut now = 0;
        let mut sent: Vec<(u64, SocketAddr, SocketAddr)> = Vec::new();
        for op in ops {
            match op {
                Op::Out { host, port, peer } => {
                    let from = format!("192.168.1.{host}:{port}");
                    if let Ok(seen) = sends(&mut nat, at(now), &from, PEERS[peer]) {
                        sent.push((now, seen, addr(PEERS[peer])));
                    }
                }
                Op::In { peer, port } => {
                    let to = SocketAddr::new(EXTERNAL.parse().unwrap(), port);
                    let asked = sent.iter().any(|(when, seen, remote)| {
                        *seen == to
                            && now - when < 30
                            && filtering.scope(*remote).contains(addr(PEERS[peer]))
                    });
                    let got = gets(&mut nat, at(now), PEERS[peer], to);
                    prop_assert_eq!(got.is_ok(), asked);
                }
                Op::Wait(seconds) => now += seconds,
            }
            let all: Vec<NatMapping> = nat.mappings(at(now)).collect();
            let external: BTreeSet<_> = all.iter().map(|mapping| mapping.external).collect();
            prop_assert_eq!(external.len(), all.len());
        }
        for number in 0..12 {
            let from = format!("10.0.0.1:{number}");
            prop_assert!(sends(&mut nat, at(now + 30), &from, PEERS[0]).is_ok());
        }
    }
}
