//! A scripted peer for black-box tests: one agent, and a hand that writes and reads STUN.
//!
//! The messages are built and taken apart here by hand, so that the tests do not lean on the code
//! that they test.
#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part of it")]

use std::net::SocketAddr;
use std::time::Duration;

use frazil::{
    AgentConfig, Candidate, CandidateId, Credentials, Event, IceAgent, LocalAddress, Parameters,
    Received, Role, Route, StreamId, Timestamp, Transport,
};
use hmac::{Hmac, Mac};
use sha1::Sha1;

pub const USERNAME: u16 = 0x0006;
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
pub const ERROR_CODE: u16 = 0x0009;
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub const PRIORITY: u16 = 0x0024;
pub const USE_CANDIDATE: u16 = 0x0025;
pub const FINGERPRINT: u16 = 0x8028;
pub const ICE_CONTROLLED: u16 = 0x8029;
pub const ICE_CONTROLLING: u16 = 0x802a;

pub const REQUEST: u16 = 0x0001;
pub const INDICATION: u16 = 0x0011;
pub const SUCCESS: u16 = 0x0101;
pub const ERROR: u16 = 0x0111;

/// The credentials of the scripted peer.
pub const PEER_UFRAG: &str = "peer";
pub const PEER_PWD: &str = "peerpasswordpeerpassword";

pub fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// No hedging, so that every check in a trace has one cause; and no consent checks, which a
/// scripted peer would have to answer all the time.
pub fn plain(role: Role) -> AgentConfig {
    let mut config = AgentConfig::new(role);
    config.consent = false;
    config.timing.hedging = false;
    config
}

/// A STUN message under construction.
#[derive(Clone, Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
}

impl Message {
    pub fn new(kind: u16, id: [u8; 12]) -> Self {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
        bytes.extend(id);
        Self { bytes }
    }

    pub fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let len = (self.bytes.len() - 20) as u16;
        self.bytes[2..4].copy_from_slice(&len.to_be_bytes());
        self
    }

    pub fn xor_mapped(self, addr: SocketAddr) -> Self {
        let mut key = vec![0x21, 0x12, 0xa4, 0x42];
        key.extend(&self.bytes[8..20]);
        let port = addr.port() ^ 0x2112;
        let ip: Vec<u8> = match addr {
            SocketAddr::V4(a) => a.ip().octets().to_vec(),
            SocketAddr::V6(a) => a.ip().octets().to_vec(),
        };
        let family = if addr.is_ipv4() { 1 } else { 2 };
        let mut value = vec![0, family];
        value.extend(port.to_be_bytes());
        value.extend(ip.iter().zip(&key).map(|(a, b)| a ^ b));
        self.attr(XOR_MAPPED_ADDRESS, &value)
    }

    pub fn error_code(self, code: u16) -> Self {
        self.attr(ERROR_CODE, &[0, 0, (code / 100) as u8, (code % 100) as u8])
    }

    pub fn integrity(self, pwd: &str) -> Self {
        let mut covered = self.bytes.clone();
        let len = (covered.len() - 20 + 24) as u16;
        covered[2..4].copy_from_slice(&len.to_be_bytes());
        let mut mac = Hmac::<Sha1>::new_from_slice(pwd.as_bytes()).unwrap();
        mac.update(&covered);
        let tag = mac.finalize().into_bytes();
        self.attr(MESSAGE_INTEGRITY, &tag)
    }

    pub fn fingerprint(self) -> Vec<u8> {
        let mut covered = self.bytes.clone();
        let len = (covered.len() - 20 + 8) as u16;
        covered[2..4].copy_from_slice(&len.to_be_bytes());
        let crc = crc32fast::hash(&covered) ^ 0x5354_554e;
        self.attr(FINGERPRINT, &crc.to_be_bytes()).bytes
    }
}

