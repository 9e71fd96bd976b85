//! What the writer writes is what the scan reads.

use core::net::SocketAddr;

use proptest::prelude::*;

use super::super::{Class, Fingerprint, IntegrityKeySha256, Writer, attribute, method, scan};
use super::{ID, PASSWORD, key, request};

#[test]
fn a_message_goes_to_the_end_of_the_buffer() {
    let mut buf = vec![1, 2, 3];
    let range = Writer::new(&mut buf, Class::Request, method::BINDING, ID)
        .u32(attribute::PRIORITY, 7)
        .integrity(&key())
        .fingerprint()
        .finish();
    assert_eq!(range, 3..3 + 20 + 8 + 24 + 8);
    assert_eq!(buf[..3], [1, 2, 3]);
    let scan = scan(&buf[range]).unwrap();
    assert!(scan.verify(&key()));
    assert_eq!(scan.fingerprint(), Fingerprint::Good);
    assert_eq!(scan.transaction_id(), ID);
}

/// U10: coturn once sent what its memory held (CVE-2020-4067).
#[test]
fn padding_is_zero() {
    for (len, padding) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0), (5, 3)] {
        let bytes = request(|w| {
            w.attribute(attribute::SOFTWARE, &vec![0xff; len]);
        });
        assert_eq!(bytes.len(), 24 + len + padding);
        assert!(bytes[24 + len..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn the_parts_of_a_username_are_joined() {
    let bytes = request(|w| {
        w.username(&[b"remote", b":", b"local"]);
    });
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.find(attribute::USERNAME), Some(&b"remote:local"[..]));
}

#[test]
fn a_message_that_becomes_too_long_is_dropped_whole() {
    let fitting = vec![0; 0xfff0];
    let mut buf = vec![9];
    let range = Writer::new(&mut buf, Class::Indication, method::SEND, ID)
        .attribute(attribute::DATA, &fitting)
        .flag(attribute::DONT_FRAGMENT)
        .fingerprint()
        .finish();
    assert_eq!(range, 1..1);
    assert_eq!(buf, [9]);

    let range = Writer::new(&mut buf, Class::Indication, method::SEND, ID)
        .attribute(attribute::DATA, &fitting)
        .fingerprint()
        .finish();
    assert_eq!(range, 1..1 + 20 + 4 + 0xfff0 + 8);
    let data = scan(&buf[range]).unwrap().find(attribute::DATA).map(<[u8]>::len);
    assert_eq!(data, Some(0xfff0));

    buf.truncate(1);
    let range = Writer::new(&mut buf, Class::Indication, method::SEND, ID)
        .attribute(attribute::DATA, &vec![0; 0x1_0000])
        .finish();
    assert!(range.is_empty());
    assert_eq!(buf, [9]);
}

#[test]
fn codes_that_are_none_are_not_written() {
    for code in [0, 200, 299, 700, u16::MAX] {
        let mut buf = Vec::new();
        let mut writer = Writer::new(&mut buf, Class::Error, method::BINDING, ID);
        assert!(writer.error_code(code, "").finish().is_empty());
    }
    for code in [300, 399, 487, 600, 699] {
        let bytes = request(|w| {
            w.error_code(code, "why");
        });
        let value = scan(&bytes).unwrap().find(attribute::ERROR_CODE).unwrap();
        assert_eq!(attribute::error_code(value), Some((code, &b"why"[..])));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        attributes in prop::collection::vec(
            // Any type but the three that the writer makes itself.
            (any::<u16>().prop_filter("sealing", |kind| !matches!(kind, 0x08 | 0x1c | 0x8028)),
             prop::collection::vec(any::<u8>(), 0..50)),
            0..20,
        ),
        addr in any::<SocketAddr>(),
        sha1 in any::<bool>(),
        sha256 in any::<bool>(),
    ) {
        let sha256_key = IntegrityKeySha256::short_term(PASSWORD);
        let bytes = request(|w| {
            for (kind, value) in &attributes {
                w.attribute(*kind, value);
            }
            w.xor_address(attribute::XOR_MAPPED_ADDRESS, addr);
            if sha1 {
                w.integrity(&key());
            }
            if sha256 {
                w.integrity_sha256(&sha256_key);
            }
            w.fingerprint();
        });
        let scan = scan(&bytes).unwrap();
        let mut read: Vec<_> =
            scan.attributes().map(|(kind, value)| (kind, value.to_vec())).collect();
        let (kind, value) = read.pop().unwrap();
        prop_assert_eq!(kind, attribute::XOR_MAPPED_ADDRESS);
        let expected = SocketAddr::new(addr.ip(), addr.port());
        prop_assert_eq!(attribute::xor_address(&value, &ID), Some(expected));
        prop_assert_eq!(read, attributes);
        prop_assert_eq!(scan.verify(&key()), sha1);
        prop_assert_eq!(scan.verify_sha256(&sha256_key), sha256);
        prop_assert_eq!(scan.fingerprint(), Fingerprint::Good);
    }
}
