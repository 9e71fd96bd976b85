//! The host of a URI (RFC 3986 §3.2.2), as far as a server can have one: an IP address or a name
//! of DNS.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use super::ServerUriError;

/// The most characters of a name (RFC 1035 §2.3.4 in its written form), its last dot aside.
const MAX_NAME: usize = 253;

/// The most characters between two dots (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// The host of a server.
///
/// [`FromStr`] reads what may stand in a URI: an IPv4 address, an IPv6 address in brackets, a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerHost {
    /// An address.
    Ip(IpAddr),
    /// A name, which has to be resolved.
    Name(HostName),
}

impl From<IpAddr> for ServerHost {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl From<Ipv4Addr> for ServerHost {
    fn from(ip: Ipv4Addr) -> Self {
        Self::Ip(ip.into())
    }
}

impl From<Ipv6Addr> for ServerHost {
    fn from(ip: Ipv6Addr) -> Self {
        Self::Ip(ip.into())
    }
}

impl From<HostName> for ServerHost {
    fn from(name: HostName) -> Self {
        Self::Name(name)
    }
}

impl FromStr for ServerHost {
    type Err = ServerUriError;

    fn from_str(text: &str) -> Result<Self, ServerUriError> {
        match read(text)? {
            (host, None) if !text.ends_with(':') => Ok(host),
            _ => Err(ServerUriError::Host),
        }
    }
}

impl fmt::Display for ServerHost {
    /// As in a URI: an IPv6 address in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name.as_str()),
        }
    }
}

/// A name that DNS could hold, in lower case: letters, digits, `-` and `_` between dots, at most 63
/// in a row and 253 in all; a dot may stand behind the last.
///
/// Names of other scripts are given as DNS has them (`xn--…`, RFC 5890). What looks like a number
/// at its end is none: some resolvers take `127.1` or `0x7f000001` for an IPv4 address, which no
/// rule about addresses has seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Box<str>);

impl HostName {
    /// A name, in any case.
    ///
    /// # Errors
    /// [`ServerUriError::EmptyHost`], or [`ServerUriError::Host`] if it is no such name.
    pub fn new(name: &str) -> Result<Self, ServerUriError> {
        if name.is_empty() {
            return Err(ServerUriError::EmptyHost);
        }
        let relative = name.strip_suffix('.').unwrap_or(name);
        if relative.len() > MAX_NAME
            || !relative.split('.').all(is_label)
            || relative.rsplit('.').next().is_none_or(is_numeric)
        {
            return Err(ServerUriError::Host);
        }
        Ok(Self(name.to_ascii_lowercase().into()))
    }

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Whether a resolver could take it for the last number of an IPv4 address.
fn is_numeric(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// RFC 3986 §3.2: `host [ ":" port ]`. A port without digits is none.
pub(super) fn read(authority: &str) -> Result<(ServerHost, Option<u16>), ServerUriError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (ip, behind) = rest.split_once(']').ok_or(ServerUriError::Host)?;
            let port = match behind.strip_prefix(':') {
                None if !behind.is_empty() => return Err(ServerUriError::AfterHost),
                port => port,
            };
            if ip.contains('%') {
                return Err(ServerUriError::ZoneId);
            }
            let ip: Ipv6Addr = ip.parse().map_err(|_| ServerUriError::Host)?;
            (ip.into(), port)
        }
        None if authority.parse::<Ipv6Addr>().is_ok() => return Err(ServerUriError::Brackets),
        None => {
            let (host, port) = super::split_at(authority, ':');
            let host = match host.parse::<Ipv4Addr>() {
                Ok(ip) => ip.into(),
                Err(_) => HostName::new(host)?.into(),
            };
            (host, port)
        }
    };
    match port {
        None | Some("") => Ok((host, None)),
        Some(digits) => Ok((host, Some(read_port(digits)?))),
    }
}

fn read_port(digits: &str) -> Result<u16, ServerUriError> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ServerUriError::Port);
    }
    digits.parse().ok().filter(|port| *port != 0).ok_or(ServerUriError::Port)
}
