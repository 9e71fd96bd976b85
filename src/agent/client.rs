//! The check client (RFC 8445 §7.2): sending checks and taking their answers.

use core::net::SocketAddr;

use crate::candidate::{CandidateKind, CandidateTransport, Transport};
use smallvec::SmallVec;

use crate::checklist::{Attempts, PairState, Setback, ValidPair};
use crate::config::Role;
use crate::id::{CandidateId, ConnectionId, PairId};
use crate::stun::{self, CheckRequest, Class, Scan, Schedule, TransactionId, Writer, method};

use super::IceAgent;
use super::candidates::{Candidates, Local, Membership, Remote};
use super::counters::Refused;
use super::embedding::Exchanges;
use super::generation::{LocalSide, RemoteSide};
use super::io::{Ignored, Route};
use super::output::Notice;
use super::relay::Rendered;
use super::tie_breaker;
use super::transactions::{Check, Purpose};

/// Changes of the role in one generation.
const ROLE_CHANGES: u8 = 16;

impl IceAgent {
    /// Starts a check of a pair (RFC 8445 §7.2.4), which takes a Ta slot.
    pub(super) fn send_check(&mut self, id: PairId, purpose: Purpose) {
        self.start_transaction(id, purpose);
        if purpose == Purpose::Consent {
            self.pacer.asked_consent(self.now);
        } else {
            self.pacer.started_check(self.now);
        }
    }

    /// Puts a check out.
    pub(super) fn start_transaction(&mut self, id: PairId, purpose: Purpose) {
        let timing = &self.config.timing;
        let timeout = timing.transaction_timeout();
        let reliable = self.lists.get(id).is_some_and(|pair| self.is_reliable(pair.local));
        let schedule = match purpose {
            Purpose::Consent => Schedule::once(self.now, timing.consent_timeout),
            Purpose::Hedge | Purpose::NominateAgain => Schedule::once(self.now, timeout),
            // RFC 8489 §6.2.2: TCP repeats what is lost.
            Purpose::Decide | Purpose::Nominate if reliable => Schedule::once(self.now, timeout),
            Purpose::Decide | Purpose::Nominate => {
                Schedule::new(self.now, timing.rto, timing.transmissions, timing.final_wait)
            }
        };
        let now = self.now;
        let role = self.role();
        let nomination = match purpose {
            Purpose::Nominate => self.next_nomination_value(id),
            Purpose::NominateAgain => self.last_nomination_value(id),
            Purpose::Decide | Purpose::Hedge | Purpose::Consent => None,
        };
        let aggressive = purpose != Purpose::Consent && self.nominates_aggressively();
        // The peer might follow where this side would not go: it leaves a path that is silent.
        let aggressive = aggressive && !self.is_worse_than_selected(id);
        let counting = self.config.statistics;
        let Some(pair) = self.lists.annotate(id) else { return };
        if counting {
            let counts = pair.counts.get_mut();
            let counted = match purpose {
                Purpose::Consent => &mut counts.consent_requests,
                _ => &mut counts.requests_sent,
            };
            *counted = counted.saturating_add(1);
        }
        if purpose != Purpose::Consent {
            let sent = &mut pair.attempts;
            match purpose {
                Purpose::Decide => *sent = Attempts { first: now, ..Attempts::default() },
                Purpose::Nominate => sent.hedges = 0,
                Purpose::Hedge | Purpose::NominateAgain | Purpose::Consent => {}
            }
            sent.last = now;
            sent.transmissions = sent.transmissions.saturating_add(1);
            sent.hedges = sent.hedges.saturating_add(u8::from(purpose.is_hedge()));
            if reliable {
                // What cannot be lost needs no further chances.
                sent.hedges = u8::MAX;
            }
        }
        let check = Check {
            id: self.rng.transaction_id(),
            pair: id,
            local: pair.local,
            remote: pair.remote,
            purpose,
            use_candidate: purpose.nominates() || aggressive,
            nomination,
            role,
            tie_breaker: self.tie_breaker,
            cancelled: false,
            ends: if purpose == Purpose::Consent { schedule.next() } else { now + timeout },
            schedule,
        };
        self.output.check(check.id);
        if self.checks.push(check, usize::from(self.config.limits.transactions)) {
            self.counters.refuse(Refused::Transaction);
        }
    }

