//! libwebrtc (Chromium and what is built on it), as its ICE controller decides and its connections
//! keep time: every ping is a transaction of its own and never repeated; USE-CANDIDATE rides on
//! every ping of the connection that it likes; the selected connection changes whenever a better
//! one is there; state goes before nomination.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::Timestamp;

use super::hand::{Hand, Packet, host_priority, is_stun, pair_priority};
use super::stage::{DATA, Peer, Topology};
use crate::common::{
    Bench, ICE_CONTROLLED, ICE_CONTROLLING, Message, PEER_PWD, PEER_UFRAG, PRIORITY, REQUEST, Sent,
    USE_CANDIDATE, USERNAME, addr,
};

const NOMINATION: u16 = 0xc001;
const GOOG_NETWORK_INFO: u16 = 0xc057;
const GOOG_LAST_ICE_CHECK_RECEIVED: u16 = 0xc058;
const GOOG_MISC_INFO: u16 = 0xc059;
const GOOG_DELTA: u16 = 0xc05c;
const RETRANSMIT_COUNT: u16 = 0xff00;

const WEAK_PING: Duration = Duration::from_millis(48);
const STRONG_PING: Duration = Duration::from_millis(480);
const STABILISING_PING: Duration = Duration::from_millis(900);
const STABLE_PING: Duration = Duration::from_millis(2_500);
const BACKUP_PING: Duration = Duration::from_secs(25);
const PINGS_AT_WEAK: usize = 3;
const RECEIVING: Duration = Duration::from_millis(2_500);
/// In a call without media stable pings come as rarely as that: the time to their answer does not
/// make a path deaf.
const SLACK: Duration = Duration::from_millis(250);
const UNRELIABLE: Duration = Duration::from_secs(5);
const UNRELIABLE_PINGS: usize = 5;
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
const DEAD: Duration = Duration::from_secs(30);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);
const SWITCHING_DELAY: Duration = Duration::from_secs(1);

/// Whether pings are answered. The order is that of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Write {
    TimedOut,
    Init,
    Unreliable,
    Writable,
}

/// A pair, with its own idea of its health.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    local_priority: u32,
    remote_priority: u32,
    /// The cost of the local network; the agent's is unknown.
    cost: u16,
    created: Timestamp,
    pub(crate) write: Write,
    pings: usize,
    last_ping: Option<Timestamp>,
    /// Unanswered since the last response.
    unanswered: Vec<Timestamp>,
    /// When each ping went out, and the nomination in it.
    outstanding: BTreeMap<[u8; 12], (Timestamp, u32)>,
    last_response: Option<Timestamp>,
    /// The newest check of the agent, and anything that came on this path.
    last_check: Option<Timestamp>,
    last_check_id: Option<[u8; 12]>,
    last_received: Option<Timestamp>,
    last_data: Option<Timestamp>,
    samples: usize,
    /// The nomination of a controlling agent that this one has seen on it.
    remote_nomination: u32,
    /// It acknowledged this one of ours.
    acknowledged: u32,
    pruned: bool,
}

impl Connection {
    /// A pair whose newest ping was answered counts as receiving, however rarely it is pinged.
    fn receiving(&self, now: Timestamp) -> bool {
        let answered = self.last_response.is_some() && self.last_response > self.last_ping;
        answered || self.last_received.is_some_and(|at| now - at <= RECEIVING + SLACK)
    }

    fn strong(&self, now: Timestamp) -> bool {
        self.write == Write::Writable && self.receiving(now)
    }

    fn update(&mut self, now: Timestamp) {
        let since_first = self.unanswered.first().map(|&at| now - at);
        let waiting = |limit| since_first.is_some_and(|time| time >= limit);
        if self.write == Write::Writable
            && self.unanswered.len() >= UNRELIABLE_PINGS
            && waiting(UNRELIABLE)
        {
            self.write = Write::Unreliable;
        }
        if matches!(self.write, Write::Init | Write::Unreliable) && waiting(WRITE_TIMEOUT) {
            self.write = Write::TimedOut;
        }
        self.outstanding.retain(|_, (at, _)| now - *at <= RESPONSE_TIMEOUT);
    }

