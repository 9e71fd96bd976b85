//! Bursts, bandwidth, MTU, and what is reported to senders.

use core::net::IpAddr;

use super::*;

/// Sends numbered datagrams of so many bytes in IP at time zero; which arrive, and when.
fn flood(link: Link, count: u16, len: usize) -> (Network, Vec<(u64, u16)>) {
    let mut network = two_hosts(3, link);
    for number in 0..count {
        let mut payload = vec![0; len - 28];
        payload[..2].copy_from_slice(&number.to_be_bytes());
        network.send(at(0), to_bob(payload));
    }
    let mut all = Vec::new();
    while let Some(arrival) = network.receive(at(100_000)) {
        let number = u16::from_be_bytes(arrival.datagram.payload[..2].try_into().unwrap());
        all.push((arrival.at.as_nanos() / 1_000_000, number));
    }
    assert_accounted(&network);
    (network, all)
}

#[test]
fn a_bandwidth_sends_one_after_the_other_and_drops_the_tail() {
    // 1,000 bytes take 10 ms; the first is on the wire, three wait.
    let link = Link::delayed(millis(5)).with_bandwidth(800_000, 3_000);
    let (network, all) = flood(link, 6, 1_000);
    assert_eq!(all, [(15, 0), (25, 1), (35, 2)]);
    assert_eq!(network.stats().dropped_for(DropReason::QueueFull), 3);
}

#[test]
fn the_queue_empties_at_the_pace_of_the_link() {
    let mut network = two_hosts(0, Link::default().with_bandwidth(800_000, 2_000));
    let thousand = || to_bob(vec![0; 972]);
    assert_eq!(network.send(at(0), thousand()), Fate::Underway);
    assert_eq!(network.send(at(0), thousand()), Fate::Underway);
    assert_eq!(network.send(at(0), thousand()), Fate::Dropped(DropReason::QueueFull));
    assert_eq!(network.send(at(10), thousand()), Fate::Underway);
    let times: Vec<_> =
        core::iter::from_fn(|| network.receive(at(100))).map(|arrival| arrival.at).collect();
    assert_eq!(times, [at(10), at(20), at(30)]);
    // An idle link takes even what is larger than its queue.
    assert_eq!(network.send(at(100), to_bob(vec![0; 5_000])), Fate::Underway);
}

#[test]
fn the_pairs_of_a_default_link_do_not_share_its_bandwidth_and_the_line_of_a_gateway_is_shared() {
    let slow = Link::default().with_bandwidth(800_000, 10_000);
    let mut network = two_hosts(0, slow);
    let router = GatewayConfig::nat(NatConfig::new([ip("203.0.113.1:0")]));
    let home = network.add_realm(RealmId::INTERNET, router.with_lines(slow, Link::default()));
    let alice = network.add_host_in(home.unwrap()).unwrap();
    network.add_address(alice, ip("192.168.1.2:0")).unwrap();
    let carol = "192.0.2.3:1";
    let host = network.add_host();
    network.add_address(host, ip(carol)).unwrap();

    let thousand = |from, to| Datagram::udp(addr(from), addr(to), vec![0; 972]);
    network.send(at(0), thousand(ALICE, BOB));
    network.send(at(0), thousand(ALICE, carol));
    let times = |network: &mut Network| {
        core::iter::from_fn(|| network.receive(at(999))).map(|arrival| arrival.at).collect()
    };
    let flat: Vec<_> = times(&mut network);
    assert_eq!(flat, [at(10), at(10)]);
    network.set_default_link(Link::default());
    network.send_from(at(1_000), alice, thousand("192.168.1.2:1", BOB));
    network.send_from(at(1_000), alice, thousand("192.168.1.2:1", carol));
    let times: Vec<_> =
        core::iter::from_fn(|| network.receive(at(1_999))).map(|arrival| arrival.at).collect();
    assert_eq!(times, [at(1_010), at(1_020)]);
}

#[test]
fn losses_come_in_bursts_of_the_expected_length() {
    let bursts = Bursts {
        begin: Probability::percent(1),
        end: Probability::percent(10),
        loss: Probability::ALWAYS,
    };
    let (network, all) = flood(Link::default().with_bursts(bursts), 50_000, 100);
    // Bad for one datagram in eleven, ten at a time.
    let lost = network.stats().lost;
    assert!(lost.abs_diff(4_545) < 700, "{lost}");
    let gaps = all.windows(2).filter(|two| two[1].1 != two[0].1 + 1).count() as u64;
    assert!((8..=12).contains(&(lost / gaps)), "{lost} in {gaps}");
}

