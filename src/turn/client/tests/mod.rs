//! The client against the simulated server: scenarios in virtual time, on a network without delay
//! that can be cut, with a pacer that grants a slot every 50 ms.

mod allocate;
mod authentication;
mod channels;
mod credentials;
mod data;
mod deframer;
mod disorder;
mod hostile;
mod hour;
mod independent;
mod permissions;
mod redirect;
mod refresh;
mod streams;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use super::{Allocation, AllocationConfig, Fact, FromServer};
use crate::gather::LongTermCredentials;
use crate::random::Random;
use crate::sim::{TurnRejected, TurnRoute, TurnServer, TurnServerConfig};
use crate::stun::attribute::XOR_PEER_ADDRESS;
use crate::stun::{Scan, method, scan};
use crate::time::Timestamp;
use crate::turn::deframer::Deframer;

const LISTEN: &str = "198.51.100.1:3478";
const CLIENT: &str = "192.0.2.1:5000";
const PEER: &str = "203.0.113.9:7000";
const PEER_V6: &str = "[2001:db8::9]:7000";
const TA: Duration = Duration::from_millis(50);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

/// A server for both families with the users alice and bob.
fn server() -> TurnServerConfig {
    let mut config = TurnServerConfig::new(addr(LISTEN))
        .with_user("alice", "secret")
        .with_user("bob", "another secret");
    config.relay_ipv6 = Some("2001:db8::1".parse().unwrap());
    config
}

fn alice() -> LongTermCredentials {
    LongTermCredentials::new("alice", "secret").unwrap()
}

fn client() -> AllocationConfig {
    AllocationConfig { credentials: Some(alice()), ..AllocationConfig::new(addr(LISTEN)) }
}

/// A request that the client has sent.
#[derive(Clone, Debug)]
struct Sent {
    at: Timestamp,
    bytes: Vec<u8>,
}

impl Sent {
    fn scan(&self) -> Scan<'_> {
        scan(&self.bytes).unwrap()
    }

    fn method(&self) -> u16 {
        self.scan().method()
    }
}

/// What a network does to a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Lost,
    Doubled,
    /// It comes after the next one.
    Late,
}

/// The client and its server.
#[derive(Clone, Debug)]
struct World {
    client: Allocation,
    server: TurnServer,
    now: Timestamp,
    rng: Random,
    local: SocketAddr,
    /// The connection, if the client uses one.
    connection: Option<u64>,
    deframer: Deframer,
    /// Nothing gets through between client and server.
    cut: bool,
    /// What becomes of the next datagrams between them.
    faults: VecDeque<Fault>,
    /// Datagrams that are late, those to the server first.
    late: [Vec<Vec<u8>>; 2],
    slot: Timestamp,
    sent: Vec<Sent>,
    facts: Vec<Fact>,
    to_peers: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    from_peers: Vec<(SocketAddr, Vec<u8>)>,
}

impl World {
    fn new(client: AllocationConfig, server: TurnServerConfig) -> Self {
        Self {
            client: Allocation::new(at(0), client),
            server: TurnServer::new(server, [1; 32]).unwrap(),
            now: at(0),
            rng: Random::from_seed([2; 32]),
            local: addr(CLIENT),
            connection: None,
            deframer: Deframer::default(),
            cut: false,
            faults: VecDeque::new(),
            late: [Vec::new(), Vec::new()],
            slot: at(0),
            sent: Vec::new(),
            facts: Vec::new(),
            to_peers: Vec::new(),
            from_peers: Vec::new(),
        }
    }

    /// One that has an allocation.
    fn allocated() -> Self {
        let mut world = Self::new(client(), server());
        world.run(1);
        assert!(matches!(world.facts[..], [Fact::Relayed { .. }]), "{:?}", world.facts);
        world.facts.clear();
        world.sent.clear();
        world
    }

    /// One that may send to the peer as well.
    fn permitted() -> Self {
        let mut world = Self::allocated();
        world.client.permit(world.now, addr(PEER).ip()).unwrap();
        world.run(1);
        assert_eq!(world.facts, [Fact::Permitted { ip: addr(PEER).ip() }]);
        world.facts.clear();
        world.sent.clear();
        world
    }

    /// And has a channel.
    fn bound() -> Self {
        let mut world = Self::permitted();
        let channel = world.client.bind(world.now, addr(PEER)).unwrap();
        world.run(1);
        assert_eq!(world.facts, [Fact::ChannelBound { peer: addr(PEER), channel }]);
        world.facts.clear();
        world.sent.clear();
        world
    }

    fn relayed(&self) -> SocketAddr {
        self.client.relayed()[0]
    }

    /// Lets so many seconds go by.
    fn run(&mut self, secs: u64) {
        self.run_until(self.now + Duration::from_secs(secs));
    }