    fn dead(&self, now: Timestamp) -> bool {
        let heard = self.last_received.unwrap_or(self.created);
        let unanswered = self.unanswered.first().is_none_or(|&at| now - at > DEAD);
        now - heard > DEAD && unanswered
    }
}

/// The peer.
#[derive(Clone, Debug)]
pub(crate) struct Libwebrtc {
    hand: Hand,
    pub(crate) connections: Vec<Connection>,
    pub(crate) selected: Option<(SocketAddr, SocketAddr)>,
    /// How often the selected connection changed.
    pub(crate) switches: usize,
    /// Its addresses with their priorities and costs.
    locals: Vec<(SocketAddr, u32, u16)>,
    remotes: Vec<(SocketAddr, u32)>,
    /// Renomination is configured; it is used when the agent offers it too.
    pub(crate) renomination: bool,
    nomination: u32,
    next_tick: Timestamp,
    last_ping: Option<Timestamp>,
    /// Pairs that it has destroyed because of an error response, with the code.
    pub(crate) destroyed: Vec<u16>,
    pub(crate) responses: usize,
    pub(crate) pings_with_use_candidate: usize,
}

impl Libwebrtc {
    pub(crate) fn new(bench: &Bench, topology: &Topology, controlling: bool) -> Self {
        let priorities = bench.agent.local_candidates();
        let remotes: Vec<_> = priorities.map(|local| (local.addr, local.priority)).collect();
        let mut peer = Self {
            hand: Hand::new(&bench.agent, controlling),
            connections: Vec::new(),
            selected: None,
            switches: 0,
            locals: Vec::new(),
            remotes,
            renomination: false,
            nomination: 0,
            next_tick: Timestamp::ZERO,
            last_ping: None,
            destroyed: Vec::new(),
            responses: 0,
            pings_with_use_candidate: 0,
        };
        for (index, local) in topology.peer.iter().take(topology.signalled).enumerate() {
            peer.add_network(Timestamp::ZERO, addr(local), host_priority(index), 0);
        }
        peer
    }

    /// Continual gathering: a network has come up, and its candidate is paired at once.
    pub(crate) fn add_network(
        &mut self,
        now: Timestamp,
        local: SocketAddr,
        priority: u32,
        cost: u16,
    ) {
        self.locals.push((local, priority, cost));
        for (remote, remote_priority) in self.remotes.clone() {
            self.connect(now, local, remote, remote_priority);
        }
    }

    /// What using the network of an address costs has changed.
    pub(crate) fn set_cost(&mut self, local: SocketAddr, cost: u16) {
        for known in self.locals.iter_mut().filter(|known| known.0 == local) {
            known.2 = cost;
        }
        for connection in self.connections.iter_mut().filter(|other| other.local == local) {
            connection.cost = cost;
        }
    }

    pub(crate) fn connection(&self, local: SocketAddr) -> Option<&Connection> {
        self.connections.iter().find(|connection| connection.local == local)
    }

    fn connect(&mut self, now: Timestamp, local: SocketAddr, remote: SocketAddr, priority: u32) {
        let Some(&(_, local_priority, cost)) = self.locals.iter().find(|known| known.0 == local)
        else {
            return;
        };
        self.connections.push(Connection {
            local,
            remote,
            local_priority,
            remote_priority: priority,
            cost,
            created: now,
            write: Write::Init,
            pings: 0,
            last_ping: None,
            unanswered: Vec::new(),
            outstanding: BTreeMap::new(),
            last_response: None,
            last_check: None,
            last_check_id: None,
            last_received: None,
            last_data: None,
            samples: 0,
            remote_nomination: 0,
            acknowledged: 0,
            pruned: false,
        });
    }

    fn renominates(&self) -> bool {
        self.renomination && self.hand.options.iter().any(|option| option == "renomination")
    }

