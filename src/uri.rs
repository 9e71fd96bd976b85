//! Where a server is: `stun:` and `stuns:` (RFC 7064), `turn:` and `turns:` (RFC 7065).
//!
//! These are not hierarchical URIs: nothing stands between the scheme and the host, and nothing
//! but a port and, for TURN, the transport may follow. Nothing here resolves a name.

mod host;
#[cfg(test)]
mod tests;

use core::fmt;
use core::str::FromStr;

pub use host::{HostName, ServerHost};

use crate::candidate::Transport;

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerProtocol {
    /// Which address it sees (RFC 8489).
    Stun,
    /// That, and an address on the server itself (RFC 8656).
    Turn,
}

/// How a server is reached. The order is the one of preference: what needs fewer round trips and
/// holds no packet back for a lost one comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerTransport {
    /// Over UDP.
    Udp,
    /// Over DTLS on UDP (RFC 7350).
    Dtls,
    /// Over TCP.
    Tcp,
    /// Over TLS on TCP.
    Tls,
}

impl ServerTransport {
    /// The transport protocol under it.
    #[must_use]
    pub const fn transport(self) -> Transport {
        match self {
            Self::Udp | Self::Dtls => Transport::Udp,
            Self::Tcp | Self::Tls => Transport::Tcp,
        }
    }

    /// Whether the server proves by a certificate who it is, and what is said to it is encrypted.
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Dtls | Self::Tls)
    }
}

/// The URI of a STUN or TURN server (RFC 7064, RFC 7065).
///
/// Equal URIs are equal values, however they were written: scheme and name without regard to case
/// (RFC 3986 §6.2.2.1), defaults filled in (§6.2.3). [`Display`](fmt::Display) writes the shortest
/// form, which reads back as the same value.
///
/// | URI | reached by | default port |
/// |---|---|---|
/// | `stun:host` | UDP | 3478 |
/// | `stuns:host` | TLS | 5349 |
/// | `turn:host`, `turn:host?transport=udp` | UDP | 3478 |
/// | `turn:host?transport=tcp` | TCP | 3478 |
/// | `turns:host`, `turns:host?transport=tcp` | TLS | 5349 |
/// | `turns:host?transport=udp` | DTLS | 5349 |
///
/// ```
/// use frazil::{ServerProtocol, ServerTransport, ServerUri};
///
/// let uri: ServerUri = "TURNS:Relay.Example.org:443?transport=tcp".parse()?;
/// assert_eq!(uri.protocol(), ServerProtocol::Turn);
/// assert_eq!(uri.transport(), ServerTransport::Tls);
/// assert_eq!(uri.host().to_string(), "relay.example.org");
/// assert_eq!(uri.port(), 443);
/// assert_eq!(uri.to_string(), "turns:relay.example.org:443");
/// # Ok::<(), frazil::ServerUriError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerUri {
    protocol: ServerProtocol,
    transport: ServerTransport,
    host: ServerHost,
    /// Not zero.
    port: u16,
}

impl ServerUri {
    /// A STUN server, over UDP.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use frazil::ServerUri;
    ///
    /// let uri = ServerUri::stun(Ipv4Addr::new(192, 0, 2, 1)).with_port(3479)?;
    /// assert_eq!(uri.to_string(), "stun:192.0.2.1:3479");
    /// # Ok::<(), frazil::ServerUriError>(())
    /// ```
    #[must_use]
    pub fn stun(host: impl Into<ServerHost>) -> Self {
        Self::with_default_port(ServerProtocol::Stun, ServerTransport::Udp, host.into())
    }

    /// A STUN server, over TLS.
    #[must_use]
    pub fn stuns(host: impl Into<ServerHost>) -> Self {
        Self::with_default_port(ServerProtocol::Stun, ServerTransport::Tls, host.into())
    }

    /// A TURN server.
    ///
    /// ```
    /// use frazil::{HostName, ServerTransport, ServerUri};
    ///
    /// let uri = ServerUri::turn(HostName::new("relay.example.org")?, ServerTransport::Tcp);
    /// assert_eq!(uri, "turn:relay.example.org?transport=tcp".parse()?);
    /// # Ok::<(), frazil::ServerUriError>(())
    /// ```
    #[must_use]
    pub fn turn(host: impl Into<ServerHost>, transport: ServerTransport) -> Self {
        Self::with_default_port(ServerProtocol::Turn, transport, host.into())
    }

    /// The same server at another port.
    ///
    /// # Errors
    /// [`ServerUriError::Port`] if it is zero.
    pub fn with_port(self, port: u16) -> Result<Self, ServerUriError> {
        if port == 0 {
            return Err(ServerUriError::Port);
        }
        Ok(Self { port, ..self })
    }

    fn with_default_port(
        protocol: ServerProtocol,
        transport: ServerTransport,
        host: ServerHost,
    ) -> Self {
        Self { protocol, transport, host, port: default_port(transport) }
    }

    /// What is asked of the server.
    #[must_use]
    pub const fn protocol(&self) -> ServerProtocol {
        self.protocol
    }

    /// How the server is reached.
    #[must_use]
    pub const fn transport(&self) -> ServerTransport {
        self.transport
    }

    /// The server's address or name.
    #[must_use]
    pub const fn host(&self) -> &ServerHost {
        &self.host
    }

