use super::ip;
use crate::candidate::CandidateKind::{self, Host, PeerReflexive, Relayed, ServerReflexive};
use crate::candidate::Transport;
use crate::policy::NetworkType::{self, Tcp4, Tcp6, Udp4, Udp6};
use crate::policy::{Selection, TransportPolicy};

#[test]
fn a_transport_policy_keeps_the_kinds_that_tell_too_much() {
    let rows = [
        (TransportPolicy::All, [true, true, true, true]),
        (TransportPolicy::NoHost, [false, true, true, true]),
        (TransportPolicy::Relay, [false, false, false, true]),
    ];
    for (policy, allowed) in rows {
        let kinds = [Host, ServerReflexive, PeerReflexive, Relayed];
        assert_eq!(kinds.map(|kind| policy.allows(kind)), allowed, "{policy:?}");
    }
}

/// Where an unset list of network types meant none, nothing was gathered.
#[test]
fn the_empty_selection_has_all() {
    for network in [Udp4, Udp6, Tcp4, Tcp6] {
        assert!(Selection::default().has(network));
        assert!(Selection::from_iter([]).has(network));
    }
    assert!(Selection::<CandidateKind>::default().is_unrestricted());
}

#[test]
fn a_selection_has_what_it_was_made_of_however_often_and_in_whatever_order() {
    let selection: Selection<NetworkType> = [Tcp6, Udp4, Tcp6].into_iter().collect();
    assert_eq!([Udp4, Udp6, Tcp4, Tcp6].map(|n| selection.has(n)), [true, false, false, true]);
    assert!(!selection.is_unrestricted());
    assert_eq!(selection, [Udp4, Tcp6].into_iter().collect());
}

#[test]
fn the_network_of_a_mapped_address_is_that_of_ipv4() {
    assert_eq!(NetworkType::of(Transport::Udp, ip("192.0.2.1")), Udp4);
    assert_eq!(NetworkType::of(Transport::Udp, ip("::ffff:192.0.2.1")), Udp4);
    assert_eq!(NetworkType::of(Transport::Tcp, ip("192.0.2.1")), Tcp4);
    assert_eq!(NetworkType::of(Transport::Udp, ip("2001:db8::1")), Udp6);
    assert_eq!(NetworkType::of(Transport::Tcp, ip("2001:db8::1")), Tcp6);
}