/// A message that the agent sent, taken apart.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: Timestamp,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub dscp: u8,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn kind(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]])
    }

    pub fn is_request(&self) -> bool {
        self.kind() == REQUEST
    }

    pub fn id(&self) -> [u8; 12] {
        self.bytes[8..20].try_into().unwrap()
    }

    /// Types and values of the attributes, in order.
    pub fn attrs(&self) -> Vec<(u16, Vec<u8>)> {
        let mut attrs = Vec::new();
        let mut at = 20;
        while at < self.bytes.len() {
            let kind = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
            let len = usize::from(u16::from_be_bytes([self.bytes[at + 2], self.bytes[at + 3]]));
            attrs.push((kind, self.bytes[at + 4..at + 4 + len].to_vec()));
            at += 4 + len.next_multiple_of(4);
        }
        attrs
    }

    pub fn get(&self, kind: u16) -> Option<Vec<u8>> {
        self.attrs().into_iter().find(|(other, _)| *other == kind).map(|(_, value)| value)
    }

    pub fn has(&self, kind: u16) -> bool {
        self.get(kind).is_some()
    }

    pub fn nominates(&self) -> bool {
        self.has(USE_CANDIDATE)
    }

    pub fn code(&self) -> Option<u16> {
        self.get(ERROR_CODE).map(|value| u16::from(value[2]) * 100 + u16::from(value[3]))
    }

    /// Whether MESSAGE-INTEGRITY is there and was made with this password.
    pub fn verifies(&self, pwd: &str) -> bool {
        let mut at = 20;
        for (kind, value) in self.attrs() {
            if kind == MESSAGE_INTEGRITY {
                let covered = Message { bytes: self.bytes[..at].to_vec() }.integrity(pwd);
                return covered.bytes[covered.bytes.len() - 20..] == value[..];
            }
            at += 4 + value.len().next_multiple_of(4);
        }
        false
    }

    /// Whether FINGERPRINT is the last attribute and right.
    pub fn fingerprint_is_last_and_right(&self) -> bool {
        let body = self.bytes[..self.bytes.len() - 8].to_vec();
        Message { bytes: body }.fingerprint() == self.bytes
    }

    /// The address in XOR-MAPPED-ADDRESS.
    pub fn mapped(&self) -> Option<SocketAddr> {
        let value = self.get(XOR_MAPPED_ADDRESS)?;
        let mut key = vec![0x21, 0x12, 0xa4, 0x42];
        key.extend(self.id());
        let port = u16::from_be_bytes([value[2], value[3]]) ^ 0x2112;
        let ip: Vec<u8> = value[4..].iter().zip(&key).map(|(a, b)| a ^ b).collect();
        let ip: std::net::IpAddr = match value[1] {
            1 => <[u8; 4]>::try_from(ip).unwrap().into(),
            _ => <[u8; 16]>::try_from(ip).unwrap().into(),
        };
        Some(SocketAddr::new(ip, port))
    }
}

/// An agent under test, with the peer's hand.
#[derive(Clone, Debug)]
pub struct Bench {
    pub agent: IceAgent,
    pub now: Timestamp,
    pub stream: StreamId,
    /// Everything that the agent has sent, in order.
    pub sent: Vec<Sent>,
    /// Everything that it has told, with the time of the telling.
    pub events: Vec<(Timestamp, Event)>,
    ids: u8,
}

impl Bench {
    /// An agent without consent checks, which would have to be answered all the time.
    pub fn new(role: Role) -> Self {
        let mut config = AgentConfig::new(role);
        config.consent = false;
        Self::with(config)
    }

    pub fn with(config: AgentConfig) -> Self {
        let agent = IceAgent::new(config, [7; 32]).unwrap();
        let stream = agent.streams().next().unwrap();
        Self { agent, now: Timestamp::ZERO, stream, sent: Vec::new(), events: Vec::new(), ids: 0 }
    }

    /// An agent without consent checks and with these addresses, checks started at time zero.
    pub fn connected_with(role: Role, locals: &[&str], remotes: &[&str]) -> Self {
        let mut config = AgentConfig::new(role);
        config.consent = false;
        Self::started(config, locals, remotes)
    }

    /// All candidates known on both sides, the remote ones from best to worst, gathering complete;
    /// the peer's parameters not yet.
    pub fn waiting(config: AgentConfig, locals: &[&str], remotes: &[&str]) -> Self {
        let mut bench = Self::with(config);
        for local in locals {
            bench.add_local(local);
        }
        bench.agent.gather(bench.now);
        bench.drain();
        for (index, remote) in remotes.iter().enumerate() {
            bench.add_remote(remote, 2_000_000_000 - index as u32);
        }
        bench.agent.end_of_remote_candidates(bench.now, None);
        bench.drain();
        bench
    }

    /// The same, with checks started at time zero.
    pub fn started(config: AgentConfig, locals: &[&str], remotes: &[&str]) -> Self {
        let mut bench = Self::waiting(config, locals, remotes);
        bench.start();
        bench
    }

    /// A controlled agent without consent checks whose only pair is selected.
    pub fn selected(local: &str, remote: &str) -> Self {
        let mut bench = Self::connected_with(Role::Controlled, &[local], &[remote]);
        let check = bench.last_request();
        let _ = bench.answer(&check);
        let _ = bench.send_check(local, remote, true);
        assert!(bench.agent.selected_pair(bench.stream, 1).is_some());
        bench
    }

    pub fn add_local(&mut self, local: &str) -> CandidateId {
        let local = LocalAddress::udp(addr(local));
        let id = self.agent.add_local(self.now, self.stream, 1, local).unwrap();
        self.drain();
        id
    }

    /// A host candidate of the peer with a foundation of its own.
    pub fn add_remote(&mut self, remote: &str, priority: u32) -> CandidateId {
        let remote = addr(remote);
        let foundation = format!("{:x}", crc32fast::hash(remote.to_string().as_bytes()));
        self.add_remote_line(&format!(
            "{foundation} 1 UDP {priority} {} {} typ host",
            remote.ip(),
            remote.port()
        ))
    }

    pub fn add_remote_line(&mut self, line: &str) -> CandidateId {
        let candidate: Candidate = line.parse().unwrap();
        let id = self.agent.add_remote_candidate(self.now, self.stream, &candidate).unwrap();
        self.drain();
        id
    }

