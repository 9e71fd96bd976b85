//! How to embed an agent: sockets, a clock and the loop between them, shared by the examples.
//!
//! An agent does no I/O. Its driver owes it four things, and they are all that is here:
//!
//! 1. everything that arrives: datagrams with the address that they arrived on, bytes of
//!    connections ([`Driver::receive`]);
//! 2. a call when its deadline has come ([`Driver::expire`]);
//! 3. after each of these, and after every other call, everything that it wants to be sent and
//!    to be known ([`Driver::poll`], until it returns `None`);
//! 4. what it asks for meanwhile: sockets, connections, names and the addresses of names, which `poll`
//!    sees to by itself.
//!
//! Between them the thread sleeps in [`EventLoop::wait`]. An agent that was closed still takes
//! leave of its servers: the loop goes on until [`Driver::is_done`].

mod connection;
mod errors;
mod event_loop;
pub(crate) mod gathering;
pub(crate) mod host;
mod listener;
mod local_names;
mod multicast;
mod names;
pub(crate) mod seed;
mod socket;
mod tls;
pub(crate) mod words;

use std::collections::VecDeque;
use std::error::Error;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use frazil::replay::Recorder;
use frazil::{
    CandidateId, ConnectionId, ConnectionSecurity, ConnectionState, Event, LocalAddress, LookupId,
    PortRange, Ports, Received, RemoveLocalError, Route, ServerHost, ServerId, ServerUri, SocketId,
    StreamId, Timestamp, Transport,
};
use mio::net::TcpStream;

use connection::{Connection, Progress};
#[allow(unused_imports, reason = "not every example names them all")]
pub(crate) use errors::{CloseError, DataError, OpenError, Trouble, Unsent};
use errors::{fact_of, not_there};
pub(crate) use event_loop::{Entrance, EventLoop};
use gathering::{GatheringFlags, HostTransports};
use host::Host;
use listener::Listener;
use local_names::{Answer, LocalNames};
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
    /// The addresses in use.
    hosts: Vec<Place>,
    /// What is opened on each.
    transports: HostTransports,
    sockets: Vec<Socket>,
    listeners: Vec<Listener>,
    /// The ports to bind to, those that are taken among them.
    ports: Ports,
    connections: Vec<Connection>,
    servers: Vec<(ServerId, ServerUri)>,
    names: Names,
    local_names: LocalNames,
    /// A name may have been looked up.
    resolved: bool,
    tls: Tls,
    /// The socket, listener or connection that was read last: each has its turn.
    turn: usize,
    /// What the agent writes itself.
    outgoing: Vec<u8>,
    /// What the system refused to send.
    pub(crate) unsent: Unsent,
    troubles: VecDeque<Trouble>,
}

/// An address in use, and what it is to the agent.
struct Place {
    host: Host,
    candidates: Vec<CandidateId>,
}

