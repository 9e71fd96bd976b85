use proptest::prelude::*;

use crate::candidate::CandidateKind::{Host, PeerReflexive, Relayed, ServerReflexive};
use crate::candidate::CandidateTransport::{self, Tcp, Udp};
use crate::candidate::TcpType::{Active, Passive, SimultaneousOpen};
use crate::candidate::priority::*;
use crate::candidate::{CandidateKind, TcpType};

/// The largest priority, 2^31 - 1.
const MAX: u32 = 0x7fff_ffff;

const KINDS: [CandidateKind; 4] = [Host, PeerReflexive, ServerReflexive, Relayed];

fn single(kind: CandidateKind, component: u16) -> u32 {
    candidate_priority(type_preference(kind, Udp), 65535, component)
}

#[test]
fn single_addresses_have_the_priorities_that_every_implementation_gives_them() {
    assert_eq!(single(Host, 1), 2_130_706_431);
    assert_eq!(single(Host, 2), 2_130_706_430);
    assert_eq!(single(PeerReflexive, 1), 1_862_270_975);
    assert_eq!(single(ServerReflexive, 1), 1_694_498_815);
    assert_eq!(single(Relayed, 1), 16_777_215);
}

#[test]
fn the_example_list_of_rfc_8421_follows_from_its_local_preferences() {
    let rows = [
        (Host, 60_000, 1, 2_129_289_471),
        (Host, 60_000, 2, 2_129_289_470),
        (Host, 59_000, 1, 2_129_033_471),
        (Host, 58_000, 2, 2_128_777_470),
        (Host, 57_000, 1, 2_128_521_471),
        (Host, 54_000, 1, 2_127_753_471),
        (ServerReflexive, 60_000, 1, 1_693_081_855),
        (ServerReflexive, 59_000, 2, 1_692_825_854),
        (ServerReflexive, 56_000, 1, 1_692_057_855),
        (Relayed, 60_000, 1, 15_360_255),
        (Relayed, 59_000, 2, 15_104_254),
    ];
    for (kind, local_preference, component, priority) in rows {
        let computed = candidate_priority(type_preference(kind, Udp), local_preference, component);
        assert_eq!(computed, priority, "{kind} {local_preference} {component}");
        assert_eq!(local_preference_of(priority), local_preference);
    }
}

#[test]
fn udp_comes_before_tcp_and_peer_reflexive_before_server_reflexive() {
    for tcp_type in [Active, Passive, SimultaneousOpen] {
        for kind in [Host, PeerReflexive, ServerReflexive] {
            assert!(type_preference(kind, Udp) > type_preference(kind, Tcp(tcp_type)));
            assert!(type_preference(kind, Tcp(tcp_type)) > type_preference(Relayed, Udp));
        }
        assert_eq!(type_preference(Host, Tcp(tcp_type)), 90);
    }
    for transport in [Udp, Tcp(Active)] {
        let preferences = KINDS.map(|kind| type_preference(kind, transport));
        assert!(preferences.windows(2).all(|two| two[0] > two[1]), "{preferences:?}");
        assert!(preferences[0] <= 126);
    }
}

#[test]
fn a_check_carries_the_priority_of_a_peer_reflexive_candidate() {
    assert_eq!(peer_reflexive_priority(65535, 1, Udp), (110 << 24) | (65535 << 8) | 255);
    assert_eq!(peer_reflexive_priority(1, 256, Udp), (110 << 24) | (1 << 8));
    // RFC 6544 §4.2: of a direction only the rank among its like is kept, since behind a NAT the
    // directions rank otherwise.
    let host = tcp_local_preference(Host, Active, 9);
    let reflexive = tcp_local_preference(PeerReflexive, Active, 9);
    assert_ne!(host, reflexive);
    let priority = peer_reflexive_priority(host, 1, Tcp(Active));
    assert_eq!(priority, (80 << 24) | (u32::from(reflexive) << 8) | 255);
}

