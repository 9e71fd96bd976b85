//! pion (Go): no pacing, no order, no triggered checks when it controls. Every 200 ms it sends a
//! check on every pair that has not succeeded, eight times at most, and then never again; what it
//! nominates it nominates until that is answered.

use std::net::SocketAddr;
use std::time::Duration;

use frazil::Timestamp;

use super::hand::{Hand, Packet, host_priority, pair_priority};
use super::stage::{Peer, Topology};
use crate::common::{Bench, ICE_CONTROLLED, ICE_CONTROLLING, PEER_PWD, Sent, USE_CANDIDATE, addr};

const NOMINATION: u16 = 0xc001;

const CHECK_INTERVAL: Duration = Duration::from_millis(200);
const KEEPALIVE: Duration = Duration::from_secs(2);
const DISCONNECTED: Duration = Duration::from_secs(5);
const DISCONNECTED_LITE: Duration = Duration::from_secs(10);
const FAILED: Duration = Duration::from_secs(25);
const MAX_REQUESTS: u32 = 7;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// Before this it does not nominate a pair with a candidate that it has discovered itself.
const REFLEXIVE_WAIT: Duration = Duration::from_secs(1);
const RENOMINATION: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairState {
    Waiting,
    InProgress,
    Failed,
    Succeeded,
}

#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    priority: u64,
    reflexive: bool,
    pub(crate) state: PairState,
    requests: u32,
    nominate_on_success: bool,
    rtt: Option<Duration>,
}

/// A request that may be answered for four seconds.
#[derive(Clone, Debug)]
struct Outstanding {
    id: [u8; 12],
    at: Timestamp,
    pair: usize,
    nominates: bool,
    value: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Checking,
    Connected,
    Disconnected,
    Failed,
}

/// What it sends on its selected pair every two seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keepalive {
    Requests,
    /// As the second version did.
    Indications,
}

#[derive(Clone, Debug)]
pub(crate) struct Pion {
    hand: Hand,
    pub(crate) lite: bool,
    pub(crate) keepalive: Keepalive,
    /// `WithAutomaticRenomination`: every three seconds it looks for a faster pair.
    pub(crate) renomination: bool,
    pub(crate) pairs: Vec<Pair>,
    locals: Vec<(SocketAddr, u32)>,
    pub(crate) selected: Option<usize>,
    nominated: Option<usize>,
    /// The nomination value, ours when it controls and the largest seen otherwise.
    value: u32,
    renominated: Timestamp,
    outstanding: Vec<Outstanding>,
    last_received: Option<Timestamp>,
    pub(crate) states: Vec<State>,
    next_tick: Option<Timestamp>,
    /// Requests with USE-CANDIDATE that it has sent.
    pub(crate) nominations: usize,
    /// Requests that it left unanswered because they made it change its role.
    pub(crate) swallowed: usize,
}

impl Pion {
    pub(crate) fn new(bench: &Bench, topology: &Topology, controlling: bool) -> Self {
        let mut pion = Self {
            hand: Hand::new(&bench.agent, controlling),
            lite: false,
            keepalive: Keepalive::Requests,
            renomination: false,
            pairs: Vec::new(),
            locals: Vec::new(),
            selected: None,
            nominated: None,
            value: 0,
            renominated: Timestamp::ZERO,
            outstanding: Vec::new(),
            last_received: None,
            states: vec![State::Checking],
            next_tick: Some(Timestamp::ZERO),
            nominations: 0,
            swallowed: 0,
        };
        for (index, local) in topology.peer.iter().take(topology.signalled).enumerate() {
            pion.locals.push((addr(local), host_priority(index)));
        }
        for local in pion.locals.clone() {
            for remote in bench.agent.local_candidates() {
                pion.add(local, (remote.addr, remote.priority), false);
            }
        }
        pion
    }

    fn add(&mut self, local: (SocketAddr, u32), remote: (SocketAddr, u32), reflexive: bool) {
        // The priority is that of the role at this time, and stays when the role changes.
        let priority = if self.hand.controlling {
            pair_priority(local.1, remote.1)
        } else {
            pair_priority(remote.1, local.1)
        };
        self.pairs.push(Pair {
            local: local.0,
            remote: remote.0,
            priority,
            reflexive,
            state: PairState::Waiting,
            requests: 0,
            nominate_on_success: false,
            rtt: None,
        });
    }

    pub(crate) fn state(&self) -> State {
        *self.states.last().unwrap()
    }

    fn set_state(&mut self, state: State) {
        if self.state() != state {
            self.states.push(state);
        }
    }

    fn select(&mut self, pair: usize) {
        self.selected = Some(pair);
        self.set_state(State::Connected);
    }

