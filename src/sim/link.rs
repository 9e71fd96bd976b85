//! What a path does to the datagrams that cross it, in one direction.

use core::time::Duration;

/// How likely something is, in parts per million.
///
/// An integer, so that equal seeds have equal outcomes on every platform.
///
/// ```
/// use frazil::sim::Probability;
///
/// assert_eq!(Probability::percent(5), Probability::ppm(50_000));
/// assert_eq!(Probability::ppm(u32::MAX), Probability::ALWAYS);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u32);

impl Probability {
    /// It does not happen.
    pub const NEVER: Self = Self(0);
    /// It happens every time.
    pub const ALWAYS: Self = Self(1_000_000);

    /// So many times in a million; a million at most.
    #[must_use]
    pub const fn ppm(parts: u32) -> Self {
        if parts > Self::ALWAYS.0 { Self::ALWAYS } else { Self(parts) }
    }

    /// So many times in a hundred; a hundred at most.
    #[must_use]
    pub const fn percent(parts: u32) -> Self {
        Self::ppm(parts.saturating_mul(10_000))
    }

    /// The parts per million.
    #[must_use]
    pub const fn as_ppm(self) -> u32 {
        self.0
    }
}

/// What happens on the way from one address to another. The default is an ideal wire: no delay,
/// no fault.
///
/// ```
/// use core::time::Duration;
/// use frazil::sim::{Link, Probability};
///
/// let mobile = Link::delayed(Duration::from_millis(50))
///     .with_jitter(Duration::from_millis(10))
///     .with_loss(Probability::percent(5));
/// assert_eq!(mobile.delay.as_millis(), 50);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The time that every datagram takes.
    pub delay: Duration,
    /// The most that is added to it, uniformly from zero. Datagrams that follow each other closer
    /// than that may overtake each other.
    pub jitter: Duration,
    /// How likely a datagram is lost.
    pub loss: Probability,
    /// How likely a datagram that was not lost arrives twice, each time with its own jitter.
    pub duplication: Probability,
    /// How likely a datagram is held back by `reordering_delay`, so that later ones overtake it.
    pub reordering: Probability,
    /// For how long a datagram is held back.
    pub reordering_delay: Duration,
}

impl Link {
    /// A link without faults that takes `delay`.
    #[must_use]
    pub fn delayed(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// The same link with jitter.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// The same link with loss.
    #[must_use]
    pub const fn with_loss(mut self, loss: Probability) -> Self {
        self.loss = loss;
        self
    }

    /// The same link with duplication.
    #[must_use]
    pub const fn with_duplication(mut self, duplication: Probability) -> Self {
        self.duplication = duplication;
        self
    }

    /// The same link with reordering: so likely is a datagram held back, and for so long.
    #[must_use]
    pub const fn with_reordering(mut self, reordering: Probability, by: Duration) -> Self {
        self.reordering = reordering;
        self.reordering_delay = by;
        self
    }
}
