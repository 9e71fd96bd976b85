//! Addresses that come and go on a live session: lost interfaces, rebound sockets, late candidates,
//! freed ones (RFC 8445 §8.3).

#[path = "common/mod.rs"]
mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Bench, Sent, addr, ms, plain};
use frazil::sim::{AgentIndex, End, Link, World};
use frazil::{
    AddLocalError, AgentConfig, CandidateKind, ConnectionState, Credentials, Event, GatheringState,
    Ignored, LocalAddress, NominationMode, Parameters, Received, RemoveLocalError, Role, SendError,
    StreamId, Timestamp,
};

const L: &str = "10.0.0.1:1000";
const L2: &str = "10.0.1.1:1000";
const L3: &str = "10.0.2.1:1000";
const R: &str = "10.0.0.2:2000";
const R2: &str = "10.0.0.3:2000";
const R3: &str = "10.0.0.4:2000";

fn selected(bench: &Bench) -> Option<(String, String)> {
    let pair = bench.agent.selected_pair(bench.stream, 1)?;
    Some((pair.local.base.to_string(), pair.remote.addr.to_string()))
}

fn restart_needed(bench: &Bench) -> bool {
    bench.events.iter().any(|(_, event)| *event == Event::RestartNeeded)
}

fn removed(bench: &Bench) -> usize {
    let is_removal = |event: &Event| matches!(event, Event::LocalCandidateRemoved { .. });
    bench.events.iter().filter(|(_, event)| is_removal(event)).count()
}

/// Lets time pass; the peer answers at once whatever goes, or went, from a living address.
fn run_answering(bench: &mut Bench, until: Timestamp, alive: &[&str]) -> Vec<Sent> {
    bench.run_answering(until, |sent| alive.iter().any(|from| addr(from) == sent.from))
}

/// A controlling agent with two interfaces; both paths are valid, that from L is selected.
fn two_paths() -> Bench {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[L, L2], &[R]);
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    run_answering(&mut bench, ms(1_000), &[L, L2]);
    assert_eq!(selected(&bench), Some((L.to_owned(), R.to_owned())));
    bench
}

fn local_id(bench: &Bench, local: &str) -> frazil::CandidateId {
    bench.agent.local_candidates().find(|candidate| candidate.addr == addr(local)).unwrap().id
}

/// With the interface of the selected path gone, the session goes on over the other one: data at
/// once, the nomination in the next slot.
#[test]
fn a_lost_interface_is_replaced_by_a_spare_path() {
    let mut bench = two_paths();
    bench.agent.remove_local(bench.now, local_id(&bench, L)).unwrap();
    bench.drain();
    let stream = bench.stream;
    let outgoing = bench.agent.send(bench.now, stream, 1, b"x").unwrap();
    assert!(matches!(
        outgoing.route,
        frazil::Route::Datagram { local, .. } if local == addr(L2)
    ));
    run_answering(&mut bench, ms(1_200), &[L2]);
    assert_eq!(selected(&bench), Some((L2.to_owned(), R.to_owned())));
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert!(!restart_needed(&bench));
    let later = run_answering(&mut bench, ms(20_000), &[L2]);
    assert!(later.iter().all(|sent| sent.from == addr(L2)), "nothing leaves from where nothing is");
    assert_eq!(bench.feed(L, R, b"x"), Received::Ignored(Ignored::UnknownLocal));
}

/// Without another path only a restart helps, and that is said.
#[test]
fn a_lost_interface_without_a_spare_path_asks_for_a_restart() {
    let mut bench = Bench::selected(L, R);
    bench.agent.remove_local(bench.now, local_id(&bench, L)).unwrap();
    bench.drain();
    assert!(restart_needed(&bench));
    assert_eq!(selected(&bench), None);
    let stream = bench.stream;
    assert_eq!(bench.agent.send(bench.now, stream, 1, b"x"), Err(SendError::NotConnected));
    assert!(bench.run_for(Duration::from_secs(60)).is_empty());

    // The interface returns, and the restart finds the way.
    bench.agent.prepare_restart(bench.now).unwrap();
    bench.add_local(L);
    bench.agent.gather(bench.now);
    bench.drain();
    let next = Parameters::new(Credentials::new("next", "nextpasswordnextpassword").unwrap());
    bench.agent.set_remote(bench.now, next).unwrap();
    bench.drain();
    bench.add_remote(R, 1000);
    assert_eq!(bench.last_request().from, addr(L));
}

