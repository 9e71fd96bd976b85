//! TCP connections to servers, with or without TLS, and with peers, none of which ever blocks.
//!
//! An agent writes whole messages and takes bytes in whatever pieces; the connection finishes what
//! the system took only in part.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use frazil::ConnectionId;
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Token};
use rustls::ClientConnection;
use socket2::{Domain, Protocol, Type};

use super::event_loop::Entrance;
use super::socket::with_scope;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// Bytes that wait until the system takes them. What comes then is lost, as with a datagram that
/// finds the queue full: what is late is of no use.
const QUEUE: usize = 64 * 1024;

/// A connection that the agent has asked for, or that was accepted.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) remote: SocketAddr,
    /// Somebody else has opened it, and may well close it.
    pub(crate) accepted: bool,
    tcp: TcpStream,
    token: Token,
    tls: Option<ClientConnection>,
    phase: Phase,
    /// There may be something to do.
    ready: bool,
    /// What was read; `taken` bytes of it are with the agent.
    incoming: Vec<u8>,
    taken: usize,
    /// What the system has not taken yet, before TLS.
    outgoing: VecDeque<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    /// TLS is being agreed upon.
    Securing,
    Open,
    /// Nothing will come any more.
    Broken,
}

/// What a connection has come to.
pub(crate) enum Progress {
    /// Nothing, until it is ready again.
    None,
    /// It is open.
    Opened,
    /// There are bytes for the agent.
    Input,
    /// It could not be made, or not be secured.
    Failed(io::Error),
    /// It was open.
    Closed(io::Error),
}

impl Connection {
    /// Begins to connect from `local`, whose port may be zero.
    pub(crate) fn open(
        events: &Entrance,
        id: ConnectionId,
        (local, scope): (SocketAddr, u32),
        remote: SocketAddr,
        tls: Option<ClientConnection>,
    ) -> io::Result<Self> {
        let tcp = connect(with_scope(local, scope), with_scope(remote, scope))?;
        Self::new(events, id, remote, tcp, tls)
    }

