//! What makes a server slow, wrong or unwilling. Everything here may change while it runs.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use super::super::link::Probability;
use crate::stun::method;

/// A request that a server can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TurnMethod {
    /// Binding (RFC 8489).
    Binding,
    /// Allocate.
    Allocate,
    /// Refresh.
    Refresh,
    /// CreatePermission.
    CreatePermission,
    /// ChannelBind.
    ChannelBind,
}

impl TurnMethod {
    pub(super) const fn from_number(number: u16) -> Option<Self> {
        match number {
            method::BINDING => Some(Self::Binding),
            method::ALLOCATE => Some(Self::Allocate),
            method::REFRESH => Some(Self::Refresh),
            method::CREATE_PERMISSION => Some(Self::CreatePermission),
            method::CHANNEL_BIND => Some(Self::ChannelBind),
            _ => None,
        }
    }

    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Binding => method::BINDING,
            Self::Allocate => method::ALLOCATE,
            Self::Refresh => method::REFRESH,
            Self::CreatePermission => method::CREATE_PERMISSION,
            Self::ChannelBind => method::CHANNEL_BIND,
        }
    }
}

/// An error with which requests are answered that deserved a success.
///
/// ```
/// use frazil::sim::TurnRefusal;
///
/// let quota = TurnRefusal::new(486);
/// let elsewhere = TurnRefusal::try_alternate("198.51.100.2:3478".parse()?).unauthenticated();
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnRefusal {
    pub(super) code: u16,
    pub(super) alternates: Vec<SocketAddr>,
    pub(super) domain: Option<String>,
    pub(super) unauthenticated: bool,
}

impl TurnRefusal {
    /// RFC 8489 §14.16: the longest ALTERNATE-DOMAIN.
    const MAX_DOMAIN: usize = 255;

    /// An error with this code, 300 to 699; anything else is 500. It goes to requests that have
    /// proved who they are, and is as authentic as their success would have been, except that 401
    /// and 438 come with a realm and a fresh nonce and without integrity, as they always do.
    #[must_use]
    pub fn new(code: u16) -> Self {
        let code = if matches!(code, 300..=699) { code } else { 500 };
        Self { code, alternates: Vec::new(), domain: None, unauthenticated: false }
    }

    /// 300 (Try Alternate) with ALTERNATE-SERVER (RFC 8489 §10).
    #[must_use]
    pub fn try_alternate(server: SocketAddr) -> Self {
        Self { alternates: vec![server], ..Self::new(300) }
    }

    /// A second ALTERNATE-SERVER, of the other address family (RFC 8489 §10).
    #[must_use]
    pub fn with_other_family(mut self, server: SocketAddr) -> Self {
        self.alternates.truncate(1);
        self.alternates.push(server);
        self
    }

    /// ALTERNATE-DOMAIN: the name in the certificate of the other server. At most 255 characters
    /// of ASCII are taken of it (RFC 8489 §14.16).
    #[must_use]
    pub fn with_domain(mut self, domain: &str) -> Self {
        self.domain = Some(domain.chars().filter(char::is_ascii).take(Self::MAX_DOMAIN).collect());
        self
    }

    /// The same error for whoever asks, before credentials are looked at, and without integrity.
    #[must_use]
    pub fn unauthenticated(mut self) -> Self {
        self.unauthenticated = true;
        self
    }
}

/// What is wrong with the answers of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnTamper {
    /// They end after so many bytes.
    Truncate(usize),
    /// They were made with a key that is not that of the user.
    ForeignKey,
    /// They have no integrity attribute.
    NoIntegrity,
    /// They carry a transaction id that nobody has sent.
    OtherTransaction,
    /// They are bytes without meaning, as many as the answer would have had.
    Noise,
}

/// What a server does to everybody. The default is an honest server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnBehaviour {
    /// It never answers a request. What is allocated is still relayed.
    pub silent: bool,
    /// How likely a request is dropped before anything looks at it.
    pub request_loss: Probability,
    /// For how long an answer is held back. What is relayed is not.
    pub response_delay: Duration,
    /// From where datagrams with answers come instead of where the request went.
    pub answer_from: Option<SocketAddr>,
    /// What is wrong with the answers.
    pub tamper: Option<TurnTamper>,
    /// How long a nonce is valid. The default is an hour (RFC 8656 §5).
    pub nonce_lifetime: Duration,
    /// The lifetime of an allocation that asks for none, or for less. The default is 10 minutes
    /// (RFC 8656 §3.2).
    pub default_lifetime: Duration,
    /// The longest lifetime of an allocation. The default is an hour (RFC 8656 §7.2).
    pub max_lifetime: Duration,
    /// What LIFETIME says in place of the truth, in seconds.
    pub told_lifetime: Option<u32>,
}

impl Default for TurnBehaviour {
    fn default() -> Self {
        Self {
            silent: false,
            request_loss: Probability::NEVER,
            response_delay: Duration::ZERO,
            answer_from: None,
            tamper: None,
            nonce_lifetime: Duration::from_secs(3600),
            default_lifetime: Duration::from_secs(600),
            max_lifetime: Duration::from_secs(3600),
            told_lifetime: None,
        }
    }
}

impl TurnBehaviour {
    /// RFC 8656 §7.2, §8.2: the lifetime of an allocation, in whole seconds, as LIFETIME has them.
    pub(super) fn lifetime(&self, wanted: Option<u32>) -> Duration {
        let wanted = wanted.map_or(Duration::ZERO, |secs| Duration::from_secs(u64::from(secs)));
        Duration::from_secs(wanted.max(self.default_lifetime).min(self.max_lifetime).as_secs())
    }
}

/// The refusals that are still to be given: at most one for each method.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(BTreeMap<TurnMethod, (TurnRefusal, u32)>);

impl Refusals {
    pub(super) fn set(&mut self, method: TurnMethod, refusal: TurnRefusal, requests: u32) {
        if requests == 0 {
            self.0.remove(&method);
        } else {
            self.0.insert(method, (refusal, requests));
        }
    }

    /// Takes one of those that are given before, or after, credentials are looked at.
    pub(super) fn take(
        &mut self,
        method: TurnMethod,
        unauthenticated: bool,
    ) -> Option<TurnRefusal> {
        let (refusal, left) = self.0.get_mut(&method)?;
        if refusal.unauthenticated != unauthenticated {
            return None;
        }
        *left = left.saturating_sub(1);
        if *left > 0 {
            return Some(refusal.clone());
        }
        self.0.remove(&method).map(|(refusal, _)| refusal)
    }
}
