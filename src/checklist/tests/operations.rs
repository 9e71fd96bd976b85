//! Any operations in any order, and what holds after each of them.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::config::Role;
use crate::id::{PairId, StreamId};

use super::super::foundations::PairFoundation;
use super::super::{
    CandidatePair, ChecklistSet, ChecklistState, Endpoint, PairState, Reach, Triggered, priority_in,
};
use super::{candidate, numbers, stream, udp, validate};

use PairState::{Failed, Frozen, InProgress, Succeeded, Waiting};

/// An operation. Numbers that name nothing are taken modulo what there is.
#[derive(Clone, Debug)]
enum Op {
    AddList {
        components: u16,
    },
    AddLocal {
        place: Place,
        endpoint: Raw,
    },
    AddRedundantLocal {
        which: usize,
        priority: u32,
    },
    AddRemote {
        place: Place,
        endpoint: Raw,
    },
    /// A candidate of which only checks know, until it is conveyed or adopted.
    Discover {
        place: Place,
        endpoint: Raw,
        local: bool,
    },
    Convey {
        which: usize,
    },
    Adopt {
        which: usize,
        priority: u32,
        foundation: u16,
    },
    Insert {
        local: usize,
        remote: usize,
    },
    InsertAside {
        local: usize,
        remote: usize,
    },
    Relist {
        which: usize,
    },
    Expire {
        which: usize,
    },
    Heard {
        which: usize,
    },
    Trigger {
        which: usize,
    },
    Queue {
        which: usize,
    },
    NextCheck {
        list: usize,
    },
    Succeed {
        which: usize,
        valid: bool,
    },
    Fail {
        which: usize,
    },
    Conclude {
        list: usize,
        component: u16,
        keep: usize,
    },
    DropComponents {
        list: usize,
        highest: u16,
    },
    Discard {
        which: usize,
    },
    SetRole {
        role: Role,
    },
    Start,
    End {
        list: usize,
        state: ChecklistState,
    },
    Retire {
        list: usize,
    },
    UnfreezeStalled {
        list: usize,
        stalled: u32,
    },
}

#[derive(Clone, Copy, Debug)]
struct Place {
    list: usize,
    component: u16,
}

#[derive(Clone, Copy, Debug)]
struct Raw {
    priority: u32,
    foundation: u16,
    ipv6: bool,
}