    /// One that somebody else has opened.
    pub(crate) fn accepted(
        events: &Entrance,
        id: ConnectionId,
        tcp: TcpStream,
        remote: SocketAddr,
    ) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let connection = Self::new(events, id, remote, tcp, None)?;
        Ok(Self { accepted: true, phase: Phase::Open, ready: true, ..connection })
    }

    fn new(
        events: &Entrance,
        id: ConnectionId,
        remote: SocketAddr,
        mut tcp: TcpStream,
        tls: Option<ClientConnection>,
    ) -> io::Result<Self> {
        let token = events.token();
        tcp.register(events.registry(), token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            id,
            remote,
            accepted: false,
            tcp,
            token,
            tls,
            phase: Phase::Connecting,
            ready: false,
            incoming: Vec::new(),
            taken: 0,
            outgoing: VecDeque::new(),
        })
    }

    /// Closes it, after what the system takes at once.
    pub(crate) fn close(mut self, events: &Entrance) -> io::Result<()> {
        if let (Some(tls), Phase::Open) = (&mut self.tls, self.phase) {
            tls.send_close_notify();
        }
        if self.phase == Phase::Open {
            self.flush().ok();
        }
        self.tcp.deregister(events.registry())
    }

    pub(crate) fn note_ready(&mut self, token: Token) {
        self.ready |= self.token == token;
    }

    pub(crate) const fn is_ready(&self) -> bool {
        self.ready
    }

    /// What the agent has not taken yet, and how much it has.
    pub(crate) fn input(&mut self) -> (&[u8], &mut usize) {
        (&self.incoming, &mut self.taken)
    }

    /// Sends a message, or what of it is left when the system takes more. A message that finds the
    /// queue full is lost.
    pub(crate) fn send(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<()> {
        if self.phase != Phase::Open {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let len = parts.iter().fold(0usize, |len, part| len.saturating_add(part.len()));
        if self.outgoing.len().saturating_add(len) > QUEUE {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the connection is congested"));
        }
        parts.iter().for_each(|part| self.outgoing.extend(part.iter()));
        let flushed = self.flush();
        // The end of the connection is told when it has its turn.
        self.ready |= flushed.is_err();
        flushed
    }

    /// Goes on with what is to be done.
    pub(crate) fn progress(&mut self) -> Progress {
        if !self.ready {
            return Progress::None;
        }
        let before = self.phase;
        let done = match before {
            Phase::Connecting => self.connected(),
            Phase::Securing => self.secured(),
            Phase::Open => self.transfer(),
            Phase::Broken => Ok(Progress::None),
        };
        let progress = done.unwrap_or_else(|error| {
            self.phase = Phase::Broken;
            if before == Phase::Open { Progress::Closed(error) } else { Progress::Failed(error) }
        });
        self.ready = !matches!(progress, Progress::None) && self.phase != Phase::Broken;
        progress
    }

    fn connected(&mut self) -> io::Result<Progress> {
        if let Some(error) = self.tcp.take_error()? {
            return Err(error);
        }
        match self.tcp.peer_addr() {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(Progress::None),
            Err(error) => return Err(error),
        }
        // Messages are small, and wait for nothing.
        self.tcp.set_nodelay(true)?;
        self.phase = Phase::Securing;
        self.secured()
    }

    fn secured(&mut self) -> io::Result<Progress> {
        while let Some(tls) = self.tls.as_mut().filter(|tls| tls.is_handshaking()) {
            let done = if tls.wants_write() {
                tls.write_tls(&mut self.tcp)
            } else {
                read_tls(tls, &mut self.tcp)
            };
            if is_blocked(&done) {
                return Ok(Progress::None);
            }
            done?;
        }
        self.phase = Phase::Open;
        self.flush()?;
        Ok(Progress::Opened)
    }

    fn transfer(&mut self) -> io::Result<Progress> {
        // Where nothing can be written any more, the last that the other side has said may wait.
        let flushed = self.flush();
        if self.taken < self.incoming.len() {
            return Ok(Progress::Input);
        }
        self.taken = 0;
        self.incoming.resize(CHUNK, 0);
        let read = self.read();
        self.incoming.truncate(*read.as_ref().unwrap_or(&0));
        if is_blocked(&read) {
            return flushed.map(|()| Progress::None);
        }
        match read? {
            0 => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by the other side")),
            _ => Ok(Progress::Input),
        }
    }

    fn read(&mut self) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return uninterrupted(|| self.tcp.read(&mut self.incoming));
        };
        loop {
            let read = tls.reader().read(&mut self.incoming);
            if !is_blocked(&read) {
                return read;
            }
            if read_tls(tls, &mut self.tcp)? == 0 {
                return Ok(0);
            }
        }
    }

    /// Writes until everything is written or the system takes no more.
    fn flush(&mut self) -> io::Result<()> {
        loop {
            let written = match &mut self.tls {
                Some(tls) if tls.wants_write() => tls.write_tls(&mut self.tcp),
                _ if self.outgoing.is_empty() => return Ok(()),
                Some(tls) => {
                    let written = tls.writer().write(self.outgoing.as_slices().0)?;
                    self.outgoing.drain(..written);
                    continue;
                }
                None => {
                    let written = uninterrupted(|| self.tcp.write(self.outgoing.as_slices().0));
                    self.outgoing.drain(..*written.as_ref().unwrap_or(&0));
                    written
                }
            };
            if is_blocked(&written) {
                return Ok(());
            }
            written?;
        }
    }
}

fn connect(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let domain = Domain::for_address(remote);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    match socket.connect(&remote.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EINPROGRESS)
}

/// Takes what has come in, and what TLS makes of it.
fn read_tls(tls: &mut ClientConnection, tcp: &mut TcpStream) -> io::Result<usize> {
    let read = uninterrupted(|| tls.read_tls(tcp))?;
    if let Err(error) = tls.process_new_packets() {
        // The server may learn why.
        tls.write_tls(tcp).ok();
        return Err(io::Error::other(error));
    }
    if read == 0 && tls.is_handshaking() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed while TLS was set up"));
    }
    Ok(read)
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn is_blocked<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
