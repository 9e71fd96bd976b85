//! Answering for names.

use std::net::{IpAddr, SocketAddr};

use frazil::{
    Mdns, MdnsArrival, MdnsConfig, MdnsIgnored, MdnsLink, MdnsMessage, MdnsPublishError,
    MdnsReceived, Timestamp,
};

use crate::link::{LINK, Sent, Stage, groups, ms};

const NAME: &str = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local";
const WIRE: &[u8] = b"\x241f4712db-ea17-4bcf-a596-105139dfd8bf\x05local\x00";
const A: u16 = 1;
const AAAA: u16 = 28;
const ANY: u16 = 255;
const QU: u16 = 0x8000;

fn publisher(addr: &str) -> Mdns {
    publisher_with(addr, MdnsConfig::default())
}

fn publisher_with(addr: &str, config: MdnsConfig) -> Mdns {
    let mut mdns = Mdns::new(config, [1; 32]).unwrap();
    mdns.publish(ms(0), NAME.parse().unwrap(), addr.parse().unwrap(), LINK).unwrap();
    mdns
}

fn question(id: u16, kind: u16, class: u16) -> Vec<u8> {
    let mut bytes = [id, 0, 1, 0, 0, 0].map(u16::to_be_bytes).concat();
    bytes.extend(WIRE);
    bytes.extend([kind, class].map(u16::to_be_bytes).concat());
    bytes
}

fn record(name: &[u8], ttl: u8) -> Vec<u8> {
    [name, &[0, 1, 0x80, 1, 0, 0, 0, ttl, 0, 4, 192, 0, 2, 1]].concat()
}

/// RFC 6762 §6.1: that the name has nothing but an A record.
fn nothing_else() -> Vec<u8> {
    let head = [0xc0, 12, 0, 47, 0x80, 1, 0, 0, 0, 120, 0, 47];
    [&head[..], WIRE, &[0, 1, 0x40]].concat()
}

fn from(remote: &str) -> MdnsArrival {
    let remote: SocketAddr = remote.parse().unwrap();
    MdnsArrival::new(LINK, groups()[usize::from(remote.is_ipv6())], remote)
}

fn drain(mdns: &mut Mdns, now: Timestamp) -> Vec<Sent> {
    let (mut buf, mut sent) = (Vec::new(), Vec::new());
    while let Some(transmit) = mdns.poll_transmit(now, &mut buf) {
        let bytes = buf[transmit.range].to_vec();
        let (to, link, message) = (transmit.to, transmit.link, transmit.message);
        sent.push(Sent { at: now, by: 0, to, link, message, bytes });
    }
    sent
}

/// What is sent for a question, where.
fn answers(
    mdns: &mut Mdns,
    now: Timestamp,
    arrival: MdnsArrival,
    bytes: &[u8],
) -> Vec<(SocketAddr, Vec<u8>)> {
    mdns.handle_datagram(now, arrival, bytes);
    drain(mdns, now).into_iter().map(|sent| (sent.to, sent.bytes)).collect()
}

/// RFC 6762 §5.4, §6, §10.2, §18: no id, authoritative, 120 s, cache-flush.
#[test]
fn a_question_for_unicast_is_answered_to_the_asker() {
    let mut mdns = publisher("192.0.2.1");
    let asker = "192.0.2.9:5353";
    let sent = answers(&mut mdns, ms(0), from(asker), &question(77, A, QU | 1));
    let head = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let expected = [&head[..], &record(WIRE, 120), &nothing_else()].concat();
    assert_eq!(sent, [(asker.parse().unwrap(), expected)]);
}

#[test]
fn another_question_is_answered_to_the_group_of_its_family_on_its_link() {
    for (asker, group) in [("192.0.2.9:5353", groups()[0]), ("[fe80::9]:5353", groups()[1])] {
        let mut mdns = publisher("2001:db8::1");
        let received = mdns.handle_datagram(ms(0), from(asker), &question(0, AAAA, 1));
        assert_eq!(received, MdnsReceived::Answered);
        let sent = drain(&mut mdns, ms(0));
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].to, sent[0].link), (group, Some(LINK)));
        assert_eq!(sent[0].message, MdnsMessage::Response);
    }
}

/// RFC 6762 §6.7.
#[test]
fn a_question_from_another_port_is_answered_as_by_unicast_dns() {
    let mut mdns = publisher("192.0.2.1");
    let asker = "192.0.2.9:40000";
    for class in [1, QU | 1] {
        let sent = answers(&mut mdns, ms(0), from(asker), &question(0xbeef, A, class));
        let header = [0xbe, 0xef, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        let answer = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 192, 0, 2, 1];
        let expected = [&header[..], WIRE, &[0, 1, 0, 1], &answer].concat();
        assert_eq!(sent, [(asker.parse().unwrap(), expected)]);
    }
}

