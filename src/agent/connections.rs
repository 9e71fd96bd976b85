//! Stream connections that the caller carries: which there are, and what arrives on them.

use core::net::SocketAddr;

use crate::id::{ConnectionId, Table};
use crate::time::Timestamp;
use crate::turn::{Deframer, Frame};

use super::IceAgent;
use super::io::{Ignored, Received};

/// A connection that is there or on its way.
#[derive(Clone, Debug, Hash)]
pub(super) struct Connection {
    /// Cuts the stream into messages.
    deframer: Deframer,
    /// Every input is a message of its own (DTLS).
    datagrams: bool,
}

/// The connections of an agent.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Connections {
    table: Table<ConnectionId, Connection>,
    limit: u16,
}

impl Connections {
    pub(super) fn new(limit: u16) -> Self {
        Self { table: Table::default(), limit }
    }

    /// A new connection to a server; none beyond the limit.
    pub(super) fn add_to_server(&mut self, datagrams: bool) -> Option<ConnectionId> {
        if self.table.len() >= usize::from(self.limit) {
            return None;
        }
        self.table.insert(Connection { deframer: Deframer::default(), datagrams })
    }

    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.table.remove(id);
    }
}

impl IceAgent {
    /// A connection of [`Event::OpenConnection`](crate::Event::OpenConnection) is there, from this
    /// local address; with TLS or DTLS, after the handshake.
    pub fn connection_opened(&mut self, now: Timestamp, id: ConnectionId, local: SocketAddr) {
        self.advance(now);
        let now = self.now;
        let _ = local;
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
    /// one, which an event will ask for.
    pub fn connection_closed(&mut self, now: Timestamp, id: ConnectionId) {
        self.advance(now);
        let now = self.now;
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
        let frame = if connection.datagrams {
            let message = core::mem::take(input);
            Ok((!message.is_empty()).then_some(Frame::Input(message)))
        } else {
            connection.deframer.next(input)
        };
        match frame {
            Ok(None) => Received::Consumed,
            Ok(Some(Frame::Input(message))) => {
                let received = self.receive_on(id, message);
                received.unwrap_or_else(|reason| self.ignore(reason))
            }
            Ok(Some(Frame::Kept(message))) => self.receive_kept(id, message),
            Err(_) => {
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
        let Some(connection) = self.connections.table.get_mut(id) else {
            return Received::Consumed;
        };
        connection.deframer.give_back(message);
        let Some((stream, component, pair, start, len)) = lent else { return Received::Consumed };
        let payload = connection.deframer.kept().get(start..start.saturating_add(len));
        Received::Data { stream, component, pair, payload: payload.unwrap_or_default() }
    }

    /// What the connection carries cannot be read any further.
    fn break_connection(&mut self, id: ConnectionId) {
        let now = self.now;
        self.connections.forget(id);
        let Some(servers) = &mut self.servers else { return };
        if let Some(task) = servers.by_connection(id) {
            servers.break_connection(now, task);
            self.run();
        }
    }
}
