//! One time for all layers.
//!
//! The agent counts from an epoch of the caller's choice, DTLS and SCTP want `Instant`s. Both are the
//! same clock here: nobody but the event loop reads it, and what it read is what all layers are told.

use std::time::Instant;

use frazil::Timestamp;

use crate::driver::EventLoop;

/// The epoch of the event loop as an `Instant`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn of(events: &EventLoop) -> Self {
        let elapsed = events.now().as_duration();
        let now = Instant::now();
        Self(now.checked_sub(elapsed).unwrap_or(now))
    }

    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        // Only a deadline that is centuries away cannot be told; it never comes either way.
        self.0.checked_add(at.as_duration()).unwrap_or(self.0)
    }

    pub(crate) fn timestamp(self, at: Instant) -> Timestamp {
        Timestamp::from_duration(at.saturating_duration_since(self.0))
    }
}
