//! The form of messages: what is refused, and what of a message is shown.

use proptest::prelude::*;

use super::super::header::message_type;
use super::super::scan::MAX_ATTRIBUTES;
use super::super::{
    Class, Fingerprint, IntegrityKeySha256, ScanError, attribute, is_stun, method, scan,
};
use super::{PASSWORD, REQUEST, RESPONSE_V4, hex, key, message, raw, request};

fn error(bytes: &[u8]) -> ScanError {
    scan(bytes).unwrap_err()
}

#[test]
fn a_header_alone_is_a_message() {
    let bytes = raw(0x0001, &[]);
    assert!(is_stun(&bytes));
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.attributes().count(), 0);
    assert!(!scan.has_integrity());
    assert_eq!(scan.fingerprint(), Fingerprint::Absent);
}

/// U1: the first two bits, the cookie and the size tell STUN from other protocols.
#[test]
fn other_protocols_are_not_stun() {
    let good = hex(REQUEST);
    assert!(is_stun(&good));
    for bit in [0x40, 0x80, 0xc0] {
        let mut bytes = good.clone();
        bytes[0] |= bit;
        assert!(!is_stun(&bytes));
        assert_eq!(error(&bytes), ScanError::NotStun);
    }
    for at in 4..8 {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(!is_stun(&bytes), "cookie byte {at}");
        assert_eq!(error(&bytes), ScanError::NotStun);
    }
    for len in 0..20 {
        assert!(!is_stun(&good[..len]));
        assert_eq!(error(&good[..len]), ScanError::NotStun);
    }
    assert!(is_stun(&good[..20]));
}

/// U1: the length counts exactly the bytes that follow the header.
#[test]
fn a_length_that_is_not_that_of_the_datagram_is_refused() {
    let good = hex(REQUEST);
    for len in 20..good.len() {
        assert_eq!(error(&good[..len]), ScanError::BadLength, "cut to {len}");
    }
    for extra in 1..=8 {
        let mut bytes = good.clone();
        bytes.extend(vec![0; extra]);
        assert_eq!(error(&bytes), ScanError::BadLength, "{extra} trailing bytes");
    }
    for delta in [1, 2, 3, 4, 0x100] {
        let mut bytes = good.clone();
        let len = u16::from_be_bytes([bytes[2], bytes[3]]) + delta;
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        assert_eq!(error(&bytes), ScanError::BadLength, "length + {delta}");
    }
}

/// U1: the datagram has the size that it says, but no message has such a size.
#[test]
fn a_length_that_is_no_multiple_of_four_is_refused() {
    for len in [1, 2, 3, 5, 6, 7] {
        assert_eq!(error(&raw(0x0001, &vec![0; len])), ScanError::BadLength);
    }
}

/// U1: class allowed for the method.
#[test]
fn a_class_that_the_method_does_not_have_is_refused() {
    let classes = [Class::Request, Class::Indication, Class::Success, Class::Error];
    for (method, expected) in [
        (method::BINDING, [true, true, true, true]),
        (method::ALLOCATE, [true, false, true, true]),
        (method::REFRESH, [true, false, true, true]),
        (method::SEND, [false, true, false, false]),
        (method::DATA, [false, true, false, false]),
        (method::CREATE_PERMISSION, [true, false, true, true]),
        (method::CHANNEL_BIND, [true, false, true, true]),
        (0x080, [true, true, true, true]),
    ] {
        for (class, expected) in classes.into_iter().zip(expected) {
            let bytes = raw(message_type(class, method), &[]);
            match scan(&bytes) {
                Ok(scan) => {
                    assert!(expected, "{method:#x} {class:?}");
                    assert_eq!((scan.method(), scan.class()), (method, class));
                }
                Err(error) => {
                    assert!(!expected, "{method:#x} {class:?}");
                    assert_eq!(error, ScanError::WrongClass);
                }
            }
        }
    }
}

#[test]
fn class_and_method_share_the_first_bits() {
    for (class, method, expected) in [
        (Class::Request, 0x001, 0x0001),
        (Class::Indication, 0x001, 0x0011),
        (Class::Success, 0x001, 0x0101),
        (Class::Error, 0x001, 0x0111),
        (Class::Request, 0x080, 0x0200),
        (Class::Error, 0xfff, 0x3fff),
    ] {
        assert_eq!(message_type(class, method), expected);
    }
    for method in (0..0x1000).filter(|method| !matches!(method, 3..=9)) {
        for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
            let bytes = raw(message_type(class, method), &[]);
            let scan = scan(&bytes).unwrap();
            assert_eq!((scan.class(), scan.method()), (class, method));
        }
    }
}

#[test]
fn an_attribute_that_ends_after_the_message_is_refused() {
    for attributes in [
        &[0x80, 0x22, 0x00, 0x01][..],
        &[0x80, 0x22, 0xff, 0xff],
        &[0x80, 0x22, 0x00, 0x05, 1, 2, 3, 4],
        &[0x80, 0x22, 0x00, 0x00, 0x80, 0x22, 0x00, 0x04],
    ] {
        assert_eq!(error(&raw(0x0001, attributes)), ScanError::AttributeOverrun);
    }
}

