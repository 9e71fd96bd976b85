//! Nomination and conclusion (RFC 8445 §8), the states that follow from them, and data before and
//! after (RFC 8445 §12): with a scripted peer, and between two agents.

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use common::{
    Bench, ERROR, ICE_CONTROLLING, Message, PEER_PWD, PEER_UFRAG, PRIORITY, REQUEST, SUCCESS, Sent,
    USERNAME, addr, ms, plain,
};
use frazil::sim::{AgentIndex, End, Link, LogDetail, LogEntry, Logged, Probability, World};
use frazil::{
    AgentConfig, Candidate, ConnectionState, Event, IceAgent, Ignored, LocalAddress, PairState,
    PairView, Received, Role, Route, SendError, StreamId, TimeoutReason, Timestamp,
};

const L: &str = "10.0.0.1:1000";
const L2: &str = "10.0.0.2:1000";
const R: &str = "10.1.0.1:2000";
const R2: &str = "10.1.0.2:2000";
const R3: &str = "10.1.0.3:2000";
const R4: &str = "10.1.0.4:2000";
/// An address of the peer that was never signalled.
const X: &str = "192.0.2.7:7777";

fn controlling(remotes: &[&str]) -> Bench {
    Bench::started(plain(Role::Controlling), &[L], remotes)
}

/// A controlled agent whose checks of all these have been sent, and none answered.
fn controlled(remotes: &[&str]) -> Bench {
    let mut bench = Bench::started(plain(Role::Controlled), &[L], remotes);
    bench.run_until(ms(50 * (remotes.len() as u64 - 1)));
    for remote in remotes {
        assert_eq!(requests_to(&bench, remote).len(), 1);
    }
    bench
}

/// An agent of several streams with these components each. The candidates of a component are those
/// that [`local_of`] and [`remote_of`] give; checks have started at time zero.
fn multi(role: Role, shape: &[u16]) -> (Bench, Vec<(StreamId, u16)>) {
    let mut config = plain(role);
    config.components = shape[0];
    let mut bench = Bench::with(config);
    let mut streams = vec![bench.stream];
    for components in &shape[1..] {
        streams.push(bench.agent.add_stream(ms(0), *components).unwrap());
    }
    let places: Vec<(StreamId, u16)> = streams
        .iter()
        .zip(shape)
        .flat_map(|(stream, components)| (1..=*components).map(|component| (*stream, component)))
        .collect();
    for (index, (stream, component)) in places.iter().enumerate() {
        let local = LocalAddress::udp(addr(&local_of(index)));
        bench.agent.add_local(ms(0), *stream, *component, local).unwrap();
        bench.drain();
        let at = addr(&remote_of(index));
        let line = format!("f{index} {component} UDP 1000 {} {} typ host", at.ip(), at.port());
        let candidate: Candidate = line.parse().unwrap();
        bench.agent.add_remote_candidate(ms(0), *stream, &candidate).unwrap();
    }
    bench.agent.gather(ms(0));
    bench.agent.end_of_remote_candidates(ms(0), None);
    bench.start();
    (bench, places)
}

fn local_of(index: usize) -> String {
    format!("10.0.0.1:{}", 1000 + index)
}

fn remote_of(index: usize) -> String {
    format!("10.1.0.{}:2000", index + 1)
}

fn requests_to(bench: &Bench, to: &str) -> Vec<Sent> {
    bench.requests().into_iter().filter(|request| request.to == addr(to)).collect()
}

fn nominations(bench: &Bench) -> Vec<Sent> {
    bench.requests().into_iter().filter(Sent::nominates).collect()
}

/// The peer answers the newest check that went to this address.
fn answer_to(bench: &mut Bench, to: &str) {
    let check = requests_to(bench, to).last().cloned().expect("no check to answer");
    assert_eq!(bench.answer(&check), Received::Consumed);
}

fn refuse(bench: &mut Bench, request: &Sent) {
    let refusal =
        Message::new(ERROR, request.id()).error_code(400).integrity(PEER_PWD).fingerprint();
    let (local, remote) = (request.from.to_string(), request.to.to_string());
    assert_eq!(bench.feed(&local, &remote, &refusal), Received::Consumed);
}

fn nominate(bench: &mut Bench, remote: &str) {
    assert_eq!(bench.send_check(L, remote, true), Received::Consumed);
}

/// Lets time pass in steps of a millisecond; the peer answers, a round trip later, whatever comes
/// to one of these addresses.
fn run_answering(bench: &mut Bench, until: u64, round_trip: u64, working: &[&str]) {
    let working: Vec<SocketAddr> = working.iter().map(|text| addr(text)).collect();
    while bench.now < ms(until) {
        bench.run_for(Duration::from_millis(1));
        let due = |request: &Sent| request.at + Duration::from_millis(round_trip) == bench.now;
        let answered: Vec<Sent> = bench
            .requests()
            .into_iter()
            .filter(|request| due(request) && working.contains(&request.to))
            .collect();
        for request in answered {
            let _ = bench.answer(&request);
        }
    }
}

/// Where data of a component goes.
fn destination(bench: &mut Bench, stream: StreamId, component: u16) -> Result<String, SendError> {
    let outgoing = bench.agent.send(bench.now, stream, component, b"data")?;
    assert_eq!(outgoing.payload(), b"data");
    assert!(outgoing.head().is_empty() && outgoing.padding().is_empty());
    let route = outgoing.route;
    assert_eq!(bench.agent.route(stream, component), Some(route));
    match route {
        Route::Datagram { remote, .. } => Ok(remote.to_string()),
        Route::Stream(_) => panic!("a stream"),
    }
}

fn pair_with(bench: &Bench, remote: &str) -> PairView {
    bench.agent.pairs().find(|pair| pair.remote.addr == addr(remote)).expect("no such pair")
}

/// Component and remote address of every selection, in order.
fn selections(bench: &Bench) -> Vec<(u16, String)> {
    bench
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::SelectedPair { component, remote, .. } => {
                Some((*component, remote.addr.to_string()))
            }
            _ => None,
        })
        .collect()
}

