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
use frazil::{Mux, MuxConfig, MuxIgnored, MuxReceived, Received, Role, Timestamp, Transport};
use wire::Wire;

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` and `cargo bench` start it without a piece of work.
    let (Some(name), Some(count)) =
        (arguments.get(1), arguments.get(2).and_then(|count| count.parse::<usize>().ok()))
    else {
        println!("usage: work floor|answer|data|idle|mux|stranger|hostile|connect-N COUNT");
        return;
    };
    match name.as_str() {
        "floor" => floor_of_answering(count),
        "answer" => answer(count),
        "data" => data(count),
        "idle" => idle(count),
        "mux" => mux(count),
        "stranger" => stranger(count),
        "hostile" => hostile(count),
        _ => {
            let hosts = name.strip_prefix("connect-").and_then(|hosts| hosts.parse().ok());
            connect(hosts.expect("a known piece of work"), count);
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

fn connect(hosts: usize, count: usize) {
    for _ in 0..count {
        let delay = Duration::from_millis(10);
        let mut wire = Wire::new([hosts; 2], Duration::from_millis(50), delay, 1);
        wire.start();
        wire.run(Timestamp::from_millis(10_000));
        assert!(wire.selected.iter().all(Option::is_some));
    }
}
