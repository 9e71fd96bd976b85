//! Keeping the paths in use: consent (RFC 7675), keepalives (RFC 8445 §11), and noticing when a
//! path has died.
//!
//! Consent and liveness are two things. Consent is the peer's leave to send: only its answers to
//! our checks renew it, and it lasts for 30 s. Liveness is any authenticated sign of the peer: it
//! tells a dead path much sooner.

use core::cmp::Reverse;
use core::time::Duration;

use rand_chacha::rand_core::Rng;
use smallvec::SmallVec;

use crate::checklist::{CandidatePair, Nomination, Setback};
use crate::config::{Role, Timing};
use crate::id::{PairId, StreamId};
use crate::stun::{Class, Writer, method};
use crate::time::Timestamp;

use super::contest::Contest;
use super::io::TimeoutReason;
use super::network::Rank;
use super::output::Notice;
use super::relay::Rendered;
use super::renomination::RoundTrips;
use super::transactions::Purpose;
use super::{ConnectionState, IceAgent};

/// Valid pairs that are kept under consent beside the selected one, to fail over to.
pub(super) const SPARES: usize = 2;
/// A path that has become doubtful is probed so often in half of `disconnected_after` that lost
/// packets alone do not make it count as dead.
const PROBES: u32 = 16;
/// A controlled agent follows a nomination away from a path on which it has heard nothing for
/// this long (what browsers take for a path that does not receive).
pub(super) const NOT_RECEIVING: Duration = Duration::from_millis(2500);
/// What is known of a pair that carries data, or is kept to.
#[derive(Clone, Debug, Hash)]
pub(super) struct Upkeep {
    pub(super) round_trips: RoundTrips,
    pub(super) pair: PairId,
    /// When the peer last answered a check of ours on it: from then on consent lasts (RFC 7675
    /// §5.1).
    answered: Timestamp,
    /// When the next consent check is due.
    check: Timestamp,
    /// When the peer last gave a sign of life on it.
    pub(super) sign: Timestamp,
    /// What it goes over is gone since then.
    broken: bool,
    /// When it last nominated it.
    pub(super) nominated: Timestamp,
    /// When it was probed last.
    probed: Timestamp,
    /// When something was sent on it last.
    sent: Timestamp,
}

impl Upkeep {
    /// Whether nothing was heard for so long that the path counts as dead.
    fn is_silent(&self, now: Timestamp, silence: Duration) -> bool {
        self.broken || self.sign + silence <= now
    }

    /// The peer has given a sign of life.
    fn heard(&mut self, now: Timestamp) {
        self.sign = now;
        self.broken = false;
    }

    fn consent_ends(&self, timing: &Timing) -> Timestamp {
        self.answered + timing.consent_timeout
    }

    /// When the next probe is due: because the path has fallen silent, until it counts as dead, or
    /// because half of the time that consent lasts has gone by without an answer, or because the
    /// peer has nominated another pair.
    fn next_probe(&self, now: Timestamp, timing: &Timing, contest: Option<&Contest>) -> Timestamp {
        let half = timing.consent_timeout.checked_div(2).unwrap_or_default();
        let step = half.checked_div(PROBES.saturating_mul(2)).unwrap_or_default();
        let mut for_consent = (self.answered + half).max(self.probed + step);
        if let Some(at) = contest.and_then(|contest| contest.next_probe(self.sign, self.probed)) {
            for_consent = for_consent.min(at);
        }
        if self.is_silent(now, timing.disconnected_after) {
            return for_consent;
        }
        let doubt = self.sign + doubt_after(timing);
        let step = timing.disconnected_after.checked_div(PROBES.saturating_mul(2));
        for_consent.min(doubt.max(self.probed + step.unwrap_or_default()))
    }
}

/// The silence after which a path is probed. While the peer answers, consent checks alone keep it
/// from falling silent for so long, if `disconnected_after` leaves time for them; otherwise half of
/// it.
fn doubt_after(timing: &Timing) -> Duration {
    let consent = timing.consent_interval.saturating_mul(5).checked_div(4).unwrap_or_default();
    let latest = timing.disconnected_after.saturating_mul(3).checked_div(4).unwrap_or_default();
    if consent <= latest {
        consent
    } else {
        timing.disconnected_after.checked_div(2).unwrap_or_default()
    }
}

/// What is due for a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Expire(PairId),
    Check(PairId),
    Keepalive(PairId),
}

impl IceAgent {
    /// How long a path that has died goes unnoticed at most, while it is selected.
    #[must_use]
    pub fn detect_time(&self) -> Duration {
        self.silence()
    }

