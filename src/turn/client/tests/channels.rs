//! Channels: their numbers, their life, and what goes over them when.

use super::super::{Fact, Refusal};
use super::*;
use crate::sim::{TurnMethod, TurnRefusal};
use crate::stun::attribute::CHANNEL_NUMBER;

fn peer(port: u16) -> SocketAddr {
    SocketAddr::new(addr(PEER).ip(), port)
}

/// W17
#[test]
fn channels_have_numbers_from_0x4000_to_0x4fff() {
    let config = AllocationConfig { channels: 5000, ..client() };
    let mut world = World::new(config, server());
    world.run(1);
    for port in 1..=4096 {
        let channel = world.client.bind(world.now, peer(port)).unwrap();
        assert_eq!(channel, 0x3fff + port);
    }
    assert_eq!(world.client.bind(world.now, peer(4097)), Err(Refusal::LimitReached));
    assert_eq!(world.client.bind(world.now, peer(7)), Ok(0x4006), "the same for the same peer");
}

/// W18
#[test]
fn a_channel_is_renewed_with_the_same_number() {
    let mut world = World::bound();
    world.run(3600);
    let binds: Vec<&Sent> =
        world.sent.iter().filter(|sent| sent.method() == method::CHANNEL_BIND).collect();
    assert!(binds.windows(2).all(|two| two[1].at - two[0].at < Duration::from_secs(600)));
    assert!(binds.len() >= 6);
    for bind in binds {
        assert_eq!(bind.scan().find(CHANNEL_NUMBER), Some(&[0x40, 0, 0, 0][..]));
    }
    assert_eq!(world.server.allocations().next().unwrap().channels, [(0x4000, addr(PEER))]);
}

/// W18
#[test]
fn a_number_rests_for_five_minutes_after_its_end() {
    let config = AllocationConfig { channels: 1, ..client() };
    let mut world = World::new(config, server());
    world.run(1);
    let channel = world.client.bind(world.now, peer(1)).unwrap();
    world.run(1);
    let bound = world.times(method::CHANNEL_BIND)[0];
    world.client.unbind(peer(1));
    world.run_until(bound + Duration::from_secs(899));
    assert_eq!(world.client.bind(world.now, peer(2)), Err(Refusal::LimitReached));
    world.run(2);
    assert_eq!(world.client.bind(world.now, peer(2)), Ok(channel));
    world.run(1);
    assert_eq!(world.server.allocations().next().unwrap().channels, [(channel, peer(2))]);
}

/// W18: the same pair needs no rest.
#[test]
fn a_resting_channel_is_bound_to_its_own_peer_at_any_time() {
    let mut world = World::bound();
    world.client.unbind(addr(PEER));
    world.run(700);
    assert_eq!(world.client.bind(world.now, addr(PEER)), Ok(0x4000));
    world.run(1);
    world.assert_relays(addr(PEER));
}

/// W19, W20
#[test]
fn data_uses_a_channel_when_the_server_may_and_when_it_has_said_so() {
    let mut world = World::permitted();
    let channel = world.client.bind(world.now, addr(PEER)).unwrap();
    world.cut = true;
    world.run(0);
    let head = world.client.head_for(world.now, addr(PEER), 4, &mut world.rng).unwrap();
    assert_eq!(head.as_bytes().len(), 36, "a Send indication");
    let [c0, c1] = channel.to_be_bytes();
    world.give_client(addr(LISTEN), &[c0, c1, 0, 2, 7, 8]);
    assert_eq!(world.from_peers, [(addr(PEER), vec![7, 8])]);
    world.cut = false;
    world.run(1);
    let head = world.client.head_for(world.now, addr(PEER), 4, &mut world.rng).unwrap();
    assert_eq!(head.as_bytes(), [c0, c1, 0, 4]);
}

/// RFC 8656 §12.1: a channel brings its permission, which is renewed before it ends.
#[test]
fn a_channel_alone_permits_its_peer_as_long_as_that_is_wanted() {
    let mut world = World::allocated();
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.client.bind(world.now, addr(PEER)).unwrap();
    for _ in 0..120 {
        world.run(30);
        world.assert_relays(addr(PEER));
    }
}

/// W22
#[test]
fn a_channel_out_of_step_starts_the_allocation_afresh() {
    let mut world = World::permitted();
    let before = world.relayed();
    world.server.refuse(TurnMethod::ChannelBind, TurnRefusal::new(400), 2);
    world.client.bind(world.now, addr(PEER)).unwrap();
    world.run(2);
    assert!(matches!(&world.facts[0], Fact::Lost { failure, .. } if failure.code() == Some(400)));
    assert!(!world.server.is_open(before), "deleted");
    world.assert_relays(addr(PEER));
    // A server that has no channels at all is not asked for ever.
    world.client.bind(world.now, addr(PEER)).unwrap();
    world.run(2);
    assert_eq!(world.client.bind(world.now, addr(PEER)), Err(Refusal::Unavailable));
    world.assert_relays(addr(PEER));
}

#[test]
fn a_channel_that_is_refused_leaves_indications() {
    let mut world = World::permitted();
    world.server.refuse(TurnMethod::ChannelBind, TurnRefusal::new(508), 1);
    world.client.bind(world.now, addr(PEER)).unwrap();
    world.run(1000);
    assert!(matches!(&world.facts[..], [Fact::ChannelRefused { failure, .. }]
        if failure.code() == Some(508)));
    assert_eq!(world.count(method::CHANNEL_BIND), 1);
    world.assert_relays(addr(PEER));
}

/// U5
#[test]
fn ten_things_are_asked_at_once_and_no_more() {
    let mut world = World::allocated();
    world.server.behaviour_mut().silent = true;
    for port in 1..=20 {
        world.client.bind(world.now, peer(port)).unwrap();
    }
    world.run(30);
    let mut ids: Vec<_> = world.sent.iter().map(|sent| sent.scan().transaction_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10);
    assert_eq!(world.client.slot_at(), None);
    world.server.behaviour_mut().silent = false;
    world.run(60);
    assert_eq!(world.server.allocations().next().unwrap().channels.len(), 20);
}
