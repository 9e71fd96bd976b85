//! Which check is sent when (RFC 8445 §6.1.2, §6.1.4, §14), how long an agent is patient (RFC 8863),
//! and that its clock is honest: all in virtual time.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use common::{Bench, ERROR, ICE_CONTROLLED, Message, PEER_PWD, PEER_UFRAG, Sent, addr, ms};
use frazil::sim::{Link, World};
use frazil::{
    AddStreamError, AgentConfig, Candidate, ConnectionState, Credentials, Event, IceAgent,
    LocalAddress, PairId, PairState, PairView, Parameters, Received, Refused, Role, Route,
    SetRemoteError, StreamId, TimeoutReason, Timestamp, Timing, Transport,
};

const L1: &str = "10.0.0.1:1000";
const R1: &str = "10.9.0.1:2000";
const R2: &str = "10.9.0.2:2000";
const R3: &str = "10.9.0.3:2000";
const R4: &str = "10.9.0.4:2000";

/// Ta when nobody asks for another one.
const TA: u64 = 50;
/// RFC 8445 §14.2: the least distance between any two transmissions of transactions.
const SPACING: Duration = Duration::from_millis(5);
/// The time a silent transaction takes to fail, and the patience of RFC 8863.
const TIMEOUT: u64 = 39_500;

fn config(role: Role, hedging: bool) -> AgentConfig {
    let mut config = AgentConfig::new(role);
    // The scripted peer answers what a test is about, and no consent checks.
    config.consent = false;
    config.timing.hedging = hedging;
    config
}

/// One transaction a pair.
fn plain(role: Role) -> AgentConfig {
    config(role, false)
}

/// Checks have started at time zero, with remote candidates of falling priority.
fn bench<S: AsRef<str>>(config: AgentConfig, locals: &[S], remotes: &[S]) -> Bench {
    let mut bench = Bench::with(config);
    add_all(&mut bench, locals, remotes);
    bench.start();
    bench
}

/// Adds candidates to the bench's stream; gathering is complete then.
fn add_all<S: AsRef<str>>(bench: &mut Bench, locals: &[S], remotes: &[S]) {
    for local in locals {
        bench.add_local(local.as_ref());
    }
    bench.agent.gather(bench.now);
    bench.drain();
    for (index, remote) in remotes.iter().enumerate() {
        bench.add_remote(remote.as_ref(), 2_000_000_000 - index as u32);
    }
    bench.agent.end_of_remote_candidates(bench.now, None);
}

/// `10.net.0.1:port`, `10.net.0.2:port` and so on.
fn hosts(net: u8, port: u16, count: usize) -> Vec<String> {
    (1..=count).map(|host| format!("10.{net}.0.{host}:{port}")).collect()
}

fn add_local_to(bench: &mut Bench, component: u16, local: &str) {
    let local = LocalAddress::udp(addr(local));
    bench.agent.add_local(bench.now, bench.stream, component, local).unwrap();
    bench.drain();
}

fn start_with_pacing(bench: &mut Bench, pacing: Option<u64>) {
    let mut parameters = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
    parameters.pacing = pacing.map(Duration::from_millis);
    bench.agent.set_remote(bench.now, parameters).unwrap();
    bench.drain();
}

/// Requests that start a transaction, without the repetitions.
fn starts(requests: &[Sent]) -> Vec<Sent> {
    let mut seen = BTreeSet::new();
    requests.iter().filter(|sent| sent.is_request() && seen.insert(sent.id())).cloned().collect()
}

fn starts_to(bench: &Bench, remote: &str) -> Vec<Sent> {
    let requests = bench.requests();
    starts(&requests).into_iter().filter(|sent| sent.to == addr(remote)).collect()
}

fn millis_of(requests: &[Sent]) -> Vec<u64> {
    requests.iter().map(|sent| sent.at.as_nanos() / 1_000_000).collect()
}

fn destinations(requests: &[Sent]) -> Vec<SocketAddr> {
    requests.iter().map(|sent| sent.to).collect()
}

fn first_to(bench: &Bench, remote: &str) -> Sent {
    starts_to(bench, remote).first().cloned().expect("no check")
}

fn error(request: &Sent, code: u16) -> Vec<u8> {
    Message::new(ERROR, request.id()).error_code(code).integrity(PEER_PWD).fingerprint()
}

fn refuse(bench: &mut Bench, request: &Sent) {
    let bytes = error(request, 400);
    let _ = bench.feed(&request.from.to_string(), &request.to.to_string(), &bytes);
}

fn pair(bench: &Bench, remote: &str) -> PairView {
    bench.agent.pairs().find(|pair| pair.remote.addr == addr(remote)).expect("no such pair")
}

fn reached(bench: &Bench, state: ConnectionState) -> Option<Timestamp> {
    let event = Event::ConnectionState(state);
    bench.events.iter().find(|(_, other)| *other == event).map(|(at, _)| *at)
}

/// RFC 8445 §6.1.2.3.
fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let (least, most) = (controlling.min(controlled), controlling.max(controlled));
    (u64::from(least) << 32) + 2 * u64::from(most) + u64::from(controlling > controlled)
}

fn assert_spaced(requests: &[Sent]) {
    for two in requests.windows(2) {
        assert!(
            two[1].at - two[0].at >= SPACING,
            "{:?} and {:?}: requests too close",
            two[0].at,
            two[1].at
        );
    }
}

/// Lets time pass deadline by deadline, looking at the bench after each.
fn watch(bench: &mut Bench, until: Timestamp, mut look: impl FnMut(&mut Bench)) {
    while let Some(at) = bench.agent.poll_timeout().filter(|&at| at <= until) {
        bench.run_until(at);
        look(bench);
    }
    bench.run_until(until);
}

/// A generator of small random numbers (splitmix64): the same on every run.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.roll() % 100 < chance
    }
}

// Pairs

/// P1: pairs are formed within one component and one address family.
#[test]
fn candidates_pair_within_a_component_and_an_address_family() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    for (component, port) in [(1, 1000), (2, 1001)] {
        add_local_to(&mut bench, component, &format!("10.0.0.1:{port}"));
        add_local_to(&mut bench, component, &format!("[2001:db8::1]:{port}"));
    }
    bench.add_remote_line("a 1 UDP 2000000004 10.9.0.1 2000 typ host");
    bench.add_remote_line("b 2 UDP 2000000003 10.9.0.1 2001 typ host");
    bench.add_remote_line("c 1 UDP 2000000002 2001:db8::9 2000 typ host");
    bench.add_remote_line("d 2 UDP 2000000001 2001:db8::9 2001 typ host");
    bench.start();
    bench.run_until(ms(10_000));

    let paths: BTreeSet<_> = bench.requests().iter().map(|sent| (sent.from, sent.to)).collect();
    let expected = [
        ("10.0.0.1:1000", "10.9.0.1:2000"),
        ("10.0.0.1:1001", "10.9.0.1:2001"),
        ("[2001:db8::1]:1000", "[2001:db8::9]:2000"),
        ("[2001:db8::1]:1001", "[2001:db8::9]:2001"),
    ];
    assert_eq!(paths, expected.iter().map(|(from, to)| (addr(from), addr(to))).collect());
    assert_eq!(bench.agent.pairs().count(), 4);
}

/// P2: link-local IPv6 addresses pair with link-local ones only.
#[test]
fn link_local_pairs_with_link_local_only() {
    let locals = ["[fe80::1%2]:1000", "[2001:db8::1]:1000"];
    let remotes = ["[fe80::9]:2000", "[2001:db8::9]:2000"];
    let mut bench = bench(plain(Role::Controlling), &locals, &remotes);
    bench.run_until(ms(10_000));
    let paths: BTreeSet<_> =
        bench.requests().iter().map(|sent| (sent.from.ip(), sent.to.ip())).collect();
    let ip = |text: &str| addr(text).ip();
    let expected = [(ip("[fe80::1]:1"), ip("[fe80::9]:1")), (ip(locals[1]), ip(remotes[1]))];
    assert_eq!(paths, BTreeSet::from(expected));
}

/// P3: a component that the peer has no candidate for is dropped, which is no failure.
#[test]
fn a_component_that_the_peer_lacks_is_dropped() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    add_local_to(&mut bench, 1, "10.0.0.1:1000");
    add_local_to(&mut bench, 2, "10.0.0.1:1001");
    bench.agent.gather(bench.now);
    bench.drain();
    bench.add_remote(R1, 2_000_000_000);
    bench.agent.end_of_remote_candidates(bench.now, None);
    bench.start();
    for _ in 0..2 {
        let request = bench.last_request();
        let _ = bench.answer(&request);
        bench.run_for(Duration::from_millis(100));
    }
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert!(bench.requests().iter().all(|sent| sent.from == addr(L1)));
    bench.run_until(ms(2 * TIMEOUT));
    assert_eq!(reached(&bench, ConnectionState::Failed), None);
}

