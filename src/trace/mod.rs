//! What an agent does, event by event, for people and tools: candidates, pairs and why they change,
//! checks and answers, roles, nomination, consent, states.
//!
//! [`AgentConfig::trace`](crate::AgentConfig::trace) switches it on,
//! [`IceAgent::poll_trace`](crate::IceAgent::poll_trace) gives the events, and [`TraceEvent::json`]
//! writes one as a line of JSON. `docs/trace.md` describes the names and fields, which have a version
//! of their own ([`TRACE_VERSION`]).

mod addresses;
mod event;
mod json;
mod queue;

pub use addresses::TraceAddresses;
pub use event::{CheckPurpose, MessageId, TraceData, TraceEvent};
pub use json::{TraceHeader, TraceJson};
pub(crate) use queue::{News, Trace};

/// The version of the names and fields of a trace. It changes when one that was there gets another
/// meaning or goes; new ones may come without.
pub const TRACE_VERSION: u32 = 1;
