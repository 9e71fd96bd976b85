//! What the network reports of datagrams that it did not carry, and what the agent costs it.

mod common;

use std::time::Duration;

use common::{Bench, PEER_PWD, Sent, addr, ms};
use frazil::{
    AgentConfig, Credentials, IcmpError, PairState, Parameters, Refused, Role, Route,
    TransmitError, Transport,
};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTES: [&str; 2] = ["10.0.0.2:2000", "10.0.0.3:2000"];

fn checking() -> (Bench, Sent) {
    let mut bench = Bench::connected_with(Role::Controlling, &[LOCAL], &REMOTES);
    bench.run_for(Duration::from_millis(50));
    let first = bench.requests().remove(0);
    (bench, first)
}

fn states(bench: &Bench) -> Vec<PairState> {
    bench.agent.pairs().map(|pair| pair.state).collect()
}

fn icmp(bench: &mut Bench, error: IcmpError, about: &Sent, quoted: &[u8]) {
    let now = bench.now;
    bench.agent.handle_icmp(now, Transport::Udp, about.from, about.to, error, quoted);
    bench.drain();
}

/// C12, U4: a hard ICMP error that quotes a check under way fails it, and no other.
#[test]
fn a_hard_icmp_error_fails_the_check_that_it_quotes() {
    let (mut bench, first) = checking();
    icmp(&mut bench, IcmpError::Hard, &first, &first.bytes[..28]);
    assert_eq!(states(&bench), [PairState::Failed, PairState::InProgress]);
    let later = bench.run_until(ms(5_000));
    assert!(later.iter().all(|sent| sent.to != first.to), "its transaction goes on");
}

/// C12: a soft error, one that quotes something else, and one about another path do nothing.
#[test]
fn other_icmp_errors_do_nothing() {
    let (mut bench, first) = checking();
    let digest = bench.agent.state_digest();
    let mut other = first.bytes.clone();
    other[19] ^= 1;
    let elsewhere = Sent { to: addr(REMOTES[1]), ..first.clone() };
    icmp(&mut bench, IcmpError::Soft, &first, &first.bytes);
    icmp(&mut bench, IcmpError::Hard, &first, &other);
    icmp(&mut bench, IcmpError::Hard, &first, &first.bytes[..12]);
    icmp(&mut bench, IcmpError::Hard, &first, &[0x80; 28]);
    icmp(&mut bench, IcmpError::Hard, &elsewhere, &first.bytes);
    assert_eq!(bench.agent.state_digest(), digest);
}

/// C12: a pair that has succeeded is not killed by ICMP.
#[test]
fn icmp_does_not_kill_a_valid_pair() {
    let (mut bench, first) = checking();
    let _ = bench.answer(&first);
    let nomination = bench.run_for(Duration::from_millis(60)).pop().unwrap();
    assert!(nomination.nominates());
    icmp(&mut bench, IcmpError::Hard, &nomination, &nomination.bytes);
    assert_eq!(states(&bench)[0], PairState::Succeeded);
    assert!(bench.agent.route(bench.stream, 1).is_some());
}

/// C12: it can be switched off.
#[test]
fn icmp_can_be_ignored() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.icmp = false;
    let mut bench = Bench::with(config);
    bench.add_local(LOCAL);
    bench.add_remote(REMOTES[0], 2_000_000_000);
    bench.start();
    let first = bench.last_request();
    icmp(&mut bench, IcmpError::Hard, &first, &first.bytes);
    assert_eq!(states(&bench), [PairState::InProgress]);
}

/// A transmit that cannot be sent fails its check at once, and the peer's check revives it.
#[test]
fn an_unreachable_route_fails_its_checks_until_the_peer_is_heard() {
    let (mut bench, first) = checking();
    let route = Route::Datagram { transport: Transport::Udp, local: first.from, remote: first.to };
    let now = bench.now;
    bench.agent.transmit_failed(now, route, TransmitError::Unreachable);
    assert_eq!(states(&bench), [PairState::Failed, PairState::InProgress]);
    let _ = bench.send_check(LOCAL, REMOTES[0], false);
    assert_ne!(states(&bench)[0], PairState::Failed);
}

/// A datagram that was too large is counted, and fails nothing.
#[test]
fn a_datagram_that_was_too_large_is_counted() {
    let (mut bench, first) = checking();
    let route = Route::Datagram { transport: Transport::Udp, local: first.from, remote: first.to };
    let now = bench.now;
    bench.agent.transmit_failed(now, route, TransmitError::TooLarge);
    assert_eq!(bench.agent.counters().refused(Refused::LargeTransmit), 1);
    assert_eq!(states(&bench), [PairState::InProgress; 2]);
}

/// U6: the largest check, with fragments as long as they may be, fits into any path.
#[test]
fn the_largest_check_is_smaller_than_548_bytes() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.credentials =
        Some(Credentials::new(&"l".repeat(32), "localpasswordlocalpassword").unwrap());
    let mut bench = Bench::with(config);
    bench.add_local("[2001:db8::1]:1000");
    bench.add_remote("[2001:db8::2]:2000", 2_000_000_000);
    let peer = Credentials::new(&"p".repeat(256), PEER_PWD).unwrap();
    bench.agent.set_remote(bench.now, Parameters::new(peer)).unwrap();
    bench.drain();
    let check = bench.last_request();
    assert!(check.verifies(PEER_PWD));
    assert!(check.bytes.len() <= 548, "{} bytes", check.bytes.len());
}

/// S10: checks cost the network less than what they make way for: in no second more than a call
/// with G.711 in packets of 20 ms, headers counted on both sides (80 kbit/s).
#[test]
fn checks_stay_below_the_bandwidth_of_a_call() {
    let remotes: Vec<String> = (1..=60).map(|host| format!("10.0.9.{host}:2000")).collect();
    let remotes: Vec<&str> = remotes.iter().map(String::as_str).collect();
    let mut bench = Bench::connected_with(Role::Controlling, &[LOCAL], &remotes);
    bench.run_until(ms(10_000));
    // IPv4 and UDP headers are part of what the network carries.
    let size = |sent: &Sent| sent.bytes.len() + 28;
    let busiest = bench
        .sent
        .iter()
        .map(|first| {
            let second = bench
                .sent
                .iter()
                .filter(|sent| sent.at >= first.at && sent.at < first.at + Duration::from_secs(1));
            second.map(size).sum::<usize>()
        })
        .max()
        .unwrap();
    assert!(busiest * 8 < 80_000, "{} kbit/s", busiest * 8 / 1000);
    assert!(busiest * 8 > 20_000, "the measure is wrong: {busiest} bytes");
}