    fn index(&self, path: (SocketAddr, SocketAddr)) -> Option<usize> {
        self.connections.iter().position(|other| (other.local, other.remote) == path)
    }

    fn chosen(&self) -> Option<&Connection> {
        self.connections.get(self.index(self.selected?)?)
    }

    fn weak(&self, now: Timestamp) -> bool {
        let fresh = |other: &Connection| {
            !other.pruned && other.write != Write::TimedOut && other.pings < PINGS_AT_WEAK
        };
        self.chosen().is_none_or(|chosen| !chosen.strong(now)) || self.connections.iter().any(fresh)
    }

    /// The better connection comes out greater.
    fn rank(&self, connection: &Connection, now: Timestamp) -> impl Ord + use<> {
        let writable = connection.write == Write::Writable;
        let nomination = if self.hand.controlling { 0 } else { connection.remote_nomination };
        let nominated_at = if self.hand.controlling {
            None
        } else {
            connection.last_data.filter(|_| nomination > 0)
        };
        let priority = if self.hand.controlling {
            pair_priority(connection.local_priority, connection.remote_priority)
        } else {
            pair_priority(connection.remote_priority, connection.local_priority)
        };
        let receiving = connection.receiving(now);
        (
            writable,
            connection.write,
            receiving,
            nomination,
            nominated_at,
            Reverse(connection.cost),
            priority,
        )
    }

    /// Sorts, switches and prunes.
    fn decide(&mut self, now: Timestamp) {
        let best = self.connections.iter().max_by_key(|other| self.rank(other, now));
        let Some(best) = best.filter(|best| best.write >= Write::Unreliable) else { return };
        let path = (best.local, best.remote);
        if self.selected != Some(path) && self.should_switch(best, now) {
            if self.selected.is_some() {
                self.switches += 1;
            }
            self.selected = Some(path);
            self.nomination += 1;
        }
        self.prune(now);
    }

    /// A difference in receiving alone has to last for a second.
    fn should_switch(&self, best: &Connection, now: Timestamp) -> bool {
        let Some(chosen) = self.chosen() else { return true };
        if chosen.write == best.write && best.receiving(now) && !chosen.receiving(now) {
            let deaf = chosen.last_received.map_or(Duration::MAX, |at| now - at);
            return deaf > RECEIVING + SWITCHING_DELAY;
        }
        self.rank(best, now) > self.rank(chosen, now)
    }

    /// Of one network only its best connection is pinged on, once that is strong.
    fn prune(&mut self, now: Timestamp) {
        let mut best: BTreeMap<SocketAddr, (bool, (SocketAddr, SocketAddr))> = BTreeMap::new();
        let mut order: Vec<usize> = (0..self.connections.len()).collect();
        order.sort_by_key(|&index| Reverse(self.rank(&self.connections[index], now)));
        for index in order {
            let connection = &self.connections[index];
            let path = (connection.local, connection.remote);
            let first =
                best.entry(connection.local).or_insert_with(|| (connection.strong(now), path));
            let pruned = first.0 && first.1 != path;
            self.connections[index].pruned = pruned;
        }
    }

    fn interval(&self, connection: &Connection, now: Timestamp) -> Duration {
        let weak = self.weak(now);
        if connection.pings < PINGS_AT_WEAK {
            return WEAK_PING;
        }
        let stable = connection.samples >= 4 && connection.unanswered.is_empty();
        let selected = self.selected == Some((connection.local, connection.remote));
        if connection.strong(now) {
            if !selected && !weak {
                BACKUP_PING
            } else if weak || !stable {
                STABILISING_PING
            } else {
                STABLE_PING
            }
        } else if weak {
            WEAK_PING
        } else {
            STRONG_PING
        }
    }

    fn due(&self, connection: &Connection, now: Timestamp) -> bool {
        connection.last_ping.is_none_or(|at| now - at >= self.interval(connection, now))
    }

