//! Trickle ICE (RFC 8838): when candidates are conveyed and paired, what a late one does to pairs
//! that exist, and when there are no more; and what order multihoming gives them (RFC 8421).

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{
    Bench, ERROR, MESSAGE_INTEGRITY, Message, PEER_PWD, PEER_UFRAG, Sent, USE_CANDIDATE, addr, ms,
    plain,
};
use frazil::sim::{Link, World};
use frazil::{
    AddLocalError, AddRemoteError, AgentConfig, Candidate, CandidateAddress, CandidateKind,
    ConnectionState, Credentials, Event, GatheringState, IceAgent, LocalAddress, PairState,
    PairView, Parameters, Received, Role, SendError, Signalling, StreamId, Timestamp,
};

const L: &str = "10.0.0.1:1000";
const L2: &str = "10.0.0.2:1000";
const R: &str = "10.1.0.1:2000";
const R2: &str = "10.1.0.2:2000";
const R3: &str = "10.1.0.3:2000";

fn with_components(role: Role, components: u16) -> AgentConfig {
    let mut config = plain(role);
    config.components = components;
    config
}

fn peer_parameters() -> Parameters {
    Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap())
}

/// An agent with these local candidates, whose peer has told its parameters.
fn started(config: AgentConfig, locals: &[&str]) -> Bench {
    let mut bench = Bench::with(config);
    for local in locals {
        bench.add_local(local);
    }
    bench.start();
    bench
}

fn add_local(bench: &mut Bench, stream: StreamId, component: u16, local: &str) {
    let local = LocalAddress::udp(addr(local));
    bench.agent.add_local(bench.now, stream, component, local).unwrap();
    bench.drain();
}

/// A line of a remote host candidate.
fn line(foundation: &str, component: u16, priority: u32, at: &str) -> String {
    let at = addr(at);
    format!("{foundation} {component} UDP {priority} {} {} typ host", at.ip(), at.port())
}

fn add_remote(
    bench: &mut Bench,
    stream: StreamId,
    line: &str,
) -> Result<frazil::CandidateId, AddRemoteError> {
    let candidate: Candidate = line.parse().unwrap();
    let added = bench.agent.add_remote_candidate(bench.now, stream, &candidate);
    bench.drain();
    added
}

fn end_of_candidates(bench: &mut Bench) {
    bench.agent.end_of_remote_candidates(bench.now, Some(PEER_UFRAG));
    bench.drain();
}

fn requests_to(bench: &Bench, to: &str) -> Vec<Sent> {
    bench.requests().into_iter().filter(|request| request.to == addr(to)).collect()
}

fn transactions_to(bench: &Bench, to: &str) -> BTreeSet<[u8; 12]> {
    requests_to(bench, to).iter().map(Sent::id).collect()
}

/// The destinations of the requests, each at its first transmission.
fn order(bench: &Bench) -> Vec<String> {
    let mut seen = Vec::new();
    let mut order = Vec::new();
    for request in bench.requests() {
        if !seen.contains(&request.id()) {
            seen.push(request.id());
            order.push(request.to.to_string());
        }
    }
    order
}

fn pairs_with(bench: &Bench, remote: &str) -> Vec<PairView> {
    bench.agent.pairs().filter(|pair| pair.remote.addr == addr(remote)).collect()
}

fn pair_with(bench: &Bench, remote: &str) -> PairView {
    let pairs = pairs_with(bench, remote);
    assert_eq!(pairs.len(), 1, "pairs with {remote}");
    pairs[0]
}

fn refuse(bench: &mut Bench, request: &Sent) {
    let refusal = Message::new(ERROR, request.id()).error_code(400).integrity(PEER_PWD);
    let _ = bench.feed(&request.from.to_string(), &request.to.to_string(), &refusal.fingerprint());
}

fn states(bench: &Bench) -> Vec<ConnectionState> {
    bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::ConnectionState(state) => Some(*state),
            _ => None,
        })
        .collect()
}

fn conveyed(bench: &Bench) -> Vec<Candidate> {
    bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.clone()),
            _ => None,
        })
        .collect()
}

fn selections(bench: &Bench) -> usize {
    bench.events.iter().filter(|(_, event)| matches!(event, Event::SelectedPair { .. })).count()
}

/// A nomination that the peer sends, or a plain check, from an address to a local one.
fn peer_check(bench: &mut Bench, local: &str, remote: &str, nominate: bool) {
    assert_eq!(bench.send_check(local, remote, nominate), Received::Consumed);
}

// Conveying

/// T1: RFC 8838 §10 (1). A local candidate is not paired before it was conveyed, which is when its
/// event is polled.
#[test]
fn a_local_candidate_is_paired_when_its_event_is_polled() {
    let mut bench = Bench::with(plain(Role::Controlling));
    let (now, stream) = (bench.now, bench.stream);
    bench.agent.add_local(now, stream, 1, LocalAddress::udp(addr(L))).unwrap();
    let remote: Candidate = line("1", 1, 1000, R).parse().unwrap();
    bench.agent.add_remote_candidate(now, stream, &remote).unwrap();
    bench.agent.set_remote(now, peer_parameters()).unwrap();
    bench.agent.handle_timeout(ms(100));
    assert!(bench.agent.poll_transmit(ms(100), &mut Vec::new()).is_none());
    assert_eq!(bench.agent.pairs().count(), 0);

    bench.now = ms(200);
    let mut polled = false;
    while let Some(event) = bench.agent.poll_event(bench.now) {
        polled |= matches!(event, Event::LocalCandidate { .. });
    }
    assert!(polled);
    assert_eq!(bench.agent.pairs().count(), 1);
    let sent = bench.drain();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].from, sent[0].to, sent[0].at), (addr(L), addr(R), ms(200)));
}

/// T1: RFC 8838 §10 (1). The same in the middle of a session, and each candidate for itself.
#[test]
fn a_late_local_candidate_is_paired_when_its_event_is_polled() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    bench.add_remote(R, 1000);
    bench.run_until(ms(20));
    let late = LocalAddress::udp(addr(L2));
    bench.agent.add_local(bench.now, bench.stream, 1, late).unwrap();
    bench.agent.handle_timeout(ms(60));
    assert_eq!(bench.agent.pairs().count(), 1);
    bench.now = ms(60);
    bench.drain();
    assert_eq!(bench.agent.pairs().count(), 2);
    assert_eq!(bench.last_request().from, addr(L2));
}

/// T1, decision 14: with complete signalling a candidate is conveyed when the description is taken,
/// and no candidate events come.
#[test]
fn with_complete_signalling_the_description_conveys() {
    let mut config = plain(Role::Controlling);
    config.signalling = Signalling::Complete;
    let mut bench = started(config, &[L, L2]);
    bench.add_remote(R, 1000);
    bench.agent.gather(bench.now);
    bench.run_until(ms(200));
    assert_eq!(bench.agent.pairs().count(), 0);
    assert!(conveyed(&bench).is_empty());

    let description = bench.agent.take_description(bench.now);
    bench.drain();
    assert_eq!(description.candidates.len(), 2);
    assert!(description.end_of_candidates);
    assert_eq!(bench.agent.pairs().count(), 2);
    assert_eq!(bench.requests().len(), 1);
    assert!(conveyed(&bench).is_empty());
}

