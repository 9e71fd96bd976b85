//! Which pairs are formed, and in which order (RFC 8445 §6.1.2.2 to §6.1.2.4).

use proptest::prelude::*;

use crate::candidate::{CandidateTransport, TcpType};
use crate::config::Role;

use super::super::pool::Pool;
use super::super::{ChecklistSet, Endpoint, PairState, Reach, priority_in};
use super::{
    DEFAULT_LIMIT, NONE, candidate, checks, controlling, endpoint, fail, id, local, order, pair,
    remote, stream, trigger_new, udp, validate,
};

const HIGHEST: u32 = 0x7fff_ffff;

/// P1, P2: RFC 8445 §6.1.2.2.
#[test]
fn addresses_pair_within_their_family_and_link_local_ones_among_themselves() {
    let addresses = ["192.0.2.1", "2001:db8::1", "fe80::1", "febf:ffff::1", "fec0::1"];
    let families = [4, 6, 0, 0, 6];
    for (ours, our_family) in addresses.iter().zip(families) {
        for (theirs, their_family) in addresses.iter().zip(families) {
            let pairs = udp(ours).pairs_with(udp(theirs));
            assert_eq!(pairs, our_family == their_family, "{ours} with {theirs}");
        }
    }
}

/// P1: RFC 6544 §6.2.
#[test]
fn tcp_candidates_pair_with_their_counterparts() {
    use CandidateTransport::{Tcp, Udp};
    use TcpType::{Active, Passive, SimultaneousOpen};
    let ip = "192.0.2.1".parse().unwrap();
    let pairs = |ours, theirs| Reach::new(ip, ours).pairs_with(Reach::new(ip, theirs));
    assert!(pairs(Tcp(Active), Tcp(Passive)));
    assert!(pairs(Tcp(SimultaneousOpen), Tcp(SimultaneousOpen)));
    assert!(!pairs(Tcp(Passive), Tcp(Active)), "a pair that only the peer can check");
    let types = [Active, Passive, SimultaneousOpen];
    for ours in types {
        assert!(!pairs(Udp, Tcp(ours)));
        assert!(!pairs(Tcp(ours), Udp));
    }
    for (ours, theirs) in [
        (Active, Active),
        (Passive, Passive),
        (Active, SimultaneousOpen),
        (SimultaneousOpen, Passive),
    ] {
        assert!(!pairs(Tcp(ours), Tcp(theirs)), "{ours:?} with {theirs:?}");
        assert!(!pairs(Tcp(theirs), Tcp(ours)), "{theirs:?} with {ours:?}");
    }
}

/// P1
#[test]
fn pairs_stay_within_stream_component_and_family() {
    let mut set = controlling(DEFAULT_LIMIT, &[2, 1]);
    let v6 = |number| Endpoint { reach: udp("2001:db8::1"), ..endpoint(number, 50, 0) };
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    local(&mut set, 0, 1, v6(2));
    local(&mut set, 0, 2, endpoint(3, 90, 0));
    local(&mut set, 1, 1, endpoint(4, 80, 0));
    remote(&mut set, 0, 1, endpoint(11, 100, 0));
    remote(&mut set, 0, 1, v6(12));
    remote(&mut set, 0, 2, endpoint(13, 90, 0));
    remote(&mut set, 1, 1, endpoint(14, 80, 0));
    set.start();
    assert_eq!(order(&set, 0), [(1, 11), (3, 13), (2, 12)]);
    assert_eq!(order(&set, 1), [(4, 14)]);
    assert_eq!(pair(&set, (3, 13)).component, 2);
    assert_eq!(pair(&set, (4, 14)).stream, stream(1));
}

/// P1: a component or a stream that does not exist here pairs nothing.
#[test]
fn candidates_of_unknown_components_and_streams_are_passed_over() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    for (list, component) in [(0, 2), (0, 0), (7, 1)] {
        local(&mut set, list, component, endpoint(1, 100, 0));
        remote(&mut set, list, component, endpoint(11, 100, 0));
    }
    set.start();
    assert_eq!(set.pairs().count(), 0);
}

