//! Two agents with a handshake above each, on a simulated network.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::sim::{Datagram, HostId, Link, Network, Probability};
use frazil::{
    AgentConfig, Candidate, Event, IceAgent, LocalAddress, Received, Role, Route, StreamId,
    Timestamp, Transport,
};

use super::shape::{Handshake, Shape};

/// A session that takes longer has failed: the timer has doubled nine times then.
const LIMIT: Timestamp = Timestamp::from_millis(600_000);

/// What is between the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// One way.
    pub(crate) delay: Duration,
    /// In percent, each way.
    pub(crate) loss: u32,
    pub(crate) seed: u8,
    pub(crate) number: u32,
}

/// One side: the agent, and what stands on it.
struct Side {
    agent: IceAgent,
    stream: StreamId,
    host: HostId,
    handshake: Handshake,
    embeds: bool,
    /// The newest flight, as long as there was no way to send it.
    unsent: Vec<Vec<u8>>,
}

/// How long it takes from the first check until both sides have the keys of the application; none
/// if they never do.
pub(crate) fn run(
    shape: &'static Shape,
    embeds: bool,
    way: Way,
) -> Result<Option<Duration>, Box<dyn Error>> {
    let mut seed = [way.seed; 32];
    seed[..4].copy_from_slice(&way.number.to_le_bytes());
    let mut network = Network::new(seed);
    let link = Link::delayed(way.delay).with_loss(Probability::percent(way.loss));
    network.set_default_link(link);
    let mut sides = Vec::new();
    for role in [Role::Controlling, Role::Controlled] {
        let mut config = AgentConfig::new(role);
        config.embedding = embeds;
        let client = role == Role::Controlled;
        seed[31] = u8::from(client);
        let agent = IceAgent::new(config, seed)?;
        let stream = agent.streams().next().ok_or("a stream")?;
        let handshake = Handshake::new(shape, client);
        let host = network.add_host();
        sides.push(Side { agent, stream, host, handshake, embeds, unsent: Vec::new() });
    }
    let mut now = Timestamp::ZERO;
    let addresses: [SocketAddr; 2] = ["192.0.2.1:5000".parse()?, "192.0.2.2:5000".parse()?];
    let mut candidates: Vec<Candidate> = Vec::new();
    for (side, address) in sides.iter_mut().zip(addresses) {
        network.add_address(side.host, address.ip())?;
        side.agent.add_local(now, side.stream, 1, LocalAddress::udp(address))?;
        side.agent.gather(now);
        while let Some(event) = side.agent.poll_event(now) {
            if let Event::LocalCandidate { candidate, .. } = event {
                candidates.push(candidate);
            }
        }
    }
    let parameters: Vec<_> = sides.iter().map(|side| side.agent.local_parameters()).collect();
    for (side, (theirs, candidate)) in
        sides.iter_mut().zip(parameters.into_iter().zip(candidates).rev())
    {
        if side.embeds
            && let Some(flight) = side.handshake.begin()
        {
            side.put(now, flight, &mut network);
        }
        side.agent.add_remote_candidate(now, side.stream, &candidate)?;
        side.agent.set_remote(now, theirs)?;
    }
    loop {
        for side in &mut sides {
            side.settle(now, &mut network);
        }
        let keys: Option<Vec<Timestamp>> = sides.iter().map(|side| side.handshake.keys).collect();
        if let Some(both) = keys {
            return Ok(both.into_iter().max().map(Timestamp::as_duration));
        }
        let deadlines = sides.iter().flat_map(|side| [side.agent.poll_timeout(), side.deadline()]);
        let next = deadlines.flatten().chain(network.next_arrival()).min();
        let Some(next) = next.filter(|next| *next <= LIMIT) else { return Ok(None) };
        now = next;
        while let Some(arrival) = network.receive(now) {
            let side = sides.iter_mut().find(|side| side.host == arrival.host);
            side.ok_or("a side")?.receive(now, &arrival.datagram, &mut network);
        }
        for side in &mut sides {
            side.agent.handle_timeout(now);
            if let Some(flight) = side.handshake.expire(now) {
                side.put(now, flight, &mut network);
            }
        }
    }
}

impl Side {
    fn receive(&mut self, now: Timestamp, datagram: &Datagram, network: &mut Network) {
        let Datagram { from, to, payload, .. } = datagram;
        if let Received::Data { payload, .. } =
            self.agent.handle_datagram(now, Transport::Udp, *to, *from, payload)
        {
            if let Some(flight) = self.handshake.receive(now, payload) {
                self.put(now, flight, network);
            }
        }
        self.settle(now, network);
    }

    /// Events before transmits: so what a packet calls for rides in the answer to the check that has
    /// brought it.
    fn settle(&mut self, now: Timestamp, network: &mut Network) {
        let mut buf = Vec::new();
        loop {
            if let Some(event) = self.agent.poll_event(now) {
                if let Event::Embedded { packet, .. } = event
                    && let Some(flight) = self.handshake.receive(now, &packet)
                {
                    self.put(now, flight, network);
                }
            } else if self.agent.route(self.stream, 1).is_some() && self.has_unsent() {
                let unsent = std::mem::take(&mut self.unsent);
                let flight = self.handshake.begin().unwrap_or(unsent);
                self.put(now, flight, network);
            } else if let Some(transmit) = self.agent.poll_transmit(now, &mut buf) {
                if let Route::Datagram { local, remote, .. } = transmit.route {
                    let bytes = buf.get(transmit.range).unwrap_or_default();
                    network.send_from(now, self.host, Datagram::udp(local, remote, bytes));
                }
            } else {
                return;
            }
        }
    }

    /// A flight takes the place of the one before: it rides in checks, and goes on the path as soon as
    /// there is one.
    fn put(&mut self, now: Timestamp, flight: Vec<Vec<u8>>, network: &mut Network) {
        self.agent.withdraw_embedded(now, self.stream, 1);
        let mut sent = true;
        for packet in &flight {
            // A path may be there instead.
            let _ = self.agent.embed(now, self.stream, 1, packet);
            match self.agent.send(now, self.stream, 1, packet) {
                Ok(out) => {
                    if let Route::Datagram { local, remote, .. } = out.route {
                        let datagram = Datagram::udp(local, remote, out.payload());
                        network.send_from(now, self.host, datagram);
                    }
                }
                Err(_) => sent = false,
            }
        }
        self.unsent.clear();
        if sent {
            self.handshake.sent(now);
        } else {
            // RFC 6347 has no timer for what was not sent.
            self.unsent = flight;
        }
    }

    fn has_unsent(&self) -> bool {
        !self.unsent.is_empty() || self.handshake.may_begin()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.handshake.deadline()
    }
}