/// What was told to the set: the place of a candidate and whether it takes part in pairing.
#[derive(Clone, Copy, Debug)]
struct Known {
    list: usize,
    component: u16,
    endpoint: Endpoint,
    paired: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let place = || (0..3_usize, 1..3_u16).prop_map(|(list, component)| Place { list, component });
    let priority = || prop_oneof![1..8_u32, 0x7fff_fffc..=0x7fff_ffff_u32];
    let endpoint = || {
        (priority(), 0..3_u16, prop::bool::weighted(0.2))
            .prop_map(|(priority, foundation, ipv6)| Raw { priority, foundation, ipv6 })
    };
    let which = || 0..64_usize;
    let role = prop_oneof![Just(Role::Controlling), Just(Role::Controlled)];
    let ended = prop_oneof![
        3 => Just(ChecklistState::Running),
        1 => Just(ChecklistState::Completed),
        1 => Just(ChecklistState::Failed),
    ];
    prop_oneof![
        2 => (1..3_u16).prop_map(|components| Op::AddList { components }),
        8 => (place(), endpoint()).prop_map(|(place, endpoint)| Op::AddLocal { place, endpoint }),
        2 => (which(), priority())
            .prop_map(|(which, priority)| Op::AddRedundantLocal { which, priority }),
        8 => (place(), endpoint()).prop_map(|(place, endpoint)| Op::AddRemote { place, endpoint }),
        4 => (place(), endpoint(), any::<bool>())
            .prop_map(|(place, endpoint, local)| Op::Discover { place, endpoint, local }),
        2 => which().prop_map(|which| Op::Convey { which }),
        3 => (which(), priority(), 0..3_u16)
            .prop_map(|(which, priority, foundation)| Op::Adopt { which, priority, foundation }),
        6 => (which(), which()).prop_map(|(local, remote)| Op::Insert { local, remote }),
        2 => (which(), which()).prop_map(|(local, remote)| Op::InsertAside { local, remote }),
        2 => which().prop_map(|which| Op::Relist { which }),
        1 => which().prop_map(|which| Op::Expire { which }),
        2 => which().prop_map(|which| Op::Heard { which }),
        5 => which().prop_map(|which| Op::Trigger { which }),
        3 => which().prop_map(|which| Op::Queue { which }),
        20 => (0..4_usize).prop_map(|list| Op::NextCheck { list }),
        6 => (which(), any::<bool>()).prop_map(|(which, valid)| Op::Succeed { which, valid }),
        8 => which().prop_map(|which| Op::Fail { which }),
        2 => (0..3_usize, 1..3_u16, which())
            .prop_map(|(list, component, keep)| Op::Conclude { list, component, keep }),
        1 => (0..3_usize, 1..3_u16)
            .prop_map(|(list, highest)| Op::DropComponents { list, highest }),
        2 => which().prop_map(|which| Op::Discard { which }),
        3 => role.prop_map(|role| Op::SetRole { role }),
        4 => Just(Op::Start),
        2 => (0..3_usize, ended).prop_map(|(list, state)| Op::End { list, state }),
        5 => (0..4_usize).prop_map(|list| Op::Retire { list }),
        5 => (0..4_usize, 0..4_u32)
            .prop_map(|(list, stalled)| Op::UnfreezeStalled { list, stalled }),
    ]
}

struct World {
    set: ChecklistSet,
    role: Role,
    started: bool,
    limit: usize,
    locals: Vec<Known>,
    remotes: Vec<Known>,
    /// Lists and components whose nomination has concluded.
    concluded: BTreeSet<(usize, u16)>,
    /// Streams that lost a pair by [`Op::Discard`], which leaves its place empty.
    discarded: BTreeSet<StreamId>,
    /// Foundations with a listed pair at some time, and whether one has succeeded.
    foundations: BTreeMap<PairFoundation, bool>,
    next: u32,
}

/// The lists and pairs before an operation.
struct Before {
    pairs: BTreeMap<PairId, CandidatePair>,
    sizes: Vec<usize>,
    states: Vec<ChecklistState>,
    /// What each list has to check next.
    checks: Vec<Option<PairId>>,
}

fn is_active(pair: &CandidatePair) -> bool {
    pair.listed && matches!(pair.state, Waiting | InProgress)
}

/// Checks are queued for pairs of the list, and for spare valid pairs that are nominated.
fn queueable(pair: &CandidatePair) -> bool {
    pair.listed || pair.valid.is_some()
}

/// RFC 8445 §6.1.4.2, steps 1 to 3, from the states of all pairs.
fn expected_check(set: &ChecklistSet, started: bool, list: usize) -> Option<PairId> {
    let list = set.lists().get(list)?;
    if let Some(&triggered) = list.triggered.front() {
        return Some(triggered);
    }
    if !started || list.state != ChecklistState::Running {
        return None;
    }
    let key =
        |id: PairId, pair: &CandidatePair| (core::cmp::Reverse(pair.priority), pair.component, id);
    let of_list = || set.pairs().filter(|(_, pair)| pair.listed && pair.stream == list.stream);
    let waiting = of_list().filter(|(_, pair)| pair.state == Waiting);
    let idle =
        |foundation| !set.pairs().any(|(_, pair)| is_active(pair) && pair.foundation == foundation);
    let unfreezable = of_list().filter(|(_, pair)| pair.state == Frozen && idle(pair.foundation));
    waiting
        .min_by_key(|(id, pair)| key(*id, pair))
        .or_else(|| unfreezable.min_by_key(|(id, pair)| key(*id, pair)))
        .map(|(id, _)| id)
}

