//! What a NAT is set up to do. Pure data: whoever wants to know what a NAT would do, reads it
//! here.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use super::super::scope::{Filtering, Mapping};

/// The most external addresses of a NAT.
pub(super) const MAX_EXTERNAL: usize = 256;

/// RFC 4787 REQ-5: not less than two minutes, five by default.
const UDP_LIFETIME: Duration = Duration::from_secs(300);
/// RFC 5382 REQ-5: not less than two hours and four minutes.
const TCP_LIFETIME: Duration = Duration::from_secs(7_440);
/// As many ports as one external address has.
const MAX_MAPPINGS: usize = 65_536;

/// How a NAT chooses external ports (RFC 4787 §4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PortAllocation {
    /// The port of the inside endpoint, if the range has it and it is free; else the next.
    #[default]
    Preserving,
    /// One after the other.
    Sequential,
    /// Any.
    Random,
}

/// Which of its external addresses a NAT takes (RFC 4787 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// An inside address has always the same one (REQ-2).
    #[default]
    Paired,
    /// Every mapping takes the next that has a port.
    Arbitrary,
}

/// What a NAT does with a datagram from inside to one of its own external addresses
/// (RFC 4787 §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hairpinning {
    /// It drops it.
    Off,
    /// It turns it round, and it comes from the sender's inside address.
    InternalSource,
    /// It turns it round, and it comes from the sender's mapping (REQ-9a).
    #[default]
    ExternalSource,
}

/// What keeps a mapping alive (RFC 4787 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Refresh {
    /// What the inside sends (REQ-6).
    #[default]
    Outbound,
    /// What the inside receives, beside the first that it sends.
    Inbound,
    /// Either.
    Both,
}

impl Refresh {
    pub(super) const fn by_outbound(self) -> bool {
        matches!(self, Self::Outbound | Self::Both)
    }

    pub(super) const fn by_inbound(self) -> bool {
        matches!(self, Self::Inbound | Self::Both)
    }
}

/// The IPv6 prefix of 96 bits under which a NAT64 (RFC 6146) shows the IPv4 internet
/// (RFC 6052 §2.2).
///
/// ```
/// use frazil::sim::Nat64Prefix;
///
/// let prefix = Nat64Prefix::WELL_KNOWN;
/// assert_eq!(prefix.synthesize([192, 0, 2, 1].into()).to_string(), "64:ff9b::c000:201");
/// assert_eq!(prefix.extract("64:ff9b::c000:201".parse()?), Some([192, 0, 2, 1].into()));
/// assert_eq!(prefix.extract("2001:db8::1".parse()?), None);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nat64Prefix(u128);

impl Nat64Prefix {
    /// `64:ff9b::/96`
    pub const WELL_KNOWN: Self = Self::new(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0));

    /// The first 96 bits of an address.
    #[must_use]
    pub const fn new(prefix: Ipv6Addr) -> Self {
        Self(prefix.to_bits() >> 32)
    }

    /// The IPv6 address of an IPv4 one.
    #[must_use]
    pub fn synthesize(self, addr: Ipv4Addr) -> Ipv6Addr {
        Ipv6Addr::from_bits((self.0 << 32) | u128::from(addr.to_bits()))
    }

    /// The IPv4 address within an IPv6 one.
    #[must_use]
    pub const fn extract(self, addr: Ipv6Addr) -> Option<Ipv4Addr> {
        let [.., a, b, c, d] = addr.octets();
        if addr.to_bits() >> 32 == self.0 { Some(Ipv4Addr::new(a, b, c, d)) } else { None }
    }
}

impl Default for Nat64Prefix {
    fn default() -> Self {
        Self::WELL_KNOWN
    }
}

/// A NAT by the terms of RFC 4787. The default is what that RFC asks for, with the strictest
/// filter.
///
/// ```
/// use frazil::sim::{Filtering, Mapping, NatConfig, PortAllocation};
///
/// let symmetric = NatConfig::new(["203.0.113.1".parse()?])
///     .with_mapping(Mapping::AddressAndPortDependent)
///     .with_ports(PortAllocation::Random, 1_024, 65_535);
/// assert_eq!(symmetric.filtering, Filtering::AddressAndPortDependent);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatConfig {
    /// Its external addresses, of one family or of both. An address family without any is not
    /// translated.
    pub external: Vec<IpAddr>,
    /// Which remote endpoints share a mapping.
    pub mapping: Mapping,
    /// Which remote endpoints may send in.
    pub filtering: Filtering,
    /// How external ports are chosen.
    pub ports: PortAllocation,
    /// The lowest and the highest external port.
    pub port_range: (u16, u16),
    /// Which external address is chosen.
    pub pooling: Pooling,
    /// What is sent from inside to an external address.
    pub hairpinning: Hairpinning,
    /// How long a UDP mapping lives since it was refreshed, and each of its filter's entries
    /// since its own remote endpoint refreshed it.
    pub lifetime: Duration,
    /// The same of a TCP mapping.
    pub tcp_lifetime: Duration,
    /// What refreshes them.
    pub refresh: Refresh,
    /// The most mappings, and the most entries of all filters together.
    pub max_mappings: usize,
    /// External addresses that each belong to one inside address, with all ports and no filter,
    /// by inside address.
    pub one_to_one: BTreeMap<IpAddr, IpAddr>,
    /// The prefix under which IPv6 hosts inside reach IPv4 ones outside.
    pub nat64: Option<Nat64Prefix>,
}

