//! An agent that writes down what it is given.

use core::net::SocketAddr;
use core::ops::Deref;

use crate::agent::IceAgent;
use crate::agent::SendError;
use crate::agent::io::{Event, Outgoing, Received, Transmit};
use crate::candidate::Transport;
use crate::config::{AgentConfig, ConfigError};
use crate::id::{ConnectionId, StreamId};
use crate::stun;
use crate::time::Timestamp;
use crate::trace::TraceEvent;

use super::calls::number;
use super::hash::RunningHash;
use super::outputs::{Output, Sent, put_waiting};
use super::payload::Outline;
use super::wire::{Put, Sink as _};
use super::{MAGIC, VERSION};

/// How many bytes of a log wait to be taken at most. Beyond that recording ends, at the end of a
/// record.
pub const LOG_LIMIT: usize = 16 * 1024 * 1024;

/// A log grows by so many bytes at once, when there is less than [`ROOM`].
const CHUNK: usize = 8192;
const ROOM: usize = 256;

/// An [`IceAgent`] that records its inputs: it has the same calls, and is read as one.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub(super) agent: IceAgent,
    log: Option<Box<Log>>,
}

/// What has been recorded.
#[derive(Clone, Debug)]
struct Log {
    bytes: Vec<u8>,
    /// The time of the newest call. The agent's own clock, as it never runs backwards either.
    clock: Timestamp,
    /// The time of the newest record.
    recorded: Timestamp,
    hash: RunningHash,
    full: bool,
}

impl Recorder {
    /// Makes an agent, and begins to record. See [`IceAgent::new`].
    ///
    /// # Errors
    /// As for an agent.
    pub fn new(config: AgentConfig, seed: [u8; 32]) -> Result<Self, ConfigError> {
        let mut bytes = Vec::with_capacity(CHUNK);
        bytes.extend_from_slice(MAGIC);
        VERSION.put(&mut bytes);
        config.put(&mut bytes);
        seed.put(&mut bytes);
        let log = Log {
            bytes,
            clock: Timestamp::ZERO,
            recorded: Timestamp::ZERO,
            hash: RunningHash::default(),
            full: false,
        };
        Ok(Self { agent: IceAgent::new(config, seed)?, log: Some(Box::new(log)) })
    }

    /// An agent that is not recorded, for a program that records on request.
    #[must_use]
    pub const fn without_log(agent: IceAgent) -> Self {
        Self { agent, log: None }
    }

    /// The agent. What is done to it from now on is not recorded.
    #[must_use]
    pub fn into_agent(self) -> IceAgent {
        self.agent
    }

    /// What has been recorded since the last call, to be appended to what it gave before. Legal at
    /// any time; empty for an agent that is not recorded.
    #[must_use]
    pub fn take_log(&mut self) -> Vec<u8> {
        self.log.as_mut().map(|log| core::mem::take(&mut log.bytes)).unwrap_or_default()
    }

