//! Renomination (draft-thatcher-ice-renomination-01): moving a session to another pair without a
//! restart, by nominations that carry a value, the highest of which counts.

use core::time::Duration;

use smallvec::SmallVec;

use crate::candidate::CandidateKind;
use crate::checklist::{CandidatePair, Nomination, PairState};
use crate::config::{NominationMode, Role};
use crate::id::{PairId, StreamId};
use crate::time::Timestamp;

use super::call_error::RenominateError;
use super::upkeep::{SPARES, Upkeep};
use super::{Component, IceAgent};

/// The ICE option of the draft's §3.
pub(super) const RENOMINATION: &str = "renomination";
/// The value of NOMINATION has 24 bits (§4).
const MAX_VALUE: u32 = 0x00ff_ffff;
/// How long a selected pair stays selected before a better one takes its place.
const HOLD: Duration = Duration::from_secs(10);
/// Round trips that must have been measured on both pairs before they are compared.
const SAMPLES: u8 = 3;
/// By how much a round trip must be shorter to be worth a change, beside a fifth of the longer one.
const GAIN: Duration = Duration::from_millis(10);

/// The values of NOMINATION of one component in one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct NominationValues {
    /// The last that was sent.
    sent: u32,
    /// The highest that came, and the pair that it came for.
    received: Option<(u32, PairId)>,
    /// When the selected pair became so.
    since: Timestamp,
}

/// The smoothed round-trip time of a pair (RFC 6298 §2, the smoothing alone).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct RoundTrips {
    smoothed_micros: u32,
    samples: u8,
}

impl RoundTrips {
    pub(super) fn extend(&mut self, sample: Option<Duration>) {
        let Some(sample) = sample else { return };
        let sample = sample.as_micros().min(u128::from(u32::MAX));
        let kept = u128::from(self.smoothed_micros).saturating_mul(7);
        let smoothed = if self.samples == 0 {
            Some(sample)
        } else {
            kept.saturating_add(sample).checked_div(8)
        };
        self.smoothed_micros = smoothed.and_then(|rtt| rtt.try_into().ok()).unwrap_or(u32::MAX);
        self.samples = self.samples.saturating_add(1);
    }

    /// The smoothed value, once there are enough samples for it.
    fn settled(self) -> Option<Duration> {
        let smoothed = Duration::from_micros(u64::from(self.smoothed_micros));
        (self.samples >= SAMPLES).then_some(smoothed)
    }
}

impl Upkeep {
    fn is_shorter_than(&self, other: &Self) -> bool {
        let (own, other) = (self.round_trips.settled(), other.round_trips.settled());
        own.zip(other).is_some_and(|(own, other)| {
            let fifth = other.checked_div(5).unwrap_or_default();
            own.saturating_add(fifth).saturating_add(GAIN) < other
        })
    }
}

impl Component {
    fn values(&self) -> NominationValues {
        self.values.as_deref().copied().unwrap_or_default()
    }

    fn values_mut(&mut self) -> &mut NominationValues {
        self.values.get_or_insert_default()
    }
}

impl IceAgent {
    /// Nominates another valid pair of a component that has a selected one: data moves there when
    /// the peer has acknowledged it. Legal while the role is controlling and both sides have
    /// offered the option `renomination`. A nomination that is under way is given up for it.
    ///
    /// # Errors
    /// The pair cannot be nominated; nothing has changed then.
    pub fn renominate(&mut self, now: Timestamp, pair: PairId) -> Result<(), RenominateError> {
        self.advance(now);
        if self.is_closed() {
            return Err(RenominateError::Closed);
        }
        if self.role() != Role::Controlling {
            return Err(RenominateError::NotControlling);
        }
        if !self.may_renominate() {
            return Err(RenominateError::NotNegotiated);
        }
        let known = self.lists.get(pair).filter(|pair| !pair.past);
        let known = known.ok_or(RenominateError::UnknownPair)?;
        let (stream, number) = (known.stream, known.component);
        let generated_by = known.valid.ok_or(RenominateError::NotValid)?.generated_by;
        let component = self.component(stream, number).ok_or(RenominateError::UnknownPair)?;
        if component.selected.is_none() {
            return Err(RenominateError::NotSelectedYet);
        }
        if component.selected == Some(pair) {
            return Err(RenominateError::Selected);
        }
        if component.values().sent >= MAX_VALUE {
            return Err(RenominateError::Exhausted);
        }
        self.begin_renomination(stream, number, generated_by);
        self.run();
        Ok(())
    }

