//! How an allocation stays, how it is lost, and how it ends.

use super::super::{Fact, Families};
use super::*;
use crate::gather::ServerFailure;
use crate::sim::{TurnMethod, TurnRefusal};
use crate::stun::attribute::{LIFETIME, REQUESTED_ADDRESS_FAMILY};
use crate::stun::turn::Family;

/// The code of the first fact, which tells a loss.
fn lost(world: &World) -> Option<u16> {
    match &world.facts[0] {
        Fact::Lost { failure, .. } => failure.code(),
        fact => panic!("no loss: {fact:?}"),
    }
}

/// W5
#[test]
fn the_lifetime_is_what_the_server_says() {
    for (lifetime, refreshed) in [(120, 60), (600, 540), (3600, 3540), (20, 10)] {
        let mut world = World::new(client(), server());
        let lifetime = Duration::from_secs(lifetime);
        world.server.behaviour_mut().default_lifetime = lifetime;
        world.run_until(at(refreshed) + TA);
        let first = world.times(method::REFRESH)[0];
        assert_eq!(first, at(refreshed) + TA, "{lifetime:?}");
    }
}

#[test]
fn a_longer_lifetime_can_be_asked_for() {
    let mut world = World::new(AllocationConfig { lifetime: Some(1800), ..client() }, server());
    world.run(3000);
    assert_eq!(world.times(method::REFRESH), [at(1740) + TA]);
    let lifetimes = world.sent.iter().map(|sent| sent.scan().find(LIFETIME).unwrap());
    assert!(lifetimes.into_iter().all(|lifetime| lifetime == 1800_u32.to_be_bytes()));
}

/// W6, G10
#[test]
fn an_allocation_stays_until_it_is_closed() {
    let mut world = World::allocated();
    let relayed = world.relayed();
    world.run(3 * 3600);
    assert_eq!(world.relayed(), relayed);
    assert_eq!(world.server.stats().expired(), 0);
    assert_eq!(world.facts, []);
    world.sent.clear();
    world.client.close(world.now);
    world.run(1);
    assert!(world.sent.iter().all(|sent| sent.scan().find(LIFETIME) == Some(&[0; 4])));
    assert_eq!(world.server.allocations().count(), 0);
    assert_eq!(world.facts, [Fact::Closed]);
    world.run(3600);
    assert!(world.client.is_closed());
    assert_eq!(world.client.slot_at(), None);
    assert_eq!(world.client.poll_timeout(), None);
}

/// W6: a client that is closed before it knows of its allocation gives it back all the same.
#[test]
fn what_comes_after_the_end_is_given_back() {
    let mut world = World::new(client(), server());
    world.server.behaviour_mut().response_delay = Duration::from_millis(200);
    world.run_until(Timestamp::from_millis(300));
    assert_eq!(world.server.allocations().count(), 1);
    world.client.close(world.now);
    world.run(2);
    assert_eq!(world.facts, [Fact::Closed]);
    assert_eq!(world.server.allocations().count(), 0);
}

/// W8: it was deleted by a request whose answer was lost.
#[test]
fn a_mismatch_on_deletion_is_success() {
    let mut world = World::allocated();
    world.server.crash();
    world.client.close(world.now);
    world.run(1);
    assert_eq!(world.errors(437), 1);
    assert_eq!(world.facts, [Fact::Closed]);
}

#[test]
fn a_server_that_is_gone_does_not_keep_the_client() {
    let mut world = World::allocated();
    world.cut = true;
    world.client.close(world.now);
    world.run(41);
    assert_eq!(world.facts, [Fact::Closed]);
}

