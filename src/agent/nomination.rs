//! Nomination and conclusion (RFC 8445 §8), and the states that follow from them.

use core::time::Duration;

use crate::checklist::{CandidatePair, ChecklistState, Nomination, PairState, ValidPair};
use crate::config::{NominationMode, Role};
use crate::id::{PairId, StreamId};
use crate::time::Timestamp;

use super::candidates::{Named, Usage};
use super::explain::Chosen;
use super::io::GatheringState;
use super::output::Notice;
use super::transactions::Proof;
use super::{Component, ConnectionState, IceAgent, Stream};

impl IceAgent {
    /// A pair has become valid, or was found valid again.
    pub(super) fn validated(&mut self, id: PairId, proof: Proof) {
        let now = self.now;
        let Some(pair) = self.lists.get(id) else { return };
        let (stream, number) = (pair.stream, pair.component);
        let pending = pair
            .valid
            .and_then(|valid| self.lists.get(valid.generated_by))
            .is_some_and(|pair| pair.nomination == Nomination::Pending);
        if let Some(component) = self.component_mut(stream, number) {
            component.valid_since.get_or_insert(now);
        }
        self.unfail(stream);
        let concluded = match self.role() {
            Role::Controlling => match proof {
                Proof::Valid => false,
                Proof::NominatedByTheWay => !self.is_worse_than_selected(id),
                Proof::Nominated => true,
            },
            Role::Controlled => pending,
        };
        if concluded {
            self.select(id);
        } else {
            self.refresh_path(stream, number);
            let component = self.component(stream, number);
            if let Some(selected) = component.and_then(|component| component.selected) {
                self.keep_spares(stream, number, selected);
                self.stop_exploring(stream, number);
            } else {
                self.keep_best(stream, number);
            }
        }
    }

    /// An answer that was late for its check takes the checklist out of Failed, as the peer's check of
    /// a failed pair does.
    fn unfail(&mut self, stream: StreamId) {
        let list = self.lists.index(stream).filter(|_| !self.config.strict_nomination);
        if let Some(list) = list.filter(|&list| {
            self.lists.lists().get(list).is_some_and(|list| list.state == ChecklistState::Failed)
        }) {
            self.lists.set_list_state(list, ChecklistState::Running);
        }
    }

    /// Nominates what is ready to be (RFC 8445 §8.1.1).
    pub(super) fn nominate(&mut self) {
        if self.role() != Role::Controlling || self.remote.is_none() || self.config.lite {
            return;
        }
        while let Some((stream, number, generated_by)) = self.next_nomination() {
            if let Some(component) = self.component_mut(stream, number) {
                component.nominating = Some(generated_by);
            }
            if let Some(pair) = self.lists.annotate(generated_by) {
                pair.nomination = Nomination::Pending;
            }
            if self.is_traced() {
                self.trace_nominating(generated_by);
            }
            self.lists.queue(generated_by);
        }
    }

    /// A component that is ready for it, and the pair whose check is to be repeated (RFC 8445
    /// §8.1.1): the one that produced the valid pair.
    fn next_nomination(&self) -> Option<(StreamId, u16, PairId)> {
        self.components().find_map(|(stream, number)| {
            let ready = || {
                let (id, at) = self.candidate_for_nomination(stream, number)?;
                (at <= self.now).then_some(id)
            };
            let id = self.spare_for_dead_path(stream, number).or_else(ready)?;
            Some((stream, number, self.lists.get(id)?.valid?.generated_by))
        })
    }

    /// When the waiting for better pairs ends.
    pub(super) fn nomination_deadline(&self) -> Option<Timestamp> {
        if self.role() != Role::Controlling || self.config.lite {
            return None;
        }
        self.components()
            .filter_map(|(stream, number)| self.candidate_for_nomination(stream, number))
            .map(|(_, at)| at)
            .filter(|&at| at > self.now)
            .min()
    }

