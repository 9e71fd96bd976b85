//! Stream connections that the caller carries: which there are, and what arrives on them. Those to
//! servers are the business of `servers`, those to peers of `tcp`.

use core::hash::{Hash, Hasher};
use core::ops::Range;

use smallvec::SmallVec;

use crate::id::{ConnectionId, PairId, StreamId};
use crate::time::Timestamp;
use crate::turn::{self, Frame};

use super::IceAgent;
use super::io::{Ignored, Received};
use super::output::{Notice, Report};
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

/// The connections of an agent. Most agents have none.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    held: Option<Box<Held>>,
    /// The number of the next one that this agent gives an id.
    next: u64,
    /// Another number whenever there are others.
    revision: u32,
    limit: u16,
}

#[derive(Clone, Debug, Default, Hash)]
struct Held {
    /// By their ids.
    entries: Vec<(ConnectionId, Connection)>,
    /// What is to be done about pairs that go over TCP.
    waiting: Vec<Waiting>,
}

impl Hash for Connections {
    /// Nothing depends on how often there were others.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { held: _, next, revision: _, limit } = self;
        (self.entries(), self.waiting(), next, limit).hash(state);
    }
}

/// What became of bytes that arrived on a connection. Other than a [`Received`] it borrows nothing of
/// the agent, so that its owner can look at the agent before it lends what is kept there.
#[derive(Debug)]
pub(crate) enum Arrived<'a> {
    At(Received<'a>),
    /// Data in a message that was put together from pieces, and is kept with its connection.
    Kept {
        connection: ConnectionId,
        stream: StreamId,
        component: u16,
        pair: Option<PairId>,
        range: Range<usize>,
    },
}

impl Connections {
    pub(super) fn new(limit: u16) -> Self {
        Self { limit, ..Self::default() }
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
        let next = self.next.checked_add(1)?;
        let id = ConnectionId::new(self.next);
        self.insert(id, connection)?;
        self.next = next;
        Some(id)
    }

    /// A connection of a peer that has an id already; none beyond the limit, or if the id is taken.
    pub(super) fn take_in(&mut self, id: ConnectionId, peer: Peer) -> Option<ConnectionId> {
        self.insert(id, Connection::Peer(Box::new(peer)))
    }

    fn insert(&mut self, id: ConnectionId, connection: Connection) -> Option<ConnectionId> {
        if self.entries().len() >= usize::from(self.limit) {
            return None;
        }
        let at = self.position(id).err()?;
        self.held.get_or_insert_default().entries.insert(at, (id, connection));
        self.revision = self.revision.wrapping_add(1);
        Some(id)
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        let at = self.position(id).ok()?;
        self.revision = self.revision.wrapping_add(1);
        Some(self.held.as_mut()?.entries.remove(at).1)
    }

    fn entries(&self) -> &[(ConnectionId, Connection)] {
        self.held.as_ref().map_or(&[], |held| &held.entries)
    }

    pub(super) fn waiting(&self) -> &[Waiting] {
        self.held.as_ref().map_or(&[], |held| &held.waiting)
    }

    pub(super) fn waiting_mut(&mut self) -> &mut Vec<Waiting> {
        &mut self.held.get_or_insert_default().waiting
    }

    /// Nothing is to be done any more.
    pub(super) fn leave(&mut self) {
        if let Some(held) = &mut self.held {
            held.waiting = Vec::new();
        }
    }

    fn position(&self, id: ConnectionId) -> Result<usize, usize> {
        self.entries().binary_search_by_key(&id, |(other, _)| *other)
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let at = self.position(id).ok()?;
        self.held.as_mut()?.entries.get_mut(at).map(|(_, connection)| connection)
    }

    pub(super) fn forget(&mut self, id: ConnectionId) {
        self.remove(id);
    }

    /// Takes a connection to a peer out of the table.
    pub(super) fn take_peer(&mut self, id: ConnectionId) -> Option<Peer> {
        self.peer(id)?;
        match self.remove(id)? {
            Connection::Peer(peer) => Some(*peer),
            Connection::Server { .. } => None,
        }
    }

    /// Whether there is nothing of peers.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting().is_empty() && self.peers().next().is_none()
    }

    pub(super) fn peer(&self, id: ConnectionId) -> Option<&Peer> {
        let at = self.position(id).ok()?;
        match self.entries().get(at) {
            Some((_, Connection::Peer(peer))) => Some(peer),
            Some((_, Connection::Server { .. })) | None => None,
        }
    }

    pub(super) fn peer_mut(&mut self, id: ConnectionId) -> Option<&mut Peer> {
        match self.get_mut(id)? {
            Connection::Peer(peer) => Some(peer),
            Connection::Server { .. } => None,
        }
    }

    /// The connections to peers, the newest last.
    pub(super) fn peers(&self) -> impl DoubleEndedIterator<Item = (ConnectionId, &Peer)> {
        self.entries().iter().filter_map(|(id, connection)| match connection {
            Connection::Peer(peer) => Some((*id, &**peer)),
            Connection::Server { .. } => None,
        })
    }

    /// The message that was given back to a connection.
    fn kept(&self, id: ConnectionId) -> &[u8] {
        let at = self.position(id).ok();
        match at.and_then(|at| self.entries().get(at)) {
            Some((_, Connection::Server { deframer, .. })) => deframer.kept(),
            Some((_, Connection::Peer(peer))) => peer.kept(),
            None => &[],
        }
    }

    /// All ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = ConnectionId> {
        self.entries().iter().map(|(id, _)| *id)
    }

    pub(super) const fn revision(&self) -> u32 {
        self.revision
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Ids are counted on from here.
    pub(super) fn count_from(&mut self, next: u64) {
        self.next = next;
    }
}

