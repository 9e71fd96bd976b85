//! What is asked of servers: the part of a STUN client that Binding (RFC 8489) and TURN (RFC 8656)
//! have in common, and the Binding client.
//!
//! [`Requests`] holds the transactions with one server, [`Auth`] proves who asks, [`Binding`]
//! learns a server-reflexive address and keeps it alive. None of them knows of agents, candidates
//! or sockets. Their owner paces them: a new transaction, be it a repetition of one that a server
//! wants to be authenticated, waits for the slot that its owner grants.

mod auth;
mod binding;
mod entries;
mod link;
mod outcome;
mod plan;
mod requests;
mod server;
mod servers;
mod task;
#[cfg(test)]
mod tests;

pub(crate) use auth::{Auth, LongTermCredentials};
pub(crate) use binding::BindingFact;
pub(crate) use entries::Lookup;
pub(crate) use link::{Command, Link};
pub use outcome::ServerFailure;
pub(crate) use outcome::{Rejected, Rejections};
pub(crate) use plan::{Settings, Wanted};
pub(crate) use requests::{Answer, Ask, RequestTiming, Requests};
pub use server::{RelayFamilies, Server, ServerCredentials, ServerCredentialsError};
pub(crate) use servers::{Servers, settled};
pub(crate) use task::{Awaits, Base, Found, Task};
