//! Nomination beyond RFC 8445's one: by value (draft-thatcher-ice-renomination-01), aggressive
//! (RFC 5245), and by the letter.

#[path = "common/mod.rs"]
mod common;

use std::time::Duration;

use common::{Bench, ERROR, Message, PEER_PWD, PEER_UFRAG, Sent, USE_CANDIDATE, addr, ms, plain};
use frazil::sim::{AgentIndex, End, Link, World};
use frazil::{
    AgentConfig, ConfigError, ConnectionState, Credentials, Event, LocalAddress, NominationMode,
    PairId, Parameters, RenominateError, Role, Timestamp,
};

const NOMINATION: u16 = 0xc001;

const L: &str = "10.0.0.1:1000";
const L2: &str = "10.0.1.1:1000";
const R: &str = "10.0.0.2:2000";
const R2: &str = "10.0.0.3:2000";
const R3: &str = "10.0.0.4:2000";
const R4: &str = "10.0.0.5:2000";

fn with_mode(role: Role, nomination: NominationMode) -> AgentConfig {
    let mut config = plain(role);
    config.nomination = nomination;
    config
}

const ON_REQUEST: NominationMode = NominationMode::Renomination { automatic: false };

/// Started, towards a peer that offers these options.
fn started(config: AgentConfig, options: &[&str], remotes: &[&str]) -> Bench {
    let mut bench = Bench::waiting(config, &[L], remotes);
    let mut parameters = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
    parameters.options = options.iter().map(|&option| option.to_owned()).collect();
    bench.agent.set_remote(bench.now, parameters).unwrap();
    bench.drain();
    bench
}

/// Lets time pass; the peer answers at once whatever goes, or went, to one of these addresses.
fn run_answering(bench: &mut Bench, until: Timestamp, working: &[&str]) -> Vec<Sent> {
    bench.run_answering(until, |sent| working.iter().any(|to| addr(to) == sent.to))
}

fn selected(bench: &Bench) -> Option<String> {
    Some(bench.agent.selected_pair(bench.stream, 1)?.remote.addr.to_string())
}

fn pair_with(bench: &Bench, remote: &str) -> PairId {
    bench.agent.pairs().find(|pair| pair.remote.addr == addr(remote)).unwrap().id
}

/// The peer nominates a pair, with a value or without, or with a value alone.
fn nominate(bench: &mut Bench, remote: &str, use_candidate: bool, value: Option<u32>) {
    let mut check = bench.check(Role::Controlling);
    if use_candidate {
        check = check.attr(USE_CANDIDATE, &[]);
    }
    if let Some(value) = value {
        check = check.attr(NOMINATION, &value.to_be_bytes());
    }
    let bytes = check.integrity(&bench.pwd()).fingerprint();
    let _ = bench.feed(L, remote, &bytes);
}

fn value(sent: &Sent) -> Option<u32> {
    Some(u32::from_be_bytes(sent.get(NOMINATION)?.try_into().unwrap()))
}

/// A controlling agent with two valid pairs, R selected.
fn renominating() -> Bench {
    let config = with_mode(Role::Controlling, ON_REQUEST);
    let mut bench = started(config, &["ice2", "renomination"], &[R, R2]);
    // Both are valid before the nomination, so that R2 is a spare.
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    run_answering(&mut bench, ms(1_000), &[R, R2]);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    bench
}

/// Draft §3: the option is offered by either role when it is configured, and not otherwise.
#[test]
fn the_option_is_offered_when_configured() {
    for role in [Role::Controlling, Role::Controlled] {
        let bench = Bench::with(with_mode(role, ON_REQUEST));
        let options = bench.agent.local_parameters().options;
        assert_eq!(options, ["ice2", "renomination", "trickle"]);
        let bench = Bench::with(plain(role));
        assert!(!bench.agent.local_parameters().options.contains(&"renomination".to_owned()));
    }
}

