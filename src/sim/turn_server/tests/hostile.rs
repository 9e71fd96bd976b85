//! Whatever arrives, nothing panics, and nothing that is not authentic changes anything.

use proptest::prelude::*;

use super::super::{TurnAllocation, TurnIcmp, TurnServer};
use super::{Scripted, addr, at, config};
use crate::stun::attribute::{DATA, LIFETIME, REQUESTED_TRANSPORT, XOR_PEER_ADDRESS};
use crate::stun::turn::UDP;
use crate::stun::{Class, method};

/// A client with a permission and a channel.
fn bound() -> (Scripted, core::net::SocketAddr) {
    let (mut client, relayed) = Scripted::allocated(config());
    assert_eq!(client.bind(0x4000, super::PEER).code(), 0);
    (client, relayed)
}

fn kept(server: &TurnServer) -> Vec<TurnAllocation> {
    server.allocations().collect()
}

/// What the client could ask for, each of which would change something.
fn requests(client: &mut Scripted) -> Vec<Vec<u8>> {
    let other = addr("203.0.113.10:7000");
    vec![
        client.request(method::REFRESH, |w| {
            w.u32(LIFETIME, 0);
        }),
        client.request(method::REFRESH, |w| {
            w.u32(LIFETIME, 3600);
        }),
        client.request(method::CREATE_PERMISSION, |w| {
            w.xor_address(XOR_PEER_ADDRESS, other);
        }),
        client.request(method::CHANNEL_BIND, |w| {
            w.channel_number(0x4001).xor_address(XOR_PEER_ADDRESS, other);
        }),
    ]
}

/// Messages of every kind, for whoever wants to damage them.
fn messages(client: &mut Scripted) -> Vec<Vec<u8>> {
    let mut messages = requests(client);
    messages.extend([
        client.request(method::ALLOCATE, |w| {
            w.first_of_four(REQUESTED_TRANSPORT, UDP);
        }),
        client.bare(Class::Indication, method::SEND, |w| {
            w.xor_address(XOR_PEER_ADDRESS, addr(super::PEER)).attribute(DATA, b"hello");
        }),
        client.bare(Class::Request, method::BINDING, |w| {
            w.fingerprint();
        }),
        client.bare(Class::Success, method::BINDING, |_| {}),
        client.bare(Class::Request, 0x00a, |_| {}),
        vec![0x40, 0x00, 0x00, 0x05, 1, 2, 3, 4, 5],
    ]);
    messages
}

#[test]
fn each_request_changes_something_when_it_is_whole() {
    let (mut client, _) = bound();
    for request in requests(&mut client) {
        let mut server = client.server.clone();
        server.handle_datagram(at(0), addr(super::LISTEN), client.from, &request);
        assert_ne!(kept(&server), kept(&client.server));
    }
}

proptest! {
    #[test]
    fn bytes_change_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        start in prop::sample::select(vec![0x00_u8, 0x01, 0x40, 0x4f, 0x50, 0x80, 0xff]),
    ) {
        let (client, relayed) = bound();
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = start;
        }
        let mut server = client.server.clone();
        server.open_connection(at(0), 1, addr(super::LISTEN), addr("192.0.2.7:9")).unwrap();
        for local in [addr(super::LISTEN), relayed, addr("[2001:db8::1]:50000")] {
            for from in [client.from, addr(super::PEER), addr("[::1]:1"), addr("0.0.0.0:0")] {
                server.handle_datagram(at(0), local, from, &bytes);
            }
        }
        server.handle_stream(at(0), 1, &bytes);
        prop_assert_eq!(kept(&server), kept(&client.server));
        while server.poll_transmit().is_some() {}
        prop_assert_eq!(server.poll_timeout(), client.server.poll_timeout());
    }

    /// A byte of a request that is changed, a part that is cut out, or something that is put in:
    /// nothing comes of it but an error or silence.
    #[test]
    fn damaged_messages_change_nothing(
        message in 0_usize..10,
        at_byte in any::<prop::sample::Index>(),
        flip in 1_u8..,
        cut in 0_usize..30,
        put in prop::collection::vec(any::<u8>(), 0..30),
        fix_length in any::<bool>(),
    ) {
        let (mut client, _) = bound();
        let whole = messages(&mut client).swap_remove(message);
        let mut bytes = whole.clone();
        let index = at_byte.index(bytes.len());
        bytes[index] ^= flip;
        let end = (index + cut).min(bytes.len());
        bytes.splice(index.min(end)..end, put);
        if fix_length && bytes.len() >= 20 {
            let len = u16::try_from((bytes.len() - 20) & !3).unwrap();
            bytes.truncate(20 + usize::from(len));
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
        }
        prop_assume!(bytes != whole);
        let before = kept(&client.server);
        for from in [client.from, addr("192.0.2.1:5001")] {
            client.server.handle_datagram(at(0), addr(super::LISTEN), from, &bytes);
        }
        prop_assert_eq!(kept(&client.server), before);
        let sent = core::iter::from_fn(|| client.server.poll_transmit()).count();
        prop_assert!(sent <= 2);
    }

    /// A request that somebody else repeats from another address.
    #[test]
    fn requests_of_another_address_change_nothing(message in 0_usize..10, port in 5001_u16..) {
        let (mut client, _) = bound();
        let message = messages(&mut client).swap_remove(message);
        let before = kept(&client.server);
        let thief = core::net::SocketAddr::new(client.from.ip(), port);
        client.server.handle_datagram(at(0), addr(super::LISTEN), thief, &message);
        prop_assert_eq!(kept(&client.server), before);
    }

    #[test]
    fn icmp_changes_nothing(kind: u8, code: u8, mtu: u32, port: u16) {
        let (mut client, relayed) = bound();
        let before = kept(&client.server);
        let icmp = TurnIcmp { kind, code, mtu };
        for local in [relayed, core::net::SocketAddr::new(relayed.ip(), port)] {
            client.server.handle_icmp(at(0), local, addr(super::PEER), icmp);
        }
        prop_assert_eq!(kept(&client.server), before);
    }

    /// A driver that does as it is told never spins, whatever happens in between.
    #[test]
    fn a_deadline_that_was_handled_is_over(
        steps in prop::collection::vec((0_usize..10, 0_u64..400, 0_u64..5), 0..30),
    ) {
        let (mut client, relayed) = Scripted::allocated(config());
        for (message, secs, delay) in steps {
            client.advance(secs);
            client.server.behaviour_mut().response_delay = core::time::Duration::from_secs(delay);
            let bytes = messages(&mut client).swap_remove(message);
            let (now, from) = (client.now, client.from);
            client.server.handle_datagram(now, addr(super::LISTEN), from, &bytes);
            client.server.handle_datagram(now, relayed, addr(super::PEER), b"hello");
            while client.server.poll_transmit().is_some() {}
            if let Some(deadline) = client.server.poll_timeout() {
                let late = deadline.max(now);
                client.server.handle_timeout(late);
                while client.server.poll_transmit().is_some() {}
                prop_assert!(client.server.poll_timeout().is_none_or(|next| next > late));
            }
        }
    }
}
