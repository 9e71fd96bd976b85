use proptest::prelude::*;

use crate::policy::ranking::{Obtained, obtained_preference};
use crate::uri::ServerTransport::{self, Dtls, Tcp, Tls, Udp};

const FIRST: Obtained = Obtained { transport: Udp, local: 0, server: 0, additional: false };

fn preference(obtained: Obtained) -> u16 {
    obtained_preference(obtained, &[])
}

/// RFC 8445 §5.1.2.1: with a single address the local preference is 65535.
#[test]
fn the_first_over_udp_has_the_local_preference_of_a_single_address() {
    assert_eq!(preference(FIRST), 65_535);
}

#[test]
fn udp_comes_before_dtls_before_tcp_before_tls_whatever_the_server_and_the_local_address() {
    for pair in [Udp, Dtls, Tcp, Tls].windows(2) {
        let last = Obtained { transport: pair[0], local: 9_999, server: 9_999, additional: true };
        let first = Obtained { transport: pair[1], ..FIRST };
        assert!(preference(last) > preference(first), "{pair:?}");
    }
}

#[test]
fn then_the_order_of_local_addresses_decides_then_that_of_servers_then_that_of_the_allocation() {
    let ordered = [
        FIRST,
        Obtained { additional: true, ..FIRST },
        Obtained { server: 1, ..FIRST },
        Obtained { server: 63, ..FIRST },
        Obtained { local: 1, ..FIRST },
        Obtained { local: 63, server: 63, ..FIRST },
    ];
    assert!(ordered.map(preference).windows(2).all(|pair| pair[0] > pair[1]));
}

#[test]
fn what_has_no_place_of_its_own_takes_the_next_free_one() {
    let server = |server| Obtained { server, ..FIRST };
    let mut taken = Vec::new();
    for n in 0..200 {
        let preference = obtained_preference(server(n), &taken);
        assert!(!taken.contains(&preference));
        taken.push(preference);
    }
    assert!(taken.is_sorted_by(|a, b| a > b));
    // The lowest place has none below it.
    let last = Obtained { transport: Tls, local: 63, server: 63, additional: true };
    let low: Vec<u16> = (0..=preference(last)).collect();
    assert_eq!(obtained_preference(last, &low), preference(last) + 1);
}

fn obtained() -> impl Strategy<Value = Obtained> {
    let transports: [ServerTransport; 4] = [Udp, Dtls, Tcp, Tls];
    (0..4usize, any::<u16>(), any::<u16>(), any::<bool>()).prop_map(
        move |(transport, local, server, additional)| Obtained {
            transport: transports[transport],
            local,
            server,
            additional,
        },
    )
}

proptest! {
    #[test]
    fn no_two_have_the_same(all in prop::collection::vec(obtained(), 0..100)) {
        let mut taken = Vec::new();
        for one in all {
            let preference = obtained_preference(one, &taken);
            prop_assert!(!taken.contains(&preference));
            taken.push(preference);
        }
    }

    /// So candidates that were signalled keep their place, whoever answers later.
    #[test]
    fn what_differs_within_the_bounds_differs_without_knowing_of_each_other(
        a in obtained(), b in obtained(),
    ) {
        let within = |one: Obtained| Obtained { local: one.local % 64, server: one.server % 64, ..one };
        let (a, b) = (within(a), within(b));
        let rank = |one: Obtained| (one.transport, one.local, one.server, one.additional);
        prop_assert_eq!(rank(a).cmp(&rank(b)), preference(b).cmp(&preference(a)));
    }
}
