//! The trace: what it tells of a session, that it is bounded, and that it changes nothing.

mod common;
#[path = "common/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::time::Duration;

use frazil::trace::{CheckPurpose, TraceAddresses, TraceData, TraceEvent, TraceHeader};
use frazil::{
    AgentConfig, CandidateKind, ConfigError, ConnectionState, Event, IceAgent, LocalAddress,
    PairCause, PairId, PairState, Role, Timestamp,
};
use serde_json::Value;
use wire::Wire;

const TA: Duration = Duration::from_millis(50);
const DELAY: Duration = Duration::from_millis(10);

fn traced(mut config: AgentConfig, seed: [u8; 32]) -> Result<IceAgent, ConfigError> {
    config.trace = true;
    IceAgent::new(config, seed)
}

fn drain(agent: &mut IceAgent) -> Vec<TraceEvent> {
    std::iter::from_fn(|| agent.poll_trace()).collect()
}

/// Two traced agents with so many candidates each that have connected.
fn session(hosts: usize) -> (Wire, [Vec<TraceEvent>; 2]) {
    let mut wire = Wire::of(traced, [hosts; 2], TA, DELAY, 1);
    wire.start();
    wire.run(Timestamp::from_millis(10_000));
    let traces = wire.agents.each_mut().map(drain);
    (wire, traces)
}

#[test]
fn an_agent_that_is_traced_does_what_one_does_that_is_not() {
    let mut traced = Wire::of(traced, [5; 2], TA, DELAY, 1);
    let mut plain = Wire::new([5; 2], TA, DELAY, 1);
    for wire in [&mut traced, &mut plain] {
        wire.transmits = Some(Default::default());
        wire.start();
        wire.run(Timestamp::from_millis(10_000));
    }
    assert_eq!(traced.transmits, plain.transmits);
    for (one, other) in traced.agents.iter().zip(&plain.agents) {
        assert_eq!(one.state_digest(), other.state_digest());
        assert_eq!(one.poll_timeout(), other.poll_timeout());
    }
    assert_eq!(plain.agents[0].poll_trace(), None);
}

/// The pairs with their states as the events tell them. Each event begins where the one before ended,
/// and candidates are told before pairs of them.
fn follow(trace: &[TraceEvent]) -> BTreeMap<PairId, PairState> {
    let mut pairs = BTreeMap::new();
    let mut candidates = (Vec::new(), Vec::new());
    for event in trace {
        match &event.data {
            TraceData::LocalCandidate(view) => candidates.0.push(view.id),
            TraceData::RemoteCandidate(view) => candidates.1.push(view.id),
            TraceData::PairFormed { pair, local, remote, state, .. } => {
                assert!(candidates.0.contains(local) && candidates.1.contains(remote));
                assert_eq!(pairs.insert(*pair, *state), None);
            }
            TraceData::PairState { pair, from, to, .. } => {
                assert_eq!(pairs.insert(*pair, *to), Some(*from));
            }
            TraceData::PairRemoved { pair, state, .. } => {
                assert_eq!(pairs.remove(pair), Some(*state));
            }
            TraceData::EventsLost { .. } => panic!("there was room"),
            _ => {}
        }
    }
    pairs
}

fn known(agent: &IceAgent) -> BTreeMap<PairId, PairState> {
    agent.pairs().map(|pair| (pair.id, pair.state)).collect()
}

#[test]
fn the_trace_alone_gives_the_checklist() {
    for hosts in [1, 4, 12] {
        let (wire, traces) = session(hosts);
        for (agent, trace) in wire.agents.iter().zip(&traces) {
            assert_eq!(follow(trace), known(agent));
        }
    }
}

/// With the limit pairs are displaced, with dead pairs ahead they are retired, and a restart removes
/// what was there.
#[test]
fn the_trace_alone_gives_the_checklist_at_the_limit_and_over_a_restart() {
    let limited = |mut config: AgentConfig, seed| {
        config.limits.pairs = 6;
        config.limits.trace = u16::MAX;
        traced(config, seed)
    };
    let mut wire = Wire::of(limited, [5; 2], Duration::from_millis(5), DELAY, 1);
    wire.only_last([5; 2]);
    wire.start();
    wire.run(Timestamp::from_millis(10_000));
    assert!(wire.selected.iter().all(Option::is_some));
    let now = wire.now;
    let mut traces = wire.agents.each_mut().map(drain);
    let [one, other] = &mut wire.agents;
    let offer = one.prepare_restart(now).unwrap();
    other.set_remote(now, offer).unwrap();
    one.set_remote(now, other.local_parameters()).unwrap();
    for (from, to) in [(0, 1), (1, 0)] {
        while let Some(event) = wire.agents[from].poll_event(now) {
            if let Event::LocalCandidate { candidate, .. } = event {
                wire.agents[to].add_remote_candidate(now, wire.stream, &candidate).unwrap();
            }
        }
    }
    wire.selected = [None; 2];
    wire.run(now + Duration::from_secs(5));
    assert!(wire.selected.iter().all(Option::is_some));
    // Until the old generation is forgotten.
    wire.selected = [None; 2];
    wire.run(now + Duration::from_secs(60));
    for (agent, trace) in wire.agents.iter_mut().zip(&mut traces) {
        trace.extend(drain(agent));
        assert_eq!(follow(trace), known(agent));
    }
    let causes: Vec<PairCause> = traces
        .iter()
        .flatten()
        .filter_map(|event| match event.data {
            TraceData::PairRemoved { cause, .. } => Some(cause),
            _ => None,
        })
        .collect();
    for cause in [PairCause::Concluded, PairCause::Retired, PairCause::Restart] {
        assert!(causes.contains(&cause), "{cause:?}");
    }
}

