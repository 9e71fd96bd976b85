//! Allocate requests and what servers say to them.

use super::super::{Fact, Families};
use super::*;
use crate::gather::{Rejected, ServerFailure};
use crate::sim::{TurnMethod, TurnRefusal};
use crate::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, DONT_FRAGMENT, EVEN_PORT, REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT, RESERVATION_TOKEN, USERNAME,
};
use crate::stun::turn::Family;

fn refused(code: u16, requests: u32) -> World {
    let mut world = World::new(client(), server());
    world.server.refuse(TurnMethod::Allocate, TurnRefusal::new(code), requests);
    world
}

fn retry_of(fact: &Fact) -> (Option<u16>, Option<Timestamp>) {
    match fact {
        Fact::Failed { failure, retry } => (failure.code(), *retry),
        fact => panic!("no failure: {fact:?}"),
    }
}

/// W1
#[test]
fn an_allocation_is_there_after_one_challenge() {
    let mut world = World::new(client(), server());
    world.run(1);
    let relayed = world.relayed();
    let mapped = addr(CLIENT);
    assert_eq!(world.facts, [Fact::Relayed { relayed: [relayed].into_iter().collect(), mapped }]);
    assert!(world.server.is_open(relayed));
    assert_eq!(world.count(method::ALLOCATE), 2);
    for sent in &world.sent {
        assert_eq!(sent.scan().find(REQUESTED_TRANSPORT), Some(&[17, 0, 0, 0][..]));
    }
    assert_eq!(world.sent[0].scan().find(USERNAME), None);
    assert_eq!(world.errors(401), 1);
}

/// G5: the answer to a challenge is a transaction of its own, and waits for its slot.
#[test]
fn the_second_request_waits_for_the_next_slot() {
    let mut world = World::new(client(), server());
    world.run(1);
    assert_eq!(world.times(method::ALLOCATE), [at(0), at(0) + TA]);
}

/// W2
#[test]
fn families_are_asked_for_in_one_way_at_a_time() {
    for (families, requested, additional, relayed) in [
        (Families::V4, false, false, 1),
        (Families::V6, true, false, 1),
        (Families::Both, false, true, 2),
    ] {
        let mut world = World::new(AllocationConfig { families, ..client() }, server());
        world.run(1);
        assert_eq!(world.client.relayed().len(), relayed);
        for sent in &world.sent {
            let scan = sent.scan();
            let has = |kind| scan.find(kind).is_some();
            assert_eq!(has(REQUESTED_ADDRESS_FAMILY), requested);
            assert_eq!(has(ADDITIONAL_ADDRESS_FAMILY), additional);
            assert!(!has(EVEN_PORT) && !has(RESERVATION_TOKEN));
            let only = [Some(&[2, 0, 0, 0][..]), None];
            assert!(only.contains(&scan.find(ADDITIONAL_ADDRESS_FAMILY)));
        }
    }
}

/// W4
#[test]
fn half_of_a_dual_allocation_is_used() {
    let mut config = server();
    config.relay_ipv6 = None;
    let families = Families::Both;
    let mut world = World::new(AllocationConfig { families, ..client() }, config);
    world.run(1);
    assert!(world.relayed().is_ipv4());
    assert_eq!(world.facts[1..], [Fact::FamilyRefused { family: Family::V6, code: 440 }]);
    world.run(120);
    assert_eq!(world.count(method::ALLOCATE), 2, "not asked for again");
}

/// W11
#[test]
fn what_is_refused_for_good_is_not_asked_again() {
    for code in [400, 403, 420, 440, 441, 442] {
        let mut world = refused(code, 100);
        world.run(3600);
        assert_eq!(world.count(method::ALLOCATE), 2, "{code}");
        assert_eq!(world.facts.len(), 1);
        assert_eq!(retry_of(&world.facts[0]), (Some(code), None));
    }
}

#[test]
fn what_was_refused_for_good_is_asked_when_the_owner_says_so() {
    let mut world = refused(403, 1);
    world.run(600);
    world.client.retry(world.now);
    world.run(1);
    assert!(world.server.is_open(world.relayed()));
}

