//! How to embed an agent: sockets, a clock and the loop between them, shared by the examples.
//!
//! An agent does no I/O. Its driver owes it four things, and they are all that is here:
//!
//! 1. everything that arrives: datagrams with the address that they arrived on, bytes of
//!    connections ([`Driver::receive`]);
//! 2. a call when its deadline has come ([`Driver::expire`]);
//! 3. after each of these, and after every other call, everything that it wants to be sent and
//!    to be known ([`Driver::poll`], until it returns `None`);
//! 4. what it asks for meanwhile: sockets, connections to servers and the addresses of names, which
//!    `poll` sees to by itself.
//!
//! Between them the thread sleeps in [`EventLoop::wait`]. An agent that was closed still takes
//! leave of its servers: the loop goes on until [`Driver::is_done`].

mod connection;
mod event_loop;
pub(crate) mod gathering;
pub(crate) mod host;
mod names;
pub(crate) mod seed;
mod socket;
mod tls;
pub(crate) mod words;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use frazil::replay::Recorder;
use frazil::{
    AddLocalError, ConnectionId, ConnectionSecurity, ConnectionState, Event, LocalAddress,
    LookupId, PortRange, Ports, Received, RemoveLocalError, Route, SendError, ServerId, ServerUri,
    SocketId, StreamId, Timestamp, TransmitError, Transport,
};

use connection::{Connection, Progress};
pub(crate) use event_loop::{Entrance, EventLoop};
use gathering::GatheringFlags;
use host::Host;
use names::{Found, Names};
use socket::{Socket, without_scope};
use tls::Tls;

/// Room for the largest UDP datagram: one that is cut short would be lost.
pub(crate) const DATAGRAM: usize = 65_535;

/// What is taken from sockets and connections before timers have their turn again, so that a flood
/// cannot hold them up.
pub(crate) const BATCH: usize = 64;

/// The streams of the examples have one component.
pub(crate) const COMPONENT: u16 = 1;

/// An agent with its sockets and connections.
pub(crate) struct Driver {
    /// The agent, for a program that can be asked to record it. Otherwise an `IceAgent`, which has the
    /// same calls, would do.
    pub(crate) agent: Recorder,
    /// Where its sockets and connections are registered.
    events: Arc<Entrance>,
    sockets: Vec<Socket>,
    /// The ports to bind to, those that are taken among them.
    ports: Ports,
    connections: Vec<Connection>,
    servers: Vec<(ServerId, ServerUri)>,
    names: Names,
    /// A name may have been looked up.
    resolved: bool,
    tls: Tls,
    /// The socket or connection that was read last: each has its turn.
    turn: usize,
    /// What the agent writes itself.
    outgoing: Vec<u8>,
    /// What the system refused to send.
    pub(crate) unsent: Unsent,
    troubles: VecDeque<Trouble>,
}

/// Messages that the system did not take.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    pub(crate) count: u64,
    pub(crate) last: Option<io::Error>,
}

/// Why the agent did not get what it has asked for. It is told that it did not, but not why: that
/// is for people.
pub(crate) struct Trouble {
    what: String,
    why: io::Error,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
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
    pub(crate) fn new(agent: Recorder, events: &EventLoop) -> Self {
        Self {
            agent,
            events: events.entrance(),
            sockets: Vec::new(),
            ports: PortRange::ANY.ports(0),
            connections: Vec::new(),
            servers: Vec::new(),
            names: Names::new(events.entrance()),
            resolved: false,
            tls: Tls::new(false),
            turn: 0,
            outgoing: Vec::new(),
            unsent: Unsent::default(),
            troubles: VecDeque::new(),
        }
    }

    /// Adds the servers of the flags to the agent, and keeps to their ports.
    pub(crate) fn gather_by(
        &mut self,
        now: Timestamp,
        flags: &GatheringFlags,
        seed: &[u8; 32],
    ) -> Result<(), Box<dyn Error>> {
        self.servers = flags.add_to(&mut self.agent, now)?;
        self.ports = flags.ports(seed);
        self.tls = Tls::new(flags.insecure());
        Ok(())
    }

