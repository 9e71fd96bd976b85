//! ICE over TCP (RFC 6544): the connections of pairs.
//!
//! A pair has one connection. It goes from an active candidate to a passive one, and everything of
//! the pair goes over it in frames: checks, their answers, consent, data. The caller carries it; the
//! agent asks for it when it is the pair's turn to be checked, and gives it up when nothing needs it.
//!
//! - A connection belongs to a local candidate and to either the remote candidate for which it was
//!   opened, or the address from which it was accepted. Its pair is found by them. It holds across
//!   the pair's being retired and revived, and a candidate of a new generation is another candidate:
//!   a restart opens connections of its own, and the old path keeps its.
//! - Checking an active pair begins with opening its connection, which takes the slot; the request
//!   follows as soon as the connection is there. A connection that cannot be had fails the pair (RFC
//!   6544 §7.1). Nothing is sent twice.
//! - A passive candidate waits. What others connect has to bring an authenticated message soon, in
//!   few bytes; then its address is a peer-reflexive candidate if it was not known, the pair is
//!   formed, and checked in return over the same connection.
//! - What closes is not the end of consent (RFC 7675 §5.2). The selected pair counts as silent from
//!   then on, so that spare pairs take over as they do for any silent path, and the side that had
//!   opened the connection opens another one. Any other pair fails.
//! - Connections that no pair needs are closed 3 s later (RFC 8445 §8.3.1).
//!
//! Which addresses take part is decided where candidates are added, and nowhere here: without an
//! active candidate nothing is dialled, without a passive one nothing is accepted. That is the place
//! for policies.

use core::net::SocketAddr;
use core::time::Duration;

use smallvec::SmallVec;

use crate::address;
use crate::candidate::{CandidateTransport, TcpType};
use crate::checklist::{Attempts, CandidatePair, Nomination, PairState, Setback};
use crate::config::{Limits, Role};
use crate::id::{CandidateId, ConnectionId, PairId};
use crate::tcp::Deframer;
use crate::time::Timestamp;
use crate::turn::Frame;

use super::IceAgent;
use super::call_error::AcceptError;
use super::counters::Refused;
use super::io::{ConnectionSecurity, Received};
use super::output::{Notice, Report};
use super::path::Via;
use super::transactions::Purpose;

/// RFC 8445 §8.3.1: how long what is not selected may still be used.
const IDLE: Duration = Duration::from_secs(3);
/// How often a lost connection is opened again before its pair counts as lost.
const REOPENINGS: u8 = 10;
/// The first wait between two of these, which doubles.
const REOPEN_AFTER: Duration = Duration::from_millis(500);
/// Its bound.
const REOPEN_AT_MOST: Duration = Duration::from_secs(8);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The caller is opening it.
    Opening { until: Timestamp },
    /// Nothing authenticated has come over it yet, only so many bytes.
    Unproven { until: Timestamp, bytes: usize },
    /// The peer has authenticated itself over it, for the first time then.
    Proven { since: Timestamp },
}

/// A connection to a peer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Peer {
    deframer: Deframer,
    pub(super) local: CandidateId,
    /// The other end in its normal form.
    pub(super) addr: SocketAddr,
    /// The candidate for which it was opened; none if it was accepted.
    dialled: Option<CandidateId>,
    stage: Stage,
    /// It takes the place of so many that were lost, since one has last worked for a while.
    reopenings: u8,
    /// Since when no pair needs it.
    idle: Option<Timestamp>,
}