/// T5: RFC 8838 §13. Past the own end-of-candidates nothing is added in this generation.
#[test]
fn after_the_own_end_of_candidates_no_candidate_is_added() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    bench.agent.gather(bench.now);
    bench.drain();
    let complete = Event::GatheringState(GatheringState::Complete);
    assert!(bench.events.iter().any(|(_, event)| *event == complete));
    let late = LocalAddress::udp(addr(L2));
    assert_eq!(
        bench.agent.add_local(bench.now, bench.stream, 1, late),
        Err(AddLocalError::GatheringComplete)
    );
    bench.drain();
    assert_eq!(conveyed(&bench).len(), 1);
    assert_eq!(bench.agent.local_candidates().count(), 1);
}

/// T5: the candidates come before the end of them.
#[test]
fn the_end_of_candidates_is_told_after_the_last_candidate() {
    let mut bench = Bench::with(plain(Role::Controlling));
    let stream = bench.stream;
    for local in [L, L2] {
        bench.agent.add_local(ms(0), stream, 1, LocalAddress::udp(addr(local))).unwrap();
    }
    bench.agent.gather(ms(0));
    bench.drain();
    let complete = Event::GatheringState(GatheringState::Complete);
    let end = bench.events.iter().position(|(_, event)| *event == complete).unwrap();
    let candidate = |event: &Event| matches!(event, Event::LocalCandidate { .. });
    assert_eq!(bench.events[..end].iter().filter(|(_, event)| candidate(event)).count(), 2);
    assert!(!bench.events[end..].iter().any(|(_, event)| candidate(event)));
}

/// T8, G14: RFC 8838 §9. A candidate with address and base of another is redundant, whatever its
/// priority; also when a check shows the address that is known.
#[test]
fn a_redundant_local_candidate_is_dropped_regardless_of_its_priority() {
    let mut bench = Bench::with(plain(Role::Controlled));
    let mut costly = LocalAddress::udp(addr(L));
    costly.cost = 900;
    bench.agent.add_local(ms(0), bench.stream, 1, costly).unwrap();
    let cheap = LocalAddress::udp(addr(L));
    assert_eq!(bench.agent.add_local(ms(0), bench.stream, 1, cheap), Err(AddLocalError::Duplicate));
    bench.drain();
    bench.start();
    bench.add_remote(R, 1000);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.local_candidates().count(), 1);
    assert_eq!(bench.agent.pairs().count(), 1);
    assert_eq!(conveyed(&bench).len(), 1);
}

/// T11: RFC 8838 §17. Within a foundation a component is conveyed, and paired, before those with
/// higher numbers.
#[test]
fn lower_components_of_a_foundation_are_conveyed_first() {
    let mut bench = Bench::with(with_components(Role::Controlling, 3));
    let (now, stream) = (bench.now, bench.stream);
    for (component, port) in [(3, 1003), (1, 1001), (2, 1002)] {
        let local = LocalAddress::udp(addr(&format!("10.0.0.1:{port}")));
        bench.agent.add_local(now, stream, component, local).unwrap();
    }
    bench.drain();
    let components: Vec<u16> =
        conveyed(&bench).iter().map(|candidate| candidate.component).collect();
    assert_eq!(components, [1, 2, 3]);
    let foundations: BTreeSet<String> =
        conveyed(&bench).iter().map(|candidate| candidate.foundation.to_string()).collect();
    assert_eq!(foundations.len(), 1, "the premise: one foundation");
}

/// T11: candidates of different foundations need not wait for each other.
#[test]
fn candidates_of_other_foundations_keep_their_order() {
    let mut bench = Bench::with(with_components(Role::Controlling, 2));
    let (now, stream) = (bench.now, bench.stream);
    for (component, local) in [(2, "10.0.0.1:1000"), (1, "10.0.0.2:1000")] {
        let local = LocalAddress::udp(addr(local));
        bench.agent.add_local(now, stream, component, local).unwrap();
    }
    bench.drain();
    let components: Vec<u16> =
        conveyed(&bench).iter().map(|candidate| candidate.component).collect();
    assert_eq!(components, [2, 1]);
}

// Late candidates and the pairs that exist

/// T2, T13: RFC 8838 §11 (4). A candidate that is known, of which a check is under way, leaves
/// that check alone.
#[test]
fn a_repeated_candidate_leaves_the_check_in_progress_alone() {
    let mut bench = started(plain(Role::Controlled), &[L]);
    bench.add_remote_line(&line("1", 1, 1000, R));
    let check = bench.last_request();
    bench.run_until(ms(30));
    for again in [line("1", 1, 1000, R), line("2", 1, 2000, R), line("1", 1, 1, R)] {
        bench.add_remote_line(&again);
        assert_eq!(pair_with(&bench, R).state, PairState::InProgress);
    }
    bench.run_until(ms(600));
    assert_eq!(transactions_to(&bench, R), BTreeSet::from([check.id()]));
    let _ = bench.answer(&check);
    assert_eq!(pair_with(&bench, R).state, PairState::Succeeded);
    assert_eq!(bench.agent.remote_candidates().count(), 1);
}

/// T2, T13: nor does it take back what a check has decided.
#[test]
fn a_repeated_candidate_leaves_decided_pairs_alone() {
    let mut bench = started(plain(Role::Controlled), &[L]);
    bench.add_remote_line(&line("1", 1, 2000, R));
    bench.add_remote_line(&line("2", 1, 1000, R2));
    bench.run_until(ms(60));
    let succeeded = requests_to(&bench, R)[0].clone();
    let failed = requests_to(&bench, R2)[0].clone();
    let _ = bench.answer(&succeeded);
    refuse(&mut bench, &failed);
    bench.add_remote_line(&line("1", 1, 2000, R));
    bench.add_remote_line(&line("2", 1, 3000, R2));
    bench.run_until(ms(1000));
    assert_eq!(pair_with(&bench, R).state, PairState::Succeeded);
    assert_eq!(pair_with(&bench, R2).state, PairState::Failed);
    assert_eq!(bench.requests().len(), 2);
}

/// T13: RFC 8838 §9. Delivery is meant to be exactly once; twice makes no second pair.
#[test]
fn a_candidate_that_is_delivered_twice_makes_one_pair() {
    let mut bench = started(plain(Role::Controlled), &[L, L2]);
    let stream = bench.stream;
    let first = add_remote(&mut bench, stream, &line("1", 1, 1000, R)).unwrap();
    let second = add_remote(&mut bench, stream, &line("1", 1, 1000, R)).unwrap();
    assert_eq!(first, second);
    assert_eq!(bench.agent.pairs().count(), 2);
    bench.run_until(ms(400));
    assert_eq!(transactions_to(&bench, R).len(), 2);
    bench.start();
    assert_eq!(bench.agent.pairs().count(), 2, "parameters that are known change nothing either");
}

