//! What a server is told when it is made.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;

use crate::address;
pub use crate::stun::long_term::PasswordAlgorithm;

/// Somebody who may use the server.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnUser {
    /// The name.
    pub username: String,
    /// The password.
    pub password: String,
}

impl TurnUser {
    /// A user with this name and password.
    #[must_use]
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned() }
    }
}

impl fmt::Debug for TurnUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnUser").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a server holds at most. What would exceed it is refused and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnServerLimits {
    /// Allocations: 508 for those beyond.
    pub allocations: usize,
    /// Allocations of one user: 486 for those beyond.
    pub allocations_per_user: usize,
    /// Permissions of one allocation: 508 for those beyond.
    pub permissions: usize,
    /// Channels of one allocation: 508 for those beyond.
    pub channels: usize,
    /// Stream connections.
    pub connections: usize,
    /// Transmits that wait to be polled, or for their time to come.
    pub transmits: usize,
}

impl Default for TurnServerLimits {
    fn default() -> Self {
        Self {
            allocations: 1024,
            allocations_per_user: 128,
            permissions: 256,
            channels: 256,
            connections: 1024,
            transmits: 4096,
        }
    }
}

/// What a server is: where it listens and relays, whom it knows, what it supports.
///
/// ```
/// use frazil::sim::{TurnServerConfig, TurnUser};
///
/// let mut config = TurnServerConfig::new("198.51.100.1:3478".parse()?);
/// config.users.push(TurnUser::new("alice", "secret"));
/// config.realm = "example.org".to_owned();
/// config.relay_ipv6 = Some("2001:db8::1".parse()?);
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnServerConfig {
    /// Where it listens for datagrams and connections.
    pub listen: Vec<SocketAddr>,
    /// Where it relays IPv4, if it does. [`Self::new`] takes the address where it listens.
    pub relay_ipv4: Option<Ipv4Addr>,
    /// Where it relays IPv6, if it does. [`Self::new`] takes the address where it listens.
    pub relay_ipv6: Option<Ipv6Addr>,
    /// The ports of relayed addresses (RFC 8656 §7.2: 49152 to 65535).
    pub relay_ports: RangeInclusive<u16>,
    /// The realm of the long-term credential mechanism.
    pub realm: String,
    /// Who may use the server. With nobody here, everybody may, without credentials (RFC 8656
    /// §7.2, 1).
    pub users: Vec<TurnUser>,
    /// Whether Binding requests need credentials as well. RFC 8489 §12 advises against it.
    pub authenticate_binding: bool,
    /// The password algorithms on offer, the preferred one first. With none here, the server
    /// behaves as one of RFC 5389: MD5, and MESSAGE-INTEGRITY.
    pub password_algorithms: Vec<PasswordAlgorithm>,
    /// Whether USERHASH is taken in place of USERNAME, and announced.
    pub username_anonymity: bool,
    /// Whether it can send with the DF bit. If not, DONT-FRAGMENT is an unknown attribute.
    pub dont_fragment: bool,
    /// The value of SOFTWARE.
    pub software: Option<String>,
    /// Peers that are not allowed: 403. Loopback, multicast and unspecified addresses never are,
    /// nor is what listens here.
    pub denied_peers: Vec<IpAddr>,
    /// What it holds at most.
    pub limits: TurnServerLimits,
}

impl TurnServerConfig {
    /// A server that listens on one address, relays from the same IP address, offers both password
    /// algorithms, and lets everybody in.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        let ip = address::normal(listen).ip();
        Self {
            listen: vec![listen],
            relay_ipv4: if let IpAddr::V4(ip) = ip { Some(ip) } else { None },
            relay_ipv6: if let IpAddr::V6(ip) = ip { Some(ip) } else { None },
            relay_ports: 49152..=65535,
            realm: "frazil.test".to_owned(),
            users: Vec::new(),
            authenticate_binding: false,
            password_algorithms: vec![PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5],
            username_anonymity: true,
            dont_fragment: true,
            software: Some("frazil simulator".to_owned()),
            denied_peers: Vec::new(),
            limits: TurnServerLimits::default(),
        }
    }

    /// The same server with one more user.
    #[must_use]
    pub fn with_user(mut self, username: &str, password: &str) -> Self {
        self.users.push(TurnUser::new(username, password));
        self
    }
}

/// Why there can be no such server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TurnConfigError {
    /// It would listen nowhere.
    #[error("listen is empty")]
    NoAddress,
    /// There is no port to relay from.
    #[error("relay_ports is empty")]
    NoPorts,
    /// The realm has no form as OpaqueString (RFC 8265), or has more than 127 characters (RFC 8489
    /// §14.9).
    #[error("realm cannot be used")]
    Realm,
    /// Username or password have no form as OpaqueString (RFC 8265), or the username is longer than
    /// 508 bytes (RFC 8489 §14.3).
    #[error("user {0:?}: username or password cannot be used")]
    User(String),
    /// A user is there twice.
    #[error("user {0:?} is there twice")]
    DuplicateUser(String),
    /// SOFTWARE has more than 127 characters (RFC 8489 §14.14).
    #[error("software is too long")]
    Software,
}
