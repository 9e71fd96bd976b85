//! The network by itself: time, chance, rules and counters.

mod behind_nat;
mod change;
mod links;
mod realm;
mod servers;
mod tcp;
mod world;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::*;
use crate::time::Timestamp;

const ALICE: &str = "192.0.2.1:5000";
const BOB: &str = "192.0.2.2:6000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    addr(text).ip()
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// Two hosts, one address each, the same link in both directions.
fn two_hosts(seed: u8, link: Link) -> Network {
    let mut network = Network::new([seed; 32]);
    for addr in [ALICE, BOB] {
        let host = network.add_host();
        network.add_address(host, ip(addr)).unwrap();
    }
    network.set_default_link(link);
    network
}

fn to_bob(payload: impl Into<Vec<u8>>) -> Datagram {
    Datagram::udp(addr(ALICE), addr(BOB), payload)
}

/// Sends `count` numbered datagrams to Bob, one every millisecond.
fn send_numbered(network: &mut Network, count: u16) {
    for number in 0..count {
        network.send(at(number.into()), to_bob(number.to_be_bytes()));
    }
}

/// Receives everything, each when it is due: the times and the numbers.
fn receive_all(network: &mut Network) -> Vec<(Timestamp, u16)> {
    let mut all = Vec::new();
    while let Some(due) = network.next_arrival() {
        while let Some(arrival) = network.receive(due) {
            let payload = arrival.datagram.payload.try_into().unwrap();
            all.push((arrival.at, u16::from_be_bytes(payload)));
        }
    }
    all
}

/// Nothing goes missing, as the documentation of `NetworkStats` says.
fn assert_accounted(network: &Network) {
    let stats = network.stats();
    let underway = network.underway().count() as u64;
    assert_eq!(
        stats.sent + stats.injected + stats.duplicated,
        stats.delivered
            + stats.lost
            + stats.blocked
            + stats.removed
            + stats.unreachable()
            + stats.dropped()
            + underway
    );
}

#[test]
fn a_datagram_arrives_after_the_delay_and_not_a_nanosecond_earlier() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    assert_eq!(network.send(at(5), to_bob(*b"hello")), Fate::Underway);

    assert_eq!(network.next_arrival(), Some(at(15)));
    assert_eq!(network.receive(Timestamp::from_nanos(14_999_999)), None);
    let arrival = network.receive(at(15)).unwrap();
    assert_eq!(arrival.at, at(15));
    assert_eq!(Some(arrival.host), network.host_of(ip(BOB)));
    assert_eq!(arrival.datagram, to_bob(*b"hello"));
    assert_eq!(network.receive(at(15)), None);
    assert_eq!(network.next_arrival(), None);
    assert_accounted(&network);
}

#[test]
fn each_direction_has_its_own_link_and_it_may_change_at_any_time() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    network.set_link(ip(BOB), ip(ALICE), Link::delayed(millis(30)));
    let to_alice = Datagram::udp(addr(BOB), addr(ALICE), *b"back");
    network.send(at(0), to_bob(*b"there"));
    network.send(at(0), to_alice.clone());
    // What is on its way keeps its time of arrival.
    network.set_link(ip(BOB), ip(ALICE), Link::delayed(millis(1)));
    network.send(at(0), to_alice);

    let arrivals: Vec<Timestamp> =
        core::iter::from_fn(|| network.receive(at(100))).map(|arrival| arrival.at).collect();
    assert_eq!(arrivals, [at(1), at(10), at(30)]);
    assert_eq!(network.link(ip(BOB), ip(ALICE)).delay, millis(1));
    assert_eq!(network.link(ip(ALICE), ip(BOB)).delay, millis(10));
}

#[test]
fn datagrams_of_one_instant_arrive_in_the_order_of_sending() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    for number in 0..100u16 {
        network.send(at(0), to_bob(number.to_be_bytes()));
    }
    let expected: Vec<_> = (0..100).map(|number| (at(10), number)).collect();
    assert_eq!(receive_all(&mut network), expected);
}

