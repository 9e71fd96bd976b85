//! ICE (RFC 8445) as a sans-IO state machine.
//!
//! [`IceAgent`] takes timestamps, datagrams and calls, and gives back transmits, events and one
//! next deadline. It opens no socket, reads no clock, draws no randomness but from its seed,
//! starts no thread.
//!
//! ```toml
//! [dependencies]
//! frazil = "0.1"
//! getrandom = "0.3"   # 32 bytes for the seed, from the system
//!
//! [dev-dependencies]
//! frazil = { version = "0.1", features = ["sim"] }   # your tests on a network without one
//! ```
//!
//! | feature | adds |
//! |---|---|
//! | none | the agent, [`Mux`], everything that a session needs. No feature is on by default. |
//! | `sim` | `sim`, a simulated internet with NATs, firewalls, STUN and TURN, for tests |
//! | `mdns` | `Mdns`, which publishes and resolves the names of multicast DNS |
//! | `replay` | `replay`, sessions that are recorded and played again |
//! | `serde` | [`Stats`] as `serde::Serialize`, by the names of the W3C |
//!
//! # A session
//!
//! ```
//! use frazil::{AgentConfig, Event, IceAgent, LocalAddress, Role, Timestamp};
//!
//! let now = Timestamp::ZERO; // on a real machine: Timestamp::from_duration(start.elapsed())
//! let mut agent = IceAgent::new(AgentConfig::new(Role::Controlling), [7; 32])?;
//! let stream = agent.streams().next().expect("the configuration starts with one");
//!
//! // 1. Tell the agent where the sockets are, and that these are all.
//! agent.add_local(now, stream, 1, LocalAddress::udp("192.0.2.1:5000".parse()?))?;
//! agent.gather(now);
//!
//! // 2. Signal what it says: its parameters, and its candidates as they are polled.
//! let parameters = agent.local_parameters();
//! assert!(parameters.options.contains(&"trickle".to_owned()));
//! while let Some(event) = agent.poll_event(now) {
//!     if let Event::LocalCandidate { candidate, .. } = event {
//!         assert_eq!(candidate.component, 1); // candidate.to_string() is the line for SDP
//!     }
//! }
//!
//! // 3. Tell it what the peer says: `set_remote`, `add_remote_candidate`,
//! //    `end_of_remote_candidates`.
//! // 4. From then on: `handle_datagram` for what arrives, `handle_timeout` at `poll_timeout`,
//! //    and after each of them `poll_transmit` and `poll_event` until both are empty.
//! // 5. Once connected: `send` and `Received::Data`.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The [`guide`] leads from here to a driver in a loop of your own, chapter by chapter. It
//! has whole programs on real sockets, which [block](guide::drivers::blocking), or wait with
//! [`mio`](guide::drivers::mio) or [`tokio`](guide::drivers::tokio). The repository has larger ones:
//! `examples/connect.rs` and `examples/peer.rs`. [`Mux`] holds many agents behind
//! [shared sockets](guide::sessions); `examples/sfu.rs` is a server with it.
//!
//! # What may be relied on
//!
//! * The same configuration, seed and inputs give the same bytes, events and deadlines.
//! * A message that is not authenticated changes nothing but counters.
//! * Everything that a peer can make grow has a bound in [`Limits`]; what was refused is counted in
//!   [`Counters`].
//! * No input panics. A datagram that is not for the agent is [`Received::Ignored`] with a reason;
//!   a call that makes no sense is an error that names what is wrong, and changes nothing.
//! * [`IceAgent`] is `Clone + Send + Sync`: a clone is a snapshot.
//!
//! # What is not there yet
//!
//! Simultaneous opens of ICE-TCP: they are refused where they would be asked for. Of TURN (RFC 8656)
//! EVEN-PORT and RESERVATION-TOKEN. When the last path of a component is lost,
//! [`Event::RestartNeeded`] says so, and only a restart can connect again.
#![cfg_attr(feature = "mdns", doc = "\n[`Mdns`] publishes and resolves names by itself.")]
#![cfg_attr(feature = "sim", doc = "\n[`sim`] is a network to test on, without any network.")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
// No input may panic, overflow or loop: what could is not written, tests aside.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

mod address;
mod agent;
mod candidate;
mod checklist;
mod config;
mod credentials;
mod description;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gather;
pub mod guide;
mod id;
mod mdns;
mod mux;
mod policy;
mod random;
#[cfg(feature = "replay")]
pub mod replay;
#[cfg(feature = "sim")]
pub mod sim;
mod siphash;
mod stun;
mod tcp;
mod time;
pub mod trace;
mod turn;
mod uri;

pub use agent::io::{
    CandidateView, ConnectionSecurity, Description, Event, GatheringState, Ignored, LocalAddress,
    Origin, Outgoing, Parameters, Received, Route, TimeoutReason, Transmit,
};
pub use agent::{
    AcceptError, AddLocalError, AddRemoteError, AddServerError, AddStreamError, CandidateStats,
    Choice, ConnectionState, Counters, EmbedError, Embedding, EmbeddingSupport, Explanation,
    IceAgent, IcmpError, LossReason, PairExplanation, PairReason, PairStats, PairView, Refused,
    Rejected, RejectedCandidate, RemoveLocalError, RenominateError, RestartError, SendError,
    ServerExplanation, ServerSituation, SetRemoteError, Stats, TransmitError, TransportStats,
    Verdict,
};
pub use candidate::{
    Candidate, CandidateAddress, CandidateKind, CandidateParseError, CandidateTransport,
    Foundation, FoundationError, TcpType, Transport, Unsupported,
};
pub use checklist::{PairCause, PairState};
pub use config::{
    AgentConfig, ConfigError, Limits, MdnsMode, NominationMode, Role, Signalling, Timing,
};
pub use credentials::{Credentials, CredentialsError, UfragPrefix};
pub use description::{
    AttributeError, IceAttributes, IgnoredLine, IgnoredReason, MediaIceAttributes, RemoteCandidate,
};
pub use gather::{RelayFamilies, Server, ServerCredentials, ServerCredentialsError, ServerFailure};
pub use id::{CandidateId, ConnectionId, LookupId, PairId, ServerId, SocketId, StreamId};
pub use mdns::{MdnsName, MdnsNameError};
pub use mux::{
    InsertError, InsertRefused, Mux, MuxAcceptError, MuxConfig, MuxCounters, MuxIgnored, MuxLimits,
    MuxReceived, MuxRefused, SessionId, SocketError,
};
pub use policy::{
    AcceptanceWaits, AddressHandling, AddressRewriteRule, AddressRewriteRules, AddressUse,
    Filtered, InterfaceKind, IpPrefix, IpPrefixError, LocalFilter, NetworkType, Policies,
    PortRange, PortRangeError, Ports, RemoteFilter, RewriteCause, RewriteError, RewriteMode,
    Rewritten, RoutedAddress, Selection, TransportPolicy,
};
pub use time::Timestamp;
pub use uri::{HostName, ServerHost, ServerProtocol, ServerTransport, ServerUri, ServerUriError};

#[cfg(feature = "mdns")]
pub use mdns::{
    Mdns, MdnsArrival, MdnsConfig, MdnsConfigError, MdnsCounters, MdnsEvent, MdnsIgnored,
    MdnsLimits, MdnsLink, MdnsMessage, MdnsPublishError, MdnsQueryError, MdnsQueryFailure,
    MdnsQueryId, MdnsReceived, MdnsTransmit,
};

/// The examples of the README are tests as well.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
