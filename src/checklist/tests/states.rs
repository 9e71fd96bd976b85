//! The initial states of pairs and what a result does to others of the foundation (RFC 8445
//! §6.1.2.6, §7.2.5.3.3), and the states that a peer's check finds (§7.3.1.4).

use super::super::{ChecklistSet, ChecklistState, Nomination, PairState, Triggered};
use super::{
    DEFAULT_LIMIT, NONE, Numbers, checks, controlling, endpoint, fail, id, local, next, order,
    remote, state, states, stream, succeed, trigger_new, validate,
};

use PairState::{Failed, Frozen, InProgress, Succeeded, Waiting};

/// The checklists of RFC 8445's Table 1: in row m, column f, the pair of local candidate m and
/// remote candidate 10 m + f.
fn table_1() -> ChecklistSet {
    let mut set = controlling(DEFAULT_LIMIT, &[1, 1, 1]);
    for (row, foundations) in [&[1, 2, 3][..], &[1, 2, 3, 4], &[1, 5]].into_iter().enumerate() {
        let row = u32::try_from(row).unwrap();
        local(&mut set, row, 1, endpoint(row + 1, 100, 0));
        for &foundation in foundations {
            // Later rows have the higher priorities, which must not matter.
            let number = 10 * (row + 1) + u32::from(foundation);
            remote(&mut set, row, 1, endpoint(number, 100 * number, foundation));
        }
    }
    set
}

/// A row of Table 1: a letter for each column.
fn row(set: &ChecklistSet, row: u32) -> String {
    let cell = |column| {
        let numbers: Numbers = (row, 10 * row + column);
        match set
            .listed(usize::try_from(row - 1).unwrap())
            .find(|(_, pair)| super::numbers(pair) == numbers)
        {
            Some((_, pair)) if pair.state == Frozen => 'f',
            Some((_, pair)) if pair.state == Waiting => 'w',
            Some((_, pair)) => panic!("{numbers:?} is {:?}", pair.state),
            None => '-',
        }
    };
    (1..=5).map(cell).collect()
}

/// P7: RFC 8445 §6.1.2.6, Table 1.
#[test]
fn initial_states_are_those_of_table_1() {
    let mut set = table_1();
    set.start();
    assert_eq!(row(&set, 1), "www--");
    assert_eq!(row(&set, 2), "fffw-");
    assert_eq!(row(&set, 3), "f---w");
    assert!(set.lists().iter().all(|list| list.state == ChecklistState::Running));
}

/// P7: a second start changes nothing.
#[test]
fn initial_states_are_set_once() {
    let mut set = table_1();
    set.start();
    assert_eq!(checks(&mut set, 0).len(), 3);
    fail(&mut set, (1, 11));
    set.start();
    assert_eq!(row(&set, 2), "fffw-");
}

/// P7: the lowest component comes before the highest priority.
#[test]
fn of_a_foundation_the_best_pair_of_the_lowest_component_is_waiting() {
    let mut set = controlling(DEFAULT_LIMIT, &[2]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    local(&mut set, 0, 2, endpoint(2, 900, 0));
    for (component, number, priority) in [(2, 21, 900), (1, 11, 100), (1, 12, 200), (2, 22, 800)] {
        remote(&mut set, 0, component, endpoint(number, priority, 0));
    }
    set.start();
    assert_eq!(order(&set, 0), [(2, 21), (2, 22), (1, 12), (1, 11)]);
    assert_eq!(states(&set, 0), [Frozen, Frozen, Waiting, Frozen]);
}

/// P8: RFC 8445 §6.1.2.6: the foundation of a pair combines those of its candidates.
#[test]
fn pairs_share_a_foundation_when_both_candidates_do() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 200, 0));
    local(&mut set, 0, 1, endpoint(2, 100, 1));
    remote(&mut set, 0, 1, endpoint(11, 200, 0));
    remote(&mut set, 0, 1, endpoint(12, 190, 0));
    remote(&mut set, 0, 1, endpoint(13, 180, 1));
    set.start();
    assert_eq!(order(&set, 0), [(1, 11), (1, 12), (1, 13), (2, 11), (2, 12), (2, 13)]);
    assert_eq!(states(&set, 0), [Waiting, Frozen, Waiting, Waiting, Frozen, Waiting]);
}

