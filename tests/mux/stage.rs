//! Several `Mux`es on a link with a delay, and signalling that arrives at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use frazil::{
    AgentConfig, ConnectionState, Event, IceAgent, LocalAddress, Mux, MuxConfig, MuxReceived,
    Received, Role, Route, SessionId, StreamId, Timestamp, Transport,
};

use crate::common::{Sent, addr};

/// A session of one of the `Mux`es.
pub(crate) type Party = (usize, SessionId);

struct Flight {
    at: Timestamp,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// What came out at the receiving side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    To(Party, Vec<u8>),
    Shared(usize, Vec<u8>),
}

pub(crate) struct Stage {
    pub(crate) muxes: Vec<Mux>,
    pub(crate) now: Timestamp,
    pub(crate) delivered: Vec<Delivered>,
    pub(crate) events: BTreeMap<Party, Vec<Event>>,
    /// All that was sent, by whom.
    pub(crate) sent: Vec<(Party, Sent)>,
    /// Which `Mux` has an address.
    pub(crate) homes: BTreeMap<SocketAddr, usize>,
    /// Addresses to and from which nothing gets through.
    pub(crate) dead: BTreeSet<SocketAddr>,
    pub(crate) log: bool,
    peers: BTreeMap<Party, Party>,
    flights: VecDeque<Flight>,
}

pub(crate) const DELAY: Duration = Duration::from_millis(10);

pub(crate) fn full(role: Role) -> AgentConfig {
    AgentConfig::new(role)
}

pub(crate) fn lite() -> AgentConfig {
    let mut config = AgentConfig::new(Role::Controlled);
    config.lite = true;
    config
}

/// A seed for the agent with this number.
pub(crate) fn seed(number: u32) -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    seed
}

pub(crate) fn stream_of(agent: &IceAgent) -> StreamId {
    agent.streams().next().unwrap()
}

impl Stage {
    pub(crate) fn new(muxes: usize) -> Self {
        Self::with(muxes, &MuxConfig::default())
    }

    pub(crate) fn with(muxes: usize, config: &MuxConfig) -> Self {
        Self {
            muxes: (0..muxes).map(|at| Mux::new(config.clone(), [at as u8; 32])).collect(),
            now: Timestamp::ZERO,
            delivered: Vec::new(),
            events: BTreeMap::new(),
            sent: Vec::new(),
            homes: BTreeMap::new(),
            dead: BTreeSet::new(),
            log: false,
            peers: BTreeMap::new(),
            flights: VecDeque::new(),
        }
    }

    /// A session with one address, which may be that of others as well.
    pub(crate) fn add(
        &mut self,
        at: usize,
        config: AgentConfig,
        seed: [u8; 32],
        local: &str,
    ) -> Party {
        let agent = IceAgent::new(config, seed).unwrap();
        let id = self.muxes[at].insert(self.now, agent).unwrap();
        self.add_local((at, id), local);
        (at, id)
    }

    pub(crate) fn add_local(&mut self, party: Party, local: &str) {
        self.homes.insert(addr(local), party.0);
        let now = self.now;
        self.with_agent(party, |agent| {
            let stream = stream_of(agent);
            agent.add_local(now, stream, 1, LocalAddress::udp(addr(local))).unwrap();
            agent.gather(now);
        });
    }

    pub(crate) fn with_agent<R>(
        &mut self,
        (at, id): Party,
        act: impl FnOnce(&mut IceAgent) -> R,
    ) -> R {
        self.muxes[at].with(self.now, id, act).expect("the session is there")
    }

    pub(crate) fn agent(&self, (at, id): Party) -> &IceAgent {
        self.muxes[at].agent(id).expect("the session is there")
    }

    /// Each is told of the other; what they signal from now on arrives at once.
    pub(crate) fn introduce(&mut self, a: Party, b: Party) {
        self.peers.insert(a, b);
        self.peers.insert(b, a);
        self.drain();
        self.exchange_parameters(a, b);
    }

    pub(crate) fn exchange_parameters(&mut self, a: Party, b: Party) {
        let now = self.now;
        for (to, of) in [(a, b), (b, a)] {
            let theirs = self.agent(of).local_parameters();
            self.with_agent(to, |agent| agent.set_remote(now, theirs)).unwrap();
        }
        self.drain();
    }

    /// Two sessions at these addresses, introduced; the first is of the first `Mux`.
    pub(crate) fn pair(
        &mut self,
        number: u32,
        server: AgentConfig,
        locals: [&str; 2],
    ) -> [Party; 2] {
        let a = self.add(0, server, seed(2 * number), locals[0]);
        let b = self.add(1, full(Role::Controlling), seed(2 * number + 1), locals[1]);
        self.introduce(a, b);
        [a, b]
    }