#[test]
fn bursts_do_not_change_the_luck_of_others() {
    let run = |bursts: Option<Bursts>| {
        let mut network = two_hosts(8, Link::delayed(millis(10)).with_jitter(millis(20)));
        let back = Link { bursts, ..Link::default() };
        network.set_link(ip(BOB), ip(ALICE), back);
        for number in 0..100u16 {
            network.send(at(number.into()), to_bob(number.to_be_bytes()));
            network.send(at(number.into()), Datagram::udp(addr(BOB), addr(ALICE), *b"b"));
        }
        core::iter::from_fn(|| network.receive(at(10_000)))
            .filter(|arrival| arrival.datagram.to == addr(BOB))
            .map(|arrival| arrival.at)
            .collect::<Vec<_>>()
    };
    let always =
        Bursts { begin: Probability::ALWAYS, loss: Probability::ALWAYS, ..Bursts::default() };
    assert_eq!(run(None), run(Some(always)));
}

#[test]
fn what_is_too_large_is_dropped_and_reported_after_the_way_back() {
    let mut network = two_hosts(0, Link::default());
    let router = GatewayConfig::nat(NatConfig::new([ip("203.0.113.1:0")]));
    let narrow = Link::default().with_mtu(1_280);
    let home =
        network.add_realm(RealmId::INTERNET, router.with_lines(Link::delayed(millis(7)), narrow));
    let carol = network.add_host_in(home.unwrap()).unwrap();
    network.add_address(carol, ip("192.168.1.2:0")).unwrap();
    network.set_default_link(Link::delayed(millis(10)));
    network.set_reporting(Reporting::ALL);
    let knock = Datagram::udp(addr("192.168.1.2:1"), addr(BOB), *b"x");
    network.send_from(at(0), carol, knock);
    assert_eq!(network.receive(at(17)).unwrap().datagram.from, addr("203.0.113.1:1024"));

    let large = |len| Datagram::udp(addr(BOB), addr("203.0.113.1:1024"), vec![7; len]);
    assert_eq!(network.send(at(20), large(1_252)), Fate::Underway);
    assert_eq!(network.send(at(20), large(1_253)), Fate::Underway);
    assert!(network.receive(at(30)).is_some());
    assert_eq!(network.receive(at(30)), None);
    assert_eq!(network.stats().dropped_for(DropReason::TooLarge), 1);
    assert_eq!(network.next_report(), Some(at(40)));
    assert_eq!(network.receive_report(at(39)), None);
    let report = network.receive_report(at(40)).unwrap();
    assert_eq!(Some(report.host), network.host_of(ip(BOB)));
    assert_eq!((report.from, report.to), (addr(BOB), addr("203.0.113.1:1024")));
    assert_eq!(report.problem, Problem::TooLarge { mtu: 1_280 });
    assert_eq!(report.quoted, vec![7; 548]);
    assert_accounted(&network);
}

#[test]
fn the_unreachable_is_reported_to_the_address_inside_and_only_if_wanted() {
    for reporting in [Reporting::default(), Reporting::ALL] {
        let mut network = two_hosts(0, Link::delayed(millis(10)));
        network.set_reporting(reporting);
        let router = GatewayConfig::nat(NatConfig::new(["203.0.113.1".parse::<IpAddr>().unwrap()]));
        let home = network.add_realm(RealmId::INTERNET, router).unwrap();
        let alice = network.add_host_in(home).unwrap();
        network.add_address(alice, ip("192.168.1.2:0")).unwrap();
        let nobody = Datagram::udp(addr("192.168.1.2:80"), addr("198.51.100.1:1"), *b"anyone");
        network.send_from(at(0), alice, nobody);
        assert_eq!(network.receive(at(10)), None);
        // Bob has no socket at the port.
        network.send_from(at(10), alice, Datagram::udp(addr("192.168.1.2:80"), addr(BOB), *b"x"));
        let arrival = network.receive(at(20)).unwrap();
        network.refuse(&arrival);

        let reports: Vec<_> = core::iter::from_fn(|| network.receive_report(at(100))).collect();
        let problems: Vec<_> = reports.iter().map(|report| (report.at, report.problem)).collect();
        if reporting == Reporting::ALL {
            let expected = [(at(20), Problem::HostUnreachable), (at(30), Problem::PortUnreachable)];
            assert_eq!(problems, expected);
            assert!(reports.iter().all(|report| report.host == alice));
            assert!(reports.iter().all(|report| report.from == addr("192.168.1.2:80")));
            assert_eq!(reports[0].quoted, b"anyone");
        } else {
            assert!(problems.is_empty());
        }
    }
}
