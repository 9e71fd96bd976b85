//! Sessions through relays: permissions, channels, both sides, and the loss of allocations.

use std::net::IpAddr;
use std::time::Duration;

use frazil::sim::{
    GatewayConfig, Mapping, NatConfig, Obtain, RealmId, TurnMethod, TurnRefusal, TurnServerConfig,
    World,
};
use frazil::{
    AgentConfig, CandidateKind, ConnectionState, Event, GatheringState, RelayFamilies, Role,
    Signalling,
};

use super::net::*;

const L: &str = "10.0.0.1:1000";

/// Two agents behind symmetric NATs have nothing but a relay.
#[test]
fn agents_behind_symmetric_nats_meet_at_a_relay() {
    let mut world = World::new([3; 32]);
    let server = TurnServerConfig::new(addr("198.51.100.1:3478")).with_user("alice", "secret");
    let server = world.add_server(server).unwrap();
    let mut agents = Vec::new();
    for (role, outside, inside) in [
        (Role::Controlling, "203.0.113.1", "192.168.1.2:5000"),
        (Role::Controlled, "203.0.113.2", "192.168.2.2:5000"),
    ] {
        let nat = NatConfig::new([outside.parse::<IpAddr>().unwrap()])
            .with_mapping(Mapping::AddressAndPortDependent);
        let network = world.network_mut();
        let realm = network.add_realm(RealmId::INTERNET, GatewayConfig::nat(nat)).unwrap();
        let host = network.add_host_in(realm).unwrap();
        let agent = world.add_agent_on(host, AgentConfig::new(role)).unwrap();
        world.add_socket(agent, addr(inside)).unwrap();
        world.obtain(agent, server, Obtain::Relayed).unwrap();
        agents.push(agent);
    }
    world.connect(agents[0], agents[1]).unwrap();
    for agent in &agents {
        world.start(*agent).unwrap();
    }
    world.run_until(ms(10_000)).unwrap();
    for (at, agent) in agents.iter().enumerate() {
        let lent = world.agent(*agent).unwrap();
        assert_eq!(lent.state(), ConnectionState::Completed, "{at}");
        let stream = lent.streams().next().unwrap();
        let pair = lent.selected_pair(stream, 1).unwrap();
        let kinds = [pair.local.kind, pair.remote.kind];
        assert!(kinds.contains(&CandidateKind::Relayed), "{kinds:?}");
        world.send(*agent, stream, 1, b"through the relay").unwrap();
    }
    world.run_until(ms(11_000)).unwrap();
    for agent in &agents {
        assert_eq!(world.received(*agent).collect::<Vec<_>>(), [b"through the relay"]);
    }
}

/// C6: RFC 8445 §7.2.1, RFC 8656 §9. No check goes to a peer before the server lets it pass.
#[test]
fn a_permission_comes_before_the_first_check() {
    let mut net = Net::relayed(&[0]);
    let server = net.servers[0].stats();
    assert_eq!(server.rejected(frazil::sim::TurnRejected::NoPermission), 0);
    assert_eq!(server.successes(TurnMethod::CreatePermission), 1);
    let asked = net.asked(CREATE_PERMISSION)[0].at;
    let sends = |sent: &&Sent| sent.agent == 0 && sent.bytes[..2] == SEND_INDICATION;
    let first = net.sent.iter().find(sends).unwrap().at;
    assert!(first >= asked + net.delay * 2, "a Send indication at {first:?}, asked at {asked:?}");
    net.assert_flows();
}

/// W14, W15: RFC 8656 §9. The port does not matter to a permission; several IPs go in one request.
#[test]
fn one_permission_serves_all_ports_of_an_address() {
    let mut net = Net::pair(1);
    for socket in ["10.0.1.1:2001", "10.0.1.1:2002", "10.0.1.2:2000", "10.0.1.3:2000"] {
        net.socket(1, socket);
    }
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(4));
    let peers: usize = net.asked(CREATE_PERMISSION).iter().map(|sent| peers(&sent.bytes)).sum();
    assert_eq!(net.servers[0].allocations().next().unwrap().permissions.len(), 3);
    // Every request is asked once, and once more if a permission came after it.
    assert!(peers <= 6, "{peers} addresses were asked for");
    net.assert_flows();
}