/// An interface that was not used can go without a trace.
#[test]
fn a_lost_interface_that_was_not_selected_changes_nothing() {
    let mut bench = two_paths();
    bench.agent.remove_local(bench.now, local_id(&bench, L2)).unwrap();
    bench.drain();
    assert_eq!(selected(&bench), Some((L.to_owned(), R.to_owned())));
    let sent = run_answering(&mut bench, ms(20_000), &[L]);
    assert!(sent.iter().all(|sent| sent.from == addr(L)));
    assert!(!restart_needed(&bench));
}

/// In the middle of checking, the pairs of a lost interface go, the others are checked on.
#[test]
fn an_interface_lost_while_checking_takes_its_pairs_along() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L, L2], &[R, R2]);
    bench.run_until(ms(60));
    bench.agent.remove_local(bench.now, local_id(&bench, L)).unwrap();
    bench.drain();
    let sent = bench.run_until(ms(3_000));
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|sent| sent.from == addr(L2)));
    assert!(bench.agent.pairs().all(|pair| pair.local.base == addr(L2)));
    assert!(!restart_needed(&bench), "nothing was selected");
}

/// Only what the caller has added can be removed by it.
#[test]
fn what_was_never_added_cannot_be_removed() {
    let mut bench = two_paths();
    let id = local_id(&bench, L);
    bench.agent.remove_local(bench.now, id).unwrap();
    assert_eq!(bench.agent.remove_local(bench.now, id), Err(RemoveLocalError::UnknownCandidate));
    assert_eq!(
        bench.agent.rebind_local(bench.now, id, addr(L3)),
        Err(AddLocalError::UnknownCandidate)
    );
    bench.agent.close(bench.now);
    assert_eq!(bench.agent.remove_local(bench.now, id), Err(RemoveLocalError::Closed));
}

/// A rebound socket: the selected path is checked first from the new address; data waits for the
/// answer, since consent is for an address (RFC 7675 §5.1).
#[test]
fn a_rebound_socket_is_checked_at_once() {
    let mut bench = Bench::started(plain(Role::Controlling), &[L], &[R, R2]);
    run_answering(&mut bench, ms(1_000), &[L]);
    assert_eq!(selected(&bench), Some((L.to_owned(), R.to_owned())));
    let id = local_id(&bench, L);
    let before = bench.sent.len();
    bench.agent.rebind_local(bench.now, id, addr(L3)).unwrap();
    bench.drain();
    let check = bench.sent[before].clone();
    assert_eq!((check.from, check.to, check.is_request()), (addr(L3), addr(R), true));
    let stream = bench.stream;
    assert_eq!(bench.agent.send(bench.now, stream, 1, b"x"), Err(SendError::NotConnected));
    assert!(!restart_needed(&bench));

    let _ = bench.answer(&check);
    assert!(bench.agent.send(bench.now, stream, 1, b"x").is_ok());
    run_answering(&mut bench, ms(1_500), &[L3]);
    assert_eq!(selected(&bench), Some((L3.to_owned(), R.to_owned())));
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(bench.agent.local_candidates().count(), 1);
}

/// A socket that moves before its candidate was told is told by its new address; with continual
/// gathering the new address of a live session is told as well.
#[test]
fn a_rebound_socket_is_told_where_the_peer_may_be_told() {
    let told = |bench: &Bench| -> Vec<String> {
        let address = |event: &Event| match event {
            Event::LocalCandidate { candidate, .. } => Some(candidate.to_string()),
            _ => None,
        };
        bench.events.iter().filter_map(|(_, event)| address(event)).collect()
    };
    let mut bench = Bench::with(plain(Role::Controlling));
    let local = LocalAddress::udp(addr(L));
    let id = bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap();
    bench.agent.rebind_local(bench.now, id, addr(L3)).unwrap();
    bench.drain();
    assert_eq!(told(&bench).len(), 1);
    assert!(told(&bench)[0].contains("10.0.2.1 1000"));

    let mut config = plain(Role::Controlling);
    config.continual = true;
    let mut bench = Bench::started(config, &[L], &[R]);
    run_answering(&mut bench, ms(1_000), &[L]);
    bench.agent.rebind_local(bench.now, local_id(&bench, L), addr(L3)).unwrap();
    bench.drain();
    assert_eq!(told(&bench).len(), 2);
    run_answering(&mut bench, ms(2_000), &[L3]);
    assert_eq!(selected(&bench), Some((L3.to_owned(), R.to_owned())));
}

