use core::net::IpAddr;

use proptest::prelude::*;

use super::ip;
use crate::policy::prefix::is_private;
use crate::policy::{IpPrefix, IpPrefixError};

#[test]
fn a_prefix_has_the_addresses_that_begin_with_it() {
    let rows = [
        ("10.0.0.0/8", "10.255.255.255", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.9.9.9/8", "10.0.0.1", true),
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("0.0.0.0/0", "203.0.113.1", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "2001:db8::1", true),
        ("::/0", "203.0.113.1", false),
        ("fe80::/10", "febf::1", true),
        ("fe80::/10", "fec0::1", false),
        ("2001:db8::1/128", "2001:db8::1", true),
        ("10.0.0.0/8", "::ffff:10.1.2.3", true),
        ("::ffff:0:0/96", "::ffff:10.1.2.3", true),
    ];
    for (prefix, address, contained) in rows {
        let parsed: IpPrefix = prefix.parse().unwrap();
        assert_eq!(parsed.contains(ip(address)), contained, "{prefix} {address}");
    }
}

#[test]
fn a_prefix_that_is_none_says_what_is_wrong() {
    for text in ["", "/8", "10.0.0/8", "example.org/8", "fe80::1%eth0/64", " 10.0.0.0/8"] {
        assert_eq!(text.parse::<IpPrefix>(), Err(IpPrefixError::Address), "{text}");
    }
    for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/+8", "::/300", "10.0.0.0/8/8"] {
        assert_eq!(text.parse::<IpPrefix>(), Err(IpPrefixError::Length), "{text}");
    }
}

#[test]
fn private_is_what_the_public_internet_does_not_route() {
    for inside in
        ["10.0.0.1", "172.31.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "fd00:ec2::254"]
    {
        assert!(is_private(ip(inside)), "{inside}");
    }
    for outside in ["9.255.255.255", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2001:db8::1"] {
        assert!(!is_private(ip(outside)), "{outside}");
    }
}

fn prefixes() -> impl Strategy<Value = IpPrefix> {
    (any::<IpAddr>(), 0..=128u8).prop_map(|(ip, length)| {
        IpPrefix::new(ip, if ip.is_ipv6() { length } else { length % 33 }).unwrap()
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_as_the_same(prefix in prefixes()) {
        prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
    }

    #[test]
    fn a_prefix_has_an_address_if_the_first_bits_are_equal(
        a in any::<u32>(), b in any::<u32>(), length in 0..=32u8,
    ) {
        let prefix = IpPrefix::new(IpAddr::V4(a.into()), length).unwrap();
        let equal = (a ^ b).leading_zeros() >= u32::from(length);
        prop_assert_eq!(prefix.contains(IpAddr::V4(b.into())), equal);
    }

    #[test]
    fn an_ipv6_prefix_has_an_address_if_the_first_bits_are_equal(
        a in any::<u128>(), changed in 0..=128u32, length in 0..=128u8,
    ) {
        let b = 1u128.checked_shl(127u32.wrapping_sub(changed)).map_or(a, |bit| a ^ bit);
        let prefix = IpPrefix::new(IpAddr::V6(a.into()), length).unwrap();
        let equal = (a ^ b).leading_zeros() >= u32::from(length);
        // The canonical form of a mapped address is not the one that was changed.
        prop_assume!(IpAddr::V6(b.into()).to_canonical().is_ipv6());
        prop_assert_eq!(prefix.contains(IpAddr::V6(b.into())), equal);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "[0-9a-f:./]{0,24}") {
        if let Ok(prefix) = text.parse::<IpPrefix>() {
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        }
    }
}
