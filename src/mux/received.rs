//! What becomes of what arrives, and the count of what found no session or no room.

use core::fmt;

use crate::agent::io::Received;

use super::SessionId;

/// What became of a datagram, or of bytes on a connection, that came to a [`Mux`](crate::Mux).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may hold application data"]
pub enum MuxReceived<'a> {
    /// It was for this session, whose agent says what it was.
    Session(SessionId, Received<'a>),
    /// Application data on a path that several sessions use at the same time. Only the application
    /// can tell whose it is, if at all; so it must not be trusted with more than that.
    Shared(&'a [u8]),
    /// It is a part of the first message on a connection, which says whose that is.
    Pending,
    /// It was for none, and is counted.
    Ignored(MuxIgnored),
}

/// Why a datagram or a connection found no session.
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
    /// Bytes on a connection that there is not, or not any more.
    UnknownConnection,
    /// A connection that begins with something else than a Binding request.
    NotARequest,
    /// A connection that brings more than [`MuxLimits::unproven_bytes`](crate::MuxLimits) and no message,
    /// or a longer one.
    LongFrame,
    /// A connection that is not taken by the agent which its first message names: it has no passive
    /// candidate there, or its [`Limits`](crate::Limits) are reached.
    NotAccepted,
}

/// All reasons, in the order of their counts.
const IGNORED: [MuxIgnored; 8] = [
    MuxIgnored::UnknownUfrag,
    MuxIgnored::MissingUsername,
    MuxIgnored::UnknownTransaction,
    MuxIgnored::UnknownPath,
    MuxIgnored::UnknownConnection,
    MuxIgnored::NotARequest,
    MuxIgnored::LongFrame,
    MuxIgnored::NotAccepted,
];

/// Which of the bounds of a [`Mux`](crate::Mux) was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MuxRefused {
    /// `pending_connections` of [`MuxLimits`](crate::MuxLimits): a connection was not taken.
    PendingConnection,
    /// `pending_connections_of_network`: a connection was not taken.
    PendingConnectionOfNetwork,
    /// `first_message`: a connection was closed that had not said by then whose it is.
    SilentConnection,
}

/// All bounds, in the order of their counts.
const REFUSED: [MuxRefused; 3] = [
    MuxRefused::PendingConnection,
    MuxRefused::PendingConnectionOfNetwork,
    MuxRefused::SilentConnection,
];

/// How often what found no session.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct MuxCounters {
    ignored: [u64; IGNORED.len()],
    refused: [u64; REFUSED.len()],
}

impl MuxCounters {
    /// Datagrams and connections ignored for this reason.
    #[must_use]
    pub fn ignored(&self, reason: MuxIgnored) -> u64 {
        self.all_ignored().find(|(other, _)| *other == reason).map_or(0, |(_, count)| count)
    }

    /// Every reason, with its count.
    pub fn all_ignored(&self) -> impl Iterator<Item = (MuxIgnored, u64)> {
        IGNORED.into_iter().zip(self.ignored)
    }

    /// What was refused since this bound was reached.
    #[must_use]
    pub fn refused(&self, bound: MuxRefused) -> u64 {
        self.all_refused().find(|(other, _)| *other == bound).map_or(0, |(_, count)| count)
    }

    /// Every bound, with its count.
    pub fn all_refused(&self) -> impl Iterator<Item = (MuxRefused, u64)> {
        REFUSED.into_iter().zip(self.refused)
    }

    pub(super) fn ignore(&mut self, reason: MuxIgnored) {
        add_one(&IGNORED, &mut self.ignored, reason);
    }

    pub(super) fn refuse(&mut self, bound: MuxRefused) {
        add_one(&REFUSED, &mut self.refused, bound);
    }
}

fn add_one<T: PartialEq>(all: &[T], counts: &mut [u64], which: T) {
    for (_, count) in all.iter().zip(counts).filter(|(other, _)| **other == which) {
        *count = count.saturating_add(1);
    }
}

impl fmt::Debug for MuxCounters {
    /// The counts that are not zero, by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ignored = self.all_ignored().filter(|(_, count)| *count > 0);
        let refused = self.all_refused().filter(|(_, count)| *count > 0);
        f.debug_map().entries(ignored).entries(refused).finish()
    }
}
