//! What can go wrong in a world.

use super::node::AgentIndex;
use super::topology::AddAddressError;
use super::turn_server::TurnConfigError;
use crate::agent::AddLocalError;
use crate::time::Timestamp;

/// What went wrong in a world: an agent broke the contract between it and its driver, or a call
/// named an agent of another world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// There is no such agent.
    #[error("no agent {}", .0.get())]
    UnknownAgent(AgentIndex),
    /// A timeout was handled and all output drained, and yet the deadline is not later: a driver
    /// would spin.
    #[error("agent {} is still due at {deadline:?} after its timeout at {at:?}", .agent.get())]
    Spin {
        /// The agent.
        agent: AgentIndex,
        /// When its timeout was handled.
        at: Timestamp,
        /// Its deadline afterwards.
        deadline: Timestamp,
    },
    /// The output of an input does not end, or the inputs at one instant do not.
    #[error("agent {} does not come to rest at {at:?}", .agent.get())]
    Endless {
        /// The agent.
        agent: AgentIndex,
        /// The instant that does not end.
        at: Timestamp,
    },
    /// A transmit whose range is not within the buffer.
    #[error("agent {} has a transmit outside of the buffer at {at:?}", .agent.get())]
    TransmitRange {
        /// The agent.
        agent: AgentIndex,
        /// When it was polled.
        at: Timestamp,
    },
}

/// Why a socket was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddSocketError {
    /// There is no such agent.
    #[error("no such agent")]
    UnknownAgent,
    /// The agent has no stream.
    #[error("the agent has no stream")]
    NoStream,
    /// The agent has no socket to move.
    #[error("the agent has no socket")]
    NoSocket,
    /// The host cannot have the address.
    #[error("addr: {0}")]
    Address(#[from] AddAddressError),
    /// The agent does not want the address.
    #[error("addr: {0}")]
    Local(#[from] AddLocalError),
}

/// Why a server was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddServerError {
    /// There can be no such server.
    #[error("config: {0}")]
    Config(#[from] TurnConfigError),
    /// Its host cannot have an address.
    #[error("address: {0}")]
    Address(#[from] AddAddressError),
}

/// Why nothing is obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ObtainError {
    /// There is no such agent.
    #[error("no such agent")]
    UnknownAgent,
    /// There is no such server.
    #[error("no such server")]
    UnknownServer,
    /// No client could take the server's first user for its own.
    #[error("the credentials of the server's user cannot be used")]
    Credentials,
    /// The agent refuses the server.
    #[error("refused: {0}")]
    Refused(#[from] crate::agent::AddServerError),
}
