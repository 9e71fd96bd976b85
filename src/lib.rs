//! ICE
mod address;
mod agent;
mod candidate;
mod checklist;
mod config;
mod credentials;
mod id;
mod stun;
mod time;

pub use agent::io::{
    CandidateView, Description, Event, GatheringState, Ignored, LocalAddress, Outgoing, Parameters,
    Received, Route, TimeoutReason, Transmit,
};
pub use agent::{
    AddLocalError, AddRemoteError, AddStreamError, ConnectionState, Counters, IceAgent, PairView,
    Refused, SendError, SetRemoteError,
};
pub use candidate::{
    Candidate, CandidateAddress, CandidateKind, CandidateParseError, CandidateTransport,
    Foundation, FoundationError, TcpType, Transport, Unsupported,
};
pub use checklist::PairState;
pub use config::{AgentConfig, ConfigError, Limits, Role, Signalling, Timing};
pub use credentials::{Credentials, CredentialsError};
pub use id::{CandidateId, ConnectionId, PairId, ServerId, StreamId};
pub use time::Timestamp;
