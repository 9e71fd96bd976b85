//! Two agents and a wire with a fixed delay, as little as can be: for counting allocations and
//! instructions, where the simulator's own would be in the way.
#![allow(dead_code, unreachable_pub, reason = "every binary uses a part of it")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::replay::Recorder;
use frazil::{
    AddLocalError, AddRemoteError, AgentConfig, Candidate, CandidateId, ConfigError,
    ConnectionState, Event, IceAgent, LocalAddress, Parameters, Received, Role, Route,
    SetRemoteError, StreamId, Timestamp, Transmit, Transport,
};

/// A transmit with its bytes.
pub type Sent = (Transmit, Vec<u8>);

/// A datagram on its way.
struct Flight {
    at: Timestamp,
    to: usize,
    from_addr: SocketAddr,
    to_addr: SocketAddr,
    bytes: Vec<u8>,
}

/// An agent, recorded or not.
pub trait Driven {
    fn agent(&self) -> &IceAgent;
    fn add_local(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        component: u16,
        local: LocalAddress,
    ) -> Result<CandidateId, AddLocalError>;
    fn gather(&mut self, now: Timestamp);
    fn set_remote(&mut self, now: Timestamp, theirs: Parameters) -> Result<(), SetRemoteError>;
    fn add_remote_candidate(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        candidate: &Candidate,
    ) -> Result<CandidateId, AddRemoteError>;
    fn end_of_remote_candidates(&mut self, now: Timestamp, generation: Option<&str>);
    fn handle_datagram<'a>(
        &mut self,
        now: Timestamp,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &'a [u8],
    ) -> Received<'a>;
    fn handle_timeout(&mut self, now: Timestamp);
    fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<Transmit>;
    fn poll_event(&mut self, now: Timestamp) -> Option<Event>;
}

macro_rules! driven {
    ($type:ident) => {
        impl Driven for $type {
            fn agent(&self) -> &IceAgent {
                self
            }
            fn add_local(
                &mut self,
                now: Timestamp,
                stream: StreamId,
                component: u16,
                local: LocalAddress,
            ) -> Result<CandidateId, AddLocalError> {
                self.add_local(now, stream, component, local)
            }
            fn gather(&mut self, now: Timestamp) {
                self.gather(now);
            }
            fn set_remote(
                &mut self,
                now: Timestamp,
                theirs: Parameters,
            ) -> Result<(), SetRemoteError> {
                self.set_remote(now, theirs)
            }
            fn add_remote_candidate(
                &mut self,
                now: Timestamp,
                stream: StreamId,
                candidate: &Candidate,
            ) -> Result<CandidateId, AddRemoteError> {
                self.add_remote_candidate(now, stream, candidate)
            }
            fn end_of_remote_candidates(&mut self, now: Timestamp, generation: Option<&str>) {
                self.end_of_remote_candidates(now, generation);
            }
            fn handle_datagram<'a>(
                &mut self,
                now: Timestamp,
                transport: Transport,
                local: SocketAddr,
                remote: SocketAddr,
                datagram: &'a [u8],
            ) -> Received<'a> {
                self.handle_datagram(now, transport, local, remote, datagram)
            }
            fn handle_timeout(&mut self, now: Timestamp) {
                self.handle_timeout(now);
            }
            fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<Transmit> {
                self.poll_transmit(now, buf)
            }
            fn poll_event(&mut self, now: Timestamp) -> Option<Event> {
                self.poll_event(now)
            }
        }
    };
}

driven!(IceAgent);
driven!(Recorder);

/// Two agents and what is between them.
pub struct Wire<A = IceAgent> {
    pub agents: [A; 2],
    pub stream: StreamId,
    pub now: Timestamp,
    /// Both sides have a valid pair since.
    pub connected: [Option<Timestamp>; 2],
    /// The newest selection of each side.
    pub selected: [Option<Timestamp>; 2],
    /// Datagrams sent by each side.
    pub sent: [usize; 2],
    delay: Duration,
    /// Only datagrams between these two addresses arrive.
    only: Option<[SocketAddr; 2]>,
    flights: VecDeque<Flight>,
    buf: Vec<u8>,
    /// What each side has sent, if it is kept.
    pub transmits: Option<[Vec<Sent>; 2]>,
}

/// The address of the `index`-th candidate of a side.
pub fn address(side: usize, index: usize) -> SocketAddr {
    format!("10.{side}.{}.{}:5000", index / 200, index % 200 + 1).parse().unwrap()
}

impl Wire {
    /// Both sides know all candidates of the other, and have not begun.
    pub fn new(hosts: [usize; 2], ta: Duration, delay: Duration, seed: u8) -> Self {
        Self::of(IceAgent::new, hosts, ta, delay, seed)
    }

    /// Two connected agents with so many candidates each.
    pub fn connected(hosts: usize) -> Self {
        let delay = Duration::from_millis(10);
        let mut wire = Self::new([hosts; 2], Duration::from_millis(50), delay, 1);
        wire.start();
        wire.run(Timestamp::from_millis(10_000));
        assert!(wire.selected.iter().all(Option::is_some));
        wire
    }

