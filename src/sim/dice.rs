//! Everything random of a network, drawn from one seed with integers only.
//!
//! Each purpose has a stream of the seed of its own, so that one burst or one NAT more does not
//! change the luck of anything else.

use core::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::link::{Bursts, Link, Probability};
use crate::stun::TransactionId;

/// The stream of the bursts; the links have the first.
const BURSTS: u64 = 1;
/// The stream of TCP.
const TCP: u64 = 2;
/// The stream of the first gateway.
const GATEWAYS: u64 = 1 << 32;

/// The transaction id of a message that a node of the network sends.
pub(super) fn transaction_id(rng: &mut impl Rng) -> TransactionId {
    let mut bytes = [0; 12];
    rng.fill_bytes(&mut bytes);
    TransactionId::new(bytes)
}

#[derive(Clone, Debug)]
pub(super) struct Dice {
    links: ChaCha8Rng,
    bursts: ChaCha8Rng,
}

/// What chance has decided for one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throw {
    Lost,
    /// The delay of the datagram, and that of its duplicate if there is one.
    Arrives(Duration, Option<Duration>),
}

impl Dice {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { links: stream(seed, 0), bursts: stream(seed, BURSTS) }
    }

    /// The generator of TCP.
    pub(super) fn of_tcp(&self) -> ChaCha8Rng {
        stream(self.links.get_seed(), TCP)
    }

    /// The generator of a gateway.
    pub(super) fn of_gateway(&self, number: u32) -> ChaCha8Rng {
        stream(self.links.get_seed(), GATEWAYS.saturating_add(number.into()))
    }

    /// The next state of a link with bursts, and whether the datagram that brings it about is
    /// lost.
    pub(super) fn burst(&mut self, bursts: Bursts, bad: &mut bool) -> bool {
        let change = if *bad { bursts.end } else { bursts.begin };
        *bad ^= happens(&mut self.bursts, change);
        happens(&mut self.bursts, bursts.loss) && *bad
    }

    /// Every datagram takes the same number of draws, whatever its link: a test that changes one
    /// link does not change what happens to the datagrams on the others.
    pub(super) fn throw(&mut self, link: &Link) -> Throw {
        let lost = happens(&mut self.links, link.loss);
        let duplicated = happens(&mut self.links, link.duplication);
        let first = self.delay(link);
        let second = self.delay(link);
        if lost { Throw::Lost } else { Throw::Arrives(first, duplicated.then_some(second)) }
    }

    fn delay(&mut self, link: &Link) -> Duration {
        let held_back = happens(&mut self.links, link.reordering);
        let delay = link.delay.saturating_add(self.up_to(link.jitter));
        if held_back { delay.saturating_add(link.reordering_delay) } else { delay }
    }

    /// Uniform from zero to `most`, to the nanosecond.
    fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let values = u128::from(most).saturating_add(1);
        let scaled = u128::from(self.links.next_u64()).saturating_mul(values) >> 64;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(most))
    }
}

fn happens(rng: &mut ChaCha8Rng, probability: Probability) -> bool {
    // The draw, scaled to 0..1_000_000 by its upper bits.
    let scaled = u64::from(rng.next_u32()).saturating_mul(1_000_000) >> 32;
    scaled < u64::from(probability.as_ppm())
}

fn stream(seed: [u8; 32], number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::from_seed(seed);
    rng.set_stream(number);
    rng
}
