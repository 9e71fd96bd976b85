//! Two agents and a virtual network between them, the same for all implementations.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use crate::message::host;
use crate::peer::{Path, Peer};

/// One way.
const DELAY: Duration = Duration::from_millis(10);
/// Who takes longer than that to connect will not.
const PATIENCE: Duration = Duration::from_secs(600);
/// A driver that is kept busy so often at one instant is in an endless loop.
const STALLED: u32 = 1_000_000;

/// A datagram on its way, with its path as its receiver will see it.
struct Flight {
    at: Duration,
    to: usize,
    path: Path,
    bytes: Range<usize>,
}

/// What is in the air. It allocates once, before anything is measured: its own costs are small,
/// and the same for all.
pub struct Network {
    flights: VecDeque<Flight>,
    /// The bytes of all flights, one after the other. Free when nothing is in the air.
    arena: Vec<u8>,
    /// Only datagrams between these two addresses arrive.
    only: Option<[SocketAddr; 2]>,
    sent: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            flights: VecDeque::with_capacity(1 << 17),
            arena: Vec::with_capacity(1 << 24),
            only: None,
            sent: 0,
        }
    }
}

impl Network {
    fn reset(&mut self) {
        self.flights.clear();
        self.arena.clear();
        self.only = None;
        self.sent = 0;
    }

    fn send(&mut self, now: Duration, to: usize, path: Path, bytes: &[u8]) {
        self.sent += 1;
        let open =
            |only: &[SocketAddr; 2]| only.contains(&path.local) && only.contains(&path.remote);
        if self.only.as_ref().is_none_or(open) {
            let start = self.arena.len();
            self.arena.extend_from_slice(bytes);
            let bytes = start..self.arena.len();
            self.flights.push_back(Flight { at: now + DELAY, to, path: path.reversed(), bytes });
        }
    }

    /// All flights take equally long: the first that was sent is the first to arrive.
    fn arrival(&self) -> Option<Duration> {
        self.flights.front().map(|flight| flight.at)
    }

    fn arrived(&mut self, now: Duration) -> Option<Flight> {
        self.arrival().filter(|at| *at <= now)?;
        self.flights.pop_front()
    }

    fn tidy(&mut self) {
        if self.flights.is_empty() {
            self.arena.clear();
        }
    }
}

/// One of the two.
struct Side<P> {
    peer: P,
    /// As of the last time that it was drained.
    deadline: Option<Duration>,
    selected_at: Option<Duration>,
}

/// Two agents, of which the first is controlling.
pub struct World<P> {
    sides: [Side<P>; 2],
    network: Network,
    now: Duration,
    busy: u32,
}

impl<P: Peer> World<P> {
    /// Makes both agents with so many hosts each, and lets checks begin.
    pub fn new(hosts: usize, only_last: bool, mut network: Network) -> Self {
        network.reset();
        let addresses = [0, 1].map(|side| addresses(side, hosts));
        if only_last {
            network.only = Some([host(0, hosts - 1), host(1, hosts - 1)]);
        }
        let now = Duration::ZERO;
        let mut peers = [P::new(true, 1), P::new(false, 2)];
        let descriptions = [0, 1].map(|side| peers[side].add_hosts(now, &addresses[side]));
        for (peer, description) in peers.iter_mut().zip(descriptions.iter().rev()) {
            peer.set_remote(now, description);
        }
        let sides = peers.map(|peer| Side { peer, deadline: None, selected_at: None });
        let mut world = Self { sides, network, now, busy: 0 };
        world.drain(0);
        world.drain(1);
        world
    }

    /// Two agents that have selected a pair, with nothing in the air.
    pub fn connected(hosts: usize, only_last: bool, network: Network) -> Self {
        let mut world = Self::new(hosts, only_last, network);
        while world.selected_at().is_none() || !world.network.flights.is_empty() {
            world.step();
            assert!(world.now < PATIENCE, "they did not connect");
        }
        world
    }

    /// As [`World::connected`], ten seconds later: what was kept for connecting has gone.
    pub fn settled(hosts: usize, network: Network) -> Self {
        let mut world = Self::connected(hosts, false, network);
        world.run_for(Duration::from_secs(10));
        world
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next().is_some_and(|next| next <= end) {
            self.step();
        }
        self.now = end;
    }

    /// When both sides had selected a pair.
    pub fn selected_at(&self) -> Option<Duration> {
        let [one, other] = &self.sides;
        Some(one.selected_at?.max(other.selected_at?))
    }

    /// Datagrams sent by both sides.
    pub fn sent(&self) -> u64 {
        self.network.sent
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn into_network(self) -> Network {
        self.network
    }

    pub fn into_peers(self) -> ([P; 2], Network) {
        (self.sides.map(|side| side.peer), self.network)
    }

    fn next(&self) -> Option<Duration> {
        let deadlines = self.sides.iter().filter_map(|side| side.deadline);
        deadlines.chain(self.network.arrival()).min()
    }

    fn step(&mut self) {
        let next = self.next().expect("an agent that is not connected has something to do");
        self.busy = if next > self.now { 0 } else { self.busy + 1 };
        assert!(self.busy < STALLED, "time stands still");
        self.now = self.now.max(next);
        while let Some(flight) = self.network.arrived(self.now) {
            let side = &mut self.sides[flight.to];
            let bytes = &self.network.arena[flight.bytes];
            let _ = side.peer.receive(self.now, flight.path, bytes);
            self.drain(flight.to);
        }
        self.network.tidy();
        for side in 0..2 {
            if self.sides[side].deadline.is_some_and(|at| at <= self.now) {
                self.sides[side].peer.timeout(self.now);
                self.drain(side);
            }
        }
    }

    fn drain(&mut self, index: usize) {
        let (side, network, now) = (&mut self.sides[index], &mut self.network, self.now);
        side.peer.drain(now, |path, bytes| network.send(now, 1 - index, path, bytes));
        side.deadline = side.peer.deadline();
        if side.selected_at.is_none() && side.peer.selected().is_some() {
            side.selected_at = Some(now);
        }
    }
}

fn addresses(side: u8, hosts: usize) -> Vec<SocketAddr> {
    (0..hosts).map(|index| host(side, index)).collect()
}
