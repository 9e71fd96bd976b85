//! What must never happen, whatever the scenario: looked at while it runs.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use super::Who;
use super::failure::Violation;
use super::stage::Stage;
use crate::agent::io::{Event, Route};
use crate::agent::{ConnectionState, IceAgent};
use crate::candidate::Transport;
use crate::config::{Limits, Role};
use crate::id::{ConnectionId, StreamId};
use crate::sim::log::Logged;
use crate::stun::attribute::{USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS};
use crate::stun::{CheckRequest, Class, IntegrityKey, TransactionId, Writer, method, scan};
use crate::time::Timestamp;

/// The default of both sides.
const TA: Duration = Duration::from_millis(50);
/// RFC 8445 §14.2
const SPACING: Duration = Duration::from_millis(5);
/// RFC 7675 §5.1
const CONSENT: Duration = Duration::from_secs(30);
/// Agents are cloned and tried once in so many steps.
const TRIED: u32 = 16;

/// What is known of one side.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The entries of its log that have been looked at.
    entries: usize,
    /// When it has last begun a transaction that was no first check.
    begun: Option<Timestamp>,
    /// When it has begun the first check of a generation, if that has started the timer.
    opened: Option<Timestamp>,
    /// What its checks are sent with, one a generation.
    usernames: BTreeSet<Vec<u8>>,
    /// It has asked a server.
    asked: bool,
    checks: BTreeSet<TransactionId>,
    last: Option<TransactionId>,
    /// It has a valid pair: what it sends from now on may be for consent.
    connected: bool,
    nominated: BTreeSet<Path>,
    /// Its connections to servers.
    to_servers: BTreeSet<ConnectionId>,
    /// Its connections to the peer over which it has not sent anything yet. Opening them was what took
    /// its place among the checks.
    dialled: BTreeSet<ConnectionId>,
}

/// What a check was sent over. A connection is never opened twice while nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Path {
    Datagram(SocketAddr, SocketAddr),
    Stream(ConnectionId),
}

#[derive(Clone, Debug)]
pub(super) struct Watch {
    sides: [Seen; 2],
    steps: u32,
    /// Something has happened that may kill a path: another nomination may have its reason.
    disturbed: bool,
}

impl Watch {
    /// `disturbed` if a side may nominate again without a reason from outside.
    pub(super) fn new(disturbed: bool) -> Self {
        Self { sides: Default::default(), steps: 0, disturbed }
    }

    /// From now on paths may die.
    pub(super) fn disturb(&mut self) {
        self.disturbed = true;
    }

    /// Looks at both sides after a step.
    pub(super) fn look(&mut self, stage: &Stage) -> Result<(), Violation> {
        self.steps = self.steps.wrapping_add(1);
        let lossless = stage.is_lossless();
        self.disturbed |= !lossless;
        let disturbed = self.disturbed;
        for (who, seen) in [Who::First, Who::Second].into_iter().zip(&mut self.sides) {
            seen.read(who, stage, disturbed)?;
            let agent = stage.agents.get(who.index()).and_then(|agent| stage.world.agent(*agent));
            let Some(agent) = agent else { continue };
            if self.steps % TRIED == 0 {
                let now = stage.world.now();
                try_timeout(who, agent, now)?;
                try_forgeries(who, agent, now, seen.last)?;
                count(who, agent)?;
            }
        }
        Ok(())
    }
}

impl Seen {
    fn read(&mut self, who: Who, stage: &Stage, disturbed: bool) -> Result<(), Violation> {
        let Some(agent) = stage.agents.get(who.index()) else { return Ok(()) };
        let log = stage.world.log(*agent);
        for entry in log.get(self.entries..).unwrap_or_default() {
            let paced = match &entry.what {
                Logged::Event(event) => match **event {
                    Event::ConnectionState(state) => {
                        self.connected |= state == ConnectionState::Connected;
                        true
                    }
                    Event::OpenConnection { connection, remote, .. } if stage.is_server(remote) => {
                        self.to_servers.insert(connection);
                        true
                    }
                    Event::OpenConnection { connection, .. } => {
                        self.dialled.insert(connection);
                        self.connected || self.opens_at_pace(entry.at)
                    }
                    _ => true,
                },
                Logged::Transmit { route, bytes, .. } => {
                    let (path, message) = match *route {
                        Route::Datagram { local, remote, .. } => {
                            (Path::Datagram(local, remote), bytes.as_slice())
                        }
                        // Between peers a head of two bytes goes before a message (RFC 4571).
                        Route::Stream(connection) => {
                            let head = if self.to_servers.contains(&connection) { 0 } else { 2 };
                            (Path::Stream(connection), bytes.get(head..).unwrap_or_default())
                        }
                    };
                    self.read_message(who, entry.at, path, message, disturbed)?
                }
                _ => true,
            };
            if !paced {
                return Err(Violation::Pacing(who));
            }
        }
        self.entries = log.len();
        Ok(())
    }

