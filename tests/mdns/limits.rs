//! Bounds, rates and the clock.

use std::time::Duration;

use frazil::{
    Mdns, MdnsArrival, MdnsConfig, MdnsConfigError, MdnsIgnored, MdnsName, MdnsPublishError,
    MdnsQueryError, MdnsReceived, Timestamp,
};

use crate::link::{LINK, Stage, groups, ms};

fn name(number: u8) -> MdnsName {
    MdnsName::from_random([number; 16])
}

fn with(limit: impl FnOnce(&mut MdnsConfig)) -> Mdns {
    let mut config = MdnsConfig::default();
    limit(&mut config);
    Mdns::new(config, [1; 32]).unwrap()
}

fn asker(port: u16) -> MdnsArrival {
    MdnsArrival::new(LINK, groups()[0], ([192, 0, 2, 9], port).into())
}

/// A question for a unicast answer, for each of these names.
fn question(names: &[MdnsName]) -> Vec<u8> {
    let count = u8::try_from(names.len()).unwrap();
    let mut bytes = vec![0, 0, 0, 0, 0, count, 0, 0, 0, 0, 0, 0];
    for name in names {
        bytes.push(36);
        bytes.extend(&name.as_str().as_bytes()[..36]);
        bytes.extend(b"\x05local\x00\x00\x01\x80\x01");
    }
    bytes
}

fn drain(mdns: &mut Mdns, now: Timestamp) -> usize {
    let mut buf = Vec::new();
    std::iter::from_fn(|| mdns.poll_transmit(now, &mut buf)).count()
}

#[test]
fn a_configuration_out_of_bounds_is_refused() {
    let refused = |change: fn(&mut MdnsConfig)| {
        let mut config = MdnsConfig::default();
        change(&mut config);
        Mdns::new(config, [0; 32]).map(|_| ()).unwrap_err()
    };
    assert_eq!(
        refused(|config| (config.ipv4, config.ipv6) = (false, false)),
        MdnsConfigError::Families
    );
    assert_eq!(
        refused(|config| config.timeout = Duration::from_millis(999)),
        MdnsConfigError::Timeout
    );
    assert_eq!(
        refused(|config| config.timeout = Duration::from_secs(61)),
        MdnsConfigError::Timeout
    );
    for zero in [
        |config: &mut MdnsConfig| config.limits.names = 0,
        |config: &mut MdnsConfig| config.limits.queries = 0,
        |config: &mut MdnsConfig| config.limits.answers = 0,
        |config: &mut MdnsConfig| config.limits.query_rate = 0,
        |config: &mut MdnsConfig| config.limits.answer_rate = 0,
        |config: &mut MdnsConfig| config.limits.notice_rate = 0,
    ] {
        assert_eq!(refused(zero), MdnsConfigError::Limits);
    }
}

/// M6: draft §6.1. Made-up names of a page must not flood the network.
#[test]
fn questions_wait_for_their_rate_and_are_all_asked() {
    let mut config = MdnsConfig::default();
    config.limits.query_rate = 10;
    config.timeout = Duration::from_secs(30);
    let mut stage = Stage::new(1, &config);
    for number in 0..40 {
        stage.at(0).query(ms(0), name(number).as_str()).unwrap();
    }
    stage.run_until(ms(60_000));
    for start in 0..60 {
        let second = ms(start * 1000)..ms(start * 1000 + 1000);
        let count = stage.sent.iter().filter(|sent| second.contains(&sent.at)).count();
        assert!(count <= if start == 0 { 20 } else { 10 }, "{count} in second {start}");
    }
    let mut asked: Vec<_> = stage.sent.iter().map(|sent| &sent.bytes[13..49]).collect();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 40);
    assert_eq!(stage.hosts[0].events.len(), 40);
}

#[test]
fn answers_beyond_their_rate_are_not_given() {
    let mut mdns = with(|config| config.limits.answer_rate = 3);
    mdns.publish(ms(0), name(1), [192, 0, 2, 1].into(), LINK).unwrap();
    let mut answered = 0;
    for port in 1000..1010 {
        mdns.handle_datagram(ms(0), asker(port), &question(&[name(1)]));
        answered += drain(&mut mdns, ms(0));
    }
    assert_eq!(answered, 3);
    assert_eq!(mdns.counters().ignored(MdnsIgnored::RateLimited), 7);
    mdns.handle_datagram(ms(1000), asker(2000), &question(&[name(1)]));
    assert_eq!(drain(&mut mdns, ms(1000)), 1);
}

#[test]
fn goodbyes_wait_for_their_rate() {
    let mut config = MdnsConfig::default();
    config.limits.notice_rate = 2;
    config.announce = true;
    let mut stage = Stage::new(1, &config);
    for number in 0..5 {
        stage.at(0).publish(ms(0), name(number), [192, 0, 2, 1].into(), LINK).unwrap();
    }
    stage.run_until(ms(10_000));
    let times: Vec<_> = stage.sent.iter().map(|sent| sent.at).collect();
    assert_eq!(times, [0, 0, 500, 1000, 1500, 2000, 2500, 3000, 3500, 4000].map(ms));
}

#[test]
fn one_message_has_eight_answers_at_most() {
    let mut mdns = with(|_| {});
    let names: Vec<_> = (0..20).map(name).collect();
    for name in &names {
        mdns.publish(ms(0), name.clone(), [192, 0, 2, 1].into(), LINK).unwrap();
    }
    mdns.handle_datagram(ms(0), asker(5353), &question(&names));
    assert_eq!(drain(&mut mdns, ms(0)), 8);
    // The same name many times is one answer.
    mdns.handle_datagram(ms(0), asker(5353), &question(&vec![name(9); 100]));
    assert_eq!(drain(&mut mdns, ms(0)), 1);
}