fn selected(bench: &Bench) -> Option<String> {
    let pair = bench.agent.selected_pair(bench.stream, 1)?;
    Some(pair.remote.addr.to_string())
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

const IN_ORDER: [ConnectionState; 3] =
    [ConnectionState::Checking, ConnectionState::Connected, ConnectionState::Completed];

// When and how the controlling agent nominates

/// N1: RFC 8445 §8.1.1. Whichever of several pairs works, it is nominated within a bound, and
/// nothing else ever is.
#[test]
fn exactly_one_pair_is_nominated_within_the_bound() {
    for count in 1..=5 {
        for works in 0..count {
            let remotes: Vec<String> = (0..count).map(remote_of).collect();
            let remotes: Vec<&str> = remotes.iter().map(String::as_str).collect();
            let mut bench = controlling(&remotes);
            run_answering(&mut bench, 3000, 20, &[remotes[works]]);
            let what = format!("{works} of {count}");
            let valid = bench
                .events
                .iter()
                .find(|(_, event)| *event == Event::ConnectionState(ConnectionState::Connected))
                .map(|(at, _)| *at)
                .expect(&what);
            let nominations = nominations(&bench);
            assert!(!nominations.is_empty(), "{what}");
            let bound = valid + Duration::from_millis(500 + 50);
            assert!(nominations[0].at <= bound, "{what}: {:?}", nominations[0].at);
            assert!(nominations.iter().all(|sent| sent.to == addr(remotes[works])), "{what}");
            assert_eq!(selections(&bench), [(1, remotes[works].to_owned())], "{what}");
            assert_eq!(states(&bench), IN_ORDER, "{what}");
        }
    }
}

/// N1: RFC 8445 §8.1.1. The pair is selected when the nomination was answered, and not before.
#[test]
fn a_pair_is_selected_when_its_nomination_is_answered() {
    let mut bench = controlling(&[R]);
    answer_to(&mut bench, R);
    bench.run_until(ms(300));
    assert_eq!(nominations(&bench).len(), 1);
    assert!(selections(&bench).is_empty());
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    answer_to(&mut bench, R);
    assert_eq!(selections(&bench), [(1, R.to_owned())]);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// N2: RFC 8445 §8.1.1. After a successful nomination a better pair that turns up is left alone.
#[test]
fn nothing_is_nominated_after_a_successful_nomination() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L);
    bench.start();
    bench.add_remote(R2, 1000);
    run_answering(&mut bench, 500, 20, &[R2]);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    let before = nominations(&bench).len();
    bench.add_remote(R, 2_000_000_000);
    let _ = bench.send_check(L, R, false);
    run_answering(&mut bench, 5000, 20, &[R, R2]);
    assert_eq!(nominations(&bench).len(), before);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// N3: RFC 8445 §8.1.1. A nomination repeats the check that produced the valid pair, which is not
/// always the check of that pair: here the peer sees the check of one address come from the other.
#[test]
fn a_nomination_repeats_the_check_that_produced_the_valid_pair() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L, L2], &[R]);
    let check = bench.last_request();
    let other = if check.from == addr(L) { addr(L2) } else { addr(L) };
    let mapped = |request: &Sent| {
        Message::new(SUCCESS, request.id()).xor_mapped(other).integrity(PEER_PWD).fingerprint()
    };
    let from = check.from.to_string();
    let _ = bench.feed(&from, R, &mapped(&check));
    bench.run_until(ms(1000));
    let nominations = nominations(&bench);
    assert!(!nominations.is_empty());
    for nomination in &nominations {
        assert_eq!((nomination.from, nomination.to), (check.from, check.to));
        assert_ne!(nomination.id(), check.id(), "it is a new transaction");
    }
    let _ = bench.feed(&from, R, &mapped(&nominations[0]));
    let pair = bench.agent.selected_pair(bench.stream, 1).expect("a selected pair");
    assert_eq!((pair.local.addr, pair.remote.addr), (other, addr(R)));
}

/// N3, S2: a nomination goes through the triggered-check queue: before checks that only wait.
#[test]
fn a_nomination_goes_before_ordinary_checks() {
    let mut bench = controlling(&[R, R2, R3]);
    bench.run_until(ms(20));
    answer_to(&mut bench, R);
    bench.run_until(ms(50));
    let next = bench.last_request();
    assert!(next.nominates() && next.to == addr(R));
    assert!(requests_to(&bench, R2).is_empty());
}

/// Decision 18: the best pair is nominated in the next slot: nothing better can come.
#[test]
fn the_best_pair_is_nominated_at_once() {
    let mut bench = controlling(&[R, R2, R3, R4]);
    run_answering(&mut bench, 1000, 20, &[R]);
    assert_eq!(nominations(&bench)[0].at, ms(50));
}

/// Decision 18: while a better pair waits for its check, or for its answer for less than a round
/// trip, nothing is nominated; when twice that has passed, the wait is over.
#[test]
fn nomination_waits_for_better_pairs() {
    let mut bench = controlling(&[R, R2, R3]);
    bench.run_until(ms(1));
    // The worst pair is checked second, and R2 last.
    let _ = bench.send_check(L, R3, false);
    run_answering(&mut bench, 1000, 20, &[R3]);
    assert_eq!(requests_to(&bench, R3)[0].at, ms(50));
    assert_eq!(requests_to(&bench, R2)[0].at, ms(100));
    let nomination = nominations(&bench)[0].clone();
    assert_eq!(nomination.to, addr(R3));
    assert!(nomination.at >= ms(120), "{:?}", nomination.at);
    assert!(nomination.at <= ms(140 + 50), "{:?}", nomination.at);
}

/// A controlling agent whose worst pair is valid after 70 ms with a round trip of 20 ms, and the
/// best pair dead. R2, between them, is checked at 100 ms and takes so long to answer.
fn second_best_answers_after(round_trip: u64) -> Bench {
    let mut bench = controlling(&[R, R2, R3]);
    bench.run_until(ms(1));
    let _ = bench.send_check(L, R3, false);
    run_answering(&mut bench, 100, 20, &[R3]);
    run_answering(&mut bench, 100 + round_trip, round_trip, &[R2]);
    run_answering(&mut bench, 1000, 20, &[R2, R3]);
    bench
}

/// Decision 18: a better pair that succeeds while nomination waits is the one.
#[test]
fn a_better_pair_that_succeeds_in_time_is_nominated() {
    for round_trip in [5, 10, 19] {
        let bench = second_best_answers_after(round_trip);
        let only = |nomination: &Sent| nomination.to == addr(R2);
        assert!(nominations(&bench).iter().all(only), "{round_trip} ms");
        assert_eq!(selections(&bench), [(1, R2.to_owned())], "{round_trip} ms");
    }
}

/// Decision 18: the wait ends after `nomination_wait` at the latest, however many better pairs
/// have not been checked yet.
#[test]
fn nomination_waits_no_longer_than_configured() {
    for wait in [0, 200, 500] {
        let mut config = plain(Role::Controlling);
        config.timing.nomination_wait = Duration::from_millis(wait);
        let remotes: Vec<String> = (0..30).map(remote_of).collect();
        let remotes: Vec<&str> = remotes.iter().map(String::as_str).collect();
        let mut bench = Bench::started(config, &[L], &remotes);
        bench.run_until(ms(1));
        let worst = remotes[29];
        let _ = bench.send_check(L, worst, false);
        run_answering(&mut bench, 2000, 20, &[worst]);
        let nomination = nominations(&bench)[0].clone();
        assert_eq!(nomination.to, addr(worst));
        assert!(nomination.at >= ms(70 + wait), "{wait}: {:?}", nomination.at);
        assert!(nomination.at <= ms(70 + wait + 50), "{wait}: {:?}", nomination.at);
    }
}

/// Decision 18: nothing is nominated before every component has a valid pair.
#[test]
fn nomination_waits_for_all_components() {
    let (mut bench, _) = multi(Role::Controlling, &[2]);
    bench.run_until(ms(60));
    answer_to(&mut bench, &remote_of(0));
    bench.run_until(ms(3000));
    assert!(nominations(&bench).is_empty());
    answer_to(&mut bench, &remote_of(1));
    bench.run_until(ms(3100));
    let nominated: BTreeSet<SocketAddr> =
        nominations(&bench).iter().map(|nomination| nomination.to).collect();
    assert_eq!(nominated, BTreeSet::from([addr(&remote_of(0)), addr(&remote_of(1))]));
}

// Nominations that fail

/// Decision 3: when a nomination is refused, the pair leaves the valid list and the next best valid
/// pair is nominated; nothing has failed.
#[test]
fn after_a_refused_nomination_the_next_valid_pair_is_nominated() {
    let (mut bench, first) = two_valid_pairs_of_which_the_better_is_nominated();
    refuse(&mut bench, &first);
    assert_eq!(pair_with(&bench, R).state, PairState::Failed);
    assert!(!pair_with(&bench, R).valid);
    bench.run_for(Duration::from_millis(600));
    let second = nominations(&bench).last().cloned().unwrap();
    assert_eq!(second.to, addr(R2));
    let _ = bench.answer(&second);
    assert_eq!(selections(&bench), [(1, R2.to_owned())]);
    assert_eq!(states(&bench), IN_ORDER);
}

