//! Clients on stream connections: framing, and whose allocation it is.

use core::net::SocketAddr;

use proptest::prelude::*;

use super::super::{TurnConnectionError, TurnRejected, TurnRoute, TurnServer};
use super::{Answer, Scripted, addr, at, config};
use crate::stun::attribute::{
    DATA, REQUESTED_TRANSPORT, XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::stun::turn::UDP;
use crate::stun::{Class, method};

const CONNECTION: u64 = 42;

/// A server that wants no credentials, with an open connection, and a client to write messages.
fn connected() -> Scripted {
    let mut config = config();
    config.users.clear();
    let mut client = Scripted::new(config);
    client.server.open_connection(at(0), CONNECTION, addr(super::LISTEN), client.from).unwrap();
    client
}

fn drain(server: &mut TurnServer) -> Vec<(TurnRoute, Vec<u8>)> {
    core::iter::from_fn(|| server.poll_transmit()).collect()
}

/// The one message that the server has for the connection.
fn answer(client: &mut Scripted, bytes: &[u8]) -> Answer {
    client.server.handle_stream(client.now, CONNECTION, bytes);
    let mut sent = drain(&mut client.server);
    let (route, bytes) = sent.pop().unwrap();
    assert!(sent.is_empty());
    assert_eq!(route, TurnRoute::Stream(CONNECTION));
    Answer(bytes)
}

fn allocate(client: &mut Scripted) -> SocketAddr {
    let request = client.bare(Class::Request, method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
    });
    answer(client, &request).all(XOR_RELAYED_ADDRESS)[0]
}

/// All that a client says in its life, with ChannelData of every padding, and where each message
/// ends.
fn life() -> (Vec<u8>, Vec<usize>) {
    let mut client = connected();
    let peer = addr(super::PEER);
    let mut messages = vec![
        client.bare(Class::Request, method::BINDING, |_| {}),
        client.bare(Class::Request, method::ALLOCATE, |w| {
            w.first_of_four(REQUESTED_TRANSPORT, UDP);
        }),
        client.bare(Class::Request, method::CREATE_PERMISSION, |w| {
            w.xor_address(XOR_PEER_ADDRESS, peer);
        }),
        client.bare(Class::Request, method::CHANNEL_BIND, |w| {
            w.channel_number(0x4000).xor_address(XOR_PEER_ADDRESS, peer);
        }),
        client.bare(Class::Indication, method::SEND, |w| {
            w.xor_address(XOR_PEER_ADDRESS, peer).attribute(DATA, b"hello");
        }),
    ];
    for len in 0_u8..6 {
        let mut message = vec![0x40, 0x00, 0x00, len];
        message.extend(vec![len; usize::from(len).next_multiple_of(4)]);
        messages.push(message);
    }
    messages.push(client.bare(Class::Request, method::REFRESH, |_| {}));
    let ends = messages.iter().scan(0, |end, message| {
        *end += message.len();
        Some(*end)
    });
    let ends = ends.collect();
    (messages.concat(), ends)
}

#[test]
fn a_client_on_a_connection_lives_as_one_with_datagrams_does() {
    let mut client = connected();
    let (bytes, _) = life();
    client.server.handle_stream(at(0), CONNECTION, &bytes);
    let (to_client, to_peer): (Vec<_>, Vec<_>) = drain(&mut client.server)
        .into_iter()
        .partition(|(route, _)| *route == TurnRoute::Stream(CONNECTION));
    assert!(to_client.iter().all(|(_, bytes)| Answer(bytes.clone()).code() == 0));
    assert_eq!(to_client.len(), 5);
    let binding = Answer(to_client[0].1.clone());
    assert_eq!(binding.all(XOR_MAPPED_ADDRESS), [client.from]);
    let payloads: Vec<_> = to_peer.into_iter().map(|(_, payload)| payload).collect();
    let mut expected = vec![b"hello".to_vec()];
    expected.extend((0_u8..6).map(|len| vec![len; usize::from(len)]));
    assert_eq!(payloads, expected);
}

/// RFC 8656 §12.5: "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple
/// of four bytes".
#[test]
fn channel_data_to_a_connection_is_padded() {
    let mut client = connected();
    let relayed = allocate(&mut client);
    let bind = client.bare(Class::Request, method::CHANNEL_BIND, |w| {
        w.channel_number(0x4000).xor_address(XOR_PEER_ADDRESS, addr(super::PEER));
    });
    assert_eq!(answer(&mut client, &bind).code(), 0);
    for len in 0_u8..6 {
        let payload = vec![7; usize::from(len)];
        client.server.handle_datagram(at(0), relayed, addr(super::PEER), &payload);
        let (_, bytes) = drain(&mut client.server).pop().unwrap();
        assert_eq!(bytes[..4], [0x40, 0x00, 0x00, len]);
        assert_eq!(bytes[4..4 + payload.len()], payload);
        assert_eq!(bytes[4 + payload.len()..], vec![0; payload.len().wrapping_neg() % 4]);
    }
}

#[test]
fn what_is_no_message_closes_the_connection_and_ends_the_allocation() {
    for garbage in [&b"POST / HTTP/1.1"[..], &[0x80], &[0, 1, 0, 0, 0], &[0, 1, 0, 3]] {
        let mut client = connected();
        let relayed = allocate(&mut client);
        client.server.handle_stream(at(1), CONNECTION, garbage);
        assert_eq!(client.server.stats().rejected(TurnRejected::Stream), 1, "{garbage:?}");
        assert!(!client.server.is_open(relayed));
        assert_eq!(client.server.poll_closed(), Some(CONNECTION));
        assert_eq!(client.server.poll_closed(), None);
        client.server.handle_stream(at(1), CONNECTION, b"more");
        assert_eq!(client.server.stats().rejected(TurnRejected::NoConnection), 1);
    }
}

