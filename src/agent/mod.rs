//! The agent: what ties candidates, checklists, messages and time together.
//!
//! Every input takes the same way: the clock is brought forward, the input is applied, then
//! whatever is due is done ([`IceAgent::run`]), and the next deadline is computed. Outputs wait in
//! [`Output`] until they are polled, and are rendered then.

mod call_error;
mod candidates;
mod client;
mod connections;
mod contest;
mod counters;
mod digest;
mod discovered;
mod embedding;
mod errors;
mod explain;
mod generation;
mod hosted;
mod inputs;
pub(crate) mod io;
mod lite;
mod local_address;
mod network;
mod nomination;
mod obtained;
mod output;
pub(crate) mod pacing;
mod path;
mod policies;
mod relay;
mod remote;
mod renomination;
mod restart;
mod roaming;
mod schedule;
mod server;
mod servers;
mod settings;
mod stats;
mod tcp;
mod traced;
mod transactions;
mod upkeep;
mod view;

use core::time::Duration;

use rand_chacha::rand_core::Rng;
use smallvec::SmallVec;

use crate::candidate::Transport;
use crate::checklist::ChecklistSet;
use crate::config::{AgentConfig, ConfigError, Signalling};
use crate::credentials::Credentials;
use crate::gather::Servers;
use crate::id::{CandidateId, PairId, StreamId};
use crate::random::Random;
use crate::time::Timestamp;
use crate::trace::Trace;

pub use call_error::{
    AcceptError, AddLocalError, AddRemoteError, AddServerError, AddStreamError, RemoveLocalError,
    RenominateError, RestartError, SetRemoteError,
};
use candidates::Candidates;
use connections::Connections;
use contest::Contest;
pub use counters::{Counters, Refused};
use embedding::Exchanges;
pub use embedding::{EmbedError, Embedding, EmbeddingSupport};
pub use errors::{IcmpError, TransmitError};
pub use explain::{
    Choice, Explanation, LossReason, PairExplanation, PairReason, Rejected, RejectedCandidate,
    ServerExplanation, ServerSituation, Verdict,
};
use explain::{Chosen, Observed};
use generation::{Generation, LocalSide, Past, RemoteSide, Staged};
pub(crate) use hosted::{Claim, Names};
use io::{Event, GatheringState, TimeoutReason, Transmit};
use output::{Notice, Output};
use pacing::Pacer;
use path::Path;
pub use path::SendError;
use renomination::NominationValues;
use server::{EarlyChecks, TokenBucket};
use settings::Settings;
pub use stats::{CandidateStats, PairStats, Stats, TransportStats};
use stats::{Carried, Changes};
use traced::Sent;
use transactions::Checks;
use upkeep::Upkeep;
pub use view::PairView;

/// The state of the connection (W3C RTCIceTransportState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Waiting for the remote parameters or a remote candidate.
    New,
    /// Checking pairs; some component has no valid pair yet.
    Checking,
    /// Every component has a valid pair: data may flow (RFC 8445 §12.1).
    Connected,
    /// Nomination has concluded for every component (RFC 8445 §8.1.2).
    Completed,
    /// No sign of life on a selected path.
    Disconnected,
    /// No path was found, or all were lost.
    Failed,
    /// Closed by the caller.
    Closed,
}

/// An ICE agent (RFC 8445) as a value without any I/O.
///
/// The caller feeds it with datagrams, calls and the time, and drains what it puts out:
///
/// 1. after every input, [`poll_transmit`](Self::poll_transmit) and
///    [`poll_event`](Self::poll_event) until both return `None`;
/// 2. then wait for the next datagram, but not longer than until
///    [`poll_timeout`](Self::poll_timeout), when [`handle_timeout`](Self::handle_timeout) is to be
///    called.
///
/// Time never runs backwards inside: a `now` that is older than the newest one seen counts as
/// that. Two agents with the same configuration, seed and inputs put out the same bytes. A clone
/// is a snapshot that goes its own way.
#[derive(Clone, Debug)]
pub struct IceAgent {
    config: Settings,
    now: Timestamp,
    rng: Random,
    local: LocalSide,
    remote: Option<RemoteSide>,
    /// A restart of which the peer has not heard yet.
    staged: Option<Box<Staged>>,
    /// Ended generations whose path may still carry data, oldest first.
    past: Vec<Past>,
    /// When they are forgotten; the end of time is never.
    forget: Timestamp,
    /// When candidates that are not used are freed; the end of time is never.
    release: Timestamp,
    /// The newest generation that was ever staged.
    newest_generation: Generation,
    tie_breaker: u64,
    /// Changes of the role in this generation.
    role_changes: u8,
    state: ConnectionState,
    gathering: GatheringState,
    /// The peer has no more candidates (RFC 8838 §14).
    remote_complete: bool,
    /// The generation that said so before its parameters were known.
    early_end: Option<Box<str>>,
    next_stream: u32,
    streams: SmallVec<[Stream; 1]>,
    candidates: Candidates,
    lists: ChecklistSet,
    /// The list whose turn it is (RFC 8445 §6.1.4.2).
    turn: usize,
    pacer: Pacer,
    checks: Checks,
    early: EarlyChecks,
    bucket: TokenBucket,
    /// When failure may be reported at the earliest (RFC 8863 §4).
    patience: Option<Timestamp>,
    /// The round-trip time of the newest check that was answered at once.
    round_trip: Option<Duration>,
    /// The servers, from the first one on.
    servers: Option<Box<Servers>>,
    /// Whether it was a server's turn for a slot, and not a check's.
    server_turn: bool,
    connections: Connections,
    next_lookup: u32,
    output: Output,
    counters: Counters,
    /// What explains how the session went.
    observed: Observed,
    deadline: Option<(Timestamp, TimeoutReason)>,
    /// What it has done, if that is wanted.
    trace: Option<Box<Trace>>,
    /// What rides in checks, if that is wanted.
    embedding: Option<Box<Exchanges>>,
}

