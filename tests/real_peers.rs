//! The agent against scripted peers that do what real ICE stacks do and the RFCs do not foresee:
//! other nomination rules, other timers, answers that come late, twice or never, floods and lies.
//!
//! Each script is a state machine with the timers of the stack that it plays, on the other side of
//! a simulated network. It writes and reads STUN by hand, and insists on what the real one insists
//! on.

mod common;
#[path = "real_peers/flood_scenarios.rs"]
mod flood_scenarios;
#[path = "real_peers/hand.rs"]
mod hand;
#[path = "real_peers/libwebrtc.rs"]
mod libwebrtc;
#[path = "real_peers/libwebrtc_scenarios.rs"]
mod libwebrtc_scenarios;
#[path = "real_peers/nicer.rs"]
mod nicer;
#[path = "real_peers/nicer_scenarios.rs"]
mod nicer_scenarios;
#[path = "real_peers/odd.rs"]
mod odd;
#[path = "real_peers/odd_scenarios.rs"]
mod odd_scenarios;
#[path = "real_peers/pion.rs"]
mod pion;
#[path = "real_peers/pion_scenarios.rs"]
mod pion_scenarios;
#[path = "real_peers/stage.rs"]
mod stage;