    fn silence(&self) -> Duration {
        let timing = &self.config.timing;
        if self.config.lite { timing.lite_timeout } else { timing.disconnected_after }
    }

    /// A lite agent only answers consent checks (RFC 7675 §1).
    pub(super) fn asks_consent(&self) -> bool {
        self.config.consent && !self.config.lite
    }

    /// The application has proof that the peer is alive on this pair, such as a packet that it has
    /// authenticated itself. That is a sign of life, and never consent.
    pub fn note_activity(&mut self, now: Timestamp, pair: PairId) {
        self.advance(now);
        self.sign_of_life(pair);
        if self.state == ConnectionState::Disconnected {
            self.run();
        }
    }

    /// So many packets with so many bytes of payload were sent on a [`route`](Self::route) without
    /// [`send`](Self::send): no keepalive is due on it for a while, and statistics count them.
    pub fn note_sent(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        component: u16,
        packets: u64,
        bytes: u64,
    ) {
        self.advance(now);
        self.path_used(stream, component);
        self.count_sent(stream, component, packets, bytes);
    }

    /// An authenticated check came in on the pair, and its answer goes out on it.
    pub(super) fn path_answered(&mut self, pair: PairId) {
        let now = self.now;
        if let Some(upkeep) = self.upkeep_mut(pair) {
            upkeep.heard(now);
            upkeep.sent = now;
        }
    }

    /// The peer's check nominated the pair, which may be kept only since then.
    pub(super) fn note_nomination(&mut self, pair: PairId) {
        let now = self.now;
        if let Some(upkeep) = self.upkeep_mut(pair) {
            upkeep.heard(now);
            upkeep.nominated = now;
        }
    }

    /// What the path goes over is gone: it counts as silent from now on.
    pub(super) fn path_is_dead(&mut self, pair: PairId) {
        if let Some(upkeep) = self.upkeep_mut(pair) {
            upkeep.broken = true;
            upkeep.sign = Timestamp::ZERO;
        }
    }

    fn sign_of_life(&mut self, pair: PairId) {
        let now = self.now;
        if let Some(upkeep) = self.upkeep_mut(pair) {
            upkeep.heard(now);
        }
    }

    pub(super) fn path_used(&mut self, stream: StreamId, number: u16) {
        let now = self.now;
        let Some(component) = self.component_mut(stream, number) else { return };
        let path = component.path.as_ref().map(|path| path.pair);
        if let Some(upkeep) = component.upkeep.iter_mut().find(|other| Some(other.pair) == path) {
            upkeep.sent = now;
        }
    }

    /// The peer has answered a check of the pair (RFC 7675 §5.1), after this time if that is known.
    pub(super) fn consent_given(&mut self, pair: PairId, round_trip: Option<Duration>) {
        let now = self.now;
        if let Some(pair) = self.lists.annotate(pair) {
            pair.attempts.answered = now;
        }
        if let Some(upkeep) = self.upkeep_mut(pair) {
            upkeep.answered = now;
            upkeep.heard(now);
            upkeep.round_trips.extend(round_trip);
        }
    }

    /// Puts the pair that carries a component's data under upkeep.
    pub(super) fn keep_path(&mut self, stream: StreamId, number: u16) {
        let path = self.component(stream, number).and_then(|component| component.path.as_ref());
        if let Some(pair) = path.map(|path| path.pair) {
            self.keep(stream, number, pair);
        }
    }

    /// After a selection, or when another pair has become valid: the pairs that are kept are the
    /// selected one and the best other valid ones, those first that are not silent. The rest is
    /// valid no longer, since nothing renews their consent.
    pub(super) fn keep_spares(&mut self, stream: StreamId, number: u16, selected: PairId) {
        let silent = |id| {
            self.kept().any(|(_, upkeep, _)| {
                upkeep.pair == id && upkeep.is_silent(self.now, self.silence())
            })
        };
        let mut spares: Vec<(bool, Reverse<Rank>, PairId)> = self
            .lists
            .pairs()
            .filter(|(id, pair)| {
                *id != selected && pair.stream == stream && pair.component == number && !pair.past
            })
            .filter_map(|(id, pair)| Some((silent(id), Reverse(self.valid_rank(pair)?), id)))
            .collect();
        spares.sort_unstable();
        let room = if self.config.strict_nomination { 0 } else { SPARES };
        for (_, _, id) in spares.iter().skip(room) {
            if let Some(pair) = self.lists.annotate(*id) {
                pair.valid = None;
            }
        }
        spares.truncate(room);
        if let Some(component) = self.component_mut(stream, number) {
            component.upkeep.retain(|upkeep| {
                upkeep.pair == selected || spares.iter().any(|&(_, _, id)| id == upkeep.pair)
            });
        }
        self.keep(stream, number, selected);
        for (_, _, id) in spares {
            self.keep(stream, number, id);
        }
    }

