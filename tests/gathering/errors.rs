//! Errors of servers, each code at each method: what the caller is told, that other servers go on,
//! and that an allocation which is good stays.

use std::time::Duration;

use frazil::sim::{TurnMethod, TurnRefusal, TurnRejected, TurnTamper};
use frazil::{
    AgentConfig, CandidateKind, ConnectionState, Event, IceAgent, RelayFamilies, Role,
    ServerCredentials, ServerFailure,
};

use super::net::*;

const L: &str = "10.0.0.1:1000";
const CODES: [u16; 13] = [300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 486, 500, 508];

/// Allocate: an error of the code, a candidate of the other server, and an end of gathering.
#[test]
fn each_error_to_allocate_is_told_and_harms_no_other_server() {
    for code in CODES {
        let mut config = AgentConfig::new(Role::Controlling);
        config.timing.gathering_timeout = secs(30);
        let mut net = Net::alone_with(config, &[L], 2);
        net.servers[0].refuse(TurnMethod::Allocate, TurnRefusal::new(code), u32::MAX);
        net.ask(0, turn(0));
        net.ask(0, turn(1));
        net.gather(0);
        net.run_for(secs(31));
        assert_eq!(net.errors(0), [code]);
        assert_eq!(net.relays(0).len(), 1, "{code}");
        assert_eq!(net.relays(0)[0].ip(), listen(1).ip());
        assert!(net.complete_at(0).is_some(), "{code}");
        assert_eq!(net.allocations(0), 0);
        // W10, W11: nobody is asked again who has said no, at least not soon.
        net.sent.clear();
        net.run_for(secs(25));
        let again = net.sent.iter().filter(|sent| sent.to() == Some(listen(0)));
        assert!(again.filter(|sent| sent.request() == Some(ALLOCATE)).count() == 0, "{code}");
    }
}

/// Refresh: what is there stays until it expires, unless the server says that it is not there; then
/// there is another one.
#[test]
fn each_error_to_refresh_leaves_a_path() {
    for code in CODES {
        let mut net = Net::relayed(&[0]);
        let gone = matches!(code, 437 | 441);
        let times = if gone { 1 } else { 3 };
        net.servers[0].refuse(TurnMethod::Refresh, TurnRefusal::new(code), times);
        let mut broken = 0;
        for _ in 0..120 {
            net.run_for(secs(10));
            broken += usize::from(!net.flows());
        }
        assert_eq!(net.lost(0), usize::from(gone), "{code}");
        assert!(broken <= if gone { 3 } else { 0 }, "{code}: {broken}");
        net.assert_flows();
        assert_eq!(net.relays(0).len(), 1);
    }
}

/// CreatePermission: 437 and 441 say that the allocation is gone; any other refusal is one for these
/// peers. W16: what was granted before stays, and other permissions do.
#[test]
fn each_error_to_a_permission_concerns_that_peer() {
    for code in CODES {
        let mut net = Net::pair(2);
        net.servers[0].refuse(TurnMethod::CreatePermission, TurnRefusal::new(code), 1);
        net.ask(0, turn(0));
        net.ask(0, turn(1));
        net.start();
        net.run_for(secs(30));
        assert_eq!(net.states(), [ConnectionState::Completed; 2], "{code}");
        net.assert_flows();
        assert_eq!(net.relays(0).len(), 2, "{code}");
        let gone = matches!(code, 437 | 441);
        assert_eq!(net.lost(0), usize::from(gone), "{code}");
    }
}

/// W16: a permission that is not renewed does not take another one along.
#[test]
fn a_refused_renewal_leaves_the_other_permissions() {
    let mut net = Net::relayed(&[0]);
    for code in [400, 403, 500] {
        net.servers[0].refuse(TurnMethod::CreatePermission, TurnRefusal::new(code), 1);
        for _ in 0..30 {
            net.run_for(secs(10));
        }
        assert_eq!(net.lost(0), 0, "{code}");
    }
}