#[test]
fn what_was_answered_before_the_garbage_is_still_sent() {
    let mut client = connected();
    let mut bytes = client.bare(Class::Request, method::BINDING, |_| {});
    bytes.push(0xff);
    let binding = answer(&mut client, &bytes);
    assert_eq!(binding.code(), 0);
    assert_eq!(client.server.poll_closed(), Some(CONNECTION));
}

#[test]
fn a_malformed_message_with_a_sound_length_does_not_close_the_connection() {
    let mut client = connected();
    let mut bytes = client.bare(Class::Request, method::BINDING, |w| {
        w.attribute(0x8030, &[0; 4]);
    });
    bytes[22] = 0xff;
    bytes.extend(client.bare(Class::Request, method::BINDING, |_| {}));
    assert_eq!(answer(&mut client, &bytes).code(), 0);
    assert_eq!(client.server.stats().rejected(TurnRejected::Malformed), 1);
}

#[test]
fn an_allocation_ends_with_its_connection() {
    let mut client = connected();
    let relayed = allocate(&mut client);
    client.server.behaviour_mut().response_delay = core::time::Duration::from_secs(1);
    let request = client.bare(Class::Request, method::BINDING, |_| {});
    client.server.handle_stream(at(0), CONNECTION, &request);
    client.server.close_connection(at(0), CONNECTION);
    assert!(!client.server.is_open(relayed));
    assert_eq!(client.server.poll_timeout(), None, "nothing is left to be sent");
    assert_eq!(client.server.poll_closed(), None, "the caller knows");
}

#[test]
fn a_connection_is_not_the_5_tuple_of_datagrams_from_the_same_address() {
    let mut client = connected();
    let relayed = allocate(&mut client);
    let answer = client.ask(method::ALLOCATE, |w| {
        w.first_of_four(REQUESTED_TRANSPORT, UDP);
    });
    assert_eq!(answer.code(), 0);
    assert_ne!(answer.relayed(), relayed);
    assert_eq!(client.server.allocations().count(), 2);
}

#[test]
fn connections_are_numbered_once_and_bounded() {
    let mut config = config();
    config.limits.connections = 2;
    let mut client = Scripted::new(config);
    let mut open = |connection, local| {
        client.server.open_connection(at(0), connection, addr(local), addr(super::CLIENT))
    };
    assert_eq!(open(1, super::PEER), Err(TurnConnectionError::NotListening));
    assert_eq!(open(1, super::LISTEN), Ok(()));
    assert_eq!(open(1, super::LISTEN), Err(TurnConnectionError::InUse));
    assert_eq!(open(2, super::LISTEN), Ok(()));
    assert_eq!(open(3, super::LISTEN), Err(TurnConnectionError::TooMany));
    // One that the server has closed counts until the caller knows.
    client.server.handle_stream(at(0), 1, &[0xff]);
    let mut open = |connection| {
        let (local, remote) = (addr(super::LISTEN), addr(super::CLIENT));
        client.server.open_connection(at(0), connection, local, remote)
    };
    assert_eq!(open(1), Err(TurnConnectionError::InUse));
    assert_eq!(open(3), Err(TurnConnectionError::TooMany));
    assert_eq!(client.server.poll_closed(), Some(1));
    client.server.close_connection(at(0), 2);
    let (local, remote) = (addr(super::LISTEN), addr(super::CLIENT));
    for connection in [1, 3] {
        assert_eq!(client.server.open_connection(at(0), connection, local, remote), Ok(()));
    }
}

proptest! {
    /// Any split of a stream gives the same result, and so does a stream that goes on with
    /// something that is no message.
    #[test]
    fn pieces_do_not_matter(
        cuts in prop::collection::btree_set(0_usize..400, 0..40),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (mut bytes, _) = life();
        bytes.extend(garbage);
        let mut whole = connected().server;
        whole.handle_stream(at(1), CONNECTION, &bytes);
        let expected = drain(&mut whole);

        let mut pieces = connected().server;
        let mut sent = Vec::new();
        let mut start = 0;
        for end in cuts.into_iter().filter(|cut| *cut < bytes.len()).chain([bytes.len()]) {
            pieces.handle_stream(at(1), CONNECTION, &bytes[start..end]);
            sent.extend(drain(&mut pieces));
            start = end;
        }
        prop_assert_eq!(sent, expected);
        prop_assert_eq!(pieces.allocations().collect::<Vec<_>>(), whole.allocations().collect::<Vec<_>>());
        prop_assert_eq!(pieces.poll_closed(), whole.poll_closed());
        prop_assert_eq!(
            pieces.stats().rejected(TurnRejected::Stream),
            whole.stats().rejected(TurnRejected::Stream)
        );
    }

    /// No message is handled before its last byte is there, and none after it waits for more.
    #[test]
    fn a_message_is_handled_with_its_last_byte(message in 0_usize..12) {
        let (bytes, ends) = life();
        let end = ends[message];
        let mut server = connected().server;
        server.handle_stream(at(0), CONNECTION, &bytes[..end - 1]);
        prop_assert_eq!(drain(&mut server).len(), message);
        server.handle_stream(at(0), CONNECTION, &bytes[end - 1..end]);
        prop_assert_eq!(drain(&mut server).len(), 1);
    }
}
