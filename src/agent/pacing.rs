//! When a transaction may start and when one may be repeated (RFC 8445 §14.2).
//!
//! New transactions are `Ta` apart, those to servers and checks together. Two alone do not wait for each
//! other: the first check, which RFC 8445 §6.1.4.2 has performed "as soon as the initial states for the
//! candidate pairs in the checklist set have been set", and "after that, whenever Ta fires"; and the
//! first request to a server, with which gathering begins (RFC 8445 §5.1.1.2).
//!
//! Retransmissions need no slot of their own, but keep 5 ms distance to whatever was sent before, and
//! to the next slot when that has a check to carry: the first packet of every check goes before any
//! retransmission (RFC 8445 §14.1).
//!
//! A container of many agents may hold both back, to space what all of them send. Consent checks
//! are not held: RFC 7675 §5.1 sets their pace, and a session must not lose its consent because of
//! others.

use core::time::Duration;

use crate::time::Timestamp;

/// RFC 8445 §14.2: the Ta of an agent that proposes none.
pub(super) const DEFAULT_TA: Duration = Duration::from_millis(50);
/// RFC 8445 §14.2: the least distance between any two transmissions of transactions.
pub(crate) const SPACING: Duration = Duration::from_millis(5);

/// The pace of one agent's transactions.
#[derive(Clone, Debug, Hash)]
pub(super) struct Pacer {
    ta: Micros,
    /// Something was sent that others have to keep their distance to.
    sent: bool,
    /// When the next transaction may start.
    slot: Timestamp,
    /// When a packet of a transaction may follow the last one.
    clear: Timestamp,
    /// Until when the transactions of other agents hold back those of this one.
    held: Timestamp,
    /// No check has been started in this generation.
    unchecked: bool,
    /// A server has been asked.
    asked: bool,
    timer: Timer,
}

/// What has started the timer that `slot` is the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Timer {
    Request,
    /// The first check of a generation.
    FirstCheck,
    Check,
}

/// A Ta in whole microseconds, rounded up: at most 10 s.
#[derive(Clone, Copy, Debug, Hash)]
struct Micros(u32);

impl Micros {
    fn new(ta: Duration) -> Self {
        Self(u32::try_from(ta.as_nanos().div_ceil(1000)).unwrap_or(u32::MAX))
    }
}

impl Pacer {
    pub(super) fn new(ta: Duration) -> Self {
        Self {
            ta: Micros::new(ta),
            sent: false,
            slot: Timestamp::ZERO,
            clear: Timestamp::ZERO,
            held: Timestamp::ZERO,
            unchecked: true,
            asked: false,
            timer: Timer::Check,
        }
    }

    pub(super) fn ta(&self) -> Duration {
        Duration::from_micros(u64::from(self.ta.0))
    }

    /// RFC 8445 §14.2: both agents use the larger value of what they proposed.
    pub(super) fn set_ta(&mut self, ta: Duration) {
        self.ta = Micros::new(ta);
    }

    /// When a new transaction may start.
    pub(super) fn next_start(&self) -> Timestamp {
        self.slot.max(self.clear).max(self.held)
    }

    /// A generation begins: its first check is to come.
    pub(super) const fn begin_checks(&mut self) {
        self.unchecked = true;
    }

    /// When a check may start: the first one beside a request.
    pub(super) fn next_check(&self) -> Timestamp {
        let beside = self.unchecked && self.timer == Timer::Request;
        if beside { self.clear.max(self.held) } else { self.next_start() }
    }

    /// When a server may be asked: the first time, beside the first check.
    pub(super) fn next_request(&self) -> Timestamp {
        let beside = !self.asked && self.timer == Timer::FirstCheck;
        if beside { self.clear.max(self.held) } else { self.next_start() }
    }

    pub(super) fn started_request(&mut self, now: Timestamp) {
        self.asked = true;
        self.started(now, Timer::Request);
    }

    /// A check takes the slot that has come, or it is the first one.
    pub(super) fn started_check(&mut self, now: Timestamp) {
        let first = core::mem::take(&mut self.unchecked);
        if first && now < self.slot {
            // The timer has been started, and fires when it would have.
            return self.retransmitted(now);
        }
        self.started(now, if first { Timer::FirstCheck } else { Timer::Check });
    }

    fn started(&mut self, now: Timestamp, timer: Timer) {
        self.timer = timer;
        self.slot = now + self.ta();
        self.retransmitted(now);
    }

    /// When a request that is due again at `due` may be sent, `busy` saying whether the next slot
    /// has a check to carry.
    pub(super) fn next_retransmission(
        &self,
        now: Timestamp,
        due: Timestamp,
        busy: bool,
    ) -> Timestamp {
        let at = due.max(self.clear).max(self.held).max(now);
        let start = self.next_check();
        if busy && at + SPACING > start { start.max(at) + SPACING } else { at }
    }

    /// When a packet of a transaction that needs no slot may be sent.
    pub(super) const fn next_packet(&self) -> Timestamp {
        self.clear
    }

    pub(super) fn retransmitted(&mut self, now: Timestamp) {
        self.clear = now + SPACING;
        self.sent = true;
    }

    pub(super) fn asked_consent(&mut self, now: Timestamp) {
        self.clear = now + SPACING;
    }

    pub(super) fn hold(&mut self, until: Timestamp) {
        self.held = until;
    }

    /// Whether a transaction was started or repeated since the last call.
    pub(super) fn take_sent(&mut self) -> bool {
        core::mem::take(&mut self.sent)
    }
}