    /// The best valid pair of a component that has not been nominated yet, and when it may be: as
    /// soon as no better pair can be expected to succeed, and at the latest after
    /// `nomination_wait`. All components of the stream must have a valid pair.
    fn candidate_for_nomination(
        &self,
        stream: StreamId,
        number: u16,
    ) -> Option<(PairId, Timestamp)> {
        let components = &self.streams.iter().find(|other| other.id == stream)?.components;
        let component = components.iter().find(|component| component.number == number)?;
        if component.selected.is_some() || component.nominating.is_some() {
            return None;
        }
        if components.iter().any(|component| component.valid_since.is_none()) {
            return None;
        }
        let list = self.lists.index(stream)?;
        if self.lists.lists().get(list)?.state != ChecklistState::Running {
            return None;
        }
        let id = self.best_valid(stream, number)?;
        let valid = self.lists.get(id)?;
        let rank = self.valid_rank(valid)?;
        let weighs = self.weighs_networks();
        let since = component.valid_since?;
        let patience = since + self.config.timing.nomination_wait;
        let rtt = valid.attempts.rtt.or(self.round_trip);
        let mut wait = self.now;
        for (other_id, other) in self.lists.listed(list) {
            if !weighs && other.priority <= rank.1 {
                break;
            }
            if other.component != number || other_id == id || self.rank(other) <= rank {
                continue;
            }
            let until = match other.state {
                PairState::Succeeded | PairState::Failed => continue,
                PairState::Waiting | PairState::Frozen => None,
                // Twice the round trip would be more patient, but would break the time to
                // selection that the design promises: a dead pair ahead costs its slot only.
                PairState::InProgress => rtt.map(|rtt| other.attempts.first + rtt),
            };
            wait = wait.max(until.unwrap_or(patience)).min(patience);
        }
        Some((id, wait.max(since + self.acceptance_wait(id))))
    }

    /// How long a pair waits to be nominated because of the kinds of its candidates.
    fn acceptance_wait(&self, id: PairId) -> Duration {
        let kinds = || {
            let pair = self.lists.get(id)?;
            let local = pair.valid.map_or(pair.local, |valid| valid.local);
            let local = self.candidates.locals.get(local)?.kind;
            Some([local, self.candidates.remotes.get(pair.remote)?.kind])
        };
        let policies = self.policies();
        policies
            .zip(kinds())
            .map_or(Duration::ZERO, |(policies, kinds)| policies.acceptance.of(kinds))
    }

    /// Whether the next check of a pair carries USE-CANDIDATE.
    pub(super) fn is_nominating(&self, id: PairId) -> bool {
        let nominating = |pair: &CandidatePair| {
            let component = self.component(pair.stream, pair.component)?;
            Some(component.nominating == Some(id))
        };
        self.role() == Role::Controlling && self.lists.get(id).and_then(nominating).unwrap_or(false)
    }

    /// RFC 8445 §7.2.5.3.4, with the next best valid pair in place of a failed checklist unless the
    /// letter of it is wanted.
    pub(super) fn nomination_failed(&mut self, generated_by: PairId) {
        let Some(pair) = self.lists.get(generated_by) else { return };
        let (stream, number) = (pair.stream, pair.component);
        let holders: Vec<PairId> = self
            .lists
            .pairs()
            .filter(|(_, pair)| pair.valid.is_some_and(|valid| valid.generated_by == generated_by))
            .map(|(id, _)| id)
            .collect();
        for id in holders {
            if let Some(pair) = self.lists.annotate(id) {
                pair.valid = None;
            }
            if let Some(component) = self.component_mut(stream, number) {
                component.upkeep.retain(|upkeep| upkeep.pair != id);
            }
        }
        if let Some(pair) = self.lists.annotate(generated_by) {
            pair.nomination = Nomination::None;
        }
        self.checks.cancel(generated_by);
        self.lists.fail(generated_by);
        if self.config.strict_nomination {
            if let Some(list) = self.lists.index(stream) {
                self.lists.set_list_state(list, ChecklistState::Failed);
            }
        }
        let spare = self.lists.best_valid(stream, number).is_some();
        if let Some(component) = self.component_mut(stream, number) {
            component.nominating = None;
            if !spare {
                component.valid_since = None;
            }
        }
        self.refresh_path(stream, number);
    }

    /// The peer's check carried USE-CANDIDATE (RFC 8445 §7.3.1.5). It takes effect when our own
    /// check of the pair has succeeded.
    pub(super) fn nominated_by_peer(&mut self, id: PairId) {
        if self.role() != Role::Controlled {
            return;
        }
        let Some(pair) = self.lists.annotate(id) else { return };
        if pair.nomination == Nomination::None {
            pair.nomination = Nomination::Pending;
        }
        let holder = self
            .lists
            .pairs()
            .find(|(_, pair)| pair.valid.is_some_and(|valid| valid.generated_by == id))
            .map(|(id, _)| id);
        if let Some(holder) = holder {
            self.select(holder);
            self.note_nomination(holder);
        }
    }

    /// Settles a component on a valid pair (RFC 8445 §8.1.2). Among several that the peer has
    /// nominated the best one stands (RFC 8445 §8.1.1).
    pub(super) fn select(&mut self, id: PairId) {
        let Some(pair) = self.lists.get(id) else { return };
        let (stream, number) = (pair.stream, pair.component);
        let Some(ValidPair { generated_by, .. }) = pair.valid else { return };
        let by_value = self.is_nominated_by_value(generated_by);
        let Some(component) = self.component(stream, number) else { return };
        let before = component.selected;
        if let Some(annotated) = self.lists.annotate(generated_by) {
            annotated.nomination = Nomination::Nominated;
        }
        if let Some(annotated) = self.lists.annotate(id) {
            annotated.nomination = Nomination::Nominated;
        }
        if before == Some(id) {
            if let Some(component) = self.component_mut(stream, number) {
                component.nominating = None;
            }
            return;
        }
        let stays =
            |before| self.is_worse_than_selected(id) && !by_value && !self.may_leave(before);
        if before.is_some_and(stays) && !self.wins_contest(stream, number, id) {
            return;
        }
        self.settle_on(id);
    }

