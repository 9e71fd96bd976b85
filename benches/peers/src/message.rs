//! The messages that all implementations get, written by hand, and the addresses of all hosts.

use std::net::{Ipv4Addr, SocketAddr};

use crate::floor;
use crate::peer::Credentials;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const ICE_CONTROLLED: u16 = 0x8029;
const ICE_CONTROLLING: u16 = 0x802a;
/// An attribute that nobody knows and that everybody has to pass over.
const UNKNOWN: u16 = 0xff99;

/// What is free in a UDP datagram over IPv4, down to whole attributes.
pub const LARGEST: usize = 65_504;

/// The address of the `index`-th host of a side.
pub fn host(side: u8, index: usize) -> SocketAddr {
    let ip = Ipv4Addr::new(10, side, (index / 200) as u8, (index % 200 + 1) as u8);
    SocketAddr::new(ip.into(), 5000)
}

fn header(id: u32) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    bytes.extend([0x5a; 8]);
    bytes.extend(id.to_be_bytes());
    bytes
}

fn push(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend(kind.to_be_bytes());
    bytes.extend((value.len() as u16).to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn write_length(bytes: &mut [u8]) {
    let length = (bytes.len() - 20) as u16;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
}

/// A check that is sent to the controlling or to the controlled side by its peer, which
/// nominates with it if it can.
pub fn check(to_controlling: bool, id: u32) -> Vec<u8> {
    let (to, from) = (Credentials::of(to_controlling), Credentials::of(!to_controlling));
    let mut bytes = header(id);
    push(&mut bytes, USERNAME, format!("{}:{}", to.ufrag, from.ufrag).as_bytes());
    push(&mut bytes, PRIORITY, &0x6e00_01ff_u32.to_be_bytes());
    if to_controlling {
        push(&mut bytes, ICE_CONTROLLED, &1_u64.to_be_bytes());
    } else {
        push(&mut bytes, ICE_CONTROLLING, &1_u64.to_be_bytes());
        push(&mut bytes, USE_CANDIDATE, &[]);
    }
    floor::seal(&mut bytes, &floor::key(to.pwd.as_bytes()));
    bytes
}

/// Checks with different transaction ids.
pub fn checks(to_controlling: bool) -> Vec<Vec<u8>> {
    (0..64).map(|id| check(to_controlling, id)).collect()
}

/// A check to the controlling side that was made without its password.
pub fn forged() -> Vec<u8> {
    let mut bytes = check(true, 0);
    let end = bytes.len() - 8 - 24;
    bytes.truncate(end);
    floor::seal(&mut bytes, &floor::key(b"not the password at all!"));
    bytes
}

/// A datagram as large as can be, full of MESSAGE-INTEGRITY.
pub fn full_of_integrity() -> Vec<u8> {
    full_of(MESSAGE_INTEGRITY, &[0; 20])
}

/// A datagram as large as can be, full of attributes without a value.
pub fn full_of_nothing() -> Vec<u8> {
    full_of(UNKNOWN, &[])
}

fn full_of(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = header(0);
    while bytes.len() + 4 + value.len() <= LARGEST {
        push(&mut bytes, kind, value);
    }
    write_length(&mut bytes);
    bytes
}

/// Datagrams as large as can be of random bytes, with the header of STUN before them or without.
pub fn random(with_header: bool) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    (0..64).map(|id| random_datagram(with_header.then(|| header(id)), &mut state)).collect()
}

fn random_datagram(header: Option<Vec<u8>>, state: &mut u64) -> Vec<u8> {
    let with_header = header.is_some();
    let mut bytes = header.unwrap_or_default();
    while bytes.len() < LARGEST {
        bytes.push(xorshift(state));
    }
    if with_header {
        write_length(&mut bytes);
    }
    bytes
}

fn xorshift(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 32) as u8
}
