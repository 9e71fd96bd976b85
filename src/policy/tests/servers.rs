//! Row ★34 of the behaviours that another agent's tests describe: scheme, transport, kinds and
//! networks against what a server is asked for.

use proptest::prelude::*;

use crate::candidate::CandidateKind::{self, Host, Relayed, ServerReflexive};
use crate::policy::NetworkType::{self, Tcp4, Tcp6, Udp4, Udp6};
use crate::policy::servers::{Gathered, Request, request_of};
use crate::policy::{Selection, TransportPolicy};
use crate::uri::{ServerTransport, ServerUri};

const NOTHING: Request = Request { reflexive: false, relayed_ipv4: false, relayed_ipv6: false };
const REFLEXIVE: Request = Request { reflexive: true, ..NOTHING };
const RELAYED: Request = Request { relayed_ipv4: true, relayed_ipv6: true, ..NOTHING };
const BOTH: Request = Request { reflexive: true, ..RELAYED };

struct Configured {
    policy: TransportPolicy,
    kinds: Selection<CandidateKind>,
    networks: Selection<NetworkType>,
    turn_transports: Selection<ServerTransport>,
}

impl Configured {
    fn everything() -> Self {
        Self {
            policy: TransportPolicy::All,
            kinds: Selection::default(),
            networks: Selection::default(),
            turn_transports: Selection::default(),
        }
    }

    fn networks<const N: usize>(networks: [NetworkType; N]) -> Self {
        Self { networks: networks.into_iter().collect(), ..Self::everything() }
    }

    fn asks(&self, uri: &str) -> Request {
        let uri: ServerUri = uri.parse().unwrap();
        let gathered = Gathered {
            policy: self.policy,
            kinds: &self.kinds,
            networks: &self.networks,
            turn_transports: &self.turn_transports,
        };
        request_of(uri.protocol(), uri.transport(), gathered)
    }
}

const URIS: [&str; 6] = [
    "stun:example.org",
    "stuns:example.org",
    "turn:example.org",
    "turn:example.org?transport=tcp",
    "turns:example.org",
    "turns:example.org?transport=udp",
];

#[test]
fn a_mapping_is_asked_for_over_udp_and_a_relayed_address_over_anything() {
    let everything = Configured::everything();
    let expected = [REFLEXIVE, NOTHING, BOTH, RELAYED, RELAYED, RELAYED];
    assert_eq!(URIS.map(|uri| everything.asks(uri)), expected);
}

#[test]
fn a_server_is_not_asked_for_what_the_policy_or_the_kinds_exclude() {
    let relay = Configured { policy: TransportPolicy::Relay, ..Configured::everything() };
    let no_host = Configured { policy: TransportPolicy::NoHost, ..Configured::everything() };
    let only =
        |kind| Configured { kinds: Selection::from_iter([kind]), ..Configured::everything() };
    for uri in URIS {
        let all = Configured::everything().asks(uri);
        assert_eq!(relay.asks(uri), Request { reflexive: false, ..all });
        assert_eq!(no_host.asks(uri), all);
        assert_eq!(only(Host).asks(uri), NOTHING);
        assert_eq!(
            only(ServerReflexive).asks(uri),
            Request { reflexive: all.reflexive, ..NOTHING }
        );
        assert_eq!(only(Relayed).asks(uri), Request { reflexive: false, ..all });
    }
}

/// The networks are those of candidates: a relayed one is of UDP, whatever leads to the server.
#[test]
fn networks_of_tcp_only_have_neither_and_networks_of_udp_only_have_relays_over_tcp() {
    let tcp = Configured::networks([Tcp4, Tcp6]);
    let udp = Configured::networks([Udp4, Udp6]);
    for uri in URIS {
        assert_eq!(tcp.asks(uri), NOTHING, "{uri}");
        assert_eq!(udp.asks(uri), Configured::everything().asks(uri), "{uri}");
    }
}

#[test]
fn a_relayed_address_is_of_a_family_that_is_gathered() {
    let ipv4 = Configured::networks([Udp4]).asks("turn:example.org");
    assert_eq!(ipv4, Request { relayed_ipv6: false, ..BOTH });
    let ipv6 = Configured::networks([Udp6, Tcp4]).asks("turn:example.org");
    assert_eq!(ipv6, Request { relayed_ipv4: false, ..BOTH });
}

#[test]
fn turn_transports_limit_how_relays_are_reached_and_nothing_else() {
    let tls = Configured {
        turn_transports: Selection::from_iter([ServerTransport::Tls]),
        ..Configured::everything()
    };
    let expected = [REFLEXIVE, NOTHING, REFLEXIVE, NOTHING, RELAYED, NOTHING];
    assert_eq!(URIS.map(|uri| tls.asks(uri)), expected);
}

proptest! {
    #[test]
    fn to_restrict_more_never_asks_for_more(
        networks in prop::sample::subsequence(vec![Udp4, Udp6, Tcp4, Tcp6], 1..=4),
        kinds in prop::sample::subsequence(vec![Host, ServerReflexive, Relayed], 1..=3),
        uri in prop::sample::select(URIS.to_vec()),
    ) {
        let restricted = Configured {
            networks: networks.into_iter().collect(),
            kinds: kinds.into_iter().collect(),
            ..Configured::everything()
        };
        let (less, all) = (restricted.asks(uri), Configured::everything().asks(uri));
        prop_assert!(less.reflexive <= all.reflexive);
        prop_assert!(less.relayed_ipv4 <= all.relayed_ipv4);
        prop_assert!(less.relayed_ipv6 <= all.relayed_ipv6);
    }
}
