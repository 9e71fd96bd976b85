//! A small STUN and TURN client beside an agent, on the agent's own sockets.
//!
//! It obtains server-reflexive and relayed candidates until the agent does so by itself, and is the
//! one place that this will replace. It holds a Binding or an allocation for as long as the world
//! runs: asks again and again until there is an answer, renews what it has, and when the agent
//! restarts it looks whether what it has is still so. Sans-IO; without credentials, and without
//! channels: data goes in indications.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::id::{CandidateId, StreamId};
use crate::stun::attribute::{
    self, DATA, REQUESTED_TRANSPORT, XOR_MAPPED_ADDRESS, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use crate::stun::turn::UDP;
use crate::stun::{Class, Scan, TransactionId, Writer, method, scan};
use crate::time::Timestamp;

use super::dice::transaction_id;

/// How long an answer may take. There is no back-off: nobody else is on the line, and a test of
/// loss is not about gathering.
const RTO: Duration = Duration::from_millis(500);
/// How often a request is sent.
const TRANSMISSIONS: u8 = 20;
/// RFC 8445 §11: often enough for any NAT.
const KEEPALIVE: Duration = Duration::from_secs(15);
/// RFC 8656 §9: a permission lives for five minutes.
const PERMISSION: Duration = Duration::from_secs(120);

/// What a lease is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obtain {
    /// The address that the server sees.
    Reflexive,
    /// An address on the server.
    Relayed,
}

/// Where a candidate is to belong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) stream: StreamId,
    pub(super) component: u16,
    /// The socket from which the server is asked.
    pub(super) base: SocketAddr,
}

/// What came of a message, or of the time.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It was for somebody else.
    NotOurs,
    /// It was dealt with.
    Done,
    /// There is a candidate, maybe in place of another one.
    Obtained(Obtained),
    /// The server has relayed this.
    Data { local: SocketAddr, peer: SocketAddr, payload: Vec<u8> },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Obtained {
    /// The lease, to be told of the candidate's id.
    pub(super) lease: usize,
    pub(super) what: Obtain,
    pub(super) place: Place,
    pub(super) server: IpAddr,
    pub(super) addr: SocketAddr,
    pub(super) mapped: SocketAddr,
    pub(super) instead_of: Option<CandidateId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Binding,
    Allocate,
    Refresh,
    Permit(IpAddr),
}

#[derive(Clone, Debug)]
struct Request {
    id: TransactionId,
    question: Question,
    sent: u8,
    next: Timestamp,
}

#[derive(Clone, Debug)]
struct Lease {
    what: Obtain,
    place: Place,
    server: SocketAddr,
    /// What the server has said, and what the agent has made of it.
    held: Option<SocketAddr>,
    candidate: Option<CandidateId>,
    requests: Vec<Request>,
    /// The answer decides whether gathering is complete.
    awaited: bool,
    renew: Timestamp,
    /// When each was asked for.
    permissions: BTreeMap<IpAddr, Timestamp>,
}

/// A datagram: from where, to where.
pub(super) type Outgoing = (SocketAddr, SocketAddr, Vec<u8>);

#[derive(Clone, Debug)]
pub(super) struct Client {
    rng: ChaCha8Rng,
    leases: Vec<Lease>,
    output: VecDeque<Outgoing>,
}

