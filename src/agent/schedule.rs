//! What is due, in which order, and when something will be due next.

use core::time::Duration;

use crate::checklist::{CandidatePair, Checklist, ChecklistState, Nomination, PairState, Setback};
use crate::id::PairId;
use crate::time::Timestamp;

use super::IceAgent;
use super::io::TimeoutReason;
use super::transactions::Purpose;

/// A check is hedged when it has gone unanswered for this long, and for one and a half round
/// trips.
const HEDGE_AFTER: Duration = Duration::from_millis(100);
/// Further checks that a pair may get that way.
const HEDGES: u8 = 4;
/// Unanswered requests after which a pair may make room for one that was never formed.
const TRANSMISSIONS_TO_RETIRE: u16 = 3;

impl IceAgent {
    /// Does what is due now, and computes when something is due next. Each round of the loop
    /// either sends something, which moves the pacer, or ends it.
    pub(super) fn run(&mut self) {
        // At the end of time every interval is over at once, and nothing could be due later.
        if self.is_closed() || self.now == Timestamp::MAX {
            self.deadline = None;
            if self.now != Timestamp::MAX {
                self.say_farewell();
            }
            return;
        }
        self.tend_servers();
        self.expire_connections();
        self.forget_past();
        self.release_candidates();
        self.pair_lite();
        loop {
            self.expire_checks();
            self.settle_contests();
            self.improve_paths();
            self.nominate();
            if self.upkeep() || self.start() || self.repeat_check() || self.repeat_asking() {
                continue;
            }
            if self.release_deferred() || self.tend_waiting() {
                continue;
            }
            break;
        }
        self.update_lists();
        self.update_state();
        // A lite agent does so at once.
        self.release_candidates();
        self.settle_connections();
        self.pass_on_commands();
        self.compute_deadline();
    }

    pub(super) fn compute_deadline(&mut self) {
        self.deadline = self.next_deadline().filter(|&(at, _)| at != Timestamp::MAX);
        if self.is_traced() {
            self.trace_changes();
        }
    }

    /// Uses this Ta slot, if it has come: for a check, or to ask a server (RFC 8445 §14.2). Where
    /// both want it they take turns, so that neither waits for all of the other.
    fn start(&mut self) -> bool {
        let may_ask = self.now >= self.pacer.next_request();
        let may_check = self.now >= self.pacer.next_check();
        let first = may_ask && self.server_turn && self.start_asking();
        let checked = !first && may_check && self.start_check();
        let asked = first || (may_ask && !checked && !self.server_turn && self.start_asking());
        if asked || checked {
            self.server_turn = checked;
        }
        asked || checked
    }

    /// Starts the check whose turn it is, if there is one (RFC 8445 §6.1.4.2).
    fn start_check(&mut self) -> bool {
        if !self.may_check() {
            return false;
        }
        let Some((pair, purpose)) = self.next_ordinary().or_else(|| self.next_idle()) else {
            return false;
        };
        if self.is_forbidden(pair) {
            self.checks.cancel(pair);
            self.lists.note_setback(pair, Setback::Forbidden);
            self.lists.fail(pair);
            return true;
        }
        self.begin_check(pair, purpose);
        true
    }

    /// The check whose turn it is, round-robin over the lists (RFC 8445 §6.1.4.2).
    fn next_ordinary(&mut self) -> Option<(PairId, Purpose)> {
        let lists = self.lists.lists().len();
        for step in 0..lists {
            let list = self.turn.saturating_add(step).checked_rem(lists)?;
            if let Some(pair) = self.lists.next_check(list) {
                self.turn = list.saturating_add(1);
                let nominates = self.is_nominating(pair);
                let purpose = if nominates { Purpose::Nominate } else { Purpose::Decide };
                return Some((pair, purpose));
            }
        }
        None
    }

