//! One core: a thread with a `Mux`, a socket, and the connections of its sessions.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use frazil::{
    AgentConfig, Candidate, ConnectionId, ConnectionState, Event, GatheringState, IceAgent,
    LocalAddress, Mux, MuxConfig, MuxReceived, Received, Role, Route, SessionId, Timestamp,
    Transport, UfragPrefix,
};
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::driver::{BATCH, COMPONENT, DATAGRAM, words};
use crate::options::Options;
use crate::say;
use crate::signalling::{Announced, ParametersLine};
use crate::streams::{Brought, Streams};

const SOCKET: Token = Token(0);
const POST: Token = Token(1);
/// From here on connections.
const LISTENER: Token = Token(2);

/// What a thread is asked to do by others.
pub(crate) enum Order {
    /// A line for one of its sessions, or for a new one.
    Line { session: String, line: String },
    /// A datagram that arrived at another thread's socket.
    Datagram { from: SocketAddr, bytes: Vec<u8> },
    /// A connection that another thread has accepted, and not read from.
    Connection { from: SocketAddr, tcp: TcpStream },
    /// The end.
    End,
}

/// Where orders for a thread are left.
#[derive(Clone)]
pub(crate) struct Post {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

impl Post {
    pub(crate) fn send(&self, order: Order) {
        // A thread that has ended needs no orders any more.
        if self.orders.send(order).is_ok() {
            self.waker.wake().ok();
        }
    }
}

/// Which core has the session of a selected pair, by the remote address.
#[derive(Clone, Default)]
pub(crate) struct Directory(Arc<RwLock<BTreeMap<SocketAddr, usize>>>);

impl Directory {
    fn get(&self, remote: SocketAddr) -> Option<usize> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&remote).copied()
    }

    /// Whether the address is this core's now. One that another core has stays there: a check
    /// proves that its sender knows a password, and not where it is.
    fn enter(&self, remote: SocketAddr, core: usize) -> bool {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *entries.entry(remote).or_insert(core) == core
    }

    fn leave(&self, remote: SocketAddr, core: usize) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.get(&remote) == Some(&core) {
            entries.remove(&remote);
        }
    }
}

/// A session as its lines see it.
struct Session {
    name: String,
    announced: Announced,
    /// Where its peer is.
    remote: Option<SocketAddr>,
    /// That is in the directory.
    entered: bool,
}

impl Session {
    /// Its peer was heard from an address: that is to be in the directory, if it is the selected one.
    fn enter(&mut self, from: SocketAddr, directory: &Directory, core: usize) {
        if let Some(remote) = self.remote.filter(|&remote| !self.entered && remote == from) {
            self.entered = directory.enter(remote, core);
        }
    }
}

/// Seeds of which no two are the same, on whatever core.
struct Seeds {
    seed: [u8; 32],
    core: u64,
    given: u64,
}

impl Seeds {
    fn next(&mut self) -> [u8; 32] {
        let own = [self.core, self.given].map(u64::to_be_bytes).concat();
        let mut seed = self.seed;
        for (byte, own) in seed.iter_mut().zip(own) {
            *byte ^= own;
        }
        self.given += 1;
        seed
    }
}

pub(crate) struct Core {
    number: usize,
    mux: Mux,
    socket: UdpSocket,
    local: SocketAddr,
    streams: Streams,
    directory: Directory,
    sessions: BTreeMap<SessionId, Session>,
    names: BTreeMap<String, SessionId>,
    seeds: Seeds,
    echo: bool,
    start: Instant,
    poll: Poll,
    orders: Receiver<Order>,
    post: Post,
}