/// ChannelBind: data goes on in indications. W22: 400 there means that both sides do not agree on
/// what is allocated, so it is deleted and asked for anew.
#[test]
fn each_error_to_a_channel_leaves_indications() {
    for code in CODES {
        let mut net = Net::pair(1);
        net.servers[0].refuse(TurnMethod::ChannelBind, TurnRefusal::new(code), 1);
        net.ask(0, turn(0));
        net.start();
        net.run_for(secs(45));
        let gone = matches!(code, 400 | 437 | 441);
        assert_eq!(net.lost(0), usize::from(gone), "{code}");
        net.assert_flows();
        assert_eq!(net.relays(0).len(), 1, "{code}");
    }
}

/// U16: RFC 8489 §9.2.5. A stale nonce is answered with the new one, at every method, and the loop
/// that a server makes of it has an end.
#[test]
fn stale_nonces_are_answered_but_not_for_ever() {
    for method in [
        TurnMethod::Allocate,
        TurnMethod::Refresh,
        TurnMethod::CreatePermission,
        TurnMethod::ChannelBind,
    ] {
        let mut net = Net::pair(1);
        net.servers[0].refuse(method, TurnRefusal::new(438), 2);
        net.ask(0, turn(0));
        net.start();
        net.run_for(secs(600));
        assert_eq!((net.lost(0), net.errors(0)), (0, vec![]), "{method:?}");
        net.assert_flows();

        let mut net = Net::pair(1);
        net.servers[0].refuse(method, TurnRefusal::new(438), u32::MAX);
        net.ask(0, turn(0));
        net.start();
        net.run_for(secs(if method == TurnMethod::Refresh { 590 } else { 50 }));
        let stale = net.servers[0].stats().rejected(TurnRejected::Error(438));
        assert!((1..=40).contains(&stale), "{method:?}: {stale}");
    }
}

/// U15: RFC 8489 §9.2.5. Credentials that are wrong are tried once.
#[test]
fn wrong_credentials_are_tried_once() {
    let mut net = Net::alone(&[L], 1);
    let wrong = ServerCredentials::new("alice", "wrong").unwrap();
    let id = net.ask(0, turn(0).with_credentials(wrong));
    net.gather(0);
    net.run_for(secs(300));
    assert_eq!(net.transactions().len(), 2);
    assert_eq!(net.errors(0), [401]);
    let told = |event: &Event| {
        matches!(event, Event::CandidateError { server, local: Some(_), code: 401,
            failure: ServerFailure::Refused { code: 401, .. } } if *server == id)
    };
    assert!(net.has_told(0, told), "{:?}", net.nodes[0].events);
}

/// W9: RFC 8656 §7.4. Three ports are tried, and then there is a rest.
#[test]
fn a_used_five_tuple_is_changed_twice() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.continual = true;
    let mut net = Net::alone_with(config, &[L], 1);
    net.mapped.insert(addr(L), addr("203.0.113.1:40000"));
    net.servers[0].refuse(TurnMethod::Allocate, TurnRefusal::new(437), u32::MAX);
    net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(100));
    let mut ports: Vec<_> = net.asked(ALLOCATE).iter().map(|sent| sent.from().unwrap()).collect();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    assert_eq!(net.errors(0), [437]);
    let ids: std::collections::BTreeSet<_> = net.asked(ALLOCATE).iter().map(|s| s.id()).collect();
    assert_eq!(ids.len(), net.asked(ALLOCATE).len());
    let count = ids.len();
    net.servers[0].refuse(TurnMethod::Allocate, TurnRefusal::new(437), 0);
    net.run_for(secs(60));
    assert!(net.asked(ALLOCATE).len() > count, "it has rested two minutes");
    assert_eq!(net.relays(0).len(), 1);
    // What another socket is mapped to is not what the host is mapped to.
    net.run_for(secs(60));
    assert_eq!(net.reflexive(), []);
}