/// T3: RFC 8838 §11 (4A). A signalled candidate that is known as peer-reflexive is the same one:
/// its pair stays, keeps its state, and takes priority and kind of what was signalled.
#[test]
fn a_signalled_candidate_takes_over_the_discovered_one() {
    for stage in ["in progress", "failed", "succeeded"] {
        let mut bench = started(plain(Role::Controlled), &[L, L2]);
        peer_check(&mut bench, L, R, false);
        let check = bench.last_request();
        let expected = match stage {
            "in progress" => PairState::InProgress,
            "failed" => {
                refuse(&mut bench, &check);
                PairState::Failed
            }
            _ => {
                let _ = bench.answer(&check);
                PairState::Succeeded
            }
        };
        let before = pair_with(&bench, R);
        assert_eq!(before.remote.kind, CandidateKind::PeerReflexive);

        bench.add_remote_line(
            "7 1 UDP 1694498815 10.1.0.1 2000 typ srflx raddr 192.168.0.2 rport 2000",
        );
        let pairs = pairs_with(&bench, R);
        let kept = pairs.iter().find(|pair| pair.local.addr == addr(L)).expect(stage);
        assert_eq!(kept.id, before.id, "{stage}");
        assert_eq!(kept.state, expected, "{stage}");
        assert_eq!(kept.remote.id, before.remote.id, "{stage}");
        assert_eq!(kept.remote.kind, CandidateKind::ServerReflexive, "{stage}");
        assert_eq!(kept.remote.priority, 1_694_498_815, "{stage}");
        let (low, high) = (1_694_498_815_u64, u64::from(kept.local.priority));
        assert_eq!(kept.priority, (low << 32) + 2 * high, "{stage}");
        assert_eq!(bench.agent.remote_candidates().count(), 1, "{stage}");
        assert_eq!(pairs.len(), 2, "{stage}: now it is paired with the other local candidate too");

        if stage == "in progress" {
            let _ = bench.answer(&check);
            let kept = pairs_with(&bench, R).into_iter().find(|pair| pair.id == before.id);
            assert_eq!(kept.unwrap().state, PairState::Succeeded);
        }
    }
}

/// T3: RFC 8838 §11 (4A). The list is sorted anew: the pair that is the best by what was signalled
/// is the one that is nominated.
#[test]
fn the_signalled_priority_decides_the_nomination() {
    let mut bench = Bench::with(with_components(Role::Controlling, 2));
    let stream = bench.stream;
    add_local(&mut bench, stream, 1, L);
    add_local(&mut bench, stream, 2, "10.0.0.1:1001");
    bench.start();
    // The discovered candidate has the priority 0x6e0001ff; the signalled one beats it.
    bench.add_remote_line(&line("1", 1, 0x7000_0000, R));
    peer_check(&mut bench, L, R2, false);
    bench.run_until(ms(60));
    for remote in [R, R2] {
        let check = requests_to(&bench, remote)[0].clone();
        let _ = bench.answer(&check);
    }
    assert!(pair_with(&bench, R).priority > pair_with(&bench, R2).priority);
    bench.add_remote_line(&line("2", 1, 0x7100_0000, R2));
    assert!(pair_with(&bench, R).priority < pair_with(&bench, R2).priority);

    // The second component was what nomination had to wait for.
    bench.add_remote_line(&line("1", 2, 0x7000_0000, "10.1.0.1:2001"));
    bench.run_until(ms(110));
    let check = requests_to(&bench, "10.1.0.1:2001")[0].clone();
    let _ = bench.answer(&check);
    bench.run_until(ms(1000));
    let nominated: BTreeSet<String> = bench
        .requests()
        .iter()
        .filter(|request| request.nominates())
        .map(|request| request.to.to_string())
        .collect();
    assert!(nominated.contains(R2), "{nominated:?}");
    assert!(!nominated.contains(R), "{nominated:?}");
}

/// The pairs of the tables in RFC 8838 §12: four rows, two streams of two components each, and a
/// column for each foundation.
struct Table {
    bench: Bench,
    rows: Vec<(StreamId, u16)>,
}

impl Table {
    /// Figure 3 of RFC 8838.
    fn new() -> Self {
        let mut config = with_components(Role::Controlled, 2);
        config.timing.ta = Duration::from_millis(5);
        let mut bench = Bench::with(config);
        let first = bench.stream;
        let second = bench.agent.add_stream(ms(0), 2).unwrap();
        let rows = vec![(first, 1), (first, 2), (second, 1), (second, 2)];
        let mut table = Self { bench, rows };
        for row in 0..4 {
            let (stream, component) = table.rows[row];
            add_local(&mut table.bench, stream, component, &format!("10.0.0.1:{}", 1000 + row));
        }
        for (row, column) in
            [(0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (1, 2), (0, 3), (1, 3), (1, 4)]
        {
            table.add(row, column);
        }
        let mut parameters = peer_parameters();
        parameters.pacing = Some(Duration::from_millis(5));
        table.bench.agent.set_remote(ms(0), parameters).unwrap();
        table.bench.drain();
        table
    }

    fn remote(row: usize, column: usize) -> String {
        format!("10.1.{column}.1:{}", 2000 + row)
    }

    fn add(&mut self, row: usize, column: usize) {
        let (stream, component) = self.rows[row];
        let priority = 2_000_000_000 - 1000 * column as u32 - row as u32;
        let line = line(&format!("f{column}"), component, priority, &Self::remote(row, column));
        add_remote(&mut self.bench, stream, &line).unwrap();
    }

    fn state(&self, row: usize, column: usize) -> PairState {
        pair_with(&self.bench, &Self::remote(row, column)).state
    }

    /// Gives the Ta slot of this instant to a pair of another foundation, so that none is left to
    /// start a check, or to unfreeze a pair, of those that a test looks at.
    fn use_up_the_slot(&mut self) {
        self.add(0, 9);
        assert_eq!(self.state(0, 9), PairState::InProgress);
    }

    fn answer(&mut self, row: usize, column: usize) {
        let check = requests_to(&self.bench, &Self::remote(row, column))[0].clone();
        let _ = self.bench.answer(&check);
        assert_eq!(self.state(row, column), PairState::Succeeded);
    }
}

/// T4, P7: RFC 8838 §12, figures 3 and 4. The start is that of regular ICE, and so is what a
/// success sets free.
#[test]
fn the_initial_states_are_those_of_regular_ice() {
    let mut table = Table::new();
    for (row, column) in [(0, 1), (0, 2), (0, 3), (1, 4)] {
        let state = table.state(row, column);
        assert!(matches!(state, PairState::Waiting | PairState::InProgress), "{row} {column}");
    }
    for (row, column) in [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)] {
        assert_eq!(table.state(row, column), PairState::Frozen, "{row} {column}");
    }
    table.answer(0, 1);
    for (row, column) in [(1, 1), (2, 1), (3, 1)] {
        assert_eq!(table.state(row, column), PairState::Waiting, "{row} {column}");
    }
    for (row, column) in [(1, 2), (1, 3)] {
        assert_eq!(table.state(row, column), PairState::Frozen, "{row} {column}");
    }
}

