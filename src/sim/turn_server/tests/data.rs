//! RFC 8656 §11, §12: data both ways, and ICMP errors.

use super::super::{TurnIcmp, TurnRejected, TurnRoute};
use super::{Answer, Scripted, addr, config};
use crate::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, DATA, DONT_FRAGMENT, ICMP, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::stun::turn::{Icmp, icmp};
use crate::stun::{Class, method};

/// The same address on another port: permissions do not tell them apart.
const SAME_IP: &str = "203.0.113.9:1";
const STRANGER: &str = "203.0.113.10:7000";

/// A client with a permission for the peer.
fn permitted() -> (Scripted, core::net::SocketAddr) {
    let (mut client, relayed) = Scripted::allocated(config());
    assert_eq!(client.permit(super::PEER).code(), 0);
    (client, relayed)
}

fn send(client: &mut Scripted, peer: &str, payload: &[u8], dont_fragment: bool) {
    let bytes = client.bare(Class::Indication, method::SEND, |w| {
        w.xor_address(XOR_PEER_ADDRESS, addr(peer)).attribute(DATA, payload);
        if dont_fragment {
            w.flag(DONT_FRAGMENT);
        }
    });
    assert!(client.send(&bytes).is_none());
}

fn channel_data(client: &mut Scripted, channel: u16, payload: &[u8]) {
    let mut bytes = channel.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    assert!(client.send(&bytes).is_none());
}

/// What the peer sends, as the client receives it.
fn from_peer(
    client: &mut Scripted,
    relayed: core::net::SocketAddr,
    peer: &str,
    payload: &[u8],
) -> Option<Answer> {
    client.server.handle_datagram(client.now, relayed, addr(peer), payload);
    client.drain()
}

fn rejected(client: &Scripted, reason: TurnRejected) -> u64 {
    client.server.stats().rejected(reason)
}

#[test]
fn a_send_indication_becomes_a_datagram_from_the_relayed_address() {
    let (mut client, relayed) = permitted();
    for (peer, payload, dont_fragment) in [
        (super::PEER, &b"hello"[..], false),
        (SAME_IP, b"any port of the peer", true),
        (super::PEER, b"", false),
    ] {
        send(&mut client, peer, payload, dont_fragment);
        let route = TurnRoute::Datagram { local: relayed, remote: addr(peer), dont_fragment };
        assert_eq!(client.elsewhere.pop(), Some((route, payload.to_vec())));
    }
    assert_eq!(client.server.stats().to_peers(), 3);
}

#[test]
fn a_send_indication_without_a_permission_is_dropped() {
    let (mut client, _) = permitted();
    send(&mut client, STRANGER, b"hello", false);
    assert_eq!(rejected(&client, TurnRejected::NoPermission), 1);
    // It does not refresh the permission that there is.
    client.advance(299);
    send(&mut client, super::PEER, b"hello", false);
    assert_eq!(client.elsewhere.len(), 1);
    client.advance(1);
    send(&mut client, super::PEER, b"hello", false);
    assert_eq!(rejected(&client, TurnRejected::NoPermission), 2);
    assert_eq!(client.elsewhere.len(), 1);
}

#[test]
fn a_send_indication_needs_peer_and_data_and_nothing_that_is_not_known() {
    let (mut client, _) = permitted();
    let peer = addr(super::PEER);
    let messages = [
        client.bare(Class::Indication, method::SEND, |w| {
            w.xor_address(XOR_PEER_ADDRESS, peer);
        }),
        client.bare(Class::Indication, method::SEND, |w| {
            w.attribute(DATA, b"hello");
        }),
        client.bare(Class::Indication, method::SEND, |w| {
            w.attribute(XOR_PEER_ADDRESS, &[0; 8]).attribute(DATA, b"hello");
        }),
        client.bare(Class::Indication, method::SEND, |w| {
            w.xor_address(XOR_PEER_ADDRESS, peer).attribute(DATA, b"hello").flag(0x7ff0);
        }),
    ];
    for message in messages {
        assert!(client.send(&message).is_none());
    }
    assert_eq!(rejected(&client, TurnRejected::SendAttributes), 4);
    assert!(client.elsewhere.is_empty());
}

#[test]
fn dont_fragment_is_dropped_where_it_cannot_be_done() {
    let mut config = config();
    config.dont_fragment = false;
    let (mut client, _) = Scripted::allocated(config);
    client.permit(super::PEER);
    send(&mut client, super::PEER, b"hello", true);
    assert_eq!(rejected(&client, TurnRejected::SendAttributes), 1);
    assert!(client.elsewhere.is_empty());
}

#[test]
fn data_of_somebody_without_an_allocation_is_dropped() {
    let (mut client, _) = permitted();
    client.bind(0x4000, super::PEER);
    client.from = addr("192.0.2.1:5001");
    send(&mut client, super::PEER, b"hello", false);
    channel_data(&mut client, 0x4000, b"hello");
    assert_eq!(rejected(&client, TurnRejected::NoAllocation), 2);
    assert!(client.elsewhere.is_empty());
}