    /// Whether both sides have offered to take further nominations (§3).
    pub(super) fn may_renominate(&self) -> bool {
        self.config.nomination.renominates()
            && self.remote.as_ref().is_some_and(|remote| {
                remote.parameters.options.iter().any(|option| option == RENOMINATION)
            })
    }

    /// The value that the next nomination of a pair carries (§4).
    pub(super) fn next_nomination_value(&mut self, id: PairId) -> Option<u32> {
        if !self.may_renominate() {
            return None;
        }
        let pair = self.lists.get(id)?;
        let (stream, number) = (pair.stream, pair.component);
        let values = self.component_mut(stream, number)?.values_mut();
        values.sent = values.sent.saturating_add(1).min(MAX_VALUE);
        Some(values.sent)
    }

    /// The value of the nomination that is under way, when it is asked for once more.
    pub(super) fn last_nomination_value(&self, id: PairId) -> Option<u32> {
        if !self.may_renominate() {
            return None;
        }
        let pair = self.lists.get(id)?;
        Some(self.component(pair.stream, pair.component)?.values().sent)
    }

    /// Whether a check of the peer nominates. "The controlled side MUST select the nomination with the
    /// largest value" (§4); any value counts for more than none. Values are followed whether this
    /// side has offered to or not: some peers send them unasked.
    pub(super) fn is_newest_nomination(
        &mut self,
        id: PairId,
        use_candidate: bool,
        value: Option<u32>,
    ) -> bool {
        if self.config.strict_nomination || self.role() != Role::Controlled {
            return use_candidate;
        }
        let Some(pair) = self.lists.get(id) else { return false };
        let (stream, number) = (pair.stream, pair.component);
        let Some(component) = self.component_mut(stream, number) else { return false };
        match (value.map(|value| value & MAX_VALUE), component.values().received) {
            (None, known) => use_candidate && known.is_none_or(|(_, pair)| pair == id),
            (Some(value), Some((highest, pair))) if value <= highest => {
                value == highest && pair == id
            }
            (Some(value), _) => {
                component.values_mut().received = Some((value, id));
                true
            }
        }
    }

    /// Whether it is the pair that the peer has nominated with its highest value.
    pub(super) fn is_nominated_by_value(&self, id: PairId) -> bool {
        let by_value = |pair: &CandidatePair| {
            let component = self.component(pair.stream, pair.component)?;
            Some(component.values().received?.1 == id)
        };
        self.role() == Role::Controlled && self.lists.get(id).and_then(by_value).unwrap_or(false)
    }

    /// A pair was selected: the next change is not at once.
    pub(super) fn note_selection(&mut self, stream: StreamId, number: u16) {
        if !self.config.nomination.renominates() {
            return;
        }
        let now = self.now;
        if let Some(component) = self.component_mut(stream, number) {
            component.values_mut().since = now;
            for upkeep in &mut component.upkeep {
                upkeep.round_trips = RoundTrips::default();
            }
        }
    }

    fn begin_renomination(&mut self, stream: StreamId, number: u16, generated_by: PairId) {
        let Some(component) = self.component_mut(stream, number) else { return };
        if let Some(given_up) = component.nominating.replace(generated_by) {
            if let Some(pair) = self.lists.annotate(given_up) {
                pair.nomination = Nomination::None;
            }
            self.lists.unqueue(given_up);
            self.checks.cancel_where(|check| check.pair == given_up && check.purpose.nominates());
        }
        if let Some(pair) = self.lists.annotate(generated_by) {
            pair.nomination = Nomination::Pending;
        }
        if self.is_traced() {
            self.trace_nominating(generated_by);
        }
        self.lists.queue(generated_by);
    }

    /// Whether this side looks for better paths by itself.
    pub(super) fn explores(&self) -> bool {
        self.config.nomination == NominationMode::Renomination { automatic: true }
            && self.role() == Role::Controlling
            && self.may_renominate()
    }

    /// Whether further pairs of a component are checked after its first nomination, since they may
    /// turn out to be better.
    pub(super) fn wants_spares(&self, stream: StreamId, number: u16) -> bool {
        let kept = self.component(stream, number).map_or(0, |component| component.upkeep.len());
        self.explores() && kept <= SPARES
    }