    /// Before a selection: so many of the best valid pairs are kept, since any may be nominated.
    pub(super) fn keep_best(&mut self, stream: StreamId, number: u16) {
        let mut best: SmallVec<[(Reverse<Rank>, PairId); 4]> = self
            .lists
            .pairs()
            .filter(|(_, pair)| pair.stream == stream && pair.component == number && !pair.past)
            .filter_map(|(id, pair)| Some((Reverse(self.valid_rank(pair)?), id)))
            .collect();
        best.sort_unstable();
        best.truncate(SPARES.saturating_add(1));
        if let Some(component) = self.component_mut(stream, number) {
            let path = component.path.as_ref().map(|path| path.pair);
            component.upkeep.retain(|upkeep| {
                Some(upkeep.pair) == path || best.iter().any(|&(_, id)| id == upkeep.pair)
            });
        }
        for (_, id) in best {
            self.keep(stream, number, id);
        }
    }

    /// The valid pairs of a component for which nobody has asked for consent until it ended: they
    /// have to be checked anew before they carry anything (RFC 7675 §5.1).
    pub(super) fn doubt_stale_pairs(&mut self, stream: StreamId, number: u16) {
        if !self.asks_consent() {
            return;
        }
        let timeout = self.config.timing.consent_timeout;
        let kept = |id: PairId| self.kept().any(|(_, upkeep, _)| upkeep.pair == id);
        let stale: SmallVec<[PairId; 4]> = self
            .lists
            .pairs()
            .filter(|(_, pair)| pair.stream == stream && pair.component == number)
            .filter(|(id, pair)| {
                pair.valid.is_some() && pair.attempts.answered + timeout <= self.now && !kept(*id)
            })
            .map(|(id, _)| id)
            .collect();
        for id in stale {
            self.lists.doubt(id);
        }
    }

    fn keep(&mut self, stream: StreamId, number: u16, pair: PairId) {
        let now = self.now;
        let Some(component) = self.component(stream, number) else { return };
        if component.upkeep.iter().any(|upkeep| upkeep.pair == pair) {
            return;
        }
        let answered = self.lists.get(pair).map_or(now, |pair| pair.attempts.answered);
        let check = now + self.consent_interval();
        if let Some(component) = self.component_mut(stream, number) {
            component.upkeep.push(Upkeep {
                pair,
                answered,
                check,
                sign: answered,
                broken: false,
                nominated: answered,
                probed: answered,
                sent: now,
                round_trips: RoundTrips::default(),
            });
        }
    }

    /// After a change of the timing: the next consent check of each path is an interval away.
    pub(super) fn restart_upkeep(&mut self) {
        let pairs: SmallVec<[PairId; 4]> = self.kept().map(|(_, upkeep, _)| upkeep.pair).collect();
        for pair in pairs {
            let check = self.now + self.consent_interval();
            if let Some(upkeep) = self.upkeep_mut(pair) {
                upkeep.check = check;
            }
        }
    }

    /// RFC 7675 §5.1: 0.8 to 1.2 times the interval, so that the checks of many sessions do not
    /// fall into step. Where consent lasts for less than its 30 s it is asked for more often: what is
    /// kept beside the path in use is not probed, and must not lose it for want of a question.
    fn consent_interval(&mut self) -> Duration {
        let timing = &self.config.timing;
        let half = timing.consent_timeout.checked_div(2).unwrap_or_default();
        let interval = timing.consent_interval.min(half);
        let fifth = interval.checked_div(5).unwrap_or_default();
        let random = self.rng.next_u32() >> 16;
        let spread = fifth.saturating_mul(2).saturating_mul(random).checked_div(1 << 16);
        interval.saturating_sub(fifth).saturating_add(spread.unwrap_or_default())
    }

    /// Does what is due for the paths; whether anything was.
    pub(super) fn upkeep(&mut self) -> bool {
        let Some(task) = self.next_task() else { return false };
        match task {
            Task::Expire(pair) => self.consent_lost(pair, Setback::ConsentExpired),
            Task::Check(pair) => {
                if self.now < self.pacer.next_packet() {
                    return false;
                }
                let next = self.now + self.consent_interval();
                let now = self.now;
                if self.kept().any(|(_, upkeep, _)| upkeep.pair == pair && upkeep.check > now) {
                    self.doubt_relay(pair);
                }
                if let Some(upkeep) = self.upkeep_mut(pair) {
                    // A probe asks for consent as well, but the spacing of consent checks stands.
                    if upkeep.check <= now {
                        upkeep.check = next;
                    }
                    upkeep.probed = now;
                }
                if self.may_ask(pair) {
                    self.send_check(pair, Purpose::Consent);
                }
            }
            Task::Keepalive(pair) => {
                let now = self.now;
                if let Some(upkeep) = self.upkeep_mut(pair) {
                    upkeep.sent = now;
                }
                self.output.keepalive(pair);
            }
        }
        true
    }

