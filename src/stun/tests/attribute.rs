//! The forms of attribute values.

use super::super::attribute::{address, error_code, u32, u64, xor_address};
use super::ID;

#[test]
fn numbers_have_exactly_their_size() {
    assert_eq!(u32(&[1, 2, 3, 4]), Some(0x0102_0304));
    assert_eq!(u64(&[1, 2, 3, 4, 5, 6, 7, 8]), Some(0x0102_0304_0506_0708));
    for len in (0..12).filter(|len| *len != 4) {
        assert_eq!(u32(&vec![0; len]), None);
    }
    for len in (0..12).filter(|len| *len != 8) {
        assert_eq!(u64(&vec![0; len]), None);
    }
}

#[test]
fn addresses_have_a_family_and_the_size_of_it() {
    let v4 = [0, 1, 0x12, 0x34, 192, 0, 2, 1];
    assert_eq!(address(&v4), Some("192.0.2.1:4660".parse().unwrap()));
    let mut v6 = vec![0, 2, 0x12, 0x34, 0x20, 0x01, 0x0d, 0xb8];
    v6.resize(20, 0);
    assert_eq!(address(&v6), Some("[2001:db8::]:4660".parse().unwrap()));

    for family in [0, 3, 0xff] {
        assert_eq!(address(&[0, family, 0x12, 0x34, 192, 0, 2, 1]), None);
    }
    for len in 0..32 {
        let mut value = vec![0; len];
        if len > 1 {
            value[1] = 1;
        }
        assert_eq!(address(&value).is_some(), len == 8, "IPv4 in {len} bytes");
        if len > 1 {
            value[1] = 2;
        }
        assert_eq!(address(&value).is_some(), len == 20, "IPv6 in {len} bytes");
    }
}

/// RFC 8489 §14.1: the first 8 bits MUST be ignored.
#[test]
fn reserved_bits_of_addresses_are_ignored() {
    let value = [0xff, 1, 0x12, 0x34, 192, 0, 2, 1];
    assert_eq!(address(&value), Some("192.0.2.1:4660".parse().unwrap()));
    assert!(xor_address(&value, &ID).is_some());
}

/// U11: an IPv4 address is combined with the cookie alone, an IPv6 address with both.
#[test]
fn addresses_are_combined_with_cookie_and_transaction_id() {
    let v4 = [0, 1, 0x21, 0x12, 0x21, 0x12, 0xa4, 0x42];
    assert_eq!(xor_address(&v4, &ID), Some("0.0.0.0:0".parse().unwrap()));
    let mut v6 = vec![0, 2, 0x21, 0x12, 0x21, 0x12, 0xa4, 0x42];
    v6.extend(ID.as_bytes());
    assert_eq!(xor_address(&v6, &ID), Some("[::]:0".parse().unwrap()));
}

/// U25
#[test]
fn error_codes_are_300_to_699() {
    for class in 0..8 {
        for number in 0..=255 {
            let expected = (3..=6).contains(&class) && number < 100;
            let value = [0, 0, class, number];
            let code = u16::from(class) * 100 + u16::from(number);
            assert_eq!(error_code(&value), expected.then_some((code, &[][..])));
        }
    }
    assert_eq!(error_code(&[0xff, 0xff, 0xfc, 87, b'n', b'o']), Some((487, &b"no"[..])));
    for len in 0..4 {
        assert_eq!(error_code(&vec![4; len]), None);
    }
}
