//! The runner, the decoder and the written form.

use super::*;
use crate::candidate::CandidateKind::{Host, PeerReflexive, Relayed, ServerReflexive};
use crate::candidate::{CandidateKind, Transport};
use crate::config::{NominationMode, Role};
use crate::sim::scope::{Filtering, Mapping};

const CONE: Site = Site::nat(Mapping::EndpointIndependent, Filtering::AddressAndPortDependent);
const SYMMETRIC: Site =
    Site::nat(Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent);

fn run(scenario: &Scenario) -> ScenarioReport {
    scenario.run().unwrap_or_else(|failure| panic!("{}", failure.shrink()))
}

#[test]
fn two_sides_in_the_internet_connect_at_once() {
    let report = run(&Scenario::new(1));
    assert_eq!(report.kinds, Some((Host, Host)));
    assert!(report.connected_after.unwrap() <= Duration::from_millis(200));
    assert!(!report.restarted);
}

#[test]
fn kinds_are_those_of_the_topology() {
    let homes = |sides: [Side; 2]| {
        let [first, second] = sides;
        let scenario = Scenario::new(2).site(SYMMETRIC).site(CONE).site(SYMMETRIC);
        run(&scenario.first(first).second(second)).kinds
    };
    let side = |site| Side::new().at(site).reflexive();
    assert_eq!(homes([side(1), Side::new()]), Some((ServerReflexive, Host)));
    assert_eq!(homes([side(0), Side::new()]), Some((PeerReflexive, Host)));
    assert_eq!(homes([side(0), side(2)]), None);
    assert_eq!(homes([side(0), side(1)]), None);
    assert_eq!(homes([side(0).relayed(), side(2)]), Some((Relayed, PeerReflexive)));
    assert_eq!(homes([side(1), side(1)]), Some((Host, Host)));
}

#[test]
fn a_scenario_is_what_its_seed_makes_it() {
    let scenario = |seed| {
        Scenario::new(seed)
            .loss(10)
            .site(SYMMETRIC)
            .first(Side::new().at(0).reflexive())
            .after(3_000, Transition::RebootNat(0))
            .after(1_000, Transition::Restart(Who::Second))
    };
    assert_eq!(run(&scenario(3)), run(&scenario(3)));
    assert_ne!(run(&scenario(3)).hash, run(&scenario(4)).hash);
}

#[test]
fn every_transition_is_survived() {
    let all = [
        Transition::Loss(5),
        Transition::Delay(100),
        Transition::RebootNat(0),
        Transition::Partition,
        Transition::Heal,
        Transition::Down(Who::Second),
        Transition::Up(Who::Second),
        Transition::InterfaceDown(Who::First, 1),
        Transition::InterfaceUp(Who::First, 1),
        Transition::Move(Who::First),
        Transition::Renominate(Who::First, 0),
        Transition::CrashServer,
        Transition::StopServer,
        Transition::StartServer,
        Transition::Restart(Who::First),
        Transition::Restart(Who::Second),
    ];
    for wait in [1_000, 40_000] {
        for transition in all {
            let scenario = Scenario::new(5).site(CONE).site(SYMMETRIC);
            let scenario = scenario
                .first(Side::new().at(0).also_at(1).families(Families::Both).reflexive().relayed())
                .second(Side::new().at(1).reflexive())
                .after(wait, transition);
            run(&scenario);
            let blocked = Scenario::new(5).site(CONE.without_udp()).site(SYMMETRIC);
            let first = Side::new().at(0).also_at(1).tcp(Tcp::Both).relayed_over_tcp();
            let blocked = blocked.first(first).second(Side::new().tcp(Tcp::Both));
            run(&blocked.after(wait, transition));
        }
    }
}

#[test]
fn a_side_that_stays_down_has_no_path_in_the_end() {
    let down = Scenario::new(6).after(1_000, Transition::Down(Who::First));
    assert!(!run(&down).restarted);
    let up = down.after(60_000, Transition::Up(Who::First));
    assert!(run(&up).restarted);
}