#[test]
fn sixty_four_attributes_are_enough() {
    let attribute = [0x80, 0x22, 0x00, 0x00];
    let bytes = raw(0x0001, &attribute.repeat(MAX_ATTRIBUTES));
    assert_eq!(scan(&bytes).unwrap().attributes().count(), 64);
    let bytes = raw(0x0001, &attribute.repeat(MAX_ATTRIBUTES + 1));
    assert_eq!(error(&bytes), ScanError::TooManyAttributes);
}

#[test]
fn a_second_integrity_attribute_is_refused() {
    let sha256 = IntegrityKeySha256::short_term(PASSWORD);
    let bytes = request(|w| {
        w.integrity(&key()).integrity(&key());
    });
    assert_eq!(error(&bytes), ScanError::DuplicateIntegrity);
    let bytes = request(|w| {
        w.integrity_sha256(&sha256).integrity_sha256(&sha256);
    });
    assert_eq!(error(&bytes), ScanError::DuplicateIntegrity);
    let bytes = request(|w| {
        w.integrity_sha256(&sha256).integrity(&key()).integrity(&key());
    });
    assert_eq!(error(&bytes), ScanError::DuplicateIntegrity);
}

/// RFC 8489 §14.5, §14.6, §14.7
#[test]
fn integrity_and_fingerprint_have_fixed_sizes() {
    for len in 0..40 {
        let value = vec![0; len];
        for (kind, allowed) in [
            (attribute::MESSAGE_INTEGRITY, &[20][..]),
            (attribute::MESSAGE_INTEGRITY_SHA256, &[16, 20, 24, 28, 32]),
            (attribute::FINGERPRINT, &[4]),
        ] {
            let bytes = request(|w| {
                w.attribute(kind, &value);
            });
            let expected =
                if allowed.contains(&len) { None } else { Some(ScanError::BadAttributeLength) };
            assert_eq!(scan(&bytes).err(), expected, "{kind:#x} of {len} bytes");
        }
    }
}

/// U8
#[test]
fn nothing_follows_the_fingerprint() {
    let bytes = request(|w| {
        w.fingerprint().u32(attribute::PRIORITY, 1);
    });
    assert_eq!(error(&bytes), ScanError::FingerprintNotLast);
    let bytes = request(|w| {
        w.fingerprint().fingerprint();
    });
    assert_eq!(error(&bytes), ScanError::FingerprintNotLast);
    let bytes = request(|w| {
        w.fingerprint().integrity(&key());
    });
    assert_eq!(error(&bytes), ScanError::FingerprintNotLast);
}

/// U8: any damage to the message shows in the fingerprint, which counts itself in the length.
#[test]
fn a_fingerprint_that_does_not_match_is_bad() {
    for vector in [REQUEST, RESPONSE_V4] {
        let good = hex(vector);
        assert_eq!(scan(&good).unwrap().fingerprint(), Fingerprint::Good);
        for at in (8..good.len() - 8).chain(good.len() - 4..good.len()) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x01;
            if let Ok(scan) = scan(&bytes) {
                assert_eq!(scan.fingerprint(), Fingerprint::Bad, "byte {at}");
            }
        }
    }
}

/// U9, and what rice, stun_codec and others show: RFC 8489 §14.5 MUST ignore.
#[test]
fn regression_attribute_after_integrity_is_never_shown() {
    let bytes = request(|w| {
        w.username(&[b"a:b"]).integrity(&key());
        w.u32(attribute::PRIORITY, 7).flag(attribute::USE_CANDIDATE).flag(0x7abc);
        w.fingerprint();
    });
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify(&key()));
    assert_eq!(scan.fingerprint(), Fingerprint::Good);
    let shown: Vec<_> = scan.attributes().collect();
    assert_eq!(shown, [(attribute::USERNAME, &b"a:b"[..])]);
    assert_eq!(scan.find(attribute::PRIORITY), None);
    assert_eq!(scan.unknown_required(|_| false).collect::<Vec<_>>(), [attribute::USERNAME]);
}

/// U9: both integrity attributes count, in their order, and nothing that stands between or after
/// them does.
#[test]
fn only_sha256_integrity_and_fingerprint_may_follow_integrity() {
    let sha256 = IntegrityKeySha256::short_term(PASSWORD);
    let bytes = request(|w| {
        w.username(&[b"a:b"]).integrity(&key()).u32(attribute::PRIORITY, 7);
        w.integrity_sha256(&sha256).u32(attribute::PRIORITY, 8).fingerprint();
    });
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify(&key()));
    assert!(scan.verify_sha256(&sha256));
    assert_eq!(scan.fingerprint(), Fingerprint::Good);
    assert_eq!(scan.attributes().count(), 1);
}