#[test]
fn nothing_is_sent_to_where_the_server_listens() {
    let (mut client, _) = Scripted::allocated(config());
    assert_eq!(client.permit(super::LISTEN).code(), 0, "for other clients' relayed addresses");
    send(&mut client, super::LISTEN, b"hello", false);
    assert_eq!(rejected(&client, TurnRejected::Forbidden), 1);
    assert!(client.elsewhere.is_empty());
}

#[test]
fn a_datagram_of_a_peer_becomes_a_data_indication() {
    let (mut client, relayed) = permitted();
    for (peer, payload) in [(super::PEER, &b"hello"[..]), (SAME_IP, b"any port"), (SAME_IP, b"")] {
        let data = from_peer(&mut client, relayed, peer, payload).unwrap();
        assert_eq!((data.scan().class(), data.scan().method()), (Class::Indication, method::DATA));
        assert_eq!(data.all(XOR_PEER_ADDRESS), [addr(peer)]);
        assert_eq!(data.find(DATA), Some(payload));
        assert!(!data.scan().has_integrity() && !data.scan().has_integrity_sha256());
    }
    assert_eq!(client.server.stats().to_clients(), 3);
}

#[test]
fn a_datagram_of_a_stranger_is_dropped() {
    let (mut client, relayed) = permitted();
    assert!(from_peer(&mut client, relayed, STRANGER, b"hello").is_none());
    assert!(from_peer(&mut client, relayed, super::PEER_V6, b"hello").is_none());
    client.advance(300);
    assert!(from_peer(&mut client, relayed, super::PEER, b"hello").is_none());
    assert_eq!(rejected(&client, TurnRejected::PeerNotPermitted), 3);
    let nobody = addr("198.51.100.1:50");
    assert!(from_peer(&mut client, nobody, super::PEER, b"hello").is_none());
    assert_eq!(rejected(&client, TurnRejected::NotListening), 1);
}

#[test]
fn a_stun_request_at_a_relayed_address_is_data_like_any_other() {
    let (mut client, relayed) = permitted();
    let check = client.bare(Class::Request, method::BINDING, |_| {});
    let data = from_peer(&mut client, relayed, super::PEER, &check).unwrap();
    assert_eq!(data.find(DATA), Some(&check[..]));
}

#[test]
fn a_bound_channel_is_used_both_ways() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.bind(0x4abc, super::PEER);
    for payload in [&b"hello"[..], b"", &[7; 1200]] {
        channel_data(&mut client, 0x4abc, payload);
        let (local, remote) = (relayed, addr(super::PEER));
        let route = TurnRoute::Datagram { local, remote, dont_fragment: false };
        assert_eq!(client.elsewhere.pop(), Some((route, payload.to_vec())));

        let Answer(bytes) = from_peer(&mut client, relayed, super::PEER, payload).unwrap();
        assert_eq!(bytes[..2], [0x4a, 0xbc]);
        assert_eq!(bytes[2..4], u16::try_from(payload.len()).unwrap().to_be_bytes());
        assert_eq!(&bytes[4..], payload, "no padding is needed in a datagram");
    }
    // The peer's other port has no channel.
    let data = from_peer(&mut client, relayed, SAME_IP, b"hello").unwrap();
    assert_eq!(data.all(XOR_PEER_ADDRESS), [addr(SAME_IP)]);
}

#[test]
fn channel_data_that_is_short_or_on_no_channel_is_dropped() {
    let (mut client, _) = Scripted::allocated(config());
    client.bind(0x4000, super::PEER);
    channel_data(&mut client, 0x4001, b"hello");
    assert_eq!(rejected(&client, TurnRejected::NoChannel), 1);
    for short in [&[0x40, 0][..], &[0x40, 0, 0], &[0x40, 0, 0, 1], &[0x40, 0, 0, 9, 1, 2, 3]] {
        assert!(client.send(short).is_none());
    }
    assert_eq!(rejected(&client, TurnRejected::Malformed), 4);
    channel_data(&mut client, 0x5000, b"hello");
    assert_eq!(rejected(&client, TurnRejected::NotTurn), 1);
    assert!(client.elsewhere.is_empty());
    // Padding in a datagram is allowed.
    assert!(client.send(&[0x40, 0, 0, 1, 7, 0, 0, 0]).is_none());
    assert_eq!(client.elsewhere.pop().unwrap().1, [7]);
}

/// A channel lasts longer than its permission, and needs it.
#[test]
fn channel_data_neither_refreshes_nor_replaces_the_permission() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.bind(0x4000, super::PEER);
    client.advance(299);
    channel_data(&mut client, 0x4000, b"hello");
    assert_eq!(client.elsewhere.len(), 1);
    client.advance(1);
    channel_data(&mut client, 0x4000, b"hello");
    assert_eq!(rejected(&client, TurnRejected::NoPermission), 1);
    assert!(from_peer(&mut client, relayed, super::PEER, b"hello").is_none());
    client.permit(super::PEER);
    channel_data(&mut client, 0x4000, b"hello");
    assert_eq!(client.elsewhere.len(), 2);
    let Answer(bytes) = from_peer(&mut client, relayed, super::PEER, b"hello").unwrap();
    assert_eq!(bytes[..2], [0x40, 0x00]);
}