    /// Whether a message keeps the pace.
    fn read_message(
        &mut self,
        who: Who,
        at: Timestamp,
        path: Path,
        message: &[u8],
        disturbed: bool,
    ) -> Result<bool, Violation> {
        let Ok(scan) = scan(message) else { return Ok(true) };
        if scan.class() != Class::Request {
            return Ok(true);
        }
        let id = scan.transaction_id();
        self.last = Some(id);
        if scan.find(USE_CANDIDATE).is_some() {
            self.nominated.insert(path);
            if self.nominated.len() > 1 && !disturbed {
                return Err(Violation::TwoNominations(who));
            }
        }
        if !self.checks.insert(id) || self.connected {
            return Ok(true);
        }
        let username = scan.find(USERNAME).filter(|_| scan.method() == method::BINDING);
        if let Path::Stream(connection) = path {
            if self.dialled.remove(&connection) {
                self.usernames.extend(username.map(<[u8]>::to_vec));
                return Ok(true);
            }
        }
        Ok(self.keeps_pace(at, username))
    }
}

impl Seen {
    /// RFC 8445 §14.2. The first check of a generation is performed as soon as there is a pair (RFC
    /// 8445 §6.1.4.2), and does not wait for the first request to a server, nor that for it.
    fn keeps_pace(&mut self, at: Timestamp, username: Option<&[u8]>) -> bool {
        let within = |since: Option<Timestamp>, time| since.is_some_and(|since| at - since < time);
        if username.is_some_and(|username| self.usernames.insert(username.to_vec())) {
            self.opened = (!within(self.begun, TA)).then_some(at);
            return !within(self.begun, SPACING);
        }
        let beside = username.is_none() && !self.asked;
        let after_first = if beside { SPACING } else { TA };
        let keeps = !within(self.begun, TA) && !within(self.opened, after_first);
        self.asked |= username.is_none();
        self.begun = Some(at);
        keeps
    }

    /// A connection is opened in the place of a check.
    fn opens_at_pace(&mut self, at: Timestamp) -> bool {
        let within = |since: Option<Timestamp>| since.is_some_and(|since| at - since < TA);
        let keeps = !within(self.begun) && !within(self.opened);
        self.begun = Some(at);
        keeps
    }
}

/// Sends data if the agent lets it go out, and says whether it did; it has to have heard from there.
pub(super) fn send(stage: &mut Stage, who: Who, payload: &[u8]) -> Result<bool, Violation> {
    let Some(agent) = stage.agents.get(who.index()).copied() else { return Ok(false) };
    let stream = stage.world.agent(agent).and_then(first_stream);
    let Some(stream) = stream else { return Ok(false) };
    if stage.world.send(agent, stream, 1, payload).is_err() {
        return Ok(false);
    }
    let now = stage.world.now();
    let log = stage.world.log(agent);
    let route = log.iter().rev().find_map(|entry| match entry.what {
        Logged::Transmit { route, .. } => Some(route),
        _ => None,
    });
    let sent = match route {
        Some(Route::Datagram { local, remote, .. }) => Some((local, remote)),
        Some(Route::Stream(connection)) => stage.world.connection_ends(agent, connection),
        None => None,
    };
    if sent.is_none() {
        // The connection took no more, and is gone.
        return Ok(false);
    }
    let heard = log.iter().rev().take_while(|entry| now - entry.at <= CONSENT);
    let mut heard = heard.filter_map(|entry| match entry.what {
        Logged::Consumed { local, remote, .. } => Some((local, remote)),
        _ => None,
    });
    if heard.any(|heard| Some(heard) == sent) { Ok(true) } else { Err(Violation::NoConsent(who)) }
}

