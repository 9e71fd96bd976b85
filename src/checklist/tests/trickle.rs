//! Pairs that come while checks are under way (RFC 8838 §10 to §12).

use proptest::prelude::*;

use crate::config::Role;

use super::super::{ChecklistSet, Nomination, PairState};
use super::{
    DEFAULT_LIMIT, NONE, Numbers, checks, controlling, endpoint, id, local, next, order, pair,
    remote, state, stream, succeed, trigger_new, validate,
};

use PairState::{Failed, Frozen, InProgress, Succeeded, Waiting};

/// The place of a row of the figures: list and component. Audio is list 0, video list 1.
const ROWS: [(u32, u16); 4] = [(0, 1), (0, 2), (1, 1), (1, 2)];

/// The pair in row r, column c of the figures: local candidate r, remote candidate 10 r + c.
const fn cell(row: u32, column: u32) -> Numbers {
    (row, 10 * row + column)
}

fn place(set: &mut ChecklistSet, row: u32, column: u32) {
    let (list, component) = ROWS[usize::try_from(row - 1).unwrap()];
    let number = cell(row, column).1;
    // The second components have the higher priorities, which must not matter.
    let priority = 10 * u32::from(component) + row;
    remote(set, list, component, endpoint(number, priority, column.try_into().unwrap()));
}

/// Figure 2 of RFC 8838.
fn figure_2() -> ChecklistSet {
    let mut set = controlling(DEFAULT_LIMIT, &[2, 2]);
    for (row, (list, component)) in (1..).zip(ROWS) {
        local(&mut set, list, component, endpoint(row, 1000, 0));
    }
    for (row, columns) in [(1, 1..=3), (2, 1..=4), (3, 1..=1), (4, 1..=1)] {
        for column in columns {
            place(&mut set, row, column);
        }
    }
    set
}

/// The rows of a figure, a letter for each column.
fn figure(set: &ChecklistSet) -> Vec<String> {
    let letter = |row, column| {
        let (local, remote) = cell(row, column);
        let id = set.find(super::candidate(local), super::candidate(remote));
        match id.and_then(|id| set.get(id)).map(|pair| pair.state) {
            Some(Frozen) => 'F',
            Some(Waiting) => 'W',
            Some(Succeeded) => 'S',
            Some(state) => panic!("({row}, {column}) is {state:?}"),
            None => ' ',
        }
    };
    (1..=4).map(|row| (1..=5).map(|column| letter(row, column)).collect()).collect()
}

/// T4: RFC 8838 §12, figures 3 to 7.
#[test]
fn trickled_pairs_follow_the_figures() {
    let mut set = figure_2();
    set.start();
    assert_eq!(figure(&set), ["WWW  ", "FFFW ", "F    ", "F    "], "figure 3");
    succeed(&mut set, cell(1, 1));
    assert_eq!(figure(&set), ["SWW  ", "WFFW ", "W    ", "W    "], "figure 4");
    place(&mut set, 1, 5);
    assert_eq!(figure(&set), ["SWW W", "WFFW ", "W    ", "W    "], "figure 5, rule 1");
    succeed(&mut set, cell(1, 5));
    place(&mut set, 2, 5);
    assert_eq!(figure(&set), ["SWW S", "WFFWW", "W    ", "W    "], "figure 6, rule 2");
    place(&mut set, 3, 3);
    assert_eq!(figure(&set), ["SWW S", "WFFWW", "W F  ", "W    "], "figure 7, rule 3");
}

