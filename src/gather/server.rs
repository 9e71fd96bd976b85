//! What the caller tells of a server.

use core::fmt;
use core::time::Duration;

use super::auth::LongTermCredentials;
use crate::time::Timestamp;
use crate::turn::Families;
use crate::uri::{ServerProtocol, ServerUri};

/// A STUN or TURN server to obtain candidates from (W3C RTCIceServer, one URL each).
///
/// ```
/// use frazil::{Server, ServerCredentials};
///
/// let stun = Server::new("stun:stun.example.org".parse()?);
/// let turn = Server::new("turns:turn.example.org".parse()?)
///     .with_credentials(ServerCredentials::new("alice", "secret")?);
/// assert_eq!(turn.uri().port(), 5349);
/// # assert!(stun.uri() != turn.uri());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    pub(crate) uri: ServerUri,
    pub(crate) credentials: Option<ServerCredentials>,
    pub(crate) relay: RelayFamilies,
    pub(crate) dont_fragment: bool,
    pub(crate) lifetime: Option<u32>,
    pub(crate) redirects: bool,
}

impl Server {
    /// The server of a URI, with the defaults of everything else.
    #[must_use]
    pub const fn new(uri: ServerUri) -> Self {
        Self {
            uri,
            credentials: None,
            relay: RelayFamilies::Both,
            dont_fragment: false,
            lifetime: None,
            redirects: false,
        }
    }

    /// Who asks. A TURN server wants it, and the rare STUN server (RFC 8489 §9.2).
    #[must_use]
    pub fn with_credentials(mut self, credentials: ServerCredentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The families of the relayed addresses to ask for; both, if nothing is said.
    #[must_use]
    pub const fn with_relay_families(mut self, families: RelayFamilies) -> Self {
        self.relay = families;
        self
    }

    /// Asks the server to set DF on what it sends to peers (RFC 8656 §14), and does without it
    /// where the server cannot.
    #[must_use]
    pub const fn with_dont_fragment(mut self) -> Self {
        self.dont_fragment = true;
        self
    }

    /// The lifetime to ask for, in whole seconds; the server's default, if nothing is said. What
    /// the server grants is what counts (RFC 8656 §7.3).
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX));
        self
    }

    /// Follows an answer that names another server (300, RFC 8489 §10) also when nothing proves
    /// that it was the server who gave it: to the first request, which carries no credentials.
    /// Some servers redirect in no other way; somebody on the path can then choose the server.
    #[must_use]
    pub const fn with_unauthenticated_redirects(mut self) -> Self {
        self.redirects = true;
        self
    }

    /// Its URI.
    #[must_use]
    pub const fn uri(&self) -> &ServerUri {
        &self.uri
    }

    pub(crate) fn is_turn(&self) -> bool {
        self.uri.protocol() == ServerProtocol::Turn
    }

    pub(crate) fn credentials(&self) -> Option<&LongTermCredentials> {
        self.credentials.as_ref().map(|credentials| &credentials.0)
    }

    pub(crate) fn set_credentials(&mut self, credentials: ServerCredentials) {
        self.credentials = Some(credentials);
    }

    pub(crate) const fn families(&self) -> Families {
        match self.relay {
            RelayFamilies::Ipv4 => Families::V4,
            RelayFamilies::Ipv6 => Families::V6,
            RelayFamilies::Both => Families::Both,
        }
    }

    pub(crate) const fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    pub(crate) const fn lifetime(&self) -> Option<u32> {
        self.lifetime
    }

    pub(crate) const fn redirects(&self) -> bool {
        self.redirects
    }
}

/// Which families of relayed addresses are asked for (RFC 8656 §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RelayFamilies {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both in one allocation, or the one that the server has.
    #[default]
    Both,
}

/// A username and password for a server (RFC 8489 §9.2).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerCredentials(LongTermCredentials);

impl ServerCredentials {
    /// Credentials that do not expire.
    ///
    /// # Errors
    /// A server could not take them.
    pub fn new(username: &str, password: &str) -> Result<Self, ServerCredentialsError> {
        LongTermCredentials::new(username, password)
            .map(Self)
            .map_err(|_| ServerCredentialsError::Unusable)
    }

    /// The same that are valid until then:
    /// [`Event::CredentialsExpiring`](crate::Event::CredentialsExpiring) asks for others before.
    #[must_use]
    pub fn until(self, expires: Timestamp) -> Self {
        Self(self.0.until(expires))
    }

    /// The same, with the end that their username names: seconds of the Unix time before the first
    /// colon, as services that hand out credentials for a while write it
    /// (draft-uberti-behave-turn-rest-00 §2.2). `unix_now` is the Unix time at `now`. Without such a
    /// number they do not expire.
    #[must_use]
    pub fn until_named_end(self, now: Timestamp, unix_now: u64) -> Self {
        Self(self.0.with_expiry_in_username(now, unix_now))
    }

    /// Username, password, and the end.
    #[cfg(feature = "replay")]
    pub(crate) fn parts(&self) -> (&str, &str, Option<Timestamp>) {
        self.0.parts()
    }

    pub(crate) fn into_inner(self) -> LongTermCredentials {
        self.0
    }
}

impl fmt::Debug for ServerCredentials {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a username and password are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerCredentialsError {
    /// The username is longer than 508 bytes (RFC 8489 §14.3), or one of both is empty or has
    /// characters that OpaqueString (RFC 8265) does not allow.
    #[error("credentials: empty, too long, or with characters that are not allowed")]
    Unusable,
}
