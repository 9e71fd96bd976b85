//! What a server sends, in the order of its time.

use core::net::SocketAddr;
use core::ops::Bound;
use std::collections::BTreeMap;

use crate::time::Timestamp;

/// Where a server sends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TurnRoute {
    /// A datagram between two addresses, of which `local` is one of the server's: where it listens,
    /// or one that it relays.
    Datagram {
        /// The source.
        local: SocketAddr,
        /// The destination.
        remote: SocketAddr,
        /// Whether it must not be fragmented: the client asked for it with DONT-FRAGMENT.
        dont_fragment: bool,
    },
    /// A stream connection, by the number that the caller gave it.
    Stream(u64),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Output {
    queue: BTreeMap<(Timestamp, u64), (TurnRoute, Vec<u8>)>,
    pushed: u64,
}

impl Output {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn push(&mut self, due: Timestamp, route: TurnRoute, bytes: Vec<u8>) {
        self.pushed = self.pushed.saturating_add(1);
        self.queue.insert((due, self.pushed), (route, bytes));
    }

    /// What is due `now`.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(TurnRoute, Vec<u8>)> {
        let first = self.queue.first_entry()?;
        let (due, _) = *first.key();
        (due <= now).then(|| first.remove())
    }

    /// When the next thing that is not yet due will be. What is due already waits for no time.
    pub(super) fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let later = (Bound::Excluded((now, u64::MAX)), Bound::Unbounded);
        self.queue.range(later).next().map(|((due, _), _)| *due)
    }

    /// Forgets what would go to a connection that is closed, but for what was due by `kept`.
    pub(super) fn forget_stream(&mut self, connection: u64, kept: Option<Timestamp>) {
        self.queue.retain(|(due, _), (route, _)| {
            *route != TurnRoute::Stream(connection) || kept.is_some_and(|kept| *due <= kept)
        });
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }
}
