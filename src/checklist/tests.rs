//! What the tests of the checklist rules have in common: candidates and pairs that are written
//! as numbers.

mod forming;
mod limit;
mod mirror;
mod operations;
mod scheduling;
mod states;
mod trickle;

use crate::candidate::CandidateTransport;
use crate::config::Role;
use crate::id::{CandidateId, Id, PairId, StreamId};

use super::{CandidatePair, ChecklistSet, Endpoint, PairState, Reach, ValidPair};

/// RFC 8445 §6.1.2.5
const DEFAULT_LIMIT: usize = 100;

/// A pair by the numbers of its local and its remote candidate.
type Numbers = (u32, u32);

/// No pairs. Its type is written out, as other crates compare pairs of numbers with types of theirs.
const NONE: [Numbers; 0] = [];

fn stream(list: u32) -> StreamId {
    StreamId::new(list)
}

fn candidate(number: u32) -> CandidateId {
    CandidateId::new(number)
}

fn udp(ip: &str) -> Reach {
    Reach::new(ip.parse().unwrap(), CandidateTransport::Udp)
}

/// A UDP candidate on IPv4.
fn endpoint(number: u32, priority: u32, foundation: u16) -> Endpoint {
    Endpoint { id: candidate(number), priority, foundation, reach: udp("192.0.2.1") }
}

/// A controlling side whose streams 0, 1, … have so many components each.
fn controlling(limit: usize, components: &[u16]) -> ChecklistSet {
    let mut set = ChecklistSet::new(Role::Controlling, limit);
    for (list, &components) in (0..).zip(components) {
        set.add_list(stream(list), components);
    }
    set
}

/// Adds a host candidate.
fn local(set: &mut ChecklistSet, list: u32, component: u16, endpoint: Endpoint) {
    set.add_local(stream(list), component, endpoint, endpoint.id);
}

fn remote(set: &mut ChecklistSet, list: u32, component: u16, endpoint: Endpoint) {
    set.add_remote(stream(list), component, endpoint);
}

/// Inserts a pair as a peer's check from a new address does, and puts it into the queue.
fn trigger_new(
    set: &mut ChecklistSet,
    list: u32,
    component: u16,
    local: Endpoint,
    remote: Endpoint,
) -> PairId {
    let id = set.insert(stream(list), component, local, remote).unwrap();
    set.annotate(id).unwrap().heard = true;
    set.trigger(id);
    id
}

fn numbers(pair: &CandidatePair) -> Numbers {
    (pair.local.get(), pair.remote.get())
}

fn id(set: &ChecklistSet, (local, remote): Numbers) -> PairId {
    set.find(candidate(local), candidate(remote)).unwrap()
}

fn pair(set: &ChecklistSet, numbers: Numbers) -> &CandidatePair {
    set.get(id(set, numbers)).unwrap()
}

fn state(set: &ChecklistSet, numbers: Numbers) -> PairState {
    pair(set, numbers).state
}

/// The listed pairs of a list, best first.
fn order(set: &ChecklistSet, list: usize) -> Vec<Numbers> {
    set.listed(list).map(|(_, pair)| numbers(pair)).collect()
}

/// The states of the listed pairs of a list, best first.
fn states(set: &ChecklistSet, list: usize) -> Vec<PairState> {
    set.listed(list).map(|(_, pair)| pair.state).collect()
}

fn next(set: &mut ChecklistSet, list: usize) -> Option<Numbers> {
    let id = set.next_check(list)?;
    set.get(id).map(numbers)
}

/// The checks that a list makes without hearing of any result.
fn checks(set: &mut ChecklistSet, list: usize) -> Vec<Numbers> {
    core::iter::from_fn(|| next(set, list)).collect()
}

fn succeed(set: &mut ChecklistSet, numbers: Numbers) {
    let id = id(set, numbers);
    set.succeed(id);
}

fn fail(set: &mut ChecklistSet, numbers: Numbers) {
    let id = id(set, numbers);
    set.fail(id);
}

/// A check of the pair has succeeded, and the peer saw it come from the pair's own local candidate.
fn validate(set: &mut ChecklistSet, id: PairId) {
    set.succeed(id);
    let pair = set.annotate(id).unwrap();
    pair.valid = Some(ValidPair {
        local: pair.local,
        generated_by: id,
        local_priority: pair.local_priority,
        priority: pair.priority,
    });
}