/// P7: a pair that a check made before the start is the one of its foundation.
#[test]
fn a_foundation_with_a_triggered_pair_gets_no_second_one() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    remote(&mut set, 0, 1, endpoint(11, 200, 0));
    remote(&mut set, 0, 1, endpoint(12, 100, 0));
    trigger_new(&mut set, 0, 1, endpoint(1, 100, 0), endpoint(12, 100, 0));
    set.start();
    assert_eq!(state(&set, (1, 12)), Waiting);
    assert_eq!(state(&set, (1, 11)), Frozen);
}

/// C15: RFC 8445 §7.2.5.3.3.
#[test]
fn a_success_unfreezes_its_foundation_in_all_lists() {
    let mut set = table_1();
    set.start();
    assert_eq!(next(&mut set, 0), Some((1, 13)));
    assert_eq!(next(&mut set, 0), Some((1, 12)));
    assert_eq!(next(&mut set, 0), Some((1, 11)));
    succeed(&mut set, (1, 11));
    assert_eq!(state(&set, (1, 11)), Succeeded);
    assert_eq!(row(&set, 2), "wffw-");
    assert_eq!(row(&set, 3), "w---w");
    assert_eq!(state(&set, (1, 12)), InProgress, "another foundation");
}

/// C15: only Frozen pairs move.
#[test]
fn a_success_leaves_decided_and_running_pairs_of_its_foundation_alone() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    for number in 11..15 {
        remote(&mut set, 0, 1, endpoint(number, number, 0));
    }
    set.start();
    assert_eq!(next(&mut set, 0), Some((1, 14)));
    fail(&mut set, (1, 14));
    assert_eq!(next(&mut set, 0), Some((1, 13)));
    let queued = id(&set, (1, 12));
    set.trigger(queued);
    assert_eq!(next(&mut set, 0), Some((1, 12)));
    succeed(&mut set, (1, 13));
    assert_eq!(states(&set, 0), [Failed, Succeeded, InProgress, Waiting]);
}

/// C11: RFC 8445 §7.2.5.2.
#[test]
fn a_failure_leaves_its_foundation_alone() {
    let mut set = table_1();
    set.start();
    assert_eq!(checks(&mut set, 0).len(), 3);
    fail(&mut set, (1, 11));
    assert_eq!(state(&set, (1, 11)), Failed);
    assert_eq!(row(&set, 2), "fffw-");
    assert_eq!(row(&set, 3), "f---w");
}

/// A pair (1, 11) with a Frozen mate of lower priority, and the queue empty.
fn single(of: PairState) -> ChecklistSet {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    let subject = if of == Frozen { 50 } else { 100 };
    remote(&mut set, 0, 1, endpoint(11, subject, 0));
    remote(&mut set, 0, 1, endpoint(12, 70, 0));
    set.start();
    if !matches!(of, Frozen | Waiting) {
        assert_eq!(next(&mut set, 0), Some((1, 11)));
    }
    match of {
        Succeeded => succeed(&mut set, (1, 11)),
        Failed => fail(&mut set, (1, 11)),
        Frozen | Waiting | InProgress => {}
    }
    assert_eq!(state(&set, (1, 11)), of);
    set
}

