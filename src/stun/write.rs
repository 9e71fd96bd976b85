//! Messages written straight into the end of the caller's buffer (RFC 8489 §5, §14).
//!
//! The writer cannot fail half-way. A message that the 16-bit length cannot hold is dropped as a
//! whole: [`Writer::finish`] then returns an empty range and the buffer is as it was.

use core::net::{IpAddr, SocketAddr};
use core::ops::Range;

use super::attribute::{
    self, ERROR_CODE, FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, USERNAME,
};
use super::header::{Class, HEADER_LEN, MAGIC_COOKIE, TransactionId, message_type};
use super::integrity::{IntegrityKey, IntegrityKeySha256};
use super::scan::FINGERPRINT_XOR;

/// A message at the end of a buffer.
///
/// The integrity attribute comes after all others, and FINGERPRINT after that: the order is the
/// caller's.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    buf: &'b mut Vec<u8>,
    start: usize,
    id: TransactionId,
    overflow: bool,
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buf: &'b mut Vec<u8>, class: Class, method: u16, id: TransactionId) -> Self {
        let start = buf.len();
        buf.extend_from_slice(&message_type(class, method).to_be_bytes());
        buf.extend_from_slice(&[0; 2]);
        buf.extend_from_slice(&MAGIC_COOKIE);
        buf.extend_from_slice(id.as_bytes());
        Self { buf, start, id, overflow: false }
    }

    /// Goes on with a message that has been encoded already.
    pub(super) fn resume(buf: &'b mut Vec<u8>, id: TransactionId, encoded: &[u8]) -> Self {
        let start = buf.len();
        buf.extend_from_slice(encoded);
        Self { buf, start, id, overflow: false }
    }

    /// An attribute of any type.
    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.push(kind, &[value])
    }

    /// An attribute without a value.
    pub(crate) fn flag(&mut self, kind: u16) -> &mut Self {
        self.fixed(kind, [])
    }

    pub(crate) fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.fixed(kind, value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.fixed(kind, value.to_be_bytes())
    }

    /// RFC 8489 §14.2
    pub(crate) fn xor_address(&mut self, kind: u16, addr: SocketAddr) -> &mut Self {
        let addr = attribute::xor(addr, &self.id);
        let [p0, p1] = addr.port().to_be_bytes();
        match addr.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                self.fixed(kind, [0, 0x01, p0, p1, a, b, c, d])
            }
            IpAddr::V6(ip) => self.push(kind, &[&[0, 0x02, p0, p1], &ip.octets()]),
        }
    }

    /// RFC 8489 §14.3: USERNAME, of parts that need not lie together.
    pub(crate) fn username(&mut self, parts: &[&[u8]]) -> &mut Self {
        self.push(USERNAME, parts)
    }

    /// RFC 8489 §14.8: ERROR-CODE, 300 to 699.
    pub(crate) fn error_code(&mut self, code: u16, reason: &str) -> &mut Self {
        let (Ok(class @ 3..=6), Ok(number)) = (u8::try_from(code / 100), u8::try_from(code % 100))
        else {
            self.overflow = true;
            return self;
        };
        self.push(ERROR_CODE, &[&[0, 0, class, number], reason.as_bytes()])
    }

    /// RFC 8489 §14.5: MESSAGE-INTEGRITY over all that has been written.
    pub(crate) fn integrity(&mut self, key: &IntegrityKey) -> &mut Self {
        let tag = key.tag(self.written());
        self.fixed(MESSAGE_INTEGRITY, tag)
    }

    /// RFC 8489 §14.6: MESSAGE-INTEGRITY-SHA256 over all that has been written.
    pub(crate) fn integrity_sha256(&mut self, key: &IntegrityKeySha256) -> &mut Self {
        let tag = key.tag(self.written());
        self.push(MESSAGE_INTEGRITY_SHA256, &[&tag])
    }

    /// RFC 8489 §14.7: FINGERPRINT, of the message whose length counts it already.
    pub(crate) fn fingerprint(&mut self) -> &mut Self {
        self.fixed(FINGERPRINT, [0; 4]);
        self.write_length();
        if let Some((covered, value)) =
            self.buf.get_mut(self.start..).and_then(|message| message.split_last_chunk_mut::<4>())
        {
            // The CRC ends before the type and length of its own attribute.
            let end = covered.len().saturating_sub(4);
            let crc = crc32fast::hash(covered.get(..end).unwrap_or_default());
            *value = (crc ^ FINGERPRINT_XOR).to_be_bytes();
        }
        self
    }

    /// Where the message lies in the buffer; empty if something did not fit into it.
    pub(crate) fn finish(&mut self) -> Range<usize> {
        self.write_length();
        if self.overflow {
            self.buf.truncate(self.start);
        }
        self.start..self.buf.len()
    }

    /// The bytes of the message so far.
    pub(crate) fn size(&self) -> usize {
        self.written().len()
    }

    fn written(&self) -> &[u8] {
        self.buf.get(self.start..).unwrap_or_default()
    }

    /// RFC 8489 §5: the number of bytes after the header.
    fn write_length(&mut self) {
        let len = self.written().len().saturating_sub(HEADER_LEN);
        let Ok(len) = u16::try_from(len) else {
            self.overflow = true;
            return;
        };
        let message = self.buf.get_mut(self.start..).unwrap_or_default();
        if let Some([_, _, l0, l1, ..]) = message.first_chunk_mut::<HEADER_LEN>() {
            [*l0, *l1] = len.to_be_bytes();
        }
    }

    /// Appends one attribute whose value has a size that is known, and a multiple of four.
    fn fixed<const N: usize>(&mut self, kind: u16, value: [u8; N]) -> &mut Self {
        const { assert!(N % 4 == 0 && N < 256, "such a value needs padding") };
        let [k0, k1] = kind.to_be_bytes();
        let [.., len] = N.to_be_bytes();
        self.buf.extend_from_slice(&[k0, k1, 0, len]);
        self.buf.extend_from_slice(&value);
        self
    }

    /// Appends one attribute, padded with zeros (RFC 8489 §14).
    pub(super) fn push(&mut self, kind: u16, parts: &[&[u8]]) -> &mut Self {
        let len = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let padded = len.saturating_add(3) & !3;
        let Ok(value_len) = u16::try_from(len) else {
            self.overflow = true;
            return self;
        };
        self.buf.extend_from_slice(&kind.to_be_bytes());
        self.buf.extend_from_slice(&value_len.to_be_bytes());
        for part in parts {
            self.buf.extend_from_slice(part);
        }
        let padding = padded.saturating_sub(len);
        self.buf.extend_from_slice([0; 3].get(..padding).unwrap_or_default());
        self
    }
}
