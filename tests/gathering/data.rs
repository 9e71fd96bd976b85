//! Application data through a relay: what is written, what it costs, and how large it may be.

use std::net::SocketAddr;

use allocation_counter::measure;
use frazil::sim::TurnIcmp;
use frazil::{ConnectionState, Event, IceAgent, Received, SendError, Transport};

use super::net::*;

/// Bytes of an IPv4 and a UDP header.
const HEADERS: usize = 28;

fn bound() -> Net {
    let net = Net::relayed(&[0]);
    assert_eq!(net.servers[0].allocations().next().unwrap().channels.len(), 1);
    net
}

/// The datagram with which the server relays this payload of the peer to the first agent.
fn relayed(net: &mut Net, payload: &[u8]) -> (SocketAddr, SocketAddr, Vec<u8>) {
    let before = net.delivered.len();
    net.send(1, payload).unwrap();
    net.run_for(net.delay * 3);
    let to = addr("10.0.0.1:1000");
    let mut new = net.delivered[before..].iter();
    new.find(|(local, _, bytes)| *local == to && bytes.ends_with(payload)).cloned().unwrap()
}

/// Must hold: nothing is copied, nothing is allocated.
#[test]
fn data_through_a_channel_is_neither_copied_nor_allocated_for() {
    let mut net = bound();
    let payload = [0x80; 1000];
    let (local, from, datagram) = relayed(&mut net, &payload);
    assert_eq!(datagram.len(), payload.len() + 4);
    let (now, stream) = (net.now, net.nodes[0].stream);
    let agent: &mut IceAgent = &mut net.nodes[0].agent;
    let info = measure(|| {
        for _ in 0..100 {
            let outgoing = agent.send(now, stream, 1, &payload).unwrap();
            assert_eq!((outgoing.head().len(), outgoing.padding().len()), (4, 0));
            assert!(core::ptr::eq(outgoing.payload(), payload.as_slice()));
            let received = agent.handle_datagram(now, Transport::Udp, local, from, &datagram);
            let Received::Data { payload, .. } = received else { panic!("{received:?}") };
            assert!(core::ptr::eq(payload, &datagram[4..]));
        }
    });
    assert_eq!(info.count_total, 0);
}

/// The same over a stream, for messages that arrive in one piece.
#[test]
fn data_of_a_stream_is_neither_copied_nor_allocated_for() {
    let mut net = Net::pair(1);
    net.ask(0, turn_tcp(0));
    net.start();
    net.run_for(secs(5));
    net.assert_flows();
    let channel = net.servers[0].allocations().next().unwrap().channels[0].0;
    let frame = [&channel.to_be_bytes()[..], &[0, 5], b"fives\0\0\0"].concat();
    let (now, stream, id) = (net.now, net.nodes[0].stream, net.lines[0].id);
    let agent = &mut net.nodes[0].agent;
    let info = measure(|| {
        let outgoing = agent.send(now, stream, 1, b"fives").unwrap();
        assert_eq!((outgoing.head().len(), outgoing.padding().len()), (4, 3));
        let mut input = &frame[..];
        let received = agent.handle_stream(now, id, &mut input);
        let Received::Data { payload, .. } = received else { panic!("{received:?}") };
        assert!(core::ptr::eq(payload, &frame[4..9]));
    });
    assert_eq!(info.count_total, 0);
}

/// RFC 8656 §11.1, §12.4: a head of a channel, or of a Send indication with its padding.
#[test]
fn heads_and_padding_are_those_of_the_way() {
    let mut net = Net::pair(1);
    let refusal = frazil::sim::TurnRefusal::new(403);
    net.servers[0].refuse(frazil::sim::TurnMethod::ChannelBind, refusal, u32::MAX);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(5));
    let (now, stream) = (net.now, net.nodes[0].stream);
    let outgoing = net.nodes[0].agent.send(now, stream, 1, b"fives").unwrap();
    assert_eq!((outgoing.head().len(), outgoing.padding()), (36, &[0, 0, 0][..]));
    assert_eq!(outgoing.payload(), b"fives");
    // DATA is the last attribute, and the length of the message has the padding.
    assert_eq!(outgoing.head()[32..36], [0, 0x13, 0, 5]);
    assert_eq!(outgoing.head()[2..4], [0, 24]);
    assert_eq!(net.agent().route(stream, 1), None, "each packet needs a head");
    net.assert_flows();
}

/// Data that a receiver would take for STUN is refused, through a relay as well.
#[test]
fn data_that_looks_like_stun_is_refused() {
    let mut net = bound();
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    stun.extend([7; 12]);
    assert_eq!(net.send(0, &stun), Err(SendError::LooksLikeStun));
}

/// W29: RFC 8656 §3.8. What is left of the path's MTU behind all headers.
#[test]
fn the_largest_payload_is_what_headers_leave() {
    let mut net = bound();
    let stream = net.nodes[0].stream;
    assert_eq!(net.agent().max_payload(stream, 1), Some(1280 - HEADERS - 4));
    // The other side sends directly to the relayed address.
    assert_eq!(net.nodes[1].agent.max_payload(net.nodes[1].stream, 1), Some(1280 - HEADERS));
    let largest = vec![0x80; 1280 - HEADERS - 4];
    net.send(0, &largest).unwrap();
    assert_eq!(net.sent.last().unwrap().bytes.len(), 1280 - HEADERS);
    let refused = net.nodes[0].agent.max_payload(stream, 2);
    assert_eq!(refused, None);
}

