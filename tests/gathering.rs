//! Gathering from servers (RFC 8445 §5.1.1.2, RFC 8489, RFC 8656): what an agent asks, what becomes
//! of the answers, and what it does when servers are wrong.

#[path = "gathering/close.rs"]
mod close;
#[path = "gathering/data.rs"]
mod data;
#[path = "gathering/errors.rs"]
mod errors;
#[path = "gathering/forgeries.rs"]
mod forgeries;
#[path = "gathering/independent.rs"]
mod independent;
#[path = "gathering/lifetime.rs"]
mod lifetime;
#[path = "gathering/limits.rs"]
mod limits;
#[path = "gathering/names.rs"]
mod names;
#[path = "gathering/net.rs"]
mod net;
#[path = "gathering/reflexive.rs"]
mod reflexive;
#[path = "gathering/relayed.rs"]
mod relayed;
#[path = "gathering/streams.rs"]
mod streams;
#[path = "gathering/times.rs"]
mod times;
