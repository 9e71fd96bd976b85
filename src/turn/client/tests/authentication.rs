//! The long-term mechanism, as the client lives through it.

use super::super::Fact;
use super::*;
use crate::gather::{Rejected, ServerFailure};
use crate::sim::{PasswordAlgorithm, TurnMethod, TurnRefusal, TurnTamper};
use crate::stun::attribute::{NONCE, PASSWORD_ALGORITHMS, REALM, USERHASH, USERNAME};
use crate::stun::long_term::SecurityFeatures;
use crate::stun::{Class, Writer};

/// U18, U19: both algorithms, both ways to say one's name, and a server that knows none of that.
#[test]
fn every_kind_of_server_is_satisfied() {
    use PasswordAlgorithm::{Md5, Sha256};
    for algorithms in [vec![], vec![Md5], vec![Sha256], vec![Sha256, Md5], vec![Md5, Sha256]] {
        for username_anonymity in [false, true] {
            let mut config = server();
            config.password_algorithms = algorithms.clone();
            config.username_anonymity = username_anonymity;
            let mut world = World::new(client(), config);
            world.run(1);
            assert!(world.server.is_open(world.relayed()));
            let scan = world.sent[1].scan();
            assert_eq!(scan.find(USERHASH).is_some(), username_anonymity);
            assert_eq!(scan.find(USERNAME).is_some(), !username_anonymity);
            assert_eq!(scan.has_integrity_sha256(), !algorithms.is_empty());
            assert_eq!(scan.has_integrity(), algorithms.is_empty());
            assert_eq!(scan.find(PASSWORD_ALGORITHMS).is_some(), !algorithms.is_empty());
        }
    }
}

/// U19: names and passwords are compared as OpaqueString prepares them.
#[test]
fn another_way_to_write_the_same_name_and_password_is_the_same() {
    let config = TurnServerConfig::new(addr(LISTEN)).with_user("jos\u{e9}", "a\u{a0}b");
    let credentials = LongTermCredentials::new("jose\u{301}", "a b").unwrap();
    let config_of_client = AllocationConfig { credentials: Some(credentials), ..client() };
    let mut world = World::new(config_of_client, config);
    world.run(1);
    assert!(world.server.is_open(world.relayed()));
}

/// U15
#[test]
fn a_wrong_password_is_tried_once() {
    let credentials = LongTermCredentials::new("alice", "wrong").unwrap();
    let config = AllocationConfig { credentials: Some(credentials), ..client() };
    let mut world = World::new(config, server());
    world.run(3600);
    assert_eq!(world.count(method::ALLOCATE), 2);
    assert!(matches!(&world.facts[..], [Fact::Failed { failure, retry: None }]
            if failure.code() == Some(401)));
    world.client.update_credentials(world.now, alice());
    world.run(1);
    assert!(world.server.is_open(world.relayed()), "new credentials are another chance");
}

/// U15
#[test]
fn without_credentials_a_challenge_is_the_end() {
    let mut world = World::new(AllocationConfig { credentials: None, ..client() }, server());
    world.run(3600);
    assert_eq!(world.count(method::ALLOCATE), 1);
    assert!(matches!(world.facts[..], [Fact::Failed { retry: None, .. }]));
}

/// U16: whatever is asked next, the new nonce is taken and the request asked again.
#[test]
fn a_stale_nonce_is_renewed_in_every_method() {
    let mut world = World::bound();
    world.server.expire_nonces();
    world.client.permit(world.now, [203, 0, 113, 10].into()).unwrap();
    world.run(1);
    assert_eq!(world.errors(438), 1);
    world.server.expire_nonces();
    world.client.bind(world.now, addr("203.0.113.10:1")).unwrap();
    world.run(1);
    assert_eq!(world.errors(438), 2);
    world.server.expire_nonces();
    world.run(600);
    assert_eq!(world.errors(438), 3);
    world.server.expire_nonces();
    world.client.close(world.now);
    world.run(1);
    assert_eq!(world.errors(438), 4);
    assert_eq!(world.server.allocations().count(), 0);
    assert_eq!(world.facts.last(), Some(&Fact::Closed));
}

/// U16
#[test]
fn a_server_that_finds_every_nonce_stale_is_left_in_the_end() {
    for (method, number) in [
        (TurnMethod::Refresh, method::REFRESH),
        (TurnMethod::CreatePermission, method::CREATE_PERMISSION),
        (TurnMethod::ChannelBind, method::CHANNEL_BIND),
    ] {
        let mut world = World::bound();
        let refusal = TurnRefusal::new(438);
        world.server.refuse(method, refusal, u32::MAX);
        let before = world.now;
        // Up to the refresh, which is the last of the three.
        world.run(600);
        let times = world.times(number);
        assert!(times.len() >= 5, "{times:?}");
        let hasty = times.windows(5).filter(|five| five[4] - five[0] < Duration::from_secs(5));
        assert!(times[0] > before && hasty.count() <= times.len() / 5 + 1, "pauses: {times:?}");
        assert!(times.len() < 5 * 40, "bounded: {}", times.len());
        world.server.refuse(method, TurnRefusal::new(438), 0);
        world.run(120);
        world.assert_relays_again();
    }
}