    /// What a server is called.
    pub(crate) fn server(&self, id: ServerId) -> String {
        let known = self.servers.iter().find(|(server, _)| *server == id);
        known.map_or_else(|| "a server".to_owned(), |(_, uri)| uri.to_string())
    }

    /// Opens a socket on an address of this machine, on a port that is free, and gives it to the
    /// agent.
    pub(crate) fn open(
        &mut self,
        events: &EventLoop,
        stream: StreamId,
        host: Host,
    ) -> Result<(), OpenError> {
        let mut socket = Socket::open(&self.events, host, self.ports.clone())?;
        let mut local = LocalAddress::udp(socket.local);
        local.interface = host.interface;
        socket.candidate = Some(self.agent.add_local(events.now(), stream, COMPONENT, local)?);
        self.sockets.push(socket);
        Ok(())
    }

    /// Whether there is a socket on an address of this machine.
    #[allow(dead_code, reason = "not every example loses an address")]
    pub(crate) fn uses(&self, ip: IpAddr) -> bool {
        self.sockets.iter().any(|socket| socket.is_on(ip))
    }

    /// Whether there is a socket at all.
    pub(crate) fn is_open(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// Gives up an address: its candidates are removed, its sockets closed.
    #[allow(dead_code, reason = "not every example loses an address")]
    pub(crate) fn close(&mut self, events: &EventLoop, ip: IpAddr) -> Result<(), CloseError> {
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.sockets.drain(..).partition(|socket| socket.is_on(ip));
        self.sockets = kept;
        for socket in gone {
            match socket.candidate.map(|id| self.agent.remove_local(events.now(), id)) {
                // The agent may have given it up before.
                None | Some(Ok(()) | Err(RemoveLocalError::UnknownCandidate)) => {
                    socket.close(&self.events)?;
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Notes what the last wait found.
    pub(crate) fn note_ready(&mut self, events: &EventLoop) {
        self.resolved |= events.is_woken();
        for token in events.ready() {
            self.sockets.iter_mut().for_each(|socket| socket.note_ready(token));
            self.connections.iter_mut().for_each(|connection| connection.note_ready(token));
        }
    }

    /// Hands one thing that has arrived to the agent; `None` when there is nothing left.
    ///
    /// Drain the output after each: an agent holds only so many answers.
    pub(crate) fn receive<'a>(
        &'a mut self,
        now: Timestamp,
        buffer: &'a mut [u8],
    ) -> Option<Received<'a>> {
        if self.take_name(now) {
            return Some(Received::Consumed);
        }
        let places = self.sockets.len().saturating_add(self.connections.len());
        for _ in 0..places {
            self.turn = self.turn.saturating_add(1).checked_rem(places)?;
            if let Some(socket) = self.sockets.get_mut(self.turn) {
                if let Some((len, from)) = socket.read(buffer) {
                    let (local, datagram) = (socket.local, buffer.get(..len)?);
                    let agent = &mut self.agent;
                    return Some(agent.handle_datagram(now, Transport::Udp, local, from, datagram));
                }
                continue;
            }
            let place = self.turn.checked_sub(self.sockets.len())?;
            match self.connections.get_mut(place)?.progress() {
                Progress::None => {}
                Progress::Input => {
                    let connection = self.connections.get_mut(place)?;
                    let id = connection.id;
                    let (input, taken) = connection.input();
                    let mut rest = input.get(*taken..)?;
                    let received = self.agent.handle_stream(now, id, &mut rest);
                    *taken = input.len().saturating_sub(rest.len());
                    return Some(received);
                }
                Progress::Opened(local) => {
                    let id = self.connections.get(place)?.id;
                    self.agent.connection_opened(now, id, local);
                    return Some(Received::Consumed);
                }
                Progress::Failed(why) => {
                    let id = self.lose(place, why)?;
                    self.agent.connection_failed(now, id);
                    return Some(Received::Consumed);
                }
                Progress::Closed(why) => {
                    let id = self.lose(place, why)?;
                    self.agent.connection_closed(now, id);
                    return Some(Received::Consumed);
                }
            }
        }
        None
    }

    /// Tells the agent of a name that was looked up; whether there was one.
    fn take_name(&mut self, now: Timestamp) -> bool {
        if !self.resolved {
            return false;
        }
        let Some(Found { lookup, name, addresses }) = self.names.next() else {
            self.resolved = false;
            return false;
        };
        match addresses {
            Ok(addresses) => self.agent.name_resolved(now, lookup, &addresses),
            Err(why) => self.name_failed(now, lookup, &name, why),
        }
        true
    }

    fn name_failed(&mut self, now: Timestamp, lookup: LookupId, name: &str, why: io::Error) {
        self.trouble(format!("the name {name}"), why);
        self.agent.name_failed(now, lookup);
    }

    /// A connection is no more. What is dropped leaves the event loop by itself.
    fn lose(&mut self, place: usize, why: io::Error) -> Option<ConnectionId> {
        let connection = self.connections.get(place)?;
        let (id, remote) = (connection.id, connection.remote);
        self.connections.remove(place);
        self.trouble(format!("connection to {remote}"), why);
        Some(id)
    }

    fn trouble(&mut self, what: String, why: io::Error) {
        self.troubles.push_back(Trouble { what, why });
    }

    /// What went wrong since this was asked last, for people.
    pub(crate) fn poll_trouble(&mut self) -> Option<Trouble> {
        self.troubles.pop_front()
    }

    /// Tells the agent that its deadline has come, if it has.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        if self.agent.poll_timeout().is_some_and(|at| at <= now) {
            self.agent.handle_timeout(now);
        }
    }

    /// Sees to what the agent asks for and gives its next event; when there is none, sends what it
    /// wants to be sent. To be called until it returns `None`. Events come first, since what is done
    /// about one may ride in an answer that is to be sent.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Option<Event> {
        loop {
            let Some(event) = self.agent.poll_event(now) else {
                self.transmit(now);
                if self.agent.has_event() {
                    continue;
                }
                return None;
            };
            match event {
                Event::OpenSocket { socket, ip } => self.open_wanted(now, socket, ip),
                Event::CloseSocket { socket } => self.close_wanted(socket),
                Event::OpenConnection { connection, local, remote, security } => {
                    self.connect(now, connection, local, remote, security);
                }
                Event::CloseConnection { connection } => self.disconnect(connection),
                Event::ResolveName { lookup, name } => {
                    if let Err(why) = self.names.resolve(lookup, name.clone()) {
                        self.name_failed(now, lookup, &name, why);
                    }
                }
                other => return Some(other),
            }
        }
    }