    /// The connection to ping, in the controller's order: the selected one, triggered checks, and
    /// whoever waits for the longest time.
    fn next_ping(&self, now: Timestamp) -> Option<usize> {
        let weak = self.weak(now);
        if let Some(chosen) = self.chosen().filter(|chosen| chosen.write == Write::Writable) {
            if self.due(chosen, now) {
                return self.index((chosen.local, chosen.remote));
            }
        }
        let pingable = |other: &Connection| {
            !other.pruned && (weak || other.write != Write::TimedOut) && self.due(other, now)
        };
        let candidates =
            || self.connections.iter().enumerate().filter(|(_, connection)| pingable(connection));
        let triggered = candidates().filter(|(_, other)| {
            other.write != Write::Writable && other.last_check > other.last_ping
        });
        let oldest = triggered.min_by_key(|(_, other)| other.last_check);
        oldest.or_else(|| candidates().min_by_key(|(_, other)| other.last_ping)).map(|(at, _)| at)
    }

    fn use_candidate(&self, connection: &Connection, now: Timestamp) -> bool {
        let path = (connection.local, connection.remote);
        self.hand.controlling
            && !self.renominates()
            && self.chosen().is_none_or(|chosen| {
                self.selected == Some(path)
                    || chosen.write != Write::Writable
                    || self.rank(connection, now) > self.rank(chosen, now)
            })
    }

    fn ping(&mut self, index: usize, now: Timestamp) -> Packet {
        let connection = self.connections[index].clone();
        let reflexive = (110 << 24) | (connection.local_priority & 0x00ff_ffff);
        let use_candidate = self.use_candidate(&connection, now);
        let id = self.hand.id();
        let (role, tie_breaker) = if self.hand.controlling {
            (ICE_CONTROLLING, self.hand.tie_breaker)
        } else {
            (ICE_CONTROLLED, self.hand.tie_breaker)
        };
        let network = (1_u32 << 16) | u32::from(connection.cost);
        let mut check = Message::new(REQUEST, id)
            .attr(USERNAME, format!("{}:{PEER_UFRAG}", self.hand.agent_ufrag).as_bytes())
            .attr(GOOG_NETWORK_INFO, &network.to_be_bytes())
            .attr(GOOG_DELTA, &[0, 1, 2, 3, 4])
            .attr(RETRANSMIT_COUNT, &(connection.unanswered.len() as u32).to_be_bytes())
            .attr(role, &tie_breaker.to_be_bytes());
        if let Some(id) = connection.last_check_id {
            check = check.attr(GOOG_LAST_ICE_CHECK_RECEIVED, &id);
        }
        if use_candidate {
            check = check.attr(USE_CANDIDATE, &[]);
            self.pings_with_use_candidate += 1;
        }
        let selected = self.selected == Some((connection.local, connection.remote));
        let renominate = self.hand.controlling
            && self.renominates()
            && selected
            && connection.acknowledged < self.nomination;
        if renominate {
            check = check.attr(NOMINATION, &self.nomination.to_be_bytes());
        }
        let nomination = if renominate { self.nomination } else { 0 };
        check = check.attr(PRIORITY, &reflexive.to_be_bytes());
        self.last_ping = Some(now);
        let bytes = self.hand.seal(check);
        let connection = &mut self.connections[index];
        connection.pings += 1;
        connection.last_ping = Some(now);
        connection.unanswered.push(now);
        connection.outstanding.insert(id, (now, nomination));
        Packet { from: connection.local, to: connection.remote, bytes }
    }