/// P3: a component that only the peer has is not accepted, and harms nothing.
#[test]
fn a_component_that_only_the_peer_has_is_ignored() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L1);
    bench.add_remote(R1, 2_000_000_000);
    let second: Candidate = "b 2 UDP 2000000003 10.9.0.1 2001 typ host".parse().unwrap();
    assert!(bench.agent.add_remote_candidate(bench.now, bench.stream, &second).is_err());
    bench.start();
    let request = bench.last_request();
    let _ = bench.answer(&request);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
}

/// P6, decision 15: of 900 pairs never more than 100 are alive, the best ones are checked first,
/// and all are checked in the end.
#[test]
fn never_more_pairs_than_the_limit_and_all_of_them_in_the_end() {
    let config = plain(Role::Controlling);
    assert_eq!(config.limits.pairs, 100);
    let mut bench = bench(config, &hosts(0, 1000, 30), &hosts(9, 2000, 30));
    let locals: BTreeMap<SocketAddr, u32> =
        bench.agent.local_candidates().map(|local| (local.addr, local.priority)).collect();
    let remotes: BTreeMap<SocketAddr, u32> =
        bench.agent.remote_candidates().map(|remote| (remote.addr, remote.priority)).collect();
    let mut best = Vec::new();
    for (local, controlling) in &locals {
        for (remote, controlled) in &remotes {
            best.push((pair_priority(*controlling, *controlled), *local, *remote));
        }
    }
    best.sort_unstable_by(|a, b| b.cmp(a));

    assert_eq!(bench.agent.pairs().count(), 100);
    watch(&mut bench, ms(60_000), |bench| {
        assert!(bench.agent.pairs().count() <= 100);
        assert_ne!(bench.agent.state(), ConnectionState::Failed);
    });
    let checked: Vec<(SocketAddr, SocketAddr)> =
        starts(&bench.requests()).iter().map(|sent| (sent.from, sent.to)).collect();
    let expected: Vec<(SocketAddr, SocketAddr)> =
        best.iter().take(100).map(|(_, local, remote)| (*local, *remote)).collect();
    assert_eq!(checked[..100], expected);
    assert_eq!(checked.iter().collect::<BTreeSet<_>>().len(), 900);
}

/// The remote addresses of the pairs that made room, each with the requests that it had been sent
/// and the time since the first of them.
fn retirements(bench: &mut Bench, until: Timestamp) -> Vec<(SocketAddr, usize, Duration)> {
    let limit = bench.agent.pairs().count();
    let mut known: BTreeMap<PairId, SocketAddr> = BTreeMap::new();
    let mut retired = Vec::new();
    watch(bench, until, |bench| {
        let alive: BTreeMap<PairId, SocketAddr> =
            bench.agent.pairs().map(|pair| (pair.id, pair.remote.addr)).collect();
        assert!(alive.len() <= limit);
        for (_, remote) in known.iter().filter(|(id, _)| !alive.contains_key(id)) {
            let requests = bench.requests();
            let sent: Vec<_> = requests.iter().filter(|sent| sent.to == *remote).collect();
            retired.push((*remote, sent.len(), bench.now - sent[0].at));
        }
        known = alive;
    });
    retired
}

/// Decision 15: a pair makes room when no slot is left to better use and three requests went
/// unanswered. A late answer still counts.
#[test]
fn a_pair_is_retired_after_three_unanswered_requests_and_can_still_answer() {
    let mut bench = bench(plain(Role::Controlled), &hosts(0, 1000, 1), &hosts(9, 2000, 120));
    let retired = retirements(&mut bench, ms(30_000));
    assert_eq!(retired.len(), 20, "the last hundred have nobody to make room for");
    for (remote, sent, _) in &retired {
        assert!(*sent >= 3, "{remote} was retired after {sent} requests");
    }
    assert_eq!(starts(&bench.requests()).len(), 120);
    assert_eq!(bench.agent.state(), ConnectionState::Checking);

    let remote = retired[0].0.to_string();
    let late = first_to(&bench, &remote);
    assert_eq!(bench.answer(&late), Received::Consumed);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    assert!(pair(&bench, &remote).valid);
    assert!(bench.agent.pairs().count() <= 100);
}

/// Decision 15: three requests it must be, though slots are idle and only pairs that were checked
/// last could make room: all others have been answered.
#[test]
fn idle_slots_alone_retire_no_pair_before_its_third_request() {
    let mut config = plain(Role::Controlled);
    config.limits.pairs = 40;
    let mut bench = bench(config, &hosts(0, 1000, 1), &hosts(9, 2000, 42));
    let mut answered = Vec::new();
    for slot in 0..38 {
        bench.run_until(ms(slot * TA));
        let check = starts(&bench.requests()).last().unwrap().clone();
        assert_eq!(check.at, bench.now);
        let _ = bench.answer(&check);
        answered.push(check.to);
    }
    let retired = retirements(&mut bench, ms(30_000));
    let silent: Vec<SocketAddr> = retired.iter().map(|(remote, ..)| *remote).collect();
    assert_eq!(silent, [addr("10.9.0.39:2000"), addr("10.9.0.40:2000")]);
    for (remote, sent, _) in &retired {
        assert!(*sent >= 3, "{remote} was retired after {sent} requests");
    }
    assert_eq!(starts(&bench.requests()).len(), 42);
    assert!(answered.iter().all(|remote| pair(&bench, &remote.to_string()).valid));
}

/// Decision 15: a list that is short for its Ta would wait for repetitions with idle slots; there
/// a pair makes room after an RTO of silence at the earliest.
#[test]
fn a_pair_of_a_short_list_is_retired_after_an_rto_of_silence() {
    let mut config = plain(Role::Controlled);
    config.limits.pairs = 4;
    let mut bench = bench(config, &hosts(0, 1000, 1), &hosts(9, 2000, 8));
    let retired = retirements(&mut bench, ms(30_000));
    assert_eq!(retired.len(), 4);
    for (remote, _, silent) in &retired {
        assert!(*silent >= Duration::from_millis(500), "{remote} was retired after {silent:?}");
    }
    assert_eq!(starts(&bench.requests()).len(), 8);
}

/// Decision 15: pairs that were refused make room as well: whatever lies behind them is checked,
/// and the list does not fail while something does.
#[test]
fn failed_pairs_make_room_for_those_behind_them() {
    let mut config = plain(Role::Controlled);
    config.limits.pairs = 2;
    let mut bench = bench(config, &hosts(0, 1000, 1), &hosts(9, 2000, 6));
    let mut refused = 0;
    for _ in 0..40 {
        for request in bench.requests().split_off(refused) {
            refuse(&mut bench, &request);
            refused += 1;
        }
        bench.run_for(Duration::from_millis(TA));
        assert!(bench.agent.pairs().count() <= 2);
    }
    let checked: BTreeSet<SocketAddr> = bench.requests().iter().map(|sent| sent.to).collect();
    assert_eq!(checked.len(), 6);
    bench.run_until(ms(TIMEOUT));
    assert_eq!(reached(&bench, ConnectionState::Failed), Some(ms(TIMEOUT)));
}

/// P6: the limit is configurable, for the set of all checklists, and shared evenly.
#[test]
fn the_limit_is_shared_evenly_by_the_streams() {
    for (limit, streams, share) in [(100, 2, 50), (12, 3, 4), (100, 1, 100), (7, 1, 7)] {
        let mut config = plain(Role::Controlling);
        config.limits.pairs = limit;
        config.components = 0;
        let mut agent = IceAgent::new(config, [7; 32]).unwrap();
        let now = Timestamp::ZERO;
        let credentials = Credentials::new(PEER_UFRAG, PEER_PWD).unwrap();
        agent.set_remote(now, Parameters::new(credentials)).unwrap();
        for stream in 0..streams {
            let id = agent.add_stream(now, 1).unwrap();
            for local in hosts(stream, 1000, 30) {
                agent.add_local(now, id, 1, LocalAddress::udp(addr(&local))).unwrap();
            }
            while agent.poll_event(now).is_some() {}
            for host in 1..=30 {
                let line = format!("{stream}x{host} 1 UDP {host} 10.9.{stream}.{host} 2 typ host");
                agent.add_remote_candidate(now, id, &line.parse().unwrap()).unwrap();
            }
        }
        let mut shares: BTreeMap<StreamId, u16> = BTreeMap::new();
        for pair in agent.pairs() {
            *shares.entry(pair.stream).or_default() += 1;
        }
        assert_eq!(shares.len(), usize::from(streams));
        assert!(shares.values().all(|&held| held == share), "{limit}: {shares:?}");
    }
}

