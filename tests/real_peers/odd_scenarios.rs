//! Peers with one odd habit each.

use std::time::Duration;

use frazil::{
    AgentConfig, ConnectionState, Event, Ignored, Parameters, Role, SendError, Timestamp,
};

use super::hand::Packet;
use super::odd::{Answers, Claim, Odd};
use super::stage::{AGENT, PEER, PEER_2, Peer, Stage, Topology, weathers};
use crate::common::{Sent, addr, ms};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];

fn stage(role: Role, topology: &Topology, script: impl Fn(Odd) -> Odd) -> Stage<Odd> {
    Stage::new(AgentConfig::new(role), topology, |bench| script(Odd::new(bench, topology)))
}

/// An agent of either role before a lite peer, which sends nothing of its own accord.
fn lite(role: Role, topology: &Topology, script: impl Fn(Odd) -> Odd) -> Stage<Odd> {
    let told = |credentials| {
        let mut parameters = Parameters::new(credentials);
        parameters.lite = true;
        parameters
    };
    Stage::told(AgentConfig::new(role), topology, told, |bench| {
        script(Odd::new(bench, topology).lite())
    })
}

fn role_changes(stage: &Stage<Odd>) -> usize {
    let changes = stage.bench.events.iter();
    changes.filter(|(_, event)| matches!(event, Event::RoleChanged(_))).count()
}

fn time_of(stage: &Stage<Odd>, which: fn(&Event) -> bool) -> Option<Timestamp> {
    stage.bench.events.iter().find(|(_, event)| which(event)).map(|(at, _)| *at)
}

/// How long an agent may take to settle on the only path, 40 ms there and back. The peer
/// nominates with its second check.
fn bound(role: Role, loss: u32) -> Duration {
    match (loss, role) {
        // (n-1)Ta + max(2d, Ta) + 2d, and a slot for rounding.
        (0, Role::Controlling) => Duration::from_millis(140),
        (0, Role::Controlled) => Duration::from_millis(220),
        (5, _) => Duration::from_millis(2_500),
        _ => Duration::from_secs(8),
    }
}

#[test]
fn a_lite_peer_is_connected_to_with_one_nomination_and_kept() {
    for (loss, seed) in weathers() {
        for role in ROLES {
            let mut stage = lite(role, &Topology::simple().with_loss(loss, seed), |peer| peer);
            assert_eq!(stage.bench.agent.role(), Role::Controlling);
            stage.run_until_selected(bound(Role::Controlling, loss));
            stage.assert_data_flows();
            stage.run_for(Duration::from_secs(120));
            assert_eq!((stage.nominations().len(), stage.selections()), (1, 1));
            stage.assert_data_flows();
            stage.assert_alive(loss);
            stage.assert_orderly();
        }
    }
}

