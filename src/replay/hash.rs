//! The running hash of what an agent puts out.

/// Odd, with bits all over: the golden ratio, as a fraction of 2^64.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Tells outputs apart that differ by accident. It is part of the format, the same on every
/// platform, and takes eight bytes at a time, as a recorder must cost little.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunningHash(u64);

impl RunningHash {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.mix(bytes.len() as u64);
        let words = bytes.chunks_exact(8);
        let rest = words.remainder();
        for word in words {
            let Ok(word) = <[u8; 8]>::try_from(word) else { continue };
            self.mix(u64::from_le_bytes(word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            self.mix(u64::from_le_bytes(last));
        }
    }

    /// The half of it that stands in a record.
    pub(super) const fn check(self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        [a, b, c, d]
    }

    const fn mix(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(MULTIPLIER);
        self.0 = mixed ^ (mixed >> 32);
    }
}
