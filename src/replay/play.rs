//! A session once more, from its log.

use core::net::SocketAddr;

use crate::agent::IceAgent;
use crate::agent::io::{Event, Received, Transmit};
use crate::candidate::Transport;
use crate::config::{AgentConfig, ConfigError};
use crate::id::{ConnectionId, PairId, StreamId};
use crate::time::Timestamp;

use super::calls::Input;
use super::hash::RunningHash;
use super::outputs::{Output, Sent, put_waiting};
use super::wire::{Malformed, Reader, Take};
use super::{MAGIC, VERSION};

/// Plays a log, one input after the other.
#[derive(Clone, Debug)]
pub struct Replay<'a> {
    rest: Reader<'a>,
    agent: IceAgent,
    config: AgentConfig,
    seed: [u8; 32],
    /// Whether the outputs are compared.
    compares: bool,
    clock: Timestamp,
    hash: RunningHash,
    /// The number of the next input.
    next: u64,
    /// Why it cannot go on.
    failed: Option<ReplayError>,
}

/// One input that was played.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Its number in the log, from 0.
    pub number: u64,
    /// When it came.
    pub at: Timestamp,
    /// The call.
    pub input: Input,
    /// What it gave.
    pub outcome: Outcome,
}

/// What an input gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// What the call returned, in words.
    Returned(String),
    /// What was to be sent, if anything, with its bytes.
    Transmit(Option<(Transmit, Vec<u8>)>),
    /// The event, if there was one.
    Event(Option<Event>),
}

/// Why a log cannot be played, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The bytes do not begin as a log does.
    #[error("not a log of this crate")]
    NotALog,
    /// The format is of another version.
    #[error("the log has version {0} of the format, which is not known here")]
    Version(u64),
    /// The head of the log is not well formed.
    #[error("the head of the log: {0}")]
    Head(Malformed),
    /// This version of the crate makes no agent of the configuration.
    #[error("the configuration: {0}")]
    Config(#[from] ConfigError),
    /// The record of an input is not well formed; `Truncated` for a log whose writer was killed.
    #[error("input {number}: {malformed}")]
    Malformed {
        /// The input, from 0.
        number: u64,
        /// What is wrong.
        malformed: Malformed,
    },
    /// The first input at which this version of the crate does not do what the recorded one did.
    #[error("input {number}, {call}: the agent does not do what it did when it was recorded")]
    Diverged {
        /// The input, from 0.
        number: u64,
        /// When it came.
        at: Timestamp,
        /// The name of the call.
        call: &'static str,
        /// What it gives now.
        outcome: Box<Outcome>,
    },
}

impl<'a> Replay<'a> {
    /// Reads the head of a log and makes its agent.
    ///
    /// # Errors
    /// The head is not one, or this version of the crate makes no agent of it.
    pub fn new(log: &'a [u8]) -> Result<Self, ReplayError> {
        let mut rest = Reader(log);
        if rest.bytes(MAGIC.len()).ok() != Some(MAGIC.as_slice()) {
            return Err(ReplayError::NotALog);
        }
        let version = u64::take(&mut rest).map_err(ReplayError::Head)?;
        if version != VERSION {
            return Err(ReplayError::Version(version));
        }
        let config = AgentConfig::take(&mut rest).map_err(ReplayError::Head)?;
        let seed: [u8; 32] = Take::take(&mut rest).map_err(ReplayError::Head)?;
        Ok(Self {
            rest,
            agent: IceAgent::new(config.clone(), seed)?,
            config,
            seed,
            compares: true,
            clock: Timestamp::ZERO,
            hash: RunningHash::default(),
            next: 0,
            failed: None,
        })
    }

    /// The configuration that was recorded.
    #[must_use]
    pub const fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// The seed that was recorded.
    #[must_use]
    pub const fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// From now on outputs are not compared with what was recorded: to see how a changed version of
    /// the crate goes on after the first difference. What arrives then answers to what was sent at
    /// the time of the recording, so that less and less of it will fit.
    pub const fn ignore_differences(&mut self) {
        self.compares = false;
    }

