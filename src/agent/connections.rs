//! Stream connections that the caller carries: which there are, and what arrives on them. Those to
//! servers are the business of `servers`, those to peers of `tcp`.

use core::net::SocketAddr;

use crate::id::{ConnectionId, Table};
use crate::time::Timestamp;
use crate::turn::{self, Frame};

use super::IceAgent;
use super::io::{Ignored, Received};
use super::tcp::{Peer, Waiting};

/// A connection that is there or on its way.
#[derive(Clone, Debug, Hash)]
enum Connection {
    Server {
        /// Cuts the stream into messages.
        deframer: turn::Deframer,
        /// Every input is a message of its own (DTLS).
        datagrams: bool,
    },
    Peer(Box<Peer>),
}

/// The connections of an agent.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Connections {
    table: Table<ConnectionId, Connection>,
    /// What is to be done about pairs that go over TCP.
    pub(super) waiting: Vec<Waiting>,
    limit: u16,
}

impl Connections {
    pub(super) fn new(limit: u16) -> Self {
        Self { table: Table::default(), waiting: Vec::new(), limit }
    }

    /// A new connection to a server; none beyond the limit.
    pub(super) fn add_to_server(&mut self, datagrams: bool) -> Option<ConnectionId> {
        self.add(Connection::Server { deframer: turn::Deframer::default(), datagrams })
    }

    /// A new connection to a peer; none beyond the limit.
    pub(super) fn add_to_peer(&mut self, peer: Peer) -> Option<ConnectionId> {
        self.add(Connection::Peer(Box::new(peer)))
    }

    fn add(&mut self, connection: Connection) -> Option<ConnectionId> {
        if self.table.len() >= usize::from(self.limit) {
            return None;
        }
        self.table.insert(connection)
    }

    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.table.remove(id);
    }

    /// Takes a connection to a peer out of the table.
    pub(super) fn take_peer(&mut self, id: ConnectionId) -> Option<Peer> {
        self.peer(id)?;
        match self.table.remove(id)? {
            Connection::Peer(peer) => Some(*peer),
            Connection::Server { .. } => None,
        }
    }

    /// Whether there is nothing of peers.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.peers().next().is_none()
    }

    pub(super) fn peer(&self, id: ConnectionId) -> Option<&Peer> {
        match self.table.get(id)? {
            Connection::Peer(peer) => Some(peer),
            Connection::Server { .. } => None,
        }
    }

    pub(super) fn peer_mut(&mut self, id: ConnectionId) -> Option<&mut Peer> {
        match self.table.get_mut(id)? {
            Connection::Peer(peer) => Some(peer),
            Connection::Server { .. } => None,
        }
    }

    /// The connections to peers, the newest last.
    pub(super) fn peers(&self) -> impl DoubleEndedIterator<Item = (ConnectionId, &Peer)> {
        self.table.iter().filter_map(|(id, connection)| match connection {
            Connection::Peer(peer) => Some((id, &**peer)),
            Connection::Server { .. } => None,
        })
    }
}

impl IceAgent {
    /// A connection of [`Event::OpenConnection`](crate::Event::OpenConnection) is there, from this
    /// local address; with TLS or DTLS, after the handshake.
    pub fn connection_opened(&mut self, now: Timestamp, id: ConnectionId, local: SocketAddr) {
        self.advance(now);
        let now = self.now;
        let _ = local;
        if self.connections.peer(id).is_some() {
            self.peer_connected(id);
            return;
        }
        let Some(servers) = &mut self.servers else { return };
        if let Some(task) = servers.by_connection(id) {
            servers.connected(now, task);
            self.run();
        }
    }

    /// A connection of [`Event::OpenConnection`](crate::Event::OpenConnection) could not be made, or
    /// not be secured.
    pub fn connection_failed(&mut self, now: Timestamp, id: ConnectionId) {
        self.connection_closed(now, id);
    }

