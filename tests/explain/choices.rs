//! Why the data takes the path that it takes, after automatic renomination.

use std::time::Duration;

use frazil::sim::{AgentIndex, End, Link, World};
use frazil::{
    AgentConfig, Choice, ConnectionState, Credentials, Explanation, LocalAddress, LossReason,
    NominationMode, PairExplanation, PairReason, Parameters, Role,
};

use crate::common::{Bench, PEER_PWD, PEER_UFRAG, addr, ms};

const COSTLY: &str = "10.0.0.1:1000";
const CHEAP: &str = "10.0.1.1:1000";
const REMOTE: &str = "10.0.0.2:2000";

fn renominating(role: Role) -> AgentConfig {
    let mut config = AgentConfig::new(role);
    config.nomination = NominationMode::Renomination { automatic: true };
    config
}

fn selected(explanation: &Explanation) -> &PairExplanation {
    let is_selected = |pair: &&PairExplanation| matches!(pair.why, PairReason::Selected(_));
    explanation.pairs.iter().find(is_selected).unwrap()
}

/// A session that has moved to a cheaper interface.
fn moved_to_the_cheaper_interface() -> Bench {
    let mut config = renominating(Role::Controlling);
    config.timing.hedging = false;
    let mut bench = Bench::with(config);
    for (local, cost) in [(COSTLY, 50), (CHEAP, 0)] {
        let mut local = LocalAddress::udp(addr(local));
        local.cost = cost;
        bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap();
        bench.drain();
    }
    bench.add_remote(REMOTE, 2_000_000_000);
    let mut parameters = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
    parameters.options = vec!["renomination".to_owned()];
    bench.agent.set_remote(bench.now, parameters).unwrap();
    bench.drain();
    // The cheap one has the higher priority: its first answer is late.
    bench.run_answering(ms(1_000), |sent| sent.from == addr(COSTLY));
    assert_eq!(selected(&bench.agent.explain()).local.addr, addr(COSTLY));
    bench.run_answering(ms(60_000), |_| true);
    bench
}

#[test]
fn a_cheaper_path_is_chosen_for_its_cost() {
    let bench = moved_to_the_cheaper_interface();
    let explanation = bench.agent.explain();
    let chosen = selected(&explanation);
    assert_eq!(chosen.local.addr, addr(CHEAP));
    assert_eq!(chosen.why, PairReason::Selected(Choice::Cost));
    let text = explanation.to_string();
    assert!(text.contains("carries the data: it costs less"), "{text}");
}

/// Besides the path that was chosen two are kept; what is left lost for the reason of the choice.
#[test]
fn what_is_left_behind_names_the_cost() {
    let mut bench = moved_to_the_cheaper_interface();
    for (remote, priority) in [("10.0.0.3:2000", 1000), ("10.0.0.4:2000", 900)] {
        bench.add_remote(remote, priority);
        let until = bench.now + Duration::from_secs(5);
        bench.run_answering(until, |_| true);
    }
    let explanation = bench.agent.explain();
    let to = selected(&explanation).id.unwrap();
    let lost = PairReason::Lost { to, why: LossReason::Chosen(Choice::Cost) };
    let count = |why| explanation.pairs.iter().filter(|pair| pair.why == why).count();
    assert_eq!(count(PairReason::Selected(Choice::Cost)), 1, "{explanation}");
    assert_eq!(count(PairReason::Spare), 2, "{explanation}");
    assert_eq!(count(lost), 3, "{explanation}");
    let text = explanation.to_string();
    assert!(text.contains("since it costs less"), "{text}");
}

fn explained(world: &World, agent: AgentIndex) -> Explanation {
    world.agent(agent).unwrap().explain()
}

/// The selected path becomes slow: the session moves to the other one, and says that it is faster. The
/// controlled side says that the peer chose it.
#[test]
fn a_faster_path_is_chosen_for_its_round_trip() {
    let mut world = World::new([3; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
    let [alice, bob] = [Role::Controlling, Role::Controlled]
        .map(|role| world.add_agent(renominating(role)).unwrap());
    for (agent, socket) in
        [(alice, "192.0.2.1:5000"), (bob, "192.0.2.2:6000"), (bob, "192.0.2.3:6000")]
    {
        world.add_socket(agent, addr(socket)).unwrap();
    }
    world.connect(alice, bob).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    let done = |world: &World| {
        world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
    };
    assert_eq!(world.run_while(|world| !done(world), ms(10_000)).unwrap(), End::Condition);
    let before = explained(&world, alice);
    let first = selected(&before);
    assert_eq!(first.why, PairReason::Selected(Choice::Nominated));

    let slow = Link::delayed(Duration::from_millis(80));
    let (here, there) = (first.local.addr.ip(), first.remote.addr.ip());
    world.network_mut().set_link(here, there, slow);
    world.network_mut().set_link(there, here, slow);
    world.run_until(ms(130_000)).unwrap();
    let after = explained(&world, alice);
    let chosen = selected(&after);
    assert_ne!(chosen.remote.addr, first.remote.addr);
    assert_eq!(chosen.why, PairReason::Selected(Choice::RoundTrip));
    let left = after.pairs.iter().find(|pair| pair.id == first.id).unwrap();
    assert_eq!(left.why, PairReason::Spare);
    assert!(after.to_string().contains("it is faster than the one before"), "{after}");
    let seen_by_bob = explained(&world, bob);
    assert_eq!(selected(&seen_by_bob).why, PairReason::Selected(Choice::ByPeer));
}