    /// A component's data takes this valid pair from now on.
    pub(super) fn settle_on(&mut self, id: PairId) {
        let Some(pair) = self.lists.get(id) else { return };
        let (stream, number) = (pair.stream, pair.component);
        let Some(ValidPair { local, generated_by, .. }) = pair.valid else { return };
        let before = self.component(stream, number).and_then(|component| component.selected);
        if let Some(before) = before {
            self.unbind_channel(before);
        }
        self.bind_channel(id);
        let choice = self.choice(before, id);
        if let Some(component) = self.component_mut(stream, number) {
            component.selected = Some(id);
            component.chosen = Chosen(choice);
            component.changes.note(component.previous != Some(id));
            component.nominating = None;
            component.previous = None;
            component.contest = None;
        }
        self.conclude(stream, number, id, generated_by);
        self.keep_spares(stream, number, id);
        self.note_selection(stream, number);
        self.refresh_path(stream, number);
        self.notice(Notice::SelectedPair { stream, component: number, pair: id, local });
    }

    /// RFC 8445 §8.1.1, by the valid pairs: the same path has another priority in the checklist of
    /// one side than in that of the other one where a NAT is between them.
    pub(super) fn is_worse_than_selected(&self, id: PairId) -> bool {
        let worse = |pair: &CandidatePair| {
            let selected = self.component(pair.stream, pair.component)?.selected?;
            let selected = self.lists.get(selected).filter(|_| selected != id)?;
            Some(self.rank(selected) >= self.rank(pair))
        };
        self.lists.get(id).and_then(worse).unwrap_or(false)
    }

    /// RFC 8445 §8.1.2: the other pairs of the component are removed and their checks cancelled,
    /// except better ones that the peer has nominated as well, or that checks under way nominate
    /// (RFC 5245 §8.1.2).
    pub(super) fn conclude(
        &mut self,
        stream: StreamId,
        number: u16,
        selected: PairId,
        generated_by: PairId,
    ) {
        let aggressive = self.nominates_aggressively();
        let explores = self.wants_spares(stream, number);
        let weighs = self.weighs_networks();
        let candidates = &self.candidates;
        let rank = self.lists.get(selected).map(|pair| candidates.rank(weighs, pair));
        self.lists.conclude(stream, number, |id, pair| {
            let asked = match pair.state {
                PairState::InProgress => true,
                // A check of it was cancelled in favour of a triggered one, and may be answered.
                PairState::Waiting => pair.attempts.transmissions > 0,
                PairState::Frozen | PairState::Succeeded | PairState::Failed => false,
            };
            let nominated = pair.nomination != Nomination::None || (aggressive && asked);
            let undecided = !matches!(pair.state, PairState::Succeeded | PairState::Failed);
            id == selected
                || id == generated_by
                || (nominated && Some(candidates.rank(weighs, pair)) > rank)
                || (explores && undecided)
        });
        if explores {
            self.queue_undecided(stream, number);
        }
        let lists = &self.lists;
        self.checks.cancel_where(|check| {
            lists.get(check.pair).is_none_or(|pair| {
                pair.stream == stream && pair.component == number && !pair.listed
            })
        });
    }

    /// RFC 5245 §8.1.1.2: every check of this side nominates that could lead to a better pair.
    pub(super) fn nominates_aggressively(&self) -> bool {
        self.config.nomination == NominationMode::Aggressive && self.role() == Role::Controlling
    }

    /// After a change of roles nobody is nominating: the new controlling side decides anew.
    pub(super) fn abandon_nominations(&mut self) {
        for component in self.streams.iter_mut().flat_map(|stream| &mut stream.components) {
            if let Some(id) = component.nominating.take() {
                if let Some(pair) = self.lists.annotate(id) {
                    pair.nomination = Nomination::None;
                }
                self.checks.cancel_where(|check| check.pair == id && check.purpose.nominates());
            }
        }
    }

    /// Completes or fails the checklists (RFC 8445 §8.1.2, §7.2.5.4; RFC 8838 §8; RFC 8863 §4).
    pub(super) fn update_lists(&mut self) {
        self.drop_untold_components();
        for index in 0..self.lists.lists().len() {
            let Some(list) = self.lists.lists().get(index) else { continue };
            let Some(stream) = self.streams.iter().find(|other| other.id == list.stream) else {
                continue;
            };
            if list.state == ChecklistState::Running {
                let all_selected =
                    stream.components.iter().all(|component| component.selected.is_some());
                if all_selected {
                    self.lists.set_list_state(index, ChecklistState::Completed);
                    self.shrink();
                } else if self.has_failed(index) {
                    self.lists.set_list_state(index, ChecklistState::Failed);
                }
            }
        }
    }

