//! The peer of the agent: what it knows, and the messages that it makes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use frazil::{Role, Route, Transmit};

use super::super::pool::address;
use super::super::wire::{self, Message};
use super::input::{Answer, Check, INTACT, Tail};

/// The username fragments and passwords of the agent's peers: the one, and another generation.
pub const PEERS: [(&str, &str); 2] =
    [("peer", "peerpasswordpeerpassword"), ("other", "otherpasswordotherpassword")];

const WRONG: &str = "wrongpasswordwrongpassword";

/// A datagram on its way to the agent.
pub struct Datagram {
    pub to: SocketAddr,
    pub from: SocketAddr,
    pub bytes: Vec<u8>,
}

/// A request of the agent.
#[derive(Clone, Debug)]
pub struct Request {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What the peer knows.
pub struct Peer {
    /// The agent's credentials.
    pub ufrag: String,
    pub pwd: String,
    /// The peer's own ones, once the agent has them.
    pub own: Option<(&'static str, &'static str)>,
    /// The newest requests of the agent.
    pub requests: Vec<Request>,
    /// The ids of all its requests.
    pub ids: BTreeSet<[u8; 12]>,
    /// The number of the newest requests that have not been answered.
    pub unanswered: usize,
}

impl Peer {
    /// Looks at what the agent sends, which has to be as the protocol wants it.
    pub fn look(&mut self, transmit: &Transmit, bytes: &[u8]) {
        let Route::Datagram { local, remote, .. } = transmit.route else {
            panic!("there are no streams")
        };
        let message = frazil::fuzzing::Message::scan(bytes).expect("it is well-formed");
        assert_eq!(message.fingerprint(), Some(true));
        assert!(bytes.len() <= 1200, "{} bytes fit no packet", bytes.len());
        match wire::kind(bytes) {
            Some(wire::REQUEST) => {
                let (ufrag, pwd) = self.own.expect("checks need the peer's parameters");
                assert!(message.verify(pwd.as_bytes()).0);
                let check = message.check().expect("it is a check");
                let username = format!("{ufrag}:{}", self.ufrag);
                assert_eq!(check.username, Some(username.as_bytes()));
                assert!(check.priority.is_some_and(|priority| priority > 0));
                assert!(check.role.is_some_and(|(_, tie_breaker)| tie_breaker > 0));
                self.ids.insert(message.id());
                self.requests.push(Request { from: local, to: remote, bytes: bytes.to_vec() });
                self.unanswered += 1;
                if self.requests.len() > 64 {
                    self.requests.remove(0);
                    self.unanswered = self.unanswered.min(64);
                }
            }
            Some(wire::SUCCESS) => {
                let (sha1, sha256) = message.verify(self.pwd.as_bytes());
                assert!(sha1 != sha256, "sealed once, by the agent's password");
                assert_eq!(message.xor_mapped_address(), Some(plain(remote)));
            }
            Some(wire::ERROR) => {
                let code = message.error().expect("it is an error").code;
                let sealed = message.verify(self.pwd.as_bytes());
                assert!(matches!(
                    (code, sealed),
                    (400 | 401, _) | (420 | 487, (true, false) | (false, true))
                ));
            }
            Some(wire::INDICATION) => assert_eq!(message.attributes().count(), 0),
            kind => panic!("{kind:?} is no message of an agent"),
        }
    }

    /// Whether an agent may let itself be changed by a datagram: it is sealed with the password
    /// that its kind asks for, and is a request to the agent or the response to one of its own.
    pub fn may_matter(&self, bytes: &[u8]) -> bool {
        let id = wire::id(bytes);
        match wire::kind(bytes) {
            Some(wire::REQUEST) => {
                let for_us = format!("{}:", self.ufrag);
                wire::may_be_authentic(bytes, &self.pwd)
                    && wire::attributes(bytes).iter().any(|(_, kind, value)| {
                        *kind == wire::USERNAME && value.starts_with(for_us.as_bytes())
                    })
            }
            Some(wire::SUCCESS | wire::ERROR) => {
                self.own.is_some_and(|(_, pwd)| wire::may_be_authentic(bytes, pwd))
                    && id.is_some_and(|id| self.ids.contains(&id))
            }
            _ => false,
        }
    }

