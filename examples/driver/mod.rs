//! How to embed an agent: sockets, a clock and the loop between them, shared by the examples.
//!
//! An agent does no I/O. Its driver owes it three things, and they are all that is here:
//!
//! 1. every datagram that arrives, with the address that it arrived on ([`Driver::receive`]);
//! 2. a call when its deadline has come ([`Driver::expire`]);
//! 3. after each of these, and after every other call, everything that it wants to be sent and
//!    to be known ([`Driver::poll`], until it returns `None`).
//!
//! Between them the thread sleeps in [`EventLoop::wait`].

pub(crate) mod host;
pub(crate) mod seed;
pub(crate) mod words;

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Instant;

use frazil::replay::Recorder;
use frazil::{
    AddLocalError, CandidateView, Event, LocalAddress, Received, RemoveLocalError, Route,
    SendError, StreamId, Timestamp, Transport,
};
use mio::event::Source;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token};

use host::Host;

/// Room for the largest UDP datagram: one that is cut short would be lost.
pub(crate) const DATAGRAM: usize = 65_535;

/// Datagrams that are taken from the sockets before timers have their turn again, so that a flood
/// cannot hold them up.
pub(crate) const BATCH: usize = 64;

/// The streams of the examples have one component.
pub(crate) const COMPONENT: u16 = 1;

/// The clock and the sockets' readiness.
pub(crate) struct EventLoop {
    poll: Poll,
    ready: Events,
    start: Instant,
    tokens: usize,
}

impl EventLoop {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            ready: Events::with_capacity(256),
            start: Instant::now(),
            tokens: 0,
        })
    }

    /// The agent's time: the epoch is the start of the loop.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.start.elapsed())
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// A token that nothing else has.
    pub(crate) fn token(&mut self) -> Token {
        let token = Token(self.tokens);
        self.tokens = self.tokens.saturating_add(1);
        token
    }

    /// Sleeps until something is ready, or until `deadline`; without one, for as long as it takes.
    pub(crate) fn wait(&mut self, deadline: Option<Timestamp>) -> io::Result<()> {
        let timeout = deadline.map(|at| at - self.now());
        match self.poll.poll(&mut self.ready, timeout) {
            // A signal. The caller looks at its deadlines and comes back.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.ready.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// What the last wait found.
    pub(crate) fn ready(&self) -> impl Iterator<Item = Token> {
        self.ready.iter().map(mio::event::Event::token)
    }
}

/// An agent with its sockets.
pub(crate) struct Driver {
    /// The agent, for a program that can be asked to record it. Otherwise an `IceAgent`, which has the
    /// same calls, would do.
    pub(crate) agent: Recorder,
    sockets: Vec<Socket>,
    /// The socket that was read last: each has its turn.
    turn: usize,
    /// What goes out, one datagram after the other.
    outgoing: Vec<u8>,
    /// What the system refused to send.
    pub(crate) unsent: Unsent,
}

/// A socket on one address. None is bound to a wildcard: the agent has to know on which address a
/// datagram arrived, and to choose from which one it leaves.
struct Socket {
    udp: UdpSocket,
    token: Token,
    /// Its address without the scope, as the agent knows it.
    local: SocketAddr,
    /// The scope of a link-local address. It means something on this machine only and is in no
    /// message and no candidate line, so the agent never sees it: whatever leaves from a
    /// link-local address goes to the link of that address.
    scope: u32,
    /// Not read empty since it was last reported.
    readable: bool,
}

/// Datagrams that the system did not take.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    pub(crate) count: u64,
    pub(crate) last: Option<io::Error>,
}

/// Why an address did not become a candidate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Agent(#[from] AddLocalError),
}