fn first_stream(agent: &IceAgent) -> Option<StreamId> {
    agent.streams().next()
}

/// A clone that has heard of the time, which is part of the digest. Agents are drained: there is
/// nothing to poll.
fn at(agent: &IceAgent, now: Timestamp) -> IceAgent {
    let mut twin = agent.clone();
    let _ = twin.poll_transmit(now, &mut Vec::new());
    twin
}

fn try_timeout(who: Who, agent: &IceAgent, now: Timestamp) -> Result<(), Violation> {
    if agent.poll_timeout().is_some_and(|deadline| deadline <= now) {
        return Ok(());
    }
    let reference = at(agent, now);
    let mut twin = reference.clone();
    twin.handle_timeout(now);
    let same = twin.state_digest() == reference.state_digest()
        && twin.poll_timeout() == reference.poll_timeout()
        && !twin.has_transmit()
        && !twin.has_event();
    if same { Ok(()) } else { Err(Violation::SpuriousTimeout(who)) }
}

/// Messages that say what would matter most, of somebody who does not know the password.
fn try_forgeries(
    who: Who,
    agent: &IceAgent,
    now: Timestamp,
    last: Option<TransactionId>,
) -> Result<(), Violation> {
    let host = agent.local_candidates().find(|local| local.addr == local.base);
    let (Some(host), Some(remote)) = (host, agent.remote_candidates().next()) else {
        return Ok(());
    };
    let untouched = at(agent, now);
    let stranger = SocketAddr::from(([198, 51, 100, 77], 7_777));
    for from in [remote.addr, stranger] {
        for bytes in forgeries(agent, last) {
            let mut twin = untouched.clone();
            let _ = twin.handle_datagram(now, Transport::Udp, host.addr, from, &bytes);
            // What it answers, such as 401, is no state.
            while twin.poll_transmit(now, &mut Vec::new()).is_some() {}
            if twin.state_digest() != untouched.state_digest() {
                return Err(Violation::Unauthenticated(who));
            }
        }
    }
    Ok(())
}

fn forgeries(agent: &IceAgent, last: Option<TransactionId>) -> Vec<Vec<u8>> {
    let key = IntegrityKey::short_term(b"not the password");
    let id = last.unwrap_or_else(|| TransactionId::new(*b"transaction."));
    let parameters = agent.local_parameters();
    let ufrag = parameters.credentials.ufrag().as_bytes();
    let mut forgeries = Vec::new();
    for role in [Role::Controlling, Role::Controlled] {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, Class::Request, method::BINDING, id);
        writer.username(&[ufrag, b":", b"peer"]);
        let request = CheckRequest {
            priority: Some(u32::MAX >> 1),
            use_candidate: true,
            role: Some((role, u64::MAX)),
            ..CheckRequest::default()
        };
        request.write(&mut writer);
        writer.integrity(&key).fingerprint().finish();
        forgeries.push(bytes);
    }
    for class in [Class::Success, Class::Error] {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, class, method::BINDING, id);
        if class == Class::Error {
            writer.error_code(487, "Role Conflict");
        } else {
            writer.xor_address(XOR_MAPPED_ADDRESS, SocketAddr::from(([198, 51, 100, 78], 1)));
            writer.integrity(&key);
        }
        writer.fingerprint().finish();
        forgeries.push(bytes);
    }
    forgeries
}

fn count(who: Who, agent: &IceAgent) -> Result<(), Violation> {
    let limits = Limits::default();
    let remotes = usize::from(limits.remote_candidates)
        .saturating_add(limits.peer_reflexive_candidates.into());
    // Of those that carry data, or on which the peer was heard, as many may have left their checklist.
    let pairs = usize::from(limits.pairs).saturating_mul(2);
    let bounded = agent.local_candidates().count() <= limits.local_candidates.into()
        && agent.remote_candidates().count() <= remotes
        && agent.pairs().count() <= pairs;
    if bounded { Ok(()) } else { Err(Violation::Unbounded(who)) }
}
