//! A peer as simple as can be, with the habits of the odd ones: it answers never, late, twice or
//! from elsewhere, or lies about its role.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::{Role, Timestamp};

use super::hand::{Hand, Packet, host_priority};
use super::stage::{Peer, Topology};
use crate::common::{
    Bench, ICE_CONTROLLED, ICE_CONTROLLING, PEER_PWD, PEER_UFRAG, Sent, USE_CANDIDATE, USERNAME,
    addr,
};

/// How it answers requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    AtOnce,
    /// To nothing that arrives later.
    Until(Timestamp),
    After(Duration),
    Twice,
    /// From another port of its address.
    FromPort(u16),
    /// With 487, whatever the role.
    RoleConflict,
    /// With its own USERNAME in the success response, as ice4j does.
    WithUsername,
    /// As libjuice resolves conflicts: where both are controlled it compares with an attribute that
    /// is not there, and always changes; and a request that made it change gets no answer.
    Libjuice,
}

/// Which role its checks claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Always(Role),
    Alternating,
    /// The one that the agent claims, so that there is a conflict for ever.
    TheAgents,
    /// The one that it has, in honesty.
    Own(Role),
}

/// The simple peer. It checks from one address, the first, and answers on all.
#[derive(Clone, Debug)]
pub(crate) struct Odd {
    pub(crate) hand: Hand,
    pub(crate) from: SocketAddr,
    to: SocketAddr,
    answers: Answers,
    claim: Claim,
    /// How often it checks; never, for a lite one.
    interval: Option<Duration>,
    next: Option<Timestamp>,
    /// Answers that are late.
    held: Vec<(Timestamp, Packet)>,
    /// One of its own checks was answered with success.
    valid: bool,
    /// Where the agent has nominated it, or else spoken to it first.
    path: Option<(SocketAddr, SocketAddr)>,
    /// Success responses to its own checks.
    pub(crate) successes: usize,
    /// Requests of the agent.
    pub(crate) requests: usize,
    /// How often it has changed its role.
    pub(crate) switches: usize,
    /// Its checks, and whether they claimed to be controlling.
    sent_as: BTreeMap<[u8; 12], bool>,
}

impl Odd {
    pub(crate) fn new(bench: &Bench, topology: &Topology) -> Self {
        let role = bench.agent.role().opposite();
        Self {
            hand: Hand::new(&bench.agent, role == Role::Controlling),
            from: addr(topology.peer[0]),
            to: addr(topology.agent[0]),
            answers: Answers::AtOnce,
            claim: Claim::Always(role),
            interval: Some(Duration::from_millis(200)),
            next: Some(Timestamp::ZERO),
            held: Vec::new(),
            valid: false,
            path: None,
            successes: 0,
            requests: 0,
            switches: 0,
            sent_as: BTreeMap::new(),
        }
    }

    pub(crate) fn answering(self, answers: Answers) -> Self {
        Self { answers, ..self }
    }

    pub(crate) fn claiming(mut self, claim: Claim) -> Self {
        if let Claim::Always(role) | Claim::Own(role) = claim {
            self.hand.controlling = role == Role::Controlling;
        }
        Self { claim, ..self }
    }

    /// Sends no checks: a lite implementation.
    pub(crate) fn lite(self) -> Self {
        Self { interval: None, next: None, ..self }
    }

    fn answer(&mut self, request: &Sent) -> Vec<Packet> {
        let packet = |from: SocketAddr, bytes| Packet { from, to: request.from, bytes };
        let success = Hand::success(request).integrity(PEER_PWD).fingerprint();
        match self.answers {
            Answers::AtOnce => vec![packet(request.to, success)],
            Answers::Until(end) if request.at < end => vec![packet(request.to, success)],
            Answers::Until(_) => Vec::new(),
            Answers::After(delay) => {
                self.held.push((request.at + delay, packet(request.to, success)));
                Vec::new()
            }
            Answers::Twice => {
                vec![packet(request.to, success.clone()), packet(request.to, success)]
            }
            Answers::FromPort(port) => {
                vec![packet(SocketAddr::new(request.to.ip(), port), success)]
            }
            Answers::WithUsername => {
                let username = format!("{PEER_UFRAG}:{}", self.hand.agent_ufrag);
                let answer = Hand::success(request).attr(USERNAME, username.as_bytes());
                vec![packet(request.to, answer.integrity(PEER_PWD).fingerprint())]
            }
            Answers::Libjuice => {
                let ours = if self.hand.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
                let Some(theirs) = request.get(ours) else {
                    return vec![packet(request.to, success)];
                };
                let theirs = u64::from_be_bytes(theirs.try_into().unwrap());
                if self.hand.controlling && self.hand.tie_breaker >= theirs {
                    return vec![packet(request.to, Hand::error(request, 487))];
                }
                self.hand.controlling = !self.hand.controlling;
                self.switches += 1;
                Vec::new()
            }
            Answers::RoleConflict => vec![packet(request.to, Hand::error(request, 487))],
        }
    }

    fn check(&mut self) -> Packet {
        if self.claim == Claim::Alternating {
            self.hand.controlling = !self.hand.controlling;
        }
        let mut check = self.hand.check(host_priority(0));
        let id = check.bytes[8..20].try_into().unwrap();
        self.sent_as.insert(id, self.hand.controlling);
        if self.hand.controlling && self.valid {
            check = check.attr(USE_CANDIDATE, &[]);
        }
        Packet { from: self.from, to: self.to, bytes: self.hand.seal(check) }
    }
}

impl Peer for Odd {
    fn receive(&mut self, _: Timestamp, datagram: &Sent) -> Vec<Packet> {
        if self.hand.reads_data(datagram) {
            return Vec::new();
        }
        if self.hand.reads_request(datagram) {
            self.requests += 1;
            if self.claim == Claim::TheAgents {
                self.hand.controlling = datagram.has(ICE_CONTROLLING);
            }
            if datagram.nominates() || self.path.is_none() {
                self.path = Some((datagram.to, datagram.from));
            }
            return self.answer(datagram);
        }
        if self.hand.reads_response(datagram) {
            match datagram.code() {
                None => {
                    self.successes += 1;
                    self.valid = true;
                    assert_eq!(datagram.mapped(), Some(datagram.to));
                }
                Some(487) => {
                    // One for a check of the role that it no longer has is stale.
                    let stale = self.sent_as.get(&datagram.id()) != Some(&self.hand.controlling);
                    if matches!(self.claim, Claim::Own(_)) && !stale {
                        self.hand.controlling = !self.hand.controlling;
                        self.hand.tie_breaker = self.hand.tie_breaker.rotate_left(8) ^ 0x55;
                        self.switches += 1;
                    }
                }
                code => panic!("the agent answers {code:?} to a good check"),
            }
        }
        Vec::new()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.held.iter().map(|(at, _)| *at).chain(self.next).min()
    }

    fn act(&mut self, now: Timestamp) -> Vec<Packet> {
        let (due, held) = self.held.drain(..).partition(|(at, _)| *at <= now);
        self.held = held;
        let due: Vec<(Timestamp, Packet)> = due;
        let mut packets: Vec<Packet> = due.into_iter().map(|(_, packet)| packet).collect();
        if self.next.is_some_and(|at| at <= now) {
            packets.push(self.check());
            self.next = self.interval.map(|interval| now + interval);
        }
        packets
    }

    fn path(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.path
    }

    fn hand(&self) -> &Hand {
        &self.hand
    }
}