    /// What a slot is used for that would stay idle: a pair behind a stalled one of its
    /// foundation, a pair that had no room so far, or a second chance for one that is not
    /// answered.
    fn next_idle(&mut self) -> Option<(PairId, Purpose)> {
        let now = self.now;
        let rto = self.config.timing.rto;
        let required = self.transmissions_to_retire();
        let silent = |pair: &CandidatePair| pair.attempts.first + rto <= now;
        for list in 0..self.lists.lists().len() {
            if self.lists.unfreeze_stalled(list, silent).is_some() {
                return self.next_ordinary();
            }
            let worn_out = |pair: &CandidatePair| {
                let sent = pair.attempts.transmissions;
                if pair.nomination != Nomination::None {
                    return None;
                }
                let retires = sent >= TRANSMISSIONS_TO_RETIRE || (sent >= required && silent(pair));
                retires.then(|| retire_rank(pair))
            };
            if let Some((retired, _)) = self.lists.retire(list, worn_out) {
                self.checks.cancel(retired);
                if let Some(check) = self.next_ordinary() {
                    return Some(check);
                }
            }
        }
        let pair = self.next_hedge()?;
        let nominates = self.is_nominating(pair);
        Some((pair, if nominates { Purpose::NominateAgain } else { Purpose::Hedge }))
    }

    /// How many requests a pair must have been sent before it may be retired. Three, unless the
    /// list turns over faster than the RTO allows three: at a small Ta the pairs behind would
    /// wait for retransmissions instead of slots.
    fn transmissions_to_retire(&self) -> u16 {
        let turnover =
            self.pacer.ta().saturating_mul(u32::try_from(self.lists.limit()).unwrap_or(u32::MAX));
        let rto = self.config.timing.rto;
        if turnover <= rto {
            1
        } else if turnover <= rto.saturating_mul(3) {
            2
        } else {
            TRANSMISSIONS_TO_RETIRE
        }
    }

    /// The most promising pair that may be sent another check.
    fn next_hedge(&self) -> Option<PairId> {
        if !self.config.timing.hedging {
            return None;
        }
        self.hedgeable()
            .filter(|(_, _, at)| *at <= self.now)
            .min_by_key(|(_, pair, _)| {
                (!pair.heard, pair.attempts.hedges, core::cmp::Reverse(pair.priority))
            })
            .map(|(id, _, _)| id)
    }

    /// The pairs that may be hedged, and when: In-Progress ones of components without a valid
    /// pair, and the one that is being nominated where none is selected. The latter is still one
    /// nomination (RFC 8445 §8.1.1): no other pair is nominated meanwhile.
    fn hedgeable(&self) -> impl Iterator<Item = (PairId, &CandidatePair, Timestamp)> {
        let wait = self.round_trip.map_or(HEDGE_AFTER, |rtt| {
            HEDGE_AFTER.max(rtt.saturating_add(rtt.checked_div(2).unwrap_or_default()))
        });
        let strict = self.config.strict_nomination;
        let open = self
            .streams
            .iter()
            .flat_map(|stream| &stream.components)
            .any(|component| component.selected.is_none());
        let lists = if open { self.lists.lists().len() } else { 0 };
        (0..lists).flat_map(move |list| self.lists.listed(list)).filter_map(move |(id, pair)| {
            let component = self.component(pair.stream, pair.component)?;
            let eligible = pair.attempts.hedges < HEDGES
                && match pair.state {
                    PairState::InProgress => component.valid_since.is_none(),
                    PairState::Succeeded => component.may_nominate_again(id, strict),
                    PairState::Frozen | PairState::Waiting | PairState::Failed => false,
                };
            eligible.then(|| (id, pair, pair.attempts.last + wait))
        })
    }

    /// Repeats the check that is due for the longest time, if the pacing allows one.
    fn repeat_check(&mut self) -> bool {
        let Some(id) = self.checks.to_repeat(self.now) else { return false };
        let busy = self.has_check();
        if self.pacer.next_retransmission(self.now, self.now, busy) > self.now {
            return false;
        }
        self.checks.repeated(id, self.now);
        self.pacer.retransmitted(self.now);
        if let Some(pair) = self.checks.get(id).map(|check| check.pair) {
            if let Some(pair) = self.lists.annotate(pair) {
                pair.attempts.transmissions = pair.attempts.transmissions.saturating_add(1);
                if self.config.statistics {
                    let counts = pair.counts.get_mut();
                    counts.retransmissions = counts.retransmissions.saturating_add(1);
                }
            }
        }
        self.output.check(id);
        true
    }

    /// Checks need the peer's parameters, and a full implementation (RFC 8445 §7), until the end.
    fn may_check(&self) -> bool {
        self.remote.is_some() && !self.config.lite && !self.is_closed()
    }

