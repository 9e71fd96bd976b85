//! What the tests of the server have in common: a scripted client, whose every message is made by
//! the test.

mod allocate;
mod authentication;
mod bounds;
mod channels;
mod data;
mod faults;
mod hostile;
mod independent;
mod permissions;
mod refresh;
mod streams;

use core::net::SocketAddr;

use super::{PasswordAlgorithm, TurnRoute, TurnServer, TurnServerConfig};
use crate::stun::attribute::{
    ERROR_CODE, LIFETIME, NONCE, PASSWORD_ALGORITHMS, REALM, REQUESTED_TRANSPORT, USERHASH,
    XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS, error_code, u32, xor_address,
};
use crate::stun::long_term::{LongTerm, LongTermKey};
use crate::stun::turn::UDP;
use crate::stun::{Class, Scan, TransactionId, Writer, method, scan};
use crate::time::Timestamp;

const LISTEN: &str = "198.51.100.1:3478";
const CLIENT: &str = "192.0.2.1:5000";
const PEER: &str = "203.0.113.9:7000";
const PEER_V6: &str = "[2001:db8::9]:7000";
const REALM_NAME: &str = "example.org";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// So many seconds after the beginning.
fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}

/// A server for both families with the users alice and bob.
fn config() -> TurnServerConfig {
    let mut config = TurnServerConfig::new(addr(LISTEN))
        .with_user("alice", "secret")
        .with_user("bob", "another secret");
    config.realm = REALM_NAME.to_owned();
    config.relay_ipv6 = Some("2001:db8::1".parse().unwrap());
    config
}

/// How a client proves who it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// MESSAGE-INTEGRITY with an MD5 key, as if there were no password algorithms.
    Rfc5389,
    /// MESSAGE-INTEGRITY-SHA256, with the algorithm named.
    Rfc8489(PasswordAlgorithm),
}

const SHA256: Way = Way::Rfc8489(PasswordAlgorithm::Sha256);

/// A client at one address, together with its server.
#[derive(Clone)]
struct Scripted {
    server: TurnServer,
    now: Timestamp,
    from: SocketAddr,
    credentials: LongTerm,
    way: Way,
    anonymous: bool,
    realm: Vec<u8>,
    nonce: Vec<u8>,
    algorithms: Vec<u8>,
    requests: u64,
    /// What the server has sent to somebody else.
    elsewhere: Vec<(TurnRoute, Vec<u8>)>,
}

/// What the server said.
#[derive(Clone, Debug)]
struct Answer(Vec<u8>);

impl Answer {
    fn scan(&self) -> Scan<'_> {
        scan(&self.0).unwrap()
    }

    /// The error code; 0 is success.
    fn code(&self) -> u16 {
        match self.scan().class() {
            Class::Success => 0,
            Class::Error => error_code(self.scan().find(ERROR_CODE).unwrap()).unwrap().0,
            class => panic!("no response: {class:?}"),
        }
    }

    fn find(&self, kind: u16) -> Option<&[u8]> {
        self.scan().find(kind)
    }

    fn all(&self, kind: u16) -> Vec<SocketAddr> {
        let id = self.scan().transaction_id();
        let values = self.scan().attributes().filter(|(other, _)| *other == kind);
        values.map(|(_, value)| xor_address(value, &id).unwrap()).collect()
    }

    fn lifetime(&self) -> u32 {
        u32(self.find(LIFETIME).unwrap()).unwrap()
    }

    fn relayed(&self) -> SocketAddr {
        self.all(XOR_RELAYED_ADDRESS)[0]
    }
}

impl Scripted {
    fn new(config: TurnServerConfig) -> Self {
        Self {
            server: TurnServer::new(config, [1; 32]).unwrap(),
            now: at(0),
            from: addr(CLIENT),
            credentials: LongTerm::new("alice", REALM_NAME, "secret").unwrap(),
            way: SHA256,
            anonymous: false,
            realm: Vec::new(),
            nonce: Vec::new(),
            algorithms: Vec::new(),
            requests: 0,
            elsewhere: Vec::new(),
        }
    }

    /// A client that has an allocation already.
    fn allocated(config: TurnServerConfig) -> (Self, SocketAddr) {
        let mut client = Self::new(config);
        let relayed = client.allocate(|_| {}).relayed();
        (client, relayed)
    }

    fn login(&mut self, username: &str, password: &str) {
        self.credentials = LongTerm::new(username, REALM_NAME, password).unwrap();
    }

