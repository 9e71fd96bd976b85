//! TCP connections (RFC 6544): those that are pending, until their first message says whose they are,
//! and whose the others are.
//!
//! A connection that has been accepted belongs to nobody. It is kept here until it has brought one
//! message in a frame of RFC 4571: a Binding request whose username fragment names a session. The agent
//! of that session gets the connection and the message together, and what comes later by way of a
//! table. If the request is not authentic the agent closes the connection at once; so whoever has no
//! password holds nothing for longer than it takes to receive one message, and nothing of an agent.
//!
//! All connections of a `Mux` have ids of one row: each agent counts on from where the one before has
//! come to. An agent's own connections, to servers and from active candidates, are in the same table.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use smallvec::SmallVec;

use crate::address;
use crate::id::ConnectionId;
use crate::stun::{Peek, peek};
use crate::tcp::Deframer;
use crate::time::Timestamp;
use crate::turn::Frame;

use super::received::{MuxIgnored, MuxReceived, MuxRefused};
use super::sessions::Session;
use super::table::Table;
use super::{Mux, SessionId};

/// Bounds of what those can make grow who connect to a [`Mux`] and have proved nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MuxLimits {
    /// Connections of which it is not known yet whose they are, those that
    /// [`poll_close`](Mux::poll_close) would give out among them.
    pub pending_connections: u32,
    /// Those among them that come from one IPv4 address, or from one IPv6 network of 64 bits.
    pub pending_connections_of_network: u32,
    /// Bytes that such a connection may bring, the heads of frames among them: one frame at most.
    pub unproven_bytes: u16,
    /// How long it may take to bring its first message. Then it is closed.
    pub first_message: Duration,
}

impl Default for MuxLimits {
    fn default() -> Self {
        Self {
            pending_connections: 1024,
            pending_connections_of_network: 64,
            unproven_bytes: 2048,
            first_message: Duration::from_secs(10),
        }
    }
}

/// Why a connection that somebody has opened was not taken. It is the caller's to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MuxAcceptError {
    /// [`MuxLimits::pending_connections`] have brought nothing yet.
    #[error("the limit of pending connections is reached")]
    Limit,
    /// [`MuxLimits::pending_connections_of_network`] of them are from there.
    #[error("the limit of pending connections from one network is reached")]
    NetworkLimit,
}

/// The number of the first connection. Agents outside of a `Mux` count from zero.
const FIRST: u64 = 1 << 32;

/// A connection of nobody.
#[derive(Clone, Debug)]
struct Pending {
    local: SocketAddr,
    remote: SocketAddr,
    /// Of the network that it comes from.
    network: u64,
    until: Timestamp,
    bytes: usize,
    deframer: Deframer,
}

impl Pending {
    /// Its first message, unless it is too much.
    fn cut<'i>(&mut self, input: &mut &'i [u8], limit: u16) -> Result<Option<Frame<'i>>, ()> {
        let limit = usize::from(limit);
        let before = input.len();
        let frame = self.deframer.next(input, limit).map_err(drop)?;
        self.bytes = self.bytes.saturating_add(before.saturating_sub(input.len()));
        if self.bytes > limit { Err(()) } else { Ok(frame) }
    }
}

/// The connections of a `Mux`.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    limits: MuxLimits,
    /// The number of the next connection, whoever asks for it.
    pub(super) next: u64,
    /// In the order in which they were accepted, which is that of their deadlines.
    pending: BTreeMap<ConnectionId, Pending>,
    /// How many there are of each network.
    networks: Table<u32>,
    /// The place of the session that has a connection.
    owners: Table<u32>,
    /// To be closed, as nobody has them.
    closing: VecDeque<ConnectionId>,
}

impl Streams {
    pub(super) fn new(limits: MuxLimits) -> Self {
        Self {
            limits,
            next: FIRST,
            pending: BTreeMap::new(),
            networks: Table::default(),
            owners: Table::default(),
            closing: VecDeque::new(),
        }
    }

