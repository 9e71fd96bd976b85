//! Kinds of candidates and of networks, and selections of them.

use core::net::IpAddr;

use crate::candidate::{CandidateKind, Transport};

/// Which kinds of candidates are used at all (`RTCIceTransportPolicy` of W3C's WebRTC).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportPolicy {
    /// All.
    #[default]
    All,
    /// None that is an address of the host itself, so that the peer does not learn it.
    NoHost,
    /// Those on TURN servers only, so that the peer learns no address of this side at all.
    Relay,
}

impl TransportPolicy {
    /// Whether a local candidate of this kind may be signalled and checked from.
    ///
    /// ```
    /// use frazil::{CandidateKind, TransportPolicy};
    ///
    /// assert!(TransportPolicy::NoHost.allows(CandidateKind::ServerReflexive));
    /// assert!(!TransportPolicy::Relay.allows(CandidateKind::ServerReflexive));
    /// ```
    #[must_use]
    pub const fn allows(self, kind: CandidateKind) -> bool {
        match self {
            Self::All => true,
            Self::NoHost => !matches!(kind, CandidateKind::Host),
            Self::Relay => matches!(kind, CandidateKind::Relayed),
        }
    }
}

/// The transport and the address family of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetworkType {
    /// UDP over IPv4.
    Udp4,
    /// UDP over IPv6.
    Udp6,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
}

impl NetworkType {
    /// The network of an address. An IPv4-mapped IPv6 address is one of IPv4.
    #[must_use]
    pub const fn of(transport: Transport, ip: IpAddr) -> Self {
        match (transport, ip.to_canonical()) {
            (Transport::Udp, IpAddr::V4(_)) => Self::Udp4,
            (Transport::Udp, IpAddr::V6(_)) => Self::Udp6,
            (Transport::Tcp, IpAddr::V4(_)) => Self::Tcp4,
            (Transport::Tcp, IpAddr::V6(_)) => Self::Tcp6,
        }
    }

    /// Whether its addresses are IPv6 ones.
    #[must_use]
    pub const fn is_ipv6(self) -> bool {
        matches!(self, Self::Udp6 | Self::Tcp6)
    }
}

/// What kind of interface an address is on (`RTCNetworkType` of W3C's statistics).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InterfaceKind {
    /// A wired network.
    Ethernet,
    /// A wireless LAN.
    Wifi,
    /// A network of mobile telephony.
    Cellular,
    /// Bluetooth.
    Bluetooth,
    /// WiMAX.
    Wimax,
    /// A virtual private network, over whatever is below it.
    Vpn,
}

/// Some of several kinds of things. The empty selection, which is the default, restricts nothing:
/// it has all.
///
/// ```
/// use frazil::{NetworkType, Selection};
///
/// let all = Selection::default();
/// assert!(all.has(NetworkType::Tcp6));
/// let some: Selection<_> = [NetworkType::Udp4, NetworkType::Udp6].into_iter().collect();
/// assert!(!some.has(NetworkType::Tcp6));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selection<T>(Vec<T>);

impl<T: Ord> Selection<T> {
    /// Whether it has `item`.
    #[must_use]
    pub fn has(&self, item: T) -> bool {
        self.0.is_empty() || self.0.binary_search(&item).is_ok()
    }

    /// What it was made of, in order.
    #[cfg(feature = "replay")]
    pub(crate) fn items(&self) -> &[T] {
        &self.0
    }

    /// Whether it has all there is.
    #[must_use]
    pub fn is_unrestricted(&self) -> bool {
        self.0.is_empty()
    }
}

// Not derived: that would ask for a default of `T`.
impl<T> Default for Selection<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> FromIterator<T> for Selection<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items: Vec<T> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        Self(items)
    }
}