impl IceAgent {
    /// A connection of [`Event::OpenConnection`](crate::Event::OpenConnection) is there; with TLS or
    /// DTLS, after the handshake.
    pub fn connection_opened(&mut self, now: Timestamp, id: ConnectionId) {
        self.advance(now);
        let now = self.now;
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
        let arrived = self.read_stream(now, id, input);
        self.lend(arrived)
    }

    /// The same, without what is kept of it.
    pub(crate) fn read_stream<'i>(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        input: &mut &'i [u8],
    ) -> Arrived<'i> {
        self.advance(now);
        let Some(connection) = self.connections.get_mut(id) else {
            *input = &[];
            return Arrived::At(self.ignore(Ignored::UnknownConnection));
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
            Ok(None) => Arrived::At(Received::Consumed),
            Ok(Some(Frame::Input(message))) => {
                let received = self.receive_on(id, message);
                Arrived::At(received.unwrap_or_else(|reason| self.ignore(reason)))
            }
            Ok(Some(Frame::Kept(message))) => self.receive_kept(id, message),
            Err(()) => {
                *input = &[];
                self.break_connection(id);
                Arrived::At(self.ignore(Ignored::MalformedStun))
            }
        }
    }

    /// Lends what has just arrived.
    pub(crate) fn lend<'s, 'i: 's>(&'s self, arrived: Arrived<'i>) -> Received<'s> {
        match arrived {
            Arrived::At(received) => received,
            Arrived::Kept { connection, stream, component, pair, range } => {
                let payload = self.connections.kept(connection).get(range).unwrap_or_default();
                Received::Data { stream, component, pair, payload }
            }
        }
    }

    pub(super) fn ignore<'a>(&mut self, reason: Ignored) -> Received<'a> {
        self.counters.ignore(reason);
        Received::Ignored(reason)
    }

    /// A message that was put together from pieces. It goes back to where it is kept, so that what is
    /// in it can be lent to the caller.
    fn receive_kept<'a>(&mut self, id: ConnectionId, message: Vec<u8>) -> Arrived<'a> {
        let arrived = match self.receive_on(id, &message) {
            Ok(Received::Data { stream, component, pair, payload }) => {
                let start = (payload.as_ptr() as usize).checked_sub(message.as_ptr() as usize);
                let start = start.unwrap_or_default();
                let range = start..start.saturating_add(payload.len());
                Arrived::Kept { connection: id, stream, component, pair, range }
            }
            Ok(Received::Consumed) => Arrived::At(Received::Consumed),
            Ok(Received::Ignored(reason)) | Err(reason) => return Arrived::At(self.ignore(reason)),
        };
        match self.connections.get_mut(id) {
            Some(Connection::Server { deframer, .. }) => deframer.give_back(message),
            Some(Connection::Peer(peer)) => peer.give_back(message),
            None => return Arrived::At(Received::Consumed),
        }
        arrived
    }

    /// What the connection carries cannot be read any further.
    fn break_connection(&mut self, id: ConnectionId) {
        self.leave_connection(id);
        self.run();
    }

    /// Closes a connection, as if it had broken.
    fn leave_connection(&mut self, id: ConnectionId) {
        let now = self.now;
        if self.connections.peer(id).is_some() {
            self.give_up_connection(id);
            return;
        }
        self.connections.forget(id);
        let Some(servers) = &mut self.servers else { return };
        if let Some(task) = servers.by_connection(id) {
            servers.break_connection(now, task);
        }
    }

    /// Closes all connections, as if they had broken. What is to be done about it is due at once, or
    /// later.
    pub(crate) fn leave_connections(&mut self) {
        let all: SmallVec<[ConnectionId; 4]> = self.connections.ids().collect();
        for &id in &all {
            self.leave_connection(id);
        }
        if !all.is_empty() {
            self.pass_on_commands();
            self.compute_deadline();
        }
    }

    /// The connections that there are or will be, as far as the agent knows.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.connections.ids()
    }

    /// Another number whenever they may be others.
    pub(crate) const fn connections_revision(&self) -> u32 {
        self.connections.revision()
    }

    /// The number of the connection that will be asked for next.
    pub(crate) const fn next_connection(&self) -> u64 {
        self.connections.next()
    }

    pub(crate) fn count_connections_from(&mut self, next: u64) {
        self.connections.count_from(next);
    }

    /// The connections that somebody outside has to close when nobody polls the agent any more:
    /// those that it has told of, and has not told to close.
    pub(crate) fn connections_told(&self) -> impl Iterator<Item = ConnectionId> {
        let reports = self.output.notices.iter().filter_map(|notice| match notice {
            Notice::Report(report) => Some(&**report),
            _ => None,
        });
        let to_close = reports.clone().filter_map(|report| match report {
            Report::CloseConnection(id) => Some(*id),
            _ => None,
        });
        self.connections.ids().chain(to_close).filter(move |id| {
            !reports.clone().any(
                |report| matches!(report, Report::OpenConnection { id: opened, .. } if opened == id),
            )
        })
    }
}