#[test]
fn a_slow_peer_is_waited_for() {
    for role in ROLES {
        for lite_peer in [true, false] {
            let topology = Topology::simple();
            let slow = |peer: Odd| peer.answering(Answers::After(Duration::from_secs(3)));
            let mut stage =
                if lite_peer { lite(role, &topology, slow) } else { stage(role, &topology, slow) };
            // A check, a nomination, each answered after three seconds.
            stage.run_until_selected(Duration::from_millis(6_300));
            stage.run_for(Duration::from_secs(120));
            stage.assert_data_flows();
            assert_eq!(stage.selections(), 1);
            if stage.bench.agent.role() == Role::Controlling {
                assert_eq!(stage.nominations().len(), 1);
            }
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
}

#[test]
fn a_peer_that_answers_twice_changes_nothing() {
    for (loss, seed) in weathers() {
        for role in ROLES {
            let topology = Topology::simple().with_loss(loss, seed);
            let mut stage = stage(role, &topology, |peer| peer.answering(Answers::Twice));
            stage.run_until_selected(bound(role, loss));
            stage.run_for(Duration::from_secs(60));
            stage.assert_data_flows();
            assert_eq!(stage.selections(), 1);
            assert!(stage.bench.agent.counters().ignored(Ignored::UnknownTransaction) > 0);
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
}

/// RFC 8445 §7.2.5.2.1. str0m's `is` took such answers.
#[test]
fn regression_is_accepts_answers_from_another_port() {
    for role in ROLES {
        let elsewhere = |peer: Odd| peer.answering(Answers::FromPort(6_666));
        let mut stage = stage(role, &Topology::simple(), elsewhere);
        stage.run_for(Duration::from_secs(60));
        assert_eq!(stage.send(), Err(SendError::NotConnected));
        assert!(stage.states().iter().all(|state| *state != ConnectionState::Connected));
        // Only what it signalled; an answer is no check, and discovers nobody.
        assert_eq!(stage.bench.agent.remote_candidates().count(), 1);
        stage.assert_orderly();
        // Its own checks were all answered.
        assert!(stage.peer.successes > 290, "{}", stage.peer.successes);
    }
    let mut stage = lite(Role::Controlling, &Topology::simple(), |peer| {
        peer.answering(Answers::FromPort(6_666))
    });
    stage.run_until(ms(39_600));
    assert_eq!(stage.states(), [ConnectionState::Checking, ConnectionState::Failed]);
}

/// RFC 7675 §5.1: what the peer sends is no consent.
#[test]
fn a_peer_that_checks_but_never_answers_loses_its_data_after_thirty_seconds() {
    for role in ROLES {
        let last = ms(2_000);
        let mut stage =
            stage(role, &Topology::simple(), |peer| peer.answering(Answers::Until(last)));
        stage.run_until_selected(bound(role, 0));
        stage.run_until(ms(29_000));
        assert!(stage.send().is_ok());
        assert!(stage.states().iter().all(|state| *state != ConnectionState::Disconnected));
        stage.run_until(ms(45_000));
        assert_eq!(stage.send(), Err(SendError::NotConnected));
        let lost = time_of(&stage, |event| matches!(event, Event::ConsentLost { .. })).unwrap();
        assert!(lost > ms(30_000) && lost <= ms(32_100), "{lost:?}");
        assert_eq!(time_of(&stage, |event| matches!(event, Event::RestartNeeded)), Some(lost));
        stage.assert_orderly();
        // It asked more often when answers failed to come, within reason, and then no more.
        let asked = |from: u64, until: u64| {
            let within =
                |sent: &&Sent| sent.is_request() && sent.at > ms(from) && sent.at <= ms(until);
            stage.bench.sent.iter().filter(within).count()
        };
        assert!((3..60).contains(&asked(2_000, 32_100)), "{}", asked(2_000, 32_100));
        assert_eq!(asked(32_200, 45_000), 0);
    }
}

#[test]
fn a_peer_that_lies_about_its_role_changes_ours_once_at_most() {
    for role in ROLES {
        for claim in [
            Claim::Always(Role::Controlling),
            Claim::Always(Role::Controlled),
            Claim::Alternating,
            Claim::TheAgents,
        ] {
            for seed in 1..=6 {
                let topology = Topology::simple().with_loss(0, seed);
                let mut stage = stage(role, &topology, |peer| peer.claiming(claim));
                stage.run_until(ms(1_000));
                assert!(stage.states().contains(&ConnectionState::Connected));
                stage.run_for(Duration::from_secs(60));
                assert!(role_changes(&stage) <= 1, "{claim:?}: {}", role_changes(&stage));
                stage.assert_data_flows();
                stage.assert_never_disconnected();
                stage.assert_orderly();
            }
        }
    }
}

/// Whoever answers 487 to everything is not connected to, and gets a check for each slot at most.
#[test]
fn a_peer_that_answers_487_to_everything_gets_no_more_than_a_check_a_slot() {
    for role in ROLES {
        let topology = Topology::simple();
        let conflict = |peer: Odd| peer.answering(Answers::RoleConflict);
        for mut stage in [lite(role, &topology, conflict), stage(role, &topology, conflict)] {
            stage.run_until(ms(60_000));
            assert_eq!(stage.send(), Err(SendError::NotConnected));
            assert!(stage.peer.requests <= 1_200, "{}", stage.peer.requests);
            stage.assert_orderly();
        }
    }
}

/// ice4j puts USERNAME into its success responses, where it does not belong (RFC 8445 §7.2.2).
#[test]
fn ice4j_puts_its_username_into_answers() {
    for (loss, seed) in weathers() {
        for role in ROLES {
            let topology = Topology::simple().with_loss(loss, seed);
            let mut stage = stage(role, &topology, |peer| peer.answering(Answers::WithUsername));
            stage.run_until_selected(bound(role, loss));
            stage.run_for(Duration::from_secs(60));
            stage.assert_data_flows();
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
}

/// libjuice changes its role in every conflict of two controlled sides, and does not answer the
/// check that made it change. Both sides still end in opposite roles, after few changes.
#[test]
fn libjuice_switches_its_role_without_an_answer() {
    let mut switches = 0;
    for role in ROLES {
        for (loss, seed) in weathers() {
            let topology = Topology::simple().with_loss(loss, seed);
            let juice = |peer: Odd| peer.answering(Answers::Libjuice).claiming(Claim::Own(role));
            let mut stage = stage(role, &topology, juice);
            stage.run_until_selected(bound(Role::Controlling, loss) + Duration::from_secs(1));
            stage.run_for(Duration::from_secs(60));
            let controlling = stage.bench.agent.role() == Role::Controlling;
            assert_ne!(controlling, stage.peer.hand().controlling);
            assert!(role_changes(&stage) + stage.peer.switches <= 3);
            switches += stage.peer.switches;
            stage.assert_data_flows();
            stage.assert_alive(loss);
            stage.assert_orderly();
        }
    }
    assert!(switches > 0);
}

/// V12, decision 19: consent on the one pair has expired, but the other was never valid. When the
/// peer checks and nominates that one, the session is connected again.
#[test]
fn a_check_on_another_pair_revives_a_session_that_has_lost_consent() {
    for heard in [false, true] {
        let mut stage = stage(Role::Controlled, &Topology::two_paths(), |peer| peer);
        let agent = addr(AGENT).ip();
        stage.network.block_between(agent, addr(PEER_2).ip());
        stage.run_until_selected(Duration::from_secs(1));
        stage.run_until(ms(5_000));
        if heard {
            // One check of the peer, without nomination, after the conclusion.
            stage.network.unblock_between(agent, addr(PEER_2).ip());
            let check = stage.peer.hand.check(1);
            let bytes = stage.peer.hand.seal(check);
            stage.send_all([Packet { from: addr(PEER_2), to: addr(AGENT), bytes }]);
            stage.run_until(ms(6_000));
            stage.network.block_between(agent, addr(PEER_2).ip());
        }
        stage.network.block_between(agent, addr(PEER).ip());
        stage.run_until(ms(45_000));
        assert_eq!(stage.send(), Err(SendError::NotConnected));
        stage.network.unblock_between(agent, addr(PEER_2).ip());
        stage.peer.from = addr(PEER_2);
        stage.run_for(Duration::from_secs(5));
        let selected = stage.selected();
        assert_eq!(selected, Some((addr(AGENT), addr(PEER_2))), "{heard} {:?}", stage.states());
    }
}

/// Whoever answers 487 to everything is not connected to, and is given up in the end.
#[test]
fn a_peer_that_answers_487_to_everything_is_given_up() {
    for role in ROLES {
        for lite_peer in [true, false] {
            let topology = Topology::simple();
            let conflict = |peer: Odd| peer.answering(Answers::RoleConflict);
            let mut stage = if lite_peer {
                lite(role, &topology, conflict)
            } else {
                stage(role, &topology, conflict)
            };
            stage.run_for(Duration::from_secs(60));
            assert_eq!(stage.send(), Err(SendError::NotConnected));
            stage.assert_orderly();
            assert_eq!(stage.bench.agent.state(), ConnectionState::Failed);
        }
    }
}