/// Sites that never let two hosts meet over IPv4 do over IPv6, firewalls or not.
#[test]
fn ipv6_passes_where_two_nats_do_not() {
    let sites = || Scenario::new(7).site(SYMMETRIC.guarded()).site(SYMMETRIC.guarded());
    let side = |site, families| Side::new().at(site).reflexive().families(families);
    let kinds = |one, other| run(&sites().first(side(0, one)).second(side(1, other))).kinds;
    assert_eq!(kinds(Families::Ipv4, Families::Both), None);
    assert_eq!(kinds(Families::Both, Families::Both), Some((Host, Host)));
    assert_eq!(kinds(Families::Ipv6, Families::Both), Some((Host, Host)));
    assert_eq!(kinds(Families::Ipv6, Families::Ipv4), None);
}

/// Whichever interface goes, there is a way over the other one, and no restart is needed for it when
/// checks have gone on until there were spare pairs.
#[test]
fn a_second_interface_takes_over() {
    for number in 0..2 {
        let spares = NominationMode::Renomination { automatic: true };
        let scenario = Scenario::new(8)
            .site(CONE)
            .first(Side::new().also_at(0).nominating(spares))
            .second(Side::new().nominating(spares))
            .after(1_000, Transition::InterfaceDown(Who::First, number));
        assert!(!run(&scenario).restarted, "interface {number}");
    }
    let both = Scenario::new(8).first(Side::new().also_outside()).second(Side::new());
    let both = both.after(1_000, Transition::Down(Who::First));
    assert!(!run(&both).restarted, "there is no way");
    let both = both.after(60_000, Transition::Up(Who::First));
    assert!(run(&both).restarted);
}

/// Between sides behind one NAT, or one within the other, a partition parts what hairpinning and
/// the realm between them connect, on all interfaces.
#[test]
fn a_partition_parts_the_sides_wherever_they_meet() {
    for (first, second) in [(0, 0), (0, 1), (1, 0)] {
        let scenario = Scenario::new(9)
            .site(CONE)
            .site(CONE.within(0))
            .first(Side::new().at(first).also_outside().families(Families::Both).reflexive())
            .second(Side::new().at(second).families(Families::Both).reflexive())
            .after(1_000, Transition::Partition)
            .after(1_000, Transition::Move(Who::First));
        let report = run(&scenario);
        assert!(report.connected_after.is_some() && !report.restarted, "{first} {second}");
        assert!(run(&scenario.after(60_000, Transition::Heal)).restarted, "{first} {second}");
    }
}

#[test]
fn bytes_are_scenarios_and_no_bytes_are_the_simplest() {
    assert_eq!(Scenario::decode(&[]), Scenario::new(0).delay(0));
    let decoded = Scenario::decode(&[
        7, 30, 210, // seed, delay, loss
        1, 2, 1, 0, 0xf0, // sites
        1, 3, 0xbe, 0, 1, // the first side, with two more interfaces
        0, 0x50, 0x21, // the second one
        10, 2, 0, 5, 3, 1, 2, 12, 1, 1, 3, 14, 0, 2,
    ]);
    let written = Scenario::new(7)
        .delay(30)
        .loss(10)
        .site(
            Site::nat(Mapping::AddressAndPortDependent, Filtering::AddressDependent)
                .guarded()
                .servers_only(),
        )
        .first(
            Side::new()
                .at(0)
                .also_outside()
                .also_at(0)
                .families(Families::Both)
                .tcp(Tcp::Both)
                .nominating(NominationMode::Renomination { automatic: true })
                .reflexive()
                .relayed(),
        )
        .second(
            Side::new()
                .families(Families::Ipv6)
                .role(Role::Controlled)
                .tcp(Tcp::Passive)
                .relayed_over_tcp(),
        )
        .after(1_000, Transition::RebootNat(0))
        .after(500, Transition::Down(Who::Second))
        .after(200, Transition::InterfaceDown(Who::Second, 1))
        .after(300, Transition::Renominate(Who::First, 2));
    assert_eq!(decoded, written);
}

