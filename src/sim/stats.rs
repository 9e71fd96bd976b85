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

/// Who dropped a datagram, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A NAT has no mapping at this external address and port.
    NatNoMapping,
    /// The filter of a NAT's mapping does not know the sender.
    NatFiltered,
    /// A NAT has as many mappings or filter entries as it can.
    NatTableFull,
    /// A NAT has no port left at the external address that it may take.
    NatNoPort,
    /// A NAT has no address of the family of the other one: neither an external address for the
    /// destination nor a prefix for the source.
    NatNoAddress,
    /// A NAT does not turn round what is sent to itself.
    NatHairpin,
    /// A firewall does not let it out.
    FirewallOutbound,
    /// A firewall does not let it in.
    FirewallInbound,
    /// A firewall has as many flows as it can.
    FirewallTableFull,
    /// A gateway is down.
    GatewayDown,
    /// A gateway does not route the source address: a private one, or one of somebody else.
    SourceNotRouted,
    /// The queue before a link is full.
    QueueFull,
    /// It is larger than the MTU of a link.
    TooLarge,
}

impl DropReason {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::NatNoMapping,
        Self::NatFiltered,
        Self::NatTableFull,
        Self::NatNoPort,
        Self::NatNoAddress,
        Self::NatHairpin,
        Self::FirewallOutbound,
        Self::FirewallInbound,
        Self::FirewallTableFull,
        Self::GatewayDown,
        Self::SourceNotRouted,
        Self::QueueFull,
        Self::TooLarge,
    ];
}

/// What became of the datagrams of a network.
///
/// Nothing goes missing: `sent + injected + duplicated` is always `delivered + lost + blocked +
/// removed + unreachable() + dropped()` and what is still on its way.
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
    /// Dropped by a gateway, a firewall or a link, in the order of [`DropReason::ALL`].
    drops: [u64; DropReason::ALL.len()],
}

impl NetworkStats {
    /// Stopped because there is no way, for whatever reason.
    #[must_use]
    pub const fn unreachable(&self) -> u64 {
        self.unreachable_source
            .saturating_add(self.unreachable_destination)
            .saturating_add(self.unreachable_family)
    }

    /// Dropped by a gateway, a firewall or a link, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.iter().fold(0, |sum, drops| sum.saturating_add(*drops))
    }

    /// Dropped for this reason.
    #[must_use]
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        let position = DropReason::ALL.iter().position(|other| *other == reason);
        position.and_then(|position| self.drops.get(position)).copied().unwrap_or(0)
    }

    pub(super) fn count_drop(&mut self, reason: DropReason) {
        let counters = DropReason::ALL.iter().zip(&mut self.drops);
        if let Some((_, counter)) = counters.into_iter().find(|(other, _)| **other == reason) {
            increment(counter);
        }
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
