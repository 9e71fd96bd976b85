//! What a server counts.

use std::collections::BTreeMap;

use super::super::stats::increment;
use super::behaviour::TurnMethod;

/// Why a server did not do what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TurnRejected {
    /// A request was answered with this error.
    Error(u16),
    /// A request was dropped, as [`request_loss`](super::TurnBehaviour::request_loss) has it.
    Lost,
    /// A request was not answered, as [`silent`](super::TurnBehaviour::silent) has it.
    Silent,
    /// Something arrived at an address where nothing listens and nobody has an allocation.
    NotListening,
    /// Something arrived on a connection that is not open.
    NoConnection,
    /// It is neither STUN nor ChannelData.
    NotTurn,
    /// It is STUN or ChannelData, but malformed.
    Malformed,
    /// The FINGERPRINT is wrong.
    Fingerprint,
    /// A method that is not known, or a message that no client sends.
    Unexpected,
    /// A stream that cannot be read any further: it is closed.
    Stream,
    /// A Send indication or ChannelData from somebody without an allocation.
    NoAllocation,
    /// A Send indication with an attribute that is not known or without one that it needs.
    SendAttributes,
    /// Data to a peer without a permission, or of a family that the allocation does not have.
    NoPermission,
    /// Data to a peer that is not allowed.
    Forbidden,
    /// Data on a channel that is not bound.
    NoChannel,
    /// A datagram, or an ICMP error about one, from or to a peer without a permission.
    PeerNotPermitted,
    /// An ICMP error of a type that is not relayed.
    IcmpType,
    /// Data from a peer that does not fit into a message.
    TooLarge,
    /// More transmits than [`transmits`](super::TurnServerLimits::transmits).
    TooManyTransmits,
}

/// What a server has done, and what it has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TurnStats {
    successes: BTreeMap<TurnMethod, u64>,
    rejected: BTreeMap<TurnRejected, u64>,
    to_peers: u64,
    to_clients: u64,
    retransmissions: u64,
    expired: u64,
}

impl TurnStats {
    /// How many requests of this method were answered with success, repetitions included.
    #[must_use]
    pub fn successes(&self, method: TurnMethod) -> u64 {
        self.successes.get(&method).copied().unwrap_or_default()
    }

    /// How often something was not done for this reason.
    #[must_use]
    pub fn rejected(&self, reason: TurnRejected) -> u64 {
        self.rejected.get(&reason).copied().unwrap_or_default()
    }

    /// Every reason that there was, and how often.
    pub fn all_rejected(&self) -> impl Iterator<Item = (TurnRejected, u64)> + '_ {
        self.rejected.iter().map(|(reason, count)| (*reason, *count))
    }

    /// Datagrams that were relayed to peers.
    #[must_use]
    pub const fn to_peers(&self) -> u64 {
        self.to_peers
    }

    /// Datagrams and ICMP errors that were relayed to clients.
    #[must_use]
    pub const fn to_clients(&self) -> u64 {
        self.to_clients
    }

    /// Allocate requests that repeated the one that made the allocation (RFC 8656 §7.2).
    #[must_use]
    pub const fn retransmissions(&self) -> u64 {
        self.retransmissions
    }

    /// Relayed addresses that were given back because nobody refreshed them.
    #[must_use]
    pub const fn expired(&self) -> u64 {
        self.expired
    }

    pub(super) fn succeed(&mut self, method: TurnMethod) {
        increment(self.successes.entry(method).or_default());
    }

    pub(super) fn reject(&mut self, reason: TurnRejected) {
        increment(self.rejected.entry(reason).or_default());
    }

    pub(super) const fn relay_to_peer(&mut self) {
        increment(&mut self.to_peers);
    }

    pub(super) const fn relay_to_client(&mut self) {
        increment(&mut self.to_clients);
    }

    pub(super) const fn retransmit(&mut self) {
        increment(&mut self.retransmissions);
    }

    pub(super) const fn expire(&mut self) {
        increment(&mut self.expired);
    }
}