/// Decision 3: the same when a nomination is not answered for the whole of a transaction.
#[test]
fn after_a_silent_nomination_the_next_valid_pair_is_nominated() {
    let (mut bench, first) = two_valid_pairs_of_which_the_better_is_nominated();
    bench.run_until(first.at + Duration::from_millis(39_499));
    assert!(nominations(&bench).iter().all(|nomination| nomination.to == addr(R)));
    bench.run_until(first.at + Duration::from_millis(40_100));
    let second = nominations(&bench).last().cloned().unwrap();
    assert_eq!(second.to, addr(R2));
    let _ = bench.answer(&second);
    assert_eq!(selections(&bench), [(1, R2.to_owned())]);
    assert_eq!(states(&bench), IN_ORDER);
}

/// R and R2 are valid, and the nomination of R is on its way.
fn two_valid_pairs_of_which_the_better_is_nominated() -> (Bench, Sent) {
    let mut bench = controlling(&[R, R2]);
    bench.run_until(ms(50));
    answer_to(&mut bench, R);
    answer_to(&mut bench, R2);
    bench.run_until(ms(100));
    let nominations = nominations(&bench);
    assert_eq!(nominations[0].to, addr(R));
    (bench, nominations[0].clone())
}

/// Decision 3, C16: with no valid pair left, the session fails, but not before patience ends.
#[test]
fn the_session_fails_when_no_valid_pair_is_left() {
    let mut bench = controlling(&[R]);
    answer_to(&mut bench, R);
    bench.run_until(ms(600));
    let nomination = nominations(&bench)[0].clone();
    refuse(&mut bench, &nomination);
    let stream = bench.stream;
    assert_eq!(destination(&mut bench, stream, 1), Err(SendError::NotConnected));
    assert_ne!(bench.agent.state(), ConnectionState::Failed);
    bench.run_until(ms(39_499));
    assert_ne!(bench.agent.state(), ConnectionState::Failed);
    bench.run_until(ms(60_000));
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
    assert!(selections(&bench).is_empty());
}

// Nominations that are lost

/// A controlling agent whose checks are hedged and whose pair with R is valid after a round trip;
/// its nomination goes out at 100 ms.
fn hedged(round_trip: u64, remotes: &[&str], adjust: impl Fn(&mut AgentConfig)) -> Bench {
    let mut config = plain(Role::Controlling);
    config.timing.hedging = true;
    adjust(&mut config);
    let mut bench = Bench::started(config, &[L], remotes);
    bench.run_until(ms(round_trip));
    let check = requests_to(&bench, R)[0].clone();
    assert_eq!(bench.answer(&check), Received::Consumed);
    bench
}

fn millis_after(first: Timestamp, sent: &[Sent]) -> Vec<u128> {
    sent.iter().map(|sent| (sent.at - first).as_millis()).collect()
}

/// The transactions among these, without repetitions.
fn transactions(sent: &[Sent]) -> Vec<Sent> {
    let mut seen = BTreeSet::new();
    sent.iter().filter(|sent| seen.insert(sent.id())).cloned().collect()
}

fn role_conflict(bench: &mut Bench, request: &Sent) -> Received<'static> {
    let conflict =
        Message::new(ERROR, request.id()).error_code(487).integrity(PEER_PWD).fingerprint();
    bench.feed(L, &request.to.to_string(), &conflict)
}

/// Decision 22: until a nomination is answered, its check is sent anew in idle slots, four times,
/// 100 ms apart and one and a half round trips, each a transaction of its own; the first is
/// repeated as ever.
#[test]
fn a_silent_nomination_is_hedged_four_times() {
    for (round_trip, gap) in [(20, 100), (60, 100), (100, 150), (200, 300)] {
        let mut bench = hedged(round_trip, &[R], |_| {});
        bench.run_until(ms(39_000));
        let all = nominations(&bench);
        let first = all[0].clone();
        let transactions = transactions(&all);
        let expected: Vec<u128> = (0..5).map(|step| step * gap).collect();
        assert_eq!(millis_after(first.at, &transactions), expected, "{round_trip}");
        let repeated: Vec<Sent> =
            all.iter().filter(|sent| sent.id() == first.id()).cloned().collect();
        assert!(repeated.len() == 7 && repeated[1].at >= first.at + Duration::from_millis(500));
        assert_eq!(all.len(), 7 + 4, "a hedge is not repeated");
        assert!(all.windows(2).all(|two| two[1].at - two[0].at >= Duration::from_millis(5)));
    }
}

/// Decision 22: a lost nominating check costs 100 ms, and not the 500 ms of the RTO.
#[test]
fn a_lost_nomination_costs_100_ms() {
    let mut bench = hedged(20, &[R], |_| {});
    run_answering(&mut bench, 50, 20, &[]);
    let lost = nominations(&bench)[0].clone();
    assert_eq!(lost.at, ms(50));
    bench.run_until(ms(150));
    let second = nominations(&bench)[1].clone();
    assert_ne!(second.id(), lost.id());
    bench.run_until(ms(170));
    let _ = bench.answer(&second);
    assert_eq!(selections(&bench), [(1, R.to_owned())]);
    assert_eq!(states(&bench), IN_ORDER);
}

/// Whichever of the nominating checks is answered, it is one nomination, and nothing is sent for it
/// any more.
#[test]
fn an_answer_to_any_of_the_nominating_checks_counts() {
    let mut waiting = hedged(20, &[R], |_| {});
    waiting.run_until(ms(500));
    let all = transactions(&nominations(&waiting));
    assert_eq!(all.len(), 5);
    for check in &all {
        let mut bench = waiting.clone();
        let before = bench.requests().len();
        assert_eq!(bench.answer(check), Received::Consumed);
        for late in all.iter().filter(|late| late.id() != check.id()) {
            let _ = bench.answer(late);
        }
        bench.run_until(ms(60_000));
        assert_eq!(selections(&bench), [(1, R.to_owned())]);
        assert_eq!(bench.requests().len(), before);
        assert_eq!(states(&bench), IN_ORDER);
    }
}

/// RFC 8445 §8.1.1: while a pair is being nominated, however often, no other one is.
#[test]
fn no_second_pair_is_nominated_while_one_is_hedged() {
    let mut bench = hedged(20, &[R, R2, R3], |_| {});
    run_answering(&mut bench, 39_000, 20, &[R2, R3]);
    assert!(pair_with(&bench, R2).valid && pair_with(&bench, R3).valid);
    let all = nominations(&bench);
    assert_eq!(transactions(&all).len(), 5);
    assert!(all.iter().all(|nomination| nomination.to == addr(R)));
}