impl Peer {
    /// The next message of `input`, unless it is too much.
    pub(super) fn cut<'i>(
        &mut self,
        input: &mut &'i [u8],
        limits: &Limits,
    ) -> Result<Option<Frame<'i>>, ()> {
        let before = input.len();
        let unproven = usize::from(limits.unproven_bytes);
        let mut limit = usize::from(limits.frame);
        if !self.is_proven() {
            limit = limit.min(unproven);
        }
        let frame = self.deframer.next(input, limit).map_err(drop)?;
        if let Stage::Unproven { bytes, .. } = &mut self.stage {
            *bytes = bytes.saturating_add(before.saturating_sub(input.len()));
            if *bytes > unproven {
                return Err(());
            }
        }
        Ok(frame)
    }

    /// Takes a message back.
    pub(super) fn give_back(&mut self, message: Vec<u8>) {
        self.deframer.give_back(message);
    }

    /// The message that was given back.
    pub(super) fn kept(&self) -> &[u8] {
        self.deframer.kept()
    }

    const fn is_proven(&self) -> bool {
        matches!(self.stage, Stage::Proven { .. })
    }

    /// How many were lost in a row, itself not counted: one that has worked for a while begins anew.
    fn lost_before(&self, now: Timestamp) -> u8 {
        match self.stage {
            Stage::Proven { since } if since + REOPEN_AT_MOST <= now => 0,
            _ => self.reopenings,
        }
    }

    /// Whether messages of its pair may go over it.
    fn carries(&self) -> bool {
        match self.stage {
            Stage::Opening { .. } => false,
            Stage::Unproven { .. } => self.dialled.is_some(),
            Stage::Proven { .. } => true,
        }
    }

    /// When it is given up if nothing comes.
    fn until(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Opening { until } | Stage::Unproven { until, .. } => Some(until),
            Stage::Proven { .. } => None,
        }
    }

    fn is_between(&self, local: CandidateId, remote: CandidateId, addr: SocketAddr) -> bool {
        self.local == local
            && match self.dialled {
                Some(dialled) => dialled == remote,
                None => self.addr == addr,
            }
    }
}

/// What is to be done about a pair as soon as it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Waiting {
    /// Its connection is there: the check that has asked for it goes.
    Check(PairId),
    /// Its connection was lost, and is opened again.
    Reopen { pair: PairId, at: Timestamp, reopenings: u8 },
}

/// How a pair can be checked.
enum Means {
    /// At once.
    There,
    /// When its connection has been opened.
    ToDial,
    /// When its connection is there, which is being opened.
    Dialled,
    /// Not at all: this side cannot open the connection.
    Missing,
}

impl IceAgent {
    /// Somebody has opened a TCP connection to the address of a passive candidate. What arrives on it
    /// goes to [`handle_stream`](Self::handle_stream).
    ///
    /// It is closed again, with [`Event::CloseConnection`](crate::Event::CloseConnection), if no
    /// authenticated message comes within `timing.first_message` and `limits.unproven_bytes`.
    ///
    /// # Errors
    /// The connection is not taken: close it.
    pub fn connection_accepted(
        &mut self,
        now: Timestamp,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, AcceptError> {
        self.advance(now);
        let peer = self.accept(local, remote)?;
        let id = self.connections.add_to_peer(peer);
        self.accepted(id)
    }

    /// Takes over a connection that others have accepted, with the first message that came on it: a
    /// request. If that is not authentic the connection is closed again.
    pub(crate) fn take_connection(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        (local, remote): (SocketAddr, SocketAddr),
        request: &[u8],
    ) -> Result<Received<'static>, AcceptError> {
        self.advance(now);
        let peer = self.accept(local, remote)?;
        let taken = self.connections.take_in(id, peer);
        self.accepted(taken)?;
        let received = match self.receive_on(id, request) {
            Ok(Received::Ignored(reason)) | Err(reason) => self.ignore(reason),
            Ok(Received::Consumed | Received::Data { .. }) => Received::Consumed,
        };
        if self.connections.peer(id).is_some_and(|peer| !peer.is_proven()) {
            self.give_up_connection(id);
            self.run();
        }
        Ok(received)
    }

