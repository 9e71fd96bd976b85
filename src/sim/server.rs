//! The servers of a world, and what its agents obtain from them.

use core::net::SocketAddr;

use super::client::{Client, Obtain, Obtained, Outcome, Place};
use super::datagram::{Arrival, Datagram};
use super::error::{AddServerError, ObtainError, WorldError};
use super::host::HostId;
use super::node::AgentIndex;
use super::oracle::{Outlook, Party};
use super::stats::increment;
use super::turn_server::{TurnRoute, TurnServer, TurnServerConfig};
use super::world::{World, draw};
use crate::agent::IceAgent;
use crate::agent::io::LocalAddress;
use crate::candidate::{CandidateKind, Transport};
use crate::time::Timestamp;

/// A STUN and TURN server of a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerIndex(pub(super) usize);

#[derive(Clone, Debug)]
pub(super) struct ServerNode {
    pub(super) host: HostId,
    server: TurnServer,
    deadline: Option<Timestamp>,
}

/// Who has something to do at some time, beside the agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Chore {
    Server(ServerIndex),
    Client(AgentIndex),
}

impl World {
    /// Adds a STUN and TURN server on a host of its own in the internet, reached over UDP.
    ///
    /// # Errors
    /// There can be no such server, or somebody has one of its addresses.
    pub fn add_server(&mut self, config: TurnServerConfig) -> Result<ServerIndex, AddServerError> {
        let server = TurnServer::new(config, draw(&mut self.seeds))?;
        let host = self.network.add_host();
        for addr in server.ips() {
            self.network.add_address(host, addr)?;
        }
        let index = ServerIndex(self.servers.len());
        self.servers.push(ServerNode { host, server, deadline: None });
        Ok(index)
    }

    /// A server.
    #[must_use]
    pub fn server(&self, server: ServerIndex) -> Option<&TurnServer> {
        self.servers.get(server.0).map(|node| &node.server)
    }

    /// The host of a server.
    #[must_use]
    pub fn server_host(&self, server: ServerIndex) -> Option<HostId> {
        self.servers.get(server.0).map(|node| node.host)
    }

    /// Calls a server, such as to crash it, and sends what it has to say. Nothing for a server of
    /// another world.
    pub fn call_server<R>(
        &mut self,
        server: ServerIndex,
        call: impl FnOnce(&mut TurnServer) -> R,
    ) -> Option<R> {
        let answer = call(&mut self.servers.get_mut(server.0)?.server);
        self.drain_server(server);
        Some(answer)
    }

    /// Lets an agent obtain a candidate from a server for each of its sockets, over these sockets,
    /// and hold it: [`start`](Self::start) and [`restart`](Self::restart) complete gathering when
    /// all servers have answered or been given up. Until the agent does so by itself, a small
    /// client of the world's own does it: the mappings, the allocations and all that is relayed
    /// are real.
    ///
    /// # Errors
    /// The agent or the server is unknown.
    pub fn obtain(
        &mut self,
        agent: AgentIndex,
        server: ServerIndex,
        what: Obtain,
    ) -> Result<(), ObtainError> {
        let node = self.servers.get(server.0).ok_or(ObtainError::UnknownServer)?;
        let listen = node.server.config().listen.clone();
        let seed = draw(&mut self.seeds);
        let now = self.now;
        let node = self.node_mut(agent).map_err(|_| ObtainError::UnknownAgent)?;
        let client = node.client.get_or_insert_with(|| Box::new(Client::new(seed)));
        for local in node.agent.local_candidates() {
            let (stream, component, base) = (local.stream, local.component, local.addr);
            let of_family = |server: &&SocketAddr| server.is_ipv4() == base.is_ipv4();
            let server = listen.iter().find(of_family);
            if let Some(server) = server.filter(|_| local.kind == CandidateKind::Host) {
                client.obtain(now, what, Place { stream, component, base }, *server);
            }
        }
        self.drain_client(agent);
        Ok(())
    }

