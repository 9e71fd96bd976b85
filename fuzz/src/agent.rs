//! One agent under arbitrary calls, times and datagrams, the authentic ones of its peer among
//! them, and a twin that gets the same.
//!
//! After every input it is held against the contract: what it puts out is as the protocol wants
//! it, it comes to rest, its limits hold, the twin has done the same, and what was not authentic
//! has changed nothing.

mod input;
mod outside;
mod peer;
mod servers;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use frazil::{
    AgentConfig, Candidate, CandidateAddress, CandidateKind, CandidateTransport, ConnectionState,
    Credentials, Event, GatheringState, IceAgent, IcmpError, Ignored, LocalAddress, PairId,
    Parameters, Received, Refused, Role, Route, StreamId, TcpType, Timestamp, Transmit,
    TransmitError, Transport,
};

use super::OnPanic;
use super::pool::{self, Remote, Time, address};
use input::{Input, Local, Outside, Setup, Step};
use peer::{Datagram, PEERS, Peer, Stage};
use servers::{Servers, Via};

/// More inputs than a case needs.
const STEPS: usize = 300;

/// Draining an event may make something due at the same instant once more.
const REPEATS: usize = 8;

/// How long an agent knows of earlier generations at most once the new one has settled: as long as
/// consent lasts.
const MEMORY: Duration = Duration::from_secs(30);

/// How long a closed agent tells its servers so.
const FAREWELL: Duration = Duration::from_secs(5);

pub fn run(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(setup) = Setup::arbitrary(&mut bytes) else { return };
    let _tell = OnPanic(|| tell(data));
    let Some(mut bench) = Bench::new(&setup) else { return };
    bench.tell(setup.told);
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut bytes) else { break };
        bench.step(&step);
    }
    bench.leave_alone();
}

/// The input in words.
fn tell(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    println!("{:?}", Setup::arbitrary(&mut bytes));
    while !bytes.is_empty() {
        println!("{:?}", Step::arbitrary(&mut bytes));
    }
}

/// What an agent has put out.
#[derive(Debug, PartialEq)]
enum Output {
    Transmit(Transmit, Vec<u8>),
    Event(Event),
}

/// The agent, its twin, its peer and its servers.
struct Bench {
    config: AgentConfig,
    agent: IceAgent,
    twin: IceAgent,
    peer: Peer,
    servers: Servers,
    /// The relayed addresses that the caller has obtained by itself.
    obtained: Vec<SocketAddr>,
    /// When the agent was first found closed.
    closed: Option<Timestamp>,
    /// What the driver takes for the time, which may run backwards.
    now: Timestamp,
    /// The newest time that the agent has been told.
    newest: Timestamp,
    /// The state that the events have told.
    told_state: ConnectionState,
    told_role: Role,
    /// The newest selection of each component that the events have told.
    told_pairs: BTreeMap<(StreamId, u16), PairId>,
    /// When the current generation was first found Completed.
    settled: Option<Timestamp>,
    /// What a rollback has to bring back.
    before_staging: Option<(Credentials, GatheringState)>,
}

impl Bench {
    fn new(setup: &Setup) -> Option<Self> {
        let config = setup.config.build();
        let agent = IceAgent::new(config.clone(), [setup.seed; 32]).expect("it can be made");
        let twin = IceAgent::new(config.clone(), [setup.seed; 32]).ok()?;
        let peer = Peer::new(agent.local_parameters().credentials);
        Some(Self {
            told_role: config.role,
            config,
            agent,
            twin,
            peer,
            servers: Servers::new(setup.seed),
            obtained: Vec::new(),
            closed: None,
            now: Timestamp::ZERO,
            newest: Timestamp::ZERO,
            told_state: ConnectionState::New,
            told_pairs: BTreeMap::new(),
            settled: None,
            before_staging: None,
        })
    }