    /// A connection of a peer to be, if there is room for one that has proved nothing.
    fn accept(&mut self, local: SocketAddr, remote: SocketAddr) -> Result<Peer, AcceptError> {
        if self.is_closed() {
            return Err(AcceptError::Closed);
        }
        let (local, addr) = (address::normal(local), address::normal(remote));
        let passive = self.candidates.passive_at(local);
        let local = passive.filter(|id| !self.is_for_servers_alone(*id));
        let local = local.ok_or(AcceptError::UnknownLocal)?;
        let unproven = self.connections.peers().filter(|(_, peer)| {
            peer.dialled.is_none() && matches!(peer.stage, Stage::Unproven { .. })
        });
        if unproven.count() >= usize::from(self.config.limits.unproven_connections) {
            self.counters.refuse(Refused::Connection);
            return Err(AcceptError::Limit);
        }
        let until = self.now + self.config.timing.first_message;
        Ok(Peer {
            deframer: Deframer::default(),
            local,
            addr,
            dialled: None,
            stage: Stage::Unproven { until, bytes: 0 },
            reopenings: 0,
            idle: None,
        })
    }

    /// Whether there was room for a connection that others have opened.
    fn accepted(&mut self, id: Option<ConnectionId>) -> Result<ConnectionId, AcceptError> {
        let Some(id) = id else {
            self.counters.refuse(Refused::Connection);
            return Err(AcceptError::Limit);
        };
        self.run();
        Ok(id)
    }

    /// Checks a pair, or opens the connection that it needs for that.
    pub(super) fn begin_check(&mut self, pair: PairId, purpose: Purpose) {
        match self.means_of(pair) {
            Means::There => self.send_check(pair, purpose),
            Means::ToDial => self.dial(pair, 0),
            Means::Dialled => {}
            Means::Missing => self.check_impossible(pair),
        }
    }

    /// Whether the check of a pair waits for a connection that is being opened.
    pub(super) fn is_connecting(&self, pair: PairId) -> bool {
        matches!(self.means_of(pair), Means::Dialled)
    }

    fn means_of(&self, pair: PairId) -> Means {
        let Some(pair) = self.lists.get(pair) else { return Means::There };
        let transport = self.candidates.locals.get(pair.local).map(|local| local.transport);
        let Some(CandidateTransport::Tcp(direction)) = transport else { return Means::There };
        if self.connection_between(pair.local, pair.remote).is_some() {
            return Means::There;
        }
        let dialled = |peer: &Peer| peer.local == pair.local && peer.dialled == Some(pair.remote);
        if self.connections.peers().any(|(_, peer)| dialled(peer)) {
            Means::Dialled
        } else if direction == TcpType::Active {
            Means::ToDial
        } else {
            Means::Missing
        }
    }

    /// The connection that carries the messages between two candidates.
    pub(super) fn connection_between(
        &self,
        local: CandidateId,
        remote: CandidateId,
    ) -> Option<ConnectionId> {
        let addr = self.candidates.remotes.get(remote)?.addr;
        self.connections
            .peers()
            .rev()
            .find(|(_, peer)| peer.carries() && peer.is_between(local, remote, addr))
            .map(|(id, _)| id)
    }

    /// The same; none, and no search, between candidates of UDP.
    pub(super) fn stream_between(
        &self,
        local: CandidateId,
        remote: CandidateId,
    ) -> Option<ConnectionId> {
        let tcp = self.candidates.locals.get(local)?.transport != CandidateTransport::Udp;
        if tcp { self.connection_between(local, remote) } else { None }
    }

    /// The data of a component takes another connection, or none.
    fn refresh_streams(&mut self) {
        let mut changes: SmallVec<[(PairId, Option<ConnectionId>); 2]> = SmallVec::new();
        for component in self.streams.iter().flat_map(|stream| &stream.components) {
            let Some(path) = component.path.as_ref().filter(|path| path.is_stream()) else {
                continue;
            };
            let remote = self.lists.get(path.pair).map(|pair| pair.remote);
            let via = remote.and_then(|remote| self.connection_between(path.local, remote));
            changes.push((path.pair, via));
        }
        let components = self.streams.iter_mut().flat_map(|stream| &mut stream.components);
        for path in components.filter_map(|component| component.path.as_mut()) {
            if let Some((_, via)) = changes.iter().find(|(pair, _)| *pair == path.pair) {
                path.via = Via::Stream(*via);
            }
        }
    }

