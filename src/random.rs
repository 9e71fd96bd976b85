//! The one source of everything random in an agent: ChaCha12, seeded once, with a small reserve.
//!
//! `ChaCha12Rng` keeps 256 bytes of output at hand, more than the rest of what an agent at rest
//! needs to know of its peer. A check takes four words; so eight are kept, and what else a block
//! has is thrown away.
//!
//! Transaction ids come from here and nowhere else, since those of an agent in a
//! [`Mux`](crate::Mux) say whose they are. RFC 8489 §5 wants them uniform and unpredictable, and
//! they stay so for everyone but the `Mux`: 64 bits are random, and the other 32 are the name of the
//! session, masked by a keyed hash of those. So an answer finds its session without a table, and
//! what the agent knows of the transaction decides from there on.

use core::convert::Infallible;

use rand_chacha::ChaCha12Core;
use rand_chacha::rand_core::block::Generator;
use rand_chacha::rand_core::{Rng, SeedableRng, TryRng};

use crate::siphash::HashKey;
use crate::stun::TransactionId;

/// Words that are kept.
const RESERVE: u8 = 8;

/// The name of a session in the transaction ids of its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) key: HashKey,
    pub(crate) session: u32,
}

/// A generator whose output depends on its seed alone, on every platform.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    core: ChaCha12Core,
    reserve: [u32; RESERVE as usize],
    /// How many of them have not been used, from the end.
    left: u8,
    refills: u32,
    tag: Option<Box<Tag>>,
}

impl Random {
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        let core = ChaCha12Core::from_seed(seed);
        Self { core, reserve: [0; RESERVE as usize], left: 0, refills: 0, tag: None }
    }

    /// From now on transaction ids say that they are this session's, or nobody's.
    pub(crate) fn set_tag(&mut self, tag: Option<Tag>) {
        self.tag = tag.map(Box::new);
    }

    pub(crate) fn tag(&self) -> Option<&Tag> {
        self.tag.as_deref()
    }

    /// A fresh transaction id. It takes as much of the generator with a tag as without.
    pub(crate) fn transaction_id(&mut self) -> TransactionId {
        let mut bytes = [0; 12];
        self.fill_bytes(&mut bytes);
        if let Some(tag) = &self.tag {
            let [nonce @ .., _, _, _, _] = bytes;
            let masked = tag.session ^ mask(&tag.key, nonce);
            let [n0, n1, n2, n3, n4, n5, n6, n7] = nonce;
            let [m0, m1, m2, m3] = masked.to_be_bytes();
            bytes = [n0, n1, n2, n3, n4, n5, n6, n7, m0, m1, m2, m3];
        }
        TransactionId::new(bytes)
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

/// The session that a transaction id names, if it was drawn with this key.
pub(crate) fn session_of(key: &HashKey, id: &TransactionId) -> u32 {
    let [nonce @ .., m0, m1, m2, m3] = *id.as_bytes();
    u32::from_be_bytes([m0, m1, m2, m3]) ^ mask(key, nonce)
}

fn mask(key: &HashKey, nonce: [u8; 8]) -> u32 {
    let [.., m0, m1, m2, m3] = key.hash(&nonce).to_be_bytes();
    u32::from_be_bytes([m0, m1, m2, m3])
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

    use super::{Random, Tag, session_of};
    use crate::siphash::HashKey;
    use crate::stun::TransactionId;

    fn ids(session: Option<u32>, count: usize) -> Vec<TransactionId> {
        let mut random = Random::from_seed([9; 32]);
        random.set_tag(session.map(|session| Tag { key: HashKey::new([1, 2]), session }));
        (0..count).map(|_| random.transaction_id()).collect()
    }

    #[test]
    fn a_tagged_id_names_its_session_to_who_has_the_key() {
        for session in [0, 1, 77, u32::MAX] {
            for id in ids(Some(session), 100) {
                assert_eq!(session_of(&HashKey::new([1, 2]), &id), session);
                assert_ne!(session_of(&HashKey::new([1, 3]), &id), session);
            }
        }
    }

    #[test]
    fn each_bit_of_a_tagged_id_is_set_half_of_the_time() {
        let ids = ids(Some(5), 4000);
        for bit in 0..96 {
            let set =
                ids.iter().filter(|id| id.as_bytes()[bit / 8] & (1 << (bit % 8)) != 0).count();
            assert!((1800..2200).contains(&set), "bit {bit}: {set} of 4000");
        }
    }

    #[test]
    fn a_tag_changes_nothing_else_that_is_drawn() {
        let (plain, tagged) = (ids(None, 50), ids(Some(3), 50));
        for (plain, tagged) in plain.iter().zip(&tagged) {
            assert_eq!(plain.as_bytes()[..8], tagged.as_bytes()[..8]);
            assert_ne!(plain.as_bytes()[8..], tagged.as_bytes()[8..]);
        }
    }

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
