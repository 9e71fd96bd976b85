//! nICEr, the ICE of Firefox: RFC 5245 with a short fuse. A check every 20 ms, repeated after
//! 100 ms already; when it controls it nominates with every check, lite peers too, and goes on to
//! better pairs; one consent check that is not answered makes it call the path dead.

use std::net::SocketAddr;
use std::time::Duration;

use frazil::Timestamp;

use super::hand::{Hand, Packet, host_priority, pair_priority};
use super::stage::{Peer, Topology};
use crate::common::{
    Bench, ICE_CONTROLLED, ICE_CONTROLLING, Message, PEER_PWD, PRIORITY, REQUEST, Sent,
    USE_CANDIDATE, USERNAME, addr,
};

const TA: Duration = Duration::from_millis(20);
const MIN_RTO: Duration = Duration::from_millis(100);
const TRANSMISSIONS: u32 = 7;
const FINAL_WAIT: u32 = 16;
const CONSENT: Duration = Duration::from_secs(5);
const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    InProgress,
    Succeeded,
    Failed,
    Cancelled,
}

/// A check under way.
#[derive(Clone, Debug)]
struct Check {
    id: [u8; 12],
    bytes: Vec<u8>,
    controlling: bool,
    nominates: bool,
    sent: u32,
    rto: Duration,
    next: Timestamp,
}

#[derive(Clone, Debug)]
struct Pair {
    local: SocketAddr,
    remote: SocketAddr,
    local_priority: u32,
    remote_priority: u32,
    state: State,
    check: Option<Check>,
    /// It was nominated by either side; it counts once the pair has succeeded.
    nominated: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Nicer {
    hand: Hand,
    pairs: Vec<Pair>,
    selected: Option<usize>,
    next_start: Option<Timestamp>,
    /// The mean time between consent checks: longer in a tab in the background.
    pub(crate) consent: Duration,
    next_consent: Option<Timestamp>,
    consent_id: Option<[u8; 12]>,
    consent_answered: Option<Timestamp>,
    /// How often it called its path dead.
    pub(crate) disconnections: usize,
    pub(crate) expired: bool,
    /// Error responses that it got.
    pub(crate) errors: Vec<u16>,
    pub(crate) nominations: usize,
    jitter: u32,
}

impl Nicer {
    pub(crate) fn new(bench: &Bench, topology: &Topology, controlling: bool) -> Self {
        let locals = topology.peer.iter().take(topology.signalled).enumerate();
        let pairs = locals.flat_map(|(index, local)| {
            bench.agent.local_candidates().map(move |remote| {
                Self::pair(addr(local), host_priority(index), remote.addr, remote.priority)
            })
        });
        Self {
            hand: Hand::new(&bench.agent, controlling),
            pairs: pairs.collect(),
            selected: None,
            next_start: Some(Timestamp::ZERO),
            consent: CONSENT,
            next_consent: None,
            consent_id: None,
            consent_answered: None,
            disconnections: 0,
            expired: false,
            errors: Vec::new(),
            nominations: 0,
            jitter: u32::from(topology.seed),
        }
    }

    fn pair(local: SocketAddr, ours: u32, remote: SocketAddr, theirs: u32) -> Pair {
        Pair {
            local,
            remote,
            local_priority: ours,
            remote_priority: theirs,
            state: State::Waiting,
            check: None,
            nominated: false,
        }
    }

    /// A check with the username fragment of another generation of this peer, as after a restart
    /// of which the agent has not heard yet.
    pub(crate) fn next_generation(&mut self, ufrag: &str) -> Packet {
        let id = self.hand.id();
        let role = if self.hand.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
        let check = Message::new(REQUEST, id)
            .attr(USERNAME, format!("{}:{ufrag}", self.hand.agent_ufrag).as_bytes())
            .attr(PRIORITY, &host_priority(1).to_be_bytes())
            .attr(USE_CANDIDATE, &[])
            .attr(role, &self.hand.tie_breaker.to_be_bytes());
        let last = self.pairs.last().unwrap();
        Packet { from: last.local, to: last.remote, bytes: self.hand.seal(check) }
    }