/// Draft §4: nominations carry values that grow, and USE-CANDIDATE for whoever reads only that.
#[test]
fn a_session_moves_to_another_valid_pair_on_request() {
    let mut bench = renominating();
    let first = bench.requests().into_iter().find(Sent::nominates).unwrap();
    assert_eq!((first.to, value(&first)), (addr(R), Some(1)));

    let (r, r2) = (pair_with(&bench, R), pair_with(&bench, R2));
    for (round, (pair, remote)) in [(r2, R2), (r, R), (r2, R2)].into_iter().enumerate() {
        let before = bench.sent.len();
        bench.agent.renominate(bench.now, pair).unwrap();
        bench.drain();
        assert_ne!(selected(&bench).as_deref(), Some(remote), "not before it is acknowledged");
        let until = bench.now + Duration::from_millis(100);
        run_answering(&mut bench, until, &[R, R2]);
        let nomination = bench.sent[before..].iter().find(|sent| sent.nominates()).unwrap();
        assert_eq!((nomination.to, value(nomination)), (addr(remote), Some(round as u32 + 2)));
        assert_eq!(selected(&bench).as_deref(), Some(remote));
        let stream = bench.stream;
        assert_eq!(bench.agent.send(bench.now, stream, 1, b"x").unwrap().pair, pair);
    }
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
}