/// W8: whichever method finds it out.
#[test]
fn an_allocation_that_is_gone_is_replaced() {
    for method in [TurnMethod::Refresh, TurnMethod::CreatePermission, TurnMethod::ChannelBind] {
        let mut world = World::permitted();
        let before = world.relayed();
        world.server.crash();
        match method {
            TurnMethod::Refresh => world.run(600),
            TurnMethod::CreatePermission => {
                world.client.permit(world.now, [203, 0, 113, 10].into()).unwrap();
            }
            _ => {
                world.client.bind(world.now, addr(PEER)).unwrap();
            }
        }
        world.run(5);
        assert_eq!(lost(&world), Some(437), "{method:?}");
        assert_ne!(world.relayed(), before);
        assert!(world.facts.iter().any(|fact| matches!(fact, Fact::Relayed { .. })));
        // What was wanted of the old one is wanted of the new one.
        world.assert_relays(addr(PEER));
    }
}

/// What the server refuses for the time being is asked again, for as long as there is time.
#[test]
fn a_refresh_that_is_refused_is_tried_again() {
    let mut world = World::allocated();
    let relayed = world.relayed();
    world.server.refuse(TurnMethod::Refresh, TurnRefusal::new(403), 3);
    world.run(1000);
    assert_eq!(world.relayed(), relayed);
    assert_eq!(world.facts, []);
}

/// The allocation is not believed longer than the server has promised it.
#[test]
fn an_allocation_that_cannot_be_refreshed_expires() {
    let mut world = World::allocated();
    world.cut = true;
    world.run(700);
    assert!(matches!(world.facts[0], Fact::Lost { failure: ServerFailure::Expired, .. }));
    assert!(matches!(world.facts[1], Fact::Failed { failure: ServerFailure::Timeout, .. }));
    world.cut = false;
    world.run(120);
    assert!(world.server.is_open(world.relayed()));
}

/// W26
#[test]
fn an_allocation_of_somebody_else_is_left() {
    let mut world = World::allocated();
    world.server.refuse(TurnMethod::Refresh, TurnRefusal::new(441), 1);
    world.run(600);
    assert_eq!(lost(&world), Some(441));
    assert_eq!(world.facts[1..], [Fact::NeedsPort]);
    world.moves_to("192.0.2.1:5001");
    world.run(1);
    assert!(world.server.is_open(world.relayed()));
}

/// W27
#[test]
fn another_local_address_needs_another_allocation() {
    let mut world = World::permitted();
    world.moves_to("192.0.2.7:5000");
    world.run(1);
    assert!(matches!(world.facts[0], Fact::Lost { failure: ServerFailure::Disconnected, .. }));
    world.assert_relays(addr(PEER));
}

/// W7
#[test]
fn one_family_of_two_can_be_given_back() {
    let families = Families::Both;
    let mut world = World::new(AllocationConfig { families, ..client() }, server());
    world.run(1);
    for peer in [PEER, PEER_V6] {
        world.client.permit(world.now, addr(peer).ip()).unwrap();
        world.client.bind(world.now, addr(peer)).unwrap();
    }
    world.run(1);
    world.assert_relays(addr(PEER));
    // Both are refreshed in one request that names none of them.
    world.run(600);
    let refresh = world.sent.iter().rfind(|sent| sent.method() == method::REFRESH).unwrap();
    assert_eq!(refresh.scan().find(REQUESTED_ADDRESS_FAMILY), None);
    assert_eq!(world.server.allocations().next().unwrap().relayed.len(), 2);

    world.sent.clear();
    world.client.release_family(world.now, Family::V6);
    world.run(1);
    let scan = world.sent[0].scan();
    assert_eq!(scan.find(LIFETIME), Some(&[0; 4][..]));
    assert_eq!(scan.find(REQUESTED_ADDRESS_FAMILY), Some(&[2, 0, 0, 0][..]));
    let held = world.server.allocations().next().unwrap();
    assert_eq!(held.relayed.len(), 1);
    assert_eq!(held.permissions, [addr(PEER).ip()]);
    assert_eq!(held.channels.len(), 1);
    world.run(3600);
    world.assert_relays(addr(PEER));
    world.client.permit(world.now, addr(PEER_V6).ip()).unwrap_err();
}