impl Driver {
    pub(crate) fn new(agent: Recorder, events: &EventLoop) -> Self {
        Self {
            agent,
            events: events.entrance(),
            hosts: Vec::new(),
            transports: HostTransports::default(),
            sockets: Vec::new(),
            listeners: Vec::new(),
            ports: PortRange::ANY.ports(0),
            connections: Vec::new(),
            servers: Vec::new(),
            names: Names::new(events.entrance()),
            local_names: LocalNames::new(events.entrance(), [0; 32]),
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
        self.transports = flags.host_transports(self.agent.local_parameters().lite);
        self.local_names = LocalNames::new(Arc::clone(&self.events), seed.map(|byte| !byte));
        Ok(())
    }

    /// What a server is called.
    pub(crate) fn server(&self, id: ServerId) -> String {
        let known = self.servers.iter().find(|(server, _)| *server == id);
        known.map_or_else(|| "a server".to_owned(), |(_, uri)| uri.to_string())
    }

    /// Opens what there is to be on an address of this machine, on ports that are free, and gives it to
    /// the agent.
    pub(crate) fn open(
        &mut self,
        events: &EventLoop,
        stream: StreamId,
        host: Host,
    ) -> Result<(), OpenError> {
        let HostTransports { udp, tcp_passive, tcp_active } = self.transports;
        let ports = || self.ports.clone();
        let socket = udp.then(|| Socket::open(&self.events, host, ports())).transpose()?;
        let listener =
            tcp_passive.then(|| Listener::open(&self.events, host, ports())).transpose()?;
        if let Some(socket) = socket {
            self.add(events, stream, host, LocalAddress::udp(socket.local))?;
            self.sockets.push(socket);
        }
        if let Some(listener) = listener {
            self.add(events, stream, host, LocalAddress::tcp_passive(listener.local))?;
            self.listeners.push(listener);
        }
        if tcp_active {
            self.add(events, stream, host, LocalAddress::tcp_active(host.ip))?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        events: &EventLoop,
        stream: StreamId,
        host: Host,
        mut local: LocalAddress,
    ) -> Result<(), OpenError> {
        local.interface = host.interface;
        let candidate = self.agent.add_local(events.now(), stream, COMPONENT, local)?;
        if let Some(place) = self.hosts.iter_mut().find(|place| place.host == host) {
            place.candidates.push(candidate);
            return Ok(());
        }
        self.hosts.push(Place { host, candidates: vec![candidate] });
        if let Err(why) = self.local_names.add_host(host.ip) {
            self.trouble(format!("names on {}", host.ip), why);
        }
        Ok(())
    }

    /// Whether an address of this machine is in use.
    #[allow(dead_code, reason = "not every example loses an address")]
    pub(crate) fn uses(&self, ip: IpAddr) -> bool {
        self.hosts.iter().any(|place| place.host.ip.to_canonical() == ip.to_canonical())
    }

    /// Whether any address is in use.
    pub(crate) fn is_open(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// Gives up an address: its candidates are removed, its sockets closed, its name taken back.
    #[allow(dead_code, reason = "not every example loses an address")]
    pub(crate) fn close(&mut self, events: &EventLoop, ip: IpAddr) -> Result<(), CloseError> {
        let now = events.now();
        let is_gone = |place: &Place| place.host.ip.to_canonical() == ip.to_canonical();
        let gone = self.hosts.iter().filter(|place| is_gone(place));
        for &candidate in gone.flat_map(|place| &place.candidates) {
            match self.agent.remove_local(now, candidate) {
                // The agent may have given it up before.
                Ok(()) | Err(RemoveLocalError::UnknownCandidate) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.hosts.retain(|place| !is_gone(place));
        self.local_names.remove_host(now, ip);
        let (gone, kept): (Vec<_>, Vec<_>) =
            self.sockets.drain(..).partition(|socket| socket.is_on(ip));
        self.sockets = kept;
        let (deaf, kept): (Vec<_>, Vec<_>) =
            self.listeners.drain(..).partition(|listener| listener.is_on(ip));
        self.listeners = kept;
        gone.into_iter().try_for_each(|socket| socket.close(&self.events))?;
        Ok(deaf.into_iter().try_for_each(|listener| listener.close(&self.events))?)
    }

    /// Notes what the last wait found.
    pub(crate) fn note_ready(&mut self, events: &EventLoop) {
        self.resolved |= events.is_woken();
        for token in events.ready() {
            self.local_names.note_ready(token);
            self.sockets.iter_mut().for_each(|socket| socket.note_ready(token));
            self.listeners.iter_mut().for_each(|listener| listener.note_ready(token));
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
        if self.take_name(now) || self.local_names.receive(now) {
            return Some(Received::Consumed);
        }
        let sockets = self.sockets.len();
        let servers = sockets.saturating_add(self.listeners.len());
        let places = servers.saturating_add(self.connections.len());
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
            if let Some(listener) = self.listeners.get_mut(self.turn.checked_sub(sockets)?) {
                let local = listener.local;
                if let Some((stream, remote)) = listener.accept() {
                    self.accept(now, stream, local, remote);
                    return Some(Received::Consumed);
                }
                continue;
            }
            let place = self.turn.checked_sub(servers)?;
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
                Progress::Opened => {
                    let id = self.connections.get(place)?.id;
                    self.agent.connection_opened(now, id);
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

    /// Tells the agent of the names of multicast DNS whose address is known by now, or will not be.
    fn take_local_names(&mut self, now: Timestamp) {
        while let Some(Answer { lookup, name, address }) = self.local_names.next() {
            match address {
                Ok(address) => self.agent.name_resolved(now, lookup, &[address]),
                Err(why) => self.name_failed(now, lookup, &name, why),
            }
        }
    }

    fn name_failed(&mut self, now: Timestamp, lookup: LookupId, name: &str, why: io::Error) {
        self.trouble(format!("the name {name}"), why);
        self.agent.name_failed(now, lookup);
    }

    /// A connection is no more. What is dropped leaves the event loop by itself.
    fn lose(&mut self, place: usize, why: io::Error) -> Option<ConnectionId> {
        let connection = self.connections.get(place)?;
        let (id, remote, accepted) = (connection.id, connection.remote, connection.accepted);
        self.connections.remove(place);
        if !accepted {
            self.trouble(format!("connection to {remote}"), why);
        }
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
        self.local_names.expire(now);
    }

    /// Sees to what the agent asks for and gives its next event; when there is none, sends what it
    /// wants to be sent. To be called until it returns `None`. Events come first, since what is done
    /// about one may ride in an answer that is to be sent.
    pub(crate) fn poll(&mut self, now: Timestamp) -> Option<Event> {
        loop {
            self.take_local_names(now);
            let Some(event) = self.agent.poll_event(now) else {
                self.transmit(now);
                if self.agent.state() == ConnectionState::Closed {
                    self.local_names.leave(now);
                }
                self.local_names.transmit(now);
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
                Event::ResolveName { lookup, name } => self.resolve(now, lookup, &name),
                Event::PublishName { name, ip } => {
                    if let Err(why) = self.local_names.publish(now, name, ip) {
                        self.trouble(format!("a name for {ip}"), why);
                    }
                }
                Event::WithdrawName { name } => self.local_names.withdraw(now, &name),
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

    /// The system is asked for servers alone: a name that the peer has made up is none of its business
    /// (draft-ietf-rtcweb-mdns-ice-candidates-04 §3.2.2).
    fn resolve(&mut self, now: Timestamp, lookup: LookupId, name: &str) {
        let is_server = |(_, uri): &(ServerId, ServerUri)| matches!(uri.host(), ServerHost::Name(host) if host.as_str() == name);
        let asked = if self.servers.iter().any(is_server) {
            self.names.resolve(lookup, name.to_owned())
        } else {
            self.local_names.resolve(now, lookup, name)
        };
        if let Err(why) = asked {
            self.name_failed(now, lookup, name, why);
        }
    }

    /// An address of this machine as a place to bind to: on a link-local one, of the link that is in
    /// use.
    fn host(&self, ip: IpAddr) -> Host {
        let known = self.hosts.iter().map(|place| place.host).find(|host| host.ip == ip);
        known.unwrap_or(Host { ip, interface: 0 })
    }

    fn open_wanted(&mut self, now: Timestamp, id: SocketId, ip: IpAddr) {
        let host = self.host(ip);
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
        let from = (without_scope(local), self.host(local.ip()).scope());
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

    /// Somebody has connected. What the agent does not take is closed by being dropped.
    fn accept(&mut self, now: Timestamp, tcp: TcpStream, local: SocketAddr, remote: SocketAddr) {
        let Ok(id) = self.agent.connection_accepted(now, local, remote) else { return };
        match Connection::accepted(&self.events, id, tcp, remote) {
            Ok(connection) => self.connections.push(connection),
            Err(why) => {
                self.trouble(format!("connection from {remote}"), why);
                self.agent.connection_closed(now, id);
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
            || self.listeners.iter().any(Listener::is_readable)
            || self.connections.iter().any(Connection::is_ready);
        // Each is reported once: what was left has to be fetched unasked.
        if left {
            return Some(Timestamp::ZERO);
        }
        [self.agent.poll_timeout(), self.local_names.deadline()].into_iter().flatten().min()
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
