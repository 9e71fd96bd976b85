//! The agent and pion.

use std::time::Duration;

use frazil::{AgentConfig, ConnectionState, Parameters, Role, SendError};

use super::pion::{Keepalive, PairState, Pion, State};
use super::stage::{AGENT, PEER, PEER_2, Peer, Stage, Topology, weathers};
use crate::common::{addr, ms};

/// An agent in the given role before a pion in the other.
fn stage(role: Role, topology: &Topology, script: impl Fn(&mut Pion)) -> Stage<Pion> {
    Stage::new(AgentConfig::new(role), topology, |bench| {
        let mut pion = Pion::new(bench, topology, role == Role::Controlled);
        script(&mut pion);
        pion
    })
}

fn block(stage: &mut Stage<Pion>, remote: &str) {
    stage.network.block_between(addr(AGENT).ip(), addr(remote).ip());
}

fn unblock(stage: &mut Stage<Pion>, remote: &str) {
    stage.network.unblock_between(addr(AGENT).ip(), addr(remote).ip());
}

/// How long it takes to agree on the only path. pion nominates with its next tick or at the
/// agent's next check.
fn bound(loss: u32) -> Duration {
    match loss {
        0 => Duration::from_millis(300),
        5 => Duration::from_millis(2_500),
        _ => Duration::from_secs(8),
    }
}

#[test]
fn a_controlling_pion_nominates_once_and_is_followed() {
    for (loss, seed) in weathers() {
        for keepalive in [Keepalive::Requests, Keepalive::Indications] {
            let topology = Topology::simple().with_loss(loss, seed);
            let mut stage = stage(Role::Controlled, &topology, |pion| pion.keepalive = keepalive);
            stage.run_until_agreed(bound(loss));
            if loss == 0 {
                assert_eq!(stage.peer.nominations, 1);
            }
            stage.run_for(Duration::from_secs(300));
            stage.assert_data_flows();
            assert_eq!(stage.selections(), 1);
            stage.assert_alive(loss);
            stage.assert_orderly();
        }
    }
}

#[test]
fn a_controlled_pion_is_nominated_to_once() {
    for (loss, seed) in weathers() {
        for keepalive in [Keepalive::Requests, Keepalive::Indications] {
            let topology = Topology::simple().with_loss(loss, seed);
            let mut stage = stage(Role::Controlling, &topology, |pion| pion.keepalive = keepalive);
            stage.run_until_agreed(bound(loss));
            stage.run_for(Duration::from_secs(300));
            stage.assert_data_flows();
            assert_eq!(stage.nominations(), [addr(PEER)]);
            stage.assert_alive(loss);
            stage.assert_orderly();
        }
    }
}

#[test]
fn pion_and_the_agent_agree_on_one_of_several_paths() {
    for (loss, seed) in weathers() {
        for role in [Role::Controlling, Role::Controlled] {
            for topology in [Topology::two_paths(), Topology::spare_path()] {
                let mut stage = stage(role, &topology.with_loss(loss, seed), |_| {});
                stage.run_until_agreed(bound(loss));
                stage.run_for(Duration::from_secs(60));
                stage.run_until_agreed(Duration::ZERO);
                stage.assert_data_flows();
                stage.assert_never_disconnected();
                stage.assert_orderly();
            }
        }
    }
}

/// pion nominates with each tick until that is answered: one selection, whatever is lost.
#[test]
fn pion_renominates_until_it_is_answered() {
    let mut stage = stage(Role::Controlled, &Topology::simple(), |_| {});
    let nominated = |stage: &Stage<Pion>| stage.peer.nominations > 0;
    assert!(stage.run_while(|stage| !nominated(stage), ms(300)));
    // The answers are lost, the nominations arrive.
    stage.network.block(addr(AGENT).ip(), addr(PEER).ip());
    stage.run_for(Duration::from_secs(3));
    assert!(stage.peer.nominations > 10);
    assert_eq!((stage.peer.selected, stage.selections()), (None, 1));
    stage.network.unblock(addr(AGENT).ip(), addr(PEER).ip());
    stage.run_for(Duration::from_secs(2));
    stage.run_until_agreed(Duration::ZERO);
    assert_eq!(stage.selections(), 1);
    stage.assert_data_flows();
}

/// pion sends eight checks in 1.6 s and is done with a pair. It still answers: the agent is
/// connected, though nobody ever nominates, until pion gives up and falls silent.
#[test]
fn pion_never_retries_a_failed_pair() {
    let mut stage = stage(Role::Controlled, &Topology::simple(), |_| {});
    block(&mut stage, PEER);
    stage.run_until(ms(3_000));
    assert_eq!(stage.peer.pairs[0].state, PairState::Failed);
    unblock(&mut stage, PEER);
    stage.run_until(ms(5_000));
    assert_eq!(stage.states(), [ConnectionState::Checking, ConnectionState::Connected]);
    assert_eq!(stage.send(), Ok((addr(AGENT), addr(PEER))));
    stage.run_until(ms(29_000));
    assert_eq!(stage.bench.agent.state(), ConnectionState::Connected);
    stage.run_until(ms(41_000));
    assert_eq!(stage.peer.state(), State::Failed);
    assert_eq!(stage.bench.agent.state(), ConnectionState::Disconnected);
    stage.run_until(ms(62_000));
    assert_eq!(stage.send(), Err(SendError::NotConnected));
    stage.assert_orderly();
}