fn peers(bytes: &[u8]) -> usize {
    let mut at = 20;
    let mut count = 0;
    while at + 4 <= bytes.len() {
        count += usize::from(bytes[at..at + 2] == [0, 0x12]);
        let len = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        at += 4 + len.next_multiple_of(4);
    }
    count
}

/// N15, W20: RFC 8445 §12.1. A channel is bound for the selected pair, not before; until its success
/// data goes in indications.
#[test]
fn a_channel_is_bound_after_selection() {
    let mut net = Net::pair(1);
    net.socket(1, "10.0.1.9:2000");
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(5));
    let selected = net.nodes[0]
        .events
        .iter()
        .find(|(_, event)| matches!(event, Event::SelectedPair { .. }))
        .unwrap()
        .0;
    let binds = net.asked(CHANNEL_BIND);
    assert!(binds.iter().all(|sent| sent.at >= selected));
    assert_eq!(net.servers[0].stats().successes(TurnMethod::ChannelBind), 1);
    let bound = binds.last().unwrap().at;
    let channels = net.sent.iter().filter(|sent| sent.agent == 0 && sent.is_channel_data());
    let early = channels.filter(|sent| sent.at < bound + net.delay * 2);
    assert_eq!(early.count(), 0);
}

/// The relay of either side does.
#[test]
fn one_side_needs_a_relay() {
    for of in [&[0][..], &[1], &[0, 1]] {
        let net = Net::relayed(of);
        assert_eq!(net.states(), [ConnectionState::Completed; 2], "{of:?}");
    }
}

/// RFC 8656 §7.2: both families in one allocation, each of which is a candidate.
#[test]
fn both_families_come_of_one_allocation() {
    let mut net = Net::alone(&[L], 0);
    let mut config = server(0);
    config.relay_ipv6 = Some("2001:db8::1".parse().unwrap());
    net.add_server(config);
    net.ask(0, turn(0).with_relay_families(RelayFamilies::Both));
    net.gather(0);
    net.run_for(secs(1));
    let relays = net.relays(0);
    assert_eq!(relays.iter().filter(|addr| addr.is_ipv6()).count(), 1, "{relays:?}");
    assert_eq!((relays.len(), net.allocations(0)), (2, 1));
    // One of them goes, the other one stays.
    let v6 = net.agent().local_candidates().find(|local| local.addr.is_ipv6()).unwrap().id;
    net.call(0, |agent, now| agent.remove_local(now, v6)).unwrap();
    net.run_for(secs(1));
    let held: Vec<_> = net.servers[0].allocations().next().unwrap().relayed;
    assert_eq!(held.iter().map(|(addr, _)| *addr).collect::<Vec<_>>(), net.relays(0));
}

/// W4: RFC 8656 §7.3. Of two families one is refused: an error for that one, and a candidate.
#[test]
fn a_refused_family_is_an_error_and_no_obstacle() {
    let mut net = Net::alone(&[L], 1);
    net.ask(0, turn(0).with_relay_families(RelayFamilies::Both));
    net.gather(0);
    net.run_for(secs(1));
    assert_eq!((net.relays(0).len(), net.errors(0)), (1, vec![440]));
    assert_eq!(net.agent().gathering_state(), GatheringState::Complete);
}

/// The server forgets everything while it relays for one side, the other or both: without a call of
/// the application there is another allocation, and data flows through it.
#[test]
fn data_flows_again_when_the_server_has_lost_everything() {
    for of in [&[0][..], &[1], &[0, 1]] {
        let mut net = Net::relayed(of);
        let relays = |net: &Net| [net.relays(0), net.relays(1)];
        let before = relays(&net);
        let told: Vec<_> = net.nodes.iter().map(|node| node.events.len()).collect();
        net.call_server(0, frazil::sim::TurnServer::crash);
        let start = net.now;
        while !net.flows() {
            net.run_for(Duration::from_millis(100));
            assert!(net.now - start < secs(15), "{of:?} {:?}", net.states());
        }
        // An allocation that nothing uses is missed when it is to be refreshed.
        assert!(net.lost(0) + net.lost(1) > 0, "{of:?}");
        assert_ne!(relays(&net), before);
        for (agent, told) in told.into_iter().enumerate() {
            let events = &net.nodes[agent].events[told..];
            let calls = |event: &Event| matches!(event, Event::RestartNeeded);
            assert!(!events.iter().any(|(_, event)| calls(event)), "{of:?}: {events:#?}");
        }
    }
}