/// T4: RFC 8838 §12, rule 1. A new pair that is the topmost of its foundation is Waiting, be the
/// foundation new or not.
#[test]
fn a_new_pair_on_top_of_its_foundation_is_waiting() {
    let mut table = Table::new();
    table.add(0, 5);
    assert_eq!(table.state(0, 5), PairState::Waiting);
    table.add(0, 4);
    assert_eq!(table.state(0, 4), PairState::Waiting, "above the pair that was the topmost");
}

/// T4: RFC 8838 §12, rule 2. A new pair whose foundation has succeeded is Waiting.
#[test]
fn a_new_pair_of_a_foundation_that_succeeded_is_waiting() {
    let mut table = Table::new();
    table.add(0, 5);
    table.bench.run_until(ms(100));
    table.use_up_the_slot();
    table.answer(0, 5);
    table.add(3, 5);
    assert_eq!(table.state(3, 5), PairState::Waiting);
}

/// T4: RFC 8838 §12, rule 3. Every other new pair is Frozen, also while a pair of its foundation
/// is being checked.
#[test]
fn any_other_new_pair_is_frozen() {
    let mut table = Table::new();
    table.add(2, 3);
    assert_eq!(table.state(2, 3), PairState::Frozen);
    table.bench.run_until(ms(100));
    assert_eq!(table.state(0, 3), PairState::InProgress);
    table.add(3, 3);
    assert_eq!(table.state(3, 3), PairState::Frozen);
    table.use_up_the_slot();
    table.answer(0, 3);
    for row in [1, 2, 3] {
        assert_eq!(table.state(row, 3), PairState::Waiting);
    }
}

/// T9: RFC 8838 §11 (5). At the limit of pairs a Failed one makes room, be it better than others.
#[test]
fn at_the_limit_a_failed_pair_makes_room_first() {
    let mut config = plain(Role::Controlled);
    config.limits.pairs = 4;
    let mut bench = started(config, &[L]);
    for (number, priority) in [5000, 4000, 3000, 2000].into_iter().enumerate() {
        bench.add_remote(&format!("10.1.0.{}:2000", number + 1), priority);
    }
    bench.run_until(ms(60));
    let check = requests_to(&bench, R2)[0].clone();
    refuse(&mut bench, &check);
    bench.add_remote("10.1.0.5:2000", 1000);
    assert!(pairs_with(&bench, R2).is_empty(), "the Failed pair is still there");
    assert_eq!(pairs_with(&bench, "10.1.0.5:2000").len(), 1);
    assert_eq!(bench.agent.pairs().count(), 4);
}

/// T9: RFC 8838 §11 (5). Without a Failed pair, one of lower priority makes room for a better one,
/// and a worse one gets no room.
#[test]
fn at_the_limit_a_worse_pair_makes_room() {
    let mut config = plain(Role::Controlled);
    config.limits.pairs = 4;
    let mut bench = started(config, &[L]);
    for (number, priority) in [5000, 4000, 3000, 2000].into_iter().enumerate() {
        bench.add_remote(&format!("10.1.0.{}:2000", number + 1), priority);
    }
    bench.add_remote("10.1.0.5:2000", 1000);
    assert!(pairs_with(&bench, "10.1.0.5:2000").is_empty());
    bench.add_remote("10.1.0.6:2000", 6000);
    assert_eq!(pairs_with(&bench, "10.1.0.6:2000").len(), 1);
    assert!(pairs_with(&bench, "10.1.0.4:2000").is_empty(), "the worst has made room");
    assert_eq!(bench.agent.pairs().count(), 4);
    bench.run_until(ms(60));
    assert_eq!(order(&bench), [R, "10.1.0.6:2000"]);
}

// The end of candidates

/// T6: RFC 8838 §14. Candidates after the peer's end-of-candidates are ignored.
#[test]
fn candidates_after_the_end_of_candidates_are_ignored() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    bench.add_remote(R, 1000);
    end_of_candidates(&mut bench);
    let stream = bench.stream;
    let late = add_remote(&mut bench, stream, &line("9", 1, 2000, R2));
    assert_eq!(late, Err(AddRemoteError::AfterEnd));
    bench.run_until(ms(400));
    assert!(requests_to(&bench, R2).is_empty());
    assert_eq!(bench.agent.remote_candidates().count(), 1);
}

/// T6: a peer-reflexive candidate is no signalled one: it can still turn up.
#[test]
fn a_discovered_candidate_is_welcome_after_the_end_of_candidates() {
    let mut bench = started(plain(Role::Controlled), &[L]);
    end_of_candidates(&mut bench);
    peer_check(&mut bench, L, R, true);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// T7: RFC 8838 §8. While the peer may send more candidates, nothing has failed.
#[test]
fn without_the_peers_end_of_candidates_the_session_does_not_fail() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    bench.agent.gather(bench.now);
    bench.add_remote(R, 1000);
    bench.run_until(ms(300_000));
    assert_eq!(pair_with(&bench, R).state, PairState::Failed);
    assert_eq!(states(&bench), [ConnectionState::Checking]);

    bench.add_remote(R2, 1000);
    assert_eq!(requests_to(&bench, R2).len(), 1, "late, but still in time");
    bench.run_until(ms(400_000));
    end_of_candidates(&mut bench);
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
}

/// T7: RFC 8838 §8. Nor while own candidates are being gathered.
#[test]
fn without_the_own_end_of_candidates_the_session_does_not_fail() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    bench.add_remote(R, 1000);
    end_of_candidates(&mut bench);
    bench.run_until(ms(300_000));
    assert_eq!(states(&bench), [ConnectionState::Checking]);
    bench.agent.gather(bench.now);
    bench.drain();
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
}

/// T7: RFC 8863 §4. Nor, with both ends told and all pairs failed, before the patience ends.
#[test]
fn with_both_ends_of_candidates_the_session_fails_when_patience_ends() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    bench.agent.gather(bench.now);
    bench.add_remote(R, 1000);
    end_of_candidates(&mut bench);
    let check = bench.last_request();
    refuse(&mut bench, &check);
    bench.run_until(ms(39_499));
    assert_eq!(states(&bench), [ConnectionState::Checking]);
    bench.run_until(ms(39_500));
    assert_eq!(states(&bench), [ConnectionState::Checking, ConnectionState::Failed]);
}

