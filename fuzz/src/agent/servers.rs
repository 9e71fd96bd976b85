//! The servers of the agent, and what it asks of its caller: names, sockets, connections.
//!
//! A `TurnServer` of the simulation answers, and when its answers arrive, and how, is the input's
//! choice. What no such server would say is composed by hand, with the key that authenticates it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use frazil::fuzzing::Message as Scanned;
use frazil::sim::{TurnRoute, TurnServer, TurnServerConfig};
use frazil::{
    ConnectionId, Event, LookupId, Route, Server, ServerCredentials, ServerId, SocketId, Timestamp,
};
use sha2::{Digest, Sha256};

use super::super::pool::address;
use super::super::wire::{self, Message};
use super::input::{Composed, Forged};
use super::peer::plain;

/// Where the model listens; the last one is of nobody, and only answers by hand.
pub const SERVERS: [&str; 4] =
    ["198.51.100.1:3478", "[2001:db8:5::1]:3478", "198.51.100.1:5349", "198.51.100.2:3478"];

const USER: (&str, &str) = ("alice", "secret of alice");
const REALM: &str = "frazil.test";

/// The methods of requests to servers.
const BINDING: u16 = 0x001;
const ALLOCATE: u16 = 0x003;
const REFRESH: u16 = 0x004;
const CREATE_PERMISSION: u16 = 0x008;
const CHANNEL_BIND: u16 = 0x009;

pub fn server(index: u8) -> SocketAddr {
    SERVERS[usize::from(index) % SERVERS.len()].parse().unwrap()
}

/// By which way something goes between the agent and a server or its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Udp,
    Stream(ConnectionId),
    /// The peer's way: the address that the model relays.
    Relay(SocketAddr),
}

/// A message on its way to the agent.
#[derive(Clone, Debug)]
pub struct FromServer {
    pub via: Via,
    pub to: SocketAddr,
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
}

/// A connection that the agent has asked for, or that has been accepted for it.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    pub id: ConnectionId,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// It goes to a server.
    pub to_server: bool,
    pub open: bool,
}

/// A request of the agent to a server.
#[derive(Clone, Debug)]
struct Asked {
    via: Via,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

pub struct Servers {
    pub model: TurnServer,
    pub added: Vec<ServerId>,
    asked: Vec<Asked>,
    /// All its requests: where each went, and whether it was sealed.
    ids: BTreeMap<[u8; 12], (SocketAddr, bool)>,
    /// What the model has sent to the agent, and the input has not let arrive.
    pub answers: VecDeque<FromServer>,
    pub lookups: Vec<LookupId>,
    /// The sockets that were asked for, with their addresses once they are open.
    pub sockets: Vec<(SocketId, IpAddr, Option<SocketAddr>)>,
    pub connections: Vec<Connection>,
    /// Connections that are no more, of which an event may still wait.
    gone: Vec<ConnectionId>,
    /// The addresses that an authentic answer may have named as relayed ones.
    relayed: BTreeSet<SocketAddr>,
}

impl Servers {
    pub fn new(seed: u8) -> Self {
        let mut config = TurnServerConfig::new(server(0)).with_user(USER.0, USER.1);
        config.listen.extend([server(1), server(2)]);
        config.relay_ipv6 = match server(1).ip() {
            IpAddr::V6(ip) => Some(ip),
            IpAddr::V4(_) => None,
        };
        config.realm = REALM.to_owned();
        // Odd ones are servers of RFC 5389.
        if seed % 2 == 1 {
            config.password_algorithms.clear();
            config.username_anonymity = false;
        }
        Self {
            model: TurnServer::new(config, [seed; 32]).expect("it is sound"),
            added: Vec::new(),
            asked: Vec::new(),
            ids: BTreeMap::new(),
            answers: VecDeque::new(),
            lookups: Vec::new(),
            sockets: Vec::new(),
            connections: Vec::new(),
            gone: Vec::new(),
            relayed: BTreeSet::new(),
        }
    }