    /// Whether a pair that the peer still checks is checked in return after the conclusion, since the
    /// peer may nominate it later.
    pub(super) fn may_become_spare(&self, id: PairId) -> bool {
        let wanted = |pair: &CandidatePair| {
            let component = self.component(pair.stream, pair.component)?;
            Some(component.selected? != id && component.upkeep.len() <= SPARES)
        };
        self.may_renominate() && self.lists.get(id).and_then(wanted).unwrap_or(false)
    }

    /// Checks what nomination would otherwise have ended, best first.
    pub(super) fn queue_undecided(&mut self, stream: StreamId, number: u16) {
        let Some(list) = self.lists.index(stream) else { return };
        let undecided: SmallVec<[PairId; 8]> = self
            .lists
            .listed(list)
            .filter(|(_, pair)| {
                pair.component == number
                    && matches!(pair.state, PairState::Frozen | PairState::Waiting)
            })
            .map(|(id, _)| id)
            .collect();
        for id in undecided {
            self.lists.queue(id);
        }
    }

    /// There are spare paths enough: the checks of others end as nomination would have ended them.
    pub(super) fn stop_exploring(&mut self, stream: StreamId, number: u16) {
        if !self.explores() || self.wants_spares(stream, number) {
            return;
        }
        let selected = self.component(stream, number).and_then(|component| component.selected);
        let pair = selected.and_then(|id| Some((id, self.lists.get(id)?)));
        let Some((id, pair)) = pair else { return };
        if let Some(valid) = pair.valid {
            let standing = pair.standing();
            self.conclude(stream, number, id, valid.generated_by, standing);
        }
    }

    /// Moves to a better path, if that is wanted and there is one.
    pub(super) fn improve_paths(&mut self) {
        if !self.explores() {
            return;
        }
        while let Some((stream, number, generated_by)) = self.next_improvement() {
            self.begin_renomination(stream, number, generated_by);
        }
    }

    fn next_improvement(&self) -> Option<(StreamId, u16, PairId)> {
        self.streams.iter().find_map(|stream| {
            stream.components.iter().find_map(|component| {
                let better = self.better_path(component)?;
                Some((stream.id, component.number, self.lists.get(better)?.valid?.generated_by))
            })
        })
    }

    /// The best pair under upkeep that is worth leaving the selected one for.
    fn better_path(&self, component: &Component) -> Option<PairId> {
        let values = component.values();
        let settled = values.since + HOLD <= self.now;
        if component.nominating.is_some() || !settled || values.sent >= MAX_VALUE {
            return None;
        }
        let selected = component.selected?;
        let current = component.upkeep.iter().find(|upkeep| upkeep.pair == selected)?;
        component
            .upkeep
            .iter()
            .filter(|upkeep| upkeep.pair != selected && self.is_alive(upkeep))
            .filter(|upkeep| self.is_worth_it(current, upkeep))
            .min_by_key(|upkeep| (self.burden(upkeep.pair), upkeep.round_trips.smoothed_micros))
            .map(|upkeep| upkeep.pair)
    }

    fn is_worth_it(&self, current: &Upkeep, other: &Upkeep) -> bool {
        let (Some(here), Some(there)) = (self.burden(current.pair), self.burden(other.pair)) else {
            return false;
        };
        let settled = other.round_trips.settled().is_some();
        settled && (there < here || (there == here && other.is_shorter_than(current)))
    }

    /// Whether the round trips of a pair are clearly shorter than those of another one.
    pub(super) fn is_shorter(&self, than: PairId, id: PairId) -> bool {
        let upkeep = |id| self.kept().find(|(_, upkeep, _)| upkeep.pair == id);
        match (upkeep(than), upkeep(id)) {
            (Some((_, than, _)), Some((_, it, _))) => it.is_shorter_than(than),
            _ => false,
        }
    }

    /// What a path costs, the least first: relaying counts for more than the interface.
    pub(super) fn burden(&self, id: PairId) -> Option<(bool, u16)> {
        let pair = self.lists.get(id)?;
        let local = self.candidates.locals.get(pair.local)?;
        let remote = self.candidates.remotes.get(pair.remote)?;
        let relayed = [local.kind, remote.kind].contains(&CandidateKind::Relayed);
        pair.valid?;
        Some((relayed, local.cost))
    }
}
