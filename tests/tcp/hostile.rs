//! Those who connect to do harm: silent, slow, oversized, many.

use frazil::{AcceptError, Ignored, Received, Refused, Role};

use crate::common::{addr, ms, plain};
use crate::script::{HERE, STRANGER, Script, framed};

#[test]
fn a_silent_connection_is_closed() {
    let mut script = Script::passive(plain(Role::Controlled));
    let id = script.accept(STRANGER);
    script.run_until(ms(9_999));
    assert!(script.closed().is_empty());
    script.run_until(ms(10_000));
    assert_eq!(script.closed(), [id]);
    assert_eq!(script.agent.counters().refused(Refused::UnprovenConnection), 1);
}

/// A byte now and then does not keep it open, nor do messages that nobody has authenticated.
#[test]
fn a_slow_connection_is_closed() {
    let mut script = Script::passive(plain(Role::Controlled));
    let id = script.accept(STRANGER);
    let forged = script.check_with(false, Some("not the password of this agent"));
    let stream = framed(&forged).repeat(3);
    for (second, bytes) in stream.chunks(40).take(9).enumerate() {
        script.run_until(ms(1_000 * second as u64));
        script.feed(id, bytes);
    }
    script.run_until(ms(10_000));
    assert_eq!(script.closed(), [id]);
    assert!(script.agent.remote_candidates().next().is_none());
}

#[test]
fn a_connection_that_brings_much_and_proves_nothing_is_closed() {
    let mut script = Script::passive(plain(Role::Controlled));
    let id = script.accept(STRANGER);
    let forged = script.check_with(false, Some("not the password of this agent"));
    let frame = framed(&forged);
    let mut fed = 0;
    while script.closed().is_empty() {
        script.feed(id, &frame);
        fed += frame.len();
        assert!(fed <= 4_096 + frame.len());
    }
    assert_eq!(script.closed(), [id]);
    // What it was answered was as much as the bucket has.
    assert!(script.sent.len() <= 10);
}

/// What a frame announces is not waited for when it is more than an unknown may send.
#[test]
fn a_long_frame_of_an_unknown_ends_its_connection_at_the_head() {
    let mut script = Script::passive(plain(Role::Controlled));
    let id = script.accept(STRANGER);
    assert_eq!(script.feed(id, &[0x10, 0x01]), [Received::Ignored(Ignored::MalformedStun)]);
    assert_eq!(script.closed(), [id]);
    let next = script.accept(STRANGER);
    assert_eq!(script.feed(next, &[0x10, 0x00]), [Received::Consumed]);
}

#[test]
fn a_frame_beyond_the_limit_ends_the_connection_of_the_peer() {
    let mut config = plain(Role::Controlled);
    config.limits.frame = 1_500;
    let mut script = Script::passive(config);
    let id = script.accept(STRANGER);
    let check = script.check(false);
    script.frame(id, &check);
    let long = framed(&[0x80; 1_500]);
    assert!(matches!(script.feed(id, &long)[..], [Received::Data { .. }]));
    assert_eq!(script.feed(id, &[0x05, 0xdd, 0x80]), [Received::Ignored(Ignored::MalformedStun)]);
    assert_eq!(script.closed(), [id]);
}

#[test]
fn many_silent_connections_leave_room_for_others() {
    let mut script = Script::passive(plain(Role::Controlled));
    let accept = |script: &mut Script, port: u16| {
        let from = std::net::SocketAddr::new(addr(STRANGER).ip(), port);
        script.agent.connection_accepted(script.now, addr(HERE), from)
    };
    let first = accept(&mut script, 1).unwrap();
    for port in 2..=16 {
        accept(&mut script, port).unwrap();
    }
    assert_eq!(accept(&mut script, 17), Err(AcceptError::Limit));
    assert_eq!(script.agent.counters().refused(Refused::Connection), 1);
    // One that proves itself makes room.
    let check = script.check(false);
    script.frame(first, &check);
    assert!(accept(&mut script, 17).is_ok());
    assert_eq!(accept(&mut script, 18), Err(AcceptError::Limit));
    script.run_until(ms(10_000));
    assert_eq!(script.closed().len(), 16);
    assert!(!script.closed().contains(&first));
}

#[test]
fn a_connection_to_an_address_that_accepts_none_is_refused() {
    let mut script = Script::passive(plain(Role::Controlled));
    for local in ["192.0.2.1:4001", "192.0.2.3:4000"] {
        let accepted = script.agent.connection_accepted(script.now, addr(local), addr(STRANGER));
        assert_eq!(accepted, Err(AcceptError::UnknownLocal));
    }
}

/// Who knows the password may bring candidates and connections only up to the limits.
#[test]
fn a_peer_that_connects_again_and_again_is_bounded() {
    let mut script = Script::passive(plain(Role::Controlled));
    let mut refused = 0;
    for port in 1..=200_u16 {
        let from = format!("192.0.2.2:{port}");
        match script.agent.connection_accepted(script.now, addr(HERE), addr(&from)) {
            Ok(id) => {
                let check = script.check(false);
                script.frame(id, &check);
            }
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 200 - 64);
    assert!(script.agent.pairs().count() <= 32);
    assert_eq!(script.agent.counters().refused(Refused::PeerReflexiveCandidate), 32);
}

#[test]
fn random_bytes_do_no_harm() {
    let mut seed = 1_u32;
    let mut next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    for _ in 0..50 {
        let mut script = Script::passive(plain(Role::Controlled));
        let id = script.accept(STRANGER);
        for _ in 0..20 {
            let len = usize::from(next());
            let bytes: Vec<u8> = (0..len).map(|_| next() & 0x0f).collect();
            script.feed(id, &bytes);
        }
        script.run_until(ms(20_000));
        assert_eq!(script.closed(), [id]);
        assert!(script.agent.pairs().next().is_none());
    }
}
