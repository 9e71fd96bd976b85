//! Values survive being written and read.

use core::fmt::Debug;
use core::net::SocketAddr;
use core::time::Duration;

use proptest::prelude::*;

use crate::agent::io::{LocalAddress, Parameters, Route};
use crate::candidate::Candidate;
use crate::config::{AgentConfig, Limits, NominationMode, Role, Signalling, Timing};
use crate::credentials::Credentials;
use crate::id::ConnectionId;

use super::hash::RunningHash;
use super::payload::{Outline, Payload};
use super::wire::{Malformed, Put, Reader, Sink as _, Take};

fn written(value: &impl Put) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}

/// It comes back as it was, all of its bytes are needed, and none is left.
fn survives<T: Put + Take + PartialEq + Debug>(value: &T) {
    let bytes = written(value);
    let mut reader = Reader(&bytes);
    assert_eq!(T::take(&mut reader).as_ref(), Ok(value));
    assert!(reader.is_empty());
    for length in 0..bytes.len() {
        assert_eq!(T::take(&mut Reader(&bytes[..length])), Err(Malformed::Truncated), "{length}");
    }
}

fn credentials() -> Credentials {
    Credentials::new("abcd", "0123456789012345678901").unwrap()
}

#[test]
fn a_configuration_survives_with_every_field() {
    let mut config = AgentConfig::new(Role::Controlled);
    config.lite = true;
    config.signalling = Signalling::Complete;
    config.components = 256;
    config.continual = true;
    config.release_candidates = true;
    config.nomination = NominationMode::Renomination { automatic: true };
    config.strict_nomination = true;
    config.credentials = Some(credentials());
    config.loopback = true;
    config.answer_unauthenticated = false;
    config.consent = false;
    config.icmp = false;
    config.dscp = 46;
    config.timing = Timing::power_saving();
    config.limits = Limits { pairs: u16::MAX, ..Limits::default() };
    let bytes = written(&config);
    let read = AgentConfig::take(&mut Reader(&bytes)).unwrap();
    assert_eq!(written(&read), bytes);
    assert_eq!(read.credentials, config.credentials);
    assert_eq!((read.timing, read.limits), (config.timing, config.limits));
    assert_eq!((read.role, read.dscp, read.consent), (Role::Controlled, 46, false));
}

#[test]
fn what_calls_take_survives() {
    let base: SocketAddr = "[fe80::1]:1".parse().unwrap();
    let addr: SocketAddr = "192.0.2.1:65535".parse().unwrap();
    let scoped =
        SocketAddr::V6(core::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 9, 1, u32::MAX));
    survives(&scoped);
    let mut local = LocalAddress::reflexive(addr, base, addr.ip());
    local.interface = u32::MAX;
    local.temporary = true;
    survives(&local);
    survives(&LocalAddress::relayed(addr, base, base.ip()));
    let mut parameters = Parameters::new(credentials());
    parameters.pacing = Some(Duration::from_millis(20));
    parameters.options = vec!["ice2".to_owned(), "grüße".to_owned()];
    survives(&parameters);
    survives(&Route::Datagram { transport: crate::Transport::Tcp, local: base, remote: addr });
    survives(&Route::Stream(ConnectionId::new(7)));
    for line in [
        "1 1 udp 2130706431 192.0.2.1 5000 typ host",
        "a+/ 256 TCP 1 2001:db8::1 9 typ srflx raddr 10.0.0.1 rport 9 tcptype active x y",
        "1 1 udp 1 0f.local 5000 typ relay raddr 0.0.0.0 rport 0",
    ] {
        survives(&line.parse::<Candidate>().unwrap());
    }
}

/// A log of a version in which a structure had fewer fields.
#[test]
fn a_field_that_is_absent_has_its_default() {
    let bytes = [3, 250, 0];
    let timing = Timing::take(&mut Reader(&bytes)).unwrap();
    assert_eq!(timing, Timing { transmissions: 250, ..Timing::default() });
    assert_eq!(Timing::take(&mut Reader(&[200, 0])), Err(Malformed::Unknown));
}

#[test]
fn an_outline_asks_for_no_more_memory_than_a_datagram_has() {
    let large = vec![1; 70_000];
    for bytes in [&large[..], &large[..65_535], &large[..3], &[]] {
        let log = written(&Outline::First(bytes));
        let read = Payload::take(&mut Reader(&log)).unwrap();
        assert_eq!(read.as_bytes().len(), bytes.len());
        assert!(log.len() < 10 || bytes.len() > 65_535);
    }
    let mut hostile = written(&1_000_000_usize);
    hostile.extend(written(&vec![0_u8; 4]));
    assert_eq!(Payload::take(&mut Reader(&hostile)), Err(Malformed::Number));
}

#[test]
fn a_count_that_the_bytes_do_not_bear_out_is_refused() {
    let bytes = written(&usize::MAX);
    assert_eq!(Vec::<String>::take(&mut Reader(&bytes)), Err(Malformed::Truncated));
    assert_eq!(String::take(&mut Reader(&bytes)), Err(Malformed::Truncated));
    assert_eq!(u64::take(&mut Reader(&[0xff; 11])), Err(Malformed::Number));
    assert_eq!(u16::take(&mut Reader(&written(&65_536_usize))), Err(Malformed::Number));
}

/// The hash is part of the format.
#[test]
fn the_hash_stays_what_it_is() {
    let mut hash = RunningHash::default();
    hash.bytes(b"what an agent puts out");
    let first = hash.check();
    hash.number(0);
    assert_ne!(hash.check(), first);
    assert_eq!(first, [77, 93, 150, 120]);
}

proptest! {
    #[test]
    fn numbers_survive(number: u64) {
        survives(&number);
    }

    #[test]
    fn reading_anything_is_total(bytes: Vec<u8>) {
        let _ = AgentConfig::take(&mut Reader(&bytes));
        let _ = Candidate::take(&mut Reader(&bytes));
        let _ = Payload::take(&mut Reader(&bytes));
    }
}
