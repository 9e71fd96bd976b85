//! The first and only look at the raw bytes of a received message (RFC 8489 §5, §14).
//!
//! One pass, no allocation, time linear in the bytes: what could make a later reader slow or
//! unsure (attributes without end, several integrity attributes) is refused here. A scan shows
//! what the integrity attribute covers and nothing else, so that attributes which an attacker has
//! appended cannot be read by mistake.

use super::attribute::{
    FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, is_comprehension_required,
};
use super::header::{self, Class, HEADER_LEN, TransactionId, is_stun};
use super::integrity::{IntegrityKey, IntegrityKeySha256};
use super::method;

/// More attributes than any message of ICE or TURN has.
pub(super) const MAX_ATTRIBUTES: usize = 64;

/// RFC 8489 §14.7: what the CRC is combined with, so that it differs from one that the
/// application computed.
pub(super) const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScanError {
    /// The first bits, the cookie or the size are those of another protocol.
    NotStun,
    /// The length field is no multiple of four, or not the number of bytes that follow.
    BadLength,
    /// The method has no messages of this class.
    WrongClass,
    /// An attribute ends after the message.
    AttributeOverrun,
    /// More than 64 attributes.
    TooManyAttributes,
    /// MESSAGE-INTEGRITY or MESSAGE-INTEGRITY-SHA256 occurs twice.
    DuplicateIntegrity,
    /// The value of an integrity attribute or of FINGERPRINT has a size that it cannot have.
    BadAttributeLength,
    /// Something follows FINGERPRINT, be it another one.
    FingerprintNotLast,
}

/// Whether a message says that it is STUN, and is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    Absent,
    Good,
    Bad,
}

/// A well-formed message, of which nothing has been verified yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan<'a> {
    message_type: u16,
    id: TransactionId,
    /// The message up to the first integrity attribute or, without one, to FINGERPRINT.
    shown: &'a [u8],
    integrity: Option<Seal<'a>>,
    integrity_sha256: Option<Seal<'a>>,
    fingerprint: Option<Seal<'a>>,
}

/// An attribute that protects all that stands before it.
#[derive(Clone, Copy, Debug)]
struct Seal<'a> {
    covered: &'a [u8],
    value: &'a [u8],
}

/// Reads the form of a message: RFC 8489 §6.3, the checks that are independent of the class.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan<'_>, ScanError> {
    let Some((&head, body)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(ScanError::NotStun);
    };
    if !is_stun(bytes) {
        return Err(ScanError::NotStun);
    }
    let [t0, t1, l0, l1, _, _, _, _, id @ ..] = head;
    if usize::from(u16::from_be_bytes([l0, l1])) != body.len() || body.len() % 4 != 0 {
        return Err(ScanError::BadLength);
    }
    let message_type = u16::from_be_bytes([t0, t1]);
    if !method::has_class(header::method(message_type), header::class(message_type)) {
        return Err(ScanError::WrongClass);
    }
    let mut scan = Scan {
        message_type,
        id: TransactionId::new(id),
        shown: bytes,
        integrity: None,
        integrity_sha256: None,
        fingerprint: None,
    };
    scan.find_seals(bytes, body)?;
    Ok(scan)
}

impl<'a> Scan<'a> {
    pub(crate) const fn class(&self) -> Class {
        header::class(self.message_type)
    }

    pub(crate) const fn method(&self) -> u16 {
        header::method(self.message_type)
    }

    pub(crate) const fn transaction_id(&self) -> TransactionId {
        self.id
    }

    /// Whether there is a MESSAGE-INTEGRITY.
    pub(crate) const fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether there is a MESSAGE-INTEGRITY-SHA256. Where both are, this one is to be verified
    /// (RFC 8489 §9.1.3).
    pub(crate) const fn has_integrity_sha256(&self) -> bool {
        self.integrity_sha256.is_some()
    }

    /// RFC 8489 §14.5: whether MESSAGE-INTEGRITY is there and was made with `key`.
    pub(crate) fn verify(&self, key: &IntegrityKey) -> bool {
        self.integrity.is_some_and(|seal| key.verify(seal.covered, seal.value))
    }

