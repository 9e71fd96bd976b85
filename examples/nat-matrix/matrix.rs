//! The cells of the matrix: two homes, each behind one of the nine kinds of NAT by RFC 4787.

use frazil::sim::{Filtering, Mapping, Scenario, ScenarioFailure, ScenarioReport, Side, Site};

/// A kind of NAT.
pub(crate) type Kind = (Mapping, Filtering);

/// All nine.
pub(crate) const KINDS: [Kind; 9] = {
    use Filtering as F;
    use Mapping as M;
    [
        (M::EndpointIndependent, F::EndpointIndependent),
        (M::EndpointIndependent, F::AddressDependent),
        (M::EndpointIndependent, F::AddressAndPortDependent),
        (M::AddressDependent, F::EndpointIndependent),
        (M::AddressDependent, F::AddressDependent),
        (M::AddressDependent, F::AddressAndPortDependent),
        (M::AddressAndPortDependent, F::EndpointIndependent),
        (M::AddressAndPortDependent, F::AddressDependent),
        (M::AddressAndPortDependent, F::AddressAndPortDependent),
    ]
};

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    /// The NATs of both sides.
    pub(crate) nats: [Kind; 2],
    /// Whether both sides have an allocation on a TURN server.
    pub(crate) relay: bool,
    /// Packets lost in a hundred.
    pub(crate) loss: u8,
    /// All chance comes from it.
    pub(crate) seed: u64,
}

impl Cell {
    /// What the runner says of it.
    pub(crate) fn run(self) -> Result<ScenarioReport, Box<ScenarioFailure>> {
        self.scenario().connect()
    }

    fn scenario(self) -> Scenario {
        let side = |site| {
            let side = Side::new().at(site).reflexive();
            if self.relay { side.relayed() } else { side }
        };
        let [one, other] = self.nats;
        Scenario::new(self.seed)
            .loss(self.loss)
            .site(Site::nat(one.0, one.1))
            .site(Site::nat(other.0, other.1))
            .first(side(0))
            .second(side(1))
    }
}
