//! When a transaction may start and when one may be repeated (RFC 8445 §14.2).
//!
//! New transactions are `Ta` apart. Retransmissions need no slot of their own, but keep 5 ms
//! distance to whatever was sent before, and to the next slot when that has a check to carry: the
//! first packet of every check goes before any retransmission (RFC 8445 §14.1).

use core::time::Duration;

use crate::time::Timestamp;

/// RFC 8445 §14.2: the Ta of an agent that proposes none.
pub(super) const DEFAULT_TA: Duration = Duration::from_millis(50);
/// RFC 8445 §14.2: the least distance between any two transmissions of transactions.
pub(super) const SPACING: Duration = Duration::from_millis(5);

/// The pace of one agent's transactions.
#[derive(Clone, Debug, Hash)]
pub(super) struct Pacer {
    ta: Duration,
    /// When the next transaction may start.
    slot: Timestamp,
    /// When a packet of a transaction may follow the last one.
    clear: Timestamp,
}

impl Pacer {
    pub(super) const fn new(ta: Duration) -> Self {
        Self { ta, slot: Timestamp::ZERO, clear: Timestamp::ZERO }
    }

    pub(super) const fn ta(&self) -> Duration {
        self.ta
    }

    /// RFC 8445 §14.2: both agents use the larger value of what they proposed.
    pub(super) fn set_ta(&mut self, ta: Duration) {
        self.ta = ta;
    }

    /// When a new transaction may start.
    pub(super) fn next_start(&self) -> Timestamp {
        self.slot.max(self.clear)
    }

    pub(super) fn started(&mut self, now: Timestamp) {
        self.slot = now + self.ta;
        self.clear = now + SPACING;
    }

    /// When a request that is due again at `due` may be sent, `busy` saying whether the next slot
    /// has a check to carry.
    pub(super) fn next_retransmission(
        &self,
        now: Timestamp,
        due: Timestamp,
        busy: bool,
    ) -> Timestamp {
        let at = due.max(self.clear).max(now);
        let start = self.next_start();
        if busy && at + SPACING > start { start.max(at) + SPACING } else { at }
    }

    /// When a packet of a transaction that needs no slot may be sent.
    pub(super) const fn next_packet(&self) -> Timestamp {
        self.clear
    }

    pub(super) fn retransmitted(&mut self, now: Timestamp) {
        self.clear = now + SPACING;
    }
}