    fn transmit(&mut self, now: Timestamp) {
        loop {
            self.outgoing.clear();
            let Some(transmit) = self.agent.poll_transmit(now, &mut self.outgoing) else { break };
            let message = self.outgoing.get(transmit.range).unwrap_or_default();
            // What cannot be sent is a lost packet: the agent sends it again when its time comes.
            // `Transmit::dscp` is left out: it is an option of the socket, not of a datagram.
            let route = transmit.route;
            let sent = send_on(&self.sockets, &mut self.connections, route, &[message]);
            if let Err(error) = sent {
                if let Some(fact) = fact_of(&error) {
                    self.agent.transmit_failed(now, route, fact);
                }
                self.unsent.note(error);
            }
        }
    }

    fn open_wanted(&mut self, now: Timestamp, id: SocketId, ip: IpAddr) {
        // On a link-local address, of the same link.
        let near = self.sockets.iter().find(|socket| socket.local.ip() == ip);
        let host = Host { ip, interface: near.map_or(0, Socket::scope) };
        match Socket::open(&self.events, host, self.ports.clone()) {
            Ok(mut socket) => {
                socket.wanted = Some(id);
                self.agent.socket_opened(now, id, socket.local);
                self.sockets.push(socket);
            }
            Err(why) => {
                self.trouble(format!("another socket on {ip}"), why);
                self.agent.socket_failed(now, id);
            }
        }
    }