#[test]
fn answers_that_nobody_polls_are_bounded() {
    let mut mdns = with(|config| config.limits.answers = 4);
    mdns.publish(ms(0), name(1), [192, 0, 2, 1].into(), LINK).unwrap();
    for port in 1000..1010 {
        mdns.handle_datagram(ms(0), asker(port), &question(&[name(1)]));
    }
    assert_eq!(mdns.counters().ignored(MdnsIgnored::QueueFull), 6);
    assert_eq!(drain(&mut mdns, ms(0)), 4);
}

#[test]
fn names_and_goodbyes_are_bounded() {
    let mut mdns = with(|config| config.limits.names = 2);
    for number in 0..4 {
        let result = mdns.publish(ms(0), name(number), [192, 0, 2, 1].into(), LINK);
        assert_eq!(result, if number < 2 { Ok(()) } else { Err(MdnsPublishError::LimitReached) });
    }
    for number in 0..2 {
        mdns.handle_datagram(ms(0), asker(5353), &question(&[name(number)]));
    }
    assert_eq!(drain(&mut mdns, ms(0)), 2);
    for number in 0..2 {
        mdns.unpublish(ms(0), &name(number));
    }
    // Two groups each.
    assert_eq!(mdns.counters().dropped_notices(), 2);
    assert_eq!(drain(&mut mdns, ms(0)), 2);
}

#[test]
fn queries_and_events_that_nobody_polls_are_bounded_together() {
    let mut mdns = with(|config| config.limits.queries = 3);
    for number in 0..3 {
        mdns.query(ms(0), name(number).as_str()).unwrap();
    }
    let full = Err(MdnsQueryError::LimitReached);
    assert_eq!(mdns.query(ms(0), name(3).as_str()), full);
    assert_eq!(mdns.query(ms(0), name(1).as_str()), full);
    mdns.handle_timeout(ms(10_000));
    assert_eq!(mdns.query(ms(10_000), name(3).as_str()), full);
    mdns.publish(ms(10_000), name(9), [192, 0, 2, 1].into(), LINK).unwrap();
    assert_eq!(mdns.query(ms(10_000), name(9).as_str()), full);
    assert!(mdns.poll_event().is_some());
    assert!(mdns.query(ms(10_000), name(3).as_str()).is_ok());
}

/// Draft §6.1: who asks and gives up, again and again, gets no further.
#[test]
fn cancelled_queries_count_until_they_may_be_asked_again() {
    let mut mdns = with(|config| config.limits.queries = 3);
    for number in 0..3 {
        let query = mdns.query(ms(0), name(number).as_str()).unwrap();
        drain(&mut mdns, ms(0));
        mdns.cancel(ms(0), query);
    }
    assert_eq!(mdns.query(ms(999), name(3).as_str()), Err(MdnsQueryError::LimitReached));
    assert!(mdns.query(ms(1000), name(3).as_str()).is_ok());
}

#[test]
fn a_message_of_more_than_9000_bytes_is_not_read() {
    let mut mdns = with(|_| {});
    mdns.publish(ms(0), name(1), [192, 0, 2, 1].into(), LINK).unwrap();
    let mut bytes = question(&[name(1)]);
    bytes.resize(9000, 0);
    assert_eq!(mdns.handle_datagram(ms(0), asker(5353), &bytes), MdnsReceived::Answered);
    bytes.push(0);
    let ignored = MdnsReceived::Ignored(MdnsIgnored::TooLarge);
    assert_eq!(mdns.handle_datagram(ms(0), asker(5353), &bytes), ignored);
    let ignored = MdnsReceived::Ignored(MdnsIgnored::Malformed);
    assert_eq!(mdns.handle_datagram(ms(0), asker(5353), &bytes[..20]), ignored);
}

#[test]
fn a_timeout_before_its_deadline_does_nothing_and_time_does_not_run_backwards() {
    let mut mdns = with(|_| {});
    mdns.query(ms(5000), name(1).as_str()).unwrap();
    assert_eq!(mdns.poll_timeout(), Some(ms(5000)));
    assert_eq!(drain(&mut mdns, ms(5000)), 2);
    for early in [0, 5500, 5999] {
        mdns.handle_timeout(ms(early));
        assert_eq!(drain(&mut mdns, ms(early)), 0);
        assert_eq!(mdns.poll_timeout(), Some(ms(6000)));
    }
    // Asked with a clock that is behind, it lasts from the newest time seen.
    mdns.query(ms(0), name(2).as_str()).unwrap();
    assert_eq!(drain(&mut mdns, ms(0)), 2);
}

#[test]
fn a_suspended_machine_finds_one_late_timeout() {
    let mut mdns = with(|_| {});
    mdns.query(ms(0), name(1).as_str()).unwrap();
    drain(&mut mdns, ms(0));
    mdns.handle_timeout(ms(1_000_000));
    assert_eq!(drain(&mut mdns, ms(1_000_000)), 0);
    assert!(mdns.poll_event().is_some());
    assert_eq!(mdns.poll_timeout(), None);
}

#[test]
fn at_the_end_of_time_a_drain_ends() {
    let mut mdns = with(|config| config.announce = true);
    mdns.query(Timestamp::MAX, name(1).as_str()).unwrap();
    mdns.publish(Timestamp::MAX, name(2), [192, 0, 2, 1].into(), LINK).unwrap();
    mdns.handle_datagram(Timestamp::MAX, asker(5353), &question(&[name(2)]));
    mdns.handle_timeout(Timestamp::MAX);
    let mut buf = Vec::new();
    let sent = (0..100).take_while(|_| mdns.poll_transmit(Timestamp::MAX, &mut buf).is_some());
    assert!(sent.count() < 100);
    assert_eq!(mdns.poll_timeout(), None);
}
