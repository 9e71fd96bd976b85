//! Time as the caller tells it: nanoseconds since an epoch of the caller's choice.

use core::ops::{Add, Sub};
use core::time::Duration;

/// A point in time, in nanoseconds since an epoch that the caller chooses.
///
/// The crate reads no clock. A caller with [`std::time::Instant`] keeps the instant at which it
/// started and passes `Timestamp::from_duration(start.elapsed())`; a simulation starts at
/// [`Timestamp::ZERO`].
///
/// Arithmetic saturates: a sum that does not fit is [`Timestamp::MAX`], which no timer ever
/// reaches, and the difference to a later timestamp is zero.
///
/// ```
/// use core::time::Duration;
/// use frazil::Timestamp;
///
/// let t = Timestamp::from_millis(5) + Duration::from_micros(1);
/// assert_eq!(t.as_nanos(), 5_001_000);
/// assert_eq!(Timestamp::ZERO - t, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The caller's epoch.
    pub const ZERO: Self = Self(0);
    /// The end of time, 584 years after the epoch. A deadline that would lie here is none.
    pub const MAX: Self = Self(u64::MAX);

    /// `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// `micros` microseconds after the epoch; saturates.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// `millis` milliseconds after the epoch; saturates.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The time `since_epoch` after the epoch; saturates.
    #[must_use]
    pub const fn from_duration(since_epoch: Duration) -> Self {
        Self(nanos(since_epoch))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since the epoch.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        Self(self.0.saturating_add(nanos(rhs)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(rhs.0))
    }
}

/// `duration` in nanoseconds, at most `u64::MAX`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the value was compared with the bound just before"
)]
const fn nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}
