//! Scenarios in which random worlds once showed the agents to be wrong.

use frazil::Role;
use frazil::sim::{Filtering, Mapping, Scenario, Side, Site};

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
