//! Floods: thousands of requests a second, from one address and from many, by strangers and by
//! somebody who knows the password.

use std::net::SocketAddr;
use std::time::Duration;

use allocation_counter::measure;
use frazil::sim::Datagram;
use frazil::{AgentConfig, Event, IceAgent, Ignored, Parameters, Refused, Role};

use super::libwebrtc::Libwebrtc;
use super::stage::{AGENT, DATA, PEER, PEER_2, Peer, Stage, Topology};
use crate::common::{
    ERROR, ICE_CONTROLLED, ICE_CONTROLLING, Message, PEER_UFRAG, PRIORITY, REQUEST, SUCCESS, Sent,
    USE_CANDIDATE, USERNAME, addr, ms,
};

const ROLES: [Role; 2] = [Role::Controlling, Role::Controlled];

fn stage(role: Role, topology: &Topology) -> Stage<Libwebrtc> {
    Stage::new(AgentConfig::new(role), topology, |bench| {
        Libwebrtc::new(bench, topology, role == Role::Controlled)
    })
}

/// The `number`-th of a flood from everywhere.
fn anywhere(number: u32) -> SocketAddr {
    let [_, a, b, c] = number.to_be_bytes();
    SocketAddr::from(([100, 64 + a % 64, b, c], 1024 + (number % 60_000) as u16))
}