    fn close_wanted(&mut self, id: SocketId) {
        let place = self.sockets.iter().position(|socket| socket.wanted == Some(id));
        if let Some(Err(why)) = place.map(|place| self.sockets.remove(place).close(&self.events)) {
            self.trouble("a socket that was closed".to_owned(), why);
        }
    }

    fn connect(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        local: SocketAddr,
        remote: SocketAddr,
        security: ConnectionSecurity,
    ) {
        let near = self.sockets.iter().find(|socket| socket.local.ip() == local.ip());
        let from = (without_scope(local), near.map_or(0, Socket::scope));
        let opened = match security {
            ConnectionSecurity::Tcp => Connection::open(&self.events, id, from, remote, None),
            ConnectionSecurity::Tls { server_name } => self
                .tls
                .connect(&server_name)
                .and_then(|tls| Connection::open(&self.events, id, from, remote, Some(tls))),
            // rustls has none.
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "the examples have no DTLS")),
        };
        match opened {
            Ok(connection) => self.connections.push(connection),
            Err(why) => {
                self.trouble(format!("connection to {remote}"), why);
                self.agent.connection_failed(now, id);
            }
        }
    }

    fn disconnect(&mut self, id: ConnectionId) {
        let place = self.connections.iter().position(|connection| connection.id == id);
        if let Some(Err(why)) =
            place.map(|place| self.connections.remove(place).close(&self.events))
        {
            self.trouble("a connection that was closed".to_owned(), why);
        }
    }

    /// When the loop has to come back at the latest.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let left = self.resolved
            || self.sockets.iter().any(Socket::is_readable)
            || self.connections.iter().any(Connection::is_ready);
        // Each is reported once: what was left has to be fetched unasked.
        if left { Some(Timestamp::ZERO) } else { self.agent.poll_timeout() }
    }

    /// Whether the agent is closed and its servers know.
    pub(crate) fn is_done(&self) -> bool {
        self.agent.state() == ConnectionState::Closed && self.agent.poll_timeout().is_none()
    }

    /// Sends application data where the agent says.
    pub(crate) fn send(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        payload: &[u8],
    ) -> Result<(), DataError> {
        let out = self.agent.send(now, stream, COMPONENT, payload)?;
        let parts = [out.head(), out.payload(), out.padding()];
        match send_on(&self.sockets, &mut self.connections, out.route, &parts) {
            // A full socket buffer is a full queue on the way: the packet is lost.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unsent.note(error);
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

impl Unsent {
    fn note(&mut self, error: io::Error) {
        self.count = self.count.saturating_add(1);
        self.last = Some(error);
    }
}

/// Sends the parts as one message, without putting them together first.
fn send_on(
    sockets: &[Socket],
    connections: &mut [Connection],
    route: Route,
    parts: &[&[u8]],
) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); 3];
    slices.iter_mut().zip(parts).for_each(|(slice, part)| *slice = IoSlice::new(part));
    match route {
        Route::Datagram { local, remote, .. } => {
            let socket = sockets.iter().find(|socket| socket.local == local);
            socket.ok_or_else(|| not_there("socket on that address"))?.send(&slices, remote)
        }
        Route::Stream(id) => {
            let connection = connections.iter_mut().find(|connection| connection.id == id);
            connection.ok_or_else(|| not_there("such connection"))?.send(&slices)
        }
    }
}

fn not_there(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {what}"))
}

/// What an error says about a route, for as long as it lasts.
fn fact_of(error: &io::Error) -> Option<TransmitError> {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Some(TransmitError::Unreachable)
        }
        io::ErrorKind::PermissionDenied => Some(TransmitError::NotPermitted),
        _ if error.raw_os_error() == Some(libc::EMSGSIZE) => Some(TransmitError::TooLarge),
        _ => None,
    }
}
