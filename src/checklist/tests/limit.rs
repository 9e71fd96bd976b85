//! The limit on pairs and what lies behind it (RFC 8445 §6.1.2.5; decision 15).

use std::collections::BTreeSet;

use crate::id::StreamId;

use super::super::{CandidatePair, ChecklistSet, Nomination};
use super::{
    DEFAULT_LIMIT, Numbers, checks, controlling, endpoint, fail, id, local, next, numbers, order,
    remote, stream, succeed, trigger_new,
};

/// `count` local and as many remote candidates in each list, all of different foundations.
fn crowd(limit: usize, lists: u32, count: u32) -> ChecklistSet {
    let components: Vec<u16> = (0..lists).map(|_| 1).collect();
    let mut set = controlling(limit, &components);
    for list in 0..lists {
        for number in 0..count {
            let number = 1000 * list + number;
            let foundation = u16::try_from(number).unwrap();
            local(&mut set, list, 1, endpoint(number, 1 + 2 * number, foundation));
            remote(&mut set, list, 1, endpoint(500 + number, 2 + 2 * number, foundation));
        }
    }
    set
}

/// P6
#[test]
fn the_limit_is_shared_evenly_and_keeps_the_best_pairs() {
    let mut set = crowd(DEFAULT_LIMIT, 3, 30);
    set.start();
    for (list, share) in [(0_u32, 34), (1, 33), (2, 33)] {
        let index = usize::try_from(list).unwrap();
        assert_eq!(set.quota(index), share);
        let mut all: Vec<_> = (0..30)
            .flat_map(|local| {
                (0..30).map(move |remote| (1000 * list + local, 1000 * list + remote))
            })
            .map(|(l, r)| {
                let priority = crate::candidate::priority::pair_priority(1 + 2 * l, 2 + 2 * r);
                (core::cmp::Reverse(priority), (l, 500 + r))
            })
            .collect();
        all.sort_unstable();
        let best: Vec<Numbers> = all.into_iter().take(share).map(|(_, numbers)| numbers).collect();
        assert_eq!(order(&set, index), best);
    }
}

/// P6: candidates that come after the start find the same limit.
#[test]
fn the_limit_holds_for_candidates_that_trickle_in() {
    let mut at_once = crowd(7, 2, 5);
    at_once.start();
    let mut trickled = controlling(7, &[1, 1]);
    trickled.start();
    for list in 0..2 {
        for number in (0..5).map(|number| 1000 * list + number) {
            let foundation = u16::try_from(number).unwrap();
            local(&mut trickled, list, 1, endpoint(number, 1 + 2 * number, foundation));
            remote(&mut trickled, list, 1, endpoint(500 + number, 2 + 2 * number, foundation));
            assert!(trickled.pairs().count() <= 7);
        }
    }
    for (list, share) in [(0, 4), (1, 3)] {
        assert_eq!(order(&trickled, list).len(), share);
        assert_eq!(order(&trickled, list), order(&at_once, list));
    }
}

/// P6: every list may hold a pair, however small the limit is.
#[test]
fn no_list_is_left_without_a_place() {
    for (limit, shares) in [(0, [1, 1, 1]), (2, [1, 1, 1]), (3, [1, 1, 1]), (5, [2, 2, 1])] {
        let mut set = crowd(limit, 3, 3);
        set.start();
        assert_eq!([0, 1, 2].map(|list| order(&set, list).len()), shares, "limit {limit}");
    }
}

/// P6: a new stream takes its share from the others: Failed pairs first, then the worst.
#[test]
fn a_new_list_takes_places_from_the_others() {
    let mut set = crowd(4, 1, 2);
    set.start();
    let all = order(&set, 0);
    assert_eq!(all.len(), 4);
    assert_eq!(next(&mut set, 0), Some(all[0]));
    fail(&mut set, all[0]);
    set.add_list(stream(1), 1);
    assert_eq!(order(&set, 0), [all[1], all[2]]);
    assert!(set.lists()[0].has_prospects(), "the unchecked one may come again");
    set.add_list(stream(2), 1);
    assert_eq!(order(&set, 0), [all[1], all[2]], "the first list has the odd place");
}

/// P6: what has succeeded keeps its place.
#[test]
fn a_new_list_does_not_take_the_places_of_valid_pairs() {
    let mut set = crowd(4, 1, 2);
    set.start();
    let all = checks(&mut set, 0);
    for &numbers in &all[1..] {
        succeed(&mut set, numbers);
    }
    set.add_list(stream(1), 1);
    assert_eq!(order(&set, 0), all[1..]);
}