    fn request(
        &mut self,
        now: Timestamp,
        pair: usize,
        nominates: bool,
        value: Option<u32>,
    ) -> Packet {
        let (local, remote) = (self.pairs[pair].local, self.pairs[pair].remote);
        // Its own priority, where the RFC asks for that of a peer-reflexive candidate.
        let priority = self.locals.iter().find(|known| known.0 == local).unwrap().1;
        let mut check = self.hand.check(priority);
        let id = check.bytes[8..20].try_into().unwrap();
        if nominates {
            check = check.attr(USE_CANDIDATE, &[]);
            self.nominations += 1;
        }
        if let Some(value) = value {
            check = check.attr(NOMINATION, &value.to_be_bytes());
        }
        self.outstanding.push(Outstanding { id, at: now, pair, nominates, value });
        Packet { from: local, to: remote, bytes: self.hand.seal(check) }
    }

    fn ping_all(&mut self, now: Timestamp) -> Vec<Packet> {
        let mut packets = Vec::new();
        for index in 0..self.pairs.len() {
            let pair = &mut self.pairs[index];
            match pair.state {
                PairState::Waiting => pair.state = PairState::InProgress,
                PairState::InProgress => {}
                PairState::Failed | PairState::Succeeded => continue,
            }
            if pair.requests > MAX_REQUESTS {
                pair.state = PairState::Failed;
            } else {
                pair.requests += 1;
                packets.push(self.request(now, index, false, None));
            }
        }
        packets
    }

    fn best(&self, among: impl Fn(&Pair) -> bool) -> Option<usize> {
        let pairs = self.pairs.iter().enumerate().filter(|(_, pair)| among(pair));
        pairs.max_by_key(|(_, pair)| pair.priority).map(|(index, _)| index)
    }

    fn may_nominate(&self, now: Timestamp, pair: usize) -> bool {
        !self.pairs[pair].reflexive || now >= Timestamp::ZERO + REFLEXIVE_WAIT
    }

    fn nominate(&mut self, now: Timestamp, pair: usize) -> Packet {
        self.nominated = Some(pair);
        let value = self.renomination.then(|| {
            self.value += 1;
            self.value
        });
        self.request(now, pair, true, value)
    }

    /// The selected pair has been silent for how long.
    fn validate(&mut self, now: Timestamp) {
        let silence = self.last_received.map_or(Duration::ZERO, |at| now - at);
        let limit = if self.lite { DISCONNECTED_LITE } else { DISCONNECTED };
        if silence > limit + FAILED {
            self.set_state(State::Failed);
        } else if silence > limit {
            self.set_state(State::Disconnected);
        } else {
            self.set_state(State::Connected);
        }
    }

    fn keep(&mut self, now: Timestamp, selected: usize) -> Vec<Packet> {
        self.validate(now);
        if self.state() == State::Failed {
            return Vec::new();
        }
        let (from, to) = (self.pairs[selected].local, self.pairs[selected].remote);
        match self.keepalive {
            _ if self.lite => Vec::new(),
            Keepalive::Requests => vec![self.request(now, selected, false, None)],
            Keepalive::Indications => vec![Packet { from, to, bytes: self.hand.indication() }],
        }
    }

    /// A pair that is more than 10 ms faster than the selected one.
    fn faster(&self, selected: usize) -> Option<usize> {
        let ours = self.pairs[selected].rtt?;
        let faster = self.pairs.iter().enumerate().filter(|(_, pair)| {
            pair.state == PairState::Succeeded
                && pair.rtt.is_some_and(|rtt| rtt + Duration::from_millis(10) < ours)
        });
        faster.min_by_key(|(_, pair)| pair.rtt).map(|(index, _)| index)
    }

    fn tick_controlling(&mut self, now: Timestamp) -> Vec<Packet> {
        if let Some(selected) = self.selected {
            let mut packets = self.keep(now, selected);
            if self.renomination {
                for index in 0..self.pairs.len() {
                    if self.pairs[index].state != PairState::Failed && index != selected {
                        packets.push(self.request(now, index, false, None));
                    }
                }
                if now - self.renominated >= RENOMINATION {
                    if let Some(better) = self.faster(selected) {
                        self.renominated = now;
                        packets.push(self.nominate(now, better));
                    }
                }
            }
            return packets;
        }
        if let Some(nominated) = self.nominated {
            let value = self.renomination.then_some(self.value);
            return vec![self.request(now, nominated, true, value)];
        }
        let best = self.best(|pair| pair.state == PairState::Succeeded);
        match best.filter(|&best| self.may_nominate(now, best)) {
            Some(best) => vec![self.nominate(now, best)],
            None => self.ping_all(now),
        }
    }

