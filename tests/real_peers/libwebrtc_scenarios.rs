//! The agent and libwebrtc.

use std::time::Duration;

use frazil::{AgentConfig, ConnectionState, Event, Parameters, Role};

use super::hand::{Packet, host_priority};
use super::libwebrtc::{Libwebrtc, Write};
use super::stage::{AGENT, DATA, PEER, PEER_2, Peer, Stage, Topology, weathers};
use crate::common::{addr, ms};

/// An agent in the given role before a libwebrtc in the other.
fn stage(role: Role, topology: &Topology) -> Stage<Libwebrtc> {
    Stage::new(AgentConfig::new(role), topology, |bench| {
        Libwebrtc::new(bench, topology, role == Role::Controlled)
    })
}

fn block(stage: &mut Stage<Libwebrtc>, remote: &str) {
    stage.network.block_between(addr(AGENT).ip(), addr(remote).ip());
}

fn unblock(stage: &mut Stage<Libwebrtc>, remote: &str) {
    stage.network.unblock_between(addr(AGENT).ip(), addr(remote).ip());
}

/// How long it takes to agree on the only path. A controlling agent nominates once, and a lost
/// nomination is repeated after 500 ms, then after another second.
fn bound(role: Role, loss: u32) -> Duration {
    match (loss, role) {
        (0, _) => Duration::from_millis(140),
        (5, Role::Controlled) => Duration::from_secs(1),
        (5, Role::Controlling) => Duration::from_millis(2_500),
        (_, Role::Controlled) => Duration::from_secs(3),
        (_, Role::Controlling) => Duration::from_secs(8),
    }
}

/// Runs until libwebrtc has moved to the path from this address of its own.
fn run_until_moved(stage: &mut Stage<Libwebrtc>, to: &str, within: Duration) {
    let path = Some((addr(to), addr(AGENT)));
    let until = stage.now() + within;
    assert!(stage.run_while(|stage| stage.peer.selected != path, until));
}

/// Runs until libwebrtc has left the dead path for the other one, and does not count on the dead
/// one any more. Until then, under loss, it may go back to it.
fn run_until_given_up(stage: &mut Stage<Libwebrtc>, dead: &str, to: &str) {
    let dead = addr(dead);
    let until = stage.now() + Duration::from_secs(10);
    let trusts = |stage: &Stage<Libwebrtc>| {
        stage.peer.connection(dead).is_some_and(|one| one.write == Write::Writable)
    };
    assert!(stage.run_while(trusts, until));
    run_until_moved(stage, to, Duration::from_secs(5));
}

/// Sessions of ten seconds in which both paths were valid when the agent settled on the first and
/// better one, at every loss.
fn with_a_spare(role: Role) -> impl Iterator<Item = Stage<Libwebrtc>> {
    let sessions = [0, 5, 20].into_iter().flat_map(move |loss| {
        let session = move |seed| {
            let mut stage = stage(role, &Topology::spare_path().with_loss(loss, seed));
            stage.run_until(ms(10_000));
            stage
        };
        let valid = |stage: &Stage<Libwebrtc>| {
            stage.bench.agent.pairs().filter(|pair| pair.valid).count() == 2
        };
        let sessions = (1..=20).map(session).filter(valid).take(3).collect::<Vec<_>>();
        assert_eq!(sessions.len(), 3);
        sessions
    });
    sessions.inspect(|stage| {
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER))));
    })
}

/// Nothing of what the agent says makes libwebrtc give up a pair.
fn assert_content(stage: &Stage<Libwebrtc>) {
    assert_eq!(stage.peer.destroyed, Vec::<u16>::new());
    stage.assert_orderly();
}

/// USE-CANDIDATE comes with every ping of the selected connection for the whole call, and changes
/// nothing after the first time.
#[test]
fn libwebrtc_nominates_with_every_ping() {
    for (loss, seed) in weathers() {
        let mut stage = stage(Role::Controlled, &Topology::simple().with_loss(loss, seed));
        stage.run_until_agreed(bound(Role::Controlled, loss));
        stage.assert_data_flows();
        stage.run_for(Duration::from_secs(300));
        stage.assert_data_flows();
        assert!(stage.peer.pings_with_use_candidate > 100);
        assert_eq!((stage.selections(), stage.peer.switches), (1, 0));
        assert_eq!(stage.bench.agent.state(), ConnectionState::Completed);
        stage.assert_never_disconnected();
        assert_content(&stage);
    }
}

#[test]
fn a_controlled_libwebrtc_is_nominated_to_once() {
    for (loss, seed) in weathers() {
        let mut stage = stage(Role::Controlling, &Topology::simple().with_loss(loss, seed));
        stage.run_until_agreed(bound(Role::Controlling, loss));
        stage.run_for(Duration::from_secs(300));
        stage.assert_data_flows();
        assert_eq!(stage.selections(), 1);
        assert_eq!(stage.nominations(), [addr(PEER)]);
        stage.assert_never_disconnected();
        assert_content(&stage);
    }
}