    /// What most sessions begin with.
    fn tell(&mut self, told: u8) {
        let mut inputs = Vec::new();
        for address in 0..told & 3 {
            let (stream, component, cost, flags, interface) = (0, 0, 0, 0, 0);
            inputs.push(Input::AddLocal(Local {
                stream,
                component,
                address,
                cost,
                flags,
                interface,
            }));
        }
        for address in 0..told >> 2 & 3 {
            inputs.push(Input::AddRemote { stream: 0, remote: Remote::host(3 - address) });
        }
        if told >> 4 & 1 == 1 {
            inputs.push(Input::SetRemote { peer: 0, lite: false, pacing: 0 });
        }
        if told >> 7 == 1 {
            inputs.push(Input::Outside(Outside::AddServer { kind: 0, how: 0 }));
        }
        if told >> 5 & 1 == 1 {
            inputs.push(Input::Gather);
        }
        if told >> 6 & 1 == 1 {
            inputs.push(Input::EndOfRemote(0));
        }
        for input in inputs {
            self.step(&Step { time: Time::Same, neglect: false, input });
        }
        if told >> 7 == 1 {
            // A challenge and what it asks for, and a permission.
            for _ in 0..3 {
                let input = Input::Outside(Outside::AnswersArrive);
                self.step(&Step { time: Time::Deadline, neglect: false, input });
            }
        }
    }

    fn step(&mut self, step: &Step<'_>) {
        self.now = step.time.after(self.now, self.agent.poll_timeout());
        let was_closed = self.agent.state() == ConnectionState::Closed;
        match &step.input {
            Input::Clone => self.twin = self.agent.clone(),
            Input::AnswerAll => {
                for datagram in self.peer.answer_all() {
                    self.deliver(&datagram);
                }
            }
            Input::Answer(answer) => {
                if let Some(datagram) = self.peer.answer(answer) {
                    self.deliver(&datagram);
                }
            }
            Input::Check(check) => {
                let datagram = self.peer.check(check, self.agent.role());
                self.receive(&datagram, Transport::Udp);
            }
            &Input::Datagram { to, from, tcp, bytes } => {
                let (to, from, bytes) = (address(to), address(from), bytes.to_vec());
                let transport = if tcp { Transport::Tcp } else { Transport::Udp };
                self.receive(&Datagram { via: Via::Udp, to, from, bytes }, transport);
            }
            Input::Outside(input) => self.outside(input),
            input => {
                let before =
                    (self.agent.local_parameters().credentials, self.agent.gathering_state());
                if let Input::AddObtained { local, relayed: true, .. } = input {
                    self.obtained.push(address(local.address));
                }
                let answer = call(&mut self.agent, &self.peer, self.now, input);
                assert_eq!(answer, call(&mut self.twin, &self.peer, self.now, input));
                self.follow(input, &answer, before);
            }
        }
        self.newest = self.newest.max(self.now);
        if !step.neglect {
            self.settle();
        }
        self.check_limits();
        assert!(!was_closed || self.agent.state() == ConnectionState::Closed);
        if self.agent.state() == ConnectionState::Closed {
            self.closed.get_or_insert(self.newest);
        }
    }

    /// What a call does to the generations.
    fn follow(&mut self, input: &Input<'_>, answer: &str, before: (Credentials, GatheringState)) {
        let credentials = self.agent.local_parameters().credentials;
        match *input {
            Input::SetRemote { peer, pacing, .. } if answer == "Ok(())" => {
                let pair = PEERS[usize::from(peer) % PEERS.len()];
                if self.peer.tell(pair, credentials) {
                    self.peer.renominates = pacing >= 128;
                    self.settled = None;
                    self.before_staging = None;
                }
            }
            Input::PrepareRestart if answer.starts_with("Ok") => {
                self.peer.stage(credentials);
                self.before_staging.get_or_insert(before);
            }
            Input::RollbackRestart => {
                assert_eq!(answer, self.peer.roll_back().to_string());
                if let Some((former, gathering)) = self.before_staging.take() {
                    let now = self.agent.gathering_state();
                    // What was being gathered may have come to its end meanwhile.
                    let ended =
                        GatheringState::Complete == now && GatheringState::Gathering == gathering;
                    assert_eq!(credentials, former);
                    assert!(now == gathering || ended, "{now:?} after {gathering:?}");
                }
            }
            _ => assert_eq!(credentials, before.0),
        }
    }