/// V12: RFC 8445 §7.3.1.4.
#[test]
fn a_peers_check_queues_a_pair_that_has_not_succeeded() {
    for (of, outcome) in [
        (Waiting, Triggered::Queued),
        (Frozen, Triggered::Queued),
        (Failed, Triggered::Queued),
        (InProgress, Triggered::CancelAndQueue),
    ] {
        let mut set = single(of);
        let id = id(&set, (1, 11));
        assert_eq!(set.trigger(id), outcome, "{of:?}");
        assert_eq!(state(&set, (1, 11)), Waiting, "{of:?}");
        assert_eq!(set.trigger(id), Triggered::Queued, "again, {of:?}");
        assert_eq!(next(&mut set, 0), Some((1, 11)), "{of:?}");
        assert_eq!(state(&set, (1, 11)), InProgress, "{of:?}");
        assert_ne!(next(&mut set, 0), Some((1, 11)), "once, {of:?}");
    }
}

/// V12, N6
#[test]
fn a_peers_check_of_a_succeeded_pair_triggers_nothing() {
    let mut set = single(Succeeded);
    let id = id(&set, (1, 11));
    assert_eq!(set.trigger(id), Triggered::AlreadyValid);
    assert_eq!(state(&set, (1, 11)), Succeeded);
    assert_eq!(checks(&mut set, 0), [(1, 12)]);
}

/// V12: a pair that is not in the list.
#[test]
fn a_peers_check_on_a_new_path_makes_a_pair_and_queues_it() {
    for of in [Waiting, InProgress, Succeeded] {
        let mut set = single(of);
        trigger_new(&mut set, 0, 1, endpoint(1, 100, 0), endpoint(13, 60, 9));
        assert_eq!(state(&set, (1, 13)), Waiting);
        assert_eq!(order(&set, 0), [(1, 11), (1, 12), (1, 13)]);
        assert_eq!(next(&mut set, 0), Some((1, 13)), "before {of:?} ones");
    }
}

/// V12: a Failed pair that revives revives its list, and so does a new one.
#[test]
fn a_triggered_check_revives_a_failed_list() {
    for known in [true, false] {
        let mut set = single(Failed);
        assert_eq!(next(&mut set, 0), Some((1, 12)));
        fail(&mut set, (1, 12));
        set.set_list_state(0, ChecklistState::Failed);
        assert!(!set.has_check(0));
        if known {
            let id = id(&set, (1, 11));
            set.trigger(id);
        } else {
            set.insert(stream(0), 1, endpoint(1, 100, 0), endpoint(13, 1, 0)).unwrap();
        }
        assert_eq!(set.lists()[0].state, ChecklistState::Running, "known: {known}");
    }
}