    /// When the oldest pending connection has waited long enough.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.pending.first_key_value().map(|(_, pending)| pending.until)
    }

    fn may_accept(&self, network: u64) -> Result<(), MuxRefused> {
        let limit = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        let all = self.pending.len().saturating_add(self.closing.len());
        let beside = self.networks.get(network).unwrap_or_default();
        if all >= limit(self.limits.pending_connections) {
            Err(MuxRefused::PendingConnection)
        } else if beside >= self.limits.pending_connections_of_network {
            Err(MuxRefused::PendingConnectionOfNetwork)
        } else {
            Ok(())
        }
    }

    fn add(&mut self, pending: Pending) -> Option<ConnectionId> {
        let next = self.next.checked_add(1)?;
        let id = ConnectionId::new(self.next);
        self.next = next;
        let beside = self.networks.get(pending.network).unwrap_or_default();
        self.networks.set(pending.network, beside.saturating_add(1));
        self.pending.insert(id, pending);
        Some(id)
    }

    fn take(&mut self, id: ConnectionId) -> Option<Pending> {
        let pending = self.pending.remove(&id)?;
        match self.networks.get(pending.network) {
            Some(count) if count > 1 => self.networks.set(pending.network, count.saturating_sub(1)),
            _ => self.networks.remove(pending.network),
        }
        Some(pending)
    }

    fn close(&mut self, id: ConnectionId) {
        self.take(id);
        self.closing.push_back(id);
    }

    /// These are nobody's any more.
    pub(super) fn close_all(&mut self, ids: impl IntoIterator<Item = ConnectionId>) {
        self.closing.extend(ids);
    }
}

