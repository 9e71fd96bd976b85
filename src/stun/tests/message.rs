//! Error responses and typed messages.

use core::time::Duration;

use smallvec::SmallVec;
use stun_codec::rfc5389::attributes::Realm;
use stun_codec::rfc5766::attributes::{Lifetime, RequestedTransport, XorRelayAddress};

use super::super::message::{
    DecodeError, ErrorResponse, begin_error, decode, encode, encode_error, new, read_error, reason,
};
use super::super::{Class, Fingerprint, attribute, method, scan};
use super::{ID, key, message, request};

#[test]
fn an_error_response_is_read_as_it_was_written() {
    for code in [400, 401, 487, 500] {
        for sealed in [false, true] {
            let mut buf = vec![7; 5];
            let key = key();
            let integrity = sealed.then_some(&key);
            let range = encode_error(&mut buf, method::BINDING, ID, code, &[], integrity);
            assert_eq!(range, 5..buf.len());
            let scan = scan(&buf[range]).unwrap();
            assert_eq!((scan.class(), scan.method()), (Class::Error, method::BINDING));
            assert_eq!(scan.transaction_id(), ID);
            assert_eq!(scan.has_integrity(), sealed);
            assert_eq!(scan.verify(&key), sealed);
            assert_eq!(scan.fingerprint(), Fingerprint::Good);
            assert_eq!(scan.find(attribute::UNKNOWN_ATTRIBUTES), None);
            let expected = ErrorResponse { code, unknown: SmallVec::new(), alternate_server: None };
            assert_eq!(read_error(&scan), Some(expected));
        }
    }
}

/// U13
#[test]
fn a_420_lists_what_was_not_understood() {
    let mut buf = Vec::new();
    encode_error(&mut buf, method::BINDING, ID, 420, &[0x7abc, 0x0003, 0x1234], Some(&key()));
    let scan = scan(&buf).unwrap();
    assert!(scan.verify(&key()));
    let listed = scan.find(attribute::UNKNOWN_ATTRIBUTES).unwrap();
    assert_eq!(listed, [0x7a, 0xbc, 0x00, 0x03, 0x12, 0x34]);
    let value = scan.find(attribute::ERROR_CODE).unwrap();
    assert_eq!(attribute::error_code(value), Some((420, &b"Unknown Attribute"[..])));
    let unknown = read_error(&scan).unwrap().unknown;
    assert_eq!(unknown[..], [0x7abc, 0x0003, 0x1234]);
}

#[test]
fn an_impossible_error_response_leaves_the_buffer_alone() {
    for (method, code) in [(0x010, 400), (0x080, 400), (method::BINDING, 299)] {
        let mut buf = vec![1, 2];
        assert!(encode_error(&mut buf, method, ID, code, &[], Some(&key())).is_empty());
        assert_eq!(buf, [1, 2]);
    }
    assert!(begin_error(&mut Vec::new(), 0x010, ID, 400, &[]).is_none());
}

#[test]
fn a_300_names_another_server() {
    let bytes = message(Class::Error, method::ALLOCATE, |w| {
        w.error_code(300, "Try Alternate");
        w.attribute(attribute::ALTERNATE_SERVER, &[0, 1, 0x0d, 0x96, 192, 0, 2, 9]);
    });
    let expected = Some("192.0.2.9:3478".parse().unwrap());
    assert_eq!(read_error(&scan(&bytes).unwrap()).unwrap().alternate_server, expected);
}

/// RFC 8489 §6.3.4: text that nobody needs must not cost the response.
#[test]
fn text_that_is_no_utf8_does_not_break_an_error_response() {
    let bytes = message(Class::Error, method::BINDING, |w| {
        w.attribute(attribute::ERROR_CODE, &[0xff, 0xff, 0x04, 0x26, 0xff, 0xfe]);
        w.attribute(attribute::SOFTWARE, &[0xff; 200]);
        w.attribute(attribute::NONCE, &[0xff; 200]);
    });
    assert_eq!(read_error(&scan(&bytes).unwrap()).unwrap().code, 438);
}