#[test]
fn what_is_printed_can_be_pasted() {
    let scenario = Scenario::new(7)
        .loss(3)
        .site(SYMMETRIC.within(0).without_udp().guarded().servers_only())
        .first(Side::new().at(0).relayed().role(Role::Controlled).signalling(20).tcp(Tcp::Active))
        .second(
            Side::new()
                .also_at(0)
                .also_outside()
                .families(Families::Both)
                .complete()
                .relayed_over_tcp()
                .nominating(NominationMode::Renomination { automatic: true }),
        )
        .after(100, Transition::Move(Who::Second))
        .after(150, Transition::InterfaceUp(Who::First, 1))
        .after(160, Transition::Renominate(Who::First, 0))
        .after(200, Transition::Loss(4));
    let text = "Scenario::new(7)
    .loss(3)
    .site(Site::nat(Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent).within(0).without_udp().guarded().servers_only())
    .first(Side::new().at(0).role(Role::Controlled).tcp(Tcp::Active).relayed().signalling(20))
    .second(Side::new().also_at(0).also_outside().families(Families::Both).relayed_over_tcp().complete().nominating(NominationMode::Renomination { automatic: true }))
    .after(100, Transition::Move(Who::Second))
    .after(150, Transition::InterfaceUp(Who::First, 1))
    .after(160, Transition::Renominate(Who::First, 0))
    .after(200, Transition::Loss(4))";
    assert_eq!(scenario.to_string(), text);
}

#[test]
fn requests_of_gathering_that_are_repeated_later_are_known() {
    let blocked = Site::nat(Mapping::AddressDependent, Filtering::AddressDependent).without_udp();
    let second = Side::new().at(0).also_outside().also_outside().relayed();
    let scenario = Scenario::new(173).delay(197).site(blocked);
    let report = run(&scenario.first(Side::new().families(Families::Ipv6)).second(second));
    assert_eq!(report.connected_after, None);
}

#[test]
fn a_relay_lets_in_an_address_that_was_learned_before_a_partition() {
    let inner = Site::nat(Mapping::AddressAndPortDependent, Filtering::EndpointIndependent);
    let scenario = Scenario::new(126)
        .delay(217)
        .site(inner)
        .site(SYMMETRIC)
        .first(Side::new().at(1))
        .second(Side::new().relayed())
        .after(10_300, Transition::Partition)
        .after(11_800, Transition::Move(Who::Second))
        .after(9_500, Transition::Restart(Who::Second));
    assert_eq!(run(&scenario).kinds, Some((PeerReflexive, Host)));
    // And the address from which the peer comes after its NAT has started anew, over the same relay.
    run(&scenario.after(23_900, Transition::RebootNat(0)));

    // The relay may be one that the peer was not told of.
    let symmetric = Site::nat(Mapping::AddressAndPortDependent, Filtering::AddressDependent);
    let scenario = Scenario::new(170)
        .delay(21)
        .site(symmetric)
        .first(Side::new().relayed())
        .second(Side::new().at(0))
        .after(5_000, Transition::Move(Who::First))
        .after(17_200, Transition::Restart(Who::Second))
        .after(5_000, Transition::Move(Who::First))
        .after(17_400, Transition::Partition);
    run(&scenario);
}

#[test]
fn a_nomination_that_came_to_nothing_is_none_of_a_later_check() {
    let site = Site::nat(Mapping::AddressDependent, Filtering::EndpointIndependent);
    let first = Side::new().also_at(0).also_at(0).reflexive();
    let scenario = Scenario::new(170)
        .delay(53)
        .site(site)
        .first(first.nominating(NominationMode::Aggressive))
        .second(Side::new().at(0).also_at(0).relayed().signalling(670))
        .after(5_100, Transition::InterfaceUp(Who::First, 218))
        .after(17_400, Transition::Partition);
    run(&scenario);
    let site = Site::nat(Mapping::AddressAndPortDependent, Filtering::AddressDependent);
    let first = Side::new().also_at(0).reflexive().relayed();
    let scenario = Scenario::new(170)
        .delay(21)
        .site(site)
        .first(first.nominating(NominationMode::Aggressive))
        .second(Side::new().also_at(0).also_at(0).signalling(2550))
        .after(6200, Transition::Delay(116))
        .after(11300, Transition::InterfaceDown(Who::Second, 110))
        .after(10300, Transition::Delay(83))
        .after(11100, Transition::InterfaceUp(Who::Second, 86))
        .after(11200, Transition::StartServer)
        .after(8300, Transition::StopServer)
        .after(12200, Transition::Delay(69))
        .after(8200, Transition::StartServer)
        .after(6600, Transition::InterfaceUp(Who::First, 98))
        .after(11500, Transition::Partition);
    run(&scenario);
}

