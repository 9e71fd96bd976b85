//! How far something that one remote endpoint has opened is open to others: what RFC 4787 asks
//! of mappings (§4.1) and of filters (§5) alike.

use core::net::{IpAddr, SocketAddr};

/// The remote endpoints that share a mapping, or a way through a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All of them.
    Any,
    /// Those with this address.
    Address(IpAddr),
    /// This one.
    Endpoint(SocketAddr),
}

impl Scope {
    /// Whether a remote endpoint is one of them.
    #[must_use]
    pub fn contains(self, remote: SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Address(addr) => addr == remote.ip(),
            Self::Endpoint(endpoint) => endpoint == remote,
        }
    }
}

/// Which remote endpoints see the same mapping of an inside endpoint (RFC 4787 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mapping {
    /// All of them: what RFC 4787 REQ-1 asks for, and what hole punching needs.
    #[default]
    EndpointIndependent,
    /// Those with the same address.
    AddressDependent,
    /// Each has its own: a "symmetric" NAT.
    AddressAndPortDependent,
}

impl Mapping {
    /// The endpoints that share the mapping towards this one.
    #[must_use]
    pub const fn scope(self, remote: SocketAddr) -> Scope {
        match self {
            Self::EndpointIndependent => Scope::Any,
            Self::AddressDependent => Scope::Address(remote.ip()),
            Self::AddressAndPortDependent => Scope::Endpoint(remote),
        }
    }
}

/// Which remote endpoints may send to an inside endpoint that has sent to one of them
/// (RFC 4787 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filtering {
    /// All of them: with an endpoint-independent mapping, a "full cone".
    EndpointIndependent,
    /// Those with the same address: "address-restricted".
    AddressDependent,
    /// Only that one: "port-restricted".
    #[default]
    AddressAndPortDependent,
}

impl Filtering {
    /// The endpoints to which sending to this one opens the way.
    #[must_use]
    pub const fn scope(self, remote: SocketAddr) -> Scope {
        match self {
            Self::EndpointIndependent => Scope::Any,
            Self::AddressDependent => Scope::Address(remote.ip()),
            Self::AddressAndPortDependent => Scope::Endpoint(remote),
        }
    }
}