#[test]
fn each_family_is_relayed_from_its_own_address() {
    let mut client = Scripted::new(config());
    let relayed = client
        .allocate(|w| {
            w.first_of_four(ADDITIONAL_ADDRESS_FAMILY, 2);
        })
        .all(XOR_RELAYED_ADDRESS);
    for (peer, relayed) in [super::PEER, super::PEER_V6].into_iter().zip(relayed.clone()) {
        client.permit(peer);
        send(&mut client, peer, b"hello", false);
        let (route, _) = client.elsewhere.pop().unwrap();
        let remote = addr(peer);
        assert_eq!(route, TurnRoute::Datagram { local: relayed, remote, dont_fragment: false });
        let data = from_peer(&mut client, relayed, peer, b"back").unwrap();
        assert_eq!(data.all(XOR_PEER_ADDRESS), [remote]);
    }
    assert!(from_peer(&mut client, relayed[0], super::PEER_V6, b"no such datagram").is_none());
    assert!(from_peer(&mut client, relayed[1], super::PEER, b"no such datagram").is_none());
}

#[test]
fn two_clients_reach_each_other_through_their_relayed_addresses() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.from = addr("192.0.2.2:6000");
    let other = client.allocate(|_| {}).relayed();
    client.permit(&relayed.to_string());
    client.from = addr(super::CLIENT);
    let challenge = client.ask(method::REFRESH, |_| {});
    client.learn(&challenge);
    client.permit(&other.to_string());
    send(&mut client, &other.to_string(), b"hello", false);
    let (route, payload) = client.elsewhere.pop().unwrap();
    assert_eq!(route, TurnRoute::Datagram { local: relayed, remote: other, dont_fragment: false });
    client.server.handle_datagram(client.now, other, relayed, &payload);
    client.from = addr("192.0.2.2:6000");
    let data = client.drain().unwrap();
    assert_eq!(data.find(DATA), Some(&b"hello"[..]));
    assert_eq!(data.all(XOR_PEER_ADDRESS), [relayed]);
}

#[test]
fn an_icmp_error_is_told_with_the_peer_that_it_is_about() {
    let (mut client, relayed) = permitted();
    client.bind(0x4000, super::PEER);
    for (error, data) in [
        (TurnIcmp { kind: 3, code: 3, mtu: 9 }, 0),
        (TurnIcmp { kind: 3, code: 4, mtu: 1280 }, 1280),
        (TurnIcmp { kind: 11, code: 0, mtu: 9 }, 0),
    ] {
        client.server.handle_icmp(client.now, relayed, addr(super::PEER), error);
        let said = client.drain().expect("a Data indication, in spite of the channel");
        assert_eq!(said.all(XOR_PEER_ADDRESS), [addr(super::PEER)]);
        assert_eq!(said.find(DATA), None);
        let expected = Icmp { kind: error.kind, code: error.code, data };
        assert_eq!(icmp(said.find(ICMP).unwrap()), Some(expected));
    }
}

#[test]
fn an_icmp_error_about_a_stranger_or_of_another_type_is_dropped() {
    let (mut client, relayed) = permitted();
    let unreachable = TurnIcmp { kind: 3, code: 3, mtu: 0 };
    client.server.handle_icmp(client.now, relayed, addr(STRANGER), unreachable);
    client.server.handle_icmp(client.now, addr(super::LISTEN), addr(super::PEER), unreachable);
    let echo = TurnIcmp { kind: 8, ..unreachable };
    client.server.handle_icmp(client.now, relayed, addr(super::PEER), echo);
    assert!(client.drain().is_none());
    assert_eq!(rejected(&client, TurnRejected::PeerNotPermitted), 1);
    assert_eq!(rejected(&client, TurnRejected::NotListening), 1);
    assert_eq!(rejected(&client, TurnRejected::IcmpType), 1);
}

#[test]
fn packet_too_big_of_icmpv6_carries_the_mtu() {
    let mut client = Scripted::new(config());
    let relayed = client
        .allocate(|w| {
            w.first_of_four(crate::stun::attribute::REQUESTED_ADDRESS_FAMILY, 2);
        })
        .relayed();
    client.permit(super::PEER_V6);
    let too_big = TurnIcmp { kind: 2, code: 0, mtu: 1280 };
    client.server.handle_icmp(client.now, relayed, addr(super::PEER_V6), too_big);
    let said = client.drain().unwrap();
    let expected = Icmp { kind: 2, code: 0, data: 1280 };
    assert_eq!(icmp(said.find(ICMP).unwrap()), Some(expected));
}

#[test]
fn what_does_not_fit_into_a_message_is_dropped_whole() {
    let (mut client, relayed) = permitted();
    assert!(from_peer(&mut client, relayed, super::PEER, &[7; 65_530]).is_none());
    assert_eq!(rejected(&client, TurnRejected::TooLarge), 1);
}
