//! Two agents, of which one embeds or both: what changes beside the size of checks.

use std::net::SocketAddr;
use std::time::Duration;

use frazil::sim::{Datagram, HostId, Link, Network, Probability};
use frazil::{
    AgentConfig, EmbeddingSupport, Event, IceAgent, LocalAddress, Received, Role, Route, StreamId,
    Timestamp, Transport,
};

use super::{ACK, PACKET};
use crate::common::{Sent, addr};

/// One side.
struct Side {
    agent: IceAgent,
    host: HostId,
    sent: Vec<Sent>,
    events: Vec<(Timestamp, Event)>,
    timeouts: Vec<Timestamp>,
    consumed: Vec<bool>,
}

/// Everything that a session has put out.
struct Session {
    network: Network,
    now: Timestamp,
    sides: [Side; 2],
    stream: StreamId,
}

impl Session {
    /// Two hosts on each side, complete knowledge of each other, checks begin at zero.
    fn new(embedding: [bool; 2], seed: u8, loss: u32) -> Self {
        let mut network = Network::new([seed; 32]);
        let link = Link::delayed(Duration::from_millis(20)).with_loss(Probability::percent(loss));
        network.set_default_link(link);
        let now = Timestamp::ZERO;
        let roles = [Role::Controlling, Role::Controlled];
        let sides = [0, 1].map(|side| {
            let mut config = AgentConfig::new(roles[side]);
            config.embedding = embedding[side];
            let mut agent = IceAgent::new(config, [side as u8 + seed * 2; 32]).unwrap();
            let host = network.add_host();
            let stream = agent.streams().next().unwrap();
            for local in addresses(side) {
                network.add_address(host, local.ip()).unwrap();
                agent.add_local(now, stream, 1, LocalAddress::udp(local)).unwrap();
            }
            agent.gather(now);
            let (sent, events) = (Vec::new(), Vec::new());
            Side { agent, host, sent, events, timeouts: Vec::new(), consumed: Vec::new() }
        });
        let stream = sides[0].agent.streams().next().unwrap();
        let mut session = Self { network, now, sides, stream };
        for side in 0..2 {
            session.drain(side);
            let theirs = session.sides[1 - side].agent.local_parameters();
            let candidates: Vec<_> = (addresses(1 - side).iter().enumerate())
                .map(|(n, addr)| {
                    let priority = 2_000_000_000 - n;
                    let line =
                        format!("{n} 1 UDP {priority} {} {} typ host", addr.ip(), addr.port());
                    line.parse().unwrap()
                })
                .collect();
            let agent = &mut session.sides[side].agent;
            for candidate in candidates {
                agent.add_remote_candidate(now, stream, &candidate).unwrap();
            }
            agent.set_remote(now, theirs).unwrap();
        }
        session
    }

    fn embed(&mut self, side: usize, packet: &[u8]) {
        self.sides[side].agent.embed(self.now, self.stream, 1, packet).unwrap();
    }

    fn drain(&mut self, side: usize) {
        let now = self.now;
        let side = &mut self.sides[side];
        loop {
            let mut buf = Vec::new();
            if let Some(event) = side.agent.poll_event(now) {
                side.events.push((now, event));
            } else if let Some(transmit) = side.agent.poll_transmit(now, &mut buf) {
                let Route::Datagram { local, remote, .. } = transmit.route else { unreachable!() };
                let bytes = buf[transmit.range].to_vec();
                let datagram = Datagram::udp(local, remote, bytes.clone());
                self.network.send_from(now, side.host, datagram);
                let (from, to, dscp) = (local, remote, transmit.dscp);
                side.sent.push(Sent { at: now, from, to, dscp, bytes });
            } else {
                break;
            }
        }
        side.timeouts.extend(side.agent.poll_timeout());
    }

    fn run_until(&mut self, limit: Timestamp) {
        for side in 0..2 {
            self.drain(side);
        }
        loop {
            let timeouts = self.sides.iter().filter_map(|side| side.agent.poll_timeout());
            let Some(next) = timeouts.chain(self.network.next_arrival()).min() else { return };
            if next > limit {
                return;
            }
            self.now = next;
            while let Some(arrival) = self.network.receive(next) {
                let Datagram { from, to, payload, .. } = &arrival.datagram;
                let at = self.sides.iter().position(|side| side.host == arrival.host).unwrap();
                let side = &mut self.sides[at];
                // An answer may come too late to be wanted.
                let received =
                    side.agent.handle_datagram(next, Transport::Udp, *to, *from, payload);
                side.consumed.push(received == Received::Consumed);
                self.drain(at);
            }
            for side in 0..2 {
                self.sides[side].agent.handle_timeout(next);
                self.drain(side);
            }
        }
    }

