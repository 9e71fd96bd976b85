//! Scenarios in which random worlds once showed the agents to be wrong.

use frazil::sim::{Families, Filtering, Mapping, Scenario, Side, Site, Transition};
use frazil::{NominationMode, Role};

/// Every check comes from an address that nobody has seen, and so does the check that it triggers,
/// until an agent takes no more peer-reflexive candidates. The nominating check over the relay was
/// then answered with success and forgotten: one side was Completed, the other never.
#[test]
fn regression_a_nomination_from_a_new_address_counts_whatever_came_before_it() {
    let site = || Site::nat(Mapping::AddressAndPortDependent, Filtering::EndpointIndependent);
    let side = |site| Side::new().at(site).reflexive().relayed();
    let scenario = Scenario::new(0).site(site()).site(site()).first(side(0)).second(side(1));
    scenario.connect().unwrap_or_else(|failure| panic!("{failure}"));
}

/// Both sides are controlling. The second one's NAT has another mapping towards the first than the
/// one that was signalled, so its 487 comes from another address than the check went to. It was taken
/// for a failed pair, and the only check that can get through was never repeated.
#[test]
fn regression_a_role_conflict_is_repaired_wherever_the_answer_comes_from() {
    let scenario = Scenario::new(1)
        .site(Site::nat(Mapping::EndpointIndependent, Filtering::EndpointIndependent))
        .site(Site::nat(Mapping::AddressDependent, Filtering::EndpointIndependent))
        .first(Side::new().at(0))
        .second(Side::new().at(1).role(Role::Controlling).reflexive());
    scenario.connect().unwrap_or_else(|failure| panic!("{failure}"));
}

/// Both sides behind one NAT that maps each destination anew. What it turns round comes from a new
/// address each time, until a side takes no more of them; so the check that came from the internet
/// to the first side's other interface, the only one that can succeed, was not heard.
#[test]
fn regression_a_path_at_another_interface_is_found_whatever_came_before_it() {
    let site = |mapping| Site::nat(mapping, Filtering::EndpointIndependent);
    let scenario = Scenario::new(0)
        .delay(0)
        .site(site(Mapping::AddressAndPortDependent).guarded())
        .site(site(Mapping::EndpointIndependent).within(0))
        .first(Side::new().also_at(1).signalling(151))
        .second(Side::new().at(0).reflexive());
    scenario.connect().unwrap_or_else(|failure| panic!("{failure}"));
}

/// The same over a relay: the check that arrives at the second side's relayed address comes from a
/// new one as well, but to a base that has none.
#[test]
fn regression_a_relayed_path_is_found_whatever_came_before_it() {
    let independent = Filtering::EndpointIndependent;
    let scenario = Scenario::new(5)
        .delay(0)
        .site(Site::nat(Mapping::EndpointIndependent, independent).guarded())
        .site(Site::nat(Mapping::AddressAndPortDependent, independent).within(0))
        .site(Site::nat(Mapping::EndpointIndependent, independent).within(1))
        .first(
            Side::new()
                .at(1)
                .families(Families::Both)
                .reflexive()
                .complete()
                .nominating(NominationMode::Aggressive),
        )
        .second(Side::new().at(2).relayed());
    scenario.connect().unwrap_or_else(|failure| panic!("{failure}"));
}

/// Seconds after both have selected the better pair, the controlled side asks for consent on its spare
/// one. The aggressive side checked that in return, and nominated it by the way; nothing else had come
/// lately on the better pair, so the controlled side followed. Data took two paths.
#[test]
fn regression_an_aggressive_side_nominates_nothing_that_it_would_not_select() {
    let scenario = Scenario::new(8_871_155_650_668_469_773)
        .delay(0)
        .first(Side::new().signalling(65).nominating(NominationMode::Aggressive))
        .second(Side::new().also_outside().also_outside().signalling(51))
        .after(0, Transition::Partition)
        .after(28_769, Transition::Heal);
    scenario.run().unwrap_or_else(|failure| panic!("{failure}"));
}

/// A restart has been put out, but not been answered, when the connection to the server turns out to be
/// gone, and the relayed address with it. The one that took its place was a candidate of the generation
/// that ended only, though the next one had no other way.
#[test]
fn regression_what_takes_the_place_of_a_relayed_address_does_so_in_a_staged_restart_too() {
    let scenario = Scenario::new(150)
        .first(Side::new().relayed_over_tcp().signalling(2_210))
        .second(Side::new())
        .after(13_600, Transition::Partition)
        .after(8_700, Transition::StopServer);
    let report = scenario.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.restarted);
}

/// Both relayed addresses are lost, and neither side has noticed before it gathers for the restart. That
/// was complete as soon as the connections to the server were found to be gone, so nobody was told what
/// took their place, and each side checked an address that the other had no more.
#[test]
fn regression_gathering_waits_for_what_a_lost_connection_to_a_server_had_given() {
    let scenario = Scenario::new(2)
        .delay(134)
        .site(Site::nat(Mapping::EndpointIndependent, Filtering::AddressDependent))
        .first(Side::new().at(0).relayed_over_tcp())
        .second(Side::new().at(0).relayed_over_tcp())
        .after(1_900, Transition::StopServer)
        .after(4_000, Transition::Partition);
    let report = scenario.run().unwrap_or_else(|failure| panic!("{failure}"));
    assert!(report.restarted);
}
