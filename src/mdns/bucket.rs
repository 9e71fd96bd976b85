//! A rate limit: so many messages a second, and as many at once.

use core::time::Duration;

use crate::time::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

/// A token bucket that holds what one second brings, as one point in time: when it would be full.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// The time that one token takes.
    token: Duration,
    full: Timestamp,
}

impl Bucket {
    /// `per_second` is not zero.
    pub(super) fn new(per_second: u16) -> Self {
        let token = SECOND.checked_div(u32::from(per_second)).unwrap_or(SECOND);
        Self { token, full: Timestamp::ZERO }
    }

    /// When there is a token, at the earliest.
    pub(super) fn ready(&self) -> Timestamp {
        let slack = SECOND.saturating_sub(self.token);
        Timestamp::from_duration(self.full.as_duration().saturating_sub(slack))
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Timestamp) -> bool {
        let there = self.ready() <= now;
        if there {
            self.full = self.full.max(now) + self.token;
        }
        there
    }
}
