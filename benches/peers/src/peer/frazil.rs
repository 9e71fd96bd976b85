//! `frazil`, driven as its README does.

use std::net::SocketAddr;
use std::time::Duration;

use frazil::{
    AgentConfig, Candidate, CandidateView, ConnectionState, Event, IceAgent, LocalAddress,
    Parameters, Received, Role, Route, StreamId, Timestamp, Transport, fuzzing,
};

use super::{Codec, Credentials, Description, Path, Peer, Reflexive, Verdict};

/// With this Ta in milliseconds, of which 50 is the default.
pub struct Frazil<const TA: u64 = 50> {
    agent: IceAgent,
    stream: StreamId,
    connected: bool,
    selected: Option<Path>,
    buf: Vec<u8>,
}

fn timestamp(now: Duration) -> Timestamp {
    Timestamp::from_duration(now)
}

fn path(route: Route) -> Path {
    match route {
        Route::Datagram { local, remote, .. } => Path { local, remote },
        Route::Stream(_) => unreachable!("there are no stream connections"),
    }
}

fn config(controlling: bool) -> AgentConfig {
    let role = if controlling { Role::Controlling } else { Role::Controlled };
    let mut config = AgentConfig::new(role);
    config.credentials = Some(credentials(Credentials::of(controlling)));
    config
}

fn credentials(from: Credentials) -> frazil::Credentials {
    frazil::Credentials::new(from.ufrag, from.pwd).expect("they keep to RFC 8839")
}

fn between(local: CandidateView, remote: CandidateView) -> Path {
    Path { local: local.base, remote: remote.addr }
}

impl<const TA: u64> Frazil<TA> {
    fn with_config(config: AgentConfig, seed: u8) -> Self {
        let agent = IceAgent::new(config, [seed; 32]).expect("the configuration is valid");
        let stream = agent.streams().next().expect("an agent starts with a stream");
        Self { agent, stream, connected: false, selected: None, buf: Vec::with_capacity(2048) }
    }
}

impl<const TA: u64> Peer for Frazil<TA> {
    type Candidate = Candidate;
    type Agent = IceAgent;
    type Codec = FrazilCodec;

    fn codec() -> FrazilCodec {
        FrazilCodec::new()
    }

    fn new(controlling: bool, seed: u8) -> Self {
        let mut config = config(controlling);
        config.timing.ta = Duration::from_millis(TA);
        Self::with_config(config, seed)
    }

    fn add_local(
        &mut self,
        now: Duration,
        hosts: &[SocketAddr],
        reflexive: &[Reflexive],
    ) -> Description<Candidate> {
        let now = timestamp(now);
        for host in hosts {
            let local = LocalAddress::udp(*host);
            self.agent.add_local(now, self.stream, 1, local).expect("the address is new");
        }
        for Reflexive { addr, base } in reflexive {
            let local = LocalAddress::reflexive(*addr, *base, addr.ip());
            self.agent.add_local(now, self.stream, 1, local).expect("the address is new");
        }
        self.agent.gather(now);
        let mut candidates = Vec::with_capacity(hosts.len() + reflexive.len());
        while let Some(event) = self.agent.poll_event(now) {
            if let Event::LocalCandidate { candidate, .. } = event {
                candidates.push(candidate);
            }
        }
        let role = self.agent.role() == Role::Controlling;
        Description { credentials: Credentials::of(role), candidates }
    }

    fn told(addr: SocketAddr, priority: u32) -> Candidate {
        let (ip, port) = (addr.ip(), addr.port());
        let line = format!("{priority} 1 UDP {priority} {ip} {port} typ host");
        line.parse().expect("it keeps to RFC 8839")
    }

    fn set_remote(&mut self, now: Duration, remote: &Description<Candidate>) {
        let now = timestamp(now);
        let mut parameters = Parameters::new(credentials(remote.credentials));
        parameters.pacing = Some(Duration::from_millis(TA));
        self.agent.set_remote(now, parameters).expect("these are the first");
        for candidate in &remote.candidates {
            let added = self.agent.add_remote_candidate(now, self.stream, candidate);
            added.expect("there is room for the candidate");
        }
        self.agent.end_of_remote_candidates(now, None);
    }

    fn receive(&mut self, now: Duration, path: Path, datagram: &[u8]) -> Verdict {
        let now = timestamp(now);
        let (local, remote) = (path.local, path.remote);
        match self.agent.handle_datagram(now, Transport::Udp, local, remote, datagram) {
            Received::Consumed => Verdict::Consumed,
            Received::Data { payload, .. } => Verdict::Data(payload.len()),
            Received::Ignored(_) => Verdict::Ignored,
        }
    }

    fn timeout(&mut self, now: Duration) {
        self.agent.handle_timeout(timestamp(now));
    }

    fn drain(&mut self, now: Duration, mut send: impl FnMut(Path, &[u8])) {
        let now = timestamp(now);
        loop {
            while let Some(transmit) = self.agent.poll_transmit(now, &mut self.buf) {
                send(path(transmit.route), &self.buf[transmit.range]);
                self.buf.clear();
            }
            match self.agent.poll_event(now) {
                Some(Event::SelectedPair { local, remote, .. }) => {
                    self.selected = Some(between(local, remote));
                }
                Some(Event::ConnectionState(ConnectionState::Connected)) => self.connected = true,
                Some(_) => {}
                None => break,
            }
        }
    }

    fn deadline(&mut self) -> Option<Duration> {
        self.agent.poll_timeout().map(|at| at.as_duration())
    }

    fn selected(&self) -> Option<Path> {
        self.selected
    }

    fn connected(&self) -> Option<bool> {
        Some(self.connected)
    }

    fn send(&mut self, now: Duration, payload: &[u8]) -> (Path, usize) {
        let now = timestamp(now);
        let outgoing = self.agent.send(now, self.stream, 1, payload).expect("a pair is selected");
        (path(outgoing.route), outgoing.head().len() + outgoing.payload().len())
    }

    fn into_agent(self) -> IceAgent {
        self.agent
    }
}

/// The crate's codec as its agent uses it, which the feature `fuzzing` shows: scanned, fingerprint and
/// integrity verified and read; written and sealed.
pub struct FrazilCodec {
    ours: fuzzing::Key,
    theirs: fuzzing::Key,
    username: String,
    buf: Vec<u8>,
}

impl FrazilCodec {
    fn new() -> Self {
        let (to, from) = (Credentials::of(false), Credentials::of(true));
        Self {
            ours: fuzzing::Key::new(from.pwd.as_bytes()),
            theirs: fuzzing::Key::new(to.pwd.as_bytes()),
            username: format!("{}:{}", to.ufrag, from.ufrag),
            buf: Vec::with_capacity(2048),
        }
    }
}

impl Codec for FrazilCodec {
    const BATCH: usize = 32;

    fn reset(&mut self) {}

    fn decode(&mut self, check: &[u8]) -> bool {
        fuzzing::read_check(check, &self.ours).is_some_and(|check| check.priority.is_some())
    }

    fn encode(&mut self) -> usize {
        self.buf.clear();
        let check = fuzzing::Check {
            username: Some(self.username.as_bytes()),
            priority: Some(0x6e00_01ff),
            role: Some((Role::Controlling, 1)),
            ..fuzzing::Check::default()
        };
        assert!(fuzzing::write_check_with(&mut self.buf, [0x5a; 12], &check, &self.theirs));
        self.buf.len()
    }
}