/// P3: RFC 8445 §6.1.2.2.
#[test]
fn components_that_the_peer_lacks_are_dropped_with_their_pairs_and_queued_checks() {
    let mut set = controlling(1, &[2]);
    local(&mut set, 0, 1, endpoint(1, 10, 0));
    remote(&mut set, 0, 1, endpoint(11, 10, 0));
    set.start();
    trigger_new(&mut set, 0, 2, endpoint(2, 90, 0), endpoint(12, 90, 0));
    assert_eq!(order(&set, 0), [(2, 12)], "it has the only place");

    set.drop_components(stream(0), 1);
    let components = set.lists()[0].pools.iter().map(|pool| pool.component);
    assert!(components.eq([1]));
    assert_eq!(order(&set, 0), [(1, 11)], "the place is used");
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
}

/// P4: RFC 8445 §6.1.2.3.
#[test]
fn pair_priorities_use_all_bits_without_overflow() {
    let cases = [
        (HIGHEST, HIGHEST, 0x7fff_ffff_ffff_fffe),
        (HIGHEST, HIGHEST - 1, 0x7fff_fffe_ffff_ffff),
        (HIGHEST - 1, HIGHEST, 0x7fff_fffe_ffff_fffe),
        (1, 1, 0x0000_0001_0000_0002),
        (2, 1, 0x0000_0001_0000_0005),
        (1, HIGHEST, 0x0000_0001_ffff_fffe),
    ];
    for (controlling, controlled, priority) in cases {
        assert_eq!(priority_in(Role::Controlling, controlling, controlled), priority);
        assert_eq!(priority_in(Role::Controlled, controlled, controlling), priority);
    }
}

/// P4
#[test]
fn both_agents_have_the_same_order() {
    let ours = [HIGHEST, 5, HIGHEST - 1];
    let theirs = [HIGHEST - 1, HIGHEST, 5];
    let set = |role, locals: [u32; 3], remotes: [u32; 3]| {
        let mut set = ChecklistSet::new(role, DEFAULT_LIMIT);
        set.add_list(stream(0), 1);
        for (number, priority) in (1..).zip(locals) {
            local(&mut set, 0, 1, endpoint(number, priority, 0));
        }
        for (number, priority) in (1..).zip(remotes) {
            remote(&mut set, 0, 1, endpoint(number, priority, 0));
        }
        set.start();
        set
    };
    let ours_first = order(&set(Role::Controlling, ours, theirs), 0);
    let expected = [(1, 2), (1, 1), (3, 2), (3, 1), (1, 3), (2, 2), (3, 3), (2, 1), (2, 3)];
    assert_eq!(ours_first, expected);
    let theirs_first: Vec<_> = order(&set(Role::Controlled, theirs, ours), 0)
        .into_iter()
        .map(|(local, remote)| (remote, local))
        .collect();
    assert_eq!(theirs_first, expected);
}

/// P5: RFC 8445 §6.1.2.4.
#[test]
fn local_candidates_with_one_base_are_one_for_pairing() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 200, 0));
    set.add_local(stream(0), 1, endpoint(2, 100, 1), candidate(1));
    remote(&mut set, 0, 1, endpoint(11, 200, 0));
    remote(&mut set, 0, 1, endpoint(12, 100, 1));
    set.start();
    assert_eq!(order(&set, 0), [(1, 11), (1, 12)]);
    assert_eq!(pair(&set, (1, 12)).local_priority, 200);
    assert_eq!(pair(&set, (1, 12)).foundation.local, 0);

    set.add_local(stream(0), 1, endpoint(3, 50, 2), candidate(1));
    assert_eq!(set.pairs().count(), 2, "after the start as well");
}