    /// RFC 8445 §6.1.2.2: a stream has the components that both sides have. When the peer has been told
    /// all candidates of this side, those that there are none for are dropped, as it does.
    fn drop_untold_components(&mut self) {
        let fewer = |stream: &Stream| {
            stream.told > 0
                && stream.components.last().is_some_and(|last| last.number > stream.told)
        };
        if self.gathering != GatheringState::Complete
            || self.staged.is_some()
            || !self.streams.iter().any(fewer)
            || self.has_unconveyed()
        {
            return;
        }
        for stream in self.streams.iter_mut().filter(|stream| fewer(stream)) {
            stream.reduce(stream.told, &mut self.lists);
        }
    }

    /// A concluded list leaves room behind that a session of hours has no use for.
    fn shrink(&mut self) {
        self.lists.shrink_to_fit();
        self.checks.shrink();
        self.candidates.shrink();
        self.output.shrink();
    }

    fn has_failed(&self, index: usize) -> bool {
        let patient = self.patience.is_none_or(|until| until > self.now);
        let gathered = match self.gathering {
            GatheringState::New => false,
            GatheringState::Gathering => self.config.continual,
            GatheringState::Complete => true,
        };
        // A name of the peer's may still turn out to stand for something.
        let unresolved = self
            .candidates
            .remotes
            .iter()
            .any(|(_, remote)| matches!(remote.named, Named::Unresolved(_)));
        let own_complete = gathered && !self.has_unconveyed() && !unresolved;
        if patient || !own_complete || !self.remote_complete {
            return false;
        }
        let Some(list) = self.lists.lists().get(index) else { return false };
        // A lite agent checks nothing: where the peer has not been heard it has nothing to expect.
        let lite = self.config.lite;
        let undecided = self.lists.listed(index).any(|(_, pair)| {
            let open = !matches!(pair.state, PairState::Succeeded | PairState::Failed);
            open && (!lite || pair.heard)
        });
        let prospects = !lite && list.has_prospects();
        let missing =
            self.streams.iter().find(|stream| stream.id == list.stream).is_some_and(|stream| {
                stream.components.iter().any(|component| component.valid_since.is_none())
            });
        !undecided && !prospects && missing
    }

    /// Whether a local candidate is still to be told to the peer.
    fn has_unconveyed(&self) -> bool {
        if self.trickles() {
            let waits = |notice| matches!(notice, &Notice::LocalCandidate(_));
            self.output.notices.iter().any(waits)
        } else {
            self.candidates
                .locals
                .iter()
                .any(|(_, local)| !local.conveyed && local.usage == Usage::Candidate)
        }
    }

    /// Derives the state of the connection (RFC 8445 §6.1.3, W3C RTCIceTransportState). A restart
    /// forgets that the path before it was lost, and stays connected while it is not.
    pub(super) fn update_state(&mut self) {
        let lists = self.lists.lists();
        let all = |state| !lists.is_empty() && lists.iter().all(|list| list.state == state);
        let components = || self.streams.iter().flat_map(|stream| &stream.components);
        let connected = !self.streams.is_empty() && components().all(Component::is_connected);
        let silent = connected && self.is_disconnected();
        let completed = all(ChecklistState::Completed);
        let failed = all(ChecklistState::Failed);
        let old_path = components().any(|component| component.previous.is_some());
        let state = if failed && !old_path {
            ConnectionState::Failed
        } else if silent && (failed || !old_path) {
            ConnectionState::Disconnected
        } else if completed {
            ConnectionState::Completed
        } else if connected && !silent {
            ConnectionState::Connected
        } else if self.remote.is_some() && !self.candidates.remotes.is_empty() {
            ConnectionState::Checking
        } else {
            ConnectionState::New
        };
        if completed {
            self.settle_generation();
            self.schedule_release();
        }
        // Nomination may follow in the instant in which the last component became valid; a
        // listener still sees that data may flow.
        if state == ConnectionState::Completed && self.state == ConnectionState::Checking {
            self.set_state(ConnectionState::Connected);
        }
        if state == ConnectionState::Completed && self.state != ConnectionState::Completed {
            self.rest_servers();
        }
        self.set_state(state);
    }

    fn components(&self) -> impl Iterator<Item = (StreamId, u16)> {
        self.streams.iter().flat_map(|stream| {
            stream.components.iter().map(|component| (stream.id, component.number))
        })
    }
}