/// Why a NAT cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatConfigError {
    /// It has no external address, or more than 256, or one twice.
    #[error("external: none, too many, or one twice")]
    External,
    /// The range of ports is empty or begins with zero.
    #[error("port_range: empty or from zero")]
    PortRange,
    /// A mapping would not live at all.
    #[error("lifetime: zero")]
    Lifetime,
    /// A one-to-one pair is not of one family.
    #[error("one_to_one: of two families")]
    OneToOne,
    /// A NAT64 has no external IPv4 address.
    #[error("nat64: no external IPv4 address")]
    Nat64,
}

impl NatConfig {
    /// A NAT with these external addresses: endpoint-independent mapping, address-and-port-
    /// dependent filtering, ports preserved, hairpinning on.
    #[must_use]
    pub fn new(external: impl IntoIterator<Item = IpAddr>) -> Self {
        Self {
            external: external.into_iter().collect(),
            mapping: Mapping::default(),
            filtering: Filtering::default(),
            ports: PortAllocation::default(),
            port_range: (1_024, u16::MAX),
            pooling: Pooling::default(),
            hairpinning: Hairpinning::default(),
            lifetime: UDP_LIFETIME,
            tcp_lifetime: TCP_LIFETIME,
            refresh: Refresh::default(),
            max_mappings: MAX_MAPPINGS,
            one_to_one: BTreeMap::new(),
            nat64: None,
        }
    }

    /// The same NAT with this mapping.
    #[must_use]
    pub const fn with_mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// The same NAT with this filter.
    #[must_use]
    pub const fn with_filtering(mut self, filtering: Filtering) -> Self {
        self.filtering = filtering;
        self
    }

    /// The same NAT with external ports chosen like this, from the lowest to the highest.
    #[must_use]
    pub const fn with_ports(mut self, ports: PortAllocation, lowest: u16, highest: u16) -> Self {
        self.ports = ports;
        self.port_range = (lowest, highest);
        self
    }

    /// The same NAT with this choice of external addresses.
    #[must_use]
    pub const fn with_pooling(mut self, pooling: Pooling) -> Self {
        self.pooling = pooling;
        self
    }

    /// The same NAT with this hairpinning.
    #[must_use]
    pub const fn with_hairpinning(mut self, hairpinning: Hairpinning) -> Self {
        self.hairpinning = hairpinning;
        self
    }

    /// The same NAT with UDP mappings that live so long since they were refreshed by this.
    #[must_use]
    pub const fn with_lifetime(mut self, lifetime: Duration, refresh: Refresh) -> Self {
        self.lifetime = lifetime;
        self.refresh = refresh;
        self
    }

    /// The same NAT with so many mappings at most.
    #[must_use]
    pub const fn with_max_mappings(mut self, max_mappings: usize) -> Self {
        self.max_mappings = max_mappings;
        self
    }

    /// The same NAT with one more external address, that of one inside address alone.
    #[must_use]
    pub fn with_one_to_one(mut self, inside: IpAddr, external: IpAddr) -> Self {
        self.one_to_one.insert(inside.to_canonical(), external.to_canonical());
        self
    }

    /// The same NAT with IPv6 hosts inside that reach IPv4 ones under this prefix.
    #[must_use]
    pub const fn with_nat64(mut self, prefix: Nat64Prefix) -> Self {
        self.nat64 = Some(prefix);
        self
    }

    /// Every external address, those of one inside address alone included.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let own = self.external.iter().map(IpAddr::to_canonical);
        own.chain(self.one_to_one.values().copied())
    }

    /// Whether addresses of the family of this one are translated. Others are routed.
    #[must_use]
    pub fn translates(&self, addr: IpAddr) -> bool {
        let family = addr.to_canonical().is_ipv4();
        self.addresses().any(|external| external.is_ipv4() == family)
    }

    /// A destination as it is outside: one under the prefix of a NAT64 is an IPv4 address there.
    #[must_use]
    pub fn outside(&self, to: SocketAddr) -> SocketAddr {
        match (self.nat64, to) {
            (Some(prefix), SocketAddr::V6(v6)) => match prefix.extract(*v6.ip()) {
                Some(addr) => SocketAddr::new(addr.into(), to.port()),
                None => to,
            },
            _ => to,
        }
    }

    /// A source as this inside address sees it: an IPv6 host sees an IPv4 one under the prefix.
    #[must_use]
    pub fn inside(&self, from: SocketAddr, inside: IpAddr) -> SocketAddr {
        match (self.nat64, from) {
            (Some(prefix), SocketAddr::V4(v4)) if inside.is_ipv6() => {
                SocketAddr::new(prefix.synthesize(*v4.ip()).into(), from.port())
            }
            _ => from,
        }
    }

    pub(in crate::sim) fn validate(&self) -> Result<(), NatConfigError> {
        let mut addresses: Vec<IpAddr> = self.addresses().collect();
        let number = addresses.len();
        addresses.sort_unstable();
        addresses.dedup();
        if !(1..=MAX_EXTERNAL).contains(&number) || addresses.len() != number {
            return Err(NatConfigError::External);
        }
        if self.port_range.0 == 0 || self.port_range.0 > self.port_range.1 {
            return Err(NatConfigError::PortRange);
        }
        if self.lifetime.is_zero() || self.tcp_lifetime.is_zero() {
            return Err(NatConfigError::Lifetime);
        }
        if self.one_to_one.iter().any(|(inside, external)| inside.is_ipv4() != external.is_ipv4()) {
            return Err(NatConfigError::OneToOne);
        }
        if self.nat64.is_some() && !self.external.iter().any(|addr| addr.to_canonical().is_ipv4()) {
            return Err(NatConfigError::Nat64);
        }
        Ok(())
    }
}
