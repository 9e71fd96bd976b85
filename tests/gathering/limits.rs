//! Bounds, misuse, and arbitrary orders of events.

use std::time::Duration;

use frazil::sim::{TurnRefusal, TurnServer, TurnTamper};
use frazil::{AddServerError, AgentConfig, Event, IceAgent, Refused, Role, Server};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::net::*;

const L: &str = "10.0.0.1:1000";

/// A server that can give nothing is refused, and others are not affected.
#[test]
fn servers_are_judged_one_by_one() {
    let mut net = Net::alone(&[L], 1);
    let add =
        |net: &mut Net, server: Server| net.call(0, |agent, now| agent.add_server(now, server));
    let without = Server::new("turn:turn.example.org".parse().unwrap());
    assert_eq!(add(&mut net, without), Err(AddServerError::MissingCredentials));
    let stuns = Server::new("stuns:stun.example.org".parse().unwrap());
    assert_eq!(add(&mut net, stuns), Err(AddServerError::NoCandidates));
    net.ask(0, turn(0));
    net.gather(0);
    net.run_for(secs(1));
    assert_eq!(net.relays(0).len(), 1);

    let mut config = AgentConfig::new(Role::Controlled);
    config.lite = true;
    let mut net = Net::alone_with(config, &["192.0.2.1:1000"], 0);
    assert_eq!(add(&mut net, stun(0)), Err(AddServerError::Lite));
}

#[test]
fn servers_have_a_bound() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.limits.servers = 2;
    let mut net = Net::alone_with(config, &[L], 2);
    net.ask(0, stun(0));
    let second = net.ask(0, stun(1));
    let add = |agent: &mut IceAgent, now| agent.add_server(now, stun(0));
    assert_eq!(net.call(0, add), Err(AddServerError::Limit));
    net.call(0, |agent, now| agent.remove_server(now, second));
    assert!(net.call(0, add).is_ok());
}

#[test]
fn tasks_have_a_bound_that_is_counted() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.limits.server_tasks = 3;
    let mut net = Net::alone_with(config, &["10.0.0.1:1000", "10.0.0.2:1000"], 3);
    for number in 0..3 {
        net.ask(0, stun(number));
    }
    net.gather(0);
    net.run_for(secs(10));
    assert_eq!(net.transactions().len(), 3);
    assert!(net.agent().counters().refused(Refused::ServerTask) > 0);
    assert!(net.complete_at(0).is_some());
}

/// Without room for a connection the server is one that cannot be reached; nobody spins.
#[test]
fn connections_have_a_bound() {
    for limit in 0..3 {
        let mut config = AgentConfig::new(Role::Controlling);
        config.limits.connections = limit;
        config.continual = true;
        let mut net = Net::alone_with(config.clone(), &[L], 3);
        for number in 0..3 {
            net.ask(0, turn_tcp(number));
        }
        net.gather(0);
        net.run_for(secs(1));
        assert_eq!(net.lines.len(), usize::from(limit));
        for line in net.lines.clone() {
            let now = net.now;
            net.lines.retain(|other| other.number != line.number);
            net.servers[line.server].close_connection(now, line.number);
            net.call(0, |agent, now| agent.connection_closed(now, line.id));
        }
        net.run_for(secs(120));
        assert!(net.lines.len() <= usize::from(limit));

        config.continual = false;
        let mut net = Net::alone_with(config, &[L], 3);
        for number in 0..3 {
            net.ask(0, turn_tcp(number));
        }
        net.gather(0);
        net.run_for(secs(20));
        assert_eq!(net.errors(0).len(), 3 - usize::from(limit));
        assert!(net.complete_at(0).is_some());
    }
}

/// Permissions have a bound: what does not fit is not checked from there, and the rest is.
#[test]
fn permissions_have_a_bound() {
    let config = |role| {
        let mut config = AgentConfig::new(role);
        config.limits.permissions = 2;
        config
    };
    let mut net = Net::pair_with(config, 1);
    for host in 2..12 {
        net.socket(1, &format!("10.0.1.{host}:2000"));
    }
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(20));
    assert!(net.servers[0].allocations().all(|held| held.permissions.len() <= 2));
    net.assert_flows();
}

