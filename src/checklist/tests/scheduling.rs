//! Whose turn it is within a checklist (RFC 8445 §6.1.4).

use crate::candidate::{CandidateTransport, TcpType};

use super::super::{ChecklistState, Endpoint, PairState, Reach};
use super::{
    DEFAULT_LIMIT, NONE, checks, controlling, endpoint, fail, id, local, next, order, pair, remote,
    state, states, succeed, trigger_new, udp,
};

use PairState::{Failed, Frozen, InProgress, Waiting};

/// S2: RFC 8445 §6.1.4.1, §6.1.4.2 step 1.
#[test]
fn triggered_checks_come_first_in_the_order_of_their_arrival() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    for number in 11..16 {
        remote(&mut set, 0, 1, endpoint(number, number, number.try_into().unwrap()));
    }
    set.start();
    for numbers in [(1, 12), (1, 11), (1, 13), (1, 12)] {
        let id = id(&set, numbers);
        set.trigger(id);
    }
    assert_eq!(checks(&mut set, 0), [(1, 12), (1, 11), (1, 13), (1, 15), (1, 14)]);
}

/// S2: each checklist has a queue of its own.
#[test]
fn triggered_checks_belong_to_their_list() {
    let mut set = controlling(DEFAULT_LIMIT, &[1, 1]);
    trigger_new(&mut set, 1, 1, endpoint(1, 100, 0), endpoint(11, 100, 0));
    trigger_new(&mut set, 0, 1, endpoint(2, 100, 0), endpoint(12, 100, 0));
    assert_eq!(checks(&mut set, 0), [(2, 12)]);
    assert_eq!(checks(&mut set, 1), [(1, 11)]);
}

/// S2: what leaves the queue is not checked.
#[test]
fn pairs_that_failed_or_were_removed_leave_the_queue() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    set.start();
    for number in 11..15 {
        trigger_new(&mut set, 0, 1, endpoint(1, 100, 0), endpoint(number, number, 0));
    }
    fail(&mut set, (1, 11));
    let [unqueued, removed] = [(1, 12), (1, 13)].map(|numbers| id(&set, numbers));
    set.unqueue(unqueued);
    assert_eq!(set.discard(removed).map(|pair| pair.remote.get()), Some(13));
    assert!(set.get(removed).is_none());
    assert!(set.discard(removed).is_none());
    assert_eq!(next(&mut set, 0), Some((1, 14)));
    assert_eq!(next(&mut set, 0), Some((1, 12)), "unqueued, but Waiting");
    assert_eq!(next(&mut set, 0), None);
    assert_eq!(order(&set, 0), [(1, 14), (1, 12), (1, 11)]);
}

/// S3: RFC 8445 §6.1.4.2, step 2.
#[test]
fn a_frozen_pair_waits_while_one_of_its_foundation_is_under_way() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    for (number, foundation) in [(11, 0), (12, 0), (13, 0), (14, 1)] {
        remote(&mut set, 0, 1, endpoint(number, number, foundation));
    }
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 14), (1, 13)]);
    assert!(!set.has_check(0));
    fail(&mut set, (1, 14));
    assert!(!set.has_check(0), "another foundation");
    fail(&mut set, (1, 13));
    assert!(set.has_check(0));
    assert_eq!(checks(&mut set, 0), [(1, 12)], "one, and the best");
    assert_eq!(state(&set, (1, 11)), Frozen);
}

/// S3: a Waiting pair holds the others back as well.
#[test]
fn nothing_is_unfrozen_as_long_as_a_pair_is_waiting() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    for (number, foundation) in [(11, 0), (12, 1), (13, 0)] {
        remote(&mut set, 0, 1, endpoint(number, number, foundation));
    }
    set.start();
    assert_eq!(next(&mut set, 0), Some((1, 13)));
    fail(&mut set, (1, 13));
    assert_eq!(next(&mut set, 0), Some((1, 12)));
    assert_eq!(states(&set, 0), [Failed, InProgress, Frozen]);
}

/// S3: the foundation counts in all checklists.
#[test]
fn a_frozen_pair_waits_for_its_foundation_in_another_list() {
    let mut set = controlling(DEFAULT_LIMIT, &[1, 1]);
    for list in 0..2 {
        local(&mut set, list, 1, endpoint(1 + list, 100, 0));
        remote(&mut set, list, 1, endpoint(11 + list, 100, 0));
    }
    set.start();
    assert_eq!(checks(&mut set, 1), NONE, "Waiting in the first list");
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
    assert_eq!(checks(&mut set, 1), NONE, "In-Progress in the first list");
    assert_eq!(state(&set, (2, 12)), Frozen);
    fail(&mut set, (1, 11));
    assert_eq!(checks(&mut set, 1), [(2, 12)]);
}

/// S3: a pair that was removed holds nothing back.
#[test]
fn a_frozen_pair_does_not_wait_for_one_that_was_removed() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    remote(&mut set, 0, 1, endpoint(11, 100, 0));
    remote(&mut set, 0, 1, endpoint(12, 90, 0));
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
    let id = id(&set, (1, 11));
    set.discard(id);
    assert_eq!(checks(&mut set, 0), [(1, 12)]);
}

