//! Servers that send their clients elsewhere (RFC 8489 §10).

use super::super::Fact;
use super::*;
use crate::gather::{Rejected, ServerFailure};
use crate::sim::{TurnMethod, TurnRefusal};
use crate::stun::attribute::{USERHASH, USERNAME};
use crate::stun::{Class, Writer};

const SECOND: &str = "198.51.100.2:3478";

/// A server that listens at several addresses, so that a client can be sent from one to another.
fn many() -> TurnServerConfig {
    let mut config = server();
    config.listen =
        (1..=6).map(|last| SocketAddr::new([198, 51, 100, last].into(), 3478)).collect();
    config
}

fn sent_elsewhere(refusal: TurnRefusal, times: u32) -> World {
    let mut world = World::new(client(), many());
    world.server.refuse(TurnMethod::Allocate, refusal, times);
    world
}

fn to(server: &str) -> TurnRefusal {
    TurnRefusal::try_alternate(addr(server))
}

fn is_refused(world: &World) -> bool {
    matches!(world.facts.last(), Some(Fact::Failed { failure, retry: None })
        if failure.code() == Some(300))
}

/// U21
#[test]
fn an_authentic_redirection_is_followed_with_the_same_credentials() {
    let mut world = sent_elsewhere(to(SECOND), 1);
    world.run(2);
    let server = addr(SECOND);
    assert_eq!(world.facts[0], Fact::AlternateServer { server, domain: None });
    assert_eq!(world.client.server(), server);
    assert!(world.server.is_open(world.relayed()));
    let third = world.sent[2].scan();
    assert_eq!((third.find(USERNAME), third.find(USERHASH)), (None, None), "a first request");
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.run(1);
    world.assert_relays(addr(PEER));
}

/// U21
#[test]
fn a_redirection_by_anybody_is_followed_if_the_owner_says_so() {
    for follow_unauthenticated in [false, true] {
        let config = AllocationConfig { follow_unauthenticated, ..client() };
        let mut world = World::new(config, many());
        world.server.refuse(TurnMethod::Allocate, to(SECOND).unauthenticated(), 1);
        world.run(2);
        assert_eq!(is_refused(&world), !follow_unauthenticated);
        assert_eq!(!world.client.relayed().is_empty(), follow_unauthenticated);
    }
}

/// U21
#[test]
fn a_redirection_by_anybody_is_nothing_once_credentials_were_sent() {
    let config = AllocationConfig { follow_unauthenticated: true, ..client() };
    let mut world = World::new(config, many());
    world.server.behaviour_mut().response_delay = Duration::from_millis(100);
    world.run_until(Timestamp::from_millis(150));
    let sent = world.sent.last().unwrap().clone();
    assert!(sent.scan().has_integrity_sha256());
    let mut lie = Vec::new();
    let mut writer =
        Writer::new(&mut lie, Class::Error, sent.method(), sent.scan().transaction_id());
    writer.error_code(300, "").alternate_server(addr(SECOND));
    writer.finish();
    world.give_client(addr(LISTEN), &lie);
    assert_eq!(world.client.rejections().of(Rejected::Unauthenticated), 1);
    world.run(2);
    assert_eq!(world.client.server(), addr(LISTEN));
    assert!(world.server.is_open(world.relayed()));
}

/// U21
#[test]
fn two_servers_that_name_each_other_are_left() {
    let mut world = sent_elsewhere(to(SECOND), 1);
    world.run_until(at(0) + TA);
    world.server.refuse(TurnMethod::Allocate, to(LISTEN), 1);
    world.run(5);
    assert!(is_refused(&world), "{:?}", world.facts);
    assert_eq!(world.client.server(), addr(SECOND));
}

/// U21
#[test]
fn a_chain_of_servers_ends_after_three() {
    let mut world = World::new(client(), many());
    for hop in 2..=5 {
        let next = format!("198.51.100.{hop}:3478");
        world.server.refuse(TurnMethod::Allocate, to(&next), 1);
        let before = world.facts.len();
        while world.facts.len() == before {
            world.run_until(world.now + TA);
        }
    }
    let hops = world.facts.iter().filter(|fact| matches!(fact, Fact::AlternateServer { .. }));
    assert_eq!(hops.count(), 3);
    assert!(is_refused(&world));
}

/// U21
#[test]
fn a_server_of_another_family_or_of_nobody_is_not_followed() {
    for server in
        ["[2001:db8::1]:3478", "127.0.0.1:3478", "0.0.0.0:3478", "224.0.0.1:3478", "198.51.100.2:0"]
    {
        let mut world = sent_elsewhere(to(server), 1);
        world.run(2);
        assert!(is_refused(&world), "{server}");
    }
    let both = to("[2001:db8::1]:3478").with_other_family(addr(SECOND));
    let mut world = sent_elsewhere(both, 1);
    world.run(2);
    assert_eq!(world.client.server(), addr(SECOND));
}

/// U21: over TLS the name of the certificate may change with the server.
#[test]
fn the_domain_of_the_other_server_is_told() {
    let config = AllocationConfig { reliable: true, ..client() };
    let mut world = World::new(config, many());
    world.connect(1);
    world.server.refuse(TurnMethod::Allocate, to(SECOND).with_domain("turn.example.org"), 1);
    world.run(2);
    let domain = Some("turn.example.org".into());
    assert_eq!(world.facts, [Fact::AlternateServer { server: addr(SECOND), domain }]);
    let asked = world.sent.len();
    world.run(60);
    assert_eq!(world.sent.len(), asked, "it waits for the other connection");
    world.connect(2);
    world.run(2);
    assert!(world.server.is_open(world.relayed()));
    // What cannot be a name is not told.
    let mut world = sent_elsewhere(to(SECOND).with_domain("a b"), 1);
    world.run(2);
    assert!(is_refused(&world));
}

/// A redirection in answer to anything else is a failure like any other.
#[test]
fn an_allocation_that_there_is_stays_where_it_is() {
    let mut world = World::allocated();
    world.server.refuse(TurnMethod::CreatePermission, to(SECOND), 1);
    world.client.permit(world.now, addr(PEER).ip()).unwrap();
    world.run(5);
    assert_eq!(world.client.server(), addr(LISTEN));
    let [Fact::PermissionRefused { failure: ServerFailure::Refused { code: 300, .. }, .. }] =
        &world.facts[..]
    else {
        panic!("{:?}", world.facts)
    };
}

/// U21: over DTLS, which loses datagrams but has connections, the other server is asked when there is
/// one to it.
#[test]
fn the_other_server_is_asked_over_a_connection_of_its_own() {
    let mut world = World::new(AllocationConfig { connects: true, ..client() }, many());
    world.server.refuse(TurnMethod::Allocate, to(SECOND), 1);
    world.client.connected(world.now);
    world.run(2);
    assert_eq!(world.facts, [Fact::AlternateServer { server: addr(SECOND), domain: None }]);
    assert_eq!((world.sent.len(), world.client.slot_at()), (2, None));
    world.client.connected(world.now);
    world.run(2);
    assert!(world.server.is_open(world.relayed()));
}