/// Channels have a bound; without one data goes in indications.
#[test]
fn channels_have_a_bound() {
    let config = |role| {
        let mut config = AgentConfig::new(role);
        config.limits.channels = 0;
        config
    };
    let mut net = Net::pair_with(config, 1);
    net.ask(0, turn(0));
    net.start();
    net.run_for(secs(5));
    assert_eq!(net.asked(CHANNEL_BIND).len(), 0);
    net.assert_flows();
}

/// Candidates of servers count as local ones.
#[test]
fn candidates_of_servers_have_the_bound_of_local_ones() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.limits.local_candidates = 2;
    let mut net = Net::alone_with(config, &[L], 3);
    for number in 0..3 {
        net.ask(0, turn(number));
    }
    net.gather(0);
    net.run_for(secs(5));
    assert_eq!(net.relays(0).len(), 1);
    assert_eq!(net.agent().counters().refused(Refused::LocalCandidate), 2);
    let held: usize = (0..3).map(|server| net.allocations(server)).sum();
    assert_eq!(held, 1, "what cannot be a candidate is not kept");
}

/// A name that nobody knows, an id that is old: calls that make no sense change nothing.
#[test]
fn answers_to_nothing_change_nothing() {
    let mut net = Net::pair(1);
    net.ask(0, turn_tcp(0));
    net.start();
    net.run_for(secs(5));
    let line = net.lines[0];
    net.call(0, IceAgent::close);
    net.run_for(secs(5));
    let digest = net.digest(0);
    net.call(0, |agent, now| {
        agent.connection_opened(now, line.id);
        agent.connection_failed(now, line.id);
        agent.connection_closed(now, line.id);
        let mut input: &[u8] = &[1, 2, 3];
        let _ = agent.handle_stream(now, line.id, &mut input);
        assert!(input.is_empty());
    });
    assert_eq!(net.digest(0), digest);
}

/// Invariant 2: the same calls give the same bytes and events.
#[test]
fn gathering_is_deterministic() {
    let run = || {
        let mut net = Net::relayed(&[0, 1]);
        net.call_server(0, TurnServer::crash);
        net.run_for(secs(60));
        let sent: Vec<_> = net.sent.iter().map(|sent| (sent.at, sent.bytes.clone())).collect();
        (sent, net.nodes[0].events.clone(), net.digest(0), net.digest(1))
    };
    assert_eq!(run(), run());
}

#[derive(Clone, Debug)]
enum Move {
    Run(u64),
    Socket(u8),
    RemoveSocket(u8),
    Rebind(u8),
    Server(u8, u8),
    RemoveServer(u8),
    Gather,
    Cancel,
    Restart,
    Refuse(u8, u8, u8),
    Tamper(u8),
    Dead(u8, bool),
    Crash(u8),
    Stale(u8),
    Lifetime(u8, u16),
    Break,
    Garbage,
    Opens(bool),
    Direct(bool),
    Send,
    Close,
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => prop_oneof![0_u64..200, 0_u64..5_000, 0_u64..400_000].prop_map(Move::Run),
        2 => (0_u8..4).prop_map(Move::Socket),
        1 => any::<u8>().prop_map(Move::RemoveSocket),
        1 => (0_u8..4).prop_map(Move::Rebind),
        4 => (0_u8..3, 0_u8..5).prop_map(|(number, kind)| Move::Server(number, kind)),
        1 => any::<u8>().prop_map(Move::RemoveServer),
        2 => Just(Move::Gather),
        1 => Just(Move::Cancel),
        1 => Just(Move::Restart),
        3 => (0_u8..3, 0_u8..5, any::<u8>())
            .prop_map(|(number, method, code)| Move::Refuse(number, method, code)),
        1 => (0_u8..6).prop_map(Move::Tamper),
        2 => (0_u8..3, any::<bool>()).prop_map(|(number, dead)| Move::Dead(number, dead)),
        2 => (0_u8..3).prop_map(Move::Crash),
        1 => (0_u8..3).prop_map(Move::Stale),
        1 => (0_u8..3, any::<u16>()).prop_map(|(number, secs)| Move::Lifetime(number, secs)),
        1 => Just(Move::Break),
        1 => Just(Move::Garbage),
        1 => any::<bool>().prop_map(Move::Opens),
        1 => any::<bool>().prop_map(Move::Direct),
        1 => Just(Move::Send),
        1 => Just(Move::Close),
    ]
}

