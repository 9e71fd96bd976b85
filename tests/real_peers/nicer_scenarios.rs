//! The agent and Firefox.

use std::time::Duration;

use frazil::{AgentConfig, ConnectionState, Role};

use super::nicer::Nicer;
use super::stage::{AGENT, PEER, PEER_2, Peer, Stage, Topology, weathers};
use crate::common::{addr, ms};

/// An agent in the given role before a Firefox in the other.
fn stage(config: AgentConfig, topology: &Topology) -> Stage<Nicer> {
    let controlling = config.role == Role::Controlled;
    Stage::new(config, topology, |bench| Nicer::new(bench, topology, controlling))
}

fn lite() -> AgentConfig {
    let mut config = AgentConfig::new(Role::Controlled);
    config.lite = true;
    config
}

/// Firefox repeats after 100 ms already; a controlling agent after 500 ms.
fn bound(role: Role, loss: u32) -> Duration {
    match (loss, role) {
        (0, _) => Duration::from_millis(300),
        (5, Role::Controlled) => Duration::from_millis(1_000),
        (5, Role::Controlling) => Duration::from_millis(2_500),
        (_, Role::Controlled) => Duration::from_secs(4),
        (_, Role::Controlling) => Duration::from_secs(8),
    }
}

/// How long sessions go on. Firefox sends each consent check once, and at 20 % in each direction
/// six in a row are lost every few minutes: that is the end of its session, and its own doing.
fn rest(loss: u32) -> Duration {
    Duration::from_secs(if loss < 20 { 285 } else { 10 })
}

/// USE-CANDIDATE comes with every check of every pair, and the best that works is where both end.
#[test]
fn firefox_nominates_with_every_check_of_every_pair() {
    for (loss, seed) in weathers() {
        for topology in [Topology::simple(), Topology::two_paths(), Topology::spare_path()] {
            let topology = topology.with_loss(loss, seed);
            let mut stage = stage(AgentConfig::new(Role::Controlled), &topology);
            stage.run_until_agreed(bound(Role::Controlled, loss));
            stage.run_for(Duration::from_secs(15));
            stage.run_until_agreed(Duration::ZERO);
            stage.run_for(rest(loss));
            stage.assert_data_flows();
            assert_eq!(stage.peer.errors, Vec::<u16>::new());
            if loss == 0 {
                assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER))));
                assert_eq!(stage.peer.disconnections, 0);
            }
            assert!(!stage.peer.expired);
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
}

#[test]
fn a_controlled_firefox_is_nominated_to_once() {
    for (loss, seed) in weathers() {
        for topology in [Topology::simple(), Topology::two_paths(), Topology::spare_path()] {
            let topology = topology.with_loss(loss, seed);
            let mut stage = stage(AgentConfig::new(Role::Controlling), &topology);
            stage.run_until_agreed(bound(Role::Controlling, loss));
            stage.run_for(Duration::from_secs(300));
            stage.run_until_agreed(Duration::ZERO);
            stage.assert_data_flows();
            assert_eq!((stage.nominations().len(), stage.selections()), (1, 1));
            assert_eq!(stage.peer.errors, Vec::<u16>::new());
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
}

/// mediasoup #650: aggressive nomination of a lite agent as well, on all pairs.
#[test]
fn firefox_nominates_a_lite_agent_aggressively() {
    for (loss, seed) in weathers() {
        for topology in [Topology::two_paths(), Topology::spare_path()] {
            let topology = topology.with_loss(loss, seed);
            let mut stage = stage(lite(), &topology);
            stage.run_until_agreed(bound(Role::Controlled, loss));
            stage.run_for(Duration::from_secs(15));
            stage.run_until_agreed(Duration::ZERO);
            stage.run_for(rest(loss));
            stage.assert_data_flows();
            assert!(stage.peer.nominations >= 2);
            assert!(stage.bench.sent.iter().all(|sent| !sent.is_request()));
            stage.assert_never_disconnected();
        }
    }
}

/// pion #950: a tab in the background asks for consent every 20 to 30 s only, and a lite agent hears
/// nothing else.
#[test]
fn firefox_in_a_background_tab_does_not_lose_a_lite_agent() {
    for seed in 1..=8 {
        let topology = Topology::simple().with_loss(0, seed);
        let mut stage = stage(lite(), &topology);
        stage.peer.consent = Duration::from_secs(24);
        stage.run_until_agreed(bound(Role::Controlled, 0));
        stage.run_for(Duration::from_secs(600));
        assert_eq!(stage.peer.disconnections, 0);
        stage.assert_never_disconnected();
        stage.assert_data_flows();
    }
}

/// Firefox restarts: checks of its new generation may come before the agent has heard of it. They
/// are answered, and the path of the old generation carries on.
#[test]
fn firefox_checks_of_its_next_generation_leave_the_path_alone() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut stage = stage(AgentConfig::new(role), &Topology::two_paths());
        stage.run_until(ms(5_000));
        let selected = stage.selected();
        let digest = stage.bench.agent.pairs().collect::<Vec<_>>();
        let mut answered = 0;
        for _ in 0..100 {
            let packet = stage.peer.next_generation("next");
            let before = stage.bench.sent.len();
            stage.send_all([packet]);
            stage.run_for(Duration::from_millis(20));
            answered +=
                stage.bench.sent[before..].iter().filter(|sent| sent.to == addr(PEER_2)).count();
        }
        assert_eq!(answered, 100);
        assert_eq!(stage.selected(), selected);
        let pairs = stage.bench.agent.pairs().collect::<Vec<_>>();
        assert_eq!(pairs, digest);
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        stage.assert_never_disconnected();
    }
}

/// Both in the same role, with several checks under way: 487 is heeded once.
#[test]
fn firefox_and_the_agent_settle_a_role_conflict() {
    for role in [Role::Controlling, Role::Controlled] {
        for (loss, seed) in weathers() {
            let topology = Topology::two_paths().with_loss(loss, seed);
            let mut stage = Stage::new(AgentConfig::new(role), &topology, |bench| {
                Nicer::new(bench, &topology, role == Role::Controlling)
            });
            stage.run_until_agreed(bound(Role::Controlling, loss) + Duration::from_millis(200));
            let controlling = stage.bench.agent.role() == Role::Controlling;
            assert_ne!(controlling, stage.peer.hand().controlling);
            stage.run_for(Duration::from_secs(60));
            stage.run_until_agreed(Duration::ZERO);
            stage.assert_data_flows();
            assert_eq!(stage.bench.agent.state(), ConnectionState::Completed);
            stage.assert_orderly();
        }
    }
}
