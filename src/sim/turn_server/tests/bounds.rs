//! What holds for any server: its configuration, its limits, its clock, its seed.

use core::time::Duration;

use super::super::{TurnConfigError, TurnRejected, TurnServer, TurnServerConfig};
use super::{Scripted, addr, at, config};
use crate::stun::{Class, method};
use crate::time::Timestamp;

#[test]
fn what_cannot_be_is_refused() {
    let refused = |change: fn(&mut TurnServerConfig)| {
        let mut config = config();
        change(&mut config);
        TurnServer::new(config, [0; 32]).unwrap_err()
    };
    assert_eq!(refused(|config| config.listen.clear()), TurnConfigError::NoAddress);
    #[expect(clippy::reversed_empty_ranges, reason = "it is what is tested")]
    let no_ports = refused(|config| config.relay_ports = 9..=8);
    assert_eq!(no_ports, TurnConfigError::NoPorts);
    let long = refused(|config| config.software = Some("x".repeat(128)));
    assert_eq!(long, TurnConfigError::Software);
    for realm in [String::new(), "x".repeat(128), "\0".to_owned()] {
        let mut config = config();
        config.realm = realm;
        config.users.clear();
        assert_eq!(TurnServer::new(config, [0; 32]).unwrap_err(), TurnConfigError::Realm);
    }
    for (username, password) in [("", "x"), ("x", ""), ("x", "a\nb"), (&"x".repeat(509), "x")] {
        let unusable = TurnServer::new(config().with_user(username, password), [0; 32]);
        assert_eq!(unusable.unwrap_err(), TurnConfigError::User(username.to_owned()));
    }
    let twice = refused(|config| config.users.push(config.users[0].clone()));
    assert_eq!(twice, TurnConfigError::DuplicateUser("alice".to_owned()));
}

#[test]
fn passwords_do_not_show_themselves() {
    let (client, _) = Scripted::allocated(config());
    let shown = format!("{:?}", client.server);
    assert!(shown.contains("alice") && !shown.contains("secret"), "{shown}");
}

#[test]
fn addresses_are_those_where_it_listens_and_relays() {
    let server = TurnServer::new(config(), [0; 32]).unwrap();
    let ips: Vec<_> = server.ips().iter().map(ToString::to_string).collect();
    assert_eq!(ips, ["198.51.100.1", "2001:db8::1"]);
    assert!(server.is_open(addr(super::LISTEN)));
    assert!(server.is_open(addr("[::ffff:198.51.100.1]:3478")));
    assert!(!server.is_open(addr("198.51.100.1:50000")));
}

#[test]
fn an_algorithm_is_offered_once() {
    use super::PasswordAlgorithm::{Md5, Sha256};
    let mut config = config();
    config.password_algorithms = vec![Md5, Sha256, Md5, Sha256];
    let server = TurnServer::new(config, [0; 32]).unwrap();
    assert_eq!(server.config().password_algorithms, [Md5, Sha256]);
}

#[test]
fn what_no_client_sends_is_counted_by_reason_and_not_answered() {
    let (mut client, _) = Scripted::allocated(config());
    let mut wrong_fingerprint = client.bare(Class::Request, method::BINDING, |w| {
        w.fingerprint();
    });
    *wrong_fingerprint.last_mut().unwrap() ^= 1;
    let mut overrun = client.bare(Class::Request, method::BINDING, |w| {
        w.flag(0x8030);
    });
    overrun[23] = 4;
    let messages = [
        (client.bare(Class::Success, method::BINDING, |_| {}), TurnRejected::Unexpected),
        (client.bare(Class::Error, method::ALLOCATE, |_| {}), TurnRejected::Unexpected),
        // Connect, of RFC 6062.
        (client.bare(Class::Request, 0x00a, |_| {}), TurnRejected::Unexpected),
        (client.bare(Class::Indication, method::DATA, |_| {}), TurnRejected::Unexpected),
        (client.bare(Class::Indication, method::ALLOCATE, |_| {}), TurnRejected::Malformed),
        (wrong_fingerprint, TurnRejected::Fingerprint),
        (overrun, TurnRejected::Malformed),
        (Vec::new(), TurnRejected::NotTurn),
        (b"hello".to_vec(), TurnRejected::NotTurn),
    ];
    for (message, reason) in messages {
        let before = client.server.stats().rejected(reason);
        assert!(client.send(&message).is_none(), "{message:02x?}");
        assert_eq!(client.server.stats().rejected(reason), before + 1, "{message:02x?}");
    }
    let before = client.server.stats().clone();
    let keepalive = client.bare(Class::Indication, method::BINDING, |_| {});
    assert!(client.send(&keepalive).is_none());
    assert_eq!(*client.server.stats(), before);
    let all: u64 = before.all_rejected().map(|(_, count)| count).sum();
    assert_eq!(all, 9 + 1, "and the challenge");
}

