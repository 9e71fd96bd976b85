//! Asking for names.

use std::net::IpAddr;
use std::time::Duration;

use frazil::{
    Mdns, MdnsArrival, MdnsConfig, MdnsEvent, MdnsIgnored, MdnsLink, MdnsMessage, MdnsNameError,
    MdnsQueryError, MdnsQueryFailure, MdnsReceived, Timestamp,
};

use crate::link::{LINK, Stage, groups, ms};

const NAME: &str = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local";
const WIRE: &[u8] = b"\x241f4712db-ea17-4bcf-a596-105139dfd8bf\x05local\x00";

fn mdns() -> Mdns {
    Mdns::new(MdnsConfig::default(), [1; 32]).unwrap()
}

/// A response with these addresses for `WIRE`.
fn response(addrs: &[&str], ttl: u8) -> Vec<u8> {
    let count = u8::try_from(addrs.len()).unwrap();
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, count, 0, 0, 0, 0];
    for addr in addrs {
        bytes.extend(WIRE);
        match addr.parse().unwrap() {
            IpAddr::V4(ip) => {
                bytes.extend([0, 1, 0x80, 1, 0, 0, 0, ttl, 0, 4]);
                bytes.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                bytes.extend([0, 28, 0x80, 1, 0, 0, 0, ttl, 0, 16]);
                bytes.extend(ip.octets());
            }
        }
    }
    bytes
}

fn multicast() -> MdnsArrival {
    MdnsArrival::new(LINK, groups()[0], "192.0.2.9:5353".parse().unwrap())
}

fn resolved(mdns: &mut Mdns) -> Option<(u32, IpAddr, MdnsLink)> {
    match mdns.poll_event()? {
        MdnsEvent::Resolved { query, addr, link } => Some((query.get(), addr, link)),
        event => panic!("{event:?}"),
    }
}

fn drain(mdns: &mut Mdns, now: Timestamp) -> usize {
    let mut buf = Vec::new();
    std::iter::from_fn(|| mdns.poll_transmit(now, &mut buf)).count()
}

#[test]
fn a_name_resolves_in_one_round_trip_in_either_family() {
    for family in [0, 1] {
        let mut stage = Stage::new(2, &MdnsConfig::default());
        let name = stage.publish(0, family);
        let query = stage.at(1).query(ms(0), name.as_str()).unwrap();
        stage.run_until(ms(20_000));
        let addr = stage.hosts[0].addrs[family];
        let event = MdnsEvent::Resolved { query, addr, link: LINK };
        assert_eq!(stage.hosts[1].events, [(ms(2), event)]);
        // Two questions, one for each type in its family, each answered to the one who asks.
        let answers: Vec<_> =
            stage.sent.iter().filter(|sent| sent.message == MdnsMessage::Response).collect();
        assert_eq!((stage.sent.len(), answers.len()), (4, 2));
        let to: Vec<_> = answers.iter().map(|sent| sent.to.ip()).collect();
        assert_eq!(to, stage.hosts[1].addrs);
    }
}

#[test]
fn the_case_of_a_name_does_not_matter() {
    let mut stage = Stage::new(2, &MdnsConfig::default());
    let name = stage.publish(0, 0);
    stage.at(1).query(ms(0), &name.as_str().to_ascii_uppercase()).unwrap();
    stage.run_until(ms(100));
    assert_eq!(stage.hosts[1].events.len(), 1);
}

/// RFC 6762 §5.2 and §5.4; the draft (§3.2.1) asks for the unicast bit.
#[test]
fn a_question_is_repeated_ever_more_rarely_until_it_times_out() {
    let mut stage = Stage::new(2, &MdnsConfig::default());
    let query = stage.at(1).query(ms(0), NAME).unwrap();
    stage.run_until(ms(60_000));
    let sent: Vec<_> =
        stage.sent.iter().map(|sent| (sent.at, sent.to, sent.asks_for_unicast())).collect();
    let [v4, v6] = groups();
    let expected = [(0, true), (1000, false), (3000, false), (7000, false)]
        .into_iter()
        .flat_map(|(at, unicast)| [(ms(at), v4, unicast), (ms(at), v6, unicast)]);
    assert_eq!(sent, expected.collect::<Vec<_>>());
    assert!(stage.sent.iter().all(|sent| sent.link.is_none()));
    let failed = MdnsEvent::Failed { query, reason: MdnsQueryFailure::TimedOut };
    assert_eq!(stage.hosts[1].events, [(ms(10_000), failed)]);
    assert_eq!(stage.at(1).poll_timeout(), None);
}