fn play(net: &mut Net, servers: &mut Vec<frazil::ServerId>, step: Move) {
    const CODES: [u16; 13] = [300, 400, 401, 403, 420, 437, 438, 440, 441, 442, 486, 500, 508];
    match step {
        Move::Run(millis) => net.run_for(Duration::from_millis(millis)),
        Move::Socket(host) => {
            let socket = addr(&format!("10.0.0.{}:1000", host + 2));
            net.nodes[0].sockets.push(socket);
            let stream = net.nodes[0].stream;
            let local = frazil::LocalAddress::udp(socket);
            let _ = net.call(0, |agent, now| agent.add_local(now, stream, 1, local));
        }
        Move::RemoveSocket(which) => {
            let ids: Vec<_> = net.agent().local_candidates().map(|local| local.id).collect();
            if let Some(id) = ids.get(usize::from(which) % ids.len().max(1)) {
                let _ = net.call(0, |agent, now| agent.remove_local(now, *id));
            }
        }
        Move::Rebind(host) => {
            let socket = addr(&format!("10.0.5.{}:1000", host + 2));
            net.nodes[0].sockets.push(socket);
            let first = net.agent().local_candidates().next();
            if let Some(first) = first {
                let _ = net.call(0, |agent, now| agent.rebind_local(now, first.id, socket));
            }
        }
        Move::Server(number, kind) => {
            let number = usize::from(number);
            let server = match kind {
                0 => stun(number),
                1 => turn(number),
                2 => turn(number).with_unauthenticated_redirects().with_dont_fragment(),
                3 => turn_tcp(number),
                _ => turn_uri(&format!("turn:server-{number}.example.org")),
            };
            servers.extend(net.call(0, |agent, now| agent.add_server(now, server)));
        }
        Move::RemoveServer(which) => {
            if !servers.is_empty() {
                let id = servers.remove(usize::from(which) % servers.len());
                net.call(0, |agent, now| agent.remove_server(now, id));
            }
        }
        Move::Gather => net.gather(0),
        Move::Cancel => net.call(0, IceAgent::cancel_gathering),
        Move::Restart => {
            let _ = net.call(0, IceAgent::prepare_restart);
        }
        Move::Refuse(number, method, code) => {
            let code = CODES[usize::from(code) % CODES.len()];
            let mut refusal = TurnRefusal::new(code);
            if code == 300 {
                refusal = TurnRefusal::try_alternate(listen(usize::from(number + 1) % 3));
            }
            let times = u32::from(method) + 1;
            net.servers[usize::from(number)].refuse(METHODS[usize::from(method)], refusal, times);
        }
        Move::Tamper(kind) => {
            let tamper = match kind {
                0 => Some(TurnTamper::Truncate(30)),
                1 => Some(TurnTamper::ForeignKey),
                2 => Some(TurnTamper::NoIntegrity),
                3 => Some(TurnTamper::Noise),
                _ => None,
            };
            net.servers[0].behaviour_mut().tamper = tamper;
        }
        Move::Dead(number, true) => drop(net.dead.insert(usize::from(number))),
        Move::Dead(number, false) => drop(net.dead.remove(&usize::from(number))),
        Move::Crash(number) => net.call_server(usize::from(number), TurnServer::crash),
        Move::Stale(number) => net.call_server(usize::from(number), TurnServer::expire_nonces),
        Move::Lifetime(number, secs) => {
            let behaviour = net.servers[usize::from(number)].behaviour_mut();
            behaviour.told_lifetime = Some(u32::from(secs)).filter(|secs| secs % 3 != 0);
        }
        Move::Break => {
            if let Some(line) = net.lines.pop() {
                let now = net.now;
                net.servers[line.server].close_connection(now, line.number);
                net.call(line.agent, |agent, now| agent.connection_closed(now, line.id));
            }
        }
        Move::Garbage => {
            if let Some(line) = net.lines.last().copied() {
                net.feed_stream(line.agent, line.id, &[0xff; 5]);
            }
        }
        Move::Opens(opens) => net.opens = opens,
        Move::Direct(direct) => net.direct = direct,
        Move::Send => drop(net.send(0, b"data")),
        Move::Close => net.call(0, IceAgent::close),
    }
}

