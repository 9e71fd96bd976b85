//! One side of a world: an agent, and an observer that holds what it does against the rules.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use frazil::{
    CandidateKind, ConnectionState, Event, GatheringState, IceAgent, Ignored, NominationMode,
    PairId, PairState, PairView, Parameters, Received, Role, Route, StreamId, TimeoutReason,
    Timestamp, Transport,
};

use super::common::{ICE_CONTROLLED, ICE_CONTROLLING, SUCCESS, Sent, USERNAME};
use super::world::World;

/// RFC 8445 §14.2: between any two transmissions of transactions.
const SPACING: Duration = Duration::from_millis(5);
/// Outputs of one input.
const MOST_OUTPUTS: usize = 64;
/// Changes of the role that a conflict may cost one side.
const MOST_ROLE_CHANGES: u8 = 1;
/// The same when the tie breakers are equal: both sides draw new ones, and an old request that comes
/// late may win against those.
const MOST_ROLE_CHANGES_OF_EQUALS: u8 = 5;
/// Unanswered checks of a pair: a triggered one may follow each that is lost or late.
const MOST_CHECKS: usize = 4;
/// Requests of one transaction (Rc).
const MOST_TRANSMISSIONS: u8 = 7;

/// The two ends of a path, this side's first.
pub(crate) type Ends = (SocketAddr, SocketAddr);

/// A datagram on its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packet {
    pub(crate) to: usize,
    pub(crate) from_addr: SocketAddr,
    pub(crate) to_addr: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl Packet {
    pub(crate) fn sent(&self) -> Sent {
        Sent {
            at: Timestamp::ZERO,
            from: self.from_addr,
            to: self.to_addr,
            dscp: 0,
            bytes: self.bytes.clone(),
        }
    }
}

/// What one side has the other told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal {
    pub(crate) parameters: Option<Parameters>,
    pub(crate) candidates: Vec<frazil::Candidate>,
    /// The username fragment whose candidates are complete.
    pub(crate) end: Option<String>,
}

/// What a side is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Input<'a> {
    Timeout,
    Datagram(&'a Packet),
    Restart,
    AddLocal(usize),
    Renominate,
    /// Its path will not carry anything from now on: a second nomination is in order.
    Excuse,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output {
    pub(crate) sent: Vec<Packet>,
    pub(crate) signals: Vec<Signal>,
    pub(crate) events: Vec<Event>,
    pub(crate) ignored: Option<Ignored>,
}

/// A transaction of this side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    id: [u8; 12],
    ends: Ends,
    username: Vec<u8>,
    nominates: bool,
    asks_consent: bool,
    transmissions: u8,
    answered: bool,
}

/// What the observer has noted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Notes {
    state: ConnectionState,
    selected: Vec<(u16, PairId)>,
    role_changes: u8,
    restarts: u8,
    asked: Vec<Asked>,
    /// Paths on which a check of this side has succeeded.
    proven: BTreeSet<Ends>,
    /// Paths on which the peer has nominated.
    nominated: BTreeSet<Ends>,
    sent: Option<Timestamp>,
    started: Option<Timestamp>,
    /// Another nomination than the first is in order.
    excused: bool,
    /// The tie breaker that a 487 has made invalid.
    stale_tie: Option<Vec<u8>>,
    tie: Option<Vec<u8>>,
    /// The peer's username fragment, as signalled last.
    peer: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) index: usize,
    pub(crate) agent: IceAgent,
    notes: Notes,
}

/// What can be seen of an agent from outside.
#[derive(Debug, PartialEq)]
pub(crate) struct Face {
    state: ConnectionState,
    role: Role,
    timeout: Option<Timestamp>,
    reason: Option<TimeoutReason>,
    pairs: Vec<PairView>,
    route: Option<Route>,
    local: Parameters,
}

/// Why a step broke a rule.
pub(crate) type Broken = String;

macro_rules! demand {
    ($holds:expr, $($why:tt)*) => {
        if !$holds {
            return Err(format!($($why)*));
        }
    };
}

