//! The running hash of what an agent puts out.

use core::fmt::{self, Write as _};
use core::net::SocketAddrV4;

use super::wire::Sink;

/// Odd, with bits all over: the golden ratio, as a fraction of 2^64.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Tells outputs apart that differ by accident. It is part of the format, the same on every
/// platform, and takes eight bytes at a time, as a recorder must cost little.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RunningHash(u64);

impl RunningHash {
    /// The half of it that stands in a record.
    pub(super) const fn check(self) -> [u8; 4] {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        [a, b, c, d]
    }

    /// What is only compared, and rare, by its name.
    pub(super) fn name(&mut self, value: &impl fmt::Debug) {
        let _ = write!(self, "{value:?};"); // a hash takes everything
    }
}

impl Sink for RunningHash {
    fn byte(&mut self, byte: u8) {
        self.number(u64::from(byte));
    }

    fn number(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(MULTIPLIER);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn socket_v4(&mut self, addr: SocketAddrV4) {
        self.number(u64::from(addr.ip().to_bits()) << 16 | u64::from(addr.port()));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let words = bytes.chunks_exact(8);
        let rest = words.remainder();
        for word in words {
            let Ok(word) = <[u8; 8]>::try_from(word) else { continue };
            self.number(u64::from_le_bytes(word));
        }
        if !rest.is_empty() {
            let last = rest.iter().rev().fold(0, |last, byte| (last << 8) | u64::from(*byte));
            self.number(last);
        }
    }
}

impl fmt::Write for RunningHash {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}