/// RFC 6762 §6.1: at once, so that nobody waits for an address of the other family.
#[test]
fn who_asks_for_what_a_name_does_not_have_is_told_what_it_has() {
    for kind in [AAAA, 16] {
        let mut mdns = publisher("192.0.2.1");
        let asker = "192.0.2.9:5353";
        let sent = answers(&mut mdns, ms(0), from(asker), &question(0, kind, QU | 1));
        let head = [0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 1];
        let expected = [&head[..], &record(WIRE, 120), &nothing_else()].concat();
        assert_eq!(sent, [(asker.parse().unwrap(), expected)], "{kind}");
    }
    let mut mdns = publisher("2001:db8::1");
    let sent = answers(&mut mdns, ms(0), from("192.0.2.9:5353"), &question(0, A, 1));
    assert_eq!(sent.len(), 1);
    assert!(sent[0].1.ends_with(&[0, 4, 0, 0, 0, 0x08]), "{:?}", sent[0].1);
    // One answer serves who asks for both families.
    let mut mdns = publisher("192.0.2.1");
    for kind in [A, AAAA] {
        let received = mdns.handle_datagram(ms(0), from("192.0.2.9:5353"), &question(0, kind, 1));
        assert_eq!(received, MdnsReceived::Answered);
    }
    assert_eq!(drain(&mut mdns, ms(0)).len(), 1);
    // A resolver of unicast DNS is told nothing.
    let received = mdns.handle_datagram(ms(0), from("192.0.2.9:40000"), &question(7, AAAA, 1));
    assert_eq!(received, MdnsReceived::Ignored(MdnsIgnored::Irrelevant));
}

#[test]
fn nothing_else_is_revealed() {
    let mut mdns = publisher("192.0.2.1");
    let mut other_name = question(0, A, 1);
    other_name[13] ^= 1;
    let elsewhere = MdnsArrival::new(MdnsLink(4), groups()[0], "192.0.2.9:5353".parse().unwrap());
    let off_link = MdnsArrival::new(
        LINK,
        "192.0.2.1:5353".parse().unwrap(),
        "203.0.113.1:5353".parse().unwrap(),
    );
    let here = from("192.0.2.9:5353");
    let mut for_services = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for_services.extend(b"\x09_services\x07_dns-sd\x04_udp\x05local\x00\x00\x0c\x00\x01");
    let mut all_of_local = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    all_of_local.extend(b"\x05local\x00\x00\xff\x00\xff");
    for (arrival, bytes, reason) in [
        (here, other_name, MdnsIgnored::Irrelevant),
        (here, question(0, A, 3), MdnsIgnored::Irrelevant),
        (here, for_services, MdnsIgnored::Irrelevant),
        (here, all_of_local, MdnsIgnored::Irrelevant),
        (elsewhere, question(0, A, 1), MdnsIgnored::Irrelevant),
        (off_link, question(0, A, 1), MdnsIgnored::OffLink),
        (off_link, question(0, A, QU | 1), MdnsIgnored::OffLink),
    ] {
        let received = mdns.handle_datagram(ms(0), arrival, &bytes);
        assert_eq!(received, MdnsReceived::Ignored(reason), "{bytes:?}");
        assert_eq!(drain(&mut mdns, ms(0)), []);
    }
    assert_eq!(mdns.counters().ignored(MdnsIgnored::Irrelevant), 5);
    assert_eq!(mdns.counters().ignored(MdnsIgnored::OffLink), 2);
    // Any type and any class are asked for as well as the right ones.
    assert_eq!(answers(&mut mdns, ms(0), here, &question(0, ANY, ANY)).len(), 1);
}

/// RFC 6762 §18.3, §18.11; §18.2 to 18.10 have bits that mean nothing.
#[test]
fn other_operations_and_errors_are_ignored_and_other_bits_are_not_looked_at() {
    for (flags, reason) in [
        (0x0800_u16, Some(MdnsIgnored::Unsupported)),
        (0x7800, Some(MdnsIgnored::Unsupported)),
        (0x0003, Some(MdnsIgnored::Unsupported)),
        (0x07f0, None),
    ] {
        let mut mdns = publisher("192.0.2.1");
        let mut bytes = question(0, A, QU | 1);
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        let expected = reason.map_or(MdnsReceived::Answered, MdnsReceived::Ignored);
        assert_eq!(mdns.handle_datagram(ms(0), from("192.0.2.9:5353"), &bytes), expected);
    }
}