    fn next_task(&self) -> Option<Task> {
        let timing = &self.config.timing;
        // First what does not wait for the spacing of packets.
        let expired = |upkeep: &Upkeep| upkeep.consent_ends(timing) <= self.now;
        let expired = self.kept().find(|(_, upkeep, _)| self.asks_consent() && expired(upkeep));
        if let Some((_, upkeep, _)) = expired {
            return Some(Task::Expire(upkeep.pair));
        }
        self.kept().find_map(|(component, upkeep, in_use)| {
            if self.asks_consent() {
                let probe = in_use
                    && upkeep.next_probe(self.now, timing, component.contest.as_deref())
                        <= self.now;
                (probe || upkeep.check <= self.now).then_some(Task::Check(upkeep.pair))
            } else if self.config.lite
                && upkeep.is_silent(self.now, self.silence().saturating_mul(2))
            {
                Some(Task::Expire(upkeep.pair))
            } else {
                let due = in_use && upkeep.sent + timing.keepalive <= self.now;
                due.then_some(Task::Keepalive(upkeep.pair))
            }
        })
    }

    /// When the next of these things is due.
    pub(super) fn upkeep_deadline(&self) -> Option<(Timestamp, TimeoutReason)> {
        let timing = &self.config.timing;
        let clear = self.pacer.next_packet();
        let mut next: Option<(Timestamp, TimeoutReason)> = None;
        let mut consider = |at: Timestamp, reason| {
            if next.is_none_or(|(other, _)| at < other) {
                next = Some((at, reason));
            }
        };
        for (component, upkeep, in_use) in self.kept() {
            if self.asks_consent() {
                consider(upkeep.consent_ends(timing), TimeoutReason::ConsentExpiry);
                consider(upkeep.check.max(clear), TimeoutReason::ConsentCheck);
                if in_use {
                    let contest = component.contest.as_deref();
                    let probe = upkeep.next_probe(self.now, timing, contest).max(clear);
                    consider(probe, TimeoutReason::Probe);
                    if let Some(contest) = contest.filter(|contest| contest.ends() > self.now) {
                        consider(contest.ends(), TimeoutReason::Nomination);
                    }
                    if !upkeep.is_silent(self.now, self.silence()) {
                        consider(upkeep.sign + self.silence(), TimeoutReason::Silence);
                    }
                }
            } else if in_use {
                consider(upkeep.sent + timing.keepalive, TimeoutReason::Keepalive);
                if self.config.lite {
                    let silent = upkeep.is_silent(self.now, self.silence());
                    let periods = if silent { 2 } else { 1 };
                    consider(
                        upkeep.sign + self.silence().saturating_mul(periods),
                        TimeoutReason::Silence,
                    );
                }
            }
        }
        next
    }

    /// Whether the answer to a consent check changes nothing but when the next things are due: all is
    /// concluded, no path is silent, none is looked for, and nothing has been due for a while.
    pub(super) fn is_settled(&self) -> bool {
        self.state == ConnectionState::Completed && !self.explores() && !self.is_due()
    }

    /// Whether what is due is a consent check, on a session in which there is nothing else to do: all
    /// is concluded, and no path has gone silent or is about to be left. What else has come due with
    /// it is due after it as well.
    pub(super) fn consent_alone_is_due(&self) -> bool {
        let timing = &self.config.timing;
        let sound = |(component, upkeep, _): (&super::Component, &Upkeep, bool)| {
            component.contest.is_none()
                && upkeep.consent_ends(timing) > self.now
                && !upkeep.is_silent(self.now, timing.disconnected_after)
        };
        let consent = matches!(self.deadline, Some((_, TimeoutReason::ConsentCheck)));
        consent
            && self.is_due()
            && self.state == ConnectionState::Completed
            && !self.explores()
            && self.kept().all(sound)
    }

