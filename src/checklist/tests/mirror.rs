//! Two agents with the same candidates come to the same pairs in the same order (RFC 8445
//! §6.1.2.3), in whatever order they learned of them.

use core::cmp::Reverse;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::candidate::priority::pair_priority;
use crate::config::Role;

use super::super::{ChecklistSet, Endpoint, PairState, Reach};
use super::{Numbers, candidate, local, numbers, remote, stream, udp};

/// A candidate of one of the two agents.
#[derive(Clone, Copy, Debug)]
struct Offer {
    list: u32,
    component: u16,
    controlling: bool,
    endpoint: Endpoint,
}

impl Offer {
    fn pairs_with(&self, other: &Self) -> bool {
        (self.list, self.component) == (other.list, other.component)
            && self.endpoint.reach.pairs_with(other.endpoint.reach)
    }
}

const LISTS: u32 = 3;
const COMPONENTS: u16 = 2;

fn reach() -> impl Strategy<Value = Reach> {
    prop_oneof![
        4 => Just(udp("192.0.2.1")),
        2 => Just(udp("2001:db8::1")),
        1 => Just(udp("fe80::1")),
    ]
}

/// Candidates whose priorities are unique within their agent (RFC 8445 §5.1.2).
fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let offer = (0..LISTS, 1..=COMPONENTS, any::<bool>(), 0..4_u16, reach());
    let highest = prop_oneof![Just(60_u32), Just(0x7fff_ffff)];
    (prop::collection::vec(offer, 0..40), highest).prop_flat_map(|(offers, highest)| {
        let priorities: Vec<u32> = (0..).map(|step| highest - step).take(offers.len()).collect();
        let shuffled = || Just(priorities.clone()).prop_shuffle();
        (Just(offers), shuffled(), shuffled()).prop_map(|(offers, ours, theirs)| {
            (0..)
                .zip(offers)
                .zip(ours.into_iter().zip(theirs))
                .map(|((number, (list, component, controlling, foundation, reach)), (g, d))| {
                    let priority = if controlling { g } else { d };
                    let id = candidate(number);
                    let endpoint = Endpoint { id, priority, foundation, reach };
                    Offer { list, component, controlling, endpoint }
                })
                .collect()
        })
    })
}

/// The agent of a role, which learns of the candidates in this order and starts on the way.
fn agent(role: Role, limit: usize, offers: &[Offer], start: usize) -> ChecklistSet {
    let mut set = ChecklistSet::new(role, limit);
    for list in 0..LISTS {
        set.add_list(stream(list), COMPONENTS);
    }
    for (index, offer) in offers.iter().enumerate() {
        if index == start {
            set.start();
        }
        if offer.controlling == (role == Role::Controlling) {
            local(&mut set, offer.list, offer.component, offer.endpoint);
        } else {
            remote(&mut set, offer.list, offer.component, offer.endpoint);
        }
    }
    set.start();
    set
}

/// The pairs of a list as the controlling agent names them, with their states.
fn view(set: &ChecklistSet, list: usize) -> Vec<(Numbers, PairState)> {
    set.listed(list)
        .map(|(_, pair)| {
            let (local, remote) = numbers(pair);
            let controlling = set.role() == Role::Controlling;
            (if controlling { (local, remote) } else { (remote, local) }, pair.state)
        })
        .collect()
}

/// What has to be in a list: the best of all combinations.
fn expected(offers: &[Offer], list: u32, quota: usize) -> Vec<Numbers> {
    let mut all = Vec::new();
    for ours in offers.iter().filter(|offer| offer.controlling && offer.list == list) {
        for theirs in offers.iter().filter(|offer| !offer.controlling) {
            if ours.pairs_with(theirs) {
                let [g, d] = [ours, theirs].map(|offer| offer.endpoint);
                let numbers = (g.id.get(), d.id.get());
                all.push((Reverse(pair_priority(g.priority, d.priority)), numbers));
            }
        }
    }
    all.sort_unstable();
    all.into_iter().take(quota).map(|(_, numbers)| numbers).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// P4, P6, P7: before the start, the order in which candidates come does not matter.
    #[test]
    fn both_agents_compute_the_same_limited_lists_and_states(
        (ours, theirs) in offers().prop_flat_map(|offers| {
            (Just(offers.clone()).prop_shuffle(), Just(offers).prop_shuffle())
        }),
        limit in prop_oneof![0..12_usize, Just(100)],
    ) {
        let controlling = agent(Role::Controlling, limit, &ours, usize::MAX);
        let controlled = agent(Role::Controlled, limit, &theirs, usize::MAX);
        for list in 0..LISTS {
            let index = usize::try_from(list).unwrap();
            let view_of_ours = view(&controlling, index);
            let numbers: Vec<Numbers> = view_of_ours.iter().map(|(numbers, _)| *numbers).collect();
            prop_assert_eq!(numbers, expected(&ours, list, controlling.quota(index)));
            prop_assert_eq!(view_of_ours, view(&controlled, index));
        }
    }

    /// P4, P6, T9: after the start it decides on the states, but not on what is listed, as long
    /// as nothing is checked.
    #[test]
    fn trickling_comes_to_the_same_pairs(
        (ours, theirs) in offers().prop_flat_map(|offers| {
            (Just(offers.clone()).prop_shuffle(), Just(offers).prop_shuffle())
        }),
        limit in prop_oneof![0..12_usize, Just(100)],
        start in any::<Index>(),
    ) {
        let start = start.index(ours.len() + 1);
        let controlling = agent(Role::Controlling, limit, &ours, start);
        let controlled = agent(Role::Controlled, limit, &theirs, 0);
        for list in 0..LISTS {
            let index = usize::try_from(list).unwrap();
            let names = |set| view(set, index).into_iter().map(|(numbers, _)| numbers);
            let expected = expected(&ours, list, controlling.quota(index));
            prop_assert_eq!(names(&controlling).collect::<Vec<_>>(), &expected[..]);
            prop_assert_eq!(names(&controlled).collect::<Vec<_>>(), expected);
        }
    }
}