/// P10: after a change of roles the order of the checks is that of the new role.
#[test]
fn priorities_are_recomputed_when_the_role_changes() {
    let locals = ["10.0.0.1:1000", "10.0.0.2:1000"];
    let mut bench = Bench::with(plain(Role::Controlling));
    for local in locals {
        bench.add_local(local);
    }
    let mut priorities: Vec<u32> =
        bench.agent.local_candidates().map(|local| local.priority).collect();
    priorities.sort_unstable_by(|a, b| b.cmp(a));
    // The crosswise pairs have the same two priorities: the role decides which one leads.
    bench.add_remote(R1, priorities[0]);
    bench.add_remote(R2, priorities[1]);
    bench.start();
    let first = bench.last_request();
    let better = first.from;
    let worse = locals.map(addr).into_iter().find(|local| *local != better).unwrap();
    assert_eq!(first.to, addr(R1));
    let mut unchanged = bench.clone();

    let bytes = error(&first, 487);
    let _ = bench.feed(&first.from.to_string(), R1, &bytes);
    assert_eq!(bench.agent.role(), Role::Controlled);
    let order = |sent: Vec<Sent>| {
        sent.iter().map(|sent| (sent.from, sent.to)).collect::<Vec<(SocketAddr, SocketAddr)>>()
    };
    let sent = bench.run_until(ms(200));
    assert!(sent.iter().all(|sent| sent.has(ICE_CONTROLLED)));
    assert_eq!(
        order(sent),
        [(better, addr(R1)), (worse, addr(R1)), (better, addr(R2)), (worse, addr(R2))]
    );
    assert_eq!(
        order(unchanged.run_until(ms(150))),
        [(better, addr(R2)), (worse, addr(R1)), (worse, addr(R2))]
    );
}

// Order and pace

/// Adds a stream with one local and some remote candidates of foundations of their own.
fn add_stream(bench: &mut Bench, local: &str, remotes: &[&str]) -> StreamId {
    let stream = bench.agent.add_stream(bench.now, 1).unwrap();
    bench.stream = stream;
    bench.add_local(local);
    for (index, remote) in remotes.iter().enumerate() {
        bench.add_remote(remote, 2_000_000_000 - index as u32);
    }
    stream
}

/// A bench with streams of one local and some remote candidates; nothing has started.
fn with_streams(role: Role, streams: &[(&str, &[&str])]) -> Bench {
    let (local, remotes) = streams[0];
    let mut bench = Bench::with(plain(role));
    bench.add_local(local);
    for (index, remote) in remotes.iter().enumerate() {
        bench.add_remote(remote, 2_000_000_000 - index as u32);
    }
    for (local, remotes) in &streams[1..] {
        add_stream(&mut bench, local, remotes);
    }
    bench
}

/// S1: the first check goes out at once, then one per Ta, round-robin over the checklists.
#[test]
fn checks_go_round_robin_over_the_streams() {
    let mut bench = with_streams(
        Role::Controlling,
        &[
            ("10.0.1.1:1000", &["10.9.1.1:2000", "10.9.1.2:2000"]),
            ("10.0.2.1:1000", &["10.9.2.1:2000", "10.9.2.2:2000"]),
            ("10.0.3.1:1000", &["10.9.3.1:2000", "10.9.3.2:2000"]),
        ],
    );
    bench.start();
    let sent = bench.requests();
    assert_eq!(destinations(&sent), [addr("10.9.1.1:2000")]);
    bench.run_until(ms(400));
    let starts = starts(&bench.requests());
    assert_eq!(millis_of(&starts), [0, 50, 100, 150, 200, 250]);
    let order = ["1.1", "2.1", "3.1", "1.2", "2.2", "3.2"];
    assert_eq!(destinations(&starts), order.map(|host| addr(&format!("10.9.{host}:2000"))));
}

/// S2: triggered checks go before ordinary ones, in the order in which the peer's checks came.
#[test]
fn triggered_checks_go_first_in_fifo_order() {
    let mut bench = bench(plain(Role::Controlling), &[L1], &[R1, R2, R3, R4]);
    bench.run_until(ms(10));
    let _ = bench.send_check(L1, R4, false);
    let _ = bench.send_check(L1, R3, false);
    let _ = bench.send_check(L1, R4, false);
    bench.run_until(ms(400));
    let starts = starts(&bench.requests());
    assert_eq!(destinations(&starts), [R1, R4, R3, R2].map(addr));
    assert_eq!(millis_of(&starts), [0, 50, 100, 150]);
}

/// S3: while a pair of its foundation is Waiting or In-Progress in any checklist, a Frozen pair
/// stays so; it has its turn when that one is decided, be it by failure.
#[test]
fn a_frozen_pair_waits_for_its_foundation_in_other_streams() {
    for succeeds in [true, false] {
        let mut bench = Bench::with(plain(Role::Controlled));
        bench.add_local("10.0.0.1:1000");
        bench.add_remote_line("same 1 UDP 2000000003 10.9.0.1 2000 typ host");
        let stream = bench.agent.add_stream(bench.now, 1).unwrap();
        bench.stream = stream;
        bench.add_local("10.0.0.1:1001");
        bench.add_remote_line("same 1 UDP 2000000002 10.9.0.1 2001 typ host");
        bench.start();
        bench.run_until(ms(400));
        assert_eq!(destinations(&bench.requests()), [addr("10.9.0.1:2000")]);
        assert_eq!(pair(&bench, "10.9.0.1:2001").state, PairState::Frozen);

        let first = bench.last_request();
        if succeeds {
            let _ = bench.answer(&first);
        } else {
            refuse(&mut bench, &first);
        }
        bench.run_until(ms(400 + TA));
        assert_eq!(bench.last_request().to, addr("10.9.0.1:2001"), "succeeds: {succeeds}");
    }
}

/// Decision 16: with slots to spare a Frozen pair is unfrozen when all of its foundation have
/// been In-Progress for an RTO, and not before, be the slots used for hedges or not.
#[test]
fn a_silent_foundation_is_unfrozen_pair_by_pair_after_an_rto() {
    for hedging in [false, true] {
        let mut bench = Bench::with(config(Role::Controlling, hedging));
        bench.add_local(L1);
        for host in 1..=3 {
            let priority = 2_000_000_000 - host;
            bench.add_remote_line(&format!("same 1 UDP {priority} 10.9.0.{host} 2000 typ host"));
        }
        bench.start();
        bench.run_until(ms(5_000));
        let first = [R1, R2, R3].map(|remote| first_to(&bench, remote));
        assert_eq!(millis_of(&first), [0, 500, 1_000], "hedging: {hedging}");
        assert_eq!(starts(&bench.requests()).len(), if hedging { 15 } else { 3 });
    }
}

/// Decision 16: Waiting pairs go before a Frozen one of a silent foundation.
#[test]
fn a_silent_foundation_is_unfrozen_in_idle_slots_only() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L1);
    bench.add_remote_line("same 1 UDP 2000000002 10.9.0.1 2000 typ host");
    bench.add_remote_line("same 1 UDP 2000000001 10.9.0.2 2000 typ host");
    for host in 11..=25 {
        bench.add_remote(&format!("10.9.0.{host}:2000"), 2_000_000 - host);
    }
    bench.start();
    bench.run_until(ms(2_000));
    let starts = starts(&bench.requests());
    assert_eq!(starts.len(), 17);
    assert_eq!(starts[0].to, addr(R1));
    assert_eq!(starts[16].to, addr(R2), "the others first, though their priority is lower");
    assert_eq!(starts[16].at, ms(16 * TA));
}

/// S4: Waiting pairs are checked by falling priority.
#[test]
fn waiting_pairs_are_checked_by_priority() {
    let mut bench = Bench::with(plain(Role::Controlled));
    for local in hosts(0, 1000, 3) {
        bench.add_local(&local);
    }
    for (host, priority) in [(1, 70), (2, 2_130_706_000), (3, 2_113_937_151), (4, 1_000)] {
        bench.add_remote(&format!("10.9.0.{host}:2000"), priority);
    }
    bench.start();
    let mut expected: Vec<(u64, SocketAddr, SocketAddr)> = bench
        .agent
        .pairs()
        .map(|pair| {
            let priority = pair_priority(pair.remote.priority, pair.local.priority);
            assert_eq!(pair.priority, priority);
            (priority, pair.local.addr, pair.remote.addr)
        })
        .collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    bench.run_until(ms(2_000));
    let starts = starts(&bench.requests());
    let checked: Vec<_> = starts.iter().map(|sent| (sent.from, sent.to)).collect();
    let expected: Vec<_> = expected.into_iter().map(|(_, from, to)| (from, to)).collect();
    assert_eq!(checked.len(), 12);
    assert_eq!(checked, expected);
}

/// S5: a checklist without pairs is skipped, and costs the others no slot.
#[test]
fn an_empty_checklist_takes_no_slot() {
    let mut bench = with_streams(
        Role::Controlling,
        &[
            ("10.0.1.1:1000", &[]),
            ("10.0.2.1:1000", &["10.9.2.1:2000", "10.9.2.2:2000", "10.9.2.3:2000"]),
            ("10.0.3.1:1000", &[]),
        ],
    );
    bench.start();
    bench.run_until(ms(400));
    assert_eq!(millis_of(&starts(&bench.requests())), [0, 50, 100]);
}

/// S6: every check leaves from a socket of this side, also when the pair is known under another
/// address: checks are sent from the base.
#[test]
fn checks_leave_from_the_base() {
    let mut bench = bench(plain(Role::Controlling), &[L1, "10.0.0.2:1000"], &[R1, R2]);
    for _ in 0..10 {
        for request in bench.requests() {
            let mapped = Message::new(common::SUCCESS, request.id())
                .xor_mapped(addr("203.0.113.7:7777"))
                .integrity(PEER_PWD)
                .fingerprint();
            let _ = bench.feed(&request.from.to_string(), &request.to.to_string(), &mapped);
        }
        bench.run_for(Duration::from_millis(TA));
    }
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    let sockets = [addr(L1), addr("10.0.0.2:1000")];
    assert!(bench.sent.iter().all(|sent| sockets.contains(&sent.from)));
}

