//! Application data: what stands before it, what is taken from it, and what that costs.

use super::super::{Families, FromServer, Head, PeerError, Unsendable};
use super::*;
use crate::gather::Rejected;
use crate::sim::TurnIcmp;
use crate::stun::attribute::{DATA, DONT_FRAGMENT, ICMP, XOR_PEER_ADDRESS, xor_address};
use crate::stun::{Class, TransactionId, Writer};

fn indication(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let id = TransactionId::new([5; 12]);
    let mut writer = Writer::new(&mut bytes, Class::Indication, method::DATA, id);
    write(&mut writer);
    writer.finish();
    bytes
}

/// W29: with head and padding it is the message that a writer would have written.
#[test]
fn a_head_and_a_payload_are_a_send_indication() {
    for dont_fragment in [false, true] {
        let families = Families::Both;
        let config = AllocationConfig { families, dont_fragment, ..client() };
        let mut world = World::new(config, server());
        world.run(1);
        for (peer, len) in [(PEER, 0), (PEER, 1), (PEER_V6, 2), (PEER_V6, 1200)] {
            let peer = addr(peer);
            world.client.permit(world.now, peer.ip()).unwrap();
            world.run(1);
            let payload = vec![7; len];
            let head = world.client.head_for(world.now, peer, len, &mut world.rng).unwrap();
            assert!(head.as_bytes().len() <= 48);
            assert_eq!(head.as_bytes().len(), world.client.overhead(world.now, peer));
            let bytes = [head.as_bytes(), &payload, head.padding()].concat();
            let scan = scan(&bytes).unwrap();
            let id = scan.transaction_id();
            assert_eq!((scan.class(), scan.method()), (Class::Indication, method::SEND));
            assert_eq!(scan.find(XOR_PEER_ADDRESS).and_then(|v| xor_address(v, &id)), Some(peer));
            assert_eq!(scan.find(DATA), Some(&payload[..]));
            assert_eq!(scan.find(DONT_FRAGMENT).is_some(), dont_fragment && peer.is_ipv4());
            assert_eq!(
                world.client.head_for(world.now, peer, 65_536, &mut world.rng),
                Err(Unsendable::TooLarge)
            );
            world.assert_relays(peer);
        }
    }
}

/// W29
#[test]
fn a_channel_costs_four_bytes() {
    let mut world = World::bound();
    let head: Head = world.client.head_for(world.now, addr(PEER), 9, &mut world.rng).unwrap();
    assert_eq!((head.as_bytes().len(), head.padding()), (4, &[][..]));
    assert_eq!(world.client.overhead(world.now, addr(PEER)), 4);
    assert_eq!(world.client.overhead(world.now, addr("203.0.113.9:1")), 36);
}

/// DESIGN: nothing is allocated for data in either direction, with or without a channel.
#[test]
fn relayed_data_allocates_nothing() {
    for mut world in [World::permitted(), World::bound()] {
        let (now, peer) = (world.now, addr(PEER));
        world.server.handle_datagram(now, world.relayed(), peer, &[7; 1000]);
        let (_, incoming) = world.server.poll_transmit().unwrap();
        let World { client, rng, .. } = &mut world;
        let counted = allocation_counter::measure(|| {
            for len in 0..100 {
                let head = client.head_for(now, peer, len, rng).unwrap();
                assert!(!head.as_bytes().is_empty());
                let received = client.receive(now, addr(LISTEN), &incoming);
                assert_eq!(received, FromServer::Data { peer, payload: &[7; 1000] });
            }
        });
        assert_eq!(counted.count_total, 0);
    }
}

/// The payload is a part of the datagram, and no copy of it.
#[test]
fn a_payload_stays_where_it_is() {
    let mut world = World::permitted();
    let bytes = indication(|writer| {
        writer.xor_address(XOR_PEER_ADDRESS, addr(PEER)).attribute(DATA, b"payload");
    });
    let received = world.client.receive(world.now, addr(LISTEN), &bytes);
    let FromServer::Data { payload, .. } = received else { panic!("{received:?}") };
    assert!(bytes.as_ptr_range().contains(&payload.as_ptr()));
}

/// W21, W23
#[test]
fn data_that_cannot_be_is_counted_and_dropped() {
    let mut world = World::bound();
    let peer = addr(PEER);
    let stranger = addr("203.0.113.77:1");
    let from = |w: &mut Writer<'_>, peer| {
        w.xor_address(XOR_PEER_ADDRESS, peer);
    };
    let saying = |w: &mut Writer<'_>, kind| {
        w.attribute(kind, b"x");
    };
    let cases = [
        (vec![], Rejected::NotTurn),
        (vec![0x40, 0, 0, 9, 1], Rejected::Malformed),
        (vec![0x40, 1, 0, 0], Rejected::NoChannel),
        (vec![0x50, 0, 0, 0], Rejected::NotTurn),
        (vec![0x80, 0, 0, 0], Rejected::NotTurn),
        (indication(|_| {}), Rejected::NoData),
        (indication(|w| saying(w, DATA)), Rejected::NoData),
        (indication(|w| from(w, peer)), Rejected::NoData),
        (
            indication(|w| {
                from(w, peer);
                saying(w, ICMP);
            }),
            Rejected::Malformed,
        ),
        (
            indication(|w| {
                saying(w, XOR_PEER_ADDRESS);
                saying(w, DATA);
            }),
            Rejected::Malformed,
        ),
        (
            indication(|w| {
                from(w, stranger);
                saying(w, DATA);
            }),
            Rejected::NoPermission,
        ),
    ];
    for (bytes, reason) in cases {
        let before = world.client.rejections().of(reason);
        let received = world.client.receive(world.now, addr(LISTEN), &bytes);
        assert_eq!(received, FromServer::Ignored(reason), "{bytes:x?}");
        assert_eq!(world.client.rejections().of(reason), before + 1);
    }
    let elsewhere = world.client.receive(world.now, addr(PEER), &[0x40, 0, 0, 0]);
    assert_eq!(elsewhere, FromServer::Ignored(Rejected::Foreign));
    let empty = world.client.receive(world.now, addr(LISTEN), &[0x40, 0, 0, 0]);
    assert_eq!(empty, FromServer::Data { peer, payload: &[] }, "no data is data");
    world.assert_relays(peer);
}

/// W24
#[test]
fn icmp_errors_are_told_of_their_peer() {
    let mut world = World::permitted();
    for (kind, code, mtu, error) in [
        (3, 3, 0, PeerError::Hard),
        (3, 4, 1400, PeerError::TooBig { mtu: 1400 }),
        (11, 0, 0, PeerError::Soft),
    ] {
        let (relayed, peer) = (world.relayed(), addr(PEER));
        world.server.handle_icmp(world.now, relayed, peer, TurnIcmp { kind, code, mtu });
        let (_, bytes) = world.server.poll_transmit().unwrap();
        let received = world.client.receive(world.now, addr(LISTEN), &bytes);
        assert_eq!(received, FromServer::PeerError { peer, error });
    }
}