/// P6, decision 15: all pairs are checked in the end.
#[test]
fn retirement_brings_every_pair_to_its_check() {
    let mut set = crowd(DEFAULT_LIMIT, 1, 30);
    set.start();
    let mut seen: BTreeSet<Numbers> = BTreeSet::new();
    loop {
        for numbers in checks(&mut set, 0) {
            assert!(seen.insert(numbers), "{numbers:?} twice");
        }
        assert!(order(&set, 0).len() <= DEFAULT_LIMIT);
        if set.retire(0, |_| Some(0)).is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 900);
    assert_eq!(order(&set, 0).len(), DEFAULT_LIMIT, "nobody retires for nothing");
}

/// Decision 15: the places of pairs that have failed are used, too.
#[test]
fn failures_bring_every_pair_to_its_check() {
    let mut set = crowd(3, 1, 4);
    set.start();
    let mut seen: BTreeSet<Numbers> = BTreeSet::new();
    while let Some(numbers) = next(&mut set, 0) {
        assert!(seen.insert(numbers), "{numbers:?} twice");
        fail(&mut set, numbers);
        // What an idle slot does.
        if !set.has_check(0) {
            set.retire(0, |_| Some(0));
        }
    }
    assert_eq!(seen.len(), 16);
    assert!(!set.lists()[0].has_prospects());
}

/// Decision 15: the places that a concluded component leaves are used by the others.
#[test]
fn conclusion_leaves_its_places_to_the_other_component() {
    let mut set = controlling(2, &[2]);
    local(&mut set, 0, 1, endpoint(1, 900, 0));
    local(&mut set, 0, 2, endpoint(2, 100, 1));
    for number in 0..2 {
        let foundation = u16::try_from(number).unwrap();
        remote(&mut set, 0, 1, endpoint(11 + number, 900, foundation));
        remote(&mut set, 0, 2, endpoint(21 + number, 100 - number, foundation));
    }
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11), (1, 12)]);
    succeed(&mut set, (1, 11));
    let selected = id(&set, (1, 11));
    set.conclude(stream(0), 1, |id, _| id == selected);
    assert_eq!(checks(&mut set, 0), [(2, 21)]);
}

