//! Gathering from servers (RFC 8445 §5.1.1.2, RFC 8489, RFC 8656): what an agent asks, what becomes
//! of the answers, and what it does when servers are wrong.
#![cfg(feature = "sim")]

#[path = "gathering/names.rs"]
mod names;
#[path = "gathering/net.rs"]
mod net;
#[path = "gathering/reflexive.rs"]
mod reflexive;
