use core::net::IpAddr;

use proptest::prelude::*;

use super::ip;
use crate::policy::{Filtered, IpPrefix, LocalFilter, RemoteFilter};

fn prefixes(texts: &[&str]) -> Vec<IpPrefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn denied_interfaces_and_addresses_are_not_used_and_all_others_are() {
    let filter = LocalFilter {
        deny_interfaces: names(&["docker*", "wg0"]),
        deny: prefixes(&["10.0.0.0/8"]),
        ..LocalFilter::default()
    };
    assert_eq!(filter.check(ip("192.0.2.1"), "docker0"), Err(Filtered::Interface));
    assert_eq!(filter.check(ip("192.0.2.1"), "docker"), Err(Filtered::Interface));
    assert_eq!(filter.check(ip("192.0.2.1"), "wg0"), Err(Filtered::Interface));
    assert_eq!(filter.check(ip("10.1.1.1"), "eth0"), Err(Filtered::Denied));
    for interface in ["eth0", "wg01", "wg", "my-docker0", ""] {
        assert_eq!(filter.check(ip("192.0.2.1"), interface), Ok(()), "{interface}");
    }
}

#[test]
fn where_something_is_allowed_nothing_else_is_used() {
    let filter = LocalFilter {
        allow_interfaces: names(&["eth*"]),
        allow: prefixes(&["192.0.2.0/24", "2001:db8::/32"]),
        deny: prefixes(&["192.0.2.66"]),
        ..LocalFilter::default()
    };
    assert_eq!(filter.check(ip("192.0.2.1"), "eth1"), Ok(()));
    assert_eq!(filter.check(ip("2001:db8::1"), "eth1"), Ok(()));
    assert_eq!(filter.check(ip("198.51.100.1"), "eth1"), Err(Filtered::NotAllowed));
    assert_eq!(filter.check(ip("192.0.2.66"), "eth1"), Err(Filtered::Denied));
    assert_eq!(filter.check(ip("192.0.2.1"), "wlan0"), Err(Filtered::Interface));
    assert_eq!(filter.check(ip("192.0.2.1"), ""), Err(Filtered::Interface));
}

#[test]
fn a_star_alone_is_every_interface_that_has_a_name() {
    let filter = LocalFilter { deny_interfaces: names(&["*"]), ..LocalFilter::default() };
    assert_eq!(filter.check(ip("192.0.2.1"), "eth0"), Err(Filtered::Interface));
    assert_eq!(filter.check(ip("192.0.2.1"), ""), Ok(()));
}

#[test]
fn a_denied_address_of_a_peer_is_denied_in_its_mapped_form_as_well() {
    let filter = RemoteFilter { deny: vec![IpPrefix::LINK_LOCAL_V4], ..RemoteFilter::default() };
    assert_eq!(filter.check(ip("169.254.169.254")), Err(Filtered::Denied));
    assert_eq!(filter.check(ip("::ffff:169.254.169.254")), Err(Filtered::Denied));
    assert_eq!(filter.check(ip("169.253.0.1")), Ok(()));
}

#[test]
fn loopback_is_reached_from_loopback_only() {
    let filter = RemoteFilter::default();
    for remote in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        for local in ["192.168.1.5", "203.0.113.1", "2001:db8::1"] {
            let checked = filter.check_from(ip(local), ip(remote));
            assert_eq!(checked, Err(Filtered::Loopback), "{local} {remote}");
        }
    }
    assert_eq!(filter.check_from(ip("127.0.0.1"), ip("127.0.0.2")), Ok(()));
    assert_eq!(filter.check_from(ip("::1"), ip("::1")), Ok(()));
}

#[test]
fn private_addresses_are_reached_from_private_ones_only_if_that_is_asked_for() {
    let strict = RemoteFilter { private_from_private: true, ..RemoteFilter::default() };
    for remote in ["10.0.0.1", "169.254.169.254", "fd00::1", "fe80::1"] {
        for local in ["203.0.113.1", "2001:db8::1"] {
            assert_eq!(strict.check_from(ip(local), ip(remote)), Err(Filtered::Private));
            assert_eq!(RemoteFilter::default().check_from(ip(local), ip(remote)), Ok(()));
        }
        assert_eq!(strict.check_from(ip("192.168.1.5"), ip(remote)), Ok(()));
        assert_eq!(strict.check_from(ip("127.0.0.1"), ip(remote)), Ok(()));
    }
    assert_eq!(strict.check_from(ip("203.0.113.1"), ip("198.51.100.1")), Ok(()));
    assert_eq!(strict.check_from(ip("10.0.0.1"), ip("198.51.100.1")), Ok(()));
}

proptest! {
    #[test]
    fn the_default_filters_nothing_but_loopback_from_elsewhere(
        local in any::<IpAddr>(), remote in any::<IpAddr>(), interface in "[a-z]{0,4}[0-9]?",
    ) {
        prop_assert_eq!(LocalFilter::default().check(local, &interface), Ok(()));
        prop_assert_eq!(RemoteFilter::default().check(remote), Ok(()));
        let refused = remote.to_canonical().is_loopback() && !local.to_canonical().is_loopback();
        let checked = RemoteFilter::default().check_from(local, remote);
        prop_assert_eq!(checked.is_err(), refused);
    }

    /// What is refused to anyone is refused from everywhere.
    #[test]
    fn a_pair_is_never_allowed_more_than_its_remote_address(
        local in any::<IpAddr>(), remote in any::<u32>(), length in 0..=32u8, deny in any::<bool>(),
    ) {
        let prefix = IpPrefix::new(IpAddr::V4(remote.rotate_left(3).into()), length).unwrap();
        let mut filter = RemoteFilter::default();
        if deny { filter.deny.push(prefix) } else { filter.allow.push(prefix) }
        let remote = IpAddr::V4(remote.into());
        if filter.check(remote).is_err() {
            prop_assert!(filter.check_from(local, remote).is_err());
        }
        prop_assert_eq!(filter.check(remote).is_ok(), prefix.contains(remote) != deny);
    }
}