/// U9: after MESSAGE-INTEGRITY-SHA256 only FINGERPRINT counts.
#[test]
fn integrity_after_sha256_integrity_is_ignored() {
    let sha256 = IntegrityKeySha256::short_term(PASSWORD);
    let bytes = request(|w| {
        w.username(&[b"a:b"]).integrity_sha256(&sha256).integrity(&key());
    });
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify_sha256(&sha256));
    assert!(!scan.has_integrity());
    assert!(!scan.verify(&key()));
    assert_eq!(scan.attributes().count(), 1);
}

#[test]
fn without_integrity_all_before_the_fingerprint_is_shown() {
    let bytes = request(|w| {
        w.u32(attribute::PRIORITY, 7).fingerprint();
    });
    let shown: Vec<_> = scan(&bytes).unwrap().attributes().collect();
    assert_eq!(shown, [(attribute::PRIORITY, &[0, 0, 0, 7][..])]);
}

/// The integrity attribute at offset 0 of the attributes: nothing is covered but the header.
#[test]
fn regression_integrity_as_first_attribute() {
    let bytes = request(|w| {
        w.integrity(&key()).u32(attribute::PRIORITY, 7);
    });
    let scan = scan(&bytes).unwrap();
    assert!(scan.verify(&key()));
    assert_eq!(scan.attributes().count(), 0);

    let mut bytes = bytes;
    bytes[24] ^= 1;
    assert!(!super::super::scan(&bytes).unwrap().verify(&key()));
}

/// RFC 8489 §14: the first of several counts.
#[test]
fn the_first_of_equal_attributes_is_found() {
    let bytes = request(|w| {
        w.u32(attribute::PRIORITY, 1).u32(attribute::PRIORITY, 2);
    });
    assert_eq!(scan(&bytes).unwrap().find(attribute::PRIORITY), Some(&[0, 0, 0, 1][..]));
}

/// U12: names longer than what may be sent are read all the same.
#[test]
fn names_of_763_bytes_are_read() {
    let name = [b'x'; 763];
    for kind in [attribute::USERNAME, attribute::REALM, attribute::NONCE] {
        let bytes = request(|w| {
            w.attribute(kind, &name).integrity(&key());
        });
        let scan = scan(&bytes).unwrap();
        assert_eq!(scan.find(kind), Some(&name[..]));
        assert!(scan.verify(&key()));
    }
}

/// U13, U24: comprehension-optional attributes, and known ones where they make no sense, are no
/// reason for 420.
#[test]
fn unknown_required_attributes_are_listed_in_order() {
    let bytes = request(|w| {
        w.flag(0x7fff).flag(0x8000).attribute(attribute::ERROR_CODE, &[0, 0, 4, 0]);
        w.flag(attribute::GOOG_NETWORK_INFO).flag(0x0003).flag(attribute::LIFETIME);
    });
    let scan = scan(&bytes).unwrap();
    let unknown: Vec<_> = scan.unknown_required(attribute::is_known).collect();
    assert_eq!(unknown, [0x7fff, 0x0003]);
}

/// "Every single-byte flip": there is no byte whose change goes unnoticed.
#[test]
fn no_byte_of_an_authenticated_message_can_be_changed() {
    let check = request(|w| {
        w.username(&[b"abcd:efgh1"]).u32(attribute::PRIORITY, 0x7e00_00ff);
        w.u64(attribute::ICE_CONTROLLING, 1).flag(attribute::USE_CANDIDATE).integrity(&key());
    });
    let error = message(Class::Error, method::BINDING, |w| {
        w.error_code(487, "Role Conflict").integrity(&key());
    });
    for good in [check, error, hex(REQUEST), hex(RESPONSE_V4)] {
        let sealed = scan(&good).unwrap().fingerprint() == Fingerprint::Good;
        for at in 0..good.len() {
            for mask in 1..=255 {
                let mut bytes = good.clone();
                bytes[at] ^= mask;
                let accepted = scan(&bytes).is_ok_and(|scan| {
                    scan.verify(&key()) && (!sealed || scan.fingerprint() == Fingerprint::Good)
                });
                assert!(!accepted, "byte {at} ^ {mask:#04x}");
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        super::hostile::read_everything(&bytes);
    }

    /// Right header, right length, any content.
    #[test]
    fn random_attributes_are_read_or_refused(
        kind in 0_u16..0x4000,
        attributes in prop::collection::vec(any::<[u8; 4]>(), 0..64),
    ) {
        super::hostile::read_everything(&raw(kind, &attributes.concat()));
    }

    /// Attributes that fit, of the types that mean something, with any value.
    #[test]
    fn random_values_are_read_or_refused(
        kind in prop::sample::select(vec![0x0001_u16, 0x0101, 0x0111, 0x0113, 0x0017]),
        attributes in prop::collection::vec(
            (
                prop_oneof![0_u16..0x30, 0x8000_u16..0x8030, Just(0xc001)],
                prop::collection::vec(any::<u8>(), 0..36),
            ),
            0..12,
        ),
    ) {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
            body.extend(&value);
            body.resize(body.len().next_multiple_of(4), 0xaa);
        }
        super::hostile::read_everything(&raw(kind, &body));
    }
}