    fn run_until(&mut self, end: Timestamp) {
        loop {
            self.pump();
            let slot = self.client.slot_at().map(|at| at.max(self.slot));
            let client = [slot, self.client.repeat_at(), self.client.poll_timeout()];
            let next = client.into_iter().chain([self.server.poll_timeout()]).flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next > self.now, "no progress at {next:?}: {:?}", self.client);
            self.now = next;
            self.server.handle_timeout(next);
            self.client.handle_timeout(next);
        }
        self.now = end;
    }

    /// Everything that is due now.
    fn pump(&mut self) {
        loop {
            let mut busy = false;
            if self.slot <= self.now && self.client.slot_at().is_some_and(|at| at <= self.now) {
                assert!(self.client.start(self.now, &mut self.rng), "asked for a slot in vain");
                self.slot = self.now + TA;
                busy = true;
            }
            busy |= self.client.repeat_at().is_some_and(|at| at <= self.now)
                && self.client.repeat(self.now);
            assert_eq!(self.client.has_transmit(), busy);
            let mut buf = vec![0xee; 3];
            while let Some(range) = self.client.poll_transmit(&mut buf) {
                busy = true;
                let bytes = buf[range].to_vec();
                self.sent.push(Sent { at: self.now, bytes: bytes.clone() });
                self.give_server(&bytes);
            }
            busy |= self.drain_server();
            self.facts.extend(core::iter::from_fn(|| self.client.poll_fact()));
            if !busy {
                break;
            }
        }
    }

    fn give_server(&mut self, bytes: &[u8]) {
        if self.cut {
            return;
        }
        match self.connection {
            Some(connection) => self.server.handle_stream(self.now, connection, bytes),
            None => {
                let server = self.client.server();
                for bytes in self.carry(0, bytes) {
                    self.server.handle_datagram(self.now, server, self.local, &bytes);
                }
            }
        }
    }

    /// What arrives when this is sent.
    fn carry(&mut self, direction: usize, bytes: &[u8]) -> Vec<Vec<u8>> {
        let bytes = bytes.to_vec();
        match self.faults.pop_front().unwrap_or(Fault::None) {
            Fault::Lost => Vec::new(),
            Fault::Doubled => vec![bytes.clone(), bytes],
            Fault::Late => {
                self.late[direction].push(bytes);
                Vec::new()
            }
            Fault::None => {
                let late = core::mem::take(&mut self.late[direction]);
                core::iter::once(bytes).chain(late).collect()
            }
        }
    }

    fn drain_server(&mut self) -> bool {
        let mut busy = false;
        while let Some((route, bytes)) = self.server.poll_transmit() {
            busy = true;
            match route {
                TurnRoute::Datagram { local, remote, .. } if remote == self.local => {
                    if !self.cut {
                        for bytes in self.carry(1, &bytes) {
                            self.give_client(local, &bytes);
                        }
                    }
                }
                TurnRoute::Datagram { local, remote, .. } => {
                    self.to_peers.push((local, remote, bytes));
                }
                TurnRoute::Stream(_) => self.give_stream(&bytes),
            }
        }
        busy
    }

    fn give_client(&mut self, from: SocketAddr, bytes: &[u8]) {
        if let FromServer::Data { peer, payload } = self.client.receive(self.now, from, bytes) {
            self.from_peers.push((peer, payload.to_vec()));
        }
    }

    /// In pieces of seven bytes.
    fn give_stream(&mut self, bytes: &[u8]) {
        let mut deframer = core::mem::take(&mut self.deframer);
        for mut piece in bytes.chunks(7) {
            while let Some(frame) = deframer.next(&mut piece).unwrap() {
                self.give_client(self.client.server(), frame.bytes());
            }
        }
        self.deframer = deframer;
    }

    /// Sends a payload to the peer as an agent would: head, payload, padding.
    fn send(&mut self, peer: SocketAddr, payload: &[u8]) {
        let head = self.client.head_for(self.now, peer, payload.len(), &mut self.rng).unwrap();
        let bytes = [head.as_bytes(), payload, head.padding()].concat();
        self.give_server(&bytes);
        self.pump();
    }

    /// A peer sends to the relayed address of its family.
    fn peer_sends(&mut self, peer: SocketAddr, payload: &[u8]) {
        let relayed = self.relayed_for(peer);
        self.server.handle_datagram(self.now, relayed, peer, payload);
        self.pump();
    }

    fn relayed_for(&self, peer: SocketAddr) -> SocketAddr {
        *self.client.relayed().iter().find(|own| own.is_ipv4() == peer.is_ipv4()).unwrap()
    }

    /// Data goes through both ways.
    fn assert_relays(&mut self, peer: SocketAddr) {
        self.to_peers.clear();
        self.from_peers.clear();
        self.send(peer, b"there");
        self.peer_sends(peer, b"back");
        let relayed = self.relayed_for(peer);
        assert_eq!(self.to_peers, [(relayed, peer, b"there".to_vec())]);
        assert_eq!(self.from_peers, [(peer, b"back".to_vec())]);
    }

    /// The requests of this method that were sent, repetitions included.
    fn count(&self, method: u16) -> usize {
        self.sent.iter().filter(|sent| sent.method() == method).count()
    }

    /// When they were sent.
    fn times(&self, method: u16) -> Vec<Timestamp> {
        self.sent.iter().filter(|sent| sent.method() == method).map(|sent| sent.at).collect()
    }

    fn errors(&self, code: u16) -> u64 {
        self.server.stats().rejected(TurnRejected::Error(code))
    }

    /// The peers of the last CreatePermission.
    fn last_batch(&self) -> usize {
        let sent = self.sent.iter().rfind(|sent| sent.method() == method::CREATE_PERMISSION);
        let sent = sent.unwrap();
        sent.scan().attributes().filter(|(kind, _)| *kind == XOR_PEER_ADDRESS).count()
    }

    fn moves_to(&mut self, local: &str) {
        self.local = addr(local);
        self.client.rebind(self.now);
    }
}