#[test]
fn what_nobody_polls_is_bounded() {
    let mut config = config();
    config.limits.transmits = 3;
    let mut client = Scripted::new(config);
    for _ in 0..5 {
        let request = client.bare(Class::Request, method::BINDING, |_| {});
        client.server.handle_datagram(at(0), addr(super::LISTEN), client.from, &request);
    }
    assert_eq!(core::iter::from_fn(|| client.server.poll_transmit()).count(), 3);
    assert_eq!(client.server.stats().rejected(TurnRejected::TooManyTransmits), 2);
}

#[test]
fn an_older_time_counts_as_the_newest_seen() {
    let (mut client, _) = Scripted::allocated(config());
    client.server.handle_timeout(at(500));
    client.now = at(0);
    assert_eq!(client.refresh(|_| {}).code(), 0);
    assert_eq!(client.server.poll_timeout(), Some(at(1100)));
    client.server.handle_timeout(at(1100));
    client.permit(super::PEER);
    assert_eq!(client.allocate(|_| {}).code(), 0, "the first one is over");
}

#[test]
fn a_clock_that_jumps_is_one_late_timeout() {
    let (mut client, _) = Scripted::allocated(config());
    client.from = addr("192.0.2.1:5001");
    client.allocate(|_| {});
    client.server.handle_timeout(Timestamp::MAX);
    assert_eq!(client.server.stats().expired(), 2);
    assert_eq!(client.server.poll_timeout(), None);
}

#[test]
fn before_the_deadline_nothing_happens() {
    let (mut client, _) = Scripted::allocated(config());
    let before = client.server.stats().clone();
    let deadline = client.server.poll_timeout().unwrap();
    client.server.handle_timeout(Timestamp::from_nanos(deadline.as_nanos() - 1));
    assert_eq!(client.server.poll_timeout(), Some(deadline));
    assert_eq!(*client.server.stats(), before);
}

#[test]
fn answers_that_are_held_back_leave_in_the_order_of_their_time() {
    let mut client = Scripted::new(config());
    for (port, delay) in [(5001, 3), (5002, 1), (5003, 2), (5004, 1)] {
        client.server.behaviour_mut().response_delay = Duration::from_secs(delay);
        client.from.set_port(port);
        let request = client.bare(Class::Request, method::BINDING, |_| {});
        assert!(client.send(&request).is_none());
    }
    client.from = addr(super::CLIENT);
    let mut ports = Vec::new();
    while let Some(deadline) = client.server.poll_timeout() {
        client.server.handle_timeout(deadline);
        assert!(client.drain().is_none());
        for (route, _) in client.elsewhere.drain(..) {
            let super::TurnRoute::Datagram { remote, .. } = route else { panic!("{route:?}") };
            ports.push(remote.port());
        }
    }
    assert_eq!(ports, [5002, 5004, 5003, 5001]);
}

#[test]
fn equal_seeds_give_equal_servers_and_others_other_ports() {
    let run = |seed| {
        let mut client = Scripted::new(config());
        client.server = TurnServer::new(config(), [seed; 32]).unwrap();
        let challenge = client.ask(method::ALLOCATE, |_| {});
        let answer = client.allocate(|_| {});
        (challenge.0, answer.0)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    assert_ne!(run(1).1, run(2).1);
}

#[test]
fn a_clone_goes_its_own_way() {
    let (mut client, relayed) = Scripted::allocated(config());
    let mut snapshot = client.clone();
    client.server.crash();
    assert!(!client.server.is_open(relayed));
    assert_eq!(snapshot.refresh(|_| {}).code(), 0);
}
