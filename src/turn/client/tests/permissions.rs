//! Permissions: asked for together, renewed by time, refused one by one.

use core::net::IpAddr;

use super::super::{Fact, Refusal};
use super::*;
use crate::sim::{TurnMethod, TurnRefusal};

fn ip(last: u8) -> IpAddr {
    [203, 0, 113, last].into()
}

/// W15
#[test]
fn what_is_wanted_together_is_asked_for_together() {
    let mut world = World::allocated();
    for last in 1..=20 {
        world.client.permit(world.now, ip(last)).unwrap();
    }
    world.run(1);
    assert_eq!(world.count(method::CREATE_PERMISSION), 3, "eight at a time");
    assert_eq!(world.last_batch(), 4);
    assert!((1..=20).all(|last| world.client.is_permitted(world.now, ip(last))));
    assert!(world.sent.iter().all(|sent| sent.bytes.len() <= 548), "U6");
}

/// W14
#[test]
fn permissions_are_renewed_by_time_be_there_data_or_not() {
    for busy in [false, true] {
        let mut world = World::permitted();
        for _ in 0..600 {
            if busy {
                world.assert_relays(addr(PEER));
            }
            world.run(1);
        }
        let times = world.times(method::CREATE_PERMISSION);
        assert_eq!(times.len(), 2, "every four minutes");
        assert!(times[1] - times[0] < Duration::from_secs(300));
        world.assert_relays(addr(PEER));
    }
}

/// W16
#[test]
fn one_peer_that_is_forbidden_does_not_cost_the_others() {
    let mut config = server();
    config.denied_peers = vec![ip(3)];
    let mut world = World::new(client(), config);
    world.run(1);
    world.facts.clear();
    for last in 1..=5 {
        world.client.permit(world.now, ip(last)).unwrap();
    }
    world.run(2);
    for last in 1..=5 {
        assert_eq!(world.client.is_permitted(world.now, ip(last)), last != 3);
    }
    let refused: Vec<_> = world
        .facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::PermissionRefused { ip, failure } => Some((*ip, failure.code())),
            _ => None,
        })
        .collect();
    assert_eq!(refused, [(ip(3), Some(403))]);
    world.sent.clear();
    world.run(1000);
    assert_eq!(world.count(method::CREATE_PERMISSION), 4, "together again, without that one");
}

/// W16
#[test]
fn a_renewal_that_is_refused_takes_nothing_away() {
    let mut world = World::permitted();
    world.client.permit(world.now, ip(10)).unwrap();
    world.run(1);
    world.facts.clear();
    world.server.refuse(TurnMethod::CreatePermission, TurnRefusal::new(403), 2);
    // Together, then the first alone.
    world.run(245);
    assert!(matches!(world.facts[..], [Fact::PermissionRefused { .. }]));
    assert!(
        world.client.is_permitted(world.now, ip(9)) && world.client.is_permitted(world.now, ip(10))
    );
    world.run(100);
    assert!(!world.client.is_permitted(world.now, ip(9)), "it has expired");
    assert!(world.client.is_permitted(world.now, ip(10)));
}

/// W25
#[test]
fn nothing_is_sent_without_a_permission() {
    let mut world = World::allocated();
    let peer = addr(PEER);
    let head = |world: &mut World| world.client.head_for(world.now, peer, 1, &mut world.rng);
    assert!(head(&mut world).is_err());
    world.cut = true;
    world.client.permit(world.now, peer.ip()).unwrap();
    world.run(1);
    assert!(head(&mut world).is_err(), "the server has not answered");
    world.cut = false;
    world.run(1);
    assert!(head(&mut world).is_ok());
    world.cut = true;
    world.run(300);
    assert!(head(&mut world).is_err(), "it has expired");
    world.cut = false;
    world.run(60);
    assert!(head(&mut world).is_ok());
}

#[test]
fn what_is_not_wanted_any_more_is_not_renewed() {
    let mut world = World::permitted();
    world.client.forget(addr(PEER).ip());
    world.run(301);
    assert_eq!(world.count(method::CREATE_PERMISSION), 0);
    assert!(!world.client.is_permitted(world.now, addr(PEER).ip()));
}

/// W30
#[test]
fn nothing_is_permitted_to_this_machine_or_to_everybody() {
    let mut world = World::allocated();
    for ip in ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"] {
        let refusal = world.client.permit(world.now, ip.parse().unwrap());
        assert_eq!(refusal, Err(Refusal::Forbidden), "{ip}");
    }
    let v6 = addr(PEER_V6).ip();
    assert_eq!(world.client.permit(world.now, v6), Err(Refusal::WrongFamily));
    let mapped = "::ffff:203.0.113.9".parse().unwrap();
    assert_eq!(world.client.permit(world.now, mapped), Ok(()));
    let mut local = World::new(AllocationConfig { allow_loopback: true, ..client() }, server());
    assert_eq!(local.client.permit(at(0), [127, 0, 0, 1].into()), Ok(()));
}

/// W30: a loop through the server, or back to the allocation.
#[test]
fn nothing_is_sent_to_the_server_through_the_server() {
    let mut world = World::allocated();
    let loops = [addr(LISTEN), world.relayed()];
    world.client.permit(world.now, addr(LISTEN).ip()).unwrap();
    world.run(1);
    for peer in loops {
        assert_eq!(world.client.bind(world.now, peer), Err(Refusal::Forbidden));
        let head = world.client.head_for(world.now, peer, 1, &mut world.rng);
        assert_eq!(head, Err(super::super::Unsendable::Loop));
    }
    let other = SocketAddr::new(addr(LISTEN).ip(), 60_000);
    world.client.bind(world.now, other).unwrap();
}

#[test]
fn there_are_no_more_permissions_than_the_limit() {
    let mut world = World::new(AllocationConfig { permissions: 3, ..client() }, server());
    world.run(1);
    for last in 1..=3 {
        world.client.permit(world.now, ip(last)).unwrap();
    }
    assert_eq!(world.client.permit(world.now, ip(4)), Err(Refusal::LimitReached));
    world.client.permit(world.now, ip(1)).unwrap();
    world.run(1);
    world.client.forget(ip(1));
    world.run(301);
    world.client.permit(world.now, ip(4)).unwrap();
}