/// RFC 6762 §7.1.
#[test]
fn an_answer_that_the_asker_knows_is_not_given() {
    for (ttl, suppressed) in [(120, true), (60, true), (59, false)] {
        let mut mdns = publisher("192.0.2.1");
        let mut bytes = question(0, A, QU | 1);
        bytes[7] = 1;
        bytes.extend(record(&[0xc0, 12], ttl));
        let sent = answers(&mut mdns, ms(0), from("192.0.2.9:5353"), &bytes);
        assert_eq!(sent.is_empty(), suppressed);
        assert_eq!(mdns.counters().ignored(MdnsIgnored::KnownAnswer), u64::from(suppressed));
        // A legacy resolver does not mean it.
        assert_eq!(answers(&mut mdns, ms(0), from("192.0.2.9:5000"), &bytes).len(), 1);
    }
}

/// RFC 6762 §6: once a second. An answer waits for its time, and one serves all who have asked.
#[test]
fn a_record_is_multicast_once_a_second() {
    let mut mdns = publisher("192.0.2.1");
    let ask = question(0, A, 1);
    assert_eq!(answers(&mut mdns, ms(0), from("192.0.2.9:5353"), &ask).len(), 1);
    assert_eq!(answers(&mut mdns, ms(100), from("192.0.2.9:5353"), &ask), []);
    assert_eq!(answers(&mut mdns, ms(200), from("192.0.2.8:5353"), &ask), []);
    // Unicast and the other group are not held up.
    assert_eq!(
        answers(&mut mdns, ms(200), from("192.0.2.7:5353"), &question(0, A, QU | 1)).len(),
        1
    );
    assert_eq!(answers(&mut mdns, ms(200), from("[fe80::9]:5353"), &ask).len(), 1);
    assert_eq!(mdns.poll_timeout(), Some(ms(1000)));
    mdns.handle_timeout(ms(1000));
    assert_eq!(drain(&mut mdns, ms(1000)).len(), 1);
    assert_eq!(mdns.poll_timeout(), None);
}

/// RFC 6762 §10.1.
#[test]
fn a_name_that_somebody_has_heard_of_ends_with_a_goodbye_in_both_groups() {
    let mut mdns = publisher("192.0.2.1");
    answers(&mut mdns, ms(0), from("192.0.2.9:5353"), &question(0, A, QU | 1));
    assert!(mdns.unpublish(ms(10), &NAME.parse().unwrap()));
    let sent = drain(&mut mdns, ms(10));
    let goodbye = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0], &record(WIRE, 0)[..]].concat();
    let expected = groups().map(|group| (group, Some(LINK), goodbye.clone()));
    let sent: Vec<_> = sent.into_iter().map(|sent| (sent.to, sent.link, sent.bytes)).collect();
    assert_eq!(sent, expected);
    // From then on nobody is answered.
    assert_eq!(answers(&mut mdns, ms(20), from("192.0.2.9:5353"), &question(0, A, 1)), []);
    assert!(!mdns.unpublish(ms(30), &NAME.parse().unwrap()));
}

#[test]
fn a_name_that_nobody_has_heard_of_ends_in_silence() {
    let mut mdns = publisher("192.0.2.1");
    mdns.handle_datagram(ms(0), from("192.0.2.9:5353"), &question(0, A, 1));
    // The answer was not polled in time.
    assert!(mdns.unpublish(ms(0), &NAME.parse().unwrap()));
    assert_eq!(drain(&mut mdns, ms(0)), []);
    assert_eq!(mdns.poll_timeout(), None);
}

/// M1: draft §3.1.1.
#[test]
fn a_name_stands_for_one_address_until_it_was_taken_back_as_often_as_published() {
    let mut mdns = publisher("192.0.2.1");
    let name = || NAME.parse().unwrap();
    for (addr, link) in [("192.0.2.2", LINK), ("2001:db8::1", LINK), ("192.0.2.1", MdnsLink(4))] {
        let result = mdns.publish(ms(0), name(), addr.parse().unwrap(), link);
        assert_eq!(result, Err(MdnsPublishError::NameInUse));
    }
    // The same again, in another form.
    mdns.publish(ms(0), name(), "::ffff:192.0.2.1".parse().unwrap(), LINK).unwrap();
    let ask = question(0, A, QU | 1);
    assert!(mdns.unpublish(ms(0), &name()));
    assert_eq!(answers(&mut mdns, ms(0), from("192.0.2.9:5353"), &ask).len(), 1);
    assert!(mdns.unpublish(ms(0), &name()));
    drain(&mut mdns, ms(0));
    assert_eq!(answers(&mut mdns, ms(0), from("192.0.2.9:5353"), &ask), []);
    // It is free for another address.
    mdns.publish(ms(0), name(), "192.0.2.2".parse().unwrap(), LINK).unwrap();
}