/// A controlled pion takes a failed pair up again when it is checked.
#[test]
fn a_controlled_pion_retries_a_failed_pair_when_it_is_checked() {
    for (loss, seed) in weathers() {
        let topology = Topology::simple().with_loss(loss, seed);
        let mut stage = stage(Role::Controlling, &topology, |_| {});
        block(&mut stage, PEER);
        stage.run_until(ms(3_000));
        assert_eq!(stage.peer.pairs[0].state, PairState::Failed);
        unblock(&mut stage, PEER);
        // The agent's next check may be a retransmission that is due after 3.5 s, or 7.5 s. When the
        // check that pion sends in turn is lost, it sends none before the agent asks for consent.
        let consent = Duration::from_secs(if loss == 0 { 0 } else { 6 });
        stage.run_until_agreed(Duration::from_secs(1) + bound(loss) * 2 + consent);
        stage.assert_data_flows();
        stage.assert_orderly();
    }
}

/// Both in the same role: pion does not answer the check that makes it change, and ignores 487.
#[test]
fn pion_swallows_the_request_that_settles_a_role_conflict() {
    let mut swallowed = 0;
    for role in [Role::Controlling, Role::Controlled] {
        for seed in 1..=12 {
            let topology = Topology::two_paths().with_loss(0, seed);
            let mut stage = Stage::new(AgentConfig::new(role), &topology, |bench| {
                Pion::new(bench, &topology, role == Role::Controlling)
            });
            stage.run_until_agreed(Duration::from_millis(1_500));
            swallowed += stage.peer.swallowed;
            let controlling = stage.bench.agent.role() == Role::Controlling;
            assert_ne!(controlling, stage.peer.hand().controlling);
            stage.run_for(Duration::from_secs(60));
            stage.assert_data_flows();
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
    assert!(swallowed > 0);
}

/// A lite pion is dead to itself after ten seconds without a packet: the agent's checks for consent
/// have to come more often.
#[test]
fn a_lite_pion_stays_connected() {
    for (loss, seed) in weathers() {
        let topology = Topology::two_paths().with_loss(loss, seed);
        let told = |credentials| {
            let mut parameters = Parameters::new(credentials);
            parameters.lite = true;
            parameters
        };
        let mut stage =
            Stage::told(AgentConfig::new(Role::Controlling), &topology, told, |bench| {
                let mut pion = Pion::new(bench, &topology, false);
                pion.lite = true;
                pion
            });
        stage.run_until_agreed(bound(loss));
        stage.run_for(Duration::from_secs(300));
        if loss == 0 {
            assert_eq!(stage.peer.states, [State::Checking, State::Connected]);
        }
        stage.assert_data_flows();
        assert_eq!(stage.selections(), 1);
        stage.assert_alive(loss);
        stage.assert_orderly();
    }
}

/// With automatic renomination pion goes to a faster pair; here that is the better one, which was
/// not there at first.
#[test]
fn pion_renominates_a_better_and_faster_pair() {
    for (loss, seed) in weathers().filter(|(loss, _)| *loss < 20) {
        let mut topology = Topology::two_paths().with_loss(loss, seed);
        topology.link.delay = Duration::from_millis(60);
        let mut stage = stage(Role::Controlled, &topology, |pion| pion.renomination = true);
        block(&mut stage, PEER);
        // pion still sends checks on the other pair.
        stage.run_until(ms(1_000));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER_2))));
        unblock(&mut stage, PEER);
        for (one, other) in [(AGENT, PEER), (PEER, AGENT)] {
            let mut link = topology.link;
            link.delay = Duration::from_millis(10);
            stage.network.set_link(addr(one).ip(), addr(other).ip(), link);
        }
        stage.run_until(ms(60_000));
        stage.run_until_agreed(Duration::from_secs(10));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER))));
        stage.assert_data_flows();
        stage.assert_never_disconnected();
        stage.assert_orderly();
    }
}

/// Decision 4: among nominations with a value the highest counts, whatever the priorities.
#[test]
fn pion_renominates_a_worse_but_faster_pair() {
    for (loss, seed) in weathers().filter(|(loss, _)| *loss < 20) {
        let topology = Topology::spare_path().with_loss(loss, seed);
        let mut stage = stage(Role::Controlled, &topology, |pion| pion.renomination = true);
        stage.run_until(ms(60_000));
        let fast = Some((addr(PEER_2), addr(AGENT)));
        assert_eq!(stage.peer.path(), fast);
        stage.run_until_agreed(Duration::from_secs(5));
        stage.assert_data_flows();
    }
}