    /// Writes a check (RFC 8445 §7.1, §7.2.2). A repetition is written anew: same id, same bytes, but
    /// for what rides in it.
    pub(super) fn render_check(
        &self,
        id: TransactionId,
        riding: Option<&mut Exchanges>,
        buf: &mut Vec<u8>,
    ) -> Option<Rendered> {
        let check = self.checks.get(id)?;
        let local = self.candidates.locals.get(check.local)?;
        let remote = self.candidates.remotes.get(check.remote)?;
        let (us, them) = self.sides_of(remote)?;
        let mut writer = Writer::new(buf, Class::Request, method::BINDING, id);
        writer.username(&[them.ufrag().as_bytes(), b":", us.credentials.ufrag().as_bytes()]);
        let request = CheckRequest {
            username: None,
            priority: Some(Candidates::reflexive_priority(local)),
            use_candidate: check.use_candidate,
            role: Some((check.role, check.tie_breaker)),
            nomination: check.nomination,
            network: self.config.tell_networks.then(|| local.network()),
        };
        request.write(&mut writer);
        self.write_embedded(riding, &mut writer, check.local, us.generation);
        let range = writer.integrity(&them.key).fingerprint().finish();
        let via = self.stream_between(check.local, check.remote);
        Some(Rendered { range, local: check.local, to: remote.addr, via })
    }

    /// Whether what leaves from a candidate goes over a transport that loses nothing.
    fn is_reliable(&self, local: CandidateId) -> bool {
        let transport = self.candidates.locals.get(local).map(|local| local.transport);
        transport.is_some_and(|transport| transport != CandidateTransport::Udp)
    }

    /// Both sides in the generation of a remote candidate.
    fn sides_of(&self, remote: &Remote) -> Option<(&LocalSide, &RemoteSide)> {
        let Membership::Of(generation) = remote.membership else { return None };
        Some((self.local_side(generation)?, self.remote_side(generation)?))
    }

    /// The route from a local candidate, which leaves from its base.
    pub(super) fn route_between(&self, local: CandidateId, to: SocketAddr) -> Option<Route> {
        let (transport, local, remote) = self.candidates.path(local, to)?;
        super::is_datagram(transport).then_some(Route::Datagram { transport, local, remote })
    }

