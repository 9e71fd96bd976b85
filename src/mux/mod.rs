//! Many agents behind shared UDP sockets and TCP listeners.
//!
//! | file | |
//! |---|---|
//! | `sessions` | the agents by their ids, and what the tables hold of each |
//! | `route` | whose a datagram is |
//! | `paths` | which session has a path, when several would take what arrives on it |
//! | `names` | username fragments and sockets of one session |
//! | `streams` | TCP connections, and those of which it is not known yet whose they are |
//! | `pace` | 5 ms between the transactions of all |
//! | `timers`, `table` | a heap that knows its members' positions; a table by keyed hash |
//!
//! Whatever is done to an agent is followed by [`Mux::reindex`], which compares a few numbers and
//! mends the tables where they differ. The agents know nothing of each other, and nothing of this
//! module but what a [tag](crate::random::Tag) in their transaction ids tells.

mod names;
mod pace;
mod paths;
mod received;
mod route;
mod sessions;
mod streams;
mod table;
mod timers;

use std::collections::VecDeque;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::agent::IceAgent;
use crate::agent::io::{Event, Transmit};
use crate::random::Tag;
use crate::siphash::HashKey;
use crate::time::Timestamp;

pub use names::SocketError;
use pace::Pace;
use paths::Owner;
pub use received::{MuxCounters, MuxIgnored, MuxReceived, MuxRefused};
pub use sessions::SessionId;
use sessions::{Session, Sessions};
use streams::Streams;
pub use streams::{MuxAcceptError, MuxLimits};
use table::Table;
use timers::Timers;

/// How a [`Mux`] works.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MuxConfig {
    /// Keeps 5 ms between the transactions of all agents together, as RFC 8445 §14.2 wants it of
    /// one host: their starts and their repetitions, each in its turn. It makes two hundred of them
    /// a second at most. Consent checks keep the pace of RFC 7675 alone.
    pub pacing: bool,
    /// Bounds of TCP connections that have proved nothing.
    pub limits: MuxLimits,
}

/// Many [`IceAgent`]s behind shared UDP sockets and TCP listeners, driven like one of them.
///
/// ```
/// use frazil::{AgentConfig, IceAgent, LocalAddress, Mux, MuxConfig, Role, Timestamp};
///
/// let now = Timestamp::ZERO;
/// let mut mux = Mux::new(MuxConfig::default(), [1; 32]);
/// let agent = IceAgent::new(AgentConfig::new(Role::Controlled), [2; 32])?;
/// let session = mux.insert(now, agent)?;
///
/// // Whatever is to be done with an agent is done in `with`.
/// let socket = LocalAddress::udp("192.0.2.1:3478".parse()?);
/// mux.with(now, session, |agent| {
///     let stream = agent.streams().next().expect("the configuration starts with one");
///     agent.add_local(now, stream, 1, socket)
/// }).expect("the session is there")?;
///
/// // What an agent would say by itself comes with the id of its session.
/// assert_eq!(mux.poll_event(now).map(|(id, _)| id), Some(session));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Whose a datagram is
///
/// * A Binding request: of the session that has the first part of its USERNAME as a username
///   fragment, of the current generation, a staged one, or one before that is not forgotten. Whoever
///   has none costs one look-up, and is not answered.
/// * A response: of the session that its transaction id names. The ids are made so that no table is
///   needed, and look random to everybody else.
/// * Anything else: of the session that has the path, by both its addresses. A session gets a path
///   when an authenticated message has arrived on it, and loses it with the last pair of candidates
///   that has it. No packet that is not authenticated moves a path.
///
/// A TCP connection belongs to the session that the first message on it names, and then for ever:
/// [`connection_accepted`](Self::connection_accepted).
///
/// When a second session comes to a path that another one has, as when a NAT gives a port to
/// another client, or between two `Mux`es that have one socket each:
///
/// 1. It gets the path when the other one has given no sign of life there for ten seconds, or has
///    lost its pair.
/// 2. Otherwise it gets it once it is *proved* there: the peer has answered a check of its own, so
///    that it does receive at that address. A request proves nothing of the kind, since its source
///    may be forged: with that alone nobody takes a path from a session that is alive. This is
///    also the rule between lite agents, which check nothing.
/// 3. If the session that has lost it so is proved there anew afterwards, both are alive, and nothing
///    in a packet of data tells whose it is. For thirty seconds from each such proof it is handed out
///    as [`MuxReceived::Shared`], and to neither. Checks, answers and consent work all the same.
///
/// # What it costs
///
/// The work for a datagram, or for a message on a connection, does not grow with the number of sessions, that for a timeout with its
/// logarithm. The order in which sessions come out of
/// [`poll_transmit`](Self::poll_transmit) is that in which they had something to send. Equal seeds,
/// agents and inputs give equal outputs. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Mux {
    now: Timestamp,
    /// Of the tables.
    hash_key: HashKey,
    /// Of the transaction ids.
    tag_key: HashKey,
    sessions: Sessions,
    /// The place of the session that has a username fragment.
    ufrags: Table<u32>,
    /// The place of the session that has a local address for itself.
    sockets: Table<u32>,
    paths: Table<Owner>,
    streams: Streams,
    timers: Timers,
    sending: VecDeque<SessionId>,
    telling: VecDeque<SessionId>,
    pace: Option<Pace>,
    counters: MuxCounters,
}