    /// A datagram arrives. What is not authentic may bring forth an answer, and changes nothing.
    fn receive(&mut self, datagram: &Datagram, transport: Transport) {
        let Datagram { to, from, bytes, .. } = datagram;
        let before = (!self.peer.may_matter(bytes)).then(|| {
            let mut idle = self.agent.clone();
            tell_time(&mut idle, self.now);
            poll_transmits(&mut idle, self.now);
            idle.state_digest()
        });
        let generation = self.peer.addressee(bytes).map(|generation| generation.stage);
        let elsewhere = generation.filter(|&stage| stage != Stage::Current);
        let seen = elsewhere.map(|_| view(&self.agent));
        let received = self.agent.handle_datagram(self.now, transport, *to, *from, bytes);
        assert_eq!(received, self.twin.handle_datagram(self.now, transport, *to, *from, bytes));
        if let Received::Data { payload, .. } = received {
            assert_eq!(payload, bytes);
            assert!(!frazil::fuzzing::is_stun(bytes));
        }
        match elsewhere {
            // What is for a generation to come may repair the roles.
            Some(Stage::Staged)
                if seen.as_ref().is_some_and(|seen| seen.0 != self.agent.role()) => {}
            Some(Stage::Forgotten) => {
                let unknown = [
                    Ignored::UnknownUser,
                    Ignored::MissingCredentials,
                    Ignored::UnknownLocal,
                    Ignored::MalformedStun,
                    Ignored::BadFingerprint,
                    Ignored::Closed,
                ];
                let request = super::wire::kind(bytes) == Some(super::wire::REQUEST);
                let refused = matches!(received, Received::Ignored(why) if unknown.contains(&why));
                assert!(refused || !request, "a generation that is forgotten: {received:?}");
            }
            _ => {}
        }
        if elsewhere.is_some() && seen.as_ref().is_some_and(|seen| seen.0 == self.agent.role()) {
            assert_eq!(seen, Some(view(&self.agent)), "it was for a generation not in force");
        }
        if let Some(before) = before {
            let mut after = self.agent.clone();
            poll_transmits(&mut after, self.now);
            assert_eq!(after.state_digest(), before, "it was not authentic: {received:?}");
        }
    }

    /// What a driver does after an input: drains the agent, and wakes it up while it is due.
    fn settle(&mut self) {
        // Not every input was a call.
        tell_time(&mut self.agent, self.newest);
        tell_time(&mut self.twin, self.newest);
        self.drain();
        for repeat in 0.. {
            match self.agent.poll_timeout() {
                Some(deadline) if deadline <= self.newest => {}
                _ => break,
            }
            assert!(repeat < REPEATS, "still due: {:?}", self.agent.timeout_reason());
            self.agent.handle_timeout(self.newest);
            self.twin.handle_timeout(self.newest);
            let events = self.drain();
            let due = self.agent.poll_timeout().is_some_and(|deadline| deadline <= self.newest);
            assert!(!due || events > 0, "a driver spins: {:?}", self.agent.timeout_reason());
        }
        assert!(!self.agent.has_transmit() && !self.agent.has_event());
        if self.closed.is_some_and(|since| since + FAREWELL <= self.newest) {
            assert_eq!(self.agent.poll_timeout(), None, "it has said farewell");
        }

        loop {
            let event = self.agent.poll_trace();
            assert_eq!(event, self.twin.poll_trace());
            if event.is_none() {
                break;
            }
        }

        // Before the deadline a timeout does nothing.
        let digest = self.agent.state_digest();
        let mut early = self.agent.clone();
        early.handle_timeout(self.newest);
        assert_eq!(early.state_digest(), digest);
        assert!(!early.has_transmit() && !early.has_event());
        self.agent.handle_timeout(self.newest);
        assert_eq!(self.twin.state_digest(), digest);
        assert_eq!(self.agent.poll_timeout(), self.twin.poll_timeout());
        assert_eq!(self.agent.counters(), self.twin.counters());

        if self.agent.counters().refused(Refused::Event) == 0 {
            assert_eq!(self.told_state, self.agent.state());
            assert_eq!(self.told_role, self.agent.role());
            for (&(stream, component), told) in &self.told_pairs {
                let selected = self.agent.selected_pair(stream, component);
                assert!(selected.is_none_or(|pair| pair.id == *told), "nobody was told of it");
            }
        }
        if self.agent.state() == ConnectionState::Completed {
            let settled = *self.settled.get_or_insert(self.newest);
            if self.newest - settled >= MEMORY {
                self.peer.forget_past();
            }
        }
    }

