//! The 20-byte header (RFC 8489 §5): class and method, length, magic cookie, transaction id.

use core::fmt;

/// RFC 8489 §5: the fixed value of bytes 4 to 7.
pub(super) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// RFC 8489 §5: the bytes before the first attribute. The length field does not count them.
pub(super) const HEADER_LEN: usize = 20;

/// Whether `bytes` are STUN and not another protocol on the same socket (RFC 7983 §7).
///
/// This classifies and does not validate: a message for which it holds may still be malformed.
pub(crate) const fn is_stun(bytes: &[u8]) -> bool {
    matches!(bytes, [0x00..=0x3f, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..]) && bytes.len() >= HEADER_LEN
}

/// What kind of message of its method it is (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// Joins class and method into the first 16 bits. The bits of the class, C1 and C0, stand between
/// those of the method: `00 MMMMM C1 MMM C0 MMMM` (RFC 8489 §5, figure 3).
pub(super) const fn message_type(class: Class, method: u16) -> u16 {
    let class = match class {
        Class::Request => 0x0000,
        Class::Indication => 0x0010,
        Class::Success => 0x0100,
        Class::Error => 0x0110,
    };
    (method & 0x000f) | (method & 0x0070) << 1 | (method & 0x0f80) << 2 | class
}

/// The class in the first 16 bits (RFC 8489 §5).
pub(super) const fn class(message_type: u16) -> Class {
    match message_type & 0x0110 {
        0x0000 => Class::Request,
        0x0010 => Class::Indication,
        0x0100 => Class::Success,
        _ => Class::Error,
    }
}

/// The 12-bit method in the first 16 bits (RFC 8489 §5).
pub(super) const fn method(message_type: u16) -> u16 {
    (message_type & 0x000f) | (message_type & 0x00e0) >> 1 | (message_type & 0x3e00) >> 2
}

/// What a response has in common with its request (RFC 8489 §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TransactionId([u8; 12]);

impl TransactionId {
    pub(crate) const fn new(bytes: [u8; 12]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransactionId(")?;
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}
