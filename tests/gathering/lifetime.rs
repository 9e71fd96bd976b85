//! What has to be refreshed, in virtual time.

use std::time::Duration;

use frazil::sim::TurnMethod;
use frazil::{Event, ServerCredentials};

use super::net::*;

/// Must hold: a relayed session stays up for an hour, with all that has to be refreshed.
#[test]
fn a_relayed_session_lives_for_an_hour() {
    let mut net = Net::pair(1);
    net.servers[0].behaviour_mut().nonce_lifetime = secs(300);
    net.ask(0, turn(0));
    net.ask(1, turn(0));
    net.start();
    net.run_for(secs(5));
    let before = net.servers[0].stats().clone();
    for _ in 0..60 {
        net.run_for(secs(60));
        net.assert_flows();
    }
    let stats = net.servers[0].stats();
    let more = |method| stats.successes(method) - before.successes(method);
    assert!(more(TurnMethod::Refresh) >= 6, "{stats:?}");
    assert!(more(TurnMethod::CreatePermission) >= 12, "{stats:?}");
    assert!(more(TurnMethod::ChannelBind) >= 6, "{stats:?}");
    assert!(stats.rejected(frazil::sim::TurnRejected::Error(438)) >= 6, "{stats:?}");
    assert_eq!(stats.expired(), 0);
    assert_eq!((net.lost(0), net.lost(1)), (0, 0));
    assert!(!net.has_told(0, |event| matches!(event, Event::ConsentLost { .. })));
}

/// W14: RFC 8656 §9. Data does not refresh a permission, so it is refreshed whether data flows or not.
#[test]
fn permissions_are_refreshed_by_time() {
    for busy in [false, true] {
        let mut net = Net::relayed(&[0]);
        net.sent.clear();
        for _ in 0..60 {
            if busy {
                net.assert_flows();
            }
            net.run_for(secs(10));
        }
        let mut last = net.asked(CREATE_PERMISSION)[0].at;
        for sent in net.asked(CREATE_PERMISSION) {
            assert!(sent.at - last < secs(300));
            last = sent.at;
        }
        assert!(net.asked(CREATE_PERMISSION).len() >= 2);
        net.assert_flows();
    }
}

/// W5, W6: RFC 8656 §7.3, §8. The lifetime that the server says counts.
#[test]
fn a_short_lifetime_is_refreshed_in_time() {
    let mut net = Net::pair(1);
    let behaviour = net.servers[0].behaviour_mut();
    behaviour.max_lifetime = secs(120);
    behaviour.default_lifetime = secs(120);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(600));
    let times: Vec<_> = net.asked(REFRESH).iter().map(|sent| sent.at).collect();
    assert!((8..=12).contains(&times.len()), "{times:?}");
    net.assert_flows();
    assert_eq!(net.lost(0), 0);
}

/// draft-uberti-behave-turn-rest-00 §2.2: new credentials are asked for before the old ones end, and
/// the session goes on with them.
#[test]
fn a_session_outlives_its_credentials() {
    let mut net = Net::pair(1);
    let now = net.now;
    let old = ServerCredentials::new("alice", "secret").unwrap().until(now + secs(600));
    let id = net.ask(0, turn(0).with_credentials(old));
    net.start();
    net.run_for(secs(5));
    net.run_until(ms(599_000));
    let expiring = net.nodes[0].events.iter().find_map(|(at, event)| match event {
        Event::CredentialsExpiring { server, at: end } if *server == id => Some((*at, *end)),
        _ => None,
    });
    let (told, end) = expiring.expect("the caller is told");
    assert_eq!(end, ms(600_000));
    assert!(told < end && end - told >= secs(60));
    let new = ServerCredentials::new("alice", "secret").unwrap().until(net.now + secs(7200));
    assert!(net.call(0, |agent, now| agent.update_server_credentials(now, id, new)));
    for _ in 0..20 {
        net.run_for(secs(60));
        net.assert_flows();
    }
    assert_eq!(net.lost(0), 0);
    let unknown = net.call(0, |agent, now| agent.remove_server(now, id));
    assert!(unknown);
    let other = ServerCredentials::new("alice", "secret").unwrap();
    assert!(!net.call(0, |agent, now| agent.update_server_credentials(now, id, other)));
}

/// A clock that jumps is one late timeout: what has expired meanwhile is asked for anew.
#[test]
fn a_suspended_machine_comes_back() {
    let mut net = Net::relayed(&[0]);
    let at = net.now + Duration::from_secs(4000);
    net.now = at;
    net.run_for(secs(60));
    assert_eq!(net.relays(0).len(), 1);
    assert_eq!(net.allocations(0), 1);
}
