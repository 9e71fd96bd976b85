//! SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash for what others choose, so that nobody
//! can choose many values that fall together, and a keyed function whose outputs look random.

/// The key of a hash, which nobody else may know.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashKey([u64; 2]);

impl HashKey {
    pub(crate) const fn new(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// The hash of bytes.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = self.state();
        let words = bytes.chunks_exact(8);
        let rest = words.remainder();
        for word in words.filter_map(<[u8]>::first_chunk) {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        let [.., length] = &mut last;
        [*length, ..] = bytes.len().to_le_bytes();
        state.absorb(u64::from_le_bytes(last));
        state.finish()
    }

    /// The hash of numbers: of their bytes, the least first.
    pub(crate) fn hash_words(&self, words: &[u64]) -> u64 {
        let mut state = self.state();
        for word in words {
            state.absorb(*word);
        }
        let [length, ..] = words.len().wrapping_mul(8).to_le_bytes();
        state.absorb(u64::from(length) << 56);
        state.finish()
    }

    fn state(&self) -> State {
        let [k0, k1] = self.0;
        State {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }
}

impl core::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashKey(..)")
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        for _ in 0..4 {
            self.round();
        }
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::HashKey;

    /// The key and two of the outputs of the paper's appendix A.
    fn key() -> HashKey {
        HashKey::new([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908])
    }

    #[test]
    fn fifteen_bytes_hash_as_in_the_paper() {
        let input: Vec<u8> = (0..15).collect();
        assert_eq!(key().hash(&input), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn nothing_hashes_as_in_the_reference_vectors() {
        assert_eq!(key().hash(&[]).to_le_bytes(), [0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72]);
    }

    #[test]
    fn numbers_hash_as_their_bytes_do() {
        let words = [1, u64::MAX, 0x0123_4567_89ab_cdef, 0, 5, 6];
        for len in 0..=words.len() {
            let bytes: Vec<u8> = words[..len].iter().flat_map(|word| word.to_le_bytes()).collect();
            assert_eq!(key().hash_words(&words[..len]), key().hash(&bytes));
        }
    }

    #[test]
    fn the_key_and_each_byte_decide() {
        let other = HashKey::new([1, 0]);
        let words: Vec<Vec<u8>> = (0..40_usize).map(|len| vec![7; len]).collect();
        let mut hashes: Vec<u64> =
            words.iter().flat_map(|word| [key().hash(word), other.hash(word)]).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 80);
        assert_eq!(format!("{other:?}"), "HashKey(..)");
    }
}