/// Draft §3: "The controlling side SHOULD send the new nomination until the STUN packet is acked"; a
/// repetition carries the same value.
#[test]
fn a_nomination_is_repeated_with_its_value_until_it_is_answered() {
    let mut bench = renominating();
    let before = bench.sent.len();
    bench.agent.renominate(bench.now, pair_with(&bench, R2)).unwrap();
    bench.drain();
    run_answering(&mut bench, ms(5_000), &[R]);
    let sent = bench.sent[before..].iter();
    let values: Vec<_> = sent.filter(|sent| sent.to == addr(R2)).map(value).collect();
    assert_eq!(values, [Some(2); 4]);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    run_answering(&mut bench, ms(9_000), &[R, R2]);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// A second request while the first is under way replaces it.
#[test]
fn a_renomination_under_way_is_given_up_for_another() {
    let mut bench = renominating();
    let (r, r2) = (pair_with(&bench, R), pair_with(&bench, R2));
    bench.agent.renominate(bench.now, r2).unwrap();
    bench.drain();
    run_answering(&mut bench, ms(1_100), &[]);
    assert_eq!(bench.agent.renominate(bench.now, r), Err(RenominateError::Selected));
    bench.agent.renominate(bench.now, r2).unwrap();
    let sent = run_answering(&mut bench, ms(1_300), &[R, R2]);
    assert_eq!(sent.iter().filter(|sent| sent.nominates()).map(value).next(), Some(Some(3)));
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// What was given up is not repeated, and its late answer moves nothing.
#[test]
fn a_renomination_that_was_given_up_is_not_repeated() {
    let config = with_mode(Role::Controlling, ON_REQUEST);
    let mut bench = started(config, &["renomination"], &[R, R2, R3]);
    bench.run_until(ms(110));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    run_answering(&mut bench, ms(1_000), &[R, R2, R3]);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    bench.agent.renominate(bench.now, pair_with(&bench, R2)).unwrap();
    bench.drain();
    bench.run_until(ms(1_100));
    let given_up = bench.last_request();
    assert_eq!(given_up.to, addr(R2));
    bench.agent.renominate(bench.now, pair_with(&bench, R3)).unwrap();
    let mut sent = run_answering(&mut bench, ms(3_000), &[R]);
    sent.extend(run_answering(&mut bench, ms(20_000), &[R, R3]));
    assert!(sent.iter().all(|sent| sent.to != addr(R2)));
    assert_eq!(selected(&bench).as_deref(), Some(R3));
}

/// Draft §4: one value is one nomination: for a second pair it counts no more.
#[test]
fn a_value_counts_for_one_pair() {
    let mut bench = started(plain(Role::Controlled), &[], &[R2, R]);
    run_answering(&mut bench, ms(1_000), &[R, R2]);
    nominate(&mut bench, R, true, Some(5));
    assert_eq!(selected(&bench).as_deref(), Some(R));
    nominate(&mut bench, R2, true, Some(5));
    assert_eq!(selected(&bench).as_deref(), Some(R));
    nominate(&mut bench, R2, true, Some(6));
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// Automatic: a path over a cheaper interface takes the place of a costlier one when the selected pair
/// has been so for ten seconds, and not the other way round.
#[test]
fn a_cheaper_path_takes_over_and_a_costlier_one_does_not() {
    for (costs, expected) in [([50, 0], L2), ([0, 50], L), ([0, 0], L)] {
        let mut config = AgentConfig::new(Role::Controlling);
        config.timing.hedging = false;
        config.nomination = NominationMode::Renomination { automatic: true };
        let mut bench = Bench::with(config);
        for (local, cost) in [L, L2].into_iter().zip(costs) {
            let mut local = LocalAddress::udp(addr(local));
            local.cost = cost;
            bench.agent.add_local(bench.now, bench.stream, 1, local).unwrap();
            bench.drain();
        }
        bench.add_remote(R, 2_000_000_000);
        let mut parameters = Parameters::new(Credentials::new(PEER_UFRAG, PEER_PWD).unwrap());
        parameters.options = vec!["renomination".to_owned()];
        bench.agent.set_remote(bench.now, parameters).unwrap();
        bench.drain();
        bench.run_until(ms(60));
        let base = |bench: &Bench| {
            let pair = bench.agent.selected_pair(bench.stream, 1).unwrap();
            pair.local.base.to_string()
        };
        run_answering(&mut bench, ms(9_900), &[R]);
        assert_eq!(base(&bench), L, "costs {costs:?}");
        run_answering(&mut bench, ms(60_000), &[R]);
        assert_eq!(base(&bench), expected, "costs {costs:?}");
    }
}

/// Automatic: after the nomination further pairs are checked, until there are two spare paths to
/// compare with. On request they are not.
#[test]
fn spare_paths_are_looked_for_after_the_nomination() {
    for (automatic, expected) in [(true, vec![R, R2, R3]), (false, vec![R])] {
        let mut config = with_mode(Role::Controlling, NominationMode::Renomination { automatic });
        config.consent = true;
        let remotes = [R, R2, R3, R4];
        let mut bench = started(config, &["renomination"], &remotes);
        run_answering(&mut bench, ms(10_000), &remotes);
        let mut checked: Vec<_> = bench.requests().iter().map(|sent| sent.to).collect();
        checked.sort_unstable();
        checked.dedup();
        let expected: Vec<_> = expected.into_iter().map(addr).collect();
        assert_eq!(checked, expected, "automatic: {automatic}");
        assert_eq!(selected(&bench).as_deref(), Some(R));
    }
}

/// By the letter a pair that nomination has left behind is not checked for the peer's sake, silent
/// as the selected pair may be.
#[test]
fn by_the_letter_there_is_no_way_out() {
    for (letter, expected) in [(true, 0), (false, 1)] {
        let mut config = AgentConfig::new(Role::Controlled);
        config.timing.hedging = false;
        config.strict_nomination = letter;
        let mut bench = started(config, &[], &[R, R2]);
        run_answering(&mut bench, ms(40), &[R]);
        nominate(&mut bench, R, true, None);
        bench.run_until(ms(8_000));
        let before = bench.sent.len();
        nominate(&mut bench, R2, false, None);
        bench.run_until(ms(8_200));
        let checks =
            bench.sent[before..].iter().filter(|sent| sent.is_request() && sent.to == addr(R2));
        assert_eq!(checks.count(), expected, "by the letter: {letter}");
    }
}

/// N2: RFC 8445 §8.1.1. Without the peer's word for it there is one nomination.
#[test]
fn without_negotiation_nothing_is_nominated_again() {
    let config = with_mode(Role::Controlling, ON_REQUEST);
    let mut bench = started(config, &["ice2"], &[R, R2]);
    run_answering(&mut bench, ms(1_000), &[R, R2]);
    let nominations: Vec<Sent> = bench.requests().into_iter().filter(Sent::nominates).collect();
    assert_eq!(nominations.len(), 1);
    assert_eq!(value(&nominations[0]), None);
    let pair = bench.agent.selected_pair(bench.stream, 1).unwrap().id;
    assert_eq!(bench.agent.renominate(bench.now, pair), Err(RenominateError::NotNegotiated));
}

/// Every reason to refuse has a name, and changes nothing.
#[test]
fn a_renomination_that_cannot_be_is_refused() {
    let mut bench = started(with_mode(Role::Controlling, ON_REQUEST), &["renomination"], &[R, R2]);
    let r = pair_with(&bench, R);
    assert_eq!(bench.agent.renominate(bench.now, r), Err(RenominateError::NotValid));
    let check = bench.last_request();
    let _ = bench.answer(&check);
    assert_eq!(bench.agent.renominate(bench.now, r), Err(RenominateError::NotSelectedYet));
    run_answering(&mut bench, ms(1_000), &[R]);
    assert_eq!(bench.agent.renominate(bench.now, r), Err(RenominateError::Selected));
    bench.agent.close(bench.now);
    assert_eq!(bench.agent.renominate(bench.now, r), Err(RenominateError::Closed));

    let mut bench = started(with_mode(Role::Controlled, ON_REQUEST), &["renomination"], &[R]);
    let r = pair_with(&bench, R);
    assert_eq!(bench.agent.renominate(bench.now, r), Err(RenominateError::NotControlling));
}

/// A controlled agent to which all of these are valid.
fn controlled(nomination: NominationMode) -> Bench {
    let remotes = [R, R2, R3];
    let mut bench = started(with_mode(Role::Controlled, nomination), &["renomination"], &remotes);
    run_answering(&mut bench, ms(1_000), &remotes);
    bench
}

/// Draft §4, decision 4: "The controlled side MUST select the nomination with the largest value",
/// whatever the priorities and the order of arrival; a value counts for more than none.
#[test]
fn the_highest_value_wins() {
    let mut bench = controlled(ON_REQUEST);
    nominate(&mut bench, R2, true, Some(5));
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    nominate(&mut bench, R, true, Some(4));
    assert_eq!(selected(&bench).as_deref(), Some(R2), "an older one that was overtaken");
    nominate(&mut bench, R, true, None);
    assert_eq!(selected(&bench).as_deref(), Some(R2), "none is less than any");
    nominate(&mut bench, R3, true, Some(6));
    assert_eq!(selected(&bench).as_deref(), Some(R3), "the lowest priority of all");
    nominate(&mut bench, R, false, Some(7));
    assert_eq!(selected(&bench).as_deref(), Some(R), "libwebrtc sends the value alone");
}

/// Draft §4: the value counts from the own check that makes the pair valid.
#[test]
fn a_value_for_a_pair_that_is_not_valid_yet_counts_when_it_is() {
    let config = with_mode(Role::Controlled, ON_REQUEST);
    let mut bench = started(config, &["renomination"], &[R, R2]);
    run_answering(&mut bench, ms(40), &[R]);
    nominate(&mut bench, R, true, Some(1));
    assert_eq!(selected(&bench).as_deref(), Some(R));
    nominate(&mut bench, R2, true, Some(2));
    assert_eq!(selected(&bench).as_deref(), Some(R));
    run_answering(&mut bench, ms(2_000), &[R, R2]);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
}

/// Decision 4: peers that send values unasked are followed as well; by the letter of RFC 8445 they are
/// not.
#[test]
fn values_that_were_not_offered_are_followed_but_not_by_the_letter() {
    let mut bench = controlled(NominationMode::Regular);
    nominate(&mut bench, R, true, Some(9));
    nominate(&mut bench, R2, true, Some(10));
    assert_eq!(selected(&bench).as_deref(), Some(R2));

    let mut bench = started(strict(Role::Controlled), &["renomination"], &[R, R2]);
    run_answering(&mut bench, ms(1_000), &[R, R2]);
    nominate(&mut bench, R, false, Some(9));
    assert_eq!(selected(&bench), None);
    nominate(&mut bench, R, true, Some(9));
    nominate(&mut bench, R2, true, Some(10));
    assert_eq!(selected(&bench).as_deref(), Some(R), "the better one stands");
}

/// Two agents that renominate, over a direct and a slower direct path.
fn world(automatic: bool, slow: u64) -> (World, AgentIndex, AgentIndex) {
    let mut world = World::new([3; 32]);
    world.network_mut().set_default_link(Link::delayed(Duration::from_millis(10)));
    let [alice, bob] = [Role::Controlling, Role::Controlled].map(|role| {
        let mut config = AgentConfig::new(role);
        config.nomination = NominationMode::Renomination { automatic };
        world.add_agent(config).unwrap()
    });
    for (first, second) in [("192.0.2.1", "192.0.2.2"), ("192.0.2.1", "192.0.2.3")] {
        for (from, to) in [(first, second), (second, first)] {
            let delay = if second == "192.0.2.2" { slow } else { 10 };
            let link = Link::delayed(Duration::from_millis(delay));
            world.network_mut().set_link(from.parse().unwrap(), to.parse().unwrap(), link);
        }
    }
    world.add_socket(alice, "192.0.2.1:5000".parse().unwrap()).unwrap();
    world.add_socket(bob, "192.0.2.2:6000".parse().unwrap()).unwrap();
    world.add_socket(bob, "192.0.2.3:6000".parse().unwrap()).unwrap();
    world.connect(alice, bob).unwrap();
    world.start(alice).unwrap();
    world.start(bob).unwrap();
    let done = |world: &World| {
        world.agents().all(|(_, agent)| agent.state() == ConnectionState::Completed)
    };
    let end = world.run_while(|world| !done(world), ms(10_000)).unwrap();
    assert_eq!(end, End::Condition);
    (world, alice, bob)
}

fn remote_of(world: &World, agent: AgentIndex) -> String {
    let agent = world.agent(agent).unwrap();
    let stream = agent.streams().next().unwrap();
    agent.selected_pair(stream, 1).unwrap().remote.addr.ip().to_string()
}

fn selections(world: &World, agent: AgentIndex) -> usize {
    let is_selection = |event: &Event| matches!(event, Event::SelectedPair { .. });
    world.events(agent).filter(|(_, event)| is_selection(event)).count()
}

/// Automatic: the first path of two equal ones becomes slow; the session moves, once, on both
/// sides, and stays.
#[test]
fn a_path_that_has_become_slower_is_left_by_itself() {
    let (mut world, alice, bob) = world(true, 10);
    let first = remote_of(&world, alice);
    let until = world.now() + Duration::from_secs(40);
    world.run_until(until).unwrap();
    assert_eq!(remote_of(&world, alice), first, "equal paths are no reason to move");

    let (here, there) = ("192.0.2.1".parse().unwrap(), first.parse().unwrap());
    let slow = Link::delayed(Duration::from_millis(80));
    world.network_mut().set_link(here, there, slow);
    world.network_mut().set_link(there, here, slow);
    let until = world.now() + Duration::from_secs(120);
    world.run_until(until).unwrap();
    assert_ne!(remote_of(&world, alice), first);
    assert_eq!((selections(&world, alice), selections(&world, bob)), (2, 2), "hysteresis");
    let bobs = world.agent(bob).unwrap();
    let pair = bobs.selected_pair(bobs.streams().next().unwrap(), 1).unwrap();
    assert_eq!(pair.local.addr.ip().to_string(), remote_of(&world, alice), "mirrored");
}

/// Not automatic: nothing moves by itself.
#[test]
fn on_request_means_on_request() {
    let (mut world, alice, bob) = world(false, 10);
    let first = remote_of(&world, alice);
    let (here, there) = ("192.0.2.1".parse().unwrap(), first.parse().unwrap());
    world.network_mut().set_link(here, there, Link::delayed(Duration::from_millis(80)));
    let until = world.now() + Duration::from_secs(120);
    world.run_until(until).unwrap();
    assert_eq!(remote_of(&world, alice), first);
    assert_eq!((selections(&world, alice), selections(&world, bob)), (1, 1));
}

/// RFC 5245 §8.1.1.2: every check nominates, the best pair that succeeds stands, and `ice2` is not
/// offered.
#[test]
fn the_legacy_mode_nominates_with_every_check() {
    let mut bench =
        started(with_mode(Role::Controlling, NominationMode::Aggressive), &[], &[R, R2, R3]);
    assert_eq!(bench.agent.local_parameters().options, ["trickle"]);
    bench.run_until(ms(60));
    assert!(bench.requests().iter().all(Sent::nominates));
    assert_eq!(bench.requests().len(), 2);

    // The second best answers first and is selected at once; the best, still in progress, follows.
    let second = bench.requests()[1].clone();
    let _ = bench.answer(&second);
    assert_eq!(selected(&bench).as_deref(), Some(R2));
    assert_eq!(bench.agent.state(), ConnectionState::Completed);
    let best = bench.requests()[0].clone();
    let _ = bench.answer(&best);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    let sent = bench.run_until(ms(5_000));
    assert!(sent.iter().all(|sent| !sent.is_request()), "the rest was removed");
}

/// RFC 5245 §8.1.1.2: a worse pair that succeeds later does not take over.
#[test]
fn in_the_legacy_mode_a_worse_pair_does_not_take_over() {
    let mut bench =
        started(with_mode(Role::Controlling, NominationMode::Aggressive), &[], &[R, R2]);
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    assert_eq!(selected(&bench).as_deref(), Some(R));
}

/// C2: a controlled agent never nominates, whatever its mode.
#[test]
fn a_controlled_agent_does_not_nominate_in_the_legacy_mode() {
    let mut bench = started(with_mode(Role::Controlled, NominationMode::Aggressive), &[], &[R, R2]);
    run_answering(&mut bench, ms(1_000), &[R, R2]);
    assert!(!bench.requests().iter().any(Sent::nominates));
}

/// Consent checks of the legacy mode nominate nothing.
#[test]
fn consent_checks_never_nominate() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.nomination = NominationMode::Aggressive;
    let mut bench = started(config, &[], &[R]);
    run_answering(&mut bench, ms(100), &[R]);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    let sent = run_answering(&mut bench, ms(30_000), &[R]);
    assert!(sent.len() >= 5);
    assert!(!sent.iter().any(Sent::nominates));
}

fn strict(role: Role) -> AgentConfig {
    let mut config = plain(role);
    config.strict_nomination = true;
    config
}

/// Decision 3, C19: RFC 8445 §7.2.5.3.4 by the letter: a nomination that fails fails the checklist,
/// other valid pairs or not.
#[test]
fn by_the_letter_a_failed_nomination_fails_the_checklist() {
    let mut bench = started(strict(Role::Controlling), &[], &[R, R2]);
    bench.run_until(ms(60));
    for request in bench.requests() {
        let _ = bench.answer(&request);
    }
    bench.run_until(ms(200));
    let nomination = bench.requests().into_iter().find(Sent::nominates).unwrap();
    let refusal =
        Message::new(ERROR, nomination.id()).error_code(400).integrity(PEER_PWD).fingerprint();
    let _ = bench.feed(L, R, &refusal);
    assert_eq!(bench.agent.state(), ConnectionState::Failed);
    let sent = bench.run_until(ms(10_000));
    assert!(!sent.iter().any(Sent::nominates));
}

/// Decision 17: by the letter nothing replaces a selected path that has died but a restart.
#[test]
fn by_the_letter_there_is_no_failover() {
    let mut config = AgentConfig::new(Role::Controlling);
    config.strict_nomination = true;
    let mut bench = started(config, &[], &[R, R2]);
    run_answering(&mut bench, ms(1_000), &[R, R2]);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    let sent = run_answering(&mut bench, ms(60_000), &[R2]);
    assert!(sent.iter().all(|sent| sent.to == addr(R)), "no spares under consent");
    assert!(bench.events.iter().any(|(_, event)| *event == Event::RestartNeeded));
}

/// Decision 4: by the letter a worse nomination is not followed, silent as the selected pair may be.
#[test]
fn by_the_letter_a_worse_nomination_is_never_followed() {
    let mut bench = started(strict(Role::Controlled), &[], &[R, R2]);
    run_answering(&mut bench, ms(200), &[R, R2]);
    nominate(&mut bench, R, true, None);
    bench.run_until(ms(20_000));
    nominate(&mut bench, R2, true, None);
    assert_eq!(selected(&bench).as_deref(), Some(R));
}

/// Contradictions are refused where they are configured.
#[test]
fn strictness_goes_with_regular_nomination_only() {
    for nomination in [NominationMode::Aggressive, ON_REQUEST] {
        let mut config = strict(Role::Controlling);
        config.nomination = nomination;
        let error = frazil::IceAgent::new(config, [1; 32]).unwrap_err();
        assert_eq!(error, ConfigError::Nomination);
    }
}

/// A pair that was valid and found no place among the spare ones is checked anew when it is
/// nominated.
#[test]
fn a_pair_that_found_no_place_among_the_spares_can_be_nominated() {
    let config = with_mode(Role::Controlled, ON_REQUEST);
    let all = [R, R2, R3, R4];
    let mut bench = started(config, &["ice2", "renomination"], &all);
    run_answering(&mut bench, ms(900), &all);
    nominate(&mut bench, R, true, Some(1));
    run_answering(&mut bench, ms(1_000), &all);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    nominate(&mut bench, R4, true, Some(2));
    run_answering(&mut bench, ms(3_000), &all);
    assert_eq!(selected(&bench).as_deref(), Some(R4));
}

/// A peer that renominates goes on checking other pairs: they become spare paths of the controlled
/// side too.
#[test]
fn a_controlled_agent_keeps_spares_too() {
    let config = with_mode(Role::Controlled, NominationMode::Renomination { automatic: true });
    let mut bench = started(config, &["ice2", "renomination"], &[R, R2]);
    run_answering(&mut bench, ms(10), &[R, R2]);
    nominate(&mut bench, R, true, Some(1));
    run_answering(&mut bench, ms(20), &[R, R2]);
    assert_eq!(selected(&bench).as_deref(), Some(R));
    let check = bench.check(Role::Controlling).integrity(&bench.pwd()).fingerprint();
    let _ = bench.feed(L, R2, &check);
    run_answering(&mut bench, ms(1_000), &[R, R2]);
    assert!(bench.agent.pairs().any(|pair| pair.remote.addr == addr(R2) && pair.valid));
}