    /// A connection was closed by the other side, or broke. What went over it may go over another
    /// one, which an event will ask for. To a peer that is no end of consent (RFC 7675 §5.2): data is
    /// refused until the side that had opened the connection has opened another.
    pub fn connection_closed(&mut self, now: Timestamp, id: ConnectionId) {
        self.advance(now);
        let now = self.now;
        if let Some(peer) = self.connections.take_peer(id) {
            self.peer_disconnected(&peer);
            self.run();
            return;
        }
        self.connections.forget(id);
        let Some(servers) = &mut self.servers else { return };
        if let Some(task) = servers.by_connection(id) {
            servers.disconnected(now, task);
            self.run();
        }
    }

    /// Bytes arrived on a connection, in whatever pieces. One message is taken off the beginning of
    /// `input`: call it until `input` is empty.
    ///
    /// A stream that carries something else than it should is given up:
    /// [`Event::CloseConnection`](crate::Event::CloseConnection).
    ///
    /// The agent has no word about connections that take no more bytes: whoever writes a transmit
    /// to a stream finishes it, or closes the stream when its own buffer is full.
    pub fn handle_stream<'s, 'i: 's>(
        &'s mut self,
        now: Timestamp,
        id: ConnectionId,
        input: &mut &'i [u8],
    ) -> Received<'s> {
        self.advance(now);
        let Some(connection) = self.connections.table.get_mut(id) else {
            *input = &[];
            return self.ignore(Ignored::UnknownConnection);
        };
        let frame = match connection {
            Connection::Server { datagrams: true, .. } => {
                let message = core::mem::take(input);
                Ok((!message.is_empty()).then_some(Frame::Input(message)))
            }
            Connection::Server { deframer, .. } => deframer.next(input).map_err(drop),
            Connection::Peer(peer) => peer.cut(input, &self.config.limits),
        };
        match frame {
            Ok(None) => Received::Consumed,
            Ok(Some(Frame::Input(message))) => {
                let received = self.receive_on(id, message);
                received.unwrap_or_else(|reason| self.ignore(reason))
            }
            Ok(Some(Frame::Kept(message))) => self.receive_kept(id, message),
            Err(()) => {
                *input = &[];
                self.break_connection(id);
                self.ignore(Ignored::MalformedStun)
            }
        }
    }

    pub(super) fn ignore<'a>(&mut self, reason: Ignored) -> Received<'a> {
        self.counters.ignore(reason);
        Received::Ignored(reason)
    }

    /// A message that was put together from pieces. It goes back to where it is kept, so that what is
    /// in it can be lent to the caller.
    fn receive_kept(&mut self, id: ConnectionId, message: Vec<u8>) -> Received<'_> {
        let received = self.receive_on(id, &message);
        let lent = match received {
            Ok(Received::Data { stream, component, pair, payload }) => {
                let start = (payload.as_ptr() as usize).checked_sub(message.as_ptr() as usize);
                start.map(|start| (stream, component, pair, start, payload.len()))
            }
            Ok(Received::Consumed) => None,
            Ok(Received::Ignored(reason)) | Err(reason) => return self.ignore(reason),
        };
        let kept = match self.connections.table.get_mut(id) {
            Some(Connection::Server { deframer, .. }) => {
                deframer.give_back(message);
                deframer.kept()
            }
            Some(Connection::Peer(peer)) => peer.give_back(message),
            None => return Received::Consumed,
        };
        let Some((stream, component, pair, start, len)) = lent else { return Received::Consumed };
        let payload = kept.get(start..start.saturating_add(len)).unwrap_or_default();
        Received::Data { stream, component, pair, payload }
    }

    /// What the connection carries cannot be read any further.
    fn break_connection(&mut self, id: ConnectionId) {
        let now = self.now;
        if self.connections.peer(id).is_some() {
            self.give_up_connection(id);
            self.run();
            return;
        }
        self.connections.forget(id);
        let Some(servers) = &mut self.servers else { return };
        if let Some(task) = servers.by_connection(id) {
            servers.break_connection(now, task);
            self.run();
        }
    }
}