/// S7: no check is repeated before 500 ms, be there one pair or a hundred.
#[test]
fn no_check_is_repeated_before_500_ms() {
    for (count, ta) in [(1, 5), (1, 50), (40, 5), (100, 5), (100, 50)] {
        let mut config = plain(Role::Controlling);
        config.timing.ta = Duration::from_millis(ta);
        let mut bench = bench(config, &hosts(0, 1000, 1), &hosts(9, 2000, count));
        start_with_pacing(&mut bench, Some(ta));
        bench.run_until(ms(20_000));
        let mut last: BTreeMap<[u8; 12], (Timestamp, Duration)> = BTreeMap::new();
        let mut repetitions = 0;
        for request in bench.requests() {
            let wait = match last.get(&request.id()) {
                None => Duration::from_millis(500),
                Some(&(before, wait)) => {
                    assert!(request.at - before >= wait, "{count} pairs");
                    repetitions += 1;
                    wait * 2
                }
            };
            last.insert(request.id(), (request.at, wait));
        }
        assert!(repetitions >= 5 * count / 2, "{count} pairs: {repetitions}");
    }
}

/// S8: the larger of the two Ta is used; a peer that says nothing means 50 ms.
#[test]
fn the_larger_ta_is_used() {
    for (own, peer, expected) in [
        (50, None, 50),
        (50, Some(100), 100),
        (100, None, 100),
        (100, Some(20), 100),
        (20, None, 50),
        (20, Some(30), 30),
        (5, Some(5), 5),
    ] {
        let mut config = plain(Role::Controlling);
        config.timing.ta = Duration::from_millis(own);
        let mut bench = Bench::with(config);
        add_all(&mut bench, &[L1], &[R1, R2, R3, R4]);
        start_with_pacing(&mut bench, peer);
        bench.run_until(ms(450));
        let expected = [0, expected, 2 * expected, 3 * expected];
        assert_eq!(millis_of(&starts(&bench.requests())), expected, "{own} and {peer:?}");
    }
}

/// S8: a Ta other than the default is proposed to the peer.
#[test]
fn a_ta_other_than_the_default_is_proposed() {
    for (ta, proposed) in [(50, None), (20, Some(20)), (100, Some(100))] {
        let mut config = plain(Role::Controlling);
        config.timing.ta = Duration::from_millis(ta);
        let bench = Bench::with(config);
        let pacing = bench.agent.local_parameters().pacing;
        assert_eq!(pacing, proposed.map(Duration::from_millis));
    }
}

/// S9: repetitions take no Ta slot from new checks, also when they are due just before one.
#[test]
fn repetitions_delay_no_new_check() {
    for ta in [50, 63, 126] {
        let mut config = plain(Role::Controlling);
        config.timing.ta = Duration::from_millis(ta);
        let mut bench = bench(config, &hosts(0, 1000, 1), &hosts(9, 2000, 40));
        bench.run_until(ms(40 * ta - 1));
        let requests = bench.requests();
        let slots: Vec<u64> = (0..40).map(|slot| slot * ta).collect();
        assert_eq!(millis_of(&starts(&requests)), slots);
        assert!(requests.len() > 60, "repetitions go on in the meantime: {}", requests.len());
        assert_spaced(&requests);
    }
}

/// S9: any two requests are at least 5 ms apart, repetitions and hedges counted.
#[test]
fn all_requests_keep_a_distance_of_5_ms() {
    for (ta, hedging, count) in [(5, true, 40), (5, false, 100), (50, true, 60), (7, true, 13)] {
        let mut config = config(Role::Controlling, hedging);
        config.timing.ta = Duration::from_millis(ta);
        let mut bench = Bench::with(config);
        add_all(&mut bench, &hosts(0, 1000, 1), &hosts(9, 2000, count));
        start_with_pacing(&mut bench, Some(ta));
        bench.run_until(ms(45_000));
        let requests = bench.requests();
        assert!(requests.len() >= 7 * count);
        assert_spaced(&requests);
    }
}

/// S9: the distance holds under a flood of the peer's checks, and is kept by triggered checks.
#[test]
fn triggered_checks_keep_the_pace() {
    let mut bench = bench(config(Role::Controlling, true), &[L1], &[R1, R2, R3, R4]);
    for round in 0..40 {
        for remote in [R4, R2, R3, R1] {
            let _ = bench.send_check(L1, remote, false);
        }
        bench.run_until(ms(13 * round));
    }
    let requests = bench.requests();
    assert_spaced(&requests);
    let starts = starts(&requests);
    assert!(starts.len() > 5);
    for two in starts.windows(2) {
        assert!(two[1].at - two[0].at >= Duration::from_millis(TA));
    }
}

// When to nominate

fn nominations(bench: &Bench) -> Vec<(u64, SocketAddr)> {
    let requests = starts(&bench.requests());
    let nominating = requests.iter().filter(|sent| sent.nominates());
    nominating.map(|sent| (sent.at.as_nanos() / 1_000_000, sent.to)).collect()
}

/// Decision 18: the best pair is nominated in the next slot, without waiting for worse ones.
#[test]
fn the_best_pair_is_nominated_at_once() {
    let mut bench = bench(plain(Role::Controlling), &[L1], &[R1, R2, R3]);
    bench.run_until(ms(20));
    let check = first_to(&bench, R1);
    let _ = bench.answer(&check);
    bench.run_until(ms(60));
    assert_eq!(nominations(&bench), [(50, addr(R1))]);
}

/// R3 is valid after a round trip of 70 ms; the better R2 has been under way for 20 ms.
fn a_better_pair_under_way() -> Bench {
    let mut bench = bench(plain(Role::Controlling), &[L1], &[R1, R2, R3]);
    bench.run_until(ms(10));
    let _ = bench.send_check(L1, R3, false);
    bench.run_until(ms(105));
    let check = first_to(&bench, R1);
    refuse(&mut bench, &check);
    bench.run_until(ms(120));
    let check = first_to(&bench, R3);
    assert_eq!(check.at, ms(50));
    let _ = bench.answer(&check);
    assert_eq!(first_to(&bench, R2).at, ms(100));
    assert!(pair(&bench, R3).valid);
    bench
}

/// Decision 18: a better pair whose check is younger than a round trip is waited for.
#[test]
fn a_better_pair_that_may_still_answer_is_waited_for() {
    let mut bench = a_better_pair_under_way();
    bench.run_until(ms(165));
    assert_eq!(nominations(&bench), []);
    let check = first_to(&bench, R2);
    let _ = bench.answer(&check);
    bench.run_until(ms(300));
    assert_eq!(nominations(&bench), [(165, addr(R2))]);
}

/// Decision 18: a better pair that is silent for two round trips is not waited for any longer.
#[test]
fn a_silent_better_pair_delays_nomination_by_round_trips_only() {
    let mut bench = a_better_pair_under_way();
    bench.run_until(ms(1_000));
    let nominations = nominations(&bench);
    assert_eq!(nominations.len(), 1);
    let (at, to) = nominations[0];
    assert_eq!(to, addr(R3));
    assert!((170..=100 + 140 + TA).contains(&at), "{at}");
}

/// Decision 18: while a better pair is Waiting the agent waits for it, but not for longer than
/// `nomination_wait`.
#[test]
fn a_waiting_better_pair_is_waited_for_up_to_the_nomination_wait() {
    assert_eq!(Timing::default().nomination_wait, Duration::from_millis(500));
    for (wait, earliest) in [(200, 260), (500, 560), (0, 100), (60_000, 1_000)] {
        let mut config = plain(Role::Controlling);
        config.timing.nomination_wait = Duration::from_millis(wait);
        // Twenty pairs; the peer calls on the last one, which is valid at 60 ms.
        let mut bench = bench(config, &hosts(0, 1000, 1), &hosts(9, 2000, 20));
        let last = "10.9.0.20:2000";
        bench.run_until(ms(10));
        let _ = bench.send_check(L1, last, false);
        bench.run_until(ms(60));
        let check = first_to(&bench, last);
        let _ = bench.answer(&check);
        bench.run_until(ms(2_000));
        let nominations = nominations(&bench);
        assert_eq!(nominations.len(), 1);
        let (at, to) = nominations[0];
        assert_eq!(to, addr(last));
        assert!((earliest..=earliest + TA).contains(&at), "wait {wait}: nominated at {at}");
    }
}

