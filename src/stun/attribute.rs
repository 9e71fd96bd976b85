//! The attribute types and the forms of their values, each read from the bytes of one value.
//!
//! A reader returns `None` for a value of the wrong size or with a part out of range. Bits that
//! are reserved are not looked at.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{MAGIC_COOKIE, TransactionId};

// RFC 8489 §18.3
pub(crate) const MAPPED_ADDRESS: u16 = 0x0001;
pub(crate) const USERNAME: u16 = 0x0006;
pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(crate) const ERROR_CODE: u16 = 0x0009;
pub(crate) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
pub(crate) const REALM: u16 = 0x0014;
pub(crate) const NONCE: u16 = 0x0015;
pub(crate) const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
pub(crate) const PASSWORD_ALGORITHM: u16 = 0x001d;
pub(crate) const USERHASH: u16 = 0x001e;
pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
pub(crate) const PASSWORD_ALGORITHMS: u16 = 0x8002;
pub(crate) const ALTERNATE_DOMAIN: u16 = 0x8003;
#[cfg(any(test, feature = "sim"))]
pub(crate) const SOFTWARE: u16 = 0x8022;
pub(crate) const ALTERNATE_SERVER: u16 = 0x8023;
pub(crate) const FINGERPRINT: u16 = 0x8028;

// RFC 8445 §20.2
pub(crate) const PRIORITY: u16 = 0x0024;
pub(crate) const USE_CANDIDATE: u16 = 0x0025;
pub(crate) const ICE_CONTROLLED: u16 = 0x8029;
pub(crate) const ICE_CONTROLLING: u16 = 0x802a;

// RFC 8656 §18
pub(crate) const CHANNEL_NUMBER: u16 = 0x000c;
pub(crate) const LIFETIME: u16 = 0x000d;
pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(crate) const DATA: u16 = 0x0013;
pub(crate) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(crate) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
pub(crate) const EVEN_PORT: u16 = 0x0018;
pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
pub(crate) const DONT_FRAGMENT: u16 = 0x001a;
pub(crate) const RESERVATION_TOKEN: u16 = 0x0022;
pub(crate) const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
pub(crate) const ADDRESS_ERROR_CODE: u16 = 0x8001;
pub(crate) const ICMP: u16 = 0x8004;

// Of libwebrtc, in checks of every browser. NOMINATION is draft-thatcher-ice-renomination-01 §4.
pub(crate) const NOMINATION: u16 = 0xc001;
pub(crate) const GOOG_NETWORK_INFO: u16 = 0xc057;
// META-DTLS-IN-STUN and META-DTLS-IN-STUN-ACKNOWLEDGEMENT of libwebrtc, the DTLS-IN-STUN-DATA and
// DTLS-IN-STUN-ACK of draft-hancke-webrtc-sped. Here they carry any packet.
pub(crate) const EMBEDDED: u16 = 0xc070;
pub(crate) const EMBEDDED_ACK: u16 = 0xc071;

/// RFC 8489 §14: a receiver that does not know the attribute cannot process the message.
pub(crate) const fn is_comprehension_required(kind: u16) -> bool {
    kind < 0x8000
}

/// Whether this crate knows the comprehension-required attribute, be it expected in the message
/// at hand or not: what is known and unexpected is ignored (RFC 8489 §6.3).
pub(crate) const fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        MAPPED_ADDRESS
            | USERNAME
            | MESSAGE_INTEGRITY
            | ERROR_CODE
            | UNKNOWN_ATTRIBUTES
            | REALM
            | NONCE
            | MESSAGE_INTEGRITY_SHA256
            | PASSWORD_ALGORITHM
            | USERHASH
            | XOR_MAPPED_ADDRESS
            | PRIORITY
            | USE_CANDIDATE
            | CHANNEL_NUMBER
            | LIFETIME
            | XOR_PEER_ADDRESS
            | DATA
            | XOR_RELAYED_ADDRESS
            | REQUESTED_ADDRESS_FAMILY
            | EVEN_PORT
            | REQUESTED_TRANSPORT
            | DONT_FRAGMENT
            | RESERVATION_TOKEN
    )
}

pub(crate) fn u32(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

pub(crate) fn u64(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_be_bytes)
}

/// RFC 8489 §14.1: an address in plain form, as in MAPPED-ADDRESS and ALTERNATE-SERVER.
pub(crate) fn address(value: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, p0, p1], ip) = value.split_first_chunk()?;
    let ip = match family {
        0x01 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?)),
        0x02 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([p0, p1])))
}

/// RFC 8489 §14.2: an address in the form that NATs do not rewrite.
pub(crate) fn xor_address(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    Some(xor(address(value)?, id))
}

/// RFC 8489 §14.2: port and IPv4 address are combined with the cookie, an IPv6 address with the
/// cookie and the transaction id. Its own inverse.
pub(super) fn xor(addr: SocketAddr, id: &TransactionId) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => {
            IpAddr::V4(Ipv4Addr::from(u32::from(ip) ^ u32::from_be_bytes(MAGIC_COOKIE)))
        }
        IpAddr::V6(ip) => {
            let mask = MAGIC_COOKIE.iter().chain(id.as_bytes());
            let mut octets = ip.octets();
            octets.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    };
    SocketAddr::new(ip, addr.port() ^ 0x2112)
}

/// RFC 8489 §14.8: the code, 300 to 699, and the reason phrase as it came.
pub(crate) fn error_code(value: &[u8]) -> Option<(u16, &[u8])> {
    let (&[_, _, class, number], reason) = value.split_first_chunk()?;
    let class = class & 0x07;
    let sound = matches!(class, 3..=6) && number < 100;
    let hundreds = u16::from(class).saturating_mul(100);
    sound.then(|| (hundreds.saturating_add(u16::from(number)), reason))
}
