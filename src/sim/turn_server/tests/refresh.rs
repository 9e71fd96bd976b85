//! RFC 8656 §8.2: Refresh. §5: what all requests but Allocate have in common.

use super::{Scripted, addr, at, config};
use crate::stun::attribute::{
    ADDITIONAL_ADDRESS_FAMILY, LIFETIME, REQUESTED_ADDRESS_FAMILY, SOFTWARE, XOR_RELAYED_ADDRESS,
};
use crate::stun::method;

const V4: u8 = 1;
const V6: u8 = 2;

/// A client with addresses of both families, a permission and a channel for each.
fn dual() -> (Scripted, Vec<core::net::SocketAddr>) {
    let mut client = Scripted::new(config());
    let relayed = client
        .allocate(|w| {
            w.first_of_four(ADDITIONAL_ADDRESS_FAMILY, V6);
        })
        .all(XOR_RELAYED_ADDRESS);
    assert_eq!(client.bind(0x4000, super::PEER).code(), 0);
    assert_eq!(client.bind(0x4001, super::PEER_V6).code(), 0);
    (client, relayed)
}

#[test]
fn a_refresh_sets_the_lifetime_anew() {
    for (wanted, granted) in [(None, 600), (Some(1), 600), (Some(900), 900), (Some(9999), 3600)] {
        let (mut client, relayed) = Scripted::allocated(config());
        client.advance(500);
        let answer = client.refresh(|w| {
            if let Some(wanted) = wanted {
                w.u32(LIFETIME, wanted);
            }
        });
        assert_eq!(answer.lifetime(), granted);
        assert!(answer.find(SOFTWARE).is_some());
        client.server.handle_timeout(at(500 + u64::from(granted) - 1));
        assert!(client.server.is_open(relayed));
        client.server.handle_timeout(at(500 + u64::from(granted)));
        assert!(!client.server.is_open(relayed));
    }
}

#[test]
fn a_lifetime_of_zero_deletes_and_the_repetition_is_a_mismatch() {
    let (mut client, relayed) = Scripted::allocated(config());
    let request = client.request(method::REFRESH, |w| {
        w.u32(LIFETIME, 0);
    });
    let answer = client.send(&request).unwrap();
    assert_eq!((answer.code(), answer.lifetime()), (0, 0));
    assert!(!client.server.is_open(relayed));
    assert_eq!(client.send(&request).unwrap().code(), 437);
    assert_eq!(client.server.poll_timeout(), None);
}

#[test]
fn a_malformed_lifetime_or_family_is_a_bad_request() {
    let (mut client, _) = Scripted::allocated(config());
    let lifetime = client.refresh(|w| {
        w.attribute(LIFETIME, &[0; 3]);
    });
    let family = client.refresh(|w| {
        w.attribute(REQUESTED_ADDRESS_FAMILY, &[V4]);
    });
    assert_eq!((lifetime.code(), family.code()), (400, 400));
}

#[test]
fn a_family_that_the_client_does_not_have_is_a_mismatch() {
    let (mut client, _) = Scripted::allocated(config());
    for (family, code) in [(V4, 0), (V6, 443), (9, 443)] {
        let answer = client.refresh(|w| {
            w.first_of_four(REQUESTED_ADDRESS_FAMILY, family);
        });
        assert_eq!(answer.code(), code);
    }
}

#[test]
fn one_family_of_two_is_refreshed_alone() {
    let (mut client, relayed) = dual();
    client.advance(500);
    client.refresh(|w| {
        w.first_of_four(REQUESTED_ADDRESS_FAMILY, V6);
    });
    client.server.handle_timeout(at(600));
    assert!(!client.server.is_open(relayed[0]) && client.server.is_open(relayed[1]));
    let allocation = client.server.allocations().next().unwrap();
    assert_eq!(allocation.relayed, [(relayed[1], at(1100))]);
    client.now = at(600);
    client.refresh(|_| {});
    assert_eq!(client.server.poll_timeout(), Some(at(1200)));
}

/// "Deleting a single allocation destroys any permissions or channels associated with that
/// particular allocation; it MUST NOT affect any permissions or channels associated with
/// allocations for the other address family."
#[test]
fn one_family_of_two_is_deleted_with_what_belongs_to_it() {
    for (family, kept) in [(V4, 1), (V6, 0)] {
        let (mut client, relayed) = dual();
        let answer = client.refresh(|w| {
            w.first_of_four(REQUESTED_ADDRESS_FAMILY, family).u32(LIFETIME, 0);
        });
        assert_eq!(answer.code(), 0);
        let peer = [addr(super::PEER), addr(super::PEER_V6)][kept];
        let channel = [0x4000, 0x4001][kept];
        let allocation = client.server.allocations().next().unwrap();
        assert_eq!(allocation.relayed, [(relayed[kept], at(600))]);
        assert_eq!(allocation.permissions, [peer.ip()]);
        assert_eq!(allocation.channels, [(channel, peer)]);
        let gone = client.refresh(|w| {
            w.first_of_four(REQUESTED_ADDRESS_FAMILY, family);
        });
        assert_eq!(gone.code(), 443);
    }
}

#[test]
fn without_a_family_both_are_deleted() {
    let (mut client, _) = dual();
    client.refresh(|w| {
        w.u32(LIFETIME, 0);
    });
    assert_eq!(client.server.allocations().count(), 0);
}

#[test]
fn nothing_but_allocate_works_without_an_allocation() {
    let mut client = Scripted::new(config());
    assert_eq!(client.refresh(|_| {}).code(), 437);
    assert_eq!(client.permit(super::PEER).code(), 437);
    assert_eq!(client.bind(0x4000, super::PEER).code(), 437);
}

#[test]
fn the_credentials_of_another_user_are_wrong_credentials() {
    let (mut client, relayed) = Scripted::allocated(config());
    client.login("bob", "another secret");
    let codes = [
        client.refresh(|w| {
            w.u32(LIFETIME, 0);
        }),
        client.permit(super::PEER),
        client.bind(0x4000, super::PEER),
    ]
    .map(|answer| answer.code());
    assert_eq!(codes, [441; 3]);
    assert_eq!(client.allocate(|_| {}).code(), 437);
    assert!(client.server.is_open(relayed));
    assert!(client.server.allocations().next().unwrap().permissions.is_empty());
}
