//! Which server is asked from which address, for what, and by which clients.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smallvec::SmallVec;

use super::binding::{Binding, BindingConfig};
use super::requests::RequestTiming;
use super::server::Server;
use super::task::{Awaits, Base, Task};
use crate::id::ServerId;
use crate::time::Timestamp;
use crate::turn::{Allocation, AllocationConfig, Families};
use crate::uri::ServerTransport;

/// While there is another address to try, one is asked so often, and given up after 2.5 s.
const IMPATIENT: (u8, u8) = (3, 2);

/// How servers are asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) timing: RequestTiming,
    pub(crate) ta: Duration,
    /// Between two requests that keep a mapping alive.
    pub(crate) keepalive: Duration,
    pub(crate) loopback: bool,
    pub(crate) tasks: u16,
    pub(crate) permissions: u16,
    pub(crate) channels: u16,
}

/// What is wanted of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) reflexive: bool,
    pub(crate) relay: Option<Families>,
}

impl Wanted {
    pub(super) const fn is_nothing(&self) -> bool {
        !self.reflexive && self.relay.is_none()
    }
}

/// A task to be.
pub(super) struct Plan {
    pub(super) server: ServerId,
    pub(super) base: Base,
    pub(super) wanted: Wanted,
    /// The addresses of the server that can be reached from the base.
    pub(super) addrs: SmallVec<[SocketAddr; 2]>,
}

pub(super) fn is_stream(server: &Server) -> bool {
    server.uri().transport() != ServerTransport::Udp
}

/// Streams start from an IP address, datagrams from a socket.
pub(super) fn is_same_base(one: &Base, other: &Base, stream: bool) -> bool {
    if stream {
        (one.stream, one.component, one.addr.ip())
            == (other.stream, other.component, other.addr.ip())
    } else {
        one.candidate == other.candidate
    }
}

/// Whether a server at `server` can be reached from `base`: of the same family, and neither from
/// this machine's own addresses to the world nor the other way.
pub(super) fn reaches(base: IpAddr, server: IpAddr) -> bool {
    let narrow = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => crate::address::is_link_local(&ip),
    };
    base.is_ipv4() == server.is_ipv4()
        && base.is_loopback() == server.is_loopback()
        && (!narrow(base) || narrow(server))
}

/// Gives a task the clients that ask its address.
pub(super) fn ask(task: &mut Task, now: Timestamp, server: &Server, settings: &Settings) {
    let mut settings = *settings;
    if !task.others.is_empty() {
        (settings.timing.transmissions, settings.timing.final_wait) = IMPATIENT;
    }
    task.binding = None;
    task.awaits =
        Awaits { mapping: task.wanted.relay.is_none(), relay: task.wanted.relay.is_some() };
    let Some(families) = task.wanted.relay else {
        task.allocation = None;
        task.binding = Some(Box::new(Binding::new(now, binding(task.addr, server, &settings))));
        return;
    };
    task.allocation = Some(allocation(task, now, server, &settings, families));
}

pub(super) fn allocation(
    task: &Task,
    now: Timestamp,
    server: &Server,
    settings: &Settings,
    families: Families,
) -> Box<Allocation> {
    let config = AllocationConfig {
        reliable: task.is_stream() && !task.datagrams,
        connects: task.is_stream(),
        credentials: server.credentials().cloned(),
        families,
        dont_fragment: server.dont_fragment(),
        lifetime: server.lifetime(),
        follow_unauthenticated: server.redirects(),
        allow_loopback: settings.loopback,
        timing: settings.timing,
        permissions: settings.permissions,
        channels: settings.channels,
        ..AllocationConfig::new(task.addr)
    };
    Box::new(Allocation::new(now, config))
}

pub(super) fn binding(addr: SocketAddr, server: &Server, settings: &Settings) -> BindingConfig {
    // The credentials of a TURN server are for allocations.
    let credentials = server.credentials().filter(|_| !server.is_turn()).cloned();
    BindingConfig {
        server: addr,
        reliable: false,
        credentials,
        timing: settings.timing,
        keepalive: Some(settings.keepalive),
        first: Timestamp::ZERO,
    }
}