    /// A response to a check (RFC 8445 §7.2.5). Whether all that it did was to renew consent.
    pub(super) fn handle_response(
        &mut self,
        scan: &Scan<'_>,
        at: CandidateId,
        from: SocketAddr,
        connection: Option<ConnectionId>,
    ) -> Result<bool, Ignored> {
        let id = scan.transaction_id();
        let check = self.checks.get(id).ok_or(Ignored::UnknownTransaction)?;
        let remote =
            self.candidates.remotes.get(check.remote).ok_or(Ignored::UnknownTransaction)?;
        let (_, them) = self.sides_of(remote).ok_or(Ignored::UnknownTransaction)?;
        // RFC 8489 §9.1.4: a response that cannot be trusted is as if it had never come, an error
        // without integrity among them.
        let same =
            connection.is_none() || connection == self.stream_between(check.local, check.remote);
        let symmetric = check.local == at && remote.addr == from && same;
        if !scan.verify(&them.key) {
            self.forged_response(id, symmetric && connection.is_some());
            self.observed.forged_answer(stun::message::read_error(scan).map(|error| error.code));
            return Err(Ignored::BadIntegrity);
        }
        let current = remote.is_of(self.local.generation);
        let Some(check) = self.checks.take(id) else { return Err(Ignored::UnknownTransaction) };
        if let Some(connection) = connection {
            self.prove(connection);
        }
        self.observed.answer();
        let round_trip = check.schedule.round_trip(self.now);
        self.count(check.pair, |counts| counts.response(round_trip));
        let understood = scan.unknown_required(stun::attribute::is_known).next().is_none();
        let mapped = stun::xor_mapped_address(scan).map(crate::address::normal);
        if self.is_traced() {
            let error = stun::message::read_error(scan).map(|error| error.code);
            self.trace_response(&check, from, symmetric, mapped, error);
        }
        if self.embedding.is_some() && current && scan.class() == Class::Success {
            self.take_embedded(scan, check.local, true);
        }
        match (scan.class(), mapped) {
            (Class::Success, Some(mapped)) if symmetric && understood => {
                self.check_succeeded(&check, mapped);
                return Ok(check.purpose == Purpose::Consent);
            }
            (Class::Error, _) if understood => {
                let code = stun::message::read_error(scan).map(|error| error.code);
                let setback = code.map_or(Setback::Unusable, Setback::Refused);
                match code {
                    // The roles of an earlier generation are no matter any more. Those of this one
                    // are, from whatever address the answer comes: §7.2.5.1 stands before the
                    // symmetry of §7.2.5.2.1.
                    Some(487) if current && self.may_switch_role() => {
                        self.role_conflict_reported(&check);
                    }
                    // RFC 7675 §5.2: consent is revoked.
                    Some(403) if check.purpose == Purpose::Consent && symmetric => {
                        self.consent_lost(check.pair, Setback::ConsentRevoked);
                    }
                    _ => self.check_failed(&check, setback),
                }
            }
            // RFC 8445 §7.2.5.2.1: not symmetric. RFC 8489 §6.3.3: nothing that can be used.
            _ if symmetric => self.check_failed(&check, Setback::Unusable),
            _ => self.check_failed(&check, Setback::AnsweredElsewhere),
        }
        Ok(false)
    }

    /// RFC 8489 §9.1.4: what cannot be trusted ends the transaction where nothing else will come. Over
    /// TCP the peer has said it itself, or somebody who could as well close the connection.
    fn forged_response(&mut self, id: TransactionId, over_its_connection: bool) {
        let check = if over_its_connection { self.checks.take(id) } else { None };
        if let Some(check) = check {
            self.check_failed(&check, Setback::Unusable);
            self.run();
        }
    }

    /// Ends the checks that nobody has answered (RFC 8445 §7.2.5.2.3).
    pub(super) fn expire_checks(&mut self) {
        while let Some(check) = self.checks.expired(self.now) {
            if self.is_traced() {
                self.trace_expired(&check);
            }
            self.count(check.pair, |counts| {
                counts.unanswered = counts.unanswered.saturating_add(1);
            });
            let decides = check.purpose == Purpose::Decide || check.purpose.nominates();
            if !check.cancelled && decides {
                self.check_failed(&check, Setback::Unanswered);
            }
        }
    }

    /// RFC 8445 §7.2.5.2: the pair has failed, and with it its nomination. A nomination that was
    /// asked for several times fails with the last of them that could have been answered.
    fn check_failed(&mut self, check: &Check, setback: Setback) {
        if check.purpose == Purpose::Consent {
            return;
        }
        let Some(pair) = self.lists.annotate(check.pair) else { return };
        if pair.state != PairState::Failed {
            pair.attempts.setback = setback;
        }
        let state = pair.state;
        match state {
            // A connection that was opened again, and does not reach the peer.
            PairState::Succeeded if check.purpose.nominates() && self.is_renewed(check.pair) => {
                self.consent_lost(check.pair, setback);
            }
            PairState::Succeeded if check.purpose.nominates() => {
                if !self.checks.iter().any(|other| other.is_open_nomination_of(check.pair)) {
                    self.nomination_failed(check.pair);
                }
            }
            // An answer to an older check has decided already, or a newer check will.
            PairState::Succeeded | PairState::Failed => {}
            PairState::Frozen | PairState::Waiting => {
                if !check.cancelled {
                    self.lists.fail(check.pair);
                }
            }
            PairState::InProgress => {
                self.checks.cancel(check.pair);
                self.lists.fail(check.pair);
            }
        }
    }