/// N5: RFC 8445 §8.1.2.
#[test]
fn conclusion_removes_the_other_pairs_of_the_component() {
    let mut set = controlling(DEFAULT_LIMIT, &[2]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    local(&mut set, 0, 2, endpoint(2, 100, 1));
    for number in 11..16 {
        let foundation = u16::try_from(number).unwrap();
        remote(&mut set, 0, 1, endpoint(number, 100 - number, foundation));
    }
    remote(&mut set, 0, 2, endpoint(21, 10, 0));
    set.start();
    assert_eq!(next(&mut set, 0), Some((1, 11)));
    assert_eq!(next(&mut set, 0), Some((1, 12)));
    assert_eq!(next(&mut set, 0), Some((1, 13)));
    succeed(&mut set, (1, 11));
    for heard in [(1, 12), (1, 14)] {
        let id = id(&set, heard);
        set.annotate(id).unwrap().heard = true;
        set.trigger(id);
    }
    let other = id(&set, (2, 21));
    set.trigger(other);

    let selected = id(&set, (1, 11));
    set.conclude(stream(0), 1, |id, _| id == selected);
    assert_eq!(order(&set, 0), [(1, 11), (2, 21)]);
    assert_eq!(state(&set, (1, 12)), Failed, "kept for the data that it may carry");
    assert_eq!(state(&set, (1, 14)), Failed);
    assert_eq!(set.pairs().count(), 4, "silent ones are forgotten");

    assert_eq!(checks(&mut set, 0), [(2, 21)], "the queue of the other component stands");
    let late = id(&set, (1, 12));
    assert_eq!(set.trigger(late), Triggered::Unlisted);
    set.queue(late);
    assert!(!set.has_check(0));
    remote(&mut set, 0, 1, endpoint(19, 99, 19));
    assert_eq!(order(&set, 0), [(1, 11), (2, 21)], "nothing more is formed for it");
}

/// N5: what leaves no longer keeps the pairs of its foundation frozen.
#[test]
fn conclusion_releases_the_foundations_of_the_pairs_that_leave() {
    let mut set = controlling(DEFAULT_LIMIT, &[2]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    local(&mut set, 0, 2, endpoint(2, 90, 0));
    remote(&mut set, 0, 1, endpoint(11, 100, 0));
    remote(&mut set, 0, 2, endpoint(21, 90, 0));
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
    set.conclude(stream(0), 1, |_, _| false);
    assert_eq!(checks(&mut set, 0), [(2, 21)]);
}

/// Decision 21: a queued check of a pair that has succeeded meanwhile is dropped, unless it
/// nominates.
#[test]
fn a_success_drops_the_queued_check_but_not_the_nomination() {
    for (nomination, kept) in [(Nomination::Pending, true), (Nomination::None, false)] {
        let mut set = single(InProgress);
        let subject = id(&set, (1, 11));
        set.trigger(subject);
        set.annotate(subject).unwrap().nomination = nomination;
        set.unqueue_plain(subject);
        set.succeed(subject);
        let expected = if kept { (1, 11) } else { (1, 12) };
        assert_eq!(next(&mut set, 0), Some(expected), "{nomination:?}");
        assert_eq!(state(&set, (1, 11)), Succeeded, "a nomination keeps it valid");
    }
}

/// Decision 19: RFC 7675 §5.1.
#[test]
fn a_pair_whose_consent_expired_is_not_revived() {
    let mut set = single(Failed);
    let dead = id(&set, (1, 11));
    set.annotate(dead).unwrap().expired = true;
    assert_eq!(set.trigger(dead), Triggered::Unlisted);
    assert_eq!(state(&set, (1, 11)), Failed);
    assert_eq!(checks(&mut set, 0), [(1, 12)]);
}

/// Decision 5: after the conclusion a pair is kept aside; only a better nomination brings it back.
#[test]
fn a_pair_aside_is_checked_only_when_it_is_listed_again() {
    let mut set = single(Succeeded);
    let selected = id(&set, (1, 11));
    set.conclude(stream(0), 1, |id, _| id == selected);
    let aside = set.insert_aside(stream(0), 1, endpoint(1, 100, 0), endpoint(13, 900, 0)).unwrap();
    assert_eq!(set.trigger(aside), Triggered::Unlisted);
    assert_eq!(order(&set, 0), [(1, 11)]);
    assert!(!set.has_check(0));

    set.relist(aside);
    assert_eq!(order(&set, 0), [(1, 13), (1, 11)]);
    assert!(!set.has_check(0), "not before it is triggered");
    assert_eq!(set.trigger(aside), Triggered::Queued);
    assert_eq!(checks(&mut set, 0), [(1, 13)]);
}

/// Decision 19, §7.3.1.4: neither an expired pair nor a valid one is to be checked again.
#[test]
fn expired_and_valid_pairs_are_not_listed_again() {
    for expired in [true, false] {
        let mut set = single(Succeeded);
        set.conclude(stream(0), 1, |_, _| false);
        let aside =
            set.insert_aside(stream(0), 1, endpoint(1, 100, 0), endpoint(13, 900, 0)).unwrap();
        if expired {
            set.annotate(aside).unwrap().expired = true;
        } else {
            set.succeed(aside);
        }
        set.relist(aside);
        assert_eq!(order(&set, 0), NONE, "expired: {expired}");
    }
}

/// Decision 17: the nomination of a spare pair is not lost when another component concludes.
#[test]
fn conclusion_leaves_the_queued_nominations_of_other_components() {
    let mut set = controlling(DEFAULT_LIMIT, &[2]);
    set.start();
    let mut valid = |component, number| {
        let [local, remote] = [number, 10 + number].map(|number| endpoint(number, 100, 0));
        let id = trigger_new(&mut set, 0, component, local, remote);
        set.unqueue(id);
        validate(&mut set, id);
        id
    };
    let selected = valid(1, 1);
    let spare = valid(1, 2);
    let other = valid(2, 3);
    set.conclude(stream(0), 1, |id, _| id == selected);
    set.queue(spare);
    set.conclude(stream(0), 2, |id, _| id == other);
    assert_eq!(checks(&mut set, 0), [(2, 12)]);
}

/// No more pairs of a local candidate that is gone are formed; those of the others are.
#[test]
fn a_local_candidate_that_is_gone_is_paired_no_more() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    local(&mut set, 0, 1, endpoint(2, 90, 0));
    set.start();
    remote(&mut set, 0, 1, endpoint(11, 100, 1));
    assert_eq!(order(&set, 0), [(1, 11), (2, 11)]);
    set.remove_local(super::candidate(1));
    remote(&mut set, 0, 1, endpoint(12, 90, 2));
    assert_eq!(order(&set, 0), [(1, 11), (2, 11), (2, 12)], "what exists is the caller's");
}

/// A pair that is discarded is handed out as it was, and is in no list and no queue any more.
#[test]
fn a_discarded_pair_is_gone_everywhere() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    remote(&mut set, 0, 1, endpoint(11, 100, 1));
    set.start();
    let pair = id(&set, (1, 11));
    set.queue(pair);
    let discarded = set.discard(pair).map(|pair| super::numbers(&pair));
    assert_eq!(discarded, Some((1, 11)));
    assert!(set.get(pair).is_none());
    assert_eq!(order(&set, 0), NONE);
    assert_eq!(set.next_check(0), None);
    assert!(set.discard(pair).is_none());
}

