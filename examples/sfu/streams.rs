//! The TCP connections of a core.
//!
//! Each core listens on the one port with a socket of its own (SO_REUSEPORT), and the kernel gives a
//! connection to any of them. Its first message is a check, which names the core of its session as every
//! check does. So the first bytes are looked at while they are still in the socket: a connection that
//! is another core's goes there as it is, and that core accepts it. Until then it counts as pending
//! in the `Mux` here, whose limits and deadline are those of all.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use frazil::ConnectionId;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::core::core_named_by;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;
/// As much of a first message as is looked at: more than a check has.
const FIRST: usize = 1024;
/// Bytes that wait until the system takes them. A frame that finds no room is lost as a whole, like a
/// datagram: what is late is of no use.
const QUEUE: usize = 64 * 1024;

/// A connection that somebody has opened.
struct Stream {
    tcp: TcpStream,
    token: Token,
    remote: SocketAddr,
    /// It is this core's.
    settled: bool,
    /// What the system has not taken yet.
    outgoing: VecDeque<u8>,
}

/// The connections of a core, and where they come from.
pub(crate) struct Streams {
    listener: Option<TcpListener>,
    listener_token: Token,
    next_token: usize,
    streams: BTreeMap<ConnectionId, Stream>,
    ids: BTreeMap<Token, ConnectionId>,
    /// Those that may have something to read.
    ready: VecDeque<ConnectionId>,
    acceptable: bool,
}

/// What a connection has brought.
pub(crate) enum Brought {
    /// Nothing, for now.
    Nothing,
    /// Bytes, the first so many of the buffer.
    Bytes(usize),
    /// It belongs to this core.
    Elsewhere(usize),
    /// It is at its end.
    End,
}

impl Streams {
    /// Takes connections from here, if anywhere. Tokens from `listener` on are for them.
    pub(crate) fn new(listener: Option<std::net::TcpListener>, token: Token) -> Self {
        Self {
            listener: listener.map(TcpListener::from_std),
            listener_token: token,
            next_token: token.0 + 1,
            streams: BTreeMap::new(),
            ids: BTreeMap::new(),
            ready: VecDeque::new(),
            acceptable: false,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        let Some(listener) = &mut self.listener else { return Ok(()) };
        self.acceptable = true;
        registry.register(listener, self.listener_token, Interest::READABLE)
    }

    /// Where connections are accepted.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Something may be done with what has this token.
    pub(crate) fn note_ready(&mut self, token: Token) {
        self.acceptable |= token == self.listener_token && self.listener.is_some();
        if let Some(&id) = self.ids.get(&token) {
            self.ready.push_back(id);
        }
    }

    /// Whether there may be more to do at once.
    pub(crate) fn is_ready(&self) -> bool {
        self.acceptable || !self.ready.is_empty()
    }

    /// The next one that somebody has opened.
    pub(crate) fn accept(&mut self) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let listener = self.listener.as_ref().filter(|_| self.acceptable)?;
            match listener.accept() {
                Ok(accepted) => return Some(accepted),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.acceptable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It is gone already; or there is no room, and the next one that comes is the next try.
                Err(_) => self.acceptable = false,
            }
        }
    }

    /// Keeps one under its id.
    pub(crate) fn add(
        &mut self,
        registry: &Registry,
        id: ConnectionId,
        mut tcp: TcpStream,
        remote: SocketAddr,
    ) -> io::Result<()> {
        // Messages are small, and wait for nothing.
        tcp.set_nodelay(true)?;
        let token = Token(self.next_token);
        self.next_token += 1;
        registry.register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        let outgoing = VecDeque::new();
        self.streams.insert(id, Stream { tcp, token, remote, settled: false, outgoing });
        self.ids.insert(token, id);
        self.ready.push_back(id);
        Ok(())
    }

    /// Gives one up, which closes it if nobody takes it.
    pub(crate) fn remove(
        &mut self,
        registry: &Registry,
        id: ConnectionId,
    ) -> Option<(TcpStream, SocketAddr)> {
        let mut stream = self.streams.remove(&id)?;
        self.ids.remove(&stream.token);
        // The last words: what the system does not take at once is lost.
        stream.flush().ok();
        registry.deregister(&mut stream.tcp).ok();
        Some((stream.tcp, stream.remote))
    }

    /// The next one that may have something, and what it has brought to `buffer`.
    pub(crate) fn read(
        &mut self,
        own: usize,
        buffer: &mut Vec<u8>,
    ) -> Option<(ConnectionId, Brought)> {
        let id = self.ready.pop_front()?;
        let Some(stream) = self.streams.get_mut(&id) else { return Some((id, Brought::Nothing)) };
        buffer.resize(CHUNK, 0);
        let brought = stream.read(own, buffer).unwrap_or(Brought::End);
        if matches!(brought, Brought::Bytes(_)) {
            self.ready.push_back(id);
        }
        Some((id, brought))
    }

    /// Writes a frame; an error is the end of the connection.
    pub(crate) fn write(&mut self, id: ConnectionId, parts: &[&[u8]]) -> io::Result<()> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let len = parts.iter().fold(0, |len: usize, part| len.saturating_add(part.len()));
        if stream.outgoing.len().saturating_add(len) <= QUEUE {
            parts.iter().for_each(|part| stream.outgoing.extend(*part));
        }
        stream.flush()
    }
}

impl Stream {
    fn read(&mut self, own: usize, buffer: &mut [u8]) -> io::Result<Brought> {
        self.flush()?;
        if !self.settled {
            let len = match self.tcp.peek(&mut buffer[..FIRST]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Brought::Nothing);
                }
                len => len?,
            };
            match first_message(&buffer[..len]) {
                _ if len == 0 => return Ok(Brought::End),
                Some(message) => match core_named_by(message).filter(|&home| home != own) {
                    Some(home) => return Ok(Brought::Elsewhere(home)),
                    None => self.settled = true,
                },
                // More will come, and then it is looked at again.
                None if len < FIRST => return Ok(Brought::Nothing),
                None => self.settled = true,
            }
        }
        loop {
            match self.tcp.read(buffer) {
                Ok(0) => return Ok(Brought::End),
                Ok(len) => return Ok(Brought::Bytes(len)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Brought::Nothing);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.tcp.write(self.outgoing.as_slices().0) {
                Ok(len) => drop(self.outgoing.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The message in the first frame that is not empty (RFC 4571), if it is there as a whole.
fn first_message(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (head, rest) = bytes.split_first_chunk()?;
        let len = usize::from(u16::from_be_bytes(*head));
        if len > 0 {
            return rest.get(..len);
        }
        bytes = rest;
    }
}
