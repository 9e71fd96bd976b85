//! What a network and a world count.

/// Why a datagram could not be carried to its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Unreachable {
    /// No host has the source address: an interface that is gone.
    Source,
    /// No host had the destination address when the datagram arrived.
    Destination,
    /// One of source and destination is an IPv4 address and the other an IPv6 one.
    Family,
}

/// What became of the datagrams of a network.
///
/// Nothing goes missing: `sent + injected + duplicated` is always `delivered + lost + blocked +
/// removed + unreachable()` and what is still on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkStats {
    /// Handed to the network by a sender.
    pub sent: u64,
    /// Put on the way by a test.
    pub injected: u64,
    /// Second copies that the network made.
    pub duplicated: u64,
    /// Received by the host that they were sent to.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Stopped by a rule, at departure or at arrival.
    pub blocked: u64,
    /// Taken out on the way by a test.
    pub removed: u64,
    /// Stopped because no host has the source address.
    pub unreachable_source: u64,
    /// Stopped because no host has the destination address.
    pub unreachable_destination: u64,
    /// Stopped because source and destination are of different address families.
    pub unreachable_family: u64,
}

impl NetworkStats {
    /// Stopped because there is no way, for whatever reason.
    #[must_use]
    pub const fn unreachable(&self) -> u64 {
        self.unreachable_source
            .saturating_add(self.unreachable_destination)
            .saturating_add(self.unreachable_family)
    }

    pub(super) fn count_unreachable(&mut self, reason: Unreachable) {
        increment(match reason {
            Unreachable::Source => &mut self.unreachable_source,
            Unreachable::Destination => &mut self.unreachable_destination,
            Unreachable::Family => &mut self.unreachable_family,
        });
    }
}

/// What a world counts beside its network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorldStats {
    /// Signals, datagrams and timeouts that have happened.
    pub steps: u64,
    /// Transmits from where no socket is open, or on a stream connection that nobody opened.
    pub unsent: u64,
    /// Datagrams that arrived at a host where no socket is open for them.
    pub unclaimed: u64,
    /// Signals that an agent refused; its log says why.
    pub refused_signals: u64,
}

pub(super) const fn increment(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