/// What cannot be a candidate does not become one by rebinding, and the old one stays.
#[test]
fn a_rebinding_to_a_wrong_address_changes_nothing() {
    let mut bench = two_paths();
    let id = local_id(&bench, L);
    for (to, error) in [
        ("127.0.0.1:9", AddLocalError::Loopback),
        ("10.0.0.1:0", AddLocalError::Port),
        ("0.0.0.0:9", AddLocalError::NotUnicast),
        (L2, AddLocalError::Duplicate),
    ] {
        assert_eq!(bench.agent.rebind_local(bench.now, id, addr(to)), Err(error), "{to}");
    }
    assert_eq!(selected(&bench), Some((L.to_owned(), R.to_owned())));
}

/// T12: RFC 8838 §13. After nomination nothing more is trickled, gathering complete or not.
#[test]
fn after_nomination_no_candidate_is_added() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(L);
    bench.start();
    bench.add_remote(R, 1000);
    run_answering(&mut bench, ms(1_000), &[L]);
    assert!(selected(&bench).is_some());
    let late = bench.agent.add_local(bench.now, bench.stream, 1, LocalAddress::udp(addr(L2)));
    assert_eq!(late, Err(AddLocalError::Concluded));
}

/// T12, decision 6: an agent in continual mode never says that its candidates are complete, trickles
/// after nomination, and checks what it has trickled.
#[test]
fn in_continual_mode_candidates_come_after_nomination() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.continual = true;
    let mut bench = Bench::started(config, &[L], &[R]);
    run_answering(&mut bench, ms(1_000), &[L]);
    assert_eq!(bench.agent.gathering_state(), GatheringState::Gathering);
    bench.events.clear();
    let before = bench.sent.len();
    bench.add_local(L2);
    let told = bench.events.iter().any(|(_, event)| matches!(event, Event::LocalCandidate { .. }));
    assert!(told);
    let check = bench.sent[before..].iter().find(|sent| sent.is_request()).unwrap().clone();
    assert_eq!((check.from, check.to), (addr(L2), addr(R)));
    let _ = bench.answer(&check);
    assert_eq!(selected(&bench), Some((L.to_owned(), R.to_owned())), "a spare path");

    bench.agent.remove_local(bench.now, local_id(&bench, L)).unwrap();
    bench.drain();
    run_answering(&mut bench, ms(3_000), &[L2]);
    assert_eq!(selected(&bench), Some((L2.to_owned(), R.to_owned())));
}

/// Candidates that the peer trickles after nomination are checked, in either role, as spare paths.
#[test]
fn late_candidates_of_the_peer_become_spare_paths() {
    for role in [Role::Controlling, Role::Controlled] {
        let mut bench = Bench::with(AgentConfig::new(role));
        bench.add_local(L);
        bench.start();
        bench.add_remote(R, 2_000_000_000);
        run_answering(&mut bench, ms(40), &[L]);
        if role == Role::Controlled {
            let _ = bench.send_check(L, R, true);
        }
        run_answering(&mut bench, ms(1_000), &[L]);
        assert!(selected(&bench).is_some());
        let before = bench.sent.len();
        bench.add_remote(R2, 1000);
        let check = bench.sent[before].clone();
        assert_eq!(check.to, addr(R2));
        let _ = bench.answer(&check);
        assert_eq!(selected(&bench), Some((L.to_owned(), R.to_owned())));
        let sent = run_answering(&mut bench, ms(20_000), &[L]);
        assert!(sent.iter().any(|sent| sent.is_request() && sent.to == addr(R2)), "consent");
    }
}