#[test]
fn with_one_family_both_types_are_asked_for_in_its_group() {
    for (ipv4, group) in [(true, groups()[0]), (false, groups()[1])] {
        let mut config = MdnsConfig::default();
        (config.ipv4, config.ipv6) = (ipv4, !ipv4);
        let mut stage = Stage::new(1, &config);
        stage.at(0).query(ms(0), NAME).unwrap();
        stage.run_until(ms(1));
        let kinds: Vec<_> =
            stage.sent.iter().map(|sent| (sent.to, sent.bytes[sent.bytes.len() - 3])).collect();
        assert_eq!(kinds, [(group, 1), (group, 28)]);
    }
}

#[test]
fn loss_and_disorder_delay_an_answer() {
    let mut in_time = 0;
    for seed in 0..200 {
        let mut stage = Stage::seeded(3, &MdnsConfig::default(), seed);
        (stage.loss, stage.jitter) = (30, Duration::from_millis(400));
        let family = usize::from(seed % 2);
        let name = stage.publish(0, family);
        let queries = [1, 2].map(|host| stage.at(host).query(ms(0), name.as_str()).unwrap());
        stage.run_until(ms(12_000));
        for (host, query) in [1, 2].into_iter().zip(queries) {
            let [(at, event)] = stage.hosts[host].events[..] else { panic!("one event") };
            let addr = stage.hosts[0].addrs[family];
            if event == (MdnsEvent::Resolved { query, addr, link: LINK }) {
                assert!(at < ms(10_000));
                in_time += 1;
            } else {
                let reason = MdnsQueryFailure::TimedOut;
                assert_eq!((at, event), (ms(10_000), MdnsEvent::Failed { query, reason }));
            }
        }
    }
    // Each of four attempts fails with 0.51; multicast answers to others help.
    assert!(in_time >= 360, "{in_time} of 400");
}

#[test]
fn queries_for_one_name_share_the_question_and_have_an_event_each() {
    let mut stage = Stage::new(2, &MdnsConfig::default());
    let name = stage.publish(0, 0);
    let queries = [(); 3].map(|()| stage.at(1).query(ms(0), name.as_str()).unwrap());
    stage.run_until(ms(20_000));
    assert_eq!(stage.sent.len(), 4);
    let addr = stage.hosts[0].addrs[0];
    let events = queries.map(|query| (ms(2), MdnsEvent::Resolved { query, addr, link: LINK }));
    assert_eq!(stage.hosts[1].events, events);
}

/// RFC 6762 §5.2: a question is not sent twice within a second. For that long its answer holds.
#[test]
fn a_name_that_was_just_resolved_is_not_asked_for_again() {
    let mut mdns = mdns();
    mdns.query(ms(0), NAME).unwrap();
    assert_eq!(drain(&mut mdns, ms(0)), 2);
    let received = mdns.handle_datagram(ms(5), multicast(), &response(&["192.0.2.1"], 120));
    assert_eq!(received, MdnsReceived::Resolved);
    assert!(resolved(&mut mdns).is_some());

    let again = mdns.query(ms(900), NAME).unwrap();
    assert_eq!(resolved(&mut mdns), Some((again.get(), "192.0.2.1".parse().unwrap(), LINK)));
    assert_eq!(drain(&mut mdns, ms(900)), 0);
    mdns.query(ms(1005), NAME).unwrap();
    assert_eq!(resolved(&mut mdns), None);
    assert_eq!(drain(&mut mdns, ms(1005)), 2);
}