/// T10: RFC 8838 §13. The end of another generation is not the end of this one.
#[test]
fn the_end_of_candidates_of_another_generation_is_ignored() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    let stream = bench.stream;
    bench.agent.end_of_remote_candidates(bench.now, Some("older"));
    assert!(add_remote(&mut bench, stream, &line("1", 1, 1000, R)).is_ok());
    bench.agent.end_of_remote_candidates(bench.now, Some(PEER_UFRAG));
    let late = add_remote(&mut bench, stream, &line("2", 1, 1000, R2));
    assert_eq!(late, Err(AddRemoteError::AfterEnd));
}

/// T10: RFC 8838 §13. Neither is one that was told before the parameters of this generation.
#[test]
fn an_early_end_of_candidates_of_another_generation_is_ignored() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L);
    let stream = bench.stream;
    bench.agent.end_of_remote_candidates(bench.now, Some("older"));
    bench.start();
    assert!(add_remote(&mut bench, stream, &line("1", 1, 1000, R)).is_ok());
    bench.run_until(ms(60));
    assert_eq!(requests_to(&bench, R).len(), 1);
}

/// T10: RFC 8838 §13. One that names this generation, or none, counts from before the parameters.
#[test]
fn an_early_end_of_candidates_counts() {
    for generation in [Some(PEER_UFRAG), None] {
        let mut bench = Bench::with(plain(Role::Controlling));
        bench.add_local(L);
        bench.agent.gather(bench.now);
        bench.add_remote(R, 1000);
        bench.agent.end_of_remote_candidates(bench.now, generation);
        bench.start();
        bench.run_until(ms(60_000));
        assert_eq!(bench.agent.state(), ConnectionState::Failed);
    }
}

/// T10: RFC 8838 §9. A candidate that names another generation than the current one is not used:
/// it waits for parameters of that name, which may never come.
#[test]
fn candidates_that_name_another_generation_are_not_used() {
    let other = format!("{} ufrag older", line("1", 1, 1000, R));
    let current = format!("{} ufrag {PEER_UFRAG}", line("2", 1, 1000, R2));
    let mut bench = started(plain(Role::Controlling), &[L]);
    let stream = bench.stream;
    add_remote(&mut bench, stream, &other).unwrap();
    add_remote(&mut bench, stream, &current).unwrap();
    bench.run_until(ms(400));
    assert_eq!(order(&bench), [R2]);

    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L);
    add_remote(&mut bench, stream, &other).unwrap();
    add_remote(&mut bench, stream, &current).unwrap();
    bench.start();
    bench.run_until(ms(400));
    assert_eq!(order(&bench), [R2], "it came before the parameters");
}

/// P3: RFC 8445 §6.1.2.2. A component that the peer does not have is dropped when the peer has
/// named all its candidates; that is no failure.
#[test]
fn a_component_that_the_peer_lacks_is_dropped_with_the_end_of_candidates() {
    let mut bench = Bench::with(with_components(Role::Controlling, 2));
    let stream = bench.stream;
    add_local(&mut bench, stream, 1, L);
    add_local(&mut bench, stream, 2, "10.0.0.1:1001");
    bench.agent.gather(bench.now);
    bench.start();
    bench.add_remote(R, 1000);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    bench.run_until(ms(2000));
    assert_eq!(states(&bench), [ConnectionState::Checking], "component 2 may still come");
    assert_eq!(bench.agent.send(bench.now, stream, 1, b"x"), Err(SendError::NotConnected));

    end_of_candidates(&mut bench);
    bench.run_until(ms(3000));
    let nomination = bench.last_request();
    assert!(nomination.nominates());
    let _ = bench.answer(&nomination);
    assert_eq!(
        states(&bench),
        [ConnectionState::Checking, ConnectionState::Connected, ConnectionState::Completed]
    );
    assert!(bench.agent.send(bench.now, stream, 1, b"x").is_ok());
    assert_eq!(bench.agent.send(bench.now, stream, 2, b"x"), Err(SendError::UnknownComponent));
}

/// P3: RFC 8445 §6.1.2.2. Candidates for a component that this side does not have make no pair.
#[test]
fn a_component_that_only_the_peer_has_is_not_paired() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    let stream = bench.stream;
    let extra = add_remote(&mut bench, stream, &line("1", 2, 1000, R2));
    assert_eq!(extra, Err(AddRemoteError::UnknownComponent));
    bench.add_remote(R, 1000);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    bench.run_until(ms(1000));
    let _ = bench.answer(&bench.last_request());
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert!(requests_to(&bench, R2).is_empty());
}

/// P3: RFC 8445 §6.1.2.2. "The number of components ... is considered to be equal to the minimum
/// across both agents of the maximum component ID provided by each agent": the one for which this side
/// has named none, when it has named all, is as good as dropped by the peer. A restart offers it anew.
#[test]
fn a_component_that_this_side_lacks_is_dropped_with_its_end_of_candidates() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut bench = Bench::with(with_components(role, 2));
        let stream = bench.stream;
        add_local(&mut bench, stream, 1, L);
        bench.start();
        bench.add_remote(R, 1000);
        let _ = add_remote(&mut bench, stream, &line("1", 2, 1000, R2));
        let check = bench.last_request();
        let _ = bench.answer(&check);
        assert_eq!(bench.agent.state(), ConnectionState::Checking, "component 2 may still come");

        bench.agent.gather(bench.now);
        bench.drain();
        bench.run_for(Duration::from_secs(1));
        assert_ne!(bench.agent.state(), ConnectionState::Checking);
        assert!(bench.agent.send(bench.now, stream, 1, b"x").is_ok());
        let there = bench.agent.send(bench.now, stream, 2, b"x");
        assert_eq!(there.unwrap_err(), SendError::UnknownComponent);

        bench.agent.prepare_restart(bench.now).unwrap();
        let next = Credentials::new("next", "anotherPasswordOfThePeer").unwrap();
        bench.agent.set_remote(bench.now, Parameters::new(next)).unwrap();
        add_local(&mut bench, stream, 2, "10.0.0.1:1001");
    }
}