    /// Takes out everything, and says how many events there were.
    fn drain(&mut self) -> usize {
        let limits = self.config.limits.clone();
        // Each candidate that is polled may move the session.
        let most_events =
            usize::from(limits.events) + 8 * (1 + self.agent.local_candidates().count());
        let (mut events, mut answers) = (0, 0);
        loop {
            let output = poll(&mut self.agent, self.now);
            assert_eq!(output, poll(&mut self.twin, self.now));
            match output {
                Some(Output::Transmit(transmit, bytes)) => {
                    self.assert_local(transmit.route);
                    answers += usize::from(self.carry(transmit.route, &bytes));
                }
                Some(Output::Event(event)) => {
                    events += 1;
                    let lost = self.agent.counters().refused(Refused::Event) > 0;
                    self.servers.follow(self.newest, &event, lost);
                    match event {
                        Event::ConnectionState(state) => self.told_state = state,
                        Event::RoleChanged(role) => self.told_role = role,
                        Event::SelectedPair { stream, component, pair, .. } => {
                            self.told_pairs.insert((stream, component), pair);
                        }
                        Event::LocalCandidate { candidate, .. } => {
                            let ufrag = candidate.extension("ufrag");
                            assert_eq!(ufrag, Some(self.peer.newest().ufrag()));
                            let is_relayed = candidate.kind == CandidateKind::Relayed;
                            assert!(!is_relayed || self.may_be_relayed(&candidate), "{candidate}");
                        }
                        Event::LocalCandidateRemoved { id, .. } => {
                            assert!(self.agent.local_candidates().all(|local| local.id != id));
                        }
                        Event::Embedded { packet, .. } => {
                            assert!(self.config.embedding && !packet.is_empty());
                            assert!(packet.len() <= usize::from(limits.embedded_size));
                        }
                        Event::RemoteRestart { ufrag } => {
                            let known = self.peer.current().remote.map(|(ufrag, _)| ufrag);
                            assert_eq!(Some(ufrag.as_str()), known);
                        }
                        _ => {}
                    }
                }
                None => break,
            }
            assert!(events <= most_events, "{events} events");
            assert!(answers <= 2 * usize::from(limits.replies), "{answers} answers");
        }
        events
    }

    /// What is sent leaves from a socket that the agent still has.
    fn assert_local(&self, route: Route) {
        // A connection is told of when it is to be opened, and when it is needed no more.
        let Route::Datagram { local, .. } = route else { return };
        let plain = |addr: std::net::SocketAddr| (addr.ip().to_canonical(), addr.port());
        let mut bases = self.agent.local_candidates().map(|local| plain(local.base));
        let is_there = bases.any(|base| base == plain(local)) || self.servers.has_socket(local);
        assert!(is_there, "{local} is gone");
    }

    fn may_be_relayed(&self, candidate: &Candidate) -> bool {
        let CandidateAddress::Socket(addr) = candidate.address else { return false };
        let plain = |addr: SocketAddr| (addr.ip().to_canonical(), addr.port());
        let is_obtained = self.obtained.iter().any(|other| plain(*other) == plain(addr));
        is_obtained || self.servers.has_relayed(addr)
    }

