//! An hour in which everything is renewed.

use super::*;
use crate::sim::{Probability, TurnMethod};

/// G10, W6, W14, W18, U16: with a tenth of all requests lost, and a nonce that lasts ten minutes.
#[test]
fn data_flows_for_an_hour() {
    let mut world = World::bound();
    let relayed = world.relayed();
    let other = addr("203.0.113.10:1");
    world.client.permit(world.now, other.ip()).unwrap();
    world.run(1);
    world.server.behaviour_mut().nonce_lifetime = Duration::from_secs(600);
    world.server.behaviour_mut().request_loss = Probability::percent(10);
    for _ in 0..360 {
        world.run(10);
        world.assert_relays(addr(PEER));
        world.assert_relays(other);
    }
    assert_eq!(world.relayed(), relayed);
    let stats = world.server.stats();
    assert!(world.errors(438) >= 3, "{}", world.errors(438));
    assert!(stats.successes(TurnMethod::Refresh) >= 6);
    assert!(stats.successes(TurnMethod::CreatePermission) >= 14);
    assert!(stats.successes(TurnMethod::ChannelBind) >= 6);
    assert_eq!(stats.expired(), 0);
    assert!(world.sent.len() < 100, "no more than that takes: {}", world.sent.len());
    // G5
    let first = |sent: &&Sent| {
        let same = |other: &&Sent| other.scan().transaction_id() == sent.scan().transaction_id();
        world.sent.iter().find(same).is_some_and(|other| other.at == sent.at)
    };
    let starts: Vec<Timestamp> = world.sent.iter().filter(first).map(|sent| sent.at).collect();
    assert!(starts.windows(2).all(|two| two[1] - two[0] >= TA), "one in a slot");
}

/// A machine that sleeps wakes up to one late timeout.
#[test]
fn a_sleep_of_a_day_is_one_loss() {
    let mut world = World::bound();
    world.now = world.now + Duration::from_secs(86_400);
    world.server.handle_timeout(world.now);
    world.client.handle_timeout(world.now);
    world.run(2);
    assert_eq!(world.facts.len(), 3, "lost, relayed, permitted: {:?}", world.facts);
    world.assert_relays(addr(PEER));
    assert!(world.sent.len() <= 4, "{}", world.sent.len());
}

/// DESIGN, invariants 2 and 8: a clone does as its original does, to the byte.
#[test]
fn a_clone_goes_the_same_way() {
    let mut world = World::bound();
    let mut clone = world.clone();
    for world in [&mut world, &mut clone] {
        world.server.expire_nonces();
        world.run(3600);
    }
    let bytes =
        |world: &World| world.sent.iter().map(|sent| sent.bytes.clone()).collect::<Vec<_>>();
    assert!(world.sent.len() > 10);
    assert_eq!(bytes(&world), bytes(&clone));
    assert_eq!(world.client.poll_timeout(), clone.client.poll_timeout());
}
