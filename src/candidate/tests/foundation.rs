use core::net::IpAddr;

use crate::candidate::Transport::{Tcp, Udp};
use crate::candidate::foundation::{
    Foundation, FoundationError, FoundationKey, LocalFoundations, RemoteFoundations,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// RFC 8445 §5.1.1.3, line by line: what differs from its neighbours in one respect only.
fn all_different() -> Vec<FoundationKey> {
    let (a, b) = (ip("192.0.2.1"), ip("2001:db8::1"));
    let (server, other_server) = (ip("198.51.100.1"), ip("198.51.100.2"));
    vec![
        FoundationKey::host(a, Udp),
        FoundationKey::host(a, Tcp),
        FoundationKey::host(b, Udp),
        FoundationKey::server_reflexive(a, server, Udp),
        FoundationKey::server_reflexive(a, server, Tcp),
        FoundationKey::server_reflexive(a, other_server, Udp),
        FoundationKey::server_reflexive(b, server, Udp),
        FoundationKey::relayed(a, server, Udp, Udp),
        FoundationKey::relayed(a, server, Udp, Tcp),
        FoundationKey::relayed(a, other_server, Udp, Udp),
        FoundationKey::relayed(b, server, Udp, Udp),
    ]
}

#[test]
fn candidates_share_a_foundation_only_if_type_base_server_and_transport_are_the_same() {
    let mut foundations = LocalFoundations::default();
    let first: Vec<u16> = all_different().into_iter().map(|key| foundations.intern(key)).collect();
    assert_eq!(first, (0..11).collect::<Vec<u16>>());

    // In another order: nothing depends on who comes first.
    let again: Vec<u16> =
        all_different().into_iter().rev().map(|key| foundations.intern(key)).collect();
    assert_eq!(again, (0..11).rev().collect::<Vec<u16>>());
}

#[test]
fn a_peers_equal_foundations_get_one_number() {
    let mut foundations = RemoteFoundations::default();
    let numbers = ["7", "8", "07", "7", "+/", "8"]
        .map(|text| foundations.intern(&text.parse::<Foundation>().unwrap()));
    assert_eq!(numbers, [0, 1, 2, 0, 3, 1]);
}

#[test]
fn a_peer_with_endless_foundations_fills_no_memory() {
    let mut foundations = RemoteFoundations::default();
    let numbers: Vec<u16> =
        (0..6000).map(|n| foundations.intern(&Foundation::numbered(n))).collect();
    assert_eq!(numbers[4095], 4095);
    assert!(numbers[4096..].iter().all(|&number| number == 4096));
    assert_eq!(foundations.intern(&Foundation::numbered(17)), 17);
}

#[test]
fn local_foundations_are_written_as_numbers_from_one() {
    assert_eq!(Foundation::numbered(0).as_str(), "1");
    assert_eq!(Foundation::numbered(99).to_string(), "100");
    assert_eq!(Foundation::numbered(u16::MAX).as_str(), "65536");
    for n in 0..=u16::MAX {
        let parsed: Foundation = Foundation::numbered(n).as_str().parse().unwrap();
        assert_eq!(parsed, Foundation::numbered(n));
    }
}

#[test]
fn a_foundation_has_one_to_thirty_two_ice_chars() {
    let longest = "+/AZaz09".repeat(4);
    assert_eq!(longest.parse::<Foundation>().unwrap().as_str(), longest);
    assert_eq!("x".parse::<Foundation>().unwrap().to_string(), "x");

    assert_eq!("".parse::<Foundation>(), Err(FoundationError::Length));
    assert_eq!(format!("{longest}x").parse::<Foundation>(), Err(FoundationError::Length));
    assert_eq!("x".repeat(300).parse::<Foundation>(), Err(FoundationError::Length));
    for wrong in ["a-b", "a b", "é", "a\0", "=", ".", "\u{1d11e}"] {
        assert_eq!(wrong.parse::<Foundation>(), Err(FoundationError::Character), "{wrong:?}");
    }
}

#[test]
fn foundations_are_ordered_as_their_text_is() {
    let mut texts = vec!["10", "1", "2", "+", "a", "aa", "A", "1/"];
    let mut foundations: Vec<Foundation> = texts.iter().map(|t| t.parse().unwrap()).collect();
    texts.sort_unstable();
    foundations.sort_unstable();
    assert_eq!(foundations.iter().map(Foundation::as_str).collect::<Vec<_>>(), texts);
}

#[test]
fn a_foundation_is_shown_as_its_text() {
    let foundation: Foundation = "a1".parse().unwrap();
    assert_eq!(format!("{foundation:?}"), "Foundation(\"a1\")");
    assert_eq!(format!("{foundation:>4}"), "  a1");
}