    /// The check of a pair has no way, and none can be made from here.
    fn check_impossible(&mut self, id: PairId) {
        let succeeded = self.lists.get(id).is_some_and(|pair| pair.state == PairState::Succeeded);
        self.checks.cancel(id);
        if !succeeded {
            self.lists.note_setback(id, Setback::NotConnected);
            self.lists.fail(id);
        } else if self.is_nominating(id) {
            self.nomination_failed(id);
        }
    }

    /// Opens the connection of an active pair (RFC 6544 §7.1), in place of so many that were lost.
    fn dial(&mut self, id: PairId, reopenings: u8) {
        let now = self.now;
        let Some(pair) = self.lists.get(id) else { return };
        let (local, remote) = (pair.local, pair.remote);
        let Some(addr) = self.candidates.remotes.get(remote).map(|remote| remote.addr) else {
            return;
        };
        let Some((_, mut from, to)) = self.candidates.path(local, addr) else { return };
        from.set_port(0);
        let until = now + self.config.timing.transaction_timeout();
        let peer = Peer {
            deframer: Deframer::default(),
            local,
            addr,
            dialled: Some(remote),
            stage: Stage::Opening { until },
            reopenings,
            idle: None,
        };
        let Some(connection) = self.connections.add_to_peer(peer) else {
            self.counters.refuse(Refused::Connection);
            self.check_impossible(id);
            return;
        };
        self.pacer.started_check(now);
        if let Some(pair) = self.lists.annotate(id) {
            let Attempts { answered, rtt, setback, .. } = pair.attempts;
            // What cannot be lost needs no further chances.
            pair.attempts = Attempts {
                first: now,
                last: now,
                transmissions: 1,
                hedges: u8::MAX,
                answered,
                rtt,
                setback,
            };
        }
        self.notice(Notice::Report(Box::new(Report::OpenConnection {
            id: connection,
            local: from,
            remote: to,
            security: ConnectionSecurity::Tcp,
        })));
    }

    /// A connection that this side has asked for is there.
    pub(super) fn peer_connected(&mut self, id: ConnectionId) {
        let until = self.now + self.config.timing.transaction_timeout();
        let Some(peer) = self.connections.peer_mut(id) else { return };
        if !matches!(peer.stage, Stage::Opening { .. }) {
            return;
        }
        peer.stage = Stage::Unproven { until, bytes: 0 };
        let pair = peer.dialled.and_then(|remote| self.lists.find(peer.local, remote));
        self.connections.waiting_mut().extend(pair.map(Waiting::Check));
        self.refresh_streams();
        self.run();
    }

    /// A connection is gone, be it that it never came about.
    pub(super) fn peer_disconnected(&mut self, peer: &Peer) {
        // Closed by this side, since for as long as an answer may take nobody has said anything.
        let setback = match peer.stage {
            Stage::Unproven { until, .. } if until <= self.now => Setback::Unanswered,
            _ => Setback::NotConnected,
        };
        for id in self.pairs_of(peer) {
            let Some(pair) = self.lists.get(id) else { continue };
            if self.connection_between(pair.local, pair.remote).is_some() {
                continue;
            }
            let (stream, number) = (pair.stream, pair.component);
            let (valid, past) = (pair.valid.is_some(), pair.past);
            self.checks.discard(id);
            let selected = self.component(stream, number).and_then(|component| component.selected);
            if selected == Some(id) && valid && !past {
                self.selected_is_down(id, peer);
                continue;
            }
            if let Some(pair) = self.lists.annotate(id) {
                pair.valid = None;
                pair.nomination = Nomination::None;
            }
            if let Some(pair) = self.lists.annotate(id).filter(|it| it.state != PairState::Failed) {
                pair.attempts.setback = setback;
            }
            self.lists.fail(id);
            if valid {
                self.leave_pair(id, stream, number);
            }
        }
        self.refresh_streams();
    }

