//! Why a call was refused: one enum for each call, each variant naming what is wrong.

use crate::policy::Filtered;

/// Why a stream was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddStreamError {
    /// A stream has 1 to 256 components.
    #[error("a stream has 1 to 256 components")]
    Components,
    /// `limits.streams` are there.
    #[error("the limit of streams is reached")]
    Limit,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a server was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddServerError {
    /// A TURN server takes nobody without a username and password (RFC 8656 §5).
    #[error("credentials: a TURN server needs them")]
    MissingCredentials,
    /// A STUN server that is reached over TCP, TLS or DTLS sees the address of that connection,
    /// which is no candidate.
    #[error("uri: a STUN server is of use over UDP alone")]
    NoCandidates,
    /// `policies` gather nothing that this server could give.
    #[error("policies: nothing that the server gives is gathered")]
    Policy,
    /// A lite agent has host candidates only (RFC 8445 §5.2).
    #[error("a lite agent asks no servers")]
    Lite,
    /// `limits.servers` are there.
    #[error("the limit of servers is reached")]
    Limit,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a local address did not become a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddLocalError {
    /// There is no such stream or component.
    #[error("no such stream or component")]
    UnknownComponent,
    /// Simultaneous opens (RFC 6544 §4.1) are read, but not made.
    #[error("transport: TCP simultaneous-open is not supported")]
    SimultaneousOpen,
    /// A relayed address is one of UDP.
    #[error("transport: a relayed address is one of UDP")]
    Transport,
    /// The port is zero.
    #[error("addr: the port is zero")]
    Port,
    /// The address is unspecified, multicast or broadcast.
    #[error("addr: not a unicast address")]
    NotUnicast,
    /// The address is a loopback one, and `config.loopback` is off (RFC 8445 §5.1.1.1).
    #[error("addr: loopback addresses are not enabled")]
    Loopback,
    /// The address is marked as deprecated, IPv4-compatible or site-local (RFC 8445 §5.1.1.1).
    #[error("addr: deprecated")]
    Deprecated,
    /// A temporary address of the same interface is used instead (RFC 8445 §5.1.1.1).
    #[error("addr: a temporary address of this interface takes its place")]
    TemporaryPreferred,
    /// A candidate with this address exists.
    #[error("addr: already added")]
    Duplicate,
    /// `policies.local` does not let it be used.
    #[error("addr: {0}")]
    Filtered(#[from] Filtered),
    /// Nothing that is gathered could come of it: by `policies`, or by its own `usage`.
    #[error("policies: nothing is gathered from this address")]
    Policy,
    /// The base of a reflexive address was not added to this component.
    #[error("base: no such local address in this component")]
    UnknownBase,
    /// A lite agent has host candidates only, one for each IP address and component (RFC 8445 §5.2).
    #[error("addr: a lite agent has one host candidate for each address and component")]
    LiteAddress,
    /// Gathering is complete: no more candidates in this generation (RFC 8838 §13).
    #[error("gathering is complete for this generation")]
    GatheringComplete,
    /// Nomination has concluded for this component, and `config.continual` is off (RFC 8838 §13).
    #[error("nomination has concluded for this generation")]
    Concluded,
    /// There is no such candidate, or it is one that the agent has learned of by itself.
    #[error("no such candidate")]
    UnknownCandidate,
    /// `limits.local_candidates` are there.
    #[error("the limit of local candidates is reached")]
    Limit,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a connection that somebody has opened was not taken. It is the caller's to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// No passive TCP candidate has this address.
    #[error("local: no passive TCP candidate has this address")]
    UnknownLocal,
    /// `limits.connections` are there, or `limits.unproven_connections` that have brought nothing.
    #[error("the limit of connections is reached")]
    Limit,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a local candidate was not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveLocalError {
    /// There is no such candidate, or it is one that the agent has learned of by itself.
    #[error("no such candidate")]
    UnknownCandidate,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why the peer's parameters were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetRemoteError {
    /// Only one of username fragment and password is new: a restart changes both (RFC 8445 §9).
    #[error("credentials: a restart changes both username fragment and password")]
    PartialRestart,
    /// The credentials are those of an earlier generation.
    #[error("credentials: of an earlier generation")]
    PastGeneration,
    /// The peer changes between lite and full without a restart (RFC 8445 §9).
    #[error("lite: only a restart can change it")]
    Lite,
    /// The proposed pacing is above ten seconds.
    #[error("pacing: must be at most 10 s")]
    Pacing,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a restart was not staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// The peer's parameters are not known yet, so there is no session to restart.
    #[error("not started: the remote parameters are not known yet")]
    NotStarted,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a pair was not nominated again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenominateError {
    /// The peer nominates, not this side.
    #[error("the role is controlled")]
    NotControlling,
    /// Not both sides offer the option `renomination`, or there is no peer yet.
    #[error("renomination was not negotiated")]
    NotNegotiated,
    /// There is no such pair in this generation.
    #[error("no such pair")]
    UnknownPair,
    /// No check of the pair has succeeded, or its consent has ended.
    #[error("the pair is not valid")]
    NotValid,
    /// No pair is selected yet that could be left: the first nomination is the agent's.
    #[error("no pair is selected yet")]
    NotSelectedYet,
    /// The pair is selected already.
    #[error("the pair is selected already")]
    Selected,
    /// All values of 24 bits have been used; a restart begins anew.
    #[error("all nomination values have been used")]
    Exhausted,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}

/// Why a remote candidate was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddRemoteError {
    /// There is no such stream, or it has no such component (RFC 8445 §6.1.2.2).
    #[error("no such stream or component")]
    UnknownComponent,
    /// Simultaneous opens (RFC 6544 §4.1) are read, but not made.
    #[error("transport: TCP simultaneous-open is not supported")]
    SimultaneousOpen,
    /// The address is a name, and not one of multicast DNS, or `config.mdns` is off.
    #[error("address: a name that is not resolved")]
    Name,
    /// `policies.remote` does not let it be sent to.
    #[error("address: {0}")]
    Filtered(#[from] Filtered),
    /// The port is zero.
    #[error("address: the port is zero")]
    Port,
    /// The address is unspecified, multicast or broadcast.
    #[error("address: not a unicast address")]
    NotUnicast,
    /// The address is a loopback one, and `config.loopback` is off.
    #[error("address: loopback addresses are not enabled")]
    Loopback,
    /// Its `ufrag` extension names a generation that has ended.
    #[error("ufrag: an earlier generation")]
    PastGeneration,
    /// The peer has said that no more will come (RFC 8838 §14).
    #[error("after the end of candidates")]
    AfterEnd,
    /// `limits.remote_candidates` are there.
    #[error("the limit of remote candidates is reached")]
    Limit,
    /// The agent is closed.
    #[error("the agent is closed")]
    Closed,
}