#[test]
fn an_older_now_counts_as_the_newest_seen() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    assert_eq!(network.receive(at(100)), None);
    network.send(at(0), to_bob(*b"late"));
    assert_eq!(network.next_arrival(), Some(at(110)));
    assert_eq!(network.inject(at(0), to_bob(*b"past")).arrival(), at(100));
}

#[test]
fn time_never_runs_over_its_end() {
    let mut network = two_hosts(0, Link::delayed(Duration::MAX).with_jitter(Duration::MAX));
    network.send(Timestamp::MAX, to_bob(*b"never"));
    assert_eq!(network.next_arrival(), Some(Timestamp::MAX));
}

#[test]
fn loss_is_close_to_what_was_asked_for() {
    for (percent, most) in [(0, 0), (1, 50), (20, 120), (50, 150), (100, 0)] {
        let mut network = two_hosts(1, Link::default().with_loss(Probability::percent(percent)));
        send_numbered(&mut network, 10_000);
        let expected = u64::from(percent) * 100;
        let lost = network.stats().lost;
        assert!(lost.abs_diff(expected) <= most, "{lost} lost, {expected} expected");
        assert_eq!(receive_all(&mut network).len() as u64, 10_000 - lost);
        assert_accounted(&network);
    }
}

#[test]
fn duplicates_arrive_each_with_its_own_jitter() {
    let link =
        Link::delayed(millis(10)).with_jitter(millis(5)).with_duplication(Probability::percent(10));
    let mut network = two_hosts(2, link);
    send_numbered(&mut network, 10_000);

    let duplicated = network.stats().duplicated;
    assert!(duplicated.abs_diff(1_000) <= 90, "{duplicated}");
    let mut arrivals = receive_all(&mut network);
    assert_eq!(arrivals.len() as u64, 10_000 + duplicated);
    assert_accounted(&network);
    arrivals.sort_by_key(|(at, number)| (*number, *at));
    let apart = arrivals.windows(2).filter(|two| two[0].1 == two[1].1 && two[0].0 != two[1].0);
    assert!(apart.count() > 900);
}

#[test]
fn jitter_is_uniform_within_its_bounds() {
    let mut network = two_hosts(3, Link::delayed(millis(10)).with_jitter(millis(4)));
    send_numbered(&mut network, 10_000);
    let mut quarters = [0u32; 4];
    for (arrived, number) in receive_all(&mut network) {
        let extra = (arrived - (at(number.into()) + millis(10))).as_nanos();
        assert!(extra <= 4_000_000);
        quarters[(extra / 1_000_000).min(3) as usize] += 1;
    }
    assert!(quarters.iter().all(|count| count.abs_diff(2_500) < 150), "{quarters:?}");
}

#[test]
fn reordering_holds_back_some_datagrams_by_the_given_time_and_leaves_the_others_in_order() {
    let link = Link::delayed(millis(10)).with_reordering(Probability::percent(10), millis(50));
    let mut network = two_hosts(4, link);
    send_numbered(&mut network, 10_000);

    let arrivals = receive_all(&mut network);
    assert_eq!(arrivals.len(), 10_000);
    let delay = |&(arrived, number): &(Timestamp, u16)| arrived - at(number.into());
    let (held, prompt): (Vec<_>, Vec<_>) =
        arrivals.iter().partition(|arrival| delay(arrival) == millis(60));
    assert!(held.len().abs_diff(1_000) <= 90, "{}", held.len());
    assert!(prompt.iter().all(|arrival| delay(arrival) == millis(10)));
    assert!(prompt.is_sorted_by_key(|(_, number)| *number));
    assert!(!arrivals.is_sorted_by_key(|(_, number)| *number));
}

#[test]
fn next_arrival_never_goes_back() {
    let link = Link::delayed(millis(3))
        .with_jitter(millis(40))
        .with_duplication(Probability::percent(20))
        .with_reordering(Probability::percent(20), millis(30));
    let mut network = two_hosts(5, link);
    let (mut last, mut sent) = (Timestamp::ZERO, 0u16);
    send_numbered(&mut network, 100);
    while let Some(due) = network.next_arrival() {
        assert!(due >= last);
        last = due;
        let arrival = network.receive(due).unwrap();
        assert_eq!(arrival.at, due);
        if sent < 1_000 {
            sent += 1;
            network.send(due, to_bob(sent.to_be_bytes()));
        }
    }
    assert_accounted(&network);
}