#[test]
fn times_never_run_backwards_and_states_come_in_order() {
    let (_, traces) = session(3);
    for trace in traces {
        assert!(trace.is_sorted_by_key(|event| event.at));
        let states: Vec<ConnectionState> = trace
            .iter()
            .filter_map(|event| match event.data {
                TraceData::ConnectionState(state) => Some(state),
                _ => None,
            })
            .collect();
        use ConnectionState::{Checking, Completed, Connected};
        assert_eq!(states, [Checking, Connected, Completed]);
    }
}

#[test]
fn every_check_that_one_side_sends_is_received_and_answered_by_the_other() {
    let (_, [one, other]) = session(2);
    let (mut sent, mut arrived, mut answered, mut nominations) = (0, 0, 0, 0);
    for event in &one {
        let TraceData::CheckSent { message, use_candidate, attempt, purpose, .. } = event.data
        else {
            continue;
        };
        assert_eq!(attempt, 1);
        sent += 1;
        nominations += usize::from(use_candidate);
        assert_eq!(use_candidate, purpose == CheckPurpose::Nominate);
        arrived += other
            .iter()
            .filter(|event| match event.data {
                TraceData::CheckReceived { message: id, use_candidate: nominates, .. } => {
                    id == message && nominates == use_candidate
                }
                _ => false,
            })
            .count();
        answered += one
            .iter()
            .filter(|event| match event.data {
                TraceData::ResponseReceived {
                    message: id, round_trip, error, symmetric, ..
                } => {
                    assert!(symmetric && error.is_none());
                    id == message && round_trip == Some(2 * DELAY)
                }
                _ => false,
            })
            .count();
    }
    assert!(sent > 1);
    assert_eq!((arrived, answered, nominations), (sent, sent, 1));
}

#[test]
fn a_pair_that_nobody_answers_is_told_with_every_attempt_and_its_cause() {
    let mut wire = Wire::of(traced, [1; 2], TA, DELAY, 1);
    wire.only_last([2, 2]); // addresses that nobody has
    wire.start();
    for agent in &mut wire.agents {
        agent.end_of_remote_candidates(wire.now, None);
    }
    wire.run(Timestamp::from_millis(60_000));
    let trace = drain(&mut wire.agents[0]);
    let attempts: Vec<u8> = trace
        .iter()
        .filter_map(|event| match event.data {
            TraceData::CheckSent { attempt, purpose: CheckPurpose::Decide, .. } => Some(attempt),
            _ => None,
        })
        .collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 6, 7]);
    let expired = trace.iter().position(|event| {
        matches!(
            event.data,
            TraceData::CheckExpired {
                purpose: CheckPurpose::Decide,
                attempts: 7,
                cancelled: false,
                ..
            }
        )
    });
    let failed = trace.iter().position(|event| {
        matches!(
            event.data,
            TraceData::PairState {
                from: PairState::InProgress,
                to: PairState::Failed,
                cause: PairCause::CheckFailed,
                ..
            }
        )
    });
    assert!(expired.unwrap() < failed.unwrap());
    let last = trace.iter().rev().find_map(|event| match event.data {
        TraceData::ConnectionState(state) => Some(state),
        _ => None,
    });
    assert_eq!(last, Some(ConnectionState::Failed));
}

#[test]
fn what_finds_no_room_is_counted_in_its_place() {
    let limited = |mut config: AgentConfig, seed| {
        config.limits.trace = 10;
        traced(config, seed)
    };
    let (_, [whole, _]) = session(4);
    let mut wire = Wire::of(limited, [4; 2], TA, DELAY, 1);
    wire.start();
    wire.run(Timestamp::from_millis(10_000));
    let kept = drain(&mut wire.agents[0]);
    assert_eq!(kept[..10], whole[..10]);
    let lost = u64::try_from(whole.len() - 10).unwrap();
    assert_eq!(kept[10].data, TraceData::EventsLost { count: lost });
    assert_eq!(kept.len(), 11);
    // There is room again.
    let now = wire.now;
    wire.agents[0].close(now);
    let [TraceEvent { data: TraceData::ConnectionState(ConnectionState::Closed), .. }] =
        drain(&mut wire.agents[0])[..]
    else {
        panic!()
    };
}

