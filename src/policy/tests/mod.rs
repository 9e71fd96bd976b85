mod filter;
mod handling;
mod kinds;
mod ports;
mod prefix;
mod ranking;
mod related;
mod rewrite;
mod servers;

use core::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