/// P5: the pair with the higher priority stands, whichever candidate was first.
#[test]
fn of_two_candidates_with_one_base_the_higher_priority_counts() {
    for started in [false, true] {
        let mut set = controlling(DEFAULT_LIMIT, &[1]);
        remote(&mut set, 0, 1, endpoint(11, 300, 0));
        if started {
            set.start();
        }
        local(&mut set, 0, 1, endpoint(1, 100, 0));
        set.add_local(stream(0), 1, endpoint(2, 200, 0), candidate(1));
        set.start();
        assert_eq!(order(&set, 0), [(1, 11)]);
        assert_eq!(pair(&set, (1, 11)).local_priority, 200, "started before: {started}");
    }
}

/// P5: a check leaves from a base, so the pair names that and not the reflexive candidate.
#[test]
fn a_reflexive_candidate_is_paired_as_its_base() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    set.add_local(stream(0), 1, endpoint(2, 100, 1), candidate(1));
    remote(&mut set, 0, 1, endpoint(11, 100, 0));
    set.start();
    assert_eq!(order(&set, 0), [(1, 11)]);
}

/// P6, V11: a pair from a peer's check is not formed again when its local candidate is conveyed.
#[test]
fn a_pair_that_a_check_made_is_not_formed_again() {
    for started in [false, true] {
        for local_first in [false, true] {
            let mut set = controlling(DEFAULT_LIMIT, &[1]);
            if started {
                set.start();
            }
            if local_first {
                local(&mut set, 0, 1, endpoint(1, 100, 0));
            }
            remote(&mut set, 0, 1, endpoint(11, 50, 0));
            if set.find(candidate(1), candidate(11)).is_none() {
                trigger_new(&mut set, 0, 1, endpoint(1, 100, 0), endpoint(11, 50, 0));
            }
            if !local_first {
                local(&mut set, 0, 1, endpoint(1, 100, 0));
            }
            remote(&mut set, 0, 1, endpoint(12, 60, 0));
            set.start();
            assert_eq!(
                order(&set, 0),
                [(1, 12), (1, 11)],
                "started: {started}, local candidate known before the check: {local_first}"
            );
        }
    }
}

/// V10: RFC 8445 §7.3.1.3.
#[test]
fn a_peer_reflexive_candidate_is_not_paired_with_other_local_candidates() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    for number in 1..4 {
        local(&mut set, 0, 1, endpoint(number, 100 + number, 0));
    }
    set.start();
    trigger_new(&mut set, 0, 1, endpoint(2, 102, 0), endpoint(11, 50, 9));
    assert_eq!(order(&set, 0), [(2, 11)]);
    assert!(!set.lists()[0].has_prospects());
}

/// P10: RFC 8445 §6.1.2.3, §7.3.1.1.
#[test]
fn a_role_switch_reorders_the_pairs() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    for (number, priority) in [(1, 10), (2, 20)] {
        local(&mut set, 0, 1, endpoint(number, priority, number.try_into().unwrap()));
        remote(&mut set, 0, 1, endpoint(10 + number, priority, number.try_into().unwrap()));
    }
    set.start();
    // (2, 11) and (1, 12) differ only in who has the higher priority.
    assert_eq!(order(&set, 0), [(2, 12), (2, 11), (1, 12), (1, 11)]);
    let before = pair(&set, (2, 11)).priority;

    set.set_role(Role::Controlled);
    assert_eq!(set.role(), Role::Controlled);
    assert_eq!(order(&set, 0), [(2, 12), (1, 12), (2, 11), (1, 11)]);
    assert_eq!(pair(&set, (1, 12)).priority, before);
    assert_eq!(checks(&mut set, 0), [(2, 12), (1, 12), (2, 11), (1, 11)]);
}

/// P10: pairs that are formed later have the priorities of the new role.
#[test]
fn a_role_switch_holds_for_pairs_to_come() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 10, 0));
    set.start();
    set.set_role(Role::Controlled);
    remote(&mut set, 0, 1, endpoint(11, 20, 0));
    trigger_new(&mut set, 0, 1, endpoint(1, 10, 0), endpoint(12, 30, 1));
    assert_eq!(pair(&set, (1, 11)).priority, (10 << 32) + 2 * 20 + 1);
    assert_eq!(pair(&set, (1, 12)).priority, (10 << 32) + 2 * 30 + 1);
}

