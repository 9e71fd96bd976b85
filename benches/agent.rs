//! What an agent costs: time by criterion, allocations and live memory as a table before it.
//!
//! `cargo bench --bench agent`; with `-- --quick` for a first impression.

#[path = "../tests/common/mod.rs"]
mod common;
mod floor;
#[path = "../tests/common/wire.rs"]
mod wire;

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::measure;
use common::{Bench, addr};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use frazil::{IceAgent, Role, Timestamp, Transport};
use wire::Wire;

const LOCAL: &str = "10.0.0.1:1000";
const REMOTE: &str = "10.0.0.2:2000";
const HOSTS: [usize; 5] = [1, 4, 10, 32, 100];

/// A controlled agent whose pair is selected, and a check of its peer.
fn selected() -> (Bench, Vec<u8>) {
    let mut bench = Bench::selected(LOCAL, REMOTE);
    let check = bench.check(Role::Controlling).integrity(&bench.pwd()).fingerprint();
    (bench, check)
}

fn answer(agent: &mut IceAgent, now: Timestamp, check: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let (local, remote) = (LOCAL_ADDR, REMOTE_ADDR);
    let _ = agent.handle_datagram(now, Transport::Udp, local, remote, black_box(check));
    assert!(agent.poll_transmit(now, out).is_some());
}

const LOCAL_ADDR: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)), 1000);
const REMOTE_ADDR: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 2000);

/// An agent with a check that waits to be written: the cost of encoding one.
fn about_to_check() -> IceAgent {
    let mut bench = Bench::new(Role::Controlling);
    bench.add_local(LOCAL);
    bench.add_remote(REMOTE, 2_000_000_000);
    let credentials = frazil::Credentials::new(common::PEER_UFRAG, common::PEER_PWD).unwrap();
    bench.agent.set_remote(bench.now, frazil::Parameters::new(credentials)).unwrap();
    bench.agent
}

fn wire_of(hosts: usize, only_last: bool) -> Wire {
    let mut wire = Wire::new([hosts; 2], Duration::from_millis(50), Duration::from_millis(10), 1);
    if only_last {
        wire.only_last([hosts; 2]);
    }
    wire
}

fn drive(wire: &mut Wire) {
    wire.start();
    wire.run(Timestamp::from_millis(1_000_000));
    assert!(wire.selected.iter().all(Option::is_some));
}

fn table() {
    println!("{:<34}{:>12}{:>12}{:>12}", "work", "allocations", "virtual ms", "packets");
    let (mut bench, check) = selected();
    let now = bench.now;
    let mut out = Vec::with_capacity(2048);
    let info = measure(|| answer(&mut bench.agent, now, &check, &mut out));
    println!("{:<34}{:>12}", "answer a check", info.count_total);
    let mut agent = about_to_check();
    let info = measure(|| assert!(agent.poll_transmit(now, &mut out).is_some()));
    println!("{:<34}{:>12}", "encode a check", info.count_total);
    for only_last in [false, true] {
        for hosts in HOSTS {
            if only_last && hosts > 32 {
                continue;
            }
            let mut wire = None;
            let info = measure(|| {
                let mut made = wire_of(hosts, only_last);
                drive(&mut made);
                wire = Some(made);
            });
            let wire = wire.unwrap();
            let selected = wire.selected.iter().flatten().max().unwrap().as_nanos() / 1_000_000;
            let last = if only_last { ", last pair only" } else { "" };
            println!(
                "{:<34}{:>12}{:>12}{:>12}",
                format!("connect {hosts} hosts{last}"),
                info.count_total,
                selected,
                wire.sent[0] + wire.sent[1],
            );
        }
    }
    let later = [("", Wire::connected(4)), (", 10 s later", Wire::settled(4))];
    for (later, wire) in later {
        for (role, agent) in ["controlling", "controlled"].into_iter().zip(wire.agents) {
            let mut agent = Some(agent);
            let freed = -measure(|| drop(agent.take())).bytes_current;
            let bytes = freed + size_of::<IceAgent>() as i64;
            println!("{:<45}{bytes:>12} bytes", format!("live memory, 4 hosts, {role}{later}"));
        }
    }
}

fn benches(criterion: &mut Criterion) {
    table();
    let (mut bench, check) = selected();
    let now = bench.now;
    let mut out = Vec::with_capacity(2048);
    let key = floor::key(bench.pwd().as_bytes());
    criterion.bench_function("floor of answering", |b| {
        b.iter(|| {
            out.clear();
            floor::floor(black_box(&check), &key, [10, 0, 0, 2], 2000, &mut out)
        });
    });
    criterion.bench_function("answer a check", |b| {
        b.iter(|| answer(&mut bench.agent, now, &check, &mut out));
    });
    criterion.bench_function("encode a check", |b| {
        b.iter_batched_ref(
            about_to_check,
            |agent| {
                out.clear();
                agent.poll_transmit(now, &mut out)
            },
            BatchSize::SmallInput,
        );
    });
    criterion.bench_function("steady state: data in and out", |b| {
        let payload = [0x80; 1200];
        let (local, remote) = (addr(LOCAL), addr(REMOTE));
        b.iter(|| {
            let agent = &mut bench.agent;
            let _ = agent.handle_datagram(now, Transport::Udp, local, remote, black_box(&payload));
            black_box(agent.send(now, bench.stream, 1, &payload).is_ok())
        });
    });
    criterion.bench_function("steady state: nothing due", |b| {
        b.iter(|| {
            bench.agent.handle_timeout(now);
            black_box(bench.agent.poll_transmit(now, &mut out).is_none());
            black_box(bench.agent.poll_event(now).is_none());
            black_box(bench.agent.poll_timeout())
        });
    });
    for only_last in [false, true] {
        for hosts in HOSTS {
            if only_last && hosts > 32 {
                continue;
            }
            let last = if only_last { ", last pair only" } else { "" };
            criterion.bench_function(&format!("connect {hosts} hosts{last}"), |b| {
                b.iter_batched_ref(|| wire_of(hosts, only_last), drive, BatchSize::SmallInput);
            });
        }
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(1));
    targets = benches
}
criterion_main!(all);
