//! The TCP connections of a world: whose end is whose, and what comes of them.
//!
//! TLS is taken for TCP: nobody listens in here. An agent that asks for DTLS gets none.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::error::WorldError;
use super::host::HostId;
use super::log::Logged;
use super::node::AgentIndex;
use super::server::ServerIndex;
use super::sockets::{Socket, Sockets};
use super::stats::increment;
use super::tcp::{TcpError, TcpEvent, TcpEventKind, TcpId};
use super::world::{FIRST_PORT, World};
use crate::agent::io::{ConnectionSecurity, Received};
use crate::id::ConnectionId;

/// Whose end of a connection it is.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Agent {
        agent: AgentIndex,
        connection: ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
    },
    /// The server knows it by the number of the end.
    Server(ServerIndex, u64),
}

/// The ends of TCP connections, and who listens.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    pub(super) listeners: Sockets,
    owners: BTreeMap<TcpId, Owner>,
    of_agents: BTreeMap<(AgentIndex, ConnectionId), TcpId>,
    of_servers: BTreeMap<(ServerIndex, u64), TcpId>,
    next: u64,
}

impl Streams {
    fn insert(&mut self, id: TcpId, owner: Owner) {
        self.owners.insert(id, owner);
        match owner {
            Owner::Agent { agent, connection, .. } => {
                self.of_agents.insert((agent, connection), id);
            }
            Owner::Server(server, number) => {
                self.of_servers.insert((server, number), id);
            }
        }
    }

    fn remove(&mut self, id: TcpId) {
        match self.owners.remove(&id) {
            Some(Owner::Agent { agent, connection, .. }) => {
                self.of_agents.remove(&(agent, connection));
            }
            Some(Owner::Server(server, number)) => {
                self.of_servers.remove(&(server, number));
            }
            None => {}
        }
    }
}

impl World {
    /// Breaks a connection of an agent: it is told so, and the other side as soon as it can be.
    ///
    /// # Errors
    /// The agent is unknown or breaks its contract.
    pub fn break_connection(
        &mut self,
        agent: AgentIndex,
        connection: ConnectionId,
    ) -> Result<(), WorldError> {
        let now = self.now;
        if let Some(id) = self.tcp_of(agent, connection) {
            self.network.tcp_reset(now, id);
            self.streams.remove(id);
            self.input(agent)?.agent.connection_closed(now, connection);
        }
        self.drain(agent)
    }

    /// Both ends of an open connection of an agent, as it sees them.
    pub(super) fn connection_ends(
        &self,
        agent: AgentIndex,
        connection: ConnectionId,
    ) -> Option<(SocketAddr, SocketAddr)> {
        match self.streams.owners.get(&self.tcp_of(agent, connection)?)? {
            Owner::Agent { local, remote, .. } => Some((*local, *remote)),
            Owner::Server(..) => None,
        }
    }

    fn tcp_of(&self, agent: AgentIndex, connection: ConnectionId) -> Option<TcpId> {
        self.streams.of_agents.get(&(agent, connection)).copied()
    }

    /// The open connections of an agent, in the order in which they were opened.
    pub fn connections(&self, agent: AgentIndex) -> impl Iterator<Item = ConnectionId> {
        let all = self.streams.of_agents.keys();
        all.filter(move |(owner, _)| *owner == agent).map(|(_, connection)| *connection)
    }

    /// Lets a host accept connections for an agent.
    pub(super) fn listen(&mut self, agent: AgentIndex, host: HostId, local: SocketAddr) {
        // The address was added before, and another listener there is another agent's mistake.
        let _ = self.network.tcp_listen(host, local);
        self.streams.listeners.open(host, local, agent);
    }

    /// Opens the connection that an agent asks for.
    pub(super) fn open_stream(
        &mut self,
        agent: AgentIndex,
        connection: ConnectionId,
        (local, remote): (SocketAddr, SocketAddr),
        security: &ConnectionSecurity,
    ) -> Result<(), WorldError> {
        let now = self.now;
        let host = self.node(agent)?.host;
        let ports = match local.port() {
            0 => FIRST_PORT..=u16::MAX,
            port => port..=port,
        };
        let mut opened = None;
        for port in ports.filter(|_| !matches!(security, ConnectionSecurity::Dtls { .. })) {
            let local = SocketAddr::new(local.ip(), port);
            match self.network.tcp_connect(now, host, local, remote) {
                Err(TcpError::InUse) => {}
                Err(_) => break,
                Ok(id) => {
                    opened = Some((id, local));
                    break;
                }
            }
        }
        match opened {
            Some((id, local)) => {
                let owner = Owner::Agent { agent, connection, local, remote };
                self.streams.insert(id, owner);
            }
            None => self.node_mut(agent)?.agent.connection_failed(now, connection),
        }
        Ok(())
    }

    /// Closes the connection that an agent needs no more.
    pub(super) fn close_stream(&mut self, agent: AgentIndex, connection: ConnectionId) {
        let now = self.now;
        if let Some(id) = self.tcp_of(agent, connection) {
            self.network.tcp_close(now, id);
            self.streams.remove(id);
        }
    }

    /// Writes what an agent sends on a connection. One that takes no more is given up.
    pub(super) fn write_stream(
        &mut self,
        agent: AgentIndex,
        connection: ConnectionId,
        bytes: &[u8],
    ) {
        let now = self.now;
        let id = self.tcp_of(agent, connection);
        let written = id.map(|id| self.network.tcp_send(now, id, bytes));
        if written != Some(bytes.len()) {
            increment(&mut self.stats.unsent);
            if let Some(id) = id {
                self.network.tcp_reset(now, id);
                self.streams.remove(id);
                if let Some(agent) = self.agent_mut(agent) {
                    agent.connection_closed(now, connection);
                }
            }
        }
    }