/// Decision 18: with several components nothing is nominated until all have a valid pair.
#[test]
fn nomination_waits_for_all_components() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    add_local_to(&mut bench, 1, "10.0.0.1:1000");
    add_local_to(&mut bench, 2, "10.0.0.1:1001");
    bench.add_remote_line("a 1 UDP 2000000004 10.9.0.1 2000 typ host");
    bench.add_remote_line("b 2 UDP 2000000003 10.9.0.1 2001 typ host");
    bench.start();
    let check = first_to(&bench, "10.9.0.1:2000");
    let _ = bench.answer(&check);
    bench.run_until(ms(3_000));
    assert_eq!(nominations(&bench), []);
    assert_ne!(bench.agent.state(), ConnectionState::Connected);
    let check = first_to(&bench, "10.9.0.1:2001");
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
    bench.run_until(ms(3_200));
    let to: BTreeSet<SocketAddr> = nominations(&bench).iter().map(|(_, to)| *to).collect();
    assert_eq!(to, BTreeSet::from([addr("10.9.0.1:2000"), addr("10.9.0.1:2001")]));
}

// No slot is spent twice

/// Decision 21: an answer makes the triggered check that is queued for the pair superfluous.
#[test]
fn a_success_drops_the_queued_check_of_the_pair() {
    let mut bench = bench(plain(Role::Controlled), &[L1], &[R1, R2]);
    bench.run_until(ms(10));
    let _ = bench.send_check(L1, R1, false);
    assert_eq!(pair(&bench, R1).state, PairState::Waiting);
    let check = first_to(&bench, R1);
    let _ = bench.answer(&check);
    bench.run_until(ms(2_000));
    assert_eq!(starts_to(&bench, R1).len(), 1);
    assert_eq!(first_to(&bench, R2).at, ms(50), "the slot is the next pair's");
}

/// Decision 21: a nomination takes the place of the plain triggered check in the queue.
#[test]
fn a_nomination_merges_with_the_queued_check_of_the_pair() {
    let mut bench = bench(plain(Role::Controlling), &[L1], &[R1, R2]);
    bench.run_until(ms(10));
    let _ = bench.send_check(L1, R1, false);
    let check = first_to(&bench, R1);
    let _ = bench.answer(&check);
    let _ = bench.send_check(L1, R1, false);
    bench.run_until(ms(120));
    let checks = starts_to(&bench, R1);
    assert_eq!(millis_of(&checks), [0, 50]);
    assert_eq!(checks.iter().map(Sent::nominates).collect::<Vec<_>>(), [false, true]);
}

// Hedging

/// Decision 22: a silent pair gets four further checks, each a new transaction at least 100 ms
/// after the one before, besides the repetitions of the first.
#[test]
fn a_silent_pair_is_hedged_four_times() {
    for (ta, role) in [(50, Role::Controlling), (5, Role::Controlled), (70, Role::Controlling)] {
        let mut config = config(role, true);
        config.timing.ta = Duration::from_millis(ta);
        let mut bench = Bench::with(config);
        add_all(&mut bench, &[L1], &[R1]);
        start_with_pacing(&mut bench, Some(ta));
        bench.run_until(ms(TIMEOUT - 1));
        let starts = starts_to(&bench, R1);
        assert_eq!(starts.len(), 5);
        for two in starts.windows(2) {
            let gap = two[1].at - two[0].at;
            assert!(gap >= Duration::from_millis(100) && gap <= Duration::from_millis(200));
        }
        let requests = bench.requests();
        let repeated = requests.iter().filter(|sent| sent.id() == starts[0].id()).count();
        assert_eq!(repeated, 7);
        assert_eq!(requests.len(), 7 + 4, "a hedge is not repeated");
    }
}

/// Decision 22: any of the checks may be answered.
#[test]
fn an_answer_to_any_of_the_hedges_counts() {
    let mut bench = bench(config(Role::Controlled, true), &[L1], &[R1]);
    bench.run_until(ms(600));
    for index in 0..5 {
        let mut bench = bench.clone();
        let check = starts_to(&bench, R1)[index].clone();
        assert_eq!(bench.answer(&check), Received::Consumed);
        assert!(pair(&bench, R1).valid, "check {index}");
        // Nothing is left to do for this pair, neither a repetition nor a hedge.
        let before = bench.requests().len();
        bench.run_until(ms(3_000));
        assert_eq!(bench.requests().len(), before);
    }
}

/// Decision 22: hedging can be switched off.
#[test]
fn hedging_can_be_switched_off() {
    assert!(AgentConfig::new(Role::Controlling).timing.hedging);
    let mut bench = bench(config(Role::Controlling, false), &[L1], &[R1]);
    bench.run_until(ms(TIMEOUT - 1));
    assert_eq!(starts_to(&bench, R1).len(), 1);
}

/// Decision 22: only slots that would stay idle carry hedges.
#[test]
fn hedges_take_no_slot_from_other_checks() {
    let remotes = hosts(9, 2000, 20);
    let mut bench = bench(config(Role::Controlling, true), &hosts(0, 1000, 1), &remotes);
    bench.run_until(ms(1_500));
    let starts = starts(&bench.requests());
    let expected: Vec<SocketAddr> = remotes.iter().map(|remote| addr(remote)).collect();
    assert_eq!(destinations(&starts[..20]), expected);
    assert_eq!(millis_of(&starts[..20]), (0..20).map(|slot| slot * TA).collect::<Vec<_>>());
    assert!(starts.len() > 20, "idle slots from 1 s on");
    for two in starts.windows(2) {
        assert!(two[1].at - two[0].at >= Duration::from_millis(TA));
    }
}

/// Decision 22: a component that has a valid pair is hedged no more, one that has none still is.
#[test]
fn a_component_with_a_valid_pair_is_not_hedged() {
    let mut bench = bench(config(Role::Controlled, true), &[L1], &[R1, R2]);
    bench.run_until(ms(60));
    let check = first_to(&bench, R1);
    let _ = bench.answer(&check);
    bench.run_until(ms(5_000));
    assert_eq!(starts_to(&bench, R1).len(), 1);
    assert_eq!(starts_to(&bench, R2).len(), 1);

    let mut config = config(Role::Controlled, true);
    config.components = 2;
    let mut bench = Bench::with(config);
    add_local_to(&mut bench, 1, "10.0.0.1:1000");
    add_local_to(&mut bench, 2, "10.0.0.1:1001");
    bench.add_remote_line("a 1 UDP 2000000004 10.9.0.1 2000 typ host");
    bench.add_remote_line("b 2 UDP 2000000003 10.9.0.1 2001 typ host");
    bench.start();
    let check = first_to(&bench, "10.9.0.1:2000");
    let _ = bench.answer(&check);
    bench.run_until(ms(5_000));
    assert_eq!(starts_to(&bench, "10.9.0.1:2000").len(), 1);
    assert_eq!(starts_to(&bench, "10.9.0.1:2001").len(), 5);
}

/// Decision 22: a hedge waits for one and a half of the round trips that were seen.
#[test]
fn hedges_wait_for_one_and_a_half_round_trips() {
    let mut config = config(Role::Controlled, true);
    config.components = 2;
    let mut bench = Bench::with(config);
    add_local_to(&mut bench, 1, "10.0.0.1:1000");
    add_local_to(&mut bench, 2, "10.0.0.1:1001");
    bench.add_remote_line("a 1 UDP 2000000004 10.9.0.1 2000 typ host");
    bench.add_remote_line("b 2 UDP 2000000003 10.9.0.1 2001 typ host");
    bench.start();
    let silent = "10.9.0.1:2001";
    bench.run_until(ms(300));
    let check = first_to(&bench, "10.9.0.1:2000");
    let _ = bench.answer(&check);
    let before = starts_to(&bench, silent);
    assert!((2..5).contains(&before.len()), "hedges before and after");
    bench.run_until(ms(5_000));
    let all = starts_to(&bench, silent);
    assert_eq!(all.len(), 5);
    for two in all[before.len() - 1..].windows(2) {
        assert!(two[1].at - two[0].at >= Duration::from_millis(450));
    }
}

// Patience (RFC 8863)

/// A1, A5: with no candidates at all, and both sides done, an agent reports failure when the
/// time of a whole transaction has passed since it knew its peer.
#[test]
fn patience_begins_with_the_remote_parameters_and_lasts_39500_ms() {
    for (role, begin) in [(Role::Controlling, 0), (Role::Controlled, 5_000)] {
        let mut bench = Bench::with(config(role, true));
        add_all::<&str>(&mut bench, &[], &[]);
        bench.run_until(ms(begin));
        bench.start();
        bench.run_until(Timestamp::from_nanos(ms(begin + TIMEOUT).as_nanos() - 1));
        assert_eq!(reached(&bench, ConnectionState::Failed), None);
        bench.run_until(ms(begin + TIMEOUT));
        assert_eq!(reached(&bench, ConnectionState::Failed), Some(ms(begin + TIMEOUT)));
    }
}

/// A1: without the peer's parameters nothing ever fails.
#[test]
fn without_remote_parameters_nothing_fails() {
    let mut bench = Bench::with(config(Role::Controlling, true));
    add_all(&mut bench, &[L1], &[R1]);
    bench.run_until(ms(10 * TIMEOUT));
    assert_eq!(reached(&bench, ConnectionState::Failed), None);
    assert!(bench.sent.is_empty());
    assert_eq!(bench.agent.poll_timeout(), None);
}