    /// RFC 7675 §5.2: consent stands. Nothing can be sent until there is another connection.
    fn selected_is_down(&mut self, id: PairId, peer: &Peer) {
        self.path_is_dead(id);
        let Some(pair) = self.lists.annotate(id) else { return };
        pair.nomination = Nomination::Nominated;
        let (stream, number) = (pair.stream, pair.component);
        if let Some(component) = self.component_mut(stream, number) {
            if component.nominating == Some(id) {
                component.nominating = None;
            }
        }
        if peer.dialled.is_none() {
            return;
        }
        let lost = peer.lost_before(self.now);
        if lost >= REOPENINGS {
            self.consent_lost(id, Setback::NotConnected);
            return;
        }
        let doublings = u32::from(lost.saturating_sub(1)).min(8);
        let wait = REOPEN_AFTER.saturating_mul(1 << doublings).min(REOPEN_AT_MOST);
        let wait = if lost == 0 { Duration::ZERO } else { wait };
        let (at, reopenings) = (self.now + wait, lost.saturating_add(1));
        self.connections.waiting_mut().push(Waiting::Reopen { pair: id, at, reopenings });
    }

    /// The pairs whose messages go over a connection.
    fn pairs_of(&self, peer: &Peer) -> SmallVec<[PairId; 2]> {
        let theirs = |pair: &CandidatePair| {
            let remote = self.candidates.remotes.get(pair.remote);
            remote.is_some_and(|remote| peer.is_between(pair.local, pair.remote, remote.addr))
        };
        self.lists.pairs().filter(|(_, pair)| theirs(pair)).map(|(id, _)| id).collect()
    }

    /// An authenticated message has come over a connection.
    pub(super) fn prove(&mut self, id: ConnectionId) {
        let since = self.now;
        if let Some(peer) = self.connections.peer_mut(id).filter(|peer| !peer.is_proven()) {
            peer.stage = Stage::Proven { since };
            self.refresh_streams();
        }
    }

    /// Closes a connection, and does without it.
    pub(super) fn give_up_connection(&mut self, id: ConnectionId) {
        let Some(peer) = self.connections.take_peer(id) else { return };
        if peer.dialled.is_none() && !peer.is_proven() {
            self.counters.refuse(Refused::UnprovenConnection);
        }
        self.notice(Notice::Report(Box::new(Report::CloseConnection(id))));
        self.peer_disconnected(&peer);
    }

    /// Does what time has made due about connections.
    pub(super) fn expire_connections(&mut self) {
        if self.connections.is_idle() {
            return;
        }
        let now = self.now;
        let over = |peer: &Peer| {
            let idle = peer.idle.is_some_and(|since| since + IDLE <= now);
            idle || peer.until().is_some_and(|until| until <= now)
        };
        let expired: SmallVec<[ConnectionId; 4]> =
            self.connections.peers().filter(|(_, peer)| over(peer)).map(|(id, _)| id).collect();
        for id in expired {
            self.give_up_connection(id);
        }
    }

    /// Does one of the things that wait, if the spacing of packets allows it.
    pub(super) fn tend_waiting(&mut self) -> bool {
        let now = self.now;
        let (packet, start) = (self.pacer.next_packet(), self.pacer.next_start());
        let due = |waiting: &Waiting| match waiting {
            Waiting::Check(_) => packet <= now,
            Waiting::Reopen { at, .. } => *at <= now && start <= now,
        };
        let Some(position) = self.connections.waiting().iter().position(due) else { return false };
        match self.connections.waiting_mut().remove(position) {
            Waiting::Check(pair) => self.send_first(pair),
            Waiting::Reopen { pair, reopenings, .. } => {
                if self.is_selected(pair) && matches!(self.means_of(pair), Means::ToDial) {
                    self.dial(pair, reopenings);
                }
            }
        }
        true
    }