impl Client {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let rng = ChaCha8Rng::from_seed(seed);
        Self { rng, leases: Vec::new(), output: VecDeque::new() }
    }

    /// Asks a server.
    pub(super) fn obtain(
        &mut self,
        now: Timestamp,
        what: Obtain,
        place: Place,
        server: SocketAddr,
    ) {
        self.leases.push(Lease {
            what,
            place,
            server,
            held: None,
            candidate: None,
            requests: Vec::new(),
            awaited: false,
            renew: now,
            permissions: BTreeMap::new(),
        });
        self.look_again(now, self.leases.len().saturating_sub(1));
    }

    /// Asks all servers anew, for a gathering that begins anew.
    pub(super) fn look_all_again(&mut self, now: Timestamp) {
        for lease in 0..self.leases.len() {
            self.look_again(now, lease);
        }
    }

    /// A socket has moved. What was obtained from it is gone; when gathering is complete, there is
    /// nothing new before a restart.
    pub(super) fn rebase(&mut self, now: Timestamp, old: SocketAddr, new: SocketAddr) {
        for index in 0..self.leases.len() {
            let Some(lease) = self.leases.get_mut(index) else { continue };
            if lease.place.base == old {
                lease.place.base = new;
                lease.held = None;
                lease.candidate = lease.candidate.filter(|_| lease.is_relay());
                lease.requests.clear();
                if lease.awaited {
                    self.look_again(now, index);
                }
            }
        }
    }

    /// Whether a server has not answered yet whose answer gathering waits for.
    pub(super) fn is_gathering(&self) -> bool {
        self.leases.iter().any(|lease| lease.awaited)
    }

    /// Tells what the agent has made of an address.
    pub(super) fn note(&mut self, lease: usize, candidate: Option<CandidateId>) {
        if let Some(lease) = self.leases.get_mut(lease) {
            lease.candidate = candidate;
        }
    }

    /// The servers and what is asked of them, for the oracle.
    pub(super) fn servers(&self) -> impl Iterator<Item = (Obtain, SocketAddr)> {
        self.leases.iter().map(|lease| (lease.what, lease.server))
    }

    /// A datagram arrived at a socket of the agent.
    pub(super) fn receive(
        &mut self,
        now: Timestamp,
        local: SocketAddr,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Outcome {
        let ours = |lease: &Lease| lease.place.base == local && lease.server == from;
        if !self.leases.iter().any(ours) {
            return Outcome::NotOurs;
        }
        let Ok(scan) = scan(bytes) else { return Outcome::NotOurs };
        if (scan.class(), scan.method()) == (Class::Indication, method::DATA) {
            let held = self.leases.iter().find(|lease| ours(lease) && lease.is_relay());
            return held.and_then(|lease| lease.data(&scan)).unwrap_or(Outcome::Done);
        }
        let id = scan.transaction_id();
        for (index, lease) in self.leases.iter_mut().enumerate() {
            let position = lease.requests.iter().position(|request| request.id == id);
            if let Some(request) = position.map(|position| lease.requests.remove(position)) {
                return self.answered(now, index, request.question, &scan);
            }
        }
        // A late answer, if not a check by a peer behind the same address.
        if scan.class() == Class::Request { Outcome::NotOurs } else { Outcome::Done }
    }

    /// Something that the agent sends from a relayed address. Whether it is one.
    pub(super) fn relay(
        &mut self,
        now: Timestamp,
        local: SocketAddr,
        peer: SocketAddr,
        payload: &[u8],
    ) -> bool {
        let held = |lease: &Lease| lease.is_relay() && lease.held == Some(local);
        let Some(index) = self.leases.iter().position(held) else { return false };
        let asked = self.leases.get(index).map(|lease| lease.permissions.contains_key(&peer.ip()));
        if asked == Some(false) {
            self.ask(now, index, Question::Permit(peer.ip()));
        }
        let Some(lease) = self.leases.get(index) else { return false };
        let mut bytes = Vec::with_capacity(payload.len().saturating_add(36));
        let id = transaction_id(&mut self.rng);
        let mut writer = Writer::new(&mut bytes, Class::Indication, method::SEND, id);
        writer.xor_address(XOR_PEER_ADDRESS, peer).attribute(DATA, payload);
        writer.finish();
        self.output.push_back((lease.place.base, lease.server, bytes));
        true
    }

    pub(super) fn poll(&mut self) -> Option<Outgoing> {
        self.output.pop_front()
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let requests = self.leases.iter().flat_map(|lease| &lease.requests);
        let renewals = self.leases.iter().map(|lease| lease.renew);
        requests.map(|request| request.next).chain(renewals).min()
    }

    pub(super) fn time_out(&mut self, now: Timestamp) {
        for index in 0..self.leases.len() {
            self.repeat(now, index);
            let Some(lease) = self.leases.get_mut(index).filter(|lease| lease.renew <= now) else {
                continue;
            };
            lease.renew = now + KEEPALIVE;
            let old = |asked: &Timestamp| now - *asked >= PERMISSION;
            let stale: Vec<IpAddr> = lease
                .permissions
                .iter()
                .filter(|(_, asked)| old(asked))
                .map(|(peer, _)| *peer)
                .collect();
            let question = lease.renewal();
            if lease.held.is_some() && lease.requests.is_empty() {
                self.ask(now, index, question);
            }
            for peer in stale {
                self.ask(now, index, Question::Permit(peer));
            }
        }
    }

    fn repeat(&mut self, now: Timestamp, index: usize) {
        let Some(lease) = self.leases.get_mut(index) else { return };
        let ended = |request: &Request| request.next <= now && request.sent >= TRANSMISSIONS;
        if lease.requests.iter().any(|request| ended(request) && !request.is_permission()) {
            lease.awaited = false;
        }
        lease.requests.retain(|request| !ended(request));
        for request in lease.requests.iter_mut().filter(|request| request.next <= now) {
            request.next = now + RTO;
            request.sent = request.sent.saturating_add(1);
            self.output.push_back((lease.place.base, lease.server, request.render()));
        }
    }

    /// Asks what a lease is about. A question that is out already will do: its answer says what is
    /// so now, and an allocation is not to be asked for twice.
    fn look_again(&mut self, now: Timestamp, index: usize) {
        let Some(lease) = self.leases.get_mut(index) else { return };
        lease.requests.retain(|request| !request.is_permission());
        lease.permissions.clear();
        lease.awaited = true;
        lease.renew = now + KEEPALIVE;
        let question = lease.renewal();
        if lease.requests.is_empty() {
            self.ask(now, index, question);
        }
    }

    fn ask(&mut self, now: Timestamp, index: usize, question: Question) {
        let Some(lease) = self.leases.get_mut(index) else { return };
        if let Question::Permit(peer) = question {
            lease.permissions.insert(peer, now);
        }
        let id = transaction_id(&mut self.rng);
        let request = Request { id, question, sent: 1, next: now + RTO };
        self.output.push_back((lease.place.base, lease.server, request.render()));
        lease.requests.push(request);
    }

    fn answered(
        &mut self,
        now: Timestamp,
        index: usize,
        question: Question,
        scan: &Scan<'_>,
    ) -> Outcome {
        let Some(lease) = self.leases.get_mut(index) else { return Outcome::Done };
        let success = scan.class() == Class::Success;
        let id = scan.transaction_id();
        let address = |kind| attribute::xor_address(scan.find(kind)?, &id);
        match question {
            Question::Permit(_) => return Outcome::Done,
            // The server does not know it any more, or never knew this path.
            Question::Refresh if !success => {
                lease.held = None;
                if lease.awaited {
                    self.ask(now, index, Question::Allocate);
                }
                return Outcome::Done;
            }
            _ => {}
        }
        let awaited = core::mem::take(&mut lease.awaited);
        let addr = match question {
            Question::Refresh => lease.held,
            Question::Allocate => address(XOR_RELAYED_ADDRESS),
            Question::Binding | Question::Permit(_) => address(XOR_MAPPED_ADDRESS),
        };
        // Out of its time a change is no candidate: gathering is complete.
        let is_new = |addr: &SocketAddr| lease.held != Some(*addr) || lease.candidate.is_none();
        let Some(addr) = addr.filter(|addr| success && awaited && is_new(addr)) else {
            return Outcome::Done;
        };
        lease.held = Some(addr);
        Outcome::Obtained(Obtained {
            lease: index,
            what: lease.what,
            place: lease.place,
            server: lease.server.ip(),
            addr,
            mapped: address(XOR_MAPPED_ADDRESS).unwrap_or(lease.place.base),
            instead_of: lease.candidate,
        })
    }
}

