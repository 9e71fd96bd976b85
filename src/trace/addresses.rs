//! Addresses in a trace: as they are, or under pseudonyms.

use core::fmt;
use core::net::{IpAddr, SocketAddr};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::address::is_link_local;

/// How addresses are written.
#[derive(Clone)]
pub enum TraceAddresses {
    /// As they are.
    Shown,
    /// Under pseudonyms that this key makes: the same address has the same one in every trace that is
    /// written with the key, and without it an address cannot be told from its pseudonym. The family and
    /// whether an address is private, link-local or loopback stay visible, and so do ports, since
    /// what goes wrong often depends on them.
    Pseudonyms {
        /// As secret as the addresses are to be.
        key: [u8; 32],
    },
}

/// The key is not shown.
impl fmt::Debug for TraceAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shown => "Shown",
            Self::Pseudonyms { .. } => "Pseudonyms",
        })
    }
}

impl TraceAddresses {
    /// Writes an address: an `ip:port`, or such as `private4-5b1f30c2:5000`.
    pub(super) fn write(&self, addr: SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Pseudonyms { key } = self else { return write!(f, "{addr}") };
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).map_err(|_| fmt::Error)?;
        match addr.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        let tag = mac.finalize().into_bytes();
        f.write_str(realm(addr.ip()))?;
        f.write_str(if addr.is_ipv4() { "4-" } else { "6-" })?;
        tag.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ":{}", addr.port())
    }
}

/// Where an address can be reached from.
const fn realm(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() => "loopback",
        IpAddr::V4(ip) if ip.is_link_local() => "link",
        // RFC 6598: what a carrier's NAT hands out is as private as any.
        IpAddr::V4(ip) if ip.is_private() || matches!(ip.octets(), [100, 64..=127, ..]) => {
            "private"
        }
        IpAddr::V6(ip) if ip.is_loopback() => "loopback",
        IpAddr::V6(ip) if is_link_local(&ip) => "link",
        IpAddr::V6(ip) if matches!(ip.octets(), [0xfc | 0xfd, ..]) => "private",
        IpAddr::V4(_) | IpAddr::V6(_) => "public",
    }
}