impl Mux {
    /// Somebody has opened a TCP connection to `local`, where passive candidates of any number of agents
    /// are. What arrives on it goes to [`handle_stream`](Self::handle_stream); the first message says
    /// whose it is.
    ///
    /// It is to be closed, as [`poll_close`](Self::poll_close) says, if its first message is none that
    /// a session wants, or does not come within [`MuxLimits::first_message`]. From when it has a
    /// session, [`Event::CloseConnection`](crate::Event::CloseConnection) says so.
    ///
    /// # Errors
    /// The connection is not taken: close it.
    pub fn connection_accepted(
        &mut self,
        now: Timestamp,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, MuxAcceptError> {
        self.advance(now);
        let network = self.hash_socket(network_of(address::normal(remote)));
        let added = self.streams.may_accept(network).and_then(|()| {
            let until = self.now + self.streams.limits.first_message;
            let deframer = Deframer::default();
            let pending = Pending { local, remote, network, until, bytes: 0, deframer };
            self.streams.add(pending).ok_or(MuxRefused::PendingConnection)
        });
        added.map_err(|reason| {
            self.counters.refuse(reason);
            match reason {
                MuxRefused::PendingConnectionOfNetwork => MuxAcceptError::NetworkLimit,
                _ => MuxAcceptError::Limit,
            }
        })
    }

    /// Bytes arrived on a connection, in whatever pieces. One message is taken off the beginning of
    /// `input`: call it until `input` is empty.
    pub fn handle_stream<'s, 'i: 's>(
        &'s mut self,
        now: Timestamp,
        id: ConnectionId,
        input: &mut &'i [u8],
    ) -> MuxReceived<'s> {
        self.advance(now);
        let owner = self.stream_owner(id);
        let read = owner.and_then(|session| {
            let arrived = self.drive(session, |agent| agent.read_stream(now, id, input))?;
            Some((session, arrived))
        });
        let Some((session, arrived)) = read else {
            return self.read_pending(id, input).unwrap_or_else(|reason| {
                *input = &[];
                // What is not known is closed already, or not of this `Mux`.
                if reason != MuxIgnored::UnknownConnection {
                    self.streams.close(id);
                }
                self.counters.ignore(reason);
                MuxReceived::Ignored(reason)
            });
        };
        match self.sessions.get(session) {
            Some(owner) => MuxReceived::Session(session, owner.agent.lend(arrived)),
            None => MuxReceived::Ignored(MuxIgnored::UnknownConnection),
        }
    }

    fn read_pending(
        &mut self,
        id: ConnectionId,
        input: &mut &[u8],
    ) -> Result<MuxReceived<'static>, MuxIgnored> {
        let limit = self.streams.limits.unproven_bytes;
        let pending = self.streams.pending.get_mut(&id).ok_or(MuxIgnored::UnknownConnection)?;
        let frame = pending.cut(input, limit).map_err(|()| MuxIgnored::LongFrame)?;
        let Some(frame) = frame else { return Ok(MuxReceived::Pending) };
        let message = match &frame {
            Frame::Input(message) => *message,
            Frame::Kept(message) => message,
        };
        // RFC 6544 §7.1: whoever opens a connection begins with a check.
        let Some(Peek::Request(ufrag)) = peek(message) else {
            return Err(MuxIgnored::NotARequest);
        };
        let session = self.addressee(ufrag)?;
        let pending = self.streams.take(id).ok_or(MuxIgnored::UnknownConnection)?;
        let (now, ends) = (self.now, (pending.local, pending.remote));
        let taken = self.drive(session, |agent| agent.take_connection(now, id, ends, message));
        match taken {
            Some(Ok(received)) => Ok(MuxReceived::Session(session, received)),
            Some(Err(_)) | None => Err(MuxIgnored::NotAccepted),
        }
    }

    /// A connection of [`Event::OpenConnection`](crate::Event::OpenConnection) is there: see
    /// [`IceAgent::connection_opened`](crate::IceAgent::connection_opened).
    pub fn connection_opened(&mut self, now: Timestamp, id: ConnectionId) {
        self.advance(now);
        if let Some(session) = self.stream_owner(id) {
            self.drive(session, |agent| agent.connection_opened(now, id));
        }
    }

    /// A connection of [`Event::OpenConnection`](crate::Event::OpenConnection) could not be made, or
    /// not be secured.
    pub fn connection_failed(&mut self, now: Timestamp, id: ConnectionId) {
        self.connection_closed(now, id);
    }

    /// A connection was closed by the other side, or broke, whoever has it: see
    /// [`IceAgent::connection_closed`](crate::IceAgent::connection_closed).
    pub fn connection_closed(&mut self, now: Timestamp, id: ConnectionId) {
        self.advance(now);
        match self.stream_owner(id) {
            Some(session) => {
                self.drive(session, |agent| agent.connection_closed(now, id));
            }
            None => {
                self.streams.take(id);
            }
        }
    }

    /// The next connection that is to be closed since no session has it: it has not said in time whose
    /// it is, or its session has been removed. Call it until it returns `None` after every input.
    pub fn poll_close(&mut self) -> Option<ConnectionId> {
        self.streams.closing.pop_front()
    }

    /// The session that has a connection. One that has been accepted has none until its first message
    /// is there.
    #[must_use]
    pub fn connection_session(&self, id: ConnectionId) -> Option<SessionId> {
        self.stream_owner(id)
    }

    /// How many connections are pending.
    #[must_use]
    pub fn pending_connections(&self) -> usize {
        self.streams.pending.len()
    }

    fn stream_owner(&self, id: ConnectionId) -> Option<SessionId> {
        let place = self.streams.owners.get(self.hash_stream(id))?;
        self.sessions.at(place).map(|session| session.id)
    }

    /// Enters the connections that an agent has now, and forgets those that it has no more.
    pub(super) fn update_streams(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(id) else { return };
        let wanted: SmallVec<[ConnectionId; 4]> = session.agent.connections().collect();
        let revision = session.agent.connections_revision();
        let gone = session.connections.iter().filter(|known| !wanted.contains(known));
        let gone: SmallVec<[u64; 4]> = gone.map(|gone| self.hash_stream(*gone)).collect();
        for hash in gone {
            self.streams.owners.remove(hash);
        }
        for &connection in &wanted {
            self.streams.owners.set(self.hash_stream(connection), id.place);
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.connections = wanted.to_vec();
            session.connections_revision = revision;
        }
    }

    /// The agent of a session is about to go, or gone: its connections are to be closed.
    pub(super) fn forget_streams(
        &mut self,
        session: &Session,
        told: impl Iterator<Item = ConnectionId>,
    ) {
        for &connection in &session.connections {
            self.streams.owners.remove(self.hash_stream(connection));
        }
        self.streams.close_all(told);
    }

    /// Closes what has been silent for too long.
    pub(super) fn expire_pending(&mut self) {
        while let Some(oldest) = self.streams.pending.first_entry() {
            if oldest.get().until > self.now {
                return;
            }
            let id = *oldest.key();
            self.streams.close(id);
            self.counters.refuse(MuxRefused::SilentConnection);
        }
    }

    fn hash_stream(&self, id: ConnectionId) -> u64 {
        self.hash_key.hash_words(&[id.get()])
    }
}

/// The address of the network that a connection comes from: what one host has for itself alone.
fn network_of(remote: SocketAddr) -> SocketAddr {
    let ip = match remote.ip() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
    };
    SocketAddr::new(ip, 0)
}
