//! Signalling between two agents: reliable, in order, with a delay of its own.
//!
//! Candidates travel as the text of their SDP attribute, streams as their position in the session,
//! since that is all that two peers have in common.

use core::time::Duration;
use std::collections::BTreeMap;

use super::node::AgentIndex;
use crate::agent::io::{Description, Parameters};
use crate::agent::{AddRemoteError, IceAgent, SetRemoteError};
use crate::candidate::{Candidate, CandidateParseError};
use crate::id::StreamId;
use crate::time::Timestamp;

/// What one side tells the other.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Its parameters.
    Parameters(Parameters),
    /// One candidate (RFC 8838).
    Candidate {
        /// The position of its stream, from 0.
        stream: usize,
        /// The candidate attribute.
        line: String,
    },
    /// No more candidates follow (RFC 8838 §14).
    EndOfCandidates {
        /// The generation that has ended; the current one when absent.
        ufrag: Option<String>,
    },
    /// Everything at once, as without trickle.
    Description {
        /// Its parameters.
        parameters: Parameters,
        /// The positions of streams and candidate attributes.
        candidates: Vec<(usize, String)>,
        /// No more candidates follow.
        end_of_candidates: bool,
    },
}

impl Signal {
    /// A candidate of a local agent, in its written form.
    pub(super) fn candidate(agent: &IceAgent, stream: StreamId, candidate: &Candidate) -> Self {
        Self::Candidate { stream: position(agent, stream), line: candidate.to_string() }
    }

    /// The description of a local agent, in its written form.
    pub(super) fn description(agent: &IceAgent, description: Description) -> Self {
        let written =
            |(stream, candidate): (_, Candidate)| (position(agent, stream), candidate.to_string());
        Self::Description {
            parameters: description.parameters,
            candidates: description.candidates.into_iter().map(written).collect(),
            end_of_candidates: description.end_of_candidates,
        }
    }

    /// Tells it to the agent. What the agent refuses does not keep the rest from it.
    pub(super) fn apply(self, agent: &mut IceAgent, now: Timestamp) -> Vec<SignalError> {
        let mut refused = Vec::new();
        match self {
            Self::Parameters(parameters) => {
                refused.extend(agent.set_remote(now, parameters).err().map(SignalError::from));
            }
            Self::Candidate { stream, line } => {
                refused.extend(add_candidate(agent, now, stream, &line).err());
            }
            Self::EndOfCandidates { ufrag } => {
                agent.end_of_remote_candidates(now, ufrag.as_deref());
            }
            Self::Description { parameters, candidates, end_of_candidates } => {
                refused.extend(agent.set_remote(now, parameters).err().map(SignalError::from));
                for (stream, line) in candidates {
                    refused.extend(add_candidate(agent, now, stream, &line).err());
                }
                if end_of_candidates {
                    agent.end_of_remote_candidates(now, None);
                }
            }
        }
        refused
    }
}

/// Why an agent refused what was signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// The parameters.
    #[error("parameters: {0}")]
    Parameters(#[from] SetRemoteError),
    /// A line that is no candidate attribute.
    #[error("candidate: {0}")]
    Line(#[from] CandidateParseError),
    /// A candidate.
    #[error("candidate: {0}")]
    Candidate(#[from] AddRemoteError),
    /// A candidate for a stream that this side does not have.
    #[error("candidate: no stream {0}")]
    Stream(usize),
}

fn add_candidate(
    agent: &mut IceAgent,
    now: Timestamp,
    stream: usize,
    line: &str,
) -> Result<(), SignalError> {
    let candidate: Candidate = line.parse()?;
    let stream = agent.streams().nth(stream).ok_or(SignalError::Stream(stream))?;
    agent.add_remote_candidate(now, stream, &candidate)?;
    Ok(())
}

/// `usize::MAX`, which no peer has, for a stream that is gone.
fn position(agent: &IceAgent, stream: StreamId) -> usize {
    agent.streams().position(|other| other == stream).unwrap_or(usize::MAX)
}

/// The signals on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Channel {
    sequence: u64,
    queue: BTreeMap<(Timestamp, u64), (AgentIndex, Signal)>,
}

impl Channel {
    pub(super) fn send(&mut self, at: Timestamp, to: AgentIndex, signal: Signal) {
        self.queue.insert((at, self.sequence), (to, signal));
        self.sequence = self.sequence.saturating_add(1);
    }

    pub(super) fn next(&self) -> Option<(Timestamp, AgentIndex)> {
        self.queue.first_key_value().map(|((at, _), (to, _))| (*at, *to))
    }

    pub(super) fn receive(&mut self) -> Option<(AgentIndex, Signal)> {
        self.queue.pop_first().map(|(_, signal)| signal)
    }
}

/// One side's end of the channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    /// The other side, once there is one.
    pub(super) peer: Option<AgentIndex>,
    /// The time that every signal takes.
    pub(super) delay: Duration,
    /// This side has been started: its parameters are the first thing that its peer hears.
    pub(super) started: bool,
    /// What waits for the peer and the start.
    held: Vec<Signal>,
    /// When the last signal arrives; none overtakes it.
    last: Timestamp,
}

impl Outbox {
    pub(super) fn hold(&mut self, signal: Signal) {
        self.held.push(signal);
    }

    pub(super) fn flush(&mut self, now: Timestamp, channel: &mut Channel) {
        let Some(peer) = self.peer.filter(|_| self.started) else { return };
        for signal in self.held.drain(..) {
            self.last = self.last.max(now + self.delay);
            channel.send(self.last, peer, signal);
        }
    }

    /// Puts a signal before everything that is held.
    pub(super) fn hold_first(&mut self, signal: Signal) {
        self.held.insert(0, signal);
    }
}