impl Lease {
    fn is_relay(&self) -> bool {
        self.what == Obtain::Relayed
    }

    fn renewal(&self) -> Question {
        match (self.what, self.held) {
            (Obtain::Reflexive, _) => Question::Binding,
            (Obtain::Relayed, None) => Question::Allocate,
            (Obtain::Relayed, Some(_)) => Question::Refresh,
        }
    }

    fn data(&self, scan: &Scan<'_>) -> Option<Outcome> {
        let id = scan.transaction_id();
        let peer = attribute::xor_address(scan.find(XOR_PEER_ADDRESS)?, &id)?;
        Some(Outcome::Data { local: self.held?, peer, payload: scan.find(DATA)?.to_vec() })
    }
}

impl Request {
    const fn is_permission(&self) -> bool {
        matches!(self.question, Question::Permit(_))
    }

    fn render(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let method = match self.question {
            Question::Binding => method::BINDING,
            Question::Allocate => method::ALLOCATE,
            Question::Refresh => method::REFRESH,
            Question::Permit(_) => method::CREATE_PERMISSION,
        };
        let mut writer = Writer::new(&mut bytes, Class::Request, method, self.id);
        match self.question {
            Question::Allocate => {
                writer.attribute(REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]);
            }
            Question::Permit(peer) => {
                writer.xor_address(XOR_PEER_ADDRESS, SocketAddr::new(peer, 0));
            }
            Question::Binding | Question::Refresh => {}
        }
        writer.finish();
        bytes
    }
}