fn id(number: u32) -> [u8; 12] {
    let mut id = *b"flood.......";
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

/// A check as the peer would send it, still open.
fn check(stage: &Stage<Libwebrtc>, number: u32) -> Message {
    let hand = stage.peer.hand();
    let role = if hand.controlling { ICE_CONTROLLING } else { ICE_CONTROLLED };
    Message::new(REQUEST, id(number))
        .attr(USERNAME, format!("{}:{PEER_UFRAG}", hand.agent_ufrag).as_bytes())
        .attr(PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
        .attr(role, &hand.tie_breaker.to_be_bytes())
}

/// What somebody can send who does not know the password, of every kind in turn.
fn stranger(stage: &Stage<Libwebrtc>, number: u32) -> Vec<u8> {
    let open = check(stage, number);
    match number % 9 {
        0 => Message::new(REQUEST, id(number)).fingerprint(),
        1 => open.fingerprint(),
        2 => open.attr(USE_CANDIDATE, &[]).integrity("not the password at all").fingerprint(),
        3 => Message::new(REQUEST, id(number))
            .attr(USERNAME, b"nobody:peer")
            .integrity("not the password at all")
            .fingerprint(),
        4 => {
            let mut bytes = stage.peer.hand().seal(open);
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        }
        5 => Message::new(SUCCESS, id(number)).xor_mapped(addr(PEER)).fingerprint(),
        6 => Message::new(ERROR, id(number)).error_code(487).fingerprint(),
        7 => DATA.to_vec(),
        _ => {
            let mut bytes = open.fingerprint();
            bytes.truncate(40);
            bytes
        }
    }
}

/// Lets `rate` datagrams a millisecond arrive for `time`, of a kind and from where the functions
/// say, while the session goes on.
fn flood(
    stage: &mut Stage<Libwebrtc>,
    time: Duration,
    rate: u32,
    make: impl Fn(&Stage<Libwebrtc>, u32) -> (SocketAddr, Vec<u8>),
) {
    let end = stage.now() + time;
    let mut number = 0;
    while stage.now() < end {
        for _ in 0..rate {
            let (from, bytes) = make(stage, number);
            stage.network.inject(stage.now(), Datagram::udp(from, addr(AGENT), bytes));
            number += 1;
        }
        stage.run_for(Duration::from_millis(1));
    }
}

/// The bytes that an agent holds on the heap.
fn heap(agent: &IceAgent) -> i64 {
    let mut copy = None;
    let held = measure(|| copy = Some(agent.clone())).bytes_current;
    drop(copy);
    held
}

fn role_changes(stage: &Stage<Libwebrtc>) -> usize {
    let changes = stage.bench.events.iter();
    changes.filter(|(_, event)| matches!(event, Event::RoleChanged(_))).count()
}

/// Three thousand a second: the session connects in its time, keeps its path, and nothing of what
/// the agent has learnt comes from a stranger.
#[test]
fn a_flood_of_strangers_leaves_no_trace() {
    for role in ROLES {
        let mut flooded = stage(role, &Topology::simple());
        let mut quiet = flooded.clone();
        flood(&mut flooded, Duration::from_secs(4), 3, |stage, number| {
            (anywhere(number), stranger(stage, number))
        });
        quiet.run_until(flooded.now());
        flooded.run_until_agreed(Duration::ZERO);
        let (agent, other) = (&flooded.bench.agent, &quiet.bench.agent);
        assert_eq!(agent.pairs().collect::<Vec<_>>(), other.pairs().collect::<Vec<_>>());
        assert_eq!(agent.remote_candidates().count(), 1);
        assert_eq!(flooded.bench.events, quiet.bench.events);
        assert_eq!(heap(agent), heap(other));
        // What the real peer sees is the same to the byte.
        let to_peer = |stage: &Stage<Libwebrtc>| {
            let to_peer = stage.bench.sent.iter().filter(|sent| sent.to == addr(PEER));
            to_peer.map(|sent| (sent.at, sent.bytes.clone())).collect::<Vec<_>>()
        };
        assert_eq!(to_peer(&flooded), to_peer(&quiet));
        for reason in [
            Ignored::MissingCredentials,
            Ignored::BadIntegrity,
            Ignored::UnknownUser,
            Ignored::BadFingerprint,
            Ignored::UnknownTransaction,
            Ignored::UnknownRemote,
            Ignored::MalformedStun,
        ] {
            assert!(agent.counters().ignored(reason) > 1_200, "{reason:?}");
        }
        // The strangers get ten answers a second at most, and none to anything but a request.
        let replies = flooded.bench.sent.iter().filter(|sent| sent.to != addr(PEER));
        let replies: Vec<&Sent> = replies.collect();
        assert!(replies.iter().all(|sent| matches!(sent.code(), Some(400 | 401))));
        assert!((10..=50).contains(&replies.len()), "{}", replies.len());
        flooded.assert_data_flows();
        flooded.assert_orderly();
    }
}

/// The peer's own address, forged by a stranger: it counts for nothing either.
#[test]
fn a_flood_under_the_address_of_the_peer_does_not_keep_a_dead_path_alive() {
    for role in ROLES {
        let mut stage = stage(role, &Topology::simple());
        stage.run_until(ms(5_000));
        stage.network.block_between(addr(AGENT).ip(), addr(PEER).ip());
        flood(&mut stage, Duration::from_secs(11), 2, |stage, number| {
            (addr(PEER), stranger(stage, number))
        });
        assert_eq!(stage.bench.agent.state(), frazil::ConnectionState::Disconnected);
        stage.assert_orderly();
    }
}

/// A peer that checks from a thousand new addresses a second: all bounds hold, memory does not
/// grow, checks keep their pace, and the real path is found and kept.
#[test]
fn a_flood_of_valid_checks_from_many_addresses_is_bounded() {
    for role in ROLES {
        for nominate in [false, true] {
            let mut stage = stage(role, &Topology::two_paths());
            let valid = |stage: &Stage<Libwebrtc>, number| {
                let mut open = check(stage, number);
                if nominate && stage.peer.hand().controlling {
                    open = open.attr(USE_CANDIDATE, &[]);
                }
                (anywhere(number), stage.peer.hand().seal(open))
            };
            flood(&mut stage, Duration::from_secs(2), 1, valid);
            let (agent, limits) = (&stage.bench.agent, AgentConfig::new(role).limits);
            let bound = 2 + usize::from(limits.peer_reflexive_candidates);
            assert_eq!(agent.remote_candidates().count(), bound);
            assert!(agent.pairs().count() <= bound);
            assert!(agent.counters().refused(Refused::PeerReflexiveCandidate) > 1_900);
            let before = heap(agent);
            assert!(before < 32 * 1024, "{before}");
            stage.run_until_agreed(Duration::from_secs(5));
            flood(&mut stage, Duration::from_secs(3), 1, valid);
            assert!(heap(&stage.bench.agent) <= before);
            stage.run_until_agreed(Duration::ZERO);
            stage.assert_data_flows();
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
}

/// Five thousand checks a second from the peer's own address: each gets its answer, and none of
/// them a check in return.
#[test]
fn a_flood_of_valid_checks_on_the_selected_path_is_answered_and_nothing_more() {
    for role in ROLES {
        let mut stage = stage(role, &Topology::simple());
        stage.run_until(ms(2_000));
        let before = (stage.bench.sent.len(), heap(&stage.bench.agent));
        flood(&mut stage, Duration::from_secs(2), 5, |stage, number| {
            (addr(PEER), stage.peer.hand().seal(check(stage, number)))
        });
        let sent = &stage.bench.sent[before.0..];
        let flood: Vec<_> = sent.iter().filter(|sent| sent.id().starts_with(b"flood")).collect();
        assert_eq!(flood.len(), 10_000);
        assert!(flood.iter().all(|sent| sent.kind() == SUCCESS));
        let requests = sent.iter().filter(|sent| sent.is_request()).count();
        assert!(requests <= 1, "{requests} consent checks in two seconds");
        assert_eq!(stage.selections(), 1);
        // A consent check may be under way now.
        assert!(heap(&stage.bench.agent) <= before.1 + 256);
        stage.assert_data_flows();
        stage.assert_orderly();
    }
}

/// Nominations of two working pairs in turn, a thousand a second: the better one stands.
#[test]
fn a_flood_of_contrary_nominations_settles_on_the_better_pair() {
    let mut stage = stage(Role::Controlled, &Topology::spare_path());
    flood(&mut stage, Duration::from_secs(5), 1, |stage, number| {
        let from = if number % 2 == 0 { PEER } else { PEER_2 };
        let open = check(stage, number).attr(USE_CANDIDATE, &[]);
        (addr(from), stage.peer.hand().seal(open))
    });
    assert_eq!(stage.selected(), Some((addr(AGENT), addr(PEER))));
    assert!(stage.selections() <= 2);
    stage.assert_data_flows();
    stage.assert_never_disconnected();
    stage.assert_orderly();
}

/// Checks before the answer is there, from a thousand addresses a second: sixteen are kept.
#[test]
fn a_flood_of_early_checks_is_bounded() {
    for role in ROLES {
        let topology = Topology::simple();
        let mut stage = Stage::unsignalled(AgentConfig::new(role), &topology, |bench| {
            Libwebrtc::new(bench, &topology, role == Role::Controlled)
        });
        flood(&mut stage, Duration::from_secs(2), 1, |stage, number| {
            (anywhere(number), stage.peer.hand().seal(check(stage, number)))
        });
        let agent = &stage.bench.agent;
        assert!(agent.counters().refused(Refused::EarlyCheck) >= 1_984);
        assert!(heap(agent) < 16 * 1024, "{}", heap(agent));
        assert_eq!(agent.remote_candidates().count(), 1);
        stage.signal(Parameters::new);
        // Sixteen triggered checks may go first, one in each slot. A controlling libwebrtc names its
        // pair again with its next ping, which may be 2.5 s away.
        let ping = if role == Role::Controlled { 2_500 } else { 0 };
        stage.run_until_agreed(Duration::from_millis(1_200 + ping));
        stage.assert_data_flows();
        stage.assert_orderly();
    }
}

/// A peer that claims another role with another tie-breaker in each message turns the agent's role
/// round and gains nothing: the pace holds, nothing grows, and when it has stopped both sides agree.
#[test]
fn a_flood_of_role_claims_delays_and_does_no_more() {
    for role in ROLES {
        for seed in 1..=2 {
            let mut stage = stage(role, &Topology::two_paths().with_loss(0, seed));
            flood(&mut stage, Duration::from_secs(2), 1, |stage, number| {
                let (claim, tie_breaker) = match number % 2 {
                    0 => (ICE_CONTROLLING, u64::MAX),
                    _ => (ICE_CONTROLLED, 0),
                };
                let open = Message::new(REQUEST, id(number))
                    .attr(
                        USERNAME,
                        format!("{}:{PEER_UFRAG}", stage.peer.hand().agent_ufrag).as_bytes(),
                    )
                    .attr(PRIORITY, &0x6e00_01ff_u32.to_be_bytes())
                    .attr(claim, &tie_breaker.to_be_bytes());
                (addr(PEER), stage.peer.hand().seal(open))
            });
            assert!(role_changes(&stage) > 0);
            assert!(stage.nominations().len() <= 100);
            stage.run_for(Duration::from_secs(3));
            stage.run_until_agreed(Duration::from_secs(5));
            let controlling = stage.bench.agent.role() == Role::Controlling;
            assert_ne!(controlling, stage.peer.hand().controlling);
            stage.run_for(Duration::from_secs(30));
            stage.assert_data_flows();
            stage.assert_never_disconnected();
            stage.assert_orderly();
        }
    }
}