/// Decision 3: one of the nominating checks is refused, or lost for good, and another one is
/// answered: the nomination has succeeded. It has failed when none is left.
#[test]
fn a_nomination_fails_with_the_last_of_its_checks() {
    let mut waiting = hedged(20, &[R, R2], |_| {});
    run_answering(&mut waiting, 500, 20, &[R2]);
    let all = transactions(&nominations(&waiting));
    assert_eq!(all.len(), 5);
    for answered in 0..5 {
        let mut bench = waiting.clone();
        for (index, check) in all.iter().enumerate() {
            if index != answered {
                refuse(&mut bench, check);
            }
        }
        assert!(selections(&bench).is_empty() && pair_with(&bench, R).valid);
        assert_eq!(bench.answer(&all[answered]), Received::Consumed);
        assert_eq!(selections(&bench), [(1, R.to_owned())]);
    }
    let mut bench = waiting;
    for check in &all {
        assert!(pair_with(&bench, R).valid);
        refuse(&mut bench, check);
    }
    assert_eq!(pair_with(&bench, R).state, PairState::Failed);
    run_answering(&mut bench, 700, 20, &[R2]);
    assert_eq!(selections(&bench), [(1, R2.to_owned())]);
}

/// RFC 8445 §7.2.5.1: the peer answers several nominating checks with 487. The role changes once,
/// the pair is checked once in the other role, and nothing is nominated any more.
#[test]
fn a_role_conflict_on_several_nominating_checks_is_one() {
    let mut bench = hedged(20, &[R], |_| {});
    bench.run_until(ms(500));
    let all = transactions(&nominations(&bench));
    let before = requests_to(&bench, R).len();
    for check in &all {
        let _ = role_conflict(&mut bench, check);
        bench.run_for(Duration::from_millis(100));
    }
    assert_eq!(bench.agent.role(), Role::Controlled);
    let changes = bench.events.iter().filter(|(_, event)| matches!(event, Event::RoleChanged(_)));
    assert_eq!(changes.count(), 1);
    let after = requests_to(&bench, R).split_off(before);
    assert_eq!(transactions(&after).len(), 1);
    assert!(after.iter().all(|check| !check.nominates()));
}

/// Only slots that would stay idle carry such checks: those of other pairs go first.
#[test]
fn hedges_of_a_nomination_take_no_slot_from_other_checks() {
    let others: Vec<String> = (1..=12).map(|host| format!("10.2.0.{host}:2000")).collect();
    let mut remotes = vec![R];
    remotes.extend(others.iter().map(String::as_str));
    let mut bench = hedged(20, &remotes, |_| {});
    bench.run_until(ms(3_000));
    let first = nominations(&bench)[0].at;
    let second = transactions(&nominations(&bench))[1].at;
    let last = others.iter().map(|other| requests_to(&bench, other)[0].at).max().unwrap();
    assert!(first < last && last < second);
}

/// It is switched off with all hedging, and by the wish for the letter of §8.1.1.
#[test]
fn hedging_of_nominations_can_be_switched_off() {
    let off: [fn(&mut AgentConfig); 2] =
        [|config| config.timing.hedging = false, |config| config.strict_nomination = true];
    for adjust in off {
        let mut bench = hedged(20, &[R], adjust);
        bench.run_until(ms(39_000));
        assert_eq!(transactions(&nominations(&bench)).len(), 1);
    }
}

// What the controlled agent makes of nominations

/// N4, decision 4: RFC 8445 §8.1.1. Of several pairs that an aggressive peer nominates, the one
/// with the highest priority is used: from a low one the agent goes to a high one.
#[test]
fn a_better_nomination_replaces_a_worse_one() {
    let mut bench = controlled(&[R, R2]);
    answer_to(&mut bench, R);
    answer_to(&mut bench, R2);
    nominate(&mut bench, R2);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    nominate(&mut bench, R);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    assert_eq!(selections(&bench), [(1, R2.to_owned()), (1, R.to_owned())]);
    assert_eq!(states(&bench), IN_ORDER);
}

/// N4, decision 4: RFC 8445 §8.1.1. From a high one it does not go to a low one.
#[test]
fn a_worse_nomination_does_not_replace_a_better_one() {
    let mut bench = controlled(&[R, R2]);
    answer_to(&mut bench, R);
    answer_to(&mut bench, R2);
    nominate(&mut bench, R);
    nominate(&mut bench, R2);
    assert_eq!(selections(&bench), [(1, R.to_owned())]);
}