    /// RFC 8445 §7.2.5.1: the peer says that both sides have the same role. The role to take is
    /// the opposite of the one that the request claimed, so that several such answers switch it
    /// once. The tie breaker changes with it.
    fn role_conflict_reported(&mut self, check: &Check) {
        let pair = check.pair;
        if check.role == self.role() {
            self.switch_role(check.role.opposite());
            self.tie_breaker = tie_breaker(&mut self.rng);
        }
        // What has succeeded by another check since is not checked again.
        let succeeded = self.lists.get(pair).is_some_and(|pair| pair.state == PairState::Succeeded);
        let decided = succeeded && !check.purpose.nominates();
        if check.purpose == Purpose::Consent || decided {
            return;
        }
        // It speaks for all of them.
        self.checks.discard_nominations(pair);
        self.checks.cancel(pair);
        self.lists.queue(pair);
    }

    /// Two agents settle a conflict with one change. A peer that asks for many is wrong or means
    /// ill, and its answers are errors like any other from then on.
    pub(super) fn may_switch_role(&self) -> bool {
        self.role_changes < ROLE_CHANGES
    }

    /// Takes the other role (RFC 8445 §7.2.5.1, §7.3.1.1).
    pub(super) fn switch_role(&mut self, role: Role) {
        self.role_changes = self.role_changes.saturating_add(1);
        self.lists.set_role(role);
        self.abandon_nominations();
        self.notice(Notice::RoleChanged(role));
    }

    /// RFC 8445 §7.2.5.3: the peer saw the check come from `mapped`.
    fn check_succeeded(&mut self, check: &Check, mapped: SocketAddr) {
        let round_trip = check.schedule.round_trip(self.now);
        if check.purpose == Purpose::Consent {
            self.consent_given(check.pair, round_trip);
            return;
        }
        let Some(pair) = self.revive(check) else { return };
        self.round_trip = round_trip.or(self.round_trip);
        self.lists.unqueue_plain(pair);
        self.checks.cancel_where(|other| other.pair == pair && !other.purpose.nominates());
        if check.purpose.nominates() {
            self.checks.discard_nominations(pair);
        }
        self.lists.succeed(pair);
        self.lists.hear(pair);
        if let Some(annotated) = self.lists.annotate(pair) {
            annotated.attempts.rtt = round_trip.or(annotated.attempts.rtt);
        }
        let Some(valid) = self.note_valid(pair, check, mapped) else { return };
        if let Some(annotated) = self.lists.annotate(valid) {
            annotated.attempts.answered = self.now;
        }
        self.consent_given(valid, round_trip);
        self.validated(valid, check.proof());
    }

    /// The pair of a check, formed anew when it made room for another one in the meantime.
    fn revive(&mut self, check: &Check) -> Option<PairId> {
        if let Some(id) = self.lists.find(check.local, check.remote) {
            return Some(id);
        }
        let (stream, component) = {
            let local = self.candidates.locals.get(check.local)?;
            (local.stream, local.component)
        };
        if self.component(stream, component)?.selected.is_some() {
            return None;
        }
        let id = self.insert_pair(check.local, check.remote);
        if id.is_none() {
            self.counters.refuse(Refused::Pair);
        }
        id
    }

