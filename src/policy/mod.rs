//! What is gathered, from where, what the peer is told of it, and whom this side sends to.
//!
//! Rules as data and pure functions: RFC 8828 (which addresses an application may learn), the
//! transport policies of W3C's `RTCIceTransportPolicy`, filters, address rewriting, ports. Nothing
//! here knows of messages, time or an agent. What no configuration may change, such as that a
//! multicast address is no candidate, stands where addresses enter the agent.

mod filter;
mod handling;
mod kinds;
mod policies;
mod ports;
mod prefix;
mod ranking;
mod related;
mod rewrite;
mod servers;
#[cfg(test)]
mod tests;

pub use filter::{Filtered, LocalFilter, RemoteFilter};
pub use handling::{AddressHandling, AddressUse, RoutedAddress};
pub use kinds::{InterfaceKind, NetworkType, Selection, TransportPolicy};
pub use policies::{AcceptanceWaits, Policies};
pub use ports::{PortRange, PortRangeError, Ports};
pub use prefix::{IpPrefix, IpPrefixError};
pub(crate) use ranking::{Obtained, obtained_preference};
pub(crate) use related::{Related, related_to_tell};
pub use rewrite::{
    AddressRewriteRule, AddressRewriteRules, RewriteCause, RewriteError, RewriteMode, Rewritten,
};
pub(crate) use servers::{Gathered, request_of};