#[test]
fn what_a_peer_has_selected_is_checked_again_by_a_side_that_nominates_aggressively() {
    let second = Side::new().role(Role::Controlling).relayed().signalling(500);
    let scenario = Scenario::new(158)
        .delay(89)
        .site(Site::nat(Mapping::AddressDependent, Filtering::EndpointIndependent))
        .first(Side::new().at(0).reflexive())
        .second(second.nominating(NominationMode::Aggressive));
    assert_eq!(run(&scenario).kinds, Some((PeerReflexive, Host)));
}

#[test]
fn aggressive_sides_may_see_two_relayed_candidates_in_two_orders() {
    let scenario = Scenario::new(75)
        .delay(35)
        .first(Side::new().nominating(NominationMode::Aggressive))
        .second(Side::new().also_outside().also_outside().relayed())
        .after(14_700, Transition::CrashServer)
        .after(0, Transition::Partition);
    run(&scenario);
}

#[test]
fn a_pair_that_was_not_kept_gives_a_sign_of_life_by_its_nomination() {
    let first = Side::new().also_outside().also_at(0).relayed();
    let second = Side::new().at(0).also_at(0).also_at(0).relayed().signalling(2_550);
    let scenario = Scenario::new(150)
        .delay(103)
        .site(Site::nat(Mapping::EndpointIndependent, Filtering::EndpointIndependent))
        .first(first.nominating(NominationMode::Aggressive))
        .second(second);
    run(&scenario);
}

/// To the first side, both ends of that path are peer-reflexive.
#[test]
fn what_took_the_place_of_a_relayed_address_lets_in_what_was_learned_before_a_partition() {
    let scenario = Scenario::new(112)
        .delay(92)
        .site(Site::nat(Mapping::AddressDependent, Filtering::EndpointIndependent))
        .first(Side::new().at(0))
        .second(Side::new().relayed_over_tcp())
        .after(7_800, Transition::CrashServer)
        .after(7_600, Transition::Partition);
    assert_eq!(run(&scenario).kinds, Some((PeerReflexive, Host)));
}

/// What a run selects, and over what.
fn selected(scenario: &Scenario) -> Option<(Transport, CandidateKind, CandidateKind)> {
    let report = run(scenario);
    let (local, remote) = report.kinds?;
    Some((report.transport?, local, remote))
}

/// Whoever has UDP uses it.
#[test]
fn connections_are_opened_where_udp_is_blocked() {
    for mapping in [Mapping::EndpointIndependent, Mapping::AddressAndPortDependent] {
        let site = || Site::nat(mapping, Filtering::AddressAndPortDependent);
        let first = Side::new().at(0).tcp(Tcp::Active);
        let second = Side::new().tcp(Tcp::Passive);
        let sides = |site, first, second| Scenario::new(10).site(site).first(first).second(second);
        let connect = |site| selected(&sides(site, first.clone(), second.clone()));
        let reflexive = |transport| Some((transport, PeerReflexive, Host));
        assert_eq!(connect(site()), reflexive(Transport::Udp));
        assert_eq!(connect(site().without_udp()), reflexive(Transport::Tcp));
        // A relay is there, and not needed.
        let first = first.clone().relayed_over_tcp();
        let scenario = sides(site().without_udp(), first, second.clone());
        assert_eq!(selected(&scenario), reflexive(Transport::Tcp));
        // Whoever is in the open opens, in vain.
        let accepts = Side::new().at(0).tcp(Tcp::Passive);
        let scenario = sides(site().without_udp(), accepts, Side::new().tcp(Tcp::Active));
        assert_eq!(selected(&scenario), None);
    }
}