/// P3: a peer that ends without any candidate has named no components, and may still be found.
#[test]
fn an_end_of_candidates_without_candidates_drops_no_component() {
    let mut bench = Bench::with(with_components(Role::Controlled, 2));
    let stream = bench.stream;
    add_local(&mut bench, stream, 1, L);
    add_local(&mut bench, stream, 2, "10.0.0.1:1001");
    bench.start();
    end_of_candidates(&mut bench);
    for (local, remote) in [(L, R), ("10.0.0.1:1001", R2)] {
        peer_check(&mut bench, local, remote, true);
        bench.run_for(Duration::from_millis(50));
        let check = bench.last_request();
        let _ = bench.answer(&check);
    }
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

// Half trickle

/// T14: RFC 8838 §16. An agent that conveys all of its candidates at once connects with one that
/// trickles, in either role.
#[test]
fn a_full_initial_set_connects_with_a_trickling_peer() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut world = World::new([1; 32]);
        world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
        let mut config = AgentConfig::new(role);
        config.signalling = Signalling::Complete;
        let half = world.add_agent(config).unwrap();
        let full = world.add_agent(AgentConfig::new(role.opposite())).unwrap();
        for local in [L, L2] {
            world.add_socket(half, addr(local)).unwrap();
        }
        world.add_socket(full, addr(R)).unwrap();
        world.connect(half, full).unwrap();
        world.start(half).unwrap();
        world.run_until(ms(100)).unwrap();
        assert_eq!(world.agent(full).unwrap().remote_candidates().count(), 2);
        world.start(full).unwrap();
        world.run_until(ms(2000)).unwrap();
        for (_, agent) in world.agents() {
            assert_eq!(agent.state(), ConnectionState::Completed);
        }
        let candidate = |event: &Event| matches!(event, Event::LocalCandidate { .. });
        assert!(!world.events(half).any(|(_, event)| candidate(event)), "it trickled");
    }
}

/// T14: RFC 8838 §3. An agent that trickles says so; one that conveys all at once does not.
#[test]
fn the_trickle_option_is_advertised_by_who_trickles() {
    for (signalling, expected) in [(Signalling::Trickle, true), (Signalling::Complete, false)] {
        let mut config = AgentConfig::new(Role::Controlling);
        config.signalling = signalling;
        let agent = IceAgent::new(config, [1; 32]).unwrap();
        let options = agent.local_parameters().options;
        assert_eq!(options.iter().any(|option| option == "trickle"), expected);
    }
}

/// T14: a description that is taken before gathering is complete does not claim to be the end.
#[test]
fn an_early_description_has_no_end_of_candidates() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.signalling = Signalling::Complete;
    let mut bench = Bench::with(config);
    bench.add_local(L);
    let early = bench.agent.take_description(ms(0));
    assert!(!early.end_of_candidates);
    assert_eq!(early.candidates.len(), 1);
    bench.add_local(L2);
    bench.agent.gather(ms(0));
    let late = bench.agent.take_description(ms(0));
    assert!(late.end_of_candidates);
    assert_eq!(late.candidates.len(), 2);
}

// Multihoming

/// Adds these addresses at once and gives what was conveyed, best first.
fn ranked(config: AgentConfig, locals: &[LocalAddress]) -> Vec<Candidate> {
    let mut bench = Bench::with(config);
    for local in locals {
        bench.agent.add_local(ms(0), bench.stream, 1, local.clone()).unwrap();
    }
    bench.drain();
    let mut candidates = conveyed(&bench);
    assert_eq!(candidates.len(), locals.len());
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
    candidates
}

fn families(candidates: &[Candidate]) -> String {
    candidates
        .iter()
        .map(|candidate| match candidate.address {
            CandidateAddress::Socket(addr) if addr.is_ipv6() => '6',
            _ => '4',
        })
        .collect()
}

fn udp(text: &str) -> LocalAddress {
    LocalAddress::udp(addr(text))
}

fn hosts(ipv4: usize, ipv6: usize) -> Vec<LocalAddress> {
    let v4 = (1..=ipv4).map(|host| udp(&format!("10.0.0.{host}:1000")));
    let v6 = (1..=ipv6).map(|host| udp(&format!("[2001:db8::{host}]:1000")));
    v4.chain(v6).collect()
}

/// H1, H2: RFC 8421 §4. IPv6 starts, and an IPv4 candidate follows Hi of IPv6, which is the number
/// of all addresses by that of IPv4, whatever the order in which they were found.
#[test]
fn address_families_are_intermingled() {
    for (ipv4, ipv6, expected) in [
        (2, 6, "66664664"),
        (1, 1, "64"),
        (2, 2, "6644"),
        (1, 3, "6664"),
        (0, 3, "666"),
        (3, 0, "444"),
    ] {
        let mut locals = hosts(ipv4, ipv6);
        let first = families(&ranked(AgentConfig::new(Role::Controlling), &locals));
        locals.reverse();
        let second = families(&ranked(AgentConfig::new(Role::Controlling), &locals));
        assert_eq!(first, second, "{ipv4} and {ipv6}: it depends on the order");
        assert!(ipv6 == 0 || first.starts_with('6'), "{first}");
        if let Some(hi) = (ipv4 + ipv6).checked_div(ipv4) {
            let run = first.chars().take_while(|family| *family == '6').count();
            assert_eq!(run, hi.min(ipv6), "{first}: the first IPv4 comes after Hi of IPv6");
        }
        let count = |family| first.chars().filter(|other| *other == family).count();
        assert_eq!((count('4'), count('6')), (ipv4, ipv6));
        if ipv4 == 2 && ipv6 == 6 {
            assert_eq!(first, expected);
        }
    }
}

/// H3: RFC 8421 §3. What is on an interface that costs comes behind everything that does not.
#[test]
fn costly_interfaces_come_last() {
    let mut locals = hosts(2, 2);
    let mut cellular = [udp("[2001:db8:9::1]:1000"), udp("10.9.0.1:1000")];
    for local in &mut cellular {
        local.cost = 900;
        local.interface = 9;
    }
    let costly: Vec<_> = cellular.iter().map(|local| local.addr).collect();
    locals.splice(0..0, cellular);
    let ranked = ranked(AgentConfig::new(Role::Controlling), &locals);
    let last: BTreeSet<_> = ranked[4..]
        .iter()
        .map(|candidate| match candidate.address {
            CandidateAddress::Socket(addr) => addr,
            CandidateAddress::Name { .. } => panic!("a name"),
        })
        .collect();
    assert_eq!(last, costly.into_iter().collect());
}

/// H4, G13: RFC 8421 §5. The local preferences stay distinct, from 65535 down; type and component
/// keep their parts of the priority.
#[test]
fn intermingling_touches_only_the_local_preference() {
    let ranked = ranked(AgentConfig::new(Role::Controlling), &hosts(3, 5));
    let preferences: Vec<u32> =
        ranked.iter().map(|candidate| candidate.priority >> 8 & 0xffff).collect();
    assert_eq!(preferences[0], 65535);
    assert!(preferences.windows(2).all(|two| two[0] > two[1]), "{preferences:?}");
    assert!(ranked.iter().all(|candidate| candidate.priority >> 24 == 126));
    assert!(ranked.iter().all(|candidate| candidate.priority & 0xff == 255));
}

/// H4: an address that comes later takes no preference that was conveyed before.
#[test]
fn late_addresses_rank_behind_what_was_conveyed() {
    let mut bench = Bench::with(AgentConfig::new(Role::Controlling));
    bench.add_local("10.0.0.1:1000");
    let first = conveyed(&bench)[0].priority;
    bench.add_local("[2001:db8::1]:1000");
    bench.add_local("10.0.0.2:1000");
    let all: Vec<u32> = conveyed(&bench).iter().map(|candidate| candidate.priority).collect();
    assert_eq!(all[0], first);
    assert!(all[1] < all[0] && all[2] < all[1], "{all:?}");
    let known = bench.agent.local_candidates().find(|local| local.addr == addr(L)).unwrap();
    assert_eq!(known.priority, first, "what was conveyed does not change");
}

