//! RFC 8828: which addresses of a machine an application may learn.

use core::net::IpAddr;

use super::prefix::is_private;

/// The modes of RFC 8828 §5.2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressHandling {
    /// Mode 1: all addresses. An application that runs code of others must not use it without the
    /// consent of its user: see [`consented`](Self::consented). The default, since whoever gives
    /// addresses to an agent has chosen them.
    #[default]
    EnumerateAll,
    /// Mode 2: the addresses of the default route, and the private ones of its interface.
    DefaultRouteAndPrivate,
    /// Mode 3: what servers see on the default route, and nothing else.
    DefaultRouteOnly,
    /// Mode 4: the same, but where a proxy is in use, only through that.
    ForceProxy {
        /// Whether the application's other traffic goes through a proxy.
        proxied: bool,
    },
}

/// An address of this machine with what decides whether it may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoutedAddress<'a> {
    /// The address.
    pub ip: IpAddr,
    /// The name of its interface.
    pub interface: &'a str,
    /// Whether it is the source address of what is sent on the default route of its family (RFC
    /// 8828 §6.2 says how to find out).
    pub default_route: bool,
}

/// What an address may be used for. What comes later in the list allows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressUse {
    /// Nothing.
    None,
    /// Streams to TURN servers, which the caller opens through its proxy.
    Streams,
    /// Asking STUN and TURN servers. A server-reflexive candidate that equals it may be told, the
    /// address as a host candidate or as a related address may not.
    Servers,
    /// Everything: it may be a host candidate.
    Host,
}

impl AddressHandling {
    /// RFC 8828 §5.2: mode 2 where mode 1 is asked for and the user has not consented.
    #[must_use]
    pub const fn consented(self, consent: bool) -> Self {
        match self {
            Self::EnumerateAll if !consent => Self::DefaultRouteAndPrivate,
            mode => mode,
        }
    }

    /// What each of the addresses may be used for, in their order.
    ///
    /// ```
    /// use frazil::{AddressHandling, AddressUse, RoutedAddress};
    ///
    /// let address = |ip, interface, default_route| RoutedAddress { ip, interface, default_route };
    /// let addresses = [
    ///     address("192.168.1.5".parse()?, "eth0", true),
    ///     address("10.8.0.2".parse()?, "tun0", false),
    /// ];
    /// let uses = AddressHandling::DefaultRouteOnly.uses(&addresses);
    /// assert_eq!(uses, [AddressUse::Servers, AddressUse::None]);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn uses(self, addresses: &[RoutedAddress<'_>]) -> Vec<AddressUse> {
        let on_default_route = |interface: &str| {
            addresses.iter().any(|other| other.default_route && other.interface == interface)
        };
        addresses
            .iter()
            .map(|address| match self {
                Self::EnumerateAll => AddressUse::Host,
                Self::DefaultRouteAndPrivate
                    if address.default_route
                        || (is_private(address.ip) && on_default_route(address.interface)) =>
                {
                    AddressUse::Host
                }
                Self::DefaultRouteOnly | Self::ForceProxy { proxied: false }
                    if address.default_route =>
                {
                    AddressUse::Servers
                }
                Self::ForceProxy { proxied: true } if address.default_route => AddressUse::Streams,
                _ => AddressUse::None,
            })
            .collect()
    }
}
