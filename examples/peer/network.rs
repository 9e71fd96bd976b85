//! The addresses of the peer: those that it starts with, and those that come and go.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use frazil::StreamId;

use crate::driver::host::{self, Host};
use crate::driver::{Driver, EventLoop, OpenError};
use crate::options::Options;
use crate::{Failure, note};

/// What a `network` line says.
pub(crate) struct Change {
    pub(crate) ip: IpAddr,
    pub(crate) up: bool,
}

impl Change {
    pub(crate) fn parse(text: &str) -> Result<Self, Box<dyn Error>> {
        let mut fields = text.split_whitespace();
        let (Some(ip), Some(way), None) = (fields.next(), fields.next(), fields.next()) else {
            return Err("an IP address and `up` or `down` are wanted".into());
        };
        let ip: IpAddr = ip.parse().map_err(|_| format!("{ip}: not an IP address"))?;
        let ip = ip.to_canonical();
        match way {
            "up" => Ok(Self { ip, up: true }),
            "down" => Ok(Self { ip, up: false }),
            _ => Err("it goes `up` or `down`".into()),
        }
    }
}

/// Opens sockets on the addresses that were named, or on all but loopback.
pub(crate) fn open_all(
    options: &Options,
    driver: &mut Driver,
    stream: StreamId,
    events: &mut EventLoop,
) -> Result<(), Failure> {
    let hosts = host::all()?;
    if options.bind.is_empty() {
        return open_any(&hosts, options, driver, stream, events);
    }
    for &ip in &options.bind {
        let host = named(ip, &hosts).map_err(|why| Failure::Flag(format!("--bind {why}")))?;
        driver.open(events, stream, host).map_err(|error| {
            no_port(host, options, &error)
                .unwrap_or_else(|| Failure::Flag(format!("--bind {ip}: {error}")))
        })?;
    }
    Ok(())
}

/// Opens what can be opened. An address that cannot (an IPv6 one that is not settled yet) is no
/// failure as long as there is another.
fn open_any(
    hosts: &[Host],
    options: &Options,
    driver: &mut Driver,
    stream: StreamId,
    events: &mut EventLoop,
) -> Result<(), Failure> {
    for &host in hosts.iter().filter(|host| !host.ip.is_loopback()) {
        if let Err(error) = driver.open(events, stream, host) {
            if let Some(failure) = no_port(host, options, &error) {
                return Err(failure);
            }
            note(format_args!("{} passed over: {error}", host.ip));
        }
    }
    if !driver.is_open() {
        return Err(Failure::NoAddress);
    }
    Ok(())
}

/// Opens a socket on an address that has come, or has come back.
pub(crate) fn open_late(
    ip: IpAddr,
    options: &Options,
    driver: &mut Driver,
    stream: StreamId,
    events: &mut EventLoop,
) -> Result<(), Box<dyn Error>> {
    let host = named(ip, &host::all()?)?;
    driver
        .open(events, stream, host)
        .map_err(|error| no_port(host, options, &error).map_or_else(|| error.into(), Into::into))
}

/// Where an address that was named is.
fn named(ip: IpAddr, hosts: &[Host]) -> Result<Host, String> {
    if !host::is_unicast(ip) {
        return Err(format!("{ip}: not the address of one interface"));
    }
    match hosts.iter().find(|host| host.ip == ip) {
        Some(host) => Ok(*host),
        None if host::is_link_local(ip) => Err(format!("{ip}: on which link is not known")),
        // Not every address that can be bound is listed: all of 127.0.0.0/8 is this machine.
        None => Ok(Host { ip, interface: 0 }),
    }
}

/// Whether the reason is that all ports of the range are taken.
fn no_port(host: Host, options: &Options, error: &OpenError) -> Option<Failure> {
    let ports = options.gathering.port_range()?;
    let taken =
        matches!(error, OpenError::Socket(error) if error.kind() == io::ErrorKind::AddrInUse);
    taken.then(|| {
        Failure::Flag(format!(
            "--port-range {}-{}: none is free on {}",
            ports.min(),
            ports.max(),
            host.ip
        ))
    })
}