/// Decision 15: who retires, and for whom.
#[test]
fn the_pair_of_the_highest_rank_retires_for_the_best_one_behind_the_limit() {
    let mut set = controlling(3, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    for number in 11..16 {
        remote(&mut set, 0, 1, endpoint(number, 100 - number, number.try_into().unwrap()));
    }
    set.start();
    let by_number = |pair: &CandidatePair| Some(u64::from(pair.remote.get()));
    assert!(set.retire(0, by_number).is_none(), "nobody was checked");
    assert_eq!(next(&mut set, 0), Some((1, 11)));
    assert_eq!(next(&mut set, 0), Some((1, 12)));
    assert!(set.retire(0, |_| None).is_none(), "nobody is eligible");
    assert_eq!(order(&set, 0), [(1, 11), (1, 12), (1, 13)]);

    let expected = id(&set, (1, 12));
    let (retired, pair) = set.retire(0, by_number).unwrap();
    assert_eq!(retired, expected);
    assert_eq!(numbers(&pair), (1, 12));
    assert!(set.get(retired).is_none());
    assert_eq!(order(&set, 0), [(1, 11), (1, 13), (1, 14)]);
    assert_eq!(next(&mut set, 0), Some((1, 13)));
    assert_eq!(next(&mut set, 0), Some((1, 14)));

    let oldest = set.retire(0, |_| Some(0)).map(|(_, pair)| numbers(&pair));
    assert_eq!(oldest, Some((1, 11)), "of equal ranks the oldest");
    assert_eq!(order(&set, 0), [(1, 13), (1, 14), (1, 15)]);
    assert_eq!(next(&mut set, 0), Some((1, 15)));
    assert!(set.retire(0, |_| Some(0)).is_none(), "no other pair is left");
    assert_eq!(order(&set, 0).len(), 3);
}

/// Decision 15: only a pair that is under way retires.
#[test]
fn a_valid_pair_does_not_retire() {
    let mut set = controlling(1, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    remote(&mut set, 0, 1, endpoint(11, 20, 0));
    remote(&mut set, 0, 1, endpoint(12, 10, 0));
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
    succeed(&mut set, (1, 11));
    assert!(set.retire(0, |_| Some(0)).is_none());
    assert_eq!(order(&set, 0), [(1, 11)]);
}

/// Decision 15: a retired pair comes back with the peer's check or a late answer, once.
#[test]
fn a_retired_pair_comes_back_when_it_is_heard_of() {
    let mut set = controlling(1, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    remote(&mut set, 0, 1, endpoint(11, 20, 0));
    remote(&mut set, 0, 1, endpoint(12, 10, 1));
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
    assert!(set.retire(0, |_| Some(0)).is_some());
    assert_eq!(order(&set, 0), [(1, 12)]);
    trigger_new(&mut set, 0, 1, endpoint(1, 1000, 0), endpoint(11, 20, 0));
    assert_eq!(order(&set, 0), [(1, 11)]);
    assert!(set.lists()[0].has_prospects(), "(1, 12) was not checked yet");
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
    assert!(set.retire(0, |_| Some(0)).is_some());
    assert_eq!(checks(&mut set, 0), [(1, 12)]);
    assert!(!set.lists()[0].has_prospects());
}

/// P6, V12: a pair from a peer's check finds a place, at the cost of the least promising.
#[test]
fn an_inserted_pair_displaces_failed_then_unchecked_then_unanswered_ones() {
    let mut set = controlling(4, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    for number in 11..15 {
        remote(&mut set, 0, 1, endpoint(number, 100 - number, number.try_into().unwrap()));
    }
    set.start();
    for number in 11..14 {
        assert_eq!(next(&mut set, 0), Some((1, number)));
    }
    fail(&mut set, (1, 11));
    succeed(&mut set, (1, 12));
    let mut insert = |number| {
        let id = set.insert(stream(0), 1, endpoint(1, 1000, 0), endpoint(number, 1, 900))?;
        set.succeed(id);
        Some(order(&set, 0))
    };
    assert_eq!(insert(21), Some(vec![(1, 12), (1, 13), (1, 14), (1, 21)]), "Failed");
    assert_eq!(insert(22), Some(vec![(1, 12), (1, 13), (1, 21), (1, 22)]), "Waiting");
    assert_eq!(insert(23), Some(vec![(1, 12), (1, 21), (1, 22), (1, 23)]), "In-Progress");
    assert_eq!(insert(24), None, "all others have succeeded");
    assert_eq!(order(&set, 0).len(), 4);
}

/// An insertion that cannot be made costs nobody a place.
#[test]
fn an_insertion_into_a_component_that_does_not_exist_changes_nothing() {
    let mut set = controlling(1, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    remote(&mut set, 0, 1, endpoint(11, 20, 0));
    set.start();
    let missing: [(StreamId, u16); 2] = [(stream(0), 2), (stream(7), 1)];
    for (stream, component) in missing {
        assert_eq!(set.insert(stream, component, endpoint(2, 9, 0), endpoint(12, 9, 0)), None);
        assert_eq!(order(&set, 0), [(1, 11)]);
    }
}

/// P6: what a peer can make after the conclusion is limited as well.
#[test]
fn there_may_be_as_many_pairs_aside_as_in_the_lists() {
    let mut set = controlling(2, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    remote(&mut set, 0, 1, endpoint(11, 20, 0));
    set.start();
    let mut aside =
        |number| set.insert_aside(stream(0), 1, endpoint(1, 1000, 0), endpoint(number, 1, 0));
    assert!(aside(21).is_some());
    assert!(aside(22).is_some());
    assert_eq!(aside(23), None);
    assert_eq!(order(&set, 0), [(1, 11)]);
}

/// P6: a pair that is listed again takes a place, not one more.
#[test]
fn a_pair_that_is_listed_again_keeps_to_the_limit() {
    let mut set = controlling(2, &[1]);
    local(&mut set, 0, 1, endpoint(1, 1000, 0));
    remote(&mut set, 0, 1, endpoint(11, 20, 0));
    remote(&mut set, 0, 1, endpoint(12, 10, 1));
    set.start();
    let aside = set.insert_aside(stream(0), 1, endpoint(1, 1000, 0), endpoint(13, 15, 2)).unwrap();
    set.relist(aside);
    assert_eq!(order(&set, 0), [(1, 11), (1, 13)]);
    for numbers in [(1, 11), (1, 13)] {
        succeed(&mut set, numbers);
    }
    let aside = set.insert_aside(stream(0), 1, endpoint(1, 1000, 0), endpoint(14, 99, 3)).unwrap();
    set.relist(aside);
    assert_eq!(order(&set, 0), [(1, 11), (1, 13)], "no place is left");
}

/// RFC 8838 §10: a pair that the peer has nominated, or been heard on, makes no room for a better one.
#[test]
fn a_pair_that_the_peer_uses_makes_no_room() {
    for (nominated, heard, evicted) in
        [(false, false, true), (true, false, false), (false, true, false), (true, true, false)]
    {
        let mut set = controlling(1, &[1]);
        local(&mut set, 0, 1, endpoint(1, 100, 0));
        remote(&mut set, 0, 1, endpoint(11, 10, 1));
        set.start();
        let pair = id(&set, (1, 11));
        let annotated = set.annotate(pair).unwrap();
        annotated.heard = heard;
        if nominated {
            annotated.nomination = Nomination::Pending;
        }
        remote(&mut set, 0, 1, endpoint(12, 20, 2));
        assert_eq!(set.get(pair).is_none(), evicted, "nominated {nominated}, heard {heard}");
    }
}