/// W24: RFC 8656 §11.6. What a router behind the relay says of the size.
#[test]
fn a_router_may_narrow_the_path() {
    let mut net = bound();
    let stream = net.nodes[0].stream;
    let relay = net.relays(0)[0];
    let too_big = TurnIcmp { kind: 3, code: 4, mtu: 1000 };
    let now = net.now;
    net.call_server(0, |server| server.handle_icmp(now, relay, addr("10.0.1.1:2000"), too_big));
    net.run_for(secs(1));
    assert_eq!(net.agent().max_payload(stream, 1), Some(1000 - HEADERS - 4));
    net.run_for(secs(60));
    net.assert_flows();
    assert_eq!(net.agent().max_payload(stream, 1), Some(1000 - HEADERS - 4), "it stays so");
    // Of another peer.
    let other = TurnIcmp { kind: 3, code: 4, mtu: 500 };
    net.call_server(0, |server| server.handle_icmp(now, relay, addr("10.0.1.9:2000"), other));
    net.run_for(secs(1));
    assert_eq!(net.agent().max_payload(stream, 1), Some(1000 - HEADERS - 4));
}

/// W24: a hard error fails the check to that peer, and leaves a path that works alone.
#[test]
fn a_hard_error_fails_the_check_to_that_peer() {
    let mut net = Net::pair(1);
    net.socket(1, "10.0.1.9:2000");
    net.ask(0, turn(0));
    net.start();
    let hard = TurnIcmp { kind: 3, code: 3, mtu: 0 };
    for _ in 0..100 {
        net.run_for(std::time::Duration::from_millis(20));
        let (now, relay) = (net.now, net.relays(0).first().copied());
        if let Some(relay) = relay {
            net.call_server(0, |server| {
                server.handle_icmp(now, relay, addr("10.0.1.9:2000"), hard);
            });
        }
    }
    let failed = net.agent().pairs().filter(|pair| {
        pair.remote.addr == addr("10.0.1.9:2000") && pair.local.base == net.relays(0)[0]
    });
    for pair in failed {
        assert_ne!(pair.state, frazil::PairState::InProgress);
    }
    assert_eq!(net.states(), [ConnectionState::Completed; 2]);
    let (now, relay) = (net.now, net.relays(0)[0]);
    net.call_server(0, |server| server.handle_icmp(now, relay, addr("10.0.1.1:2000"), hard));
    net.run_for(secs(1));
    net.assert_flows();
    assert_eq!(net.states(), [ConnectionState::Completed; 2]);
}

/// V6: RFC 8445 §7.3.1.2. A check that comes through a relay is answered through it, and makes the
/// peer's address known.
#[test]
fn an_unknown_peer_behind_a_relay_is_discovered() {
    let mut net = Net::pair(1);
    // The peer's packets leave from another address than it knows of.
    net.mapped.insert(addr("10.0.1.1:2000"), addr("203.0.113.7:7777"));
    let public = addr("203.0.113.7:7777");
    net.ask(0, turn(0));
    net.ask(1, stun(0));
    net.start();
    net.run_for(secs(8));
    net.assert_flows();
    let remote = net.agent().selected_pair(net.nodes[0].stream, 1).unwrap().remote;
    assert_eq!(remote.addr, public);
}

/// W21, W23: what no server sends is ignored and counted.
#[test]
fn malformed_relayed_data_is_counted() {
    let mut net = bound();
    let channel = net.servers[0].allocations().next().unwrap().channels[0].0;
    let [high, low] = channel.to_be_bytes();
    let (local, from) = (addr("10.0.0.1:1000"), listen(0));
    let digest = net.digest(0);
    let received = net.nodes[0].received.len();
    let bad: [&[u8]; 5] = [
        &[high, low, 0, 9, 1, 2], // shorter than it says
        &[high, low, 0],          // no length
        &[0x4f, 0xff, 0, 1, 1],   // a channel that is not bound
        &[0x50, 0x00, 0, 1, 1],   // reserved
        &[0, 0x17, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2],
    ];
    for bytes in bad {
        let before = net.agent().counters().all_ignored().map(|(_, count)| count).sum::<u64>();
        net.feed(0, local, from, bytes);
        let after = net.agent().counters().all_ignored().map(|(_, count)| count).sum::<u64>();
        assert_eq!(after, before + 1, "{bytes:?}");
    }
    assert_eq!(net.digest(0), digest);
    assert_eq!(net.nodes[0].received.len(), received);
    // Length zero is a payload like any other.
    net.feed(0, local, from, &[high, low, 0, 0]);
    assert_eq!(net.nodes[0].received.len(), received + 1);
}

/// The peer hears the data, and the events are those of a direct path.
#[test]
fn a_relayed_path_is_told_as_any_other() {
    let net = bound();
    let selected = |event: &Event| matches!(event, Event::SelectedPair { .. });
    assert!(net.has_told(0, selected) && net.has_told(1, selected));
}
