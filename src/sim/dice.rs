//! Everything random of a network, drawn from one seed with integers only.

use core::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::link::{Link, Probability};

#[derive(Clone, Debug)]
pub(super) struct Dice(ChaCha8Rng);

/// What chance has decided for one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throw {
    Lost,
    /// The delay of the datagram, and that of its duplicate if there is one.
    Arrives(Duration, Option<Duration>),
}

impl Dice {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Every datagram takes the same number of draws, whatever its link: a test that changes one
    /// link does not change what happens to the datagrams on the others.
    pub(super) fn throw(&mut self, link: &Link) -> Throw {
        let lost = self.happens(link.loss);
        let duplicated = self.happens(link.duplication);
        let first = self.delay(link);
        let second = self.delay(link);
        if lost { Throw::Lost } else { Throw::Arrives(first, duplicated.then_some(second)) }
    }

    fn delay(&mut self, link: &Link) -> Duration {
        let held_back = self.happens(link.reordering);
        let delay = link.delay.saturating_add(self.up_to(link.jitter));
        if held_back { delay.saturating_add(link.reordering_delay) } else { delay }
    }

    fn happens(&mut self, probability: Probability) -> bool {
        // The draw, scaled to 0..1_000_000 by its upper bits.
        let scaled = u64::from(self.0.next_u32()).saturating_mul(1_000_000) >> 32;
        scaled < u64::from(probability.as_ppm())
    }

    /// Uniform from zero to `most`, to the nanosecond.
    fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let values = u128::from(most).saturating_add(1);
        let scaled = u128::from(self.0.next_u64()).saturating_mul(values) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(most))
    }
}
