//! Lite agents, lite peers, and two lite agents with each other.

mod common;

use std::time::Duration;

use common::{
    Bench, ICE_CONTROLLED, INDICATION, PEER_PWD, PEER_UFRAG, PRIORITY, SUCCESS, USERNAME, ms,
};
use frazil::sim::{End, World};
use frazil::{
    AddLocalError, AgentConfig, ConnectionState, Credentials, Event, IceAgent, LocalAddress,
    Parameters, Received, Role, SendError, Timestamp, Timing,
};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn lite(role: Role) -> AgentConfig {
    let mut config = AgentConfig::new(role);
    config.lite = true;
    config
}

/// A lite agent that knows its full peer.
fn started() -> Bench {
    let mut bench = Bench::with(lite(Role::Controlled));
    bench.add_local(LOCAL);
    bench.agent.gather(bench.now);
    bench.add_remote(REMOTE, 2_000_000_000);
    bench.start();
    bench
}

fn selected() -> Bench {
    let mut bench = started();
    let _ = bench.send_check(LOCAL, REMOTE, true);
    assert!(bench.agent.selected_pair(bench.stream, 1).is_some());
    bench
}

/// L1, L9: a lite agent answers checks and consent checks, and never sends one.
#[test]
fn a_lite_agent_never_sends_a_check() {
    let mut bench = selected();
    for minute in 0..10 {
        for second in (5..=60).step_by(5) {
            bench.run_until(ms((minute * 60 + second) * 1000));
            let before = bench.sent.len();
            let _ = bench.send_check(LOCAL, REMOTE, false);
            assert_eq!(bench.sent[before].kind(), SUCCESS);
        }
    }
    assert!(bench.requests().is_empty());
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// L2, N13: of a full and a lite agent the full one is controlling; two of a kind keep their roles.
#[test]
fn the_full_agent_is_controlling() {
    for (lite, peer_lite, role, expected) in [
        (true, false, Role::Controlling, Role::Controlled),
        (true, false, Role::Controlled, Role::Controlled),
        (false, true, Role::Controlled, Role::Controlling),
        (false, true, Role::Controlling, Role::Controlling),
        (true, true, Role::Controlling, Role::Controlling),
        (true, true, Role::Controlled, Role::Controlled),
        (false, false, Role::Controlling, Role::Controlling),
        (false, false, Role::Controlled, Role::Controlled),
    ] {
        let mut config = AgentConfig::new(role);
        config.lite = lite;
        let mut agent = IceAgent::new(config, [1; 32]).unwrap();
        let mut peer = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
        peer.lite = peer_lite;
        agent.set_remote(Timestamp::ZERO, peer).unwrap();
        assert_eq!(agent.role(), expected, "lite {lite}, peer lite {peer_lite}, {role:?}");
    }
}

/// L3, L4: a nomination makes the pair valid and selected, and completes the session.
#[test]
fn a_nomination_selects_the_pair_at_once() {
    let mut bench = started();
    let _ = bench.send_check(LOCAL, REMOTE, false);
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    assert!(bench.agent.selected_pair(bench.stream, 1).is_none());
    let _ = bench.send_check(LOCAL, REMOTE, true);
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(
        (pair.local.addr.to_string(), pair.remote.addr.to_string()),
        (LOCAL.to_owned(), REMOTE.to_owned())
    );
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    let selections =
        bench.events.iter().filter(|(_, event)| matches!(event, Event::SelectedPair { .. }));
    assert_eq!(selections.count(), 1);
}

/// L3: a nomination from an address that was not signalled as well.
#[test]
fn a_nomination_from_an_unknown_address_selects_a_peer_reflexive_candidate() {
    let mut bench = started();
    let _ = bench.send_check(LOCAL, "10.0.0.3:3000", true);
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(pair.remote.addr.to_string(), "10.0.0.3:3000");
}

/// L5: no data before every component has a valid pair.
#[test]
fn no_data_before_a_nomination() {
    let mut bench = started();
    let _ = bench.send_check(LOCAL, REMOTE, false);
    let (now, stream) = (bench.now, bench.stream);
    assert_eq!(bench.agent.send(now, stream, 1, b"x").err(), Some(SendError::NotConnected));
    let _ = bench.send_check(LOCAL, REMOTE, true);
    assert!(bench.agent.send(now, stream, 1, b"x").is_ok());
}

/// L7: one candidate for each address and component.
#[test]
fn one_candidate_for_each_address() {
    let mut bench = Bench::with(lite(Role::Controlled));
    bench.add_local(LOCAL);
    let second = LocalAddress::udp("10.0.0.1:1001".parse().unwrap());
    let added = bench.agent.add_local(bench.now, bench.stream, 1, second);
    assert_eq!(added, Err(AddLocalError::LiteAddress));
    let candidate = bench.agent.local_candidates().next().unwrap();
    assert_eq!(candidate.priority, (126 << 24) | (65535 << 8) | 255);
}

/// L10: a lite agent says so, and proposes no pacing.
#[test]
fn a_lite_agent_proposes_no_pacing() {
    let mut config = lite(Role::Controlled);
    config.timing.ta = Duration::from_millis(20);
    let parameters = IceAgent::new(config, [1; 32]).unwrap().local_parameters();
    assert!(parameters.lite);
    assert_eq!(parameters.pacing, None);
}

/// Decision 11: a full peer that claims to be controlled is told otherwise.
#[test]
fn a_full_peer_that_claims_to_be_controlled_gets_487() {
    let mut bench = started();
    let username = format!("{}:{PEER_UFRAG}", bench.ufrag());
    for tie_breaker in [0, u64::MAX] {
        let id = bench.id();
        let check = common::Message::new(common::REQUEST, id)
            .attr(USERNAME, username.as_bytes())
            .attr(PRIORITY, &1_u32.to_be_bytes())
            .attr(ICE_CONTROLLED, &tie_breaker.to_be_bytes())
            .integrity(&bench.pwd())
            .fingerprint();
        let _ = bench.feed(LOCAL, REMOTE, &check);
        assert_eq!(bench.sent.last().unwrap().code(), Some(487));
        assert_eq!(bench.agent.role(), Role::Controlled);
    }
}

/// Regression 16: a lite agent does not time out at once, nor never.
#[test]
fn regression_str0m_lite_agent_dies_at_once_or_never() {
    let mut bench = selected();
    bench.run_until(ms(29_999));
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    bench.run_until(ms(30_000));
    assert_eq!(bench.agent.state(), ConnectionState::Disconnected);
    let _ = bench.send_check(LOCAL, REMOTE, false);
    assert_eq!(bench.agent.state(), ConnectionState::Completed, "it was heard again");
    bench.run_until(ms(60_000));
    assert_eq!(bench.agent.state(), ConnectionState::Disconnected);
    bench.run_until(ms(90_000));
    let (now, stream) = (bench.now, bench.stream);
    assert_eq!(bench.agent.send(now, stream, 1, b"x").err(), Some(SendError::NotConnected));
    let lost = bench.events.iter().any(|(_, event)| *event == Event::RestartNeeded);
    assert!(lost);
}

/// K1: an idle path of a lite agent is kept open by indications, unless its answers do that.
#[test]
fn a_lite_agent_keeps_its_path_open() {
    let mut bench = selected();
    bench.sent.clear();
    bench.run_until(ms(14_999));
    assert!(bench.sent.is_empty());
    bench.run_until(ms(15_000));
    assert_eq!(bench.sent.iter().map(common::Sent::kind).collect::<Vec<_>>(), [INDICATION]);
}

fn connect(configs: [AgentConfig; 2], locals: [&[&str]; 2]) -> World {
    let mut world = World::new([5; 32]);
    let agents = configs.map(|config| world.add_agent(config).unwrap());
    for (agent, locals) in agents.into_iter().zip(locals) {
        for local in locals {
            world.add_socket(agent, local.parse().unwrap()).unwrap();
        }
    }
    world.connect(agents[0], agents[1]).unwrap();
    for agent in agents {
        world.start(agent).unwrap();
    }
    let completed = |world: &World| {
        world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
    };
    let end = world.run_while(|world| !completed(world), ms(30_000)).unwrap();
    assert_eq!(end, End::Condition, "not connected");
    world
}

fn paths(world: &World) -> Vec<(String, String)> {
    world
        .agents()
        .map(|(_, agent)| {
            let stream = agent.streams().next().unwrap();
            let pair = agent.selected_pair(stream, 1).unwrap();
            (pair.local.addr.to_string(), pair.remote.addr.to_string())
        })
        .collect()
}

/// A full agent and a lite one connect, whoever was meant to be controlling.
#[test]
fn a_full_and_a_lite_agent_connect() {
    for role in [Role::Controlling, Role::Controlled] {
        let configs = [AgentConfig::new(role), lite(role.opposite())];
        let world = connect(configs, [&[LOCAL], &[REMOTE, "10.0.1.2:2000"]]);
        let paths = paths(&world);
        assert_eq!(paths[0], (paths[1].1.clone(), paths[1].0.clone()));
        let roles: Vec<Role> = world.agents().map(|(_, agent)| agent.role()).collect();
        assert_eq!(roles, [Role::Controlling, Role::Controlled]);
    }
}

/// L6: two lite agents with one pair need nothing but each other's candidates.
#[test]
fn two_lite_agents_with_one_pair_connect() {
    let world = connect([lite(Role::Controlling), lite(Role::Controlled)], [&[LOCAL], &[REMOTE]]);
    assert_eq!(paths(&world)[0], (LOCAL.to_owned(), REMOTE.to_owned()));
    assert_eq!(world.network().stats().sent, 0, "nobody sends anything to get there");
}

fn lite_peer(ufrag: &str, pwd: &str) -> Parameters {
    let mut peer = Parameters::new(Credentials::new(ufrag, pwd).unwrap());
    peer.lite = true;
    peer
}

/// L6: of several pairs both sides take the same, by RFC 6724: IPv6 before IPv4.
#[test]
fn two_lite_agents_choose_the_same_pair() {
    let world = connect(
        [lite(Role::Controlling), lite(Role::Controlled)],
        [
            &[LOCAL, "[2001:db8::1]:1000", "[fd00::1]:1000"],
            &[REMOTE, "[2001:db8::2]:2000", "[fd00::2]:2000"],
        ],
    );
    let paths = paths(&world);
    assert_eq!(paths[0], ("[2001:db8::1]:1000".to_owned(), "[2001:db8::2]:2000".to_owned()));
    assert_eq!(paths[1], ("[2001:db8::2]:2000".to_owned(), "[2001:db8::1]:1000".to_owned()));
}

/// L6: RFC 8445 §8.2.1, by the policy table of RFC 6724 §2.1, which counts for more than priorities.
#[test]
fn two_lite_agents_take_the_pair_of_the_highest_precedence() {
    let falling = [
        "[::1]:2000",
        "[2001:db8::2]:2000",
        "10.0.0.2:2000",
        "[2002:a00:2::2]:2000",
        "[2001:0:a00:2::2]:2000",
        "[fd00::2]:2000",
        "[fec0::2]:2000",
    ];
    let neighbours = falling.windows(2).map(|pair| (pair[0], pair[1]));
    for (better, worse) in neighbours.chain([("[fd00::2]:2000", "[3ffe::2]:2000")]) {
        let mut config = lite(Role::Controlling);
        config.loopback = true;
        let locals = [LOCAL, "[2001:db8::1]:1000", "[::1]:1000"];
        let mut bench = Bench::waiting(config, &locals, &[worse, better]);
        bench.agent.set_remote(bench.now, lite_peer(PEER_UFRAG, PEER_PWD)).unwrap();
        let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
        assert_eq!(pair.remote.addr.to_string(), better, "and not {worse}");
    }
}

/// L6: the pairs of two lite agents are of one component each.
#[test]
fn two_lite_agents_pair_within_a_component() {
    let mut config = lite(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    for (component, local) in [(1, "10.0.0.1:1000"), (2, "10.0.0.1:1001")] {
        let local = LocalAddress::udp(local.parse().unwrap());
        bench.agent.add_local(bench.now, bench.stream, component, local).unwrap();
        bench.drain();
    }
    bench.add_remote_line("1 1 UDP 1000 10.0.0.2 2000 typ host");
    bench.add_remote_line("2 2 UDP 1001 10.0.0.2 2001 typ host");
    bench.agent.end_of_remote_candidates(bench.now, None);
    bench.agent.set_remote(bench.now, lite_peer(PEER_UFRAG, PEER_PWD)).unwrap();
    for (component, local, remote) in
        [(1, "10.0.0.1:1000", "10.0.0.2:2000"), (2, "10.0.0.1:1001", "10.0.0.2:2001")]
    {
        let pair = bench.agent.selected_pair(bench.stream, component).unwrap();
        let ends = (pair.local.addr.to_string(), pair.remote.addr.to_string());
        assert_eq!(ends, (local.to_owned(), remote.to_owned()));
    }
}

/// RFC 8445 §9: a restart begins anew. The candidate that the old path still uses is not paired in
/// the new generation, neither while that path is alive nor when it has ended.
#[test]
fn regression_two_lite_agents_pair_with_a_candidate_from_before_the_restart() {
    let mut bench = Bench::waiting(lite(Role::Controlling), &[LOCAL], &[REMOTE]);
    bench.agent.set_remote(bench.now, lite_peer(PEER_UFRAG, PEER_PWD)).unwrap();
    let old = bench.agent.selected_pair(bench.stream, 1).unwrap();
    bench.agent.set_remote(bench.now, lite_peer("anew", "anewpasswordanewpasswordanew")).unwrap();
    bench.agent.gather(bench.now);
    bench.agent.end_of_remote_candidates(bench.now, None);
    bench.drain();
    bench.run_until(ms(59_999));
    assert_eq!(bench.agent.selected_pair(bench.stream, 1).map(|pair| pair.id), Some(old.id));
    bench.run_until(ms(60_001));
    bench.agent.set_timing(bench.now, Timing::default()).unwrap();
    assert_eq!(bench.agent.selected_pair(bench.stream, 1).map(|pair| pair.id), None);
}

/// The same when the peer has moved to an address that is worse than the one from before.
#[test]
fn regression_two_lite_agents_select_the_candidate_of_the_new_generation_though_it_is_worse() {
    let mut bench = Bench::waiting(lite(Role::Controlling), &[LOCAL], &[]);
    bench.add_remote(REMOTE, 2_000_000_000);
    bench.agent.end_of_remote_candidates(bench.now, None);
    bench.agent.set_remote(bench.now, lite_peer(PEER_UFRAG, PEER_PWD)).unwrap();
    bench.agent.set_remote(bench.now, lite_peer("anew", "anewpasswordanewpasswordanew")).unwrap();
    bench.agent.gather(bench.now);
    bench.drain();
    bench.add_remote("10.0.0.3:3000", 1_000);
    bench.agent.end_of_remote_candidates(bench.now, None);
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(pair.remote.addr.to_string(), "10.0.0.3:3000");
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// A lite agent that was meant to be controlling takes the role that a full peer leaves to it.
#[test]
fn a_check_of_a_controlling_peer_makes_a_lite_agent_controlled() {
    let mut bench = Bench::with(lite(Role::Controlling));
    bench.add_local(LOCAL);
    let check = bench.check(Role::Controlling).integrity(&bench.pwd()).fingerprint();
    let _ = bench.feed(LOCAL, REMOTE, &check);
    assert_eq!(bench.sent.last().unwrap().kind(), SUCCESS);
    assert_eq!(bench.agent.role(), Role::Controlled);
}

/// Data goes both ways between a full and a lite agent.
#[test]
fn data_flows_between_a_full_and_a_lite_agent() {
    let mut bench = selected();
    let received = bench.feed(LOCAL, REMOTE, b"data");
    assert!(matches!(received, Received::Data { component: 1, .. }));
}

/// A lite agent that no check reaches has failed when patience ends, as a full one would have.
#[test]
fn regression_a_lite_agent_without_a_peer_never_fails() {
    let mut config = AgentConfig::new(Role::Controlled);
    config.lite = true;
    let mut bench = Bench::started(config, &["10.0.0.1:1000"], &["10.0.0.2:2000"]);
    bench.run_until(ms(39_000));
    assert_ne!(bench.agent.state(), ConnectionState::Failed);
    bench.run_until(ms(40_000));
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
    let _ = bench.send_check("10.0.0.1:1000", "10.0.0.2:2000", true);
    assert_eq!(bench.agent.state(), ConnectionState::Completed, "better late than never");
}