    /// A check of the agent.
    fn answer(&mut self, now: Timestamp, request: &Sent) -> Vec<Packet> {
        let reply = |bytes| vec![Packet { from: request.to, to: request.from, bytes }];
        let ours = if self.hand.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
        if let Some(theirs) = request.get(ours) {
            let theirs = u64::from_be_bytes(theirs.try_into().unwrap());
            // Its comparison is turned round where both are equal.
            let switch = if self.hand.controlling {
                theirs >= self.hand.tie_breaker
            } else {
                theirs < self.hand.tie_breaker
            };
            if !switch {
                return reply(Hand::error(request, 487));
            }
            self.hand.controlling = !self.hand.controlling;
        }
        let path = (request.to, request.from);
        if self.index(path).is_none() {
            let priority = request.get(PRIORITY).unwrap();
            let priority = u32::from_be_bytes(priority.try_into().unwrap());
            self.connect(now, path.0, path.1, priority);
        }
        if let Some(index) = self.index(path) {
            let connection = &mut self.connections[index];
            connection.last_check = Some(now);
            connection.last_check_id = Some(request.id());
            connection.last_received = Some(now);
            if !self.hand.controlling && request.nominates() {
                connection.remote_nomination = connection.remote_nomination.max(1);
            }
            if connection.write == Write::TimedOut {
                connection.write = Write::Init;
            }
        }
        self.decide(now);
        let answer = Hand::success(request)
            .attr(GOOG_MISC_INFO, &[0, 1])
            .attr(GOOG_DELTA, &[9, 9, 9])
            .integrity(PEER_PWD)
            .fingerprint();
        reply(answer)
    }

    fn response(&mut self, now: Timestamp, datagram: &Sent) {
        let path = (datagram.to, datagram.from);
        let Some(index) = self.index(path) else { return };
        let connection = &mut self.connections[index];
        let Some((_, nomination)) = connection.outstanding.remove(&datagram.id()) else {
            return;
        };
        connection.last_received = Some(now);
        match datagram.code() {
            None => {
                self.responses += 1;
                assert_eq!(datagram.mapped(), Some(datagram.to));
                connection.unanswered.clear();
                connection.write = Write::Writable;
                connection.last_response = Some(now);
                connection.samples += 1;
                connection.acknowledged = connection.acknowledged.max(nomination);
                self.decide(now);
            }
            // Each of them toggles the role, whatever role the request carried.
            Some(487) => self.hand.controlling = !self.hand.controlling,
            Some(401 | 420 | 500) => {}
            Some(code) => {
                self.destroyed.push(code);
                self.connections.remove(index);
                if self.selected == Some(path) {
                    self.selected = None;
                }
            }
        }
    }
}

impl Peer for Libwebrtc {
    fn receive(&mut self, now: Timestamp, datagram: &Sent) -> Vec<Packet> {
        if !self.locals.iter().any(|(local, ..)| *local == datagram.to) {
            return Vec::new();
        }
        if self.hand.reads_data(datagram) {
            if let Some(index) = self.index((datagram.to, datagram.from)) {
                self.connections[index].last_received = Some(now);
                self.connections[index].last_data = Some(now);
            }
            return Vec::new();
        }
        assert!(is_stun(&datagram.bytes) && datagram.bytes != DATA);
        if self.hand.reads_request(datagram) {
            return self.answer(now, datagram);
        }
        if self.hand.reads_response(datagram) {
            self.response(now, datagram);
        }
        Vec::new()
    }

    fn deadline(&self) -> Option<Timestamp> {
        Some(self.next_tick)
    }

    /// `CheckAndPing`.
    fn act(&mut self, now: Timestamp) -> Vec<Packet> {
        for connection in &mut self.connections {
            connection.update(now);
        }
        let selected = self.selected;
        self.connections.retain(|connection| !connection.dead(now));
        if selected.is_some_and(|path| self.index(path).is_none()) {
            self.selected = None;
        }
        self.decide(now);
        let pause = if self.weak(now) { WEAK_PING } else { STRONG_PING };
        self.next_tick = now + WEAK_PING;
        if self.last_ping.is_some_and(|at| now - at < pause) {
            return Vec::new();
        }
        let next = self.next_ping(now);
        next.map(|index| self.ping(index, now)).into_iter().collect()
    }

    fn path(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.selected
    }

    fn hand(&self) -> &Hand {
        &self.hand
    }
}
