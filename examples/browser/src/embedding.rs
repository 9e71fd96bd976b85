//! DTLS inside the checks, in virtual time: real handshakes of two sides that are a delay apart.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::{
    AgentConfig, Event, IceAgent, LocalAddress, Received, Role, Route, StreamId, Timestamp,
    Transport,
};

use crate::clock::Clock;
use crate::driver::EventLoop;
use crate::tls::{Identity, Record, Tls};

/// One way.
const DELAY: Duration = Duration::from_millis(50);

/// One side.
struct Side {
    agent: IceAgent,
    stream: StreamId,
    tls: Tls,
    embeds: bool,
    unsent: Vec<Vec<u8>>,
    secure: Option<Timestamp>,
}

impl Side {
    fn has_route(&self) -> bool {
        self.agent.route(self.stream, 1).is_some()
    }

    /// Takes out what is to be sent, events and DTLS first.
    fn drain(&mut self, now: Timestamp) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let mut out = Vec::new();
        loop {
            let mut flight = Vec::new();
            while self.embeds || self.has_route() {
                match self.tls.poll().unwrap() {
                    Some(Record::Datagram(datagram)) => flight.push(datagram.to_vec()),
                    Some(Record::Connected) => self.secure = Some(now),
                    Some(_) => {}
                    None => break,
                }
            }
            if !flight.is_empty() {
                self.agent.withdraw_embedded(now, self.stream, 1);
                for packet in &flight {
                    self.agent.embed(now, self.stream, 1, packet).ok();
                }
                self.unsent = flight;
            }
            if self.has_route() {
                for packet in std::mem::take(&mut self.unsent) {
                    let sent = self.agent.send(now, self.stream, 1, &packet).unwrap();
                    let Route::Datagram { local, remote, .. } = sent.route else { unreachable!() };
                    out.push((local, remote, packet.clone()));
                }
            }
            let mut buf = Vec::new();
            if let Some(event) = self.agent.poll_event(now) {
                if let Event::Embedded { packet, .. } = event {
                    self.tls.receive(now, &packet).unwrap();
                }
            } else if let Some(transmit) = self.agent.poll_transmit(now, &mut buf) {
                let Route::Datagram { local, remote, .. } = transmit.route else { unreachable!() };
                out.push((local, remote, buf[transmit.range].to_vec()));
            } else {
                return out;
            }
        }
    }
}

/// When both sides have connected, counted from the first check; and the packets that came in checks.
fn handshake(embeds: [bool; 2], client: usize) -> (Duration, u32) {
    let events = EventLoop::new().unwrap();
    let (identity, clock) = (Identity::new().unwrap(), Clock::of(&events));
    let mut now = Timestamp::ZERO;
    let addresses: [SocketAddr; 2] =
        ["192.0.2.1:5000", "192.0.2.2:5000"].map(|a| a.parse().unwrap());
    let roles = [Role::Controlling, Role::Controlled];
    let mut sides = [0, 1].map(|side| {
        let mut config = AgentConfig::new(roles[side]);
        config.embedding = embeds[side];
        let mut agent = IceAgent::new(config, [side as u8 + 1; 32]).unwrap();
        let stream = agent.streams().next().unwrap();
        agent.add_local(now, stream, 1, LocalAddress::udp(addresses[side])).unwrap();
        agent.gather(now);
        while agent.poll_event(now).is_some() {}
        let fingerprint = identity.fingerprint.clone();
        let tls = Tls::new(&identity, clock, now, side == client, fingerprint).unwrap();
        Side { agent, stream, tls, embeds: embeds[side], unsent: Vec::new(), secure: None }
    });
    let parameters = sides.each_ref().map(|side| side.agent.local_parameters());
    for (side, theirs) in parameters.iter().rev().enumerate() {
        let addr = addresses[1 - side];
        let line = format!("1 1 UDP 2130706431 {} {} typ host", addr.ip(), addr.port());
        let Side { agent, stream, .. } = &mut sides[side];
        agent.add_remote_candidate(now, *stream, &line.parse().unwrap()).unwrap();
        agent.set_remote(now, theirs.clone()).unwrap();
    }
    let mut flights: VecDeque<(Timestamp, SocketAddr, SocketAddr, Vec<u8>)> = VecDeque::new();
    loop {
        for side in &mut sides {
            let sent = side.drain(now).into_iter();
            flights.extend(sent.map(|(from, to, bytes)| (now + DELAY, from, to, bytes)));
        }
        if let [Some(one), Some(other)] = sides.each_ref().map(|side| side.secure) {
            let received = sides
                .iter()
                .filter_map(|side| side.agent.embedding(side.stream, 1))
                .map(|it| it.received);
            return (one.max(other).as_duration(), received.sum());
        }
        // DTLS has its timer where there is a path.
        let timers =
            sides.iter().filter(|side| side.has_route()).filter_map(|it| it.tls.deadline());
        let agents = sides.iter().filter_map(|side| side.agent.poll_timeout());
        let arrival = flights.front().map(|flight| flight.0);
        now = agents.chain(timers).chain(arrival).min().unwrap().max(now);
        assert!(now < Timestamp::from_millis(5_000), "no handshake");
        while flights.front().is_some_and(|flight| flight.0 <= now) {
            let (_, from, to, bytes) = flights.pop_front().unwrap();
            let side = &mut sides[usize::from(to == addresses[1])];
            let received = side.agent.handle_datagram(now, Transport::Udp, to, from, &bytes);
            if let Received::Data { payload, .. } = received {
                side.tls.receive(now, payload).unwrap();
            }
            let sent = side.drain(now).into_iter();
            flights.extend(sent.map(|(from, to, bytes)| (now + DELAY, from, to, bytes)));
        }
        for side in &mut sides {
            side.agent.handle_timeout(now);
            if side.has_route() {
                side.tls.expire(now).unwrap();
            }
        }
    }
}

#[test]
fn dtls_in_the_checks_is_done_a_round_trip_earlier() {
    for client in [0, 1] {
        let (on_the_path, none) = handshake([false, false], client);
        let (in_checks, received) = handshake([true, true], client);
        assert_eq!(none, 0);
        assert!(received >= 2, "both flights came in checks");
        assert_eq!(on_the_path - in_checks, 2 * DELAY, "{on_the_path:?}, {in_checks:?}");
    }
}

#[test]
fn a_peer_without_it_is_connected_to_as_fast_as_before() {
    for embeds in [[true, false], [false, true]] {
        for client in [0, 1] {
            let (before, _) = handshake([false, false], client);
            let (after, received) = handshake(embeds, client);
            assert_eq!((before, received), (after, 0));
        }
    }
}