/// N4, decision 4: RFC 8445 §8.1.1, §7.2.5.3.2. Where a NAT is on the way the valid pair has the address
/// that the peer sees, and the priority of that; by the pairs that were checked, the two sides
/// would take different ones for the best.
#[test]
fn nominated_pairs_are_compared_by_their_valid_pairs() {
    let mut bench = controlled(&[R, R2]);
    let check = requests_to(&bench, R).last().cloned().expect("it is checked");
    let translated = Message::new(SUCCESS, check.id()).xor_mapped(addr(X));
    let translated = translated.integrity(PEER_PWD).fingerprint();
    assert_eq!(bench.feed(L, R, &translated), Received::Consumed);
    answer_to(&mut bench, R2);
    nominate(&mut bench, R);
    nominate(&mut bench, R2);
    assert_eq!(selections(&bench), [(1, R.to_owned()), (1, R2.to_owned())]);
    nominate(&mut bench, R);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// N4, N5, decision 5: RFC 8445 §8.1.1. A better pair that the peer has nominated is pursued when
/// a worse one is selected in the meantime.
#[test]
fn a_better_pair_that_is_nominated_is_pursued_past_the_conclusion() {
    let mut bench = controlled(&[R, R2]);
    nominate(&mut bench, R);
    answer_to(&mut bench, R2);
    nominate(&mut bench, R2);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    let before = requests_to(&bench, R).len();
    bench.run_for(Duration::from_millis(1200));
    assert!(requests_to(&bench, R).len() > before, "it is checked no more");
    answer_to(&mut bench, R);
    assert_eq!(selections(&bench), [(1, R2.to_owned()), (1, R.to_owned())]);
}

/// N4, decision 5: RFC 8445 §8.1.1. Also when the peer nominates the better pair after a worse one
/// was selected, before the own check of it has succeeded: an aggressive peer nominates with
/// every check, and the better path may be the slower one.
#[test]
fn a_better_pair_that_is_nominated_after_the_conclusion_is_pursued() {
    let mut bench = controlled(&[R, R2]);
    answer_to(&mut bench, R2);
    nominate(&mut bench, R2);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    nominate(&mut bench, R);
    bench.run_for(Duration::from_millis(100));
    let pursued = requests_to(&bench, R);
    assert_eq!(pursued.len(), 2, "no check was triggered");
    let _ = bench.answer(&pursued[1]);
    assert_eq!(selections(&bench), [(1, R2.to_owned()), (1, R.to_owned())]);
}

/// N4, decision 5: a late answer to the check that the conclusion has cancelled makes the better
/// pair valid, so that its nomination takes effect.
#[test]
fn a_late_answer_lets_a_better_nomination_take_effect() {
    let mut bench = controlled(&[R, R2]);
    answer_to(&mut bench, R2);
    nominate(&mut bench, R2);
    let late = requests_to(&bench, R)[0].clone();
    nominate(&mut bench, R);
    assert_eq!(bench.answer(&late), Received::Consumed);
    assert_eq!(selected(&bench).as_deref(), Some(R));
}

/// Decision 4: a nomination of a worse valid pair is followed when the selected one has not
/// received anything authentic for 2.5 s.
#[test]
fn a_worse_nomination_is_followed_when_the_selected_pair_is_silent() {
    let mut bench = controlled(&[R, R2]);
    answer_to(&mut bench, R);
    answer_to(&mut bench, R2);
    nominate(&mut bench, R);
    let since = bench.now;
    bench.run_until(since + Duration::from_millis(2499));
    nominate(&mut bench, R2);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    bench.run_until(since + Duration::from_millis(2500));
    nominate(&mut bench, R2);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    assert_eq!(states(&bench), IN_ORDER);
}

/// Decision 4: an authenticated check keeps the selected pair from counting as silent, data does
/// not.
#[test]
fn only_authenticated_packets_keep_the_selected_pair_from_being_left() {
    for (authentic, expected) in [(true, R), (false, R2)] {
        let mut bench = controlled(&[R, R2]);
        answer_to(&mut bench, R);
        answer_to(&mut bench, R2);
        nominate(&mut bench, R);
        bench.run_for(Duration::from_millis(2000));
        if authentic {
            let _ = bench.send_check(L, R, false);
        } else {
            assert!(matches!(bench.feed(L, R, b"data"), Received::Data { .. }));
        }
        bench.run_for(Duration::from_millis(2000));
        nominate(&mut bench, R2);
        assert_eq!(selected(&bench).as_deref(), Some(expected), "authentic: {authentic}");
    }
}

// Conclusion

/// A controlled agent that has settled on R2, with R in progress, R3 waiting and R4 queued at that
/// time.
fn concluded() -> Bench {
    let mut bench = Bench::started(plain(Role::Controlled), &[L], &[R, R2, R3, R4]);
    bench.run_until(ms(50));
    assert_eq!(bench.last_request().to, addr(R2));
    answer_to(&mut bench, R2);
    bench.run_until(ms(60));
    let _ = bench.send_check(L, R4, false);
    nominate(&mut bench, R2);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    assert_eq!(requests_to(&bench, R3).len() + requests_to(&bench, R4).len(), 0);
    bench
}

/// N5, decision 5: RFC 8445 §8.1.2. With a nominated pair the others of the component leave list
/// and queue, and checks in progress are not repeated.
#[test]
fn after_the_conclusion_no_other_pair_is_checked() {
    let mut bench = concluded();
    let before = bench.requests().len();
    bench.run_until(ms(60_000));
    assert_eq!(bench.requests().len(), before, "{:?}", bench.last_request());
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// N5: RFC 8445 §8.1.2. The answer to a cancelled check still counts, for as long as a transaction
/// lasts: it changes nothing of the selection.
#[test]
fn a_late_answer_after_the_conclusion_is_taken() {
    let mut bench = concluded();
    bench.run_until(ms(30_000));
    let late = requests_to(&bench, R)[0].clone();
    assert_eq!(bench.answer(&late), Received::Consumed);
    assert_eq!(selections(&bench), [(1, R2.to_owned())]);
    assert_eq!(bench.agent.counters().ignored(Ignored::UnknownTransaction), 0);
}

/// N6, N8: RFC 8445 §8.1.2. The nominated pair and all others are answered as before; a pair that
/// has succeeded triggers nothing.
#[test]
fn after_the_conclusion_checks_are_still_answered() {
    let mut bench = controlled(&[R, R2, R3]);
    for remote in [R, R2, R3] {
        answer_to(&mut bench, remote);
    }
    nominate(&mut bench, R2);
    let checks = bench.requests().len();
    for wait in [0, 100, 2900, 30_000] {
        bench.run_for(Duration::from_millis(wait));
        for remote in [R, R2, R3] {
            let before = bench.sent.len();
            assert_eq!(bench.send_check(L, remote, false), Received::Consumed);
            let sent = &bench.sent[before..];
            assert_eq!(sent.len(), 1, "{remote}: {sent:?}");
            assert_eq!((sent[0].kind(), sent[0].to), (SUCCESS, addr(remote)));
        }
    }
    assert_eq!(bench.requests().len(), checks, "a check was triggered");
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// N6: RFC 8445 §7.3.1.4. A check from an address that nobody has heard of is answered and checked in
/// return after the conclusion as well: the peer has moved.
#[test]
fn after_the_conclusion_a_new_address_of_the_peer_is_checked() {
    let mut bench = controlled(&[R, R2]);
    for remote in [R, R2] {
        answer_to(&mut bench, remote);
    }
    nominate(&mut bench, R2);
    bench.run_for(Duration::from_millis(30_000));
    let before = bench.sent.len();
    assert_eq!(bench.send_check(L, X, false), Received::Consumed);
    let kinds: Vec<_> = bench.sent[before..].iter().map(|sent| (sent.kind(), sent.to)).collect();
    assert_eq!(kinds, [(SUCCESS, addr(X)), (REQUEST, addr(X))]);
    answer_to(&mut bench, X);
    assert!(pair_with(&bench, X).valid);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// N7, decision 23: RFC 8445 §8.1.2. A checklist is Completed when each component has a nominated
/// pair; connected is the agent before that, when each has a valid one.
#[test]
fn the_session_completes_with_the_last_component() {
    let (mut bench, places) = multi(Role::Controlled, &[2]);
    let stream = places[0].0;
    bench.run_until(ms(100));
    answer_to(&mut bench, &remote_of(0));
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    let _ = bench.send_check(&local_of(0), &remote_of(0), true);
    assert_eq!(selections(&bench), [(1, remote_of(0))]);
    assert_eq!(bench.agent.state(), ConnectionState::Checking, "component 2 has no pair");
    assert_eq!(destination(&mut bench, stream, 1), Err(SendError::NotConnected));

    answer_to(&mut bench, &remote_of(1));
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    assert_eq!(destination(&mut bench, stream, 1), Ok(remote_of(0)));
    assert_eq!(destination(&mut bench, stream, 2), Ok(remote_of(1)));

    let _ = bench.send_check(&local_of(1), &remote_of(1), true);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(selections(&bench), [(1, remote_of(0)), (2, remote_of(1))]);
    assert_eq!(states(&bench), IN_ORDER);
}

/// N7, P9: RFC 8445 §6.1.3. The session is Completed when the last of its checklists is.
#[test]
fn the_session_completes_with_the_last_stream() {
    let (mut bench, places) = multi(Role::Controlled, &[1, 1, 1]);
    bench.run_until(ms(150));
    for (index, (stream, component)) in places.into_iter().enumerate() {
        assert_ne!(bench.agent.state(), ConnectionState::Completed);
        answer_to(&mut bench, &remote_of(index));
        let _ = bench.send_check(&local_of(index), &remote_of(index), true);
        assert_eq!(destination(&mut bench, stream, component), Ok(remote_of(index)));
    }
    assert_eq!(states(&bench), IN_ORDER);
}

/// P9: RFC 8445 §6.1.3. The session has failed when all of its checklists have.
#[test]
fn the_session_fails_with_the_last_stream() {
    let (mut bench, _) = multi(Role::Controlled, &[1, 1, 1]);
    bench.run_until(ms(150));
    for index in [0, 1] {
        let check = requests_to(&bench, &remote_of(index))[0].clone();
        refuse(&mut bench, &check);
    }
    let last = requests_to(&bench, &remote_of(2))[0].clone();
    bench.run_until(last.at + Duration::from_millis(39_500));
    let failed = [ConnectionState::Checking, ConnectionState::Failed];
    assert_eq!(states(&bench), failed);
}

/// P9: RFC 8445 §6.1.3. With one checklist Completed and another Failed it is neither.
#[test]
fn with_mixed_outcomes_the_session_is_neither_completed_nor_failed() {
    let (mut bench, places) = multi(Role::Controlled, &[1, 1, 1]);
    bench.run_until(ms(150));
    answer_to(&mut bench, &remote_of(0));
    let _ = bench.send_check(&local_of(0), &remote_of(0), true);
    let check = requests_to(&bench, &remote_of(1))[0].clone();
    refuse(&mut bench, &check);
    bench.run_until(ms(120_000));
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    assert_eq!(states(&bench), [ConnectionState::Checking]);
    let (stream, component) = places[0];
    assert_eq!(destination(&mut bench, stream, component), Ok(remote_of(0)), "it works for itself");
    let (stream, component) = places[1];
    assert_eq!(destination(&mut bench, stream, component), Err(SendError::NotConnected));
}

// Data

/// N9, decision 23: RFC 8445 §12.1. Before nomination data takes the best valid pair, afterwards
/// only the selected one.
#[test]
fn data_takes_the_best_valid_pair_and_then_the_selected_one() {
    let mut bench = controlled(&[R, R2, R3]);
    let stream = bench.stream;
    assert_eq!(destination(&mut bench, stream, 1), Err(SendError::NotConnected));
    answer_to(&mut bench, R3);
    assert_eq!(destination(&mut bench, stream, 1).as_deref(), Ok(R3));
    answer_to(&mut bench, R);
    assert_eq!(destination(&mut bench, stream, 1).as_deref(), Ok(R));
    answer_to(&mut bench, R2);
    assert_eq!(destination(&mut bench, stream, 1).as_deref(), Ok(R));
    nominate(&mut bench, R2);
    assert_eq!(destination(&mut bench, stream, 1).as_deref(), Ok(R2));
    bench.run_for(Duration::from_secs(20));
    assert_eq!(destination(&mut bench, stream, 1).as_deref(), Ok(R2));
}

/// Q9, decision 20: RFC 7675 §5.1. Nothing is sent before an own check has succeeded, whatever the
/// peer has proved or nominated.
#[test]
fn no_data_is_sent_before_an_own_check_has_succeeded() {
    let mut bench = controlled(&[R]);
    let stream = bench.stream;
    nominate(&mut bench, R);
    assert_eq!(destination(&mut bench, stream, 1), Err(SendError::NotConnected));
    assert_eq!(bench.agent.route(stream, 1), None);
    bench.run_for(Duration::from_millis(50));
    assert_eq!(destination(&mut bench, stream, 1), Err(SendError::NotConnected));
    answer_to(&mut bench, R);
    assert_eq!(destination(&mut bench, stream, 1).as_deref(), Ok(R));
}

/// N10, decision 20: RFC 8445 §12.2. Data is accepted on every path on which the peer has proved
/// itself, selected or not, and on no other.
#[test]
fn data_is_delivered_from_authenticated_paths_only() {
    let mut bench = Bench::started(plain(Role::Controlled), &[L, L2], &[R, R2, R3]);
    let unknown = Received::Ignored(Ignored::UnknownRemote);
    for remote in [R, R2, R3, X] {
        assert_eq!(bench.feed(L, remote, b"data"), unknown, "{remote}: nothing is proved yet");
    }
    // By the peer's check alone.
    let _ = bench.send_check(L, R2, false);
    let delivered = |bench: &mut Bench, remote: &str| match bench.feed(L, remote, b"data") {
        Received::Data { stream, component, pair, .. } => {
            assert_eq!((stream, component), (bench.stream, 1));
            let on = |view: &PairView| Some(view.id) == pair;
            let pairs: Vec<PairView> = bench.agent.pairs().filter(on).collect();
            assert_eq!(pairs[0].remote.addr, addr(remote));
            assert_eq!(pairs[0].local.addr, addr(L));
            true
        }
        Received::Ignored(Ignored::UnknownRemote) => false,
        other => panic!("{other:?}"),
    };
    assert!(delivered(&mut bench, R2));
    assert!(!delivered(&mut bench, R));
    assert_eq!(bench.feed(L2, R2, b"data"), unknown, "another path between the same hosts");

    // By the answer to an own check.
    bench.run_until(ms(400));
    let check = requests_to(&bench, R).into_iter().find(|request| request.from == addr(L)).unwrap();
    let _ = bench.answer(&check);
    assert!(delivered(&mut bench, R));

    // After nomination on both, and still on no other.
    nominate(&mut bench, R);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    for _ in 0..2 {
        assert!(delivered(&mut bench, R) && delivered(&mut bench, R2));
        assert!(!delivered(&mut bench, R3) && !delivered(&mut bench, X));
        bench.run_for(Duration::from_secs(10));
    }
}

/// N10, decision 20: also from where the peer proves itself after the conclusion.
#[test]
fn data_is_delivered_from_a_path_that_is_authenticated_after_the_conclusion() {
    let mut bench = concluded();
    assert_eq!(bench.feed(L, X, b"data"), Received::Ignored(Ignored::UnknownRemote));
    let _ = bench.send_check(L, X, false);
    let received = bench.feed(L, X, b"data");
    assert!(matches!(received, Received::Data { .. }), "{received:?}");
    assert_eq!(selected(&bench).as_deref(), Some(R2), "and nothing else follows from it");
}

/// send() names what is wrong.
#[test]
fn send_tells_why_it_refuses() {
    let mut bench = controlled(&[R]);
    let stream = bench.stream;
    let mut stranger = IceAgent::new(AgentConfig::new(Role::Controlling), [1; 32]).unwrap();
    let other = stranger.add_stream(ms(0), 1).unwrap();
    let stun = Message::new(SUCCESS, [1; 12]).bytes;
    assert_eq!(destination(&mut bench, stream, 1), Err(SendError::NotConnected));
    answer_to(&mut bench, R);
    assert_eq!(destination(&mut bench, stream, 1).as_deref(), Ok(R));

    let now = bench.now;
    let mut error =
        |stream, component, payload: &[u8]| bench.agent.send(now, stream, component, payload).err();
    assert_eq!(error(stream, 0, b"data"), Some(SendError::UnknownComponent));
    assert_eq!(error(stream, 2, b"data"), Some(SendError::UnknownComponent));
    assert_eq!(error(other, 1, b"data"), Some(SendError::UnknownComponent));
    assert_eq!(error(stream, 1, &stun), Some(SendError::LooksLikeStun));
    assert_eq!(error(stream, 1, &stun[..19]), None, "no header of STUN is so short");
    assert_eq!(error(stream, 1, &[]), None);
    assert_eq!(error(stream, 1, &[0x80; 1200]), None);
    assert_eq!(error(stream, 1, &[0x16; 1200]), None);

    bench.agent.close(now);
    assert_eq!(destination(&mut bench, stream, 1), Err(SendError::NotConnected));
    assert_eq!(bench.agent.route(stream, 1), None);
}

// Two agents

/// Two agents whose streams have so many components each, with so many hosts on each side.
fn world(
    seed: u8,
    configs: [AgentConfig; 2],
    shape: &[u16],
    hosts: usize,
) -> (World, [AgentIndex; 2]) {
    let mut world = World::new([seed; 32]);
    world.set_log_detail(LogDetail::Full);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
    let agents = configs.map(|mut config| {
        config.components = shape[0];
        world.add_agent(config).unwrap()
    });
    for (side, agent) in agents.into_iter().enumerate() {
        for components in &shape[1..] {
            let add = |agent: &mut IceAgent, now| agent.add_stream(now, *components);
            world.call(agent, add).unwrap().unwrap();
        }
        for (index, (stream, component)) in places(&world, agent, shape).into_iter().enumerate() {
            for host in 1..=hosts {
                let local = addr(&format!("10.{side}.0.{host}:{}", 5000 + index));
                world.add_local(agent, stream, component, LocalAddress::udp(local)).unwrap();
            }
        }
    }
    world.connect(agents[0], agents[1]).unwrap();
    for agent in agents {
        world.start(agent).unwrap();
    }
    (world, agents)
}

fn places(world: &World, agent: AgentIndex, shape: &[u16]) -> Vec<(StreamId, u16)> {
    let streams = world.agent(agent).unwrap().streams();
    streams
        .zip(shape)
        .flat_map(|(stream, components)| (1..=*components).map(move |number| (stream, number)))
        .collect()
}

fn defaults() -> [AgentConfig; 2] {
    [AgentConfig::new(Role::Controlling), AgentConfig::new(Role::Controlled)]
}

fn run_to_completion(world: &mut World) {
    let completed = |world: &World| {
        world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
    };
    let end = world.run_while(|world| !completed(world), ms(30_000)).unwrap();
    assert_eq!(end, End::Condition, "not completed in time");
}

/// Both sides have selected the same pair for every component.
fn assert_agreement(world: &World, agents: [AgentIndex; 2], shape: &[u16]) {
    let [one, other] = agents.map(|agent| {
        places(world, agent, shape)
            .into_iter()
            .map(|(stream, component)| {
                let pair = world.agent(agent).unwrap().selected_pair(stream, component).unwrap();
                assert!(pair.valid && pair.nominated && pair.state == PairState::Succeeded);
                (pair.local.addr, pair.remote.addr)
            })
            .collect::<Vec<_>>()
    });
    let mirrored: Vec<_> = other.into_iter().map(|(local, remote)| (remote, local)).collect();
    assert_eq!(one, mirrored);
}

/// Data goes both ways on every component, and arrives as what it was sent.
fn assert_data_flows(world: &mut World, agents: [AgentIndex; 2], shape: &[u16]) {
    for (from, to) in [(agents[0], agents[1]), (agents[1], agents[0])] {
        let targets = places(world, to, shape);
        let sources = places(world, from, shape);
        for (index, (stream, component)) in sources.into_iter().enumerate() {
            world.send(from, stream, component, format!("data {index}").as_bytes()).unwrap();
        }
        world.run_until(world.now() + Duration::from_millis(20)).unwrap();
        let data: Vec<(StreamId, u16, Vec<u8>)> = world
            .take_log(to)
            .into_iter()
            .filter_map(|entry| match entry.what {
                Logged::Data { stream, component, payload, .. } => {
                    Some((stream, component, payload))
                }
                _ => None,
            })
            .collect();
        let expected: Vec<_> = targets
            .into_iter()
            .enumerate()
            .map(|(index, (stream, component))| {
                (stream, component, format!("data {index}").into_bytes())
            })
            .collect();
        assert_eq!(data, expected);
    }
}

fn states_of(world: &World, agent: AgentIndex) -> Vec<ConnectionState> {
    world
        .events(agent)
        .filter_map(|(_, event)| match event {
            Event::ConnectionState(state) => Some(*state),
            _ => None,
        })
        .collect()
}

/// N7, decision 23: the states come in their order, each once, on both sides.
#[test]
fn connection_states_come_in_order_and_once() {
    for (shape, hosts) in [(vec![1], 1), (vec![1], 4), (vec![2], 2), (vec![1, 2, 1], 1)] {
        let (mut world, agents) = world(1, defaults(), &shape, hosts);
        world.run_until(ms(10_000)).unwrap();
        for agent in agents {
            assert_eq!(states_of(&world, agent), IN_ORDER, "{shape:?} with {hosts} hosts");
        }
    }
}

/// N7, P9: sessions of several components and streams complete, agree, and carry data.
#[test]
fn several_components_and_streams_complete_and_agree() {
    for shape in [vec![2], vec![5], vec![1, 1], vec![2, 2], vec![1, 3, 2, 1]] {
        for hosts in [1, 3] {
            let (mut world, agents) = world(2, defaults(), &shape, hosts);
            run_to_completion(&mut world);
            assert_agreement(&world, agents, &shape);
            let components: usize = shape.iter().map(|count| usize::from(*count)).sum();
            for agent in agents {
                let selected = |event: &Event| matches!(event, Event::SelectedPair { .. });
                let count = world.events(agent).filter(|(_, event)| selected(event)).count();
                assert_eq!(count, components, "{shape:?} with {hosts} hosts");
            }
            assert_data_flows(&mut world, agents, &shape);
        }
    }
}

/// N1, N7: also when some paths are dead and others lose packets.
#[test]
fn agents_agree_although_paths_are_dead_or_lossy() {
    let shape = [2, 1];
    for seed in 0..10 {
        let (mut world, agents) = world(seed, defaults(), &shape, 3);
        let link = Link::delayed(Duration::from_millis(30))
            .with_jitter(Duration::from_millis(20))
            .with_loss(Probability::percent(10));
        world.network_mut().set_default_link(link);
        for (one, other) in [(1, 1), (1, 2), (2, 1), (3, 3)] {
            let one = format!("10.0.0.{one}").parse().unwrap();
            let other = format!("10.1.0.{other}").parse().unwrap();
            world.network_mut().block_between(one, other);
        }
        run_to_completion(&mut world);
        world.run_until(world.now() + Duration::from_millis(500)).unwrap();
        assert_agreement(&world, agents, &shape);
    }
}

/// P9: a stream without a way leaves the session neither Completed nor Failed, and the other
/// stream works.
#[test]
fn a_stream_without_a_way_does_not_end_the_other() {
    let (mut world, agents) = world(3, defaults(), &[1, 1], 1);
    // The second stream alone uses port 5001.
    world
        .run_filtered(ms(60_000), |_, datagram| {
            if datagram.from.port() == 5001 {
                frazil::sim::Verdict::Drop
            } else {
                frazil::sim::Verdict::Deliver
            }
        })
        .unwrap();
    for agent in agents {
        assert_eq!(states_of(&world, agent), [ConnectionState::Checking]);
        let streams: Vec<StreamId> = world.agent(agent).unwrap().streams().collect();
        assert!(world.send(agent, streams[0], 1, b"data").is_ok());
        assert_eq!(world.send(agent, streams[1], 1, b"data"), Err(SendError::NotConnected));
    }
}

/// N13: RFC 8445 §6.1.1. Between full agents the initiator controls; when both or neither think
/// that they do, one ends in each role, and they agree.
#[test]
fn exactly_one_of_two_full_agents_controls() {
    use Role::{Controlled, Controlling};
    for roles in [
        [Controlling, Controlled],
        [Controlled, Controlling],
        [Controlling, Controlling],
        [Controlled, Controlled],
    ] {
        for seed in 0..5 {
            let (mut world, agents) = world(seed, roles.map(AgentConfig::new), &[1], 2);
            run_to_completion(&mut world);
            assert_agreement(&world, agents, &[1]);
            let ended = agents.map(|agent| world.agent(agent).unwrap().role());
            assert_ne!(ended[0], ended[1], "{roles:?}");
            let changes = |agent| {
                let events = world.events(agent);
                events.filter(|(_, event)| matches!(event, Event::RoleChanged(_))).count()
            };
            if roles[0] == roles[1] {
                assert_eq!(changes(agents[0]) + changes(agents[1]), 1, "{roles:?}");
            } else {
                assert_eq!(ended, roles);
                assert_eq!(changes(agents[0]) + changes(agents[1]), 0);
            }
        }
    }
}

/// N14: RFC 8445 §10. The option `ice2` is advertised, in the parameters and in a description.
#[test]
fn the_ice2_option_is_advertised() {
    let ice2 = |options: &[String]| options.iter().any(|option| option == "ice2");
    for role in [Role::Controlling, Role::Controlled] {
        let mut agent = IceAgent::new(AgentConfig::new(role), [1; 32]).unwrap();
        assert!(ice2(&agent.local_parameters().options));
        assert!(ice2(&agent.take_description(ms(0)).parameters.options));
    }
}

// Determinism and clones

/// Everything that a session of two agents puts out, on a network that loses packets.
fn session(seed: u8) -> (u64, Vec<Vec<LogEntry>>) {
    let (mut world, agents) = world(seed, defaults(), &[2, 1], 3);
    // The network's luck depends on the seed as well; this one has none to depend on.
    for host in 1..=2 {
        let one = format!("10.0.0.{host}").parse().unwrap();
        world.network_mut().block_between(one, "10.1.0.1".parse().unwrap());
    }
    let mut count = 0_u32;
    world
        .run_filtered(ms(60_000), |_, _| {
            count += 1;
            if count % 5 == 0 { frazil::sim::Verdict::Drop } else { frazil::sim::Verdict::Deliver }
        })
        .unwrap();
    (world.hash(), agents.map(|agent| world.take_log(agent)).into())
}

fn transmits(log: &[LogEntry]) -> Vec<&[u8]> {
    log.iter()
        .filter_map(|entry| match &entry.what {
            Logged::Transmit { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        })
        .collect()
}

/// Invariant 2: equal configurations, seeds and inputs give equal transmits to the byte, equal
/// events and equal deadlines.
#[test]
fn equal_seeds_give_equal_bytes_events_and_deadlines() {
    let (one, other) = (session(7), session(7));
    assert!(transmits(&one.1[0]).len() > 50, "the session is too short to prove anything");
    assert_eq!(one.1, other.1);
    assert_eq!(one.0, other.0);
}

/// Invariant 2: what should be unpredictable differs between seeds: no message occurs twice.
#[test]
fn different_seeds_give_different_bytes() {
    let (one, other) = (session(7), session(8));
    assert_ne!(one.0, other.0);
    let first: BTreeSet<&[u8]> = one.1.iter().flat_map(|log| transmits(log)).collect();
    let second: BTreeSet<&[u8]> = other.1.iter().flat_map(|log| transmits(log)).collect();
    assert!(first.is_disjoint(&second));
}

/// The deadlines on the way of one agent, without inputs.
fn deadlines(bench: &mut Bench, count: usize) -> Vec<Timestamp> {
    let mut deadlines = Vec::new();
    while let Some(deadline) = bench.agent.poll_timeout().filter(|_| deadlines.len() < count) {
        deadlines.push(deadline);
        bench.run_until(deadline);
    }
    deadlines
}

/// Invariant 8: a clone is a snapshot that goes its own way: it does the same with the same inputs,
/// and what is done to it does not touch the original.
#[test]
fn a_clone_goes_its_own_way() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.nomination_wait = Duration::from_millis(300);
    let mut bench = Bench::started(config, &[L, L2], &[R, R2, R3]);
    bench.run_until(ms(120));
    let digest = bench.agent.state_digest();
    let deadline = bench.agent.poll_timeout();

    let mut closed = bench.clone();
    closed.agent.close(closed.now);
    let mut connected = bench.clone();
    answer_to(&mut connected, R);
    run_answering(&mut connected, 2000, 20, &[R]);
    assert_eq!(connected.agent.state(), ConnectionState::Completed);
    let mut silent = bench.clone();
    let silence = deadlines(&mut silent, 200);
    assert_ne!(silent.agent.state_digest(), connected.agent.state_digest());

    assert_eq!(bench.agent.state_digest(), digest, "the original is untouched");
    assert_eq!(bench.agent.poll_timeout(), deadline);
    assert_eq!(bench.agent.state(), ConnectionState::Checking);

    assert_eq!(deadlines(&mut bench, 200), silence);
    assert_eq!(bench.agent.state_digest(), silent.agent.state_digest());
    let bytes = |bench: &Bench| bench.sent.iter().map(|sent| sent.bytes.clone()).collect();
    let (one, other): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (bytes(&bench), bytes(&silent));
    assert_eq!(one, other);
}

/// Only the controlling side waits for something to nominate.
#[test]
fn a_controlled_agent_never_wakes_to_nominate() {
    let mut bench = controlled(&[R, R2]);
    // After its repetition, so that no round trip is known and the better pair is worth a wait.
    bench.run_until(ms(700));
    answer_to(&mut bench, R2);
    while let Some(at) = bench.agent.poll_timeout().filter(|&at| at < ms(10_000)) {
        assert_ne!(bench.agent.timeout_reason(), Some(TimeoutReason::Nomination));
        bench.run_until(at);
    }
}

/// A better pair of one component is nothing to wait for in another.
#[test]
fn nomination_waits_for_better_pairs_of_its_own_component_only() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    for (component, local) in [(1, L), (2, L2)] {
        let local = LocalAddress::udp(addr(local));
        bench.agent.add_local(bench.now, bench.stream, component, local).unwrap();
        bench.drain();
    }
    for (component, priority, remote) in [(1, 1000, R), (2, 500, R2), (2, 2000, R3)] {
        let at = addr(remote);
        bench.add_remote_line(&format!(
            "{priority} {component} UDP {priority} {} {} typ host",
            at.ip(),
            at.port()
        ));
    }
    bench.start();
    // After their repetitions, so that no round trip is known and a better pair is worth a wait.
    bench.run_until(ms(700));
    answer_to(&mut bench, R);
    answer_to(&mut bench, R2);
    bench.run_until(ms(750));
    let nominated: Vec<_> = nominations(&bench).iter().map(|sent| sent.to).collect();
    assert_eq!(nominated, [addr(R)]);
}

/// RFC 8445 §7.3.1.1: an agent that has become controlled nominates no more, nor repeats what it had
/// begun to nominate.
#[test]
fn a_nomination_ends_with_the_role() {
    let mut bench = controlling(&[R, R2]);
    answer_to(&mut bench, R);
    bench.run_until(ms(60));
    assert_eq!(nominations(&bench).len(), 1);
    let username = format!("{}:{PEER_UFRAG}", bench.ufrag());
    let id = bench.id();
    let conflict = Message::new(REQUEST, id)
        .attr(USERNAME, username.as_bytes())
        .attr(PRIORITY, &1000_u32.to_be_bytes())
        .attr(ICE_CONTROLLING, &u64::MAX.to_be_bytes())
        .integrity(&bench.pwd())
        .fingerprint();
    let _ = bench.feed(L, R2, &conflict);
    assert_eq!(bench.agent.role(), Role::Controlled);
    bench.run_until(ms(30_000));
    assert_eq!(nominations(&bench).len(), 1);
    assert!(requests_to(&bench, R2).len() > 1, "checks go on");
}

/// RFC 8445 §8.1.2: the checks under way of the other pairs end with the conclusion, those of pairs on
/// which the peer was heard among them.
#[test]
fn the_conclusion_ends_checks_of_pairs_that_the_peer_uses() {
    let mut bench = controlling(&[R, R2]);
    bench.run_until(ms(60));
    let _ = bench.send_check(L, R2, false);
    bench.run_until(ms(160));
    answer_to(&mut bench, R);
    bench.run_until(ms(260));
    answer_to(&mut bench, R);
    assert!(bench.agent.selected_pair(bench.stream, 1).is_some());
    let before = requests_to(&bench, R2).len();
    bench.run_until(ms(10_000));
    assert_eq!(requests_to(&bench, R2).len(), before);
}
