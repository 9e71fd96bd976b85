//! Why a pair has failed: what its last check came to, kept for whoever asks. No rule depends on it.

use core::hash::{Hash, Hasher};

/// What kept a pair from working.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Setback {
    /// Nothing is known that has.
    #[default]
    None,
    /// Nobody answered.
    Unanswered,
    /// The answer came from or to another address (RFC 8445 §7.2.5.2.1).
    AnsweredElsewhere,
    /// The answer says nothing that could be used.
    Unusable,
    /// The peer answered with this error.
    Refused(u16),
    /// This machine has no way to the destination.
    Unreachable,
    /// This machine does not allow to send there.
    NotPermitted,
    /// The network has answered with a hard ICMP error.
    Icmp,
    /// The server refuses to relay to the destination, with this error if it has said one.
    PermissionRefused(Option<core::num::NonZeroU16>),
    /// The server cannot be asked to relay to the destination.
    NotRelayed,
    /// Its TCP connection did not open, or is gone (RFC 6544 §7).
    NotConnected,
    /// The configuration does not let anything be sent to the destination.
    Forbidden,
    /// Consent was not renewed (RFC 7675 §5.1).
    ConsentExpired,
    /// The peer has taken its consent back (RFC 7675 §5.2).
    ConsentRevoked,
    /// Nomination concluded before its check was decided (RFC 8445 §8.1.2).
    Overtaken,
}

/// It decides nothing: pairs that differ in it alone are the same.
impl Hash for Setback {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