#[test]
fn the_seed_decides() {
    let run = |seed| {
        let link = Link::delayed(millis(10))
            .with_jitter(millis(20))
            .with_loss(Probability::percent(10))
            .with_duplication(Probability::percent(10));
        let mut network = two_hosts(seed, link);
        send_numbered(&mut network, 200);
        receive_all(&mut network)
    };
    assert_eq!(run(6), run(6));
    let order = |seed| run(seed).into_iter().map(|(_, number)| number).collect::<Vec<_>>();
    assert_ne!(order(6), order(7));
}

#[test]
fn a_change_of_one_link_does_not_change_the_luck_on_another() {
    let run = |loss| {
        let mut network = two_hosts(8, Link::delayed(millis(10)).with_jitter(millis(20)));
        let back = Link::default().with_loss(Probability::percent(loss));
        network.set_link(ip(BOB), ip(ALICE), back);
        for number in 0..200u16 {
            network.send(at(number.into()), to_bob(number.to_be_bytes()));
            let back = Datagram::udp(addr(BOB), addr(ALICE), *b"b");
            network.send(at(number.into()), back);
        }
        core::iter::from_fn(|| network.receive(at(10_000)))
            .filter(|arrival| arrival.datagram.to == addr(BOB))
            .map(|arrival| (arrival.at, arrival.datagram.payload))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(0), run(60));
}

#[test]
fn a_blocked_direction_lets_nothing_pass_until_it_is_unblocked() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    network.block(ip(ALICE), ip(BOB));
    assert_eq!(network.send(at(0), to_bob(*b"no")), Fate::Blocked);
    let back = Datagram::udp(addr(BOB), addr(ALICE), *b"yes");
    assert_eq!(network.send(at(0), back), Fate::Underway);
    network.unblock(ip(ALICE), ip(BOB));
    assert_eq!(network.send(at(0), to_bob(*b"yes")), Fate::Underway);

    assert_eq!(core::iter::from_fn(|| network.receive(at(20))).count(), 2);
    assert_eq!(network.stats().blocked, 1);
    assert_accounted(&network);
}

#[test]
fn a_partition_also_stops_what_is_on_its_way() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    network.send(at(0), to_bob(*b"too slow"));
    network.block_between(ip(BOB), ip(ALICE));
    assert_eq!(network.receive(at(10)), None);
    assert_eq!(network.stats().blocked, 1);

    network.unblock_between(ip(BOB), ip(ALICE));
    network.send(at(10), to_bob(*b"healed"));
    assert!(network.receive(at(20)).is_some());
    assert_accounted(&network);
}

#[test]
fn only_the_listed_directions_are_allowed() {
    let mut network = two_hosts(0, Link::default());
    let second = "192.0.2.3:6000";
    let bob = network.host_of(ip(BOB)).unwrap();
    network.add_address(bob, ip(second)).unwrap();
    network.allow_only([(ip(ALICE), ip(second)), (ip(second), ip(ALICE))]);

    assert_eq!(network.send(at(0), to_bob(*b"no")), Fate::Blocked);
    let datagram = Datagram::udp(addr(ALICE), addr(second), *b"yes");
    assert_eq!(network.send(at(0), datagram.clone()), Fate::Underway);
    network.block(ip(ALICE), ip(second));
    assert_eq!(network.send(at(0), datagram), Fate::Blocked);
    network.clear_rules();
    assert_eq!(network.send(at(0), to_bob(*b"yes")), Fate::Underway);
}

