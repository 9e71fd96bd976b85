//! One normal form of a transport address, applied wherever one enters the crate.

use core::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The normal form: IPv6 flow information cleared, a scope id only on link-local addresses, and
/// an IPv4-mapped IPv6 address as the IPv4 address that it stands for.
pub(crate) fn normal(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => addr,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(IpAddr::V4(ip), v6.port()),
            None => {
                let scope = if is_link_local(v6.ip()) { v6.scope_id() } else { 0 };
                SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope))
            }
        },
    }
}

/// Whether the caller wrote an IPv4 address in its IPv6 form.
pub(crate) fn is_mapped(addr: SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some())
}

/// The IPv6 form of an IPv4 address, for a caller whose socket is an IPv6 one.
pub(crate) fn to_mapped(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V6(ip.to_ipv6_mapped()), addr.port()),
        IpAddr::V6(_) => addr,
    }
}

/// `fe80::/10`.
pub(crate) const fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}
