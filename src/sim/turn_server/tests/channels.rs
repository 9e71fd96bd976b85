//! RFC 8656 §12.2: ChannelBind.

use super::{Scripted, addr, config};
use crate::stun::attribute::{CHANNEL_NUMBER, XOR_PEER_ADDRESS};
use crate::stun::method;

const OTHER_PEER: &str = "203.0.113.9:7001";

#[test]
fn a_channel_comes_with_a_permission() {
    let (mut client, _) = Scripted::allocated(config());
    let answer = client.bind(0x4000, super::PEER);
    assert_eq!(answer.code(), 0);
    assert!(client.trusts(&answer));
    let allocation = client.server.allocations().next().unwrap();
    assert_eq!(allocation.channels, [(0x4000, addr(super::PEER))]);
    assert_eq!(allocation.permissions, [addr(super::PEER).ip()]);
}

#[test]
fn channels_are_0x4000_to_0x4fff() {
    let (mut client, _) = Scripted::allocated(config());
    for (channel, code) in
        [(0, 400), (0x3fff, 400), (0x4000, 0), (0x5000, 400), (0x7fff, 400), (0xffff, 400)]
    {
        assert_eq!(client.bind(channel, super::PEER).code(), code, "{channel:#06x}");
    }
    assert_eq!(client.bind(0x4fff, OTHER_PEER).code(), 0);
}

#[test]
fn number_and_peer_are_needed_and_sound() {
    let (mut client, _) = Scripted::allocated(config());
    let no_peer = client.call(method::CHANNEL_BIND, |w| {
        w.channel_number(0x4000);
    });
    let no_number = client.call(method::CHANNEL_BIND, |w| {
        w.xor_address(XOR_PEER_ADDRESS, addr(super::PEER));
    });
    let short_number = client.call(method::CHANNEL_BIND, |w| {
        w.attribute(CHANNEL_NUMBER, &[0x40, 0]).xor_address(XOR_PEER_ADDRESS, addr(super::PEER));
    });
    assert_eq!([no_peer, no_number, short_number].map(|answer| answer.code()), [400; 3]);
}

#[test]
fn a_channel_has_one_peer_and_a_peer_one_channel() {
    let (mut client, _) = Scripted::allocated(config());
    assert_eq!(client.bind(0x4000, super::PEER).code(), 0);
    assert_eq!(client.bind(0x4000, OTHER_PEER).code(), 400);
    assert_eq!(client.bind(0x4001, super::PEER).code(), 400);
    assert_eq!(client.bind(0x4000, super::PEER).code(), 0, "the same is a refresh");
    assert_eq!(client.bind(0x4001, OTHER_PEER).code(), 0);
}

#[test]
fn a_peer_of_another_family_is_a_mismatch_and_one_that_is_not_allowed_forbidden() {
    let (mut client, _) = Scripted::allocated(config());
    assert_eq!(client.bind(0x4000, super::PEER_V6).code(), 443);
    assert_eq!(client.bind(0x4000, "127.0.0.1:9").code(), 403);
    assert_eq!(client.bind(0x4000, super::LISTEN).code(), 403, "it would talk to itself");
    assert!(client.server.allocations().next().unwrap().permissions.is_empty());
}

#[test]
fn a_channel_lasts_ten_minutes_and_then_number_and_peer_are_free() {
    let (mut client, _) = Scripted::allocated(config());
    client.bind(0x4000, super::PEER);
    client.advance(300);
    client.refresh(|_| {});
    client.bind(0x4000, super::PEER);
    client.advance(599);
    client.refresh(|_| {});
    let allocation = client.server.allocations().next().unwrap();
    assert_eq!(allocation.channels.len(), 1);
    assert!(allocation.permissions.is_empty(), "which lasts five");
    assert_eq!(client.bind(0x4000, OTHER_PEER).code(), 400);
    client.advance(1);
    assert_eq!(client.bind(0x4000, OTHER_PEER).code(), 0);
    assert_eq!(client.bind(0x4001, super::PEER).code(), 0);
    let allocation = client.server.allocations().next().unwrap();
    assert_eq!(allocation.channels, [(0x4000, addr(OTHER_PEER)), (0x4001, addr(super::PEER))]);
}

#[test]
fn more_channels_than_there_may_be_are_beyond_capacity() {
    let mut config = config();
    config.limits.channels = 1;
    let (mut client, _) = Scripted::allocated(config);
    assert_eq!(client.bind(0x4000, super::PEER).code(), 0);
    assert_eq!(client.bind(0x4001, OTHER_PEER).code(), 508);
    assert_eq!(client.bind(0x4000, super::PEER).code(), 0, "a refresh needs no room");
}