#[test]
fn candidates_that_come_and_go_are_told() {
    let mut agent = traced(AgentConfig::new(Role::Controlling), [1; 32]).unwrap();
    let now = Timestamp::from_millis(3);
    let stream = agent.streams().next().unwrap();
    let base = "10.0.0.1:1000".parse().unwrap();
    let id = agent.add_local(now, stream, 1, LocalAddress::udp(base)).unwrap();
    let mapped =
        LocalAddress::reflexive("192.0.2.1:2000".parse().unwrap(), base, [9, 9, 9, 9].into());
    agent.add_local(now, stream, 1, mapped).unwrap();
    agent.remove_local(now, id).unwrap();
    let trace = drain(&mut agent);
    assert!(trace.iter().all(|event| event.at == now));
    let candidates: Vec<_> = trace
        .iter()
        .filter_map(|event| match &event.data {
            TraceData::LocalCandidate(view) => Some(Some((view.kind, view.addr.to_string()))),
            TraceData::LocalCandidateRemoved(_) => Some(None),
            _ => None,
        })
        .collect();
    let told = |kind, addr: &str| Some((kind, addr.to_owned()));
    assert_eq!(
        candidates,
        [
            told(CandidateKind::Host, "10.0.0.1:1000"),
            told(CandidateKind::ServerReflexive, "192.0.2.1:2000"),
            None,
            None,
        ]
    );
}

#[test]
fn every_event_is_one_json_object_on_one_line() {
    let (_, traces) = session(3);
    for event in traces.iter().flatten() {
        let text = event.json(&TraceAddresses::Shown).to_string();
        assert!(!text.contains('\n'));
        let value: Value = serde_json::from_str(&text).unwrap();
        let name = value["name"].as_str().unwrap();
        assert_eq!(name, format!("ice:{}", event.data.name()));
        let millis = value["time"].as_f64().unwrap();
        assert!((millis - event.at.as_duration().as_secs_f64() * 1e3).abs() < 1e-6);
        assert!(value["data"].is_object());
    }
    let header = TraceHeader { title: "a \"title\"\n\u{1e}" }.to_string();
    let header: Value = serde_json::from_str(&header).unwrap();
    assert_eq!(header["format"], "frazil-trace");
    assert_eq!(header["version"], 1);
    assert_eq!(header["title"], "a \"title\"\n\u{1e}");
}

/// What is told is described.
#[test]
fn the_documentation_names_every_event_and_field() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/trace.md")).unwrap();
    let (_, traces) = session(12);
    for event in traces.iter().flatten() {
        let value: Value =
            serde_json::from_str(&event.json(&TraceAddresses::Shown).to_string()).unwrap();
        let name = event.data.name();
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not described"));
        for field in value["data"].as_object().unwrap().keys() {
            assert!(row.contains(&format!("`{field}`")), "{name}: {field} is not described");
        }
    }
}

#[test]
fn no_address_is_in_a_redacted_trace_and_the_same_one_has_the_same_pseudonym() {
    let addresses = |key| TraceAddresses::Pseudonyms { key: [key; 32] };
    let written = |trace: &[TraceEvent], shown: &TraceAddresses| -> String {
        trace.iter().map(|event| event.json(shown).to_string() + "\n").collect()
    };
    let (_, [one, other]) = session(2);
    let redacted = written(&one, &addresses(1));
    assert!(!redacted.contains("10.0.0.1") && !redacted.contains("10.1.0.1"));
    assert!(written(&one, &TraceAddresses::Shown).contains("10.0.0.1:5000"));
    let candidate = |trace: &[TraceEvent], name: &str, shown: &TraceAddresses| {
        let text = written(trace, shown);
        let line = text.lines().find(|line| line.contains(&format!("\"ice:{name}\""))).unwrap();
        let value: Value = serde_json::from_str(line).unwrap();
        value["data"]["address"].as_str().unwrap().to_owned()
    };
    let own = candidate(&one, "local_candidate", &addresses(1));
    assert!(own.starts_with("private4-") && own.ends_with(":5000"), "{own}");
    assert_eq!(own, candidate(&other, "remote_candidate", &addresses(1)));
    assert_ne!(own, candidate(&one, "local_candidate", &addresses(2)));
    assert_ne!(own, candidate(&one, "remote_candidate", &addresses(1)));
    assert!(!format!("{:?}", addresses(7)).contains('7'));
}
