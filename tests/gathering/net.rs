//! Agents and servers in memory, with exact control: every packet takes the same time, and what
//! agents send, tell and receive is kept.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use frazil::sim::{
    TurnBehaviour, TurnMethod, TurnRefusal, TurnRoute, TurnServer, TurnServerConfig,
};
use frazil::{
    AgentConfig, CandidateId, CandidateKind, ConnectionId, ConnectionSecurity, ConnectionState,
    Event, GatheringState, IceAgent, LocalAddress, Received, RelayFamilies, Role, Route, SendError,
    Server, ServerCredentials, ServerId, ServerUri, StreamId, Timestamp, Transport,
};

pub(crate) const BINDING: u16 = 0x001;
pub(crate) const ALLOCATE: u16 = 0x003;
pub(crate) const REFRESH: u16 = 0x004;
pub(crate) const CREATE_PERMISSION: u16 = 0x008;
pub(crate) const CHANNEL_BIND: u16 = 0x009;

/// All methods of a server.
pub(crate) const METHODS: [TurnMethod; 5] = [
    TurnMethod::Binding,
    TurnMethod::Allocate,
    TurnMethod::Refresh,
    TurnMethod::CreatePermission,
    TurnMethod::ChannelBind,
];

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The address where the server with this number listens.
pub(crate) fn listen(number: usize) -> SocketAddr {
    addr(&format!("198.51.100.{}:3478", number + 1))
}

pub(crate) fn stun(number: usize) -> Server {
    Server::new(format!("stun:{}", listen(number)).parse().unwrap())
}

pub(crate) fn turn(number: usize) -> Server {
    turn_uri(&format!("turn:{}", listen(number)))
}

pub(crate) fn turn_tcp(number: usize) -> Server {
    turn_uri(&format!("turn:{}?transport=tcp", listen(number)))
}

pub(crate) fn turn_uri(uri: &str) -> Server {
    let uri: ServerUri = uri.parse().unwrap();
    let credentials = ServerCredentials::new("alice", "secret").unwrap();
    Server::new(uri).with_credentials(credentials).with_relay_families(RelayFamilies::Ipv4)
}

/// A server that takes alice.
pub(crate) fn server(number: usize) -> TurnServerConfig {
    TurnServerConfig::new(listen(number)).with_user("alice", "secret")
}

/// Something that an agent has sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Timestamp,
    pub(crate) agent: usize,
    pub(crate) route: Route,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    pub(crate) fn to(&self) -> Option<SocketAddr> {
        match self.route {
            Route::Datagram { remote, .. } => Some(remote),
            Route::Stream(_) => None,
        }
    }

    pub(crate) fn from(&self) -> Option<SocketAddr> {
        match self.route {
            Route::Datagram { local, .. } => Some(local),
            Route::Stream(_) => None,
        }
    }

    /// The method of a request.
    pub(crate) fn request(&self) -> Option<u16> {
        let kind = u16::from_be_bytes([self.bytes[0], self.bytes[1]]);
        (self.is_stun() && kind & 0x110 == 0).then_some(kind)
    }

    pub(crate) fn is_stun(&self) -> bool {
        self.bytes.len() >= 20 && self.bytes[4..8] == [0x21, 0x12, 0xa4, 0x42]
    }

    pub(crate) fn is_channel_data(&self) -> bool {
        self.bytes[0] & 0xf0 == 0x40
    }

    pub(crate) fn id(&self) -> [u8; 12] {
        self.bytes[8..20].try_into().unwrap()
    }

    pub(crate) fn get(&self, kind: u16) -> Option<&[u8]> {
        attribute(&self.bytes, kind)
    }
}

/// The first attribute of this kind in a STUN message.
pub(crate) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    let mut at = 20;
    while at + 4 <= bytes.len() {
        let found = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let len = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        if found == kind {
            return bytes.get(at + 4..at + 4 + len);
        }
        at += 4 + len.next_multiple_of(4);
    }
    None
}

