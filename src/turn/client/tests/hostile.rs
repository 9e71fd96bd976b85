//! Answers that are broken, forged or contradictory: they are counted, and what is good stays.

use super::super::Fact;
use super::*;
use crate::gather::Rejected;
use crate::sim::TurnTamper;

/// Lets a refresh be answered wrongly, and then rightly.
fn tampered(tamper: TurnTamper) -> World {
    let mut world = World::permitted();
    let relayed = world.relayed();
    world.server.behaviour_mut().tamper = Some(tamper);
    world.run(570);
    world.server.behaviour_mut().tamper = None;
    world.run(60);
    assert_eq!(world.relayed(), relayed, "{tamper:?}");
    assert!(!world.facts.iter().any(|fact| matches!(fact, Fact::Lost { .. })));
    world.assert_relays(addr(PEER));
    world
}

#[test]
fn truncated_answers_are_malformed() {
    let mut malformed = 0;
    for len in [1, 4, 19, 20, 24, 40] {
        let world = tampered(TurnTamper::Truncate(len));
        let rejections = world.client.rejections();
        malformed += rejections.of(Rejected::Malformed);
        assert!(rejections.of(Rejected::Malformed) + rejections.of(Rejected::NotTurn) > 0);
    }
    assert!(malformed > 0);
}

#[test]
fn noise_is_not_understood() {
    let world = tampered(TurnTamper::Noise);
    assert!(world.client.rejections().all().map(|(_, count)| count).sum::<u32>() > 0);
}

#[test]
fn forged_answers_are_not_authentic() {
    for tamper in [TurnTamper::ForeignKey, TurnTamper::NoIntegrity] {
        let world = tampered(tamper);
        assert!(world.client.rejections().of(Rejected::Unauthenticated) > 0);
    }
}

#[test]
fn answers_to_nobody_are_not_taken() {
    let world = tampered(TurnTamper::OtherTransaction);
    assert!(world.client.rejections().of(Rejected::UnknownTransaction) > 0);
}

#[test]
fn answers_from_elsewhere_are_not_taken() {
    let mut world = World::permitted();
    world.server.behaviour_mut().answer_from = Some(addr("198.51.100.66:3478"));
    world.run(570);
    world.server.behaviour_mut().answer_from = None;
    assert!(world.client.rejections().of(Rejected::Foreign) > 0);
    world.run(60);
    world.assert_relays(addr(PEER));
}

/// W5
#[test]
fn a_lifetime_of_nothing_is_no_lifetime() {
    let mut world = World::permitted();
    let relayed = world.relayed();
    world.server.behaviour_mut().told_lifetime = Some(0);
    world.run(560);
    assert!(world.client.rejections().of(Rejected::Contradictory) > 0);
    world.server.behaviour_mut().told_lifetime = None;
    world.run(3600);
    assert_eq!(world.relayed(), relayed);
    world.assert_relays(addr(PEER));
    assert!(world.count(method::REFRESH) < 20);
}

/// W5
#[test]
fn an_endless_lifetime_is_not_believed() {
    let mut world = World::new(client(), server());
    world.server.behaviour_mut().default_lifetime = Duration::from_secs(3600);
    world.server.behaviour_mut().told_lifetime = Some(u32::MAX);
    world.server.behaviour_mut().nonce_lifetime = Duration::from_secs(86_400);
    world.run(10 * 3600);
    assert_eq!(world.facts.len(), 1, "{:?}", world.facts);
    assert_eq!(world.count(method::REFRESH), 10);
    assert_eq!(world.server.stats().expired(), 0);
}

/// W5: as short as can be, it is no storm.
#[test]
fn a_lifetime_of_a_second_is_no_storm() {
    let mut world = World::new(client(), server());
    world.server.behaviour_mut().told_lifetime = Some(1);
    world.run(60);
    assert!(world.sent.len() <= 130, "{}", world.sent.len());
}

/// An allocation without a lifetime is none.
#[test]
fn an_allocation_that_has_ended_already_is_given_back() {
    let mut world = World::new(client(), server());
    world.server.behaviour_mut().told_lifetime = Some(0);
    world.run(5);
    assert!(matches!(world.facts[..], [Fact::Failed { retry: None, .. }]));
    assert_eq!(world.server.allocations().count(), 0);
}

/// U22: over a stream nothing is repeated, so that a broken answer ends what was asked.
#[test]
fn a_forged_answer_on_a_stream_ends_what_was_asked() {
    let mut world = World::on_stream();
    let relayed = world.relayed();
    world.server.behaviour_mut().tamper = Some(TurnTamper::NoIntegrity);
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.run(1);
    assert!(matches!(world.facts[..], [Fact::PermissionRefused { .. }]));
    world.server.behaviour_mut().tamper = None;
    world.run(20);
    assert_eq!(world.relayed(), relayed);
    world.assert_relays(addr(PEER));
}