/// The candidate of the same address is there once, also when the server gives the same again.
#[test]
fn the_successor_of_a_lost_allocation_may_have_its_address() {
    let mut net = Net::pair(0);
    let mut config = server(0);
    config.relay_ports = 50_000..=50_000;
    net.add_server(config);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(5));
    net.call_server(0, frazil::sim::TurnServer::crash);
    net.run_for(secs(45));
    assert_eq!(net.relays(0), [addr("198.51.100.1:50000")]);
    net.assert_flows();
}

/// The server is back after a while only.
#[test]
fn a_server_that_was_away_is_asked_again() {
    let mut net = Net::relayed(&[0]);
    net.dead.insert(0);
    net.run_for(secs(700));
    assert!(net.lost(0) > 0);
    assert!(!net.flows());
    net.call_server(0, frazil::sim::TurnServer::crash);
    net.dead.clear();
    net.run_for(secs(1000));
    assert_eq!(net.relays(0).len(), 1);
    assert_eq!(net.allocations(0), 1);
}

/// R5: RFC 8445 §9. A restart keeps the allocations, and the data on them, whatever the server does
/// meanwhile.
#[test]
fn the_server_restarts_while_ice_does() {
    for crash in [false, true] {
        let mut net = Net::relayed(&[0, 1]);
        net.restart(|net| {
            if crash {
                net.call_server(0, frazil::sim::TurnServer::crash);
            }
        });
        net.run_for(secs(60));
        assert_eq!(net.states(), [ConnectionState::Completed; 2], "{crash}");
        if !crash {
            assert_eq!(net.lost(0) + net.lost(1), 0);
        }
        net.assert_flows();
    }
}

/// W27: RFC 8656 §5. Another local address is another 5-tuple, and has another allocation.
#[test]
fn a_socket_that_moves_has_another_allocation() {
    let mut net = Net::relayed(&[0]);
    let before = net.relays(0);
    let host =
        net.agent().local_candidates().find(|local| local.kind == CandidateKind::Host).unwrap().id;
    net.nodes[0].sockets.push(addr("10.0.9.9:1000"));
    net.call(0, |agent, now| agent.rebind_local(now, host, addr("10.0.9.9:1000"))).unwrap();
    net.run_for(secs(30));
    assert_ne!(net.relays(0), before);
    net.assert_flows();
}

/// A host that is gone takes its relayed candidates along.
#[test]
fn a_socket_that_is_gone_takes_its_allocation_along() {
    let mut net = Net::relayed(&[0]);
    let host =
        net.agent().local_candidates().find(|local| local.kind == CandidateKind::Host).unwrap().id;
    net.call(0, |agent, now| agent.remove_local(now, host)).unwrap();
    assert_eq!(net.agent().local_candidates().count(), 0);
    assert!(net.has_told(0, |event| *event == Event::RestartNeeded));
}

/// RFC 8445 §8.3.1: what is not used is freed, on the server as well; what carries a relayed path is
/// used.
#[test]
fn unused_allocations_are_freed_and_used_ones_keep_their_socket() {
    let config = |role| {
        let mut config = AgentConfig::new(role);
        config.release_candidates = true;
        config
    };
    let mut net = Net::pair_with(config, 2);
    net.ask(0, turn(0));
    net.ask(0, turn(1));
    net.start();
    net.run_for(secs(60));
    net.assert_flows();
    let used = net.agent().selected_pair(net.nodes[0].stream, 1).unwrap();
    let held: usize = (0..2).map(|server| net.allocations(server)).sum();
    let spare = net.relays(0).len();
    assert_eq!(held, spare, "one for each candidate that is left");
    assert!(net.agent().local_candidates().any(|local| local.kind == CandidateKind::Host));
    assert!(net.relays(0).contains(&used.local.base) || net.relays(0).is_empty());

    // With a direct path no relay is needed.
    let mut net = Net::pair_with(config, 1);
    net.direct = true;
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(60));
    net.assert_flows();
    let relays = net.relays(0).len();
    assert_eq!(net.allocations(0), relays);
}

