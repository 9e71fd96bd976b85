//! Which addresses of a host may become candidates (RFC 8445 §5.1.1.1). Pure rules.

use core::net::{IpAddr, SocketAddr};

use crate::address::is_link_local;
use crate::candidate::{CandidateTransport, TcpType};

use super::call_error::{AddLocalError, AddRemoteError};
use super::io::{LocalAddress, Origin};

/// Whether candidates of this transport can be had that way.
pub(super) fn check_transport(local: &LocalAddress) -> Result<(), AddLocalError> {
    match (local.transport, local.origin) {
        (CandidateTransport::Tcp(TcpType::SimultaneousOpen), _) => {
            Err(AddLocalError::SimultaneousOpen)
        }
        (CandidateTransport::Tcp(_), Origin::Relayed { .. }) => Err(AddLocalError::Transport),
        (CandidateTransport::Tcp(_), Origin::Socket | Origin::Reflexive { .. })
        | (CandidateTransport::Udp, _) => Ok(()),
    }
}

/// Whether a host candidate may be made of an address, in its normal form.
pub(super) fn check_host(addr: SocketAddr, loopback: bool) -> Result<(), AddLocalError> {
    if addr.port() == 0 {
        return Err(AddLocalError::Port);
    }
    match addr.ip() {
        ip if ip.is_unspecified() || ip.is_multicast() || is_broadcast(ip) => {
            Err(AddLocalError::NotUnicast)
        }
        ip if ip.is_loopback() => {
            if loopback {
                Ok(())
            } else {
                Err(AddLocalError::Loopback)
            }
        }
        IpAddr::V6(ip) => match ip.segments() {
            // Deprecated: IPv4-compatible and site-local addresses.
            [0, 0, 0, 0, 0, 0, _, _] | [0xfec0..=0xfeff, ..] => Err(AddLocalError::Deprecated),
            _ => Ok(()),
        },
        IpAddr::V4(_) => Ok(()),
    }
}

/// Whether a remote candidate may be checked: no address that stands for nobody or for many, and
/// loopback only where this side uses it too.
pub(super) fn check_remote(addr: SocketAddr, loopback: bool) -> Result<(), AddRemoteError> {
    let ip = addr.ip();
    if addr.port() == 0 {
        Err(AddRemoteError::Port)
    } else if ip.is_unspecified() || ip.is_multicast() || is_broadcast(ip) {
        Err(AddRemoteError::NotUnicast)
    } else if ip.is_loopback() && !loopback {
        Err(AddRemoteError::Loopback)
    } else {
        Ok(())
    }
}

/// Whether `other` must give way to a temporary address (RFC 8445 §5.1.1.1): a permanent one of
/// the same prefix, or a link-local one, on the same interface.
pub(super) fn yields_to_temporary(temporary: IpAddr, other: IpAddr) -> bool {
    match (temporary, other) {
        (IpAddr::V6(temporary), IpAddr::V6(other)) => {
            let prefix = temporary.segments();
            let [a, b, c, d, ..] = other.segments();
            is_link_local(&other) || prefix.starts_with(&[a, b, c, d])
        }
        _ => false,
    }
}

fn is_broadcast(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.is_broadcast())
}
