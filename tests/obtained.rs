//! Reflexive and relayed addresses that the caller has obtained by means of its own.

#[path = "common/mod.rs"]
mod common;

use std::net::IpAddr;

use common::{Bench, MESSAGE_INTEGRITY, PRIORITY, SUCCESS, Sent, addr, ms, plain};
use frazil::{
    AddLocalError, Candidate, CandidateId, CandidateKind, Event, LocalAddress, Received, Role,
    Route,
};

const L: &str = "10.0.0.1:1000";
const L2: &str = "10.0.0.2:1000";
const MAPPED: &str = "203.0.113.1:40000";
const RELAYED: &str = "198.51.100.1:50000";
const R: &str = "192.0.2.2:2000";
const R2: &str = "192.0.2.3:2000";

fn server() -> IpAddr {
    "198.51.100.1".parse().unwrap()
}

fn reflexive(to: &str, base: &str) -> LocalAddress {
    LocalAddress::reflexive(addr(to), addr(base), server())
}

fn relayed(to: &str) -> LocalAddress {
    LocalAddress::relayed(addr(to), addr(MAPPED), server())
}

fn add(bench: &mut Bench, local: LocalAddress) -> Result<CandidateId, AddLocalError> {
    let id = bench.agent.add_local(bench.now, bench.stream, 1, local);
    bench.drain();
    id
}

fn told(bench: &Bench) -> Vec<Candidate> {
    let candidate = |event: &Event| match event {
        Event::LocalCandidate { candidate, .. } => Some(candidate.clone()),
        _ => None,
    };
    bench.events.iter().filter_map(|(_, event)| candidate(event)).collect()
}

fn bench(locals: &[LocalAddress]) -> Bench {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L);
    for local in locals {
        add(&mut bench, local.clone()).unwrap();
    }
    bench
}

fn requests_from(bench: &Bench, local: &str) -> Vec<Sent> {
    bench.requests().into_iter().filter(|sent| sent.from == addr(local)).collect()
}

/// G13, D4: RFC 8445 §5.1.2.1, RFC 8839 §5.1. Each kind with its type preference and its related
/// address, foundations of their own.
#[test]
fn each_kind_is_told_with_its_priority_and_related_address() {
    let bench = bench(&[reflexive(MAPPED, L), relayed(RELAYED)]);
    let told = told(&bench);
    let summary: Vec<_> =
        told.iter().map(|told| (told.kind, told.priority >> 24, told.related)).collect();
    assert_eq!(
        summary,
        [
            (CandidateKind::Host, 126, None),
            (CandidateKind::ServerReflexive, 100, Some(addr(L))),
            (CandidateKind::Relayed, 0, Some(addr(MAPPED))),
        ]
    );
    let mut foundations: Vec<_> = told.iter().map(|told| told.foundation.to_string()).collect();
    foundations.sort_unstable();
    foundations.dedup();
    assert_eq!(foundations.len(), 3);
}

/// RFC 8445 §5.1.2.1: among those of its kind a reflexive candidate has the rank that its base has
/// among host candidates, and the first relayed one the highest.
#[test]
fn a_reflexive_candidate_ranks_as_its_base_does() {
    let mut bench = bench(&[]);
    bench.add_local(L2);
    for (mapped, base) in [("203.0.113.2:40000", L2), (MAPPED, L)] {
        add(&mut bench, reflexive(mapped, base)).unwrap();
    }
    add(&mut bench, relayed(RELAYED)).unwrap();
    let ranks: Vec<_> = told(&bench)
        .iter()
        .map(|told| (told.priority >> 24, told.priority & 0x00ff_ffff))
        .collect();
    let (first, second) = ((65535 << 8) | 255, (65534 << 8) | 255);
    assert_eq!(ranks, [(126, first), (126, second), (100, second), (100, first), (0, first)]);
}