/// N8: RFC 8445 §8.3.1. What was not selected is answered for three seconds more, and freed then.
#[test]
fn candidates_that_are_not_used_are_freed_after_three_seconds() {
    let mut config = plain(Role::Controlled);
    config.release_candidates = true;
    let mut bench = Bench::started(config, &[L, L2], &[R]);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let _ = bench.send_check(L, R, true);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    let done = bench.now;

    bench.run_until(done + Duration::from_millis(2_900));
    let before = bench.sent.len();
    assert_eq!(bench.send_check(L2, R, false), Received::Consumed);
    assert_eq!(bench.sent[before].from, addr(L2));
    assert_eq!(removed(&bench), 0);
    bench.run_until(done + Duration::from_millis(3_000));
    assert_eq!(removed(&bench), 1);
    assert_eq!(bench.send_check(L2, R, false), Received::Ignored(Ignored::UnknownLocal));
    assert_eq!(bench.send_check(L, R, false), Received::Consumed);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// N8: spare paths are used: their candidates stay.
#[test]
fn candidates_of_spare_paths_are_not_freed() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.timing.hedging = false;
    config.release_candidates = true;
    let mut bench = Bench::started(config, &[L, L2, L3], &[R]);
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    run_answering(&mut bench, ms(10_000), &[L, L2]);
    let left: Vec<SocketAddr> = bench.agent.local_candidates().map(|local| local.addr).collect();
    assert_eq!(left, [addr(L), addr(L2)]);
    assert_eq!(removed(&bench), 1);
}

/// Without the wish to free anything all candidates stay, ready for a restart.
#[test]
fn candidates_are_kept_by_default() {
    let mut bench = Bench::started(plain(Role::Controlled), &[L, L2], &[R]);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let _ = bench.send_check(L, R, true);
    bench.run_for(Duration::from_secs(60));
    assert_eq!(removed(&bench), 0);
    assert_eq!(bench.send_check(L2, R, false), Received::Consumed);
}

/// L8: RFC 8445 §8.3.2. A lite agent frees the others at once.
#[test]
fn a_lite_agent_frees_what_is_not_used_at_once() {
    let mut config = plain(Role::Controlled);
    config.lite = true;
    config.release_candidates = true;
    let mut bench = Bench::started(config, &[L, L2], &[R]);
    let _ = bench.send_check(L, R, true);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    assert_eq!(removed(&bench), 1);
    assert_eq!(bench.send_check(L2, R, false), Received::Ignored(Ignored::UnknownLocal));
}

/// Two agents on a wire of 20 ms each way, connected.
fn world(nomination: NominationMode) -> (World, AgentIndex, AgentIndex) {
    let mut world = World::new([9; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(20)));
    let [alice, bob] = [Role::Controlling, Role::Controlled].map(|role| {
        let mut config = AgentConfig::new(role);
        config.nomination = nomination;
        config.timing.disconnected_after = Duration::from_secs(3);
        world.add_agent(config).unwrap()
    });
    world.add_socket(alice, "192.0.2.1:5000".parse().unwrap()).unwrap();
    world.add_socket(bob, "192.0.2.2:6000".parse().unwrap()).unwrap();
    world.connect(alice, bob).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    let done = |world: &World| {
        world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
    };
    assert_eq!(world.run_while(|world| !done(world), ms(10_000)).unwrap(), End::Condition);
    (world, alice, bob)
}

fn stream_of(world: &World, agent: AgentIndex) -> StreamId {
    world.agent(agent).unwrap().streams().next().unwrap()
}

fn ends(world: &World, agent: AgentIndex) -> Option<(SocketAddr, SocketAddr)> {
    let agent = world.agent(agent).unwrap();
    let pair = agent.selected_pair(agent.streams().next().unwrap(), 1)?;
    Some((pair.local.base, pair.remote.addr))
}