#[test]
fn who_asks_late_is_not_kept_waiting() {
    let mut stage = Stage::new(1, &MdnsConfig::default());
    stage.at(0).query(ms(0), NAME).unwrap();
    stage.run_until(ms(4000));
    let late = stage.at(0).query(ms(4000), NAME).unwrap();
    stage.run_until(ms(60_000));
    let times: Vec<_> = stage.sent.iter().step_by(2).map(|sent| sent.at).collect();
    assert_eq!(times, [0, 1000, 3000, 4000, 5000, 7000, 11_000].map(ms));
    let failed = MdnsEvent::Failed { query: late, reason: MdnsQueryFailure::TimedOut };
    assert_eq!(stage.hosts[0].events.last(), Some(&(ms(14_000), failed)));
}

#[test]
fn a_cancelled_query_has_no_event_and_asks_no_more() {
    let mut mdns = mdns();
    let first = mdns.query(ms(0), NAME).unwrap();
    let second = mdns.query(ms(0), NAME).unwrap();
    assert_eq!(drain(&mut mdns, ms(0)), 2);
    mdns.cancel(ms(1), first);
    mdns.handle_datagram(ms(5), multicast(), &response(&["192.0.2.1"], 120));
    mdns.cancel(ms(5), second);
    assert_eq!(mdns.poll_event(), None);

    let third = mdns.query(ms(5000), NAME).unwrap();
    assert_eq!(drain(&mut mdns, ms(5000)), 2);
    mdns.cancel(ms(5001), third);
    assert_eq!(mdns.poll_timeout(), None);
    // Not within a second of the last time, though.
    mdns.query(ms(5002), NAME).unwrap();
    assert_eq!(drain(&mut mdns, ms(5002)), 0);
    assert_eq!(mdns.poll_timeout(), Some(ms(6000)));
}

/// M3: draft §3.2.2.
#[test]
fn an_answer_with_several_addresses_is_none() {
    for addrs in [&["192.0.2.1", "192.0.2.2"][..], &["192.0.2.1", "2001:db8::1"]] {
        let mut mdns = mdns();
        let query = mdns.query(ms(0), NAME).unwrap();
        let received = mdns.handle_datagram(ms(1), multicast(), &response(addrs, 120));
        assert_eq!(received, MdnsReceived::Ignored(MdnsIgnored::SeveralAddresses));
        assert_eq!(mdns.counters().ignored(MdnsIgnored::SeveralAddresses), 1);
        assert_eq!(mdns.poll_event(), None);
        mdns.handle_timeout(ms(10_000));
        let reason = MdnsQueryFailure::SeveralAddresses;
        assert_eq!(mdns.poll_event(), Some(MdnsEvent::Failed { query, reason }));
    }
    // The same address twice is one.
    let mut mdns = mdns();
    mdns.query(ms(0), NAME).unwrap();
    mdns.handle_datagram(ms(1), multicast(), &response(&["192.0.2.1", "192.0.2.1"], 120));
    assert!(resolved(&mut mdns).is_some());
}

#[test]
fn what_was_not_asked_for_is_ignored() {
    let mut mdns = mdns();
    mdns.query(ms(0), "00000000-0000-4000-8000-000000000000.local").unwrap();
    let received = mdns.handle_datagram(ms(1), multicast(), &response(&["192.0.2.1"], 120));
    assert_eq!(received, MdnsReceived::Ignored(MdnsIgnored::Irrelevant));
    mdns.query(ms(0), NAME).unwrap();
    // A goodbye is no answer.
    let received = mdns.handle_datagram(ms(1), multicast(), &response(&["192.0.2.1"], 0));
    assert_eq!(received, MdnsReceived::Ignored(MdnsIgnored::Irrelevant));
    // Nor is what stands behind the answers.
    let mut bytes = response(&["192.0.2.1"], 120);
    (bytes[7], bytes[11]) = (0, 1);
    let received = mdns.handle_datagram(ms(1), multicast(), &bytes);
    assert_eq!(received, MdnsReceived::Ignored(MdnsIgnored::Irrelevant));
    assert_eq!(mdns.poll_event(), None);
}