impl Side {
    pub(crate) fn new(index: usize, agent: IceAgent) -> Self {
        let notes = Notes {
            state: agent.state(),
            selected: Vec::new(),
            role_changes: 0,
            restarts: 0,
            asked: Vec::new(),
            proven: BTreeSet::new(),
            nominated: BTreeSet::new(),
            sent: None,
            started: None,
            excused: false,
            stale_tie: None,
            tie: None,
            peer: None,
        };
        Self { index, agent, notes }
    }

    pub(crate) fn stream(&self) -> StreamId {
        self.agent.streams().next().unwrap()
    }

    /// Equal for sides that will do the same and be judged alike. The digest leaves the deadline out,
    /// which may be earlier than what is due: an answered check moves what is due, and computes no
    /// deadline.
    pub(crate) fn key(&self) -> (u64, u64) {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.index, &self.notes, self.agent.poll_timeout()).hash(&mut hasher);
        self.agent.timeout_reason().hash(&mut hasher);
        (self.agent.state_digest(), hasher.finish())
    }

    pub(crate) fn face(&self) -> Face {
        Face {
            state: self.agent.state(),
            role: self.agent.role(),
            timeout: self.agent.poll_timeout(),
            reason: self.agent.timeout_reason(),
            pairs: self.agent.pairs().collect(),
            route: self.agent.route(self.stream(), 1),
            local: self.agent.local_parameters(),
        }
    }

    pub(crate) fn peer(&self) -> Option<&str> {
        self.notes.peer.as_deref()
    }

    pub(crate) fn selected(&self, component: u16) -> Option<PairView> {
        self.agent.selected_pair(self.stream(), component)
    }

    /// A valid pair of the first component beside the selected one.
    pub(crate) fn spare(&self) -> Option<PairId> {
        let selected = self.selected(1)?.id;
        self.agent
            .pairs()
            .find(|pair| pair.valid && pair.id != selected && pair.component == 1)
            .map(|pair| pair.id)
    }

    /// Gives the agent an input, drains it, and judges what it did.
    pub(crate) fn step(
        &mut self,
        world: &World,
        now: Timestamp,
        input: Input<'_>,
    ) -> Result<Output, Broken> {
        let mut output = Output::default();
        let before = Before::of(self);
        match input {
            Input::Timeout => self.agent.handle_timeout(now),
            Input::Datagram(packet) => {
                output.ignored = self.receive(now, packet)?;
            }
            Input::Restart => {
                let parameters = self.agent.prepare_restart(now).map_err(|e| e.to_string())?;
                output.signals.push(Signal::of(parameters));
                self.agent.gather(now);
            }
            Input::AddLocal(index) => world.add_local(&mut self.agent, now, self.index, index),
            Input::Renominate => {
                let spare = self.spare().ok_or("there is no spare pair")?;
                self.agent.renominate(now, spare).map_err(|e| format!("renominate: {e}"))?;
            }
            Input::Excuse => self.notes.excused = true,
        }
        self.finish(world, now, &before, Cause::of(input, &before), &mut output)?;
        Ok(output)
    }

    /// Takes a signal of the peer, one call after the other.
    pub(crate) fn take(
        &mut self,
        world: &World,
        now: Timestamp,
        signal: &Signal,
    ) -> Result<Output, Broken> {
        let mut output = Output::default();
        let stream = self.stream();
        if let Some(parameters) = &signal.parameters {
            let before = Before::of(self);
            let ufrag = parameters.credentials.ufrag();
            let cause = if self.peer().is_some_and(|known| known != ufrag) {
                Cause::Restart
            } else {
                Cause::Signal
            };
            self.agent
                .set_remote(now, parameters.clone())
                .map_err(|error| format!("set_remote: {error}"))?;
            self.notes.peer = Some(ufrag.to_owned());
            if cause == Cause::Restart {
                self.notes.restarts += 1;
                self.notes.role_changes = 0;
                self.notes.proven.clear();
                self.notes.nominated.clear();
                self.notes.stale_tie = None;
            }
            self.finish(world, now, &before, cause, &mut output)?;
        }
        for candidate in &signal.candidates {
            let before = Before::of(self);
            self.agent
                .add_remote_candidate(now, stream, candidate)
                .map_err(|error| format!("add_remote_candidate: {error}"))?;
            self.finish(world, now, &before, Cause::Signal, &mut output)?;
        }
        if let Some(ufrag) = &signal.end {
            let before = Before::of(self);
            self.agent.end_of_remote_candidates(now, Some(ufrag));
            self.finish(world, now, &before, Cause::Signal, &mut output)?;
        }
        Ok(output)
    }

    /// Drains what the set-up of a world has left behind.
    pub(crate) fn begin(&mut self, world: &World, now: Timestamp) -> Result<Output, Broken> {
        let mut output = Output::default();
        output.signals.push(Signal::of(self.agent.local_parameters()));
        let before = Before::of(self);
        self.finish(world, now, &before, Cause::Signal, &mut output)?;
        Ok(output)
    }

    /// Application data that the peer sent on its route: whether it is accepted.
    pub(crate) fn accepts(&self, now: Timestamp, from: SocketAddr, to: SocketAddr) -> bool {
        let mut agent = self.agent.clone();
        let payload = [0x80, 1, 2, 3];
        let received = agent.handle_datagram(now, Transport::Udp, to, from, &payload);
        matches!(received, Received::Data { component: 1, payload: [0x80, 1, 2, 3], .. })
    }

    fn receive(&mut self, now: Timestamp, packet: &Packet) -> Result<Option<Ignored>, Broken> {
        let (local, remote) = (packet.to_addr, packet.from_addr);
        let received =
            self.agent.handle_datagram(now, Transport::Udp, local, remote, &packet.bytes);
        let ignored = match received {
            Received::Consumed => None,
            Received::Ignored(reason) => Some(reason),
            Received::Data { .. } => return Err("STUN was taken for data".to_owned()),
        };
        // Between two agents that mean well nothing else can be wrong with a message, unless it is
        // of a generation before the last.
        demand!(
            match ignored {
                None | Some(Ignored::UnknownTransaction) => true,
                Some(Ignored::UnknownUser) => self.notes.restarts >= 2,
                Some(_) => false,
            },
            "a message of the peer was ignored: {ignored:?}"
        );
        let message = packet.sent();
        if message.is_request() {
            if message.nominates() {
                self.notes.nominated.insert((local, remote));
            }
        } else if ignored.is_none() {
            let id = message.id();
            if let Some(asked) = self.notes.asked.iter_mut().find(|asked| asked.id == id) {
                asked.answered = true;
                if message.kind() == SUCCESS {
                    self.notes.proven.insert(asked.ends);
                } else if asked.nominates || message.code() == Some(487) {
                    // A 487 queues the pair again, whichever check of it that answers.
                    self.notes.excused = true;
                }
            }
        }
        Ok(ignored)
    }

    fn finish(
        &mut self,
        world: &World,
        now: Timestamp,
        before: &Before,
        cause: Cause,
        output: &mut Output,
    ) -> Result<(), Broken> {
        let (first_sent, first_event) = (output.sent.len(), output.events.len());
        self.drain(now, output)?;
        for event in &output.events[first_event..] {
            self.note_event(world, event, cause)?;
        }
        for packet in &output.sent[first_sent..] {
            if packet.sent().is_request() {
                self.note_request(world, now, packet, before)?;
            }
        }
        self.judge_outputs(now)?;
        self.judge_pairs(world, before, cause, &output.events[first_event..])?;
        self.judge_selection(world)
    }

    fn drain(&mut self, now: Timestamp, output: &mut Output) -> Result<(), Broken> {
        let mut buf = Vec::new();
        for _ in 0..MOST_OUTPUTS {
            buf.clear();
            if let Some(transmit) = self.agent.poll_transmit(now, &mut buf) {
                let Route::Datagram { local, remote, .. } = transmit.route else {
                    return Err("a stream in a world of datagrams".to_owned());
                };
                output.sent.push(Packet {
                    to: 1 - self.index,
                    from_addr: local,
                    to_addr: remote,
                    bytes: buf[transmit.range].to_vec(),
                });
            } else if let Some(event) = self.agent.poll_event(now) {
                match &event {
                    Event::LocalCandidate { candidate, .. } => {
                        let candidates = vec![candidate.clone()];
                        output.signals.push(Signal { candidates, ..Signal::default() });
                    }
                    Event::GatheringState(GatheringState::Complete) => {
                        let end = self.agent.local_parameters().credentials.ufrag().to_owned();
                        output.signals.push(Signal { end: Some(end), ..Signal::default() });
                    }
                    Event::RemoteRestart { .. } => {
                        output.signals.push(Signal::of(self.agent.local_parameters()));
                        self.agent.gather(now);
                    }
                    _ => {}
                }
                output.events.push(event);
            } else {
                return Ok(());
            }
        }
        Err(format!("more than {MOST_OUTPUTS} outputs of one input"))
    }

    fn note_event(&mut self, world: &World, event: &Event, cause: Cause) -> Result<(), Broken> {
        match event {
            Event::ConnectionState(state) => {
                let from = self.notes.state;
                demand!(
                    is_legal(from, *state, cause == Cause::Restart),
                    "illegal transition: {from:?} to {state:?}"
                );
                self.notes.state = *state;
            }
            Event::RoleChanged(_) => {
                demand!(
                    matches!(cause, Cause::Conflict | Cause::Reported | Cause::Signal)
                        || (cause == Cause::Restart && world.configs[1 - self.index].lite),
                    "the role changed without a conflict: {cause:?}"
                );
                self.notes.role_changes += 1;
                let most = match world.equal_ties {
                    true => MOST_ROLE_CHANGES_OF_EQUALS,
                    false => MOST_ROLE_CHANGES,
                };
                demand!(
                    self.notes.role_changes <= most,
                    "the role changed {} times",
                    self.notes.role_changes
                );
                self.notes.excused = true;
                if cause == Cause::Reported {
                    self.notes.stale_tie = self.notes.tie.clone();
                }
            }
            Event::SelectedPair { component, pair, local, remote, .. } => {
                let ends = (local.base, remote.addr);
                let proven = if world.configs[self.index].lite {
                    &self.notes.nominated
                } else {
                    &self.notes.proven
                };
                demand!(proven.contains(&ends), "selected without proof: {ends:?}");
                self.notes.selected.retain(|(other, _)| other != component);
                self.notes.selected.push((*component, *pair));
            }
            Event::ConsentLost { component, pair, .. } => {
                self.notes.excused = true;
                self.notes.selected.retain(|known| *known != (*component, *pair));
            }
            _ => {}
        }
        Ok(())
    }

    fn note_request(
        &mut self,
        world: &World,
        now: Timestamp,
        packet: &Packet,
        before: &Before,
    ) -> Result<(), Broken> {
        let message = packet.sent();
        let (id, ends) = (message.id(), (packet.from_addr, packet.to_addr));
        demand!(!world.configs[self.index].lite, "a lite agent sent a check");
        if let Some(sent) = self.notes.sent.replace(now) {
            demand!(now - sent >= SPACING, "two requests within {:?}", now - sent);
        }
        if let Some(asked) = self.notes.asked.iter_mut().find(|asked| asked.id == id) {
            demand!(!asked.answered, "a check was repeated that was answered");
            asked.transmissions += 1;
            demand!(asked.transmissions <= MOST_TRANSMISSIONS, "a check was repeated too often");
            return Ok(());
        }
        let username = message.get(USERNAME).unwrap_or_default();
        let nominates = message.nominates();
        let tie = message.get(ICE_CONTROLLING).or_else(|| message.get(ICE_CONTROLLED));
        demand!(
            self.notes.stale_tie.is_none() || self.notes.stale_tie != tie,
            "a tie breaker was used again after a 487"
        );
        self.notes.tie = tie;
        demand!(!nominates || message.has(ICE_CONTROLLING), "a controlled agent nominated");
        let asks_consent = !nominates && before.succeeded(ends);
        if !asks_consent {
            let ta = world.configs[0].timing.ta.max(world.configs[1].timing.ta);
            if let Some(started) = self.notes.started.replace(now) {
                demand!(now - started >= ta, "two new checks within {:?}", now - started);
            }
        }
        if nominates && world.configs[self.index].nomination == NominationMode::Regular {
            let component = self.component_of(ends.0);
            let earlier = self.notes.asked.iter().find(|asked| {
                asked.nominates
                    && asked.username == username
                    && self.component_of(asked.ends.0) == component
            });
            if let Some(earlier) = earlier {
                demand!(self.notes.excused, "nominated {ends:?} after {:?}", earlier.ends);
            }
            self.notes.excused = false;
        }
        self.notes.asked.push(Asked {
            id,
            ends,
            username,
            nominates,
            asks_consent,
            transmissions: 1,
            answered: false,
        });
        let open = self.notes.asked.iter().filter(|asked| !asked.answered && !asked.asks_consent);
        let open = open.count();
        demand!(open <= MOST_CHECKS * world.most_pairs(), "{open} checks are unanswered");
        Ok(())
    }

    fn component_of(&self, local: SocketAddr) -> Option<u16> {
        let candidate = self.agent.local_candidates().find(|view| view.addr == local)?;
        Some(candidate.component)
    }

    fn judge_outputs(&self, now: Timestamp) -> Result<(), Broken> {
        demand!(
            self.agent.poll_timeout().is_none_or(|at| at > now),
            "the deadline is not later than now: {:?}",
            self.agent.timeout_reason()
        );
        demand!(!self.agent.has_transmit() && !self.agent.has_event(), "drained, and not empty");
        demand!(
            self.notes.state == self.agent.state(),
            "the state is {:?}, {:?} was told",
            self.agent.state(),
            self.notes.state
        );
        Ok(())
    }

    fn judge_pairs(
        &self,
        world: &World,
        before: &Before,
        cause: Cause,
        events: &[Event],
    ) -> Result<(), Broken> {
        let current: BTreeSet<_> = self.agent.remote_candidates().map(|view| view.id).collect();
        let pairs: Vec<PairView> = self.agent.pairs().collect();
        let (new, old): (Vec<PairView>, Vec<PairView>) =
            pairs.iter().partition(|pair| current.contains(&pair.remote.id));
        let components = usize::from(world.configs[0].components);
        demand!(new.len() <= world.most_pairs(), "{} pairs", new.len());
        demand!(old.len() <= components, "{} pairs of ended generations", old.len());
        demand!(current.len() <= world.most_pairs(), "{} remote candidates", current.len());
        for pair in &before.pairs {
            let Some(now) = pairs.iter().find(|now| now.id == pair.id) else { continue };
            let lost = events.iter().any(
                |event| matches!(event, Event::ConsentLost { pair: lost, .. } if *lost == pair.id),
            );
            demand!(
                pair.state != PairState::Succeeded
                    || now.state == PairState::Succeeded
                    || lost
                    || matches!(cause, Cause::Error | Cause::Reported | Cause::Restart),
                "a pair that had succeeded is {:?}",
                now.state
            );
        }
        let foundation = |pair: &PairView| {
            let host = |view: &frazil::CandidateView| view.kind == CandidateKind::Host;
            let hosts = host(&pair.local) && host(&pair.remote);
            hosts.then(|| (pair.local.base.ip(), pair.remote.addr.ip()))
        };
        for frozen in new.iter().filter(|pair| pair.state == PairState::Frozen) {
            let free = new.iter().any(|pair| {
                pair.state == PairState::Succeeded && foundation(pair) == foundation(frozen)
            });
            let concluded = self.agent.state() == ConnectionState::Completed;
            demand!(
                !free || concluded || foundation(frozen).is_none(),
                "a pair is frozen whose foundation has succeeded: {:?}",
                (frozen.local.addr, frozen.remote.addr)
            );
        }
        Ok(())
    }

    fn judge_selection(&self, world: &World) -> Result<(), Broken> {
        for component in 1..=world.configs[self.index].components {
            let told = self.notes.selected.iter().find(|(other, _)| *other == component);
            let told = told.map(|(_, pair)| *pair);
            let Some(selected) = self.selected(component) else {
                demand!(told.is_none(), "a selected pair was lost without a word");
                continue;
            };
            demand!(selected.valid, "the selected pair is not valid");
            // Of a restart the path before it stays, selected or not.
            demand!(
                told == Some(selected.id) || told.is_none(),
                "another pair is selected than the one that was told"
            );
            let others = self
                .agent
                .pairs()
                .filter(|pair| {
                    pair.component == component && pair.nominated && pair.id != selected.id
                })
                .count();
            let single = world.configs.iter().all(|c| c.nomination == NominationMode::Regular)
                && !world.configs[0].consent;
            demand!(
                !single || others == 0,
                "{others} more nominated pairs beside the selected one"
            );
        }
        Ok(())
    }
}