/// What comes when the peer cannot be told any more is given back.
#[test]
fn an_allocation_that_comes_too_late_is_deleted() {
    let mut net = Net::pair(1);
    net.direct = true;
    net.servers[0].behaviour_mut().response_delay = secs(1);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(20));
    assert_eq!(net.states(), [ConnectionState::Completed; 2]);
    assert_eq!((net.relays(0).len(), net.allocations(0)), (0, 0));
    assert!(net.complete_at(0).is_some());
    net.sent.clear();
    net.run_for(secs(120));
    assert!(net.sent.iter().all(|sent| sent.to() != Some(listen(0))));
    // A restart may have it.
    net.servers[0].behaviour_mut().response_delay = secs(0);
    net.direct = false;
    net.restart(|_| ());
    net.run_for(secs(10));
    assert_eq!(net.relays(0).len(), 1);
    net.assert_flows();
}

/// G6: RFC 8445 §5.1.1.2. A relayed address that is a host candidate is none, and is not kept.
#[test]
fn a_relayed_address_that_is_a_host_candidate_is_none() {
    let mut net = Net::alone(&[L], 0);
    let mut config = server(0);
    config.relay_ipv4 = Some("10.0.0.1".parse().unwrap());
    config.relay_ports = 1000..=1000;
    net.add_server(config);
    net.call_server(0, |_| ());
    net.ask(0, turn(0));
    net.gather(0);
    // The server has the address of the host here: what it sends does not arrive by itself.
    net.run_for(secs(1));
    assert_eq!(net.relays(0), []);
}

const SEND_INDICATION: [u8; 2] = [0x00, 0x16];

/// A NAT forgets its mapping, so that the server sees the client at another address (RFC 8656 §5):
/// another allocation takes over, without a call of the application.
#[test]
fn data_flows_again_when_the_client_is_seen_elsewhere() {
    for (of, socket) in [(0, L), (1, "10.0.1.1:2000")] {
        let mut net = Net::relayed(&[of]);
        net.mapped.insert(addr(socket), addr("203.0.113.1:999"));
        let start = net.now;
        while !net.flows() {
            net.run_for(Duration::from_millis(100));
            assert!(
                net.now - start < secs(20),
                "{of}: {:?} {:#?}",
                net.states(),
                net.nodes[of].events
            );
        }
        assert_eq!(net.lost(of), 1);
        assert!(!net.has_told(of, |event| *event == Event::RestartNeeded));
    }
}

/// W16: a peer for which the server does not renew the permission is lost when that ends, and no
/// sooner; a restart asks again.
#[test]
fn a_permission_that_is_revoked_ends_the_path_in_its_time() {
    let mut net = Net::relayed(&[0]);
    let refusal = TurnRefusal::new(403);
    net.servers[0].refuse(TurnMethod::CreatePermission, refusal.clone(), u32::MAX);
    net.servers[0].refuse(TurnMethod::ChannelBind, refusal, u32::MAX);
    net.run_for(secs(280));
    net.assert_flows();
    net.run_for(secs(120));
    assert!(!net.flows());
    assert!(net.has_told(0, |event| matches!(event, Event::ConsentLost { .. })));
    for method in [TurnMethod::CreatePermission, TurnMethod::ChannelBind] {
        net.servers[0].refuse(method, TurnRefusal::new(403), 0);
    }
    net.restart(|_| ());
    net.run_for(secs(10));
    net.assert_flows();
}

/// With complete signalling the description has what servers gave.
#[test]
fn a_description_has_the_candidates_of_servers() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.signalling = Signalling::Complete;
    let mut net = Net::alone_with(config, &[L], 1);
    net.mapped.insert(addr(L), addr("203.0.113.1:40000"));
    net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(1));
    let description = net.call(0, frazil::IceAgent::take_description);
    assert!(description.end_of_candidates);
    let told: Vec<_> = description
        .candidates
        .iter()
        .map(|(_, candidate)| (candidate.kind, candidate.related))
        .collect();
    let mapped = Some(addr("203.0.113.1:40000"));
    assert_eq!(
        told,
        [
            (CandidateKind::Host, None),
            (CandidateKind::ServerReflexive, Some(addr(L))),
            (CandidateKind::Relayed, mapped),
        ]
    );
}

/// A path that was let go can be had again: the permission that it needs is asked for anew.
#[test]
fn a_path_that_was_left_can_be_had_again() {
    let mut net = Net::pair(1);
    net.direct = true;
    net.ask(0, turn(0));
    net.socket(1, "10.0.1.9:2000");
    net.start();
    net.run_for(secs(400));
    net.assert_flows();
    net.direct = false;
    net.restart(|_| ());
    net.run_for(secs(10));
    net.assert_flows();
}
