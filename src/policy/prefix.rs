//! Prefixes of IP addresses (RFC 4632 §3.1, RFC 4291 §2.3).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// All addresses that begin with the same bits, as `192.0.2.0/24` or `2001:db8::/32`.
///
/// Bits behind the prefix do not count: `192.0.2.1/24` is the same. An address alone is itself.
/// An IPv4-mapped IPv6 address is looked up as the IPv4 address that it stands for.
///
/// ```
/// use frazil::IpPrefix;
///
/// let prefix: IpPrefix = "10.0.0.0/8".parse()?;
/// assert!(prefix.contains("10.1.2.3".parse()?));
/// assert!(!prefix.contains("11.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpPrefix {
    /// Its bits behind the prefix are zero.
    first: IpAddr,
    length: u8,
}

impl IpPrefix {
    /// The link-local addresses of IPv4 (RFC 3927). Clouds have their metadata services at one.
    pub const LINK_LOCAL_V4: Self =
        Self { first: IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), length: 16 };

    /// The link-local addresses of IPv6 (RFC 4291 §2.5.6).
    pub const LINK_LOCAL_V6: Self =
        Self { first: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), length: 10 };

    /// What is not routed on the public internet, link-local addresses among it: RFC 1918, RFC
    /// 6598, RFC 3927, RFC 4193, RFC 4291.
    pub const PRIVATE: [Self; 7] = [
        Self { first: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), length: 8 },
        Self { first: IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), length: 12 },
        Self { first: IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), length: 16 },
        Self { first: IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), length: 10 },
        Self::LINK_LOCAL_V4,
        Self { first: IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), length: 7 },
        Self::LINK_LOCAL_V6,
    ];

    /// The addresses that have their first `length` bits in common with `ip`.
    ///
    /// # Errors
    /// [`IpPrefixError::Length`]: more than 32 bits of an IPv4 or 128 of an IPv6 address.
    pub fn new(ip: IpAddr, length: u8) -> Result<Self, IpPrefixError> {
        let first = masked(ip, length).ok_or(IpPrefixError::Length)?;
        Ok(Self { first, length })
    }

    /// Whether it has `ip`.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        masked(ip, self.length) == Some(self.first)
            || masked(ip.to_canonical(), self.length) == Some(self.first)
    }

    /// Whether its addresses are IPv6 ones.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.first.is_ipv6()
    }
}

/// Whether `ip` is in one of [`IpPrefix::PRIVATE`].
pub(super) fn is_private(ip: IpAddr) -> bool {
    IpPrefix::PRIVATE.iter().any(|prefix| prefix.contains(ip))
}

/// `ip` with nothing but zeros behind its first bits; `None` if it has fewer.
fn masked(ip: IpAddr, length: u8) -> Option<IpAddr> {
    Some(match ip {
        IpAddr::V4(ip) => {
            let behind = 32u32.checked_sub(length.into())?;
            let mask = u32::MAX.checked_shl(behind).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let behind = 128u32.checked_sub(length.into())?;
            let mask = u128::MAX.checked_shl(behind).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    })
}

impl From<IpAddr> for IpPrefix {
    /// The address alone.
    fn from(ip: IpAddr) -> Self {
        Self { first: ip, length: if ip.is_ipv6() { 128 } else { 32 } }
    }
}

impl FromStr for IpPrefix {
    type Err = IpPrefixError;

    fn from_str(text: &str) -> Result<Self, IpPrefixError> {
        let (ip, length) = match text.split_once('/') {
            Some((ip, length)) => (ip, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| IpPrefixError::Address)?;
        let Some(length) = length else { return Ok(ip.into()) };
        if !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(IpPrefixError::Length);
        }
        Self::new(ip, length.parse().map_err(|_| IpPrefixError::Length)?)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.length)
    }
}

/// Why a text is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IpPrefixError {
    /// What stands before the slash is no IP address.
    #[error("address: must be an IP address")]
    Address,
    /// What stands behind the slash is no number, or more than the address has bits.
    #[error("length: must be a number of bits that the address has")]
    Length,
}
