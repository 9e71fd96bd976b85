use proptest::prelude::*;

use super::ip;
use crate::policy::AddressHandling::{
    self, DefaultRouteAndPrivate, DefaultRouteOnly, EnumerateAll, ForceProxy,
};
use crate::policy::AddressUse::{self, Host, None, Servers, Streams};
use crate::policy::RoutedAddress;

const MODES: [AddressHandling; 5] = [
    EnumerateAll,
    DefaultRouteAndPrivate,
    DefaultRouteOnly,
    ForceProxy { proxied: false },
    ForceProxy { proxied: true },
];

/// A split-tunnel VPN (RFC 8828 §3): the default route goes through the tunnel, the provider's
/// addresses stand beside it.
#[test]
fn each_mode_of_rfc_8828_tells_what_it_may_of_a_host_behind_a_vpn() {
    let address =
        |text, interface, default_route| RoutedAddress { ip: ip(text), interface, default_route };
    let addresses = [
        address("10.8.0.2", "tun0", true),
        address("fd00:8::2", "tun0", false),
        address("198.51.100.7", "tun0", false),
        address("192.168.1.5", "eth0", false),
        address("2001:db8::5", "eth0", false),
    ];
    let expected = [
        [Host, Host, Host, Host, Host],
        [Host, Host, None, None, None],
        [Servers, None, None, None, None],
        [Servers, None, None, None, None],
        [Streams, None, None, None, None],
    ];
    for (mode, expected) in MODES.into_iter().zip(expected) {
        assert_eq!(mode.uses(&addresses), expected, "{mode:?}");
    }
}

#[test]
fn a_host_with_a_public_address_may_tell_it_in_mode_2() {
    let address = RoutedAddress { ip: ip("203.0.113.7"), interface: "eth0", default_route: true };
    assert_eq!(DefaultRouteAndPrivate.uses(&[address]), [Host]);
    assert_eq!(DefaultRouteOnly.uses(&[address]), [Servers]);
}

#[test]
fn each_family_has_a_default_route_of_its_own() {
    let address = |text, interface| RoutedAddress { ip: ip(text), interface, default_route: true };
    let addresses = [address("192.168.1.5", "eth0"), address("2001:db8::5", "wlan0")];
    assert_eq!(DefaultRouteAndPrivate.uses(&addresses), [Host, Host]);
    assert_eq!(DefaultRouteOnly.uses(&addresses), [Servers, Servers]);
}

#[test]
fn without_consent_mode_1_is_mode_2_and_the_stricter_ones_stay() {
    assert_eq!(EnumerateAll.consented(true), EnumerateAll);
    assert_eq!(EnumerateAll.consented(false), DefaultRouteAndPrivate);
    for mode in MODES.into_iter().skip(1) {
        assert_eq!(mode.consented(true), mode);
        assert_eq!(mode.consented(false), mode);
    }
}

proptest! {
    #[test]
    fn a_stricter_mode_never_permits_more(
        hosts in prop::collection::vec(
            (any::<core::net::IpAddr>(), "[ab]", any::<bool>()), 0..8,
        ),
    ) {
        let addresses: Vec<RoutedAddress<'_>> = hosts
            .iter()
            .map(|(ip, interface, default_route)| RoutedAddress {
                ip: *ip, interface, default_route: *default_route,
            })
            .collect();
        let uses: Vec<Vec<AddressUse>> =
            MODES.iter().map(|mode| mode.uses(&addresses)).collect();
        for (mode, next) in uses.iter().zip(uses.iter().skip(1)) {
            prop_assert_eq!(mode.len(), addresses.len());
            prop_assert!(mode.iter().zip(next).all(|(looser, stricter)| looser >= stricter));
        }
    }
}