impl World {
    fn new(role: Role, limit: usize) -> Self {
        let mut set = ChecklistSet::new(role, limit);
        set.add_list(stream(0), 2);
        Self {
            set,
            role,
            started: false,
            limit,
            locals: Vec::new(),
            remotes: Vec::new(),
            concluded: BTreeSet::new(),
            discarded: BTreeSet::new(),
            foundations: BTreeMap::new(),
            next: 0,
        }
    }

    fn before(&self) -> Before {
        let lists = self.set.lists();
        Before {
            pairs: self.set.pairs().map(|(id, pair)| (id, pair.clone())).collect(),
            sizes: (0..lists.len()).map(|list| self.set.listed(list).count()).collect(),
            states: lists.iter().map(|list| list.state).collect(),
            checks: (0..lists.len())
                .map(|list| expected_check(&self.set, self.started, list))
                .collect(),
        }
    }

    fn pair(&self, which: usize) -> Option<PairId> {
        let count = self.set.pairs().count();
        self.set.pairs().nth(which.checked_rem(count)?).map(|(id, _)| id)
    }

    /// Candidates that suit each other and have no pair.
    fn unpaired(&self, local: usize, remote: usize) -> Option<(Known, Known)> {
        let local = self.locals[local.checked_rem(self.locals.len())?];
        let suits = |remote: &&Known| {
            (remote.list, remote.component) == (local.list, local.component)
                && local.endpoint.reach.pairs_with(remote.endpoint.reach)
                && self.set.find(local.endpoint.id, remote.endpoint.id).is_none()
        };
        let partners: Vec<&Known> = self.remotes.iter().filter(suits).collect();
        Some((local, **partners.get(remote.checked_rem(partners.len())?)?))
    }

    fn list(&self, list: usize) -> usize {
        list.checked_rem(self.set.lists().len()).unwrap_or(0)
    }

    fn stream(&self, list: usize) -> StreamId {
        self.set.lists()[list].stream
    }

    fn endpoint(&mut self, raw: Raw) -> Endpoint {
        self.next += 1;
        let reach: Reach = udp(if raw.ipv6 { "2001:db8::1" } else { "192.0.2.1" });
        Endpoint {
            id: candidate(self.next),
            priority: raw.priority,
            foundation: raw.foundation,
            reach,
        }
    }

    fn known(&mut self, place: Place, raw: Raw, paired: bool) -> Known {
        let list = self.list(place.list);
        let endpoint = self.endpoint(raw);
        Known { list, component: place.component, endpoint, paired }
    }