    /// Tells the agent the scripted peer's credentials.
    pub fn start(&mut self) {
        let credentials = Credentials::new(PEER_UFRAG, PEER_PWD).unwrap();
        self.agent.set_remote(self.now, Parameters::new(credentials)).unwrap();
        self.drain();
    }

    pub fn ufrag(&self) -> String {
        self.agent.local_parameters().credentials.ufrag().to_owned()
    }

    pub fn pwd(&self) -> String {
        self.agent.local_parameters().credentials.pwd().to_owned()
    }

    /// A transaction id that was not used before.
    pub fn id(&mut self) -> [u8; 12] {
        self.ids += 1;
        [self.ids; 12]
    }

    /// A valid check of the peer, without integrity yet: username, priority, role.
    pub fn check(&mut self, peer_role: Role) -> Message {
        let id = self.id();
        let username = format!("{}:{PEER_UFRAG}", self.ufrag());
        let role = match peer_role {
            Role::Controlling => ICE_CONTROLLING,
            Role::Controlled => ICE_CONTROLLED,
        };
        Message::new(REQUEST, id)
            .attr(USERNAME, username.as_bytes())
            .attr(PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
            .attr(role, &1_u64.to_be_bytes())
    }

    /// The peer, in the role that suits the agent's, sends a valid check.
    pub fn send_check(&mut self, local: &str, remote: &str, nominate: bool) -> Received<'static> {
        let mut check = self.check(self.agent.role().opposite());
        if nominate {
            check = check.attr(USE_CANDIDATE, &[]);
        }
        let bytes = check.integrity(&self.pwd()).fingerprint();
        self.feed(local, remote, &bytes)
    }

    /// The success response to a request, as the peer at its destination sends it.
    pub fn success(&self, request: &Sent) -> Vec<u8> {
        Message::new(SUCCESS, request.id())
            .xor_mapped(request.from)
            .integrity(PEER_PWD)
            .fingerprint()
    }

    /// The peer answers a request from the address to which it went.
    pub fn answer(&mut self, request: &Sent) -> Received<'static> {
        let bytes = self.success(request);
        let (local, remote) = (request.from.to_string(), request.to.to_string());
        self.feed(&local, &remote, &bytes)
    }

    /// A datagram arrives at `local` from `remote`.
    pub fn feed(&mut self, local: &str, remote: &str, bytes: &[u8]) -> Received<'static> {
        let received = match self.agent.handle_datagram(
            self.now,
            Transport::Udp,
            addr(local),
            addr(remote),
            bytes,
        ) {
            Received::Consumed => Received::Consumed,
            Received::Ignored(reason) => Received::Ignored(reason),
            Received::Data { stream, component, pair, payload } => {
                assert_eq!(payload, bytes);
                Received::Data { stream, component, pair, payload: b"" }
            }
        };
        self.drain();
        received
    }

    /// Takes everything out of the agent; what it sent since the last call comes back.
    pub fn drain(&mut self) -> Vec<Sent> {
        let before = self.sent.len();
        loop {
            let mut buf = Vec::new();
            if let Some(transmit) = self.agent.poll_transmit(self.now, &mut buf) {
                let Route::Datagram { local, remote, .. } = transmit.route else {
                    panic!("a stream in a UDP test")
                };
                self.sent.push(Sent {
                    at: self.now,
                    from: local,
                    to: remote,
                    dscp: transmit.dscp,
                    bytes: buf[transmit.range].to_vec(),
                });
            } else if let Some(event) = self.agent.poll_event(self.now) {
                self.events.push((self.now, event));
            } else {
                break;
            }
        }
        self.sent[before..].to_vec()
    }

    /// Lets time pass until `until`, with every timeout on the way; what was sent comes back.
    pub fn run_until(&mut self, until: Timestamp) -> Vec<Sent> {
        let before = self.sent.len();
        while let Some(at) = self.agent.poll_timeout().filter(|&at| at <= until) {
            assert!(at > self.now, "the deadline did not move: {:?}", self.agent.timeout_reason());
            self.now = at;
            self.agent.handle_timeout(at);
            self.drain();
        }
        self.now = self.now.max(until);
        self.sent[before..].to_vec()
    }

    /// The same; the peer answers at once every request, however old, that is one of these.
    pub fn run_answering(&mut self, until: Timestamp, which: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        let before = self.sent.len();
        let mut seen = 0;
        loop {
            while let Some(sent) = self.sent.get(seen).cloned() {
                seen += 1;
                if sent.is_request() && which(&sent) {
                    let _ = self.answer(&sent);
                }
            }
            let Some(at) = self.agent.poll_timeout().filter(|&at| at <= until) else { break };
            self.run_until(at);
        }
        self.run_until(until);
        self.sent[before..].to_vec()
    }

    pub fn run_for(&mut self, time: Duration) -> Vec<Sent> {
        self.run_until(self.now + time)
    }

    /// The requests sent so far.
    pub fn requests(&self) -> Vec<Sent> {
        self.sent.iter().filter(|sent| sent.is_request()).cloned().collect()
    }

    pub fn last_request(&self) -> Sent {
        self.requests().last().cloned().expect("no request was sent")
    }
}
