//! The servers of a world, and what its agents obtain from them.

use core::net::SocketAddr;

use super::datagram::{Arrival, Datagram};
use super::error::{AddServerError, ObtainError};
use super::host::HostId;
use super::node::AgentIndex;
use super::oracle::{Outlook, Party};
use super::stats::increment;
use super::turn_server::{TurnRoute, TurnServer, TurnServerConfig};
use super::world::{World, draw};
use crate::candidate::{CandidateKind, TcpType, Transport};
use crate::gather::{Server, ServerCredentials};
use crate::time::Timestamp;
use crate::uri::{ServerTransport, ServerUri};

/// A STUN and TURN server of a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerIndex(pub(super) usize);

#[derive(Clone, Debug)]
pub(super) struct ServerNode {
    pub(super) host: HostId,
    server: TurnServer,
    deadline: Option<Timestamp>,
}

/// What an agent is to obtain from a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Obtain {
    /// The address that the server sees.
    Reflexive,
    /// An address on the server, and the one that it sees.
    Relayed,
    /// An address on the server, which is reached over TCP.
    RelayedOverTcp,
}

impl World {
    /// Adds a STUN and TURN server on a host of its own in the internet, reached over UDP and TCP.
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
        self.listen_at_server(index);
        Ok(index)
    }

    fn listen_at_server(&mut self, server: ServerIndex) {
        let Some(node) = self.servers.get(server.0) else { return };
        for &listen in &node.server.config().listen {
            // It has the address, and is alone on its host.
            let _ = self.network.tcp_listen(node.host, listen);
        }
    }

    /// The host of a server crashes. What is allocated over UDP is there when it comes back, but no
    /// connection, and nothing that was allocated over one.
    pub(super) fn stop_server(&mut self, server: ServerIndex) {
        if let Some(host) = self.server_host(server) {
            self.network.crash(host);
            self.drop_server_streams(server);
        }
    }

    /// The host of a server comes back.
    pub(super) fn start_server(&mut self, server: ServerIndex) {
        if let Some(host) = self.server_host(server) {
            // Nobody else gets an address of it.
            let _ = self.network.restart(host);
            self.listen_at_server(server);
        }
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

    /// Lets an agent ask a server from each of its sockets when it gathers, under each of the
    /// server's addresses.
    ///
    /// # Errors
    /// The agent or the server is unknown, or the agent refuses the server.
    pub fn obtain(
        &mut self,
        agent: AgentIndex,
        server: ServerIndex,
        what: Obtain,
    ) -> Result<(), ObtainError> {
        let now = self.now;
        let node = self.servers.get(server.0).ok_or(ObtainError::UnknownServer)?;
        let config = node.server.config();
        // A server that knows nobody takes anybody.
        let (user, password) = config
            .users
            .first()
            .map_or(("anybody", "secret"), |user| (user.username.as_str(), user.password.as_str()));
        let credentials =
            ServerCredentials::new(user, password).map_err(|_| ObtainError::Credentials)?;
        let servers: Vec<Server> = config
            .listen
            .iter()
            .filter_map(|listen| {
                let host = listen.ip();
                let uri = match what {
                    Obtain::Reflexive => ServerUri::stun(host),
                    Obtain::Relayed => ServerUri::turn(host, ServerTransport::Udp),
                    Obtain::RelayedOverTcp => ServerUri::turn(host, ServerTransport::Tcp),
                };
                let server = Server::new(uri.with_port(listen.port()).ok()?);
                Some(match what {
                    Obtain::Reflexive => server,
                    Obtain::Relayed | Obtain::RelayedOverTcp => {
                        server.with_credentials(credentials.clone())
                    }
                })
            })
            .collect();
        let node = self.node_mut(agent).map_err(|_| ObtainError::UnknownAgent)?;
        node.asks.push((what, server));
        let lent = self.agent_mut(agent).ok_or(ObtainError::UnknownAgent)?;
        for server in servers {
            lent.add_server(now, server)?;
        }
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
        let mut party = Party::new(agent.host, []);
        let locals = agent.agent.local_candidates();
        for local in locals.filter(|local| local.kind == CandidateKind::Host) {
            match (local.transport, local.tcp_type) {
                (Transport::Udp, _) => party.sockets.push(local.addr),
                (Transport::Tcp, Some(TcpType::Active)) => party.active.push(local.addr.ip()),
                (Transport::Tcp, _) => party.passive.push(local.addr),
            }
        }
        for (what, server) in &agent.asks {
            let listen = &self.servers.get(server.0)?.server.config().listen;
            // What relays over UDP says as well from where it was asked.
            let lists = match what {
                Obtain::Reflexive => [Some(&mut party.stun), None],
                Obtain::Relayed => [Some(&mut party.stun), Some(&mut party.turn)],
                Obtain::RelayedOverTcp => [Some(&mut party.turn_over_tcp), None],
            };
            for list in lists.into_iter().flatten() {
                for &server in listen {
                    if !list.contains(&server) {
                        list.push(server);
                    }
                }
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

    pub(super) fn time_out_server(&mut self, server: ServerIndex) {
        let now = self.now;
        if let Some(node) = self.servers.get_mut(server.0) {
            node.server.handle_timeout(now);
        }
        self.drain_server(server);
    }

    fn drain_server(&mut self, server: ServerIndex) {
        let now = self.now;
        let Some(node) = self.servers.get_mut(server.0) else { return };
        let mut streams = Vec::new();
        while let Some((route, bytes)) = node.server.poll_transmit() {
            match route {
                TurnRoute::Datagram { local, remote, .. } => {
                    self.network.send_from(now, node.host, Datagram::udp(local, remote, bytes));
                }
                TurnRoute::Stream(number) => streams.push((number, bytes)),
            }
        }
        let closed: Vec<u64> = core::iter::from_fn(|| node.server.poll_closed()).collect();
        let new = node.server.poll_timeout();
        let old = core::mem::replace(&mut node.deadline, new);
        if old != new {
            if let Some(old) = old {
                self.chores.remove(&(old, server));
            }
            if let Some(new) = new {
                self.chores.insert((new, server));
            }
        }
        for (number, bytes) in streams {
            self.write_server_stream(server, number, &bytes);
        }
        for number in closed {
            self.close_server_stream(server, number);
        }
    }

    /// Somebody has connected to a host. If that is a server's, which one, and whether it takes the
    /// connection.
    pub(super) fn accept_at_server(
        &mut self,
        host: HostId,
        number: u64,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<(ServerIndex, bool)> {
        let now = self.now;
        let index = self.servers.iter().position(|node| node.host == host)?;
        let server = &mut self.servers.get_mut(index)?.server;
        let taken = server.open_connection(now, number, local, remote).is_ok();
        Some((ServerIndex(index), taken))
    }
}