    /// Does it, as far as it makes sense, and checks what the operation itself promises.
    fn apply(&mut self, op: &Op, before: &Before) -> Result<(), TestCaseError> {
        match *op {
            Op::AddList { components } => {
                if let Ok(number @ 0..3) = u32::try_from(self.set.lists().len()) {
                    self.set.add_list(stream(number), components);
                }
            }
            Op::AddLocal { place, endpoint } => {
                let known = self.known(place, endpoint, true);
                self.locals.push(known);
                let stream = self.stream(known.list);
                self.set.add_local(stream, known.component, known.endpoint, known.endpoint.id);
            }
            Op::AddRedundantLocal { which, priority } => {
                let paired: Vec<Known> =
                    self.locals.iter().filter(|known| known.paired).copied().collect();
                let Some(index) = which.checked_rem(paired.len()) else { return Ok(()) };
                let known = paired[index];
                self.next += 1;
                let id = candidate(self.next);
                let endpoint = Endpoint { id, priority, ..known.endpoint };
                let stream = self.stream(known.list);
                self.set.add_local(stream, known.component, endpoint, known.endpoint.id);
            }
            Op::AddRemote { place, endpoint } => {
                let known = self.known(place, endpoint, true);
                self.remotes.push(known);
                let stream = self.stream(known.list);
                self.set.add_remote(stream, known.component, known.endpoint);
            }
            Op::Discover { place, endpoint, local } => {
                let known = self.known(place, endpoint, false);
                if local { &mut self.locals } else { &mut self.remotes }.push(known);
            }
            Op::Convey { which } => {
                let hidden: Vec<&mut Known> =
                    self.locals.iter_mut().filter(|known| !known.paired).collect();
                let Some(index) = which.checked_rem(hidden.len()) else { return Ok(()) };
                let Some(known) = hidden.into_iter().nth(index) else { return Ok(()) };
                known.paired = true;
                let known = *known;
                let stream = self.stream(known.list);
                self.set.add_local(stream, known.component, known.endpoint, known.endpoint.id);
            }
            Op::Adopt { which, priority, foundation } => {
                let reflexive: Vec<&mut Known> =
                    self.remotes.iter_mut().filter(|known| !known.paired).collect();
                let Some(index) = which.checked_rem(reflexive.len()) else { return Ok(()) };
                let Some(known) = reflexive.into_iter().nth(index) else { return Ok(()) };
                known.paired = true;
                known.endpoint.priority = priority;
                known.endpoint.foundation = foundation;
                let known = *known;
                let stream = self.stream(known.list);
                self.set.adopt_remote(stream, known.component, known.endpoint);
            }
            Op::Insert { local, remote } | Op::InsertAside { local, remote } => {
                let aside = matches!(op, Op::InsertAside { .. });
                let Some((local, remote)) = self.unpaired(local, remote) else { return Ok(()) };
                let concluded = self.concluded.contains(&(local.list, local.component));
                let stream = self.stream(local.list);
                let [ours, theirs] = [local.endpoint, remote.endpoint];
                // New pairs are listed until a component concludes, and kept aside afterwards.
                let pools = &self.set.lists()[local.list].pools;
                let exists = pools.iter().any(|pool| pool.component == local.component);
                let id = match (aside, concluded) {
                    (true, true) if exists => {
                        self.set.insert_aside(stream, local.component, ours, theirs)
                    }
                    (false, false) => self.set.insert(stream, local.component, ours, theirs),
                    _ => None,
                };
                if let Some(pair) = id.and_then(|id| self.set.annotate(id)) {
                    prop_assert_eq!(pair.listed, !aside);
                    prop_assert_eq!((pair.local, pair.remote), (ours.id, theirs.id));
                    // A peer's check made it.
                    pair.heard = true;
                }
            }
            Op::Relist { which } => {
                let Some(id) = self.pair(which) else { return Ok(()) };
                self.set.relist(id);
                let pair = &before.pairs[&id];
                let may = pair.listed || (!pair.expired && pair.state != Succeeded);
                let listed = self.set.get(id).is_some_and(|pair| pair.listed);
                prop_assert!(!listed || may, "an expired or a valid pair came back");
            }
            Op::Expire { which } => {
                if let Some(pair) = self.pair(which).and_then(|id| self.set.annotate(id)) {
                    pair.expired = true;
                }
            }
            Op::Heard { which } => {
                if let Some(pair) = self.pair(which).and_then(|id| self.set.annotate(id)) {
                    pair.heard = true;
                }
            }
            Op::Trigger { which } => {
                let Some(id) = self.pair(which) else { return Ok(()) };
                let outcome = self.set.trigger(id);
                let pair = &before.pairs[&id];
                let expected = match pair.state {
                    Succeeded => Triggered::AlreadyValid,
                    _ if !pair.listed || pair.expired => Triggered::Unlisted,
                    InProgress => Triggered::CancelAndQueue,
                    Frozen | Waiting | Failed => Triggered::Queued,
                };
                prop_assert_eq!(outcome, expected);
            }
            Op::Queue { which } => {
                if let Some(id) = self.pair(which) {
                    self.set.queue(id);
                }
            }
            Op::NextCheck { list } => {
                let has = self.set.has_check(list);
                let found = self.set.next_check(list);
                prop_assert_eq!(found.is_some(), has);
                prop_assert_eq!(found, before.checks.get(list).copied().flatten());
                if let Some(id) = found {
                    let was = before.pairs[&id].state;
                    let is = self.set.get(id).unwrap().state;
                    let valid = was == Succeeded;
                    prop_assert_eq!(is, if valid { Succeeded } else { InProgress });
                    prop_assert!(!self.set.lists().iter().any(|list| list.triggered.contains(&id)));
                }
            }
            Op::Succeed { which, valid } => {
                if let Some(id) = self.pair(which) {
                    if valid {
                        validate(&mut self.set, id);
                    } else {
                        self.set.succeed(id);
                    }
                    prop_assert_eq!(self.set.get(id).map(|pair| pair.state), Some(Succeeded));
                }
            }
            Op::Fail { which } => {
                if let Some(id) = self.pair(which) {
                    self.set.fail(id);
                    // It may have made room for another pair.
                    let state = self.set.get(id).map(|pair| pair.state);
                    prop_assert!(matches!(state, None | Some(Failed)));
                }
            }
            Op::Conclude { list, component, keep } => {
                let list = self.list(list);
                let keep = self.pair(keep);
                let stream = self.stream(list);
                self.set.conclude(stream, component, |id, _| Some(id) == keep);
                self.concluded.insert((list, component));
                for (id, pair) in self.set.pairs() {
                    let of_it = pair.stream == stream && pair.component == component;
                    prop_assert!(!(of_it && pair.listed) || Some(id) == keep);
                }
            }
            Op::DropComponents { list, highest } => {
                let list = self.list(list);
                let stream = self.stream(list);
                self.set.drop_components(stream, highest);
                for component in highest + 1..=2 {
                    self.concluded.insert((list, component));
                }
                prop_assert!(
                    self.set
                        .pairs()
                        .all(|(_, pair)| pair.stream != stream || pair.component <= highest)
                );
            }
            Op::Discard { which } => {
                if let Some(id) = self.pair(which) {
                    let pair = self.set.discard(id);
                    prop_assert!(pair.is_some());
                    self.discarded.extend(pair.map(|pair| pair.stream));
                    prop_assert!(self.set.get(id).is_none());
                }
            }
            Op::SetRole { role } => {
                self.role = role;
                self.set.set_role(role);
            }
            Op::Start => {
                self.set.start();
                self.started = true;
            }
            Op::End { list, state } => {
                let list = self.list(list);
                self.set.set_list_state(list, state);
            }
            Op::Retire { list } => {
                let rank = |pair: &CandidatePair| {
                    (pair.remote.get() % 4 > 0).then(|| u64::from(pair.remote.get() % 4))
                };
                if let Some((id, pair)) = self.set.retire(list, rank) {
                    let was = &before.pairs[&id];
                    prop_assert_eq!(was.state, InProgress);
                    prop_assert_eq!(was.stream, self.stream(list));
                    prop_assert_eq!(numbers(was), numbers(&pair));
                    let best = before
                        .pairs
                        .values()
                        .filter(|pair| pair.listed && pair.stream == was.stream)
                        .filter(|pair| pair.state == InProgress)
                        .filter_map(rank)
                        .max();
                    prop_assert_eq!(rank(was), best);
                }
            }
            Op::UnfreezeStalled { list, stalled } => {
                let stalled = |pair: &CandidatePair| pair.remote.get() % 4 >= stalled;
                let held_back = |foundation| {
                    before.pairs.values().any(|pair| {
                        is_active(pair)
                            && pair.foundation == foundation
                            && !(pair.state == InProgress && stalled(pair))
                    })
                };
                let stream = self.set.lists().get(list).map(|list| list.stream);
                let expected = before
                    .pairs
                    .iter()
                    .filter(|(_, pair)| pair.listed && Some(pair.stream) == stream)
                    .filter(|(_, pair)| pair.state == Frozen && !held_back(pair.foundation))
                    .min_by_key(|(id, pair)| {
                        (core::cmp::Reverse(pair.priority), pair.component, **id)
                    })
                    .map(|(id, _)| *id);
                prop_assert_eq!(self.set.unfreeze_stalled(list, stalled), expected);
            }
        }
        Ok(())
    }