/// The socket of one side moves in the middle of a session: both sides end on the new path without a
/// restart, within the time that a dead path goes unnoticed and a few round trips; with renomination
/// negotiated and the controlling side moving, within a few round trips.
#[test]
fn a_session_survives_the_move_of_either_socket() {
    let renomination = NominationMode::Renomination { automatic: true };
    for (mode, mover, bound) in [
        (NominationMode::Regular, 0, 3_200),
        (NominationMode::Regular, 1, 3_200),
        (renomination, 0, 200),
        (renomination, 1, 3_200),
    ] {
        let (mut world, alice, bob) = world(mode);
        let who = [alice, bob][mover];
        let moved: SocketAddr = "198.51.100.7:7000".parse().unwrap();
        let until = world.now() + Duration::from_secs(10);
        world.run_until(until).unwrap();
        world.rebind(who, moved).unwrap();
        let start = world.now();
        let settled = |world: &World| {
            let (Some(a), Some(b)) = (ends(world, alice), ends(world, bob)) else { return false };
            (a.0, a.1) == (b.1, b.0) && [a.0, a.1].contains(&moved)
        };
        let limit = start + Duration::from_millis(bound);
        let end = world.run_while(|world| !settled(world), limit).unwrap();
        assert_eq!(end, End::Condition, "{mode:?}, side {mover} moves");
        for agent in [alice, bob] {
            let stream = stream_of(&world, agent);
            world.send(agent, stream, 1, b"still here").unwrap();
        }
        let until = world.now() + Duration::from_millis(100);
        world.run_until(until).unwrap();
        for agent in [alice, bob] {
            assert_eq!(world.received(agent).collect::<Vec<_>>(), [b"still here"]);
        }
        assert!(world.agents().all(|(_, agent)| {
            agent.local_candidates().all(|candidate| candidate.kind == CandidateKind::Host)
        }));
    }
}

/// After a rebinding the selected path is checked first, then what was valid, then the rest, whatever
/// their order was.
#[test]
fn a_rebound_socket_checks_what_was_in_use_first() {
    let mut bench = Bench::started(plain(Role::Controlled), &[L], &[R3, R2, R]);
    bench.run_until(ms(110));
    for request in bench.requests().into_iter().filter(|sent| sent.to != addr(R3)) {
        let _ = bench.answer(&request);
    }
    let _ = bench.send_check(L, R, true);
    assert_eq!(selected(&bench), Some((L.to_owned(), R.to_owned())));
    bench.run_until(ms(200));
    let before = bench.sent.len();
    bench.agent.rebind_local(bench.now, local_id(&bench, L), addr(L3)).unwrap();
    bench.drain();
    bench.run_until(ms(500));
    let checked: Vec<_> = bench.sent[before..].iter().map(|sent| sent.to).collect();
    assert_eq!(checked, [addr(R), addr(R2), addr(R3)]);
}

/// A candidate that is gone before anybody has polled its event is not told; the others are.
#[test]
fn a_candidate_that_went_before_it_was_told_is_not_told() {
    let mut bench = Bench::with(plain(Role::Controlling));
    let ids = [L, L2].map(|local| {
        let local = LocalAddress::udp(addr(local));
        bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap()
    });
    bench.agent.remove_local(bench.now, ids[1]).unwrap();
    bench.drain();
    let told =
        bench.events.iter().filter(|(_, event)| matches!(event, Event::LocalCandidate { .. }));
    assert_eq!(told.count(), 1);
    let left: Vec<SocketAddr> = bench.agent.local_candidates().map(|local| local.addr).collect();
    assert_eq!(left, [addr(L)]);
}

/// Late candidates are paired within their component.
#[test]
fn late_candidates_are_checked_within_their_component() {
    let mut config = plain(Role::Controlling);
    config.components = 2;
    config.continual = true;
    let mut bench = Bench::with(config);
    for (component, local) in [(1, L), (2, L2)] {
        let local = LocalAddress::udp(addr(local));
        bench.agent.add_local(bench.now, bench.stream, component, local).unwrap();
        bench.drain();
    }
    bench.start();
    bench.add_remote_line("1 1 UDP 1001 10.0.0.2 2000 typ host");
    bench.add_remote_line("2 2 UDP 1000 10.0.0.3 2000 typ host");
    run_answering(&mut bench, ms(1_000), &[L, L2]);
    assert_eq!(bench.agent.state(), ConnectionState::Completed);

    let before = bench.sent.len();
    let local = LocalAddress::udp(addr(L3));
    bench.agent.add_local(bench.now, bench.stream, 2, local).unwrap();
    bench.drain();
    bench.add_remote_line("3 1 UDP 900 10.0.0.4 2000 typ host");
    bench.run_until(ms(1_400));
    let ends: Vec<_> = bench.sent[before..].iter().map(|sent| (sent.from, sent.to)).collect();
    assert_eq!(ends, [(addr(L3), addr(R2)), (addr(L), addr(R3))]);
}