/// A data stream (RFC 8445 §4).
#[derive(Clone, Debug, Hash)]
struct Stream {
    id: StreamId,
    /// The components that this side has; the peer may have fewer.
    declared: u16,
    /// The highest one for which the peer was told a candidate, in this generation.
    told: u16,
    components: SmallVec<[Component; 1]>,
}

impl Stream {
    /// The components above `highest` are not used (RFC 8445 §6.1.2.2).
    fn reduce(&mut self, highest: u16, lists: &mut ChecklistSet) {
        self.components.retain(|component| component.number <= highest);
        lists.drop_components(self.id, highest);
    }
}

/// One component of a stream.
#[derive(Clone, Debug, Hash)]
struct Component {
    number: u16,
    /// The pair that nomination has settled on.
    selected: Option<PairId>,
    /// Why it was.
    chosen: Chosen,
    /// The pair that carried its data before a restart, until this generation has selected one.
    previous: Option<PairId>,
    /// The valid pair that is being nominated.
    nominating: Option<PairId>,
    /// The values of NOMINATION that were sent and followed in this generation.
    values: Option<Box<NominationValues>>,
    /// A worse pair that the peer has nominated while another one is selected.
    contest: Option<Box<Contest>>,
    /// When its first valid pair was found.
    valid_since: Option<Timestamp>,
    /// How often another pair was selected, or none any more.
    changes: Changes,
    /// Data of paths before this one.
    carried: Carried,
    /// The way of its data: the selected pair, or the best valid one.
    path: Option<Path>,
    /// The pairs that are kept under consent, the path first among them or not.
    upkeep: SmallVec<[Upkeep; 1]>,
}

impl Component {
    fn new(number: u16) -> Self {
        Self {
            number,
            selected: None,
            chosen: Chosen::default(),
            previous: None,
            nominating: None,
            values: None,
            contest: None,
            valid_since: None,
            changes: Changes::default(),
            carried: Carried::default(),
            path: None,
            upkeep: SmallVec::new(),
        }
    }

    /// The nominating check of this pair may be hedged.
    fn may_nominate_again(&self, id: PairId, strict: bool) -> bool {
        self.nominating == Some(id) && self.selected.is_none() && !strict
    }

    /// It has a pair that may carry data.
    fn is_connected(&self) -> bool {
        self.valid_since.is_some() || self.previous.is_some()
    }
}