/// With two ways both sides end on the same, whoever controls.
#[test]
fn libwebrtc_and_the_agent_agree_on_one_of_several_paths() {
    for (loss, seed) in weathers() {
        for role in [Role::Controlling, Role::Controlled] {
            let mut stage = stage(role, &Topology::two_paths().with_loss(loss, seed));
            stage.run_until(ms(20_000));
            stage.run_until_agreed(Duration::from_secs(10));
            stage.assert_data_flows();
            stage.assert_never_disconnected();
            assert_content(&stage);
        }
    }
}

/// DTLS may come before any nomination: the connection is writable for libwebrtc.
#[test]
fn libwebrtc_sends_data_before_the_nomination() {
    let mut stage = stage(Role::Controlling, &Topology::simple());
    let writable = |stage: &Stage<Libwebrtc>| {
        stage.peer.connection(addr(PEER)).is_some_and(|one| one.write == Write::Writable)
    };
    assert!(stage.run_while(|stage| !writable(stage), ms(100)));
    assert!(stage.selected().is_none());
    let (from, to) = (addr(PEER), addr(AGENT));
    stage.send_all([Packet { from, to, bytes: DATA.to_vec() }]);
    stage.run_for(Duration::from_millis(20));
    assert_eq!(stage.data.len(), 1);
}

/// libwebrtc removes a pair for good when it gets an error that it does not know: the offerer must
/// not answer so to checks that overtake the answer (RFC 8445 §7.3).
#[test]
fn libwebrtc_destroys_pair_on_400() {
    for role in [Role::Controlling, Role::Controlled] {
        let topology = Topology::two_paths();
        let mut stage = Stage::unsignalled(AgentConfig::new(role), &topology, |bench| {
            Libwebrtc::new(bench, &topology, role == Role::Controlled)
        });
        stage.run_until(ms(2_000));
        assert!(stage.peer.responses >= 4);
        assert_eq!(stage.peer.connections.len(), 2);
        stage.signal(Parameters::new);
        stage.run_until_agreed(bound(role, 0));
        stage.assert_data_flows();
        assert_content(&stage);
    }
}

/// A better path comes up after the call has begun: libwebrtc goes there without a restart.
#[test]
fn libwebrtc_moves_to_a_better_pair_without_a_restart() {
    for (loss, seed) in weathers() {
        let mut stage = stage(Role::Controlled, &Topology::two_paths().with_loss(loss, seed));
        block(&mut stage, PEER);
        stage.run_until_agreed(Duration::from_secs(4));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER_2))));
        stage.run_until(ms(5_000));
        unblock(&mut stage, PEER);
        run_until_moved(&mut stage, PEER, Duration::from_secs(7));
        stage.run_until_agreed(Duration::from_secs(5));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER))));
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        stage.assert_never_disconnected();
        assert_content(&stage);
    }
}

/// mediasoup #1585, str0m #496: the selected path dies, and libwebrtc nominates a worse one.
#[test]
fn libwebrtc_moves_to_a_spare_pair_when_its_path_dies() {
    for mut stage in with_a_spare(Role::Controlled) {
        block(&mut stage, PEER);
        run_until_given_up(&mut stage, PEER, PEER_2);
        stage.run_until_agreed(Duration::from_secs(5));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER_2))));
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        stage.assert_never_disconnected();
        assert_content(&stage);
    }
}

/// The selected path still lives, but its network has become expensive.
#[test]
fn libwebrtc_moves_to_a_spare_pair_that_costs_less() {
    for mut stage in with_a_spare(Role::Controlled) {
        stage.peer.set_cost(addr(PEER), 900);
        run_until_moved(&mut stage, PEER_2, Duration::from_secs(7));
        stage.run_until_agreed(Duration::from_secs(15));
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        stage.assert_never_disconnected();
        assert_content(&stage);
    }
}

/// The agent controls, and its selected path dies while another one works.
#[test]
fn a_controlled_libwebrtc_is_taken_along_to_a_spare_pair() {
    for mut stage in with_a_spare(Role::Controlling) {
        block(&mut stage, PEER);
        stage.run_until(ms(20_000));
        stage.run_until_agreed(Duration::from_secs(10));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER_2))));
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        assert_content(&stage);
    }
}