    /// At most so many checks may still be answered as there may be transactions.
    fn check_transactions(&self) {
        let ids: BTreeMap<_, _> = (0..self.peer.requests.len())
            .filter_map(|newest| {
                let request = self.peer.requests.iter().rev().nth(newest)?;
                Some((super::wire::id(&request.bytes)?, newest as u8))
            })
            .collect();
        let answered = ids.values().filter(|&&request| {
            let (from, to, kind, code, mapped, tail) = (0, 0, 0, 0, 0, input::INTACT);
            let answer = input::Answer { request, from, to, kind, code, mapped, tail };
            self.peer.answer(&answer).is_some_and(|Datagram { via, to, from, bytes }| {
                if via != Via::Udp {
                    return false;
                }
                let mut agent = self.agent.clone();
                let udp = Transport::Udp;
                agent.handle_datagram(self.newest, udp, to, from, &bytes) == Received::Consumed
            })
        });
        assert!(answered.count() <= usize::from(self.config.limits.transactions));
    }

    fn check_limits(&self) {
        let limits = &self.config.limits;
        let streams = self.agent.streams().count();
        let most_remotes = limits.remote_candidates + limits.peer_reflexive_candidates;
        assert!(streams <= usize::from(limits.streams).max(1));
        assert!(self.agent.local_candidates().count() <= usize::from(limits.local_candidates));
        assert!(self.agent.remote_candidates().count() <= usize::from(most_remotes));
        // As many out of the checklists as in them; and every list may have one.
        assert!(self.servers.connections.len() <= usize::from(limits.connections));
        let pairs = self.agent.pairs().count();
        assert!(pairs <= 2 * usize::from(limits.pairs) + streams, "{pairs} pairs");
        for stream in self.agent.streams() {
            for component in 1..=5 {
                if let Some(pair) = self.agent.selected_pair(stream, component) {
                    assert_eq!((pair.stream, pair.component), (stream, component));
                    assert!(pair.nominated);
                }
                if let Some(route) = self.agent.route(stream, component) {
                    self.assert_local(route);
                }
                if let Some(embedding) = self.agent.embedding(stream, component) {
                    assert!(embedding.waiting <= usize::from(limits.embedded_packets));
                }
            }
        }
    }

    /// Nobody speaks to the agent any more: it ends what it has begun and does not wake up too
    /// often.
    fn leave_alone(&mut self) {
        self.settle();
        self.check_transactions();
        for _ in 0..200 {
            let Some(deadline) = self.agent.poll_timeout() else { break };
            assert!(deadline > self.newest);
            self.now = deadline;
            self.newest = deadline;
            self.agent.handle_timeout(deadline);
            self.twin.handle_timeout(deadline);
            self.settle();
            self.check_limits();
        }
    }
}