#[test]
fn every_priority_is_from_1_to_2_to_the_31_less_1() {
    assert_eq!(candidate_priority(0, 0, 256), 1);
    assert_eq!(candidate_priority(126, 65535, 1), 0x7eff_ffff);
    // What is out of range changes no other field.
    assert_eq!(candidate_priority(255, 65535, 0), 0x7eff_ffff);
    assert_eq!(candidate_priority(126, 0, 300), 126 << 24);
}

#[test]
fn pair_priorities_are_those_of_the_formula() {
    assert_eq!(pair_priority(single(Host, 1), single(Host, 1)), 9_151_314_442_783_293_438);
    assert_eq!(pair_priority(single(Host, 1), single(PeerReflexive, 1)), 7_998_392_938_176_446_463);
    assert_eq!(pair_priority(single(PeerReflexive, 1), single(Host, 1)), 7_998_392_938_176_446_462);
    assert_eq!(pair_priority(1, 1), (1 << 32) + 2);
    assert_eq!(pair_priority(2, 1), (1 << 32) + 5);
    assert_eq!(pair_priority(MAX, MAX), (u64::from(MAX) << 32) + 2 * u64::from(MAX));
    // Beyond what a priority may be, nothing wraps around.
    assert_eq!(pair_priority(u32::MAX, u32::MAX), u64::MAX);
}

#[test]
fn tcp_directions_rank_by_whether_there_is_a_nat() {
    let preference = |kind, direction| tcp_local_preference(kind, direction, TCP_SINGLE_PREFERENCE);
    for kind in [Host, Relayed] {
        assert_eq!(preference(kind, Active), 6 * 8192 + 8191);
        assert_eq!(preference(kind, Passive), 4 * 8192 + 8191);
        assert_eq!(preference(kind, SimultaneousOpen), 2 * 8192 + 8191);
    }
    for kind in [ServerReflexive, PeerReflexive] {
        assert_eq!(preference(kind, SimultaneousOpen), 6 * 8192 + 8191);
        assert_eq!(preference(kind, Active), 4 * 8192 + 8191);
        assert_eq!(preference(kind, Passive), 2 * 8192 + 8191);
    }
    assert_eq!(tcp_local_preference(Host, Active, 0), 6 * 8192);
    assert_eq!(tcp_local_preference(Host, Active, u16::MAX), 6 * 8192 + 8191);
}

/// Addresses from a text: `6` and `4` for the family, each with its cost.
fn hosts(families: &str, costs: &[u16]) -> Vec<HostAddress> {
    let costs = costs.iter().copied().chain(core::iter::repeat(0));
    families.chars().zip(costs).map(|(c, cost)| HostAddress { ipv6: c == '6', cost }).collect()
}

/// The indices of the addresses, best first.
fn order(addresses: &[HostAddress]) -> Vec<usize> {
    let preferences = local_preferences(addresses, u16::MAX);
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_by_key(|&index| core::cmp::Reverse(preferences[index]));
    order
}

/// The families in order of preference.
fn ranked(families: &str) -> String {
    let addresses = hosts(families, &[]);
    order(&addresses).iter().map(|&index| families.as_bytes()[index] as char).collect()
}

#[test]
fn a_single_address_has_the_highest_local_preference() {
    assert_eq!(local_preferences(&hosts("4", &[]), u16::MAX), [65535]);
    assert_eq!(local_preferences(&hosts("6", &[900]), u16::MAX), [65535]);
    assert!(local_preferences(&[], u16::MAX).is_empty());
}

#[test]
fn ipv4_follows_after_the_head_start_of_rfc_8421() {
    assert_eq!(ranked("44666666"), "66664664");
    assert_eq!(ranked("66666644"), "66664664");
    assert_eq!(ranked("46"), "64");
    assert_eq!(ranked("46464"), "64644");
    assert_eq!(ranked("4446"), "6444");
    assert_eq!(ranked("666"), "666");
    assert_eq!(ranked("444"), "444");
    assert_eq!(ranked("4666"), "6664");
    // Hi = 10 / 4 = 2.
    assert_eq!(ranked("4444666666"), "6646646644");
}