    /// Everything under upkeep, and whether it is the path in use.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&super::Component, &Upkeep, bool)> {
        self.streams.iter().flat_map(|stream| &stream.components).flat_map(|component| {
            let path = component.path.as_ref().map(|path| path.pair);
            component
                .upkeep
                .iter()
                .map(move |upkeep| (component, upkeep, Some(upkeep.pair) == path))
        })
    }

    fn upkeep_mut(&mut self, pair: PairId) -> Option<&mut Upkeep> {
        self.streams
            .iter_mut()
            .flat_map(|stream| &mut stream.components)
            .flat_map(|component| &mut component.upkeep)
            .find(|upkeep| upkeep.pair == pair)
    }

    /// Whether a path in use has gone silent and nothing is under way to replace it.
    pub(super) fn is_disconnected(&self) -> bool {
        (self.config.consent || self.config.lite)
            && self.kept().any(|(component, upkeep, in_use)| {
                let silence = self.silence();
                let replaced = component.upkeep.iter().any(|other| {
                    component.nominating == Some(other.pair) && !other.is_silent(self.now, silence)
                });
                in_use && !replaced && upkeep.is_silent(self.now, silence)
            })
    }

    /// The valid pair to fail over to when the selected one has gone silent: the one that was
    /// heard last.
    pub(super) fn spare_for_dead_path(&self, stream: StreamId, number: u16) -> Option<PairId> {
        let component = self.component(stream, number)?;
        let selected = component.selected?;
        let dead = component
            .upkeep
            .iter()
            .any(|upkeep| upkeep.pair == selected && upkeep.is_silent(self.now, self.silence()));
        let kept = self.config.consent && !self.config.strict_nomination;
        if !kept || !dead || component.nominating.is_some() {
            return None;
        }
        let alive = |upkeep: &&Upkeep| {
            upkeep.pair != selected
                && self.lists.get(upkeep.pair).is_some_and(|pair| pair.valid.is_some())
                && component
                    .upkeep
                    .iter()
                    .any(|dead| dead.pair == selected && upkeep.sign > dead.sign)
        };
        let spare = component.upkeep.iter().filter(alive).max_by_key(|upkeep| upkeep.sign);
        spare.map(|upkeep| upkeep.pair)
    }

    /// Whether a pair has its consent and is not silent.
    pub(super) fn is_alive(&self, upkeep: &Upkeep) -> bool {
        self.asks_consent() && !upkeep.is_silent(self.now, self.silence())
    }

    /// Whether a nomination away from the selected pair is to be followed though that one is
    /// better: it has stopped receiving.
    pub(super) fn may_leave(&self, selected: PairId) -> bool {
        self.role() == Role::Controlling
            || (!self.config.strict_nomination && !self.is_receiving(selected))
    }

    /// Whether the peer has lately given a sign of life on a pair.
    pub(super) fn is_receiving(&self, pair: PairId) -> bool {
        self.kept()
            .find(|(_, upkeep, _)| upkeep.pair == pair)
            .is_some_and(|(_, upkeep, _)| !upkeep.broken && upkeep.sign + NOT_RECEIVING > self.now)
    }

    /// RFC 7675 §5.1, §5.2: nothing may be sent on this pair any more, until a restart.
    pub(super) fn consent_lost(&mut self, id: PairId, setback: Setback) {
        self.note_loss(id, setback);
        let Some(pair) = self.lists.annotate(id) else {
            // It has made room for another pair.
            for component in self.streams.iter_mut().flat_map(|stream| &mut stream.components) {
                component.upkeep.retain(|upkeep| upkeep.pair != id);
            }
            return;
        };
        let (stream, number) = (pair.stream, pair.component);
        pair.valid = None;
        pair.attempts.setback = setback;
        pair.expired = !self.config.lite;
        pair.nomination = Nomination::None;
        self.lists.fail(id);
        self.checks.discard(id);
        // The end of the path from before a restart is nothing that another one would mend.
        let previous =
            self.component(stream, number).is_some_and(|component| component.previous == Some(id));
        self.leave_pair(id, stream, number);
        self.notice(Notice::ConsentLost { stream, component: number, pair: id });
        if self.lists.best_valid(stream, number).is_none() && !previous {
            self.notice(Notice::RestartNeeded);
        }
    }

    /// Writes a keepalive: a Binding indication without credentials (RFC 8445 §11).
    pub(super) fn render_keepalive(&mut self, id: PairId, buf: &mut Vec<u8>) -> Option<Rendered> {
        let pair: &CandidatePair = self.lists.get(id)?;
        let (local, remote) = (pair.local, pair.remote);
        let to = self.candidates.remotes.get(remote)?.addr;
        let transaction = self.rng.transaction_id();
        let mut writer = Writer::new(buf, Class::Indication, method::BINDING, transaction);
        let range = writer.fingerprint().finish();
        let via = self.stream_between(local, remote);
        Some(Rendered { range, local, to, via })
    }
}