    fn priority(&self, pair: &Pair) -> u64 {
        if self.hand.controlling {
            pair_priority(pair.local_priority, pair.remote_priority)
        } else {
            pair_priority(pair.remote_priority, pair.local_priority)
        }
    }

    /// 0.8 to 1.2 times the interval.
    fn consent_pause(&mut self) -> Duration {
        self.jitter = self.jitter.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.consent * (800 + (self.jitter >> 16) % 400) / 1000
    }

    fn start(&mut self, now: Timestamp, index: usize) -> Packet {
        let waiting = self.pairs.iter().filter(|pair| pair.state == State::Waiting).count() as u32;
        let rto = MIN_RTO.max(TA * waiting);
        // The priority of the candidate itself, not of a peer-reflexive one: relayed candidates
        // would look better than they are.
        let mut check = self.hand.check(self.pairs[index].local_priority);
        if self.hand.controlling {
            check = check.attr(USE_CANDIDATE, &[]);
            self.nominations += 1;
        }
        let id = check.bytes[8..20].try_into().unwrap();
        let bytes = self.hand.seal(check);
        let (controlling, nominates) = (self.hand.controlling, self.hand.controlling);
        let pair = &mut self.pairs[index];
        pair.state = State::InProgress;
        let next = now + rto;
        let bytes_sent = bytes.clone();
        pair.check = Some(Check { id, bytes, controlling, nominates, sent: 1, rto, next });
        Packet { from: pair.local, to: pair.remote, bytes: bytes_sent }
    }

    /// Nominated and successful: the best of these is selected, and what is worse is cancelled.
    fn conclude(&mut self, now: Timestamp) {
        let done = |pair: &&Pair| pair.nominated && pair.state == State::Succeeded;
        let best = self.pairs.iter().filter(done).map(|pair| self.priority(pair)).max();
        let Some(best) = best else { return };
        let selected = self.pairs.iter().position(|pair| self.priority(pair) == best);
        if self.selected != selected {
            self.selected = selected;
            self.consent_id = None;
            self.consent_answered = Some(now);
            self.next_consent = Some(now + self.consent_pause());
        }
        for index in 0..self.pairs.len() {
            let worse = self.priority(&self.pairs[index]) < best;
            let pair = &mut self.pairs[index];
            if worse && matches!(pair.state, State::Waiting | State::InProgress) {
                pair.state = State::Cancelled;
                pair.check = None;
            }
        }
    }

    fn answer(&mut self, now: Timestamp, request: &Sent) -> Vec<Packet> {
        let reply = |bytes| Packet { from: request.to, to: request.from, bytes };
        let ours = if self.hand.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
        if let Some(theirs) = request.get(ours) {
            let theirs = u64::from_be_bytes(theirs.try_into().unwrap());
            // RFC 8445 §7.3.1.1.
            if self.hand.controlling == (self.hand.tie_breaker >= theirs) {
                return vec![reply(Hand::error(request, 487))];
            }
            self.hand.controlling = !self.hand.controlling;
        }
        let path = (request.to, request.from);
        let known = self.pairs.iter().position(|pair| (pair.local, pair.remote) == path);
        let index = known.unwrap_or_else(|| {
            let priority = request.get(PRIORITY).unwrap();
            let priority = u32::from_be_bytes(priority.try_into().unwrap());
            self.pairs.push(Self::pair(path.0, host_priority(9), path.1, priority));
            self.pairs.len() - 1
        });
        let mut packets = vec![reply(Hand::success(request).integrity(PEER_PWD).fingerprint())];
        if request.nominates() && !self.hand.controlling {
            self.pairs[index].nominated = true;
            // What was nominated is pursued even after something else was.
            if self.pairs[index].state == State::Cancelled {
                self.pairs[index].state = State::Waiting;
            }
        }
        if matches!(self.pairs[index].state, State::Waiting | State::Failed) {
            packets.push(self.start(now, index));
        }
        self.conclude(now);
        packets
    }

