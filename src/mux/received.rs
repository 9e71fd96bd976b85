//! What becomes of a datagram, and the count of those that found no session.

use core::fmt;

use crate::agent::io::Received;

use super::SessionId;

/// What became of a datagram that came to a [`Mux`](crate::Mux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may hold application data"]
pub enum MuxReceived<'a> {
    /// It was for this session, whose agent says what it was.
    Session(SessionId, Received<'a>),
    /// Application data on a path that several sessions use at the same time. Only the application
    /// can tell whose it is, if at all; so it must not be trusted with more than that.
    Shared(&'a [u8]),
    /// It was for none, and is counted.
    Ignored(MuxIgnored),
}

/// Why a datagram found no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MuxIgnored {
    /// A request for a username fragment that no session has.
    UnknownUfrag,
    /// A request that names nobody.
    MissingUsername,
    /// A response to a request of no session.
    UnknownTransaction,
    /// Anything else, on a path that no session has.
    UnknownPath,
}

/// All reasons, in the order of their counts.
const IGNORED: [MuxIgnored; 4] = [
    MuxIgnored::UnknownUfrag,
    MuxIgnored::MissingUsername,
    MuxIgnored::UnknownTransaction,
    MuxIgnored::UnknownPath,
];

/// How often what found no session.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MuxCounters {
    ignored: [u64; IGNORED.len()],
}

impl MuxCounters {
    /// Datagrams ignored for this reason.
    #[must_use]
    pub fn ignored(&self, reason: MuxIgnored) -> u64 {
        self.all_ignored().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count)
    }

    /// Every reason, with its count.
    pub fn all_ignored(&self) -> impl Iterator<Item = (MuxIgnored, u64)> {
        IGNORED.into_iter().zip(self.ignored)
    }

    pub(super) fn ignore(&mut self, reason: MuxIgnored) {
        for (_, count) in
            IGNORED.iter().zip(&mut self.ignored).filter(|(other, _)| **other == reason)
        {
            *count = count.saturating_add(1);
        }
    }
}

impl fmt::Debug for MuxCounters {
    /// The counts that are not zero, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.all_ignored().filter(|(_, count)| *count > 0);
        f.debug_map().entries(counts).finish()
    }
}
