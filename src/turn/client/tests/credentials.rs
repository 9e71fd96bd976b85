//! Credentials that end (draft-uberti-rtcweb-turn-rest-00) and those that take their place.

use super::super::Fact;
use super::*;
use crate::sim::{TurnMethod, TurnRefusal, TurnUser};

const EPOCH: u64 = 1_700_000_000;

/// Valid for an hour, by their name.
fn rest() -> LongTermCredentials {
    let name = format!("{}:alice", EPOCH + 3600);
    LongTermCredentials::new(&name, "first").unwrap().with_expiry_in_username(at(0), EPOCH)
}

fn rest_server() -> TurnServerConfig {
    let mut config = server();
    config.users.push(TurnUser::new(&format!("{}:alice", EPOCH + 3600), "first"));
    config.users.push(TurnUser::new(&format!("{}:alice", EPOCH + 7200), "second"));
    config
}

#[test]
fn a_username_says_when_it_ends() {
    for (username, expires) in [
        ("1700000060:alice", Some(at(60))),
        ("1700000060", Some(at(60))),
        ("1600000000:alice", Some(at(0))),
        ("alice", None),
        ("alice:1700000060", None),
        ("99999999999999999999999:alice", None),
    ] {
        let credentials = LongTermCredentials::new(username, "x").unwrap();
        let credentials = credentials.with_expiry_in_username(at(0), EPOCH);
        assert_eq!(credentials.expires(), expires, "{username}");
    }
}

#[test]
fn what_cannot_be_a_name_or_a_password_is_refused() {
    for (username, password) in [("", "x"), ("x", ""), ("a\u{7}", "x"), (&"n".repeat(509)[..], "x")]
    {
        LongTermCredentials::new(username, password).unwrap_err();
    }
    let secret = LongTermCredentials::new("alice", "do not print").unwrap();
    assert!(!format!("{secret:?}").contains("print"));
}

#[test]
fn new_credentials_are_asked_for_two_minutes_before() {
    let mut world =
        World::new(AllocationConfig { credentials: Some(rest()), ..client() }, rest_server());
    world.run_until(at(3479));
    assert_eq!(world.facts.len(), 1, "{:?}", world.facts);
    world.run(2);
    assert_eq!(world.facts[1..], [Fact::CredentialsExpiring { at: at(3600) }]);
    let next = LongTermCredentials::new(&format!("{}:alice", EPOCH + 7200), "second").unwrap();
    let next = next.with_expiry_in_username(at(0), EPOCH);
    world.client.update_credentials(world.now, next);
    world.run_until(at(7081));
    assert_eq!(world.facts[2..], [Fact::CredentialsExpiring { at: at(7200) }]);
}

/// W26: what is allocated belongs to its username, for as long as the server takes that.
#[test]
fn another_username_waits_until_the_first_is_refused() {
    let mut world = World::permitted();
    let relayed = world.relayed();
    let bob = LongTermCredentials::new("bob", "another secret").unwrap();
    world.client.update_credentials(world.now, bob);
    world.run(1800);
    assert_eq!(world.relayed(), relayed);
    assert_eq!(world.facts, []);
    // Alice is no user any more. The server finds out that bob is not alice.
    world.server.refuse(TurnMethod::Refresh, TurnRefusal::new(401), 1);
    world.run(600);
    assert_eq!(world.errors(441), 1);
    assert!(matches!(&world.facts[0], Fact::Lost { failure, .. } if failure.code() == Some(441)));
    assert_eq!(world.facts[1..], [Fact::NeedsPort]);
    world.moves_to("192.0.2.1:5001");
    world.run(1);
    assert_eq!(world.server.allocations().last().unwrap().username.as_deref(), Some("bob"));
    world.assert_relays(addr(PEER));
}

/// A refusal that nothing can be done about is told, and tried again while there is time.
#[test]
fn credentials_that_are_refused_in_the_middle_are_missed() {
    let mut world = World::allocated();
    let relayed = world.relayed();
    world.server.refuse(TurnMethod::Refresh, TurnRefusal::new(401), 2);
    world.run(600);
    let expiring =
        world.facts.iter().filter(|fact| matches!(fact, Fact::CredentialsExpiring { .. }));
    assert_eq!(expiring.count(), 2);
    assert_eq!(world.relayed(), relayed);
    world.run(3600);
    assert_eq!(world.relayed(), relayed);
}