    fn answer(&mut self, now: Timestamp, request: &Sent) -> Vec<Packet> {
        let reply = |bytes| Packet { from: request.to, to: request.from, bytes };
        let path = (request.to, request.from);
        let known = |pair: &Pair| (pair.local, pair.remote) == path;
        let mut index = self.pairs.iter().position(known);
        let discovered = index.is_none();
        if discovered {
            let Some(&local) = self.locals.iter().find(|local| local.0 == request.to) else {
                return Vec::new();
            };
            let priority = request.get(crate::common::PRIORITY).unwrap();
            let priority = u32::from_be_bytes(priority.try_into().unwrap());
            self.add(local, (request.from, priority), true);
            index = Some(self.pairs.len() - 1);
        }
        let Some(index) = index else { return Vec::new() };
        self.last_received = Some(now);
        let ours = if self.hand.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
        if let Some(theirs) = request.get(ours) {
            let theirs = u64::from_be_bytes(theirs.try_into().unwrap());
            if self.hand.controlling == (self.hand.tie_breaker >= theirs) {
                return vec![reply(Hand::error(request, 487))];
            }
            // The request that settles the conflict is left unanswered.
            self.hand.controlling = !self.hand.controlling;
            self.swallowed += 1;
            return Vec::new();
        }
        let mut packets = vec![reply(Hand::success(request).integrity(PEER_PWD).fingerprint())];
        if self.hand.controlling {
            let best = self.best(|pair| pair.state != PairState::Failed);
            let ready = !discovered
                && self.pairs[index].state == PairState::Succeeded
                && self.nominated.is_none()
                && self.selected.is_none()
                && best == Some(index)
                && self.may_nominate(now, index);
            if ready {
                packets.push(self.nominate(now, index));
            }
            return packets;
        }
        if request.nominates() {
            if self.lite {
                self.pairs[index].state = PairState::Succeeded;
            }
            if self.pairs[index].state == PairState::Succeeded {
                let better = self.selected.is_none_or(|selected| {
                    self.lite || self.pairs[selected].priority < self.pairs[index].priority
                });
                if better {
                    self.select(index);
                }
            } else {
                self.pairs[index].nominate_on_success = true;
            }
        }
        let succeeded = self.pairs[index].state == PairState::Succeeded;
        if !self.lite && (!succeeded || self.selected.is_none()) {
            packets.push(self.request(now, index, false, None));
        }
        packets
    }

    fn response(&mut self, now: Timestamp, datagram: &Sent) {
        let known = self.outstanding.iter().position(|other| other.id == datagram.id());
        let Some(known) = known else { return };
        let request = self.outstanding.remove(known);
        let pair = &self.pairs[request.pair];
        let expired = now - request.at >= REQUEST_TIMEOUT;
        // It does not read error responses.
        if expired || pair.remote != datagram.from || datagram.code().is_some() {
            return;
        }
        self.last_received = Some(now);
        let pair = &mut self.pairs[request.pair];
        pair.state = PairState::Succeeded;
        pair.rtt = Some(now - request.at);
        let on_success = core::mem::take(&mut pair.nominate_on_success);
        let select = if self.hand.controlling {
            request.nominates && (request.value.is_some() || self.selected.is_none())
        } else {
            let better = |selected: usize| {
                self.pairs[selected].priority <= self.pairs[request.pair].priority
            };
            on_success && self.selected.is_none_or(better)
        };
        if select {
            self.select(request.pair);
        }
    }
}

impl Peer for Pion {
    fn receive(&mut self, now: Timestamp, datagram: &Sent) -> Vec<Packet> {
        if self.state() == State::Failed {
            return Vec::new();
        }
        if self.hand.reads_data(datagram) {
            self.last_received = Some(now);
            return Vec::new();
        }
        if self.hand.reads_request(datagram) {
            return self.answer(now, datagram);
        }
        if self.hand.reads_response(datagram) {
            self.response(now, datagram);
        }
        Vec::new()
    }

    fn deadline(&self) -> Option<Timestamp> {
        self.next_tick
    }

    fn act(&mut self, now: Timestamp) -> Vec<Packet> {
        if self.selected.is_none() && now > Timestamp::ZERO + DISCONNECTED + FAILED {
            self.set_state(State::Failed);
        }
        if self.state() == State::Failed {
            self.next_tick = None;
            return Vec::new();
        }
        let checking = self.state() == State::Checking;
        self.next_tick = Some(now + if checking { CHECK_INTERVAL } else { KEEPALIVE });
        match (self.lite, self.hand.controlling, self.selected) {
            (true, _, None) => Vec::new(),
            (true, _, Some(selected)) => self.keep(now, selected),
            (false, true, _) => self.tick_controlling(now),
            (false, false, Some(selected)) => self.keep(now, selected),
            (false, false, None) => self.ping_all(now),
        }
    }

    fn path(&self) -> Option<(SocketAddr, SocketAddr)> {
        let pair = &self.pairs[self.selected?];
        Some((pair.local, pair.remote))
    }

    fn hand(&self) -> &Hand {
        &self.hand
    }
}
