//! Invariant 7: once a pair is selected, answering a check and moving data allocate nothing.

mod common;
#[path = "common/wire.rs"]
mod wire;

use std::time::Duration;

use allocation_counter::measure;
use common::{Bench, USE_CANDIDATE, addr};
use frazil::{IceAgent, Received, Role, Transport};
use wire::{Wire, address};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn selected() -> Bench {
    Bench::selected(LOCAL, REMOTE)
}

/// Feeds one datagram and polls what comes of it; the allocations that this took.
fn allocations(bench: &mut Bench, out: &mut Vec<u8>, datagram: &[u8], poll: bool) -> u64 {
    let (local, remote, now) = (addr(LOCAL), addr(REMOTE), bench.now);
    measure(|| {
        let agent = &mut bench.agent;
        let _ = agent.handle_datagram(now, Transport::Udp, local, remote, datagram);
        if poll {
            out.clear();
            assert!(agent.poll_transmit(now, out).is_some());
            assert!(agent.poll_transmit(now, out).is_none());
        }
    })
    .count_total
}

fn check(bench: &mut Bench, nominate: bool) -> Vec<u8> {
    let mut message = bench.check(Role::Controlling);
    if nominate {
        message = message.attr(USE_CANDIDATE, &[]);
    }
    message.integrity(&bench.pwd()).fingerprint()
}

#[test]
fn answering_a_check_allocates_nothing() {
    let mut bench = selected();
    let mut out = Vec::with_capacity(2048);
    let (plain, nominating) = (check(&mut bench, false), check(&mut bench, true));
    for datagram in [&plain, &nominating, &plain, &plain] {
        assert_eq!(allocations(&mut bench, &mut out, datagram, true), 0);
    }
}

#[test]
fn answering_a_check_after_a_long_idle_allocates_nothing() {
    let mut bench = selected();
    bench.run_for(Duration::from_secs(3600));
    let mut out = Vec::with_capacity(2048);
    let datagram = check(&mut bench, false);
    assert_eq!(allocations(&mut bench, &mut out, &datagram, true), 0);
}

#[test]
fn a_full_queue_of_answers_allocates_nothing() {
    let mut bench = selected();
    let mut out = Vec::new();
    let datagram = check(&mut bench, false);
    for _ in 0..40 {
        assert_eq!(allocations(&mut bench, &mut out, &datagram, false), 0);
    }
    let refused = bench.agent.counters().refused(frazil::Refused::Reply);
    let room = u64::from(frazil::Limits::default().replies);
    assert_eq!(refused, 40 - room, "the queue was not full");
}

#[test]
fn a_datagram_that_is_refused_allocates_nothing() {
    let mut bench = selected();
    let mut out = Vec::new();
    let mut forged = check(&mut bench, false);
    forged[60] ^= 1;
    assert_eq!(allocations(&mut bench, &mut out, &forged, false), 0);
    assert_eq!(allocations(&mut bench, &mut out, &[0; 64], false), 0);
}

#[test]
fn data_both_ways_allocates_nothing() {
    let mut bench = selected();
    let stream = bench.stream;
    let payload = [0x80; 1200];
    let info = measure(|| {
        let now = bench.now;
        let agent = &mut bench.agent;
        let received =
            agent.handle_datagram(now, Transport::Udp, addr(LOCAL), addr(REMOTE), &payload);
        assert!(matches!(received, Received::Data { payload: same, .. } if same.len() == 1200));
        let outgoing = agent.send(now, stream, 1, &payload).unwrap();
        assert_eq!(outgoing.payload().as_ptr(), payload.as_ptr());
        assert!(agent.route(stream, 1).is_some());
        assert!(agent.poll_timeout().is_none_or(|at| at > now));
    });
    assert_eq!(info.count_total, 0);
}

/// A connected agent with four host candidates a side holds less than 4 KiB, spare capacity
/// counted.
#[test]
fn a_connected_agent_is_small() {
    let mut agents = None;
    let heap = measure(|| agents = Some(Wire::connected(4).agents)).bytes_current;
    let inline = size_of::<IceAgent>() as i64;
    let each = heap / 2 + inline;
    assert!(each < 4096, "{} bytes on the heap, {inline} inline", heap / 2);
    assert!(agents.is_some() && heap > 0);
}

/// The work for a packet must not grow with the candidates: neither may what it allocates.
#[test]
fn a_hundred_candidates_change_nothing() {
    let mut wire = Wire::connected(100);
    let (now, stream) = (wire.now + Duration::from_secs(60), wire.stream);
    let agent = &mut wire.agents[0];
    let (local, remote) = (address(0, 0), address(1, 0));
    let info = measure(|| {
        let received = agent.handle_datagram(now, Transport::Udp, local, remote, &[0x80; 100]);
        assert!(matches!(received, Received::Data { .. }), "{received:?}");
        let _ = agent.send(now, stream, 1, &[0x80; 100]).unwrap();
    });
    assert_eq!(info.count_total, 0);
}