    /// What holds at any time.
    fn check(&mut self, op: &Op, before: &Before) -> Result<(), TestCaseError> {
        self.check_pairs(before)?;
        self.check_orders()?;
        self.check_limits(before)?;
        self.check_queues()?;
        self.check_foundations()?;
        self.check_transitions(op, before)
    }

    fn check_pairs(&self, before: &Before) -> Result<(), TestCaseError> {
        let mut seen = BTreeSet::new();
        for (id, pair) in self.set.pairs() {
            prop_assert!(seen.insert(numbers(pair)), "{:?} twice", numbers(pair));
            let find = |known: &[Known], id| {
                known.iter().find(|known| known.endpoint.id == id).copied().unwrap()
            };
            let local = find(&self.locals, pair.local);
            let remote = find(&self.remotes, pair.remote);
            for known in [local, remote] {
                prop_assert_eq!(known.component, pair.component);
                prop_assert_eq!(self.stream(known.list), pair.stream);
            }
            prop_assert!(local.endpoint.reach.pairs_with(remote.endpoint.reach));
            prop_assert_eq!(pair.foundation.local, local.endpoint.foundation);
            prop_assert_eq!(pair.foundation.remote, remote.endpoint.foundation);
            prop_assert_eq!(pair.remote_priority, remote.endpoint.priority);
            prop_assert!(pair.local_priority >= local.endpoint.priority);
            let priority = priority_in(self.role, pair.local_priority, pair.remote_priority);
            prop_assert_eq!(pair.priority, priority);
            if !before.pairs.contains_key(&id) {
                let concluded = self.concluded.contains(&(local.list, local.component));
                prop_assert!(!pair.listed || !concluded);
            }
        }
        Ok(())
    }

