//! How asking a server ends, and why something that came from it was not taken.

use core::fmt;
use core::hash::{Hash, Hasher};

/// Why a server did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServerFailure {
    /// It said so.
    Refused {
        /// The error code (RFC 8489 §14.8).
        code: u16,
        /// The server's own words, at most 127 characters.
        phrase: Box<str>,
    },
    /// Its name stands for no address that can be reached from here.
    NotResolved,
    /// It did not answer.
    Timeout,
    /// Answers came, but none of them was authentic (RFC 8489 §9.2.5).
    IntegrityViolated,
    /// The network said that it cannot be reached. Or it was never asked, as no address of this side may
    /// ask it: none is of its family, none is on loopback as it is (see
    /// [`AgentConfig::loopback`](crate::AgentConfig::loopback)), or all are link-local.
    Unreachable,
    /// It said yes, but what it gave is of no use: incomplete, contradictory, or not asked for.
    Unusable,
    /// The connection to it is gone, or carries something else than STUN and TURN.
    Disconnected,
    /// What it gave has expired before it was renewed.
    Expired,
}

impl ServerFailure {
    /// RFC 8489 §14.8: the code, if the server has said one.
    #[must_use]
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl fmt::Display for ServerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, phrase } if phrase.is_empty() => write!(f, "{code}"),
            Self::Refused { code, phrase } => write!(f, "{code} {phrase}"),
            Self::NotResolved => f.write_str("the server's name was not resolved"),
            Self::Timeout => f.write_str("no answer"),
            Self::IntegrityViolated => f.write_str("only answers that are not authentic"),
            Self::Unreachable => f.write_str("the server cannot be reached"),
            Self::Unusable => f.write_str("an answer that is of no use"),
            Self::Disconnected => f.write_str("the connection to the server is gone"),
            Self::Expired => f.write_str("expired before it was renewed"),
        }
    }
}

/// Why something received was not taken. Nothing but a count has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// It does not come from the server.
    Foreign,
    /// It is neither STUN nor ChannelData.
    NotTurn,
    /// It is STUN or ChannelData, but malformed.
    Malformed,
    /// The FINGERPRINT is wrong.
    Fingerprint,
    /// It is a message that no server sends to a client.
    Unexpected,
    /// It answers nothing that was asked.
    UnknownTransaction,
    /// It is not authentic, and had to be.
    Unauthenticated,
    /// It pretends that the server knows less than it has said (RFC 8489 §9.2.5).
    BidDown,
    /// It is authentic, and cannot be true.
    Contradictory,
    /// Data on a channel that is not bound.
    NoChannel,
    /// Data from a peer that has no permission.
    NoPermission,
    /// A Data indication that does not say from whom, or nothing (RFC 8656 §11.4).
    NoData,
    /// Data without an allocation.
    NoAllocation,
    /// A fact that nobody polled made way for a newer one.
    Fact,
}

const ALL: [Rejected; 14] = [
    Rejected::Foreign,
    Rejected::NotTurn,
    Rejected::Malformed,
    Rejected::Fingerprint,
    Rejected::Unexpected,
    Rejected::UnknownTransaction,
    Rejected::Unauthenticated,
    Rejected::BidDown,
    Rejected::Contradictory,
    Rejected::NoChannel,
    Rejected::NoPermission,
    Rejected::NoData,
    Rejected::NoAllocation,
    Rejected::Fact,
];

/// How often what was rejected. A count that reaches 2^32 - 1 stays there.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Rejections([u32; ALL.len()]);

impl Rejections {
    pub(crate) fn count(&mut self, reason: Rejected) {
        for (_, count) in ALL.iter().zip(&mut self.0).filter(|(other, _)| **other == reason) {
            *count = count.saturating_add(1);
        }
    }

    #[cfg(test)]
    pub(crate) fn of(&self, reason: Rejected) -> u32 {
        self.all().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count)
    }

    /// Every reason, with its count.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Rejected, u32)> {
        ALL.into_iter().zip(self.0)
    }
}

impl Hash for Rejections {
    /// What was counted decides nothing.
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Rejections {
    /// The counts that are not zero, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.all().filter(|(_, count)| *count > 0)).finish()
    }
}