/// Why an address was not given up.
#[allow(dead_code, reason = "not every example loses an address")]
#[derive(Debug, thiserror::Error)]
pub(crate) enum CloseError {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Agent(#[from] RemoveLocalError),
}

/// Why application data was not sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataError {
    #[error(transparent)]
    Agent(#[from] SendError),
    #[error(transparent)]
    Socket(#[from] io::Error),
}

impl Driver {
    pub(crate) const fn new(agent: Recorder) -> Self {
        Self {
            agent,
            sockets: Vec::new(),
            turn: 0,
            outgoing: Vec::new(),
            unsent: Unsent { count: 0, last: None },
        }
    }

    /// Opens a socket on an address of this machine, on the first of `ports` that is free, and
    /// makes a candidate of it.
    pub(crate) fn open(
        &mut self,
        events: &mut EventLoop,
        stream: StreamId,
        host: Host,
        ports: impl Iterator<Item = u16>,
    ) -> Result<(), OpenError> {
        let mut udp = bind(host, ports)?;
        let addr = udp.local_addr()?;
        let token = events.token();
        udp.register(events.registry(), token, Interest::READABLE)?;
        let mut local = LocalAddress::udp(without_scope(addr));
        local.interface = host.interface;
        let socket = Socket { udp, token, local: local.addr, scope: host.scope(), readable: false };
        self.agent.add_local(events.now(), stream, COMPONENT, local)?;
        self.sockets.push(socket);
        Ok(())
    }

    /// Gives up an address: its candidates are removed, its sockets closed.
    #[allow(dead_code, reason = "not every example loses an address")]
    pub(crate) fn close(&mut self, events: &mut EventLoop, ip: IpAddr) -> Result<(), CloseError> {
        let gone = |addr: SocketAddr| addr.ip().to_canonical() == ip.to_canonical();
        // Those that a peer has seen go with the candidate that is their base.
        let own = |candidate: &CandidateView| candidate.addr == candidate.base;
        let candidates = self.agent.local_candidates();
        let ids: Vec<_> =
            candidates.filter(|c| own(c) && gone(c.addr)).map(|candidate| candidate.id).collect();
        for id in ids {
            self.agent.remove_local(events.now(), id)?;
        }
        for socket in self.sockets.iter_mut().filter(|socket| gone(socket.local)) {
            socket.udp.deregister(events.registry())?;
        }
        self.sockets.retain(|socket| !gone(socket.local));
        Ok(())
    }

    /// Notes which sockets the last wait found readable.
    pub(crate) fn note_ready(&mut self, events: &EventLoop) {
        for token in events.ready() {
            for socket in self.sockets.iter_mut().filter(|socket| socket.token == token) {
                socket.readable = true;
            }
        }
    }

    /// Hands one datagram to the agent; `None` when no socket has any left.
    ///
    /// Drain the output after each: an agent holds only so many answers.
    pub(crate) fn receive<'b>(
        &mut self,
        now: Timestamp,
        buffer: &'b mut [u8],
    ) -> Option<Received<'b>> {
        for _ in 0..self.sockets.len() {
            self.turn = self.turn.saturating_add(1).checked_rem(self.sockets.len())?;
            let socket = self.sockets.get_mut(self.turn)?;
            if let Some((len, from)) = socket.read(buffer) {
                let from = without_scope(from);
                let datagram = buffer.get(..len)?;
                let received =
                    self.agent.handle_datagram(now, Transport::Udp, socket.local, from, datagram);
                return Some(received);
            }
        }
        None
    }

    /// Tells the agent that its deadline has come, if it has.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
    }

    /// Sends what the agent wants to be sent, then gives its next event. To be called until it
    /// returns `None`, since an event that was taken may make more to send.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Option<Event> {
        loop {
            self.outgoing.clear();
            let Some(transmit) = self.agent.poll_transmit(now, &mut self.outgoing) else { break };
            let datagram = self.outgoing.get(transmit.range).unwrap_or_default();
            // What cannot be sent is a lost packet: the agent sends it again when its time comes.
            // `Transmit::dscp` is left out, since the standard library cannot set it.
            if let Err(error) = send_on(&self.sockets, transmit.route, datagram) {
                self.unsent.note(error);
            }
        }
        self.agent.poll_event(now)
    }

    /// When the loop has to come back at the latest.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        if self.sockets.iter().any(|socket| socket.readable) {
            // A socket is reported once: what was left in it has to be fetched unasked.
            return Some(Timestamp::ZERO);
        }
        self.agent.poll_timeout()
    }

    /// Sends application data where the agent says.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        payload: &[u8],
    ) -> Result<(), DataError> {
        let out = self.agent.send(now, stream, COMPONENT, payload)?;
        // A socket that can write several slices at once needs no copy.
        self.outgoing.clear();
        for part in [out.head(), out.payload(), out.padding()] {
            self.outgoing.extend_from_slice(part);
        }
        match send_on(&self.sockets, out.route, &self.outgoing) {
            // A full socket buffer is a full queue on the way: the packet is lost.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent.note(error);
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

impl Socket {
    /// Reads a datagram, if there is one.
    fn read(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        if !self.readable {
            return None;
        }
        match self.udp.recv_from(buffer) {
            Ok(datagram) => Some(datagram),
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
}

impl Unsent {
    fn note(&mut self, error: io::Error) {
        self.count = self.count.saturating_add(1);
        self.last = Some(error);
    }
}

/// Binds to the first port that is free.
fn bind(host: Host, ports: impl Iterator<Item = u16>) -> io::Result<UdpSocket> {
    let mut last = None;
    for port in ports {
        match UdpSocket::bind(host.socket_addr(port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            other => return other,
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "no port to bind")))
}

fn send_on(sockets: &[Socket], route: Route, datagram: &[u8]) -> io::Result<()> {
    let Route::Datagram { local, remote, .. } = route else {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "no stream connection was opened"));
    };
    let socket = sockets
        .iter()
        .find(|socket| socket.local == local)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no socket on that address"))?;
    socket.udp.send_to(datagram, with_scope(remote, socket.scope)).map(drop)
}

fn without_scope(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip(), addr.port())
}

/// The address of a neighbour on the link of the socket.
fn with_scope(addr: SocketAddr, scope: u32) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => {
            SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope))
        }
        other => other,
    }
}
