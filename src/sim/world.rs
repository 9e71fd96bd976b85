//! The world: agents on the hosts of a network, their sockets, their signalling, and one driver
//! for all of them.

use core::fmt::Write as _;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::datagram::{Arrival, Datagram, DatagramId, Fate};
use super::error::{AddSocketError, WorldError};
use super::hash::Fnv;
use super::host::HostId;
use super::log::{LogDetail, LogEntry, Logged};
use super::network::Network;
use super::node::{AgentIndex, Node};
use super::report::{Problem, Report};
use super::server::{ServerIndex, ServerNode};
use super::signal::{Channel, Signal};
use super::sockets::{Socket, Sockets};
use super::stats::{WorldStats, increment};
use super::streams::Streams;
use crate::agent::io::{Event, GatheringState, LocalAddress, Received, Route};
use crate::agent::{IceAgent, IcmpError, RestartError, SendError, TransmitError};
use crate::candidate::{CandidateTransport, TcpType, Transport};
use crate::config::{AgentConfig, ConfigError, Signalling};
use crate::id::{CandidateId, SocketId, StreamId};
use crate::time::Timestamp;

/// How many transmits and events one input may bring forth.
const MAX_OUTPUTS: u32 = 100_000;

/// RFC 6335 §6: where ports begin that nobody has asked for by number.
pub(super) const FIRST_PORT: u16 = 49_152;

/// How many inputs one agent may get at one instant, unless a test says otherwise.
const INPUTS_PER_INSTANT: u32 = 100_000;

/// Agents on a [`Network`] that are driven as their contract says.
///
/// After every input an agent is drained: transmits until there is none, one event, and again,
/// until there is neither. [`start`](Self::start) and the events do the signalling: parameters
/// first, then candidates and their end as they come, or one description when the configuration
/// says [`Signalling::Complete`].
///
/// What an agent does against the contract ends the run with a [`WorldError`].
#[derive(Clone, Debug)]
pub struct World {
    pub(super) now: Timestamp,
    pub(super) seeds: ChaCha8Rng,
    pub(super) network: Network,
    pub(super) nodes: Vec<Node>,
    pub(super) servers: Vec<ServerNode>,
    /// When servers have something to do.
    pub(super) chores: BTreeSet<(Timestamp, ServerIndex)>,
    sockets: Sockets,
    pub(super) streams: Streams,
    pub(super) channel: Channel,
    pub(super) deadlines: BTreeSet<(Timestamp, AgentIndex)>,
    touched: Vec<AgentIndex>,
    inputs_per_instant: u32,
    detail: LogDetail,
    hash: Fnv,
    pub(super) stats: WorldStats,
    /// What transmits are rendered to.
    buf: Vec<u8>,
}