/// RFC 7675 §5.1: a valid pair of which nobody has asked for consent is checked again before it
/// carries anything, unless it has left its list or its consent has expired: then it has failed.
#[test]
fn a_pair_in_doubt_is_checked_again_while_it_is_listed_and_may_be() {
    for (listed, expired, expected) in [
        (true, false, Waiting),
        (true, true, Failed),
        (false, false, Failed),
        (false, true, Failed),
    ] {
        let mut set = controlling(DEFAULT_LIMIT, &[1]);
        local(&mut set, 0, 1, endpoint(1, 100, 0));
        remote(&mut set, 0, 1, endpoint(11, 100, 1));
        set.start();
        let pair = id(&set, (1, 11));
        validate(&mut set, pair);
        set.annotate(pair).unwrap().expired = expired;
        if !listed {
            set.conclude(stream(0), 1, |_, _| false);
        }
        set.doubt(pair);
        assert_eq!(state(&set, (1, 11)), expected, "listed {listed}, expired {expired}");
        assert!(set.get(pair).unwrap().valid.is_none());
        let queued = expected == Waiting;
        assert_eq!(set.next_check(0), queued.then_some(pair));
    }
}

/// RFC 8445 §9: what is discarded with the earlier generation is that alone.
#[test]
fn the_pairs_of_an_earlier_generation_are_discarded_and_no_others() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    remote(&mut set, 0, 1, endpoint(11, 100, 1));
    set.start();
    let past = id(&set, (1, 11));
    validate(&mut set, past);
    set.restart([(stream(0), 1)].into_iter(), |pair| pair == past);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    remote(&mut set, 0, 1, endpoint(12, 100, 1));
    set.start();
    set.discard_past();
    assert!(set.get(past).is_none());
    assert_eq!(order(&set, 0), [(1, 12)]);
}