    /// The same of a server.
    pub(super) fn write_server_stream(&mut self, server: ServerIndex, number: u64, bytes: &[u8]) {
        let now = self.now;
        let id = self.streams.of_servers.get(&(server, number)).copied();
        if id.map(|id| self.network.tcp_send(now, id, bytes)) != Some(bytes.len()) {
            increment(&mut self.stats.unsent);
        }
    }

    /// A server has closed a connection.
    pub(super) fn close_server_stream(&mut self, server: ServerIndex, number: u64) {
        let now = self.now;
        if let Some(id) = self.streams.of_servers.get(&(server, number)).copied() {
            self.network.tcp_close(now, id);
            self.streams.remove(id);
        }
    }

    /// The host of a server has crashed: its connections are gone without a word.
    pub(super) fn drop_server_streams(&mut self, server: ServerIndex) {
        let now = self.now;
        let all: Vec<(u64, TcpId)> = self
            .streams
            .of_servers
            .range((server, 0)..=(server, u64::MAX))
            .map(|((_, number), id)| (*number, *id))
            .collect();
        for (number, id) in all {
            self.streams.remove(id);
            self.call_server(server, |server| server.close_connection(now, number));
        }
    }

    /// Hands on what TCP has to tell.
    pub(super) fn receive_tcp(&mut self) -> Result<(), WorldError> {
        while let Some(TcpEvent { id, kind, .. }) = self.network.poll_tcp() {
            if let TcpEventKind::Accepted { host, local, remote } = kind {
                self.accept(id, host, local, remote)?;
                continue;
            }
            match self.streams.owners.get(&id).copied() {
                Some(Owner::Agent { agent, connection, local, remote }) => {
                    self.tell_agent(id, agent, connection, (local, remote), kind)?;
                }
                Some(Owner::Server(server, number)) => self.tell_server(id, server, number, &kind),
                None => {}
            }
        }
        Ok(())
    }

    fn accept(
        &mut self,
        id: TcpId,
        host: HostId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(), WorldError> {
        let now = self.now;
        let number = self.streams.next;
        self.streams.next = number.saturating_add(1);
        if let Some((server, taken)) = self.accept_at_server(host, number, local, remote) {
            if taken {
                self.streams.insert(id, Owner::Server(server, number));
            } else {
                self.network.tcp_reset(now, id);
            }
            return Ok(());
        }
        let Some(socket) = self.streams.listeners.at(host, local) else {
            self.network.tcp_reset(now, id);
            return Ok(());
        };
        let Socket { agent, addr: local } = socket;
        let remote = socket.sees(remote);
        let node = self.input(agent)?;
        match node.agent.connection_accepted(now, local, remote) {
            Ok(connection) => {
                let owner = Owner::Agent { agent, connection, local, remote };
                self.streams.insert(id, owner);
            }
            Err(_) => self.network.tcp_reset(now, id),
        }
        self.drain(agent)
    }

    fn tell_agent(
        &mut self,
        id: TcpId,
        agent: AgentIndex,
        connection: ConnectionId,
        (local, remote): (SocketAddr, SocketAddr),
        kind: TcpEventKind,
    ) -> Result<(), WorldError> {
        let now = self.now;
        match kind {
            TcpEventKind::Connected => {
                self.input(agent)?.agent.connection_opened(now, connection);
            }
            TcpEventKind::Data(bytes) => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let len = rest.len();
                    let node = self.input(agent)?;
                    let what = match node.agent.handle_stream(now, connection, &mut rest) {
                        Received::Consumed => Logged::Consumed { local, remote, len },
                        Received::Data { stream, component, pair, payload } => {
                            let payload = payload.to_vec();
                            Logged::Data { stream, component, pair, payload }
                        }
                        Received::Ignored(reason) => Logged::Ignored { local, remote, len, reason },
                    };
                    if let Logged::Data { stream, component, payload, .. } = &what {
                        self.put_out_data(agent, *stream, *component, payload);
                    }
                    self.node_mut(agent)?.log(now, |_| what);
                    self.drain(agent)?;
                }
                return Ok(());
            }
            TcpEventKind::Finished => {
                self.network.tcp_close(now, id);
                self.streams.remove(id);
                self.input(agent)?.agent.connection_closed(now, connection);
            }
            TcpEventKind::Refused
            | TcpEventKind::TimedOut
            | TcpEventKind::Reset
            | TcpEventKind::Accepted { .. } => {
                self.streams.remove(id);
                self.input(agent)?.agent.connection_failed(now, connection);
            }
        }
        self.drain(agent)
    }

    fn tell_server(&mut self, id: TcpId, server: ServerIndex, number: u64, kind: &TcpEventKind) {
        let now = self.now;
        match kind {
            TcpEventKind::Data(bytes) => {
                self.call_server(server, |server| server.handle_stream(now, number, bytes));
            }
            TcpEventKind::Connected | TcpEventKind::Accepted { .. } => {}
            TcpEventKind::Finished
            | TcpEventKind::Refused
            | TcpEventKind::TimedOut
            | TcpEventKind::Reset => {
                self.network.tcp_close(now, id);
                self.streams.remove(id);
                self.call_server(server, |server| server.close_connection(now, number));
            }
        }
    }
}
