//! ICE over TCP (RFC 6544): two agents in the simulator, and one against a peer written by hand.
//!
//! X1 to X9, Q10, Q12, C17 and M1 of the conformance list.

mod common;
#[path = "tcp/disorder.rs"]
mod disorder;
#[path = "tcp/explained.rs"]
mod explained;
#[path = "tcp/hostile.rs"]
mod hostile;
#[path = "tcp/privacy.rs"]
mod privacy;
#[path = "tcp/script.rs"]
mod script;
#[path = "tcp/worlds.rs"]
mod worlds;