    /// The connection of a pair is there: its check goes, in the slot that opening has used. On the
    /// selected pair it says so once more, since to the peer it is another pair.
    fn send_first(&mut self, id: PairId) {
        let Some(pair) = self.lists.get(id) else { return };
        if !matches!(pair.state, PairState::InProgress | PairState::Succeeded)
            || !matches!(self.means_of(id), Means::There)
        {
            return;
        }
        let (stream, number) = (pair.stream, pair.component);
        if self.is_selected(id) && self.role() == Role::Controlling {
            if let Some(component) = self.component_mut(stream, number) {
                component.nominating.get_or_insert(id);
            }
        }
        let nominates = self.is_nominating(id);
        // A path that was selected stays so while the nomination is said again on its new connection.
        let new = |pair: &&mut CandidatePair| nominates && pair.nomination == Nomination::None;
        if let Some(pair) = self.lists.annotate(id).filter(new) {
            pair.nomination = Nomination::Pending;
        }
        let purpose = if nominates { Purpose::Nominate } else { Purpose::Decide };
        self.start_transaction(id, purpose);
        self.pacer.retransmitted(self.now);
    }

    /// Whether there is a way for a consent check of a pair.
    pub(super) fn may_ask(&self, id: PairId) -> bool {
        matches!(self.means_of(id), Means::There)
    }

    /// Whether a pair is the selected one, and goes over TCP.
    pub(super) fn is_renewed(&self, id: PairId) -> bool {
        let local = self.lists.get(id).and_then(|pair| self.candidates.locals.get(pair.local));
        self.is_selected(id)
            && local.is_some_and(|local| local.transport != CandidateTransport::Udp)
    }

    fn is_selected(&self, id: PairId) -> bool {
        self.streams
            .iter()
            .flat_map(|stream| &stream.components)
            .any(|component| component.selected == Some(id))
    }

    /// Notes what no pair needs any more: it is closed soon (RFC 8445 §8.3.1).
    pub(super) fn settle_connections(&mut self) {
        if self.connections.is_idle() {
            return;
        }
        let now = self.now;
        // What comes before the parameters of the peer has no pair yet.
        let early = self.remote.is_none() || self.staged.is_some();
        let judged: SmallVec<[(ConnectionId, bool); 4]> = self
            .connections
            .peers()
            .map(|(id, peer)| {
                let waits = peer.dialled.is_none() && !peer.is_proven();
                (id, early || waits || self.is_needed(peer))
            })
            .collect();
        for (id, needed) in judged {
            let Some(peer) = self.connections.peer_mut(id) else { continue };
            if needed {
                peer.idle = None;
            } else {
                peer.idle.get_or_insert(now);
            }
        }
    }

    fn is_needed(&self, peer: &Peer) -> bool {
        self.pairs_of(peer).into_iter().any(|id| {
            let open = |pair: &CandidatePair| {
                let decided = matches!(pair.state, PairState::Succeeded | PairState::Failed);
                pair.listed && (!decided || pair.valid.is_some())
            };
            self.kept().any(|(_, upkeep, _)| upkeep.pair == id)
                || self.is_selected(id)
                || self.lists.get(id).is_some_and(open)
        })
    }

    /// When something is due about connections.
    pub(super) fn connection_deadline(&self) -> Option<Timestamp> {
        let waiting = self.connections.waiting().iter().map(|waiting| match waiting {
            Waiting::Check(_) => self.pacer.next_packet(),
            Waiting::Reopen { at, .. } => (*at).max(self.pacer.next_start()),
        });
        let peers = self.connections.peers().filter_map(|(_, peer)| {
            let idle = peer.idle.map(|since| since + IDLE);
            [idle, peer.until()].into_iter().flatten().min()
        });
        waiting.chain(peers).min()
    }

    /// The session is over.
    pub(super) fn leave_peers(&mut self) {
        let all: SmallVec<[ConnectionId; 4]> = self.connections.peers().map(|(id, _)| id).collect();
        for id in all {
            self.connections.forget(id);
            self.notice(Notice::Report(Box::new(Report::CloseConnection(id))));
        }
        self.connections.leave();
    }
}