/// S4: RFC 8445 §6.1.4.2, step 3.
#[test]
fn the_highest_priority_comes_first_and_among_equals_the_lowest_component() {
    let mut set = controlling(DEFAULT_LIMIT, &[3]);
    let mut foundation = 0;
    for (component, priority) in [(3, 50), (2, 70), (1, 50), (2, 50), (1, 60)] {
        foundation += 1;
        let number = u32::from(foundation);
        local(
            &mut set,
            0,
            component,
            Endpoint { reach: only(foundation), ..endpoint(number, priority, foundation) },
        );
        remote(
            &mut set,
            0,
            component,
            Endpoint { reach: only(foundation), ..endpoint(10 + number, priority, foundation) },
        );
    }
    set.start();
    assert_eq!(order(&set, 0), [(2, 12), (5, 15), (3, 13), (4, 14), (1, 11)]);
    let ties = [(3, 13), (4, 14), (1, 11)].map(|numbers| pair(&set, numbers).component);
    assert_eq!(ties, [1, 2, 3]);
    assert_eq!(checks(&mut set, 0), [(2, 12), (5, 15), (3, 13), (4, 14), (1, 11)]);
}

/// S5: RFC 8838 §8.
#[test]
fn an_empty_list_has_no_check_and_does_not_hinder_others() {
    let mut set = controlling(DEFAULT_LIMIT, &[1, 1]);
    local(&mut set, 1, 1, endpoint(1, 100, 0));
    remote(&mut set, 1, 1, endpoint(11, 100, 0));
    set.start();
    assert!(!set.has_check(0));
    assert_eq!(set.next_check(0), None);
    assert_eq!(set.lists()[0].state, ChecklistState::Running);
    assert!(set.has_check(1));
    assert_eq!(next(&mut set, 1), Some((1, 11)));
    assert_eq!(set.next_check(2), None, "no such list");
    assert!(!set.has_check(2));
}

/// S1: only lists that are Running make ordinary checks.
#[test]
fn a_list_that_has_ended_makes_triggered_checks_only() {
    for ended in [ChecklistState::Completed, ChecklistState::Failed] {
        let mut set = controlling(DEFAULT_LIMIT, &[1]);
        local(&mut set, 0, 1, endpoint(1, 100, 0));
        remote(&mut set, 0, 1, endpoint(11, 100, 0));
        remote(&mut set, 0, 1, endpoint(12, 90, 1));
        set.start();
        set.set_list_state(0, ended);
        assert!(!set.has_check(0), "{ended:?}");
        assert_eq!(checks(&mut set, 0), NONE, "{ended:?}");
    }
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    remote(&mut set, 0, 1, endpoint(11, 100, 0));
    remote(&mut set, 0, 1, endpoint(12, 90, 1));
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11), (1, 12)]);
    succeed(&mut set, (1, 11));
    set.set_list_state(0, ChecklistState::Completed);
    let nominated = id(&set, (1, 11));
    set.queue(nominated);
    assert!(set.has_check(0));
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
}

/// Decision 16
#[test]
fn a_pair_behind_stalled_ones_is_unfrozen() {
    let mut set = controlling(DEFAULT_LIMIT, &[1, 1]);
    for list in 0..2 {
        local(&mut set, list, 1, endpoint(1 + list, 100, 0));
    }
    for number in [11, 12, 13] {
        remote(&mut set, 0, 1, endpoint(number, 100 - number, 0));
    }
    remote(&mut set, 1, 1, endpoint(21, 10, 0));
    set.start();
    assert_eq!(set.unfreeze_stalled(0, |_| true), None, "one is Waiting");
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
    assert_eq!(set.unfreeze_stalled(0, |_| false), None, "it is not stalled");

    let best = id(&set, (1, 12));
    assert_eq!(set.unfreeze_stalled(0, |_| true), Some(best));
    assert_eq!(set.unfreeze_stalled(0, |_| true), None, "one at a time");
    assert_eq!(states(&set, 0), [InProgress, Waiting, Frozen]);
    assert_eq!(checks(&mut set, 0), [(1, 12)]);

    let first = |pair: &super::CandidatePair| pair.remote.get() == 11;
    assert_eq!(set.unfreeze_stalled(0, first), None, "all of them have to be stalled");
    assert_eq!(set.unfreeze_stalled(1, first), None, "in all lists");
    let other = id(&set, (2, 21));
    assert_eq!(set.unfreeze_stalled(1, |_| true), Some(other));
    assert_eq!(state(&set, (1, 13)), Frozen);
}

/// Decision 16: only the foundation of the pair itself matters.
#[test]
fn a_stalled_foundation_is_not_held_back_by_another_one() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    for (number, foundation) in [(11, 0), (12, 1), (13, 1), (14, 0)] {
        remote(&mut set, 0, 1, endpoint(number, 100 - number, foundation));
    }
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11), (1, 12)]);
    let unfrozen = set.unfreeze_stalled(0, |pair| pair.remote.get() == 11);
    assert_eq!(unfrozen, Some(id(&set, (1, 14))), "not the better (1, 13)");
    assert_eq!(state(&set, (1, 13)), Frozen);
}

/// A reach that two candidates share only when they have the same number: the others are of
/// another family or transport.
fn only(number: u16) -> Reach {
    let tcp = |ip: &str| {
        Reach::new(ip.parse().unwrap(), CandidateTransport::Tcp(TcpType::SimultaneousOpen))
    };
    match number {
        1 => udp("192.0.2.1"),
        2 => udp("2001:db8::1"),
        3 => udp("fe80::1"),
        4 => tcp("192.0.2.1"),
        _ => tcp("2001:db8::1"),
    }
}
