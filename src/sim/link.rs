//! What a path does to the datagrams that cross it, in one direction.

use core::time::Duration;

use crate::time::Timestamp;

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
    /// Losses that come together, beside those of `loss`.
    pub bursts: Option<Bursts>,
    /// How much passes, and how much waits for it; without it, everything passes at once.
    pub bandwidth: Option<Bandwidth>,
    /// The largest IP packet that passes ([`Datagram::packet_len`](super::Datagram::packet_len)).
    pub mtu: Option<u16>,
}

/// Losses that come together (Gilbert and Elliott): the link is in a good or in a bad state, and
/// changes it from one datagram to the next.
///
/// ```
/// use frazil::sim::{Bursts, Link, Probability};
///
/// // One burst in a hundred datagrams, five datagrams long, in which nothing passes.
/// let bursts = Bursts {
///     begin: Probability::percent(1),
///     end: Probability::percent(20),
///     loss: Probability::ALWAYS,
/// };
/// assert_eq!(Link::default().with_bursts(bursts).bursts, Some(bursts));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bursts {
    /// How likely a datagram finds that the good state has ended.
    pub begin: Probability,
    /// How likely a datagram finds that the bad state has ended.
    pub end: Probability,
    /// How likely a datagram is lost in the bad state.
    pub loss: Probability,
}

/// How much a link carries, with the queue before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    /// Bits of IP packets in a second; zero counts as one.
    pub bits_per_second: u64,
    /// How many bytes may wait. What does not fit is dropped; an idle link takes any datagram.
    pub queue: usize,
}

impl Bandwidth {
    /// How long a datagram waits and is being sent, unless the queue has no room for it.
    pub(super) fn enqueue(
        self,
        busy_until: &mut Timestamp,
        now: Timestamp,
        len: usize,
    ) -> Option<Duration> {
        let wait = *busy_until - now;
        if !wait.is_zero() {
            let waiting = self.bytes_in(wait).saturating_add(wide(len));
            if waiting > wide(self.queue) {
                return None;
            }
        }
        let done = now.max(*busy_until) + self.time_of(len);
        *busy_until = done;
        Some(done - now)
    }

    fn time_of(self, len: usize) -> Duration {
        let nanos = wide(len).saturating_mul(8_000_000_000);
        let nanos = nanos.checked_div(self.bits_per_second.max(1).into()).unwrap_or(u128::MAX);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn bytes_in(self, time: Duration) -> u128 {
        time.as_nanos().saturating_mul(self.bits_per_second.into()) / 8_000_000_000
    }
}

/// A length in the width of the arithmetic above, in which nothing overflows.
fn wide(len: usize) -> u128 {
    u128::try_from(len).unwrap_or(u128::MAX)
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
    /// The same link with losses that come together.
    #[must_use]
    pub const fn with_bursts(mut self, bursts: Bursts) -> Self {
        self.bursts = Some(bursts);
        self
    }

    /// The same link with a bandwidth, and a queue of so many bytes before it.
    #[must_use]
    pub const fn with_bandwidth(mut self, bits_per_second: u64, queue: usize) -> Self {
        self.bandwidth = Some(Bandwidth { bits_per_second, queue });
        self
    }

    /// The same link for IP packets of this size at most.
    #[must_use]
    pub const fn with_mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Whether one datagram on it has to do with the next.
    pub(super) const fn has_state(&self) -> bool {
        self.bursts.is_some() || self.bandwidth.is_some()
    }
}