impl World {
    /// It works, or will after the agent has asked for what was lost.
    fn assert_relays_again(&mut self) {
        self.client.permit(self.now, addr(PEER).ip()).unwrap();
        self.run(1);
        self.assert_relays(addr(PEER));
    }
}

/// U16: what counts is stale nonces in a row.
#[test]
fn a_nonce_may_go_stale_as_often_as_it_likes() {
    let mut world = World::allocated();
    for round in 1..=20 {
        world.server.expire_nonces();
        world.client.permit(world.now, [203, 0, 113, round].into()).unwrap();
        world.run(1);
        assert_eq!(world.errors(438), u64::from(round));
        assert!(world.client.is_permitted(world.now, [203, 0, 113, round].into()));
    }
}

/// What somebody without the password answers to the first request.
fn forged(world: &World, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let id = world.sent.last().unwrap().scan().transaction_id();
    let method = world.sent.last().unwrap().method();
    let mut writer = Writer::new(&mut bytes, Class::Error, method, id);
    write(&mut writer);
    writer.finish();
    bytes
}

fn challenge(writer: &mut Writer<'_>, code: u16, features: SecurityFeatures) {
    let nonce = [&features.cookie()[..], b"nonce"].concat();
    writer.error_code(code, "").attribute(REALM, b"frazil.test").attribute(NONCE, &nonce);
}

/// U17
#[test]
fn a_challenge_without_the_algorithms_that_it_announces_is_ignored() {
    let mut world = World::new(client(), server());
    world.cut = true;
    world.run(0);
    let features = SecurityFeatures { password_algorithms: true, username_anonymity: false };
    let stripped = forged(&world, |writer| challenge(writer, 401, features));
    world.give_client(addr(LISTEN), &stripped);
    assert_eq!(world.client.rejections().of(Rejected::BidDown), 1);
    world.run(30);
    assert!(world.sent.iter().all(|sent| sent.bytes == world.sent[0].bytes), "nothing new");
    world.cut = false;
    world.run(10);
    assert!(world.server.is_open(world.relayed()), "the true answer was waited for");
}

/// U17: having had SHA-256, nobody makes the client say less.
#[test]
fn a_stale_nonce_cannot_take_the_algorithms_back() {
    let mut world = World::allocated();
    world.cut = true;
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.run(1);
    let stripped = forged(&world, |writer| {
        writer.error_code(438, "").attribute(REALM, b"frazil.test").attribute(NONCE, b"old");
    });
    world.give_client(addr(LISTEN), &stripped);
    assert_eq!(world.client.rejections().of(Rejected::BidDown), 1);
    world.cut = false;
    world.run(10);
    assert!(world.client.is_permitted(world.now, addr(PEER).ip()));
    assert!(world.sent.iter().all(|sent| sent.scan().has_integrity_sha256()));
}

/// U26
#[test]
fn errors_without_integrity_change_nothing_after_authentication() {
    for code in [300, 400, 403, 420, 437, 441, 486, 500, 508] {
        let mut world = World::allocated();
        let relayed = world.relayed();
        world.cut = true;
        world.client.permit(world.now, addr(PEER).ip()).unwrap();
        world.run(1);
        let lie = forged(&world, |writer| {
            writer.error_code(code, "");
        });
        world.give_client(addr(LISTEN), &lie);
        assert_eq!(world.client.rejections().of(Rejected::Unauthenticated), 1, "{code}");
        world.cut = false;
        world.run(10);
        assert_eq!(world.facts, [Fact::Permitted { ip: addr(PEER).ip() }]);
        assert_eq!(world.relayed(), relayed);
    }
}

/// RFC 8489 §9.2.5: "the layer MUST signal that the integrity protection was violated".
#[test]
fn answers_that_are_never_authentic_are_not_called_silence() {
    for tamper in [TurnTamper::ForeignKey, TurnTamper::NoIntegrity] {
        let mut world = World::new(client(), server());
        world.server.behaviour_mut().tamper = Some(tamper);
        world.run(45);
        let [Fact::Failed { failure: ServerFailure::IntegrityViolated, .. }] = world.facts[..]
        else {
            panic!("{:?}", world.facts)
        };
        world.server.behaviour_mut().tamper = None;
        // The server has made the allocation, of which the client does not know.
        world.run(120);
        assert_eq!(world.facts[1..], [Fact::NeedsPort]);
        world.moves_to("192.0.2.1:5001");
        world.run(1);
        assert!(world.server.is_open(world.relayed()));
    }
}
