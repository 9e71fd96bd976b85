//! The guide: from nothing to a working driver, and what comes after it. There is no code in here.
//!
//! Read [the first chapter](the_loop) and you have a connection; read [the second](signalling) and
//! it crosses a signalling channel. All others can wait until they are needed.
//!
//! | chapter | answers |
//! |---|---|
//! | [`the_loop`] | which calls, in which order; sockets, clock, timeouts, full buffers |
//! | [`signalling`] | what to tell the peer, and when; SDP, trickle, restarts |
//! | [`drivers`] | whole programs in a loop that blocks, with `mio`, with `tokio` |
//! | [`roaming`] | addresses that come and go; restarts, renomination |
//! | [`servers`] | STUN and TURN; names, TCP and TLS; credentials that expire |
//! | [`policies`] | relay only, filters, addresses that are rewritten or hidden |
//! | [`sessions`] | many agents behind one port |
//! | [`ice_tcp`] | where UDP is blocked |
//! | [`failure`] | why did it not connect? |
//! | [`testing`] | your application on a simulated network |
//! | [`security`] | what the agent guarantees, and what it leaves to you; limits |
//! | [`migration`] | coming from pion, webrtc-rs, str0m or libwebrtc |
//! | [`webrtc`] | DTLS and SCTP on the agent |
//! | [`handshake`] | a handshake inside the checks, before there is a path |

// The names in the chapters are those at the root of the crate.
#[cfg(doc)]
use crate::*;

#[doc = include_str!("../docs/guide/the_loop.md")]
pub mod the_loop {}

#[doc = include_str!("../docs/guide/signalling.md")]
pub mod signalling {}

#[doc = include_str!("../docs/guide/drivers.md")]
pub mod drivers {
    #[cfg(doc)]
    use crate::*;

    // Not tests of their own: they are examples, which are run as such.
    #[doc = include_str!("../docs/guide/drivers_blocking.md")]
    #[doc = "```ignore"]
    #[doc = include_str!("../examples/guide-blocking.rs")]
    #[doc = "```"]
    pub mod blocking {}

    #[doc = include_str!("../docs/guide/drivers_mio.md")]
    #[doc = "```ignore"]
    #[doc = include_str!("../examples/guide-mio.rs")]
    #[doc = "```"]
    pub mod mio {}

    #[doc = include_str!("../docs/guide/drivers_tokio.md")]
    #[doc = "```ignore"]
    #[doc = include_str!("../examples/guide-tokio.rs")]
    #[doc = "```"]
    pub mod tokio {}

    #[doc = include_str!("../docs/guide/drivers_session.md")]
    #[doc = "```ignore"]
    #[doc = include_str!("../examples/guide/session.rs")]
    #[doc = "```"]
    pub mod session {}

    #[doc = include_str!("../docs/guide/drivers_machine.md")]
    #[doc = "```ignore"]
    #[doc = include_str!("../examples/guide/machine.rs")]
    #[doc = "```"]
    pub mod machine {}
}

#[doc = include_str!("../docs/guide/roaming.md")]
#[cfg_attr(feature = "sim", doc = include_str!("../docs/guide/roaming_sim.md"))]
pub mod roaming {}

#[doc = include_str!("../docs/guide/servers.md")]
pub mod servers {}

#[doc = include_str!("../docs/guide/policies.md")]
#[cfg_attr(feature = "mdns", doc = include_str!("../docs/guide/policies_mdns.md"))]
pub mod policies {}

#[doc = include_str!("../docs/guide/sessions.md")]
pub mod sessions {}

#[doc = include_str!("../docs/guide/ice_tcp.md")]
pub mod ice_tcp {}

#[doc = include_str!("../docs/guide/failure.md")]
#[cfg_attr(feature = "replay", doc = include_str!("../docs/guide/failure_replay.md"))]
pub mod failure {}

#[cfg_attr(feature = "sim", doc = include_str!("../docs/guide/testing.md"))]
#[cfg_attr(
    not(feature = "sim"),
    doc = "# Testing on the simulated network\n\nThis chapter is there with the feature `sim`."
)]
pub mod testing {}

#[doc = include_str!("../docs/guide/security.md")]
pub mod security {}

#[doc = include_str!("../docs/guide/migration.md")]
pub mod migration {}

#[doc = include_str!("../docs/webrtc.md")]
pub mod webrtc {}

#[doc = include_str!("../docs/guide/handshake.md")]
pub mod handshake {}