/// A session over a socket that was opened for it.
#[test]
fn a_session_may_use_another_port() {
    let mut net = Net::pair(1);
    net.servers[0].refuse(TurnMethod::Allocate, TurnRefusal::new(437), 1);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(10));
    net.assert_flows();
    let from = net.asked(CHANNEL_BIND)[0].from().unwrap();
    assert_ne!(from, addr(L));
    net.run_for(secs(1200));
    net.assert_flows();
    net.call(0, IceAgent::close);
    net.run_for(secs(1));
    assert!(net.has_told(0, |event| matches!(event, Event::CloseSocket { .. })));
    assert_eq!(net.allocations(0), 0);
}

/// A socket that is not to be had fails that server.
#[test]
fn a_socket_that_is_not_to_be_had_is_an_error() {
    let mut net = Net::alone(&[L], 2);
    net.opens = false;
    net.servers[0].refuse(TurnMethod::Allocate, TurnRefusal::new(437), u32::MAX);
    net.ask(0, turn(0));
    net.ask(0, turn(1));
    net.gather(0);
    net.run_for(secs(2));
    let socket = net.nodes[0].events.iter().find_map(|(_, event)| match event {
        Event::OpenSocket { socket, .. } => Some(*socket),
        _ => None,
    });
    net.call(0, |agent, now| agent.socket_failed(now, socket.unwrap()));
    assert_eq!((net.errors(0), net.relays(0).len()), (vec![701], 1));
    assert!(net.complete_at(0).is_some());
}

/// W13: RFC 8656 §7.4. Without DONT-FRAGMENT, if the server does not know it.
#[test]
fn dont_fragment_is_given_up() {
    let mut net = Net::alone(&[L], 0);
    let mut config = server(0);
    config.dont_fragment = false;
    net.add_server(config);
    net.ask(0, turn(0).with_dont_fragment());
    net.gather(0);
    net.run_for(secs(2));
    let asked: Vec<bool> =
        net.asked(ALLOCATE).iter().map(|sent| sent.get(0x001a).is_some()).collect();
    assert_eq!((asked.first(), asked.last()), (Some(&true), Some(&false)));
    assert_eq!((net.relays(0).len(), net.errors(0)), (1, vec![]));
}

/// U21: RFC 8489 §10. Another server is asked instead, with the same credentials.
#[test]
fn another_server_may_be_named() {
    let mut net = Net::pair(2);
    let elsewhere = TurnRefusal::try_alternate(listen(1));
    net.servers[0].refuse(TurnMethod::Allocate, elsewhere, u32::MAX);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(5));
    assert_eq!(net.relays(0)[0].ip(), listen(1).ip());
    assert_eq!((net.allocations(0), net.allocations(1)), (0, 1));
    net.assert_flows();
    net.run_for(secs(1200));
    net.assert_flows();
}

/// U21: one without integrity is not followed, unless the caller wants that.
#[test]
fn who_names_another_server_has_to_prove_it() {
    for follows in [false, true] {
        let mut net = Net::alone(&[L], 2);
        let elsewhere = TurnRefusal::try_alternate(listen(1)).unauthenticated();
        net.servers[0].refuse(TurnMethod::Allocate, elsewhere, u32::MAX);
        let server = if follows { turn(0).with_unauthenticated_redirects() } else { turn(0) };
        net.ask(0, server);
        net.gather(0);
        net.run_for(secs(5));
        assert_eq!(net.allocations(1), usize::from(follows));
        assert_eq!(net.errors(0), if follows { vec![] } else { vec![300] });
    }
}

/// U21: servers that name each other.
#[test]
fn servers_that_name_each_other_are_left_alone() {
    for connections in [false, true] {
        let mut net = Net::alone(&[L], 4);
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let elsewhere = TurnRefusal::try_alternate(listen(to));
            net.servers[from].refuse(TurnMethod::Allocate, elsewhere, u32::MAX);
        }
        net.ask(0, if connections { turn_tcp(0) } else { turn(0) });
        net.ask(0, turn(3));
        net.gather(0);
        net.run_for(secs(60));
        assert_eq!((net.errors(0), net.relays(0).len()), (vec![300], 1));
        assert!(net.asked(ALLOCATE).len() <= 8);
        assert!(net.complete_at(0).is_some());
    }
}

