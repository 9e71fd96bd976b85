//! The client against a TURN server by others, which knows nothing of this crate.

use turn_client_proto::stun::Instant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::types::{AddressFamily, TransportType};
use turn_server_proto::api::{TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;

use super::super::{Allocation, Fact, Families, FromServer};
use super::{AllocationConfig, CLIENT, LISTEN, PEER, PEER_V6, addr, client};
use crate::random::Random;
use crate::stun::{method, scan};
use crate::time::Timestamp;
use core::net::SocketAddr;
use core::time::Duration;

const RELAY_V4: &str = "198.51.100.1:49200";
const RELAY_V6: &str = "[2001:db8::1]:49200";

struct Pair {
    client: Allocation,
    server: TurnServer,
    rng: Random,
    millis: u64,
    facts: Vec<Fact>,
    to_peers: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    from_peers: Vec<(SocketAddr, Vec<u8>)>,
    methods: Vec<u16>,
}

impl Pair {
    fn new(families: Families) -> Self {
        let realm = "example.org".to_owned();
        let mut server = TurnServer::new(TransportType::Udp, addr(LISTEN), realm);
        server.add_user("alice".to_owned(), "secret".to_owned());
        // Its 438 has a nonce that announces PASSWORD-ALGORITHMS and lacks them, upon which a client
        // MUST NOT ask again (RFC 8489 §9.2.5): it has no occasion to send one.
        server.set_nonce_expiry_duration(Duration::from_secs(10_000));
        let config = AllocationConfig { families, ..client() };
        let mut pair = Self {
            client: Allocation::new(Timestamp::ZERO, config),
            server,
            rng: Random::from_seed([4; 32]),
            millis: 0,
            facts: Vec::new(),
            to_peers: Vec::new(),
            from_peers: Vec::new(),
            methods: Vec::new(),
        };
        pair.run(1);
        pair
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(i64::try_from(self.millis).unwrap() * 1_000_000)
    }

    /// In steps of 50 ms, each of which is a slot.
    fn run(&mut self, secs: u64) {
        for _ in 0..secs * 20 {
            self.millis += 50;
            let now = self.now();
            self.client.handle_timeout(now);
            if self.client.slot_at().is_some_and(|at| at <= now) {
                self.client.start(now, &mut self.rng);
            }
            self.client.repeat(now);
            let mut buf = Vec::new();
            while let Some(range) = self.client.poll_transmit(&mut buf) {
                let bytes = buf[range].to_vec();
                self.methods.push(scan(&bytes).unwrap().method());
                self.give_server(addr(CLIENT), addr(LISTEN), bytes);
            }
            self.poll_server();
            self.facts.extend(core::iter::from_fn(|| self.client.poll_fact()));
        }
    }

    fn give_server(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let now = self.instant();
        let transmit = Transmit::new(bytes, TransportType::Udp, from, to);
        let said = self.server.recv(transmit, now).map(|transmit| {
            let transmit = transmit.build();
            (transmit.from, transmit.to, transmit.data)
        });
        if let Some((from, to, bytes)) = said {
            self.deliver(from, to, &bytes);
        }
        self.poll_server();
    }

    fn poll_server(&mut self) {
        for _ in 0..10 {
            let now = self.instant();
            match self.server.poll(now) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let relay = if family == AddressFamily::IPV4 { RELAY_V4 } else { RELAY_V6 };
                    self.server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        Ok(addr(relay)),
                        now,
                    );
                }
                _ => break,
            }
        }
        while let Some(transmit) = self.server.poll_transmit(self.instant()) {
            self.deliver(transmit.from, transmit.to, &transmit.data);
        }
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if to == addr(CLIENT) {
            let now = self.now();
            if let FromServer::Data { peer, payload } = self.client.receive(now, from, bytes) {
                self.from_peers.push((peer, payload.to_vec()));
            }
        } else {
            self.to_peers.push((from, to, bytes.to_vec()));
        }
    }

    fn assert_relays(&mut self, relay: &str, peer: SocketAddr) {
        self.to_peers.clear();
        self.from_peers.clear();
        let head = self.client.head_for(self.now(), peer, 5, &mut self.rng).unwrap();
        let bytes = [head.as_bytes(), b"there", head.padding()].concat();
        self.give_server(addr(CLIENT), addr(LISTEN), bytes);
        self.give_server(peer, addr(relay), b"back".to_vec());
        assert_eq!(self.to_peers, [(addr(relay), peer, b"there".to_vec())]);
        assert_eq!(self.from_peers, [(peer, b"back".to_vec())]);
    }

    /// Everything that a client wants of a server, and more than an hour of it.
    fn lives(mut self, ways: &[(&str, &str)]) {
        let relayed: Vec<SocketAddr> = ways.iter().map(|(relay, _)| addr(relay)).collect();
        assert_eq!(self.client.relayed(), relayed, "{:?}", self.client);
        for (relay, peer) in ways {
            let peer = addr(peer);
            self.client.permit(self.now(), peer.ip()).unwrap();
            self.run(1);
            self.assert_relays(relay, peer);
            let channel = self.client.bind(self.now(), peer).unwrap();
            self.run(1);
            assert!(self.facts.contains(&Fact::ChannelBound { peer, channel }), "{:?}", self.facts);
            self.assert_relays(relay, peer);
        }
        for _ in 0..70 {
            self.run(60);
            for (relay, peer) in ways {
                self.assert_relays(relay, addr(peer));
            }
        }
        assert!(!self.facts.iter().any(|fact| matches!(fact, Fact::Lost { .. })));
        for method in [method::REFRESH, method::CREATE_PERMISSION, method::CHANNEL_BIND] {
            let count = self.methods.iter().filter(|other| **other == method).count();
            assert!((7..120).contains(&count), "{count} of {method:#x}");
        }
        self.client.close(self.now());
        self.run(1);
        assert_eq!(self.facts.last(), Some(&Fact::Closed));
        self.to_peers.clear();
        self.give_server(addr(PEER), addr(RELAY_V4), b"gone".to_vec());
        assert_eq!(self.from_peers.last().map(|(_, data)| &data[..]), Some(&b"back"[..]));
    }
}

#[test]
fn it_lives_with_a_server_for_ipv4() {
    Pair::new(Families::V4).lives(&[(RELAY_V4, PEER)]);
}

#[test]
fn it_lives_with_a_server_for_ipv6() {
    Pair::new(Families::V6).lives(&[(RELAY_V6, PEER_V6)]);
}

#[test]
fn it_lives_with_a_server_for_both() {
    Pair::new(Families::Both).lives(&[(RELAY_V4, PEER), (RELAY_V6, PEER_V6)]);
}