/// An agent that was not taken, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct InsertError {
    /// Why.
    pub reason: InsertRefused,
    /// The agent, as it was.
    pub agent: Box<IceAgent>,
}

/// Why an agent was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsertRefused {
    /// Another session has the same username fragment.
    #[error("another session has this username fragment")]
    UfragTaken,
    /// It has connections already, or has asked for some: their ids may be those of others.
    #[error("it has connections whose ids may be those of others")]
    Connections,
    /// There are four million sessions.
    #[error("there is no room for another session")]
    Full,
}

impl Mux {
    /// An empty one. The seed must be unpredictable, as that of an agent; it keys the tables and the
    /// transaction ids.
    #[must_use]
    pub fn new(config: MuxConfig, seed: [u8; 32]) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        let mut key = || HashKey::new([rng.next_u64(), rng.next_u64()]);
        Self {
            now: Timestamp::ZERO,
            hash_key: key(),
            tag_key: key(),
            sessions: Sessions::default(),
            ufrags: Table::default(),
            sockets: Table::default(),
            paths: Table::default(),
            streams: Streams::new(config.limits),
            timers: Timers::default(),
            sending: VecDeque::new(),
            telling: VecDeque::new(),
            pace: config.pacing.then(Pace::default),
            counters: MuxCounters::default(),
        }
    }

    /// Takes an agent in. Best before it has been told of its peer: answers to what it has sent
    /// before find nobody here.
    ///
    /// # Errors
    /// Its username fragment is that of another session, it has connections, or there is no room.
    pub fn insert(&mut self, now: Timestamp, agent: IceAgent) -> Result<SessionId, InsertError> {
        self.advance(now);
        if agent.ufrags().any(|ufrag| self.ufrags.get(self.hash_ufrag(ufrag.as_bytes())).is_some())
        {
            return Err(InsertError { reason: InsertRefused::UfragTaken, agent: Box::new(agent) });
        }
        if agent.connections().next().is_some() {
            return Err(InsertError { reason: InsertRefused::Connections, agent: Box::new(agent) });
        }
        let Some(id) = self.sessions.vacant() else {
            return Err(InsertError { reason: InsertRefused::Full, agent: Box::new(agent) });
        };
        let mut session = Session::new(id, agent);
        session.agent.set_tag(Some(Tag { key: self.tag_key, session: id.tag() }));
        self.sessions.fill(session);
        self.index_anew(id);
        Ok(id)
    }

    /// Takes an agent out, at any time. What it has not sent and told yet is still in it. Its
    /// connections are to be closed, as [`poll_close`](Self::poll_close) says; if it goes on
    /// elsewhere, it opens others.
    pub fn remove(&mut self, id: SessionId) -> Option<IceAgent> {
        let mut session = self.sessions.remove(id)?;
        self.timers.set(id.place, None);
        self.forget_names(&session);
        self.forget_paths(&session);
        self.forget_streams(&session, session.agent.connections_told());
        session.agent.leave_connections();
        session.agent.set_tag(None);
        session.agent.hold(Timestamp::ZERO);
        // Who never polls does not make the lists grow.
        let room = self.sessions.len().saturating_mul(2).saturating_add(16);
        for list in [&mut self.sending, &mut self.telling] {
            if list.len() > room {
                list.retain(|&id| self.sessions.get(id).is_some());
            }
        }
        Some(session.agent)
    }

    /// Does something with an agent, whatever it be; `None` when there is no such session.
    pub fn with<R>(
        &mut self,
        now: Timestamp,
        id: SessionId,
        act: impl FnOnce(&mut IceAgent) -> R,
    ) -> Option<R> {
        self.advance(now);
        let result = self.drive(id, act)?;
        let tag = Tag { key: self.tag_key, session: id.tag() };
        let session = self.sessions.get_mut(id)?;
        if session.agent.tag() != Some(&tag) {
            // It was replaced by another one.
            session.agent.set_tag(Some(tag));
            // The ids of its own connections may be those of others.
            session.agent.leave_connections();
            self.streams.close_all(session.connections.iter().copied());
            self.index_anew(id);
        }
        Some(result)
    }

    /// What is due is done, in all agents. Legal at any time; before the deadline nothing is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        self.expire_pending();
        // Each is looked at once: an agent has nothing due at `now` any more after that.
        for _ in 0..self.sessions.len() {
            let due = self.timers.first().filter(|(at, _)| *at <= self.now);
            let Some(session) = due.and_then(|(_, place)| self.sessions.at(place)) else { return };
            self.drive(session.id, |agent| agent.handle_timeout(now));
        }
    }

    /// The next message to send and whose it is, written to the end of `buf`. Call it until it
    /// returns `None` after every input.
    pub fn poll_transmit(
        &mut self,
        now: Timestamp,
        buf: &mut Vec<u8>,
    ) -> Option<(SessionId, Transmit)> {
        self.advance(now);
        loop {
            let id = *self.sending.front()?;
            let Some(session) = self.sessions.get_mut(id) else {
                self.sending.pop_front();
                continue;
            };
            let transmit = session.agent.poll_transmit(now, buf);
            if transmit.is_none() || !session.agent.has_transmit() {
                session.sends = false;
                self.sending.pop_front();
            }
            if let Some(transmit) = transmit {
                return Some((id, transmit));
            }
        }
    }

    /// The next event and whose it is. Call it until it returns `None` after every input; transmits
    /// may follow.
    pub fn poll_event(&mut self, now: Timestamp) -> Option<(SessionId, Event)> {
        self.advance(now);
        loop {
            let id = *self.telling.front()?;
            let event = self.drive(id, |agent| agent.poll_event(now)).flatten();
            let session = self.sessions.get_mut(id);
            let more = event.is_some()
                && session.as_ref().is_some_and(|session| session.agent.has_event());
            if !more {
                self.telling.pop_front();
                if let Some(session) = session {
                    session.tells = false;
                }
            }
            if let Some(event) = event {
                return Some((id, event));
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let agents = self.timers.first().map(|(at, _)| at);
        agents.into_iter().chain(self.streams.deadline()).min()
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, id: SessionId) -> Option<&IceAgent> {
        self.sessions.get(id).map(|session| &session.agent)
    }

    /// All agents, by the places of their sessions.
    pub fn agents(&self) -> impl Iterator<Item = (SessionId, &IceAgent)> {
        self.sessions.iter().map(|session| (session.id, &session.agent))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What found no session so far. What an agent has refused stands in its own
    /// [`counters`](IceAgent::counters).
    #[must_use]
    pub const fn counters(&self) -> &MuxCounters {
        &self.counters
    }

    /// Brings the clock forward, never back.
    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Does something with an agent, and brings the tables in line with it.
    fn drive<R>(&mut self, id: SessionId, act: impl FnOnce(&mut IceAgent) -> R) -> Option<R> {
        let session = self.sessions.get_mut(id)?;
        if let Some(pace) = &self.pace {
            session.agent.hold(pace.floor(session.slot));
        }
        session.agent.count_connections_from(self.streams.next);
        let result = act(&mut session.agent);
        self.streams.next = self.streams.next.max(session.agent.next_connection());
        self.reindex(id);
        Some(result)
    }

    fn index_anew(&mut self, id: SessionId) {
        self.update_ufrags(id);
        self.update_paths(id);
        self.update_streams(id);
        self.reindex(id);
    }

    /// Brings the tables in line with an agent: what has not changed costs a few comparisons.
    fn reindex(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(pace) = &mut self.pace {
            session.slot = pace.settle(self.now, &mut session.agent, session.slot);
        }
        let names = session.agent.names() != session.names;
        let paths = session.agent.paths_revision() != session.revision;
        let streams = session.agent.connections_revision() != session.connections_revision;
        if names {
            self.update_ufrags(id);
        }
        if paths {
            self.update_paths(id);
        }
        if streams {
            self.update_streams(id);
        }
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.agent.has_transmit() && !core::mem::replace(&mut session.sends, true) {
            self.sending.push_back(id);
        }
        if session.agent.has_event() && !core::mem::replace(&mut session.tells, true) {
            self.telling.push_back(id);
        }
        self.timers.set(id.place, session.agent.poll_timeout());
    }
}
