//! The same over TCP or TLS: one connection, no repetitions, padded ChannelData.

use super::super::Fact;
use super::*;
use crate::gather::ServerFailure;

impl World {
    /// There is a connection of this number.
    pub(super) fn connect(&mut self, connection: u64) {
        let server = self.client.server();
        self.server.open_connection(self.now, connection, server, self.local).unwrap();
        self.connection = Some(connection);
        self.deframer = Deframer::default();
        self.client.connected(self.now);
    }

    /// A client that has an allocation over a stream.
    pub(super) fn on_stream() -> Self {
        let mut world = Self::new(AllocationConfig { reliable: true, ..client() }, server());
        world.connect(1);
        world.run(1);
        assert!(matches!(world.facts[..], [Fact::Relayed { .. }]), "{:?}", world.facts);
        world.facts.clear();
        world.sent.clear();
        world
    }
}

/// W21
#[test]
fn data_of_any_length_goes_through_a_stream() {
    let mut world = World::on_stream();
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.run(1);
    for channel in [false, true] {
        if channel {
            world.client.bind(world.now, addr(PEER)).unwrap();
            world.run(1);
        }
        for len in 0..10 {
            let payload = vec![7; len];
            let head = world.client.head_for(world.now, addr(PEER), len, &mut world.rng).unwrap();
            assert_eq!((head.as_bytes().len() + len + head.padding().len()) % 4, 0);
            world.to_peers.clear();
            world.from_peers.clear();
            world.send(addr(PEER), &payload);
            world.peer_sends(addr(PEER), &payload);
            assert_eq!(world.to_peers[0].2, payload);
            assert_eq!(world.from_peers, [(addr(PEER), payload)]);
        }
    }
}

/// U22
#[test]
fn nothing_is_repeated_on_a_stream() {
    let mut world = World::new(AllocationConfig { reliable: true, ..client() }, server());
    world.run(60);
    assert_eq!(world.sent.len(), 0, "there is no connection");
    world.server.behaviour_mut().silent = true;
    world.connect(1);
    world.run_until(Timestamp::from_millis(60_000 + 39_499));
    assert_eq!((world.sent.len(), world.facts.len()), (1, 0));
    world.run(1);
    assert!(matches!(world.facts[..], [Fact::Failed { failure: ServerFailure::Timeout, .. }]));
}

#[test]
fn an_allocation_goes_with_its_connection() {
    let mut world = World::on_stream();
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.run(1);
    world.facts.clear();
    world.server.close_connection(world.now, 1);
    world.client.disconnected(world.now);
    world.run(60);
    assert!(matches!(world.facts[..], [Fact::Lost { failure: ServerFailure::Disconnected, .. }]));
    world.connect(2);
    world.run(1);
    world.assert_relays(addr(PEER));
}

#[test]
fn an_hour_goes_by_on_a_stream() {
    let mut world = World::on_stream();
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.client.bind(world.now, addr(PEER)).unwrap();
    world.run(2 * 3600);
    assert!(world.errors(438) > 0);
    assert_eq!(world.server.stats().expired(), 0);
    world.assert_relays(addr(PEER));
}