/// T4, rule 1: topmost is first the list, then the component, then the priority.
#[test]
fn a_pair_that_becomes_the_topmost_of_its_foundation_is_waiting() {
    let mut set = controlling(DEFAULT_LIMIT, &[2, 2]);
    for (row, (list, component)) in (1..).zip(ROWS) {
        local(&mut set, list, component, endpoint(row, 1000, 0));
    }
    set.start();
    let mut trickle = |row: u32, number, priority| {
        let (list, component) = ROWS[usize::try_from(row - 1).unwrap()];
        remote(&mut set, list, component, endpoint(number, priority, 7));
        state(&set, (row, number))
    };
    assert_eq!(trickle(4, 41, 100), Waiting);
    assert_eq!(trickle(4, 42, 99), Frozen);
    assert_eq!(trickle(4, 43, 101), Waiting, "a higher priority");
    assert_eq!(trickle(3, 31, 50), Waiting, "a lower component");
    assert_eq!(trickle(4, 44, 500), Frozen);
    assert_eq!(trickle(2, 21, 10), Waiting, "an earlier list");
    assert_eq!(trickle(3, 32, 900), Frozen);
    assert_eq!(trickle(1, 11, 1), Waiting, "both");
    assert_eq!(trickle(1, 12, 2), Waiting);
    assert_eq!(trickle(1, 13, 1), Frozen);
}

/// T4: before the start there are no rules yet.
#[test]
fn pairs_are_frozen_until_checks_start() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    set.insert(stream(0), 1, endpoint(1, 100, 0), endpoint(11, 100, 0)).unwrap();
    assert_eq!(state(&set, (1, 11)), Frozen);
    set.start();
    assert_eq!(state(&set, (1, 11)), Waiting);
}

/// T4: all pairs of one foundation in one component, by what the rules say.
fn by_the_rules(started: &[(u32, u16, u32, u16)], new: (u32, u16, u32, u16), won: &[u16]) -> bool {
    let (list, component, priority, foundation) = new;
    let mut column = started.iter().filter(|other| other.3 == foundation);
    let topmost = column.all(|other| {
        (list, component, core::cmp::Reverse(priority))
            <= (other.0, other.1, core::cmp::Reverse(other.2))
    });
    topmost || won.contains(&foundation)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// T4: rules 1 to 3, whatever comes in whatever order.
    #[test]
    fn trickled_pairs_are_waiting_exactly_by_rules_1_and_2(
        arrivals in prop::collection::vec((0..4_usize, 1..9_u32, 0..3_u16, any::<bool>()), 1..40),
    ) {
        let mut set = controlling(DEFAULT_LIMIT, &[2, 2]);
        for (number, (list, component)) in (0..).zip(ROWS) {
            local(&mut set, list, component, endpoint(number, 1000, 0));
        }
        set.start();
        let mut formed = Vec::new();
        let mut won = Vec::new();
        for (number, (row, priority, foundation, wins)) in (10..).zip(arrivals) {
            let (list, component) = ROWS[row];
            let new = (list, component, priority, foundation);
            let waiting = by_the_rules(&formed, new, &won);
            remote(&mut set, list, component, endpoint(number, priority, foundation));
            let numbers = (u32::try_from(row).unwrap(), number);
            let expected = if waiting { Waiting } else { Frozen };
            prop_assert_eq!(state(&set, numbers), expected, "{:?} after {:?}", new, formed);
            formed.push(new);
            if wins {
                succeed(&mut set, numbers);
                won.push(foundation);
            }
        }
    }
}

/// T2: RFC 8838 §10 step 5: a redundant candidate does not touch a check that is under way.
#[test]
fn a_redundant_local_candidate_leaves_its_pairs_alone() {
    for (decide, expected) in [(None, InProgress), (Some(true), Succeeded), (Some(false), Failed)] {
        let mut set = controlling(DEFAULT_LIMIT, &[1]);
        local(&mut set, 0, 1, endpoint(1, 100, 0));
        remote(&mut set, 0, 1, endpoint(11, 100, 0));
        set.start();
        assert_eq!(next(&mut set, 0), Some((1, 11)));
        let before = id(&set, (1, 11));
        match decide {
            Some(true) => set.succeed(before),
            Some(false) => set.fail(before),
            None => {}
        }
        set.add_local(stream(0), 1, endpoint(2, 900, 1), super::candidate(1));
        assert_eq!(set.pairs().count(), 1);
        assert_eq!(id(&set, (1, 11)), before);
        assert_eq!(state(&set, (1, 11)), expected);
        assert_eq!(pair(&set, (1, 11)).local_priority, 100);
    }
}