    fn response(&mut self, now: Timestamp, datagram: &Sent) {
        if let Some(code) = datagram.code() {
            self.errors.push(code);
        }
        if self.consent_id == Some(datagram.id()) {
            self.consent_id = None;
            match datagram.code() {
                None => self.consent_answered = Some(now),
                Some(403) => self.expired = true,
                Some(_) => {}
            }
            return;
        }
        let path = (datagram.to, datagram.from);
        let this = |pair: &Pair| {
            pair.check.as_ref().is_some_and(|check| check.id == datagram.id())
                && (pair.local, pair.remote) == path
        };
        let Some(index) = self.pairs.iter().position(this) else { return };
        let Some(check) = self.pairs[index].check.take() else { return };
        let pair = &mut self.pairs[index];
        match datagram.code() {
            None => {
                assert_eq!(datagram.mapped(), Some(datagram.to));
                pair.state = State::Succeeded;
                pair.nominated |= check.nominates;
                self.conclude(now);
            }
            // The role changes once; the checks of the old role that are still under way do not
            // change it back.
            Some(487) => {
                pair.state = State::Waiting;
                if check.controlling == self.hand.controlling {
                    self.hand.controlling = !self.hand.controlling;
                }
            }
            Some(_) => pair.state = State::Failed,
        }
    }

    fn ask_consent(&mut self, now: Timestamp) -> Option<Packet> {
        let selected = self.selected?;
        if self.consent_answered.is_some_and(|at| now - at >= CONSENT_TIMEOUT.max(self.consent * 3))
        {
            self.expired = true;
        }
        if self.consent_id.is_some() {
            self.disconnections += 1;
        }
        let pause = self.consent_pause();
        self.next_consent = (!self.expired).then(|| now + pause);
        let mut check = self.hand.check(self.pairs[selected].local_priority);
        if self.hand.controlling {
            check = check.attr(USE_CANDIDATE, &[]);
        }
        self.consent_id = Some(check.bytes[8..20].try_into().unwrap());
        let pair = &self.pairs[selected];
        Some(Packet { from: pair.local, to: pair.remote, bytes: self.hand.seal(check) })
    }
}

impl Peer for Nicer {
    fn receive(&mut self, now: Timestamp, datagram: &Sent) -> Vec<Packet> {
        if self.hand.reads_data(datagram) {
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
        let checks = self.pairs.iter().filter_map(|pair| Some(pair.check.as_ref()?.next));
        checks.chain(self.next_start).chain(self.next_consent).min()
    }

    fn act(&mut self, now: Timestamp) -> Vec<Packet> {
        let mut packets = Vec::new();
        for pair in &mut self.pairs {
            let Some(check) = pair.check.as_mut().filter(|check| check.next <= now) else {
                continue;
            };
            if check.sent == TRANSMISSIONS {
                pair.check = None;
                pair.state = State::Failed;
                continue;
            }
            check.sent += 1;
            let wait = if check.sent == TRANSMISSIONS {
                MIN_RTO * FINAL_WAIT
            } else {
                check.rto * (1 << (check.sent - 1))
            };
            check.next = now + wait;
            let bytes = check.bytes.clone();
            packets.push(Packet { from: pair.local, to: pair.remote, bytes });
        }
        if self.next_start.is_some_and(|at| at <= now) {
            let waiting = self.pairs.iter().enumerate();
            let waiting = waiting.filter(|(_, pair)| pair.state == State::Waiting);
            let best = waiting.max_by_key(|(_, pair)| self.priority(pair)).map(|(index, _)| index);
            packets.extend(best.map(|index| self.start(now, index)));
            self.next_start = Some(now + TA);
        }
        if self.next_consent.is_some_and(|at| at <= now) {
            packets.extend(self.ask_consent(now));
        }
        packets
    }

    fn path(&self) -> Option<(SocketAddr, SocketAddr)> {
        let pair = &self.pairs[self.selected?];
        Some((pair.local, pair.remote))
    }

    fn hand(&self) -> &Hand {
        &self.hand
    }
}