impl Core {
    pub(crate) fn new(
        number: usize,
        socket: UdpSocket,
        listener: Option<TcpListener>,
        options: &Options,
        start: Instant,
        directory: Directory,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), POST)?);
        let (sender, orders) = channel();
        let local = socket.local_addr()?;
        let mut seeds = Seeds { seed: options.seed, core: number as u64, given: 0 };
        Ok(Self {
            number,
            mux: Mux::new(MuxConfig::default(), seeds.next()),
            socket,
            local,
            streams: Streams::new(listener, LISTENER),
            directory,
            sessions: BTreeMap::new(),
            names: BTreeMap::new(),
            seeds,
            echo: options.echo,
            start,
            poll,
            orders,
            post: Post { orders: sender, waker },
        })
    }

    pub(crate) fn post(&self) -> Post {
        self.post.clone()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_duration(self.start.elapsed())
    }

    /// Until it is told to end.
    pub(crate) fn run(mut self, posts: &[Post]) -> io::Result<()> {
        use std::os::fd::AsRawFd as _;
        let fd = self.socket.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&fd), SOCKET, Interest::READABLE)?;
        self.streams.register(self.poll.registry())?;
        let mut events = Events::with_capacity(16);
        let mut buffer = vec![0; DATAGRAM];
        let mut bytes = Vec::new();
        let mut readable = true;
        loop {
            self.settle()?;
            let wait = match self.mux.poll_timeout() {
                _ if readable || self.streams.is_ready() => Some(std::time::Duration::ZERO),
                deadline => deadline.map(|at| at - self.now()),
            };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            for event in &events {
                readable |= event.token() == SOCKET;
                self.streams.note_ready(event.token());
            }
            if self.take_orders()? {
                return Ok(());
            }
            if readable {
                readable = self.take_datagrams(&mut buffer, posts)?;
            }
            self.take_connections();
            self.take_bytes(&mut bytes, posts)?;
            self.mux.handle_timeout(self.now());
        }
    }

    /// Whether it is the end.
    fn take_orders(&mut self) -> io::Result<bool> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Line { session, line } => self.take_line(session, &line)?,
                Order::Datagram { from, bytes } => self.deliver(from, &bytes)?,
                Order::Connection { from, tcp } => self.take_connection(tcp, from),
                Order::End => return Ok(true),
            }
            self.settle()?;
        }
        Ok(false)
    }

    /// Whether there may be more.
    fn take_datagrams(&mut self, buffer: &mut [u8], posts: &[Post]) -> io::Result<bool> {
        for _ in 0..BATCH {
            match self.socket.recv_from(buffer) {
                Ok((len, from)) => {
                    let bytes = &buffer[..len];
                    let home = core_named_by(bytes).or_else(|| self.directory.get(from));
                    match home.filter(|&home| home != self.number).and_then(|home| posts.get(home))
                    {
                        Some(post) => post.send(Order::Datagram { from, bytes: bytes.to_vec() }),
                        None => self.deliver(from, bytes)?,
                    }
                    self.settle()?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // An ICMP message about something sent before.
                Err(_) => {}
            }
        }
        Ok(true)
    }

    fn deliver(&mut self, from: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let now = self.now();
        let received = self.mux.handle_datagram(now, Transport::Udp, self.local, from, bytes);
        let MuxReceived::Session(id, received) = received else { return Ok(()) };
        if let Some(session) = self.sessions.get_mut(&id) {
            session.enter(from, &self.directory, self.number);
        }
        if let Received::Data { payload, .. } = received {
            self.take_data(id, payload)?;
        }
        Ok(())
    }

    fn take_data(&mut self, id: SessionId, payload: &[u8]) -> io::Result<()> {
        let Some(session) = self.sessions.get(&id) else { return Ok(()) };
        let text = one_line(&String::from_utf8_lossy(payload));
        say(format_args!("{} recv {text}", session.name))?;
        if self.echo {
            // What cannot be sent back is a lost packet.
            self.send(id, payload).ok();
        }
        Ok(())
    }

    /// Takes what others have opened.
    fn take_connections(&mut self) {
        for _ in 0..BATCH {
            let Some((tcp, from)) = self.streams.accept() else { return };
            self.take_connection(tcp, from);
        }
    }

    /// A connection that is refused is dropped, and closed by that.
    fn take_connection(&mut self, tcp: TcpStream, from: SocketAddr) {
        let Some(local) = self.streams.local() else { return };
        let Ok(id) = self.mux.connection_accepted(self.now(), local, from) else { return };
        if self.streams.add(self.poll.registry(), id, tcp, from).is_err() {
            self.mux.connection_closed(self.now(), id);
        }
    }

    /// Reads from connections that have something.
    fn take_bytes(&mut self, buffer: &mut Vec<u8>, posts: &[Post]) -> io::Result<()> {
        for _ in 0..BATCH {
            let Some((id, brought)) = self.streams.read(self.number, buffer) else { return Ok(()) };
            match brought {
                Brought::Nothing => {}
                Brought::Bytes(len) => self.take_stream(id, &buffer[..len])?,
                Brought::Elsewhere(home) => {
                    let moved = self.lose(id);
                    if let (Some(post), Some((tcp, from))) = (posts.get(home), moved) {
                        post.send(Order::Connection { from, tcp });
                    }
                }
                Brought::End => drop(self.lose(id)),
            }
            self.settle()?;
        }
        Ok(())
    }

    fn take_stream(&mut self, id: ConnectionId, mut input: &[u8]) -> io::Result<()> {
        while !input.is_empty() {
            let received = self.mux.handle_stream(self.now(), id, &mut input);
            if let MuxReceived::Session(session, Received::Data { payload, .. }) = received {
                // It may be lent by the `Mux`, which is about to be asked to send.
                let payload = payload.to_vec();
                self.take_data(session, &payload)?;
            }
        }
        Ok(())
    }

    /// A connection is gone, for this core.
    fn lose(&mut self, id: ConnectionId) -> Option<(TcpStream, SocketAddr)> {
        self.mux.connection_closed(self.now(), id);
        self.streams.remove(self.poll.registry(), id)
    }

    /// Sends a frame.
    fn write(&mut self, id: ConnectionId, parts: &[&[u8]]) {
        if self.streams.write(id, parts).is_err() {
            self.lose(id);
        }
    }

    fn send(&mut self, id: SessionId, payload: &[u8]) -> Result<(), Box<dyn Error>> {
        let now = self.now();
        let out = self.mux.with(now, id, |agent| {
            let stream = agent.streams().next();
            stream.map(|stream| agent.send(now, stream, COMPONENT, payload))
        });
        let out = out.flatten().ok_or("the session is gone")??;
        match out.route {
            Route::Datagram { remote, .. } => {
                self.socket.send_to(out.payload(), remote)?;
            }
            Route::Stream(id) => self.write(id, &[out.head(), out.payload(), out.padding()]),
        }
        Ok(())
    }

    /// Tells and sends all there is: events first, so that a peer which learns from an answer that
    /// it is connected finds its address in the directory.
    fn settle(&mut self) -> io::Result<()> {
        let mut buf = Vec::new();
        loop {
            let now = self.now();
            buf.clear();
            if let Some((id, event)) = self.mux.poll_event(now) {
                self.tell(id, event)?;
            } else if let Some((_, transmit)) = self.mux.poll_transmit(now, &mut buf) {
                let bytes = &buf[transmit.range];
                match transmit.route {
                    // What cannot be sent is a lost packet.
                    Route::Datagram { remote, .. } => drop(self.socket.send_to(bytes, remote)),
                    Route::Stream(id) => self.write(id, &[bytes]),
                }
            } else if let Some(id) = self.mux.poll_close() {
                self.streams.remove(self.poll.registry(), id);
            } else {
                return Ok(());
            }
        }
    }

    fn tell(&mut self, id: SessionId, event: Event) -> io::Result<()> {
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        let name = &session.name;
        match event {
            Event::LocalCandidate { candidate, .. } => {
                say(format_args!("{name} candidate {candidate}"))
            }
            Event::GatheringState(GatheringState::Complete) => {
                say(format_args!("{name} end-of-candidates"))
            }
            Event::ConnectionState(state) => {
                let silent =
                    matches!(state, ConnectionState::Disconnected | ConnectionState::Failed);
                if let Some(remote) = session.remote.filter(|_| silent) {
                    session.entered = false;
                    self.directory.leave(remote, self.number);
                }
                say(format_args!("{name} state {}", words::state(state)))
            }
            Event::RoleChanged(role) => say(format_args!("{name} role {}", words::role(role))),
            Event::SelectedPair { local, remote, .. } => {
                if let Some(old) = session.remote.replace(remote.addr) {
                    self.directory.leave(old, self.number);
                }
                let transport = local.transport;
                // A connection stays with its core, and needs no directory.
                session.entered =
                    transport == Transport::Tcp || self.directory.enter(remote.addr, self.number);
                let path = if transport == Transport::Tcp { "tcp" } else { "udp" };
                say(format_args!(
                    "{name} selected {} {} {} {} {path}",
                    local.addr, remote.addr, local.kind, remote.kind
                ))
            }
            Event::RemoteRestart { .. } => self.begin_generation(id),
            Event::CloseConnection { connection } => {
                self.streams.remove(self.poll.registry(), connection);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells what the other side has to know of this generation, then gathers.
    fn begin_generation(&mut self, id: SessionId) -> io::Result<()> {
        let now = self.now();
        let parameters = self.mux.with(now, id, |agent| {
            agent.gather(now);
            agent.local_parameters()
        });
        let (Some(parameters), Some(session)) = (parameters, self.sessions.get(&id)) else {
            return Ok(());
        };
        let (name, credentials) = (&session.name, &parameters.credentials);
        say(format_args!("{name} {}", ParametersLine(&parameters)))?;
        say(format_args!("{name} credentials {} {}", credentials.ufrag(), credentials.pwd()))
    }

    fn take_line(&mut self, name: String, line: &str) -> io::Result<()> {
        let done = match self.names.get(&name) {
            Some(&id) => self.obey(id, line),
            None => self.open(name.clone()).and_then(|id| self.obey(id, line)),
        };
        match done {
            Err(error) => say(format_args!("{name} error {}", one_line(&error.to_string()))),
            Ok(()) => Ok(()),
        }
    }

    /// Makes a session.
    fn open(&mut self, name: String) -> Result<SessionId, Box<dyn Error>> {
        let mut config = AgentConfig::new(Role::Controlled);
        config.lite = true;
        config.loopback = self.local.ip().is_loopback();
        config.ufrag_prefix = prefix_of(self.number)?;
        let agent = IceAgent::new(config, self.seeds.next())?;
        let now = self.now();
        let id = self.mux.insert(now, agent)?;
        let stream = self.mux.agent(id).and_then(|agent| agent.streams().next());
        let stream = stream.ok_or("an agent without a stream")?;
        let tcp = self.streams.local().map(LocalAddress::tcp_passive);
        for local in [LocalAddress::udp(self.local)].into_iter().chain(tcp) {
            self.mux
                .with(now, id, |agent| agent.add_local(now, stream, COMPONENT, local))
                .transpose()?;
        }
        let role = words::role(Role::Controlled);
        say(format_args!("{name} role {role}"))?;
        self.names.insert(name.clone(), id);
        self.sessions.insert(
            id,
            Session { name, announced: Announced::default(), remote: None, entered: false },
        );
        self.begin_generation(id)?;
        Ok(id)
    }

    /// Does what a line says.
    fn obey(&mut self, id: SessionId, line: &str) -> Result<(), Box<dyn Error>> {
        let now = self.now();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let session = self.sessions.get_mut(&id).ok_or("the session is gone")?;
        match word {
            "parameters" => session.announced = Announced::parse(rest)?,
            "credentials" => {
                let announced = std::mem::take(&mut session.announced);
                let parameters = announced.with_credentials(rest)?;
                self.mux.with(now, id, |agent| agent.set_remote(now, parameters)).transpose()?;
            }
            "candidate" => {
                let candidate: Candidate = rest.parse()?;
                self.mux
                    .with(now, id, |agent| {
                        let stream = agent.streams().next();
                        stream.map(|stream| agent.add_remote_candidate(now, stream, &candidate))
                    })
                    .flatten()
                    .transpose()?;
            }
            "end-of-candidates" => {
                self.mux.with(now, id, |agent| agent.end_of_remote_candidates(now, None));
            }
            "send" => self.send(id, rest.as_bytes())?,
            "restart" => {
                self.mux.with(now, id, |agent| agent.prepare_restart(now)).transpose()?;
                self.begin_generation(id)?;
            }
            "close" => self.close(id)?,
            // Nothing but the name: a session that waits for its peer. And what the other side
            // reports, when all of its lines come here.
            "" | "role" | "state" | "selected" | "recv" | "error" | "why" | "stats" => {}
            _ => return Err(format!("unknown line: {line}").into()),
        }
        Ok(())
    }

    fn close(&mut self, id: SessionId) -> io::Result<()> {
        self.mux.remove(id);
        let Some(session) = self.sessions.remove(&id) else { return Ok(()) };
        self.names.remove(&session.name);
        if let Some(remote) = session.remote {
            self.directory.leave(remote, self.number);
        }
        say(format_args!("{} state closed", session.name))
    }
}

/// The number of a core in the two characters that its username fragments start with.
fn prefix_of(core: usize) -> Result<UfragPrefix, frazil::CredentialsError> {
    UfragPrefix::new(&format!("{:02x}", core % 256))
}

/// The core that a check names: the username fragment that it is sent to starts with its number.
/// A wrong guess of a malicious sender costs one look-up in another `Mux`.
pub(crate) fn core_named_by(bytes: &[u8]) -> Option<usize> {
    // A Binding request (RFC 8489 §5) whose first attribute is USERNAME, which is where every ICE
    // implementation has it; others are found by going on.
    if !bytes.starts_with(&[0, 1]) || bytes.get(4..8)? != [0x21, 0x12, 0xa4, 0x42] {
        return None;
    }
    let mut rest = bytes.get(20..)?;
    loop {
        let (head, body) = rest.split_at_checked(4)?;
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = body.get(..len)?;
        if head[..2] == [0, 6] {
            let prefix = std::str::from_utf8(value.get(..2)?).ok()?;
            return usize::from_str_radix(prefix, 16).ok();
        }
        rest = body.get(len.next_multiple_of(4)..)?;
    }
}

/// The text with its control characters escaped, so that it stays one line.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}
