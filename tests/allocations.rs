//! Invariant 7: once a pair is selected, answering a check and moving data allocate nothing.

mod common;
#[path = "common/wire.rs"]
mod wire;

use std::time::Duration;

use allocation_counter::measure;
use common::{Bench, USE_CANDIDATE, addr};
use frazil::{
    AgentConfig, ConnectionId, ConnectionState, Event, IceAgent, LocalAddress, Received, Role,
    Timestamp, Transport,
};
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

/// What a connected agent with four host candidates a side may hold, spare capacity counted: 4 KiB
/// are promised, and nobody should have to look for the last bytes again.
const SMALL: i64 = 3_900;

/// Its size, and what is freed with it.
fn held_by(agent: IceAgent) -> i64 {
    let mut agent = Some(agent);
    let heap = -measure(|| drop(agent.take())).bytes_current;
    assert!(heap > 0);
    heap + size_of::<IceAgent>() as i64
}

#[test]
fn a_connected_agent_is_small() {
    for agent in Wire::connected(4).agents {
        let (role, held) = (agent.role(), held_by(agent));
        assert!(held <= SMALL, "{role:?}: {held} bytes");
    }
}

/// Asking for consent needs some room of its own.
#[test]
fn a_connected_agent_is_small_ten_seconds_later() {
    for agent in Wire::settled(4).agents {
        let (role, held) = (agent.role(), held_by(agent));
        assert!(held <= SMALL, "{role:?}: {held} bytes");
    }
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

/// Two agents of which the first one has opened a connection to the other one; no bytes are lost, and
/// the clock goes from deadline to deadline.
struct Connected {
    agents: [IceAgent; 2],
    ends: [ConnectionId; 2],
    now: Timestamp,
}

fn connected_over_tcp() -> Connected {
    let (client, server) = (addr("10.0.0.1:40000"), addr(REMOTE));
    let roles = [Role::Controlling, Role::Controlled];
    let mut seed = 0;
    let mut agents = roles.map(|role| {
        seed += 1;
        IceAgent::new(AgentConfig::new(role), [seed; 32]).unwrap()
    });
    let mut now = Timestamp::ZERO;
    let parameters = agents.each_ref().map(IceAgent::local_parameters);
    let stream = agents[0].streams().next().unwrap();
    let locals = [LocalAddress::tcp_active(client.ip()), LocalAddress::tcp_passive(server)];
    for (agent, local) in agents.iter_mut().zip(locals) {
        agent.add_local(now, stream, 1, local).unwrap();
        agent.gather(now);
    }
    for (agent, theirs) in agents.iter_mut().zip(parameters.into_iter().rev()) {
        agent.set_remote(now, theirs).unwrap();
    }
    let mut ends = Vec::new();
    let completed = |agent: &IceAgent| agent.state() == ConnectionState::Completed;
    while !agents.iter().all(completed) {
        for side in [0, 1] {
            let [one, other] = &mut agents;
            let (from, to) = if side == 0 { (one, other) } else { (other, one) };
            let mut buf = Vec::new();
            while let Some(transmit) = from.poll_transmit(now, &mut buf) {
                let end: ConnectionId = ends[1 - side];
                let mut bytes = &buf[transmit.range];
                assert_eq!(to.handle_stream(now, end, &mut bytes), Received::Consumed);
                buf.clear();
            }
            while let Some(event) = from.poll_event(now) {
                match event {
                    Event::LocalCandidate { candidate, .. } => {
                        to.add_remote_candidate(now, stream, &candidate).unwrap();
                    }
                    Event::OpenConnection { connection, .. } => {
                        ends.push(connection);
                        ends.push(to.connection_accepted(now, server, client).unwrap());
                        from.connection_opened(now, connection);
                    }
                    _ => {}
                }
            }
        }
        now = now + Duration::from_millis(5);
        agents.iter_mut().for_each(|agent| agent.handle_timeout(now));
    }
    Connected { agents, ends: [ends[0], ends[1]], now }
}

#[test]
fn data_and_checks_over_a_connection_allocate_nothing() {
    let Connected { mut agents, ends, mut now } = connected_over_tcp();
    let stream = agents[0].streams().next().unwrap();
    let payload = [0x80; 1200];
    let frame = [&1200_u16.to_be_bytes()[..], &payload].concat();
    let info = measure(|| {
        let mut input = &frame[..];
        let received = agents[0].handle_stream(now, ends[0], &mut input);
        assert!(matches!(received, Received::Data { payload: same, .. } if same.len() == 1200));
        let outgoing = agents[0].send(now, stream, 1, &payload).unwrap();
        assert_eq!(outgoing.payload().as_ptr(), payload.as_ptr());
    });
    assert_eq!(info.count_total, 0);
    // A consent check, from its deadline to the taking of its answer.
    let mut buf = [Vec::with_capacity(2048), Vec::with_capacity(2048)];
    let mut checks = 0;
    for round in 0..40 {
        now = agents[0].poll_timeout().unwrap().min(agents[1].poll_timeout().unwrap());
        let info = measure(|| {
            for side in [0, 1] {
                agents[side].handle_timeout(now);
            }
            for side in [0, 1, 0] {
                let out = &mut buf[side];
                out.clear();
                while let Some(transmit) = agents[side].poll_transmit(now, out) {
                    checks += 1;
                    let mut bytes = &out[transmit.range];
                    let other = &mut agents[1 - side];
                    let taken = other.handle_stream(now, ends[1 - side], &mut bytes);
                    assert_eq!(taken, Received::Consumed);
                }
            }
        });
        // The first checks of each side make the room that the others use.
        assert!(round < 8 || info.count_total == 0, "{round}: {}", info.count_total);
    }
    assert!(checks >= 40, "{checks} messages");
}

#[test]
fn an_agent_that_is_connected_over_tcp_is_small() {
    let mut agents = None;
    let heap = measure(|| agents = Some(connected_over_tcp().agents)).bytes_current;
    let each = heap / 2 + size_of::<IceAgent>() as i64;
    assert!(each < 4096, "{each} bytes");
    assert!(agents.is_some() && heap > 0);
}
