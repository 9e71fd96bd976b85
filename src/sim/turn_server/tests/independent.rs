//! The server against a TURN client by others, which knows nothing of this crate.

use core::net::SocketAddr;
use core::time::Duration;

use turn_client_proto::api::{TurnConfig, TurnEvent, TurnPeerData, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::stun::types::message::IntegrityAlgorithm;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::{AddressFamily, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::super::{TurnMethod, TurnRejected, TurnRoute, TurnServer, TurnServerConfig};
use super::{CLIENT, LISTEN, PEER, addr, at};
use crate::time::Timestamp;

const CONNECTION: u64 = 7;

/// The client and the server with a wire between them, and what has come out at the other ends.
struct Pair<C> {
    client: C,
    server: TurnServer,
    millis: u64,
    events: Vec<TurnEvent>,
    to_peer: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    from_peer: Vec<(SocketAddr, Vec<u8>)>,
}

fn server() -> TurnServerConfig {
    let mut config = TurnServerConfig::new(addr(LISTEN)).with_user("alice", "secret");
    config.relay_ipv6 = Some("2001:db8::1".parse().unwrap());
    config
}

impl<C: TurnClientApi> Pair<C> {
    fn new(client: C, server: TurnServerConfig) -> Self {
        let mut server = TurnServer::new(server, [3; 32]).unwrap();
        if client.transport() == TransportType::Tcp {
            server.open_connection(at(0), CONNECTION, addr(LISTEN), addr(CLIENT)).unwrap();
        }
        let (events, to_peer, from_peer) = (Vec::new(), Vec::new(), Vec::new());
        let mut pair = Self { client, server, millis: 0, events, to_peer, from_peer };
        pair.settle();
        pair
    }

    fn instant(&self) -> Instant {
        Instant::from_nanos(i64::try_from(self.millis).unwrap() * 1_000_000)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis)
    }

    fn tell_server(&mut self, bytes: &[u8]) {
        match self.client.transport() {
            TransportType::Udp => {
                self.server.handle_datagram(self.now(), addr(LISTEN), addr(CLIENT), bytes);
            }
            TransportType::Tcp => self.server.handle_stream(self.now(), CONNECTION, bytes),
        }
    }

    /// Lets both talk for a second: the client leaves some time between its requests.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.millis += 50;
            let poll = self.client.poll(self.instant());
            assert!(!matches!(poll, TurnPollRet::Closed), "the client gave up");
            while let Some(transmit) = self.client.poll_transmit(self.instant()) {
                let bytes = transmit.data.as_ref().to_vec();
                self.tell_server(&bytes);
            }
            while let Some((route, bytes)) = self.server.poll_transmit() {
                match route {
                    TurnRoute::Datagram { local, remote, .. } if remote != addr(CLIENT) => {
                        self.to_peer.push((local, remote, bytes));
                    }
                    _ => self.tell_client(bytes),
                }
            }
            self.events.extend(core::iter::from_fn(|| self.client.poll_event()));
        }
    }

    fn tell_client(&mut self, bytes: Vec<u8>) {
        let transport = self.client.transport();
        let transmit = Transmit::new(bytes, transport, addr(LISTEN), addr(CLIENT));
        match self.client.recv(transmit, self.instant()) {
            TurnRecvRet::PeerData(data) => self.from_peer.push(said(&data)),
            TurnRecvRet::Ignored(transmit) => panic!("not understood: {:?}", transmit.data),
            _ => {}
        }
        while let Some(data) = self.client.poll_recv(self.instant()) {
            self.from_peer.push(said(&data));
        }
    }

    fn send(&mut self, peer: SocketAddr, payload: &[u8]) {
        let now = self.instant();
        let transmit = self.client.send_to(TransportType::Udp, peer, payload, now).unwrap();
        let bytes = transmit.expect("there is something to send").build().data;
        self.tell_server(&bytes);
        self.settle();
    }

    /// The whole life of an allocation, up to its end. What is sent has a multiple of four bytes:
    /// this client does not pad ChannelData over TCP, as RFC 8656 §12.5 wants it to.
    fn run(mut self, families: usize) {
        let relayed: Vec<SocketAddr> =
            self.client.relayed_addresses().map(|(_, relayed)| relayed).collect();
        assert_eq!(relayed.len(), families);
        assert_eq!(self.server.stats().rejected(TurnRejected::Error(401)), 1);
        let relayed = relayed[0];
        let peer = if relayed.is_ipv4() { addr(PEER) } else { addr("[2001:db8::9]:7000") };
        assert!(self.server.is_open(relayed));

        let now = self.instant();
        self.client.create_permission(TransportType::Udp, peer.ip(), now).unwrap();
        self.settle();
        assert!(self.client.have_permission(TransportType::Udp, peer.ip()));
        self.send(peer, b"a datagram, sent");
        self.server.handle_datagram(self.now(), relayed, peer, b"back");
        self.settle();

        let now = self.instant();
        self.client.bind_channel(TransportType::Udp, peer, now).unwrap();
        self.settle();
        let bound = |event: &TurnEvent| matches!(event, TurnEvent::ChannelCreated(..));
        assert!(self.events.iter().any(bound), "{:?}", self.events);
        self.send(peer, b"on a channel");
        self.server.handle_datagram(self.now(), relayed, peer, b"back again..");
        self.settle();

        assert_eq!(
            self.to_peer,
            [
                (relayed, peer, b"a datagram, sent".to_vec()),
                (relayed, peer, b"on a channel".to_vec())
            ]
        );
        assert_eq!(self.from_peer, [(peer, b"back".to_vec()), (peer, b"back again..".to_vec())]);

        // The client refreshes all by itself; two hours wear out two nonces.
        for _ in 0..7200 / 20 {
            self.millis += 19_000;
            self.settle();
        }
        self.send(peer, b"still there.");
        assert_eq!(self.to_peer.len(), 3);
        let stats = self.server.stats();
        assert!(stats.rejected(TurnRejected::Error(438)) >= 1);
        assert!(stats.successes(TurnMethod::Refresh) >= 4);
        assert_eq!(stats.expired(), 0);

        let now = self.instant();
        self.client.delete(now).unwrap();
        while let Some(transmit) = self.client.poll_transmit(self.instant()) {
            let bytes = transmit.data.as_ref().to_vec();
            self.tell_server(&bytes);
        }
        assert_eq!(self.server.allocations().count(), 0);
    }
}

