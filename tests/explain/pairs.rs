//! Why each pair is where it is.

use std::sync::Arc;
use std::time::Duration;

use frazil::{
    Choice, Explanation, LocalAddress, LossReason, PairExplanation, PairReason, Policies, Role,
    TransportPolicy, Verdict,
};

use crate::common::{Bench, addr, ms, plain};

const LOCAL: &str = "10.0.0.1:1000";
const REMOTES: [&str; 3] = ["10.0.0.2:2000", "10.0.0.3:2000", "10.0.0.4:2000"];

fn to<'a>(explanation: &'a Explanation, remote: &str) -> &'a PairExplanation {
    explanation.pairs.iter().find(|pair| pair.remote.addr == addr(remote)).unwrap()
}

#[test]
fn a_frozen_pair_names_the_one_that_it_waits_for() {
    let mut bench = Bench::with(plain(Role::Controlling));
    bench.add_local(LOCAL);
    for (index, remote) in REMOTES.iter().enumerate() {
        let remote = addr(remote);
        let priority = 1000 - index;
        bench.add_remote_line(&format!("same 1 UDP {priority} {} 2000 typ host", remote.ip()));
    }
    bench.start();
    let explanation = bench.agent.explain();
    let first = to(&explanation, REMOTES[0]);
    assert_eq!((first.why, first.sent), (PairReason::UnderWay, 1));
    for remote in &REMOTES[1..] {
        let PairReason::Frozen { behind, .. } = to(&explanation, remote).why else {
            panic!("{explanation}")
        };
        assert_eq!(behind, first.id);
    }
}

#[test]
fn waiting_pairs_are_counted() {
    let bench = Bench::started(plain(Role::Controlling), &[LOCAL], &REMOTES);
    let explanation = bench.agent.explain();
    assert_eq!(to(&explanation, REMOTES[1]).why, PairReason::Waiting { ahead: 0 });
    assert_eq!(to(&explanation, REMOTES[2]).why, PairReason::Waiting { ahead: 1 });
    let text = explanation.to_string();
    assert!(text.contains("not tried yet: 1 better ones come before it"), "{text}");
}

#[test]
fn before_the_parameters_nothing_is_sent() {
    let bench = Bench::waiting(plain(Role::Controlling), &[LOCAL], &REMOTES);
    let explanation = bench.agent.explain();
    // They belong to a generation whose parameters are still to come.
    assert!(explanation.pairs.is_empty());
}

#[test]
fn pairs_beyond_the_limit_were_never_formed() {
    let mut config = plain(Role::Controlling);
    config.limits.pairs = 2;
    let bench = Bench::started(config, &[LOCAL], &REMOTES);
    let explanation = bench.agent.explain();
    assert_eq!(to(&explanation, REMOTES[2]).why, PairReason::BeyondLimit { limit: 2 });
    assert_eq!(to(&explanation, REMOTES[2]).id, None);
}

#[test]
fn a_reflexive_candidate_is_checked_as_its_base() {
    let mut bench = Bench::with(plain(Role::Controlling));
    let host = bench.add_local(LOCAL);
    let mapped = addr("203.0.113.1:4000");
    let server = "198.51.100.1".parse().unwrap();
    let reflexive = LocalAddress::reflexive(mapped, addr(LOCAL), server);
    bench.agent.add_local(bench.now, bench.stream, 1, reflexive).unwrap();
    bench.drain();
    bench.start();
    bench.add_remote(REMOTES[0], 1000);
    let explanation = bench.agent.explain();
    let pruned = explanation.pairs.iter().find(|pair| pair.local.addr == mapped).unwrap();
    assert_eq!(pruned.why, PairReason::Redundant { with: host });
    assert!(!explanation.to_string().contains("203.0.113.1"), "it says nothing new");
}

#[test]
fn what_lost_says_against_which_pair_and_why() {
    let mut bench = Bench::started(plain(Role::Controlling), &[LOCAL], &REMOTES);
    bench.run_answering(ms(1_000), |sent| sent.to == addr(REMOTES[1]));
    let explanation = bench.agent.explain();
    let selected = to(&explanation, REMOTES[1]);
    assert_eq!(selected.why, PairReason::Selected(Choice::Nominated));
    let id = selected.id.unwrap();
    let lost = |why| PairReason::Lost { to: id, why };
    assert_eq!(to(&explanation, REMOTES[0]).why, lost(LossReason::Sooner));
    assert_eq!(to(&explanation, REMOTES[2]).why, lost(LossReason::Priority));
}

#[test]
fn what_the_peer_has_chosen_says_so() {
    let mut bench = Bench::started(plain(Role::Controlled), &[LOCAL], &REMOTES);
    bench.run_answering(ms(500), |sent| sent.to == addr(REMOTES[1]));
    let _ = bench.send_check(LOCAL, REMOTES[1], true);
    bench.run_for(Duration::from_millis(100));
    let explanation = bench.agent.explain();
    let selected = to(&explanation, REMOTES[1]);
    assert_eq!(selected.why, PairReason::Selected(Choice::ByPeer));
    let why = LossReason::Chosen(Choice::ByPeer);
    let to_selected = PairReason::Lost { to: selected.id.unwrap(), why };
    assert_eq!(to(&explanation, REMOTES[0]).why, to_selected);
    assert!(explanation.to_string().contains("carries the data: the other side chose it"));
}

/// M4: the peer keeps an address from those to whom it signals when it was only found by a check.
#[test]
fn an_address_that_is_not_to_be_shown_is_not_written() {
    let mut bench = Bench::connected_with(Role::Controlling, &[LOCAL], &[]);
    let _ = bench.send_check(LOCAL, REMOTES[0], false);
    let explanation = bench.agent.explain();
    assert_eq!(to(&explanation, REMOTES[0]).why, PairReason::UnderWay);
    let text = explanation.to_string();
    assert!(text.contains("10.0.0.1:1000 (own address) -> a hidden address, no. 0 ("), "{text}");
    assert!(!text.contains("10.0.0.2"), "{text}");
}

#[test]
fn what_the_configuration_forbids_is_not_tried() {
    let mut policies = Policies::default();
    policies.transport = TransportPolicy::Relay;
    let mut config = plain(Role::Controlling);
    config.policies = Some(Arc::new(policies));
    let bench = Bench::started(config, &[LOCAL], &REMOTES[..1]);
    let explanation = bench.agent.explain();
    assert_eq!(to(&explanation, REMOTES[0]).why, PairReason::Policy);
    assert_eq!(explanation.verdict, Verdict::NoLocalCandidates);
}