    /// Inserts a pair of two candidates into the checklist of the local one.
    pub(super) fn insert_pair(
        &mut self,
        local: CandidateId,
        remote: CandidateId,
    ) -> Option<PairId> {
        let candidate = self.candidates.locals.get(local)?;
        let (stream, component) = (candidate.stream, candidate.component);
        let local = self.candidates.local_endpoint(local)?;
        let remote = self.candidates.remote_endpoint(remote)?;
        self.lists.insert(stream, component, local, remote)
    }

    /// RFC 8445 §7.2.5.3.2: adds to the valid list what the check has proved. The entry stands at
    /// the pair whose base and remote candidate it uses.
    fn note_valid(&mut self, checked: PairId, check: &Check, mapped: SocketAddr) -> Option<PairId> {
        let pair = self.lists.get(checked)?;
        let remote = pair.remote;
        let seen = self.seen_as(check.local, mapped)?;
        let base = self.candidates.base_of(seen);
        let holder = if base == check.local {
            checked
        } else {
            match self.lists.find(base, remote) {
                Some(other) => other,
                None => self.insert_pair(base, remote)?,
            }
        };
        if holder != checked {
            self.lists.succeed(holder);
        }
        let local_priority = self.candidates.locals.get(seen)?.priority;
        let role = self.role();
        let pair = self.lists.annotate(holder)?;
        let priority = crate::checklist::priority_in(role, local_priority, pair.remote_priority);
        let generated_by = pair.valid.map_or(checked, |valid| valid.generated_by);
        pair.valid = Some(ValidPair { local: seen, generated_by, local_priority, priority });
        self.lists.revise();
        Some(holder)
    }

    /// The local candidate behind the address that the peer saw; a new peer-reflexive one when
    /// there is none (RFC 8445 §7.2.5.3.1).
    fn seen_as(&mut self, base: CandidateId, mapped: SocketAddr) -> Option<CandidateId> {
        let local = self.candidates.locals.get(base)?;
        let (stream, component) = (local.stream, local.component);
        let transport = local.transport.transport();
        let known = self.candidates.local_seen_at(stream, component, transport, mapped, base);
        if known.is_some() {
            return known;
        }
        let priority = Candidates::reflexive_priority(local);
        let local = local.clone();
        if transport == Transport::Tcp {
            self.drop_unseen(base);
        }
        if self.candidates.locals.len() >= usize::from(self.config.limits.local_candidates) {
            self.counters.refuse(Refused::LocalCandidate);
            return Some(base);
        }
        let reflexive = Local {
            kind: CandidateKind::PeerReflexive,
            addr: mapped,
            base: Some(base),
            priority,
            conveyed: true,
            ..local
        };
        let foundation = self.candidates.unique_foundation();
        self.candidates.locals.insert(Local { foundation, ..reflexive })
    }

    /// Every connection is seen from another port: the candidates of those that are gone go as well.
    fn drop_unseen(&mut self, base: CandidateId) {
        let unseen: SmallVec<[CandidateId; 4]> = self
            .candidates
            .locals
            .iter()
            .filter(|(id, local)| {
                let mut pairs = self.lists.pairs();
                local.base == Some(base)
                    && local.kind == CandidateKind::PeerReflexive
                    && pairs.all(|(_, pair)| pair.valid.is_none_or(|valid| valid.local != *id))
            })
            .map(|(id, _)| id)
            .collect();
        if !unseen.is_empty() {
            self.candidates.remove_locals(&unseen);
        }
    }

    /// Where a datagram arrived.
    pub(super) fn local_at(&self, transport: Transport, addr: SocketAddr) -> Option<CandidateId> {
        // The paths in use first, so that what arrives there costs the same with any number of
        // candidates.
        let paths = self
            .streams
            .iter()
            .flat_map(|stream| &stream.components)
            .filter_map(|component| component.path.as_ref());
        for path in paths {
            if path.local_addr == addr && path.transport == transport {
                return Some(path.local);
            }
        }
        self.candidates.local_at(transport, addr)
    }
}