    fn packets(&self, side: usize) -> Vec<&[u8]> {
        let packet = |event: &'_ (Timestamp, Event)| matches!(event.1, Event::Embedded { .. });
        let events = self.sides[side].events.iter().filter(|event| packet(event));
        events
            .filter_map(|(_, event)| match event {
                Event::Embedded { packet, .. } => Some(&packet[..]),
                _ => None,
            })
            .collect()
    }
}

fn addresses(side: usize) -> [SocketAddr; 2] {
    [addr(&format!("10.{side}.0.1:5000")), addr(&format!("10.{side}.0.2:5000"))]
}

/// When, from where and to where, and every attribute but those two and what is computed over them.
type Plain = (Timestamp, SocketAddr, SocketAddr, u8, u16, [u8; 12], Vec<(u16, Vec<u8>)>);

fn plain(sent: &Sent) -> Plain {
    let attributes = sent.attrs().into_iter();
    let attributes = attributes.filter(|(kind, _)| {
        ![PACKET, ACK, crate::common::MESSAGE_INTEGRITY, crate::common::FINGERPRINT].contains(kind)
    });
    (sent.at, sent.from, sent.to, sent.dscp, sent.kind(), sent.id(), attributes.collect())
}

/// The issue's own words: opaque bytes change nothing but the size of the checks.
#[test]
fn with_a_peer_that_does_not_know_it_only_the_size_of_checks_is_another() {
    for seed in 0..40 {
        let loss = u32::from(seed % 5) * 10;
        let mut off = Session::new([false, false], seed, loss);
        let mut on = Session::new([true, false], seed, loss);
        on.embed(0, &[0x16; 900]);
        on.embed(0, &[0x17; 300]);
        for session in [&mut off, &mut on] {
            session.run_until(Timestamp::from_millis(60_000));
        }
        let carried = on.sides[0].sent.iter().filter(|sent| sent.has(PACKET)).count();
        assert!(carried > 0, "seed {seed}: it was tried");
        for side in 0..2 {
            let (off, on) = (&off.sides[side], &on.sides[side]);
            assert_eq!(off.events, on.events, "seed {seed}");
            assert_eq!(off.timeouts, on.timeouts, "seed {seed}");
            assert_eq!(off.consumed, on.consumed, "seed {seed}");
            let [off, on] = [off, on].map(|side| side.sent.iter().map(plain).collect::<Vec<_>>());
            assert_eq!(off, on, "seed {seed}");
        }
        let embedding = on.sides[0].agent.embedding(on.stream, 1).unwrap();
        assert_eq!(embedding.support, EmbeddingSupport::No);
        // From the first message that it heard on nothing is added any more.
        let silent = on.sides[0].sent.iter().rposition(|sent| sent.has(ACK)).unwrap();
        assert!(on.sides[0].sent[silent + 1..].len() > 10);
    }
}

#[test]
fn between_two_that_know_it_packets_cross_once_each_whatever_is_lost() {
    for seed in 0..40 {
        let mut session = Session::new([true, true], seed, u32::from(seed % 4) * 10);
        let flights = [[&b"a1"[..], b"a2", b"a3"], [b"b1", b"b2", b"b3"]];
        for (side, packets) in flights.iter().enumerate() {
            packets.iter().for_each(|packet| session.embed(side, packet));
        }
        session.run_until(Timestamp::from_millis(30_000));
        for (side, flight) in flights.iter().enumerate() {
            let mut arrived = session.packets(1 - side);
            let waiting = session.sides[side].agent.embedding(session.stream, 1).unwrap().waiting;
            assert_eq!(waiting, 0, "all is acknowledged, or the peer says no more");
            arrived.sort_unstable();
            let before = arrived.len();
            arrived.dedup();
            assert_eq!(arrived.len(), before, "seed {seed}: each at most once");
            assert!(arrived.iter().all(|packet| flight.contains(packet)));
            assert!(seed % 4 > 0 || !arrived.is_empty());
        }
    }
}

#[test]
fn two_that_have_selected_fall_silent() {
    for seed in 0..20 {
        let mut session = Session::new([true, true], seed, u32::from(seed % 4) * 10);
        session.embed(0, b"hello");
        session.run_until(Timestamp::from_millis(20_000));
        let [one, other] = session.sides.each_ref().map(|side| side.sent.len());
        session.run_until(Timestamp::from_millis(120_000));
        for (side, before) in [one, other].into_iter().enumerate() {
            let later = &session.sides[side].sent[before..];
            assert!(
                later.len() > 5 && later.iter().all(|sent| !sent.has(ACK) && !sent.has(PACKET))
            );
        }
    }
}