/// RFC 6544 has nothing for two sides that nobody can connect to, but a relay.
#[test]
fn two_sides_behind_nats_without_udp_meet_on_a_relay_over_tcp() {
    let sites = || Scenario::new(11).site(CONE.without_udp()).site(CONE);
    let side = |site| Side::new().at(site).tcp(Tcp::Both).reflexive();
    let kinds = |one: Side, other: Side| selected(&sites().first(one).second(other));
    assert_eq!(kinds(side(0), side(1)), None);
    assert_eq!(kinds(side(0).relayed(), side(1)), None);
    let relayed = kinds(side(0).relayed_over_tcp(), side(1));
    assert_eq!(relayed, Some((Transport::Udp, Relayed, ServerReflexive)));
    let relayed = kinds(side(0).relayed_over_tcp(), side(0).relayed_over_tcp());
    assert_eq!(relayed, Some((Transport::Udp, Host, Host)), "in one home");
    let both = Scenario::new(11).site(CONE.without_udp()).site(CONE.servers_only());
    let both = both.first(side(0).relayed_over_tcp()).second(side(1).relayed_over_tcp());
    assert_eq!(selected(&both), Some((Transport::Udp, Relayed, Relayed)));
}

/// A firewall that lets out TCP to the port of servers alone leaves the relay.
#[test]
fn a_site_for_servers_only_has_no_connections_but_to_servers() {
    let scenario = |first| {
        let scenario =
            Scenario::new(12).site(CONE.servers_only()).second(Side::new().tcp(Tcp::Both));
        selected(&scenario.first(first))
    };
    let first = Side::new().at(0).tcp(Tcp::Both).relayed();
    assert_eq!(scenario(first.clone()), None);
    let relayed = Some((Transport::Udp, Relayed, Host));
    assert_eq!(scenario(first.relayed_over_tcp()), relayed);
}

/// A connection that is lost is opened again, whoever has nominated it.
#[test]
fn a_connection_survives_what_it_can() {
    let survived = [
        Transition::RebootNat(0),
        Transition::Move(Who::First),
        Transition::CrashServer,
        Transition::Delay(150),
    ];
    for role in [Role::Controlling, Role::Controlled] {
        for transition in survived {
            let scenario = Scenario::new(13)
                .site(CONE.without_udp())
                .first(Side::new().at(0).tcp(Tcp::Active).role(role))
                .second(Side::new().tcp(Tcp::Passive).role(role.opposite()))
                .after(5_000, transition);
            let report = run(&scenario);
            assert_eq!(report.transport, Some(Transport::Tcp));
            assert!(!report.restarted, "{scenario}");
        }
    }
}

/// The same of a relay that is reached over a connection.
#[test]
fn a_relay_over_tcp_survives_what_it_can() {
    let ends = [
        &[Transition::RebootNat(0)][..],
        &[Transition::CrashServer],
        &[Transition::StopServer, Transition::StartServer],
        &[Transition::Move(Who::First)],
    ];
    for transitions in ends {
        let scenario = Scenario::new(14)
            .site(CONE.without_udp())
            .site(CONE)
            .first(Side::new().at(0).relayed_over_tcp())
            .second(Side::new().at(1).reflexive());
        let scenario = transitions
            .iter()
            .fold(scenario, |scenario, transition| scenario.after(5_000, *transition));
        assert_eq!(run(&scenario).kinds, Some((Relayed, ServerReflexive)));
    }
}

/// The peer was past hearing of the address that a server saw after the move, until it restarted.
#[test]
fn a_mapping_that_was_found_after_a_move_is_told_in_a_restart() {
    let scenario = Scenario::new(150)
        .delay(19)
        .site(Site::nat(Mapping::EndpointIndependent, Filtering::EndpointIndependent))
        .first(Side::new().relayed_over_tcp().signalling(2_210))
        .second(Side::new().at(0).reflexive())
        .after(13_600, Transition::Partition)
        .after(2_800, Transition::StopServer)
        .after(21_000, Transition::Move(Who::Second));
    let report = run(&scenario);
    assert_eq!(report.kinds, Some((Host, ServerReflexive)));
    assert!(report.restarted);
}