    pub(super) fn has_check(&self) -> bool {
        self.may_check() && (0..self.lists.lists().len()).any(|list| self.lists.has_check(list))
    }

    fn next_deadline(&self) -> Option<(Timestamp, TimeoutReason)> {
        let mut next: Option<(Timestamp, TimeoutReason)> = None;
        let mut consider = |at: Option<Timestamp>, reason| {
            if let Some(at) = at {
                if next.is_none_or(|(other, _)| at < other) {
                    next = Some((at, reason));
                }
            }
        };
        let busy = self.has_check();
        let start = self.pacer.next_start();
        let pacing = if busy {
            Some(self.pacer.next_check())
        } else {
            self.idle_deadline().map(|at| at.max(start))
        };
        consider(pacing, TimeoutReason::Pacing);
        if let Some(servers) = &self.servers {
            let request = self.pacer.next_request();
            consider(servers.slot_at().map(|at| at.max(request)), TimeoutReason::Pacing);
            let repeat = servers.repeat_at();
            let repeat = repeat.map(|due| self.pacer.next_retransmission(self.now, due, busy));
            consider(repeat, TimeoutReason::Retransmission);
            consider(servers.poll_timeout(), TimeoutReason::Server);
            let ready = (!servers.ready.is_empty()).then(|| self.pacer.next_packet());
            consider(ready, TimeoutReason::Retransmission);
        }
        let (repeat, end) = self.checks.deadlines();
        let repeat = repeat.map(|due| self.pacer.next_retransmission(self.now, due, busy));
        consider(repeat, TimeoutReason::Retransmission);
        consider(end, TimeoutReason::TransactionTimeout);
        consider(self.connection_deadline(), TimeoutReason::Connection);
        consider(self.nomination_deadline(), TimeoutReason::Nomination);
        if let Some((at, reason)) = self.upkeep_deadline() {
            consider(Some(at), reason);
        }
        let patience = self.patience.filter(|&at| at > self.now);
        consider(patience, TimeoutReason::PatienceEnds);
        consider(Some(self.forget), TimeoutReason::Forget);
        consider(Some(self.release), TimeoutReason::Release);
        next
    }

    /// When something is due after the end of the session.
    pub(super) fn farewell_deadline(&self) -> Option<(Timestamp, TimeoutReason)> {
        let servers = self.servers.as_ref()?;
        let start = self.pacer.next_start();
        let slot = servers.slot_at().map(|at| at.max(start));
        let repeat = servers.repeat_at();
        let repeat = repeat.map(|due| self.pacer.next_retransmission(self.now, due, false));
        let at = [slot, repeat, servers.poll_timeout()].into_iter().flatten().min()?;
        Some((at, TimeoutReason::Server))
    }

    /// When a slot that is idle now will have something to carry, without any input.
    fn idle_deadline(&self) -> Option<Timestamp> {
        if !self.may_check() {
            return None;
        }
        let running = |index: usize| {
            self.lists.lists().get(index).is_some_and(|list| list.state == ChecklistState::Running)
        };
        let rto = self.config.timing.rto;
        let mut next: Option<Timestamp> = None;
        let mut consider = |at: Timestamp| {
            next = Some(next.map_or(at, |other| other.min(at)));
        };
        for index in (0..self.lists.lists().len()).filter(|&index| running(index)) {
            let frozen = self.lists.listed(index).any(|(_, pair)| pair.state == PairState::Frozen);
            let prospects = self.lists.lists().get(index).is_some_and(Checklist::has_prospects);
            if frozen || prospects {
                for (_, pair) in self.lists.pairs() {
                    let silent = pair.attempts.first + rto;
                    if pair.state == PairState::InProgress && silent > self.now {
                        consider(silent);
                    }
                }
            }
        }
        if self.config.timing.hedging {
            for (_, _, at) in self.hedgeable() {
                consider(at);
            }
        }
        next
    }
}

/// Those that the peer was not heard on go first, then the pairs with the most transmissions, the
/// oldest attempt among equals.
fn retire_rank(pair: &CandidatePair) -> u64 {
    let age = u64::MAX.saturating_sub(pair.attempts.first.as_nanos()) >> 17;
    let transmissions = u64::from(pair.attempts.transmissions.min(0x7fff));
    (u64::from(!pair.heard) << 63) | (transmissions << 48) | age
}
