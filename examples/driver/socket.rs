//! UDP sockets, each on one address.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use frazil::SocketId;
use mio::event::Source;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use socket2::SockRef;

use super::event_loop::Entrance;
use super::host::Host;

/// A socket on one address. None is bound to a wildcard: the agent has to know on which address a
/// datagram arrived, and to choose from which one it leaves.
pub(crate) struct Socket {
    udp: UdpSocket,
    token: Token,
    /// Its address without the scope, as the agent knows it.
    pub(crate) local: SocketAddr,
    /// The scope of a link-local address. It means something on this machine only and is in no
    /// message and no candidate line, so the agent never sees it: whatever leaves from a
    /// link-local address goes to the link of that address.
    scope: u32,
    /// Not read empty since it was last reported.
    readable: bool,
    /// If the agent has asked for it, by which name.
    pub(crate) wanted: Option<SocketId>,
}

impl Socket {
    /// A socket on the first of `ports` that is free.
    pub(crate) fn open(
        events: &Entrance,
        host: Host,
        ports: impl Iterator<Item = u16>,
    ) -> io::Result<Self> {
        let udp = first_free(ports, |port| UdpSocket::bind(host.socket_addr(port)))?;
        Self::of(events, udp, host.scope())
    }

    /// A socket that is bound already.
    pub(crate) fn of(events: &Entrance, mut udp: UdpSocket, scope: u32) -> io::Result<Self> {
        let token = events.token();
        udp.register(events.registry(), token, Interest::READABLE)?;
        let local = without_scope(udp.local_addr()?);
        Ok(Self { udp, token, local, scope, readable: false, wanted: None })
    }

    pub(crate) fn close(mut self, events: &Entrance) -> io::Result<()> {
        self.udp.deregister(events.registry())
    }

    pub(crate) fn note_ready(&mut self, token: Token) {
        self.readable |= self.token == token;
    }

    pub(crate) const fn is_readable(&self) -> bool {
        self.readable
    }

    pub(crate) fn is_on(&self, ip: IpAddr) -> bool {
        self.local.ip().to_canonical() == ip.to_canonical()
    }

    /// Reads a datagram, if there is one.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        if !self.readable {
            return None;
        }
        match self.udp.recv_from(buffer) {
            Ok((len, from)) => Some((len, without_scope(from))),
            Err(error) => {
                // A signal, or an ICMP message about something sent before: others may wait
                // behind it. Anything else, an empty socket above all, ends the reading.
                self.readable = matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionRefused
                );
                None
            }
        }
    }

    /// Sends the parts as one datagram, which copies none of them.
    pub(crate) fn send(&self, parts: &[IoSlice<'_>], remote: SocketAddr) -> io::Result<()> {
        let remote = with_scope(remote, self.scope);
        SockRef::from(&self.udp).send_to_vectored(parts, &remote.into()).map(drop)
    }
}

/// What is bound to the first port that is free.
pub(crate) fn first_free<T>(
    ports: impl Iterator<Item = u16>,
    bind: impl Fn(u16) -> io::Result<T>,
) -> io::Result<T> {
    let mut last = None;
    for port in ports {
        match bind(port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no port to bind")))
}

pub(crate) fn without_scope(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port())
}

/// The address of a neighbour, or of a group, on the link of a socket.
pub(crate) fn with_scope(addr: SocketAddr, scope: u32) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() || v6.ip().is_multicast() => {
            SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope))
        }
        other => other,
    }
}