/// A quarter of the cases that the environment asks for; the same ones in each run, unless it asks
/// for a seed.
fn config() -> ProptestConfig {
    let all = ProptestConfig::default();
    let rng_seed = match all.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    ProptestConfig { cases: (all.cases / 4).max(1), rng_seed, failure_persistence: None, ..all }
}

proptest! {
    #![proptest_config(config())]

    /// Invariants 4, 5 and 6: whatever servers and callers do, in whatever order, the clock goes on
    /// (which [`Net::run_until`] looks at after each step), nothing panics, what is kept is bounded,
    /// and after the end everything is quiet within five seconds.
    #[test]
    fn any_order_of_events_keeps_the_contract(
        continual in any::<bool>(),
        release in any::<bool>(),
        steps in prop::collection::vec(moves(), 1..40),
    ) {
        let config = |role| {
            let mut config = AgentConfig::new(role);
            config.continual = continual;
            config.release_candidates = release;
            config.limits.server_tasks = 12;
            config.limits.connections = 3;
            config
        };
        let mut net = Net::pair_with(config, 3);
        for number in 0..3 {
            net.names.insert(format!("server-{number}.example.org"), vec![listen(number).ip()]);
        }
        let mut servers = vec![net.ask(0, turn(0)), net.ask(0, turn_tcp(1))];
        net.start();
        for step in steps {
            play(&mut net, &mut servers, step);
            let before = net.sent.len();
            net.run_for(Duration::from_millis(10));
            prop_assert!(net.sent.len() - before < 50);
            prop_assert!(net.lines.len() <= 3);
            let events = net.nodes[0].events.len();
            prop_assert!(events < 4_000);
        }
        // A session in any state says less than it could.
        let before = net.sent.len();
        net.run_for(secs(60));
        prop_assert!(net.sent.len() - before < 12_000);
        net.call(0, IceAgent::close);
        net.run_for(secs(5));
        prop_assert_eq!(net.agent().poll_timeout(), None);
        prop_assert!(!net.lines.iter().any(|line| line.agent == 0));
        let closed = Event::ConnectionState(frazil::ConnectionState::Closed);
        prop_assert!(net.has_told(0, |event| *event == closed));
    }

    /// Whatever has happened: when servers and networks are well again, a restart connects.
    #[test]
    fn after_any_order_of_events_a_restart_connects(
        continual in any::<bool>(),
        steps in prop::collection::vec(moves(), 1..30),
    ) {
        let config = |role| {
            let mut config = AgentConfig::new(role);
            config.continual = continual;
            config.limits.servers = 64;
            config
        };
        let mut net = Net::pair_with(config, 4);
        let mut servers = vec![net.ask(0, turn(0)), net.ask(0, turn_tcp(1))];
        net.start();
        for step in steps {
            if !matches!(step, Move::Close | Move::Restart) {
                play(&mut net, &mut servers, step);
            }
        }
        net.heal();
        net.ask(0, turn(3));
        net.restart(|net| {
            let stream = net.nodes[0].stream;
            let socket = addr("10.0.8.8:1000");
            net.nodes[0].sockets.push(socket);
            let local = frazil::LocalAddress::udp(socket);
            net.call(0, |agent, now| agent.add_local(now, stream, 1, local)).unwrap();
        });
        net.run_for(secs(60));
        prop_assert!(net.flows(), "{:?} {:#?}", net.states(), net.nodes[0].events);
    }
}
