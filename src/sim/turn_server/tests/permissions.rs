//! RFC 8656 §9, §10: permissions.

use super::{Answer, Scripted, addr, config};
use crate::stun::attribute::XOR_PEER_ADDRESS;
use crate::stun::method;

fn permit_all(client: &mut Scripted, peers: &[&str]) -> Answer {
    client.call(method::CREATE_PERMISSION, |w| {
        for peer in peers {
            w.xor_address(XOR_PEER_ADDRESS, addr(peer));
        }
    })
}

fn permitted(client: &Scripted) -> Vec<String> {
    let allocation = client.server.allocations().next().unwrap();
    allocation.permissions.iter().map(ToString::to_string).collect()
}

#[test]
fn several_permissions_come_with_one_request_and_ports_do_not_count() {
    let (mut client, _) = Scripted::allocated(config());
    let answer = permit_all(&mut client, &["203.0.113.2:1", "203.0.113.1:0", "203.0.113.2:65535"]);
    assert_eq!(answer.code(), 0);
    assert!(client.trusts(&answer));
    assert_eq!(permitted(&client), ["203.0.113.1", "203.0.113.2"]);
}

#[test]
fn without_a_peer_or_with_a_malformed_one_it_is_a_bad_request() {
    let (mut client, _) = Scripted::allocated(config());
    assert_eq!(permit_all(&mut client, &[]).code(), 400);
    let answer = client.call(method::CREATE_PERMISSION, |w| {
        w.xor_address(XOR_PEER_ADDRESS, addr(super::PEER))
            .attribute(XOR_PEER_ADDRESS, &[0, 1, 2, 3, 4]);
    });
    assert_eq!(answer.code(), 400);
    assert!(permitted(&client).is_empty(), "all or none");
}

#[test]
fn a_peer_of_another_family_is_a_mismatch() {
    let (mut client, _) = Scripted::allocated(config());
    assert_eq!(permit_all(&mut client, &[super::PEER, super::PEER_V6]).code(), 443);
    assert!(permitted(&client).is_empty(), "all or none");
}

#[test]
fn peers_that_are_not_allowed_are_forbidden() {
    let mut config = config();
    config.denied_peers.push("203.0.113.66".parse().unwrap());
    let (mut client, _) = Scripted::allocated(config);
    for peer in ["203.0.113.66", "127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255"] {
        let answer = permit_all(&mut client, &[super::PEER, &format!("{peer}:9")]);
        assert_eq!(answer.code(), 403, "{peer}");
    }
    assert!(permitted(&client).is_empty(), "all or none");
}

#[test]
fn more_permissions_than_there_may_be_are_beyond_capacity() {
    let mut config = config();
    config.limits.permissions = 2;
    let (mut client, _) = Scripted::allocated(config);
    assert_eq!(client.permit("203.0.113.1:9").code(), 0);
    assert_eq!(permit_all(&mut client, &["203.0.113.2:9", "203.0.113.3:9"]).code(), 508);
    assert_eq!(permitted(&client), ["203.0.113.1"]);
    assert_eq!(permit_all(&mut client, &["203.0.113.1:9", "203.0.113.2:9"]).code(), 0);
    assert_eq!(client.permit("203.0.113.3:9").code(), 508);
    assert_eq!(client.bind(0x4000, "203.0.113.3:9").code(), 508);
    assert_eq!(client.permit("203.0.113.2:9").code(), 0, "a refresh needs no room");
    client.advance(300);
    assert_eq!(client.permit("203.0.113.3:9").code(), 0, "the others have expired");
    assert_eq!(permitted(&client), ["203.0.113.3"]);
}

/// "The Permission Lifetime MUST be 300 seconds (= 5 minutes)."
#[test]
fn a_permission_lasts_five_minutes_from_its_last_refresh() {
    let (mut client, _) = Scripted::allocated(config());
    client.permit(super::PEER);
    client.advance(200);
    client.permit(super::PEER);
    client.advance(299);
    client.server.handle_timeout(client.now);
    assert_eq!(permitted(&client).len(), 1);
    client.advance(1);
    client.server.handle_timeout(client.now);
    assert!(permitted(&client).is_empty());
}
