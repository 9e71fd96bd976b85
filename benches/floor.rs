//! What cannot be avoided in answering a check: read it and write the answer by hand, two
//! HMAC-SHA1 with prepared keys, two CRC-32; and in reading or writing one, of each one. The measure
//! for everything else.
#![allow(dead_code, reason = "every bench uses a part of it")]

use hmac::{Hmac, Mac};
use sha1::Sha1;

/// The keyed state of MESSAGE-INTEGRITY.
pub(crate) type Key = Hmac<Sha1>;

/// A key of a password.
pub(crate) fn key(password: &[u8]) -> Key {
    Key::new_from_slice(password).expect("HMAC takes keys of any length")
}

/// What a check says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoded<'a> {
    pub(crate) username: &'a [u8],
    pub(crate) priority: u32,
    pub(crate) tie_breaker: u64,
}

/// Verifies a request whose last attributes are MESSAGE-INTEGRITY and FINGERPRINT.
pub(crate) fn verify(request: &[u8], key: &Key) -> bool {
    let (rest, fingerprint) = request.split_at(request.len() - 8);
    let crc = crc32fast::hash(rest) ^ 0x5354_554e;
    let (covered, integrity) = rest.split_at(rest.len() - 24);
    let length = (rest.len() - 20) as u16;
    let mut mac = key.clone();
    mac.update(&covered[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&covered[4..]);
    fingerprint[4..] == crc.to_be_bytes() && mac.verify_slice(&integrity[4..]).is_ok()
}

/// Appends MESSAGE-INTEGRITY and FINGERPRINT to a message.
pub(crate) fn seal(message: &mut Vec<u8>, key: &Key) {
    let length = (message.len() - 20 + 24) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let mut mac = key.clone();
    mac.update(message);
    message.extend_from_slice(&[0, 8, 0, 20]);
    message.extend_from_slice(&mac.finalize().into_bytes());
    let length = (message.len() - 20 + 8) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32fast::hash(message) ^ 0x5354_554e;
    message.extend_from_slice(&[0x80, 0x28, 0, 4]);
    message.extend_from_slice(&crc.to_be_bytes());
}

/// Reads a request and verifies it.
pub(crate) fn decode<'a>(request: &'a [u8], key: &Key) -> Option<Decoded<'a>> {
    let mut at = 20;
    let mut seen = 0;
    let mut decoded = Decoded::default();
    while at + 4 <= request.len() {
        let kind = u16::from_be_bytes([request[at], request[at + 1]]);
        let len = usize::from(u16::from_be_bytes([request[at + 2], request[at + 3]]));
        let value = &request[at + 4..at + 4 + len];
        match kind {
            0x0006 => {
                seen |= 1;
                decoded.username = value;
            }
            0x0024 => {
                seen |= 2;
                decoded.priority = u32::from_be_bytes(value.try_into().ok()?);
            }
            0x8029 | 0x802a => decoded.tie_breaker = u64::from_be_bytes(value.try_into().ok()?),
            0x0008 => seen |= 4,
            _ => {}
        }
        at += 4 + len.next_multiple_of(4);
    }
    (seen == 7 && verify(request, key)).then_some(decoded)
}

/// Writes a check of a controlling side.
pub(crate) fn encode(id: [u8; 12], check: &Decoded<'_>, key: &Key, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    out.extend_from_slice(&id);
    let len = check.username.len();
    out.extend_from_slice(&[0, 6]);
    out.extend_from_slice(&(len as u16).to_be_bytes());
    out.extend_from_slice(check.username);
    out.resize(24 + len.next_multiple_of(4), 0);
    out.extend_from_slice(&[0, 0x24, 0, 4]);
    out.extend_from_slice(&check.priority.to_be_bytes());
    out.extend_from_slice(&[0x80, 0x2a, 0, 8]);
    out.extend_from_slice(&check.tie_breaker.to_be_bytes());
    seal(out, key);
}

/// Reads a request, verifies it, and writes the success response for an IPv4 source.
pub(crate) fn floor(request: &[u8], key: &Key, ip: [u8; 4], port: u16, out: &mut Vec<u8>) -> bool {
    if decode(request, key).is_none() {
        return false;
    }
    answer(request[8..20].try_into().expect("a header"), ip, port, key, out);
    true
}

/// Writes the success response for an IPv4 source.
pub(crate) fn answer(id: [u8; 12], ip: [u8; 4], port: u16, key: &Key, out: &mut Vec<u8>) {
    out.extend_from_slice(&[1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]);
    out.extend_from_slice(&id);
    out.extend_from_slice(&[0, 0x20, 0, 8, 0, 1]);
    out.extend_from_slice(&(port ^ 0x2112).to_be_bytes());
    for (a, b) in ip.iter().zip([0x21, 0x12, 0xa4, 0x42]) {
        out.push(a ^ b);
    }
    seal(out, key);
}
