//! Random worlds: whatever the topology and whatever happens, agents come to what the oracle says
//! and keep the rules that the runner of scenarios looks at after every step.
//!
//! Each run of the tests has the same worlds, so that a failure is one of the change at hand. For a
//! night of others: `PROPTEST_CASES=20000 PROPTEST_RNG_SEED=1 cargo test --release --test worlds`. A
//! failure prints the scenario, as small as it could be made, as lines for a test.

use frazil::sim::{
    Families, Filtering, Mapping, Scenario, ScenarioReport, Side, Site, Tcp, Transition, Who,
};
use frazil::{NominationMode, Role};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A share of the cases that the environment asks for, or of proptest's 256: some properties take
/// longer than others.
fn one_in(share: u32) -> ProptestConfig {
    let all = ProptestConfig::default();
    let rng_seed = match all.rng_seed {
        RngSeed::Random => RngSeed::Fixed(0),
        fixed @ RngSeed::Fixed(_) => fixed,
    };
    let cases = (all.cases / share).max(1);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..all }
}

fn mapping() -> impl Strategy<Value = Mapping> {
    prop_oneof![
        Just(Mapping::EndpointIndependent),
        Just(Mapping::AddressDependent),
        Just(Mapping::AddressAndPortDependent),
    ]
}

fn filtering() -> impl Strategy<Value = Filtering> {
    prop_oneof![
        Just(Filtering::EndpointIndependent),
        Just(Filtering::AddressDependent),
        Just(Filtering::AddressAndPortDependent),
    ]
}

/// One of so many earlier sites, or none.
fn site(earlier: usize) -> impl Strategy<Value = Site> {
    let within = prop::option::weighted(0.3, 0..earlier.max(1));
    let rarely = || prop::bool::weighted(0.1);
    let firewalls = [rarely(), prop::bool::weighted(0.2), prop::bool::weighted(0.3), rarely()];
    (mapping(), filtering(), within, firewalls).prop_map(
        move |(mapping, filtering, within, [no_hairpinning, no_udp, guarded, servers_only])| {
            let mut site = Site::nat(mapping, filtering);
            site.within = within.filter(|_| earlier > 0);
            site.hairpinning = !no_hairpinning;
            site.udp = !no_udp;
            site.guarded = guarded;
            site.servers_only = servers_only;
            site
        },
    )
}

fn families() -> impl Strategy<Value = Families> {
    prop_oneof![3 => Just(Families::Ipv4), 1 => Just(Families::Ipv6), 2 => Just(Families::Both)]
}

fn nomination() -> impl Strategy<Value = NominationMode> {
    let again = any::<bool>().prop_map(|automatic| NominationMode::Renomination { automatic });
    prop_oneof![
        4 => Just(NominationMode::Regular),
        1 => Just(NominationMode::Aggressive),
        2 => again,
    ]
}

/// No TCP for half of the sides: most of what there is does without.
fn tcp() -> impl Strategy<Value = Tcp> {
    prop_oneof![
        3 => Just(Tcp::None),
        1 => Just(Tcp::Active),
        1 => Just(Tcp::Passive),
        1 => Just(Tcp::Both),
    ]
}

fn side() -> impl Strategy<Value = Side> {
    let role =
        prop::option::weighted(0.2, prop_oneof![Just(Role::Controlling), Just(Role::Controlled)]);
    let signalling = prop_oneof![3 => Just(0), 1 => 0_u16..3_000];
    let place = || prop::option::weighted(0.8, 0_usize..4);
    let more = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(place(), 1..=2)];
    let servers = (any::<[bool; 2]>(), prop::bool::weighted(0.25));
    let others = (any::<bool>(), role, signalling, nomination());
    (place(), more, families(), servers, tcp(), others).prop_map(
        |(site, more, families, ([reflexive, relayed], relayed_over_tcp), tcp, others)| {
            let mut side = Side::new();
            side.site = site;
            side.more = more;
            side.families = families;
            side.reflexive = reflexive;
            side.relayed = relayed;
            side.relayed_over_tcp = relayed_over_tcp;
            side.tcp = tcp;
            (side.complete, side.role, side.signalling, side.nomination) = others;
            side
        },
    )
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![Just(Who::First), Just(Who::Second)]
}

fn transition() -> impl Strategy<Value = Transition> {
    prop_oneof![
        (0_u8..=20).prop_map(Transition::Loss),
        (0_u16..=200).prop_map(Transition::Delay),
        (0_usize..4).prop_map(Transition::RebootNat),
        who().prop_map(Transition::Down),
        who().prop_map(Transition::Up),
        (who(), 0_usize..3).prop_map(|(who, number)| Transition::InterfaceDown(who, number)),
        (who(), 0_usize..3).prop_map(|(who, number)| Transition::InterfaceUp(who, number)),
        who().prop_map(Transition::Move),
        (who(), 0_usize..4).prop_map(|(who, number)| Transition::Renominate(who, number)),
        who().prop_map(Transition::Restart),
        Just(Transition::Partition),
        Just(Transition::Heal),
        Just(Transition::CrashServer),
        Just(Transition::StopServer),
        Just(Transition::StartServer),
    ]
}

fn transitions() -> impl Strategy<Value = Vec<(u32, Transition)>> {
    let wait = prop_oneof![0_u32..1_000, 1_000_u32..60_000];
    prop::collection::vec((wait, transition()), 0..8)
}

fn topology() -> impl Strategy<Value = Scenario> {
    let sites = (0_usize..=3, site(0), site(1), site(2));
    let loss = prop_oneof![2 => Just(0_u8), 1 => 0_u8..=20];
    (any::<u64>(), 0_u16..=200, loss, sites, side(), side()).prop_map(
        |(seed, delay, loss, (number, one, two, three), first, second)| {
            let scenario = Scenario::new(seed).delay(delay).loss(loss).first(first).second(second);
            [one, two, three].into_iter().take(number).fold(scenario, Scenario::site)
        },
    )
}

fn run(scenario: &Scenario) -> Result<ScenarioReport, TestCaseError> {
    scenario.run().map_err(|failure| TestCaseError::fail(failure.to_string()))
}

fn connect(scenario: &Scenario) -> Result<ScenarioReport, TestCaseError> {
    scenario.connect().map_err(|failure| TestCaseError::fail(failure.to_string()))
}

proptest! {
    #![proptest_config(one_in(4))]

    /// Connected by the bound and by a path of the right kinds if and only if there is one; the
    /// pairs mirrored; and all else that the runner looks at.
    #[test]
    fn two_sides_come_to_what_the_oracle_says(scenario in topology()) {
        run(&scenario)?;
    }
}

proptest! {
    #![proptest_config(one_in(8))]

    /// Whatever happens, data passes in the end if it can.
    #[test]
    fn what_can_be_healed_is_healed(topology in topology(), transitions in transitions()) {
        let scenario = transitions
            .into_iter()
            .fold(topology, |scenario, (wait, transition)| scenario.after(wait, transition));
        run(&scenario)?;
    }

    /// What a fuzzer feeds.
    #[test]
    fn any_bytes_are_a_scenario(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let scenario = Scenario::decode(&bytes);
        run(&scenario)?;
    }

    /// All chance comes from the seed, and looking at a run does not change it.
    #[test]
    fn equal_seeds_make_equal_runs(scenario in topology()) {
        let again = scenario.clone();
        let report = run(&scenario)?;
        prop_assert_eq!(&report, &run(&again)?);
        prop_assert_eq!(report.connected_after, connect(&scenario)?.connected_after);
    }
}