    fn check_orders(&self) -> Result<(), TestCaseError> {
        for list in self.set.lists() {
            let mut expected: Vec<_> = self
                .set
                .pairs()
                .filter(|(_, pair)| pair.listed && pair.stream == list.stream)
                .map(|(id, pair)| (core::cmp::Reverse(pair.priority), pair.component, id))
                .collect();
            expected.sort_unstable();
            let order: Vec<_> = list
                .order
                .iter()
                .map(|ranked| (core::cmp::Reverse(ranked.priority), ranked.component, ranked.pair))
                .collect();
            prop_assert_eq!(order, expected);
        }
        Ok(())
    }

    fn check_limits(&self, before: &Before) -> Result<(), TestCaseError> {
        let lists = self.set.lists().len();
        let quotas: usize = (0..lists).map(|list| self.set.quota(list)).sum();
        prop_assert_eq!(quotas, self.limit.max(lists));
        for list in 0..lists {
            let size = self.set.listed(list).count();
            let quota = self.set.quota(list);
            // A new list cannot take the places of valid pairs; these are the only ones above.
            let allowed = if lists > before.sizes.len() {
                self.set.listed(list).filter(|(_, pair)| pair.state == Succeeded).count()
            } else {
                before.sizes[list]
            };
            prop_assert!(size <= quota.max(allowed), "{size} pairs, {quota} places");
        }
        Ok(())
    }

    fn check_queues(&self) -> Result<(), TestCaseError> {
        for list in self.set.lists() {
            let mut seen = BTreeSet::new();
            for id in &list.triggered {
                prop_assert!(seen.insert(*id), "{id:?} queued twice");
                let pair = self.set.get(*id);
                prop_assert!(pair.is_some_and(|pair| pair.stream == list.stream));
                prop_assert!(pair.is_some_and(queueable));
                prop_assert!(pair.is_some_and(|pair| matches!(pair.state, Waiting | Succeeded)));
            }
        }
        Ok(())
    }