#[test]
fn an_address_that_no_other_host_has_is_no_answer() {
    for addr in [
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "127.0.0.1",
        "::",
        "::1",
        "ff02::1",
        "::ffff:192.0.2.1",
    ] {
        let mut mdns = mdns();
        mdns.query(ms(0), NAME).unwrap();
        let received = mdns.handle_datagram(ms(1), multicast(), &response(&[addr], 120));
        assert_eq!(received, MdnsReceived::Ignored(MdnsIgnored::UnusableAddress), "{addr}");
    }
    // Within this machine its loopback address is right.
    let mut mdns = mdns();
    mdns.query(ms(0), NAME).unwrap();
    let local = MdnsArrival::new(LINK, groups()[0], "127.0.0.1:5353".parse().unwrap());
    mdns.handle_datagram(ms(1), local, &response(&["127.0.0.1"], 120));
    assert!(resolved(&mut mdns).is_some());
}

/// RFC 6762 §6 and §11.
#[test]
fn an_answer_comes_from_port_5353_of_a_host_on_the_link() {
    let bytes = response(&["192.0.2.1"], 120);
    let unicast = "192.0.2.5:5353".parse().unwrap();
    for (local, remote, reason) in [
        (groups()[0], "192.0.2.9:5354", MdnsIgnored::Source),
        (groups()[0], "192.0.2.9:0", MdnsIgnored::Source),
        (groups()[0], "0.0.0.0:5353", MdnsIgnored::Source),
        (groups()[0], "224.0.0.251:5353", MdnsIgnored::Source),
        (unicast, "192.0.2.9:5353", MdnsIgnored::OffLink),
    ] {
        let mut mdns = mdns();
        mdns.query(ms(0), NAME).unwrap();
        let arrival = MdnsArrival::new(LINK, local, remote.parse().unwrap());
        let received = mdns.handle_datagram(ms(1), arrival, &bytes);
        assert_eq!(received, MdnsReceived::Ignored(reason), "{remote}");
        assert_eq!(mdns.poll_event(), None);
    }
    let mut mdns = mdns();
    mdns.query(ms(0), NAME).unwrap();
    let arrival = MdnsArrival::new(LINK, unicast, "192.0.2.9:5353".parse().unwrap()).on_link();
    assert_eq!(mdns.handle_datagram(ms(1), arrival, &bytes), MdnsReceived::Resolved);
}

/// Draft §6.3: an attacker may name a device that it knows.
#[test]
fn only_uuids_are_asked_for_unless_the_caller_wants_more() {
    let mut strict = mdns();
    assert_eq!(strict.query(ms(0), "printer.local"), Err(MdnsQueryError::NotUuid));
    for (name, error) in [
        ("www.example.com", MdnsNameError::NotLocal),
        ("a.b.local", MdnsNameError::NotLocal),
        ("prin ter.local", MdnsNameError::Label),
    ] {
        assert_eq!(strict.query(ms(0), name), Err(MdnsQueryError::Name(error)));
    }
    assert_eq!(drain(&mut strict, ms(0)), 0);

    let mut config = MdnsConfig::default();
    config.any_name = true;
    let mut stage = Stage::new(2, &config);
    let addr = stage.hosts[0].addrs[0];
    stage.at(0).publish(ms(0), "camera.local".parse().unwrap(), addr, LINK).unwrap();
    stage.at(1).query(ms(0), "Camera.local").unwrap();
    stage.run_until(ms(100));
    assert!(matches!(stage.hosts[1].events[..], [(_, MdnsEvent::Resolved { .. })]));
}

#[test]
fn a_name_of_the_same_value_is_known_at_once() {
    let mut stage = Stage::new(1, &MdnsConfig::default());
    let before = stage.at(0).query(ms(0), NAME).unwrap();
    let addr = stage.hosts[0].addrs[1];
    stage.at(0).publish(ms(0), NAME.parse().unwrap(), addr, LINK).unwrap();
    let after = stage.at(0).query(ms(0), NAME).unwrap();
    stage.run_until(ms(5000));
    let events =
        [before, after].map(|query| (ms(0), MdnsEvent::Resolved { query, addr, link: LINK }));
    assert_eq!(stage.hosts[0].events, events);
    assert_eq!(stage.sent, []);
}