    pub(crate) fn state(&self, party: Party) -> ConnectionState {
        self.agent(party).state()
    }

    pub(crate) fn is_completed(&self, party: Party) -> bool {
        self.state(party) == ConnectionState::Completed
    }

    /// Sends data the way that the agent says.
    pub(crate) fn send(&mut self, party: Party, payload: &[u8]) {
        let now = self.now;
        let route = self.with_agent(party, |agent| {
            let stream = stream_of(agent);
            agent.send(now, stream, 1, payload).unwrap().route
        });
        let Route::Datagram { local, remote, .. } = route else { panic!("a stream") };
        self.fly(local, remote, payload);
    }

    /// Puts a datagram onto the link.
    pub(crate) fn fly(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let at = self.now + DELAY;
        self.flights.push_back(Flight { at, from, to, bytes: bytes.to_vec() });
    }

    /// Hands a datagram over at once.
    pub(crate) fn feed(&mut self, at: usize, local: &str, remote: &str, bytes: &[u8]) -> bool {
        let taken = self.deliver(at, addr(local), addr(remote), bytes);
        self.drain();
        taken
    }

    fn deliver(&mut self, at: usize, to: SocketAddr, from: SocketAddr, bytes: &[u8]) -> bool {
        match self.muxes[at].handle_datagram(self.now, Transport::Udp, to, from, bytes) {
            MuxReceived::Session(id, Received::Data { payload, .. }) => {
                self.delivered.push(Delivered::To((at, id), payload.to_vec()));
                true
            }
            MuxReceived::Shared(payload) => {
                self.delivered.push(Delivered::Shared(at, payload.to_vec()));
                true
            }
            MuxReceived::Session(_, received) => received == Received::Consumed,
            MuxReceived::Ignored(_) => false,
            MuxReceived::Pending => panic!("a datagram is whole"),
        }
    }

    /// Takes everything out of all `Mux`es.
    pub(crate) fn drain(&mut self) {
        for at in 0..self.muxes.len() {
            let mut buf = Vec::new();
            loop {
                buf.clear();
                if let Some((id, transmit)) = self.muxes[at].poll_transmit(self.now, &mut buf) {
                    let Route::Datagram { local, remote, .. } = transmit.route else {
                        panic!("a stream")
                    };
                    let bytes = &buf[transmit.range];
                    self.fly(local, remote, bytes);
                    if self.log {
                        let sent = Sent {
                            at: self.now,
                            from: local,
                            to: remote,
                            dscp: transmit.dscp,
                            bytes: bytes.to_vec(),
                        };
                        self.sent.push(((at, id), sent));
                    }
                } else if let Some((id, event)) = self.muxes[at].poll_event(self.now) {
                    self.signal((at, id), &event);
                    self.events.entry((at, id)).or_default().push(event);
                } else {
                    break;
                }
            }
        }
    }

    fn signal(&mut self, from: Party, event: &Event) {
        let now = self.now;
        let Some(&(at, id)) = self.peers.get(&from) else {
            return;
        };
        if let Event::LocalCandidate { candidate, .. } = event {
            // The peer may be gone, or of another generation.
            self.muxes[at].with(now, id, |agent| {
                let stream = stream_of(agent);
                let _ = agent.add_remote_candidate(now, stream, candidate);
            });
        }
    }

    /// The next moment at which something happens.
    pub(crate) fn next_moment(&self) -> Option<Timestamp> {
        let timeouts = self.muxes.iter().filter_map(Mux::poll_timeout);
        timeouts.chain(self.flights.front().map(|flight| flight.at)).min()
    }

    /// Goes to the next moment, and does what is due.
    pub(crate) fn step(&mut self) -> bool {
        let Some(next) = self.next_moment() else { return false };
        self.now = self.now.max(next);
        while self.flights.front().is_some_and(|flight| flight.at <= self.now) {
            let flight = self.flights.pop_front().unwrap();
            let dead = self.dead.contains(&flight.from) || self.dead.contains(&flight.to);
            if let Some(&at) = self.homes.get(&flight.to).filter(|_| !dead) {
                self.deliver(at, flight.to, flight.from, &flight.bytes);
            }
        }
        for mux in &mut self.muxes {
            mux.handle_timeout(self.now);
        }
        self.drain();
        true
    }

    pub(crate) fn run_until(&mut self, until: Timestamp) {
        while self.next_moment().is_some_and(|next| next <= until) {
            self.step();
        }
        self.now = self.now.max(until);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    pub(crate) fn run_for_secs(&mut self, secs: u64) {
        self.run_for(Duration::from_secs(secs));
    }

    /// What was delivered since the last call.
    pub(crate) fn take_delivered(&mut self) -> Vec<Delivered> {
        std::mem::take(&mut self.delivered)
    }
}