    /// Whether recording has ended, since [`LOG_LIMIT`] bytes were not taken in time.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.log.as_ref().is_some_and(|log| log.full)
    }

    /// [`IceAgent::handle_datagram`], recorded. Of application data the content is left out.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Timestamp,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &'a [u8],
    ) -> Received<'a> {
        let received = self.agent.handle_datagram(now, transport, local, remote, datagram);
        if self.begin(number::handle_datagram, now) {
            self.argument(&transport);
            self.argument(&local);
            self.argument(&remote);
            let data = matches!(received, Received::Data { .. }) && !stun::is_stun(datagram);
            self.argument(&if data { Outline::First(datagram) } else { Outline::Whole(datagram) });
        }
        self.end(&received);
        received
    }

    /// [`IceAgent::send`], recorded. The content is left out.
    ///
    /// # Errors
    /// As for an agent.
    pub fn send<'a>(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        component: u16,
        payload: &'a [u8],
    ) -> Result<Outgoing<'a>, SendError> {
        let sent = self.agent.send(now, stream, component, payload);
        if self.begin(number::send, now) {
            self.argument(&stream);
            self.argument(&component);
            let data = !stun::is_stun(payload);
            self.argument(&if data { Outline::First(payload) } else { Outline::Whole(payload) });
        }
        self.end(&sent);
        sent
    }

    /// [`IceAgent::handle_stream`], recorded with the content that was taken off the input.
    pub fn handle_stream<'s, 'i: 's>(
        &'s mut self,
        now: Timestamp,
        id: ConnectionId,
        input: &mut &'i [u8],
    ) -> Received<'s> {
        let before = *input;
        let Self { agent, log } = self;
        let received = agent.handle_stream(now, id, input);
        let taken = before.get(..before.len().saturating_sub(input.len())).unwrap_or(before);
        if let Some(log) = log.as_mut().filter(|log| !log.full) {
            log.begin(number::handle_stream, now);
            id.put(&mut log.bytes);
            Outline::Whole(taken).put(&mut log.bytes);
            // What is lent to the caller keeps the agent from being looked at, as after other calls.
            received.put_output(&mut log.hash);
            log.end();
        }
        received
    }

    /// [`IceAgent::handle_timeout`], recorded if something is due: otherwise it does nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let clock = self.log.as_ref().map_or(now, |log| log.clock.max(now));
        let due = self.agent.poll_timeout().is_some_and(|at| at <= clock);
        if !due {
            self.look_at(now);
            return;
        }
        self.agent.handle_timeout(now);
        if self.begin(number::handle_timeout, now) {
            self.end(&());
        }
    }

    /// [`IceAgent::poll_transmit`], recorded.
    pub fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<Transmit> {
        if !self.agent.has_transmit() {
            self.look_at(now);
            return None;
        }
        let transmit = self.agent.poll_transmit(now, buf);
        if self.begin(number::poll_transmit, now) {
            self.end(&Sent { transmit: transmit.as_ref(), buf });
        }
        transmit
    }

    /// [`IceAgent::poll_event`], recorded.
    pub fn poll_event(&mut self, now: Timestamp) -> Option<Event> {
        if !self.agent.has_event() {
            self.look_at(now);
            return None;
        }
        let event = self.agent.poll_event(now);
        if self.begin(number::poll_event, now) {
            self.end(&event);
        }
        event
    }

    /// [`IceAgent::poll_trace`], which is not recorded: it changes nothing that the agent does.
    pub fn poll_trace(&mut self) -> Option<TraceEvent> {
        self.agent.poll_trace()
    }

    /// Begins a record, if there is a log: the [arguments](Self::argument) and the
    /// [end](Self::end) follow.
    pub(super) fn begin(&mut self, call: u8, now: Timestamp) -> bool {
        let Some(log) = self.log.as_mut().filter(|log| !log.full) else { return false };
        log.begin(call, now);
        true
    }

    pub(super) fn argument(&mut self, argument: &impl Put) {
        if let Some(log) = &mut self.log {
            argument.put(&mut log.bytes);
        }
    }

    /// A poll has found nothing: it has moved the clock, and the next record does that as well.
    fn look_at(&mut self, now: Timestamp) {
        self.agent.advance(now);
        if let Some(log) = &mut self.log {
            log.clock = log.clock.max(now);
        }
    }

    /// Ends a record: what the call has put out goes into the hash.
    pub(super) fn end(&mut self, output: &impl Output) {
        let Self { agent, log: Some(log) } = self else { return };
        if log.full {
            return;
        }
        output.put_output(&mut log.hash);
        put_waiting(agent, &mut log.hash);
        log.end();
    }
}

impl Log {
    fn begin(&mut self, call: u8, now: Timestamp) {
        self.clock = self.clock.max(now);
        if self.bytes.capacity().saturating_sub(self.bytes.len()) < ROOM {
            self.bytes.reserve(CHUNK);
        }
        self.bytes.push(call);
        self.bytes.number(self.clock.as_nanos().saturating_sub(self.recorded.as_nanos()));
        self.recorded = self.clock;
    }

    fn end(&mut self) {
        self.bytes.extend_from_slice(&self.hash.check());
        self.full = self.bytes.len() >= LOG_LIMIT;
    }
}

impl Deref for Recorder {
    type Target = IceAgent;

    fn deref(&self) -> &IceAgent {
        &self.agent
    }
}