    pub fn check(&self, input: &Check<'_>, agent: Role) -> Datagram {
        let mut message = Message::new(wire::REQUEST, [input.id; 12]);
        let sender = self.own.map_or(PEERS[0].0, |(ufrag, _)| ufrag);
        let username = match input.username % 6 {
            1 => Some(format!("{}:{}", self.ufrag, PEERS[1].0)),
            2 => Some(format!("{sender}:{}", self.ufrag)),
            3 => Some(self.ufrag.clone()),
            4 => Some(format!("{}:", self.ufrag)),
            5 => None,
            _ => Some(format!("{}:{sender}", self.ufrag)),
        };
        if let Some(username) = username {
            message.attribute(wire::USERNAME, username.as_bytes());
        }
        if let Some(priority) = input.priority {
            message.attribute(wire::PRIORITY, &priority.to_be_bytes());
        }
        let tie_breaker = match input.tie_breaker {
            0 => 1,
            255 => u64::MAX,
            other => u64::from(other) << 56,
        };
        let opposite = match agent {
            Role::Controlling => [wire::ICE_CONTROLLED, wire::ICE_CONTROLLING],
            Role::Controlled => [wire::ICE_CONTROLLING, wire::ICE_CONTROLLED],
        };
        let roles = match input.role % 4 {
            0 => &opposite[..1],
            1 => &opposite[1..],
            2 => &[],
            _ => &opposite[..],
        };
        for role in roles {
            message.attribute(*role, &tie_breaker.to_be_bytes());
        }
        if input.nominates {
            message.attribute(wire::USE_CANDIDATE, &[]);
        }
        let bytes = end(message, &input.tail, &self.pwd);
        Datagram { to: address(input.to), from: address(input.from), bytes }
    }

    /// The response to a request; none when there is no such request.
    pub fn answer(&self, input: &Answer<'_>) -> Option<Datagram> {
        let newest = self.requests.len().checked_sub(1)?;
        let request = self.requests.get(newest.checked_sub(input.request.into())?)?;
        let kind = match input.kind % 6 {
            0..=2 => wire::SUCCESS,
            3 | 4 => wire::ERROR,
            _ => wire::INDICATION,
        };
        let mut message = Message::new(kind, wire::id(&request.bytes)?);
        match input.kind % 6 {
            0 => message.xor_address(wire::XOR_MAPPED_ADDRESS, plain(request.from)),
            1 => message.xor_address(wire::XOR_MAPPED_ADDRESS, address(input.mapped)),
            3 => message.attribute(wire::ERROR_CODE, &[0, 0, 4, 87]),
            4 => {
                let code = input.code.to_be_bytes();
                message.attribute(wire::ERROR_CODE, &[0, 0, code[0], code[1]]);
            }
            _ => {}
        }
        let pwd = self.own.map_or(PEERS[0].1, |(_, pwd)| pwd);
        let bytes = end(message, &input.tail, pwd);
        let from = if input.from == 0 { request.to } else { address(input.from - 1) };
        let to = if input.to == 0 { request.from } else { address(input.to - 1) };
        Some(Datagram { to, from, bytes })
    }

    /// Right answers to all requests that have not been answered, the oldest first.
    pub fn answer_all(&mut self) -> Vec<Datagram> {
        let count = core::mem::take(&mut self.unanswered).min(64);
        (0..count as u8)
            .rev()
            .filter_map(|request| {
                let (from, to, kind, code, mapped) = (0, 0, 0, 0, 0);
                self.answer(&Answer { request, from, to, kind, code, mapped, tail: INTACT })
            })
            .collect()
    }
}

/// Ends a message as the input wants it.
fn end(mut message: Message, tail: &Tail<'_>, pwd: &str) -> Vec<u8> {
    if let Some((kind, value)) = tail.extra {
        message.attribute(kind, &value[..value.len().min(256)]);
    }
    match tail.seal % 5 {
        0 => message.integrity(pwd),
        1 => message.integrity_sha256(pwd),
        2 => {
            message.integrity(pwd);
            message.integrity_sha256(pwd);
        }
        3 => {}
        _ => message.integrity(WRONG),
    }
    match tail.fingerprint % 3 {
        0 => message.fingerprint(),
        1 => {}
        _ => message.attribute(wire::FINGERPRINT, &[0; 4]),
    }
    if let Some((at, with)) = tail.flip {
        let at = usize::from(at) % message.bytes.len();
        message.bytes[at] ^= with;
    }
    message.bytes
}

/// An address as it is on the wire: IPv4 in its own form, no scope.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