    /// The agent as it is after the inputs that were played.
    #[must_use]
    pub const fn agent(&self) -> &IceAgent {
        &self.agent
    }

    /// Plays the next input; `None` at the end of the log.
    ///
    /// # Errors
    /// The record is not well formed, or the agent did something else when it was recorded. All
    /// further calls give the same error.
    pub fn step(&mut self) -> Result<Option<Step>, ReplayError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let step = self.play();
        if let Err(error) = &step {
            self.failed = Some(error.clone());
        }
        step.map(Some)
    }

    fn play(&mut self) -> Result<Step, ReplayError> {
        let number = self.next;
        let (at, input, check) =
            self.read().map_err(|malformed| ReplayError::Malformed { number, malformed })?;
        self.next = number.saturating_add(1);
        self.clock = at;
        let outcome = input.make(&mut self.agent, at, &mut self.hash);
        if !matches!(input, Input::HandleStream { .. }) {
            put_waiting(&self.agent, &mut self.hash);
        }
        if self.compares && self.hash.check() != check {
            let (call, outcome) = (input.call(), Box::new(outcome));
            return Err(ReplayError::Diverged { number, at, call, outcome });
        }
        Ok(Step { number, at, input, outcome })
    }

    fn read(&mut self) -> Result<(Timestamp, Input, [u8; 4]), Malformed> {
        let from = &mut self.rest;
        let [call] = from.array()?;
        let at = self.clock + Take::take(from)?;
        let input = Input::take(call, from)?;
        Ok((at, input, from.array()?))
    }
}

fn data(pair: Option<PairId>, payload: &[u8]) -> String {
    let len = payload.len();
    match pair {
        Some(pair) => format!("Data of {len} bytes on pair {}", pair.get()),
        None => format!("Data of {len} bytes on no pair yet"),
    }
}

pub(super) fn handle_datagram(
    agent: &mut IceAgent,
    now: Timestamp,
    transport: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    datagram: &[u8],
    outputs: &mut RunningHash,
) -> Outcome {
    let received = agent.handle_datagram(now, transport, local, remote, datagram);
    received.put_output(outputs);
    Outcome::Returned(match received {
        Received::Data { pair, payload, .. } => data(pair, payload),
        other => format!("{other:?}"),
    })
}

pub(super) fn handle_stream(
    agent: &mut IceAgent,
    now: Timestamp,
    id: ConnectionId,
    input: &[u8],
    outputs: &mut RunningHash,
) -> Outcome {
    let mut rest = input;
    let received = agent.handle_stream(now, id, &mut rest);
    received.put_output(outputs);
    Outcome::Returned(match received {
        Received::Data { pair, payload, .. } => data(pair, payload),
        other => format!("{other:?}"),
    })
}

pub(super) fn send(
    agent: &mut IceAgent,
    now: Timestamp,
    stream: StreamId,
    component: u16,
    payload: &[u8],
    outputs: &mut RunningHash,
) -> Outcome {
    let sent = agent.send(now, stream, component, payload);
    sent.put_output(outputs);
    Outcome::Returned(match sent {
        Ok(out) => format!("{} bytes on pair {}", out.payload().len(), out.pair.get()),
        Err(error) => format!("{error:?}"),
    })
}

pub(super) fn poll_transmit(
    agent: &mut IceAgent,
    now: Timestamp,
    outputs: &mut RunningHash,
) -> Outcome {
    let mut buf = Vec::new();
    let transmit = agent.poll_transmit(now, &mut buf);
    Sent { transmit: transmit.as_ref(), buf: &buf }.put_output(outputs);
    Outcome::Transmit(transmit.map(|transmit| (transmit, buf)))
}

pub(super) fn handle_timeout(agent: &mut IceAgent, now: Timestamp, _: &mut RunningHash) -> Outcome {
    agent.handle_timeout(now);
    Outcome::Returned("()".to_owned())
}

pub(super) fn poll_event(
    agent: &mut IceAgent,
    now: Timestamp,
    outputs: &mut RunningHash,
) -> Outcome {
    let event = agent.poll_event(now);
    event.put_output(outputs);
    Outcome::Event(event)
}
