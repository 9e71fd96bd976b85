//! What the agent can tell of itself now, as JSON. Where webrtc-stats of the W3C has a name for a
//! value, it has that name.

use std::fmt;
use std::net::SocketAddr;

use frazil::{CandidateView, GatheringState, PairView, StreamId, Timestamp, Transport};
use serde_json::{Map, Value, json};

use crate::driver::{COMPONENT, Driver, words};

pub(crate) fn report(driver: &Driver, stream: StreamId, now: Timestamp) -> Value {
    let agent = &driver.agent;
    let selected = agent.selected_pair(stream, COMPONENT);
    json!({
        // Milliseconds since the process began.
        "timestamp": now.as_duration().as_secs_f64() * 1e3,
        "transport": {
            "iceRole": words::role(agent.role()),
            "iceState": words::state(agent.state()),
            "iceGatheringState": gathering(agent.gathering_state()),
            "iceLocalUsernameFragment": agent.local_parameters().credentials.ufrag(),
            "selectedCandidatePairId": selected.map(|pair| pair_id(&pair)),
        },
        "candidatePairs": agent.pairs().map(|pair| of_pair(&pair)).collect::<Vec<_>>(),
        "localCandidates": agent.local_candidates().map(|own| local(&own)).collect::<Vec<_>>(),
        "remoteCandidates":
            agent.remote_candidates().map(|theirs| remote(&theirs)).collect::<Vec<_>>(),
        "counters": {
            "ignored": counts(agent.counters().all_ignored()),
            "refused": counts(agent.counters().all_refused()),
            "unsent": driver.unsent.count,
        },
    })
}

fn of_pair(pair: &PairView) -> Value {
    json!({
        "id": pair_id(pair),
        "localCandidateId": local_id(&pair.local),
        "remoteCandidateId": remote_id(&pair.remote),
        "state": words::pair_state(pair.state),
        "nominated": pair.nominated,
        "valid": pair.valid,
        "priority": pair.priority,
        "transmissions": pair.transmissions,
    })
}

fn local(candidate: &CandidateView) -> Value {
    let mut value = of_candidate(candidate);
    if candidate.base != candidate.addr {
        related(&mut value, candidate.base);
    }
    value.insert("id".to_owned(), local_id(candidate).into());
    value.into()
}

fn remote(candidate: &CandidateView) -> Value {
    let mut value = of_candidate(candidate);
    value.insert("id".to_owned(), remote_id(candidate).into());
    value.into()
}

fn of_candidate(candidate: &CandidateView) -> Map<String, Value> {
    let protocol = match candidate.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    };
    Map::from_iter([
        ("candidateType".to_owned(), candidate.kind.to_string().into()),
        ("protocol".to_owned(), protocol.into()),
        ("address".to_owned(), candidate.addr.ip().to_string().into()),
        ("port".to_owned(), candidate.addr.port().into()),
        ("priority".to_owned(), candidate.priority.into()),
    ])
}

fn related(value: &mut Map<String, Value>, base: SocketAddr) {
    value.insert("relatedAddress".to_owned(), base.ip().to_string().into());
    value.insert("relatedPort".to_owned(), base.port().into());
}

/// Counts by their reason, all of them.
fn counts(of: impl Iterator<Item = (impl fmt::Debug, u64)>) -> Map<String, Value> {
    of.map(|(reason, count)| (camel_case(&reason), count.into())).collect()
}

/// The name of an enum's variant, as JSON names things.
fn camel_case(variant: &impl fmt::Debug) -> String {
    let mut name = format!("{variant:?}");
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}

const fn gathering(state: GatheringState) -> &'static str {
    match state {
        GatheringState::New => "new",
        GatheringState::Gathering => "gathering",
        GatheringState::Complete => "complete",
    }
}

fn pair_id(pair: &PairView) -> String {
    format!("pair-{}", pair.id.get())
}

// The two kinds are numbered apart.
fn local_id(candidate: &CandidateView) -> String {
    format!("local-{}", candidate.id.get())
}

fn remote_id(candidate: &CandidateView) -> String {
    format!("remote-{}", candidate.id.get())
}
