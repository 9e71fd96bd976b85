//! One core: a thread with a `Mux` and a socket.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use frazil::{
    AgentConfig, Candidate, ConnectionState, Event, GatheringState, IceAgent, LocalAddress, Mux,
    MuxConfig, MuxReceived, Received, Role, SessionId, Timestamp, Transport, UfragPrefix,
};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::driver::{BATCH, COMPONENT, DATAGRAM, words};
use crate::options::Options;
use crate::say;
use crate::signalling::{Announced, ParametersLine};

const SOCKET: Token = Token(0);
const POST: Token = Token(1);

/// What a thread is asked to do by others.
pub(crate) enum Order {
    /// A line for one of its sessions, or for a new one.
    Line { session: String, line: String },
    /// A datagram that arrived at another thread's socket.
    Datagram { from: SocketAddr, bytes: Vec<u8> },
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
        let mut events = Events::with_capacity(16);
        let mut buffer = vec![0; DATAGRAM];
        let mut readable = true;
        loop {
            self.settle()?;
            let wait = match self.mux.poll_timeout() {
                _ if readable => Some(std::time::Duration::ZERO),
                deadline => deadline.map(|at| at - self.now()),
            };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            readable |= events.iter().any(|event| event.token() == SOCKET);
            if self.take_orders()? {
                return Ok(());
            }
            if readable {
                readable = self.take_datagrams(&mut buffer, posts)?;
            }
            self.mux.handle_timeout(self.now());
        }
    }

    /// Whether it is the end.
    fn take_orders(&mut self) -> io::Result<bool> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Line { session, line } => self.take_line(session, &line)?,
                Order::Datagram { from, bytes } => self.deliver(from, &bytes)?,
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
        let Some(session) = self.sessions.get_mut(&id) else { return Ok(()) };
        if let Some(remote) = session.remote.filter(|&remote| !session.entered && remote == from) {
            session.entered = self.directory.enter(remote, self.number);
        }
        if let Received::Data { payload, .. } = received {
            let text = one_line(&String::from_utf8_lossy(payload));
            say(format_args!("{} recv {text}", session.name))?;
            if self.echo {
                // What cannot be sent back is a lost packet.
                self.send(id, payload).ok();
            }
        }
        Ok(())
    }

    fn send(&mut self, id: SessionId, payload: &[u8]) -> Result<(), Box<dyn Error>> {
        let now = self.now();
        let out = self.mux.with(now, id, |agent| {
            let stream = agent.streams().next();
            stream.map(|stream| agent.send(now, stream, COMPONENT, payload))
        });
        let out = out.flatten().ok_or("the session is gone")??;
        if let frazil::Route::Datagram { remote, .. } = out.route {
            self.socket.send_to(out.payload(), remote)?;
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
                if let frazil::Route::Datagram { remote, .. } = transmit.route {
                    // What cannot be sent is a lost packet.
                    self.socket.send_to(&buf[transmit.range], remote).ok();
                }
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
                session.entered = self.directory.enter(remote.addr, self.number);
                say(format_args!(
                    "{name} selected {} {} {} {} udp",
                    local.addr, remote.addr, local.kind, remote.kind
                ))
            }
            Event::RemoteRestart { .. } => self.begin_generation(id),
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
        let (now, local) = (self.now(), LocalAddress::udp(self.local));
        let id = self.mux.insert(now, agent)?;
        let stream = self.mux.agent(id).and_then(|agent| agent.streams().next());
        let stream = stream.ok_or("an agent without a stream")?;
        self.mux
            .with(now, id, |agent| agent.add_local(now, stream, COMPONENT, local))
            .transpose()?;
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
fn core_named_by(bytes: &[u8]) -> Option<usize> {
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
