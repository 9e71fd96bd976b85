//! The source of everything random in an agent: ChaCha12 with a small reserve.
//!
//! `ChaCha12Rng` keeps 256 bytes of output at hand, more than the rest of what an agent at rest
//! needs to know of its peer. A check takes four words; so eight are kept, and what else a block
//! has is thrown away.

use core::convert::Infallible;

use rand_chacha::ChaCha12Core;
use rand_chacha::rand_core::block::Generator;
use rand_chacha::rand_core::{SeedableRng, TryRng};

/// Words that are kept.
const RESERVE: u8 = 8;

/// A generator whose output depends on its seed alone, on every platform.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    core: ChaCha12Core,
    reserve: [u32; RESERVE as usize],
    /// How many of them have not been used, from the end.
    left: u8,
    refills: u32,
}

impl Random {
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        let core = ChaCha12Core::from_seed(seed);
        Self { core, reserve: [0; RESERVE as usize], left: 0, refills: 0 }
    }

    /// How much has been drawn: with the seed, all that future output depends on.
    pub(crate) const fn position(&self) -> (u32, u8) {
        (self.refills, self.left)
    }

    fn word(&mut self) -> u32 {
        if self.left == 0 {
            self.refill();
        }
        self.left = self.left.saturating_sub(1);
        self.reserve.get(usize::from(self.left)).copied().unwrap_or_default()
    }

    fn refill(&mut self) {
        let mut block = [0; 64];
        self.core.generate(&mut block);
        if let Some(first) = block.first_chunk() {
            self.reserve = *first;
        }
        self.left = RESERVE;
        self.refills = self.refills.wrapping_add(1);
    }
}

impl TryRng for Random {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.word()) << 32 | u64::from(self.word()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            chunk.iter_mut().zip(self.word().to_le_bytes()).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand_chacha::rand_core::Rng;

    use super::*;

    #[test]
    fn equal_seeds_give_equal_values_and_others_do_not() {
        let draw = |seed| {
            let mut random = Random::from_seed([seed; 32]);
            (0..100).map(|_| random.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn no_word_is_given_twice() {
        let mut random = Random::from_seed([7; 32]);
        let words: BTreeSet<u32> = (0..1000).map(|_| random.next_u32()).collect();
        assert!(words.len() >= 999, "two of a thousand may be equal by chance");
    }

    #[test]
    fn a_clone_goes_on_from_where_it_was_made() {
        for drawn in 0..20 {
            let mut random = Random::from_seed([3; 32]);
            let mut bytes = vec![0; drawn];
            random.fill_bytes(&mut bytes);
            let mut clone = random.clone();
            assert_eq!(clone.position(), random.position());
            assert_eq!(clone.next_u64(), random.next_u64());
        }
    }

    #[test]
    fn bytes_of_any_number_are_filled() {
        let mut random = Random::from_seed([3; 32]);
        for len in 0..40 {
            let mut bytes = vec![0; len];
            let mut seen = vec![0; len];
            for _ in 0..40 {
                random.fill_bytes(&mut bytes);
                seen.iter_mut().zip(&bytes).for_each(|(seen, byte)| *seen |= byte);
            }
            assert!(seen.iter().all(|byte| *byte != 0));
        }
    }
}