/// P10: what the foundations count survives the switch.
#[test]
fn a_role_switch_unfreezes_nothing() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 10, 0));
    for number in 11..14 {
        remote(&mut set, 0, 1, endpoint(number, number, 0));
    }
    set.start();
    assert_eq!(checks(&mut set, 0), [(1, 13)]);
    set.set_role(Role::Controlled);
    assert_eq!(checks(&mut set, 0), NONE);
    fail(&mut set, (1, 13));
    assert_eq!(checks(&mut set, 0), [(1, 12)]);
}

/// RFC 8445 §8.1.1: among the valid pairs of a component the best is nominated.
#[test]
fn the_best_valid_pair_is_that_of_its_component_with_the_highest_priority() {
    let mut set = controlling(DEFAULT_LIMIT, &[2]);
    let mut make = |component, number, priority| {
        let [local, remote] = [number, 10 + number].map(|number| endpoint(number, priority, 0));
        let id = trigger_new(&mut set, 0, component, local, remote);
        validate(&mut set, id);
        id
    };
    make(1, 1, 7);
    let best = make(1, 2, 9);
    let equal = make(1, 3, 9);
    let other = make(2, 4, 99);
    make(2, 5, 3);
    trigger_new(&mut set, 0, 1, endpoint(6, 100, 0), endpoint(16, 100, 0));
    assert_eq!(set.best_valid(stream(0), 1), Some(best), "of equal ones the older");
    assert_eq!(set.best_valid(stream(0), 2), Some(other));
    assert_eq!(set.best_valid(stream(0), 3), None);
    set.annotate(best).unwrap().valid = None;
    assert_eq!(set.best_valid(stream(0), 1), Some(equal));
}

/// P10: pairs that are valid already are compared by the new role, too.
#[test]
fn a_role_switch_reorders_the_valid_pairs() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    let mut make = |number, ours, theirs| {
        let [local, remote] = [endpoint(number, ours, 0), endpoint(10 + number, theirs, 0)];
        let id = trigger_new(&mut set, 0, 1, local, remote);
        validate(&mut set, id);
        id
    };
    let ours_higher = make(1, 20, 10);
    let theirs_higher = make(2, 10, 20);
    assert_eq!(set.best_valid(stream(0), 1), Some(ours_higher));
    set.set_role(Role::Controlled);
    assert_eq!(set.best_valid(stream(0), 1), Some(theirs_higher));
}

#[derive(Clone, Debug)]
enum Step {
    Local { base: u32, priority: u32, reach: usize },
    Remote { priority: u32, reach: usize },
    Take,
    Formed { base: u32, remote: usize },
    Unformed { base: u32, remote: usize },
    Switch,
}

fn reaches() -> [Reach; 4] {
    let ip = "192.0.2.1".parse().unwrap();
    [
        udp("192.0.2.1"),
        udp("2001:db8::1"),
        Reach::new(ip, CandidateTransport::Tcp(TcpType::Active)),
        Reach::new(ip, CandidateTransport::Tcp(TcpType::Passive)),
    ]
}