#[test]
fn the_unreachable_is_counted_by_reason() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    let nobody = addr("198.51.100.1:1");
    let from_nobody = Datagram::udp(nobody, addr(BOB), *b"?");
    assert_eq!(network.send(at(0), from_nobody), Fate::Unreachable(Unreachable::Source));
    let other_family = Datagram::udp(addr(ALICE), addr("[2001:db8::1]:1"), *b"?");
    assert_eq!(network.send(at(0), other_family), Fate::Unreachable(Unreachable::Family));
    // Whether anyone is there shows at arrival only.
    let to_nobody = Datagram::udp(addr(ALICE), nobody, *b"?");
    assert_eq!(network.send(at(0), to_nobody), Fate::Underway);
    assert_eq!(network.receive(at(10)), None);

    let stats = network.stats();
    assert_eq!(stats.unreachable_source, 1);
    assert_eq!(stats.unreachable_family, 1);
    assert_eq!(stats.unreachable_destination, 1);
    assert_eq!(stats.unreachable(), 3);
    assert_accounted(&network);
}

#[test]
fn every_reason_to_drop_is_counted_by_itself() {
    let mut stats = NetworkStats::default();
    for (number, reason) in DropReason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, number);
        stats.count_drop(*reason);
        assert_eq!(stats.dropped_for(*reason), 1);
        assert_eq!(stats.dropped(), number as u64 + 1);
    }
    assert_eq!(DropReason::ALL.last(), Some(&DropReason::TooLarge), "the last of the enum");
}

#[test]
fn an_address_comes_and_goes_while_datagrams_are_on_their_way() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    network.send(at(0), to_bob(*b"lost"));
    network.send(at(5), to_bob(*b"in time"));
    let bob = network.remove_address(ip(BOB)).unwrap();
    assert_eq!(network.receive(at(10)), None);
    network.add_address(bob, ip(BOB)).unwrap();
    assert_eq!(network.receive(at(15)).unwrap().datagram.payload, b"in time");
}

#[test]
fn an_address_belongs_to_one_host() {
    let mut network = two_hosts(0, Link::default());
    let alice = network.host_of(ip(ALICE)).unwrap();
    assert_eq!(network.add_address(alice, ip(ALICE)), Ok(()));
    assert_eq!(network.add_address(alice, ip(BOB)), Err(AddAddressError::Taken));
    let mapped = "::ffff:192.0.2.2".parse().unwrap();
    assert_eq!(network.add_address(alice, mapped), Err(AddAddressError::Taken));
    let mut larger = two_hosts(0, Link::default());
    let foreign = larger.add_host();
    let free = "192.0.2.9".parse().unwrap();
    assert_eq!(network.add_address(foreign, free), Err(AddAddressError::UnknownHost));
}

#[test]
fn ipv4_in_its_ipv6_form_is_ipv4_on_the_wire() {
    let mut network = two_hosts(0, Link::default());
    let mapped = Datagram::udp(addr("[::ffff:192.0.2.1]:5000"), addr(BOB), *b"dual stack");
    assert_eq!(network.send(at(0), mapped), Fate::Underway);
    assert_eq!(network.receive(at(0)).unwrap().datagram, to_bob(*b"dual stack"));
}

#[test]
fn what_is_on_its_way_can_be_altered_removed_and_added_to() {
    let mut network = two_hosts(0, Link::delayed(millis(10)));
    for payload in [b"one", b"two"] {
        network.send(at(0), to_bob(*payload));
    }
    let ids: Vec<DatagramId> = network.underway().map(|(id, _)| id).collect();
    network.underway_mut(ids[0]).unwrap().payload = b"ONE".to_vec();
    assert_eq!(network.remove(ids[1]), Some(to_bob(*b"two")));
    assert_eq!(network.remove(ids[1]), None);
    // From an address that no host has, and past a rule.
    network.block(ip("198.51.100.1:1"), ip(BOB));
    let forged = Datagram::udp(addr("198.51.100.1:1"), addr(BOB), *b"forged");
    assert_eq!(network.inject(at(20), forged).arrival(), at(20));

    let payloads: Vec<Vec<u8>> = core::iter::from_fn(|| network.receive(at(20)))
        .map(|arrival| arrival.datagram.payload)
        .collect();
    assert_eq!(payloads, [b"ONE".to_vec(), b"forged".to_vec()]);
    assert_eq!((network.stats().removed, network.stats().injected), (1, 1));
    assert_accounted(&network);
}