#[test]
fn only_a_sound_error_response_is_one() {
    let success = message(Class::Success, method::BINDING, |w| {
        w.error_code(400, "");
    });
    let without_code = message(Class::Error, method::BINDING, |_| {});
    let broken_list = message(Class::Error, method::BINDING, |w| {
        w.error_code(420, "").attribute(attribute::UNKNOWN_ATTRIBUTES, &[1, 2, 3]);
    });
    let hidden_code = message(Class::Error, method::BINDING, |w| {
        w.integrity(&key()).error_code(487, "");
    });
    for bytes in [success, without_code, broken_list, hidden_code] {
        assert_eq!(read_error(&scan(&bytes).unwrap()), None);
    }
}

#[test]
fn control_messages_are_typed() {
    let relayed = "[2001:db8::5]:50000".parse().unwrap();
    let mut typed = new(Class::Success, method::ALLOCATE, ID).unwrap();
    typed.add_attribute(XorRelayAddress::new(relayed));
    typed.add_attribute(Lifetime::from_u32(600));
    typed.add_attribute(Realm::new("example.org".to_owned()).unwrap());
    let mut buf = vec![1];
    let range = encode(&typed, &mut buf).unwrap().integrity(&key()).fingerprint().finish();
    assert_eq!(range.start, 1);
    let scan = scan(&buf[range]).unwrap();
    assert!(scan.verify(&key()));
    let value = scan.find(attribute::XOR_RELAYED_ADDRESS).unwrap();
    assert_eq!(attribute::xor_address(value, &ID), Some(relayed));

    let decoded = decode(&scan).unwrap();
    assert_eq!(decoded.get_attribute().map(XorRelayAddress::address), Some(relayed));
    let lifetime = decoded.get_attribute().map(Lifetime::lifetime);
    assert_eq!(lifetime, Some(Duration::from_secs(600)));
    assert_eq!(decoded.get_attribute().map(Realm::text), Some("example.org"));
    assert_eq!(decoded.unknown_attributes().count(), 0);
}

/// The codec sees the authenticated part, under a length that fits it.
#[test]
fn regression_attribute_after_integrity_is_not_decoded() {
    let bytes = message(Class::Success, method::REFRESH, |w| {
        w.u32(attribute::LIFETIME, 600).integrity(&key());
        w.attribute(attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]).fingerprint();
    });
    let decoded = decode(&scan(&bytes).unwrap()).unwrap();
    assert_eq!(decoded.attributes().count(), 1);
    assert_eq!(decoded.unknown_attributes().count(), 0);
    assert_eq!(decoded.get_attribute::<RequestedTransport>(), None);
}

/// The codec encodes methods from 0x10 up as other ones.
#[test]
fn methods_of_others_are_neither_decoded_nor_encoded() {
    let bytes = message(Class::Request, 0x080, |_| {});
    assert_eq!(decode(&scan(&bytes).unwrap()).unwrap_err(), DecodeError::UnknownMethod);
    for method in [0x000, 0x002, 0x00f, 0x010, 0x080, 0xfff, 0x1000, u16::MAX] {
        assert!(new(Class::Request, method, ID).is_none(), "{method:#x}");
    }
}

#[test]
fn a_broken_message_does_not_spoil_the_next_one() {
    let broken = request(|w| {
        w.attribute(attribute::PRIORITY, &[1, 2, 3]);
    });
    let good = request(|w| {
        w.u32(attribute::PRIORITY, 1);
    });
    assert_eq!(decode(&scan(&broken).unwrap()).unwrap_err(), DecodeError::BrokenAttribute);
    assert!(decode(&scan(&good).unwrap()).is_ok());
    assert_eq!(decode(&scan(&broken).unwrap()).unwrap_err(), DecodeError::BrokenAttribute);
}

/// RFC 8489 §14.8, RFC 8445 §20.3, RFC 8656 §19.
#[test]
fn reason_phrases_are_those_that_the_rfcs_recommend() {
    for (code, phrase) in [
        (300, "Try Alternate"),
        (400, "Bad Request"),
        (401, "Unauthenticated"),
        (403, "Forbidden"),
        (420, "Unknown Attribute"),
        (437, "Allocation Mismatch"),
        (438, "Stale Nonce"),
        (440, "Address Family not Supported"),
        (441, "Wrong Credentials"),
        (442, "Unsupported Transport Protocol"),
        (443, "Peer Address Family Mismatch"),
        (486, "Allocation Quota Reached"),
        (487, "Role Conflict"),
        (500, "Server Error"),
        (508, "Insufficient Capacity"),
        (499, ""),
    ] {
        assert_eq!(reason(code), phrase, "{code}");
    }
}