/// T3: RFC 8838 §11 step 4A.
#[test]
fn a_signalled_candidate_takes_over_the_pair_of_the_reflexive_one() {
    for of in [Waiting, InProgress, Succeeded, Failed] {
        let mut set = controlling(DEFAULT_LIMIT, &[1]);
        local(&mut set, 0, 1, endpoint(1, 1000, 0));
        remote(&mut set, 0, 1, endpoint(11, 50, 5));
        set.start();
        let adopted = trigger_new(&mut set, 0, 1, endpoint(1, 1000, 0), endpoint(12, 90, 900));
        if of != Waiting {
            assert_eq!(next(&mut set, 0), Some((1, 12)));
        }
        match of {
            Succeeded => set.succeed(adopted),
            Failed => set.fail(adopted),
            Frozen | Waiting | InProgress => {}
        }
        assert_eq!(order(&set, 0), [(1, 12), (1, 11)]);

        set.adopt_remote(stream(0), 1, endpoint(12, 10, 6));
        assert_eq!(id(&set, (1, 12)), adopted, "{of:?}");
        assert_eq!(set.pairs().count(), 2, "{of:?}");
        let pair = pair(&set, (1, 12));
        assert_eq!(pair.state, of);
        assert_eq!(pair.remote_priority, 10);
        assert_eq!(pair.priority, (10 << 32) + 2 * 1000 + 1);
        assert_eq!(pair.foundation.remote, 6);
        assert!(pair.heard);
        assert_eq!(order(&set, 0), [(1, 11), (1, 12)], "sorted anew");
        let expected: &[_] = if of == Waiting { &[(1, 12), (1, 11)] } else { &[(1, 11)] };
        assert_eq!(checks(&mut set, 0), expected, "the queue stands, {of:?}");
    }
}

/// T3: as a signalled candidate it is paired with the other local ones.
#[test]
fn a_reflexive_candidate_that_is_signalled_is_paired_with_all() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    local(&mut set, 0, 1, endpoint(2, 90, 1));
    set.start();
    trigger_new(&mut set, 0, 1, endpoint(1, 100, 0), endpoint(11, 50, 900));
    assert_eq!(order(&set, 0), [(1, 11)]);
    set.adopt_remote(stream(0), 1, endpoint(11, 60, 5));
    assert_eq!(order(&set, 0), [(1, 11), (2, 11)]);
    local(&mut set, 0, 1, endpoint(3, 80, 2));
    assert_eq!(order(&set, 0), [(1, 11), (2, 11), (3, 11)]);
}

/// T3: the counts of both foundations are right afterwards.
#[test]
fn an_adopted_pair_holds_back_its_new_foundation_and_not_its_old_one() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    for (number, foundation) in [(11, 5), (12, 5), (13, 6), (14, 6)] {
        remote(&mut set, 0, 1, endpoint(number, 90 - number, foundation));
    }
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11), (1, 13)]);
    trigger_new(&mut set, 0, 1, endpoint(1, 100, 0), endpoint(15, 1, 5));
    assert_eq!(checks(&mut set, 0), [(1, 15)]);
    set.adopt_remote(stream(0), 1, endpoint(15, 1, 6));
    super::fail(&mut set, (1, 13));
    assert_eq!(checks(&mut set, 0), NONE, "the adopted pair is of this foundation now");
    super::fail(&mut set, (1, 11));
    assert_eq!(checks(&mut set, 0), [(1, 12)]);
    super::fail(&mut set, (1, 15));
    assert_eq!(checks(&mut set, 0), [(1, 14)]);
}

