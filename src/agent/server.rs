//! The check server (RFC 8445 §7.3): incoming datagrams, requests and their answers, checks that
//! come early.

use core::net::SocketAddr;
use core::time::Duration;

use smallvec::SmallVec;

use crate::address;
use crate::candidate::Transport;
use crate::candidate::network::Network;
use crate::checklist::{CandidatePair, Triggered};
use crate::config::Role;
use crate::id::{CandidateId, ConnectionId, PairId, StreamId};
use crate::stun::{
    self, CheckRequest, Class, Fingerprint, IntegrityKeySha256, Scan, TransactionId, Writer,
    attribute, method,
};
use crate::time::Timestamp;

use super::candidates::Membership;
use super::counters::Refused;
use super::embedding::Exchanges;
use super::generation::{Generation, LocalSide, RemoteSide};
use super::io::{Ignored, Received};
use super::output::{ErrorReply, Reply};
use super::relay::Rendered;
use super::{ConnectionState, IceAgent};

/// A check that was answered before the peer's parameters were known (RFC 8445 §7.3).
#[derive(Clone, Debug, Hash)]
pub(super) struct EarlyCheck {
    local: CandidateId,
    from: SocketAddr,
    id: TransactionId,
    priority: u32,
    use_candidate: bool,
    nomination: Option<u32>,
    network: Option<Network>,
    /// Whom it was sent to.
    generation: Generation,
    /// The peer's username fragment: checks of another peer or generation are not for us.
    ufrag: Box<[u8]>,
}

/// The early checks, at most one for each path and peer.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct EarlyChecks {
    checks: Vec<EarlyCheck>,
}

impl EarlyChecks {
    /// Whether there was room.
    fn push(&mut self, check: EarlyCheck, limit: usize) -> bool {
        let same = |other: &&mut EarlyCheck| {
            other.local == check.local
                && other.from == check.from
                && other.generation == check.generation
                && other.ufrag == check.ufrag
        };
        if let Some(known) = self.checks.iter_mut().find(same) {
            known.use_candidate |= check.use_candidate;
            known.nomination = known.nomination.max(check.nomination);
            known.network = check.network.or(known.network);
            return true;
        }
        let room = self.checks.len() < limit;
        if room {
            self.checks.push(check);
        }
        room
    }

    /// Whether a check has come to a candidate from an address.
    pub(super) fn has_come(&self, local: CandidateId, from: SocketAddr) -> bool {
        self.checks.iter().any(|check| check.local == local && check.from == from)
    }

    /// Forgets the checks that were sent to a generation.
    pub(super) fn forget(&mut self, generation: Generation) {
        self.checks.retain(|check| check.generation != generation);
    }

    pub(super) fn clear(&mut self) {
        self.checks.clear();
    }
}

/// Tokens for answers that anybody can ask for.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    tokens: u16,
    size: u16,
    refilled: Timestamp,
}

impl TokenBucket {
    pub(super) const fn new(size: u16) -> Self {
        Self { tokens: size, size, refilled: Timestamp::ZERO }
    }

    /// Takes a token, if there is one; the bucket is full again a second later.
    fn take(&mut self, now: Timestamp) -> bool {
        if now - self.refilled >= Duration::from_secs(1) {
            self.tokens = self.size;
            self.refilled = now;
        }
        let taken = self.tokens.checked_sub(1);
        self.tokens = taken.unwrap_or(0);
        taken.is_some()
    }
}

/// Where a message came in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) local: CandidateId,
    pub(super) from: SocketAddr,
    /// The connection, if it was one.
    via: Option<ConnectionId>,
    id: TransactionId,
    len: usize,
    /// The generation that a request was sent to: the current one unless its USERNAME says
    /// otherwise.
    generation: Generation,
}