// Named regressions

/// Regression 10 (str0m #908): a peer-reflexive candidate is replaced by the signalled one while
/// its pair is being nominated. The controlling side has the nomination on its way.
#[test]
fn regression_str0m_discovered_candidate_is_signalled_during_nomination_controlling() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    peer_check(&mut bench, L, R, false);
    let check = bench.last_request();
    bench.run_until(ms(10));
    let _ = bench.answer(&check);
    bench.run_until(ms(1000));
    let nomination = bench.last_request();
    assert!(nomination.nominates());
    bench.add_remote_line("7 1 UDP 1694498815 10.1.0.1 2000 typ srflx raddr 0.0.0.0 rport 9");
    end_of_candidates(&mut bench);
    let _ = bench.answer(&nomination);
    assert_eq!(selections(&bench), 1);
    let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(selected.remote.kind, CandidateKind::ServerReflexive);
    assert_eq!(selected.remote.priority, 1_694_498_815);
    assert_eq!(
        states(&bench),
        [ConnectionState::Checking, ConnectionState::Connected, ConnectionState::Completed]
    );
    assert!(bench.agent.send(bench.now, bench.stream, 1, b"x").is_ok());
}

/// Regression 10 (str0m #908): the controlled side has been nominated, and its own check is on its
/// way.
#[test]
fn regression_str0m_discovered_candidate_is_signalled_during_nomination_controlled() {
    for valid_before in [false, true] {
        let mut bench = started(plain(Role::Controlled), &[L]);
        peer_check(&mut bench, L, R, false);
        let check = bench.last_request();
        if valid_before {
            let _ = bench.answer(&check);
        } else {
            peer_check(&mut bench, L, R, true);
        }
        bench.add_remote_line("7 1 UDP 1694498815 10.1.0.1 2000 typ srflx raddr 0.0.0.0 rport 9");
        end_of_candidates(&mut bench);
        if valid_before {
            peer_check(&mut bench, L, R, true);
        } else {
            let _ = bench.answer(&check);
        }
        assert_eq!(selections(&bench), 1);
        let selected = bench.agent.selected_pair(bench.stream, 1).unwrap();
        assert_eq!(selected.remote.kind, CandidateKind::ServerReflexive);
        assert_eq!(bench.agent.state(), ConnectionState::Completed);
    }
}

/// Regression 15 (str0m #670): remote candidates before local ones are no reason to report
/// Disconnected or Failed.
#[test]
fn regression_str0m_remote_candidates_before_local_ones() {
    for wait in [0, 20_000, 60_000] {
        let mut bench = Bench::with(plain(Role::Controlled));
        bench.start();
        bench.add_remote(R, 2000);
        bench.add_remote(R2, 1000);
        end_of_candidates(&mut bench);
        bench.run_until(ms(wait));
        assert_eq!(states(&bench), [ConnectionState::Checking]);
        assert!(bench.requests().is_empty());

        bench.add_local(L);
        bench.agent.gather(bench.now);
        bench.drain();
        assert_eq!(states(&bench), [ConnectionState::Checking], "after {wait} ms");
        let check = bench.last_request();
        assert_eq!(check.to, addr(R));
        let _ = bench.answer(&check);
        peer_check(&mut bench, L, R, true);
        assert_eq!(
            states(&bench),
            [ConnectionState::Checking, ConnectionState::Connected, ConnectionState::Completed]
        );
    }
}

/// Things with their times since the start.
type Trace<T> = Vec<(Duration, T)>;

/// A session with one scripted peer that starts at `epoch`: what was sent and told, by the time
/// that has passed since.
fn session_from(epoch: Timestamp) -> (Trace<Vec<u8>>, Trace<Event>) {
    let mut bench = Bench::with(AgentConfig::new(Role::Controlling));
    bench.now = epoch;
    bench.agent.handle_timeout(epoch);
    bench.add_local(L);
    bench.add_local(L2);
    bench.agent.gather(epoch);
    for remote in [R, R2, R3] {
        bench.add_remote(remote, 1000);
    }
    bench.start();
    end_of_candidates(&mut bench);
    bench.run_for(Duration::from_millis(700));
    let check = requests_to(&bench, R3).last().cloned().unwrap();
    let _ = bench.answer(&check);
    bench.run_for(Duration::from_millis(600));
    let nomination = bench.requests().into_iter().find(Sent::nominates).expect("a nomination");
    let _ = bench.answer(&nomination);
    bench.run_for(Duration::from_secs(60));
    let sent = bench.sent.iter().map(|sent| (sent.at - epoch, sent.bytes.clone())).collect();
    let events = bench.events.iter().map(|(at, event)| (*at - epoch, event.clone())).collect();
    (sent, events)
}

/// Regression 18: a clock at its epoch. No subtraction may reach behind it, and nothing depends
/// on where the epoch is.
#[test]
fn regression_str0m_clock_at_the_epoch() {
    let at_zero = session_from(Timestamp::ZERO);
    assert!(at_zero.0.len() > 3 && at_zero.1.len() > 3);
    assert!(at_zero.0.iter().all(|(at, _)| *at < Duration::from_secs(60)));
    for epoch in [Timestamp::from_nanos(1), ms(1), ms(1_000_000_000_000)] {
        let later = session_from(epoch);
        assert_eq!(at_zero.1, later.1, "events from {epoch:?}");
        assert_eq!(at_zero.0, later.0, "transmits from {epoch:?}");
    }
}

/// Regression 18: nor does a clock near its end overflow or make the driver spin.
#[test]
fn regression_str0m_clock_at_its_end() {
    for before in [0, 1, 4_999_999, 50_000_000, 600_000_000] {
        let mut bench = Bench::with(AgentConfig::new(Role::Controlling));
        bench.now = Timestamp::from_nanos(u64::MAX - before);
        bench.add_local(L);
        bench.agent.gather(bench.now);
        bench.add_remote(R, 1000);
        bench.add_remote(R2, 1000);
        bench.start();
        bench.run_until(Timestamp::MAX);
        assert!(before < 50_000_000 || !bench.requests().is_empty());
        assert_eq!(bench.agent.poll_timeout().filter(|at| *at == Timestamp::MAX), None);
    }
}