    /// A server for the agent. `how`: credentials that are wrong or end soon, families, DF,
    /// redirects that nobody vouches for, a short lifetime.
    pub fn configured(kind: u8, how: u8, now: Timestamp) -> Server {
        let uris = [
            "turn:198.51.100.1",
            "stun:198.51.100.1",
            "turn:198.51.100.1?transport=tcp",
            "turns:198.51.100.1",
            "turn:turn.example.org",
            "turn:[2001:db8:5::1]",
            "stun:198.51.100.2",
            "turn:198.51.100.2",
        ];
        let uri = uris[usize::from(kind) % uris.len()].parse().expect("it is one");
        let mut server = Server::new(uri).with_credentials(credentials(how, now));
        if how & 4 == 4 {
            server = server.with_relay_families(frazil::RelayFamilies::Ipv4);
        }
        if how & 8 == 8 {
            server = server.with_dont_fragment();
        }
        if how & 16 == 16 {
            server = server.with_unauthenticated_redirects();
        }
        if how & 32 == 32 {
            server = server.with_lifetime(std::time::Duration::from_secs(1200));
        }
        server
    }

    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.id == id)
    }

    /// The agent has asked for something, or does not need it any more. Whether events may be lost,
    /// since they were not polled.
    pub fn follow(&mut self, now: Timestamp, event: &Event, lost: bool) {
        match event {
            Event::OpenSocket { socket, ip } => self.sockets.push((*socket, *ip, None)),
            Event::CloseSocket { socket } => {
                let before = self.sockets.len();
                self.sockets.retain(|(id, ..)| id != socket);
                assert!(lost || self.sockets.len() < before, "{socket:?} was not asked for");
            }
            Event::OpenConnection { connection, local, remote, .. } => {
                assert!(self.connection(*connection).is_none());
                self.connections.push(Connection {
                    id: *connection,
                    local: *local,
                    remote: *remote,
                    to_server: SERVERS.iter().any(|addr| addr.parse() == Ok(*remote)),
                    open: false,
                });
            }
            Event::CloseConnection { connection } => {
                assert!(
                    lost || self.gone.contains(connection)
                        || self.connection(*connection).is_some(),
                    "{connection:?} is unknown"
                );
                self.close(now, *connection);
            }
            Event::ResolveName { lookup, .. } => self.lookups.push(*lookup),
            _ => {}
        }
    }

    pub fn close(&mut self, now: Timestamp, id: ConnectionId) {
        let Some(at) = self.connections.iter().position(|other| other.id == id) else { return };
        let connection = self.connections.remove(at);
        self.gone.push(id);
        if connection.to_server && connection.open {
            self.model.close_connection(now, number(id));
        }
    }

    /// Whether an address may be a relayed one of the agent.
    pub fn has_relayed(&self, addr: SocketAddr) -> bool {
        self.relayed.contains(&addr)
    }

    /// Whether this is where a socket was opened for the agent.
    pub fn has_socket(&self, addr: SocketAddr) -> bool {
        self.sockets.iter().any(|(.., open)| *open == Some(addr))
    }

    /// Whether this goes to a server and not to the peer.
    pub fn are_meant(&self, route: Route) -> bool {
        match route {
            Route::Datagram { remote, .. } => {
                SERVERS.iter().any(|addr| addr.parse() == Ok(plain(remote)))
            }
            Route::Stream(id) => self.connection(id).is_some_and(|to| to.to_server),
        }
    }

    /// The agent sends this to a server: it is as the protocol wants it, and the model gets it.
    pub fn look(&mut self, now: Timestamp, route: Route, bytes: &[u8]) {
        let (via, from, to) = match route {
            // A socket for both families names IPv4 by mapped addresses.
            Route::Datagram { local, remote, .. } => (Via::Udp, plain(local), plain(remote)),
            Route::Stream(id) => {
                let connection = self.connection(id).expect("it was asked for");
                assert!(connection.open, "nothing can be sent yet");
                (Via::Stream(id), connection.local, connection.remote)
            }
        };
        if let Ok(message) = Scanned::scan(bytes) {
            self.look_at_message(&message, bytes);
            if wire::kind(bytes).is_some_and(|kind| kind & 0x0110 == 0) {
                let is_sealed = message.has_integrity() != (false, false);
                let known = self.ids.insert(message.id(), (to, is_sealed));
                assert!(known.is_none_or(|known| known == (to, is_sealed)), "an id is used twice");
                self.asked.push(Asked { via, from, to, bytes: bytes.to_vec() });
                if self.asked.len() > 64 {
                    self.asked.remove(0);
                }
            }
        } else {
            // ChannelData (RFC 8656 §12.4).
            assert!(matches!(bytes[0], 0x40..=0x4f), "{bytes:02x?}");
            let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
            assert!((4 + len..=4 + len.next_multiple_of(4)).contains(&bytes.len()));
        }
        match via {
            Via::Stream(id) => self.model.handle_stream(now, number(id), bytes),
            _ => self.model.handle_datagram(now, to, from, bytes),
        }
    }

    fn look_at_message(&self, message: &Scanned<'_>, bytes: &[u8]) {
        let turn = message.turn();
        match (message.class(), message.method()) {
            (0, BINDING | REFRESH) => {}
            (0, ALLOCATE) => assert_eq!(turn.transport, Some(17)),
            (0, CREATE_PERMISSION) => assert!(turn.peer.is_some()),
            (0, CHANNEL_BIND) => {
                assert!(turn.peer.is_some());
                assert!(turn.channel.is_some_and(|number| (0x4000..0x5000).contains(&number)));
            }
            // Send, with a check or data.
            (1, 0x006) => return assert!(turn.peer.is_some() && turn.data.is_some()),
            other => panic!("{other:?} is nothing that a server is asked"),
        }
        assert_eq!(message.fingerprint(), Some(true));
        assert!(bytes.len() <= 1200, "{} bytes fit no packet", bytes.len());
        if message.has_integrity() != (false, false) {
            assert_eq!(message.has_integrity().0, !message.has_integrity().1, "sealed once");
        }
    }

    /// Takes from the model what it has put out: what is for the peer is given back.
    pub fn pump(&mut self, now: Timestamp) -> Vec<FromServer> {
        let mut to_peer = Vec::new();
        self.model.handle_timeout(now);
        while let Some((route, bytes)) = self.model.poll_transmit() {
            match route {
                TurnRoute::Datagram { local, remote, .. } => {
                    let via = if SERVERS.iter().any(|addr| addr.parse() == Ok(local)) {
                        Via::Udp
                    } else {
                        Via::Relay(local)
                    };
                    let message = FromServer { via, to: remote, from: local, bytes };
                    if via == Via::Udp {
                        self.answers.push_back(message);
                    } else {
                        to_peer.push(message);
                    }
                }
                TurnRoute::Stream(id) => {
                    let of = self.connections.iter().find(|other| number(other.id) == id);
                    if let Some(&Connection { id, local, remote, .. }) = of {
                        let via = Via::Stream(id);
                        self.answers.push_back(FromServer { via, to: local, from: remote, bytes });
                    }
                }
            }
        }
        while self.answers.len() > 64 {
            self.answers.pop_front();
        }
        to_peer
    }

    /// Connections that the model has closed.
    pub fn closed(&mut self) -> Vec<ConnectionId> {
        let mut closed = Vec::new();
        while let Some(id) = self.model.poll_closed() {
            closed
                .extend(self.connections.iter().map(|other| other.id).filter(|o| number(*o) == id));
        }
        closed
    }

    /// Notes what an answer may give to the agent, before that gets it.
    pub fn note(&mut self, bytes: &[u8]) {
        let Ok(message) = Scanned::scan(bytes) else { return };
        if message.class() == 2 && message.method() == ALLOCATE && self.may_give(bytes) {
            for (kind, value) in message.attributes() {
                if kind == wire::XOR_RELAYED_ADDRESS {
                    self.relayed.extend(wire::unxor(value, message.id()));
                }
            }
        }
    }

    /// Whether the agent may let itself be changed by this: it carries data, or answers a request
    /// that went there.
    pub fn may_matter(&self, from: SocketAddr, bytes: &[u8]) -> bool {
        let Ok(message) = Scanned::scan(bytes) else {
            return matches!(bytes.first(), Some(0x40..=0x4f));
        };
        match message.class() {
            1 => message.method() == 0x007,
            2 | 3 => self.ids.get(&message.id()).is_some_and(|(to, _)| *to == from),
            _ => false,
        }
    }

    /// Whether an answer can give candidates: a success that shows that its server has the password,
    /// if it was asked with one.
    pub fn may_give(&self, bytes: &[u8]) -> bool {
        let asked = wire::id(bytes).and_then(|id| self.ids.get(&id));
        asked.is_some_and(|(_, is_sealed)| !is_sealed || is_authentic(bytes))
    }

    /// An answer by hand to a request, the newest first.
    pub fn compose(&self, input: &Composed<'_>) -> Option<FromServer> {
        let newest = self.asked.len().checked_sub(1)?;
        let asked = self.asked.get(newest.checked_sub(input.request.into())?)?;
        let kind = wire::kind(&asked.bytes)?;
        let class = match input.code {
            0 => 0x0100,
            1 => 0x0010,
            _ => 0x0110,
        };
        let mut message = Message::new(kind | class, wire::id(&asked.bytes)?);
        if input.code > 1 {
            let code =
                [400, 401, 403, 420, 437, 438, 440, 441, 443, 486, 500, 508, 300, 487, 699, 442]
                    [usize::from(input.code) % 16];
            message.attribute(wire::ERROR_CODE, &[0, 0, (code / 100) as u8, (code % 100) as u8]);
        }
        let flag = |bit: u8| input.attributes >> bit & 1 == 1;
        if !flag(0) {
            message.xor_address(wire::XOR_MAPPED_ADDRESS, address(input.mapped));
        }
        if !flag(1) && kind == ALLOCATE {
            message.xor_address(wire::XOR_RELAYED_ADDRESS, address(input.relayed));
        }
        if !flag(2) {
            let lifetime = [600, 0, 1, 59, 61, 3600, u32::MAX, 120];
            let lifetime: u32 = lifetime[usize::from(input.lifetime) % lifetime.len()];
            message.attribute(wire::LIFETIME, &lifetime.to_be_bytes());
        }
        if flag(3) {
            message.attribute(wire::REALM, REALM.as_bytes());
            let nonce: &[u8] = [&b"obMatJos2gAAA and more"[..], b"obMatJos2wAAA", b"nonce", b""]
                [usize::from(input.lifetime >> 3) % 4];
            message.attribute(wire::NONCE, nonce);
        }
        if flag(4) {
            message.attribute(wire::PASSWORD_ALGORITHMS, &[0, 2, 0, 0, 0, 1, 0, 0]);
        }
        if flag(5) {
            let other = server(input.mapped);
            let mut plain = vec![0, if other.is_ipv4() { 1 } else { 2 }];
            plain.extend(other.port().to_be_bytes());
            match other.ip() {
                IpAddr::V4(ip) => plain.extend(ip.octets()),
                IpAddr::V6(ip) => plain.extend(ip.octets()),
            }
            message.attribute(wire::ALTERNATE_SERVER, &plain);
        }
        if flag(6) {
            message.attribute(wire::ADDRESS_ERROR_CODE, &[2, 0, 4, 40]);
        }
        if flag(7) {
            message.attribute(wire::UNKNOWN_ATTRIBUTES, &[0, 0x1a, 0, 0x18]);
        }
        if let Some((kind, value)) = input.extra {
            message.attribute(kind, &value[..value.len().min(256)]);
        }
        let [md5, sha256] = keys();
        match input.seal % 6 {
            // As the request was.
            0 if Scanned::scan(&asked.bytes).is_ok_and(|request| request.has_integrity().1) => {
                message.integrity_sha256_by(&sha256);
            }
            0 | 1 => message.integrity_by(&md5),
            2 => message.integrity_sha256_by(&sha256),
            3 => {}
            4 => message.integrity_by(&sha256),
            _ => message.integrity_sha256("wrong"),
        }
        if input.seal & 64 == 0 {
            message.fingerprint();
        }
        if let Some((at, with)) = input.flip {
            let at = usize::from(at) % message.bytes.len();
            message.bytes[at] ^= with;
        }
        let (via, to, from) = (asked.via, asked.from, asked.to);
        Some(FromServer { via, to, from, bytes: message.bytes })
    }

    /// Something that no request has asked for, from a server's address.
    pub fn forge(&self, input: &Forged<'_>) -> Option<FromServer> {
        let asked = self.asked.iter().rev().nth(input.request.into())?;
        let Asked { via, from, to, .. } = asked;
        let mut bytes = input.bytes.to_vec();
        if input.channel > 0 {
            // ChannelData, on channels that there may be.
            bytes = vec![0x40, input.channel - 1];
            bytes.extend((input.bytes.len() as u16).to_be_bytes());
            bytes.extend(input.bytes);
        }
        let from_there = if input.from == 0 { *to } else { server(input.from - 1) };
        Some(FromServer { via: *via, to: *from, from: from_there, bytes })
    }
}

/// The number by which the model knows a connection.
pub fn number(id: ConnectionId) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Right ones, wrong ones, those of another user, and right ones that end soon.
pub fn credentials(how: u8, now: Timestamp) -> ServerCredentials {
    let (name, password) = match how % 4 {
        1 => ("alice", "another secret"),
        2 => ("bob", "secret of alice"),
        _ => USER,
    };
    let credentials = ServerCredentials::new(name, password).expect("they are sound");
    if how % 4 == 3 {
        credentials.until(now + std::time::Duration::from_secs(100))
    } else {
        credentials
    }
}

/// Whether it was sealed by somebody who knows the password of the right user, or is asked with wrong
/// credentials and sealed alike.
fn is_authentic(bytes: &[u8]) -> bool {
    keys().iter().any(|key| wire::sealed_with(bytes, key) > 0)
}

fn keys() -> [Vec<u8>; 2] {
    let text = format!("{}:{REALM}:{}", USER.0, USER.1);
    [md5::compute(&text).0.to_vec(), Sha256::digest(&text).to_vec()]
}