    /// The server's port: the default one where none was given.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// RFC 7064 §3.2, RFC 7065 §3.2.
const fn default_port(transport: ServerTransport) -> u16 {
    if transport.is_secure() { 5349 } else { 3478 }
}

/// What a URI that names no transport means: UDP, or TLS on TCP for the secure schemes.
const fn default_transport(secure: bool) -> ServerTransport {
    if secure { ServerTransport::Tls } else { ServerTransport::Udp }
}

impl FromStr for ServerUri {
    type Err = ServerUriError;

    /// Reads a URI, in which nothing is percent-encoded and nothing stands around it.
    fn from_str(text: &str) -> Result<Self, ServerUriError> {
        let (scheme, rest) = text.split_once(':').ok_or(ServerUriError::Scheme)?;
        let (protocol, secure) = [
            ("stun", ServerProtocol::Stun, false),
            ("stuns", ServerProtocol::Stun, true),
            ("turn", ServerProtocol::Turn, false),
            ("turns", ServerProtocol::Turn, true),
        ]
        .into_iter()
        .find(|(name, ..)| scheme.eq_ignore_ascii_case(name))
        .map(|(_, protocol, secure)| (protocol, secure))
        .ok_or(ServerUriError::Scheme)?;

        // RFC 3986 §3: a fragment begins at the first `#`, a query at the first `?` before it.
        let (rest, fragment) = split_at(rest, '#');
        let (authority, query) = split_at(rest, '?');
        if authority.contains('/') {
            return Err(ServerUriError::Path);
        }
        if authority.contains('@') {
            return Err(ServerUriError::UserInfo);
        }
        let (host, port) = host::read(authority)?;
        let transport = match (query, protocol) {
            (None, _) => default_transport(secure),
            (Some(_), ServerProtocol::Stun) => return Err(ServerUriError::QueryOnStun),
            (Some(query), ServerProtocol::Turn) => read_query(query, secure)?,
        };
        if fragment.is_some() {
            return Err(ServerUriError::Fragment);
        }
        let port = port.unwrap_or_else(|| default_port(transport));
        Ok(Self { protocol, transport, host, port })
    }
}

/// What stands before the first `separator`, and what behind it if there is one.
fn split_at(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

/// RFC 7065 §3.1: `?transport=` and one value. Literals of ABNF have no case (RFC 5234 §2.3).
fn read_query(query: &str, secure: bool) -> Result<ServerTransport, ServerUriError> {
    let (name, value) = query.split_once('=').ok_or(ServerUriError::Query)?;
    if !name.eq_ignore_ascii_case("transport") || value.contains(['&', ';', '=']) {
        return Err(ServerUriError::Query);
    }
    if value.eq_ignore_ascii_case("udp") {
        Ok(if secure { ServerTransport::Dtls } else { ServerTransport::Udp })
    } else if value.eq_ignore_ascii_case("tcp") {
        Ok(if secure { ServerTransport::Tls } else { ServerTransport::Tcp })
    } else {
        Err(ServerUriError::Transport)
    }
}

impl fmt::Display for ServerUri {
    /// The shortest form: without what is the default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secure = self.transport.is_secure();
        f.write_str(match (self.protocol, secure) {
            (ServerProtocol::Stun, false) => "stun:",
            (ServerProtocol::Stun, true) => "stuns:",
            (ServerProtocol::Turn, false) => "turn:",
            (ServerProtocol::Turn, true) => "turns:",
        })?;
        self.host.fmt(f)?;
        if self.port != default_port(self.transport) {
            write!(f, ":{}", self.port)?;
        }
        if self.transport == default_transport(secure) {
            return Ok(());
        }
        f.write_str(match self.transport.transport() {
            Transport::Udp => "?transport=udp",
            Transport::Tcp => "?transport=tcp",
        })
    }
}

/// Why a text is no URI of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerUriError {
    /// It does not begin with `stun:`, `stuns:`, `turn:` or `turns:`.
    #[error("scheme: must be stun, stuns, turn or turns")]
    Scheme,
    /// There is no host.
    #[error("host: missing")]
    EmptyHost,
    /// The host is neither an IP address nor a name that DNS could hold.
    #[error("host: must be an IP address or a host name")]
    Host,
    /// The host is an IPv6 address without brackets around it (RFC 3986 §3.2.2).
    #[error("host: an IPv6 address stands in brackets")]
    Brackets,
    /// The address has a zone id, which means something on one machine only.
    #[error("host: an address of a server has no zone id")]
    ZoneId,
    /// Something that is no port follows the brackets of an IPv6 address.
    #[error("host: nothing but a port may follow the brackets")]
    AfterHost,
    /// The port is not a number from 1 to 65535.
    #[error("port: must be a number from 1 to 65535")]
    Port,
    /// A user name stands before the host; credentials are not part of the URI.
    #[error("userinfo: not part of this URI")]
    UserInfo,
    /// There is a slash: these URIs are not hierarchical, and have no path (RFC 7064 §3.1).
    #[error("path: not part of this URI")]
    Path,
    /// A `stun:` or `stuns:` URI has a query.
    #[error("query: only turn and turns have one")]
    QueryOnStun,
    /// The transport is neither `udp` nor `tcp`.
    #[error("transport: must be udp or tcp")]
    Transport,
    /// The query is something other than `transport=` and one value.
    #[error("query: must be transport=udp or transport=tcp")]
    Query,
    /// There is a fragment.
    #[error("fragment: not part of this URI")]
    Fragment,
}