    /// The same ten seconds later, when consent has been asked for.
    pub fn settled(hosts: usize) -> Self {
        let mut wire = Self::connected(hosts);
        wire.selected = [None; 2];
        wire.run(wire.now + Duration::from_secs(10));
        wire
    }
}

impl<A: Driven> Wire<A> {
    /// The same of agents that are made by `make`.
    pub fn of(
        make: impl Fn(AgentConfig, [u8; 32]) -> Result<A, ConfigError>,
        hosts: [usize; 2],
        ta: Duration,
        delay: Duration,
        seed: u8,
    ) -> Self {
        let mut config = AgentConfig::new(Role::Controlling);
        config.timing.ta = ta;
        let mut other = config.clone();
        other.role = Role::Controlled;
        let mut agents =
            [make(config, [seed; 32]).unwrap(), make(other, [seed.wrapping_add(128); 32]).unwrap()];
        let now = Timestamp::ZERO;
        let stream = agents[0].agent().streams().next().unwrap();
        for (side, agent) in agents.iter_mut().enumerate() {
            for index in 0..hosts[side] {
                let local = LocalAddress::udp(address(side, index));
                agent.add_local(now, stream, 1, local).unwrap();
            }
            agent.gather(now);
        }
        let mut candidates = [Vec::new(), Vec::new()];
        for (agent, candidates) in agents.iter_mut().zip(&mut candidates) {
            while let Some(event) = agent.poll_event(now) {
                if let Event::LocalCandidate { candidate, .. } = event {
                    candidates.push(candidate);
                }
            }
        }
        for (agent, theirs) in agents.iter_mut().zip(candidates.iter().rev()) {
            for candidate in theirs {
                agent.add_remote_candidate(now, stream, candidate).unwrap();
            }
            agent.end_of_remote_candidates(now, None);
        }
        Self {
            agents,
            stream,
            now,
            connected: [None; 2],
            selected: [None; 2],
            sent: [0; 2],
            delay,
            only: None,
            flights: VecDeque::new(),
            buf: Vec::with_capacity(2048),
            transmits: None,
        }
    }

    /// Only the last address of each side reaches the other.
    pub fn only_last(&mut self, hosts: [usize; 2]) {
        self.only = Some([address(0, hosts[0] - 1), address(1, hosts[1] - 1)]);
    }

    /// Exchanges the parameters: checks begin.
    pub fn start(&mut self) {
        let parameters = self.agents.each_ref().map(|agent| agent.agent().local_parameters());
        for (agent, theirs) in self.agents.iter_mut().zip(parameters.into_iter().rev()) {
            agent.set_remote(self.now, theirs).unwrap();
        }
        self.drain();
    }

    /// Runs until both sides have selected a pair and nothing is on its way, or until `limit`.
    pub fn run(&mut self, limit: Timestamp) {
        loop {
            let done = self.selected.iter().all(Option::is_some) && self.flights.is_empty();
            let arrival = self.flights.front().map(|flight| flight.at);
            let timeouts = self.agents.iter().filter_map(|agent| agent.agent().poll_timeout());
            let Some(next) = timeouts.chain(arrival).min() else { return };
            if done || next > limit {
                return;
            }
            self.now = next;
            while self.flights.front().is_some_and(|flight| flight.at <= next) {
                let flight = self.flights.pop_front().unwrap();
                let received = self.agents[flight.to].handle_datagram(
                    next,
                    Transport::Udp,
                    flight.to_addr,
                    flight.from_addr,
                    &flight.bytes,
                );
                assert!(!matches!(received, Received::Ignored(_)), "{received:?}");
            }
            for agent in &mut self.agents {
                agent.handle_timeout(next);
            }
            self.drain();
        }
    }

    fn drain(&mut self) {
        for side in 0..2 {
            loop {
                let agent = &mut self.agents[side];
                if let Some(transmit) = agent.poll_transmit(self.now, &mut self.buf) {
                    self.sent[side] += 1;
                    if let Some(transmits) = &mut self.transmits {
                        let bytes = self.buf[transmit.range.clone()].to_vec();
                        transmits[side].push((transmit.clone(), bytes));
                    }
                    if let Route::Datagram { local, remote, .. } = transmit.route {
                        let open = self
                            .only
                            .is_none_or(|only| only.contains(&local) && only.contains(&remote));
                        if open {
                            self.flights.push_back(Flight {
                                at: self.now + self.delay,
                                to: 1 - side,
                                from_addr: local,
                                to_addr: remote,
                                bytes: self.buf[transmit.range].to_vec(),
                            });
                        }
                    }
                    self.buf.clear();
                } else {
                    match agent.poll_event(self.now) {
                        Some(Event::ConnectionState(ConnectionState::Connected)) => {
                            self.connected[side].get_or_insert(self.now);
                        }
                        Some(Event::SelectedPair { .. }) => self.selected[side] = Some(self.now),
                        Some(_) => {}
                        None => break,
                    }
                }
            }
        }
    }
}