/// Regression 24: a timeout before the deadline does nothing, and after one that was due the
/// deadline is in the future.
#[test]
fn regression_rtc_ice_spurious_timeouts() {
    let mut bench = started(AgentConfig::new(Role::Controlling), &[L, L2]);
    for remote in [R, R2, R3] {
        bench.add_remote(remote, 1000);
    }
    let mut handled = 0;
    while let Some(deadline) = bench.agent.poll_timeout().filter(|at| *at < ms(60_000)) {
        assert!(deadline > bench.now, "the deadline is not in the future");
        // What time alone does is the same with and without spurious calls.
        let mut spared = bench.clone();
        let reason = bench.agent.timeout_reason();
        assert!(reason.is_some());
        let middle = bench.now + (deadline - bench.now) / 2;
        for now in [bench.now, middle, Timestamp::ZERO] {
            bench.agent.handle_timeout(now);
            assert!(!bench.agent.has_transmit() && !bench.agent.has_event());
            assert_eq!(bench.agent.poll_timeout(), Some(deadline));
            assert_eq!(bench.agent.timeout_reason(), reason);
        }
        for each in [&mut bench, &mut spared] {
            each.now = deadline;
            each.agent.handle_timeout(deadline);
            each.drain();
        }
        assert_eq!(bench.agent.state_digest(), spared.agent.state_digest());
        assert_eq!(bench.sent.len(), spared.sent.len());
        handled += 1;
    }
    assert!(handled > 20, "{handled}");
}

/// Regression 24: time does not run backwards: an older `now` counts as the newest one seen.
#[test]
fn an_older_now_counts_as_the_newest() {
    let mut bench = started(plain(Role::Controlling), &[L]);
    bench.add_remote(R, 1000);
    bench.run_until(ms(300));
    bench.agent.handle_timeout(ms(300));
    let mut spared = bench.clone();
    bench.agent.handle_timeout(ms(10));
    let candidate: Candidate = line("9", 1, 900, R2).parse().unwrap();
    bench.agent.add_remote_candidate(Timestamp::ZERO, bench.stream, &candidate).unwrap();
    spared.agent.add_remote_candidate(ms(300), spared.stream, &candidate).unwrap();
    bench.drain();
    spared.drain();
    assert_eq!(bench.agent.state_digest(), spared.agent.state_digest());
    assert_eq!(bench.agent.poll_timeout(), spared.agent.poll_timeout());
}

/// Regression 24: a clock that jumps is one late timeout: what was due at many times is paced
/// from now on, without a storm.
#[test]
fn a_clock_that_jumps_is_one_late_timeout() {
    let mut bench = started(plain(Role::Controlled), &[L]);
    for host in 1..=10 {
        bench.add_remote(&format!("10.1.0.{host}:2000"), 1000);
    }
    let before = bench.sent.len();
    bench.now = ms(20_000);
    bench.agent.handle_timeout(bench.now);
    bench.drain();
    assert!(bench.sent.len() - before <= 1, "a storm of {}", bench.sent.len() - before);
    bench.run_until(ms(21_000));
    let mut at: Vec<Timestamp> = bench.sent[before..].iter().map(|sent| sent.at).collect();
    at.dedup();
    assert_eq!(at.len(), bench.sent.len() - before, "two at once");
    assert!(at.windows(2).all(|two| two[1] - two[0] >= Duration::from_millis(5)));
    assert!(bench.sent[before..].iter().all(|sent| sent.has(MESSAGE_INTEGRITY)));
    assert!(bench.sent[before..].iter().all(|sent| !sent.has(USE_CANDIDATE)));
}

/// RFC 8445 §6.1.2.2: a candidate of a generation to come does not keep a component of this one.
#[test]
fn a_candidate_of_another_generation_keeps_no_component() {
    let mut bench = Bench::with(with_components(Role::Controlling, 2));
    let stream = bench.stream;
    add_local(&mut bench, stream, 1, L);
    add_local(&mut bench, stream, 2, L2);
    bench.start();
    add_remote(&mut bench, stream, &line("1", 1, 1000, R)).unwrap();
    let later = format!("{} ufrag later", line("1", 2, 1000, R2));
    add_remote(&mut bench, stream, &later).unwrap();
    end_of_candidates(&mut bench);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    assert!(bench.agent.send(bench.now, stream, 1, b"x").is_ok());
    assert_eq!(bench.agent.send(bench.now, stream, 2, b"x"), Err(SendError::UnknownComponent));
}

/// RFC 8421 §4: an interface that costs more ranks behind one that costs less, whatever came first.
#[test]
fn a_cheaper_interface_overtakes_a_costlier_one_of_its_family() {
    let mut costly = udp(L);
    costly.cost = 900;
    costly.interface = 9;
    let ranked = ranked(AgentConfig::new(Role::Controlling), &[costly, udp(L2)]);
    let first = CandidateAddress::Socket(addr(L2));
    assert_eq!(ranked[0].address, first);
    assert_eq!(ranked[0].priority >> 8 & 0xffff, 65535);
}

/// RFC 8838 §8: a candidate that the peer has not been told of may still connect: no failure before.
#[test]
fn without_having_told_all_candidates_the_session_does_not_fail() {
    for signalling in [Signalling::Trickle, Signalling::Complete] {
        let mut config = plain(Role::Controlled);
        config.signalling = signalling;
        let mut agent = IceAgent::new(config, [3; 32]).unwrap();
        let stream = agent.streams().next().unwrap();
        agent.add_local(ms(0), stream, 1, udp(L)).unwrap();
        agent.gather(ms(0));
        agent.set_remote(ms(0), peer_parameters()).unwrap();
        agent.end_of_remote_candidates(ms(0), None);
        agent.handle_timeout(ms(60_000));
        assert_ne!(agent.state(), ConnectionState::Failed, "{signalling:?}");
        let _ = agent.take_description(ms(60_000));
        assert_eq!(agent.state(), ConnectionState::Failed, "{signalling:?}");
    }
}

/// At the limit of events the oldest of the same sort makes way, then one of the commonest sort, and
/// a candidate only for another: nobody would ever pair it.
#[test]
fn events_that_nobody_polls_make_way_for_newer_ones_but_candidates_do_not() {
    let mut config = plain(Role::Controlling);
    config.limits.events = 16;
    let mut bench = Bench::with(config);
    for port in 1000..1014 {
        let local = LocalAddress::udp(addr(&format!("10.0.0.1:{port}")));
        bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap();
    }
    bench.agent.gather(bench.now);
    bench.agent.set_remote(bench.now, peer_parameters()).unwrap();
    let candidate: Candidate = line("1", 1, 1000, R).parse().unwrap();
    bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate).unwrap();
    bench.drain();
    let candidates = bench
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::LocalCandidate { .. }))
        .count();
    let others: Vec<&Event> = bench
        .events
        .iter()
        .map(|(_, event)| event)
        .filter(|event| !matches!(event, Event::LocalCandidate { .. }))
        .take(2)
        .collect();
    assert_eq!(candidates, 14);
    assert_eq!(
        others,
        [
            &Event::GatheringState(GatheringState::Complete),
            &Event::ConnectionState(ConnectionState::Checking)
        ]
    );
}