fn said<T: AsRef<[u8]> + core::fmt::Debug>(data: &TurnPeerData<T>) -> (SocketAddr, Vec<u8>) {
    (data.peer, data.data().to_vec())
}

fn config() -> TurnConfig {
    let mut config = TurnConfig::new(TurnCredentials::new("alice", "secret"));
    let most = Duration::from_secs(8);
    config.set_request_retransmits(Duration::from_millis(500), most, 7, most);
    config
}

fn sha256() -> TurnConfig {
    let mut config = config();
    config.set_supported_integrity(IntegrityAlgorithm::Sha256);
    config
}

/// It can do SHA-1 and MD5 alone. RFC 8489 §9.2.4 answers those who name an algorithm, be it MD5,
/// with MESSAGE-INTEGRITY-SHA256, so that the server must not offer any.
#[test]
fn a_client_of_rfc_5389_lives_with_it_over_udp() {
    let mut config = config();
    config.set_anonymous_username(Feature::Disabled);
    let mut server = server();
    server.password_algorithms.clear();
    server.username_anonymity = false;
    Pair::new(TurnClientUdp::allocate(addr(CLIENT), addr(LISTEN), config), server).run(1);
}

#[test]
fn a_client_with_sha256_and_userhash_lives_with_it_over_udp() {
    let mut config = sha256();
    config.set_anonymous_username(Feature::Required);
    Pair::new(TurnClientUdp::allocate(addr(CLIENT), addr(LISTEN), config), server()).run(1);
}

#[test]
fn a_client_lives_with_it_over_tcp() {
    Pair::new(TurnClientTcp::allocate(addr(CLIENT), addr(LISTEN), sha256()), server()).run(1);
}

#[test]
fn a_client_gets_an_ipv6_address() {
    let mut config = sha256();
    config.set_address_family(AddressFamily::IPV6);
    Pair::new(TurnClientUdp::allocate(addr(CLIENT), addr(LISTEN), config), server()).run(1);
}

#[test]
fn a_client_gets_addresses_of_both_families() {
    let mut config = sha256();
    config.add_address_family(AddressFamily::IPV6);
    Pair::new(TurnClientUdp::allocate(addr(CLIENT), addr(LISTEN), config), server()).run(2);
}
