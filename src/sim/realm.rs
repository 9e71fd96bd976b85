//! Realms: spaces in which an address belongs to one host.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeMap;

use super::gateway::Gateway;
use super::host::HostId;
use super::line::PairLinks;
use super::rules::Rules;
use crate::address::is_link_local;

/// How deep realms nest: a home behind carrier-grade NAT is two below the internet.
pub(super) const MAX_DEPTH: u8 = 8;

/// An address space of a [`Network`](super::Network): the internet, or a private one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub(super) u32);

impl RealmId {
    /// The realm that every network has, without a gateway.
    pub const INTERNET: Self = Self(0);
}

/// A set of addresses that begin alike.
///
/// ```
/// use frazil::sim::Subnet;
///
/// let home = Subnet::new("192.168.1.0".parse()?, 24);
/// assert!(home.contains("192.168.1.77".parse()?));
/// assert!(!home.contains("192.168.2.77".parse()?));
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet {
    prefix: IpAddr,
    len: u8,
}

impl Subnet {
    /// The addresses that share their first `len` bits with `prefix`; all bits at most.
    #[must_use]
    pub const fn new(prefix: IpAddr, len: u8) -> Self {
        Self { prefix, len }
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(self, addr: IpAddr) -> bool {
        let differ = match (self.prefix.to_canonical(), addr.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (one.to_bits() ^ other.to_bits()).leading_zeros()
                    < u32::from(self.len).min(Ipv4Addr::BITS)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                (one.to_bits() ^ other.to_bits()).leading_zeros()
                    < u32::from(self.len).min(Ipv6Addr::BITS)
            }
            _ => true,
        };
        !differ
    }
}

/// Who has an address of a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Host(HostId),
    /// The gateway of this realm, which lies within.
    Gateway(RealmId),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Realm {
    pub(super) addresses: BTreeMap<IpAddr, Owner>,
    pub(super) links: PairLinks,
    pub(super) rules: Rules,
    /// The way out; the internet has none.
    pub(super) gateway: Option<Gateway>,
    pub(super) depth: u8,
}

impl Realm {
    /// Whether a datagram to this address stays in the realm: the address is somebody's here, or
    /// could only be somebody's here.
    pub(super) fn keeps(&self, to: IpAddr) -> bool {
        let Some(gateway) = &self.gateway else { return true };
        self.addresses.contains_key(&to)
            || is_local(to)
            || gateway.config.on_link.iter().any(|subnet| subnet.contains(to))
    }
}

/// Addresses that no router carries: of one link, or of one host.
pub(super) const fn is_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => is_link_local(&v6) || v6.is_loopback(),
    }
}

/// Addresses that mean nothing in the internet: RFC 1918, RFC 6598 and RFC 4193.
pub(super) const fn is_private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.segments()[0] & 0xfe00 == 0xfc00,
    }
}
