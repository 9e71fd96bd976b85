//! Keys, and tags over messages, against HMAC used in the plain way.

use crate::random::Random;
use hmac::{Hmac, Mac};
use proptest::prelude::*;
use sha1::Sha1;
use sha2::Sha256;

use super::super::integrity::md5_key;
use super::super::{
    CheckRequest, IntegrityKey, IntegrityKeySha256, attribute, message, method, scan,
};
use super::{ID, PASSWORD, hex, key, request};

/// U19: RFC 8489 §9.2.2
#[test]
fn the_long_term_key_of_the_rfc() {
    let expected = hex("8493fbc53ba582fb4c044c456bdc40eb");
    assert_eq!(md5_key(b"user", b"realm", b"pass")[..], expected);
    let bytes = request(|w| {
        w.integrity(&IntegrityKey::short_term(&expected));
    });
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify(&IntegrityKey::long_term_md5(b"user", b"realm", b"pass")));
    assert!(!scan.verify(&IntegrityKey::long_term_md5(b"user", b"realm", b"pasS")));
}

/// RFC 8489 §18.5.1: the algorithm of the key and that of the tag are chosen apart.
#[test]
fn long_term_keys_of_sha256_tags() {
    let of_md5 = IntegrityKeySha256::short_term(&md5_key(b"user", b"realm", b"pass"));
    let bytes = request(|w| {
        w.integrity_sha256(&of_md5);
    });
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify_sha256(&IntegrityKeySha256::long_term_md5(b"user", b"realm", b"pass")));
    let other = IntegrityKeySha256::long_term_sha256(b"user", b"realm", b"pass");
    assert!(!scan.verify_sha256(&other));
}

/// U7: the length is set to the end of the attribute whether or not something follows it.
#[test]
fn what_follows_does_not_change_the_tag() {
    let alone = request(|w| {
        w.username(&[b"a:b"]).integrity(&key());
    });
    let followed = request(|w| {
        w.username(&[b"a:b"]).integrity(&key());
        w.integrity_sha256(&IntegrityKeySha256::short_term(PASSWORD)).fingerprint();
    });
    assert_eq!(alone[4..], followed[4..alone.len()]);
    assert_ne!(alone[2..4], followed[2..4]);
    assert!(scan(&alone).unwrap().verify(&key()));
    assert!(scan(&followed).unwrap().verify(&key()));
}

/// U10: padding is hashed as it came, and otherwise has no meaning.
#[test]
fn padding_of_any_value_is_accepted_and_covered() {
    let mut bytes = request(|w| {
        w.username(&[b"a:b"]);
    });
    *bytes.last_mut().unwrap() = 0x20;
    let tag = {
        let mut mac = Hmac::<Sha1>::new_from_slice(PASSWORD).unwrap();
        let mut covered = bytes.clone();
        covered[3] = 8 + 24;
        mac.update(&covered);
        mac.finalize().into_bytes()
    };
    bytes[3] = 8 + 24;
    bytes.extend([0x00, 0x08, 0x00, 0x14]);
    bytes.extend(tag);
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify(&key()));
    assert_eq!(scan.find(attribute::USERNAME), Some(&b"a:b"[..]));
    let mut other = bytes.clone();
    other[27] = 0;
    assert!(!super::super::scan(&other).unwrap().verify(&key()));
}

/// RFC 8489 §14.6: the length of the message counts the truncated tag.
#[test]
fn truncated_sha256_tags_are_verified() {
    let sha256 = IntegrityKeySha256::short_term(PASSWORD);
    for len in [16, 20, 24, 28, 32] {
        let mut bytes = request(|w| {
            w.u32(attribute::PRIORITY, 1);
        });
        bytes[3] = u8::try_from(8 + 4 + len).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(PASSWORD).unwrap();
        mac.update(&bytes);
        bytes.extend([0x00, 0x1c, 0x00, u8::try_from(len).unwrap()]);
        bytes.extend(&mac.finalize().into_bytes()[..len]);
        assert!(scan(&bytes).unwrap().verify_sha256(&sha256), "{len} bytes");
        *bytes.last_mut().unwrap() ^= 1;
        assert!(!scan(&bytes).unwrap().verify_sha256(&sha256), "{len} bytes");
    }
}

/// U23: a request with only SHA-256 is verified and answered with SHA-256.
#[test]
fn a_sha256_request_can_be_answered_with_sha256() {
    let sha256 = IntegrityKeySha256::short_term(PASSWORD);
    let bytes = request(|w| {
        w.u32(attribute::PRIORITY, 1).integrity_sha256(&sha256).fingerprint();
    });
    let request = scan(&bytes).unwrap();
    assert!(request.has_integrity_sha256() && !request.has_integrity());
    assert!(request.verify_sha256(&sha256));
    assert_eq!(CheckRequest::read(&request).unwrap().priority, Some(1));

    let mut buf = Vec::new();
    let mut writer = message::begin_error(&mut buf, method::BINDING, ID, 487, &[]).unwrap();
    writer.integrity_sha256(&sha256).fingerprint().finish();
    let response = scan(&buf).unwrap();
    assert!(response.verify_sha256(&sha256) && !response.has_integrity());
    assert_eq!(message::read_error(&response).unwrap().code, 487);
}

#[test]
fn keys_do_not_show_themselves() {
    assert_eq!(format!("{:?}", key()), "IntegrityKey(..)");
    let sha256 = IntegrityKeySha256::short_term(PASSWORD);
    assert_eq!(format!("{sha256:?}"), "IntegrityKeySha256(..)");
}

#[test]
fn equal_seeds_give_equal_transaction_ids() {
    let ids = |seed| {
        let mut rng = Random::from_seed([seed; 32]);
        [rng.transaction_id(), rng.transaction_id()]
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
    assert_ne!(ids(1)[0], ids(1)[1]);
    assert!(ids(1)[0].as_bytes().iter().any(|byte| *byte != 0));
    assert_eq!(format!("{ID:?}"), "TransactionId(6162636465666768696a6b6c)");
}

proptest! {
    /// Keys below, at and above the block of the hash.
    #[test]
    fn prepared_keys_are_those_of_hmac(
        password in prop::collection::vec(any::<u8>(), 0..160),
        covered in prop::collection::vec(any::<u8>(), 20..120),
    ) {
        let mut patched = covered.clone();
        let len = u16::try_from(covered.len().saturating_add(24 - 20)).unwrap();
        patched[2..4].copy_from_slice(&len.to_be_bytes());
        let mut mac = Hmac::<Sha1>::new_from_slice(&password).unwrap();
        mac.update(&patched);
        let tag = IntegrityKey::short_term(&password).tag(&covered);
        prop_assert_eq!(&tag[..], &mac.finalize().into_bytes()[..]);

        let len = u16::try_from(covered.len().saturating_add(36 - 20)).unwrap();
        patched[2..4].copy_from_slice(&len.to_be_bytes());
        let mut mac = Hmac::<Sha256>::new_from_slice(&password).unwrap();
        mac.update(&patched);
        let tag = IntegrityKeySha256::short_term(&password).tag(&covered);
        prop_assert_eq!(&tag[..], &mac.finalize().into_bytes()[..]);
    }
}