/// A2: patience lasts as long as a silent transaction does with the configured timing.
#[test]
fn patience_follows_the_transaction_timeout() {
    for (rto, transmissions, final_wait, patience) in
        [(500, 7, 16, 39_500), (500, 5, 16, 15_500), (1_000, 7, 16, 79_000), (500, 3, 4, 3_500)]
    {
        let mut config = config(Role::Controlling, true);
        config.timing.rto = Duration::from_millis(rto);
        config.timing.transmissions = transmissions;
        config.timing.final_wait = final_wait;
        assert_eq!(config.timing.transaction_timeout(), Duration::from_millis(patience));
        let mut bench = Bench::with(config);
        add_all::<&str>(&mut bench, &[], &[]);
        bench.start();
        bench.run_until(ms(200_000));
        assert_eq!(reached(&bench, ConnectionState::Failed), Some(ms(patience)));
    }
}

/// A3, A4: all pairs have failed after a second, and both sides are done: the list runs on until
/// the patience ends, and fails at that instant.
#[test]
fn a_list_whose_pairs_have_all_failed_runs_until_patience_ends() {
    let mut bench = bench(config(Role::Controlling, true), &[L1], &[R1, R2]);
    bench.run_until(ms(60));
    for remote in [R1, R2] {
        let check = first_to(&bench, remote);
        refuse(&mut bench, &check);
    }
    assert!(bench.agent.pairs().all(|pair| pair.state == PairState::Failed));
    let sent = bench.sent.len();
    bench.run_until(Timestamp::from_nanos(ms(TIMEOUT).as_nanos() - 1));
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    assert_eq!(bench.agent.timeout_reason(), Some(TimeoutReason::PatienceEnds));
    bench.run_until(ms(TIMEOUT));
    assert_eq!(reached(&bench, ConnectionState::Failed), Some(ms(TIMEOUT)));
    assert_eq!(bench.sent.len(), sent);
}

/// A3: in the meantime the peer's check revives a failed pair.
#[test]
fn during_patience_a_check_of_the_peer_revives_a_failed_pair() {
    let mut bench = bench(config(Role::Controlled, true), &[L1], &[R1]);
    let check = first_to(&bench, R1);
    refuse(&mut bench, &check);
    bench.run_until(ms(30_000));
    let _ = bench.send_check(L1, R1, true);
    bench.run_until(ms(30_000 + TA));
    let check = bench.last_request();
    assert!(check.at >= ms(30_000));
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(reached(&bench, ConnectionState::Failed), None);
}

/// A4: when the patience ends, a list with a pair that is undecided goes on.
#[test]
fn at_the_end_of_patience_only_decided_lists_fail() {
    let mut bench = Bench::with(config(Role::Controlling, true));
    bench.add_local(L1);
    bench.agent.gather(bench.now);
    bench.drain();
    bench.start();
    bench.run_until(ms(20_000));
    bench.add_remote(R1, 2_000_000_000);
    bench.agent.end_of_remote_candidates(bench.now, None);
    assert_eq!(first_to(&bench, R1).at, ms(20_000));
    bench.run_until(ms(20_000 + TIMEOUT - 1));
    assert_eq!(bench.agent.state(), ConnectionState::Checking);
    bench.run_until(ms(20_000 + TIMEOUT));
    assert_eq!(reached(&bench, ConnectionState::Failed), Some(ms(20_000 + TIMEOUT)));
}