impl IceAgent {
    /// A datagram arrived from `remote` at the socket of `local`, which must have been added.
    ///
    /// STUN is dealt with; application data comes back as [`Received::Data`] if an authenticated
    /// message has arrived on the same path before.
    pub fn handle_datagram<'a>(
        &mut self,
        now: Timestamp,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &'a [u8],
    ) -> Received<'a> {
        self.advance(now);
        let received = self.receive(transport, local, remote, datagram);
        received.unwrap_or_else(|reason| {
            if self.is_traced() {
                self.trace_ignored(reason, local, remote, datagram.len());
            }
            self.ignore(reason)
        })
    }

    fn receive<'a>(
        &mut self,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        let (local, from) = (address::normal(local), address::normal(remote));
        if self.servers.is_some() && transport == Transport::Udp {
            if let Some(received) = self.receive_from_server(local, from, datagram) {
                return received;
            }
        }
        self.receive_direct(transport, local, from, datagram)
    }

    /// What comes from a peer, be it that a server has relayed it. The addresses are in their
    /// normal form.
    pub(super) fn receive_direct<'a>(
        &mut self,
        transport: Transport,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        if self.is_closed() {
            return Err(Ignored::Closed);
        }
        if !stun::is_stun(datagram) {
            return self.receive_data(transport, local, from, datagram);
        }
        let local = self.local_at(transport, local).ok_or(Ignored::UnknownLocal)?;
        self.receive_stun(local, from, None, datagram)
    }

    /// A message of a frame on a connection to a peer.
    pub(super) fn receive_framed<'a>(
        &mut self,
        connection: ConnectionId,
        local: CandidateId,
        from: SocketAddr,
        message: &'a [u8],
    ) -> Result<Received<'a>, Ignored> {
        if stun::is_stun(message) {
            self.receive_stun(local, from, Some(connection), message)
        } else {
            self.receive_stream_data(connection, local, from, message)
        }
    }

    fn receive_stun<'a>(
        &mut self,
        local: CandidateId,
        from: SocketAddr,
        via: Option<ConnectionId>,
        datagram: &[u8],
    ) -> Result<Received<'a>, Ignored> {
        if self.config.policies.is_some() && self.is_for_servers_alone(local) {
            return Err(Ignored::Policy);
        }
        let scan = stun::scan(datagram).map_err(|_| Ignored::MalformedStun)?;
        if scan.fingerprint() == Fingerprint::Bad {
            return Err(Ignored::BadFingerprint);
        }
        if scan.method() != method::BINDING {
            return Err(Ignored::UnexpectedMessage);
        }
        let (id, len, generation) = (scan.transaction_id(), datagram.len(), self.local.generation);
        let arrival = Arrival { local, from, via, id, len, generation };
        match scan.class() {
            Class::Request => self.handle_request(&scan, arrival)?,
            Class::Success | Class::Error => {
                let renewed = self.handle_response(&scan, local, from, via)?;
                if renewed && self.is_settled() {
                    self.compute_deadline();
                } else {
                    self.run();
                }
            }
            // RFC 8445 §11: a keepalive. It is not authenticated, and says nothing.
            Class::Indication => {}
        }
        Ok(Received::Consumed)
    }

    /// RFC 8445 §7.3, RFC 8489 §9.1.3.
    fn handle_request(&mut self, scan: &Scan<'_>, arrival: Arrival) -> Result<(), Ignored> {
        let username = scan.find(attribute::USERNAME);
        let integrity = scan.has_integrity() || scan.has_integrity_sha256();
        let Some(username) = username.filter(|_| integrity) else {
            self.refuse(scan, arrival, 400);
            return Err(Ignored::MissingCredentials);
        };
        let Some((addressee, remote_ufrag)) = self.addressee(username) else {
            self.observed.foreign_request();
            self.refuse(scan, arrival, 401);
            return Err(Ignored::UnknownUser);
        };
        if !is_authentic(scan, addressee) {
            self.observed.foreign_request();
            self.refuse(scan, arrival, 401);
            return Err(Ignored::BadIntegrity);
        }
        let arrival = Arrival { generation: addressee.generation, ..arrival };
        if arrival.generation == self.local.generation {
            self.observed.request();
        }
        // Everything below is the word of the peer.
        if let Some(connection) = arrival.via {
            self.prove(connection);
        }
        let mut unknown = scan.unknown_required(attribute::is_known);
        if let Some(first) = unknown.next() {
            let unknown = core::iter::once(first).chain(unknown).collect();
            self.reply_error(scan, arrival, 420, unknown);
            return Ok(());
        }
        let Ok(request) = CheckRequest::read(scan) else {
            self.reply_error(scan, arrival, 400, SmallVec::new());
            return Ok(());
        };
        let reply = Reply {
            local: arrival.local,
            to: arrival.from,
            via: arrival.via,
            id: scan.transaction_id(),
            generation: arrival.generation,
            sha256: !scan.has_integrity(),
        };
        if self.is_traced() {
            self.trace_request(&reply, &request);
        }
        let role_before = self.role();
        let past = arrival.generation < self.local.generation;
        // An answer says that data will be taken. A check to old credentials by a peer of the new
        // generation comes from where none is taken, unless that is the path that was kept; a peer
        // that is told otherwise prefers that pair to those of the new generation. Browsers check so
        // that have not heard of our new credentials when they have gathered.
        let kept = if past { self.kept_pair(arrival) } else { None };
        let of_then = |side: &RemoteSide| side.ufrag().as_bytes() == remote_ufrag;
        if past && kept.is_none() && !self.remote_side(arrival.generation).is_some_and(of_then) {
            self.refuse(scan, arrival, 401);
            return Err(Ignored::UnknownUser);
        }
        if let Some((role, tie_breaker)) = request.role.filter(|_| !past) {
            if !self.settle_roles(role, tie_breaker) {
                self.reply_error(scan, arrival, 487, SmallVec::new());
                return Ok(());
            }
        }
        let staged = arrival.generation > self.local.generation;
        let early = staged || self.remote.is_none();
        let nominates = request.use_candidate || request.nomination.is_some();
        // A nomination that would be forgotten is not answered: the peer comes again with it.
        if early && !self.keep_early(arrival, &request, remote_ufrag) && nominates {
            return Err(Ignored::LimitReached);
        }
        if !self.output.reply(reply, &mut self.counters) {
            return Err(Ignored::LimitReached);
        }
        if self.embedding.is_some() && !past && (early || self.is_from_peer(remote_ufrag)) {
            self.take_embedded(scan, arrival.local, !early);
        }
        if let Some(pair) = kept {
            // The peer still uses that path, and that is all that it says.
            self.path_answered(pair);
            self.count_request(pair);
        } else if !past && !early && self.is_from_peer(remote_ufrag) {
            let changed = self.check_arrived(arrival, &request);
            if changed || role_before != self.role() {
                self.run();
            }
        }
        Ok(())
    }

    fn count_request(&mut self, pair: PairId) {
        self.count(pair, |counts| {
            counts.requests_received = counts.requests_received.saturating_add(1);
        });
    }

    fn is_from_peer(&self, ufrag: &[u8]) -> bool {
        self.remote.as_ref().is_some_and(|remote| remote.ufrag().as_bytes() == ufrag)
    }

    /// The pair of an earlier generation on which a check arrived, if it is one that was kept.
    fn kept_pair(&self, arrival: Arrival) -> Option<PairId> {
        let local = self.candidates.locals.get(arrival.local)?;
        let membership = Membership::Of(arrival.generation);
        let (stream, component) = (local.stream, local.component);
        let transport = local.transport.transport();
        let remote =
            self.candidates.remote_in(&membership, stream, component, transport, arrival.from)?;
        self.lists.find(arrival.local, remote)
    }

    /// RFC 8445 §7.3.1.1: whether the request may be processed, after a change of our role if
    /// need be. Otherwise the peer is to change its.
    fn settle_roles(&mut self, theirs: Role, tie_breaker: u64) -> bool {
        let ours = self.role();
        if ours != theirs {
            return true;
        }
        // A lite agent stays controlled towards a full peer, whatever that one claims.
        let we_win = self.tie_breaker >= tie_breaker;
        if self.config.lite {
            if ours == Role::Controlling {
                self.switch_role(Role::Controlled);
            }
            return ours == Role::Controlling;
        }
        let wanted = match ours {
            Role::Controlling => !we_win,
            Role::Controlled => we_win,
        };
        let switch = wanted && self.may_switch_role();
        if switch {
            self.switch_role(ours.opposite());
        }
        switch
    }

    /// Answers a request that is not authenticated, if that is allowed: nobody can use the agent
    /// to send more than was sent to it.
    fn refuse(&mut self, scan: &Scan<'_>, arrival: Arrival, code: u16) {
        if !self.config.answer_unauthenticated {
            return;
        }
        if !self.bucket.take(self.now) {
            self.counters.refuse(Refused::UnauthenticatedReply);
            return;
        }
        let mut answer = Vec::new();
        let id = scan.transaction_id();
        let len = stun::message::encode_error(&mut answer, method::BINDING, id, code, &[], None);
        if len.len() > arrival.len {
            self.counters.refuse(Refused::LargeReply);
        } else {
            let error = Self::error_reply(scan, arrival, code, SmallVec::new(), false);
            self.output.error(error, &mut self.counters);
        }
    }

    fn reply_error(
        &mut self,
        scan: &Scan<'_>,
        arrival: Arrival,
        code: u16,
        unknown: SmallVec<[u16; 4]>,
    ) {
        let error = Self::error_reply(scan, arrival, code, unknown, true);
        self.output.error(error, &mut self.counters);
    }

    fn error_reply(
        scan: &Scan<'_>,
        arrival: Arrival,
        code: u16,
        unknown: SmallVec<[u16; 4]>,
        authenticated: bool,
    ) -> ErrorReply {
        let reply = Reply {
            local: arrival.local,
            to: arrival.from,
            via: arrival.via,
            id: scan.transaction_id(),
            generation: arrival.generation,
            sha256: !scan.has_integrity(),
        };
        ErrorReply { reply, code, unknown, authenticated }
    }

    /// RFC 8445 §7.3: what came before the parameters is processed when they are there. Whether there
    /// was room for it.
    fn keep_early(&mut self, arrival: Arrival, request: &CheckRequest<'_>, ufrag: &[u8]) -> bool {
        let check = EarlyCheck {
            local: arrival.local,
            from: arrival.from,
            id: arrival.id,
            priority: request.priority.unwrap_or(0),
            use_candidate: request.use_candidate,
            nomination: request.nomination,
            network: request.network,
            generation: arrival.generation,
            ufrag: ufrag.into(),
        };
        let kept = self.early.push(check, usize::from(self.config.limits.early_checks));
        if !kept {
            self.counters.refuse(Refused::EarlyCheck);
        }
        kept
    }

    pub(super) fn process_early_checks(&mut self) {
        let early = core::mem::take(&mut self.early);
        for check in early.checks {
            let EarlyCheck { local, from, id, generation, .. } = check;
            if generation == self.local.generation && self.is_from_peer(&check.ufrag) {
                let arrival = Arrival { local, from, via: None, id, len: 0, generation };
                let request = CheckRequest {
                    username: None,
                    priority: (check.priority > 0).then_some(check.priority),
                    use_candidate: check.use_candidate,
                    role: None,
                    nomination: check.nomination,
                    network: check.network,
                };
                self.check_arrived(arrival, &request);
            }
        }
    }

    /// An authenticated check of the peer: RFC 8445 §7.3.1.3 to §7.3.1.5. Whether it changed
    /// anything.
    fn check_arrived(&mut self, arrival: Arrival, request: &CheckRequest<'_>) -> bool {
        let on_path = self.path_of(arrival);
        if let Some(pair) = on_path {
            self.path_answered(pair);
            self.count_request(pair);
            let costs = request.network.is_some_and(|network| self.network_heard(pair, network));
            if !request.use_candidate && request.nomination.is_none() {
                return costs || self.state() == ConnectionState::Disconnected;
            }
            if request.nomination.is_none() && self.is_nominated_already(pair) {
                self.note_nomination(pair);
                return costs || self.state() == ConnectionState::Disconnected;
            }
        }
        let Some((remote, discovered)) = self.remote_of(arrival, request) else {
            return false;
        };
        if let Some(network) = request.network {
            self.candidates.note_network(remote, network);
        }
        let Some(local) = self.candidates.locals.get(arrival.local) else { return false };
        let (stream, component) = (local.stream, local.component);
        let pair = self.pair_for_check(stream, component, arrival.local, remote, discovered);
        let Some(id) = pair else {
            self.counters.refuse(Refused::Pair);
            return false;
        };
        self.path_answered(id);
        if on_path.is_none() {
            self.count_request(id);
        }
        self.lists.hear(id);
        if let Some(pair) = self.lists.annotate(id) {
            if pair.last_request.replace(arrival.id) == Some(arrival.id) {
                return false;
            }
        }
        let nominates = self.is_newest_nomination(id, request.use_candidate, request.nomination);
        if self.config.lite {
            if nominates {
                self.nominated_lite(id);
            }
            return true;
        }
        let better = self.is_better_than_selected(id);
        let pursued = (nominates && (better || self.is_nominated_by_value(id)))
            || (better && self.nominates_aggressively());
        let spare = self.may_become_spare(id);
        let way_out = self.is_way_out(id);
        if pursued || spare || (nominates && way_out) {
            self.lists.reopen(id);
        }
        if pursued || spare || way_out {
            self.lists.relist(id);
        }
        let triggered = self.lists.trigger(id);
        if triggered == Triggered::CancelAndQueue {
            self.checks.cancel(id);
        }
        // Without a check of ours it comes to nothing, and is no nomination of a later one's.
        if nominates && triggered != Triggered::Unlisted {
            self.nominated_by_peer(id);
        }
        true
    }

    /// The pair that a check belongs to. After the conclusion a new one stays out of its checklist:
    /// it is there for data (RFC 8445 §12.2). But when the address is new as well the peer has
    /// moved, and the pair is checked.
    fn pair_for_check(
        &mut self,
        stream: StreamId,
        component: u16,
        local: CandidateId,
        remote: CandidateId,
        discovered: bool,
    ) -> Option<PairId> {
        let known = self.lists.find(local, remote);
        if known.is_some() {
            return known;
        }
        if discovered || self.component(stream, component)?.selected.is_none() {
            return self.insert_pair(local, remote);
        }
        let local = self.candidates.local_endpoint(local)?;
        let remote = self.candidates.remote_endpoint(remote)?;
        self.lists.insert_aside(stream, component, local, remote)
    }

    /// Whether a pair may be turned to although another one is selected, when one of the sides
    /// nominates aggressively: only a better one (RFC 8445 §8.1.1). What this side has nominated
    /// that way, the peer may have selected though our check of it has failed: its own check of
    /// that path, which tells it, is the reason for another one of ours.
    fn is_better_than_selected(&self, id: PairId) -> bool {
        let better = |pair: &CandidatePair| {
            let selected = self.component(pair.stream, pair.component)?.selected?;
            Some(self.rank(pair) > self.rank(self.lists.get(selected)?))
        };
        let may = self.role() == Role::Controlled || self.nominates_aggressively();
        may && self.lists.get(id).and_then(better).unwrap_or(false)
    }

    /// Whether a pair that nomination has left behind is worth a check: the peer uses it, and the
    /// selected one is lost or has stopped receiving.
    fn is_way_out(&self, id: PairId) -> bool {
        let way_out = |pair: &CandidatePair| {
            let component = self.component(pair.stream, pair.component)?;
            let Some(selected) = component.selected else { return Some(true) };
            let kept = self.config.consent && !self.config.strict_nomination;
            Some(kept && selected != id && !self.is_receiving(selected))
        };
        self.lists.get(id).and_then(way_out).unwrap_or(false)
    }

    /// Whether the pair is the selected one of a controlled agent, nominated by USE-CANDIDATE alone and
    /// by checks of itself: a peer that nominates with every check says nothing new by it.
    fn is_nominated_already(&self, id: PairId) -> bool {
        let nominated = |pair: &CandidatePair| {
            let component = self.component(pair.stream, pair.component)?;
            let selected = component.selected? == id && component.values.is_none();
            Some(selected && pair.listed && pair.valid?.generated_by == id)
        };
        let decided = self.role() == Role::Controlled && !self.config.lite;
        decided && self.lists.get(id).and_then(nominated).unwrap_or(false)
    }

    /// The pair of a selected path, on which a check has nothing to change.
    fn path_of(&self, arrival: Arrival) -> Option<PairId> {
        self.streams
            .iter()
            .flat_map(|stream| &stream.components)
            .filter(|component| component.selected.is_some())
            .filter_map(|component| component.path.as_ref())
            .find(|path| path.local == arrival.local && path.remote_addr == arrival.from)
            .map(|path| path.pair)
    }

    /// Writes the success response to a check (RFC 8445 §7.3.1.2).
    pub(super) fn render_reply(
        &self,
        reply: &Reply,
        riding: Option<&mut Exchanges>,
        buf: &mut Vec<u8>,
    ) -> Option<Rendered> {
        let side = self.local_side(reply.generation)?;
        let mut writer = Writer::new(buf, Class::Success, method::BINDING, reply.id);
        writer.xor_address(attribute::XOR_MAPPED_ADDRESS, reply.to);
        self.write_embedded(riding, &mut writer, reply.local, reply.generation);
        seal(&mut writer, side, reply.sha256);
        let range = writer.fingerprint().finish();
        Some(Rendered { range, local: reply.local, to: reply.to, via: reply.via })
    }

    /// Writes an error response (RFC 8489 §6.3.1.1).
    pub(super) fn render_error(&self, error: &ErrorReply, buf: &mut Vec<u8>) -> Option<Rendered> {
        let reply = &error.reply;
        let side = self.local_side(reply.generation)?;
        let mut writer =
            stun::message::begin_error(buf, method::BINDING, reply.id, error.code, &error.unknown)?;
        if error.authenticated {
            seal(&mut writer, side, reply.sha256);
        }
        let range = writer.fingerprint().finish();
        Some(Rendered { range, local: reply.local, to: reply.to, via: reply.via })
    }
}

fn is_authentic(scan: &Scan<'_>, side: &LocalSide) -> bool {
    if scan.has_integrity() {
        scan.verify(&side.key)
    } else {
        scan.verify_sha256(&sha256_key(side))
    }
}

/// Appends the integrity of an answer: of the sort that the request had (RFC 8489 §9.1.3).
fn seal(writer: &mut Writer<'_>, side: &LocalSide, sha256: bool) {
    if sha256 {
        writer.integrity_sha256(&sha256_key(side));
    } else {
        writer.integrity(&side.key);
    }
}

/// Made when it is needed: peers that send SHA-256 alone are rare, and the key is large.
fn sha256_key(side: &LocalSide) -> IntegrityKeySha256 {
    IntegrityKeySha256::short_term(side.credentials.pwd().as_bytes())
}