impl Signal {
    fn of(parameters: Parameters) -> Self {
        Self { parameters: Some(parameters), ..Self::default() }
    }

    /// All of one moment in one.
    pub(crate) fn together(signals: Vec<Self>) -> Option<Self> {
        signals.into_iter().reduce(|mut all, next| {
            all.parameters = next.parameters.or(all.parameters);
            all.candidates.extend(next.candidates);
            all.end = next.end.or(all.end);
            all
        })
    }
}

/// What stood before a step.
struct Before {
    role: Role,
    pairs: Vec<PairView>,
}

impl Before {
    fn of(side: &Side) -> Self {
        Self { role: side.agent.role(), pairs: side.agent.pairs().collect() }
    }

    fn succeeded(&self, ends: Ends) -> bool {
        self.pairs.iter().any(|pair| {
            pair.state == PairState::Succeeded && (pair.local.base, pair.remote.addr) == ends
        })
    }
}

/// What a step may do because of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// A request that claims the role that this side has.
    Conflict,
    /// A 487.
    Reported,
    /// Another error.
    Error,
    Signal,
    /// A new generation.
    Restart,
    Other,
}

impl Cause {
    fn of(input: Input<'_>, before: &Before) -> Self {
        let Input::Datagram(packet) = input else { return Self::Other };
        let message = packet.sent();
        let claims = match before.role {
            Role::Controlling => ICE_CONTROLLING,
            Role::Controlled => ICE_CONTROLLED,
        };
        match message.code() {
            Some(487) => Self::Reported,
            Some(_) => Self::Error,
            None if message.is_request() && message.has(claims) => Self::Conflict,
            None => Self::Other,
        }
    }
}

/// The table of transitions (W3C RTCIceTransportState): what a session goes through by itself, and
/// what only a new generation may bring.
fn is_legal(from: ConnectionState, to: ConnectionState, restarts: bool) -> bool {
    use ConnectionState::{Checking, Completed, Connected, Disconnected, Failed, New};
    let ordinary = match from {
        New => matches!(to, Checking | Failed),
        Checking => matches!(to, Connected | Failed),
        Connected => matches!(to, Completed | Disconnected | Failed),
        Completed => matches!(to, Disconnected | Failed),
        Disconnected => matches!(to, Connected | Completed | Failed),
        Failed => matches!(to, Checking | Connected),
        ConnectionState::Closed => false,
    };
    let anew = match from {
        Completed => to == Connected,
        Checking | Disconnected | Failed => matches!(to, New | Checking | Connected),
        New | Connected | ConnectionState::Closed => false,
    };
    ordinary || (restarts && anew)
}