/// A5: end-of-candidates with no candidate does not shorten the patience: a peer that calls after
/// 20 s connects.
#[test]
fn a_peer_without_candidates_that_calls_late_connects() {
    let mut bench = Bench::with(config(Role::Controlled, true));
    add_all::<&str>(&mut bench, &[L1], &[]);
    bench.start();
    bench.run_until(ms(20_000));
    assert_eq!(reached(&bench, ConnectionState::Failed), None);
    let _ = bench.send_check(L1, R1, true);
    let check = bench.last_request();
    assert_eq!((check.to, check.at), (addr(R1), ms(20_000)));
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

// An honest clock

/// Puts an agent through all sorts of events, and looks at it after each.
fn lively(seed: u64, mut look: impl FnMut(&mut Bench)) {
    let mut dice = Dice(seed);
    let role = if dice.percent(50) { Role::Controlling } else { Role::Controlled };
    let remotes = hosts(9, 2000, 5);
    let mut bench = bench(config(role, true), &hosts(0, 1000, 2), &remotes);
    look(&mut bench);
    for step in 0..120 {
        let requests = bench.requests();
        let any = requests[dice.below(requests.len())].clone();
        match dice.below(10) {
            0 if step > 20 => {
                let _ = bench.answer(&any);
            }
            1 => refuse(&mut bench, &any),
            2 => {
                let bytes = error(&any, 487);
                let _ = bench.feed(&any.from.to_string(), &any.to.to_string(), &bytes);
            }
            3 => {
                let remote = remotes[dice.below(remotes.len())].clone();
                let nominate = bench.agent.role() == Role::Controlled && dice.percent(30);
                let _ = bench.send_check(L1, &remote, nominate);
            }
            4 => {
                bench.run_for(Duration::from_micros(dice.roll() % 20_000));
                // The agent is told, so that its clock and the bench's are one.
                bench.agent.handle_timeout(bench.now);
            }
            _ => {
                if let Some(at) = bench.agent.poll_timeout() {
                    bench.run_until(at);
                }
            }
        }
        look(&mut bench);
    }
}

/// Invariant 6: after a timeout and a full drain, the next deadline is later than now.
#[test]
fn after_a_drain_the_next_deadline_is_in_the_future() {
    for seed in 0..60 {
        lively(seed, |bench| {
            if let Some(at) = bench.agent.poll_timeout() {
                let reason = bench.agent.timeout_reason();
                assert!(at > bench.now, "seed {seed}, {:?}: {at:?} for {reason:?}", bench.now);
            }
        });
    }
}

/// Invariant 6: `handle_timeout` before the deadline does nothing: no change of state, no output,
/// the same deadline, and the same future.
#[test]
fn regression_spurious_timeouts_do_nothing() {
    for seed in 0..60 {
        lively(seed, |bench| {
            let mut now = bench.clone();
            let digest = now.agent.state_digest();
            now.agent.handle_timeout(bench.now);
            assert_eq!(now.agent.state_digest(), digest);
            assert_eq!(now.agent.poll_timeout(), bench.agent.poll_timeout());
            assert!(!now.agent.has_transmit() && !now.agent.has_event());

            let Some(deadline) = bench.agent.poll_timeout() else { return };
            let (mut straight, mut nervous) = (bench.clone(), bench.clone());
            let half = (deadline - bench.now) / 2;
            for at in [bench.now + half, bench.now + half, deadline] {
                let early = at < deadline;
                nervous.now = at;
                nervous.agent.handle_timeout(at);
                if early {
                    assert!(!nervous.agent.has_transmit() && !nervous.agent.has_event());
                    assert_eq!(nervous.agent.poll_timeout(), Some(deadline));
                }
            }
            straight.now = deadline;
            straight.agent.handle_timeout(deadline);
            assert_eq!(straight.agent.state_digest(), nervous.agent.state_digest());
            let (straight, nervous) = (drained(straight), drained(nervous));
            assert_eq!(straight, nervous);
        });
    }
}

/// What an agent puts out now, and what it is afterwards.
fn drained(mut bench: Bench) -> (Vec<Vec<u8>>, usize, u64, Option<Timestamp>) {
    let sent = bench.drain().into_iter().map(|sent| sent.bytes).collect();
    (sent, bench.events.len(), bench.agent.state_digest(), bench.agent.poll_timeout())
}

/// Invariant 6: a time that is older than the newest one seen counts as that.
#[test]
fn time_that_runs_backwards_counts_as_the_newest() {
    for seed in 0..40 {
        lively(seed, |bench| {
            let requests = bench.requests();
            let Some(request) = requests.last().filter(|_| bench.now > ms(0)) else { return };
            let answer = bench.success(request);
            let mut results = Vec::new();
            for now in [bench.now, Timestamp::ZERO, Timestamp::from_nanos(1)] {
                let mut bench = bench.clone();
                bench.agent.handle_timeout(now);
                let received = bench.agent.handle_datagram(
                    now,
                    Transport::Udp,
                    request.from,
                    request.to,
                    &answer,
                );
                let received = format!("{received:?}");
                let mut sent = Vec::new();
                let mut buf = Vec::new();
                while bench.agent.poll_transmit(now, &mut buf).is_some() {}
                sent.append(&mut buf);
                let mut events = Vec::new();
                events.extend(std::iter::from_fn(|| bench.agent.poll_event(now)));
                let digest = bench.agent.state_digest();
                results.push((received, sent, events, digest, bench.agent.poll_timeout()));
            }
            assert_eq!(results[0], results[1]);
            assert_eq!(results[0], results[2]);
        });
    }
}

/// Invariant 6: a clock that jumps by hours is one late timeout: one packet at once, then each
/// check is repeated once at the usual distance, and an answer connects.
#[test]
fn a_clock_that_jumps_by_hours_makes_no_storm() {
    let mut bench = bench(config(Role::Controlled, true), &hosts(0, 1000, 1), &hosts(9, 2000, 20));
    bench.run_until(ms(3_000));
    let before = bench.requests();
    let woken = bench.now + Duration::from_secs(5 * 3_600);
    bench.now = woken;
    bench.agent.handle_timeout(woken);
    let at_once = bench.drain();
    assert!(at_once.len() <= 1, "{} packets at once", at_once.len());
    assert!(bench.agent.poll_timeout().is_some_and(|at| at > woken));

    bench.run_for(Duration::from_millis(400));
    let after = bench.requests().split_off(before.len());
    assert_spaced(&after);
    let mut times: BTreeMap<[u8; 12], usize> = BTreeMap::new();
    for request in &after {
        *times.entry(request.id()).or_default() += 1;
    }
    assert!(times.values().all(|&times| times == 1), "a check was repeated more than once");
    assert!(after.len() >= 10, "the session goes on: {}", after.len());
    assert_ne!(bench.agent.state(), ConnectionState::Failed);
    let _ = bench.answer(&after[0]);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
}

/// Invariant 6: near the end of time no deadline is left, so nobody can spin on one.
#[test]
fn a_deadline_beyond_the_end_of_time_is_none() {
    let last = Timestamp::from_nanos(Timestamp::MAX.as_nanos() - 1_000_000);
    let mut bench = Bench::with(config(Role::Controlling, true));
    add_all(&mut bench, &[L1], &[R1, R2]);
    bench.now = last;
    bench.start();
    assert_eq!(bench.requests().len(), 1);
    assert_eq!(bench.agent.poll_timeout(), None);
    bench.agent.handle_timeout(last);
    assert!(bench.drain().is_empty());
    let check = bench.last_request();
    assert_eq!(bench.answer(&check), Received::Consumed);
    assert_eq!(bench.agent.poll_timeout(), None);
    bench.agent.handle_timeout(Timestamp::MAX);
    bench.drain();
    assert_eq!(bench.agent.poll_timeout(), None);
}

// Two agents

/// Two agents with all candidates known on both sides at time zero, and the way between them.
struct Duo {
    agents: [IceAgent; 2],
    now: Timestamp,
    delay: Duration,
    wire: BTreeMap<(Timestamp, u64), Packet>,
    packets: u64,
    requests: [Vec<Timestamp>; 2],
    connected: [Option<Timestamp>; 2],
    selected: [Option<(Timestamp, SocketAddr, SocketAddr)>; 2],
}

struct Packet {
    to_agent: usize,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Duo {
    fn new(seed: u8, ta: u64, hosts_of: [usize; 2], delay: u64) -> Self {
        let agents = [(Role::Controlling, 0), (Role::Controlled, 1)].map(|(role, index)| {
            let mut config = AgentConfig::new(role);
            config.timing.ta = Duration::from_millis(ta);
            IceAgent::new(config, [seed.wrapping_mul(2).wrapping_add(index); 32]).unwrap()
        });
        let mut duo = Self {
            agents,
            now: Timestamp::ZERO,
            delay: Duration::from_millis(delay),
            wire: BTreeMap::new(),
            packets: 0,
            requests: [Vec::new(), Vec::new()],
            connected: [None; 2],
            selected: [None; 2],
        };
        duo.exchange(hosts_of);
        duo
    }

    fn exchange(&mut self, hosts_of: [usize; 2]) {
        let now = self.now;
        let mut candidates: [Vec<(StreamId, Candidate)>; 2] = [Vec::new(), Vec::new()];
        for (index, agent) in self.agents.iter_mut().enumerate() {
            let stream = agent.streams().next().unwrap();
            for host in hosts(index as u8, 1000, hosts_of[index]) {
                agent.add_local(now, stream, 1, LocalAddress::udp(addr(&host))).unwrap();
            }
            agent.gather(now);
            while let Some(event) = agent.poll_event(now) {
                if let Event::LocalCandidate { stream, candidate, .. } = event {
                    candidates[index].push((stream, candidate));
                }
            }
        }
        let parameters = [self.agents[0].local_parameters(), self.agents[1].local_parameters()];
        for (index, agent) in self.agents.iter_mut().enumerate() {
            for (stream, candidate) in &candidates[1 - index] {
                agent.add_remote_candidate(now, *stream, candidate).unwrap();
            }
            agent.end_of_remote_candidates(now, None);
        }
        for (index, agent) in self.agents.iter_mut().enumerate() {
            agent.set_remote(now, parameters[1 - index].clone()).unwrap();
        }
    }

    /// The ends of the worst pair in the order of the controlling side.
    fn worst_pair(&self) -> (SocketAddr, SocketAddr) {
        let worst = |agent: &IceAgent| {
            let worst = agent.local_candidates().min_by_key(|candidate| candidate.priority);
            worst.unwrap().addr
        };
        (worst(&self.agents[0]), worst(&self.agents[1]))
    }

    /// Lets both run until both have selected a pair, or until that time.
    fn run(&mut self, until: Timestamp, mut works: impl FnMut(SocketAddr, SocketAddr) -> bool) {
        loop {
            for index in 0..2 {
                self.drain(index, &mut works);
            }
            if self.selected.iter().all(Option::is_some) {
                return;
            }
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let timeouts = self.agents.iter().filter_map(IceAgent::poll_timeout);
            let Some(next) = timeouts.chain(arrival).min().filter(|&next| next <= until) else {
                return;
            };
            self.now = next;
            while let Some(first) = self.wire.first_entry().filter(|first| first.key().0 <= next) {
                let Packet { to_agent, from, to, bytes } = first.remove();
                let agent = &mut self.agents[to_agent];
                let _ = agent.handle_datagram(next, Transport::Udp, to, from, &bytes);
                self.drain(to_agent, &mut works);
            }
            for index in 0..2 {
                self.agents[index].handle_timeout(next);
                self.drain(index, &mut works);
                let agent = &self.agents[index];
                let reason = agent.timeout_reason();
                assert!(agent.poll_timeout().is_none_or(|at| at > next), "{next:?}: {reason:?}");
            }
        }
    }

    fn drain(&mut self, index: usize, works: &mut impl FnMut(SocketAddr, SocketAddr) -> bool) {
        let now = self.now;
        loop {
            let mut buf = Vec::new();
            if let Some(transmit) = self.agents[index].poll_transmit(now, &mut buf) {
                let Route::Datagram { local, remote, .. } = transmit.route else {
                    panic!("not a datagram")
                };
                let bytes = buf[transmit.range].to_vec();
                if bytes[..2] == common::REQUEST.to_be_bytes() {
                    if let Some(&last) = self.requests[index].last() {
                        assert!(now - last >= SPACING, "requests at {last:?} and {now:?}");
                    }
                    self.requests[index].push(now);
                }
                if works(local, remote) {
                    self.packets += 1;
                    let key = (now + self.delay, self.packets);
                    let packet = Packet { to_agent: 1 - index, from: local, to: remote, bytes };
                    self.wire.insert(key, packet);
                }
                continue;
            }
            match self.agents[index].poll_event(now) {
                Some(Event::ConnectionState(ConnectionState::Connected)) => {
                    self.connected[index].get_or_insert(now);
                }
                Some(Event::SelectedPair { local, remote, .. }) => {
                    self.selected[index] = Some((now, local.addr, remote.addr));
                }
                Some(_) => {}
                None => break,
            }
        }
    }

    /// When the later of the two was connected.
    fn both_connected(&self) -> Timestamp {
        let [Some(one), Some(other)] = self.connected else { panic!("not connected") };
        one.max(other)
    }

    /// When the later of the two had selected, both the same pair.
    fn both_selected(&self) -> Timestamp {
        let [Some(one), Some(other)] = self.selected else { panic!("nothing selected") };
        assert_eq!((one.1, one.2), (other.2, other.1), "different pairs");
        one.0.max(other.0)
    }
}

/// Virtual time: the n-th pair is the first that works. Both are connected after (n-1)Ta + 2d, and
/// have selected it after (n-1)Ta + max(2d, Ta) + 2d, with the nomination in a slot.
#[test]
fn a_dead_pair_costs_its_slot_and_never_a_timeout() {
    for ta in [50, 5] {
        for n in [1, 4, 16] {
            for delay in [10, 7, 40] {
                for hosts_of in [[1, n], [n, 1]] {
                    let mut duo = Duo::new(1, ta, hosts_of, delay);
                    let (one, other) = duo.worst_pair();
                    duo.run(ms(30_000), |from, to| {
                        (from, to) == (one, other) || (from, to) == (other, one)
                    });
                    let case = format!("n {n}, Ta {ta}, d {delay}, {hosts_of:?}");
                    let slots = (n as u64 - 1) * ta;
                    let connected = duo.both_connected();
                    assert!(connected <= ms(slots + 2 * delay), "{case}: {connected:?}");
                    let nomination = (slots + ta.max(2 * delay)).next_multiple_of(ta);
                    let selected = duo.both_selected();
                    assert!(selected <= ms(nomination + 2 * delay), "{case}: {selected:?}");
                }
            }
        }
    }
}

/// Virtual time, in numbers: one pair at d = 10 ms.
#[test]
fn one_pair_is_selected_after_a_slot_and_a_round_trip() {
    for (ta, selected) in [(50, 70), (5, 40)] {
        let mut duo = Duo::new(3, ta, [1, 1], 10);
        duo.run(ms(1_000), |_, _| true);
        assert_eq!(duo.both_connected(), ms(20));
        assert!(duo.both_selected() <= ms(selected));
    }
}

/// Decision 15: 1024 pairs of which only the last one works.
#[test]
fn the_last_of_1024_pairs_connects_in_time() {
    for (ta, within) in [(50, 55_000), (5, 6_000)] {
        let mut duo = Duo::new(1, ta, [32, 32], 10);
        let (one, other) = duo.worst_pair();
        duo.run(ms(within), |from, to| (from, to) == (one, other) || (from, to) == (other, one));
        assert!(duo.both_connected() <= ms(within), "Ta {ta}");
        assert!(duo.both_selected() <= ms(within), "Ta {ta}");
        assert!(duo.requests[0].len() > 900, "the other pairs were tried before");
    }
}

/// Loss: with a fifth of all packets lost and 50 ms one way, half of all sessions connect
/// within 250 ms, and 95 of 100 within 900 ms. Selection takes another round trip, and the loss of
/// that costs no RTO either.
#[test]
fn loss_costs_a_hedge_and_not_an_rto() {
    for hosts_of in [[1, 1], [2, 3]] {
        let (mut connected, mut selected) = (Vec::new(), Vec::new());
        for seed in 0..400 {
            let mut dice = Dice(seed);
            let mut duo = Duo::new(seed as u8, 50, hosts_of, 50);
            duo.run(ms(60_000), |_, _| !dice.percent(20));
            connected.push(duo.both_connected());
            selected.push(duo.both_selected());
        }
        connected.sort_unstable();
        selected.sort_unstable();
        let percentile = |times: &[Timestamp], percent| times[times.len() * percent / 100];
        assert!(connected[0] >= ms(100), "nobody is faster than the way");
        for (times, median, late) in [(&connected, 250, 900), (&selected, 400, 1_200)] {
            let (p50, p95) = (percentile(times, 50), percentile(times, 95));
            assert!(p50 < ms(median), "{hosts_of:?}: p50 {p50:?}");
            assert!(p95 < ms(late), "{hosts_of:?}: p95 {p95:?}");
        }
    }
}

/// More pairs than the limit on a slow path: a pair that the peer has nominated does not make room
/// for others.
#[test]
fn regression_a_nominated_pair_is_retired() {
    let mut world = World::new([1; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(932)));
    let [alice, bob] = [Role::Controlling, Role::Controlled].map(|role| {
        let mut config = AgentConfig::new(role);
        config.limits.pairs = if role == Role::Controlled { 8 } else { 100 };
        world.add_agent(config).unwrap()
    });
    for (agent, side) in [(alice, 1), (bob, 2)] {
        for host in 1..=4 {
            world.add_socket(agent, format!("10.0.{side}.{host}:1").parse().unwrap()).unwrap();
        }
    }
    world.connect(alice, bob).unwrap();
    world.set_signalling_delay(alice, Duration::from_secs(60)).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    world.run_until(ms(300_000)).unwrap();
    for agent in [alice, bob] {
        assert_eq!(world.agent(agent).unwrap().state(), ConnectionState::Completed);
    }
}

/// Each check of the peer on a pair in progress cancels one of ours and starts another; those that
/// were cancelled may be answered for 39.5 s, but not any number of them.
#[test]
fn regression_cancelled_transactions_pile_up() {
    let mut config = plain(Role::Controlled);
    config.limits.transactions = 20;
    let mut bench = Bench::started(config, &["10.0.0.1:1000"], &["10.0.0.2:2000"]);
    for round in 1..=200 {
        bench.run_until(ms(round * 50));
        let _ = bench.send_check("10.0.0.1:1000", "10.0.0.2:2000", false);
    }
    assert!(bench.agent.counters().refused(Refused::Transaction) >= 100);
    let newest = bench.last_request();
    assert_eq!(bench.answer(&newest), Received::Consumed);
    assert_eq!(bench.agent.state(), ConnectionState::Connected);
}

/// B5: RFC 8445 §14.2. A repetition that keeps the distance of 5 ms to the next slot waits for nothing.
#[test]
fn a_repetition_may_go_5_ms_before_a_slot() {
    for (rto, at) in [(545, 545), (546, 555)] {
        let mut config = plain(Role::Controlling);
        config.timing.rto = Duration::from_millis(rto);
        let mut bench = bench(config, &[L1.to_owned()], &hosts(9, 2000, 30));
        bench.run_until(ms(600));
        let first = bench.requests()[0].id();
        let times: Vec<Sent> =
            bench.requests().into_iter().filter(|sent| sent.id() == first).collect();
        assert_eq!(millis_of(&times), [0, at]);
    }
}

/// RFC 8445 §5.1.2.1: component ids are 1 to 256, and so many streams as the limit says.
#[test]
fn a_stream_has_1_to_256_components() {
    let mut config = plain(Role::Controlling);
    config.limits.streams = 3;
    let mut bench = Bench::with(config);
    for components in [0, 257, u16::MAX] {
        let added = bench.agent.add_stream(bench.now, components);
        assert_eq!(added, Err(AddStreamError::Components), "{components}");
    }
    for components in [1, 256] {
        let stream = bench.agent.add_stream(bench.now, components).unwrap();
        let local = LocalAddress::udp(addr(&format!("10.0.0.1:{}", 1000 + components)));
        assert!(bench.agent.add_local(bench.now, stream, components, local).is_ok());
    }
    assert_eq!(bench.agent.add_stream(bench.now, 1), Err(AddStreamError::Limit));
}

/// RFC 8445 §14.2: a Ta that would not come to an end in a session is refused.
#[test]
fn a_proposed_ta_of_more_than_ten_seconds_is_refused() {
    for (seconds, expected) in
        [(10, Ok(())), (11, Err(SetRemoteError::Pacing)), (3600, Err(SetRemoteError::Pacing))]
    {
        let mut bench = Bench::with(plain(Role::Controlling));
        let mut parameters = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
        parameters.pacing = Some(Duration::from_secs(seconds));
        assert_eq!(bench.agent.set_remote(bench.now, parameters), expected);
    }
}

/// What is there to be polled is said before it is polled: for containers of many agents.
#[test]
fn an_agent_says_whether_it_has_something_to_poll() {
    let mut bench = Bench::with(plain(Role::Controlling));
    assert!(!bench.agent.has_event() && !bench.agent.has_transmit());
    bench.agent.add_local(bench.now, bench.stream, 1, LocalAddress::udp(addr(L1))).unwrap();
    assert!(bench.agent.has_event() && !bench.agent.has_transmit());
    bench.drain();
    bench.start();
    assert!(!bench.agent.has_event() && !bench.agent.has_transmit());
    let candidate: Candidate = "1 1 UDP 1000 10.9.0.1 2000 typ host".parse().unwrap();
    bench.agent.add_remote_candidate(bench.now, bench.stream, &candidate).unwrap();
    assert!(bench.agent.has_transmit());
    bench.drain();
    assert!(!bench.agent.has_event() && !bench.agent.has_transmit());
}

/// An error that answers an older check says nothing about a pair that a newer one has proved.
#[test]
fn an_error_for_an_older_check_leaves_a_valid_pair_alone() {
    let mut bench = bench(config(Role::Controlled, true), &[L1], &[R1]);
    bench.run_until(ms(200));
    let checks = starts_to(&bench, R1);
    assert!(checks.len() > 1);
    let _ = bench.answer(&checks[1]);
    assert!(pair(&bench, R1).valid);
    refuse(&mut bench, &checks[0]);
    assert!(pair(&bench, R1).valid);
}

/// At the limit the pair that has been tried for the longest time makes room first, but one on which
/// the peer was heard only after the others.
#[test]
fn a_pair_on_which_the_peer_was_heard_is_retired_last() {
    for (heard, retired) in [(false, "10.9.0.1:2000"), (true, "10.9.0.2:2000")] {
        let mut config = plain(Role::Controlled);
        config.limits.pairs = 14;
        let mut bench = bench(config, &[L1.to_owned()], &hosts(9, 2000, 20));
        let all: BTreeSet<_> = bench.agent.pairs().map(|pair| pair.remote.addr).collect();
        assert_eq!(all.len(), 14);
        if heard {
            bench.run_until(ms(10));
            let _ = bench.send_check(L1, "10.9.0.1:2000", false);
        }
        let gone = |bench: &Bench| {
            let left: BTreeSet<_> = bench.agent.pairs().map(|pair| pair.remote.addr).collect();
            all.difference(&left).copied().next()
        };
        while gone(&bench).is_none() && bench.now < ms(3_000) {
            bench.run_for(Duration::from_millis(10));
        }
        assert_eq!(gone(&bench), Some(addr(retired)));
    }
}
