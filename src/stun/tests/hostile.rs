//! Messages that were made to do harm.

use super::super::{
    CheckRequest, Class, IntegrityKeySha256, ScanError, attribute, mapped_address, message, method,
    scan,
};
use super::{PASSWORD, key, raw};

/// Calls every reader on `bytes`. None may panic, and what they say must agree.
pub(super) fn read_everything(bytes: &[u8]) {
    let Ok(scan) = scan(bytes) else { return };
    let shown = scan.attributes().fold(20_usize, |sum, (_, value)| {
        sum.saturating_add(4).saturating_add(value.len().next_multiple_of(4))
    });
    let hidden = bytes.len().checked_sub(shown).unwrap();
    if !scan.has_integrity() && !scan.has_integrity_sha256() {
        assert!(matches!(hidden, 0 | 8), "only FINGERPRINT is hidden");
    }
    scan.verify(&key());
    scan.verify_sha256(&IntegrityKeySha256::short_term(PASSWORD));
    scan.fingerprint();
    let _ = CheckRequest::read(&scan);
    let _ = mapped_address(&scan);
    let id = scan.transaction_id();
    for (_, value) in scan.attributes() {
        let _ = attribute::xor_address(value, &id);
        let _ = attribute::error_code(value);
    }
    let decoded = message::decode(&scan);
    if message::read_error(&scan).is_some() {
        assert_eq!(scan.class(), Class::Error);
        assert!(decoded.is_ok());
    }
}

/// 64 kB of MESSAGE-INTEGRITY keeps a decoder that verifies each of them busy for 45 seconds.
/// That the bytes after the second one are no attributes, and nobody notices, shows that they are
/// not looked at.
#[test]
fn regression_2729_integrity_attributes_are_refused_at_the_second() {
    let mut integrity = vec![0x00, 0x08, 0x00, 0x14];
    integrity.extend([0; 20]);
    let mut body = integrity.repeat(2729);
    assert_eq!(scan(&raw(0x0001, &body)).unwrap_err(), ScanError::DuplicateIntegrity);
    body[48..].fill(0xff);
    assert_eq!(scan(&raw(0x0001, &body)).unwrap_err(), ScanError::DuplicateIntegrity);
    body[24..].fill(0xff);
    assert_eq!(scan(&raw(0x0001, &body)).unwrap_err(), ScanError::AttributeOverrun);
}

#[test]
fn a_datagram_full_of_fingerprints_is_refused_at_the_second() {
    let mut body = [0x80, 0x28, 0x00, 0x04, 0, 0, 0, 0].repeat(8000);
    body[16..].fill(0xff);
    assert_eq!(scan(&raw(0x0001, &body)).unwrap_err(), ScanError::FingerprintNotLast);
}

#[test]
fn a_datagram_full_of_empty_attributes_is_refused_at_the_sixty_fifth() {
    let mut body = [0x00, 0x06, 0x00, 0x00].repeat(16_000);
    body[65 * 4..].fill(0xff);
    assert_eq!(scan(&raw(0x0001, &body)).unwrap_err(), ScanError::TooManyAttributes);
}

#[test]
fn one_attribute_may_fill_the_message_but_is_not_decoded() {
    let mut body = vec![0x80, 0x22, 0xff, 0xf8];
    body.resize(0xfffc, b'x');
    let bytes = raw(0x0111, &body);
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.find(attribute::SOFTWARE).unwrap().len(), 0xfff8);
    assert_eq!(message::decode(&scan).unwrap_err(), message::DecodeError::TooLong);
}

/// CVE-2021-37706: an ERROR-CODE too short for its own fields made pjsip count below zero.
#[test]
fn regression_error_code_shorter_than_four_bytes() {
    for len in 0..4 {
        let bytes = super::message(Class::Error, method::BINDING, |w| {
            w.attribute(attribute::ERROR_CODE, &vec![4; len]);
        });
        let scan = scan(&bytes).unwrap();
        assert_eq!(attribute::error_code(scan.find(attribute::ERROR_CODE).unwrap()), None);
        assert_eq!(message::read_error(&scan), None);
    }
}

/// A slice of USERNAME at the length of the own fragment made rice-proto panic. Here it is bytes.
#[test]
fn regression_username_without_colon_or_within_a_character() {
    for username in [&b"abcd"[..], b"", b":", b"abc\xc3", b"\xff\xfe", "abc\u{e9}:x".as_bytes()] {
        let bytes = super::request(|w| {
            w.username(&[username]);
        });
        let check = CheckRequest::read(&scan(&bytes).unwrap()).unwrap();
        assert_eq!(check.username, Some(username));
    }
}
