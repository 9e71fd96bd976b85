//! STUN by hand: messages that no code of the crate has made, and a second opinion on which
//! messages are authentic.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

pub const USERNAME: u16 = 0x0006;
pub const MESSAGE_INTEGRITY: u16 = 0x0008;
pub const ERROR_CODE: u16 = 0x0009;
pub const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
pub const MAPPED_ADDRESS: u16 = 0x0001;
pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub const REALM: u16 = 0x0014;
pub const NONCE: u16 = 0x0015;
pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
pub const PASSWORD_ALGORITHMS: u16 = 0x8002;
pub const ALTERNATE_SERVER: u16 = 0x8023;
pub const LIFETIME: u16 = 0x000d;
pub const XOR_PEER_ADDRESS: u16 = 0x0012;
pub const DATA: u16 = 0x0013;
pub const DONT_FRAGMENT: u16 = 0x001a;
pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub const PRIORITY: u16 = 0x0024;
pub const USE_CANDIDATE: u16 = 0x0025;
pub const FINGERPRINT: u16 = 0x8028;
/// The packet of an application; the next number is its acknowledgement.
pub const EMBEDDED: u16 = 0xc070;
pub const NOMINATION: u16 = 0xc001;
pub const ICE_CONTROLLED: u16 = 0x8029;
pub const ICE_CONTROLLING: u16 = 0x802a;

pub const REQUEST: u16 = 0x0001;
pub const INDICATION: u16 = 0x0011;
pub const SUCCESS: u16 = 0x0101;
pub const ERROR: u16 = 0x0111;

pub const HEADER: usize = 20;

/// A message under construction.
#[derive(Clone, Debug)]
pub struct Message {
    pub bytes: Vec<u8>,
}

impl Message {
    pub fn new(kind: u16, id: [u8; 12]) -> Self {
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend([0, 0, 0x21, 0x12, 0xa4, 0x42]);
        bytes.extend(id);
        Self { bytes }
    }

    /// Adds an attribute, cut off where its length does not fit.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        let value = &value[..value.len().min(0xffff)];
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.fix_length();
    }

    pub fn xor_address(&mut self, kind: u16, addr: SocketAddr) {
        let mut key = vec![0x21, 0x12, 0xa4, 0x42];
        key.extend(&self.bytes[8..20]);
        let ip: Vec<u8> = match addr.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let mut value = vec![0, if addr.is_ipv4() { 1 } else { 2 }];
        value.extend((addr.port() ^ 0x2112).to_be_bytes());
        value.extend(ip.iter().zip(&key).map(|(octet, mask)| octet ^ mask));
        self.attribute(kind, &value);
    }

    pub fn integrity(&mut self, password: &str) {
        self.integrity_by(password.as_bytes());
    }

    /// The same with the bytes of a key.
    pub fn integrity_by(&mut self, key: &[u8]) {
        let mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
        let tag = mac.chain_update(self.sealed_by(24)).finalize().into_bytes();
        self.attribute(MESSAGE_INTEGRITY, &tag);
    }

    pub fn integrity_sha256(&mut self, password: &str) {
        self.integrity_sha256_by(password.as_bytes());
    }

    /// The same with the bytes of a key.
    pub fn integrity_sha256_by(&mut self, key: &[u8]) {
        let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        let tag = mac.chain_update(self.sealed_by(36)).finalize().into_bytes();
        self.attribute(MESSAGE_INTEGRITY_SHA256, &tag);
    }

    pub fn fingerprint(&mut self) {
        let crc = crc32fast::hash(&self.sealed_by(8)) ^ 0x5354_554e;
        self.attribute(FINGERPRINT, &crc.to_be_bytes());
    }

    /// Sets the length field to what there is.
    pub fn fix_length(&mut self) {
        let len = (self.bytes.len() - HEADER).min(0xffff) as u16;
        self.bytes[2..4].copy_from_slice(&len.to_be_bytes());
    }

    /// The message as an attribute of so many bytes covers it that is appended to it.
    fn sealed_by(&self, attribute: usize) -> Vec<u8> {
        let mut covered = self.bytes.clone();
        let len = (covered.len() - HEADER + attribute).min(0xffff) as u16;
        covered[2..4].copy_from_slice(&len.to_be_bytes());
        covered
    }
}

/// The address in the value of one of the XOR attributes, by the code that writes them.
pub fn unxor(value: &[u8], id: [u8; 12]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], ip) = value.split_first_chunk()?;
    let port = u16::from_be_bytes([p0, p1]);
    let masked: SocketAddr = match family {
        1 => (<[u8; 4]>::try_from(ip).ok()?, port).into(),
        2 => (<[u8; 16]>::try_from(ip).ok()?, port).into(),
        _ => return None,
    };
    // The mask is its own inverse.
    let mut message = Message::new(0, id);
    message.xor_address(XOR_MAPPED_ADDRESS, masked);
    let plain = &message.bytes[HEADER + 4..];
    let port = u16::from_be_bytes([plain[2], plain[3]]);
    Some(match family {
        1 => (<[u8; 4]>::try_from(&plain[4..8]).ok()?, port).into(),
        _ => (<[u8; 16]>::try_from(&plain[4..20]).ok()?, port).into(),
    })
}

/// The attributes of a message, each with its place, as far as they can be read.
pub fn attributes(bytes: &[u8]) -> Vec<(usize, u16, &[u8])> {
    let mut attributes = Vec::new();
    let mut at = HEADER;
    while let Some(head) = bytes.get(at..at + 4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(value) = bytes.get(at + 4..at + 4 + len) else { break };
        attributes.push((at, kind, value));
        at += 4 + len.next_multiple_of(4);
    }
    attributes
}

pub fn kind(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.first_chunk()?))
}

pub fn id(bytes: &[u8]) -> Option<[u8; 12]> {
    bytes.get(8..20)?.try_into().ok()
}

/// Whether any integrity attribute of the message was made with this password. More generous than
/// a receiver may be: what does not even pass here is not authentic.
pub fn may_be_authentic(bytes: &[u8], password: &str) -> bool {
    sealed_with(bytes, password.as_bytes()) > 0
}

/// How many integrity attributes of the message were made with this key.
pub fn sealed_with(bytes: &[u8], key: &[u8]) -> usize {
    let is_right = |&(at, kind, value): &(usize, u16, &[u8])| {
        let covered = Message { bytes: bytes[..at].to_vec() };
        match kind {
            MESSAGE_INTEGRITY => {
                let mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
                let mac = mac.chain_update(covered.sealed_by(4 + value.len()));
                mac.verify_slice(value).is_ok()
            }
            MESSAGE_INTEGRITY_SHA256 if value.len() >= 16 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
                let mac = mac.chain_update(covered.sealed_by(4 + value.len()));
                mac.verify_truncated_left(value).is_ok()
            }
            _ => false,
        }
    };
    attributes(bytes).iter().filter(|attribute| is_right(attribute)).count()
}