    /// RFC 8489 §14.6: whether MESSAGE-INTEGRITY-SHA256 is there and was made with `key`.
    /// Truncated tags of 16 bytes and more are accepted.
    pub(crate) fn verify_sha256(&self, key: &IntegrityKeySha256) -> bool {
        self.integrity_sha256.is_some_and(|seal| key.verify(seal.covered, seal.value))
    }

    /// RFC 8489 §14.7
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let Some(seal) = self.fingerprint else {
            return Fingerprint::Absent;
        };
        let crc = crc32fast::hash(seal.covered) ^ FINGERPRINT_XOR;
        if seal.value == crc.to_be_bytes() { Fingerprint::Good } else { Fingerprint::Bad }
    }

    /// The attributes before the first integrity attribute or, in a message without one, before
    /// FINGERPRINT. RFC 8489 §14.5: all others MUST be ignored.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        Attributes { rest: self.shown.get(HEADER_LEN..).unwrap_or_default() }
    }

    /// The value of an attribute. RFC 8489 §14: the first one counts.
    pub(crate) fn find(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(other, _)| *other == kind).map(|(_, value)| value)
    }

    /// RFC 8489 §6.3.1: the comprehension-required attributes that are not `known`.
    pub(crate) fn unknown_required(
        &self,
        known: fn(u16) -> bool,
    ) -> impl Iterator<Item = u16> + use<'a> {
        self.attributes()
            .map(|(kind, _)| kind)
            .filter(move |kind| is_comprehension_required(*kind) && !known(*kind))
    }

    /// The message up to where [`Self::attributes`] ends; its length field is still that of the
    /// whole.
    pub(super) const fn shown(&self) -> &'a [u8] {
        self.shown
    }

    /// Walks over all attributes of `body`, the end of `bytes`.
    fn find_seals(&mut self, bytes: &'a [u8], body: &'a [u8]) -> Result<(), ScanError> {
        let mut rest = body;
        let mut count = 0_usize;
        // A MESSAGE-INTEGRITY that follows the other integrity attribute is ignored, as the RFC
        // says of all that does, but a second one is refused all the same.
        let mut seen_integrity = false;
        while !rest.is_empty() {
            let at = bytes.len().saturating_sub(rest.len());
            let Some((kind, value, next)) = split_attribute(rest) else {
                return Err(ScanError::AttributeOverrun);
            };
            rest = next;
            count = count.saturating_add(1);
            if count > MAX_ATTRIBUTES {
                return Err(ScanError::TooManyAttributes);
            }
            if self.fingerprint.is_some() {
                return Err(ScanError::FingerprintNotLast);
            }
            let seal = || Seal { covered: bytes.split_at(at).0, value };
            match kind {
                MESSAGE_INTEGRITY => {
                    if seen_integrity {
                        return Err(ScanError::DuplicateIntegrity);
                    }
                    if value.len() != 20 {
                        return Err(ScanError::BadAttributeLength);
                    }
                    seen_integrity = true;
                    if self.integrity_sha256.is_none() {
                        let seal = seal();
                        self.integrity = Some(seal);
                        self.shown = seal.covered;
                    }
                }
                MESSAGE_INTEGRITY_SHA256 => {
                    if self.integrity_sha256.is_some() {
                        return Err(ScanError::DuplicateIntegrity);
                    }
                    if !matches!(value.len(), 16 | 20 | 24 | 28 | 32) {
                        return Err(ScanError::BadAttributeLength);
                    }
                    let seal = seal();
                    self.integrity_sha256 = Some(seal);
                    if self.integrity.is_none() {
                        self.shown = seal.covered;
                    }
                }
                FINGERPRINT => {
                    if value.len() != 4 {
                        return Err(ScanError::BadAttributeLength);
                    }
                    let seal = seal();
                    self.fingerprint = Some(seal);
                    if self.integrity.is_none() && self.integrity_sha256.is_none() {
                        self.shown = seal.covered;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Types and values of attributes, in the order of the message.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, value, rest) = split_attribute(self.rest)?;
        self.rest = rest;
        Some((kind, value))
    }
}

/// RFC 8489 §14: type, length, value, and padding to a multiple of four, whose bytes may have any
/// value. `None` when the attribute does not fit.
pub(super) fn split_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&[k0, k1, l0, l1], rest) = bytes.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    let value = rest.get(..len)?;
    let next = rest.get(len.next_multiple_of(4)..)?;
    Some((u16::from_be_bytes([k0, k1]), value, next))
}