/// Lifetimes that cannot be, and the longest that can be said.
#[test]
fn impossible_lifetimes() {
    let mut net = Net::alone(&[L], 2);
    net.servers[0].behaviour_mut().told_lifetime = Some(0);
    net.ask(0, turn(0));
    net.ask(0, turn(1));
    net.gather(0);
    net.run_for(secs(2));
    assert_eq!((net.errors(0), net.relays(0).len()), (vec![701], 1));
    assert_eq!(net.allocations(0), 0, "what was refused is deleted");

    let mut net = Net::pair(1);
    net.servers[0].behaviour_mut().told_lifetime = Some(u32::MAX);
    net.servers[0].behaviour_mut().default_lifetime = secs(3600);
    net.ask(0, turn(0));
    net.start();
    for _ in 0..120 {
        net.run_for(secs(60));
        net.assert_flows();
    }
    assert_eq!(net.lost(0), 0, "an hour is the longest that is believed");
}

/// A good allocation stays whatever comes in answer to its refresh, and each of it is counted.
#[test]
fn a_good_allocation_outlives_bad_answers() {
    for (tamper, lifetime) in [
        (Some(TurnTamper::Truncate(7)), None),
        (Some(TurnTamper::Truncate(24)), None),
        (Some(TurnTamper::ForeignKey), None),
        (Some(TurnTamper::NoIntegrity), None),
        (Some(TurnTamper::OtherTransaction), None),
        (Some(TurnTamper::Noise), None),
        (None, Some(0)),
    ] {
        let mut net = Net::relayed(&[0]);
        net.run_until(ms(535_000));
        let ignored =
            |net: &Net| net.agent().counters().all_ignored().map(|(_, count)| count).sum::<u64>();
        let before = ignored(&net);
        net.servers[0].behaviour_mut().tamper = tamper;
        net.servers[0].behaviour_mut().told_lifetime = lifetime;
        net.run_for(secs(20));
        assert!(ignored(&net) > before, "{tamper:?} {lifetime:?}");
        net.servers[0].behaviour_mut().tamper = None;
        net.servers[0].behaviour_mut().told_lifetime = None;
        net.assert_flows();
        net.run_for(secs(120));
        net.assert_flows();
        assert_eq!(net.lost(0), 0, "{tamper:?} {lifetime:?}");
    }
}

/// A server that answers from another address is not heard.
#[test]
fn answers_from_elsewhere_are_not_taken() {
    let mut net = Net::alone(&[L], 1);
    net.servers[0].behaviour_mut().answer_from = Some(addr("198.51.100.77:3478"));
    net.ask(0, turn(0));
    net.ask(0, stun(0));
    net.gather(0);
    net.run_for(secs(20));
    assert_eq!(net.agent().local_candidates().count(), 1);
    assert_eq!(net.errors(0), [701, 701]);
}

/// W11: 440 to the only family that was asked for.
#[test]
fn a_family_that_is_not_there_is_an_error() {
    let mut net = Net::alone(&[L], 1);
    net.ask(0, turn(0).with_relay_families(RelayFamilies::Ipv6));
    net.gather(0);
    net.run_for(secs(300));
    assert_eq!((net.errors(0), net.relays(0).len()), (vec![440], 0));
    assert_eq!(net.transactions().len(), 2);
}

/// A lossy way to the server costs time and nothing else.
#[test]
fn losses_are_repeated() {
    let mut net = Net::pair(1);
    net.servers[0].behaviour_mut().request_loss = frazil::sim::Probability::percent(30);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(20));
    let relayed = net.candidates(0, CandidateKind::Relayed);
    assert_eq!(relayed.len(), 1);
    for _ in 0..30 {
        net.run_for(secs(60) + Duration::from_millis(7));
    }
    assert_eq!(net.lost(0), 0);
    net.assert_flows();
}