fn priority() -> impl Strategy<Value = u32> {
    prop_oneof![1..6_u32, HIGHEST - 3..=HIGHEST]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6_u32, priority(), 0..4_usize)
            .prop_map(|(base, priority, reach)| Step::Local { base, priority, reach }),
        3 => (priority(), 0..4_usize).prop_map(|(priority, reach)| Step::Remote { priority, reach }),
        4 => Just(Step::Take),
        1 => (0..6_u32, 0..80_usize).prop_map(|(base, remote)| Step::Formed { base, remote }),
        2 => (0..6_u32, 0..80_usize).prop_map(|(base, remote)| Step::Unformed { base, remote }),
        1 => Just(Step::Switch),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The best prospect is the best of all combinations that suit each other and were not formed.
    #[test]
    fn the_pool_finds_the_best_unformed_pair(steps in prop::collection::vec(step(), 1..200)) {
        let mut pool = Pool::new(1);
        let mut role = Role::Controlling;
        let mut rows: Vec<Endpoint> = Vec::new();
        let mut columns: Vec<Endpoint> = Vec::new();
        let mut formed = Vec::new();
        for step in steps {
            match step {
                Step::Local { base, priority, reach } => {
                    let reach = reaches()[reach];
                    let base = candidate(base);
                    match rows.iter_mut().find(|row| row.id == base) {
                        Some(row) => {
                            row.priority = row.priority.max(priority);
                            let id = candidate(100);
                            let endpoint = Endpoint { id, priority, foundation: 0, reach: row.reach };
                            pool.add_local(endpoint, base);
                        }
                        None => {
                            let endpoint = Endpoint { id: base, priority, foundation: 0, reach };
                            rows.push(endpoint);
                            pool.add_local(endpoint, base);
                        }
                    }
                }
                Step::Remote { priority, reach } => {
                    let id = candidate(1000 + u32::try_from(columns.len()).unwrap());
                    let reach = reaches()[reach];
                    let endpoint = Endpoint { id, priority, foundation: 0, reach };
                    columns.push(endpoint);
                    pool.add_remote(endpoint);
                }
                Step::Take => {
                    if let Some(best) = pool.best(role) {
                        pool.take(&best);
                        formed.push((best.local.id, best.remote.id));
                    }
                }
                Step::Formed { base, remote } => {
                    if let Some(remote) = columns.get(remote) {
                        pool.mark_formed(candidate(base), remote.id);
                        if rows.iter().any(|row| row.id == candidate(base)) {
                            formed.push((candidate(base), remote.id));
                        }
                    }
                }
                Step::Unformed { base, remote } => {
                    if let Some(remote) = columns.get(remote) {
                        pool.mark_unformed(candidate(base), remote.id);
                        formed.retain(|&pair| pair != (candidate(base), remote.id));
                    }
                }
                Step::Switch => role = role.opposite(),
            }
            let free = |local: &Endpoint, remote: &Endpoint| {
                local.reach.pairs_with(remote.reach) && !formed.contains(&(local.id, remote.id))
            };
            let expected = rows
                .iter()
                .flat_map(|local| columns.iter().map(move |remote| (local, remote)))
                .filter(|(local, remote)| free(local, remote))
                .map(|(local, remote)| priority_in(role, local.priority, remote.priority))
                .max();
            // Before `best` has moved its cursors, and afterwards.
            prop_assert_eq!(pool.has_prospect(), expected.is_some());
            let best = pool.best(role);
            prop_assert_eq!(best.map(|best| best.priority), expected);
            prop_assert_eq!(pool.has_prospect(), expected.is_some());
            if let Some(best) = best {
                prop_assert!(free(&best.local, &best.remote));
                prop_assert_eq!(
                    best.priority,
                    priority_in(role, best.local.priority, best.remote.priority)
                );
            }
        }
        pool.close();
        prop_assert_eq!(pool.best(role), None);
        prop_assert!(!pool.has_prospect());
    }
}

/// Before the start nothing is formed, and nothing is checked but what a peer's check queued.
#[test]
fn before_the_start_only_triggered_checks_are_made() {
    let mut set = controlling(DEFAULT_LIMIT, &[1]);
    local(&mut set, 0, 1, endpoint(1, 100, 0));
    remote(&mut set, 0, 1, endpoint(11, 100, 0));
    assert!(!set.has_check(0));
    assert_eq!(checks(&mut set, 0), NONE);
    let early = trigger_new(&mut set, 0, 1, endpoint(1, 100, 0), endpoint(12, 50, 9));
    assert!(set.has_check(0));
    assert_eq!(checks(&mut set, 0), [(1, 12)]);
    assert_eq!(set.get(early).unwrap().state, PairState::InProgress);
    set.start();
    assert_eq!(id(&set, (1, 12)), early);
    assert_eq!(checks(&mut set, 0), [(1, 11)]);
}