    /// What is counted for each foundation agrees with the pairs, as far as it can be seen from
    /// what the set does next.
    fn check_foundations(&mut self) -> Result<(), TestCaseError> {
        for (_, pair) in self.set.pairs().filter(|(_, pair)| pair.listed) {
            *self.foundations.entry(pair.foundation).or_default() |= pair.state == Succeeded;
        }
        let mut probe = self.set.clone();
        probe.start();
        self.check_succeeded(probe.clone())?;
        let lists = self.set.lists().len();
        for list in 0..lists {
            probe.set_list_state(list, ChecklistState::Running);
        }
        // Too low a count of active pairs lets a Frozen pair through.
        for list in 0..lists {
            let mut expected = expected_check(&probe, true, list);
            prop_assert_eq!(probe.has_check(list), expected.is_some());
            while let Some(found) = probe.next_check(list) {
                prop_assert_eq!(Some(found), expected);
                expected = expected_check(&probe, true, list);
            }
            prop_assert_eq!(expected, None);
        }
        // Too high a count keeps one Frozen that nothing holds back any more.
        loop {
            let active: Vec<PairId> =
                probe.pairs().filter(|(_, pair)| is_active(pair)).map(|(id, _)| id).collect();
            if active.is_empty() {
                break;
            }
            for id in active {
                probe.discard(id);
            }
        }
        for list in 0..lists {
            prop_assert_eq!(probe.has_check(list), expected_check(&probe, true, list).is_some());
        }
        Ok(())
    }

    /// RFC 8838 §12, rules 2 and 3: a pair that is not the topmost of its foundation is Waiting
    /// when one has succeeded.
    fn check_succeeded(&self, mut probe: ChecklistSet) -> Result<(), TestCaseError> {
        let last = stream(99);
        probe.add_list(last, 1);
        for (&foundation, &ever) in &self.foundations {
            let mates =
                || probe.pairs().filter(|(_, pair)| pair.listed && pair.foundation == foundation);
            let none = mates().next().is_none();
            let succeeded = mates().any(|(_, pair)| pair.state == Succeeded);
            let endpoint = |number, foundation| super::endpoint(number, 1, foundation);
            let local = endpoint(9_998, foundation.local);
            let id = probe.insert(last, 1, local, endpoint(9_999, foundation.remote)).unwrap();
            let waiting = probe.get(id).is_some_and(|pair| pair.state == Waiting);
            prop_assert!(waiting || !succeeded && !none, "{foundation:?} has succeeded");
            prop_assert!(!waiting || ever || none, "{foundation:?} never succeeded");
            probe.discard(id);
        }
        Ok(())
    }