#[test]
fn a_name_may_not_stand_for_what_is_no_host() {
    let mut mdns = Mdns::new(MdnsConfig::default(), [1; 32]).unwrap();
    for addr in ["0.0.0.0", "::", "224.0.0.251", "ff02::fb", "255.255.255.255"] {
        let result = mdns.publish(ms(0), NAME.parse().unwrap(), addr.parse().unwrap(), LINK);
        assert_eq!(result, Err(MdnsPublishError::Address), "{addr}");
    }
}

#[test]
fn a_loopback_address_is_told_to_this_machine_only() {
    let mut mdns = publisher("127.0.0.1");
    let ask = question(0, A, QU | 1);
    assert_eq!(answers(&mut mdns, ms(0), from("192.0.2.9:5353"), &ask), []);
    assert_eq!(answers(&mut mdns, ms(0), from("127.0.0.1:5353"), &ask).len(), 1);
}

#[test]
fn an_announcement_is_made_when_the_caller_wants_one_and_resolves_what_waits() {
    let mut config = MdnsConfig::default();
    config.announce = true;
    let mut stage = Stage::new(2, &config);
    stage.at(1).query(ms(0), NAME).unwrap();
    stage.run_until(ms(100));
    let addr = stage.hosts[0].addrs[1];
    stage.at(0).publish(ms(100), NAME.parse().unwrap(), addr, LINK).unwrap();
    stage.run_until(ms(20_000));
    assert_eq!(stage.hosts[1].events.len(), 1);
    assert_eq!(stage.hosts[1].events[0].0, ms(101));
    let said = stage.sent.iter().filter(|sent| sent.by == 0).map(|sent| (sent.at, sent.to));
    assert_eq!(said.collect::<Vec<_>>(), groups().map(|group| (ms(100), group)));
}

#[test]
fn an_announcement_that_was_not_made_is_not_followed_by_a_goodbye() {
    let mut config = MdnsConfig::default();
    config.announce = true;
    let mut mdns = publisher_with("192.0.2.1", config);
    mdns.unpublish(ms(0), &NAME.parse().unwrap());
    assert_eq!(drain(&mut mdns, ms(0)), []);
}

#[test]
fn an_answer_goes_back_to_the_form_of_address_that_the_caller_has() {
    let mut mdns = publisher("192.0.2.1");
    let remote = "[::ffff:192.0.2.9]:5353".parse().unwrap();
    let arrival = MdnsArrival::new(LINK, "[::ffff:224.0.0.251]:5353".parse().unwrap(), remote);
    let sent = answers(&mut mdns, ms(0), arrival, &question(0, A, QU | 1));
    assert_eq!(sent[0].0, remote);
}

#[test]
fn names_are_drawn_from_the_seed() {
    let mut names: Vec<_> = (0..100_u8)
        .map(|seed| Mdns::new(MdnsConfig::default(), [seed; 32]).unwrap().new_name())
        .collect();
    let again = Mdns::new(MdnsConfig::default(), [7; 32]).unwrap().new_name();
    assert_eq!(again, names[7]);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 100);
    assert!(names.iter().all(frazil::MdnsName::is_uuid));
}

/// M4: what a log may show.
#[test]
fn no_address_behind_a_name_is_in_debug_output() {
    let secret = "192.0.2.123";
    let mut config = MdnsConfig::default();
    config.announce = true;
    let mut mdns = publisher_with(secret, config);
    let query = mdns.query(ms(0), NAME).unwrap();
    mdns.handle_datagram(ms(0), from("192.0.2.9:5353"), &question(0, A, QU | 1));
    mdns.handle_datagram(ms(0), from("192.0.2.9:5353"), &question(0, A, 1));
    let asked = "00000000-0000-4000-8000-000000000000.local";
    mdns.query(ms(0), asked).unwrap();
    let mut learned = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    learned.extend(b"\x2400000000-0000-4000-8000-000000000000\x05local\x00");
    learned.extend([0, 1, 0x80, 1, 0, 0, 0, 120, 0, 4, 192, 0, 2, 124]);
    let received = mdns.handle_datagram(ms(0), from("192.0.2.9:5353"), &learned);
    assert_eq!(received, MdnsReceived::Resolved);
    let mut shown = format!("{mdns:?} {mdns:#?}");
    let event = mdns.poll_event().unwrap();
    assert!(matches!(event, frazil::MdnsEvent::Resolved { query: other, .. } if other == query));
    shown += &format!("{event:?} {:?}", mdns.poll_event());
    for secret in [secret, "192.0.2.124"] {
        let bytes: IpAddr = secret.parse().unwrap();
        assert!(!shown.contains(secret) && !shown.contains(&format!("{bytes:?}")), "{shown}");
    }
    assert!(shown.contains("1f4712db"));
}
