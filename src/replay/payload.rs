//! Datagrams and application data in a log.

use core::fmt;

use super::wire::{Malformed, Put, Reader, Sink, Take};

/// So many bytes of application data are kept: enough for a ChannelData header (RFC 8656 §12.4), too
/// few for the magic cookie of STUN.
const KEPT: usize = 4;

/// The largest datagram. What is longer is kept whole, so that a few bytes of a log cannot ask for
/// more memory than this.
const LONGEST_OUTLINE: usize = 65_535;

/// The bytes of a datagram, or of application data: those that decide what the agent does, and zeros
/// in place of the others.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// All of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How much of a payload is written.
pub(super) enum Outline<'a> {
    Whole(&'a [u8]),
    /// The length and the first bytes.
    First(&'a [u8]),
}

impl Put for Outline<'_> {
    fn put(&self, out: &mut impl Sink) {
        let (bytes, kept) = match *self {
            Self::First(bytes) if bytes.len() <= LONGEST_OUTLINE => (bytes, bytes.get(..KEPT)),
            Self::Whole(bytes) | Self::First(bytes) => (bytes, None),
        };
        bytes.len().put(out);
        kept.unwrap_or(bytes).put(out);
    }
}

impl Take for Payload {
    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = usize::take(from)?;
        let kept = from.sized()?;
        if kept.len() > length || (kept.len() < length && length > LONGEST_OUTLINE) {
            return Err(Malformed::Number);
        }
        let mut bytes = kept.to_vec();
        bytes.resize(length, 0);
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