    /// RFC 8445 §6.1.2.6, Figure 6, and §7.3.1.4.
    fn check_transitions(&self, op: &Op, before: &Before) -> Result<(), TestCaseError> {
        for (id, pair) in self.set.pairs() {
            let Some(was) = before.pairs.get(&id) else {
                let listed = pair.state == Frozen || (self.started && pair.state == Waiting);
                let legal = if pair.listed { listed } else { pair.state == Failed };
                prop_assert!(legal, "formed as {:?}", pair.state);
                continue;
            };
            let relisted = matches!(op, Op::Relist { .. });
            prop_assert!(was.listed || !pair.listed || relisted, "{id:?} came back");
            if was.state == pair.state {
                continue;
            }
            let own = |which: usize| {
                let index = which.checked_rem(before.pairs.len());
                before.pairs.keys().nth(index.unwrap_or(0)) == Some(&id)
            };
            let legal = match (op, was.state, pair.state) {
                (Op::Start | Op::UnfreezeStalled { .. }, Frozen, Waiting) => was.listed,
                (Op::NextCheck { .. }, Frozen, Waiting | InProgress) => was.listed,
                (Op::NextCheck { .. }, Waiting, InProgress) => queueable(was),
                (Op::Trigger { which } | Op::Queue { which }, from, Waiting) => {
                    queueable(was) && own(*which) && from != Succeeded
                }
                (Op::Succeed { which, .. }, _, Succeeded) => own(*which),
                (Op::Succeed { which, .. }, Frozen, Waiting) => {
                    let index = which.checked_rem(before.pairs.len()).unwrap_or(0);
                    let winner = before.pairs.values().nth(index);
                    was.listed && winner.is_some_and(|winner| winner.foundation == was.foundation)
                }
                (Op::Fail { which }, _, Failed) => own(*which),
                (Op::Conclude { .. }, from, Failed) => !pair.listed && from != Succeeded,
                _ => false,
            };
            prop_assert!(legal, "{:?} became {:?} by {op:?}", was.state, pair.state);
        }
        // C15: nothing of the foundation is left Frozen by a success.
        if let Op::Succeed { which, .. } = op {
            let index = which.checked_rem(before.pairs.len()).unwrap_or(0);
            if let Some(winner) = before.pairs.values().nth(index) {
                let frozen = |pair: &CandidatePair| {
                    pair.listed && pair.foundation == winner.foundation && pair.state == Frozen
                };
                prop_assert!(!self.set.pairs().any(|(_, pair)| frozen(pair)));
            }
        }
        for (list, was) in self.set.lists().iter().zip(&before.states) {
            let revived = (*was, list.state) == (ChecklistState::Failed, ChecklistState::Running);
            let told = matches!(op, Op::End { .. });
            prop_assert!(*was == list.state || revived || told);
        }
        Ok(())
    }

    /// Decision 15: when every check ends without success, every pair that can be formed is
    /// checked in the end, and the list is done.
    fn exhaust(&mut self) -> Result<(), TestCaseError> {
        self.set.start();
        self.started = true;
        for list in 0..self.set.lists().len() {
            self.set.set_list_state(list, ChecklistState::Running);
        }
        for retiring in [true, false] {
            for _ in 0..10_000 {
                let lists = 0..self.set.lists().len();
                if let Some(id) = lists.clone().find_map(|list| self.set.next_check(list)) {
                    let succeeded = self.set.get(id).is_some_and(|pair| pair.state == Succeeded);
                    if !succeeded && !retiring {
                        self.set.fail(id);
                    }
                    continue;
                }
                let unfrozen =
                    lists.clone().any(|list| self.set.unfreeze_stalled(list, |_| true).is_some());
                let retired =
                    lists.clone().any(|list| self.set.retire(list, |_| Some(0)).is_some());
                if !unfrozen && !retired {
                    break;
                }
            }
            // What nobody answers fails in the end.
            let unanswered: Vec<PairId> = self
                .set
                .pairs()
                .filter(|(_, pair)| pair.listed && pair.state == InProgress)
                .map(|(id, _)| id)
                .collect();
            for id in unanswered {
                self.set.fail(id);
            }
        }
        for (index, list) in self.set.lists().iter().enumerate() {
            let decided =
                self.set.listed(index).all(|(_, pair)| matches!(pair.state, Succeeded | Failed));
            prop_assert!(decided, "a pair was never checked");
            let full = self.set.listed(index).filter(|(_, pair)| pair.state == Succeeded).count()
                >= self.set.quota(index);
            let left = full || self.discarded.contains(&list.stream);
            prop_assert!(left || !list.has_prospects(), "a pair was never formed");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_rules_hold_after_any_operations(
        controlling in any::<bool>(),
        limit in prop_oneof![0..10_usize, Just(100)],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let role = if controlling { Role::Controlling } else { Role::Controlled };
        let mut world = World::new(role, limit);
        for op in ops {
            let before = world.before();
            world.apply(&op, &before)?;
            world.check(&op, &before)?;
        }
        world.exhaust()?;
    }
}