/// T3: the pair that is chosen among the valid ones is chosen by the signalled priority.
#[test]
fn a_valid_pair_has_the_priority_of_the_signalled_candidate() {
    for (signalled, best) in [(10, (1, 12)), (90, (1, 11))] {
        let mut set = controlling(DEFAULT_LIMIT, &[1]);
        set.start();
        for (number, priority) in [(11, 70), (12, 50)] {
            let remote = endpoint(number, priority, 900);
            let id = trigger_new(&mut set, 0, 1, endpoint(1, 1000, 0), remote);
            validate(&mut set, id);
        }
        assert_eq!(set.best_valid(stream(0), 1), Some(id(&set, (1, 11))));
        set.adopt_remote(stream(0), 1, endpoint(11, signalled, 5));
        assert_eq!(set.best_valid(stream(0), 1), Some(id(&set, best)), "signalled: {signalled}");
    }
}

/// T9: RFC 8838 §10 step 6, §11 step 5: at the limit.
#[test]
fn a_trickled_pair_takes_the_place_of_a_failed_one_first() {
    let mut set = controlling(3, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    for number in 11..14 {
        remote(&mut set, 0, 1, endpoint(number, number, number.try_into().unwrap()));
    }
    set.start();
    assert_eq!(next(&mut set, 0), Some((1, 13)));
    super::fail(&mut set, (1, 13));
    remote(&mut set, 0, 1, endpoint(21, 1, 21));
    assert_eq!(order(&set, 0), [(1, 12), (1, 11), (1, 21)], "even a bad one");
}

/// T9
#[test]
fn a_trickled_pair_takes_the_place_of_the_worst_unchecked_one_if_that_is_worse() {
    let mut set = controlling(3, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    for number in 11..14 {
        remote(&mut set, 0, 1, endpoint(number, number, number.try_into().unwrap()));
    }
    set.start();
    remote(&mut set, 0, 1, endpoint(5, 5, 5));
    assert_eq!(order(&set, 0), [(1, 13), (1, 12), (1, 11)], "it is the worst itself");
    assert!(set.lists()[0].has_prospects(), "and stays for later");
    remote(&mut set, 0, 1, endpoint(21, 21, 21));
    assert_eq!(order(&set, 0), [(1, 21), (1, 13), (1, 12)]);
}

/// T9, T2: what was checked, heard or nominated is not given up for a better candidate.
#[test]
fn a_trickled_pair_does_not_displace_what_is_under_way() {
    let mut set = controlling(4, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    for number in 11..15 {
        remote(&mut set, 0, 1, endpoint(number, number, number.try_into().unwrap()));
    }
    set.start();
    assert_eq!(next(&mut set, 0), Some((1, 14)));
    assert_eq!(next(&mut set, 0), Some((1, 13)));
    succeed(&mut set, (1, 14));
    let [heard, nominated] = [(1, 12), (1, 11)].map(|numbers| id(&set, numbers));
    set.annotate(heard).unwrap().heard = true;
    set.annotate(nominated).unwrap().nomination = Nomination::Pending;
    remote(&mut set, 0, 1, endpoint(21, 21, 21));
    assert_eq!(order(&set, 0), [(1, 14), (1, 13), (1, 12), (1, 11)]);
    set.annotate(nominated).unwrap().nomination = Nomination::None;
    remote(&mut set, 0, 1, endpoint(22, 22, 22));
    assert_eq!(order(&set, 0), [(1, 22), (1, 14), (1, 13), (1, 12)]);
}

/// T13 in the rules: a list that failed runs again when a pair comes.
#[test]
fn a_trickled_pair_revives_a_failed_list() {
    use super::super::ChecklistState;
    let mut set = ChecklistSet::new(Role::Controlled, DEFAULT_LIMIT);
    set.add_list(stream(0), 1);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    set.start();
    set.set_list_state(0, ChecklistState::Failed);
    remote(&mut set, 0, 1, endpoint(11, 100, 0));
    assert_eq!(set.lists()[0].state, ChecklistState::Running);
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
}
