//! One piece of work, so many times: what the instruction guard counts, and a profiler looks at.
//!
//! `work NAME COUNT` runs a piece `COUNT` times. The guard runs it twice with different counts and
//! takes the difference, so that set-up costs cancel out.

#![expect(clippy::disallowed_methods, reason = "a program reads its arguments")]

#[path = "../tests/common/mod.rs"]
mod common;
mod floor;
#[path = "../tests/common/wire.rs"]
mod wire;

use std::hint::black_box;
use std::time::Duration;

use common::{Bench, MESSAGE_INTEGRITY, Message, REQUEST, addr};
use frazil::replay::Recorder;
use frazil::{
    AgentConfig, ConfigError, IceAgent, Mux, MuxConfig, MuxIgnored, MuxReceived, Received, Role,
    Timestamp, Transport, fuzzing,
};
use wire::{Driven, Wire};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` and `cargo bench` start it without a piece of work.
    let (Some(name), Some(count)) =
        (arguments.get(1), arguments.get(2).and_then(|count| count.parse::<usize>().ok()))
    else {
        println!("usage: work PIECE COUNT, see the source for the pieces");
        return;
    };
    match name.as_str() {
        "floor" => floor_of_answering(count),
        "answer" => answer(count),
        "floor-decode" => floor_of_decoding(count),
        "decode" => decode(count),
        "floor-encode" => floor_of_encoding(count),
        "encode" => encode(count),
        "consent" => consent(count),
        "data" => data(count),
        "classify" => classify(count),
        "idle" => idle(count),
        "mux" => mux(count),
        "stranger" => stranger(count),
        "hostile" => hostile(count),
        "session" => session(IceAgent::new, count),
        "session-recorded" => session(Recorder::new, count),
        "data-recorded" => data_recorded(count),
        _ => {
            let hosts = name.strip_prefix("connect-").and_then(|hosts| hosts.parse().ok());
            let recorded = name.strip_prefix("recorded-").and_then(|hosts| hosts.parse().ok());
            match (hosts, recorded) {
                (Some(hosts), _) => connect(IceAgent::new, hosts, count),
                (_, Some(hosts)) => connect(Recorder::new, hosts, count),
                _ => panic!("no such piece of work: {name}"),
            }
        }
    }
}

/// A controlled agent whose pair is selected, and a check of its peer.
fn selected() -> (Bench, Vec<u8>) {
    let mut bench = Bench::selected(LOCAL, REMOTE);
    let check = bench.check(Role::Controlling).integrity(&bench.pwd()).fingerprint();
    (bench, check)
}

fn floor_of_answering(count: usize) {
    let (bench, check) = selected();
    let key = floor::key(bench.pwd().as_bytes());
    let mut out = Vec::with_capacity(2048);
    for _ in 0..count {
        out.clear();
        assert!(floor::floor(black_box(&check), &key, [10, 0, 0, 2], 2000, &mut out));
    }
}

fn answer(count: usize) {
    let (mut bench, check) = selected();
    let (local, remote, now) = (addr(LOCAL), addr(REMOTE), bench.now);
    let mut out = Vec::with_capacity(2048);
    for _ in 0..count {
        out.clear();
        let agent = &mut bench.agent;
        let _ = agent.handle_datagram(now, Transport::Udp, local, remote, black_box(&check));
        assert!(agent.poll_transmit(now, &mut out).is_some());
    }
}

fn floor_of_decoding(count: usize) {
    let (bench, check) = selected();
    let key = floor::key(bench.pwd().as_bytes());
    for _ in 0..count {
        let decoded = floor::decode(black_box(&check), &key).expect("it is authentic");
        black_box((decoded.username, decoded.priority, decoded.tie_breaker));
    }
}

fn decode(count: usize) {
    let (bench, check) = selected();
    let key = fuzzing::Key::new(bench.pwd().as_bytes());
    for _ in 0..count {
        let decoded = fuzzing::read_check(black_box(&check), &key).expect("it is authentic");
        black_box(decoded);
    }
}

/// What both write: the check of a controlling side.
const WRITTEN: (&[u8], u32, u64) = (b"abcdefgh:ijklmnop", 0x6e00_01ff, 0x0123_4567_89ab_cdef);

fn floor_of_encoding(count: usize) {
    let (username, priority, tie_breaker) = WRITTEN;
    let key = floor::key(common::PEER_PWD.as_bytes());
    let check = floor::Decoded { username, priority, tie_breaker };
    let mut out = Vec::with_capacity(2048);
    for _ in 0..count {
        out.clear();
        floor::encode(black_box([7; 12]), black_box(&check), &key, &mut out);
        black_box(&out);
    }
}

fn encode(count: usize) {
    let (username, priority, tie_breaker) = WRITTEN;
    let key = fuzzing::Key::new(common::PEER_PWD.as_bytes());
    let check = fuzzing::Check {
        username: Some(username),
        priority: Some(priority),
        role: Some((Role::Controlling, tie_breaker)),
        ..fuzzing::Check::default()
    };
    let mut out = Vec::with_capacity(2048);
    for _ in 0..count {
        out.clear();
        assert!(fuzzing::write_check_with(&mut out, black_box([7; 12]), black_box(&check), &key));
        black_box(&out);
    }
}

/// A consent check that falls due, its rendering, and its answer by hand.
fn consent(count: usize) {
    let mut config = frazil::AgentConfig::new(Role::Controlled);
    config.timing.hedging = false;
    let mut bench = Bench::started(config, &[LOCAL], &[REMOTE]);
    let check = bench.last_request();
    let _ = bench.answer(&check);
    let _ = bench.send_check(LOCAL, REMOTE, true);
    let (local, remote) = (addr(LOCAL), addr(REMOTE));
    let key = floor::key(common::PEER_PWD.as_bytes());
    let (mut out, mut answer) = (Vec::with_capacity(2048), Vec::with_capacity(2048));
    let agent = &mut bench.agent;
    let mut checks = 0;
    while checks < count {
        let now = agent.poll_timeout().expect("consent is asked for");
        agent.handle_timeout(now);
        out.clear();
        while agent.poll_transmit(now, &mut out).is_some() {
            answer.clear();
            let id = out[8..20].try_into().expect("a header");
            floor::answer(id, [10, 0, 0, 1], 1000, &key, &mut answer);
            let received = agent.handle_datagram(now, Transport::Udp, local, remote, &answer);
            assert!(matches!(received, Received::Consumed));
            checks += 1;
            out.clear();
        }
    }
}

/// Bytes of another protocol on the path in use: what the agent takes to say so.
fn classify(count: usize) {
    let payload = [0x80; 1200];
    for _ in 0..count {
        assert!(!fuzzing::is_stun(black_box(&payload)));
    }
}

fn data(count: usize) {
    let (mut bench, _) = selected();
    let (local, remote, now) = (addr(LOCAL), addr(REMOTE), bench.now);
    let payload = [0x80; 1200];
    for _ in 0..count {
        let agent = &mut bench.agent;
        let received =
            agent.handle_datagram(now, Transport::Udp, local, remote, black_box(&payload));
        assert!(matches!(received, Received::Data { .. }));
        let _ = black_box(agent.send(now, bench.stream, 1, &payload).unwrap());
    }
}

fn idle(count: usize) {
    let (mut bench, _) = selected();
    let mut out = Vec::new();
    for _ in 0..count {
        let now = bench.now;
        let agent = &mut bench.agent;
        agent.handle_timeout(now);
        assert!(agent.poll_transmit(now, &mut out).is_none());
        assert!(agent.poll_event(now).is_none());
        black_box(agent.poll_timeout());
    }
}

/// The work of `answer`, for an agent in a `Mux`.
fn mux(count: usize) {
    let (bench, check) = selected();
    let (local, remote, now) = (addr(LOCAL), addr(REMOTE), bench.now);
    let mut mux = Mux::new(MuxConfig::default(), [1; 32]);
    mux.insert(now, bench.agent).unwrap();
    let mut out = Vec::with_capacity(2048);
    for _ in 0..count {
        out.clear();
        let _ = mux.handle_datagram(now, Transport::Udp, local, remote, black_box(&check));
        assert!(mux.poll_transmit(now, &mut out).is_some());
    }
}

/// A check for a username fragment that no session of a `Mux` has.
fn stranger(count: usize) {
    let (bench, check) = selected();
    let (local, remote, now) = (addr(LOCAL), addr(REMOTE), bench.now);
    let mut mux = Mux::new(MuxConfig::default(), [1; 32]);
    for _ in 0..count {
        let received = mux.handle_datagram(now, Transport::Udp, local, remote, black_box(&check));
        assert_eq!(received, MuxReceived::Ignored(MuxIgnored::UnknownUfrag));
    }
}

/// A datagram of `count` bytes, full of MESSAGE-INTEGRITY attributes; a hundred times.
fn hostile(count: usize) {
    let (mut bench, _) = selected();
    let (local, remote, now) = (addr(LOCAL), addr(REMOTE), bench.now);
    let mut message = Message::new(REQUEST, [1; 12]);
    while message.bytes.len() + 24 <= count.min(65_500) {
        message = message.attr(MESSAGE_INTEGRITY, &[0; 20]);
    }
    for _ in 0..100 {
        let received =
            bench.agent.handle_datagram(now, Transport::Udp, local, remote, &message.bytes);
        assert!(matches!(received, Received::Ignored(_)));
    }
}

fn connect<A: Driven>(make: Make<A>, hosts: usize, count: usize) {
    for _ in 0..count {
        let delay = Duration::from_millis(10);
        let mut wire = Wire::of(make, [hosts; 2], Duration::from_millis(50), delay, 1);
        wire.start();
        wire.run(Timestamp::from_millis(10_000));
        assert!(wire.selected.iter().all(Option::is_some));
    }
}

/// Connects with four candidates a side, then a minute of consent.
fn session<A: Driven>(make: Make<A>, count: usize) {
    for _ in 0..count {
        let delay = Duration::from_millis(10);
        let mut wire = Wire::of(make, [4; 2], Duration::from_millis(50), delay, 1);
        wire.start();
        wire.run(Timestamp::from_millis(10_000));
        assert!(wire.selected.iter().all(Option::is_some));
        wire.selected = [None; 2];
        wire.run(Timestamp::from_millis(70_000));
    }
}

fn data_recorded(count: usize) {
    let (ta, delay) = (Duration::from_millis(50), Duration::from_millis(10));
    let mut wire = Wire::of(Recorder::new, [1; 2], ta, delay, 1);
    wire.start();
    wire.run(Timestamp::from_millis(10_000));
    let (local, remote) = (wire::address(0, 0), wire::address(1, 0));
    let (now, stream, payload) = (wire.now, wire.stream, [0x80; 1200]);
    let [agent, _] = &mut wire.agents;
    for round in 0..count {
        let received =
            agent.handle_datagram(now, Transport::Udp, local, remote, black_box(&payload));
        assert!(matches!(received, Received::Data { .. }));
        let _ = black_box(agent.send(now, stream, 1, &payload).unwrap());
        if round % 1000 == 999 {
            black_box(agent.take_log());
        }
    }
}

/// How an agent is made.
type Make<A> = fn(AgentConfig, [u8; 32]) -> Result<A, ConfigError>;
