mod filter;
mod handling;
mod kinds;
mod ports;
mod prefix;
mod ranking;
mod related;

use core::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
mod rewrite;