/// All pings in flight get their 487, and each of them turns libwebrtc's role round.
#[test]
fn libwebrtc_toggles_its_role_with_every_487() {
    for role in [Role::Controlling, Role::Controlled] {
        for seed in 1..=8 {
            for delay in [20, 100, 150] {
                let mut topology = Topology::two_paths().with_loss(0, seed);
                topology.link.delay = Duration::from_millis(delay);
                let mut stage = Stage::new(AgentConfig::new(role), &topology, |bench| {
                    Libwebrtc::new(bench, &topology, role == Role::Controlling)
                });
                stage.run_until_agreed(Duration::from_secs(3));
                stage.run_until(ms(5_000));
                let controlling = stage.bench.agent.role() == Role::Controlling;
                assert_ne!(controlling, stage.peer.hand().controlling);
                stage.run_for(Duration::from_secs(60));
                stage.assert_data_flows();
                stage.assert_never_disconnected();
                assert_content(&stage);
            }
        }
    }
}

/// Renomination takes both sides: a libwebrtc that would like to falls back to USE-CANDIDATE.
#[test]
fn libwebrtc_renominates_only_with_an_agent_that_offers_it() {
    for (loss, seed) in weathers() {
        let topology = Topology::two_paths().with_loss(loss, seed);
        let told = |credentials| {
            let mut parameters = Parameters::new(credentials);
            parameters.options = vec!["trickle".to_owned(), "renomination".to_owned()];
            parameters
        };
        let mut stage = Stage::told(AgentConfig::new(Role::Controlled), &topology, told, |bench| {
            let mut peer = Libwebrtc::new(bench, &topology, true);
            peer.renomination = true;
            peer
        });
        block(&mut stage, PEER);
        stage.run_until_agreed(Duration::from_secs(4));
        stage.run_until(ms(5_000));
        unblock(&mut stage, PEER);
        run_until_moved(&mut stage, PEER, Duration::from_secs(7));
        stage.run_until_agreed(Duration::from_secs(5));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER))));
        stage.assert_data_flows();
        assert_content(&stage);
    }
}

/// A path that dies is told within ten seconds, and a path that comes back is as good as before.
#[test]
fn the_only_path_to_libwebrtc_dies_and_comes_back() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut stage = stage(role, &Topology::simple());
        stage.run_until(ms(10_000));
        block(&mut stage, PEER);
        stage.run_until(ms(20_100));
        assert_eq!(stage.bench.agent.state(), ConnectionState::Disconnected);
        unblock(&mut stage, PEER);
        stage.run_until(ms(23_000));
        assert_eq!(stage.bench.agent.state(), ConnectionState::Completed);
        stage.run_until_agreed(Duration::from_secs(5));
        stage.assert_data_flows();
        block(&mut stage, PEER);
        stage.run_for(Duration::from_secs(31));
        let lost = |(_, event): &(_, Event)| matches!(event, Event::RestartNeeded);
        assert_eq!(stage.bench.events.iter().filter(|event| lost(event)).count(), 1);
        assert!(stage.send().is_err());
        assert_content(&stage);
    }
}

/// mediasoup #1585, str0m #496: the selected path dies, and libwebrtc nominates a worse one.
#[test]
fn libwebrtc_moves_to_a_worse_pair_when_its_path_dies() {
    for (loss, seed) in weathers() {
        let mut stage = stage(Role::Controlled, &Topology::two_paths().with_loss(loss, seed));
        stage.run_until(ms(10_000));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER))));
        block(&mut stage, PEER);
        run_until_given_up(&mut stage, PEER, PEER_2);
        stage.run_until_agreed(Duration::from_secs(5));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER_2))));
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        stage.assert_alive(loss);
        assert_content(&stage);
    }
}

/// The selected path still lives, but its network has become expensive.
#[test]
fn libwebrtc_moves_to_a_worse_pair_that_costs_less() {
    for (loss, seed) in weathers() {
        let mut stage = stage(Role::Controlled, &Topology::two_paths().with_loss(loss, seed));
        stage.run_until(ms(10_000));
        stage.peer.set_cost(addr(PEER), 900);
        run_until_moved(&mut stage, PEER_2, Duration::from_secs(7));
        stage.run_until_agreed(Duration::from_secs(15));
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        stage.assert_alive(loss);
        assert_content(&stage);
    }
}

/// From one network to another that was never signalled, and that the first does not outlive.
#[test]
fn libwebrtc_roams_to_a_network_that_was_not_signalled() {
    for (loss, seed) in weathers() {
        let topology = Topology { signalled: 1, ..Topology::two_paths() }.with_loss(loss, seed);
        let mut stage = stage(Role::Controlled, &topology);
        stage.run_until(ms(10_000));
        block(&mut stage, PEER);
        stage.peer.add_network(ms(10_000), addr(PEER_2), host_priority(1), 900);
        run_until_given_up(&mut stage, PEER, PEER_2);
        stage.run_until_agreed(Duration::from_secs(5));
        assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER_2))));
        stage.run_for(Duration::from_secs(60));
        stage.assert_data_flows();
        stage.assert_alive(loss);
        assert_content(&stage);
    }
}