#[test]
fn costly_interfaces_come_last_and_are_not_intermingled() {
    let addresses = hosts("664646", &[999, 0, 10, 10, 0, 999]);
    assert_eq!(order(&addresses), [1, 4, 3, 2, 0, 5]);
}

#[test]
fn equal_addresses_rank_as_they_were_added() {
    assert_eq!(order(&hosts("4444", &[])), [0, 1, 2, 3]);
    assert_eq!(order(&hosts("446644", &[])), [2, 0, 3, 1, 4, 5]);
}

#[test]
fn later_addresses_rank_below_those_that_were_conveyed() {
    assert_eq!(local_preferences(&hosts("46", &[]), 65530), [65529, 65530]);
    // With nothing left below, an address still gets a preference.
    assert_eq!(local_preferences(&hosts("444", &[]), 1), [1, 0, 0]);
}

/// RFC 8445 §6.1.2.3 as it is printed, with room to spare.
#[expect(clippy::arithmetic_side_effects, reason = "128 bits hold any of it")]
fn exact_pair_priority(g: u128, d: u128) -> u128 {
    2u128.pow(32) * g.min(d) + 2 * g.max(d) + u128::from(g > d)
}

fn any_transport() -> impl Strategy<Value = CandidateTransport> {
    let tcp_type: [TcpType; 3] = [Active, Passive, SimultaneousOpen];
    prop_oneof![Just(Udp), prop::sample::select(tcp_type.to_vec()).prop_map(Tcp)]
}

proptest! {
    #[test]
    fn both_agents_rank_pairs_by_the_exact_formula(g in 1..=MAX, d in 1..=MAX) {
        let exact = exact_pair_priority(u128::from(g), u128::from(d));
        prop_assert_eq!(u128::from(pair_priority(g, d)), exact);
    }

    #[test]
    fn priorities_keep_what_they_were_made_of(
        kind in prop::sample::select(KINDS.to_vec()),
        transport in any_transport(),
        local_preference: u16,
        component in 1..=256u16,
    ) {
        let type_preference = type_preference(kind, transport);
        let priority = candidate_priority(type_preference, local_preference, component);
        prop_assert!((1..=MAX).contains(&priority));
        prop_assert_eq!(local_preference_of(priority), local_preference);
        prop_assert_eq!(priority >> 24, u32::from(type_preference));
        if priority != 1 {
            prop_assert_eq!((priority & 0xff).checked_add(component.into()), Some(256));
        }
    }

    #[test]
    fn local_preferences_are_distinct_and_fair(
        kinds in prop::collection::vec((any::<bool>(), 0..3u16), 1..60),
        next in 60..=u16::MAX,
    ) {
        let addresses: Vec<HostAddress> =
            kinds.iter().map(|&(ipv6, cost)| HostAddress { ipv6, cost }).collect();
        let mut preferences = local_preferences(&addresses, next);
        let order = order(&addresses);
        for two in order.windows(2) {
            prop_assert!(addresses[two[0]].cost <= addresses[two[1]].cost);
            if addresses[two[0]] == addresses[two[1]] {
                prop_assert!(two[0] < two[1], "the order of adding was lost");
            }
        }
        for group in order.chunk_by(|&a, &b| addresses[a].cost == addresses[b].cost) {
            let ipv4 = group.iter().filter(|&&index| !addresses[index].ipv6).count();
            if ipv4 < group.len() {
                prop_assert!(addresses[group[0]].ipv6, "no IPv6 first");
            }
            if let Some(head_start) = group.len().checked_div(ipv4) {
                let longest = group
                    .chunk_by(|&a, &b| addresses[a].ipv6 && addresses[b].ipv6)
                    .map(<[usize]>::len)
                    .max();
                prop_assert!(longest <= Some(head_start), "IPv4 waits too long");
            }
        }
        preferences.sort_unstable();
        let best_first: Vec<u16> = preferences.into_iter().rev().collect();
        let expected: Vec<u16> = (0..=next).rev().take(addresses.len()).collect();
        prop_assert_eq!(best_first, expected);
    }
}