/// One call, with its answer in words.
fn call(agent: &mut IceAgent, peer: &Peer, now: Timestamp, input: &Input<'_>) -> String {
    let generations = [PEERS[0].0, PEERS[1].0, PEERS[2].0, PEERS[3].0];
    match *input {
        Input::Wake => agent.handle_timeout(now),
        Input::AddStream(components) => {
            let components = if components == 255 { 257 } else { u16::from(components % 4) };
            return format!("{:?}", agent.add_stream(now, components));
        }
        Input::AddLocal(local) => {
            let Some(stream) = stream(agent, local.stream) else { return String::new() };
            let mut socket = LocalAddress::udp(address(local.address));
            socket.cost = local.cost.into();
            socket.temporary = local.flags & 1 == 1;
            socket.deprecated = local.flags & 6 == 6;
            socket.interface = u32::from(local.interface % 4);
            if local.flags & 24 == 24 {
                let directions = [TcpType::Active, TcpType::Passive, TcpType::SimultaneousOpen];
                let direction = directions[usize::from(local.cost) % directions.len()];
                socket.transport = CandidateTransport::Tcp(direction);
            }
            let component = u16::from(local.component % 4) + 1;
            return format!("{:?}", agent.add_local(now, stream, component, socket));
        }
        Input::AddRemote { stream: index, remote } => {
            let Some(stream) = stream(agent, index) else { return String::new() };
            let candidate = remote.candidate(generations);
            return format!("{:?}", agent.add_remote_candidate(now, stream, &candidate));
        }
        Input::SetRemote { peer, lite, pacing } => {
            let (ufrag, pwd) = PEERS[usize::from(peer) % PEERS.len()];
            let mut parameters = Parameters::new(Credentials::new(ufrag, pwd).unwrap());
            parameters.lite = lite;
            let pacings = [None, Some(0), Some(5), Some(200), Some(10_000), Some(u64::MAX)];
            parameters.pacing =
                pacings[usize::from(pacing % 8) % pacings.len()].map(Duration::from_millis);
            if pacing >= 128 {
                parameters.options.push("renomination".to_owned());
            }
            return format!("{:?}", agent.set_remote(now, parameters));
        }
        Input::EndOfRemote(generation) => {
            let generation = generations.get(usize::from(generation).wrapping_sub(1)).copied();
            agent.end_of_remote_candidates(now, generation);
        }
        Input::Gather => agent.gather(now),
        Input::TakeDescription => return format!("{:?}", agent.take_description(now)),
        Input::SetTiming(timing) => {
            let cost = u16::from(timing) << 4;
            if timing & 16 == 16 {
                agent.set_network_cost(now, u32::from(timing >> 6), cost);
            }
            return format!("{:?}", agent.set_timing(now, pool::timing(timing)));
        }
        Input::Send { stream: index, component, bytes } => {
            let Some(stream) = stream(agent, index) else { return String::new() };
            let choice = component;
            let component = u16::from(component % 4) + 1;
            if choice >= 128 {
                return embed(agent, now, (stream, component), choice >= 192, bytes);
            }
            let sent = agent.send(now, stream, component, bytes);
            let answer = format!("{sent:?}");
            if let Ok((payload, route)) = sent.map(|sent| (sent.payload().to_vec(), sent.route)) {
                assert_eq!(payload, bytes);
                // There is none for what goes in frames or through a server.
                assert!(agent.route(stream, component).is_none_or(|direct| direct == route));
            }
            return answer;
        }
        Input::NoteActivity(index) => {
            let pair = agent.pairs().nth(index.into()).map(|pair| pair.id);
            if let Some(pair) = pair {
                agent.note_activity(now, pair);
            }
        }
        Input::NoteSent { stream: index, component } => {
            if let Some(stream) = stream(agent, index) {
                agent.note_sent(now, stream, u16::from(component % 4) + 1, 1, 100);
            }
        }
        Input::TransmitFailed { request, elsewhere, error } => {
            let Some(request) = peer.requests.iter().rev().nth(request.into()) else {
                return String::new();
            };
            let errors =
                [TransmitError::Unreachable, TransmitError::NotPermitted, TransmitError::TooLarge];
            let (transport, local, remote) = (Transport::Udp, request.from, request.to);
            let remote = if elsewhere == 0 { remote } else { address(elsewhere) };
            let route = Route::Datagram { transport, local, remote };
            agent.transmit_failed(now, route, errors[usize::from(error % 3)]);
        }
        Input::Icmp { request, elsewhere, soft, cut } => {
            let Some(request) = peer.requests.iter().rev().nth(request.into()) else {
                return String::new();
            };
            let remote = if elsewhere == 0 { request.to } else { address(elsewhere) };
            let len = request.bytes.len().saturating_sub(cut.into());
            let error = if soft { IcmpError::Soft } else { IcmpError::Hard };
            let quoted = &request.bytes[..len];
            agent.handle_icmp(now, Transport::Udp, request.from, remote, error, quoted);
        }
        Input::Close => agent.close(now),
        Input::PrepareRestart => {
            let staged = agent.prepare_restart(now);
            if let Ok(parameters) = &staged {
                assert_eq!(*parameters, agent.local_parameters());
            }
            return format!("{staged:?}");
        }
        Input::RollbackRestart => return agent.rollback_restart(now).to_string(),
        Input::Renominate(index) => {
            let Some(pair) = agent.pairs().nth(index.into()) else { return String::new() };
            return format!("{:?}", agent.renominate(now, pair.id));
        }
        Input::RemoveLocal(index) => {
            let Some(local) = agent.local_candidates().nth(index.into()) else {
                return String::new();
            };
            let removed = agent.remove_local(now, local.id);
            if removed.is_ok() {
                assert!(agent.local_candidates().all(|other| other.id != local.id));
                assert!(agent.pairs().all(|pair| pair.local.id != local.id));
            }
            return format!("{removed:?}");
        }
        Input::RebindLocal { local, address: to } => {
            let Some(old) = agent.local_candidates().nth(local.into()) else {
                return String::new();
            };
            // What is overdue may be that candidates nobody uses are freed.
            let overdue = agent.poll_timeout().is_some_and(|due| due <= now);
            let moved = agent.rebind_local(now, old.id, address(to));
            if let Ok(new) = moved {
                let is_known = |id| agent.local_candidates().any(|other| other.id == id);
                assert!((overdue || is_known(new)) && !is_known(old.id));
                assert!(agent.pairs().all(|pair| pair.local.id != old.id));
            }
            return format!("{moved:?}");
        }
        Input::AddObtained { local, relayed, base, server } => {
            let Some(stream) = stream(agent, local.stream) else { return String::new() };
            let (addr, base, server) =
                (address(local.address), address(base), address(server).ip());
            let mut obtained = if relayed {
                LocalAddress::relayed(addr, base, server)
            } else {
                LocalAddress::reflexive(addr, base, server)
            };
            obtained.cost = local.cost.into();
            obtained.interface = u32::from(local.interface % 4);
            let component = u16::from(local.component % 4) + 1;
            return format!("{:?}", agent.add_local(now, stream, component, obtained));
        }
        Input::Clone
        | Input::Outside(_)
        | Input::AnswerAll
        | Input::Check(_)
        | Input::Answer(_)
        | Input::Datagram { .. } => unreachable!("these are no calls"),
    }
    String::new()
}