    fn key(&self) -> LongTermKey {
        match self.way {
            Way::Rfc5389 => self.credentials.key(PasswordAlgorithm::Md5),
            Way::Rfc8489(algorithm) => self.credentials.key(algorithm),
        }
    }

    fn fresh_id(&mut self) -> TransactionId {
        self.requests += 1;
        let mut bytes = *b"test........";
        bytes[4..].copy_from_slice(&self.requests.to_be_bytes());
        TransactionId::new(bytes)
    }

    /// A message without credentials.
    fn bare(&mut self, class: Class, method: u16, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, class, method, self.fresh_id());
        write(&mut writer);
        assert!(!writer.finish().is_empty());
        bytes
    }

    /// A request with what the client has been told to authenticate with, if it has been.
    fn request(&mut self, method: u16, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let id = self.fresh_id();
        let mut writer = Writer::new(&mut bytes, Class::Request, method, id);
        write(&mut writer);
        if !self.nonce.is_empty() {
            if self.anonymous {
                writer.attribute(USERHASH, &self.credentials.userhash());
            } else {
                writer.username(&[self.credentials.username().as_bytes()]);
            }
            writer.attribute(REALM, &self.realm).attribute(NONCE, &self.nonce);
            match self.way {
                Way::Rfc5389 => {
                    writer.integrity(&self.key().sha1);
                }
                Way::Rfc8489(algorithm) => {
                    writer
                        .attribute(PASSWORD_ALGORITHMS, &self.algorithms)
                        .password_algorithm(algorithm)
                        .integrity_sha256(&self.key().sha256);
                }
            }
        }
        assert!(!writer.finish().is_empty());
        bytes
    }

    /// Sends bytes, and gives back what comes back.
    fn send(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.server.handle_datagram(self.now, addr(LISTEN), self.from, bytes);
        self.drain()
    }

    /// What there is for this client; there is one thing at most.
    fn drain(&mut self) -> Option<Answer> {
        let mut answer = None;
        while let Some((route, bytes)) = self.server.poll_transmit() {
            match route {
                TurnRoute::Datagram { remote, .. } if remote == self.from => {
                    assert!(answer.replace(Answer(bytes)).is_none(), "one answer at a time");
                }
                _ => self.elsewhere.push((route, bytes)),
            }
        }
        answer
    }

    fn learn(&mut self, answer: &Answer) {
        let scan = answer.scan();
        self.realm = scan.find(REALM).unwrap().to_vec();
        self.nonce = scan.find(NONCE).unwrap().to_vec();
        self.algorithms = scan.find(PASSWORD_ALGORITHMS).unwrap_or_default().to_vec();
    }

    /// Asks once, as the client is.
    fn ask(&mut self, method: u16, write: impl FnOnce(&mut Writer<'_>)) -> Answer {
        let bytes = self.request(method, write);
        self.send(&bytes).expect("an answer")
    }

    /// Asks, and once again when there is a challenge to answer.
    fn call(&mut self, method: u16, write: impl Fn(&mut Writer<'_>)) -> Answer {
        let answer = self.ask(method, &write);
        if !matches!(answer.code(), 401 | 438) {
            return answer;
        }
        self.learn(&answer);
        self.ask(method, write)
    }

    fn allocate(&mut self, write: impl Fn(&mut Writer<'_>)) -> Answer {
        self.call(method::ALLOCATE, |w| {
            w.first_of_four(REQUESTED_TRANSPORT, UDP);
            write(w);
        })
    }

    fn refresh(&mut self, write: impl Fn(&mut Writer<'_>)) -> Answer {
        self.call(method::REFRESH, write)
    }

    fn permit(&mut self, peer: &str) -> Answer {
        self.call(method::CREATE_PERMISSION, |w| {
            w.xor_address(XOR_PEER_ADDRESS, addr(peer));
        })
    }

    fn bind(&mut self, channel: u16, peer: &str) -> Answer {
        self.call(method::CHANNEL_BIND, |w| {
            w.channel_number(channel).xor_address(XOR_PEER_ADDRESS, addr(peer));
        })
    }

    fn advance(&mut self, secs: u64) {
        self.now = Timestamp::from_nanos(self.now.as_nanos() + secs * 1_000_000_000);
    }

    /// Whether the answer was made with the key of this client, in the way that the RFC wants.
    fn trusts(&self, answer: &Answer) -> bool {
        let scan = answer.scan();
        match self.way {
            Way::Rfc5389 => !scan.has_integrity_sha256() && scan.verify(&self.key().sha1),
            Way::Rfc8489(_) => !scan.has_integrity() && scan.verify_sha256(&self.key().sha256),
        }
    }
}
