//! Keys of MESSAGE-INTEGRITY (RFC 8489 §14.5) and MESSAGE-INTEGRITY-SHA256 (§14.6).
//!
//! A key is the state of HMAC after it has absorbed the password, so that a message costs only
//! its own bytes. The hash runs over the bytes as they were received, and tags are compared in
//! constant time. Strings come prepared: OpaqueString (RFC 8265) is applied where they enter.

use core::fmt;
use core::hint::black_box;

use hmac::{Hmac, Mac};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::header::HEADER_LEN;
use super::hmac_sha1::{BLOCK, HmacSha1};

/// A key of MESSAGE-INTEGRITY.
#[derive(Clone)]
pub(crate) struct IntegrityKey(HmacSha1);

impl IntegrityKey {
    /// RFC 8489 §9.1.1
    pub(crate) fn short_term(password: &[u8]) -> Self {
        Self(HmacSha1::new(&block::<Sha1>(password)))
    }

    /// RFC 8489 §9.2.2
    pub(crate) fn long_term_md5(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        Self::short_term(&md5_key(username, realm, password))
    }

    /// RFC 8489 §9.2.4: with PASSWORD-ALGORITHM SHA-256, for a request that has no
    /// MESSAGE-INTEGRITY-SHA256.
    pub(crate) fn long_term_sha256(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        Self::short_term(&sha256_key(username, realm, password))
    }

    /// The tag over `covered`, the message up to the integrity attribute.
    pub(super) fn tag(&self, covered: &[u8]) -> [u8; 20] {
        let (start, rest) = split_covered(covered, 20).unwrap_or_default();
        self.0.tag(start, rest)
    }

    pub(super) fn verify(&self, covered: &[u8], tag: &[u8]) -> bool {
        let Ok(tag) = <[u8; 20]>::try_from(tag) else { return false };
        is_same(&self.tag(covered), &tag)
    }
}

/// A key of MESSAGE-INTEGRITY-SHA256.
#[derive(Clone)]
pub(crate) struct IntegrityKeySha256(Hmac<Sha256>);

impl IntegrityKeySha256 {
    /// RFC 8489 §9.1.1
    pub(crate) fn short_term(password: &[u8]) -> Self {
        Self(Hmac::new(&block::<Sha256>(password).into()))
    }

    /// RFC 8489 §18.5.1.1: with PASSWORD-ALGORITHM MD5, or none.
    pub(crate) fn long_term_md5(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        Self::short_term(&md5_key(username, realm, password))
    }

    /// RFC 8489 §18.5.1.2: with PASSWORD-ALGORITHM SHA-256.
    pub(crate) fn long_term_sha256(username: &[u8], realm: &[u8], password: &[u8]) -> Self {
        Self::short_term(&sha256_key(username, realm, password))
    }

    /// The tag over `covered`, the message up to the integrity attribute.
    pub(super) fn tag(&self, covered: &[u8]) -> [u8; 32] {
        absorb(self.0.clone(), covered, 32).finalize().into_bytes().into()
    }

    /// A shorter tag is the beginning of the whole one; which sizes may be is for the caller.
    pub(super) fn verify(&self, covered: &[u8], tag: &[u8]) -> bool {
        absorb(self.0.clone(), covered, tag.len()).verify_truncated_left(tag).is_ok()
    }
}

/// RFC 8489 §14.4: what stands for the username where it must not be seen.
pub(crate) fn userhash(username: &[u8], realm: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(username).chain_update(b":").chain_update(realm).finalize().into()
}

/// RFC 8489 §18.5.1.1
pub(super) fn md5_key(username: &[u8], realm: &[u8], password: &[u8]) -> [u8; 16] {
    let mut md5 = md5::Context::new();
    for part in [username, b":", realm, b":", password] {
        md5.consume(part);
    }
    md5.compute().0
}

/// RFC 8489 §18.5.1.2
fn sha256_key(username: &[u8], realm: &[u8], password: &[u8]) -> [u8; 32] {
    [username, b":", realm, b":", password]
        .into_iter()
        .fold(Sha256::new(), Digest::chain_update)
        .finalize()
        .into()
}

/// Compares in constant time: every byte is looked at, wherever the first difference is.
fn is_same(one: &[u8; 20], other: &[u8; 20]) -> bool {
    let differences = one.iter().zip(other).fold(0, |seen, (one, other)| seen | (one ^ other));
    black_box(differences) == 0
}

/// RFC 2104 §2: the key as one block, which cannot have a wrong length. SHA-1 and SHA-256 have blocks
/// of the same size.
fn block<D: Digest>(key: &[u8]) -> [u8; BLOCK] {
    let digest;
    let key = if key.len() > BLOCK {
        digest = D::digest(key);
        digest.as_slice()
    } else {
        key
    };
    let mut block = [0; BLOCK];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    block
}

/// RFC 8489 §14.5, §14.6: what is hashed is the message up to the integrity attribute as if it ended
/// with that attribute, whatever follows. The length is the only field that this changes: the first
/// four bytes, and the rest.
fn split_covered(covered: &[u8], tag_len: usize) -> Option<([u8; 4], &[u8])> {
    let attributes = covered.len().saturating_sub(HEADER_LEN);
    let length = attributes.saturating_add(4).saturating_add(tag_len);
    let (&[t0, t1, _, _], rest) = covered.split_first_chunk()?;
    let [l0, l1] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    Some(([t0, t1, l0, l1], rest))
}

fn absorb<M: Mac>(mut mac: M, covered: &[u8], tag_len: usize) -> M {
    if let Some((start, rest)) = split_covered(covered, tag_len) {
        mac.update(&start);
        mac.update(rest);
    }
    mac
}

impl fmt::Debug for IntegrityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKey(..)")
    }
}

impl fmt::Debug for IntegrityKeySha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IntegrityKeySha256(..)")
    }
}
