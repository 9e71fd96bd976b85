//! What the tests of the server have in common.

mod independent;

use core::net::SocketAddr;

use crate::time::Timestamp;

const LISTEN: &str = "198.51.100.1:3478";
const CLIENT: &str = "192.0.2.1:5000";
const PEER: &str = "203.0.113.9:7000";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// So many seconds after the beginning.
fn at(secs: u64) -> Timestamp {
    Timestamp::from_millis(secs * 1000)
}