#[derive(Clone, Debug)]
enum Packet {
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    ToServer { connection: u64, bytes: Vec<u8> },
    ToAgent { connection: u64, bytes: Vec<u8> },
}

/// A connection between an agent and a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) agent: usize,
    pub(crate) id: ConnectionId,
    pub(crate) server: usize,
    /// It is DTLS: the addresses between which its records go, the server's first.
    pub(crate) records: Option<(SocketAddr, SocketAddr)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) agent: IceAgent,
    pub(crate) stream: StreamId,
    pub(crate) sockets: Vec<SocketAddr>,
    pub(crate) events: Vec<(Timestamp, Event)>,
    pub(crate) received: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub(crate) now: Timestamp,
    pub(crate) nodes: Vec<Node>,
    pub(crate) servers: Vec<TurnServer>,
    pub(crate) sent: Vec<Sent>,
    /// Servers that get and give nothing.
    pub(crate) dead: BTreeSet<usize>,
    /// What the world sees a socket as, if not as what it is.
    pub(crate) mapped: BTreeMap<SocketAddr, SocketAddr>,
    /// Whether datagrams get through.
    pub(crate) udp: bool,
    /// Whether agents reach each other without a server.
    pub(crate) direct: bool,
    /// Whether sockets and connections are made that agents ask for.
    pub(crate) opens: bool,
    pub(crate) names: BTreeMap<String, Vec<IpAddr>>,
    pub(crate) lines: Vec<Line>,
    /// Streams arrive in pieces of so many bytes.
    pub(crate) segment: usize,
    pub(crate) delay: Duration,
    /// All datagrams that agents were given, in order.
    pub(crate) delivered: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    queue: BTreeMap<(Timestamp, u64), Packet>,
    pushed: u64,
    opened: u16,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            now: Timestamp::ZERO,
            nodes: Vec::new(),
            servers: Vec::new(),
            sent: Vec::new(),
            dead: BTreeSet::new(),
            mapped: BTreeMap::new(),
            udp: true,
            direct: false,
            opens: true,
            names: BTreeMap::new(),
            lines: Vec::new(),
            segment: usize::MAX,
            delay: Duration::from_millis(5),
            delivered: Vec::new(),
            queue: BTreeMap::new(),
            pushed: 0,
            opened: 0,
        }
    }

    /// One agent with these sockets, and so many servers.
    pub(crate) fn alone(sockets: &[&str], servers: usize) -> Self {
        Self::alone_with(AgentConfig::new(Role::Controlling), sockets, servers)
    }

    pub(crate) fn alone_with(config: AgentConfig, sockets: &[&str], servers: usize) -> Self {
        let mut net = Self::new();
        net.add_agent(config);
        for socket in sockets {
            net.socket(0, socket);
        }
        for number in 0..servers {
            net.add_server(server(number));
        }
        net
    }

    /// Two agents that reach each other through servers alone, the first one controlling.
    pub(crate) fn pair(servers: usize) -> Self {
        Self::pair_with(AgentConfig::new, servers)
    }

    pub(crate) fn pair_with(config: impl Fn(Role) -> AgentConfig, servers: usize) -> Self {
        let mut net = Self::alone_with(config(Role::Controlling), &[], servers);
        net.add_agent(config(Role::Controlled));
        net.socket(0, "10.0.0.1:1000");
        net.socket(1, "10.0.1.1:2000");
        net
    }

    /// Two agents whose data the first server relays on behalf of one of them or both.
    pub(crate) fn relayed(of: &[usize]) -> Self {
        let mut net = Self::pair(1);
        for &agent in of {
            net.ask(agent, turn(0));
        }
        net.start();
        net.run_for(secs(5));
        net.assert_flows();
        net
    }

    pub(crate) fn add_agent(&mut self, config: AgentConfig) -> usize {
        let number = self.nodes.len();
        let agent = IceAgent::new(config, [number as u8 + 1; 32]).unwrap();
        let stream = agent.streams().next().unwrap();
        let (sockets, events, received) = (Vec::new(), Vec::new(), Vec::new());
        self.nodes.push(Node { agent, stream, sockets, events, received });
        number
    }

    pub(crate) fn add_server(&mut self, config: TurnServerConfig) -> usize {
        let number = self.servers.len();
        self.servers.push(TurnServer::new(config, [number as u8 + 100; 32]).unwrap());
        number
    }

    pub(crate) fn socket(&mut self, agent: usize, socket: &str) -> CandidateId {
        let (now, node) = (self.now, &mut self.nodes[agent]);
        node.sockets.push(addr(socket));
        let local = LocalAddress::udp(addr(socket));
        let id = node.agent.add_local(now, node.stream, 1, local).unwrap();
        self.drain(agent);
        id
    }

    pub(crate) fn ask(&mut self, agent: usize, server: Server) -> ServerId {
        self.call(agent, |agent, now| agent.add_server(now, server)).unwrap()
    }

    pub(crate) fn gather(&mut self, agent: usize) {
        self.call(agent, IceAgent::gather);
    }

    /// Both agents know of each other, and gather.
    pub(crate) fn start(&mut self) {
        for agent in 0..2 {
            let parameters = self.nodes[1 - agent].agent.local_parameters();
            self.call(agent, |agent, now| agent.set_remote(now, parameters)).unwrap();
        }
        self.gather(0);
        self.gather(1);
    }

    /// The first agent restarts ICE; the servers may be visited before the other one hears of it.
    pub(crate) fn restart(&mut self, meanwhile: impl FnOnce(&mut Self)) {
        let parameters = self.call(0, IceAgent::prepare_restart).unwrap();
        meanwhile(self);
        self.gather(0);
        self.call(1, |agent, now| agent.set_remote(now, parameters)).unwrap();
        let answer = self.nodes[1].agent.local_parameters();
        self.gather(1);
        self.call(0, |agent, now| agent.set_remote(now, answer)).unwrap();
    }

    /// Everybody is honest and within reach from now on.
    pub(crate) fn heal(&mut self) {
        self.dead.clear();
        self.opens = true;
        self.direct = false;
        for server in &mut self.servers {
            *server.behaviour_mut() = TurnBehaviour::default();
            for method in METHODS {
                server.refuse(method, TurnRefusal::new(500), 0);
            }
        }
    }

    pub(crate) fn call<R>(
        &mut self,
        agent: usize,
        call: impl FnOnce(&mut IceAgent, Timestamp) -> R,
    ) -> R {
        let result = call(&mut self.nodes[agent].agent, self.now);
        self.drain(agent);
        result
    }

    pub(crate) fn call_server<R>(
        &mut self,
        server: usize,
        call: impl FnOnce(&mut TurnServer) -> R,
    ) -> R {
        let result = call(&mut self.servers[server]);
        self.drain_server(server);
        result
    }

    /// What decides what an agent will do from now on.
    pub(crate) fn digest(&mut self, agent: usize) -> u64 {
        self.call(agent, IceAgent::handle_timeout);
        self.nodes[agent].agent.state_digest()
    }

    pub(crate) fn agent(&self) -> &IceAgent {
        &self.nodes[0].agent
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    pub(crate) fn run_until(&mut self, end: Timestamp) {
        loop {
            let packet = self.queue.keys().next().map(|(at, _)| *at);
            let agents = self.nodes.iter().filter_map(|node| node.agent.poll_timeout());
            let servers = self.servers.iter().filter_map(TurnServer::poll_timeout);
            let next = packet.into_iter().chain(agents).chain(servers).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(entry) = self.queue.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let packet = entry.remove();
                self.arrive(packet);
            }
            for server in 0..self.servers.len() {
                self.servers[server].handle_timeout(self.now);
                self.drain_server(server);
            }
            for agent in 0..self.nodes.len() {
                self.nodes[agent].agent.handle_timeout(self.now);
                self.drain(agent);
                let at = self.nodes[agent].agent.poll_timeout();
                let reason = self.nodes[agent].agent.timeout_reason();
                assert!(at.is_none_or(|at| at > self.now), "no progress at {at:?}: {reason:?}");
            }
        }
        self.now = self.now.max(end);
    }

    fn push(&mut self, packet: Packet) {
        self.pushed += 1;
        self.queue.insert((self.now + self.delay, self.pushed), packet);
    }

    fn outside(&self, socket: SocketAddr) -> SocketAddr {
        self.mapped.get(&socket).copied().unwrap_or(socket)
    }

    fn server_at(&self, ip: IpAddr) -> Option<usize> {
        self.servers.iter().position(|server| server.ips().contains(&ip))
    }

    fn arrive(&mut self, packet: Packet) {
        match packet {
            Packet::Datagram { from, to, bytes } => {
                if let Some(server) = self.server_at(to.ip()) {
                    if !self.dead.contains(&server) {
                        self.servers[server].handle_datagram(self.now, to, from, &bytes);
                        self.drain_server(server);
                    }
                    return;
                }
                for agent in 0..self.nodes.len() {
                    let mut sockets = self.nodes[agent].sockets.iter();
                    if let Some(socket) = sockets.find(|socket| self.outside(**socket) == to) {
                        let socket = *socket;
                        self.feed(agent, socket, from, &bytes);
                        return;
                    }
                }
            }
            Packet::ToServer { connection, bytes } => {
                let line = self.lines.iter().find(|line| line.number == connection);
                let Some(Line { server, records, .. }) = line.copied() else { return };
                if let Some((local, client)) = records {
                    self.servers[server].handle_datagram(self.now, local, client, &bytes);
                    self.drain_server(server);
                } else if !self.dead.contains(&server) {
                    for piece in bytes.chunks(self.segment.min(bytes.len())) {
                        self.servers[server].handle_stream(self.now, connection, piece);
                    }
                    self.drain_server(server);
                }
            }
            Packet::ToAgent { connection, bytes } => {
                let line = self.lines.iter().find(|line| line.number == connection);
                let Some(Line { agent, id, records, .. }) = line.copied() else { return };
                let whole = records.is_some() || self.segment > bytes.len();
                for piece in bytes.chunks(if whole { bytes.len() } else { self.segment }) {
                    self.feed_stream(agent, id, piece);
                }
            }
        }
    }

    pub(crate) fn feed(&mut self, agent: usize, local: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        self.delivered.push((local, from, bytes.to_vec()));
        let node = &mut self.nodes[agent];
        let received = node.agent.handle_datagram(self.now, Transport::Udp, local, from, bytes);
        if let Received::Data { payload, .. } = received {
            node.received.push(payload.to_vec());
        }
        self.drain(agent);
    }

    pub(crate) fn feed_stream(&mut self, agent: usize, id: ConnectionId, bytes: &[u8]) {
        let mut input = bytes;
        while !input.is_empty() {
            let node = &mut self.nodes[agent];
            if let Received::Data { payload, .. } =
                node.agent.handle_stream(self.now, id, &mut input)
            {
                node.received.push(payload.to_vec());
            }
        }
        self.drain(agent);
    }

    /// Takes everything out of an agent.
    pub(crate) fn drain(&mut self, agent: usize) {
        let mut events = VecDeque::new();
        loop {
            let mut buf = Vec::new();
            let lent = &mut self.nodes[agent].agent;
            if let Some(transmit) = lent.poll_transmit(self.now, &mut buf) {
                let bytes = buf[transmit.range].to_vec();
                self.transmit(agent, transmit.route, bytes);
            } else if let Some(event) = lent.poll_event(self.now) {
                events.push_back(event);
            } else if let Some(event) = events.pop_front() {
                self.nodes[agent].events.push((self.now, event.clone()));
                self.react(agent, event);
            } else {
                break;
            }
        }
    }

    fn transmit(&mut self, agent: usize, route: Route, bytes: Vec<u8>) {
        self.sent.push(Sent { at: self.now, agent, route, bytes: bytes.clone() });
        match route {
            Route::Datagram { local, remote, .. } => {
                assert!(self.nodes[agent].sockets.contains(&local), "{local} is no socket");
                if self.udp && (self.direct || self.server_at(remote.ip()).is_some()) {
                    self.push(Packet::Datagram { from: self.outside(local), to: remote, bytes });
                }
            }
            Route::Stream(id) => {
                let line = self.lines.iter().find(|line| line.agent == agent && line.id == id);
                if let Some(number) = line.map(|line| line.number) {
                    self.push(Packet::ToServer { connection: number, bytes });
                }
            }
        }
    }

    fn react(&mut self, agent: usize, event: Event) {
        let now = self.now;
        let other = (agent == 0 && self.nodes.len() == 2)
            .then_some(1)
            .or_else(|| (agent == 1).then_some(0));
        match event {
            Event::LocalCandidate { candidate, .. } => {
                if let Some(other) = other {
                    let stream = self.nodes[other].stream;
                    let lent = &mut self.nodes[other].agent;
                    let _ = lent.add_remote_candidate(now, stream, &candidate);
                    self.drain(other);
                }
            }
            Event::GatheringState(GatheringState::Complete) => {
                if let Some(other) = other {
                    self.nodes[other].agent.end_of_remote_candidates(now, None);
                    self.drain(other);
                }
            }
            Event::ResolveName { lookup, name } => {
                if let Some(ips) = self.names.get(&name).cloned() {
                    self.nodes[agent].agent.name_resolved(now, lookup, &ips);
                }
            }
            Event::OpenSocket { socket, ip } if self.opens => {
                self.opened += 1;
                let addr = SocketAddr::new(ip, 40_000 + self.opened);
                self.nodes[agent].sockets.push(addr);
                self.nodes[agent].agent.socket_opened(now, socket, addr);
            }
            Event::OpenConnection { connection, local, remote, security } if self.opens => {
                let records = matches!(security, ConnectionSecurity::Dtls { .. });
                self.connect(agent, connection, local, remote, records);
            }
            Event::CloseConnection { connection } => {
                let line = self.lines.iter().position(|l| l.agent == agent && l.id == connection);
                if let Some(line) = line.map(|line| self.lines.remove(line)) {
                    self.servers[line.server].close_connection(now, line.number);
                    self.drain_server(line.server);
                }
            }
            _ => {}
        }
    }

    /// A connection that an agent has asked for is made, or refused by a dead server.
    fn connect(
        &mut self,
        agent: usize,
        id: ConnectionId,
        from: SocketAddr,
        to: SocketAddr,
        records: bool,
    ) {
        self.opened += 1;
        let (number, now) = (u64::from(self.opened), self.now);
        let local = SocketAddr::new(from.ip(), 40_000 + self.opened);
        let server = self.server_at(to.ip()).filter(|server| !self.dead.contains(server));
        let made = server.filter(|&server| {
            records || self.servers[server].open_connection(now, number, to, local).is_ok()
        });
        let records = records.then_some((to, local));
        match made {
            Some(server) => {
                self.lines.push(Line { number, agent, id, server, records });
                self.nodes[agent].agent.connection_opened(now, id);
            }
            None => self.nodes[agent].agent.connection_failed(now, id),
        }
    }

    fn drain_server(&mut self, server: usize) {
        while let Some((route, bytes)) = self.servers[server].poll_transmit() {
            if self.dead.contains(&server) {
                continue;
            }
            match route {
                TurnRoute::Datagram { local, remote, .. } => {
                    let ends = Some((local, remote));
                    let line = self.lines.iter().find(|line| line.records == ends);
                    if let Some(connection) = line.map(|line| line.number) {
                        self.push(Packet::ToAgent { connection, bytes });
                        continue;
                    }
                    self.push(Packet::Datagram { from: local, to: remote, bytes });
                }
                TurnRoute::Stream(connection) => self.push(Packet::ToAgent { connection, bytes }),
            }
        }
        while let Some(number) = self.servers[server].poll_closed() {
            let line = self.lines.iter().position(|line| line.number == number);
            if let Some(Line { agent, id, .. }) = line.map(|line| self.lines.remove(line)) {
                let now = self.now;
                self.call(agent, |agent, _| agent.connection_closed(now, id));
            }
        }
    }

    pub(crate) fn send(&mut self, agent: usize, payload: &[u8]) -> Result<(), SendError> {
        let (now, stream) = (self.now, self.nodes[agent].stream);
        let outgoing = self.nodes[agent].agent.send(now, stream, 1, payload)?;
        let bytes = [outgoing.head(), outgoing.payload(), outgoing.padding()].concat();
        let route = outgoing.route;
        self.transmit(agent, route, bytes);
        self.drain(agent);
        Ok(())
    }

    /// Whether data gets from each agent to the other now.
    pub(crate) fn flows(&mut self) -> bool {
        (0..2).all(|agent| {
            let before = self.nodes[1 - agent].received.len();
            if self.send(agent, b"some data").is_err() {
                return false;
            }
            self.run_for(self.delay * 3);
            self.nodes[1 - agent].received[before..].iter().any(|data| data == b"some data")
        })
    }

    pub(crate) fn assert_flows(&mut self) {
        let states = self.states();
        assert!(self.flows(), "{states:?}: {:#?}", self.nodes[0].events);
    }

    pub(crate) fn states(&self) -> Vec<ConnectionState> {
        self.nodes.iter().map(|node| node.agent.state()).collect()
    }

    pub(crate) fn candidates(&self, agent: usize, kind: CandidateKind) -> Vec<SocketAddr> {
        let locals = self.nodes[agent].agent.local_candidates();
        locals.filter(|local| local.kind == kind).map(|local| local.addr).collect()
    }

    pub(crate) fn reflexive(&self) -> Vec<SocketAddr> {
        self.candidates(0, CandidateKind::ServerReflexive)
    }

    pub(crate) fn relays(&self, agent: usize) -> Vec<SocketAddr> {
        self.candidates(agent, CandidateKind::Relayed)
    }

    /// What agents have asked servers, be it for the first time or again.
    pub(crate) fn asked(&self, method: u16) -> Vec<&Sent> {
        let to_server = |sent: &&Sent| {
            sent.to().is_none_or(|to| self.server_at(to.ip()).is_some() && to.port() == 3478)
        };
        let of = |sent: &&Sent| sent.request() == Some(method);
        self.sent.iter().filter(to_server).filter(of).collect()
    }

    /// The first transmissions of transactions, in order.
    pub(crate) fn transactions(&self) -> Vec<&Sent> {
        let mut seen = BTreeSet::new();
        let requests = self.sent.iter().filter(|sent| sent.request().is_some());
        requests.filter(|sent| seen.insert(sent.id())).collect()
    }

    /// The codes of the errors that an agent was told of.
    pub(crate) fn errors(&self, agent: usize) -> Vec<u16> {
        let code = |(_, event): &(Timestamp, Event)| match event {
            Event::CandidateError { code, .. } => Some(*code),
            _ => None,
        };
        self.nodes[agent].events.iter().filter_map(code).collect()
    }

    pub(crate) fn has_told(&self, agent: usize, which: impl Fn(&Event) -> bool) -> bool {
        self.nodes[agent].events.iter().any(|(_, event)| which(event))
    }

    pub(crate) fn lost(&self, agent: usize) -> usize {
        let lost = |event: &Event| matches!(event, Event::AllocationLost { .. });
        self.nodes[agent].events.iter().filter(|(_, event)| lost(event)).count()
    }

    pub(crate) fn complete_at(&self, agent: usize) -> Option<Timestamp> {
        let complete = Event::GatheringState(GatheringState::Complete);
        self.nodes[agent].events.iter().find(|(_, event)| *event == complete).map(|(at, _)| *at)
    }

    pub(crate) fn allocations(&self, server: usize) -> usize {
        self.servers[server].allocations().count()
    }
}
