//! Sockets that accept TCP connections, each on one address.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Token};
use socket2::{Domain, Protocol, Type};

use super::event_loop::Entrance;
use super::host::Host;
use super::socket::{first_free, without_scope};

/// Connections that the system holds until they are accepted.
const BACKLOG: i32 = 64;

/// A socket that accepts connections on one address: a passive candidate says where.
pub(crate) struct Listener {
    tcp: TcpListener,
    token: Token,
    /// Its address without the scope, as the agent knows it.
    pub(crate) local: SocketAddr,
    /// Not found empty since it was last reported.
    readable: bool,
}

impl Listener {
    /// On the first of `ports` that is free.
    pub(crate) fn open(
        events: &Entrance,
        host: Host,
        ports: impl Iterator<Item = u16>,
    ) -> io::Result<Self> {
        let mut tcp = first_free(ports, |port| listen(host.socket_addr(port)))?;
        let token = events.token();
        tcp.register(events.registry(), token, Interest::READABLE)?;
        let local = without_scope(tcp.local_addr()?);
        Ok(Self { tcp, token, local, readable: false })
    }

    pub(crate) fn close(mut self, events: &Entrance) -> io::Result<()> {
        self.tcp.deregister(events.registry())
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

    /// A connection that waits, and where it comes from.
    pub(crate) fn accept(&mut self) -> Option<(TcpStream, SocketAddr)> {
        while self.readable {
            match self.tcp.accept() {
                Ok((stream, from)) => return Some((stream, without_scope(from))),
                // A signal, or one that was given up before its turn: others may wait behind it.
                // Anything else, an empty queue above all, ends the accepting; where the system has
                // no room for more, the next one that comes is another try.
                Err(error) => {
                    self.readable = matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    );
                }
            }
        }
        None
    }
}

fn listen(local: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(local);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Connections that have ended keep no new listener off their port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&local.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