/// W10
#[test]
fn a_full_server_is_left_alone_for_a_minute() {
    for code in [486, 508] {
        let mut world = refused(code, 1);
        world.run(59);
        assert_eq!(world.count(method::ALLOCATE), 2);
        let retry = at(60) + TA;
        assert_eq!(retry_of(&world.facts[0]), (Some(code), Some(retry)));
        world.run(2);
        assert_eq!(world.times(method::ALLOCATE)[2], retry);
        assert!(world.server.is_open(world.relayed()));
    }
}

/// W9
#[test]
fn a_mismatch_asks_for_three_ports_and_then_for_patience() {
    let mut world = refused(437, 3);
    world.run(5);
    assert_eq!(world.facts, [Fact::NeedsPort]);
    world.moves_to("192.0.2.1:5001");
    world.run(5);
    assert_eq!(world.facts, [Fact::NeedsPort, Fact::NeedsPort]);
    world.moves_to("192.0.2.1:5002");
    world.run(5);
    let (code, retry) = retry_of(&world.facts[2]);
    assert_eq!(code, Some(437));
    let before = world.count(method::ALLOCATE);
    world.run_until(retry.unwrap() + Duration::from_secs(1));
    assert!(retry.unwrap() >= at(130), "two minutes: {retry:?}");
    assert_eq!(world.times(method::ALLOCATE)[before], retry.unwrap());
    assert!(world.server.is_open(world.relayed()));
    let mut ids: Vec<_> = world.sent.iter().map(|sent| sent.scan().transaction_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), world.sent.len(), "no transaction id is used twice");
}

/// W13
#[test]
fn a_server_without_dont_fragment_is_asked_without() {
    let mut config = server();
    config.dont_fragment = false;
    let mut world = World::new(AllocationConfig { dont_fragment: true, ..client() }, config);
    world.run(1);
    let asked: Vec<bool> =
        world.sent.iter().map(|sent| sent.scan().find(DONT_FRAGMENT).is_some()).collect();
    assert_eq!(asked, [true, true, false]);
    assert!(world.server.is_open(world.relayed()));
}

/// U2, W12
#[test]
fn a_silent_server_is_asked_seven_times() {
    let mut world = World::new(client(), server());
    world.server.behaviour_mut().silent = true;
    world.run_until(Timestamp::from_millis(39_499));
    let times: Vec<u64> = world.sent.iter().map(|sent| sent.at.as_nanos() / 1_000_000).collect();
    assert_eq!(times, [0, 500, 1500, 3500, 7500, 15_500, 31_500]);
    assert!(world.sent.iter().all(|sent| sent.bytes == world.sent[0].bytes), "the same bytes");
    assert_eq!(world.facts, []);
    world.run(1);
    let [Fact::Failed { failure: ServerFailure::Timeout, retry: Some(_) }] = world.facts[..] else {
        panic!("{:?}", world.facts)
    };
}

/// U14
#[test]
fn a_faulty_server_is_asked_four_times_more() {
    let mut world = refused(500, 5);
    world.run(20);
    assert_eq!(world.count(method::ALLOCATE), 6, "the challenge, the request, and four more");
    assert_eq!(retry_of(&world.facts[0]).0, Some(500));
    let mut world = refused(500, 4);
    world.run(20);
    assert!(world.server.is_open(world.relayed()));
}

/// W3
#[test]
fn a_family_that_nobody_asked_for_is_given_back() {
    let families = Families::Both;
    let mut both = World::new(AllocationConfig { families, ..client() }, server());
    both.run(0);
    // What was asked for is both families, and what comes is not wanted any more.
    both.client.config.families = Families::V6;
    both.run(5);
    let unusable = Fact::Failed { failure: ServerFailure::Unusable, retry: None };
    assert_eq!(both.facts, [unusable]);
    assert_eq!(both.client.rejections().of(Rejected::Contradictory), 1);
    assert_eq!(both.server.allocations().count(), 0, "deleted");
    both.run(600);
    assert_eq!(both.count(method::ALLOCATE), 2, "and not asked for again");
}

/// U4
#[test]
fn an_unreachable_server_fails_at_once() {
    let mut world = World::new(client(), server());
    world.cut = true;
    world.run(1);
    let id = world.sent[0].scan().transaction_id();
    world.client.unreachable(world.now, Some(crate::stun::TransactionId::new([9; 12])));
    world.pump();
    assert_eq!(world.facts, [], "not what was asked");
    world.client.unreachable(world.now, Some(id));
    world.pump();
    assert!(matches!(world.facts[..], [Fact::Failed { failure: ServerFailure::Unreachable, .. }]));
}