/// Lets a packet ride in checks, perhaps alone.
fn embed(
    agent: &mut IceAgent,
    now: Timestamp,
    (stream, component): (StreamId, u16),
    alone: bool,
    packet: &[u8],
) -> String {
    if alone {
        agent.withdraw_embedded(now, stream, component);
    }
    let before = agent.embedding(stream, component);
    let embedded = agent.embed(now, stream, component, packet);
    if let Ok(()) = embedded {
        let (before, after) = (before.unwrap(), agent.embedding(stream, component).unwrap());
        assert!(packet.len() <= after.max_packet && after.waiting >= before.waiting.max(1));
    }
    format!("{embedded:?}")
}

fn stream(agent: &IceAgent, index: u8) -> Option<StreamId> {
    agent.streams().nth(usize::from(index % 4))
}

/// The next output, behind what is in the buffer already.
fn poll(agent: &mut IceAgent, now: Timestamp) -> Option<Output> {
    let mut buf = b"before".to_vec();
    if let Some(transmit) = agent.poll_transmit(now, &mut buf) {
        assert_eq!(transmit.range, 6..buf.len());
        assert!(buf.starts_with(b"before"));
        let bytes = buf.split_off(6);
        return Some(Output::Transmit(transmit, bytes));
    }
    assert_eq!(buf, b"before");
    agent.poll_event(now).map(Output::Event)
}

/// What a caller sees of an agent: its role, and all that a check may change beyond signs of life.
fn view(agent: &IceAgent) -> (Role, String) {
    let pairs: Vec<_> = agent.pairs().collect();
    let locals: Vec<_> = agent.local_candidates().collect();
    let remotes: Vec<_> = agent.remote_candidates().collect();
    let state = (agent.state(), agent.gathering_state(), agent.local_parameters());
    (agent.role(), format!("{state:?} {pairs:?} {locals:?} {remotes:?}"))
}

/// A call that does nothing else: an error that quotes nothing.
fn tell_time(agent: &mut IceAgent, now: Timestamp) {
    let addr = address(0);
    agent.handle_icmp(now, Transport::Udp, addr, addr, IcmpError::Soft, &[]);
}

fn poll_transmits(agent: &mut IceAgent, now: Timestamp) {
    let mut buf = Vec::new();
    while agent.poll_transmit(now, &mut buf).is_some() {}
}