impl World {
    /// An empty world at time zero. The network and every agent get a seed of their own out of
    /// this one, so that one agent more does not change the luck of the others' datagrams.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let mut seeds = ChaCha8Rng::from_seed(seed);
        Self {
            now: Timestamp::ZERO,
            network: Network::new(draw(&mut seeds)),
            seeds,
            nodes: Vec::new(),
            servers: Vec::new(),
            chores: BTreeSet::new(),
            sockets: Sockets::default(),
            streams: Streams::default(),
            channel: Channel::default(),
            deadlines: BTreeSet::new(),
            touched: Vec::new(),
            inputs_per_instant: INPUTS_PER_INSTANT,
            detail: LogDetail::default(),
            hash: Fnv::default(),
            stats: WorldStats::default(),
            buf: Vec::new(),
        }
    }

    /// Adds an agent on a host of its own in the internet, with a seed from the world's.
    ///
    /// # Errors
    /// The configuration makes no agent.
    pub fn add_agent(&mut self, config: AgentConfig) -> Result<AgentIndex, ConfigError> {
        let seed = draw(&mut self.seeds);
        self.add_agent_seeded(config, seed)
    }

    /// Adds an agent on a host of its own in the internet, with this seed.
    ///
    /// # Errors
    /// The configuration makes no agent.
    pub fn add_agent_seeded(
        &mut self,
        config: AgentConfig,
        seed: [u8; 32],
    ) -> Result<AgentIndex, ConfigError> {
        let signalling = config.signalling;
        let agent = IceAgent::new(config, seed)?;
        let host = self.network.add_host();
        Ok(self.place(agent, host, signalling))
    }

    /// Adds an agent on this host, behind whatever gateway, with a seed from the world's. Several
    /// agents may share a host. On a host of another network an agent gets no socket.
    ///
    /// # Errors
    /// The configuration makes no agent.
    pub fn add_agent_on(
        &mut self,
        host: HostId,
        config: AgentConfig,
    ) -> Result<AgentIndex, ConfigError> {
        let signalling = config.signalling;
        let agent = IceAgent::new(config, draw(&mut self.seeds))?;
        Ok(self.place(agent, host, signalling))
    }

    /// Opens a UDP socket for the first component of the agent's first stream, and tells the
    /// agent of it. The agent's host gets the address if it does not have it.
    ///
    /// # Errors
    /// The host cannot have the address, or the agent refuses it.
    pub fn add_socket(
        &mut self,
        agent: AgentIndex,
        addr: SocketAddr,
    ) -> Result<CandidateId, AddSocketError> {
        let node = self.nodes.get(agent.0).ok_or(AddSocketError::UnknownAgent)?;
        let stream = node.agent.streams().next().ok_or(AddSocketError::NoStream)?;
        self.add_local(agent, stream, 1, LocalAddress::udp(addr))
    }

    /// Opens a socket for any component of any stream, and tells the agent of it. The agent's
    /// host gets the address if it does not have it. For a passive TCP candidate it listens there.
    ///
    /// # Errors
    /// The host cannot have the address, or the agent refuses it.
    pub fn add_local(
        &mut self,
        agent: AgentIndex,
        stream: StreamId,
        component: u16,
        local: LocalAddress,
    ) -> Result<CandidateId, AddSocketError> {
        let now = self.now;
        let (addr, transport) = (local.addr, local.transport);
        let host = self.nodes.get(agent.0).ok_or(AddSocketError::UnknownAgent)?.host;
        self.network.add_address(host, addr.ip())?;
        let lent = self.agent_mut(agent).ok_or(AddSocketError::UnknownAgent)?;
        let id = lent.add_local(now, stream, component, local)?;
        match transport {
            CandidateTransport::Udp => self.sockets.open(host, addr, agent),
            CandidateTransport::Tcp(TcpType::Passive) => self.listen(agent, host, addr),
            CandidateTransport::Tcp(_) => {}
        }
        Ok(id)
    }

    /// Closes a socket without a word to the agent. Its host keeps the address. Returns whether
    /// it was open.
    pub fn close_socket(&mut self, agent: AgentIndex, addr: SocketAddr) -> bool {
        let host = self.nodes.get(agent.0).map(|node| node.host);
        host.is_some_and(|host| self.sockets.close(host, addr))
    }

    /// Moves the first socket of an agent to another address of its host, which gets it if it does
    /// not have it, and tells the agent. The old address stays with the host.
    ///
    /// # Errors
    /// The host cannot have the address, or the agent refuses it.
    pub fn rebind(
        &mut self,
        agent: AgentIndex,
        addr: SocketAddr,
    ) -> Result<CandidateId, AddSocketError> {
        let node = self.nodes.get(agent.0).ok_or(AddSocketError::UnknownAgent)?;
        let first = node.agent.local_candidates().find(|local| local.addr == local.base);
        self.rebind_local(agent, first.ok_or(AddSocketError::NoSocket)?.id, addr)
    }

    /// The same of the socket of any host candidate, or of where it accepts or opens connections.
    pub(super) fn rebind_local(
        &mut self,
        agent: AgentIndex,
        id: CandidateId,
        addr: SocketAddr,
    ) -> Result<CandidateId, AddSocketError> {
        let now = self.now;
        let node = self.nodes.get(agent.0).ok_or(AddSocketError::UnknownAgent)?;
        let old = node.agent.local_candidates().find(|local| local.id == id);
        let (host, old) = (node.host, old.ok_or(AddSocketError::NoSocket)?);
        self.network.add_address(host, addr.ip())?;
        let lent = self.agent_mut(agent).ok_or(AddSocketError::UnknownAgent)?;
        let id = lent.rebind_local(now, id, addr)?;
        match (old.transport, old.tcp_type) {
            (Transport::Udp, _) => {
                self.sockets.close(host, old.addr);
                self.sockets.open(host, addr, agent);
            }
            (Transport::Tcp, Some(TcpType::Passive)) => {
                self.network.tcp_unlisten(host, old.addr);
                self.streams.listeners.close(host, old.addr);
                self.listen(agent, host, addr);
            }
            (Transport::Tcp, _) => {}
        }
        Ok(id)
    }

    /// Wires the signalling of two agents to each other. What each has to say goes to this peer
    /// from now on.
    ///
    /// # Errors
    /// [`WorldError::UnknownAgent`].
    pub fn connect(&mut self, one: AgentIndex, other: AgentIndex) -> Result<(), WorldError> {
        self.node(other)?;
        for (from, to) in [(one, other), (other, one)] {
            let node = self.nodes.get_mut(from.0).ok_or(WorldError::UnknownAgent(from))?;
            node.outbox.peer = Some(to);
            node.outbox.flush(self.now, &mut self.channel);
        }
        Ok(())
    }

    /// Sets how long everything takes that this agent signals, from now on. Signals never
    /// overtake each other.
    ///
    /// # Errors
    /// [`WorldError::UnknownAgent`].
    pub fn set_signalling_delay(
        &mut self,
        from: AgentIndex,
        delay: Duration,
    ) -> Result<(), WorldError> {
        self.node_mut(from)?.outbox.delay = delay;
        Ok(())
    }

    /// Lets an agent signal and gather. With trickle signalling its parameters go first; with
    /// complete signalling everything goes as soon as gathering is complete.
    ///
    /// # Errors
    /// The agent is unknown or breaks its contract.
    pub fn start(&mut self, agent: AgentIndex) -> Result<(), WorldError> {
        let now = self.now;
        let node = self.nodes.get_mut(agent.0).ok_or(WorldError::UnknownAgent(agent))?;
        if !core::mem::replace(&mut node.outbox.started, true)
            && node.signalling == Signalling::Trickle
        {
            node.outbox.hold_first(Signal::Parameters(node.agent.local_parameters()));
        }
        node.outbox.flush(now, &mut self.channel);
        self.call(agent, IceAgent::gather)
    }

    /// Lets an agent restart: stages new credentials, signals them, and gathers again. Its peer
    /// answers by itself.
    ///
    /// # Errors
    /// The agent is unknown or breaks its contract. Within the answer: it has nothing to restart.
    pub fn restart(&mut self, agent: AgentIndex) -> Result<Result<(), RestartError>, WorldError> {
        let now = self.now;
        let node = self.input(agent)?;
        if let Err(error) = node.agent.prepare_restart(now) {
            return Ok(Err(error));
        }
        if node.signalling == Signalling::Trickle {
            node.outbox.hold(Signal::Parameters(node.agent.local_parameters()));
        }
        let node = self.nodes.get_mut(agent.0).ok_or(WorldError::UnknownAgent(agent))?;
        node.outbox.flush(now, &mut self.channel);
        self.call(agent, IceAgent::gather).map(Ok)
    }

    /// Signals something to an agent, at `at` or now if that is past, whoever might have said it.
    pub fn signal(&mut self, at: Timestamp, to: AgentIndex, signal: Signal) {
        self.channel.send(at.max(self.now), to, signal);
    }

    /// Sends application data.
    ///
    /// # Errors
    /// The agent's own; for an agent of another world that there is no such component.
    pub fn send(
        &mut self,
        agent: AgentIndex,
        stream: StreamId,
        component: u16,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let now = self.now;
        let lent = self.agent_mut(agent).ok_or(SendError::UnknownComponent)?;
        let outgoing = lent.send(now, stream, component, payload)?;
        let bytes = [outgoing.head(), outgoing.payload(), outgoing.padding()].concat();
        self.transmit(agent, outgoing.route, outgoing.dscp, &bytes);
        Ok(())
    }

    /// Lets a datagram arrive in the internet now, from whatever address, past all links and rules;
    /// into a realm behind a gateway it has to get as any other. It is the last of those that are
    /// due now.
    pub fn inject(&mut self, datagram: Datagram) -> DatagramId {
        self.network.inject(self.now, datagram)
    }

    /// Calls an agent, and drains it.
    ///
    /// # Errors
    /// The agent is unknown or breaks its contract.
    pub fn call<R>(
        &mut self,
        agent: AgentIndex,
        call: impl FnOnce(&mut IceAgent, Timestamp) -> R,
    ) -> Result<R, WorldError> {
        let now = self.now;
        let answer = call(&mut self.input(agent)?.agent, now);
        self.drain(agent)?;
        Ok(answer)
    }

    /// An agent, to be called. It is drained before the next step.
    pub fn agent_mut(&mut self, agent: AgentIndex) -> Option<&mut IceAgent> {
        let node = self.nodes.get_mut(agent.0)?;
        if !core::mem::replace(&mut node.touched, true) {
            self.touched.push(agent);
        }
        Some(&mut node.agent)
    }

    /// The network, to change its links and rules, or what is on its way.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Sets how much the logs of all agents hold, from now on.
    pub fn set_log_detail(&mut self, detail: LogDetail) {
        self.detail = detail;
        for node in &mut self.nodes {
            node.set_detail(detail);
        }
    }

    /// Sets how many inputs an agent may get at one instant before the run ends with
    /// [`WorldError::Endless`]; 100,000 unless set.
    pub fn set_inputs_per_instant(&mut self, inputs: u32) {
        self.inputs_per_instant = inputs;
    }

    /// Takes an agent's log and leaves an empty one.
    pub fn take_log(&mut self, agent: AgentIndex) -> Vec<LogEntry> {
        self.nodes.get_mut(agent.0).map(Node::take_entries).unwrap_or_default()
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, agent: AgentIndex) -> Option<&IceAgent> {
        self.nodes.get(agent.0).map(|node| &node.agent)
    }

    /// All agents, in the order in which they were added.
    pub fn agents(&self) -> impl ExactSizeIterator<Item = (AgentIndex, &IceAgent)> {
        self.nodes.iter().enumerate().map(|(index, node)| (AgentIndex(index), &node.agent))
    }

    /// The host of an agent.
    #[must_use]
    pub fn host(&self, agent: AgentIndex) -> Option<HostId> {
        self.nodes.get(agent.0).map(|node| node.host)
    }

    /// What an agent did and met; empty for an agent of another world.
    #[must_use]
    pub fn log(&self, agent: AgentIndex) -> &[LogEntry] {
        self.nodes.get(agent.0).map(Node::entries).unwrap_or_default()
    }

    /// The events in an agent's log.
    pub fn events(&self, agent: AgentIndex) -> impl Iterator<Item = (Timestamp, &Event)> {
        self.log(agent).iter().filter_map(|entry| match &entry.what {
            Logged::Event(event) => Some((entry.at, &**event)),
            _ => None,
        })
    }

    /// The application data in an agent's log.
    pub fn received(&self, agent: AgentIndex) -> impl Iterator<Item = &[u8]> {
        self.log(agent).iter().filter_map(|entry| match &entry.what {
            Logged::Data { payload, .. } => Some(payload.as_slice()),
            _ => None,
        })
    }

    /// A hash of everything that the agents have put out so far, each with its time: transmits,
    /// events, received data and deadlines. Equal for equal runs, on every platform.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// What the world has counted.
    #[must_use]
    pub const fn stats(&self) -> &WorldStats {
        &self.stats
    }

    /// Brings all clocks forward, never back.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        self.network.advance(self.now);
    }

    /// Drains the agents that were lent out.
    pub(super) fn settle(&mut self) -> Result<(), WorldError> {
        while let Some(agent) = self.touched.pop() {
            if self.node(agent)?.touched {
                self.input(agent)?;
                self.drain(agent)?;
            }
        }
        Ok(())
    }

    /// The next signal arrives.
    pub(super) fn receive_signal(&mut self) -> Result<(), WorldError> {
        let now = self.now;
        let Some((to, signal)) = self.channel.receive() else { return Ok(()) };
        let node = self.input(to)?;
        for error in signal.apply(&mut node.agent, now) {
            increment(&mut self.stats.refused_signals);
            self.node_mut(to)?.log(now, |_| Logged::SignalRefused(error));
        }
        self.drain(to)
    }

    /// A datagram arrives at a host.
    pub(super) fn receive_datagram(&mut self, arrival: Arrival) -> Result<(), WorldError> {
        let now = self.now;
        let Some(arrival) = self.receive_at_server(arrival) else { return Ok(()) };
        let Some(socket) = self.sockets.at(arrival.host, arrival.datagram.to) else {
            increment(&mut self.stats.unclaimed);
            self.network.refuse(&arrival);
            return Ok(());
        };
        let Datagram { transport, from, payload, .. } = arrival.datagram;
        let Socket { agent, addr: local } = socket;
        let remote = socket.sees(from);
        let node = self.input(agent)?;
        let received = node.agent.handle_datagram(now, transport, local, remote, &payload);
        let len = payload.len();
        match received {
            Received::Consumed => node.log(now, |_| Logged::Consumed { local, remote, len }),
            Received::Data { stream, component, pair, payload } => {
                node.log(now, |_| {
                    let payload = payload.to_vec();
                    Logged::Data { stream, component, pair, payload }
                });
                self.put_out_data(agent, stream, component, payload);
            }
            Received::Ignored(reason) => {
                node.log(now, |_| Logged::Ignored { local, remote, len, reason });
            }
        }
        self.drain(agent)
    }

    /// A report arrives at the host that has sent the datagram.
    pub(super) fn receive_report(&mut self) -> Result<(), WorldError> {
        let now = self.now;
        let Some(report) = self.network.receive_report(now) else { return Ok(()) };
        let Report { host, transport, from: local, to: remote, problem, quoted, .. } = report;
        let Some(Socket { agent, .. }) = self.sockets.at(host, local) else { return Ok(()) };
        let node = self.input(agent)?;
        node.log(now, |_| Logged::Undelivered { local, remote, problem });
        match problem {
            Problem::HostUnreachable | Problem::PortUnreachable => {
                node.agent.handle_icmp(now, transport, local, remote, IcmpError::Hard, &quoted);
            }
            // A system tells the sender so at its next datagram of that size.
            Problem::TooLarge { .. } => {
                let route = Route::Datagram { transport, local, remote };
                node.agent.transmit_failed(now, route, TransmitError::TooLarge);
            }
        }
        self.drain(agent)
    }

    /// The deadline of an agent has come.
    pub(super) fn time_out(&mut self, agent: AgentIndex) -> Result<(), WorldError> {
        let at = self.now;
        let repeats = self.node(agent)?.repeats;
        let node = self.input(agent)?;
        let reason = node.agent.timeout_reason();
        node.log(at, |_| Logged::Timeout(reason));
        node.agent.handle_timeout(at);
        let events = self.drain_events(agent)?;
        self.node_mut(agent)?.rest(at, events, repeats).map_err(|deadline| WorldError::Spin {
            agent,
            at,
            deadline,
        })
    }

    fn place(&mut self, agent: IceAgent, host: HostId, signalling: Signalling) -> AgentIndex {
        let index = AgentIndex(self.nodes.len());
        self.nodes.push(Node::new(agent, host, signalling, self.detail));
        index
    }

    pub(super) fn node(&self, agent: AgentIndex) -> Result<&Node, WorldError> {
        self.nodes.get(agent.0).ok_or(WorldError::UnknownAgent(agent))
    }

    pub(super) fn node_mut(&mut self, agent: AgentIndex) -> Result<&mut Node, WorldError> {
        self.nodes.get_mut(agent.0).ok_or(WorldError::UnknownAgent(agent))
    }

    /// The agent that is about to get an input.
    pub(super) fn input(&mut self, agent: AgentIndex) -> Result<&mut Node, WorldError> {
        let (at, limit) = (self.now, self.inputs_per_instant);
        let node = self.node_mut(agent)?;
        node.repeats = 0;
        if node.count_input(at) > limit {
            return Err(WorldError::Endless { agent, at });
        }
        Ok(node)
    }

    pub(super) fn drain(&mut self, agent: AgentIndex) -> Result<(), WorldError> {
        self.drain_events(agent).map(drop)
    }

    /// Drains an agent, and says how many events there were.
    fn drain_events(&mut self, agent: AgentIndex) -> Result<u32, WorldError> {
        let mut buf = core::mem::take(&mut self.buf);
        let events = self.drain_into(agent, &mut buf);
        self.buf = buf;
        let events = events?;
        self.reschedule(agent)?;
        Ok(events)
    }

    fn drain_into(&mut self, agent: AgentIndex, buf: &mut Vec<u8>) -> Result<u32, WorldError> {
        let at = self.now;
        let mut events: u32 = 0;
        for _ in 0..MAX_OUTPUTS {
            buf.clear();
            let node = self.node_mut(agent)?;
            if let Some(transmit) = node.agent.poll_transmit(at, buf) {
                let bytes = buf.get(transmit.range);
                let bytes = bytes.ok_or(WorldError::TransmitRange { agent, at })?;
                self.transmit(agent, transmit.route, transmit.dscp, bytes);
            } else if let Some(event) = node.agent.poll_event(at) {
                events = events.saturating_add(1);
                self.take_event(agent, event)?;
            } else {
                node.touched = false;
                return Ok(events);
            }
        }
        Err(WorldError::Endless { agent, at })
    }

    /// Files an agent under its new deadline.
    fn reschedule(&mut self, agent: AgentIndex) -> Result<(), WorldError> {
        let node = self.nodes.get_mut(agent.0).ok_or(WorldError::UnknownAgent(agent))?;
        let new = node.agent.poll_timeout();
        let old = core::mem::replace(&mut node.deadline, new);
        if old != new {
            if let Some(old) = old {
                self.deadlines.remove(&(old, agent));
            }
            if let Some(new) = new {
                self.deadlines.insert((new, agent));
            }
            self.put_out(agent, b't');
            self.hash.number(new.map_or(u64::MAX, Timestamp::as_nanos));
        }
        Ok(())
    }

    /// Signals what an event has for the peer, and writes it down.
    fn take_event(&mut self, agent: AgentIndex, event: Event) -> Result<(), WorldError> {
        self.put_out(agent, b'e');
        // Formatting into a hash does not fail.
        let _ = write!(self.hash, "{event:?}");
        let now = self.now;
        let node = self.nodes.get_mut(agent.0).ok_or(WorldError::UnknownAgent(agent))?;
        let signal = match (node.signalling, &event) {
            (Signalling::Trickle, Event::RemoteRestart { .. }) => {
                Some(Signal::Parameters(node.agent.local_parameters()))
            }
            (Signalling::Trickle, Event::LocalCandidate { stream, candidate, .. }) => {
                Some(Signal::candidate(&node.agent, *stream, candidate))
            }
            (Signalling::Trickle, Event::GatheringState(GatheringState::Complete)) => {
                let ufrag = node.agent.local_parameters().credentials.ufrag().to_owned();
                Some(Signal::EndOfCandidates { ufrag: Some(ufrag) })
            }
            (Signalling::Complete, Event::GatheringState(GatheringState::Complete)) => {
                let description = node.agent.take_description(now);
                Some(Signal::description(&node.agent, description))
            }
            _ => None,
        };
        if let Some(signal) = signal {
            node.outbox.hold(signal);
            node.outbox.flush(now, &mut self.channel);
        }
        match &event {
            Event::RemoteRestart { .. } => node.agent.gather(now),
            Event::OpenSocket { socket, ip } => self.open_socket(agent, *socket, *ip)?,
            Event::OpenConnection { connection, local, remote, security } => {
                self.open_stream(agent, *connection, (*local, *remote), security)?;
            }
            Event::CloseConnection { connection } => self.close_stream(agent, *connection),
            _ => {}
        }
        self.node_mut(agent)?.log(now, |_| Logged::Event(Box::new(event)));
        Ok(())
    }

    /// Opens a socket that an agent asks for.
    fn open_socket(
        &mut self,
        agent: AgentIndex,
        socket: SocketId,
        ip: IpAddr,
    ) -> Result<(), WorldError> {
        let now = self.now;
        let host = self.node(agent)?.host;
        let mut ports = (FIRST_PORT..=u16::MAX).map(|port| SocketAddr::new(ip, port));
        let free = ports.find(|addr| !self.sockets.is_open(host, *addr));
        let node = self.nodes.get_mut(agent.0).ok_or(WorldError::UnknownAgent(agent))?;
        match free {
            Some(addr) => {
                self.sockets.open(host, addr, agent);
                node.agent.socket_opened(now, socket, addr);
            }
            None => node.agent.socket_failed(now, socket),
        }
        Ok(())
    }

    fn transmit(&mut self, agent: AgentIndex, route: Route, dscp: u8, bytes: &[u8]) {
        self.put_out(agent, b'x');
        self.hash.number(u64::from(dscp));
        match route {
            Route::Datagram { local, remote, .. } => {
                self.hash.addr(local);
                self.hash.addr(remote);
            }
            Route::Stream(connection) => self.hash.number(connection.get()),
        }
        self.hash.bytes(bytes);
        let now = self.now;
        let Some(node) = self.nodes.get_mut(agent.0) else { return };
        let len = bytes.len();
        node.log(now, |detail| Logged::Transmit { route, dscp, len, bytes: detail.excerpt(bytes) });
        match route {
            Route::Datagram { transport, local, remote }
                if self.sockets.is_open(node.host, local) =>
            {
                let (from, to, payload) = (local, remote, bytes.to_vec());
                let datagram = Datagram { transport, from, to, dscp, payload };
                let fate = self.network.send_from(now, node.host, datagram);
                if matches!(fate, Fate::Unreachable(_)) && self.network.reporting().unreachable {
                    node.agent.transmit_failed(now, route, TransmitError::Unreachable);
                }
            }
            Route::Datagram { .. } => increment(&mut self.stats.unsent),
            Route::Stream(connection) => self.write_stream(agent, connection, bytes),
        }
    }

    pub(super) fn put_out_data(
        &mut self,
        agent: AgentIndex,
        stream: StreamId,
        component: u16,
        payload: &[u8],
    ) {
        self.put_out(agent, b'd');
        self.hash.number(u64::from(stream.get()));
        self.hash.number(u64::from(component));
        self.hash.bytes(payload);
    }

    /// Begins the hash of one output.
    fn put_out(&mut self, agent: AgentIndex, kind: u8) {
        self.hash.bytes(&[kind]);
        self.hash.number(u64::try_from(agent.0).unwrap_or(u64::MAX));
        self.hash.number(self.now.as_nanos());
    }
}

pub(super) fn draw(rng: &mut ChaCha8Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}