impl IceAgent {
    /// Makes an agent from a configuration and the seed of everything random: credentials, tie
    /// breaker, transaction ids. The seed must be unpredictable and used once; in tests it makes
    /// the agent reproducible.
    ///
    /// # Errors
    /// The field of the configuration that no agent can be made of.
    pub fn new(mut config: AgentConfig, seed: [u8; 32]) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut rng = Random::from_seed(seed);
        let generated = Credentials::generate(config.ufrag_prefix, &mut rng);
        let credentials = config.credentials.take().unwrap_or(generated);
        let tie_breaker = tie_breaker(&mut rng);
        let components = config.components;
        let mut agent = Self {
            now: Timestamp::ZERO,
            rng,
            local: LocalSide::new(Generation::default(), credentials),
            remote: None,
            staged: None,
            past: Vec::new(),
            forget: Timestamp::MAX,
            release: Timestamp::MAX,
            newest_generation: Generation::default(),
            tie_breaker,
            role_changes: 0,
            state: ConnectionState::New,
            gathering: GatheringState::New,
            remote_complete: false,
            early_end: None,
            next_stream: 0,
            streams: SmallVec::new(),
            candidates: Candidates::default(),
            lists: ChecklistSet::new(config.role, usize::from(config.limits.pairs)),
            turn: 0,
            pacer: Pacer::new(config.timing.ta),
            checks: Checks::default(),
            early: EarlyChecks::default(),
            bucket: TokenBucket::new(config.limits.unauthenticated_replies),
            patience: None,
            round_trip: None,
            servers: None,
            server_turn: false,
            connections: Connections::new(config.limits.connections),
            next_lookup: 0,
            output: Output::new(config.limits.replies, config.limits.events),
            counters: Counters::default(),
            observed: Observed::default(),
            deadline: None,
            trace: None,
            embedding: None,
            config: config.into(),
        };
        agent.start_trace();
        agent.start_embedding();
        if components > 0 {
            agent.push_stream(components);
        }
        Ok(agent)
    }

    /// What is due is done. Legal at any time; before the deadline nothing is due.
    // This and the three below are asked far more often than they have something to do: that there
    // is nothing is seen where they are called.
    #[inline]
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.advance(now);
        if self.is_due() {
            self.time_out();
        }
    }

    #[inline(never)]
    fn time_out(&mut self) {
        if self.consent_alone_is_due() {
            self.upkeep();
            self.compute_deadline();
        }
        if self.is_due() {
            self.run();
        }
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.deadline.is_some_and(|(at, _)| at <= self.now)
    }

    /// The next message to send, written to the end of `buf`. Call it until it returns `None`
    /// after every input. The answer may change with every call that takes `&mut self`.
    #[inline]
    pub fn poll_transmit(&mut self, now: Timestamp, buf: &mut Vec<u8>) -> Option<Transmit> {
        self.advance(now);
        if self.has_transmit() { self.next_transmit(buf) } else { None }
    }

    #[inline(never)]
    fn next_transmit(&mut self, buf: &mut Vec<u8>) -> Option<Transmit> {
        loop {
            // What cannot be rendered any more, since its candidate is gone, is passed over.
            let mut sent = None;
            let message = if let Some(reply) = self.output.replies.front() {
                let mut riding = self.embedding.take();
                let message = self.render_reply(reply, riding.as_deref_mut(), buf);
                if riding.is_some() {
                    self.embedding = riding;
                }
                if self.is_traced() {
                    sent = Some(Sent::Reply(reply.clone()));
                }
                self.output.replies.pop_front();
                message
            } else if let Some(error) = self.output.next_error() {
                let message = self.render_error(&error, buf);
                if self.is_traced() {
                    sent = Some(Sent::Error(error));
                }
                message
            } else if let Some(pair) = self.output.next_keepalive() {
                self.render_keepalive(pair, buf)
            } else if let Some(transmit) = self.render_asking(buf) {
                return Some(transmit);
            } else {
                let id = self.output.checks.pop_front()?;
                if self.is_deferred(id) {
                    continue;
                }
                if self.is_traced() {
                    sent = Some(Sent::Check(id));
                }
                let mut riding = self.embedding.take();
                let message = self.render_check(id, riding.as_deref_mut(), buf);
                if riding.is_some() {
                    self.embedding = riding;
                }
                message
            };
            let Some(message) = message else { continue };
            let (local, to) = (message.local, message.to);
            if let Some(transmit) = self.dispatch(message, buf) {
                if let Some(sent) = sent {
                    self.trace_sent(&sent, local, to);
                }
                return Some(transmit);
            }
        }
    }

    /// The next event. Call it until it returns `None` after every input. With trickle signalling
    /// the polling of [`Event::LocalCandidate`] makes its pairs, so transmits may follow.
    #[inline]
    pub fn poll_event(&mut self, now: Timestamp) -> Option<Event> {
        self.advance(now);
        if self.has_event() { self.next_event() } else { None }
    }

    #[inline(never)]
    fn next_event(&mut self) -> Option<Event> {
        loop {
            let notice = self.next_notice()?;
            let event = self.event_of(&notice);
            if let Notice::LocalCandidate(id) = notice {
                self.convey(id);
                self.run();
            }
            if event.is_some() {
                return event;
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` when only an input
    /// can make something due. The answer may change with every call that takes `&mut self`.
    #[must_use]
    #[inline]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.deadline.map(|(at, _)| at)
    }

    /// What the next timeout is for, for people and for containers of many agents.
    #[must_use]
    pub fn timeout_reason(&self) -> Option<TimeoutReason> {
        self.deadline.map(|(_, reason)| reason)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has something.
    #[must_use]
    #[inline]
    pub fn has_transmit(&self) -> bool {
        self.output.has_transmit()
            || self.servers.as_ref().is_some_and(|servers| servers.has_transmit())
    }

    /// Whether [`poll_event`](Self::poll_event) has something.
    #[must_use]
    #[inline]
    pub fn has_event(&self) -> bool {
        !self.output.notices.is_empty()
    }

    /// Ends the session. Nothing is sent to the peer and nothing of it is answered any more. What
    /// servers have allocated is deleted (RFC 8656 §8): whoever drives the agent until
    /// [`poll_timeout`](Self::poll_timeout) is `None`, five seconds at most, leaves nothing behind. With
    /// a TURN server that does not answer it does take these five seconds, even if there is no allocation
    /// yet.
    pub fn close(&mut self, now: Timestamp) {
        self.advance(now);
        if self.is_closed() {
            return;
        }
        self.set_state(ConnectionState::Closed);
        self.settle_traffic();
        self.checks.clear();
        self.early.clear();
        self.output.clear_transmits();
        for component in self.streams.iter_mut().flat_map(|stream| &mut stream.components) {
            component.path = None;
            component.upkeep.clear();
        }
        self.embedding = None;
        self.lists.revise();
        self.deadline = None;
        self.withdraw_names();
        self.leave_peers();
        self.leave_servers();
    }

    /// Brings the clock forward, never back.
    #[inline]
    pub(crate) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    fn is_closed(&self) -> bool {
        self.state == ConnectionState::Closed
    }

    fn notice(&mut self, notice: Notice) {
        if self.is_traced() {
            self.trace_notice(&notice);
        }
        self.output.notice(notice, &mut self.counters);
    }

    fn set_state(&mut self, state: ConnectionState) {
        if self.state != state && !self.is_closed() {
            self.state = state;
            self.notice(Notice::ConnectionState(state));
        }
    }

    fn component(&self, stream: StreamId, number: u16) -> Option<&Component> {
        let stream = self.streams.iter().find(|other| other.id == stream)?;
        stream.components.iter().find(|component| component.number == number)
    }

    fn component_mut(&mut self, stream: StreamId, number: u16) -> Option<&mut Component> {
        let stream = self.streams.iter_mut().find(|other| other.id == stream)?;
        stream.components.iter_mut().find(|component| component.number == number)
    }

    /// The next notice, the lowest component of a foundation first (RFC 8838 §17).
    fn next_notice(&mut self) -> Option<Notice> {
        let Notice::LocalCandidate(id) = *self.output.notices.front()? else {
            return self.output.notices.pop_front();
        };
        let key = |id: CandidateId| {
            let local = self.candidates.locals.get(id)?;
            Some((local.stream, local.foundation, local.component))
        };
        let Some((stream, foundation, component)) = key(id).filter(|key| key.2 > 1) else {
            return self.output.notices.pop_front();
        };
        let mut best = (component, 0);
        for (at, other) in self.output.notices.iter().enumerate() {
            if let Notice::LocalCandidate(other) = other {
                if let Some((s, f, c)) = key(*other) {
                    if s == stream && f == foundation && c < best.0 {
                        best = (c, at);
                    }
                }
            }
        }
        self.output.notices.remove(best.1)
    }

    /// The candidate is known to the peer from now on, and is paired (RFC 8838 §10).
    fn convey(&mut self, id: CandidateId) {
        let Some(local) = self.candidates.locals.get_mut(id) else { return };
        if self.staged.is_some() {
            local.conveyed_anew = true;
        } else if !core::mem::replace(&mut local.conveyed, true) {
            let (stream, component) = (local.stream, local.component);
            self.note_told(stream, component);
            self.pair_local(id);
        }
    }

    fn note_told(&mut self, stream: StreamId, component: u16) {
        if let Some(stream) = self.streams.iter_mut().find(|other| other.id == stream) {
            stream.told = stream.told.max(component);
        }
    }

    fn pair_local(&mut self, id: CandidateId) {
        let Some(local) = self.candidates.locals.get(id) else { return };
        let (stream, component) = (local.stream, local.component);
        if let Some(endpoint) = self.candidates.local_endpoint(id) {
            let base = self.candidates.base_of(id);
            self.lists.add_local(stream, component, endpoint, base);
        }
        self.permit_remotes(id);
        self.pair_late_local(id);
    }

    fn trickles(&self) -> bool {
        self.config.signalling == Signalling::Trickle
    }
}

/// A tie breaker (RFC 8445 §16.1). Zero is drawn again: some peers take it for absent.
fn tie_breaker(rng: &mut impl Rng) -> u64 {
    loop {
        let value = rng.next_u64();
        if value != 0 {
            return value;
        }
    }
}

/// The transport of a datagram that a candidate sends, for the routes of transmits.
const fn is_datagram(transport: Transport) -> bool {
    matches!(transport, Transport::Udp)
}