    /// What the oracle says of two agents as the network is set up now, the first one's view.
    /// Nothing for an agent of another world.
    #[must_use]
    pub fn outlook(&self, one: AgentIndex, other: AgentIndex) -> Option<Outlook> {
        let (one, other) = (self.party(one)?, self.party(other)?);
        Some(Outlook::new(&self.network, [&one, &other]))
    }

    /// Where an agent is and what it signals, for the oracle.
    #[must_use]
    pub fn party(&self, agent: AgentIndex) -> Option<Party> {
        let agent = self.node(agent).ok()?;
        let locals = agent.agent.local_candidates();
        let hosts = locals.filter(|local| local.kind == CandidateKind::Host);
        let mut party = Party::new(agent.host, hosts.map(|local| local.addr));
        for (what, server) in agent.client.iter().flat_map(|client| client.servers()) {
            let servers = match what {
                Obtain::Reflexive => &mut party.stun,
                Obtain::Relayed => &mut party.turn,
            };
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        Some(party)
    }

    /// A datagram arrives at a host. If that is a server's, the server gets it.
    pub(super) fn receive_at_server(&mut self, arrival: Arrival) -> Option<Arrival> {
        let now = self.now;
        let index = self.servers.iter().position(|node| node.host == arrival.host);
        let Some((index, node)) = index.and_then(|at| Some((at, self.servers.get_mut(at)?))) else {
            return Some(arrival);
        };
        let Datagram { from, to, payload, .. } = &arrival.datagram;
        let is_open = node.server.is_open(*to);
        node.server.handle_datagram(now, *to, *from, payload);
        if !is_open {
            increment(&mut self.stats.unclaimed);
            self.network.refuse(&arrival);
        }
        self.drain_server(ServerIndex(index));
        None
    }

    /// A datagram arrives at a socket of an agent. If it comes from a server that the agent has
    /// asked, it is dealt with; what was relayed is given back as it arrived at the server.
    pub(super) fn receive_at_client(
        &mut self,
        agent: AgentIndex,
        local: SocketAddr,
        remote: SocketAddr,
        payload: Vec<u8>,
    ) -> Result<Option<(SocketAddr, SocketAddr, Vec<u8>)>, WorldError> {
        let now = self.now;
        let Some(client) = &mut self.node_mut(agent)?.client else {
            return Ok(Some((local, remote, payload)));
        };
        match client.receive(now, local, remote, &payload) {
            Outcome::NotOurs => return Ok(Some((local, remote, payload))),
            Outcome::Data { local, peer, payload } => return Ok(Some((local, peer, payload))),
            Outcome::Obtained(obtained) => self.add_obtained(agent, obtained)?,
            Outcome::Done => {}
        }
        self.drain_client(agent);
        self.gather_when_ready(agent)?;
        Ok(None)
    }

    /// Whether an agent sends from a relayed address: it goes to the server.
    pub(super) fn transmit_relayed(
        &mut self,
        agent: AgentIndex,
        local: SocketAddr,
        remote: SocketAddr,
        payload: &[u8],
    ) -> bool {
        let now = self.now;
        let Ok(node) = self.node_mut(agent) else { return false };
        let client = node.client.as_mut();
        let relayed = client.is_some_and(|client| client.relay(now, local, remote, payload));
        if relayed {
            self.drain_client(agent);
        }
        relayed
    }

    /// The peer of an agent has restarted: the agent, which is being drained, gathers anew.
    pub(super) fn gather_anew(&mut self, agent: AgentIndex) {
        let now = self.now;
        let Ok(node) = self.node_mut(agent) else { return };
        match node.client.as_mut().filter(|client| client.servers().next().is_some()) {
            Some(client) => {
                client.look_all_again(now);
                node.gathers = true;
                self.drain_client(agent);
            }
            None => node.agent.gather(now),
        }
    }

    /// Completes gathering, now or when all servers have answered that are asked anew.
    pub(super) fn gather_again(&mut self, agent: AgentIndex) -> Result<(), WorldError> {
        let now = self.now;
        if let Some(client) = &mut self.node_mut(agent)?.client {
            client.look_all_again(now);
        }
        self.drain_client(agent);
        self.gather(agent)
    }

    /// Completes gathering, now or when all servers have answered.
    pub(super) fn gather(&mut self, agent: AgentIndex) -> Result<(), WorldError> {
        self.node_mut(agent)?.gathers = true;
        self.gather_when_ready(agent)
    }

    pub(super) fn rebase_client(&mut self, agent: AgentIndex, old: SocketAddr, new: SocketAddr) {
        let now = self.now;
        let Ok(node) = self.node_mut(agent) else { return };
        if let Some(client) = &mut node.client {
            client.rebase(now, old, new);
            self.drain_client(agent);
        }
    }

    pub(super) fn perform_chore(&mut self, chore: Chore) -> Result<(), WorldError> {
        let now = self.now;
        match chore {
            Chore::Server(server) => {
                if let Some(node) = self.servers.get_mut(server.0) {
                    node.server.handle_timeout(now);
                }
                self.drain_server(server);
                Ok(())
            }
            Chore::Client(agent) => {
                if let Some(client) = &mut self.node_mut(agent)?.client {
                    client.time_out(now);
                }
                self.drain_client(agent);
                self.gather_when_ready(agent)
            }
        }
    }

    fn add_obtained(&mut self, agent: AgentIndex, obtained: Obtained) -> Result<(), WorldError> {
        let Obtained { place, server, addr, mapped, instead_of, .. } = obtained;
        let local = match obtained.what {
            Obtain::Reflexive => LocalAddress::reflexive(addr, place.base, server),
            Obtain::Relayed => LocalAddress::relayed(addr, mapped, server),
        };
        let added = self.call(agent, |agent, now| {
            if let Some(old) = instead_of {
                // It may be gone already, with its base.
                let _ = agent.remove_local(now, old);
            }
            // A duplicate of another candidate is none (RFC 8445 §5.1.3).
            agent.add_local(now, place.stream, place.component, local).ok()
        })?;
        if let Some(client) = &mut self.node_mut(agent)?.client {
            client.note(obtained.lease, added);
        }
        Ok(())
    }

    fn gather_when_ready(&mut self, agent: AgentIndex) -> Result<(), WorldError> {
        let node = self.node_mut(agent)?;
        let waits = node.client.as_ref().is_some_and(|client| client.is_gathering());
        if !waits && core::mem::take(&mut node.gathers) {
            self.call(agent, IceAgent::gather)?;
        }
        Ok(())
    }

    fn drain_server(&mut self, server: ServerIndex) {
        let now = self.now;
        let Some(node) = self.servers.get_mut(server.0) else { return };
        while let Some((route, bytes)) = node.server.poll_transmit() {
            if let TurnRoute::Datagram { local, remote, .. } = route {
                self.network.send_from(now, node.host, Datagram::udp(local, remote, bytes));
            }
        }
        let new = node.server.poll_timeout();
        let old = core::mem::replace(&mut node.deadline, new);
        self.file(Chore::Server(server), old, new);
    }

    fn drain_client(&mut self, agent: AgentIndex) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(agent.0) else { return };
        let (host, Some(client)) = (node.host, &mut node.client) else { return };
        while let Some((from, to, payload)) = client.poll() {
            let transport = Transport::Udp;
            let datagram = Datagram { transport, from, to, dscp: 0, payload };
            self.network.send_from(now, host, datagram);
        }
        let new = client.deadline();
        let old = core::mem::replace(&mut node.client_deadline, new);
        self.file(Chore::Client(agent), old, new);
    }

    fn file(&mut self, chore: Chore, old: Option<Timestamp>, new: Option<Timestamp>) {
        if old != new {
            if let Some(old) = old {
                self.chores.remove(&(old, chore));
            }
            if let Some(new) = new {
                self.chores.insert((new, chore));
            }
        }
    }
}
