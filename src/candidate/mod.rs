//! Candidates (RFC 8445 §5.1): their kinds, priorities, foundations and written form.
//!
//! Nothing here knows of pairs, messages or time.

pub(crate) mod foundation;
pub(crate) mod network;
pub(crate) mod priority;
pub(crate) mod sdp;
#[cfg(test)]
mod tests;

use core::fmt;
use core::net::SocketAddr;

pub use foundation::{Foundation, FoundationError};
pub use sdp::{CandidateParseError, Unsupported};

/// The transport protocol under a datagram or a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// UDP, or anything else that carries datagrams.
    Udp,
    /// TCP, or anything else that carries a stream.
    Tcp,
}

/// The direction in which a TCP candidate opens its connection (RFC 6544 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpType {
    /// Opens connections, accepts none.
    Active,
    /// Accepts connections, opens none.
    Passive,
    /// Opens one at the same time as the peer.
    SimultaneousOpen,
}

impl TcpType {
    /// The word after `tcptype` in a candidate line: `active`, `passive`, `so`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        }
    }
}

/// The transport of a candidate: UDP, or TCP with a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateTransport {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp(TcpType),
}

impl CandidateTransport {
    /// The transport without its direction.
    #[must_use]
    pub const fn transport(self) -> Transport {
        match self {
            Self::Udp => Transport::Udp,
            Self::Tcp(_) => Transport::Tcp,
        }
    }

    /// The direction of TCP.
    #[must_use]
    pub const fn tcp_type(self) -> Option<TcpType> {
        match self {
            Self::Udp => None,
            Self::Tcp(direction) => Some(direction),
        }
    }
}

/// How a candidate was obtained (RFC 8445 §5.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// The address that a STUN or TURN server saw.
    ServerReflexive,
    /// The address that the peer saw, learned from a connectivity check.
    PeerReflexive,
    /// An address on a TURN server.
    Relayed,
}

impl fmt::Display for CandidateKind {
    /// The word after `typ` in a candidate line: `host`, `srflx`, `prflx`, `relay`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        })
    }
}

/// Where a candidate can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CandidateAddress {
    /// A transport address.
    Socket(SocketAddr),
    /// A name, such as a multicast DNS one, that has to be resolved first.
    Name {
        /// The host name.
        host: String,
        /// The port.
        port: u16,
    },
}

/// A candidate as it is signalled: the content of an SDP candidate attribute (RFC 8839 §5.1).
///
/// [`FromStr`](core::str::FromStr) reads the attribute's value, with or without a leading
/// `candidate:` or `a=candidate:`; [`Display`](fmt::Display) writes it from the foundation on.
///
/// ```
/// use frazil::{Candidate, CandidateKind};
///
/// let candidate: Candidate = "1 1 UDP 2130706431 203.0.113.5 54321 typ host".parse()?;
/// assert_eq!(candidate.kind, CandidateKind::Host);
/// assert_eq!(candidate.to_string(), "1 1 UDP 2130706431 203.0.113.5 54321 typ host");
/// # Ok::<(), frazil::CandidateParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Equal for candidates that are likely to fare alike (RFC 8445 §5.1.1.3).
    pub foundation: Foundation,
    /// The component of the stream, from 1 to 256.
    pub component: u16,
    /// UDP, or TCP with a direction.
    pub transport: CandidateTransport,
    /// From 1 to 2^31 - 1; higher is better (RFC 8445 §5.1.2).
    pub priority: u32,
    /// Where it can be reached.
    pub address: CandidateAddress,
    /// How it was obtained.
    pub kind: CandidateKind,
    /// The address that it was derived from; never used for connecting (RFC 8839 §5.1). `None`
    /// for a host candidate, and where it is not to be told.
    pub related: Option<SocketAddr>,
    /// Further name and value pairs, in the order in which they stood.
    pub extensions: Vec<(String, String)>,
}

impl Candidate {
    /// The value of the first extension of this name.
    ///
    /// ```
    /// # use frazil::Candidate;
    /// let line = "1 1 UDP 2130706431 203.0.113.5 54321 typ host generation 0 ufrag 8hhY";
    /// assert_eq!(line.parse::<Candidate>()?.extension("ufrag"), Some("8hhY"));
    /// # Ok::<(), frazil::CandidateParseError>(())
    /// ```
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}
