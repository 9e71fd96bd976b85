//! The published messages are read as published, and written to the byte.

use super::super::{
    CheckRequest, Class, Fingerprint, IntegrityKey, IntegrityKeySha256, TransactionId, Writer,
    attribute, method, scan, userhash, xor_mapped_address,
};
use super::{
    LONG_TERM_REQUEST, PASSWORD, REQUEST, RESPONSE_V4, RESPONSE_V6, SHA256_REQUEST, hex, key,
};
use crate::config::Role;

const USERNAME: &[u8] = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}".as_bytes();
const REALM: &[u8] = b"example.org";
/// As OpaqueString and SASLprep leave it.
const LONG_TERM_PASSWORD: &[u8] = b"TheMatrIX";
const SHORT_TERM_ID: &[u8] =
    &[0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
const LONG_TERM_ID: [u8; 12] =
    [0x78, 0xad, 0x34, 0x33, 0xc6, 0xad, 0x72, 0xc0, 0x29, 0xda, 0x41, 0x2e];

/// The padding of this message is 0x20: hashing anything but the bytes received would fail.
#[test]
fn rfc5769_request_is_read_and_verified() {
    let bytes = hex(REQUEST);
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.class(), Class::Request);
    assert_eq!(scan.method(), method::BINDING);
    assert_eq!(scan.transaction_id().as_bytes(), SHORT_TERM_ID);
    assert_eq!(scan.find(attribute::SOFTWARE), Some(&b"STUN test client"[..]));
    assert_eq!(
        CheckRequest::read(&scan),
        Ok(CheckRequest {
            username: Some(b"evtj:h6vY"),
            priority: Some(0x6e00_01ff),
            use_candidate: false,
            role: Some((Role::Controlled, 0x932f_f9b1_5126_3b36)),
            nomination: None,
            network: None,
        })
    );
    assert!(scan.has_integrity());
    assert!(!scan.has_integrity_sha256());
    assert!(scan.verify(&key()));
    assert!(!scan.verify(&IntegrityKey::short_term(b"VOkJxbRl1RmTxUk/WvJxBT")));
    assert!(!scan.verify_sha256(&IntegrityKeySha256::short_term(PASSWORD)));
    assert_eq!(scan.fingerprint(), Fingerprint::Good);
}

#[test]
fn rfc5769_ipv4_response_is_read_and_verified() {
    let bytes = hex(RESPONSE_V4);
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.class(), Class::Success);
    assert_eq!(scan.find(attribute::SOFTWARE), Some(&b"test vector"[..]));
    assert_eq!(xor_mapped_address(&scan), Some("192.0.2.1:32853".parse().unwrap()));
    assert!(scan.verify(&key()));
    assert_eq!(scan.fingerprint(), Fingerprint::Good);
}

#[test]
fn rfc5769_ipv6_response_is_read_and_verified() {
    let bytes = hex(RESPONSE_V6);
    let scan = scan(&bytes).unwrap();
    let expected = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap();
    assert_eq!(xor_mapped_address(&scan), Some(expected));
    assert!(scan.verify(&key()));
    assert_eq!(scan.fingerprint(), Fingerprint::Good);
}

#[test]
fn rfc5769_long_term_request_is_verified_and_written_to_the_byte() {
    let bytes = hex(LONG_TERM_REQUEST);
    let key = IntegrityKey::long_term_md5(USERNAME, REALM, LONG_TERM_PASSWORD);
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.find(attribute::USERNAME), Some(USERNAME));
    assert_eq!(scan.find(attribute::REALM), Some(REALM));
    assert!(scan.verify(&key));
    assert_eq!(scan.fingerprint(), Fingerprint::Absent);

    let mut buf = Vec::new();
    let id = TransactionId::new(LONG_TERM_ID);
    let range = Writer::new(&mut buf, Class::Request, method::BINDING, id)
        .username(&[USERNAME])
        .attribute(attribute::NONCE, b"f//499k954d6OL34oL9FSTvy64sA")
        .attribute(attribute::REALM, REALM)
        .integrity(&key)
        .finish();
    assert_eq!(range, 0..bytes.len());
    assert_eq!(buf, bytes);
}

#[test]
fn rfc8489_sha256_request_is_verified_and_written_to_the_byte() {
    let bytes = hex(SHA256_REQUEST);
    let key = IntegrityKeySha256::long_term_sha256(USERNAME, REALM, LONG_TERM_PASSWORD);
    let scan = scan(&bytes).unwrap();
    let nonce = b"obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA";
    assert_eq!(scan.find(attribute::USERHASH), Some(&userhash(USERNAME, REALM)[..]));
    assert_eq!(scan.find(attribute::NONCE), Some(&nonce[..]));
    assert_eq!(scan.find(attribute::PASSWORD_ALGORITHM), Some(&[0, 2, 0, 0][..]));
    assert!(scan.has_integrity_sha256());
    assert!(!scan.has_integrity());
    assert!(scan.verify_sha256(&key));
    let other = IntegrityKeySha256::long_term_md5(USERNAME, REALM, LONG_TERM_PASSWORD);
    assert!(!scan.verify_sha256(&other));

    let mut buf = Vec::new();
    let id = TransactionId::new(LONG_TERM_ID);
    Writer::new(&mut buf, Class::Request, method::BINDING, id)
        .attribute(attribute::USERHASH, &userhash(USERNAME, REALM))
        .attribute(attribute::NONCE, nonce)
        .attribute(attribute::REALM, REALM)
        .attribute(attribute::PASSWORD_ALGORITHM, &[0, 2, 0, 0])
        .integrity_sha256(&key)
        .finish();
    assert_eq!(buf, bytes);
}