/// RFC 8445 §5.1.2.1: the rank among its kind is within the component.
#[test]
fn reflexive_candidates_of_each_component_have_ranks_of_their_own() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    let mut bench = Bench::with(config);
    let second = bench.agent.add_stream(bench.now, 1).unwrap();
    let first = bench.stream;
    for (stream, component, base, to) in [
        (first, 1, L, MAPPED),
        (first, 2, L2, "203.0.113.1:40001"),
        (second, 1, "10.0.0.3:1000", "203.0.113.1:40002"),
    ] {
        for local in [LocalAddress::udp(addr(base)), reflexive(to, base)] {
            bench.agent.add_local(bench.now, stream, component, local).unwrap();
        }
    }
    bench.drain();
    assert!(told(&bench).iter().all(|told| told.priority >> 8 & 0xffff == 65535));
}

/// G12: priorities stay unique when several servers see different addresses of one socket.
#[test]
fn several_addresses_of_one_kind_have_priorities_of_their_own() {
    let bench = bench(&[
        reflexive(MAPPED, L),
        reflexive("203.0.113.2:40000", L),
        relayed(RELAYED),
        relayed("198.51.100.1:50001"),
    ]);
    let mut priorities: Vec<_> = told(&bench).iter().map(|told| told.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    assert_eq!(priorities.len(), 5);
}

/// P5, S6: RFC 8445 §6.1.2.4, §6.1.4.2. A reflexive candidate is checked from its base, once; a
/// relayed one from itself.
#[test]
fn checks_leave_from_the_base() {
    let mut bench = bench(&[reflexive(MAPPED, L), relayed(RELAYED)]);
    bench.start();
    bench.add_remote(R, 1000);
    bench.run_until(ms(400));
    let ends: Vec<_> = bench.requests().iter().map(|sent| (sent.from, sent.to)).collect();
    assert_eq!(ends, [(addr(L), addr(R)), (addr(RELAYED), addr(R))]);
}

/// C1, decision 9: RFC 8445 §7.1.1. PRIORITY has the type preference of a peer-reflexive candidate
/// for a relayed one as well.
#[test]
fn checks_from_a_relay_carry_the_priority_of_a_peer_reflexive_candidate() {
    let mut bench = bench(&[relayed(RELAYED)]);
    bench.start();
    bench.add_remote(R, 1000);
    bench.run_until(ms(200));
    let check = &requests_from(&bench, RELAYED)[0];
    let priority = u32::from_be_bytes(check.get(PRIORITY).unwrap().try_into().unwrap());
    let local = told(&bench).into_iter().find(|told| told.kind == CandidateKind::Relayed).unwrap();
    assert_eq!(priority, (110 << 24) | (local.priority & 0x00ff_ffff));
}

/// V6: RFC 8445 §7.3.1.2. What arrives through a relay is answered through it, and the address in the
/// answer is the peer's.
#[test]
fn a_check_through_a_relay_is_answered_through_it() {
    let mut bench = bench(&[relayed(RELAYED)]);
    bench.start();
    assert_eq!(bench.send_check(RELAYED, R2, false), Received::Consumed);
    let answer = bench.sent.iter().find(|sent| sent.kind() == SUCCESS).unwrap();
    assert_eq!(
        (answer.from, answer.to, answer.mapped()),
        (addr(RELAYED), addr(R2), Some(addr(R2)))
    );
    assert!(answer.has(MESSAGE_INTEGRITY));
    let triggered = requests_from(&bench, RELAYED);
    assert_eq!(triggered[0].to, addr(R2));
}

/// C14: RFC 8445 §7.2.5.3.2. The valid pair has the candidate that the peer saw; data leaves from its
/// base.
#[test]
fn the_selected_pair_shows_the_reflexive_candidate() {
    let mut bench = bench(&[reflexive(MAPPED, L)]);
    bench.agent.gather(bench.now);
    bench.start();
    bench.add_remote(R, 1000);
    for _ in 0..2 {
        let request = bench.last_request();
        let seen = Sent { from: addr(MAPPED), ..request.clone() };
        let answer = bench.success(&seen);
        let _ = bench.feed(L, R, &answer);
        bench.run_for(std::time::Duration::from_millis(60));
    }
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!((pair.local.kind, pair.local.addr), (CandidateKind::ServerReflexive, addr(MAPPED)));
    assert_eq!(bench.agent.local_candidates().count(), 2, "no peer-reflexive one was learned");
    let route = bench.agent.route(bench.stream, 1).unwrap();
    assert!(matches!(route, Route::Datagram { local, .. } if local == addr(L)));
}

/// When a mapping is gone, the path through it is not: it is seen as what its base is.
#[test]
fn a_reflexive_candidate_may_go_without_its_path() {
    let mut bench = Bench::with(plain(Role::Controlled));
    bench.add_local(L);
    let mapping = add(&mut bench, reflexive(MAPPED, L)).unwrap();
    bench.start();
    bench.add_remote(R, 1000);
    let seen = Sent { from: addr(MAPPED), ..bench.last_request() };
    let answer = bench.success(&seen);
    let _ = bench.feed(L, R, &answer);
    let _ = bench.send_check(L, R, true);
    bench.agent.remove_local(bench.now, mapping).unwrap();
    bench.drain();
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
    assert_eq!(pair.local.addr, addr(L));
    assert!(bench.agent.send(bench.now, bench.stream, 1, b"x").is_ok());
}

/// A host that is gone takes along what was mapped to it.
#[test]
fn a_lost_interface_takes_its_reflexive_candidates_along() {
    let mut bench = Bench::with(plain(Role::Controlled));
    let host = bench.add_local(L);
    add(&mut bench, reflexive(MAPPED, L)).unwrap();
    bench.agent.remove_local(bench.now, host).unwrap();
    assert_eq!(bench.agent.local_candidates().count(), 0);
}

/// G14: RFC 8445 §5.1.3. Redundant is what has the address and base of another one: a host without a
/// NAT; the same address through another base is not.
#[test]
fn redundant_addresses_are_refused() {
    let mut bench = bench(&[reflexive(MAPPED, L)]);
    assert_eq!(add(&mut bench, reflexive(L, L)), Err(AddLocalError::Duplicate));
    assert_eq!(add(&mut bench, reflexive(MAPPED, L)), Err(AddLocalError::Duplicate));
    bench.add_local("10.0.1.1:1000");
    add(&mut bench, reflexive(MAPPED, "10.0.1.1:1000")).unwrap();
    add(&mut bench, relayed(RELAYED)).unwrap();
    assert_eq!(add(&mut bench, relayed(RELAYED)), Err(AddLocalError::Duplicate));
}

/// What cannot be is refused, and says why.
#[test]
fn wrong_origins_are_refused() {
    let mut bench = bench(&[]);
    let base = add(&mut bench, reflexive(MAPPED, "10.0.7.7:1000"));
    assert_eq!(base, Err(AddLocalError::UnknownBase));
    let other = bench.agent.add_stream(bench.now, 1).unwrap();
    let base = bench.agent.add_local(bench.now, other, 1, reflexive(MAPPED, L));
    assert_eq!(base, Err(AddLocalError::UnknownBase), "that of another stream");
    assert_eq!(add(&mut bench, relayed("0.0.0.0:1")), Err(AddLocalError::NotUnicast));
    assert_eq!(add(&mut bench, reflexive("203.0.113.1:0", L)), Err(AddLocalError::Port));

    let mut config = plain(Role::Controlled);
    config.lite = true;
    let mut bench = Bench::with(config);
    bench.add_local(L);
    assert_eq!(add(&mut bench, reflexive(MAPPED, L)), Err(AddLocalError::LiteAddress));
    assert_eq!(add(&mut bench, relayed(RELAYED)), Err(AddLocalError::LiteAddress));
}
