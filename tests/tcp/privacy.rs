//! What candidates of TCP tell of this side, and to whom.

use std::net::IpAddr;
use std::sync::Arc;

use frazil::{
    AcceptError, AgentConfig, CandidateAddress, CandidateTransport, Event, LocalAddress, MdnsMode,
    Policies, Role, TcpType, TransportPolicy,
};

use crate::common::{addr, ms, plain};
use crate::script::{HERE, STRANGER, Script};

const NAME: &str = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9.local";

fn relay_only(role: Role) -> AgentConfig {
    let mut policies = Policies::default();
    policies.transport = TransportPolicy::Relay;
    let mut config = plain(role);
    config.policies = Some(Arc::new(policies));
    config
}

fn naming(mode: MdnsMode) -> AgentConfig {
    let mut config = plain(Role::Controlling);
    config.mdns = mode;
    config
}

fn told(script: &Script) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::LocalCandidate { candidate, .. } => Some(candidate.to_string()),
        _ => None,
    };
    script.events.iter().filter_map(line).collect()
}

/// Whoever is to know the relay alone sees no connection from here, whatever the peer offers.
#[test]
fn a_relay_only_agent_opens_no_connection_to_a_peer() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut script = Script::new(relay_only(role), LocalAddress::tcp_active(addr(HERE).ip()));
        script.remote("1 1 TCP 1671430143 192.0.2.2 4000 typ host tcptype passive").unwrap();
        script.start();
        script.run_until(ms(10_000));
        assert_eq!(script.opened(), []);
        assert_eq!(told(&script), [""; 0]);
    }
}

#[test]
fn a_relay_only_agent_takes_no_connection_of_a_peer() {
    let mut script = Script::passive(relay_only(Role::Controlled));
    let accepted = script.agent.connection_accepted(script.now, addr(HERE), addr(STRANGER));
    assert_eq!(accepted, Err(AcceptError::UnknownLocal));
    assert_eq!(told(&script), [""; 0]);
}

/// M1: all candidates of an address have its one name, and the ports that they would have otherwise.
#[test]
fn candidates_of_tcp_are_told_under_the_name_of_their_address() {
    let mut config = naming(MdnsMode::QueryAndGather);
    config.continual = true;
    let mut script = Script::new(config, LocalAddress::udp(addr(HERE)));
    let ip = addr(HERE).ip();
    for local in [LocalAddress::tcp_passive(addr(HERE)), LocalAddress::tcp_active(ip)] {
        script.agent.add_local(script.now, script.stream, 1, local).unwrap();
    }
    script.drain();
    let published: Vec<(String, IpAddr)> = script
        .events
        .iter()
        .filter_map(|event| match event {
            Event::PublishName { name, ip } => Some((name.to_string(), *ip)),
            _ => None,
        })
        .collect();
    let [(name, published)] = &published[..] else { panic!("not one name: {published:?}") };
    assert_eq!(*published, ip);
    let mut places = Vec::new();
    for event in &script.events {
        let Event::LocalCandidate { candidate, .. } = event else { continue };
        let CandidateAddress::Name { host, port } = &candidate.address else {
            panic!("an address is told: {candidate}");
        };
        assert_eq!(host, name);
        places.push((candidate.transport, *port));
    }
    let tcp = CandidateTransport::Tcp;
    let expected =
        [(CandidateTransport::Udp, 4000), (tcp(TcpType::Passive), 4000), (tcp(TcpType::Active), 9)];
    assert_eq!(places, expected);
}

/// A connection goes to where a name leads, and not before that is known.
#[test]
fn a_passive_candidate_with_a_name_is_connected_to_when_the_name_is_resolved() {
    let local = LocalAddress::tcp_active(addr(HERE).ip());
    let mut script = Script::new(naming(MdnsMode::Query), local);
    script.remote(&format!("1 1 TCP 1671430143 {NAME} 4000 typ host tcptype passive")).unwrap();
    script.start();
    script.run_until(ms(1000));
    assert_eq!(script.opened(), []);
    let lookup = script.events.iter().find_map(|event| match event {
        Event::ResolveName { lookup, name } if name == NAME => Some(*lookup),
        _ => None,
    });
    script.agent.name_resolved(script.now, lookup.unwrap(), &[addr("192.0.2.2:0").ip()]);
    script.drain();
    script.run_until(ms(2000));
    let to: Vec<_> = script.opened().into_iter().map(|(_, _, to)| to).collect();
    assert_eq!(to, [addr("192.0.2.2:4000")]);
}
