//! When a request is sent again, and when it is given up (RFC 8489 §6.2.1, §6.2.2).
//!
//! A plain value without the request itself: what is sent again is rendered again.

use core::time::Duration;

use crate::time::Timestamp;

/// The retransmissions of one request.
///
/// Waits are counted from the transmission before, not from the deadline that it had: after a
/// late wake-up (a suspended machine) one retransmission is due and not all that were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Schedule {
    next: Timestamp,
    rto: u64,
    sent: u8,
    /// Rc
    transmissions: u8,
    /// Rm
    final_wait: u8,
}

/// What there is to do about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing before [`Schedule::next`].
    Wait,
    /// Send it once more, then call [`Schedule::transmitted`].
    Retransmit,
    /// No answer came in time: the transaction has failed.
    Expired,
}

impl Schedule {
    /// RFC 8489 §6.2.1: a request that is first sent `now`, and then again after `rto`, twice
    /// that, and so on, until it has been sent `transmissions` times (Rc); the last one is given
    /// `final_wait` times `rto` (Rm).
    pub(crate) fn new(now: Timestamp, rto: Duration, transmissions: u8, final_wait: u8) -> Self {
        let mut schedule = Self {
            next: now,
            rto: Timestamp::from_duration(rto).as_nanos(),
            sent: 0,
            transmissions,
            final_wait,
        };
        schedule.transmitted(now);
        schedule
    }

    /// A request that is sent `now` and never again, for which an answer may take `wait`: over
    /// TCP (RFC 8489 §6.2.2, Ti) and for consent (RFC 7675 §5.1).
    pub(crate) fn once(now: Timestamp, wait: Duration) -> Self {
        Self::new(now, wait, 1, 1)
    }

    /// Records a transmission that was made `now`, be it later than it was due.
    pub(crate) fn transmitted(&mut self, now: Timestamp) {
        self.sent = self.sent.saturating_add(1);
        self.next = now + self.wait();
    }

    /// The deadline of the next retransmission or of the end.
    pub(crate) const fn next(&self) -> Timestamp {
        self.next
    }

    pub(crate) fn due(&self, now: Timestamp) -> Due {
        if now < self.next {
            Due::Wait
        } else if self.sent < self.transmissions {
            Due::Retransmit
        } else {
            Due::Expired
        }
    }

    /// Whether the request will not be sent again: what comes next is the end.
    pub(crate) const fn is_last(&self) -> bool {
        self.sent >= self.transmissions
    }

    /// How often the request has been sent.
    pub(crate) const fn sent(&self) -> u8 {
        self.sent
    }

    pub(crate) const fn retransmitted(&self) -> bool {
        self.sent > 1
    }

    /// The round-trip time that an answer at `now` shows. RFC 8489 §6.2.1, Karn's algorithm: none
    /// when the request was sent more than once, as the answer may be to any of them.
    pub(crate) fn round_trip(&self, now: Timestamp) -> Option<Duration> {
        let sent = Timestamp::ZERO + self.next.as_duration().saturating_sub(self.wait());
        (!self.retransmitted()).then(|| now - sent)
    }

    /// What the last transmission is given before something is due.
    fn wait(&self) -> Duration {
        let factor = if self.sent < self.transmissions {
            2_u64.saturating_pow(u32::from(self.sent.saturating_sub(1)))
        } else {
            u64::from(self.final_wait)
        };
        Duration::from_nanos(self.rto.saturating_mul(factor))
    }
}
